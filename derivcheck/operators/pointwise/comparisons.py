"""Comparisons and logic: boolean results, brackets where they are used; selection by a condition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from derivcheck.notation.terms.brackets import opposite
from derivcheck.notation.terms.build import ZERO, add, func, mul, neg, sub
from derivcheck.notation.terms.nodes import Bracket, Ref, Term
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import bools, floats, ints, row, sample
from derivcheck.operators.language.values import Value, both, either, infinite, nonzero, not_a_number, promoted, test, where
from derivcheck.operators.pointwise.elementwise import absolute


def _comparison(name: str, relation: str, also: str = "") -> None:
    """Register a comparison of tensors and numbers."""

    def means(b: Builder, input: Any, other: Any) -> Value:
        return b.elementwise(compared, input, other, kind="bool")

    def compared(x: Term, y: Term) -> Term:
        if x is y and isinstance(x, Ref):  # x != x asks whether x is a number: NaN is not
            return not_a_number(x) if relation == "!=" else Bracket("==", not_a_number(x)) if "=" in relation else ZERO
        for sign, edge, beyond in ((1, func("inf"), ">"), (-1, neg(func("inf")), "<")):
            if y is edge:
                return _with_infinity(relation, x, sign, beyond)
        return test(relation, x, y)

    means.__doc__, means.__module__ = f"c[*n] = [x[*n] {relation} y[*n]]", __name__
    names = [f"aten.{n}.{o}" for n in (name, also) if n for o in ("Tensor", "Scalar")]
    row(
        *names,
        gives="c",
        samples=[
            sample(floats(2, 3), floats(3)),
            sample(ints(3, 5, below=3), ints(5, below=3)),
            sample(ints(2, 3, below=3), 1),
            sample(floats(2), 0.3),
            sample(floats(3, 5, values="ties"), 1),
            sample(floats(2, 3, values="infinite"), float("inf")),
            sample(floats(2, 3, values="infinite"), -float("inf")),
        ],
    )(means)


def _with_infinity(relation: str, x: Term, sign: int, beyond: str) -> Term:
    """A comparison with ∞ or −∞; no difference is taken, for that of infinities is none."""
    if relation == "!=":
        return Bracket("==", infinite(x, sign))
    if relation in ("==", beyond + "="):
        return infinite(x, sign)
    if relation == beyond:
        return ZERO
    if relation in ("<=", ">="):
        return Bracket("==", not_a_number(x))
    return test(relation, x, func("inf") if sign > 0 else neg(func("inf")))


for _name, _relation, _also in [
    ("eq", "==", ""),
    ("ne", "!=", "not_equal"),
    ("lt", "<", "less"),
    ("le", "<=", "less_equal"),
    ("gt", ">", "greater"),
    ("ge", ">=", "greater_equal"),
]:
    _comparison(_name, _relation, _also)


def _logic(name: str, f: Callable[[Term, Term], Term], text: str, also: tuple[str, ...] = ()) -> None:
    """Register a function of truth values."""

    def means(b: Builder, input: Any, other: Any) -> Value:
        if b.rule.startswith("bitwise") and promoted(input, other) != "bool":
            b.refuse("bits of integers have no row")
        return b.elementwise(lambda x, y: f(nonzero(x), nonzero(y)), input, other, kind="bool")

    means.__doc__, means.__module__ = f"c[*n] = {text}", __name__
    row(f"aten.{name}.default", *also, gives="c", samples=[sample(bools(2, 3), bools(3)), sample(bools(2, 1), bools(2, 5))])(
        means
    )


_logic("logical_and", lambda x, y: mul(x, y), "[x[*n] and y[*n]]", ("aten.bitwise_and.Tensor", "aten.__and__.Tensor"))
_logic("logical_or", either, "[x[*n] or y[*n]]", ("aten.bitwise_or.Tensor", "aten.__or__.Tensor"))
_logic(
    "logical_xor",
    lambda x, y: where(x, opposite(y), y),
    "[x[*n] or y[*n], not both]",
    ("aten.bitwise_xor.Tensor", "aten.__xor__.Tensor"),
)


@row("aten.logical_not.default", "aten.bitwise_not.default", gives="c", samples=[sample(bools(2, 3))])
def logical_not(b: Builder, input: Value) -> Value:
    """c[*n] = [x[*n] = 0]"""
    if b.rule == "bitwise_not" and input.kind != "bool":
        b.refuse("bits of integers have no row")
    return b.elementwise(lambda x: opposite(nonzero(x)), input, kind="bool")


@row("aten.isclose.default", gives="c", samples=[sample(floats(2, 3), floats(3), 0.5)])
def isclose(b: Builder, input: Value, other: Value, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Value:
    """c[*n] = [|x[*n] - y[*n]| <= atol + rtol*|y[*n]|]"""
    r, a = b.number(rtol), b.number(atol)

    def close(x: Term, y: Term) -> Term:  # equal ones are close, infinities too; infinity is close to nothing else
        near = mul(test("<=", absolute(sub(x, y)), add(a, mul(r, absolute(y)))), test("<", absolute(y), func("inf")))
        same = either(test("==", x, y), both(infinite(x, 1), infinite(y, 1)))
        return nonzero(either(near, either(same, both(infinite(x, -1), infinite(y, -1)))))

    return b.elementwise(close, input, other, kind="bool")


@row("aten.heaviside.default", samples=[sample(floats(3, 5, values="ties"), floats(5))])
def heaviside(b: Builder, input: Value, values: Value) -> Value:
    """z[*n] = [x[*n] > 0] + [x[*n] = 0]*v[*n]; no gradient flows"""
    return b.elementwise(lambda x, v: add(test(">", x, ZERO), mul(test("==", x, ZERO), v)), input, values, stop=True)


# -- selection -----------------------------------------------------------------------
@row(
    "aten.where.self",
    "aten.where.ScalarOther",
    "aten.where.ScalarSelf",
    "aten.where.Scalar",
    samples=[
        sample(bools(2, 3), floats(2, 3), floats(2, 3)),
        sample(bools(3), floats(2, 3), floats(2, 1)),
        sample(bools(2, 3), floats(3), -1.5),
        sample(bools(2, 3), 2.5, floats()),
        sample(bools(2, 3), floats(3), -float("inf")),
        sample(bools(2), 2.5, 1.5),
    ],
)
def where_(b: Builder, condition: Value, input: Any, other: Any) -> Value:
    """z[*n] = x[*n] where c[*n], else y[*n]"""
    return b.elementwise(lambda c, x, y: where(nonzero(c), x, y), condition, input, other, kind=promoted(input, other))


@row(
    "aten.masked_fill.Scalar",
    "aten.masked_fill.Tensor",
    samples=[
        sample(floats(2, 3), bools(3), 2.5),
        sample(floats(2, 3), bools(2, 1), -float("inf")),
        sample(floats(2, 3), bools(2, 3), floats()),
    ],
)
def masked_fill(b: Builder, input: Value, mask: Value, value: Any) -> Value:
    """z[*n] = v where m[*n], else x[*n]"""
    return b.elementwise(lambda x, m, v: where(nonzero(m), v, x), input, mask, value, kind=input.kind)
