"""Choices: ``[c]·a + [not c]·b`` is one ``where``, and what a user's ``where`` leaves out stays out.

Where ``z_bar`` was selected, ``z_bar/x`` is selected again.

The gradient of a branch that is not taken is 0; times a slope that is infinite or no number there, as ``log(x)`` has at 0
and ``x^(1/2)`` below it, it would be NaN, as it is in torch's own backward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from derivcheck.codegen.graph.nodes import OverNode
from derivcheck.codegen.graph.numbers import is_number
from derivcheck.codegen.lowering.frame import Choice, Frame
from derivcheck.codegen.lowering.masks import mask, tells, where
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.notation.terms.brackets import bracket, opposite
from derivcheck.notation.terms.build import mul
from derivcheck.notation.terms.nodes import Bracket, Mul, Ref, Term
from derivcheck.notation.terms.substitute import substitute
from derivcheck.notation.terms.walk import factors


def joined_choices(low: Frame, args: Sequence[Term]) -> list[Term | OverNode]:
    """Addends, each two that exclude each other as one ``where``."""
    left: list[Term | OverNode] = list(args)
    for a in args:
        if a not in left or not isinstance(a, Mul):
            continue
        for b in (f for f in a.args if isinstance(f, Bracket)):
            others = [o for o in left if isinstance(o, (Mul, Bracket)) and o is not a]
            found = next(((o, e) for e in _opposites(b) for o in others if e in factors(o)), None)
            if found is None or is_number(b, low.graph.fixed):
                continue
            other, else_ = found
            yes, no = mul(*(f for f in a.args if f is not b)), mul(*(f for f in factors(other) if f is not else_))
            if tells(b, yes) and not tells(b, no):
                b, yes, no = cast(Bracket, else_), no, yes
            one, two = low.value(yes), low.value(no)
            left[left.index(a)] = where(low, mask(low, b, max(one.axes, two.axes, key=len)), one, two)
            left.remove(other)
            break
    return left


def _opposites(b: Bracket) -> list[Term]:
    """What holds where the bracket does not: beside ``[m - 1 >= 0]`` also ``[m == 0]``, where m is at least 0."""
    found = [opposite(b)]
    if b.relation == ">=" and isinstance(b.operand, Poly) and nonnegative(b.operand + 1):
        found.append(bracket("==", b.operand + 1))
    return found


def remember_choice(low: Frame, name: str, indices: tuple[Index, ...], term: Term) -> None:
    """Keep the conditions of a product of a boolean tensor and others, and those that its factors have."""
    found = [f for f in factors(term) if isinstance(f, Bracket) and _of_booleans(low, f)]
    for f in factors(term):
        found += [b for b in _inherited(low, f) if b not in found]
    if found and all(b.free <= set(indices) for b in found):
        low.chosen[name] = Choice(indices, tuple(found))


def chosen_before(low: Frame, rest: Sequence[Term]) -> list[Bracket]:
    """The conditions that a product's factors were chosen by, where another factor may be infinite."""
    found: list[Bracket] = []
    for k, f in enumerate(rest):
        conditions = _inherited(low, f)
        if conditions and low.unbounded(mul(*rest[:k], *rest[k + 1 :])):
            found += [b for b in conditions if b not in found]
    return found


def _of_booleans(low: Frame, b: Bracket) -> bool:
    return isinstance(b.operand, Ref) and low.kinds.get(b.operand.name) == "bool"


def _inherited(low: Frame, f: Term) -> list[Bracket]:
    choice = low.chosen.get(f.name) if isinstance(f, Ref) else None
    if choice is None or not isinstance(f, Ref):
        return []
    moves = dict(zip(choice.indices, f.at))
    out = [substitute(b, moves) for b in choice.conditions]
    return [b for b in out if isinstance(b, Bracket)]
