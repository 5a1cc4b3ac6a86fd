"""Terms on float64 arrays of NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from derivcheck.errors import InputError
from derivcheck.notation.functions.float64 import numpy_function
from derivcheck.notation.integers.relations import holds
from derivcheck.notation.values import matrices
from derivcheck.notation.values.numbers import Bools, Mask, Positions, Whole


class Numpy:
    """float64 arrays of NumPy.

    Attributes:
        holes: whether an element that is not there is no number, unless a bracket selects it away; else it is the nearest.
        hole: what is no number.
    """

    dtype: Any = np.float64
    holes: bool = False
    hole: Any = np.nan

    def emptied(self, a: Any, outside: Bools) -> Any:
        """The numbers with holes there."""
        found = np.array(a, dtype=self.dtype)
        found[outside] = self.hole
        return found

    def given(self, array: Any, name: str) -> Any:
        """An input as float64, from a tensor, an array or lists."""
        if hasattr(array, "detach"):  # a torch tensor, without importing torch
            array = array.detach().cpu()
            array = array.double() if array.is_floating_point() else array
            array = array.numpy()
        array = np.asarray(array)
        if array.dtype.kind == "c":
            raise InputError(f"{name} is complex; expected real numbers")
        return np.asarray(array, dtype=self.dtype)

    def number(self, value: Fraction) -> Any:
        return np.asarray(value.numerator / value.denominator)

    def integers(self, values: Whole) -> Any:
        return values.values.astype(self.dtype)

    def whole(self, a: Any) -> Whole:
        return Whole(np.rint(np.nan_to_num(a)).astype(np.int64))

    def held(self, a: Any) -> Any:
        return a

    def added(self, total: Any, parts: Sequence[Any]) -> Any:
        return total

    def indicator(self, mask: Mask) -> Any:
        return mask.holds.astype(self.dtype)

    def shape(self, a: Any) -> tuple[int, ...]:
        return tuple(a.shape)

    def reshape(self, a: Any, shape: Sequence[int]) -> Any:
        return a.reshape(tuple(shape))

    def permute(self, a: Any, order: Sequence[int]) -> Any:
        return a.transpose(tuple(order))

    def expand(self, a: Any, shape: Sequence[int]) -> Any:
        return np.broadcast_to(a, tuple(shape))

    def take(self, a: Any, positions: Positions, open: Bools | None) -> Any:
        found = a[positions]
        return found if isinstance(found, np.ndarray) else self._cell(found)

    def _cell(self, value: Any) -> Any:
        cell = np.empty((), dtype=self.dtype)
        cell[()] = value
        return cell

    def _array(self, value: Any) -> Any:
        return value if isinstance(value, np.ndarray) else self._cell(value)

    def zeros(self, shape: Sequence[int]) -> Any:
        return np.zeros(tuple(shape), dtype=self.dtype)

    def put(self, a: Any, axis: int, k: int, value: Any) -> Any:
        a[(slice(None),) * axis + (k,)] = value
        return a

    def add(self, a: Any, b: Any) -> Any:
        return self._array(a + b)

    def mul(self, a: Any, b: Any) -> Any:
        return self._array(a * b)

    def power(self, a: Any, exponent: Any) -> Any:
        """``a ** exponent``; squares, reciprocals and roots by their own operations."""
        if not isinstance(exponent, Fraction):
            return np.power(a, exponent)
        if exponent.denominator == 1:
            k = int(exponent)
            return a * a if k == 2 else 1.0 / a if k == -1 else np.power(a, float(k))
        if exponent.denominator == 2:
            root = np.sqrt(a)
            return root if exponent.numerator == 1 else 1.0 / root if exponent.numerator == -1 else np.power(a, float(exponent))
        return np.power(a, float(exponent))

    def func(self, name: str, args: Sequence[Any]) -> Any:
        return np.asarray(numpy_function(name)(*args), dtype=self.dtype)

    def compare(self, relation: str, a: Any) -> Mask:
        return Mask(np.asarray(holds(relation, a), dtype=bool))

    def where(self, mask: Mask, a: Any) -> Any:
        return np.where(mask.holds, a, 0.0)

    def matmul(self, a: Any, b: Any) -> Any:
        return np.matmul(a, b)

    def sum(self, a: Any, dims: tuple[int, ...]) -> Any:
        return np.asarray(a.sum(axis=dims))

    def prod(self, a: Any, dims: tuple[int, ...]) -> Any:
        return np.asarray(a.prod(axis=dims))

    def extreme(self, kind: str, a: Any, dims: tuple[int, ...]) -> Any:
        return np.asarray(a.max(axis=dims) if kind == "max" else a.min(axis=dims))

    def place(self, kind: str, a: Any, dims: tuple[int, ...]) -> Whole:
        kept = [k for k in range(a.ndim) if k not in dims]
        flat = a.transpose(*kept, *dims).reshape(*(a.shape[k] for k in kept), -1)
        return Whole(np.asarray(flat.argmax(-1) if kind == "argmax" else flat.argmin(-1), dtype=np.int64))

    def matrix(self, kind: str, a: Any) -> Any:
        return matrices.of_floats(kind, a, strict=self.holes)

    def finite(self, a: Any) -> bool:
        return bool(np.isfinite(a).all())

    def same(self, a: Any, b: Any) -> bool:
        return bool(np.array_equal(a, b, equal_nan=True))


class WithHoles(Numpy):
    """float64 arrays in which what is read beyond an end of a tensor is NaN."""

    holes = True
