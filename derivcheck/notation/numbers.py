"""The numbers that a term can be evaluated on: what :func:`derivcheck.notation.meaning.evaluate` asks of them.

Integers (positions, masks, witnesses) are NumPy arrays whatever the numbers are; ``Numpy`` here is
float64, ``Exact`` is rational numbers, ``Symbolic`` is SymPy expressions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from derivcheck.errors import InputError, UnsupportedOperation

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Positions = tuple[Any, ...]  # per dimension: an int, a slice or an integer array


class Mask(NamedTuple):
    """Where a bracket holds; ``open`` marks where numbers known only within an error cannot tell.

    ``scatter``: it compares with entries of an integer tensor, so a sum under it is a scatter-add.
    """

    holds: Bools
    open: Bools | None = None
    scatter: bool = False


class Whole(NamedTuple):
    """Integers, with a mark where numbers known only within an error cannot tell."""

    values: Ints
    open: Bools | None = None


class Numbers(Protocol):
    """Arrays of numbers of some kind.  All operations broadcast as NumPy does; only ``put`` may change an operand."""

    def given(self, array: Any, name: str) -> Any: ...  # an input
    def number(self, value: Fraction) -> Any: ...  # of no dimensions
    def integers(self, values: Whole) -> Any: ...
    def whole(self, a: Any) -> Whole: ...
    def indicator(self, mask: Mask) -> Any: ...  # 1 where it holds, else 0
    def held(self, a: Any) -> Any: ...  # the same values, of which no derivative is taken
    def shape(self, a: Any) -> tuple[int, ...]: ...
    def reshape(self, a: Any, shape: Sequence[int]) -> Any: ...
    def permute(self, a: Any, order: Sequence[int]) -> Any: ...
    def expand(self, a: Any, shape: Sequence[int]) -> Any: ...
    def take(self, a: Any, positions: Positions, open: Bools | None) -> Any: ...
    def zeros(self, shape: Sequence[int]) -> Any: ...
    def put(self, a: Any, axis: int, k: int, value: Any) -> Any: ...  # a with its k-th slice along axis replaced; may change a
    def add(self, a: Any, b: Any) -> Any: ...
    def mul(self, a: Any, b: Any) -> Any: ...
    def power(self, a: Any, exponent: Any) -> Any: ...  # a Fraction or an array
    def func(self, name: str, args: Sequence[Any]) -> Any: ...
    def compare(self, relation: str, a: Any) -> Mask: ...  # with 0
    def where(self, mask: Mask, a: Any) -> Any: ...  # a where it holds, else 0, whatever a is there
    def matmul(self, a: Any, b: Any) -> Any: ...  # [B, M, K] × [B, K, N]
    def sum(self, a: Any, dims: tuple[int, ...]) -> Any: ...
    def prod(self, a: Any, dims: tuple[int, ...]) -> Any: ...
    def extreme(self, kind: str, a: Any, dims: tuple[int, ...]) -> Any: ...  # max or min
    def place(self, kind: str, a: Any, dims: tuple[int, ...]) -> Whole: ...  # argmax or argmin, row-major over dims
    def finite(self, a: Any) -> bool: ...
    def same(self, a: Any, b: Any) -> bool: ...


class Numpy:
    """float64 arrays of NumPy."""

    dtype: Any = np.float64

    def given(self, array: Any, name: str) -> Any:
        if hasattr(array, "detach"):  # a torch tensor, without importing torch
            array = array.detach().cpu()
            array = array.double() if array.is_floating_point() else array
            array = array.numpy()
        array = np.asarray(array)
        if array.dtype.kind == "c":
            raise InputError(f"{name} is complex; expected real numbers")
        return np.asarray(array, dtype=self.dtype)

    def number(self, value: Fraction) -> Any:
        return np.asarray(float(value) if abs(value) < 1e300 else value.numerator / value.denominator)

    def integers(self, values: Whole) -> Any:
        return values.values.astype(self.dtype)

    def whole(self, a: Any) -> Whole:
        return Whole(np.rint(np.nan_to_num(a)).astype(np.int64))

    def held(self, a: Any) -> Any:
        return a

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
        return Mask(np.asarray({"==": a == 0, "!=": a != 0, ">=": a >= 0, ">": a > 0}[relation], dtype=bool))

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

    def finite(self, a: Any) -> bool:
        return bool(np.isfinite(a).all())

    def same(self, a: Any, b: Any) -> bool:
        return bool(np.array_equal(a, b, equal_nan=True))


class Exact(Numpy):
    """Rational numbers (:class:`fractions.Fraction`); what is not rational is refused."""

    dtype: Any = object

    def given(self, array: Any, name: str) -> Any:
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
        rational: dict[str, Fraction | int] = {
            "exp": 1,
            "cos": 1,
            "cosh": 1,
            "sin": 0,
            "tan": 0,
            "sinh": 0,
            "tanh": 0,
            "asin": 0,
            "atan": 0,
            "asinh": 0,
            "atanh": 0,
            "erf": 0,
            "expm1": 0,
            "log1p": 0,
            "silu": 0,
            "gelu": 0,
            "gelu_tanh": 0,
            "sigmoid": Fraction(1, 2),
        }
        if any(v is None for v in values):
            return None
        if len(values) == 1 and values[0] == 0 and name in rational:
            return Fraction(rational[name])
        if name == "log" and values[0] == 1:
            return Fraction(0)
        raise UnsupportedOperation(name, "its value is not rational")

    def add(self, a: Any, b: Any) -> Any:
        return self._map(lambda u, v: None if u is None or v is None else u + v, a, b)

    def mul(self, a: Any, b: Any) -> Any:
        return self._map(lambda u, v: None if u is None or v is None else u * v, a, b)

    def compare(self, relation: str, a: Any) -> Mask:
        tests: dict[str, Callable[[Any], bool]] = {
            "==": lambda v: v == 0,
            "!=": lambda v: v != 0,
            ">=": lambda v: v >= 0,
            ">": lambda v: v > 0,
        }
        return Mask(
            np.array([v is not None and bool(tests[relation](self.sign(v))) for v in a.ravel()], dtype=bool).reshape(a.shape)
        )

    def sign(self, value: Any) -> Any:
        """A number that compares with 0 as the value does."""
        return value

    def where(self, mask: Mask, a: Any) -> Any:
        zero = self.exactly(Fraction(0))
        return self._map(lambda m, v: v if m else zero, mask.holds, a)

    def matmul(self, a: Any, b: Any) -> Any:
        return self.sum(self.mul(a[:, :, :, None], b[:, None, :, :]), (2,))

    def _fold(self, f: Callable[[list[Any]], Any], a: Any, dims: tuple[int, ...]) -> Any:
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

    def finite(self, a: Any) -> bool:
        return all(v is not None for v in a.ravel())

    def same(self, a: Any, b: Any) -> bool:
        return bool(np.array_equal(a, b))


class Symbolic(Exact):
    """SymPy expressions.

    Args:
        point: values of the symbols, which decide comparisons and extremes.
        digits: evaluate what is not rational to so many digits at once; None keeps the expressions.
        seconds: of the processor, after which to give up (UnsupportedOperation): expressions may swell without bound.
    """

    def __init__(self, point: Mapping[Any, Any] | None = None, digits: int | None = None, seconds: float = math.inf) -> None:
        import sympy

        self.sympy, self.point, self.digits = sympy, dict(point or {}), digits
        self.end = time.process_time() + seconds

    def _map(self, f: Callable[..., Any], *arrays: Any) -> Any:
        if time.process_time() > self.end:
            raise UnsupportedOperation("SymPy", "the expressions grow too large for the time given")
        return super()._map(f, *arrays)

    def exactly(self, value: Any) -> Any:
        if isinstance(value, self.sympy.Basic):
            return value
        fraction = super().exactly(value)
        return self.sympy.Rational(fraction.numerator, fraction.denominator)

    def _settled(self, value: Any) -> Any:
        if self.digits is None or value.is_Rational:
            return value
        return value.evalf(self.digits)

    def one_power(self, base: Any, exponent: Any) -> Any:
        if base is None or exponent is None:
            return None
        e = self.exactly(exponent)
        if base == 0 and self.sign(e) < 0:
            return None
        return self._settled(self.sympy.Pow(base, e))

    def one_value(self, name: str, values: Sequence[Any]) -> Any:
        return None if any(v is None for v in values) else self._settled(expression(name, values))

    def total(self, values: list[Any], zero: Any) -> Any:
        return self.sympy.Add(*values) if values else zero

    def sign(self, value: Any) -> Any:
        if value.free_symbols:
            value = value.subs(self.point)
        return value if value.is_Rational else value.evalf(self.digits or 50)


def expression(name: str, args: Sequence[Any]) -> Any:
    """A scalar function as a SymPy expression of SymPy arguments, from its row."""
    import sympy

    from derivcheck.notation.functions import functions

    row = functions().get(name)
    if row is None:
        raise UnsupportedOperation(name, "there is no such scalar function")
    if row.means is None:
        found = getattr(sympy, row.sympy)
        return found(*args) if row.arity else found

    class Others:
        def __getattr__(self, other: str) -> Callable[..., Any]:
            return lambda *inner: expression(other, inner)

    return row.means(sympy, Others(), *args)


# -- float64 functions --------------------------------------------------------
def _sigmoid(x: Any) -> Any:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _softplus(x: Any) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _each(f: Callable[[float], float]) -> Callable[[Any], Any]:
    def apply(x: Any) -> Any:
        return np.array([f(v) for v in np.ravel(x).tolist()], dtype=np.float64).reshape(np.shape(x))

    return apply


def _lgamma(x: float) -> float:
    try:
        return math.lgamma(x)
    except (ValueError, OverflowError):
        return math.inf


def _digamma(x: float) -> float:
    """By reflection, recurrence and Stirling's series (Abramowitz & Stegun 6.3.7, 6.3.5, 6.3.18)."""
    if math.isnan(x) or x == -math.inf:
        return math.nan
    if x <= 0:
        return math.nan if x == math.floor(x) else _digamma(1 - x) - math.pi / math.tan(math.pi * x)
    total = 0.0
    while x < 10:
        total -= 1 / x
        x += 1
    y = 1 / (x * x)
    series = y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y * (1 / 132 - y * (691 / 32760 - y / 12))))))
    return total + math.log(x) - 0.5 / x - series


