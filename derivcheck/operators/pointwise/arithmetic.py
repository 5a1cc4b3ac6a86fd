"""Arithmetic and powers, element by element; operands broadcast."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from derivcheck.notation.terms.build import ONE, ZERO, add, div, func, mul, number, power, size_of, sub
from derivcheck.notation.terms.nodes import Term
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import floats, ints, row, sample
from derivcheck.operators.language.values import Value, as_integer, test, where

_BROADCASTS = [
    sample(floats(2, 3), floats(2, 3)),
    sample(floats(2, 1, 3), floats(5, 1)),
    sample(floats(3), floats(2, 3)),
    sample(floats(), floats(2)),
    sample(floats(1), floats(2, 3, 5, 7)),
    sample(floats(2, 3), ints(3, below=5)),
]


@row(
    "aten.add.Tensor",
    "aten.add.Scalar",
    samples=[
        *_BROADCASTS,
        sample(floats(2, 3), 2.5),
        sample(floats(2), floats(2), alpha=3),
        sample(ints(2, 3, below=5), ints(3, below=4)),
    ],
)
def add_(b: Builder, input: Any, other: Any, alpha: Any = 1) -> Value:
    """z[*n] = x[*n] + alpha*y[*n]"""
    return b.elementwise(lambda x, y: add(x, b.scaled(alpha, y)), input, other)


@row(
    "aten.sub.Tensor",
    "aten.sub.Scalar",
    samples=[*_BROADCASTS, sample(floats(2, 3), 2.5), sample(floats(2), floats(2), alpha=3)],
)
def sub_(b: Builder, input: Any, other: Any, alpha: Any = 1) -> Value:
    """z[*n] = x[*n] - alpha*y[*n]"""
    return b.elementwise(lambda x, y: sub(x, b.scaled(alpha, y)), input, other)


@row(
    "aten.rsub.Tensor",
    "aten.rsub.Scalar",
    samples=[sample(floats(2, 3), floats(3)), sample(floats(2, 3), 2, 3, only="aten.rsub.Scalar")],
)
def rsub(b: Builder, input: Any, other: Any, alpha: Any = 1) -> Value:
    """z[*n] = y[*n] - alpha*x[*n]"""
    return b.elementwise(lambda x, y: sub(y, b.scaled(alpha, x)), input, other)


@row(
    "aten.mul.Tensor",
    "aten.mul.Scalar",
    samples=[*_BROADCASTS, sample(floats(2, 3), 2.5), sample(ints(2, below=5), ints(2, below=3))],
)
def mul_(b: Builder, input: Any, other: Any) -> Value:
    """z[*n] = x[*n]*y[*n]"""
    return b.elementwise(mul, input, other)


@row(
    "aten.div.Tensor",
    "aten.div.Scalar",
    "aten.true_divide.Tensor",
    "aten.true_divide.Scalar",
    samples=[
        *(sample(*s.args[:1], floats(*s.args[1].shape, values="positive")) for s in _BROADCASTS),
        sample(floats(2, 3), 2.5),
    ],
)
def div_(b: Builder, input: Any, other: Any) -> Value:
    """z[*n] = x[*n]/y[*n]"""
    return b.elementwise(div, input, other, kind="float")


@row(
    "aten.div.Tensor_mode",
    "aten.div.Scalar_mode",
    samples=[
        *(sample(floats(2, 3), floats(3, values="positive"), rounding_mode=m) for m in ("floor", "trunc", None)),
        sample(floats(2), 0.7, rounding_mode="floor"),
        sample(ints(2, 3, below=9), 4, rounding_mode="floor"),
    ],
)
def div_mode(b: Builder, input: Any, other: Any, *, rounding_mode: str | None = None) -> Value:
    """z[*n] = floor(x[*n]/y[*n]); no gradient flows through a floor"""
    if rounding_mode is None:
        return div_(b, input, other)
    return _quotient(b, rounding_mode, input, other)


def _quotient(b: Builder, mode: str, input: Any, other: Any) -> Value:
    whole = all(v.kind == "int" if isinstance(v, Value) else not isinstance(v, (float, Fraction, Term)) for v in (input, other))
    if whole and mode == "floor":
        return b.elementwise(lambda x, y: _whole_quotient(b, x, y), input, other, kind="int")
    spelling = b.torch(f"torch.div({{}}, {{}}, rounding_mode={mode!r})", input, other)
    return b.elementwise(lambda x, y: func(mode, div(x, y)), input, other, stop=True, spelling=spelling)


def _whole_quotient(b: Builder, x: Term, y: Term) -> Term:
    p, q = as_integer(x), as_integer(y)
    if p is None or q is None:
        b.refuse("a quotient of integers that are no positions")
    return size_of(p // q)


@row(
    "aten.floor_divide.default",
    "aten.floor_divide.Scalar",
    samples=[sample(floats(2, 3), floats(3, values="positive")), sample(floats(2), 0.7)],
)
def floor_divide(b: Builder, input: Any, other: Any) -> Value:
    """z[*n] = floor(x[*n]/y[*n]); no gradient flows through a floor"""
    return _quotient(b, "floor", input, other)


@row(
    "aten.remainder.Tensor",
    "aten.remainder.Scalar",
    "aten.remainder.Scalar_Tensor",
    "aten.fmod.Tensor",
    "aten.fmod.Scalar",
    samples=[
        sample(floats(2, 3), floats(3, values="positive")),
        sample(floats(2, 5), 0.7),
        sample(2.5, floats(3, values="positive"), only="aten.remainder.Scalar_Tensor"),
    ],
)
def remainder(b: Builder, input: Any, other: Any) -> Value:
    """z[*n] = x[*n] - y[*n]*floor(x[*n]/y[*n]), where no gradient flows through the floor"""
    if b.rule == "remainder" and all(isinstance(v, int) or isinstance(v, Value) and v.kind == "int" for v in (input, other)):
        return b.elementwise(lambda x, y: sub(x, mul(y, _whole_quotient(b, x, y))), input, other)
    at, (x, y) = b.elements(input, other)
    mode = "floor" if b.rule == "remainder" else "trunc"
    whole = b.torch(f"torch.div({{}}, {{}}, rounding_mode={mode!r})", input, other)
    q = b.define("q", at, func(mode, div(x, y)), stop=True, spelling=whole)
    return b.give(at, sub(x, mul(y, q[at])), spelling=b.torch(f"torch.{b.rule}({{}}, {{}})", input, other))


# -- powers -----------------------------------------------------------------------
@row(
    "aten.pow.Tensor_Scalar",
    "aten.float_power.Tensor_Scalar",
    samples=[
        *(sample(floats(2, 3), k) for k in (0, 1, 2, 3, -1, -2)),
        *(sample(floats(2, 3, values="positive"), p) for p in (0.5, -1.5, 2.0, 1 / 3)),
        sample(floats(), 2),
    ],
)
def pow_scalar(b: Builder, input: Value, exponent: Any) -> Value:
    """z[*n] = x[*n]^p"""
    return b.elementwise(lambda x: power(x, b.number(exponent)), input, kind="float" if b.rule == "float_power" else None)


@row(
    "aten.pow.Tensor_Tensor",
    "aten.float_power.Tensor_Tensor",
    samples=[sample(floats(2, 3, values="positive"), floats(3)), sample(floats(2, 1, values="positive"), floats(5))],
)
def pow_tensor(b: Builder, input: Value, exponent: Value) -> Value:
    """z[*n] = x[*n]^y[*n]; at x = 0 no gradient flows to y, and at y = 0 none to x, as in torch"""
    held = b.held("p", exponent)
    at, (x, y, p) = b.elements(input, exponent, held)
    zero, flat = test("==", x, ZERO), test("==", y, ZERO)
    return b.give(at, where(zero, where(flat, ONE, power(x, p)), power(x, y)))


@row("aten.pow.Scalar", "aten.float_power.Scalar", samples=[sample(2, floats(2, 3)), sample(0.5, floats(3))])
def pow_base(b: Builder, input: Any, exponent: Value) -> Value:
    """z[*n] = a^y[*n]"""
    base = b.number(input)
    if base is ZERO:
        b.refuse("the base is 0")
    return b.elementwise(lambda y: power(base, y), exponent, kind="float" if b.rule == "float_power" else None)


@row("aten.ldexp.Tensor", samples=[sample(floats(2, 3), floats(3))])
def ldexp(b: Builder, input: Value, other: Value) -> Value:
    """z[*n] = x[*n]*2^y[*n]"""
    return b.elementwise(lambda x, y: mul(x, power(number(2), y)), input, other, kind="float")


# -- in one operator ------------
@row(
    "aten.lerp.Scalar",
    "aten.lerp.Tensor",
    samples=[sample(floats(2, 3), floats(3), 0.3), sample(floats(2, 3), floats(2, 3), floats(3), only="aten.lerp.Tensor")],
)
def lerp(b: Builder, input: Value, end: Value, weight: Any) -> Value:
    """z[*n] = x[*n] + w[*n]*(y[*n] - x[*n])"""
    spelling = b.torch("torch.lerp({}, {}, {})", input, end, weight)
    return b.elementwise(lambda x, y, w: add(x, mul(w, sub(y, x))), input, end, weight, spelling=spelling)


@row("aten.addcmul.default", samples=[sample(floats(2, 3), floats(3), floats(2, 1), value=0.5)])
def addcmul(b: Builder, input: Value, tensor1: Value, tensor2: Value, *, value: Any = 1) -> Value:
    """z[*n] = x[*n] + a*u[*n]*v[*n]"""
    return b.elementwise(lambda x, u, v: add(x, b.scaled(value, mul(u, v))), input, tensor1, tensor2)


@row("aten.addcdiv.default", samples=[sample(floats(2, 3), floats(3), floats(2, 1, values="positive"), value=0.5)])
def addcdiv(b: Builder, input: Value, tensor1: Value, tensor2: Value, *, value: Any = 1) -> Value:
    """z[*n] = x[*n] + a*u[*n]/v[*n]"""
    return b.elementwise(lambda x, u, v: add(x, b.scaled(value, div(u, v))), input, tensor1, tensor2)
