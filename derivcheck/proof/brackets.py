"""Iverson brackets: one spelling each, and what follows when several stand in one product.

``[p ≠ 0] = 1 − [p = 0]``; of ``[p ≥ 0]`` and its complement ``1 − [−p−1 ≥ 0]`` the constant decides which is kept where sums
split at their ends; ``[p = 0]`` solves for an index in the other factors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from math import gcd
from typing import TYPE_CHECKING, Any

from derivcheck.notation.integers.polynomials import Index, Poly, as_poly
from derivcheck.proof import polynomials
from derivcheck.proof.atoms import BRACKETS, UNIT, Atom, Expression, Rational, frozen
from derivcheck.proof.signatures import monomial_signature, signed
from derivcheck.proof.space import Unreduced, unlimited

if TYPE_CHECKING:
    from derivcheck.proof.space import Space

SPLIT_AT_MOST = 6


def equal(space: Space, p: Poly) -> Expression:
    """``[p = 0]`` of an integer polynomial."""
    if p.constant is not None:
        return {UNIT: 1} if p.constant == 0 else {}
    if space.holds(p - 1) or space.holds(-p - 1):
        return {}
    if space.holds(p) and space.holds(-p):
        return {UNIT: 1}
    g, c = _content(p)
    if g > 1:
        if c % g:
            return {}
        p = Poly((m, k // g) for m, k in p.terms)
    if p.terms[0][1] < 0:
        p = -p
    return space.one("equal", p)


def least(space: Space, p: Poly) -> Expression:
    """``[p ≥ 0]`` of an integer polynomial."""
    if p.constant is not None:
        return {UNIT: 1} if p.constant >= 0 else {}
    g, c = _content(p)
    if g > 1:
        p = Poly((m, k // g) for m, k in (p - c).terms) + c // g
    if space.holds(p):
        return {UNIT: 1}
    if space.holds(-p - 1):
        return {}
    if space.ranges:
        if orientation(space, p) < 0:
            space.used("[p >= 0] = 1 - [-p-1 >= 0]")
            return polynomials.plus({UNIT: 1}, polynomials.scaled(least(space, -p - 1), -1))
        if p.indices <= space.top:
            return split(space, p)
    return space.one("least", p)


def _content(p: Poly) -> tuple[int, int]:
    """The common divisor of the coefficients with atoms, and the constant."""
    g = c = 0
    for m, k in p.terms:
        if m:
            g = gcd(g, k)
        else:
            c = k
    return g, c


def orientation(space: Space, p: Poly) -> int:
    """Whether ``[p ≥ 0]`` (1) or its complement (−1) is kept; 0 where nothing but names would tell."""
    for m, c in p.terms:
        if m and not any(a.indices for a, _ in m):
            return 1 if c > 0 else -1
    total = sum(c for m, c in p.terms if m)
    if total:
        return 1 if total > 0 else -1
    for m, c in sorted(((m, c) for m, c in p.terms if m), key=lambda t: t[0][0][0].key):
        if all(a.indices <= space.top for a, _ in m):
            return 1 if c > 0 else -1
    return 0


def split(space: Space, p: Poly) -> Expression:
    """``[q + c ≥ 0]`` through ``[q + b ≥ 0]`` and deltas, with b = −1 beside a size (``i < N``) and 0 without."""
    c = next((k for m, k in p.terms if not m), 0)
    q = p - c
    base = -1 if any(m and not any(a.indices for a, _ in m) for m, _ in q.terms) else 0
    if c == base or abs(c - base) > SPLIT_AT_MOST:
        return space.one("least", p)
    space.used("[p + 1 >= 0] = [p >= 0] + [p + 1 = 0]")
    total = dict(_plain(space, q + base))
    for k in range(1, c - base + 1):
        polynomials.add_into(total, equal(space, q + base + k))
    for k in range(base - c):
        polynomials.add_into(total, equal(space, q + base - k), -1)
    return total


def _plain(space: Space, p: Poly) -> Expression:
    if space.holds(p):
        return {UNIT: 1}
    return {} if space.holds(-p - 1) else space.one("least", p)


def above(space: Space, u: Expression) -> Expression:
    """``[u > 0]`` of an expression, at its primitive scale."""
    from derivcheck.proof.powers import strictly

    if not u:
        return {}
    if len(u) == 1:
        ((m, c),) = u.items()
        rest = frozenset((a, _parity(a, e)) for a, e in m if not strictly(a) and not _known_above(space, a))
        masks = frozenset((a, e) for a, e in rest if a.kind in BRACKETS)
        signs = rest - masks
        if c < 0 and not signs:
            return {}
        unit: Rational = 1 if c > 0 else -1
        inside: Expression = {UNIT: 1} if not signs else _above(space, {signs: unit})
        return polynomials.times(space, {masks: 1}, inside)
    known = space.sign(space.atom("base", frozen(u))) if space.domain is not None else 0
    if known:
        return {UNIT: 1} if known > 0 else {}
    cases = by_cases(space, u, partial(above, space)) if space.expand else None
    if cases is not None:
        return cases
    scale = min(abs(polynomials.fraction(c)) for c in u.values())
    common = _positive_common(u)
    reduced = {_less(m, common): _int(Fraction(c) / scale) for m, c in u.items()}
    return _above(space, reduced)


def _known_above(space: Space, a: Atom) -> bool:
    """Whether the forward is defined only where the atom is above 0."""
    return a.kind in ("element", "base") and space.sign(a) > 0


def _above(space: Space, u: Expression) -> Expression:
    """``[u > 0]``; where it is a kink, one of the two sides is kept: ``[u > 0] = 1 − [u is 0 for all inputs] − [−u > 0]``."""
    same = space.meets(u) if space.ties else None
    if same is not None:
        space.tied(u, same)
        if not signed(space, u.items()):
            below = space.one("above", frozen(polynomials.scaled(u, -1)))
            return polynomials.plus({UNIT: 1}, polynomials.scaled(polynomials.plus(same, below), -1))
    return space.one("above", frozen(u))


def _parity(a: Atom, e: Rational) -> Rational:
    """A sign depends on a whole exponent's parity alone."""
    if isinstance(e, int) or e.denominator == 1:
        return 1 if e % 2 else 2
    return e


