"""Dual numbers: a value with its slope in each element of the inputs, exactly or to many digits.

Values are rational numbers as long as they can be, else numbers of so many digits (mpmath).  The slope of a scalar function is
SymPy's derivative of its expression; sums and products carry slopes by the product rule.  A Program evaluated on these gives
its derivative in every element at once, and no expression grows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.functions.table import expression, functions
from derivcheck.notation.values.exact import Exact
from derivcheck.notation.values.numbers import Whole
from derivcheck.proof.numbers.decimals import Digits

LONG = 4096  # bits of a rational number beyond which it is one of so many digits
FAR = 2**4096  # beyond every float64 by far: exp of it has millions of digits
STEPS = {"floor", "ceil", "trunc", "round", "sign"}


class Dual:
    """A number with its slopes; an element in which it has none is left out.

    >>> x, y = Dual(Fraction(3), {"x": 1}), Dual(Fraction(1, 2), {"y": 1})
    >>> p = x * y + x
    >>> p.value, p.slopes
    (Fraction(9, 2), {'x': Fraction(3, 2), 'y': Fraction(3, 1)})
    """

    __slots__ = ("slopes", "value")

    def __init__(self, value: Any, slopes: Mapping[Any, Any] | None = None) -> None:
        self.value = value
        self.slopes: Mapping[Any, Any] = slopes or {}

    def __add__(self, other: Dual) -> Dual:
        return Dual(self.value + other.value, _combined((1, self.slopes), (1, other.slopes)))

    def __mul__(self, other: Dual) -> Dual:
        return Dual(self.value * other.value, _combined((other.value, self.slopes), (self.value, other.slopes)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dual) and self.value == other.value and self.slopes == other.slopes

    __hash__ = None  # type: ignore[assignment]

    def __int__(self) -> int:
        return int(self.value)


def _combined(*parts: tuple[Any, Mapping[Any, Any]]) -> Mapping[Any, Any]:
    """``Σ factor · slopes``."""
    moving = [(c, s) for c, s in parts if s]
    if len(moving) == 1:
        c, slopes = moving[0]
        return slopes if c == 1 else {k: c * v for k, v in slopes.items()}
    total: dict[Any, Any] = {}
    for c, slopes in moving:
        for k, v in slopes.items():
            total[k] = total[k] + c * v if k in total else c * v
    return total


class Duals(Exact):
    """Arrays of dual numbers.

    Args:
        digits: of what is not rational.
        seconds: of the processor, after which to give up (UnsupportedOperation).
    """

    holes = False

    def __init__(self, digits: int, seconds: float) -> None:
        self.plain, self.least = Digits(digits), 10.0 ** (20 - digits)  # less than that of numbers near 1 is rounding
        self.end = time.process_time() + seconds

    def _map(self, f: Callable[..., Any], *arrays: Any) -> Any:
        if time.process_time() > self.end:
            raise UnsupportedOperation("exact arithmetic", "it takes longer than the time given")
        return super()._map(f, *arrays)

    def exactly(self, value: Any) -> Any:
        return value if isinstance(value, Dual) else Dual(super().exactly(value))

    def held(self, a: Any) -> Any:
        return self._map(lambda v: None if v is None else Dual(v.value), a)

    def sign(self, value: Any) -> Any:
        return 0 if abs(value.value) < self.least and not isinstance(value.value, Fraction) else self._number(value.value)

    def whole(self, a: Any) -> Whole:
        return Whole(np.array([0 if v is None else int(v) for v in a.ravel()], dtype=np.int64).reshape(a.shape))

    def total(self, values: list[Any], zero: Any) -> Any:
        return Dual(sum((v.value for v in values), zero.value), _combined(*((1, v.slopes) for v in values)))

    def one_power(self, base: Any, exponent: Any) -> Any:
        """A power with its slopes; whole powers of fractions stay exact, 0 to a negative power has no value."""
        if base is None or exponent is None:
            return None
        fixed = isinstance(exponent, Fraction)
        x, p = base.value, exponent if fixed else exponent.value
        if isinstance(x, Fraction) and isinstance(p, Fraction) and p.denominator == 1:
            if x == 0 and p < 0:
                return None
            value = self._short(x ** int(p))
        else:
            value = self.plain.one_power(self._number(x), p if isinstance(p, Fraction) else self._number(p))
        args = (base,) if fixed else (base, exponent)
        return None if value is None else self._through(value, args, lambda k: _slope_of_power(exponent if fixed else None, k))

    def one_value(self, name: str, values: Sequence[Any]) -> Any:
        if any(v is None or FAR < abs(v.value) < self.plain.mp.inf for v in values):
            return None
        value = self.plain.one_value(name, [self._number(v.value) for v in values])
        if value is None or name in STEPS:
            return None if value is None else Dual(value)
        return self._through(value, values, lambda k: _slope(name, len(values), k))

    def _through(self, value: Any, args: Sequence[Dual], slope: Callable[[int], Callable[..., Any]]) -> Dual | None:
        """A function's value with the slopes of its arguments carried through it; None where it has none."""
        parts = []
        for k, a in enumerate(args):
            if a.slopes:
                try:
                    factor = self.plain.exactly(slope(k)(*(self._number(b.value) for b in args)))
                except (ValueError, ZeroDivisionError, TypeError, OverflowError):
                    return None
                parts.append((factor, a.slopes))
        return Dual(value, _combined(*parts))

    def _number(self, value: Any) -> Any:
        return self.plain.exactly(value)

    def _short(self, value: Fraction) -> Any:
        return self._number(value) if value.denominator.bit_length() > LONG or value.numerator.bit_length() > LONG else value


@lru_cache(maxsize=1024)
def _slope(name: str, arity: int, k: int) -> Callable[..., Any]:
    """The derivative of a scalar function in an argument, on numbers of many digits: SymPy's, of its expression."""
    import sympy  # slow to load, and a failing check needs none

    if name not in functions():
        raise UnsupportedOperation(name, "there is no such scalar function")
    xs = sympy.symbols(f"x:{arity}", real=True)
    return _on_numbers(xs, expression(name, xs).diff(xs[k]))


@lru_cache(maxsize=1024)
def _slope_of_power(exponent: Fraction | None, k: int) -> Callable[..., Any]:
    """The same of ``x^exponent``, or of ``x^y``."""
    import sympy  # slow to load, and a failing check needs none

    x, y = sympy.symbols("x y", real=True)
    if exponent is None:
        return _on_numbers((x, y), (x**y).diff((x, y)[k]))
    return _on_numbers((x,), (x ** sympy.Rational(exponent.numerator, exponent.denominator)).diff(x))


def _on_numbers(symbols: Sequence[Any], term: Any) -> Callable[..., Any]:
    import sympy  # slow to load, and a failing check needs none

    found: Callable[..., Any] = sympy.lambdify(symbols, term, "mpmath")
    return found
