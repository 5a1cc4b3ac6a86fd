"""LaTeX as terms: sums, products, quotients, powers, functions, brackets and sums over indices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from derivcheck.notation.text.latex.conditions import LatexConditions
from derivcheck.notation.text.latex.matrices import LatexMatrices
from derivcheck.notation.text.latex.signs import CLOSING
from derivcheck.notation.text.syntax import (
    Application,
    At,
    Chain,
    Name,
    Negative,
    Num,
    Piece,
    Power,
    Span,
)

_ADVICE = "expected parentheses that say which is meant"


class LatexTerms(LatexMatrices):
    """Reads terms into the syntax tree of index text."""

    # -- sums and products ------------------------------------------------------------------
    def expression(self) -> Piece:
        """Addends with their signs; or a remainder, ``a \\bmod b``."""
        with self.deeper():
            start = self.here.span
            sign = self.take("-", "+")
            first = self.product()
            if sign is not None and sign.text == "-":
                first = Negative(self.since(sign.span), first)
            if self.at(r"\bmod"):
                return self._remainder(first)
            operators, operands = [], [first]
            while operator := self.take("+", "-"):
                operators.append(operator.text)
                operands.append(self.product())
            if self.at(r"\bmod"):
                raise self.fail(self.here.span, rf"found \bmod after a sum; {_ADVICE}")
            return Chain(self.since(start), tuple(operators), tuple(operands)) if operators else first

    def _remainder(self, left: Piece) -> Piece:
        self.k += 1
        right = self.product()
        if self.at("+", "-", r"\bmod"):
            raise self.fail(self.here.span, rf"found {self.here.text!r} after \bmod; {_ADVICE}")
        return Chain((left.span[0], right.span[1]), ("%",), (left, right))

    def product(self) -> Piece:
        """Factors side by side."""
        start = self.here.span
        operators: list[str] = []
        operands = [self.factor()]
        while True:
            operator = self.take(r"\cdot", "/")
            if operator is None and self.ended():
                break
            over = operator is not None and operator.text == "/"
            if operator is None and operators[-1:] == ["/"] and not self.big_here():
                raise self.fail(self.here.span, f"found a factor after a quotient a/b; {_ADVICE}, or \\frac")
            operators.append("/" if over else "*")
            operands.append(self.factor())
        return Chain(self.since(start), tuple(operators), tuple(operands)) if operators else operands[0]

    def factor(self) -> Piece:
        """One factor with its exponent."""
        base, exponent = self.base()
        while exponent is not None or self.at("^"):
            if exponent is None:
                self.k += 1
                exponent = self.exponent()
            base = Power(self.since(base.span), base, exponent)
            exponent = None
            if self.at("^"):
                raise self.fail(self.here.span, f"found a second exponent; {_ADVICE}")
        return base

    def exponent(self) -> Piece:
        """What stands above a base."""
        with self.deeper():
            t = self.here
            if t.text in (r"\top", "T", r"\dagger", "∘") or t.text == "{" and self.tokens[self.k + 1].text in (r"\top", "∘"):
                if t.text != "T" or "T" not in self.known.ranks and "T" not in self.known.sizes:
                    raise self.fail(
                        t.span, "found a transpose or a power by elements; expected a formula by elements, with indices"
                    )
            return self._argument()

    # -- one factor ---------------------------------------------------------------------------
    def base(self) -> tuple[Piece, Piece | None]:
        """A factor, and its exponent where that was read with it."""
        t = self.here
        big = self.big_here()
        if big:
            return self.over(big), None
        if (whole := self.made_of_matrix()) is not None:
            return whole, None
        reader = self._READERS.get(t.text) if t.kind != "letter" else None
        if reader is not None:
            return reader(self), None
        if t.kind == "number":
            return self._number(), None
        found = self.applied()
        if found is not None:
            return found
        if self._one_here():
            return self.indicator(), None
        if t.text == r"\delta" and "delta" not in self.known.ranks and self.tokens[self.k + 1].text == "_":
            return self.kronecker(), None
        if t.text == "e" and self.tokens[self.k + 1].text == "^" and not self.known.named("e") and "e" not in self.env:
            self.k += 2
            return Application(self.since(t.span), "exp", (self.item(self.exponent()),)), None
        if t.text == r"\pi" and not self.known.named("pi") and self.tokens[self.k + 1].text not in ("_", "("):
            self.k += 1
            return Name(t.span, "pi"), None
        if self.take(r"\infty"):
            return Name(t.span, "inf"), None
        if not self.starts_sign():
            raise self.unexpected("an expression")
        return self.element()

    def wrapped(self) -> Piece:
        """What stands in brackets."""
        opening = self.here
        self.k += 1
        bars, self.bars = self.bars, 0
        inner = self.expression()
        self.bars = bars
        self.need(CLOSING[opening.text])
        return inner

    def fraction(self) -> Piece:
        """``\\frac{a}{b}``, or the gradient ``\\frac{\\partial L}{\\partial x}``."""
        start = self.here
        self.k += 1
        if self.at("{") and self.tokens[self.k + 1].text == r"\partial":
            return self.gradient(start.span, "{", "}")
        above = self._argument()
        below = self._argument()
        return Chain(self.since(start.span), ("/",), (above, below))

    def partial(self) -> Piece:
        """``\\partial L / \\partial x``."""
        return self.gradient(self.here.span, "", "")

    def gradient(self, start: Span, opening: str, closing: str) -> Piece:
        """The gradient of a loss in an element."""
        if opening:
            self.need(opening)
        self.need(r"\partial")
        above = self.element()[0]
        if opening:
            self.need(closing)
        self.need(opening or "/")
        self.need(r"\partial")
        below = self.element()[0]
        if opening:
            self.need(closing)
        return self.derivative(above, below, self.since(start))

    def derivative(self, above: Piece, below: Piece, span: Span) -> Piece:
        """``∂above/∂below``: of the loss, the gradient called ``<name>_bar``."""
        if not isinstance(above, Name) or not isinstance(below, (Name, At)):
            raise self.fail(
                span, r"found the derivative of an element; expected the gradient of a loss, \frac{\partial L}{\partial x_i}"
            )
        return replace(below, span=span, name=f"{below.name}_bar")

    def _argument(self) -> Piece:
        """``{a}``, or the one digit or letter that TeX takes."""
        t = self.here
        if t.kind == "number" and len(t.text) > 1 and t.text.isdecimal():  # \frac12
            halves = [replace(t, text=c, span=(t.span[0] + i, t.span[0] + i + 1)) for i, c in enumerate(t.text)]
            self.tokens[self.k : self.k + 1] = halves
        with self.deeper():
            begin, end = self.group()
            after, self.k = self.k, begin
            bars, self.bars = self.bars, 0
            found = self.expression() if self.tokens[begin - 1].text == "{" else self.base()[0]
            self.bars = bars
            if self.k != end:
                raise self.unexpected("'}'")
            self.k = after
            return found

    def root(self) -> Piece:
        """A square root, or another."""
        start = self.here
        self.k += 1
        degree: Piece = Num(start.span, Fraction(2))
        if self.take("["):
            degree = self.expression()
            self.need("]")
        inner = self._argument()
        span = self.since(start.span)
        return Power(span, inner, Chain(span, ("/",), (Num(span, Fraction(1)), degree)))

    def floored(self) -> Piece:
        """``\\lfloor a/b \\rfloor`` of whole numbers, or the floor of a number; likewise rounded up."""
        opening = self.here
        inner = self.wrapped()
        span = self.since(opening.span)
        up = opening.text == r"\lceil"
        if isinstance(inner, Chain) and inner.operators[-1] == "/" and set(inner.operators[:-1]) <= {"*"}:
            above = whole_part(inner)
            whole = Chain(span, ("//",), (Negative(above.span, above) if up else above, inner.operands[-1]))
            return Negative(span, whole) if up else whole
        return Application(span, "ceil" if up else "floor", (self.item(inner),))

    def absolute(self) -> Piece:
        """``|x|``; its gradient at 0 is 0."""
        start = self.here
        self.k += 1
        self.bars += 1
        inner = self.expression()
        self.bars -= 1
        self.need("|")
        return self.magnitude(inner, self.since(start.span))

    _READERS: dict[str, Callable[[LatexTerms], Piece]] = {
        "(": wrapped,
        "{": wrapped,
        r"\{": wrapped,
        "[": LatexConditions.iverson,
        "|": absolute,
        r"\frac": fraction,
        r"\partial": partial,
        r"\sqrt": root,
        r"\lfloor": floored,
        r"\lceil": floored,
        r"\begin{cases}": LatexConditions.cases,
    }


def whole_part(quotient: Chain) -> Piece:
    """What stands above the stroke in ``a·b/c``."""
    above = quotient.operands[:-1]
    if len(above) == 1:
        return above[0]
    return Chain((above[0].span[0], above[-1].span[1]), quotient.operators[:-1], above)
