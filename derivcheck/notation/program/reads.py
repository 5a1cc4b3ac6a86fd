"""Reads of elements that are not there: ``x[n + 1]`` at the last n is refused, ``x[7]`` needs a size of 8, ``n//(N−1)`` N ≠ 1.

A position has to lie inside its dimension at all indices at which it is read; brackets beside it say at which.  What neither
is shown nor refuted (a position made of quotients, of integer entries) becomes a condition in words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, islice, product
from typing import Any

from derivcheck.errors import NotationError
from derivcheck.notation.integers.atoms import Entry, Floor, entries
from derivcheck.notation.integers.bounds import lower_bound, nonnegative
from derivcheck.notation.integers.polynomials import Atom, Index, Poly, Size
from derivcheck.notation.integers.relations import holds
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.requirements import Requirement
from derivcheck.notation.terms.nodes import Bracket, Over, Ref, Term
from derivcheck.notation.terms.walk import factors, polys, subterms

LARGE = (7, 5, 6, 8, 9)  # sizes at which a read is tried out
FAR = 64  # a constant beyond this is out of reach
TRIES = 20_000  # choices of the indices at which a read is tried out


@dataclass(frozen=True)
class Read:
    """One position of a read: it has to be at least 0 and below ``length`` wherever all guards hold."""

    text: str
    name: str
    position: Poly
    length: Poly
    guards: tuple[Bracket, ...]
    dropped: bool  # it stands no more beside what may have guarded it


def inside(program: Program) -> Program:
    """The Program with what its reads require of sizes, and in words what is not known of them.

    Raises:
        NotationError: a read beyond an end of its tensor, at whatever sizes.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> inside(parse_program("y[n] := x[7]*x[n] + [n >= 2]*x[n - 2]", {"x": "N"})).conditions
    ('N >= 8',)
    """
    needs: dict[Requirement, None] = {}
    words: dict[str, None] = {}
    for r in _reads(program):
        if isinstance(r.position.atom, Entry):
            continue  # an integer tensor stays below the size that it is a position in
        for gap, end in ((r.position, "before the start"), (r.length - 1 - r.position, "beyond the end")):
            if _holds(gap, r.guards):
                continue
            least = lower_bound(gap) if not r.guards or not gap.indices else None
            if least is not None and all(isinstance(a, Size) for a in least.atoms()) and not nonnegative(-least - 1):
                c = next((k for m, k in least.terms if not m), 0)
                needs[Requirement(least - c, ">=", Poly((((), -c),) if c else ()))] = None
            elif not r.dropped and (where := _violated(gap, r)) is not None:
                raise NotationError(
                    f"{r.text} reads {end} of {r.name}, which has {r.length} there: {where}; "
                    f"write [{gap} >= 0] beside it, or let the index run over fewer places"
                )
            else:
                words[f"0 ≤ {r.position} < {r.length}"] = None
    for d in _denominators(program):
        if all(isinstance(a, Size) for a in d.atoms()):
            needs[Requirement(d, "!=", Poly(()))] = None
        else:
            words[f"{d} ≠ 0"] = None
    every = dict.fromkeys((*program.conditions, *(str(n) for n in needs), *words))
    return replace(program, conditions=tuple(every), requires=tuple(dict.fromkeys((*program.requires, *needs))))


def _reads(program: Program) -> Iterator[Read]:
    """Every element that the terms read, with the brackets that guard it."""
    dims = {a.name: a.dims for a in program.arguments} | {d.name: d.dims for d in program.definitions}
    for term, dropped in (*((d.term, False) for d in program.definitions), *((t, True) for t in program.dropped)):
        waiting: list[tuple[Term, tuple[Bracket, ...]]] = [(term, ())]
        seen: set[Any] = set()
        while waiting:
            t, guards = waiting.pop()
            if (t, guards) in seen:
                continue
            seen.add((t, guards))
            guards += tuple(f for f in factors(t) if isinstance(f, Bracket) and isinstance(f.operand, Poly))
            if isinstance(t, Over):
                guards += tuple(Bracket(">=", i.size - 1 - Poly(((((i, 1),), 1),))) for i in t.indices if i.size.indices)
            waiting += [(c, guards) for c in t.children]
            for name, at in _elements(t):
                text = f"{name}[{', '.join(map(str, at))}]"
                for p, n in zip(at, dims.get(name, ())):
                    yield Read(text, name, p, n, guards if not isinstance(t, Bracket) else guards[:-1], dropped)


def _denominators(program: Program) -> Iterator[Poly]:
    """What whole numbers are divided by and may be 0."""
    sizes = [p for d in program.definitions for p in d.dims]
    places = [p for d in program.definitions for t in subterms(d.term) for p in _polys(t)]
    waiting = [a for p in (*sizes, *places) for a in p.atoms()]
    while waiting:
        a = waiting.pop()
        inner = (a.numerator, a.denominator) if isinstance(a, Floor) else getattr(a, "at", getattr(a, "args", ()))
        waiting += [b for p in inner for b in p.atoms()]
        if isinstance(a, Floor) and not nonnegative(a.denominator - 1) and not nonnegative(-a.denominator - 1):
            yield a.denominator


def _polys(t: Term) -> Sequence[Poly]:
    """The integer expressions of a node; of a reduction, the sizes that it runs over."""
    return [i.size for i in t.indices] if isinstance(t, Over) else polys(t)


def _elements(t: Term) -> Iterator[tuple[str, Sequence[Poly]]]:
    """Each element that a node reads, also inside positions."""
    if isinstance(t, Ref):
        yield t.name, t.at
    yield from ((e.name, e.at) for e in entries(polys(t)))


def _holds(gap: Poly, guards: Sequence[Bracket]) -> bool:
    """Whether it is at least 0 wherever the guards hold, by the sum of one or two of them."""
    least = lower_bound(gap)
    gap = _without_quotient(gap if least is None or guards else least)
    if nonnegative(gap):
        return True
    known: list[Poly] = []
    for g in guards:
        assert isinstance(g.operand, Poly)
        if g.relation == ">=":
            known.append(g.operand)
        elif g.relation == "==":
            known += (g.operand, -g.operand)
    return any(nonnegative(gap - sum(some, Poly(()))) for k in (1, 2) for some in combinations(known, k))


def _without_quotient(gap: Poly) -> Poly:
    """What is at least 0 exactly where ``gap`` is, without its one quotient: ``r − a//d ≥ 0`` is ``d·r − a + d − 1 ≥ 0``."""
    quotients = [a for a in gap.atoms() if isinstance(a, Floor)]
    found = gap.linear_in(quotients[0]) if len(quotients) == 1 else None
    if found is None or found[0] not in (1, -1) or not nonnegative(quotients[0].denominator - 1):
        return gap
    a, d = quotients[0].numerator, quotients[0].denominator
    return d * found[1] + a if found[0] == 1 else d * found[1] - a + d - 1


