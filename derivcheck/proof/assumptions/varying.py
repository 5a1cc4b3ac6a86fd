"""Products that are analytic in some inputs: where they are 0, what sign they have, whether they change with a tensor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from derivcheck.notation.integers.polynomials import Poly, Size, as_poly
from derivcheck.proof.expressions.atoms import (
    UNIT,
    Apply,
    Base,
    Element,
    Exp,
    Expression,
    Iverson,
    Monomial,
    ProofAtom,
    Rational,
    Root,
    Sigma,
    WholeAtom,
)
from derivcheck.proof.expressions.context import Context
from derivcheck.proof.expressions.polynomials import whole
from derivcheck.proof.normal_form.brackets import equal
from derivcheck.proof.normal_form.signs import strictly

# Analytic where they are defined, and constant nowhere.
VARYING = frozenset(
    "exp log sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf erfc sigmoid softplus logsigmoid silu gelu "
    "gelu_tanh log1p expm1 exp2 log2 log10 lgamma digamma".split()
)

Factors = Iterable[tuple[ProofAtom, Rational]]
Groups = dict[Monomial, Poly]


def groups_of(u: Expression) -> Groups | None:
    """The terms by what stands in them beside integers: there an integer expression, up to one positive factor of all."""
    denominators: dict[WholeAtom, int] = {}
    for m in u:
        for a, e in m:
            if isinstance(a, WholeAtom) and (not whole(e) or e < 0):
                if not whole(e) or not isinstance(a.integer, Size):
                    return None
                denominators[a] = max(denominators.get(a, 0), -int(e))
    by = lcm(*(Fraction(c).denominator for c in u.values()))
    found: Groups = {}
    for m, c in u.items():
        p = as_poly(int(c * by))
        for a, e in ((a, dict(m).get(a, 0) + k) for a, k in denominators.items()):
            p = p * as_poly(a.integer) ** int(e)
        for a, e in m:
            if isinstance(a, WholeAtom) and a not in denominators:
                p = p * as_poly(a.integer) ** int(e)
        rest = frozenset((a, e) for a, e in m if not isinstance(a, WholeAtom))
        found[rest] = found.get(rest, as_poly(0)) + p
    return {m: p for m, p in found.items() if p.terms}


def holds(m: Monomial, name: str) -> bool:
    """Whether an element of the tensor stands in a product."""
    return any(name in a.elements for a, _ in m)


@dataclass(frozen=True)
class Inputs:
    """Tensors of real numbers, whose elements are free of each other, and what products of them are."""

    context: Context
    names: frozenset[str]

    # -- at one point ---------------------------------------------------------------
    def never(self, groups: Groups) -> bool:
        """Whether a sum of groups is not 0 where all inputs are 0, or where all are 1."""
        p = groups.get(UNIT)
        if p is not None and not equal(self.context, p) and all(_vanishes(m) for m in groups if m):
            return True
        positive = all(map(self.positive_at_one, groups))
        return positive and any(all(self.context.holds(s * p - 1) for p in groups.values()) for s in (1, -1))

    def positive_at_one(self, m: Factors) -> bool:
        """Whether a product is above 0 where all inputs are 1, and does not fall as one of its elements grows."""
        return all(self._positive_at_one(a, e) for a, e in m)

    def _positive_at_one(self, a: ProofAtom, e: Rational) -> bool:
        if isinstance(a, Sigma):
            return e > 0 and self._full(a) and self.positive_at_one(a.monomial)
        return strictly(a) or isinstance(a, Element) and a.name in self.names and e > 0

    def _full(self, a: Sigma) -> bool:
        """Whether a Σ has a term at every size: nothing in it is left out."""
        return all(not i.size.indices and self.context.holds(i.size - 1) for i in a.bound)

    # -- everywhere -------------------------------------------------------------------
    def never_zero(self, m: Factors) -> bool:
        """Whether a product is not 0 for all inputs, at any index or size, where it is defined."""
        return all(self._never_zero(a, e) for a, e in m)

    def _never_zero(self, a: ProofAtom, e: Rational) -> bool:
        if strictly(a) or isinstance(a, (Base, Element)) and e < 0 or isinstance(a, Element) and a.name in self.names:
            return True
        return self._positive_at_one(a, e) or any(self._varies(a, n) for n in a.elements & self.names)

    def changes(self, m: Monomial, name: str) -> bool:
        """Whether a product changes with each element of the tensor, which stands in one of its factors."""
        with_it = [(a, e) for a, e in m if name in a.elements]
        return len(with_it) == 1 and self._varies(with_it[0][0], name) and self.never_zero(m.difference(with_it))

    def _varies(self, a: ProofAtom, name: str) -> bool:
        """Whether an atom changes with each element of a tensor that stands in it."""
        if isinstance(a, Element):
            return a.name == name
        if isinstance(a, Exp):
            return self._alone({a.monomial: 1}, name)
        if isinstance(a, Base):
            return self._alone(dict(a.terms), name)
        if isinstance(a, Apply):
            return a.function in VARYING and len(a.args) == 1 and self._alone(dict(a.args[0]), name)
        if not isinstance(a, Sigma) or any(name in b.elements for b, _ in a.monomial if strictly(b)):
            return False
        return self._positive_at_one(a, 1)

    def _alone(self, u: Expression, name: str) -> bool:
        """Whether an expression changes with the tensor, which stands in one of its terms."""
        groups = groups_of(u) or {}
        with_it = [m for m in groups if holds(m, name)]
        return len(with_it) == 1 and not equal(self.context, groups[with_it[0]]) and self.changes(with_it[0], name)


def _vanishes(m: Factors) -> bool:
    """Whether a product is 0 where all inputs are."""
    return _known_at_zero(m) and any(isinstance(a, Element) or isinstance(a, Sigma) and _vanishes(a.monomial) for a, _ in m)


def _known_at_zero(m: Factors) -> bool:
    """Whether a product is a number where all inputs are 0."""

    def known(a: ProofAtom, e: Rational) -> bool:
        if isinstance(a, (Exp, Sigma)):
            return (isinstance(a, Exp) or e > 0) and _known_at_zero(a.monomial)
        return isinstance(a, (Root, WholeAtom, Iverson)) or isinstance(a, Element) and e > 0

    return all(known(a, e) for a, e in m)
