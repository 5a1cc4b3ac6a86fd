"""How well arguments fit parameters: overloads are told apart by it."""

from __future__ import annotations

from derivcheck.kernels.cuda.source.syntax import Function
from derivcheck.kernels.cuda.source.types import Array, Auto, Pointer, Scalar, Type


def fits(f: Function, count: int) -> bool:
    """Whether a function takes so many arguments."""
    needed = sum(1 for p in f.parameters if p.child_by_field_name("default_value") is None)
    return needed <= count <= len(f.parameters)


def fit(kind: Type, given: Type | None) -> int:
    """How well an argument of a type fits a parameter of another."""
    if isinstance(kind, Auto) and given is not None:
        return 3  # the parameter of a template becomes that type
    if isinstance(kind, Auto):
        return 1
    if given == kind:
        return 3
    if isinstance(kind, Scalar) and isinstance(given, Scalar):
        return 2 if kind.real == given.real else 1
    if isinstance(kind, (Pointer, Array)) and isinstance(given, (Pointer, Array)):
        inner, other = (t.to if isinstance(t, Pointer) else t.of for t in (kind, given))
        return 3 if inner == other or isinstance(inner, Auto) else -1
    if isinstance(kind, Pointer) and given is None:
        return 1
    return -1
