"""Clamp, maximum and minimum of elements; at a tie as torch has it."""

from __future__ import annotations

from typing import Any

from derivcheck.notation.terms.build import add, mul, neg
from derivcheck.notation.terms.nodes import Term
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import floats, row, sample
from derivcheck.operators.language.values import Value, either, not_a_number, spread, test, where
from derivcheck.operators.pointwise.elementwise import HALF, clamped


@row(
    "aten.clamp.default",
    "aten.clamp.Tensor",
    "aten.clip.default",
    "aten.clip.Tensor",
    samples=[
        sample(floats(3, 5, values="ties"), -1, 1, only="aten.clamp.default"),
        sample(floats(3, 5), 0, only="aten.clamp.default"),
        sample(floats(3, 5), None, 0.3, only="aten.clamp.default"),
        sample(floats(3, 5), floats(5), only="aten.clamp.Tensor"),
        sample(floats(3, 5), None, floats(5), only="aten.clamp.Tensor"),
        sample(floats(3, 5), floats(3, 1), floats(5), only="aten.clamp.Tensor"),
        sample(floats(3, 5), -1, 1, only="aten.clip.default"),
        sample(floats(3, 5), floats(5), only="aten.clip.Tensor"),
    ],
)
def clamp(b: Builder, input: Value, min: Any = None, max: Any = None) -> Value:
    """z[*n] = min(max(x[*n], low), high)"""
    bounds = [v for v in (min, max) if v is not None]
    at, (x, *rest) = b.elements(input, *bounds)
    low = rest.pop(0) if min is not None else None
    high = rest.pop(0) if max is not None else None
    tensors = all(isinstance(v, Value) for v in bounds)
    names = [f"{k}={{}}" for k, v in (("min", min), ("max", max)) if v is not None]
    spelling = b.torch(f"torch.clamp({{}}, {', '.join(names)})", input, *bounds) if tensors else None
    if low is None or high is None or not all(isinstance(v, Value) and v.kind == "float" for v in bounds):
        return b.give(at, clamped(x, low, high), kind=input.kind, spelling=spelling)
    crossed, level = test(">", low, high), b.held("p", min)[spread(min.dims, at)]
    low = where(test("<", low, high), low, level)  # where the bounds are equal torch gives the lower no gradient
    inner = where(test("<", x, low), low, where(test(">", x, high), high, x))
    return b.give(at, where(crossed, high, inner), spelling=spelling)


@row(
    "aten.clamp_min.default",
    "aten.clamp_min.Tensor",
    samples=[sample(floats(3, 5, values="ties"), 1), sample(floats(3, 5), floats(5))],
)
def clamp_min(b: Builder, input: Value, min: Any) -> Value:
    """z[*n] = max(x[*n], low)"""
    return clamp(b, input, min)


@row(
    "aten.clamp_max.default",
    "aten.clamp_max.Tensor",
    samples=[sample(floats(3, 5, values="ties"), 1), sample(floats(3, 5), floats(5))],
)
def clamp_max(b: Builder, input: Value, max: Any) -> Value:
    """z[*n] = min(x[*n], high)"""
    return clamp(b, input, None, max)


def _larger(x: Term, y: Term) -> Term:
    """``max(x, y)``; a tie shares the gradient, as in torch."""
    share = mul(test("==", x, y), HALF, add(x, y))
    return add(mul(test(">", x, y), x), mul(test(">", y, x), y), share)


@row(
    "aten.maximum.default",
    "aten.fmax.default",
    "aten.max.other",
    samples=[sample(floats(2, 3), floats(3)), sample(floats(3, 5, values="ties"), floats(3, 5, values="ties"))],
)
def maximum(b: Builder, input: Value, other: Value) -> Value:
    """z[*n] = max(x[*n], y[*n])"""
    if b.rule == "fmax":
        return b.elementwise(lambda x, y: where(either(test(">=", x, y), not_a_number(y)), x, y), input, other)
    return b.elementwise(_larger, input, other)


@row(
    "aten.minimum.default",
    "aten.fmin.default",
    "aten.min.other",
    samples=[sample(floats(2, 3), floats(3)), sample(floats(3, 5, values="ties"), floats(3, 5, values="ties"))],
)
def minimum(b: Builder, input: Value, other: Value) -> Value:
    """z[*n] = min(x[*n], y[*n])"""
    if b.rule == "fmin":
        return b.elementwise(lambda x, y: where(either(test("<=", x, y), not_a_number(y)), x, y), input, other)
    return b.elementwise(lambda x, y: neg(_larger(neg(x), neg(y))), input, other)
