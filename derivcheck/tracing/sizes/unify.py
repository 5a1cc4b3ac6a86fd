"""Several recordings of the same code as one: the same operators, with every number as a function of the sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.integers.polynomials import Poly
from derivcheck.operators.language.build import Builder, KnownResults
from derivcheck.operators.language.row import apply, find
from derivcheck.operators.language.values import Value
from derivcheck.tracing.recording.data import Call, Meta, Recording, Tensor, tensors_in
from derivcheck.tracing.recording.reads import leaves
from derivcheck.tracing.sizes.expressions import SizeExpressions, candidates


class Differs(Exception):
    """The recordings are not of the same structure: from which call on, and how."""

    def __init__(self, why: str, call: Call | None, count: bool = False) -> None:
        super().__init__(why)
        self.why, self.call, self.count = why, call, count


class Unknown(Exception):
    """A number that differs between the recordings and carries no expression of the sizes."""

    def __init__(self, what: str, values: Sequence[Any], call: Call | None) -> None:
        super().__init__(f"{what} is {', '.join(map(str, values))} in {len(values)} traces")
        self.what, self.values, self.call = what, values, call


@dataclass
class UnifiedCall:
    """An operator call with symbolic arguments: ints are integer expressions or ints, floats Fractions or terms."""

    call: Call
    args: list[Any]
    kwargs: dict[str, Any]


@dataclass
class Unified:
    """The steps, and the dimensions and kind of each tensor by number."""

    steps: list[UnifiedCall]
    dims: list[tuple[Poly, ...]]
    kinds: list[str]


_NOTHING: Mapping[tuple[int, ...], Poly] = {}


def unify(recordings: Sequence[Recording], known: SizeExpressions, inputs: dict[int, tuple[Poly, ...]]) -> Unified:
    """Put the recordings together; ``inputs`` holds the dimensions of inputs by tensor number.

    Raises:
        Differs: they differ in structure.
        Unknown: a number is no function of the sizes that is known.
    """
    first = recordings[0]
    _same_operators(recordings)
    dims: list[tuple[Poly, ...]] = []
    steps: list[UnifiedCall] = []
    at = 0

    def settle(
        upto: int, call: Call | None, meant: dict[int, tuple[Poly, ...]], near: Mapping[tuple[int, ...], Poly] = _NOTHING
    ) -> None:
        """The dimensions of the tensors that were made up to here, in order; ``near``: those of the operator's arguments."""
        nonlocal at
        while at < upto:
            if at in inputs:
                dims.append(inputs[at])
            else:
                dims.append(_shape([r.metas[at] for r in recordings], known, call, meant.get(at, ()), near))
            for p in dims[at]:
                known.learn(p)
            known.reading(at, dims[at])
            at += 1

    for k, call in enumerate(first.calls):
        calls = [r.calls[k] for r in recordings]
        outs = [[t.number for t in tensors_in(c.out)] for c in calls]
        if any(len(o) != len(outs[0]) for o in outs):
            raise Differs("it gives another number of tensors at other sizes", call, count=True)
        if any(o != outs[0] for o in outs):
            raise Differs("other tensors are involved at other sizes", call)
        if outs[0]:
            settle(min(outs[0]), call, {})
        merge = _Merge(calls, known)
        args, kwargs = merge([c.args for c in calls], "argument"), merge([c.kwargs for c in calls], "argument")
        steps.append(UnifiedCall(call, args, kwargs))
        if outs[0] and max(outs[0]) >= at:
            shapes = [v for n in outs[0] for v in zip(*(r.metas[n].shape for r in recordings))]
            plain = all(known.dimension(v) is not None for v in shapes) and not _by_arithmetic(call, shapes)
            meant = {} if plain else _meant(steps[-1], outs[0], dims, first.metas, known)
            near = {known.values(p): p for t in (t.number for t in tensors_in(args)) for p in dims[t] if p.constant is None}
            settle(max(outs[0]) + 1, call, meant, near)
    settle(len(first.metas), None, {})
    return Unified(steps, dims, [m.kind for m in first.metas])


_BOUNDS = {"slices", "padding", "creation"}
_ARITHMETIC = {"pooling", "convolutions", "images", "shapes"}


