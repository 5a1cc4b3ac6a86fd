"""Pairs of the other layout: neighbours ``(2i, 2i+1)`` for halves ``(i, i + half)``; rotary embeddings have both."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from derivcheck.diagnosis.guess import Example, Guess
from derivcheck.diagnosis.scene import Array, Scene
from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.values.evaluator import evaluate

EXAMPLE = Example(
    forward="y[n, i < 2*L] := [i < L]*(x[n,i]*c[i] - x[n,i+L]) + [i >= L]*(x[n,i]*c[i-L] + x[n,i-L])",
    dims={"x": "N 2*L", "c": "L"},
    parameter="x",
    right="x_bar[n, i < 2*L] := [i < L]*(grad_output[n,i]*c[i] + grad_output[n,i+L])"
    " + [i >= L]*(grad_output[n,i]*c[i-L] - grad_output[n,i-L])",
    wrong=lambda grad_output, x, c: {"x": _neighbours(grad_output, c)},
    says="pairs of neighbours",
)


def _neighbours(g: Tensor, c: Tensor) -> Tensor:
    a, b = g[:, ::2], g[:, 1::2]
    return torch.stack([a * c + b, b * c - a], 2).flatten(1)


def interleaved(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """Every tensor along an axis of even length in the order of the other layout, and the gradient brought back; or not."""
    dims = scene.program.definition(f"{scene.name}_bar").dims
    for p in dict.fromkeys(dims):
        if p.at(scene.sizes) % 2 or p.at(scene.sizes) < 4:
            continue
        for apart, words in (
            (True, "pairs of neighbours (2i, 2i+1) are taken, where the forward pairs the two halves (i, i + half)"),
            (False, "the two halves (i, i + half) are paired, where the forward pairs neighbours (2i, 2i+1)"),
        ):
            axis = f" over {', '.join(i.name for i in scene.program.definition(f'{scene.name}_bar').indices if i.size is p)}"
            yield Guess("position", f"{words}{axis}", partial(_predicted, p, apart, True))
            order = "neighbours put into halves" if apart else "halves put into neighbours"
            yield Guess("position", f"its elements are permuted{axis}: {order}", partial(_predicted, p, apart, False))


def _predicted(p: Poly, apart: bool, inputs_too: bool, scene: Scene) -> Array | None:
    """The gradient with the two halves along the axis of size ``p`` interleaved, or taken apart; None for an odd size."""
    n = p.at(scene.sizes)
    if n % 2:
        return None
    order = np.arange(n).reshape((-1, 2) if apart else (2, -1)).T.ravel()
    dims = scene.program.definition(f"{scene.name}_bar").dims
    if not inputs_too:
        return _taken(scene.right, dims, p, order)
    given = {a.name: _taken(np.asarray(scene.values[a.name]), a.dims, p, order) for a in scene.program.arguments}
    found = evaluate(scene.program, given, scene.sizes)[f"{scene.name}_bar"]
    return _taken(found, dims, p, np.argsort(order))


def _taken(value: Array, dims: tuple[Poly, ...], p: Poly, order: npt.NDArray[np.intp]) -> Array:
    for k, q in enumerate(dims):
        if q is p:
            value = np.take(value, order, k)
    return value
