"""``train``: check the gradient, then take steps with it."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from derivcheck.checking.report.report import Report
from derivcheck.checking.subject.forms import called
from derivcheck.derive import derive
from derivcheck.errors import DerivcheckError, InputError, UnverifiedGradientError
from derivcheck.training.checkpoint import Checkpoint, digest_of, read
from derivcheck.training.contraction import Contraction, contraction, largest_eigenvalue
from derivcheck.training.device import choose_device
from derivcheck.training.gate import Backward, at_one, verify
from derivcheck.training.gradients import Setting, Step
from derivcheck.training.history import History
from derivcheck.training.inputs import fits_together, usable_parameters, usable_recheck, usable_settings, usable_tensor
from derivcheck.training.recheck import Recheck
from derivcheck.training.saving import Saving, Watch

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

    Args:
        module: its parameters that require grad are trained; it moves to the device.
        loss: of (output, target), one number.
        x: shape (N, …), the parameters' dtype; the module's input.
        y: shape (N, …); the loss's target.
        optimizer: ``sgd``, ``adam``, or a ``torch.optim`` class, called with the parameters and ``lr``.
        batch_size: None for all rows at once; else rows are shuffled each epoch by ``seed`` and the last batch is the rest.
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
        InputError: anything else that cannot be used, a damaged checkpoint or one of another run among it.

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
    plan = prepare(module, loss, x, y, RunOptions(lr, epochs, batch_size, device, gradient))
    called = optimizer if isinstance(optimizer, str) else getattr(optimizer, "__name__", "custom")
    history = History(plan.name, called, lr, plan.batch_size, str(plan.x.device), seed)
    run = _Run(plan, make(list(plan.setting.trained.values()), lr=lr), history, saving)
    history.reports = plan.verify(seed)
    history.notes = _notes(history.reports)
    run.to_the_end(epochs, on_epoch, recheck)
    if history.diverged:
        history.diverged += _stable_lr(plan, lr)
        warnings.warn(history.diverged, RuntimeWarning, stacklevel=2)
    return history


@dataclass(frozen=True)
class Plan:
    """A run that is ready to be checked and started.

    Attributes:
        setting: the module with its derivation.
        name: of the gradient.
        step: a batch's loss and gradients.
        backward: the gradient as the check calls it; None for the forward's own.
        x, y: the data on the run's device.
        own: the gradient is a function of the user's.
    """

    setting: Setting
    name: str
    step: Step
    backward: Backward | None
    x: torch.Tensor
    y: torch.Tensor
    batch_size: int
    own: bool = False

    def verify(self, seed: int = 0) -> tuple[Report, ...]:
        """The gate: a report per batch length (the full one, and the last one's where it is shorter), or an error."""
        lengths = _batch_lengths(len(self.x), self.batch_size)
        return verify(self.setting, [self.setting.tensors(self.x[:n], self.y[:n]) for n in lengths], self.backward, seed)

    def contraction(self, lr: float) -> Contraction | None:
        """What the Hessian over all data, at the parameters as they are, says of a learning rate."""
        return contraction(self.setting.derivation, self.setting.tensors(self.x, self.y), tuple(self.setting.trained), lr)


@dataclass(frozen=True)
class RunOptions:
    """How a run goes, as :func:`train` takes it."""

    lr: float = 0.1
    epochs: int = 50
    batch_size: int | None = None
    device: str | torch.device = "auto"
    gradient: str | Backward = "derived"


def prepare(module: nn.Module, loss: Callable[..., Any], x: torch.Tensor, y: torch.Tensor, options: RunOptions) -> Plan:
    """Everything of :func:`train` that comes before the check: its arguments and errors are the same."""
    trained = usable_parameters(module)
    usable_tensor("x", x)
    usable_tensor("y", y, floating=False)
    size = usable_settings(options.lr, options.epochs, options.batch_size, len(x))
    place = choose_device(options.device, next(iter(trained.values())).dtype)
    module.to(place)
    if isinstance(loss, nn.Module):
        loss.to(place)
    x, y = x.detach().to(place), y.detach().to(place)
    shape = fits_together(module, loss, x, y)
    trained = {called(n): p for n, p in module.named_parameters() if p.requires_grad}
    target = None if y.is_floating_point() and tuple(y.shape) == shape else y[:size]  # None: shaped like the output, by name
    derivation = derive(module, x[:size], loss=loss, target=target, wrt=tuple(trained))
    setting = Setting(module, loss, derivation, trained, x[:size])
    return Plan(setting, *_gradient(setting, options.gradient), x, y, size, own=callable(options.gradient))


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


def _gradient(setting: Setting, gradient: str | Backward) -> tuple[str, Step, Backward | None]:
    """Its name, how a step calls it, and how the check calls it (None: the forward's own backward)."""
    if callable(gradient):
        return getattr(gradient, "__name__", "own"), setting.own(gradient), at_one(gradient)
    if gradient == "derived":
        return gradient, setting.derived(), setting.derived_backward()
    if gradient == "autograd":
        return gradient, setting.autograd(), None
    raise InputError(f"gradient {gradient!r} is not known; choose derived or autograd, or pass a function")


def _batch_lengths(rows: int, size: int) -> list[int]:
    """The lengths that batches have: the full one, and the last one's where it is shorter."""
    return [size, rows % size] if rows % size else [size]


class _Run:
    """A run in progress: the plan, the optimizer, where it is, and the history that it writes."""

    def __init__(self, plan: Plan, optimizer: torch.optim.Optimizer, history: History, saving: Saving | None) -> None:
        """Take up ``saving``'s checkpoint where that is asked; parameters and optimizer are those of then."""
        self.plan, self.optimizer, self.history, self.saving = plan, optimizer, history, saving
        self.state = dict(plan.setting.module.state_dict())  # references, updated in place
        self.kept = {n: t.detach().clone() for n, t in self.state.items()}
        self.generator = torch.Generator().manual_seed(history.seed)
        self.epoch, self.batch, self.total, self.order = 1, 0, 0.0, self.generator.get_state()
        self.before = 0.0  # seconds of what came before a stop
        if saving is not None and saving.resume:
            self._resume(read(saving.path, self._identity()))
        self.start = time.perf_counter()

    def to_the_end(self, epochs: int, on_epoch: Callable[[int, float], None] | None, recheck: int | None) -> None:
        """The epochs; a gradient of the user's that changes its mind stops them, and what was learned before is kept."""
        plan, again = self.plan, None
        if plan.own and plan.backward is not None:
            again = Recheck(plan.setting, plan.backward, recheck, self.history.seed, self.state)
        try:
            with Watch(self.saving, self._checkpoint) as watch:
                steps = self._epochs(epochs, on_epoch, again, watch)
            if again is not None and not self.history.diverged:
                again.at_the_end(steps, plan.x[: plan.batch_size], plan.y[: plan.batch_size])
        except UnverifiedGradientError as error:
            self._close()
            error.history = self.history
            raise

    def _epochs(self, epochs: int, on_epoch: Callable[[int, float], None] | None, again: Recheck | None, watch: Watch) -> int:
        """The number of steps; stops at the first loss that is not finite and restores what was learned before."""
        history, x, y = self.history, self.plan.x, self.plan.y
        each = -(-len(x) // history.batch_size)
        steps = (self.epoch - 1) * each + self.batch
        while self.epoch <= epochs:
            for k, some in enumerate(self._rows()):
                if k < self.batch:  # done before the run was stopped
                    continue
                xb, yb = (x, y) if some is None else (x[some.to(x.device)], y[some.to(x.device)])
                value, grads = self.plan.step(xb, yb)
                number = float(value)
                if not math.isfinite(number):
                    self._stop(f"the run stopped in epoch {self.epoch}: the loss is {number}")
                    return steps
                steps += 1
                if again is not None:
                    again.after(steps, xb, yb, grads)
                if k == 0:
                    for n, t in self.state.items():
                        self.kept[n].copy_(t)
                for n, p in self.plan.setting.trained.items():
                    p.grad = grads[n]
                self.optimizer.step()
                self.batch, self.total = k + 1, self.total + number * len(xb)
                if self.batch == each:
                    history.losses.append(self.total / len(x))
                    self.epoch, self.batch, self.total, self.order = self.epoch + 1, 0, 0.0, self.generator.get_state()
                watch.after(steps)
                if self.batch == 0:  # the epoch is over
                    if on_epoch is not None:
                        on_epoch(self.epoch - 1, history.losses[-1])
                    break
        watch.at_the_end()
        self._close()
        if not math.isfinite(history.final_loss):
            self._stop(f"the run stopped after epoch {epochs}: the loss is {history.final_loss}")
        return steps

    def _rows(self) -> list[torch.Tensor] | list[None]:
        """The rows of this epoch's batches; None stands for all rows in order."""
        if self.history.batch_size == len(self.plan.x):
            return [None]
        self.generator.set_state(self.order)
        return list(torch.split(torch.randperm(len(self.plan.x), generator=self.generator), self.history.batch_size))

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
            "the data's hash": digest_of(self.plan.x, self.plan.y),
        }

    def _checkpoint(self) -> Checkpoint:
        """All that the run needs to go on from here to the same last bit; tensors are copies."""
        return Checkpoint(
            self._identity(),
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
        self.history.diverged = f"{why}; the parameters of the last finite loss are kept"
        self._close()

    def _close(self) -> None:
        history, setting = self.history, self.plan.setting
        history.seconds = self.before + time.perf_counter() - self.start
        for p in setting.trained.values():
            p.grad = None
        value, _ = setting.derivation.compile()(**setting.tensors(self.plan.x, self.plan.y))
        history.final_loss = float(value)
        history.parameters = {n: p.detach().clone() for n, p in setting.trained.items()}


def _stable_lr(plan: Plan, lr: float) -> str:
    """What the Hessian says of the learning rate that diverged."""
    setting = plan.setting
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
