"""Whole numbers that the source does not tell: polynomials over sizes, the indices of threads and loops, and data."""

from __future__ import annotations

from typing import Any, Protocol, cast

import torch

from derivcheck.kernels.lanes.refused import Refused
from derivcheck.notation.integers.polynomials import Atom, Poly, PolyLike, as_poly, interned


class Symbolic:
    """A number that is kept as an expression."""

    __slots__ = ()


class Datum(Atom):
    """A whole number that was read from memory, or chosen by a condition."""

    __slots__ = fields = ("name", "serial")
    name: str
    serial: int

    def __new__(cls, name: str, serial: int) -> Datum:
        return cast(Datum, interned(cls, name, serial))

    def _text(self) -> str:
        return f"{self.name}#{self.serial}"


class LaneContext(Protocol):
    """What whole numbers need to know: the lanes."""

    def nonnegative(self, p: Poly) -> bool: ...

    def divided(self, p: Poly, by: Poly) -> tuple[Poly, Poly]: ...

    def fused(self, p: Poly) -> Poly: ...

    def tensor(self, p: Poly) -> torch.Tensor: ...

    def compared(self, op: str, d: Poly) -> Any: ...


class WholeNumber(Symbolic):
    """A whole number as a polynomial."""

    __slots__ = ("poly", "lanes")

    def __init__(self, poly: Poly, lanes: LaneContext) -> None:
        self.poly, self.lanes = poly, lanes

    def tensor(self) -> torch.Tensor:
        """It as a tensor over the lanes."""
        return self.lanes.tensor(self.poly)

    def __neg__(self) -> int | WholeNumber:
        return whole(-self.poly, self.lanes)

    def __str__(self) -> str:
        return str(self.poly)


def whole(poly: PolyLike, lanes: LaneContext) -> int | WholeNumber:
    """A polynomial as a number: a Python one where it has no atoms."""
    found = as_poly(poly)
    constant = found.constant
    return WholeNumber(found, lanes) if constant is None else constant


def poly_of(x: Any) -> Poly:
    """A Python number or a whole one as a polynomial."""
    if isinstance(x, Poly):
        return x
    if isinstance(x, WholeNumber):
        return x.poly
    if isinstance(x, (bool, int)):
        return as_poly(int(x))
    raise Refused("a whole number", "it depends on data in a way that is not read")


def operation(op: str, x: Any, y: Any, unsigned: bool) -> int | WholeNumber:
    """``x op y`` of whole numbers, one of them not known."""
    lanes = next(v.lanes for v in (x, y) if isinstance(v, WholeNumber))
    a, b = poly_of(x), poly_of(y)
    if op in "+-*":
        found = lanes.fused(a + b if op == "+" else a - b if op == "-" else a * b)
        if unsigned and op == "-" and not lanes.nonnegative(found):
            raise Refused("an unsigned number", f"it may wrap around: {found} may be below 0")
        return whole(found, lanes)
    if op in "/%":
        if b.constant == 0:
            raise Refused(f"{op} by 0", "the divisor is the number 0")
        q, r = lanes.divided(a, b)
        return whole(q if op == "/" else r, lanes)
    if op in ("<<", ">>") and b.constant is not None:
        return operation("*" if op == "<<" else "/", x, 2**b.constant, unsigned)
    raise Refused(f"operator {op}", "bits of a number that is not given are not read")


def comparison(op: str, x: Any, y: Any) -> Any:
    """``x op y`` as a condition; where the ranges decide it, it is known."""
    lanes = next(v.lanes for v in (x, y) if isinstance(v, WholeNumber))
    return lanes.compared(op, poly_of(x) - poly_of(y))
