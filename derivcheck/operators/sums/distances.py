"""Norms and distances; at 0 the gradient of a norm is 0, as in torch."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from derivcheck.notation.integers.polynomials import Index, i_poly
from derivcheck.notation.program.definitions import Spelling
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import ZERO, add, div, mul, neg, power, sub
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.substitute import extremum, summation
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import Dtype, floats, row, sample
from derivcheck.operators.language.values import Value, broadcast_dims, spread, test
from derivcheck.operators.pointwise.elementwise import absolute, clamped, root
from derivcheck.operators.sums.reductions import Axes, ReducedAxes, over, shared_extreme


def norm_of(b: Builder, r: ReducedAxes, x: Term, p: Any, *, shared: bool = True, squares: Spelling | None = None) -> Value:
    """The p-norm of ``x`` over a reduction's indices.

    ``shared``: among ties of its maximum, which else have it each; ``squares``: how torch computes the sum of squares.
    """
    order = 2 if p is None else p
    value = float(order) if isinstance(order, (int, float, Fraction)) else None
    if value is None:
        b.refuse("the order of a norm is not a number")
    if value == 2 and not r.inner:
        return b.give(r.out, absolute(x))
    if value == 2:
        square = b.define("sq", r.kept, summation(r.inner, power(x, 2)), spelling=squares)
        return b.give(r.out, root(square[r.kept]))
    if value == 1:
        return b.give(r.out, summation(r.inner, absolute(x)))
    if value == 0:
        return b.give(r.out, summation(r.inner, test("!=", x, ZERO)), stop=True)
    if value == float("inf") and not shared:  # torch's cdist gives each of them the whole gradient
        size = absolute(x)
        top = b.define("top", r.kept, extremum("max", r.inner, size), stop=True)[r.kept]
        return b.give(r.out, add(top, summation(r.inner, mul(test("==", size, top), sub(size, top)))))
    if value in (float("inf"), -float("inf")):
        return shared_extreme(b, "max" if value > 0 else "min", r, absolute(x))
    e = b.number(order)
    size = add(mul(test(">", x, ZERO), power(x, e)), mul(test("<", x, ZERO), power(neg(x), e)))
    if value < 0:
        size = power(absolute(x), e)
    total = b.define("total", r.kept, summation(r.inner, size))
    t = total[r.kept]
    return b.give(r.out, mul(test(">", t, ZERO), power(t, power(e, -1))))


_ORDERS = (2, 1, 0, 3, 2.5, float("inf"), -float("inf"))


@row(
    "aten.linalg_vector_norm.default",
    gives="norm",
    samples=[
        *(sample(floats(2, 3), p, [1]) for p in _ORDERS),
        sample(floats(2, 3, 5), 2, [0, 2], True),
        sample(floats(2, 3)),
        sample(floats(3, 5, values="ties"), 3, [1]),
        sample(floats(3, 5, values="ties"), 2, [1]),
        sample(floats()),
    ],
)
def vector_norm(b: Builder, input: Value, ord: Any = 2, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None) -> Value:
    """norm[*n] = sum(*k: |x[*n, *k]|^p)^(1/p)"""
    r = over(b, input.dims, dim, keepdim)
    return norm_of(b, r, input[r.at], ord)


@row(
    "aten.norm.Scalar",
    "aten.norm.ScalarOpt_dim",
    "aten.norm.ScalarOpt_dim_dtype",
    "aten.norm.ScalarOpt_dtype",
    gives="norm",
    samples=[
        *(sample(floats(2, 3), p, only="aten.norm.Scalar") for p in _ORDERS[:4]),
        sample(floats(2, 3, 5), 2, [1], only="aten.norm.ScalarOpt_dim"),
        sample(floats(2, 3), None, [0, 1], True, only="aten.norm.ScalarOpt_dim"),
        sample(floats(2, 3), 2, dtype=Dtype("float64"), only="aten.norm.ScalarOpt_dtype"),
        sample(floats(2, 3), 2, [1], True, dtype=Dtype("float64"), only="aten.norm.ScalarOpt_dim_dtype"),
    ],
)
def norm(b: Builder, input: Value, p: Any = 2, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None) -> Value:
    """norm[*n] = sum(*k: |x[*n, *k]|^p)^(1/p)"""
    return vector_norm(b, input, p, dim, keepdim)


@row("aten.frobenius_norm.dim", gives="norm", samples=[sample(floats(2, 3, 5), [1, 2])])
def frobenius(b: Builder, input: Value, dim: Axes, keepdim: bool = False) -> Value:
    """norm[*n] = sum(*k: x[*n, *k]^2)^(1/2)"""
    return vector_norm(b, input, 2, dim, keepdim)


@row(
    "aten.linalg_matrix_norm.str_ord",
    "aten.linalg_matrix_norm.default",
    gives="norm",
    samples=[
        sample(floats(2, 3, 5), only="aten.linalg_matrix_norm.str_ord"),
        *(sample(floats(2, 3, 5), p, only="aten.linalg_matrix_norm.default") for p in (1, -1, float("inf"), -float("inf"))),
        sample(floats(3, 5), 1, [1, 0], True, only="aten.linalg_matrix_norm.default"),
    ],
)
def matrix_norm(
    b: Builder, input: Value, ord: Any = "fro", dim: Sequence[int] = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Value:
    """norm[*n] = sum(i, j: x[*n, i, j]^2)^(1/2), or the largest sum of a column or a row"""
    if ord == "fro":
        return vector_norm(b, input, 2, dim, keepdim)
    if ord not in (1, -1, float("inf"), -float("inf")):
        b.refuse(f"the matrix norm {ord!r} needs singular values")
    row_axis, column_axis = dim[0] % input.rank, dim[1] % input.rank
    summed = row_axis if ord in (1, -1) else column_axis
    at = list(b.indices(input.dims))
    i = at.pop(summed)
    places = [*at[:summed], i, *at[summed:]]
    sums = b.define("sums", at, summation([i], absolute(input[tuple(places)])))
    other = column_axis if ord in (1, -1) else row_axis
    r = over(b, sums.dims, other - (other > summed))
    kind = "max" if ord > 0 else "min"
    if not keepdim:
        return shared_extreme(b, kind, r, sums[r.at])
    m = ReducedAxes(tuple(j for k, j in enumerate(_kept(r, input.rank, {row_axis, column_axis}))), r.inner, r.at, r.axes)
    return shared_extreme(b, kind, m, sums[r.at])


def _kept(r: ReducedAxes, rank: int, gone: set[int]) -> list[Index]:
    """The result's indices with one of size 1 where a dimension is kept."""
    rest = iter(r.kept)
    return [Index("u" if a == min(gone) else "v", 1, 7) if a in gone else next(rest) for a in range(rank)]


