"""Normal forms as text, for explanations and conditions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.proof.atoms import Atom, Expression, Monomial, Rational

_LETTERS = "ijklmnopqrstuvw"
_PLACES = re.compile(r"\[[^\[\]]*(\[[^\[\]]*\][^\[\]]*)*\]|(?<=\()\w+(, \w+)*: ")
OWN = ("#", "~")  # the names of indices that rewriting makes


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
    parts = sorted((monomial_text(m, c) for m, c in u.items()), key=lambda t: (not t[0].isalpha(), t))
    kept = parts[:limit]
    while len(kept) > 1 and sum(map(len, kept)) > width:
        kept.pop()
    text = " + ".join(p if len(p) <= 2 * width else f"{p[: 2 * width]}…" for p in kept)
    text = text.replace("+ -1*", "- ").replace("+ -", "- ")
    return text if len(parts) == len(kept) else f"{text} + … ({len(parts)} terms)"


def kink_text(u: Expression, same: Expression, indices: Iterable[Index]) -> tuple[str, str]:
    """A kink that is left out, in words, what it is up to names of indices: what must not be 0, and where it may.

    >>> from derivcheck.notation.text.parse import Scope, parse_input, parse_term
    >>> from derivcheck.notation.integers.polynomials import Index, size
    >>> from derivcheck.proof.normal import of_term
    >>> from derivcheck.proof.space import Space
    >>> space, N = Space(), size("N")
    >>> scope = Scope({"x": parse_input("x", "N")}, (Index("i", N), Index("j", N)))
    >>> sides = (of_term(space, parse_term(t, scope)) for t in ("x[j] - x[i]", "[i == j]"))
    >>> kink_text(*sides, scope.indices)
    ('x[i] - x[j] ≠ 0 unless i = j (a kink)', 'x[@0] - x[@1] ≠ 0 unless @0 = @1 (a kink)')
    """
    unless = " or ".join(sorted(_equations(m) for m in same))
    ends = f"≠ 0{' unless ' if unless else ''}{unless} (a kink)"
    told = (f"{expression_text(v)} {ends}" for v in (u, {m: -c for m, c in u.items()}))
    both = [(text, up_to_names(text, indices)) for text in told]
    return min(both, key=lambda t: (t[0][0] == "-", t[0].count("-1*"), len(t[0]), t[1]))


def without_places(u: Expression) -> str:
    """What an expression is up to its sign and to where its elements stand.

    >>> from derivcheck.notation.text.parse import Scope, parse_input, parse_term
    >>> from derivcheck.notation.integers.polynomials import Index, size
    >>> from derivcheck.proof.normal import of_term
    >>> from derivcheck.proof.space import Space
    >>> space, N = Space(), size("N")
    >>> scope = Scope({"x": parse_input("x", "N")}, (Index("i", N), Index("j", N)))
    >>> [without_places(of_term(space, parse_term(t, scope))) for t in ("x[j] - x[i]", "x[N-1-i] - x[0]", "x[i] - 1")]
    ['-1*x + 1*x', '-1*x + 1*x', '-1*1 + 1*x']
    """

    def factors(m: Monomial) -> str:
        return "*".join(sorted(f"{_PLACES.sub('', atom_text(a))}^{e}".removesuffix("^1") for a, e in m)) or "1"

    plain = [(c, factors(m)) for m, c in u.items()]
    return min(" + ".join(sorted(f"{s * c}*{t}" for c, t in plain)) for s in (1, -1))


def up_to_names(text: str, indices: Iterable[Index]) -> str:
    """A text in which the free indices are numbered as they come: one for all that say the same."""
    keys = "|".join(sorted((re.escape(i.key) for i in indices), key=len, reverse=True))
    seen: dict[str, str] = {}
    return re.sub(rf"\b({keys})\b", lambda m: seen.setdefault(m[0], f"@{len(seen)}"), text) if keys else text


def named(indices: Iterable[Index]) -> dict[Index, Index]:
    """Letters for the indices that rewriting made, each like the size that it runs over."""
    every = sorted(indices, key=lambda i: i.key)
    taken = {i.key for i in every}
    found: dict[Index, Index] = {}
    for i in every:
        if i.name in OWN:
            own = min(i.size.sizes(), default="n")[0].lower()
            letter = next(x for x in (own, *"nmpqrstuv", *(f"{own}{k}" for k in range(1, 99))) if x not in taken)
            taken.add(letter)
            found[i] = Index(letter, i.size)
    return found


def _equations(m: Monomial) -> str:
    return " and ".join(sorted(_equation(a.data[0]) if a.kind == "equal" else f"{atom_text(a)} = 1" for a, _ in m))


def _equation(p: Poly) -> str:
    """``p = 0`` with what is taken away on the other side."""
    left, right = (Poly((m, s * c) for m, c in p.terms if s * c > 0) for s in (1, -1))
    return f"{left} = {right}"
