"""What a loop carries from turn to turn: a sum, a product, an extreme; nothing else is read.

Inside the loop, a variable of before it stands for "what it held, and what this turn does to it".  At the loop's end that is
summed (multiplied, …) over all turns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from derivcheck.kernels.lanes.lanes import Axis, Lanes
from derivcheck.kernels.lanes.refused import Refused
from derivcheck.kernels.lanes.tensors import spread
from derivcheck.kernels.lanes.wholes import Symbolic

NEUTRAL = {"+": 0.0, "*": 1.0}


@dataclass(frozen=True, eq=False)
class Carried(Symbolic):
    """A variable in a loop: ``op`` with ``value`` is done to it in this turn.

    Attributes:
        name: the variable's name.
        owner: which loop and which part of the variable it is.
        op: ``+``, ``*``, ``max``, ``min``; empty: nothing yet.
        value: what is added, multiplied by, or compared.
        above_zero: whether that is surely above 0.
    """

    name: str
    owner: object
    op: str = ""
    value: Any = None
    above_zero: bool = False

    def refuse(self) -> Refused:
        """Its use in any other way."""
        return Refused(
            f"{self.name!r}",
            "it is carried from turn to turn of a loop",
            "Sums, products and extremes are read; a fixed size is unrolled.",
        )

    def then(self, op: str, value: Any) -> Carried:
        """The same after one more step."""
        if self.op not in ("", op) or isinstance(value, Carried):
            raise self.refuse()
        sure = getattr(value, "_above_zero", False)
        if not self.op:
            return replace(self, op=op, value=value, above_zero=sure)
        return replace(self, value=combined(op, self.value, value), above_zero=sure and self.above_zero)

    def chosen(self, condition: torch.Tensor, other: Any, holds: bool) -> Carried:
        """It where the condition holds (or does not), the other one elsewhere."""
        if not isinstance(other, Carried) or other.owner is not self.owner:
            raise self.refuse()
        op = self.op or other.op
        if {self.op, other.op} - {"", op}:
            raise self.refuse()
        if not op:
            return self
        if op not in NEUTRAL:
            raise self.refuse()
        a, b = (NEUTRAL[op] if x.value is None else x.value for x in (self, other))
        yes, no = (a, b) if holds else (b, a)
        return replace(self, op=op, value=_where(condition, yes, no), above_zero=False)

    def total(self, axes: list[Axis], mask: torch.Tensor | None, lanes: Lanes, before: Any, dtype: torch.dtype) -> Any:
        """What is done to the variable over all turns."""
        value = self.value if isinstance(self.value, torch.Tensor) else torch.full((), self.value, dtype=dtype)
        value = value.to(dtype) if not value.is_floating_point() else value
        if mask is not None:
            empty = NEUTRAL.get(self.op, before)
            if isinstance(empty, Carried) or empty is None:
                raise self.refuse()
            value = _where(mask, value, empty)
        value = spread(value, axes, lanes)
        for axis in axes:
            if self.op not in NEUTRAL and not lanes.nonnegative(axis.index.size - 1):
                raise Refused(f"the {self.op} over {axis.index.name}", "the loop may have no turns")
            value = _over(self.op, value)
        return value


def _over(op: str, value: torch.Tensor) -> torch.Tensor:
    """All turns at once, along the leftmost axis."""
    if op in NEUTRAL:
        return value.sum(0) if op == "+" else value.prod(0)
    return value.amax(0) if op == "max" else value.amin(0)


def combined(op: str, a: Any, b: Any) -> Any:
    """Two steps in one."""
    if op == "+":
        return a + b
    if op == "*":
        return a * b
    both = torch.maximum if op == "max" else torch.minimum
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return both(a, b)
    plain = max if op == "max" else min
    if isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor):
        t, n = (a, b) if isinstance(a, torch.Tensor) else (b, a)
        return torch.clamp(t, min=n) if op == "max" else torch.clamp(t, max=n)
    return plain(a, b)


def _where(condition: torch.Tensor, yes: Any, no: Any) -> torch.Tensor:
    like = next((v for v in (yes, no) if isinstance(v, torch.Tensor)), None)
    dtype = torch.float64 if like is None else like.dtype
    yes, no = (v if isinstance(v, torch.Tensor) else torch.full((), v, dtype=dtype) for v in (yes, no))
    return torch.where(condition, yes, no)


@dataclass(frozen=True, eq=False)
class Larger(Symbolic):
    """The condition that a number is larger (smaller) than a carried variable: an ``if`` of it may keep an extreme."""

    carried: Carried
    value: Any
    op: str  # max: value > carried

    def kept(self, yes: Any, no: Any) -> Carried:
        """``if (value > carried) carried = value``."""
        if isinstance(no, Carried) and no.owner is self.carried.owner and yes is self.value:
            return self.carried.then(self.op, self.value)
        raise self.carried.refuse()
