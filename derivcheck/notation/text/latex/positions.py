"""What stands below a letter: a label, or positions, which may run together (``W_{jk}``) where the rank tells them apart."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from derivcheck.notation.text import limits
from derivcheck.notation.text.latex.signs import CLOSING, DrawnName, LatexSigns
from derivcheck.notation.text.syntax import At, Chain, Item, Name, Num, Piece, Span


class LatexPositions(LatexSigns):
    """Reads elements: a sign with what stands below it and above it."""

    def expression(self) -> Piece:
        """A sum of products; by the class that reads terms."""
        raise NotImplementedError

    def called(self, s: DrawnName, span: Span) -> str:
        """The name of a sign; refused where another font has it."""
        name = self.naming(s)
        font, before = self.fonts.setdefault(name, (s.font, span))
        if font != s.font:
            raise self.fail(
                span,
                f"found {self.source(span)!r} beside {self.source(before)!r}, and both would be called {name!r}; expected "
                "another letter for one of them",
            )
        return name

    def element(self) -> tuple[Piece, Piece | None]:
        """A sign with its positions, and the exponent where one stands between: ``x^2_i``."""
        start = self.here.span
        s, raised = self.marked(self.nucleus())
        span = self.since(start)
        exponent: Piece | None = None
        if self.at("^") and self._below_follows():
            self.k += 1
            exponent = self.exponent()
        if not self.at("_"):
            return self.placed(s, [], raised, span), exponent
        self.k += 1
        begin, end = self.group()
        span = self.since(start)
        s, raised = self._raised_after(s, raised)
        if self.at("_"):
            raise self.fail(self.here.span, "found a second '_'; expected all positions below one letter in one pair of braces")
        after, self.k = self.k, begin
        s, begin = self._labels(s, begin, end, span)
        places = self.places(s, (begin, end), len(raised), span) if begin < end else []
        self.k = after
        return self.placed(s, places, raised, self.since(start)), exponent

    def product(self) -> Piece:
        """Factors side by side; by the class that reads terms."""
        raise NotImplementedError

    def factor(self) -> Piece:
        """One factor; by the class that reads terms."""
        raise NotImplementedError

    def exponent(self) -> Piece:
        """What stands above, as a number; by the class that reads terms."""
        raise NotImplementedError

    def _below_follows(self) -> bool:
        start = self.k
        self.k += 1
        try:
            self.group()
            return self.at("_")
        finally:
            self.k = start

    def _raised_after(self, s: DrawnName, raised: list[tuple[str, Span]]) -> tuple[DrawnName, list[tuple[str, Span]]]:
        """What stands above and is written after what stands below: ``x_i^{(n)}``."""
        again, more = self.marked(s)
        return again, [*raised, *more]

    def _labels(self, s: DrawnName, begin: int, end: int, span: Span) -> tuple[DrawnName, int]:
        """The labels that lead what stands below: a name that is known with them, or a word that is nothing else."""
        whole = self._as_label(begin, end)
        if whole:
            labelled = replace(s, lowered=whole)
            known = self.known.named(self.naming(labelled)) or labelled.index in self.env
            element = self.known.ranks.get(self.naming(s), 0) > 0
            if known and element:
                raise self.fail(
                    span,
                    f"{self.source(span)!r} may be the name {labelled.name!r} or an element of {s.name!r}; expected another "
                    "letter for one of them",
                )
            if known:
                return labelled, end
        self.k = begin
        while self.k < end and self.starts_sign():
            inner, _ = self.marked(self.nucleus())
            if (
                not inner.word
                or inner.index in self.env
                or self.known.named(self.naming(inner))
                or self.at("_")
                or self.binding
            ):
                break
            s = replace(s, labels=(*s.labels, inner.name))
            self.take(",")
            begin = self.k
        return s, begin

    def _as_label(self, begin: int, end: int) -> str:
        """The group below a letter as one label; "" where it is more than letters and digits."""
        words = []
        self.k = begin
        while self.k < end:
            if self.here.kind == "number" and self.here.text.isdecimal():
                words.append(self.here.text)
                self.k += 1
            elif self.starts_sign():
                words.append(self.marked(self.nucleus())[0].index)
            else:
                return ""
        return "".join(words)

    # -- positions ------------------------------------------------------------------------
    def places(self, s: DrawnName, group: tuple[int, int], above: int, span: Span) -> list[Piece]:
        """The positions in a group; those that run together are told apart by the rank, of which ``above`` stand above."""
        rank = self.known.ranks.get(self.called(s, span))
        rank = None if rank is None else rank - above
        begin, end = group
        commas, operators = self._top_level(begin, end)
        self.k = begin
        whole = (self.tokens[begin].span[0], self.tokens[end - 1].span[1])
        if commas or operators:
            found = [self.position()]
            while self.k < end and self.take(","):
                found.append(self.position())
            if self.k != end:
                raise self.unexpected("',' or '}' between positions")
            if rank is not None and rank > 1 and not commas:
                what = f"below a letter of {rank + above} dimensions; expected ',' between positions"
                raise self.fail(whole, f"found {limits.shortened(self.source(whole))!r} {what}")
            return found
        return self._run_together(s, end, rank, whole)

    def _run_together(self, s: DrawnName, end: int, rank: int | None, whole: Span) -> list[Piece]:
        """Letters and digits side by side: as many positions as there are, or one product where the rank is one."""
        found: list[Piece] = []
        while self.k < end:
            found.append(self._number() if self.here.kind == "number" else self.element()[0])
        shown = limits.shortened(self.source(whole))
        if rank is None and any(isinstance(n, Num) for n in found):
            what = (
                f"below {s.name!r}, whose dimensions are not known; expected ',' between positions, or dims={{{s.name!r}: …}}"
            )
            raise self.fail(whole, f"found {shown!r} {what}")
        if len(found) > 1 and rank == 1:
            return [self.counted(Chain(whole, ("*",) * (len(found) - 1), tuple(found)))]
        digits = [d for n in found for d in self._digits(n)]
        if rank is not None and rank == len(digits) != len(found):  # w_{12}, an element of a matrix
            found = digits
        return [self.counted(x) for x in found]

    def _digits(self, n: Piece) -> list[Piece]:
        """The digits of a number, each a number; another node as it is."""
        if not isinstance(n, Num):
            return [n]
        text = self.source(n.span)
        return [Num((n.span[0] + k, n.span[0] + k + 1), Fraction(c)) for k, c in enumerate(text)] if text.isdecimal() else [n]

    def _number(self) -> Piece:
        t = self.here
        self.k += 1
        return Num(t.span, Fraction(t.text))

    def _top_level(self, begin: int, end: int) -> tuple[bool, bool]:
        """Whether commas, and whether signs of arithmetic stand in a group, not inside brackets or further down."""
        commas = operators = False
        depth = 0
        for k in range(begin, end):
            word = self.tokens[k].text
            if word in CLOSING.values():
                depth -= 1
            elif word in CLOSING:
                operators = operators or not depth and word != "{"
                depth += 1
            elif not depth:
                commas = commas or word == ","
                operators = operators or word in ("+", "-", r"\cdot", "/", r"\bmod", r"\frac", r"\max", r"\min", "^")
        return commas, operators

    def position(self) -> Piece:
        """A position as it is written, made to count from 0."""
        return self.counted(self.expression())

    def placed(self, s: DrawnName, places: list[Piece], raised: list[tuple[str, Span]], span: Span) -> Piece:
        """A name with its positions; an index or a number without."""
        if not places and not raised:
            if s.index in self.env:
                return self.value(s.index, span)
            return Name(span, self.called(s, span))
        name = self.called(s, span)
        above: list[Piece] = [Name(at, self.env[i].key) for i, at in raised]
        self.seen(name, len(above) + len(places), span)
        return At(span, name, tuple(Item(p.span, p) for p in (*above, *places)))

    def seen(self, name: str, count: int, span: Span) -> None:
        """Note with how many positions a name stands, where nothing else tells."""
        if not self.known.closed:
            self.known.ranks.setdefault(name, count)
