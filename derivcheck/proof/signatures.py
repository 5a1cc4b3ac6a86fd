"""Numbers that do not depend on what bound indices are called: what canonical labelling compares.

``signature(atom, colours)`` replaces the indices in ``colours`` by their colours.  Equal up to renaming implies
equal signatures; two different atoms may share one, which costs completeness of a proof and never its soundness.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from derivcheck.notation.integers.atoms import Entry, Extreme, Floor
from derivcheck.notation.integers.polynomials import Atom as PolyAtom
from derivcheck.notation.integers.polynomials import Index, Poly, Size
from derivcheck.proof.atoms import Atom, Monomial, Rational, word

if TYPE_CHECKING:
    from derivcheck.proof.space import Space

Colours = Mapping[Index, int]
Part = tuple[frozenset[Index], Callable[[Colours], int]]

ODD = frozenset(("tanh", "sin", "tan", "asin", "atan", "sinh", "asinh", "atanh", "erf"))
EVEN = frozenset(("cos", "cosh"))


def poly_signature(space: Space, p: Poly, colours: Colours) -> int:
    """The signature of an integer polynomial."""
    plain = not colours or p.indices.isdisjoint(colours)
    if plain:
        found = space.polys.get(p)
        if found is not None:
            return found
    total = 0
    for m, c in p.terms:
        inner = 0
        for a, e in m:
            inner += hash((_poly_atom(space, a, colours), e))
        total += hash((inner, c))
    total = hash((total, 11))
    if plain:
        space.polys[p] = total
    return total


def _poly_atom(space: Space, a: PolyAtom, colours: Colours) -> int:
    if isinstance(a, Index):
        found = colours.get(a)
        return found if found is not None else word(f"index {a.name} {a.serial}")
    if isinstance(a, Size):
        return word(f"size {a.name}")
    if isinstance(a, Entry):
        return hash((word(f"entry {a.name}"), *(poly_signature(space, p, colours) for p in a.at)))
    if isinstance(a, Floor):
        return hash((3, poly_signature(space, a.numerator, colours), poly_signature(space, a.denominator, colours)))
    if isinstance(a, Extreme):
        return hash((word(a.kind), sum(poly_signature(space, p, colours) for p in a.args)))
    raise TypeError(type(a).__name__)


def signature(space: Space, a: Atom, colours: Colours) -> int:
    """The signature of an atom."""
    if not colours or a.free.isdisjoint(colours):
        try:
            return a.signature
        except AttributeError:
            colours = {}
    kind, data = a.kind, a.data
    if kind == "element":
        return hash((word(f"element {data[0]}"), *(poly_signature(space, p, colours) for p in data[1])))
    if kind == "whole":
        return hash((word("whole"), _poly_atom(space, data[0], colours)))
    if kind == "equal":
        return hash((word("equal"), poly_signature(space, data[0], colours) + poly_signature(space, -data[0], colours)))
    if kind == "least":
        return hash((word("least"), poly_signature(space, data[0], colours)))
    if kind == "root":
        return hash((word("root"), data[0]))
    if kind == "exp":
        return hash((word("exp"), monomial_signature(space, data[0], colours)))
    if kind == "above":
        return hash((word("above"), expression_signature(space, data[0], colours)))
    if kind == "base":
        return hash((word("base"), _either_sign(space, data[0], colours)))
    if kind == "apply":
        by = _either_sign if data[0] in ODD or data[0] in EVEN else expression_signature
        return hash((word(f"apply {data[0]}"), *(by(space, e, colours) for e in data[1])))
    if kind == "sigma":
        bound, m = data
        inner = refined(space, bound, factor_parts(space, m), colours)
        return hash((word("sigma"), monomial_signature(space, m, {**colours, **inner})))
    if kind == "over":
        which, bound, body = data
        inner = refined(space, bound, term_parts(space, body), colours)
        return hash((word(f"over {which}"), expression_signature(space, body, {**colours, **inner})))
    raise TypeError(kind)


def monomial_signature(space: Space, m: Monomial, colours: Colours) -> int:
    """The signature of a monomial."""
    total = 0
    for a, e in m:
        total += hash((signature(space, a, colours), e))
    return hash((total, 5))


def expression_signature(space: Space, terms: Any, colours: Colours) -> int:
    """The signature of a frozen expression."""
    total = 0
    for m, c in terms:
        total += hash((monomial_signature(space, m, colours), c))
    return hash((total, 7))


def _either_sign(space: Space, terms: Any, colours: Colours) -> int:
    up = down = 0
    for m, c in terms:
        s = monomial_signature(space, m, colours)
        up += hash((s, c))
        down += hash((s, -c))
    return hash((up, 7)) + hash((down, 7))


def signed(space: Space, terms: Any) -> bool:
    """Whether the expression, rather than its negative, is the one that is kept."""
    up = down = 0
    for m, c in terms:
        s = monomial_signature(space, m, {})
        up += hash((s, c))
        down += hash((s, -c))
    return hash((up, 7)) <= hash((down, 7))


def factor_parts(space: Space, m: Monomial) -> list[Part]:
    """The factors of a monomial as what refinement looks at."""

    def part(a: Atom, e: Rational) -> Part:
        return a.free, lambda colours: hash((signature(space, a, colours), e))

    return [part(a, e) for a, e in m]


def term_parts(space: Space, terms: Any) -> list[Part]:
    """The monomials of an expression as what refinement looks at."""

    def part(m: Monomial, c: int | Fraction) -> Part:
        free: frozenset[Index] = frozenset().union(*(a.free for a, _ in m))
        return free, lambda colours: hash((monomial_signature(space, m, colours), c))

    return [part(m, c) for m, c in terms]


def refined(
    space: Space, bound: Sequence[Index], parts: Sequence[Part], outer: Colours, start: Mapping[Index, int] | None = None
) -> dict[Index, int]:
    """Colours of the bound indices: refined by the parts that they stand in, until no more are told apart."""
    colours = dict(start) if start else {i: hash((poly_signature(space, i.size, outer), 1)) for i in bound}
    if len(bound) == 1 and not start:
        return {bound[0]: 17}
    touching = {i: [f for free, f in parts if i in free] for i in bound}
    kinds = len(set(colours.values()))
    for _ in range(len(bound)):
        if kinds == len(bound):
            break
        everything: dict[Index, int] = {**outer, **colours}
        new: dict[Index, int] = {}
        for i in bound:
            own = everything[i]
            everything[i] = hash((own, 99))
            new[i] = hash((own, sum(hash((f(everything), 3)) for f in touching[i])))
            everything[i] = own
        now = len(set(new.values()))
        colours = new
        if now == kinds:
            break
        kinds = now
    return colours
