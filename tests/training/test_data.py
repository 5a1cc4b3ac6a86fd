"""A CSV as features and targets: what it gives, and one sentence for each way in which it can be bad."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from derivcheck.errors import InputError
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
        (GOOD, ["Y"], [], False, "--target 'Y' is not a column; the columns are a, b, y"),
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
    with pytest.raises(InputError, match="row 3, column 'a': 1e300 does not fit float32; use --dtype float64"):
        read_table(write(tmp_path, "a,y\n1,2\n1e300,4\n"), ["y"], dtype=torch.float32)


@pytest.mark.parametrize(
    ("separator", "name", "word"),
    [(";", ";", "semicolons"), ("\t", "tab", "tabs"), ("\t", r"\t", "tabs"), ("|", "|", "bars"), (" ", " ", "spaces")],
)
def test_another_separator_is_named_and_can_be_given(tmp_path: Path, separator: str, name: str, word: str) -> None:
    path = write(tmp_path, GOOD.replace(",", separator))
    with pytest.raises(InputError, match=f"data.csv: no ',' stands between the columns' names; if {word} separate them"):
        read_table(path, ["y"])
    table = read_table(path, ["y"], separator=name)
    assert table.x.tolist() == [[1.0, 2.0], [4.0, 5.5], [-7.0, 800.0]]


def test_a_comma_where_another_separator_was_given(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no ';' stands between the columns' names; if commas separate them"):
        read_table(write(tmp_path, GOOD), ["y"], separator=";")


def test_one_column_with_another_sign_in_its_name(tmp_path: Path) -> None:
    """The row below has no such sign: it separates nothing."""
    with pytest.raises(InputError, match="every column is a target"):
        read_table(write(tmp_path, "body height: cm\n170\n180\n"), ["body height: cm"])


@pytest.mark.parametrize("separator", ["", ";;", '"', "\n"])
def test_what_cannot_separate(tmp_path: Path, separator: str) -> None:
    with pytest.raises(InputError, match="cannot separate cells; expected one character such as ';', or tab"):
        read_table(write(tmp_path, GOOD), ["y"], separator=separator)


def test_decimal_commas_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"row 2, column 'a': found '1,5'; expected a number \(write decimals with a point\)"):
        read_table(write(tmp_path, "a;y\n1,5;2,0\n3;4\n"), ["y"], separator=";")
