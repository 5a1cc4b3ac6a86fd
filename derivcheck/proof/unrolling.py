"""Recurrences written out one step: which have one solution, and which of their elements are replaced by what makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.notation.program.recurrence import loop
from derivcheck.proof import brackets, polynomials
from derivcheck.proof.atoms import Atom, Expression, Monomial, elements_in
from derivcheck.proof.substitution import inlined, moved, replaced

if TYPE_CHECKING:
    from derivcheck.proof.prover import Prover


def grounded(prover: Prover, name: str) -> bool:
    """Whether the recurrence has one solution: it steps back by a constant, and never past its first place.

    Each reference to itself has to stand beside brackets that keep it inside; without them it says nothing.
    """
    d = prover.definitions[name]
    if loop([d]) is None:
        return False
    space = prover.space(0)
    for m in prover.form(0, name):
        for a, _ in m:
            if name not in a.elements:
                continue
            if a.kind != "element" or a.data[0] != name:
                return False
            for p, i in zip(a.data[1], d.indices):
                for end in (p, i.size - 1 - p):
                    if polynomials.times(space, {m: 1}, brackets.least(space, end)) != {m: 1}:
                        return False
    return True


def recurrences(prover: Prover, u: Expression) -> list[str]:
    """The recurrences in an expression that have one solution."""
    return [n for n in sorted(elements_in(u)) if prover.recurrent(n) and grounded(prover, n)]


def unrolled(prover: Prover, mode: int, u: Expression) -> Expression:
    """The recurrences that are not the forward's written out one step."""
    names = [n for n in elements_in(u) if prover.recurrent(n) and not prover.level[n]]
    return inlined(prover.space(mode), u, {n: (prover.definitions[n].indices, prover.form(mode, n)) for n in names})


def latest_unrolled(prover: Prover, mode: int, u: Expression) -> Expression:
    """The forward's recurrences written out at their own place, not the earlier elements beside them."""
    space = prover.space(mode)
    found: dict[Atom, Expression] = {}
    for name in sorted(n for n in elements_in(u) if prover.recurrent(n) and prover.level[n]):
        d = prover.definitions[name]
        own = space.atom("element", name, tuple(i_poly(i) for i in d.indices))
        found[own] = prover.form(mode, name)
    return replaced(space, u, found)


def at_an_end(prover: Prover, mode: int, gap: Expression, i: Index, last: bool) -> Expression:
    """An expression at the last place (or the first) of an index, the recurrences that start there by what they start with."""
    space = prover.space(mode)
    u = moved(space, gap, {i: i.size - 1 if last else 0})
    names = recurrences(prover, u)
    total: Expression = {}
    for m, c in u.items():
        found: dict[Atom, Expression] = {}
        for name in names:
            d = prover.definitions[name]
            along = loop([d])
            assert along is not None
            axis = along.axes[name]
            first = d.indices[axis].size - 1 if along.down else as_poly(0)
            for a in _elements(m, name):
                if _is_zero(m, a.data[1][axis] - first):
                    at = [first if k == axis else p for k, p in enumerate(a.data[1])]
                    found[a] = moved(space, prover.form(mode, name), dict(zip(d.indices, at)))
        polynomials.add_into(total, replaced(space, {m: c}, found))
    return total


def _is_zero(m: Monomial, p: Poly) -> bool:
    """Whether an integer expression is 0, or a delta beside it says so."""
    return p.constant == 0 or any(b.kind == "equal" and b.data[0] in (p, -p) for b, _ in m)


def beside_the_end(prover: Prover, mode: int, gap: Expression, i: Index, last: bool) -> Expression:
    """An expression where ``i`` is not the last place (or not the first): there ``i + 1`` (or ``i − 1``) is inside too.

    The recurrences are written out at one of these two places: of those at which one stands, the one that it reaches
    last, so that all speak of the same elements.
    """
    space = prover.space(mode)
    inner = brackets.least(space, i.size - 2 - i_poly(i) if last else i_poly(i) - 1)
    total = polynomials.times(space, inner, _written_out(prover, mode, gap, i, (0, 1) if last else (-1, 0)))
    one_place = brackets.equal(space, i.size - 1)  # then each place is the last
    return {m: c for m, c in total.items() if not any(n <= m for n in one_place)}


def _written_out(prover: Prover, mode: int, gap: Expression, i: Index, inside: tuple[int, int]) -> Expression:
    space = prover.space(mode)
    places = {name: _place(prover, gap, name, i) for name in recurrences(prover, gap)}
    total: Expression = {}
    for m, c in gap.items():
        found: dict[Atom, Expression] = {}
        for name, place in places.items():
            for a in _elements(m, name):
                if place in inside and _offset(prover, m, a, i) == place:
                    found[a] = moved(space, prover.form(mode, name), dict(zip(prover.definitions[name].indices, a.data[1])))
        polynomials.add_into(total, replaced(space, {m: c}, found))
    return total


def _place(prover: Prover, gap: Expression, name: str, i: Index) -> int | None:
    """Of several places i + c at which the recurrence stands, the one that it reaches last."""
    along = loop([prover.definitions[name]])
    assert along is not None
    offsets = {_offset(prover, m, a, i) for m in gap for a in _elements(m, name)} - {None}
    if len(offsets) < 2:
        return None
    return min(offsets) if along.down else max(offsets)  # type: ignore[type-var]


def _elements(m: Monomial, name: str) -> list[Atom]:
    return [a for a, _ in m if a.kind == "element" and a.data[0] == name]


def _offset(prover: Prover, m: Monomial, a: Atom, i: Index) -> int | None:
    """How far the element lies from i, which a delta beside it may fix."""
    along = loop([prover.definitions[a.data[0]]])
    assert along is not None
    solved = (brackets.solve(b.data[0], [i]) for b, _ in m if b.kind == "equal")
    here = next((v for _, v in filter(None, solved)), i_poly(i))
    offset: int | None = (a.data[1][along.axes[a.data[0]]] - here).constant
    return offset
