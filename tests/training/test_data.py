"""A CSV as features and targets: what it gives, and one sentence for each way in which it can be bad."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from derivcheck.errors import InputError
from derivcheck.training.csv_file import CsvFormat
from derivcheck.training.data import read_table

GOOD = "a,b,y\n1,2,3\n4,5.5,6\n-7,8e2,9\n"


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "data.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_features_default_to_the_other_columns(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, GOOD), ["y"])
    assert table.features == ("a", "b") and table.targets == ("y",)
    assert table.x.tolist() == [[1.0, 2.0], [4.0, 5.5], [-7.0, 800.0]]
    assert table.y.tolist() == [[3.0], [6.0], [9.0]]
    assert table.x.dtype is torch.float64


def test_chosen_columns_keep_the_order_asked_for(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, GOOD), ["y", "a"], ["b"])
    assert table.x.tolist() == [[2.0], [5.5], [800.0]] and table.y.tolist() == [[3.0, 1.0], [6.0, 4.0], [9.0, -7.0]]


def test_text_columns_that_are_not_used_do_not_matter(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "name,x,y\nBob,1,2\nEve,3,4\n"), ["y"], ["x"])
    assert table.x.tolist() == [[1.0], [3.0]]


def test_byte_order_mark_blank_lines_and_quotes(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, '\ufeff"a","y"\r\n"1",2\r\n\r\n3,4\r\n'), ["y"])
    assert table.features == ("a",) and table.x.tolist() == [[1.0], [3.0]]


def test_standardize(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, GOOD), ["y"], standardize=True)
    assert torch.allclose(table.x.mean(0), torch.zeros(2, dtype=torch.float64), atol=1e-15)
    assert torch.allclose(table.x.square().mean(0), torch.ones(2, dtype=torch.float64))


def test_original_units_predict_the_same(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    plain, scaled = read_table(path, ["y"]), read_table(path, ["y"], standardize=True)
    w, b = torch.tensor([[2.0, -3.0]], dtype=torch.float64), torch.tensor([0.5], dtype=torch.float64)
    assert scaled.scaling is not None
    w0, b0 = scaled.scaling.original_units(w, b)
    assert torch.allclose(scaled.x @ w.T + b, plain.x @ w0.T + b0)


@pytest.mark.parametrize(
    ("text", "targets", "features", "standardize", "sentence"),
    [
        ("", ["y"], [], False, "the file is empty; expected a header row and at least 2 data rows"),
        ("\n\n", ["y"], [], False, "the file is empty"),
        ("a,y\n", ["y"], [], False, "found no data rows; a fit needs at least 2"),
        ("a,y\n1,2\n", ["y"], [], False, "found 1 data row; a fit needs at least 2"),
        ("a,y\n1,2\n3\n", ["y"], [], False, "row 3 has 1 cells; expected 2, one per column"),
        ("a,y\n1,2\n3,4,5\n", ["y"], [], False, "row 3 has 3 cells; expected 2"),
        ("a,y\n1,2\nred,4\n", ["y"], [], False, "row 3, column 'a': found 'red'; expected a number"),
        ("a,y\n1,2\n1_000,4\n", ["y"], [], False, "row 3, column 'a': found '1_000'; expected a number"),
        ("a,y\n1,2\n,4\n", ["y"], [], False, "row 3, column 'a': the cell is empty; expected a number"),
        ("a,y\n1,2\n3,nan\n", ["y"], [], False, "row 3, column 'y': found nan; expected a finite number"),
        ("a,y\n1,-inf\n3,4\n", ["y"], [], False, "row 2, column 'y': found -inf; expected a finite number"),
        (GOOD, ["Y"], [], False, "--target 'Y' is not a column; did you mean 'y'? The columns are a, b, y"),
        ("width,height,y\n1,2,3\n4,5,6\n", ["y"], ["widht"], False, "--feature 'widht' is not a column; did you mean 'width'?"),
        (GOOD, [], [], False, "no target; name a column with --target"),
        (GOOD, ["y", "y"], [], False, "--target 'y' is given twice"),
        (GOOD, ["y"], ["y"], False, "'y' is both a target and a feature"),
        ("y,z\n1,2\n3,4\n", ["y", "z"], [], False, "every column is a target"),
        ("a,a,y\n1,2,3\n4,5,6\n", ["y"], [], False, "two columns are named 'a'"),
        ("a,,y\n1,2,3\n4,5,6\n", ["y"], [], False, "column 2 has no name"),
        ("a,b,y\n1,2,3\n1,5,6\n", ["y"], [], True, "feature 'a' is constant (1) and cannot be standardized; leave it out"),
        (b"a,y\n\xff\xfe,2\n3,4\n", ["y"], [], False, "bytes that are not UTF-8 text"),
        ('a,y\n"1,2\n', ["y"], [], False, "cannot be read as CSV"),
    ],
    ids=lambda v: None,
)
def test_bad_data(
    tmp_path: Path, text: str | bytes, targets: list[str], features: list[str], standardize: bool, sentence: str
) -> None:
    with pytest.raises(InputError) as e:
        read_table(write(tmp_path, text), targets, features, standardize)
    assert sentence in str(e.value)
    assert "data.csv" in str(e.value), "the message names the file"
    assert "\n" not in str(e.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.csv: there is no such file"):
        read_table(tmp_path / "nothing.csv", ["y"])


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_table(tmp_path, ["y"])


def test_a_number_that_the_type_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="row 3, column 'a': 1e.300 does not fit float32; use --dtype float64"):
        read_table(write(tmp_path, "a,y\n1,2\n1e300,4\n"), ["y"], dtype=torch.float32)


@pytest.mark.parametrize(
    ("separator", "name", "word"),
    [(";", ";", "semicolons"), ("\t", "tab", "tabs"), ("\t", r"\t", "tabs"), ("|", "|", "bars"), (" ", " ", "spaces")],
)
def test_another_separator_is_named_and_can_be_given(tmp_path: Path, separator: str, name: str, word: str) -> None:
    path = write(tmp_path, GOOD.replace(",", separator))
    with pytest.raises(InputError, match=f"data.csv: no ',' stands between the columns' names; if {word} separate them"):
        read_table(path, ["y"])
    table = read_table(path, ["y"], format=CsvFormat(name))
    assert table.x.tolist() == [[1.0, 2.0], [4.0, 5.5], [-7.0, 800.0]]


def test_a_comma_where_another_separator_was_given(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no ';' stands between the columns' names; if commas separate them"):
        read_table(write(tmp_path, GOOD), ["y"], format=CsvFormat(";"))


def test_one_column_with_another_sign_in_its_name(tmp_path: Path) -> None:
    """The row below has no such sign: it separates nothing."""
    with pytest.raises(InputError, match="every column is a target"):
        read_table(write(tmp_path, "body height: cm\n170\n180\n"), ["body height: cm"])


@pytest.mark.parametrize("separator", ["", ";;", '"', "\n"])
def test_what_cannot_separate(tmp_path: Path, separator: str) -> None:
    with pytest.raises(InputError, match="cannot separate cells; expected one character such as ';', or tab"):
        read_table(write(tmp_path, GOOD), ["y"], format=CsvFormat(separator))


def test_decimal_commas_are_told(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"row 2, column 'a': found '1,5'; expected a number \(if the comma is a decimal point, say --decimal ','\)",
    ):
        read_table(write(tmp_path, "a;y\n1,5;2,0\n3;4\n"), ["y"], format=CsvFormat(";"))


BROKEN: dict[str, tuple[str | bytes, str]] = {  # 30 kinds and more of files that people bring; each is one sentence
    "empty": (b"", "the file is empty"),
    "blank lines alone": ("\n \n\n", "the file is empty"),
    "a header alone": ("a,y\n", "found no data rows; a fit needs at least 2"),
    "one row": ("a,y\n1,2\n", "found 1 data row"),
    "no header": ("1.5,2\n3,4\n5,6\n", "(numbers: is the header row missing?)"),
    "a name twice": ("a,a,y\n1,2,3\n4,5,6\n", "two columns are named 'a'; rename one"),
    "a column without a name": ("a,,y\n1,2,3\n4,5,6\n", "column 2 has no name in the header row"),
    "a short row": ("a,y\n1,2\n3\n", "row 3 has 1 cells; expected 2"),
    "a long row": ("a,y\n1,2\n3,4,5\n", "row 3 has 3 cells; expected 2"),
    "a separator at the end of a row": ("a,y\n1,2,\n3,4,\n", "row 2 has 3 cells; expected 2"),
    "an empty cell": ("a,y\n1,2\n,4\n", "row 3, column 'a': the cell is empty"),
    "spaces alone in a cell": ("a,y\n1,2\n  ,4\n", "row 3, column 'a': the cell is empty"),
    "NA": ("a,y\n1,2\nNA,4\n", "found 'NA'; expected a number (a missing value; leave the row out)"),
    "a dash for nothing": ("a,y\n1,2\n-,4\n", "found '-'; expected a number (a missing value; leave the row out)"),
    "NaN": ("a,y\n1,2\n3,NaN\n", "row 3, column 'y': found NaN; expected a finite number"),
    "infinity": ("a,y\n1,2\n3,-inf\n", "row 3, column 'y': found -inf; expected a finite number"),
    "a number that overflows": ("a,y\n1,2\n1e999,4\n", "row 3, column 'a': found 1e999; expected a finite number"),
    "a word": ("a,y\n1,2\nred,4\n", "found 'red'; expected a number (choose columns with --feature)"),
    "decimal commas": ('a,y\n"1,5",2\n3,4\n', "if the comma is a decimal point, say --decimal ','"),
    "thousands": ('a,y\n"1,234,567",2\n3,4\n', "write thousands without separators"),
    "thousands by apostrophes": ("a,y\n1'234'567,2\n3,4\n", "write thousands without separators"),
    "a percent sign": ("a,y\n5%,2\n3,4\n", "write a part of 1, without the percent sign"),
    "a currency": ("a,y\n$5.20,2\n3,4\n", "write the number without its currency"),
    "a unit": ("a,y\n5.2kg,2\n3,4\n", "write the number without its unit"),
    "a typographic minus": ("a,y\n\u22125,2\n3,4\n", "write the minus sign as '-'"),
    "a date": ("a,y\n2024-01-31,2\n3,4\n", "a date or a time is no number"),
    "a time": ("a,y\n12:30,2\n3,4\n", "a date or a time is no number"),
    "true and false": ("a,y\nTRUE,2\nFALSE,4\n", "write 0 and 1"),
    "hexadecimal": ("a,y\n0xFF,2\n3,4\n", "write it in decimals"),
    "a formula": ("a,y\n=B2*2,2\n3,4\n", "a formula; export its values"),
    "underscores": ("a,y\n1_000,2\n3,4\n", "found '1_000'; expected a number"),
    "semicolons": ("a;y\n1;2\n3;4\n", "if semicolons separate them, say so with --sep ';'"),
    "tabs": ("a\ty\n1\t2\n3\t4\n", "if tabs separate them, say so with --sep tab"),
    "a quote that is not closed": ('a,y\n"1,2\n3,4\n', "cannot be read as CSV with the separator ','"),
    "a quote in a cell": ('a,y\n"1"x,2\n3,4\n', "cannot be read as CSV"),
    "Latin-1": ("größe,y\n1,2\n3,4\n".encode("latin-1"), "it looks like Windows-1252: iconv -f CP1252 -t UTF-8 converts it"),
    "GB 18030": ("身高体重,y\n1,2\n3,4\n".encode("gb18030"), "it looks like Chinese GB 18030: iconv -f GB18030"),
    "UTF-16": ("a,y\n1,2\n3,4\n".encode("utf-16"), "it looks like UTF-16: iconv -f UTF-16 -t UTF-8 converts it"),
    "UTF-16 without a mark": ("a,y\n1,2\n3,4\n".encode("utf-16-le"), "it looks like UTF-16LE"),
    "NUL bytes": (b"a,y\n1,2\n3,\x004\n" + b"5,6\n" * 20, "found NUL bytes"),
    "an Excel workbook": (b"PK\x03\x04...", "this is an Excel workbook or a ZIP archive; export the sheet as CSV"),
    "an old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "export the sheet as CSV"),
    "gzip": (b"\x1f\x8b\x08\x00...", "this is a gzip archive; unpack it first"),
    "a PDF": (b"%PDF-1.7\n", "this is a PDF; export the table as CSV"),
    "a page of a web site": ("<!DOCTYPE html>\n<html>\n", "this is an HTML or XML page"),
    "JSON": ('[{"a": 1, "y": 2}]\n', "this is JSON"),
    "a pointer of Git LFS": ("version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "fetch it with git lfs pull"),
    "a NumPy array": (b"\x93NUMPY\x01\x00", "this is a NumPy array"),
    "SQLite": (b"SQLite format 3\x00", "this is a SQLite database"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_one_sentence(kind: str, tmp_path: Path) -> None:
    text, sentence = BROKEN[kind]
    path = write(tmp_path, text)
    with pytest.raises(InputError) as e:
        read_table(path, ["y"])
    said = str(e.value)
    assert sentence in said and said.startswith(str(path)) and "\n" not in said and not said.endswith("."), said


def test_thirty_kinds_at_least() -> None:
    assert len(BROKEN) >= 30


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("red,4", "row 23, column 'a': found 'red'"),
        ("3", "row 23 has 1 cells"),
        ("3,nan", "row 23, column 'y': found nan"),
        ('"1,2', "cannot be read as CSV"),
        ('"1,5",2', "row 23, column 'a': found '1,5'"),
        (",2", "row 23, column 'a': the cell is empty"),
    ],
)
def test_a_broken_row_far_down_is_told_with_its_number(
    row: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks that are whole are read at once; the row that is not is found all the same."""
    monkeypatch.setattr("derivcheck.training.csv_file.LINES", 4)
    with pytest.raises(InputError) as e:
        read_table(write(tmp_path, "a,y\n" + "1,2\n" * 21 + f"{row}\n"), ["y"])
    assert sentence in str(e.value), e.value


