"""Covariances and correlations of the rows of a matrix."""

from __future__ import annotations

from typing import Any

from derivcheck.notation.integers.polynomials import Index, as_poly
from derivcheck.notation.terms.build import MINUS_ONE, ONE, div, mul, power, size_of, sub
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.substitute import summation
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import floats, ints, row, sample
from derivcheck.operators.language.values import Value
from derivcheck.operators.pointwise.elementwise import HALF, clamped


def _covariance(b: Builder, x: Value, correction: Any, counts: Value | None, weights: Value | None, hint: str = "") -> Value:
    """``cov[i, j]``; of a single row without dimensions."""
    if x.rank > 2:
        b.refuse("it takes at most two dimensions")
    rows, length = (x.dims[0], x.dims[1]) if x.rank == 2 else (as_poly(1), x.dims[0] if x.rank else as_poly(1))
    b.require(length, ">=", 1)  # of no observation torch gives NaN
    i, j, k, q, r = b.indices((rows, rows, length, length, length), ("i", "j", "k", "", ""))

    def element(line: Index, column: Index) -> Term:
        return x[line, column] if x.rank == 2 else x[(column,) * x.rank]

    def weight(column: Index) -> Term:
        return mul(*(w[(column,) * w.rank] for w in (counts, weights) if w is not None))

    plain = counts is None and weights is None
    total = size_of(length) if plain else b.define("total", (), summation([r], weight(r)))[()]
    mean = b.define("mean", (i,), div(summation([k], mul(weight(k), element(i, k))), total))
    c = b.number(correction)
    if weights is not None and correction != 0:
        c = div(mul(c, summation([q], mul(weight(q), weights[(q,) * weights.rank]))), total)
    free = sub(total, c)
    products = mul(weight(k), sub(element(i, k), mean[i]), sub(element(j, k), mean[j]))
    term = div(summation([k], products), free)
    single = rows.constant == 1
    if hint:
        return b.define(hint, (i, j), term)
    if not single:
        return b.give((i, j), term)
    whole = b.define("c", (i, j), term)
    return b.give((), whole[0, 0])


@row(
    "aten.cov.default",
    gives="cov",
    samples=[
        sample(floats(3, 5)),
        sample(floats(5)),
        sample(floats(3, 5), correction=0),
        sample(floats(1, 5)),
        sample(floats(3, 5), fweights=ints(5, below=4, values="positive")),
        sample(floats(3, 5), aweights=floats(5, values="positive")),
        sample(floats(3, 5), correction=0, fweights=ints(5, below=4, values="positive"), aweights=floats(5, values="positive")),
    ],
)
def cov(
    b: Builder, input: Value, *, correction: Any = 1, fweights: Value | None = None, aweights: Value | None = None
) -> Value:
    """cov[i, j] = sum(k: w[k]*(x[i, k] - mean[i])*(x[j, k] - mean[j]))/(sum(k: w[k]) - correction)"""
    return _covariance(b, input, correction, fweights, aweights)


@row("aten.corrcoef.default", gives="r", samples=[sample(floats(3, 5)), sample(floats(5)), sample(floats(1, 5))])
def corrcoef(b: Builder, input: Value) -> Value:
    """r[i, j] = cov[i, j]/(cov[i, i]*cov[j, j])^(1/2), clamped to -1 ... 1"""
    if input.rank:
        b.room(input.dims[-1], 2)  # of one observation torch gives NaN
    c = _covariance(b, input, 1, None, None, "c")
    single = c.dims[0].constant == 1
    at: tuple[Index, ...] = () if single else b.indices(b.dims(c.dims))
    i, j = at or (as_poly(0), as_poly(0))
    k = b.index(c.dims[0])
    sd = b.define("sd", (k,), power(c[k, k], HALF))  # of a constant row 0/0 is no number; c/c would be 1
    return b.give(at, clamped(div(div(c[i, j], sd[i]), sd[j]), MINUS_ONE, ONE))
