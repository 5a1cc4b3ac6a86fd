"""Numbers that carry the expression of sizes that they are, and note when the user's code compares them.

>>> from derivcheck.notation.integers.polynomials import size
>>> log = Log()
>>> n = Watched.of(7, size("N"), log)
>>> (2 * n + 1) // 3
5
>>> n > 4, n / 2 >= 4
(True, False)
>>> print(*log.comparisons, sep="; ")
N > 4; N < 8
>>> print((n / 2) ** -0.5 * 3, ((n / 2) ** -0.5 * 3).term)
1.6035674514745464 3/(N/2)^(1/2)

What becomes a plain number all the same (``str(n)``, a key of a dictionary) is noted too, as an :class:`Escape`.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Iterable
from typing import Any

import torch

from derivcheck.notation.integers.atoms import applied, extreme
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Poly, as_poly
from derivcheck.notation.terms.build import size_of
from derivcheck.notation.terms.nodes import Term
from derivcheck.tracing.watching.log import Log
from derivcheck.tracing.watching.made_of_sizes import MadeOfSizes, bare, escaping, sizes_in
from derivcheck.tracing.watching.real import Divided, Real, combined, float_of, quotient, raised


class Watched(Divided, torch.SymInt):
    """A whole number with the integer expression that it is.

    It says that it is an ``int`` and is none: C code that takes an ``int`` as it is (``0.5 * n``, ``table[n]``) would lose the
    expression without a word; so it has to ask, and the answer is an :class:`Escape`.  As a ``torch.SymInt`` it is let through
    to where torch's functions are seen, and its plain number goes on from there.
    """

    number: int
    poly: Poly
    log: Log

    @staticmethod
    def of(value: int, poly: Poly, log: Log) -> Watched:
        """A watched number."""
        made = object.__new__(Watched)
        made.number, made.poly, made.log = value, poly, log
        return made

    @property
    def term(self) -> Term:
        return size_of(self.poly)

    @property
    def sizes(self) -> frozenset[str]:
        return self.poly.sizes()

    @property
    def fraction(self) -> tuple[Poly, Poly]:
        return self.poly, as_poly(1)

    def _with(self, other: Any, f: Callable[[Any, Any], Any]) -> Any:
        if isinstance(other, int):
            return Watched.of(f(bare(self), bare(other)), f(self.poly, poly_of(other)), self.log)
        return combined(self, other, f, self.log)

    def __add__(self, other: Any) -> Any:
        return self._with(other, operator.add)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self._with(other, operator.sub)

    def __rsub__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: b - a)

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, (list, tuple, str, bytes)):  # a list repeated has that many entries
            self.log.noted("==", self.poly, as_poly(bare(self)), True, sys._getframe(1), loop=True)
            return other * bare(self)
        return self._with(other, operator.mul)

    __rmul__ = __mul__

    def _divided(self, other: Any, f: Callable[[Any, Any], Any], turned: bool = False) -> Any:
        """Quotient or remainder with its expression; that the divisor is not 0 is noted, a float among them lets sizes
        escape."""
        if not isinstance(other, int):
            if isinstance(other, float):
                found = quotient(other, self, self.log) if turned else quotient(self, other, self.log)
                if f is operator.floordiv and isinstance(found, Real):
                    return float_of(found.__floor__())
                self.log.escaped(sizes_in(self), "a remainder", sys._getframe(2))
            return f(bare(other), bare(self)) if turned else f(bare(self), bare(other))
        above, below = (other, self) if turned else (self, other)
        value = f(bare(above), bare(below))
        by = poly_of(below)
        if by.constant is None and not nonnegative(by - 1):
            self.log.noted("!=", by, as_poly(0), True, sys._getframe(2))
        return Watched.of(value, f(poly_of(above), by), self.log)

    def __floordiv__(self, other: Any) -> Any:
        return self._divided(other, operator.floordiv)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._divided(other, operator.floordiv, turned=True)

    def __mod__(self, other: Any) -> Any:
        return self._divided(other, operator.mod)

    def __rmod__(self, other: Any) -> Any:
        if isinstance(other, (str, bytes)):
            self.log.escaped(sizes_in(self), "str", sys._getframe(1))
            return other % bare(self)
        return self._divided(other, operator.mod, turned=True)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __neg__(self) -> Any:
        return Watched.of(-bare(self), -self.poly, self.log)

    def __abs__(self) -> Any:
        if nonnegative(self.poly):
            return self
        return Watched.of(abs(bare(self)), extreme("max", self.poly, -self.poly), self.log)

    def __pow__(self, other: Any, modulus: Any = None) -> Any:
        if modulus is not None or not isinstance(other, (int, float)):
            self.log.escaped(sizes_in(self), "pow", sys._getframe(1))
            return pow(bare(self), bare(other), bare(modulus))
        if type(other) is int and 0 <= other < 9:  # powers are multiplied out: higher ones have too many terms
            return Watched.of(bare(self) ** other, self.poly**other, self.log)
        return raised(self, other, self.log)

    def __rpow__(self, other: Any, modulus: Any = None) -> Any:
        if type(other) is int and other == 2 and 0 <= bare(self) < 64 and modulus is None:
            if not nonnegative(self.poly, 0):
                self.log.noted(">=", self.poly, as_poly(0), True, sys._getframe(1))
            return self._applied("exp2", 2 ** bare(self))
        return raised(other, self, self.log)

    def __lshift__(self, other: Any) -> Any:
        return self * 2**other

    def __rlshift__(self, other: Any) -> Any:
        return other * 2**self

    def __rshift__(self, other: Any) -> Any:
        return self // 2**other

    def __rrshift__(self, other: Any) -> Any:
        return other // 2**self

    def bit_length(self) -> Any:
        """The bits of its absolute value."""
        return self._applied("bit_length", bare(self).bit_length())

    def _applied(self, kind: str, value: int, *others: Any) -> Any:
        return Watched.of(value, applied(kind, self.poly, *map(poly_of, others)), self.log)

    def __and__(self, other: Any) -> Any:
        if type(other) is int and other >= 0 and other & (other + 1) == 0:  # n & 63 is n % 64
            return self % (other + 1)
        if type(other) is int and other < 0 and -other & (-other - 1) == 0:  # n & -64 is n - n % 64
            return self - self % -other
        return self._bits("bit_and", bare(self) & bare(other), other)

    __rand__ = __and__

    def __or__(self, other: Any) -> Any:
        return self._bits("bit_or", bare(self) | bare(other), other)

    __ror__ = __or__

    def __xor__(self, other: Any) -> Any:
        return self._bits("bit_xor", bare(self) ^ bare(other), other)

    __rxor__ = __xor__

    def _bits(self, kind: str, value: int, other: Any) -> Any:
        return self._applied(kind, value, other) if isinstance(other, int) else NotImplemented

    def _unknown(self, what: str, value: Any, other: Any) -> Any:
        for n in (self, other):
            if isinstance(n, MadeOfSizes):
                self.log.escaped(sizes_in(n), what, sys._getframe(2))
        return value

    def __invert__(self) -> Any:
        return -self - 1

    def __round__(self, digits: Any = None) -> Any:
        return self if digits is None or bare(digits) >= 0 else self._unknown("round", round(bare(self), bare(digits)), None)

    def __pos__(self) -> Any:
        return self

    __trunc__ = __floor__ = __ceil__ = conjugate = __pos__
    real = numerator = property(__pos__)
    denominator, imag = 1, 0
    __class__ = property(lambda self: int)

    def __copy__(self) -> Watched:
        return self

    def __deepcopy__(self, memo: Any) -> Watched:
        return self

    def is_integer(self) -> bool:
        """It is."""
        return True


Real.whole = Watched.of  # the floor of a float is a whole number, whose quotients are floats

for _name in ("__int__", "__index__", "__float__", "__hash__", "bit_count", "to_bytes", "as_integer_ratio"):
    escaping(Watched, int, _name)
for _name in ("__repr__", "__str__", "__format__"):
    escaping(Watched, int, _name)


def poly_of(value: Any) -> Poly:
    return value.poly if isinstance(value, Watched) else as_poly(int(value))


def greatest_divisor(*numbers: Any) -> Any:
    """``math.gcd``."""
    log = next(n.log for n in numbers if isinstance(n, Watched))
    return Watched.of(math.gcd(*map(bare, numbers)), applied("gcd", *map(poly_of, numbers)), log)


def whole_root(x: Watched) -> Any:
    """``math.isqrt``."""
    return x._applied("isqrt", math.isqrt(bare(x)))


def chosen(kind: str, values: Iterable[Any], real: Callable[..., Any]) -> Any:
    """``min`` or ``max``: of whole numbers one expression; of others a comparison decides."""
    numbers = list(values)
    if all(isinstance(n, int) for n in numbers) and any(isinstance(n, Watched) for n in numbers):
        log = next(n.log for n in numbers if isinstance(n, Watched))
        return Watched.of(real(map(bare, numbers)), extreme(kind, *map(poly_of, numbers)), log)
    return real(numbers)
