"""The report of a check: a row per gradient, and what to do about a wrong one.

A verdict is ``passed``; or a fault (``wrong``, ``missing``, ``extra``, ``shape``, ``dtype``,
``changed input``, ``raised``); or neither: ``vacuous`` (the arithmetic of this type cannot tell),
``right but ill-conditioned`` (right numbers by an unstable way), ``undecided`` (the witnesses disagree),
``not reproduced`` (the derivation is not the forward: nothing is said of its gradient).
``docs/verdicts.md`` says what each means for a test, a training run and the command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from derivcheck import display
from derivcheck.checking.report.row import Row
from derivcheck.notation.values.shortest import told_apart


@dataclass(frozen=True)
class Note:
    """A sentence for the reader; ``open``: of what a pass leaves open."""

    text: str
    open: bool = False


@dataclass(repr=False)
class Report:
    """All findings of a check.

    Attributes:
        notes: what the reader should know, a sentence each.
        limits: those of the notes that say what a pass leaves open (``never reached: …``, ``fixed at …``, ``torch's own: …``,
            ``refuses …``); with ``strict`` they are no pass.
        reached: each side of each condition on the data that decides the gradient -> what first took it (``the data``, or the
            probe); ``""`` where nothing did.

    >>> r = Report("f", [Row("x"), Row("w", "missing", note="the backward returned no gradient for w")])
    >>> r.passed, r["x"].passed, [row.name for row in r]
    (False, True, ['x', 'w'])
    >>> print(r)
    f: 1 of 2 gradients does not hold
      w: missing: the backward returned no gradient for w
    """

    name: str
    rows: list[Row]
    dtype: str = "float64"
    device: str = "cpu"
    seed: int = 0
    sizes: Mapping[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    reached: dict[str, str] = field(default_factory=dict)
    strict: bool = False
    reproduce: Callable[[], str] | None = field(default=None, repr=False)

    @property
    def passed(self) -> bool:
        """Whether every gradient holds; with ``strict`` also that nothing is left open."""
        return all(r.passed for r in self.rows) and not (self.strict and self.limits)

    @property
    def faulty(self) -> bool:
        """Whether some gradient is surely not right: what stops a training run."""
        return any(r.faulty for r in self.rows)

    @property
    def failures(self) -> list[Row]:
        """The rows that did not pass, in order."""
        return [r for r in self.rows if not r.passed]

    def leave_open(self, *sentences: str) -> None:
        """Note what a pass leaves open."""
        self.notes.extend(sentences)
        self.limits.extend(sentences)

    def __getitem__(self, name: str) -> Row:
        for r in self.rows:
            if r.name in (name, f"_{name}" if name[:1].isdigit() else name):
                return r
        raise KeyError(f"{name!r} is not in the report; it has {', '.join(r.name for r in self.rows)}")

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        """Short, and without looking for reasons: a debugger and pytest show it unasked."""
        return f"<report: {self._verdict()}; print it for more>"

    def _verdict(self) -> str:
        """How many gradients hold, at which sizes."""
        if bad := self.failures:
            return (
                f"{self.name}: {len(bad)} of {_count(len(self.rows), 'gradient')} {'do' if len(bad) > 1 else 'does'} not hold"
                + (f" ({self.dtype}{_sizes(self.sizes)})" if self.sizes else "")
            )
        more = "" if self.passed else ", but not all was reached, as strict=True asks"
        return f"{self.name}: {_all(len(self.rows))}{more} ({self.dtype}{_sizes(self.sizes)})"

    def __str__(self) -> str:
        return "\n".join(self._failing() if self.failures else self._passing())

    def _passing(self) -> list[str]:
        """What is said of a check that holds: per gradient its error, its bound and what would have been seen."""
        lines = [self._verdict()]
        width = max((len(r.name) for r in self.rows), default=0)
        for r in self.rows:
            witnesses = ", ".join(w.name for w in r.witnesses if w.agrees)
            lines.append(
                f"  {r.name:<{width}}  error {r.max_error:.1e} within {r.tolerance:.1e}; would have seen {r.sensitivity:.0e}"
                + (f"; agrees with {witnesses}" if witnesses else "")
                + (f"; {r.note}" if r.note else "")
            )
        return lines + [f"  {n}" for n in self.notes]

    def _failing(self) -> list[str]:
        """What is said of one that does not: the first faulty gradient in full, three more in a line or two."""
        bad = self.failures
        lines = [self._verdict()]
        first = next((r for r in bad if r.faulty), bad[0])
        for r in [first, *(r for r in bad if r is not first)][:4]:
            same = r is not first and r.faulty and self._alike(r, first)
            told = f"; the same, in {' or '.join(x.place for x in r.lines)}" if same else ""
            lines.append(f"  {r.sentence()}" + (f", shown by {r.where}" if r.where else "") + told)
            lines += [f"    {line}" for line in (self._details(r) if r is first else () if same else self._why(r))]
        if len(bad) > 4:
            lines.append(f"  and {len(bad) - 4} more: {', '.join(r.name for r in bad[4:])}")
        return lines

    def _details(self, r: Row) -> list[str]:
        """The worst element of a wrong gradient, why it is wrong, and what to do next."""
        lines = []
        if r.wrong and r.found is not None and r.expected is not None and r.worst_index is not None:
            found, expected = told_apart(r.found, r.expected)
            lines.append(
                f"worst at {list(r.worst_index)}: found {found}, expected {expected}; "
                f"rounding explains at most {r.tolerance:.1e}"
            )
        lines += self._why(r)
        if r.advice:
            lines.append(r.advice)
        if r.faulty and self.reproduce is not None:
            lines.append("next: report.reproducer(), or --reproducer FILE.py on the command line, shows this with torch alone")
        return lines

    def _alike(self, r: Row, first: Row) -> bool:
        """Whether what is to be said of a gradient has been said of the first, of the same lines."""
        return bool(r.lines) and r.lines == first.lines and _apart(r) == _apart(first)

    def _why(self, r: Row) -> list[str]:
        """Why it is wrong, where, and in which line."""
        lines = [f"likely: {r.likely}"] if r.likely is not None else []
        if r.only_where and r.likely != r.only_where:
            lines.append(r.only_where)
        return lines + [f"{'or ' if k else ''}line {line}" for k, line in enumerate(r.lines)]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data for JSON."""
        return {
            "name": self.name,
            "passed": self.passed,
            "dtype": self.dtype,
            "device": self.device,
            "seed": self.seed,
            "sizes": dict(self.sizes),
            "notes": list(self.notes),
            "limits": list(self.limits),
            "reached": dict(self.reached),
            "strict": self.strict,
            "gradients": [r.to_dict() for r in self.rows],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Report:
        """The report that :meth:`to_dict` gave; what looks for reasons, or reproduces, is not in it.

        >>> report = Report("f", [Row("x", max_error=float("inf"))], sizes={"N": 3})
        >>> Report.from_dict(report.to_dict()).to_dict() == report.to_dict()
        True
        """
        kept = {n: data[n] for n in ("dtype", "device", "seed", "sizes", "notes", "limits", "reached", "strict")}
        return cls(data["name"], [Row.from_dict(r) for r in data["gradients"]], **kept)

    def reproducer(self) -> str:
        """A short Python file that shows the failure with torch alone."""
        if self.reproduce is None:
            raise ValueError("the report has no failure to reproduce")
        return self.reproduce()

    def table(self) -> Any:
        """The report as a table for a terminal (``rich``)."""
        from derivcheck.checking.report.table import table  # loads rich

        return table(self)

    def __rich__(self) -> Any:
        return self.table()

    def _repr_html_(self) -> str:
        """A notebook shows what the text says: the verdict, a table, and what is wrong or left open."""
        first, *rest = str(self).splitlines()
        head = [("gradient", ""), *((n, "number") for n in ("largest error", "bound", "would have seen")), ("verdict", "")]
        rows = []
        for r in self.rows:
            numbers = [(f"{x:.1e}" if r.count or r.passed else "", "number") for x in (r.max_error, r.tolerance, r.sensitivity)]
            rows.append([(r.name, ""), *numbers, (r.verdict, "good" if r.passed else "bad" if r.faulty else "open")])
        said = [n.strip() for n in self.notes] if not self.failures else [line.removeprefix("  ") for line in rest]
        tone = "good" if self.passed else "bad" if self.faulty else "open"
        return display.piece(display.verdict(first, tone), display.table(head, rows), display.lines(said))

    def plot(self, path: str | None = None) -> Any:
        """``|error| / bound`` of each faulty gradient as a matplotlib Figure; written to ``path`` where that is given."""
        from derivcheck.checking.report.plot import plot  # loads matplotlib

        return plot(self, path)


def _apart(r: Row) -> tuple[str, str]:
    """What is said of a gradient, but for its name and for numbers."""
    words = str(r.likely).removeprefix(f"{r.name}: ")
    return words.rpartition(": ")[2], r.only_where


def _all(n: int) -> str:
    return "the gradient holds" if n == 1 else f"all {n} gradients hold"


def _count(n: int, what: str) -> str:
    return f"{n} {what}" + ("" if n == 1 else "s")


def _sizes(sizes: Mapping[str, int]) -> str:
    return ", " + ", ".join(f"{n}={v}" for n, v in sizes.items()) if sizes else ""
