"""Several recordings of the same code as one: the same operators, with every number fitted as a function of the sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch

from derivcheck.notation.sizes import Poly
from derivcheck.operators.build import Builder
from derivcheck.operators.row import apply, find
from derivcheck.operators.values import Value
from derivcheck.tracing.fit import Fit
from derivcheck.tracing.recording import Call, Meta, Recording, Tensor


class Differs(Exception):
    """The recordings are not of the same structure: from which call on, and how."""

    def __init__(self, why: str, call: Call | None, count: bool = False) -> None:
        super().__init__(why)
        self.why, self.call, self.count = why, call, count


class Unfitted(Exception):
    """A number that is no function of the sizes that can be found from these traces."""

    def __init__(self, what: str, values: Sequence[Any], call: Call | None) -> None:
        super().__init__(f"{what} is {', '.join(map(str, values))} in {len(values)} traces")
        self.what, self.values, self.call = what, values, call


@dataclass
class Step:
    """An operator call with symbolic arguments: ints are integer expressions or ints, floats Fractions or terms."""

    call: Call
    args: list[Any]
    kwargs: dict[str, Any]


@dataclass
class Unified:
    """The steps, and the dimensions and kind of each tensor by number."""

    steps: list[Step]
    dims: list[tuple[Poly, ...]]
    kinds: list[str]


def unify(recordings: Sequence[Recording], fit: Fit, known: dict[int, tuple[Poly, ...]]) -> Unified:
    """Fit the recordings; ``known`` holds the dimensions of inputs by tensor number.

    Raises:
        Differs: they differ in structure.
        Unfitted: a number cannot be fitted.
    """
    first = recordings[0]
    for k, call in enumerate(first.calls):
        for r in recordings[1:]:
            if k >= len(r.calls) or r.calls[k].func is not call.func:
                raise Differs("other operators are called at other sizes", call)
            if r.calls[k].stop != call.stop:
                raise Differs("gradients are switched off at some sizes only", call)
    for r in recordings[1:]:
        if len(r.calls) != len(first.calls):
            raise Differs("more operators are called at other sizes", first.calls[-1] if first.calls else None)
    for k, tensor in first.constants.items():
        for r in recordings[1:]:
            other = r.constants.get(k)
            if other is not tensor and (other is None or not _same(tensor, other)):
                raise Differs(
                    "a tensor built in the code has other values at other sizes", first.calls[-1] if first.calls else None
                )
    dims: list[tuple[Poly, ...]] = []
    steps: list[Step] = []
    at = 0

    def settle(upto: int, call: Call | None, meant: dict[int, tuple[Poly, ...]]) -> None:
        """Fit the dimensions of the tensors that were made up to here, in order."""
        nonlocal at
        while at < upto:
            if at in known:
                dims.append(known[at])
                for p in known[at]:
                    fit.learn(p)
            else:
                dims.append(_shape([r.metas[at] for r in recordings], fit, call, meant.get(at, ())))
            at += 1

    for k, call in enumerate(first.calls):
        calls = [r.calls[k] for r in recordings]
        outs = [_numbers(c.out) for c in calls]
        if any(len(o) != len(outs[0]) for o in outs):
            raise Differs("it gives another number of tensors at other sizes", call, count=True)
        if any(o != outs[0] for o in outs):
            raise Differs("other tensors are involved at other sizes", call)
        if outs[0]:
            settle(min(outs[0]), call, {})
        args = _merge([c.args for c in calls], fit, call, "argument")
        kwargs = {n: _merge([c.kwargs.get(n) for c in calls], fit, call, n) for n in call.kwargs}
        steps.append(Step(call, args, kwargs))
        if outs[0] and max(outs[0]) >= at:
            plain = all(fit.plain(v) for n in outs[0] for v in zip(*(r.metas[n].shape for r in recordings)))
            settle(max(outs[0]) + 1, call, {} if plain else _meant(steps[-1], outs[0], dims, first.metas))
    settle(len(first.metas), None, {})
    return Unified(steps, dims, [m.kind for m in first.metas])


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype or type(a) is not type(b) or type(a) not in (torch.Tensor, torch.nn.Parameter):
        return False
    if a.device != b.device or a.device.type == "meta":
        return False
    return bool(((a == b) | ((a != a) & (b != b))).all())  # NaN is the same constant as NaN


def _meant(step: Step, outs: list[int], dims: list[tuple[Poly, ...]], metas: Sequence[Meta]) -> dict[int, tuple[Poly, ...]]:
    """The dimensions of the results by the operator's row: a formula that is known, where a fit is a guess."""
    row = find(step.call.operator)
    if row is None:
        return {}

    def value(arg: Any) -> Any:
        if isinstance(arg, Tensor):
            return Value(f"t{arg.number}", dims[arg.number], metas[arg.number].kind)
        return [value(a) for a in arg] if isinstance(arg, list) else arg

    schema = {a.name for a in step.call.func._schema.arguments}
    known = schema - {"device", "layout", "pin_memory", "memory_format", "generator", "non_blocking"}
    try:
        kwargs = {n: value(v) for n, v in step.kwargs.items() if n in known}
        results = apply(
            row, Builder(), [value(a) for a in step.args], kwargs, None, [metas[k].kind for k in outs], name=step.call.operator
        )
    except Exception:  # a form that the row refuses, or that it knows only with the dimensions given: the fit decides
        return {}
    found = results if isinstance(results, (tuple, list)) else (results,)
    return {k: v.dims for k, v in zip(outs, found) if v is not None}


