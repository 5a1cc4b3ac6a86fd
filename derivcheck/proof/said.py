"""What a proof says that it assumes: conditions in the inputs' names, kinks once each, what cancelled, the sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from derivcheck.notation.program.domains import conditions, conditions_of_outputs, dropped_conditions, has_infinity, tidied
from derivcheck.proof.claims import assumed

if TYPE_CHECKING:
    from derivcheck.proof.prover import Prover


def said(prover: Prover) -> list[str]:
    """The conditions of what was proved, in words."""
    forward, claimed, known = prover.forward, prover.claimed, prover.definitions
    found = dict.fromkeys((*forward.conditions, *claimed.conditions, *assumed(claimed, forward)))
    found.update(dict.fromkeys(prover.cancelled if prover.leaned else ()))
    every = (*prover.known.values(), *claimed.definitions, *prover.leaned)
    found.update(dict.fromkeys(conditions(every, known)))
    found.update(dict.fromkeys(dropped_conditions((*forward.dropped, *claimed.dropped), every, known)))
    kinks: dict[str, tuple[bool, str]] = {}
    for mode, s in prover.spaces.items():
        if mode in prover.used or mode == 0:
            found.update(dict.fromkeys(s.conditions))
            for key, made_up, text in s.left_out.values():
                kinks[key] = min(kinks.get(key, (made_up, text)), (made_up, text))
    found.update(dict.fromkeys(text for _, text in kinks.values()))
    found.update(dict.fromkeys(f"0 ≤ {n} < {p}" for n, p in prover.below.items()))
    sizes = ", ".join(forward.sizes())
    if sizes:
        found[f"{sizes} ≥ 1"] = None
    return tidied(c.replace("claimed ", "") for c in found)


def partly(prover: Prover) -> bool:
    """Whether the claim has conditions that the gradient does not have, or an infinity in it."""
    known, forward, claimed = prover.definitions, prover.forward, prover.claimed
    mine = {*conditions_of_outputs(forward, known), *dropped_conditions(forward.dropped, (), known)}
    mine |= {c.replace(" > 0", " ≠ 0") for c in mine}
    theirs = {*conditions(claimed.definitions, known), *dropped_conditions(claimed.dropped, (), known)}
    return not theirs <= mine or any(has_infinity(d.term) for d in prover.claimed.definitions)
