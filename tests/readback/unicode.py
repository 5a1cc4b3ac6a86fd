"""Printed Unicode, as the terminal shows it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from fractions import Fraction

from derivcheck.notation.text.latex.counting import Counting
from derivcheck.notation.text.latex.expressions import LatexTerms, whole_part
from derivcheck.notation.text.latex.scope import BoundLetter, Vocabulary
from derivcheck.notation.text.syntax import Application, At, Chain, Compare, Item, Name, Negative, Num, Piece, Power, Span
from derivcheck.notation.text.whole_matrices import UnusedIndices, WholeTensor, inverse, made, of_tensor, substituted, triangle
from tests.readback.legend import Legend, Misprint, norm

KINDS = {"det": "det", "log det": "logdet", "log |det": "logabsdet", "chol": "cholesky"}
RELATIONS = {"=": "==", "≠": "!=", "≥": ">=", "≤": "<=", ">": ">", "<": "<"}
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
LETTER = r"[^\W\d](?:(?![⁰¹²³⁴⁵⁶⁷⁸⁹])\w)*['′]*(⁽[⁰¹²³⁴⁵⁶⁷⁸⁹]+⁾)?"
WORDS = (
    "exp log sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh lgamma digamma polygamma erf erfc erfinv erfcx "
    "sigmoid softplus logsigmoid silu gelu gelu_tanh log1p log2 log10 expm1 exp2 hypot atan2 log_ndtr ndtri i0 i0e i1 i1e entr "
    "sign xlogy xlog1py sinc sinc_slope floor ceil trunc round gcd isqrt bit_length bit_or bit_and bit_xor max min"
).split()


class UnicodeLine(Counting):
    """Reads the sides of one printed line."""

    def __init__(self, text: str, legend: Legend) -> None:
        """A line ``left = right = right``."""
        known = Vocabulary(
            {n: len(d) for n, d in legend.dims.items()}, legend.integers, set(legend.sizes.values()), True, legend.first
        )
        super().__init__(text, known)
        self.ranges: dict[str, Piece] = {}  # how far indices run, where that is said
        self.fresh = UnusedIndices(text, re.findall(r"[^\W\d_]+", text))
        self.legend, self.k, self.binding, self.rounded = legend, 0, False, False
        looks = {unicodedata.normalize("NFC", look): n for look, n in {**legend.tensors, **legend.sizes}.items()}
        if len(looks) < len(legend.tensors) + len(legend.sizes):
            raise Misprint(f"two names look alike: {legend.tensors}, {legend.sizes}")
        self.looks = dict(sorted(looks.items(), key=lambda x: -len(x[0])))

    def counted_up(self, low: Piece, high: Piece) -> Piece:
        """How many there are from the first to the last."""
        if not isinstance(low, Num) or low.value != self.legend.first:
            raise self.fail(low.span, "a range that starts elsewhere than indices do")
        return high if self.legend.first else Chain(high.span, ("+",), (high, Num(high.span, Fraction(1))))

    # -- the text ----------------------------------------------------------------------------
    def at(self, *wanted: str) -> str:
        while self.k < len(self.text) and self.text[self.k].isspace():
            self.k += 1
        return next((w for w in wanted if self.text.startswith(w, self.k)), "")

    def take(self, *wanted: str) -> str:
        found = self.at(*wanted)
        self.k += len(found)
        return found

    def need(self, wanted: str) -> None:
        if not self.take(wanted):
            raise self.fail((self.k, self.k + 1), f"found {self.text[self.k : self.k + 9]!r}, expected {wanted!r}")

    def match(self, pattern: str) -> str:
        self.at()
        found = re.compile(pattern).match(self.text, self.k)
        self.k = found.end() if found else self.k
        return found.group() if found else ""

    def since(self, start: int) -> Span:
        return start, self.k

    def sides(self) -> tuple[list[str], list[Piece]]:
        """The free indices, and each side."""
        self.binding = True
        found = [self.numbered(self.expression())]
        self.binding = False
        free = [b.key for b in self.env.values()]
        while self.take("="):
            found.append(self.numbered(self.expression()))
        while self.take("("):
            low = self.expression()
            self.need("≤")
            letter = self.letter()
            self.need("≤")
            self.ranges[self.env[letter].key] = self.counted_up(low, self.expression())
            self.need(")")
        self.at()
        if self.k < len(self.text):
            raise self.fail((self.k, len(self.text)), f"left over: {self.text[self.k :]!r}")
        return free, found

    # -- arithmetic -----------------------------------------------------------------------------
    def expression(self) -> Piece:
        self.at()
        start = self.k
        negative = self.take("-")
        first = self.product()
        operands, operators = [Negative(self.since(start), first) if negative else first], []
        if self.take("mod"):
            return Chain(self.since(start), ("%",), (operands[0], self.product()))
        while sign := self.take("+", "-"):
            operators.append(sign)
            operands.append(self.product())
        return Chain(self.since(start), tuple(operators), tuple(operands)) if operators else operands[0]

    def product(self) -> Piece:
        self.at()
        start = self.k
        operands, operators = [self.factor()], []
        while sign := self.take("·", "/"):
            operators.append("*" if sign == "·" else "/")
            operands.append(self.factor())
        return Chain(self.since(start), tuple(operators), tuple(operands)) if operators else operands[0]

    def factor(self) -> Piece:
        self.at()
        start = self.k
        if self.take("√"):
            inner = self.atom()
            span = self.since(start)
            return Power(span, inner, Num(span, Fraction(1, 2)))
        base = self.atom()
        if digits := self.match("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+"):
            return Power(self.since(start), base, Num(self.since(start), Fraction(digits.translate(SUPERSCRIPTS))))
        if self.take("^"):
            return Power(self.since(start), base, self.atom())
        return base

    def atom(self) -> Piece:
        self.at()
        start = self.k
        for sign, kind in (
            ("Σ_", "sum"),
            ("Π_", "prod"),
            ("argmax_", "argmax"),
            ("argmin_", "argmin"),
            ("max_", "max"),
            ("min_", "min"),
        ):
            if self.take(sign):
                return self.over(kind, start)
        if self.take("⌊"):
            inner = self.expression()
            self.need("⌋")
            assert isinstance(inner, Chain) and inner.operators[-1] == "/"
            return Chain(inner.span, ("//",), (whole_part(inner), inner.operands[-1]))
        if self.take("|"):
            inner = self.expression()
            self.need("|")
            return LatexTerms.magnitude(inner, self.since(start))
        if self.take("‖"):
            name = self.looks[self._named()]
            found = norm(name, self._places(), len(self.legend.dims[name]), self.since(start))
            self.need("‖")
            return found
        for word, kind in sorted(KINDS.items(), key=lambda x: -len(x[0])):
            if self.at(f"{word}(") and not self.look():
                self.take(word)
                matrix = self._matrix_in()
                if "|" in word:
                    self.need("|")
                places = self._places() if kind == "cholesky" else []
                return made(kind, matrix, self.fresh, self.since(start), tuple(places))
        if self.at("tril(", "triu(") and not self.look() or re.match(rf"\({LETTER},{LETTER} ↦", self.text[self.k :]):
            matrix = self._matrix()
            self.need("⁻¹")
            return inverse(matrix, self.fresh, self.since(start)).element(tuple(self._places()))
        if self.take("("):
            inner = self.expression()
            self.need(")")
            return inner
        if self.take("["):
            left = self.expression()
            relation = self.take("≤", "≥", "≠", "=", "<", ">")
            if not relation:
                raise self.fail((self.k, self.k + 1), "expected a relation")
            sides = self.compared([left, self.expression()])
            self.need("]")
            return Compare(self.since(start), (RELATIONS[relation],), sides)
        if self.take("∂"):
            return self.derivative(start)
        if digits := self.match(r"\d+(\.\d+)?(e[+-]?\d+)?"):
            if self.take("…"):
                self.rounded = True
            return Num(self.since(start), Fraction(digits))
        return self.named()

    def derivative(self, start: int) -> Piece:
        above = self.element() if not self.take(self.legend.loss + "/") else None
        if above is not None:
            self.need("/")
        self.need("∂")
        below = self.element()
        assert isinstance(below, (At, Name))
        if above is None or isinstance(above, Name) and self.legend.tensors.get(self.legend.loss) == above.name:
            return replace(below, name=self.legend.gradients[below.name])
        assert isinstance(above, (At, Name))
        places = (*(above.places if isinstance(above, At) else ()), *(below.places if isinstance(below, At) else ()))
        name = f"∂{above.name}/∂{below.name}"
        return At(self.since(start), name, places) if places else Name(self.since(start), name)

    # -- names ------------------------------------------------------------------------------------
    def look(self) -> str:
        """The name of a tensor or size that stands here."""
        self.at()
        for look in self.looks:
            after = self.text[self.k + len(look) : self.k + len(look) + 1]
            if after == "(" and look in WORDS and self.legend.dims.get(self.looks[look]):  # cos(z) beside cos[t,h]
                continue
            if self.text.startswith(look, self.k) and not (
                re.match(r"[^\W⁰-⁹²³¹]", after) or unicodedata.combining(after or " ")
            ):
                return look
        return ""

    def named(self) -> Piece:
        self.at()
        start = self.k
        if self.look():
            return self.element()
        if letter := self.letter():
            return self.value(letter, self.since(start))
        self.k = start
        word = self.match(r"[^\W\d]\w*")
        if word in WORDS and self.take("("):
            items = [self.expression()]
            while self.take(","):
                items.append(self.expression())
            self.need(")")
            if word == "sign":
                zero = Num(self.since(start), Fraction(0))
                signs = [Compare(self.since(start), (r,), (items[0], zero)) for r in "><"]
                return Chain(self.since(start), ("-",), tuple(signs))
            return Application(self.since(start), word, tuple(Item(x.span, x) for x in items))
        self.k = start
        if self.take("π"):
            return Name(self.since(start), "pi")
        if self.take("∞"):
            return Name(self.since(start), "inf")
        raise self.fail((start, start + 1), f"nothing is called {self.text[start : start + 9]!r}")

    def letter(self) -> str:
        """An index that stands here: bound, or bound now."""
        found = self.match(LETTER)
        if found and (found in self.env or self.binding):
            if found not in self.env:
                self._bound(found)
            return found
        return ""

    def _bound(self, letter: str) -> None:
        primes = letter.count("′")
        key = letter.replace("′", "")
        if "⁽" in key:
            key, _, raised = key.partition("⁽")
            primes = int(raised.rstrip("⁾").translate(SUPERSCRIPTS))
        self.env[letter] = BoundLetter(f"{key}_{primes}" if primes else key)
        self.keys = {b.key for b in self.env.values()}

    def element(self) -> Piece:
        self.at()
        start = self.k
        name = self.looks[self._named()]
        places = self._places()
        if self.text.startswith("⁻¹[", self.k) and len(self.legend.dims.get(name, ())) == len(places) + 2:
            self.need("⁻¹")
            whole = of_tensor(name, tuple(places), 2, self.since(start))
            return inverse(whole, self.fresh, self.since(start)).element(tuple(self._places()))
        if name not in self.legend.dims:
            return Name(self.since(start), name)
        found = self.legend.filled(name, places, None, self.since(start))
        return At(self.since(start), name, tuple(Item(p.span, p) for p in found)) if found else Name(self.since(start), name)

    def _named(self) -> str:
        """Go past the name that stands here."""
        look = self.look()
        if not look:
            raise self.fail((self.k, self.k + 1), f"nothing is called {self.text[self.k : self.k + 9]!r}")
        self.k += len(look)
        return look

    def _places(self) -> list[Piece]:
        """Go past the positions that follow a name."""
        places: list[Piece] = []
        if self.text.startswith("[", self.k):
            self.k += 1
            places.append(self.counted(self.expression()))
            while self.take(","):
                places.append(self.counted(self.expression()))
            self.need("]")
        return places

    def _matrix_in(self) -> WholeTensor:
        if re.match(rf"\({LETTER},{LETTER} ↦", self.text[self.k :]):
            return self._matrix()
        self.need("(")
        found = self._matrix()
        self.need(")")
        return found

    def _matrix(self) -> WholeTensor:
        """A matrix: a tensor, a triangle of it, or by its elements."""
        self.at()
        start = self.k
        if part := self.take("tril", "triu"):
            return triangle(part, self._matrix_in(), self.since(start))
        if not self.take("("):
            name = self.looks[self._named()]
            return of_tensor(name, tuple(self._places()), 2, self.since(start))
        env, keys = dict(self.env), set(self.keys)
        letters = []
        for after in (",", "↦"):
            letter = self.match(LETTER)
            self._bound(letter)
            letters.append(self.env[letter].key)
            self.need(after)
        body = self.expression()
        self.need(")")
        self.env, self.keys = env, keys
        return WholeTensor(2, lambda at: substituted(body, dict(zip(letters, at))))

    def over(self, kind: str, start: int) -> Piece:
        """Σ over indices, whose sizes are those of the dimensions in which they stand."""
        env, keys = dict(self.env), set(self.keys)
        items = []
        braces = self.take("{")
        while True:
            self.at()
            at = self.k
            low = braces and re.match(r"[^,}]*≤[^,}]*≤", self.text[at:]) and self.expression()
            if low:
                self.need("≤")
            letter = self.match(LETTER) if braces else self.match(r"[^\W\d]['′]*")
            self._bound(letter)
            size: Piece | None = None
            if low:
                self.need("≤")
                high = self.expression()
                size = (
                    self.numbered(high)
                    if self.legend.first
                    else Chain(high.span, ("+",), (self.numbered(high), Num(high.span, Fraction(1))))
                )
                if not isinstance(low, Num) or low.value != self.legend.first:
                    raise self.fail(low.span, "a range that starts elsewhere than indices do")
            items.append(Item(self.since(at), Name(self.since(at), self.env[letter].key), size))
            if not braces or not self.take(","):
                break
        if braces:
            self.need("}")
        body = self.numbered(self.product())
        self.env, self.keys = env, keys
        return Application(self.since(start), kind, tuple(items), body)
