"""What one case of a proof assumes of its comparisons: ``x[n] − 1 > 0``, ``x[n] − y[n] ≤ 0``; and what follows from it.

A comparison is looked at as a linear one of monomials.  Facts about one direction give an interval, so that ``u > 2`` says
what ``u > 1`` is; facts about several contradict each other where no values of the monomials satisfy all, by Fourier and
Motzkin's elimination: ``a > b``, ``b > c``, ``c ≥ a``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from derivcheck.proof.expressions.atoms import UNIT, Base, Expression, Frozen, Monomial
from derivcheck.proof.expressions.context import Context
from derivcheck.proof.expressions.polynomials import frozen, of_atom, whole
from derivcheck.proof.expressions.signatures import signed
from derivcheck.proof.normal_form.products import times
from derivcheck.proof.normal_form.signs import positive, strictly

MOST = 300  # inequalities that an elimination may make
MULTIPLIED = 10  # facts of which the products are looked at

End = tuple[Fraction, bool]  # where an interval ends, and whether the end itself is left out
Inequality = tuple[dict[Monomial, Fraction], Fraction, bool]  # Σ c·m + constant ≥ 0, or > 0


@dataclass(frozen=True)
class Assumed:
    """The facts of a case.

    Attributes:
        low, high: for a direction, where its values start and end.
    """

    low: Mapping[Frozen, End] = field(default_factory=dict)
    high: Mapping[Frozen, End] = field(default_factory=dict)

    def told(self, u: Expression) -> bool | None:
        """Whether ``u > 0``; None where the facts do not say.

        >>> from derivcheck.notation.text.dims import parse_input
        >>> from derivcheck.notation.text.parse import TextScope, parse_term
        >>> from derivcheck.proof.normal_form.normal import new_context, of_term
        >>> context, scope = new_context(), TextScope({"x": parse_input("x", "")})
        >>> u, v, w, z = (of_term(context, parse_term(t, scope)) for t in ("x - 2", "2*x - 2", "1 - x", "x - 3"))
        >>> case = Assumed().plus(context, u, True)
        >>> [case.told(each) for each in (v, w, z)]
        [True, False, None]
        """
        found = _direction(u)
        if found is None:
            return u.get(UNIT, 0) > 0
        v, up, end = found
        low, high = (self.low, self.high) if up else (self.high, self.low)
        sign = 1 if up else -1
        if v in low and (sign * (low[v][0] - end) > 0 or low[v] == (end, True)):
            return True
        if v in high and sign * (high[v][0] - end) <= 0:
            return False
        return None

    def plus(self, context: Context, u: Expression, above: bool) -> Assumed | None:
        """These facts and ``u > 0``, or ``u ≤ 0``; None where no values satisfy all."""
        found = _direction(u)
        if found is None:
            return self if (u.get(UNIT, 0) > 0) == above else None
        v, up, end = found
        low, high = dict(self.low), dict(self.high)
        if up == above:
            low[v] = max(low.get(v, (end, above)), (end, above))
        else:
            new = (end, above)
            high[v] = min(high.get(v, new), new, key=lambda e: (e[0], not e[1]))
        case = Assumed(low, high)
        return case if _possible(context, case._inequalities()) else None

    def zero(self, u: Expression) -> bool:
        """Whether the facts leave ``u = 0`` alone."""
        found = _direction(u)
        if found is None:
            return u.get(UNIT, 0) == 0
        v, _, end = found
        return self.low.get(v) == (end, False) == self.high.get(v)

    def contradicts(self, context: Context) -> bool:
        """Whether no values satisfy the facts and the products of two of them: ``0 < u < 1`` and ``u² > 6``."""
        facts = self._facts()
        if len(facts) > MULTIPLIED:
            return False
        roots = ((a, e) for u, _ in facts for m in u for a, e in m if isinstance(a, Base) and not whole(e) and e < 0)
        every = [*facts, *((of_atom(a, e), False) for a, e in dict.fromkeys(roots))]
        pairs = ((u, v, p and q) for k, (u, p) in enumerate(every) for v, q in every[k:])
        return not _possible(
            context, [_linear(u, p) for u, p in facts] + [_linear(times(context, u, v), p) for u, v, p in pairs]
        )

    def _facts(self) -> list[tuple[Expression, bool]]:
        """Expressions that are at least 0, and which of these are above."""
        lower = (((1, v, end), strict) for v, (end, strict) in self.low.items())
        upper = (((-1, v, end), strict) for v, (end, strict) in self.high.items())
        return [(_expression(*side), strict) for side, strict in (*lower, *upper)]

    def _inequalities(self) -> list[Inequality]:
        return [_linear(u, strict) for u, strict in self._facts()]


def _expression(sign: int, v: Frozen, end: Fraction) -> Expression:
    """``v − end``, or its negative."""
    return {**{m: sign * c for m, c in v}, **({UNIT: -sign * end} if end else {})}


def _linear(u: Expression, strict: bool) -> Inequality:
    return {m: Fraction(c) for m, c in u.items() if m}, Fraction(u.get(UNIT, 0)), strict


def _direction(u: Expression) -> tuple[Frozen, bool, Fraction] | None:
    """``u > 0`` as ``v > end`` (or ``v < end``) of a direction v, which has no constant; None where u is a number."""
    rest = {m: Fraction(c) for m, c in u.items() if m}
    if not rest:
        return None
    least = min(map(abs, rest.values()))
    up = signed((m, c / least) for m, c in rest.items())  # the same way for u and 2*u
    scale = least if up else -least
    return frozen({m: c / scale for m, c in rest.items()}), up, -Fraction(u.get(UNIT, 0)) / scale


def _possible(context: Context, every: list[Inequality]) -> bool:
    """Whether some values of the monomials satisfy all (True also where that is not known)."""
    for m in {m for coefficients, _, _ in every for m in coefficients}:
        if all(positive(context, a, e) for a, e in m):
            every.append(({m: Fraction(1)}, Fraction(0), all(strictly(a) for a, _ in m)))
    while True:
        every = _distinct(every)
        if any(not c and (k < 0 or strict and k == 0) for c, k, strict in every):
            return False
        counts: dict[Monomial, list[int]] = {}
        for coefficients, _, _ in every:
            for m, c in coefficients.items():
                counts.setdefault(m, [0, 0])[c < 0] += 1
        if not counts:
            return True
        m = min(counts, key=lambda m: counts[m][0] * counts[m][1])
        if counts[m][0] * counts[m][1] + len(every) > MOST:
            return True
        every = _without(every, m)


def _without(every: Iterable[Inequality], m: Monomial) -> list[Inequality]:
    """What follows for the other monomials: each lower end of one is at most each upper end."""
    low: list[Inequality] = []
    high: list[Inequality] = []
    rest: list[Inequality] = []
    for one in every:
        c = one[0].get(m, 0)
        (low if c > 0 else high if c < 0 else rest).append(one)
    for a, j, p in low:
        for b, k, q in high:
            s, t = -b[m], a[m]
            total = {n: s * a.get(n, 0) + t * b.get(n, 0) for n in a.keys() | b.keys() if n != m}
            rest.append(({n: c for n, c in total.items() if c}, s * j + t * k, p or q))
    return rest


def _distinct(every: Iterable[Inequality]) -> list[Inequality]:
    """Each once, at one scale, the tightest of those in one direction."""
    found: dict[frozenset[tuple[Monomial, Fraction]], tuple[Fraction, bool]] = {}
    for coefficients, k, strict in every:
        scale = min(map(abs, coefficients.values()), default=Fraction(1))
        key = frozenset((m, c / scale) for m, c in coefficients.items())
        new = (k / scale, strict)
        old = found.get(key, new)
        found[key] = min(old, new, key=lambda e: (e[0], not e[1]))
    return [(dict(key), k, strict) for key, (k, strict) in found.items()]
