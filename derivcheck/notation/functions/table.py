"""The scalar functions: one row each, defined by its SymPy expression.

No derivative is written here: SymPy differentiates the expression (``derivation/scalar.py``).  A row
without an expression is one of SymPy's own functions, whose derivative SymPy knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from derivcheck.errors import UnsupportedOperation


@dataclass(frozen=True)
class Function:
    """A scalar function.

    Attributes:
        name: as index text spells it.
        torch: the torch expression, ``{}`` per argument; one that starts with ``_`` is a helper of the generated file.
        latex: the LaTeX of the operator (``\\tanh``) or a template with ``{}``.
        sympy: the name of SymPy's own function, for a primitive.
        means: for a composite, a function ``(sympy, *args) -> expression``; it may use other rows through ``F``.
        arity: the number of arguments.
        domain: the condition on its (last) argument, in words that follow it or have ``{}`` for it, or "".
        stable: ``(sympy, F, derivative, *args) -> expression``: SymPy's derivative, equal to what it is given, written in
            functions that neither overflow nor cancel.  It rewrites what SymPy found; nothing is differentiated there.
    """

    name: str
    torch: str
    latex: str
    sympy: str = ""
    means: Callable[..., Any] | None = None
    arity: int = 1
    domain: str = ""
    stable: Callable[..., Any] | None = None


_rows: dict[str, Function] = {}


def function(
    name: str,
    torch: str,
    latex: str,
    sympy: str = "",
    means: Callable[..., Any] | None = None,
    arity: int = 1,
    domain: str = "",
    stable: Callable[..., Any] | None = None,
) -> Function:
    """Add a row; a name can be added once."""
    if name in _rows:
        raise ValueError(f"there is a scalar function {name!r} already")
    _rows[name] = Function(name, torch, latex, sympy, means, arity, domain, stable)
    return _rows[name]


def functions() -> dict[str, Function]:
    """All rows by name."""
    return _rows


for _name, _torch, _latex, _domain in [
    ("exp", "torch.exp({})", r"\exp", ""),
    ("log", "torch.log({})", r"\log", "> 0"),
    ("sin", "torch.sin({})", r"\sin", ""),
    ("cos", "torch.cos({})", r"\cos", ""),
    ("tan", "torch.tan({})", r"\tan", "cos({}) ≠ 0"),
    ("asin", "torch.asin({})", r"\arcsin", "in [-1, 1]"),
    ("acos", "torch.acos({})", r"\arccos", "in [-1, 1]"),
    ("atan", "torch.atan({})", r"\arctan", ""),
    ("sinh", "torch.sinh({})", r"\sinh", ""),
    ("cosh", "torch.cosh({})", r"\cosh", ""),
    ("tanh", "torch.tanh({})", r"\tanh", ""),
    ("asinh", "torch.asinh({})", r"\operatorname{arsinh}", ""),
    ("acosh", "torch.acosh({})", r"\operatorname{arcosh}", "≥ 1"),
    ("atanh", "torch.atanh({})", r"\operatorname{artanh}", "in (-1, 1)"),
    ("erf", "torch.erf({})", r"\operatorname{erf}", ""),
    ("lgamma", "torch.lgamma({})", r"\log\Gamma", "is no whole number below 1"),
    ("digamma", "torch.digamma({})", r"\psi", "is no whole number below 1"),
]:
    function(_name, _torch, _latex, {"lgamma": "loggamma"}.get(_name, _name), domain=_domain)

# An argument `F` gives the other rows as SymPy functions: F.sigmoid(x).
function("sigmoid", "torch.sigmoid({})", r"\sigma", means=lambda sp, F, x: 1 / (1 + sp.exp(-x)))
function(
    "softplus",
    "torch.nn.functional.softplus({}, threshold=80)",
    r"\operatorname{softplus}",
    means=lambda sp, F, x: sp.log(1 + sp.exp(x)),
)  # torch's log1p(exp(x)) is x from 80 on, in every dtype
function("logsigmoid", "torch.nn.functional.logsigmoid({})", r"\log\sigma", means=lambda sp, F, x: -sp.log(1 + sp.exp(-x)))
function("silu", "torch.nn.functional.silu({})", r"\operatorname{silu}", means=lambda sp, F, x: x * F.sigmoid(x))
function(
    "gelu", "torch.nn.functional.gelu({})", r"\operatorname{gelu}", means=lambda sp, F, x: x * (1 + sp.erf(x / sp.sqrt(2))) / 2
)
function(
    "gelu_tanh",
    "torch.nn.functional.gelu({}, approximate='tanh')",
    r"\operatorname{gelu}_{\tanh}",
    means=lambda sp, F, x: x * (1 + sp.tanh(sp.sqrt(2 / sp.pi) * (x + sp.Rational(44715, 1000000) * x**3))) / 2,
)
function("log1p", "torch.log1p({})", r"\operatorname{log1p}", means=lambda sp, F, x: sp.log(1 + x), domain="> -1")
function("expm1", "torch.expm1({})", r"\operatorname{expm1}", means=lambda sp, F, x: sp.exp(x) - 1)
function("exp2", "torch.exp2({})", r"2^{{{}}}", means=lambda sp, F, x: sp.exp(x * sp.log(2)))
function("log2", "torch.log2({})", r"\log_2", means=lambda sp, F, x: sp.log(x) / sp.log(2), domain="> 0")
function("log10", "torch.log10({})", r"\log_{10}", means=lambda sp, F, x: sp.log(x) / sp.log(10), domain="> 0")
function("erfc", "torch.erfc({})", r"\operatorname{erfc}", means=lambda sp, F, x: 1 - sp.erf(x))


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


function(
    "hypot",
    "torch.hypot({}, {})",
    r"\operatorname{hypot}",
    means=lambda sp, F, x, y: sp.sqrt(x**2 + y**2),
    arity=2,
    stable=_by_hypot,
)
function("atan2", "torch.atan2({}, {})", r"\operatorname{atan2}", "atan2", arity=2, stable=_by_hypot)
function(
    "erfcx",
    "torch.special.erfcx({})",
    r"\operatorname{erfcx}",
    means=lambda sp, F, x: sp.exp(x**2) * F.erfc(x),
    stable=lambda sp, F, e, x: _by_erfcx(sp, F, e, x, x),
)
function(
    "log_ndtr",
    "torch.special.log_ndtr({})",
    r"\log\Phi",
    means=lambda sp, F, x: sp.log(F.erfc(-x / sp.sqrt(2)) / 2),
    stable=lambda sp, F, e, x: _by_erfcx(sp, F, e, x, -x / sp.sqrt(2)),
)
function(
    "ndtri",
    "torch.special.ndtri({})",
    r"\Phi^{-1}",
    means=lambda sp, F, x: sp.sqrt(2) * sp.erfinv(2 * x - 1),
    domain="in (0, 1)",
    stable=lambda sp, F, e, x: e.xreplace({sp.erfinv(2 * x - 1): F.ndtri(x) / sp.sqrt(2)}),
)
function(
    "i0e",
    "torch.special.i0e({})",
    "I_0^e",
    means=lambda sp, F, x: sp.exp(-sp.Abs(x)) * sp.besseli(0, x),
    stable=_by_scaled_bessel,
)
function(
    "i1e",
    "torch.special.i1e({})",
    "I_1^e",
    means=lambda sp, F, x: sp.exp(-sp.Abs(x)) * sp.besseli(1, x),
    stable=_by_scaled_bessel,
)
# Products with a logarithm, 0 where the first factor is.
function("entr", "torch.special.entr({})", r"\operatorname{entr}", means=lambda sp, F, x: -x * sp.log(x), domain=">= 0")
function(
    "xlogy", "torch.xlogy({}, {})", r"\operatorname{xlogy}", means=lambda sp, F, x, y: x * sp.log(y), arity=2, domain="> 0"
)
function(
    "xlog1py",
    "torch.special.xlog1py({}, {})",
    r"\operatorname{xlog1py}",
    means=lambda sp, F, x, y: x * F.log1p(y),
    arity=2,
    domain="> -1",
)
# sin(πx)/(πx) and its slope, in which cos(πx) and sin(πx)/(πx) cancel near 0.
function(
    "sinc",
    "torch.sinc({})",
    r"\operatorname{sinc}",
    means=lambda sp, F, x: sp.sin(sp.pi * x) / (sp.pi * x),
    stable=lambda sp, F, e, x: F.sinc_slope(x),
)
function(
    "sinc_slope",
    "_sinc_slope({})",
    r"\operatorname{sinc}'",
    means=lambda sp, F, x: sp.cos(sp.pi * x) / x - sp.sin(sp.pi * x) / (sp.pi * x**2),
)
function("erfinv", "torch.erfinv({})", r"\operatorname{erf}^{-1}", "erfinv", domain="in (-1, 1)")
function(
    "polygamma", "torch.polygamma({}, {})", r"\psi^{{({})}}({})", "polygamma", arity=2, domain="is no whole number below 1"
)
function("i0", "torch.special.i0({})", "I_0", means=lambda sp, F, x: sp.besseli(0, x))
function("i1", "torch.special.i1({})", "I_1", means=lambda sp, F, x: sp.besseli(1, x))
# Steps: constant between jumps, used in definitions through which no gradient flows.
function("floor", "torch.floor({})", r"\operatorname{floor}", "floor")
function("ceil", "torch.ceil({})", r"\operatorname{ceil}", "ceiling")
function("trunc", "torch.trunc({})", r"\operatorname{trunc}", means=lambda sp, F, x: sp.sign(x) * sp.floor(sp.Abs(x)))
function(
    "round",
    "torch.round({})",
    r"\operatorname{round}",  # half to even
    means=lambda sp, F, x: sp.floor(x + sp.S.Half) + sp.ceiling((2 * x - 1) / 4) - sp.floor((2 * x - 1) / 4) - 1,
)
# Constants are functions of no argument.
function("pi", "math.pi", r"\pi", "pi", arity=0)
function("inf", "math.inf", r"\infty", "oo", arity=0)


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
