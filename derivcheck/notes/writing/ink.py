"""The two inks of :class:`derivcheck.notes.writing.writer.TermWriter`: LaTeX, and Unicode for the terminal."""

from __future__ import annotations

import re
from fractions import Fraction

from derivcheck.notation.functions.table import functions
from derivcheck.notation.integers.polynomials import Index
from derivcheck.notes.symbols.symbol import GREEK, Symbol, size_latex
from derivcheck.notes.writing.drawing import ATOM, POWER, PRODUCT, BoundOver, Spelt
from derivcheck.notes.writing.writer import TermWriter

_LATEX_BIG = {
    "sum": r"\sum",
    "prod": r"\prod",
    "max": r"\max",
    "min": r"\min",
    "argmax": r"\operatorname{argmax}",
    "argmin": r"\operatorname{argmin}",
}
_WORD = re.compile(r"\\(?:mathit|text|mathrm)\{")
_ENDS_IN_WORD = re.compile(r"\\(?:mathit|text|mathrm)\{[^{}]*\}$")
DIGITS = 10  # of a number that is written whole
SHORT = 3  # places behind the point from which on few digits are written with a power of ten
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def _decimal(v: Fraction) -> str | None:
    """The exact decimal spelling of a fraction, where it has a short one and its denominator is large, or of tens: who writes
    0.04 means no 25th."""
    small = v.denominator < 1000
    if small and v.denominator % 5:
        return None
    for digits in range(1, SHORT + 1 if small else 17):
        if (v * 10**digits).denominator == 1:
            return f"{v.numerator * 10**digits // v.denominator}e-{digits}"
    return None


def _rounded(v: Fraction) -> str | None:
    """A number of very many digits (a constant of torch's, the largest float): eight of them."""
    return f"{float(v):.8g}" if v > 10**15 or v.denominator > 10**12 else None


def _short_decimal(v: Fraction) -> str | None:
    """The decimal spelling of a fraction, where that has few digits."""
    found = _decimal(v)
    return found if found is None or len(found.partition("e-")[0]) <= DIGITS else None


class Latex(TermWriter):
    """LaTeX."""

    times = " "
    small_times = r"\,"
    wrapped = r"\left({}\right)"
    magnitude = r"\left|{}\right|"
    norm = r"\left\lVert {} \right\rVert"
    formula = "${}$"
    partial = r"\frac{{\partial {}}}{{\partial {}}}"
    floor = r"\left\lfloor {}/{}\right\rfloor"
    modulo = r"{} \bmod {}"
    bracket = r"\left[{} {} {}\right]"
    runs = r", \quad {} = {}, \ldots, {}"
    relations = {"==": "=", "!=": r"\neq", ">=": r"\ge", ">": ">", "<": "<", "<=": r"\le"}
    matrices = {
        "inv": r"\left({}\right)",
        "cholesky": r"\operatorname{{chol}}\left({}\right)",
        "det": r"\det\left({}\right)",
        "logdet": r"\log\det\left({}\right)",
        "logabsdet": r"\log\left|\det\left({}\right)\right|",
        "tril": r"\operatorname{{tril}}\left({}\right)",
        "triu": r"\operatorname{{triu}}\left({}\right)",
    }
    elements_of = r"{},{} \mapsto {}"

    def fraction(self, above: str, below: str, simple: bool) -> Spelt:
        return rf"\frac{{{above}}}{{{below}}}", POWER

    def joined(self, parts: list[str]) -> str:
        """Factors side by side, words apart: ``ab`` is one name, ``a b`` a product."""
        text = "".join(parts[:1])
        for left, right in zip(parts, parts[1:]):
            text += (r" \, " if _ENDS_IN_WORD.search(left) or _WORD.match(right) else self.times) + right
        return text

    def drawn(self, symbol: Symbol) -> str:
        return symbol.latex()

    def placed(self, symbol: str, subscripts: list[str], raised: list[str]) -> str:
        if raised:  # beside a label in one superscript: TeX takes no second one on an accent
            symbol = f"{symbol[:-1] if symbol.endswith(')}') else f'{symbol}^{{'}({','.join(raised)})}}"
        if not subscripts:
            return symbol
        plain = all(len(s) == 1 or s.rstrip("'").isalpha() and len(s.rstrip("'")) == 1 for s in subscripts)
        inside = ("" if plain else ",").join(subscripts)
        return f"{symbol}_{inside}" if len(inside) == 1 else f"{symbol}_{{{inside}}}"

    def sum_over(self, indices: list[str]) -> str:
        return rf"\sum_{{{','.join(indices)}}}"

    def index(self, i: Index) -> str:
        name, serial = self.symbols.index(i)
        return Symbol(name).latex() + ("'" * serial if serial <= 3 else f"^{{({serial})}}")

    def size_name(self, name: str) -> str:
        return size_latex(name)

    def raise_to(self, base: str, exponent: str) -> str:
        if not base.startswith(r"\left(") and not {"^", "'"}.isdisjoint(_outside(base)):  # no second superscript on one letter
            base = self.wrapped.format(base)
        return f"{base}^{exponent}" if len(exponent) == 1 else f"{base}^{{{exponent}}}"

    def root(self, text: str, whole: bool) -> Spelt:
        return rf"\sqrt{{{text}}}", ATOM

    def function(self, name: str, args: list[str]) -> Spelt:
        row = functions().get(name)
        shape = row.latex if row is not None else rf"\operatorname{{{name}}}"
        if not args:
            return shape, ATOM
        if "{}" in shape:
            return shape.format(*args), POWER
        return rf"{shape}\left({', '.join(args)}\right)", ATOM

    def big(self, kind: str, bounds: list[BoundOver], body: str) -> str:
        signs = [rf"{_LATEX_BIG[kind]}_{{{r.letter}={r.first}}}^{{{r.last}}}" for r in bounds]
        if kind not in ("sum", "prod"):
            below = [r.letter if r.told else rf"{r.first} \le {r.letter} \le {r.last}" for r in bounds]
            signs = [rf"{_LATEX_BIG[kind]}_{{{', '.join(below)}}}"]
        return r"\,".join(signs) + " " + body

    def extreme(self, kind: str, args: list[str]) -> str:
        name = rf"\{kind}" if kind in ("max", "min", "gcd") else rf"\operatorname{{{kind}}}".replace("_", r"\_")
        return rf"{name}({', '.join(args)})"

    def decimal(self, value: Fraction) -> Spelt:
        """A power of ten or a decimal where that is short, a quotient where not."""
        found = _short_decimal(value)
        if found is None and (long := _rounded(value)):
            lead, _, exponent = long.partition("e")
            tail = rf" \cdot 10^{{{int(exponent)}}}" if exponent else ""
            return rf"{lead}\ldots{tail}", PRODUCT if tail else ATOM
        if found is None:
            return rf"\frac{{{value.numerator}}}{{{value.denominator}}}", PRODUCT
        digits, _, exponent = found.partition("e-")
        if len(digits) <= 2 and int(exponent) >= SHORT:
            lead = "" if digits == "1" else rf"{digits} \cdot "
            return rf"{lead}10^{{-{exponent}}}", PRODUCT if lead else POWER
        return _shifted(digits, int(exponent)), ATOM


