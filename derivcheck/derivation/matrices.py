"""The derivatives of what is made of a matrix: ``−A⁻ᵀ·X̄·A⁻ᵀ`` and its kin, each as the slope in one element.

Source: Giles, *Collected matrix derivative results for forward and reverse mode algorithmic differentiation*, 2008, section 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from derivcheck.notation.integers.polynomials import Index, Poly, i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.build import MINUS_ONE, mul, ref
from derivcheck.notation.terms.nodes import Mul, Over, Term
from derivcheck.notation.terms.substitute import freshen, matrix, substitute


def slope(t: Over, rows: Index, columns: Index, d: Definition) -> Term:
    """``∂t / ∂(element of its matrix at rows, columns)``; what the definition ``d`` is itself is written by its name.

    >>> from derivcheck.notation.integers.polynomials import size
    >>> i, j, k, l, p, q = (Index(name, size("N")) for name in "ijklpq")
    >>> x = matrix("inv", (i, j), ref("a", i, j), p, q)
    >>> print(slope(x, k, l, Definition("x", (p, q), x)))
    -x[p, k]*x[l, q]
    >>> y = matrix("det", (i, j), ref("a", i, j))
    >>> print(slope(y, k, l, Definition("y", (), y)))
    y*inv(i, j: a[i, j])[l, k]
    """
    if t.kind == "inv":
        p, q = t.at
        return mul(MINUS_ONE, element(t, d, p, i_poly(rows)), element(t, d, i_poly(columns), q))
    if t.kind not in ("det", "logdet", "logabsdet"):
        raise TypeError(f"{t.kind} has no slope here")
    inverse = matrix("inv", t.indices, t.body, i_poly(columns), i_poly(rows))
    if t.kind != "det":
        return inverse
    return mul(ref(d.name, *d.indices) if d.term is t else t, inverse)


def element(t: Over, d: Definition, p: Poly, q: Poly) -> Term:
    """Another element of the matrix that ``t`` is an element of, by the definition's name where that is the matrix."""
    own = d.term
    if isinstance(own, Over) and own.kind == t.kind and own.indices == t.indices and own.body is t.body:
        at = [place.index for place in own.at]
        free = own.body.free - set(own.indices)
        if at[0] is not at[1] and all(i is not None and i in d.indices and i not in free for i in at):
            return substitute(ref(d.name, *d.indices), dict(zip(at, (p, q))))
    return matrix(t.kind, t.indices, t.body, p, q)


class SystemSolution(NamedTuple):
    """A sum that solves a system, ``x[p] = Σ_k A⁻¹[p, k]·b[k]``.

    Attributes:
        inverse: the factor that is an element of the inverse.
        of: the index p; of ``Σ_k b[k]·A⁻¹[k, q]``, q.
        left: whether p is the inverse's row.
        term: the sum.
    """

    inverse: Over
    of: Index
    left: bool
    term: Over

    def slope(self, rows: Index, columns: Index, d: Definition) -> Term:
        """``∂x[p] / ∂A[rows, columns] = −A⁻¹[p, rows]·x[columns]``."""
        x: Term = ref(d.name, *d.indices) if d.term is self.term and self.of in d.indices else self.term
        other, own = (columns, rows) if self.left else (rows, columns)
        x = substitute(freshen(x, (rows, columns)), {self.of: i_poly(other)})
        at = (i_poly(self.of), i_poly(own)) if self.left else (i_poly(own), i_poly(self.of))
        return mul(MINUS_ONE, element(self.inverse, d, *at), x)


def solution(t: Over, active: Iterable[str]) -> SystemSolution | None:
    """The sum as the solution of a system in whose matrix a gradient flows; None where it is none.

    >>> from derivcheck.notation.integers.polynomials import size
    >>> from derivcheck.notation.terms.substitute import summation
    >>> i, j, k, l, p, q = (Index(name, size("N")) for name in "ijklpq")
    >>> x = summation([q], mul(matrix("inv", (i, j), ref("a", i, j), p, q), ref("b", q)))
    >>> print(solution(x, {"a"}).slope(k, l, Definition("x", (p,), x)))
    -inv(i, j: a[i, j])[p, k]*x[l]
    """
    if t.kind != "sum" or not isinstance(t.body, Mul):
        return None
    found = [f for f in t.body.args if isinstance(f, Over) and f.kind == "inv" and not f.names.isdisjoint(active)]
    if len(found) != 1:
        return None
    inverse, rest = found[0], [f for f in t.body.args if f is not found[0]]
    free = inverse.body.free - set(inverse.indices)
    if not free.isdisjoint(t.indices):
        return None
    for left in (True, False):
        of, bound = inverse.at[0 if left else 1].index, inverse.at[1 if left else 0].index
        if of is None or bound not in t.indices or of in t.indices or of in free:
            continue
        if not any(of in f.free for f in rest) and not any(of in i.size.indices for i in t.indices):
            return SystemSolution(inverse, of, left, t)
    return None
