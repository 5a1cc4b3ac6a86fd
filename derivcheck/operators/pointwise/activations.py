"""Activations: scalar functions with kinks as brackets, at a kink as torch has it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from derivcheck.notation.integers.polynomials import as_poly, i_poly
from derivcheck.notation.terms.build import ONE, ZERO, add, div, func, mul, neg, number, sub
from derivcheck.notation.terms.nodes import Term
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import floats, row, sample
from derivcheck.operators.language.values import Value, is_one, test, where

_KINKS = (sample(floats(2, 3)), sample(floats(3, 5, values="ties")), sample(floats()))


def _activation(b: Builder, template: str, input: Value, f: Callable[[Term], Term]) -> Value:
    return b.elementwise(f, input, spelling=b.spell(f"torch.nn.functional.{template}", input))


def _kink(x: Term, right: Term, left: Term) -> Term:
    """``right`` for x > 0, else ``left``."""
    return where(test(">", x, ZERO), right, left)


@row("aten.relu.default", gives="a", samples=_KINKS)
def relu(b: Builder, input: Value) -> Value:
    """a[*n] = [x[*n] > 0]*x[*n]"""
    return b.elementwise(lambda x: mul(test(">", x, ZERO), x), input)


@row("aten.relu6.default", gives="a", samples=[sample(floats(2, 3))])
def relu6(b: Builder, input: Value) -> Value:
    """a[*n] = min(max(x[*n], 0), 6)"""
    return hardtanh(b, input, 0, 6)


@row("aten.leaky_relu.default", gives="a", samples=[*_KINKS, sample(floats(3, 5, values="ties"), 0.2)])
def leaky_relu(b: Builder, input: Value, negative_slope: Any = Fraction(1, 100)) -> Value:
    """a[*n] = x[*n] where x[*n] > 0, else slope*x[*n]"""
    return b.elementwise(lambda x: _kink(x, x, mul(b.number(negative_slope), x)), input)


@row("aten.rrelu.default", gives="a", samples=[sample(floats(3, 5), 0.25, 0.5)])
def rrelu(b: Builder, input: Value, lower: Any = Fraction(1, 8), upper: Any = 1 / 3, training: bool = False) -> Value:
    """a[*n] = x[*n] where x[*n] > 0, else (lower + upper)/2*x[*n]"""
    if training:
        b.refuse("it draws random slopes in training", "Call it in eval mode")
    slope = div(add(b.number(lower), b.number(upper)), number(2))
    return b.elementwise(lambda x: _kink(x, x, mul(slope, x)), input)


@row(
    "aten.prelu.default",
    "aten._prelu_kernel.default",
    gives="a",
    samples=[
        *(
            sample(floats(*x), floats(*w), only="aten.prelu.default")
            for x, w in [((2, 3, 5), (3,)), ((2, 3), (1,)), ((2, 3), (3,)), ((5,), (1,)), ((), (1,))]
        ),
        sample(floats(2, 3, 5), floats(1, 3, 1), only="aten._prelu_kernel.default"),
    ],
)
def prelu(b: Builder, input: Value, weight: Value) -> Value:
    """a[n, c, *m] = x[n, c, *m] where that is > 0, else w[c]*x[n, c, *m]"""
    if b.rule == "_prelu_kernel":
        return b.elementwise(lambda x, w: _kink(x, x, mul(w, x)), input, weight)
    at = b.indices(b.dims(input.dims))
    channel = [as_poly(0) if is_one(weight.dims[0]) else i_poly(at[1])] if weight.rank else []
    x, w = input[at], weight[tuple(channel)]
    return b.give(at, _kink(x, x, mul(w, x)))


@row("aten.elu.default", gives="a", samples=[*_KINKS, sample(floats(3, 5), 1.5), sample(floats(2, 3), 1.5, 2, 3)])
def elu(b: Builder, input: Value, alpha: Any = 1, scale: Any = 1, input_scale: Any = 1) -> Value:
    """a[*n] = scale*(x[*n] where x[*n] > 0, else alpha*(exp(input_scale*x[*n]) - 1))"""
    both = (alpha, scale)
    product = alpha * scale if all(isinstance(v, float) for v in both) else mul(*map(b.number, both))  # torch's, in float64
    low, s, t = b.number(product), b.number(scale), b.number(input_scale)
    return b.elementwise(lambda x: _kink(x, mul(s, x), mul(low, func("expm1", mul(t, x)))), input)


@row("aten.selu.default", gives="a", samples=_KINKS)
def selu(b: Builder, input: Value) -> Value:
    """a[*n] = scale*(x[*n] where x[*n] > 0, else alpha*(exp(x[*n]) - 1)), Klambauer et al. 2017, equation 2"""
    return elu(b, input, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946)


@row("aten.celu.default", gives="a", samples=[*_KINKS, sample(floats(3, 5), 1.5)])
def celu(b: Builder, input: Value, alpha: Any = 1) -> Value:
    """a[*n] = x[*n] where x[*n] > 0, else alpha*(exp(x[*n]/alpha) - 1)"""
    a = b.number(alpha)
    return b.elementwise(lambda x: _kink(x, x, mul(a, func("expm1", div(x, a)))), input)


@row("aten.gelu.default", gives="a", samples=[sample(floats(2, 3)), sample(floats(5), approximate="tanh")])
def gelu(b: Builder, input: Value, *, approximate: str = "none") -> Value:
    """a[*n] = gelu(x[*n]), or gelu_tanh(x[*n])"""
    return b.elementwise(lambda x: func("gelu" if approximate == "none" else "gelu_tanh", x), input)


@row("aten.silu.default", gives="a", samples=[sample(floats(2, 3)), sample(floats())])
def silu(b: Builder, input: Value) -> Value:
    """a[*n] = silu(x[*n])"""
    return b.elementwise(lambda x: func("silu", x), input)


@row("aten.mish.default", gives="a", samples=[sample(floats(2, 3))])
def mish(b: Builder, input: Value) -> Value:
    """a[*n] = x[*n]*tanh(softplus(x[*n]))"""
    return _activation(b, "mish({})", input, lambda x: mul(x, func("tanh", func("softplus", x))))


@row(
    "aten.softplus.default",
    gives="a",
    samples=[sample(floats(2, 3)), sample(floats(3, 5), 2.0), sample(floats(3, 5), 1.5, 0.5)],
)
def softplus(b: Builder, input: Value, beta: Any = 1, threshold: Any = 20) -> Value:
    """a[*n] = softplus(beta*x[*n])/beta where beta*x[*n] <= threshold, else x[*n]"""
    s, t = b.number(beta), b.number(threshold)
    return b.elementwise(lambda x: where(test(">", mul(s, x), t), x, div(func("softplus", mul(s, x)), s)), input)


@row("aten.log_sigmoid.default", gives="a", samples=[sample(floats(2, 3))])
def log_sigmoid(b: Builder, input: Value) -> Value:
    """a[*n] = logsigmoid(x[*n])"""
    return b.elementwise(lambda x: func("logsigmoid", x), input)


@row("aten.hardtanh.default", gives="a", samples=[*_KINKS, sample(floats(3, 5, values="ties"), -2, 2)])
def hardtanh(b: Builder, input: Value, min_val: Any = -1, max_val: Any = 1) -> Value:
    """a[*n] = min(max(x[*n], low), high); at a bound the gradient is 0"""
    low, high = b.number(min_val), b.number(max_val)

    def f(x: Term) -> Term:
        return where(test("<=", x, low), low, where(test(">=", x, high), high, x))

    return b.elementwise(f, input)


@row(
    "aten.hardsigmoid.default",
    gives="a",  # torch takes 1/6 in single precision
    samples=[sample(floats(2, 3), rtol=1e-7), sample(floats(3, 5, values="threes"), rtol=1e-7)],
)
def hardsigmoid(b: Builder, input: Value) -> Value:
    """a[*n] = min(max(x[*n] + 3, 0), 6)/6; at a bound the gradient is 0"""
    three = number(3)

    def f(x: Term) -> Term:
        return where(test("<=", x, neg(three)), ZERO, where(test(">=", x, three), ONE, div(add(x, three), number(6))))

    return b.elementwise(f, input)


@row("aten.hardswish.default", gives="a", samples=[sample(floats(2, 3)), sample(floats(3, 5, values="threes"))])
def hardswish(b: Builder, input: Value) -> Value:
    """a[*n] = x[*n]*min(max(x[*n] + 3, 0), 6)/6"""
    three = number(3)

    def f(x: Term) -> Term:
        inside = mul(test(">", x, neg(three)), test("<", x, three), div(mul(x, add(x, three)), number(6)))
        return add(inside, mul(test(">=", x, three), x))

    return b.elementwise(f, input)


@row("aten.hardshrink.default", gives="a", samples=[*_KINKS, sample(floats(3, 5, values="ties"), 1)])
def hardshrink(b: Builder, input: Value, lambd: Any = 0.5) -> Value:
    """a[*n] = x[*n] where |x[*n]| > lambda, else 0"""
    edge = b.number(lambd)
    return b.elementwise(lambda x: mul(add(test(">", x, edge), test("<", x, neg(edge))), x), input)


@row("aten.softshrink.default", gives="a", samples=[*_KINKS, sample(floats(3, 5, values="ties"), 1)])
def softshrink(b: Builder, input: Value, lambd: Any = 0.5) -> Value:
    """a[*n] = x[*n] - lambda where x[*n] > lambda, x[*n] + lambda where x[*n] < -lambda, else 0"""
    edge = b.number(lambd)
    return b.elementwise(
        lambda x: add(mul(test(">", x, edge), sub(x, edge)), mul(test("<", x, neg(edge)), add(x, edge))), input
    )


@row("aten.threshold.default", gives="a", samples=[sample(floats(3, 5, values="ties"), 1, 0.5)])
def threshold(b: Builder, input: Value, threshold: Any, value: Any) -> Value:
    """a[*n] = x[*n] where x[*n] > threshold, else value"""
    edge, low = b.number(threshold), b.number(value)
    return b.elementwise(lambda x: where(test(">", x, edge), x, low), input)


@row("aten.glu.default", gives="a", samples=[sample(floats(3, 4)), sample(floats(2, 4, 3), 1)])
def glu(b: Builder, input: Value, dim: int = -1) -> Value:
    """a[*n, h] = x[*n, h]*sigmoid(x[*n, H + h])"""
    axis = dim % input.rank
    dims = list(input.dims)
    dims[axis] = dims[axis] // 2
    at = b.indices(b.dims(dims))
    gate = [i_poly(i) for i in at]
    gate[axis] = gate[axis] + at[axis].size
    return b.give(at, mul(input[at], func("sigmoid", input[tuple(gate)])))


@row(
    "aten.dropout.default",
    "aten.feature_dropout.default",
    "aten.alpha_dropout.default",
    "aten.feature_alpha_dropout.default",
    samples=[sample(floats(2, 3), 0.5, False)],
)
def dropout(b: Builder, input: Value, p: Any, train: bool) -> Value:
    """z[*n] = x[*n]: out of training nothing is dropped"""
    if train and p != 0:
        b.refuse("it draws a random mask in training", "Call it in eval mode, or pass the mask as an input and multiply")
    return input