def _outside(text: str) -> str:
    """What stands outside of braces."""
    depth, found = 0, ""
    for c in text:
        depth += (c == "{") - (c == "}")
        found += c if not depth else ""
    return found


def _shifted(digits: str, places: int) -> str:
    digits = digits.rjust(places + 1, "0")
    return f"{digits[:-places]}.{digits[-places:]}"


class Unicode(TermWriter):
    """Unicode mathematics for the terminal: ``∂L/∂W[j,k] = Σₙ ∂L/∂ŷ[n,j] · x[n,k]``."""

    times = " · "
    small_times = "·"
    slashed = True
    wrapped = "({})"
    magnitude = "|{}|"
    norm = "‖{}‖"
    formula = "{}"
    partial = "∂{}/∂{}"
    floor = "⌊{}/{}⌋"
    modulo = "{} mod {}"
    bracket = "[{} {} {}]"
    runs = "  ({1} ≤ {0} ≤ {2})"
    relations = {"==": "=", "!=": "≠", ">=": "≥", ">": ">", "<": "<", "<=": "≤"}
    matrices = {
        "inv": "{}",
        "cholesky": "chol({})",
        "det": "det({})",
        "logdet": "log det({})",
        "logabsdet": "log |det({})|",
        "tril": "tril({})",
        "triu": "triu({})",
    }
    elements_of = "{},{} ↦ {}"

    def fraction(self, above: str, below: str, simple: bool) -> Spelt:
        return f"{above}/{below if simple else f'({below})'}", PRODUCT

    def drawn(self, symbol: Symbol) -> str:
        return symbol.unicode()

    def placed(self, symbol: str, subscripts: list[str], raised: list[str]) -> str:
        inside = ",".join([*raised, *subscripts])
        return f"{symbol}[{inside}]" if inside else symbol

    def sum_over(self, indices: list[str]) -> str:
        return f"Σ_{indices[0]}" if len(indices) == 1 and len(indices[0]) == 1 else f"Σ_{{{','.join(indices)}}}"

    def index(self, i: Index) -> str:
        name, serial = self.symbols.index(i)
        return GREEK.get(name, name) + ("′" * serial if serial <= 3 else f"⁽{str(serial).translate(_SUPERSCRIPTS)}⁾")

    def size_name(self, name: str) -> str:
        return name

    def raise_to(self, base: str, exponent: str) -> str:
        if exponent.lstrip("-").isdigit():
            return base + exponent.translate(_SUPERSCRIPTS)
        return f"{base}^{exponent if exponent.isalnum() else f'({exponent})'}"

    def root(self, text: str, whole: bool) -> Spelt:
        return f"√{text if whole else f'({text})'}", POWER

    def function(self, name: str, args: list[str]) -> Spelt:
        shown = {"pi": "π", "inf": "∞"}.get(name, name)
        return (f"{shown}({', '.join(args)})" if args else shown), ATOM

    def big(self, kind: str, bounds: list[BoundOver], body: str) -> str:
        names = ",".join(r.letter if r.told else f"{r.first}≤{r.letter}≤{r.last}" for r in bounds)
        sign = {"sum": "Σ", "prod": "Π"}.get(kind, kind)
        return f"{sign}_{names} {body}" if len(names) == 1 else f"{sign}_{{{names}}} {body}"

    def extreme(self, kind: str, args: list[str]) -> str:
        return f"{kind}({', '.join(args)})"

    def decimal(self, value: Fraction) -> Spelt:
        found = _short_decimal(value)
        if found is None and (long := _rounded(value)):
            return f"{long}…", ATOM
        if found is None:
            return f"{value.numerator}/{value.denominator}", PRODUCT
        digits, _, exponent = found.partition("e-")
        return (found if len(digits) <= 2 and int(exponent) >= SHORT else _shifted(digits, int(exponent))), ATOM
