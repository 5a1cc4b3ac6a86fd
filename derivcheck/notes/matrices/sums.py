"""``Σ`` as a product of matrices, a sum of rows or columns, a norm, or a sum over a batch."""

from __future__ import annotations

from derivcheck.notation.integers.polynomials import Index, as_poly
from derivcheck.notation.terms.build import add, mul
from derivcheck.notation.terms.nodes import Add, Mul, Number, Over, Pow, Term
from derivcheck.notation.terms.substitute import summation
from derivcheck.notation.terms.walk import factors, refs
from derivcheck.notes.matrices.symbols import FACTOR, TERM, WHOLE, MatrixSymbols, MatrixText


class MatrixSums(MatrixSymbols):
    """Writes sums as matrices."""

    def _contraction(self, t: Over, row: Index | None, column: Index | None) -> MatrixText | None:
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
        return MatrixText(f"{first} {second}", FACTOR)

    def _lead_of(self, t: Over) -> tuple[Index, ...]:
        """The batch indices that are summed over: in front of every tensor that has them."""
        return tuple(
            i
            for i in t.indices
            if i.name in self.batch and all(r.at.index(as_poly(i)) == 0 for r in refs(t.body) if as_poly(i) in r.at)
        )

    def _batch_sum(self, t: Over, over: tuple[Index, ...], row: Index | None, column: Index | None) -> MatrixText | None:
        """``Σ_b`` of what is a matrix for each b."""
        before, self.fixed = self.fixed, self.fixed | frozenset(over)
        rest = tuple(i for i in t.indices if i not in over)
        inner = self.matrix(Over("sum", rest, t.body) if rest else t.body, row, column)
        self.fixed = before
        if inner is None:
            return None
        return MatrixText(f"{self.w.sum_over([self.w.index(i) for i in over])} {self._in(inner)}", TERM)

    def _nested(self, t: Over, row: Index | None, column: Index | None) -> MatrixText | None:
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
        return self._of_addends(t, row, column)

    def _of_addends(self, t: Over, row: Index | None, column: Index | None) -> MatrixText | None:
        """``Σ (A + B)·C`` as ``Σ A·C + Σ B·C``, where the addends are summed over different indices as matrices."""
        parts = factors(t.body)
        sums = [f for f in parts if isinstance(f, Add)]
        if len(sums) != 1:
            return None
        rest = [f for f in parts if f is not sums[0]]
        return self.matrix(add(*(summation(t.indices, mul(*rest, a)) for a in sums[0].args)), row, column)

    def _side(self, factors: list[Term], row: Index | None, column: Index | None) -> MatrixText | None:
        return self.matrix(mul(*factors), row, column)

    def _double(self, t: Over, row: Index | None, column: Index | None) -> MatrixText | None:
        """A sum over both indices: a norm, an inner product, or ones on both sides."""
        if row is not None or column is not None:
            return None
        body = t.body
        for r, c in (t.indices, t.indices[::-1]):
            if isinstance(body, Pow) and isinstance(body.exponent, Number) and body.exponent.value == 2:
                inner = self.matrix(body.base, r, c)
                if inner is not None:
                    return MatrixText(rf"\left\lVert {inner.text} \right\rVert_F^2", WHOLE)
            if isinstance(body, Mul) and len(body.args) == 2 and not isinstance(body.args[0], Number):
                a, b = (self.matrix(x, r, c) for x in body.args)
                if a is not None and b is not None:
                    return MatrixText(rf"\left\langle {a.text}, {b.text} \right\rangle_F", WHOLE)
            whole = self.matrix(body, r, c)
            if whole is not None:
                return MatrixText(rf"\mathbf{{1}}^{{\top}} {self._in(whole)} \mathbf{{1}}", FACTOR)
        return None
