"""What an expression is worth: numbers, aggregates of them, and places in memory.

A number is a Python one where the source tells it, and a tensor over the threads otherwise.  Values do not change: a store
makes a new aggregate, so that the two ways of an ``if`` can be taken one after the other and brought together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from derivcheck.kernels.cuda.source.types import BOOL, Array, Matrix, Pointer, Quaternion, Scalar, Struct, Type, Vector
from derivcheck.kernels.lanes.carried import Carried, Larger
from derivcheck.kernels.lanes.flat import FlatMemory
from derivcheck.kernels.lanes.lanes import Lanes
from derivcheck.kernels.lanes.refused import Refused as Refused
from derivcheck.kernels.lanes.thread_groups import IsFirst, Shared
from derivcheck.kernels.lanes.wholes import Symbolic, WholeNumber, poly_of, whole


class ReadsBefore(Exception):
    """A parameter that may be an output is read before it is written: it is an input, too."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, eq=False)
class CNumber:
    """A number of a C type: ``value`` is a Python number, a tensor, or an expression (a whole number, what a loop carries)."""

    value: Any
    type: Scalar

    @property
    def known(self) -> bool:
        """Whether the source tells it."""
        return not isinstance(self.value, (torch.Tensor, Symbolic))


@dataclass(frozen=True, eq=False)
class Aggregate:
    """The parts of a vector, matrix (its columns), array or struct."""

    type: Vector | Matrix | Quaternion | Array | Struct
    items: tuple[Value, ...]


@dataclass(frozen=True)
class Start:
    """What an output holds before anything is written to it: zero, for what is added."""

    owner: str


@dataclass(frozen=True)
class Unset:
    """A variable that was not written, or on one way only."""

    partly: bool = False


@dataclass(frozen=True)
class CRef:
    """A place in memory: a variable, the way to a part of it, and what lies there.  A pointer's value is one, too."""

    cell: int
    path: tuple[Any, ...]
    type: Type


@dataclass(frozen=True)
class Referred:
    """A place that a function returned a reference to; an expression is worth what lies there."""

    place: CRef


@dataclass(frozen=True)
class Null:
    """The null pointer."""


@dataclass(frozen=True, eq=False)
class Load:
    """An element of a tensor, taken when it is read."""

    take: Callable[[], Value]


@dataclass(frozen=True, eq=False)
class Braces:
    """A list in braces, before it is known of which type."""

    items: tuple[Value, ...]


Value: TypeAlias = CNumber | Aggregate | Start | Unset | CRef | Referred | Null | Load | Braces | FlatMemory | Shared

_PARTLY = Unset(partly=True)


def filled(kind: Type, leaf: Value) -> Value:
    """A value of a type with the same leaf everywhere."""
    return aggregate_of(kind, lambda path: leaf)


def aggregate_of(kind: Type, leaf: Callable[[tuple[int, ...]], Value], path: tuple[int, ...] = ()) -> Value:
    """A value of a type, each leaf by its path."""
    if isinstance(kind, Vector):
        return Aggregate(kind, tuple(leaf((*path, k)) for k in range(kind.n)))
    if isinstance(kind, Quaternion):
        return Aggregate(kind, tuple(leaf((*path, k)) for k in range(4)))
    if isinstance(kind, Matrix):
        return Aggregate(kind, tuple(aggregate_of(kind.column, leaf, (*path, k)) for k in range(kind.columns)))
    if isinstance(kind, Array):
        return Aggregate(kind, tuple(aggregate_of(kind.of, leaf, (*path, k)) for k in range(kind.n or 0)))
    if isinstance(kind, Struct):
        return Aggregate(kind, tuple(aggregate_of(t, leaf, (*path, k)) for k, (_, t) in enumerate(kind.fields)))
    return leaf(path)


def get(value: Value, path: Sequence[int]) -> Value:
    """The part of a value at a path."""
    for k in path:
        if not isinstance(value, Aggregate):
            raise Refused("a part of a number", "it has no parts")
        if not 0 <= k < len(value.items):
            raise Refused(f"position {k}", f"it lies outside of the {len(value.items)} elements there are")
        value = value.items[k]
    return value


def put(value: Value, path: Sequence[int], new: Value) -> Value:
    """The value with another part at a path."""
    if not path:
        return new
    if not isinstance(value, Aggregate):
        raise Refused("a part of a number", "it has no parts")
    k, items = path[0], list(value.items)
    if not 0 <= k < len(items):
        raise Refused(f"position {k}", f"it lies outside of the {len(items)} elements there are")
    items[k] = put(items[k], path[1:], new)
    return Aggregate(value.type, tuple(items))


