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
from typing import Any

import numpy as np
import torch

from derivcheck.checking.arithmetic import matrix_errors
from derivcheck.checking.arithmetic.function_errors import STEPS, function, stepped
from derivcheck.checking.arithmetic.live import array, tensor
from derivcheck.checking.arithmetic.pairs import (
    FLOAT64_UNIT,
    Pair,
    constant_rows,
    exact_infinities,
    power_of_two,
    product,
    times,
    unit,
)
from derivcheck.checking.arithmetic.products import USUAL, Products
from derivcheck.notation.values.numbers import Bools, Mask, Positions, Whole


class Bound:
    """Numbers as (value, error) pairs.

    Args:
        dtype: the type whose arithmetic is bounded.
        coarse: every sum is taken to be sequential and to accumulate in the type itself, as some of torch's own
            bfloat16 and float16 kernels do on the CPU (``native_layer_norm_backward``).
        decided: every bracket is taken to be on the side on which its number lies, however near the kink.
        products: how matrix products round beside that, under torch's switches.
    """

    def __init__(
        self, dtype: torch.dtype = torch.float64, coarse: bool = False, decided: bool = False, products: Products = USUAL
    ) -> None:
        """The unit roundoffs of a type; with ``coarse``, sums are taken one after the other in the type itself."""
        # the value itself is rounded too (float64), hence the sum of both units
        self.unit = unit(dtype) + FLOAT64_UNIT
        accumulator = dtype if dtype in (torch.float64, torch.float32) else torch.float32
        self.accumulator = unit(dtype if coarse else accumulator) + FLOAT64_UNIT
        self.products = products
        self.summing = self.accumulator if products.accumulator is None else products.accumulator + FLOAT64_UNIT
        self.tiny = torch.finfo(dtype).tiny if dtype is not torch.float16 else torch.finfo(dtype).smallest_normal
        self.largest = torch.finfo(dtype).max
        self.single = dtype is torch.float32
        self.sequential = coarse
        self.decided = decided
        self.open = 0  # brackets that rounding may flip

    # -- in and out ------------------------------------------------------------
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
        v = tensor(values.values).double()
        if values.open is None or not values.open.any():
            return Pair(v)
        return Pair(v, torch.where(tensor(values.open), torch.inf, torch.zeros_like(v)))

    def whole(self, a: Pair) -> Whole:
        opened = None if a.error is None else array(a.error) >= 0.5
        return Whole(
            np.rint(np.nan_to_num(array(a.value))).astype(np.int64), opened if opened is not None and opened.any() else None
        )

    def held(self, a: Pair) -> Pair:
        return a

    def indicator(self, mask: Mask) -> Pair:
        v = tensor(mask.holds).double()
        return Pair(v, None if mask.open is None else tensor(mask.open).double().expand(v.shape), mask.scatter)

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
        at = tuple(tensor(p) if isinstance(p, np.ndarray) else p for p in positions)
        v = a.value[at]
        e = None if a.error is None else a.error[at]
        if open is not None and open.any():  # another element may be meant
            spread = 2 * a.value.abs().max() + (a.error.max() if a.error is not None else 0.0)
            e = (torch.zeros_like(v) if e is None else e) + tensor(open).double() * spread
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
        """Both errors and one rounding; a product of matrices may start its sums at the other number, which each addition then
        rounds."""
        v = a.value + b.value
        e = v.abs() * self.unit
        for one, other in ((a, b), (b, a)):
            if one.depth:
                e = e + other.value.abs() * (one.depth * self.accumulator)
        if a.error is not None:
            e = e + a.error
        if b.error is not None:
            e = e + b.error
        return Pair(v, exact_infinities(v, e, a, b))

    def added(self, total: Pair, parts: Sequence[Pair]) -> Pair:
        """A sum of three or more: in another order its partial sums are larger, up to all that has one sign."""
        sizes = parts[0].value.abs()
        for p in parts[1:]:
            sizes = sizes + p.value.abs()
        e = (len(parts) - 2) * self.unit * (sizes + total.value.abs()) / 2
        e = torch.where(torch.isfinite(e), e, 0.0)
        return total._replace(error=e if total.error is None else total.error + e)

    def mul(self, a: Pair, b: Pair) -> Pair:
        """Each error times the other factor, and one rounding; a power of two rounds nothing."""
        if power_of_two(a) or power_of_two(b):
            one, other = (a, b) if power_of_two(a) else (b, a)
            return Pair(one.value * other.value, None if other.error is None else one.value.abs() * other.error)
        v = a.value * b.value
        e = v.abs() * self.unit
        if b.error is not None:
            e = e + times(a.value.abs(), b.error)
        if a.error is not None:
            e = e + times(b.value.abs() if b.error is None else b.value.abs() + b.error, a.error)
        return Pair(v, exact_infinities(v, self._underflow(v, e, (a.value != 0) & (b.value != 0)), a, b))

    def _underflow(self, v: torch.Tensor, e: torch.Tensor, nonzero: torch.Tensor | bool = True) -> torch.Tensor:
        """The error with the smallest normal number added where the result may underflow, infinite where it overflows."""
        size = v.abs()
        if size.numel() and bool((size < self.tiny / self.unit).any()):
            e = e + ((size < self.tiny / self.unit) & torch.as_tensor(nonzero)).double() * self.tiny
        if size.numel() and bool((size > self.largest).any()):
            e = torch.where(size > self.largest, torch.inf, e)
        return e

    def power(self, a: Pair, exponent: Any) -> Pair:
        """Errors times the steepest slope over the interval that the base may lie in; ``pow`` itself may be an ulp off."""
        if isinstance(exponent, Fraction):
            p = float(exponent)
            v = a.value ** (int(exponent) if exponent.denominator == 1 else p)
            e = 2 * v.abs() * self.unit
            if a.error is not None:
                low, high = (a.value.abs() - a.error).clamp(min=0), a.value.abs() + a.error
                slope = abs(p) * (high if p >= 1 else low) ** (p - 1)
                moved = times(slope, a.error)
                if exponent.denominator != 1 and p > 0:  # a root has no slope at 0, but it is monotone
                    moved = torch.minimum(moved, high**p - (low**p if p > 0 else 0.0) + 4 * FLOAT64_UNIT * high**p)
                e = e + moved
            return Pair(v, self._underflow(v, e, a.value != 0))
        v = a.value**exponent.value
        e = 2 * v.abs() * self.unit * (1 + (exponent.value * a.value.abs().log()).abs().nan_to_num(0.0))
        if a.error is not None:
            low, high = (a.value.abs() - a.error).clamp(min=0), a.value.abs() + a.error
            p = exponent.value - 1
            e = e + times(exponent.value.abs() * torch.maximum(low**p, high**p), a.error)
        if exponent.error is not None:
            e = e + times((v * a.value.abs().log()).abs().nan_to_num(0.0) * 2, exponent.error)
        return Pair(v, e)

    def func(self, name: str, args: Sequence[Pair]) -> Pair:
        if name in STEPS:
            return stepped(name, args[0])
        v, e, *_ = function(name, args, self.unit, self.tiny, self.single)
        return Pair(v) if e is None else Pair(v, self._underflow(v, e, v != 0))

    # -- brackets ---------------------------------------------------------------------
    def compare(self, relation: str, a: Pair) -> Mask:
        """Where a bracket holds, and where rounding may flip it: those are open."""
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
        holds = tensor(mask.holds)
        v = torch.where(holds, a.value, 0.0)
        e = None if a.error is None else torch.where(holds, a.error, 0.0)
        if mask.open is not None and mask.open.any():
            either = a.value.abs() + (0.0 if a.error is None else a.error)
            e = torch.where(tensor(mask.open), either, torch.zeros_like(v) if e is None else e)
        return Pair(v, e)

    # -- sums ---------------------------------------------------------------------------
    def depth(self, n: int, constant: bool = False) -> float:
        """How many roundings reach one term of a sum of ``n``: ``d(n)``."""
        return float(n) if self.sequential or constant else min(n, 64) + math.log2(max(1.0, n / 64))

    def matmul(self, a: Pair, b: Pair) -> Pair:
        """Errors of a product of matrices, with the additions of its sum; a one-hot factor picks, and adds only where it hits
        twice."""
        v = a.value @ b.value
        size_a, size_b = a.value.abs(), b.value.abs()
        n = a.value.shape[-1]
        # rounding errors of equal terms all point the same way
        constant = n > 64 and (constant_rows(a.value, -1) or constant_rows(b.value, -2))
        if a.scatter or b.scatter:
            hits = float((a.value.sum(-1) if a.scatter else b.value.sum(-2)).max()) if n else 0.0
            rounding = hits * self.unit if hits > 1 else 0.0
        else:
            rounding = self.depth(n, constant) * self.summing + self.products.rounding(n)
        e = (size_a @ size_b) * rounding + v.abs() * self.unit
        if b.error is not None:
            e = e + product(size_a, b.error)
            size_b = size_b + b.error
        if a.error is not None:
            e = e + product(a.error, size_b)
        return Pair(v, self._underflow(v, e, v != 0), False, self.depth(n))

    def sum(self, a: Pair, dims: tuple[int, ...]) -> Pair:
        """The errors of what is added, and the roundings of the additions; a sum over one element rounds nothing."""
        v = a.value.sum(dims)
        n = math.prod(a.value.shape[k] for k in dims)
        if n == 1:
            return Pair(v, None if a.error is None else a.error.sum(dims))
        e = a.value.abs().sum(dims) * (self.depth(n) * self.accumulator) + v.abs() * self.unit
        if a.error is not None:
            e = e + a.error.sum(dims)
        return Pair(v, e)

    def prod(self, a: Pair, dims: tuple[int, ...]) -> Pair:
        """A product, factor after factor, as torch may take it."""
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
        """Where an extreme stands, and which of those places rounding may move: those are open."""
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

    def matrix(self, kind: str, a: Pair) -> Pair:
        return matrix_errors.of_matrix(kind, a, self.unit, self.depth(a.value.shape[-1]))

    def finite(self, a: Pair) -> bool:
        return bool(torch.isfinite(a.value).all()) and (a.error is None or bool(torch.isfinite(a.error).all()))

    def same(self, a: Pair, b: Pair) -> bool:
        zero = torch.zeros(())
        return torch.equal(a.value, b.value) and torch.equal(
            (zero if a.error is None else a.error).expand(a.value.shape),
            (zero if b.error is None else b.error).expand(b.value.shape),
        )
