"""Sums taken together: ``Σ_i f(i) + Σ_j g(j) = Σ_i (f(i) + g(i))``, which vanishes where the summand does.

The normal form splits a sum at its addends, so that denominators inside stay apart: ``Σ 1/(x−1) − Σ 1/(x+1) − Σ 2/(x²−1)``.
Under one Σ they are brought over a common denominator like any others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice, permutations, product

from derivcheck.notation.integers.polynomials import Index, Poly, i_poly
from derivcheck.proof.expressions.atoms import Expression, unlimited
from derivcheck.proof.expressions.context import Context
from derivcheck.proof.expressions.polynomials import add_into, scaled
from derivcheck.proof.normal_form import products
from derivcheck.proof.normal_form.substitution import Substitution
from derivcheck.proof.normal_form.vanishing import vanishes
from derivcheck.proof.second_route.flattening import Flat, TooManyTerms, flat

ORDERS = 24  # of indices of one size that are tried


def vanishes_under_one_sum(context: Context, expression: Expression) -> bool:
    """Whether the summands of all sums over the same ranges vanish together.

    >>> from derivcheck.notation.text.dims import parse_input
    >>> from derivcheck.notation.text.parse import TextScope, parse_term
    >>> from derivcheck.proof.normal_form.normal import new_context, of_term
    >>> context, scope = new_context(), TextScope({"x": parse_input("x", "N")})
    >>> text = "sum(i: 1/(x[i] - 1)) - sum(j: 1/(x[j] + 1)) - sum(i: 2/(x[i]^2 - 1))"
    >>> vanishes(context, of_term(context, parse_term(text, scope)))
    False
    >>> vanishes_under_one_sum(context, of_term(context, parse_term(text, scope)))
    True
    """
    try:
        terms = [t for m, c in expression.items() for t in flat(context, m, c)]
    except TooManyTerms:
        return False
    if any(unlimited(i) or i.size.indices for t in terms for i in t.bound):
        return False
    groups: dict[frozenset[tuple[Poly, int]], list[Flat]] = {}
    for t in terms:
        groups.setdefault(frozenset(Counter(i.size for i in t.bound).items()), []).append(t)
    if not all(vanishes(context, _summand(context, group)) for group in groups.values()):
        return False
    context.used("Σ_i f(i) + Σ_j g(j) = Σ_i (f(i) + g(i))")
    return True


def _summand(context: Context, terms: Sequence[Flat]) -> Expression:
    """The sum of the summands, over the indices of the first."""
    common = [context.temporary(i.size) for i in terms[0].bound]
    total: Expression = {}
    seen: set[object] = set()
    for t in terms:
        best = max(_spellings(context, t, common), key=lambda u: sum(f in seen for m in u for f in m))
        seen.update(f for m in best for f in m)
        add_into(total, best)
    return total


def _spellings(context: Context, t: Flat, common: Sequence[Index]) -> list[Expression]:
    """The summand over the common indices, in each order of those of one size."""
    sizes = dict.fromkeys(i.size for i in common)
    orders = product(*(islice(permutations([i for i in t.bound if i.size is p]), ORDERS) for p in sizes))
    found: list[Expression] = []
    for order in islice(orders, ORDERS):
        pairs = zip((i for same in order for i in same), (j for p in sizes for j in common if j.size is p))
        rename = Substitution(context, {i: i_poly(j) for i, j in pairs})
        factors: list[Expression] = [rename.monomial(frozenset((f,))) for f in t.factors]
        found.append(scaled(products.product(context, factors), t.coefficient))
    return found
