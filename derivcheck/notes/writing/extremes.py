"""Brackets that choose the larger, the smaller, or the size of a number, which people write as such.

``u·[u > 0]`` is ``max(0, u)``, ``a·[a > b] + b·[b ≥ a]`` is ``max(a, b)``, ``u·[u > 0] − u·[u < 0]`` is ``|u|``.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product

from derivcheck.notation.terms.build import ZERO, add, mul, neg, sub
from derivcheck.notation.terms.nodes import Add, Bracket, Func, Mul, Number, Pow, Term, is_negative
from derivcheck.notation.terms.walk import factors


def chosen(t: Term) -> Func | None:
    """The extreme that a sum of terms with brackets is; None where it is none.

    >>> from derivcheck.notation.terms.brackets import bracket
    >>> from derivcheck.notation.terms.build import ref
    >>> a, b = ref("a"), ref("b")
    >>> print(chosen(add(mul(a, bracket(">", sub(a, b))), mul(b, bracket(">=", sub(b, a))))))
    max(a, b)
    """
    if not isinstance(t, Add):
        return None
    if not 2 <= len(t.args) <= 3:
        return None
    return next((c for parts in product(*map(_guarded, t.args)) if (c := _larger(list(parts))) is not None), None)


def with_sizes(args: tuple[Term, ...]) -> tuple[Term, ...]:
    """The addends with ``u·[u > 0] − u·[u < 0]`` as ``|u|``, and ``[u > 0] − [u < 0]`` as ``sign(u)``.

    >>> from derivcheck.notation.terms.brackets import bracket
    >>> from derivcheck.notation.terms.build import ref
    >>> u = ref("u")
    >>> with_sizes((mul(u, bracket(">", u)), neg(mul(u, bracket("<", u))), ref("v")))
    (abs(u), v)
    """
    for k, a in enumerate(args):
        for j in range(k + 1, len(args)):
            both = product(_guarded(a), _guarded(args[j]))
            found = next((c for p, q in both if (c := _size(p, q) or _size(q, p)) is not None), None)
            if found is not None:
                return with_sizes((*args[:k], found, *args[k + 1 : j], *args[j + 1 :]))
    return args


def _guarded(t: Term) -> list[tuple[Term, Bracket]]:
    """``(value, condition)`` of ``value·[condition]``, for each condition on real numbers among its factors."""
    parts = factors(t)
    guards = [f for f in parts if isinstance(f, Bracket) and isinstance(f.operand, Term)]
    return [(mul(*(f for f in parts if f is not g)), g) for g in guards]


def _size(positive: tuple[Term, Bracket], negative: tuple[Term, Bracket]) -> Term | None:
    """``c·|u|`` of ``c·u·[u > 0]`` and ``−c·u·[u < 0]``, or ``c·sign(u)`` of the same without u."""
    (value, above), (minus, below) = positive, negative
    u = above.operand
    if above.relation != ">" or below.relation != ">" or not isinstance(u, Term) or below.operand is not neg(u):
        return None
    if is_negative(u) or minus is not neg(value):
        return None
    size = Func("abs", (min(u, neg(u), key=str) if isinstance(u, Add) else u,))  # |x − y| and not |y − x|
    if value is u:
        return size
    for same, sign in ((u, 1), (neg(u), -1)):
        if same in factors(value):
            return mul(Number(sign), *(f for f in factors(value) if f is not same), size)
    return mul(value, Func("sign", (u,)))


def _larger(parts: list[tuple[Term, Bracket]]) -> Func | None:
    """``a·[a > b] + b·[b ≥ a]``, and the like with ``<``, and with half of each where they are equal."""
    order = [p for p in parts if p[1].relation in (">", ">=")]
    ties = [p for p in parts if p[1].relation == "=="]
    if len(order) != 2 or len(order) + len(ties) != len(parts):
        return None
    (a, first), (b, second) = order
    for kind, lead, follow in (("max", sub(a, b), sub(b, a)), ("min", sub(b, a), sub(a, b))):
        if first.operand is lead and second.operand is follow:
            strict = (first.relation == ">") + (second.relation == ">")
            if strict == 1 and not ties or strict == 2 and len(ties) == 1 and _half(ties[0], a, b):
                return _extreme(kind, a, b)
    return _within(a, first, b, second)


def _half(tie: tuple[Term, Bracket], a: Term, b: Term) -> bool:
    value, guard = tie
    if guard.operand is not sub(a, b) and guard.operand is not sub(b, a):
        return False
    if isinstance(value, Mul) and isinstance(value.args[0], Number):
        value = add(*(mul(value.args[0], x) for a in value.args[1:] for x in (a.args if isinstance(a, Add) else (a,))))
    return value is add(mul(_HALF, a), mul(_HALF, b))


def _within(a: Term, first: Bracket, b: Term, second: Bracket) -> Func | None:
    """``low·[low > x] + min(x, high)·[x ≥ low]`` is ``max(low, min(x, high))`` where the numbers are in order."""
    for (low, when), (inner, other) in (((a, first), (b, second)), ((b, second), (a, first))):
        within = chosen(inner)
        if isinstance(low, Number) and within is not None and within.name == "min":
            highs = [x for x in within.args if isinstance(x, Number)]
            rest = [x for x in within.args if not isinstance(x, Number)]
            if len(highs) == 1 and len(rest) == 1 and low.value <= highs[0].value:
                strict = {(when.relation, when.operand), (other.relation, other.operand)}
                x = rest[0]
                if strict in ({(">", sub(low, x)), (">=", sub(x, low))}, {(">=", sub(low, x)), (">", sub(x, low))}):
                    return _extreme("max", low, inner)
    return None


def with_positive_parts(args: tuple[Term, ...]) -> tuple[Term, ...]:
    """The factors with ``u`` and ``[u > 0]`` as ``max(0, u)``, and ``√u·[u > 0]`` as the root that it is.

    >>> from derivcheck.notation.terms.brackets import bracket
    >>> from derivcheck.notation.terms.build import ref
    >>> u = ref("u")
    >>> with_positive_parts((u, ref("v"), bracket(">", u)))
    (max(0, u), v)
    """
    for b in args:
        if isinstance(b, Bracket) and b.relation in (">", ">=") and isinstance(b.operand, Term):
            if b.operand in args:
                return tuple(_extreme("max", a, ZERO) if a is b.operand else a for a in args if a is not b)
            if any(_root(a) is b.operand or _above_zero(a, b.operand) for a in args if a is not b):
                return tuple(a for a in args if a is not b)
    return args


def _root(t: Term) -> Term | None:
    """What is under a square root."""
    return t.base if isinstance(t, Pow) and isinstance(t.exponent, Number) and t.exponent.value == Fraction(1, 2) else None


def _above_zero(t: Term, u: Term) -> bool:
    """Whether a condition says that ``√u`` is at least a number above 0, or above it: then ``u > 0`` need not be said."""
    if (
        not isinstance(t, Bracket)
        or t.relation not in (">", ">=")
        or not isinstance(t.operand, Add)
        or len(t.operand.args) != 2
    ):
        return False
    numbers = [a for a in t.operand.args if isinstance(a, Number) and a.value < 0]
    return len(numbers) == 1 and any(u in (_root(f) for f in factors(a)) for a in t.operand.args)


def _extreme(kind: str, a: Term, b: Term) -> Func:
    """As people write it: numbers first, the larger of 0 and u."""
    return Func(kind, (b, a) if isinstance(b, Number) and not isinstance(a, Number) else (a, b))


_HALF = Number(Fraction(1, 2))
