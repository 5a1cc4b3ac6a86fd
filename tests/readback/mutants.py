"""Printed text with a token dropped, by what is dropped."""

from __future__ import annotations

import re
from collections.abc import Iterator

KINDS: dict[str, dict[str, str]] = {
    "latex": {
        "sign": r"(?<=[=({\[ ])-(?=[\\\w(])|(?<= )- ",
        "plus": r"\+ ",
        "parenthesis": r"\\left\(|\\right\)",
        "bracket": r"\\left\[|\\right\]",
        "prime": r"'",
        "accent": r"\\(?:bar|hat)(?=\{)",
        "exponent": r"\^(?:\{(?!\()(?:[^{}]|\{[^{}]*\})*\}|\d)",
        "bound": r"(?<=\\sum)_\{[^{}]*\}\^\{(?:[^{}]|\{[^{}]*\})*\}|(?<=\\prod)_\{[^{}]*\}\^\{(?:[^{}]|\{[^{}]*\})*\}",
        "transpose": r"\^\{\\top\}",
    },
    "unicode": {
        "sign": r"(?<=[=(\[ ])-(?=[\w(∂Σ])|(?<= )- ",
        "plus": r"\+ ",
        "parenthesis": r"\((?!enc)|\)",
        "bracket": r"\[|\]",
        "prime": r"′",
        "accent": r"\u0304|\u0302",
        "exponent": r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+(?![⁾])",
        "bound": r"_\{[^{}]*\}",
    },
    "text": {
        "sign": r"(?<=[=(\[ ])-(?=[\w(\[])|(?<= )- ",
        "plus": r"\+ ",
        "parenthesis": r"\(|\)",
        "bracket": r"\[|\]",
        "exponent": r"\^(?:\([^()]*\)|\w+)",
        "bound": r"(?<=\()[\w, ]+:",
    },
}


def mutants(text: str, ink: str) -> Iterator[tuple[str, str]]:
    """Each kind of token with the text without one of it."""
    start = text.index("=") + 1 if "=" in text else 0
    for kind, pattern in KINDS[ink].items():
        for found in re.compile(pattern).finditer(text, start):
            yield kind, text[: found.start()] + text[found.end() :]
