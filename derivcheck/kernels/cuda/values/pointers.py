"""Memory behind pointers whose positions are expressions: reads, writes and what is added, leaf by leaf of a type."""

from __future__ import annotations

from typing import Any

from derivcheck.kernels.cuda.source.types import BOOL, FLOAT, Matrix, Scalar, Type, Vector
from derivcheck.kernels.cuda.values.values import (
    FLOATS,
    Aggregate,
    CNumber,
    CRef,
    Load,
    ReadsBefore,
    Refused,
    Value,
    aggregate_of,
)
from derivcheck.kernels.lanes.carried import Carried
from derivcheck.kernels.lanes.flat import FlatMemory, full
from derivcheck.kernels.lanes.lanes import raw
from derivcheck.kernels.lanes.thread_groups import BLOCK, WARPS, LanePart, OfWarp, Shared, unwrapped
from derivcheck.kernels.lanes.wholes import Symbolic, WholeNumber, poly_of, whole


def moved_flat(pointer: CRef, by: Any) -> CRef:
    """A pointer into flat memory, further on."""
    if len(pointer.path) != 1:
        raise Refused("pointer arithmetic", "it leaves the element that is pointed to")
    lanes = by.lanes if isinstance(by, WholeNumber) else None
    place = poly_of(pointer.path[0]) + poly_of(by)
    if lanes is not None:
        place = lanes.fused(place)
    return CRef(pointer.cell, (place,), pointer.type)


def loaded(flat: FlatMemory, ref: CRef, line: str) -> Value:
    """What lies at a place."""
    return aggregate_of(_plain(ref.type), lambda path: Load(lambda: _number(flat, ref, path, line)))


def _number(flat: FlatMemory, ref: CRef, path: tuple[int, ...], line: str) -> CNumber:
    kind = _scalar(ref.type)
    found = flat.load(poly_of(ref.path[0]), (*ref.path[1:], *path), line)
    if found is None:
        raise ReadsBefore(flat.name)
    if kind.real or kind == BOOL:
        return CNumber(found, kind)
    return CNumber(whole(flat.lanes.datum(flat.name, found), flat.lanes), kind)


def put_flat(flat: FlatMemory, ref: CRef, value: Value, line: str, kind: str = "write") -> None:
    """Write a value at a place, or add it."""
    if isinstance(value, Aggregate):
        for k, v in enumerate(value.items):
            inner = CRef(ref.cell, (*ref.path, k), _inner(ref.type))
            put_flat(flat, inner, v, line, kind)
        return
    if isinstance(value, Load):
        value = value.take()
    shared = False
    if not isinstance(value, CNumber):
        raise Refused(f"{flat.name}[…]", "what is written is no number")
    number = value.value
    if isinstance(number, Carried):
        raise number.refuse()
    if isinstance(number, LanePart) and kind == "atomic" and number.op == "+" and len(number.steps) == 5:
        number, shared = number.total, True  # each lane adds its part
    elif isinstance(number, Symbolic) and not isinstance(number, WholeNumber):
        number = unwrapped(number)
    found = number.tensor() if isinstance(number, WholeNumber) else number
    if kind in ("add", "atomic") and not value.type.real:
        raise Refused(f"{flat.name}[…]", "whole numbers are not added in memory")
    tensor = full(found, FLOATS[-1] if value.type.real else flat.dtype)
    flat.store(poly_of(ref.path[0]), tuple(ref.path[1:]), tensor, line, kind, shared)


def put_shared(held: Shared, ref: CRef, value: Value, lanes: Any) -> None:
    """Each thread puts a number at its own place of shared memory."""
    if not isinstance(value, CNumber):
        raise Refused(f"{held.name}[…]", "what is written is no number")
    if isinstance(value.value, OfWarp):
        own = poly_of(ref.path[0]) is raw(WARPS) and not lanes.masks and not lanes.first
        held.put_by_warp(value.value, own and (lanes.leader > 0 or not value.value.leader))
        return
    held.put(value.value, not lanes.leader and poly_of(ref.path[0]) is lanes.own(BLOCK) and not lanes.masks and not lanes.first)


def taken_shared(held: Shared, ref: CRef, lanes: Any) -> Value:
    """What a tree left at place 0 of shared memory."""
    return CNumber(held.take(poly_of(ref.path[0]).constant == 0, lanes.first > 0), FLOAT)


def _plain(kind: Type) -> Type:
    if not isinstance(kind, (Scalar, Vector, Matrix)):
        raise Refused("memory", "what lies there is no number, vector or matrix")
    return kind


def _inner(kind: Type) -> Type:
    return kind.column if isinstance(kind, Matrix) else kind.of if isinstance(kind, Vector) else kind


def _scalar(kind: Type) -> Scalar:
    while not isinstance(kind, Scalar):
        kind = _inner(_plain(kind))
    return kind
