"""``docs/verdicts.md``: what each verdict means for ``passed``, a test, a training run and the command."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

import derivcheck as dc
from derivcheck.checking import check as checks
from derivcheck.checking.check import Asked, check, examine
from derivcheck.checking.report.report import Report
from derivcheck.checking.report.row import FAULTS, Row
from derivcheck.checking.subject.subject import subject
from derivcheck.cli import check as command
from derivcheck.cli.app import app
from derivcheck.training import gate

DOC = Path(__file__).parents[2] / "docs" / "verdicts.md"
UNSURE = ("right but ill-conditioned", "vacuous", "undecided")
X = {"x": torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)}


def row(verdict: str) -> Row:
    return Row("x", verdict, note="" if verdict == "passed" else "a note")


def report(verdict: str, strict: bool = False, limits: tuple[str, ...] = ()) -> Report:
    found = Report("f", [row(verdict)], strict=strict)
    found.leave_open(*limits)
    return found


NEVER = ("never reached: x[n] <= 0",)
TABLE = [  # verdict, strict, what is left open: passed, trains, exit status
    *((v, strict, NEVER[:k], v == "passed" and not (strict and k), True, 0 if v == "passed" and not (strict and k) else 3)
      for v in ("passed", *UNSURE) for strict in (False, True) for k in (0, 1)),
    *((v, False, (), False, False, 1) for v in FAULTS),
    ("not reproduced", False, (), False, False, 3),
]  # fmt: skip


@pytest.mark.parametrize("verdict, strict, limits, passed, trains, status", TABLE)
def test_the_table(
    verdict: str,
    strict: bool,
    limits: tuple[str, ...],
    passed: bool,
    trains: bool,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    found = report(verdict, strict, limits)
    assert found.passed is passed and bool(found) is passed and found.limits == list(limits) and set(limits) <= set(found.notes)

    monkeypatch.setattr(checks, "check", lambda *a, **k: found)
    if passed:
        checks.assert_gradients(torch.sin, X)
    else:
        with pytest.raises(dc.GradientMismatch, match=re.escape(verdict if verdict != "passed" else NEVER[0])):
            checks.assert_gradients(torch.sin, X)

    monkeypatch.setattr(gate, "examine", lambda *a, **k: report(verdict, limits=limits))
    model = nn.Linear(1, 1, dtype=torch.float64)
    x = torch.linspace(0, 1, 4, dtype=torch.float64).unsqueeze(1)
    if trains:
        history = dc.train(model, nn.MSELoss(), x, x, epochs=1, device="cpu")
        assert history.notes == (*(("x: " + verdict + ": a note",) if verdict != "passed" else ()), *limits)
    else:
        with pytest.raises(dc.UnverifiedGradientError):
            dc.train(model, nn.MSELoss(), x, x, epochs=1, device="cpu")
        out = CliRunner().invoke(app, ["run", "--epochs", "1", "--device", "cpu", "--out", str(tmp_path / "out")])
        assert out.exit_code == status

    monkeypatch.setattr(command, "check", lambda *a, **k: found)
    options = ["check", "y[n] := x[n]^2", "--dims", "x: N", *(["--strict"] if strict else [])]
    assert CliRunner().invoke(app, options, env={"COLUMNS": "80"}).exit_code == status


def test_the_page_names_every_verdict() -> None:
    text = DOC.read_text()
    assert all(v in text for v in (*FAULTS, *UNSURE, "not reproduced", "never reached", "double backward"))


def test_what_is_left_open_is_said_beside_a_pass() -> None:
    said = report("passed", limits=NEVER)
    assert said.passed and NEVER[0] in str(said) and said.to_dict()["limits"] == list(NEVER)
    asked = report("passed", strict=True, limits=NEVER)
    assert not asked.passed and not asked.faulty
    assert str(asked).startswith("f: the gradient holds, but not all was reached, as strict=True asks")
    assert NEVER[0] in str(asked)


class OfItsOutput(torch.autograd.Function):
    """exp; its backward keeps what its forward computed, which is a constant to autograd."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.exp()
        ctx.y = y.detach()
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * ctx.y


@pytest.mark.parametrize("order", [None, 2])
def test_a_wrong_double_backward_is_a_row_of_its_own(order: int | None) -> None:
    found = check(OfItsOutput, X, order=order)
    assert not found.passed and [r.name for r in found.failures] == ["x (double backward)"] and found["x"].passed


def test_a_double_backward_is_not_asked_for_in_first_order() -> None:
    assert check(OfItsOutput, X, order=1).passed
    assert dc.gradcheck(OfItsOutput.apply, X["x"].clone().requires_grad_())
    with pytest.raises(dc.InputError, match=r"order is 3; expected 1 \(the gradient alone\), or 2 or None"):
        check(torch.sin, X, order=3)


def test_a_derivation_that_is_not_the_forward_is_not_reproduced() -> None:
    s = subject(lambda x: x.sin(), X)
    s.call = lambda tensors: tensors["x"].sin() * 1.001
    found = examine(s, lambda grad_output, x: {"x": grad_output * x.cos()}, Asked(torch.float64, witnesses=False))
    assert [r.verdict for r in found.failures] == ["not reproduced"] and not found.passed and not found.faulty


# -- one place ---------------------------------------------------------------------------
CHECKING = Path(checks.__file__).parent


def decides(source: str) -> list[int]:
    """The lines at which a verdict is written: a new row, another verdict of a row."""
    calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)]
    makes = [c for c in calls if getattr(c.func, "id", "") == "Row" or any(k.arg == "verdict" for k in c.keywords)]
    return sorted(c.lineno for c in makes)


def test_a_verdict_is_decided_in_one_file_alone() -> None:
    """The steps of a check return values; what they come to is decided where all of it can be read."""
    where = {p.relative_to(CHECKING).as_posix(): decides(p.read_text(encoding="utf-8")) for p in CHECKING.rglob("*.py")}
    assert [name for name, lines in where.items() if lines] == ["verdict/verdict.py"]
    assert decides("rows.append(Row('x', 'wrong'))\nreplace(row, verdict='passed')\nreplace(row, note='')") == [1, 2]


def test_a_finding_is_a_value() -> None:
    found = row("passed")
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.verdict = "wrong"  # type: ignore[misc]