@row(
    "aten.linalg_norm.default",
    "aten.linalg_norm.ord_str",
    gives="norm",
    samples=[
        sample(floats(2, 3), only="aten.linalg_norm.default"),
        sample(floats(2, 3), 1, only="aten.linalg_norm.default"),
        sample(floats(5), 3, only="aten.linalg_norm.default"),
        sample(floats(2, 3), "fro", only="aten.linalg_norm.ord_str"),
        sample(floats(2, 3), 3, [1], only="aten.linalg_norm.default"),
    ],
)
def linalg_norm(
    b: Builder, input: Value, ord: Any = None, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None
) -> Value:
    """norm[*n] = the vector norm of a vector, the matrix norm of a matrix"""
    count = input.rank if dim is None else 1 if isinstance(dim, int) else len(dim)
    if ord is None or count == 1:
        return vector_norm(b, input, 2 if ord is None else ord, dim, keepdim)
    return matrix_norm(b, input, ord, (-2, -1) if dim is None or isinstance(dim, int) else dim, keepdim)


# -- distances -----------------------------------------------------------------------
@row(
    "aten.dist.default",
    gives="d",
    samples=[sample(floats(2, 3), floats(2, 3)), sample(floats(2, 3), floats(3), 1), sample(floats(2, 3), floats(2, 3), 3)],
)
def dist(b: Builder, input: Value, other: Value, p: Any = 2) -> Value:
    """d = sum(*k: |x[*k] - y[*k]|^p)^(1/p)"""
    dims = broadcast_dims(input.dims, other.dims)
    r = over(b, dims)
    return norm_of(b, r, sub(input[spread(input.dims, r.at)], other[spread(other.dims, r.at)]), p)


@row(
    "aten.pairwise_distance.default",
    gives="d",
    samples=[
        sample(floats(2, 3), floats(2, 3)),
        sample(floats(2, 3), floats(3), 1.0, 0.1, True),
        sample(floats(5), floats(5), 3.0),
    ],
)
def pairwise_distance(b: Builder, x1: Value, x2: Value, p: Any = 2, eps: Any = 1e-6, keepdim: bool = False) -> Value:
    """d[*n] = sum(k: |x[*n, k] - y[*n, k] + eps|^p)^(1/p)"""
    dims = broadcast_dims(x1.dims, x2.dims)
    r = over(b, dims, -1, keepdim)
    return norm_of(b, r, add(x1[spread(x1.dims, r.at)], neg(x2[spread(x2.dims, r.at)]), b.number(eps)), p)


