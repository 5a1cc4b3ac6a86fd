"""What numbers of the recordings are as functions of the sizes: what the code carried, held against every recording.

Nothing is fitted.  A number is the expression that it carried from where the code read a size, or the dimension of a tensor
that it is in every recording, or it is the same in all of them; else it is unknown.

>>> from derivcheck.notation.integers.polynomials import size
>>> known = SizeExpressions([{"N": 6, "d": 4}, {"N": 9, "d": 7}, {"N": 1031, "d": 1049}])
>>> known.learn(size("N") * size("d"))
>>> print(known.dimension([24, 63, 1081519]), known.dimension([10, 16, 2080]))
N*d None
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from derivcheck.notation.integers.polynomials import Poly, Size, as_poly, size
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.substitute import substitute
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.tracing.watching.made_of_sizes import bare, sizes_of_term
from derivcheck.tracing.watching.rational import exact
from derivcheck.tracing.watching.real import Real
from derivcheck.tracing.watching.watched import Watched


class SizeExpressions:
    """Integer expressions by their values in the recordings, and what the sizes that were read are.

    Args:
        assignments: the sizes of each recording.
        reads: what each recording handed out, by the read's name.
    """

    def __init__(self, assignments: Sequence[Mapping[str, int]], reads: Sequence[Mapping[str, int]] = ()) -> None:
        """Start with the sizes themselves, each known by its values in the recordings."""
        self.assignments, self.reads = list(assignments), list(reads)
        self.read: dict[Size, Poly] = {}
        self.positive: set[str] = set()  # sizes that are taken to be at least 1 in what numbers became
        self._resolved: set[Poly] = set()
        self._by_values: dict[tuple[int, ...], Poly] = {}
        self._values: dict[Poly, tuple[int, ...]] = {}
        for n in assignments[0] if assignments else ():
            self._by_values.setdefault(tuple(a[n] for a in assignments), size(n))

    def learn(self, poly: Poly) -> None:
        """Make an integer expression known, so that what has its values is written so."""
        if poly.constant is None:
            self._by_values.setdefault(self.values(poly), poly)

    def reading(self, number: int, dims: Sequence[Poly]) -> None:
        """What the sizes of a tensor are that the code read."""
        for axis, p in enumerate(dims):
            self.read[Size(f"?{number}.{axis}")] = p

    def values(self, poly: Poly) -> tuple[int, ...]:
        """What an expression of the inputs' sizes is in each recording."""
        found = self._values.get(poly)
        if found is None:
            found = self._values[poly] = tuple(poly.at(a) for a in self.assignments)
        return found

    def dimension(self, values: Sequence[int]) -> Poly | None:
        """The number, or the known dimension, with these values."""
        found = self._by_values.get(tuple(values))
        if all(v == values[0] for v in values) and (found is None or values[0] < 2):
            return as_poly(int(values[0]))
        return found

    def resolved(self, poly: Poly) -> Poly | None:
        """An expression of sizes that were read, as one of the inputs' sizes; None where one of them is not known."""
        for n in poly.sizes():
            if ":" in n and Size(n) not in self.read:  # a stride or an offset: the dimension that it is in every recording
                values = [r.get(n) for r in self.reads]
                same = None if None in values or not values else self.dimension([v for v in values if v is not None])
                if same is not None and (same.constant is None or len(values) > 1):
                    self.read[Size(n)] = same
        found = poly.substitute(self.read)
        if any(n.startswith("?") for n in found.sizes()):
            return None
        if poly is not found and poly not in self._resolved:
            self._resolved.add(poly)
            self.positive |= set(self._other_at_zero(poly, found))
        return found

    def _other_at_zero(self, poly: Poly, found: Poly) -> Iterator[str]:
        """The sizes at which, where they are 0, what was written shorter is another number: ``max(n, 1)`` is no ``n`` there."""
        read = {n: self.read[Size(n)] for n in poly.sizes() if Size(n) in self.read}
        for name in sorted({n for p in read.values() for n in p.sizes()}):
            here = {**self.assignments[0], name: 0}
            try:
                if poly.at({**here, **{n: p.at(here) for n, p in read.items()}}) != found.at(here):
                    yield name
            except (KeyError, ZeroDivisionError, ValueError):
                continue

    def holds(self, poly: Poly, values: Sequence[int]) -> bool:
        """Whether an integer expression has these values."""
        try:
            return all(poly.at(a) == v for a, v in zip(self.assignments, values))
        except (KeyError, ZeroDivisionError):
            return False

    def whole(self, values: Sequence[int], candidates: Iterable[Any]) -> Poly | None:
        """The integer expression with these values among those that were carried, else a known dimension, else None."""
        held: set[Poly] = set()
        carried = False
        for n in candidates:
            poly = n.poly if isinstance(n, Watched) else _quotient(n)
            poly = None if poly is None else self.resolved(poly)
            carried = carried or poly is None or self._varies(poly.sizes())
            if poly is not None and self.holds(poly, values):
                held.add(poly)
        if held:
            return held.pop() if len(held) == 1 else None  # not told apart
        if carried:  # what was made of a size is none of the code's own numbers, though it never changed
            return None if all(v == values[0] for v in values) else self.dimension(values)
        same = all(v == values[0] for v in values)  # a number of the code's own, whatever dimension it equals here
        return as_poly(int(values[0])) if same else self.dimension(values)

    def _varies(self, names: Iterable[str]) -> bool:
        """Whether a size is among these that is not fixed: an attribute of a module may be."""
        return any(n in self.assignments[0] or n.startswith("?") for n in names)

    def real(self, values: Sequence[float], candidates: Iterable[Any]) -> Fraction | float | Term | Poly | None:
        """The number (a Fraction; infinities and NaN stay floats) or term with these values among those carried, or None."""
        carried = False
        for n in candidates:
            term = substitute(n.term, self.read)
            carried = carried or self._varies(sizes_of_term(term))
            if not any(s.startswith("?") for s in sizes_of_term(term)) and all(
                gives(term, a, v) for a, v in zip(self.assignments, values)
            ):
                return term
        if carried and len(set(values)) == 1:  # as above
            return None
        first = float(values[0])
        if all(float(x) == first or (x != x and first != first) for x in values):
            return exact(first) if math.isfinite(first) else first
        if all(math.isfinite(x) and x == int(x) for x in values):
            return self.dimension([int(x) for x in values])
        return None


