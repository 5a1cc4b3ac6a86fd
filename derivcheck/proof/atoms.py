"""What a normal form is a polynomial of: atoms, each of which is one object per meaning.

An *expression* is a dictionary ``monomial → coefficient``; a *monomial* is a frozen set of ``(atom, exponent)``
pairs with rational exponents; an *atom* is closed: the indices that a Σ inside binds bear canonical names, so two
equal sums are one atom.  Which kinds there are:

    element   name, positions            x[n, k]
    whole     a size, index or entry     N, i, ids[n] used as numbers
    equal     integer polynomial p       [p = 0]
    least     integer polynomial p       [p ≥ 0]
    above     expression u               [u > 0]
    root      a prime                    to a fractional power
    exp       monomial m                 e^m
    base      expression of many terms   to a negative or fractional power
    apply     function, expressions      tanh(u), log(u)
    sigma     bound indices, monomial    Σ, one connected component
    over      kind, bound, expression    Π, max, min, argmax, argmin
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from hashlib import blake2b
from typing import Any

from derivcheck.notation.integers.polynomials import Index, Poly, Size

Rational = int | Fraction
Monomial = frozenset[tuple["Atom", Rational]]
Expression = dict[Monomial, Rational]
Frozen = frozenset[tuple[Monomial, Rational]]

UNIT: Monomial = frozenset()
NOTHING: frozenset[Any] = frozenset()

# The size of an index that runs over all integers; brackets beside it say where.
EVERYWHERE = Size("ℤ")
BRACKETS = ("equal", "least", "above")


class Atom:
    """An indivisible factor; interned by its :class:`~derivcheck.proof.space.Space`.

    ``elements`` are the tensors whose elements it holds, ``names`` also those that stand in positions.
    """

    __slots__ = ("kind", "data", "free", "names", "elements", "height", "signature")
    kind: str
    data: tuple[Any, ...]
    free: frozenset[Index]
    names: frozenset[str]
    elements: frozenset[str]
    height: int
    signature: int

    def __repr__(self) -> str:
        from derivcheck.proof.spelling import atom_text

        return atom_text(self)


def frozen(expression: Expression) -> Frozen:
    """An expression as a value that can stand inside an atom."""
    return frozenset(expression.items())


def free_of(monomial: Iterable[tuple[Atom, Rational]]) -> frozenset[Index]:
    """The free indices of a monomial."""
    return NOTHING.union(*(a.free for a, _ in monomial))


def free_in(expression: Iterable[Monomial]) -> frozenset[Index]:
    """The free indices of an expression."""
    return NOTHING.union(*(a.free for m in expression for a, _ in m))


def elements_in(expression: Iterable[Monomial]) -> frozenset[str]:
    """The tensors whose elements stand in an expression, not those in positions."""
    return NOTHING.union(*(a.elements for m in expression for a, _ in m))


def height_of(monomial: Iterable[tuple[Atom, Rational]]) -> int:
    """How deep the sums inside are nested."""
    return max((a.height for a, _ in monomial), default=0)


def whole(value: Rational) -> bool:
    """Whether the number is an integer."""
    return isinstance(value, int) or value.denominator == 1


_words: dict[str, int] = {}


def word(text: str) -> int:
    """A number for a text, the same in each run."""
    found = _words.get(text)
    if found is None:
        found = _words[text] = int.from_bytes(blake2b(text.encode(), digest_size=7).digest(), "big")
    return found


def position_free(at: Iterable[Poly]) -> frozenset[Index]:
    """The indices in some positions."""
    return NOTHING.union(*(p.indices for p in at))
