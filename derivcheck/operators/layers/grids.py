"""Images sampled at the points of a grid: bilinear, nearest and bicubic; zeros, the border or reflections outside."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from derivcheck.notation.integers.atoms import extreme
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import ONE, ZERO, add, div, func, mul, neg, size_of, sub
from derivcheck.notation.terms.nodes import Number, Term
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import floats, row, sample
from derivcheck.operators.language.values import Value, test, where, within
from derivcheck.operators.layers.images import cubic
from derivcheck.operators.pointwise.elementwise import HALF

BILINEAR, NEAREST, BICUBIC = range(3)  # torch's interpolation_mode
ZEROS, BORDER, REFLECTION = range(3)  # torch's padding_mode


def _unnormalised(v: Term, length: Poly, corners: bool) -> Term:
    """From −1 … 1 to positions."""
    n = size_of(length)
    if corners:
        return mul(HALF, add(v, ONE), sub(n, ONE))
    return mul(HALF, sub(mul(add(v, ONE), n), ONE))


def _clamped(v: Term, length: Poly) -> Term:
    """Into 0 … length - 1; at the ends themselves no gradient flows, as in torch."""
    high = size_of(length - 1)
    inside = mul(test(">", v, ZERO), test("<", v, high))
    return where(inside, v, mul(test(">=", v, high), high))


def _reflected(b: Builder, at: Sequence[Index], v: Term, length: Poly, corners: bool) -> Term:
    """Folded back at the middles of the outermost pixels (``corners``) or at their outer edges, as often as need be."""
    low, span = (ZERO, extreme("max", length - 1, 1)) if corners else (neg(HALF), length)  # of one pixel: 0
    x = b.define("unfolded", at, sub(v, low))[tuple(at)]
    turns = b.define("turns", at, func("floor", div(x, size_of(span))), kind="int").entry(*at)
    ahead = add(low, x, neg(size_of(turns * span)))
    back = add(low, size_of((turns + 1) * span), neg(x))
    return where(bracket("==", turns % 2), ahead, back)


def _neighbour(place: Poly, length: Poly, padding: int, corners: bool) -> Poly:
    """Where bicubic sampling reads for the pixel at ``place``: each of the sixteen is padded on its own."""
    if padding == BORDER:
        return extreme("min", extreme("max", place, 0), length - 1)
    if padding == ZEROS:
        return place
    turn = extreme("max", 2 * (length - 1), 1) if corners else 2 * length
    once = place % turn
    return extreme("min", once, turn - once if corners else turn - 1 - once)


@row(
    "aten.grid_sampler.default",
    "aten.grid_sampler_2d.default",
    "aten.grid_sampler_3d.default",
    gives="y",
    samples=[
        *(
            sample(floats(2, 3, 4, 5), floats(2, 3, 2, 2), mode, pad, corners, only="aten.grid_sampler.default")
            for mode in (BILINEAR, NEAREST, BICUBIC)
            for pad in (ZEROS, BORDER, REFLECTION)
            for corners in (False, True)
        ),
        sample(floats(2, 3, 4, 5), floats(2, 3, 2, 2, values="unit"), BILINEAR, ZEROS, False, only="aten.grid_sampler.default"),
        sample(floats(2, 3, 4, 1), floats(2, 3, 2, 2), BICUBIC, REFLECTION, True, only="aten.grid_sampler.default"),
        sample(floats(2, 3, 1, 5), floats(2, 3, 2, 2), BILINEAR, REFLECTION, True, only="aten.grid_sampler.default"),
        sample(floats(2, 3, 4, 5), floats(2, 3, 2, 2), BILINEAR, ZEROS, False, only="aten.grid_sampler_2d.default"),
        sample(floats(1, 2, 3, 4, 2), floats(1, 2, 3, 2, 3), BILINEAR, ZEROS, True, only="aten.grid_sampler_3d.default"),
        sample(floats(1, 2, 3, 4, 2), floats(1, 2, 3, 2, 3), BILINEAR, REFLECTION, False, only="aten.grid_sampler_3d.default"),
    ],
)
def grid_sampler(
    b: Builder, input: Value, grid: Value, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Value:
    """y[n, c, *p] = sum over the pixels around grid[n, *p] of weight*x[n, c, pixel]"""
    rank = input.rank - 2
    at = b.indices(b.dims((*input.dims[:2], *grid.dims[1:-1])), ["n", "c", *"pqr"[:rank]])
    n, c, p = at[0], at[1], at[2:]
    space = input.dims[2:]
    neighbours: list[list[tuple[Term, Poly]]] = []
    for k, length in enumerate(space):
        v = _unnormalised(grid[(n, *p, rank - 1 - k)], length, align_corners)
        how = Sampling(interpolation_mode, padding_mode, align_corners)
        neighbours.append(_neighbours(b, (n, *p), v, length, how))
    parts = []
    for corner in itertools.product(*neighbours):
        weights, spots = [w for w, _ in corner], [q for _, q in corner]
        guards = [within(q, m) for q, m in zip(spots, space)]
        parts.append(mul(*guards, *weights, input[(n, c, *spots)]))
    return b.give(at, add(*parts))


class Sampling(NamedTuple):
    """How values between pixels are found, as numbers of torch's; ``corners``: ±1 are the middles of the outermost pixels."""

    mode: int
    padding: int
    corners: bool


def _neighbours(b: Builder, at: tuple[Index, ...], v: Term, length: Poly, how: Sampling) -> list[tuple[Term, Poly]]:
    """Along one dimension, the pixels that take part and the weight of each."""
    mode, padding, corners = how
    if mode != BICUBIC:
        if padding == REFLECTION:
            v = _reflected(b, at, v, length, corners)
        if padding != ZEROS:
            v = _clamped(v, length)
    place = b.define("place", at, v)[at]
    low = b.define("low", at, func("round" if mode == NEAREST else "floor", place), kind="int").entry(*at)
    if mode == NEAREST:
        return [(ONE, low)]
    part = sub(place, size_of(low))
    if mode == BILINEAR:
        return [(sub(ONE, part), low), (part, low + 1)]
    t = b.define("part", at, part)[at]
    weights = [b.define("weight", at, w)[at] for w in cubic(t)]
    return [(w, _neighbour(low + k - 1, length, padding, corners)) for k, w in enumerate(weights)]


@row(
    "aten.affine_grid_generator.default",
    gives="grid",
    samples=[
        sample(floats(2, 2, 3), [2, 3, 5, 4], False),
        sample(floats(2, 2, 3), [2, 3, 5, 4], True),
        sample(floats(2, 3, 4), [2, 1, 3, 2, 4], False),
    ],
)
def affine_grid_generator(b: Builder, theta: Value, size: Sequence[Any], align_corners: bool) -> Value:
    """grid[n, *p, k] = sum(j: theta[n, k, j]*base[*p, j]) + theta[n, k, last], base from -1 to 1"""
    space = [as_poly(v) for v in size[2:]]
    rank = len(space)
    *head, k = b.indices(b.dims((as_poly(size[0]), *space, as_poly(rank))), ["n", *"pqr"[:rank], "k"])
    n, p = head[0], head[1:]
    parts = [theta[n, k, rank]]
    for j in range(rank):
        axis = rank - 1 - j
        step, length = size_of(i_poly(p[axis])), size_of(space[axis])
        if align_corners:
            base = div(sub(add(mul(Number(2), step), ONE), length), size_of(extreme("max", space[axis] - 1, 1)))
        else:
            base = sub(div(add(mul(Number(2), step), ONE), length), ONE)
        parts.append(mul(theta[n, k, j], base))
    return b.give((*head, k), add(*parts))
