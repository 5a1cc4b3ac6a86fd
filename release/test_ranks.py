"""Several processes under torch.distributed: gradients over ranks, and a rank that fails."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

import derivcheck as dc
from tests.training import loops
from tests.training.loops import batches, network


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
