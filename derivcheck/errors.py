"""What can go wrong, in classes that a caller can tell apart.

Every message names the input, what was found, what was expected, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


def perhaps(name: str, known: Iterable[str]) -> str:
    """The one of the known names that was perhaps meant, as the end of a sentence; ``""`` where none is near.

    >>> perhaps("wieght", ["weight", "bias"]), perhaps("x", ["weight"])
    ("; did you mean 'weight'?", '')
    """
    names = list(known)
    near = [n for n in names if n.casefold() == name.casefold()] or get_close_matches(name, names, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


class DerivcheckError(Exception):
    """The base class of derivcheck's errors.

    Attributes:
        everywhere: of a run over several processes, every one raised it: one of them is enough to tell it.
    """

    everywhere = False


class InputError(DerivcheckError, ValueError):
    """An input that cannot be used: a size clash, an unreadable file, a device that is not there."""


class NotationError(InputError):
    """Index text that cannot be read."""


class UnsupportedOperation(DerivcheckError, NotImplementedError):
    """A derivation that derivcheck cannot do: names the operator and where it stands in the user's code.

    Attributes:
        operator: the operator's name, for example ``aten.sort``.
        place: ``file.py:line`` of the user's code, or None.
        anywhere: it is refused whatever the sizes: it was met at those of the example.
    """

    anywhere = False

    def __init__(self, operator: str, reason: str = "it has no row", place: str | None = None, instead: str = "") -> None:
        self.operator, self.reason, self.place = operator, reason, place
        where = f" at {place}" if place else ""
        advice = f". {instead}" if instead else ""
        super().__init__(f"{operator}{where} cannot be derived: {reason.rstrip('.') if advice else reason}{advice}")


class GradientMismatch(DerivcheckError, AssertionError):
    """A gradient that does not hold; ``.report`` tells which and why."""

    def __init__(self, report: Any) -> None:
        self.report = report
        super().__init__(str(report))


class UnverifiedGradientError(DerivcheckError):
    """Training refused or stopped: the gradient does not hold at the run's own shapes; ``.report`` tells why.

    Attributes:
        history: of a run that had begun, what it did; else None.
    """

    def __init__(self, message: str, report: Any = None) -> None:
        self.report = report
        self.history: Any = None
        super().__init__(message)


class RunInterrupted(DerivcheckError):
    """A training run that a signal stopped, after its state was saved.

    Attributes:
        signal: the signal's number, 2 for SIGINT and 15 for SIGTERM.
        step: how many steps were done.
        path: the checkpoint.
    """

    def __init__(self, signal: Any, step: int, path: Any) -> None:
        self.signal, self.step, self.path = int(signal), step, path
        super().__init__(f"stopped by {signal.name} after step {step}; {path} goes on from there with resume")
