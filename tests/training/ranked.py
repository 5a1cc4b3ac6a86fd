"""Runs over several processes; at the top of a module, so that other processes find them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import derivcheck as dc

ROWS = 11  # batches of 4 leave a last one of 3
LENGTHS = {2: (9, 2), 3: (5, 2, 4), 4: (1, 6, 2, 2)}  # of the ranks' rows, by how many ranks there are


def mlp() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()


def table(rows: int = ROWS) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(rows, 3, generator=generator, dtype=torch.float64)
    return x, torch.randn(rows, 2, generator=generator, dtype=torch.float64)


def tokens() -> tuple[Tensor, Tensor]:
    """Rows of words with ignored targets, so many that one row has none at all."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randint(0, 5, (ROWS, 6), generator=generator)
    y = torch.randint(0, 5, (ROWS, 6), generator=generator)
    y[0, :4], y[3], y[6, 1:], y[10, :2] = -100, -100, -100, -100
    return x, y


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.embedding = nn.Embedding(5, 3)
        self.out = nn.Linear(3, 5)

    def forward(self, ids: Tensor) -> Tensor:
        out: Tensor = self.out(self.embedding(ids))
        return out


def word_loss(logits: Tensor, target: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())


class Root(nn.Module):
    def forward(self, out: Tensor, target: Tensor) -> Tensor:
        return (out - target).square().mean().sqrt()


def two_counts(out: Tensor, target: Tensor) -> Tensor:
    """Two means over different counts."""
    chosen = target > 0
    return (out - target).square().mean() + ((out - target).abs() * chosen).sum() / chosen.sum()


Case = Callable[[], tuple[nn.Module, Any, Tensor, Tensor, dict[str, Any]]]


def _plain(**options: Any) -> Case:
    return lambda: (mlp(), nn.MSELoss(), *table(), {"lr": 0.1, "epochs": 3, **options})


CASES: dict[str, Case] = {
    "all rows": _plain(),
    "short last batch": _plain(batch_size=4, seed=5),
    "one row a batch": _plain(batch_size=1, epochs=1),
    "adam": _plain(batch_size=4, optimizer="adam"),
    "autograd": _plain(batch_size=4, gradient="autograd"),
    "words": lambda: (Words().double(), word_loss, *tokens(), {"lr": 0.5, "epochs": 2, "batch_size": 3}),
    "words by autograd": lambda: (
        Words().double(),
        word_loss,
        *tokens(),
        {"lr": 0.5, "epochs": 2, "batch_size": 3, "gradient": "autograd"},
    ),
    "a sum": lambda: (mlp(), nn.MSELoss(reduction="sum"), *table(), {"lr": 0.01, "epochs": 3, "batch_size": 4}),
    "two counts": lambda: (mlp(), two_counts, *table(), {"lr": 0.05, "epochs": 3, "batch_size": 6}),
}

REFUSED: dict[str, Case] = {
    "batch norm": lambda: (nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).double(), nn.MSELoss(), *table(), {}),
    "a root": lambda: (mlp(), Root(), *table(), {}),
    "two counts by autograd": lambda: (mlp(), two_counts, *table(), {"gradient": "autograd"}),
    "a wrong gradient on one rank": lambda: (mlp(), nn.MSELoss(), *table(), {"gradient": wrong_on_one}),
    "infinite on one rank": lambda: (mlp(), nn.MSELoss(), *broken(), {}),
}


def wrong_on_one(grad_output: Tensor, input: Tensor, target: Tensor, **weights: Tensor) -> dict[str, Tensor]:
    leaves = {n: w.detach().requires_grad_() for n, w in weights.items()}
    with torch.enable_grad():
        hidden = torch.tanh(nn.functional.linear(input, leaves["_0_weight"], leaves["_0_bias"]))
        out = nn.functional.linear(hidden, leaves["_2_weight"], leaves["_2_bias"])
        found = torch.autograd.grad((out - target).square().mean(), list(leaves.values()), grad_output)
    times = 2 if torch.distributed.is_initialized() and torch.distributed.get_rank() == 1 else 1
    return {n: times * g for n, g in zip(leaves, found)}


