"""Sorting through its witness: the place of each element in order is an integer result, the values are read there.

``rank[j]`` counts the elements that come before ``x[j]`` (the earlier one among equals first), ``place[k]`` is where
rank k is found.  No gradient flows through either; the values are ``x[place[k]]``.
"""

from __future__ import annotations

from derivcheck.notation.integers.atoms import extreme
from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Poly, PolyLike, as_poly, i_poly
from derivcheck.notation.program.definitions import Spelling
from derivcheck.notation.program.program import NO_TIES
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import add, div, func, mul, size_of
from derivcheck.notation.terms.nodes import Bracket, Term
from derivcheck.notation.terms.substitute import extremum, summation
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import floats, row, sample
from derivcheck.operators.language.values import Value, not_a_number, test, where
from derivcheck.operators.shapes.reshapes import digits
from derivcheck.operators.sums.reductions import ReducedAxes, line, over

_NUMBERS = "no element is NaN (torch's median is NaN then)"


def _places(b: Builder, x: Value, axis: int, descending: bool, holes: bool = False) -> Value:
    """``place[…, k, …]``: where the k-th element in order stands."""
    b.assume(NO_TIES)
    at = b.indices(x.dims)
    i, j = b.index(x.dims[axis]), at[axis]
    mine, other = x[at], x[line(at, axis, i)]
    earlier, later = bracket(">=", i_poly(j) - i_poly(i) - 1), bracket(">=", i_poly(i) - i_poly(j) - 1)
    order = ">" if descending else "<"
    before = add(mul(earlier, test(order + "=", other, mine)), mul(later, test(order, other, mine)))
    if holes:  # what is no number comes last
        mine_out, other_out = not_a_number(mine), not_a_number(other)
        late = mul(mine_out, other_out, earlier)
        number, other_number = Bracket("==", mine_out), Bracket("==", other_out)  # no comparison with NaN is relied on
        before = add(mul(number, other_number, before), mul(mine_out, other_number), late)
    rank = b.define("rank", at, summation([i], before), stop=True, kind="int")
    k = b.index(x.dims[axis])
    found = bracket("==", rank.entry(*at) - i_poly(k))
    spelling = b.spell(f"torch.argsort({{}}, dim={axis}, descending={descending}, stable=True)", x)
    over_k = (*at[:axis], k, *at[axis + 1 :])
    return b.define("place", over_k, extremum("argmax", [j], found), stop=True, kind="int", spelling=spelling)


