"""A Parquet file as blocks of numbers, by pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from derivcheck.errors import InputError
from derivcheck.training.csv_file import LINES, Block

MAGIC = b"PAR1"


def is_parquet(path: Path) -> bool:
    """Whether a file says at its start that it is one, or is called so."""
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return True
        if not path.is_file():  # to open a pipe waits for its writer
            return False
        with path.open("rb") as f:
            return f.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file; rows are counted from 1."""

    path: Path

    def header(self) -> list[str]:
        """The columns' names.

        Raises:
            InputError: the file cannot be read, is no Parquet, or pyarrow is not installed.
        """
        with self._opened() as file:
            names = [str(n) for n in file.schema_arrow.names]
        for k, name in enumerate(names):
            if name in names[:k]:
                raise InputError(f"{self.path}: two columns are named {name!r}; rename one")
        if not names:
            raise InputError(f"{self.path}: the file has no columns")
        return names

    def most_rows(self) -> int:
        """The number of rows."""
        with self._opened() as file:
            return int(file.metadata.num_rows)

    def blocks(self, header: Sequence[str], columns: Sequence[str]) -> Iterator[Block]:
        """Blocks of float64 numbers, (rows, columns), with the numbers of their rows.

        Raises:
            InputError: a column that holds no numbers, a cell without one; its row and column are named.
        """
        with self._opened() as file:
            for name in columns:
                kind = str(file.schema_arrow.field(name).type)
                if not kind.startswith(("int", "uint", "float", "double", "half", "decimal", "bool")):
                    raise InputError(
                        f"{self.path}: column {name!r} holds {kind} values; expected numbers (choose columns with --feature)"
                    )
            row = 1
            for batch in file.iter_batches(batch_size=LINES, columns=list(columns)):
                found = np.empty((len(batch), len(columns)))
                for k, name in enumerate(columns):
                    found[:, k] = self._numbers(batch.column(name), name, row)
                yield found, range(row, row + len(batch))
                row += len(batch)

    def _numbers(self, column: Any, name: str, row: int) -> np.ndarray[Any, Any]:
        """One column of a block; a missing cell and one that is not finite are refused."""
        if column.null_count:
            at = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
            raise InputError(f"{self.path}: row {row + at}, column {name!r}: the cell is empty; expected a number")
        found: np.ndarray[Any, Any] = column.cast("float64", safe=False).to_numpy(zero_copy_only=False)
        bad = np.flatnonzero(~np.isfinite(found))
        if len(bad):
            raise InputError(
                f"{self.path}: row {row + int(bad[0])}, column {name!r}: found {found[bad[0]]}; expected a finite number"
            )
        return found

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """The file by pyarrow, whose errors become a sentence."""
        try:
            import pyarrow  # an extra, and slow to load
            import pyarrow.parquet  # an extra, and slow to load
        except ImportError:
            raise InputError(
                f"{self.path}: Parquet is read by pyarrow, which is not installed; install derivcheck-torch[parquet]"
            ) from None
        try:
            with pyarrow.parquet.ParquetFile(self.path, memory_map=True) as file:
                yield file
        except FileNotFoundError:
            raise InputError(f"{self.path}: there is no such file") from None
        except pyarrow.ArrowException as e:
            raise InputError(f"{self.path}: cannot be read as Parquet ({str(e).splitlines()[0]})") from None
        except OSError as e:
            raise InputError(f"{self.path}: cannot be read ({e.strerror or e})") from None
