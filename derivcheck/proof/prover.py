"""The order of a proof: what is matched, what is opened, when numbers are asked.

Modular: numbers at one choice of sizes suggest which definition of the derivation each definition of the claim is equal
to; each such guess is a lemma, to be proved with the forward's names standing as they are, or with as few of them
written out as needed.  The normal form proves, numbers refute, and what neither decides is undecided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from time import perf_counter

from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.substitute import rename
from derivcheck.proof.assumptions.domain import Domain
from derivcheck.proof.assumptions.kinks import kinks
from derivcheck.proof.claims.claim import Claim
from derivcheck.proof.claims.forms import Forms
from derivcheck.proof.claims.lemmas import Lemma, wide
from derivcheck.proof.claims.sides import Sides, public
from derivcheck.proof.claims.wording import defined_in_part, how, said
from derivcheck.proof.expressions.atoms import Expression, expression_text
from derivcheck.proof.expressions.context import PLAIN, Facts, Mode, OutOfTime, Unreduced
from derivcheck.proof.expressions.polynomials import minus
from derivcheck.proof.normal_form.elements import each_element
from derivcheck.proof.normal_form.modes import (
    AS_WRITTEN,
    AS_WRITTEN_EXPANDED,
    AWAY_FROM_KINKS,
    ELEMENTS,
    ELEMENTS_AWAY_FROM_KINKS,
    ELEMENTS_EXPANDED,
    EXPANDED,
    EXPANDED_RANGES,
    RANGES,
    modes,
)
from derivcheck.proof.normal_form.normal import new_context, of_term
from derivcheck.proof.normal_form.vanishing import vanishes
from derivcheck.proof.numbers.audit import objection
from derivcheck.proof.numbers.comparison import Numbers
from derivcheck.proof.recurrences.induction import by_invariant
from derivcheck.proof.recurrences.invariants import checked, tested
from derivcheck.proof.recurrences.steps import by_steps
from derivcheck.proof.report.invariant import Invariant
from derivcheck.proof.report.proof import Part, Proof
from derivcheck.proof.second_route.order import second_route

# What is opened, in which mode, from cheap to dear: the claim's own names, those that numbers show to be needed, all.
LEMMA_STAGES = (("claim", PLAIN), ("needed", PLAIN), ("needed", EXPANDED), ("needed", ELEMENTS))
STAGES = (
    *LEMMA_STAGES,
    ("needed", RANGES),
    *(("all", mode) for mode in (PLAIN, EXPANDED, RANGES, EXPANDED_RANGES, AWAY_FROM_KINKS)),
    *(("all", mode) for mode in (ELEMENTS, ELEMENTS_EXPANDED, ELEMENTS_AWAY_FROM_KINKS)),
)
CANDIDATES = 8  # definitions of the derivation that one of the claim is held against


class Prover:
    """One proof of two sides: the lemmas found so far, the normal forms of each mode, what numbers say."""

    def __init__(self, sides: Sides, time_limit: float) -> None:
        self.sides = sides
        self.start = perf_counter()
        self.deadline = self.start + time_limit
        kinds = {n: a.kind for n, a in sides.inputs.items()}
        self.kinks = kinks([c.name for c in sides.claims], kinds, sides.definitions.values(), sides.derived)
        self.facts = Facts(sides.below, sides.kinds, self.kinks, Domain(sides.forward))
        self.modes = modes((d.term for d in sides.definitions.values()), sides.kinds)
        self.numbers = Numbers(sides, self.kinks.moving)
        self.lemmas: dict[str, Lemma] = {}
        self.alias: dict[str, str] = {}
        self.leaned: tuple[Definition, ...] = ()
        self._forms: dict[Mode, Forms] = {}

    def run(self, offered: Program | None = None) -> Proof:
        """The verdicts; what invariants are offered is tested, and used where nothing else tells."""
        sides = self.sides
        for d in sides.claimed.definitions:
            try:
                self._look_for_lemma(d)
            except (OutOfTime, RecursionError):
                break
        given = () if offered is None else checked(offered.rename(sides.names), sides.definitions)
        results = [(v, *tested(self._without_conditions, v)) for v in given]
        held = {v: found for v, _, found in results if found}
        parts = tuple(self._limited(self._audited(c, self._part(c, held))) for c in sides.claims)
        return self._proof(parts, tuple(i for _, i, _ in results), offered.conditions if offered is not None else ())

    def _proof(self, parts: tuple[Part, ...], invariants: tuple[Invariant, ...], cancelled: tuple[str, ...]) -> Proof:
        """The verdicts with what they rest on."""
        contexts = [f.context for mode, f in self._forms.items() if f.proves or mode == PLAIN]
        every = {r for f in self._forms.values() for r in f.context.used_rules}
        evidence = self.numbers.evidence
        return Proof(
            parts,
            conditions=tuple(said(self.sides, contexts, self.leaned, cancelled)),
            rules=tuple(sorted(every)) if any(p.status == "proved" for p in parts) else (),
            counterexample=evidence.counterexample if evidence else None,
            tried=evidence.tried if evidence else (),
            lemmas=tuple(self.lemmas.values()),
            notes=self.sides.forward.notes,
            seconds=perf_counter() - self.start,
            forward=self.sides.forward,
            adjoint=self.sides.adjoint,
            invariants=invariants,
        )

    def forms(self, mode: Mode) -> Forms:
        """The normal forms of a mode."""
        found = self._forms.get(mode)
        if found is None:
            plain = None if mode == PLAIN else self.forms(PLAIN)
            context = new_context(mode, self.facts, self.sides.top, self.deadline)
            found = self._forms[mode] = Forms(self.sides, context, self.lemmas, self.alias, plain)
        return found

    @property
    def _without_conditions(self) -> list[Forms]:
        """The forms of the modes that assume nothing of their own."""
        return [self.forms(mode) for mode in self.modes if not mode.ties]

    # -- lemmas -----------------------------------------------------------------------
    def _look_for_lemma(self, d: Definition) -> None:
        """Find the definition of the derivation that one of the claim is equal to."""
        own = public(d.name)
        fitting = (k for k in self.sides.derived.values() if wide(k) == wide(d) and k.kind == d.kind)
        candidates = self.numbers.those_alike(d, fitting)
        order = self.sides.order
        candidates.sort(key=lambda k: (k.name not in (own, f"{own}_bar"), -order[k.name][1]))
        for k in candidates[:CANDIDATES]:
            try:
                how = self._same(d, k)
            except Unreduced:
                continue
            if how is None:
                continue
            if d.kind == "float":
                self.lemmas[d.name] = Lemma(d, k, how)
            elif d.dims == k.dims:
                self.alias[d.name] = k.name
            return

    def _same(self, d: Definition, k: Definition) -> str | None:
        """How a definition of the claim was proved to be one of the derivation."""
        if not (d.recurrent and k.recurrent):
            stages = LEMMA_STAGES if self.numbers.values is not None else LEMMA_STAGES[:1]
            return self._decided(d.name, k.name, stages)[0]
        # by induction: equal, if equal whenever all earlier elements are
        forms = self.forms(PLAIN)
        if d.dims != k.dims or not forms.grounded(k.name):
            return None
        step = forms.known(of_term(forms.context, rename(d.term, {**self.alias, d.name: k.name})))
        difference = minus(forms.reindexed(step, d.indices, k.indices), forms.form(k.name))
        forms.context.used("induction")
        return "by induction" if vanishes(forms.context, difference) else None

    # -- one gradient -------------------------------------------------------------------
    def _part(self, c: Claim, held: Mapping[Definition, list[Expression]]) -> Part:
        """The verdict on a claim.

        Args:
            held: invariants that hold, and their forms.
        """
        start = perf_counter()
        wrong = self._other_dimensions(c)
        if wrong:
            return Part(c.name, "refuted", detail=wrong)
        lemma = self.lemmas.get(c.claim)
        if c.claim == c.target or lemma is not None and lemma.target.name == c.target:
            return Part(c.name, "proved", (), lemma.how if lemma else "as it stands", perf_counter() - start)
        if self.numbers.suspicious(c):
            self.numbers.ask(self.sides.claims, True)
            if self.numbers.refuted(c):
                return Part(c.name, "refuted", seconds=perf_counter() - start)
        how, rest = self._decided(c.claim, c.target, STAGES)
        if how is None and held:
            self._lean_on(held)
            how, rest = self._decided(c.claim, c.target, STAGES)
        if how is not None:
            return Part(c.name, "proved", (), how, perf_counter() - start)
        self.numbers.ask(self.sides.claims, False)
        refuted = self.numbers.refuted(c)
        status, detail = ("refuted", "") if refuted else ("undecided", rest)
        return Part(c.name, status, (), detail, perf_counter() - start)

    def _lean_on(self, held: Mapping[Definition, list[Expression]]) -> None:
        """Use invariants that hold."""
        self.leaned = tuple(held)
        for v, found in held.items():
            for forms, value in zip(self._without_conditions, found):
                forms.invariants[v.name] = value

    def _other_dimensions(self, c: Claim) -> str:
        found, wanted = self.sides.dims(c.claim), self.sides.dims(c.target)
        if found == wanted:
            return ""
        return f"it has dimensions ({', '.join(map(str, found))}), expected ({', '.join(map(str, wanted))})"

    def _decided(self, claim: str, target: str, stages: tuple[tuple[str, Mode], ...]) -> tuple[str | None, str]:
        """How claim = target was proved, or None and what is left of it."""
        rest = ""
        needed: list[str] | None = None
        for what, mode in stages:
            if mode not in self.modes:
                continue
            names: list[str] | None = None if what == "all" else []
            if what == "needed":
                if needed is None:
                    needed = self.numbers.needed(claim, target, self.lemmas.values())
                if not needed:
                    continue
                names = needed
            try:
                forms = self.forms(mode)
                opened, left = self._emptied(forms, forms.difference(claim, target), names)
                if not left:
                    forms.proves = True
                    return how(mode, opened), ""
            except (OutOfTime, RecursionError):
                return None, rest or "the time limit was reached"
            except Unreduced as e:
                rest = rest or str(e)
                continue
            rest = expression_text(left)
        if stages is not STAGES:
            return None, rest
        written = (AS_WRITTEN, AS_WRITTEN_EXPANDED) if EXPANDED in self.modes else (AS_WRITTEN,)
        return second_route(map(self.forms, written), claim, target, rest)

    def _emptied(self, forms: Forms, difference: Expression, names: list[str] | None) -> tuple[list[str], Expression]:
        """The names that were written out, and what is left: of the first element where something is."""
        opened: list[str] = []
        for part in each_element(forms.context, difference) if forms.context.mode.elements else [difference]:
            more, left = forms.emptied(part, names)
            opened += more
            if left and not (names is None and (by_invariant(forms, left) or by_steps(forms, left))):
                return opened, left
        return opened, {}

    # -- what a proof leaves out ----------------------------------------------------------
    def _limited(self, p: Part) -> Part:
        limit = self.sides.limit
        return replace(p, status="undecided", detail=limit) if p.status == "proved" and limit else p

    def _audited(self, c: Claim, p: Part) -> Part:
        """A proof is put to numbers where what it leaves out could be more than a set of measure zero."""
        kinks = any(f.proves for f in self._forms.values() if f.context.mode.ties)
        if p.status != "proved" or not (kinks or self._in_part):
            return p
        found = objection(self.sides.together, c, self.kinks.moving, kinks, self._in_part, self.sides.claimed.dropped)
        if found is None:
            return p
        if found.counterexample is None:
            return replace(p, status="undecided", detail=found.detail)
        self.numbers.show(found.counterexample)
        return replace(p, status="refuted", detail="")

    @cached_property
    def _in_part(self) -> bool:
        return defined_in_part(self.sides)
