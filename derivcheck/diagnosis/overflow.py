"""NaN or infinity at large values alone: an intermediate of the backward overflows, and the gradient does not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from derivcheck.diagnosis.guess import Example, Guess
from derivcheck.diagnosis.scene import Scene


def _naive(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
    y = x.exp() / x.exp().sum(-1, keepdim=True)
    return {"x": y * (grad_output - (y * grad_output).sum(-1, keepdim=True))}


EXAMPLE = Example(
    forward="m[n] := max(c: x[n,c]) (no gradient); e[n,c] := exp(x[n,c] - m[n]); y[n,c] := e[n,c]/sum(d: e[n,d])",
    dims={"x": "N C"},
    parameter="x",
    right="m[n] := max(c: x[n,c]); e[n,c] := exp(x[n,c] - m[n]); y[n,c] := e[n,c]/sum(d: e[n,d]); "
    "x_bar[n,c] := y[n,c]*(grad_output[n,c] - sum(d: y[n,d]*grad_output[n,d]))",
    wrong=_naive,
    says="overflows",
    special={"x": [[1000.0, 2.0, -900.0], [0.5, -1.0, 2.0]]},
)
ORDINARY = 1.0  # the largest magnitude at which the same backward is tried again
LARGE = 10.0  # a magnitude that an exponential or a power turns into one out of range


def overflow(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """What is not finite, where the same backward is right once its large inputs are scaled down."""
    found, case = scene.found, scene.case
    if found is None or found.shape != scene.right.shape or np.isfinite(found).all() or case.backward is None:
        return
    if scene.telling or not np.isfinite(scene.right).all():
        return
    sizes = {n: float(v.abs().max()) for n, v in case.inputs.items() if v.is_floating_point() and v.numel()}
    large = [n for n, most in sizes.items() if most > LARGE]
    if not large:
        return
    again = case.with_inputs({n: v * (ORDINARY / sizes[n]) if n in large else v for n, v in case.inputs.items()})
    if again is not None and not Scene(again).wrong:
        words = " and ".join(f"{n} is large (up to {sizes[n]:.2g})" for n in large)
        yield Guess(
            "overflow",
            f"NaN or infinite where {words}, and right where it is not: an intermediate overflows and the gradient does not; "
            "subtract the maximum before an exponential, or use the value that the forward computed",
            lambda s: s.found,
            certain=True,
        )
