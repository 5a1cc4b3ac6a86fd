r"""Scalar functions as the field writes them in LaTeX, each by the name that index text has for it."""

from __future__ import annotations

from collections.abc import Mapping

#: Commands of LaTeX's own.
COMMANDS: Mapping[str, str] = {
    r"\exp": "exp", r"\log": "log", r"\sin": "sin", r"\cos": "cos", r"\tan": "tan", r"\arcsin": "asin", r"\arccos": "acos",
    r"\arctan": "atan", r"\sinh": "sinh", r"\cosh": "cosh", r"\tanh": "tanh", r"\lg": "log10",
}  # fmt: skip
#: Words, as in ``\operatorname{erf}``, in lower case.
WORDS: Mapping[str, str] = {
    **{w: w for w in ("exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "erf", "erfc", "erfinv", "erfcx", "sigmoid",
                      "softplus", "silu", "gelu", "logsigmoid", "log1p", "expm1", "hypot", "sinc", "lgamma", "digamma", "floor",
                      "ceil", "trunc", "round", "atan2", "log2", "log10", "entr", "xlogy", "xlog1py", "relu", "abs", "sign",
                      "sqrt", "asin", "acos", "atan", "asinh", "acosh", "atanh", "gcd", "isqrt")},
    "ln": "log", "arsinh": "asinh", "arcosh": "acosh", "artanh": "atanh", "arcsinh": "asinh", "arccosh": "acosh",
    "arctanh": "atanh", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "swish": "silu", "sgn": "sign",
    "logistic": "sigmoid", "bit_length": "bit_length",
    "exp2": "exp2", "bit_or": "bit_or", "bit_and": "bit_and", "bit_xor": "bit_xor",
}  # fmt: skip
#: Greek and Latin letters that are functions where parentheses follow and no tensor has the name.
LETTERS: Mapping[str, str] = {"sigma": "sigmoid", "psi": "digamma", "Phi": "normal"}
#: ``f^{-1}`` and ``f'``, which are functions of their own, and ``f_i``.
INVERSES: Mapping[str, str] = {"erf": "erfinv", "normal": "ndtri"}
SLOPES: Mapping[str, str] = {"sinc": "sinc_slope"}
LOWERED: Mapping[tuple[str, str], str] = {
    ("log", "2"): "log2", ("log", "10"): "log10", ("log", "e"): "log", ("gelu", "tanh"): "gelu_tanh",
    ("I", "0"): "i0", ("I", "1"): "i1",
}  # fmt: skip
#: The logarithm of a function that has a name of its own.
LOGARITHMS: Mapping[str, str] = {"Gamma": "lgamma", "normal": "log_ndtr", "sigmoid": "logsigmoid"}
GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi psi "
    "omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell".split()
)
VARIANTS: Mapping[str, str] = {f"var{g}": g for g in ("epsilon", "theta", "kappa", "rho", "sigma", "phi", "pi")}
ACCENTS: Mapping[str, str] = {
    r"\hat": "hat", r"\widehat": "hat", r"\bar": "bar", r"\overline": "bar", r"\tilde": "tilde", r"\widetilde": "tilde",
    r"\vec": "vec", r"\dot": "dot", r"\ddot": "ddot", r"\check": "check", r"\breve": "breve", r"\acute": "acute",
}  # fmt: skip
#: Fonts; those that are called ``""`` make no other name of a letter.
FONTS: Mapping[str, str] = {
    r"\mathrm": "", r"\mathit": "", r"\text": "", r"\textit": "", r"\textrm": "", r"\operatorname": "", r"\mathtt": "",
    r"\texttt": "", r"\mathnormal": "", r"\mathbf": "bold", r"\boldsymbol": "bold", r"\bm": "bold", r"\textbf": "bold",
    r"\mathsf": "sans", r"\textsf": "sans", r"\mathfrak": "fraktur", r"\mathcal": "script", r"\mathscr": "script",
    r"\mathbb": "blackboard",
}  # fmt: skip
