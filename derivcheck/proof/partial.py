"""Partial fractions: ``μ/(a + c·μ) = 1/c − (a/c)/(a + c·μ)``.

Products with a denominator of two terms are then spelled alike.

The logistic function is ``E/(1 + E)``; with this rule its products and derivatives have one form, also inside sums.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from derivcheck.proof import polynomials
from derivcheck.proof.atoms import UNIT, Atom, Expression, Monomial, Rational, whole

if TYPE_CHECKING:
    from derivcheck.proof.space import Space


def parted(space: Space, m: Monomial) -> Expression | None:
    """The monomial in partial fractions, or None where it is already."""
    for a, e in m:
        if a.kind != "base" or e > -1:
            continue
        two = _two_terms(a)
        if two is None:
            continue
        mu, a0, c = two
        own = dict(m)
        up = all(own.get(b, 0) >= f for b, f in mu)
        down = not up and all(own.get(b, 0) <= -f for b, f in mu)
        if not up and not down:
            continue
        space.used("u/(a + b·u) = 1/b - (a/b)/(a + b·u)")
        lifted = _times(m, ((a, 1),))
        other = _times(m, ((b, -f if up else f) for b, f in mu))
        by = Fraction(c) if up else Fraction(a0)
        total: Expression = {}
        moved = _times(lifted, ((b, -f) for b, f in mu)) if up else lifted
        for part, k in ((moved, 1 / by), (other, -Fraction(a0 if up else c) / by)):
            polynomials.add_into(total, _again(space, part), int(k) if k.denominator == 1 else k)
        return total
    return None


def _again(space: Space, m: Monomial) -> Expression:
    found = parted(space, m)
    return {m: 1} if found is None else found


def _times(m: Monomial, factors: object) -> Monomial:
    own = dict(m)
    for b, f in factors:  # type: ignore[attr-defined]
        new = own.get(b, 0) + f
        if new:
            own[b] = new
        else:
            own.pop(b, None)
    return frozenset(own.items())


def _two_terms(a: Atom) -> tuple[Monomial, Rational, Rational] | None:
    """``(μ, a, c)`` where the base is ``a + c·μ`` with whole positive exponents in μ."""
    base = dict(a.data[0])
    if len(base) != 2 or UNIT not in base:
        return None
    ((mu, c),) = ((m, c) for m, c in base.items() if m)
    if any(not whole(e) or e <= 0 for _, e in mu) or any(b.kind in ("base", "equal", "least", "above") for b, _ in mu):
        return None
    return mu, base[UNIT], c
