"""What is tried where the normal form leaves something: sums taken together, then the small-size theorem."""

from __future__ import annotations

from typing import TYPE_CHECKING

from derivcheck.proof.equality import AS_WRITTEN, AS_WRITTEN_EXPANDED, MODES
from derivcheck.proof.one_sum import vanishes_under_one_sum
from derivcheck.proof.report import how
from derivcheck.proof.small_sizes import agreement
from derivcheck.proof.space import OutOfTime, Unreduced

if TYPE_CHECKING:
    from derivcheck.proof.prover import Prover


def second_route(prover: Prover, claim: str, target: str, rest: str) -> tuple[str | None, str]:
    """How claim = target was proved, with the claim's names written out or with all; or None and what is left of it."""
    too_much = ""
    for mode in (AS_WRITTEN, AS_WRITTEN_EXPANDED) if 1 in prover.modes else (AS_WRITTEN,):
        for names in (frozenset[str](), None):
            try:
                space = prover.space(mode)
                opened, left = prover.reduced(mode, names, claim, target)
                if vanishes_under_one_sum(space, left):
                    prover.used.add(mode)
                    return how(MODES[mode], opened, "under one sum"), ""
                grid = agreement(space, left)
            except Unreduced:
                continue
            except (OutOfTime, RecursionError):
                return None, rest + too_much
            if grid is not None and grid.holds:
                prover.used.add(mode)
                space.used(f"small-size theorem: exact agreement at {grid} decides")
                return how(MODES[mode], opened, f"by exact agreement at {grid}"), ""
            if grid is not None and grid.holds is None:
                too_much = f" (the small-size theorem would take {grid}: too many steps)"
    return None, rest + too_much
