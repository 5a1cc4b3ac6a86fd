"""The upstream gradient: ignored, reduced, or used twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from derivcheck.diagnosis.guess import Example, Guess
from derivcheck.diagnosis.scene import Array, Scene
from derivcheck.notation.values.evaluator import evaluate

EXAMPLE = Example(
    forward="L := sum(n: (x[n] - t[n])^2)/N",
    dims={"x": "N", "t": "N"},
    parameter="x",
    right="x_bar[n] := grad_output*2*(x[n] - t[n])/N",
    wrong="x_bar[n] := 2*(x[n] - t[n])/N",
    says="grad_output",
)


def upstream(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """Another upstream gradient in place of the one that was given; the gradient is linear in it."""
    for name, value in scene.case.upstream.items():
        if not value.is_contiguous():
            yield _with(
                name,
                f"wrong only where {name} is not contiguous: its strides are ignored; call .contiguous() first",
                _as_laid_out(value),
            )
        yield _with(name, f"right only for {name} = 1: the upstream gradient is ignored", np.ones_like)
        yield _with(name, f"{name} is used twice: the gradient must be linear in it", np.square)
        if value.ndim:
            yield _with(name, f"{name} comes in with its sign alone", np.sign)
            yield _with(name, f"{name} is taken in absolute value", np.abs)
            yield _with(
                name,
                f"{name} is replaced by its sum: the loss is taken to be the sum of the output",
                lambda g: np.full_like(g, g.sum()),
            )
            yield _with(name, f"{name} is replaced by its mean", lambda g: np.full_like(g, g.mean()))
            yield _with(name, f"only the first element of {name} is used", lambda g: np.full_like(g, g.flat[0]))


def _as_laid_out(given: Tensor) -> Callable[[Array], Array]:
    """Read a tensor in the order of its memory, as a backward that ignores strides does."""

    def read(g: Array) -> Array:
        if g.shape != tuple(given.shape) or min(given.stride(), default=1) < 0:
            return g
        count = given.untyped_storage().nbytes() // given.element_size() - given.storage_offset()
        if count < g.size or not np.array_equal(g, given.double().numpy()):
            return g
        memory = torch.as_strided(given, (g.size,), (1,), given.storage_offset())
        return np.asarray(memory.double().reshape(given.shape).numpy(), dtype=np.float64)

    return read


def _with(name: str, sentence: str, change: Callable[[Array], Any]) -> Guess:
    """The right gradient at another ``grad_output`` than the one given: what a backward that reads it wrongly returns."""

    def predict(scene: Scene) -> Array | None:
        if not scene.values[name].size:
            return None
        given: Mapping[str, Any] = {**scene.given, name: change(scene.values[name])}
        found: Array = evaluate(scene.program, given, scene.sizes)[f"{scene.name}_bar"]
        return found

    return Guess("strides" if "strides" in sentence else "upstream", sentence, predict)