def gives(meaning: Any, sizes: Mapping[str, int], value: float) -> bool:
    """Whether a number, an integer expression or a term of sizes has this value there, to within rounding."""
    try:
        if isinstance(meaning, Poly):
            return meaning.at(sizes) == value
        if isinstance(meaning, Term):
            program = Program((), (Definition("z", (), meaning),), ("z",))
            meaning = evaluate(program, {}, sizes=dict(sizes))["z"]
        found = float(meaning)
    except (KeyError, ZeroDivisionError, ValueError, OverflowError):
        return False
    # 1e-13 is some hundred roundings: the code may compute it in another order
    return found == value or found != found and value != value or abs(found - value) <= 1e-13 * max(abs(found), abs(value))


def candidates(
    values: Sequence[int | float], calls: Sequence[tuple[Sequence[Any], Sequence[Any]]], at: int
) -> list[Any] | None:
    """The watched numbers that may be number ``at`` of an operator's: those in its place where the code passed the same
    numbers in the same order, else those of its value.  None: it surely is one that the code itself wrote.

    Args:
        calls: per recording, what the code passed and what the operator got.
    """
    found: list[Any] = []
    written = 0
    for value, (given, got) in zip(values, calls):
        if len(given) >= len(got) and all(bare(g) == x for g, x in zip(given, got)):  # arguments at their default are left out
            here = [given[at]]
        else:
            here = [g for g in given if bare(g) == value]
        watched = [g for g in here if isinstance(g, (Watched, Real))]
        written += any(not isinstance(g, (Watched, Real)) for g in here)
        found += [w for w in watched if not any(_same(w, f) for f in found)]
    constant = all(v == values[0] for v in values)
    return None if not found or constant and written == len(values) else found


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one.term is other.term


def _quotient(n: Any) -> Poly | None:
    """A whole number that was carried as a float."""
    if n.above is None or n.below is None:
        return None
    above: Poly = n.above
    return above if n.below.constant == 1 else None
