"""Induction on the difference of two sides: 0 at one end of an index, and the same at each place as at the next.

``D(K−1) = 0`` and ``D(k) = D(k+1)`` for each ``k ≤ K−2`` give ``D = 0``; so does ``D(0) = 0`` with the same steps.  In the
step a recurrence is written out at one of the two places, so that both sides speak of the same element of it: how a suffix
sum is shown to be what a scan from the end computes, and a total less a prefix likewise.
"""

from __future__ import annotations

from derivcheck.notation.integers.polynomials import i_poly
from derivcheck.proof.claims.forms import Forms
from derivcheck.proof.expressions.atoms import Expression, unlimited
from derivcheck.proof.expressions.polynomials import free_in, minus
from derivcheck.proof.normal_form.substitution import moved
from derivcheck.proof.normal_form.vanishing import cleared
from derivcheck.proof.recurrences.induction import summed_up
from derivcheck.proof.recurrences.unrolling import at_an_end, beside_the_end


def by_steps(forms: Forms, difference: Expression) -> bool:
    """Whether the difference vanishes, step by step along one of its indices."""
    difference = summed_up(forms, difference)
    if not difference:
        return True
    return bool(forms.recurrences(difference)) and all(_vanishes(forms, u) for u in cleared(forms.context, difference))


def _vanishes(forms: Forms, part: Expression) -> bool:
    """The same for a part without denominators."""
    if not part:
        return True
    for i in sorted(free_in(part), key=lambda i: i.key):
        if unlimited(i) or i.size.constant is not None or i.size.indices:
            continue
        if all(forms.left(at_an_end(forms, part, i, last)) for last in (True, False)):
            continue
        gap = minus(part, moved(forms.context, part, {i: i_poly(i) + 1}))
        if not forms.left(beside_the_end(forms, gap, i, True)):
            forms.context.used("D(K-1) = 0 or D(0) = 0, and D(k) = D(k+1): by induction")
            return True
    return False
