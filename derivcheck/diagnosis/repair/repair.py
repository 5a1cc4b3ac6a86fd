"""From a wrong backward to the line that can be repaired, and the fix."""

from __future__ import annotations

import linecache
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from derivcheck.diagnosis.repair.aliases import aliases
from derivcheck.diagnosis.repair.bench import Bench
from derivcheck.diagnosis.repair.change import Change, clipped
from derivcheck.diagnosis.repair.clock import clock
from derivcheck.diagnosis.repair.edits.every import changes
from derivcheck.diagnosis.repair.edits.loops import LIKELY, blocks_of
from derivcheck.diagnosis.repair.edits.masks import masks
from derivcheck.diagnosis.repair.edits.numbers import constants, counts, scaled, shifted
from derivcheck.diagnosis.repair.fix import Edit, Fix, edits_of, tidied
from derivcheck.diagnosis.repair.missing import Missing
from derivcheck.diagnosis.repair.pieces import CodePiece, pieces_of
from derivcheck.diagnosis.repair.proving import proved
from derivcheck.diagnosis.repair.searching import RepairSearch, Whole
from derivcheck.diagnosis.repair.source_piece import SourcePiece
from derivcheck.diagnosis.repair.spots import RepairSpot, Spots, passes_on
from derivcheck.diagnosis.repair.subject import Backward
from derivcheck.diagnosis.repair.texts.changes import text_changes
from derivcheck.diagnosis.repair.texts.tree import TreePiece
from derivcheck.diagnosis.repair.trying import running
from derivcheck.display import file_name
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Number
from derivcheck.notation.terms.walk import subterms

LINE_SECONDS = 0.45
MORE_SECONDS = 1.5  # for the line where no fix is found at once
FIX_SECONDS = 5.0
ALIKE = 0.5  # how much dearer a fix may be whose line is told, too
LATE = 0.5  # what is mended where it is returned is rather mended where it is computed
CHEAP, USUAL = 1.65, 2.05  # edits up to this cost are tried before anything dearer is made


@dataclass(frozen=True)
class Line:
    """A line that can be repaired alone.

    Attributes:
        file, line: where.
        code: what stands there.
        names: the gradients that are wrong because of it.
        new: what should stand there, where that is known.
        gone: whether it should not stand there at all.
        words: what is wrong, where that is known.
        simple: whether it is a small change, which is said rather than a formula.
        called: the lines that call the function that it stands in, where one alone of several calls is meant.
    """

    file: str
    line: int
    code: str
    names: tuple[str, ...]
    new: str = ""
    words: str = ""
    simple: bool = True
    called: tuple[str, ...] = ()
    gone: bool = False

    @property
    def place(self) -> str:
        """``file.py:12``."""
        return f"{file_name(self.file)}:{self.line}"

    def __str__(self) -> str:
        called = f", called at {' and '.join(self.called)}" if self.called else ""
        new = f"; it should be `{clipped(self.new, 110)}`" if self.new else "; it should go" if self.gone else ""
        if self.new == self.code:  # all that differs is how far it is indented
            new = "; it should stand after the loop"
        return f"{self.place}{called}: `{clipped(self.code, 110)}`{new}"


