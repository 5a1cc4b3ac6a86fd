"""A factor before a long bracket, which goes to each addend in it: no line breaks inside a bracket."""

from __future__ import annotations

from derivcheck.notation.terms.build import add, mul
from derivcheck.notation.terms.nodes import Add, Mul, Term
from derivcheck.notes.writing.extremes import chosen


def multiplied_out(t: Term) -> Term:
    """A product with one long sum in it as a sum of products; any other term as it is."""
    sums = [a for a in t.args if isinstance(a, Add) and chosen(a) is None] if isinstance(t, Mul) else []
    if not isinstance(t, Mul) or len(sums) != 1 or len(sums[0].args) < 3:
        return t
    rest = [a for a in t.args if a is not sums[0]]
    return add(*(mul(*rest, a) for a in sums[0].args))
