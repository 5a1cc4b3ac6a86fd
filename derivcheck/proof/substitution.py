"""Replacing indices by positions and names by what they mean, inside atoms; every atom is rebuilt as it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from derivcheck.notation.integers.atoms import Entry, Extreme, Floor
from derivcheck.notation.integers.polynomials import Index, Poly, PolyLike, as_poly, i_poly
from derivcheck.proof import brackets, elementary, polynomials, powers
from derivcheck.proof.atoms import NOTHING, UNIT, Atom, Expression, Monomial, Rational
from derivcheck.proof.space import Unreduced, unlimited

if TYPE_CHECKING:
    from derivcheck.proof.space import Space

Meanings = Mapping[str, tuple[tuple[Index, ...], Expression]]


def substituted(space: Space, m: Monomial, moves: Mapping[Index, PolyLike]) -> Expression:
    """A monomial with indices replaced."""
    return Substitution(space, moves, {}).monomial(m)


def moved(space: Space, expression: Expression, moves: Mapping[Index, PolyLike]) -> Expression:
    """An expression with indices replaced."""
    return Substitution(space, moves, {}).expression(expression)


def inlined(space: Space, expression: Expression, meanings: Meanings) -> Expression:
    """An expression with each element of the named tensors replaced by its meaning."""
    return Substitution(space, {}, meanings).expression(expression)


def replaced(space: Space, expression: Expression, single: Mapping[Atom, Expression]) -> Expression:
    """An expression with some elements, at their places alone, replaced by expressions."""
    return Substitution(space, {}, {}, single).expression(expression)


class Substitution:
    """One replacement, with what it has rebuilt so far."""

    def __init__(
        self,
        space: Space,
        moves: Mapping[Index, PolyLike],
        meanings: Meanings,
        single: Mapping[Atom, Expression] | None = None,
    ) -> None:
        self.space, self.meanings = space, meanings
        self.single = dict(single or {})
        self.names = frozenset(meanings).union(a.data[0] for a in self.single)
        self.moves: dict[Index, Poly] = {i: as_poly(p) for i, p in moves.items()}
        self.everywhere = any(unlimited(j) for p in self.moves.values() for j in p.indices)
        self.memo: dict[tuple[Atom, Rational], Expression] = {}

    def expression(self, u: Expression) -> Expression:
        total: Expression = {}
        for m, c in u.items():
            polynomials.add_into(total, self.monomial(m), c)
        return total

    def monomial(self, m: Monomial) -> Expression:
        kept: list[tuple[Atom, Rational]] = []
        changed: list[tuple[Atom, Rational]] = []
        for a, e in m:
            (kept if self.spares(a) else changed).append((a, e))
        if not changed:
            return {m: 1}
        total: Expression = {frozenset(kept): 1}
        for a, e in changed:
            total = polynomials.times(self.space, total, self.factor(a, e))
        return total

    def spares(self, a: Atom) -> bool:
        """Whether the atom stays as it is."""
        return a.free.isdisjoint(self.moves) and (not self.names or a.names.isdisjoint(self.names))

    def factor(self, a: Atom, e: Rational) -> Expression:
        found = self.memo.get((a, e))
        if found is None:
            self.space.tick()
            found = self.memo[a, e] = self._factor(a, e)
        return found

    def _factor(self, a: Atom, e: Rational) -> Expression:
        kind, data, space = a.kind, a.data, self.space
        if a in self.single:
            return powers.power(space, self.single[a], e)
        if kind == "exp":
            return elementary.exp(space, polynomials.scaled(self.monomial(data[0]), e))
        if kind == "base":
            return powers.power(space, self.expression(dict(data[0])), e)
        if kind == "element":
            at = tuple(self.place(p) for p in data[1])
            meaning = self.meanings.get(data[0])
            if meaning is not None:
                new = moved(space, meaning[1], dict(zip(meaning[0], at)))
            else:
                new = space.one("element", data[0], at)
        elif kind == "whole" and isinstance(data[0], Entry) and data[0].name in self.meanings:
            indices, body = self.meanings[data[0].name]
            new = moved(space, body, dict(zip(indices, (self.place(p) for p in data[0].at))))
        elif kind == "whole":
            new = polynomials.of_poly(space, self.place(as_poly(data[0])))
        elif kind == "equal":
            return brackets.equal(space, self.place(data[0]))
        elif kind == "least":
            return brackets.least(space, self.place(data[0]))
        elif kind == "above":
            return brackets.above(space, self.expression(dict(data[0])))
        elif kind == "apply":
            new = elementary.apply(space, data[0], [self.expression(dict(f)) for f in data[1]])
        elif kind == "sigma":
            new = self._sigma(*data)
        elif kind == "over":
            new = self._over(*data)
        else:
            new = {frozenset(((a, 1),)): 1}
        return powers.power(space, new, e)

    def place(self, p: Poly) -> Poly:
        """A position; a quotient cannot be taken of an index that runs over all integers."""
        i = p.index
        if i is not None:
            return self.moves.get(i, p)
        if p.indices.isdisjoint(self.moves):
            return p
        if self.everywhere and any(
            isinstance(x, (Floor, Extreme)) and not x.indices.isdisjoint(self.moves) for x in inner_atoms(p)
        ):
            raise Unreduced("a quotient of a shifted index")
        return p.substitute(self.moves)

    def _inside(self, bound: tuple[Index, ...]) -> tuple[list[Index], Substitution]:
        new = [self.space.temporary(self.place(i.size)) for i in bound]
        moves = {**self.moves, **{i: i_poly(j) for i, j in zip(bound, new)}}
        return new, Substitution(self.space, moves, self.meanings, self.single)

    def _sigma(self, bound: tuple[Index, ...], m: Monomial) -> Expression:
        from derivcheck.proof.sums import summed

        new, inner = self._inside(bound)
        return summed(self.space, new, inner.monomial(m))

    def _over(self, kind: str, bound: tuple[Index, ...], body: Any) -> Expression:
        from derivcheck.proof.sums import reduced

        new, inner = self._inside(bound)
        return reduced(self.space, kind, new, inner.expression(dict(body)))


def inner_atoms(p: Poly) -> list[Any]:
    """The atoms of a position, also those inside entries."""
    found: list[Any] = []
    stack = list(p.atoms())
    while stack:
        a = stack.pop()
        found.append(a)
        for q in getattr(a, "at", ()):
            stack.extend(q.atoms())
    return found


def opened(space: Space, a: Atom) -> tuple[list[Index], Expression]:
    """A Σ as new bound indices and its body."""
    bound, m = a.data
    new = [space.temporary(i.size) for i in bound]
    return new, Substitution(space, {i: i_poly(j) for i, j in zip(bound, new)}, {}).monomial(m)


__all__ = ["NOTHING", "UNIT", "Substitution", "inlined", "inner_atoms", "moved", "opened", "replaced", "substituted"]
