"""Recurrences, by induction of one step.

A closed form that satisfies a recurrence, its start included, is its solution.  Where a recurrence is left in the
difference of two sides, the difference solved for it says what it would have to be, and that is put to the same test:
so the invariant that ties a published scan to the derived one is found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from derivcheck.notation.recurrence import loop
from derivcheck.notation.sizes import i_poly
from derivcheck.proof import brackets, polynomials
from derivcheck.proof.atoms import Atom, Expression, elements_in
from derivcheck.proof.normal import vanishes
from derivcheck.proof.space import Space
from derivcheck.proof.spelling import monomial_text
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


def one_step(prover: Prover, mode: int, closed: Expression, body: Expression, name: str) -> Expression:
    """The body of a recurrence with a closed form in place of its earlier elements."""
    space = prover.space(mode)
    space.used("induction")
    return inlined(space, body, {name: (prover.definitions[name].indices, closed)})


def by_invariant(prover: Prover, mode: int, difference: Expression) -> bool:
    """Whether what is left vanishes because of what a recurrence in it always is."""
    space = prover.space(mode)
    for name in sorted(elements_in(difference)):
        if name not in prover.definitions or not prover.recurrent(name) or name in prover.bridges:
            continue
        if not grounded(prover, name):
            continue
        value = _solved(space, difference, prover, name)
        if value is None:
            continue
        step = inlined(space, prover.form(mode, name), {name: (prover.definitions[name].indices, value)})
        for left in (value, _unrolled(prover, mode, value)):
            gap = polynomials.plus(left, polynomials.scaled(step, -1))
            for gap_ in (gap, _latest_unrolled(prover, mode, gap)):
                if not prover.emptied(mode, None, gap_)[1]:
                    space.used("an invariant, by induction")
                    prover.invariants[mode, name] = value
                    return True
    return False


def _unrolled(prover: Prover, mode: int, u: Expression) -> Expression:
    """The recurrences that are not the forward's written out one step."""
    names = [n for n in elements_in(u) if prover.recurrent(n) and not prover.level[n]]
    return inlined(prover.space(mode), u, {n: (prover.definitions[n].indices, prover.form(mode, n)) for n in names})


def _latest_unrolled(prover: Prover, mode: int, u: Expression) -> Expression:
    """The forward's recurrences written out at their own place, not the earlier elements beside them."""
    space = prover.space(mode)
    found: dict[Atom, Expression] = {}
    for name in sorted(n for n in elements_in(u) if prover.recurrent(n) and prover.level[n]):
        d = prover.definitions[name]
        own = space.atom("element", name, tuple(i_poly(i) for i in d.indices))
        found[own] = prover.form(mode, name)
    return replaced(space, u, found)


def _solved(space: Space, difference: Expression, prover: Prover, name: str) -> Expression | None:
    """``difference = 0`` solved for the element of the recurrence at its own indices."""
    d = prover.definitions[name]
    own = next((a for m in difference for a, _ in m if a.kind == "element" and a.data[0] == name), None)
    places = [] if own is None else [p.index for p in own.data[1]]
    if own is None or None in places or len(set(places)) != len(places):
        return None
    with_it = {m: c for m, c in difference.items() if any(a is own for a, _ in m)}
    rest = {m: c for m, c in difference.items() if m not in with_it}
    if len(with_it) != 1 or not rest or name in elements_in(rest):
        return None
    ((m, c),) = with_it.items()
    if dict(m)[own] != 1:
        return None
    factor = frozenset(t for t in m if t[0] is not own)
    if any(a.kind in ("equal", "least", "above") for a, _ in factor):
        return None
    inverse = {frozenset((a, -e) for a, e in factor): -1 if c == 1 else polynomials.fraction(-1) / c}
    value = polynomials.times(space, inverse, rest)
    left = {a for n in value for a, e in n if e < 0 and any(a is b for b, _ in factor)}
    for a in left:
        space.assume(f"{monomial_text(frozenset(((a, 1),)), 1)} ≠ 0")
    return moved(space, value, {i: i_poly(j) for i, j in zip(places, d.indices) if i is not None and i is not j})


__all__ = ["by_invariant", "one_step", "vanishes"]
