"""Sums over indices: inner sums opened, deltas contracted, the rest split into connected components and named canonically."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from typing import TYPE_CHECKING

from derivcheck.notation.integers.polynomials import Index, Poly, i_poly
from derivcheck.proof import brackets, digits, elementary, polynomials, powers
from derivcheck.proof.atoms import UNIT, Atom, Expression, Monomial, Rational, free_in, free_of, frozen, height_of, whole
from derivcheck.proof.labelling import canonical_order
from derivcheck.proof.signatures import factor_parts, term_parts
from derivcheck.proof.space import Unreduced, single, unlimited
from derivcheck.proof.substitution import Substitution, moved, opened, substituted

if TYPE_CHECKING:
    from derivcheck.proof.space import Space

COPIES = 6


def summed(space: Space, bound: Sequence[Index], expression: Expression) -> Expression:
    """``Σ`` of an expression over some indices."""
    if not bound:
        return expression
    total: Expression = {}
    for m, c in expression.items():
        polynomials.add_into(total, _of_monomial(space, tuple(bound), m), c)
    return total


def _of_monomial(space: Space, bound: tuple[Index, ...], m: Monomial) -> Expression:
    space.tick()
    free = free_of(m)
    here = [i for i in bound if i in free]
    front: Expression = {UNIT: 1}
    for i in bound:
        if i not in free:
            if unlimited(i):
                raise Unreduced("a sum over all integers")
            space.used("Σ of a constant")
            if not space.holds(i.size):
                space.assume(f"{i.size} ≥ 0")
            front = polynomials.times(space, front, polynomials.of_poly(space, i.size))
    if not here:
        return polynomials.times(space, front, {m: 1})
    among = frozenset(here)
    outside = frozenset((a, e) for a, e in m if a.free.isdisjoint(among))
    inside = m - outside
    if outside:
        space.used("Σ c·f = c·Σ f")
        front = polynomials.times(space, front, {outside: 1})
    return polynomials.times(space, front, _inner(space, here, inside))


def _inner(space: Space, here: list[Index], m: Monomial) -> Expression:
    """The sum of a product in which each factor has a bound index."""
    for step in (_open_sums, _delta, digits.levelled, digits.split, digits.merged, _pinned, _cancel):
        found = step(space, here, m)
        if found is not None:
            return found
    parts = _components(here, m)
    if len(parts) > 1:
        space.used("Σ_i Σ_j f(i)·g(j) = Σ f · Σ g")
    total: Expression = {UNIT: 1}
    for indices, factors in parts:
        from derivcheck.proof.ranges import ranged

        found = ranged(space, indices, factors) if space.shifts else None
        total = polynomials.times(space, total, finished(space, indices, factors) if found is None else found)
    return total


def _open_sums(space: Space, here: list[Index], m: Monomial) -> Expression | None:
    inner = [(a, e) for a, e in m if a.kind == "sigma" and 0 < e <= COPIES]
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
            new, body = opened(space, a)
            bound += new
            bodies.append(body)
    space.used("Σ f · Σ g = Σ Σ f·g")
    return summed(space, bound, polynomials.product(space, [{frozenset(left.items()): 1}, *bodies]))


def _delta(space: Space, here: list[Index], m: Monomial) -> Expression | None:
    for a, _ in m:
        if a.kind != "equal":
            continue
        found = _solved(a.data[0], here)
        if found is None:
            continue
        i, value = found
        space.used("Σ_i [i = e]·f(i) = [0 <= e < N]·f(e)")
        guards = inside(space, value, i)
        body = substituted(space, m - {(a, 1)}, {i: value})
        rest = [j for j in here if j is not i]
        return summed(space, rest, polynomials.product(space, [*guards, body]))
    return None


def _solved(p: Poly, here: Sequence[Index]) -> tuple[Index, Poly] | None:
    """The delta solved for a bound index, one that runs over all integers last."""
    first = [i for i in here if not unlimited(i)]
    return brackets.solve(p, first) or brackets.solve(p, here)


def inside(space: Space, value: Poly, i: Index) -> list[Expression]:
    """The brackets that keep ``value`` within the range of ``i``."""
    if unlimited(i):
        return []
    return [brackets.least(space, value), brackets.least(space, i.size - 1 - value)]


def _pinned(space: Space, here: list[Index], m: Monomial) -> Expression | None:
    """``[i ≥ N−1]`` leaves the last place alone, ``[−i ≥ 0]`` the first."""
    for a, _ in m:
        if a.kind != "least":
            continue
        p: Poly = a.data[0]
        for i in here:
            found = p.linear_in(i)
            if found is None or found[0] not in (1, -1) or unlimited(i) or not space.holds(i.size - 1):
                continue
            last = i.size - 1 if found[0] == 1 else Poly(())
            value = -found[0] * found[1]
            if value is last:
                space.used("a range of one place")
                body = substituted(space, m - {(a, 1)}, {i: value})
                return summed(space, [j for j in here if j is not i], body)
    return None


def _ends(space: Space, here: list[Index], m: Monomial) -> Expression | None:
    """``Σ_{i<N−1} f = Σ_{i<N} f − f(N−1)``: ranges are measured in whole sizes."""
    if not space.ranges:
        return None
    for i in here:
        if unlimited(i) or i.size.constant is not None:
            continue
        c = next((k for q, k in i.size.terms if not q), 0)
        plain = i.size - c
        if not c or abs(c) > brackets.SPLIT_AT_MOST or not space.holds(i.size) or not space.holds(plain):
            continue
        space.used("Σ_{i<N+1} f = Σ_{i<N} f + f(N)")
        j = space.temporary(plain)
        rest = [k for k in here if k is not i]
        total = dict(summed(space, [*rest, j], substituted(space, m, {i: i_poly(j)})))
        for k in range(abs(c)):
            place = plain + k if c > 0 else plain - 1 - k
            polynomials.add_into(total, summed(space, rest, substituted(space, m, {i: place})), 1 if c > 0 else -1)
        return total
    return None


def finished(space: Space, bound: list[Index], m: Monomial) -> Expression:
    """A component that is spelled as it is kept."""
    found = _ends(space, bound, m)
    return closed(space, bound, m) if found is None else found


def _cancel(space: Space, here: list[Index], m: Monomial) -> Expression | None:
    """``Σ_j f(j)/T`` where ``T = Σ_j f(j)``: summed first, it cancels."""
    for t, e in m:
        if t.kind != "sigma" or e >= 0:
            continue
        others = [i for i in here if i not in t.free]
        if not others:
            continue
        for group, factors in _components(others, frozenset((a, x) for a, x in m if not a.free.isdisjoint(others))):
            if len(group) == len(here) or not (free_of(factors) & frozenset(here)) <= (t.free | frozenset(group)):
                continue
            value = _inner(space, group, factors)
            one = single(value)
            if one is None or not any(a is t for a, _ in one[0]):
                continue
            space.used("Σ_j f(j) / Σ_j f(j) = 1")
            rest = [i for i in here if i not in group]
            return summed(space, rest, polynomials.times(space, {m - factors: 1}, value))
    return None


def _components(here: Sequence[Index], m: Iterable[tuple[Atom, Rational]]) -> list[tuple[list[Index], Monomial]]:
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


def closed(space: Space, bound: Sequence[Index], m: Monomial) -> Expression:
    """One connected component as an atom, its bound indices named canonically."""
    order = canonical_order(space, bound, factor_parts(space, m))
    names = _named(order, height_of(m) + 1)
    renamed = Substitution(space, {i: i_poly(j) for i, j in names.items()}, {}).monomial(m)
    total: Expression = {}
    for new, c in renamed.items():
        free = free_of(new)
        kept = tuple(j for j in names.values() if j in free)
        part: Expression = space.one("sigma", kept, new) if kept else {new: 1}
        for j in names.values():
            if j not in free:
                if unlimited(j):
                    raise Unreduced("a sum over all integers")
                part = polynomials.times(space, part, polynomials.of_poly(space, j.size))
        polynomials.add_into(total, part, c)
    return total


def _named(order: Sequence[Index], level: int) -> dict[Index, Index]:
    return {i: Index("#", i.size, level * 1000 + k) for k, i in enumerate(order)}


def reduced(space: Space, kind: str, bound: Sequence[Index], body: Expression) -> Expression:
    """``Π`` or an extreme of an expression over some indices."""
    if kind == "prod":
        return _product(space, list(bound), body)
    return _over(space, kind, bound, body)


def _over(space: Space, kind: str, bound: Sequence[Index], body: Expression) -> Expression:
    best = _labelled(space, kind, bound, body)
    if not kind.startswith("arg"):
        for i in bound:
            if _turned(i, body):
                other = _labelled(space, kind, bound, moved(space, body, {i: i.size - 1 - i_poly(i)}))
                best = min(best, other, key=lambda a: (_oddness(a), a.signature))
    return {frozenset(((best, 1),)): 1}


def _labelled(space: Space, kind: str, bound: Sequence[Index], body: Expression) -> Atom:
    order = canonical_order(space, bound, term_parts(space, body.items()))
    height = max((height_of(m) for m in body), default=0)
    names = _named(order, height + 1)
    renamed = moved(space, body, {i: i_poly(j) for i, j in names.items()})
    return space.atom("over", kind, tuple(names.values()), frozen(renamed))


def _turned(i: Index, body: Expression) -> bool:
    """Whether the index stands with a minus sign in a position."""
    from derivcheck.proof.ranges import polys

    found = (p.linear_in(i) for m in body for a, _ in m if i in a.free for p in polys(a))
    return any(x is not None and x[0] < 0 for x in found)


def _oddness(a: Atom) -> int:
    from derivcheck.proof.ranges import polys

    return sum(len(p.terms) for p in polys(a))


def _product(space: Space, bound: list[Index], body: Expression) -> Expression:
    if body == {UNIT: 1}:
        return body
    i = bound[0]
    if len(bound) > 1:
        return _product(space, bound[1:], _product(space, [i], body))
    if not body:
        return brackets.least(space, -i.size)  # of no factors it is 1
    if i.size.constant is not None and i.size.constant <= 6:
        return polynomials.product(space, [moved(space, body, {i: k}) for k in range(i.size.constant)])
    excluded = _excluded(space, i, body)
    if excluded is not None:
        return excluded
    one = single(body)
    if one is not None:
        m, c = one
        total: Expression = {UNIT: 1}
        left: list[tuple[Atom, Rational]] = []
        for a, e in m:
            if a.kind == "exp":
                space.used("Π exp(f) = exp(Σ f)")
                total = polynomials.times(space, total, elementary.exp(space, summed(space, [i], {a.data[0]: e})))
            elif i in a.free and whole(e) and len(m) > 1 or (i in a.free and whole(e) and e != 1):
                space.used("Π f·g = Π f · Π g")
                part = _over(space, "prod", [i], {frozenset(((a, 1),)): 1})
                total = polynomials.times(space, total, powers.power(space, part, e))
            else:
                left.append((a, e))
        if left or c != 1:
            total = polynomials.times(space, total, _over(space, "prod", [i], {frozenset(left): c}))
        return total
    return _over(space, "prod", [i], body)


def _excluded(space: Space, i: Index, body: Expression) -> Expression | None:
    """``Π_i ([i = e]·A + (1 − [i = e])·B) = A(e)·Π B / B(e)`` where ``B(e) ≠ 0`` and e is a place."""
    masks = {a for m in body for a, _ in m if a.kind == "equal" and i in a.data[0].indices}
    if len(masks) != 1 or not space.expand:
        return None
    mask = masks.pop()
    found = brackets.solve(mask.data[0], [i])
    if found is None or not (space.holds(found[1]) and space.holds(i.size - 1 - found[1])):
        return None
    on: Expression = {}
    for m, c in body.items():
        polynomials.add_into(on, {frozenset(t for t in m if t[0] is not mask): c})
    off = {m: c for m, c in body.items() if all(a is not mask for a, _ in m)}
    there = {i: found[1]}
    from derivcheck.proof.spelling import expression_text

    space.used("Π without one place")
    space.assume(f"{expression_text(moved(space, off, there))} ≠ 0")
    whole_ = _product(space, [i], off)
    return polynomials.product(space, [moved(space, on, there), whole_, powers.power(space, moved(space, off, there), -1)])


__all__ = ["closed", "finished", "free_in", "inside", "reduced", "summed"]
