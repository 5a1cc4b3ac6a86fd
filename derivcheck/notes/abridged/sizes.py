"""Conditions on both sides of 0 as one on the size: ``[u > −1]·[u < 1]`` is ``[|u| < 1]``."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import add, mul, neg, sub
from derivcheck.notation.terms.nodes import Add, Bracket, Mul, Number, Term, is_negative
from derivcheck.notation.terms.substitute import transform
from derivcheck.notation.terms.walk import factors


def with_sizes_of_numbers(program: Program) -> Program:
    """The same Program with conditions on sizes; what it means is the same at every number.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> from derivcheck.notes.abridged.length import written
    >>> p = parse_program("y[n] := [x[n] + 1 > 0]*[1 - x[n] > 0]*x[n]^2 + [x[n] >= 1]*a + [-x[n] >= 1]*a", {"a": ""})
    >>> print(written(with_sizes_of_numbers(p).definitions[0].term))
    x[n]²·[|x[n]| < 1] + a·[|x[n]| ≥ 1]
    """
    definitions = tuple(
        d if d.recurrent else replace(d, term=term, spelling=d.spelling if term is d.term else None)
        for d in program.definitions
        for term in [transform(d.term, _sized)]
    )
    return replace(program, definitions=definitions)


def _sized(t: Term) -> Term:
    """One node with sizes for pairs of conditions."""
    if isinstance(t, Mul):
        return _product(t)
    if isinstance(t, Add):
        for a, b in combinations(t.args, 2):
            found = _both_ends(a, b)
            if found is not None:
                return _sized(add(*(x for x in t.args if x is not a and x is not b), found))
    return t


def _product(t: Mul) -> Term:
    """A product where one condition follows from another, where two are one, or with a size for ``u·sign(u)``."""
    asked = [b for b in t.args if isinstance(b, Bracket) and b.relation in (">", ">=") and isinstance(b.operand, Term)]
    for a, b in combinations(asked, 2):
        rest = [x for x in t.args if x is not a and x is not b]
        for weak, strong in ((a, b), (b, a)):
            if _follows(weak, strong):
                return _sized(mul(*rest, strong))
        found = _between(a, b)
        if found is not None:
            return _sized(mul(*rest, found))
    for s in t.args:
        u = _side(s)
        for x in t.args:
            if u is not None and (x is u or x is neg(u)):
                rest = [y for y in t.args if y is not s and y is not x]
                return _sized(mul(*rest, _size(u), Number(1 if x is u else -1)))
    return t


def _size(u: Term) -> Term:
    """``|u|``, as rows say it."""
    u = _leading(u)
    return sub(mul(u, Bracket(">", u)), mul(u, Bracket(">", neg(u))))


def _constant(t: Term) -> Number | None:
    return t if isinstance(t, Number) else None


def _follows(weak: Bracket, strong: Bracket) -> bool:
    """Whether one condition follows from the other: ``u > −1`` from ``u ≥ 1``."""
    assert isinstance(weak.operand, Term) and isinstance(strong.operand, Term)
    more = _constant(sub(weak.operand, strong.operand))
    return more is not None and more.value > 0


def _parted(t: Term) -> tuple[Number, Term] | None:
    """``(c, u)`` of ``c + u``."""
    if not isinstance(t, Add):
        return None
    numbers = [a for a in t.args if isinstance(a, Number)]
    return (numbers[0], add(*(a for a in t.args if a is not numbers[0]))) if len(numbers) == 1 else None


def _between(a: Bracket, b: Bracket) -> Term | None:
    """``[c + u > 0]·[c − u > 0]`` as ``[c − |u| > 0]``."""
    assert isinstance(a.operand, Term) and isinstance(b.operand, Term)
    one, other = _parted(a.operand), _parted(b.operand)
    if one is None or other is None or a.relation != b.relation or one[0] is not other[0] or one[1] is not neg(other[1]):
        return None
    return Bracket(a.relation, sub(one[0], _size(one[1])))


def _leading(u: Term) -> Term:
    """Of a term and its negative one: ``x − y`` of ``y − x``, and no minus in front."""
    if isinstance(u, Add):
        return min(u, neg(u), key=str)
    return neg(u) if is_negative(u) else u


def _side(t: Term) -> Term | None:
    """``u`` where a term is ``[u > 0] − [−u > 0]``."""
    if not isinstance(t, Add) or len(t.args) != 2:
        return None
    for a, b in (t.args, t.args[::-1]):
        if isinstance(a, Bracket) and a.relation == ">" and isinstance(a.operand, Term):
            if b is neg(Bracket(">", neg(a.operand))):
                return a.operand
    return None


def _both_ends(a: Term, b: Term) -> Term | None:
    """``v·[u − c ≥ 0] + v·[−u − c ≥ 0]`` as ``v·[|u| − c ≥ 0]``, for a number c above 0."""
    for p in factors(a):
        for q in factors(b):
            if not (isinstance(p, Bracket) and isinstance(q, Bracket) and p.relation == q.relation in (">", ">=")):
                continue
            if not isinstance(p.operand, Term) or not isinstance(q.operand, Term):
                continue
            one, other = _parted(p.operand), _parted(q.operand)
            if one is None or other is None or one[0] is not other[0] or one[0].value >= 0 or one[1] is not neg(other[1]):
                continue
            value = mul(*(x for x in factors(a) if x is not p))
            if value is mul(*(x for x in factors(b) if x is not q)):
                return mul(value, Bracket(p.relation, add(one[0], _size(one[1]))))
    return None
