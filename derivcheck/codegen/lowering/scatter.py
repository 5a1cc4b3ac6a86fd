"""Brackets that scatter: ``Σ_n [v = ids[n]] · g[n]`` adds each ``g[n]`` into place ``ids[n]``."""

from __future__ import annotations

from collections.abc import Sequence

from derivcheck.codegen.graph.nodes import INT, Value
from derivcheck.codegen.graph.numbers import is_number
from derivcheck.codegen.lowering.frame import LAST, Frame
from derivcheck.codegen.lowering.positions import trusted
from derivcheck.codegen.lowering.reading import integer
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import mul
from derivcheck.notation.terms.nodes import Bracket, Term
from derivcheck.notation.terms.substitute import summation


def scatter(
    low: Frame, indices: Sequence[Index], number: Term, brackets: Sequence[Bracket], rest: Sequence[Term]
) -> Value | None:
    """The sum as an accumulation into zeros, where brackets say into which places."""
    bound = [i for i in indices if i not in low.graph.fixed]
    targets: dict[Index, Poly] = {}
    used: list[Bracket] = []
    for b in brackets:
        found = _target(low, b, bound, [o for o in brackets if o is not b], rest, targets)
        if found is not None:
            targets[found[0]] = found[1]
            used.append(b)
    if not used:
        return None
    summed = frozenset().union(*(p.indices for p in targets.values())) - low.graph.fixed
    kept = sorted(summed - frozenset(bound), key=lambda i: low.place.get(i, LAST))  # output indices that choose the place too
    inner = [i for i in bound if i not in summed]  # summed before scattering
    left = [b for b in brackets if b not in used]
    guards: list[Term] = []
    for a, p in targets.items():
        if not trusted(low, p, a.size):
            guards += [bracket(">=", p), bracket(">=", a.size - 1 - p)]
    value = low.value(summation(inner, mul(number, *left, *guards, *rest)))
    places = (*kept, *(i for i in bound if i in summed))
    others = tuple(i for i in value.axes if i not in places)
    node = low.spread(Value(low.tensor(value.node), value.axes), places + others)
    spots = []
    for a, p in [*((i, i_poly(i)) for i in kept), *targets.items()]:
        spot = integer(low, p)
        if not trusted(low, p, a.size):
            spot = Value(low.graph.node("clamp", (spot.node,), (as_poly(0), a.size - 1), spot.node.dims, INT), spot.axes)
        spots.append(low.tensor(low.align(spot, places), INT))
    if not any(s.rank == len(places) for s in spots):
        spots[-1] = low.spread(Value(spots[-1], places[len(places) - spots[-1].rank :]), places)
    if len(spots) == 1 and len(places) > 1:
        spots[0] = low.spread(Value(spots[0], places), places)
    out = (*kept, *targets, *others)
    dims = tuple(i.size for i in out)
    return Value(low.graph.node("scatter", (node, *spots), (len(places),), dims, node.kind), out)


def _target(
    low: Frame, b: Bracket, bound: Sequence[Index], others: Sequence[Bracket], rest: Sequence[Term], taken: dict[Index, Poly]
) -> tuple[Index, Poly] | None:
    """``(a, p)`` where the bracket says ``a = p`` for a free index that nothing else reads."""
    if b.relation != "==" or not isinstance(b.operand, Poly) or is_number(b, low.graph.fixed):
        return None
    for a in sorted(b.operand.indices - low.graph.fixed, key=lambda i: low.place.get(i, LAST)):
        if a in bound or a in taken or any(a in t.free for t in (*others, *rest)):
            continue
        line = b.operand.linear_in(a)
        if line is None or line[0] not in (1, -1):
            continue
        p = -line[0] * line[1]
        clash = any(a in q.indices for q in taken.values()) or not p.indices.isdisjoint(taken)
        if not p.indices.isdisjoint(bound) and not clash:
            return a, p
    return None
