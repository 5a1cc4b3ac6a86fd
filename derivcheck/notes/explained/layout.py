"""Where the values of a forward stand in a picture: a column per step, few crossings.

Source: the layers of K. Sugiyama, S. Tagawa, M. Toda, *Methods for visual understanding of hierarchical systems*, 1981.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Edge = tuple[str, str]


@dataclass
class Layout:
    """Columns and heights of values, and the heights at which long arrows pass the columns between.

    Attributes:
        column: the column of each value, from the left.
        height: how high each value stands, in steps.
        bends: for an arrow over several columns, the heights in those between.
    """

    column: dict[str, int] = field(default_factory=dict)
    height: dict[str, float] = field(default_factory=dict)
    bends: dict[Edge, list[float]] = field(default_factory=dict)


def layout(names: Sequence[str], edges: Sequence[Edge]) -> Layout:
    """Place the values; ``names`` are in an order in which each stands after what it is computed from.

    >>> found = layout(["x", "W", "y", "L"], [("x", "y"), ("W", "y"), ("y", "L"), ("x", "L")])
    >>> found.column, len(found.bends["x", "L"])
    ({'x': 0, 'W': 0, 'y': 1, 'L': 2}, 1)
    """
    column = _columns(names, edges)
    links: list[tuple[object, object]] = []
    levels: list[list[object]] = [[] for _ in range(max(column.values(), default=0) + 1)]
    for n in names:
        levels[column[n]].append(n)
    for a, b in edges:
        chain: list[object] = [a]
        for c in range(column[a] + 1, column[b]):
            chain.append((a, b, c))
            levels[c].append((a, b, c))
        chain.append(b)
        links += zip(chain, chain[1:])
    _order(levels, links)
    height = _heights(levels, links)
    found = Layout(column, {n: height[n] for n in names})
    for a, b in edges:
        found.bends[a, b] = [height[a, b, c] for c in range(column[a] + 1, column[b])]
    return found


def _columns(names: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """A column after all that a value is computed from; what is computed from nothing stands just before its first use."""
    before: dict[str, list[str]] = {n: [] for n in names}
    for a, b in edges:
        before[b].append(a)
    column: dict[str, int] = {}
    for n in names:
        column[n] = max((column[a] + 1 for a in before[n]), default=0)
    for n in names:
        if not before[n]:
            column[n] = min((column[b] - 1 for a, b in edges if a == n), default=0)
    return column


def _order(levels: list[list[object]], links: Iterable[tuple[object, object]]) -> None:
    """Order each column by the middle of what its values are linked to, some times to and fro."""
    before: dict[object, list[object]] = {}
    after: dict[object, list[object]] = {}
    for a, b in links:
        before.setdefault(b, []).append(a)
        after.setdefault(a, []).append(b)
    for turn in range(8):
        there = list(range(1, len(levels))) if turn % 2 == 0 else list(range(len(levels) - 2, -1, -1))
        for k in there:
            beside, near = (levels[k - 1], before) if turn % 2 == 0 else (levels[k + 1], after)
            place = {n: i for i, n in enumerate(beside)}
            own = {n: i for i, n in enumerate(levels[k])}

            def middle(n: object) -> tuple[float, int]:
                at = [place[m] for m in near.get(n, ()) if m in place]  # noqa: B023
                return (sum(at) / len(at) if at else own[n], own[n])  # noqa: B023

            levels[k].sort(key=middle)


def _heights(levels: list[list[object]], links: Iterable[tuple[object, object]]) -> dict[object, float]:
    """Heights one step apart at least, each near the middle of what it is linked to."""
    beside: dict[object, list[object]] = {}
    for a, b in links:
        beside.setdefault(a, []).append(b)
        beside.setdefault(b, []).append(a)
    height: dict[object, float] = {}
    for level in levels:
        for i, n in enumerate(level):
            height[n] = (len(level) - 1) / 2 - i
    for _ in range(12):
        for level in levels:
            wished = [sum(height[m] for m in beside.get(n, [n])) / len(beside.get(n, [n])) for n in level]
            _apart(level, wished, height)
    lowest = min(height.values(), default=0.0)
    return {n: h - lowest for n, h in height.items()}


def _apart(level: list[object], wished: list[float], height: dict[object, float]) -> None:
    """The wished heights of a column, pushed apart to one step, about the same middle."""
    placed: list[float] = []
    for w in wished:
        placed.append(w if not placed else min(w, placed[-1] - 1))
    shift = sum(wished) / len(wished) - sum(placed) / len(placed) if placed else 0.0
    for n, p in zip(level, placed):
        height[n] = p + shift
