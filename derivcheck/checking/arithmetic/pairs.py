"""A number with what rounding can have done to it, and the units in which types round."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

FLOAT64_UNIT = 2.0**-53
HALVES = (torch.bfloat16, torch.float16)


def unit(dtype: torch.dtype) -> float:
    """The unit roundoff, half the distance from 1 to the next number.

    >>> unit(torch.float32) == 2.0**-24
    True
    """
    return torch.finfo(dtype).eps / 2


def type_name(dtype: torch.dtype) -> str:
    """A type as a report calls it: ``float32``."""
    return str(dtype).removeprefix("torch.")


class Pair(NamedTuple):
    """A value with its error; None where the value is exact."""

    value: torch.Tensor
    error: torch.Tensor | None = None
    scatter: bool = False  # 0 and 1, and a product with it is a scatter-add: sequential, in the type itself
    depth: float = 0.0  # of a matrix product: a kernel may start its sums at what is added to it (addmm)


def power_of_two(a: Pair) -> bool:
    if a.error is not None or a.value.numel() != 1:
        return False
    mantissa = abs(math.frexp(float(a.value))[0])
    return mantissa == 0.5


def exact_infinities(v: torch.Tensor, e: torch.Tensor, a: Pair, b: Pair) -> torch.Tensor:
    """No error where an operand is infinite: a masked score is −∞ exactly (what overflows on the way is another thing)."""
    if not bool(torch.isinf(v).any()):
        return e
    return torch.where(torch.isinf(a.value) | torch.isinf(b.value), 0.0, e)


def times(size: torch.Tensor, error: torch.Tensor) -> torch.Tensor:
    """``size · error``, 0 where there is no error even if the size is infinite; 0 times an overflow is NaN, so unbounded."""
    product = size * error
    return (
        product
        if bool(torch.isfinite(product).all())
        else torch.where(error == 0, 0.0, torch.where(torch.isnan(product), torch.inf, product))
    )


def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    found = a @ b
    return found if bool(torch.isfinite(found).all()) else torch.where(torch.isnan(found), torch.inf, found)


def constant_rows(a: torch.Tensor, dim: int) -> bool:
    """Whether some row of equal numbers other than 0 is summed over."""
    low, high = a.amin(dim), a.amax(dim)
    return bool(((low == high) & (low != 0)).any())
