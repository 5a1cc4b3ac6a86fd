"""Iverson brackets, decided where they are surely true or false."""

from __future__ import annotations

from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Poly, PolyLike, as_poly
from derivcheck.notation.integers.relations import holds
from derivcheck.notation.terms.build import ONE, ZERO, add, neg
from derivcheck.notation.terms.nodes import Bracket, Number, SizeOf, Term


def bracket(relation: str, operand: PolyLike | Term, least: int = 1) -> Term:
    """An Iverson bracket, decided where it is surely true or false.

    ``relation`` may also be ``<`` or ``<=``.
    """
    if isinstance(operand, Number):
        return ONE if holds(relation, operand.value) else ZERO
    if isinstance(operand, SizeOf):
        operand = operand.value
    if isinstance(operand, Term):
        if relation in ("<", "<="):
            return Bracket(">" if relation == "<" else ">=", neg(operand))
        return Bracket(relation, operand)
    p = as_poly(operand)
    if relation == ">":
        relation, p = ">=", p - 1
    elif relation == "<":
        relation, p = ">=", -p - 1
    elif relation == "<=":
        relation, p = ">=", -p
    if relation == ">=":
        if nonnegative(p, least):
            return ONE
        if nonnegative(-p - 1, least):
            return ZERO
        return Bracket(">=", p)
    if p.constant is not None:
        return ONE if (p.constant == 0) == (relation == "==") else ZERO
    if nonnegative(p - 1, least) or nonnegative(-p - 1, least):
        return ZERO if relation == "==" else ONE
    if nonnegative(p, least) and nonnegative(-p, least):
        return ONE if relation == "==" else ZERO
    if p.terms[0][1] < 0:  # one spelling for [i−p = 0] and [p−i = 0]
        p = -p
    return Bracket(relation, p)


def opposite(term: Term) -> Term:
    """``1 − [c]`` of a bracket as a bracket; of anything else as a difference."""
    if isinstance(term, Number):
        return Number(1 - term.value)
    if isinstance(term, Bracket):
        if term.relation in ("==", "!="):
            return Bracket("!=" if term.relation == "==" else "==", term.operand)
        if isinstance(term.operand, Poly):
            return bracket(">=", -term.operand - 1)
        return bracket(">" if term.relation == ">=" else ">=", neg(term.operand))
    return add(ONE, neg(term))