class Repair:
    """The search, each part of it made when it is asked for."""

    def __init__(self, backward: Backward) -> None:
        self.backward = backward
        self._alone: dict[str, list[RepairSpot]] = {}

    # -- asked for -----------------------------------------------------------------
    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines that can be repaired alone, at most two for each set of gradients; where a fix is known, the fix's."""
        try:
            return self._of_fix() or self._without_fix
        except Exception:  # a help for the reader is no reason to fail
            return ()

    def lines_of(self, name: str) -> tuple[Line, ...]:
        """Those of one gradient."""
        return tuple(x for x in self.lines if name in x.names)

    @cached_property
    def fix(self) -> Fix | None:
        """The fix that makes every gradient right, with another one where there is one; or None."""
        try:
            return self._fix(clock() + FIX_SECONDS)
        except Exception:  # a help for the reader is no reason to fail
            return None

    # -- the search -----------------------------------------------------------------
    @cached_property
    def pieces(self) -> list[SourcePiece]:
        """The user's source."""
        found = pieces_of(self.backward.code, self.backward.kept)
        self.backward.blocks = tuple(sorted({n for p in found if isinstance(p, CodePiece) for n in blocks_of(p)}))[-3:]
        return found

    @property
    def _code(self) -> list[CodePiece]:
        return [p for p in self.pieces if isinstance(p, CodePiece)]

    @cached_property
    def _spots(self) -> Spots:
        return Spots(self.backward, clock() + 3 * LINE_SECONDS)

    @cached_property
    def _candidates(self) -> list[RepairSpot]:
        names = self.backward.names
        return self._spots_of(names)

    def _spots_of(self, names: Sequence[str]) -> list[RepairSpot]:
        """The definitions in the user's source, not in what calls it, that alone could make these gradients right."""
        every = (*aliases(self._spots, self._code, names), *self._spots.of(names))
        return [s for s in every if self._own(s.site.file, s.site.line)]

    def _own(self, file: str, line: int) -> bool:
        """Whether a line stands in the backward's source, where that is at hand."""
        return not self.pieces or any(p.file == file and p.line <= line < p.line + len(p.lines) for p in self.pieces)

    @cached_property
    def _good(self) -> set[tuple[str, int]]:
        """The lines that alone could make all gradients right; those that only pass values on for want of others."""
        found = {(s.site.file, s.site.line) for s in self._candidates}
        if not all(passes_on(s.definition.term) for s in self._candidates):
            return found
        return {at for at in self._spots.lines(self.backward.names) if self._own(*at)} - found or found

    @cached_property
    def _edits(self) -> tuple[list[Change], list[Change]]:
        """The edits of the lines that could be repaired alone, and those of other lines, cheapest first."""
        good = self._good
        ran, code, scope = self._put_in.ran, self._code, self._put_in.scope
        numbers, sizes = _numbers(self.backward.d.program), set(self.backward.benches[0].sizes.values())
        made = [
            c
            for p in code
            for c in (
                *changes(p),
                *counts(p, scope),
                *constants(p, numbers),
                *shifted(p, numbers),
                *masks(p, scope, numbers),
                *scaled(p, scope, sizes),
            )
            if _touches(c, ran)
        ]
        made += [c for p in self.pieces if isinstance(p, TreePiece) for c in text_changes(p, numbers)]
        every = sorted(made, key=lambda c: c.cost)
        if not good:
            return every, []
        likely = good | self._put_in.numbers
        near = [_touches(c, likely) for c in every]
        return [c for c, n in zip(every, near) if n], [c for c, n in zip(every, near) if not n]

    @cached_property
    def _put_in(self) -> Missing:
        return Missing(self.backward, self._code, self._spots)

    def _missing(self, end: float, deep: bool) -> tuple[list[Change], bool]:
        """What may be missing from the lines, cheapest first; until the clock says ``end``; and whether that is all."""
        found: list[Change] = []
        names = self.backward.names
        for spots in (self._candidates, *([self._each(n) for n in names] if len(names) > 1 else [])):
            for spot in spots:
                if clock() > end:
                    return _shortest(found), False
                found += self._put_in.at(spot, deep)
        found += self._put_in.returned(names, deep)
        return _shortest(found), True

    def _each(self, name: str) -> list[RepairSpot]:
        if name not in self._alone:
            self._alone[name] = self._spots_of([name])
        return self._alone[name]

    @cached_property
    def _search(self) -> RepairSearch:
        """The edits to try, those first that are cheapest to make and to find."""

        def usual(end: float) -> tuple[list[Change], bool]:
            missing, complete = self._missing(end, False)
            return [*(c for c in self._edits[0] if CHEAP < c.cost <= USUAL), *missing], complete

        def rare(end: float) -> tuple[list[Change], bool]:
            missing, complete = self._missing(clock() + 0.6 * (end - clock()), True)
            return [*(c for c in self._edits[0] if c.cost > USUAL), *missing], complete

        def likely(_: float) -> tuple[list[Change], bool]:
            near, far = self._edits
            return [*(c for c in far if c.cost <= LIKELY), *(c for c in near if c.cost <= CHEAP)], True

        groups = (
            likely,
            usual,
            lambda _: ([c for c in self._edits[1] if LIKELY < c.cost <= USUAL], True),
            rare,
            lambda _: ([c for c in self._edits[1] if c.cost > USUAL], True),
        )
        return RepairSearch(self.backward, groups)

    def _searched(self, end: float, join: bool = True) -> list[Whole]:
        """Fixes, cheapest first; the search goes on where it has not come to an end."""
        backward, search = self.backward, self._search
        if backward.benches and backward.names and self.pieces:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    search.run(end, join)
                except Exception:  # a help for the reader: the lines may be known all the same
                    search.ended = True
        return self._known_fixes

    @property
    def _known_fixes(self) -> list[Whole]:
        whole = self._search.whole
        if not whole:
            return []
        right = self._spots.derived_lines
        kept = [w for w in whole if not any(_touches(c, right) for c in w[0])] or whole  # what is right stays
        return sorted(kept, key=lambda w: (sum(c.cost + LATE * _is_late(c) for c in w[0]), -_width(w[0])))

    def _fix(self, end: float) -> Fix | None:
        """The cheapest edit that holds, with one alternative where another holds and stands on other lines."""
        found = self._searched(end)
        if not found:
            return None
        first = self._made(*found[0])
        lines = {(e.file, e.line) for e in first.edits}
        for chosen, benches in found[1:]:
            other = edits_of([tidied(c) for c in chosen])
            if {(e.file, e.line) for e in other} != lines:
                return replace(first, alternatives=(self._made(chosen, benches),))
        return first

    def _made(self, chosen: Sequence[Change], benches: Sequence[Bench]) -> Fix:
        """Edits as a fix: tried to be proved with the edits in place, else it agrees at the sizes of the benches."""
        chosen = [tidied(c) for c in chosen]
        status, conditions = "agrees", tuple[str, ...]()
        with running(chosen):
            b = self.backward
            proof = proved(replace(b, _benches={}, _slow=None, others=None))
        if proof is not None:
            status, conditions = "proved", proof
        tried_at = tuple(dict.fromkeys(str(b) for b in benches if str(b)))
        words = "; ".join(dict.fromkeys(c.words for c in chosen))
        read = {c.piece.file: c.piece.whole for c in chosen}
        texts = {c.piece.file: c.piece.unwritten for c in chosen if c.piece.unwritten}
        sizes = self.backward.d.program.sizes()
        return Fix(edits_of(chosen), status, words, tried_at, sizes, conditions, read=read, texts=texts)

    @cached_property
    def _without_fix(self) -> tuple[Line, ...]:
        """The lines, where they are looked for before a fix is known."""
        if not self.backward.benches or not self.backward.names:
            return ()
        self._searched(clock() + LINE_SECONDS, join=False)
        if not self._known_fixes:  # only a fix tells for sure: another line may do as well
            self._searched(clock() + (MORE_SECONDS if self._good else FIX_SECONDS))
        return self._of_fix() or self._alone_lines()

    def _of_fix(self) -> tuple[Line, ...]:
        """The lines of the fixes that are known: the cheapest, and another one that is as cheap."""
        found, told = self._known_fixes, dict[tuple[str, int], Line]()
        for chosen, _ in found:
            if sum(c.cost for c in chosen) <= sum(c.cost for c in found[0][0]) + ALIKE and len(told) < 2:
                tidy = [tidied(c) for c in chosen]
                for e in _wrong_lines(edits_of(tidy)):
                    here = {(e.file, e.line + k) for k in range(e.old.count("\n") + 1)}
                    own = [c for c in tidy if _touches(c, here)]
                    mends = [self._search.mends.get((id(c.piece), c.line, c.words)) for c in own]
                    names = tuple(n for n in self.backward.names if any(m is None or n in m for m in mends))
                    words = "; ".join(dict.fromkeys(c.words for c in own))
                    simple = all(c.cost <= USUAL for c in own)
                    line = Line(e.file, e.line, e.old.strip(), names, e.new.strip(), words, simple, gone=not e.new)
                    told.setdefault((e.file, e.line), line)
        return tuple(told.values())

    def _alone_lines(self) -> tuple[Line, ...]:
        """The lines that could be repaired alone, where no fix is known."""
        names = self.backward.names
        if candidates := [s for s in self._candidates if (s.site.file, s.site.line) in self._good]:
            return self._told(self._spots.ranked(candidates), names)
        if self._good:
            lines = sorted(self._good)
            return self._told(list(dict.fromkeys([*lines[-1:], *lines[:1]])), names)
        each: list[Line] = []
        for n in names:
            own = self._spots.ranked(self._each(n)) if len(names) > 1 else []
            each += self._told(own, (n,))
        return tuple(each)

    def _told(self, lines: Sequence[tuple[str, int]], names: tuple[str, ...]) -> tuple[Line, ...]:
        """At most two."""
        return tuple(Line(f, n, self._text(f, n), names, called=self._called(f, n, names)) for f, n in lines[:2])

    def _called(self, file: str, line: int, names: tuple[str, ...]) -> tuple[str, ...]:
        """The calls of the function that a line stands in, where it is wrong in some of several alone."""
        spots = self._candidates if names == self.backward.names else self._each(names[0])
        here = [s.definition for s in spots if (s.site.file, s.site.line) == (file, line) and len(s.definition.sites) > 1]
        program = self._spots.program
        definitions = program.definitions if program is not None else ()
        every = {_call(d) for d in definitions if d.sites and (d.sites[0].file, d.sites[0].line) == (file, line)}
        if not here or len({_call(d) for d in here}) == len(every):
            return ()
        return tuple(dict.fromkeys(f"{file_name(d.sites[1].file)}:{d.sites[1].line}" for d in here))

    def _text(self, file: str, line: int) -> str:
        """What stands in a line."""
        here = (p for p in self.pieces if p.file == file and p.line <= line < p.line + len(p.lines))
        piece = next(here, None)
        return linecache.getline(file, line).strip() if piece is None else piece.lines[line - piece.line].strip()


