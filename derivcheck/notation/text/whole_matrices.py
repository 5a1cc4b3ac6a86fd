"""Whole matrices in syntax trees: the inverse, the determinant and the factor of a tensor, of a triangle of it, of a product.

``inv(A)[p, q]`` is short for ``inv(i, j: A[i, j])[p, q]``; LaTeX has whole matrices alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from derivcheck.notation.terms.nodes import MATRICES
from derivcheck.notation.text.syntax import Application, At, Chain, Compare, Define, Item, Name, Piece, Span, changed, children

_LETTERS = "n m i j k l p q r s u v a b c d".split()
Places = tuple[Piece, ...]


@dataclass(frozen=True)
class WholeTensor:
    """A tensor without its last positions: a number, a vector or a matrix, and its element at positions."""

    rank: int
    element: Callable[[Places], Piece]


class UnusedIndices:
    """Indices that stand nowhere in a text."""

    def __init__(self, text: str, used: Iterable[str]) -> None:
        """``used``: the words of the text."""
        taken = set(used)
        self.end, self._serial = len(text), count(1)
        self._names = (n for n in (*_LETTERS, *(f"row{k}" for k in range(1, 1000))) if n not in taken)

    def next(self, span: Span) -> Name:
        """An index that stands nowhere yet."""
        return Name(span, next(self._names))

    def item(self, index: Name) -> Item:
        """The index where it is bound: bound indices are told apart by where they stand."""
        return Item((index.span[0], self.end + next(self._serial)), index)


def of_tensor(name: str, lead: Places, rank: int, span: Span) -> WholeTensor:
    """A tensor behind the positions of its batch."""
    if not rank and not lead:
        return WholeTensor(0, lambda at: Name(span, name))
    return WholeTensor(rank, lambda at: At(span, name, tuple(Item(p.span, p) for p in (*lead, *at))))


def triangle(part: str, m: WholeTensor, span: Span) -> WholeTensor:
    """``tril`` or ``triu``: one triangle of it, 0 elsewhere."""

    def element(at: Places) -> Piece:
        return Chain(span, ("*",), (Compare(span, (">=",), at if part == "tril" else at[::-1]), m.element(at)))

    return WholeTensor(2, element)


def turned(m: WholeTensor) -> WholeTensor:
    """The transposed matrix."""
    return WholeTensor(2, lambda at: m.element(at[::-1]))


def inverse(m: WholeTensor, letters: UnusedIndices, span: Span) -> WholeTensor:
    """The inverse."""
    return WholeTensor(2, lambda at: made("inv", m, letters, span, at))


def made(kind: str, m: WholeTensor, letters: UnusedIndices, span: Span, at: Places = ()) -> Piece:
    """An element of an inverse or a factor, or a determinant."""
    row, column = letters.next(span), letters.next(span)
    items = (letters.item(row), letters.item(column))
    return Application(span, kind, items, m.element((row, column)), tuple(Item(p.span, p) for p in at))


def summed(body: Callable[[Name], Piece], letters: UnusedIndices, span: Span) -> Piece:
    """The sum over an index."""
    k = letters.next(span)
    return Application(span, "sum", (letters.item(k),), body(k))


def product(a: WholeTensor, b: WholeTensor, letters: UnusedIndices, span: Span) -> WholeTensor | None:
    """The product of matrices, of a matrix and a vector, or with a number; None of two vectors."""
    if not a.rank or not b.rank:
        return WholeTensor(
            max(a.rank, b.rank),
            lambda at: Chain(span, ("*",), (a.element(at if a.rank else ()), b.element(at if b.rank else ()))),
        )
    if a.rank == 1:
        return None

    def element(at: Places) -> Piece:
        return summed(lambda k: Chain(span, ("*",), (a.element((at[0], k)), b.element((k, *at[1:])))), letters, span)

    return WholeTensor(b.rank, element)


def substituted(n: Piece, values: Mapping[str, Piece]) -> Piece:
    """A tree with other pieces for names."""
    if isinstance(n, Name) and n.name in values:
        return values[n.name]
    return changed(n, lambda inner: substituted(inner, values))


def spelt_out(text: str, trees: Any, ranks: Mapping[str, int]) -> Any:
    """The trees of index text with ``inv(A)[p, q]`` and its kin by rows and columns.

    Args:
        text: the index text.
        trees: a tree or a list of trees.
        ranks: the dimensions of the tensors that are known; of another only ``A`` alone is a matrix.
    """
    every = [n for t in (trees if isinstance(trees, list) else [trees]) for n in _nodes(t)]
    if not any(isinstance(n, Application) and n.name in MATRICES and n.body is None for n in every):
        return trees
    ranks = {**ranks, **{n.name: len(n.items) for n in every if isinstance(n, Define)}}
    letters = UnusedIndices(text, {w for n in every if isinstance(w := getattr(n, "name", ""), str)} | set(ranks))

    def change(n: Piece) -> Piece:
        """A node with the short forms in it written out."""
        n = changed(n, change)
        if not isinstance(n, Application) or n.name not in MATRICES or n.body is not None or len(n.items) != 1:
            return n
        inner = n.items[0].value if isinstance(n.items[0], Item) else n.items[0]
        if isinstance(inner, Name) and ranks.get(inner.name, 2) == 2:
            m = of_tensor(inner.name, (), 2, inner.span)
        elif isinstance(inner, At) and ranks.get(inner.name) == len(inner.places) + 2:
            m = of_tensor(inner.name, tuple(_value(p) for p in inner.places), 2, inner.span)
        else:
            return n
        found = made(n.name, m, letters, n.span, tuple(_value(p) for p in n.places))
        return replace(found, places=n.places)  # type: ignore[call-arg]

    return list(map(change, trees)) if isinstance(trees, list) else change(trees)


def _value(p: Piece) -> Piece:
    return p.value if isinstance(p, Item) else p


def _nodes(n: Piece) -> Iterator[Piece]:
    yield n
    for inner in children(n):
        yield from _nodes(inner)
