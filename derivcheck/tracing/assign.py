"""Size assignments: which sizes the code is traced at, and which dimensions it needs to be equal.

Every dimension of an example starts as a size of its own.  The code is recorded with all of them different; where an
operator then fails, the sizes that the example has equal are identified as far as that operator needs, and no further.
A size that the code takes at one value only is fixed there, a size that must be a multiple of k becomes k times another.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.notation.sizes import Poly, Size, as_poly, size
from derivcheck.tracing.recording import Call, Meta, Recording, Tensor
from derivcheck.tracing.torch_internals import RecordingFailed, Run, record, succeeds


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
        """The example's sizes, or the first of the chosen ones."""
        names = self.free()
        if self.example is not None:
            return {n: self.example[n] for n in names}
        return dict(zip(names, _first(len(names))))

    def assignment(self, t: int) -> dict[str, int]:
        """Assignment ``t``: all sizes different, in the order of the base, odd and even mixed."""
        base = self.base()
        rng = random.Random(t * 7919 + len(base))
        out: dict[str, int] = {}
        previous = 1
        for n in sorted(base, key=lambda k: base[k]):
            low = max(base[n] + 1, previous + 1, 2)
            value = low + rng.randrange(0, 3 + t)
            out[n] = previous = value
        return {n: out[n] for n in base}

    # -- recording -------------------------------------------------------------
    def at(self, sizes: Mapping[str, int], names: bool = False) -> Recording:
        """Record at these sizes.

        Raises:
            RecordingFailed, UnsupportedOperation
        """
        subject = self.subject
        self.tried += 1
        run = Run(subject.has_row, subject.decompositions, names)
        shapes = {s.name: tuple(self.resolve(p).at(sizes) for p in s.dims) for s in subject.specs}
        full = {n: self.resolve(size(n)).at(sizes) for n in [*self.meaning, *sizes]}

        def code(run: Run) -> Any:
            tensors = {s.name: run.input(s.name, shapes[s.name], s.dtype) for s in subject.specs}
            return subject.call(tensors, run, full)

        return record(code, run)

    def works(self, sizes: Mapping[str, int]) -> bool:
        """Whether the code runs at these sizes."""
        try:
            self.at(sizes)
        except RecordingFailed:
            return False
        return True

    def explore(self, least: int = 4) -> None:
        """Record at the example and at enough other assignments, identifying sizes where the code needs it."""
        example: Recording | None = None
        if self.example is not None:
            try:
                example = self.at(self.base(), names=True)
            except RecordingFailed as e:
                raise InputError(
                    f"the traced code raises on its example inputs{_at(e.place)}: {type(e.cause).__name__}: {e.cause}"
                ) from e.cause
        for attempt in range(80):
            if not self.free():
                break
            try:
                first = self.at(self.assignment(1), names=example is None)
                break
            except RecordingFailed as e:
                if example is None:
                    sizes = ", ".join(f"{n} = {v}" for n, v in self.assignment(1).items())
                    raise InputError(
                        f"the traced code raises at {sizes}{_at(e.place)}: {type(e.cause).__name__}: {e.cause}. "
                        "Give dimensions that must be equal the same name"
                    ) from e.cause
                if self._reconcile(e, example):
                    continue
                hidden = self.hidden()
                for n in hidden:
                    self.meaning[n] = as_poly(self.base()[n])
                if not hidden and not self._search(attempt):
                    raise InputError(
                        f"the traced code raises at other sizes than its example's{_at(e.place)}: {e.cause}"
                    ) from e.cause
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
        while len(self.recordings) < least:
            self.more()

    def more(self) -> None:
        """Record at one more assignment."""
        t = len(self.recordings) + 1
        for attempt in range(12):
            sizes = self.assignment(t + 17 * attempt)
            if sizes in self.assignments:
                continue
            try:
                found = self.at(sizes)
            except RecordingFailed as e:
                failure = e
                continue
            self.assignments.append(sizes)
            self.recordings.append(found)
            return
        if self.example is not None and self._search(0):
            raise Again
        raise InputError(f"the traced code raises at some sizes{_at(failure.place)}: {failure.cause}")

    # -- identifying ---------------------------------------------------------------
    def _reconcile(self, failed: RecordingFailed, example: Recording) -> bool:
        """Identify and fix sizes as far as the operator that failed needs; False where that does not help."""
        call, k = failed.call, len(failed.recording.calls)
        if call is None or k >= len(example.calls) or example.calls[k].func is not call.func:
            return False
        other, now, then = example.calls[k], self.assignment(1), self.base()
        if then is None:
            return False
        symbol = {v: n for n, v in now.items()}
        args, kwargs = (_shaped(c, r) for c, r in ((call.args, failed.recording), (call.kwargs, failed.recording)))
        e_args, e_kwargs = (_shaped(c, example) for c in (other.args, other.kwargs))
        involved: dict[str, None] = {}

        def symbol_of(mine: int, theirs: int) -> str | None:
            name = symbol.get(mine)
            return name if name is not None and then[name] == theirs else None

        def visit(mine: Any, theirs: Any) -> None:
            for a, b in zip(_flat(mine), _flat(theirs)):
                name = symbol_of(a, b)
                if name is not None:
                    involved[name] = None

        visit((args, kwargs), (e_args, e_kwargs))
        if not involved:
            return False
        state: dict[str, str | None] = dict.fromkeys(involved)  # None: fixed at the example's value; else a block's name

        def value(name: str) -> int:
            block = state[name]
            return then[name] if block is None else now[block]

        def fill(mine: Any, theirs: Any) -> Any:
            if isinstance(mine, Meta):
                return Meta(tuple(fill(a, b) for a, b in zip(mine.shape, theirs.shape)), mine.dtype)
            if isinstance(mine, dict):
                return {n: fill(v, theirs.get(n)) for n, v in mine.items()}
            if isinstance(mine, (list, tuple)):
                return [fill(a, b) for a, b in zip(mine, theirs)]
            if isinstance(mine, int) and not isinstance(mine, bool) and isinstance(theirs, int):
                name = symbol_of(mine, theirs)
                return mine if name is None else value(name)
            return mine

        def holds() -> bool:
            return succeeds(call.func, fill(args, e_args), fill(kwargs, e_kwargs))

        if not holds():
            return False

        def attempt(change: Mapping[str, str | None]) -> bool:
            before = dict(state)
            state.update(change)
            if holds():
                return True
            state.update(before)
            return False

        groups: dict[int, list[str]] = {}
        for n in involved:
            groups.setdefault(then[n], []).append(n)
        for group in groups.values():
            if not attempt(dict.fromkeys(group, group[0])):
                for i, a in enumerate(group):
                    if state[a] is None and not attempt({a: a}):
                        for b in group[i + 1 :]:
                            if state[b] is None and attempt({a: a, b: a}):
                                break
            _split(group, state, attempt)
        changed = False
        for n, block in state.items():
            if block is None:
                self.meaning[n] = as_poly(then[n])
                changed = True
            elif block != n:
                self.meaning[n] = size(block)
                changed = True
        return changed

    def _search(self, attempt: int) -> bool:
        """Find sizes that cannot vary alone, by varying them from the example; merge, scale or fix them."""
        base = self.base()
        names = self.free()

        def vary(group: Sequence[str], by: int = 1) -> bool:
            steps = (1, 2, 3) if by == 1 else (by, 2 * by)
            return all(self.works({**base, **{n: base[n] + d for n in group}}) for d in steps)

        bad = [n for n in names if not vary([n])]
        changed = False
        groups: dict[int, list[str]] = {}
        for n in bad:
            groups.setdefault(base[n], []).append(n)
        for group in groups.values():
            rest = list(group)
            for i, a in enumerate(group):
                for b in group[i + 1 :]:
                    if a in rest and b in rest and vary([a, b]):
                        self.meaning[b] = size(a)
                        rest = [n for n in rest if n not in (a, b)]
                        changed = True
            if len(rest) > 2 and vary(rest):
                for b in rest[1:]:
                    self.meaning[b] = size(rest[0])
                changed, rest = True, []
            for block in (
                [rest] if len(rest) > 1 and any(vary(rest, k) for k in _divisors(base[rest[0]])) else [[n] for n in rest]
            ):
                for k in _divisors(base[block[0]]):
                    if vary(block, k):
                        fresh = f"{block[0]}__{k}"
                        if self.example is not None:
                            self.example[fresh] = base[block[0]] // k
                        for n in block:
                            self.meaning[n] = k * size(fresh)
                        changed = True
                        break
                else:
                    for n in block:
                        self.meaning[n] = as_poly(base[n])
                        changed = True
        if not changed and not bad:  # only together do they fail: fix the smallest
            left = self.free()
            if left:
                n = min(left, key=lambda k: base[k])
                self.meaning[n] = as_poly(base[n])
                changed = True
        return changed

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


