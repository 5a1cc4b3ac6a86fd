"""What a proof says: proved, refuted or undecided, in words that claim no more than was shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from derivcheck import display
from derivcheck.errors import DerivcheckError
from derivcheck.notation.program.program import Program
from derivcheck.proof.claims.lemmas import Lemma
from derivcheck.proof.claims.sides import OWN, public
from derivcheck.proof.report import tex
from derivcheck.proof.report.counterexample import Counterexample
from derivcheck.proof.report.invariant import Invariant


@dataclass(frozen=True)
class Part:
    """The verdict on one gradient.

    Attributes:
        name: whose gradient it is.
        status: ``proved``, ``refuted`` or ``undecided``.
        opened: the names that had to be replaced by what they mean.
        detail: how it was proved, or what resisted.
        counterexample: where it is wrong, of a refuted one that numbers show.
    """

    name: str
    status: str
    opened: tuple[str, ...] = ()
    detail: str = ""
    seconds: float = 0.0
    counterexample: Counterexample | None = None

    def __str__(self) -> str:
        shown = self.detail or (self.counterexample.told if self.counterexample is not None else "")
        return f"{self.name}: {self.status}" + (f", {shown}" if shown else "")

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        example = {} if self.counterexample is None else {"counterexample": self.counterexample.to_dict()}
        return {"name": self.name, "status": self.status, "opened": list(self.opened), "detail": self.detail, **example}


@dataclass(frozen=True, repr=False)
class Proof:
    """Whether a claimed backward is the gradient, for every size.

    Attributes:
        parts: a verdict per claimed gradient.
        conditions: under which conditions, in words.
        rules: the rewritings that were used.
        counterexample: where a refuted claim is wrong, at the smallest sizes that show it.
        tried: the sizes at which both sides were compared on numbers.
        lemmas: the definitions of the claim that were proved equal to definitions of the derivation, in order.
        notes: the certificate of the traces that the Program rests on.
        invariants: what came of the invariants that were offered.
    """

    parts: tuple[Part, ...]
    conditions: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    counterexample: Counterexample | None = None
    tried: tuple[dict[str, int], ...] = ()
    lemmas: tuple[Lemma, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    forward: Program | None = field(default=None, repr=False)
    adjoint: Program | None = field(default=None, repr=False)
    invariants: tuple[Invariant, ...] = ()
    diagnose: Callable[[], Mapping[str, Any]] | None = field(default=None, repr=False, compare=False)

    @cached_property
    def _checked(self) -> Mapping[str, Any]:
        """What a check says of each refuted gradient."""
        return {} if self.diagnose is None else self.diagnose()

    @cached_property
    def diagnosis(self) -> str | None:
        """Why a refuted claim is wrong, in one sentence, or None.  Looked for when asked for the first time."""
        return next((str(r.diagnosis) for r in self._checked.values() if r.diagnosis is not None), None)

    @property
    def fix(self) -> Any:
        """Edits of the backward's code that make every gradient right, as a report's rows have them, or None."""
        return next((r.fix for r in self._checked.values() if r.fix is not None), None)

    @property
    def status(self) -> str:
        """``refuted`` if a part is, else ``undecided`` if a part is, else ``proved``."""
        found = {p.status for p in self.parts}
        return "refuted" if "refuted" in found else "undecided" if "undecided" in found or not found else "proved"

    def __getitem__(self, name: str) -> Part:
        for p in self.parts:
            if p.name == name:
                return p
        raise KeyError(f"no gradient of {name!r} was claimed; claimed are {', '.join(p.name for p in self.parts)}")

    @property
    def explanation(self) -> str:
        """The verdict with its reasons, as text."""
        lines = [self._verdict()]
        if self.counterexample is not None:
            lines.append(f"  {self.counterexample.told}")
        told: list[Any] = []  # rows whose lines stand there
        for p in self.parts:  # the first example stands above
            row = self._checked.get(p.name)
            same = row is not None and any(row.lines and row.lines == r.lines and row.likely == r.likely for r in told)
            again = f"; the same, in {' or '.join(x.place for x in row.lines)}" if row is not None and same else ""
            lines.append(f"  {replace(p, counterexample=None) if p.counterexample is self.counterexample else p}{again}")
            if row is not None and not same:
                told.append(row)
                lines += [f"    likely: {row.likely}"] if row.likely is not None else []
                lines += [f"    {'or ' if k else ''}line {line}" for k, line in enumerate(row.lines)]
        if self.status == "proved":
            if self.conditions:
                lines.append("under these conditions: " + "; ".join(self.conditions))
            if self.rules:
                lines.append("by these rules: " + "; ".join(self.rules))
            for x in self.lemmas:
                if x.claim.name != f"{OWN}{x.target.name}":
                    lines.append(f"  {public(x.claim.name)} is {x.target.name}: {x.how}")
        lines += [f"  {invariant}" for invariant in self.invariants]
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """A notebook shows what the explanation says, its verdict in colour."""
        first, *rest = self.explanation.splitlines()
        tone = {"proved": "good", "refuted": "bad"}.get(self.status, "open")
        return display.piece(display.verdict(first, tone), display.lines(line.removeprefix("  ") for line in rest))

    def to_latex(self) -> str:
        """The proof for notes: LaTeX that stands in a document with amsmath."""
        words = tex.words
        lines = [rf"\paragraph{{{self.status.capitalize()}}}", words(self.explanation.splitlines()[0]) + "."]
        lines += (rf"\[ {tex.equation(x.claim, x.target)} \] \noindent {words(x.how)}." for x in self.lemmas)
        if self.counterexample is not None:
            lines.append(words(str(self.counterexample)) + ".")
        lines += (words(f"{str(i)[0].upper()}{str(i)[1:]}") + "." for i in self.invariants)
        if self.conditions:
            lines.append(r"\noindent Conditions: " + "; ".join(map(words, self.conditions)) + ".")
        if self.status == "proved" and self.rules:
            lines.append(r"\noindent Rules: " + "; ".join(map(words, self.rules)) + ".")
        return "\n".join(lines)

    def _verdict(self) -> str:
        """The first line of the explanation: what is said of which gradients."""
        names = ", ".join(p.name for p in self.parts if self.status in ("proved", p.status))
        if self.status == "proved":
            return f"proved for all sizes over the reals, for the traced Program: the gradient of {names}"
        agrees = _sizes(self.tried) if self.status == "undecided" else ""
        return f"{self.status}: the gradient of {names}" + (f"; agrees on numbers at {agrees}" if agrees else "")

    def __str__(self) -> str:
        return self.explanation

    def __repr__(self) -> str:
        """Short, and without looking for reasons: a debugger and pytest show it unasked."""
        return f"<proof: {self._verdict()}; print it for more>"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "status": self.status,
            "parts": [p.to_dict() for p in self.parts],
            "diagnosis": self.diagnosis,
            "conditions": list(self.conditions),
            "rules": list(self.rules),
            "lemmas": [{"claim": public(x.claim.name), "is": x.target.name, "how": x.how} for x in self.lemmas],
            "invariants": [i.to_dict() for i in self.invariants],
            "counterexample": self.counterexample.to_dict() if self.counterexample else None,
            "tried": [dict(s) for s in self.tried],
            "notes": list(self.notes),
            "seconds": self.seconds,
        }


class NotProved(DerivcheckError, AssertionError):
    """A gradient that was not proved; ``.proof`` tells why."""

    def __init__(self, proof: Proof) -> None:
        self.proof = proof
        super().__init__(str(proof))


def _sizes(tried: tuple[dict[str, int], ...]) -> str:
    if not tried:
        return ""
    names = ", ".join(tried[0])
    values = [f"({', '.join(map(str, s.values()))})" for s in tried[-4:]]
    return f"{len(tried)} choices of sizes, ({names}) = {', '.join(values)} among them" if names else "the sizes tried"
