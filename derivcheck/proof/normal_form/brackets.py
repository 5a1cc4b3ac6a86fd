"""Iverson brackets: one spelling each, and what follows when several stand in one product.

``[p ≠ 0] = 1 − [p = 0]``; of ``[p ≥ 0]`` and its complement ``1 − [−p−1 ≥ 0]`` the constant decides which is kept where sums
split at their ends; ``[p = 0]`` solves for an index in the other factors.
"""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction
from functools import partial
from itertools import combinations
from math import gcd

from derivcheck.notation.integers.bounds import sloped
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly
from derivcheck.proof.expressions.atoms import (
    UNIT,
    Above,
    Base,
    Equal,
    Expression,
    Iverson,
    Least,
    Monomial,
    ProofAtom,
    Rational,
    unlimited,
)
from derivcheck.proof.expressions.context import Context
from derivcheck.proof.expressions.polynomials import (
    add_into,
    common_factors,
    frozen,
    minus,
    of_atom,
    plain,
    scaled,
    whole,
    without,
)
from derivcheck.proof.expressions.signatures import monomial_signature, signed
from derivcheck.proof.normal_form.cases import by_cases
from derivcheck.proof.normal_form.products import times
from derivcheck.proof.normal_form.signs import strictly

SPLIT_AT_MOST = 6  # places at an end that are written out one by one