def _positive_common(u: Expression) -> dict[Atom, Rational]:
    from derivcheck.proof.powers import strictly

    common: dict[Atom, Rational] | None = None
    atoms = {a for m in u for a, _ in m if strictly(a)}
    for m in u:
        own = dict(m)
        now = {a: own.get(a, 0) for a in atoms}
        common = now if common is None else {a: min(common[a], now[a]) for a in atoms}
    return {a: e for a, e in (common or {}).items() if e}


def _less(m: Any, common: Mapping[Atom, Rational]) -> Any:
    own = dict(m)
    for a, e in common.items():
        new = own.get(a, 0) - e
        if new:
            own[a] = new
        else:
            own.pop(a, None)
    return frozenset(own.items())


def _int(value: Fraction) -> Rational:
    return int(value) if value.denominator == 1 else value


def zero(space: Space, u: Expression) -> Expression:
    """``[u = 0]`` of an expression: neither above nor below."""
    total: Expression = {UNIT: 1}
    polynomials.add_into(total, above(space, u), -1)
    polynomials.add_into(total, above(space, polynomials.scaled(u, -1)), -1)
    return total


def assuming(u: Expression, mask: Atom) -> tuple[Expression, Expression]:
    """The expression where a bracket is 1, and where it is 0; its complement is then 0, and 1."""
    other: Atom | None = None
    for m in u:
        for a, _ in m:
            if mask.kind == a.kind == "least" and (mask.data[0] + a.data[0]).constant == -1:
                other = a
    excluded = [other] if other is not None else [a for m in u for a, _ in m if _opposite(mask, a)]
    on: Expression = {}
    off: Expression = {}
    for m, c in u.items():
        atoms = {a for a, _ in m}
        if atoms.isdisjoint(excluded):
            polynomials.add_into(on, {frozenset(t for t in m if t[0] is not mask): c})
        if mask not in atoms:
            polynomials.add_into(off, {frozenset(t for t in m if t[0] is not other): c})
    return on, off


def _opposite(a: Atom, b: Atom) -> bool:
    """Whether the two are ``[u > 0]`` and ``[−u > 0]``."""
    return a.kind == b.kind == "above" and b.data[0] == frozenset((m, -c) for m, c in a.data[0])


def by_cases(space: Space, u: Expression, f: Callable[[Expression], Expression]) -> Expression | None:
    """``f([c]·v + w) = [c]·f(v + w) + (1 − [c])·f(w)``; None where no bracket stands in a sum."""
    if len(u) < 2:
        return None
    mask = next((a for m in u for a, _ in m if a.kind in BRACKETS), None)
    if mask is None:
        return None
    on, off = assuming(u, mask)
    try:
        high, low = f(on), f(off)
    except Unreduced:
        return None
    space.used("f by cases of a bracket")
    own: Expression = {frozenset(((mask, 1),)): 1}
    total = polynomials.times(space, own, high)
    polynomials.add_into(total := dict(total), low)
    polynomials.add_into(total, polynomials.times(space, own, low), -1)
    return total


def solve(p: Poly, allowed: Any = None) -> tuple[Index, Poly] | None:
    """``p = 0`` solved for an index with coefficient ±1."""
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


