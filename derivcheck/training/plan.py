"""A run that is ready to be checked and started: the module with its derivation, the gradient, the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from derivcheck.checking.report.report import Report
from derivcheck.checking.subject.forms import called
from derivcheck.derive import derive
from derivcheck.errors import InputError
from derivcheck.training.batches import Batch, Batches
from derivcheck.training.contraction import Contraction, contraction
from derivcheck.training.device import choose_device
from derivcheck.training.gate import Backward, at_one, verify, verify_used
from derivcheck.training.gradients import Setting, Step, Tensors
from derivcheck.training.group import Group
from derivcheck.training.inputs import fits_together, usable_parameters, usable_settings, usable_tensor
from derivcheck.training.over_ranks import RankSteps

LOOKED_AT = 4  # rows of each process in the gate's batch over all; odd ranks give one more, so that they are uneven


@dataclass(frozen=True)
class RunOptions:
    """How a run goes, as :func:`~derivcheck.training.train.train` takes it."""

    lr: float = 0.1
    epochs: int = 50
    batch_size: int | None = None
    device: str | torch.device = "auto"
    gradient: str | Backward = "derived"


@dataclass(frozen=True)
class Plan:
    """A run that is ready to be checked and started.

    Attributes:
        setting: the module with its derivation.
        name: of the gradient.
        step: a batch's loss and gradients, over all processes.
        backward: the gradient as the check calls it; None for the forward's own.
        batches: the data on the run's device, and which rows a step takes.
        group: the processes.
        own: the gradient is a function of the user's.
    """

    setting: Setting
    name: str
    step: Callable[[Batch], tuple[torch.Tensor, Tensors]]
    backward: Backward | None
    batches: Batches
    group: Group
    own: bool = False

    @property
    def x(self) -> torch.Tensor:
        """This process's rows of the input."""
        return self.batches.x

    @property
    def y(self) -> torch.Tensor:
        """This process's rows of the target."""
        return self.batches.y

    @property
    def batch_size(self) -> int:
        """The rows of a batch, over all processes."""
        return self.batches.size

    def verify(self, seed: int = 0) -> tuple[Report, ...]:
        """The gate: a report per batch length (the full one, and the last one's where it is shorter), or an error.

        Over several processes each checks the gradient at rows of its own, and all of them what comes over the wire for a
        batch of everybody's first rows.
        """
        with self.group.agreed():
            shapes = [self.setting.tensors(self.x[:n], self.y[:n]) for n in self._lengths()]
            reports = verify(self.setting, shapes, self.backward, seed)
        if self.group.world > 1:
            reports = (*reports, self._verify_wire(seed))
        return reports

    def loss(self) -> float:
        """Over all data, with the parameters as they are."""
        if self.group.world > 1:
            return float(self.step(self.batches.all())[0])
        value, _ = self.setting.derivation.compile()(**self.setting.tensors(self.x, self.y))
        return float(value)

    def contraction(
        self, lr: float, x: torch.Tensor | None = None, y: torch.Tensor | None = None, together: int | None = None
    ) -> Contraction | None:
        """What the Hessian over rows (this process's own), at the parameters as they are, says of a learning rate.

        ``together``: of a loss that is a mean over rows: how many are looked at together; None for all.
        """
        x, y = self.x if x is None else x, self.y if y is None else y
        count, device = together or len(x), self.x.device
        parts = [
            (len(a) / len(x), self.setting.tensors(a.to(device), b.to(device)))
            for a, b in zip(torch.split(x, count), torch.split(y, count))
        ]
        return contraction(self.setting.derivation, parts, tuple(self.setting.trained), lr)

    def _lengths(self) -> list[int]:
        """The lengths that batches have here."""
        size, rows = self.batch_size, len(self.x)
        if self.group.world > 1:
            return [min(size, rows)]
        return [size, rows % size] if rows % size else [size]

    def _verify_wire(self, seed: int) -> Report:
        each = [min(n, LOOKED_AT + rank % 2) for rank, n in enumerate(self.batches.lengths)]
        batch = self.batches.first(each)
        _, used = self.step(batch)
        parts = self.group.each((batch.x.cpu(), batch.y.cpu()))
        x, y = (torch.cat([p[k] for p in parts]).to(self.x.device) for k in (0, 1))
        with self.group.agreed():
            return verify_used(self.setting, self.setting.tensors(x, y), used, seed)


