"""Scatter: values summed into, or put in place of, the elements that an integer tensor names, ``Σ_n [a = ids[n]]·v[n]``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Index, Poly, i_poly
from derivcheck.notation.program.definitions import Spelling
from derivcheck.notation.program.program import NOT_TWICE
from derivcheck.notation.terms.brackets import bracket, opposite
from derivcheck.notation.terms.build import ONE, add, func, mul, neg, power, sub
from derivcheck.notation.terms.nodes import Bracket, Term
from derivcheck.notation.terms.substitute import extremum, product, substitute, summation
from derivcheck.operators.indexing.distinct import Scatter
from derivcheck.operators.indexing.gathering import (
    advanced,
    axis_of,
    covers,
    from_the_end,
    reaches,
    scalars_are_rows,
)
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import bools, floats, ints, row, sample
from derivcheck.operators.language.values import Value, spread, where
from derivcheck.operators.shapes.reshapes import digits, flat


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
    over, position, _ = advanced(b, input, indices)
    b.out_dims = dims
    at = b.indices(input.dims)
    return _put(b, input, at, Arriving(over, position, values[spread(values.dims, over)]), accumulate)


class Arriving(NamedTuple):
    """A value for each place of ``over``, and the position that it arrives at."""

    over: Sequence[Index]
    position: Sequence[Poly]
    value: Term


def _put(b: Builder, x: Value, at: Sequence[Index], arriving: Arriving, accumulate: bool) -> Value:
    """Sum values into the elements at their positions, or put them in their place (positions then are distinct)."""
    over, position, value = arriving
    moves: dict[Index | None, Index] = {}  # plain dimensions need no sum
    hits = []
    for a, p in zip(at, position):
        if p.index in over and p.index not in moves:
            moves[p.index] = a
        else:
            hits.append(bracket("==", i_poly(a) - p))
    left = [i for i in over if i not in moves]
    swap = {i: i_poly(a) for i, a in moves.items() if i is not None}
    inside = [bracket(">=", i.size - 1 - i_poly(a)) for i, a in moves.items() if i is not None]
    deltas = [substitute(h, swap) for h in hits]
    total = summation(left, mul(*inside, *deltas, substitute(value, swap)))
    if accumulate:
        return b.give(at, add(x[tuple(at)], total))
    hit = summation(left, mul(*inside, *deltas))
    covered = hit if not left or isinstance(hit, Bracket) else bracket(">", hit)
    if value.free.isdisjoint(over):  # one number for all: chosen, not multiplied by how often
        return b.give(at, where(covered, value, x[tuple(at)]))
    found = b.give(at, add(mul(opposite(covered), x[tuple(at)]), total))
    if any(i.size.constant != 1 for i in left):
        b.scatters.append(Scatter(found.name if found.closed is None else None, tuple(over), tuple(position)))
    return found


def _scatter(b: Builder, x: Value, dim: Any, index: Value, source: Any, accumulate: bool) -> Value:
    axis = axis_of(dim, x.rank)
    at = b.indices(x.dims)
    over = b.indices(index.dims)
    position = [index.entry(*over) if k == axis else i_poly(i) for k, i in enumerate(over)]
    _fits(b, x, axis, index, source, position[axis])
    value = source[over] if isinstance(source, Value) and source.rank else b.number(source)
    return _put(b, x, at, Arriving(over, position, value), accumulate)


def _fits(b: Builder, x: Value, axis: int, index: Value, source: Any, place: Poly) -> None:
    """What scattering needs of the sizes."""
    covers(b, x, index, axis)
    if isinstance(source, Value) and source.rank:
        covers(b, source, index)
    reaches(b, place, x.dims[axis])


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
@scalars_are_rows
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
@scalars_are_rows
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
@scalars_are_rows
def scatter_reduce(
    b: Builder, input: Value, dim: Any, index: Value, src: Value, reduce: str, *, include_self: bool = True
) -> Value:
    """y[.., a, ..] = x[.., a, ..] + sum(i: [a == ids[i]]*v[i]), divided by the count for a mean"""
    axis = axis_of(dim, input.rank)
    at = b.indices(input.dims)
    i = b.index(index.dims[axis], "")
    over = (*at[:axis], i, *at[axis + 1 :])
    inside = [bracket(">=", d - 1 - i_poly(a)) for k, (d, a) in enumerate(zip(index.dims, at)) if k != axis]
    _fits(b, input, axis, index, src, index.entry(*over))
    hit = mul(*inside, bracket("==", i_poly(at[axis]) - index.entry(*over)))
    call = f"torch.scatter_reduce({{}}, {axis}, {{}}, {{}}, {reduce!r}, include_self={include_self})"
    spelling = b.spell(call, input, index, src) if src.kind == input.kind == "float" else None
    return _reduced_into(b, input, Hits(at, i, hit, src[over]), reduce, include_self, spelling)


class Hits(NamedTuple):
    """Values ``value[i]`` for each place ``at``, and a condition for which of them hit it."""

    at: tuple[Index, ...]
    i: Index
    hit: Term
    value: Term


def _reduced_into(b: Builder, x: Value, hits: Hits, reduce: str, include_self: bool, spelling: Spelling | None) -> Value:
    """What is in ``x`` and the values that hit each place, summed, averaged, multiplied, or the largest or smallest."""
    at, i, hit, value = hits
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
    total = add(mul(mine, own), summation([i], mul(theirs, value)))
    return b.give(at, mul(total, power(ties, -1)), spelling=spelling)


@row(
    "aten.index_reduce.default",
    gives="y",
    samples=[
        sample(floats(5, 3), 0, ints(7, below=5), floats(7, 3), how, include_self=own)
        for how in ("mean", "prod", "amax", "amin")
        for own in (True, False)
    ],
)
@scalars_are_rows
def index_reduce(
    b: Builder, input: Value, dim: Any, index: Value, source: Value, reduce: str, *, include_self: bool = True
) -> Value:
    """y[.., a, ..] = x[.., a, ..] with the v[.., j, ..] where a = ids[j], by mean, prod, amax or amin"""
    axis = axis_of(dim, input.rank)
    at = b.indices(input.dims)
    j = b.index(index.dims[0], "")
    reaches(b, index.entry(j), input.dims[axis])
    hit = bracket("==", i_poly(at[axis]) - index.entry(j))
    call = f"torch.index_reduce({{}}, {axis}, {{}}, {{}}, {reduce!r}, include_self={include_self})"
    spelling = b.spell(call, input, index, source) if source.kind == input.kind == "float" else None
    value = source[(*at[:axis], j, *at[axis + 1 :])]
    return _reduced_into(b, input, Hits(at, j, hit, value), reduce, include_self, spelling)


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
    if source.dims != index.dims:
        b.require(numel(source.dims), "==", numel(index.dims))
    at = b.indices(input.dims)
    over = b.indices(index.dims)
    hit = bracket("==", flat(at) - from_the_end(b, index, input).entry(*over))
    value = source[over] if source.dims == index.dims else source[tuple(digits(flat(over), source.dims))]
    arriving = summation(over, mul(hit, value))
    if accumulate:
        return b.give(at, add(input[at], arriving))
    b.assume(NOT_TWICE)
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
@scalars_are_rows
def index_add(b: Builder, input: Value, dim: Any, index: Value, source: Value, *, alpha: Any = 1) -> Value:
    """y[.., a, ..] = x[.., a, ..] + alpha*sum(j: [a == ids[j]]*v[.., j, ..])"""
    axis = axis_of(dim, input.rank)
    at = b.indices(input.dims)
    j = b.index(index.dims[0], "")
    reaches(b, index.entry(j), input.dims[axis])
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
@scalars_are_rows
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
        sample(floats(), 0, ints(1, below=1), floats(), only="aten.index_fill.int_Tensor"),
    ],
)
@scalars_are_rows
def index_fill(b: Builder, input: Value, dim: Any, index: Value, value: Any) -> Value:
    """y[.., a, ..] = value where a is among ids, else x[.., a, ..]"""
    axis = axis_of(dim, input.rank)
    at = b.indices(input.dims)
    j = b.index(index.dims[0], "")
    reaches(b, index.entry(j), input.dims[axis])
    covered = bracket(">", summation([j], bracket("==", i_poly(at[axis]) - index.entry(j))))
    new = value[(0,) * value.rank] if isinstance(value, Value) else b.number(value)
    return b.give(at, add(mul(opposite(covered), input[at]), mul(covered, new)))


def _along(b: Builder, x: Value, dim: Any, index: Value, source: Value) -> Value:
    axis = axis_of(dim, x.rank)
    at = b.indices(x.dims)
    j = b.index(index.dims[0], "")
    over = (*at[:axis], j, *at[axis + 1 :])
    reaches(b, index.entry(j), x.dims[axis])
    position = [index.entry(j) if k == axis else i_poly(a) for k, a in enumerate(at)]
    return _put(b, x, at, Arriving(over, position, source[over]), accumulate=False)
