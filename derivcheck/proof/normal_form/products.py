"""Products of expressions, expanded: like factors are gathered, and where that changes a factor the rules take over."""

from __future__ import annotations

from collections.abc import Iterable

from derivcheck.notation.integers.polynomials import Poly
from derivcheck.proof.expressions.atoms import (
    UNIT,
    Base,
    Exp,
    Expression,
    Iverson,
    Monomial,
    ProofAtom,
    Rational,
    Root,
    WholeAtom,
)
from derivcheck.proof.expressions.context import Context, OutOfTime
from derivcheck.proof.expressions.polynomials import add_into
from derivcheck.proof.normal_form.partial_fractions import parted

TOO_MANY = 6000  # terms: such a product is not going to end


def times(context: Context, left: Expression, right: Expression) -> Expression:
    """``left·right``, expanded."""
    if len(left) > len(right):
        left, right = right, left
    if not left:
        return {}
    if len(left) == 1 and left.get(UNIT) == 1:
        context.tick()
        return dict(right)
    total: Expression = {}
    for m1, c1 in left.items():
        context.tick()
        if not m1:
            add_into(total, right, c1)
            continue
        for m2, c2 in right.items():
            add_into(total, gathered(context, m1, m2), c1 * c2)
    if len(total) > TOO_MANY:
        raise OutOfTime
    return total


def product(context: Context, factors: Iterable[Expression]) -> Expression:
    """The product of several expressions."""
    total: Expression = {UNIT: 1}
    for f in factors:
        total = times(context, total, f)
    return total


def gathered(context: Context, m1: Monomial, m2: Monomial) -> Expression:
    """The product of two monomials: exponents of like factors are added, brackets are their own squares."""
    if not m1:
        return {m2: 1}
    if not m2:
        return {m1: 1}
    powers: dict[ProofAtom, Rational] = dict(m1)
    special = False
    masks = any(isinstance(a, Iverson) for a in powers)
    for a, e in m2:
        if isinstance(a, Iverson):
            masks = True
            powers[a] = 1
            continue
        before = powers.get(a)
        if before is None:
            powers[a] = e
            continue
        after = before + e
        if after:
            powers[a] = after
        else:
            del powers[a]
            if not isinstance(a, (Exp, Root, WholeAtom)):  # which are never 0
                context.used("u / u = 1")
        special = special or isinstance(a, (Root, Base))
    if special:
        return context.rules.reopened(context, powers)
    if masks and len(powers) > 1:
        return context.rules.settled(context, powers)
    found = frozenset(powers.items())
    if context.mode.expand and any(isinstance(a, Base) for a in powers):
        return parted(context, found) or {found: 1}
    return {found: 1}


def of_poly(context: Context, p: Poly) -> Expression:
    """An integer polynomial as an expression."""
    total: Expression = {}
    for m, c in p.terms:
        add_into(total, {frozenset((context.atom(WholeAtom, a), e) for a, e in m): c})
    return total
