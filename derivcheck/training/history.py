"""What a run did: its losses, where it stopped and why."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from derivcheck import display

if TYPE_CHECKING:
    import torch

    from derivcheck.checking.report.report import Report


@dataclass(repr=False)
class History:
    """The record of a training run.

    Attributes:
        losses: the mean loss of each epoch, taken before its steps as they come (for a full batch: before its step).
        final_loss: the loss over all data with the parameters that are kept.
        parameters: copies of the parameters that are kept, by name.
        gradient, optimizer, lr, batch_size, device, seed: what was run.
        world: how many processes ran it.
        reports: the gate's report for each batch shape of the run.
        notes: what the reader should know (a one-element gradient that was reshaped).
        diverged: why the run stopped early, or None.
        seconds: the time of the epochs, without the gate.
    """

    gradient: str
    optimizer: str
    lr: float
    batch_size: int
    device: str
    seed: int
    world: int = 1
    losses: list[float] = field(default_factory=list)
    final_loss: float = float("nan")
    parameters: Mapping[str, torch.Tensor] = field(default_factory=dict)
    reports: tuple[Report | Any, ...] = ()
    notes: tuple[str, ...] = ()
    diverged: str | None = None
    seconds: float = 0.0

    @property
    def epochs(self) -> int:
        """The number of epochs whose loss was finite."""
        return len(self.losses)

    def to_csv(self) -> str:
        """The text of a CSV: a row per epoch with its loss.

        >>> print(History("derived", "sgd", 0.1, 4, "cpu", 0, losses=[2.0, 1.0]).to_csv(), end="")
        epoch,loss
        1,2.0
        2,1.0
        """
        return histories_csv({"loss": self})

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON-able values."""
        return {
            "gradient": self.gradient,
            "optimizer": self.optimizer,
            "lr": self.lr,
            "batch_size": self.batch_size,
            "device": self.device,
            "seed": self.seed,
            "world": self.world,
            "epochs": self.epochs,
            "seconds": self.seconds,
            "losses": self.losses,
            "final_loss": self.final_loss if math.isfinite(self.final_loss) else None,
            "parameters": {n: p.tolist() for n, p in self.parameters.items()},
            "notes": list(self.notes),
            "diverged": self.diverged,
        }

    def _repr_html_(self) -> str:
        """A notebook shows what the text says, and the loss by epoch as a line."""
        first, *rest = str(self).splitlines()
        tone = "bad" if self.diverged else "good"
        plot = display.curve(self.losses, f"loss of {self.epochs} epochs")
        return display.piece(display.verdict(first, tone), plot, display.lines(rest))

    def __str__(self) -> str:
        start = f"{self.losses[0]:.6g}" if self.losses else "nothing"
        lines = [
            f"{self.gradient} gradient, {self.optimizer}, lr {self.lr:g}, {self.epochs} epochs on {self.device}"
            f"{f', {self.world} ranks' if self.world > 1 else ''}: "
            f"loss {start} → {self.final_loss:.6g}"
        ]
        return "\n".join([*lines, *self.notes, *([self.diverged] if self.diverged else [])])

    def __repr__(self) -> str:
        return f"<run: {str(self).splitlines()[0]}>"


def histories_csv(runs: Mapping[str, History]) -> str:
    """Several runs beside each other: the epoch (counted from 1), then a column of losses per run.

    >>> a = History("derived", "sgd", 0.1, 4, "cpu", 0, losses=[2.0, 1.0])
    >>> b = History("autograd", "sgd", 0.1, 4, "cpu", 0, losses=[2.0])
    >>> print(histories_csv({"derived": a, "autograd": b}), end="")
    epoch,derived,autograd
    1,2.0,2.0
    2,1.0,
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["epoch", *runs])
    for k in range(max((len(h.losses) for h in runs.values()), default=0)):
        writer.writerow([k + 1, *(repr(h.losses[k]) if k < len(h.losses) else "" for h in runs.values())])
    return out.getvalue()
