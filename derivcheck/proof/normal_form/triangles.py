"""``L[p, q] = 0`` where q > p, of a Cholesky factor.

Source: Golub & Van Loan, *Matrix Computations*, 4th ed. 2013, section 4.2.
"""

from __future__ import annotations

from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.proof.expressions.atoms import (
    Expression,
    Least,
    MatrixAtom,
    Monomial,
)
from derivcheck.proof.expressions.context import Context
from derivcheck.proof.expressions.polynomials import (
    add_into,
)
from derivcheck.proof.normal_form import brackets
from derivcheck.proof.normal_form.products import product


def triangular(context: Context, here: list[Index], m: Monomial) -> Expression | None:
    """``L[p, q] = 0`` where q > p: beside a bracket that says so a Cholesky factor vanishes, or is on its diagonal."""
    for a, e in m:
        if not isinstance(a, MatrixAtom) or a.kind != "cholesky" or e <= 0:
            continue
        p, q = a.at
        for b, _ in m:
            if not isinstance(b, Least):
                continue
            gap = b.poly - (q - p)  # [q − p + gap ≥ 0]
            if gap.constant is not None and gap.constant <= 0:
                context.used("L[p, q] = 0 for q > p")
                if gap.constant < 0:
                    return {}
                rest = product(context, [{m - {(b, 1)}: 1}, brackets.equal(context, p - q)])
                return context.rules.summed(context, here, rest)
            others = [c.poly for c, _ in m if isinstance(c, Least) and c is not b]
            above = [b.poly - (p - q) - c for c in (Poly(()), *others)]  # which holds where L is not 0, beside the others
            if any(x.constant is not None and x.constant >= 0 for x in above):
                return context.rules.summed(context, here, {m - {(b, 1)}: 1})
    return None


def known_triangle(context: Context, body: Expression) -> Expression:
    """A matrix whose elements are those of a Cholesky factor, without the bracket that says so again."""
    total: Expression = {}
    for m, c in body.items():
        found = triangular(context, [], m)
        add_into(total, {m: 1} if found is None else found, c)
    return total
