"""The slope of code along one line: differences of the code itself, extrapolated, with their own error."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from derivcheck.checking.arithmetic.pairs import FLOAT64_UNIT


def slope_along(
    at: Callable[[float], list[torch.Tensor]],
    upstream: list[torch.Tensor],
    scale: float,
    ends: tuple[int, int],
    first: int = 5,
    enough: float = 0.0,
) -> tuple[float, float] | None:
    """The slope of ``Σ upstream · at(h)`` at 0 by Richardson's extrapolation, and its error; None where there is no number.

    Args:
        ends: of each step: (1, -1) for central differences, (1, 0) and (0, -1) for one side.
        first: the first step is ``scale`` halved so many times; each further one a quarter of the last.
        enough: an error that needs no shorter step.
    """
    width, base = ends[0] - ends[1], 4.0 if 0 in ends else 16.0
    previous: list[float] = []
    best, doubt = math.nan, math.inf
    try:
        for level in range(5):
            h = scale * 2.0 ** (-first - 2 * level)
            high, low = (at(end * h) for end in ends)
            if any(o.dtype is not torch.float64 for o in high):
                return None
            slope = sum(float((g * (a - b)).sum()) for g, a, b in zip(upstream, high, low)) / (width * h)
            sizes = sum(float((g.abs() * (a.abs() + b.abs())).sum()) for g, a, b in zip(upstream, high, low))
            noise = sizes * 32 * FLOAT64_UNIT / (width * h)
            row = [slope]
            for k in range(level):
                row.append((base ** (k + 1) * row[k] - previous[k]) / (base ** (k + 1) - 1))
                estimate = max(abs(row[-1] - row[-2]), abs(row[-1] - previous[k])) + noise
                if estimate < doubt:
                    best, doubt = row[-1], estimate
            if doubt <= enough:
                break
            previous = row
    except Exception:  # whatever the user's code raises there, it gives no number
        return None
    return best, doubt
