"""Replacing indices by positions and names by what they mean, inside atoms; every atom is rebuilt as it is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from derivcheck.notation.integers.atoms import Entry, Extreme, Floor
from derivcheck.notation.integers.polynomials import Index, Poly, PolyLike, as_poly, i_poly
from derivcheck.proof.expressions.atoms import (
    Above,
    Apply,
    Base,
    Element,
    Equal,
    Exp,
    Expression,
    Least,
    MatrixAtom,
    Monomial,
    ProofAtom,
    Rational,
    Reduction,
    Root,
    Sigma,
    WholeAtom,
    unlimited,
)
from derivcheck.proof.expressions.context import Context, Unreduced
from derivcheck.proof.expressions.polynomials import add_into, of_atom, scaled
from derivcheck.proof.normal_form import brackets, elementary
from derivcheck.proof.normal_form.powers import power
from derivcheck.proof.normal_form.products import of_poly, times

Meanings = Mapping[str, tuple[tuple[Index, ...], Expression]]


def substituted(context: Context, m: Monomial, moves: Mapping[Index, PolyLike]) -> Expression:
    """A monomial with indices replaced."""
    return Substitution(context, moves).monomial(m)


def moved(context: Context, expression: Expression, moves: Mapping[Index, PolyLike]) -> Expression:
    """An expression with indices replaced."""
    return Substitution(context, moves).expression(expression)


def renamed(context: Context, expression: Expression, names: Mapping[Index, Index]) -> Expression:
    """An expression with indices replaced by others."""
    return moved(context, expression, {i: i_poly(j) for i, j in names.items()})


def inlined(context: Context, expression: Expression, meanings: Meanings) -> Expression:
    """An expression with each element of the named tensors replaced by its meaning."""
    return Substitution(context, {}, meanings).expression(expression)


def replaced(context: Context, expression: Expression, single: Mapping[ProofAtom, Expression]) -> Expression:
    """An expression with some elements, at their places alone, replaced by expressions."""
    return Substitution(context, {}, {}, single).expression(expression)


def resettled(context: Context, expression: Expression) -> Expression:
    """An expression with its comparisons as what is assumed says that they are."""
    return _Resettling(context, {}).expression(expression)


def opened(context: Context, a: Sigma) -> tuple[list[Index], Expression]:
    """A Σ as new bound indices and its body."""
    new = [context.temporary(i.size) for i in a.bound]
    return new, substituted(context, a.monomial, {i: i_poly(j) for i, j in zip(a.bound, new)})


class Substitution:
    """One replacement, with what it has rebuilt so far."""

    def __init__(
        self,
        context: Context,
        moves: Mapping[Index, PolyLike],
        meanings: Meanings | None = None,
        single: Mapping[ProofAtom, Expression] | None = None,
    ) -> None:
        """``moves`` say what indices become, ``meanings`` what names stand for, ``single`` what whole atoms become."""
        self.context, self.meanings, self.single = context, meanings or {}, single or {}
        self.names = frozenset(self.meanings).union(*(a.elements for a in self.single))
        self.moves: dict[Index, Poly] = {i: as_poly(p) for i, p in moves.items()}
        self.everywhere = any(unlimited(j) for p in self.moves.values() for j in p.indices)
        self.memo: dict[tuple[ProofAtom, Rational], Expression] = {}

    def expression(self, u: Expression) -> Expression:
        """The expression after it."""
        total: Expression = {}
        for m, c in u.items():
            add_into(total, self.monomial(m), c)
        return total

    def monomial(self, m: Monomial) -> Expression:
        """The monomial after it, which may be of several terms."""
        changed = [(a, e) for a, e in m if not self._spares(a)]
        if not changed:
            return {m: 1}
        total: Expression = {m.difference(changed): 1}
        for a, e in changed:
            total = times(self.context, total, self._factor(a, e))
        return total

    def _spares(self, a: ProofAtom) -> bool:
        """Whether the atom stays as it is."""
        return a.free.isdisjoint(self.moves) and (not self.names or a.names.isdisjoint(self.names))

    def _factor(self, a: ProofAtom, e: Rational) -> Expression:
        found = self.memo.get((a, e))
        if found is None:
            self.context.tick()
            found = self.memo[a, e] = self._rebuilt(a, e)
        return found

    def _rebuilt(self, a: ProofAtom, e: Rational) -> Expression:
        """A power of an atom after it."""
        context = self.context
        if isinstance(a, Element):
            return power(context, self._element(a), e)
        if isinstance(a, Exp):
            return elementary.exp(context, scaled(self.monomial(a.monomial), e))
        if isinstance(a, Base):
            return power(context, self.expression(dict(a.terms)), e)
        if isinstance(a, Equal):
            return brackets.equal(context, self.place(a.poly))
        if isinstance(a, Least):
            return brackets.least(context, self.place(a.poly))
        if isinstance(a, Above):
            return brackets.above(context, self.expression(dict(a.terms)))
        return power(context, self._closed(a), e)

    def _element(self, a: Element) -> Expression:
        if a in self.single:
            return self.single[a]
        at = tuple(self.place(p) for p in a.at)
        meant = self._meant(a.name, at)
        return self.context.element(a.name, at) if meant is None else meant

    def _meant(self, name: str, at: tuple[Poly, ...]) -> Expression | None:
        """What stands for an element, where its tensor is written out."""
        meaning = self.meanings.get(name)
        return None if meaning is None else moved(self.context, meaning[1], dict(zip(meaning[0], at)))

    def _closed(self, a: ProofAtom) -> Expression:
        """The other atoms after it."""
        context = self.context
        if isinstance(a, WholeAtom):
            x = a.integer
            meant = self._meant(x.name, tuple(self.place(p) for p in x.at)) if isinstance(x, Entry) else None
            return of_poly(context, self.place(as_poly(x))) if meant is None else meant
        if isinstance(a, Apply):
            return elementary.apply(context, a.function, [self.expression(dict(terms)) for terms in a.args])
        if isinstance(a, Sigma):
            new, inner = self._within(a.bound)
            return context.rules.summed(context, new, inner.monomial(a.monomial))
        if isinstance(a, Reduction):
            new, inner = self._within(a.bound)
            return context.rules.reduced(context, a.kind, new, inner.expression(dict(a.terms)))
        if isinstance(a, MatrixAtom):
            new, inner = self._within(a.bound)
            at = tuple(map(self.place, a.at))
            return context.rules.made_of_matrix(context, a.kind, new, inner.expression(dict(a.terms)), at)
        assert isinstance(a, Root), a
        return of_atom(a)

    def place(self, p: Poly) -> Poly:
        """A position after it; a quotient cannot be taken of an index that runs over all integers."""
        i = p.index
        if i is not None:
            return self.moves.get(i, p)
        if p.indices.isdisjoint(self.moves):
            return p
        if self.everywhere and any(
            isinstance(x, (Floor, Extreme)) and not x.indices.isdisjoint(self.moves) for x in _inner_atoms(p)
        ):
            raise Unreduced("a quotient of a shifted index")
        return p.substitute(self.moves)

    def _within(self, bound: tuple[Index, ...]) -> tuple[list[Index], Substitution]:
        """New indices for bound ones, and the replacement that moves these as well."""
        new = [self.context.temporary(self.place(i.size)) for i in bound]
        return new, self._inner({**self.moves, **{i: i_poly(j) for i, j in zip(bound, new)}})

    def _inner(self, moves: Mapping[Index, PolyLike]) -> Substitution:
        """The same replacement that moves these indices."""
        return Substitution(self.context, moves, self.meanings, self.single)


class _Resettling(Substitution):
    """Comparisons made again; what holds none stays."""

    def _spares(self, a: ProofAtom) -> bool:
        return not a.compares and super()._spares(a)

    def _inner(self, moves: Mapping[Index, PolyLike]) -> Substitution:
        return _Resettling(self.context, moves)


def comparisons(a: ProofAtom) -> Iterator[Above]:
    """The comparisons in an atom, those inside others first."""
    for m in a.inside() if a.compares else ():
        for b, _ in m:
            yield from comparisons(b)
    if isinstance(a, Above):
        yield a


def _inner_atoms(p: Poly) -> list[Any]:
    """The atoms of a position, also those inside entries."""
    found: list[Any] = []
    stack = list(p.atoms())
    while stack:
        a = stack.pop()
        found.append(a)
        if isinstance(a, Entry):
            for q in a.at:
                stack.extend(q.atoms())
    return found
