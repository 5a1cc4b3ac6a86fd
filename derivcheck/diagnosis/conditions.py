"""Conditions on numbers in words: ``a < b`` for what a mask leaves out."""

from __future__ import annotations

from derivcheck.notation.terms.build import add, neg
from derivcheck.notation.terms.nodes import Add, Bracket, Term

OPPOSITE = {"==": "!=", "!=": "==", ">": "<=", ">=": "<"}


def compared(operand: Term, relation: str) -> str:
    """``a < b`` for ``b - a > 0``."""
    parts = operand.args if isinstance(operand, Add) else (operand,)
    taken = [neg(a) for a in parts if str(a).startswith("-")]
    kept = [a for a in parts if not str(a).startswith("-")]
    if not taken or not kept:
        return f"{operand} {relation} 0"
    return f"{add(*kept)} {relation} {add(*taken)}"


def left_out(b: Bracket) -> str:
    """What a mask on numbers leaves out."""
    assert isinstance(b.operand, Term)
    return compared(b.operand, OPPOSITE[b.relation])
