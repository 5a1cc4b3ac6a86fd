"""A backward in index text as a piece that can be changed and read again."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import permutations, product

from derivcheck.claimed import Claimed
from derivcheck.derived import Derivation
from derivcheck.diagnosis.repair.source_piece import Span
from derivcheck.diagnosis.repair.texts.tree import TextNode, TreePiece
from derivcheck.errors import DerivcheckError
from derivcheck.files import digest
from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.program.definitions import Input, Site
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.reads import inside
from derivcheck.notation.text.parse import parse_program
from derivcheck.notation.text.syntax import (
    Application,
    At,
    Chain,
    Compare,
    Define,
    Item,
    Name,
    Negative,
    Num,
    Piece,
    Power,
    changed,
    children,
    read,
)

NAME = "index text"
_MEANT = {"sin": ("cos",), "cos": ("sin",), "exp": ("log",), "log": ("exp",), "max": ("min",), "min": ("max",)}


@dataclass
class IndexText:
    """The text of a backward, as it now reads.

    Attributes:
        parse: makes a Program of it, with the forward's definitions that it reads.
        program: the Program that it is.
    """

    text: str
    parse: Callable[[str], Program]
    program: Program


@dataclass(eq=False)
class IndexPiece(TreePiece):
    """The whole of it.

    Attributes:
        holder: who runs it.
        known: what may be read.
        program: as it was read first.
    """

    holder: IndexText = field(default=None)  # type: ignore[assignment]
    known: Mapping[str, Input] = field(default_factory=dict)
    program: Program = field(default=None)  # type: ignore[assignment]

    @functools.cached_property
    def tensors(self) -> Mapping[str, tuple[Poly, ...]]:
        """The dimensions of what may be read."""
        return {n: a.dims for n, a in self.known.items()}

    @functools.cached_property
    def _statements(self) -> Sequence[Piece]:
        return tuple(read(self.text, "program"))

    @functools.cached_property
    def _defines(self) -> list[Define]:
        return [d for d in self._statements if isinstance(d, Define)]

    @functools.cached_property
    def root(self) -> TextNode:
        """The bodies of the definitions."""
        return TextNode("other", (0, len(self.text)), tuple(self._node(d.body, True) for d in self._defines), value=False)

    def _node(self, p: Piece, value: bool) -> TextNode:
        """A node of index text as one that edits know."""
        kind, operators, name, inside = "other", tuple[str, ...](), "", tuple(children(p))
        known = isinstance(p, (Num, Name, At, Application, Compare))
        if isinstance(p, Chain):
            kind, operators = "sum" if p.operators[0] in "+-" else "product", p.operators
        elif isinstance(p, Negative):
            kind = "negative"
        elif isinstance(p, Num):
            kind = "number"
        elif isinstance(p, Name):
            kind, name, value = "name", p.name, value and p.name in self.tensors
        elif isinstance(p, At):
            places = tuple(self._node(x.value if isinstance(x, Item) else x, False) for x in p.places)
            return TextNode("at", p.span, places, name=p.name, value=value)
        elif isinstance(p, Application):
            kind, name = "call", p.name
            if p.body is not None:  # a sum over indices: what is inside alone is edited
                return TextNode("other", p.span, (self._node(p.body, value),), name=name, value=value)
            inside = tuple(x.value if isinstance(x, Item) else x for x in p.items)
        elif isinstance(p, Compare):
            return TextNode("compare", p.span, tuple(self._node(x, False) for x in p.sides), p.relations, value=value)
        elif isinstance(p, Power):
            kind = "power"
        nodes = (self._node(x, value) for x in inside)
        wide = tuple(map(self._with_parentheses, nodes)) if kind in ("sum", "product", "negative", "power") else tuple(nodes)
        return TextNode(kind, p.span, wide, operators, name, value, known)

    def _with_parentheses(self, node: TextNode) -> TextNode:
        """An operand with the parentheses around it."""
        start, end = node.span
        while (m := re.search(r"\(\s*$", self.text[:start])) and (n := re.match(r"\s*\)", self.text[end:])):
            start, end = m.start(), end + n.end()
        return node if (start, end) == node.span else TextNode("other", (start, end), (node,), value=node.value)

    # -- names -----------------------------------------------------------------------------
    def _sizes(self, node: TextNode) -> dict[str, Poly]:
        """The indices that are known at a node, with their sizes."""
        found: dict[str, Poly] = {}
        for d in self._defines:
            if not d.body.span[0] <= node.span[0] <= d.body.span[1]:
                continue
            own = self.program.definition(d.name)
            names = [x.value.name for x in d.items if isinstance(x, Item) and isinstance(x.value, Name)]
            found.update(zip(names, own.dims))
            self._bound(d.body, node, found)
        return found

    def _bound(self, p: Piece, node: TextNode, found: dict[str, Poly]) -> None:
        """The indices of the sums around a node; their sizes are those of what they stand in."""
        if isinstance(p, Application) and p.body is not None and p.span[0] <= node.span[0] and node.span[1] <= p.span[1]:
            for x in p.items:
                if isinstance(x, Item) and isinstance(x.value, Name) and (size := self._size(p.body, x.value.name)) is not None:
                    found[x.value.name] = size
        for c in children(p):
            self._bound(c, node, found)

    def _size(self, body: Piece, index: str) -> Poly | None:
        for at in (c for c in _every(body) if isinstance(c, At) and c.name in self.tensors):
            for x, size in zip(at.places, self.tensors[at.name]):
                v = x.value if isinstance(x, Item) else x
                if isinstance(v, Name) and v.name == index:
                    return size
        return None

    def _spelled(self, name: str, sizes: Mapping[str, Poly], most: int = 6) -> list[str]:
        """A tensor at the indices that are known."""
        dims = self.tensors[name]
        if not dims:
            return [name]
        options = [[i for i, s in sizes.items() if s == d] for d in dims]
        found = [f"{name}[{','.join(at)}]" for at in product(*options) if len(set(at)) == len(at)]
        return found[:most]

    def _before(self, node: TextNode) -> list[str]:
        """The tensors that may be read at a node: none that is defined there or later."""
        later = {d.name for d in self._defines if d.body.span[1] >= node.span[0]}
        return [n for n in self.tensors if n not in later]

    def others(self, node: TextNode) -> list[str]:
        """Other tensors at the same or other indices; other indices."""
        sizes = self._sizes(node)
        if node.kind == "name" and not node.value:
            return [i for i, s in sizes.items() if i != node.name and s == sizes.get(node.name)]
        found: list[str] = []
        if node.kind == "at":
            own = [self.source(c) for c in node.children]
            same = [n for n in self._before(node) if n != node.name and self.tensors[n] == self.tensors.get(node.name)]
            found += [f"{n}[{','.join(own)}]" for n in same]
            if len(own) < 4:
                found += [f"{node.name}[{','.join(at)}]" for at in permutations(own)]
            found += self._spelled(node.name, sizes) if node.name in self.tensors else []
        return [
            *found,
            *(t for n in self._before(node) if n != node.name for t in self._spelled(n, sizes, 2) if t not in found),
        ]

    def factors(self, node: TextNode) -> list[str]:
        """Tensors at the indices that are known, and sizes."""
        sizes = self._sizes(node)
        return [*(str(s) for s in self.program.sizes()), *(t for n in self._before(node) for t in self._spelled(n, sizes, 2))]

    def squared(self, text: str) -> str:
        """A power."""
        return f"{text}^2"

    def functions(self, name: str) -> tuple[str, ...]:
        """Those that are taken for one another."""
        return _MEANT.get(name, ())

    # -- its Program -----------------------------------------------------------------------
    def claimed(self, d: Derivation) -> Claimed:
        """The backward as it now reads, each definition with its line."""
        text = self.holder.text
        program = self.holder.parse(text)
        lines = {x.name: 1 + text.count("\n", 0, x.span[0]) for x in read(text, "program") if isinstance(x, Define)}
        definitions = tuple(
            replace(x, sites=(Site(self.file, lines[x.name], ""),)) if x.name in lines else x for x in program.definitions
        )
        outputs = {gradient_of(d, o): o for o in program.outputs}
        return Claimed(replace(program, definitions=definitions), outputs)

    # -- running ---------------------------------------------------------------------------
    def same(self, one: str, two: str) -> bool:
        """Whether two texts are the same, parentheses apart."""
        try:
            return [_bare(x) for x in read(one, "program")] == [_bare(x) for x in read(two, "program")]
        except DerivcheckError:
            return False

    @contextmanager
    def running(self, text: str) -> Iterator[None]:
        """The backward is this text instead."""
        before = self.holder.text, self.holder.program
        try:
            self.holder.program = self._program(text)
        except DerivcheckError as e:
            raise ValueError(str(e)) from None
        self.holder.text = text
        try:
            yield
        finally:
            self.holder.text, self.holder.program = before

    def _program(self, text: str) -> Program:
        """What a text says; where one definition's body alone differs, that one is read: a search tries thousands."""
        found = self._changed(text)
        if found is None:
            return self.holder.parse(text)
        name, (start, end) = found
        own = text[start : end + len(text) - len(self.text)].rstrip("; \t\n")
        one = inside(parse_program(own, known=self.known.values()))
        new = {d.name: d for d in one.definitions}
        if new.keys() != {name} or new[name].dims != self.program.definition(name).dims:
            return self.holder.parse(text)
        made = {d.name for d in self.program.definitions}
        arguments = {a.name: a for a in (*self.program.arguments, *one.arguments) if a.name not in made}
        definitions = tuple(new.get(d.name, d) for d in self.program.definitions)
        return replace(self.program, arguments=tuple(arguments.values()), definitions=definitions)

    def _changed(self, text: str) -> tuple[str, Span] | None:
        """The definition in whose body alone a text differs, and where the definition stands in the text as it was first."""
        if len(self._defines) < len(self._statements):
            return None
        old, most = self.text, min(len(text), len(self.text))
        first = next((k for k in range(most) if text[k] != old[k]), most)
        last = next((k for k in range(most - first) if text[-1 - k] != old[-1 - k]), most - first)
        starts = [d.span[0] for d in self._defines]
        for d, start, end in zip(self._defines, starts, [*starts[1:], len(old)]):
            if d.body.span[0] <= first < end and len(old) - last <= end and not d.mark:
                return d.name, (start, end)
        return None


def gradient_of(d: Derivation, name: str) -> str:
    """The input whose gradient an output of a backward's text is; else its own name."""
    bar = d.gradient_named(name) or name
    return dict(zip(d.adjoint.outputs, d.wrt)).get(bar, bar)


def index_piece(text: str, parse: Callable[[str], Program], d: Derivation) -> IndexPiece:
    """The piece of a backward in index text."""
    program = parse(text)
    definitions = (*d.program.definitions, *program.definitions)
    known = {a.name: a for a in (*d.adjoint.arguments, *(Input(x.name, x.dims, x.kind) for x in definitions))}
    return IndexPiece(NAME, 1, text, digest(text), text, IndexText(text, parse, program), known, program)


def _bare(p: Piece) -> Piece:
    """A node with no places in the text."""
    return replace(changed(p, _bare), span=(0, 0))


def _every(p: Piece) -> Iterator[Piece]:
    yield p
    for c in children(p):
        yield from _every(c)
