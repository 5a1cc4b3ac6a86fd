"""Convolutions in any number of dimensions, plain and transposed: a sum over the kernel at shifted positions.

Padding and strides are positions ``s*p + d*u - pad`` with a bracket where they can leave the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from derivcheck.derivation.positions import solve
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.notation.program.definitions import Spelling
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import ONE, add, mul
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.substitute import summation
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import floats, row, sample
from derivcheck.operators.language.values import Value, within

_LETTERS = ("uvw", "pqr")


def _each(value: Any, rank: int) -> list[Any]:
    """One integer per spatial dimension."""
    given = list(value) if isinstance(value, (list, tuple)) else [value]
    return given * rank if len(given) == 1 else given


def _guard(place: Poly, length: Poly, pad: Any) -> Term:
    """The bracket that keeps a position inside the input; without padding it cannot leave."""
    return ONE if as_poly(pad).constant == 0 else within(place, length)


def _literal(*values: Any) -> bool:
    return all(as_poly(v).constant is not None for group in values for v in (group if isinstance(group, list) else [group]))


def _tuple(values: Sequence[Any]) -> str:
    return f"({', '.join(str(as_poly(v)) for v in values)}{',' if len(values) == 1 else ''})"


def _call(b: Builder, name: str, x: Value, w: Value, bias: Value | None, options: str) -> Spelling | None:
    """torch's own call."""
    operands = (x, w) if bias is None else (x, w, bias)
    slots = "{}, {}, None" if bias is None else "{}, {}, {}"
    return b.spell(f"torch.nn.functional.{name}({slots}, {options})", *operands)


@dataclass(frozen=True)
class KernelMoves:
    """Where a kernel goes over its input, each a number or one for each spatial dimension.

    Attributes:
        padding: of a plain convolution also ``valid`` or ``same``.
        extra: what a transposed convolution puts at the end of its output.
    """

    stride: Any
    padding: Any
    dilation: Any
    groups: Any
    extra: Any = 0


