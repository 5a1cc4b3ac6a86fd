"""Memory behind pointers whose positions are expressions: reads, writes and what is added, leaf by leaf of a type."""

from __future__ import annotations

from typing import Any

from derivcheck.kernels.cuda.types import BOOL, Matrix, Scalar, Type, Vector
from derivcheck.kernels.cuda.values import FLOATS, Aggregate, Load, Number, ReadsBefore, Ref, Refused, Value, aggregate_of
from derivcheck.kernels.lanes.carried import Carried
from derivcheck.kernels.lanes.flat import Flat, full
from derivcheck.kernels.lanes.wholes import Whole, poly_of, whole


def moved_flat(pointer: Ref, by: Any) -> Ref:
    """A pointer into flat memory, further on."""
    if len(pointer.path) != 1:
        raise Refused("pointer arithmetic", "it leaves the element that is pointed to")
    lanes = by.lanes if isinstance(by, Whole) else None
    place = poly_of(pointer.path[0]) + poly_of(by)
    if lanes is not None:
        place = lanes.fused(place)
    return Ref(pointer.cell, (place,), pointer.type)


def loaded(flat: Flat, ref: Ref, line: str) -> Value:
    """What lies at a place."""
    return aggregate_of(_plain(ref.type), lambda path: Load(lambda: _number(flat, ref, path, line)))


def _number(flat: Flat, ref: Ref, path: tuple[int, ...], line: str) -> Number:
    kind = _scalar(ref.type)
    found = flat.load(poly_of(ref.path[0]), (*ref.path[1:], *path), line)
    if found is None:
        raise ReadsBefore(flat.name)
    if kind.real or kind == BOOL:
        return Number(found, kind)
    return Number(whole(flat.lanes.datum(flat.name, found), flat.lanes), kind)


def put_flat(flat: Flat, ref: Ref, value: Value, line: str, kind: str = "write") -> None:
    """Write a value at a place, or add it."""
    if isinstance(value, Aggregate):
        for k, v in enumerate(value.items):
            inner = Ref(ref.cell, (*ref.path, k), _inner(ref.type))
            put_flat(flat, inner, v, line, kind)
        return
    if isinstance(value, Load):
        value = value.take()
    if not isinstance(value, Number):
        raise Refused(f"{flat.name}[…]", "what is written is no number")
    if isinstance(value.value, Carried):
        raise value.value.refuse()
    found = value.value.tensor() if isinstance(value.value, Whole) else value.value
    if kind in ("add", "atomic") and not value.type.real:
        raise Refused(f"{flat.name}[…]", "whole numbers are not added in memory")
    tensor = full(found, FLOATS[-1] if value.type.real else flat.dtype)
    flat.store(poly_of(ref.path[0]), tuple(ref.path[1:]), tensor, line, kind)


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
