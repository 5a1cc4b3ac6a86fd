"""Scalar functions, element by element."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from derivcheck.notation.terms.build import ONE, ZERO, add, div, func, mul, neg, number, power, sub
from derivcheck.notation.terms.nodes import Bracket, Number, Term
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import Sample, floats, row, sample
from derivcheck.operators.language.values import Value, either, test, where

HALF = Number(Fraction(1, 2))


# -- scalar functions of one argument ---------------------------------------------------
def _on(values: str) -> list[Sample]:
    """Samples of three shapes."""
    return [sample(floats(*shape, values=values)) for shape in ((2, 3), (), (1, 5))]


_NORMAL = _on("normal")
_WITH_TIES = [*_NORMAL, sample(floats(3, 5, values="ties"))]


def _unary(
    names: str,
    f: Callable[[Term], Term],
    text: str,
    samples: list[Sample] = _NORMAL,
    *,
    stop: bool = False,
    kind: str | None = "float",
) -> None:
    """Register ``z[*n] = f(x[*n])`` under names with blanks between; ``kind`` is None where it is that of x."""

    def means(b: Builder, input: Value) -> Value:
        return b.elementwise(f, input, kind=kind, stop=stop)

    means.__doc__, means.__module__ = f"z[*n] = {text}", __name__
    row(*(f"aten.{n}" if "." in n else f"aten.{n}.default" for n in names.split()), samples=samples)(means)


def _named(name: str) -> Callable[[Term], Term]:
    return lambda x: func(name, x)


for _names, _values in [
    ("exp", "normal"),
    ("exp2 special_exp2", "normal"),
    ("expm1 special_expm1", "normal"),
    ("log", "positive"),
    ("log2", "positive"),
    ("log10", "positive"),
    ("log1p special_log1p", "positive"),
    ("sin", "normal"),
    ("cos", "normal"),
    ("tan", "unit"),
    ("asin", "unit"),
    ("acos", "unit"),
    ("atan", "normal"),
    ("sinh", "normal"),
    ("cosh", "normal"),
    ("tanh", "normal"),
    ("asinh", "normal"),
    ("acosh", "above"),
    ("atanh", "unit"),
    ("sigmoid special_expit", "normal"),
    ("erf special_erf", "normal"),
    ("erfc special_erfc", "normal"),
    ("lgamma special_gammaln", "positive"),
    ("digamma special_digamma special_psi", "positive"),
]:
    _name = _names.split()[0]
    _unary(_names, _named(_name), f"{_name}(x[*n])", _on(_values))
for _names in ("floor", "ceil", "trunc fix", "round"):
    _name = _names.split()[0]
    _unary(_names, _named(_name), f"{_name}(x[*n]); no gradient flows", stop=True, kind=None)
_unary("neg negative", neg, "-x[*n]", kind=None)
_unary("positive", lambda x: x, "x[*n]", kind=None)
_unary("sqrt", lambda x: power(x, HALF), "x[*n]^(1/2)", _on("positive"))
_unary("rsqrt", lambda x: power(x, neg(HALF)), "x[*n]^(-1/2)", _on("positive"))
_unary("reciprocal", lambda x: power(x, -1), "1/x[*n]", _on("positive"))
_unary("square", lambda x: power(x, 2), "x[*n]^2", kind=None)
_unary("abs absolute", lambda x: absolute(x), "x[*n]*([x[*n] > 0] - [x[*n] < 0])", _WITH_TIES, kind=None)
_unary("sign sgn", lambda x: sign(x), "[x[*n] > 0] - [x[*n] < 0]; no gradient flows", _WITH_TIES, stop=True, kind=None)
_unary("deg2rad", lambda x: mul(x, func("pi"), Number(Fraction(1, 180))), "x[*n]*pi/180")
_unary("rad2deg", lambda x: mul(x, number(180), power(func("pi"), -1)), "x[*n]*180/pi")
_unary("sinc special_sinc", _named("sinc"), "sin(pi*x[*n])/(pi*x[*n]), 1 at 0")
_unary("special_entr", _named("entr"), "-x[*n]*log(x[*n]), 0 at 0", _on("positive"))
_unary("special_erfcx", _named("erfcx"), "exp(x[*n]^2)*erfc(x[*n])")
_unary("special_log_ndtr", _named("log_ndtr"), "log(erfc(-x[*n]/2^(1/2))/2)")
_unary("special_ndtri", _named("ndtri"), "2^(1/2)*erfinv(2*x[*n] - 1)", _on("open"))
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


def clamped(x: Term, low: Term | None, high: Term | None) -> Term:
    """``min(max(x, low), high)``; at a bound the gradient flows to x, as in torch."""
    inner = x if high is None else where(test(">", x, high), high, x)
    if low is None:
        return inner
    inner = where(test("<", x, low), low, inner)
    crossed = ZERO if high is None else test(">", low, high)  # then torch gives the upper bound
    return inner if high is None else where(crossed, high, inner)


@row("aten.round.decimals", samples=[sample(floats(2, 3), decimals=d) for d in (0, 2, -1)])
def round_decimals(b: Builder, input: Value, *, decimals: int) -> Value:
    """z[*n] = round(x[*n]*10^d)/10^d; no gradient flows"""
    ten = number(Fraction(10) ** decimals)
    return b.elementwise(lambda x: div(func("round", mul(ten, x)), ten), input, stop=True)


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


# -- of two arguments ------------
@row("aten.atan2.default", "aten.arctan2.default", samples=[sample(floats(2, 3), floats(3)), sample(floats(2, 1), floats(5))])
def atan2(b: Builder, input: Value, other: Value) -> Value:
    """z[*n] = atan2(x[*n], y[*n]), 0 at the origin, where no gradient flows, as in torch"""

    def f(x: Term, y: Term) -> Term:
        return mul(test(">", func("hypot", x, y), ZERO), func("atan2", x, y))

    return b.elementwise(f, input, other, kind="float", spelling=b.torch("torch.atan2({}, {})", input, other))


@row("aten.hypot.default", samples=[sample(floats(2, 3), floats(3))])
def hypot(b: Builder, input: Value, other: Value) -> Value:
    """z[*n] = (x[*n]^2 + y[*n]^2)^(1/2)"""
    return b.elementwise(lambda x, y: func("hypot", x, y), input, other, spelling=b.torch("torch.hypot({}, {})", input, other))


def _log_of_both(x: Term, y: Term) -> Term:
    """``log(exp(x) + exp(y))`` from the larger of the two, which neither overflows nor meets inf - inf."""
    left, right = test(">", x, y), test(">", y, x)
    level = Bracket("==", add(left, right))
    equal = add(mul(HALF, x), mul(HALF, y), func("log", number(2)))
    return add(
        mul(left, add(x, func("softplus", sub(y, x)))), mul(right, add(y, func("softplus", sub(x, y)))), mul(level, equal)
    )


@row(
    "aten.logaddexp.default",
    samples=[sample(floats(2, 3), floats(3)), sample(floats(3, 5, values="ties"), floats(5, values="ties"))],
)
def logaddexp(b: Builder, input: Value, other: Value) -> Value:
    """z[*n] = log(exp(x[*n]) + exp(y[*n])), written from the larger of the two"""
    return b.elementwise(_log_of_both, input, other, spelling=b.spell("torch.logaddexp({}, {})", input, other))


@row("aten.logaddexp2.default", samples=[sample(floats(2, 3), floats(3))])
def logaddexp2(b: Builder, input: Value, other: Value) -> Value:
    """z[*n] = log2(2^x[*n] + 2^y[*n])"""
    log2 = func("log", number(2))
    return b.elementwise(lambda x, y: div(_log_of_both(mul(log2, x), mul(log2, y)), log2), input, other)


@row(
    "aten.xlogy.Tensor",
    "aten.xlogy.Scalar_Other",
    "aten.xlogy.Scalar_Self",
    "aten.special_xlogy.default",
    samples=[
        sample(floats(2, 3), floats(3, values="positive")),
        sample(floats(2, 3), 2.5),
        sample(2.5, floats(3, values="positive"), only="aten.xlogy.Scalar_Self"),
        sample(floats(5, 3, values="ties"), floats(3, values="positive")),
    ],
)
def xlogy(b: Builder, input: Any, other: Any) -> Value:
    """z[*n] = x[*n]*log(y[*n]), 0 where x = 0"""
    spelling = b.torch("torch.xlogy({}, {})", input, other)
    return b.elementwise(lambda x, y: where(_counts(x, y), func("xlogy", x, y), ZERO), input, other, spelling=spelling)


def _counts(x: Term, y: Term) -> Term:
    """``[x ≠ 0 or y > 0]``: the gradient in x is log(y) also at x = 0, unless y is not positive there (torch)."""
    return either(test("!=", x, ZERO), test(">", y, ZERO))


@row(
    "aten.special_xlog1py.default",
    "aten.special_xlog1py.other_scalar",
    "aten.special_xlog1py.self_scalar",
    samples=[
        sample(floats(2, 3), floats(3, values="positive")),
        sample(floats(2, 3), 1.5, only="aten.special_xlog1py.other_scalar"),
        sample(1.5, floats(3, values="positive"), only="aten.special_xlog1py.self_scalar"),
    ],
)
def xlog1py(b: Builder, input: Any, other: Any) -> Value:
    """z[*n] = x[*n]*log(1 + y[*n])"""
    spelling = b.torch("torch.special.xlog1py({}, {})", input, other)

    def f(x: Term, y: Term) -> Term:
        return where(_counts(x, add(ONE, y)), func("xlog1py", x, y), ZERO)

    return b.elementwise(f, input, other, spelling=spelling)


@row("aten.copysign.Tensor", "aten.copysign.Scalar", samples=[sample(floats(2, 3), floats(3)), sample(floats(2, 3), -2.0)])
def copysign(b: Builder, input: Value, other: Any) -> Value:
    """z[*n] = |x[*n]|*([y[*n] >= 0] - [y[*n] < 0])"""
    return b.elementwise(
        lambda x, y: mul(absolute(x), sub(test(">=", y, ZERO), test("<", y, ZERO))), input, other, kind="float"
    )
