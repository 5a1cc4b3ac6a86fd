"""Brackets that scatter: ``Σ_n [v = ids[n]] · g[n]`` adds each ``g[n]`` into place ``ids[n]``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from derivcheck.codegen.graph.nodes import INT, Node, OverNode
from derivcheck.codegen.graph.numbers import is_number
from derivcheck.codegen.lowering.flat import flat_place
from derivcheck.codegen.lowering.frame import LAST, Frame
from derivcheck.codegen.lowering.positions import trusted
from derivcheck.codegen.lowering.reading import integer
from derivcheck.codegen.lowering.summed import SummedProduct
from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import mul
from derivcheck.notation.terms.nodes import Bracket, Over, Term
from derivcheck.notation.terms.substitute import substitute, summation
from derivcheck.notation.terms.walk import subterms


def scatter(low: Frame, s: SummedProduct) -> OverNode | None:
    """The sum as an accumulation into zeros, where brackets say into which places."""
    targets: dict[Index, Poly] = {}
    used: list[Bracket] = []
    for b in s.brackets:
        found = _target(low, s, b, targets)
        if found is not None:
            targets[found[0]] = found[1]
            used.append(b)
    if not used:
        return None
    summed = frozenset().union(*(p.indices for p in targets.values())) - low.graph.fixed
    kept = sorted(summed - frozenset(s.bound), key=lambda i: low.place.get(i, LAST))  # output indices that choose the place too
    inner = [i for i in s.bound if i not in summed]  # summed before scattering
    left = [substitute(b, targets) for b in s.brackets if b not in used]
    whole = _joined(low, targets)
    guards: list[Term] = []
    for a, p in whole.items():
        if not trusted(low, p, a.size):
            guards += [bracket(">=", p), bracket(">=", a.size - 1 - p)]
    factors = [substitute(t, targets) for t in s.factors]
    value = low.value(summation(inner, mul(s.number, *left, *guards, *factors)))
    places = (*kept, *(i for i in s.bound if i in summed))
    others = tuple(i for i in value.axes if i not in places)
    node = low.spread(OverNode(low.tensor(value.node), value.axes), places + others)
    spots = []
    if (added := _added(low, node, kept, whole, places, others)) is not None:
        return _apart(low, added, kept, targets, others)
    for a, p in [*((i, i_poly(i)) for i in kept), *whole.items()]:
        spot = integer(low, p)
        if not trusted(low, p, a.size):
            spot = OverNode(low.graph.node("clamp", (spot.node,), (as_poly(0), a.size - 1), spot.node.dims, INT), spot.axes)
        spots.append(low.tensor(low.align(spot, places), INT))
    if not any(s.rank == len(places) for s in spots):
        spots[-1] = low.spread(OverNode(spots[-1], places[len(places) - spots[-1].rank :]), places)
    if len(spots) == 1 and len(places) > 1:
        spots[0] = low.spread(OverNode(spots[0], places), places)
    dims = tuple(i.size for i in (*kept, *whole, *others))
    return _apart(low, low.graph.node("scatter", (node, *spots), (len(places),), dims, node.kind), kept, targets, others)


def _joined(low: Frame, targets: dict[Index, Poly]) -> dict[Index, Poly]:
    """The targets, as one that runs through them in row-major order where together they are one place."""
    order = sorted(targets, key=lambda i: low.place.get(i, LAST))
    found = flat_place(low, [targets[a] for a in order], [a.size for a in order]) if len(order) > 1 else None
    if found is None:
        return targets
    ordered = {a: targets[a] for a in order}
    targets.clear()
    targets.update(ordered)
    return {Index(order[0].name, numel(a.size for a in order), order[0].serial): found}


def _added(
    low: Frame, node: Node, kept: Sequence[Index], whole: dict[Index, Poly], places: Sequence[Index], others: Sequence[Index]
) -> Node | None:
    """``scatter_add``: one target, and a place in it for each element."""
    if others or len(whole) != 1 or not kept:
        return None
    if low.fused and len(places) > len(kept) + 1:
        return None  # a compiler takes the joined dimensions apart again, by a division for each element
    ((a, p),) = whole.items()
    spot = integer(low, p)
    if set(spot.axes) != set(places) or not trusted(low, p, a.size):
        return None
    lead = [i.size for i in kept]
    run = numel(i.size for i in places[len(kept) :])
    index = low.graph.reshape(low.align(spot, tuple(places)), [*lead, run])
    return low.graph.node(
        "scatter_add", (low.graph.reshape(node, [*lead, run]), index), (len(kept),), [*lead, a.size], node.kind
    )


def _apart(low: Frame, node: Node, kept: Sequence[Index], targets: Iterable[Index], others: Sequence[Index]) -> OverNode:
    out = (*kept, *targets, *others)
    return OverNode(low.graph.reshape(node, [i.size for i in out]), out)


def _target(low: Frame, s: SummedProduct, b: Bracket, taken: dict[Index, Poly]) -> tuple[Index, Poly] | None:
    """``(a, p)`` where the bracket says ``a = p`` for a free index; wherever else a stands, p may stand."""
    if b.relation != "==" or not isinstance(b.operand, Poly) or is_number(b, low.graph.fixed):
        return None
    for a in sorted(b.operand.indices - low.graph.fixed, key=lambda i: low.place.get(i, LAST)):
        others = (o for o in s.brackets if o is not b and o.relation == "==" and isinstance(o.operand, Poly))
        if a in s.bound or a in taken or any(a in o.free for o in others):
            continue
        if any(isinstance(o, Over) and a in o.free for t in s.factors for o in subterms(t)):
            continue
        line = b.operand.linear_in(a)
        if line is None or line[0] not in (1, -1):
            continue
        p = -line[0] * line[1]
        if a in p.indices:
            continue
        clash = any(a in q.indices for q in taken.values()) or not p.indices.isdisjoint(taken)
        if not p.indices.isdisjoint(s.bound) and not clash:
            return a, p
    return None
