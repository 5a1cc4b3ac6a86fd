"""softmax and log_softmax: shifted by the largest element, which cancels and therefore carries no gradient."""

from __future__ import annotations

from typing import Any

from derivcheck.notation.integers.polynomials import Index
from derivcheck.notation.terms.brackets import opposite
from derivcheck.notation.terms.build import add, div, func, mul, neg, number, sub
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.substitute import extremum, summation
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import floats, row, sample
from derivcheck.operators.language.values import Value, test


def largest(b: Builder, x: Value, kept: tuple[Index, ...], axis: int) -> Value:
    """``top[kept] = max over axis``, without gradient: what is subtracted before ``exp``."""
    k = b.index(x.dims[axis], "")
    return b.define("top", kept, extremum("max", [k], x[(*kept[:axis], k, *kept[axis:])]), stop=True)


def _shifted(b: Builder, x: Value, axis: int) -> tuple[tuple[Index, ...], Term, Term]:
    """The indices, ``x − top`` there, and ``Σ exp(x − top)`` over the axis."""
    at = b.indices(x.dims)
    kept = (*at[:axis], *at[axis + 1 :])
    top = largest(b, x, kept, axis)
    k = b.index(x.dims[axis], "")
    total = summation([k], func("exp", sub(x[(*at[:axis], k, *at[axis + 1 :])], top[kept])))
    return at, sub(x[at], top[kept]), total


_SAMPLES = [
    sample(floats(2, 3), 1),
    sample(floats(2, 3, 5), 1),
    sample(floats(2, 3, 5), -1),
    sample(floats(3), 0),
    sample(floats(2, 1), 1),
]


def softmax_of(b: Builder, input: Value, dim: int) -> Value:
    """The softmax of a value along ``dim``."""
    if input.rank == 0:
        return b.give((), number(1))
    axis = int(dim) % input.rank
    at, shifted, total = _shifted(b, input, axis)
    return b.give(
        at, div(func("exp", shifted), total), spelling=b.spell(f"torch.softmax({{}}, dim={axis - input.rank})", input)
    )


@row(
    "aten.softmax.int",
    "aten._softmax.default",
    "aten.special_softmax.default",
    gives="p",
    samples=[
        *(sample(*s.args, None, only="aten.softmax.int") for s in _SAMPLES),
        sample(floats(2, 3), 1, False, only="aten._softmax.default"),
        sample(floats(2, 3), 0, None, only="aten.special_softmax.default"),
    ],
    textbook="input_bar[n,c] = p[n,c]*(grad_output[n,c] - sum(k: grad_output[n,k]*p[n,k]))",
)
def softmax(b: Builder, input: Value, dim: int, dtype: Any = None) -> Value:
    """p[*n, c] = exp(x[*n, c] - top[*n])/sum(k: exp(x[*n, k] - top[*n]))"""
    return softmax_of(b, input, dim)


@row(
    "aten.log_softmax.int",
    "aten._log_softmax.default",
    "aten.special_log_softmax.default",
    gives="logp",
    samples=[
        *(sample(*s.args, None, only="aten.log_softmax.int") for s in _SAMPLES),
        sample(floats(2, 3), 1, False, only="aten._log_softmax.default"),
        sample(floats(2, 3), 0, only="aten.special_log_softmax.default"),
    ],
    textbook="input_bar[n,c] = grad_output[n,c] - exp(logp[n,c])*sum(k: grad_output[n,k])",
)
def log_softmax(b: Builder, input: Value, dim: int, dtype: Any = None) -> Value:
    """logp[*n, c] = x[*n, c] - top[*n] - log(sum(k: exp(x[*n, k] - top[*n])))"""
    if input.rank == 0:
        return b.give((), number(0))
    axis = int(dim) % input.rank
    at, shifted, total = _shifted(b, input, axis)
    spelling = b.spell(f"torch.log_softmax({{}}, dim={axis - input.rank})", input)
    return b.give(at, sub(shifted, func("log", total)), spelling=spelling)


def log_softmax_terms(b: Builder, x: Value, axis: int) -> Value:
    """``logp`` as a definition for the losses that are built on it."""
    at, shifted, total = _shifted(b, x, axis)
    spelling = b.spell(f"torch.log_softmax({{}}, dim={axis - x.rank})", x)
    return b.define("logp", at, add(shifted, neg(func("log", total))), spelling=spelling)


@row(
    "aten._safe_softmax.default",
    gives="p",
    samples=[sample(floats(2, 3), 1), sample(floats(2, 3, 5), 1), sample(floats(2, 3, values="masked"), -1)],
)
def safe_softmax(b: Builder, input: Value, dim: int, dtype: Any = None) -> Value:
    """p[*n, c] = exp(x[*n, c] - top[*n])/sum(k: exp(x[*n, k] - top[*n])), 0 where all is -inf"""
    if input.rank == 0:
        return softmax_of(b, input, dim)
    axis = int(dim) % input.rank
    at = b.indices(input.dims)
    kept = (*at[:axis], *at[axis + 1 :])
    top = largest(b, input, kept, axis)
    j = b.index(input.dims[axis], "")
    above = test(">", input[(*at[:axis], j, *at[axis + 1 :])], neg(func("inf")))
    seen = b.define("seen", kept, summation([j], above), stop=True, kind="int")
    some = test(">", seen[kept], number(0))
    m = b.define("m", kept, mul(some, top[kept]), stop=True)  # finite also where all is -inf
    k = b.index(input.dims[axis], "")
    total = summation([k], func("exp", sub(input[(*at[:axis], k, *at[axis + 1 :])], m[kept])))
    return b.give(at, div(func("exp", sub(input[at], m[kept])), add(total, opposite(some))))
