"""Size assignments: which sizes the code is traced at, and which dimensions it needs to be equal.

Every dimension of an example starts as a size of its own.  The code is recorded with all of them different; where an
operator then fails, the sizes that the example has equal are identified as far as that operator needs, and no further.
A size that the code takes at one value only is fixed there, a size that must be a multiple of k becomes k times another.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.notation.sizes import Poly, Size, as_poly, size
from derivcheck.tracing.fit import Fit
from derivcheck.tracing.local import Local, flat, shaped
from derivcheck.tracing.record import RecordingFailed, Run, record
from derivcheck.tracing.recorder import Enough, Repair
from derivcheck.tracing.recording import Call, Recording


@dataclass(frozen=True)
class Spec:
    """An input of the traced code: its dimensions are integer expressions of sizes."""

    name: str
    dims: tuple[Poly, ...]
    dtype: torch.dtype
    role: str = "argument"
    below: Poly | None = None


@dataclass(frozen=True)
class Subject:
    """What is traced: ``call(tensors by name, run, sizes)`` under the inputs that ``specs`` describe."""

    specs: tuple[Spec, ...]
    call: Callable[[dict[str, torch.Tensor], Run, Mapping[str, int]], Any]
    has_row: Callable[[Any], bool]
    decompositions: Callable[[Any], Any]
    soft: frozenset[str] = frozenset()
    actual: Callable[[], Any] | None = None


@dataclass
class Traces:
    """Recordings of one subject at several size assignments."""

    subject: Subject
    example: dict[str, int] | None
    meaning: dict[str, Poly] = field(default_factory=dict)
    assignments: list[dict[str, int]] = field(default_factory=list)
    recordings: list[Recording] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)
    tried: int = 0
    watch: bool = True
    plan: int = 0

    # -- sizes ---------------------------------------------------------------
    def resolve(self, poly: Poly) -> Poly:
        """An integer expression with identified and fixed sizes put in."""
        for _ in range(20):
            new = poly.substitute({Size(n): p for n, p in self.meaning.items()})
            if new is poly:
                break
            poly = new
        return poly

    def free(self) -> list[str]:
        """The sizes that are still symbols, in the order in which the inputs show them."""
        found: dict[str, None] = {}
        for s in self.subject.specs:
            for p in (*s.dims, *((s.below,) if s.below is not None else ())):
                found.update(dict.fromkeys(sorted(self.resolve(p).sizes())))
        for n in sorted(self.subject.soft):
            found.update(dict.fromkeys(sorted(self.resolve(size(n)).sizes())))
        return list(found)

    def shown(self) -> set[str]:
        """The sizes that some input's dimensions show."""
        return {n for s in self.subject.specs for p in s.dims for n in self.resolve(p).sizes()}

    def hidden(self) -> list[str]:
        """Sizes that no input shows: attributes of modules."""
        shown = self.shown()
        return [n for n in self.free() if n not in shown]

    def base(self) -> dict[str, int]:
        """The example's sizes, or those that were chosen."""
        names = self.free()
        if self.example is not None:
            return {n: self.example[n] for n in names}
        plans = _plans(names)
        return plans[min(self.plan, len(plans) - 1)]

    def assignment(self, t: int) -> dict[str, int]:
        """Assignment ``t``: all sizes different, in the order and roughly the ratios of the base (a kernel fits its image)."""
        base, known = self.base(), self._known()
        ordered = sorted(base, key=lambda k: base[k])
        for draw in range(12):
            out: dict[str, int] = {}
            previous = 1
            rng = random.Random(7919 * t + 31 * len(base) + 104729 * draw)
            for n in ordered:
                value = max(base[n] + (base[n] * t + 1) // 2 + t, previous + 1, 2) + rng.randrange(0, 3 + t + draw)
                out[n] = previous = value
            if {p.at(out) for p in known}.isdisjoint(out.values()):
                break
        return {n: out[n] for n in base}

    def far(self) -> Iterator[tuple[dict[str, int], ...]]:
        """Sizes beyond those of the base, groups of which one will do: beyond 100, all different, the other way around than
        in the base, then in its order; far apart, so that no quotient of two stays what it is."""
        base = self.base()
        ordered = sorted(base, key=lambda k: base[k])
        orders = (ordered[::-1], ordered) if len(ordered) > 1 else (ordered,)
        yield tuple({n: 127 + 22 * k + (k % 3) for k, n in enumerate(names)} for names in orders)
        if 1 < len(ordered) < 8:
            yield ({n: 11 * 3**k + k % 2 for k, n in enumerate(ordered)},)

    # -- recording -------------------------------------------------------------
    def at(
        self,
        sizes: Mapping[str, int],
        names: bool = False,
        repair: Repair | None = None,
        upto: int | None = None,
    ) -> Recording:
        """Record at these sizes.

        Raises:
            RecordingFailed, UnsupportedOperation
        """
        subject = self.subject
        self.tried += 1
        run = Run(subject.has_row, subject.decompositions, names, self.watch, repair, upto)
        shapes = {s.name: tuple(self.resolve(p).at(sizes) for p in s.dims) for s in subject.specs}
        full = {n: self.resolve(size(n)).at(sizes) for n in [*self.meaning, *sizes]}

        def code(run: Run) -> Any:
            tensors = {s.name: run.input(s.name, shapes[s.name], s.dtype) for s in subject.specs}
            return subject.call(tensors, run, full)

        return record(code, run)

    def works(self, sizes: Mapping[str, int], upto: int | None = None) -> bool:
        """Whether the code runs at these sizes, at least up to that many operators."""
        try:
            self.at(sizes, upto=upto)
        except Enough:
            return True
        except RecordingFailed:
            return False
        return True

    def explore(self, least: int = 4) -> None:
        """Record at the example and at enough other assignments, identifying sizes where the code needs it."""
        example: Recording | None = None
        if self.example is not None:
            try:
                example = self._first_run(self.base())
            except RecordingFailed as e:
                self._blame(e)
                raise InputError(
                    f"the traced code raises on its example inputs{_at(e.place)}: {type(e.cause).__name__}: {e.cause}"
                ) from e.cause
        for attempt in range(80):
            if not self.free():
                break
            identified: list[tuple[str, Poly]] = []
            repair = None if example is None else self._repairing(example, identified)
            try:
                now = self.assignment(1)
                first = self._first_run(now) if example is None else self.at(now, repair=repair)
                if not self._identify(identified):
                    break
            except RecordingFailed as e:
                if example is None:
                    if self._replanned():
                        continue
                    sizes = ", ".join(f"{n} = {v}" for n, v in self.assignment(1).items())
                    raise InputError(
                        f"the traced code raises at {sizes}{_at(e.place)}: {type(e.cause).__name__}: {e.cause}. "
                        "Give dimensions that must be equal the same name"
                    ) from e.cause
                self._advance(e, example, identified, attempt)
        if example is not None:
            self.assignments.append(self.base())
            self.recordings.append(example)
        if not self.free():
            if example is None:
                self.assignments.append({})
                self.recordings.append(self.at({}, names=True))
            return
        hidden = self.hidden()
        if hidden:
            base = self.base()
            for n in hidden:
                self.meaning[n] = as_poly(base[n])
            raise Again
        self.assignments.append(self.assignment(1))
        self.recordings.append(first)
        self._unchanged()
        while len(self.recordings) < least or len(self.recordings) < 12 and self._related():
            self.more()

    def _first_run(self, sizes: Mapping[str, int]) -> Recording:
        """Record with names; code that minds what kind of whole number it is given is not watched."""
        try:
            return self.at(sizes, names=True)
        except RecordingFailed:
            if not self.watch:
                raise
            self.watch = False
            try:
                found = self.at(sizes, names=True)
            except RecordingFailed:
                self.watch = True
                raise
            return found

    def _replanned(self) -> bool:
        """Whether the code runs at sizes of another order; they are the base then."""
        first = self.plan
        for plan in range(first + 1, len(_plans(self.free()))):
            self.plan = plan
            if self.works(self.assignment(1)):
                return True
        self.plan = first
        return False

    def _unchanged(self) -> None:
        """Watch no more where the code runs otherwise when the sizes that it reads are watched (``type(n) is int``).

        Raises:
            Again: it does.
        """
        if self.watch and self.recordings[-1].reads:
            self.watch = False
            try:
                same = self.at(self.assignments[-1]).same(self.recordings[-1])
            except RecordingFailed:
                same = False
            if not same:
                raise Again
            self.watch = True

    def _blame(self, e: RecordingFailed) -> None:
        """Where the code runs on the example itself, what failed is the tracing of it."""
        if self.subject.actual is None:
            return
        try:
            self.subject.actual()
        except Exception:
            return
        what = e.call.operator if e.call is not None else "the traced code"
        said = str(e.cause).partition("\n")[0][:200]
        reason = f"it cannot run on tensors without data ({type(e.cause).__name__}: {said})"
        raise UnsupportedOperation(what, reason, e.place, "Write it with torch operators alone.") from e.cause

    def _related(self) -> bool:
        """Whether the assignments leave sizes indistinguishable: one a line of another, all odd or all even, or a chance
        relation such as ``H - kh = W - kw``, under which a fit would name the wrong sizes."""
        vectors = [[a[n] for a in self.assignments] for n in self.free()]
        for k, p in enumerate(vectors):
            if len(set(p)) < 4 or len({x % 2 for x in p}) < 2:
                return True
            for q in vectors[k + 1 :]:
                steps = [((x - p[0]), (y - q[0])) for x, y in zip(p, q)]
                if all(dx * steps[1][1] == dy * steps[1][0] for dx, dy in steps):
                    return True
        moves = [tuple(x - p[0] for x in p) for p in vectors]
        seen = {m: frozenset((k,)) for k, m in enumerate(moves)}
        for k, one in enumerate(moves):
            for j, other in enumerate(moves):
                if j != k:
                    difference = tuple(x - y for x, y in zip(one, other))
                    if seen.setdefault(difference, frozenset((k, j))).isdisjoint((k, j)):
                        return True
        return False

    def more(self) -> None:
        """Record at one more assignment.

        Raises:
            Again: sizes were identified or fixed, since the code does not run there.
        """
        t = len(self.recordings) + 1
        for attempt in range(12):
            sizes = self.assignment(t + 17 * attempt)
            if sizes in self.assignments:
                continue
            try:
                found = self.at(sizes)
            except RecordingFailed as e:
                failure = e
                if self.example is not None and self._search(0, len(e.recording.calls)):
                    raise Again from None
                continue
            self.assignments.append(sizes)
            self.recordings.append(found)
            return
        raise InputError(f"the traced code raises at some sizes{_at(failure.place)}: {failure.cause}")

    # -- identifying ---------------------------------------------------------------
    def _reconcile(self, failed: RecordingFailed, example: Recording) -> bool:
        """Identify and fix sizes as far as the operator that failed needs; False where that does not help."""
        call, k = failed.call, len(failed.recording.calls)
        if call is None or k >= len(example.calls) or example.calls[k].func is not call.func:
            return self._from_message(failed)
        found = Local(call, failed.recording, example.calls[k], example, self.assignment(1), self.base()).solve()
        changed = False
        for n, choice in (found or {}).items():
            if choice is None:
                self.meaning[n] = as_poly(self.base()[n])
            elif isinstance(choice, int):
                poly = self._direct(failed, choice) or self._leaf(choice, call.func)
                if poly is not None and n in poly.sizes():
                    continue
                self.meaning[n] = as_poly(self.base()[n]) if poly is None else poly
            elif choice != n:
                self.meaning[n] = size(choice)
            else:
                continue
            changed = True
        return changed or self._from_message(failed)

    def _advance(self, e: RecordingFailed, example: Recording, identified: list[tuple[str, Poly]], attempt: int) -> None:
        """Identify, scale or fix sizes after the code failed where they all differ."""
        if self._identify(identified) or self._reconcile(e, example):
            return
        hidden = self.hidden()
        if hidden and self._attribute(len(e.recording.calls)):
            return
        base = self.base()
        kernels = [n for n in base if n.rpartition(".")[2] in _KERNELS]
        if kernels:  # a kernel of another size often needs another padding, which is a number
            self.meaning |= {n: as_poly(base[n]) for n in kernels}
            if self._further(e):
                return
            for n in kernels:
                del self.meaning[n]
        for n in hidden:
            self.meaning[n] = as_poly(base[n])
        if not hidden and not self._search(attempt, len(e.recording.calls)):
            raise InputError(f"the traced code raises at other sizes than its example's{_at(e.place)}: {e.cause}") from e.cause

    def _repairing(self, example: Recording, found: list[tuple[str, Poly]]) -> Repair:
        """Repairs each operator that fails, so that one run finds all that the code needs to be equal."""
        now, then = self.assignment(1), self.base()
        known = {p.at(now): p for p in self._known()}

        def repair(call: Call, recording: Recording) -> tuple[Any, Any] | None:
            k = len(recording.calls)
            if k >= len(example.calls) or example.calls[k].func is not call.func:
                return None
            local = Local(call, recording, example.calls[k], example, now, then)
            state = local.solve()
            if state is None:
                return None
            here: list[tuple[str, Poly]] = []
            for n, choice in state.items():
                if choice is None:
                    here.append((n, as_poly(then[n])))
                elif isinstance(choice, int):
                    poly = known.get(local.leaves[choice])
                    if poly is None or poly.at(then) != then[n]:
                        return None
                    here.append((n, poly))
                elif choice != n:
                    here.append((n, size(choice)))
            found.extend(here)
            return local.repaired()

        return repair

    def _identify(self, found: list[tuple[str, Poly]]) -> bool:
        """Make sizes and expressions equal; False where nothing was new."""
        changed = False
        for n, poly in found:
            left, right = self.resolve(size(n)), self.resolve(poly)
            for one, other in ((left, right), (right, left)) if left is not right else ():
                if isinstance(one.atom, Size) and one.atom.name not in other.sizes():
                    self.meaning[one.atom.name] = other
                    changed = True
                    break
        return changed

    def _direct(self, failed: RecordingFailed, position: int) -> Poly | None:
        """The known dimension that a leaf of the failing call's arguments equals, if it is one."""
        assert failed.call is not None
        value = flat(shaped([failed.call.args, failed.call.kwargs], failed.recording))[position]
        now = self.assignment(1)
        return next((p for p in self._known() if p.at(now) == value), None)

    def _leaf(self, position: int, func: Any) -> Poly | None:
        """The number at a position of the failing call's arguments, as a function of the sizes."""
        assignments, values = [], []
        for t in range(1, 7):
            sizes = self.assignment(t)
            try:
                self.at(sizes)
            except RecordingFailed as e:
                if e.call is None or e.call.func is not func:
                    continue
                values.append(flat(shaped([e.call.args, e.call.kwargs], e.recording))[position])
                assignments.append(sizes)
            except UnsupportedOperation:
                return None
        return Fit(assignments).integer(values) if len(values) >= 4 else None

    def _attribute(self, calls: int) -> bool:
        """Identify a module's attribute with a size that it equals in the example, if the code then gets further."""
        base, hidden = self.base(), self.hidden()
        for n in hidden:
            for m in base:
                if m not in hidden and base[m] == base[n]:
                    self.meaning[n] = size(m)
                    try:
                        self.at(self.assignment(1))
                        return True
                    except RecordingFailed as e:
                        if len(e.recording.calls) > calls:
                            return True
                    del self.meaning[n]
        return False

    def _known(self) -> list[Poly]:
        """The dimensions of the inputs that are more than one size."""
        dims = [self.resolve(p) for s in self.subject.specs for p in s.dims]
        return [p for p in dict.fromkeys(dims) if p.atom is None and p.constant is None]

    def _from_message(self, failed: RecordingFailed) -> bool:
        """Two numbers in an error message (``expected 20, got 11``) that the example has equal are sizes to identify."""
        now, then = self.assignment(1), self.base()
        numbers = {int(n) for n in re.findall(r"\d+", str(failed.cause))}
        for n, v in now.items():
            if v not in numbers:
                continue
            for other in [size(m) for m in now if m != n] + self._known():
                if other.at(now) in numbers and other.at(then) == then[n] and n not in other.sizes():
                    self.meaning[n] = other
                    if self._further(failed):
                        return True
                    del self.meaning[n]
        return False

    def _further(self, failed: RecordingFailed) -> bool:
        """Whether the code now gets further than it did, or complains of fewer sizes."""
        try:
            self.at(self.assignment(1))
        except RecordingFailed as e:
            calls, before = len(e.recording.calls), len(failed.recording.calls)
            complaints = [len(set(re.findall(r"\d+", str(x.cause)))) for x in (e, failed)]
            spoken = isinstance(failed.cause, (AssertionError, ValueError))  # a check of the code's own, not an operator's
            return calls > before or spoken and calls == before and complaints[0] < complaints[1]
        return True

    def _search(self, attempt: int, upto: int | None = None) -> bool:
        """Find sizes that cannot vary alone, by varying them from the example; identify, scale or fix one of them."""
        base = self.base()
        names = self.free()

        def vary(group: Sequence[str], steps: Sequence[int] = (1, 2)) -> bool:
            return all(self.works({**base, **{n: base[n] + d for n in group}}, upto) for d in steps)

        bad = [n for n in names if not vary([n], (1,))]
        groups: dict[int, list[str]] = {}
        for n in bad:
            groups.setdefault(base[n], []).append(n)
        for group in groups.values():
            for i, a in enumerate(group):
                for b in group[i + 1 :]:
                    if vary([a, b]):
                        self.meaning[b] = size(a)
                        return True
            if len(group) > 2 and vary(group):
                for b in group[1:]:
                    self.meaning[b] = size(group[0])
                return True
        for n in bad:
            for other in self._known():
                if other.at(base) == base[n] and n not in other.sizes() and self._follows(n, other, upto):
                    return True
        for group in groups.values():
            for block in [group, *([n] for n in group)] if len(group) > 1 else [group]:
                for k in _divisors(base[block[0]]):
                    if vary(block, (k, 2 * k)):
                        fresh = f"{block[0]}__{k}"
                        if self.example is not None:
                            self.example[fresh] = base[block[0]] // k
                        for n in block:
                            self.meaning[n] = k * size(fresh)
                        return True
        if not bad:  # only together do they fail: fix the smallest
            bad = sorted(names, key=lambda k: base[k])[:1]
        for n in bad:
            self.meaning[n] = as_poly(base[n])
        return bool(bad)

    def _follows(self, name: str, other: Poly, upto: int | None) -> bool:
        """Identify a size with an integer expression if the code then runs at other sizes."""
        self.meaning[name] = other
        base = self.base()
        if all(self.works({**base, **{m: base[m] + d for m in sorted(other.sizes())}}, upto) for d in (1, 2)):
            return True
        del self.meaning[name]
        return False

    def fix(self, name: str, why: str) -> None:
        """Fix a size at its example's value."""
        if self.example is None:
            raise KeyError(name)
        self.meaning[name] = as_poly(self.example[name])
        self.notes[why] = None

    def restart(self) -> None:
        """Forget the recordings after sizes were identified or fixed."""
        self.assignments.clear()
        self.recordings.clear()


_KERNELS = ("k", "kh", "kw", "kd")


class Again(Exception):
    """Sizes were identified or fixed: the exploration starts again."""


def _plans(names: Sequence[str]) -> list[dict[str, int]]:
    """Sizes to trace at where there is no example, most ordinary first: some code wants its later sizes the smaller ones
    (a kernel in an image), or far apart (a dilated kernel), or one below all others."""
    near = [4 + (3 * k) // 2 for k in range(len(names))]
    apart = [3 + 2 * k * (k + 1) for k in range(len(names))]
    ends = [list(names), list(names)[::-1]]
    lowest = [[n, *(m for m in names if m != n)] for n in names]
    return [dict(zip(order, near)) for order in ends] + [dict(zip(order, apart)) for order in (*ends, *lowest)]


def _divisors(n: int) -> list[int]:
    return [k for k in range(2, min(n, 4096) + 1) if n % k == 0][:24]


def _at(place: str | None) -> str:
    return f" ({place})" if place else ""


__all__ = ["Again", "Call", "Spec", "Subject", "Traces", "UnsupportedOperation"]
