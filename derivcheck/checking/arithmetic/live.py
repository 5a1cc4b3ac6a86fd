"""A Program on torch tensors that autograd can see through, in any floating-point type."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from derivcheck.checking.arithmetic import matrix_errors
from derivcheck.checking.arithmetic.scalar import torch_function
from derivcheck.errors import InputError
from derivcheck.notation.values.numbers import Bools, Mask, Positions, Whole


def array(tensor: torch.Tensor) -> Any:
    """The tensor's numbers as a NumPy array (shared where possible)."""
    t = tensor.detach().cpu()
    return (t.double() if t.is_floating_point() else t).numpy()


def tensor(values: Any, device: torch.device | str = "cpu") -> torch.Tensor:
    """A NumPy array as a tensor that shares nothing with it; what was broadcast stays so, and takes no memory.

    >>> tensor(np.broadcast_to(np.arange(2)[:, None], (2, 1000))).stride()
    (1, 0)
    """
    a = np.asarray(values)
    kept = a[tuple(slice(0, 1) if step == 0 and n > 1 else slice(None) for step, n in zip(a.strides, a.shape))]
    return torch.from_numpy(np.array(kept)).to(device).expand(a.shape)


class Live:
    """Numbers as torch tensors of one type; every operation is differentiable."""

    def __init__(self, dtype: torch.dtype = torch.float64, device: str | torch.device = "cpu") -> None:
        self.dtype, self.device = dtype, torch.device(device)

    def _tensor(self, values: Any) -> torch.Tensor:
        return tensor(values, self.device)

    def given(self, array: Any, name: str) -> Any:
        t = array if isinstance(array, torch.Tensor) else torch.as_tensor(np.require(array, requirements="W"))
        if t.is_complex():
            raise InputError(f"{name} is complex; expected real numbers")
        return t.to(device=self.device, dtype=self.dtype) if t.is_floating_point() else t.to(self.device)

    def number(self, value: Fraction) -> Any:
        return torch.tensor(value.numerator / value.denominator, dtype=self.dtype, device=self.device)

    def integers(self, values: Whole) -> Any:
        return self._tensor(values.values).to(self.dtype)

    def whole(self, a: Any) -> Whole:
        values = array(a)
        return Whole(np.rint(np.nan_to_num(values)).astype(np.int64))

    def held(self, a: Any) -> Any:
        return a.detach()

    def added(self, total: Any, parts: Sequence[Any]) -> Any:
        return total

    def indicator(self, mask: Mask) -> Any:
        return self._tensor(mask.holds).to(self.dtype)

    def shape(self, a: Any) -> tuple[int, ...]:
        return tuple(a.shape)

    def reshape(self, a: Any, shape: Sequence[int]) -> Any:
        return a.reshape(tuple(shape))

    def permute(self, a: Any, order: Sequence[int]) -> Any:
        return a.permute(tuple(order))

    def expand(self, a: Any, shape: Sequence[int]) -> Any:
        return a.expand(tuple(shape))

    def take(self, a: Any, positions: Positions, open: Bools | None) -> Any:
        return a[tuple(self._tensor(p) if isinstance(p, np.ndarray) else p for p in positions)]

    def zeros(self, shape: Sequence[int]) -> Any:
        return torch.zeros(tuple(shape), dtype=self.dtype, device=self.device)

    def put(self, a: Any, axis: int, k: int, value: Any) -> Any:
        return torch.select_scatter(a, value, axis, k)  # autograd may still need what stood there

    def _float(self, a: Any) -> Any:
        return a if a.is_floating_point() else a.to(self.dtype)

    def add(self, a: Any, b: Any) -> Any:
        return self._float(a) + self._float(b)

    def mul(self, a: Any, b: Any) -> Any:
        return self._float(a) * self._float(b)

    def power(self, a: Any, exponent: Any) -> Any:
        if not isinstance(exponent, Fraction):
            return self._float(a) ** self._float(exponent)
        if exponent.denominator == 1:
            return self._float(a) ** int(exponent)
        if exponent == Fraction(1, 2):
            return torch.sqrt(self._float(a))
        return torch.rsqrt(self._float(a)) if exponent == Fraction(-1, 2) else self._float(a) ** float(exponent)

    def func(self, name: str, args: Sequence[Any]) -> Any:
        return torch_function(name)(*(self._float(a) for a in args)).to(self.dtype)

    def compare(self, relation: str, a: Any) -> Mask:
        v = array(a)
        return Mask(np.asarray({"==": v == 0, "!=": v != 0, ">=": v >= 0, ">": v > 0}[relation]))

    def where(self, mask: Mask, a: Any) -> Any:
        # autograd of where(m, f(x), 0) is 0·f'(x) where m is false: f is kept from its poles by a select before it
        a = self._float(a)
        return torch.where(self._tensor(mask.holds), a, torch.zeros((), dtype=a.dtype, device=self.device))

    def matmul(self, a: Any, b: Any) -> Any:
        return torch.matmul(self._float(a), self._float(b))

    def sum(self, a: Any, dims: tuple[int, ...]) -> Any:
        return self._float(a).sum(dims)

    def prod(self, a: Any, dims: tuple[int, ...]) -> Any:
        kept = [k for k in range(a.ndim) if k not in dims]
        count = math.prod(a.shape[k] for k in dims)
        return self._float(a).permute(*kept, *dims).reshape(*(a.shape[k] for k in kept), count).prod(-1)

    def extreme(self, kind: str, a: Any, dims: tuple[int, ...]) -> Any:
        return a.amax(dims) if kind == "max" else a.amin(dims)

    def place(self, kind: str, a: Any, dims: tuple[int, ...]) -> Whole:
        v = array(a)
        kept = [k for k in range(v.ndim) if k not in dims]
        flat = v.transpose(*kept, *dims).reshape(*(v.shape[k] for k in kept), -1)
        return Whole(np.asarray(flat.argmax(-1) if kind == "argmax" else flat.argmin(-1), dtype=np.int64))

    def matrix(self, kind: str, a: Any) -> Any:
        return matrix_errors.value(kind, self._float(a))

    def finite(self, a: Any) -> bool:
        return bool(torch.isfinite(a).all())

    def same(self, a: Any, b: Any) -> bool:
        return bool(torch.equal(a, b))