def _polygamma(order: Any, x: Any) -> Any:
    """By ψ⁽ᵐ⁾(x) = (−1)^(m+1) m! ζ(m+1, x), the zeta function by recurrence and Euler–Maclaurin (DLMF 25.11.28)."""
    m = int(np.ravel(order)[0])
    if m == 0:
        return _each(_digamma)(x)
    s, total, z = m + 1, np.zeros(np.shape(x)), np.asarray(x, dtype=np.float64)
    for _ in range(16):
        total, z = total + z ** float(-s), z + 1
    total = total + z ** float(1 - s) / (s - 1) + z ** float(-s) / 2
    rising = float(s)
    for k, bernoulli in enumerate((1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6), start=1):
        total = total + bernoulli / math.factorial(2 * k) * rising * z ** float(1 - s - 2 * k)
        rising *= (s + 2 * k - 1) * (s + 2 * k)
    return (-1) ** (m + 1) * math.factorial(m) * total


def _erfinv(y: float) -> float:
    """Winitzki's approximation, then Newton's method."""
    if not -1 < y < 1:
        return math.copysign(math.inf, y) if abs(y) == 1 else math.nan
    log = math.log1p(-y * y)
    half = 2 / (math.pi * 0.147) + log / 2
    x = math.copysign(math.sqrt(math.sqrt(half * half - log / 0.147) - half), y)
    for _ in range(4):
        error = math.erf(x) - y if abs(y) < 0.5 else math.copysign(1, y) * (1 - abs(y) - math.erfc(abs(x)))
        x -= error * math.sqrt(math.pi) / 2 * math.exp(x * x)
    return x


