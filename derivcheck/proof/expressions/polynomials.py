"""Expressions as polynomials: like terms are added up.  Products, which gather like factors, are rules of the normal form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from derivcheck.notation.integers.polynomials import Index
from derivcheck.proof.expressions.atoms import UNIT, Expression, Frozen, Monomial, ProofAtom, Rational


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


def minus(left: Expression, right: Expression) -> Expression:
    """``left − right``."""
    total = dict(left)
    add_into(total, right, -1)
    return total


def scaled(expression: Expression, by: Rational) -> Expression:
    """``by·expression``."""
    return {m: c * by for m, c in expression.items()} if by else {}


def number(value: Rational) -> Expression:
    """A number as an expression."""
    return {UNIT: value} if value else {}


def of_atom(a: ProofAtom, exponent: Rational = 1) -> Expression:
    """A power of an atom as an expression."""
    return {frozenset(((a, exponent),)): 1}


def frozen(expression: Expression) -> Frozen:
    """An expression as a value that can stand inside an atom."""
    return frozenset(expression.items())


def constant(expression: Expression) -> Rational | None:
    """The number if the expression is one, else None."""
    if not expression:
        return 0
    return expression.get(UNIT) if len(expression) == 1 else None


def single(expression: Expression) -> tuple[Monomial, Rational] | None:
    """``(monomial, coefficient)`` if there is one term."""
    return next(iter(expression.items())) if len(expression) == 1 else None


def whole(value: Rational) -> bool:
    """Whether the number is an integer."""
    return isinstance(value, int) or value.denominator == 1


def plain(value: Rational) -> Rational:
    """The number, an integer where it is one."""
    return int(value) if value.denominator == 1 else value


def without(m: Monomial, factors: Mapping[ProofAtom, Rational]) -> Monomial:
    """A monomial divided by powers of atoms, as they stand."""
    own = dict(m)
    for a, e in factors.items():
        new = own.get(a, 0) - e
        if new:
            own[a] = new
        else:
            own.pop(a, None)
    return frozenset(own.items())


def common_factors(terms: Expression, atoms: set[ProofAtom]) -> dict[ProofAtom, Rational]:
    """Of some atoms, the powers that all terms share."""
    shared: dict[ProofAtom, Rational] | None = None
    for m in terms:
        own = dict(m)
        now = {a: own.get(a, 0) for a in atoms}
        shared = now if shared is None else {a: min(shared[a], now[a]) for a in atoms}
    return {a: e for a, e in (shared or {}).items() if e}


def free_of(monomial: Iterable[tuple[ProofAtom, Rational]]) -> frozenset[Index]:
    """The free indices of a monomial."""
    return frozenset[Index]().union(*(a.free for a, _ in monomial))


def free_in(expression: Iterable[Monomial]) -> frozenset[Index]:
    """The free indices of an expression."""
    return frozenset[Index]().union(*(a.free for m in expression for a, _ in m))


def elements_in(expression: Iterable[Monomial]) -> frozenset[str]:
    """The tensors whose elements stand in an expression, not those in positions."""
    return frozenset[str]().union(*(a.elements for m in expression for a, _ in m))


def height_of(monomial: Iterable[tuple[ProofAtom, Rational]]) -> int:
    """How deep the sums inside are nested."""
    return max((a.height for a, _ in monomial), default=0)
