r"""Whole matrices in LaTeX: ``\det(A)``, ``\log\det A``, ``(A^{-1} B)_{ij}``, ``\operatorname{tr}(A)``, ``\lVert x \rVert``.

Within ``\det``, ``\operatorname{tr}`` and brackets with positions behind them letters stand without their last positions, as
numbers, vectors and matrices.
"""

from __future__ import annotations

from fractions import Fraction

from derivcheck.notation.text.latex.functions import FONTS
from derivcheck.notation.text.latex.ranges import LatexRanges
from derivcheck.notation.text.latex.scope import Vocabulary
from derivcheck.notation.text.latex.signs import CLOSING
from derivcheck.notation.text.syntax import (
    Application,
    At,
    Chain,
    Compare,
    Item,
    Name,
    Negative,
    Num,
    Piece,
    Power,
    Span,
    children,
)
from derivcheck.notation.text.whole_matrices import (
    UnusedIndices,
    WholeTensor,
    inverse,
    made,
    of_tensor,
    product,
    substituted,
    summed,
    triangle,
    turned,
)

_ABOVE = {"-1": "inverse", r"-\top": "both", "-T": "both", r"\top": "turned", "T": "turned"}
_OTHERS = (set(CLOSING) | set(CLOSING.values())) - {"{"}
_WORDS = ("chol", "tril", "triu", "tr", "Tr", "trace")


