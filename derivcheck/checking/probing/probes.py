"""Hostile probes: the ways in which backwards that pass everywhere else are wrong.

Other sizes, small, equal, coprime and long odd ones; another scale of the upstream gradient; layouts that are not contiguous;
zeros, ties, repeated indices, large inputs; the same call twice; the flags that autograd sets.  Each is a run against the
derived gradient at that very data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch

from derivcheck.checking.arithmetic.compare import compare
from derivcheck.checking.arithmetic.live import array
from derivcheck.checking.backward.found import BackwardRun, Run, find
from derivcheck.checking.probing.conditions import SidesTaken
from derivcheck.checking.probing.excluding import excluding
from derivcheck.checking.probing.lengths import Lengths
from derivcheck.checking.probing.reach import Reach
from derivcheck.checking.probing.situations import Probe, places, situations
from derivcheck.checking.report.report import Note
from derivcheck.checking.report.row import Row
from derivcheck.checking.subject.subject import Subject, Tensors, Upstream
from derivcheck.checking.verdict.derived import CAP, Derived, JudgedRun, Trial, derived
from derivcheck.checking.verdict.judge import Circumstances, judge
from derivcheck.checking.verdict.kinks import NARROW, between
from derivcheck.checking.verdict.likeness import likeness
from derivcheck.errors import DerivcheckError
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.measure import sizes_of
from derivcheck.tracing.program.copies import same_layout

MOST = 3  # refusals of the forward that are told, each for another reason
GLANCE = {torch.float64: 1e-9, torch.float32: 1e-4}  # how far off, relative to the largest element, a glance sees nothing
COARSE = 1e-2  # how far off, relative to the largest element, a gradient in another type has to be to count


@dataclass(frozen=True)
class Probed:
    """What the probes showed.

    Attributes:
        wrong: the first faulty row of each gradient, in the order in which they were found.
        unlike: the sizes at which the forward is another function than its derivation, or ``""``.
        notes: what was probed, and what was left open.
        reached: each side of each condition -> what first took it.
    """

    wrong: Mapping[str, Row]
    unlike: str
    notes: tuple[Note, ...]
    reached: Mapping[str, str]


class Tested(NamedTuple):
    """The backward under test: as the subject runs it, as another subject would, and whether a function was written for it."""

    run: Run
    again: Callable[[Subject], Run]
    written: bool = False


def probe(s: Subject, tested: Tested, upstream: Upstream, right: Derived, dtype: torch.dtype, seed: int) -> Probed:
    """Run every probe."""
    program, adjoint = s.derivation.program, s.derivation.adjoint
    sides = SidesTaken(program, adjoint, s.derivation.upstream)
    sides.take(sides.at(s.tensors), "the data")
    prober = _Prober(s, tested, dtype, _Known(s, dtype), sides, upstream)
    where = places(s, upstream, right, seed)
    prober.known.keep(Probe("", s.tensors, upstream), right)
    lengths = Lengths(s, upstream, right.sizes, where.coprime or right.sizes)
    for p in chain(situations(s, upstream, right, tested.written, where), lengths):
        if not (p.glanced and prober.agrees(p)):
            prober.attempt(p)
    search = Reach(s, sides, seed, prober.attempt)
    search.mixed(where.data, where.ups)
    for data, ups in where.bases if sides.open else ():
        search.directed(data, ups)
    unlike = next(iter(prober.known.unlike), "")
    return Probed(prober.wrong, unlike, tuple(prober.notes(search.dropped, lengths.dropped)), sides.reached())


@dataclass
class _Prober:
    """Runs probes, one after the other, and keeps what came of them."""

    s: Subject
    tested: Tested
    dtype: torch.dtype
    known: _Known
    sides: SidesTaken
    upstream: Upstream
    wrong: dict[str, Row] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    own: dict[str, str] = field(default_factory=dict)  # what torch's own autograd raised, and where
    refused: dict[str, str] = field(default_factory=dict)  # what the backward raised at data made for a side
    subgradients: int = 0

    def agrees(self, p: Probe) -> bool:
        """Whether a glance sees no difference: the gradients beside the adjoint's value, as a whole."""
        s, adjoint = self.s, self.s.derivation.adjoint
        off = GLANCE.get(next(t.dtype for t in p.tensors.values() if t.is_floating_point()))
        if off is None or p.kinks and not self.known.finite(p):
            return False
        try:
            found = find(s, self.tested.run, p.tensors, p.upstream)
            values = evaluate(adjoint, {n: t for n, t in {**p.tensors, **p.upstream}.items() if n in adjoint.inputs})
        except (DerivcheckError, ArithmeticError, ValueError, IndexError):
            return False
        if found.raised or found.changed or found.complaints:
            return False
        for name, bar in zip(s.derivation.wrt, adjoint.outputs):
            g, expected = found.gradients.get(name), values.get(bar)
            if not isinstance(g, torch.Tensor) or expected is None or tuple(g.shape) != expected.shape:
                return False
            if p.lenient == "finite" and bool(torch.isfinite(g).all()):
                continue
            if g.dtype is not p.tensors[name].dtype or not np.isfinite(expected).all():
                return False
            if expected.size and not np.abs(array(g) - expected).max() <= off * np.abs(expected).max():  # NaN is not
                return False
        self.done.append(p.name)
        return True

    def attempt(self, p: Probe) -> bool:
        """Hold the backward against what is derived there; whether that could be done."""
        if self.s.domain.broken(p.tensors, self.known.sizes(p)) is not None:
            return False  # outside of where=
        t = p.subject or self.s
        expected = self.known.expected(p)
        unsound = expected is None or p.lenient and not _sound(t, expected)
        if unsound or p.reaching and not self.known.finite(p):
            if not p.reaching:  # these are looked for, not given
                self.left.append(p.name)
            return False
        assert expected is not None
        sizes = ", ".join(f"{n}={v}" for n, v in self.s.domain.called(expected.sizes).items())
        where = f"{p.name} ({sizes})" if sizes else p.name
        mine = self.tested.run if p.subject is None else self.tested.again(t)
        found_rows, found = judge(t, mine, p.tensors, p.upstream, expected, Circumstances(where, p.before, p.leaves))
        raised = next((r.note for r in found_rows if r.verdict == "raised"), "")
        if p.reaching and raised:  # data that we made: what refuses them gives no wrong gradient, and is told
            self.refused.setdefault(raised, p.name)
            return False
        if raised and self.s.native:  # torch's own code differentiates torch's own: no fault of the caller's
            self.own.setdefault(re.sub(r"\d+", "#", raised), f"torch's own: its autograd raises under {where}: {raised}")
            return False
        elsewhere = self.known.other_sizes(p)
        if p.refusable and (not elsewhere or p.lenient) and raised:
            self.left.append(p.name)
            return False
        for row in found_rows:
            if row.faulty and p.lenient not in ("", "sound") and _lenient(row, found, expected, p.lenient):
                continue
            if row.verdict == "wrong" and p.kinks:
                if _undefined(self.s, expected):
                    self.left.append(p.name)
                    continue
                if self._another_side(p, row, found, expected, t, mine):
                    self.subgradients += row.wrong
                    continue
            if row.faulty and row.name not in self.wrong:
                advice = excluding(self.s, self.tested.run, self.upstream, expected.sizes) if elsewhere else ""
                evidence = JudgedRun(p.tensors, p.upstream, expected, found.gradients, p.subject, p.before, p.leaves)
                self.wrong[row.name] = replace(row, advice=advice, evidence=evidence)
        self.done.append(p.name)
        if self.sides.open and (not p.lenient or p.reaching):
            self.sides.take(self.sides.at(p.tensors), p.name)
        return True

    def _another_side(self, p: Probe, row: Row, found: BackwardRun, expected: Derived, t: Subject, run: Run) -> bool:
        """Whether the gradient is that of another side of the kinks, as it is or but for the rounding of how it is written."""
        seen = JudgedRun(p.tensors, p.upstream, expected, found.gradients)

        def beside(g: torch.Tensor) -> bool:
            return between(t, seen, row.bar, g, self.dtype) and between(t, seen, row.bar, g, self.dtype, nudge=NARROW)

        g, rounding = found.gradients[row.name], self.s.rounding
        assert g is not None
        if beside(g):
            return True
        if rounding is None:
            return False
        finer = rounding.finer(Trial(t, run, p.tensors, p.upstream, expected, found.gradients), row)
        return finer is not None and beside(finer)

    def notes(self, dropped: Sequence[str], long: Sequence[str]) -> Iterator[Note]:
        """What the report says of the probes."""
        if self.done and not self.wrong:
            for side in self.sides.never():
                within = any(re.search(rf"\b{n}\b", side) for n in self.s.domain.restricted)
                yield Note(f"never reached: {side}" + (" (where= restricts it)" if within else ""), open=not within)
            for why, name in list(self.refused.items())[:MOST]:
                yield Note(f"never reached: {name}, where the backward raises {why}", open=True)
            yield Note(f"held under {len(self.done)} probes: {_listed(self.done)}")
        if self.left:
            yield Note(f"could not be run: {_listed(self.left)}")
        if foreign := self.known.foreign:
            others = f", and in {len(foreign) - 1} more probes" if len(foreign) > 1 else ""
            yield Note(f"not judged where the forward is not what the reference means: {foreign[0]}{others}", open=True)
        for said in (*self.own.values(), *(said for _, said in list(self.known.refused.values())[:MOST])):
            yield Note(said, open=True)
        if dropped:
            yield Note(f"not tried, for there were too many: data for {_listed(dropped)}")
        if long:
            yield Note(f"not tried, for their work: sizes of {_listed(long)}")
        if n := self.subgradients:
            yield Note(f"{n} elements at a kink take another subgradient than the derived one: accepted")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names))


