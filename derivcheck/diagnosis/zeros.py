"""NaN, infinity or a lost gradient exactly where a value is zero: the backward divides by it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from derivcheck.diagnosis.guess import Example, Guess
from derivcheck.diagnosis.scene import Array, Scene

EXAMPLE = Example(
    forward="y[n] := prod(c: x[n,c])",
    dims={"x": "N C"},
    parameter="x",
    right="x_bar[n,c] := grad_output[n]*prod(d: [d != c]*x[n,d] + [d == c])",
    wrong=lambda grad_output, x: {"x": (grad_output * x.prod(-1))[:, None] / x},
    says="x = 0",
    special={"x": [[1.0, 2.0, 0.0], [3.0, -1.0, 2.0]]},
)


def zeros(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """The wrong elements are those at which some value is zero."""
    found, right = scene.found, scene.right
    if found is None or found.shape != right.shape or not found.size:
        return
    bad = ~np.isfinite(found)
    lost = "NaN or infinite"
    if not bad.any():
        scale = max(float(np.abs(found).max()), float(np.abs(right).max()))
        bad = np.abs(found - right) > 20 * scene.relative * scale
        if found[bad].any() or not right[bad].all():
            return
        lost = "zero"
    elif not _agrees(scene, found, right, ~bad):
        lost += " (and more is wrong elsewhere)"
    if not bad.any() or not np.isfinite(right[bad]).all():
        return
    dims = scene.full.dims(f"{scene.name}_bar")
    candidates = [scene.name, *(n for n in scene.values if n != scene.name)]
    for name in candidates:
        value = scene.values[name]
        if scene.full.kind(name) != "float" or name == f"{scene.name}_bar" or not (value == 0).any() or (value == 0).all():
            continue
        zero = value == 0
        its = scene.full.dims(name)
        if its == dims and np.array_equal(bad, zero):
            yield _divides(name, f"{lost} exactly where {name} = 0")
        elif its[: len(dims)] == dims and np.array_equal(bad, zero.any(tuple(range(len(dims), len(its))))):
            yield _divides(name, f"{lost} exactly where {name} = 0")
        elif its == dims and bad.ndim and np.array_equal(bad, np.broadcast_to(zero.any(-1, keepdims=True), bad.shape)):
            yield _divides(name, f"{lost} in the rows that hold {name} = 0")


def _agrees(scene: Scene, found: Array, right: Array, where: Array) -> bool:
    return scene.near(np.where(where, found, 0), np.where(where, right, 0))


def _divides(name: str, sentence: str) -> Guess:
    return Guess(
        "zero", f"{sentence}, where the gradient is finite: the backward divides by {name}", lambda s: s.found, certain=True
    )
