"""Scalar functions in LaTeX, with their arguments."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from derivcheck.notation.text.latex.conditions import RELATIONS, LatexConditions
from derivcheck.notation.text.latex.functions import COMMANDS, FONTS, INVERSES, LETTERS, LOGARITHMS, LOWERED, SLOPES, WORDS
from derivcheck.notation.text.latex.signs import CLOSING
from derivcheck.notation.text.syntax import Application, Chain, Compare, Negative, Num, Piece, Power, Span

_BIG = {r"\sum": "sum", r"\prod": "prod", r"\max": "max", r"\min": "min"}
_ENDS = frozenset(
    (
        "+",
        "-",
        ")",
        "]",
        "}",
        r"\}",
        r"\rfloor",
        r"\rceil",
        r"\rVert",
        ",",
        ".",
        ";",
        ":",
        "&",
        r"\\",
        r"\bmod",
        r"\end{cases}",
        r"\land",
        *RELATIONS,
    )
)


class LatexFunctions(LatexConditions):
    """Reads functions of arguments."""

    def ended(self) -> bool:
        """Whether no further factor stands here."""
        opened = {"|": self.bars, r"\|": self.norms}
        return self.here.kind == "end" or self.here.text in _ENDS or opened.get(self.here.text, 0) > 0

    bars = norms = 0  # how many absolute values and norms are open that one sign opens and closes

    def big_here(self) -> str:
        """Σ and its kin, where one stands here with indices below."""
        t = self.here
        if t.text in (r"\sum", r"\prod"):
            return _BIG[t.text]
        if t.text in (r"\max", r"\min"):
            return _BIG[t.text] if self.tokens[self.k + 1].text == "_" else "largest" if t.text == r"\max" else "smallest"
        if t.text == r"\arg":
            return {r"\max": "argmax", r"\min": "argmin"}.get(self.tokens[self.k + 1].text, "")
        if t.text == r"\operatorname" and self.tokens[self.k + 1].text == "{":
            end = self.closing(self.k + 1)
            word = "".join(x.text for x in self.tokens[self.k + 2 : end]).replace("\\", "")
            return word if word in ("argmax", "argmin") else ""
        return ""

    def applied(self) -> tuple[Piece, Piece | None] | None:
        """A scalar function of arguments, with its exponent (``\\tanh^2(x)``); None where none stands here."""
        start = self.here.span
        before = self.k
        name = self._function_name()
        if not name:
            self.k = before
            return None
        exponent: Piece | None = None
        while True:
            if self.take("_"):
                name = self._lowered(name, start)
            elif self.take("'"):
                name = self._variant(SLOPES, name, start, "'")
            elif self.at("^"):
                self.k += 1
                before_exponent = self.k
                begin, end = self.group()
                inside = "".join(t.text for t in self.tokens[begin:end])
                after = self.k
                if inside == "-1":
                    name = self._variant(INVERSES, name, start, "^{-1}")
                elif name == "digamma" and inside.startswith("("):
                    self.k = begin
                    return self._polygamma(start, after), None
                elif name in ("i0", "i1") and inside == "e":
                    name += "e"
                else:
                    self.k = before_exponent
                    exponent = self.exponent()
            else:
                break
        arguments = self._arguments(name, start)
        return self.function(name, arguments, self.since(start)), exponent

    def _function_name(self) -> str:
        """The function whose name stands here, which is then behind; "" where none does."""
        t = self.here
        if t.text in COMMANDS:
            self.k += 1
            name = COMMANDS[t.text]
            if name == "log" and self.at(r"\Gamma", r"\Phi", r"\sigma") and self._parenthesis_after(self.k + 1):
                inner = {r"\Gamma": "Gamma", r"\Phi": "normal", r"\sigma": "sigmoid"}[self.here.text]
                if not self.known.named(self.here.text[1:]):
                    self.k += 1
                    return LOGARITHMS[inner]
            return name
        if t.text == r"\Pr" or not self.starts_sign():
            return ""
        greek = self._greek(t)
        letter = greek or (t.text if t.text == "I" else "")
        if letter in LETTERS and not self.known.named(letter) and self._parenthesis_after(self.k + 1):
            self.k += 1
            return LETTERS[letter]
        if letter == "I" and self.tokens[self.k + 1].text == "_" and not self.known.named("I"):
            number = self.tokens[self.k + 2].text
            if ("I", number) in LOWERED and self._parenthesis_after(self.k + 3):
                self.k += 3
                return LOWERED["I", number]
        if t.text not in FONTS or FONTS[t.text] or t.text == r"\mathit":  # a word in italics is a name
            return ""
        s = self.nucleus()
        if s.base.lower() not in WORDS or self.known.named(self.naming(s)) or s.index in self.env:
            return ""
        return WORDS[s.base.lower()]

    def _parenthesis_after(self, k: int) -> bool:
        """Whether an argument in parentheses follows, perhaps after an exponent."""
        while self.tokens[k].text in ("^", "'"):
            k += 1
            if self.tokens[k].text == "{":
                k = self.closing(k)
            k += self.tokens[k - 1].text != "'" if self.tokens[k].text != "(" else 0
        return self.tokens[k].text in ("(", "[", r"\{")

    def _lowered(self, name: str, start: Span) -> str:
        begin, end = self.group()
        inside = "".join(t.text for t in self.tokens[begin:end]).lstrip("\\")
        if (name, inside) not in LOWERED:
            raise self.fail(self.since(start), f"there is no function {self.source(self.since(start))!r}")
        return LOWERED[name, inside]

    def _variant(self, table: Mapping[str, str], name: str, start: Span, mark: str) -> str:
        """The function that ``f^{-1}`` or ``f'`` is, where it has a name of its own."""
        if name not in table:
            what = "which may be a reciprocal or an inverse function" if mark != "'" else "a derivative"
            shown = self.source(self.since(start))
            raise self.fail(self.since(start), f"found {shown!r}, {what}; expected \\frac{{1}}{{…}} or a formula")
        return table[name]

    def _polygamma(self, start: Span, after: int) -> Piece:
        self.take("(")
        order = self.expression()
        self.need(")")
        self.k = after
        (argument,) = self._arguments("polygamma", start)
        return Application(self.since(start), "polygamma", (self.item(order), self.item(argument)))

    def _arguments(self, name: str, start: Span) -> list[Piece]:
        """Arguments in brackets, or one factor without."""
        opening = self.take("(", "[", r"\{", "{")
        if opening is not None:
            bars, self.bars = self.bars, 0
            found = [self.expression()]
            while self.take(","):
                found.append(self.expression())
            self.bars = bars
            self.need(CLOSING[opening.text])
            return found
        if self.ended() or self.at(r"\cdot", "/"):
            raise self.unexpected(f"the argument of {self.source(self.since(start))}")
        if self.big_here():
            return [self.factor()]
        found = [self.factor()]
        if not self.ended():
            what = f"found a factor after {self.source(self.since(start))!r}, which may or may not belong to the function"
            raise self.fail(self.here.span, f"{what}; expected parentheses around its argument")
        return found

    def function(self, name: str, arguments: list[Piece], span: Span) -> Piece:
        """A function by its name in index text; some are written in others."""
        items = tuple(map(self.item, arguments))
        one = {"relu", "abs", "sign", "sqrt", "normal", "log", "exp"}
        if name in one and len(arguments) != 1:
            raise self.fail(span, f"{name} takes 1 argument, found {len(arguments)}")
        x, zero, half = arguments[0], Num(span, Fraction(0)), Num(span, Fraction(1, 2))
        if name == "relu":
            return Chain(span, ("*",), (Compare(span, (">",), (x, zero)), x))
        if name == "abs":
            return self.magnitude(x, span)
        if name == "sign":
            return Chain(span, ("-",), (Compare(span, (">",), (x, zero)), Compare(span, ("<",), (x, zero))))
        if name == "sqrt":
            return Power(span, x, half)
        if name == "normal":
            root = Power(span, Num(span, Fraction(2)), half)
            inner = Chain(span, ("/",), (Negative(span, x), root))
            return Chain(span, ("*",), (half, Application(span, "erfc", (self.item(inner),))))
        return Application(span, name, items)
