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
from fractions import Fraction
from typing import Any

import torch

from derivcheck.notation.integers.atoms import applied, extreme
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Poly, as_poly
from derivcheck.notation.program.domains import above_zero
from derivcheck.notation.terms.build import add, div, func, mul, number, power, size_of, sub
from derivcheck.notation.terms.nodes import Term
from derivcheck.tracing.watching.log import Log
from derivcheck.tracing.watching.rational import exact

_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne
}  # fmt: skip


class _Compared:
    """The comparisons of a watched number, as fractions of integer expressions."""

    log: Log

    def _compare(self, relation: str, other: Any) -> Any:
        if not isinstance(other, (int, float)):
            return NotImplemented
        outcome = _TESTS[relation](bare(self), bare(other))
        mine, theirs = _fraction(self), _fraction(other)
        if mine is not None and theirs is not None:
            self.log.noted(relation, mine[0] * theirs[1], theirs[0] * mine[1], outcome, sys._getframe(2))
        elif isinstance(self, Real) and self.root is not None and theirs is not None and bare(other) >= 0:
            left, right = self.root * theirs[1] ** 2, theirs[0] ** 2
            if theirs[0].constant is None and not nonnegative(theirs[0], 0):
                self.log.noted(">=", theirs[0], as_poly(0), True, sys._getframe(2))
            self.log.noted(relation, left, right, outcome, sys._getframe(2))
        elif not isinstance(other, float) or math.isfinite(other):
            self.log.escaped(sizes_in(self), "a comparison", sys._getframe(2))
            if isinstance(other, (Watched, Real)):
                self.log.escaped(sizes_in(other), "a comparison", sys._getframe(2))
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


class Watched(_Compared, torch.SymInt):
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
        """The number as a term."""
        return size_of(self.poly)

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
        if isinstance(other, (list, tuple, str, bytes)):  # a list repeated has that many entries
            self.log.noted("==", self.poly, as_poly(bare(self)), True, sys._getframe(1), loop=True)
            return other * bare(self)
        return self._with(other, operator.mul)

    __rmul__ = __mul__

    def _divided(self, other: Any, f: Callable[[Any, Any], Any], turned: bool = False) -> Any:
        if not isinstance(other, int):
            if isinstance(other, float):
                found = quotient(other, self, self.log) if turned else quotient(self, other, self.log)
                if f is operator.floordiv and isinstance(found, Real):
                    return float_of(found.__floor__())
                self.log.escaped(sizes_in(self), "a remainder", sys._getframe(2))
            return f(bare(other), bare(self)) if turned else f(bare(self), bare(other))
        above, below = (other, self) if turned else (self, other)
        value = f(bare(above), bare(below))
        by = _poly(below)
        if by.constant is None and not nonnegative(by - 1):
            self.log.noted("!=", by, as_poly(0), True, sys._getframe(2))
        return Watched.of(value, f(_poly(above), by), self.log)

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
        if type(other) is int and 0 <= other < 9:
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
        return Watched.of(value, applied(kind, self.poly, *map(_poly, others)), self.log)

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
            if isinstance(n, (Watched, Real)):
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


