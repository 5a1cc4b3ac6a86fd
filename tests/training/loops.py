"""Training loops that accumulate a gradient, rightly and wrongly; at the top of a module, so that other processes find them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

Batches = Sequence[tuple[torch.Tensor, torch.Tensor]]
Loss = Callable[..., Any]


def batches(*rows: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(3)
    return [(torch.randn(n, 3, generator=generator), torch.randn(n, 2, generator=generator)) for n in rows]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def _rows(batches: Batches) -> int:
    return sum(len(x) for x, _ in batches)


def weighted(module: nn.Module, loss: Loss, batches: Batches) -> None:
    """Right: each mean weighs what its batch has of all rows."""
    for x, y in batches:
        (loss(module(x), y) * len(x) / _rows(batches)).backward()


def undivided(module: nn.Module, loss: Loss, batches: Batches) -> None:
    """The 1/k is missing."""
    for x, y in batches:
        loss(module(x), y).backward()


def divided_twice(module: nn.Module, loss: Loss, batches: Batches) -> None:
    """In the loss, and in the gradients once more."""
    for x, y in batches:
        (loss(module(x), y) / len(batches)).backward()
    for p in module.parameters():
        if p.grad is not None:
            p.grad /= len(batches)


def zeroed_between(module: nn.Module, loss: Loss, batches: Batches) -> None:
    """zero_grad() stands within the loop."""
    for x, y in batches:
        module.zero_grad()
        (loss(module(x), y) * len(x) / _rows(batches)).backward()


def first_left_out(module: nn.Module, loss: Loss, batches: Batches) -> None:
    """The loop starts at the second."""
    for x, y in batches[1:]:
        (loss(module(x), y) * len(x) / _rows(batches)).backward()


def clipped_each(module: nn.Module, loss: Loss, batches: Batches) -> None:
    """Each micro-batch's gradient is clipped, and then they are added."""
    total = {n: torch.zeros_like(p) for n, p in module.named_parameters()}
    for x, y in batches:
        module.zero_grad()
        (loss(module(x), y) * len(x) / _rows(batches)).backward()
        nn.utils.clip_grad_norm_(module.parameters(), 0.05)
        total = {n: total[n] + p.grad for n, p in module.named_parameters() if p.grad is not None}
    for n, p in module.named_parameters():
        p.grad = total[n]


def one_too_light(module: nn.Module, loss: Loss, batches: Batches) -> None:
    """The second micro-batch enters 0.37 times, for no reason that its gradient tells."""
    for k, (x, y) in enumerate(batches):
        (loss(module(x), y) * len(x) / _rows(batches) * (0.37 if k == 1 else 1)).backward()


def padding_counted(module: nn.Module, loss: Loss, batches: Batches) -> None:
    """Rows of zeros bring the last batch to the length of the first, and the mean counts them."""
    full = len(batches[0][0])
    for x, y in batches:
        part = (module(x) - y).square().sum() / (full * y.shape[1])
        (part * len(x) / _rows(batches)).backward()


def once_over_the_wire(module: Any, loss: Loss, batches: Batches) -> None:
    """Right under DistributedDataParallel where ranks have as many rows: only the last backward is reduced."""
    with module.no_sync():
        for x, y in batches[:-1]:
            (loss(module(x), y) / len(batches)).backward()
    x, y = batches[-1]
    (loss(module(x), y) / len(batches)).backward()


def never_reduced(module: Any, loss: Loss, batches: Batches) -> None:
    """no_sync() is around the last one, too."""
    with module.no_sync():
        for x, y in batches:
            (loss(module(x), y) / len(batches)).backward()


def raises_on_one_rank(module: Any, loss: Loss, batches: Batches) -> None:
    """A rank that raises while the others wait for it."""
    if torch.distributed.get_rank() == 1:
        raise RuntimeError("no room left")
    once_over_the_wire(module, loss, batches)


def dies_on_one_rank(module: Any, loss: Loss, batches: Batches) -> None:
    """A rank that is gone."""
    import os

    if torch.distributed.get_rank() == 1:
        os._exit(9)
    once_over_the_wire(module, loss, batches)
