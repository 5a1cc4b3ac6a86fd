"""Values, and the small vocabulary that rows are written in: brackets, selection, broadcasting.

>>> from derivcheck.notation.integers.polynomials import Index, size
>>> from derivcheck.notation.terms.build import ZERO
>>> x, i = Value("x", (size("N"),)), Index("i", size("N"))
>>> print(where(test(">", x[i], ZERO), x[i], ZERO))
[x[i] > 0]*x[i]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from derivcheck.notation.integers.atoms import entry
from derivcheck.notation.integers.polynomials import Atom, Index, Poly, as_poly
from derivcheck.notation.terms.brackets import bracket, opposite
from derivcheck.notation.terms.build import ZERO, add, func, mul, neg, ref, size_of, sub
from derivcheck.notation.terms.nodes import Add, Bracket, Mul, Number, SizeOf, Term
from derivcheck.notation.terms.substitute import substitute

Position = Poly | Atom | int


@dataclass(frozen=True)
class Value:
    """A tensor that a definition or an input names.

    Attributes:
        name: the name of the definition or input.
        dims: its sizes.
        kind: ``float``, ``int`` or ``bool``.
        closed: ``(indices, term)`` where the element is known without reading a tensor (``arange``, ``ones``, a causal
            mask, ``ids + 1``) or is an element of another tensor (a transpose); such a value melts into what uses it.
    """

    name: str
    dims: tuple[Poly, ...]
    kind: str = "float"
    closed: tuple[tuple[Index, ...], Term] | None = None

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.dims)

    def __getitem__(self, at: Position | tuple[Position, ...]) -> Term:
        """The element as a number; of a boolean tensor 1 or 0."""
        places = _places(at)
        if self.closed is not None:
            return substitute(self.closed[1], dict(zip(self.closed[0], places)))
        if self.kind == "int":
            return size_of(entry(self.name, *places))
        if self.kind == "bool":
            return Bracket("!=", ref(self.name, *places))
        return ref(self.name, *places)

    def entry(self, *at: Position) -> Poly:
        """The element of an integer tensor as an integer expression, for use as a position."""
        if self.kind != "int":
            raise TypeError(f"{self.name} holds {self.kind} values, which are no positions")
        term = self[at]
        if isinstance(term, SizeOf):
            return term.value
        if isinstance(term, Number) and term.value.denominator == 1:
            return as_poly(int(term.value))
        return entry(self.name, *_places(at))

    def mask(self, *at: Position) -> Term:
        """The element as a condition: ``[x[at] ≠ 0]``."""
        return nonzero(self[at])


def _places(at: Position | tuple[Position, ...]) -> tuple[Poly, ...]:
    return tuple(as_poly(p) for p in (at if isinstance(at, tuple) else (at,)))


# -- terms that rows are full of ---------------------------------------------
def test(relation: str, left: Term, right: Term) -> Term:
    """The bracket ``[left relation right]``; ``relation`` is one of ``== != < <= > >=``."""
    return _bracket(relation, sub(left, right))


def not_a_number(x: Term) -> Term:
    """Neither ``[x ≥ 0]`` nor ``[x < 0]``."""
    return Bracket("==", add(test(">=", x, ZERO), test("<", x, ZERO)))


def finite(x: Term) -> Term:
    """``[x < ∞][x > −∞]``, false for NaN, for which no comparison holds."""
    return mul(test(">", func("inf"), x), test(">", x, neg(func("inf"))))


def infinite(x: Term, sign: int) -> Term:
    """Whether x is ∞ (sign 1) or −∞ (sign −1), without a difference of infinities."""
    if sign > 0:
        return mul(test(">", x, ZERO), Bracket("==", test(">", func("inf"), x)))
    return mul(test("<", x, ZERO), Bracket("==", test(">", x, neg(func("inf")))))


def _bracket(relation: str, difference: Term) -> Term:
    if isinstance(difference, Bracket):  # the difference of a truth value and 0
        if relation in ("!=", ">"):
            return difference
        if relation in ("==", "<="):
            return opposite(difference)
    whole = as_integer(difference)
    return bracket(relation, difference if whole is None else whole)


def as_integer(term: Term) -> Poly | None:
    """A sum of integer expressions as one integer expression: what brackets can then decide and positions be solved for."""
    if isinstance(term, Number):
        return as_poly(int(term.value)) if term.value.denominator == 1 else None
    if isinstance(term, SizeOf):
        return term.value
    if isinstance(term, (Add, Mul)):
        parts = [as_integer(a) for a in term.args]
        if any(p is None for p in parts):
            return None
        total = as_poly(0 if isinstance(term, Add) else 1)
        for p in parts:
            assert p is not None
            total = total + p if isinstance(term, Add) else total * p
        return total
    return None


def nonzero(term: Term) -> Term:
    """``[term ≠ 0]``."""
    return _bracket("!=", term)


def where(condition: Term, yes: Term, no: Term) -> Term:
    """``yes`` where the condition (brackets) holds, else ``no``; the one not chosen may be infinite.

    Each choice is a product with brackets, which selects: the complement of ``[p]*[q]`` is ``[not p] + [p]*[not q]``.
    """
    if isinstance(condition, Number):
        return yes if condition.value else no
    parts = condition.args if isinstance(condition, Mul) else (condition,)
    if not all(isinstance(p, Bracket) for p in parts):
        parts = (Bracket("!=", condition),)
    otherwise = [mul(*parts[:k], opposite(p), no) for k, p in enumerate(parts)]
    return add(mul(*parts, yes), *otherwise)


def both(*conditions: Term) -> Term:
    """All conditions hold."""
    return mul(*conditions)


def either(left: Term, right: Term) -> Term:
    """At least one of two conditions holds."""
    return add(left, mul(opposite(left), right))


def within(position: Position, length: Position) -> Term:
    """``[0 ≤ position < length]``."""
    p, n = as_poly(position), as_poly(length)
    return mul(bracket(">=", p), bracket(">=", n - 1 - p))


def is_one(length: Poly) -> bool:
    """Whether a dimension has size 1 always: it is broadcast."""
    return length.constant == 1


def broadcast_dims(*shapes: Sequence[Poly]) -> tuple[Poly, ...]:
    """The dimensions that shapes broadcast to."""
    rank = max((len(s) for s in shapes), default=0)
    out: list[Poly] = []
    for axis in range(-rank, 0):
        here = [s[axis] for s in shapes if len(s) >= -axis]
        out.append(next((p for p in here if not is_one(p)), as_poly(1)))
    return tuple(out)


def spread(dims: Sequence[Poly], at: Sequence[Position]) -> tuple[Poly, ...]:
    """The positions in a tensor of ``dims`` that broadcasting reads for the last of the positions ``at``."""
    places = [as_poly(p) for p in at][len(at) - len(dims) :]
    return tuple(as_poly(0) if is_one(d) else p for d, p in zip(dims, places))


def promoted(*operands: Any) -> str:
    """The kind of the result of arithmetic: float before int before bool."""
    kinds = {_kind(o) for o in operands}
    return "float" if "float" in kinds else "int" if "int" in kinds else "bool"


def _kind(operand: Any) -> str:
    if isinstance(operand, Value):
        return operand.kind
    return "bool" if isinstance(operand, bool) else "int" if isinstance(operand, (int, Poly, Atom)) else "float"
