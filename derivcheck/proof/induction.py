"""Recurrences, by induction of one step.

A closed form that satisfies a recurrence, its start included, is its solution.  Where a recurrence is left in the
difference of two sides, the difference solved for it says what it would have to be, and that is put to the same test:
so the invariant that ties a published scan to the derived one is found.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from derivcheck.notation.integers.polynomials import i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.recurrence import loop
from derivcheck.notation.terms.nodes import Add, Mul, Number, Over, Pow, Ref, Term
from derivcheck.proof import brackets, polynomials
from derivcheck.proof.atoms import BRACKETS, Expression, Monomial, Rational, elements_in
from derivcheck.proof.space import Space
from derivcheck.proof.spelling import monomial_text
from derivcheck.proof.substitution import Meanings, inlined, moved
from derivcheck.proof.sums import summed
from derivcheck.proof.unrolling import at_an_end, beside_the_end, grounded, latest_unrolled, recurrences, unrolled

if TYPE_CHECKING:
    from derivcheck.proof.prover import Prover


def one_step(prover: Prover, mode: int, closed: Expression, body: Expression, name: str) -> Expression:
    """The body of a recurrence with a closed form in place of its earlier elements."""
    space = prover.space(mode)
    space.used("induction")
    return inlined(space, body, {name: (prover.definitions[name].indices, closed)})


def by_invariant(prover: Prover, mode: int, difference: Expression) -> bool:
    """Whether what is left vanishes because of what a recurrence in it always is."""
    found: list[tuple[list[str], str, Expression]] = []
    for name in sorted(elements_in(difference)):
        if name not in prover.definitions or not prover.recurrent(name) or name in prover.bridges:
            continue
        solved = _solved(prover.space(mode), difference, prover, name) if grounded(prover, name) else None
        if solved is not None:
            found.append((solved[1], name, solved[0]))
    for needs, name, value in sorted(found, key=lambda f: len(f[0])):  # what divides by nothing first
        if satisfies(prover, mode, name, value):
            for condition in needs:
                prover.space(mode).assume(condition)
            prover.invariants[mode, name] = value
            return True
    return False


def satisfies(prover: Prover, mode: int, name: str, value: Expression) -> bool:
    """Whether a formula over the recurrence's own indices satisfies it, its start included: it is then what it always is."""
    space = prover.space(mode)
    step = inlined(space, prover.form(mode, name), {name: (prover.definitions[name].indices, value)})
    gaps = [polynomials.plus(left, polynomials.scaled(step, -1)) for left in (value, unrolled(prover, mode, value))]
    if any(_vanishes(prover, mode, g) or _vanishes(prover, mode, latest_unrolled(prover, mode, g)) for g in gaps) or (
        _at_the_end_and_beside(prover, mode, gaps[0], name)
    ):
        space.used("an invariant, by induction")
        return True
    return False


def _vanishes(prover: Prover, mode: int, u: Expression) -> bool:
    return not summed_up(prover, mode, prover.emptied(mode, None, u)[1])


def summed_up(prover: Prover, mode: int, difference: Expression) -> Expression:
    """What is left of a difference once each running sum in it, ``X[k] = f(k) + X[k−1]``, is written ``Σ_{j≤k} f(j)``."""
    found = {n: _running_sum(prover, mode, n) for n in recurrences(prover, difference)}
    known: Meanings = {n: (prover.definitions[n].indices, v) for n, v in found.items() if v is not None}
    if not known:
        return difference
    return prover.emptied(mode, None, inlined(prover.space(mode), difference, known))[1]


def _running_sum(prover: Prover, mode: int, name: str) -> Expression | None:
    """The sum that a recurrence is, put to the test of an invariant; None where it is none."""
    if (mode, name) in prover.running:
        return prover.running[mode, name]
    prover.running[mode, name] = None  # also while it is tested
    if not all(_adds_one(m, c) for m, c in prover.form(0, name).items() if any(name in a.elements for a, _ in m)):
        return None
    space, d = prover.space(mode), prover.definitions[name]
    along = loop([d])
    assert along is not None
    i = d.indices[along.axes[name]]
    j = space.temporary(i.size)
    rest = {m: c for m, c in prover.form(mode, name).items() if all(name not in a.elements for a, _ in m)}
    inside = brackets.least(space, i_poly(j) - i_poly(i) if along.down else i_poly(i) - i_poly(j))
    value = summed(space, [j], polynomials.times(space, inside, moved(space, rest, {i: i_poly(j)})))
    if satisfies(prover, mode, name, value):
        prover.running[mode, name] = value
    return prover.running[mode, name]


