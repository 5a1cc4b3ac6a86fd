"""A derivation as Markdown, its formulas in LaTeX between dollars."""

from __future__ import annotations

from derivcheck.notation.program.program import Program
from derivcheck.notes.pages.document import blocks
from derivcheck.notes.pages.rows import formula_rows
from derivcheck.notes.pages.style import Style
from derivcheck.notes.writing.ink import Latex


def to_markdown(forward: Program, adjoint: Program, style: Style | None = None, source: str = "") -> str:
    """The derivation as Markdown; ``source`` is torch code to show after it.

    >>> from derivcheck.derivation.sweep import adjoint
    >>> from derivcheck.notation.text.parse import parse_program
    >>> f = parse_program("y[n] := x[n]^2")
    >>> print(to_markdown(f, adjoint(f)).splitlines()[2])
    ## Forward
    """
    style = style or Style()
    words = style.words
    lines = [f"# {words['title']}"]
    for b in blocks(Latex, forward, adjoint, style):
        lines += ["", f"## {b.title}"]
        for f in b.formulas:
            rows = " \\\\\n".join(formula_rows(f))
            lines += ["", "$$", "\\begin{aligned}", rows, "\\end{aligned}", "$$"]
        for s in b.sentences:
            lines += ["", s]
    for heading, items in ((words["conditions"], forward.conditions), (words["certificate"], forward.notes)):
        if items:
            lines += ["", f"## {heading}", "", *(f"- {i}" for i in items)]
    if source:
        lines += ["", f"## {words['code']}", "", "```python", source.rstrip(), "```"]
    return "\n".join(lines) + "\n"
