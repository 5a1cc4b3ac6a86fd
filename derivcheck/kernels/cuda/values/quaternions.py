"""Operators on quaternions of glm, each as glm computes it."""

from __future__ import annotations

from functools import reduce
from typing import Any

from derivcheck.kernels.cuda.source.types import INT, Matrix, Quaternion, Scalar, Struct, Type, Vector
from derivcheck.kernels.cuda.values.arithmetic import of_numbers
from derivcheck.kernels.cuda.values.values import Aggregate, CNumber, Refused, Value, mapped


def of_quaternions(op: str, a: Value, b: Value) -> Value:
    """Sums, multiples, Hamilton's product, and a vector that is turned: ``q * v``."""
    whole = [v for v in (a, b) if isinstance(v, Aggregate)]
    both = len(whole) == 2 and a.type == b.type  # type: ignore[union-attr]
    if op in ("+", "-") and both:
        return mapped(lambda x, y: of_numbers(op, x, y), a, b)
    if isinstance(b, CNumber) and op in ("*", "/") or isinstance(a, CNumber) and op == "*":
        scalar = b if isinstance(b, CNumber) else a
        return mapped(lambda x: of_numbers(op, x, scalar), whole[0])  # type: ignore[arg-type]
    if op == "*" and both:
        return _hamilton(whole[0], whole[1])
    if op == "*" and len(whole) == 2 and isinstance(whole[0].type, Quaternion) and len(whole[1].items) == 3:
        return turned(whole[0], whole[1])
    kinds = [v.type if isinstance(v, (CNumber, Aggregate)) else None for v in (a, b)]
    raise Refused(f"operator {op} of {words(kinds[0])} and {words(kinds[1])}", "it is not read")


def _hamilton(q: Aggregate, p: Aggregate) -> Aggregate:
    """Hamilton's product; components are kept as x, y, z, w."""
    (qx, qy, qz, qw), (px, py, pz, pw) = q.items, p.items
    rows = (
        (("+", qw, px), ("+", qx, pw), ("+", qy, pz), ("-", qz, py)),
        (("+", qw, py), ("+", qy, pw), ("+", qz, px), ("-", qx, pz)),
        (("+", qw, pz), ("+", qz, pw), ("+", qx, py), ("-", qy, px)),
        (("+", qw, pw), ("-", qx, px), ("-", qy, py), ("-", qz, pz)),
    )
    return Aggregate(q.type, tuple(_signed(row) for row in rows))


def _signed(terms: Any) -> CNumber:
    """Products added and taken away, from the left; the first one is added."""
    (_, x, y), *rest = terms
    return reduce(lambda s, t: of_numbers(t[0], s, of_numbers("*", t[1], t[2])), rest, of_numbers("*", x, y))


def cross(a: Any, b: Any) -> tuple[CNumber, CNumber, CNumber]:
    """The cross product of two rows of three numbers."""
    (a0, a1, a2), (b0, b1, b2) = a, b
    return (
        _signed((("+", a1, b2), ("-", b1, a2))),
        _signed((("+", a2, b0), ("-", b2, a0))),
        _signed((("+", a0, b1), ("-", b0, a1))),
    )


def turned(q: Aggregate, v: Aggregate) -> Aggregate:
    """``q * v``: ``v + 2 (w (u x v) + u x (u x v))`` of ``u = (x, y, z)``."""
    *u, w = q.items
    uv = cross(u, v.items)
    two, found = CNumber(2, INT), []
    for x, once, twice in zip(v.items, uv, cross(u, uv)):
        inner = of_numbers("+", of_numbers("*", once, w), twice)  # type: ignore[arg-type]
        found.append(of_numbers("+", x, of_numbers("*", inner, two)))  # type: ignore[arg-type]
    return Aggregate(v.type, tuple(found))


def words(kind: Type | None) -> str:
    """What a type is called in messages."""
    if isinstance(kind, Vector):
        return f"a vector of {kind.n}"
    if isinstance(kind, Matrix):
        return f"a matrix of {kind.columns} columns"
    if isinstance(kind, Quaternion):
        return "a quaternion"
    if isinstance(kind, Struct):
        return kind.name
    return "a number" if isinstance(kind, Scalar) else "a value"
