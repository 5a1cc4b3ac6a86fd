"""Images resampled to another size: nearest, linear and cubic interpolation; pixels and channels reordered."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from derivcheck.notation.integers.atoms import extreme
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import ONE, add, div, mul, number, power, size_of, sub
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.substitute import summation
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import floats, row, sample
from derivcheck.operators.language.values import Value


@dataclass(frozen=True)
class _Axis:
    """One resampled dimension: ``source = (a·p + c)/den`` of the output position p."""

    length: Poly
    out: Poly
    ratio: tuple[Poly, Poly]  # input steps per output step, as a fraction


def _axes(b: Builder, x: Value, output_size: Any, scales: Any, rank: int) -> list[_Axis]:
    """The resampled dimensions, from the output size or the scale factors."""
    space = x.dims[2:]
    found = []
    for k in range(rank):
        scale = None if not scales else scales[k]
        if output_size is not None and len(output_size):
            out = as_poly(output_size[k])
        else:
            s = _fraction(b, scale)
            out = (space[k] * s.numerator) // s.denominator
        if scale is None:
            ratio = (space[k], out)
        else:
            s = _fraction(b, scale)
            ratio = (as_poly(s.denominator), as_poly(s.numerator))
        b.room(out, 1)
        found.append(_Axis(space[k], out, ratio))
    return found


def _changes(b: Builder, axes: Sequence[_Axis]) -> None:
    """Leave out the sizes that a scale factor a little over 1 leaves as they are: torch then copies instead of resampling."""
    for a in axes:
        inputs, outputs = (r.constant for r in a.ratio)
        if inputs is None or outputs is None or not 0 < 2 * (outputs - inputs) < inputs:
            continue
        if a.length is a.out:
            b.refuse(f"a scale factor of {outputs / inputs:.6g} leaves {a.length} pixels as they are", "Give the output size.")
        b.require(a.length * (outputs - inputs), ">=", inputs)


def _fraction(b: Builder, scale: Any) -> Fraction:
    if isinstance(scale, Term):
        b.refuse("a scale factor that depends on sizes", "Give the output size instead.")
    exact = Fraction(repr(float(scale))) if isinstance(scale, float) else Fraction(scale)
    return exact.limit_denominator(10**6)


def _sizes(rank: int, args: tuple[Any, ...]) -> Any:
    """The scales of a non-``vec`` overload, one argument per dimension."""
    return None if all(a is None for a in args) else list(args) if len(args) == rank else args[0] if args else None


def _per_axis(scales: tuple[Any, ...], rank: int) -> Any:
    if len(scales) == 1 and (scales[0] is None or isinstance(scales[0], (list, tuple))):
        return scales[0]
    return _sizes(rank, scales)


@row(
    "aten.upsample_nearest1d.vec",
    "aten.upsample_nearest2d.vec",
    "aten.upsample_nearest3d.vec",
    "aten.upsample_nearest1d.default",
    "aten.upsample_nearest2d.default",
    "aten.upsample_nearest3d.default",
    "aten._upsample_nearest_exact1d.vec",
    "aten._upsample_nearest_exact2d.vec",
    "aten._upsample_nearest_exact3d.vec",
    "aten._upsample_nearest_exact1d.default",
    "aten._upsample_nearest_exact2d.default",
    "aten._upsample_nearest_exact3d.default",
    gives="y",
    samples=[
        *(
            s
            for name in ("upsample_nearest", "_upsample_nearest_exact")
            for s in (
                sample(floats(2, 3, 5), [7], None, only=f"aten.{name}1d.vec"),
                sample(floats(2, 3, 5), None, [2.0], only=f"aten.{name}1d.vec"),
                sample(floats(2, 3, 5), [3], only=f"aten.{name}1d.default"),
                sample(floats(2, 3, 4, 5), None, [2.0, 3.0], only=f"aten.{name}2d.vec"),
                sample(floats(2, 3, 4, 5), [3, 7], None, None, only=f"aten.{name}2d.default"),
                sample(floats(1, 2, 3, 2, 3), None, [2.0, 2.0, 2.0], only=f"aten.{name}3d.vec"),
                sample(floats(1, 2, 3, 2, 3), [2, 4, 5], only=f"aten.{name}3d.default"),
            )
        ),
    ],
)
def upsample_nearest(b: Builder, input: Value, output_size: Any, *scales: Any) -> Value:
    """y[n, c, *p] = x[n, c, p*in//out]"""
    rank, exact = int(b.rule[-2]), "exact" in b.rule
    axes = _axes(b, input, output_size, _per_axis(scales, rank), rank)
    _changes(b, axes)
    at = b.indices(b.dims((*input.dims[:2], *(a.out for a in axes))), ["n", "c", *"pqr"[:rank]])
    places = []
    for a, p in zip(axes, at[2:]):
        top, bottom = a.ratio
        place = ((2 * i_poly(p) + 1) * top) // (2 * bottom) if exact else (i_poly(p) * top) // bottom
        places.append(place if a.ratio == (a.length, a.out) or _divides(a) else extreme("min", place, a.length - 1))
    return b.give(at, input[(*at[:2], *places)])


def _divides(a: _Axis) -> bool:
    """The output is a whole number of steps per input element: no position lies outside."""
    return a.out == a.length * a.ratio[1] and a.ratio[0].constant == 1


def _between_corners(a: _Axis, p: Index) -> tuple[Poly, Poly]:
    """The input position as a fraction, the first and last pixels on each other; a single output pixel reads the first."""
    return i_poly(p) * (a.length - 1), extreme("max", a.out - 1, 1)


def _linear(a: _Axis, p: Index, corners: bool) -> tuple[Poly, Poly, Term]:
    """The two input positions around an output position, and the weight of the second."""
    if corners:
        top, bottom = _between_corners(a, p)
    else:
        up, down = a.ratio
        top, bottom = extreme("max", 0, (2 * i_poly(p) + 1) * up - down), 2 * down
    low = top // bottom
    weight = div(sub(size_of(top), mul(size_of(bottom), size_of(low))), size_of(bottom))
    return low, extreme("min", low + 1, a.length - 1), weight


_LINEAR = {1: "upsample_linear1d", 2: "upsample_bilinear2d", 3: "upsample_trilinear3d"}


@row(
    *(f"aten.{name}.{o}" for name in _LINEAR.values() for o in ("vec", "default")),
    gives="y",
    samples=[
        *(
            s
            for corners in (False, True)
            for s in (
                sample(floats(2, 3, 5), [7], corners, None, only="aten.upsample_linear1d.vec"),
                sample(floats(2, 3, 5), None, corners, [2.0], only="aten.upsample_linear1d.vec"),
                sample(floats(2, 3, 5), [3], corners, only="aten.upsample_linear1d.default"),
                sample(floats(2, 3, 4, 5), None, corners, [2.0, 3.0], only="aten.upsample_bilinear2d.vec"),
                sample(floats(2, 3, 4, 5), [3, 7], corners, None, None, only="aten.upsample_bilinear2d.default"),
                sample(floats(1, 2, 3, 2, 3), [2, 4, 5], corners, None, only="aten.upsample_trilinear3d.vec"),
                sample(floats(1, 1, 2, 3, 2), [3, 4, 3], corners, only="aten.upsample_trilinear3d.default"),
            )
        ),
    ],
)
def upsample_linear(b: Builder, input: Value, output_size: Any, align_corners: bool, *scales: Any) -> Value:
    """y[n, c, *p] = sum over the corners around p of weight*x[n, c, corner]"""
    rank = int(b.rule[-2])
    axes = _axes(b, input, output_size, _per_axis(scales, rank), rank)
    _changes(b, axes)
    at = b.indices(b.dims((*input.dims[:2], *(a.out for a in axes))), ["n", "c", *"pqr"[:rank]])
    ends = [_linear(a, p, align_corners) for a, p in zip(axes, at[2:])]
    parts = []
    for corner in itertools.product((0, 1), repeat=rank):
        weights = [w if k else sub(ONE, w) for k, (_, _, w) in zip(corner, ends)]
        places = [high if k else low for k, (low, high, _) in zip(corner, ends)]
        parts.append(mul(*weights, input[(*at[:2], *places)]))
    return b.give(at, add(*parts))


def _near(x: Term, a: Fraction) -> Term:
    """Keys' cubic where 0 ≤ x ≤ 1."""
    return add(mul(number(a + 2), power(x, 3)), mul(number(-(a + 3)), power(x, 2)), ONE)


def _far(x: Term, a: Fraction) -> Term:
    """Keys' cubic where 1 < x < 2."""
    return add(mul(number(a), power(x, 3)), mul(number(-5 * a), power(x, 2)), mul(number(8 * a), x), number(-4 * a))


def cubic(t: Term) -> list[Term]:
    """The weights of four neighbours, cubic convolution with A = −3/4 (Keys 1981, eq. 4)."""
    a = Fraction(-3, 4)
    other = sub(ONE, t)
    return [_far(add(ONE, t), a), _near(t, a), _near(other, a), _far(add(ONE, other), a)]


@row(
    "aten.upsample_bicubic2d.vec",
    "aten.upsample_bicubic2d.default",
    gives="y",
    samples=[
        sample(floats(1, 2, 4, 5), [6, 3], False, None, only="aten.upsample_bicubic2d.vec"),
        sample(floats(1, 2, 4, 5), [6, 3], True, None, only="aten.upsample_bicubic2d.vec"),
        sample(floats(1, 2, 4, 5), None, False, [2.0, 2.0], only="aten.upsample_bicubic2d.vec"),
        sample(floats(1, 2, 4, 5), [6, 7], False, only="aten.upsample_bicubic2d.default"),
    ],
)
def upsample_bicubic2d(b: Builder, input: Value, output_size: Any, align_corners: bool, *scales: Any) -> Value:
    """y[n, c, p, q] = sum over the 4 x 4 neighbours of cubic weights times x, positions clamped to the image"""
    axes = _axes(b, input, output_size, _per_axis(scales, 2), 2)
    at = b.indices(b.dims((*input.dims[:2], *(a.out for a in axes))), ["n", "c", "p", "q"])
    rows: list[list[tuple[Poly, Term]]] = []
    for a, p in zip(axes, at[2:]):
        if align_corners:
            top, bottom = _between_corners(a, p)
        else:
            top, bottom = (2 * i_poly(p) + 1) * a.ratio[0] - a.ratio[1], 2 * a.ratio[1]
        low = top // bottom
        t = div(sub(size_of(top), mul(size_of(bottom), size_of(low))), size_of(bottom))
        rows.append([(extreme("min", extreme("max", low + k - 1, 0), a.length - 1), w) for k, w in enumerate(cubic(t))])
    parts = [mul(v, w, input[(*at[:2], y, x)]) for y, v in rows[0] for x, w in rows[1]]
    return b.give(at, add(*parts))


_TRIANGLE, _KEYS = 1, 2  # half the width of a filter, in pixels


@row(
    "aten._upsample_bilinear2d_aa.default",
    "aten._upsample_bicubic2d_aa.default",
    gives="y",
    samples=[
        sample(floats(1, 2, 4, 7), [6, 3], False),
        sample(floats(1, 2, 4, 7), [1, 3], True),
        sample(floats(1, 2, 4, 9), [2, 11], False, 0.5, 1.3, only="aten._upsample_bilinear2d_aa.default"),
    ],
)
def upsample_antialiased(
    b: Builder, input: Value, output_size: Any, align_corners: bool, scales_h: Any = None, scales_w: Any = None
) -> Value:
    """y[n, c, p, q] = sum(i j: v[p, i]*w[q, j]*x[n, c, i, j]), v and w a filter as wide as an output pixel, of sum 1"""
    axes = _axes(b, input, output_size, [scales_h, scales_w], 2)
    _changes(b, axes)
    n, c, p, q, i, j = b.indices((*b.dims((*input.dims[:2], *(a.out for a in axes))), *input.dims[2:]), [*"ncpqij"])
    width = _TRIANGLE if "bilinear" in b.rule else _KEYS
    v, w = (_filter(b, a, to, of, width, align_corners) for a, to, of in zip(axes, (p, q), (i, j)))
    lines = b.define("lines", (n, c, p, j), summation([i], mul(v, input[n, c, i, j])))
    return b.give((n, c, p, q), summation([j], mul(w, lines[n, c, p, j])))


def _filter(b: Builder, a: _Axis, to: Index, of: Index, width: int, corners: bool) -> Term:
    """The weight of input pixel ``of`` in output pixel ``to``: Pillow's triangle, or Keys' cubic with A = -1/2."""
    step, one = ((a.length - 1) * extreme("min", a.out - 1, 1), extreme("max", a.out - 1, 1)) if corners else a.ratio
    unit = 2 * extreme("max", step, one)  # an output pixel, or an input pixel where that is larger

    def weight(k: Index) -> Term:
        away = (2 * i_poly(to) + 1) * step - (2 * i_poly(k) + 1) * one
        away = extreme("max", away, -away)
        if width == _TRIANGLE:
            return size_of(extreme("max", unit - away, 0))
        u = div(size_of(away), size_of(unit))
        near, far = bracket(">", unit - away), mul(bracket(">=", away - unit), bracket(">", 2 * unit - away))
        return add(mul(near, _near(u, Fraction(-1, 2))), mul(far, _far(u, Fraction(-1, 2))))

    k = b.index(of.size)
    return div(weight(of), summation([k], weight(k)))


@row(
    "aten.pixel_shuffle.default",
    gives="y",
    samples=[sample(floats(2, 12, 3, 5), 2), sample(floats(9, 2, 1), 3), sample(floats(2, 3, 4, 2, 3), 2)],
)
def pixel_shuffle(b: Builder, input: Value, upscale_factor: Any) -> Value:
    """y[n, c, p, q] = x[n, (c*r + p%r)*r + q%r, p//r, q//r]"""
    r = as_poly(upscale_factor)
    *lead, channels, h, w = input.dims
    *n, c, p, q = b.indices(b.dims((*lead, channels // (r * r), h * r, w * r)), [*[""] * len(lead), "c", "p", "q"])
    place = (i_poly(c) * r + i_poly(p) % r) * r + i_poly(q) % r
    return b.give((*n, c, p, q), input[(*n, place, i_poly(p) // r, i_poly(q) // r)])


@row(
    "aten.pixel_unshuffle.default",
    gives="y",
    samples=[sample(floats(2, 3, 6, 4), 2), sample(floats(1, 6, 3), 3)],
)
def pixel_unshuffle(b: Builder, input: Value, downscale_factor: Any) -> Value:
    """y[n, c, p, q] = x[n, c//r^2, p*r + (c//r)%r, q*r + c%r]"""
    r = as_poly(downscale_factor)
    *lead, channels, h, w = input.dims
    *n, c, p, q = b.indices(b.dims((*lead, channels * r * r, h // r, w // r)), [*[""] * len(lead), "c", "p", "q"])
    k = i_poly(c)
    return b.give((*n, c, p, q), input[(*n, k // (r * r), i_poly(p) * r + (k // r) % r, i_poly(q) * r + k % r)])


@row(
    "aten.channel_shuffle.default",
    "aten.native_channel_shuffle.default",
    gives="y",
    samples=[sample(floats(2, 6, 3, 2), 3), sample(floats(2, 4, 3), 2)],
)
def channel_shuffle(b: Builder, input: Value, groups: Any) -> Value:
    """y[n, c, *p] = x[n, (c%g)*(C/g) + c//g, *p]"""
    g = as_poly(groups)
    at = b.indices(input.dims)
    place = (i_poly(at[1]) % g) * (input.dims[1] // g) + i_poly(at[1]) // g
    return b.give(at, input[(at[0], place, *at[2:])])
