"""The atoms that are computed: elements of integer tensors, floored quotients, extremes and other functions of integers."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, cast

from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Atom, Monomial, Poly, PolyLike, as_poly, interned


class Entry(Atom):
    """An element of an integer tensor used as a position: ``ids[n]``."""

    __slots__ = fields = ("name", "at")
    name: str
    at: tuple[Poly, ...]

    def __new__(cls, name: str, at: Iterable[PolyLike]) -> Entry:
        return cast(Entry, interned(cls, name, tuple(as_poly(p) for p in at)))

    @property
    def parts(self) -> tuple[Poly, ...]:
        return self.at

    def rebuilt(self, parts: tuple[Poly, ...]) -> Poly:
        return as_poly(Entry(self.name, parts))

    def renamed(self, names: Mapping[str, str]) -> Poly:
        return as_poly(Entry(names.get(self.name, self.name), [p.rename(names) for p in self.at]))

    def _text(self) -> str:
        return f"{self.name}[{', '.join(map(str, self.at))}]"

    def _complete(self) -> None:
        super()._complete()
        self.names = self.names | {self.name}


class Floor(Atom):
    """``numerator // denominator``, rounded towards minus infinity."""

    __slots__ = fields = ("numerator", "denominator")
    tight = False
    numerator: Poly
    denominator: Poly

    def __new__(cls, numerator: Poly, denominator: Poly) -> Floor:
        return cast(Floor, interned(cls, numerator, denominator))

    @property
    def parts(self) -> tuple[Poly, ...]:
        return self.numerator, self.denominator

    def rebuilt(self, parts: tuple[Poly, ...]) -> Poly:
        return parts[0] // parts[1]

    def _text(self) -> str:
        return f"{_wrapped(self.numerator)}//{_wrapped(self.denominator)}"

    def evaluated(self, value: Callable[[Atom], Any]) -> Any:
        return self.numerator.evaluate(value) // self.denominator.evaluate(value)

    def nonnegative(self, least: int) -> bool:
        return nonnegative(self.numerator) and nonnegative(self.denominator)

    def not_above_zero(self) -> bool:
        return nonnegative(-self.numerator, 0) and nonnegative(self.denominator - 1, 0)  # -((-N)//2) counts every second


class Extreme(Atom):
    """``max`` or ``min`` of integer expressions."""

    __slots__ = fields = ("kind", "args")
    kind: str
    args: tuple[Poly, ...]

    def __new__(cls, kind: str, args: Iterable[PolyLike]) -> Extreme:
        return cast(Extreme, interned(cls, kind, tuple(sorted({as_poly(a) for a in args}, key=str))))

    @property
    def parts(self) -> tuple[Poly, ...]:
        return self.args

    def rebuilt(self, parts: tuple[Poly, ...]) -> Poly:
        return extreme(self.kind, *parts)

    def _text(self) -> str:
        return f"{self.kind}({', '.join(map(str, self.args))})"

    def evaluated(self, value: Callable[[Atom], Any]) -> Any:
        """The extreme of its parts; of arrays element by element, by ``+ *`` and comparisons alone."""
        found, *others = (p.evaluate(value) for p in self.args)
        for w in others:
            less = w < found if self.kind == "min" else w > found
            if isinstance(less, bool):
                found = w if less else found
            else:
                found = w * less + found * (1 - less)
        return found

    def nonnegative(self, least: int) -> bool:
        signs = self.kind == "max" and any(-p in self.args for p in self.args)  # max(p, -p) is |p|
        return signs or (any if self.kind == "max" else all)(nonnegative(p, least) for p in self.args)


_FUNCTIONS: dict[str, Callable[..., int]] = {
    "gcd": math.gcd,
    "isqrt": math.isqrt,
    "bit_length": int.bit_length,
    "exp2": lambda n: 1 << n,
    "bit_or": operator.or_,
    "bit_and": operator.and_,
    "bit_xor": operator.xor,
}


class Applied(Extreme):
    """Another function of integer expressions, the same whichever their order: ``gcd``, ``isqrt``, ``bit_length``, ``exp2``
    (2 to the power), ``bit_or``, ``bit_and``, ``bit_xor``.  Nothing is known of it but its value at numbers."""

    __slots__ = ()

    def __new__(cls, kind: str, args: Iterable[PolyLike]) -> Applied:
        return cast(Applied, interned(cls, kind, tuple(sorted((as_poly(a) for a in args), key=str))))

    def rebuilt(self, parts: tuple[Poly, ...]) -> Poly:
        return applied(self.kind, *parts)

    def evaluated(self, value: Callable[[Atom], Any]) -> Any:
        return _FUNCTIONS[self.kind](*(int(p.evaluate(value)) for p in self.args))

    def nonnegative(self, least: int) -> bool:
        return not self.kind.startswith("bit_") or self.kind == "bit_length" or all(nonnegative(p) for p in self.args)


def entry(name: str, *at: PolyLike) -> Poly:
    """The element ``name[at]`` of an integer tensor, as a position."""
    return as_poly(Entry(name, at))


def extreme(kind: str, *args: PolyLike) -> Poly:
    """``max(args)`` or ``min(args)``; a number where all are numbers."""
    polys = list(dict.fromkeys(as_poly(a) for a in args))
    constants = [p.constant for p in polys]
    if all(c is not None for c in constants):
        known = [c for c in constants if c is not None]
        return as_poly(max(known) if kind == "max" else min(known))
    if len(polys) == 1:
        return polys[0]
    for i, p in enumerate(polys):  # max(N, N - 3) is N; a size may be 0, so max(N, 1) is not
        if all(nonnegative(p - q if kind == "max" else q - p, 0) for j, q in enumerate(polys) if j != i):
            return p
    return as_poly(Extreme(kind, polys))


