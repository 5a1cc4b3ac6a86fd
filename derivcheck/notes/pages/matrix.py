"""A derivation in matrices; what has no matrix form keeps its indices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from derivcheck.notation.integers.polynomials import Index
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.nodes import Term
from derivcheck.notes.abridged.abridge import Shown
from derivcheck.notes.abridged.parts import Portion
from derivcheck.notes.matrices.symbols import MatrixText
from derivcheck.notes.matrices.terms import MatrixTerms
from derivcheck.notes.pages.formulas import further
from derivcheck.notes.pages.style import Style
from derivcheck.notes.symbols.batch import batch_letters
from derivcheck.notes.symbols.symbols import Symbols
from derivcheck.notes.writing.pieces import pieces
from derivcheck.notes.writing.steps import Formula, Passage, first_number, without_upstream
from derivcheck.notes.writing.writer import TermWriter


def matrix_blocks(ink: type[TermWriter], table: Symbols, page: Shown, style: Style) -> list[Passage]:
    """Forward and gradients in matrices; lines without a matrix form in indices, marked so."""
    words, forward, adjoint = style.words, page.forward, page.adjoint
    first = first_number(forward, adjoint)
    m = Matrices(ink(table, first), table, batch_letters(forward))
    ahead, back = [], []
    for d in forward.definitions:
        ahead += m.formulas(d, [d.term], page.parts(d), words)
    for d in page.gradients:
        one = without_upstream(d.term, table)
        put_in = further(d, one, page, table)
        back += m.formulas(d, [one] if put_in is None else [one, put_in], page.parts(d), words)
    said = [words["indexforms"]] if any(f.note == words["indexform"] for f in (*ahead, *back)) else []
    if said and not first:
        said.append(words["zero"])
    texts = " ".join(f.line() for f in (*ahead, *back))
    if r"\mathbf{1}" in texts:
        said.append(words["ones"])
    if r"\mathbf{I}" in texts:
        said.append(words["identity"])
    if r"\odot" in texts or "circ" in texts:
        said.append(words["hadamard"])
    said += table.of_upstream(words["upstream"], lambda name: m.w.formula.format(m.symbol(name)))
    return [Passage(words["forward"], tuple(ahead)), Passage(words["gradients"], tuple(back), tuple(said))]


class Matrices(MatrixTerms):
    """Writes definitions in matrices."""

    def formulas(self, d: Definition, terms: list[Term], parts: Iterable[Portion], words: Mapping[str, str]) -> list[Formula]:
        """The definition in matrices, or in indices with a note, part by part where it has parts."""
        whole = self.formula(d, terms)
        if whole is not None:
            return [replace(whole, note=words["stop"] if d.stop else "")]
        found = []
        for p in parts:
            rights = dict.fromkeys(tuple(self.w.addends(p.of(t))) for t in terms)
            found.append(Formula(self.w.place(d.name, p.at), tuple(rights), words["indexform"], self.w.where(p.told)))
        return found

    def formula(self, d: Definition, terms: list[Term]) -> Formula | None:
        """The definition in matrices; None where the first of the terms has no such form."""
        for row, column, left in self._every_frame(d):
            found = [self.matrix(t, row, column) for t in terms]
            if found[0] is not None:
                return Formula(left, tuple(dict.fromkeys(pieces(f.text) for f in found if f is not None)))
        return None

    def _every_frame(self, d: Definition) -> Iterator[tuple[Index | None, Index | None, str]]:
        """The frames of a definition, as a whole where it is no larger than a matrix, then for each of its batch."""
        lead = self._lead(d.indices)
        for ahead in dict.fromkeys(((), lead) if len(d.indices) < 3 else (lead,)):
            self.fixed = frozenset(ahead)
            yield from self._frames(d, ahead)

    def _lead(self, indices: tuple[Index, ...]) -> tuple[Index, ...]:
        """The batch indices in front."""
        count = 0
        while count < len(indices) and indices[count].name in self.batch:
            count += 1
        return indices[:count]

    def _frames(self, d: Definition, lead: tuple[Index, ...]) -> list[tuple[Index | None, Index | None, str]]:
        """What a definition may be as a matrix: its row index, its column index and what stands on the left."""
        name = self.symbol(d.name, lead)
        own = d.indices[len(lead) :]
        if not own:
            return [(None, None, name)]
        if len(own) == 2:
            return [(own[0], own[1], name)]
        if len(own) != 1:
            return []
        i = own[0]
        across = name + r"^{\top}" if r"\frac" not in name else rf"\left({name}\right)^{{\top}}"
        column, row = self._any(d.term, i, None), self._any(d.term, None, i)
        frames: list[tuple[Index | None, Index | None, str]] = [(i, None, name), (None, i, across)]
        if column is not None and row is not None and row.text.count(r"\top") < column.text.count(r"\top"):
            frames.reverse()
        return frames

    def _any(self, t: Term, row: Index | None, column: Index | None) -> MatrixText | None:
        return self.matrix(without_upstream(t, self.table), row, column)
