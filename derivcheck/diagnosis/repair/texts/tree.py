"""The syntax that index text and C have in common, as far as edits look at it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from derivcheck.diagnosis.repair.source_piece import SourcePiece, Span


@dataclass(frozen=True, eq=False)
class TextNode:
    """A node.

    Attributes:
        kind: ``sum``, ``product``, ``power``, ``negative``, ``number``, ``name``, ``at`` (a name with indices, or a part of a
            value), ``call``, ``compare``, ``assign``, or ``other``.
        span: where it stands in the piece.
        children: what is inside, in reading order; of ``at`` the indices, of ``call`` the arguments.
        operators: of a sum or product, what stands between the children; of a comparison and an assignment, too.
        name: of a name, ``at`` and ``call``.
        value: whether it is a number that is computed with, and no index or size of a loop.
        known: whether its text is an operand as it is, without parentheses.
    """

    kind: str
    span: Span
    children: tuple[TextNode, ...] = ()
    operators: tuple[str, ...] = ()
    name: str = ""
    value: bool = True
    known: bool = True

    def every(self) -> Iterator[TextNode]:
        """The node and all inside."""
        yield self
        for c in self.children:
            yield from c.every()


@dataclass(eq=False)
class TreePiece(SourcePiece):
    """A piece with such a tree."""

    @property
    @abstractmethod
    def root(self) -> TextNode:
        """Its syntax."""

    @abstractmethod
    def others(self, node: TextNode) -> list[str]:
        """What may be read in the place of a name, or of a name with indices."""

    @abstractmethod
    def factors(self, node: TextNode) -> list[str]:
        """What may be missing as a factor or addend at a node."""

    @abstractmethod
    def squared(self, text: str) -> str:
        """A text times itself."""

    @abstractmethod
    def functions(self, name: str) -> tuple[str, ...]:
        """What functions may be meant where one is called."""

    def source(self, node: TextNode) -> str:
        """The text of a node."""
        return self.text[node.span[0] : node.span[1]]

    def inner(self, node: TextNode) -> str:
        """The text of a node as an operand."""
        return self.source(node) if node.known else f"({self.source(node)})"

    def number(self, node: TextNode) -> int:
        """The line of the file at which a node begins."""
        return self.line + self.text[: node.span[0]].count("\n")
