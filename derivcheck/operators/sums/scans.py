"""Cumulative sums, products and extremes along a dimension."""

from __future__ import annotations

from typing import Any

from derivcheck.notation.integers.polynomials import Poly, i_poly
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import ZERO, add, func, mul, neg, size_of, sub
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.substitute import extremum, summation
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import Dtype, floats, ints, row, sample
from derivcheck.operators.language.values import Value, finite, test, where
from derivcheck.operators.sums.reductions import line

_SCANS = [
    sample(floats(5), 0),
    sample(floats(2, 5), 1),
    sample(floats(5, 3), 0),
    sample(floats(2, 5, 3), -2),
    sample(floats(), 0),
    sample(floats(1), 0),
]


@row(
    "aten.cumsum.default",
    gives="s",
    samples=[*_SCANS, sample(ints(5, below=4), 0), sample(ints(5, below=4), 0, dtype=Dtype("float64"))],
)
def cumsum(b: Builder, input: Value, dim: int, *, dtype: Any = None) -> Value:
    """s[k] = sum(j: [j <= k]*x[j])"""
    at = b.indices(b.dims(input.dims))
    if not at:
        return b.give(at, input[()], kind=input.kind)
    axis = dim % input.rank
    j = b.index(input.dims[axis])
    spelling = b.spell(f"torch.cumsum({{}}, dim={axis})", input) if input.kind == "float" else None
    term = summation([j], mul(bracket(">=", i_poly(at[axis]) - i_poly(j)), input[line(at, axis, j)]))
    return b.give(at, term, kind="float" if input.kind == "float" else "int", spelling=spelling)


@row("aten.cumprod.default", gives="p", samples=[*_SCANS, sample(floats(3, 5, values="ties"), 1)])
def cumprod(b: Builder, input: Value, dim: int, *, dtype: Any = None) -> Value:
    """p[k] = p[k - 1]*x[k]"""
    at = b.indices(b.dims(input.dims))
    if not at:
        return b.give(at, input[()])
    axis = dim % input.rank
    k = i_poly(at[axis])

    def term(p: Value) -> Term:
        before = add(bracket("==", k), mul(bracket(">=", k - 1), p[line(at, axis, k - 1)]))
        return mul(before, input[at])

    return b.recur(b.named(), at, term)


@row("aten.logcumsumexp.default", gives="lse", samples=_SCANS)
def logcumsumexp(b: Builder, input: Value, dim: int) -> Value:
    """lse[k] = m[k] + log(sum(j: [j <= k]*exp(x[j] - m[k]))), m the largest so far, through which no gradient flows

    Where all so far is −∞ the result is −∞, without gradient.
    """
    at = b.indices(b.dims(input.dims))
    if not at:
        return b.give(at, input[()])
    axis = dim % input.rank
    j = b.index(input.dims[axis])
    so_far = bracket(">=", i_poly(at[axis]) - i_poly(j))
    x = input[line(at, axis, j)]
    largest = where(so_far, x, neg(func("inf")))
    top = b.define(
        "top", at, extremum("max", [j], largest), stop=True, spelling=b.torch(f"torch.cummax({{}}, dim={axis}).values", input)
    )
    m = b.define("m", at, mul(finite(top[at]), top[at]), stop=True)
    total = b.define("total", at, summation([j], mul(so_far, func("exp", sub(x, m[at])))))[at]
    log = where(test(">", total, ZERO), func("log", total), neg(func("inf")))
    return b.give(at, add(m[at], log), spelling=b.torch(f"torch.logcumsumexp({{}}, dim={axis})", input))


def _extreme(b: Builder, kind: str, input: Value, dim: int) -> tuple[Value, Value]:
    """The extreme so far and its place, by looking back."""
    at = b.indices(b.dims(input.dims))
    if not at:
        return b.give(at, input[()]), b.give(at, size_of(0), 1, kind="int")
    axis = dim % input.rank
    back = b.index(input.dims[axis])
    k = i_poly(at[axis])
    earlier = k - i_poly(back)  # from the latest back, so that the latest among equals wins, as in torch
    out = neg(func("inf")) if kind == "max" else func("inf")
    places = f"torch.arange({{0}}.shape[{axis}], device={{0}}.device)" + ".unsqueeze(-1)" * (input.rank - axis - 1)
    steps = b.define(
        "back",
        at,
        extremum(f"arg{kind}", [back], where(bracket(">=", earlier), input[line(at, axis, earlier)], out)),
        stop=True,
        kind="int",
        spelling=b.spell(f"({places} - torch.cum{kind}({{0}}, dim={axis}).indices)", input),
    )
    place: Poly = k - steps.entry(*at)
    return b.give(at, input[line(at, axis, place)]), b.give(at, size_of(place), 1, kind="int")


_EXTREMES = [sample(floats(5, 3), 0), sample(floats(3, 5, values="ties"), 1), sample(floats(), 0)]


@row("aten.cummax.default", gives="m", samples=_EXTREMES)
def cummax(b: Builder, input: Value, dim: int) -> tuple[Value, Value]:
    """m[k] = x[best[k]], the last place of the largest among x[0], ..., x[k]"""
    return _extreme(b, "max", input, dim)


@row("aten.cummin.default", gives="m", samples=_EXTREMES)
def cummin(b: Builder, input: Value, dim: int) -> tuple[Value, Value]:
    """m[k] = x[best[k]], the last place of the smallest among x[0], ..., x[k]"""
    return _extreme(b, "min", input, dim)


@row("aten.diff.default", samples=[sample(floats(2, 5)), sample(floats(5, 3), 2, 0)])
def diff(
    b: Builder, input: Value, n: int = 1, dim: int = -1, prepend: Value | None = None, append: Value | None = None
) -> Value:
    """d[k] = x[k + 1] - x[k]"""
    if prepend is not None or append is not None:
        b.refuse("prepend and append", "Use torch.cat first")
    axis, x = dim % input.rank, input
    for step in range(n):
        dims = [*x.dims[:axis], x.dims[axis] - 1, *x.dims[axis + 1 :]]
        last = step == n - 1
        at = b.indices(b.dims(dims) if last else dims)
        k = i_poly(at[axis])
        term = sub(x[line(at, axis, k + 1)], x[line(at, axis, k)])
        x = b.give(at, term) if last else b.define("d", at, term)
    return x
