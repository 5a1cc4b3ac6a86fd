"""Which rows a step takes: of all rows in one process, or of those that each process has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Batch:
    """What one process has of a batch.

    Attributes:
        x, y: its rows; there may be none.
        rows: of the whole batch.
        once: this process adds what the rows do not (a penalty on the weights): exactly one does.
    """

    x: torch.Tensor
    y: torch.Tensor
    rows: int
    once: bool = True


@dataclass(frozen=True)
class Batches:
    """The batches of an epoch.

    The rows of all processes count as one table, rank 0's first; a batch is drawn from all of them, and each process takes what
    it has of it.  So a run in several processes takes the steps that one process would take on the whole table.

    Attributes:
        x, y: this process's rows.
        size: of a whole batch.
        lengths: how many rows each process has.
        rank: which process this is.
    """

    x: torch.Tensor
    y: torch.Tensor
    size: int
    lengths: tuple[int, ...]
    rank: int = 0

    @property
    def total(self) -> int:
        """The rows of all processes."""
        return sum(self.lengths)

    @property
    def steps(self) -> int:
        """The batches of an epoch; the last one may be shorter."""
        return -(-self.total // self.size)

    def all(self) -> Batch:
        """Every row, in order."""
        return Batch(self.x, self.y, self.total, self.rank == 0)

    def of_an_epoch(self, generator: torch.Generator, skip: int = 0) -> Iterator[Batch]:
        """The batches in the order that ``generator`` draws, without the first ``skip``; all rows at once are not shuffled."""
        if self.size == self.total:
            if not skip:
                yield self.all()
            return
        drawn = torch.randperm(self.total, generator=generator)
        for some in torch.split(drawn, self.size)[skip:]:
            yield self._taken(some)

    def first(self, each: Sequence[int]) -> Batch:
        """A batch of the first rows of each process: so many of them."""
        n = each[self.rank]
        return Batch(self.x[:n], self.y[:n], sum(each), self.rank == 0)

    def _taken(self, some: torch.Tensor) -> Batch:
        """The rows of a batch that are here, in its order."""
        if len(self.lengths) == 1:
            here = some.to(self.x.device)
            return Batch(self.x[here], self.y[here], len(some))
        ends = torch.tensor(self.lengths).cumsum(0)
        owner = torch.bucketize(some, ends, right=True)
        here = (some[owner == self.rank] - (ends[self.rank] - self.lengths[self.rank])).to(self.x.device)
        return Batch(self.x[here], self.y[here], len(some), int(owner.min()) == self.rank)
