"""Terms that live in a block of an index: ``[a >= k]·[a < k + D]·f(a − k)`` is ``f`` over D places, set in zeros.

That is what the adjoint of a slice, a chunk or one part of a concatenation looks like.  The block is computed over
its own D places; blocks that lie side by side and fill the index are one ``torch.cat``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from derivcheck.codegen.graph.nodes import OverNode
from derivcheck.codegen.lowering.frame import LAST, Frame
from derivcheck.codegen.lowering.reading import padded
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, fresh, i_poly
from derivcheck.notation.terms.build import mul
from derivcheck.notation.terms.nodes import Bracket, Mul, Over, Ref, Term
from derivcheck.notation.terms.substitute import substitute
from derivcheck.notation.terms.walk import bound_indices, subterms


class Block(NamedTuple):
    """``inner`` over ``local``, to stand at ``start`` within ``whole``; 0 elsewhere."""

    whole: Index
    start: Poly
    local: Index
    inner: Term


def block(low: Frame, term: Term, a: Index) -> Block | None:
    """The term as a block of ``a``: where a tensor is read at ``a − k`` and the brackets keep to its places."""
    factors = term.args if isinstance(term, Mul) else (term,)
    guards = {f.operand: f for f in factors if isinstance(f, Bracket) and f.relation == ">=" and isinstance(f.operand, Poly)}
    for f in factors:  # one place alone
        if (
            isinstance(f, Bracket)
            and f.relation == "=="
            and isinstance(f.operand, Poly)
            and f.free == frozenset((a,))
            and not f.names
        ):
            line = f.operand.linear_in(a)
            if line is not None and line[0] in (1, -1):
                k = -line[0] * line[1]
                local = fresh(Index(a.name, 1), [*term.free, *bound_indices(term), *low.place])
                return Block(a, k, local, substitute(mul(*(x for x in factors if x is not f)), {a: k}))
    for k, size in _places(low, term, a):
        below, above = i_poly(a) - k, k + size - 1 - i_poly(a)
        if below not in guards and not nonnegative(-k) or above not in guards and not nonnegative(k + size - a.size):
            continue
        rest = [f for f in factors if f not in (guards.get(below), guards.get(above))]
        local = fresh(Index(a.name, size), [*term.free, *bound_indices(term), *low.place])
        return Block(a, k, local, substitute(mul(*rest), {a: i_poly(local) + k}))
    return None


def _places(low: Frame, term: Term, a: Index) -> list[tuple[Poly, Poly]]:
    """``(k, D)`` for each tensor of size D that is read at ``a − k``, other than the whole range of ``a``."""
    found: dict[tuple[Poly, Poly], None] = {}
    for t in subterms(term):
        if isinstance(t, Over) and any(a in i.size.indices for i in t.indices):
            return []
        if not isinstance(t, Ref) or t.name not in low.dims:
            continue
        for axis, p in enumerate(t.at):
            line = p.linear_in(a) if a in p.indices else None
            if line is not None and line[0] == 1 and not line[1].indices and not line[1].names:
                found[-line[1], low.dims[t.name][axis]] = None
    return [(k, size) for k, size in found if not (k is as_poly(0) and size is a.size)]


def blocked(low: Frame, args: Sequence[Term]) -> OverNode | None:
    """A product as a block set in zeros, where it is one and more than a tensor read at shifted places."""
    if any(isinstance(f, Bracket) and f.relation == "==" for f in args):
        return None
    rest = [f for f in args if not isinstance(f, Bracket)]
    if sum(len(list(subterms(f))) for f in rest) < 2:
        return None
    term = mul(*args)
    for a in sorted(term.free - low.graph.fixed, key=lambda i: low.place.get(i, LAST)):
        found = block(low, term, a)
        if found is not None:
            value = _inner(low, found)
            if found.local in value.axes:
                return _renamed(padded(low, value, value.axes.index(found.local), found.start, found.whole.size), found)
    return None


def concatenated(low: Frame, args: Sequence[Term]) -> tuple[OverNode, list[Term]] | None:
    """``(value, addends left over)``: those addends that fill an index block by block, as one tensor."""
    candidates: list[Term] = [t for t in args if isinstance(t, (Mul, Ref))]
    if len(candidates) < 2:
        return None
    every = frozenset().union(*(t.free for t in candidates)) - low.graph.fixed
    for a in sorted(every, key=lambda i: low.place.get(i, LAST)):
        found = {t: b for t in candidates if a in t.free and (b := block(low, t, a)) is not None}
        if len(found) < 2:
            continue
        order: list[list[Term]] = []
        at, left = as_poly(0), dict(found)
        while at is not a.size:
            here = [t for t, b in left.items() if b.start is at]
            sizes = {left[t].local.size for t in here}
            if len(sizes) != 1:
                break
            order.append(here)
            at = at + sizes.pop()
            for t in here:
                del left[t]
        else:
            if len(order) > 1 and not left:
                return _cat(low, a, [[found[t] for t in here] for here in order]), [t for t in args if t not in found]
    return None


def _cat(low: Frame, a: Index, groups: Sequence[Sequence[Block]]) -> OverNode:
    """The groups side by side: ``stack`` where each is one place, else ``cat``; those at one start are added up first."""
    parts: list[OverNode] = []
    for group in groups:
        one = _renamed(_inner(low, group[0]), group[0])
        for b in group[1:]:
            one = low.binary("add", one, _renamed(_inner(low, b), b))
        parts.append(one)
    axes = low.union([(a,), *(p.axes for p in parts)])
    at = axes.index(a)
    if all(b.local.size is as_poly(1) for group in groups for b in group) and not any(a in p.axes for p in parts):
        rest = tuple(i for i in axes if i is not a)
        nodes = [low.tensor(low.spread(p, rest)) for p in parts]
        return OverNode(low.graph.node("stack", nodes, (at,), [i.size for i in axes], nodes[0].kind), axes)
    nodes = []
    for p, group in zip(parts, groups):
        dims = [group[0].local.size if i is a else i.size for i in axes]
        node = low.align(p, axes)
        nodes.append(node if len(p.axes) == len(axes) else low.graph.expand(low.tensor(node), dims))
    dims = [i.size for i in axes]
    return OverNode(low.graph.node("cat", nodes, (at,), dims, nodes[0].kind), axes)


def _inner(low: Frame, b: Block) -> OverNode:
    low.place.setdefault(b.local, low.place.get(b.whole, len(low.place)))
    return low.value(b.inner)


def _renamed(value: OverNode, b: Block) -> OverNode:
    return OverNode(value.node, tuple(b.whole if i is b.local else i for i in value.axes))
