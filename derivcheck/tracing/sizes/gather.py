"""Gathering recordings: at the example, where all sizes differ, and far away; sizes are identified where the code needs it."""

from __future__ import annotations

from collections.abc import Mapping

from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.notation.integers.polynomials import Poly, Size, as_poly, size
from derivcheck.notation.program.requirements import Requirement
from derivcheck.tracing.recording.data import Recording
from derivcheck.tracing.recording.dispatch import Enough, Parted
from derivcheck.tracing.recording.run import RecordingFailed
from derivcheck.tracing.recording.types_read import reads_classes
from derivcheck.tracing.sizes.assign import ExploreAgain, Traces, plans
from derivcheck.tracing.sizes.compared import Conditions, along, branches, escapes, parted, path
from derivcheck.tracing.sizes.spoken import shown
from derivcheck.tracing.sizes.tied_sizes import Equalities, named_line, said


class Gathering(Traces):
    """Traces that record themselves until they tell all sizes apart."""

    def explore(self) -> None:
        """Record at the example, where all sizes differ, and far from there."""
        example = None if self.example is None else self._at_the_example()
        needs = Equalities(self)
        now, first = self._where_all_differ(example, needs)
        if example is not None:
            self.add(self.base(), example)
        if not self.free():
            if example is None:
                self.add({}, self.at({}, names=True))
            return
        hidden = self.hidden()
        if hidden:
            base = self.base()
            for n in hidden:
                self.meaning[n] = as_poly(base[n])
            raise ExploreAgain
        if first is None:
            raise InputError("no sizes were found at which the code runs; give dims={...} or constants")
        if example is None:
            self._followed(first)
            self.add(now, first)
        elif not needs.moved and path(first) == path(example):  # one at sizes that an operator did not take is of no use
            self.add(now, first)
        self._unchanged()
        self._further_ones()

    def _at_the_example(self) -> Recording:
        """The first recording.

        Raises:
            InputError: the code raises on its own example.
        """
        try:
            example = self._first_run(self.base())
        except UnsupportedOperation as refused:
            refused.anywhere = True
            raise
        except RecordingFailed as e:
            self._blame(e)
            raise InputError(f"the traced code raises on its example inputs{said(e.place)}: {named_line(e.cause)}") from e.cause
        self._followed(example)
        return example

    def _where_all_differ(self, example: Recording | None, needs: Equalities) -> tuple[dict[str, int], Recording | None]:
        """Sizes that all differ, and the code there; what it needs to be equal or fixed to run is so from here on."""
        now, first = dict[str, int](), None
        for attempt in range(80):  # each turn ties, scales or fixes a size; code that never settles ends here
            if not self.free():
                break
            identified: list[tuple[str, Poly]] = []
            repair = None if example is None else needs.repairing(example, identified)
            try:
                now = self.apart()
                # a loop over a size that is far away would go on for long
                upto = 4 * len(example.calls) + 64 if example is not None and self.distant else None
                first = self._first_run(now) if example is None else self.at(now, repair=repair, upto=upto, trying=True)
                if self.distant and needs.moved:
                    self.distant = needs.moved = False
                    continue
                if not needs.identify(identified) and (not needs.moved or self.kind > 1):
                    break
                self.kind += needs.moved  # sizes nearer to the example's, so that its kernels fit
                needs.moved = False
            except Enough:
                self.distant = needs.moved = False
            except RecordingFailed as e:
                if example is None:
                    if self._replanned():
                        continue
                    sizes = ", ".join(f"{n} = {v}" for n, v in self.assignment(1).items())
                    raise InputError(
                        f"the traced code raises at {sizes}{said(e.place)}: {named_line(e.cause)}. "
                        "Give dimensions that must be equal the same name"
                    ) from e.cause
                if self.distant and needs.moved:
                    self.distant = needs.moved = False
                    continue
                needs.advance(e, example, identified, attempt)
        return now, first

    def add(self, sizes: Mapping[str, int], recording: Recording) -> None:
        """Keep a recording."""
        self.assignments.append(dict(sizes))
        self.recordings.append(recording)

    def _first_run(self, sizes: Mapping[str, int]) -> Recording:
        """Record with names; code that minds what kind of whole number it is given is not watched."""
        try:
            known = {*self.modules}
            found = self.at(sizes, names=True)
            met = [names for key, names in self.modules.items() if key not in known]
            if met and (escapes(found) or any(map(reads_classes, met))):  # the stands were not in there from the start
                self._made.clear()
                found = self.at(sizes, names=True)
            return found
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

    def _followed(self, first: Recording) -> None:
        """What the code did with sizes: its comparisons bind the sizes of the other recordings, what escaped is fixed.

        Raises:
            UnsupportedOperation: no size is left to fix, or a loop goes round as often as a size says.
        """
        read = self.read_of_inputs(first)
        compared = {p: None for c in first.log.comparisons for p in (c.left, c.right)}
        self.conditions = Conditions(first, {p: self._resolved(p, read) for p in compared})
        loop = self.conditions.loop()
        if loop is not None:
            needs, place = loop
            self._pin(needs.left.sizes() | needs.right.sizes(), "a loop over it", str(place), small=True)
        for r, place, _ in self.conditions.found:
            self._same_way(r, str(place))
        for e in escapes(first):
            known = [self.resolve(read.get(Size(s), size(s))) for s in e.sizes]  # some may have been fixed by now
            names = {n for p in known for n in p.sizes()}
            if names:
                self._pin(names, f"`{e.what}` of it", str(e.place))

    def _same_way(self, r: Requirement, place: str) -> None:
        """Identify the sizes that the code found equal, or fix the one that it found to be a number: elsewhere it goes another
        way."""
        needs = self.required(r)
        if needs.relation != "==" or (needs.left - needs.right).constant is not None or self.example is None:
            return
        for one, other in ((needs.left, needs.right), (needs.right, needs.left)):
            if isinstance(one.atom, Size) and one.atom.name not in other.sizes():
                if other.constant is None:
                    self.meaning[one.atom.name] = other
                else:
                    self.fix(one.atom.name, f"{shown(one.atom.name)} = {other}: compared at {place}")
                return

    def _pin(self, names: set[str] | frozenset[str], what: str, place: str, small: bool = False) -> None:
        """Fix the sizes that decide something which no expression says."""
        free = [n for n in self.free() if n in names]
        if self.example is None or not free or small and not self.given and any(self.base()[n] > 1 for n in free):
            sizes = ", ".join(shown(n) for n in free) or "a size"
            if small:
                raise UnsupportedOperation(
                    "the traced code",
                    f"which operators run depends on {sizes}: a loop or a branch over a size",
                    place,
                    "Write it with whole tensors or as a recurrence in index text, "
                    "or give that dimension as a number in dims={...}",
                )
            raise UnsupportedOperation(
                "the traced code",
                f"it goes on with {what.replace(' of it', f' of {sizes}')} as a plain number, of which no expression is known",
                place,
                "Compute it from x.shape with arithmetic alone, or give that dimension as a number in dims={...}",
            )
        for n in free:
            self.fix(n, f"{shown(n)} = {self.example[n]}: {what} at {place}")

    def read_of_inputs(self, recording: Recording) -> dict[Size, Poly]:
        """What the sizes of inputs are that the code read."""
        specs = {s.name: s for s in self.subject.specs}
        return {
            Size(f"?{number}.{axis}"): self.resolve(p)
            for name, number in recording.inputs.items()
            if name in specs
            for axis, p in enumerate(specs[name].dims)
        }

    def _resolved(self, poly: Poly, read: Mapping[Size, Poly]) -> Poly | None:
        found = self.resolve(poly.substitute(read))
        return None if any(n.startswith("?") for n in found.sizes()) else found

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
        if self.watch and self.recordings[-1].asks_for_types:
            self.watch = False
            try:
                same = self.at(self.assignments[-1]).same(self.recordings[-1])
            except RecordingFailed:
                same = False
            if not same:
                raise ExploreAgain
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

    def _further_ones(self) -> None:
        """Record far from the base, where that is not done, and nearby until there are three of the first one's path; where
        all sizes differ far away, two tell as much."""
        way = path(self.recordings[0])
        done = self.distant and len(self.recordings) > 1
        least = 2 if done and 1 not in self.assignments[0].values() else 3
        for tried, sizes in enumerate(self.far()):
            if tried > 4 or done:
                break
            try:
                found = self._along(sizes)
            except (RecordingFailed, UnsupportedOperation):
                continue
            if found is not None and path(found) == way:
                self.add(sizes, found)
                break
        for t in range(2, 14):  # 0 is the base, 1 is apart from it; then each of the three ways to grow four times
            if len(self.recordings) >= least:
                break
            self.more(t, t % 3, needed=len(self.recordings) < 2 and t > 4)
        for n in self.free():
            if len({a[n] for a in self.assignments} - {1}) < 2:  # 1 and one other are what broadcasting takes, or all there is
                self._pin({n}, "another way at other sizes", self._last_place(), small=self.example is None)
                raise ExploreAgain

    def _along(self, sizes: Mapping[str, int]) -> Recording | None:
        """A recording there; None where the code soon goes another way than the first (a loop over a size goes on for long)."""
        first = self.recordings[0]
        try:
            return self.at(sizes, upto=4 * len(first.calls) + 64, heard=along(first))
        except Parted:
            return None
        except Enough as e:
            return None if parted(e.recording, first) else self.at(sizes)

    def _last_place(self) -> str:
        """Where the code last chose its way, for a message."""
        compared = list(branches(self.recordings[0]))
        split = [c.place for c in self.recordings[0].calls if isinstance(c.out, list) and c.place]
        return str(compared[-1].place) if compared else split[-1] if split else "the traced code"

    def more(self, t: int, first: int | None = None, needed: bool = False) -> None:
        """Record at one more assignment, if the code runs there and takes the same path.

        Raises:
            Again: sizes were identified or fixed, since the code does not run there and ``needed`` to.
        """
        sizes = self.assignment(t, first)
        if sizes in self.assignments:
            return
        try:
            found = self._along(sizes)
        except RecordingFailed as e:
            if needed and self.example is not None and Equalities(self).search(0, len(e.recording.calls)):
                raise ExploreAgain from None
            return
        if found is not None and path(found) == path(self.recordings[0]):
            self.add(sizes, found)
