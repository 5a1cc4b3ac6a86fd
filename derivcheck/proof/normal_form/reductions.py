"""Products and extremes over indices: ``Π exp(f) = exp(Σ f)``, and what stays an atom of its own."""

from __future__ import annotations

from collections.abc import Sequence

from derivcheck.notation.integers.polynomials import Index, i_poly
from derivcheck.proof.expressions.atoms import (
    UNIT,
    Equal,
    Exp,
    Expression,
    Monomial,
    ProofAtom,
    Rational,
    Reduction,
    expression_text,
)
from derivcheck.proof.expressions.context import Context
from derivcheck.proof.expressions.labelling import canonical_order
from derivcheck.proof.expressions.polynomials import frozen, height_of, minus, of_atom, plus, scaled, single, whole
from derivcheck.proof.expressions.signatures import term_parts
from derivcheck.proof.normal_form import brackets, elementary
from derivcheck.proof.normal_form.cases import assuming
from derivcheck.proof.normal_form.closing import canonical_names
from derivcheck.proof.normal_form.elements import places
from derivcheck.proof.normal_form.powers import power
from derivcheck.proof.normal_form.products import product, times
from derivcheck.proof.normal_form.substitution import moved, renamed

WRITTEN_OUT = 6  # factors of a product over a number of places
COMPARED = 4  # of an extreme


def reduced(context: Context, kind: str, bound: Sequence[Index], body: Expression) -> Expression:
    """``Π`` or an extreme of an expression over some indices."""
    if kind == "prod":
        return _product(context, list(bound), body)
    if kind in ("max", "min") and context.mode.elements and all(i.size.constant in range(1, COMPARED + 1) for i in bound):
        return _compared(context, kind, list(bound), body)
    return _atom(context, kind, bound, body)


def _compared(context: Context, kind: str, bound: list[Index], body: Expression) -> Expression:
    """An extreme over a few places by comparisons: ``max(u, v) = v + [u > v]·(u − v)``."""
    if not bound:
        return body
    context.used("max(u, v) = v + [u > v]·(u - v)")
    first, *others = (_compared(context, kind, bound[1:], u) for u in places(context, body, bound[0]))
    for u in others:
        gap = minus(first, u)
        first = plus(u, times(context, brackets.above(context, scaled(gap, 1 if kind == "max" else -1)), gap))
    return first


def _atom(context: Context, kind: str, bound: Sequence[Index], body: Expression) -> Expression:
    """The reduction as an atom, each index in the direction in which it is plainer."""
    best = _labelled(context, kind, bound, body)
    if not kind.startswith("arg"):  # the place of an extreme is counted from one end
        for i in bound:
            if _turned(i, body):
                other = _labelled(context, kind, bound, moved(context, body, {i: i.size - 1 - i_poly(i)}))
                best = min(best, other, key=lambda a: (_oddness(a), a.signature))
    return of_atom(best)


def _labelled(context: Context, kind: str, bound: Sequence[Index], body: Expression) -> Reduction:
    order = canonical_order(context, bound, term_parts(body.items()))
    names = canonical_names(order, max(map(height_of, body), default=0) + 1)
    return context.atom(Reduction, kind, tuple(names.values()), frozen(renamed(context, body, names)))


def _turned(i: Index, body: Expression) -> bool:
    """Whether the index stands with a minus sign in a position."""
    found = (p.linear_in(i) for m in body for a, _ in m if i in a.free for p in a.every_position())
    return any(x is not None and x[0] < 0 for x in found)


def _oddness(a: ProofAtom) -> int:
    return sum(len(p.terms) for p in a.every_position())


def _product(context: Context, bound: list[Index], body: Expression) -> Expression:
    """``Π`` over indices, one after another."""
    if body == {UNIT: 1}:
        return body
    i = bound[0]
    if len(bound) > 1:
        return _product(context, bound[1:], _product(context, [i], body))
    if not body:
        return brackets.least(context, -i.size)  # of no factors it is 1
    if i.size.constant is not None and i.size.constant <= WRITTEN_OUT:
        return product(context, [moved(context, body, {i: k}) for k in range(i.size.constant)])
    excluded = _excluded(context, i, body)
    if excluded is not None:
        return excluded
    one = single(body)
    return _atom(context, "prod", [i], body) if one is None else _product_of(context, i, *one)


def _product_of(context: Context, i: Index, m: Monomial, c: Rational) -> Expression:
    """``Π`` of one term, factor by factor."""
    total: Expression = {UNIT: 1}
    left: list[tuple[ProofAtom, Rational]] = []
    for a, e in m:
        if isinstance(a, Exp):
            context.used("Π exp(f) = exp(Σ f)")
            total = times(context, total, elementary.exp(context, context.rules.summed(context, [i], {a.monomial: e})))
        elif i in a.free and whole(e) and (len(m) > 1 or e != 1):
            context.used("Π f·g = Π f · Π g")
            total = times(context, total, power(context, _atom(context, "prod", [i], of_atom(a)), e))
        else:
            left.append((a, e))
    if left or c != 1:
        total = times(context, total, _atom(context, "prod", [i], {frozenset(left): c}))
    return total


def _excluded(context: Context, i: Index, body: Expression) -> Expression | None:
    """``Π_i ([i = e]·A + (1 − [i = e])·B) = A(e)·Π B / B(e)`` where ``B(e) ≠ 0`` and e is a place."""
    masks = {a for m in body for a, _ in m if isinstance(a, Equal) and i in a.poly.indices}
    if len(masks) != 1 or not context.mode.expand:
        return None
    mask = masks.pop()
    found = brackets.solve(mask.poly, [i])
    if found is None or not (context.holds(found[1]) and context.holds(i.size - 1 - found[1])):
        return None
    on, off = assuming(body, mask)
    on_there, off_there = (moved(context, u, {i: found[1]}) for u in (on, off))
    context.used("Π without one place")
    context.assume(f"{expression_text(off_there)} ≠ 0")
    return product(context, [on_there, _product(context, [i], off), power(context, off_there, -1)])
