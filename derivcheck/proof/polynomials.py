"""Sums and products of expressions: like terms are added up, like factors gathered."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING

from derivcheck.notation.integers.polynomials import Poly
from derivcheck.proof import brackets, partial, powers
from derivcheck.proof.atoms import BRACKETS, UNIT, Atom, Expression, Monomial, Rational, whole
from derivcheck.proof.space import OutOfTime

if TYPE_CHECKING:
    from derivcheck.proof.space import Space

TOO_MANY = 6000


def add_into(total: Expression, more: Expression, times: Rational = 1) -> None:
    """``total += times·more``."""
    for m, c in more.items():
        new = total.get(m, 0) + times * c
        if new:
            total[m] = new
        else:
            total.pop(m, None)


def plus(left: Expression, right: Expression) -> Expression:
    """``left + right``."""
    total = dict(left)
    add_into(total, right)
    return total


def scaled(expression: Expression, by: Rational) -> Expression:
    """``by·expression``."""
    return {m: c * by for m, c in expression.items()} if by else {}


def number(value: Rational) -> Expression:
    """A number as an expression."""
    return {UNIT: value} if value else {}


def times(space: Space, left: Expression, right: Expression) -> Expression:
    """``left·right``, expanded."""
    if len(left) > len(right):
        left, right = right, left
    if not left:
        return {}
    total: Expression = {}
    for m1, c1 in left.items():
        space.tick()
        if not m1:
            add_into(total, right, c1)
            continue
        for m2, c2 in right.items():
            add_into(total, gathered(space, m1, m2), c1 * c2)
    if len(total) > TOO_MANY:
        raise OutOfTime
    return total


def product(space: Space, factors: Iterable[Expression]) -> Expression:
    """The product of several expressions."""
    total: Expression = {UNIT: 1}
    for f in factors:
        total = times(space, total, f)
    return total


def gathered(space: Space, m1: Monomial, m2: Monomial) -> Expression:
    """The product of two monomials."""
    if not m1:
        return {m2: 1}
    if not m2:
        return {m1: 1}
    powers_: dict[Atom, Rational] = dict(m1)
    special = False
    masks = any(a.kind in BRACKETS for a in powers_)
    for a, e in m2:
        kind = a.kind
        if kind in BRACKETS:
            masks = True
            powers_[a] = 1
            continue
        before = powers_.get(a)
        if before is None:
            powers_[a] = e
            continue
        after = before + e
        if after:
            powers_[a] = after
        else:
            del powers_[a]
            if kind not in ("exp", "root", "whole"):
                space.used("u / u = 1")
        if kind in ("root", "base"):
            special = True
    if special:
        return powers.reopened(space, powers_)
    if masks and len(powers_) > 1:
        return brackets.settled(space, powers_)
    found = frozenset(powers_.items())
    if space.expand and any(a.kind == "base" for a in powers_):
        return partial.parted(space, found) or {found: 1}
    return {found: 1}


def monomial(space: Space, factors: Iterable[tuple[Atom, Rational]]) -> Expression:
    """A product of powers of atoms as an expression."""
    total: Expression = {UNIT: 1}
    for a, e in factors:
        if a.kind == "base" and (e > 0 or whole(e)):
            part = powers.power(space, dict(a.data[0]), e)
        else:
            part = {frozenset(((a, e),)): 1}
        total = times(space, total, part)
    return total


def of_poly(space: Space, p: Poly) -> Expression:
    """An integer polynomial as an expression."""
    total: Expression = {}
    for m, c in p.terms:
        add_into(total, {frozenset((space.atom("whole", a), e) for a, e in m): c})
    return total


def fraction(value: Rational) -> Fraction:
    """The number as a fraction."""
    return value if isinstance(value, Fraction) else Fraction(value)
