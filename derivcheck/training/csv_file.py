"""A CSV as blocks of numbers, read as a stream: a block in memory at a time, with one sentence for each way to be bad."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from derivcheck.errors import InputError
from derivcheck.training.foreign_file import foreign, looks_like

TAB = "\t"
OTHERS = {";": "semicolons", TAB: "tabs", "|": "bars", ",": "commas", ":": "colons", " ": "spaces"}
Block = tuple[np.ndarray[Any, Any], Sequence[int]]  # float64 of shape (rows, columns), and the rows' numbers in the file
LINES = 1 << 15  # that are in memory at a time
MISSING = frozenset("na n/a #n/a nan null none nil - -- ? . missing".split())
_HINTS = (
    (re.compile(r"[+-]?\d+,\d+"), "if the comma is a decimal point, say --decimal ','"),
    (re.compile(r"[+-]?\d{1,3}([,.' \u00a0\u202f]\d{3})+([.,]\d*)?"), "write thousands without separators"),
    (re.compile(r"[+-]?[\d.,]+\s*%"), "write a part of 1, without the percent sign"),
    (re.compile(r"[$€£¥]\s*[\d.,]+|[\d.,]+\s*[$€£¥]"), "write the number without its currency"),
    (re.compile(r"[\u2212\u2013]\s*\d.*"), "write the minus sign as '-'"),
    (
        re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*|\d{1,2}:\d{2}.*"),
        "a date or a time is no number; count its days or seconds",
    ),
    (re.compile(r"true|false|yes|no", re.IGNORECASE), "write 0 and 1"),
    (re.compile(r"0[xX][0-9a-fA-F]+"), "write it in decimals"),
    (re.compile(r"=.*"), "a formula; export its values"),
    (re.compile(r"[+-]?[\d.,]+\s*[^\W\d_]+"), "write the number without its unit"),
)


@dataclass(frozen=True)
class CsvFormat:
    """How cells are written: what stands between them (one character, or ``tab``), and the decimal point."""

    separator: str = ","
    decimal: str = "."

    @property
    def between(self) -> str:
        """The character between cells.

        Raises:
            InputError: it cannot separate cells, or the decimal point is none.
        """
        found = TAB if self.separator in ("tab", r"\t") else self.separator
        if len(found) != 1 or found in '"\r\n':
            raise InputError(f"--sep {self.separator!r} cannot separate cells; expected one character such as ';', or tab")
        if self.decimal not in (".", ","):
            raise InputError(f"--decimal {self.decimal!r} is no decimal point; expected '.' or ','")
        return found


@dataclass(frozen=True)
class CsvFile:
    """A CSV with a header row; rows are counted as a spreadsheet numbers them, the header being row 1."""

    path: Path
    format: CsvFormat

    def header(self) -> list[str]:
        """The columns' names.

        Raises:
            InputError: the file cannot be read, is no CSV, or its header is none.
        """
        with _told(self), self._open() as f:
            first = self._first_lines(f)
            reader = csv.reader(chain(first, f), strict=True, delimiter=self.format.between)
            names = [c.strip() for c in next((cells for cells in reader if any(c.strip() for c in cells)), [])]
        if not names:
            raise InputError(f"{self.path}: the file is empty; expected a header row and at least 2 data rows")
        for k, name in enumerate(names):
            if not name:
                raise InputError(f"{self.path}: column {k + 1} has no name in the header row")
            if name in names[:k]:
                raise InputError(f"{self.path}: two columns are named {name!r}; rename one")
        return names

    def most_rows(self) -> int:
        """A number of rows that the file does not exceed, from its ends of lines."""
        with _told(self), self.path.open("rb") as f:
            found, marks = 0, b""
            while block := f.read(1 << 22):
                marks = marks or (b"\n" if b"\n" in block else b"\r" if b"\r" in block else b"")
                found += block.count(marks) if marks else 0
        return found + 1

    def blocks(self, header: Sequence[str], columns: Sequence[str]) -> Iterator[Block]:
        """Blocks of float64 numbers, (rows, columns), with the numbers of their rows.

        Raises:
            InputError: a row that is ragged, a cell that is no finite number; its row and column are named.
        """
        places = [header.index(c) for c in columns]
        with _told(self), self._open() as f:
            row, below = 0, False  # the last row that was read; whether the header is among them
            while some := list(islice(f, LINES)):
                found = self._fast(some, len(header), places) if below else None
                if found is not None:
                    yield found, range(row + 1, row + 1 + len(found))
                    row += len(some)
                    continue
                rows = list(self._rows(some, f, row))
                row = rows[-1][0] if rows else row
                filled = [(n, cells) for n, cells in rows if cells]
                filled, below = filled if below else filled[1:], below or bool(filled)
                if filled:
                    yield self._slow(header, filled, columns, places), [n for n, _ in filled]

    # -- lines into rows ---------------------------------------------------------------
    def _open(self) -> IO[str]:
        return self.path.open(newline="", encoding="utf-8-sig")

    def _first_lines(self, f: IO[str]) -> list[str]:
        """The first lines that say something; another separator that stands in them is named."""
        first: list[str] = []
        for line in f:
            first.append(line)
            if sum(bool(line.strip()) for line in first) == 2:
                break
        between, lines = self.format.between, [line.strip() for line in first if line.strip()]
        if lines and between not in lines[0]:
            for mark, word in OTHERS.items():
                if all(mark in line for line in lines):
                    raise InputError(
                        f"{self.path}: no {between!r} stands between the columns' names; if {word} separate them, "
                        f"say so with --sep {'tab' if mark == TAB else repr(mark)}"
                    )
        return first

    def _rows(self, some: list[str], rest: IO[str], before: int) -> Iterator[tuple[int, list[str]]]:
        """Rows by a reader that knows quotes, of these lines and as many more as the last row needs."""
        reader = csv.reader(chain(some, rest), strict=True, delimiter=self.format.between)
        number = before
        while reader.line_num < len(some):
            cells = next(reader, None)
            if cells is None:
                return
            number += 1
            yield number, cells

    def _fast(self, some: list[str], width: int, places: Sequence[int]) -> np.ndarray[Any, Any] | None:
        """The numbers of whole lines by NumPy's parser; None where a line is not as it should be."""
        between = self.format.between
        if any(line.count(between) != width - 1 or '"' in line for line in some):
            return None
        if self.format.decimal == ",":
            if between == "," or any("." in line for line in some):
                return None
            some = [line.replace(",", ".") for line in some]
        try:
            found: np.ndarray[Any, Any] = np.loadtxt(some, delimiter=between, usecols=places, ndmin=2, comments=None)
        except ValueError:
            return None
        return found if len(found) == len(some) and np.isfinite(found).all() else None

    def _slow(
        self, header: Sequence[str], rows: list[tuple[int, list[str]]], columns: Sequence[str], places: Sequence[int]
    ) -> np.ndarray[Any, Any]:
        """The numbers of rows, cell by cell: what cannot be read is told with its place."""
        for number, cells in rows:
            if len(cells) != len(header):
                raise InputError(f"{self.path}: row {number} has {len(cells)} cells; expected {len(header)}, one per column")
        return np.array([[self._number(c[p], n, name) for p, name in zip(places, columns)] for n, c in rows], dtype=np.float64)

    def _number(self, cell: str, row: int, column: str) -> float:
        """A cell's finite number; anything else is refused with row, column and advice."""
        text = cell.strip()
        where = f"{self.path}: row {row}, column {column!r}: "
        if not text:
            raise InputError(f"{where}the cell is empty; expected a number")
        plain = text.replace("_", "?")  # Python reads 1_000, a CSV does not mean it
        if self.format.decimal == ",":
            plain = plain.replace(".", "?").replace(",", ".")
        try:
            value = float(plain)
        except ValueError:
            raise InputError(f"{where}found {text[:40]!r}; expected a number ({self._advice(text)})") from None
        if not math.isfinite(value):
            raise InputError(f"{where}found {text}; expected a finite number")
        return value

    def _advice(self, text: str) -> str:
        """What to do about a cell that is no number."""
        if text.casefold() in MISSING:
            return "a missing value; leave the row out"
        hints = _HINTS if self.format.decimal == "." else _HINTS[1:]
        return next((advice for form, advice in hints if form.fullmatch(text)), "choose columns with --feature")


class _told:
    """What goes wrong while a file is read, in one sentence."""

    def __init__(self, file: CsvFile) -> None:
        self.file = file

    def __enter__(self) -> None:
        """Refuse at once what is no CSV."""
        _ = self.file.format.between
        if (what := foreign(self.file.path)) is not None:
            raise InputError(f"{self.file.path}: {what}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        """Raise what was raised in our words."""
        path = self.file.path
        if isinstance(error, UnicodeDecodeError):
            encoding = looks_like(path)
            raise InputError(
                f"{path}: found bytes that are not UTF-8 text; expected a CSV file in UTF-8"
                + (f" (it looks like {encoding[0]}: iconv -f {encoding[1]} -t UTF-8 converts it)" if encoding else "")
            ) from None
        if isinstance(error, csv.Error):
            between = self.file.format.between
            raise InputError(f"{path}: cannot be read as CSV with the separator {between!r} ({error})") from None
        if isinstance(error, OSError):
            raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
