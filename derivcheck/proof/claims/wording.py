"""What a proof says: how something was proved, and what it assumes: conditions in the inputs' names, kinks once each."""

from __future__ import annotations

from collections.abc import Iterable

from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.domains import conditions, conditions_of_outputs, dropped_conditions, has_infinity, tidied
from derivcheck.proof.claims.claim import assumed
from derivcheck.proof.claims.sides import OWN, Sides, public
from derivcheck.proof.expressions.context import Context, Mode

NAMED = 6  # names that are listed


def how(mode: Mode, opened: list[str], by: str = "") -> str:
    """How something was proved, in words: what was written out, in which mode, by what."""
    words = []
    if opened:
        names = list(dict.fromkeys(map(public, opened)))
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        words.append(f"with {', '.join(names[:NAMED])}{more} written out")
    if mode.expand:
        words.append("functions written through exp")
    if mode.cases:
        words.append("case by case")
    elif mode.elements:
        words.append("element by element")
    if mode.ties:
        words.append("away from kinks")
    elif mode.ranges:
        words.append("ranges split at their ends")
    if by:
        words.append(by)
    return "; ".join(words) or "as it stands"


def said(sides: Sides, contexts: Iterable[Context], leaned: tuple[Definition, ...], cancelled: tuple[str, ...]) -> list[str]:
    """The conditions of what was proved, in words.

    Args:
        contexts: those in which something was proved.
        leaned: the invariants that were used.
        cancelled: what these assume.
    """
    forward, claimed, known = sides.forward, sides.claimed, sides.definitions
    every = (*sides.derived.values(), *claimed.definitions, *leaned)
    found = [*forward.conditions, *claimed.conditions, *assumed(claimed, forward), *(cancelled if leaned else ())]
    found += conditions(every, known)
    found += dropped_conditions((*forward.dropped, *claimed.dropped), every, known)
    kinks: dict[str, tuple[bool, str]] = {}
    for context in contexts:
        found += context.conditions
        for key, made_up, text in context.left_out.values():
            kinks[key] = min(kinks.get(key, (made_up, text)), (made_up, text))
    found += (text for _, text in kinks.values())
    found += (f"0 ≤ {n} < {p}" for n, p in sides.below.items())
    sizes = ", ".join(forward.sizes())
    if sizes:
        found.append(f"{sizes} ≥ 1")
    return tidied(c.replace(OWN, "") for c in dict.fromkeys(found))


def defined_in_part(sides: Sides) -> bool:
    """Whether the claim has conditions that the gradient does not have, or an infinity in it."""
    known, forward, claimed = sides.definitions, sides.forward, sides.claimed
    theirs = {*conditions(claimed.definitions, known), *dropped_conditions(claimed.dropped, (), known)}
    if theirs:
        mine = {*conditions_of_outputs(forward, known), *dropped_conditions(forward.dropped, (), known)}
        mine |= {c.replace(" > 0", " ≠ 0") for c in mine}
        if not theirs <= mine:
            return True
    return any(has_infinity(d.term) for d in claimed.definitions)
