"""Numbers that do not depend on what bound indices are called: what canonical labelling compares.

A signature replaces the indices in ``colours`` by their colours.  Equal up to renaming implies equal signatures; two
different things may share one, which costs completeness of a proof and never its soundness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import cache, lru_cache
from hashlib import blake2b
from typing import Protocol

from derivcheck.notation.integers.atoms import Entry, Extreme, Floor
from derivcheck.notation.integers.polynomials import Atom as Integer
from derivcheck.notation.integers.polynomials import Index, Poly, Size

Colours = Mapping[Index, int]
Part = tuple[frozenset[Index], Callable[[Colours], int]]  # the free indices of a part, and its signature


class Coloured(Protocol):
    """What has a signature: an atom."""

    @property
    def free(self) -> frozenset[Index]:
        """The free indices."""

    def coloured(self, colours: Colours) -> int:
        """The signature with colours in place of indices."""


Number = int | Fraction
Factors = Iterable[tuple[Coloured, Number]]
Terms = Iterable[tuple[Factors, Number]]

# The small numbers that are hashed beside signatures, here and in labelling, keep apart what is built alike of the same parts.


@cache
def word(text: str) -> int:
    """A number for a text, the same in each run."""
    return int.from_bytes(blake2b(text.encode(), digest_size=7).digest(), "big")


_START = word("number")  # so that 0 counts, too


@cache
def _multiplier(c: Number) -> int:
    return word(f"times {c}") | 1


def _mixed(signature: int, c: Number) -> int:
    """The signature of a part with its number.  Of a pair, ``hash((s, 1)) − hash((s, −1))`` is one of a few numbers whatever s
    is, so that ``a − b`` and ``b − a`` would often have one signature."""
    return hash(((signature ^ _START) * _multiplier(c), c))


def poly_signature(p: Poly, colours: Colours) -> int:
    """The signature of an integer polynomial."""
    return _plain_signature(p) if not colours or p.indices.isdisjoint(colours) else _coloured_signature(p, colours)


def _coloured_signature(p: Poly, colours: Colours) -> int:
    total = 0
    for m, c in p.terms:
        inner = 0
        for a, e in m:
            inner += _mixed(integer_signature(a, colours), e)
        total += _mixed(inner, c)
    return hash((total, 11))


@lru_cache(maxsize=1 << 16)
def _plain_signature(p: Poly) -> int:
    return _coloured_signature(p, {})


def integer_signature(a: Integer, colours: Colours) -> int:
    """The signature of a size, an index, or what else an integer polynomial is made of."""
    if isinstance(a, Index):
        found = colours.get(a)
        return found if found is not None else word(f"index {a.name} {a.serial}")
    if isinstance(a, Size):
        return word(f"size {a.name}")
    if isinstance(a, Entry):
        return hash((word(f"entry {a.name}"), *(poly_signature(p, colours) for p in a.at)))
    if isinstance(a, Floor):
        return hash((3, poly_signature(a.numerator, colours), poly_signature(a.denominator, colours)))
    if isinstance(a, Extreme):
        return hash((word(a.kind), sum(poly_signature(p, colours) for p in a.args)))
    raise TypeError(type(a).__name__)


def monomial_signature(m: Factors, colours: Colours) -> int:
    """The signature of a monomial."""
    total = 0
    for a, e in m:
        total += _mixed(a.coloured(colours), e)
    return hash((total, 5))


def expression_signature(terms: Terms, colours: Colours) -> int:
    """The signature of a frozen expression."""
    total = 0
    for m, c in terms:
        total += _mixed(monomial_signature(m, colours), c)
    return hash((total, 7))


def _both_signs(terms: Terms, colours: Colours) -> tuple[int, int]:
    """The signatures of an expression and of its negative."""
    up = down = 0
    for m, c in terms:
        s = monomial_signature(m, colours)
        up += _mixed(s, c)
        down += _mixed(s, -c)
    return hash((up, 7)), hash((down, 7))


def either_sign(terms: Terms, colours: Colours) -> int:
    """The signature that an expression and its negative have in common."""
    return sum(_both_signs(terms, colours))


def signed(terms: Terms) -> bool:
    """Whether the expression, rather than its negative, is the one that is kept."""
    up, down = _both_signs(terms, {})
    return up <= down


def factor_parts(m: Factors) -> list[Part]:
    """The factors of a monomial as what refinement looks at."""

    def part(a: Coloured, e: Number) -> Part:
        return a.free, lambda colours: hash((a.coloured(colours), e))

    return [part(a, e) for a, e in m]


def term_parts(terms: Terms) -> list[Part]:
    """The monomials of an expression as what refinement looks at."""

    def part(m: Factors, c: Number) -> Part:
        return frozenset[Index]().union(*(a.free for a, _ in m)), lambda colours: hash((monomial_signature(m, colours), c))

    return [part(m, c) for m, c in terms]


def refined(
    bound: Sequence[Index], parts: Sequence[Part], outer: Colours, start: Mapping[Index, int] | None = None
) -> dict[Index, int]:
    """Colours of the bound indices: refined by the parts that they stand in, until no more are told apart.

    Args:
        outer: colours of indices further out.
        start: colours to refine; without them each index starts with that of its size.
    """
    colours = dict(start) if start else {i: hash((poly_signature(i.size, outer), 1)) for i in bound}
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
            everything[i] = hash((own, 99))  # the index itself is told apart from others of its colour
            new[i] = hash((own, sum(hash((f(everything), 3)) for f in touching[i])))
            everything[i] = own
        now = len(set(new.values()))
        colours = new
        if now == kinds:
            break
        kinds = now
    return colours
