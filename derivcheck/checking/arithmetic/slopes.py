"""The slope of code along one line: differences of the code itself, extrapolated, with their own error."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from derivcheck.checking.arithmetic.pairs import FLOAT64_UNIT


class Foreseen(NamedTuple):
    """What is known of errors before the steps are taken.

    Attributes:
        enough: an error that needs no shorter step.
        lost: what ``Σ upstream · at(h)`` loses on the way, where sums of larger numbers cancel.
    """

    enough: float = 0.0
    lost: float = 0.0


NOTHING = Foreseen()


def slope_along(
    at: Callable[[float], list[torch.Tensor]],
    upstream: list[torch.Tensor],
    scale: float,
    ends: tuple[int, int],
    first: int = 5,
    known: Foreseen = NOTHING,
) -> tuple[float, float] | None:
    """The slope of ``Σ upstream · at(h)`` at 0 by Richardson's extrapolation, and its error; None where there is no number.

    Args:
        ends: of each step: (1, -1) for central differences, (1, 0) and (0, -1) for one side.
        first: the first step is ``scale`` halved so many times; each further one a quarter of the last.
    """
    # what a step a quarter as long leaves of an error in h, on one side, and of one in h², in the middle, is a 4th and a 16th
    width, base = ends[0] - ends[1], 4.0 if 0 in ends else 16.0
    previous: list[float] = []
    best, doubt = math.nan, math.inf
    try:
        for level in range(5):  # rounding is four times as large at each step: more do not help
            h = scale * 2.0 ** (-first - 2 * level)
            high, low = (at(end * h) for end in ends)
            if any(o.dtype is not torch.float64 for o in high):
                return None
            slope = sum(float((g * (a - b)).sum()) for g, a, b in zip(upstream, high, low)) / (width * h)
            sizes = sum(float((g.abs() * (a.abs() + b.abs())).sum()) for g, a, b in zip(upstream, high, low))
            # code is taken to lose up to 32 roundings of what it gives
            noise = (sizes * 32 * FLOAT64_UNIT + 4 * known.lost) / (width * h)
            row = [slope]
            for k in range(level):
                row.append((base ** (k + 1) * row[k] - previous[k]) / (base ** (k + 1) - 1))
                estimate = max(abs(row[-1] - row[-2]), abs(row[-1] - previous[k])) + noise
                if estimate < doubt:
                    best, doubt = row[-1], estimate
            if doubt <= known.enough:
                break
            previous = row
    except Exception:  # whatever the user's code raises there, it gives no number
        return None
    return best, doubt


FIRST = (9, 15)  # short steps meet few kinks, shorter ones fewer
ENOUGH, SURE = 1e-8, 1e-6  # of the terms: an error that needs no shorter step, and one beyond which nothing is judged


class Slack(NamedTuple):
    """What a gradient may be off by, and still be the slope.

    Attributes:
        lost: of the terms that it adds up along the line, what the gradient may have lost itself.
        nothing: what a gradient that is much smaller is held against.
    """

    lost: float = 64 * FLOAT64_UNIT
    nothing: float = 0.0


ROUNDING = Slack()


def is_slope(
    outputs: Callable[[torch.Tensor], list[torch.Tensor]],
    x: torch.Tensor,
    gradient: torch.Tensor,
    upstream: list[torch.Tensor],
    generator: torch.Generator,
    slack: Slack = ROUNDING,
) -> bool:
    """Whether ``gradient`` is surely the slope of ``Σ upstream · outputs(x)`` along a random direction.

    Args:
        x, gradient: float64, of one shape.
    """
    lost, nothing = slack
    v = signed(x.shape, generator).to(x.device)
    expected, terms = float((gradient * v).sum()), max(float((gradient * v).abs().sum()), nothing)
    scale = float(x.abs().max()) or 1.0
    for first in FIRST:
        found = slope_along(lambda h: outputs(x + h * v), upstream, scale, (1, -1), first, Foreseen(ENOUGH * terms))
        if found is None:
            return False
        slope, doubt = found
        sure = doubt <= SURE * max(terms, abs(slope)) + 1e-300  # where all terms are 0, a doubt of 0 is sure
        if sure and abs(slope - expected) <= 8 * doubt + lost * terms:
            return True
    return False


def signed(shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    """float64 numbers of both signs, none of them small, so that no element is left out."""
    sizes = 0.5 + torch.rand(shape, generator=generator, dtype=torch.float64)
    return sizes * (torch.randint(0, 2, shape, generator=generator, dtype=torch.float64) * 2 - 1)
