"""Printed LaTeX: the reader of LaTeX input, at a page's legend."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from derivcheck.notation.text.latex.equations import LatexEquations
from derivcheck.notation.text.latex.scope import BoundLetter, Vocabulary
from derivcheck.notation.text.latex.signs import DrawnName, LatexSigns
from derivcheck.notation.text.syntax import At, Chain, Item, Name, Num, Piece, Span
from derivcheck.notation.text.whole_matrices import UnusedIndices, WholeTensor, of_tensor
from tests.readback.legend import Legend, Misprint, norm


def sign(look: str) -> DrawnName:
    """The sign that is printed so."""
    reader = LatexSigns(look, Vocabulary())
    found, _ = reader.marked(reader.nucleus())
    if reader.take("_"):
        begin, end = reader.group()
        found = replace(found, lowered="".join(t.text for t in reader.tokens[begin:end]))
    if reader.here.kind != "end":
        raise Misprint(f"{look!r} is no sign")
    return found


class LatexLine(LatexEquations):
    """Reads the sides of one printed line."""

    def __init__(self, text: str, legend: Legend) -> None:
        """A line ``left = right = right``."""
        known = Vocabulary(
            {n: len(d) for n, d in legend.dims.items()}, legend.integers, set(legend.sizes.values()), True, legend.first
        )
        super().__init__(text, known)
        self.legend = legend
        self.fresh = UnusedIndices(text, {"".join(c for c in t.text if c.isalpha()) for t in self.tokens} | {legend.sample})
        self.signs = {sign(look): name for look, name in {**legend.tensors, **legend.sizes}.items()}
        if len(self.signs) < len(legend.tensors) + len(legend.sizes):
            raise Misprint(f"two names look alike: {legend.tensors}, {legend.sizes}")
        self.loss = sign(legend.loss)
        self.rounded = False
        self.normed = False  # within ‖ ‖, where the last positions are not written
        self.samples: Piece | None = None
        self.ranges: dict[str, Piece] = {}  # how far indices run, where that is said

    def sides(self) -> tuple[list[str], list[Piece]]:
        """The free indices, and each side."""
        self.binding = True
        left = self.numbered(self.expression())
        self.binding = False
        free = list(self.env)
        found = [left]
        while self.take("="):
            found.append(self.numbered(self.expression()))
        while self.take(","):
            s, _ = self.marked(self.nucleus())
            self.need("=")
            low, high = self._range()
            if not isinstance(low, Num) or low.value != self.legend.first:
                raise self.fail(low.span, "a range that starts elsewhere than indices do")
            more = Chain(high.span, ("+",), (high, Num(high.span, Fraction(1))))
            self.ranges[s.index] = high if self.legend.first else more
        if self.here.kind != "end":
            raise self.unexpected("the end of the line")
        return free, found

    # -- the legend -------------------------------------------------------------------------
    def naming(self, s: DrawnName) -> str:
        return self.signs.get(s, f"?{s}")

    def called(self, s: DrawnName, span: Span) -> str:
        if s == self.loss and s not in self.signs:
            return "?loss"
        name = self.naming(s)
        if name.startswith("?"):
            raise self.fail(span, f"nothing is called {self.source(span)!r}")
        return name

    def placed(self, s: DrawnName, places: list[Piece], raised: list[tuple[str, Span]], span: Span) -> Piece:
        if self.binding and s not in self.signs and s != self.loss and not places and not raised and s.index not in self.env:
            self.bind(s.index, span)
        for i, at in raised:
            if i not in self.env:
                self.bind(i, at)
        if not places and not raised and s.index in self.env:
            return self.value(s.index, span)
        name = self.called(s, span)
        if name not in self.legend.dims:
            return Name(span, name)
        above: list[Piece] = [Name(at, self.env[i].key) for i, at in raised]
        sample: Piece | None = None
        if self.legend.sample and not self.normed and len(above) + len(places) < len(self.legend.dims[name]):
            if self.legend.sample not in self.env:
                self.env[self.legend.sample] = BoundLetter(self.legend.sample)
                self.keys.add(self.legend.sample)
            sample = Name(span, self.legend.sample)
        found = [*above, *places] if self.normed else self.legend.filled(name, [*above, *places], sample, span)
        return At(span, name, tuple(Item(p.span, p) for p in found)) if found else Name(span, name)

    def derivative(self, above: Piece, below: Piece, span: Span) -> Piece:
        assert isinstance(below, (At, Name))
        assert isinstance(above, (At, Name))
        loss = self.signs.get(self.loss, "?loss")
        if isinstance(above, Name) and above.name == loss:
            return replace(below, name=self.legend.gradients[below.name])
        places = (*(above.places if isinstance(above, At) else ()), *(below.places if isinstance(below, At) else ()))
        name = f"∂{above.name}/∂{below.name}"
        return At(span, name, places) if places else Name(span, name)

    def base(self) -> tuple[Piece, Piece | None]:
        t = self.here
        if self.take(r"\lVert"):
            self.normed = True
            inner, _ = self.element()
            self.normed = False
            self.need(r"\rVert")
            assert isinstance(inner, (At, Name))
            places = [p.value for p in inner.places if isinstance(p, Item)] if isinstance(inner, At) else []
            return norm(inner.name, places, len(self.legend.dims[inner.name]), self.since(t.span)), None
        found = super().base()
        if t.kind == "number" and self.take(r"\ldots"):  # eight digits of a longer number
            self.rounded = True
        return found

    def places(self, s: DrawnName, group: tuple[int, int], above: int, span: Span) -> list[Piece]:
        """Positions that run together where dimensions of one element are not printed: by what is printed."""
        begin, end = group
        name = self.called(s, span)
        full = len(self.legend.dims[name])
        ones = sum(p.constant == 1 for p in self.legend.dims[name])
        hidden = range(full + 1) if self.normed else range(ones + 1 + bool(self.legend.sample and not above))
        commas, operators = self._top_level(begin, end)
        if commas or operators:
            count = sum(self._commas(begin, end)) + 1
        else:
            self.k, found = begin, []
            while self.k < end:
                found.append(self._number() if self.here.kind == "number" else self.element()[0])
            ways = (sum(len(self._digits(n)) for n in found), len(found))
            count = next(
                (n for n in ways if full - above - n == 0), next((n for n in ways if full - above - n in hidden), ways[1])
            )
        before = self.known.ranks[name]
        self.known.ranks[name] = count + above if full - above - count in hidden else full
        try:
            return super().places(s, group, above, span)
        finally:
            self.known.ranks[name] = before

    def tensor_here(self) -> WholeTensor:
        start = self.here.span
        s, _ = self.marked(self.nucleus())
        if s not in self.signs and self.take("_"):
            begin, end = self.group()
            s = self.lowered(s, begin, end)
        name = self.called(s, self.since(start))
        return of_tensor(name, tuple(self.positions_below()) if self.at("_") else (), 2, self.since(start))

    def lowered(self, s: DrawnName, begin: int, end: int) -> DrawnName:
        """The sign with what stands below it."""
        return replace(s, lowered="".join(t.text for t in self.tokens[begin:end]))

    def _commas(self, begin: int, end: int) -> list[bool]:
        depth, found = 0, []
        for t in self.tokens[begin:end]:
            depth += (t.text in ("(", "{", "[", r"\lfloor")) - (t.text in (")", "}", "]", r"\rfloor"))
            found.append(t.text == "," and not depth)
        return found


__all__ = ["Chain", "Fraction", "LatexLine", "Num"]
