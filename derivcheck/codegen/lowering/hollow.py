"""Sums of no elements beside a mean of none: 0, as the sum of products is, where the mean before the sum would make it NaN."""

from __future__ import annotations

from collections.abc import Sequence

from derivcheck.codegen.graph.nodes import FLOAT, OverNode
from derivcheck.codegen.lowering.frame import Frame
from derivcheck.codegen.lowering.positions import may_be_empty
from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.notation.terms.nodes import Mul, Number, Over, Pow, SizeOf, Term
from derivcheck.notation.terms.walk import subterms


def remember_means(low: Frame, name: str, term: Term) -> None:
    """Keep the sizes at 0 of which the definition is no number."""
    found = frozenset().union(*(low.hollow.get(n, frozenset()) for n in term.names))
    for t in subterms(term):
        if isinstance(t, Mul):
            below = {f.base.value for f in t.args if isinstance(f, Pow) and isinstance(f.base, SizeOf) and _is_quotient(f)}
            if not below:
                continue
            summed = {i.size for f in t.args if isinstance(f, Over) and f.kind == "sum" for i in f.indices}
            if {numel(summed)} == below:
                found |= frozenset(p for p in summed if may_be_empty(p))
    if found:
        low.hollow[name] = found


def _is_quotient(f: Pow) -> bool:
    return isinstance(f.exponent, Number) and f.exponent.value == -1


def before_sums(low: Frame, result: OverNode, factors: Sequence[Term]) -> OverNode:
    """A product of a gradient, in which a factor before a sum stands for a factor of each of its terms."""
    if low.hollow and low.returned and low.gradient:
        for s in factors:
            if isinstance(s, Over) and s.kind == "sum":
                result = with_none(low, result, s.indices, [f for f in factors if f is not s])
    return result


def with_none(low: Frame, result: OverNode, bound: Sequence[Index], factors: Sequence[Term]) -> OverNode:
    """The sum over ``bound``; 0 where there is nothing to sum and a factor that stands before a sum is no number there."""
    if not low.hollow or not low.returned or result.node.kind != FLOAT:
        return result
    before: dict[Poly, None] = {}
    for i in bound:
        names = {n for f in factors if i not in f.free for n in f.names}
        if any(i.size in low.hollow.get(n, ()) for n in names):
            before[i.size] = None
    if not before:
        return result
    return if_any(low, result, numel(before))


def if_any(low: Frame, value: OverNode, count: Poly) -> OverNode:
    """The value where there are any; 0 elsewhere."""
    return OverNode(low.graph.node("if_any", (value.node,), (count,), value.node.dims, FLOAT), value.axes)