class LatexMatrices(LatexRanges):
    """Reads what is made of whole matrices."""

    def __init__(self, text: str, known: Vocabulary) -> None:
        """Indices of sums over whole matrices stand nowhere in the text."""
        super().__init__(text, known)
        self.fresh = UnusedIndices(text, {t.text.lstrip("\\") for t in self.tokens} | set(known.ranks) | known.sizes)
        self.guess = 2  # the dimensions of a letter that nothing tells
        self.guessed: list[str] = []  # letters of which that is said

    def made_of_matrix(self) -> Piece | None:
        """A determinant, a trace, a norm, or an element of a whole matrix; None where none stands here."""
        start, begin = self.here.span, self.k
        texts = [t.text for t in self.tokens[begin : begin + 3]]
        if texts[:1] == [r"\det"] or texts[:2] == [r"\log", r"\det"] or texts == [r"\log", "|", r"\det"]:
            place = texts.index(r"\det")
            self.k += place + 1
            self.bars += place == 2
            m = self._argument_of(r"\det")
            self.bars -= place == 2
            if place == 2:
                self.need("|")
            return made(("det", "logdet", "logabsdet")[place], m, self.fresh, self.since(start))
        if texts[0] in (r"\lVert", r"\|"):
            return self.norm()
        word = self.upright_word()
        if word in ("tr", "Tr", "trace") and not self.known.named(word):
            self._past_word()
            m = self._argument_of("tr")
            span = self.since(start)
            return summed(lambda k: m.element((k, k)), self.fresh, span)
        if word == "chol" and not self.known.named(word):
            m = self.whole_factor()
            return self._at_places(m, start)
        if self.at("(", "[") and self._positions_follow(self.bracket_end()):
            return self._at_places(self.whole_factor(), start)
        return self._inverted_element(start)

    def _inverted_element(self, start: Span) -> Piece | None:
        """``A^{-1}_{ij}`` and ``A^{\\top}_{ij}``, of a tensor with two positions or more below."""
        begin = self.k
        if not self.starts_sign() or self.upright_word() in _WORDS or self.binding or self._one_here():
            return None
        s, raised = self.marked(self.nucleus())
        above = self._above() if self.at("^") and not raised else ""
        if not above or not self.at("_") or self.known.ranks.get(self.naming(s), 2) < 2 or s.index in self.env:
            self.k = begin
            return None
        if self.naming(s) not in self.known.ranks and above == "inverse" and self._count_below() < 2:
            self.k = begin
            return None
        name = self.called(s, self.since(start))
        places = self.positions_below()
        if len(places) < 2:
            self.k = begin
            return None
        self.seen(name, len(places), self.since(start))
        m = of_tensor(name, tuple(places[:-2]), 2, self.since(start))
        return self._raised_to(m, above, self.since(start)).element(tuple(places[-2:]))

    def _count_below(self) -> int:
        """How many signs stand below a letter."""
        before = self.k
        self.k += 1
        begin, end = self.group()
        self.k = before
        return sum(t.text != "," for t in self.tokens[begin:end])

    def _at_places(self, m: WholeTensor, start: Span) -> Piece:
        """An element of a matrix or a vector, whose positions stand below it."""
        if not self.at("_"):
            raise self.unexpected("the positions of the element, as in _{ij}")
        places = self.positions_below()
        if len(places) != m.rank:
            kind = ("a number, which has none", "a vector, which has one", "a matrix, which has two")[m.rank]
            guess = f"; if {self.guessed[-1]} is none, say dims={{{self.guessed[-1]!r}: …}}" if self.guessed else ""
            raise self.fail(self.since(start), f"found {len(places)} position{'s' * (len(places) != 1)} below {kind}{guess}")
        return m.element(tuple(places))

    # -- matrices by name ------------------------------------------------------------------
    def _argument_of(self, what: str) -> WholeTensor:
        """A matrix in brackets, or one factor without."""
        start = self.here.span
        alone = not self.at("(", "[", r"\{")
        m = self.whole_factor() if alone else self._whole_base()  # an exponent behind brackets is that of the number
        if alone and not self.ended() and not self.at(r"\rVert"):
            message = f"found a factor after {what!r} of a letter, which may or may not belong to it"
            raise self.fail(self.here.span, f"{message}; expected parentheses around its matrix")
        if m.rank != 2:
            raise self.fail(self.since(start), f"found {self.source(self.since(start))!r}, expected a matrix")
        return m

    def whole_sum(self) -> WholeTensor:
        """Addends of one rank."""
        start = self.here.span
        negative = self.take("-")
        parts = [self.whole_product()]
        signs: list[str] = []
        while sign := self.take("+", "-"):
            signs.append(sign.text)
            parts.append(self.whole_product())
        span = self.since(start)
        rank = parts[0].rank
        if any(p.rank != rank for p in parts):
            raise self.fail(span, "found a sum of numbers, vectors and matrices; expected addends of one kind")

        def element(at: tuple[Piece, ...]) -> Piece:
            """The sum at positions."""
            found = [p.element(at) for p in parts]
            found[0] = Negative(span, found[0]) if negative else found[0]
            return Chain(span, tuple(signs), tuple(found)) if signs else found[0]

        return WholeTensor(rank, element)

    def whole_product(self) -> WholeTensor:
        """Matrices side by side, numbers among them."""
        start = self.here.span
        found = self.whole_factor()
        while not self.ended():
            self.take(r"\cdot")
            more = product(found, self.whole_factor(), self.fresh, self.since(start))
            if more is None:
                raise self.fail(self.since(start), "found a vector before another factor; expected a formula by elements")
            found = more
        return found

    def whole_factor(self) -> WholeTensor:
        """A matrix, a vector or a number, with the transpose or the inverse that it is raised to."""
        start = self.here.span
        with self.deeper():
            found = self._whole_base()
        while self.at("^"):
            above = self._above()
            if not above or found.rank != 2:
                raise self.fail(self.since(start), "found an exponent; expected a matrix raised to -1, \\top or -\\top")
            found = self._raised_to(found, above, self.since(start))
        return found

    def _whole_base(self) -> WholeTensor:
        """The same without what it is raised to."""
        start = self.here.span
        word = self.upright_word()
        if word in ("tril", "triu", "chol") and not self.known.named(word):
            self._past_word()
            inner = self._argument_of(word)
            if word != "chol":
                return triangle(word, inner, self.since(start))
            return WholeTensor(2, lambda at: made("cholesky", inner, self.fresh, start, at))
        if self.at("(", "[", r"\{"):
            opening = self.here
            if self._maps():
                return self._by_elements()
            self.k += 1
            found = self.whole_sum()
            self.need(CLOSING[opening.text])
            return found
        if self.here.kind == "number" or self.at(r"\frac", r"\sqrt"):
            return self._number_here()
        if not self.starts_sign():
            raise self.unexpected("a matrix")
        return self.tensor_here()

    def tensor_here(self) -> WholeTensor:
        """A letter with the positions of its batch below it, or none; ``I`` is the identity where nothing is called so."""
        start = self.here.span
        s, _ = self.marked(self.nucleus())
        if s.base == "I" and not self.known.named(self.naming(s)) and not self.at("_"):
            return WholeTensor(2, lambda at: Compare(start, ("==",), at))
        if s.index in self.env and not self.known.named(self.naming(s)):
            raise self.fail(self.since(start), f"found the index {s.index} among matrices; expected a formula by elements")
        lead: list[Piece] = []
        if self.at("_"):
            self.k += 1
            begin, end = self.group()
            after = self.k
            s, begin = self._labels(s, begin, end, self.since(start))
            if begin < end:
                self.k = begin - 1
                lead = self.between(begin, end)
            self.k = after
        return self.whole_tensor(self.called(s, self.since(start)), lead, self.since(start))

    def whole_tensor(self, name: str, lead: list[Piece], span: Span) -> WholeTensor:
        """A tensor behind the positions of its batch."""
        if name in self.known.sizes and name not in self.known.ranks:
            return WholeTensor(0, lambda at: Name(span, name))
        known = self.known.ranks.get(name)
        if known is None and (lead or self.known.closed):
            raise self.fail(span, f"nothing tells how many dimensions {name} has; expected dims={{{name!r}: …}}")
        if known is None:
            self.guessed.append(name)
            self.seen(name, self.guess, span)
        rank = (self.guess if known is None else known) - len(lead)
        if not 0 <= rank <= 2:
            raise self.fail(span, f"found {name} of {known} dimensions with {len(lead)} positions; expected a matrix")
        return of_tensor(name, tuple(lead), rank, span)

    def _number_here(self) -> WholeTensor:
        """A number; an index is none here."""
        found = self.factor()
        if any(isinstance(n, Name) and n.name in self.keys for n in _outside_elements(found)):
            raise self.fail(found.span, "found an index among matrices; expected a formula by elements")
        return WholeTensor(0, lambda at: found)

    def _by_elements(self) -> WholeTensor:
        """``(i, j \\mapsto …)``: a matrix by its rows and columns."""
        self.need("(")
        env, keys = dict(self.env), set(self.keys)
        names = []
        for after in (",", r"\mapsto"):
            at = self.here.span
            s, _ = self.marked(self.nucleus())
            self.env.pop(s.index, None)
            self.bind(s.index, self.since(at))
            names.append(self.env[s.index].key)
            self.need(after)
        body = self.expression()
        self.need(")")
        self.env, self.keys = env, keys
        return WholeTensor(2, lambda at: substituted(body, dict(zip(names, at))))

    @staticmethod
    def _turned(m: WholeTensor, above: str) -> WholeTensor:
        return turned(m) if above in ("turned", "both") else m

    def _raised_to(self, m: WholeTensor, above: str, span: Span) -> WholeTensor:
        m = self._turned(m, above)
        return m if above == "turned" else inverse(m, self.fresh, span)

    def _above(self) -> str:
        """Go past ``^{-1}``, ``^{-\\top}`` or ``^{\\top}``; "" where something else stands above."""
        begin = self.k
        self.k += 1
        if self.here.kind == "number" and len(self.here.text) > 1:
            self.k = begin
            return ""
        inside = self.group()
        text = "".join(t.text for t in self.tokens[slice(*inside)])
        found = _ABOVE.get(text, "")
        if not found or text.endswith("T") and self.known.named("T"):
            self.k = begin
            return ""
        return found

    # -- the place -------------------------------------------------------------------------
    def upright_word(self) -> str:
        """The word in ``\\operatorname{tr}`` or ``\\mathrm{tr}``, where one stands here."""
        if FONTS.get(self.here.text) != "" or self.here.text == r"\mathit" or self.tokens[self.k + 1].text != "{":
            return ""
        return "".join(t.text for t in self.tokens[self.k + 2 : self.closing(self.k + 1)])

    def _past_word(self) -> None:
        self.k = self.closing(self.k + 1) + 1

    def bracket_end(self) -> int:
        """The token after the bracket that opens here."""
        depth = 0
        for k in range(self.k, len(self.tokens)):
            depth += (self.tokens[k].text in ("(", "[")) - (self.tokens[k].text in (")", "]"))
            if not depth:
                return k + 1
        return len(self.tokens) - 1

    def _maps(self) -> bool:
        """Whether ``i, j \\mapsto`` stands in the bracket that opens here, and in none within it."""
        end = self.k + 1
        while self.tokens[end].kind != "end" and self.tokens[end].text not in (*_OTHERS, r"\mapsto"):
            end = self.closing(end) + 1 if self.tokens[end].text == "{" else end + 1
        return self.tokens[end].text == r"\mapsto"

    def _positions_follow(self, k: int) -> bool:
        """Whether positions stand below what ends there, perhaps after an inverse."""
        if self.tokens[k].text == "^":
            before, self.k = self.k, k
            above = self._above()
            k, self.k = self.k, before
            if not above:
                return False
        return self.tokens[k].text == "_"

    def positions_below(self) -> list[Piece]:
        """The positions below, side by side or with commas."""
        self.need("_")
        begin, end = self.group()
        after = self.k
        found = self.between(begin, end)
        self.k = after
        return found

    def between(self, begin: int, end: int) -> list[Piece]:
        """The positions between two tokens."""
        commas, operators = self._top_level(begin, end)
        self.k = begin
        found: list[Piece] = []
        while self.k < end:
            if commas or operators:
                found.append(self.position())
                if self.k < end:
                    self.need(",")
            elif self.here.kind == "number":
                found += [self.counted(d) for d in self._digits(self._number())]
            else:
                found.append(self.counted(self.element()[0]))
        return found

    # -- lengths ---------------------------------------------------------------------------
    def norm(self) -> Piece:
        r"""``\lVert x \rVert``: of a tensor, or of a sum of tensors, over all positions that do not stand there."""
        start = self.here.span
        closing = r"\rVert" if self.need(r"\lVert", r"\|").text == r"\lVert" else r"\|"
        self.norms += closing == r"\|"
        self.guess, before = 1, self.guess
        inner = self.whole_sum()
        self.guess = before
        self.norms -= closing == r"\|"
        self.need(closing)
        span = self.since(start)
        if not inner.rank:
            raise self.fail(span, "found the length of a number; expected a vector or a matrix, or | |")
        kind = "2"
        if self.take("_"):
            begin, end = self.group()
            kind = "".join(t.text for t in self.tokens[begin:end])
        if kind not in ("2", "F", "1", r"\infty") or kind == "F" and inner.rank != 2 or kind != "F" and inner.rank == 2:
            what = r"a vector with \lVert x \rVert, _2, _1 or _\infty, or a matrix with _F"
            raise self.fail(self.since(start), f"found {self.source(self.since(start))!r}, expected the length of {what}")
        at = tuple(self.fresh.next(span) for _ in range(inner.rank))
        items: tuple[Piece, ...] = tuple(map(self.fresh.item, at))
        x = inner.element(at)
        if kind in ("1", r"\infty"):
            return Application(span, "sum" if kind == "1" else "max", items, self.magnitude(x, span))
        squares = Application(span, "sum", items, Power(span, x, Num(span, Fraction(2))))
        return Power(span, squares, Num(span, Fraction(1, 2)))


def _outside_elements(n: Piece) -> list[Piece]:
    """The pieces that are no positions."""
    return [n] if isinstance(n, (At, Item)) else [n, *(x for c in children(n) for x in _outside_elements(c))]
