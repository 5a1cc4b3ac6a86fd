"""Readable symbols for a Program's names: ``weight`` is W, ``target`` y, the prediction ŷ, the loss a script L.

A name that is already a symbol (``x``, ``W``, ``alpha``) keeps it; where two names would print alike, the
later one prints as the word that it is.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field, replace

from derivcheck.derivation.sweep import bar_names
from derivcheck.notation.program import Definition, Program
from derivcheck.notation.sizes import Index
from derivcheck.notation.walking import subterms

TABLE = {
    "weight": "W",
    "weights": "W",
    "bias": "b",
    "input": "x",
    "inputs": "x",
    "target": "y",
    "targets": "y",
    "loss": "L",
    "query": "q",
    "key": "k",
    "value": "v",
    "eps": "epsilon",
    "mean": "mu",
}
HATS = frozenset({"output", "pred", "prediction", "y_pred", "y_hat", "yhat", "ypred"})
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
_LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_LABELLED = (re.compile(r"_*(?P<label>.*?)_*(?P<kind>weight|bias)$"), re.compile(r"(?P<kind>weight|bias)_(?P<label>\w+)$"))


@dataclass(frozen=True)
class Symbol:
    """How a name is written: its letter or word, a hat, bars (upstream gradients), a label, raised (``(1)``) or ``low``."""

    base: str
    hat: bool = False
    bars: int = 0
    label: str = ""
    script: bool = False
    low: bool = False

    def latex(self) -> str:
        """The symbol in LaTeX."""
        if self.script:
            text = rf"\mathcal{{{self.base}}}"
        elif self.base in GREEK:
            text = rf"\{self.base}"
        elif len(self.base) == 1 and self.base.isascii():
            text = self.base
        else:
            text = word(self.base)
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
        text = GREEK.get(self.base, self.base)
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

    @property
    def capital(self) -> Symbol:
        """The same symbol as a matrix: an upper-case letter."""
        return replace(self, base=self.base.upper()) if len(self.base) == 1 else self

    @property
    def barred(self) -> Symbol:
        """The upstream gradient of the symbol: the same letter under a bar, its label outside."""
        return replace(self, bars=self.bars + 1)

    @property
    def small(self) -> Symbol:
        """The same symbol as an element: a lower-case letter."""
        return replace(self, base=self.base.lower()) if len(self.base) == 1 and not self.script else self


def escaped(text: str) -> str:
    """Text that LaTeX takes as it is."""
    return text.replace("_", r"\_")


def word(text: str) -> str:
    """A word as one symbol."""
    return rf"\mathit{{{escaped(text)}}}" if text.isascii() else rf"\text{{{escaped(text)}}}"


@dataclass
class Symbols:
    """The symbols of a derivation.

    Attributes:
        of: symbol by name of an input or definition of the forward.
        adjoint_of: for each adjoint definition, the name that it is the gradient in.
        upstream_of: for each upstream gradient, the output that it belongs to.
        scalar: the forward's output is one number, and its upstream gradient is 1.
        loss: what is differentiated: the symbol of a scalar output, else a script L.
    """

    of: dict[str, Symbol]
    adjoint_of: dict[str, str]
    upstream_of: dict[str, str]
    scalar: bool
    loss: Symbol
    indices: dict[str, str] = field(default_factory=dict)
    parameters: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> Symbol:
        return self.of.get(name) or Symbol(name)

    def adjoint_of_name(self, name: str) -> str:
        """The adjoint's name for the gradient in ``name``, or the upstream gradient that it is."""
        for bar, of in (*self.adjoint_of.items(), *self.upstream_of.items()):
            if of == name:
                return bar
        return f"{name}_bar"

    def index(self, i: Index) -> tuple[str, int]:
        """The letter of an index and how many primes follow it."""
        return self.indices.get(i.name, i.name), i.serial


