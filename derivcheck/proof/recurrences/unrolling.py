"""Recurrences written out one step: which of their elements are replaced by what makes them."""

from __future__ import annotations

from collections.abc import Callable

from derivcheck.notation.integers.polynomials import Index, Poly, PolyLike, as_poly, i_poly
from derivcheck.proof.claims.forms import Forms
from derivcheck.proof.expressions.atoms import Element, Equal, Expression, Monomial, ProofAtom
from derivcheck.proof.expressions.polynomials import add_into, elements_in
from derivcheck.proof.normal_form import brackets
from derivcheck.proof.normal_form.products import times
from derivcheck.proof.normal_form.substitution import moved, replaced


def unrolled(forms: Forms, u: Expression) -> Expression:
    """The recurrences that are not the forward's written out one step."""
    sides = forms.sides
    names = [n for n in elements_in(u) if sides.recurrent(n) and not sides.from_forward(n)]
    return forms.inlined(u, {n: forms.form(n) for n in names})


def latest_unrolled(forms: Forms, u: Expression) -> Expression:
    """The forward's recurrences written out at their own place, not the earlier elements beside them."""
    sides = forms.sides
    found: dict[ProofAtom, Expression] = {}
    for name in sorted(n for n in elements_in(u) if sides.recurrent(n) and sides.from_forward(n)):
        own = forms.context.atom(Element, name, tuple(i_poly(i) for i in sides.definitions[name].indices))
        found[own] = forms.form(name)
    return replaced(forms.context, u, found)


def at_an_end(forms: Forms, gap: Expression, i: Index, last: bool) -> Expression:
    """An expression at the last place (or the first) of an index, the recurrences that start there by what they start with."""

    def start(m: Monomial, a: Element) -> Expression | None:
        along = forms.loop(a.name)
        axis = along.axes[a.name]
        first = forms.sides.indices(a.name)[axis].size - 1 if along.down else as_poly(0)
        if not _is_zero(m, a.at[axis] - first):
            return None
        return _element(forms, a.name, tuple(first if k == axis else p for k, p in enumerate(a.at)))

    return _written_out(forms, moved(forms.context, gap, {i: i.size - 1 if last else 0}), start)


def _is_zero(m: Monomial, p: Poly) -> bool:
    """Whether an integer expression is 0, or a delta beside it says so."""
    return p.constant == 0 or any(isinstance(b, Equal) and b.poly in (p, -p) for b, _ in m)


def beside_the_end(forms: Forms, gap: Expression, i: Index, last: bool) -> Expression:
    """An expression where ``i`` is not the last place (or not the first): there ``i + 1`` (or ``i − 1``) is inside too.

    The recurrences are written out at one of these two places: of those at which one stands, the one that it reaches
    last, so that all speak of the same elements.
    """
    context = forms.context
    places = {name: _place(forms, gap, name, i) for name in forms.recurrences(gap)}
    two = (0, 1) if last else (-1, 0)

    def step(m: Monomial, a: Element) -> Expression | None:
        place = places[a.name]
        return _element(forms, a.name, a.at) if place in two and _offset(forms, m, a, i) == place else None

    inner = brackets.least(context, i.size - 2 - i_poly(i) if last else i_poly(i) - 1)
    total = times(context, inner, _written_out(forms, gap, step))
    one_place = brackets.equal(context, i.size - 1)  # then each place is the last
    return {m: c for m, c in total.items() if not any(n <= m for n in one_place)}


def _written_out(forms: Forms, u: Expression, of: Callable[[Monomial, Element], Expression | None]) -> Expression:
    """An expression, term by term, with those elements of recurrences replaced for which something is known."""
    names = forms.recurrences(u)
    total: Expression = {}
    for m, c in u.items():
        known = {a: of(m, a) for a, _ in m if isinstance(a, Element) and a.name in names}
        found: dict[ProofAtom, Expression] = {a: v for a, v in known.items() if v is not None}
        add_into(total, replaced(forms.context, {m: c}, found))
    return total


def _element(forms: Forms, name: str, at: tuple[Poly, ...]) -> Expression:
    """What makes an element of a recurrence."""
    moves: dict[Index, PolyLike] = dict(zip(forms.sides.indices(name), at))
    return moved(forms.context, forms.form(name), moves)


def _place(forms: Forms, gap: Expression, name: str, i: Index) -> int | None:
    """Of several places i + c at which the recurrence stands, the one that it reaches last."""
    every = (_offset(forms, m, a, i) for m in gap for a, _ in m if isinstance(a, Element) and a.name == name)
    offsets = {k for k in every if k is not None}
    if len(offsets) < 2:
        return None
    return min(offsets) if forms.loop(name).down else max(offsets)


def _offset(forms: Forms, m: Monomial, a: Element, i: Index) -> int | None:
    """How far the element lies from i, which a delta beside it may fix."""
    solved = (brackets.solve(b.poly, [i]) for b, _ in m if isinstance(b, Equal))
    here = next((v for _, v in filter(None, solved)), i_poly(i))
    return (a.at[forms.loop(a.name).axes[a.name]] - here).constant
