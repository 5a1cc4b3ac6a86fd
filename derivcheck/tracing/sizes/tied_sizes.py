"""Which sizes the code needs to be equal, multiples of a number, or fixed: found where it fails when all of them differ."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from derivcheck.errors import InputError
from derivcheck.notation.integers.polynomials import Poly, Size, as_poly, size
from derivcheck.tracing.recording.data import Call, Recording
from derivcheck.tracing.recording.dispatch import Enough, Repair
from derivcheck.tracing.recording.run import RecordingFailed
from derivcheck.tracing.sizes.assign import Traces
from derivcheck.tracing.sizes.operator_ties import Local, flat, shaped

MULTIPLES = 12  # sizes of which another is tried to be a multiple
APART = (1, 5, 2, 7, 3, 11, 4, 13, 6, 17)  # by how much sizes that are to differ from one another grow
LAST = 6  # operators before the one that failed, whose sizes are suspected
_KERNELS = ("k", "kh", "kw", "kd")


class Equalities:
    """Identifies, scales and fixes the sizes of traces, as far as the code needs it."""

    def __init__(self, traces: Traces) -> None:
        self.traces = traces
        self.moved = False  # whether an operator takes sizes near the example's that it does not take where all differ

    def advance(self, e: RecordingFailed, example: Recording, identified: list[tuple[str, Poly]], attempt: int) -> None:
        """Identify, scale or fix sizes after the code failed where they all differ."""
        if self.identify(identified) or self._reconcile(e, example):
            return
        if self.traces.distant:  # near the example's sizes the code may run
            self.traces.distant = False
            return
        hidden = self.traces.hidden()
        if hidden and self._attribute(len(e.recording.calls)):
            return
        base = self.traces.base()
        kernels = [n for n in base if n.rpartition(".")[2] in _KERNELS]
        if kernels:  # a kernel of another size often needs another padding, which is a number
            self.traces.meaning |= {n: as_poly(base[n]) for n in kernels}
            if self._further(e):
                return
            for n in kernels:
                del self.traces.meaning[n]
        for n in hidden:
            self.traces.meaning[n] = as_poly(base[n])
        if not hidden and not self.search(attempt, len(e.recording.calls), e):
            why = first_line(e.cause)
            raise InputError(f"the traced code raises at other sizes than its example's{said(e.place)}: {why}") from e.cause

    def _reconcile(self, failed: RecordingFailed, example: Recording) -> bool:
        """Identify and fix sizes as far as the operator that failed needs; False where that does not help."""
        call, k = failed.call, len(failed.recording.calls)
        if call is None or k >= len(example.calls) or example.calls[k].func is not call.func:
            return self._from_message(failed)
        found = Local(call, failed.recording, example.calls[k], example, self.traces.apart(), self.traces.base()).solve()
        changed = False
        for n, choice in (found or {}).items():
            if choice is None:
                self.traces.meaning[n] = as_poly(self.traces.base()[n])
            elif isinstance(choice, int):
                poly = self._direct(failed, choice)
                if poly is not None and n in poly.sizes():
                    continue
                self.traces.meaning[n] = as_poly(self.traces.base()[n]) if poly is None else poly
            elif choice != n:
                self.traces.meaning[n] = size(choice)
            else:
                continue
            changed = True
        return changed or self._from_message(failed)

    def repairing(self, example: Recording, found: list[tuple[str, Poly]]) -> Repair:
        """Repairs each operator that fails, so that one run finds all that the code needs to be equal."""
        now, then = self.traces.apart(), self.traces.base()
        known = {p.at(now): p for p in self.traces.known()}

        def repair(call: Call, recording: Recording) -> tuple[Any, Any] | None:
            """Arguments at which a failed operator runs, with what had to be equal kept; None where no choice is known."""
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
            self.moved |= local.moved
            return local.repaired()

        return repair

    def identify(self, found: list[tuple[str, Poly]]) -> bool:
        """Make sizes and expressions equal; False where nothing was new.

        Sizes are fixed only where no others are to be equal: a number that was computed may have been one of theirs by chance.
        """
        equal = [(n, p) for n, p in found if p.constant is None]
        return self._made_equal(equal) or self._made_equal([(n, p) for n, p in found if p.constant is not None])

    def _made_equal(self, found: list[tuple[str, Poly]]) -> bool:
        """Let a size mean the expression that it is equal to; whether any was new."""
        changed = False
        for n, poly in found:
            left, right = self.traces.resolve(size(n)), self.traces.resolve(poly)
            for one, other in ((left, right), (right, left)) if left is not right else ():
                if isinstance(one.atom, Size) and one.atom.name not in other.sizes():
                    self.traces.meaning[one.atom.name] = other
                    changed = True
                    break
        return changed

    def _direct(self, failed: RecordingFailed, position: int) -> Poly | None:
        """The known dimension that a leaf of the failing call's arguments equals, if it is one."""
        assert failed.call is not None
        value = flat(shaped([failed.call.args, failed.call.kwargs], failed.recording))[position]
        now = self.traces.apart()
        return next((p for p in self.traces.known() if p.at(now) == value), None)

    def _attribute(self, calls: int) -> bool:
        """Identify a module's attribute with a size that it equals in the example, if the code then gets further."""
        base, hidden = self.traces.base(), self.traces.hidden()
        for n in hidden:
            for m in base:
                if m not in hidden and base[m] == base[n]:
                    self.traces.meaning[n] = size(m)
                    try:
                        self.traces.at(self.traces.apart(), trying=True)
                        return True
                    except RecordingFailed as e:
                        if len(e.recording.calls) > calls:
                            return True
                    del self.traces.meaning[n]
        return False

    def _from_message(self, failed: RecordingFailed) -> bool:
        """Two numbers in an error message (``expected 20, got 11``) that the example has equal are sizes to identify."""
        now, then = self.traces.apart(), self.traces.base()
        numbers = {int(n) for n in re.findall(r"\d+", str(failed.cause))}
        for n, v in now.items():
            if v not in numbers:
                continue
            for other in [size(m) for m in now if m != n] + self.traces.known():
                if other.at(now) in numbers and other.at(then) == then[n] and n not in other.sizes():
                    self.traces.meaning[n] = other
                    if self._further(failed):
                        return True
                    del self.traces.meaning[n]
        return False

    def _further(self, failed: RecordingFailed) -> bool:
        """Whether the code now gets further than it did, or complains of fewer sizes."""
        before = len(failed.recording.calls)
        try:
            self.traces.at(self.traces.apart(), trying=True, upto=before + 1)
        except Enough:
            return True
        except RecordingFailed as e:
            calls = len(e.recording.calls)
            complaints = [len(set(re.findall(r"\d+", str(x.cause)))) for x in (e, failed)]
            spoken = isinstance(failed.cause, (AssertionError, ValueError))  # a check of the code's own, not an operator's
            return calls > before or spoken and calls == before and complaints[0] < complaints[1]
        return True

    def search(self, attempt: int, upto: int | None = None, failed: RecordingFailed | None = None) -> bool:
        """Find sizes that cannot vary alone, by varying them from the example; identify, scale or fix one of them.

        Args:
            failed: where the code failed with all sizes apart: the sizes that it met there are looked at first.
        """
        base = self.traces.base()
        names = self.traces.free()

        def vary(group: Sequence[str], steps: Sequence[int] = (1, 2)) -> bool:
            return all(self.traces.works({**base, **{n: base[n] + d for n in group}}, upto) for d in steps)

        bad = [n for n in self._suspects(names, failed, upto) if not vary([n], (1,))]
        if self._below(bad, upto):
            return True
        groups: dict[int, list[str]] = {}
        for n in bad:
            groups.setdefault(base[n], []).append(n)
        for group in groups.values():
            for i, a in enumerate(group):
                for b in group[i + 1 :]:
                    if vary([a, b]):
                        self.traces.meaning[b] = size(a)
                        return True
            if len(group) > 2 and vary(group):
                for b in group[1:]:
                    self.traces.meaning[b] = size(group[0])
                return True
        for n in bad:
            for other in self.traces.known():
                if other.at(base) == base[n] and n not in other.sizes() and self._follows(n, other, upto):
                    return True
        for group in groups.values():
            for block in [group, *([n] for n in group)] if len(group) > 1 else [group]:
                for k in _divisors(base[block[0]]) if vary(block, (base[block[0]],)) else ():  # a multiple of any of them
                    if vary(block, (k, 2 * k)):
                        fresh = f"{block[0]}__{k}"
                        if self.traces.example is not None:
                            self.traces.example[fresh] = base[block[0]] // k
                        for n in block:
                            self.traces.meaning[n] = k * size(fresh)
                        return True
        met = self._met(names, failed, len(failed.recording.calls)) if failed is not None else []
        others = sorted(names, key=lambda m: (m not in met, -base[m]))  # what the code met before it failed comes first
        # two that cannot vary alone are likelier to be tied than one that can
        for near in ([m for m in others if m in bad], [m for m in others if m not in bad]):
            if any(self._multiple(n, [m for m in near if m != n], upto) for n in bad):
                return True
        if not bad:  # only together do they fail: fix the smallest
            bad = sorted(names, key=lambda k: base[k])[:1]
        for n in bad:
            self.traces.meaning[n] = as_poly(base[n])
        return bool(bad)

    def _suspects(self, names: Sequence[str], failed: RecordingFailed | None, upto: int | None) -> list[str]:
        """The sizes that may not vary alone: those met where the code failed, if it runs with all others apart from the
        example's, and from one another."""
        if failed is None:
            return list(names)
        base, suspects = self.traces.base(), self._met(names, failed, LAST)
        others = [n for n in names if n not in suspects]
        apart = {n: base[n] + APART[k % len(APART)] * (1 + k // len(APART)) for k, n in enumerate(others)}
        if suspects and others and self.traces.works({**base, **apart}, upto):
            return suspects
        return list(names)

    def _met(self, names: Sequence[str], failed: RecordingFailed, last: int) -> list[str]:
        """The sizes that stand in the last operators before the code failed, or in what it said."""
        now, calls = self.traces.apart(), failed.recording.calls
        values = flat(shaped([[c.args, c.kwargs, c.out] for c in calls[max(0, len(calls) - last) :]], failed.recording))
        if failed.call is not None:
            values += flat(shaped([failed.call.args, failed.call.kwargs], failed.recording))
        met = {*values, *(int(v) for v in re.findall(r"\d+", str(failed.cause)))}
        within = {n for p in self.traces.known() if p.at(now) in met for n in p.sizes()}
        return [n for n in names if now[n] in met or n in within]

    def _below(self, bad: Sequence[str], upto: int | None) -> bool:
        """Keep sizes that cannot grow alone below those that they equal in the example, if the code then runs: an index of
        ``scatter`` is no larger than what it takes."""
        if set(bad) <= self.traces.low:
            return False
        self.traces.low |= set(bad)
        if all(self.traces.works(self.traces.assignment(1, first), upto) for first in (0, 2)):
            return True
        self.traces.low -= set(bad)
        return False

    def _multiple(self, name: str, others: Sequence[str], upto: int | None) -> bool:
        """Identify a size with a multiple of another (``nn.Linear(d, 3*d)``), if the code then runs at other sizes: at any, or
        at those of one remainder (``d // heads``)."""
        base = self.traces.base()
        for m in others[:MULTIPLES]:
            factor, rest = divmod(base[name], base[m])
            if not rest and factor > 1 and base[m] > 1:
                steps = (1, *_divisors(base[m])[:6])
                if any(self._follows(name, factor * size(m), upto, (k, 2 * k)) for k in steps):
                    return True
        return False

    def _follows(self, name: str, other: Poly, upto: int | None, steps: Sequence[int] = (1, 2)) -> bool:
        """Identify a size with an integer expression if the code then runs at other sizes."""
        self.traces.meaning[name] = other
        base = self.traces.base()
        if all(self.traces.works({**base, **{m: base[m] + d for m in sorted(other.sizes())}}, upto) for d in steps):
            return True
        del self.traces.meaning[name]
        return False


def _divisors(n: int) -> list[int]:
    return [k for k in range(2, min(n, 4096) + 1) if n % k == 0][:24]  # each is tried by running the code


def said(place: str | None) -> str:
    """A place in brackets, for a message."""
    return f" ({place})" if place else ""


def first_line(error: BaseException) -> str:
    """What an error says, without the advice that follows on further lines."""
    return str(error).strip().partition("\n")[0]


def named_line(error: BaseException) -> str:
    """The same with the error's kind."""
    return f"{type(error).__name__}: {first_line(error)}"
