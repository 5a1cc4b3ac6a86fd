"""Numbers of many digits, for functions that are not rational.  Outside its domain a function is not defined: never complex."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from derivcheck.derivation.scalar import meaning
from derivcheck.notation.functions.table import functions
from derivcheck.notation.terms.nodes import Add, Mul, Number, Pow, Ref
from derivcheck.notation.values.exact import Exact

DIGITS = 60  # far beyond the 16 of float64, so that what cancels shows


class Digits(Exact):
    """Numbers of so many decimal digits (mpmath)."""

    def __init__(self, digits: int = DIGITS) -> None:
        # comes with SymPy, and is loaded with the first proof that needs it, not with the check
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
        """A power; None where it is not a real number."""
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
        """A scalar function; None where it is not a real number."""
        if any(v is None for v in values):
            return None
        if name == "inf":  # masks add it; exp(−inf) is 0 again
            return self.mp.inf
        try:
            found = _real(self.mp, _function(name)(self.mp, *values))
        except (ValueError, ZeroDivisionError, TypeError, OverflowError):
            return None
        return found if self.mp.isfinite(found) else None


def _real(mp: Any, value: Any) -> Any:
    """A real number; ValueError where it is complex."""
    if isinstance(value, mp.mpc):
        raise ValueError("a complex value")
    return mp.mpf(value)


def _function(name: str) -> Any:
    if name in _OWN:
        return _OWN[name]
    row = functions().get(name)
    if row is None or row.means is None:
        return lambda mp, *a: getattr(mp, name)(*a)
    term = meaning(name)
    return lambda mp, *a: _scalar(mp, term, a)


_OWN: dict[str, Any] = {
    "pi": lambda mp: mp.pi,
    "polygamma": lambda mp, n, x: mp.polygamma(int(n), x),
    "i0": lambda mp, x: mp.besseli(0, x),
    "i1": lambda mp, x: mp.besseli(1, x),
    "i0e": lambda mp, x: mp.exp(-abs(x)) * mp.besseli(0, x),
    "i1e": lambda mp, x: mp.exp(-abs(x)) * mp.besseli(1, x),
    "trunc": lambda mp, x: mp.floor(x) if x >= 0 else mp.ceil(x),
    "round": lambda mp, x: mp.nint(x),
    "lgamma": lambda mp, x: mp.re(mp.loggamma(x)),  # log|Γ(x)|, as torch has it
}


def _scalar(mp: Any, t: Any, args: Sequence[Any]) -> Any:
    """The value of a term of scalars, the references 000, 001, … being the arguments."""
    if isinstance(t, Number):
        return mp.mpf(t.value.numerator) / t.value.denominator
    if isinstance(t, Ref):
        return args[int(t.name)]
    kids = [_scalar(mp, k, args) for k in t.children]
    if isinstance(t, Add):
        return sum(kids, mp.mpf(0))
    if isinstance(t, Mul):
        total = mp.mpf(1)
        for k in kids:
            total = total * k
        return total
    if isinstance(t, Pow):
        return _real(mp, mp.power(kids[0], kids[1]))
    return _real(mp, _function(t.name)(mp, *kids))