def _split(group: Sequence[str], state: dict[str, str | None], attempt: Callable[[Mapping[str, str | None]], bool]) -> None:
    """Take members out of a block, alone and in pairs, as long as the operator holds."""
    for a in group:
        if state[a] is not None and sum(b == state[a] for b in state.values()) > 1:
            others = [n for n in group if n != a and state[n] == state[a]]
            head = others[0]
            attempt({a: a, **dict.fromkeys(others, head)})
    for i, a in enumerate(group):
        for b in group[i + 1 :]:
            if state[a] is not None and state[a] == state[b]:
                others = [n for n in group if n not in (a, b) and state[n] == state[a]]
                if others:
                    attempt({a: a, b: a, **dict.fromkeys(others, others[0])})


def _first(count: int) -> list[int]:
    return [4 + (3 * k) // 2 for k in range(count)]


def _divisors(n: int) -> list[int]:
    return [k for k in range(2, min(n, 4096) + 1) if n % k == 0][:24]


def _at(place: str | None) -> str:
    return f" ({place})" if place else ""


def _shaped(value: Any, recording: Recording) -> Any:
    if isinstance(value, Tensor):
        return recording.metas[value.number]
    if isinstance(value, dict):
        return {k: _shaped(v, recording) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shaped(v, recording) for v in value]
    return value


def _flat(value: Any) -> list[int]:
    if isinstance(value, Meta):
        return list(value.shape)
    if isinstance(value, dict):
        return [i for v in value.values() for i in _flat(v)]
    if isinstance(value, (list, tuple)):
        return [i for v in value for i in _flat(v)]
    return [value] if isinstance(value, int) and not isinstance(value, bool) else [-1]


__all__ = ["Again", "Call", "Spec", "Subject", "Traces", "UnsupportedOperation"]
