"""The sizes that the traced code reads: each comes back as a number that carries its expression (``watched.py``).

A read is named after the tensor and the axis, ``?12.0`` for axis 0 of tensor 12; what that is as a function of the sizes of
the inputs is known when the operators that made the tensor have been understood (``unify.py``).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from math import prod
from types import CodeType, FrameType
from typing import Any, SupportsIndex

import torch

from derivcheck.notation.integers.polynomials import as_poly, size
from derivcheck.tracing.recording.types_read import asks_for_types
from derivcheck.tracing.watching.log import CodeLine, Escape, Log
from derivcheck.tracing.watching.made_of_sizes import bare
from derivcheck.tracing.watching.real import Real
from derivcheck.tracing.watching.stands import Stands
from derivcheck.tracing.watching.watched import Watched
from derivcheck.tracing.watching.whose_code import HERE, READERS, TORCH, user_file

_SHAPE, _NBYTES = torch.Tensor.shape.__get__, torch.Tensor.nbytes.__get__  # type: ignore[attr-defined]
SIZES: set[Any] = {
    _SHAPE,
    _NBYTES,
    torch.Tensor.size,
    torch.Tensor.__len__,
    torch.Tensor.numel,
    torch.Tensor.nelement,
    torch.Tensor.stride,
    torch.Tensor.storage_offset,
    torch.numel,
}
LAYOUT: set[Any] = {torch.Tensor.stride, torch.Tensor.storage_offset, torch.Tensor.is_contiguous}
MEMORY: set[Any] = {torch.Tensor.untyped_storage, torch.Tensor.storage, torch.Tensor.data_ptr}
_COUNTS: set[Any] = {torch.Tensor.numel, torch.Tensor.nelement, torch.numel, _NBYTES}
_BETWEEN = (
    *(
        os.path.join(HERE, "tracing", *f"{n}.py".split("/"))
        for n in ("recording/reads", "recording/python_calls", "watching/stands")
    ),
    TORCH + "overrides.py",
    TORCH + "_tensor.py",
)


class Reads:
    """The sizes that one recording handed out.

    Attributes:
        values: what each read gave, by its name.
        log: what the code did with them.
        readers: the code that read them.
        number: the number of a tensor in the recording, None for one that the code holds.
    """

    def __init__(self, number: Callable[[torch.Tensor], int | None], watch: bool = True) -> None:
        self.watch = watch
        self.values: dict[str, int] = {}
        self.log, self.number, self.stands = Log(), number, Stands()
        self.readers: set[CodeType] = set()

    def read(self, func: Any, args: Any, kwargs: Any) -> Any:
        """A size, or several, that the code reads."""
        value = func(*args, **kwargs)
        frame = reader(sys._getframe(1))
        number = self.number(args[0]) if frame is not None else None
        if frame is None or number is None:
            return value
        self.readers.add(frame.f_code)
        if not self.watch:
            if user_file(frame.f_code.co_filename):
                read = frozenset(f"?{number}.{axis}" for axis in range(args[0].dim()))
                self.log.escapes.append(Escape(read, "a plain int", CodeLine.of(frame)))
            return value
        f: FrameType | None = frame
        while f is not None and (user_file(f.f_code.co_filename) or f.f_code.co_filename.startswith(READERS)):
            self.stands.within(f.f_globals)
            f = f.f_back
        dims = self.dims(args[0])
        if func in _COUNTS:
            count = prod(dims, start=Watched.of(1, as_poly(1), self.log))
            return count if func is not _NBYTES else count * args[0].element_size()
        if func is torch.Tensor.__len__:
            return dims[0]
        if func is torch.Tensor.stride or func is torch.Tensor.storage_offset:
            return self._layout(value, args[0], dims, number)
        return Shape(dims) if isinstance(value, tuple) else dims[_axis(args, kwargs)]

    def dims(self, t: torch.Tensor) -> list[Any]:
        """The sizes of a tensor, watched; those of a tensor that the code holds are numbers."""
        with torch._C.DisableTorchFunction():
            shape, number = tuple(t.shape), self.number(t)
        return (
            list(shape)
            if number is None or not self.watch
            else [self._one(v, f"?{number}.{axis}") for axis, v in enumerate(shape)]
        )

    @property
    def asks_for_types(self) -> bool:
        """Whether code that reads a size goes by the type of something: a watched number's is not ``int``."""
        return any(asks_for_types(c) for c in self.readers)

    def _layout(self, value: Any, t: torch.Tensor, dims: list[Any], number: int) -> Any:
        """Strides of a contiguous tensor are products of its sizes; others, and offsets, are looked up by their values."""
        if not isinstance(value, tuple):
            strides = t.stride()
            axis = next((a for a, s in enumerate(strides) if s == value), None)
            if t.is_contiguous() and axis is not None and value != t.storage_offset():
                return prod(dims[axis + 1 :], start=Watched.of(1, as_poly(1), self.log))
            return self._one(value, f"?{number}:{len(self.values)}")
        if t.is_contiguous():
            return tuple(prod(dims[a + 1 :], start=Watched.of(1, as_poly(1), self.log)) for a in range(len(dims)))
        return tuple(self._one(v, f"?{number}:{len(self.values)}") for v in value)

    def _one(self, value: int, key: str) -> Watched:
        self.values[key] = value
        return Watched.of(value, size(key), self.log)


