"""Losses, with torch's reductions: none, mean, sum."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import MINUS_ONE, ONE, ZERO, add, div, func, mul, neg, power, size_of, sub
from derivcheck.notation.terms.nodes import Number, Term
from derivcheck.notation.terms.substitute import summation
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import Sample, floats, row, sample
from derivcheck.operators.language.values import Value, spread, test, where
from derivcheck.operators.pointwise.elementwise import clamped

HALF = Number(Fraction(1, 2))
NONE, MEAN, SUM = 0, 1, 2


def reduced(b: Builder, at: tuple[Index, ...], term: Term, reduction: int, count: Term | None = None) -> Value:
    """Each element, or their mean (over ``count``, default all of them) or their sum."""
    if reduction == NONE:
        return b.give(at, term)
    total = summation(at, term)
    if reduction == SUM:
        return b.give((), total)
    return b.give((), mul(power(size_of(numel(i.size for i in at)) if count is None else count, -1), total))


def _pointwise(b: Builder, f: Callable[..., Term], reduction: int, *operands: Any) -> Value:
    """The loss of elements that broadcast, reduced."""
    dims: list[Poly] = []
    values = [o for o in operands if isinstance(o, Value)]
    rank = max(v.rank for v in values)
    for axis in range(-rank, 0):
        here = [v.dims[axis] for v in values if v.rank >= -axis]
        dims.append(next((p for p in here if p.constant != 1), as_poly(1)))
    at = b.indices(dims)
    return reduced(b, at, f(*(o[spread(o.dims, at)] if isinstance(o, Value) else o for o in operands)), reduction)


def magnitude(x: Term) -> Term:
    """``|x|``, whose gradient at 0 is 0 as torch has it."""
    return mul(x, sub(bracket(">", x), bracket("<", x)))


def _reductions(*args: Any, **kwargs: Any) -> list[Sample]:
    return [sample(*args, reduction=r, **kwargs) for r in (NONE, MEAN, SUM)]


@row(
    "aten.mse_loss.default",
    gives="loss",
    samples=[
        *_reductions(floats(2, 3), floats(2, 3)),
        sample(floats(2, 3, 5), floats(2, 3, 5)),
        sample(floats(3, 2), floats(3, 2)),
        sample(floats(3), floats(3)),
        sample(floats(), floats()),
        sample(floats(2, 1), floats(2, 1)),
    ],
    textbook="input_bar[n,o] = 2*(input[n,o] - target[n,o])/(size(n)*size(o)); target_bar[n,o] = -input_bar[n,o]",
)
def mse_loss(b: Builder, input: Value, target: Value, reduction: int = MEAN) -> Value:
    """loss = sum(*n: (x[*n] - t[*n])^2)/size(*n)"""
    return _pointwise(b, lambda x, t: power(sub(x, t), 2), reduction, input, target)


@row("aten.l1_loss.default", gives="loss", samples=_reductions(floats(2, 3), floats(2, 3)))
def l1_loss(b: Builder, input: Value, target: Value, reduction: int = MEAN) -> Value:
    """loss = sum(*n: |x[*n] - t[*n]|)/size(*n)"""
    return _pointwise(b, lambda x, t: magnitude(sub(x, t)), reduction, input, target)


def _near(d: Term, width: Term, inner: Term, outer: Term) -> Term:
    """``inner`` where ``|d| < width``, else ``outer``."""
    return where(mul(test(">", width, d), test(">", d, neg(width))), inner, outer)


@row(
    "aten.smooth_l1_loss.default",
    gives="loss",
    samples=[
        *_reductions(floats(2, 3), floats(2, 3)),
        sample(floats(2, 3), floats(2, 3), beta=0.3),
        sample(floats(2, 3), floats(2, 3), beta=0),
    ],
)
def smooth_l1_loss(b: Builder, input: Value, target: Value, reduction: int = MEAN, beta: Any = 1.0) -> Value:
    """loss = mean of d^2/(2*beta) where |d| < beta, else |d| - beta/2, d = x - t"""
    if beta == 0:
        return _pointwise(b, lambda x, t: magnitude(sub(x, t)), reduction, input, target)
    width = b.number(beta)

    def f(x: Term, t: Term) -> Term:
        d = sub(x, t)
        return _near(d, width, div(mul(HALF, power(d, 2)), width), sub(magnitude(d), mul(HALF, width)))

    return _pointwise(b, f, reduction, input, target)


@row(
    "aten.huber_loss.default",
    gives="loss",
    samples=[*_reductions(floats(2, 3), floats(2, 3)), sample(floats(2, 3), floats(2, 3), delta=0.3)],
)
def huber_loss(b: Builder, input: Value, target: Value, reduction: int = MEAN, delta: Any = 1.0) -> Value:
    """loss = mean of d^2/2 where |d| < delta, else delta*(|d| - delta/2), d = x - t"""
    width = b.number(delta)

    def f(x: Term, t: Term) -> Term:
        d = sub(x, t)
        return _near(d, width, mul(HALF, power(d, 2)), mul(width, sub(magnitude(d), mul(HALF, width))))

    return _pointwise(b, f, reduction, input, target)


def _bounded(log: Term) -> Term:
    """torch bounds the logarithms of binary cross-entropy from below by −100; there no gradient flows."""
    return clamped(log, Number(-100), None)


@row(
    "aten.binary_cross_entropy.default",
    gives="loss",
    samples=[
        *_reductions(floats(2, 3, values="open"), floats(2, 3, values="open")),
        sample(floats(2, 3, values="open"), floats(2, 3, values="open"), floats(3, values="fixed")),
    ],
)
def binary_cross_entropy(b: Builder, input: Value, target: Value, weight: Value | None = None, reduction: int = MEAN) -> Value:
    """loss = mean of -w*(t*log(x) + (1 - t)*log(1 - x))"""

    def f(x: Term, t: Term, w: Term) -> Term:
        yes, no = _bounded(func("log", x)), _bounded(func("log1p", neg(x)))
        return neg(mul(w, add(mul(t, yes), mul(sub(ONE, t), no))))

    return _pointwise(b, f, reduction, input, target, ONE if weight is None else weight)


@row(
    "aten.binary_cross_entropy_with_logits.default",
    gives="loss",
    samples=[
        *_reductions(floats(2, 3), floats(2, 3, values="open")),
        sample(floats(2, 3), floats(2, 3, values="open"), floats(3, values="fixed"), floats(3, values="fixed")),
    ],
)
def binary_cross_entropy_with_logits(
    b: Builder, input: Value, target: Value, weight: Value | None = None, pos_weight: Value | None = None, reduction: int = MEAN
) -> Value:
    """loss = mean of -w*(q*t*logsigmoid(x) + (1 - t)*logsigmoid(-x))"""

    def f(x: Term, t: Term, w: Term, q: Term) -> Term:
        yes = mul(q, t, func("logsigmoid", x))
        return neg(mul(w, add(yes, mul(sub(ONE, t), func("logsigmoid", neg(x))))))

    return _pointwise(
        b, f, reduction, input, target, ONE if weight is None else weight, ONE if pos_weight is None else pos_weight
    )


@row(
    "aten.kl_div.default",
    gives="loss",
    samples=[
        *(_reductions(floats(2, 3), floats(2, 3, values="open"))),
        *(_reductions(floats(2, 3), floats(2, 3), log_target=True)),
    ],
)
def kl_div(b: Builder, input: Value, target: Value, reduction: int = MEAN, *, log_target: bool = False) -> Value:
    """loss = mean of t*(log(t) - x), or exp(t)*(t - x) for a target in logarithms"""
    if log_target:
        return _pointwise(b, lambda x, t: mul(func("exp", t), sub(t, x)), reduction, input, target)
    return _pointwise(b, lambda x, t: sub(func("xlogy", t, t), mul(t, x)), reduction, input, target)


def relu(x: Term) -> Term:
    """``x·[x > 0]``."""
    return mul(x, bracket(">", x))


def floor0(x: Term) -> Term:
    """``clamp_min(x, 0)``, whose gradient at 0 is 1 as torch has it."""
    return mul(x, bracket(">=", x))


@row(
    "aten.margin_ranking_loss.default",
    gives="loss",
    samples=_reductions(floats(5), floats(5), floats(5, values="signs"), 0.3),
)
def margin_ranking_loss(
    b: Builder, input1: Value, input2: Value, target: Value, margin: Any = 0.0, reduction: int = MEAN
) -> Value:
    """loss = mean of max(0, -t*(x - z) + margin)"""
    m = b.number(margin)
    return _pointwise(b, lambda x, z, t: floor0(add(neg(mul(t, sub(x, z))), m)), reduction, input1, input2, target)


@row(
    "aten.hinge_embedding_loss.default",
    gives="loss",
    samples=_reductions(floats(5), floats(5, values="signs"), 0.7),
)
def hinge_embedding_loss(b: Builder, input: Value, target: Value, margin: Any = 1.0, reduction: int = MEAN) -> Value:
    """loss = mean of x where t = 1, max(0, margin - x) where t = -1; of both where t is neither, as in torch"""
    m = b.number(margin)

    def f(x: Term, t: Term) -> Term:
        return add(mul(test("!=", t, ONE), floor0(sub(m, x))), mul(test("!=", t, MINUS_ONE), x))

    return _pointwise(b, f, reduction, input, target)


@row("aten.soft_margin_loss.default", gives="loss", samples=_reductions(floats(5), floats(5, values="fixed")))
def soft_margin_loss(b: Builder, input: Value, target: Value, reduction: int = MEAN) -> Value:
    """loss = mean of softplus(-t*x)"""
    return _pointwise(b, lambda x, t: func("softplus", neg(mul(t, x))), reduction, input, target)


@row(
    "aten.poisson_nll_loss.default",
    gives="loss",
    samples=[
        *(sample(floats(5), floats(5, values="positive"), True, False, 1e-8, r) for r in (NONE, MEAN, SUM)),
        sample(floats(5, values="positive"), floats(5, values="above"), False, True, 1e-8, MEAN),
        sample(floats(5), floats(5, values="fixed"), True, True, 1e-8, MEAN),
    ],
)
def poisson_nll_loss(b: Builder, input: Value, target: Value, log_input: bool, full: bool, eps: Any, reduction: int) -> Value:
    """loss = mean of exp(x) - t*x, or x - t*log(x + eps)"""

    def f(x: Term, t: Term) -> Term:
        """The loss of one element."""
        if log_input:
            value = sub(func("exp", x), mul(t, x))
        else:
            value = sub(x, mul(t, func("log", add(x, b.number(eps)))))
        if full:  # Stirling's approximation where t > 1
            tau = mul(Number(2), func("pi"), t)
            value = add(value, where(test(">", t, ONE), add(mul(t, func("log", t)), neg(t), mul(HALF, func("log", tau))), ZERO))
        return value

    return _pointwise(b, f, reduction, input, target)


@row(
    "aten.cosine_embedding_loss.default",
    gives="loss",
    samples=[
        *_reductions(floats(5, 3), floats(5, 3), floats(5, values="signs"), 0.2),
        sample(floats(3), floats(3), floats(values="signs")),
    ],
)
def cosine_embedding_loss(
    b: Builder, input1: Value, input2: Value, target: Value, margin: Any = 0.0, reduction: int = MEAN
) -> Value:
    """loss = mean of 1 - cos where t = 1, max(0, cos - margin) where t = -1"""
    at = b.indices(target.dims)
    i = b.index(input1.dims[-1], "i")
    tiny = Number(Fraction(1, 10**12))
    x, z = input1[(*at, i)], input2[(*at, i)]
    dot = summation([i], mul(x, z))
    lengths = [add(summation([i], power(v, 2)), tiny) for v in (x, z)]
    cosine = b.define("cosine", at, div(dot, power(mul(*lengths), HALF)))[at]
    t = target[at]
    m = b.number(margin)
    term = add(where(test("==", t, ONE), sub(ONE, cosine), ZERO), where(test("==", t, MINUS_ONE), floor0(sub(cosine, m)), ZERO))
    return reduced(b, at, term, reduction)


@row(
    "aten.triplet_margin_loss.default",
    gives="loss",
    samples=[
        *_reductions(floats(5, 3), floats(5, 3), floats(5, 3), 1.0),
        sample(floats(5, 3), floats(5, 3), floats(5, 3), 0.5, 2.0, 1e-6, True),
        sample(floats(3), floats(3), floats(3)),
        sample(floats(5, 3), floats(5, 3), floats(5, 3), 1.0, 3.0),
    ],
)
def triplet_margin_loss(
    b: Builder,
    anchor: Value,
    positive: Value,
    negative: Value,
    margin: Any = 1.0,
    p: Any = 2.0,
    eps: Any = 1e-06,
    swap: bool = False,
    reduction: int = MEAN,
) -> Value:
    """loss = mean of max(0, |a - p + eps| - |a - n + eps| + margin)"""
    at = b.indices(anchor.dims[:-1])
    i = b.index(anchor.dims[-1], "i")
    shift, order = b.number(eps), b.number(p)

    def distance(name: str, x: Value, z: Value) -> Term:
        d = add(x[(*at, i)], neg(z[(*at, i)]), shift)
        inner = power(d, 2) if p == 2 else power(magnitude(d), order)
        return b.define(name, at, power(summation([i], inner), power(order, -1)))[at]

    near, far = distance("near", anchor, positive), distance("far", anchor, negative)
    if swap:
        other = distance("other", positive, negative)
        level = mul(test("==", other, far), HALF, add(other, far))  # a tie shares, as in torch
        far = add(mul(test("<", other, far), other), mul(test("<", far, other), far), level)
    return reduced(b, at, floor0(add(near, neg(far), b.number(margin))), reduction)