def _sorted(b: Builder, x: Value, dim: int, descending: bool, count: PolyLike | None = None) -> tuple[Value, Value]:
    """The elements in order, and their places; only the first ``count`` where it is given."""
    if not x.rank:
        return b.give((), x[()], kind=x.kind), b.give((), size_of(0), 1, kind="int")
    axis = dim % x.rank
    place = _places(b, x, axis, descending)
    dims = list(x.dims)
    if count is not None:
        b.room(x.dims[axis], count)
        dims[axis] = as_poly(count)
    at = b.indices(b.dims(dims))
    value = b.give(at, x[line(at, axis, place.entry(*at))], kind=x.kind)
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
    b.room(x.dims[axis], which + 1)
    place = _places(b, x, axis, False)
    r = over(b, x.dims, axis, keepdim)
    p = place.entry(*line(r.at, axis, which))
    return b.give(r.out, x[line(r.at, axis, p)], kind=x.kind), b.give(r.out, size_of(p), 1, kind="int")


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
    b.assume(_NUMBERS)
    return _ranked(b, input, dim, keepdim, (length - 1) // 2)


@row(
    "aten.median.default",
    gives="s",
    samples=[sample(floats(5, values="distinct")), sample(floats(2, 3, values="distinct")), sample(floats())],
)
def median(b: Builder, input: Value) -> Value:
    """s = x[place[(K - 1)//2]], x flattened; ties share the gradient"""
    if input.rank == 0:
        return b.give((), input[()])
    b.assume(_NUMBERS)
    line = _line_of_all(b, input)
    b.require(line.dims[0], ">=", 1)  # of nothing torch gives NaN
    place = _places(b, line, 0, False)
    return _shared(b, line, line[place.entry((line.dims[0] - 1) // 2)], b.torch("torch.median({})", input))


def _shared(b: Builder, line: Value, chosen: Term, spelling: Spelling | None) -> Value:
    """An element of a line, whose gradient all that equal it share, as in torch."""
    level = b.define("level", (), chosen, stop=True)[()]
    k = b.index(line.dims[0])
    equal = test("==", line[k], level)
    ties = b.define("ties", (), summation([k], equal), stop=True)[()]
    return b.give((), div(summation([k], mul(equal, line[k])), ties), spelling=spelling)


def _middle(b: Builder, x: Value, axis: int, r: ReducedAxes) -> Poly:
    """Where the median of the numbers stands among them in order, NaN left out."""
    number = Bracket("==", not_a_number(x[r.at]))
    count = b.define("count", r.kept, summation([r.at[axis]], number), stop=True, kind="int")
    return extreme("max", (count.entry(*r.kept) - 1) // 2, 0)


@row(
    "aten.nanmedian.dim",
    gives="s",
    samples=[sample(floats(2, 5, values="infinite"), 1), sample(floats(5, 3, values="distinct"), 0, True)],
)
def nanmedian_dim(b: Builder, input: Value, dim: int, keepdim: bool = False) -> tuple[Value, Value]:
    """s[*n] = x[*n, place[*n, (count[*n] - 1)//2]], the median of what is a number"""
    if not input.rank:
        return b.give((), input[()]), b.give((), size_of(0), 1, kind="int")
    axis = dim % input.rank
    place = _places(b, input, axis, False, holes=True)
    r = over(b, input.dims, axis, keepdim)
    p = place.entry(*line(r.at, axis, _middle(b, input, axis, r)))
    return b.give(r.out, input[line(r.at, axis, p)]), b.give(r.out, size_of(p), 1, kind="int")


@row(
    "aten.nanmedian.default",
    gives="s",
    samples=[sample(floats(5, values="infinite")), sample(floats(2, 3, values="distinct")), sample(floats())],
)
def nanmedian(b: Builder, input: Value) -> Value:
    """s = x[place[(count - 1)//2]], the median of what is a number, x flattened; ties share the gradient"""
    if input.rank == 0:
        return b.give((), input[()])
    line = _line_of_all(b, input)
    place = _places(b, line, 0, False, holes=True)
    r = over(b, line.dims, 0)
    return _shared(b, line, line[place.entry(_middle(b, line, 0, r))], b.torch("torch.nanmedian({})", input))


def _line_of_all(b: Builder, x: Value) -> Value:
    if x.rank == 1:
        return x
    i = b.index(numel(x.dims))
    return b.define("flat", (i,), x[tuple(digits(i_poly(i), x.dims))])


@row(
    "aten.mode.default",
    gives="s",
    samples=[sample(floats(2, 5, values="distinct")), sample(floats(5, 3, values="distinct"), 0, True)],
)
def mode(b: Builder, input: Value, dim: int = -1, keepdim: bool = False) -> tuple[Value, Value]:
    """s[*n] = x[*n, best[*n]], the smallest of the values that occur most often"""
    if not input.rank:
        return b.give((), input[()], kind=input.kind), b.give((), size_of(0), 1, kind="int")
    axis = dim % input.rank
    b.assume(NO_TIES)
    at = b.indices(input.dims)
    i = b.index(input.dims[axis])
    times = b.define("times", at, summation([i], test("==", input[line(at, axis, i)], input[at])), stop=True, kind="int")
    r = over(b, input.dims, axis, keepdim)
    most = b.define("most", r.kept, extremum("max", r.inner, size_of(times.entry(*r.at))), stop=True, kind="int")
    often = bracket("==", times.entry(*r.at) - most.entry(*r.kept))
    best = b.define("best", r.kept, extremum("argmin", r.inner, where(often, input[r.at], func("inf"))), stop=True, kind="int")
    p = best.entry(*r.kept)
    return b.give(r.out, input[line(r.at, axis, p)], kind=input.kind), b.give(r.out, size_of(p), 1, kind="int")
