"""A step over several processes: each one's sums over its own rows, added, and divided by the counts of the whole batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from derivcheck.derivation.rows import RowSum, row_sum
from derivcheck.derived import Derivation
from derivcheck.errors import InputError
from derivcheck.training.batches import Batch
from derivcheck.training.gradients import Setting, Step, Tensors
from derivcheck.training.group import Group


class RankSteps:
    """Steps whose loss and gradients are those of the whole batch, and the same bits in every process.

    Args:
        group: the processes.
        setting: the module with its derivation, as every process has them.
        example: a batch of some rows.

    Raises:
        InputError: the loss does not add over rows, or a forward changes the module's buffers.
    """

    def __init__(self, group: Group, setting: Setting, example: Batch) -> None:
        """Rewrite the derivation as a sum over rows, and compile it and its counts."""
        self.group, self.setting = group, setting
        if setting.follows_buffers:
            raise InputError(
                "the module's forward changes its buffers (running statistics), and every rank would keep others; call .eval() "
                "on what does, or train in one process"
            )
        d = setting.derivation
        self.sum: RowSum = row_sum(d.program, (setting.x_name, setting.y_name), setting.trained)
        self.run = Derivation(self.sum.loss, tuple(setting.trained), name=d.name).compile()
        self.counting = None if self.sum.counts is None else Derivation(self.sum.counts, ()).compile()
        self.none = {n: torch.zeros_like(c) for n, c in self._counted(self._given(example)).items()}

    def derived(self, batch: Batch) -> tuple[torch.Tensor, Tensors]:
        """By the generated code of the sum."""
        counts = self._counts(batch)
        value, grads = self._nothing()
        if len(batch.x):
            numbers: dict[str, Any] = {self.sum.rows: batch.rows, self.sum.once: float(batch.once)}
            some = next(iter(self.setting.trained.values()))
            shared = {n: torch.as_tensor(v, dtype=some.dtype, device=some.device) for n, v in {**numbers, **counts}.items()}
            value, grads = self.run(**self._given(batch), **{n: t for n, t in shared.items() if n in self.sum.loss.inputs})
        return self._added(value, grads)

    def weighted(self, step: Step) -> Any:
        """Each process's own loss and gradients by ``step``, weighted by what it has of the whole batch's count.

        Raises:
            InputError: the loss is divided by several counts.
        """
        share = self.sum.share
        if share is None:
            raise InputError(
                "the loss is divided by several counts, or by none that each rank has a part of, so the ranks' own gradients "
                "have no weights that make the whole batch's; use gradient='derived', or train in one process"
            )

        def taken(batch: Batch) -> tuple[torch.Tensor, Tensors]:
            here, whole = self._share(batch, share)
            value, grads = self._nothing()
            if len(batch.x) and here:
                value, grads = step(batch.x, batch.y)
                value, grads = value * (here / whole), {n: g * (here / whole) for n, g in grads.items()}
            return self._added(value, grads)

        return taken

    def _given(self, batch: Batch) -> dict[str, torch.Tensor]:
        return self.setting.tensors(batch.x, batch.y)

    def _share(self, batch: Batch, share: str) -> tuple[float, float]:
        """What this process has of the count, and the whole of it."""
        if share == "":
            return 1.0, 1.0
        if share == self.sum.rows:
            return float(len(batch.x)), float(batch.rows)
        return float(self._own_counts(batch)[share]), float(self._counts(batch)[share])

    def _own_counts(self, batch: Batch) -> dict[str, torch.Tensor]:
        """What this process has of each count; generated code need not take a batch of no rows."""
        return self._counted(self._given(batch)) if len(batch.x) else self.none

    def _counted(self, given: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if self.counting is None or self.sum.counts is None:
            return {}
        found = self.counting(**{n: given[n] for n in self.sum.counts.inputs})[0]
        several = found if isinstance(found, (tuple, list)) else (found,)
        return {n: v.double() for n, v in zip(self.sum.counts.outputs, several)}

    def _counts(self, batch: Batch) -> dict[str, torch.Tensor]:
        """The whole batch's counts: one small sum over the processes, before the gradients' own."""
        own = self._own_counts(batch)
        return dict(zip(own, self.group.added(*own.values()))) if own else {}

    def _nothing(self) -> tuple[torch.Tensor, Tensors]:
        """What a process without rows adds."""
        trained = self.setting.trained
        some = next(iter(trained.values()))
        return some.new_zeros(()), {n: torch.zeros_like(p) for n, p in trained.items()}

    def _added(self, value: torch.Tensor, grads: Tensors) -> tuple[torch.Tensor, Tensors]:
        names = list(self.setting.trained)
        loss, *found = self.group.added(value, *(grads[n].to(value.dtype) for n in names))
        return loss, dict(zip(names, found))