@dataclass
class _Known:
    """What is derived where, for the probes that share their data."""

    s: Subject
    dtype: torch.dtype
    kept: dict[tuple[int, int], tuple[Probe, Derived | None]] = field(default_factory=dict)  # a probe keeps its data alive
    unlike: list[str] = field(default_factory=list)  # sizes at which the forward is another function than its Program
    foreign: list[str] = field(default_factory=list)  # sizes at which what is under test is another function than its reference
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)  # what the forward raised, at the fewest other sizes

    def keep(self, p: Probe, found: Derived) -> None:
        """What is known of data already."""
        self.kept[id(p.tensors), id(p.upstream)] = p, found

    def other_sizes(self, p: Probe) -> bool:
        """Whether a probe has other sizes than the caller's data."""
        return any(t.shape != self.s.tensors[n].shape for n, t in p.tensors.items())

    def sizes(self, p: Probe) -> dict[str, int]:
        """The sizes of a probe."""
        return sizes_of(self.s.derivation.program, p.tensors)

    def expected(self, p: Probe) -> Derived | None:
        """What is derived at a probe's data, or None where the forward or the derivation does not run there."""
        if p.numbers is not None:
            there = p.tensors is p.numbers[0] or self._takes(p.tensors)
            return self.expected(replace(p, tensors=p.numbers[0], upstream=p.numbers[1], numbers=None)) if there else None
        key = id(p.tensors), id(p.upstream)
        if key not in self.kept:
            self.kept[key] = p, self._derived(p)
        return self.kept[key][1]

    def _takes(self, tensors: Tensors) -> bool:
        """Whether the forward runs on such strides."""
        call = self.s.meaning or self.s.call
        try:
            with torch.no_grad():
                return call is None or call({n: same_layout(t) for n, t in tensors.items()}) is not None
        except Exception:  # its own affair
            return False

    def _refuses(self, p: Probe, what: str) -> None:
        """Keep what the forward raised at sizes that the caller did not name."""
        given = self.sizes(replace(p, tensors=self.s.tensors))
        moved = {n: v for n, v in self.sizes(p).items() if given.get(n) != v}
        said = ", ".join(f"{n} = {v}" for n, v in self.s.domain.called(moved).items())
        reason = re.sub(r"\d+", "#", what)
        if reason not in self.refused or len(moved) < self.refused[reason][0]:
            self.refused[reason] = len(moved), f"refuses {said}: {what}"

    def finite(self, p: Probe) -> bool:
        """Whether what the forward gives is finite at a probe's data, and nothing on its way is NaN, by its Program."""
        program = self.s.derivation.program
        try:
            values = evaluate(program, {n: p.tensors[n] for n in program.inputs if n in p.tensors})
        except DerivcheckError:
            return False
        ends = [values[o] for o in program.outputs if o in values]
        return all(bool(np.isfinite(v).all()) for v in ends) and not any(bool(np.isnan(v).any()) for v in values.values())

    def _derived(self, p: Probe) -> Derived | None:
        """The derived gradients at a probe; None where the forward refuses or is not what its Program says there."""
        same = next((found for q, found in self.kept.values() if q.tensors is p.tensors), None)
        dtype = next((t.dtype for t in p.tensors.values() if t.is_floating_point()), self.dtype)
        right = cache(lambda: derived(self.s, p.tensors, p.upstream, dtype))
        try:
            if self.s.call is not None and same is None:
                found = likeness(self.s, p.tensors, lambda: right().pairs)
                if found.unlike and self.other_sizes(p) and not self.s.derivation.program.assumptions:
                    self.unlike.append(found.unlike)
                if found.foreign and not p.lenient:
                    self.foreign.append(f"{p.name} ({found.foreign})")
                if found.refused and self.other_sizes(p) and not p.lenient:
                    self._refuses(p, found.refused)
                if not found.alike:
                    return None
            return right()
        except (DerivcheckError, RuntimeError, ValueError, IndexError, TypeError):
            return None


def _sound(s: Subject, expected: Derived) -> bool:
    """Whether there is a right gradient at all."""
    return all(bool(torch.isfinite(expected.value(bar)).all()) for bar in s.derivation.adjoint.outputs)


def _undefined(s: Subject, expected: Derived) -> bool:
    """Whether the forward itself is not a number somewhere at this data: it has no gradient there."""
    forward = (expected.pairs.get(d.name) for d in s.derivation.program.definitions)
    return any(bool(torch.isnan(pair.value).any()) for pair in forward if pair is not None)


def _lenient(row: Row, found: BackwardRun, expected: Derived, how: str) -> bool:
    """Whether a fault does not count in a probe that looks for the plainest ones alone."""
    g = found.gradients.get(row.name)
    if row.verdict != "wrong" or g is None:
        return True
    if how == "finite":
        return bool(torch.isfinite(g).all())
    value, tolerance = expected.value(row.bar), expected.tolerance(row.bar)
    largest = float(value.abs().max()) if value.numel() else 0.0
    return compare(g, value, CAP * tolerance + COARSE * largest).holds
