"""Tests that are too slow for the test command: several workers, and the longest proof of the example."""

from __future__ import annotations

from pathlib import Path

import derivcheck as dc
from release.conftest import ROOT
from tests.pytest_plugin.test_plugin import RUNS, collected, project, run

EXAMPLE = ROOT / "examples" / "splatting"


def test_reports_of_a_run_in_several_processes_are_collected(tmp_path: Path) -> None:
    collected(tmp_path, "-n", "2")


def test_an_audit_with_a_worker(tmp_path: Path) -> None:
    code, out = run(project(tmp_path, 3, RUNS), "--derivcheck-audit", "--derivcheck-allow", "Square", "-n", "1")
    assert code == 0 and "1 wrong, allowed" in out, out


def test_a_colour_that_is_not_normalised_is_found_with_its_line() -> None:
    proof = dc.prove(
        dc.cuda(EXAMPLE / "splatting.cu", "colour"), dc.cuda(EXAMPLE / "mistakes.cu", "colour_unnormalised"), time_limit=60.0
    )
    assert proof.status == "refuted" and "is written at mistakes.cu:23" in str(proof)
