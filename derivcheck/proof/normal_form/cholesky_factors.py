"""Two Cholesky factors in a sum: ``L·Lᵀ = A``, ``L⁻ᵀ·L⁻¹ = A⁻¹``.

Source: Golub & Van Loan, *Matrix Computations*, 4th ed. 2013, section 4.2.
"""

from __future__ import annotations

from typing import NamedTuple

from derivcheck.notation.integers.polynomials import Index, Poly, i_poly
from derivcheck.proof.expressions.atoms import (
    Expression,
    MatrixAtom,
    Monomial,
    ProofAtom,
    Rational,
)
from derivcheck.proof.expressions.context import Context
from derivcheck.proof.expressions.polynomials import (
    of_atom,
    single,
)
from derivcheck.proof.normal_form.matrices import made_of
from derivcheck.proof.normal_form.products import times
from derivcheck.proof.normal_form.substitution import moved


class FactorElement(NamedTuple):
    """An element of a Cholesky factor L, or of the inverse of one.

    Attributes:
        own, summed: of ``L[own, summed]`` or ``L⁻¹[summed, own]``, which a product with another of its kind sums over.
    """

    factor: MatrixAtom
    inverse: bool
    own: Poly
    summed: Poly


def root_of(a: ProofAtom) -> FactorElement | None:
    """The Cholesky factor that the atom is an element of, or of the inverse of; either way round."""
    if not isinstance(a, MatrixAtom):
        return None
    if a.kind == "cholesky":
        return FactorElement(a, False, *a.at)
    one = single(dict(a.terms)) if a.kind == "inv" else None
    if one is None or one[1] != 1 or len(one[0]) != 1:
        return None
    ((factor, e),) = one[0]
    if not isinstance(factor, MatrixAtom) or factor.kind != "cholesky" or e != 1:
        return None
    places = tuple(p.index for p in factor.at)
    if places == a.bound:
        return FactorElement(factor, True, a.at[1], a.at[0])
    return FactorElement(factor, True, a.at[0], a.at[1]) if places == a.bound[::-1] else None


def factors_met(context: Context, here: list[Index], m: Monomial) -> Expression | None:
    """``Σ_k L[p, k]·L[q, k] = A[p, q]`` and ``Σ_k L⁻¹[k, p]·L⁻¹[k, q] = A⁻¹[p, q]`` of a Cholesky factor L of A.

    And ``Σ_k L[k, p]·A⁻¹[k, q] = L⁻¹[p, q]``.
    """
    roots = [(a, e, root) for a, e in m if (root := root_of(a)) is not None]
    for n, (a, e, one) in enumerate(roots):
        for b, x, two in roots[n:]:
            k = one.summed.index
            if (e != 2 if a is b else e != 1 or x != 1) or not _alike(one, two) or k is not two.summed.index:
                continue
            left = m - {(a, e), (b, x)}
            if k in here and not _stands(k, left, one.own, two.own):
                assert k is not None
                context.used("L·L^T = A")
                body, bound = dict(one.factor.terms), one.factor.bound
                if one.inverse:
                    there = made_of(context, "inv", bound, body, (one.own, two.own))
                else:
                    there = moved(context, body, {bound[0]: one.own, bound[1]: two.own})
                return context.rules.summed(context, [i for i in here if i is not k], times(context, there, {left: 1}))
        found = _solved(context, here, m, a, e, one) if not one.inverse else None
        if found is not None:
            return found
    return None


def _alike(one: FactorElement, two: FactorElement) -> bool:
    return one.factor.terms == two.factor.terms and one.factor.bound == two.factor.bound and one.inverse == two.inverse


def _stands(k: Index | None, left: Monomial, *places: Poly) -> bool:
    """Whether an index stands in other factors, or in these positions."""
    return any(k in a.free for a, _ in left) or any(k in p.indices for p in places)


def _solved(
    context: Context, here: list[Index], m: Monomial, a: ProofAtom, e: Rational, root: FactorElement
) -> Expression | None:
    """``Σ_k L[k, p]·A⁻¹[k, q] = L⁻¹[p, q]``."""
    k, bound = root.own.index, root.factor.bound
    if e != 1 or k not in here:
        return None
    for x, power_ in m:
        if not isinstance(x, MatrixAtom) or x.kind != "inv" or power_ != 1 or k not in {p.index for p in x.at}:
            continue
        q = x.at[1] if x.at[0].index is k else x.at[0]
        left = m - {(a, 1), (x, 1)}
        if _stands(k, left, q, root.summed) or made_of(context, "inv", bound, dict(root.factor.terms), x.at) != of_atom(x):
            continue
        context.used("L·L^T = A")
        i, j = context.temporary(bound[0].size), context.temporary(bound[0].size)
        factor = made_of(context, "cholesky", bound, dict(root.factor.terms), (i_poly(i), i_poly(j)))
        there = made_of(context, "inv", (i, j), factor, (root.summed, q))
        return context.rules.summed(context, [i for i in here if i is not k], times(context, there, {left: 1}))
    return None
