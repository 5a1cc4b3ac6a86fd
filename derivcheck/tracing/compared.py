"""What the code did with the sizes that it read: its comparisons are conditions, for the other branch was never seen."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.program import Requirement
from derivcheck.notation.sizes import Poly
from derivcheck.tracing.assign import Traces
from derivcheck.tracing.fit import Fit
from derivcheck.tracing.naming import statement
from derivcheck.tracing.places import is_user
from derivcheck.tracing.reads import fitted
from derivcheck.tracing.recording import Frame
from derivcheck.tracing.unify import Unified
from derivcheck.tracing.watched import Comparison, Escape, Place


class Compared:
    """The comparisons that all recordings of some code made, with what was compared as functions of the sizes."""

    def __init__(self, traces: Traces, unified: Unified) -> None:
        self.traces = traces
        fit = Fit([{n: a[n] for n in traces.free()} for a in traces.assignments])
        for dims in unified.dims:
            for p in dims:
                fit.learn(p)
        logs = [r.log for r in traces.recordings]
        used = {n: None for g in logs for c in g.comparisons for p in (c.left, c.right) for n in p.sizes()}
        used |= {n: None for g in logs for e in g.escapes for n in e.poly.sizes()}
        keys = [n for n in used if n.startswith("?")]
        self.read = fitted(keys, [r.reads for r in traces.recordings], traces.assignments, fit)

    def _meant(self, poly: Poly) -> Poly | None:
        found = self.traces.resolve(poly.substitute(self.read))
        return None if any(n.startswith("?") for n in found.sizes()) else found

    def _all(self) -> Iterator[tuple[int, Comparison]]:
        for k, r in enumerate(self.traces.recordings):
            yield from ((k, c) for c in r.log.comparisons if _counts(c.place))

    def requirements(self) -> dict[tuple[Requirement, Place], None]:
        """What the comparisons found, where all recordings found the same.

        Raises:
            UnsupportedOperation: what was compared is no function of the sizes that can be found.
        """
        found: dict[tuple[Requirement, Place], None] = {}
        for k, c in self._all():
            left, right = self._meant(c.left), self._meant(c.right)
            if left is None or right is None:
                raise UnsupportedOperation(
                    "a comparison of sizes",
                    "what it compares is no function of the sizes that derivcheck knows",
                    str(c.place),
                    "Compare the sizes of inputs.",
                )
            if (left - right).constant is None:
                needs = Requirement(left, c.held, right)
                if needs.holds(self.traces.assignments[k]) and all(needs.holds(a) for a in self.traces.assignments):
                    found[needs, c.place] = None
        return found

    def unwatched(self) -> dict[tuple[Poly, Place], None]:
        """Numbers made of sizes that the code may have branched on unseen."""
        found: dict[tuple[Poly, Place], None] = {}
        for k, r in enumerate(self.traces.recordings):
            rounded = [
                Escape(c.left - c.right, c.place, True)
                for c in r.log.comparisons
                if is_user(c.place.file) and not self._held(c, k)
            ]
            for e in [*r.log.escapes, *rounded]:
                meant = self._meant(e.poly)
                if e.branches and is_user(e.place.file) and (meant is None or meant.constant is None):
                    found[e.poly if meant is None else meant, e.place] = None
        return found

    def _held(self, c: Comparison, k: int) -> bool:
        """Whether what was noted is so: a quotient that was rounded may compare otherwise than the sizes do."""
        left, right = self._meant(c.left), self._meant(c.right)
        return left is None or right is None or Requirement(left, c.held, right).holds(self.traces.assignments[k])

    def admits(self, sizes: dict[str, int]) -> bool:
        """Whether at these sizes the comparisons come out as in all recordings."""
        return all(r.holds(sizes) for r, _ in self.requirements())


def _counts(place: Place) -> bool:
    """Whether a comparison decides what is computed: the user's, or one of torch's that does not only raise."""
    if is_user(place.file):
        return True
    node = statement(Frame(place.file, place.line, "", 0, 0))
    while isinstance(node, ast.If):
        if not isinstance(node.body[-1], ast.Raise):
            return True
        if len(node.orelse) != 1:
            return bool(node.orelse)
        node = node.orelse[0] if isinstance(node.orelse[0], ast.stmt) else None
    return not isinstance(node, (ast.Assert, ast.Raise))

