"""A definition whose axis is put together of parts is written part by part: ``y[n,2·i] = …`` and ``y[n,2·i + 1] = …``.

Code stacks elements (``[j = 0]·a + [j = 1]·b``), interleaves (``z[n, ⌊j/2⌋, j mod 2]``) and joins
(``[j < h]·a[j] + [j ≥ h]·b[j − h]``); a person writes what stands in each part.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import gcd, prod

from derivcheck.notation.integers.atoms import Floor
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Index, Poly, PolyLike, as_poly, i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import ONE, ZERO
from derivcheck.notation.terms.nodes import Bracket, Ref, Term
from derivcheck.notation.terms.substitute import substitute, transform
from derivcheck.notation.terms.walk import polys, subterms
from derivcheck.notes.abridged.length import length
from derivcheck.notes.abridged.tidied import tidied

MOST = 12  # parts of a definition
ROOM = 10  # characters that a line of its own may take more
Move = dict[Index, Poly]


@dataclass(frozen=True)
class Portion:
    """Some elements of a definition.

    Attributes:
        at: where they stand.
        moves: what stands for the definition's indices there.
    """

    at: tuple[Poly, ...]
    moves: Mapping[Index, Poly]

    @property
    def told(self) -> tuple[Index, ...]:
        """The indices of which no place says how far they run: ``y[h + i]`` is there for ``i < h``."""
        return tuple(i for j, p in self.moves.items() for i in p.indices if (p - i_poly(i)).indices.isdisjoint({i}))

    def of(self, term: Term) -> Term:
        """The term there: conditions on positions are decided."""
        return _put(term, tuple(self.moves.items()))


@lru_cache(maxsize=4096)
def _put(term: Term, moves: tuple[tuple[Index, Poly], ...]) -> Term:
    if not moves:
        return term
    values: dict[Index, PolyLike] = dict(moves)
    return tidied(transform(substitute(term, values), _reduced))


def parts(d: Definition, term: Term, letters: Mapping[Poly, list[str]] | None = None) -> list[Portion]:
    """The parts of a definition with that term, all that it has; one where it is written whole.

    ``letters``: what an index of a size is called.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> d = parse_program("y[n,j<2] := [j == 0]*a[n] + [j == 1]*b[n]", {"a": "N", "b": "N"}).definitions[0]
    >>> [(str(p.at[1]), str(p.of(d.term))) for p in parts(d, d.term)]
    [('0', 'a[n]'), ('1', 'b[n]')]
    """
    found = []
    for moves in _parts(d.indices, term):
        called = {j: _called(p, d.indices, letters or {}) for j, p in moves}
        found.append(Portion(tuple(called.get(i, as_poly(i)) for i in d.indices), called))
    return found


def _called(p: Poly, own: tuple[Index, ...], letters: Mapping[Poly, list[str]]) -> Poly:
    """Positions with the letter of the part's size, where no other index has it."""
    for i in p.indices - set(own):
        free = [n for n in letters.get(i.size, ()) if all(n != k.name for k in own)]
        if free:
            return p.substitute({i: i_poly(Index(free[0], i.size))})
    return p


@lru_cache(maxsize=1024)
def _parts(indices: tuple[Index, ...], term: Term) -> list[tuple[tuple[Index, Poly], ...]]:
    """What stands for the indices in each part."""
    whole: list[Move] = [{}]
    if any(isinstance(t, Bracket) or _floors(t) for t in subterms(term)):
        for cut in _ways(indices, term):
            if 1 < len(cut) <= MOST:
                lines = [_put(term, tuple(m.items())) for m in cut]
                if all(map(_decided, lines, cut)) and sum(map(length, lines)) <= 1.3 * length(term) + ROOM * len(cut):
                    whole = cut
                    break
    return [tuple(m.items()) for m in whole]


def _floors(t: Term) -> list[Poly]:
    return [p for p in polys(t) if any(isinstance(a, Floor) for a in p.atoms())]


