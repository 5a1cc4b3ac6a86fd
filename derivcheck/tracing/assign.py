"""Size assignments: which sizes the code is traced at, and which dimensions it needs to be equal.

Every dimension of an example starts as a size of its own.  The code is recorded with all of them different; where an
operator then fails, the sizes that the example has equal are identified as far as that operator needs, and no further.
A size that the code takes at one value only is fixed there, a size that must be a multiple of k becomes k times another.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from derivcheck.notation.sizes import Poly, Size, as_poly, size
from derivcheck.tracing.record import RecordingFailed, Run, record
from derivcheck.tracing.recorder import Enough, Repair
from derivcheck.tracing.recording import Recording


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
        chosen = plans(names)
        return chosen[min(self.plan, len(chosen) - 1)]

    def assignment(self, t: int) -> dict[str, int]:
        """Assignment ``t``: all sizes different, in the order and roughly the ratios of the base (a kernel fits its image)."""
        base, known = self.base(), self.known()
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


class Again(Exception):
    """Sizes were identified or fixed: the exploration starts again."""


def plans(names: Sequence[str]) -> list[dict[str, int]]:
    """Sizes to trace at where there is no example, most ordinary first: some code wants its later sizes the smaller ones
    (a kernel in an image), or far apart (a dilated kernel), or one below all others."""
    near = [4 + (3 * k) // 2 for k in range(len(names))]
    apart = [3 + 2 * k * (k + 1) for k in range(len(names))]
    ends = [list(names), list(names)[::-1]]
    lowest = [[n, *(m for m in names if m != n)] for n in names]
    return [dict(zip(order, near)) for order in ends] + [dict(zip(order, apart)) for order in (*ends, *lowest)]
