"""Products that sum over shared indices: linear, matrix products, einsum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from derivcheck.notation.integers.atoms import extreme
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.notation.terms.build import ONE, add, mul, neg
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.substitute import summation
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import floats, row, sample
from derivcheck.operators.language.values import Position, Value, broadcast_dims, is_one, spread


@row(
    "aten.linear.default",
    gives="y",
    samples=[
        sample(floats(2, 3, 5), floats(7, 5), floats(7)),
        sample(floats(3, 5), floats(7, 5)),
        sample(floats(3, 5), floats(7, 5), floats(7)),
        sample(floats(5), floats(7, 5), floats(7)),
        sample(floats(3, 5), floats(5)),
        sample(floats(1, 1), floats(1, 1), floats(1)),
    ],
    textbook="""input_bar[n,i] = sum(o: grad_output[n,o]*weight[o,i])
                weight_bar[o,i] = sum(n: grad_output[n,o]*input[n,i])
                bias_bar[o] = sum(n: grad_output[n,o])""",
)
def linear(b: Builder, input: Value, weight: Value, bias: Value | None = None) -> Value:
    """y[*n, o] = sum(i: x[*n, i]*w[o, i]) + b[o]"""
    batch, inner = input.dims[:-1], weight.dims[-1]
    at = b.indices(b.dims((*batch, *weight.dims[:-1])))
    i = b.index(inner, "i" if inner.constant is not None else "")
    n, o = at[: len(batch)], at[len(batch) :]
    y = summation([i], mul(input[(*n, i)], weight[(*o, i)]))
    operands = (input, weight) if bias is None else (input, weight, bias)
    spelled = b.spell(f"torch.nn.functional.linear({', '.join('{}' for _ in operands)})", *operands)
    return b.give(at, y if bias is None else add(y, bias[spread(bias.dims, o)]), spelling=spelled)


def _product(b: Builder, x: Value, y: Value, extra: Value | None = None, beta: Any = 1, alpha: Any = 1) -> Value:
    """``beta·extra + alpha·x·y`` by matmul's rules: vectors, matrices, broadcast batches."""
    if x.rank == 0 or y.rank == 0:
        b.refuse("both operands need at least one dimension")
    rows, columns = x.dims[-2:-1], y.dims[-1:] if y.rank > 1 else ()
    batch = broadcast_dims(x.dims[:-2], y.dims[:-2])
    at = b.indices(b.dims((*batch, *rows, *columns)))
    k = b.index(x.dims[-1], "k" if x.dims[-1].constant is not None else "")
    lead = at[: len(batch)]
    m, n = at[len(batch) : len(batch) + len(rows)], at[len(at) - len(columns) :]
    left = x[(*spread(x.dims[:-2], lead), *m, k)]
    right = y[(*spread(y.dims[:-2], lead), k, *n)]
    term = b.scaled(alpha, summation([k], mul(left, right)))
    if extra is not None and beta == 0:  # not read, and yet it has to fit
        for have, index in zip(extra.dims, at[len(at) - extra.rank :]):
            if have.constant != 1:
                b.require(have, "==", index.size)
    if extra is not None and beta != 0:
        term = add(term, b.scaled(beta, extra[spread(extra.dims, at)]))
    return b.give(at, term)


