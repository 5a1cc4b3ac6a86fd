"""Lines of LaTeX as definitions, in the syntax trees of index text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction

from derivcheck.errors import NotationError
from derivcheck.notation.program.definitions import Input
from derivcheck.notation.text import limits
from derivcheck.notation.text.latex.expressions import LatexTerms
from derivcheck.notation.text.latex.scope import BoundLetter, Vocabulary
from derivcheck.notation.text.syntax import Define, Item, Num, Piece, Span, bounded

_MARKS = re.compile(r"\s*(?:\$\$?|\\\[|\\\()(.*?)(?:\$\$?|\\\]|\\\))\s*", re.S)


def is_latex(text: str) -> bool:
    """Whether text is LaTeX: it has what index text never has, a backslash, a brace or a dollar.

    >>> is_latex("y[n] := x[n]"), is_latex("$y_n = x_n$"), is_latex("y_{n} = x_{n}")
    (False, True, True)
    """
    return any(c in text for c in "\\{$")


def read_latex(text: str, tensors: Iterable[Input], closed: bool) -> list[Define]:
    """The definitions of LaTeX, one an equation, parted by ``\\\\\\\\``.

    Args:
        tensors: what is known of the tensors that it reads.
        closed: it reads no others.

    Raises:
        NotationError: what cannot be read, or could be read in two ways; the message shows the place.
    """
    reader = LatexEquations(_without_dollars(text), Vocabulary.of(tensors, closed))
    found = reader.definitions()
    bounded(text, list(found), ": name parts in definitions of their own")
    return found


def _without_dollars(text: str) -> str:
    """The text with blanks for what only says that it is mathematics, so that places stay."""

    def blank(m: re.Match[str]) -> str:
        inside = m.span(1)
        return " " * (inside[0] - m.start()) + m[1] + " " * (m.end() - inside[1])

    return _MARKS.sub(blank, text) if _MARKS.fullmatch(text) else text


class LatexEquations(LatexTerms):
    """Reads equations."""

    def definitions(self) -> list[Define]:
        """All equations, their left sides first: they say which names are definitions."""
        self.known.first = self._first() if self.known.first is None else self.known.first
        starts = self._starts()
        heads = [self._head(k) for k in starts]
        if not heads:
            raise NotationError(
                f"the text defines nothing; expected an equation such as 'y_n = x_n^2', "
                f"found {limits.shortened(self.text.strip(), 80)!r}"
            )
        names = [name for _, name, _, _ in heads]
        for name, (_, _, items, _) in zip(names, heads):
            self.known.ranks[name] = len(items)
        return [self._definition(*head) for head in heads]

    def _first(self) -> int | None:
        """From where the text counts, as the lower bounds of its sums and its ranges say."""
        found: dict[int, Span] = {}
        for k, t in enumerate(self.tokens[:-2]):
            low = self.tokens[k + 1]
            ends = self.tokens[k + 2].text
            is_range = ends == "," and self.tokens[k + 3].text == r"\ldots"
            bound = ends == "}" and self.tokens[k + 3].text == "^"
            if t.text == "=" and low.kind == "number" and (is_range or bound):
                found.setdefault(int(Fraction(low.text)), low.span)
            if t.text == "{" and low.kind == "number" and ends == r"\le":
                found.setdefault(int(Fraction(low.text)), low.span)
        if 0 in found and 1 in found:
            raise self.fail(
                max(found[0], found[1]),
                "found indices that count from 0 beside indices that count from 1, so that positions could mean either; "
                "expected all to count from one of them",
            )
        return 0 if 0 in found else 1 if 1 in found else None

    def _starts(self) -> list[int]:
        """The token that each equation starts with."""
        starts = []
        depth = 0
        fresh = True
        for k, t in enumerate(self.tokens):
            depth += (t.text in ("{", r"\begin{cases}")) - (t.text in ("}", r"\end{cases}"))
            if depth == 0 and t.text in (r"\\", ";"):
                fresh = True
            elif fresh and t.kind != "end" and t.text != "&":
                starts.append(k)
                fresh = False
        return starts

    def _head(self, k: int) -> tuple[int, str, tuple[Item, ...], Span]:
        """The left side that starts at a token: where its right side starts, the name and the indices."""
        self.k, self.env, self.keys, self.binding = k, {}, set(), True
        span = self.here.span
        if not self.starts_sign() and not self.at(r"\frac", r"\partial"):
            raise self.unexpected("the name that is defined")
        name, items = self._defined()
        self.binding = False
        self.take("&")
        if not self.at("="):
            raise self.unexpected("'=' after what is defined")
        self.k += 1
        self.take("&")
        return self.k, name, items, self.since(span)

    def _defined(self) -> tuple[str, tuple[Item, ...]]:
        """The name and the indices of a left side."""
        if self.at(r"\frac", r"\partial"):
            opening = self.at(r"\frac")
            self.k += 1
            for word in ["{", r"\partial"] if opening else []:
                self.need(word)
            self.element()
            for word in ["}", "{", r"\partial"] if opening else ["/", r"\partial"]:
                self.need(word)
            name, inner = self._defined()
            if opening:
                self.need("}")
            return f"{name}_bar", inner
        start = self.here.span
        s, raised = self.marked(self.nucleus())
        items = [self.bind(i, at) for i, at in raised]
        if self.take("_"):
            begin, end = self.group()
            after, self.k = self.k, begin
            s, begin = self._labels(s, begin, end, self.since(start))
            self.k = begin
            while self.k < end:
                at = self.here.span
                if not self.starts_sign():
                    raise self.fail(
                        at, f"found {self.here.text!r} on the left of '=', expected an index: every element is defined at once"
                    )
                items.append(self._index(end))
            self.k = after
            more, again = self.marked(s)
            s = more
            items = [*(self.bind(i, at) for i, at in again), *items]
        if self.at("^", "_"):
            raise self.unexpected("'='")
        return self.called(s, self.since(start)), tuple(items)

    def _index(self, end: int) -> Item:
        """One index of a left side, which is bound by it."""
        before = set(self.env)
        item = self.letter()
        if set(self.env) == before:
            raise self.fail(item.span, f"the index {self.source(item.span)} stands twice on the left")
        if self.k > end or self.k < end and not (self.at(",") or self.starts_sign()):
            what = "on the left of '=', expected plain indices: h_i = … h_{i-1}, not h_{i+1} = … h_i"
            raise self.fail(self.here.span, f"found {self.here.text!r} {what}")
        self.take(",")
        return item

    def _definition(self, k: int, name: str, items: tuple[Item, ...], span: Span) -> Define:
        """One equation."""
        self.k = k
        self.env = {x.value.name: BoundLetter(x.value.name) for x in items}  # type: ignore[attr-defined]
        self.keys = set(self.env)
        body = self.numbered(self.expression())
        while self.here.text in (",", ".", "&"):
            self.k += 1
        items = self._ranges(items)
        if self.here.kind != "end" and self.here.text not in (r"\\", ";"):
            if self.at("="):
                raise self.fail(self.here.span, r"found a second '=' in one equation; expected '\\' between equations")
            raise self.unexpected(r"the end of the equation, '\\'")
        return Define(span, name, items, body)

    def _ranges(self, items: tuple[Item, ...]) -> tuple[Item, ...]:
        """``n = 0, \\ldots, N-1`` after an equation: the sizes of its indices."""
        found = dict(enumerate(items))
        while True:
            word = self._said()
            if not word and not (self.starts_sign() or self.at(r"\forall")):
                return tuple(found.values())
            self.take(r"\forall")
            at = self.here.span
            s, _ = self.marked(self.nucleus())
            place = next((p for p, x in found.items() if x.value.name == s.index), None)  # type: ignore[attr-defined]
            if place is None:
                raise self.fail(self.since(at), f"found a range of {s.index!r}, which is no index of the left side")
            if self.take("="):
                low, high = self._range()
                size = self._length(self.numbered(low, "as a bound"), self.numbered(high, "as a bound"), self.since(at))
                first = self.known.first
                if not isinstance(low, Num) or low.value != first:
                    raise self.fail(low.span, f"found a range that starts elsewhere than at {first}, where positions start")
                found[place] = Item(found[place].span, found[place].value, size)
            while self.take(",", "."):
                pass

    def _range(self) -> tuple[Piece, Piece]:
        """``0, \\ldots, N-1`` or ``1, 2, \\ldots, N``."""
        low = self.expression()
        self.need(",")
        if not self.at(r"\ldots"):
            self.expression()
            self.need(",")
        self.need(r"\ldots")
        self.need(",")
        return low, self.expression()
