"""Integer expressions that are the remainder of a division, which people write as one."""

from __future__ import annotations

from derivcheck.notation.integers.atoms import Floor
from derivcheck.notation.integers.polynomials import Poly, as_poly


def remainder(p: Poly) -> tuple[Poly, Poly, Poly] | None:
    """``(n, q, r)`` where an integer expression is ``n − q·⌊n/q⌋ + r``: n mod q, and the rest.

    >>> from derivcheck.notation.integers.polynomials import size
    >>> remainder(size("M") % 3 + 1)
    (M, 3, 1)
    """
    for a in p.atoms():
        if isinstance(a, Floor):
            own = a.numerator - a.denominator * as_poly(a)
            rest = p - own
            if len(rest.terms) == len(p.terms) - len(own.terms):
                return a.numerator, a.denominator, rest
    return None