def _conditions(term: Term) -> Iterator[Bracket]:
    """The conditions on positions in a term."""
    for t in subterms(term):
        if isinstance(t, Bracket) and isinstance(t.operand, Poly):
            yield t


def _ways(indices: tuple[Index, ...], term: Term) -> Iterator[list[Move]]:
    """Ways to cut the axes of a definition."""
    few = [i for i in indices if (i.size.constant or 99) <= MOST and _asked(i, term)]
    if few and prod(i.size.constant or 1 for i in few) <= MOST:
        yield [
            {i: as_poly(c) for i, c in zip(few, at)} for at in itertools.product(*(range(i.size.constant or 1) for i in few))
        ]
    for j in indices:
        yield _digits(j, term)
        yield _blocks(j, term)


def _asked(i: Index, term: Term) -> bool:
    """Whether conditions ask which number an index is."""
    return any(i in b.operand.indices and all(k.size.constant for k in b.operand.indices) for b in _conditions(term))  # type: ignore[union-attr]


def _digits(j: Index, term: Term) -> list[Move]:
    """``j = c·i + k`` for each ``k``, where a small ``c`` divides the axis and is what ``j`` is divided by."""
    found: set[int] = set()
    for t in subterms(term):
        for p in polys(t):
            for a in p.atoms():
                whole = isinstance(t, Ref) and p.linear_in(j) is None  # ⌊j/2⌋ alone reads the same in all parts
                if isinstance(a, Floor) and a.numerator is i_poly(j) and a.denominator.constant and not whole:
                    found.add(a.denominator.constant)
    for b in _conditions(term):
        assert isinstance(b.operand, Poly)
        own = b.operand.linear_in(j)
        if b.relation == "==" and own is not None and abs(own[0]) == 1 and own[1].indices:
            found.add(gcd(*(c for m, c in own[1].terms if m)))
    for c in sorted(found):
        if 1 < c <= 4 and all(k % c == 0 for _, k in j.size.terms):
            length = Poly((m, k // c) for m, k in j.size.terms)
            i = Index(j.name, length, j.serial)
            return [{j: c * i_poly(i) + k} for k in range(c)]
    return []


def _blocks(j: Index, term: Term) -> list[Move]:
    """``j = start + i`` for each block that conditions ask for."""
    starts: dict[Poly, None] = {}
    for b in _conditions(term):
        assert isinstance(b.operand, Poly)
        own = b.operand.linear_in(j)
        if b.relation != ">=" or own is None or abs(own[0]) != 1 or own[1].indices:
            continue
        starts[-own[1] if own[0] == 1 else own[1] + 1] = None
    asked = [as_poly(0), *starts, j.size]
    ends = sorted(asked, key=lambda p: sum(nonnegative(p - q) for q in asked))
    if len(ends) < 3 or not all(nonnegative(b - a - 1) for a, b in zip(ends, ends[1:])):
        return []
    return [{j: a + (0 if (b - a).constant == 1 else i_poly(Index(j.name, b - a, j.serial)))} for a, b in zip(ends, ends[1:])]


def _decided(term: Term, moves: Move) -> bool:
    """Whether no condition or division is left that asks for the part's own index."""
    own = frozenset().union(*(p.indices for p in moves.values()))
    return not any(
        isinstance(t, Bracket)
        and isinstance(t.operand, Poly)
        and not own.isdisjoint(t.operand.indices)
        or any(not own.isdisjoint(p.indices) for p in _floors(t))
        for t in subterms(term)
    )


def _reduced(t: Term) -> Term:
    """``[2·i = 2·k + 1]`` is never so, ``[2·i = 2·k]`` where ``i = k``."""
    if not isinstance(t, Bracket) or not isinstance(t.operand, Poly) or t.relation not in ("==", "!="):
        return t
    by = gcd(*(c for m, c in t.operand.terms if m)) if t.operand.constant is None else 1
    if by < 2:
        return t
    if any(c % by for _, c in t.operand.terms):
        return ZERO if t.relation == "==" else ONE
    return bracket(t.relation, Poly((m, c // by) for m, c in t.operand.terms))
