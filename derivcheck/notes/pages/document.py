"""What the notes say, in blocks: the same for LaTeX, Markdown, HTML and the terminal."""

from __future__ import annotations

from collections.abc import Callable

from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Bracket, Term
from derivcheck.notation.terms.walk import subterms
from derivcheck.notes.abridged.abridge import Shown
from derivcheck.notes.pages.elements import element_blocks
from derivcheck.notes.pages.formulas import gradient_formula
from derivcheck.notes.pages.matrix import matrix_blocks
from derivcheck.notes.pages.style import Style
from derivcheck.notes.symbols.symbols import Symbols, symbols
from derivcheck.notes.writing.steps import Formula, Passage, first_number, without_upstream
from derivcheck.notes.writing.writer import TermWriter


def blocks(ink: type[TermWriter], forward: Program, adjoint: Program, style: Style | None = None) -> list[Passage]:
    """The derivation in blocks.

    Raises:
        InputError: a size or a name of the style that is not there.
    """
    style = style or Style()
    page = style.shown(forward, adjoint)
    return _BLOCKS[style.style](ink, symbols(page.forward, page.adjoint, style.style), page, style)


def index_blocks(ink: type[TermWriter], table: Symbols, page: Shown, style: Style) -> list[Passage]:
    """Forward and gradients in indices, for every size."""
    words, forward, adjoint = style.words, page.forward, page.adjoint
    first = first_number(forward, adjoint)
    w = ink(table, first)
    ahead: list[Formula] = []
    terms: list[Term] = []
    for d in forward.definitions:
        for part in page.parts(d):
            terms.append(part.of(d.term))
            left, right = w.place(d.name, part.at), tuple(w.addends(terms[-1]))
            ahead.append(Formula(left, (right,), words["stop"] if d.stop else "", w.where(part.told)))
    back = []
    for d in page.gradients:
        for part in page.parts(d):
            terms.append(part.of(without_upstream(d.term, table)))
            back.append(gradient_formula(d, w, page, part))
    said = table.of_upstream(words["upstream"], lambda name: w.formula.format(w.place(name, ())))
    if any(isinstance(t, Bracket) for term in terms for t in subterms(term)):
        said.append(words["bracket"])
    if any(mark in f.line() for f in (*ahead, *back) for mark in ("‖", r"\lVert")):
        said.append(words["norm"].format(norm=w.formula.format(w.norm.format("x"))))
    if not first:
        said.append(words["zero"])
    return [Passage(words["forward"], tuple(ahead)), Passage(words["gradients"], tuple(back), tuple(said))]


_BLOCKS: dict[str, Callable[[type[TermWriter], Symbols, Shown, Style], list[Passage]]] = {
    "index": index_blocks,
    "matrix": matrix_blocks,
    "scalar": element_blocks,
}
