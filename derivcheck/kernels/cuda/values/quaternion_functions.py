"""Functions of glm that take or give a quaternion, each as glm computes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from derivcheck.kernels.cuda.source.types import FLOAT, INT, Quaternion, Vector
from derivcheck.kernels.cuda.values.aggregates import binary, matrix
from derivcheck.kernels.cuda.values.arithmetic import minus, of_numbers
from derivcheck.kernels.cuda.values.mathematics import called as of_mathematics
from derivcheck.kernels.cuda.values.quaternions import turned
from derivcheck.kernels.cuda.values.values import Aggregate, CNumber, Refused, Value, chosen, mapped

_ONE, _TWO, _ZERO = (CNumber(n, INT) for n in (1, 2, 0))
_EPSILON = CNumber(1 - 2.0**-23, FLOAT)


def is_quaternion(v: Value) -> bool:
    """Whether a value is a quaternion."""
    return isinstance(v, Aggregate) and isinstance(v.type, Quaternion)


def known_name(name: str) -> bool:
    """Whether quaternions have a function of this name."""
    return name in _FUNCTIONS


def known(name: str, given: Sequence[Value]) -> bool:
    """Whether a call is one of a function of quaternions."""
    return name in _ALONE or any(map(is_quaternion, given))


def called(name: str, given: Sequence[Value]) -> Value:
    """The value of such a call."""
    f = _FUNCTIONS.get(name)
    if f is None or len(given) != f[0]:
        raise Refused(f"{name}()", "it is not read of quaternions")
    if not is_quaternion(given[0]):
        raise Refused(f"{name}()", "its first argument is no quaternion")
    return f[1](*given)


def _dot(a: Any, b: Any) -> CNumber:
    x, y, z, w = (of_numbers("*", p, q) for p, q in zip(a.items, b.items))
    return of_numbers("+", of_numbers("+", w, x), of_numbers("+", y, z))


def _number(name: str, x: CNumber) -> CNumber:
    found = of_mathematics(name, [x])
    assert isinstance(found, CNumber)
    return found


def _picked(condition: CNumber, yes: Value, no: Value) -> Value:
    return (yes if condition.value else no) if condition.known else chosen(condition.value, yes, no)


def _length(q: Value) -> CNumber:
    return _number("sqrt", _dot(q, q))


def _conjugate(q: Any) -> Value:
    return Aggregate(q.type, (*(minus(v) for v in q.items[:3]), q.items[3]))


def _inverse(q: Value) -> Value:
    return binary("/", _conjugate(q), _dot(q, q))


def _normalized(q: Any) -> Value:
    length = _length(q)
    unit = binary("*", q, of_numbers("/", _ONE, length))
    nothing = mapped(lambda v, k: k, q, Aggregate(q.type, (_ZERO, _ZERO, _ZERO, _ONE)))
    return _picked(of_numbers("<=", length, _ZERO), nothing, unit)


def _rotation(q: Any) -> Value:
    """``mat3_cast``: columns first."""
    x, y, z, w = q.items

    def of(op: str, a: CNumber, b: CNumber, c: CNumber, d: CNumber) -> CNumber:
        return of_numbers(op, of_numbers("*", a, b), of_numbers("*", c, d))

    def twice(v: CNumber) -> CNumber:
        return of_numbers("*", _TWO, v)

    def kept(a: CNumber, b: CNumber) -> CNumber:
        return of_numbers("-", _ONE, twice(of("+", a, a, b, b)))

    return matrix(
        [
            [kept(y, z), twice(of("+", x, y, w, z)), twice(of("-", x, z, w, y))],
            [twice(of("-", x, y, w, z)), kept(x, z), twice(of("+", y, z, w, x))],
            [twice(of("+", x, z, w, y)), twice(of("-", y, z, w, x)), kept(x, y)],
        ]
    )


def _rotated(q: Any, v: Any) -> Value:
    if not is_quaternion(q) or not isinstance(v, Aggregate) or v.type != Vector(3):
        raise Refused("rotate()", "it is read of a quaternion and a vector of 3")
    return turned(q, v)


def _mixed(a: CNumber, b: CNumber, t: CNumber) -> CNumber:
    return of_numbers("+", of_numbers("*", a, of_numbers("-", _ONE, t)), of_numbers("*", b, t))


def _slerp(a: Any, b: Any, t: Any) -> Value:
    """Along the shorter way on the sphere; in a straight line where the two are close."""
    if not is_quaternion(b) or not isinstance(t, CNumber):
        raise Refused("slerp()", "it is read of two quaternions and a number")
    cosine = _dot(a, b)
    longer = of_numbers("<", cosine, _ZERO)
    other: Any = _picked(longer, minus(b), b)
    cosine = _picked(longer, minus(cosine), cosine)  # type: ignore[assignment]
    straight = mapped(lambda x, y: _mixed(x, y, t), a, other)
    angle = _number("acos", cosine)
    left = binary("*", _number("sin", of_numbers("*", of_numbers("-", _ONE, t), angle)), a)
    right = binary("*", _number("sin", of_numbers("*", t, angle)), other)
    round_ = binary("/", binary("+", left, right), _number("sin", angle))
    return _picked(of_numbers(">", cosine, _EPSILON), straight, round_)


_ALONE = ("mat3_cast", "toMat3", "rotate", "slerp", "conjugate")  # which nothing else has
_FUNCTIONS: dict[str, tuple[int, Callable[..., Value]]] = {
    "dot": (2, _dot),
    "length": (1, _length),
    "conjugate": (1, _conjugate),
    "inverse": (1, _inverse),
    "normalize": (1, _normalized),
    "mat3_cast": (1, _rotation),
    "toMat3": (1, _rotation),
    "rotate": (2, _rotated),
    "slerp": (3, _slerp),
}
