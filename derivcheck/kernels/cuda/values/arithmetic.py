"""Operators of the language on numbers, in the order and of the types that the source says."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

import torch

from derivcheck.kernels.cuda.source.types import BOOL, INT, UINT, Scalar, Type
from derivcheck.kernels.cuda.values.values import FLOATS, CNumber, Refused, Value, mapped
from derivcheck.kernels.lanes.carried import Carried, Larger
from derivcheck.kernels.lanes.facts import facts_of, with_facts
from derivcheck.kernels.lanes.thread_groups import First, IsFirst, LanePart, OfWarp, Shifted, unwrapped
from derivcheck.kernels.lanes.wholes import Symbolic, WholeNumber, comparison, operation

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_BITS: dict[str, Callable[[Any, Any], Any]] = {
    "&": operator.and_, "|": operator.or_, "^": operator.xor, "<<": operator.lshift, ">>": operator.rshift,
}  # fmt: skip
_UNSIGNED = 2**32


def of_numbers(op: str, a: CNumber, b: CNumber) -> CNumber:
    """``a op b`` of two numbers, with the usual conversions; what is known stays known."""
    x, y = a.value, b.value
    if any(isinstance(v, Symbolic) for v in (x, y)):
        return _symbolic(op, a, b)
    if _wider(a.type, b.type) == UINT and op not in ("&&", "||"):
        a, b = convert(a, UINT), convert(b, UINT)  # a number below 0 would wrap around
        x, y = a.value, b.value
    if op in ("==", "!=", ">", "<=") and _is(y, 0) and above_zero(x) and isinstance(x, torch.Tensor):
        return CNumber(op in ("!=", ">"), BOOL)
    if op in _COMPARISONS:
        return CNumber(_COMPARISONS[op](*_alike(x, y)), BOOL)
    if op in ("&&", "||"):
        return _logical(op, truth(a), truth(b))
    kind = _wider(_wider(a.type, b.type), INT)
    if op in _BITS:
        return _bits(op, a, b, kind)
    if op in ("/", "%") and not kind.real:
        return _divided(op, a, b, kind)
    if op == "%":
        raise Refused("% of floating-point numbers", "C++ has none", "Use fmodf.")
    if kind == UINT and op == "-" and not (a.known and b.known):
        raise Refused("an unsigned number", "it may wrap around", "Make it an int.")
    x, y = (_real(v) if kind.real else _whole(v) for v in (x, y))
    found = _wrapped(_computed(op, x, y), kind)
    if op in "+*/" and above_zero(x, op == "+" and above_zero(y)) and above_zero(y, op == "+" and above_zero(x)):
        as_above_zero(found.value)
    return found


def _wider(a: Scalar, b: Scalar) -> Scalar:
    """The type of the two that the other is converted to."""
    return b if b.rank > a.rank else a


def _symbolic(op: str, a: CNumber, b: CNumber) -> CNumber:
    """``a op b`` where one of them is a whole number as an expression, or what a loop carries."""
    for x, y in ((a, b), (b, a)):
        if isinstance(x.value, LanePart) and isinstance(y.value, Shifted):
            return CNumber(x.value.joined(op, y.value), x.type)
        if isinstance(x.value, (LanePart, Shifted, First, OfWarp)):
            plain = CNumber(unwrapped(x.value), x.type)
            return of_numbers(op, plain, b) if x is a else of_numbers(op, a, plain)
    if any(isinstance(v.value, (Carried, Larger)) for v in (a, b)):
        return _carried(op, a, b)
    kind = max(a.type, b.type, INT, key=lambda t: t.rank)
    if op in ("&&", "||"):
        return _logical(op, truth(a), truth(b))
    if all(isinstance(v.value, (WholeNumber, int)) for v in (a, b)):
        if kind == UINT:
            a, b = convert(a, UINT), convert(b, UINT)
        if op in _COMPARISONS:
            return CNumber(comparison(op, a.value, b.value), BOOL)
        return _wrapped(operation(op, a.value, b.value, kind == UINT), kind)
    a, b = (CNumber(v.value.tensor(), v.type) if isinstance(v.value, WholeNumber) else v for v in (a, b))
    return of_numbers(op, a, b)


_KEPT = {">": "max", ">=": "max", "<": "min", "<=": "min"}
_TURNED = {">": "<", ">=": "<=", "<": ">", "<=": ">="}


def _carried(op: str, a: CNumber, b: CNumber) -> CNumber:
    """``a op b`` where a loop carries one of them."""
    x, y = a.value, b.value
    kind = _wider(a.type, b.type)
    if isinstance(y, Carried) and not isinstance(x, Symbolic):
        if op in _KEPT:
            return CNumber(Larger(y, x, _KEPT[op]), BOOL)
        if op in "+*":
            return CNumber(y.then(op, x), kind)
    if isinstance(x, Carried) and not isinstance(y, Symbolic):
        if op in _KEPT:
            return CNumber(Larger(x, y, _KEPT[_TURNED[op]]), BOOL)
        if op in "+*":
            return CNumber(x.then(op, y), kind)
        if op == "-":
            return CNumber(x.then("+", -y), kind)
        if op == "/":
            return CNumber(x.then("*", 1 / y), kind)
    for v, other in ((x, b), (y, a)):
        if isinstance(v, Carried):
            if isinstance(other.value, WholeNumber) and kind.real:
                changed = CNumber(_real(other.value), kind)
                return _carried(op, *((a, changed) if v is x else (changed, b)))
            raise v.refuse()
        if isinstance(v, Larger):
            raise v.carried.refuse()
    raise AssertionError(op)


def above_zero(x: Any, or_zero: bool = False) -> bool:
    """Whether a number is surely above 0, as a real number: an exponential, a sum of them ….

    >>> above_zero(0.5), above_zero(0.0), above_zero(0.0, or_zero=True), above_zero(torch.ones(2))
    (True, False, True, False)
    """
    if isinstance(x, torch.Tensor):
        return getattr(x, "_above_zero", False)
    return isinstance(x, (int, float)) and (x > 0 or or_zero and x == 0)


def as_above_zero(x: Any) -> Any:
    """Mark a tensor whose elements are above 0."""
    if isinstance(x, torch.Tensor):
        x._above_zero = True  # type: ignore[attr-defined]
    return x


def _computed(op: str, x: Any, y: Any) -> Any:
    """Addition, subtraction, multiplication, division; 0 and 1 that the source tells are left out."""
    if op == "+":
        return y if _is(x, 0) else x if _is(y, 0) else x + y
    if op == "-":
        return x if _is(y, 0) else -y if _is(x, 0) else x - y
    if op == "*":
        return 0.0 if _is(x, 0) or _is(y, 0) else y if _is(x, 1) else x if _is(y, 1) else x * y
    if op == "/":
        if _is(y, 0):
            raise Refused("a division by 0", "the divisor is the number 0")
        return 0.0 if _is(x, 0) else x if _is(y, 1) else x / y
    raise Refused(f"operator {op}", "it is not read")


def _is(x: Any, n: int) -> bool:
    return not isinstance(x, torch.Tensor) and x == n


def _wrapped(value: Any, kind: Scalar) -> CNumber:
    """The number in its C++ type; one that is given and would wrap around at 32 bits is refused."""
    if isinstance(value, (torch.Tensor, Symbolic)):
        return CNumber(value, kind)
    if kind.real:
        return CNumber(float(value), kind)
    if kind == UINT and not 0 <= value < _UNSIGNED:
        raise Refused("an unsigned number", f"it wraps around at {int(value)}")
    if kind == INT and not -_UNSIGNED // 2 <= value < _UNSIGNED // 2:
        raise Refused("a whole number", f"it is beyond 32 bits, at {int(value)}")
    return CNumber(int(value), kind)


def _divided(op: str, a: CNumber, b: CNumber, kind: Scalar) -> CNumber:
    """Whole numbers divided as C++ does, towards zero; only such as are given can be."""
    x, y = a.value, b.value
    if a.known and b.known:
        if y == 0:
            raise Refused(f"{op} by 0", "the divisor is the number 0")
        quotient = abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)
        return CNumber(int(quotient if op == "/" else x - quotient * y), kind)
    if any(isinstance(v, torch.Tensor) and v.is_floating_point() for v in (x, y)):
        raise Refused(f"{op} of whole numbers", "a whole number that is not given is read as a real one", "Give it a value.")
    raise Refused(f"{op} of whole numbers", "they depend on data", "Give them a value.")


def _bits(op: str, a: CNumber, b: CNumber, kind: Scalar) -> CNumber:
    if kind.real:
        raise Refused(f"operator {op} of floating-point numbers", "C++ has none")
    if a.type == BOOL and b.type == BOOL and op in ("&", "|"):
        return _logical("&&" if op == "&" else "||", a, b)
    if a.known and b.known:
        return _wrapped(_BITS[op](int(a.value), int(b.value)), kind)
    raise Refused(f"operator {op}", "bits of a number that depends on data are not read")


def _logical(op: str, a: CNumber, b: CNumber) -> CNumber:
    """Both conditions as one tensor, with what is known to hold where both do, or where neither does."""
    for known, other in ((a, b), (b, a)):
        if known.known:
            return other if bool(known.value) == (op == "&&") else known
    for v in (a.value, b.value):
        if isinstance(v, Larger):
            raise v.carried.refuse()
        if isinstance(v, IsFirst):
            raise Refused(f"operator {op}", "a condition on the first lane and on data", "Write one if in the other.")
    (yes_a, no_a), (yes_b, no_b) = facts_of(a.value), facts_of(b.value)
    if op == "&&":
        return CNumber(with_facts(a.value & b.value, yes_a + yes_b, ()), BOOL)
    return CNumber(with_facts(a.value | b.value, (), no_a + no_b), BOOL)


def truth(a: Value) -> CNumber:
    """A number as a condition."""
    if not isinstance(a, CNumber):
        raise Refused("a condition", "it is no number")
    if a.known:
        return CNumber(bool(a.value), BOOL)
    if isinstance(a.value, WholeNumber):
        return CNumber(comparison("!=", a.value, 0), BOOL)
    if isinstance(a.value, Carried):
        raise a.value.refuse()
    if isinstance(a.value, (Larger, IsFirst)):
        return a
    return a if a.value.dtype == torch.bool else CNumber(a.value != 0, BOOL)


def negated(a: Value) -> CNumber:
    """``!a``."""
    t = truth(a)
    if t.known:
        return CNumber(not t.value, BOOL)
    if isinstance(t.value, Larger):
        raise t.value.carried.refuse()
    if isinstance(t.value, IsFirst):
        raise Refused("operator !", "what all lanes but the first one do is not read")
    yes, no = facts_of(t.value)
    return CNumber(with_facts(~t.value, no, yes), BOOL)


def minus(a: Value) -> Value:
    """``-a``."""

    def leaf(v: Value) -> Value:
        """Minus one number, in ``int`` at least."""
        if not isinstance(v, CNumber):
            raise Refused("operator -", "it is taken of what is no number")
        kind = _wider(v.type, INT)
        if isinstance(v.value, Symbolic):
            return of_numbers("-", CNumber(0, kind), v)
        if kind == UINT and not v.known:
            raise Refused("an unsigned number", "it wraps around", "Make it an int.")
        x = _real(v.value) if kind.real else _whole(v.value)
        return _wrapped(-x, kind)

    return mapped(leaf, a)


def _alike(x: Any, y: Any) -> tuple[Any, Any]:
    if any(isinstance(v, torch.Tensor) and v.dtype == torch.bool for v in (x, y)):
        return _whole(x), _whole(y)
    return x, y


def _whole(x: Any) -> Any:
    if isinstance(x, torch.Tensor):
        return x.to(torch.int64) if x.dtype == torch.bool else x
    return int(x) if isinstance(x, bool) else x


def _real(x: Any) -> Any:
    if isinstance(x, WholeNumber):
        return x.tensor().to(FLOATS[-1])
    if isinstance(x, torch.Tensor) and not x.is_floating_point():
        return x.to(FLOATS[-1])
    return x if isinstance(x, torch.Tensor) else float(x)


def convert(v: CNumber, kind: Scalar) -> CNumber:
    """A number as another type has it."""
    if v.type == kind:
        return v
    x = v.value
    if isinstance(x, (Carried, LanePart, First, Shifted, OfWarp)):
        if v.type.real and kind.real:
            return CNumber(x, kind)
        raise (x.part if isinstance(x, Shifted) else x).refuse()
    if kind == BOOL:
        return truth(v)
    if kind == UINT and isinstance(x, WholeNumber) and not x.lanes.nonnegative(x.poly):
        raise Refused("an unsigned number", f"it may wrap around: {x} may be below 0")
    if kind == UINT and v.type == INT and isinstance(x, torch.Tensor):
        raise Refused("an unsigned number", "it is made of one that may be below 0", "Give it a value.")
    if kind.real:
        return CNumber(_real(x), kind)
    if not v.type.real:
        return _wrapped(_whole(x), kind)
    if v.known:
        return _wrapped(int(x), kind)
    return CNumber(torch.trunc(x), kind)


def converted(v: Value, kind: Type) -> Value:
    """A value as it is stored in a variable of a type: numbers are converted, all else has to be of that type."""
    if isinstance(kind, Scalar) and isinstance(v, CNumber):
        return convert(v, kind)
    return v


def dot(xs: Any, ys: Any) -> CNumber:
    """The sum of the products, from the left."""
    return reduce(lambda s, p: of_numbers("+", s, p), (of_numbers("*", x, y) for x, y in zip(xs, ys)))
