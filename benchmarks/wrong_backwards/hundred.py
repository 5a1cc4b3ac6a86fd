"""Wrong hand-written backwards of seventy layers and losses, two of each, written without a look at how they are diagnosed.

``python -m benchmarks.wrong_backwards.hundred`` verifies each with torch.autograd alone: with the right line every gradient
is right at two sets of sizes, with the wrong line one at least is wrong at each.
"""

from __future__ import annotations

from benchmarks.wrong_backwards import (
    hundred_attention,
    hundred_cells,
    hundred_channel_norms,
    hundred_class_losses,
    hundred_gates,
    hundred_geometry,
    hundred_graphs,
    hundred_layers,
    hundred_norms,
    hundred_pair_losses,
    hundred_recurrences,
    hundred_scores,
)
from benchmarks.wrong_backwards.mistake import Slip, faults

FAMILIES = (
    hundred_norms,
    hundred_channel_norms,
    hundred_scores,
    hundred_attention,
    hundred_gates,
    hundred_cells,
    hundred_class_losses,
    hundred_pair_losses,
    hundred_layers,
    hundred_graphs,
    hundred_geometry,
    hundred_recurrences,
)
SLIPS: tuple[Slip, ...] = tuple(slip for family in FAMILIES for slip in family.CASES)


if __name__ == "__main__":
    told = [text for slip in SLIPS for text in faults(slip)]
    print("\n".join(told) if told else f"{len(SLIPS)} mistakes of {len({s.layer for s in SLIPS})} layers, each verified")
    raise SystemExit(bool(told))
