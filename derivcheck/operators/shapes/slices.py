"""Parts of a tensor: select, slice, split, diagonals, windows, flips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from derivcheck.notation.integers.atoms import exact_quotient, extreme
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Index, Poly, PolyLike, as_poly, i_poly
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import floats, ints, row, sample
from derivcheck.operators.language.values import Position, Value
from derivcheck.operators.shapes.views import S3, viewed


def whole_position(p: PolyLike, length: Poly) -> Poly:
    """A position counted from the end where it is negative."""
    at = as_poly(p)
    return at + length if nonnegative(-at - 1) else at


@row(
    "aten.select.int",
    samples=[
        sample(floats(2, 3, 5), 1, 2),
        sample(floats(2, 3), 0, -1),
        sample(floats(3), 0, 1),
        sample(ints(2, 3, below=5), 1, 0),
    ],
)
def select(b: Builder, input: Value, dim: int, index: PolyLike) -> Value:
    """z[*n, *m] = x[*n, p, *m]"""
    axis = dim % input.rank
    p = whole_position(index, input.dims[axis])
    b.room(input.dims[axis], -as_poly(index) if nonnegative(-as_poly(index) - 1) else p + 1)
    dims = [*input.dims[:axis], *input.dims[axis + 1 :]]
    return viewed(b, input, dims, lambda at: [*at[:axis], p, *at[axis:]])


class Span(NamedTuple):
    """``length`` positions from ``start`` on."""

    start: Poly
    length: Poly


def sliced(b: Builder, x: Value, axis: int, span: Span, step: int = 1, k: int = 0) -> Value:
    """The positions of a span along an axis, ``step`` apart."""
    dims = [*x.dims[:axis], span.length, *x.dims[axis + 1 :]]
    return viewed(b, x, dims, lambda at: [*at[:axis], span.start + step * i_poly(at[axis]), *at[axis + 1 :]], k)


_FAR = 1 << 40  # x[a:] comes as an end of 2^63 - 1: beyond any length


def bounded(b: Builder, p: Poly, length: Poly) -> tuple[Poly, bool]:
    """A bound of a slice as a position from 0 on, and whether it counts from the end, so that it is within the length.

    Where a size decides, what holds at all sizes traced is required; where it comes out both ways, the position is written so
    that both are right.  A bound below the start is 0.
    """
    if nonnegative(p, 0):
        return p, False
    below = nonnegative(-p - 1) or b.holds(p, "<", 0)
    if not below and (not b.traced or b.holds(p, ">=", 0)):
        b.require(p, ">=", 0)
        return p, False
    if not below:
        return extreme("max", p + length * extreme("min", extreme("max", -p, 0), 1), 0), False
    b.require(p, "<", 0)
    if b.holds(length + p, ">=", 0):
        b.room(length, -p)
        if not nonnegative(length + p, 0):  # at size 0 the last element is none, and not the one before the first
            b.require(length, ">=", -p)
        return length + p, True
    return extreme("max", length + p, 0), True


def slice_range(b: Builder, length: Poly, start: PolyLike | None, end: PolyLike | None, step: int) -> Span:
    """A slice by Python's rules: an end beyond the length is the length."""
    first, _ = bounded(b, as_poly(0 if start is None else start), length)
    whole = end is None or (as_poly(end).constant or 0) >= _FAR
    last, within = (length, True) if whole else bounded(b, as_poly(end or 0), length)
    if within:
        pass
    elif last.constant is None and b.holds(last, "<=", length):
        b.room(length, last)
    elif not nonnegative(length - last, 0) and nonnegative(length - last) and b.holds(last, "<=", length):
        b.require(length, ">=", last)  # x[:1] is a row where there is one
    else:
        last = extreme("min", last, length)
    count = -((first - last) // step)
    if nonnegative(count):
        return Span(first, count)
    if b.holds(count, ">=", 0):
        if b.holds(last, ">=", first):
            b.room(last, first)
        else:
            b.require(count, ">=", 0)
        return Span(first, count)
    return Span(first, extreme("max", count, 0))


@row(
    "aten.slice.Tensor",
    samples=[
        sample(floats(7, 3), 0, 1, 5),
        sample(floats(7, 3), 0, None, -2),
        sample(floats(7, 3), 0, -3, None),
        sample(floats(2, 7), 1, 1, None, 2),
        sample(floats(7), 0, 0, 1 << 62),
        sample(floats(7), 0, 2, 100),
        sample(floats(2, 7), -1, -5, -2),
        sample(ints(7, below=5), 0, 1, 4),
    ],
)
def slice_(
    b: Builder, input: Value, dim: int = 0, start: PolyLike | None = None, end: PolyLike | None = None, step: int = 1
) -> Value:
    """z[*n, i, *m] = x[*n, start + step*i, *m]"""
    axis = dim % input.rank
    return sliced(b, input, axis, slice_range(b, input.dims[axis], start, end, step), step)


@row("aten.narrow.default", samples=[sample(floats(7, 3), 0, 1, 5), sample(floats(2, 7), 1, -3, 2)])
def narrow(b: Builder, input: Value, dim: int, start: PolyLike, length: PolyLike) -> Value:
    """z[*n, i, *m] = x[*n, start + i, *m]"""
    axis = dim % input.rank
    first = whole_position(start, input.dims[axis])
    b.room(input.dims[axis], -as_poly(start) if nonnegative(-as_poly(start) - 1) else first + length)
    return sliced(b, input, axis, Span(first, as_poly(length)))


def _parts(b: Builder, x: Value, axis: int, lengths: Sequence[Poly]) -> tuple[Value, ...]:
    start = as_poly(0)
    out = []
    for k, length in enumerate(lengths):
        out.append(sliced(b, x, axis, Span(start, length), k=k))
        start = start + length
    return tuple(out)


def _even_parts(b: Builder, x: Value, axis: int, each: PolyLike) -> tuple[Value, ...]:
    """Parts of ``each`` positions, the last one with what is left; their number must be known."""
    step, length = as_poly(each), x.dims[axis]
    if b.out_kinds is not None:
        n: int | None = len(b.out_kinds)
    else:
        count = exact_quotient(length, step)
        n = None if count is None else count.constant
        if n is None and length.constant is not None and step.constant:
            n = -(-length.constant // step.constant)
    if n is None:
        b.refuse("into how many parts depends on a size")
    if length is not step * n:  # other sizes have more parts, or fewer
        b.room(length, step * (n - 1) + 1)
        if not _covered(length, step, n):
            b.room(step * n, length)
    return _parts(b, x, axis, [step] * (n - 1) + [length - step * (n - 1)])


def _covered(length: Poly, step: Poly, n: int) -> bool:
    """Whether ``n`` parts of ``step`` surely reach the end: ``step`` is the length over ``n``, rounded up."""
    return step is -(-length // n) or step is (length + n - 1) // n


@row(
    "aten.split.Tensor", "aten.unsafe_split.Tensor", samples=[sample(floats(2, 3), S3, 1), sample(floats(7, 3), 3, fixed=True)]
)
def split(b: Builder, input: Value, split_size: PolyLike, dim: int = 0) -> tuple[Value, ...]:
    """z_t[*n, i, *m] = x[*n, t*size + i, *m]"""
    return _even_parts(b, input, dim % input.rank, split_size)


@row(
    "aten.split_with_sizes.default",
    "aten.split.sizes",
    "aten.unsafe_split_with_sizes.default",
    samples=[sample(floats(7, 3), [2, 5]), sample(floats(2, 7), [1, 2, 4], -1)],
)
def split_with_sizes(b: Builder, input: Value, split_sizes: Sequence[PolyLike], dim: int = 0) -> tuple[Value, ...]:
    """z_t[*n, i, *m] = x[*n, start_t + i, *m]"""
    return _parts(b, input, dim % input.rank, [as_poly(d) for d in split_sizes])


@row(
    "aten.chunk.default",
    "aten.unsafe_chunk.default",
    samples=[sample(floats(2, 3), 1, 1), sample(floats(7, 3), 3, fixed=True), sample(floats(2, 6), 3, 1, fixed=True)],
)
def chunk(b: Builder, input: Value, chunks: int, dim: int = 0) -> tuple[Value, ...]:
    """z_t[*n, i, *m] = x[*n, t*size + i, *m]"""
    axis = dim % input.rank
    return _even_parts(b, input, axis, (input.dims[axis] + chunks - 1) // chunks)


@row(
    "aten.tensor_split.sections",
    "aten.tensor_split.indices",
    "aten.hsplit.int",
    "aten.vsplit.int",
    "aten.dsplit.int",
    "aten.hsplit.array",
    "aten.vsplit.array",
    "aten.dsplit.array",
    samples=[
        sample(floats(7, 3), [2, 5], 0, only="aten.tensor_split.indices"),
        sample(floats(7, 3), 3, only="aten.tensor_split.sections", fixed=True),
        sample(floats(1, 3), 1, 0, only="aten.tensor_split.sections"),
        sample(floats(3, 5), [2], only="aten.vsplit.array"),
        sample(floats(2, 5), [2], only="aten.hsplit.array"),
        sample(floats(2, 3, 5), [2], only="aten.dsplit.array"),
        sample(floats(3, 5), 1, only="aten.vsplit.int"),
        sample(floats(2, 5), 1, only="aten.hsplit.int"),
        sample(floats(2, 3, 5), 1, only="aten.dsplit.int"),
    ],
)
def tensor_split(b: Builder, input: Value, indices_or_sections: Any, dim: int = 0) -> tuple[Value, ...]:
    """z_t[*n, i, *m] = x[*n, start_t + i, *m]"""
    axis = dim % input.rank
    if b.rule in ("hsplit", "vsplit", "dsplit"):
        axis = {"v": 0, "h": min(1, input.rank - 1), "d": 2}[b.rule[0]]
    length = input.dims[axis]
    if isinstance(indices_or_sections, (list, tuple)):
        cuts = [None, *indices_or_sections, None]
        spans = [slice_range(b, length, p, q, 1) for p, q in zip(cuts, cuts[1:])]
        return tuple(sliced(b, input, axis, span, k=k) for k, span in enumerate(spans))
    n = as_poly(indices_or_sections).constant
    if n is None:
        b.refuse("into how many parts depends on a size")
    sizes = [(length + (n - 1 - k)) // n for k in range(n)]
    return _parts(b, input, axis, sizes)


@row("aten.unbind.int", samples=[sample(floats(3, 2), fixed=True), sample(floats(2, 3), -1, fixed=True)])
def unbind(b: Builder, input: Value, dim: int = 0) -> tuple[Value, ...]:
    """z_t[*n, *m] = x[*n, t, *m]"""
    axis = dim % input.rank
    n = len(b.out_kinds) if b.out_kinds is not None else input.dims[axis].constant
    if n is None:
        b.refuse("into how many parts depends on a size")
    b.require(input.dims[axis], "==", n)
    dims = [*input.dims[:axis], *input.dims[axis + 1 :]]
    return tuple(viewed(b, input, dims, lambda at, t=t: [*at[:axis], t, *at[axis:]], t) for t in range(n))  # type: ignore[misc]


def beside(offset: PolyLike) -> tuple[Poly, Poly]:
    """How far below and to the right of the corner a diagonal starts."""
    k = as_poly(offset)
    return extreme("max", 0, -k), extreme("max", 0, k)


@row(
    "aten.diagonal.default",
    "aten.linalg_diagonal.default",
    samples=[
        sample(floats(3, 3), only="aten.diagonal.default"),
        sample(floats(3, 5), 1, only="aten.diagonal.default"),
        sample(floats(5, 3), -1, only="aten.diagonal.default"),
        sample(floats(2, 3, 3), 0, 1, 2, only="aten.diagonal.default"),
        sample(floats(2, 3, 3), only="aten.linalg_diagonal.default"),
    ],
)
def diagonal(b: Builder, input: Value, offset: PolyLike = 0, dim1: int | None = None, dim2: int | None = None) -> Value:
    """z[*n, i] = x[*n, i, i + offset]"""
    first, second = (0, 1) if b.rule == "diagonal" else (-2, -1)
    one = (first if dim1 is None else dim1) % input.rank
    two = (second if dim2 is None else dim2) % input.rank
    up, down = beside(offset)
    rest = [a for a in range(input.rank) if a not in (one, two)]
    length = extreme("min", input.dims[one] - up, input.dims[two] - down)

    def positions(at: tuple[Index, ...]) -> list[Position]:
        places: dict[int, Position] = dict(zip(rest, at))
        places[one], places[two] = i_poly(at[-1]) + up, i_poly(at[-1]) + down
        return [places[a] for a in range(input.rank)]

    return viewed(b, input, [*(input.dims[a] for a in rest), extreme("max", length, 0)], positions)


@row(
    "aten.unfold.default",
    samples=[
        sample(floats(7), 0, 3, 2),
        sample(floats(2, 7, 3), 1, 2, 1),
        sample(floats(7), 0, 3, 1),
        sample(floats(), 0, 1, 1),
    ],
)
def unfold(b: Builder, input: Value, dimension: int, size: PolyLike, step: PolyLike) -> Value:
    """z[*n, w, *m, s] = x[*n, w*step + s, *m]"""
    if not input.rank:
        return viewed(b, input, [as_poly(size)], lambda at: [])
    axis = dimension % input.rank
    b.room(input.dims[axis], size)
    dims = list(input.dims)
    dims[axis] = (dims[axis] - size) // step + 1

    def positions(at: tuple[Index, ...]) -> list[Position]:
        return [*at[:axis], i_poly(at[axis]) * step + i_poly(at[-1]), *at[axis + 1 : -1]]

    return viewed(b, input, [*dims, as_poly(size)], positions)


@row("aten.flip.default", samples=[sample(floats(2, 3, 5), [0, 2]), sample(floats(3), [-1]), sample(floats(), [0])])
def flip(b: Builder, input: Value, dims: Sequence[int]) -> Value:
    """z[i] = x[N - 1 - i]"""
    turned = {d % input.rank for d in dims if input.rank}
    return viewed(b, input, input.dims, lambda at: [i.size - 1 - i_poly(i) if a in turned else i for a, i in enumerate(at)])


@row("aten.fliplr.default", "aten.flipud.default", samples=[sample(floats(2, 3))])
def fliplr(b: Builder, input: Value) -> Value:
    """z[i, j] = x[i, J - 1 - j], or x[I - 1 - i, j]"""
    return flip(b, input, [1 if b.rule == "fliplr" else 0])


@row("aten.rot90.default", samples=[sample(floats(2, 3, 5), k, [0, 2]) for k in (0, 1, 2, 3, -1)])
def rot90(b: Builder, input: Value, k: int = 1, dims: Sequence[int] = (0, 1)) -> Value:
    """z[i, j] = x[j, J - 1 - i], turned k times"""
    one, two = dims[0] % input.rank, dims[1] % input.rank
    turns = k % 4
    sizes = list(input.dims)
    if turns % 2:
        sizes[one], sizes[two] = sizes[two], sizes[one]

    def positions(at: tuple[Index, ...]) -> list[Position]:
        places: list[Position] = list(at)
        i, j = at[one], at[two]
        back_i, back_j = i.size - 1 - i_poly(i), j.size - 1 - i_poly(j)
        turned: list[tuple[Position, Position]] = [(i, j), (j, back_i), (back_i, back_j), (back_j, i)]
        places[one], places[two] = turned[turns]
        return places

    return viewed(b, input, sizes, positions)
