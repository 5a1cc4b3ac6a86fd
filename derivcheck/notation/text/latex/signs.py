"""Letters and words with their accents, labels and primes; where the reader stands in the tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from derivcheck.errors import NotationError
from derivcheck.notation.text import limits
from derivcheck.notation.text.latex.counting import Counting
from derivcheck.notation.text.latex.functions import ACCENTS, FONTS, GREEK, VARIANTS
from derivcheck.notation.text.latex.scope import Vocabulary
from derivcheck.notation.text.latex.tokens import LatexToken, tokens
from derivcheck.notation.text.syntax import Span

CLOSING = {"{": "}", "(": ")", "[": "]", r"\{": r"\}", r"\lfloor": r"\rfloor", r"\lceil": r"\rceil", r"\langle": r"\rangle"}


@dataclass(frozen=True)
class DrawnName:
    """A letter or word, its font and accents, and how many primes follow it."""

    base: str
    font: str = ""
    accents: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    primes: int = 0
    lowered: str = ""
    word: bool = False

    @property
    def name(self) -> str:
        """The identifier that stands for it: ``y_hat``, ``W_1``, ``x_prime``."""
        primes = ("prime",) * self.primes
        return "_".join((self.base, *self.accents, *primes, *self.labels, *((self.lowered,) if self.lowered else ())))

    @property
    def index(self) -> str:
        """The identifier of an index: ``n'`` is ``n_1``, the index n with serial 1."""
        name = replace(self, primes=0).name
        return f"{name}_{self.primes}" if self.primes else name


