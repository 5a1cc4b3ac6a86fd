"""Size assignments: which sizes the code is traced at, and which dimensions it needs to be equal.

Every dimension of an example starts as a size of its own.  The code is recorded with all of them different; where an
operator then fails, the sizes that the example has equal are identified as far as that operator needs, and no further.
A size that the code takes at one value only is fixed there, a size that must be a multiple of k becomes k times another.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.integers.polynomials import Poly, Size, as_poly, size
from derivcheck.notation.program.requirements import Requirement
from derivcheck.tracing.recording.data import Recording
from derivcheck.tracing.recording.dispatch import Enough, RecordingPlan, Repair
from derivcheck.tracing.recording.functional import Impure
from derivcheck.tracing.recording.run import RecordingFailed, Run, record
from derivcheck.tracing.recording.types_read import reads_classes
from derivcheck.tracing.sizes.compared import Conditions
from derivcheck.tracing.sizes.expressions import SizeExpressions
from derivcheck.tracing.watching.log import SizeComparison


@dataclass(frozen=True)
class Spec:
    """An input of the traced code: dimensions are integer expressions of sizes, ``kind`` is the class that code may ask for."""

    name: str
    dims: tuple[Poly, ...]
    dtype: torch.dtype
    role: str = "argument"
    below: Poly | None = None
    kind: type[torch.Tensor] = torch.Tensor


@dataclass(frozen=True)
class Traceable:
    """What is traced: ``call(tensors by name, run, sizes)`` under the inputs that ``specs`` describe.

    ``modules`` are the names of the modules that its code stands in.
    """

    specs: tuple[Spec, ...]
    call: Callable[[dict[str, torch.Tensor], Run, Mapping[str, int]], Any]
    soft: frozenset[str] = frozenset()
    actual: Callable[[], Any] | None = None
    modules: tuple[dict[str, Any], ...] = ()


@dataclass
class Traces:
    """Recordings of one subject at several size assignments."""

    subject: Traceable
    example: dict[str, int] | None
    meaning: dict[str, Poly] = field(default_factory=dict)
    assignments: list[dict[str, int]] = field(default_factory=list)
    recordings: list[Recording] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)
    fixed: dict[str, str] = field(default_factory=dict)
    watch: bool = True
    low: set[str] = field(default_factory=set)  # of sizes that are equal in the example those that are to be the smallest
    plain: bool = True  # code that writes to no tensor is recorded as it is
    pure: bool | None = None  # whether the code was seen to write to none
    plan: int = 0
    kind: int = 0
    within: tuple[Requirement, ...] = ()  # of the sizes that the code is meant for
    distant: bool = True  # the sizes that all differ are far from the example's; near it, where the code does not take those
    given: bool = False  # a size by which the code chooses what it runs is fixed at the example's, not refused
    conditions: Conditions | None = None
    expressions: SizeExpressions | None = None
    modules: dict[int, dict[str, Any]] = field(default_factory=dict)
    _made: dict[Any, Recording] = field(default_factory=dict)
    _ran: dict[Any, tuple[float, bool]] = field(default_factory=dict)
    _mode: FakeTensorMode | None = None
    _classes: dict[int, bool] = field(default_factory=dict)  # of each module, by its names, whether its code reads classes
    _meant: dict[Poly, Poly] = field(default_factory=dict)  # by these meanings
    _meant_by: dict[str, Poly] = field(default_factory=dict)

    def resolve(self, poly: Poly) -> Poly:
        """An integer expression with identified and fixed sizes put in."""
        if self._meant_by != self.meaning:  # these are few, and expressions are asked for thousands of times
            self._meant_by, self._meant = dict(self.meaning), {}
        found = self._meant.get(poly)
        if found is None:
            found = self._meant[poly] = self._resolve(poly)
        return found

    def _resolve(self, poly: Poly) -> Poly:
        for _ in range(20):  # what a size means may have sizes in it; a circle of them would go on
            known = {Size(n): self.meaning[n] for n in poly.sizes() if n in self.meaning}
            new = poly.substitute(known) if known else poly
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
        chosen = plans(names)
        return chosen[min(self.plan, len(chosen) - 1)]

    def assignment(self, t: int, first: int | None = None) -> dict[str, int]:
        """Assignment ``t``: all sizes different, in the order and roughly the ratios of the base (a kernel fits its image).

        Grown from the base, or where the code's comparisons exclude that (or from the start, with ``first`` 1 or 2) near it or
        below it; ``first`` is by default what the code was found to need.
        """
        first = self.kind if first is None else first
        base, known = self.base(), self.known()
        # near: a kernel stands below channels of its size
        ordered = sorted(list(base)[:: -1 if first else 1], key=lambda k: (base[k], k not in self.low))
        spare: dict[str, int] | None = None
        for draw in range(36):  # twelve draws for each of the three ways to grow
            out: dict[str, int] = {}
            previous, step = 1, (t, 0, -1)[(first + draw // 12) % 3]
            rng = random.Random(7919 * t + 31 * len(base) + 104729 * draw)  # primes: draws differ, and are the same in each run
            for n in ordered:
                grown = base[n] + (base[n] * step + 1) // 2 + (t if step > 0 else 0)
                spread = 3 + t + draw % 12 if step > 0 else 1 + (draw % 12 + t) // 3
                value = max(grown, previous + 1, 2) + rng.randrange(0, spread)
                out[n] = previous = value
            if {p.at(out) for p in known}.isdisjoint(out.values()):
                spare = spare or out
                if self.admits(out):
                    break
        else:
            out = spare or out
        return {n: out[n] for n in base}

    def admits(self, sizes: Mapping[str, int]) -> bool:
        """Whether the code's comparisons, as far as they are known, come out as in the first recording."""
        found = () if self.conditions is None else self.conditions.found
        meant = [r for r in map(self.required, self.within) if r.left.sizes() | r.right.sizes() <= sizes.keys()]
        return all(self.required(r).holds(sizes) for r, _, _ in found) and all(r.holds(sizes) for r in meant)

    def required(self, r: Requirement) -> Requirement:
        """A requirement with identified and fixed sizes put in."""
        return Requirement(self.resolve(r.left), r.relation, self.resolve(r.right))

    def far(self) -> Iterator[dict[str, int]]:
        """Sizes far beyond those of the base, all different: the other way around than in the base, then in its order, then in
        its proportions (a kernel fits its image), then less far, where the code's comparisons exclude the others."""
        base = self.base()
        ordered = sorted(base, key=lambda k: (base[k], k not in self.low))
        for least in (1031, 518, 263, 131, 68, 38, 20):  # 2 modulo 3, odd and even
            for names in (ordered[::-1], ordered) if len(ordered) > 1 else (ordered,):
                if len(names) < 5:  # so far apart that no quotient of two stays what it is near by
                    sizes = {n: least * 3**k + (0, 2, 5, 2)[k] for k, n in enumerate(names)}
                else:
                    sizes = {n: least + (least // 2 + 3) * k + k % 3 for k, n in enumerate(names)}
                if self.admits(sizes):
                    yield sizes
            factor = -(-least // max(1, min(base.values(), default=1)))
            sizes = {n: base[n] * factor + 1 + 3 * k for k, n in enumerate(ordered)}
            if len(ordered) > 1 and self.admits(sizes):
                yield sizes

    def apart(self) -> dict[str, int]:
        """Sizes that all differ, from one another and from the other dimensions of the inputs."""
        found = next(self.far(), None) if self.distant and self.example is not None else None
        if found is None or not {p.at(found) for p in self.known()}.isdisjoint(found.values()):
            self.distant = False
            return self.assignment(1)
        return found

    def known(self) -> list[Poly]:
        """The dimensions of the inputs that are more than one size."""
        dims = [self.resolve(p) for s in self.subject.specs for p in s.dims]
        return [p for p in dict.fromkeys(dims) if p.atom is None and p.constant is None]

    def at(
        self,
        sizes: Mapping[str, int],
        names: bool = False,
        repair: Repair | None = None,
        upto: int | None = None,
        trying: bool = False,
        heard: Callable[[SizeComparison], None] | None = None,
    ) -> Recording:
        """Record at these sizes; ``trying`` whether the code runs there at all; ``heard`` is told of its comparisons.

        Raises:
            RecordingFailed, UnsupportedOperation
        """
        shapes, full, key = self._run_at(sizes)
        if repair is None and upto is None and key in self._made:  # the sizes' names changed, and no shape
            return self._made[key]
        code = partial(self._called, shapes, full)
        if self.pure or names and self.plain and self.pure is None:
            try:
                found, wrote = self._recorded(code, RecordingPlan(names, repair, upto, pure=True), heard)
                if not wrote and not (names and found.functions):
                    return self._kept(found, key, names, True) if repair is None and upto is None else found
            except (RecordingFailed, UnsupportedOperation, Impure) as e:  # said from a full recording
                if isinstance(e, RecordingFailed) and not e.repaired:
                    self._ran[key] = len(e.recording.calls), True
                if trying and isinstance(e, RecordingFailed):
                    raise
        found, wrote = self._recorded(code, RecordingPlan(names, repair, upto), heard)
        pure = self.plain and not wrote and not found.functions
        return self._kept(found, key, names, pure) if repair is None and upto is None else found

    def _kept(self, found: Recording, key: Any, names: bool, pure: bool) -> Recording:
        """A recording with names is made once, and tells whether the code writes."""
        if names:
            self._made[key], self.pure = found, pure
        return found

    def _called(self, shapes: Mapping[str, tuple[int, ...]], full: Mapping[str, int], run: Run) -> Any:
        tensors = {s.name: run.input(s.name, shapes[s.name], s.dtype, s.kind) for s in self.subject.specs}
        return self.subject.call(tensors, run, full)

    def _recorded(
        self, code: Callable[[Run], Any], plan: RecordingPlan, heard: Callable[[SizeComparison], None] | None
    ) -> tuple[Recording, bool]:
        """A recording, and whether the code writes to a tensor."""
        modules = (*self.subject.modules, *self.modules.values())
        for names in modules:  # looked at once in a derivation
            if id(names) not in self._classes:
                self._classes[id(names)] = reads_classes(names)
        run = Run(plan, self.watch, modules, self._mode, any(self._classes[id(names)] for names in modules))
        self._mode, run.reads.log.heard = run.mode, heard
        try:
            return record(code, run), run.functional.wrote
        finally:
            self.modules.update(run.reads.stands.modules)

    def _run_at(self, sizes: Mapping[str, int]) -> tuple[dict[str, tuple[int, ...]], dict[str, int], Any]:
        """The shapes of the inputs at these sizes, all sizes, and what a run depends on."""
        shapes = {s.name: tuple(self.resolve(p).at(sizes) for p in s.dims) for s in self.subject.specs}
        full = {n: self.resolve(size(n)).at(sizes) for n in [*self.meaning, *sizes]}
        soft = {n: v for n, v in full.items() if n in self.subject.soft}
        return shapes, full, (tuple(shapes.items()), tuple(sorted(soft.items())), self.watch)

    def works(self, sizes: Mapping[str, int], upto: int | None = None) -> bool:
        """Whether the code runs at these sizes, at least up to that many operators."""
        key, wanted = self._run_at(sizes)[2], math.inf if upto is None else upto
        ran, whole = self._ran.get(key, (-1, False))  # how many operators are known to run there, and whether no more do
        if not whole and ran <= wanted:
            try:
                self.at(sizes, upto=upto, trying=True)
                ran, whole = math.inf, True
            except Enough:
                ran = wanted + 1
            except RecordingFailed as e:
                ran, whole = len(e.recording.calls), True
            self._ran[key] = ran, whole
        return ran > wanted or ran == math.inf

    def fix(self, name: str, why: str) -> None:
        """Fix a size at its example's value; ``why`` says it in words."""
        if self.example is None:
            raise KeyError(name)
        self.meaning[name] = as_poly(self.example[name])
        self.notes[why] = None
        if self.example[name] > 1:  # a dimension of one is broadcast
            self.fixed[name] = why

    def restart(self) -> None:
        """Forget the recordings after sizes were identified or fixed."""
        self.assignments.clear()
        self.recordings.clear()


class ExploreAgain(Exception):
    """Sizes were identified or fixed: the exploration starts again."""


def plans(names: Sequence[str]) -> list[dict[str, int]]:
    """Sizes to trace at where there is no example, most ordinary first: some code wants its later sizes the smaller ones
    (a kernel in an image), or far apart (a dilated kernel), or one below all others."""
    near = [4 + (3 * k) // 2 for k in range(len(names))]
    apart = [3 + 2 * k * (k + 1) for k in range(len(names))]
    ends = [list(names), list(names)[::-1]]
    lowest = [[n, *(m for m in names if m != n)] for n in names]
    return [dict(zip(order, near)) for order in ends] + [dict(zip(order, apart)) for order in (*ends, *lowest)]