def equal(context: Context, p: Poly) -> Expression:
    """``[p = 0]`` of an integer polynomial."""
    if p.constant is not None:
        return {UNIT: 1} if p.constant == 0 else {}
    if context.holds(p - 1) or context.holds(-p - 1):
        return {}
    if context.holds(p) and context.holds(-p):
        return {UNIT: 1}
    g, c = _content(p)
    if g > 1:
        if c % g:
            return {}
        p = Poly((m, k // g) for m, k in p.terms)
    if p.terms[0][1] < 0:
        p = -p
    return context.one(Equal, p)


def least(context: Context, p: Poly) -> Expression:
    """``[p ≥ 0]`` of an integer polynomial."""
    if p.constant is not None:
        return {UNIT: 1} if p.constant >= 0 else {}
    g, c = _content(p)
    if g > 1:
        p = Poly((m, k // g) for m, k in (p - c).terms) + c // g
    if context.holds(p):
        return {UNIT: 1}
    if context.holds(-p - 1):
        return {}
    if context.mode.ranges:
        if orientation(context, p) < 0:
            context.used("[p >= 0] = 1 - [-p-1 >= 0]")
            return minus({UNIT: 1}, least(context, -p - 1))
        if p.indices <= context.top:
            return split(context, p)
    return context.one(Least, p)


def _content(p: Poly) -> tuple[int, int]:
    """The common divisor of the coefficients with atoms, and the constant."""
    g = c = 0
    for m, k in p.terms:
        if m:
            g = gcd(g, k)
        else:
            c = k
    return g, c


def orientation(context: Context, p: Poly) -> int:
    """Whether ``[p ≥ 0]`` (1) or its complement (−1) is kept; 0 where nothing but names would tell."""
    for m, c in p.terms:
        if m and not any(a.indices for a, _ in m):
            return 1 if c > 0 else -1
    total = sum(c for m, c in p.terms if m)
    if total:
        return 1 if total > 0 else -1
    for m, c in sorted(((m, c) for m, c in p.terms if m), key=lambda t: t[0][0][0].key):
        if all(a.indices <= context.top for a, _ in m):
            return 1 if c > 0 else -1
    return 0


def split(context: Context, p: Poly) -> Expression:
    """``[q + c ≥ 0]`` through ``[q + b ≥ 0]`` and deltas, with b = −1 beside a size (``i < N``) and 0 without."""
    c = next((k for m, k in p.terms if not m), 0)
    q = p - c
    base = -1 if any(m and not any(a.indices for a, _ in m) for m, _ in q.terms) else 0
    if c == base or abs(c - base) > SPLIT_AT_MOST:
        return context.one(Least, p)
    context.used("[p + 1 >= 0] = [p >= 0] + [p + 1 = 0]")
    total = dict(_plain(context, q + base))
    for k in range(1, c - base + 1):
        add_into(total, equal(context, q + base + k))
    for k in range(base - c):
        add_into(total, equal(context, q + base - k), -1)
    return total


def _plain(context: Context, p: Poly) -> Expression:
    if context.holds(p):
        return {UNIT: 1}
    return {} if context.holds(-p - 1) else context.one(Least, p)


def above(context: Context, u: Expression) -> Expression:
    """``[u > 0]`` of an expression, at its primitive scale."""
    if not u:
        return {}
    if len(u) == 1:
        ((m, c),) = u.items()
        rest = frozenset((a, _parity(e)) for a, e in m if not strictly(a) and context.sign(a) <= 0)
        masks = frozenset((a, e) for a, e in rest if isinstance(a, Iverson))
        signs = rest - masks
        if c < 0 and not signs:
            return {}
        if len(signs) > 1 and context.mode.signs:
            first = next(iter(signs))
            return times(context, {masks: 1}, _same_sign(context, of_atom(*first), {signs - {first}: 1 if c > 0 else -1}))
        inside: Expression = {UNIT: 1} if not signs else _above(context, {signs: 1 if c > 0 else -1})
        return times(context, {masks: 1}, inside)
    known = context.sign(context.atom(Base, frozen(u))) if context.facts.domain is not None else 0
    if known:
        return {UNIT: 1} if known > 0 else {}
    cases = by_cases(context, u, partial(above, context)) if context.mode.expand else None
    if cases is not None:
        return cases
    shared = common_factors(u, {a for m in u for a, _ in m if strictly(a) or context.mode.signs and not isinstance(a, Iverson)})
    turning = frozenset((a, e) for a, e in shared.items() if not strictly(a) and e > 0)
    if turning:
        return _same_sign(context, {turning: 1}, {without(m, dict(turning)): c for m, c in u.items()})
    scale = min(abs(Fraction(c)) for c in u.values())
    shared = {a: e for a, e in shared.items() if strictly(a)}
    return _above(context, {without(m, shared): plain(c / scale) for m, c in u.items()})


def _above(context: Context, u: Expression) -> Expression:
    """``[u > 0]``; where it is a kink, one of the two sides is kept: ``[u > 0] = 1 − [u is 0 for all inputs] − [−u > 0]``."""
    told = None if context.assumed is None else context.assumed.told(u)
    if told is not None:
        return {UNIT: 1} if told else {}
    same = context.meets(u) if context.mode.ties else None
    if same is not None:
        context.leave_out(u, same)
        if not signed(u.items()):
            below = context.one(Above, frozen(scaled(u, -1)))
            return minus(minus({UNIT: 1}, same), below)
    return context.one(Above, frozen(u))


def _same_sign(context: Context, u: Expression, v: Expression) -> Expression:
    """``[u·v > 0]``: both are above 0, or both below."""
    total: Expression = {}
    for sign in (1, -1):
        add_into(total, times(context, above(context, scaled(u, sign)), above(context, scaled(v, sign))))
    return total


def _parity(e: Rational) -> Rational:
    """A sign depends on a whole exponent's parity alone."""
    return e if not whole(e) else 1 if e % 2 else 2


def zero(context: Context, u: Expression) -> Expression:
    """``[u = 0]`` of an expression: neither above nor below."""
    total: Expression = {UNIT: 1}
    add_into(total, above(context, u), -1)
    add_into(total, above(context, scaled(u, -1)), -1)
    return total


def solve(p: Poly, allowed: Collection[Index] | None = None) -> tuple[Index, Poly] | None:
    """``p = 0`` solved for an index with coefficient ±1, one of those that are allowed."""
    best: tuple[Index, Poly] | None = None
    for m, c in p.terms:
        if len(m) == 1 and m[0][1] == 1 and c in (1, -1) and isinstance(m[0][0], Index):
            i = m[0][0]
            if allowed is not None and i not in allowed:
                continue
            found = p.linear_in(i)
            if found is not None and (best is None or (i.key, str(i.size)) > (best[0].key, str(best[0].size))):
                best = i, (-found[0]) * found[1]
    return best


def settled(context: Context, powers: dict[ProofAtom, Rational]) -> Expression:
    """A product with brackets in it: deltas solved in the other factors, contradictions 0, what follows left out."""
    solved = _with_a_delta_solved(context, powers)
    if solved is not None:
        return solved
    dropped: set[ProofAtom] = set()
    for kind in (Least, Above):
        for a, b in combinations([a for a in powers if isinstance(a, kind)], 2):
            both = _together(context, a, b)
            if both is not None and not both:
                return {}
            if both is None or a in dropped or b in dropped:
                continue
            if both == of_atom(b):
                dropped.add(a)
            elif both == of_atom(a):
                dropped.add(b)
            else:
                rest = frozenset((c, e) for c, e in powers.items() if c is not a and c is not b)
                return times(context, {rest: 1}, both)
    left = {a: e for a, e in powers.items() if a not in dropped}
    tied = _at_its_zero(context, left) if context.mode.expand else None
    return {frozenset(left.items()): 1} if tied is None else tied


def _with_a_delta_solved(context: Context, powers: dict[ProofAtom, Rational]) -> Expression | None:
    """``[i = e]·f(i) = [i = e]·f(e)``; None where no delta fixes an index of another factor."""
    for a in powers:
        found = solve(a.poly) if isinstance(a, Equal) else None
        if found is None:
            continue
        moved = frozenset((b, e) for b, e in powers.items() if b is not a and found[0] in b.free)
        if moved:
            context.used("[i = e]·f(i) = [i = e]·f(e)")
            new = context.rules.substituted(context, moved, {found[0]: found[1]})
            return times(context, {frozenset(powers.items()) - moved: 1}, new)
    return None


def _together(context: Context, a: ProofAtom, b: ProofAtom) -> Expression | None:
    """What the product of two brackets is, if that is simpler: 0, one of the two, or something else."""
    if isinstance(a, Above) and isinstance(b, Above):
        return _both_above(a, b)
    assert isinstance(a, Least) and isinstance(b, Least)
    if (a, b) not in context.together:
        context.together[a, b] = _both_least(context, a, b)
    return context.together[a, b]


def _both_above(a: Above, b: Above) -> Expression | None:
    """``[u > 0]·[v > 0]`` where u and v (or −v) differ by a number."""
    u, v = dict(a.terms), dict(b.terms)
    shared = (u.keys() | v.keys()) - {UNIT}
    if all(u.get(m, 0) == v.get(m, 0) for m in shared):
        return of_atom(b) if u.get(UNIT, 0) > v.get(UNIT, 0) else of_atom(a)
    if all(u.get(m, 0) == -v.get(m, 0) for m in shared):
        if u.get(UNIT, 0) + v.get(UNIT, 0) <= 0:
            return {}
        return {**of_atom(a), **of_atom(b), UNIT: -1}  # one of them holds: (1 − [u > 0])·(1 − [v > 0]) = 0
    return None


def _both_least(context: Context, a: Least, b: Least) -> Expression | None:
    """``[p ≥ 0]·[q ≥ 0]`` of two integer polynomials."""
    p, q = a.poly, b.poly
    total = p + q
    if total is as_poly(0):
        return equal(context, p)
    if context.holds(-total - 1):
        return {}
    if p.indices & q.indices or total.constant is not None or not (p.indices or q.indices):
        if context.holds(p - q):
            return of_atom(b)
        if context.holds(q - p):
            return of_atom(a)
    return _digit(context, p, q)


def _digit(context: Context, p: Poly, q: Poly) -> Expression | None:
    """``[r − D·h ≥ 0][d − 1 − r + D·h ≥ 0]`` is ``[h = r // D]``, with ``[d > r mod D]`` where d is less than D."""
    width = p + q + 1
    if width.indices or width.constant == 1 or not context.holds(width - 1):
        return None
    for h in sorted(p.indices, key=lambda i: i.key):
        found = sloped(p, h)
        if found is None or any(unlimited(i) for i in found[1].indices):
            continue
        stride, rest = -found[0], found[1]
        if stride is not width and (stride.indices or not context.holds(stride - width)):
            continue
        place = rest // stride
        here = equal(context, as_poly(h) - place)
        return here if stride is width else times(context, here, least(context, width - 1 - rest + stride * place))
    return None


def _at_its_zero(context: Context, powers: dict[ProofAtom, Rational]) -> Expression | None:
    """``u·[u > 0] = u − u·[−u > 0]``: where u is 0, so is its product with any bracket.

    Of the two brackets one is kept beside a multiple of u; it is the leading term of u that is replaced.
    """
    for a in powers:
        u = dict(a.terms) if isinstance(a, Above) else {}
        if not u or signed(u.items()):
            continue
        lead: Monomial = max((m for m in u if m), key=lambda m: (len(m), monomial_signature(m, {})), default=UNIT)
        if not lead or any(isinstance(b, Iverson) or powers.get(b, 0) < e or e < 0 for b, e in lead):
            continue
        rest = without(frozenset(powers.items()), {**dict(lead), a: 1})
        total = minus(u, times(context, u, above(context, scaled(u, -1))))
        tail = {m: k for m, k in u.items() if m != lead}
        add_into(total, times(context, tail, of_atom(a)), -1)
        context.used("u·[u > 0] = u - u·[-u > 0]")
        return times(context, {rest: plain(1 / Fraction(u[lead]))}, total)
    return None