def settled(space: Space, powers: dict[Atom, Rational]) -> Expression:
    """A product with brackets in it: deltas solved in the other factors, contradictions 0, what follows left out."""
    from derivcheck.proof.substitution import substituted

    masks = [a for a in powers if a.kind in BRACKETS]
    for a in masks:
        if a.kind != "equal":
            continue
        found = solve(a.data[0])
        if found is None:
            continue
        index, value = found
        moved = [(b, e) for b, e in powers.items() if b is not a and index in b.free]
        if moved:
            kept = frozenset((b, e) for b, e in powers.items() if b is a or index not in b.free)
            space.used("[i = e]·f(i) = [i = e]·f(e)")
            new = substituted(space, frozenset(moved), {index: value})
            return polynomials.times(space, {kept: 1}, new)
    leasts = [a for a in masks if a.kind == "least"]
    dropped: set[Atom] = set()
    for k, a in enumerate(leasts):
        for b in leasts[k + 1 :]:
            how, delta = _related(space, a.data[0], b.data[0])
            if how == "contradict":
                return {}
            if how == "first follows" and b not in dropped:
                dropped.add(a)
            elif how == "second follows" and a not in dropped:
                dropped.add(b)
            elif how == "one place" and delta is not None and a not in dropped and b not in dropped:
                rest = frozenset((c, e) for c, e in powers.items() if c is not a and c is not b)
                return polynomials.times(space, {rest: 1}, equal(space, delta))
    aboves = [a for a in masks if a.kind == "above"]
    for k, a in enumerate(aboves):
        for b in aboves[k + 1 :]:
            how = _compared(a, b)
            if how == "contradict":
                return {}
            if how == "first follows" and b not in dropped:
                dropped.add(a)
            elif how == "second follows" and a not in dropped:
                dropped.add(b)
            elif how == "one holds" and a not in dropped and b not in dropped:  # (1 − [u > 0])·(1 − [v > 0]) = 0
                rest = frozenset((c, e) for c, e in powers.items() if c is not a and c is not b)
                either: Expression = {frozenset(((a, 1),)): 1, frozenset(((b, 1),)): 1, UNIT: -1}
                return polynomials.times(space, {rest: 1}, either)
    left = {a: e for a, e in powers.items() if a not in dropped}
    if space.expand and aboves:
        tied = _at_its_zero(space, left, [a for a in aboves if a not in dropped])
        if tied is not None:
            return tied
    return {frozenset(left.items()): 1}


def _compared(a: Atom, b: Atom) -> str:
    """What ``[u > 0]`` and ``[v > 0]`` say together where u and v (or −v) differ by a number."""
    u, v = dict(a.data[0]), dict(b.data[0])
    shared = (u.keys() | v.keys()) - {UNIT}
    if all(u.get(m, 0) == v.get(m, 0) for m in shared):
        return "first follows" if u.get(UNIT, 0) > v.get(UNIT, 0) else "second follows"
    if all(u.get(m, 0) == -v.get(m, 0) for m in shared):
        return "contradict" if u.get(UNIT, 0) + v.get(UNIT, 0) <= 0 else "one holds"
    return "apart"


def _at_its_zero(space: Space, powers: dict[Atom, Rational], aboves: list[Atom]) -> Expression | None:
    """``u·[u > 0] = u − u·[−u > 0]``: where u is 0, so is its product with any bracket.

    Of the two brackets one is kept beside a multiple of u; it is the leading term of u that is replaced.
    """
    for a in aboves:
        u = dict(a.data[0])
        if signed(space, u.items()):
            continue
        lead = max((m for m in u if m), key=lambda m: (len(m), monomial_signature(space, m, {})), default=None)
        if lead is None or any(b.kind in BRACKETS for b, _ in lead):
            continue
        if any(powers.get(b, 0) < e or e < 0 for b, e in lead):
            continue
        rest = dict(powers)
        for b, e in lead:
            if rest[b] == e:
                del rest[b]
            else:
                rest[b] = rest[b] - e
        del rest[a]
        c = polynomials.fraction(u[lead])
        negative = {m: -k for m, k in u.items()}
        own: Expression = {frozenset(((a, 1),)): 1}
        tail = {m: k for m, k in u.items() if m != lead}
        total = dict(u)
        polynomials.add_into(total, polynomials.times(space, u, above(space, negative)), -1)
        polynomials.add_into(total, polynomials.times(space, tail, own), -1)
        space.used("u·[u > 0] = u - u·[-u > 0]")
        return polynomials.times(space, {frozenset(rest.items()): _int(1 / c)}, total)
    return None


def _related(space: Space, p: Poly, q: Poly) -> tuple[str, Poly | None]:
    """What ``[p ≥ 0]`` and ``[q ≥ 0]`` say together."""
    found = space.relations.get((p, q))
    if found is None:
        found = space.relations[p, q] = _relation(space, p, q)
    return found


def _relation(space: Space, p: Poly, q: Poly) -> tuple[str, Poly | None]:
    total = p + q
    if total is as_poly(0):
        return "one place", p
    if space.holds(-total - 1):
        return "contradict", None
    if p.indices & q.indices or total.constant is not None or not (p.indices or q.indices):
        difference = p - q
        if space.holds(difference):
            return "first follows", None
        if space.holds(-difference):
            return "second follows", None
    digit = _digit(space, p, q)
    return ("one place", digit) if digit is not None else ("apart", None)


def _digit(space: Space, p: Poly, q: Poly) -> Poly | None:
    """``[r − D·h ≥ 0][D − 1 − r + D·h ≥ 0]`` is ``[h = r // D]``."""
    width = p + q + 1
    if width.indices or width.constant == 1 or not space.holds(width - 1):
        return None
    for h in sorted(p.indices, key=lambda i: i.key):
        rest = p + width * as_poly(h)
        if h not in rest.indices and not any(unlimited(i) for i in rest.indices):
            return as_poly(h) - rest // width
    return None
