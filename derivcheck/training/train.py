"""``train``: check the gradient, then take steps with it."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from derivcheck.checking.report.report import Report
from derivcheck.errors import DerivcheckError, InputError, UnverifiedGradientError
from derivcheck.training.batches import Batch
from derivcheck.training.checkpoint import Checkpoint, digest_of, read
from derivcheck.training.contraction import largest_eigenvalue
from derivcheck.training.gate import Backward
from derivcheck.training.gradients import Tensors
from derivcheck.training.history import History
from derivcheck.training.inputs import usable_recheck
from derivcheck.training.plan import Plan, RunOptions, prepare
from derivcheck.training.recheck import Recheck
from derivcheck.training.saving import Saving, Watch
from derivcheck.training.weights import Weights

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}


def train(
    module: nn.Module,
    loss: Callable[..., Any],
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    optimizer: str | Callable[..., torch.optim.Optimizer] = "sgd",
    lr: float = 0.1,
    epochs: int = 50,
    batch_size: int | None = None,
    device: str | torch.device = "auto",
    seed: int = 0,
    gradient: str | Backward = "derived",
    recheck: int | None = None,
    on_epoch: Callable[[int, float], None] | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
) -> History:
    """Train a module in place, with a gradient that was checked at this run's own shapes, dtype and device first.

    Where a ``torch.distributed`` process group is initialised, every rank calls it with the same module and rows of its own:
    gradients are sums over each rank's rows, added over the ranks and divided by the count of the whole batch, so that it is
    the run of one process on all rows, rank 0's first, up to rounding.  Rank 0's parameters are everybody's to begin with, and
    it writes the checkpoint; a loss that does not add over rows, and a module that mixes them, are refused.  Parameters may be
    shards of ``torch.distributed.fsdp.fully_shard``: the optimizer steps the shards, and each step gathers the whole.

    Args:
        module: its parameters that require grad are trained; it moves to the device.
        loss: of (output, target), one number.
        x: shape (N, …), the parameters' dtype, or integers that are positions; the module's input.  Of several ranks, each has
            rows of its own, at least one.
        y: shape (N, …); the loss's target.
        optimizer: ``sgd``, ``adam``, or a ``torch.optim`` class, called with the parameters and ``lr``.
        batch_size: None for all rows at once; else rows are shuffled each epoch by ``seed`` and the last batch is the rest.
            Over several ranks it counts the rows of all.
        device: ``auto``, ``cpu``, ``cuda``, ``mps``.
        gradient: ``derived``, ``autograd``, or a function called as a backward is,
            ``gradient(grad_output=..., input=..., weight=..., bias=..., target=...)``, that returns the parameters'
            gradients by name.  A function is asked again at the end.
        recheck: look again at what such a function gave every so many steps.
        on_epoch: called after each epoch with its number from 1 and its mean loss.
        checkpoint: a file that the run is saved in at its end, every ``checkpoint_every`` steps, and on SIGINT and SIGTERM,
            which end the run with RunInterrupted after the step that is going on.  It is there whole or not at all.
        resume: go on from ``checkpoint``, to the last bit as if the run had never stopped; more ``epochs`` may be asked for.

    Returns:
        The :class:`~derivcheck.training.history.History`. A run that diverges stops at the first loss that is not
        finite, keeps the parameters of the last finite one, warns, and says so in ``history.diverged``.

    Raises:
        UnverifiedGradientError: the gradient does not hold; the parameters are untouched.  Where it held and changes its mind
            later, they are those at which it was last found to hold, and ``.history`` tells of the run so far.
        UnsupportedOperation: the module's gradient cannot be derived, and so not checked.
        RunInterrupted: a signal stopped a run with a checkpoint.
        InputError: anything else that cannot be used; a damaged checkpoint, one of another run, a rank that is gone among it.

    >>> import derivcheck as dc
    >>> x = torch.linspace(0, 1, 20, dtype=torch.float64).unsqueeze(1)
    >>> model = nn.Linear(1, 1, dtype=torch.float64)
    >>> history = dc.train(model, nn.MSELoss(), x, 2 * x + 1, lr=0.5, epochs=300, device="cpu")
    >>> round(model.weight.item(), 3), round(model.bias.item(), 3)
    (2.0, 1.0)
    """
    make = _optimizer(optimizer)
    usable_recheck(recheck)
    saving = Saving.asked(checkpoint, checkpoint_every, resume)
    weights = Weights.of(module)
    if saving is not None and not weights.whole:
        raise InputError("checkpoint= keeps whole parameters, and these are sharded; save them by torch.distributed.checkpoint")
    plan = prepare(weights.module, loss, x, y, RunOptions(lr, epochs, batch_size, device, gradient))
    called = optimizer if isinstance(optimizer, str) else getattr(optimizer, "__name__", "custom")
    history = History(plan.name, called, lr, plan.batch_size, str(plan.x.device), seed, plan.group.world)
    run = _Run(plan, weights, make(weights.stepped(plan.setting.trained), lr=lr), history, saving)
    history.reports = plan.verify(seed)
    history.notes = _notes(history.reports)
    run.to_the_end(epochs, on_epoch, recheck)
    if history.diverged:
        history.diverged += _stable_lr(plan, lr)
        warnings.warn(history.diverged, RuntimeWarning, stacklevel=2)
    return history


def _notes(reports: Sequence[Report]) -> tuple[str, ...]:
    """What the gate's reports say that a reader of the run should know."""
    found: list[str] = []
    for r in reports:
        found += [f"{row.name}: {row.note}" if row.passed else row.sentence() for row in r if row.note or not row.passed]
        found += r.limits
    return tuple(dict.fromkeys(found))


