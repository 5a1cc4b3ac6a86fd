"""Arithmetic, powers and scalar functions, element by element; operands broadcast."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from derivcheck.notation.terms import ONE, ZERO, Number, Term, add, div, func, mul, neg, number, power, size_of, sub
from derivcheck.operators.build import Builder
from derivcheck.operators.row import Sample, floats, ints, row, sample
from derivcheck.operators.values import Value, as_integer, either, test, where

HALF = Number(Fraction(1, 2))
_BROADCASTS = [
    sample(floats(2, 3), floats(2, 3)),
    sample(floats(2, 1, 3), floats(5, 1)),
    sample(floats(3), floats(2, 3)),
    sample(floats(), floats(2)),
    sample(floats(1), floats(2, 3, 5, 7)),
    sample(floats(2, 3), ints(3, below=5)),
]


def _scaled(b: Builder, alpha: Any, term: Term) -> Term:
    return term if alpha == 1 else mul(b.number(alpha), term)


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
    return b.elementwise(lambda x, y: add(x, _scaled(b, alpha, y)), input, other)


@row(
    "aten.sub.Tensor",
    "aten.sub.Scalar",
    samples=[*_BROADCASTS, sample(floats(2, 3), 2.5), sample(floats(2), floats(2), alpha=3)],
)
def sub_(b: Builder, input: Any, other: Any, alpha: Any = 1) -> Value:
    """z[*n] = x[*n] - alpha*y[*n]"""
    return b.elementwise(lambda x, y: sub(x, _scaled(b, alpha, y)), input, other)


@row(
    "aten.rsub.Tensor",
    "aten.rsub.Scalar",
    samples=[sample(floats(2, 3), floats(3)), sample(floats(2, 3), 2, 3, only="aten.rsub.Scalar")],
)
def rsub(b: Builder, input: Any, other: Any, alpha: Any = 1) -> Value:
    """z[*n] = y[*n] - alpha*x[*n]"""
    return b.elementwise(lambda x, y: sub(y, _scaled(b, alpha, x)), input, other)


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
    return b.elementwise(lambda x, y: func(mode, div(x, y)), input, other, stop=True)


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
    q = b.define("q", at, func("floor" if b.rule == "remainder" else "trunc", div(x, y)), stop=True)
    return b.give(at, sub(x, mul(y, q[at])))


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


# -- scalar functions of one argument ---------------------------------------------------
def _unary(
    name: str,
    f: Callable[[Term], Term],
    text: str,
    values: str = "normal",
    stop: bool = False,
    kind: str | None = "float",
    also: tuple[str, ...] = (),
    extra: tuple[Sample, ...] = (),
) -> None:
    """Register ``z[*n] = f(x[*n])``."""

    def means(b: Builder, input: Value) -> Value:
        return b.elementwise(f, input, kind=kind, stop=stop)

    means.__doc__, means.__module__ = f"z[*n] = {text}", __name__
    shapes = [(2, 3), (), (1, 5)]
    names = [n if "." in n else f"{n}.default" for n in (name, *also)]
    row(*(f"aten.{n}" for n in names), samples=[*(sample(floats(*s, values=values)) for s in shapes), *extra])(means)


def _named(name: str) -> Callable[[Term], Term]:
    return lambda x: func(name, x)


for _name, _values, _also in [
    ("exp", "normal", ()),
    ("exp2", "normal", ("special_exp2",)),
    ("expm1", "normal", ("special_expm1",)),
    ("log", "positive", ()),
    ("log2", "positive", ()),
    ("log10", "positive", ()),
    ("log1p", "positive", ("special_log1p",)),
    ("sin", "normal", ()),
    ("cos", "normal", ()),
    ("tan", "unit", ()),
    ("asin", "unit", ()),
    ("acos", "unit", ()),
    ("atan", "normal", ()),
    ("sinh", "normal", ()),
    ("cosh", "normal", ()),
    ("tanh", "normal", ()),
    ("asinh", "normal", ()),
    ("acosh", "above", ()),
    ("atanh", "unit", ()),
    ("sigmoid", "normal", ("special_expit",)),
    ("erf", "normal", ("special_erf",)),
    ("erfc", "normal", ("special_erfc",)),
    ("lgamma", "positive", ("special_gammaln",)),
    ("digamma", "positive", ("special_digamma", "special_psi")),
]:
    _unary(_name, _named(_name), f"{_name}(x[*n])", _values, also=_also)
for _name, _also in [("floor", ()), ("ceil", ()), ("trunc", ("fix",)), ("round", ())]:
    _unary(_name, _named(_name), f"{_name}(x[*n]); no gradient flows", stop=True, kind=None, also=_also)
_unary("neg", neg, "-x[*n]", kind=None, also=("negative",))
_unary("positive", lambda x: x, "x[*n]", kind=None)
_unary("sqrt", lambda x: power(x, HALF), "x[*n]^(1/2)", "positive")
_unary("rsqrt", lambda x: power(x, neg(HALF)), "x[*n]^(-1/2)", "positive")
_unary("reciprocal", lambda x: power(x, -1), "1/x[*n]", "positive")
_unary("square", lambda x: power(x, 2), "x[*n]^2", kind=None)
_unary(
    "abs",
    lambda x: absolute(x),
    "x[*n]*([x[*n] > 0] - [x[*n] < 0])",
    kind=None,
    also=("absolute",),
    extra=(sample(floats(3, 5, values="ties")),),
)
_unary(
    "sign",
    lambda x: sign(x),
    "[x[*n] > 0] - [x[*n] < 0]; no gradient flows",
    stop=True,
    kind=None,
    also=("sgn",),
    extra=(sample(floats(3, 5, values="ties")),),
)
_unary("deg2rad", lambda x: mul(x, func("pi"), Number(Fraction(1, 180))), "x[*n]*pi/180")
_unary("rad2deg", lambda x: mul(x, number(180), power(func("pi"), -1)), "x[*n]*180/pi")
_unary("sinc", lambda x: _sinc(x), "sin(pi*x[*n])/(pi*x[*n]), 1 at 0", also=("special_sinc",))
_unary("special_entr", lambda x: neg(mul(x, func("log", x))), "-x[*n]*log(x[*n])", "positive")
_unary("special_ndtr", lambda x: mul(HALF, func("erfc", neg(mul(x, power(number(2), neg(HALF)))))), "erfc(-x[*n]/2^(1/2))/2")


def sign(x: Term) -> Term:
    """``[x > 0] − [x < 0]``"""
    return sub(test(">", x, ZERO), test("<", x, ZERO))


def absolute(x: Term) -> Term:
    """``|x|``, whose gradient at 0 is 0, as in torch."""
    return sub(mul(test(">", x, ZERO), x), mul(test("<", x, ZERO), x))


def root(square: Term) -> Term:
    """``[s > 0]·s^(1/2)``: at 0 the gradient of a norm is 0, as in torch."""
    return mul(test(">", square, ZERO), power(square, HALF))


def _sinc(x: Term) -> Term:
    turn = mul(func("pi"), x)
    return where(test("==", x, ZERO), ONE, div(func("sin", turn), turn))


@row("aten.frac.default", samples=[sample(floats(2, 3))])
def frac(b: Builder, input: Value) -> Value:
    """z[*n] = x[*n] - trunc(x[*n]), where no gradient flows through the trunc"""
    at, (x,) = b.elements(input)
    whole = b.define("q", at, func("trunc", x), stop=True)
    return b.give(at, sub(x, whole[at]))


@row(
    "aten.logit.default",
    "aten.special_logit.default",
    samples=[sample(floats(2, 3, values="open")), sample(floats(5, values="open"), 0.2)],
)
def logit(b: Builder, input: Value, eps: Any = None) -> Value:
    """z[*n] = log(x[*n]/(1 - x[*n])), x clamped to eps … 1 - eps"""
    if eps is None:
        return b.elementwise(lambda x: sub(func("log", x), func("log1p", neg(x))), input)
    low = b.number(eps)
    return b.elementwise(lambda x: _logit(clamped(x, low, sub(ONE, low))), input)


def _logit(x: Term) -> Term:
    return sub(func("log", x), func("log", sub(ONE, x)))


# -- two arguments, kinks -----------------------------------------------------------------
def clamped(x: Term, low: Term | None, high: Term | None) -> Term:
    """``min(max(x, low), high)``; at a bound the gradient flows to x, as in torch."""
    if low is not None:
        x = where(test(">=", x, low), x, low) if high is None else x
    if high is None:
        return x
    if low is None:
        return where(test("<=", x, high), x, high)
    above, below = test(">", x, high), test("<", x, low)
    crossed = test(">", low, high)  # then torch gives the upper bound
    inner = add(mul(test(">=", x, low), test("<=", x, high), x), mul(below, low), mul(above, high))
    return where(crossed, high, inner) if crossed is not ZERO else inner


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
    return b.give(at, clamped(x, low, high), kind=input.kind)


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
        return b.elementwise(lambda x, y: where(test(">=", x, y), x, y), input, other)
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
        return b.elementwise(lambda x, y: where(test("<=", x, y), x, y), input, other)
    return b.elementwise(lambda x, y: neg(_larger(neg(x), neg(y))), input, other)


@row("aten.atan2.default", "aten.arctan2.default", samples=[sample(floats(2, 3), floats(3)), sample(floats(2, 1), floats(5))])
def atan2(b: Builder, input: Value, other: Value) -> Value:
    """z[*n] = atan2(x[*n], y[*n])"""
    return b.elementwise(lambda x, y: func("atan2", x, y), input, other, kind="float")


@row("aten.hypot.default", samples=[sample(floats(2, 3), floats(3))])
def hypot(b: Builder, input: Value, other: Value) -> Value:
    """z[*n] = (x[*n]^2 + y[*n]^2)^(1/2)"""
    return b.elementwise(lambda x, y: power(add(power(x, 2), power(y, 2)), HALF), input, other)


@row("aten.logaddexp.default", samples=[sample(floats(2, 3), floats(3))])
def logaddexp(b: Builder, input: Value, other: Value) -> Value:
    """z[*n] = log(exp(x[*n]) + exp(y[*n])), written y + softplus(x - y), which does not overflow"""
    return b.elementwise(lambda x, y: add(y, func("softplus", sub(x, y))), input, other)


@row("aten.logaddexp2.default", samples=[sample(floats(2, 3), floats(3))])
def logaddexp2(b: Builder, input: Value, other: Value) -> Value:
    """z[*n] = log2(2^x[*n] + 2^y[*n])"""
    log2 = func("log", number(2))
    return b.elementwise(lambda x, y: add(y, div(func("softplus", mul(log2, sub(x, y))), log2)), input, other)


@row(
    "aten.xlogy.Tensor",
    "aten.xlogy.Scalar_Other",
    "aten.xlogy.Scalar_Self",
    "aten.special_xlogy.default",
    samples=[
        sample(floats(2, 3), floats(3, values="positive")),
        sample(floats(2, 3), 2.5),
        sample(2.5, floats(3, values="positive"), only="aten.xlogy.Scalar_Self"),
    ],
)
def xlogy(b: Builder, input: Any, other: Any) -> Value:
    """z[*n] = x[*n]*log(y[*n]), 0 where x = 0"""
    return b.elementwise(lambda x, y: mul(_counts(x, y), x, func("log", y)), input, other)


def _counts(x: Term, y: Term) -> Term:
    """``[x ≠ 0 or y > 0]``: the gradient in x is log(y) also at x = 0, unless y is not positive there (torch)."""
    return either(test("!=", x, ZERO), test(">", y, ZERO))


@row("aten.special_xlog1py.default", samples=[sample(floats(2, 3), floats(3, values="positive"))])
def xlog1py(b: Builder, input: Any, other: Any) -> Value:
    """z[*n] = x[*n]*log(1 + y[*n])"""
    return b.elementwise(lambda x, y: mul(_counts(x, add(ONE, y)), x, func("log1p", y)), input, other)


@row("aten.copysign.Tensor", "aten.copysign.Scalar", samples=[sample(floats(2, 3), floats(3)), sample(floats(2, 3), -2.0)])
def copysign(b: Builder, input: Value, other: Any) -> Value:
    """z[*n] = |x[*n]|*([y[*n] >= 0] - [y[*n] < 0])"""
    return b.elementwise(
        lambda x, y: mul(absolute(x), sub(test(">=", y, ZERO), test("<", y, ZERO))), input, other, kind="float"
    )


@row(
    "aten.lerp.Scalar",
    "aten.lerp.Tensor",
    samples=[sample(floats(2, 3), floats(3), 0.3), sample(floats(2, 3), floats(2, 3), floats(3), only="aten.lerp.Tensor")],
)
def lerp(b: Builder, input: Value, end: Value, weight: Any) -> Value:
    """z[*n] = x[*n] + w[*n]*(y[*n] - x[*n])"""
    return b.elementwise(lambda x, y, w: add(x, mul(w, sub(y, x))), input, end, weight)


@row("aten.addcmul.default", samples=[sample(floats(2, 3), floats(3), floats(2, 1), value=0.5)])
def addcmul(b: Builder, input: Value, tensor1: Value, tensor2: Value, *, value: Any = 1) -> Value:
    """z[*n] = x[*n] + a*u[*n]*v[*n]"""
    return b.elementwise(lambda x, u, v: add(x, _scaled(b, value, mul(u, v))), input, tensor1, tensor2)


@row("aten.addcdiv.default", samples=[sample(floats(2, 3), floats(3), floats(2, 1, values="positive"), value=0.5)])
def addcdiv(b: Builder, input: Value, tensor1: Value, tensor2: Value, *, value: Any = 1) -> Value:
    """z[*n] = x[*n] + a*u[*n]/v[*n]"""
    return b.elementwise(lambda x, u, v: add(x, _scaled(b, value, div(u, v))), input, tensor1, tensor2)
