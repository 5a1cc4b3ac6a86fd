"""Normal forms as text, for explanations and conditions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from derivcheck.notation.sizes import Index
from derivcheck.proof.atoms import Atom, Expression, Monomial, Rational

_LETTERS = "ijklmnopqrstuvw"


def _rename(text: str, bound: tuple[Index, ...]) -> str:
    for j in bound:
        k = j.serial % 1000
        level = j.serial // 1000
        letter = _LETTERS[k % len(_LETTERS)] + ("" if level <= 1 else "'" * (level - 1))
        text = text.replace(j.key, letter)
    return text


def _bound(bound: tuple[Index, ...]) -> str:
    return _rename(", ".join(j.key for j in bound), bound)


def atom_text(a: Atom) -> str:
    """An atom as index text, near enough to read."""
    kind, data = a.kind, a.data
    if kind == "element":
        return f"{data[0]}[{', '.join(map(str, data[1]))}]" if data[1] else str(data[0])
    if kind == "whole":
        return str(data[0])
    if kind == "equal":
        return f"[{data[0]} == 0]"
    if kind == "least":
        return f"[{data[0]} >= 0]"
    if kind == "above":
        return f"[{expression_text(dict(data[0]))} > 0]"
    if kind == "root":
        return str(data[0])
    if kind == "exp":
        return f"exp({monomial_text(data[0], 1)})"
    if kind == "base":
        return f"({expression_text(dict(data[0]))})"
    if kind == "apply":
        return f"{data[0]}({', '.join(expression_text(dict(e)) for e in data[1])})" if data[1] else str(data[0])
    if kind == "sigma":
        return f"sum({_bound(data[0])}: {_rename(monomial_text(data[1], 1), data[0])})"
    if kind == "over":
        return f"{data[0]}({_bound(data[1])}: {_rename(expression_text(dict(data[2])), data[1])})"
    return kind


def monomial_text(m: Monomial, c: Rational) -> str:
    """A monomial with its coefficient."""
    parts: list[Any] = []
    for a, e in m:
        text = atom_text(a)
        if e != 1:
            text += f"^{e}" if isinstance(e, int) and e > 0 else f"^({e})"
        parts.append(text)
    parts.sort()
    if c != 1 or not parts:
        parts.insert(0, str(c) if isinstance(c, int) or Fraction(c).denominator == 1 else f"({c})")
    return "*".join(parts)


def expression_text(u: Expression, limit: int = 8, width: int = 160) -> str:
    """An expression; a long one is cut short."""
    if not u:
        return "0"
    parts = sorted(monomial_text(m, c) for m, c in u.items())
    kept = parts[:limit]
    while len(kept) > 1 and sum(map(len, kept)) > width:
        kept.pop()
    text = " + ".join(p if len(p) <= 2 * width else f"{p[: 2 * width]}…" for p in kept)
    text = text.replace("+ -1*", "- ").replace("+ -", "- ")
    return text if len(parts) == len(kept) else f"{text} + … ({len(parts)} terms)"