def _bessel(order: int) -> Callable[[float], float]:
    """The modified Bessel function of the first kind: its series, or beyond 30 its asymptotic form (DLMF 10.25.2, 10.40.1)."""

    def value(x: float) -> float:
        y = abs(x)
        total = part = 1.0
        if y <= 30:
            for k in range(1, 120):
                part *= y * y / 4 / (k * (k + order))
                total += part
            total *= (y / 2) ** order
        else:
            for k in range(1, 30):
                part *= ((2 * k - 1) ** 2 - 4 * order * order) / (8 * k * y)
                total += part
            total *= math.exp(y) / math.sqrt(2 * math.pi * y) if y < 700 else math.inf
        return -total if order == 1 and x < 0 else total

    return value


_erf = _each(math.erf)
_FLOAT64: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "log": np.log,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "erf": _erf,
    "erfc": _each(math.erfc),
    "polygamma": _polygamma, "erfinv": _each(_erfinv), "i0": _each(_bessel(0)), "i1": _each(_bessel(1)),
    "lgamma": _each(_lgamma),
    "digamma": _each(_digamma),
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "logsigmoid": lambda x: -_softplus(-x),
    "silu": lambda x: x * _sigmoid(x),
    "gelu": lambda x: x * _each(lambda v: math.erfc(-v / math.sqrt(2)) / 2)(x),
    "gelu_tanh": lambda x: x * _sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)),
    "log1p": np.log1p,
    "expm1": np.expm1,
    "pi": lambda: np.float64(math.pi),
    "inf": lambda: np.float64(math.inf),
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "round": np.rint,
    "sign": np.sign,
    "atan2": np.arctan2,
    "log2": np.log2,
    "log10": np.log10,
    "exp2": np.exp2,
}


