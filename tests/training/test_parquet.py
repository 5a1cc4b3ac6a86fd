"""Parquet files as features and targets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from derivcheck.errors import InputError
from derivcheck.training.data import read_table


def write(path: Path, columns: dict[str, list[Any]]) -> Path:
    pyarrow = pytest.importorskip("pyarrow", reason="Parquet is read by pyarrow, an extra")
    parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet is read by pyarrow, an extra")
    parquet.write_table(pyarrow.table(columns), path)
    return path


GOOD: dict[str, list[Any]] = {"name": ["x", "y", "z"], "a": [1, 2, 3], "b": [1.5, -2.0, 8e2], "y": [True, False, True]}


@pytest.mark.parametrize("name", ["t.parquet", "t.pq", "called_otherwise.csv"])
def test_numbers_of_every_kind(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / name, GOOD)
    monkeypatch.setattr("derivcheck.training.parquet_file.LINES", 2)
    table = read_table(path, ["y"], ["a", "b"], dtype=torch.float32)
    assert table.x.tolist() == [[1, 1.5], [2, -2], [3, 800]] and table.y[:, 0].tolist() == [1, 0, 1]
    assert table.x.dtype is torch.float32 and table.name == name


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (GOOD, "column 'name' holds string values; expected numbers"),
        ({"a": [1, 2, None], "y": [1, 2, 3]}, "row 3, column 'a': the cell is empty; expected a number"),
        ({"a": [1.0, float("nan"), 2.0], "y": [1, 2, 3]}, "row 2, column 'a': found nan; expected a finite number"),
        ({"a": [1.0], "y": [1]}, "found 1 data row"),
        ({"a": [1.0], "Y": [1]}, "--target 'y' is not a column; did you mean 'Y'?"),
        ({"a": [1e300, 1.0], "y": [1, 2]}, "row 1, column 'a': 1e+300 does not fit float32"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(columns: dict[str, list[Any]], sentence: str, tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", columns)
    with pytest.raises(InputError) as e:
        read_table(path, ["y"], dtype=torch.float32)
    assert sentence in str(e.value) and str(e.value).startswith(str(path)) and "\n" not in str(e.value)


def test_a_damaged_file(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", GOOD)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"t\.parquet: cannot be read as Parquet \("):
        read_table(path, ["y"])


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="Parquet is read by pyarrow, an extra")
    with pytest.raises(InputError, match=r"nothing\.parquet: there is no such file"):
        read_table(tmp_path / "nothing.parquet", ["y"])


def test_without_pyarrow_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=r"pyarrow, which is not installed; install derivcheck-torch\[parquet\]"):
        read_table(tmp_path / "t.parquet", ["y"])