@row(
    "aten.mm.default",
    "aten.bmm.default",
    "aten.mv.default",
    "aten.dot.default",
    "aten.matmul.default",
    "aten.inner.default",
    "aten.vdot.default",
    "aten.linalg_vecdot.default",
    "aten.linalg_matmul.default",
    gives="y",
    samples=[
        sample(floats(2, 3), floats(3, 5), only="aten.mm.default"),
        sample(floats(2, 3, 5), floats(2, 5, 7), only="aten.bmm.default"),
        sample(floats(2, 3), floats(3), only="aten.mv.default"),
        sample(floats(3), floats(3), only="aten.dot.default"),
        *(
            sample(floats(*p), floats(*q), only="aten.matmul.default")
            for p, q in [
                ((3,), (3,)),
                ((2, 3), (3,)),
                ((3,), (3, 5)),
                ((2, 3), (3, 5)),
                ((7, 2, 3), (3, 5)),
                ((7, 1, 2, 3), (5, 3, 2)),
                ((3,), (7, 3, 5)),
                ((7, 2, 3), (3,)),
                ((1, 2, 3), (7, 3, 5)),
                ((2, 1), (1, 5)),
                ((7, 2, 3), (7, 3, 1)),
            ]
        ),
        sample(floats(2, 3), floats(5, 3), only="aten.inner.default"),
        sample(floats(2, 3), floats(2, 3), only="aten.linalg_vecdot.default"),
        sample(floats(5), floats(5), only="aten.vdot.default"),
        sample(floats(2, 3), floats(3, 5), only="aten.linalg_matmul.default"),
    ],
)
def matmul(b: Builder, input: Value, other: Value, *, dim: int = -1) -> Value:
    """y[*n, i, j] = sum(k: x[*n, i, k]*w[*n, k, j])"""
    if b.rule == "inner" and not (input.rank and other.rank):
        return b.elementwise(mul, input, other)
    if b.rule == "inner":
        i, o = b.indices(input.dims[:-1]), b.indices(other.dims[:-1])
        k = b.index(input.dims[-1])
        return b.give((*i, *o), summation([k], mul(input[(*i, k)], other[(*o, k)])))
    if b.rule == "linalg_vecdot":
        dims = list(broadcast_dims(input.dims, other.dims))
        at = list(b.indices(dims))
        axis = dim % len(dims)
        term = summation([at[axis]], mul(input[spread(input.dims, at)], other[spread(other.dims, at)]))
        return b.give((*at[:axis], *at[axis + 1 :]), term)
    return _product(b, input, other)


@row(
    "aten.addmm.default",
    "aten.baddbmm.default",
    "aten.addmv.default",
    gives="y",
    samples=[
        sample(floats(5), floats(2, 3), floats(3, 5), only="aten.addmm.default"),
        sample(floats(2, 1), floats(2, 3), floats(3, 5), beta=2, alpha=3, only="aten.addmm.default"),
        sample(floats(2, 5), floats(2, 3), floats(3, 5), beta=0, only="aten.addmm.default"),
        sample(floats(7, 2, 5), floats(7, 2, 3), floats(7, 3, 5), beta=0.5, only="aten.baddbmm.default"),
        sample(floats(5), floats(5, 3), floats(3), alpha=2, only="aten.addmv.default"),
    ],
)
def addmm(b: Builder, input: Value, mat1: Value, mat2: Value, *, beta: Any = 1, alpha: Any = 1) -> Value:
    """y[*n, i, j] = beta*c[*n, i, j] + alpha*sum(k: x[*n, i, k]*w[*n, k, j])"""
    return _product(b, mat1, mat2, input, beta, alpha)


@row("aten.addbmm.default", gives="y", samples=[sample(floats(2, 5), floats(7, 2, 3), floats(7, 3, 5), beta=2, alpha=3)])
def addbmm(b: Builder, input: Value, batch1: Value, batch2: Value, *, beta: Any = 1, alpha: Any = 1) -> Value:
    """y[i, j] = beta*c[i, j] + alpha*sum(n, k: x[n, i, k]*w[n, k, j])"""
    i, j = b.indices(b.dims((batch1.dims[1], batch2.dims[2])))
    n, k = b.indices((batch1.dims[0], batch1.dims[2]))
    term = b.scaled(alpha, summation([n, k], mul(batch1[n, i, k], batch2[n, k, j])))
    return b.give((i, j), term if beta == 0 else add(term, b.scaled(beta, input[spread(input.dims, (i, j))])))


@row("aten.outer.default", "aten.ger.default", gives="y", samples=[sample(floats(2), floats(3))])
def outer(b: Builder, input: Value, vec2: Value) -> Value:
    """y[i, j] = x[i]*w[j]"""
    i, j = b.indices((input.dims[0], vec2.dims[0]))
    return b.give((i, j), mul(input[i], vec2[j]))


