"""Roots of a sum of two squares, which overflow and vanish before their root does."""

from __future__ import annotations

from fractions import Fraction

from derivcheck.codegen.careful.sight import Sight
from derivcheck.notation.terms.build import func, power
from derivcheck.notation.terms.nodes import Add, Number, Pow, Term

_TWO = Number(2)


def root(sight: Sight, t: Pow) -> Term | None:
    """``√(x² + y²)`` as hypot, and its odd powers."""
    if not isinstance(t.exponent, Number) or t.exponent.value.denominator != 2:
        return None
    o = sight.opened(t.base)
    if not isinstance(o, Add) or len(o.args) != 2:
        return None
    squares = [sight.opened(a) for a in o.args]
    if not all(isinstance(s, Pow) and s.exponent is _TWO for s in squares):
        return None
    x, y = (s.base for s in squares if isinstance(s, Pow))
    return power(func("hypot", x, y), Number(t.exponent.value * Fraction(2)))
