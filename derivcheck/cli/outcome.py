"""The main job's options and what it found, for the screen and the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from derivcheck.training.contraction import Contraction
from derivcheck.training.data import Table
from derivcheck.training.history import History

Fit = tuple[torch.Tensor, torch.Tensor]  # weight (out, in), bias (out,)


@dataclass(frozen=True)
class Settings:
    """The options of the command."""

    data: Path | None = None
    targets: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    sep: str = ","
    decimal: str = "."
    standardize: bool = False
    epochs: int = 50
    lr: float = 0.1
    optimizer: str = "sgd"
    dtype: str = "float64"
    device: str = "auto"
    seed: int = 0
    batch_size: int | None = None
    gradient: str = "derived"
    out: Path = Path("derivcheck-out")
    recheck: int | None = None
    checkpoint_every: int | None = None
    resume: bool = False
    verbose: bool = False

    def checkpoint(self, run: int) -> Path | None:
        """Where the run of that number is saved, from 1; None where nothing is saved."""
        return self.out / f"checkpoint-{run}.pt" if self.resume or self.checkpoint_every is not None else None


@dataclass(frozen=True)
class Outcome:
    """Everything that a run found, for the screen and the files.

    Attributes:
        true: what the data were made with, where that is known.
        best: least squares.
        histories, fits: by label; the first is the run that was asked for.
    """

    table: Table
    true: Fit | None
    best: Fit
    floor: float
    histories: Mapping[str, History]
    fits: Mapping[str, Fit]
    contraction: Contraction | None


def differences(outcome: Outcome) -> dict[str, float]:
    """By how much the first two runs differ: in the parameters, and in the losses."""
    first, second = list(outcome.histories)[:2]
    parameters = max(float((a - b).abs().max()) for a, b in zip(outcome.fits[first], outcome.fits[second]))
    losses = zip(outcome.histories[first].losses, outcome.histories[second].losses)
    return {"parameters": parameters, "losses": max((abs(a - b) for a, b in losses), default=0.0)}
