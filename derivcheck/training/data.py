"""A CSV of numbers as features and targets."""

from __future__ import annotations

import csv
import difflib
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from derivcheck.errors import InputError

TAB = "\t"
OTHERS = {";": "semicolons", TAB: "tabs", "|": "bars", ",": "commas", ":": "colons", " ": "spaces"}
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


@dataclass(frozen=True)
class Scaling:
    """Features were replaced by (x − mean) / deviation; ``mean`` and ``deviation`` have shape (in,)."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def original_units(self, weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight (out, in) and bias (out,) for the features as they stand in the file."""
        w = weight / self.deviation.to(weight)
        return w, bias - w @ self.mean.to(weight)


@dataclass(frozen=True)
class Table:
    """Features ``x`` of shape (N, in) and targets ``y`` of shape (N, out) with their columns' names."""

    x: torch.Tensor
    y: torch.Tensor
    features: tuple[str, ...]
    targets: tuple[str, ...]
    scaling: Scaling | None = None
    name: str = "data"


def read_table(
    path: str | Path,
    targets: Sequence[str],
    features: Sequence[str] = (),
    standardize: bool = False,
    dtype: torch.dtype = torch.float64,
    separator: str = ",",
) -> Table:
    """Features and targets from a CSV with a header row.

    Args:
        path: a text file in UTF-8; a row is named as a spreadsheet numbers it, the header being row 1.
        targets: the columns to be predicted.
        features: the columns to predict from; default all others.
        standardize: bring each feature to mean 0 and (population) standard deviation 1.
        dtype: of the tensors.
        separator: what stands between cells: one character, or ``tab``.

    Raises:
        InputError: a file that is missing, empty, ragged or separated otherwise (by what, is said), a cell that is no finite
            number (its row and column are named), an unknown column (the nearest is offered), fewer than two rows, a constant
            feature to standardize.
    """
    path = Path(path)
    header, rows = _cells(path, separator)
    for role, names in (("target", targets), ("feature", features)):
        for k, name in enumerate(names):
            if name not in header:
                near = difflib.get_close_matches(name, header, 1, 0.5)
                hint = f"did you mean {near[0]!r}? The" if near else "the"
                raise InputError(f"{path}: --{role} {name!r} is not a column; {hint} columns are {', '.join(header)}")
            if name in names[:k]:
                raise InputError(f"{path}: --{role} {name!r} is given twice")
    if not targets:
        raise InputError(f"{path}: no target; name a column with --target. The columns are {', '.join(header)}")
    chosen = tuple(features) or tuple(c for c in header if c not in targets)
    both = [c for c in chosen if c in targets]
    if both:
        raise InputError(f"{path}: {both[0]!r} is both a target and a feature; leave it out of one")
    if not chosen:
        raise InputError(f"{path}: every column is a target; at least one must be left as a feature")
    if len(rows) < 2:
        raise InputError(f"{path}: found {len(rows) or 'no'} data row{'' if len(rows) == 1 else 's'}; a fit needs at least 2")
    x = _numbers(path, header, rows, chosen, dtype)
    y = _numbers(path, header, rows, tuple(targets), dtype)
    scaling = None
    if standardize:
        mean, deviation = x.mean(0), x.std(0, correction=0)
        spread = x.amax(0) - x.amin(0)
        for k, name in enumerate(chosen):
            if spread[k] == 0 or not deviation[k] > 0:
                raise InputError(
                    f"{path}: feature {name!r} is constant ({x[0, k].item():g}) and cannot be standardized; "
                    "leave it out with --feature, the bias stands for it"
                )
        scaling = Scaling(mean, deviation)
        x = (x - mean) / deviation
    return Table(x, y, chosen, tuple(targets), scaling, path.name)


def _cells(path: Path, separator: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and the data rows with their numbers in the file."""
    between = TAB if separator in ("tab", r"\t") else separator
    if len(between) != 1 or between in '"\r\n':
        raise InputError(f"--sep {separator!r} cannot separate cells; expected one character such as ';', or tab")
    try:
        with path.open(newline="", encoding="utf-8-sig") as f:
            text = f.read()
        _separated(path, between, text)
        reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=between)
        lines = [(k, cells) for k, cells in enumerate(reader, 1) if cells]
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: found bytes that are not UTF-8 text; expected a CSV file in UTF-8") from None
    except csv.Error as e:
        raise InputError(f"{path}: cannot be read as CSV with the separator {between!r} ({e})") from None
    except OSError as e:
        raise InputError(f"{path}: cannot be read ({e.strerror or e})") from None
    if not lines:
        raise InputError(f"{path}: the file is empty; expected a header row and at least 2 data rows")
    header = [c.strip() for c in lines[0][1]]
    for k, name in enumerate(header):
        if not name:
            raise InputError(f"{path}: column {k + 1} has no name in the header row")
        if name in header[:k]:
            raise InputError(f"{path}: two columns are named {name!r}; rename one")
    for number, cells in lines[1:]:
        if len(cells) != len(header):
            raise InputError(f"{path}: row {number} has {len(cells)} cells; expected {len(header)}, one per column")
    return header, lines[1:]


def _separated(path: Path, between: str, text: str) -> None:
    """Refuse a header that has no separator where another one stands in it and in the row below."""
    lines = [line.strip() for line in text.splitlines() if line.strip()][:2]
    if not lines or between in lines[0]:
        return
    for mark, word in OTHERS.items():
        if all(mark in line for line in lines):
            raise InputError(
                f"{path}: no {between!r} stands between the columns' names; if {word} separate them, "
                f"say so with --sep {'tab' if mark == TAB else repr(mark)}"
            )


def _numbers(
    path: Path, header: list[str], rows: list[tuple[int, list[str]]], columns: tuple[str, ...], dtype: torch.dtype
) -> torch.Tensor:
    """The columns as a tensor; a cell that overflows the type is refused with its place."""
    places = [header.index(c) for c in columns]
    values = [[_number(path, cells[p], number, column) for p, column in zip(places, columns)] for number, cells in rows]
    found = torch.tensor(values, dtype=torch.float64).to(dtype)
    for r, c in (~torch.isfinite(found)).nonzero().tolist():
        raise InputError(
            f"{path}: row {rows[r][0]}, column {columns[c]!r}: {rows[r][1][places[c]].strip()} does not fit "
            f"{str(dtype).removeprefix('torch.')}; use --dtype float64"
        )
    return found


def _number(path: Path, cell: str, row: int, column: str) -> float:
    """A cell's finite number; anything else is refused with row, column and advice."""
    text = cell.strip()
    where = f"{path}: row {row}, column {column!r}: "
    if not text:
        raise InputError(f"{where}the cell is empty; expected a number")
    try:
        value = float(text.replace("_", "?"))  # Python reads 1_000, a CSV does not mean it
    except ValueError:
        advice = "write decimals with a point" if DECIMAL_COMMA.fullmatch(text) else "choose columns with --feature"
        raise InputError(f"{where}found {text[:40]!r}; expected a number ({advice})") from None
    if not math.isfinite(value):
        raise InputError(f"{where}found {text}; expected a finite number")
    return value
