"""What is made of a matrix, in indices: ``(A⁻¹)_{pq}``, ``det(A)``, ``log det(A)``, ``chol(A)_{pq}``.

A matrix that is no tensor of its own is given by its elements, ``(i, j ↦ A_{ij} + δ_{ij})``.
"""

from __future__ import annotations

from typing import NamedTuple

from derivcheck.notation.integers.polynomials import Index, Poly, i_poly
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import mul
from derivcheck.notation.terms.nodes import Bracket, Over, Ref, Term
from derivcheck.notation.terms.walk import factors


class WholeMatrix(NamedTuple):
    """The matrix of a determinant or an inverse, where it is a tensor.

    Attributes:
        name, lead: the tensor, and where in its batch.
        turned: it is the transposed one.
        part: ``tril`` or ``triu`` where one triangle is taken.
    """

    name: str
    lead: tuple[Poly, ...]
    turned: bool
    part: str = ""


def whole(t: Over) -> WholeMatrix | None:
    """The tensor that the matrix is, or a triangle of it; None where it is an expression."""
    i, j = t.indices
    for part, mask in (
        ("tril", bracket(">=", i_poly(i) - i_poly(j))),
        ("triu", bracket(">=", i_poly(j) - i_poly(i))),
        ("", None),
    ):
        body: Term = t.body
        if mask is not None:
            if mask not in factors(body):
                continue
            body = mul(*(f for f in factors(body) if f is not mask))
        if not isinstance(body, Ref) or len(body.at) < 2:
            continue
        last, lead = tuple(p.index for p in body.at[-2:]), body.at[:-2]
        if last in (t.indices, t.indices[::-1]) and not any({i, j} & p.indices for p in lead):
            turned = last != t.indices
            return WholeMatrix(body.name, lead, turned, {"tril": "triu", "triu": "tril"}[part] if part and turned else part)
    return None


def places(t: Over) -> tuple[Poly, ...]:
    """The positions of the element, in the matrix as it is written."""
    found = whole(t)
    turned = found is not None and found.turned and t.kind == "inv"
    return t.at[::-1] if turned else t.at


def upper_or_lower(b: Term, row: Index, column: Index) -> str:
    """``tril`` or ``triu`` of a bracket that takes that triangle."""
    if not isinstance(b, Bracket):
        return ""
    return {bracket(">=", i_poly(row) - i_poly(column)): "tril", bracket(">=", i_poly(column) - i_poly(row)): "triu"}.get(b, "")
