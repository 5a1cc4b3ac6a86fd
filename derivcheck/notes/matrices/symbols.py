"""Tensors as matrices, as they are or turned; what is made of a whole matrix."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from derivcheck.notation.integers.polynomials import Index
from derivcheck.notation.terms.nodes import Over, Ref, Term
from derivcheck.notes.symbols.symbols import Symbols
from derivcheck.notes.writing.writer import TermWriter

TERM, FACTOR, POSTFIX, WHOLE = range(4)  # sum or elementwise product, matrix product, transpose or power, symbol


@dataclass(frozen=True)
class MatrixText:
    """A matrix as text, and how tightly that binds."""

    text: str
    level: int = WHOLE


class MatrixSymbols:
    """Writes tensors as matrices.

    Args:
        batch: the letters of indices that stay: ``S_b = Q_b K_b^T`` holds for every b.
    """

    def __init__(self, w: TermWriter, table: Symbols, batch: frozenset[str] = frozenset()) -> None:
        self.w, self.table, self.batch = w, table, batch
        self.fixed: frozenset[Index] = frozenset()  # the batch indices that the line holds for, or sums over

    def matrix(self, t: Term, row: Index | None, column: Index | None) -> MatrixText | None:
        """The matrix of a term over ``row`` and ``column``; None where it has no such form."""
        raise NotImplementedError

    def free(self, t: Term) -> frozenset[Index]:
        """The indices of a term that are rows or columns."""
        return t.free - self.fixed

    def symbol(self, name: str, at: Iterable[Index] = ()) -> str:
        """A tensor, a derivative or an upstream gradient, with its batch indices alone."""
        if name in self.table.adjoint_of:
            inner = self.symbol(self.table.adjoint_of[name], at)
            return rf"\frac{{\partial {self.table.loss.latex()}}}{{\partial {inner}}}"
        return self.w.placed(self.table[name].latex(), [self.w.index(i) for i in at], [])

    def _in(self, t: MatrixText) -> str:
        return t.text if t.level > TERM else rf"\left({t.text}\right)"

    def _reference(self, t: Ref, row: Index | None, column: Index | None) -> MatrixText | None:
        """A tensor as it is, or turned."""
        places = tuple(p.index for p in t.at)
        found = tuple(i for i in places if i is not None)
        part = any(i.size is not p for i, p in zip(found, self.table.dims.get(t.name, ())))  # and not the whole tensor
        if part or len(found) < len(places) or len(set(places)) != len(places):
            return None
        lead = tuple(i for i in found if i in self.fixed)
        if found[: len(lead)] != lead:
            return None
        name, at = self.symbol(t.name, lead), found[len(lead) :]
        fraction = r"\frac" in name

        def turned() -> str:
            return (rf"\left({name}\right)" if fraction or "^" in name else name) + r"^{\top}"

        if len(at) == 2 and row is not None and column is not None:
            if at == (row, column):
                return MatrixText(name)
            return MatrixText(turned(), POSTFIX) if at == (column, row) else None
        if len(at) == 1:
            ones = column if at == (row,) else row
            if at == (row,):
                return MatrixText(name) if ones is None else MatrixText(rf"{name} \mathbf{{1}}^{{\top}}", FACTOR)
            if at == (column,):
                return MatrixText(turned(), POSTFIX) if ones is None else MatrixText(rf"\mathbf{{1}} {turned()}", FACTOR)
        return MatrixText(name) if not at else None

    def _made_of_matrix(self, t: Over, row: Index | None, column: Index | None) -> MatrixText | None:
        """An inverse or a factor, as it is or turned; a determinant."""
        at = tuple(p.index for p in t.at)
        if at not in ((), (row, column), (column, row)) or None in at:
            return None
        inner = self.matrix(t.body, *t.indices)
        if inner is None:
            return None
        turned = r"^{\top}" if at and at != (row, column) else ""
        if t.kind != "inv":
            return MatrixText(self.w.matrices[t.kind].format(inner.text) + turned, POSTFIX if turned else WHOLE)
        if inner.text.endswith(r"^{\top}") and inner.level == POSTFIX:  # (Aᵀ)⁻¹
            inner, turned = MatrixText(inner.text.removesuffix(r"^{\top}")), "" if turned else r"^{\top}"
        base = inner.text if inner.level == WHOLE and "^" not in inner.text else rf"\left({inner.text}\right)"
        return MatrixText(f"{base}^{{-{turned[2:-1]}}}" if turned else f"{base}^{{-1}}", POSTFIX)
