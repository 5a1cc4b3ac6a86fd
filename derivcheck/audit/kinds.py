"""Which calls are one and the same for an audit: those of the same code with the same kind of input."""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType, MethodType
from typing import Any

import torch

DEPTH = 3  # how far functions in closures are followed


def kind_of(value: Any) -> Any:
    """What of an argument makes a call another one: a tensor's shape, type, layout and device, a float's sign, else the type.

    >>> kind_of(torch.ones(2, 3)) == kind_of(torch.zeros(2, 3)), kind_of(torch.ones(2, 3)) == kind_of(torch.ones(3, 2))
    (True, False)
    >>> kind_of(1e-5) == kind_of(1e-6), kind_of(1e-5) == kind_of(0.0), kind_of(3) == kind_of(4)
    (True, False, False)
    """
    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided:
            return value.shape, value.dtype, value.requires_grad, value.layout, value.device
        strides = value.is_contiguous() or value.stride()
        return value.shape, value.dtype, value.requires_grad, strides, value.is_cpu or value.device
    if value is None or isinstance(value, (bool, int, str)):
        return type(value), value
    if isinstance(value, float):
        return float, value == 0, value == 1, value > 0
    if isinstance(value, (list, tuple)):
        return type(value), *map(kind_of, value)
    if isinstance(value, dict):
        return dict, *((str(k), kind_of(v)) for k, v in value.items())
    return type(value)


def kinds_of_arguments(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The kinds of a call's arguments."""
    return tuple([kind_of(a) for a in args])


def code_key(f: Any, depth: int = DEPTH) -> Any:
    """What makes a function another one: its code and what it holds; a class made anew in each step has the last one's code."""
    if isinstance(f, (staticmethod, classmethod, MethodType)):
        f = f.__func__
    if isinstance(f, type):
        return f.__module__, f.__qualname__
    code = getattr(f, "__code__", None)
    if not isinstance(code, CodeType):
        return type(f), getattr(f, "__qualname__", None), id(f) if callable(f) else None
    held = [_held(c) for c in f.__closure__ or ()]
    return code, *(code_key(v, depth - 1) if depth and isinstance(v, Callable) else kind_of(v) for v in held)  # type: ignore[arg-type]


def _held(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def function_key(cls: Any) -> tuple[Any, ...]:
    """What makes an ``autograd.Function`` another one: its name and the code of its parts."""
    parts = (code_key(getattr(cls, n, None)) for n in ("forward", "setup_context", "backward", "vjp"))
    return cls.__module__, cls.__qualname__, *parts
