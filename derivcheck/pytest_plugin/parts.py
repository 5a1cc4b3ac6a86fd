"""What a value is made of: contents, attributes, the code inside a code; and what cannot be taken apart."""

from __future__ import annotations

import dataclasses
import functools
import sys
import types
import weakref
from collections.abc import Iterator
from typing import Any

from derivcheck.pytest_plugin.whose import is_library, library_module, python_module

_CONTAINERS = (dict, list, tuple, set, frozenset, str, bytes, int, float, complex)
_BUILTIN = (object, *_CONTAINERS, BaseException, Exception)


class Unsure(Exception):
    """Something that cannot be followed; the message says what."""


def inside(v: Any) -> list[Any] | None:
    """What a container holds, or a callable that wraps another; None for any other value."""
    kind = type(v)
    if kind in (list, tuple):
        return list(v)
    if kind in (dict, types.MappingProxyType):
        return [x for pair in v.items() for x in pair]
    if kind in (set, frozenset):
        return in_order(v)
    if isinstance(v, types.MethodType):
        return [v.__self__, v.__func__]
    if isinstance(v, functools.partial):
        return [v.func, v.args, v.keywords, dict(vars(v))]
    if isinstance(v, (staticmethod, classmethod)):
        return [v.__func__]
    if isinstance(v, property):
        return [v.fget, v.fset, v.fdel]
    if isinstance(v, functools.cached_property):
        return [v.func]
    if isinstance(v, functools._lru_cache_wrapper):
        return [v.__wrapped__]
    if isinstance(v, weakref.ReferenceType):
        return [v()]
    return [content(v)] if isinstance(v, types.CellType) else None


def in_order(values: Any) -> list[Any]:
    """The elements of a set in an order that does not depend on hashes, where they have one."""
    if not all(isinstance(x, (str, bytes, int, float, type(None))) for x in values):
        raise Unsure("a set of objects")
    return sorted(values, key=lambda x: (type(x).__name__, repr(x)))


def content(cell: types.CellType) -> Any:
    """What a closure's cell holds; nothing where it is not filled yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code object and those inside it."""
    yield code
    for k in code.co_consts:
        if isinstance(k, types.CodeType):
            yield from codes(k)


def of_user(v: Any) -> bool:
    """Whether a value that stands in a library's module was put there by the user."""
    if isinstance(v, types.FunctionType) and not is_library(v.__code__.co_filename):
        return True
    if isinstance(v, functools.partial):
        return True
    module = getattr(v, "__module__", None) if isinstance(v, (types.FunctionType, type)) else None
    return isinstance(module, str) and not library_module(sys.modules.get(module), module)


def contents(v: Any) -> list[Any]:
    """What an object of a class made from a container holds as one."""
    if isinstance(v, dict):
        return [x for pair in dict.items(v) for x in pair]
    if isinstance(v, (list, tuple)):
        return list(v)
    if isinstance(v, (set, frozenset)):
        return in_order(v)
    plain: Any = next((t for t in (str, bytes, int, float, complex) if isinstance(v, t)), None)
    return [] if plain is None else [plain.__new__(plain, v)]


def state_of(v: Any) -> dict[str, Any] | None:
    """The attributes of an object; None where it may hold more than these: a base of its class is compiled."""
    c = type(v)
    if c.__module__ == "derivcheck.derived" and c.__qualname__ == "Derivation":
        return {n: getattr(v, n) for n in ("program", "wrt", "values", "name", "fixed")}
    if c.__module__.startswith("derivcheck.") and dataclasses.is_dataclass(c):  # what else it has is computed of its fields
        return {f.name: getattr(v, f.name) for f in dataclasses.fields(c)}
    if not all(b in _BUILTIN or python_module(b.__module__) for b in c.__mro__):
        return None
    slots = {n: d for b in c.__mro__ for n, d in vars(b).items() if isinstance(d, types.MemberDescriptorType)}
    return {**{n: d.__get__(v) for n, d in slots.items() if _filled(d, v)}, **getattr(v, "__dict__", {})}


def _filled(slot: types.MemberDescriptorType, v: Any) -> bool:
    try:
        slot.__get__(v)
    except AttributeError:
        return False
    return True
