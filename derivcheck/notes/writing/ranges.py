"""Whether a formula tells how far an index runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from derivcheck.notation.integers.atoms import entries
from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.notation.terms.nodes import Over, Ref, Term
from derivcheck.notation.terms.walk import polys


def told(index: Index, body: Term, dims: Mapping[str, tuple[Poly, ...]]) -> bool:
    """Whether an index stands alone in dimensions of its own size, and in no others.

    >>> from derivcheck.notation.integers.polynomials import size
    >>> from derivcheck.notation.terms.build import ref
    >>> i, N = Index("i", size("N")), size("N")
    >>> told(i, ref("x", i), {"x": (N,)}), told(i, ref("x", i), {"x": (N + 1,)})
    (True, False)
    """
    lengths = {size for name, at in _read(index, body) for p, size in zip(at, dims.get(name, ())) if p.index is index}
    return lengths == {index.size}


def _read(index: Index, body: Term) -> Iterator[tuple[str, tuple[Poly, ...]]]:
    """The elements that are read, except where the index is bound anew."""
    if isinstance(body, Over) and index in body.indices:
        return
    if isinstance(body, Ref):
        yield body.name, body.at
    yield from ((e.name, e.at) for e in entries(polys(body)))
    for inner in body.children:
        yield from _read(index, inner)
