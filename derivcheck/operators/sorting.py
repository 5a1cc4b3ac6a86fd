"""Sorting through its witness: the place of each element in order is an integer result, the values are read there.

``rank[j]`` counts the elements that come before ``x[j]`` (the earlier one among equals first), ``place[k]`` is where
rank k is found.  No gradient flows through either; the values are ``x[place[k]]``.
"""

from __future__ import annotations

from collections.abc import Sequence

from derivcheck.notation.sizes import Index, Poly, PolyLike, as_poly, i_poly
from derivcheck.notation.terms import add, bracket, extremum, mul, size_of, summation
from derivcheck.operators.build import Builder
from derivcheck.operators.reductions import over
from derivcheck.operators.row import floats, row, sample
from derivcheck.operators.values import Position, Value, numel, test
from derivcheck.operators.views import digits

_NO_TIES = "no ties where the order decides"


def _line(at: Sequence[Index], axis: int, p: Position) -> tuple[Position, ...]:
    return (*at[:axis], p, *at[axis + 1 :])


def _places(b: Builder, x: Value, axis: int, descending: bool) -> Value:
    """``place[…, k, …]``: where the k-th element in order stands."""
    b.assume(_NO_TIES)
    at = b.indices(x.dims)
    i, j = b.index(x.dims[axis]), at[axis]
    mine, other = x[at], x[_line(at, axis, i)]
    before = add(
        test(">" if descending else "<", other, mine), mul(test("==", other, mine), bracket(">=", i_poly(j) - i_poly(i) - 1))
    )
    rank = b.define("rank", at, summation([i], before), stop=True, kind="int")
    k = b.index(x.dims[axis])
    found = bracket("==", rank.entry(*at) - i_poly(k))
    spelling = b.spell(f"torch.argsort({{}}, dim={axis}, descending={descending}, stable=True)", x)
    over_k = (*at[:axis], k, *at[axis + 1 :])
    return b.define("place", over_k, extremum("argmax", [j], found), stop=True, kind="int", spelling=spelling)


def _sorted(b: Builder, x: Value, dim: int, descending: bool, count: PolyLike | None = None) -> tuple[Value, Value]:
    if not x.rank:
        return b.give((), x[()], kind=x.kind), b.give((), size_of(0), 1, kind="int")
    axis = dim % x.rank
    place = _places(b, x, axis, descending)
    dims = list(x.dims)
    if count is not None:
        dims[axis] = as_poly(count)
    at = b.indices(b.dims(dims))
    value = b.give(at, x[_line(at, axis, place.entry(*at))], kind=x.kind)
    return value, b.give(at, size_of(place.entry(*at)), 1, kind="int")


_LINES = [
    sample(floats(5, values="distinct")),
    sample(floats(2, 5, values="distinct"), 1),
    sample(floats(5, 3, values="distinct"), 0, True),
    sample(floats()),
]


@row("aten.sort.default", gives="s", samples=_LINES)
def sort(b: Builder, input: Value, dim: int = -1, descending: bool = False) -> tuple[Value, Value]:
    """s[k] = x[place[k]]"""
    return _sorted(b, input, dim, descending)


@row(
    "aten.sort.stable",
    gives="s",
    samples=[
        sample(floats(3, 5, values="ties"), stable=True),
        sample(floats(3, 5, values="ties"), stable=True, dim=0, descending=True),
    ],
)
def sort_stable(
    b: Builder, input: Value, *, stable: bool | None = None, dim: int = -1, descending: bool = False
) -> tuple[Value, Value]:
    """s[k] = x[place[k]]"""
    return _sorted(b, input, dim, descending)


@row("aten.argsort.default", gives="place", samples=_LINES)
def argsort(b: Builder, input: Value, dim: int = -1, descending: bool = False) -> Value:
    """place[k] = argmax(j: [rank[j] = k])"""
    return _order(b, input, dim, descending)


@row("aten.argsort.stable", gives="place", samples=[sample(floats(3, 5, values="ties"), stable=True)])
def argsort_stable(b: Builder, input: Value, *, stable: bool, dim: int = -1, descending: bool = False) -> Value:
    """place[k] = argmax(j: [rank[j] = k])"""
    return _order(b, input, dim, descending)


def _order(b: Builder, x: Value, dim: int, descending: bool) -> Value:
    if not x.rank:
        return b.give((), size_of(0), kind="int")
    place = _places(b, x, dim % x.rank, descending)
    at = b.indices(b.dims(x.dims))
    return b.give(at, size_of(place.entry(*at)), kind="int")


@row("aten.msort.default", gives="s", samples=[sample(floats(5, 3, values="distinct"))])
def msort(b: Builder, input: Value) -> Value:
    """s[k] = x[place[k]], along the first dimension"""
    return _sorted(b, input, 0, False)[0]


@row(
    "aten.topk.default",
    gives="s",
    samples=[sample(floats(2, 5, values="distinct"), 3), sample(floats(5, 3, values="distinct"), 2, 0, False)],
)
def topk(
    b: Builder, input: Value, k: PolyLike, dim: int = -1, largest: bool = True, sorted: bool = True
) -> tuple[Value, Value]:
    """s[k] = x[place[k]] for the first k places"""
    return _sorted(b, input, dim, largest, k)


def _ranked(b: Builder, x: Value, dim: int, keepdim: bool, which: Poly) -> tuple[Value, Value]:
    """The element of one rank along a dimension."""
    if not x.rank:
        return b.give((), x[()], kind=x.kind), b.give((), size_of(0), 1, kind="int")
    axis = dim % x.rank
    place = _places(b, x, axis, False)
    r = over(b, x.dims, axis, keepdim)
    p = place.entry(*_line(r.at, axis, which))
    return b.give(r.out, x[_line(r.at, axis, p)], kind=x.kind), b.give(r.out, size_of(p), 1, kind="int")


@row(
    "aten.kthvalue.default",
    gives="s",
    samples=[sample(floats(2, 5, values="distinct"), 2), sample(floats(5, 3, values="distinct"), 4, 0, True)],
)
def kthvalue(b: Builder, input: Value, k: PolyLike, dim: int = -1, keepdim: bool = False) -> tuple[Value, Value]:
    """s[*n] = x[*n, place[*n, k - 1]]"""
    return _ranked(b, input, dim, keepdim, as_poly(k) - 1)


@row(
    "aten.median.dim",
    gives="s",
    samples=[sample(floats(2, 5, values="distinct"), 1), sample(floats(4, 3, values="distinct"), 0, True)],
)
def median_dim(b: Builder, input: Value, dim: int, keepdim: bool = False) -> tuple[Value, Value]:
    """s[*n] = x[*n, place[*n, (K - 1)//2]]"""
    length = input.dims[dim % input.rank] if input.rank else as_poly(1)
    return _ranked(b, input, dim, keepdim, (length - 1) // 2)


@row(
    "aten.median.default",
    gives="s",
    samples=[sample(floats(5, values="distinct")), sample(floats(2, 3, values="distinct")), sample(floats())],
)
def median(b: Builder, input: Value) -> Value:
    """s = x[place[(K - 1)//2]], x flattened"""
    if input.rank == 0:
        return b.give((), input[()])
    if input.rank > 1:
        i = b.index(numel(input.dims))
        input = b.define("flat", (i,), input[tuple(digits(i_poly(i), input.dims))])
    place = _places(b, input, 0, False)
    return b.give((), input[place.entry((input.dims[0] - 1) // 2)])
