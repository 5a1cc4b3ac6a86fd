"""Cat, stack, repeat, roll, triangles: elements selected by brackets on their positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from derivcheck.notation.integers.atoms import extreme
from derivcheck.notation.integers.bounds import nonnegative, numel
from derivcheck.notation.integers.polynomials import Index, Poly, PolyLike, as_poly, i_poly
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import add, mul
from derivcheck.notation.terms.nodes import Term
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import bools, floats, ints, row, sample
from derivcheck.operators.language.values import Position, Value, is_one, promoted, spread, within
from derivcheck.operators.shapes.reshapes import digits, reshaped
from derivcheck.operators.shapes.slices import beside
from derivcheck.operators.shapes.slices import diagonal as diagonal_of
from derivcheck.operators.shapes.views import S3, viewed


def joined(b: Builder, tensors: Sequence[Value], axis: int) -> Value:
    """Tensors one after the other along a dimension: ``Σ_t [start_t ≤ k < start_t + K_t]·x_t[k − start_t]``."""
    parts = [t for t in tensors if not (t.rank == 1 and t.dims[0].constant == 0)] or list(tensors[:1])
    dims = list(parts[0].dims)
    total = as_poly(0)
    for t in parts:
        total = total + t.dims[axis]
    dims[axis] = total
    at = b.indices(b.dims(dims))
    k = i_poly(at[axis])
    start = as_poly(0)
    terms: list[Term] = []
    for n, t in enumerate(parts):
        places: list[Position] = list(at)
        places[axis] = as_poly(0) if is_one(t.dims[axis]) else k - start
        stop = start + t.dims[axis]
        inside = mul(
            *([] if n == 0 else [bracket(">=", k - start)]), *([] if n == len(parts) - 1 else [bracket(">=", stop - 1 - k)])
        )
        terms.append(mul(inside, t[tuple(places)]))
        start = stop
    kind = promoted(*parts)
    if kind == "bool":  # a truth value: one of disjoint conditions
        return b.give(at, bracket("!=", add(*terms)), kind="bool")
    return b.give(at, add(*terms), kind=kind)


@row(
    "aten.cat.default",
    "aten.concat.default",
    "aten.concatenate.default",
    samples=[
        sample([floats(2, 3), floats(5, 3)]),
        sample([floats(2, 3), floats(2, 5), floats(2, 1)], -1),
        sample([floats(3)]),
        sample([floats(2, 3), floats(2, 3)], 1),
        sample([ints(2, below=5), ints(3, below=5)]),
        sample([bools(2), bools(3)]),
    ],
)
def cat(b: Builder, tensors: Sequence[Value], dim: int = 0) -> Value:
    """z[*n, k, *m] = x[*n, k, *m] where k < K, else y[*n, k - K, *m]"""
    return joined(b, tensors, dim % max(1, max(t.rank for t in tensors)))


def stacked(b: Builder, tensors: Sequence[Value], axis: int) -> Value:
    """Tensors along a new dimension: ``Σ_t [k = t]·x_t``."""
    dims = [*tensors[0].dims[:axis], as_poly(len(tensors)), *tensors[0].dims[axis:]]
    at = b.indices(b.dims(dims))
    rest = (*at[:axis], *at[axis + 1 :])
    kind = promoted(*tensors)
    term = add(*(mul(bracket("==", i_poly(at[axis]) - t), x[rest]) for t, x in enumerate(tensors)))
    return b.give(at, bracket("!=", term) if kind == "bool" else term, kind=kind)


@row(
    "aten.stack.default",
    samples=[
        sample([floats(2, 3), floats(2, 3)]),
        sample([floats(2, 3)] * 3, 1),
        sample([floats(2), floats(2)], -1),
        sample([floats(), floats()]),
    ],
)
def stack(b: Builder, tensors: Sequence[Value], dim: int = 0) -> Value:
    """z[*n, t, *m] = x_t[*n, *m]"""
    return stacked(b, tensors, dim % (tensors[0].rank + 1))


@row(
    "aten.hstack.default",
    "aten.vstack.default",
    "aten.dstack.default",
    "aten.row_stack.default",
    samples=[
        sample([floats(2, 3), floats(2, 3)]),
        *(sample([floats(3), floats(3)], only=f"aten.{n}.default") for n in ("hstack", "vstack", "row_stack")),
        sample([floats(2, 3, 5)] * 2),
        *(sample([floats(n), floats(n)] if n else [floats(), floats()], only="aten.dstack.default") for n in (3, 0)),
        sample([floats(2, 3)] * 2, only="aten.dstack.default"),
        sample([floats(3), floats(2, 3)], only="aten.vstack.default"),
        sample([floats(), floats()], only="aten.vstack.default"),
    ],
)
def hstack(b: Builder, tensors: Sequence[Value]) -> Value:
    """z[*n, k, *m] = x[*n, k, *m] where k < K, else y[*n, k - K, *m]"""
    rank = tensors[0].rank
    if b.rule == "hstack":
        return joined(b, tensors, 0 if rank <= 1 else 1) if rank else stacked(b, tensors, 0)
    if b.rule in ("vstack", "row_stack"):
        return joined(b, [_at_least(t, 2) for t in tensors], 0)
    return joined(b, [_at_least(t, 3) for t in tensors], 2)


def _at_least(x: Value, rank: int) -> Value:
    """The tensor with dimensions of size 1 added, as ``atleast_2d`` and ``atleast_3d`` add them; it melts into its use."""
    if x.rank >= rank:
        return x
    after = 1 if rank == 3 and x.rank else 0
    before = rank - x.rank - after
    dims = (*[as_poly(1)] * before, *x.dims, *[as_poly(1)] * after)
    at = tuple(Index(f"i{k}", d, 9) for k, d in enumerate(dims))
    return Value(x.name, dims, x.kind, (at, x[at[before : before + x.rank]]))


@row(
    "aten.column_stack.default",
    samples=[sample([floats(3), floats(3)]), sample([floats(3, 2), floats(3, 5)]), sample([floats(3), floats(3, 5)])],
)
def column_stack(b: Builder, tensors: Sequence[Value]) -> Value:
    """z[n, t] = x_t[n]"""
    return joined(b, [t if t.rank > 1 else _column(t) for t in tensors], 1)


def _column(x: Value) -> Value:
    dims = (x.dims[0] if x.rank else as_poly(1), as_poly(1))
    at = tuple(Index(f"i{k}", d, 9) for k, d in enumerate(dims))
    return Value(x.name, dims, x.kind, (at, x[at[: x.rank]]))


@row("aten.block_diag.default", samples=[sample([floats(2, 3), floats(5, 7)]), sample([floats(3), floats(2, 5), floats()])])
def block_diag(b: Builder, tensors: Sequence[Value]) -> Value:
    """z[i, j] = x_t[i - row_t, j - column_t], 0 outside the blocks"""
    tensors = [_at_least(t, 2) for t in tensors]
    rows, columns = as_poly(0), as_poly(0)
    for t in tensors:
        rows, columns = rows + t.dims[0], columns + t.dims[1]
    i, j = b.indices(b.dims((rows, columns)))
    rows, columns = as_poly(0), as_poly(0)
    terms = []
    for t in tensors:
        p, q = i_poly(i) - rows, i_poly(j) - columns
        terms.append(mul(within(p, t.dims[0]), within(q, t.dims[1]), t[p, q]))
        rows, columns = rows + t.dims[0], columns + t.dims[1]
    return b.give((i, j), add(*terms))


@row(
    "aten.meshgrid.default",
    "aten.meshgrid.indexing",
    samples=[
        sample([floats(2), floats(3)], only="aten.meshgrid.default"),
        sample([floats(2), floats(3), floats(5)], indexing="xy", only="aten.meshgrid.indexing"),
    ],
)
def meshgrid(b: Builder, tensors: Sequence[Value], *, indexing: str = "ij") -> tuple[Value, ...]:
    """z_t[i, j] = x_t[i] for the first, x_t[j] for the second"""
    axes = list(range(len(tensors)))
    if indexing == "xy" and len(axes) > 1:
        axes[0], axes[1] = 1, 0
    dims = [tensors[axes.index(a)].dims[0] if tensors[axes.index(a)].rank else as_poly(1) for a in range(len(axes))]
    return tuple(
        viewed(b, t, dims, lambda at, t=t, a=a: [at[a]] if t.rank else [], k)  # type: ignore[misc]
        for k, (t, a) in enumerate(zip(tensors, axes))
    )


# -- copies ---------------------------------------------------------------------------
def repeated(b: Builder, x: Value, times: Sequence[PolyLike]) -> Value:
    """Copies along each dimension, first as dimensions of their own, then merged."""
    counts = [as_poly(t) for t in times]
    lead = len(counts) - x.rank
    dims = [*[as_poly(1)] * lead, *x.dims]
    if all(is_one(c) or is_one(d) for c, d in zip(counts, dims)):
        shape = [c if is_one(d) else d for c, d in zip(counts, dims)]
        return viewed(b, x, shape, lambda at: spread(x.dims, at))
    wide = [d for c, e in zip(counts, dims) for d in ((c, e) if not is_one(c) else (e,))]
    own = [k for k, d in enumerate(d for c in counts for d in (("copy", "own") if not is_one(c) else ("own",))) if d == "own"]
    at = b.indices(wide)
    copies = b.define("copies", at, x[spread(x.dims, [at[k] for k in own])], kind=x.kind)
    return reshaped(b, copies, [c * d for c, d in zip(counts, dims)])


@row(
    "aten.repeat.default",
    "aten.tile.default",
    samples=[
        sample(floats(2, 3), [2, 1]),
        sample(floats(2, 3), [3, 2, 2]),
        sample(floats(3), [2, 1]),
        sample(floats(1, 3), [5, 1]),
        sample(floats(2, 3), [2, S3]),
    ],
)
def repeat(b: Builder, input: Value, repeats: Sequence[PolyLike]) -> Value:
    """z[r*N + n] = x[n]"""
    times = list(repeats)
    return repeated(b, input, [1] * (input.rank - len(times)) + times)


@row(
    "aten.repeat_interleave.self_int", samples=[sample(floats(2, 3), 2, 1), sample(floats(2, 3), 3, 0), sample(floats(2, 3), 2)]
)
def repeat_interleave(b: Builder, input: Value, repeats: PolyLike, dim: int | None = None, *, output_size: Any = None) -> Value:
    """z[n*R + r] = x[n]"""
    x = input if dim is not None else _flattened(b, input)
    axis = 0 if dim is None else dim % x.rank
    at = b.indices([*x.dims[: axis + 1], as_poly(repeats), *x.dims[axis + 1 :]])
    copies = b.define("copies", at, x[(*at[: axis + 1], *at[axis + 2 :])], kind=x.kind)
    return reshaped(b, copies, [*x.dims[:axis], x.dims[axis] * repeats, *x.dims[axis + 1 :]])


def _flattened(b: Builder, x: Value) -> Value:
    if x.rank == 1:
        return x
    i = b.index(numel(x.dims))
    return b.define("flat", (i,), x[tuple(digits(i_poly(i), x.dims))], kind=x.kind)


# -- shifts and triangles ------------------------------------------------------------------
def _within_one_turn(b: Builder, by: Poly, length: Poly) -> Poly:
    """A shift as one between 0 and the length: where all sizes traced have it so, that is required; else it is a remainder."""
    if by.constant is not None and length.constant:
        return as_poly(by.constant % length.constant)
    forward = nonnegative(by, 0) or by.constant is None and b.holds(by, ">=", 0)
    turn = by if forward else -by
    if b.traced and not (b.holds(turn, ">=", 0) and b.holds(turn, "<=", length)):
        if not b.holds(length, ">=", 1):  # of nothing, the example
            return by % extreme("max", length, 1)
        b.require(length, ">=", 1)
        return by % length
    if not nonnegative(turn, 0):
        b.require(turn, ">=", 0)
    if turn is not as_poly(1):
        b.room(length, turn)
    return turn if forward else length - turn


def _rolled(b: Builder, x: Value, axis: int, shift: PolyLike, last: bool) -> Value:
    """One dimension turned by ``shift``; ``last``: it is the result."""
    length = x.dims[axis]
    by = _within_one_turn(b, as_poly(shift), length)
    at = b.indices(b.dims(x.dims) if last else x.dims)
    k = i_poly(at[axis])

    def moved(p: Poly) -> Term:
        return x[(*at[:axis], p, *at[axis + 1 :])]

    term = add(mul(bracket(">=", k - by), moved(k - by)), mul(bracket("<", k - by), moved(k - by + length)))
    return b.give(at, term, kind=x.kind) if last else b.define("rolled", at, term, kind=x.kind)


@row(
    "aten.roll.default",
    samples=[
        sample(floats(5, 3), [2], [0]),
        sample(floats(5, 3), [-1], [1]),
        sample(floats(5, 3), [2, -1], [0, 1]),
        sample(floats(2, 3), [2]),
        sample(floats(5), [0], [0]),
    ],
)
def roll(b: Builder, input: Value, shifts: Any, dims: Any = ()) -> Value:
    """z[i] = x[i - shift], positions modulo N"""
    by = list(shifts) if isinstance(shifts, (list, tuple)) else [shifts]
    axes = [dims] if isinstance(dims, int) else list(dims)
    if not axes:
        return reshaped(b, _rolled(b, _flattened(b, input), 0, by[0], False), input.dims)
    x = input
    for n, (s, a) in enumerate(zip(by, axes)):
        x = _rolled(b, x, a % input.rank, s, n == len(axes) - 1)
    return x


def _triangle(b: Builder, x: Value, diagonal: PolyLike, lower: bool) -> Value:
    at = b.indices(b.dims(x.dims))
    offset = i_poly(at[-2]) - i_poly(at[-1]) + diagonal
    return b.give(at, mul(bracket(">=" if lower else "<=", offset), x[at]), kind=x.kind)


_TRIANGLES = [sample(floats(3, 5)), sample(floats(2, 5, 3), 1), sample(floats(5, 3), -1), sample(bools(3, 5))]


@row("aten.tril.default", samples=_TRIANGLES)
def tril(b: Builder, input: Value, diagonal: PolyLike = 0) -> Value:
    """z[*n, i, j] = [j <= i + diagonal]*x[*n, i, j]"""
    return _triangle(b, input, diagonal, True)


@row("aten.triu.default", samples=_TRIANGLES)
def triu(b: Builder, input: Value, diagonal: PolyLike = 0) -> Value:
    """z[*n, i, j] = [j >= i + diagonal]*x[*n, i, j]"""
    return _triangle(b, input, diagonal, False)


@row(
    "aten.diag_embed.default",
    samples=[sample(floats(2, 3)), sample(floats(3), 1), sample(floats(2, 3), -1), sample(floats(2, 3), 0, 0, 2)],
)
def diag_embed(b: Builder, input: Value, offset: PolyLike = 0, dim1: int = -2, dim2: int = -1) -> Value:
    """z[*n, i, j] = [j = i + offset]*x[*n, i]"""
    rank = input.rank + 1
    one, two = dim1 % rank, dim2 % rank
    up, down = beside(offset)
    size = input.dims[-1] + up + down
    rest = iter(input.dims[:-1])
    dims = [size if a in (one, two) else next(rest) for a in range(rank)]
    at = b.indices(b.dims(dims))
    i, j = i_poly(at[one]), i_poly(at[two])
    n = [at[a] for a in range(rank) if a not in (one, two)]
    place = i - up if down.constant != 0 or up.constant == 0 else j
    inside = within(place, input.dims[-1]) if as_poly(offset).constant != 0 else mul()
    return b.give(at, mul(bracket("==", j - i - offset), inside, input[(*n, place)]), kind=input.kind)


@row("aten.diag.default", samples=[sample(floats(3)), sample(floats(3), 1), sample(floats(3, 3)), sample(floats(3, 5), 1)])
def diag(b: Builder, input: Value, diagonal: int = 0) -> Value:
    """z[i, j] = [j = i + k]*x[i] of a vector; z[i] = x[i, i + k] of a matrix"""
    return diag_embed(b, input, diagonal) if input.rank == 1 else diagonal_of(b, input, diagonal, 0, 1)


@row("aten.diagflat.default", samples=[sample(floats(2, 3)), sample(floats(3), 1)])
def diagflat(b: Builder, input: Value, offset: int = 0) -> Value:
    """z[i, j] = [j = i + k]*x[i], x flattened"""
    return diag_embed(b, _flattened(b, input), offset)
