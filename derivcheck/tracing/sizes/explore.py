"""Tracing to the end: recordings that unify, with sizes fixed where other sizes run other code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.notation.integers.polynomials import as_poly
from derivcheck.notation.program.requirements import Requirement
from derivcheck.tracing.recording.data import Recording, operator_name
from derivcheck.tracing.recording.run import RecordingFailed
from derivcheck.tracing.sizes.assign import ExploreAgain, Traceable
from derivcheck.tracing.sizes.expressions import SizeExpressions
from derivcheck.tracing.sizes.gather import Gathering
from derivcheck.tracing.sizes.spoken import shown
from derivcheck.tracing.sizes.unify import Differs, Unified, Unknown, unify

_MOST_TRIED = 13  # of other sizes: a recording each; all doubled is the first


def explored(
    subject: Traceable, example: dict[str, int] | None, sizes: str = "every", within: tuple[Requirement, ...] = ()
) -> tuple[Gathering, Unified]:
    """Recordings that unify.

    Args:
        sizes, within: see :func:`~derivcheck.tracing.trace.trace`.
    """
    traces = Gathering(subject, example if example is None else dict(example), given=sizes != "every", within=within)
    try:
        return _explored(traces, sizes)
    except (UnsupportedOperation, InputError):
        if not traces.pure:
            raise
    traces = Gathering(subject, example if example is None else dict(example), given=traces.given, within=within, plain=False)
    return _explored(traces, sizes)  # what is refused is refused by recordings that follow everything


def _explored(traces: Gathering, sizes: str) -> tuple[Gathering, Unified]:
    """Gather recordings until they unify; whatever is found to be fixed or equal starts them anew."""
    if sizes == "given" and traces.example is not None:
        for n in traces.free():
            traces.fix(n, f"{shown(n)} = {traces.base()[n]}")
    for _ in range(24):  # each turn fixes or ties a size; code that never settles ends here
        traces.restart()
        try:
            traces.explore()
            unified = _unified(traces)
            _say_what_runs_elsewhere(traces)
            return traces, unified
        except ExploreAgain:
            continue
    raise InputError("the sizes at which the code runs could not be found; give dims={...} or constants")


def _say_what_runs_elsewhere(traces: Gathering) -> None:
    """Of sizes that stayed at the example's, since no way to vary them was found, say so where the code runs at others: all of
    them or one of them doubled, or one more of one."""
    held = {
        n: p.constant
        for n, p in traces.meaning.items()
        if p.constant
        and p.constant > 1
        and n not in traces.fixed
        and n not in traces.subject.soft
        and n in (traces.example or {})
    }
    if not held:
        return
    base, before = traces.base(), dict(traces.meaning)
    others = [{n: 2 * v for n, v in held.items()}]
    others += [{n: made} for n, v in held.items() for made in (2 * v, v + 1) if len(held) > 1 or made == v + 1]
    try:
        for other in others[:_MOST_TRIED]:
            traces.meaning.update(before | {n: as_poly(v) for n, v in other.items()})
            if traces.works(base):
                break
        else:
            return
    finally:
        traces.meaning.update(before)
    sizes = ", ".join(f"{shown(n)} = {held[n]}" for n in (held if len(other) > 1 else other))
    for n in held if len(other) > 1 else other:
        traces.fixed[n] = f"{sizes}: the code runs at others, for which it is not derived"


def _unified(traces: Gathering) -> Unified:
    """The recordings as one, or the sizes that stand in the way are fixed and :class:`ExploreAgain` is raised."""
    first = traces.recordings[0]
    known = {first.inputs[s.name]: tuple(traces.resolve(p) for p in s.dims) for s in traces.subject.specs}
    free = traces.free()
    traces.expressions = SizeExpressions(
        [{n: a[n] for n in free} for a in traces.assignments], [r.reads for r in traces.recordings]
    )
    try:
        return unify(traces.recordings, traces.expressions, known)
    except Unknown as e:
        culprits = _culprits(traces, traces.free()) or traces.free() if traces.given and traces.example is not None else []
        if not culprits:
            raise unknown(e) from None
        _fix(traces, culprits, f"{e.what} is no function of it that derivcheck knows")
        raise ExploreAgain from None
    except Differs as e:
        _differs(traces, e)
        raise ExploreAgain from None


def unknown(e: Unknown) -> UnsupportedOperation:
    """The refusal of a number that is no function of the sizes that is known."""
    return UnsupportedOperation(
        e.call.operator if e.call else "the traced code",
        f"{e.what} is no function of the sizes that derivcheck knows (it is {', '.join(map(str, e.values[:5]))} at the sizes "
        "traced)",
        e.call.place if e.call else None,
        "Compute it from x.shape with arithmetic, min, max and math alone.",
    )


def _differs(traces: Gathering, e: Differs) -> None:
    """Other sizes run other code: fix the size where that is the operator's or a broadcast's nature, else refuse."""
    operator, place = (e.call.operator, e.call.place) if e.call is not None else ("the traced code", None)
    base = traces.base()
    ones = [n for n in base if base[n] <= 1] if traces.example is not None else []
    small = _culprits(traces, ones)
    culprits = small or _culprits(traces, [n for n in base if n not in ones])
    if traces.example is not None:
        within = all(r.torch_calls == traces.recordings[0].torch_calls for r in traces.recordings)  # not the user's own loop
        own = traces.given or e.count or within or e.call is None or not e.call.frames
        chosen = small or (culprits or (traces.free() if traces.given else []) if own else [])
        if chosen:
            _fix(traces, chosen, f"{operator} at other sizes is other code ({e.why})")
            return
    sizes = ", ".join(shown(n) for n in culprits) or "the sizes"
    raise UnsupportedOperation(
        operator,
        f"which operators run depends on {sizes} ({e.why}): a loop or a branch over a size",
        place,
        "Write it with whole tensors, or give that dimension as a number in dims={...}",
    )


def _fix(traces: Gathering, names: list[str], why: str) -> None:
    assert traces.example is not None
    for n in names:
        traces.fix(n, f"{shown(n)} = {traces.example[n]}: {why}")


def _culprits(traces: Gathering, names: Iterable[str]) -> list[str]:
    """Those of the sizes that change which operators run when they alone change."""
    base = traces.base()
    try:
        plain = traces.at(base)
    except (RecordingFailed, UnsupportedOperation):
        return []
    found = []
    for n in names:
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
