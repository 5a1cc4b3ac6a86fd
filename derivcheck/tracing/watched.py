"""Numbers that remember which sizes they are made of and note when the user's code compares them.

>>> from derivcheck.notation.sizes import size
>>> log = Log()
>>> n = Watched.of(7, size("N"), log)
>>> (2 * n + 1) // 3
5
>>> n > 4, n / 2 >= 4
(True, False)
>>> print(*log.comparisons, sep="; ")
N > 4; N < 8

What becomes a plain number (``math.sqrt(n)``, ``n ** -0.5``) is noted too, as an :class:`Escape`.
"""

from __future__ import annotations

import math
import operator
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from derivcheck.notation.sizes import Poly, as_poly
from derivcheck.tracing.fit import exact

_OPPOSITE = {">": "<=", "<": ">=", ">=": "<", "<=": ">", "==": "!=", "!=": "=="}
_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A line of the traced code."""

    file: str
    line: int

    @staticmethod
    def of(frame: FrameType) -> Place:
        """The line that a frame stands at."""
        return Place(frame.f_code.co_filename, frame.f_lineno)

    def __str__(self) -> str:
        return f"{os.path.basename(self.file)}:{self.line}"


@dataclass(frozen=True)
class Comparison:
    """A comparison that the code made: ``left relation right`` came out as ``outcome``."""

    relation: str
    left: Poly
    right: Poly
    outcome: bool
    place: Place

    @property
    def held(self) -> str:
        """The relation that held."""
        return self.relation if self.outcome else _OPPOSITE[self.relation]

    def __str__(self) -> str:
        return f"{self.left} {self.held} {self.right}"


@dataclass(frozen=True)
class Escape:
    """A number made of sizes that became a plain one, which nothing watches; ``branches``: the code may branch on it."""

    poly: Poly
    place: Place
    branches: bool


@dataclass
class Log:
    """What the code did with sizes."""

    comparisons: list[Comparison] = field(default_factory=list)
    escapes: list[Escape] = field(default_factory=list)
    branches: Callable[[FrameType], bool] = lambda frame: True

    def escaped(self, poly: Poly, frame: FrameType) -> None:
        """A number is not watched any more."""
        self.escapes.append(Escape(poly, Place.of(frame), self.branches(frame)))


class _Compared:
    """The comparisons of a watched number, as fractions of integer expressions."""

    log: Log

    def _compare(self, relation: str, other: Any) -> Any:
        mine, theirs = _fraction(self), _fraction(other)
        outcome = _TESTS[relation](bare(self), bare(other)) if isinstance(other, (int, float)) else NotImplemented
        if mine is not None and theirs is not None:
            left, right = mine[0] * theirs[1], theirs[0] * mine[1]
            common = math.gcd(*(c for p in (left, right) for _, c in p.terms)) or 1
            left, right = (Poly((m, c // common) for m, c in p.terms) for p in (left, right))
            self.log.comparisons.append(Comparison(relation, left, right, outcome, Place.of(sys._getframe(2))))
        return outcome

    def __bool__(self) -> bool:
        return bool(self._compare("!=", 0))

    def __eq__(self, other: object) -> Any:
        return self._compare("==", other)

    def __ne__(self, other: object) -> Any:
        return self._compare("!=", other)

    def __lt__(self, other: Any) -> Any:
        return self._compare("<", other)

    def __le__(self, other: Any) -> Any:
        return self._compare("<=", other)

    def __gt__(self, other: Any) -> Any:
        return self._compare(">", other)

    def __ge__(self, other: Any) -> Any:
        return self._compare(">=", other)

    def __truediv__(self, other: Any) -> Any:
        return quotient(self, other, self.log)

    def __rtruediv__(self, other: Any) -> Any:
        return quotient(other, self, self.log)

    __hash__ = object.__hash__


class Watched(_Compared, int):
    """An int with the integer expression that it is."""

    poly: Poly

    @staticmethod
    def of(value: int, poly: Poly, log: Log) -> Watched:
        """A watched number."""
        made = Watched(value)
        made.poly, made.log = poly, log
        return made

    def _with(self, other: Any, f: Callable[[Any, Any], Any]) -> Any:
        if isinstance(other, int):
            return Watched.of(f(bare(self), bare(other)), f(self.poly, _poly(other)), self.log)
        return _combined(self, other, f, self.log)

    def __add__(self, other: Any) -> Any:
        return self._with(other, operator.add)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self._with(other, operator.sub)

    def __rsub__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: b - a)

    def __mul__(self, other: Any) -> Any:
        return self._with(other, operator.mul)

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Any:
        return self._with(other, operator.floordiv)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: as_poly(b) // a if isinstance(a, Poly) else b // a)

    def __mod__(self, other: Any) -> Any:
        return self._with(other, operator.mod)

    def __rmod__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: as_poly(b) % a if isinstance(a, Poly) else b % a)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __neg__(self) -> int:
        return Watched.of(-bare(self), -self.poly, self.log)

    def __abs__(self) -> int:
        return self if self >= 0 else -self

    def __pow__(self, other: Any, modulus: Any = None) -> Any:
        if type(other) is int and 0 <= other < 9 and modulus is None:
            return Watched.of(bare(self) ** other, self.poly**other, self.log)
        self.log.escaped(self.poly, sys._getframe(1))
        return pow(bare(self), bare(other), modulus)

    def __lshift__(self, other: int) -> Any:
        return self * 2**other

    def __rshift__(self, other: int) -> Any:
        return self // 2**other

    def __invert__(self) -> Any:
        return -self - 1

    def __pos__(self, *digits: Any) -> int:
        return self

    __trunc__ = __floor__ = __ceil__ = __round__ = conjugate = __pos__
    real = numerator = property(__pos__)


class Quotient(_Compared, float):
    """A float that is a quotient of two integer expressions, the lower one positive."""

    above: Poly
    below: Poly

    @property
    def poly(self) -> Poly:
        """What it is made of."""
        return self.above

    def __add__(self, other: Any) -> Any:
        return _combined(self, other, operator.add, self.log)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return _combined(self, other, operator.sub, self.log)

    def __rsub__(self, other: Any) -> Any:
        return _combined(self, other, lambda a, b: b - a, self.log)

    def __mul__(self, other: Any) -> Any:
        return _combined(self, other, operator.mul, self.log)

    __rmul__ = __mul__

    def __floor__(self) -> Any:
        return Watched.of(math.floor(bare(self)), self.above // self.below, self.log)

    def __ceil__(self) -> Any:
        return Watched.of(math.ceil(bare(self)), -((-self.above) // self.below), self.log)

    def __trunc__(self) -> Any:
        return self.__floor__() if bare(self) >= 0 else self.__ceil__()


def _escaping(kind: type, base: type, name: str) -> None:
    """Let a method give a plain number, and say so."""
    original = getattr(base, name)

    def method(self: Any, *args: Any) -> Any:
        self.log.escaped(self.poly, sys._getframe(1))
        return original(bare(self), *(bare(a) for a in args))

    setattr(kind, name, method)


for _name in ("__and__", "__or__", "__xor__", "__rand__", "__ror__", "__rxor__", "__rpow__", "__rlshift__", "__rrshift__"):
    _escaping(Watched, int, _name)
for _name in ("__int__", "__index__", "__float__", "__hash__", "bit_length", "to_bytes"):
    _escaping(Watched, int, _name)
for _name in ("__int__", "__hash__", "__pow__", "__rpow__", "__round__", "__floordiv__", "__mod__"):
    _escaping(Quotient, float, _name)
for _name in ("__neg__", "__abs__", "is_integer"):
    _escaping(Quotient, float, _name)


def bare(value: Any) -> Any:
    """The plain number."""
    if isinstance(value, Watched):
        return int.__add__(value, 0)
    return float.__add__(value, 0.0) if isinstance(value, Quotient) else value


def _poly(value: int) -> Poly:
    return value.poly if isinstance(value, Watched) else as_poly(int(value))


def _fraction(value: Any) -> tuple[Poly, Poly] | None:
    """A number as a quotient of integer expressions; None for NaN, infinities and what is no number."""
    if isinstance(value, Quotient):
        return value.above, value.below
    if isinstance(value, int):
        return _poly(value), as_poly(1)
    if isinstance(value, float) and math.isfinite(value):
        simple = exact(value)
        return as_poly(simple.numerator), as_poly(simple.denominator)
    return None


def _made(value: float, above: Poly, below: Poly, log: Log) -> float:
    made = Quotient(value)
    made.above, made.below, made.log = above, below, log
    return made


def _combined(one: Any, other: Any, f: Callable[[Any, Any], Any], log: Log) -> Any:
    """A sum, difference or product as a quotient; the number is what Python gives."""
    if not isinstance(other, (int, float)):
        return NotImplemented
    value, (mine, theirs) = f(bare(one), bare(other)), (_fraction(one), _fraction(other))
    if mine is None or theirs is None:
        return value
    if f is operator.mul:
        return _made(value, mine[0] * theirs[0], mine[1] * theirs[1], log)
    return _made(value, f(mine[0] * theirs[1], theirs[0] * mine[1]), mine[1] * theirs[1], log)


def quotient(one: Any, other: Any, log: Log) -> Any:
    """``one / other``."""
    if not isinstance(one, (int, float)) or not isinstance(other, (int, float)):
        return NotImplemented
    value, (above, below) = bare(one) / bare(other), (_fraction(one), _fraction(other))
    if above is None or below is None:
        return value
    sign = 1 if bare(other) > 0 else -1
    return _made(value, sign * above[0] * below[1], sign * above[1] * below[0], log)