def _axis(args: Any, kwargs: Any) -> int:
    return int(bare(args[1] if len(args) > 1 else kwargs["dim"]))


class Shape(tuple[Any, ...]):
    """A ``torch.Size`` of watched sizes, which cannot be subclassed."""

    __class__ = property(lambda self: torch.Size)

    def numel(self) -> int:
        """The product of the sizes."""
        return prod(self)

    def __getitem__(self, at: SupportsIndex | slice) -> Any:
        found = tuple.__getitem__(self, at)
        return Shape(found) if isinstance(at, slice) else found

    def __add__(self, other: tuple[Any, ...]) -> Any:
        return Shape(tuple.__add__(self, tuple(other)))

    def __radd__(self, other: tuple[Any, ...]) -> Any:
        return Shape(tuple.__add__(tuple(other), tuple(self)))

    def __reduce__(self) -> Any:
        return torch.Size, (tuple(map(bare, self)),)


def carried(value: Any) -> bool:
    """Whether a watched number stands somewhere in arguments."""
    if isinstance(value, (Watched, Real)):
        return True
    if isinstance(value, (list, tuple)):
        return any(map(carried, value))
    if isinstance(value, dict):
        return any(map(carried, value.values()))
    return isinstance(value, slice) and any(map(carried, (value.start, value.stop, value.step)))


def leaves(value: Any) -> list[Any]:
    """The numbers of arguments in order, watched or not."""
    if isinstance(value, bool):
        return []
    if isinstance(value, (int, float)):
        return [value]
    if isinstance(value, (list, tuple)):
        return [x for v in value for x in leaves(v)]
    if isinstance(value, dict):
        return [x for v in value.values() for x in leaves(v)]
    return [x for v in (value.start, value.stop, value.step) for x in leaves(v)] if isinstance(value, slice) else []


def stripped(value: Any) -> Any:
    """The arguments with plain numbers."""
    if isinstance(value, Shape):
        return torch.Size(map(bare, value))
    if isinstance(value, (list, tuple)) and carried(value):
        made = [stripped(v) for v in value]
        return type(value)(*made) if hasattr(value, "_fields") else type(value)(made)
    if isinstance(value, dict) and carried(value):
        return {k: stripped(v) for k, v in value.items()}
    if isinstance(value, slice):
        return slice(*map(bare, (value.start, value.stop, value.step)))
    return bare(value)


def rewatched(args: Any, kwargs: Any, given: tuple[Any, ...]) -> Any:
    """The arguments with the numbers that the code passed, where they are the same ones."""
    if not any(isinstance(g, (Watched, Real)) for g in given) or list(map(bare, given)) != leaves((args, kwargs)):
        return args
    numbers = iter(given)

    def put(value: Any) -> Any:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return next(numbers)
        return type(value)(map(put, value)) if type(value) in (list, tuple) else value

    return put(tuple(args))


def reader(start: FrameType | None) -> FrameType | None:
    """The frame that reads a size: the user's, or torch's own layers and functions; None for anything deeper."""
    f = start
    while f is not None and f.f_code.co_filename.startswith(_BETWEEN):
        f = f.f_back
    file = "" if f is None else f.f_code.co_filename
    return f if user_file(file) or file.startswith(READERS) else None


def by_user(start: FrameType | None) -> bool:
    """Whether the user's own code calls."""
    while start is not None and start.f_code.co_filename.startswith(_BETWEEN):
        start = start.f_back
    return start is not None and user_file(start.f_code.co_filename)


__all__ = ["LAYOUT", "MEMORY", "Reads", "SIZES", "Shape", "by_user", "carried", "leaves", "reader", "rewatched", "stripped"]
