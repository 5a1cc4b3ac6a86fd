"""Elementwise comparison of a gradient with what was derived, each element under its own bound."""

from __future__ import annotations

from dataclasses import dataclass

import torch

Index = tuple[int, ...]


@dataclass(frozen=True)
class Comparison:
    """How two tensors compare.

    Attributes:
        wrong: elements whose error is above their bound (NaN where a number was expected is wrong).
        open: elements that could not be judged, because the bound is infinite or no number was derived.
        count: all elements.
        max_error: the largest error of a judged element.
        tolerance: the bound at the worst element.
        worst: the index of the element that is most above (or nearest below) its bound; None of an empty tensor.
        found, expected: both values there.
    """

    wrong: int
    open: int
    count: int
    max_error: float
    tolerance: float
    worst: Index | None
    found: float
    expected: float
    ratio: float

    @property
    def holds(self) -> bool:
        """Whether no judged element is wrong."""
        return self.wrong == 0


def compare(found: torch.Tensor, expected: torch.Tensor, tolerance: torch.Tensor) -> Comparison:
    """Compare elementwise.

    Args:
        found: any floating type.
        expected: float64, of the same shape.
        tolerance: float64, of the same shape: the largest error that rounding explains.

    >>> c = compare(torch.tensor([1.0, 2.5]), torch.tensor([1.0, 2.0]), torch.tensor([0.1, 0.1]))
    >>> c.wrong, c.worst, c.max_error
    (1, (1,), 0.5)
    """
    found, expected, tolerance = (t.detach().to("cpu", torch.float64) for t in (found, expected, tolerance))
    count = expected.numel()
    if count == 0:
        return Comparison(0, 0, 0, 0.0, 0.0, None, 0.0, 0.0, 0.0)
    judged = torch.isfinite(expected) & torch.isfinite(tolerance)
    error = (found - expected).abs()
    error = torch.where(torch.isnan(error), torch.inf, error)
    error = torch.where(judged, error, 0.0)
    over = judged & (error > tolerance)
    ratio = torch.where(judged & (error > 0), error / tolerance.clamp(min=5e-324), 0.0)
    flat = int(ratio.argmax()) if bool((ratio > 0).any()) else int(error.argmax())
    at = tuple(int(k) for k in torch.unravel_index(torch.tensor(flat), expected.shape))
    return Comparison(
        wrong=int(over.sum()),
        open=count - int(judged.sum()),
        count=count,
        max_error=float(error.max()),
        tolerance=float(tolerance[at]),
        worst=at,
        found=float(found[at]),
        expected=float(expected[at]),
        ratio=float(ratio[at]),
    )
