"""Views: the same elements at other positions; reshapes by the digits of a mixed radix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from derivcheck.notation.integers.polynomials import Index, Poly, PolyLike, as_poly, i_poly, size
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import bools, floats, ints, row, sample
from derivcheck.operators.language.values import Position, Value, broadcast_dims, is_one, spread

S2, S3, S4, S5 = (size(f"s{n}") for n in (2, 3, 4, 5))  # the sizes of samples


def viewed(
    b: Builder, x: Value, dims: Sequence[Poly], positions: Callable[[tuple[Index, ...]], Sequence[Position]], k: int = 0
) -> Value:
    """Result ``k``: the elements of ``x`` at positions that depend on the result's indices."""
    at = b.indices(b.dims(dims, k))
    places = tuple(as_poly(p) for p in positions(at))
    if places == tuple(i_poly(i) for i in at) and tuple(i.size for i in at) == x.dims:
        return x  # the very same elements: no definition of its own
    found = b.give(at, x[places], k, kind=x.kind)
    whole = [p.index is not None and p.index.size is d or is_one(d) and p.constant == 0 for d, p in zip(x.dims, places)]
    distinct = len({p for p in places if p.index}) == sum(p.index is not None for p in places)
    if x.kind == "float" and all(whole) and distinct and not b.hinted(k):  # the order of dimensions is no step of a derivation
        d = b.definitions[-1]
        return replace(found, closed=(d.indices, d.term))
    return found


# -- the order of dimensions -----------------------------------------------------------
def permuted(b: Builder, x: Value, order: Sequence[int]) -> Value:
    """The dimensions in another order."""
    order = [d % x.rank for d in order]
    return viewed(b, x, [x.dims[d] for d in order], lambda at: [at[order.index(a)] for a in range(x.rank)])


def _swapped(b: Builder, x: Value, one: int, other: int) -> Value:
    order = list(range(x.rank))
    if x.rank:
        one, other = one % x.rank, other % x.rank
        order[one], order[other] = order[other], order[one]
    return permuted(b, x, order)


@row(
    "aten.transpose.int",
    "aten.swapdims.default",
    "aten.swapaxes.default",
    samples=[
        sample(floats(2, 3, 5), 0, 2),
        sample(floats(2, 3), -1, -2),
        sample(floats(), 0, 0),
        sample(ints(2, 3, below=5), 0, 1),
        sample(bools(2, 3), 0, 1),
    ],
)
def transpose(b: Builder, input: Value, dim0: int, dim1: int) -> Value:
    """z[i, j] = x[j, i]"""
    return _swapped(b, input, dim0, dim1)


@row("aten.permute.default", samples=[sample(floats(2, 3, 5), [2, 0, 1]), sample(floats(2, 3, 5, 7), [-1, 0, 2, 1])])
def permute(b: Builder, input: Value, dims: Sequence[int]) -> Value:
    """z[j, k, i] = x[i, j, k]"""
    return permuted(b, input, dims)


@row("aten.t.default", samples=[sample(floats(2, 3)), sample(floats(3)), sample(floats())])
def t(b: Builder, input: Value) -> Value:
    """z[i, j] = x[j, i]"""
    return permuted(b, input, range(input.rank)[::-1])


@row(
    "aten.mT.default",
    "aten.matrix_H.default",
    "aten.adjoint.default",
    "aten.mH.default",
    samples=[sample(floats(2, 3)), sample(floats(2, 3, 5), only="aten.mT.default")],
)
def mt(b: Builder, input: Value) -> Value:
    """z[*n, i, j] = x[*n, j, i]"""
    return _swapped(b, input, -1, -2)


@row("aten.numpy_T.default", samples=[sample(floats(2, 3))])
def numpy_t(b: Builder, input: Value) -> Value:
    """z[i, j] = x[j, i]"""
    return permuted(b, input, range(input.rank)[::-1])


@row(
    "aten.movedim.int",
    "aten.movedim.intlist",
    "aten.moveaxis.int",
    "aten.moveaxis.intlist",
    samples=[
        *(sample(floats(2, 3, 5), 0, 2, only=f"aten.{n}.int") for n in ("movedim", "moveaxis")),
        *(sample(floats(2, 3, 5, 7), [0, -1], [2, 0], only=f"aten.{n}.intlist") for n in ("movedim", "moveaxis")),
    ],
)
def movedim(b: Builder, input: Value, source: Any, destination: Any) -> Value:
    """z[..., i] = x[i, ...]"""
    froms = [d % input.rank for d in ([source] if isinstance(source, int) else source)]
    tos = [d % input.rank for d in ([destination] if isinstance(destination, int) else destination)]
    rest = iter(d for d in range(input.rank) if d not in froms)
    return permuted(b, input, [froms[tos.index(d)] if d in tos else next(rest) for d in range(input.rank)])


