"""Hostile probes: the ways in which backwards that pass everywhere else are wrong.

Other sizes, small, equal, coprime and long odd ones; another scale of the upstream gradient; layouts that are not contiguous;
zeros, ties, repeated indices, large inputs; the same call twice; the flags that autograd sets.  Each is a run against the
derived gradient at that very data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from derivcheck.checking.compare import compare
from derivcheck.checking.found import Found, Run, Upstream
from derivcheck.checking.judge import CAP, Derived, Sample, bounds, derived, judge
from derivcheck.checking.kinks import between
from derivcheck.checking.outputs import flat
from derivcheck.checking.report import NOT_REPRODUCED, Row
from derivcheck.checking.situations import Probe, situations
from derivcheck.checking.subject import Subject, Tensors
from derivcheck.errors import DerivcheckError
from derivcheck.tracing.copies import same_layout

COARSE = 1e-2  # how far off, relative to the largest element, a gradient in another type has to be to count


def probe(
    s: Subject,
    run: Run,
    rows: list[Row],
    upstream: Upstream,
    right: Derived,
    dtype: torch.dtype,
    seed: int,
    again: Callable[[Subject], Run],
    written: bool = False,
) -> list[str]:
    """Run every probe; a row that a probe shows to be wrong takes the place of the one that passed.

    Args:
        again: the backward under test as another subject runs it.
        written: see :func:`~derivcheck.checking.situations.situations`.

    Returns:
        Notes for the report: what was probed.
    """
    if any(r.faulty for r in rows):
        return []  # wrong on the data itself: no probe says more
    done: list[str] = []
    left: list[str] = []
    subgradients = 0
    known = _Known(s, dtype)
    for p in situations(s, upstream, right, seed, written):
        if any(r.faulty and not r.where for r in rows):
            break
        t = p.subject or s
        expected = known.expected(p)
        if expected is None or p.lenient and not _sound(t, expected):
            left.append(p.name)
            continue
        where = f"{p.name} ({', '.join(f'{n}={v}' for n, v in expected.sizes.items())})" if expected.sizes else p.name
        mine = run if p.subject is None else again(t)
        found_rows, found = judge(t, mine, p.tensors, p.upstream, expected, where, p.before, p.leaves)
        if p.refusable and any(r.verdict == "raised" for r in found_rows):
            left.append(p.name)
            continue
        for row in found_rows:
            if row.faulty and p.lenient not in ("", "sound") and _lenient(row, found, expected):
                continue
            if row.verdict == "wrong" and p.kinks:
                g = found.gradients[row.name]
                assert g is not None
                if _undefined(s, expected):
                    left.append(p.name)
                    continue
                if between(t, row.bar, g, p.tensors, p.upstream, expected, dtype):
                    subgradients += row.wrong
                    continue
            if row.faulty:
                _take(rows, row, Sample(p.tensors, p.upstream, expected, found.gradients, p.subject, p.before, p.leaves))
        done.append(p.name)
    if known.unlike:
        said = f"the derivation does not reproduce the forward at {known.unlike[0]}: a fault of derivcheck, please report it"
        rows.append(Row("forward", verdict=NOT_REPRODUCED, note=said))
    notes = []
    if done and not any(r.faulty for r in rows):
        notes.append(f"held under {len(done)} probes: {', '.join(dict.fromkeys(done))}")
    if left:
        notes.append(f"could not be run: {', '.join(dict.fromkeys(left))}")
    if subgradients:
        notes.append(f"{subgradients} elements at a kink take another subgradient than the derived one: accepted")
    return notes


@dataclass
class _Known:
    """What is derived where, for the probes that share their data."""

    s: Subject
    dtype: torch.dtype
    kept: dict[tuple[int, int], tuple[Probe, Derived | None]] = field(default_factory=dict)  # a probe keeps its data alive
    unlike: list[str] = field(default_factory=list)  # sizes at which the forward is another function than its Program

    def _other_sizes(self, p: Probe) -> bool:
        return any(t.shape != self.s.tensors[n].shape for n, t in p.tensors.items())

    def expected(self, p: Probe) -> Derived | None:
        """What is derived at a probe's data, or None where the forward or the derivation does not run there."""
        key = id(p.tensors), id(p.upstream)
        if key not in self.kept:
            self.kept[key] = p, self._derived(p)
        return self.kept[key][1]

    def _derived(self, p: Probe) -> Derived | None:
        same = next((found for q, found in self.kept.values() if q.tensors is p.tensors), None)
        try:
            if self.s.call is not None and same is None:
                alike, where = _likeness(self.s, p.tensors)
                if where and self._other_sizes(p):
                    self.unlike.append(where)
                if not alike:
                    return None
            dtype = next((t.dtype for t in p.tensors.values() if t.is_floating_point()), self.dtype)
            return derived(self.s, p.tensors, p.upstream, dtype)
        except (DerivcheckError, RuntimeError, ValueError, IndexError, TypeError):
            return None


