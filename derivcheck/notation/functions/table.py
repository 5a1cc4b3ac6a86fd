"""The scalar functions: one row each, with all that is known of it.

No derivative is written here: SymPy differentiates the expression (``derivation/scalar.py``).  A row without an expression is
one of SymPy's own functions, whose derivative SymPy knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.functions import numerics
from derivcheck.notation.functions.numerics import OnArrays, each


@dataclass(frozen=True)
class ScalarFunction:
    """A scalar function.

    Attributes:
        name: as index text spells it.
        torch: the torch expression, ``{}`` per argument; one that starts with ``_`` is a helper of the generated file.
        latex: the LaTeX of the operator (``\\tanh``) or a template with ``{}``.
        sympy: the name of SymPy's own function, for a primitive.
        means: for a composite, a function ``(sympy, F, *args) -> expression``; ``F`` has the other rows: ``F.sigmoid(x)``.
        arity: the number of arguments.
        domain: the condition on its (last) argument, in words that follow it or have ``{}`` for it, or "".
        stable: ``(sympy, F, derivative, *args) -> expression``: SymPy's derivative, equal to what it is given, written in
            functions that neither overflow nor cancel.  It rewrites what SymPy found; nothing is differentiated there.
        float64: NumPy's name for it, or a function ``(numpy, *arrays) -> array``, stable where the textbook form is not; None:
            its expression is computed.
        math: Python's ``math`` has it under its name.
        at_zero: its value at 0 where that is rational, for the exact numbers.
        pole: it may be infinite where its arguments are finite.
        positive: it is above 0 wherever it is defined.
        parity: 1 where f(−x) = f(x), −1 where f(−x) = −f(x), else 0.
        step: it is constant between jumps.
        logarithm: where it is defined, its argument plus this is above 0.
    """

    name: str
    torch: str
    latex: str
    sympy: str = ""
    means: Callable[..., Any] | None = None
    arity: int = 1
    domain: str = ""
    stable: Callable[..., Any] | None = None
    float64: str | OnArrays | None = None
    math: bool = False
    at_zero: Fraction | int | None = None
    pole: bool = False
    positive: bool = False
    parity: int = 0
    step: bool = False
    logarithm: int | None = None


_rows: dict[str, ScalarFunction] = {}


def function(name: str, torch: str = "", latex: str = "", arity: int = 1, **more: Any) -> ScalarFunction:
    """Add a row, with the fields of :class:`ScalarFunction`; a name can be added once.

    Where torch has it under the same name, and LaTeX as an upright word, neither need be said.

    Raises:
        ValueError: there is a function of that name.
    """
    if name in _rows:
        raise ValueError(f"there is a scalar function {name!r} already")
    torch = torch or f"torch.{name}({', '.join(['{}'] * arity)})"
    _rows[name] = ScalarFunction(name, torch, latex or rf"\operatorname{{{name}}}", arity=arity, **more)
    return _rows[name]


def functions() -> dict[str, ScalarFunction]:
    """All rows by name."""
    return _rows


# Python's, torch's, SymPy's and NumPy's own.
_more: dict[str, Any]
for _name, _numpy, _latex, _more in (
    ("exp", "exp", r"\exp", {"at_zero": 1, "positive": True}),
    ("log", "log", r"\log", {"domain": "> 0", "pole": True, "logarithm": 0}),
    ("sin", "sin", r"\sin", {"at_zero": 0, "parity": -1}),
    ("cos", "cos", r"\cos", {"at_zero": 1, "parity": 1}),
    ("tan", "tan", r"\tan", {"domain": "cos({}) ≠ 0", "pole": True, "at_zero": 0, "parity": -1}),
    ("asin", "arcsin", r"\arcsin", {"domain": "in [-1, 1]", "at_zero": 0, "parity": -1}),
    ("acos", "arccos", r"\arccos", {"domain": "in [-1, 1]"}),
    ("atan", "arctan", r"\arctan", {"at_zero": 0, "parity": -1}),
    ("sinh", "sinh", r"\sinh", {"at_zero": 0, "parity": -1}),
    ("cosh", "cosh", r"\cosh", {"at_zero": 1, "positive": True, "parity": 1}),
    ("tanh", "tanh", r"\tanh", {"at_zero": 0, "parity": -1}),
    ("asinh", "arcsinh", r"\operatorname{arsinh}", {"at_zero": 0, "parity": -1}),
    ("acosh", "arccosh", r"\operatorname{arcosh}", {"domain": "≥ 1"}),
    ("atanh", "arctanh", r"\operatorname{artanh}", {"domain": "in (-1, 1)", "pole": True, "at_zero": 0, "parity": -1}),
):
    function(_name, latex=_latex, sympy=_name, float64=_numpy, math=True, **_more)

# The gamma function's kin: SymPy has them, NumPy has not.
_GAMMA: dict[str, Any] = {"domain": "is no whole number below 1", "pole": True}
function("lgamma", latex=r"\log\Gamma", sympy="loggamma", float64=each(numerics.lgamma), math=True, **_GAMMA)
function("digamma", latex=r"\psi", sympy="digamma", float64=each(numerics.digamma), **_GAMMA)
function("polygamma", latex=r"\psi^{{({})}}({})", sympy="polygamma", arity=2, float64=numerics.polygamma, **_GAMMA)

# The error function's kin.
function("erf", sympy="erf", float64=each(math.erf), math=True, at_zero=0, parity=-1)
function("erfc", means=lambda sp, F, x: 1 - sp.erf(x), float64=each(math.erfc))
_ERFINV: dict[str, Any] = {"latex": r"\operatorname{erf}^{-1}", "domain": "in (-1, 1)", "pole": True, "parity": -1}
function("erfinv", sympy="erfinv", float64=each(numerics.erfinv), **_ERFINV)

# Activations.
function(
    "sigmoid",
    latex=r"\sigma",
    means=lambda sp, F, x: 1 / (1 + sp.exp(-x)),
    float64=numerics.sigmoid,
    at_zero=Fraction(1, 2),
    positive=True,
)
function(
    "softplus",
    "torch.nn.functional.softplus({}, threshold=80)",  # torch's log1p(exp(x)) is x from 80 on, in every dtype
    means=lambda sp, F, x: sp.log(1 + sp.exp(x)),
    float64=numerics.softplus,
    positive=True,
)
function(
    "logsigmoid",
    "torch.nn.functional.logsigmoid({})",
    r"\log\sigma",
    means=lambda sp, F, x: -sp.log(1 + sp.exp(-x)),
    float64=lambda np, x: -numerics.softplus(np, -x),
)
function(
    "silu",
    "torch.nn.functional.silu({})",
    means=lambda sp, F, x: x * F.sigmoid(x),
    float64=lambda np, x: x * numerics.sigmoid(np, x),
    at_zero=0,
)
function(
    "gelu",
    "torch.nn.functional.gelu({})",
    means=lambda sp, F, x: x * (1 + sp.erf(x / sp.sqrt(2))) / 2,
    float64=lambda np, x: x * each(lambda v: math.erfc(-v / math.sqrt(2)) / 2)(np, x),
    at_zero=0,
)
function(
    "gelu_tanh",
    "torch.nn.functional.gelu({}, approximate='tanh')",
    r"\operatorname{gelu}_{\tanh}",
    means=lambda sp, F, x: x * (1 + sp.tanh(sp.sqrt(2 / sp.pi) * (x + sp.Rational(44715, 1000000) * x**3))) / 2,
    float64=lambda np, x: x * numerics.sigmoid(np, 2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)),
    at_zero=0,
)

# Exponentials and logarithms.
_LOG: dict[str, Any] = {"domain": "> 0", "pole": True, "logarithm": 0}
_LOG1P: dict[str, Any] = {"domain": "> -1", "pole": True, "logarithm": 1, "at_zero": 0}
function("log1p", means=lambda sp, F, x: sp.log(1 + x), float64="log1p", **_LOG1P)
function("log2", latex=r"\log_2", means=lambda sp, F, x: sp.log(x) / sp.log(2), float64="log2", **_LOG)
function("log10", latex=r"\log_{10}", means=lambda sp, F, x: sp.log(x) / sp.log(10), float64="log10", **_LOG)
function("expm1", means=lambda sp, F, x: sp.exp(x) - 1, float64="expm1", at_zero=0)
function(
    "log1mexp",
    "_log1mexp({})",
    r"\log(1-\exp)",
    means=lambda sp, F, x: sp.log(1 - sp.exp(x)),
    domain="< 0",
    stable=lambda sp, F, e, x: -1 / F.expm1(-x),
    float64=numerics.log1mexp,
    pole=True,
)
function(
    "lncosh",
    "_log_cosh({})",
    r"\log\cosh",
    means=lambda sp, F, x: sp.log(sp.cosh(x)),
    stable=lambda sp, F, e, x: sp.tanh(x),
    float64=numerics.lncosh,
    at_zero=0,
    parity=1,
)
function("exp2", latex=r"2^{{{}}}", means=lambda sp, F, x: sp.exp(x * sp.log(2)), float64="exp2", positive=True)


# -- written in functions that do not overflow ------------------------------------------------------
def _by_hypot(sp: Any, F: Any, derivative: Any, x: Any, y: Any) -> Any:
    """``x² + y²`` as the square of hypot, whose squares are scaled."""
    h = sp.Symbol("h", positive=True)
    return derivative.xreplace({x**2 + y**2: h**2}).xreplace({h: F.hypot(x, y)})


def _by_erfcx(sp: Any, F: Any, derivative: Any, x: Any, u: Any) -> Any:
    """``erfc(u)`` as ``exp(−u²)·erfcx(u)``."""
    return derivative.xreplace({F.erfc(u): sp.exp(-(u**2)) * F.erfcx(u)})


def _by_scaled_bessel(sp: Any, F: Any, derivative: Any, x: Any) -> Any:
    """``I_n(x)`` as ``exp(|x|)`` times the scaled ones; ``I_2 = I_0 − 2/x·I_1`` (DLMF 10.29.1)."""
    grown = sp.exp(sp.Abs(x))
    zero, one = grown * F.i0e(x), grown * F.i1e(x)
    return sp.expand(derivative.xreplace({sp.besseli(2, x): zero - 2 / x * one, sp.besseli(1, x): one, sp.besseli(0, x): zero}))


function("hypot", arity=2, means=lambda sp, F, x, y: sp.sqrt(x**2 + y**2), stable=_by_hypot, float64="hypot")
function("atan2", arity=2, sympy="atan2", stable=_by_hypot, float64="arctan2")
function(
    "erfcx",
    "torch.special.erfcx({})",
    means=lambda sp, F, x: sp.exp(x**2) * F.erfc(x),
    stable=lambda sp, F, e, x: _by_erfcx(sp, F, e, x, x),
    float64=each(numerics.erfcx),
)
function(
    "log_ndtr",
    "torch.special.log_ndtr({})",
    r"\log\Phi",
    means=lambda sp, F, x: sp.log(F.erfc(-x / sp.sqrt(2)) / 2),
    stable=lambda sp, F, e, x: _by_erfcx(sp, F, e, x, -x / sp.sqrt(2)),
    float64=each(numerics.log_ndtr),
)
function(
    "ndtri",
    "torch.special.ndtri({})",
    r"\Phi^{-1}",
    means=lambda sp, F, x: sp.sqrt(2) * sp.erfinv(2 * x - 1),
    domain="in (0, 1)",
    stable=lambda sp, F, e, x: e.xreplace({sp.erfinv(2 * x - 1): F.ndtri(x) / sp.sqrt(2)}),
    float64=each(numerics.ndtri),
    pole=True,
)


def _bessel(order: int) -> None:
    """Register ``I_n`` of order 0 or 1, and the same times ``exp(−|x|)``."""
    name = f"i{order}"
    parity = 1 if order == 0 else -1
    own: dict[str, Any] = {"float64": each(numerics.bessel(order)), "positive": order == 0, "parity": parity}
    function(name, f"torch.special.{name}({{}})", f"I_{order}", means=lambda sp, F, x: sp.besseli(order, x), **own)
    function(
        f"{name}e",
        f"torch.special.{name}e({{}})",
        f"I_{order}^e",
        means=lambda sp, F, x: sp.exp(-sp.Abs(x)) * sp.besseli(order, x),
        stable=_by_scaled_bessel,
        float64=each(numerics.bessel(order, scaled=True)),
        parity=parity,
    )


_bessel(0)
_bessel(1)
# Products with a logarithm, 0 where the first factor is.
function(
    "entr",
    "torch.special.entr({})",
    means=lambda sp, F, x: -x * sp.log(x),
    domain=">= 0",
    float64=lambda np, x: np.where(x < 0, -math.inf, -numerics.times_log(np, x, np.log(np.maximum(x, 0)))),
)
function(
    "xlogy",
    arity=2,
    means=lambda sp, F, x, y: x * sp.log(y),
    domain="> 0",
    float64=lambda np, x, y: numerics.times_log(np, x, np.log(y)),
)
function(
    "xlog1py",
    "torch.special.xlog1py({}, {})",
    arity=2,
    means=lambda sp, F, x, y: x * F.log1p(y),
    domain="> -1",
    float64=lambda np, x, y: numerics.times_log(np, x, np.log1p(y)),
)
# sin(πx)/(πx) and its slope, in which cos(πx) and sin(πx)/(πx) cancel near 0.
function(
    "sinc",
    means=lambda sp, F, x: sp.sin(sp.pi * x) / (sp.pi * x),
    stable=lambda sp, F, e, x: F.sinc_slope(x),
    float64="sinc",
    parity=1,
)
function(
    "sinc_slope",
    "_sinc_slope({})",
    r"\operatorname{sinc}'",
    means=lambda sp, F, x: sp.cos(sp.pi * x) / x - sp.sin(sp.pi * x) / (sp.pi * x**2),
    float64=numerics.sinc_slope,
    parity=-1,
)
# Steps: constant between jumps, used in definitions through which no gradient flows.
function("floor", sympy="floor", float64="floor", step=True)
function("ceil", sympy="ceiling", float64="ceil", step=True)
function("trunc", means=lambda sp, F, x: sp.sign(x) * sp.floor(sp.Abs(x)), float64="trunc", parity=-1, step=True)
function(
    "round",  # half to even
    means=lambda sp, F, x: sp.floor(x + sp.S.Half) + sp.ceiling((2 * x - 1) / 4) - sp.floor((2 * x - 1) / 4) - 1,
    float64="rint",
    parity=-1,
    step=True,
)
# Constants are functions of no argument.
function("pi", "math.pi", r"\pi", 0, sympy="pi", float64=lambda np: np.float64(math.pi), positive=True)
function("inf", "math.inf", r"\infty", 0, sympy="oo", float64=lambda np: np.float64(math.inf), pole=True)


def expression(name: str, args: Sequence[Any]) -> Any:
    """A scalar function as a SymPy expression of SymPy arguments, from its row."""
    import sympy  # slow to load, and most uses of the table need none

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
