"""Axes of a literal size, element by element: what holds at each place holds for all, ``Σ_{i<3} f(i) = f(0) + f(1) + f(2)``.

Code that is written for three components speaks of ``x[n, 0]``, ``x[n, 1]``, ``x[n, 2]`` where a derivation has ``x[n, i]``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod

from derivcheck.notation.integers.polynomials import Index
from derivcheck.proof.expressions.atoms import Expression
from derivcheck.proof.expressions.context import Context
from derivcheck.proof.expressions.polynomials import free_in
from derivcheck.proof.normal_form.substitution import moved

LONGEST = 16  # places of an axis that is written out
MOST = 64  # elements that free indices of such axes make


def is_literal(i: Index) -> bool:
    """Whether the index runs over a few places, however large the sizes are."""
    n = i.size.constant
    return n is not None and 0 < n <= LONGEST


def places(context: Context, expression: Expression, i: Index) -> Iterator[Expression]:
    """The expression at each place of a literal index."""
    for k in range(i.size.constant or 0):
        yield moved(context, expression, {i: k})


def each_element(context: Context, expression: Expression) -> list[Expression]:
    """The expression at each place of its literal free indices: it is 0 where all of these are."""
    free = sorted(filter(is_literal, free_in(expression)), key=lambda i: (i.key, str(i.size)))
    while prod(i.size.constant or 1 for i in free) > MOST:
        free.remove(max(free, key=lambda i: i.size.constant or 1))
    if free:
        context.used("f(i) = g(i) for each i < 3, one by one")
    every = product(*(range(i.size.constant or 1) for i in free))
    return [moved(context, expression, dict(zip(free, at))) if free else expression for at in every]
