"""The context that a normal form is made in: interned atoms, what is assumed, which rules were used, and the time left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from time import perf_counter
from typing import Any, ParamSpec, Protocol, TypeVar

from derivcheck.notation.integers.atoms import Entry
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Index, Poly, PolyLike, i_poly
from derivcheck.proof.expressions.atoms import (
    EVERYWHERE,
    Base,
    Element,
    Expression,
    Frozen,
    Monomial,
    ProofAtom,
    Rational,
    SymmetricElement,
)
from derivcheck.proof.expressions.polynomials import frozen, of_atom

P = ParamSpec("P")
A = TypeVar("A", bound=ProofAtom)


class OutOfTime(Exception):
    """The time limit of a proof is reached."""


class Unreduced(Exception):
    """A term has no normal form here: a sum over all integers, a power of zero."""


@dataclass(frozen=True)
class Mode:
    """How far a normal form goes.

    Attributes:
        expand: write sigmoid, tanh, … through exp, and powers of sums through one another.
        ranges: write ``[p + c ≥ 0]`` through ``[p ≥ 0]`` and deltas, so that sums split at their ends.
        ties: take it that what the bracket of a kink compares is never equal: a condition.
        shifts: respell shifted and reflected indices, so that equal sums are spelled alike.
        elements: write out what runs over a literal number of places, element by element.
        cases: look at each case of a comparison by itself.
        signs: compare a product with 0 by the signs of its factors.
    """

    expand: bool = False
    ranges: bool = False
    ties: bool = False
    shifts: bool = True
    elements: bool = False
    cases: bool = False
    signs: bool = False


PLAIN = Mode()


@dataclass(frozen=True)
class Rules:
    """The rules that call one another in a circle: products end in powers and brackets, and these in products and sums.

    One table, which :mod:`derivcheck.proof.normal_form.normal` fills.

    Attributes:
        settled: a product with brackets in it.
        reopened: a product in which the exponent of a root or of a base has changed.
        substituted: a monomial with indices replaced.
        summed: Σ of an expression over some indices.
        reduced: Π or an extreme of an expression.
        made_of_matrix: an element of an inverse or a factor, or a determinant.
        in_sums: identities between matrices, each tried on the product under a Σ.
        by_definition: a scalar function written through others.
    """

    settled: Callable[[Context, dict[ProofAtom, Rational]], Expression]
    reopened: Callable[[Context, dict[ProofAtom, Rational]], Expression]
    substituted: Callable[[Context, Monomial, Mapping[Index, PolyLike]], Expression]
    summed: Callable[[Context, Sequence[Index], Expression], Expression]
    reduced: Callable[[Context, str, Sequence[Index], Expression], Expression]
    made_of_matrix: Callable[[Context, str, Sequence[Index], Expression, Sequence[Poly]], Expression]
    in_sums: tuple[Callable[[Context, list[Index], Monomial], Expression | None], ...]
    by_definition: Callable[[Context, str, list[Expression]], Expression]


class HasKinks(Protocol):
    """Which comparisons are kinks (see :mod:`derivcheck.proof.assumptions.kinks`)."""

    def meets(self, context: Context, u: Expression) -> Expression | None:
        """``[u = 0 for all inputs]`` where ``u = 0`` is a kink; None where it is none."""

    def told(self, context: Context, u: Expression, same: Expression) -> tuple[str, bool, str]:
        """A kink in words."""


class HasDomain(Protocol):
    """What the forward is defined for (see :mod:`derivcheck.proof.assumptions.domain`)."""

    def sign(self, context: Context, a: Element | Base) -> int:
        """1 where the atom is surely above 0, −1 where it is surely below, else 0."""


class Assumptions(Protocol):
    """What one case of a proof assumes (see :mod:`derivcheck.proof.normal_form.assumed`)."""

    def told(self, u: Expression) -> bool | None:
        """Whether ``u > 0``; None where that is not assumed."""


@dataclass(frozen=True)
class Facts:
    """What is known of the tensors.

    Attributes:
        below: for an integer tensor, the size that its entries stay below.
        kinds: the kind of each tensor that is not of real numbers: ``bool`` or ``int``.
        kinks: which comparisons are kinks; None: none is.
        domain: what the forward is defined for; None: nothing is known of it.
        symmetric: tensors of matrices that the forward takes to be symmetric.
    """

    below: Mapping[str, Poly] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    kinks: HasKinks | None = None
    domain: HasDomain | None = None
    symmetric: frozenset[str] = frozenset()


NOTHING_KNOWN = Facts()


class Context:
    """What the terms of one proof share.

    Attributes:
        top: the indices that no Σ binds.
        conditions: what the rewritings assume, in words.
        used_rules: how often each rewriting was used.
        left_out: the kinks that are left out, in words.
        assumed: what the case assumes that is looked at; None: nothing.
    """

    def __init__(
        self, rules: Rules, mode: Mode, facts: Facts, top: Iterable[Index] = (), deadline: float | None = None
    ) -> None:
        """``top`` are the indices of the definition itself; past ``deadline`` (of ``time.monotonic``) the work stops."""
        self.rules, self.mode, self.facts, self.deadline = rules, mode, facts, deadline
        self.top: frozenset[Index] = frozenset(top)
        self.conditions: dict[str, None] = {}
        self.used_rules: Counter[str] = Counter()
        self.left_out: dict[Frozen, tuple[str, bool, str]] = {}
        self.steps = 0
        self.terms: dict[Any, Expression] = {}  # what was made before: of terms, of powers, of pairs of brackets
        self.powers: dict[tuple[Frozen, Rational], Expression] = {}
        self.together: dict[tuple[ProofAtom, ProofAtom], Expression | None] = {}
        self.assumed: Assumptions | None = None
        self.compared: set[str] | None = None  # comparisons that are collected, not left out
        self.compared_by_forward: set[str] | None = None
        self._atoms: dict[Any, Any] = {}
        self._serial = count(1)
        self._nonnegative: dict[Poly, bool] = {}
        self._signs: dict[ProofAtom, int] = {}
        self._meetings: dict[Frozen, Expression | None] = {}

    def tick(self) -> None:
        """Stop where the time limit is reached."""
        self.steps += 1
        # the clock is asked at every 16th step: asking takes longer than most of them
        if self.deadline is not None and self.steps % 16 == 0 and perf_counter() > self.deadline:
            raise OutOfTime

    def used(self, rule: str) -> None:
        """Note that a rewriting was used."""
        self.used_rules[rule] += 1

    def assume(self, condition: str) -> None:
        """Note what a rewriting assumes."""
        self.conditions.setdefault(condition)

    # -- atoms --------------------------------------------------------------------
    def atom(self, kind: Callable[P, A], *data: P.args, **named: P.kwargs) -> A:
        """The atom of that kind and content: one object."""
        found: A | None = self._atoms.get((kind, data))
        if found is None:
            found = self._atoms[kind, data] = kind(*data, **named)
        return found

    def one(self, kind: Callable[P, A], *data: P.args, **named: P.kwargs) -> Expression:
        """The atom as an expression."""
        return of_atom(self.atom(kind, *data, **named))

    def element(self, name: str, at: tuple[Poly, ...]) -> Expression:
        """An element of a tensor; of symmetric matrices, which way round is no matter."""
        if name not in self.facts.symmetric or len(at) < 2:
            return self.one(Element, name, at)
        self.assume(f"{name} is symmetric")
        return self.one(SymmetricElement, name, (*at[:-2], *sorted(at[-2:], key=str)))

    def temporary(self, size: PolyLike) -> Index:
        """A new index that stands nowhere else."""
        return Index("~", size, next(self._serial))

    @contextmanager
    def assuming(self, assumed: Assumptions) -> Iterator[None]:
        """Look at one case; what is made of terms meanwhile holds in it alone, and is not kept."""
        before = self.assumed, self.terms, self.powers, self.together, self._signs, self._meetings
        self.assumed, self.terms, self.powers, self.together = assumed, {}, {}, {}
        self._signs, self._meetings = {}, {}
        try:
            yield
        finally:
            self.assumed, self.terms, self.powers, self.together, self._signs, self._meetings = before

    # -- kinks and domain -----------------------------------------------------------
    def meets(self, u: Expression) -> Expression | None:
        """Where the two sides of a kink are the same for all inputs; None where ``[u > 0]`` is no kink."""
        if self.facts.kinks is None:
            return None
        key = frozen(u)
        if key not in self._meetings:
            self._meetings[key] = self.facts.kinks.meets(self, u)
        return self._meetings[key]

    def collecting(self) -> Context:
        """A context like this one in which comparisons are collected, and no kink is left out."""
        found = Context(
            self.rules,
            replace(self.mode, expand=True, ranges=False, ties=True, shifts=True),
            self.facts,
            self.top,
            self.deadline,
        )
        found.compared = set()
        return found

    def sign(self, a: ProofAtom) -> int:
        """1 or −1 where the forward is not defined unless the atom is above or below 0, else 0."""
        if self.facts.domain is None or not isinstance(a, (Element, Base)):
            return 0
        if a not in self._signs:
            self._signs[a] = 0  # also while it is looked for
            self._signs[a] = self.facts.domain.sign(self, a)
        return self._signs[a]

    def leave_out(self, u: Expression, same: Expression) -> None:
        """Note that a kink is left out."""
        assert self.facts.kinks is not None
        if frozen(u) not in self.left_out:
            self.left_out[frozen(u)] = self.facts.kinks.told(self, u, same)

    # -- what is known of integers --------------------------------------------------
    def holds(self, p: Poly) -> bool:
        """Whether ``p ≥ 0`` surely holds wherever the indices have values (False: not known)."""
        found = self._nonnegative.get(p)
        if found is None:
            found = self._nonnegative[p] = self._holds(p)
        return found

    def _holds(self, p: Poly) -> bool:
        if p.constant is not None:
            return p.constant >= 0
        if any(EVERYWHERE.name in i.size.sizes() for i in p.indices):
            return False
        # an entry below a size is looked at as an index
        entries = (a for a in p.atoms() if isinstance(a, Entry) and a.name in self.facts.below)
        return nonnegative(p.substitute({a: i_poly(Index(a.key, self.facts.below[a.name])) for a in entries}))
