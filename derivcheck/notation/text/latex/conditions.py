"""Conditions in LaTeX: brackets, indicators, Kronecker's delta and cases."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from derivcheck.notation.text.latex.functions import FONTS
from derivcheck.notation.text.latex.positions import LatexPositions
from derivcheck.notation.text.latex.signs import CLOSING
from derivcheck.notation.text.syntax import Chain, Compare, Item, Num, Piece, Span

RELATIONS = {"=": "==", r"\ne": "!=", r"\le": "<=", r"\ge": ">=", "<": "<", ">": ">"}
TURNED = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


class LatexConditions(LatexPositions):
    """Reads conditions, as numbers that are 1 or 0."""

    bars = 0  # how many absolute values are open

    @staticmethod
    def item(n: Piece) -> Item:
        """An argument."""
        return Item(n.span, n)

    def iverson(self) -> Piece:
        """``[a = b]``; square brackets without a relation are parentheses."""
        start = self.here
        self.k += 1
        found = self.condition()
        self.need(CLOSING[start.text])
        return replace(found, span=self.since(start.span)) if isinstance(found, Compare) else found

    def condition(self) -> Piece:
        """A comparison, or an expression where there is no relation."""
        bars, self.bars = self.bars, 0
        sides = [self.expression()]
        relations = []
        while relation := self.take(*RELATIONS):
            relations.append(RELATIONS[relation.text])
            sides.append(self.expression())
        self.bars = bars
        if not relations:
            return sides[0]
        return Compare((sides[0].span[0], sides[-1].span[1]), tuple(relations), self.compared(sides))

    def _one_here(self) -> bool:
        """Whether an indicator starts here: a 1 in bold or blackboard."""
        words = [t.text for t in self.tokens[self.k : self.k + 4]]
        one = ("1", "I") if words[0] == r"\mathbb" else ("1",)
        return FONTS.get(words[0], "") != "" and (words[1] in one or words[1] == "{" and words[2] in one and words[3] == "}")

    def indicator(self) -> Piece:
        """``\\mathbf{1}[a = b]``, ``\\mathbb{1}\\{a = b\\}`` or ``\\mathbf{1}_{a = b}``."""
        start = self.here
        self.k += 2 if self.tokens[self.k + 1].text != "{" else 4
        if self.take("_"):
            begin, end = self.group()
            after, self.k = self.k, begin
            found = self.iverson() if self.at(r"\{", "[", "(") else self.condition()
            if self.k != end:
                raise self.unexpected("'}' after a condition")
            self.k = after
        elif self.at("[", "(", r"\{"):
            found = self.iverson()
        else:
            raise self.unexpected("a condition in brackets after an indicator")
        if not isinstance(found, Compare):
            raise self.fail(self.since(start.span), "found an indicator without a comparison, expected one such as [i = j]")
        return replace(found, span=self.since(start.span))

    def kronecker(self) -> Piece:
        """``\\delta_{ij}``: 1 where both are equal."""
        start = self.here
        self.k += 2
        begin, end = self.group()
        after, self.k = self.k, begin
        commas, operators = self._top_level(begin, end)
        sides: list[Piece] = []
        while self.k < end:
            sides.append(self.expression() if commas or operators else self._unit())
            if self.k < end and (commas or operators):
                self.need(",")
        self.k = after
        if len(sides) != 2:
            raise self.fail(self.since(start.span), f"found {len(sides)} indices below \\delta, expected two")
        return Compare(self.since(start.span), ("==",), self.compared(sides))

    def _unit(self) -> Piece:
        return self._number() if self.here.kind == "number" else self.element()[0]

    def cases(self) -> Piece:
        """``\\begin{cases} a & if c \\\\ b & otherwise \\end{cases}``: what holds first is taken."""
        start = self.here
        self.k += 1
        before: list[list[Compare]] = [[]]  # in which ways no condition has held so far
        addends: list[Piece] = []
        while not self.take(r"\end{cases}"):
            value = self.expression()
            self.take(",")
            self.need("&")
            conditions = self._case()
            for ways in before:
                addends.append(self._selected(value, [*ways, *conditions]))
            before = [[*ways, *c] for ways in before for c in negations(conditions)]
            if not self.take(r"\\") and not self.at(r"\end{cases}"):
                raise self.unexpected(r"'\\' or '\end{cases}'")
        span = self.since(start.span)
        if before:
            raise self.fail(span, r"found cases that say nothing of the rest; expected a last line '& \text{otherwise}'")
        return Chain(span, ("+",) * (len(addends) - 1), tuple(addends)) if len(addends) > 1 else addends[0]

    @staticmethod
    def _selected(value: Piece, conditions: list[Compare]) -> Piece:
        return Chain(value.span, ("*",) * len(conditions), (*conditions, value)) if conditions else value

    def _case(self) -> list[Compare]:
        """The conditions of a case; none for the last one."""
        found: list[Compare] = []
        while True:
            word = self._said()
            if word in ("otherwise", "else"):
                self.take(".", ",")
                return found
            condition = self.condition()
            if not isinstance(condition, Compare):
                raise self.fail(condition.span, r"found no comparison, expected a condition or \text{otherwise}")
            found.append(condition)
            if self.take(",") or self.at(r"\land", r"\text", r"\mathrm") and not self.at(r"\\"):
                if self.at(r"\\", r"\end{cases}"):
                    return found
                self.take(r"\land")
                continue
            self.take(".")
            return found

    def _said(self) -> str:
        """The words in ``\\text{if }``."""
        words = ""
        while self.at(r"\text", r"\mathrm", r"\textrm", r"\operatorname"):
            begin = self.k + 1
            if self.tokens[begin].text != "{":
                break
            end = self.closing(begin)
            inside = self.text[self.tokens[begin].span[1] : self.tokens[end].span[0]].strip().lower()
            if inside not in ("if", "for", "when", "where", "and", "otherwise", "else"):
                break
            words = inside
            self.k = end + 1
        return words

    @staticmethod
    def magnitude(inner: Piece, span: Span) -> Piece:
        """The absolute value of a number."""
        zero = Num(span, Fraction(0))
        above, below = Compare(span, (">",), (inner, zero)), Compare(span, ("<",), (inner, zero))
        return Chain(span, ("*",), (Chain(span, ("-",), (above, below)), inner))


def negations(conditions: list[Compare]) -> list[list[Compare]]:
    """The ways in which not all conditions hold, each of which excludes the others."""
    single = [Compare(c.span, (r,), (a, b)) for c in conditions for r, a, b in zip(c.relations, c.sides, c.sides[1:])]
    return [[*single[:k], replace(c, relations=(TURNED[c.relations[0]],))] for k, c in enumerate(single)]
