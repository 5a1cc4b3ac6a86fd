"""Whole files or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from derivcheck.errors import InputError
from derivcheck.training.files import usable_folder, write_all


def test_writes_text_and_bytes(tmp_path: Path) -> None:
    written = write_all(tmp_path / "new" / "folder", {"a.txt": "ŷ", "b.bin": b"\x00"})
    assert [p.name for p in written] == ["a.txt", "b.bin"]
    assert written[0].read_text(encoding="utf-8") == "ŷ" and written[1].read_bytes() == b"\x00"


def test_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    write_all(tmp_path, {"a.txt": "new"})
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_failure_half_way_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "b.txt").mkdir()  # in the way of the second file
    with pytest.raises(InputError, match="is a folder, where a file is to be written"):
        write_all(tmp_path, {"a.txt": "new", "b.txt": "new"})
    assert (tmp_path / "a.txt").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "b.txt"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"the output folder .*file/out cannot be written \(Not a directory\)"):
        usable_folder(tmp_path / "file" / "out")
