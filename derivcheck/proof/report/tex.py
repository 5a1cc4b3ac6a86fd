"""Words and equations of a proof in LaTeX: SymPy prints the terms."""

from __future__ import annotations

import re
from typing import Any

from sympy.printing.latex import LatexPrinter
from sympy.printing.precedence import PRECEDENCE

from derivcheck.notation.functions.table import functions
from derivcheck.notation.integers.polynomials import i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.nodes import Ref, Term
from derivcheck.notation.values.sympify import to_sympy
from derivcheck.proof.claims.sides import public

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
    element = Ref(target.name, tuple(map(i_poly, target.indices)))
    return " = ".join(map(term_latex, (element, target.term, claim.term)))


def term_latex(t: Term) -> str:
    """A term in LaTeX.

    >>> from derivcheck.notation.text.parse import TextScope, parse_input, parse_term
    >>> scope = TextScope({"x": parse_input("x", "N"), "y_bar": parse_input("y_bar", "")})
    >>> print(term_latex(parse_term("y_bar*sum(n: x[n]^2)", scope)))
    \\bar{y} \\sum_{n=0}^{N - 1} {x}_{n}^{2}
    """
    return str(_Printer().doprint(to_sympy(t, named=True)))


class _Printer(LatexPrinter):  # type: ignore[misc]
    """SymPy's, with Iverson brackets, and the names of tensors and indices as notes have them."""

    def _print_Symbol(self, expr: Any, style: str = "plain") -> str:
        return _name(public(expr.name))

    def _as_ordered_terms(self, expr: Any, order: Any = None) -> list[Any]:
        terms = super()._as_ordered_terms(expr, order=order)
        return sorted(terms, key=lambda t: bool(t.could_extract_minus_sign()))  # x − y rather than −y + x

    def _hprint_Function(self, func: str) -> str:
        row = functions().get(func)
        named = row is not None and "{}" not in row.latex  # else it is a template
        return row.latex if row is not None and named else str(super()._hprint_Function(func))

    def _print_Extremum(self, expr: Any) -> str:
        kind, body, *limits = expr.args
        head = (r"\arg" if kind.name.startswith("arg") else "") + rf"\{kind.name.removeprefix('arg')}"
        return rf"{head}_{{{', '.join(self._print(i) for i, *_ in limits)}}} {self.parenthesize(body, PRECEDENCE['Mul'])}"

    def _print_Piecewise(self, expr: Any) -> str:
        (body, condition), *others = expr.args
        if [tuple(o) for o in others] != [(0, True)]:
            return str(super()._print_Piecewise(expr))
        factor = "" if body == 1 else f" {self.parenthesize(body, PRECEDENCE['Mul'])}"
        return rf"\left[{self._print(condition)}\right]{factor}"


def _name(name: str) -> str:
    """A name: ``x_bar`` is x̄, ``k_1`` an index of that name, longer ones are upright."""
    if name.endswith("_bar"):
        return rf"\bar{{{_name(name.removesuffix('_bar'))}}}"
    letter = re.fullmatch(r"([^\W\d_])_(\d+)", name)
    if letter:
        return f"{letter[1]}_{{{letter[2]}}}"
    return name if len(name) == 1 else rf"\mathrm{{{name.replace('_', chr(92) + '_')}}}"
