"""Sums over indices: inner sums opened, deltas contracted, the rest split into connected components and named canonically."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil

from derivcheck.notation.integers.bounds import sloped
from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.proof.expressions.atoms import (
    UNIT,
    Equal,
    Expression,
    Least,
    MatrixAtom,
    Monomial,
    ProofAtom,
    Rational,
    Sigma,
    unlimited,
)
from derivcheck.proof.expressions.context import Context, Unreduced
from derivcheck.proof.expressions.polynomials import add_into, free_of, single
from derivcheck.proof.normal_form import brackets, quotient_digits
from derivcheck.proof.normal_form.closing import finished
from derivcheck.proof.normal_form.elements import is_literal, places
from derivcheck.proof.normal_form.products import of_poly, product, times
from derivcheck.proof.normal_form.reflections import ranged
from derivcheck.proof.normal_form.substitution import opened, substituted

COPIES = 6  # of a sum to a power that are opened


def summed(context: Context, bound: Sequence[Index], expression: Expression) -> Expression:
    """``Σ`` of an expression over some indices."""
    if not bound:
        return expression
    literal = next(filter(is_literal, bound), None) if context.mode.elements else None
    if literal is not None:
        context.used("Σ_{i<2} f(i) = f(0) + f(1)")
        rest = [i for i in bound if i is not literal]
        total: Expression = {}
        for each in places(context, expression, literal):
            add_into(total, summed(context, rest, each))
        return total
    total = {}
    for m, c in expression.items():
        add_into(total, _of_monomial(context, tuple(bound), m), c)
    return total


def _of_monomial(context: Context, bound: tuple[Index, ...], m: Monomial) -> Expression:
    """The sum of one term: what has no bound index stands before it."""
    context.tick()
    free = free_of(m)
    here = [i for i in bound if i in free]
    front: Expression = {UNIT: 1}
    for i in bound:
        if i not in free:
            if unlimited(i):
                raise Unreduced("a sum over all integers")
            context.used("Σ of a constant")
            if not context.holds(i.size):
                context.assume(f"{i.size} ≥ 0")
            front = times(context, front, of_poly(context, i.size))
    if not here:
        return times(context, front, {m: 1})
    among = frozenset(here)
    outside = frozenset((a, e) for a, e in m if a.free.isdisjoint(among))
    inside = m - outside
    if outside:
        context.used("Σ c·f = c·Σ f")
        front = times(context, front, {outside: 1})
    return times(context, front, _inner(context, here, inside))


def _inner(context: Context, here: list[Index], m: Monomial) -> Expression:
    """The sum of a product in which each factor has a bound index."""
    for step in (
        _open_sums,
        _delta,
        _multiple,
        quotient_digits.levelled,
        quotient_digits.split,
        quotient_digits.merged,
        _pinned,
        _cancel,
    ):
        found = step(context, here, m)
        if found is not None:
            return found
    if any(isinstance(a, MatrixAtom) for a, _ in m):
        for identity in context.rules.in_sums:
            if (found := identity(context, here, m)) is not None:
                return found
    parts = _components(here, m)
    if len(parts) > 1:
        context.used("Σ_i Σ_j f(i)·g(j) = Σ f · Σ g")
    total: Expression = {UNIT: 1}
    for indices, factors in parts:
        found = ranged(context, indices, factors) if context.mode.shifts else None
        total = times(context, total, finished(context, indices, factors) if found is None else found)
    return total


def _open_sums(context: Context, here: list[Index], m: Monomial) -> Expression | None:
    """``Σ f · Σ g = Σ Σ f·g``: factors that are sums themselves, with their indices."""
    inner = [(a, e) for a, e in m if isinstance(a, Sigma) and 0 < e <= COPIES]
    if not inner:
        return None
    bound = list(here)
    left = dict(m)
    bodies: list[Expression] = []
    for a, e in inner:
        copies = ceil(e)
        if e == copies:
            del left[a]
        else:
            left[a] = e - copies
        for _ in range(copies):
            new, body = opened(context, a)
            bound += new
            bodies.append(body)
    context.used("Σ f · Σ g = Σ Σ f·g")
    return summed(context, bound, product(context, [{frozenset(left.items()): 1}, *bodies]))


def _delta(context: Context, here: list[Index], m: Monomial) -> Expression | None:
    """``Σ_i [i = e]·f(i) = [0 ≤ e < N]·f(e)``."""
    for a, _ in m:
        found = _solved(a.poly, here) if isinstance(a, Equal) else None
        if found is None:
            continue
        i, value = found
        context.used("Σ_i [i = e]·f(i) = [0 <= e < N]·f(e)")
        guards = inside(context, value, i)
        body = substituted(context, m - {(a, 1)}, {i: value})
        rest = [j for j in here if j is not i]
        return summed(context, rest, product(context, [*guards, body]))
    return None


def _multiple(context: Context, here: list[Index], m: Monomial) -> Expression | None:
    """``Σ_i [d·i = e]·f(i) = [e mod d = 0]·[0 <= e // d < N]·f(e // d)`` for a divisor d above 0; no index moves e."""
    for a, _ in m:
        if not isinstance(a, Equal):
            continue
        for i in here:
            found = sloped(a.poly, i) if i in a.free else None
            if found is None or unlimited(i):
                continue
            d, e = found if context.holds(found[0] - 1) else (-found[0], -found[1])
            e = -e
            if not context.holds(d - 1) or d.indices or not e.indices.isdisjoint(here) or any(map(unlimited, e.indices)):
                continue
            context.used("Σ_i [d·i = e]·f(i) = [e mod d = 0]·[0 <= e // d < N]·f(e // d)")
            value = e // d
            guards = [brackets.equal(context, e - d * value), *inside(context, value, i)]
            body = substituted(context, m - {(a, 1)}, {i: value})
            return summed(context, [j for j in here if j is not i], product(context, [*guards, body]))
    return None


def _solved(p: Poly, here: Sequence[Index]) -> tuple[Index, Poly] | None:
    """The delta solved for a bound index, one that runs over all integers last."""
    first = [i for i in here if not unlimited(i)]
    return brackets.solve(p, first) or brackets.solve(p, here)


def inside(context: Context, value: Poly, i: Index) -> list[Expression]:
    """The brackets that keep ``value`` within the range of ``i``."""
    if unlimited(i):
        return []
    return [brackets.least(context, value), brackets.least(context, i.size - 1 - value)]


def _pinned(context: Context, here: list[Index], m: Monomial) -> Expression | None:
    """``[i ≥ N−1]`` leaves the last place alone, ``[−i ≥ 0]`` the first."""
    for a, _ in m:
        if not isinstance(a, Least):
            continue
        for i in here:
            found = a.poly.linear_in(i)
            if found is None or found[0] not in (1, -1) or unlimited(i) or not context.holds(i.size - 1):
                continue
            last = i.size - 1 if found[0] == 1 else Poly(())
            value = -found[0] * found[1]
            if value is last:
                context.used("a range of one place")
                body = substituted(context, m - {(a, 1)}, {i: value})
                return summed(context, [j for j in here if j is not i], body)
    return None


def _cancel(context: Context, here: list[Index], m: Monomial) -> Expression | None:
    """``Σ_j f(j)/T`` where ``T = Σ_j f(j)``: summed first, it cancels."""
    for t, e in m:
        if not isinstance(t, Sigma) or e >= 0:
            continue
        others = [i for i in here if i not in t.free]
        if not others:
            continue
        for group, factors in _components(others, frozenset((a, x) for a, x in m if not a.free.isdisjoint(others))):
            if len(group) == len(here) or not (free_of(factors) & frozenset(here)) <= (t.free | frozenset(group)):
                continue
            value = _inner(context, group, factors)
            one = single(value)
            if one is None or not any(a is t for a, _ in one[0]):
                continue
            context.used("Σ_j f(j) / Σ_j f(j) = 1")
            rest = [i for i in here if i not in group]
            return summed(context, rest, times(context, {m - factors: 1}, value))
    return None


def _components(here: Sequence[Index], m: Iterable[tuple[ProofAtom, Rational]]) -> list[tuple[list[Index], Monomial]]:
    """The bound indices with the factors that connect them."""
    group: dict[Index, list[Index]] = {i: [i] for i in here}
    factors = list(m)
    for a, _ in factors:
        touched = [i for i in here if i in a.free]
        for i in touched[1:]:
            one, other = group[touched[0]], group[i]
            if one is not other:
                one.extend(other)
                for j in other:
                    group[j] = one
    found: list[tuple[list[Index], Monomial]] = []
    seen: set[int] = set()
    for i in here:
        own = group[i]
        if id(own) not in seen:
            seen.add(id(own))
            found.append((own, frozenset((a, e) for a, e in factors if not a.free.isdisjoint(own))))
    return found