def leaves(value: Value) -> list[Value]:
    """The leaves of a value, in memory order."""
    if isinstance(value, Aggregate):
        return [x for v in value.items for x in leaves(v)]
    return [value]


def mapped(f: Callable[..., Value], *values: Value) -> Value:
    """``f`` on the leaves of values of one shape."""
    first = values[0]
    if not isinstance(first, Aggregate):
        return f(*values)
    rows = zip(*(v.items for v in values if isinstance(v, Aggregate)))
    return Aggregate(first.type, tuple(mapped(f, *row) for row in rows))


def chosen(condition: Any, yes: Value, no: Value) -> Value:
    """``condition ? yes : no``, leaf by leaf."""
    if yes is no:
        return yes
    if isinstance(yes, Aggregate) and isinstance(no, Aggregate):
        if len(yes.items) != len(no.items):
            raise Refused("a choice", "its two ways have values of different lengths")
        return Aggregate(yes.type, tuple(chosen(condition, a, b) for a, b in zip(yes.items, no.items)))
    yes, no = (v.take() if isinstance(v, Load) else v for v in (yes, no))
    if yes == no and not isinstance(yes, CNumber):
        return yes
    if isinstance(yes, Unset) or isinstance(no, Unset):
        return _PARTLY
    yes, no = (CNumber(0, BOOL) if isinstance(v, Start) else v for v in (yes, no))
    if isinstance(yes, CNumber) and isinstance(no, CNumber):
        kind = max(yes.type, no.type, key=lambda t: t.rank)
        if yes.known and no.known and yes.value == no.value:
            return CNumber(yes.value, kind)
        if any(isinstance(v, Symbolic) for v in (condition, yes.value, no.value)):
            return CNumber(_symbolic(condition, yes.value, no.value), kind)
        return CNumber(_where(condition, yes.value, no.value), kind)
    raise Refused("a choice between two pointers", "which memory is meant depends on data")


def _symbolic(condition: Any, yes: Any, no: Any) -> Any:
    """A choice that a loop carries, or of whole numbers."""
    if isinstance(condition, IsFirst):
        raise Refused("a variable", "the first lane alone changes it", "Write to memory instead.")
    if isinstance(condition, Larger):
        return condition.kept(yes, no)
    if isinstance(yes, Carried):
        return yes.chosen(condition, no, True)
    if isinstance(no, Carried):
        return no.chosen(condition, yes, False)
    if not all(isinstance(v, (WholeNumber, int)) for v in (yes, no)):
        yes, no = (v.tensor() if isinstance(v, WholeNumber) else v for v in (yes, no))
        return _where(condition, yes, no)
    a, b = poly_of(yes), poly_of(no)
    lanes = next(v.lanes for v in (yes, no) if isinstance(v, WholeNumber))
    assert isinstance(lanes, Lanes)
    return whole(a if a is b else lanes.datum("?", torch.where(condition, lanes.tensor(a), lanes.tensor(b))), lanes)


def _where(condition: torch.Tensor, yes: Any, no: Any) -> torch.Tensor:
    """``torch.where`` in the type of the tensors; two numbers make a float, a bool or a whole number, as they are."""
    tensors = [v for v in (yes, no) if isinstance(v, torch.Tensor)]
    floating = any(v.is_floating_point() for v in tensors) or any(isinstance(v, float) for v in (yes, no))
    kinds = {v.dtype for v in tensors}
    if len(tensors) == 1 and (tensors[0].is_floating_point() or not floating) and tensors[0].dtype != torch.bool:
        return torch.where(condition, yes, no)
    if len(kinds) == 1 and len(tensors) == 2:
        return torch.where(condition, yes, no)
    dtype = next((v.dtype for v in tensors if v.is_floating_point()), None)
    if dtype is None:
        whole = all(isinstance(v, bool) or isinstance(v, torch.Tensor) and v.dtype == torch.bool for v in (yes, no))
        dtype = FLOATS[-1] if floating else torch.bool if whole else torch.int64
    return torch.where(condition, as_tensor(yes, dtype), as_tensor(no, dtype))


FLOATS = [torch.float64]
"""The floating-point type of the call that runs, last: what a number becomes that no tensor gives a type."""


def as_tensor(value: Any, dtype: torch.dtype) -> torch.Tensor:
    """A number as a tensor of a dtype."""
    if isinstance(value, torch.Tensor):
        return value if value.dtype == dtype else value.to(dtype)
    return torch.full((), value, dtype=dtype)


def type_of(value: Value) -> Type | None:
    """The C type of a value; None for what has none by itself."""
    if isinstance(value, (CNumber, Aggregate)):
        return value.type
    if isinstance(value, CRef):
        return Pointer(value.type)
    return None