def _optimizer(optimizer: str | Callable[..., torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    if callable(optimizer):
        return optimizer
    if optimizer not in OPTIMIZERS:
        raise InputError(f"optimizer {optimizer!r} is not known; choose {' or '.join(OPTIMIZERS)}, or pass a torch.optim class")
    return OPTIMIZERS[optimizer]


class _Run:
    """A run in progress: the plan, the optimizer, where it is, and the history that it writes."""

    def __init__(
        self, plan: Plan, weights: Weights, optimizer: torch.optim.Optimizer, history: History, saving: Saving | None
    ) -> None:
        """Take up ``saving``'s checkpoint where that is asked; parameters and optimizer are those of then."""
        self.plan, self.weights, self.optimizer, self.history, self.saving = plan, weights, optimizer, history, saving
        self.state = dict(plan.setting.module.state_dict())  # references, updated in place
        self.kept = {n: t.detach().clone() for n, t in self.state.items()}
        self.generator = torch.Generator().manual_seed(history.seed)
        self.epoch, self.batch, self.total, self.order = 1, 0, 0.0, self.generator.get_state()
        self.before = 0.0  # seconds of what came before a stop
        self.identity = self._identity()
        if saving is not None and saving.resume:
            with plan.group.agreed():
                saved = read(saving.path, self.identity) if plan.group.writes else None
            self._resume(plan.group.each(saved)[0])
        self.start = time.perf_counter()

    def to_the_end(self, epochs: int, on_epoch: Callable[[int, float], None] | None, recheck: int | None) -> None:
        """The epochs; a gradient of the user's that changes its mind stops them, and what was learned before is kept."""
        plan, again = self.plan, None
        if plan.own and plan.backward is not None:
            again = Recheck(plan.setting, plan.backward, recheck, self.history.seed, self.state)
        try:
            with Watch(self.saving, self._checkpoint, plan.group) as watch:
                steps = self._epochs(epochs, on_epoch, again, watch)
            if again is not None and not self.history.diverged:
                with plan.group.agreed():
                    again.anew(steps, plan.x[: plan.batch_size], plan.y[: plan.batch_size])
        except UnverifiedGradientError as error:
            self.weights.put_back()
            self._close()
            error.history = self.history
            raise

    def _epochs(self, epochs: int, on_epoch: Callable[[int, float], None] | None, again: Recheck | None, watch: Watch) -> int:
        """The number of steps; stops at the first loss that is not finite and restores what was learned before."""
        history, batches = self.history, self.plan.batches
        steps = (self.epoch - 1) * batches.steps + self.batch
        while self.epoch <= epochs:
            self.generator.set_state(self.order)
            for batch in batches.of_an_epoch(self.generator, self.batch):  # without those done before the run was stopped
                value, grads = self.plan.step(batch)
                number = float(value)
                if not math.isfinite(number):
                    self._stop(f"the run stopped in epoch {self.epoch}: the loss is {number}")
                    return steps
                steps += 1
                self._ask_again(again, steps, batch, grads)
                if self.batch == 0:
                    for n, t in self.state.items():
                        self.kept[n].copy_(t)
                self.weights.take(grads, self.plan.setting.trained)
                self.optimizer.step()
                self.weights.gather()
                self.batch, self.total = self.batch + 1, self.total + number * batch.rows
                if self.batch == batches.steps:
                    history.losses.append(self.total / batches.total)
                    self.epoch, self.batch, self.total, self.order = self.epoch + 1, 0, 0.0, self.generator.get_state()
                watch.after(steps)
                if self.batch == 0 and on_epoch is not None:  # the epoch is over
                    on_epoch(self.epoch - 1, history.losses[-1])
        watch.at_the_end()
        self._close()
        if not math.isfinite(history.final_loss):
            self._stop(f"the run stopped after epoch {epochs}: the loss is {history.final_loss}")
        return steps

    def _ask_again(self, again: Recheck | None, steps: int, batch: Batch, grads: Tensors) -> None:
        """Look at what a gradient of the user's gave; over several processes, each at its own rows."""
        if again is None:
            return
        if self.plan.group.world == 1:
            again.after(steps, batch.x, batch.y, grads)
        elif again.due(steps):
            with self.plan.group.agreed():
                if len(batch.x):
                    again.anew(steps, batch.x, batch.y)

    def _identity(self) -> dict[str, str]:
        """What makes a run this one: what has to be the same for a checkpoint to fit."""
        shapes = ", ".join(f"{n} {tuple(t.shape)} {str(t.dtype).removeprefix('torch.')}" for n, t in self.state.items())
        loss, h = self.plan.setting.loss, self.history
        return {
            "the module": shapes,
            "the loss": type(loss).__name__ if isinstance(loss, nn.Module) else getattr(loss, "__name__", "a function"),
            "the gradient": h.gradient,
            "the optimizer": h.optimizer,
            "lr": f"{h.lr:g}",
            "the batch size": str(h.batch_size),
            "the seed": str(h.seed),
            "the data's hash": " ".join(self.plan.group.each(digest_of(self.plan.x, self.plan.y))),
        }

    def _checkpoint(self) -> Checkpoint:
        """All that the run needs to go on from here to the same last bit; tensors are copies."""
        return Checkpoint(
            self.identity,
            self.epoch,
            self.batch,
            self.total,
            list(self.history.losses),
            self.order,
            torch.get_rng_state(),
            {n: t.detach().cpu().clone() for n, t in self.state.items()},
            {n: t.cpu() for n, t in self.kept.items()},
            self.optimizer.state_dict(),
            self.before + time.perf_counter() - self.start,
        )

    def _resume(self, saved: Checkpoint) -> None:
        """Everything as it was when ``saved`` was written."""
        with torch.no_grad():
            for n, t in self.state.items():
                t.copy_(saved.tensors[n])
                self.kept[n].copy_(saved.kept[n])
        self.optimizer.load_state_dict(dict(saved.optimizer))
        self.epoch, self.batch, self.total, self.order = saved.epoch, saved.batch, saved.total, saved.order
        self.generator.set_state(saved.order)
        torch.set_rng_state(saved.random)
        self.history.losses, self.before = list(saved.losses), saved.seconds

    def _stop(self, why: str) -> None:
        with torch.no_grad():
            for n, t in self.state.items():
                t.copy_(self.kept[n])
        self.weights.put_back()
        self.history.diverged = f"{why}; the parameters of the last finite loss are kept"
        self._close()

    def _close(self) -> None:
        history, setting = self.history, self.plan.setting
        history.seconds = self.before + time.perf_counter() - self.start
        for p in setting.trained.values():
            p.grad = None
        history.final_loss = self.plan.loss()
        history.parameters = {n: p.detach().clone() for n, p in setting.trained.items()}


def _stable_lr(plan: Plan, lr: float) -> str:
    """What the Hessian says of the learning rate that diverged."""
    setting = plan.setting
    if plan.group.world > 1:  # the Hessian is that of all data
        return ""
    try:
        found = plan.contraction(lr)
        top = (
            float(found.eigenvalues[-1])
            if found
            else largest_eigenvalue(setting.derivation, setting.tensors(plan.x, plan.y), tuple(setting.trained))
        )
    except DerivcheckError:
        return ""
    if not (math.isfinite(top) and top > 0):
        return ""
    return f". The largest stable lr of plain gradient descent here is {2 / top:.3g} (2/λmax of the Hessian); lr was {lr:g}"
