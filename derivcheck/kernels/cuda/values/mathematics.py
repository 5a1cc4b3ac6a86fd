"""Functions of the CUDA math library and of glm, by name: one row each.

A name is looked up without its namespace, the ``__`` of an intrinsic and the ``f`` of its float version: ``__expf``,
``std::exp`` and ``glm::exp`` are ``exp``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import torch

from derivcheck.kernels.cuda.source.types import BOOL, DOUBLE, FLOAT, INT, UINT, Matrix, Scalar, Vector
from derivcheck.kernels.cuda.values.aggregates import binary, matrix, rows_of
from derivcheck.kernels.cuda.values.arithmetic import as_above_zero, convert, dot, minus, of_numbers
from derivcheck.kernels.cuda.values.quaternions import cross
from derivcheck.kernels.cuda.values.values import Aggregate, CNumber, Refused, Value, chosen, leaves, mapped
from derivcheck.kernels.lanes.carried import Carried
from derivcheck.kernels.lanes.thread_groups import First, LanePart, OfWarp, Shifted, unwrapped
from derivcheck.kernels.lanes.wholes import WholeNumber

_RADIAN = CNumber(math.pi / 180, FLOAT)
ONE, ZERO = CNumber(1.0, FLOAT), CNumber(0.0, FLOAT)

# name -> (of Python numbers, of tensors)
_UNARY: dict[str, tuple[Callable[[float], float], Callable[[Any], Any]]] = {
    "exp": (math.exp, torch.exp),
    "exp2": (math.exp2, torch.exp2),
    "expm1": (math.expm1, torch.expm1),
    "log": (math.log, torch.log),
    "log2": (math.log2, torch.log2),
    "log10": (math.log10, torch.log10),
    "log1p": (math.log1p, torch.log1p),
    "sqrt": (math.sqrt, torch.sqrt),
    "rsqrt": (lambda x: 1 / math.sqrt(x), torch.rsqrt),
    "inversesqrt": (lambda x: 1 / math.sqrt(x), torch.rsqrt),
    "sin": (math.sin, torch.sin),
    "cos": (math.cos, torch.cos),
    "tan": (math.tan, torch.tan),
    "asin": (math.asin, torch.asin),
    "acos": (math.acos, torch.acos),
    "sinh": (math.sinh, torch.sinh),
    "cosh": (math.cosh, torch.cosh),
    "tanh": (math.tanh, torch.tanh),
    "erf": (math.erf, torch.erf),
    "erfc": (math.erfc, torch.erfc),
    "floor": (math.floor, torch.floor),
    "ceil": (math.ceil, torch.ceil),
    "trunc": (math.trunc, torch.trunc),
    "rcp": (lambda x: 1 / x, torch.reciprocal),
}


def _kind(*values: CNumber) -> Scalar:
    found = max((v.type for v in values), key=lambda t: t.rank)
    return found if found.real else DOUBLE


def _unary(name: str) -> Callable[[CNumber], CNumber]:
    """The function of one number: Python's own where it is given, torch's on tensors."""
    plain, tensors = _UNARY[name]

    def f(x: CNumber) -> CNumber:
        kind = _kind(x)
        v = convert(x, kind).value
        if not isinstance(v, torch.Tensor):
            return CNumber(float(plain(v)), kind)
        return CNumber(as_above_zero(tensors(v)) if name in ("exp", "exp2") else tensors(v), kind)

    return f


def _abs(x: CNumber) -> CNumber:
    if isinstance(x.value, WholeNumber):
        return _select(of_numbers(">=", x, CNumber(0, INT)), x, minus(x))  # type: ignore[return-value]
    return CNumber(abs(x.value), x.type)


def _least(x: CNumber, y: CNumber) -> CNumber:
    return _extreme(x, y, min, torch.minimum, "max")


def _greatest(x: CNumber, y: CNumber) -> CNumber:
    return _extreme(x, y, max, torch.maximum, "min")


def _extreme(x: CNumber, y: CNumber, plain: Callable[..., Any], both: Callable[..., Any], bound: str) -> CNumber:
    """The larger or smaller of two; what lanes or a loop gather becomes an extreme over them."""
    kind = max(x.type, y.type, key=lambda t: t.rank)
    a, b = (convert(v, kind).value for v in (x, y))
    for v, other in ((a, b), (b, a)):
        if isinstance(v, LanePart):
            return CNumber(v.joined("max" if bound == "min" else "min", other), kind)
        if isinstance(v, Carried):
            return CNumber(v.then("max" if bound == "min" else "min", other), kind)
    if any(isinstance(v, WholeNumber) for v in (a, b)):
        first = of_numbers("<=" if bound == "max" else ">=", CNumber(a, kind), CNumber(b, kind))
        return _select(first, CNumber(a, kind), CNumber(b, kind))  # type: ignore[return-value]
    if x.known and y.known:
        return CNumber(plain(a, b), kind)
    if x.known or y.known:
        t, n = (a, b) if y.known else (b, a)
        return CNumber(torch.clamp(t, **{bound: n}), kind)
    return CNumber(both(a, b), kind)


def _atan(*v: CNumber) -> CNumber:
    if len(v) == 2:
        return _atan2(*v)
    kind, x = _kind(*v), v[0].value
    return CNumber(torch.atan(x) if isinstance(x, torch.Tensor) else math.atan(x), kind)


def _atan2(y: CNumber, x: CNumber) -> CNumber:
    kind = _kind(x, y)
    if x.known and y.known:
        return CNumber(math.atan2(y.value, x.value), kind)
    tensor = next(v.value for v in (x, y) if not v.known)
    a, b = (torch.full_like(tensor, v.value) if v.known else v.value for v in (y, x))
    return CNumber(torch.atan2(a, b), kind)


def _pow(x: CNumber, y: CNumber) -> CNumber:
    """The power; a small whole exponent that is given stays a Python int, so that negative bases keep their power."""
    kind = _kind(x, y)
    base, power = x.value, y.value
    if x.known and y.known:
        found = base**power
        if isinstance(found, complex):
            raise Refused("pow", f"{base} has no real power {power}")
        return CNumber(float(found), kind)
    if y.known and float(power).is_integer() and abs(power) <= 64:
        power = int(power)
    return CNumber(torch.pow(base, power), kind)


def _fma(x: CNumber, y: CNumber, z: CNumber) -> CNumber:
    return of_numbers("+", of_numbers("*", x, y), z)


def _saturate(x: CNumber) -> CNumber:
    return _clamp(x, ZERO, ONE)


def _clamp(x: CNumber, low: CNumber, high: CNumber) -> CNumber:
    if low.known and high.known and not x.known:
        return CNumber(torch.clamp(x.value, low.value, high.value), x.type)
    return _least(_greatest(x, low), high)


def _length(*parts: CNumber) -> CNumber:
    return _unary("sqrt")(dot(parts, parts))


def _mod(x: CNumber, y: CNumber) -> CNumber:
    if x.known and y.known:
        return CNumber(math.fmod(x.value, y.value), _kind(x, y))
    raise Refused("fmod", "a remainder that depends on data is not read")


def _copysign(x: CNumber, y: CNumber) -> CNumber:
    if x.known and y.known:
        return CNumber(math.copysign(x.value, y.value), _kind(x, y))
    size = _abs(x)
    return _select(of_numbers("<", y, ZERO), minus(size), size)  # type: ignore[return-value]


def _cbrt(x: CNumber) -> CNumber:
    kind = _kind(x)
    v = convert(x, kind).value
    if not isinstance(v, torch.Tensor):
        return CNumber(math.copysign(abs(v) ** (1 / 3), v), kind)
    return CNumber(torch.sign(v) * torch.pow(torch.abs(v), 1 / 3), kind)


def _select(condition: CNumber, yes: Value, no: Value) -> Value:
    if condition.known:
        return yes if condition.value else no
    return chosen(condition.value, yes, no)


def _isnan(x: CNumber) -> CNumber:
    return CNumber(math.isnan(x.value) if x.known else x.value != x.value, BOOL)


def _sign(x: CNumber) -> CNumber:
    return CNumber(torch.sign(x.value) if not x.known else float((x.value > 0) - (x.value < 0)), x.type)


def _rounded(name: str) -> Callable[..., CNumber]:
    """The intrinsics that are an operator with a rounding of their own."""
    op = {"add": "+", "sub": "-", "mul": "*", "div": "/"}[name]
    return lambda x, y: of_numbers(op, x, y)


ELEMENTWISE: dict[str, Callable[..., CNumber]] = {
    **{n: _unary(n) for n in _UNARY},
    "fabs": _abs, "abs": _abs, "fmin": _least, "min": _least, "fmax": _greatest, "max": _greatest,
    "atan": _atan, "atan2": _atan2, "pow": _pow, "powi": _pow, "fma": _fma, "saturate": _saturate, "clamp": _clamp,
    "hypot": lambda x, y: _length(x, y), "norm3d": _length, "norm4d": _length,
    "rnorm3d": lambda *v: _unary("rsqrt")(dot(v, v)), "rhypot": lambda *v: _unary("rsqrt")(dot(v, v)),
    "fdivide": lambda x, y: of_numbers("/", x, y), "square": lambda x: of_numbers("*", x, x),
    "cbrt": _cbrt, "fmod": _mod, "copysign": _copysign, "isnan": _isnan, "sign": _sign,
    "fdim": lambda x, y: _greatest(of_numbers("-", x, y), ZERO), "radians": lambda x: of_numbers("*", x, _RADIAN),
    "degrees": lambda x: of_numbers("/", x, _RADIAN),
    "mix": lambda x, y, a: of_numbers("+", of_numbers("*", x, of_numbers("-", ONE, a)), of_numbers("*", y, a)),
    "int2float_rn": lambda x: convert(x, FLOAT), "uint2float_rn": lambda x: convert(x, FLOAT),
    "float2int_rz": lambda x: convert(x, INT), "float2uint_rz": lambda x: convert(x, UINT),
    **{f"{p}{n}_rn": _rounded(n) for p in "fd" for n in ("add", "sub", "mul", "div")},
    "fmaf_rn": _fma, "fsqrt_rn": _unary("sqrt"), "frcp_rn": _unary("rcp"), "frsqrt_rn": _unary("rsqrt"),
}  # fmt: skip


# -- glm ---------------------------------------------------------------------------


def _parts(v: Value) -> tuple[Any, ...]:
    if not isinstance(v, Aggregate) or not isinstance(v.type, Vector):
        raise Refused("a function of vectors", "it is called with something else")
    return v.items


def _cross(a: Value, b: Value) -> Value:
    assert isinstance(a, Aggregate)
    return Aggregate(a.type, cross(_parts(a), _parts(b)))


def _dot(a: Value, b: Value) -> Value:
    return dot(_parts(a), _parts(b))


def _normalize(v: Value) -> Value:
    return binary("*", v, _unary("rsqrt")(dot(_parts(v), _parts(v))))


def _transpose(m: Value) -> Value:
    return matrix([list(r) for r in rows_of(_square(m, False))])


def _square(m: Value, square: bool = True) -> Aggregate:
    if not isinstance(m, Aggregate) or not isinstance(m.type, Matrix):
        raise Refused("a function of matrices", "it is called with something else")
    if square and m.type.columns != m.type.rows:
        raise Refused("a function of square matrices", f"this one has {m.type.columns} columns and {m.type.rows} rows")
    return m


def _outer(c: Value, r: Value) -> Value:
    return matrix([[of_numbers("*", x, y) for x in _parts(c)] for y in _parts(r)])


def _columns(m: Value) -> list[tuple[Any, ...]]:
    return [c.items for c in _square(m).items if isinstance(c, Aggregate)]


def _determinant(m: Value) -> Value:
    return _det(_columns(m))


def _det(columns: list[tuple[Any, ...]]) -> CNumber:
    """The determinant, expanded along the first row."""
    if len(columns) == 1:
        found: CNumber = columns[0][0]
        return found
    return reduce(
        lambda s, k: of_numbers("+" if k % 2 == 0 else "-", s, of_numbers("*", columns[k][0], _minor(columns, k, 0))),
        range(1, len(columns)),
        of_numbers("*", columns[0][0], _minor(columns, 0, 0)),
    )


def _minor(columns: list[tuple[Any, ...]], i: int, j: int) -> CNumber:
    return _det([c[:j] + c[j + 1 :] for k, c in enumerate(columns) if k != i])


def _inverse(m: Value) -> Value:
    """The adjugate over the determinant."""
    columns = _columns(m)
    n, inverse = len(columns), of_numbers("/", ONE, _det(columns))

    def entry(i: int, j: int) -> Any:
        cofactor = of_numbers("*", _minor(columns, j, i), inverse)
        return cofactor if (i + j) % 2 == 0 else minus(cofactor)

    return matrix([[entry(i, j) for j in range(n)] for i in range(n)])


WHOLE: dict[str, Callable[..., Value]] = {
    "dot": _dot,
    "cross": _cross,
    "length": lambda v: _length(*_parts(v)),
    "length2": lambda v: dot(_parts(v), _parts(v)),
    "distance": lambda a, b: _length(*_parts(binary("-", a, b))),
    "normalize": _normalize,
    "transpose": _transpose,
    "outerProduct": _outer,
    "determinant": _determinant,
    "inverse": _inverse,
    "matrixCompMult": lambda a, b: mapped(lambda x, y: of_numbers("*", x, y), a, b),
}


def plain(name: str) -> str:
    """The name under which a function stands here.

    >>> plain("__expf"), plain("glm::length"), plain("fmaf"), plain("erf"), plain("std::fabs")
    ('exp', 'length', 'fma', 'erf', 'fabs')
    """
    name = name.rpartition("::")[2].removeprefix("__")
    if name in ELEMENTWISE or name in WHOLE:
        return name
    return name.removesuffix("f")


def known_function(name: str) -> bool:
    """Whether a function of the math library or of glm is known."""
    return plain(name) in ELEMENTWISE or plain(name) in WHOLE


def called(name: str, arguments: list[Value]) -> Value:
    """The value of a function of the math library or of glm."""
    name = plain(name)
    arguments = [_alone(a, name, arguments) for a in arguments]
    for v in (x for a in arguments for x in (leaves(a))):
        if isinstance(v, CNumber) and isinstance(v.value, Carried) and name not in ("fmax", "fmin", "max", "min"):
            raise v.value.refuse()
    try:
        if name in WHOLE and not (name == "length" and all(isinstance(a, CNumber) for a in arguments)):
            return WHOLE[name](*arguments)
        return _elementwise(name, arguments)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError) as e:
        if isinstance(e, TypeError) and "positional" not in str(e) and "argument" not in str(e):
            raise
        raise Refused(f"{name}()", "it cannot be taken of these arguments") from None


def _alone(a: Value, name: str, beside: list[Value]) -> Value:
    """A number that a group of threads shares, as one that may be used."""
    if not isinstance(a, CNumber) or not isinstance(a.value, (LanePart, Shifted, First, OfWarp)):
        return a
    if name in ("fmax", "fmin", "max", "min") and any(isinstance(b, CNumber) and isinstance(b.value, Shifted) for b in beside):
        return a
    return CNumber(unwrapped(a.value), a.type)


def _elementwise(name: str, arguments: list[Value]) -> Value:
    """A function of numbers on each component of vectors; a number beside them stands for a vector of it."""
    f = ELEMENTWISE[name]
    shaped = [a for a in arguments if isinstance(a, Aggregate)]
    if not shaped:
        if not all(isinstance(a, CNumber) for a in arguments):
            raise Refused(f"{name}()", "it is called with what is no number")
        return f(*arguments)
    whole = [a if isinstance(a, Aggregate) else mapped(lambda _, a=a: a, shaped[0]) for a in arguments]
    if len({a.type for a in whole if isinstance(a, Aggregate)}) > 1:
        raise Refused(f"{name}()", "it is called with vectors of different sizes")
    return mapped(f, *whole)


def constant(name: str) -> CNumber | None:
    """A constant of the C library, by name."""
    found = _CONSTANTS.get(name)
    return None if found is None else CNumber(found, INT if isinstance(found, int) else DOUBLE)


_CONSTANTS = {
    "M_PI": math.pi, "M_PI_2": math.pi / 2, "M_PI_4": math.pi / 4, "M_1_PI": 1 / math.pi, "M_2_PI": 2 / math.pi,
    "M_E": math.e, "M_SQRT2": math.sqrt(2), "M_SQRT1_2": math.sqrt(0.5), "M_LN2": math.log(2), "M_LN10": math.log(10),
    "M_LOG2E": 1 / math.log(2), "M_2_SQRTPI": 2 / math.sqrt(math.pi), "CUDART_PI_F": math.pi,
    "INT_MAX": 2**31 - 1, "FLT_MAX": 3.4028234663852886e38, "FLT_EPSILON": 2.0**-23, "FLT_MIN": 2.0**-126,
    "DBL_EPSILON": 2.0**-52, "INFINITY": math.inf, "warpSize": 32,
}  # fmt: skip