class LatexSigns(Counting):
    """A place in the tokens of a text, and the signs there."""

    def __init__(self, text: str, known: Vocabulary) -> None:
        """Start at the first token."""
        super().__init__(text, known)
        self.tokens = tokens(text)
        self.k = 0
        self.depth = 0
        self.binding = False  # new letters are indices that are bound here
        self.fonts: dict[str, tuple[str, Span]] = {}

    # -- the place ----------------------------------------------------------------------
    @property
    def here(self) -> LatexToken:
        """The token at hand."""
        return self.tokens[self.k]

    def at(self, *texts: str) -> bool:
        """Whether one of these signs or commands stands here."""
        return self.here.text in texts and self.here.kind != "end"

    def take(self, *texts: str) -> LatexToken | None:
        """Go past one of these, if it stands here."""
        if not self.at(*texts):
            return None
        self.k += 1
        return self.tokens[self.k - 1]

    def need(self, *texts: str) -> LatexToken:
        """Go past one of these, or refuse what stands here instead."""
        found = self.take(*texts)
        if found is None:
            raise self.unexpected(" or ".join(map(repr, texts)))
        return found

    def unexpected(self, expected: str) -> NotationError:
        """The complaint that something else was expected here."""
        t = self.here
        if t.kind == "end":
            return self.fail(t.span, f"the text ends where {expected} was expected")
        return self.fail(t.span, f"found {limits.shortened(self.source(t.span))!r}, expected {expected}")

    def since(self, start: Span) -> Span:
        """From a place to the token before this one."""
        return start[0], self.tokens[self.k - 1].span[1] if self.k else start[1]

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """One level further in."""
        self.depth += 1
        if self.depth > limits.DEPTH:
            raise self.fail(self.here.span, f"more than {limits.DEPTH} levels inside one another", limits.Beyond)
        yield
        self.depth -= 1

    def closing(self, begin: int) -> int:
        """Where the brace that opens at token ``begin`` closes."""
        depth = 0
        for k in range(begin, len(self.tokens)):
            word = self.tokens[k].text
            depth += (word == "{") - (word == "}")
            if not depth and word == "}":
                return k
        raise self.fail(self.tokens[begin].span, "found '{' and no '}' that closes it")

    def group(self) -> tuple[int, int]:
        """Go past what stands in braces, or one token; its first token and the one after its last."""
        start = self.k
        if self.at("{"):
            self.k = self.closing(self.k) + 1
            return start + 1, self.k - 1
        t = self.here
        if t.kind == "end" or t.text in ("}", "_", "^", "&", r"\\"):
            raise self.unexpected("an expression")
        if t.kind == "number" and len(t.text) > 1:
            raise self.fail(t.span, f"found {t.text!r} without braces, of which TeX takes one digit; expected {{{t.text}}}")
        if t.text in FONTS or t.text in ACCENTS:
            self.k += 1
            self.group()
        else:
            self.k += 1
        return start, self.k

    def naming(self, s: DrawnName) -> str:
        """The name of a tensor or a size that is drawn so."""
        return s.name

    # -- signs --------------------------------------------------------------------------
    def starts_sign(self) -> bool:
        """Whether a letter or a word stands here."""
        t = self.here
        return t.kind == "letter" or t.text in FONTS or t.text in ACCENTS or self._greek(t) != ""

    @staticmethod
    def _greek(t: LatexToken) -> str:
        if t.kind != "command":
            return ""
        name = VARIANTS.get(t.text[1:], t.text[1:])
        return name if name in GREEK else ""

    def nucleus(self) -> DrawnName:
        """A letter or word with its font and accents."""
        t = self.here
        with self.deeper():
            if t.text in ACCENTS:
                self.k += 1
                inner = self._accented()
                return replace(inner, accents=(*inner.accents, ACCENTS[t.text]))
            if t.text in FONTS:
                return self._font(t)
        greek = self._greek(t)
        if not greek and t.kind != "letter":
            raise self.unexpected("a letter or a name")
        self.k += 1
        return DrawnName(greek or t.text)

    def _accented(self) -> DrawnName:
        """What an accent stands over."""
        if not self.take("{"):
            return self.nucleus()
        inner, raised = self.marked(self.nucleus())
        if raised or not self.take("}"):
            raise self.unexpected("'}': an accent stands over one letter or word")
        return inner

    def _font(self, t: LatexToken) -> DrawnName:
        """A letter or word in a font: ``\\mathrm{out}``."""
        self.k += 1
        font = FONTS[t.text]
        if not self.at("{"):
            inner = self.nucleus()
            return replace(inner, font=font or inner.font)
        begin = self.k
        end = self.closing(begin)
        inside = self.text[self.tokens[begin].span[1] : self.tokens[end].span[0]].strip()
        span = (self.tokens[begin].span[1], self.tokens[end].span[0])
        if end == begin + 2 and (self._greek(self.tokens[begin + 1]) or self.tokens[begin + 1].text in (*FONTS, *ACCENTS)):
            self.k = begin + 1
            inner = self.nucleus()
            self.need("}")
            return replace(inner, font=font or inner.font)
        self.k = end + 1
        word = inside.replace(r"\_", "_").replace(r"\,", "").replace(r"\ ", "_")
        if not word.isidentifier():
            raise self.fail(span, f"found {limits.shortened(inside)!r} as a name, expected letters, digits and \\_")
        if wrong := limits.name(word):
            raise self.fail(span, wrong, limits.Beyond)
        return DrawnName(word, font, word=len(word) > 1 or not font)

    def marked(self, s: DrawnName) -> tuple[DrawnName, list[tuple[str, Span]]]:
        """The sign with the primes and labels that follow above it, and the indices there: ``x^{(n)}``."""
        raised: list[tuple[str, Span]] = []
        while True:
            above = [t.text for t in self.tokens[self.k : self.k + 3]]
            if self.take("'"):
                s = replace(s, primes=s.primes + 1)
            elif above[:2] == ["^", "'"]:
                self.k += 1
            elif above == ["^", "{", "'"] or above == ["^", "{", "("]:
                end = self.closing(self.k + 1)
                parts = self._raised(self.k + 2, end)
                if parts is None:
                    return s, raised
                for part, span in parts:
                    if part.name == "'":
                        s = replace(s, primes=s.primes + part.primes)
                    elif part.index in self.env or self.binding and part.base.isalpha() and not part.word:
                        raised.append((part.index, span))
                    else:
                        s = replace(s, labels=(*s.labels, part.name))
                self.k = end + 1
            else:
                return s, raised

    def _raised(self, begin: int, end: int) -> list[tuple[DrawnName, Span]] | None:
        """What stands above a letter, ``(1)(n)`` or ``''``; None where that is an exponent."""
        start, self.k = self.k, begin
        parts: list[tuple[DrawnName, Span]] = []
        while self.k < end:
            span = self.here.span
            if self.take("'"):
                parts.append((DrawnName("'", primes=1), span))
                continue
            if self.take("(", ",") is None:
                break
            span = self.here.span
            if self.here.kind == "number" and self.here.text.isdecimal():
                parts.append((DrawnName(self.here.text), span))
                self.k += 1
            elif self.starts_sign():
                inner, _ = self.marked(self.nucleus())
                parts.append((inner, span))
            else:
                break
            if not self.at(","):
                self.take(")")
        if self.k != end or self.tokens[end - 1].text not in (")", "'"):
            inside = self.source((self.tokens[begin].span[0], self.tokens[end - 1].span[1]))
            if self.tokens[begin].text == "'" or self._power_of_signs(begin, end):
                what = (
                    "which may be a power or a position; expected a power without parentheses, or a position below the letter"
                )
                raise self.fail(self.tokens[begin].span, f"found {limits.shortened(inside)!r} above a letter, {what}")
            self.k = start
            return None
        return parts

    def _power_of_signs(self, begin: int, end: int) -> bool:
        """Whether the brackets span the whole of what stands above a letter."""
        depth = 0
        for k in range(begin, end):
            depth += (self.tokens[k].text == "(") - (self.tokens[k].text == ")")
            if not depth:
                return k == end - 1
        return False