def _at_the_end_and_beside(prover: Prover, mode: int, gap: Expression, name: str) -> bool:
    """Whether it vanishes where the recurrence starts, and elsewhere once all recurrences speak of the same elements."""
    d = prover.definitions[name]
    along = loop([d])
    assert along is not None
    i = d.indices[along.axes[name]]
    start = at_an_end(prover, mode, gap, i, along.down)
    return _vanishes(prover, mode, start) and _vanishes(prover, mode, beside_the_end(prover, mode, gap, i, along.down))


def _adds_one(m: Monomial, c: Rational) -> bool:
    """Whether a term of a recurrence is an earlier element as it is, beside brackets."""
    rest = [(a.kind, e) for a, e in m if a.kind not in BRACKETS]
    return c == 1 and rest == [("element", 1)]


def _solved(space: Space, difference: Expression, prover: Prover, name: str) -> tuple[Expression, list[str]] | None:
    """``difference = 0`` solved for the element of the recurrence at its own indices, and what must not be 0 for that."""
    d = prover.definitions[name]
    here = next((a for m in difference for a, _ in m if a.kind == "element" and a.data[0] == name), None)
    places = [] if here is None else [p.index for p in here.data[1]]
    if here is None or None in places or len(set(places)) != len(places):
        return None
    with_it = {m: c for m, c in difference.items() if any(a is here for a, _ in m)}
    rest = {m: c for m, c in difference.items() if m not in with_it}
    if len(with_it) != 1 or not rest or name in elements_in(rest):
        return None
    ((m, c),) = with_it.items()
    if dict(m)[here] != 1:
        return None
    factor = frozenset(t for t in m if t[0] is not here)
    if any(a.kind in ("equal", "least", "above") for a, _ in factor):
        return None
    inverse = {frozenset((a, -e) for a, e in factor): -1 if c == 1 else polynomials.fraction(-1) / c}
    value = polynomials.times(space, inverse, rest)
    left = {a for n in value for a, e in n if e < 0 and any(a is b for b, _ in factor)}
    # both sides polynomial in an input: what holds where it is not 0 holds where it is, by continuity
    own = [a for a in left if not (a.kind == "element" and polynomial_in(prover.definitions.values(), str(a.data[0])))]
    needs = [f"{monomial_text(frozenset(((a, 1),)), 1)} ≠ 0" for a in own]
    return moved(space, value, {i: i_poly(j) for i, j in zip(places, d.indices) if i is not None and i is not j}), needs


def polynomial_in(definitions: Iterable[Definition], name: str) -> bool:
    """Whether the name is an input of which all definitions are polynomials, also those that depend on it through others.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> p = parse_program("h[n] := g[n]^2*x[n]; y[n] := h[n]*exp(w[n]); z[n] := 1/(x[n]*w[n])")
    >>> [polynomial_in(p.definitions, n) for n in ("g", "x", "w")]
    [True, False, False]
    """
    every = tuple(definitions)
    through: set[str] = set()
    new = {name}
    while new:
        through |= new
        new = {d.name for d in every if not d.term.names.isdisjoint(through)} - through
    return all(d.name != name and all(_polynomial(d.term, n) for n in through) for d in every)


def _polynomial(t: Term, name: str) -> bool:
    if name not in t.names:
        return True
    if isinstance(t, Ref):
        return all(name not in p.names for p in t.at)
    if isinstance(t, Pow):
        e = t.exponent
        return isinstance(e, Number) and e.value > 0 and e.value.denominator == 1 and _polynomial(t.base, name)
    if isinstance(t, (Add, Mul)):
        return all(_polynomial(a, name) for a in t.args)
    return isinstance(t, Over) and t.kind in ("sum", "prod") and _polynomial(t.body, name)
