"""The largest and the smallest of numbers, as sums of what brackets select."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import reduce

from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import ZERO, add, mul, neg, number, sub
from derivcheck.notation.terms.nodes import Term


def largest(terms: Sequence[Term]) -> Term:
    """The largest of some numbers; where two are equal, half of each, as torch's maximum has it, and max(0, x) is relu.

    >>> from derivcheck.notation.terms.build import ref
    >>> print(largest([ZERO, ref("x")]))
    [x > 0]*x
    """
    return reduce(_larger, terms)


def smallest(terms: Sequence[Term]) -> Term:
    """The smallest of some numbers; see :func:`largest`."""
    return neg(largest([neg(t) for t in terms]))


def _larger(x: Term, y: Term) -> Term:
    """The larger of two."""
    if x is y:
        return x
    if x is ZERO or y is ZERO:
        other = y if x is ZERO else x
        return mul(bracket(">", other), other)
    gap = sub(x, y)
    tied = mul(bracket("==", gap), number(Fraction(1, 2)), add(x, y))
    return add(mul(bracket(">", gap), x), mul(bracket(">", neg(gap)), y), tied)