def _shape(metas: Sequence[Meta], fit: Fit, call: Call | None, meant: tuple[Poly, ...] = ()) -> tuple[Poly, ...]:
    ranks = {len(m.shape) for m in metas}
    if len(ranks) > 1:
        raise Differs("a tensor has another number of dimensions at other sizes", call)
    if any(m.dtype is not metas[0].dtype for m in metas):
        raise Differs("a tensor has another type at other sizes", call)
    out = []
    for axis, values in enumerate(zip(*(m.shape for m in metas))):
        plain = fit.known.get(tuple(values))
        found = plain
        if plain is None and len(meant) == len(metas[0].shape) and fit.holds(meant[axis], values):
            found = meant[axis]
            fit.learn(found)
        if found is None:
            found = fit.integer(values)
        if found is None:
            raise Unfitted(f"size {axis} of its result", values, call)
        out.append(found)
    return tuple(out)


def merge(values: Sequence[Any], fit: Fit, what: str) -> Any:
    """One value for what stands at the same place in all recordings."""
    return _merge(values, fit, None, what)


def _merge(values: Sequence[Any], fit: Fit, call: Call | None, what: str) -> Any:
    first = values[0]
    if isinstance(first, Tensor):
        if any(v != first for v in values):
            raise Differs("other tensors are involved at other sizes", call)
        return first
    if isinstance(first, (list, tuple)):
        if any(not isinstance(v, (list, tuple)) or len(v) != len(first) for v in values):
            raise Differs(f"its {what} has another length at other sizes", call, count=True)
        return [_merge(list(parts), fit, call, what) for parts in zip(*values)]
    if isinstance(first, dict):
        if any(not isinstance(v, dict) or list(v) != list(first) for v in values):
            raise Differs(f"its {what} differs at other sizes", call)
        return {n: _merge([v[n] for v in values], fit, call, what) for n in first}
    if (
        isinstance(first, bool)
        or first is None
        or isinstance(first, (str, torch.dtype, torch.device, torch.layout, torch.memory_format))
    ):
        if any(v is not first and v != first for v in values):
            raise Differs(f"its {what} is {first} at some sizes and not at others", call)
        return first
    if isinstance(first, int) and all(isinstance(v, int) for v in values):
        found = fit.integer(values)
        if found is None:
            raise Unfitted(f"its {what}", values, call)
        return found if found.constant is None else int(first)
    if isinstance(first, (int, float)) and all(isinstance(v, (int, float)) for v in values):
        real = fit.real(values)
        if real is None:
            raise Unfitted(f"its {what}", values, call)
        return real
    if any(v is not first and v != first for v in values):
        raise Differs(f"its {what} differs at other sizes", call)
    return first


def _numbers(out: Any) -> list[int]:
    if isinstance(out, Tensor):
        return [out.number]
    if isinstance(out, (list, tuple)):
        return [n for o in out for n in _numbers(o)]
    return []


__all__ = ["Differs", "Fraction", "Step", "Unified", "Unfitted", "merge", "unify"]
