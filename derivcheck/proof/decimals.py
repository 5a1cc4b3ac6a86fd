"""Numbers of many digits, for functions that are not rational."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from derivcheck.derivation.scalar import meaning
from derivcheck.notation.exact import Exact

DIGITS = 60


class Digits(Exact):
    """Numbers of so many decimal digits (mpmath)."""

    def __init__(self, digits: int = DIGITS) -> None:
        import mpmath  # type: ignore[import-untyped]

        self.mp = mpmath.mp.clone()
        self.mp.dps = digits

    def exactly(self, value: Any) -> Any:
        if isinstance(value, Fraction):
            return self.mp.mpf(value.numerator) / value.denominator
        return (
            value if isinstance(value, self.mp.mpf) else self.mp.mpf(value.item() if isinstance(value, np.generic) else value)
        )

    def one_power(self, base: Any, exponent: Any) -> Any:
        if base is None or exponent is None:
            return None
        if isinstance(exponent, Fraction):
            if base == 0 and exponent < 0 or base < 0 and exponent.denominator != 1:
                return None
            if exponent.denominator == 1:
                return base ** int(exponent)
            return self.mp.power(base, self.exactly(exponent))
        return None if base <= 0 else self.mp.power(base, exponent)

    def one_value(self, name: str, values: Sequence[Any]) -> Any:
        if any(v is None for v in values):
            return None
        if name == "inf":  # masks add it; exp(−inf) is 0 again
            return self.mp.inf
        try:
            found = self.mp.mpf(1) * _function(name)(self.mp, *values)
        except (ValueError, ZeroDivisionError, TypeError):
            return None
        return None if not self.mp.isfinite(found) else found


def _function(name: str) -> Any:
    from derivcheck.notation.functions import functions

    plain = {"lgamma": "loggamma", "pi": "pi"}
    row = functions().get(name)
    if row is None or row.means is None:
        if name == "pi":
            return lambda mp: mp.pi
        if name == "polygamma":
            return lambda mp, n, x: mp.polygamma(int(n), x)
        return lambda mp, *a: getattr(mp, plain.get(name, name))(*a)
    term = meaning(name)
    return lambda mp, *a: _scalar(mp, term, a)


def _scalar(mp: Any, t: Any, args: Sequence[Any]) -> Any:
    from derivcheck.notation import terms as T

    if isinstance(t, T.Number):
        return mp.mpf(t.value.numerator) / t.value.denominator
    if isinstance(t, T.Ref):
        return args[int(t.name)]
    kids = [_scalar(mp, k, args) for k in t.children]
    if isinstance(t, T.Add):
        return sum(kids, mp.mpf(0))
    if isinstance(t, T.Mul):
        total = mp.mpf(1)
        for k in kids:
            total = total * k
        return total
    if isinstance(t, T.Pow):
        return mp.power(kids[0], kids[1])
    return _function(t.name)(mp, *kids)
