"""What can go wrong, in classes that a caller can tell apart.

Every message names the input, what was found, what was expected, and what to do.
"""

from __future__ import annotations

from typing import Any


class DerivcheckError(Exception):
    """The base class of derivcheck's errors."""


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
        super().__init__(f"{operator}{where} cannot be derived: {reason}{advice}")


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
