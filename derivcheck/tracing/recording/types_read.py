"""Reads of a tensor's type, device or ``requires_grad`` by which the code chooses what to compute.

``x.dtype`` that is handed on (``torch.zeros(3, dtype=x.dtype)``) decides nothing; one that is compared, looked up in a table or
kept beside comparisons may.
"""

from __future__ import annotations

import dis
import linecache
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from types import CodeType, FrameType, FunctionType
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor

from derivcheck.tracing.watching.stands import class_of
from derivcheck.tracing.watching.whose_code import user_file

READS: dict[Any, str] = {
    getattr(torch.Tensor, n).__get__: n
    for n in ("dtype", "device", "requires_grad", "is_cuda", "layout", "is_leaf", "is_sparse")
}
# Python's instructions: the first three compare, the others choose by what they are given; those that hand a value on
_COMPARES = ("COMPARE_OP", "IS_OP", "CONTAINS_OP", "POP_JUMP", "JUMP_IF", "BINARY_SUBSCR", "MATCH")
_HANDED = ("CALL", "PRECALL", "KW_NAMES", "RETURN")
_KINDS = ("is_floating_point", "is_complex")  # the same for all types that are derived


_OWN = ((FakeTensor, "device"), (FunctionalTensor, "layout"))  # properties in Python, which torch's functions do not pass


@contextmanager
def noticing(note: Callable[[str, Any, FrameType], None]) -> Iterator[None]:
    """``note(name, value, frame)`` where code reads what tensors without data answer in Python."""
    before = [(kind, name, vars(kind)[name]) for kind, name in _OWN]

    def noticed(name: str, answer: Any) -> property:
        def read(tensor: torch.Tensor) -> Any:
            value = answer.__get__(tensor, type(tensor))
            note(name, value, sys._getframe(1))
            return value

        return property(read)

    for kind, name, answer in before:
        setattr(kind, name, noticed(name, answer))
    try:
        yield
    finally:
        for kind, name, answer in before:
            setattr(kind, name, answer)


@contextmanager
def classes_said() -> Iterator[None]:
    """``x.__class__`` of a tensor without data is to the user's code what ``type(x)`` is."""
    kinds = (FakeTensor, FunctionalTensor)
    for kind in kinds:
        kind.__getattribute__ = _attribute  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        for kind in kinds:
            del kind.__getattribute__


def _attribute(t: torch.Tensor, name: str) -> Any:
    if name == "__class__" and user_file(sys._getframe(1).f_code.co_filename):
        return class_of(t)
    return object.__getattribute__(t, name)


def reads_classes(names: Mapping[str, Any]) -> bool:
    """Whether the code of a module, given by its names, reads the ``__class__`` of something other than ``self``."""
    codes = [v.__code__ for v in names.values() if isinstance(v, FunctionType) and v.__globals__ is names]
    return any(map(_reads_classes, {names.get("__file__") or "", *(c.co_filename for c in codes)}))


@lru_cache(maxsize=1024)
def _reads_classes(file: str) -> bool:
    return any(_CLASS.search(line) for line in linecache.getlines(file))


_CLASS = re.compile(r"(?<!\bself\.)__class__\b")


def decides(frame: FrameType) -> bool:
    """Whether what a frame has just read may decide what it computes."""
    return _decides(frame.f_code, frame.f_lasti)


@lru_cache(maxsize=1024)
def _instructions(code: CodeType) -> tuple[dis.Instruction, ...]:
    return tuple(dis.get_instructions(code))


@lru_cache(maxsize=4096)
def _decides(code: CodeType, at: int) -> bool:
    """Whether what an instruction read is compared, or kept or looked up (``get``) where it may be; not where it is handed
    on."""
    instructions = _instructions(code)
    start = next(k for k, i in enumerate(instructions) if i.offset >= at)
    lines = [i.positions.lineno if i.positions else None for i in instructions]
    same_line = [i for i, line in zip(instructions, lines) if line == lines[start]]
    for i in instructions[start + 1 :]:
        if i.opname.startswith(_COMPARES):
            return True
        if i.opname.startswith("STORE"):
            return any(other.opname.startswith(_COMPARES[:3]) for other in instructions)
        if i.opname == "LOAD_ATTR" and i.argval in _KINDS:
            return False
        if i.opname.startswith(_HANDED):
            return any(j.opname in ("LOAD_METHOD", "LOAD_ATTR") and j.argval == "get" for j in same_line)
    return False


# instructions of a message on its way to being raised
_SAID = ("LOAD", "PUSH_NULL", "PRECALL", "CALL", "KW_NAMES", "FORMAT_VALUE", "BUILD_STRING", "COPY", "CACHE")


@lru_cache(maxsize=4096)
def asks_for_types(code: CodeType) -> bool:
    """Whether code mentions the type of something other than to say it in what it raises.

    >>> def f(x):
    ...     if x.ndim != 2:
    ...         raise ValueError(f"a {type(x)}")
    >>> def g(x):
    ...     return type(x.shape[0]) is int
    >>> asks_for_types(f.__code__), asks_for_types(g.__code__)
    (False, True)
    """
    if {"type", "__class__"}.isdisjoint(code.co_names):
        return False
    if "builtins" in code.co_names:
        return True
    instructions = _instructions(code)
    for k, i in enumerate(instructions):
        named = i.argval == "type" and i.opname in ("LOAD_GLOBAL", "LOAD_NAME")  # and no attribute: x.device.type
        if named or i.argval == "__class__":
            end = next((j.opname for j in instructions[k:] if not j.opname.startswith(_SAID)), "")
            if end != "RAISE_VARARGS":
                return True
    return False
