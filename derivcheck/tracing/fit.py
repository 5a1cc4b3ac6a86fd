"""Fitting: what a number that differs between traces is as a function of the sizes.

Each size assignment gives one value, so a leaf of the traced code is a vector of values, one per trace.  It is looked
up among the vectors of what is known already (the sizes, and every dimension fitted before), then among sums, products,
quotients, floors and extremes of those.  A fit must hold in every trace.

>>> pairs = [(6, 4), (9, 7), (8, 9), (15, 10), (20, 13), (27, 16)]
>>> fit = Fit([{"N": n, "d": d} for n, d in pairs])
>>> print(*(fit.integer([f(n, d) for n, d in pairs]) for f in (lambda n, d: 2*n + 1, lambda n, d: n*d, lambda n, d: n // 2)))
2*N + 1 N*d (N//2)
>>> print(fit.real([d ** -0.5 for n, d in pairs]))
d^(-1/2)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import combinations

from derivcheck.notation.sizes import Poly, as_poly, extreme, size
from derivcheck.notation.terms import ONE, Term, add, func, mul, number, power, size_of

Vector = tuple[int, ...]
_EXPONENTS = (
    Fraction(-1, 2),
    Fraction(1, 2),
    Fraction(-1),
    Fraction(1),
    Fraction(-1, 4),
    Fraction(1, 4),
    Fraction(-2),
    Fraction(2),
    Fraction(-3, 2),
    Fraction(3, 2),
    Fraction(-1, 3),
    Fraction(1, 3),
)


class Fit:
    """Fits vectors of numbers, one number per size assignment."""

    def __init__(self, assignments: Sequence[Mapping[str, int]]) -> None:
        self.assignments = list(assignments)
        names = list(assignments[0]) if assignments else []
        self.known: dict[Vector, Poly] = {}
        for n in names:
            self.known.setdefault(tuple(a[n] for a in assignments), size(n))
        self._failed: set[Vector] = set()

    def learn(self, poly: Poly) -> None:
        """Make an integer expression known, so that later fits are written with it."""
        if poly.constant is None:
            self.known.setdefault(tuple(poly.at(a) for a in self.assignments), poly)

    def plain(self, values: Sequence[int]) -> bool:
        """Whether these values are a number or an expression that is known."""
        return all(x == values[0] for x in values) or tuple(values) in self.known

    def holds(self, poly: Poly, values: Sequence[int]) -> bool:
        """Whether an integer expression of known sizes has these values."""
        try:
            return all(poly.at(a) == v for a, v in zip(self.assignments, values))
        except (KeyError, ZeroDivisionError):
            return False

    def integer(self, values: Sequence[int]) -> Poly | None:
        """The integer expression with these values, or None."""
        v = tuple(int(x) for x in values)
        if all(x == v[0] for x in v):
            return as_poly(v[0])
        found = self.known.get(v)
        if found is not None:
            return found
        if v in self._failed:
            return None
        for candidate in self._candidates(v):
            if all(candidate.at(a) == x for a, x in zip(self.assignments, v)):
                self.known[v] = candidate
                return candidate
        self._failed.add(v)
        return None

    def _candidates(self, v: Vector) -> Iterator[Poly]:
        pool = sorted(self.known.items(), key=lambda item: len(str(item[1])))
        for p, poly in pool:  # c·p + k
            found = _line(p, v)
            if found is not None and found[0].denominator == 1 and found[1].denominator == 1:
                yield int(found[0]) * poly + int(found[1])
        small = pool[:24]
        if len(v) < 6:  # what follows has so many forms that few traces would prove nothing
            small = []
            for (_, a), (_, b) in combinations(pool[:24], 2):
                yield from (f for f in (a * b, a + b, a - b, b - a) if f.constant is None)
        for (p, a), (q, b) in combinations(small, 2):
            if all(y == x * z for x, y, z in zip(p, v, q)):
                yield a * b
            if all(y == x + z for x, y, z in zip(p, v, q)):
                yield a + b
            if all(y == x - z for x, y, z in zip(p, v, q)):
                yield a - b
            if all(y == z - x for x, y, z in zip(p, v, q)):
                yield b - a
        for p, a in small:  # floors of one size, then of two
            yield from _floors(p, a, v)
        for (p, a), (q, b) in combinations(small, 2):
            for (x, f), (y, g) in (((p, a), (q, b)), ((q, b), (p, a))):
                if all(z != 0 for z in y):
                    if all(i // j == k for i, j, k in zip(x, y, v)):
                        yield f // g
                    if all(-(-i // j) == k for i, j, k in zip(x, y, v)):
                        yield -((-f) // g)
                    if all(i % j == k for i, j, k in zip(x, y, v)):
                        yield f % g
            for kind, pick in (("max", max), ("min", min)):
                shift = v[0] - pick(p[0], q[0])
                if all(pick(i, j) + shift == k for i, j, k in zip(p, q, v)):
                    yield extreme(kind, a, b) + shift
        for p, a in small:
            for kind, pick in (("max", max), ("min", min)):
                bounds = {k for i, k in zip(p, v) if k != i}
                if len(bounds) == 1 and _seen_twice(p, v, 0):
                    c = bounds.pop()
                    if all(pick(i, c) == k for i, k in zip(p, v)):
                        yield extreme(kind, a, c)
                shifts = {k - i for i, k in zip(p, v)}
                for s in sorted(shifts, key=abs)[:3]:
                    rest = {k for i, k in zip(p, v) if k != i + s}
                    if len(rest) == 1 and _seen_twice(p, v, s):
                        c = rest.pop()
                        if all(pick(i + s, c) == k for i, k in zip(p, v)):
                            yield extreme(kind, a + s, c)
        for (p, a), (q, b) in combinations(small, 2):  # c·p + e·q + k, with products among p and q
            yield from _plane(p, a, q, b, v)
        for (p, a), (q, b) in combinations(small[:10], 2):
            for r, third in small[:10]:
                product = tuple(i * j for i, j in zip(p, q))
                yield from _plane(product, a * b, r, third, v)
                if all(k == i * j * m for i, j, m, k in zip(p, q, r, v)):
                    yield a * b * third

    def real(self, values: Sequence[float]) -> Fraction | float | Term | None:
        """The number (as a Fraction; infinities and NaN stay floats) or term with these values, or None."""
        v = [float(x) for x in values]
        if all(x == v[0] or (x != x and v[0] != v[0]) for x in v):
            return exact(v[0]) if math.isfinite(v[0]) else v[0]
        if not all(math.isfinite(x) for x in v):
            return None
        pool = [(tuple(map(float, p)), size_of(a)) for p, a in list(self.known.items())[:24]]
        for p, a in pool:
            found = _fraction_line(p, v)
            if found is not None:
                return add(mul(number(found[0]), a), number(found[1]))
        if all(x == int(x) for x in v):
            whole = self.integer([int(x) for x in v])
            if whole is not None:
                return size_of(whole)
        bases = list(pool)
        for p, a in pool:
            bases += [(tuple(x + k for x in p), add(a, number(k))) for k in (-1, 1, -2, 2) if all(x + k > 0 for x in p)]
        for p, a in bases:
            yielded = _monomial(p, a, v)
            if yielded is not None:
                return yielded
        for p, a in bases:
            if all(x > 0 for x in p):
                found = _fraction_line(tuple(map(math.log, p)), v)
                if found is not None:
                    return add(mul(number(found[0]), func("log", a)), number(found[1]))
        for (p, a), (q, b) in combinations(bases, 2):
            for e in _EXPONENTS:
                if all(x > 0 for x in q):
                    rest = [x * y ** -float(e) for x, y in zip(v, q)]
                    yielded = _monomial(p, a, rest)
                    if yielded is not None:
                        return mul(yielded, power(b, e))
        return None


def exact(x: float) -> Fraction:
    """The simplest rational that rounds to this float, else its shortest decimal: 0.333… is 1/3, 1e-05 is 1/100000."""
    near = Fraction(x).limit_denominator(1000)
    return near if float(near) == x else Fraction(repr(x))


def _seen_twice(p: Vector, v: Vector, shift: int) -> bool:
    """Whether v = p + shift at two sizes: one alone is any number (what a branch gave at that size)."""
    return len({i for i, k in zip(p, v) if k == i + shift}) > 1


def _line(p: Vector, v: Vector) -> tuple[Fraction, Fraction] | None:
    """``(c, k)`` with v = c·p + k in every trace."""
    other = next((t for t in range(1, len(p)) if p[t] != p[0]), None)
    if other is None:
        return None
    c = Fraction(v[other] - v[0], p[other] - p[0])
    k = v[0] - c * p[0]
    return (c, k) if all(y == c * x + k for x, y in zip(p, v)) else None


def _floors(p: Vector, poly: Poly, v: Vector) -> Iterator[Poly]:
    """``(c·p + r)//m``, where all such functions that fit the traces agree between and beyond them."""
    low, high = min(range(len(p)), key=p.__getitem__), max(range(len(p)), key=p.__getitem__)
    if p[low] == p[high]:
        return
    fits: list[tuple[int, int, int]] = []
    slope = Fraction(v[high] - v[low], p[high] - p[low])
    for m in range(2, 33):
        for c in {math.floor(slope * m), math.ceil(slope * m)} if m <= 8 or m == 10 else {1}:
            if math.gcd(c, m) != 1 or abs((v[high] - v[low]) - Fraction(c * (p[high] - p[low]), m)) > 1:
                continue
            for r in range(m):
                k = v[0] - (c * p[0] + r) // m
                if all((c * x + r) // m + k == y for x, y in zip(p, v)):
                    fits.append((c, m, r + k * m))
    fits = list(dict.fromkeys(fits))
    if fits:
        c, m, r = fits[0]
        if all((c * x + r) // m == (d * x + s) // n for d, n, s in fits[1:] for x in range(1, 2 * max(p))):
            yield (c * poly + r) // m


def _plane(p: Vector, a: Poly, q: Vector, b: Poly, v: Vector) -> Iterator[Poly]:
    """``c·p + e·q + k`` with whole numbers, solved from three traces and held in all."""
    if len(p) < 5:
        return
    for i, j in ((1, 2), (1, 3), (2, 3)):
        x1, y1, z1 = p[i] - p[0], q[i] - q[0], v[i] - v[0]
        x2, y2, z2 = p[j] - p[0], q[j] - q[0], v[j] - v[0]
        det = x1 * y2 - x2 * y1
        if det:
            c, e = Fraction(z1 * y2 - z2 * y1, det), Fraction(x1 * z2 - x2 * z1, det)
            k = v[0] - c * p[0] - e * q[0]
            if c.denominator == e.denominator == k.denominator == 1 and all(c * x + e * y + k == z for x, y, z in zip(p, q, v)):
                yield int(c) * a + int(e) * b + int(k)
            return


def _close(x: float, y: float) -> bool:
    return abs(x - y) <= 4e-15 * max(abs(x), abs(y)) * 8


def _fraction_line(p: Sequence[float], v: Sequence[float]) -> tuple[Fraction, Fraction] | None:
    other = next((t for t in range(1, len(p)) if p[t] != p[0]), None)
    if other is None:
        return None
    slope = (v[other] - v[0]) / (p[other] - p[0])
    c = Fraction(slope).limit_denominator(1000)
    if not c or abs(float(c) - slope) > 1e-9 * max(1.0, abs(slope)):
        return None
    k = Fraction(v[0] - float(c) * p[0]).limit_denominator(1000)
    return (c, k) if all(_close(float(c) * x + float(k), y) for x, y in zip(p, v)) else None


def _monomial(p: Sequence[float], a: Term, v: Sequence[float]) -> Term | None:
    """``c·p^e`` with a rational or square-root coefficient."""
    if any(x <= 0 for x in p):
        return None
    for e in _EXPONENTS:
        c = v[0] * p[0] ** -float(e)
        if all(_close(c * x ** float(e), y) for x, y in zip(p, v)):
            scale = _coefficient(c)
            return None if scale is None else mul(scale, power(a, e))
    return None


def _coefficient(c: float) -> Term | None:
    near = Fraction(c).limit_denominator(10000)
    if near and _close(float(near), c):
        return ONE if near == 1 else number(near)
    square = Fraction(c * c).limit_denominator(10000)
    if square and _close(math.sqrt(float(square)), abs(c)):
        return mul(number(1 if c > 0 else -1), power(number(square), Fraction(1, 2)))
    short = Fraction(repr(c))
    return number(short) if short.denominator <= 10**9 else None
