"""Two numbers that differ are printed to the digit that differs; an error of float32's size names float32."""

from __future__ import annotations

import pytest
import torch

import derivcheck as dc
from derivcheck.checking.report.page import page
from derivcheck.notation.values.shortest import told_apart


@pytest.mark.parametrize(
    "a, b, said",
    [
        (2.0, 1.0, ("2", "1")),
        (0.1348051, 0.1348052, ("0.1348051", "0.1348052")),
        (1 + 2.0**-52, 1.0, ("1.0000000000000002", "1")),
        (float("nan"), 1.0, ("nan", "1")),
        (float("inf"), 1e300, ("inf", "1e+300")),
        (-1e-9, -1e-9 * (1 + 1e-7), ("-1e-09", "-1.0000001e-09")),
        (3.0, 3.0, ("3", "3")),
    ],
)
def test_told_apart(a: float, b: float, said: tuple[str, str]) -> None:
    assert told_apart(a, b) == said


def test_a_report_prints_the_digit_that_differs() -> None:
    x = torch.tensor([0.4, -1.2, 2.3], dtype=torch.float64)
    off = 1 + 2.0**-25
    report = dc.check(lambda x: torch.sin(x), {"x": x}, lambda grad_output, x: {"x": grad_output * torch.cos(x) * off})
    text = str(report)
    found, expected = text.split("found ")[1].split("; rounding")[0].split(", expected ")
    assert found != expected and "it is 1 times" not in text and "x: the factor `off` is one too many" in text
    shown = page([report.to_dict()]).split("found ")[1].split(".  ")[0]
    assert shown.split(", expected ")[0] != shown.split(", expected ")[1]


def single(grad_output: torch.Tensor, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """A kernel that computes in float32 whatever it is given."""
    inside = torch.from_numpy(x.numpy().astype("float32"))
    g = torch.from_numpy(grad_output.numpy().astype("float32"))
    back = (g * torch.cos(inside)).numpy().astype(str(x.dtype).removeprefix("torch."))
    return {"x": torch.from_numpy(back)}


def test_an_error_of_the_size_of_float32_names_it() -> None:
    x = torch.tensor([0.4, -1.2, 2.3], dtype=torch.float64)
    report = dc.check(lambda x: torch.sin(x), {"x": x}, single)
    assert report["x"].verdict == "wrong" and "dtype=torch.float32 checks it there" in report["x"].note
    assert dc.check(lambda x: torch.sin(x), {"x": x}, single, dtype=torch.float32).passed

    def wrong(grad_output: torch.Tensor, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"x": grad_output * torch.cos(x) * (1 + 2e-6)}

    assert "float32" not in dc.check(lambda x: torch.sin(x), {"x": x}, wrong)["x"].note
