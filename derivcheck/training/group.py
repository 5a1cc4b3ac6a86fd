"""The processes of a run: one alone, or those of a ``torch.distributed`` group, which add what each has."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist

from derivcheck.errors import DerivcheckError, InputError


class Group:
    """One process alone.

    Attributes:
        rank, world: which process this is, of how many.
    """

    rank = 0
    world = 1

    @staticmethod
    def here() -> Group:
        """The process group that is initialised, or this process alone."""
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            return _Joined()
        return Group()

    @property
    def writes(self) -> bool:
        """Whether this process writes files: rank 0 does."""
        return self.rank == 0

    def added(self, *tensors: torch.Tensor) -> list[torch.Tensor]:
        """The sums of the processes' tensors, all of one type and device; the same bits in every process."""
        return list(tensors)

    def each(self, value: Any) -> list[Any]:
        """What every process has, in their order."""
        return [value]

    def any(self, flag: bool) -> bool:
        """Whether it is so in some process."""
        return flag

    def start_alike(self, tensors: Sequence[torch.Tensor]) -> None:
        """Give every process rank 0's values."""

    @contextmanager
    def agreed(self) -> Iterator[None]:
        """What is done in the block is done in every process, or in none: the error of one is every one's.

        Nothing in the block may wait for other processes.
        """
        yield


class _Joined(Group):
    """A process of the default process group."""

    def __init__(self) -> None:
        self.rank, self.world = dist.get_rank(), dist.get_world_size()

    def added(self, *tensors: torch.Tensor) -> list[torch.Tensor]:
        flat = torch.cat([t.detach().reshape(-1) for t in tensors])
        with self._answered():
            dist.all_reduce(flat)
        parts = torch.split(flat, [t.numel() for t in tensors])
        return [p.view(t.shape) for p, t in zip(parts, tensors)]

    def each(self, value: Any) -> list[Any]:
        found: list[Any] = [None] * self.world
        with self._answered():
            dist.all_gather_object(found, value)
        return found

    def any(self, flag: bool) -> bool:
        return any(self.each(flag))

    def start_alike(self, tensors: Sequence[torch.Tensor]) -> None:
        with self._answered(), torch.no_grad():
            for t in tensors:
                dist.broadcast(t.detach(), 0)

    @contextmanager
    def agreed(self) -> Iterator[None]:
        """Tell the others of an error, and raise theirs."""
        failed: DerivcheckError | None = None
        try:
            yield
        except DerivcheckError as e:
            failed = e
        told = self.each(None if failed is None else str(failed))
        if failed is None:
            failed = next((InputError(f"rank {k}: {text}") for k, text in enumerate(told) if text is not None), None)
        if failed is not None:
            failed.everywhere = True
            raise failed

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """A process that is gone ends the others: what they wait for never comes."""
        try:
            yield
        except (RuntimeError, ValueError) as e:
            why = (str(e).splitlines() or [type(e).__name__])[0][:120]
            raise InputError(
                f"rank {self.rank} of {self.world} waits for another rank that is gone, or meets no such reduction ({why}); "
                "the run has ended: look at what the first rank to fail says"
            ) from None


@contextmanager
def launched(device: str) -> Iterator[Group]:
    """The processes that ``torchrun`` started, joined for the time of the block: by NCCL on CUDA, else by gloo.

    Without torchrun it is this process alone, or the group that is there.
    """
    if not dist.is_available() or not dist.is_torchelastic_launched() or dist.is_initialized():
        yield Group.here()
        return
    cuda = torch.cuda.is_available() and device != "cpu"
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if cuda else "gloo")
    group = Group.here()
    try:
        yield group
    except DerivcheckError as e:
        if e.everywhere and not group.writes:
            time.sleep(1)  # torchrun ends all of them when one is gone: rank 0 tells it first
        raise
    finally:
        dist.destroy_process_group()
