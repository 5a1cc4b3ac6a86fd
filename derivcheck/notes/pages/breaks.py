"""Where LaTeX that is wider than a page breaks: within a long bracket, before ⊙, between factors, at last within a condition.

What a quotient or a root holds together is never cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

MOST = 80.0  # letters that fit into a row
_WIDE = {r"\quad": 2.0, r"\qquad": 4.0}
_SMALL = 0.7  # of a letter in an index or an exponent
_WORD = re.compile(r"\\[A-Za-z]+|\\.|.", re.S)
_PLAIN = frozenset(
    r"\left \right \mathcal \mathrm \mathit \mathbf \operatorname \text \hat \bar \bigl \bigr \Bigl \Bigr \, { } ^ _".split()
)
_NAMES = frozenset(r"\exp \log \sin \cos \tan \sinh \cosh \tanh \arcsin \arccos \arctan \max \min \det \gcd \bmod".split())
_OPERATORS = frozenset(r"+ - = < > \ge \le \neq \odot \cdot".split())
_BRACKET = re.compile(r"\\(?:left|right|[bB]ig[lr])\\?\S|\\(?:max|min)\(|\\[{}]|[{}()]")
_OPENS = {"(": ")", "[": "]", "|": "|"}
_CUT = re.compile(r"\\[bB]ig[lr]")
_WITHIN = (r" [+-] ", r" \\odot ", r" (?:[=<>]|\\(?:ge|le|neq)) ", r"(?<!\\), ")  # from what holds most loosely in a condition
#: What no row breaks beside: a sign, a spacing; and what no row breaks after: a comma, what a sum runs over.
_BESIDE = re.compile(r"[-+=<>]|\\(?:cdot|odot|ge|le|neq|bmod|mapsto|,)")
_BEFORE = re.compile(r".*(?:,|\\,|\\(?:sum|prod|max|min)(?:[_^](?:\w|\\\w+)?)*|\\operatorname_?)$", re.S)
_BRACES = re.compile(r"\{[^{}]*\}")


def width(text: str) -> float:
    r"""About how many letters wide LaTeX is drawn: of a quotient the wider half, of a sum's bounds the wider.

    >>> width(r"\frac{a b}{c}"), width(r"\sum_{n=1}^{N} x_n")
    (2.0, 4.78)
    """
    return _width(_WORD.findall(text), 0)[0]


def _width(words: list[str], k: int) -> tuple[float, int]:
    """The width up to the brace that closes, and the word after that."""
    total, bounds = 0.0, 0.0  # bounds: how wide those are that stand below and above a sum
    while k < len(words) and words[k] != "}":
        word = words[k]
        k += 1
        if word == "{":
            inner, k = _width(words, k)
            total += inner
            k += 1
        elif word == r"\frac":
            above, k = _width(words, k + 1)
            below, k = _width(words, k + 2)
            total += max(above, below)
            k += 1
        elif word in "_^":
            small, k = _argument(words, k)
            extra = max(small * _SMALL, bounds) - bounds if bounds else small * _SMALL
            total += extra
            bounds += extra if bounds else 0.0
            continue
        elif word in (r"\sum", r"\prod"):
            total, bounds = total + 2, 2.0
            continue
        elif not word.isspace() and word not in _PLAIN:
            total += len(word) - 1 if word in _NAMES else 2.4 if word in _OPERATORS else _WIDE.get(word, 1)
        bounds = 0.0
    return total, k


def _argument(words: list[str], k: int) -> tuple[float, int]:
    """The width of an index or an exponent, and the word after it."""
    if words[k : k + 1] == ["{"]:
        found, k = _width(words, k + 1)
        return found, k + 1
    return 1.0, k + 1


class _Group(NamedTuple):
    """What stands between brackets: where they open, the inside starts and ends, and they are closed."""

    opening: int
    start: int
    end: int
    closing: int


def broken(text: str, lead: str = "") -> list[str]:
    r"""An addend, after what stands to its left, in pieces that may stand on rows of their own; one where it fits.

    The brackets that are cut are ``\bigl(`` and ``\bigr)``, or larger ones around quotients and sums; a row that goes on with
    a factor starts with ``\cdot``.
    """
    room = MOST - width(lead)
    if width(text) <= room:
        return [text]
    groups = list(_groups(text))
    sums = [g for g in groups if text[g.start - 1] == "("]
    for cut in (
        *(_within(text, g, _WITHIN[:1]) for g in sums if width(text[g.start : g.end]) > width(text) / 2),
        _parts(text, _WITHIN[1]),
        _factors(text, room),
        *(_within(text, g, _WITHIN[:1]) for g in sums),
        *(_within(text, g, _WITHIN[k:]) for k in (0, 1) for g in groups),
    ):
        if len(cut) > 1:
            first, *others = _filled(cut, room)
            return [*broken(first, lead), *(c for p in others for c in broken(p, r"\qquad"))]
    opened = _without_quotient(text)
    return broken(opened, lead) if opened != text else [text]


def _without_quotient(text: str) -> str:
    r"""The text with its last quotient of a long product as ``\frac{1}{b} a``."""
    whole = list(_brackets(text))
    for (a, b), (c, d) in reversed(list(zip(whole, whole[1:]))):
        above, below, after = text[a.end() : b.start()], text[c.start() : d.end()], text[d.end() :]
        if text[: a.start()].endswith(r"\frac") and b.end() == c.start() and width(above) > 2 * width(below):
            if len(_parts(above, r" [+-] ")) > 1 or r"\sum" in above and after:
                above = rf"\left({above}\right)"
            return rf"{text[: a.start()]}{{1}}{below} {above}{after}"
    return text


def _filled(parts: list[str], room: float) -> list[str]:
    """Neighbours as one where they fit: no more is cut than has to be."""
    out = parts[:1]
    for p in parts[1:]:
        if width(out[-1]) + width(p) <= (room if len(out) == 1 else MOST - _WIDE[r"\qquad"]):
            out[-1] += f" {p}"
        else:
            out.append(p)
    return out


def _within(text: str, group: _Group, operators: tuple[str, ...]) -> list[str]:
    """The text cut within a bracket, before the loosest of these operators that stands there."""
    inside = next((p for o in operators if len(p := _parts(text[group.start : group.end], o)) > 1), [])
    if not inside:
        return []
    opening, closing = text[group.opening : group.start], text[group.end : group.closing]
    if opening.startswith(r"\left"):
        size = r"\Big" if re.search(r"\\(frac|sum|prod)", text[group.start : group.end]) else r"\big"
        opening, closing = opening.replace(r"\left", f"{size}l"), closing.replace(r"\right", f"{size}r")
    inside[0] = text[: group.opening] + opening + inside[0]
    inside[-1] += closing + text[group.closing :]
    return inside


def _brackets(text: str) -> Iterator[tuple[re.Match[str], re.Match[str]]]:
    """The outermost brackets of any kind; those that are cut already are none."""
    depth, begun = 0, None
    for found in _BRACKET.finditer(text):
        word = found.group()
        if _CUT.match(word):
            continue
        closes = word.startswith(r"\right") or word in ("}", r"\}", ")")
        depth -= closes
        if not depth:
            if closes and begun is not None:
                yield begun, found
            begun = found
        depth += not closes


def _groups(text: str) -> list[_Group]:
    """The outermost brackets that may be cut, the widest first."""
    found = [
        _Group(a.start(), a.end(), b.start(), b.end())
        for a, b in _brackets(text)
        if a.group() not in ("(", "{", r"\{") and a.group()[-1] in _OPENS
    ]
    return sorted(found, key=lambda g: -width(text[g.start : g.end]))


def _free(text: str, pattern: str) -> list[re.Match[str]]:
    """Where a pattern stands outside of all brackets."""
    inside = [(a.start(), b.end()) for a, b in _brackets(text)]
    return [m for m in re.finditer(pattern, text) if not any(a <= m.start() < b for a, b in inside)]


def _parts(text: str, operator: str) -> list[str]:
    """A text cut before an operator, or after commas."""
    ends = [m.start() + (m.group() == ", ") for m in _free(text, operator)]
    return [text[a:b].strip() for a, b in zip([0, *ends], [*ends, len(text)])]


def _factors(text: str, room: float) -> list[str]:
    """A product cut between two factors, the first row as full as can be."""
    ends = [m.start() for m in _free(text, " ")]
    words = [text[a:b].strip() for a, b in zip([0, *ends], [*ends, len(text)])]
    best = 0
    for left, right, end in zip(words, words[1:], ends):
        beside = _BESIDE.match(left) or _BESIDE.match(right) or _BEFORE.match(_without_braces(left))
        if not beside and room / 4 < width(text[:end]) <= room:
            best = end
    return [text[:best], rf"\cdot {text[best:].strip()}"] if best else []


def _without_braces(text: str) -> str:
    """The text without what stands in braces."""
    while (rest := _BRACES.sub("", text)) != text:
        text = rest
    return text
