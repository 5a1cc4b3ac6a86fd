"""Induction with its hypothesis used: where a difference is 0 at the next place, it is 0 here.

``D(K−1) = 0``, and ``D(k) = 0`` follows from ``D(k+1) = 0`` for each ``k ≤ K−2``: the recurrences at k are written out one
step, and the hypothesis says what one of the terms at ``k+1`` is.  That term may be a sum in which a recurrence stands with
an index of its own, as the colour behind a splat does: ``Σ_h A[k+1, h]·g[h]``.
"""

from __future__ import annotations

from collections.abc import Iterator

from derivcheck.notation.integers.polynomials import Index, i_poly
from derivcheck.proof.claims.forms import Forms
from derivcheck.proof.expressions.atoms import Element, Expression, ProofAtom, Sigma, unlimited
from derivcheck.proof.expressions.polynomials import add_into, common_factors, free_in, scaled, without
from derivcheck.proof.normal_form.products import times
from derivcheck.proof.normal_form.substitution import moved
from derivcheck.proof.normal_form.vanishing import cleared
from derivcheck.proof.recurrences.unrolling import at_an_end, beside_the_end


def by_hypothesis(forms: Forms, difference: Expression) -> bool:
    """Whether the difference vanishes, each place of one of its indices by the next one."""
    if not forms.recurrences(difference):
        return False
    if all(_vanishes(forms, u) for u in cleared(forms.context, difference)):
        forms.context.used("D(K-1) = 0 or D(0) = 0, and D(k) = 0 if D(k+1) = 0: by induction")
        return True
    return False


def _vanishes(forms: Forms, part: Expression) -> bool:
    """The same for a part without denominators; what all its terms share is left out."""
    if not part:
        return True
    shared = common_factors(part, {a for m in part for a, _ in m})
    part = {without(m, shared): c for m, c in part.items()}
    for i in sorted(free_in(part), key=lambda i: i.key):
        if not unlimited(i) and i.size.constant is None and not i.size.indices:
            if any(_along(forms, part, i, last) for last in (True, False)):
                return True
    return False


def _along(forms: Forms, part: Expression, i: Index, last: bool) -> bool:
    """Whether it vanishes at the last (or the first) place, and at each other by the hypothesis."""
    here = [n for n in forms.recurrences(part) if forms.loop(n).down == last and _stands_at(forms, part, n, i)]
    step = forms.inlined(part, {n: forms.form(n) for n in here})
    if not here or forms.left(at_an_end(forms, step, i, last)):
        return False
    hypothesis = moved(forms.context, part, {i: i_poly(i) + (1 if last else -1)})
    return any(
        not forms.left(beside_the_end(forms, _replaced(forms, step, a, value), i, last))
        for a, value in _known(forms, hypothesis)
    )


def _stands_at(forms: Forms, part: Expression, name: str, i: Index) -> bool:
    """Whether all elements of a recurrence stand at the index itself, along the axis that it runs along."""
    axis = forms.loop(name).axes[name]
    return all(x.at[axis].index is i for m in part for a, _ in m for x in a.elements_of(name))


def _known(forms: Forms, zero: Expression) -> Iterator[tuple[ProofAtom, Expression]]:
    """Recurrences, and sums in which one stands, each with what it is where an expression is 0."""
    for m, c in zero.items():
        if len(m) == 1 and c in (1, -1):
            ((a, e),) = m
            rest = {n: k for n, k in zero.items() if n != m}
            alone = e == 1 and all(a is not b for n in rest for b, _ in n)
            if alone and isinstance(a, (Element, Sigma)) and forms.recurrences({m: 1}):
                yield a, scaled(rest, -c)


def _replaced(forms: Forms, u: Expression, a: ProofAtom, value: Expression) -> Expression:
    """An expression with an atom, where it is a factor as it is, replaced."""
    total: Expression = {}
    for m, c in u.items():
        add_into(total, times(forms.context, {m - {(a, 1)}: c}, value) if (a, 1) in m else {m: c})
    return total
