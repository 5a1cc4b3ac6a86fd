"""Sums in which digits cancel: ``exp(x) − 1``, ``1 − σ(x)``, ``1 − erf(x)``."""

from __future__ import annotations

from fractions import Fraction

from derivcheck.codegen.careful.sight import Sight, odd
from derivcheck.notation.terms.build import ZERO, add, func, mul, neg, number
from derivcheck.notation.terms.nodes import Add, Func, Number, Term


def difference(sight: Sight, t: Add) -> Term | None:
    """The sum from functions that take care, or None where it is well as it stands."""
    if not sight.bears(t):
        return None
    constant = sum((a.value for a in t.args if isinstance(a, Number)), Fraction(0))
    rest = [a for a in t.args if not isinstance(a, Number)]
    if not constant:
        return _sinh(sight, t)
    for a in rest:
        found = _with(sight, constant, a)
        if found is not None:
            return add(found, *(x for x in rest if x is not a))
    return None


def _with(sight: Sight, n: Fraction, a: Term) -> Term | None:
    """``n + a`` in one function."""
    c, parts = sight.factors(a)
    if all(isinstance(f.base, Func) and f.base.name == "exp" for f in parts):
        one = sight.exponential(a)
        if one is not None and one[0] == -n and one[1] is not ZERO:
            return mul(Number(c), func("expm1", one[1]))
        return None
    if len(parts) != 1 or parts[0].exponent != 1 or not isinstance(parts[0].base, Func):
        return None
    (f,) = parts
    assert isinstance(f.base, Func)
    u = sight.scaled(f.base.args[0]) if f.base.args else ZERO
    if f.base.name == "sigmoid":
        if n == -c / 2:
            return mul(number(c / 2), odd("tanh", mul(Number(Fraction(1, 2)), u)))
    if f.base.name == "erf" and abs(n) == abs(c):
        return mul(number(n), func("erfc", neg(u) if n == c else u))
    return None


def _sinh(sight: Sight, t: Add) -> Term | None:
    """``exp(u) − exp(−u)``, as it is written, not beside others."""
    pair = sight.exponentials(t) if len(t.args) == 2 else None
    if pair is None or len(pair) != 2 or pair[0][0] != -pair[1][0] or not sight.same(pair[0][1], neg(pair[1][1])):
        return None
    c, u = pair[0]
    return mul(Number(2 * c), odd("sinh", u))
