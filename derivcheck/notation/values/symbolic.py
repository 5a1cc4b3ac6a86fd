"""Terms on SymPy expressions, exact or to so many digits."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sympy

from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.functions.table import expression
from derivcheck.notation.values.exact import Exact

_FAR = 2**4096  # beyond every float64 by far


class Symbolic(Exact):
    """SymPy expressions.

    Args:
        point: values of the symbols, which decide comparisons and extremes.
        digits: evaluate what is not rational to so many digits at once; None keeps the expressions.
        seconds: of the processor, after which to give up (UnsupportedOperation): expressions may swell without bound.
    """

    holes = False

    def __init__(self, point: Mapping[Any, Any] | None = None, digits: int | None = None, seconds: float = math.inf) -> None:
        self.sympy, self.point, self.digits = sympy, dict(point or {}), digits
        self.end = time.process_time() + seconds

    def _map(self, f: Callable[..., Any], *arrays: Any) -> Any:
        if time.process_time() > self.end:
            raise UnsupportedOperation("SymPy", "the expressions grow too large for the time given")
        return super()._map(f, *arrays)

    def exactly(self, value: Any) -> Any:
        if isinstance(value, self.sympy.Basic):
            return value
        fraction = super().exactly(value)
        return self.sympy.Rational(fraction.numerator, fraction.denominator)

    def _settled(self, value: Any) -> Any:
        if self.digits is None or value.is_Rational:
            return value
        return value.evalf(self.digits)

    def one_power(self, base: Any, exponent: Any) -> Any:
        if base is None or exponent is None:
            return None
        e = self.exactly(exponent)
        if base == 0 and self.sign(e) < 0:
            return None
        return self._settled(self.sympy.Pow(base, e))

    def one_value(self, name: str, values: Sequence[Any]) -> Any:
        if any(v is None or v.is_Float and abs(v) > _FAR for v in values):  # exp of it has millions of digits
            return None
        return self._settled(expression(name, values))

    def total(self, values: list[Any], zero: Any) -> Any:
        return self.sympy.Add(*values) if values else zero

    def sign(self, value: Any) -> Any:
        if value.free_symbols:
            value = value.subs(self.point)
        return value if value.is_Rational else value.evalf(self.digits or 50)
