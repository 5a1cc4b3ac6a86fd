"""What is made of one whole matrix: ``(A·B)⁻¹ = B⁻¹·A⁻¹``, ``(c·A)⁻¹ = A⁻¹/c``, Cramer's rule for a few rows.

A matrix is kept the way round whose signature is the smaller, ``(Aᵀ)⁻¹ = (A⁻¹)ᵀ``; of one that is symmetric by its formula
the positions have no order.

Source: Petersen & Pedersen, *The Matrix Cookbook*, 2012, sections 1 and 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import permutations

from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.proof.expressions.atoms import (
    LEVEL,
    Equal,
    Expression,
    Least,
    MatrixAtom,
    Sigma,
)
from derivcheck.proof.expressions.context import Context, Unreduced
from derivcheck.proof.expressions.polynomials import (
    add_into,
    frozen,
    height_of,
    of_atom,
    plus,
    scaled,
    single,
)
from derivcheck.proof.expressions.signatures import expression_signature
from derivcheck.proof.normal_form.powers import power
from derivcheck.proof.normal_form.products import product, times
from derivcheck.proof.normal_form.substitution import moved, opened
from derivcheck.proof.normal_form.triangles import known_triangle

_HALF = Fraction(1, 2)
FEW = 3  # rows of a matrix that is written out, element by element


def made_of(context: Context, kind: str, bound: Sequence[Index], body: Expression, at: Sequence[Poly]) -> Expression:
    """An element of an inverse or a factor, or a determinant, of the matrix with this element at row and column."""
    rows, columns = bound
    body = known_triangle(context, body)
    if not body:
        raise Unreduced("a matrix of zeros")
    if context.mode.elements and kind in ("inv", "det") and (found := _written_out(context, kind, bound, body, at)) is not None:
        return found
    if kind == "inv" and (found := _without_factors(context, bound, body, at)) is not None:
        return found
    if kind in ("inv", "det") and (found := _of_product(context, kind, bound, body, at)) is not None:
        return found
    one = _kept(context, kind, rows, columns, body, at)
    if kind == "cholesky":  # of the symmetric part
        both = scaled(plus(body, _swapped(context, body, rows, columns)), _HALF)
        one = _kept(context, kind, rows, columns, both, at)
        return of_atom(one)
    other = _kept(context, kind, rows, columns, _swapped(context, body, rows, columns), at[::-1])
    if one.terms == other.terms:  # symmetric: the positions have no order
        at = sorted(at, key=str)
        return of_atom(_kept(context, kind, rows, columns, body, at))
    return of_atom(min(one, other, key=lambda a: expression_signature(a.terms, {a.bound[0]: 3, a.bound[1]: 5})))


def _names(rows: Index, columns: Index, body: Expression) -> tuple[Index, Index]:
    """Names for the row and the column, by how deep sums are nested in the matrix."""
    level = (max(map(height_of, body), default=0) + 1) * LEVEL
    return Index("#", rows.size, level), Index("#", columns.size, level + 1)


def _kept(context: Context, kind: str, rows: Index, columns: Index, body: Expression, at: Sequence[Poly]) -> MatrixAtom:
    names = _names(rows, columns, body)
    renamed = moved(context, body, {rows: i_poly(names[0]), columns: i_poly(names[1])})
    return context.atom(MatrixAtom, kind, names, frozen(renamed), tuple(at))


def _swapped(context: Context, body: Expression, rows: Index, columns: Index) -> Expression:
    return moved(context, body, {rows: i_poly(columns), columns: i_poly(rows)})


def _without_factors(context: Context, bound: Sequence[Index], body: Expression, at: Sequence[Poly]) -> Expression | None:
    """``(c·A)⁻¹ = A⁻¹/c``, and ``(D·A·E)⁻¹ = E⁻¹·A⁻¹·D⁻¹`` of diagonal D and E, where the matrix is one product."""
    one = single(body)
    if one is None:
        return None
    m, c = one
    rows, columns = bound
    outside = [(a, e) for a, e in m if not {rows, columns} <= a.free and not isinstance(a, (Equal, Least))]
    inner = m.difference(outside)
    if c == 1 and not outside or not inner:
        return None
    context.used("(c·A)^-1 = A^-1/c")
    found = made_of(context, "inv", bound, {inner: 1}, at)
    for a, e in outside:
        there = moved(context, of_atom(a), {rows: at[1], columns: at[0]})
        found = times(context, found, power(context, there, -e))
    return scaled(found, 1 / Fraction(c))


def _of_product(context: Context, kind: str, bound: Sequence[Index], body: Expression, at: Sequence[Poly]) -> Expression | None:
    """``(A·B)⁻¹ = B⁻¹·A⁻¹`` and ``det(A·B) = det A·det B`` of square matrices."""
    one = single(body)
    rows, columns = bound
    if one is None or one[1] != 1 or len(one[0]) != 1:
        return None
    ((a, e),) = one[0]
    if not isinstance(a, Sigma) or e != 1 or len(a.bound) != 1 or a.bound[0].size is not rows.size:
        return None
    (k,), inside = opened(context, a)
    whole = single(inside)
    if whole is None:
        return None
    left = frozenset((f, x) for f, x in whole[0] if rows in f.free)
    right = whole[0] - left
    if any(columns in f.free for f, _ in left) or any(rows in f.free for f, _ in right) or not left or not right:
        return None
    if not any(k in f.free for f, _ in left) or not any(k in f.free for f, _ in right):
        return None
    context.used("(A·B)^-1 = B^-1·A^-1" if kind == "inv" else "det(A·B) = det(A)·det(B)")
    first: Expression = {left: whole[1]}
    second: Expression = {right: 1}
    if kind == "det":
        return times(context, made_of(context, kind, (rows, k), first, ()), made_of(context, kind, (k, columns), second, ()))
    j = context.temporary(rows.size)
    inverses = (
        made_of(context, kind, (k, columns), second, (at[0], i_poly(j))),
        made_of(context, kind, (rows, k), first, (i_poly(j), at[1])),
    )
    return context.rules.summed(context, [j], product(context, inverses))


def _written_out(
    context: Context, kind: str, bound: Sequence[Index], body: Expression, at: Sequence[Poly]
) -> Expression | None:
    """Cramer's rule for a few rows: the cofactor over the determinant."""
    rows, columns = bound
    n = rows.size.constant
    if n is None or not 1 <= n <= FEW:
        return None
    p, q = (x.constant for x in at) if at else (0, 0)
    if p is None or q is None:
        return None

    def element(i: int, j: int) -> Expression:
        return moved(context, body, {rows: as_poly(i), columns: as_poly(j)})

    def determinant(of_rows: Sequence[int], of_columns: Sequence[int]) -> Expression:
        total: Expression = {}
        for order in permutations(range(len(of_columns))):
            sign = (-1) ** sum(order[i] > order[j] for i in range(len(order)) for j in range(i + 1, len(order)))
            factors = [element(i, of_columns[k]) for i, k in zip(of_rows, order)]
            add_into(total, product(context, factors), sign)
        return total

    every = range(n)
    context.used("Cramer's rule")
    whole = determinant(every, every)
    if kind == "det":
        return whole
    minor = determinant([i for i in every if i != q], [j for j in every if j != p])
    return times(context, scaled(minor, (-1) ** (p + q)), power(context, whole, -1))
