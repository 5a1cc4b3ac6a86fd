"""The gradient of micro-batches, as a loop combines it, against the whole batch's; each wrong combination has its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import derivcheck as dc
from tests.training import loops
from tests.training.loops import batches, network


class TokenLoss(nn.Module):
    """Cross-entropy over every token, ignored ones left out."""

    ignore_index = -100

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=self.ignore_index)


def by_tokens(module: nn.Module, loss: Callable[..., Any], parts: Sequence[tuple[Tensor, Tensor]]) -> None:
    counts = [int((y != -100).sum()) for _, y in parts]
    for (x, y), n in zip(parts, counts):
        (loss(module(x), y) * n / sum(counts)).backward()


def tokens() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 5, (6, 7), generator=generator)
    ids[0, :4], ids[1, 2:] = -100, -100
    x = torch.randn(6, 7, 3, generator=generator)
    return [(x[k : k + 2], ids[k : k + 2]) for k in (0, 2, 4)]


@pytest.mark.parametrize(
    ("rows", "step"), [((5, 5), None), ((4, 4, 2), loops.weighted), ((6,), None), ((6,), loops.undivided), ((1, 1, 1), None)]
)
def test_a_loop_that_is_right(rows: tuple[int, ...], step: Any) -> None:
    module = network()
    before = {n: p.clone() for n, p in module.named_parameters()}
    report = dc.check_accumulation(module, nn.MSELoss(), batches(*rows), step=step)
    assert report.passed and {r.name for r in report} == {"_0_weight", "_0_bias", "_2_weight", "_2_bias"}, report
    assert all(torch.equal(p, before[n]) and p.grad is None for n, p in module.named_parameters())


def test_tokens_that_are_weighed_by_what_counts() -> None:
    assert dc.check_accumulation(nn.Linear(3, 5), TokenLoss(), tokens(), step=by_tokens).passed
    report = dc.check_accumulation(nn.Linear(3, 5), TokenLoss(), tokens())
    said = "the mean of means: micro-batches of 5, 14, 14 targets (ignored ones left out) count alike"
    assert not report.passed and str(report["weight"].diagnosis).startswith(said)


def test_a_loss_that_adds() -> None:
    added = nn.MSELoss(reduction="sum")
    assert dc.check_accumulation(network(), added, batches(4, 2), step=loops.undivided).passed
    report = dc.check_accumulation(network(), added, batches(4, 4))
    assert str(report["_0_bias"].diagnosis) == "2× too small: the loss adds, and is divided by the 2 micro-batches"


WRONG: dict[str, tuple[tuple[int, ...], Any, str]] = {
    "mean of means": (
        (4, 4, 2),
        None,
        "the mean of means: micro-batches of 4, 4, 2 rows count alike; weight each by what it has of",
    ),
    "1/k missing": ((4, 4), loops.undivided, "2× too large: 2 micro-batches are added, and none is divided by 2"),
    "1/k missing, unequal": (
        (4, 2),
        loops.undivided,
        "no micro-batch's loss is divided by their number, and then it is the mean of",
    ),
    "1/k doubled": ((4, 4, 4), loops.divided_twice, "3× too small: divided twice by the 3 micro-batches"),
    "zeroed": ((4, 4, 2), loops.zeroed_between, "the last micro-batch alone: is zero_grad() called between them?"),
    "left out": ((4, 4, 2), loops.first_left_out, "micro-batch 1 of 3 is not in it"),
    "clipped": (
        (4, 4, 2),
        loops.clipped_each,
        "micro-batches 1, 2, 3 come in with norm 0.05, shortened: clipped before the sum",
    ),
    "one too light": ((4, 4, 2), loops.one_too_light, "of the micro-batches, 2 enters 0.37 times what belongs to it"),
    "padded": ((4, 4, 2), loops.padding_counted, "micro-batch 3 enters 0.5 times: its mean is taken over 4, and it has 2"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_combination_is_named(name: str) -> None:
    rows, step, says = WRONG[name]
    report = dc.check_accumulation(network(), nn.MSELoss(), batches(*rows), step=step)
    assert not report.passed
    assert all(str(r.diagnosis).startswith(says) for r in report), report


def test_a_gradient_that_is_wrong_in_itself_is_not_blamed_on_the_shares() -> None:
    def step(module: nn.Module, loss: Callable[..., Any], parts: Sequence[tuple[Tensor, Tensor]]) -> None:
        loops.weighted(module, loss, parts)
        for p in module.parameters():
            assert p.grad is not None
            p.grad += 0.1 * p.detach()  # weight decay in the gradient

    report = dc.check_accumulation(network(), nn.MSELoss(), batches(4, 2), step=step)
    assert not report.passed and all(r.diagnosis is None for r in report), report


@pytest.mark.parametrize(
    ("module", "parts", "more", "says"),
    [
        (nn.Linear(3, 2), [], {}, "batches has 0 micro-batches; expected at least one pair"),
        (nn.Linear(3, 2), batches(4, 0), {}, "micro-batch 2 has no rows; leave it out"),
        (nn.Linear(3, 2), [*batches(4), (torch.ones(2, 5), torch.ones(2, 2))], {}, "may differ in their first dimension alone"),
        (nn.Linear(3, 2), batches(4), {"world": 2}, "world is 2, and there are 1 micro-batches; expected 1 to 1 ranks"),
        (nn.Sequential(nn.Linear(3, 2), nn.Dropout()), batches(4), {}, r"1 \(Dropout\) draws random numbers"),
        (nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), batches(4), {}, r"1 \(BatchNorm1d\) normalises each micro-batch"),
        (nn.Linear(3, 2), batches(4, 4), {"world": 2, "step": lambda *a: None}, "other processes get it by pickle"),
    ],
)
def test_bad_input(module: nn.Module, parts: Any, more: dict[str, Any], says: str) -> None:
    with pytest.raises(dc.InputError, match=says):
        dc.check_accumulation(module, nn.MSELoss(), parts, **more)
