"""Several processes under torch.distributed: gradients over ranks, and a rank that fails."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import derivcheck as dc
from derivcheck.training.ranks import in_ranks
from release.conftest import run
from tests.training import loops, ranked
from tests.training.loops import batches, network
from tests.training.test_over_ranks import the_run_of_one_process


@pytest.mark.parametrize(
    ("rows", "step", "says"),
    [
        ((4, 4, 4, 4), loops.once_over_the_wire, ""),
        ((4, 2), None, "the mean of means: ranks of 4, 2 rows count alike"),
    ],
)
def test_two_ranks(rows: tuple[int, ...], step: Any, says: str) -> None:
    report = dc.check_accumulation(network(), nn.MSELoss(), batches(*rows), world=2, step=step)
    assert report.passed == (not says)
    assert not says or all(str(r.diagnosis).startswith(says) for r in report), report


def test_two_ranks_that_are_never_reduced() -> None:
    report = dc.check_accumulation(network(), nn.MSELoss(), batches(4, 4, 4, 4), world=2, step=loops.never_reduced)
    assert not report.passed
    assert all(str(r.diagnosis).startswith("rank 0's own gradient: nothing was reduced") for r in report), report


def test_reductions_that_cost_time_alone_are_said() -> None:
    report = dc.check_accumulation(network(), nn.MSELoss(), batches(4, 4, 4, 4), world=2)
    assert report.passed and any("reduced 2 times for one step" in n for n in report.notes), report


def test_a_rank_that_raises_ends_the_others() -> None:
    with pytest.raises(
        dc.InputError, match=r"rank 1 raised RuntimeError: no room left at loops.py:\d+; the other ranks were ended"
    ):
        dc.check_accumulation(network(), nn.MSELoss(), batches(4, 4), world=2, step=loops.raises_on_one_rank)


def test_a_rank_that_dies_ends_the_others() -> None:
    with pytest.raises(dc.InputError, match="rank 1 died; the other ranks were ended"):
        dc.check_accumulation(network(), nn.MSELoss(), batches(4, 4), world=2, step=loops.dies_on_one_rank)


@pytest.mark.parametrize("world", [2, 3, 4])
def test_a_run_over_ranks_is_the_run_of_one(world: int, tmp_path: Path) -> None:
    found = in_ranks(ranked.outcomes, world, str(tmp_path), tuple(ranked.CASES), seconds=600)
    for name in ranked.CASES:
        the_run_of_one_process(found, name)


def _torchrun(folder: Path, *options: str, world: int = 3) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={world}", "-m", "derivcheck", "run", *options]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_command_over_ranks(tmp_path: Path) -> None:
    options = ["--batch-size", "7", "--epochs", "5"]
    shown, told = _torchrun(tmp_path, *options).communicate(timeout=300)
    assert "4  The training, on 3 ranks" in shown and shown.count("1  The derivation, for every size") == 1, told
    run(sys.executable, "-m", "derivcheck", "run", *options, "--out", "one", folder=tmp_path)
    ranks, one = (
        [list(map(float, line.split(","))) for line in (tmp_path / out / "history.csv").read_text().splitlines()[1:]]
        for out in ("derivcheck-out", "one")
    )
    assert len(ranks) == 5
    for left, right in zip(ranks, one):
        assert left == pytest.approx(right, rel=1e-12)


def test_what_is_wrong_is_said_once(tmp_path: Path) -> None:
    process = _torchrun(tmp_path, "--data", "none.csv", "--target", "y")
    _, told = process.communicate(timeout=300)
    assert process.returncode and told.count("derivcheck: none.csv: there is no such file") == 1, told


def test_a_rank_that_is_killed_ends_the_run(tmp_path: Path) -> None:
    process = _torchrun(tmp_path, "--epochs", "1000000", "--batch-size", "5", "--checkpoint-every", "200")
    saved, last = tmp_path / "derivcheck-out" / "checkpoint-1.pt", time.monotonic() + 200
    while not saved.exists() and time.monotonic() < last:
        time.sleep(0.1)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout.split()
    subprocess.run(["kill", "-9", children[1]], check=True)
    start = time.monotonic()
    _, told = process.communicate(timeout=60)
    assert time.monotonic() - start < 30 and process.returncode
    assert "Traceback" not in told.split("torch/distributed/elastic")[0], told
    assert told.count("waits for another rank that is gone") >= 1 or "stopped by SIGTERM" in told, told
    assert not [p for p in saved.parent.iterdir() if p.suffix != ".pt"], "nothing is written of a run that did not end"
