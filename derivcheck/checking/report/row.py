"""A row of a report: what was found of one gradient, and what each witness says of the derived one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

FAULTS = ("wrong", "missing", "extra", "shape", "dtype", "changed input", "raised")
NOT_REPRODUCED = "not reproduced"
SECONDS, QUICK = 3.0, 0.8  # for a sentence; where an edit of the code tells what is wrong


@dataclass(frozen=True)
class Witness:
    """What another way of finding a gradient says of the derived one.

    Attributes:
        name: ``autograd``, ``differences``, ``SymPy`` or ``direction``.
        agrees: None where it could not be judged.
        max_error: the largest difference from the derived gradient.
        tolerance: the bound at that element.
        note: what it covered (``all 512 elements``, ``64 of 16384 elements``).
    """

    name: str
    agrees: bool | None
    max_error: float = 0.0
    tolerance: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class Row:
    """The finding of one gradient (an input's, or a named intermediate's).

    Attributes:
        name: the input's name, or the intermediate's (``y_bar``).
        verdict: see :mod:`~derivcheck.checking.report.report`; decided in :mod:`~derivcheck.checking.verdict.verdict` alone.
        max_error: the largest error of an element.
        tolerance: the error that rounding explains, at the worst element.
        worst_index: where the error is most above its bound.
        found, expected: both values there.
        wrong, count: elements above their bound, and all.
        sensitivity: the smallest error, relative to the gradient's norm, that would have been seen.
        witnesses: what the other ways say of the derived gradient.
        where: the probe that showed it, with its sizes.
        note: one more sentence.
        bar: what defines the derived gradient in the adjoint.
        advice: what to do about it, where that is not to mend the gradient.
    """

    name: str
    verdict: str = "passed"
    max_error: float = 0.0
    tolerance: float = 0.0
    worst_index: tuple[int, ...] | None = None
    found: float | None = None
    expected: float | None = None
    wrong: int = 0
    count: int = 0
    aside: int = 0
    sensitivity: float = 0.0
    witnesses: tuple[Witness, ...] = ()
    where: str = ""
    note: str = ""
    bar: str = ""
    advice: str = ""
    _diagnose: Callable[[float], Any] | None = field(default=None, repr=False)
    _repair: Callable[[], Any] | None = field(default=None, repr=False)
    _where: Callable[[], str | None] | None = field(default=None, repr=False)
    evidence: Any = field(default=None, repr=False)  # the run that showed it

    @property
    def passed(self) -> bool:
        """Whether the gradient holds."""
        return self.verdict == "passed"

    @property
    def faulty(self) -> bool:
        """Whether it is surely not right."""
        return self.verdict in FAULTS

    @cached_property
    def diagnosis(self) -> Any:
        """Why it is wrong, in one sentence, or None.  Looked for when asked for the first time, in a fix at last."""
        return self.likely or (self.fix and str(self.fix.words)) or None

    @cached_property
    def likely(self) -> Any:
        """The same as a report prints it, which looks for no fix that nobody asked for."""
        words = self._words(simple=True)
        found = None if self._diagnose is None else self._diagnose(QUICK if words else SECONDS)
        if found is not None and (found.plain or words and found.kind == "scale"):
            return found.because(words) if words else found
        cause = found if found is not None and found.causal else None
        return words or self.only_where or cause or self._words() or found or None

    def _words(self, simple: bool = False) -> str:
        """What is wrong in the one line of this gradient that a fix, if one is found at once, changes."""
        told = [line.words for line in self.lines if line.words and (line.simple or not simple)]
        return told[0] if told else ""

    @cached_property
    def only_where(self) -> str:
        """``right except where x = 0``, where one condition on the data says which elements are wrong; or ``""``."""
        found = None if self._where is None or self.verdict != "wrong" else self._where()
        return found or ""

    @property
    def lines(self) -> tuple[Any, ...]:
        """The lines of the backward's code that can be repaired alone, at most two, the likelier first."""
        found = None if self._repair is None else self._repair()
        return () if found is None else tuple(found.lines_of(self.name))

    @property
    def fix(self) -> Any:
        """Edits of the backward's code that make every gradient right (``.edits``, ``.status``, ``.alternatives``), or None.

        Looked for when asked for the first time, for all gradients that are wrong on the same data together.
        """
        found = None if self._repair is None else self._repair()
        return None if found is None else found.fix

    @property
    def _diagnosis(self) -> Any:
        """The diagnosis, where somebody has asked for it."""
        return vars(self).get("diagnosis")

    def sentence(self) -> str:
        """What is the matter, in one line."""
        if self.passed:
            return f"{self.name}: passed, largest error {self.max_error:.2g}" + (f" ({self.note})" if self.note else "")
        if self.verdict in ("missing", "extra", "shape", "dtype", "changed input", "raised"):
            return f"{self.name}: {self.verdict}: {self.note}"
        if self.verdict == "wrong":
            return f"{self.name}: wrong in {self.wrong} of {self.count} elements" + (f" ({self.note})" if self.note else "")
        return f"{self.name}: {self.verdict}" + (f": {self.note}" if self.note else "")

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON; the diagnosis included."""
        return {
            "name": self.name,
            "verdict": self.verdict,
            "passed": self.passed,
            "max_error": _plain(self.max_error),
            "tolerance": _plain(self.tolerance),
            "worst_index": None if self.worst_index is None else list(self.worst_index),
            "found": _plain(self.found),
            "expected": _plain(self.expected),
            "wrong": self.wrong,
            "count": self.count,
            "set_aside": self.aside,
            "smallest_error_seen": _plain(self.sensitivity),
            "where": self.where,
            "note": self.note,
            "diagnosis": None if self.passed or self.diagnosis is None else str(self.diagnosis),
            "witnesses": [
                {
                    "name": w.name,
                    "agrees": w.agrees,
                    "max_error": _plain(w.max_error),
                    "tolerance": _plain(w.tolerance),
                    "note": w.note,
                }
                for w in self.witnesses
            ],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Row:
        """The row that :meth:`to_dict` gave, without its diagnosis."""
        witnesses = [
            Witness(w["name"], w["agrees"], float(w["max_error"]), float(w["tolerance"]), w["note"]) for w in data["witnesses"]
        ]
        found, expected = (None if data[n] is None else float(data[n]) for n in ("found", "expected"))
        return cls(
            data["name"],
            data["verdict"],
            float(data["max_error"]),
            float(data["tolerance"]),
            None if data["worst_index"] is None else tuple(data["worst_index"]),
            found,
            expected,
            data["wrong"],
            data["count"],
            data["set_aside"],
            float(data["smallest_error_seen"]),
            tuple(witnesses),
            data["where"],
            data["note"],
        )


def _plain(x: float | None) -> float | str | None:
    """A float that JSON can hold: infinities and NaN as text."""
    return x if x is None or x == x and abs(x) != float("inf") else str(x)
