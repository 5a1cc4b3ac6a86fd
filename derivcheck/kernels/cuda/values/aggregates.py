"""Operators on numbers, vectors, matrices and quaternions: which one is meant, and part by part."""

from __future__ import annotations

from functools import reduce
from typing import Any

from derivcheck.kernels.cuda.source.types import Matrix, Quaternion, Scalar, Type, Vector
from derivcheck.kernels.cuda.values.arithmetic import dot, of_numbers
from derivcheck.kernels.cuda.values.quaternions import of_quaternions, words
from derivcheck.kernels.cuda.values.values import Aggregate, CNumber, Refused, Value, mapped


def binary(op: str, a: Value, b: Value) -> Value:
    """``a op b``."""
    if isinstance(a, CNumber) and isinstance(b, CNumber):
        return of_numbers(op, a, b)
    return _of_aggregates(op, a, b)


def has_arithmetic(kind: Type | None) -> bool:
    """Whether the language, or glm, has operators for a type: numbers, vectors and matrices of glm, quaternions."""
    return isinstance(kind, (Scalar, Matrix, Quaternion)) or isinstance(kind, Vector) and kind.glm


def _of_aggregates(op: str, a: Value, b: Value) -> Value:
    """An operator of vectors, matrices and quaternions: elementwise, or a matrix product as GLM defines it."""
    kinds = tuple(v.type if isinstance(v, (CNumber, Aggregate)) else None for v in (a, b))
    if not all(has_arithmetic(k) for k in kinds):
        raise Refused(f"operator {op} of {words(kinds[0])} and {words(kinds[1])}", "the source defines no such operator")
    if any(isinstance(k, Quaternion) for k in kinds):
        return of_quaternions(op, a, b)
    if op == "*" and any(isinstance(k, Matrix) for k in kinds):
        return product(a, b)
    if op == "==" and kinds[0] == kinds[1]:
        return reduce(lambda x, y: of_numbers("&&", x, y), (of_numbers("==", x, y) for x, y in zip(_flat(a), _flat(b))))
    if op not in ("+", "-", "*", "/"):
        raise Refused(f"operator {op} of {words(kinds[0])} and {words(kinds[1])}", "it is not read")
    if isinstance(a, CNumber):
        return mapped(lambda y: binary(op, a, y), b)
    if isinstance(b, CNumber):
        return mapped(lambda x: binary(op, x, b), a)
    if kinds[0] != kinds[1]:
        raise Refused(f"operator {op} of {words(kinds[0])} and {words(kinds[1])}", "their sizes differ")
    return mapped(lambda x, y: binary(op, x, y), a, b)


def _flat(a: Value) -> tuple[Any, ...]:
    return tuple(x for v in a.items for x in _flat(v)) if isinstance(a, Aggregate) else (a,)


def rows_of(m: Aggregate) -> list[tuple[Any, ...]]:
    """The rows of a matrix."""
    return list(zip(*(c.items for c in m.items if isinstance(c, Aggregate))))


def matrix(columns: list[list[Any]]) -> Aggregate:
    """The matrix of columns of numbers."""
    kind = Matrix(len(columns), len(columns[0]))
    return Aggregate(kind, tuple(Aggregate(kind.column, tuple(c)) for c in columns))


def product(a: Value, b: Value) -> Value:
    """The products that have a matrix in them; a vector on the left is a row."""
    if isinstance(a, CNumber) or isinstance(b, CNumber):
        scalar, m = (a, b) if isinstance(a, CNumber) else (b, a)
        return mapped(lambda x: binary("*", scalar, x), m)
    assert isinstance(a, Aggregate) and isinstance(b, Aggregate)
    inner = len(a.items)
    outer = len(b.items[0].items) if isinstance(b.type, Matrix) and isinstance(b.items[0], Aggregate) else len(b.items)
    if isinstance(a.type, Vector):
        if outer != inner:
            raise Refused("operator * of a vector and a matrix", "their sizes differ")
        return Aggregate(Vector(len(b.items)), tuple(dot(a.items, c.items) for c in b.items if isinstance(c, Aggregate)))
    if outer != inner:
        raise Refused("operator * of two matrices", "their sizes differ")
    rows = rows_of(a)
    if isinstance(b.type, Vector):
        return Aggregate(Vector(len(rows)), tuple(dot(r, b.items) for r in rows))
    return matrix([[dot(r, c.items) for r in rows] for c in b.items if isinstance(c, Aggregate)])