def _violated(gap: Poly, r: Read) -> str | None:
    """Sizes and indices at which the guards hold and the position is not inside, in words; None where none was found."""
    polys = [gap, *(g.operand for g in r.guards if isinstance(g.operand, Poly))]
    if any(p.names for p in polys):
        return None
    names = sorted(frozenset[str]().union(*(p.sizes() for p in polys)))
    indices = sorted(frozenset[Index]().union(*(p.indices for p in polys)), key=lambda i: i.key)
    far = max((abs(c) for p in polys for m, c in p.terms if not m), default=0)
    sizes = {n: LARGE[k % len(LARGE)] + min(far, FAR) for k, n in enumerate(names)}
    if any(i.size.indices for i in indices):
        return None
    try:
        ranges = [range(i.size.at(sizes)) for i in indices]
        for values in islice(product(*ranges), TRIES):
            at = dict(zip(indices, values))
            if all(_true(g, sizes, at) for g in r.guards) and _value(gap, sizes, at) < 0:
                told = [f"{i.key} = {v}" for i, v in at.items()] + [f"{n} = {v}" for n, v in sizes.items()]
                return f"at {', '.join(told)}" if told else "always"
    except (KeyError, ZeroDivisionError):
        return None
    return None


def _true(g: Bracket, sizes: Mapping[str, int], at: Mapping[Index, int]) -> bool:
    assert isinstance(g.operand, Poly)
    v = _value(g.operand, sizes, at)
    return bool(holds(g.relation, v))


def _value(p: Poly, sizes: Mapping[str, int], at: Mapping[Index, int]) -> int:
    def look(a: Atom) -> int:
        return sizes[a.name] if isinstance(a, Size) else at[a]  # type: ignore[index]

    return int(p.evaluate(look))
