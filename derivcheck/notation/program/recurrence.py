"""Recurrences: definitions that refer to themselves or to each other, and the index along which they run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, product

from derivcheck.notation.integers.atoms import Entry, entries
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.nodes import Ref
from derivcheck.notation.terms.walk import polys, refs, subterms


def groups(definitions: Sequence[Definition]) -> list[list[Definition]]:
    """The definitions in order, those that depend on each other together.

    >>> groups(())
    []
    """
    place = {d.name: k for k, d in enumerate(definitions)}
    out: list[list[Definition]] = []
    start = 0
    while start < len(definitions):
        end = k = start
        while k <= end:
            end = max([end, *(place[n] for n in definitions[k].term.names if n in place)])
            k += 1
        out.append(list(definitions[start : end + 1]))
        start = end + 1
    return out


@dataclass(frozen=True)
class RecurrencePlan:
    """How to compute a group of recurrent definitions.

    Attributes:
        axes: per definition, the dimension along which it runs.
        down: from the last position to the first.
        order: the definitions in the order of one step.
    """

    axes: dict[str, int]
    down: bool
    order: tuple[Definition, ...]


def loop(group: Sequence[Definition]) -> RecurrencePlan | None:
    """The loop of a group whose references to itself lie a constant number of steps back; None where they do not."""
    names = {d.name for d in group}
    uses: list[tuple[Definition, Ref | Entry]] = []
    for d in group:
        mine: list[Ref | Entry] = [r for r in refs(d.term) if r.name in names]
        mine += dict.fromkeys(e for e in entries(p for t in subterms(d.term) for p in polys(t)) if e.name in names)
        if (d.term.names & names) - {r.name for r in mine}:
            return None
        uses.extend((d, r) for r in mine)
    for choice in islice(product(*(range(len(d.indices)) for d in group)), 64):
        axes = dict(zip((d.name for d in group), choice))
        found = _along(group, uses, axes)
        if found is not None:
            return found
    return None


def _along(
    group: Sequence[Definition], uses: list[tuple[Definition, Ref | Entry]], axes: dict[str, int]
) -> RecurrencePlan | None:
    """The loop along these dimensions, where each use is an earlier step, or the same step of what comes before; else None."""
    signs = set()
    same: dict[str, set[str]] = {d.name: set() for d in group}
    for d, r in uses:
        index = d.indices[axes[d.name]]
        line = r.at[axes[r.name]].linear_in(index)
        if line is None or line[0] != 1 or line[1].constant is None:
            return None
        step = line[1].constant
        if step:
            signs.add(step > 0)
        else:
            same[d.name].add(r.name)
    if len(signs) != 1:
        return None
    order: list[Definition] = []
    left = list(group)
    while left:
        done = {d.name for d in order}
        ready = [d for d in left if same[d.name] <= done]
        if not ready:
            return None
        order.extend(ready)
        left = [d for d in left if d not in ready]
    return RecurrencePlan(axes, signs.pop(), tuple(order))
