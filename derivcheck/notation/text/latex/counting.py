"""Indices as a text counts them, from 0 or from 1, and as index text does, from 0."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from derivcheck.errors import NotationError
from derivcheck.notation.text import limits
from derivcheck.notation.text.latex.scope import BoundLetter, Vocabulary, drift
from derivcheck.notation.text.syntax import Application, At, Chain, Compare, Item, Name, Num, Piece, Span, changed, complaint


class Counting:
    """The indices that are bound at a place of a text."""

    def __init__(self, text: str, known: Vocabulary) -> None:
        """No index is bound yet."""
        self.text, self.known = text, known
        self.env: dict[str, BoundLetter] = {}
        self.keys: set[str] = set()  # the indices that count as positions do

    def fail(self, span: Span, what: str, kind: type[NotationError] = NotationError) -> NotationError:
        """The complaint about a place."""
        return complaint(self.text, span, what, kind)

    def source(self, span: Span) -> str:
        """The text of a place."""
        return self.text[span[0] : span[1]]

    def bind(self, index: str, span: Span, low: Piece | None = None, size: Piece | None = None, counted: bool = True) -> Item:
        """Bind an index from here on."""
        if not index.isidentifier():
            raise self.fail(span, f"found {limits.shortened(self.source(span))!r} where an index is bound, expected a letter")
        self.env[index] = BoundLetter(index, low, counted)
        self.keys = {b.key for b in self.env.values() if b.counted}
        return Item(span, Name(span, index), size)

    def value(self, index: str, span: Span) -> Piece:
        """An index, counted from 0 where it counts as positions do."""
        bound = self.env[index]
        key = Name(span, bound.key)
        return key if bound.low is None else Chain(span, ("+",), (key, bound.low))

    def counted(self, n: Piece) -> Piece:
        """A position, of indices that count from 0, where it is written as the text counts."""
        first = self.known.first
        if isinstance(n, Name) and n.name not in {b.key for b in self.env.values()} and not self.known.named(n.name):
            shown = self.source(n.span)
            raise self.fail(n.span, f"the index {shown} is bound neither on the left of '=' nor by a sum")
        if first == 0 or self.drift(n) == 1:
            return n
        if first is None:
            raise self.uncounted(n, "as a position")
        if isinstance(n, Num) and n.value >= first:
            return Num(n.span, n.value - first)
        return Chain(n.span, ("-",), (self.numbered(n, "in a position"), Num(n.span, Fraction(first))))

    def drift(self, n: Piece) -> int | None:
        """See :func:`~derivcheck.notation.text.latex.scope.drift`."""
        return drift(n, {b.key: b for b in self.env.values()}, self.known.integers)

    def numbered(self, n: Piece, where: str = "as a number") -> Piece:
        """With each index that counts from 0 as the number that the text means by it.

        Positions and conditions are left: they are counted already.
        """
        first = self.known.first
        if first == 0 or isinstance(n, (At, Compare)):
            if first and where != "as a number" and self._entry(n):
                what = "in a position, and indices count from 1; expected the integers alone, or indices that count from 0"
                raise self.fail(n.span, f"found {limits.shortened(self.source(n.span))!r} {what}")
            return n
        if isinstance(n, Name):
            if n.name not in self.keys:
                return n
            if first is None:
                raise self.uncounted(n, where)
            return Chain(n.span, ("+",), (n, Num(n.span, Fraction(first))))
        if isinstance(n, Application) and n.body is not None:  # read already, where its indices were bound
            return n
        return changed(n, lambda inner: self.numbered(inner, where))

    def uncounted(self, n: Piece, where: str) -> NotationError:
        """The complaint that nothing says from where positions are counted."""
        what = f"found {limits.shortened(self.source(n.span))!r} {where}, and nothing says whether indices count from 0 or 1; "
        return self.fail(
            n.span, what + r"expected a range such as \sum_{i=1}^{N}, or ', \quad n = 0, \ldots, N-1' after the formula"
        )

    def _entry(self, n: Piece) -> bool:
        """Whether it is an element of an integer tensor, which is a position as it is."""
        return isinstance(n, (At, Name)) and n.name in self.known.integers

    def compared(self, sides: Sequence[Piece]) -> tuple[Piece, ...]:
        """The sides of a condition; where it asks only how far indices are apart, they may count from anywhere."""
        drifts = [self.drift(x) for x in sides]
        if None not in drifts and len(set(drifts)) == 1:
            return tuple(sides)
        self._no_entries(sides)
        return tuple(self.numbered(x, "in a condition") for x in sides)

    def _no_entries(self, sides: Sequence[Piece]) -> None:
        """Refuse integers compared with numbers and indices at once, where indices count from 1."""
        if not self.known.first or not any(self.drift(x) for x in sides):
            return
        for x in sides:
            for part in x.operands if isinstance(x, Chain) else (x,):
                if self._entry(part) and len([y for y in sides if self.drift(y)]) > 1:
                    what = "in a condition on indices that count from 1; expected indices that count from 0"
                    raise self.fail(part.span, f"found {self.source(part.span)!r} {what}")