@row("aten.addr.default", gives="y", samples=[sample(floats(2, 3), floats(2), floats(3), beta=2, alpha=3)])
def addr(b: Builder, input: Value, vec1: Value, vec2: Value, *, beta: Any = 1, alpha: Any = 1) -> Value:
    """y[i, j] = beta*c[i, j] + alpha*x[i]*w[j]"""
    i, j = b.indices((vec1.dims[0], vec2.dims[0]))
    term = b.scaled(alpha, mul(vec1[i], vec2[j]))
    return b.give((i, j), term if beta == 0 else add(term, b.scaled(beta, input[spread(input.dims, (i, j))])))


@row(
    "aten.bilinear.default",
    gives="y",
    samples=[
        sample(floats(2, 3), floats(2, 5), floats(7, 3, 5), floats(7)),
        sample(floats(3), floats(5), floats(7, 3, 5)),
        sample(floats(2, 11, 3), floats(2, 11, 5), floats(7, 3, 5), floats(7)),
    ],
)
def bilinear(b: Builder, input1: Value, input2: Value, weight: Value, bias: Value | None = None) -> Value:
    """y[*n, o] = sum(i, j: x[*n, i]*w[o, i, j]*z[*n, j]) + b[o]"""
    *n, o = b.indices((*input1.dims[:-1], weight.dims[0]))
    i, j = b.indices(weight.dims[1:])
    term = summation([i, j], mul(input1[(*n, i)], weight[o, i, j], input2[(*n, j)]))
    return b.give((*n, o), term if bias is None else add(term, bias[o]))


@row(
    "aten.einsum.default",
    gives="y",
    samples=[
        sample("ij,jk->ik", [floats(2, 3), floats(3, 5)]),
        sample("bhqd,bhkd->bhqk", [floats(2, 3, 5, 7), floats(2, 3, 11, 7)]),
        sample("ij,jk", [floats(2, 3), floats(3, 5)]),
        sample("ii->i", [floats(3, 3)]),
        sample("ii", [floats(3, 3)]),
        sample("...ij,...jk->...ik", [floats(7, 2, 3), floats(3, 5)]),
        sample("i,j->ij", [floats(2), floats(3)]),
        sample("ij,j,ik->k", [floats(2, 3), floats(3), floats(2, 5)]),
        sample("ij->", [floats(2, 3)]),
        sample("i j -> j i", [floats(2, 3)]),
        sample("b...,...->b...", [floats(2, 3, 5), floats(3, 5)]),
        sample("ij,ij->ij", [floats(1, 3), floats(2, 3)]),
    ],
)
def einsum(b: Builder, equation: str, tensors: Sequence[Value], *, path: Any = None) -> Value:
    """y[out] = sum(other letters: product of the operands)"""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    labels = [_labels(part, t.rank) for part, t in zip(left.split(","), tensors, strict=True)]
    lengths: dict[str, Poly] = {}
    for part, t in zip(labels, tensors):
        for letter, length in zip(part, t.dims):
            if letter not in lengths or is_one(lengths[letter]):
                lengths[letter] = length
    dots = sorted((c for c in lengths if c[0] == "."), key=lambda c: -int(c[1:]))
    if arrow:
        out = [c for piece in _pieces(right) for c in (dots if piece == "..." else [piece])]
    else:
        count = [c for part in labels for c in part if c[0] != "."]
        out = dots + sorted(c for c in set(count) if count.count(c) == 1)
    dims = b.dims([lengths[c] for c in out])
    index: dict[str, Index] = {}
    for c, length in [*zip(out, dims), *((c, lengths[c]) for c in lengths if c not in out)]:
        index[c] = b.index(length, c if c[0] != "." and c.islower() else "")
    factors = [
        t[tuple(0 if is_one(d) and not is_one(lengths[c]) else index[c] for c, d in zip(part, t.dims))]
        for part, t in zip(labels, tensors)
    ]
    return b.give([index[c] for c in out], summation([index[c] for c in lengths if c not in out], mul(ONE, *factors)))


