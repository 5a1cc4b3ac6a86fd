"""The ink of one name: its letter or word, with a hat, bars and a label."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace

GREEK = {
    "alpha": "α",
    "beta": "β",
    "gamma": "γ",
    "delta": "δ",
    "epsilon": "ε",
    "zeta": "ζ",
    "eta": "η",
    "theta": "θ",
    "kappa": "κ",
    "lambda": "λ",
    "mu": "μ",
    "nu": "ν",
    "xi": "ξ",
    "rho": "ρ",
    "sigma": "σ",
    "tau": "τ",
    "phi": "φ",
    "chi": "χ",
    "psi": "ψ",
    "omega": "ω",
    "pi": "π",
}
SPELT = {letter: name for name, letter in GREEK.items()}
_LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
# Letters of other scripts that are drawn as Latin ones.
_DRAWN_ALIKE = str.maketrans("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧοАВЕКМНОРСТХасеорхуіјѕ", "ABEZHIKMNOPTYXoABEKMHOPCTXaceopxyijs")
_FONT = re.compile(r"\\(?:mathit|mathrm|mathcal|text|operatorname)(?![a-z])|\\(?:left|right)(?![a-z])|[{}\s]|\\,|\\(?=_)")
_ACCENT = re.compile(r"\\(hat|bar)\{((?:[^{}]|\{[^{}]*\})*)\}")


@dataclass(frozen=True)
class Symbol:
    """How a name is written: its letter or word, a hat, bars (upstream gradients), a label, raised (``(1)``) or ``low``.

    ``spelt``: a Greek letter's name stays the word that it is.
    """

    base: str
    hat: bool = False
    bars: int = 0
    label: str = ""
    script: bool = False
    low: bool = False
    spelt: bool = False

    def latex(self) -> str:
        """The symbol in LaTeX."""
        base = SPELT.get(self.base, self.base)
        if self.script:
            text = rf"\mathcal{{{base}}}"
        elif base in GREEK and not self.spelt:
            text = rf"\{base}"
        elif len(base) == 1 and base.isascii() and base.isalpha():
            text = base
        else:
            text = word(base)
        if self.hat:
            text = rf"\hat{{{text}}}"
        for _ in range(self.bars):
            text = rf"\bar{{{text}}}"
        if self.low:
            text += f"_{{{self.label}}}" if len(self.label) > 1 else f"_{self.label}"
        elif self.label:
            inside = self.label if self.label.isdigit() else rf"\mathrm{{{escaped(self.label)}}}"
            text += rf"^{{({inside})}}"
        return text

    def unicode(self) -> str:
        """The symbol in Unicode."""
        text = self.base if self.spelt else GREEK.get(self.base, self.base)
        if self.hat:
            text = unicodedata.normalize("NFC", text[0] + "\u0302") + text[1:]
        if self.bars and len(text) == 1 and self.bars <= 2:
            text = unicodedata.normalize("NFC", text + ("\u0304" if self.bars == 1 else "\u033f"))
        else:
            text = "bar(" * self.bars + text + ")" * self.bars
        if self.low:
            text += self.label.translate(_LOWERED)
        elif self.label:
            text += f"⁽{self.label.translate(_RAISED)}⁾" if self.label.isdigit() else f"({self.label})"
        return text

    def looks(self) -> frozenset[str]:
        """What a reader may take it for, whatever the ink and the font: two things never share a look.

        >>> sorted(Symbol("W", label="1", low=True).looks()), Symbol("alpha").looks() == Symbol("α").looks()
        (['W1', 'W_1'], True)
        """
        return frozenset((look(self.latex()), look(self.unicode())))

    @property
    def capital(self) -> Symbol:
        """The same symbol as a matrix: an upper-case letter."""
        return replace(self, base=self.base.upper()) if len(self.base) == 1 and self.base.isascii() else self

    @property
    def barred(self) -> Symbol:
        """The upstream gradient of the symbol: the same letter under a bar, its label outside."""
        return replace(self, bars=self.bars + 1)

    @property
    def small(self) -> Symbol:
        """The same symbol as an element: a lower-case letter."""
        if len(self.base) != 1 or not self.base.isascii() or self.script:
            return self
        return replace(self, base=self.base.lower())


def look(text: str) -> str:
    """Printed text without fonts and braces, Greek letters and accents as letters, letters that are drawn alike as one."""
    before = ""
    while before != text:  # bars over bars
        before = text
        text = _ACCENT.sub(lambda m: f"{m[2]}{chr(0x302) if m[1] == 'hat' else chr(0x304)}", text)
    text = re.sub(r"\\([A-Za-z]+)", lambda m: GREEK.get(m[1], m[1]), _FONT.sub("", text))
    text = text.replace("\u033f", "\u0304\u0304")
    return unicodedata.normalize("NFKC", text).translate(_DRAWN_ALIKE).replace("bar(", "(")


def size_latex(name: str) -> str:
    """A size in LaTeX."""
    if name in GREEK:
        return rf"\{name}"
    return name if len(name) == 1 and name.isalpha() else rf"\mathrm{{{escaped(name)}}}" if name.isascii() else word(name)


def size_looks(name: str) -> frozenset[str]:
    """What a reader may take a size for."""
    return frozenset((look(size_latex(name)), look(name)))


def escaped(text: str) -> str:
    """Text that LaTeX takes as it is."""
    return text.replace("_", r"\_")


def word(text: str) -> str:
    """A word as one symbol."""
    return rf"\mathit{{{escaped(text)}}}" if text.isascii() else rf"\text{{{escaped(text)}}}"
