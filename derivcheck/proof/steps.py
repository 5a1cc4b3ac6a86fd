"""Induction on the difference of two sides: 0 at one end of an index, and the same at each place as at the next.

``D(K−1) = 0`` and ``D(k) = D(k+1)`` for each ``k ≤ K−2`` give ``D = 0``; so does ``D(0) = 0`` with the same steps.  In the
step a recurrence is written out at one of the two places, so that both sides speak of the same element of it: how a suffix
sum is shown to be what a scan from the end computes, and a total less a prefix likewise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from derivcheck.notation.integers.polynomials import i_poly
from derivcheck.proof import polynomials
from derivcheck.proof.atoms import Expression, free_in
from derivcheck.proof.induction import summed_up
from derivcheck.proof.normal import cleared
from derivcheck.proof.space import unlimited
from derivcheck.proof.substitution import moved
from derivcheck.proof.unrolling import at_an_end, beside_the_end, recurrences

if TYPE_CHECKING:
    from derivcheck.proof.prover import Prover


def by_steps(prover: Prover, mode: int, difference: Expression) -> bool:
    """Whether the difference vanishes, step by step along one of its indices."""
    space = prover.space(mode)
    difference = summed_up(prover, mode, difference)
    if not difference:
        return True
    if not recurrences(prover, difference):
        return False
    return all(_vanishes(prover, mode, part) for part in cleared(space, difference))


def _vanishes(prover: Prover, mode: int, part: Expression) -> bool:
    if not part:
        return True
    space = prover.space(mode)
    for i in sorted(free_in(part), key=lambda i: i.key):
        if unlimited(i) or i.size.constant is not None or i.size.indices:
            continue
        ends = (at_an_end(prover, mode, part, i, last) for last in (True, False))
        if not any(not prover.emptied(mode, None, end)[1] for end in ends):
            continue
        gap = polynomials.plus(part, polynomials.scaled(moved(space, part, {i: i_poly(i) + 1}), -1))
        if not prover.emptied(mode, None, beside_the_end(prover, mode, gap, i, True))[1]:
            space.used("D(K-1) = 0 or D(0) = 0, and D(k) = D(k+1): by induction")
            return True
    return False
