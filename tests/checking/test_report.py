"""The report: short, plain, JSON, a table, a picture, a file that reproduces the failure."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import derivcheck as dc
from derivcheck.checking.check import check, check_at
from derivcheck.checking.report.report import Report
from derivcheck.checking.report.row import Row, Witness
from derivcheck.errors import InputError
from tests.checking.forwards import FORWARDS, Tensors

F = FORWARDS["linear"]
D = dc.derive(F.program)


def data() -> Tensors:
    return F.data(torch.Generator().manual_seed(0), (6, 5, 4))


def by_n(grad_output: Any, x: Any, w: Any, b: Any, y: Any) -> Tensors:
    g = grad_output * 2 * (x @ w.T + b - y) / len(y)
    return {"x": g @ w, "w": g.T @ x, "b": g.sum(0), "y": -g}


def test_a_failure_reads_in_ten_lines() -> None:
    report = check(D, data(), by_n)
    text = str(report)
    lines = text.splitlines()
    assert len(lines) <= 10, text
    assert lines[0] == "derived: 4 of 4 gradients do not hold (float64, N=6, in=5, out=4)"
    assert lines[1] == "  x: wrong in 30 of 30 elements"
    assert (
        "worst at [" in lines[2]
        and "found " in lines[2]
        and "expected " in lines[2]
        and "rounding explains at most" in lines[2]
    )
    assert "next: report.reproducer()" in text


def test_the_diagnosis_is_looked_for_when_asked() -> None:
    report = check(D, data(), by_n)
    assert all(r._diagnosis is None for r in report), "a failure costs no more than a success"
    assert "divided by N, but the mean is over N·out" in str(report["w"].diagnosis)
    assert "N·out" in str(report)
    assert check(D, data(), F.backward)["w"].diagnosis is None


def test_json() -> None:
    for backward in (by_n, F.backward, lambda **t: {"w": t["w"] * float("nan")}):
        report = check(D, data(), backward)
        read = json.loads(json.dumps(report.to_dict(), allow_nan=False))
        assert read["passed"] is report.passed and [g["name"] for g in read["gradients"]] == [r.name for r in report]
        assert read["sizes"] == {"N": 6, "in": 5, "out": 4} and read["dtype"] == "float64"


def test_a_passing_report_says_what_it_could_have_seen() -> None:
    text = str(check(D, data(), F.backward))
    assert text.startswith("derived: all 4 gradients hold (float64, N=6, in=5, out=4)")
    assert "would have seen" in text and "agrees with autograd, differences, SymPy" in text and "held under" in text


def test_table_in_a_terminal_and_plain_elsewhere() -> None:
    from io import StringIO

    from rich.console import Console

    report = check(D, data(), by_n)
    plain, coloured = StringIO(), StringIO()
    Console(file=plain, width=120).print(report)
    Console(file=coloured, width=120, force_terminal=True).print(report)
    assert "verdict" in plain.getvalue() and "wrong" in plain.getvalue() and "\x1b[" not in plain.getvalue()
    assert "\x1b[" in coloured.getvalue()


def test_picture(tmp_path: Path) -> None:
    figure = check_at(D, data(), by_n).plot(str(tmp_path / "errors.png"))
    assert (tmp_path / "errors.png").stat().st_size > 5000
    titles = [a.get_title() for a in figure.axes if a.get_title()]
    assert titles == ["x", "w", "b", "y"]
    check_at(D, data(), F.backward).plot(str(tmp_path / "none.png"))


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_picture_replaces_its_own_file_alone(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"errors.{kind}"
    report = Report("f", [])
    for _ in range(2):
        report.plot(str(path))
    path.write_bytes(path.read_bytes() + b"mine")
    with pytest.raises(InputError, match="was changed since derivcheck wrote it; name another file with path=, or remove it"):
        report.plot(str(path))
    assert path.read_bytes().endswith(b"mine")


@pytest.mark.parametrize("small", [True, False])
def test_reproducer_fails_alone(tmp_path: Path, small: bool) -> None:
    report = check(D, data() if small else F.data(torch.Generator().manual_seed(0), (40, 30, 20)), by_n)
    text = report.reproducer()
    assert "import derivcheck" not in text and "def by_n" in text
    path = tmp_path / "reproduce.py"
    path.write_text(text)
    run = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)
    assert run.returncode == 1 and "AssertionError" in run.stderr, run.stderr[-400:]
    assert text.count("torch.tensor(") == 5, "data that is too large to write out is replaced by a small failure"
    assert "found " in run.stdout and "expected " in run.stdout
    with pytest.raises(ValueError, match="no failure to reproduce"):
        check_at(D, data(), F.backward).reproducer()


def test_rows_by_name() -> None:
    report = Report("f", [Row("x"), Row("w", "vacuous", note="too small")])
    assert report["w"].verdict == "vacuous" and not report.passed and not report.faulty and not bool(report)
    assert [r.name for r in report.failures] == ["w"] and len(report) == 2
    with pytest.raises(KeyError, match="'bias' is not in the report; it has x, w"):
        report["bias"]


@pytest.mark.parametrize("verdict", ["passed", "right but ill-conditioned", "changed input", "not reproduced"])
def test_80_columns_hold_the_table_with_every_verdict_whole(verdict: str) -> None:
    names = ("autograd", "differences", "SymPy", "direction")
    witnesses = tuple(Witness(n, n != "autograd", 1.2e-10) for n in names)
    rows = [Row("in_proj_weight", verdict, 1.5e-16, 2.5e-15, sensitivity=3e-15, count=4, witnesses=witnesses)]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(Report("f", rows).table())
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80 and "…" not in "".join(lines)
    assert all(any(word in line for line in lines) for word in (*verdict.split(), "1.2e-10✗", "2.5e-15", "3e-15", "seen"))
