"""``diagnose``: the first hypothesis, cheapest first, that reproduces a wrong gradient, also at sizes it was not fitted on."""

from __future__ import annotations

from dataclasses import dataclass

from derivcheck.diagnosis.case import Case


@dataclass(frozen=True)
class Diagnosis:
    """Why a gradient is wrong.

    Attributes:
        sentence: the finding in one sentence, in the words of the field.
        kind: the family of mistakes (``scale``, ``path``, ``sum``, …).
        confirmed: the sizes at which the hypothesis reproduced the backward, the first is where it was found.
        alternatives: other explanations that reproduce it everywhere it could be run.
        tell_apart: the input that would tell the alternatives apart, or "".
    """

    sentence: str
    kind: str
    confirmed: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()
    tell_apart: str = ""

    def __str__(self) -> str:
        return self.sentence


def diagnose(case: Case) -> Diagnosis | None:
    """The mistake that reproduces what the backward returned, or None."""
    return None