def _convolution(b: Builder, x: Value, w: Value, bias: Value | None, moves: KernelMoves) -> Value:
    """A sum over channels and kernel at strided positions, zero outside."""
    rank, padding, groups = w.rank - 2, moves.padding, moves.groups
    s, d = _each(moves.stride, rank), _each(moves.dilation, rank)
    kernel = w.dims[2:]
    if isinstance(padding, str):
        pads: list[Any] = [0] * rank if padding == "valid" else [(as_poly(a) * (k - 1)) // 2 for a, k in zip(d, kernel)]
        spelled_padding = f"'{padding}'"
    else:
        pads = _each(padding, rank)
        spelled_padding = _tuple(pads) if _literal(pads) else ""
    batch, space = x.dims[: x.rank - rank - 1], x.dims[x.rank - rank :]
    same = isinstance(padding, str) and padding == "same"
    out = [
        size if same else (size + 2 * as_poly(p) - as_poly(a) * (k - 1) - 1) // as_poly(t) + 1
        for size, k, t, p, a in zip(space, kernel, s, pads, d)
    ]
    at = b.indices(b.dims((*batch, w.dims[0], *out)), ["n"] * len(batch) + ["o"] + list(_LETTERS[1][:rank]))
    n, o, p = at[: len(batch)], at[len(batch)], at[len(batch) + 1 :]
    c = b.index(w.dims[1], "c")
    u = b.indices(kernel, list(_LETTERS[0][:rank]))
    places = [as_poly(t) * pi + as_poly(a) * ui - pad for t, a, pad, pi, ui in zip(s, d, pads, map(i_poly, p), map(i_poly, u))]
    guards = [_guard(q, size, pad) for q, size, pad in zip(places, space, pads)]
    channel: Any = c
    if as_poly(groups).constant != 1:
        channel = (i_poly(o) // (w.dims[0] // as_poly(groups))) * w.dims[1] + i_poly(c)
    term = summation([c, *u], mul(*guards, x[(*n, channel, *places)], w[(o, c, *u)]))
    spelling = None
    if spelled_padding and _literal(s, d, groups):
        options = f"stride={_tuple(s)}, padding={spelled_padding}, dilation={_tuple(d)}, groups={as_poly(groups)}"
        spelling = _call(b, f"conv{rank}d", x, w, bias, options)
    return b.give(at, term if bias is None else add(term, bias[o]), spelling=spelling)


def _transposed(b: Builder, x: Value, w: Value, bias: Value | None, moves: KernelMoves) -> Value:
    """Each input element into the places that the kernel reaches from it: a sum with solved positions."""
    rank, groups = w.rank - 2, moves.groups
    s, d, pads, more = (_each(v, rank) for v in (moves.stride, moves.dilation, moves.padding, moves.extra))
    batch, space, kernel = x.dims[: x.rank - rank - 1], x.dims[x.rank - rank :], w.dims[2:]
    out = [
        (size - 1) * as_poly(t) - 2 * as_poly(p) + as_poly(a) * (k - 1) + as_poly(e) + 1
        for size, k, t, p, a, e in zip(space, kernel, s, pads, d, more)
    ]
    g = as_poly(groups)
    at = b.indices(b.dims((*batch, w.dims[1] * g, *out)), ["n"] * len(batch) + ["o"] + list(_LETTERS[1][:rank]))
    n, o, q = at[: len(batch)], at[len(batch)], at[len(batch) + 1 :]
    c = b.index(w.dims[0] // g, "c")
    i = b.indices(space, list("ijk"[:rank]))
    u = b.indices(kernel, list(_LETTERS[0][:rank]))
    places = [as_poly(t) * ii + as_poly(a) * ui - pad for t, a, pad, ii, ui in zip(s, d, pads, map(i_poly, i), map(i_poly, u))]
    row_, column = i_poly(c), i_poly(o)
    if g.constant != 1:
        row_ = (i_poly(o) // w.dims[1]) * (w.dims[0] // g) + i_poly(c)
        column = i_poly(o) % w.dims[1]
    body = mul(x[(*n, row_, *i)], w[(row_, column, *u)])
    term = summation([c], solve(q, places, [*i, *u], body))
    spelling = None
    if _literal(s, d, pads, more, groups):
        options = f"stride={_tuple(s)}, padding={_tuple(pads)}, output_padding={_tuple(more)}, "
        spelling = _call(b, f"conv_transpose{rank}d", x, w, bias, f"{options}groups={g}, dilation={_tuple(d)}")
    return b.give(at, term if bias is None else add(term, bias[o]), spelling=spelling)


_FORMS: list[dict[str, Any]] = [
    {},
    {"stride": [2]},
    {"padding": [1]},
    {"stride": [2], "padding": [1], "dilation": [2]},
    {"dilation": [2]},
    {"stride": [3], "padding": [2]},
]


@row(
    "aten.conv1d.default",
    "aten.conv1d.padding",
    "aten.conv2d.default",
    "aten.conv2d.padding",
    "aten.conv3d.default",
    "aten.conv3d.padding",
    gives="y",
    samples=[
        *(sample(floats(2, 3, 11), floats(5, 3, 3), floats(5), only="aten.conv1d.default", **f) for f in _FORMS),
        sample(floats(3, 7), floats(5, 3, 2), only="aten.conv1d.default"),
        sample(floats(2, 6, 7), floats(4, 3, 2), groups=2, only="aten.conv1d.default"),
        sample(floats(2, 3, 7), floats(6, 1, 3), groups=3, padding=[1], only="aten.conv1d.default"),
        *(sample(floats(2, 3, 7, 8), floats(5, 3, 3, 2), floats(5), only="aten.conv2d.default", **f) for f in _FORMS),
        sample(floats(1, 4, 5, 5), floats(6, 2, 3, 3), stride=[2, 1], padding=[1, 0], groups=2, only="aten.conv2d.default"),
        sample(floats(3, 5, 4), floats(2, 3, 1, 1), only="aten.conv2d.default"),
        sample(floats(1, 2, 4, 5, 3), floats(3, 2, 2, 3, 2), floats(3), padding=[1], stride=[2], only="aten.conv3d.default"),
        sample(floats(2, 3, 7), floats(5, 3, 3), padding="same", only="aten.conv1d.padding"),
        sample(floats(2, 3, 7), floats(5, 3, 4), padding="same", dilation=[2], only="aten.conv1d.padding"),
        sample(floats(2, 3, 7, 6), floats(5, 3, 3, 2), floats(5), padding="valid", only="aten.conv2d.padding"),
        sample(floats(1, 2, 4, 5, 3), floats(3, 2, 2, 3, 2), padding="same", only="aten.conv3d.padding"),
    ],
)
def conv(
    b: Builder,
    input: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
) -> Value:
    """y[n, o, *p] = sum(c, *u: x[n, c, s*p + d*u - pad]*w[o, c, *u]) + b[o], x zero outside"""
    return _convolution(b, input, weight, bias, KernelMoves(stride, padding, dilation, groups))


@row(
    "aten.conv_transpose1d.default",
    "aten.conv_transpose2d.input",
    "aten.conv_transpose3d.input",
    gives="y",
    samples=[
        *(sample(floats(2, 3, 5), floats(3, 4, 3), floats(4), only="aten.conv_transpose1d.default", **f) for f in _FORMS),
        sample(
            floats(2, 3, 5), floats(3, 4, 3), stride=[3], padding=[1], output_padding=[2], only="aten.conv_transpose1d.default"
        ),
        sample(floats(2, 4, 5), floats(4, 3, 2), groups=2, stride=[2], only="aten.conv_transpose1d.default"),
        sample(floats(2, 3, 4, 3), floats(3, 2, 2, 3), floats(2), stride=[2], only="aten.conv_transpose2d.input"),
        sample(floats(3, 4, 3), floats(3, 2, 2, 3), padding=[1], only="aten.conv_transpose2d.input"),
        sample(floats(1, 2, 2, 3, 2), floats(2, 3, 2, 2, 2), stride=[2], only="aten.conv_transpose3d.input"),
    ],
)
def conv_transpose(
    b: Builder,
    input: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: Any = 1,
    dilation: Any = 1,
) -> Value:
    """y[n, o, *q] = sum(c, *i, *u: [q = s*i + d*u - pad]*x[n, c, *i]*w[c, o, *u]) + b[o]"""
    return _transposed(b, input, weight, bias, KernelMoves(stride, padding, dilation, groups, output_padding))


@row(
    "aten.convolution.default",
    gives="y",
    samples=[
        sample(floats(2, 3, 7), floats(5, 3, 3), floats(5), [2], [1], [1], False, [0], 1),
        sample(floats(2, 3, 5), floats(3, 4, 3), None, [2], [1], [1], True, [1], 1),
    ],
)
def convolution(
    b: Builder,
    input: Value,
    weight: Value,
    bias: Value | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: Any,
) -> Value:
    """y = conv(x, w, b), or its transpose"""
    means = _transposed if transposed else _convolution
    return means(b, input, weight, bias, KernelMoves(stride, padding, dilation, groups, output_padding))


@row("aten.conv_tbc.default", gives="y", samples=[sample(floats(5, 2, 3), floats(3, 3, 4), floats(4), 1)])
def conv_tbc(b: Builder, input: Value, weight: Value, bias: Value, pad: Any = 0) -> Value:
    """y[t, n, o] = sum(u, c: x[t + u - pad, n, c]*w[u, c, o]) + b[o]"""
    length = input.dims[0] + 2 * as_poly(pad) - weight.dims[0] + 1
    t, n, o = b.indices(b.dims((length, input.dims[1], weight.dims[2])), ["t", "n", "o"])
    u, c = b.indices(weight.dims[:2], ["u", "c"])
    place = i_poly(t) + i_poly(u) - as_poly(pad)
    term = summation([u, c], mul(_guard(place, input.dims[0], pad), input[place, n, c], weight[u, c, o]))
    spelling = b.torch(f"torch.conv_tbc({{}}, {{}}, {{}}, {pad})", input, weight, bias) if isinstance(pad, int) else None
    return b.give((t, n, o), add(term, bias[o]), spelling=spelling)


def unfolded(
    b: Builder, x: Value, kernel: Sequence[Any], dilation: Sequence[Any], padding: Sequence[Any], stride: Sequence[Any]
) -> Value:
    """Sliding blocks of an image: y[n, (c, u, v), (p, q)] = x[n, c, s*p + d*u - pad, …]."""
    k = [as_poly(v) for v in kernel]
    lead = x.dims[:-3]
    channels, space = x.dims[-3], x.dims[-2:]
    blocks = [
        (h + 2 * as_poly(p) - as_poly(d) * (ki - 1) - 1) // as_poly(s) + 1
        for h, ki, d, p, s in zip(space, k, dilation, padding, stride)
    ]
    for h, ki, d, p in zip(space, k, dilation, padding):
        b.room(h + 2 * as_poly(p), as_poly(d) * (ki - 1) + 1)
    *n, f, block = b.indices(b.dims((*lead, channels * k[0] * k[1], blocks[0] * blocks[1])), ["n"] * len(lead) + ["f", "l"])
    c = i_poly(f) // (k[0] * k[1])
    u = [(i_poly(f) // k[1]) % k[0], i_poly(f) % k[1]]
    p = [i_poly(block) // blocks[1], i_poly(block) % blocks[1]]
    places = [as_poly(s) * pi + as_poly(d) * ui - pad for s, d, pad, pi, ui in zip(stride, dilation, padding, p, u)]
    guards: list[Term] = []
    for q, h, pad in zip(places, space, padding):
        guards.append(_guard(q, h, pad))
    return b.give((*n, f, block), mul(*guards, x[(*n, c, *places)]))


@row(
    "aten.im2col.default",
    gives="y",
    samples=[
        sample(floats(2, 3, 5, 4), [2, 3], [1, 1], [0, 0], [1, 1]),
        sample(floats(3, 5, 4), [2, 2], [2, 1], [1, 0], [2, 1]),
    ],
)
def im2col(b: Builder, input: Value, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Value:
    """y[n, (c, u, v), (p, q)] = x[n, c, s*p + d*u - pad, s*q + d*v - pad], x zero outside"""
    return unfolded(b, input, *(_each(v, 2) for v in (kernel_size, dilation, padding, stride)))


@row(
    "aten.col2im.default",
    gives="y",
    samples=[
        sample(floats(2, 18, 8), [5, 4], [2, 3], [1, 1], [0, 0], [1, 1]),
        sample(floats(12, 9), [5, 4], [2, 2], [2, 1], [1, 0], [2, 1]),
    ],
)
def col2im(b: Builder, input: Value, output_size: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Value:
    """y[n, c, a, b] = the sum of x over the blocks that cover (a, b)"""
    k, d, pads, s, out = (
        [as_poly(v) for v in _each(group, 2)] for group in (kernel_size, dilation, padding, stride, output_size)
    )
    lead = input.dims[:-2]
    blocks = [(h + 2 * p - a * (ki - 1) - 1) // t + 1 for h, ki, a, p, t in zip(out, k, d, pads, s)]
    channels = input.dims[-2] // (k[0] * k[1])
    *n, c, q0, q1 = b.indices(b.dims((*lead, channels, *out)), ["n"] * len(lead) + ["c", "p", "q"])
    u = b.indices(k, ["u", "v"])
    p: tuple[Index, ...] = b.indices(blocks, ["i", "j"])
    places = [t * i_poly(pi) + a * i_poly(ui) - pad for t, a, pad, pi, ui in zip(s, d, pads, p, u)]
    row_ = (i_poly(c) * k[0] + i_poly(u[0])) * k[1] + i_poly(u[1])
    each = (*n, c, *u, *p)
    body = b.define("blocks", each, input[(*n, row_, i_poly(p[0]) * blocks[1] + i_poly(p[1]))])[each]
    deltas = [bracket("==", i_poly(q) - place) for q, place in zip((q0, q1), places)]
    numbers = [tuple(v.constant for v in given) for given in (out, k, d, pads, s)]
    call = f"torch.nn.functional.fold({{}}, {', '.join(map(str, numbers))})"
    spelling = b.torch(call, input) if not any(None in given for given in numbers) else None
    whole = solve((q0, q1), places, [*p, *u], body)
    if any(t.constant != 1 for t in s):
        whole = summation([*p, *u], mul(*deltas, body))
    return b.give((*n, c, q0, q1), whole, spelling=spelling)
