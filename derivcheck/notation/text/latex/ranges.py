"""Σ and its kin in LaTeX, and how far their indices run."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from derivcheck.notation.text.latex.applied import LatexFunctions
from derivcheck.notation.text.latex.conditions import RELATIONS
from derivcheck.notation.text.syntax import Application, Chain, Compare, Item, Num, Piece, Span


class LatexRanges(LatexFunctions):
    """Reads sums, products and extremes over indices."""

    def over(self, kind: str) -> Piece:
        """``\\sum_{i=1}^{N} …`` over what follows, up to the next sign; ``\\max(a, b)`` of numbers."""
        start = self.here
        if start.text == r"\operatorname":
            self.k = self.closing(self.k + 1) + 1
        else:
            self.k += 1 + (start.text == r"\arg")
        if kind in ("largest", "smallest"):
            arguments = self._arguments(kind, start.span)
            return Application(self.since(start.span), "max" if kind == "largest" else "min", tuple(map(self.item, arguments)))
        if not self.take("_"):
            raise self.unexpected(f"the indices of {self.source(start.span)}, as in {self.source(start.span)}_i")
        with self.deeper():
            env, keys = dict(self.env), self.keys
            items, conditions = self.bounds(start.span)
            body = self.numbered(self.product())
            if conditions:
                body = Chain(body.span, ("*",) * len(conditions), (*conditions, body))
            self.env, self.keys = env, keys
        return Application(self.since(start.span), kind, items, body)

    def bounds(self, start: Span) -> tuple[tuple[Piece, ...], list[Compare]]:
        """The indices below Σ, with their sizes where they are written, and the conditions on them."""
        begin, end = self.group()
        after = self.k
        relations = [k for k in range(begin, end) if self.tokens[k].text in RELATIONS]
        relation = relations[0] if relations else None
        if relation is not None and self.tokens[relation].text == r"\le" and len(relations) % 2 == 0:
            return self._between(begin, end, after), []
        if relation is None:
            self.k = begin
            items = self._letters(end)
            self.k = after
            if self.take("^"):
                raise self.fail(self.since(start), "found an upper bound without a lower one, expected both or none")
            return tuple(items), []
        if self.tokens[relation].text == "=":
            return self._from_to(begin, relation, end, after, start), []
        return self._restricted(begin, end, after)

    def _letters(self, end: int) -> list[Piece]:
        """Indices that are bound here, parted by commas or side by side."""
        found: list[Piece] = []
        while self.k < end:
            found.append(self.letter())
            self.take(",")
        return found

    def letter(self) -> Item:
        """An index that is bound here, perhaps with a label below it."""
        span = self.here.span
        if not self.starts_sign():
            raise self.unexpected("an index")
        s, _ = self.marked(self.nucleus())
        if self.take("_"):
            begin, end = self.group()
            s = replace(s, lowered="".join(t.text for t in self.tokens[begin:end]))
        return self.bind(s.index, self.since(span))

    def _from_to(self, begin: int, relation: int, end: int, after: int, start: Span) -> tuple[Piece, ...]:
        """``i = a`` below and ``b`` above: the index counts from a to b, both included."""
        self.k = relation + 1
        low = self.expression()
        if self.k != end:
            raise self.unexpected("'}' after a lower bound")
        self.k = after
        if not self.take("^"):
            raise self.fail(self.since(start), "found a lower bound without an upper one, expected both or none")
        high_begin, high_end = self.group()
        after, self.k = self.k, high_begin
        high = self.expression()
        if self.k != high_end:
            raise self.unexpected("'}' after an upper bound")
        self.k = begin
        names: list[tuple[str, Span]] = []
        while self.k < relation:
            at = self.here.span
            s, _ = self.marked(self.nucleus())
            names.append((s.index, self.since(at)))
            if self.k < relation:
                self.need(",")
        self.k = after
        return tuple(self._ranged(n, at, low, high) for n, at in names)

    def _ranged(self, index: str, at: Span, low: Piece, high: Piece) -> Item:
        """Bind an index that counts from low to high."""
        counted = isinstance(low, Num) and low.value == self.known.first
        span = (min(low.span[0], high.span[0]), max(low.span[1], high.span[1]))
        size = self._length(self.numbered(low, "as a bound"), self.numbered(high, "as a bound"), span)
        return self.bind(index, at, None if counted else low, size, counted)

    def _between(self, begin: int, end: int, after: int) -> tuple[Piece, ...]:
        """``0 \\le i \\le N-1`` below a sign, perhaps more than one, among letters alone."""
        self.k = begin
        found: list[Piece] = []
        while self.k < end:
            comma = next((k for k in range(self.k, end) if self.tokens[k].text == ","), end)
            if not any(t.text == r"\le" for t in self.tokens[self.k : comma]):
                found += self._letters(comma)
                continue
            low = self.expression()
            self.need(r"\le")
            at = self.here.span
            s, _ = self.marked(self.nucleus())
            span = self.since(at)
            relation = self.need(r"\le", "<")
            high = self.expression()
            if relation.text == "<":
                high = Chain(high.span, ("-",), (high, Num(high.span, Fraction(1))))
            found.append(self._ranged(s.index, span, low, high))
            self.take(",")
        if self.k != end:
            raise self.unexpected("',' or '}' after a range")
        self.k = after
        return tuple(found)

    def _length(self, low: Piece, high: Piece, span: Span) -> Piece:
        """How many whole numbers there are from low to high."""
        ahead = Chain(span, ("+",), (high, Num(span, Fraction(1))))
        if isinstance(low, Num):
            if low.value == 1:
                return high
            if (
                low.value == 0
                and isinstance(high, Chain)
                and high.operators == ("-",)
                and high.operands[1] == Num(high.operands[1].span, Fraction(1))
            ):
                return high.operands[0]
        return Chain(span, ("-",), (ahead, low))

    def _restricted(self, begin: int, end: int, after: int) -> tuple[tuple[Piece, ...], list[Compare]]:
        """``j \\ne i`` or ``j < i`` below Σ: the index that is not bound yet runs, where the condition holds."""
        self.k = begin
        new: list[tuple[str, Span]] = []
        while self.k < end:
            at = self.here.span
            if self.starts_sign() and self.tokens[self.k - 1].text != "_":
                s, _ = self.marked(self.nucleus())
                if s.index not in self.env and not self.known.named(self.naming(s)) and s.index not in (n for n, _ in new):
                    new.append((s.index, self.since(at)))
            else:
                self.k += 1
        span = (self.tokens[begin].span[0], self.tokens[end - 1].span[1])
        if len(new) != 1:
            found = ", ".join(n for n, _ in new) or "none"
            raise self.fail(span, f"found a condition below a sum that binds {found}; expected one index that is not bound yet")
        items = (self.bind(*new[0]),)
        self.k = begin
        conditions = []
        while True:
            condition = self.condition()
            if not isinstance(condition, Compare):
                raise self.fail(condition.span, "found no comparison below a sum")
            conditions.append(condition)
            if not self.take(","):
                break
        if self.k != end:
            raise self.unexpected("'}' after a condition")
        self.k = after
        return items, conditions
