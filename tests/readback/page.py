"""What a page says, held against the derivation's numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch

from derivcheck.checking.arithmetic.bound import Bound
from derivcheck.checking.arithmetic.pairs import Pair
from derivcheck.derivation.sweep import bar_names
from derivcheck.notation.integers.polynomials import Index, Poly, Size, as_poly
from derivcheck.notation.integers.polynomials import size as size_of
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.nodes import Bracket, Term
from derivcheck.notation.terms.substitute import rename, transform
from derivcheck.notation.text.reader import Reader
from derivcheck.notation.text.resolve import Resolver, SizeLink
from derivcheck.notation.text.syntax import Application, At, Chain, Name, Num, Piece, changed, children
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notes.pages.document import blocks
from derivcheck.notes.pages.elements import _sample
from derivcheck.notes.pages.style import Style
from derivcheck.notes.symbols.symbols import symbols
from derivcheck.notes.writing.ink import Latex, Unicode
from tests.readback.corpus import Source, values
from tests.readback.latex import LatexLine
from tests.readback.legend import Legend, Misprint
from tests.readback.line import Line, differences
from tests.readback.matrices import MatrixLine
from tests.readback.unicode import UnicodeLine

READERS: dict[str, Callable[[str, Legend], LatexLine | UnicodeLine]] = {"latex": LatexLine, "unicode": UnicodeLine}


class Page:
    """A derivation's page in one style and ink, with the numbers that its names stand for."""

    def __init__(self, source: Source, ink: str, style: str, detail: str = "names") -> None:
        """Evaluate all that the page may name."""
        self.ink, self.style, self.sizes = ink, style, dict(source.sizes)
        named = dict.fromkeys((*source.forward.sizes(), *source.back.sizes()))
        given = {n: self.sizes[n] for n in named} if style == "scalar" else None
        options = Style(style, sizes=given, detail=detail)
        self.passages = blocks(Latex if ink == "latex" else Unicode, source.forward, source.back, options)
        page = options.shown(source.forward, source.back)
        self.forward, self.back = page.forward, page.adjoint
        clash = [s for s in named if s in self.forward.names | self.back.names]
        self.apart = {Size(s): size_of(f"size of {s}".replace(" ", "_")) for s in clash}  # a tensor has the name of a size
        self.sizes |= {str(new): self.sizes[old.name] for old, new in self.apart.items()}
        self.legend = self._legend(given)
        inputs = {a.name: np.reshape(source.inputs[a.name], [p.at(self.sizes) for p in a.dims]) for a in self.back.arguments}
        definitions = (*self.forward.definitions, *(d for d in self.back.definitions if d.name not in self.forward.names))
        self.inputs = {a.name: a for a in self.back.arguments}
        self.inputs |= {d.name: Input(d.name, d.dims, d.kind) for d in definitions}
        self.inputs = {n: replace(a, dims=tuple(p.substitute(self.apart) for p in a.dims)) for n, a in self.inputs.items()}
        self.pairs = values(self.back.arguments, definitions, inputs, self.sizes)
        self.foreign = self._foreign(source, page.called)

    def _foreign(self, source: Source, called: Mapping[str, str]) -> list[str]:
        """Outputs and gradients that are not the derivation's own."""
        meant = source.values
        mine, own = bar_names(source.forward), bar_names(self.forward)
        pairs = [(o, called.get(o, o)) for o in source.forward.outputs]
        pairs += [(mine[n], own[n]) for n in source.forward.inputs if n in mine and mine[n] in source.back.outputs]
        found = []
        for name, shown in pairs:
            if name in meant and shown in self.pairs:
                flat = _flat(meant[name]), _flat(self.pairs[shown])
                found += differences(f"{shown} on the page is not {name}", flat[0], flat[1], finite=True)
        return found

    def _legend(self, given: Mapping[str, int] | None) -> Legend:
        """What the page's letters stand for."""
        table = symbols(self.forward, self.back, self.style)
        spelt = self.ink
        names = [n for n in (*self.forward.names, *self.back.names) if n not in table.adjoint_of]
        pen = (Latex if self.ink == "latex" else Unicode)(table)
        values = {Size(n): v for n, v in given.items()} if given is not None else self.apart
        said = " ".join(s for p in self.passages for s in p.sentences)
        both = (self.forward, self.back)
        dims = {n: tuple(p.substitute(values) for p in x.dims(n)) for x in both for n in x.names}
        sample = _sample(self.forward, self.back, dict(given)) if given is not None else ""
        return Legend(
            {getattr(table[n], spelt)(): n for n in dict.fromkeys(names)},
            {pen.size_name(table.sizes[s]): str(size_of(s).substitute(self.apart)) for s in table.sizes},
            {n: bar for bar, n in table.adjoint_of.items()},
            getattr(table.loss, spelt)(),
            dims,
            0 if "start at 0" in said else 1,
            pen.index(Index(sample, 1)) if sample else "",
            {n for x in both for n in x.names if x.kind(n) == "int"},
        )

    @property
    def lines(self) -> list[Line]:
        """The formulas.

        Raises:
            Misprint: the page is of other values than the derivation.
        """
        if self.foreign:
            raise Misprint("; ".join(self.foreign))
        return [Line(f, self) for p in self.passages for f in p.formulas]

    def wrong(self, text: str, note: str = "") -> list[str]:
        """The right sides of a line with that note that are not what stands on its left."""
        indices = note == Style().words["indexform"]
        if self.style == "matrix" and not indices:
            return self._matrices(text)
        reader = READERS[self.ink](text, self.legend)
        free, sides = reader.sides()
        if len(sides) < 2:
            return [f"{text}: says nothing"]
        left, *rights = self._terms(text, free, sides, {i: polynomial(p) for i, p in reader.ranges.items()})
        found = []
        for right in rights:
            found += self._differences(text, left, right, reader.rounded)
        return found

    def _matrices(self, text: str) -> list[str]:
        """The same of a line in matrices."""
        arrays = {n: np.asarray(p.value) for n, p in self.pairs.items()}
        line = MatrixLine(text, self.legend, arrays, lambda piece, at: self._number(text, piece, at), self.sizes)
        letters = line.letters()
        found: list[str] = []
        for at in itertools.product(*(range(n) for n in letters.values())):
            ways = []
            for line.tolerant in (False, True):  # a sum in a condition is rounded in this order or in that
                ways.append(self._matrices_at(text, line, dict(zip(letters, at))))
                if not ways[-1]:
                    break
            found += [] if [] in ways else ways[0]
        return found

    def _matrices_at(self, text: str, line: MatrixLine, place_of: dict[str, int]) -> list[str]:
        """The same at a place of the batch."""
        left, *rights = line.values(place_of)
        if not rights:
            return [f"{text}: says nothing"]
        scale = 1e-9 if not line.rounded else 1e-6
        near = scale * max(1.0, float(np.max(np.abs(left[np.isfinite(left)]), initial=0.0)))
        found = []
        for right in rights:
            a, b = np.broadcast_arrays(np.atleast_1d(left), np.atleast_1d(right))
            off = np.isfinite(a) & ~(np.abs(a - b) <= near)
            if off.any():
                place = tuple(int(k[0]) for k in off.nonzero())
                found.append(f"{text}: {b[place]} at {place}, meant {a[place]}")
        return found

    def _number(self, text: str, piece: Piece, at: dict[str, int]) -> float:
        """The value of a term in indices at a place of the batch."""
        (d,) = self._terms(text, [], [fixed(piece, at)])
        program = Program(tuple(self.inputs[n] for n in d.term.names), (d,), (d.name,))
        return float(evaluate(program, {n: self.pairs[n].value for n in d.term.names}, self.sizes)[d.name])

    def _terms(
        self, text: str, free: list[str], sides: list[Piece], ranges: Mapping[str, Poly] | None = None
    ) -> list[Definition]:
        """Each side as a definition over the free indices, which run as far as is said, else as the left side has them."""
        names = set(self.inputs) | {n for s in sides for n in _names(s) if n.startswith("∂")}
        inputs = {n: self.inputs.get(n) or self._slope(n) for n in names}
        resolver = Resolver(text, [replace(a, name=n) for n, a in inputs.items()], closed=True)
        resolver.sizes |= set(self.sizes)
        links = {
            k: SizeLink(k, value=(ranges or {}).get(k) or self._range(k, sides[0]), source=f"index {k}", explicit=True)
            for k in free
        }
        for side in sides:
            resolver.walk(side, links)
        resolver.settle()
        reader = Reader(text, resolver)
        at = {k: reader._index(link) for k, link in links.items()}
        return [Definition(f"side {k}", tuple(at.values()), reader.term(s, at)) for k, s in enumerate(sides)]

    def _range(self, index: str, left: Piece) -> Poly:
        """How far an index of the left side runs."""
        for n in _nodes(left):
            if isinstance(n, At):
                for place, size in zip(n.places, self.inputs[n.name].dims):
                    p = polynomial(getattr(place, "value", place))
                    if p is size_of(index):
                        return size
                    if index in p.sizes():  # 2·i + 1 below 2·h
                        coefficient, rest = p.linear_in(Size(index)) or (0, p)
                        if coefficient > 1 and rest.constant is not None and all(c % coefficient == 0 for _, c in size.terms):
                            return Poly((m, c // coefficient) for m, c in size.terms)
        raise Misprint(f"nothing says how far {index} runs")

    def _differences(self, text: str, left: Definition, right: Definition, rounded: bool) -> list[str]:
        """Where both sides differ."""
        used = left.term.names | right.term.names
        for n in used - self.inputs.keys():
            self.inputs[n] = self._slope(n)
            self.pairs[n] = self._slopes(n)
        program = Program(tuple(self.inputs[n] for n in used), (left, right), (left.name, right.name))
        found = evaluate(program, {n: self.pairs[n] for n in used}, self.sizes, Bound())
        slopes = any(n.startswith("∂") for n in used)  # differences, and none across a kink
        return differences(text, found[left.name], found[right.name], 1e-5 if rounded or slopes else 0.0, slopes)

    # -- the derivative of one element in another -------------------------------------------------
    def _slope(self, name: str) -> Input:
        above, below = name[1:].split("/∂")
        return Input(name, (*self.inputs[above].dims, *self.inputs[below].dims))

    def _slopes(self, name: str) -> Pair:
        """``∂through/∂target`` of the one definition, by differences of its own meaning."""
        above, below = name[1:].split("/∂")
        d = self.forward.definition(above)  # what it reads of itself stays as it is, and what its brackets select
        d = replace(d, name="at hand", term=transform(d.term, lambda t: _held(t, below)))
        inputs = {**self.inputs, HELD: replace(self.inputs[below], name=HELD)}
        alone = Program(tuple(inputs[n] for n in d.term.names | {below}), (d,), (d.name,))
        given = {a.name: self.pairs[below if a.name == HELD else a.name].value.numpy() for a in alone.arguments}
        start = np.asarray(given[below], dtype=float)
        columns = []
        h = 1e-5
        here = np.asarray(evaluate(alone, given, self.sizes)[d.name])
        for at in np.ndindex(start.shape):
            both = []
            for step in (h, -h, h / 2, -h / 2):
                moved = start.copy()
                moved[at] += step
                both.append((np.asarray(evaluate(alone, {**given, below: moved}, self.sizes)[d.name]) - here) / step)
            smooth = np.abs(both[0] - both[1]) <= 1e-2 * (1 + np.abs(both[0]))
            wide, narrow = (both[0] + both[1]) / 2, (both[2] + both[3]) / 2
            columns.append(np.where(smooth, (4 * narrow - wide) / 3, np.nan))  # Richardson: of an error in h², none is left
        shape = np.asarray(self.pairs[above].value).shape
        table = np.stack([np.broadcast_to(c, shape) for c in columns], -1) if columns else np.zeros((*shape, 0))
        return Pair(torch.as_tensor(table.reshape((*shape, *start.shape))))


HELD = "held"  # what a slope is taken in, as it stands in brackets: their slope is 0


def _held(t: Term, name: str) -> Term:
    return bracket(t.relation, rename(t.operand, {name: HELD})) if isinstance(t, Bracket) and isinstance(t.operand, Term) else t


def fixed(n: Piece, at: Mapping[str, int]) -> Piece:
    """A tree with numbers for indices."""
    if isinstance(n, Name) and n.name in at:
        return Num(n.span, Fraction(at[n.name]))
    return changed(n, lambda inner: fixed(inner, at))


def polynomial(n: Piece) -> Poly:
    """A tree of whole numbers and names; 0 where it is something else."""
    if isinstance(n, Num) and n.value.denominator == 1:
        return as_poly(int(n.value))
    if isinstance(n, Name):
        return size_of(n.name)
    if isinstance(n, Chain) and set(n.operators) <= {"+", "-", "*"}:
        found = polynomial(n.operands[0])
        for operator, x in zip(n.operators, n.operands[1:]):
            p = polynomial(x)
            found = found + p if operator == "+" else found - p if operator == "-" else found * p
        return found
    return as_poly(0)


def _flat(p: Pair) -> Pair:
    """The numbers in a row, without dimensions."""
    return Pair(p.value.reshape(-1), None if p.error is None else p.error.reshape(-1))


def _nodes(n: Piece) -> Iterator[Piece]:
    yield n
    for inner in children(n):
        yield from _nodes(inner)


def _names(n: Piece) -> Iterator[str]:
    """The names in a tree."""
    return (x.name for x in _nodes(n) if isinstance(x, (Name, At, Application)))
