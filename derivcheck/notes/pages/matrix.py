"""Index sums read as matrix algebra: ``Σ_n g[n,j]·x[n,k]`` is ``GᵀX``; what has no matrix form keeps its indices.

A term over a row index and a column index (either may be missing) is a matrix: its factors are placed by the
indices that they read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from derivcheck.derivation.cholesky import half_of_diagonal
from derivcheck.notation.integers.polynomials import Index, as_poly
from derivcheck.notation.integers.relations import FLIPPED
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.build import ONE, ZERO, add, mul, neg
from derivcheck.notation.terms.nodes import MATRICES, Add, Bracket, Func, Mul, Number, Over, Pow, Ref, Term, is_negative
from derivcheck.notation.terms.walk import factors, refs, subterms
from derivcheck.notes.abridged.abridge import Shown
from derivcheck.notes.pages.formulas import further
from derivcheck.notes.pages.style import Style
from derivcheck.notes.symbols.batch import batch_letters
from derivcheck.notes.symbols.symbols import Symbols
from derivcheck.notes.writing.extremes import chosen, with_positive_parts, with_sizes
from derivcheck.notes.writing.matrices import upper_or_lower
from derivcheck.notes.writing.pieces import pieces
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
    first = first_number(forward, adjoint)
    m = Matrices(ink(table, first), table, batch_letters(forward))
    ahead = [m.formula(d, [d.term], words) for d in forward.definitions]
    back = []
    for d in page.gradients:
        one = without_upstream(d.term, table)
        put_in = further(d, one, page, table)
        back.append(m.formula(d, [one] if put_in is None else [one, put_in], words))
    said = [words["indexforms"]] if any(f.note == words["indexform"] for f in (*ahead, *back)) else []
    if said and not first:
        said.append(words["zero"])
    texts = " ".join(f.line() for f in (*ahead, *back))
    if r"\mathbf{1}" in texts:
        said.append(words["ones"])
    if r"\odot" in texts or "circ" in texts:
        said.append(words["hadamard"])
    said += table.of_upstream(words["upstream"], lambda name: m.w.formula.format(m.symbol(name)))
    return [Passage(words["forward"], tuple(ahead)), Passage(words["gradients"], tuple(back), tuple(said))]


class Matrices:
    """Writes terms as matrices.

    Args:
        batch: the letters of indices that stay: ``S_b = Q_b K_b^T`` holds for every b.
    """

    def __init__(self, w: TermWriter, table: Symbols, batch: frozenset[str] = frozenset()) -> None:
        self.w, self.table, self.batch = w, table, batch
        self.fixed: frozenset[Index] = frozenset()  # the batch indices that the line holds for, or sums over

    def free(self, t: Term) -> frozenset[Index]:
        """The indices of a term that are rows or columns."""
        return t.free - self.fixed

    def symbol(self, name: str, at: Iterable[Index] = ()) -> str:
        """A tensor, a derivative or an upstream gradient, with its batch indices alone."""
        if name in self.table.adjoint_of:
            inner = self.symbol(self.table.adjoint_of[name], at)
            return rf"\frac{{\partial {self.table.loss.latex()}}}{{\partial {inner}}}"
        return self.w.placed(self.table[name].latex(), [self.w.index(i) for i in at], [])

    def formula(self, d: Definition, terms: list[Term], words: Mapping[str, str]) -> Formula:
        """The definition in matrices, or in indices with a note."""
        for row, column, left in self._every_frame(d):
            found = [self.matrix(t, row, column) for t in terms]
            if found[0] is not None:
                rights: list[tuple[str, ...]] = []
                for f in found:
                    if f is not None and pieces(f.text) not in rights:
                        rights.append(pieces(f.text))
                return Formula(left, tuple(rights), words["stop"] if d.stop else "")
        texts = tuple(tuple(self.w.addends(t)) for t in terms)
        return Formula(self.w.head(d), texts, words["indexform"])

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

    def _any(self, t: Term, row: Index | None, column: Index | None) -> _Text | None:
        return self.matrix(without_upstream(t, self.table), row, column)

    # -- a term as a matrix ---------------------------------------------------------------
    def matrix(self, t: Term, row: Index | None, column: Index | None) -> _Text | None:
        """The matrix of a term over ``row`` and ``column``; None where it has no such form."""
        if not self.free(t) <= {i for i in (row, column) if i is not None}:
            return None
        whole = chosen(t)
        if whole is not None:
            t = whole
        if isinstance(t, Add):
            found = self._sum(t, row, column)
            turned = self._sum(t, column, row) if row is not None and column is not None else None
            if found is not None and turned is not None and turned.text.count(r"\top") < found.text.count(r"\top"):
                return _Text(rf"\left({turned.text}\right)^{{\top}}", _POSTFIX)
            return found
        if t is ZERO:
            return _Text("0")
        scalars, rest = self._split(t)
        closed = [f for f in rest if not self.free(f)] if row is not None or column is not None else []
        if len(closed) == len(rest):
            inner = self._constant(row, column)
            if inner is None:
                return self._scalar(t)
        else:
            inner = self._factors([f for f in rest if f not in closed], row, column)
        return None if inner is None else self._scaled(scalars, self._with_numbers(closed, inner))

    def _with_numbers(self, closed: list[Term], body: _Text) -> _Text:
        """A matrix with sums that are numbers in front."""
        if not closed:
            return body
        found = [self.matrix(f, None, None) or _Text(self.w.term(f), _TERM) for f in closed]
        front = [f.text if f.level >= _POSTFIX else rf"\left({f.text}\right)" for f in found]
        return _Text(" ".join([*front, self._in(body)]), _FACTOR)

    def _sum(self, t: Add, row: Index | None, column: Index | None) -> _Text | None:
        """A sum, where every addend is a matrix of that form."""
        out = ""
        for a in with_sizes(t.args):
            found = self.matrix(a, row, column)
            if found is None:
                return None
            text = found.text
            out += text if not out else f" - {text[1:].lstrip()}" if text.startswith("-") else f" + {text}"
        return _Text(out, _TERM)

    def _split(self, t: Term) -> tuple[list[Term], list[Term]]:
        """The factors without indices, and those with."""
        args = with_positive_parts(t.args) if isinstance(t, Mul) else (t,)
        scalars = [a for a in args if not self.free(a) and not any(isinstance(x, Over) for x in subterms(a))]
        return scalars, [a for a in args if a not in scalars]

    def _scalar(self, t: Term) -> _Text | None:
        return _Text(self.w.term(t, PRODUCT), _FACTOR) if not self.free(t) else None

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
        inner = body.text if body.level > _TERM or body.text.startswith(r"\sum") else rf"\left({body.text}\right)"
        if scale is Number(-1):
            return _Text(f"-{inner}", _TERM)
        text = self.w.term(scale, SUM if is_negative(scale) else PRODUCT)
        return _Text(f"{text} {inner}", _TERM if text.startswith("-") else _FACTOR)

    def _factors(self, args: list[Term], row: Index | None, column: Index | None) -> _Text | None:
        """A product of factors with indices, elementwise."""
        if len(args) == 1:
            return self._one(args[0], row, column)
        if row is not None and column is not None and (masked := self._masked(args, row, column)) is not None:
            return masked
        rows = [f for f in args if row is not None and self.free(f) == {row}]
        columns = [f for f in args if column is not None and self.free(f) == {column}]
        both = [f for f in args if f not in rows and f not in columns]
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
        return self._elementwise(args, row, column)

    def _masked(self, args: list[Term], row: Index, column: Index) -> _Text | None:
        """One triangle of a matrix, or Φ of it: that with half of the diagonal."""
        for f in args:
            name = upper_or_lower(f, row, column)
            if name == "tril" and any(isinstance(a, Ref) and a.name in self.table.lower for a in args):
                return self._factors([a for a in args if a is not f], row, column)
            name = rf"\operatorname{{{name}}}" if name else r"\Phi" if f is half_of_diagonal(row, column) else ""
            inner = self._factors([a for a in args if a is not f], row, column) if name else None
            if inner is not None:
                return _Text(rf"{name}\left({inner.text}\right)", _WHOLE)
        return None

    def _elementwise(self, args: list[Term], row: Index | None, column: Index | None) -> _Text | None:
        found = [self._one(f, row, column) for f in args]
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
        if isinstance(t, Over) and t.kind in MATRICES:
            return self._made_of_matrix(t, row, column)
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
            return _Text(f"{base}^{{{exponent}}}" if not self.free(t) else rf"{base}^{{\circ {exponent}}}", _POSTFIX)
        if isinstance(t, Func) and t.name in ("max", "min", "abs", "sign"):
            return self._extreme(t, row, column)
        if isinstance(t, Func) and len(t.args) == 1:
            inner = self.matrix(t.args[0], row, column)
            if inner is None:
                return None
            above = rf"\circ {inner.text}" if t.name == "exp2" and self.free(t) else inner.text  # 2^X is no power of a matrix
            return _Text(self.w.function(t.name, [above])[0], _WHOLE)
        if isinstance(t, Bracket) and isinstance(t.operand, Add) and (sided := self._sided(t, t.operand, row, column)):
            return sided
        if isinstance(t, Bracket) and isinstance(t.operand, Term):
            inner = self.matrix(t.operand, row, column)
            return None if inner is None else _Text(self.w.bracketed(inner.text, t.relation, "0"), _WHOLE)
        return None if self.free(t) else self._scalar(t)

    def _sided(self, t: Bracket, operand: Add, row: Index | None, column: Index | None) -> _Text | None:
        """A condition with nothing negative on either side, a number on the right."""
        parts = with_sizes(operand.args)
        sides = [add(*(a for a in parts if not is_negative(a))), add(*(neg(a) for a in parts if is_negative(a)))]
        if ZERO in sides or all(isinstance(x, Number) for x in sides):
            return None
        relation = t.relation
        if isinstance(sides[0], Number):
            sides, relation = sides[::-1], FLIPPED[relation]
        left = self.matrix(sides[0], row, column)
        right = _Text(self.w.term(sides[1])) if isinstance(sides[1], Number) else self.matrix(sides[1], row, column)
        return None if left is None or right is None else _Text(self.w.bracketed(left.text, relation, right.text), _WHOLE)

    def _extreme(self, t: Func, row: Index | None, column: Index | None) -> _Text | None:
        """A maximum, a minimum or an absolute value, elementwise; a number in it stands for itself."""
        found = [_Text(self.w.term(a)) if isinstance(a, Number) else self.matrix(a, row, column) for a in t.args]
        texts = [f.text for f in found if f is not None]
        if len(texts) < len(found):
            return None
        if t.name == "abs":
            return _Text(self.w.magnitude.format(texts[0]), _WHOLE)
        return _Text(self.w.extreme(t.name, texts) if t.name != "sign" else self.w.function(t.name, texts)[0], _WHOLE)

    def _reference(self, t: Ref, row: Index | None, column: Index | None) -> _Text | None:
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
                return _Text(name)
            return _Text(turned(), _POSTFIX) if at == (column, row) else None
        if len(at) == 1:
            ones = column if at == (row,) else row
            if at == (row,):
                return _Text(name) if ones is None else _Text(rf"{name} \mathbf{{1}}^{{\top}}", _FACTOR)
            if at == (column,):
                return _Text(turned(), _POSTFIX) if ones is None else _Text(rf"\mathbf{{1}} {turned()}", _FACTOR)
        return _Text(name) if not at else None

    def _made_of_matrix(self, t: Over, row: Index | None, column: Index | None) -> _Text | None:
        """An inverse or a factor, as it is or turned; a determinant."""
        at = tuple(p.index for p in t.at)
        if at not in ((), (row, column), (column, row)) or None in at:
            return None
        inner = self.matrix(t.body, *t.indices)
        if inner is None:
            return None
        turned = r"^{\top}" if at and at != (row, column) else ""
        if t.kind != "inv":
            return _Text(self.w.matrices[t.kind].format(inner.text) + turned, _POSTFIX if turned else _WHOLE)
        if inner.text.endswith(r"^{\top}") and inner.level == _POSTFIX:  # (Aᵀ)⁻¹
            inner, turned = _Text(inner.text.removesuffix(r"^{\top}")), "" if turned else r"^{\top}"
        base = inner.text if inner.level == _WHOLE and "^" not in inner.text else rf"\left({inner.text}\right)"
        return _Text(f"{base}^{{-{turned[2:-1]}}}" if turned else f"{base}^{{-1}}", _POSTFIX)

    def _contraction(self, t: Over, row: Index | None, column: Index | None) -> _Text | None:
        """``Σ`` as a product of matrices, a sum of rows or columns, or a norm."""
        if t.kind != "sum" or any(i.size.indices for i in t.indices):
            return None
        over = self._lead_of(t)
        if over:
            return self._batch_sum(t, over, row, column)
        if len(t.indices) == 2 and (found := self._double(t, row, column)) is not None:
            return found
        if len(t.indices) > 1:
            return self._nested(t, row, column)
        k = t.indices[0]
        parts = factors(t.body)
        left = [f for f in parts if row is not None and row in f.free]
        right = [f for f in parts if column is not None and column in f.free]
        if any(f in right for f in left):
            return None
        middle = [f for f in parts if f not in left and f not in right]
        if middle:  # factors of the bound index alone go with the side that is empty, else scale the left side
            if row is None and column is None and not left and not right:
                right, middle = middle, []
            elif row is None and not left:
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

    def _lead_of(self, t: Over) -> tuple[Index, ...]:
        """The batch indices that are summed over: in front of every tensor that has them."""
        return tuple(
            i
            for i in t.indices
            if i.name in self.batch and all(r.at.index(as_poly(i)) == 0 for r in refs(t.body) if as_poly(i) in r.at)
        )

    def _batch_sum(self, t: Over, over: tuple[Index, ...], row: Index | None, column: Index | None) -> _Text | None:
        """``Σ_b`` of what is a matrix for each b."""
        before, self.fixed = self.fixed, self.fixed | frozenset(over)
        rest = tuple(i for i in t.indices if i not in over)
        inner = self.matrix(Over("sum", rest, t.body) if rest else t.body, row, column)
        self.fixed = before
        if inner is None:
            return None
        return _Text(f"{self.w.sum_over([self.w.index(i) for i in over])} {self._in(inner)}", _TERM)

    def _nested(self, t: Over, row: Index | None, column: Index | None) -> _Text | None:
        """A sum over several indices as products of products: ``Σ_{j,s} Y[n,j]·B[j,s]·A[s,k]`` is ``(Y B) A``."""
        parts = factors(t.body)
        for j in t.indices:
            group = [f for f in parts if j in f.free]
            rest = [f for f in parts if j not in f.free]
            if not rest or len(self.free(mul(*group)) - {j}) > 2:
                continue
            inner = Over("sum", (j,), mul(*group))
            found = self.matrix(Over("sum", tuple(i for i in t.indices if i is not j), Mul((*rest, inner))), row, column)
            if found is not None:
                return found
        return None

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
