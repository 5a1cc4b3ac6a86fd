"""An inverse in a sum beside its matrix: ``A⁻¹·A = 1``.

The matrix of the inverse is looked for among the other factors: that is a search for the factors of one monomial up to the
names of indices, and each find is checked by putting the names in.

Source: Petersen & Pedersen, *The Matrix Cookbook*, 2012, section 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import permutations
from typing import NamedTuple

from derivcheck.notation.integers.polynomials import Index, Poly, i_poly
from derivcheck.proof.expressions.atoms import (
    Element,
    Equal,
    Expression,
    MatrixAtom,
    Monomial,
    ProofAtom,
    Rational,
    Sigma,
)
from derivcheck.proof.expressions.context import Context
from derivcheck.proof.expressions.polynomials import (
    add_into,
    of_atom,
    scaled,
    single,
)
from derivcheck.proof.expressions.signatures import expression_signature
from derivcheck.proof.normal_form import brackets
from derivcheck.proof.normal_form.cholesky_factors import root_of
from derivcheck.proof.normal_form.matrices import made_of
from derivcheck.proof.normal_form.products import product, times
from derivcheck.proof.normal_form.substitution import opened, substituted

Factors = list[tuple[ProofAtom, Rational]]
Moves = dict[Index, Poly]


def contracted(context: Context, here: list[Index], m: Monomial) -> Expression | None:
    """``Σ_k A⁻¹[p, k]·A[k, q] = [p = q]`` and ``Σ_k A[p, k]·A⁻¹[k, q] = [p = q]``, inside a sum over more.

    With a factor of A = L·Lᵀ, ``Σ_k L⁻¹[p, k]·A[k, q] = L[q, p]``.
    """
    for x, e in m:
        if not isinstance(x, MatrixAtom) or x.kind != "inv" or e != 1:
            continue
        root = root_of(x)
        for side in (0, 1):
            k, other = x.at[1 - side].index, x.at[side]
            if k is None or k not in here or k in other.indices:
                continue
            wanted = _Wanted(context, x, x.bound, dict(x.terms), side, k)
            found = wanted.within(here, m - {(x, 1)})
            if found is None and root is not None and root.own.index is k:
                wanted = wanted._replace(bound=root.factor.bound, terms=dict(root.factor.terms), factor=root.factor)
                found = wanted.within(here, m - {(x, 1)})
            if found is not None:
                return found
    return None


class _Find(NamedTuple):
    """The matrix of an inverse among other factors: its column (or row) there, and what is left."""

    place: Poly
    left: Monomial
    bound: list[Index]


class _Wanted(NamedTuple):
    """A matrix that is looked for beside an inverse.

    Attributes:
        bound, terms: the matrix.
        side: 0 where ``Σ_k A⁻¹[other, k]·A[k, place]`` is looked for, 1 for ``Σ_k A[place, k]·A⁻¹[k, other]``.
        factor: the Cholesky factor of the matrix whose inverse it is, where it is not that of the matrix.
    """

    context: Context
    inverse: MatrixAtom
    bound: tuple[Index, Index]
    terms: Expression
    side: int
    k: Index
    factor: MatrixAtom | None = None

    @property
    def other(self) -> Poly:
        """The position in the inverse that is not summed."""
        return self.inverse.at[self.side]

    def met(self, place: Poly) -> Expression:
        """What the inverse and the matrix make together."""
        if self.factor is None:
            return brackets.equal(self.context, self.other - place)
        return made_of(self.context, "cholesky", self.factor.bound, dict(self.factor.terms), (place, self.other))

    def within(self, here: list[Index], rest: Monomial) -> Expression | None:
        """The sum of the inverse times these factors, where the matrix is among them."""
        context = self.context
        terms = self.terms
        lead = min((t for t in terms if not any(isinstance(a, Equal) for a, _ in t)), key=_size, default=None)
        if lead is None:
            return None
        find = self._found(lead, here, rest)
        if find is None:
            return None
        context.used("A^-1·A = 1")
        row, column = self.bound if self.side == 0 else self.bound[::-1]
        bound = [i for i in find.bound if i is not self.k]
        total = context.rules.summed(context, bound, times(context, self.met(find.place), {find.left: 1}))
        for t, c in terms.items():
            if t is not lead and t != lead:
                there = substituted(context, t, {row: i_poly(self.k), column: find.place})
                whole = product(context, [of_atom(self.inverse), there, {find.left: 1}])
                add_into(total, context.rules.summed(context, find.bound, whole), -c)
        return scaled(total, 1 / Fraction(terms[lead]))

    def _found(self, lead: Monomial, here: list[Index], rest: Monomial) -> _Find | None:
        """The factors of one monomial of the matrix among others, whatever its column and its bound indices are called."""
        row, column = self.bound if self.side == 0 else self.bound[::-1]
        pattern, extra = _open(self.context, lead)
        search = _FactorSearch(self.context, {column, *extra}, here)
        for moves, left in search.all(sorted(pattern, key=lambda f: row not in f[0].free), list(rest), {row: i_poly(self.k)}):
            place = moves.get(column)
            inner = [moves[i].index for i in extra if i in moves]
            if place is None or len(inner) < len(extra) or None in inner or len(set(inner)) < len(inner):
                continue
            taken = frozenset(i for i in (*inner, self.k) if i is not None)
            outside = frozenset[Index]().union(*(a.free for a, _ in left), place.indices, self.other.indices)
            if not set(taken) <= set(here) or not taken.isdisjoint(outside):
                continue
            if any(i is not None and i.size is not j.size for i, j in zip(inner, extra)):
                continue
            return _Find(place, frozenset(left), [i for i in here if i not in inner])
        return None


def _size(m: Monomial) -> tuple[int, int]:
    return -len(m), expression_signature([(m, 1)], {})


def _open(context: Context, m: Monomial) -> tuple[Factors, list[Index]]:
    """The factors of a monomial, the sums among them opened, and the indices that these bind."""
    factors: Factors = []
    bound: list[Index] = []
    for a, e in m:
        new, body = opened(context, a) if isinstance(a, Sigma) and e == 1 else ([], {})
        inside = single(body)
        if inside is None or inside[1] != 1:
            factors.append((a, e))
            continue
        more, deeper = _open(context, inside[0])
        factors += more
        bound += [*new, *deeper]
    return factors, bound


class _FactorSearch(NamedTuple):
    """A search for factors up to some open indices."""

    context: Context
    open: set[Index]
    here: Sequence[Index]

    def all(self, pattern: Factors, left: Factors, moves: Moves) -> Iterator[tuple[Moves, Factors]]:
        """Each way to find all factors of the pattern, with what is left of the others."""
        self.context.tick()
        if not pattern:
            yield moves, left
            return
        (a, e), *others = pattern
        for n, (b, x) in enumerate(left):
            if type(a) is type(b) and x == e:
                for more in self.unified(a, b, moves):
                    yield from self.all(others, left[:n] + left[n + 1 :], more)

    def unified(self, a: ProofAtom, b: ProofAtom, moves: Moves) -> Iterator[Moves]:
        """Each way to make the first atom the second."""
        free = [i for i in a.free if i in self.open and i not in moves]
        elements = isinstance(a, Element) and isinstance(b, Element)
        if elements or isinstance(a, MatrixAtom) and isinstance(b, MatrixAtom):
            assert isinstance(a, (Element, MatrixAtom)) and isinstance(b, (Element, MatrixAtom))
            if _kind(a) != _kind(b) or len(a.at) != len(b.at):
                return
            found = dict(moves)
            for p, q in zip(a.at, b.at):
                if p.index in free and p.index not in found:
                    assert p.index is not None
                    found[p.index] = q
            choices: Iterator[Moves] = iter([found])
        else:
            names = [i for i in b.free if i not in moves]
            choices = ({**moves, **{i: i_poly(j) for i, j in zip(free, chosen)}} for chosen in permutations(names, len(free)))
        for choice in choices:
            if substituted(self.context, frozenset(((a, 1),)), choice) == of_atom(b):
                yield choice


def _kind(a: Element | MatrixAtom) -> object:
    """What it is an element of."""
    return a.name if isinstance(a, Element) else (a.kind, a.bound, a.terms)
