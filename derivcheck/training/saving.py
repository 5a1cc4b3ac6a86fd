"""When a run is saved: every so many steps, at its end, and when somebody stops it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from derivcheck.errors import InputError, RunInterrupted
from derivcheck.training.checkpoint import Checkpoint
from derivcheck.training.group import Group

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Saving:
    """Where a run is saved.

    Attributes:
        path: the checkpoint.
        every: after so many steps; None for the end, and for a signal, alone.
        resume: go on from ``path``.
    """

    path: Path
    every: int | None = None
    resume: bool = False

    @classmethod
    def asked(cls, checkpoint: str | Path | None, every: int | None, resume: bool) -> Saving | None:
        """What ``train`` was asked.

        Raises:
            InputError: ``every`` or ``resume`` without a checkpoint, or ``every`` below 1.
        """
        if checkpoint is None:
            if every is not None or resume:
                raise InputError("checkpoint_every= and resume= need checkpoint=, the file to write and to go on from")
            return None
        if every is not None and (isinstance(every, bool) or every < 1):
            raise InputError(f"checkpoint_every is {every!r}; expected a whole number of steps, at least 1")
        return cls(Path(checkpoint), every, resume)


class Watch:
    """SIGINT and SIGTERM are held back until a step is over; then the run is saved, and ended by RunInterrupted.

    Signals can be held in the main thread alone; elsewhere, and where one is ignored (``nohup``, a job in the background), they
    do what they did.  Of several processes, a signal to one stops all.
    """

    def __init__(self, saving: Saving | None, checkpoint: Callable[[], Checkpoint], group: Group) -> None:
        self.saving, self.checkpoint, self.group = saving, checkpoint, group
        self.caught: signal.Signals | None = None
        self.before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Watch:
        if self.saving is not None and threading.current_thread() is threading.main_thread():
            heard = [s for s in SIGNALS if signal.getsignal(s) is not signal.SIG_IGN]
            self.before = {s: signal.signal(s, self._catch) for s in heard}
        return self

    def __exit__(self, *_: object) -> None:
        for s, handler in self.before.items():
            signal.signal(s, handler)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        self.caught = signal.Signals(number)

    def after(self, step: int) -> None:
        """A step is over: save the run where that is due.

        Raises:
            RunInterrupted: somebody stopped the run; it is saved.
        """
        if self.saving is None:
            return
        caught = next((s for s in self.group.each(self.caught) if s is not None), None)  # all ranks stop after the same step
        if caught is not None or (self.saving.every is not None and step % self.saving.every == 0):
            self._write(self.saving.path)
        if caught is not None:
            stopped = RunInterrupted(caught, step, self.saving.path)
            stopped.everywhere = self.group.world > 1
            raise stopped

    def at_the_end(self) -> None:
        """All epochs are over."""
        if self.saving is not None:
            self._write(self.saving.path)

    def _write(self, path: Path) -> None:
        """Rank 0 writes; where it cannot, all of them say so."""
        with self.group.agreed():
            if self.group.writes:
                self.checkpoint().write(path)
