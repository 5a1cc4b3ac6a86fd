"""Canonical names for bound indices: colour refinement, then individualisation where it leaves indices alike.

Two sums that differ in the names of their bound indices become one atom.  The search is bounded: where a sum has more
symmetry than the budget allows, the best labelling so far is taken, which may leave equal sums apart and never
joins unequal ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from derivcheck.notation.integers.polynomials import Index
from derivcheck.proof.expressions.context import Context
from derivcheck.proof.expressions.signatures import Part, poly_signature, refined

LEAVES = 64  # labellings that are compared


def canonical_order(context: Context, bound: Sequence[Index], parts: Sequence[Part]) -> list[Index]:
    """The bound indices in an order that does not depend on their names."""
    if len(bound) == 1:
        return list(bound)
    search = _Search(context, bound, parts)
    search.visit(refined(bound, parts, {}))
    assert search.best is not None
    return search.best


class _Search:
    def __init__(self, context: Context, bound: Sequence[Index], parts: Sequence[Part]) -> None:
        self.context, self.bound, self.parts = context, bound, parts
        self.best: list[Index] | None = None
        self.least: int | None = None
        self.leaves = 0

    def visit(self, colours: Mapping[Index, int]) -> None:
        """Tell one index after another of the smallest cell apart, as long as the budget lasts."""
        self.context.tick()
        cells: dict[int, list[Index]] = {}
        for i in self.bound:
            cells.setdefault(colours[i], []).append(i)
        open_cells = [(len(c), k) for k, c in cells.items() if len(c) > 1]
        if not open_cells:
            self._leaf(colours)
            return
        cell = cells[min(open_cells)[1]]
        split: list[tuple[int, Index, dict[Index, int]]] = []
        tried: list[Index] = []
        for i in cell:
            if any(self._swap(i, j) for j in tried):
                continue
            tried.append(i)
            new = refined(self.bound, self.parts, {}, {**colours, i: hash((colours[i], 12345))})
            split.append((sum(hash((c, 2)) for c in new.values()), i, new))
        lowest = min(s for s, _, _ in split)
        for s, _, new in split:
            if s == lowest and (self.best is None or self.leaves < LEAVES):
                self.visit(new)

    def _swap(self, i: Index, j: Index) -> bool:
        """Whether exchanging two indices maps the parts onto themselves (the others told apart by name)."""
        names = {b: hash((k, 5)) for k, b in enumerate(self.bound)}
        other = {**names, i: names[j], j: names[i]}
        touching = [f for free, f in self.parts if i in free or j in free]
        return i.size is j.size and sum(hash((f(names), 1)) for f in touching) == sum(hash((f(other), 1)) for f in touching)

    def _leaf(self, colours: Mapping[Index, int]) -> None:
        self.leaves += 1
        order = sorted(self.bound, key=lambda i: (poly_signature(i.size, {}), colours[i]))
        numbers = {i: hash((k, 77)) for k, i in enumerate(order)}
        certificate = sum(hash((f(numbers), 1)) for _, f in self.parts)
        if self.least is None or certificate < self.least:
            self.least, self.best = certificate, order
