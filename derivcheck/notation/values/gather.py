"""Reading a tensor at calculated positions, one group of dimensions after the other.

In ``a[n, c, p + u − 1, q + v − 1]`` no index stands in two positions: one dimension is read at the pairs ``(p, u)``, then
another at ``(q, v)``, which moves whole rows where the elements would be looked up one by one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from derivcheck.notation.integers.polynomials import Index
from derivcheck.notation.terms.nodes import Ref
from derivcheck.notation.values.axes import OverIndices
from derivcheck.notation.values.places import IntegersAt, Places


def gathered(machine: Places, array: Any, term: Ref) -> OverIndices | None:
    """What ``term`` reads of ``array``; None where all positions hang together, or some are not certain."""
    places = [machine.place(p) for p in term.at]
    groups = _groups(places)
    if len(groups) < 2 or any(p.open is not None for p in places):
        return None
    numbers = machine.numbers
    shape = numbers.shape(array)
    order = [k for group in groups for k in group]
    data = array if order == sorted(order) else numbers.permute(array, order)
    data = numbers.reshape(data, [math.prod(shape[k] for k in group) for group in groups])
    axes: list[Index] = []
    for at, group in enumerate(groups):
        own = machine.axes_of(frozenset().union(*(term.at[k].indices for k in group)))
        lengths = [machine.extent(i) for i in own]
        flat: Any = 0
        for k in group:
            flat = flat * shape[k] + machine.within(machine.place(term.at[k], own), shape[k])
        flat = np.broadcast_to(flat, lengths).reshape(-1)
        if len(flat) != math.prod(shape[k] for k in group) or (flat != np.arange(len(flat))).any():
            data = numbers.take(data, (slice(None),) * at + (flat,), None)
        axes += own
    return OverIndices(numbers.reshape(data, [machine.extent(i) for i in axes]), tuple(axes))


def _groups(places: list[IntegersAt]) -> list[list[int]]:
    """The positions in groups: those of two groups have no index in common."""
    groups: list[tuple[set[Index], list[int]]] = []
    for k, p in enumerate(places):
        apart = [g for g in groups if g[0].isdisjoint(p.axes)]
        met = [g for g in groups if g not in apart]
        groups = [*apart, (set(p.axes).union(*(g[0] for g in met)), sorted([*(j for g in met for j in g[1]), k]))]
    return sorted(g[1] for g in groups)
