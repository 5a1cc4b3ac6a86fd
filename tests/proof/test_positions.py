"""Integer tensors that are positions: they stay below what they are positions in, and are tried over all of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

import derivcheck as dc

T = torch.Tensor
ROWS = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
IDS = torch.tensor([4, 0, 2, 2])


def rows(table: T, ids: T) -> T:
    return table[ids]


def added(table: T, at: T, values: T) -> dict[str, T]:
    return {"table": torch.zeros_like(table).index_add(0, at, values)}


WRONG = {
    "reversed rows": lambda grad_output, table, ids: added(table, ids.flip(0), grad_output),
    "the mean in every row": lambda grad_output, table, ids: added(
        table, ids, grad_output.mean(0, keepdim=True).expand_as(grad_output)
    ),
    "one row further": lambda grad_output, table, ids: added(table, (ids + 1) % table.shape[0], grad_output),
    "overwritten": lambda grad_output, table, ids: {"table": torch.zeros_like(table).index_copy(0, ids, grad_output)},
    "the first row alone": lambda grad_output, table, ids: added(table, ids * 0, grad_output),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("forward", [rows, lambda table, ids: F.embedding(ids, table)])
def test_wrong_rows_are_not_said_to_agree(name: str, forward: Any) -> None:
    proof = dc.prove(forward, WRONG[name], table=ROWS, ids=IDS)
    assert proof.status != "proved" and "agrees on numbers" not in str(proof), str(proof)


def test_right_rows_are_proved_under_the_bound() -> None:
    proof = dc.prove(rows, lambda grad_output, table, ids: added(table, ids, grad_output), table=ROWS, ids=IDS)
    assert proof.status == "proved" and "0 ≤ ids < N" in proof.conditions


def test_an_example_that_counts_from_the_end_is_not_excluded() -> None:
    proof = dc.prove(rows, lambda grad_output, table, ids: added(table, ids, grad_output), table=ROWS, ids=IDS - 3)
    assert not any("≤ ids" in c for c in proof.conditions)
    assert proof.status != "proved"  # index_add takes no position from the end


def cross_entropy(x: T, t: T) -> T:
    return F.cross_entropy(x, t, ignore_index=-1)


def by_softmax(grad_output: T, x: T, t: T) -> dict[str, T]:
    kept = (t != -1).to(x.dtype)
    hit = F.one_hot(t.clamp(min=0), x.shape[1])
    return {"x": grad_output * (x.softmax(1) - hit) * kept[:, None] / kept.sum()}


def test_labels_stay_below_the_classes() -> None:
    proof = dc.prove(cross_entropy, by_softmax, x=ROWS, t=torch.tensor([1, 0, 2, 2, 1]))
    assert proof.status == "proved" and "0 ≤ t < C" in proof.conditions, str(proof)
    wrong = dc.prove(
        cross_entropy, lambda grad_output, x, t: by_softmax(grad_output, x, t.flip(0)), x=ROWS, t=IDS[[0, 1, 2, 3, 3]] % 3
    )
    assert wrong.status != "proved"
