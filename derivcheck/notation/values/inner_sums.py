"""Sums that need not wait for the positions at which their factors are read.

``Σ_o Σ_p [0 ≤ j + 1 − 2p ≤ 2]·g[o, p]·w[o, j + 1 − 2p]``, the adjoint of a strided convolution, reads ``w`` at every pair of
``j`` and ``p``.  Summed over ``o`` at once, ``z[p, u] = Σ_o g[o, p]·w[o, u]`` is read there instead, without an ``o``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

from derivcheck.notation.integers.polynomials import Index, Poly, as_poly
from derivcheck.notation.terms.nodes import Bracket, Mul, Over, Ref, Term

LARGE = 1 << 22  # elements; below, nothing is gained
GAIN = 8


class Split(NamedTuple):
    """A sum in two: ``inner`` over other indices, and what is left to be done with it.

    ``places`` are the positions that stand for the fresh indices of ``inner``.
    """

    inner: Over
    places: dict[Index, Poly]
    indices: tuple[Index, ...]
    others: tuple[Term, ...]


def split(term: Over, extent: Callable[[Index], int], shape: Callable[[str], tuple[int, ...]]) -> Split | None:
    """The cheaper way to sum a product, where some of its indices stand in no bracket and no position that is calculated."""
    if not isinstance(term.body, Mul):
        return None
    factors = term.body.args

    def cost(indices: Iterable[Index]) -> int:
        return math.prod(map(extent, indices))

    every = term.body.free | set(term.indices)
    dense = cost(every)
    if dense <= LARGE:
        return None
    read = [f for f in factors if isinstance(f, Ref)]
    bound = {i for f in factors if isinstance(f, Bracket) for i in f.free}
    bound |= {i for f in read for p in f.at if p.index is None for i in p.indices}
    for gathered in read:
        inner = tuple(i for i in term.indices if i not in bound and i in gathered.free)
        lengths = shape(gathered.name)
        fresh = {k: Index("·", lengths[k], k + 1) for k, p in enumerate(gathered.at) if p.index is None and p.indices}
        if not inner or not fresh:
            continue
        whole = Ref(gathered.name, tuple(as_poly(fresh.get(k, p)) for k, p in enumerate(gathered.at)))
        within = [f for f in factors if f is not gathered and not f.free.isdisjoint(inner)]
        first = whole.free.union(*(f.free for f in within))
        if (cost(first) + cost(every - set(inner))) * GAIN > dense:
            continue
        others = tuple(f for f in factors if f is not gathered and f not in within)
        kept = tuple(i for i in term.indices if i not in inner)
        body = Mul((whole, *within)) if within else whole
        return Split(Over("sum", inner, body), {i: gathered.at[k] for k, i in fresh.items()}, kept, others)
    return None