# -- dimensions of size 1 ----------------------------------------------------------------
@row(
    "aten.unsqueeze.default",
    samples=[sample(floats(2, 3), 1), sample(floats(2, 3), -1), sample(floats(), 0), sample(ints(3, below=5), 0)],
)
def unsqueeze(b: Builder, input: Value, dim: int) -> Value:
    """z[*n, 0, *m] = x[*n, *m]"""
    axis = dim % (input.rank + 1)
    dims = [*input.dims[:axis], as_poly(1), *input.dims[axis:]]
    return viewed(b, input, dims, lambda at: [*at[:axis], *at[axis + 1 :]])


def _without(b: Builder, x: Value, gone: set[int]) -> Value:
    kept = [a for a in range(x.rank) if a not in gone]

    def positions(at: tuple[Index, ...]) -> list[Position]:
        mine = iter(at)
        return [0 if a in gone else next(mine) for a in range(x.rank)]

    return viewed(b, x, [x.dims[a] for a in kept], positions)


@row(
    "aten.squeeze.default",
    "aten.squeeze.dim",
    "aten.squeeze.dims",
    samples=[
        sample(floats(2, 1, 3, 1), only="aten.squeeze.default"),
        sample(floats(2, 1, 3), 1, only="aten.squeeze.dim"),
        sample(floats(2, 1, 3), 0, only="aten.squeeze.dim"),
        sample(floats(1, 2, 1, 3), [0, -2], only="aten.squeeze.dims"),
        sample(floats(), 0, only="aten.squeeze.dim"),
    ],
)
def squeeze(b: Builder, input: Value, dim: int | Sequence[int] | None = None) -> Value:
    """z[*n, *m] = x[*n, 0, *m]"""
    named = range(input.rank) if dim is None else [dim] if isinstance(dim, int) else dim
    gone = {d % input.rank for d in named if input.rank and is_one(input.dims[d % input.rank])}
    if b.out_dims is not None and len(b.out_dims[0]) != input.rank - len(gone):
        b.refuse("whether a dimension goes away depends on a size that is not fixed")
    for axis in {d % input.rank for d in named if input.rank} - gone:
        b.require(input.dims[axis], "!=", 1)
    return _without(b, input, gone)


@row(
    "aten.atleast_1d.default",
    "aten.atleast_2d.default",
    "aten.atleast_3d.default",
    samples=[sample(floats()), sample(floats(2)), sample(floats(2, 3))],
)
def atleast(b: Builder, input: Value) -> Value:
    """z[0, *n] = x[*n]"""
    wanted = int(b.rule[8])
    if input.rank >= wanted:
        return input
    before = 0 if wanted == 3 and input.rank == 2 else 1 if wanted == 3 and input.rank == 1 else wanted - input.rank
    after = wanted - input.rank - before
    dims = [*[as_poly(1)] * before, *input.dims, *[as_poly(1)] * after]
    return viewed(b, input, dims, lambda at: at[before : before + input.rank])


# -- broadcasting --------------------------------------------------------------------------
def expanded(b: Builder, x: Value, dims: Sequence[Poly]) -> Value:
    """Broadcast to ``dims``."""
    return viewed(b, x, dims, lambda at: spread(x.dims, at))


@row(
    "aten.expand.default",
    "aten.broadcast_to.default",
    samples=[
        sample(floats(2, 1, 3), [S2, S5, S3]),
        sample(floats(3), [S2, S3]),
        sample(floats(2, 1), [-1, S5]),
        sample(floats(), [2, 3]),
        sample(floats(1, 3), [S5, 2, -1]),
    ],
)
def expand(b: Builder, input: Value, size: Sequence[PolyLike], *, implicit: bool = False) -> Value:
    """z[*n] = x[*n], 0 where x has size 1"""
    lead = len(size) - input.rank
    dims = [as_poly(d) for d in size]
    dims = [input.dims[a - lead] if d.constant == -1 else d for a, d in enumerate(dims)]
    return expanded(b, input, dims)


@row("aten.expand_as.default", samples=[sample(floats(2, 1), floats(2, 3)), sample(floats(3), floats(2, 3))])
def expand_as(b: Builder, input: Value, other: Value) -> Value:
    """z[*n] = x[*n], 0 where x has size 1"""
    return expanded(b, input, other.dims)


@row("aten.broadcast_tensors.default", samples=[sample([floats(2, 1), floats(5)])])
def broadcast_tensors(b: Builder, tensors: Sequence[Value]) -> tuple[Value, ...]:
    """z[*n] = x[*n], 0 where x has size 1"""
    dims = broadcast_dims(*(t.dims for t in tensors))
    return tuple(viewed(b, t, dims, lambda at, t=t: spread(t.dims, at), k) for k, t in enumerate(tensors))  # type: ignore[misc]