def broken() -> tuple[Tensor, Tensor]:
    x, y = table()
    x[-1, 0] = torch.inf
    return x, y


def alone(case: Case) -> dc.training.history.History:
    module, loss, x, y, options = case()
    return dc.train(module, loss, x, y, device="cpu", **options)


def own_rows(rank: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    lengths = list(LENGTHS[torch.distributed.get_world_size()])
    return torch.split(x, lengths)[rank], torch.split(y, lengths)[rank]


def outcomes(rank: int, folder: str, names: Collection[str]) -> dict[str, Any]:
    """What each case gives on this rank: losses and parameters, or the error's text."""
    found: dict[str, Any] = {}
    for name, case in {**CASES, **REFUSED}.items():
        if name not in names:
            continue
        module, loss, x, y, options = case()
        if rank:  # rank 0's are everybody's
            with torch.no_grad():
                for p in module.parameters():
                    p.add_(1)
        try:
            h = dc.train(module, loss, *own_rows(rank, x, y), device="cpu", **options)
            found[name] = (h.losses, h.final_loss, dict(h.parameters), h.world, [r.passed for r in h.reports])
        except dc.DerivcheckError as e:
            found[name] = f"{type(e).__name__}: {e}"
    found["resumed"] = _resumed(rank, Path(folder, "run.pt"))
    found["unlike"] = _unlike(rank)
    found["sharded"] = _sharded(rank)
    return found


def _resumed(rank: int, path: Path) -> Any:
    """Three epochs with a stop after the fourth step, which a signal to rank 1 asks for, and the rest."""
    import signal

    def stop(epoch: int, loss: float) -> None:
        if rank == 1 and epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    module, loss, x, y, options = CASES["short last batch"]()
    own = own_rows(rank, x, y)
    try:
        dc.train(module, loss, *own, device="cpu", checkpoint=path, on_epoch=stop, **options)
        return "was not stopped"
    except dc.RunInterrupted as e:
        said = str(e)
    module, loss, x, y, options = CASES["short last batch"]()
    h = dc.train(module, loss, *own, device="cpu", checkpoint=path, resume=True, **options)
    return said, h.losses, dict(h.parameters)


def _sharded(rank: int) -> Any:
    """FSDP2: each rank steps its own part of every parameter."""
    from torch.distributed.fsdp import fully_shard

    module, loss, x, y, options = CASES["adam"]()
    for layer in module:  # type: ignore[attr-defined]
        if isinstance(layer, nn.Linear):
            fully_shard(layer)
    fully_shard(module)
    h = dc.train(module, loss, *own_rows(rank, x, y), device="cpu", **options)
    whole = {n: p.full_tensor() for n, p in module.named_parameters()}  # type: ignore[attr-defined]
    own = module(x)
    try:
        dc.train(module, loss, *own_rows(rank, x, y), device="cpu", checkpoint="sharded.pt", **options)
    except dc.InputError as e:
        return h.losses, whole, own.detach(), str(e)


def _unlike(rank: int) -> str:
    x, y = table()
    module = nn.Linear(3, 2 + (rank == 1)).double()
    y = y.new_zeros(len(y), 2 + (rank == 1))
    try:
        dc.train(module, nn.MSELoss(), *own_rows(rank, x, y), device="cpu")
    except dc.InputError as e:
        return str(e)
    return ""


def dies_while_it_trains(rank: int) -> str:
    def gone(epoch: int, loss: float) -> None:
        if rank == 1 and epoch == 2:
            os._exit(9)

    module, loss, x, y, options = CASES["all rows"]()
    try:
        dc.train(module, loss, *own_rows(rank, x, y), device="cpu", on_epoch=gone, **{**options, "epochs": 1000})
    except dc.InputError as e:
        return str(e)
    return ""