@row(
    "aten.cdist.default",
    "aten._cdist_forward.default",
    gives="d",
    samples=[
        *(sample(floats(5, 3), floats(7, 3), p, None) for p in (2.0, 1.0, 3.0, float("inf"))),
        sample(floats(2, 5, 3), floats(2, 7, 3), 2.0, None),
        sample(floats(2, 5, 3), floats(1, 7, 3), 2.0, None, only="aten.cdist.default"),
    ],
)
def cdist(b: Builder, x1: Value, x2: Value, p: Any = 2, compute_mode: Any = None) -> Value:
    """d[*n, i, j] = sum(k: |x[*n, i, k] - y[*n, j, k]|^p)^(1/p)"""
    batch = broadcast_dims(x1.dims[:-2], x2.dims[:-2])
    at = b.indices(b.dims((*batch, x1.dims[-2], x2.dims[-2])))
    k = b.index(x1.dims[-1])
    *n, i, j = at
    left, right = x1[(*spread(x1.dims[:-2], n), i, k)], x2[(*spread(x2.dims[:-2], n), j, k)]
    r = ReducedAxes(at, (k,), (*at, k), (len(at),))
    exactly = 'compute_mode="donot_use_mm_for_euclid_dist"'
    return norm_of(b, r, sub(left, right), p, shared=False, squares=b.torch(f"torch.cdist({{}}, {{}}, {exactly})**2", x1, x2))


@row("aten._euclidean_dist.default", gives="d", samples=[sample(floats(5, 3), floats(7, 3))])
def euclidean_dist(b: Builder, x1: Value, x2: Value) -> Value:
    """d[*n, i, j] = sum(k: (x[*n, i, k] - y[*n, j, k])^2)^(1/2)"""
    return cdist(b, x1, x2)


@row(
    "aten.cosine_similarity.default",
    gives="cos",
    where="the norms are at least eps",
    samples=[
        sample(floats(2, 3), floats(2, 3)),
        sample(floats(2, 3, 5), floats(3, 5), -1),
        sample(floats(2, 3, 5), floats(2, 3, 5), 0, 1e-6),
        sample(floats(3), floats(3), 0),
    ],
)
def cosine_similarity(b: Builder, x1: Value, x2: Value, dim: int = 1, eps: Any = 1e-8) -> Value:
    """cos[*n] = sum(k: x[*n, k]*y[*n, k])/(max(|x[*n]|, eps)*max(|y[*n]|, eps))"""
    return cosine(b, x1, x2, dim, eps)


def cosine(b: Builder, x1: Value, x2: Value, dim: int, eps: Any) -> Value:
    """The cosine of two tensors along a dimension."""
    dims = broadcast_dims(x1.dims, x2.dims)
    r = over(b, dims, dim)
    x, y = x1[spread(x1.dims, r.at)], x2[spread(x2.dims, r.at)]
    lengths = []
    for hint, t in (("x_sq", x), ("y_sq", y)):
        square = b.define(hint, r.kept, summation(r.inner, power(t, 2)))
        lengths.append(clamped(root(square[r.kept]), b.number(eps), None))
    return b.give(r.out, div(summation(r.inner, mul(x, y)), mul(*lengths)))


@row(
    "aten.pdist.default",
    "aten._pdist_forward.default",
    gives="d",
    samples=[*(sample(floats(5, 3), p) for p in (2.0, 1.0, 3.0, float("inf"))), sample(floats(2, 3)), sample(floats(7, 2))],
)
def pdist(b: Builder, input: Value, p: Any = 2) -> Value:
    """d[q] = |x[i] - x[j]| for the q-th pair i < j"""
    n = input.dims[0]
    q = b.index(b.dims((n * (n - 1) // 2,))[0], "q")
    r = b.index(n - 1, "")
    end = (i_poly(r) + 1) * n - (i_poly(r) + 1) * (i_poly(r) + 2) // 2  # the pairs whose first member is at most r
    pairs = b.spell("torch.triu_indices({0}.shape[0], {0}.shape[0], 1, device={0}.device)[0]", input)
    first = b.define("first", (q,), summation([r], bracket(">=", i_poly(q) - end)), stop=True, kind="int", spelling=pairs)
    i = first.entry(q)
    j = i_poly(q) - (i * n - i * (i + 1) // 2) + i + 1
    k = b.index(input.dims[1], "k")
    return norm_of(b, ReducedAxes((q,), (k,), (q, k), (1,)), sub(input[i, k], input[j, k]), p, shared=False)
