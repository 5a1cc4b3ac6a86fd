"""A derivation as one HTML page, or as a piece of one: formulas in MathML, which browsers draw without a network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment
from latex2mathml.converter import convert
from markupsafe import Markup, escape

from derivcheck.notation.program.program import Program
from derivcheck.notes.pages.document import blocks
from derivcheck.notes.pages.latex import aligned
from derivcheck.notes.pages.rows import formula_rows
from derivcheck.notes.pages.style import Style
from derivcheck.notes.writing.ink import Latex
from derivcheck.notes.writing.steps import Formula, Passage

_WORD = re.compile(r"\\math(?:it|rm)\{([^{}]*)\}")


def to_html(forward: Program, adjoint: Program, style: Style | None = None, source: str = "", name: str = "") -> str:
    """The derivation as an HTML page that loads nothing; ``source`` is torch code to show after it, ``name`` what is derived.

    >>> from derivcheck.derivation.sweep import adjoint
    >>> from derivcheck.notation.text.parse import parse_program
    >>> f = parse_program("y[n] := x[n]^2")
    >>> "<math" in to_html(f, adjoint(f))
    True
    """
    style = style or Style()
    words = style.words
    parts = blocks(Latex, forward, adjoint, style)
    shown = [
        {"id": f"part-{k}", "title": b.title, "html": _formulas(b), "latex": aligned(b.formulas)}
        for k, b in enumerate(parts, start=1)
    ]
    lists = [("conditions", words["conditions"], forward.conditions), ("certificate", words["certificate"], forward.notes)]
    contents = [(b["id"], b["title"]) for b in shown] + [(id, heading) for id, heading, items in lists if items]
    page: str = _template().render(
        lang=style.lang,
        title=words["titled"].format(name=name) if name else words["title"],
        words=words,
        contents=contents + ([("code", words["code"])] if source else []),
        formulas_style=_formulas_style(),
        blocks=shown,
        lists=lists,
        source=source.rstrip(),
    )
    return page + "\n"


def to_html_piece(forward: Program, adjoint: Program, style: Style | None = None) -> str:
    """The formulas and their sentences alone, for a notebook: the style sheet in it reaches nothing else on the page."""
    parts = blocks(Latex, forward, adjoint, style)
    inner = Markup("\n").join(Markup("<h4>{}</h4>\n{}").format(b.title, _formulas(b)) for b in parts)
    return f'<div class="derivcheck-notes"><style>{_formulas_style()}</style>\n{inner}\n</div>\n'


def mathml(latex: str, tall: bool = False) -> str:
    """LaTeX as MathML; ``tall``: fractions and sums as large as in a displayed formula.

    The bold 1 is a letter of its own: browsers ignore ``mathvariant`` on a number.  A word is one text: letter by letter,
    ``ab`` would look as the product of a and b.
    """
    latex = _WORD.sub(
        lambda m: rf"\text{{{m[1].replace(chr(92), '')}}}", latex.replace(r"\mathbf{1}", "𝟏").replace(r"\mathbf{I}", "𝐈")
    )
    found: str = convert(latex, display="block" if tall else "inline")  # sums are under- and overset in "block" alone
    return found.replace('display="block"', 'display="inline" displaystyle="true"', 1)


def _formulas(block: Passage) -> Markup:
    """The rows of a block in two columns, so that the equals signs of a page stand below each other; sentences after them."""
    return Markup("\n").join([cell for f in block.formulas for cell in _cells(f)] + [_sentence(s) for s in block.sentences])


def _cells(f: Formula) -> Iterator[Markup]:
    rows = formula_rows(f)
    for k, row in enumerate(rows):
        left, _, right = row.partition("&")
        last = " last" if k == len(rows) - 1 else ""
        if left.strip():
            yield Markup('<div class="left">{}</div>').format(Markup(mathml(left, tall=True)))
        yield Markup('<div class="right{}">{}</div>').format(last, Markup(mathml(right, tall=True)))


def _sentence(text: str) -> Markup:
    """A sentence with its formulas between dollars drawn; everything else is escaped."""
    parts = text.split("$")
    inner = Markup("").join(Markup(mathml(p)) if k % 2 else escape(p) for k, p in enumerate(parts))
    return Markup('<p class="note">{}</p>').format(inner)


@lru_cache(maxsize=1)
def _formulas_style() -> Markup:
    return Markup((files("derivcheck.notes.pages") / "formulas.css").read_text(encoding="utf-8").rstrip())


@lru_cache(maxsize=1)
def _template() -> Any:
    text = (files("derivcheck.notes.pages") / "page.html.jinja").read_text(encoding="utf-8")
    return Environment(autoescape=True).from_string(text)
