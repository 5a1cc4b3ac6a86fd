"""Shifts and reflections of a bound index: which of the equal spellings of a sum is kept.

A sum in which an index has brackets on its range, or is shifted in a position, is looked at as running over all
integers with explicit brackets; each position ``±i + r`` offers to become the index itself, and the spelling with the
plainest positions is kept.  ``Σ_{i<N} [i ≥ 1]·x[i]·y[i−1]`` and ``Σ_{i<N−1} x[i+1]·y[i]`` become one sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from derivcheck.notation.integers.atoms import Entry, exact_quotient
from derivcheck.notation.integers.bounds import lower_bound
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.proof.expressions.atoms import EVERYWHERE, Element, Expression, Least, Monomial, ProofAtom, Rational, unlimited
from derivcheck.proof.expressions.context import Context, Unreduced
from derivcheck.proof.expressions.polynomials import free_of, single
from derivcheck.proof.expressions.signatures import poly_signature, word
from derivcheck.proof.normal_form import brackets
from derivcheck.proof.normal_form.closing import finished
from derivcheck.proof.normal_form.products import product, times
from derivcheck.proof.normal_form.substitution import substituted


@dataclass(frozen=True)
class _Spelling:
    """A sum over another index.

    Attributes:
        index: the new index; None where one place alone is left, or none.
        body: what is summed over it.
        rank: how plain it is, the plainest first.
        parted: whether a range was split at its end.
    """

    index: Index | None
    body: Expression
    rank: tuple[int, ...] = ()
    parted: bool = False


def ranged(context: Context, bound: Sequence[Index], m: Monomial) -> Expression | None:
    """The component with its shifted indices respelled, or None where nothing is shifted."""
    current, indices = m, list(bound)
    for i in bound:
        found = _respelled(context, i, [j for j in indices if j is not i], current)
        if found is None:
            continue
        new = found.index
        if new is None:
            return context.rules.summed(context, [j for j in indices if j is not i], found.body)
        indices = [new if j is i else j for j in indices]
        one = single(found.body)
        if found.parted or one is None or one[1] != 1:
            return context.rules.summed(context, indices, found.body)
        current = one[0]
    if indices == list(bound):
        return None
    if not all(i in free_of(current) for i in indices):
        return context.rules.summed(context, indices, {current: 1})
    return finished(context, indices, current)


def _respelled(context: Context, i: Index, others: list[Index], m: Monomial) -> _Spelling | None:
    """The plainest spelling of the sum over one index; None where it has no range to respell."""
    limits = [a for a, _ in m if isinstance(a, Least) and _slope(a.poly, i) is not None]
    rest = m - {(a, 1) for a in limits}
    positions = dict.fromkeys(p for a, _ in rest if i in a.free for p in a.every_position() if i in p.indices)
    for p in positions:
        if any(i in x.indices and not isinstance(x, (Index, Entry)) for x in p.atoms()):
            return None  # a quotient: not to be shifted
    shifts = [q for q in dict.fromkeys(_own_digit(p, i) for p in positions) if q.index is not i and _slope(q, i) is not None]
    if not limits and not shifts and not unlimited(i):
        return None
    constraints = [a.poly for a in limits]
    if not unlimited(i):
        constraints += [i_poly(i), i.size - 1 - i_poly(i)]
    if not positions:  # only counted: any end may be the first place
        shifts = [c for c in constraints if c.index is not i and _slope(c, i) is not None]
    elif not any(_slope(p, i) for p in positions):  # stands with a factor alone, as in 2·i: the ends of its range are offered
        shifts = [a.poly for a in limits if a.poly.index is not i]
    best: _Spelling | None = None
    for p in (i_poly(i), *shifts):
        found = _spelled(context, i, others, rest, constraints, p)
        if found is not None and found.index is None:
            return found
        if found is not None and (best is None or found.rank < best.rank):
            best = found
    return best


def _own_digit(p: Poly, i: Index) -> Poly:
    """A position without what is counted in whole sizes of the index: in ``h·d + i`` the ``h·d`` is no shift."""
    if i.size.constant is not None or unlimited(i):
        return p
    down = p.linear_in(i)
    upwards = down is None or down[0] > 0
    left = [
        (m, c)
        for m, c in p.terms
        if not ((upwards or any(a.indices for a, _ in m)) and exact_quotient(Poly(((m, c),)), i.size) is not None)
    ]
    return Poly(left)


def _slope(p: Poly, i: Index) -> tuple[int, Poly] | None:
    found = p.linear_in(i)
    return found if found is not None and found[0] in (1, -1) else None


def _spelled(
    context: Context, i: Index, others: list[Index], rest: Monomial, constraints: list[Poly], p: Poly
) -> _Spelling | None:
    """The sum with ``p``, a position ``±i + r``, as its index; None where it has none."""
    slope = _slope(p, i)
    assert slope is not None
    sign, offset = slope
    new = context.temporary(as_poly(EVERYWHERE))
    every = list(dict.fromkeys(c.substitute({i: sign * (i_poly(new) - offset)}) for c in constraints))
    limits = _needed(context, every)
    if limits is None:
        return _Spelling(None, {})
    place = _one_place(limits, new)
    if place is not None:
        left = [c.substitute({new: place}) for c in limits]
        body = substituted(context, rest, {i: sign * (place - offset)})
        return _Spelling(None, product(context, [body, *(brackets.least(context, c) for c in left)]))
    size = _size(context, new, every)
    if size is not None:
        everywhere, new = new, context.temporary(size)
        limits = _needed(context, [c.substitute({everywhere: i_poly(new)}) for c in every])
        assert limits is not None
    try:
        body = substituted(context, rest, {i: sign * (i_poly(new) - offset)})
    except Unreduced:
        return None
    parted = False
    for c in limits:
        limit = context.one(Least, c)
        if context.mode.ranges and _splits(c, new):
            limit = brackets.split(context, c)
            parted = parted or limit != context.one(Least, c)
        body = times(context, body, limit)
    own = [(a, e) for m in body for a, e in m if new in a.free]
    shifted = (q for a, _ in own if not isinstance(a, Least) for q in a.every_position() if new in q.indices)
    odd = sum(len(q.terms) for q in shifted if q.index is not new)
    score = sum(_share(a, e, new, others) for a, e in own)
    return _Spelling(new, body, (odd, len(limits), score, poly_signature(new.size, {})), parted)


def _one_place(limits: list[Poly], i: Index) -> Poly | None:
    """The place of an index that two limits leave alone: ``p ≥ 0`` and ``−p ≥ 0``."""
    for k, c in enumerate(limits):
        slope = _slope(c, i)
        if slope is not None and any(c + d is as_poly(0) for d in limits[k + 1 :]):
            return -slope[0] * slope[1]
    return None


def _splits(limit: Poly, i: Index) -> bool:
    """Whether an end of a range is measured from a size or another index, or is a lower one: not a plain number above."""
    slope = _slope(limit, i)
    others = limit.indices != {i} or any(not a.indices for m, _ in limit.terms for a, _ in m)
    return others or (slope is not None and slope[0] > 0)


def _share(a: ProofAtom, e: Rational, i: Index, others: Sequence[Index]) -> int:
    """How the index stands in an atom, whatever the other bound indices do: each index is respelled by itself."""
    colours = {i: 1, **dict.fromkeys(others, 2)}
    if isinstance(a, Element):
        places = tuple((k, poly_signature(p, colours)) for k, p in enumerate(a.at) if i in p.indices)
        return hash((word(a.name), e, places))
    return hash(
        (word(type(a).__name__.lower()), e, sum(poly_signature(p, colours) for p in a.every_position() if i in p.indices))
    )


def _needed(context: Context, constraints: list[Poly]) -> list[Poly] | None:
    """The constraints without those that follow from another; None where two contradict."""
    kept: list[Poly] = []
    for k, c in enumerate(constraints):
        if context.holds(c):
            continue
        follows = False
        for j, d in enumerate(constraints):
            if j == k:
                continue
            if context.holds(-c - d - 1):
                return None
            if context.holds(c - d) and not (j > k and context.holds(d - c)):
                follows = True
        if not follows:
            kept.append(c)
    return kept


def _size(context: Context, new: Index, limits: list[Poly]) -> Poly | None:
    """The size of the index where its range starts at 0 or above and ends at an end that no index moves."""
    if not any(context.holds(i_poly(new) - c) for c in limits if (_slope(c, new) or (0,))[0] == 1):
        return None
    ends = [c + i_poly(new) for c in limits if (_slope(c, new) or (0,))[0] == -1]
    fixed = [e for e in ends if not e.indices]
    if not fixed:
        fixed = [f for f in (_furthest(e) for e in ends) if f is not None]
    fixed = [f for f in fixed if context.holds(f + 1)]
    if not fixed:
        return None
    best = fixed[0]
    for f in fixed[1:]:
        tighter, looser = context.holds(best - f), context.holds(f - best)
        if tighter or not looser and poly_signature(f, {}) < poly_signature(best, {}):
            best = f
    return best + 1


def _furthest(end: Poly) -> Poly | None:
    """The largest value of an end over the indices in it."""
    if any(unlimited(j) or EVERYWHERE.name in j.size.sizes() for j in end.indices):
        return None
    lowest = lower_bound(-end)
    return None if lowest is None or lowest.indices else -lowest
