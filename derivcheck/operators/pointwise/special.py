"""Special functions, and what concerns numbers that are not finite."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from derivcheck.notation.integers.polynomials import as_poly
from derivcheck.notation.terms.build import ONE, ZERO, add, func, mul, neg, number, sub
from derivcheck.notation.terms.nodes import Bracket, Number, Term
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import floats, row, sample
from derivcheck.operators.language.values import Value, finite, infinite, not_a_number, test, where
from derivcheck.operators.pointwise.elementwise import HALF

_LARGEST = Number(int(1.7976931348623157e308))


@row(
    "aten.polygamma.default",
    "aten.special_polygamma.default",
    samples=[sample(n, floats(2, 3, values="positive")) for n in (0, 1, 2)],
)
def polygamma(b: Builder, n: Any, input: Value) -> Value:
    """z[*n] = polygamma(k, x[*n])"""
    order = as_poly(n).constant
    if order is None:
        b.refuse("the order depends on a size")
    return b.elementwise(lambda x: func("polygamma", number(order), x) if order else func("digamma", x), input)


@row(
    "aten.mvlgamma.default",
    "aten.special_multigammaln.default",
    samples=[sample(floats(2, 3, values="above"), 2), sample(floats(3, values="above"), 1)],
)
def mvlgamma(b: Builder, input: Value, p: int) -> Value:
    """z[*n] = p*(p - 1)/4*log(pi) + sum over j < p of lgamma(x[*n] - j/2)"""
    constant = mul(Number(Fraction(p * (p - 1), 4)), func("log", func("pi")))
    return b.elementwise(lambda x: add(constant, *(func("lgamma", sub(x, Number(Fraction(j, 2)))) for j in range(p))), input)


@row("aten.erfinv.default", "aten.special_erfinv.default", samples=[sample(floats(2, 3, values="unit"))])
def erfinv(b: Builder, input: Value) -> Value:
    """z[*n] = erfinv(x[*n])"""
    return b.elementwise(lambda x: func("erfinv", x), input)


def _bessel(order: int) -> None:
    """Register ``i0`` or ``i1``, and the same times ``exp(−|x|)``."""

    def value(name: str, x: Term) -> Term:
        if order == 0:
            return func(name, x)
        return where(test("==", x, ZERO), mul(HALF, x), func(name, x))  # its slope at 0, which i1(x)/x would hide

    def plain(b: Builder, input: Value) -> Value:
        return b.elementwise(lambda x: value(f"i{order}", x), input, kind="float")

    def scaled(b: Builder, input: Value) -> Value:
        return b.elementwise(lambda x: value(f"i{order}e", x), input, kind="float")

    plain.__doc__, scaled.__doc__ = f"z[*n] = i{order}(x[*n])", f"z[*n] = exp(-|x[*n]|)*i{order}(x[*n])"
    plain.__module__ = scaled.__module__ = __name__
    names = ("aten.i0.default", "aten.special_i0.default") if order == 0 else ("aten.special_i1.default",)
    row(*names, samples=[sample(floats(2, 3)), sample(floats(3, 5, values="ties"))])(plain)
    row(f"aten.special_i{order}e.default", samples=[sample(floats(2, 3)), sample(floats())])(scaled)


_bessel(0)
_bessel(1)


@row("aten.angle.default", samples=[sample(floats(2, 3))])
def angle(b: Builder, input: Value) -> Value:
    """z[*n] = [x[*n] < 0]*pi; no gradient flows"""
    spelling = b.torch("torch.angle({})", input)
    return b.elementwise(lambda x: mul(test("<", x, ZERO), func("pi")), input, stop=True, spelling=spelling)


# -- not finite ---------------------------------------------------------------------
def _not(condition: Term) -> Term:
    """Where the condition fails; also for NaN, unlike the opposite comparison."""
    return Bracket("==", condition)


@row("aten.isfinite.default", "aten.isnan.default", gives="c", samples=[sample(floats(2, 3, values="infinite"))])
def isfinite(b: Builder, input: Value) -> Value:
    """c[*n] = [|x[*n]| < inf], or whether x[*n] compares with no number"""
    if input.kind != "float":
        return b.elementwise(lambda x: ONE if b.rule == "isfinite" else ZERO, input, kind="bool")
    return b.elementwise(finite if b.rule == "isfinite" else not_a_number, input, kind="bool")


@row("aten.isposinf.default", gives="c", samples=[sample(floats(2, 3, values="infinite"))])
def isposinf(b: Builder, input: Value) -> Value:
    """c[*n] = [x[*n] = inf]"""
    return b.elementwise(lambda x: infinite(x, 1), input, kind="bool")


@row("aten.isneginf.default", gives="c", samples=[sample(floats(2, 3, values="infinite"))])
def isneginf(b: Builder, input: Value) -> Value:
    """c[*n] = [x[*n] = -inf]"""
    return b.elementwise(lambda x: infinite(x, -1), input, kind="bool")


@row("aten.isinf.default", gives="c", samples=[sample(floats(2, 3, values="infinite"))])
def isinf(b: Builder, input: Value) -> Value:
    """c[*n] = [|x[*n]| = inf]"""
    return b.elementwise(lambda x: Bracket("!=", add(infinite(x, 1), infinite(x, -1))), input, kind="bool")


@row("aten.nan_to_num.default", samples=[sample(floats(2, 3, values="infinite"), 1.0, 2.0, 3.0), sample(floats(2, 3))])
def nan_to_num(b: Builder, input: Value, nan: Any = None, posinf: Any = None, neginf: Any = None) -> Value:
    """z[*n] = x[*n] where that is finite, else the number in its place"""
    low, high = neg(_LARGEST) if neginf is None else b.number(neginf), _LARGEST if posinf is None else b.number(posinf)
    hole = ZERO if nan is None else b.number(nan)
    texts = [f"{k}={float(v)!r}" for k, v in (("nan", nan), ("posinf", posinf), ("neginf", neginf)) if v is not None]
    spelling = b.spell(f"torch.nan_to_num({', '.join(['{}', *texts])})", input)

    def f(x: Term) -> Term:
        ends = add(mul(test(">", x, ZERO), high), mul(test("<", x, ZERO), low), mul(not_a_number(x), hole))
        return add(mul(finite(x), x), mul(_not(finite(x)), ends))

    return b.elementwise(f, input, spelling=spelling)
