"""The integers of an evaluation: how long indices are, the positions at which tensors are read, where brackets hold."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.notation.integers.atoms import Entry
from derivcheck.notation.integers.polynomials import Atom, Index, Poly, Size
from derivcheck.notation.integers.relations import holds
from derivcheck.notation.terms.nodes import Bracket, Term
from derivcheck.notation.values.axes import Axes, OverIndices
from derivcheck.notation.values.numbers import Bools, Mask, Numbers, Whole


class IntegersAt(NamedTuple):
    """Integers at positions, broadcast over ``axes``; ``open`` marks those that are not certain."""

    values: Any
    axes: tuple[Index, ...]
    open: Bools | None = None


class Places(Axes):
    """The sizes, the arrays found so far, and the integers that are made of them."""

    def __init__(self, numbers: Numbers) -> None:
        super().__init__(numbers)
        self.arrays: dict[str, Any] = {}
        self.wholes: dict[str, Whole] = {}
        self.extents: dict[Index, int] = {}
        self.sizes: Mapping[str, int] = {}

    @abstractmethod
    def value(self, term: Term) -> OverIndices:
        """What a term is worth."""

    def extent(self, index: Index) -> int:
        """How long an index is at these sizes, worked out once."""
        known = self.extents.get(index)
        if known is None:
            size = index.size.atom
            if index.size.indices:
                raise UnsupportedOperation("a ragged index", f"the size of {index} is {index.size}")
            if isinstance(size, Size) and size.name in self.sizes:
                known = self.sizes[size.name]
            else:
                known = int(self.place(index.size, ()).values)
            self.extents[index] = known
        return known

    def whole(self, name: str) -> Whole:
        found = self.wholes.get(name)
        if found is None:
            if name not in self.arrays:
                raise InputError(f"nothing defines {name!r} before it is used as a position")
            found = self.wholes[name] = self.numbers.whole(self.arrays[name])
        return found

    def axes_of(self, indices: Iterable[Index]) -> tuple[Index, ...]:
        return tuple(sorted((i for i in indices if i not in self.fixed), key=lambda i: (i.key, id(i))))

    def place(self, poly: Poly, axes: tuple[Index, ...] | None = None) -> IntegersAt:
        """The integers that an expression is, over the indices in it (or over ``axes``, broadcastable)."""
        if axes is None:
            axes = self.axes_of(poly.indices)
        doubt: list[Bools] = []
        rank = len(axes)

        def look(atom: Atom) -> Any:
            """The value of an atom: a size, a range over its axis, or the entries of an integer tensor."""
            if isinstance(atom, Size):
                if atom.name not in self.sizes:
                    raise InputError(f"the size {atom} is not determined by the inputs: give it with sizes=")
                return self.sizes[atom.name]
            if isinstance(atom, Index):
                if atom in self.fixed:
                    return self.fixed[atom]
                k = axes.index(atom)
                return np.arange(self.extent(atom)).reshape((1,) * k + (-1,) + (1,) * (rank - k - 1))
            assert isinstance(atom, Entry)
            source = self.whole(atom.name)
            at = tuple(self.within(self.place(p, axes), n) for p, n in zip(atom.at, source.values.shape))
            if 0 in source.values.shape:
                return np.zeros((1,) * rank, dtype=np.int64)
            if source.open is not None:
                doubt.append(np.asarray(source.open[at]))
            return source.values[at]

        values = poly.evaluate(look)
        opened = None if not doubt else np.logical_or.reduce(np.broadcast_arrays(*doubt))
        return IntegersAt(values, axes, opened)

    @staticmethod
    def within(place: IntegersAt, length: int) -> Any:
        """Positions that are beyond the ends, as a bracket may allow, at the ends."""
        return np.clip(place.values, 0, max(length - 1, 0))

    def mask(self, b: Bracket) -> tuple[Mask, tuple[Index, ...]]:
        """Where a bracket holds, over the indices in it."""
        if isinstance(b.operand, Poly):
            place = self.place(b.operand)
            v = np.asarray(place.values)
            shape = tuple(self.extent(i) for i in place.axes)
            opened = None if place.open is None else np.broadcast_to(place.open, shape)
            return Mask(np.broadcast_to(holds(b.relation, v), shape), opened, bool(b.operand.names)), place.axes
        inner = self.value(b.operand)
        return self.numbers.compare(b.relation, inner.data), inner.axes
