"""Numbers over indices: values with an axis per index, brought together before they are calculated with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, NamedTuple

from derivcheck.notation.integers.polynomials import Index
from derivcheck.notation.values.numbers import Numbers


class OverIndices(NamedTuple):
    """Numbers with one axis per index (in any order; an index that they do not depend on has none)."""

    data: Any
    axes: tuple[Index, ...]


class Axes(ABC):
    """What is known of the indices while terms are evaluated.

    Attributes:
        numbers: what is computed with.
        fixed: the indices that stand for one place, inside a recurrence.
    """

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers
        self.fixed: dict[Index, int] = {}

    @abstractmethod
    def extent(self, index: Index) -> int:
        """How many places an index has."""

    def union(self, many: Iterable[tuple[Index, ...]]) -> tuple[Index, ...]:
        return tuple(dict.fromkeys(i for axes in many for i in axes))

    def align(self, value: OverIndices, axes: tuple[Index, ...]) -> Any:
        """The data with its axes in the order of ``axes``, of length 1 where it has none."""
        if value.axes == axes:
            return value.data
        present = [i for i in axes if i in value.axes]
        data, order = value.data, [value.axes.index(i) for i in present]
        if order != list(range(len(order))):
            data = self.numbers.permute(data, order)
        shape = self.numbers.shape(data)
        lengths = dict(zip(present, shape))
        return self.numbers.reshape(data, [lengths.get(i, 1) for i in axes])

    def spread(self, value: OverIndices, axes: tuple[Index, ...]) -> Any:
        """The data over all of ``axes``."""
        data = self.align(value, axes)
        shape = tuple(self.extent(i) for i in axes)
        return data if self.numbers.shape(data) == shape else self.numbers.expand(data, shape)

    def binary(self, operation: str, left: OverIndices, right: OverIndices) -> OverIndices:
        if left.axes == right.axes or not right.axes or not left.axes:  # they broadcast as they are
            return OverIndices(getattr(self.numbers, operation)(left.data, right.data), left.axes or right.axes)
        axes = self.union((left.axes, right.axes))
        return OverIndices(getattr(self.numbers, operation)(self.align(left, axes), self.align(right, axes)), axes)
