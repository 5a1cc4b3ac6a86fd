"""A derivation in LaTeX: in indices, in matrices, or element by element."""

from __future__ import annotations

from collections.abc import Iterable

from derivcheck.errors import InputError
from derivcheck.notation.program.program import Program
from derivcheck.notes.abridged.abridge import shown
from derivcheck.notes.pages.document import blocks
from derivcheck.notes.pages.formulas import gradient_formula
from derivcheck.notes.pages.rows import formula_rows
from derivcheck.notes.pages.style import Style
from derivcheck.notes.symbols.symbols import symbols
from derivcheck.notes.writing.ink import Latex
from derivcheck.notes.writing.steps import Formula, Passage, first_number


def to_latex(forward: Program, adjoint: Program, style: Style | None = None, full: bool = False) -> str:
    """The derivation in LaTeX.

    Args:
        forward: a Program.
        adjoint: its gradient.
        style: how it is shown; default in indices and English.
        full: a document that compiles (with xelatex in ``zh``, or where a name is not ASCII), instead of one ``align*``.

    Raises:
        InputError: a size or a name of the style that is not there.

    >>> from derivcheck.derivation.sweep import adjoint
    >>> from derivcheck.notation.text.parse import parse_program
    >>> f = parse_program("y[n] := sum(k: A[n,k]*x[k])")
    >>> print(to_latex(f, adjoint(f, ["x"]), Style("matrix")))
    \\begin{align*}
    &\\text{Forward} \\\\
    y &= A x \\\\
    &\\text{Gradients by the chain rule} \\\\
    \\frac{\\partial \\mathcal{L}}{\\partial x} &= A^{\\top} \\bar{y}
    \\end{align*}
    """
    style = style or Style()
    parts = blocks(Latex, forward, adjoint, style)
    if full:
        return document(parts, style)
    rows: list[str] = []
    for b in parts:
        rows.append(rf"&\text{{{_words(b.title)}}}")
        for f in b.formulas:
            rows.extend(formula_rows(f))
    return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"


def aligned(formulas: Iterable[Formula]) -> str:
    """Formulas as one ``align*``, their equals signs below each other."""
    rows = [row for f in formulas for row in formula_rows(f)]
    return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"


def document(parts: list[Passage], style: Style) -> str:
    """A whole LaTeX document of the blocks."""
    lines = [
        r"\setlength{\parindent}{0pt}",
        r"\allowdisplaybreaks",
        r"\begin{document}",
        rf"\section*{{{_words(style.words['title'])}}}",
    ]
    for b in parts:
        lines += [rf"\subsection*{{{_words(b.title)}}}", aligned(b.formulas)]
        lines += [_words(s) + "\n" for s in b.sentences]
    body = "\n".join([*lines, r"\end{document}"]) + "\n"
    head = [r"\documentclass{article}", r"\usepackage{amsmath,amssymb}", r"\usepackage[margin=2.5cm]{geometry}"]
    if not body.isascii():
        head.append(r"\usepackage[fontset=fandol]{ctex}")
    return "\n".join([*head, body])


def _words(text: str) -> str:
    """A sentence with formulas in dollars; signs outside them in LaTeX's spelling."""
    parts = text.split("$")
    for k in range(0, len(parts), 2):
        for sign in "_&%#":
            parts[k] = parts[k].replace(sign, f"\\{sign}")
        parts[k] = parts[k].replace("⊙", r"$\odot$")
    return "$".join(parts)


def gradient_latex(forward: Program, adjoint: Program, name: str) -> str:
    """The line of the derivation that gives the gradient in ``name``, ``∂L/∂W_{jk} = …``.

    Raises:
        InputError: ``name`` is nothing that the gradient is taken in.
    """
    page = shown(forward, adjoint)
    table = symbols(page.forward, page.adjoint)
    w = Latex(table, first_number(page.forward, page.adjoint))
    for d in page.gradients:
        if table.adjoint_of.get(d.name) == name:
            return gradient_formula(d, w, page).line()
    known = [n for n in table.adjoint_of.values() if n in forward.inputs]
    raise InputError(f"there is no gradient in {name!r}; gradients are {', '.join(sorted(known))}")