def symbols(forward: Program, adjoint: Program) -> Symbols:
    """Symbols for a forward Program and its gradient."""
    of: dict[str, Symbol] = {}
    used: set[tuple[str, bool, int, str]] = set()
    names = [*forward.inputs, *(d.name for d in forward.definitions)]

    def take(name: str, symbol: Symbol) -> bool:
        key = (symbol.base.casefold() if len(symbol.base) > 1 else symbol.base, symbol.hat, symbol.bars, symbol.label)
        if key in used:
            return False
        used.add(key)
        of[name] = symbol
        return True

    hatted = _prediction(forward)
    for name in names:  # names that are symbols already
        if (len(name) == 1 or name in GREEK) and name != hatted:
            take(name, Symbol(name, script=name == "L" and name in forward.outputs))
    for name in names:
        if name not in of and not take(name, _symbol(name, hatted, forward, of)):
            take(name, Symbol("t" if name == "target" else name)) or take(name, Symbol(name))
    ups = [a.name for a in adjoint.arguments if a.name not in forward.inputs]
    outs = [o for o in forward.outputs if forward.kind(o) == "float"]
    bars = bar_names(forward)
    defined = {d.name for d in adjoint.definitions}
    adjoint_of = {bar: name for name, bar in bars.items() if bar in defined or bar in adjoint.outputs}
    scalar = forward.scalar and bool(outs)
    loss = of[outs[0]] if scalar else Symbol("J" if any(s.base == "L" for s in of.values()) else "L", script=True)
    upstream_of: dict[str, str] = {}
    for k, (up, out) in enumerate(zip(ups, outs)):
        if out in upstream_of.values():  # an output that is given twice
            of[up] = replace(of[out], bars=of[out].bars + 1, label=f"{of[out].label}{k}", low=False)
        else:
            upstream_of[up] = out
    found = Symbols(of, adjoint_of, upstream_of, scalar, loss)
    found.parameters = frozenset(a.name for a in forward.arguments if a.role == "parameter")
    found.indices = _letters([*forward.definitions, *adjoint.definitions], {s.base for s in of.values()})
    return found


def _prediction(forward: Program) -> str:
    """The definition that the loss compares with the target; it wears the hat."""
    if not forward.scalar or "target" not in forward.inputs:
        return ""
    defined = {d.name for d in forward.definitions if d.kind == "float"}
    beside = {n for d in forward.definitions if "target" in d.term.names for n in d.term.names if n in defined}
    return next(iter(beside)) if len(beside) == 1 else ""


def _symbol(name: str, hatted: str, forward: Program, of: dict[str, Symbol]) -> Symbol:
    bars = 0
    core = re.sub(r"_bar_\d+$", "_bar", name)  # an earlier gradient, renamed beside a new one
    while core.endswith("_bar"):
        core, bars = core[:-4], bars + 1
    if bars and core in of:
        return replace(of[core], bars=bars)
    if core == "grad_output" and bars == 0:
        return Symbol("g")
    if name == hatted or core in HATS:
        return Symbol("y", hat=True, bars=bars)
    if core in TABLE:
        script = TABLE[core] == "L" and core in forward.outputs
        flat = core == "weight" and name in forward.names and len(forward.dims(name)) < 2
        return Symbol("w" if flat else TABLE[core], bars=bars, script=script)
    numbered = re.fullmatch(r"([A-Za-z]|" + "|".join(GREEK) + r")_?(\d+)", core)
    if numbered:
        low = name in forward.names and not forward.dims(name)
        return Symbol(numbered[1], bars=bars, label=numbered[2], low=low)
    parted = _LABELLED[0].fullmatch(core) or _LABELLED[1].fullmatch(core)
    if parted and parted["label"]:
        flat = parted["kind"] == "weight" and name in forward.names and len(forward.dims(name)) < 2
        return Symbol("w" if flat else TABLE[parted["kind"]], bars=bars, label=parted["label"])
    return Symbol(core, bars=bars)


def _letters(definitions: list[Definition], bases: set[str]) -> dict[str, str]:
    """Index letters for readers: an operator's own ``o`` and ``i`` print as j and k where those are free."""
    if any(d.rule == "given" for d in definitions):
        return {}
    used: set[str] = set()
    for d in definitions:
        for t in subterms(d.term):
            used.update(i.name for i in t.free)
            used.update(i.name for i in getattr(t, "indices", ()))
        used.update(i.name for i in d.indices)
    if "o" in used and not (used | bases) & {"j", "k"}:
        return {"o": "j", "i": "k"}
    return {}
