"""``c + c·erf(u)``: twice c times the normal distribution's share below ``√2·u``, by a kernel whose erf is the faster one."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from derivcheck.codegen.graph.nodes import FLOAT, OverNode
from derivcheck.codegen.lowering.frame import Frame
from derivcheck.notation.terms.build import coefficient, mul, power
from derivcheck.notation.terms.nodes import Func, Number, Term


def is_erf(term: Term) -> bool:
    """Whether it is a number times an ``erf``."""
    rest = coefficient(term)[1]
    return isinstance(rest, Func) and rest.name == "erf"


def normal(low: Frame, args: Sequence[Term]) -> tuple[OverNode, list[Term]] | None:
    """The share as a number of times, and the addends that are left; alone an erf keeps its own digits near 0."""
    for erf in args if low.to_two else ():
        c, rest = coefficient(erf)
        if not is_erf(erf) or not isinstance(rest, Func) or not (beside := [a for a in args if a is Number(c)]):
            continue
        at = low.value(mul(power(Number(2), Number(Fraction(1, 2))), rest.args[0]))
        if at.node.kind != FLOAT:
            return None
        share = OverNode(low.graph.unary("normal", at.node), at.axes)
        return low.scale(share, Number(2 * c)), [a for a in args if a is not erf and a is not beside[0]]
    return None
