"""The space that a proof works in: interned atoms, what is assumed, which rules were used, and the time left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Any

from derivcheck.notation.integers.atoms import Entry
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Index, Poly, PolyLike, Size, i_poly
from derivcheck.proof.atoms import (
    EVERYWHERE,
    NOTHING,
    UNIT,
    Atom,
    Expression,
    Monomial,
    frozen,
    height_of,
    position_free,
)

if TYPE_CHECKING:
    from derivcheck.proof.domain import Domain
    from derivcheck.proof.kinks import Kinks


class OutOfTime(Exception):
    """The time limit of a proof is reached."""


class Unreduced(Exception):
    """A term has no normal form here: a sum over all integers, a power of zero."""


class Space:
    """What one proof shares.

    Attributes:
        expand: write sigmoid, tanh, … through exp, and powers of sums through one another.
        ranges: write ``[p + c ≥ 0]`` through ``[p ≥ 0]`` and deltas, so that sums split at their ends.
        top: the indices that no Σ binds.
        shifts: respell shifted and reflected indices, so that equal sums are spelled alike.
        ties: take it that what the bracket of a kink compares is never equal: a condition.
        kinds: the kind of each tensor that is not of real numbers: ``bool`` or ``int``.
        kinks: which comparisons are kinks (see :mod:`~derivcheck.proof.kinks`); None: none is.
        domain: what the forward is defined for (see :mod:`~derivcheck.proof.domain`); None: nothing is known of it.
        below: for an integer tensor, the size that its entries stay below.
        conditions: what the rewritings assume, in words.
        rules: how often each rewriting was used.
    """

    def __init__(
        self,
        below: Mapping[str, Poly] | None = None,
        expand: bool = False,
        ranges: bool = False,
        ties: bool = False,
        shifts: bool = True,
        deadline: float | None = None,
        top: Iterable[Index] = (),
        kinds: Mapping[str, str] | None = None,
        kinks: Kinks | None = None,
        domain: Domain | None = None,
    ) -> None:
        self.top: frozenset[Index] = frozenset(top)
        self.expand, self.ranges, self.ties, self.shifts = expand, ranges, ties, shifts
        self.below = dict(below or {})
        self.kinds, self.kinks, self.domain = dict(kinds or {}), kinks, domain
        self.conditions: dict[str, None] = {}
        self.rules: Counter[str] = Counter()
        self.deadline = deadline
        self._atoms: dict[Any, Atom] = {}
        self._serial = count(1)
        self._steps = 0
        self.terms: dict[Any, Expression] = {}
        self.signs: dict[Poly, bool] = {}
        self.polys: dict[Poly, int] = {}
        self.relations: dict[tuple[Poly, Poly], tuple[str, Poly | None]] = {}
        self.powers: dict[Any, Expression] = {}
        self.left_out: dict[Any, tuple[str, bool, str]] = {}
        self._signs: dict[Atom, int] = {}
        self._meetings: dict[Any, Expression | None] = {}
        self.compared: set[str] | None = None
        self.compared_by_forward: set[str] | None = None

    def tick(self) -> None:
        """Stop where the time limit is reached."""
        self._steps += 1
        if self.deadline is not None and self._steps % 16 == 0 and perf_counter() > self.deadline:
            raise OutOfTime

    def used(self, rule: str) -> None:
        """Note that a rewriting was used."""
        self.rules[rule] += 1

    def assume(self, condition: str) -> None:
        """Note what a rewriting assumes."""
        self.conditions.setdefault(condition)

    def meets(self, u: Expression) -> Expression | None:
        """Where the two sides of a kink are the same for all inputs; None where ``[u > 0]`` is no kink."""
        if self.kinks is None:
            return None
        key = frozen(u)
        if key not in self._meetings:
            self._meetings[key] = self.kinks.meets(self, u)
        return self._meetings[key]

    def collecting(self) -> Space:
        """A space like this one in which comparisons are collected, and no kink is left out."""
        found = Space(
            self.below, True, False, True, deadline=self.deadline, top=self.top, kinds=self.kinds, kinks=self.kinks,
            domain=self.domain,
        )  # fmt: skip
        found.compared = set()
        return found

    def sign(self, a: Atom) -> int:
        """1 or −1 where the forward is not defined unless the atom is above or below 0, else 0."""
        if self.domain is None:
            return 0
        if a not in self._signs:
            self._signs[a] = 0  # also while it is looked for
            self._signs[a] = self.domain.sign(self, a)
        return self._signs[a]

    def tied(self, u: Expression, same: Expression) -> None:
        """Note that a kink is left out."""
        assert self.kinks is not None
        if frozen(u) not in self.left_out:
            self.left_out[frozen(u)] = self.kinks.told(self, u, same)

    def temporary(self, size: PolyLike) -> Index:
        """A new index that stands nowhere else."""
        return Index("~", size, next(self._serial))

    def atom(self, kind: str, *data: Any) -> Atom:
        """The atom of that kind and content: one object."""
        found = self._atoms.get((kind, data))
        if found is None:
            found = self._atoms[kind, data] = self._new(kind, data)
        return found

    def one(self, kind: str, *data: Any) -> Expression:
        """The atom as an expression."""
        return {frozenset(((self.atom(kind, *data), 1),)): 1}

    def _new(self, kind: str, data: tuple[Any, ...]) -> Atom:
        from derivcheck.proof.signatures import signature

        a = object.__new__(Atom)
        a.kind, a.data = kind, data
        a.free, a.names, a.elements, a.height = NOTHING, NOTHING, NOTHING, 0
        if kind == "element":
            a.free = position_free(data[1])
            a.elements = frozenset((data[0],))
            a.names = a.elements.union(*(p.names for p in data[1]))
        elif kind == "whole":
            a.free, a.names = data[0].indices, data[0].names
            if isinstance(data[0], Entry):
                a.elements = frozenset((data[0].name,))
        elif kind in ("equal", "least"):
            a.free, a.names = data[0].indices, data[0].names
        elif kind == "sigma":
            bound, m = data
            a.free, a.names, a.elements, a.height = _within((m,), bound)
        elif kind == "over":
            _, bound, body = data
            a.free, a.names, a.elements, a.height = _within((m for m, _ in body), bound)
        elif kind == "exp":
            a.free, a.names, a.elements, a.height = _within((data[0],), ())
        elif kind in ("above", "base"):
            a.free, a.names, a.elements, a.height = _within((m for m, _ in data[0]), ())
        elif kind == "apply":
            a.free, a.names, a.elements, a.height = _within((m for e in data[1] for m, _ in e), ())
        a.signature = signature(self, a, {})
        return a

    # -- what is known of integers --------------------------------------------
    def holds(self, p: Poly) -> bool:
        """Whether ``p ≥ 0`` surely holds wherever the indices have values (False: not known)."""
        found = self.signs.get(p)
        if found is None:
            found = self.signs[p] = self._holds(p)
        return found

    def _holds(self, p: Poly) -> bool:
        if p.constant is not None:
            return p.constant >= 0
        if any(EVERYWHERE.name in i.size.sizes() for i in p.indices):
            return False
        moves: dict[Any, PolyLike] = {}
        for a in p.atoms():
            if isinstance(a, Entry) and a.name in self.below:
                moves[a] = i_poly(Index(f"{a.key}", self.below[a.name]))
        return nonnegative(p.substitute(moves) if moves else p)


def _within(monomials: Any, bound: tuple[Index, ...]) -> tuple[frozenset[Index], frozenset[str], frozenset[str], int]:
    free: set[Index] = set()
    names: set[str] = set()
    elements: set[str] = set()
    height = 0
    for m in monomials:
        for a, _ in m:
            free |= a.free
            names |= a.names
            elements |= a.elements
            height = max(height, a.height)
    inside = frozenset(free) - frozenset(bound)
    for i in bound:
        inside |= i.size.indices
        names |= i.size.names
    return inside, frozenset(names), frozenset(elements), height + (1 if bound else 0)


def unlimited(index: Index) -> bool:
    """Whether the index runs over all integers."""
    a = index.size.atom
    return isinstance(a, Size) and a is EVERYWHERE


def constant(expression: Expression) -> Any:
    """The number if the expression is one, else None."""
    if not expression:
        return 0
    if len(expression) == 1 and UNIT in expression:
        return expression[UNIT]
    return None


def single(expression: Expression) -> tuple[Monomial, Any] | None:
    """``(monomial, coefficient)`` if there is one term."""
    if len(expression) == 1:
        return next(iter(expression.items()))
    return None


__all__ = ["OutOfTime", "Space", "Unreduced", "constant", "frozen", "height_of", "single", "unlimited"]
