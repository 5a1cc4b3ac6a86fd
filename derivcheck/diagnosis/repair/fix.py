"""A fix: edits of the user's own code that make every gradient right, and how that is known."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from derivcheck.diagnosis.repair.change import Change
from derivcheck.display import file_name
from derivcheck.errors import InputError
from derivcheck.files import digest, rewritten

SHOWN = 6  # of the sizes that were tried


@dataclass(frozen=True)
class Edit:
    """Lines of a file, and what stands in their place.

    Attributes:
        file: the path.
        line: the first of the lines, from 1.
        old, new: their text, without the last end of line; ``new`` is empty where the lines go.
    """

    file: str
    line: int
    old: str
    new: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {"file": self.file, "line": self.line, "old": self.old, "new": self.new}


@dataclass(frozen=True)
class Fix:
    """Edits of the user's code.

    Attributes:
        edits: in the order of the files' lines.
        status: ``proved``: with them the backward is the gradient for every size; ``agrees``: on the data that were tried.
        words: what they say was wrong.
        tried: the sizes on which every gradient was right, in words.
        conditions: of a proof.
        alternatives: other fixes, at most one.
    """

    edits: tuple[Edit, ...]
    status: str
    words: str
    tried: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    alternatives: tuple[Fix, ...] = ()
    read: Mapping[str, str] = field(default_factory=dict, repr=False)  # file -> hash of the text that the edits are of
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)  # what is no file -> its text

    @property
    def known(self) -> str:
        """How it is known to be right, in words."""
        if self.status == "proved":
            return f"proved for every {', '.join(self.sizes)}" if self.sizes else "proved"
        more = f"; and at {len(self.tried) - SHOWN} more" if len(self.tried) > SHOWN else ""
        return f"agrees at {'; '.join(self.tried[:SHOWN])}{more}" if self.tried else "agrees on the data"

    def __str__(self) -> str:
        lines = [f"{self.words} ({self.known})"]
        for e in self.edits:
            lines += [f"  {file_name(e.file)}:{e.line}", *(f"  - {x}" for x in e.old.splitlines())]
            lines += [f"  + {x}" for x in e.new.splitlines()]
        for other in self.alternatives:
            lines += ["or else:", *str(other).splitlines()]
        return "\n".join(lines)

    def diff(self) -> str:
        """The edits as a unified diff.

        Raises:
            InputError: a file that is no longer as it was read.
        """
        out: list[str] = []
        for file, (before, after) in self._texts().items():
            name = Path(file)
            if file in self.texts:
                out += difflib.unified_diff(_whole(before), _whole(after), file, file)
                continue
            shown = str(name.relative_to(Path.cwd()) if name.is_relative_to(Path.cwd()) else name).lstrip("/")
            out += difflib.unified_diff(
                before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{shown}", f"b/{shown}"
            )
        return "".join(x if x.endswith("\n") else f"{x}\n\\ No newline at end of file\n" for x in out)

    def write(self) -> dict[Path, Path]:
        """Make the edits in the user's files, each kept beside as it was.

        Returns:
            Each file with its backup.

        Raises:
            InputError: a file that has changed since it was read, or that cannot be written, or a text that is no file; no
                file is changed then.
        """
        for e in self.edits:
            if e.file in self.texts:
                raise InputError(f"the backward is {e.file}, and no file that could be written; .diff() shows the fix")
        return rewritten({Path(file): texts for file, texts in self._texts().items()})

    def _texts(self) -> dict[str, tuple[str, str]]:
        """Each file as it is, and with the edits."""
        found: dict[str, tuple[str, str]] = {}
        for e in sorted(self.edits, key=lambda e: (e.file, -e.line)):
            if e.file not in found:
                before = self.texts[e.file] if e.file in self.texts else _read(e.file)
                if digest(before) != self.read.get(e.file, digest(before)):
                    raise InputError(
                        f"{e.file} has changed since it was read; check the gradient again, and then ask for its fix"
                    )
                found[e.file] = before, before
            before, now = found[e.file]
            lines = now.splitlines(keepends=True)
            count = len(e.old.split("\n"))
            here = "".join(lines[e.line - 1 : e.line - 1 + count])
            ending = "\r\n" if "\r\n" in here else "\n"
            plain = here.replace("\r\n", "\n")
            if plain.removesuffix("\n") != e.old:
                raise InputError(
                    f"line {e.line} of {e.file} is not {e.old.strip()!r}, which was checked; check the gradient again"
                )
            new = e.new.replace("\n", ending) + (ending if plain.endswith("\n") and e.new else "")
            found[e.file] = before, "".join([*lines[: e.line - 1], new, *lines[e.line - 1 + count :]])
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "edits": [e.to_dict() for e in self.edits],
            "status": self.status,
            "words": self.words,
            "known": self.known,
            "alternatives": [f.to_dict() for f in self.alternatives],
        }


def _whole(text: str) -> list[str]:
    """The lines of a text, each with its end."""
    return [f"{line}\n" for line in text.splitlines()]


def _read(file: str) -> str:
    try:
        with open(file, encoding="utf-8", newline="") as f:
            return f.read()
    except (OSError, UnicodeDecodeError) as e:
        raise InputError(f"{file} cannot be read: {e}; a fix is of a file of text") from None


def tidied(change: Change) -> Change:
    """The change without parentheses that the code does not need."""
    places = list(change.places)
    for k, (span, _) in enumerate(places):
        at = 0
        while (at := places[k][1].find("(", at)) >= 0:
            new = places[k][1]
            end = _closing(new, at)
            bare = [*places[:k], (span, new[:at] + new[at + 1 : end] + new[end + 1 :]), *places[k + 1 :]] if end else places
            if end and _same(change, places, bare):
                places = bare
            else:
                at += 1
    return replace(change, places=tuple(places))


def _closing(text: str, start: int) -> int:
    """Where the parenthesis that opens there closes; 0 where it does not."""
    depth = 0
    for k in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[k], 0)
        if depth == 0:
            return k
    return 0


def _same(change: Change, a: Sequence[Any], b: Sequence[Any]) -> bool:
    return change.piece.same(change.piece.changed(a), change.piece.changed(b))


def edits_of(chosen: Sequence[Change]) -> tuple[Edit, ...]:
    """The changes as lines of the files."""
    found: dict[tuple[str, int], Edit] = {}
    by_piece: dict[int, list[Change]] = {}
    for c in chosen:
        by_piece.setdefault(id(c.piece), []).append(c)
    for many in by_piece.values():
        piece = many[0].piece
        places = sorted((p for c in many for p in c.places), key=lambda p: p[0])
        groups: list[list[Any]] = []
        for (start, end), new in places:
            whole_lines = not new and end > start and piece.text[end - 1] == "\n"
            first, last = (piece.text[:k].count("\n") for k in (start, end - whole_lines))
            if groups and first <= groups[-1][1]:
                groups[-1][1] = max(groups[-1][1], last)
                groups[-1][2].append(((start, end), new))
            else:
                groups.append([first, last, [((start, end), new)]])
        for first, last, inside in groups:
            old = "\n".join(piece.lines[first : last + 1])
            base = piece.starts[first]
            text = old
            for (start, end), new in sorted(inside, reverse=True):
                text = text[: start - base] + new + text[end - base :]
            found[(piece.file, piece.line + first)] = Edit(piece.file, piece.line + first, old, text)
    return tuple(found[k] for k in sorted(found))
