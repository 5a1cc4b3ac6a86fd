"""Positions that surely differ: a scatter that does not accumulate writes to no element twice.

``i*C + j`` with ``j < C`` is a number of mixed radix: each stride is more than all smaller ones together can make.  What a
mask sends elsewhere (``where(j < D, i*D + j, size)``) is looked at case by case; where all of a case goes to one element, that
element must be one that nothing reads.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from derivcheck.notation.integers.atoms import Entry, Floor, floored
from derivcheck.notation.integers.bounds import nonnegative, sloped
from derivcheck.notation.integers.polynomials import Atom, Index, Poly, as_poly, i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.nodes import Add, Bracket, Mul, Number, Ref, SizeOf, Term
from derivcheck.notation.terms.substitute import substitute
from derivcheck.notation.terms.walk import refs

MOST_CASES = 64
Facts = tuple[Poly, ...]


@dataclass(frozen=True)
class Scatter:
    """Elements that are put in place.

    Attributes:
        name: what they are put into; None where that melts into its uses.
        over: the indices of what is written.
        places: for each dimension of the result, the position that is written.
    """

    name: str | None
    over: tuple[Index, ...]
    places: tuple[Poly, ...]


class _Open(Exception):
    """A bracket whose value is not chosen yet."""

    def __init__(self, key: object, yes: Facts, no: Facts) -> None:
        super().__init__()
        self.key, self.yes, self.no = key, yes, no


class _Unknown(Exception):
    """A position that is not read."""


def surely_distinct(scatter: Scatter, definitions: Sequence[Definition], outputs: Iterable[str]) -> bool:
    """Whether no element that something reads is written twice, at all sizes."""
    known = {d.name: d for d in definitions}
    left = tuple(i for i in scatter.over if i.size.constant != 1)
    try:
        cases = list(_cases(scatter.places, known))
    except _Unknown:
        return False
    name, read = scatter.name, None
    if name is not None and name not in set(outputs) and known[name].kind == "float":
        read = [r.at for d in definitions for r in refs(d.term) if r.name == name]
    seen = [c for c in cases if read is None or not _unread(c, read)]
    if not all(_injective(places, left, facts) for places, facts in seen):
        return False
    return all(_apart(a, b) for a, b in itertools.combinations(seen, 2))


_Case = tuple[tuple[Poly, ...], Facts]


def _cases(places: Sequence[Poly], known: Mapping[str, Definition]) -> Iterator[_Case]:
    """The positions, with integer tensors written out, in each case of the brackets in them."""
    open_: list[tuple[dict[object, bool], Facts]] = [({}, ())]
    count = 0
    while open_:
        chosen, facts = open_.pop()
        count += 1
        if count > 2 * MOST_CASES:
            raise _Unknown
        if any(nonnegative(-f - 1) for f in facts):
            continue  # no element is in this case
        try:
            yield tuple(_written(p, known, chosen, facts) for p in places), facts
        except _Open as e:
            open_ += [({**chosen, e.key: v}, facts + f) for v, f in ((True, e.yes), (False, e.no))]


def _written(p: Poly, known: Mapping[str, Definition], chosen: Mapping[object, bool], facts: Facts) -> Poly:
    """A position with integer tensors and quotients written out."""
    values: dict[Atom, Poly] = {}
    for a in p.atoms():
        if isinstance(a, Entry):
            d = known.get(a.name)
            if d is None or d.recurrent:
                raise _Unknown
            values[a] = _value(substitute(d.term, dict(zip(d.indices, a.at))), known, chosen, facts)
        elif isinstance(a, Floor):
            above, below = (_written(q, known, chosen, facts) for q in (a.numerator, a.denominator))
            values[a] = _quotient(above, below, facts)
        elif a.parts and not isinstance(a, Index):
            raise _Unknown
    return p.substitute(values) if values else p


def _quotient(above: Poly, below: Poly, facts: Facts) -> Poly:
    for k in (0, -1):
        rest = above - k * below
        if _sure(rest, facts) and _sure(below - 1 - rest, facts):
            return as_poly(k)
    return floored(above, below)


def _value(t: Term, known: Mapping[str, Definition], chosen: Mapping[object, bool], facts: Facts) -> Poly:
    """An integer term as a polynomial, its brackets as they are chosen."""
    if isinstance(t, Number) and t.value.denominator == 1:
        return as_poly(int(t.value))
    if isinstance(t, SizeOf):
        return _written(t.value, known, chosen, facts)
    if isinstance(t, Ref):
        return _written(as_poly(Entry(t.name, t.at)), known, chosen, facts)
    if isinstance(t, (Add, Mul)):
        if isinstance(t, Mul) and any(isinstance(a, Bracket) and _holds(a, known, chosen, facts) is False for a in t.args):
            return as_poly(0)
        total = as_poly(0 if isinstance(t, Add) else 1)
        for part in (_value(a, known, chosen, facts) for a in t.args):
            total = total + part if isinstance(t, Add) else total * part
        return total
    if isinstance(t, Bracket):
        return as_poly(int(_holds(t, known, chosen, facts)))
    raise _Unknown


def _holds(t: Bracket, known: Mapping[str, Definition], chosen: Mapping[object, bool], facts: Facts) -> bool:
    """Whether a bracket holds in this case."""
    if not isinstance(t.operand, Poly):
        if t not in chosen:
            raise _Open(t, (), ())
        return chosen[t]
    d = _written(t.operand, known, chosen, facts)
    if t.relation in ("==", "!="):
        equal = _asked(("==", max(d, -d, key=str)), (d, -d), (), chosen, facts)
        return equal == (t.relation == "==")
    d = d - 1 if t.relation == ">" else d
    if max(d, -d - 1, key=str) is d:
        return _asked((">=", d), (d,), (-d - 1,), chosen, facts)
    return not _asked((">=", -d - 1), (-d - 1,), (d,), chosen, facts)


def _asked(key: tuple[str, Poly], yes: Facts, no: Facts, chosen: Mapping[object, bool], facts: Facts) -> bool:
    if key in chosen:
        return chosen[key]
    if all(_sure(f, facts) for f in yes):
        return True
    if no and all(_sure(f, facts) for f in no):
        return False
    raise _Open(key, yes, no)


def _sure(p: Poly, facts: Facts) -> bool:
    """Whether it is at least 0 where the facts are."""
    if nonnegative(p) or any(nonnegative(p - f) for f in facts):
        return True
    return any(nonnegative(p - f - g) for f, g in itertools.combinations(facts, 2))


def _injective(places: Sequence[Poly], over: Sequence[Index], facts: Facts) -> bool:
    """Whether the indices can be told from the positions: from one after the other, each tells those that are left in it."""
    left, rest = set(over), list(places)
    while left:
        for p in rest:
            own = [i for i in left if i in p.indices]
            if own and _mixed_radix(p, own, facts):
                break
        else:
            return False
        left -= set(own)
        rest.remove(p)
    return True


def _mixed_radix(p: Poly, own: Sequence[Index], facts: Facts) -> bool:
    """Whether a position tells indices: its strides go down, and each is more than what the smaller ones make together."""
    strides: dict[Index, Poly] = {}
    for i in own:
        found = sloped(p, i)
        if found is None or any(j in found[0].indices for j in own):
            return False
        slope = found[0] if nonnegative(found[0] - 1) else -found[0]
        if not nonnegative(slope - 1):
            return False
        strides[i] = slope
    left = list(own)
    while left:
        top = next((i for i in left if all(j is i or nonnegative(strides[i] - strides[j]) for j in left)), None)
        if top is None:
            return False
        left.remove(top)
        spans = [[strides[j] * s for s in _spans(j, facts)] for j in left]
        if not any(nonnegative(strides[top] - 1 - sum(each, as_poly(0))) for each in itertools.product(*spans)):
            return False
    return True


def _spans(i: Index, facts: Facts) -> list[Poly]:
    """How far apart two values of an index can be: by its size, or by the facts."""
    tops, bottoms = [i.size - 1], [as_poly(0)]
    for f in facts:
        linear = f.linear_in(i)
        if linear is not None and linear[0] == -1:
            tops.append(linear[1])
        if linear is not None and linear[0] == 1:
            bottoms.append(-linear[1])
    return [t - b for t in tops for b in bottoms if not t.indices and not b.indices]


def _unread(case: _Case, read: Iterable[Sequence[Poly]]) -> bool:
    """Whether nothing reads where this case writes."""
    places, facts = case
    others = ([_renamed(q, ())[0] for q in at] for at in read)
    return all(any(_below(p, q, facts) or _below(q, p, facts) for p, q in zip(places, at)) for at in others)


def _apart(a: _Case, b: _Case) -> bool:
    """Whether two cases write to different elements, whatever their indices."""
    (ps, mine), (qs, theirs) = a, b
    for p, q in zip(ps, qs):
        q, facts = _renamed(q, theirs)
        if _below(p, q, mine + facts) or _below(q, p, mine + facts):
            return True
    return False


def _renamed(q: Poly, facts: Facts) -> tuple[Poly, Facts]:
    """The same with indices of its own."""
    indices = sorted({i for f in (q, *facts) for i in f.indices}, key=lambda i: i.key)
    moves = {i: i_poly(Index(f"{i.name}'", i.size, i.serial)) for i in indices}
    return q.substitute(moves), tuple(f.substitute(moves) for f in facts)


def _below(p: Poly, q: Poly, facts: Facts) -> bool:
    return _sure(q - 1 - p, facts)


__all__ = ["Scatter", "surely_distinct"]
