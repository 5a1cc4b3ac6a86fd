"""What numbers say of the claims of a proof: which definitions are alike, which names matter, which claims are refuted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.nodes import Ref
from derivcheck.proof.claims.claim import Claim
from derivcheck.proof.claims.lemmas import Lemma
from derivcheck.proof.claims.sides import Sides
from derivcheck.proof.numbers.names_to_open import needed_names
from derivcheck.proof.numbers.refute import alike, compared
from derivcheck.proof.numbers.samples import Point, spread
from derivcheck.proof.report.counterexample import Counterexample, Evidence

# Seconds for claims that one choice of sizes has shown to differ, and for all that are not proved.
SUSPICIOUS, OPEN = 2.0, 0.6


class NumbersAt:
    """Numbers at one choice of sizes, and the comparisons that were made.

    Attributes:
        moving: the names that depend on the inputs in question; other inputs may be masks.
        evidence: how far both sides were compared, and where they differ; None before.
    """

    def __init__(self, sides: Sides, moving: Collection[str]) -> None:
        self.sides = sides
        self.masks = frozenset(n for n, a in sides.inputs.items() if a.role != "upstream" and n not in moving)
        self.evidence: Evidence | None = None
        self._asked: set[bool] = set()

    @cached_property
    def _point(self) -> tuple[Point, dict[str, Any]] | None:
        """Sizes and inputs, and all values there; None where nothing can be evaluated."""
        try:
            return spread(self.sides.together, tuple(self.sides.derived.values()))
        except UnsupportedOperation:
            return None

    @property
    def values(self) -> dict[str, Any] | None:
        """The values of every name at the one choice of sizes."""
        return None if self._point is None else self._point[1]

    def those_alike(self, d: Definition, candidates: Iterable[Definition]) -> list[Definition]:
        """Of some definitions those with the values of this one; all where there are no values."""
        v = self.values
        if v is None or d.name not in v:
            return list(candidates)
        return [k for k in candidates if k.name in v and alike(v[d.name], v[k.name])]

    def needed(self, claim: str, target: str, lemmas: Iterable[Lemma]) -> list[str]:
        """The names that have to be written out besides the claim's own; none where numbers do not tell."""
        if self._point is None:
            return []
        known = {x.claim.name: Ref(x.target.name, x.at) for x in lemmas if x.claim.name != claim}
        program = self.sides.together
        definitions = tuple(replace(d, term=known[d.name]) if d.name in known else d for d in program.definitions)
        order = self.sides.order.__getitem__
        found = needed_names(replace(program, definitions=definitions), claim, target, self._point, order)
        return [] if found is None else ["*", *found]

    def suspicious(self, c: Claim) -> bool:
        """Whether the claim and the gradient differ at the one choice of sizes, in float64."""
        v = self.values
        return v is not None and c.claim in v and c.target in v and not alike(v[c.claim], v[c.target], 1e-10)

    def refuted(self, c: Claim) -> bool:
        """Whether a comparison has refuted the claim."""
        return self.evidence is not None and c.name in self.evidence.examples

    def ask(self, claims: Sequence[Claim], suspicious: bool) -> None:
        """Compare, once, the claims that are suspicious, or all that are not refuted."""
        if suspicious in self._asked:
            return
        self._asked.add(suspicious)
        open_ = [c for c in claims if self.sides.dims(c.claim) == self.sides.dims(c.target) and not self.refuted(c)]
        open_ = [c for c in open_ if self.suspicious(c)] if suspicious else open_
        try:
            found = compared(self.sides.together, open_, SUSPICIOUS if suspicious else OPEN, self.masks)
        except UnsupportedOperation:
            return
        before = self.evidence or Evidence(())
        self.evidence = Evidence((*before.tried, *found.tried), {**before.examples, **found.examples})

    def show(self, example: Counterexample) -> None:
        """Keep a counterexample."""
        before = self.evidence or Evidence(())
        self.evidence = replace(before, examples={**before.examples, example.name: example})
