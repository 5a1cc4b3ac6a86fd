"""Gathering recordings: at the example and at enough other sizes, identifying sizes where the code needs it."""

from __future__ import annotations

from collections.abc import Mapping

from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.notation.sizes import Poly, as_poly
from derivcheck.tracing.assign import Again, Traces, plans
from derivcheck.tracing.equal import Equalities, first_line, named_line, said
from derivcheck.tracing.record import RecordingFailed
from derivcheck.tracing.recording import Recording


class Gathering(Traces):
    """Traces that record themselves until they tell all sizes apart."""

    def explore(self, least: int = 4) -> None:
        """Record at the example and at enough other assignments, identifying sizes where the code needs it."""
        example: Recording | None = None
        needs = Equalities(self)
        if self.example is not None:
            try:
                example = self._first_run(self.base())
            except RecordingFailed as e:
                self._blame(e)
                raise InputError(
                    f"the traced code raises on its example inputs{said(e.place)}: {named_line(e.cause)}"
                ) from e.cause
        for attempt in range(80):
            if not self.free():
                break
            identified: list[tuple[str, Poly]] = []
            repair = None if example is None else needs.repairing(example, identified)
            try:
                now = self.assignment(1)
                first = self._first_run(now) if example is None else self.at(now, repair=repair)
                if not needs.identify(identified):
                    break
            except RecordingFailed as e:
                if example is None:
                    if self._replanned():
                        continue
                    sizes = ", ".join(f"{n} = {v}" for n, v in self.assignment(1).items())
                    raise InputError(
                        f"the traced code raises at {sizes}{said(e.place)}: {named_line(e.cause)}. "
                        "Give dimensions that must be equal the same name"
                    ) from e.cause
                needs.advance(e, example, identified, attempt)
        if example is not None:
            self.assignments.append(self.base())
            self.recordings.append(example)
        if not self.free():
            if example is None:
                self.assignments.append({})
                self.recordings.append(self.at({}, names=True))
            return
        hidden = self.hidden()
        if hidden:
            base = self.base()
            for n in hidden:
                self.meaning[n] = as_poly(base[n])
            raise Again
        self.assignments.append(self.assignment(1))
        self.recordings.append(first)
        self._unchanged()
        while len(self.recordings) < least or len(self.recordings) < 12 and self._related():
            self.more()

    def _first_run(self, sizes: Mapping[str, int]) -> Recording:
        """Record with names; code that minds what kind of whole number it is given is not watched."""
        try:
            return self.at(sizes, names=True)
        except RecordingFailed:
            if not self.watch:
                raise
            self.watch = False
            try:
                found = self.at(sizes, names=True)
            except RecordingFailed:
                self.watch = True
                raise
            return found

    def _replanned(self) -> bool:
        """Whether the code runs at sizes of another order; they are the base then."""
        first = self.plan
        for plan in range(first + 1, len(plans(self.free()))):
            self.plan = plan
            if self.works(self.assignment(1)):
                return True
        self.plan = first
        return False

    def _unchanged(self) -> None:
        """Watch no more where the code runs otherwise when the sizes that it reads are watched (``type(n) is int``).

        Raises:
            Again: it does.
        """
        if self.watch and self.recordings[-1].reads:
            self.watch = False
            try:
                same = self.at(self.assignments[-1]).same(self.recordings[-1])
            except RecordingFailed:
                same = False
            if not same:
                raise Again
            self.watch = True

    def _blame(self, e: RecordingFailed) -> None:
        """Where the code runs on the example itself, what failed is the tracing of it."""
        if self.subject.actual is None:
            return
        try:
            self.subject.actual()
        except Exception:
            return
        what = e.call.operator if e.call is not None else "the traced code"
        said = str(e.cause).partition("\n")[0][:200]
        reason = f"it cannot run on tensors without data ({type(e.cause).__name__}: {said})"
        raise UnsupportedOperation(what, reason, e.place, "Write it with torch operators alone.") from e.cause

    def _related(self) -> bool:
        """Whether the assignments leave sizes indistinguishable: one a line of another, all odd or all even, or a chance
        relation such as ``H - kh = W - kw``, under which a fit would name the wrong sizes."""
        vectors = [[a[n] for a in self.assignments] for n in self.free()]
        for k, p in enumerate(vectors):
            if len(set(p)) < 4 or len({x % 2 for x in p}) < 2:
                return True
            for q in vectors[k + 1 :]:
                steps = [((x - p[0]), (y - q[0])) for x, y in zip(p, q)]
                if all(dx * steps[1][1] == dy * steps[1][0] for dx, dy in steps):
                    return True
        moves = [tuple(x - p[0] for x in p) for p in vectors]
        seen = {m: frozenset((k,)) for k, m in enumerate(moves)}
        for k, one in enumerate(moves):
            for j, other in enumerate(moves):
                if j != k:
                    difference = tuple(x - y for x, y in zip(one, other))
                    if seen.setdefault(difference, frozenset((k, j))).isdisjoint((k, j)):
                        return True
        return False

    def more(self) -> None:
        """Record at one more assignment.

        Raises:
            Again: sizes were identified or fixed, since the code does not run there.
        """
        t = len(self.recordings) + 1
        for attempt in range(12):
            sizes = self.assignment(t + 17 * attempt)
            if sizes in self.assignments:
                continue
            try:
                found = self.at(sizes)
            except RecordingFailed as e:
                failure = e
                if self.example is not None and Equalities(self).search(0, len(e.recording.calls)):
                    raise Again from None
                continue
            self.assignments.append(sizes)
            self.recordings.append(found)
            return
        raise InputError(f"the traced code raises at some sizes{said(failure.place)}: {first_line(failure.cause)}")
