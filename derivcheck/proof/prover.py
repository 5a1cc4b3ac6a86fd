"""The order of a proof: what is matched, what is opened, when numbers are asked.

Modular: numbers at one choice of sizes suggest which definition of the derivation each definition of the claim is equal
to; each such guess is a lemma, to be proved with the forward's names standing as they are, or with as few of them
written out as needed.  The normal form proves, numbers refute, and what neither decides is undecided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from time import perf_counter

from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.symmetric import has, taken_of
from derivcheck.notation.terms.substitute import rename
from derivcheck.notation.terms.walk import subterms
from derivcheck.proof.assumptions.domain import Domain
from derivcheck.proof.assumptions.kinks import kinks
from derivcheck.proof.claims.claim import Claim
from derivcheck.proof.claims.comparisons import compared_in_inputs
from derivcheck.proof.claims.forms import Forms
from derivcheck.proof.claims.lemmas import Lemma, wide
from derivcheck.proof.claims.sides import Sides, public
from derivcheck.proof.claims.wording import defined_in_part, how, said
from derivcheck.proof.clock import Clock
from derivcheck.proof.expressions.atoms import Expression, expression_text
from derivcheck.proof.expressions.context import PLAIN, Facts, Mode, OutOfTime, Unreduced
from derivcheck.proof.expressions.polynomials import minus
from derivcheck.proof.normal_form.elements import each_element
from derivcheck.proof.normal_form.modes import (
    AS_WRITTEN,
    AS_WRITTEN_EXPANDED,
    AWAY_FROM_KINKS,
    CASES,
    CASES_OF_SIGNS,
    ELEMENTS,
    ELEMENTS_AWAY_FROM_KINKS,
    ELEMENTS_EXPANDED,
    EXPANDED,
    EXPANDED_RANGES,
    RANGES,
    comparisons_in,
    modes,
)
from derivcheck.proof.normal_form.normal import new_context, of_term
from derivcheck.proof.normal_form.vanishing import vanishes
from derivcheck.proof.numbers.at_zeros import objection
from derivcheck.proof.numbers.comparison import NumbersAt
from derivcheck.proof.recurrences.difference import by_steps
from derivcheck.proof.recurrences.hypothesis import by_hypothesis
from derivcheck.proof.recurrences.induction import by_invariant
from derivcheck.proof.recurrences.invariants import checked, tested
from derivcheck.proof.report.invariant import Invariant
from derivcheck.proof.report.proof import Part, Proof
from derivcheck.proof.second_route.cases import vanishes_case_by_case
from derivcheck.proof.second_route.order import second_route

Stages = tuple[tuple[str, Mode], ...]

# What is opened, in which mode, from cheap to dear: the claim's own names, those that numbers show to be needed, all.
LEMMA_STAGES: Stages = (("claim", PLAIN), ("needed", PLAIN), ("needed", EXPANDED), ("needed", ELEMENTS))
STAGES: Stages = (
    *LEMMA_STAGES,
    ("needed", RANGES),
    *(("all", mode) for mode in (PLAIN, EXPANDED, RANGES, EXPANDED_RANGES, AWAY_FROM_KINKS)),
    *(("all", mode) for mode in (ELEMENTS, ELEMENTS_EXPANDED, ELEMENTS_AWAY_FROM_KINKS)),
    ("cases", CASES),
    ("signs", CASES_OF_SIGNS),
    ("second", PLAIN),
)
# Where much is compared, cases are looked at before everything is multiplied out.
CASES_FIRST: Stages = tuple(sorted(STAGES, key=lambda s: s[0] in ("all", "second")))
MANY = 6  # comparisons
CANDIDATES = 8  # definitions of the derivation that one of the claim is held against
# Of the time that is left: for all lemmas and for one of them; for all claims in a first round.
LEMMAS, LEMMA, FIRST = 0.6, 0.3, 0.4
WEIGHT = {"cases": 4, "signs": 2, "second": 2}  # of a stage, where others have 1
WEIGHT_OF_MANY = {**WEIGHT, "cases": 30}  # where much is compared
WEIGHT_OF_FACTORS = {**WEIGHT, "needed": 6}  # where a Cholesky factor's adjoint is written out


Left = str | Expression  # what is left of a difference, or why that is not known: most of it is never said


@dataclass(frozen=True)
class _Found:
    """How something was proved, or what is left of it and which stages ended for want of time."""

    how: str | None
    rest: Left = ""
    late: Stages = ()


class Prover:
    """One proof of two sides: the lemmas found so far, the normal forms of each mode, what numbers say."""

    def __init__(self, sides: Sides, time_limit: float) -> None:
        """Find what holds of all claims: facts of the inputs, kinks, and which modes of the normal form are worth trying."""
        self.sides = sides
        self.clock = Clock(time_limit)
        kinds = {n: a.kind for n, a in sides.inputs.items()}
        self.kinks = kinks([c.name for c in sides.claims], kinds, sides.definitions.values(), sides.derived)
        self.facts = Facts(sides.below, sides.kinds, self.kinks, Domain(sides.forward), taken_of(sides.forward, "cholesky"))
        terms = {t for d in sides.definitions.values() for t in subterms(d.term)}
        self.modes = modes(terms, sides.kinds)
        self.stages = CASES_FIRST if comparisons_in(terms, sides.kinds) > MANY else STAGES
        many = self.stages is CASES_FIRST
        factors = has(sides.forward, "cholesky")
        self.weights = WEIGHT_OF_MANY if many else WEIGHT_OF_FACTORS if factors else WEIGHT
        self.numbers = NumbersAt(sides, self.kinks.moving)
        self.lemmas: dict[str, Lemma] = {}
        self.alias: dict[str, str] = {}
        self.leaned: tuple[Definition, ...] = ()
        self._forms: dict[Mode, Forms] = {}
        self._needed: list[str] | None = None  # names that numbers say have to be written out for what is looked at

    def run(self, offered: Program | None = None) -> Proof:
        """The verdicts; what invariants are offered is tested, and used where nothing else tells."""
        sides = self.sides
        lemmas_end = self.clock.after(LEMMAS)
        for d in sides.claimed.definitions:
            self._until(self.clock.after(LEMMA, lemmas_end + self.clock.extra))
            try:
                self._look_for_lemma(d)
            except (OutOfTime, RecursionError):
                break
        self._until(self.clock.deadline)
        given = () if offered is None else checked(offered.rename(sides.names), sides.definitions)
        results = [(v, *tested(self._without_conditions, v)) for v in given]
        held = {v: found for v, _, found in results if found}
        parts = tuple(self._limited(self._audited(c, p)) for c, p in self._parts(held))
        return self._proof(parts, tuple(i for _, i, _ in results), offered.conditions if offered is not None else ())

    def _until(self, end: float) -> None:
        """When what is looked at next has to come to an end."""
        self.clock.until(end)
        self._stop(self.clock.end)

    def _stop(self, deadline: float) -> None:
        """When the rewritings stop."""
        for forms in self._forms.values():
            forms.context.deadline = deadline

    def _proof(self, parts: tuple[Part, ...], invariants: tuple[Invariant, ...], cancelled: tuple[str, ...]) -> Proof:
        """The verdicts with what they rest on."""
        contexts = [f.context for mode, f in self._forms.items() if f.proves or mode == PLAIN]
        every = {r for f in self._forms.values() for r in f.context.used_rules}
        evidence = self.numbers.evidence
        examples = evidence.examples if evidence else {}
        return Proof(
            tuple(replace(p, counterexample=examples.get(p.name)) if p.status == "refuted" else p for p in parts),
            conditions=tuple(said(self.sides, contexts, self.leaned, cancelled)),
            rules=tuple(sorted(every)) if any(p.status == "proved" for p in parts) else (),
            counterexample=evidence.counterexample if evidence else None,
            tried=evidence.tried if evidence else (),
            lemmas=tuple(self.lemmas.values()),
            notes=self.sides.forward.notes,
            seconds=self.clock.seconds,
            forward=self.sides.forward,
            adjoint=self.sides.adjoint,
            invariants=invariants,
        )

    def forms(self, mode: Mode) -> Forms:
        """The normal forms of a mode."""
        found = self._forms.get(mode)
        if found is None:
            plain = None if mode == PLAIN else self.forms(PLAIN)
            sides, facts = self.sides, self.facts
            if mode.cases:
                sides = compared_in_inputs(sides)
                facts = replace(facts, kinks=replace(self.kinks, definitions=sides.definitions))
            context = new_context(mode, facts, sides.top, self.clock.end)
            found = self._forms[mode] = Forms(sides, context, self.lemmas, self.alias, plain)
        return found

    @property
    def _without_conditions(self) -> list[Forms]:
        """The forms of the modes that assume nothing of their own."""
        return [self.forms(mode) for mode in self.modes if not mode.ties and not mode.cases]

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
            stages += (("all", PLAIN),) if any(x.recurrent for x in self.sides.definitions.values()) else ()  # by induction
            return self._decided(d.name, k.name, stages).how
        # by induction: equal, if equal whenever all earlier elements are
        forms = self.forms(PLAIN)
        if d.dims != k.dims or not forms.grounded(k.name):
            return None
        step = forms.known(of_term(forms.context, rename(d.term, {**self.alias, d.name: k.name})))
        difference = minus(forms.reindexed(step, d.indices, k.indices), forms.form(k.name))
        forms.context.used("induction")
        return "by induction" if vanishes(forms.context, difference) else None

    # -- the gradients ------------------------------------------------------------------
    def _parts(self, held: Mapping[Definition, list[Expression]]) -> list[tuple[Claim, Part]]:
        """The verdicts on all claims, the cheap ones first: what one has left of its share of the time goes to the others.

        Args:
            held: invariants that hold, and their forms.
        """
        found = {c: p for c, p in ((c, self._at_once(c)) for c in self.sides.claims) if p is not None}
        open_ = {c: self.stages for c in self.sides.claims if c not in found}
        for share in (FIRST, 1):
            end, before = self.clock.after(share, self.clock.deadline), self.clock.extra
            late: dict[Claim, Stages] = {}
            for k, (c, stages) in enumerate(open_.items()):
                self._until(self.clock.after(1 / (len(open_) - k), end + self.clock.extra - before))
                found[c], late[c] = self._part(c, held, stages, found.get(c))
            open_ = {c: stages for c, stages in late.items() if stages}
        return [(c, self._told(c, found[c])) for c in self.sides.claims]

    def _told(self, c: Claim, p: Part) -> Part:
        """A verdict with what numbers say of what is not decided."""
        if p.status != "undecided":
            return p
        self.numbers.ask(self.sides.claims, False)
        return replace(p, status="refuted", detail="") if self.numbers.refuted(c) else p

    def _at_once(self, c: Claim) -> Part | None:
        """The verdict on a claim where it takes no algebra; None where it does."""
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
        return None

    def _part(
        self, c: Claim, held: Mapping[Definition, list[Expression]], stages: Stages, before: Part | None
    ) -> tuple[Part, Stages]:
        """The verdict on a claim, and the stages that ended for want of time.

        Args:
            before: what was found with less time.
        """
        start = perf_counter()
        found = self._decided(c.claim, c.target, stages)
        if found.how is None and held:
            self._lean_on(held)
            found = self._decided(c.claim, c.target, stages)
        seconds = perf_counter() - start + (before.seconds if before else 0.0)
        if found.how is not None:
            return Part(c.name, "proved", (), found.how, seconds), ()
        return Part(c.name, "undecided", (), _text(found.rest) or (before.detail if before else ""), seconds), found.late

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

    def _decided(self, claim: str, target: str, stages: Stages) -> _Found:
        """How claim = target was proved, or what is left of it."""
        stages = tuple(s for s in stages if s[1] in self.modes)
        weights = [self.weights.get(what, 1) for what, _ in stages]
        rest: Left = ""
        late = list[tuple[str, Mode]]()
        self._needed = None
        for k, (what, mode) in enumerate(stages):
            deadline = self.clock.after(weights[k] / sum(weights[k:]))
            self._stop(deadline)
            left: Left
            try:
                found, left = self._tried(what, mode, claim, target, rest)
            except (OutOfTime, RecursionError):
                found, left = None, rest or "there are too many terms"
            except Unreduced as e:
                found, left = None, rest or str(e)
            if found is not None:
                return _Found(found)
            loaded = max((f.context.deadline or deadline for f in self._forms.values()), default=deadline) - deadline
            if loaded > 0:
                self.clock.extend(loaded)
                deadline += loaded
            rest = left or rest
            if perf_counter() >= deadline:
                late.append((what, mode))
                rest = _text(rest).replace("there are too many terms", "") or "the time limit was reached"
        return _Found(None, rest, tuple(late))

    def _tried(self, what: str, mode: Mode, claim: str, target: str, rest: Left) -> tuple[str | None, Left]:
        """How a stage proves claim = target; None and what it leaves where it does not."""
        if what == "second":
            written = (AS_WRITTEN, AS_WRITTEN_EXPANDED) if EXPANDED in self.modes else (AS_WRITTEN,)
            return second_route(map(self.forms, written), claim, target, _text(rest))
        names: list[str] | None = [] if what == "claim" else None
        if what == "needed":
            if self._needed is None:
                self._needed = self.numbers.needed(claim, target, self.lemmas.values())
            if not self._needed:
                return None, ""
            names = self._needed
        forms = self.forms(mode)
        difference = forms.difference(claim, target)
        left: Left
        if mode.cases:
            opened, left = list[str](), rest
            found = vanishes_case_by_case(forms, difference, by_invariant)
        else:
            opened, remains = self._emptied(forms, difference, names)
            found, left = not remains, remains
        forms.proves = forms.proves or found
        return (how(mode, opened), "") if found else (None, left)

    def _emptied(self, forms: Forms, difference: Expression, names: list[str] | None) -> tuple[list[str], Expression]:
        """The names that were written out, and what is left: of the first element where something is."""
        opened: list[str] = []
        for part in each_element(forms.context, difference) if forms.context.mode.elements else [difference]:
            more, left = forms.emptied(part, names)
            opened += more
            if left and not (names is None and any(by(forms, left) for by in (by_invariant, by_steps, by_hypothesis))):
                return opened, left
        return opened, {}

    # -- what a proof leaves out ----------------------------------------------------------
    def _limited(self, p: Part) -> Part:
        limit = self.sides.limit
        return replace(p, status="undecided", detail=limit) if p.status == "proved" and limit else p

    def _audited(self, c: Claim, p: Part) -> Part:
        """A proof is put to numbers where what it leaves out could be more than a set of measure zero."""
        kinks = any(f.proves and f.context.left_out for f in self._forms.values())
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


def _text(left: Left) -> str:
    return left if isinstance(left, str) else expression_text(left)
