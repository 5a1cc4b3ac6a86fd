"""What came of an invariant that the user offered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from derivcheck.proof.report.counterexample import Counterexample

PLACES = {"base": "its base", "step": "its step, from the invariant's own earlier elements"}


@dataclass(frozen=True)
class Invariant:
    """What came of an invariant that was offered.

    Attributes:
        name: the recurrence that it is about.
        status: ``holds``, ``fails at base``, ``fails at step`` or ``undecided``.
        counterexample: where it fails: what the recurrence gives there, and what the invariant gives.
    """

    name: str
    status: str
    counterexample: Counterexample | None = None

    def __str__(self) -> str:
        if self.status == "holds":
            return f"the invariant of {self.name} holds, by induction"
        if self.counterexample is None:
            return f"the invariant of {self.name} is undecided, and is not used"
        return f"the invariant of {self.name} fails at {PLACES[self.status.removeprefix('fails at ')]}: {self.counterexample}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        example = self.counterexample.to_dict() if self.counterexample else None
        return {"name": self.name, "status": self.status, "counterexample": example}
