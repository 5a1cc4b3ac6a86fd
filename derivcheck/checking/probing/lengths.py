"""Sizes that kernels branch on: each size at each of many lengths, and all sizes at the same one.

So many are looked at by a glance (the adjoint's value without its bound); what differs there is then judged in full.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from derivcheck.checking.arithmetic.cost import pricing
from derivcheck.checking.arithmetic.pairs import HALVES
from derivcheck.checking.probing.situations import WORK, Probe
from derivcheck.checking.subject.draw import fitting
from derivcheck.checking.subject.elsewhere import at_sizes, changeable
from derivcheck.checking.subject.subject import Subject, Upstream

LENGTHS = (4, 32, 7, 64, 16, 2, 8, 128, 3, 5, 6, 9, 129)  # what has found most comes first
FEW = (7, 16, 64)  # in half precision, where each is judged in full
RECURRENT = 16  # a recurrence is evaluated step by step
TOTAL = 2e7  # multiplications for all of them
DEFINITION = 2e4  # as many multiplications as one more definition costs
STRIDE = 5  # by how many lengths two sizes of one probe are apart
NAME = "sizes 2 to 129"


class Lengths:
    """The probes at other lengths, within a budget.  torch's own kernels are not asked: they are the same at every length."""

    def __init__(self, s: Subject, upstream: Upstream, sizes: Mapping[str, int], usual: Mapping[str, int]) -> None:
        self.s, self.upstream, self.sizes, self.usual = s, upstream, sizes, usual
        self.free = changeable(s, sizes)
        self.price = pricing(s.derivation.adjoint.definitions)
        self.overhead = DEFINITION * len(s.derivation.adjoint.definitions)
        self.dropped: list[str] = []  # lengths for which the budget left nothing

    def __iter__(self) -> Iterator[Probe]:
        """A probe for each length that the budget of multiplications allows; sizes one at a time where they cannot move
        together."""
        generator, total = torch.Generator().manual_seed(31), 0.0  # a seed of its own: its data do not hang on other probes
        seen = [dict(self.sizes)]
        for length, choices in self._choices():
            fitted = [fitting(self.s.derivation.program, c, self.free) for c in choices]
            admitted = [c for c in fitted if c is not None]
            tried = [c for c in admitted if (price := self.price(c)) <= WORK and total + price + self.overhead <= TOTAL]
            if admitted and not tried:
                self.dropped.append(f"{length}" if len(choices) > 1 else f"{length} each")
            for c in tried[:1] if tried and tried[0] is fitted[0] else tried:
                if c not in seen:
                    seen.append(c)
                    total += self.price(c) + self.overhead
                    yield Probe(NAME, *at_sizes(self.s, c, self.upstream, generator), refusable=True, glanced=True)

    def _choices(self) -> Iterator[tuple[int, list[dict[str, int]]]]:
        """For each length, sizes at once, and what to try one at a time where these are not possible; then one size for all."""
        if not self.free or self.s.native:
            return
        lengths: tuple[int, ...] = FEW if any(g.dtype in HALVES for g in self.upstream.values()) else LENGTHS
        if any(d.recurrent for d in self.s.derivation.program.definitions):
            lengths = tuple(n for n in lengths if n <= RECURRENT)
        for k, length in enumerate(lengths):
            apart = {n: lengths[(k + STRIDE * j) % len(lengths)] for j, n in enumerate(self.free)}
            yield length, [dict(self.sizes) | apart, *(dict(self.usual) | {n: length} for n in self.free[:4])]
        for length in lengths if len(self.free) > 1 else ():
            yield length, [dict(self.sizes) | dict.fromkeys(self.free, length)]