def _pieces(text: str) -> list[str]:
    out = []
    while text:
        step = 3 if text.startswith("...") else 1
        out.append(text[:step])
        text = text[step:]
    return out


def _labels(text: str, rank: int) -> list[str]:
    """One label per dimension; those under ``...`` are ``.k``, counted from the right."""
    pieces = _pieces(text)
    hidden = rank - (len(pieces) - 1)
    return [c for p in pieces for c in ([f".{k}" for k in range(hidden - 1, -1, -1)] if p == "..." else [p])]


@row("aten.tensordot.default", gives="y", samples=[sample(floats(2, 3, 5), floats(5, 3, 7), [1, 2], [1, 0])])
def tensordot(b: Builder, input: Value, other: Value, dims_self: Sequence[int], dims_other: Sequence[int]) -> Value:
    """y[*i, *j] = sum(*k: x[*i, *k]*w[*k, *j])"""
    here, there = [d % input.rank for d in dims_self], [d % other.rank for d in dims_other]
    mine, yours = [a for a in range(input.rank) if a not in here], [a for a in range(other.rank) if a not in there]
    left = dict(zip(mine, b.indices([input.dims[a] for a in mine])))
    right = dict(zip(yours, b.indices([other.dims[a] for a in yours])))
    shared = b.indices([broadcast_dims([input.dims[a]], [other.dims[c]])[0] for a, c in zip(here, there)])
    at: dict[int, Position] = {**left, **{a: spread([input.dims[a]], [i])[0] for a, i in zip(here, shared)}}
    bt: dict[int, Position] = {**right, **{c: spread([other.dims[c]], [i])[0] for c, i in zip(there, shared)}}
    term = mul(input[tuple(at[a] for a in range(input.rank))], other[tuple(bt[a] for a in range(other.rank))])
    return b.give((*left.values(), *right.values()), summation(shared, term))


@row("aten.kron.default", gives="y", samples=[sample(floats(2, 3), floats(5, 7)), sample(floats(2, 3), floats(5))])
def kron(b: Builder, input: Value, other: Value) -> Value:
    """y[i*Q + j] = x[i]*w[j], in every dimension"""
    rank = max(input.rank, other.rank)
    mine = (*[as_poly(1)] * (rank - input.rank), *input.dims)
    yours = (*[as_poly(1)] * (rank - other.rank), *other.dims)
    at = b.indices(b.dims([p * q for p, q in zip(mine, yours)]))
    first = [i_poly(a) // q for a, q in zip(at, yours)][rank - input.rank :]
    second = [i_poly(a) % q for a, q in zip(at, yours)][rank - other.rank :]
    return b.give(at, mul(input[tuple(first)], other[tuple(second)]))


@row("aten.trace.default", gives="y", samples=[sample(floats(3, 3)), sample(floats(3, 5)), sample(floats(5, 3))])
def trace(b: Builder, input: Value) -> Value:
    """y = sum(i: x[i, i])"""
    i = b.index(extreme("min", *input.dims))
    return b.give((), summation([i], input[i, i]))


@row(
    "aten.cross.default",
    "aten.linalg_cross.default",
    gives="y",
    samples=[
        sample(floats(2, 3), floats(2, 3), dim=1),
        sample(floats(3, 5), floats(3, 5), dim=0),
        sample(floats(2, 3), floats(1, 3), dim=-1),
    ],
)
def cross(b: Builder, input: Value, other: Value, dim: int | None = None) -> Value:
    """y[k] = x[k+1]*w[k+2] - x[k+2]*w[k+1], positions modulo 3"""
    dims = broadcast_dims(input.dims, other.dims)
    if dim is None:
        dim = -1 if b.rule == "linalg_cross" else next(a for a, d in enumerate(dims) if d.constant == 3)
    axis = dim % len(dims)
    at = b.indices(b.dims(dims))

    def moved(x: Value, by: int) -> Term:
        places = [i_poly(a) for a in at]
        places[axis] = (places[axis] + by) % 3
        return x[spread(x.dims, places)]

    return b.give(at, add(mul(moved(input, 1), moved(other, 2)), neg(mul(moved(input, 2), moved(other, 1)))))
