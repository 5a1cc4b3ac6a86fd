"""A small reader of printed formulas: it evaluates what stands there, so that it can be held against what is meant.

It reads the Unicode of the terminal and LaTeX.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from derivcheck.notation.functions.table import expression, functions
from derivcheck.notation.program.program import Program

RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b, "≠": lambda a, b: a != b, "≥": lambda a, b: a >= b, "≤": lambda a, b: a <= b,
    ">": lambda a, b: a > b, "<": lambda a, b: a < b,
}  # fmt: skip
LATEX = [
    (r"\left(", "("), (r"\right)", ")"), (r"\left[", "["), (r"\right]", "]"), (r"\left\lfloor", "⌊"), (r"\right\rfloor", "⌋"),
    (r"\left|", "|"), (r"\right|", "|"), (r"\operatorname{sign}", "sign"),
    (r"\le ", "≤ "), (r"\ge ", "≥ "), (r"\neq ", "≠ "), (r"\bmod", "mod"), (r"\infty", "∞"),
]  # fmt: skip
SUPER = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


class Unreadable(AssertionError):
    """Text that the reader does not know."""


@dataclass
class Names:
    """What is called how: the printed spelling of tensors, sizes and indices."""

    tensors: dict[str, np.ndarray]
    sizes: dict[str, int]
    loss: str = ""
    first: int = 1  # the number of the first element where positions are numbers
    numbered: bool = False  # constant positions count from ``first``
    sample: str = ""  # an index that may be left out in front


class Reader:
    """Evaluates a printed expression; ``at`` gives the indices' values."""

    def __init__(self, text: str, names: Names, latex: bool, at: Mapping[str, int]) -> None:
        for old, new in LATEX if latex else ():
            text = text.replace(old, new)
        self.text, self.names, self.latex, self.at, self.k = text, names, latex, dict(at), 0
        self.within = 0  # how many absolute values are open
        self.spellings = sorted([*names.tensors, *names.sizes], key=len, reverse=True)

    # -- the text ------------------------------------------------------------
    def peek(self, *wanted: str) -> str:
        skipped = re.compile(r"(?:\s|\\,|\\quad)*" if self.latex else r"\s*").match(self.text, self.k)
        assert skipped is not None
        self.k = skipped.end()
        return next((w for w in wanted if self.text.startswith(w, self.k)), "")

    def take(self, *wanted: str) -> str:
        found = self.peek(*wanted)
        self.k += len(found)
        return found

    def need(self, wanted: str) -> None:
        if not self.take(wanted):
            raise Unreadable(f"expected {wanted} at {self.text[self.k :]!r} of {self.text!r}")

    def match(self, pattern: str) -> str:
        self.peek()
        found = re.compile(pattern).match(self.text, self.k)
        if found:
            self.k = found.end()
        return found.group() if found else ""

    def whole(self) -> float:
        value = self.sum()
        self.peek()
        if self.k < len(self.text):
            raise Unreadable(f"left over: {self.text[self.k :]!r} of {self.text!r}")
        return value

    # -- arithmetic ----------------------------------------------------------
    def sum(self) -> float:
        value = -self.product() if self.take("-") else self.product()
        while sign := self.take("+", "-"):
            value = value + self.product() if sign == "+" else value - self.product()
        return value

    def product(self) -> float:
        value = self.factor()
        while True:
            if self.take("mod"):
                value = value % self.factor()
            elif self.take("/"):
                value = divided(value, self.factor())
            elif not self.latex and not self.take("·", "*") or self.latex and self.ends():
                return value
            else:
                value = times(value, self.factor())

    def ends(self) -> bool:
        self.peek()
        return self.k == len(self.text) or bool(self.peek(*"+-),]}⌋=≠≥≤<>&/", "mod") or self.within and self.peek("|"))

    def factor(self) -> float:
        value = self.atom()
        while True:
            if not self.latex and (digits := self.match("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")):
                value = raised(value, float(digits.translate(SUPER)))
            elif self.take("^"):
                value = raised(value, self.group())
            else:
                return value

    def group(self) -> float:
        """An exponent."""
        if self.latex and self.take("{") or not self.latex and self.take("("):
            value = self.sum()
            self.need("}" if self.latex else ")")
            return value
        return float(self.match(r"\d") or self.atom()) if self.latex else self.atom()

    # -- atoms ---------------------------------------------------------------
    def atom(self) -> float:
        if big := self.take(*((rf"\{s}" for s in ("sum", "prod")) if self.latex else "ΣΠ")):
            return self.over("sum" if big in (r"\sum", "Σ") else "prod")
        for kind in ("argmax", "argmin", "max", "min"):
            if self.take(*((rf"\operatorname{{{kind}}}_", rf"\{kind}_") if self.latex else (f"{kind}_",))):
                self.k -= 1
                return self.over(kind)
            if self.take(rf"\{kind}(" if self.latex else f"{kind}("):
                values = [self.sum()]
                while self.take(","):
                    values.append(self.sum())
                self.need(")")
                return (max if kind == "max" else min)(values)
        if self.take("⌊"):
            value = float(math.floor(self.sum()))
            self.need("⌋")
            return value
        if self.take("("):
            value = self.sum()
            self.need(")")
            return value
        if self.take("|"):
            self.within += 1
            value = abs(self.sum())
            self.within -= 1
            self.need("|")
            return value
        if self.take("sign("):
            value = float(np.sign(self.sum()))
            self.need(")")
            return value
        if self.take("["):
            value = self.sum()
            relation = self.take(*RELATIONS)
            right = self.sum()
            self.need("]")
            return float(RELATIONS[relation](value, right))
        if self.latex and self.take(r"\frac{\partial") or not self.latex and self.take("∂"):
            return self.derivative()
        if self.latex and self.take(r"\frac{"):
            above = self.sum()
            self.need("}{")
            below = self.sum()
            self.need("}")
            return divided(above, below)
        if self.latex and self.take(r"\sqrt{") or self.take("√"):
            value = self.sum() if self.latex else self.atom()
            if self.latex:
                self.need("}")
            return math.sqrt(value) if value >= 0 else math.nan
        return self.named()

    def derivative(self) -> float:
        """``∂L/∂x[n]``: the tensor that is spelt so."""
        self.need(self.names.loss)
        self.need(r"}{\partial" if self.latex else "/∂")
        self.peek()
        for s in self.spellings:
            joined = self.latex and s.endswith(")}") and self.text.startswith(f"{s[1:-1]}(", self.k)
            if s.startswith("∂") and (joined or self.text.startswith(s[1:], self.k)):
                self.k += len(s) - 1 - joined
                value = self.element(s, joined)
                if self.latex:
                    self.need("}")
                return value
        raise Unreadable(f"an unknown derivative at {self.text[self.k :]!r}")

    def named(self) -> float:
        for s in self.spellings:
            if self.peek(s) and not s.startswith("∂") and (self.latex or not self.text[self.k + len(s) :][:1].isalpha()):
                self.k += len(s)
                return self.element(s) if s in self.names.tensors else float(self.names.sizes[s])
            if self.latex and s.endswith(")}") and self.peek(f"{s[:-1]}("):  # a label and a raised index
                self.k += len(s) - 1
                return self.element(s, joined=True)
        for i in sorted(self.at, key=len, reverse=True):
            if self.peek(i) and (self.latex or not self.text[self.k + len(i) :][:1].isalpha()):
                self.k += len(i)
                return float(self.at[i])
        if self.take("∞"):
            return math.inf
        if self.take(r"\pi", "π"):
            return math.pi
        for row in sorted(functions().values(), key=lambda r: -len(r.latex if self.latex else r.name)):
            sign = row.latex if self.latex else row.name
            if row.arity and "{}" not in sign and self.take(sign + "("):
                args = [self.sum()]
                while self.take(","):
                    args.append(self.sum())
                self.need(")")
                return computed(row.name, args)
        if digits := self.match(r"\d+(\.\d+)?(e-?\d+)?…?"):
            power = self.match(r" \\cdot 10\^\{-?\d+\}") if self.latex else ""
            return float(digits.rstrip("…")) * (10.0 ** int(power.split("{")[1][:-1]) if power else 1)
        raise Unreadable(f"cannot read {self.text[self.k :]!r} of {self.text!r}")

    def element(self, spelling: str, joined: bool = False) -> float:
        array = self.names.tensors[spelling]
        raised, low = self.positions(joined)
        missing = array.ndim - len(raised) - len(low)  # dimensions of one element, and the sample's index in front of them
        ones = [0] * min(missing, array.shape.count(1))
        if self.names.sample and missing > len(ones):
            raised = [self.at[self.names.sample]]
        at = [*raised, *ones, *low]
        if len(at) != array.ndim:
            raise Unreadable(f"{spelling} with {len(at)} positions, of {array.ndim} dimensions")
        if any(p < 0 or p >= n for p, n in zip(at, array.shape)):
            return math.nan  # read under a bracket that is 0
        return float(array[tuple(at)])

    def positions(self, joined: bool) -> tuple[list[int], list[int]]:
        raised: list[int] = []
        opening = "(" if joined else "^{("
        if self.latex and self.text.startswith(opening, self.k):
            self.k += len(opening)
            raised = self.places(")}")
            self.k += 1
        if not self.latex:
            if not self.text.startswith("[", self.k):
                return [], []
            self.k += 1
            return [], self.places("]")
        if not self.text.startswith("_", self.k):
            return raised, []
        self.k += 1
        if self.text[self.k] != "{":
            return raised, [self.place(self.match(r"\d|\\?\w+'*") if self.text[self.k] == "\\" else self.match(r"\w"))]
        end, depth = self.k, 0
        while depth or end == self.k:
            depth += {"{": 1, "}": -1}.get(self.text[end], 0)
            end += 1
        inside, start = self.text[self.k + 1 : end - 1], self.k
        alone = re.fullmatch(r"(?:(?:\\[a-z]+\s?|[A-Za-z0-9])'*)+", inside)
        if alone:
            self.k = end
            letters = re.findall(r"(?:\\[a-z]+|[A-Za-z0-9])'*", inside)
            if all(x in self.at or x.isdigit() for x in letters):
                return raised, [*map(self.place, letters)]
        self.k = start + 1
        return raised, self.places("}")

    def places(self, end: str) -> list[int]:
        found = []
        while True:
            start = self.k
            number = self.sum()
            value = -1 if math.isnan(number) else int(number)
            constant = re.fullmatch(r"\s*\d+", self.text[start : self.k])
            found.append(value - self.names.first if self.names.numbered and constant else value)
            if not self.take(","):
                self.need(end[0])
                return found

    def place(self, letter: str) -> int:
        if letter.isdigit():
            return int(letter) - (self.names.first if self.names.numbered else 0)
        return self.at[letter]

    # -- Σ and its kin ---------------------------------------------------------
    def over(self, kind: str) -> float:
        bound: list[tuple[str, int]] = []
        self.need("_")
        if not self.latex:
            inside = self.match(r"\{[^}]*\}").strip("{}") or self.match(r"\w['′]*(⁽\d+⁾)?")
            bound = [(i, self.names.sizes[f"size of {i}"]) for i in inside.split(",")]
        elif kind in ("sum", "prod"):
            while True:
                self.need("{")
                name = self.match(r"[^=]+(?==)")
                self.need("=")
                low = int(self.sum())
                self.need("}")
                self.need("^")
                self.need("{")
                bound.append((name, int(self.sum()) + 1 - low))
                self.need("}")
                if not self.take(rf"\{kind}"):
                    break
                self.need("_")
        else:
            inside = self.match(r"\{(?:[^{}]|\{[^}]*\})*\}")[1:-1]
            bound = [(i, self.names.sizes[f"size of {i}"]) for i in inside.split(", ")]
        start, values = self.k, []
        before = {i: self.at.get(i) for i, _ in bound}
        for at in itertools.product(*(range(n) for _, n in bound)):
            self.k = start
            self.at.update(zip((i for i, _ in bound), at))
            values.append(self.product())
        for i, v in before.items():
            self.at.pop(i)
            if v is not None:
                self.at[i] = v
        return {
            "sum": lambda: float(np.sum(values)), "prod": lambda: float(np.prod(values)), "max": lambda: max(values),
            "min": lambda: min(values), "argmax": lambda: float(np.argmax(values)), "argmin": lambda: float(np.argmin(values)),
        }[kind]()  # fmt: skip


