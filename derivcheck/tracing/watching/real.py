"""Floats with the term of sizes that they are."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any, ClassVar

import torch

from derivcheck.notation.integers.atoms import applied, extreme
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Poly, as_poly
from derivcheck.notation.program.domains import above_zero
from derivcheck.notation.terms.build import add, div, func, mul, power, size_of, sub
from derivcheck.notation.terms.nodes import Term
from derivcheck.tracing.watching.log import Log
from derivcheck.tracing.watching.made_of_sizes import MadeOfSizes, bare, escaping, fraction, sizes_in, term_of
from derivcheck.tracing.watching.rational import exact


class Divided(MadeOfSizes):
    """Division by ``/``, which gives a float."""

    def __truediv__(self, other: Any) -> Any:
        return quotient(self, other, self.log)

    def __rtruediv__(self, other: Any) -> Any:
        return quotient(other, self, self.log)


class Real(Divided, torch.SymFloat):
    """A float with the term of sizes that it is; ``above`` and ``below`` where it is a quotient of integer expressions,
    ``root`` where it is the square root of one, ``bits`` where it is the logarithm of one to base 2."""

    number: float
    _term: Term
    above: Poly | None
    below: Poly | None
    bits: Poly | None

    whole: ClassVar[Callable[[int, Poly, Log], Any]]  # makes a whole number with its expression

    def __init__(self, number: float, term: Term, log: Log) -> None:
        self.number, self._term, self.log = number, term, log
        self.above = self.below = self.root = self.bits = None

    @property
    def term(self) -> Term:
        return self._term

    @property
    def fraction(self) -> tuple[Poly, Poly] | None:
        return None if self.above is None or self.below is None else (self.above, self.below)

    def __add__(self, other: Any) -> Any:
        return combined(self, other, operator.add, self.log)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return combined(self, other, operator.sub, self.log)

    def __rsub__(self, other: Any) -> Any:
        return combined(self, other, lambda a, b: b - a, self.log)

    def __mul__(self, other: Any) -> Any:
        return combined(self, other, operator.mul, self.log)

    __rmul__ = __mul__

    def __neg__(self) -> Any:
        return self * -1

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return self if self >= 0 else -self

    def __pow__(self, other: Any, modulus: Any = None) -> Any:
        return raised(self, other, self.log)

    def __rpow__(self, other: Any) -> Any:
        return raised(other, self, self.log)

    def _rounded(self, what: str, up: bool) -> Any:
        """Floor or ceiling with its integer expression, where the float is a quotient, a root or a logarithm of one."""
        value = math.ceil(bare(self)) if up else math.floor(bare(self))
        of = self.root if self.root is not None else self.bits
        if of is not None and value >= 0:  # of whole numbers below 2^52, so that the float is on the right side
            kind, one = ("isqrt", 1) if self.root is not None else ("bit_length", 0)
            if not nonnegative(of - 1):
                self.log.noted(">=", of, as_poly(1), True, sys._getframe(2))
            poly = applied(kind, of - 1) + one if up else applied(kind, of) + one - 1
            return Real.whole(value, poly, self.log)
        if self.above is None or self.below is None:
            self.log.escaped(sizes_in(self), what, sys._getframe(2))
            return value
        poly = -((-self.above) // self.below) if up else self.above // self.below
        return Real.whole(value, poly, self.log)

    def __floor__(self) -> Any:
        return self._rounded("floor", up=False)

    def __ceil__(self) -> Any:
        return self._rounded("ceil", up=True)

    def __trunc__(self) -> Any:
        if self.above is not None and nonnegative(self.above):
            return self._rounded("int", up=False)
        return self._rounded("int", up=not self >= 0)

    def __round__(self, digits: Any = None) -> Any:
        if digits is not None or self.above is None or self.below is None:
            self.log.escaped(sizes_in(self), "round", sys._getframe(1))
            return round(bare(self), bare(digits))
        twice, under = 2 * self.above + self.below, 2 * self.below
        near = twice // under  # halves go up; to the even neighbour where that is odd
        poly = near - (near % 2) * (1 - extreme("min", twice % under, 1))
        return Real.whole(round(bare(self)), poly, self.log)

    def __floordiv__(self, other: Any) -> Any:
        found = quotient(self, other, self.log)
        return float_of(found.__floor__()) if isinstance(found, Real) else found

    def __rfloordiv__(self, other: Any) -> Any:
        found = quotient(other, self, self.log)
        return float_of(found.__floor__()) if isinstance(found, Real) else found

    def __mod__(self, other: Any) -> Any:
        return self - (self // other) * other

    def is_integer(self) -> bool:
        """Whether it is a whole number: whether the quotient leaves nothing over."""
        if self.above is None or self.below is None:
            self.log.escaped(sizes_in(self), "is_integer", sys._getframe(1))
            return bare(self).is_integer()  # type: ignore[no-any-return]
        outcome = bare(self).is_integer()
        self.log.noted("==", self.above % self.below, as_poly(0), outcome, sys._getframe(1))
        return outcome  # type: ignore[no-any-return]

    real = property(__pos__)
    imag = 0.0
    __class__ = property(lambda self: float)

    def __copy__(self) -> Real:
        return self

    def __deepcopy__(self, memo: Any) -> Real:
        return self


for _name in ("__int__", "__float__", "__hash__", "__rmod__", "hex", "as_integer_ratio", "__repr__", "__str__", "__format__"):
    escaping(Real, float, _name)


def made(value: float, term: Term, log: Log, fraction: tuple[Poly, Poly] | None = None) -> Any:
    """A watched float; ``fraction`` is a quotient of integer expressions, the lower one positive."""
    if not math.isfinite(value):
        return value
    found = Real(value, term, log)
    if fraction is not None:
        found.above, found.below = fraction
    return found


def float_of(value: Any) -> Any:
    """``float(value)``."""
    if isinstance(value, Real) or not isinstance(value, MadeOfSizes):
        return value if isinstance(value, Real) else float(value)
    return made(float(bare(value)), value.term, value.log, value.fraction)


def combined(one: Any, other: Any, f: Callable[[Any, Any], Any], log: Log) -> Any:
    """A sum, difference or product; the number is what Python gives."""
    if not isinstance(other, (int, float)):
        return NotImplemented
    value, (mine, theirs) = f(bare(one), bare(other)), (fraction(one), fraction(other))
    if mine is not None and theirs is not None:
        if f is operator.mul:
            above, below = mine[0] * theirs[0], mine[1] * theirs[1]
        else:
            above, below = f(mine[0] * theirs[1], theirs[0] * mine[1]), mine[1] * theirs[1]
        return made(value, div(size_of(above), size_of(below)), log, (above, below))
    left, right = term_of(one), term_of(other)
    if left is None or right is None:
        return value
    term = mul(left, right) if f is operator.mul else add(left, right) if f is operator.add else None
    if term is None:
        term = sub(left, right) if f is operator.sub else sub(right, left)
    return made(value, term, log)


def quotient(one: Any, other: Any, log: Log) -> Any:
    """``one / other``."""
    if not isinstance(one, (int, float)) or not isinstance(other, (int, float)):
        return NotImplemented
    value, (above, below) = bare(one) / bare(other), (fraction(one), fraction(other))
    if above is None or below is None:
        left, right = term_of(one), term_of(other)
        return value if left is None or right is None else made(value, div(left, right), log)
    under = below[0]
    if under.constant is None and not nonnegative(under, 0):  # which way round a comparison with it stands; by 0 Python raises
        log.noted(">", under, as_poly(0), bare(other) > 0, sys._getframe(2))
    sign = 1 if bare(other) > 0 else -1
    top, bottom = sign * above[0] * below[1], sign * above[1] * below[0]
    return made(value, div(size_of(top), size_of(bottom)), log, (top, bottom))


def raised(base: Any, exponent: Any, log: Log) -> Any:
    """``base ** exponent``."""
    if not isinstance(base, (int, float)) or not isinstance(exponent, (int, float)):
        return NotImplemented
    value, (left, right) = bare(base) ** bare(exponent), (term_of(base), term_of(exponent))
    known = left is not None and right is not None and isinstance(value, (int, float))
    if not known or bare(base) <= 0 and not float(bare(exponent)).is_integer() or isinstance(value, int):
        for n in (base, exponent):
            if isinstance(n, MadeOfSizes):
                log.escaped(sizes_in(n), "a power", sys._getframe(2))
        return value
    assert left is not None and right is not None
    fixed = None if isinstance(exponent, MadeOfSizes) else exact(float(exponent))
    if fixed is None or fixed.denominator > 1:
        _not_negative(base, log)
    found = made(value, power(left, right if fixed is None else fixed), log)
    if fixed == Fraction(1, 2) and isinstance(found, Real):
        found.root = _whole(base)
    return found


def _not_negative(base: Any, log: Log) -> None:
    """Note that a base is not below 0, where Python's power to a fraction is a complex number."""
    if not isinstance(base, MadeOfSizes) or above_zero(base.term, {}, strict=False):
        return
    above, _ = fraction(base) or (None, None)
    if above is None:
        log.escaped(sizes_in(base), "a power", sys._getframe(3))
    elif not nonnegative(above, 0):
        log.noted(">=", above, as_poly(0), True, sys._getframe(3))


def logarithm2(x: Any) -> Any:
    """``math.log2``."""
    found = scalar("log2", math.log2(bare(x)), x)
    if isinstance(found, Real):
        found.bits = _whole(x)
    return found


def _whole(x: Any) -> Poly | None:
    """The integer expression that a number is, if it is one."""
    found = fraction(x)
    return found[0] if found is not None and found[1].constant == 1 and bare(x) < 2**50 else None


def scalar(name: str, value: float, argument: Any) -> Any:
    """A function of SymPy's name of a watched number, with its value."""
    return made(value, func(name, argument.term), argument.log)
