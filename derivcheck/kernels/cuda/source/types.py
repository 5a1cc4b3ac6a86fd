"""The types of CUDA C++ that are read: numbers, vectors and matrices of glm and CUDA, structs, arrays, pointers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias


@dataclass(frozen=True)
class Scalar:
    """A number; ``rank`` orders the usual conversions."""

    name: str

    @property
    def rank(self) -> int:
        """Its place among the usual arithmetic conversions."""
        return _RANKS[self.name]

    @property
    def real(self) -> bool:
        """Whether it is a floating-point number."""
        return self.rank >= _RANKS["float"]


_RANKS = {"bool": 0, "int": 1, "uint": 2, "float": 3, "double": 4}
BOOL, INT, UINT, FLOAT, DOUBLE = (Scalar(n) for n in _RANKS)


@dataclass(frozen=True)
class Vector:
    """``glm::vec3`` (which has arithmetic) or CUDA's ``float3`` (which has what the source defines)."""

    n: int
    of: Scalar = FLOAT
    glm: bool = True


@dataclass(frozen=True)
class Matrix:
    """``glm::mat``: columns of rows, so that ``m[i][j]`` is row j of column i."""

    columns: int
    rows: int

    @property
    def column(self) -> Vector:
        """The type of a column."""
        return Vector(self.rows)


@dataclass(frozen=True)
class Quaternion:
    """``glm::quat``: x, y, z, w in memory, made of w, x, y, z; it has arithmetic of its own."""

    of: Scalar = FLOAT


@dataclass(frozen=True)
class Struct:
    """A struct and its fields in order.

    Attributes:
        own: the fields that hold a value of their own where none is given.
        made: whether it has a constructor, which is not read: values of it are copied only.
    """

    name: str
    fields: tuple[tuple[str, Type], ...]
    own: frozenset[str] = frozenset()
    made: bool = False

    def index(self, field: str) -> int | None:
        """Where a field stands."""
        return next((k for k, (n, _) in enumerate(self.fields) if n == field), None)


@dataclass(frozen=True)
class Array:
    """An array; ``n`` is None where nothing says how long it is."""

    of: Type
    n: int | None


@dataclass(frozen=True)
class Pointer:
    """A pointer; ``const``: nothing is written through it."""

    to: Type
    const: bool = False


@dataclass(frozen=True)
class Void:
    """No value."""


@dataclass(frozen=True)
class Auto:
    """The type of what it is given: ``auto``, and the parameter of a template that nothing else tells."""


Type: TypeAlias = Scalar | Vector | Matrix | Quaternion | Struct | Array | Pointer | Void | Auto

_NUMBERS = {
    BOOL: "bool",
    INT: "int|long|int32_t|int64_t|long long|signed|long int|long long int|ptrdiff_t",  # of fewer bits, they wrap around sooner
    UINT: "unsigned|unsigned int|uint|uint32_t|uint64_t|size_t|unsigned long|unsigned long long|unsigned long long int"
    "|unsigned long int|uint32",
    FLOAT: "float",
    DOUBLE: "double|long double",
}
NUMBERS = {name: kind for kind, names in _NUMBERS.items() for name in names.split("|")}
_CUDA = {"float": FLOAT, "double": DOUBLE, "int": INT, "uint": UINT}


@lru_cache(maxsize=1024)
def known_type(name: str) -> Type | None:
    """A type by its name: of the language, of glm, of CUDA.

    >>> known_type("glm::vec3")
    Vector(n=3, of=Scalar(name='float'), glm=True)
    >>> known_type("mat3x2")
    Matrix(columns=3, rows=2)
    """
    name = name.removeprefix("::").removeprefix("glm::").removeprefix("std::")
    if name in NUMBERS:
        return NUMBERS[name]
    if m := re.fullmatch(r"(f|d|i|u|b)?vec([234])", name):
        kinds = {"": FLOAT, "f": FLOAT, "d": DOUBLE, "i": INT, "u": UINT, "b": BOOL}
        return Vector(int(m[2]), kinds[m[1] or ""])
    if m := re.fullmatch(r"[fd]?mat([234])(?:x([234]))?", name):
        return Matrix(int(m[1]), int(m[2] or m[1]))
    if m := re.fullmatch(r"([fd]?)quat", name):
        return Quaternion(DOUBLE if m[1] == "d" else FLOAT)
    if m := re.fullmatch(r"(float|double|int|uint)([234])", name):
        return Vector(int(m[2]), _CUDA[m[1]], glm=False)
    return None


def shape_of(kind: Type) -> tuple[int, ...] | None:
    """The shape of a value in memory; None for structs, pointers, and arrays of no known length."""
    if isinstance(kind, Scalar):
        return ()
    if isinstance(kind, Vector):
        return (kind.n,)
    if isinstance(kind, Matrix):
        return (kind.columns, kind.rows)
    if isinstance(kind, Quaternion):
        return (4,)
    if isinstance(kind, Array) and kind.n is not None:
        inner = shape_of(kind.of)
        return None if inner is None else (kind.n, *inner)
    return None