def _by_arithmetic(call: Call, shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether the row's formula counts before a dimension of the same values: bounds and counts, and what is one number in all
    recordings and may be none at others (``L//K`` of sizes that lie near each other)."""
    row = find(call.operator)
    if row is not None and row.family in _BOUNDS:
        return True
    return row is not None and row.family in _ARITHMETIC and any(v[0] == n for v in shapes for n in v[1:])


def _same_operators(recordings: Sequence[Recording]) -> None:
    """Raise where recordings differ in operators, results or tensors that the code holds."""
    first = recordings[0]
    for k, call in enumerate(first.calls):
        for r in recordings[1:]:
            if k >= len(r.calls) or r.calls[k].func is not call.func:
                raise Differs("other operators are called at other sizes", call)
            if r.calls[k].stop != call.stop:
                raise Differs("gradients are switched off at some sizes only", call)
    last = first.calls[-1] if first.calls else None
    for r in recordings[1:]:
        if len(r.calls) != len(first.calls):
            raise Differs("more operators are called at other sizes", last)
        if repr(r.output) != repr(first.output):
            raise Differs("something else is returned at other sizes", last)
    for k, tensor in first.constants.items():
        for r in recordings[1:]:
            other = r.constants.get(k)
            if other is not tensor and (other is None or not _same(tensor, other)):
                raise Differs("a tensor built in the code has other values at other sizes", last)


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype or type(a) is not type(b) or type(a) not in (torch.Tensor, torch.nn.Parameter):
        return False
    if a.device != b.device or a.device.type == "meta":
        return False
    return bool(((a == b) | ((a != a) & (b != b))).all())  # NaN is the same constant as NaN


def _meant(
    step: UnifiedCall, outs: list[int], dims: list[tuple[Poly, ...]], metas: Sequence[Meta], known: SizeExpressions
) -> dict[int, tuple[Poly, ...]]:
    """The dimensions of the results by the operator's row."""
    row = find(step.call.operator)
    if row is None:
        return {}

    def value(arg: Any) -> Any:
        if isinstance(arg, Tensor):
            return Value(f"t{arg.number}", dims[arg.number], metas[arg.number].kind)
        return [value(a) for a in arg] if isinstance(arg, list) else arg

    schema = {a.name for a in step.call.func._schema.arguments}
    takes = schema - {"device", "layout", "pin_memory", "memory_format", "generator", "non_blocking"}
    try:
        kwargs = {n: value(v) for n, v in step.kwargs.items() if n in takes}
        results = apply(
            row,
            Builder(traced=known.assignments),
            [value(a) for a in step.args],
            kwargs,
            KnownResults(kinds=[metas[k].kind for k in outs]),
            step.call.operator,
        )
    except UnsupportedOperation:  # a form that the row refuses: refused for good when the row is applied
        return {}
    found = results if isinstance(results, (tuple, list)) else (results,)
    return {k: v.dims for k, v in zip(outs, found) if v is not None}


def _shape(
    metas: Sequence[Meta],
    known: SizeExpressions,
    call: Call | None,
    meant: tuple[Poly, ...],
    near: Mapping[tuple[int, ...], Poly],
) -> tuple[Poly, ...]:
    """One expression per dimension of a tensor: what the operator means by it, what an argument has, what fits the values."""
    ranks = {len(m.shape) for m in metas}
    if len(ranks) > 1:
        raise Differs("a tensor has another number of dimensions at other sizes", call)
    if any(m.dtype is not metas[0].dtype for m in metas):
        raise Differs("a tensor has another type at other sizes", call)
    out = []
    for axis, values in enumerate(zip(*(m.shape for m in metas))):
        found = near.get(values) if values[0] > 1 else None
        found = known.dimension(values) if found is None else found
        if len(meant) == len(metas[0].shape) and known.holds(meant[axis], values):
            found = meant[axis]
        if found is None:
            raise Unknown(f"size {axis} of its result", values, call)
        out.append(found)
    return tuple(out)


class _Merge:
    """One value for what stands at the same place in all recordings of a call."""

    def __init__(self, calls: Sequence[Call], known: SizeExpressions) -> None:
        self.call, self.known = calls[0], known
        self.passed = [(c.given, leaves((c.args, c.kwargs))) for c in calls]
        self.at = 0

    def __call__(self, values: Sequence[Any], what: str) -> Any:
        """The value that all recordings have there, or an expression that gives each its own."""
        first, call = values[0], self.call
        if isinstance(first, Tensor):
            if any(v != first for v in values):
                raise Differs("other tensors are involved at other sizes", call)
            return first
        if isinstance(first, (list, tuple)):
            if any(not isinstance(v, (list, tuple)) or len(v) != len(first) for v in values):
                raise Differs(f"its {what} has another length at other sizes", call, count=True)
            return [self(list(parts), what) for parts in zip(*values)]
        if isinstance(first, dict):
            if any(not isinstance(v, dict) or list(v) != list(first) for v in values):
                raise Differs(f"its {what} differs at other sizes", call)
            return {n: self([v[n] for v in values], n) for n in first}
        if isinstance(first, (int, float)) and not isinstance(first, bool):
            return self.number(values, what)
        if any(v is not first and v != first for v in values):
            raise Differs(f"its {what} is {first} at some sizes and not at others", call)
        return first

    def number(self, values: Sequence[Any], what: str) -> Any:
        """A number as what it was carried as, or as what it is in all recordings."""
        if any(not isinstance(v, (int, float)) or isinstance(v, bool) for v in values):
            raise Differs(f"its {what} differs at other sizes", self.call)
        carried = candidates(values, self.passed, self.at) or ()
        self.at += 1
        if all(isinstance(v, int) for v in values):
            found: Any = self.known.whole(values, carried)
            found = found if found is None or found.constant is None else int(found.constant)
        else:
            found = self.known.real(values, carried)
        if found is None:
            raise Unknown(f"its {what}", values, self.call)
        return found