def _sound(s: Subject, expected: Derived) -> bool:
    """Whether there is a right gradient at all."""
    return all(bool(torch.isfinite(expected.value(bar)).all()) for bar in s.derivation.adjoint.outputs)


def _undefined(s: Subject, expected: Derived) -> bool:
    """Whether the forward itself is not a number somewhere at this data: it has no gradient there."""
    forward = (expected.pairs.get(d.name) for d in s.derivation.program.definitions)
    return any(bool(torch.isnan(pair.value).any()) for pair in forward if pair is not None)


def _lenient(row: Row, found: Found, expected: Derived) -> bool:
    """Whether a fault does not count in a probe that looks for the plainest ones alone."""
    g = found.gradients.get(row.name)
    if row.verdict != "wrong" or g is None:
        return True
    value, tolerance = expected.value(row.bar), expected.tolerance(row.bar)
    largest = float(value.abs().max()) if value.numel() else 0.0
    return compare(g, value, CAP * tolerance + COARSE * largest).holds


def _take(rows: list[Row], new: Row, sample: Sample) -> None:
    """Put a row that a probe showed to be faulty in the place of the one that passed."""
    new.sample = sample
    for k, old in enumerate(rows):
        if old.name == new.name:
            if not old.faulty:
                new.witnesses = old.witnesses
                rows[k] = new
            return
    rows.append(new)


UNLIKE = 1e-6  # how far off, relative to the largest element, a forward's value has to be to be another function's


def runs(s: Subject, tensors: Tensors) -> bool:
    """Whether the user's own forward takes this data and means the same as its Program there."""
    return _likeness(s, tensors)[0]


def _finite(t: torch.Tensor) -> bool:
    return bool(torch.isfinite(t).all())


def _own_outputs(s: Subject) -> list[torch.Tensor]:
    """The forward's outputs at the caller's own data."""
    assert s.call is not None
    return flat((s.meaning or s.call)({n: same_layout(t) for n, t in s.tensors.items()}))


def _likeness(s: Subject, tensors: Tensors) -> tuple[bool, str]:
    """Whether the forward runs and is its Program there; and the sizes where it surely is another function."""
    assert s.call is not None
    with torch.no_grad():
        try:
            outs = flat((s.meaning or s.call)({n: same_layout(t) for n, t in tensors.items()}))
        except Exception:  # its own affair: it was asked for another shape
            return False, ""
    if not all(_finite(o) for o in outs) and all(_finite(o) for o in _own_outputs(s)):
        return False, ""  # beyond the forward's domain
    from derivcheck.checking.bound import Bound
    from derivcheck.checking.compare import compare
    from derivcheck.notation.meaning import evaluate
    from derivcheck.notation.measure import measure

    program = s.derivation.program
    sizes = measure(program, {n: tuple(t.shape) for n, t in tensors.items()})
    if not program.admits(sizes):
        return False, ""
    dtype = next(t.dtype for t in tensors.values() if t.is_floating_point())
    numbers = Bound(dtype)
    values = evaluate(program, bounds(s, {n: t for n, t in tensors.items() if n in program.inputs}, dtype), None, numbers)
    floats = [o for o in program.outputs if program.kind(o) == "float"]
    here = ", ".join(f"{n} = {v}" for n, v in sizes.items())
    for name, out in zip(floats, outs):
        pair = values.get(name) or numbers.given(tensors[name], name)
        if tuple(out.shape) != tuple(pair.value.shape):
            return False, here
        error = torch.zeros_like(pair.value) if pair.error is None else pair.error
        if not compare(out, pair.value, error + 2 * pair.value.abs() * numbers.unit).holds:
            known = bool(torch.isfinite(out).all() and torch.isfinite(pair.value).all()) and dtype is torch.float64
            far = known and bool(((out - pair.value).abs() > error + UNLIKE * pair.value.abs().max()).any())
            return False, here if far else ""
    return True, ""
