"""Scalar functions on float64 numbers where NumPy has none, or where the textbook form loses digits.

Those of single numbers use Python's ``math`` alone; :func:`each` makes a function of arrays of one.  Those of arrays take
NumPy as their first argument: the table of functions is read before NumPy is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

OnArrays = Callable[..., Any]  # (numpy, *arrays) -> array


def each(f: Callable[[float], float]) -> OnArrays:
    """A function of numbers as one of arrays."""

    def apply(np: Any, x: Any) -> Any:
        return np.array([f(v) for v in np.ravel(x).tolist()], dtype=np.float64).reshape(np.shape(x))

    return apply


# -- of arrays -------------------------------------------------------------------
def sigmoid(np: Any, x: Any) -> Any:
    """The logistic function, from the side on which the exponential does not overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def softplus(np: Any, x: Any) -> Any:
    """``log(1 + exp(x))`` from the larger of x and 0."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def log1mexp(np: Any, x: Any) -> Any:
    """``log(1 − exp(x))`` by whichever of expm1 and log1p keeps the digits (Mächler, 2012)."""
    return np.where(x > -math.log(2), np.log(-np.expm1(x)), np.log1p(-np.exp(x)))


def lncosh(np: Any, x: Any) -> Any:
    """``log cosh x`` as ``log1p(2 sinh²(x/2))`` near 0, from the larger exponential elsewhere."""
    size = np.abs(x)
    near = np.log1p(2 * np.sinh(np.minimum(size, 1) / 2) ** 2)
    return np.where(size < 1, near, size + np.log1p(np.exp(-2 * size)) - math.log(2))


def polygamma(np: Any, order: Any, x: Any) -> Any:
    """By ψ⁽ᵐ⁾(x) = (−1)^(m+1) m! ζ(m+1, x), the zeta function by recurrence and Euler–Maclaurin (DLMF 25.11.28)."""
    m = int(np.ravel(order)[0])
    if m == 0:
        return each(digamma)(np, x)
    s, total, z = m + 1, np.zeros(np.shape(x)), np.asarray(x, dtype=np.float64)
    for _ in range(16):  # so far out, the seven terms of the series below are exact to the last bit
        total, z = total + z ** float(-s), z + 1
    total = total + z ** float(1 - s) / (s - 1) + z ** float(-s) / 2
    rising = float(s)
    for k, bernoulli in enumerate((1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6), start=1):
        total = total + bernoulli / math.factorial(2 * k) * rising * z ** float(1 - s - 2 * k)
        rising *= (s + 2 * k - 1) * (s + 2 * k)
    return (-1) ** (m + 1) * math.factorial(m) * total


def sinc_slope(np: Any, x: Any) -> Any:
    """By the series Σ (−1)^k 2k π^(2k) x^(2k−1)/(2k+1)! near 0, where the closed form cancels."""
    x = np.asarray(x, dtype=np.float64)
    near = sum((-1) ** k * 2 * k * math.pi ** (2 * k) / math.factorial(2 * k + 1) * x ** (2 * k - 1) for k in range(1, 8))
    apart = np.where(np.abs(x) < 0.1, 1.0, x)  # where the seven terms are exact to the last bit
    return np.where(np.abs(x) < 0.1, near, (np.cos(math.pi * apart) - np.sinc(apart)) / apart)


def times_log(np: Any, x: Any, log: Any) -> Any:
    """``x·log``, 0 where x is and the logarithm is a number."""
    return np.where((x == 0) & ~np.isnan(log), 0.0, x * log)


# -- of single numbers ------------------------------------------------------------
def lgamma(x: float) -> float:
    """``log|Γ(x)|``, infinite at its poles."""
    try:
        return math.lgamma(x)
    except (ValueError, OverflowError):
        return math.inf


def digamma(x: float) -> float:
    """By reflection, recurrence and Stirling's series (Abramowitz & Stegun 6.3.7, 6.3.5, 6.3.18)."""
    if math.isnan(x) or x == -math.inf:
        return math.nan
    if x <= 0:
        return math.nan if x == math.floor(x) else digamma(1 - x) - math.pi / math.tan(math.pi * x)
    total = 0.0
    while x < 10:  # so far out, the series is exact to the last bit
        total -= 1 / x
        x += 1
    y = 1 / (x * x)
    series = y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y * (1 / 132 - y * (691 / 32760 - y / 12))))))
    return total + math.log(x) - 0.5 / x - series