def _wrong_lines(edits: Sequence[Edit]) -> list[Edit]:
    """The edits without those that only add a line before another or indent one, where there are others."""
    return [e for e in edits if not e.new.endswith(f"\n{e.old}") and e.new.strip() != e.old.strip()] or list(edits)


def _call(d: Definition) -> tuple[int, ...]:
    """Which call a definition is of, told by the lines that lead to it, too."""
    return (d.sites[0].call, *(s.line for s in d.sites[1:]))


def _numbers(program: Program) -> list[float]:
    """The numbers of a Program that say something: margins, slopes, what is clamped at."""
    found = {abs(float(t.value)) for d in program.definitions for t in subterms(d.term) if isinstance(t, Number)}
    return sorted(x for x in found if x not in (0.0, 0.5, 1.0, 2.0))[:8]


def _touches(c: Change, lines: set[tuple[str, int]]) -> bool:
    for (start, end), _ in c.places:
        first, last = (c.piece.line + c.piece.text[:k].count("\n") for k in (start, end))
        if any((c.piece.file, n) in lines for n in range(first, last + 1)):
            return True
    return False


def _is_late(c: Change) -> bool:
    """Whether it changes a variable where it is returned."""
    (start, end), _ = c.places[0]
    before, after = c.piece.text[:start], c.piece.text[end:].lstrip()
    line = c.piece.lines[before.count("\n")].lstrip()
    alone = before.rstrip().endswith((":", "return", ",")) and (not after or after[0] in ",})")
    return alone and c.piece.text[start:end].isidentifier() and line.startswith("return")


def _width(chosen: Iterable[Change]) -> int:
    return sum(end - start for c in chosen for (start, end), _ in c.places)


def _shortest(many: list[Change]) -> list[Change]:
    found: dict[tuple[int, str], Change] = {}
    for c in many:
        key = (id(c.piece), c.text)
        if key not in found or c.cost < found[key].cost:
            found[key] = c
    return list(found.values())
