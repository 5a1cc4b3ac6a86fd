"""Integer expressions, and names at positions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from derivcheck.notation.integers.atoms import Entry, Extreme, Floor
from derivcheck.notation.integers.polynomials import Atom, Index, Poly, Size, as_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notes.symbols.symbols import Symbols
from derivcheck.notes.writing.drawing import ATOM, PRODUCT, SUM, Drawing, Spelt
from derivcheck.notes.writing.remainders import remainder


class SampleIndex(NamedTuple):
    """The index of samples: it stands above, in brackets, or is not written where a line is about one sample."""

    name: str
    raised: bool


class PositionWriter(Drawing):
    """Writes integer expressions and elements.

    Args:
        symbols: the symbols of names.
        first: the number of the first element in sums, 1 or 0 (0 where positions are computed with).
        sizes: numbers for sizes; a dimension of size 1 is then dropped where it leads.
        sample: how the index of samples is written.
        elements: a small shape is written out, element by element.
        dims: the dimensions of names at a small shape.
    """

    def __init__(
        self,
        symbols: Symbols,
        first: int = 1,
        sizes: Mapping[str, int] | None = None,
        sample: SampleIndex | None = None,
        elements: bool = False,
        dims: Mapping[str, tuple[Poly, ...]] | None = None,
    ) -> None:
        """See the class for what the options mean."""
        self.symbols, self.first, self.sizes = symbols, first, dict(sizes or {})
        self.sample, self.elements, self.dims = sample, elements, dims or {}
        self.lengths = {n: tuple(map(self._at_sizes, known)) for n, known in symbols.dims.items()}

    def poly(self, p: Poly, level: int = SUM) -> str:
        """An integer expression."""
        text, own = self._poly(p)
        return self.wrapped.format(text) if own < level else text

    def _poly(self, p: Poly) -> Spelt:
        """An integer expression; a remainder is written as one."""
        p = self._at_sizes(p)
        c = p.constant
        if c is not None:
            return str(c) if c >= 0 else f"-{-c}", ATOM if c >= 0 else SUM
        found = remainder(p)
        if found is not None:
            above, below, rest = found
            text = self.modulo.format(self.poly(above, PRODUCT), self.poly(below, PRODUCT))
            if not rest.terms:
                return text, SUM
            return f"{self.poly(rest, PRODUCT if remainder(rest) else SUM)} + {self.wrapped.format(text)}", SUM
        parts = []
        for m, k in p.terms:
            factors = [self.raise_to(self.atom(a), str(e)) if e > 1 else self.atom(a) for a, e in m]
            if abs(k) != 1 or not factors:
                factors.insert(0, str(abs(k)))
            parts.append((k < 0, self.small_times.join(factors), len(factors)))
        parts.sort(key=lambda part: part[0])
        text = ("-" if parts[0][0] else "") + parts[0][1]
        for negative, part, _ in parts[1:]:
            text += (" - " if negative else " + ") + part
        if len(parts) > 1 or parts[0][0]:
            return text, SUM
        return text, PRODUCT if parts[0][2] > 1 else ATOM

    def atom(self, a: Atom) -> str:
        """A size, an index, an entry of an integer tensor, a floored quotient, an extreme."""
        if isinstance(a, Size):
            return self.size_name(self.symbols.sizes.get(a.name, a.name))
        if isinstance(a, Index):
            return self.index(a)
        if isinstance(a, Entry):
            return self.place(a.name, a.at)
        if isinstance(a, Floor):
            return self.floor.format(self.poly(a.numerator, PRODUCT), self.poly(a.denominator, ATOM))
        assert isinstance(a, Extreme)
        return self.extreme(a.kind, [self.poly(p) for p in a.args])

    def _at_sizes(self, p: Poly) -> Poly:
        return p.substitute({Size(n): v for n, v in self.sizes.items()}) if self.sizes else p

    def place(self, name: str, at: tuple[Poly, ...]) -> str:
        """``name`` at positions: an element, a derivative or an upstream gradient."""
        subscripts, raised = self._positions(name, at)
        of = self.symbols.adjoint_of.get(name)
        text = self.placed(self.drawn(self.symbols[of or name]), subscripts, raised)
        return text if of is None else self.partial.format(self.drawn(self.symbols.loss), text)

    def _positions(self, name: str, at: tuple[Poly, ...]) -> tuple[list[str], list[str]]:
        """The subscripts, and the indices that stand above."""
        subscripts: list[str] = []
        raised: list[str] = []
        dims = self.dims.get(name, ())
        for axis, p in enumerate(at):
            i = p.index
            if i is not None and self.sample is not None and i.name == self.sample.name:
                raised += [self.index(i)] if self.sample.raised else []
                continue
            length = self._at_sizes(dims[axis]) if axis < len(dims) else None
            if length is as_poly(1) and (not subscripts or not self.elements):
                continue
            shown = self.poly(p + self.first if self.elements and p.constant is not None else p)
            subscripts.append(shown)
        return subscripts, raised

    def chain_product(
        self, bar: str, through: str, at: tuple[Poly, ...], target: str, own: tuple[Poly, ...], bound: list[Index]
    ) -> str:
        """``Σ_bound ∂L/∂through[at] · ∂through[at]/∂target[own]``."""
        local = self.partial.format(self.place(through, at), self.place(target, own))
        if self.symbols.scalar and self.symbols.upstream_of.get(bar) == through:
            return local
        text = self.joined([self.place(bar, at), local])
        return f"{self.sum_over([self.index(i) for i in bound])} {text}" if bound else text

    def head(self, d: Definition) -> str:
        """What a definition defines."""
        return self.place(d.name, tuple(as_poly(i) for i in d.indices))

    def _range(self, size: Poly) -> tuple[str, str]:
        return str(self.first), self.poly(size - 1 + self.first)

    def where(self, told: Iterable[Index]) -> str:
        """How far the indices of a line run, after it."""
        return "".join(self.runs.format(self.index(i), *self._range(i.size), self.poly(i.size)) for i in told)
