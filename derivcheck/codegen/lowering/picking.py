"""Sums that pick: ``Σ_c [c = t[n]]·f(c)`` is ``f(t[n])``, and ``Σ_i [g = i//d]·f(i)`` runs over the d places of group g."""

from __future__ import annotations

from collections.abc import Sequence

from derivcheck.codegen.graph.nodes import FLOAT, ONE_SIZE, OverNode
from derivcheck.codegen.graph.numbers import is_number
from derivcheck.codegen.lowering.frame import Frame
from derivcheck.codegen.lowering.positions import known, may_be_empty, trusted
from derivcheck.codegen.lowering.summed import SummedProduct
from derivcheck.notation.integers.atoms import Entry, Floor, exact_quotient
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, fresh, i_poly
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import mul
from derivcheck.notation.terms.nodes import Bracket, Over, Ref, Term
from derivcheck.notation.terms.substitute import substitute, summation
from derivcheck.notation.terms.walk import bound_indices, subterms


def picked(low: Frame, s: SummedProduct) -> OverNode | None:
    """The sum with one index fewer, where a bracket says which of its places counts."""
    for b in s.brackets:
        if b.relation != "==" or not isinstance(b.operand, Poly) or is_number(b, low.graph.fixed):
            continue
        others = [*(o for o in s.brackets if o is not b), *s.factors]
        for i in s.bound:
            left = [j for j in s.bound if j is not i]
            place = _place(b.operand, i, left)
            if place is not None and place.constant is not None and (found := _sliced(low, i, place, left, s.number, others)):
                return found
            if place is not None and not (known(low, place) and may_be_empty(i.size)):  # of no places none is picked
                return _at(low, i, place, left, s.number, others)
            group = _group(b.operand, i, left)
            if group is not None:
                g, width = group
                used = [*left, *low.place, *(j for t in others for j in (*t.free, *bound_indices(t)))]
                r = fresh(Index(i.name, width), used)
                low.place.setdefault(r, low.place.get(i, len(low.place)))
                guards = _guards(low, g, as_poly(exact_quotient(i.size, width) or 0))
                factors = [substitute(t, {i: width * g + i_poly(r)}) for t in others]
                return low.value(summation([*left, r], mul(s.number, *guards, *factors)))
    return None


def _at(low: Frame, i: Index, place: Poly, left: list[Index], number: Term, factors: Sequence[Term]) -> OverNode:
    """``Σ_left`` of the product at ``i = place``; what compares over i is computed for every i, and read there."""
    inside = _guards(low, place, i.size)
    own = [t for t in factors if not _over(t, i)]
    if isinstance(place.atom, Entry) and trusted(low, place, i.size):
        low.below.setdefault(place.atom.name, i.size)
    names = []
    for t in (t for t in factors if _over(t, i)):
        value = low.value(t)
        name = f"value {len(low.held)}"
        low.held[name], low.dims[name] = value.node, value.node.dims
        names.append(Ref(name, tuple(place if a is i else i_poly(a) for a in value.axes)))
    moved = [substitute(t, {i: place}) for t in own]
    return low.value(summation(left, mul(number, *inside, *moved, *names)))


def _sliced(low: Frame, i: Index, place: Poly, left: list[Index], number: Term, factors: Sequence[Term]) -> OverNode | None:
    """The same at a number where there may be no such place: the sum of a slice of one place, or of none."""
    own = [t for t in factors if i in t.free]
    possible = own and may_be_empty(i.size - place) and nonnegative(place, least=0)
    if not possible or any(isinstance(t, Bracket) for t in own):
        return None
    every = frozenset().union(*(t.free for t in own))
    together = any(t.free >= every for t in own)  # no larger than a factor, and most often there already
    product: OverNode | None = None
    for t in [mul(*own)] if together else own:
        v = low.value(t)
        k = v.axes.index(i) if i in v.axes else None
        if k is None or v.node.kind != FLOAT or len(v.axes) != v.node.rank or v.node.dims[k] is not i.size:
            return None
        dims = (*v.node.dims[:k], ONE_SIZE, *v.node.dims[k + 1 :])
        part = OverNode(low.graph.node("slice", (v.node,), (k, place, ONE_SIZE, ONE_SIZE), dims, FLOAT), v.axes)
        product = part if product is None else low.binary("mul", product, part)
    assert product is not None
    at = product.axes.index(i)
    name = f"value {len(low.held)}"
    node = low.held[name] = low.graph.reduce("sum", product.node, [at])
    low.dims[name] = node.dims
    read = Ref(name, tuple(i_poly(a) for a in product.axes if a is not i))
    return low.value(summation(left, mul(number, *(t for t in factors if t not in own), read)))


def _over(t: Term, i: Index) -> bool:
    """Whether a sum or an extreme inside compares what it runs over with i: read at an entry it would be pairs."""
    return any(
        isinstance(o, Over)
        and o.kind != "prod"
        and any(isinstance(b, Bracket) and i in b.free and not b.free.isdisjoint(o.indices) for b in subterms(o.body))
        for o in subterms(t)
    )


def _place(operand: Poly, i: Index, left: Sequence[Index]) -> Poly | None:
    """``p`` where the operand vanishes at ``i = p`` alone, and no other summed index stands in p but as an entry's place."""
    line = operand.linear_in(i) if i in operand.indices else None
    if line is None or line[0] not in (1, -1):
        return None
    p = -line[0] * line[1]
    return p if p.indices.isdisjoint(left) else None


def _group(operand: Poly, i: Index, left: Sequence[Index]) -> tuple[Poly, Poly] | None:
    """``(g, d)`` where the operand is ``±(g − i//d)`` and d divides the size of ``i``."""
    for a in operand.atoms():
        if not isinstance(a, Floor) or a.numerator.index is not i or exact_quotient(i.size, a.denominator) is None:
            continue
        for sign in (1, -1):
            g = operand * sign + as_poly(a)
            if i not in g.indices and g.indices.isdisjoint(left) and not a.denominator.names:
                return g, a.denominator
    return None


def _guards(low: Frame, p: Poly, size: Poly) -> list[Term]:
    return [] if trusted(low, p, size) else [bracket(">=", p), bracket(">=", size - 1 - p)]
