"""Recurrences, by induction of one step.

A closed form that satisfies a recurrence, its start included, is its solution.  Where a recurrence is left in the
difference of two sides, the difference solved for it says what it would have to be, and that is put to the same test:
so the invariant that ties a published scan to the derived one is found.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from derivcheck.notation.integers.polynomials import i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.nodes import Add, Mul, Number, Over, Pow, Ref, Term
from derivcheck.proof.claims.forms import Forms
from derivcheck.proof.expressions.atoms import Element, Expression, Iverson, Monomial, Rational, monomial_text
from derivcheck.proof.expressions.polynomials import elements_in, minus
from derivcheck.proof.normal_form import brackets
from derivcheck.proof.normal_form.products import times
from derivcheck.proof.normal_form.substitution import renamed
from derivcheck.proof.normal_form.sums import summed
from derivcheck.proof.recurrences.unrolling import at_an_end, beside_the_end, latest_unrolled, unrolled


def by_invariant(forms: Forms, difference: Expression) -> bool:
    """Whether what is left vanishes because of what a recurrence in it always is."""
    names = [n for n in forms.recurrences(difference) if n not in forms.lemmas]
    solved = [(n, s) for n, s in ((n, _solved(forms, difference, n)) for n in names) if s is not None]
    for name, (value, needs) in sorted(solved, key=lambda f: len(f[1][1])):  # what divides by nothing first
        if satisfies(forms, name, value):
            for condition in needs:
                forms.context.assume(condition)
            forms.invariants[name] = value
            return True
    return False


def satisfies(forms: Forms, name: str, value: Expression) -> bool:
    """Whether a formula over the recurrence's own indices satisfies it, its start included: it is then what it always is."""
    step = forms.inlined(forms.form(name), {name: value})
    gaps = [minus(left, step) for left in (value, unrolled(forms, value))]
    if any(_vanishes(forms, g) or _vanishes(forms, latest_unrolled(forms, g)) for g in gaps) or (
        _at_the_end_and_beside(forms, gaps[0], name)
    ):
        forms.context.used("an invariant, by induction")
        return True
    return False


def _vanishes(forms: Forms, u: Expression) -> bool:
    return not summed_up(forms, forms.left(u))


def summed_up(forms: Forms, difference: Expression) -> Expression:
    """What is left of a difference once each running sum in it, ``X[k] = f(k) + X[k−1]``, is written ``Σ_{j≤k} f(j)``."""
    found = {n: _running_sum(forms, n) for n in forms.recurrences(difference)}
    known = {n: v for n, v in found.items() if v is not None}
    return forms.left(forms.inlined(difference, known)) if known else difference


def _running_sum(forms: Forms, name: str) -> Expression | None:
    """The sum that a recurrence is, put to the test of an invariant; None where it is none."""
    if name in forms.running:
        return forms.running[name]
    forms.running[name] = None  # also while it is tested
    if not all(_adds_one(m, c) for m, c in forms.plain.form(name).items() if any(name in a.elements for a, _ in m)):
        return None
    context, along = forms.context, forms.loop(name)
    i = forms.sides.indices(name)[along.axes[name]]
    j = context.temporary(i.size)
    rest = {m: c for m, c in forms.form(name).items() if all(name not in a.elements for a, _ in m)}
    inside = brackets.least(context, i_poly(j) - i_poly(i) if along.down else i_poly(i) - i_poly(j))
    value = summed(context, [j], times(context, inside, renamed(context, rest, {i: j})))
    if satisfies(forms, name, value):
        forms.running[name] = value
    return forms.running[name]


def _at_the_end_and_beside(forms: Forms, gap: Expression, name: str) -> bool:
    """Whether it vanishes where the recurrence starts, and elsewhere once all recurrences speak of the same elements."""
    along = forms.loop(name)
    i = forms.sides.indices(name)[along.axes[name]]
    ends = (at_an_end, beside_the_end)
    return all(_vanishes(forms, end(forms, gap, i, along.down)) for end in ends)


def _adds_one(m: Monomial, c: Rational) -> bool:
    """Whether a term of a recurrence is an earlier element as it is, beside brackets."""
    rest = [(type(a), e) for a, e in m if not isinstance(a, Iverson)]
    return c == 1 and rest == [(Element, 1)]


def _solved(forms: Forms, difference: Expression, name: str) -> tuple[Expression, list[str]] | None:
    """``difference = 0`` solved for the element of the recurrence at its own indices, and what must not be 0 for that."""
    here = next((a for m in difference for a, _ in m if isinstance(a, Element) and a.name == name), None)
    places = [] if here is None else [p.index for p in here.at]
    if here is None or None in places or len(set(places)) != len(places):
        return None
    with_it = {m: c for m, c in difference.items() if any(a is here for a, _ in m)}
    rest = {m: c for m, c in difference.items() if m not in with_it}
    if len(with_it) != 1 or not rest or name in elements_in(rest):
        return None
    ((m, c),) = with_it.items()
    factor = m - {(here, 1)}
    if factor == m or any(isinstance(a, Iverson) for a, _ in factor):
        return None
    value = times(forms.context, {frozenset((a, -e) for a, e in factor): -1 if c == 1 else Fraction(-1) / c}, rest)
    left = {a for n in value for a, e in n if e < 0 and any(a is b for b, _ in factor)}
    # both sides polynomial in an input: what holds where it is not 0 holds where it is, by continuity
    every = forms.sides.definitions.values()
    own = [a for a in left if not (isinstance(a, Element) and polynomial_in(every, a.name))]
    needs = [f"{monomial_text(frozenset(((a, 1),)), 1)} ≠ 0" for a in own]
    moves = {i: j for i, j in zip(places, forms.sides.indices(name)) if i is not None and i is not j}
    return renamed(forms.context, value, moves), needs


def polynomial_in(definitions: Iterable[Definition], name: str) -> bool:
    """Whether the name is an input of which all definitions are polynomials, also those that depend on it through others.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> p = parse_program("h[n] := g[n]^2*x[n]; y[n] := h[n]*exp(w[n]); z[n] := 1/(x[n]*w[n])")
    >>> [polynomial_in(p.definitions, n) for n in ("g", "x", "w")]
    [True, False, False]
    """
    every = tuple(definitions)
    through: set[str] = set()
    new = {name}
    while new:
        through |= new
        new = {d.name for d in every if not d.term.names.isdisjoint(through)} - through
    return all(d.name != name and all(_polynomial(d.term, n) for n in through) for d in every)


def _polynomial(t: Term, name: str) -> bool:
    """Whether a term is a polynomial of the elements of a tensor."""
    if name not in t.names:
        return True
    if isinstance(t, Ref):
        return all(name not in p.names for p in t.at)
    if isinstance(t, Pow):
        e = t.exponent
        return isinstance(e, Number) and e.value > 0 and e.value.denominator == 1 and _polynomial(t.base, name)
    if isinstance(t, (Add, Mul)):
        return all(_polynomial(a, name) for a in t.args)
    return isinstance(t, Over) and t.kind in ("sum", "prod") and _polynomial(t.body, name)
