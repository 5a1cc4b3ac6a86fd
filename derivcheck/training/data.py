"""A table of numbers, in a CSV or a Parquet file, as features and targets."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from derivcheck.errors import InputError
from derivcheck.training.csv_file import Block, CsvFile, CsvFormat
from derivcheck.training.parquet_file import ParquetFile, is_parquet

COMMAS = CsvFormat()


class TableFile(Protocol):
    """A file of columns with names, read as blocks of numbers."""

    @property
    def path(self) -> Path:
        """Where it is."""

    def header(self) -> list[str]:
        """The columns' names."""

    def most_rows(self) -> int:
        """A number of rows that it does not exceed."""

    def blocks(self, header: Sequence[str], columns: Sequence[str]) -> Iterator[Block]:
        """The numbers of some columns."""


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
    format: CsvFormat = COMMAS,
) -> Table:
    """Features and targets from a CSV with a header row, or from a Parquet file, read as a stream of blocks.

    Args:
        path: a text file in UTF-8, in which a row is named as a spreadsheet numbers it, the header being row 1; or a Parquet
            file, whose rows are counted from 1.
        targets: the columns to be predicted.
        features: the columns to predict from; default all others.
        standardize: bring each feature to mean 0 and (population) standard deviation 1.
        dtype: of the tensors.
        format: how the cells of a CSV are written.

    Raises:
        InputError: a file that is missing, empty, ragged or separated otherwise (by what, is said), a cell that is no finite
            number (its row and column are named), an unknown column (the nearest is offered), fewer than two rows, a constant
            feature to standardize.
    """
    path = Path(path)
    file: TableFile = ParquetFile(path) if is_parquet(path) else CsvFile(path, format)
    header = file.header()
    chosen = _columns(path, header, targets, features)
    x, y = _tensors(file, header, chosen, tuple(targets), dtype)
    if len(x) < 2:
        raise InputError(f"{path}: found {len(x) or 'no'} data row{'' if len(x) == 1 else 's'}; a fit needs at least 2")
    return Table(x, y, chosen, tuple(targets), _standardized(path, x, chosen) if standardize else None, path.name)


def _columns(path: Path, header: list[str], targets: Sequence[str], features: Sequence[str]) -> tuple[str, ...]:
    """The features; names that are none are refused."""
    for role, names in (("target", targets), ("feature", features)):
        for k, name in enumerate(names):
            if name not in header:
                near = [h for h in header if h.casefold() == name.casefold()] or difflib.get_close_matches(name, header, 1, 0.5)
                hint = f"did you mean {near[0]!r}? The" if near else "the"
                missing = "" if near or not all(map(_is_number, header)) else " (numbers: is the header row missing?)"
                raise InputError(f"{path}: --{role} {name!r} is not a column; {hint} columns are {_listed(header)}{missing}")
            if name in names[:k]:
                raise InputError(f"{path}: --{role} {name!r} is given twice")
    if not targets:
        raise InputError(f"{path}: no target; name a column with --target. The columns are {_listed(header)}")
    chosen = tuple(features) or tuple(c for c in header if c not in targets)
    both = [c for c in chosen if c in targets]
    if both:
        raise InputError(f"{path}: {both[0]!r} is both a target and a feature; leave it out of one")
    if not chosen:
        raise InputError(f"{path}: every column is a target; at least one must be left as a feature")
    return chosen


def _listed(header: Sequence[str]) -> str:
    return ", ".join(header) if len(header) <= 40 else f"{', '.join(header[:40])} and {len(header) - 40} more"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _tensors(
    file: TableFile, header: list[str], features: tuple[str, ...], targets: tuple[str, ...], dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Both, filled block by block; a number that overflows the type is refused with its place."""
    columns, most, done = [*features, *targets], file.most_rows(), 0
    x, y = (torch.empty((most, len(names)), dtype=dtype) for names in (features, targets))
    for numbers, rows in file.blocks(header, columns):
        block = torch.from_numpy(numbers).to(dtype)
        # one sum tells that all are finite, and is not finite where perhaps one is not
        for r, c in [] if math.isfinite(block.sum()) else (~torch.isfinite(block)).nonzero().tolist():
            raise InputError(
                f"{file.path}: row {rows[r]}, column {columns[c]!r}: {numbers[r, c]} does not fit "
                f"{str(dtype).removeprefix('torch.')}; use --dtype float64"
            )
        x[done : done + len(block)] = block[:, : len(features)]
        y[done : done + len(block)] = block[:, len(features) :]
        done += len(block)
    return x[:done], y[:done]


def _standardized(path: Path, x: torch.Tensor, features: tuple[str, ...]) -> Scaling:
    """Bring the features to mean 0 and deviation 1, in place."""
    mean, deviation = x.mean(0), x.std(0, correction=0)
    spread = x.amax(0) - x.amin(0)
    for k, name in enumerate(features):
        if spread[k] == 0 or not deviation[k] > 0:
            raise InputError(
                f"{path}: feature {name!r} is constant ({x[0, k].item():g}) and cannot be standardized; "
                "leave it out with --feature, the bias stands for it"
            )
    x.sub_(mean).div_(deviation)
    return Scaling(mean, deviation)
