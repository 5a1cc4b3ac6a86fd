"""The small-size theorem: agreement at finitely many sizes, exactly, decides a polynomial identity for every size.

An expression ``D`` is looked at as a finite sum of terms ``c·Σ_{i,j,…} B·e``.  The *entries* e are powers of formal symbols
at bare indices: elements ``x[i,j]``, and whatever is not taken apart here (``exp(x[i])``, ``x[i+1]``, ``[u[i] > 0]``), each a
symbol of its own.  B is a product of brackets that compare two indices of one size (``[i = j]``, ``[i ≥ j]``, ``[i > j]``).
The coefficient c is a polynomial in the sizes and in indices that are used as numbers; a power of a size below 0 is
multiplied out first.  Free indices stand beside the bound ones.

    Theorem.  For each size N let k be the largest number of indices of that size that stand in the entries of one term or
    are free, and d the largest degree of a term in N: its power of N in c, plus the powers of its indices of that
    size used as numbers, plus its indices of that size that stand in no entry.  If at every choice of sizes from
    ``N = k … k+d`` the expression is 0 as a polynomial in the symbols, then it is 0 at every choice of sizes.

    Proof, for one size.  Fix a monomial μ in the symbols and the values of the free indices, and let S = {s1 < … < sm} be the
    values in them; m ≤ k.  Symbols to a negative power are symbols of their own, so nothing cancels within a term: an
    assignment of values to the indices of a term gives μ only if it takes the indices in entries into S.  There are
    finitely many such assignments, the same ones for all S with the same order, and the brackets among these indices depend on
    the order alone.  An index in no entry is at a place of S or in one of the gaps between them, of which
    g0 = s1, g1 = s2 − s1 − 1, …, gm = N − 1 − sm are the lengths; summing a polynomial over t such indices, in a given order
    within their gaps, gives a polynomial in the ends of the gaps whose degree is larger by t (as Σ_{a≤v<b} of a polynomial
    is one in a and b of one degree more, also where a = b).  N and the values in S are linear in the gaps.  So the
    coefficient of μ is one polynomial P(g0, …, gm) of degree at most d for all S of this order at all N, and each g ≥ 0
    occurs, at N = m + Σg.  The grid has all g with g0 ≥ k − m and k − m ≤ Σg ≤ k − m + d: a translate of the lattice simplex of
    order d, on which a polynomial of degree d or less vanishes only if it is 0.  So P = 0, also below k.
    Several sizes: the same, one after another, as P is then a polynomial of bounded degree in each group of gaps.  ∎

The symbols need not be independent: what is 0 for all values of the symbols is 0 for those that they have.  The same goes for
sizes: an index below ``N·M`` has a size of its own here.  So the theorem proves; where the polynomial is not 0 nothing follows.
"Exactly" is a full expansion in rationals at each choice of sizes, which ends where it would take too many steps.

The orders of several indices count, so two bound indices may be compared: ``Σ[i ≥ j]·A + Σ[i < j]·A = Σ A``, and indices
may be counted: ``Σ_i Σ_j [i ≥ j] = N(N+1)/2``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from math import floor, lcm, prod

from derivcheck.notation.integers.polynomials import Index, Poly, Size, as_poly
from derivcheck.proof.expressions.atoms import (
    Element,
    Equal,
    Expression,
    Iverson,
    Least,
    ProofAtom,
    Rational,
    WholeAtom,
    unlimited,
)
from derivcheck.proof.expressions.context import Context
from derivcheck.proof.expressions.polynomials import free_in, single, whole
from derivcheck.proof.normal_form.substitution import substituted
from derivcheck.proof.normal_form.vanishing import cleared
from derivcheck.proof.second_route.flattening import Flat, TooManyTerms, flat

STEPS = 400_000  # values of indices in all: about a second


@dataclass(frozen=True)
class Grid:
    """At which values of each size the two sides were compared, and how it came out.

    Attributes:
        ranges: per size, the first and the last value.
        holds: True where they agree at all of them, which proves; False where they do not; None where it was too much.
    """

    ranges: tuple[tuple[str, int, int], ...]
    holds: bool | None

    def __str__(self) -> str:
        return ", ".join(f"{n} = {a}" if a == b else f"{n} = {a}…{b}" for n, a, b in self.ranges) or "one element"


def agreement(context: Context, expression: Expression) -> Grid | None:
    """Whether the expression is 0 on the grid that decides; None where the theorem does not apply (a sum over all integers).

    >>> from derivcheck.notation.text.dims import parse_input
    >>> from derivcheck.notation.text.parse import TextScope, parse_term
    >>> from derivcheck.proof.normal_form.normal import new_context, of_term
    >>> context, scope = new_context(), TextScope({"x": parse_input("x", "N")})
    >>> d = of_term(context, parse_term("sum(i: x[i])^2 - sum(i: x[i]^2) - 2*sum(i, j: [i < j]*x[i]*x[j])", scope))
    >>> str(agreement(context, d)), agreement(context, d).holds
    ('N = 2', True)
    """
    grids = [_Sum(context, part).compared() for part in cleared(context, expression) if part]
    if any(g is None for g in grids):
        return None
    found = [g for g in grids if g is not None]
    holds = False if any(g.holds is False for g in found) else None if any(g.holds is None for g in found) else True
    ranges: dict[str, tuple[int, int]] = {}
    for g in found:
        for n, a, b in g.ranges:
            old = ranges.get(n, (a, b))
            ranges[n] = (min(old[0], a), max(old[1], b))
    return Grid(tuple((n, a, b) for n, (a, b) in sorted(ranges.items())), holds)


@dataclass(frozen=True)
class _Read:
    """A term that is read: what it is at sizes and values of its indices.

    Attributes:
        sizes: powers of sizes, by name.
        numbers: powers of indices used as numbers.
        order: (low, high, gap): ``high − low ≥ gap``; gap None says equal.
        entries: (symbol, its indices, exponent).
    """

    coefficient: Fraction
    bound: tuple[Index, ...]
    sizes: dict[str, int]
    numbers: tuple[tuple[Index, int], ...]
    order: tuple[tuple[Index, Index, int | None], ...]
    entries: tuple[tuple[int, tuple[Index, ...], Rational], ...]


class _Sum:
    """An expression without denominators, looked at as the theorem does."""

    def __init__(self, context: Context, expression: Expression) -> None:
        self.context = context
        self.expression = expression
        self.free = sorted(free_in(expression), key=lambda i: (i.name, i.serial, str(i.size)))
        self.symbols: dict[object, int] = {}
        self.bracket: set[int] = set()

    def compared(self) -> Grid | None:
        """The grid, and whether the expression is 0 on it."""
        try:
            opened_ = [t for m, c in self.expression.items() for t in flat(self.context, m, c)]
        except TooManyTerms:
            return Grid((), None)
        terms = [self._read(t) for t in opened_]
        if not terms:
            return Grid((), True)
        indices = [*self.free, *(i for t in terms for i in t.bound)]
        if any(unlimited(i) or i.size.indices or i.size.names for i in indices):
            return None
        terms = self._whole(terms)
        lengths = list(dict.fromkeys([i.size for i in indices]))
        bare = {str(p) for p in lengths}
        lengths += [as_poly(Size(n)) for n in sorted({n for t in terms for n in t.sizes} - bare)]
        ranges = {p: self._range(p, terms) for p in lengths}
        shown = tuple((str(p), r.start, r[-1]) for p, r in ranges.items() if p.constant is None)
        if prod(map(len, ranges.values())) > STEPS:
            return Grid(shown, None)
        choices = [dict(zip(lengths, v)) for v in product(*ranges.values())]
        if sum(self._steps(t, c) for c in choices for t in terms) > STEPS:
            return Grid(shown, None)
        return Grid(shown, all(self._vanishes(terms, c) for c in choices))

    # -- reading -------------------------------------------------------------------
    def _read(self, t: Flat) -> _Read:
        """A term with each factor as what the theorem knows: a size, a number, a comparison, a symbol."""
        coefficient = Fraction(t.coefficient)
        sizes: dict[str, int] = {}
        numbers: list[tuple[Index, int]] = []
        order: list[tuple[Index, Index, int | None]] = []
        entries: list[tuple[int, tuple[Index, ...], Rational]] = []
        for a, e in t.factors:
            compared = _compared(a) if isinstance(a, (Equal, Least)) else None
            if compared is not None:
                order.append(compared)
            elif isinstance(a, WholeAtom) and isinstance(a.integer, Size):
                sizes[a.integer.name] = sizes.get(a.integer.name, 0) + floor(e)
                if e != floor(e):
                    entries.append(self._entry(a, e - floor(e))[:3])
            elif isinstance(a, WholeAtom) and isinstance(a.integer, Index) and whole(e) and e > 0:
                numbers.append((a.integer, int(e)))
            else:
                symbol, at, power, by = self._entry(a, e)
                coefficient *= by
                entries.append((symbol, at, power))
        return _Read(coefficient, t.bound, sizes, tuple(numbers), tuple(order), tuple(entries))

    def _entry(self, a: ProofAtom, e: Rational) -> tuple[int, tuple[Index, ...], Rational, Rational]:
        """``a^e`` as a power of a symbol and a number: one symbol for ``tanh(x[i])`` and ``tanh(x[j])``."""
        if isinstance(a, Element) and None not in (at := [p.index for p in a.at]):
            bare = tuple(i for i in at if i is not None)
            return self._symbol((a.name, tuple(i.size for i in bare)), e), bare, e, 1
        rest = dict.fromkeys(a.free, 2)
        order = sorted(a.free, key=lambda i: (a.coloured({**rest, i: 1}), i.name, i.serial))
        places = {i: as_poly(Index("@", i.size, k)) for k, i in enumerate(order)}
        one = single(substituted(self.context, frozenset(((a, e),)), places)) if places else (frozenset(((a, e),)), 1)
        if one is not None and len(one[0]) == 1:
            ((named, power),) = one[0]
            return self._symbol(named, power), tuple(order), power, one[1]
        return self._symbol((a, tuple(order)), e), tuple(order), e, 1

    def _symbol(self, what: object, e: Rational) -> int:
        """A symbol and its powers below 0 are two."""
        found = self.symbols.setdefault((what, e < 0), len(self.symbols))
        if isinstance(what, Iverson):
            self.bracket.add(found)
        return found

    def _whole(self, terms: Sequence[_Read]) -> list[_Read]:
        """The terms times what stands below the line: a number, powers of sizes."""
        by = lcm(*(t.coefficient.denominator for t in terms))
        names = {n for t in terms for n in t.sizes}
        lift = {n: max(0, *(-t.sizes.get(n, 0) for t in terms)) for n in names}
        sizes = [{n: t.sizes.get(n, 0) + lift[n] for n in names} for t in terms]
        return [replace(t, coefficient=t.coefficient * by, sizes=s) for t, s in zip(terms, sizes)]

    # -- the grid --------------------------------------------------------------------
    def _range(self, length: Poly, terms: Sequence[_Read]) -> range:
        if length.constant is not None:
            return range(length.constant, length.constant + 1)
        k = max(self._in_entries(t, length) for t in terms)
        d = max(self._degree(t, length) for t in terms)
        return range(max(k, 1), max(k, 1) + d + 1)

    def _in_entries(self, t: _Read, length: Poly) -> int:
        held = {i for _, at, _ in t.entries for i in at}
        return len({i for i in (*self.free, *held) if i.size is length})

    def _degree(self, t: _Read, length: Poly) -> int:
        held = {i for _, at, _ in t.entries for i in at}.union(self.free)
        counted = sum(1 for i in t.bound if i.size is length and i not in held)
        name = length.atom.name if isinstance(length.atom, Size) else ""
        return counted + t.sizes.get(name, 0) + sum(e for i, e in t.numbers if i.size is length)

    def _steps(self, t: _Read, sizes: Mapping[Poly, int]) -> int:
        total = 1
        for i in (*self.free, *t.bound):
            total *= sizes[i.size]
        return total

    # -- expanding -------------------------------------------------------------------
    def _vanishes(self, terms: Sequence[_Read], sizes: Mapping[Poly, int]) -> bool:
        """Whether the terms add up to 0 at these sizes, at every value of the free indices."""
        named = {p.atom.name: n for p, n in sizes.items() if isinstance(p.atom, Size)}
        for values in product(*(range(sizes[i.size]) for i in self.free)):
            total: dict[object, int] = {}
            for t in terms:
                self._add(total, t, dict(zip(self.free, values)), sizes, named)
            if any(total.values()):
                return False
        return True

    def _add(
        self, total: dict[object, int], t: _Read, at: dict[Index, int], sizes: Mapping[Poly, int], named: Mapping[str, int]
    ) -> None:
        """Add a term, written out over its bound indices, to the polynomial in the symbols."""
        front = int(t.coefficient) * prod(named[n] ** e for n, e in t.sizes.items())
        for values in assignments(t.bound, t.order, at, sizes):
            self.context.tick()
            c = front * prod(values[i] ** e for i, e in t.numbers)
            powers: dict[tuple[int, ...], Rational] = {}
            for symbol, places, e in t.entries:
                key = (symbol, *(values[i] for i in places))
                powers[key] = 1 if symbol in self.bracket else powers.get(key, 0) + e
            monomial = frozenset(powers.items())
            total[monomial] = total.get(monomial, 0) + c


def _compared(a: Equal | Least) -> tuple[Index, Index, int | None] | None:
    """``(low, high, gap)`` of a bracket that compares two indices of one size, else None."""
    p = a.poly
    for low in p.indices:
        for high in p.indices - {low}:
            if low.size is not high.size:
                continue
            gap = (as_poly(high) - as_poly(low) - p).constant
            if isinstance(a, Equal) and gap == 0:
                return low, high, None
            if isinstance(a, Least) and gap is not None and 0 <= gap <= 1:
                return low, high, gap
    return None


def assignments(
    bound: Sequence[Index],
    order: Iterable[tuple[Index, Index, int | None]],
    start: Mapping[Index, int],
    sizes: Mapping[Poly, int],
) -> Iterator[dict[Index, int]]:
    """The values of the indices at which all comparisons hold."""
    values = dict(start)
    rules = list(order)
    place = {i: k for k, i in enumerate(bound)}
    ready = [[r for r in rules if max(place.get(r[0], -1), place.get(r[1], -1)) == k] for k in range(-1, len(bound))]

    def holds(k: int) -> bool:
        return all(
            values[low] == values[high] if gap is None else values[high] - values[low] >= gap for low, high, gap in ready[k + 1]
        )

    def visit(k: int) -> Iterator[dict[Index, int]]:
        if k == len(bound):
            yield values
            return
        for v in range(sizes[bound[k].size]):
            values[bound[k]] = v
            if holds(k):
                yield from visit(k + 1)

    if holds(-1):
        yield from visit(0)