def numpy_function(name: str) -> Callable[..., Any]:
    """A scalar function on float64 arrays, stable where its textbook form is not."""
    found = _FLOAT64.get(name)
    if found is None:
        import sympy

        from derivcheck.notation.functions import functions

        row = functions().get(name)
        if row is None:
            raise UnsupportedOperation(name, "there is no such scalar function")
        symbols = sympy.symbols(f"x0:{row.arity}")
        tree = expression(name, symbols)

        def found(*args: Any) -> Any:
            return _walk(tree, dict(zip(symbols, args)))

    return found


_SYMPY_NAMES = {"loggamma": "lgamma", "ceiling": "ceil"}


def _walk(tree: Any, values: Mapping[Any, Any]) -> Any:
    if tree in values:
        return values[tree]
    if not tree.args:
        return float(tree)
    args = [_walk(a, values) for a in tree.args]
    if tree.is_Add:
        return sum(args[1:], args[0])
    if tree.is_Mul:
        return math.prod(args[1:], start=args[0])
    if tree.is_Pow:
        return np.power(args[0], args[1])
    name = type(tree).__name__
    name = {"Abs": "abs", "Max": "max", "Min": "min"}.get(name, _SYMPY_NAMES.get(name, name))
    if name == "abs":
        return np.abs(args[0])
    if name in ("max", "min"):
        return (np.maximum if name == "max" else np.minimum).reduce(np.broadcast_arrays(*args))
    if name in _FLOAT64:
        return _FLOAT64[name](*args)
    raise UnsupportedOperation(name, "it has no spelling on float64 numbers")
