"""The backwards that a test suite runs: seen from its first test to its last, and checked then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from derivcheck.audit.judging import judged
from derivcheck.audit.observer import Observer
from derivcheck.audit.outcome import WORST_FIRST, Audit, JudgedBackward, JudgedKind, allowing


@dataclass
class Suite:
    """One process of a test run: ``start``, the tests, ``finish``."""

    observer: Observer = field(default_factory=Observer)

    def start(self) -> None:
        """Look from here on."""
        self.observer.__enter__()

    def finish(self) -> dict[str, Any]:
        """Look no more, and check what was seen: plain data, for :func:`together`."""
        self.observer.__exit__()
        rows = [row.to_dict() for row in judged(self.observer)]
        return {"passes": self.observer.passes, "rows": rows}


def together(parts: Sequence[Mapping[str, Any]], allow: Iterable[str] = ()) -> Audit:
    """What the processes of a test run found, as one."""
    found: dict[tuple[str, str], JudgedBackward] = {}
    for row in (JudgedBackward.from_dict(r) for part in parts for r in part["rows"]):
        key = (row.name, row.place)
        found[key] = _joined(found[key], row) if key in found else row
    return Audit("the test suite", sum(p["passes"] for p in parts), allowing(found.values(), allow))


def _joined(a: JudgedBackward, b: JudgedBackward) -> JudgedBackward:
    """One backward that two processes met."""
    kinds: dict[str, JudgedKind] = {}
    for k in (*a.kinds, *b.kinds):
        other = kinds.get(k.inputs, k)
        kinds[k.inputs] = min(other, k, key=lambda k: WORST_FIRST.index(k.verdict))
    notes = tuple(dict.fromkeys((*a.notes, *b.notes)))
    return replace(a, calls=a.calls + b.calls, backwards=a.backwards + b.backwards, kinds=tuple(kinds.values()), notes=notes)
