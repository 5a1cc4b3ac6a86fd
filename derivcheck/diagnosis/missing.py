"""No gradient at all: nothing is returned, or zero everywhere."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from derivcheck.diagnosis.guess import Example, Guess
from derivcheck.diagnosis.scene import Scene

EXAMPLE = Example(
    forward="y[n,c] := x[n,c]*w[c]",
    dims={"x": "N C", "w": "C"},
    parameter="w",
    right="w_bar[c] := sum(n: grad_output[n,c]*x[n,c])",
    wrong=lambda grad_output, x, w: {"x": grad_output * w, "w": None},
    says="no gradient",
)


def missing(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """A gradient that is not there."""
    if scene.found is None:
        yield Guess("missing", "no gradient is returned for it", lambda s: None, certain=True)
    elif scene.found.shape == scene.right.shape and not scene.found.any() and scene.right.any():
        yield Guess(
            "missing",
            "its gradient is zero everywhere, as if nothing arrived",
            lambda s: np.zeros_like(s.right),
        )