class Real(_Compared, torch.SymFloat):
    """A float with the term of sizes that it is; ``above`` and ``below`` where it is a quotient of integer expressions,
    ``root`` where it is the square root of one, ``bits`` where it is the logarithm of one to base 2."""

    number: float
    term: Term
    log: Log
    above: Poly | None
    below: Poly | None
    root: Poly | None
    bits: Poly | None

    def __init__(self, number: float, term: Term, log: Log) -> None:
        self.number, self.term, self.log = number, term, log
        self.above = self.below = self.root = self.bits = None

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
        value = math.ceil(bare(self)) if up else math.floor(bare(self))
        of = self.root if self.root is not None else self.bits
        if of is not None and value >= 0:  # of whole numbers below 2^52, so that the float is on the right side
            kind, one = ("isqrt", 1) if self.root is not None else ("bit_length", 0)
            if not nonnegative(of - 1):
                self.log.noted(">=", of, as_poly(1), True, sys._getframe(2))
            poly = applied(kind, of - 1) + one if up else applied(kind, of) + one - 1
            return Watched.of(value, poly, self.log)
        if self.above is None or self.below is None:
            self.log.escaped(sizes_in(self), what, sys._getframe(2))
            return value
        poly = -((-self.above) // self.below) if up else self.above // self.below
        return Watched.of(value, poly, self.log)

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
        return Watched.of(round(bare(self)), poly, self.log)

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


def _escaping(kind: type, base: type, name: str) -> None:
    """Let a method give a plain number, and say so."""
    original, what = getattr(base, name), {"__repr__": "str", "__str__": "str"}.get(name, name.strip("_"))

    def method(self: Any, *args: Any) -> Any:
        self.log.escaped(sizes_in(self), what, sys._getframe(1))
        return original(bare(self), *(bare(a) for a in args))

    setattr(kind, name, method)


for _name in ("__int__", "__index__", "__float__", "__hash__", "bit_count", "to_bytes", "as_integer_ratio"):
    _escaping(Watched, int, _name)
for _name in ("__int__", "__float__", "__hash__", "__rmod__", "hex", "as_integer_ratio"):
    _escaping(Real, float, _name)
for _kind, _base in ((Watched, int), (Real, float)):
    for _name in ("__repr__", "__str__", "__format__"):
        _escaping(_kind, _base, _name)


def bare(value: Any) -> Any:
    """The plain number."""
    return value.number if isinstance(value, (Watched, Real)) else value


def sizes_in(value: Any) -> frozenset[str]:
    """The names of the sizes that a watched number is made of."""
    if isinstance(value, Watched):
        return value.poly.sizes()
    return sizes_of_term(value.term) if isinstance(value, Real) else frozenset()


def sizes_of_term(term: Term) -> frozenset[str]:
    """The names of the sizes in a term."""
    value = getattr(term, "value", None)
    own = value.sizes() if isinstance(value, Poly) else frozenset()
    return own.union(*(sizes_of_term(t) for t in term.children))


def _poly(value: Any) -> Poly:
    return value.poly if isinstance(value, Watched) else as_poly(int(value))


def _fraction(value: Any) -> tuple[Poly, Poly] | None:
    """A number as a quotient of integer expressions; None for roots, NaN, infinities and what is no number."""
    if isinstance(value, Real):
        return None if value.above is None or value.below is None else (value.above, value.below)
    if isinstance(value, int):
        return _poly(value), as_poly(1)
    if isinstance(value, float) and math.isfinite(value):
        simple = exact(value)
        return as_poly(simple.numerator), as_poly(simple.denominator)
    return None


def term_of(value: Any) -> Term | None:
    """A number as a term; None where it is not finite."""
    if isinstance(value, (Watched, Real)):
        return value.term
    return number(exact(float(value)) if isinstance(value, float) else Fraction(int(value))) if math.isfinite(value) else None


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
    if isinstance(value, Watched):
        return made(float(bare(value)), value.term, value.log, (value.poly, as_poly(1)))
    return value if isinstance(value, Real) else float(value)


def _combined(one: Any, other: Any, f: Callable[[Any, Any], Any], log: Log) -> Any:
    """A sum, difference or product; the number is what Python gives."""
    if not isinstance(other, (int, float)):
        return NotImplemented
    value, (mine, theirs) = f(bare(one), bare(other)), (_fraction(one), _fraction(other))
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
    value, (above, below) = bare(one) / bare(other), (_fraction(one), _fraction(other))
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
            if isinstance(n, (Watched, Real)):
                log.escaped(sizes_in(n), "a power", sys._getframe(2))
        return value
    assert left is not None and right is not None
    fixed = None if isinstance(exponent, (Watched, Real)) else exact(float(exponent))
    if fixed is None or fixed.denominator > 1:
        _not_negative(base, log)
    found = made(value, power(left, right if fixed is None else fixed), log)
    if fixed == Fraction(1, 2) and isinstance(found, Real):
        found.root = _whole(base)
    return found


def _not_negative(base: Any, log: Log) -> None:
    """Note that a base is not below 0, where Python's power to a fraction is a complex number."""
    if not isinstance(base, (Watched, Real)) or above_zero(base.term, {}, strict=False):
        return
    above, _ = _fraction(base) or (None, None)
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


def greatest_divisor(*numbers: Any) -> Any:
    """``math.gcd``."""
    log = next(n.log for n in numbers if isinstance(n, Watched))
    return Watched.of(math.gcd(*map(bare, numbers)), applied("gcd", *map(_poly, numbers)), log)


def whole_root(x: Watched) -> Any:
    """``math.isqrt``."""
    return x._applied("isqrt", math.isqrt(bare(x)))


def _whole(x: Any) -> Poly | None:
    """The integer expression that a number is, if it is one."""
    fraction = _fraction(x)
    return fraction[0] if fraction is not None and fraction[1].constant == 1 and bare(x) < 2**50 else None


def scalar(name: str, value: float, argument: Any) -> Any:
    """A function of SymPy's name of a watched number, with its value."""
    return made(value, func(name, argument.term), argument.log)


def chosen(kind: str, values: Iterable[Any], real: Callable[..., Any]) -> Any:
    """``min`` or ``max``: of whole numbers one expression; of others a comparison decides."""
    numbers = list(values)
    if all(isinstance(n, int) for n in numbers) and any(isinstance(n, Watched) for n in numbers):
        log = next(n.log for n in numbers if isinstance(n, Watched))
        return Watched.of(real(map(bare, numbers)), extreme(kind, *map(_poly, numbers)), log)
    return real(numbers)
