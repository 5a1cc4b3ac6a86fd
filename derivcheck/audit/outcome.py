"""What an audit found, as plain data: it goes to a terminal, a page, JSON, and from one test worker to another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from derivcheck import display

HOLDS, WRONG, UNDECIDED, UNCHECKED = "holds", "wrong", "undecided", "not checked"
TONES = {HOLDS: "good", WRONG: "bad", UNDECIDED: "open", UNCHECKED: "open"}
WORST_FIRST = (WRONG, UNCHECKED, UNDECIDED, HOLDS)


@dataclass(frozen=True)
class JudgedKind:
    """A backward at one kind of input.

    Attributes:
        inputs: ``x 8×64, w 64, float32``.
        place: where it was called first.
        verdict: ``holds``, ``wrong``, ``undecided`` or ``not checked``.
        said: what is to be known of it, a line each.
        lines: of the code that can be repaired alone, the likelier first.
        fix, diff: an edit that makes it right, in words and as a diff; or "".
    """

    inputs: str
    place: str
    verdict: str
    said: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    fix: str = ""
    diff: str = ""


@dataclass(frozen=True)
class JudgedBackward:
    """A hand-written backward.

    Attributes:
        name: what it is.
        sort: ``Function``, ``operator`` or ``hook``.
        place: where it is defined.
        calls, backwards: how often its forward and its backward ran.
        kinds: it at each kind of input.
        notes: what is to be known of all kinds.
        allowed: it is meant to be as it is, which the caller has said.
    """

    name: str
    sort: str
    place: str
    calls: int
    backwards: int
    kinds: tuple[JudgedKind, ...]
    notes: tuple[str, ...] = ()
    allowed: bool = False

    @property
    def verdict(self) -> str:
        """The worst of its kinds'."""
        found = {k.verdict for k in self.kinds}
        return next((v for v in WORST_FIRST if v in found), UNCHECKED)

    @property
    def tone(self) -> str:
        """How a page shows it."""
        return "open" if self.allowed and self.verdict == WRONG else TONES[self.verdict]

    @property
    def word(self) -> str:
        """The verdict as a table has it."""
        return f"{self.verdict}, allowed" if self.allowed and self.verdict != HOLDS else self.verdict

    @property
    def line(self) -> str:
        """The line that is wrong; of one that cannot be told, where it is defined."""
        return next((line for k in self.kinds for line in k.lines), "")

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {**asdict(self), "verdict": self.verdict}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> JudgedBackward:
        """What :meth:`to_dict` gave."""
        kinds = tuple(JudgedKind(**{**k, "said": tuple(k["said"]), "lines": tuple(k["lines"])}) for k in data["kinds"])
        rest = {n: v for n, v in data.items() if n not in ("kinds", "notes", "verdict")}
        return cls(**rest, kinds=kinds, notes=tuple(data["notes"]))


