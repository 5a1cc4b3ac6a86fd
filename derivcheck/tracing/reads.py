"""How traced code comes by sizes: what it reads of a tensor's shape is handed out as watched numbers.

A read is known by its place in the code; what it reads, as a function of the sizes, is fitted over the recordings.  While
the code runs, ``len`` keeps a watched number, and so do ``int``, ``float`` and ``range`` in the modules that read sizes.
"""

from __future__ import annotations

import builtins
import dis
import operator
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from math import prod
from types import CodeType, FrameType
from typing import Any, SupportsIndex

import torch

from derivcheck.notation.sizes import Poly, Size, size
from derivcheck.tracing.fit import Fit
from derivcheck.tracing.places import HERE, TORCH, user_file
from derivcheck.tracing.watched import Log, Quotient, Watched, bare, quotient

SIZES: set[Any] = {
    torch.Tensor.shape.__get__,  # type: ignore[attr-defined]
    torch.Tensor.nbytes.__get__,  # type: ignore[attr-defined]
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
_BETWEEN = (HERE, TORCH + "overrides.py", TORCH + "_tensor.py")
_READERS = (TORCH + "nn" + os.sep,)


class Reads:
    """The sizes that one recording handed out.

    Attributes:
        values: what each read gave, by its key.
        log: what the code did with them.
    """

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.log = Log(branches=_may_branch)
        self._changed: list[tuple[dict[str, Any], str]] = []

    def read(self, value: Any) -> Any:
        """A size, or several, that the code reads."""
        frame = _reader(sys._getframe(1))
        if frame is None:
            return value
        if user_file(frame.f_code.co_filename):
            self._stand_in(frame.f_globals)
        at = f"?{frame.f_code.co_filename}:{frame.f_lineno}:{frame.f_lasti}"
        if isinstance(value, tuple):
            return Shape(self._one(v, f"{at}.{axis}") for axis, v in enumerate(value))
        return self._one(value, at)

    def _one(self, value: int, at: str) -> int:
        count = 0
        while f"{at}#{count}" in self.values:
            count += 1
        key = f"{at}#{count}"
        self.values[key] = value
        return Watched.of(value, size(key), self.log)

    def _stand_in(self, names: dict[str, Any]) -> None:
        for name, stand in _STANDS.items():
            if name not in names:
                names[name] = stand
                self._changed.append((names, name))

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While the code runs, the numbers stay watched through ``len``, ``int``, ``float``, ``range``, ``operator.index``."""
        length, index = builtins.len, operator.index
        builtins.len, operator.index = _length, _index
        try:
            yield
        finally:
            builtins.len, operator.index = length, index
            for names, name in self._changed:
                del names[name]
            self._changed.clear()


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


_real_length, _real_index = builtins.len, operator.index


def _length(x: Any) -> int:
    # The interpreter makes an int of what Tensor.__len__ returns.
    return x.shape[0] if isinstance(x, torch.Tensor) and x.ndim else _real_length(x)


def _index(x: Any) -> int:
    _plain([x], sys._getframe(1))
    return _real_index(x)


def _plain(values: Sequence[Any], frame: FrameType) -> None:
    for x in values:
        if type(x) is Watched or type(x) is Quotient:
            x.log.escaped(x.poly, frame)


class _Stand(type):
    """A class that stands for a builtin one where watched numbers pass through it."""

    kind: type
    made: Callable[..., Any]

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls.made(*args, **kwargs)

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, cls.kind)

    def __subclasscheck__(cls, c: type) -> bool:
        return issubclass(c, cls.kind)

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls.kind, name)

    def __eq__(cls, other: object) -> bool:
        return other is cls or other is cls.kind

    def __hash__(cls) -> int:
        return hash(cls.kind)


def _int(*args: Any, **kwargs: Any) -> int:
    if len(args) == 1 and type(args[0]) is Watched:
        return args[0]
    if len(args) == 1 and type(args[0]) is Quotient:
        return args[0].__trunc__()  # type: ignore[no-any-return]
    return int(*args, **kwargs)


def _float(*args: Any) -> float:
    return quotient(args[0], 1, args[0].log) if args and type(args[0]) is Watched else float(*args)


def _range(*args: Any) -> range:
    _plain(args, sys._getframe(2))
    return range(*map(bare, args))


_STANDS: dict[str, Any] = {
    kind.__name__: _Stand(kind.__name__, (), {"kind": kind, "made": staticmethod(made)})
    for kind, made in ((int, _int), (float, _float), (range, _range))
}


def _reader(start: FrameType | None) -> FrameType | None:
    """The frame that reads a size: the user's, or torch's own layers and functions; None for anything deeper."""
    f = start
    while f is not None and f.f_code.co_filename.startswith(_BETWEEN):
        f = f.f_back
    file = "" if f is None else f.f_code.co_filename
    return f if user_file(file) or file.startswith(_READERS) else None


def by_user(start: FrameType | None) -> bool:
    """Whether the user's own code calls."""
    while start is not None and start.f_code.co_filename.startswith(_BETWEEN[1:]):
        start = start.f_back
    return start is not None and user_file(start.f_code.co_filename)


def _may_branch(frame: FrameType) -> bool:
    """Whether the user's code around a place can choose by a number: it has branches."""
    f: FrameType | None = frame
    while f is not None:
        if user_file(f.f_code.co_filename):
            if _branches(f.f_code):
                return True
        elif f.f_code.co_filename.startswith(HERE):
            return False
        f = f.f_back
    return False


@lru_cache(maxsize=4096)
def _branches(code: CodeType) -> bool:
    if not {"min", "max", "sorted", "round"}.isdisjoint(code.co_names):
        return True
    jumps = (i.opname for i in dis.get_instructions(code))
    return any("JUMP" in name and "IF" in name and "NONE" not in name for name in jumps)


def fitted(
    keys: Sequence[str], reads: Sequence[Mapping[str, int]], assignments: Sequence[Mapping[str, int]], fit: Fit
) -> dict[Size, Poly]:
    """What each read is as a function of the sizes, where that can be found."""
    found: dict[Size, Poly] = {}
    for key in keys:
        at = [k for k, r in enumerate(reads) if key in r]
        values = [reads[k][key] for k in at]
        own = fit if len(at) == len(reads) else Fit([assignments[k] for k in at])
        poly = own.integer(values) if len(at) > 3 or not assignments[0] else None
        if poly is not None:
            found[Size(key)] = poly
    return found
