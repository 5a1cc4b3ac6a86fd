"""A derivation as one HTML page: formulas in MathML, which browsers draw without a network."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment
from latex2mathml.converter import convert
from markupsafe import Markup, escape

from derivcheck.notation.program.program import Program
from derivcheck.notes.pages.document import blocks
from derivcheck.notes.pages.latex import formula_rows
from derivcheck.notes.pages.style import Style
from derivcheck.notes.writing.ink import Latex

_WORD = re.compile(r"\\math(?:it|rm)\{([^{}]*)\}")


def to_html(forward: Program, adjoint: Program, style: Style | None = None, source: str = "") -> str:
    """The derivation as an HTML page; ``source`` is torch code to show after it.

    >>> from derivcheck.derivation.sweep import adjoint
    >>> from derivcheck.notation.text.parse import parse_program
    >>> f = parse_program("y[n] := x[n]^2")
    >>> "<math" in to_html(f, adjoint(f))
    True
    """
    style = style or Style()
    words = style.words
    shown = []
    for b in blocks(Latex, forward, adjoint, style):
        formulas = [Markup(mathml("\\begin{align*}" + " \\\\ ".join(formula_rows(f)) + "\\end{align*}")) for f in b.formulas]
        shown.append({"title": b.title, "formulas": formulas, "sentences": [_sentence(s) for s in b.sentences]})
    lists = ((words["conditions"], forward.conditions), (words["certificate"], forward.notes))
    page: str = _template().render(
        lang=style.lang, title=words["title"], blocks=shown, lists=lists, code=words["code"], source=source.rstrip()
    )
    return page + "\n"


def mathml(latex: str, display: str = "block") -> str:
    """LaTeX as MathML.

    The bold 1 is a letter of its own: browsers ignore ``mathvariant`` on a number.  A word is one text: letter by letter,
    ``ab`` would look as the product of a and b.
    """
    latex = _WORD.sub(lambda m: rf"\text{{{m[1].replace(chr(92), '')}}}", latex.replace(r"\mathbf{1}", "𝟏"))
    found: str = convert(latex, display=display)
    return found


def _sentence(text: str) -> Any:
    """A sentence with its formulas between dollars drawn; everything else is escaped."""
    parts = text.split("$")
    return Markup("").join(Markup(mathml(p, "inline")) if k % 2 else escape(p) for k, p in enumerate(parts))


@lru_cache(maxsize=1)
def _template() -> Any:
    text = (files("derivcheck.notes.pages") / "page.html.jinja").read_text(encoding="utf-8")
    return Environment(autoescape=True).from_string(text)
