"""The rounding bound: every number of a Program with a bound on what rounding can have done to it.

Pairs (value v, error E) go through the Program; the value is float64, the error that of arithmetic in
the type under test:

    a + b      E_a + E_b + u|v|                    a · b   |a|E_b + |b|E_a + E_a·E_b + u|v|
    Σ          ΣE + d(n)·u_acc·Σ|terms| + u|v|     f(a)    max|f'| over [v ± E] · E + 2u|f|

and the smallest normal number where a result may underflow.  ``u_acc`` belongs to the accumulator
(float32 under bfloat16 and float16).  ``d(n) = min(n, 64) + log2(n/64)`` is what blocked and pairwise
summation do; sums known to be sequential have ``d(n) = n``.  Leaving out ``E_a·E_b`` would alarm on
correct code where both factors are mostly error (LayerNorm of constant rows).

The bracket of a number that may be on either side of its kink within ``E`` is *open*: what it selects
may be there or not, so the selected value itself is added to the error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import torch

from derivcheck.checking.arithmetic.live import array, tensor
from derivcheck.checking.arithmetic.scalar import torch_function
from derivcheck.notation.values.numbers import Bools, Mask, Positions, Whole

FLOAT64_UNIT = 2.0**-53
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


def unit(dtype: torch.dtype) -> float:
    """The unit roundoff, half the distance from 1 to the next number.

    >>> unit(torch.float32) == 2.0**-24
    True
    """
    return torch.finfo(dtype).eps / 2


class Pair(NamedTuple):
    """A value with its error; None where the value is exact."""

    value: torch.Tensor
    error: torch.Tensor | None = None
    scatter: bool = False  # 0 and 1, and a product with it is a scatter-add: sequential, in the type itself
    depth: float = 0.0  # of a matrix product: a kernel may start its sums at what is added to it (addmm)


class Bound:
    """Numbers as (value, error) pairs.

    Args:
        dtype: the type whose arithmetic is bounded.
        coarse: every sum is taken to be sequential and to accumulate in the type itself, as some of torch's own
            bfloat16 and float16 kernels do on the CPU (``native_layer_norm_backward``).
        decided: every bracket is taken to be on the side on which its number lies, however near the kink.
    """

    def __init__(self, dtype: torch.dtype = torch.float64, coarse: bool = False, decided: bool = False) -> None:
        # the value itself is rounded too (float64), hence the sum of both units
        self.unit = unit(dtype) + FLOAT64_UNIT
        accumulator = dtype if dtype in (torch.float64, torch.float32) else torch.float32
        self.accumulator = unit(dtype if coarse else accumulator) + FLOAT64_UNIT
        self.tiny = torch.finfo(dtype).tiny if dtype is not torch.float16 else torch.finfo(dtype).smallest_normal
        self.largest = torch.finfo(dtype).max
        self.single = dtype is torch.float32
        self.sequential = coarse
        self.decided = decided
        self.open = 0  # brackets that rounding may flip

    # -- in and out ------------------------------------------------------------
    def _tensor(self, values: Any) -> torch.Tensor:
        return tensor(values)

    def given(self, a: Any, name: str) -> Pair:
        if isinstance(a, Pair):
            return a
        t = a if isinstance(a, torch.Tensor) else torch.as_tensor(np.require(a, requirements="W"))
        return Pair(t.detach().to("cpu", torch.float64))

    def number(self, value: Fraction) -> Pair:
        v = torch.tensor(value.numerator / value.denominator, dtype=torch.float64)
        exact = value.denominator & (value.denominator - 1) == 0 and abs(value.numerator) < 1 / self.unit
        return Pair(v, None if exact else v.abs() * self.unit)

    def integers(self, values: Whole) -> Pair:
        v = self._tensor(values.values).double()
        if values.open is None or not values.open.any():
            return Pair(v)
        return Pair(v, torch.where(self._tensor(values.open), torch.inf, torch.zeros_like(v)))

    def whole(self, a: Pair) -> Whole:
        opened = None if a.error is None else array(a.error) >= 0.5
        return Whole(
            np.rint(np.nan_to_num(array(a.value))).astype(np.int64), opened if opened is not None and opened.any() else None
        )

    def held(self, a: Pair) -> Pair:
        return a

    def indicator(self, mask: Mask) -> Pair:
        v = self._tensor(mask.holds).double()
        return Pair(v, None if mask.open is None else self._tensor(mask.open).double().expand(v.shape), mask.scatter)

    # -- shapes -------------------------------------------------------------------
    def shape(self, a: Pair) -> tuple[int, ...]:
        return tuple(a.value.shape)

    def reshape(self, a: Pair, shape: Sequence[int]) -> Pair:
        s = tuple(shape)
        return Pair(a.value.reshape(s), None if a.error is None else a.error.reshape(s), a.scatter, a.depth)

    def permute(self, a: Pair, order: Sequence[int]) -> Pair:
        o = tuple(order)
        return Pair(a.value.permute(o), None if a.error is None else a.error.permute(o), a.scatter, a.depth)

    def expand(self, a: Pair, shape: Sequence[int]) -> Pair:
        s = tuple(shape)
        return Pair(a.value.expand(s), None if a.error is None else a.error.expand(s), False, a.depth)

    def take(self, a: Pair, positions: Positions, open: Bools | None) -> Pair:
        at = tuple(self._tensor(p) if isinstance(p, np.ndarray) else p for p in positions)
        v = a.value[at]
        e = None if a.error is None else a.error[at]
        if open is not None and open.any():  # another element may be meant
            spread = 2 * a.value.abs().max() + (a.error.max() if a.error is not None else 0.0)
            e = (torch.zeros_like(v) if e is None else e) + self._tensor(open).double() * spread
        return Pair(v, e)

    def zeros(self, shape: Sequence[int]) -> Pair:
        z = torch.zeros(tuple(shape), dtype=torch.float64)
        return Pair(z, z.clone())

    def put(self, a: Pair, axis: int, k: int, value: Pair) -> Pair:
        at = (slice(None),) * axis + (k,)
        assert a.error is not None
        a.value[at] = value.value
        a.error[at] = 0.0 if value.error is None else value.error
        return a

    # -- arithmetic ------------------------------------------------------------------
    def add(self, a: Pair, b: Pair) -> Pair:
        v = a.value + b.value
        e = v.abs() * self.unit
        for product, other in ((a, b), (b, a)):
            if product.depth:
                e = e + other.value.abs() * (product.depth * self.accumulator)
        if a.error is not None:
            e = e + a.error
        if b.error is not None:
            e = e + b.error
        return Pair(v, _exact_infinities(v, e, a, b))

    def added(self, total: Pair, parts: Sequence[Pair]) -> Pair:
        """A sum of three or more: in another order its partial sums are larger, up to all that has one sign."""
        sizes = parts[0].value.abs()
        for p in parts[1:]:
            sizes = sizes + p.value.abs()
        e = (len(parts) - 2) * self.unit * (sizes + total.value.abs()) / 2
        e = torch.where(torch.isfinite(e), e, 0.0)
        return total._replace(error=e if total.error is None else total.error + e)

    def mul(self, a: Pair, b: Pair) -> Pair:
        if _power_of_two(a) or _power_of_two(b):
            one, other = (a, b) if _power_of_two(a) else (b, a)
            return Pair(one.value * other.value, None if other.error is None else one.value.abs() * other.error)
        v = a.value * b.value
        e = v.abs() * self.unit
        if b.error is not None:
            e = e + _times(a.value.abs(), b.error)
        if a.error is not None:
            e = e + _times(b.value.abs() if b.error is None else b.value.abs() + b.error, a.error)
        return Pair(v, _exact_infinities(v, self._underflow(v, e, (a.value != 0) & (b.value != 0)), a, b))

    def _underflow(self, v: torch.Tensor, e: torch.Tensor, nonzero: torch.Tensor | bool = True) -> torch.Tensor:
        """The error with the smallest normal number added where the result may underflow, infinite where it overflows."""
        size = v.abs()
        if size.numel() and bool((size < self.tiny / self.unit).any()):
            e = e + ((size < self.tiny / self.unit) & torch.as_tensor(nonzero)).double() * self.tiny
        if size.numel() and bool((size > self.largest).any()):
            e = torch.where(size > self.largest, torch.inf, e)
        return e

    def power(self, a: Pair, exponent: Any) -> Pair:
        if isinstance(exponent, Fraction):
            p = float(exponent)
            v = a.value ** (int(exponent) if exponent.denominator == 1 else p)
            e = 2 * v.abs() * self.unit
            if a.error is not None:
                low, high = (a.value.abs() - a.error).clamp(min=0), a.value.abs() + a.error
                slope = abs(p) * (high if p >= 1 else low) ** (p - 1)
                moved = _times(slope, a.error)
                if exponent.denominator != 1 and p > 0:  # a root has no slope at 0, but it is monotone
                    moved = torch.minimum(moved, high**p - (low**p if p > 0 else 0.0) + 4 * FLOAT64_UNIT * high**p)
                e = e + moved
            return Pair(v, self._underflow(v, e, a.value != 0))
        v = a.value**exponent.value
        e = 2 * v.abs() * self.unit * (1 + (exponent.value * a.value.abs().log()).abs().nan_to_num(0.0))
        if a.error is not None:
            low, high = (a.value.abs() - a.error).clamp(min=0), a.value.abs() + a.error
            p = exponent.value - 1
            e = e + _times(exponent.value.abs() * torch.maximum(low**p, high**p), a.error)
        if exponent.error is not None:
            e = e + _times((v * a.value.abs().log()).abs().nan_to_num(0.0) * 2, exponent.error)
        return Pair(v, e)

    def func(self, name: str, args: Sequence[Pair]) -> Pair:
        f = torch_function(name)
        v = f(*(a.value for a in args)).double()
        if name == "inf":
            return Pair(v)
        if name in STEPS:  # whole numbers, which no rounding changes
            e = args[0].error
            if e is None:
                return Pair(v)
            low, high = f(args[0].value - e), f(args[0].value + e)
            return Pair(v, torch.maximum((v - low).abs(), (high - v).abs()))
        e = (20 if self.single and name in EXP_FLOAT32 else 2) * v.abs() * self.unit
        if name in SATURATED:  # what is left to 1 is below the next number: every kernel gives 1
            short = SATURATED[name](args[0].value)
            e = torch.where(short < self.unit / 8, torch.minimum(e, short), e)
        if name in DIGITS:
            e = e + DIGITS[name] * v.abs()
        if name in CANCELLING:
            e = e + args[0].value.abs() * self.unit
        if self.single and name in ERF_FLOAT32:
            e = e + 1e-6 * ERF_FLOAT32[name] * (1.0 if name != "gelu" else args[0].value.abs())
        for k, a in enumerate(args):
            if a.error is not None:
                e = e + _times(self._slope(name, f, [b.value for b in args], k, a.error), a.error)
        if name in ("silu", "gelu", "gelu_tanh"):  # the factor of x that underflows is multiplied by x
            e = e + args[0].value.abs() * self.tiny
        return Pair(v, self._underflow(v, e, v != 0))

    def _slope(self, name: str, f: Any, values: list[torch.Tensor], k: int, error: torch.Tensor) -> torch.Tensor:
        """The largest ``|f'|`` in the ``k``-th argument: at the ends of the interval, its middle, its point nearest 0."""
        x = values[k]
        low, high = x - error, x + error
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

    # -- brackets ---------------------------------------------------------------------
    def compare(self, relation: str, a: Pair) -> Mask:
        v = array(a.value)
        holds = np.asarray({"==": v == 0, "!=": v != 0, ">=": v >= 0, ">": v > 0}[relation])
        if a.error is None or self.decided:
            return Mask(holds)
        e = array(a.error)
        opened = (np.abs(v) <= e) & (e > 0)
        count = int(opened.sum())
        self.open += count
        return Mask(holds, opened if count else None)

    def where(self, mask: Mask, a: Pair) -> Pair:
        holds = self._tensor(mask.holds)
        v = torch.where(holds, a.value, 0.0)
        e = None if a.error is None else torch.where(holds, a.error, 0.0)
        if mask.open is not None and mask.open.any():
            either = a.value.abs() + (0.0 if a.error is None else a.error)
            e = torch.where(self._tensor(mask.open), either, torch.zeros_like(v) if e is None else e)
        return Pair(v, e)

    # -- sums ---------------------------------------------------------------------------
    def depth(self, n: int, constant: bool = False) -> float:
        """How many roundings reach one term of a sum of ``n``: ``d(n)``."""
        return float(n) if self.sequential or constant else min(n, 64) + math.log2(max(1.0, n / 64))

    def matmul(self, a: Pair, b: Pair) -> Pair:
        v = a.value @ b.value
        size_a, size_b = a.value.abs(), b.value.abs()
        n = a.value.shape[-1]
        # rounding errors of equal terms all point the same way
        constant = n > 64 and (_constant(a.value, -1) or _constant(b.value, -2))
        if a.scatter or b.scatter:
            hits = float((a.value.sum(-1) if a.scatter else b.value.sum(-2)).max()) if n else 0.0
            rounding = hits * self.unit if hits > 1 else 0.0
        else:
            rounding = self.depth(n, constant) * self.accumulator
        e = (size_a @ size_b) * rounding + v.abs() * self.unit
        if b.error is not None:
            e = e + _product(size_a, b.error)
            size_b = size_b + b.error
        if a.error is not None:
            e = e + _product(a.error, size_b)
        return Pair(v, self._underflow(v, e, v != 0), False, self.depth(n))

    def sum(self, a: Pair, dims: tuple[int, ...]) -> Pair:
        v = a.value.sum(dims)
        n = math.prod(a.value.shape[k] for k in dims)
        if n == 1:
            return Pair(v, None if a.error is None else a.error.sum(dims))
        e = a.value.abs().sum(dims) * (self.depth(n) * self.accumulator) + v.abs() * self.unit
        if a.error is not None:
            e = e + a.error.sum(dims)
        return Pair(v, e)

    def prod(self, a: Pair, dims: tuple[int, ...]) -> Pair:
        kept = [k for k in range(a.value.ndim) if k not in dims]
        flat = self.reshape(
            self.permute(a, (*kept, *dims)), (*(a.value.shape[k] for k in kept), math.prod(a.value.shape[k] for k in dims))
        )
        total = Pair(torch.ones(flat.value.shape[:-1], dtype=torch.float64))
        for k in range(flat.value.shape[-1]):
            one = Pair(flat.value[..., k], None if flat.error is None else flat.error[..., k])
            total = one if k == 0 else self.mul(total, one)
        return total

    def extreme(self, kind: str, a: Pair, dims: tuple[int, ...]) -> Pair:
        v = a.value.amax(dims) if kind == "max" else a.value.amin(dims)
        return Pair(v, None if a.error is None else self._candidates(kind, a, dims)[1].amax(dims))

    def _candidates(self, kind: str, a: Pair, dims: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        """Which elements may be the extreme, and their errors (0 for the others)."""
        assert a.error is not None
        v = a.value if kind == "max" else -a.value
        near = v + a.error >= (v - a.error).amax(dims, keepdim=True)
        return near, torch.where(near, a.error, 0.0)

    def place(self, kind: str, a: Pair, dims: tuple[int, ...]) -> Whole:
        v = array(a.value)
        kept = [k for k in range(v.ndim) if k not in dims]
        flat = v.transpose(*kept, *dims).reshape(*(v.shape[k] for k in kept), -1)
        found = np.asarray(flat.argmax(-1) if kind == "argmax" else flat.argmin(-1), dtype=np.int64)
        if a.error is None or self.decided:
            return Whole(found)
        near, errors = self._candidates(kind[3:], a, dims)
        opened = array((near.sum(dims) > 1) & (errors.amax(dims) > 0))
        count = int(opened.sum())
        self.open += count
        return Whole(found, opened if count else None)

    def finite(self, a: Pair) -> bool:
        return bool(torch.isfinite(a.value).all()) and (a.error is None or bool(torch.isfinite(a.error).all()))

    def same(self, a: Pair, b: Pair) -> bool:
        zero = torch.zeros(())
        return torch.equal(a.value, b.value) and torch.equal(
            (zero if a.error is None else a.error).expand(a.value.shape),
            (zero if b.error is None else b.error).expand(b.value.shape),
        )


def _power_of_two(a: Pair) -> bool:
    if a.error is not None or a.value.numel() != 1:
        return False
    mantissa = abs(math.frexp(float(a.value))[0])
    return mantissa == 0.5


def _exact_infinities(v: torch.Tensor, e: torch.Tensor, a: Pair, b: Pair) -> torch.Tensor:
    """No error where an operand is infinite: a masked score is −∞ exactly (what overflows on the way is another thing)."""
    if not bool(torch.isinf(v).any()):
        return e
    return torch.where(torch.isinf(a.value) | torch.isinf(b.value), 0.0, e)


def _times(size: torch.Tensor, error: torch.Tensor) -> torch.Tensor:
    """``size · error``, 0 where there is no error even if the size is infinite; 0 times an overflow is NaN, so unbounded."""
    product = size * error
    return (
        product
        if bool(torch.isfinite(product).all())
        else torch.where(error == 0, 0.0, torch.where(torch.isnan(product), torch.inf, product))
    )


def _product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    found = a @ b
    return found if bool(torch.isfinite(found).all()) else torch.where(torch.isnan(found), torch.inf, found)


def _constant(a: torch.Tensor, dim: int) -> bool:
    """Whether some row of equal numbers other than 0 is summed over."""
    low, high = a.amin(dim), a.amax(dim)
    return bool(((low == high) & (low != 0)).any())