@pytest.mark.parametrize("lines", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    "text",
    [
        "a,b,y\n" + "".join(f"{k},{k / 7},{-k}\n" for k in range(11)),
        "a,b,y\r\n" + "".join(f"{k},{k / 7},{-k}\r\n" for k in range(11)),
        "a,b,y\r" + "".join(f"{k},{k / 7},{-k}\r" for k in range(11)),
        "\n\na,b,y\n\n" + "\n".join(f" {k} , {k / 7}\t,{-k}" for k in range(11)) + "\n\n",
        '"a","b\n","y"\n' + "".join(f'"{k}","{k / 7}",{-k}\n' for k in range(11)),
        "a,b,y,note\n"
        + "".join(f'{k},{k / 7},{-k},"one, {k}\nand ""more"""\n' if k % 3 else f"{k},{k / 7},{-k},\n" for k in range(11)),
    ],
    ids=["plain", "crlf", "cr", "blank lines and spaces", "quotes", "quotes over lines"],
)
def test_the_same_numbers_in_blocks_of_any_size(text: str, lines: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("derivcheck.training.csv_file.LINES", lines)
    table = read_table(write(tmp_path, text), ["y"], ["a", "b"])
    assert table.x.tolist() == [[k, k / 7] for k in range(11)] and table.y[:, 0].tolist() == [-k for k in range(11)]


def test_decimal_commas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a;y\n1,5;2\n-3,25;4,0\n1e-2;7\n"
    for lines in (1, 100):
        monkeypatch.setattr("derivcheck.training.csv_file.LINES", lines)
        table = read_table(write(tmp_path, text), ["y"], format=CsvFormat(";", ","))
        assert table.x[:, 0].tolist() == [1.5, -3.25, 0.01]
    table = read_table(write(tmp_path, 'a,y\n"1,5",2\n"2,5",3\n'), ["y"], format=CsvFormat(",", ","))
    assert table.x[:, 0].tolist() == [1.5, 2.5]
    with pytest.raises(InputError, match="found '1.234,5'; expected a number"):
        read_table(write(tmp_path, "a;y\n1.234,5;2\n3;4\n"), ["y"], format=CsvFormat(";", ","))
    with pytest.raises(InputError, match="--decimal ';' is no decimal point"):
        read_table(write(tmp_path, text), ["y"], format=CsvFormat(";", ";"))


def test_a_pipe_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="this is a pipe, which is read once alone; save it as a file"):
        read_table(tmp_path / "pipe", ["y"])