def numbers(p: Program, sizes: dict[str, int], seed: int = 0) -> dict[str, Any]:
    """Inputs of a Program: small integers, so that brackets of them turn out both ways."""
    rng = np.random.default_rng(seed)
    out: dict[str, Any] = {}
    for a in p.arguments:
        shape = tuple(q.at(sizes) for q in a.dims)
        if a.kind == "int":
            out[a.name] = rng.integers(0, a.below.at(sizes) if a.below is not None else 3, shape)
        else:
            out[a.name] = (
                rng.choice([-1.5, -1, -0.5, 0.5, 1, 1.5], shape)
                if a.kind == "float"
                else rng.integers(0, 2, shape).astype(bool)
            )
    return out


def times(a: float, b: float) -> float:
    """A factor that is 0 selects, whatever the other is."""
    return 0.0 if a == 0 or b == 0 else a * b


def divided(a: float, b: float) -> float:
    return 0.0 if a == 0 else a / b if b else math.nan


def computed(name: str, args: list[float]) -> float:
    try:
        return float(expression(name, args))
    except (TypeError, ZeroDivisionError, OverflowError):  # under a bracket that is 0
        return math.nan


def raised(a: float, b: float) -> float:
    try:
        return float(a**b)
    except (ZeroDivisionError, TypeError, OverflowError):
        return math.nan
