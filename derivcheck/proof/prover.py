"""The order of a proof: what is matched, what is opened, when numbers are asked.

Modular: numbers at one choice of sizes suggest which definition of the derivation each definition of the claim is equal
to; each such guess is a lemma, to be proved with the forward's names standing as they are, or with as few of them
written out as needed.  The normal form proves, numbers refute, and what neither decides is undecided.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from time import perf_counter
from typing import Any

from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.domains import conditions
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Ref
from derivcheck.notation.terms.substitute import rename
from derivcheck.proof import invariants, polynomials
from derivcheck.proof.atoms import Expression, elements_in
from derivcheck.proof.audit import needed_terms, objection
from derivcheck.proof.bridges import Bridge, across, long_indices, wide
from derivcheck.proof.claims import Claim, check_names, claims, limited
from derivcheck.proof.counterexample import Evidence
from derivcheck.proof.domain import Domain
from derivcheck.proof.equality import MODES, TIES, modes
from derivcheck.proof.induction import by_invariant, one_step
from derivcheck.proof.kinks import kinks
from derivcheck.proof.normal import of_term, vanishes
from derivcheck.proof.opening import needed_names
from derivcheck.proof.refute import alike, compared
from derivcheck.proof.report import Lemma, Part, Proof, how
from derivcheck.proof.said import partly, said
from derivcheck.proof.samples import spread
from derivcheck.proof.second_route import second_route
from derivcheck.proof.space import OutOfTime, Space, Unreduced
from derivcheck.proof.spelling import expression_text
from derivcheck.proof.steps import by_steps
from derivcheck.proof.substitution import inlined, moved
from derivcheck.proof.unrolling import grounded

# What is opened, in which mode, from cheap to dear: the claim's own names, those that numbers show to be needed, all.
STAGES = (("claim", 0), ("needed", 0), ("needed", 1), ("needed", 2), ("all", 0), ("all", 1), ("all", 2), ("all", 3), ("all", 4))
LEMMA_STAGES = STAGES[:3]


class Prover:
    """One proof: the two sides, the lemmas found so far, the spaces of the normal form."""

    def __init__(
        self, forward: Program, adjoint: Program, claimed: Program, outputs: Mapping[str, str], time_limit: float
    ) -> None:
        self.start = perf_counter()
        self.deadline = self.start + time_limit
        self.forward, self.adjoint = forward, adjoint
        self.known: dict[str, Definition] = {d.name: d for d in (*forward.definitions, *adjoint.definitions)}
        self.inputs = {a.name: a for a in (*forward.arguments, *adjoint.arguments)}
        taken = self.known.keys() | self.inputs.keys() | set(claimed.outputs)
        names = {d.name: f"claimed {d.name}" if d.name in taken else d.name for d in claimed.definitions}
        self.names = names
        self.claimed = claimed.rename(names)
        self.claims = list(claims(forward, adjoint, outputs, names))
        check_names(claimed, self.inputs, self.known)
        self.definitions = {**self.known, **{d.name: d for d in self.claimed.definitions}}
        self.order = {n: k for k, n in enumerate(self.definitions)}
        self.level = {n: n in {d.name for d in forward.definitions} for n in self.definitions}
        self.alias: dict[str, str] = {}
        self.bridges: dict[str, Bridge] = {}
        self.below = {a.name: a.below for a in self.inputs.values() if a.below is not None}
        self.top = frozenset(i for d in self.definitions.values() for i in d.indices)
        self.spaces: dict[int, Space] = {}
        self.kinds = {n: k for n, k in self._kinds() if k != "float"}
        kinds = {n: a.kind for n, a in self.inputs.items()}
        self.kinks = kinks([c.name for c in self.claims], kinds, self.definitions.values(), self.known)
        self.domain = Domain(forward)
        self.modes = modes((d.term for d in self.definitions.values()), self.kinds)
        self.forms: dict[tuple[int, str], Expression] = {}
        self.invariants: dict[tuple[int, str], Expression] = {}
        self.running: dict[tuple[int, str], Expression | None] = {}
        self.held: dict[tuple[int, str], Expression] = {}
        self.offered: tuple[Definition, ...] = ()
        self.leaned: tuple[Definition, ...] = ()
        self.cancelled: tuple[str, ...] = ()
        self.used: set[int] = set()
        self.evidence: Evidence | None = None
        self.values: dict[str, Any] | None = None
        self.point: tuple[dict[str, int], dict[str, Any], dict[str, Any]] | None = None
        self.asked: set[bool] = set()
        self.program = self._together()

    # -- the proof ------------------------------------------------------------------
    def run(self, offered: Program | None = None) -> Proof:
        """The verdicts; what invariants are offered is tested, and used where nothing else tells."""
        self._evaluate()
        for d in self.claimed.definitions:
            try:
                self._lemma(d)
            except (OutOfTime, RecursionError):
                break
        given = () if offered is None else invariants.checked(offered.rename(self.names), self.definitions)
        tested, self.held = invariants.tested(self, given)
        self.offered = tuple(v for v, t in zip(given, tested) if t.status == "holds")
        self.cancelled = offered.conditions if offered is not None else ()
        parts = [self._limited(self._audited(c, self._part(c))) for c in self.claims]
        spaces = list(self.spaces.values())
        rules = sorted({r for s in spaces for r in s.rules}) if any(p.status == "proved" for p in parts) else []
        lemmas = tuple(Lemma(self.definitions[n], self.definitions[b.target], b.how) for n, b in self.bridges.items())
        return Proof(
            tuple(parts),
            tuple(said(self)),
            tuple(rules),
            self.evidence.counterexample if self.evidence else None,
            self.evidence.tried if self.evidence else (),
            lemmas,
            self.forward.notes,
            perf_counter() - self.start,
            self.forward,
            self.adjoint,
            invariants=tuple(tested),
        )

    def _kinds(self) -> Iterator[tuple[str, str]]:
        yield from ((n, a.kind) for n, a in self.inputs.items())
        yield from ((n, d.kind) for n, d in self.definitions.items())

    # -- normal forms -----------------------------------------------------------------
    def space(self, mode: int) -> Space:
        """The space of a mode."""
        found = self.spaces.get(mode)
        if found is None:
            found = self.spaces[mode] = Space(
                self.below, deadline=self.deadline, top=self.top, kinds=self.kinds, kinks=self.kinks, domain=self.domain,
                **MODES[mode],
            )  # fmt: skip
        return found

    def form(self, mode: int, name: str) -> Expression:
        """The normal form of a definition, over its own indices, with lemmas used."""
        found = self.forms.get((mode, name))
        if found is None:
            d = self.definitions[name]
            found = self.bridged(mode, of_term(self.space(mode), rename(d.term, self.alias)))
            self.forms[mode, name] = found
        return found

    def bridged(self, mode: int, u: Expression) -> Expression:
        """Definitions of the claim replaced by those that they were proved equal to."""
        space = self.space(mode)
        here = elements_in(u)
        known = {n: (self.definitions[n].indices, v) for (m, n), v in self.invariants.items() if m == mode and n in here}
        if known:
            u = inlined(space, u, known)
        used = elements_in(u) & self.bridges.keys()
        if not used:
            return u
        lemmas = {n: self.bridges[n] for n in used}
        return inlined(space, u, {n: (b.indices, space.one("element", b.target, b.at)) for n, b in lemmas.items()})

    def over(self, mode: int, name: str, indices: tuple[Index, ...]) -> Expression:
        """A definition or an input, over the given indices."""
        space = self.space(mode)
        if name not in self.definitions:
            return space.one("element", name, tuple(i_poly(i) for i in indices))
        return self.moved(space, self.form(mode, name), self.definitions[name].indices, indices)

    def moved(self, space: Space, u: Expression, old: tuple[Index, ...], new: tuple[Index, ...]) -> Expression:
        """An expression over other indices; those of size 1 are 0."""
        moves: dict[Index, Any] = {i: as_poly(0) for i in (*old, *new) if i.size.constant == 1}
        moves.update({a: i_poly(b) for a, b in zip(long_indices(old), long_indices(new)) if a is not b})
        return moved(space, u, moves) if moves else u

    def opened(self, mode: int, d: Expression, name: str) -> Expression:
        """An expression with one name written out."""
        return inlined(self.space(mode), d, {name: (self.definitions[name].indices, self.form(mode, name))})

    # -- lemmas -----------------------------------------------------------------------
    def _evaluate(self) -> None:
        try:
            self.point = spread(self.program)
        except UnsupportedOperation:
            self.point = None
        self.values = None if self.point is None else self.point[2]

    def _lemma(self, d: Definition) -> None:
        """Find the definition of the derivation that one of the claim is equal to."""
        own = d.name.removeprefix("claimed ")
        candidates = [k for k in self.known.values() if wide(k) == wide(d) and k.kind == d.kind]
        if self.values is not None and d.name in self.values:
            candidates = [k for k in candidates if k.name in self.values and alike(self.values[d.name], self.values[k.name])]
        candidates.sort(key=lambda k: (k.name not in (own, f"{own}_bar"), -self.order[k.name]))
        for k in candidates[:8]:
            try:
                how = self._same(d, k, LEMMA_STAGES if self.values is not None else STAGES[:1])
            except Unreduced:
                continue
            if how is None:
                continue
            if d.kind == "float":
                self.bridges[d.name] = Bridge(d.indices, k.name, across(d, k), how)
            elif d.dims == k.dims:
                self.alias[d.name] = k.name
            return

    def _same(self, d: Definition, k: Definition, stages: tuple[tuple[str, int], ...]) -> str | None:
        if d.recurrent and k.recurrent:  # by induction: equal, if equal whenever all earlier elements are
            if d.dims != k.dims or not grounded(self, k.name):
                return None
            space = self.space(0)
            step = self.bridged(0, of_term(space, rename(d.term, {**self.alias, d.name: k.name})))
            difference = polynomials.plus(
                self.moved(space, step, d.indices, k.indices), polynomials.scaled(self.form(0, k.name), -1)
            )
            space.used("induction")
            return "by induction" if vanishes(space, difference) else None
        return self._decided(d.name, k.name, stages)[0]

    # -- one gradient -------------------------------------------------------------------
    def _limited(self, p: Part) -> Part:
        return replace(p, status="undecided", detail=self.limit) if p.status == "proved" and self.limit else p

    def _audited(self, c: Claim, p: Part) -> Part:
        """A proof is put to numbers where what it leaves out could be more than a set of measure zero."""
        if p.status != "proved":
            return p
        kinks = TIES in self.used
        if not (kinks or self.partly):
            return p
        found = objection(self.program, c, self.kinks.moving, kinks, self.partly, self.claimed.dropped)
        if found is None:
            return p
        if found.counterexample is None:
            return replace(p, status="undecided", detail=found.detail)
        before = self.evidence or Evidence((), None)
        self.evidence = replace(before, counterexample=before.counterexample or found.counterexample)
        return replace(p, status="refuted", detail="")

    @cached_property
    def limit(self) -> str:
        """Why a proof that a claim is the gradient is none where the forward is, or ""."""
        return limited(self.claimed, self.forward, self.adjoint)

    @cached_property
    def partly(self) -> bool:
        """Whether the claim has conditions that the gradient does not have, or an infinity in it."""
        return partly(self)

    def _part(self, c: Claim) -> Part:
        start = perf_counter()
        wrong = self._shape(c)
        if wrong:
            return Part(c.name, "refuted", (), wrong)
        bridge = self.bridges.get(c.claim)
        if c.claim == c.target or bridge is not None and bridge.target == c.target:
            return Part(c.name, "proved", (), bridge.how if bridge else "as it stands", perf_counter() - start)
        if self._suspicious(c):
            self._numbers(True)
            if self._refuted(c):
                return Part(c.name, "refuted", (), "", perf_counter() - start)
        how, rest = self._decided(c.claim, c.target, STAGES)
        if how is None and self.held:
            self.invariants.update(self.held)
            self.leaned = self.offered
            how, rest = self._decided(c.claim, c.target, STAGES)
        if how is not None:
            return Part(c.name, "proved", (), how, perf_counter() - start)
        self._numbers(False)
        status = "refuted" if self._refuted(c) else "undecided"
        return Part(c.name, status, (), "" if status == "refuted" else rest, perf_counter() - start)

    def dims(self, name: str) -> tuple[Poly, ...]:
        """The dimensions of a definition or an input."""
        return self.definitions[name].dims if name in self.definitions else self.inputs[name].dims

    def _shape(self, c: Claim) -> str:
        found, wanted = self.dims(c.claim), self.dims(c.target)
        if found == wanted:
            return ""
        return f"it has dimensions ({', '.join(map(str, found))}), expected ({', '.join(map(str, wanted))})"

    def _decided(self, claim: str, target: str, stages: tuple[tuple[str, int], ...]) -> tuple[str | None, str]:
        """How claim = target was proved, or None and what is left of it."""
        rest = ""
        needed: list[str] | None = None
        for what, mode in stages:
            if mode not in self.modes:
                continue
            if what == "needed":
                if needed is None:
                    needed = self._needed(claim, target)
                if not needed:
                    continue
            try:
                names = frozenset(needed or ()) if what == "needed" else None if what == "all" else frozenset[str]()
                opened, left = self.reduced(mode, names, claim, target)
                if not left or names is None and (by_invariant(self, mode, left) or by_steps(self, mode, left)):
                    self.used.add(mode)
                    return how(MODES[mode], opened), ""
            except (OutOfTime, RecursionError):
                return None, rest or "the time limit was reached"
            except Unreduced as e:
                rest = rest or str(e)
                continue
            rest = expression_text(left)
        return second_route(self, claim, target, rest) if stages is STAGES else (None, rest)

    def _needed(self, claim: str, target: str) -> list[str]:
        """The names that numbers show to be needed, besides the claim's own; none where they do not tell."""
        if self.point is None:
            return []
        sizes, inputs, _ = self.point
        lemmas = {n: Ref(b.target, b.at) for n, b in self.bridges.items() if n != claim}
        definitions = tuple(replace(d, term=lemmas.get(d.name, d.term)) for d in self.program.definitions)
        found = needed_names(replace(self.program, definitions=definitions), claim, target, sizes, inputs, self._rank)
        return [] if found is None else ["*", *found]

    def reduced(self, mode: int, names: frozenset[str] | None, claim: str, target: str) -> tuple[list[str], Expression]:
        """The names that were opened, and what is left of claim − target."""
        indices = self._indices(target)
        left, right = self.over(mode, claim, indices), self.over(mode, target, indices)
        if self.recurrent(target) and not self.recurrent(claim) and grounded(self, target):
            right = one_step(self, mode, left, right, target)
        difference = self.bridged(mode, polynomials.plus(left, polynomials.scaled(right, -1)))
        return self.emptied(mode, names, difference)

    def emptied(self, mode: int, names: frozenset[str] | None, difference: Expression) -> tuple[list[str], Expression]:
        """Open the claim's names and these (None: all) until nothing is left, or nothing can be opened."""
        opened: list[str] = []
        while not vanishes(self.space(mode), difference):
            open_ = [
                n
                for n in elements_in(difference)
                if n in self.definitions
                and not self.definitions[n].recurrent
                and (names is None or n in names or n not in self.known)
            ]
            name = max(open_, key=self._rank, default=None)
            if name is None:
                return opened, difference
            opened.append(name)
            difference = self.bridged(mode, self.opened(mode, difference, name))
        return opened, {}

    def _rank(self, name: str) -> tuple[bool, int]:
        """The latest name first: the claim's, then adjoints, then the forward's."""
        return (not self.level[name], self.order[name])

    def recurrent(self, name: str) -> bool:
        """Whether the name is defined by a recurrence."""
        return name in self.definitions and self.definitions[name].recurrent

    def _indices(self, name: str) -> tuple[Index, ...]:
        if name in self.definitions:
            return self.definitions[name].indices
        return tuple(Index("abcdefgh"[k % 8], p, k // 8) for k, p in enumerate(self.inputs[name].dims))

    # -- numbers ------------------------------------------------------------------
    def _suspicious(self, c: Claim) -> bool:
        v = self.values
        return v is not None and c.claim in v and c.target in v and not alike(v[c.claim], v[c.target], 1e-7)

    def _numbers(self, suspicious: bool) -> None:
        """Compare on numbers: the claims that one choice of sizes has shown to differ, or all that are not proved."""
        if suspicious in self.asked:
            return
        self.asked.add(suspicious)
        pairs = [
            (c.name, c.claim, c.target)
            for c in self.claims
            if self.dims(c.claim) == self.dims(c.target) and (not suspicious or self._suspicious(c)) and not self._refuted(c)
        ]
        try:
            masks = frozenset(n for n, a in self.inputs.items() if a.role != "upstream") - self.kinks.moving
            found = compared(self.program, pairs, 2.0 if suspicious else 0.6, masks)
        except UnsupportedOperation:
            return
        before = self.evidence
        if before is None:
            self.evidence = found
        else:
            self.evidence = Evidence(
                (*before.tried, *found.tried), before.counterexample or found.counterexample, before.refuted | found.refuted
            )

    def _refuted(self, c: Claim) -> bool:
        return self.evidence is not None and c.name in self.evidence.refuted

    def _together(self) -> Program:
        """One Program that defines the forward, the gradient and the claim; its outputs are what may not be defined."""
        needs = needed_terms("forward", self.forward.dropped)
        own = self.forward.outputs if needs or conditions(self.forward.definitions, self.known) else ()
        return replace(
            self.adjoint,
            arguments=tuple(self.inputs.values()),
            definitions=(*self.definitions.values(), *needs),
            outputs=(*own, *(d.name for d in needs)),
            requires=(*self.adjoint.requires, *self.claimed.requires),
        )
