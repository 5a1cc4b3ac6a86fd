"""Terms, equations and words of a proof in LaTeX."""

from __future__ import annotations

import re
from fractions import Fraction

from derivcheck.notation.functions.table import functions
from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.nodes import Add, Bracket, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term, is_negative
from derivcheck.proof.claims.sides import public

_SUM, _PRODUCT, _POWER = range(3)
_OVER = {"sum": r"\sum", "prod": r"\prod", "max": r"\max", "min": r"\min", "argmax": r"\arg\max", "argmin": r"\arg\min"}
_SIGN = {"==": "=", "!=": r"\ne", ">=": r"\ge", ">": ">"}


_SYMBOLS = {
    "≥": r"$\ge$", "≤": r"$\le$", "≠": r"$\ne$", "Σ": r"$\sum$", "Π": r"$\prod$", "·": r"$\cdot$", "−": "$-$",
    "√": r"$\sqrt{}$", "π": r"$\pi$", "…": r"\dots{}", "∈": r"$\in$",
}  # fmt: skip


def words(text: str) -> str:
    """Plain words as LaTeX."""
    text = re.sub(r"([#$%&_{}])", r"\\\1", text.replace("\\", r"\textbackslash "))
    for plain, latex in ((">=", "≥"), ("<=", "≤"), ("!=", "≠"), ("^", r"\^{}"), ("<", "$<$"), (">", "$>$"), ("~", r"\~{}")):
        text = text.replace(plain, latex)
    for symbol, latex in _SYMBOLS.items():
        text = text.replace(symbol, latex)
    return text


def equation(claim: Definition, target: Definition) -> str:
    """``target = what it is derived to be = what is claimed``."""
    left = _ref(target.name, [i.key for i in target.indices])
    return rf"{left} = {term_latex(target.term)} = {term_latex(claim.term)}"


def term_latex(t: Term, level: int = _SUM) -> str:
    """A term in LaTeX.

    >>> from derivcheck.notation.terms.build import func, mul, ref
    >>> from derivcheck.notation.terms.build import power
    >>> print(term_latex(mul(func("exp", ref("s")), power(ref("Z"), -1))))
    \\frac{\\exp\\left(s\\right)}{Z}
    """
    text, own = _spell(t)
    return rf"\left({text}\right)" if own < level else text


def _spell(t: Term) -> tuple[str, int]:
    if isinstance(t, Number):
        return _number(t.value), _POWER if t.value >= 0 and t.value.denominator == 1 else _SUM
    if isinstance(t, SizeOf):
        return _poly(t.value), _POWER if t.value.atom is not None else _SUM
    if isinstance(t, Ref):
        return _ref(t.name, [_poly(p) for p in t.at]), _POWER
    if isinstance(t, Bracket):
        operand = _poly(t.operand) if isinstance(t.operand, Poly) else term_latex(t.operand)
        return rf"\left[{operand} {_SIGN[t.relation]} 0\right]", _POWER
    if isinstance(t, Add):
        out = ""
        for a in t.args:
            text = term_latex(a, _SUM if is_negative(a) else _PRODUCT)
            out += text if not out or text.startswith("-") else f" + {text}"
        return out, _SUM
    if isinstance(t, Mul):
        return _product(t)
    if isinstance(t, Pow):
        if isinstance(t.exponent, Number) and t.exponent.value == -1:
            return rf"\frac{{1}}{{{term_latex(t.base)}}}", _POWER
        return rf"{{{term_latex(t.base, _POWER)}}}^{{{term_latex(t.exponent)}}}", _PRODUCT
    if isinstance(t, Func):
        row = functions().get(t.name)
        name = row.latex if row else rf"\operatorname{{{_escaped(t.name)}}}"
        return (rf"{name}\left({', '.join(map(term_latex, t.args))}\right)" if t.args else name), _POWER
    if isinstance(t, Over):
        bound = ", ".join(_letter(i.key) for i in t.indices)
        return rf"{_OVER[t.kind]}_{{{bound}}} {term_latex(t.body, _PRODUCT)}", _PRODUCT
    raise TypeError(f"not a term: {type(t).__name__}")


def _product(t: Mul) -> tuple[str, int]:
    above: list[str] = []
    below: list[str] = []
    factors: list[Term] = []
    sign = ""
    for a in t.args:
        if isinstance(a, Number):
            sign = "-" if a.value < 0 else sign
            if abs(a.value.numerator) != 1:
                above.append(str(abs(a.value.numerator)))
            if a.value.denominator != 1:
                below.append(str(a.value.denominator))
        elif isinstance(a, Pow) and isinstance(a.exponent, Number) and a.exponent.value < 0:
            e = -a.exponent.value
            below.append(term_latex(a.base, _POWER) + (f"^{{{_number(e)}}}" if e != 1 else ""))
        else:
            factors.append(a)
    factors.sort(key=lambda a: isinstance(a, Over))  # a sum ends the product: it needs no parentheses there
    above += [term_latex(a, _PRODUCT if isinstance(a, Over) and a is factors[-1] else _POWER) for a in factors]
    top = r" \, ".join(above) or "1"
    if not below:
        return sign + top, _SUM if sign else _PRODUCT
    return rf"{sign}\frac{{{top}}}{{{r' '.join(below)}}}", _SUM if sign else _PRODUCT


def _number(v: Fraction) -> str:
    return str(v.numerator) if v.denominator == 1 else rf"{'-' if v < 0 else ''}\frac{{{abs(v.numerator)}}}{{{v.denominator}}}"


def _ref(name: str, at: list[str]) -> str:
    head = _name(name)
    return f"{head}_{{{', '.join(map(_letter, at))}}}" if at else head


def _name(name: str) -> str:
    name = public(name)
    if name.endswith("_bar"):
        return rf"\bar{{{_name(name.removesuffix('_bar'))}}}"
    return name if len(name) == 1 else rf"\mathrm{{{_escaped(name)}}}"


def _letter(text: str) -> str:
    return re.sub(r"(\w+?)_(\d+)\b", r"\1_{\2}", text)


def _poly(p: Poly) -> str:
    return _letter(str(p)).replace("*", r" \, ").replace("//", r" \mathbin{/\!/} ")


def _escaped(text: str) -> str:
    return text.replace("_", r"\_")
