"""Products over all places but one, and products and extremes of what arrives at a place, without a matrix of pairs.

``Π_j ([j = i] + [j != i]·x[j])`` is what the derivative of a product is made of: the product of all before i times that of all
after it.  ``Π_p ([m = t[p]]·s[p] + [m != t[p]])`` multiplies each ``s[p]`` into place ``t[p]``; an extreme goes the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product as choices

from derivcheck.codegen.graph.nodes import INT, OverNode
from derivcheck.codegen.lowering.frame import LAST, Frame
from derivcheck.codegen.lowering.positions import trusted
from derivcheck.codegen.lowering.reading import integer, padded
from derivcheck.notation.integers.atoms import Entry, Extreme
from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, fresh, i_poly
from derivcheck.notation.terms.brackets import bracket, opposite
from derivcheck.notation.terms.build import ONE, ZERO, add, func, mul, neg
from derivcheck.notation.terms.nodes import Add, Bracket, Over, Term
from derivcheck.notation.terms.substitute import product, substitute, transform
from derivcheck.notation.terms.walk import factors, subterms

_NEUTRAL = {"prod": ONE, "max": neg(func("inf")), "min": func("inf")}  # what changes nothing


def decided(term: Term, truths: Mapping[Bracket, bool]) -> Term:
    """The term where these brackets hold or not."""
    table: dict[Term, Term] = {}
    for b, truth in truths.items():
        table[b], table[opposite(b)] = (ONE, ZERO) if truth else (ZERO, ONE)
    return transform(term, lambda t: table.get(t, t))


def product_of_others(low: Frame, term: Over) -> OverNode | None:
    """``Π_j ([j = i]·a + [j != i]·f(j))``: ``a`` at i, times the product of ``f`` over all places but i."""
    pairs = {b: pair for b, p in _equalities(term.body) if (pair := _equal(p, term.indices)) is not None}
    if len(pairs) != len(term.indices) or {j for j, _ in pairs.values()} != set(term.indices):
        return None
    mine = decided(term.body, dict.fromkeys(pairs, True))
    others = {
        decided(term.body, dict(zip(pairs, truth))) for truth in choices((True, False), repeat=len(pairs)) if not all(truth)
    }
    there = [i for _, i in pairs.values()]
    if len(others) != 1 or len(set(there)) != len(there) or not low.graph.fixed.isdisjoint(there):
        return None
    (rest,) = others
    if len(there) == 1 and there[0].size is not term.indices[0].size:
        return _over_more(low, mine, rest, term.indices[0], there[0])
    if any(j.size is not i.size for j, i in pairs.values()):
        return None
    back = dict(pairs.values())
    if rest.free.isdisjoint(there):
        found = _of_others(low, rest, term.indices, back)
    else:
        found = _of_others_alike(low, rest, term.indices[0], there[0]) if len(there) == 1 else None
    if found is None or mine is ONE:
        return found
    return low.binary("mul", low.value(substitute(mine, {j: i_poly(i) for j, i in back.items()})), found)


def _over_more(low: Frame, mine: Term, rest: Term, j: Index, i: Index) -> OverNode | None:
    """Where i runs over other places than j: over the places of both, with ones where j has none."""
    used = {*low.place, *mine.free, *rest.free, j, i}
    more = Index(j.name, as_poly(Extreme("max", (j.size, i.size))))
    k, m = fresh(more, used), fresh(more, {*used, fresh(more, used)})
    here = bracket(">=", j.size - 1 - i_poly(k))
    inside = add(mul(here, substitute(rest, {j: i_poly(k), i: i_poly(m)})), opposite(here))
    same = bracket("==", i_poly(k) - i_poly(m))
    assert isinstance(same, Bracket)
    own = substitute(mine, {j: i_poly(k), i: i_poly(m)})
    whole = product([k], add(mul(same, own), mul(opposite(same), inside)))
    found = product_of_others(low, whole) if isinstance(whole, Over) else None
    if found is None or m not in found.axes:
        return None
    at = found.axes.index(m)
    return padded(low, OverNode(found.node, (*found.axes[:at], i, *found.axes[at + 1 :])), at, as_poly(0), i.size)


def _of_others(low: Frame, rest: Term, bound: tuple[Index, ...], back: Mapping[Index, Index]) -> OverNode | None:
    """``Π f(j)`` over all j but i."""
    if not set(bound) <= rest.free:
        return None
    value = low.value(rest)
    kept = tuple(i for i in value.axes if i not in bound)
    node = low.tensor(low.spread(value, kept + bound))
    node = low.graph.reshape(node, [*(i.size for i in kept), numel(i.size for i in bound)])
    node = low.graph.node("others", (node,), (len(kept),), node.dims, node.kind)
    out = kept + tuple(back[j] for j in bound)
    for i in out:
        low.place.setdefault(i, len(low.place))
    return OverNode(low.graph.reshape(node, [i.size for i in out]), out)


def _of_others_alike(low: Frame, rest: Term, j: Index, i: Index) -> OverNode | None:
    """``Π_j ([t[j] = t[i]]·f(j) + [t[j] != t[i]])`` over all j but i: of those that share a place with i."""
    keys = [
        (b, p)
        for b, p in _equalities(rest)
        if i in p.indices and j in p.indices and p.substitute({i: i_poly(j), j: i_poly(i)}) is -p
    ]
    if len(keys) != 1:
        return None
    alike, operand = keys[0]
    key = Poly((m, c) for m, c in operand.terms if j in Poly(((m, c),)).indices)
    key = key if key.terms[0][1] > 0 else -key
    value, size = decided(rest, {alike: True}), low.below.get(key.atom.name) if isinstance(key.atom, Entry) else None
    if size is None or i in value.free or not _is(decided(rest, {alike: False}), ONE) or not trusted(low, key, size):
        return None
    x, t = low.value(value), integer(low, key)
    axes = low.union([x.axes, t.axes])
    if j not in axes:
        return None
    nodes = [low.spread(OverNode(low.tensor(v.node, k), v.axes), axes) for v, k in ((x, ""), (t, INT))]
    made = low.graph.node("others_alike", nodes, (axes.index(j), size), nodes[0].dims, nodes[0].kind)
    return OverNode(made, tuple(i if a is j else a for a in axes))


def arriving(low: Frame, term: Over) -> OverNode | None:
    """A product or an extreme over j of what a bracket ``[m = t[j]]`` sends to place m, and of what changes nothing."""
    if len(term.indices) != 1 or term.kind not in _NEUTRAL:
        return None
    (j,) = term.indices
    for b, operand in _equalities(term.body):
        for m in sorted(operand.indices - low.graph.fixed - {j}, key=lambda i: low.place.get(i, LAST)):
            line = operand.linear_in(m)
            if line is None or line[0] not in (1, -1):
                continue
            p = -line[0] * line[1]
            value = decided(term.body, {b: True})
            if m in p.indices or m in value.free or j not in p.indices or not p.names or not trusted(low, p, m.size):
                continue
            if _is(decided(term.body, {b: False}), _NEUTRAL[term.kind]):
                return _into_places(low, term.kind, value, j, m, p)
    return None


def _into_places(low: Frame, kind: str, value: Term, j: Index, m: Index, p: Poly) -> OverNode | None:
    """Values added up at the places that an integer tensor names along ``j``; None where they do not run over ``j``."""
    x, t = low.value(value), integer(low, p)
    axes = low.union([x.axes, t.axes])
    if j not in axes or x.node.kind == INT:
        return None
    nodes = [low.spread(OverNode(low.tensor(v.node, k), v.axes), axes) for v, k in ((x, ""), (t, INT))]
    out = tuple(m if a is j else a for a in axes)
    dims = tuple(i.size for i in out)
    return OverNode(low.graph.node("arriving", nodes, (axes.index(j), kind), dims, nodes[0].kind), out)


def _equalities(term: Term) -> Iterator[tuple[Bracket, Poly]]:
    """Each ``[p == 0]`` in it, also where it stands as ``[p != 0]``."""
    found: dict[Bracket, Poly] = {}
    for t in subterms(term):
        if isinstance(t, Bracket) and t.relation in ("==", "!=") and isinstance(t.operand, Poly):
            found[Bracket("==", t.operand)] = t.operand
    yield from found.items()


def _equal(operand: Poly, bound: Sequence[Index]) -> tuple[Index, Index] | None:
    """``(j, i)`` where the operand says that the bound index j is the free index i."""
    for j in bound:
        line = operand.linear_in(j) if j in operand.indices else None
        if line is not None and line[0] in (1, -1):
            i = (-line[0] * line[1]).index
            if i is not None and i not in bound:
                return j, i
    return None


def _is(term: Term, wanted: Term) -> bool:
    """Whether the term is that number, also where a bracket and its opposite choose between two that are."""
    if term is wanted:
        return True
    if not isinstance(term, Add) or len(term.args) != 2:
        return False
    one, other = (factors(t) for t in term.args)
    for b in one:
        if isinstance(b, Bracket) and opposite(b) in other:
            left, right = mul(*(f for f in one if f is not b)), mul(*(f for f in other if f is not opposite(b)))
            return _is(left, wanted) and _is(right, wanted)
    return False
