"""What is tried where the normal form leaves something: sums taken together, then the small-size theorem."""

from __future__ import annotations

from collections.abc import Iterable

from derivcheck.proof.claims.forms import Forms
from derivcheck.proof.claims.wording import how
from derivcheck.proof.expressions.context import OutOfTime, Unreduced
from derivcheck.proof.second_route.one_sum import vanishes_under_one_sum
from derivcheck.proof.second_route.small_sizes import agreement


def second_route(every: Iterable[Forms], claim: str, target: str, rest: str) -> tuple[str | None, str]:
    """How claim = target was proved, with the claim's names written out or with all; or None and what is left of it.

    Args:
        every: the forms to try, in the modes that leave each index in the range that it was written with.
        rest: what the normal form left.
    """
    too_much = ""
    for forms in every:
        context = forms.context
        for names in ((), None):
            try:
                opened, left = forms.emptied(forms.difference(claim, target), names)
                if vanishes_under_one_sum(context, left):
                    forms.proves = True
                    return how(context.mode, opened, "under one sum"), ""
                grid = agreement(context, left)
            except Unreduced:
                continue
            except (OutOfTime, RecursionError):
                return None, rest + too_much
            if grid is not None and grid.holds:
                forms.proves = True
                context.used(f"small-size theorem: exact agreement at {grid} decides")
                return how(context.mode, opened, f"by exact agreement at {grid}"), ""
            if grid is not None and grid.holds is None:
                too_much = f" (the small-size theorem would take {grid}: too many steps)"
    return None, rest + too_much
