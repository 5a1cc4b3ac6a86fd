"""The element-by-element functions in numbers of many digits, by mpmath: written anew, nothing of the package stands here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp  # type: ignore[import-untyped]

mp.mp.dps = 60


def _softplus(x: Any) -> Any:
    return x + mp.log1p(mp.exp(-x)) if x > 0 else mp.log1p(mp.exp(x))


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x)) if x > 0 else mp.exp(x) / (1 + mp.exp(x))


def _phi(x: Any) -> Any:
    return mp.erfc(-x / mp.sqrt(2)) / 2


def _times_log(x: Any, y: Any) -> Any:
    return mp.mpf(0) if x == 0 else x * mp.log(y)


def _scaled(order: int) -> Callable[[Any], Any]:
    return lambda x: mp.exp(-abs(x)) * mp.besseli(order, x)


#: Smooth where they are differentiated; at a kink or a pole nothing is asked of them.
TRUTH: dict[str, Callable[..., Any]] = {
    "exp": mp.exp,
    "exp2": lambda x: mp.power(2, x),
    "expm1": mp.expm1,
    "log": mp.log,
    "log2": lambda x: mp.log(x, 2),
    "log10": mp.log10,
    "log1p": mp.log1p,
    "sin": mp.sin,
    "cos": mp.cos,
    "tan": mp.tan,
    "asin": mp.asin,
    "acos": mp.acos,
    "atan": mp.atan,
    "sinh": mp.sinh,
    "cosh": mp.cosh,
    "tanh": mp.tanh,
    "asinh": mp.asinh,
    "acosh": mp.acosh,
    "atanh": mp.atanh,
    "sigmoid": _sigmoid,
    "erf": mp.erf,
    "erfc": mp.erfc,
    "erfinv": mp.erfinv,
    "lgamma": lambda x: mp.re(mp.loggamma(x)),
    "digamma": mp.digamma,
    "sqrt": mp.sqrt,
    "rsqrt": lambda x: 1 / mp.sqrt(x),
    "reciprocal": lambda x: 1 / x,
    "square": lambda x: x * x,
    "sinc": lambda x: mp.sincpi(x),
    "special_entr": lambda x: -_times_log(x, x),
    "special_ndtr": _phi,
    "special_log_ndtr": lambda x: mp.log(_phi(x)),
    "special_ndtri": lambda x: mp.sqrt(2) * mp.erfinv(2 * x - 1),
    "special_erfcx": lambda x: mp.exp(x * x) * mp.erfc(x),
    "i0": lambda x: mp.besseli(0, x),
    "special_i1": lambda x: mp.besseli(1, x),
    "special_i0e": _scaled(0),
    "special_i1e": _scaled(1),
    "logit": lambda x: mp.log(x) - mp.log1p(-x),
    "atan2": mp.atan2,
    "hypot": lambda x, y: mp.sqrt(x * x + y * y),
    "logaddexp": lambda x, y: max(x, y) + mp.log1p(mp.exp(-abs(x - y))),
    "logaddexp2": lambda x, y: max(x, y) + mp.log1p(mp.power(2, -abs(x - y))) / mp.log(2),
    "xlogy": _times_log,
    "special_xlog1py": lambda x, y: mp.mpf(0) if x == 0 else x * mp.log1p(y),
    "silu": lambda x: x * _sigmoid(x),
    "gelu": lambda x: x * _phi(x),
    "mish": lambda x: x * mp.tanh(_softplus(x)),
    "log_sigmoid": lambda x: -_softplus(-x),
    "hardsigmoid": lambda x: min(max(x + 3, mp.mpf(0)), mp.mpf(6)) / 6,
    "binary_cross_entropy_with_logits": lambda x, t: (1 - t) * x + _softplus(-x),
    "soft_margin_loss": lambda x, t: _softplus(-x * t),
    "div": lambda x, y: x / y,
    "mul": lambda x, y: x * y,
}


def _digits(operator: str) -> int:
    """More where 1 is added to what is 1e-90."""
    return 300 if operator in ("erf", "erfc", "special_log_ndtr", "hypot") else 120


def true(operator: str, point: tuple[float, ...]) -> Any:
    """The value at a point of finite numbers, or None where there is none."""
    try:
        with mp.workdps(_digits(operator)):
            found = TRUTH[operator](*map(mp.mpf, point))
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    return _real(found)


def slope(operator: str, point: tuple[float, ...], k: int) -> Any:
    """The partial derivative by a difference of 60 digits, or None where there is none."""
    x = mp.mpf(point[k])
    h = mp.mpf(10) ** -25 * (abs(x) if x else mp.mpf(10) ** -40)

    def at(v: Any) -> Any:
        return TRUTH[operator](*(v if j == k else mp.mpf(p) for j, p in enumerate(point)))

    try:
        with mp.workdps(_digits(operator)):
            left, here, right = at(x - h), at(x), at(x + h)
            one, two = (here - left) / h, (right - here) / h
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    if any(_real(v) is None for v in (one, two)) or abs(one - two) > mp.mpf(10) ** -12 * (abs(one) + abs(two)):
        return None  # a kink, an edge of the domain
    return _real((one + two) / 2)


def _real(v: Any) -> Any:
    return None if isinstance(v, mp.mpc) or not mp.isfinite(v) else v
