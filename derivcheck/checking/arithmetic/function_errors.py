"""The error of a scalar function: of its code, and of its argument carried through its slope."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from derivcheck.checking.arithmetic.pairs import FLOAT64_UNIT, Pair, times
from derivcheck.checking.arithmetic.scalar import torch_function

#: The largest slope of a function that is bounded everywhere; used where the error is not small.
SLOPES = {
    **dict.fromkeys(("sin", "cos", "tanh", "atan", "asinh", "softplus", "logsigmoid"), 1.0),
    "sigmoid": 0.25,
    "erf": 1.13,
    "silu": 1.1,
    "gelu": 1.13,
    "gelu_tanh": 1.13,
}
#: Functions whose usual code cancels, so that its error is relative to the argument.
CANCELLING = {"gelu", "gelu_tanh"}
#: Functions that jump: no slope says what an error in their argument does.
STEPS = {"round", "floor", "ceil", "trunc", "sign"}
#: torch's vectorised float32 kernels: exp to 20 units in the last place, erf by Abramowitz & Stegun 7.1.26 (1.5e-7 absolute).
EXP_FLOAT32 = {"exp", "sigmoid", "softplus", "logsigmoid", "silu", "tanh", "gelu_tanh", "exp2", "expm1", "sinh", "cosh"}
#: How far from 1 a function is that tends to it, at least in absolute value.
SATURATED: dict[str, Any] = {
    "tanh": lambda x: 2 * torch.exp(-2 * x.abs()),
    "sigmoid": lambda x: torch.exp(-x),
    "erf": lambda x: torch.exp(-x * x),
}
#: The relative error of what torch has in float64: its trigamma has nine digits.
DIGITS = {"polygamma": 1e-9}
ERF_FLOAT32 = {"erf": 1.0, "gelu": 0.5, "erfc": 1.0}


def stepped(name: str, a: Pair) -> Pair:
    """A function that jumps: its values are whole numbers, which no rounding changes."""
    f = torch_function(name)
    v = f(a.value).double()
    if a.error is None:
        return Pair(v)
    low, high = f(a.value - a.error), f(a.value + a.error)
    return Pair(v, torch.maximum((v - low).abs(), (high - v).abs()))


def function(name: str, args: Sequence[Pair], unit: float, tiny: float, single: bool) -> Pair:
    """A function that does not jump, before what underflow and overflow add.

    Args:
        unit: of the type.
        tiny: its smallest number with all its digits.
        single: the type is float32, for which torch's kernels are coarser.
    """
    f = torch_function(name)
    v = f(*(a.value for a in args)).double()
    if name == "inf":
        return Pair(v)
    e = (20 if single and name in EXP_FLOAT32 else 2) * v.abs() * unit
    if name in SATURATED:  # what is left to 1 is below the next number: every kernel gives 1
        short = SATURATED[name](args[0].value) + 4 * FLOAT64_UNIT  # the value beside it has float64's own rounding
        e = torch.where(short < unit / 8, torch.minimum(e, short), e)
    if name in DIGITS:
        e = e + DIGITS[name] * v.abs()
    if name in CANCELLING:
        e = e + args[0].value.abs() * unit
    if single and name in ERF_FLOAT32:
        # more than the formula's 1.5e-7: its own arithmetic rounds, too
        e = e + 1e-6 * ERF_FLOAT32[name] * (1.0 if name != "gelu" else args[0].value.abs())
    for k, a in enumerate(args):
        if a.error is not None:
            e = e + times(_slope(name, f, [b.value for b in args], k, a.error), a.error)
    if name in ("silu", "gelu", "gelu_tanh"):  # the factor of x that underflows is multiplied by x
        e = e + args[0].value.abs() * tiny
    return Pair(v, e)


def _slope(name: str, f: Callable[..., torch.Tensor], values: list[torch.Tensor], k: int, error: torch.Tensor) -> torch.Tensor:
    """The largest ``|f'|`` in the ``k``-th argument: at the ends of the interval, its middle, its point nearest 0."""
    x = values[k]
    low, high = x - error, x + error
    # over an interval so narrow the slope is the same: one derivative in place of four
    points = [x] if bool((error <= 1e-9 * x.abs()).all()) else [low, x, high, torch.zeros_like(x).clamp(low, high)]
    slope = torch.zeros_like(x)
    for p in points:
        with torch.enable_grad():
            at = p.detach().clone().requires_grad_()
            others = [at if j == k else b.detach() for j, b in enumerate(values)]
            (g,) = torch.autograd.grad(f(*others).sum(), at)
        g = g.abs()
        # outside the domain (log of an interval that reaches 0) nothing is known
        slope = torch.maximum(slope, torch.where(torch.isnan(g), torch.inf, g))
    most = SLOPES.get(name)
    return slope if most is None else torch.where(error > 0.1, most, slope.clamp(max=most))
