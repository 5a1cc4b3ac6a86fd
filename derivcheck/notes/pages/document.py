"""What the notes say, in blocks: the same for LaTeX, Markdown, HTML and the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from derivcheck.errors import InputError
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Bracket
from derivcheck.notation.terms.walk import subterms
from derivcheck.notes.pages.captions import captions
from derivcheck.notes.pages.elements import element_blocks
from derivcheck.notes.pages.matrix import matrix_blocks
from derivcheck.notes.symbols.symbols import symbols
from derivcheck.notes.writing.steps import Formula, first_number, gradient_definitions, without_upstream
from derivcheck.notes.writing.writer import Writer

STYLES = ("index", "matrix", "scalar")


@dataclass(frozen=True)
class Block:
    """A heading, formulas below it, and sentences after them."""

    title: str
    formulas: tuple[Formula, ...]
    sentences: tuple[str, ...] = ()


def blocks(
    ink: type[Writer],
    forward: Program,
    adjoint: Program,
    style: str = "index",
    lang: str = "en",
    sizes: Mapping[str, int] | None = None,
) -> list[Block]:
    """The derivation in blocks.

    Raises:
        InputError: an unknown style, language or size.
    """
    words = captions(lang)
    if style not in STYLES:
        raise InputError(f"style is {style!r}; expected one of {', '.join(STYLES)}")
    known = set(forward.sizes()) | set(adjoint.sizes())
    for name, value in (sizes or {}).items():
        if name not in known:
            raise InputError(f"sizes names {name!r}; the sizes are {', '.join(forward.sizes()) or 'none'}")
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"sizes: {name} is {value!r}; expected a whole number of at least 1")
    table = symbols(forward, adjoint, style)
    if style == "scalar":
        return [Block(*b) for b in element_blocks(ink, table, forward, adjoint, words, dict(sizes or {}))]
    if style == "matrix":
        return [Block(*b) for b in matrix_blocks(ink, table, forward, adjoint, words)]
    first = first_number(forward, adjoint)
    w = ink(table, first)
    ahead = [Formula(w.head(d), (tuple(w.addends(d.term)),), words["stop"] if d.stop else "") for d in forward.definitions]
    back = [Formula.of(d, w, forward, adjoint) for d in gradient_definitions(forward, adjoint)]
    said = []
    if not table.scalar:
        for up, name in table.upstream_of.items():
            said.append(words["upstream"].format(bar=w.math(w.place(up, ())), name=w.math(w.place(name, ()))))
    if any(
        isinstance(t, Bracket)
        for p in (forward, adjoint)
        for d in p.definitions
        for t in subterms(without_upstream(d.term, table))
    ):
        said.append(words["bracket"])
    if not first:
        said.append(words["zero"])
    return [Block(words["forward"], tuple(ahead)), Block(words["gradients"], tuple(back), tuple(said))]
