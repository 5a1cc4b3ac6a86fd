"""Terms on rational numbers; what is not rational is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.functions.table import functions
from derivcheck.notation.integers.relations import holds
from derivcheck.notation.values import matrices
from derivcheck.notation.values.float64 import Numpy
from derivcheck.notation.values.numbers import Mask, Whole


class Exact(Numpy):
    """Rational numbers (:class:`fractions.Fraction`); what is not rational is refused."""

    dtype: Any = object
    holes = True
    hole: Any = None

    def given(self, array: Any, name: str) -> Any:
        """An input, each number exactly as it is stored."""
        if hasattr(array, "detach"):
            array = array.detach().cpu()
            array = (array.double() if array.is_floating_point() else array).numpy()
        array = np.asarray(array)
        out = np.empty(array.shape, dtype=object)
        for at in np.ndindex(*array.shape):
            out[at] = self.exactly(array[at])
        return out

    def exactly(self, value: Any) -> Any:
        """One input number, exactly."""
        return value if isinstance(value, Fraction) else Fraction(value.item() if isinstance(value, np.generic) else value)

    def number(self, value: Fraction) -> Any:
        return self._cell(self.exactly(value))

    def integers(self, values: Whole) -> Any:
        return self._map(lambda v: self.exactly(Fraction(int(v))), values.values)

    def whole(self, a: Any) -> Whole:
        return Whole(np.array([int(v) for v in a.ravel()], dtype=np.int64).reshape(a.shape))

    def held(self, a: Any) -> Any:
        return a

    def indicator(self, mask: Mask) -> Any:
        return self._map(lambda v: self.exactly(Fraction(int(v))), mask.holds)

    def zeros(self, shape: Sequence[int]) -> Any:
        out = np.empty(tuple(shape), dtype=object)
        out.fill(self.exactly(Fraction(0)))
        return out

    def put(self, a: Any, axis: int, k: int, value: Any) -> Any:
        return super().put(a, axis, k, value if value.ndim else value.item())  # an array of objects would hold the array

    def _map(self, f: Callable[..., Any], *arrays: Any) -> Any:
        arrays = np.broadcast_arrays(*arrays)
        out = np.empty(arrays[0].shape, dtype=object)
        for at in np.ndindex(*out.shape):
            out[at] = f(*(a[at] for a in arrays))
        return out

    def power(self, a: Any, exponent: Any) -> Any:
        if not isinstance(exponent, Fraction):
            return self._map(self.one_power, a, exponent)
        return self._map(lambda v: self.one_power(v, exponent), a)

    def one_power(self, base: Any, exponent: Any) -> Any:
        """``base ** exponent`` of single numbers; None (a hole) where it is not defined."""
        if base is None or exponent is None:
            return None
        if exponent.denominator == 1:
            return None if base == 0 and exponent < 0 else base ** int(exponent)
        if exponent.denominator == 2 and base >= 0:
            top, bottom = math.isqrt(base.numerator), math.isqrt(base.denominator)
            if top * top == base.numerator and bottom * bottom == base.denominator:
                return self.one_power(Fraction(top, bottom), Fraction(exponent.numerator))
        raise UnsupportedOperation("power", f"{base}^({exponent}) is not rational")

    def func(self, name: str, args: Sequence[Any]) -> Any:
        if not args:
            return self._cell(self.one_value(name, ()))
        return self._map(lambda *values: self.one_value(name, values), *args)

    def one_value(self, name: str, values: Sequence[Any]) -> Any:
        """A scalar function of single numbers."""
        if any(v is None for v in values):
            return None
        row = functions().get(name)
        if len(values) == 1 and values[0] == 0 and row is not None and row.at_zero is not None:
            return Fraction(row.at_zero)
        if name == "log" and values[0] == 1:
            return Fraction(0)
        raise UnsupportedOperation(name, "its value is not rational")

    def add(self, a: Any, b: Any) -> Any:
        return self._map(lambda u, v: None if u is None or v is None else u + v, a, b)

    def mul(self, a: Any, b: Any) -> Any:
        return self._map(lambda u, v: None if u is None or v is None else u * v, a, b)

    def compare(self, relation: str, a: Any) -> Mask:
        found = [v is not None and bool(holds(relation, self.sign(v))) for v in a.ravel()]
        return Mask(np.array(found, dtype=bool).reshape(a.shape))

    def sign(self, value: Any) -> Any:
        """A number that compares with 0 as the value does."""
        return value

    def where(self, mask: Mask, a: Any) -> Any:
        zero = self.exactly(Fraction(0))
        return self._map(lambda m, v: v if m else zero, mask.holds, a)

    def matmul(self, a: Any, b: Any) -> Any:
        return self.sum(self.mul(a[:, :, :, None], b[:, None, :, :]), (2,))

    def _fold(self, f: Callable[[list[Any]], Any], a: Any, dims: tuple[int, ...]) -> Any:
        """Reduce the dimensions by a function of the list of their numbers, row-major."""
        kept = [k for k in range(a.ndim) if k not in dims]
        shape = tuple(a.shape[k] for k in kept)
        count = math.prod(a.shape[k] for k in dims)
        flat = a.transpose(*kept, *dims).reshape(*shape, count)
        out = np.empty(shape, dtype=object)
        for at in np.ndindex(*shape):
            out[at] = f(list(flat[at]))
        return out

    def sum(self, a: Any, dims: tuple[int, ...]) -> Any:
        zero = self.exactly(Fraction(0))
        return self._fold(lambda vs: None if any(v is None for v in vs) else self.total(vs, zero), a, dims)

    def total(self, values: list[Any], zero: Any) -> Any:
        """The sum of numbers."""
        return sum(values, zero)

    def prod(self, a: Any, dims: tuple[int, ...]) -> Any:
        one = self.exactly(Fraction(1))
        return self._fold(lambda vs: None if any(v is None for v in vs) else math.prod(vs, start=one), a, dims)

    def extreme(self, kind: str, a: Any, dims: tuple[int, ...]) -> Any:
        return self._fold(lambda vs: vs[self._first(kind, vs)], a, dims)

    def place(self, kind: str, a: Any, dims: tuple[int, ...]) -> Whole:
        return Whole(np.asarray(self._fold(lambda vs: self._first(kind[3:], vs), a, dims), dtype=np.int64))

    def _first(self, kind: str, values: list[Any]) -> int:
        keys = [self.sign(v) for v in values]
        best = 0
        for k in range(1, len(keys)):
            if keys[k] > keys[best] if kind == "max" else keys[k] < keys[best]:
                best = k
        return best

    def matrix(self, kind: str, a: Any) -> Any:
        return matrices.eliminated(self, kind, a, strict=self.holes)

    def finite(self, a: Any) -> bool:
        return all(v is not None for v in a.ravel())

    def same(self, a: Any, b: Any) -> bool:
        return bool(np.array_equal(a, b))
