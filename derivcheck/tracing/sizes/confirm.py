"""A derivation held against recordings at sizes that it was not made from: at 1 and at 2, where broadcasting and edges live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.integers.polynomials import Poly, as_poly, size
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.requirements import Requirement
from derivcheck.tracing.recording.data import Recording, Tensor
from derivcheck.tracing.recording.run import RecordingFailed
from derivcheck.tracing.sizes.compared import path
from derivcheck.tracing.sizes.explore import unknown
from derivcheck.tracing.sizes.expressions import gives
from derivcheck.tracing.sizes.gather import Gathering
from derivcheck.tracing.sizes.same_function import Apply, same_function
from derivcheck.tracing.sizes.unify import Differs, Unified, Unknown


def confirmed(traces: Gathering, unified: Unified, titles: Mapping[str, Poly], program: Program, apply: Apply) -> Program:
    """The Program; where the code is another function at the smallest sizes, those are excluded.

    Args:
        titles: what the sizes are called in the Program, where they are not called as in the traces.
        apply: applies the rows to other recordings.

    Raises:
        UnsupportedOperation: the same operators run there, with a number that the derivation does not have.
    """
    found: list[Requirement] = []
    names = traces.free()
    titled = {n: titles.get(n, size(n)) for n in names}

    def confirms(sizes: Mapping[str, int]) -> bool:
        recording = _differing(traces, unified, sizes)
        here = {str(titled[n]): v for n, v in sizes.items()}
        return recording is None or same_function(traces, recording, sizes, here, program, apply)

    for least in (1, 2):
        sizes = dict.fromkeys(names, least)
        if not sizes or not _admitted({str(titled[n]): v for n, v in sizes.items()}, [*program.requires, *found]):
            continue
        if confirms(sizes):
            continue
        base = traces.assignments[-1]
        culprits = [n for n in names if not confirms({**base, n: least})] or names
        found += [Requirement(titled[n], ">", as_poly(least)) for n in culprits]
    words = [f"{r}, since other operators run below" for r in found]
    return (
        replace(program, requires=(*program.requires, *found), conditions=(*program.conditions, *words)) if found else program
    )


def _admitted(sizes: Mapping[str, int], requires: Sequence[Requirement]) -> bool:
    try:
        return all(r.holds(sizes) for r in requires)
    except ZeroDivisionError:
        return False


def _differing(traces: Gathering, unified: Unified, sizes: Mapping[str, int]) -> Recording | None:
    """A recording there that is not of the same operators; None for one that is what the derivation says, and where the code
    raises, or goes another way that a condition excludes."""
    try:
        recording = traces.at(sizes)
    except (RecordingFailed, UnsupportedOperation):
        return None
    if path(recording) != path(traces.recordings[0]):
        return recording if traces.admits(sizes) else None
    try:
        _compare(unified, recording, traces.recordings[0], sizes)
    except Differs:
        return recording
    except Unknown as e:
        raise unknown(e) from None
    return None


def _compare(unified: Unified, recording: Recording, first: Recording, sizes: Mapping[str, int]) -> None:
    """Raise where a recording's operators, arguments or shapes are not what the expressions give there."""
    if len(recording.calls) != len(unified.steps) or len(recording.metas) != len(unified.dims):
        raise Differs("other operators are called at other sizes", None)
    for step, call in zip(unified.steps, recording.calls):
        if call.func is not step.call.func or call.stop != step.call.stop or repr(call.out) != repr(step.call.out):
            raise Differs("other operators are called at other sizes", step.call)
        _same([step.args, step.kwargs], [call.args, call.kwargs], step, sizes)
    for k, (dims, meta) in enumerate(zip(unified.dims, recording.metas)):
        if len(dims) != len(meta.shape):
            raise Differs("a tensor has another number of dimensions at other sizes", None)
        if [p.at(sizes) for p in dims] != list(meta.shape):
            made = next((c for c in recording.calls if repr(Tensor(k)) in repr(c.out)), None)
            raise Unknown("the shape of its result", [first.metas[k].shape, meta.shape], made)


def _same(mine: object, theirs: object, step: object, sizes: Mapping[str, int]) -> None:
    """Raise where an argument, or a number in it, is not what its expression gives at these sizes."""
    if isinstance(mine, (list, tuple)) and isinstance(theirs, (list, tuple)):
        if len(mine) != len(theirs):
            raise Differs("an argument has another length at other sizes", step.call)  # type: ignore[attr-defined]
        for a, b in zip(mine, theirs):
            _same(a, b, step, sizes)
    elif isinstance(mine, dict) and isinstance(theirs, dict):
        for n in mine:
            _same(mine[n], theirs.get(n), step, sizes)
    elif isinstance(theirs, (int, float)) and not isinstance(theirs, bool):
        if not gives(mine, sizes, theirs):
            raise Unknown("its argument", [mine, theirs], step.call)  # type: ignore[attr-defined]
    elif mine is not theirs and mine != theirs:
        raise Differs("an argument differs at other sizes", step.call)  # type: ignore[attr-defined]
