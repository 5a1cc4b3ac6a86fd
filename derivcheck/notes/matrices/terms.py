"""A term over a row index and a column index as a matrix."""

from __future__ import annotations

from derivcheck.derivation.cholesky import half_of_diagonal
from derivcheck.notation.integers.polynomials import Index, i_poly
from derivcheck.notation.integers.relations import FLIPPED
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import ONE, ZERO, add, mul, neg
from derivcheck.notation.terms.nodes import MATRICES, Add, Bracket, Func, Mul, Number, Over, Pow, Ref, Term, is_negative
from derivcheck.notation.terms.substitute import transform
from derivcheck.notation.terms.walk import bound_indices, subterms
from derivcheck.notes.matrices.sums import MatrixSums
from derivcheck.notes.matrices.symbols import FACTOR, POSTFIX, TERM, WHOLE, MatrixText
from derivcheck.notes.writing.drawing import PRODUCT, SUM
from derivcheck.notes.writing.extremes import chosen, with_positive_parts, with_sizes
from derivcheck.notes.writing.matrices import upper_or_lower


class MatrixTerms(MatrixSums):
    """Writes terms as matrices."""

    def matrix(self, t: Term, row: Index | None, column: Index | None) -> MatrixText | None:
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
                return MatrixText(rf"\left({turned.text}\right)^{{\top}}", POSTFIX)
            return found
        if t is ZERO:
            return MatrixText("0")
        scalars, rest = self._split(t)
        closed = [f for f in rest if not self.free(f)] if row is not None or column is not None else []
        if len(closed) == len(rest):
            inner = self._constant(row, column)
            if inner is None:
                return self._scalar(t)
        else:
            inner = self._factors([f for f in rest if f not in closed], row, column)
        return None if inner is None else self._scaled(scalars, self._with_numbers(closed, inner))

    def _with_numbers(self, closed: list[Term], body: MatrixText) -> MatrixText:
        """A matrix with sums that are numbers in front."""
        if not closed:
            return body
        found = [self.matrix(f, None, None) or MatrixText(self.w.term(f), TERM) for f in closed]
        front = [f.text if f.level >= POSTFIX else rf"\left({f.text}\right)" for f in found]
        return MatrixText(" ".join([*front, self._in(body)]), FACTOR)

    def _sum(self, t: Add, row: Index | None, column: Index | None) -> MatrixText | None:
        """A sum, where every addend is a matrix of that form."""
        out = ""
        for a in with_sizes(t.args):
            found = self.matrix(a, row, column)
            if found is None:
                return None
            text = found.text
            out += text if not out else f" - {text[1:].lstrip()}" if text.startswith("-") else f" + {text}"
        return MatrixText(out, TERM)

    def _split(self, t: Term) -> tuple[list[Term], list[Term]]:
        """The factors without indices, and those with."""
        args = with_positive_parts(t.args) if isinstance(t, Mul) else (t,)
        scalars = [a for a in args if not self.free(a) and not any(isinstance(x, Over) for x in subterms(a))]
        return scalars, [a for a in args if a not in scalars]

    def _scalar(self, t: Term) -> MatrixText | None:
        """A number."""
        if self.free(t):
            return None
        text = self.w.term(t, SUM if is_negative(t) else PRODUCT)
        return MatrixText(text, TERM if text.startswith("-") else FACTOR)

    def _constant(self, row: Index | None, column: Index | None) -> MatrixText | None:
        if row is None and column is None:
            return None
        text = (r"\mathbf{1}" if row is not None else "") + (r" \mathbf{1}^{\top}" if column is not None else "")
        return MatrixText(text.strip(), FACTOR)

    def _scaled(self, scalars: list[Term], body: MatrixText) -> MatrixText:
        """A matrix with numbers in front."""
        scale = mul(*scalars)
        if scale is ONE:
            return body
        inner = body.text if body.level > TERM or body.text.startswith(r"\sum") else rf"\left({body.text}\right)"
        if scale is Number(-1):
            return MatrixText(f"-{inner}", TERM)
        text = self.w.term(scale, SUM if is_negative(scale) else PRODUCT)
        return MatrixText(f"{text} {inner}", TERM if text.startswith("-") else FACTOR)

    def _factors(self, args: list[Term], row: Index | None, column: Index | None) -> MatrixText | None:
        """A product of factors with indices, elementwise."""
        if row is not None and column is not None and (diagonal := self._diagonal(args, row, column)) is not None:
            return diagonal
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
                return None if left is None or right is None else MatrixText(f"{self._in(left)} {self._in(right)}", FACTOR)
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
            return MatrixText(text, FACTOR)
        return self._elementwise(args, row, column)

    def _diagonal(self, args: list[Term], row: Index, column: Index) -> MatrixText | None:
        """The identity, or what stands on the diagonal of a matrix that is 0 elsewhere."""
        on = bracket("==", i_poly(row) - i_poly(column))
        rest = [a for a in args if a is not on]
        if len(rest) == len(args) or row.size is not column.size:
            return None
        if not rest:
            return MatrixText(r"\mathbf{I}")
        if all(self.free(a) <= {row} for a in rest):
            along = self._elementwise(rest, row, None)
            if along is not None:
                return MatrixText(rf"\operatorname{{diag}}\left({along.text}\right)", WHOLE)
        if any(not bound_indices(a).isdisjoint((row, column)) for a in rest):
            return None
        inner = self._elementwise([_off_diagonal(a, row, column) for a in rest], row, column)
        return None if inner is None else MatrixText(rf"\mathbf{{I}} \odot {self._in(inner)}", TERM)

    def _masked(self, args: list[Term], row: Index, column: Index) -> MatrixText | None:
        """One triangle of a matrix, or Φ of it: that with half of the diagonal."""
        for f in args:
            name = upper_or_lower(f, row, column)
            if name == "tril" and any(isinstance(a, Ref) and a.name in self.table.lower for a in args):
                return self._factors([a for a in args if a is not f], row, column)
            name = rf"\operatorname{{{name}}}" if name else r"\Phi" if f is half_of_diagonal(row, column) else ""
            inner = self._factors([a for a in args if a is not f], row, column) if name else None
            if inner is not None:
                return MatrixText(rf"{name}\left({inner.text}\right)", WHOLE)
        return None

    def _elementwise(self, args: list[Term], row: Index | None, column: Index | None) -> MatrixText | None:
        found = [self._one(f, row, column) for f in args]
        if not found or any(f is None for f in found):
            return None
        if len(found) == 1:
            return found[0]
        tight = [f.text if f.level >= POSTFIX else rf"\left({f.text}\right)" for f in found if f is not None]
        return MatrixText(r" \odot ".join(tight), TERM)

    def _one(self, t: Term, row: Index | None, column: Index | None) -> MatrixText | None:
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
            base = inner.text if inner.level == WHOLE and "^" not in inner.text else rf"\left({inner.text}\right)"
            exponent = self.w.term(t.exponent)
            return MatrixText(f"{base}^{{{exponent}}}" if not self.free(t) else rf"{base}^{{\circ {exponent}}}", POSTFIX)
        if isinstance(t, Func) and t.name in ("max", "min", "abs", "sign"):
            return self._extreme(t, row, column)
        if isinstance(t, Func) and len(t.args) == 1:
            inner = self.matrix(t.args[0], row, column)
            if inner is None:
                return None
            above = rf"\circ {inner.text}" if t.name == "exp2" and self.free(t) else inner.text  # 2^X is no power of a matrix
            return MatrixText(self.w.function(t.name, [above])[0], WHOLE)
        if isinstance(t, Bracket) and isinstance(t.operand, Add) and (sided := self._sided(t, t.operand, row, column)):
            return sided
        if isinstance(t, Bracket) and isinstance(t.operand, Term):
            inner = self.matrix(t.operand, row, column)
            return None if inner is None else MatrixText(self.w.bracketed(inner.text, t.relation, "0"), WHOLE)
        return None if self.free(t) else self._scalar(t)

    def _sided(self, t: Bracket, operand: Add, row: Index | None, column: Index | None) -> MatrixText | None:
        """A condition with nothing negative on either side, a number on the right."""
        parts = with_sizes(operand.args)
        sides = [add(*(a for a in parts if not is_negative(a))), add(*(neg(a) for a in parts if is_negative(a)))]
        if ZERO in sides or all(isinstance(x, Number) for x in sides):
            return None
        relation = t.relation
        if isinstance(sides[0], Number):
            sides, relation = sides[::-1], FLIPPED[relation]
        left = self.matrix(sides[0], row, column)
        right = MatrixText(self.w.term(sides[1])) if isinstance(sides[1], Number) else self.matrix(sides[1], row, column)
        return None if left is None or right is None else MatrixText(self.w.bracketed(left.text, relation, right.text), WHOLE)

    def _extreme(self, t: Func, row: Index | None, column: Index | None) -> MatrixText | None:
        """A maximum, a minimum or an absolute value, elementwise; a number in it stands for itself."""
        found = [MatrixText(self.w.term(a)) if isinstance(a, Number) else self.matrix(a, row, column) for a in t.args]
        texts = [f.text for f in found if f is not None]
        if len(texts) < len(found):
            return None
        if t.name == "abs":
            return MatrixText(self.w.magnitude.format(texts[0]), WHOLE)
        return MatrixText(self.w.extreme(t.name, texts) if t.name != "sign" else self.w.function(t.name, texts)[0], WHOLE)


def _off_diagonal(t: Term, row: Index, column: Index) -> Term:
    """A term that is read on the diagonal alone, with ``C[d, e]`` for ``C[d, d]``."""

    def change(t: Term) -> Term:
        twice = isinstance(t, Ref) and len(t.at) > 1 and t.at[-1] is t.at[-2] and t.at[-1].index in (row, column)
        return Ref(t.name, (*t.at[:-2], i_poly(row), i_poly(column))) if twice and isinstance(t, Ref) else t

    return transform(t, change)
