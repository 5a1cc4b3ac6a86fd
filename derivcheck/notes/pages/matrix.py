"""Index sums read as matrix algebra: ``Σ_n g[n,j]·x[n,k]`` is ``GᵀX``; what has no matrix form keeps its indices.

A term over a row index and a column index (either may be missing) is a matrix: its factors are placed by the
indices that they read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from derivcheck.notation.integers.polynomials import Index
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.build import ONE, ZERO, mul
from derivcheck.notation.terms.nodes import Add, Bracket, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term, is_negative
from derivcheck.notes.abridged.abridge import Shown
from derivcheck.notes.pages.formulas import further
from derivcheck.notes.pages.style import Style
from derivcheck.notes.symbols.symbols import Symbols
from derivcheck.notes.writing.steps import Formula, Passage, first_number, without_upstream
from derivcheck.notes.writing.writer import PRODUCT, SUM, TermWriter

_TERM, _FACTOR, _POSTFIX, _WHOLE = range(4)  # sum or elementwise product, matrix product, transpose or power, symbol


@dataclass(frozen=True)
class _Text:
    text: str
    level: int = _WHOLE


def matrix_blocks(ink: type[TermWriter], table: Symbols, page: Shown, style: Style) -> list[Passage]:
    """Forward and gradients in matrices; lines without a matrix form in indices, marked so."""
    words, forward, adjoint = style.words, page.forward, page.adjoint
    m = Matrices(ink(table, first_number(forward, adjoint)), table)
    ahead = [m.formula(d, [d.term], words) for d in forward.definitions]
    back = []
    for d in page.gradients:
        one = without_upstream(d.term, table)
        put_in = further(d, one, page, table)
        back.append(m.formula(d, [one] if put_in is None else [one, put_in], words))
    said = [words["indexforms"]] if any(f.note == words["indexform"] for f in (*ahead, *back)) else []
    texts = " ".join(f.line() for f in (*ahead, *back))
    if r"\mathbf{1}" in texts:
        said.append(words["ones"])
    if r"\odot" in texts or "circ" in texts:
        said.append(words["hadamard"])
    said += table.of_upstream(words["upstream"], lambda name: m.w.formula.format(m.symbol(name)))
    return [Passage(words["forward"], tuple(ahead)), Passage(words["gradients"], tuple(back), tuple(said))]


class Matrices:
    """Writes terms as matrices."""

    def __init__(self, w: TermWriter, table: Symbols) -> None:
        self.w, self.table = w, table

    def symbol(self, name: str) -> str:
        """A tensor, a derivative or an upstream gradient without positions."""
        if name in self.table.adjoint_of:
            return rf"\frac{{\partial {self.table.loss.latex()}}}{{\partial {self.symbol(self.table.adjoint_of[name])}}}"
        return self.table[name].latex()

    def formula(self, d: Definition, terms: list[Term], words: Mapping[str, str]) -> Formula:
        """The definition in matrices, or in indices with a note."""
        for row, column, left in self._frames(d):
            found = [self.matrix(t, row, column) for t in terms]
            if found[0] is not None:
                rights: list[tuple[str, ...]] = []
                for f in found:
                    if f is not None and (f.text,) not in rights:
                        rights.append((f.text,))
                return Formula(left, tuple(rights), words["stop"] if d.stop else "")
        texts = tuple(tuple(self.w.addends(t)) for t in terms)
        return Formula(self.w.head(d), texts, words["indexform"])

    def _frames(self, d: Definition) -> list[tuple[Index | None, Index | None, str]]:
        """What a definition may be as a matrix: its row index, its column index and what stands on the left."""
        name = self.symbol(d.name)
        if not d.indices:
            return [(None, None, name)]
        if len(d.indices) == 2:
            return [(d.indices[0], d.indices[1], name)]
        if len(d.indices) != 1:
            return []
        i = d.indices[0]
        across = name + r"^{\top}" if r"\frac" not in name else rf"\left({name}\right)^{{\top}}"
        column, row = self._any(d.term, i, None), self._any(d.term, None, i)
        frames: list[tuple[Index | None, Index | None, str]] = [(i, None, name), (None, i, across)]
        if column is not None and row is not None and row.text.count(r"\top") < column.text.count(r"\top"):
            frames.reverse()
        return frames

    def _any(self, t: Term, row: Index | None, column: Index | None) -> _Text | None:
        return self.matrix(without_upstream(t, self.table), row, column)

    # -- a term as a matrix ---------------------------------------------------------------
    def matrix(self, t: Term, row: Index | None, column: Index | None) -> _Text | None:
        """The matrix of a term over ``row`` and ``column``; None where it has no such form."""
        if not t.free <= {i for i in (row, column) if i is not None}:
            return None
        if isinstance(t, Add):
            found = self._sum(t, row, column)
            turned = self._sum(t, column, row) if row is not None and column is not None else None
            if found is not None and turned is not None and turned.text.count(r"\top") < found.text.count(r"\top"):
                return _Text(rf"\left({turned.text}\right)^{{\top}}", _POSTFIX)
            return found
        if t is ZERO:
            return _Text("0")
        scalars, rest = self._split(t)
        if not rest:
            inner = self._constant(row, column)
            return self._scaled(scalars, inner) if inner is not None else self._scalar(t)
        body = self._factors(rest, row, column)
        if body is None:
            return None
        return self._scaled(scalars, body)

    def _sum(self, t: Add, row: Index | None, column: Index | None) -> _Text | None:
        """A sum, where every addend is a matrix of that form."""
        out = ""
        for a in t.args:
            found = self.matrix(a, row, column)
            if found is None:
                return None
            text = found.text
            out += text if not out else f" - {text[1:].lstrip()}" if text.startswith("-") else f" + {text}"
        return _Text(out, _TERM)

    def _split(self, t: Term) -> tuple[list[Term], list[Term]]:
        """The factors without indices, and those with."""
        args = t.args if isinstance(t, Mul) else (t,)
        scalars: list[Term] = []
        for a in args:
            plain = (
                isinstance(a, (Number, SizeOf, Ref))
                or isinstance(a, (Pow, Func))
                and not any(isinstance(x, Over) for x in a.children)
            )
            if plain and not a.free:
                scalars.append(a)
        return scalars, [a for a in args if a not in scalars]

    def _scalar(self, t: Term) -> _Text | None:
        return _Text(self.w.term(t, PRODUCT), _FACTOR) if not t.free else None

    def _constant(self, row: Index | None, column: Index | None) -> _Text | None:
        if row is None and column is None:
            return None
        text = (r"\mathbf{1}" if row is not None else "") + (r" \mathbf{1}^{\top}" if column is not None else "")
        return _Text(text.strip(), _FACTOR)

    def _scaled(self, scalars: list[Term], body: _Text) -> _Text:
        """A matrix with numbers in front."""
        scale = mul(*scalars)
        if scale is ONE:
            return body
        inner = body.text if body.level > _TERM else rf"\left({body.text}\right)"
        if scale is Number(-1):
            return _Text(f"-{inner}", _TERM)
        text = self.w.term(scale, SUM if is_negative(scale) else PRODUCT)
        return _Text(f"{text} {inner}", _TERM if text.startswith("-") else _FACTOR)

    def _factors(self, factors: list[Term], row: Index | None, column: Index | None) -> _Text | None:
        """A product of factors with indices, elementwise."""
        if len(factors) == 1:
            return self._one(factors[0], row, column)
        rows = [f for f in factors if row is not None and f.free == {row}]
        columns = [f for f in factors if column is not None and f.free == {column}]
        both = [f for f in factors if f not in rows and f not in columns]
        if row is not None and column is not None:
            if not both:  # an outer product
                left, right = self._elementwise(rows, row, None), self._elementwise(columns, None, column)
                return None if left is None or right is None else _Text(f"{self._in(left)} {self._in(right)}", _FACTOR)
            middle = self._elementwise(both, row, column)
            if middle is None or not rows and not columns:
                return middle
            text = self._in(middle)
            for group, scale_rows in ((rows, True), (columns, False)):
                if group:
                    diagonal = self._elementwise(group, row if scale_rows else column, None)
                    if diagonal is None:
                        return None
                    spelled = rf"\operatorname{{diag}}\left({diagonal.text}\right)"
                    text = f"{spelled} {text}" if scale_rows else f"{text} {spelled}"
            return _Text(text, _FACTOR)
        return self._elementwise(factors, row, column)

    def _elementwise(self, factors: list[Term], row: Index | None, column: Index | None) -> _Text | None:
        found = [self._one(f, row, column) for f in factors]
        if not found or any(f is None for f in found):
            return None
        if len(found) == 1:
            return found[0]
        tight = [f.text if f.level >= _POSTFIX else rf"\left({f.text}\right)" for f in found if f is not None]
        return _Text(r" \odot ".join(tight), _TERM)

    def _in(self, t: _Text) -> str:
        return t.text if t.level > _TERM else rf"\left({t.text}\right)"

    def _one(self, t: Term, row: Index | None, column: Index | None) -> _Text | None:
        """One factor as a matrix of rows and columns."""
        if isinstance(t, Ref):
            return self._reference(t, row, column)
        if isinstance(t, Over):
            return self._contraction(t, row, column)
        if isinstance(t, (Add, Mul)):
            return self.matrix(t, row, column)
        if isinstance(t, Pow) and isinstance(t.exponent, Number):
            inner = self.matrix(t.base, row, column)
            if inner is None:
                return None
            base = inner.text if inner.level == _WHOLE and "^" not in inner.text else rf"\left({inner.text}\right)"
            exponent = self.w.term(t.exponent)
            return _Text(f"{base}^{{{exponent}}}" if not t.free else rf"{base}^{{\circ {exponent}}}", _POSTFIX)
        if isinstance(t, Func) and len(t.args) == 1:
            inner = self.matrix(t.args[0], row, column)
            return None if inner is None else _Text(self.w.function(t.name, [inner.text])[0], _WHOLE)
        if isinstance(t, Bracket) and isinstance(t.operand, Term):
            inner = self.matrix(t.operand, row, column)
            return None if inner is None else _Text(self.w.bracketed(inner.text, t.relation, "0"), _WHOLE)
        return None if t.free else self._scalar(t)

    def _reference(self, t: Ref, row: Index | None, column: Index | None) -> _Text | None:
        """A tensor as it is, or turned."""
        at = tuple(p.index for p in t.at)
        if any(i is None for i in at) or len(set(at)) != len(at):
            return None
        name = self.symbol(t.name)
        fraction = r"\frac" in name

        def turned() -> str:
            return (rf"\left({name}\right)" if fraction or "^" in name else name) + r"^{\top}"

        if len(at) == 2 and row is not None and column is not None:
            if at == (row, column):
                return _Text(name)
            return _Text(turned(), _POSTFIX) if at == (column, row) else None
        if len(at) == 1:
            ones = column if at == (row,) else row
            if at == (row,):
                return _Text(name) if ones is None else _Text(rf"{name} \mathbf{{1}}^{{\top}}", _FACTOR)
            if at == (column,):
                return _Text(turned(), _POSTFIX) if ones is None else _Text(rf"\mathbf{{1}} {turned()}", _FACTOR)
        return _Text(name) if not at else None

    def _contraction(self, t: Over, row: Index | None, column: Index | None) -> _Text | None:
        """``Σ`` as a product of matrices, a sum of rows or columns, or a norm."""
        if t.kind != "sum" or any(i.size.indices for i in t.indices):
            return None
        if len(t.indices) == 2:
            return self._double(t, row, column)
        if len(t.indices) != 1:
            return None
        k = t.indices[0]
        factors = list(t.body.args) if isinstance(t.body, Mul) else [t.body]
        left = [f for f in factors if row is not None and row in f.free]
        right = [f for f in factors if column is not None and column in f.free]
        if any(f in right for f in left):
            return None
        middle = [f for f in factors if f not in left and f not in right]
        if middle:  # factors of the bound index alone go with the side that is empty, else scale the left side
            if row is None and not left:
                left, middle = middle, []
            elif column is None and not right:
                right, middle = middle, []
        a = self._side([*left, *middle], row, k) if left or middle else None
        b = self._side(right, k, column) if right else None
        if (left or middle) and a is None or right and b is None:
            return None
        first = self._in(a) if a is not None else r"\mathbf{1}^{\top}"
        second = self._in(b) if b is not None else r"\mathbf{1}"
        if a is None and row is not None:
            first = r"\mathbf{1} \mathbf{1}^{\top}"
        if b is None and column is not None:
            second = r"\mathbf{1} \mathbf{1}^{\top}"
        return _Text(f"{first} {second}", _FACTOR)

    def _side(self, factors: list[Term], row: Index | None, column: Index | None) -> _Text | None:
        return self.matrix(mul(*factors), row, column)

    def _double(self, t: Over, row: Index | None, column: Index | None) -> _Text | None:
        """A sum over both indices: a norm, an inner product, or ones on both sides."""
        if row is not None or column is not None:
            return None
        body = t.body
        for r, c in (t.indices, t.indices[::-1]):
            if isinstance(body, Pow) and isinstance(body.exponent, Number) and body.exponent.value == 2:
                inner = self.matrix(body.base, r, c)
                if inner is not None:
                    return _Text(rf"\left\lVert {inner.text} \right\rVert_F^2", _WHOLE)
            if isinstance(body, Mul) and len(body.args) == 2 and not isinstance(body.args[0], Number):
                a, b = (self.matrix(x, r, c) for x in body.args)
                if a is not None and b is not None:
                    return _Text(rf"\left\langle {a.text}, {b.text} \right\rangle_F", _WHOLE)
            whole = self.matrix(body, r, c)
            if whole is not None:
                return _Text(rf"\mathbf{{1}}^{{\top}} {self._in(whole)} \mathbf{{1}}", _FACTOR)
        return None
