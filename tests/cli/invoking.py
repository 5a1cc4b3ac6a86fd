"""The command, invoked in this process at 80 columns."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from derivcheck.cli.app import app

SQUARE = ["y[n] := x[n]^2", "--dims", "x: N"]
DIMS = ["--dims", "x: N in; W: out in", "--const", "eps=2.0"]


def invoke(*arguments: str | Path) -> Result:
    """What ``derivcheck ARGUMENTS`` does."""
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "80"})
