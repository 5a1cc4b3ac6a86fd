"""Memory while a function is read: a cell per variable, reads and writes of parts of it, and its two ways brought together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from derivcheck.kernels.cuda.source.types import Array, Scalar, Type, Vector
from derivcheck.kernels.cuda.values.pointers import loaded, moved_flat, put_flat, put_shared, taken_shared
from derivcheck.kernels.cuda.values.values import (
    Aggregate,
    CNumber,
    CRef,
    Load,
    Null,
    ReadsBefore,
    Refused,
    Start,
    Unset,
    Value,
    chosen,
    get,
    mapped,
    put,
    type_of,
)
from derivcheck.kernels.lanes.flat import FlatMemory
from derivcheck.kernels.lanes.thread_groups import Shared
from derivcheck.kernels.lanes.wholes import WholeNumber

Store = dict[int, Value]


class Memory:
    """The cells, and which parameters were added to before anything was written to them."""

    def __init__(self) -> None:
        """``outputs`` are the cells that are results; ``added`` results that were added to before they were written."""
        self.store: Store = {}
        self.added: dict[str, None] = {}
        self.outputs: dict[int, str] = {}
        self.writers: dict[str, dict[tuple[tuple[int, ...], str], None]] = {}
        self.line = ""
        self.lanes: Any = None
        self.written: set[int] = set()
        self.lowest = 0  # the lowest cell that was written since this was set
        self._next = 0

    def new(self, value: Value, kind: Type) -> CRef:
        """A cell with a value in it."""
        self._next += 1
        self.store[self._next] = value
        return CRef(self._next, (), kind)

    def hold(self, memory: FlatMemory | Shared) -> int:
        """A cell for memory that pointers point into."""
        self._next += 1
        self.store[self._next] = memory
        return self._next

    @property
    def mark(self) -> int:
        """What cells that are made from now on lie above."""
        return self._next

    def forget(self, mark: int) -> None:
        """Drop the cells above a mark."""
        self.store = {c: v for c, v in self.store.items() if c <= mark}

    def raw(self, ref: CRef) -> Value:
        """What lies at a place, whether it was written or not."""
        held = self.store[ref.cell]
        if isinstance(held, Shared):
            return taken_shared(held, ref, self.lanes)
        return loaded(held, ref, self.line) if isinstance(held, FlatMemory) else get(held, ref.path)

    def read(self, ref: CRef) -> Value:
        """The value at a place; an output that was added to is an input as well, where it is read."""
        owner = self.outputs.get(ref.cell)
        if owner in self.added:
            raise ReadsBefore(owner)
        return settled(self.raw(ref))

    def old(self, ref: CRef) -> Value:
        """The value at a place that is about to be added to: what was not written yet starts from zero."""

        def leaf(v: Value) -> Value:
            if isinstance(v, Start):
                self.added[v.owner] = None
                return CNumber(0, ref.type if isinstance(ref.type, Scalar) else _REAL)
            return settled(v)

        return mapped(leaf, self.raw(ref))

    def write(self, ref: CRef, value: Value) -> None:
        """Put a value at a place; of results it is kept which line did."""
        if ref.cell in self.outputs:
            self.writers.setdefault(self.outputs[ref.cell], {})[ref.path, self.line] = None
        held = self.store[ref.cell]
        if isinstance(held, (FlatMemory, Shared)):
            self.lowest = min(self.lowest, ref.cell)
            if isinstance(held, Shared):
                put_shared(held, ref, value, self.lanes)
            else:
                put_flat(held, ref, value, self.line)
            return
        self.lowest = min(self.lowest, ref.cell)
        self.written.add(ref.cell)
        self.store[ref.cell] = put(self.store[ref.cell], ref.path, value)

    def add(self, ref: CRef, value: Value, atomic: bool = False) -> bool:
        """Add to flat memory; False where this is none."""
        held = self.store[ref.cell]
        if isinstance(held, Shared):
            raise Refused(f"{held.name}[…]", "what is added to shared memory is not read but for a tree")
        if not isinstance(held, FlatMemory):
            return False
        self.lowest = min(self.lowest, ref.cell)
        put_flat(held, ref, value, self.line, "atomic" if atomic else "add")
        return True

    def joined(self, condition: Any, yes: Store, no: Store) -> Store:
        """The cells after an ``if``, whichever way it went."""
        found = {}
        for cell in yes.keys() & no.keys():
            a, b = yes[cell], no[cell]
            found[cell] = a if a is b else chosen(condition, a, b)
        return found


_REAL = Scalar("float")


def settled(value: Value) -> Value:
    """A value that may be used: elements are loaded, and what was not written is refused."""

    def leaf(v: Value) -> Value:
        """One number: loaded now where it was not yet; refused where nothing was written."""
        if isinstance(v, Load):
            return v.take()
        if isinstance(v, Start):
            raise ReadsBefore(v.owner)
        if isinstance(v, Unset):
            how = "may not have been" if v.partly else "was not"
            raise Refused("a variable", f"it is read and {how} written before", "Give it a value where it is declared.")
        return v

    if not any(isinstance(v, (Load, Start, Unset)) for v in leaves(value)):
        return value
    return mapped(leaf, value)


def leaves(value: Value) -> Iterator[Value]:
    """The parts of a value that have no parts, as they lie in memory."""
    if isinstance(value, Aggregate):
        for v in value.items:
            yield from leaves(v)
    else:
        yield value


def part(ref: CRef, k: int, kind: Type) -> CRef:
    """The k-th part of a place."""
    return CRef(ref.cell, (*ref.path, k), kind)


def moved(pointer: Value, by: Any, memory: Memory) -> CRef:
    """``pointer + by``."""
    if isinstance(pointer, Null):
        raise Refused("the null pointer", "it points to nothing")
    if not isinstance(pointer, CRef):
        raise Refused("pointer arithmetic", "this is no pointer")
    if isinstance(memory.store[pointer.cell], (FlatMemory, Shared)):
        return moved_flat(pointer, by)
    if isinstance(by, (torch.Tensor, WholeNumber)):
        raise Refused("a position that depends on data", "it is not known where that is", "Give whole numbers a value.")
    if by == 0:
        return pointer
    around = get(memory.store[pointer.cell], pointer.path[:-1]) if pointer.path else None
    if not isinstance(around, Aggregate) or not isinstance(around.type, (Array, Vector)):
        raise Refused("pointer arithmetic", "it leaves the object that is pointed to")
    return CRef(pointer.cell, (*pointer.path[:-1], pointer.path[-1] + int(by)), pointer.type)


__all__ = ["Memory", "Store", "moved", "part", "settled", "type_of"]
