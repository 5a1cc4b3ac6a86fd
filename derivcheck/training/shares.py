"""How micro-batches went into an accumulated gradient: as which combination of their own, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

CLOSE = 1e-8  # of the norm; a wrong combination is off by whole shares


@dataclass(frozen=True)
class Shares:
    """The parts of an accumulated gradient.

    Attributes:
        parts: each micro-batch's own gradient as one vector, shape (k, parameters).
        rows: of each micro-batch; counted: what the loss's mean is over in each (rows, or targets that are not ignored).
        rank: of each micro-batch; world: how many ranks there are.
        right: each one's share in the gradient of the whole batch.
    """

    parts: torch.Tensor
    rows: tuple[int, ...]
    counted: tuple[int, ...]
    rank: tuple[int, ...]
    world: int
    right: torch.Tensor

    def named(self, found: torch.Tensor) -> str:
        """What the combination ``found`` is, shape (parameters,), in one sentence; ``""`` where it is none that has a name."""
        for share, sentence in self._known():
            if self._is(share, found):
                return sentence
        solved = self._solved(found)
        return "" if solved is None else self._told(solved)

    def _is(self, share: torch.Tensor, found: torch.Tensor) -> bool:
        """Whether ``found`` is this combination."""
        scale = max(float((share.abs() @ self.parts.abs()).norm()), float(found.norm()))
        return float((share @ self.parts - found).norm()) <= CLOSE * scale

    def _known(self) -> Iterator[tuple[torch.Tensor, str]]:
        """Combinations that loops are known to make, the likelier first."""
        k, world = len(self.rows), self.world
        each = torch.tensor([self.rank.count(r) for r in self.rank], dtype=self.parts.dtype)
        mean = 1 / (world * each)
        adds = k > 1 and bool((self.right == 1).all())  # the loss is a sum
        uneven = not adds and not torch.allclose(mean, self.right)
        why = self._uneven()
        if world > 1:
            yield (
                self.right * world,
                f"{world}× too large: gradients are summed over {world} ranks, and the mean is taken nowhere",
            )
            yield (
                self.right / world,
                (f"{world}× too small: divided by the global count, and the reduction takes the mean over {world} ranks, too"),
            )
        if uneven:
            yield mean, f"the mean of means: {why}"
            yield mean * each, f"no micro-batch's loss is divided by their number, and then it is the mean of means: {why}"
            yield mean / each, f"divided by the number of micro-batches twice, and then it is the mean of means: {why}"
        per = int(each[0])
        if per > 1 and bool((each == per).all()):
            yield self.right * per, f"{per}× too large: {per} micro-batches are added, and none is divided by {per}"
            twice = "the loss adds, and is divided by" if adds else "divided twice by"
            yield self.right / per, f"{per}× too small: {twice} the {per} micro-batches"
        for r in range(world if world > 1 else 0):
            alone = torch.tensor([float(q == r) for q in self.rank], dtype=self.parts.dtype)
            yield alone * mean * world, f"rank {r}'s own gradient: nothing was reduced (no_sync() around the last backward?)"
        last = torch.zeros(k, dtype=self.parts.dtype)
        last[-1] = 1
        for times in {1.0, 1 / k, float(self.right[-1])}:
            yield last * times, "the last micro-batch alone: is zero_grad() called between them?"

    def _uneven(self) -> str:
        """Why a mean of means is no mean, with the numbers."""
        if self.counted != self.rows:
            what, numbers = "targets (ignored ones left out)", self.counted
        else:
            what, numbers = "rows", self.rows
        if self.world > 1 and len(self.rows) == self.world:
            who = "ranks"
        elif self.world > 1 and len({self.rank.count(r) for r in range(self.world)}) > 1:
            return "ranks with different numbers of micro-batches count alike; divide sums by the global count"
        else:
            who = "micro-batches"
        shown = ", ".join(map(str, numbers[:6])) + (", …" if len(numbers) > 6 else "")
        advice = f"weight each by what it has of all {sum(numbers)}, or add sums and divide once"
        return f"{who} of {shown} {what} count alike; {advice}"

    def _solved(self, found: torch.Tensor) -> torch.Tensor | None:
        """The shares that make ``found``, where the parts tell them apart."""
        solution = torch.linalg.lstsq(self.parts.T, found.unsqueeze(1), driver="gelsd").solution[:, 0]
        rank = int(torch.linalg.matrix_rank(self.parts))
        return solution if rank == len(self.rows) and self._is(solution, found) else None

    def _told(self, share: torch.Tensor) -> str:
        """Shares that no known loop makes: what is left out, clipped, or weighed wrongly."""
        times = share / self.right
        wrong = [i for i, t in enumerate(times.tolist()) if abs(t - 1) > 1e-6]
        names = ", ".join(str(i + 1) for i in wrong)
        if len(wrong) < len(self.rows) and all(abs(share[i]) < 1e-9 for i in wrong):
            return f"micro-batch {names} of {len(self.rows)} is not in it"
        if len(wrong) == 1:
            i = wrong[0]
            unit = self.counted[i] / float(times[i])
            if abs(unit - round(unit)) < 1e-6 and round(unit) > self.counted[i]:
                return (
                    f"micro-batch {i + 1} enters {float(times[i]):.4g} times: its mean is taken over {round(unit)}, and it has "
                    f"{self.counted[i]} (padding that is counted?)"
                )
        if clipped := self._clipped(times):
            return clipped
        told = "; ".join(f"{i + 1} enters {float(times[i]):.4g} times" for i in wrong[:4])
        return f"of the micro-batches, {told} what belongs to it" + (", …" if len(wrong) > 4 else "")

    def _clipped(self, times: torch.Tensor) -> str:
        """Whether several parts are shortened to one length, and the others are whole: clipping before the sum.

        One alone that is too short says nothing of why.
        """
        short = [i for i, t in enumerate(times.tolist()) if 0 < t < 1 - 1e-6]
        whole = all(abs(float(t) - 1) < 1e-6 for i, t in enumerate(times) if i not in short)
        if len(short) < 2 or not whole:
            return ""
        for weight in (self.right, torch.ones_like(self.right)):  # clipped after its loss was weighted, or before
            lengths = [float(x) for x in (times * weight * self.parts.norm(dim=1))[short]]
            if max(lengths) / min(lengths) - 1 < 1e-4:
                names = ", ".join(str(i + 1) for i in short)
                return (
                    f"micro-batches {names} come in with norm {lengths[0]:.4g}, shortened: clipped before the sum; "
                    "clip the accumulated gradient"
                )
        return ""


def shares_of(
    whole: torch.Tensor, parts: torch.Tensor, counts: Sequence[tuple[int, ...]]
) -> tuple[torch.Tensor, tuple[int, ...]]:
    """Each part's share in the whole batch's gradient, and the count that it comes from: the first of ``counts`` that fits.

    Raises:
        ValueError: none does: the whole is no mean over its parts.
    """
    scale = float(whole.norm()) + float(parts.norm())
    for count in counts:
        share = torch.tensor(count, dtype=parts.dtype) / max(sum(count), 1)
        for times in (share, torch.ones_like(share)):  # a mean, a sum
            if float((times @ parts - whole).norm()) <= CLOSE * scale:
                return times, count
    raise ValueError("the whole batch's gradient is no weighted sum of the micro-batches' own")