def prepare(module: nn.Module, loss: Callable[..., Any], x: torch.Tensor, y: torch.Tensor, options: RunOptions) -> Plan:
    """Everything of a training run that comes before the check: its arguments and errors are those of ``train``."""
    group = Group.here()
    with group.agreed():
        usable_parameters(module)
        usable_tensor("x", x, floating=False)
        usable_tensor("y", y, floating=False)
    lengths = group.each(len(x))
    with group.agreed():
        size = usable_settings(options.lr, options.epochs, options.batch_size, sum(lengths))
        place = choose_device(options.device, next(iter(usable_parameters(module).values())).dtype)
        module.to(place)
        if isinstance(loss, nn.Module):
            loss.to(place)
        x, y = x.detach().to(place), y.detach().to(place)
        shape = fits_together(module, loss, x, y)
    _alike(group, module, x, y)
    batches = Batches(x, y, size, tuple(lengths), group.rank)
    with group.agreed():
        trained = {called(n): p for n, p in module.named_parameters() if p.requires_grad}
        n = size if group.world == 1 else _example(min(size, *lengths), module, x, y)
        target = None if y.is_floating_point() and tuple(y.shape) == shape else y[:n]  # None: shaped like the output, by name
        derivation = derive(module, x[:n], loss=loss, target=target, wrt=tuple(trained))
        setting = Setting(module, loss, derivation, trained, x[:n])
        name, local, backward = _gradient(setting, options.gradient)
        step = _over_all(group, setting, name if isinstance(options.gradient, str) else "", local, Batch(x[:n], y[:n], n))
    return Plan(setting, name, step, backward, batches, group, own=callable(options.gradient))


def _alike(group: Group, module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
    """Every process starts from rank 0's parameters and buffers, which have to be of the same shapes as its own."""
    if group.world == 1:
        return
    state = module.state_dict()

    def told(t: torch.Tensor, rows: bool = False) -> str:
        return f"{tuple(t.shape[1:] if rows else t.shape)} {str(t.dtype).removeprefix('torch.')}"

    own = {n: told(t) for n, t in state.items()} | {"a row of x": told(x, True), "a row of y": told(y, True)}
    for rank, there in enumerate(group.each(own)):
        other = next((n for n in {**there, **own} if there.get(n) != own.get(n)), None)
        if other is not None:
            raise InputError(
                f"{other} is {there.get(other, 'nothing')} on rank {rank} and {own.get(other, 'nothing')} on rank "
                f"{group.rank}; every rank trains the same module on rows of its own"
            )
    group.start_alike(list(state.values()))


def _example(rows: int, module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> int:
    """How many rows the derivation sees: as many as nothing else is long, where it may be, so that no size is mixed up."""
    taken = {n for t in (*module.parameters(), *module.buffers()) for n in t.shape} | {*x.shape[1:], *y.shape[1:]}
    return next((n for n in range(rows, 1, -1) if n not in taken), rows)


def _gradient(setting: Setting, gradient: str | Backward) -> tuple[str, Step, Backward | None]:
    """Its name, how a step calls it, and how the check calls it (None: the forward's own backward)."""
    if callable(gradient):
        return getattr(gradient, "__name__", "own"), setting.own(gradient), at_one(gradient)
    if gradient == "derived":
        return gradient, setting.derived(), setting.derived_backward()
    if gradient == "autograd":
        return gradient, setting.autograd(), None
    raise InputError(f"gradient {gradient!r} is not known; choose derived or autograd, or pass a function")


def _over_all(
    group: Group, setting: Setting, name: str, local: Step, example: Batch
) -> Callable[[Batch], tuple[torch.Tensor, Tensors]]:
    """A step over all processes."""
    if group.world > 1:
        ranks = RankSteps(group, setting, example)
        return ranks.derived if name == "derived" else ranks.weighted(local)
    return lambda batch: local(batch.x, batch.y)
