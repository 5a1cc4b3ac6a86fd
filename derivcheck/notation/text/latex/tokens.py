"""LaTeX as tokens: what is drawn, without what only spaces it or makes it larger."""

from __future__ import annotations

import re
from dataclasses import dataclass

from derivcheck.notation.text import limits
from derivcheck.notation.text.syntax import Span, complaint

_TOKEN = re.compile(
    r"(?P<blank>\s+|%[^\n]*|~)|(?P<exponential>\d+(?:\.\d*)?[eE][+-]?\d+(?![\w{]))|(?P<number>\d+(?:\.\d+)?|\.\d+)"
    r"|(?P<command>\\(?:[A-Za-z]+\*?|.))|(?P<letter>[^\W\d_])|(?P<sign>:=|.)",
    re.S,
)
#: Commands that draw nothing, or only make what follows larger.
_SPACES = frozenset(
    r"\, \; \: \! \  \> \quad \qquad \left \right \middle \displaystyle \textstyle \limits \nolimits".split(" ")
)
_SIZES = re.compile(r"\\(?:[bB]igg?[lrm]?|left|right|middle|displaystyle|textstyle|limits|nolimits|quad|qquad|nonumber|notag)$")
_SAME = {
    r"\leq": r"\le", r"\leqslant": r"\le", r"\geq": r"\ge", r"\geqslant": r"\ge", r"\neq": r"\ne", "≤": r"\le", "≥": r"\ge",
    "≠": r"\ne", r"\lt": "<", r"\gt": ">", r"\coloneqq": "=", ":=": "=", "−": "-", "·": r"\cdot", r"\lbrack": "[",
    r"\rbrack": "]", r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\vert": "|", r"\lvert": "|", r"\rvert": "|", r"\ln": r"\log",
    r"\prime": "'", r"\dots": r"\ldots", r"\cdots": r"\ldots", "…": r"\ldots", r"\ast": r"\cdot",
    r"\times": r"\cdot", "*": r"\cdot", r"\odot": r"\cdot", "⊙": r"\cdot",
    r"\operatorname*": r"\operatorname", r"\mod": r"\bmod",
    r"\lbrace": r"\{", r"\rbrace": r"\}", r"\circ": "∘", r"\intercal": r"\top", r"\Vert": r"\|", "‖": r"\|",
}  # fmt: skip
_ENVIRONMENTS = frozenset("equation align aligned alignat gather gathered split math displaymath eqnarray multline".split())


@dataclass(frozen=True, slots=True)
class LatexToken:
    """``kind`` is ``number``, ``letter``, ``command``, ``sign`` or ``end``; ``text`` in the spelling that the reader knows."""

    kind: str
    text: str
    span: Span


def tokens(text: str) -> list[LatexToken]:
    """The tokens of LaTeX, the last of kind ``end``.

    Raises:
        NotationError: a number in a notation that LaTeX does not have, or beyond the limits.

    >>> [t.text for t in tokens(r"\\left( y_n \\, x \\right)")]
    ['(', 'y', '_', 'n', 'x', ')', '']
    """
    if len(text) > limits.TEXT:
        raise limits.Beyond(f"LaTeX of {len(text)} characters; expected at most {limits.TEXT}")
    out: list[LatexToken] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        assert found is not None
        kind, word, span = str(found.lastgroup), found.group(), found.span()
        at = found.end()
        if kind == "exponential":
            lead, _, exponent = word.lower().partition("e")
            raise complaint(text, span, rf"found {word!r}, expected {lead} \cdot 10^{{{int(exponent)}}}, as LaTeX has it")
        if kind == "number" and (wrong := limits.literal(word)):
            raise complaint(text, span, wrong, limits.Beyond)
        if kind == "command" and word in (r"\begin", r"\end", r"\label", r"\tag"):
            kind, word, at = _environment(text, word, at, found.start())
        if kind == "blank" or kind == "command" and (word in _SPACES or _SIZES.match(word)) or word == "":
            continue
        word = _SAME.get(word, word)
        out.append(LatexToken(kind if word == found.group() else _kind(word), word, (span[0], at)))
    out.append(LatexToken("end", "", (len(text.rstrip()), len(text))))
    return out


def _kind(word: str) -> str:
    return "command" if word.startswith("\\") else "letter" if word.isalpha() else "sign"


def _environment(text: str, word: str, at: int, start: int) -> tuple[str, str, int]:
    r"""``\begin{cases}`` is a token; what only sets lines is none, nor is a label."""
    found = re.compile(r"\s*\{([^{}]*)\}(?:\s*\{\d+\})?").match(text, at)
    if found is None:
        raise complaint(text, (start, at), f"found {word} without a name in braces after it")
    name = found.group(1).strip().rstrip("*")
    if word in (r"\label", r"\tag") or name in _ENVIRONMENTS:
        return "blank", "", found.end()
    if name != "cases":
        raise complaint(
            text, (start, found.end()), f"found the environment {limits.shortened(name)!r}, expected align or cases"
        )
    return "command", rf"{word}{{cases}}", found.end()
