"""Padding: constants, reflection, replication, wrapping around; one dimension after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Poly, PolyLike, as_poly, i_poly
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import add, mul
from derivcheck.notation.terms.nodes import Term
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import floats, row, sample
from derivcheck.operators.language.values import Position, Value, where, within


def _sides(x: Value, pad: Sequence[PolyLike]) -> list[tuple[int, Poly, Poly]]:
    """``(axis, before, after)`` from torch's order: the last dimension first."""
    pairs = [(as_poly(p), as_poly(q)) for p, q in zip(pad[::2], pad[1::2])]
    return [(x.rank - 1 - k, p, q) for k, (p, q) in enumerate(pairs) if p.constant != 0 or q.constant != 0]


@row(
    "aten.constant_pad_nd.default",
    samples=[
        sample(floats(2, 3), [1, 2]),
        sample(floats(2, 3, 5), [1, 2, 0, 3], 2.5),
        sample(floats(5, 7), [-1, 2, 1, -2]),
        sample(floats(3), [0, 0]),
        sample(floats(2, 5), [0, 0, 1, 1]),
    ],
)
def constant_pad(b: Builder, input: Value, pad: Sequence[PolyLike], value: Any = 0) -> Value:
    """z[k] = x[k - before] inside, else v"""
    sides = _sides(input, pad)
    dims = list(input.dims)
    for axis, before, after in sides:
        cut = [p for p in (before, after) if nonnegative(-p - 1)]
        if cut:
            b.room(dims[axis], -sum(cut[1:], cut[0]))
        dims[axis] = dims[axis] + before + after
    at = b.indices(b.dims(dims))
    places: list[Position] = list(at)
    inside: list[Term] = []
    for axis, before, _ in sides:
        p = i_poly(at[axis]) - before
        places[axis] = p
        inside.append(within(p, input.dims[axis]))
    return b.give(at, where(mul(*inside), input[tuple(places)], b.number(value)), kind=input.kind)


def _mirrored(x: Value, at: tuple[Position, ...], axis: int, k: Poly, mode: str) -> Term:
    """The element at ``k`` of a line that goes on beyond its ends."""
    n = x.dims[axis]

    def element(p: Poly) -> Term:
        return x[(*at[:axis], p, *at[axis + 1 :])]

    before, inside, after = bracket("<", k), within(k, n), bracket(">=", k - n)
    if mode == "reflect":
        left, right = -k, 2 * (n - 1) - k
    elif mode == "replicate":
        left, right = as_poly(0), n - 1
    else:
        left, right = k + n, k - n
    return add(mul(before, element(left)), mul(inside, element(k)), mul(after, element(right)))


def _extended(b: Builder, x: Value, pad: Sequence[PolyLike], mode: str) -> Value:
    """Reflection, replication or wrapping, one dimension after the other."""
    sides = _sides(x, pad)
    if not sides:
        return x
    for axis, before, after in sides:
        limit = x.dims[axis] - (1 if mode == "reflect" else 0)
        for p in (before, after):
            if mode != "replicate" and p.constant != 0:
                b.require(p, "<=", limit)
    for n, (axis, before, after) in enumerate(sides):
        last = n == len(sides) - 1
        dims = [*x.dims[:axis], x.dims[axis] + before + after, *x.dims[axis + 1 :]]
        at = b.indices(b.dims(dims) if last else dims)
        term = _mirrored(x, at, axis, i_poly(at[axis]) - before, mode)
        x = b.give(at, term) if last else b.define("padded", at, term)
    return x


@row(
    "aten.reflection_pad1d.default",
    "aten.reflection_pad2d.default",
    "aten.reflection_pad3d.default",
    samples=[
        sample(floats(2, 3, 5), [2, 1], only="aten.reflection_pad1d.default"),
        sample(floats(2, 5, 7), [2, 1, 0, 3], only="aten.reflection_pad2d.default"),
        sample(floats(2, 3, 4, 5), [1, 2, 1, 0, 2, 1], only="aten.reflection_pad3d.default"),
    ],
)
def reflection_pad(b: Builder, input: Value, padding: Sequence[PolyLike]) -> Value:
    """z[k] = x[|k - before|], mirrored at the far end too"""
    return _extended(b, input, padding, "reflect")


@row(
    "aten.replication_pad1d.default",
    "aten.replication_pad2d.default",
    "aten.replication_pad3d.default",
    samples=[
        sample(floats(2, 3, 5), [2, 6], only="aten.replication_pad1d.default"),
        sample(floats(2, 5, 7), [2, 1, 0, 3], only="aten.replication_pad2d.default"),
        sample(floats(2, 3, 4, 5), [1, 2, 1, 0, 2, 1], only="aten.replication_pad3d.default"),
    ],
)
def replication_pad(b: Builder, input: Value, padding: Sequence[PolyLike]) -> Value:
    """z[k] = x[min(max(k - before, 0), N - 1)]"""
    return _extended(b, input, padding, "replicate")


@row("aten._pad_circular.default", samples=[sample(floats(2, 3, 5), [2, 1]), sample(floats(2, 3, 5, 7), [2, 1, 0, 3])])
def circular_pad(b: Builder, input: Value, pad: Sequence[PolyLike]) -> Value:
    """z[k] = x[k - before], positions modulo N"""
    return _extended(b, input, pad, "circular")


@row(
    "aten.pad.default",
    samples=[
        sample(floats(2, 3), [1, 2]),
        sample(floats(2, 3), [1, 2], "constant", 0.5),
        *(sample(floats(2, 3, 5), [2, 1], m) for m in ("reflect", "replicate", "circular")),
    ],
)
def pad(b: Builder, input: Value, pad: Sequence[PolyLike], mode: str = "constant", value: Any = None) -> Value:
    """z[k] = x[k - before] inside; outside a constant, a mirror image, the edge, or the other end"""
    if mode == "constant":
        return constant_pad(b, input, pad, 0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        b.refuse(f"padding mode {mode!r}")
    return _extended(b, input, pad, mode)
