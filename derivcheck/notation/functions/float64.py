"""The scalar functions on float64 arrays, each stable where its textbook form is not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.functions.table import expression, functions


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


def _scaled_bessel(order: int) -> Callable[[float], float]:
    """``exp(−|x|)·I_n(x)``, by the same two forms."""
    plain = _bessel(order)

    def value(x: float) -> float:
        y = abs(x)
        if y <= 30:
            return plain(x) * math.exp(-y)
        total = part = 1.0
        for k in range(1, 30):
            part *= ((2 * k - 1) ** 2 - 4 * order * order) / (8 * k * y)
            total += part
        total /= math.sqrt(2 * math.pi * y)
        return -total if order == 1 and x < 0 else total

    return value


def _erfcx(x: float) -> float:
    """``exp(x²)·erfc(x)``; beyond 25 by its asymptotic series (DLMF 7.12.1)."""
    if x < 25:
        return math.exp(x * x) * math.erfc(x) if x > -26 else math.inf
    total = part = 1.0
    for k in range(1, 12):
        part *= -(2 * k - 1) / (2 * x * x)
        total += part
    return total / (x * math.sqrt(math.pi))


def _log_ndtr(x: float) -> float:
    """``log Φ(x)``, from the side on which nothing cancels."""
    u = x / math.sqrt(2)
    if x > -1:
        return math.log1p(-math.erfc(u) / 2)
    return math.log(_erfcx(-u) / 2) - u * u if x > -math.inf else -math.inf


def _ndtri(p: float) -> float:
    """``Φ⁻¹(p)`` by Newton's method on ``log Φ``, from the smaller tail."""
    if not 0 < p < 1:
        return math.nan if not 0 <= p <= 1 else math.copysign(math.inf, p - 0.5)
    if p > 0.5:
        return -_ndtri(1 - p)
    target, x = math.log(p), -math.sqrt(max(-2 * math.log(2 * p), 0.0))
    for _ in range(60):
        slope = math.sqrt(2 / math.pi) / _erfcx(-x / math.sqrt(2))
        step = (_log_ndtr(x) - target) / slope
        x -= step
        if abs(step) <= 1e-16 * abs(x):
            break
    return x


def _sinc_slope(x: Any) -> Any:
    """By the series Σ (−1)^k 2k π^(2k) x^(2k−1)/(2k+1)! near 0, where the closed form cancels."""
    x = np.asarray(x, dtype=np.float64)
    near = sum((-1) ** k * 2 * k * math.pi ** (2 * k) / math.factorial(2 * k + 1) * x ** (2 * k - 1) for k in range(1, 8))
    apart = np.where(np.abs(x) < 0.1, 1.0, x)
    return np.where(np.abs(x) < 0.1, near, (np.cos(math.pi * apart) - np.sinc(apart)) / apart)


def _times_log(x: Any, log: Any) -> Any:
    """``x·log``, 0 where x is and the logarithm is a number."""
    return np.where((x == 0) & ~np.isnan(log), 0.0, x * log)


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
    "polygamma": _polygamma,
    "erfinv": _each(_erfinv),
    "i0": _each(_bessel(0)),
    "i1": _each(_bessel(1)),
    "i0e": _each(_scaled_bessel(0)),
    "i1e": _each(_scaled_bessel(1)),
    "erfcx": _each(_erfcx),
    "log_ndtr": _each(_log_ndtr),
    "ndtri": _each(_ndtri),
    "hypot": np.hypot,
    "sinc": np.sinc,
    "sinc_slope": _sinc_slope,
    "entr": lambda x: np.where(x < 0, -math.inf, -_times_log(x, np.log(np.maximum(x, 0)))),
    "xlogy": lambda x, y: _times_log(x, np.log(y)),
    "xlog1py": lambda x, y: _times_log(x, np.log1p(y)),
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
        import sympy  # slow to load, and most functions need none

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