def applied(kind: str, *args: PolyLike) -> Poly:
    """Another function of integers, of an expression: see :class:`Applied`; a number where all are numbers.

    >>> from derivcheck.notation.integers.polynomials import size
    >>> str(applied("exp2", applied("bit_length", size("N") - 1)))
    'exp2(bit_length(N - 1))'
    >>> applied("gcd", size("N"), 4).at({"N": 6})
    2
    """
    polys = [as_poly(a) for a in args]
    known = [p.constant for p in polys]
    if all(c is not None for c in known):
        return as_poly(_FUNCTIONS[kind](*known))
    return as_poly(Applied(kind, polys))


def entries(polys: Iterable[Poly]) -> Iterator[Entry]:
    """The elements of integer tensors in integer expressions, also inside each other."""
    waiting = list(polys)
    while waiting:
        for a in waiting.pop().atoms():
            if isinstance(a, Entry):
                yield a
            waiting += a.parts


# -- quotients -------------------------------------------------------------------
@lru_cache(maxsize=4096)
def exact_quotient(numerator: Poly, denominator: Poly) -> Poly | None:
    """``numerator / denominator`` when the division leaves nothing over, else None.

    >>> from derivcheck.notation.integers.polynomials import size
    >>> h, d = size("h"), size("d")
    >>> exact_quotient(h * d, d)
    h
    """
    if not denominator.terms:
        return None
    if numerator is denominator:
        return as_poly(1)
    rest, result = numerator, as_poly(0)
    lead, c0 = denominator.terms[0]
    for _ in range(16):  # each step takes a monomial away; more than these no quotient of sizes has
        if not rest.terms:
            return result
        for m, c in rest.terms:
            q = _monomial_quotient(m, lead)
            if q is not None and c % c0 == 0:
                step = Poly(((q, c // c0),))
                result, rest = result + step, rest - step * denominator
                break
        else:
            return None
    return None


def floored(numerator: Poly, denominator: Poly) -> Poly:
    """``numerator // denominator``."""
    exact = exact_quotient(numerator, denominator)
    if exact is not None:
        return exact
    a, b = numerator.constant, denominator.constant
    if a is not None and b is not None and b != 0:
        return as_poly(a // b)
    return _without_multiples(numerator, denominator)


Poly.floored = floored


@lru_cache(maxsize=4096)
def _without_multiples(numerator: Poly, denominator: Poly) -> Poly:
    """``numerator // denominator`` with whole multiples taken out: ``(h*d + e)//d`` is ``h`` for an index e below d."""
    whole, rest = as_poly(0), as_poly(0)
    for part in _parts(numerator, denominator):
        q = exact_quotient(part, denominator)
        if q is None:
            rest = rest + part
        else:
            whole = whole + q
    if not nonnegative(denominator - 1):
        return as_poly(Floor(numerator, denominator))
    for k in (0, -1):
        if nonnegative(rest - k * denominator) and nonnegative((k + 1) * denominator - 1 - rest):
            return whole + k
    inner = rest.atom
    if rest.constant is not None and denominator.constant is not None:
        return whole + rest // denominator
    if isinstance(inner, Floor) and nonnegative(inner.denominator - 1):
        return whole + _without_multiples(inner.numerator, inner.denominator * denominator)
    return whole + as_poly(Floor(rest, denominator))


def _parts(numerator: Poly, denominator: Poly) -> Iterator[Poly]:
    """What may be whole multiples: each term; of ``d + 2``, all terms of one index together, and all of sizes alone."""
    if len(denominator.terms) == 1:
        for term in numerator.terms:
            yield Poly((term,))
        return
    left = list(numerator.terms)
    for i in sorted(numerator.indices, key=lambda i: i.key):
        yield Poly([t for t in left if any(a is i for a, _ in t[0])])
        left = [t for t in left if not any(a is i for a, _ in t[0])]
    rest = Poly([t for t in left if t[0]])
    yield from (Poly(left),) if exact_quotient(Poly(left), denominator) is not None else (rest, Poly(left) - rest)


def _monomial_quotient(m: Monomial, by: Monomial) -> Monomial | None:
    powers = dict(m)
    for a, e in by:
        powers[a] = powers.get(a, 0) - e
        if powers[a] < 0:
            return None
    return tuple((a, e) for a, e in sorted(powers.items(), key=lambda t: (t[0].key, id(t[0]))) if e)


def surely_within(need: Poly, length: Poly, least: int = 1) -> bool:
    """Whether ``need`` is at most ``length`` for every size; ``N//2`` is at most ``N``.

    >>> from derivcheck.notation.integers.polynomials import size
    >>> surely_within(size("N") // 2, size("N")), surely_within(as_poly(2), size("N"))
    (True, False)
    """
    whole = need.atom if isinstance(need.atom, Extreme) and not isinstance(need.atom, Applied) else None
    if whole is not None:
        return (any if whole.kind == "min" else all)(surely_within(p, length, least) for p in whole.args)
    halves = {a: a.numerator for a in need.atoms() if isinstance(a, Floor) and nonnegative(a.numerator)}
    grown = need.substitute(halves) if all(c > 0 for _, c in need.terms) else need
    return nonnegative(length - need, least) or nonnegative(length - grown, least)


def _wrapped(poly: Poly) -> str:
    text = str(poly)
    simple = poly.constant is not None and poly.constant >= 0 or poly.atom is not None
    return text if simple else f"({text})"
