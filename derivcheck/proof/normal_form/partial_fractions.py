"""Partial fractions: ``μ/(a + c·μ) = 1/c − (a/c)/(a + c·μ)``.

Products with a denominator of two terms are then spelled alike.  The logistic function is ``E/(1 + E)``; with this rule
its products and derivatives have one form, also inside sums.
"""

from __future__ import annotations

from fractions import Fraction

from derivcheck.proof.expressions.atoms import UNIT, Base, Expression, Iverson, Monomial, Rational
from derivcheck.proof.expressions.context import Context
from derivcheck.proof.expressions.polynomials import add_into, plain, whole, without


def parted(context: Context, m: Monomial) -> Expression | None:
    """The monomial in partial fractions, or None where it is already."""
    for a, e in m:
        two = _two_terms(a) if isinstance(a, Base) and e <= -1 else None
        if two is None:
            continue
        mu, a0, c = two
        own = dict(m)
        up = all(own.get(b, 0) >= f for b, f in mu)
        down = not up and all(own.get(b, 0) <= -f for b, f in mu)
        if not up and not down:
            continue
        context.used("u/(a + b·u) = 1/b - (a/b)/(a + b·u)")
        by = Fraction(c if up else a0)
        lifted = without(m, {a: -1})
        whole_part = without(lifted, dict(mu)) if up else lifted
        rest = without(m, {b: f if up else -f for b, f in mu})
        total: Expression = {}
        for part, k in ((whole_part, 1 / by), (rest, -(a0 if up else c) / by)):
            add_into(total, parted(context, part) or {part: 1}, plain(k))
        return total
    return None


def _two_terms(a: Base) -> tuple[Monomial, Rational, Rational] | None:
    """``(μ, a, c)`` where the base is ``a + c·μ`` with whole positive exponents in μ."""
    base = dict(a.terms)
    if len(base) != 2 or UNIT not in base:
        return None
    ((mu, c),) = ((m, c) for m, c in base.items() if m)
    if any(not whole(e) or e <= 0 or isinstance(b, (Base, Iverson)) for b, e in mu):
        return None
    return mu, base[UNIT], c
