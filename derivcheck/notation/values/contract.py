"""Sums of products, two factors at a time.

Three factors at once (``nk,pi,ni->pk``) cost thousands of times more than two steps of two, so the
cheapest pair goes first; each step is one batched matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from itertools import combinations

from derivcheck.notation.integers.polynomials import Index
from derivcheck.notation.values.axes import Axes, OverIndices


def contract(machine: Axes, factors: list[OverIndices], indices: tuple[Index, ...]) -> OverIndices:
    """``Σ`` over ``indices`` of the product of the factors."""
    numbers = machine.numbers
    summed = [i for i in indices if i not in machine.fixed]
    values = list(factors)
    missing = [i for i in summed if not any(i in v.axes for v in values)]
    times = math.prod(machine.extent(i) for i in missing)
    scalars = [v for v in values if not v.axes]
    values = [v for v in values if v.axes]
    summed = [i for i in summed if i not in missing]
    while len(values) > 1:
        pairs = list(combinations(range(len(values)), 2))
        left, right = min(pairs, key=lambda pair: _cost(machine, values, pair, summed)) if len(pairs) > 1 else pairs[0]
        others = [v for k, v in enumerate(values) if k not in (left, right)]
        ready = [i for i in summed if not any(i in v.axes for v in others)]
        values = [*others, _pair(machine, values[left], values[right], ready)]
        summed = [i for i in summed if i not in ready]
    result = values[0] if values else _one(machine)
    result = _sum(machine, result, summed)
    for s in scalars:
        result = machine.binary("mul", s, result)
    if missing:
        result = machine.binary("mul", OverIndices(numbers.number(Fraction(times)), ()), result)
    return result


def _one(machine: Axes) -> OverIndices:
    return OverIndices(machine.numbers.number(Fraction(1)), ())


def _cost(machine: Axes, values: list[OverIndices], pair: tuple[int, int], summed: list[Index]) -> tuple[int, int]:
    axes = set(values[pair[0]].axes) | set(values[pair[1]].axes)
    others = {i for k, v in enumerate(values) if k not in pair for i in v.axes}
    work = math.prod(machine.extent(i) for i in axes)
    left = math.prod(machine.extent(i) for i in axes if i not in summed or i in others)
    return work, left


def _sum(machine: Axes, value: OverIndices, indices: Iterable[Index]) -> OverIndices:
    dims = tuple(value.axes.index(i) for i in indices if i in value.axes)
    if not dims:
        return value
    kept = tuple(i for k, i in enumerate(value.axes) if k not in dims)
    return OverIndices(machine.numbers.sum(value.data, dims), kept)


def _pair(machine: Axes, left: OverIndices, right: OverIndices, summed: list[Index]) -> OverIndices:
    """One step: multiply two factors and sum over what no other factor needs."""
    left = _sum(machine, left, [i for i in summed if i not in right.axes])
    right = _sum(machine, right, [i for i in summed if i not in left.axes])
    inner = [i for i in left.axes if i in right.axes and i in summed]
    batch = [i for i in left.axes if i in right.axes and i not in summed]
    rows = [i for i in left.axes if i not in right.axes]
    columns = [i for i in right.axes if i not in left.axes]
    if not inner or not rows and not columns:
        return _sum(machine, machine.binary("mul", left, right), inner)
    numbers = machine.numbers

    def size(indices: list[Index]) -> int:
        return math.prod(machine.extent(i) for i in indices)

    a = numbers.reshape(machine.align(left, (*batch, *rows, *inner)), (size(batch), size(rows), size(inner)))
    b = numbers.reshape(machine.align(right, (*batch, *inner, *columns)), (size(batch), size(inner), size(columns)))
    out = (*batch, *rows, *columns)
    data = numbers.reshape(numbers.matmul(a, b), [machine.extent(i) for i in out])
    return OverIndices(data, out)
