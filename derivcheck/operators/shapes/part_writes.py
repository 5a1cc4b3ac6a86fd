"""Writes into a part of a tensor: a slice, a row, a diagonal, the true entries of a mask replaced, the rest kept."""

from __future__ import annotations

from collections.abc import Sequence

from derivcheck.notation.integers.atoms import extreme
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Poly, PolyLike, as_poly, i_poly
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import mul
from derivcheck.notation.terms.substitute import summation
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import bools, floats, row, sample
from derivcheck.operators.language.values import Value, broadcast_dims, spread, where, within
from derivcheck.operators.shapes.reshapes import digits, flat
from derivcheck.operators.shapes.slices import beside, slice_range, whole_position


def _same_shape(b: Builder, src: Value, part: Sequence[Poly]) -> None:
    """Require that what is written has the shape of the part that it is written into."""
    for have, need in zip(src.dims, part):
        b.require(have, "==", need)


@row(
    "aten.slice_scatter.default",
    samples=[
        sample(floats(7, 3), floats(4, 3), 0, 1, 5),
        sample(floats(2, 7), floats(2, 3), 1, -3),
        sample(floats(7), floats(3), 0, 1, None, 2),
    ],
)
def slice_scatter(
    b: Builder,
    input: Value,
    src: Value,
    dim: int = 0,
    start: PolyLike | None = None,
    end: PolyLike | None = None,
    step: int = 1,
) -> Value:
    """z[k] = y[(k - start)/step] where k is in the slice, else x[k]"""
    axis = dim % input.rank
    first, count = slice_range(b, input.dims[axis], start, end, step)
    _same_shape(b, src, [*input.dims[:axis], count, *input.dims[axis + 1 :]])
    at = b.indices(b.dims(input.dims))
    if step == 1:
        p = i_poly(at[axis]) - first
        inside = within(p, src.dims[axis])
    else:
        p = (i_poly(at[axis]) - first) // step
        inside = mul(within(p, src.dims[axis]), bracket("==", i_poly(at[axis]) - first - p * step))
    return b.give(at, where(inside, src[spread(src.dims, (*at[:axis], p, *at[axis + 1 :]))], input[at]), kind=input.kind)


@row("aten.select_scatter.default", samples=[sample(floats(2, 5), floats(2), 1, 3), sample(floats(5, 3), floats(3), 0, -1)])
def select_scatter(b: Builder, input: Value, src: Value, dim: int, index: PolyLike) -> Value:
    """z[k] = y where k = p, else x[k]"""
    axis = dim % input.rank
    p = whole_position(index, input.dims[axis])
    b.room(input.dims[axis], -as_poly(index) if nonnegative(-as_poly(index) - 1) else p + 1)
    _same_shape(b, src, [*input.dims[:axis], *input.dims[axis + 1 :]])
    at = b.indices(b.dims(input.dims))
    here = bracket("==", i_poly(at[axis]) - p)
    return b.give(at, where(here, src[(*at[:axis], *at[axis + 1 :])], input[at]), kind=input.kind)


@row(
    "aten.diagonal_scatter.default",
    samples=[
        sample(floats(3, 3), floats(3)),
        sample(floats(3, 5), floats(3), 1),
        sample(floats(2, 3, 3), floats(2, 2), 1, 1, 2),
    ],
)
def diagonal_scatter(b: Builder, input: Value, src: Value, offset: PolyLike = 0, dim1: int = 0, dim2: int = 1) -> Value:
    """z[i, j] = y[i] where j = i + k, else x[i, j]"""
    one, two = dim1 % input.rank, dim2 % input.rank
    at = b.indices(b.dims(input.dims))
    i, j = i_poly(at[one]), i_poly(at[two])
    up, down = beside(offset)
    place = i - up if down.constant != 0 or up.constant == 0 else j
    rest = [at[a] for a in range(input.rank) if a not in (one, two)]
    here = mul(bracket("==", j - i - offset), within(place, src.dims[-1]))
    length = extreme("min", input.dims[one] - up, input.dims[two] - down)
    _same_shape(b, src, [*(d for a, d in enumerate(input.dims) if a not in (one, two)), length])
    return b.give(at, where(here, src[(*rest, place)], input[at]), kind=input.kind)


@row(
    "aten.masked_scatter.default",
    samples=[sample(floats(2, 3), bools(2, 3), floats(7)), sample(floats(2, 3), bools(3), floats(2, 5))],
)
def masked_scatter(b: Builder, input: Value, mask: Value, source: Value) -> Value:
    """z[k] = y[place[k]] where m[k], else x[k]; place counts the true entries before k"""
    dims = broadcast_dims(input.dims, mask.dims)
    at, before = b.indices(b.dims(dims)), b.indices(dims)
    earlier = bracket(">=", flat(at) - flat(before) - 1)
    count = summation(before, mul(earlier, mask.mask(*spread(mask.dims, before))))
    place = b.define("place", at, count, stop=True, kind="int")
    taken = source[tuple(digits(place.entry(*at), source.dims))]
    return b.give(at, where(mask.mask(*spread(mask.dims, at)), taken, input[spread(input.dims, at)]), kind=input.kind)
