"""Tracing to the end: recordings that unify, with sizes fixed where other sizes run other code."""

from __future__ import annotations

from typing import Any

import torch

from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.tracing.assign import Again, Subject
from derivcheck.tracing.compared import Compared
from derivcheck.tracing.fit import Fit
from derivcheck.tracing.gather import Gathering
from derivcheck.tracing.record import RecordingFailed
from derivcheck.tracing.recording import Recording, operator_name
from derivcheck.tracing.unify import Differs, Unfitted, Unified, unify


def explored(subject: Subject, example: dict[str, int] | None) -> tuple[Gathering, Unified]:
    traces = Gathering(subject, dict(example) if example is not None else None)
    for _ in range(24):
        traces.restart()
        try:
            traces.explore()
            return traces, _beyond(traces, _unified(traces))
        except Again:
            continue
    raise InputError("the sizes at which the code runs could not be found; give dims={...} or constants")


def _beyond(traces: Gathering, unified: Unified) -> Unified:
    """The same with recordings far beyond the example's sizes, where that runs.

    They come last: a loop over a size has been refused by then.  Sizes that a comparison in the code excludes may run other
    code there; then they are left out, and the comparison stays a condition.
    """
    for group in traces.far():
        compared = Compared(traces, unified)
        for sizes in group:
            try:
                found = traces.at(sizes)
            except (RecordingFailed, UnsupportedOperation):
                continue
            admitted = compared.admits(sizes)  # by what was compared at the sizes before
            traces.assignments.append(sizes)
            traces.recordings.append(found)
            if admitted:
                unified = _unified(traces)
                break
            wider = _with_few_more(traces)
            if wider is not None:
                unified = wider
                break
    return unified


def _with_few_more(traces: Gathering, most: int = 4) -> Unified | None:
    """What fits a recording beyond a comparison and the others, with a few more if need be; else it is taken back."""
    before = len(traces.recordings) - 1
    for _ in range(most):
        try:
            return _fitted(traces)
        except Unfitted:
            traces.more()
        except Differs:
            break
    del traces.recordings[before:], traces.assignments[before:]
    return None


def _fitted(traces: Gathering) -> Unified:
    free = traces.free()
    fit = Fit([{n: a[n] for n in free} for a in traces.assignments])
    first = traces.recordings[0]
    known = {first.inputs[s.name]: tuple(traces.resolve(p) for p in s.dims) for s in traces.subject.specs}
    return unify(traces.recordings, fit, known)


def _unified(traces: Gathering) -> Unified:
    while True:
        try:
            return _fitted(traces)
        except Unfitted as e:
            if len(traces.recordings) < 24:
                traces.more()
                continue
            raise UnsupportedOperation(
                e.call.operator if e.call else "the traced code",
                f"{e.what} is no function of the sizes that derivcheck "
                f"knows (it is {', '.join(map(str, e.values[:5]))}, … at the sizes traced)",
                e.call.place if e.call else None,
            ) from None
        except Differs as e:
            _differs(traces, e)
            raise Again from None


def _differs(traces: Gathering, e: Differs) -> None:
    """Other sizes run other code: fix the size where that is the operator's or a broadcast's nature, else refuse."""
    operator, place = (e.call.operator, e.call.place) if e.call is not None else ("the traced code", None)
    culprits = _culprits(traces)
    if traces.example is not None:
        small = [n for n in culprits if traces.base()[n] <= 1]
        within = all(r.torch_calls == traces.recordings[0].torch_calls for r in traces.recordings)  # not the user's own loop
        chosen = small or (culprits if e.count or within or e.call is None or not e.call.frames else [])
        if chosen:
            for n in chosen:
                traces.fix(n, f"{shown(n)} is fixed at {traces.example[n]}: {operator} at other sizes is other code ({e.why})")
            return
    sizes = ", ".join(shown(n) for n in culprits) or "the sizes"
    raise UnsupportedOperation(
        operator,
        f"which operators run depends on {sizes} ({e.why}): a loop or a branch over a size",
        place,
        "Write it with whole tensors, or give that dimension as a number in dims={...}",
    )


def _culprits(traces: Gathering) -> list[str]:
    """The sizes that change which operators run when they alone change."""
    base = traces.base()
    try:
        plain = traces.at(base)
    except (RecordingFailed, UnsupportedOperation):
        return []
    found = []
    for n in traces.free():
        for step in (1, 2, 3):
            try:
                other = traces.at({**base, n: base[n] + step})
            except (RecordingFailed, UnsupportedOperation):
                continue
            if _skeleton(plain) != _skeleton(other):
                found.append(n)
                break
    return found


def _skeleton(r: Recording) -> list[Any]:
    ranks: list[Any] = [len(m.shape) for m in r.metas]
    ranks += [contents(t) for t in r.constants.values()]
    return ranks + [(operator_name(c.func), str(_flags(c.args)), str(_flags(c.kwargs)), str(_flags(c.out))) for c in r.calls]


def contents(t: torch.Tensor) -> Any:
    """What tells a constant of the code from another: its values, if it is small."""
    known = type(t) in (torch.Tensor, torch.nn.Parameter) and t.device.type != "meta" and t.layout is torch.strided
    return (tuple(t.shape), t.tolist() if known and t.numel() <= 4096 else None)


def _flags(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_flags(v) for v in value]
    if isinstance(value, dict):
        return {k: _flags(v) for k, v in value.items()}
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return 0
    return value


def shown(symbol: str) -> str:
    if "." not in symbol:
        return symbol
    name, axis = symbol.split("__")[0].rsplit(".", 1)
    return f"{name}.shape[{axis}]" if axis.isdigit() else f"{name}.{axis}"