def erfinv(y: float) -> float:
    """Winitzki's approximation, then Newton's method."""
    if not -1 < y < 1:
        return math.copysign(math.inf, y) if abs(y) == 1 else math.nan
    log = math.log1p(-y * y)
    half = 2 / (math.pi * 0.147) + log / 2
    x = math.copysign(math.sqrt(math.sqrt(half * half - log / 0.147) - half), y)
    for _ in range(4):  # quadratic from two digits: the last bit is right
        error = math.erf(x) - y if abs(y) < 0.5 else math.copysign(1, y) * (1 - abs(y) - math.erfc(abs(x)))
        x -= error * math.sqrt(math.pi) / 2 * math.exp(x * x)
    return x


def bessel(order: int, scaled: bool = False) -> Callable[[float], float]:
    """The modified Bessel function of the first kind, of order 0 or 1; ``scaled``: times ``exp(−|x|)``.

    Its series, or beyond 30 its asymptotic form (DLMF 10.25.2, 10.40.1).
    """

    def value(x: float) -> float:
        """Its value at x."""
        y = abs(x)
        total = part = 1.0
        if y <= 30:
            for k in range(1, 120):  # at 30 the terms are below the last bit long before
                part *= y * y / 4 / (k * (k + order))
                total += part
            total *= (y / 2) ** order
            total *= math.exp(-y) if scaled else 1.0
        else:
            for k in range(1, 30):
                part *= ((2 * k - 1) ** 2 - 4 * order * order) / (8 * k * y)
                total += part
            if scaled:
                total /= math.sqrt(2 * math.pi * y)
            else:
                half = math.exp(min(y, 1400) / 2)  # the value at 713 is a float64, exp(713) is none; at 1400 neither is
                total *= half / math.sqrt(2 * math.pi * y) * half if y < 1400 else math.inf
        return -total if order == 1 and x < 0 else total

    return value


def erfcx(x: float) -> float:
    """``exp(x²)·erfc(x)``; beyond 25 by its asymptotic series (DLMF 7.12.1)."""
    if x < 25:
        return math.exp(x * x) * math.erfc(x) if x > -26.64 else math.inf  # 2·exp(26.64²) is beyond float64
    total = part = 1.0
    for k in range(1, 12):
        part *= -(2 * k - 1) / (2 * x * x)
        total += part
    return total / (x * math.sqrt(math.pi))


def log_ndtr(x: float) -> float:
    """``log Φ(x)``, from the side on which nothing cancels."""
    u = x / math.sqrt(2)
    if x > -1:
        return math.log1p(-math.erfc(u) / 2)
    return math.log(erfcx(-u) / 2) - u * u if x > -math.inf else -math.inf


def ndtri(p: float) -> float:
    """``Φ⁻¹(p)`` by Newton's method on ``log Φ``, from the smaller tail."""
    if not 0 < p < 1:
        return math.nan if not 0 <= p <= 1 else math.copysign(math.inf, p - 0.5)
    if p > 0.5:
        return -ndtri(1 - p)
    target, x = math.log(p), -math.sqrt(max(-2 * math.log(2 * p), 0.0))
    for _ in range(60):  # ends by the step, but for tails whose slope is lost
        slope = math.sqrt(2 / math.pi) / erfcx(-x / math.sqrt(2))
        step = (log_ndtr(x) - target) / slope
        x -= step
        if abs(step) <= 1e-16 * abs(x):
            break
    return x
