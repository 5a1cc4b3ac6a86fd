"""Iverson brackets as boolean masks, and the selection that they make."""

from __future__ import annotations

from collections.abc import Sequence

from derivcheck.codegen.graph.nodes import BOOL, FLOAT, NUMBER, SCALAR, OverNode
from derivcheck.codegen.lowering.frame import Frame
from derivcheck.codegen.lowering.positions import vanishing
from derivcheck.codegen.lowering.reading import integer, read
from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.notation.integers.relations import FLIPPED
from derivcheck.notation.terms.build import add, neg
from derivcheck.notation.terms.nodes import Add, Bracket, Number, Ref, SizeOf, Term, is_negative


def mask(low: Frame, b: Bracket, order: tuple[Index, ...] = ()) -> OverNode:
    """A bracket as a boolean tensor, with its dimensions as they come in ``order`` where that has them all."""
    if isinstance(b.operand, Poly):
        axes = tuple(i for i in order if i in b.free)
        return _of_position(low, b.relation, b.operand, axes if len(axes) == len(b.free - low.graph.fixed) else None)
    return _of_term(low, b.relation, b.operand)


def _of_position(low: Frame, relation: str, p: Poly, axes: tuple[Index, ...] | None) -> OverNode:
    """A comparison of integers with nothing negative on either side, and a number alone on the right."""
    above = Poly((m, k) for m, k in p.terms if k > 0)
    below = Poly((m, -k) for m, k in p.terms if k < 0)
    if relation == ">=":
        c = dict(below.terms).get((), 0)
        if c >= 1:  # a >= b + 1 is a > b
            relation, below = ">", below - 1
    elif above.constant is None:  # t != -100
        c = dict(above.terms).get((), 0)
        above, below = above - c, below - c
    return _compare(low, relation, integer(low, above), integer(low, below), axes)


def _compare(low: Frame, relation: str, left: OverNode, right: OverNode, order: tuple[Index, ...] | None = None) -> OverNode:
    """Two sides compared, over the indices of both."""
    if left.node.kind == NUMBER:
        left, right, relation = right, left, FLIPPED[relation]
    axes = order or low.union([left.axes, right.axes])
    a, b = low.align(left, axes), low.align(right, axes)
    if a.kind == NUMBER:
        a = low.tensor(a)
    made = low.graph.binary(relation, a, b)
    return OverNode(low.graph.node(relation, made.args, made.params, made.dims, BOOL), axes)


def _of_term(low: Frame, relation: str, operand: Term) -> OverNode:
    """A comparison of numbers, written so that it loses no digits and infinities compare as in torch."""
    if isinstance(operand, Ref) and relation in ("==", "!=", ">") and low.kinds.get(operand.name) == "bool":
        value = read(low, operand.name, operand.at)
        return value if relation != "==" else OverNode(low.graph.unary("not", value.node), value.axes)
    numbers = [a for a in operand.args if isinstance(a, Number)] if isinstance(operand, Add) else []
    if isinstance(operand, Add) and numbers:  # [a − b + 1 ≥ 0] is a − b ≥ −1: 1 + a would lose the 1 where a is large
        left, right = add(*(a for a in operand.args if not isinstance(a, Number))), neg(numbers[0])
        if is_negative(left.args[0] if isinstance(left, Add) else left):
            left, right, relation = neg(left), neg(right), FLIPPED[relation]
        return _compare(low, relation, _exact(low, left), OverNode(low.graph.number(right), ()))
    if isinstance(operand, Add):  # [a − b ≥ 0] is a ≥ b: no cancellation, and inf meets inf as torch has it
        above = [a for a in operand.args if not is_negative(a)]
        below = [neg(a) for a in operand.args if is_negative(a)]
        if above and below:
            return _compare(low, relation, _exact(low, add(*above)), _exact(low, add(*below)))
    if is_negative(operand):
        return _compare(low, FLIPPED[relation], _exact(low, neg(operand)), OverNode(low.graph.number(Number(0)), ()))
    return _compare(low, relation, _exact(low, operand), OverNode(low.graph.number(Number(0)), ()))


def _exact(low: Frame, term: Term) -> OverNode:
    """A side of a comparison; integers are compared as integers."""
    if isinstance(term, Ref):
        return read(low, term.name, term.at)
    if isinstance(term, SizeOf):
        return integer(low, term.value)
    return low.real(term)


def where(low: Frame, chosen: OverNode, one: OverNode, two: OverNode) -> OverNode:
    """``one`` where the mask holds, ``two`` elsewhere."""
    g = low.graph
    axes = low.union([chosen.axes, one.axes, two.axes])
    a, b = low.align(one, axes), low.align(two, axes)
    plain = (NUMBER, SCALAR)
    if a.kind in plain and b.kind in plain:
        a = low.tensor(a)
    if a.kind == SCALAR:
        a = low.tensor(a)
    if b.kind == SCALAR:
        b = low.tensor(b)
    m = low.align(chosen, axes)
    inner = g.binary("where_parts", a, b)
    dims = g.binary("where_dims", m, inner).dims
    kind = FLOAT if FLOAT in (a.kind, b.kind) else inner.kind
    return OverNode(g.node("where", (m, a, b), (), dims, kind), axes)


def tells(b: Bracket, choice: Term) -> bool:
    """Whether a choice at a kink bears the number compared: it is chosen where the comparison fails, as it does for NaN."""
    return isinstance(b.operand, Term) and b.relation in (">", ">=") and not b.operand.names.isdisjoint(choice.names)


def implied(low: Frame, b: Bracket, factors: Sequence[Term], *, all_of: bool) -> bool:
    """Whether the product vanishes by itself where the bracket is 0, since factors are read as 0 outside their tensor.

    Every factor must vanish (0 times inf is nan), or one where the others are ``all_of=False`` tensors that are finite.
    """
    if not isinstance(b.operand, Poly) or b.relation != ">=" or not factors:
        return False
    found = [isinstance(f, Ref) and b.operand in vanishing(low, f.name, f.at) for f in factors]
    return all(found) or not all_of and any(found) and not any(low.unbounded(f) for f, v in zip(factors, found) if not v)


def masked(low: Frame, value: OverNode, b: Bracket) -> OverNode:
    """The value where the bracket holds, else 0.

    A kink is written by its other side, ``where(x <= 0, 0, x)``: NaN then passes through relu and abs, as in torch.
    """
    if isinstance(b.operand, Term) and b.relation in (">", ">="):
        other = Bracket(">" if b.relation == ">=" else ">=", neg(b.operand))
        return where(low, mask(low, other), OverNode(low.graph.number(Number(0)), ()), value)
    return where(low, mask(low, b, value.axes), value, OverNode(low.graph.number(Number(0)), ()))
