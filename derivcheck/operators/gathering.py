"""Gather and scatter: an integer tensor inside a position, read forward or summed into.

A gather is ``y[n] = x[ids[n]]``; its adjoint, and ``index_add``, are ``Σ_n [a = ids[n]]·…``, so repeated indices add up.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from derivcheck.notation.sizes import Index, Poly, as_poly, i_poly
from derivcheck.notation.terms import (
    ONE,
    Term,
    add,
    bracket,
    extremum,
    func,
    mul,
    neg,
    opposite,
    power,
    product,
    size_of,
    sub,
    substitute,
    summation,
)
from derivcheck.operators.build import Builder
from derivcheck.operators.row import bools, floats, ints, row, sample
from derivcheck.operators.values import Value, broadcast_dims, numel, spread, where

F = TypeVar("F", bound=Callable[..., Any])


def _axis(dim: Any, rank: int) -> int:
    return int(dim) % max(rank, 1)


def _row(x: Any) -> Any:
    """A tensor without dimensions as a row of one element."""
    if not isinstance(x, Value) or x.rank:
        return x
    return Value(x.name, (as_poly(1),), x.kind, ((Index("z", 1),), x[()]))


def _scalars_are_rows(f: F) -> F:
    """Tensors without dimensions are indexed as rows of one element, and given back without dimensions."""

    @functools.wraps(f)
    def wrapped(b: Builder, input: Value, dim: Any, index: Value, *rest: Any, **named: Any) -> Value:
        if input.rank and index.rank:
            return cast(Value, f(b, input, dim, index, *rest, **named))
        deep = input.rank if b.rule != "gather" else index.rank
        lifted = (_row(input), dim, _row(index), *(_row(r) for r in rest))
        keep, b.out_dims = b.out_dims, b.out_dims if deep else None
        found = cast(Value, f(b, *lifted, **{k: _row(v) for k, v in named.items()}))
        b.out_dims = keep
        return found if deep else b.give((), found[(0,) * found.rank])

    return cast(F, wrapped)


@row(
    "aten.gather.default",
    gives="y",
    samples=[
        sample(floats(5, 3), 0, ints(2, 3, below=5)),
        sample(floats(5, 3), 1, ints(5, 7, below=3)),
        sample(floats(5, 3, 2), -1, ints(4, 2, 3, below=2)),
        sample(floats(5), 0, ints(7, below=5)),
        sample(floats(), 0, ints(below=1)),
    ],
)
@_scalars_are_rows
def gather(b: Builder, input: Value, dim: Any, index: Value, *, sparse_grad: bool = False) -> Value:
    """y[*i] = x[.., ids[*i], ..] with ids at ``dim``"""
    axis = _axis(dim, input.rank)
    at = b.indices(index.dims)
    return b.give(at, input[(*at[:axis], index.entry(*at), *at[axis + 1 :])])


@row(
    "aten.index_select.default",
    gives="y",
    samples=[
        sample(floats(5, 3), 0, ints(7, below=5)),
        sample(floats(2, 5, 3), 1, ints(2, below=5)),
        sample(floats(5), -1, ints(3, below=5)),
        sample(floats(), 0, ints(1, below=1)),
    ],
)
@_scalars_are_rows
def index_select(b: Builder, input: Value, dim: Any, index: Value) -> Value:
    """y[*i, j, *k] = x[*i, ids[j], *k]"""
    axis = _axis(dim, input.rank)
    at = b.indices((*input.dims[:axis], index.dims[0], *input.dims[axis + 1 :]))
    return b.give(at, input[(*at[:axis], index.entry(at[axis]), *at[axis + 1 :])])


@row(
    "aten.embedding.default",
    gives="y",
    samples=[
        sample(floats(5, 3), ints(7, below=5)),
        sample(floats(5, 3), ints(2, 4, below=5)),
        sample(floats(5, 3), ints(11, below=5), 2),
        sample(floats(5, 3), ints(below=5)),
    ],
)
def embedding(
    b: Builder, weight: Value, indices: Value, padding_idx: Any = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Value:
    """y[*n, d] = w[ids[*n], d]; no gradient flows into the padding row"""
    if scale_grad_by_freq:
        b.refuse("scale_grad_by_freq changes the gradient and not the value", "Leave it False.")
    *n, d = b.indices((*indices.dims, weight.dims[1]))
    place = indices.entry(*n)
    padding = as_poly(padding_idx)
    if padding.constant is not None and padding.constant < 0:
        return b.give((*n, d), weight[place, d])
    frozen = b.held("frozen", weight)
    here = bracket("==", place - padding)
    return b.give((*n, d), add(mul(opposite(here), weight[place, d]), mul(here, frozen[place, d])))


def _wrapped(b: Builder, index: Value, length: Poly) -> Value:
    """Positions where negative ones count from the end."""
    at = b.indices(index.dims)
    found = b.define("at", at, size_of(index.entry(*at) % length), kind="int")
    b._indices = [i for i in b._indices if i not in at]
    return Value(found.name, found.dims, "int")


def _advanced(b: Builder, x: Value, indices: Sequence[Value | None]) -> tuple[tuple[Index, ...], list[Poly], list[Poly]]:
    """The result's indices of ``x[indices]``, the position in x, and the result's dimensions (NumPy's advanced indexing)."""
    given = [*indices, *[None] * (x.rank - len(indices))]
    used = [k for k, v in enumerate(given) if v is not None]
    places: dict[int, Value] = {}
    for k in used:
        v = given[k]
        assert v is not None
        if v.kind != "int":
            b.refuse("indexing with a mask gives a shape that depends on the data", "Use torch.where or masked_fill.")
        places[k] = _wrapped(b, v, x.dims[k])
    shape = broadcast_dims(*(places[k].dims for k in used)) if used else ()
    together = used == list(range(used[0], used[0] + len(used))) if used else True
    first = used[0] if together and used else 0
    before = [k for k in range(x.rank) if k not in places and k < first]
    after = [k for k in range(x.rank) if k not in places and k not in before]
    dims = [*(x.dims[k] for k in before), *shape, *(x.dims[k] for k in after)]
    at = b.indices(b.dims(dims))
    block = at[len(before) : len(before) + len(shape)]
    free = dict(zip([*before, *after], [*at[: len(before)], *at[len(before) + len(shape) :]]))
    position = [places[k].entry(*spread(places[k].dims, block)) if k in places else i_poly(free[k]) for k in range(x.rank)]
    return at, position, list(dims)


@row(
    "aten.index.Tensor",
    gives="y",
    samples=[
        sample(floats(5, 3), [ints(7, below=5)]),
        sample(floats(5, 3), [None, ints(2, 4, below=3)]),
        sample(floats(5, 3, 4), [ints(2, below=5), ints(2, below=3)]),
        sample(floats(5, 3, 4), [ints(2, below=5), None, ints(2, below=4)]),
        sample(floats(5, 3, 4), [None, ints(7, 1, below=3), ints(2, below=4)]),
    ],
)
def index(b: Builder, input: Value, indices: Sequence[Value | None]) -> Value:
    """y[*n] = x[ids[*n], ..]"""
    at, position, _ = _advanced(b, input, indices)
    return b.give(at, input[tuple(position)])


@row(
    "aten.index_put.default",
    "aten._unsafe_index_put.default",
    gives="y",
    samples=[
        sample(floats(5, 3), [ints(4, below=5)], floats(4, 3), True),
        sample(floats(5, 3), [ints(4, below=5, values="unique")], floats(4, 3)),
        sample(floats(5, 3), [ints(4, below=5, values="unique")], floats()),
        sample(floats(5, 3, 4), [ints(2, below=5, values="unique"), ints(2, below=3)], floats(2, 4)),
        sample(floats(5, 3), [None, ints(2, below=3, values="unique")], floats(1, 2)),
        sample(floats(5, 3), [bools(5)], floats(), only="aten.index_put.default"),
        sample(floats(5, 3), [bools(5, 3)], floats(), True, only="aten.index_put.default"),
    ],
)
def index_put(b: Builder, input: Value, indices: Sequence[Value | None], values: Value, accumulate: bool = False) -> Value:
    """y[a] = x[a] + sum(n: [a == ids[n]]*v[n]), or v[n] in place of x[a]"""
    mask = indices[0] if len(indices) == 1 else None
    if mask is not None and mask.kind == "bool" and values.rank == 0:
        at = b.indices(input.dims)
        new = add(input[at], values[()]) if accumulate else values[()]
        return b.give(at, where(mask.mask(*at[: mask.rank]), new, input[at]))
    dims, b.out_dims = b.out_dims, None
    over, position, _ = _advanced(b, input, indices)
    b.out_dims = dims
    at = b.indices(input.dims)
    return _put(b, input, at, over, position, values[spread(values.dims, over)], accumulate)


def _put(
    b: Builder, x: Value, at: Sequence[Index], over: Sequence[Index], position: Sequence[Poly], value: Term, accumulate: bool
) -> Value:
    """Sum ``value`` into the elements that ``position`` names, or put it in their place (positions then are distinct)."""
    moves = {p.index: a for p, a in zip(position, at) if p.index in over}  # plain dimensions need no sum
    left = [i for i in over if i not in moves]
    hits = [bracket("==", i_poly(a) - p) for a, p in zip(at, position) if p.index not in moves]
    swap = {i: i_poly(a) for i, a in moves.items() if i is not None}
    inside = [bracket(">=", i.size - 1 - i_poly(a)) for i, a in moves.items() if i is not None]
    deltas = [substitute(h, swap) for h in hits]
    arriving = summation(left, mul(*inside, *deltas, substitute(value, swap)))
    if accumulate:
        return b.give(at, add(x[tuple(at)], arriving))
    b.assume("no position is written to twice")
    hit = summation(left, mul(*inside, *deltas))
    covered = bracket(">", hit) if left else hit
    return b.give(at, add(mul(opposite(covered), x[tuple(at)]), arriving))


def _scatter(b: Builder, x: Value, dim: Any, index: Value, source: Any, accumulate: bool) -> Value:
    axis = _axis(dim, x.rank)
    at = b.indices(x.dims)
    over = b.indices(index.dims)
    position = [index.entry(*over) if k == axis else i_poly(i) for k, i in enumerate(over)]
    value = source[over] if isinstance(source, Value) and source.rank else b.number(source)
    return _put(b, x, at, over, position, value, accumulate)


@row(
    "aten.scatter.src",
    "aten.scatter.value",
    gives="y",
    samples=[
        sample(floats(5, 3), 1, ints(5, 2, below=3, values="unique"), floats(5, 2), only="aten.scatter.src"),
        sample(floats(5, 3), 1, ints(4, 2, below=3, values="unique"), floats(5, 3, values="fixed"), only="aten.scatter.src"),
        sample(floats(5), 0, ints(3, below=5, values="unique"), floats(3), only="aten.scatter.src"),
        sample(floats(5, 3), 1, ints(5, 2, below=3, values="unique"), 2.5, only="aten.scatter.value"),
    ],
)
@_scalars_are_rows
def scatter(b: Builder, input: Value, dim: Any, index: Value, src: Any = None, value: Any = None) -> Value:
    """y[.., a, ..] = v[i] where a = ids[i], else x[.., a, ..]"""
    return _scatter(b, input, dim, index, value if src is None else src, accumulate=False)


@row(
    "aten.scatter_add.default",
    gives="y",
    samples=[
        sample(floats(5, 3), 0, ints(7, 3, below=5), floats(7, 3)),
        sample(floats(5, 3), 1, ints(4, 7, below=3), floats(5, 8, values="fixed")),
        sample(floats(5), 0, ints(9, below=5), floats(9)),
    ],
)
@_scalars_are_rows
def scatter_add(b: Builder, input: Value, dim: Any, index: Value, src: Value) -> Value:
    """y[.., a, ..] = x[.., a, ..] + sum(i: [a == ids[i]]*v[i])"""
    return _scatter(b, input, dim, index, src, accumulate=True)


@row(
    "aten.scatter_reduce.two",
    gives="y",
    samples=[
        sample(floats(5, 3), 0, ints(7, 3, below=5), floats(7, 3), "sum"),
        sample(floats(5, 3), 0, ints(7, 3, below=5), floats(7, 3), "mean"),
        sample(floats(5), 0, ints(9, below=5), floats(9), "sum", include_self=False),
        sample(floats(5), 0, ints(9, below=5), floats(9), "mean", include_self=False),
        *(
            sample(floats(5, 3), 0, ints(7, 3, below=5), floats(7, 3), how, include_self=own)
            for how in ("prod", "amax", "amin")
            for own in (True, False)
        ),
    ],
)
@_scalars_are_rows
def scatter_reduce(
    b: Builder, input: Value, dim: Any, index: Value, src: Value, reduce: str, *, include_self: bool = True
) -> Value:
    """y[.., a, ..] = x[.., a, ..] + sum(i: [a == ids[i]]*v[i]), divided by the count for a mean"""
    axis = _axis(dim, input.rank)
    at = b.indices(input.dims)
    i = b.index(index.dims[axis], "")
    over = (*at[:axis], i, *at[axis + 1 :])
    inside = [bracket(">=", d - 1 - i_poly(a)) for k, (d, a) in enumerate(zip(index.dims, at)) if k != axis]
    hit = mul(*inside, bracket("==", i_poly(at[axis]) - index.entry(*over)))
    return _reduced_into(b, input, at, i, hit, src[over], reduce, include_self)


def _reduced_into(
    b: Builder, x: Value, at: tuple[Index, ...], i: Index, hit: Term, value: Term, reduce: str, include_self: bool
) -> Value:
    """What is in ``x`` and the values that hit each place, summed, averaged, multiplied, or the largest or smallest."""
    own, count = x[at], summation([i], hit)
    untouched = bracket("==", count)
    if reduce in ("sum", "mean"):
        kept = own if include_self else mul(untouched, own)
        total = add(kept, summation([i], mul(hit, value)))
        return b.give(at, total if reduce == "sum" else mul(total, power(add(count, ONE if include_self else untouched), -1)))
    if reduce == "prod":
        kept = own if include_self else where(untouched, own, ONE)
        return b.give(at, mul(kept, product([i], where(hit, value, ONE))))
    kind = {"amax": "max", "amin": "min"}.get(reduce)
    if kind is None:
        b.refuse(f"a scatter that reduces by {reduce!r}", "Use sum, mean, prod, amax or amin.")
    lowest = func("inf") if kind == "min" else neg(func("inf"))
    arriving = extremum(kind, [i], where(hit, value, lowest))
    first = b.define("arriving", at, arriving, stop=True)[at]
    better = bracket(">", sub(own, first) if kind == "max" else sub(first, own))
    top = b.define("top", at, where(better, own, first) if include_self else where(untouched, own, first), stop=True)[at]
    mine = bracket("==", sub(own, top)) if include_self else untouched
    theirs = mul(hit, bracket("==", sub(value, top)))
    ties = b.define("ties", at, add(mine, summation([i], theirs)), stop=True)[at]  # torch shares among ties
    return b.give(at, mul(add(mul(mine, own), summation([i], mul(theirs, value))), power(ties, -1)))


@row(
    "aten.index_reduce.default",
    gives="y",
    samples=[
        sample(floats(5, 3), 0, ints(7, below=5), floats(7, 3), how, include_self=own)
        for how in ("mean", "prod", "amax", "amin")
        for own in (True, False)
    ],
)
@_scalars_are_rows
def index_reduce(
    b: Builder, input: Value, dim: Any, index: Value, source: Value, reduce: str, *, include_self: bool = True
) -> Value:
    """y[.., a, ..] = x[.., a, ..] with the v[.., j, ..] where a = ids[j], by mean, prod, amax or amin"""
    axis = _axis(dim, input.rank)
    at = b.indices(input.dims)
    j = b.index(index.dims[0], "")
    hit = bracket("==", i_poly(at[axis]) - index.entry(j))
    return _reduced_into(b, input, at, j, hit, source[(*at[:axis], j, *at[axis + 1 :])], reduce, include_self)


@row(
    "aten.put.default",
    gives="y",
    samples=[
        sample(floats(5, 3), ints(7, below=15), floats(7), True),
        sample(floats(5, 3), ints(2, 2, below=15), floats(2, 2), True),
        sample(floats(7), ints(4, below=7, values="unique"), floats(4)),
    ],
)
def put(b: Builder, input: Value, index: Value, source: Value, accumulate: bool = False) -> Value:
    """y[a] = x[a] + sum(*i: [a == ids[*i]]*v[*i]), or v[*i] in place of x[a], x read as one row"""
    at = b.indices(input.dims)
    over = b.indices(index.dims)
    flat = as_poly(0)
    for a in at:
        flat = flat * a.size + i_poly(a)
    hit = bracket("==", flat - _wrapped(b, index, numel(input.dims)).entry(*over))
    place = numel(()) * 0
    for i in over:
        place = place * i.size + i_poly(i)
    value = source[over] if source.dims == index.dims else source[tuple(_unravelled(place, source.dims))]
    arriving = summation(over, mul(hit, value))
    if accumulate:
        return b.give(at, add(input[at], arriving))
    b.assume("no position is written to twice")
    return b.give(at, add(mul(bracket("==", summation(over, hit)), input[at]), arriving))


@row(
    "aten.index_add.default",
    gives="y",
    samples=[
        sample(floats(5, 3), 0, ints(7, below=5), floats(7, 3)),
        sample(floats(2, 5), 1, ints(3, below=5), floats(2, 3), alpha=2),
        sample(floats(5), 0, ints(9, below=5), floats(9)),
        sample(floats(), 0, ints(below=1), floats()),
    ],
)
@_scalars_are_rows
def index_add(b: Builder, input: Value, dim: Any, index: Value, source: Value, *, alpha: Any = 1) -> Value:
    """y[.., a, ..] = x[.., a, ..] + alpha*sum(j: [a == ids[j]]*v[.., j, ..])"""
    axis = _axis(dim, input.rank)
    at = b.indices(input.dims)
    j = b.index(index.dims[0], "")
    arriving = mul(bracket("==", i_poly(at[axis]) - index.entry(j)), source[(*at[:axis], j, *at[axis + 1 :])])
    scale = ONE if alpha == 1 else b.number(alpha)
    return b.give(at, add(input[at], mul(scale, summation([j], arriving))))


@row(
    "aten.index_copy.default",
    gives="y",
    samples=[
        sample(floats(5, 3), 0, ints(4, below=5, values="unique"), floats(4, 3)),
        sample(floats(2, 5), 1, ints(3, below=5, values="unique"), floats(2, 3)),
        sample(floats(), 0, ints(below=1), floats()),
    ],
)
@_scalars_are_rows
def index_copy(b: Builder, input: Value, dim: Any, index: Value, source: Value) -> Value:
    """y[.., a, ..] = v[.., j, ..] where a = ids[j], else x[.., a, ..]"""
    return _along(b, input, dim, index, source)


@row(
    "aten.index_fill.int_Scalar",
    "aten.index_fill.int_Tensor",
    gives="y",
    samples=[
        sample(floats(5, 3), 0, ints(2, below=5), 1.5, only="aten.index_fill.int_Scalar"),
        sample(floats(2, 5), 1, ints(3, below=5), floats(), only="aten.index_fill.int_Tensor"),
        sample(floats(5), 0, ints(below=5), 2.5, only="aten.index_fill.int_Scalar"),
        sample(floats(), 0, ints(below=1), 2.5, only="aten.index_fill.int_Scalar"),
    ],
)
@_scalars_are_rows
def index_fill(b: Builder, input: Value, dim: Any, index: Value, value: Any) -> Value:
    """y[.., a, ..] = value where a is among ids, else x[.., a, ..]"""
    axis = _axis(dim, input.rank)
    at = b.indices(input.dims)
    j = b.index(index.dims[0], "")
    covered = bracket(">", summation([j], bracket("==", i_poly(at[axis]) - index.entry(j))))
    return b.give(at, add(mul(opposite(covered), input[at]), mul(covered, b.number(value))))


def _along(b: Builder, x: Value, dim: Any, index: Value, source: Value) -> Value:
    axis = _axis(dim, x.rank)
    at = b.indices(x.dims)
    j = b.index(index.dims[0], "")
    over = (*at[:axis], j, *at[axis + 1 :])
    position = [index.entry(j) if k == axis else i_poly(a) for k, a in enumerate(at)]
    return _put(b, x, at, over, position, source[over], accumulate=False)


@row(
    "aten.take.default",
    gives="y",
    samples=[sample(floats(5, 3), ints(7, below=15)), sample(floats(5), ints(2, 3, below=5))],
)
def take(b: Builder, input: Value, index: Value) -> Value:
    """y[*i] = x[ids[*i]], x read as one row"""
    at = b.indices(index.dims)
    length = numel(input.dims)
    place = _wrapped(b, index, length).entry(*at)
    return b.give(at, input[tuple(_unravelled(place, input.dims))])


def _unravelled(flat: Poly, dims: Sequence[Poly]) -> list[Poly]:
    found: list[Poly] = []
    for d in reversed(dims):
        found.insert(0, flat if len(found) == len(dims) - 1 else flat % d)
        flat = flat // d
    return found


@row(
    "aten.take_along_dim.default",
    gives="y",
    samples=[
        sample(floats(5, 3), ints(2, 3, below=5), 0),
        sample(floats(5, 3), ints(5, 7, below=3), 1),
        sample(floats(5, 3), ints(1, 3, below=5), 0),
        sample(floats(5, 3), ints(7, below=15)),
    ],
)
def take_along_dim(b: Builder, input: Value, indices: Value, dim: Any = None) -> Value:
    """y[*i] = x[.., ids[*i], ..], the other dimensions broadcast"""
    if dim is None:
        at = b.indices((numel(indices.dims),))
        place = indices.entry(*_unravelled(i_poly(at[0]), indices.dims))
        return b.give(at, input[tuple(_unravelled(place, input.dims))])
    axis = _axis(dim, input.rank)
    shape = list(broadcast_dims((*input.dims[:axis], as_poly(1), *input.dims[axis + 1 :]), indices.dims))
    shape[axis] = indices.dims[axis]
    at = b.indices(b.dims(shape))
    entry = indices.entry(*spread(indices.dims, at))
    position = [entry if k == axis else p for k, p in enumerate(spread(input.dims, at))]
    return b.give(at, input[tuple(position)])