@dataclass(frozen=True)
class Audit:
    """All that an audit found; true where every gradient holds.

    Attributes:
        name: what was audited.
        passes: backward passes that were over.
        rows: each hand-written backward that was met.
        unreached: those that were not: name and place.
        notes: how it ended, and what else the reader should know.

    >>> right = JudgedBackward("GELU", "Function", "gelu.py:3", 4, 4, (JudgedKind("x 2×3, float32", "train.py:7", HOLDS),))
    >>> print(Audit("train.py", 2, (right,)))
    train.py: 2 backward passes, 1 hand-written backward: it holds
      GELU  gelu.py:3  4 calls  holds
    """

    name: str
    passes: int
    rows: tuple[JudgedBackward, ...] = ()
    unreached: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every backward holds, but for those that are allowed not to."""
        return all(r.verdict == HOLDS or r.allowed for r in self.rows)

    @property
    def faulty(self) -> bool:
        """Whether some gradient is wrong that is not allowed to be."""
        return any(r.verdict == WRONG and not r.allowed for r in self.rows)

    def __bool__(self) -> bool:
        return self.passed

    def __iter__(self) -> Iterator[JudgedBackward]:
        return iter(self.rows)

    def __getitem__(self, name: str) -> JudgedBackward:
        for r in self.rows:
            if r.name == name:
                return r
        raise KeyError(f"{name!r} was not met; those are {', '.join(r.name for r in self.rows) or 'none'}")

    @property
    def headline(self) -> str:
        """How many were met, and how many are wrong, undecided or not checked."""
        met = f"{self.name}: {_many(self.passes, 'backward pass', 'es')}, {_many(len(self.rows), 'hand-written backward')}"
        if not self.rows:
            return met
        if all(r.verdict == HOLDS for r in self.rows):
            return f"{met}: {'it holds' if len(self.rows) == 1 else 'all hold'}"
        counts = {w: sum(r.word == w for r in self.rows) for w in dict.fromkeys(r.word for r in self.ordered)}
        return f"{met}: " + ", ".join(f"{n} {word}" for word, n in counts.items())

    @property
    def ordered(self) -> list[JudgedBackward]:
        """The rows, the worst first."""
        return sorted(self.rows, key=lambda r: (r.allowed, WORST_FIRST.index(r.verdict)))

    def __str__(self) -> str:
        rows = [(r.name, r.place, times(r), r.word) for r in self.ordered]
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in rows]
        return "\n".join([self.headline, *lines, *self.said()])

    def said(self) -> Iterator[str]:
        """What stands below the table: what is wrong, with its line and its fix; what was not reached; how it ended."""
        for r in self.ordered:
            yield from details(r)
        if self.unreached:
            yield f"Never reached: {', '.join(self.unreached)}"
        yield from self.notes

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "name": self.name,
            "passed": self.passed,
            "backward_passes": self.passes,
            "backwards": [r.to_dict() for r in self.rows],
            "unreached": list(self.unreached),
            "notes": list(self.notes),
        }

    def to_html(self) -> str:
        """One page that loads nothing."""
        from derivcheck.audit.page import page  # loads jinja2

        return page(self)

    def _repr_html_(self) -> str:
        tone = "good" if self.passed else "bad" if self.faulty else "open"
        head = [("what", ""), ("where", ""), ("calls", "number"), ("verdict", "")]
        rows = [[(r.name, ""), (r.place, ""), (str(r.calls), "number"), (r.word, r.tone)] for r in self.ordered]
        shown = display.table(head, rows) if rows else ""
        return display.piece(display.verdict(self.headline, tone), shown, display.lines(self.said()))


def details(r: JudgedBackward) -> Iterator[str]:
    """What a row's place in the table does not say: of the kinds that do not hold all, of the others what is left open."""
    if r.verdict == HOLDS and not r.notes:
        return
    yield ""
    for k in r.kinds:
        if k.verdict != HOLDS:
            yield f"{r.name} at {k.inputs}: {k.verdict}"
            yield from (f"  {line}" for line in k.said)
            yield from (f"  {'or ' if n else ''}line {line}" for n, line in enumerate(k.lines))
            if k.fix:
                yield f"  fix: {k.fix}"
                yield from (f"    {line}" for line in k.diff.splitlines())
    yield from (f"{r.name}: {note}" for note in r.notes)


def times(r: JudgedBackward) -> str:
    """How often it ran."""
    return _many(r.calls, "call")


def allowing(rows: Iterable[JudgedBackward], allowed: Iterable[str]) -> tuple[JudgedBackward, ...]:
    """The rows, those marked whose names fit one of the patterns (``Grad*``)."""
    patterns = list(allowed)
    return tuple(replace(r, allowed=any(fnmatchcase(r.name, p) for p in patterns)) for r in rows)


def _many(n: int, what: str, ending: str = "s") -> str:
    return f"{n} {what}{'' if n == 1 else ending}"
