"""What is drawn: a writer says what stands where, the ink (LaTeX, Unicode) how it looks."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from derivcheck.notation.integers.polynomials import Index
from derivcheck.notes.symbols.symbol import Symbol

SUM, PRODUCT, POWER, ATOM = range(4)  # how tightly text binds
Spelt = tuple[str, int]


class BoundOver(NamedTuple):
    """An index of Σ or its kin, its first and its last value, and whether what stands there tells them anyway."""

    letter: str
    first: str
    last: str
    told: bool


class Drawing:
    """Signs, and how what stands in them is put together."""

    times = " "  # between factors
    small_times = " "  # between factors of an integer expression
    slashed = False  # quotients stand on one line
    wrapped: str  # in round brackets
    magnitude: str  # the absolute value
    norm: str  # the length of a vector
    formula: str  # inside a sentence
    partial: str  # the derivative of one element in another
    floor: str  # of a quotient
    modulo: str  # the remainder of a division
    bracket: str  # Iverson's: left, relation, right
    relations: Mapping[str, str]
    runs: str  # how far an index runs: it, the first, the last, how many
    matrices: Mapping[str, str]  # what is made of a matrix; of an inverse, what stands around it
    elements_of: str  # a matrix by row, column and element

    def fraction(self, above: str, below: str, simple: bool) -> Spelt:
        """A quotient; ``simple`` where what stands below is one factor."""
        raise NotImplementedError

    def drawn(self, symbol: Symbol) -> str:
        """A symbol."""
        raise NotImplementedError

    def placed(self, symbol: str, subscripts: list[str], raised: list[str]) -> str:
        """A symbol with positions."""
        raise NotImplementedError

    def sum_over(self, indices: list[str]) -> str:
        """A sum sign over indices whose ranges are not written."""
        raise NotImplementedError

    def index(self, i: Index) -> str:
        """An index."""
        raise NotImplementedError

    def size_name(self, name: str) -> str:
        """A symbolic size."""
        raise NotImplementedError

    def raise_to(self, base: str, exponent: str) -> str:
        """A power."""
        raise NotImplementedError

    def root(self, text: str, whole: bool) -> Spelt:
        """A square root."""
        raise NotImplementedError

    def function(self, name: str, args: list[str]) -> Spelt:
        """A scalar function."""
        raise NotImplementedError

    def big(self, kind: str, bounds: list[BoundOver], body: str) -> str:
        """Σ and its kin."""
        raise NotImplementedError

    def extreme(self, kind: str, args: list[str]) -> str:
        """A maximum or minimum of integer expressions."""
        raise NotImplementedError

    def decimal(self, value: Fraction) -> Spelt:
        """A number that is not whole."""
        raise NotImplementedError

    def joined(self, parts: list[str]) -> str:
        """Factors side by side."""
        return self.times.join(parts)
