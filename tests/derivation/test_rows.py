"""A loss as a sum over rows: what parts of a batch add up to is the loss of the whole, and what does not add is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import derivcheck as dc
from derivcheck.derivation.rows import RowSum, row_sum
from derivcheck.derived import Derivation

PARTS = (2, 1, 0, 3)


def mean(y: Tensor, t: Tensor) -> Tensor:
    return (y - t).square().mean()


def by_length(y: Tensor, t: Tensor) -> Tensor:
    return ((y - t) ** 2 / len(y)).sum()


def positive(y: Tensor, t: Tensor) -> Tensor:
    return ((y - t) ** 2 * (t > 0)).sum() / (t > 0).sum().clamp(min=1)


def two_counts(y: Tensor, t: Tensor) -> Tensor:
    return mean(y, t) + ((y - t).abs() * (t > 0)).sum() / (t > 0).sum()


def pairs_count(y: Tensor, t: Tensor) -> Tensor:
    return ((y - t) ** 2).sum() / (len(y) * (len(y) - 1))


def of_targets(y: Tensor, t: Tensor) -> Tensor:
    return mean(y, t) + (t * t).mean()


def flattened(y: Tensor, t: Tensor) -> Tensor:
    return (y.reshape(-1) - t.reshape(-1)).square().mean()


def of_transposed(y: Tensor, t: Tensor) -> Tensor:
    return (y.T.reshape(-1) - t.T.reshape(-1)).abs().mean()


ADDS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], str | None]] = {  # the loss, and the count that divides it
    "mean": (mean, "rows"),
    "sum": (lambda y, t: (y - t).square().sum(), ""),
    "divided by the length": (by_length, None),
    "clamped count": (positive, None),
    "two counts": (two_counts, None),
    "pairs": (pairs_count, None),
    "of targets": (of_targets, "rows"),
    "flattened": (flattened, "rows"),
    "transposed and flattened": (of_transposed, "rows"),
}


def shifted(y: Tensor, t: Tensor) -> Tensor:
    return (y - t.roll(1, 0)).square().mean()


MIXES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], str]] = {
    "root": (lambda y, t: mean(y, t).sqrt(), "it is no sum over rows, divided by a count"),
    "largest": (lambda y, t: (y - t).abs().max(), "it asks how many rows there are"),
    "softmax over rows": (lambda y, t: (torch.softmax(y, 0) * t).sum(), "it asks how many rows there are"),
    "flipped": (lambda y, t: (y - t.flip(0)).square().mean(), "a row reads target of another row"),
    "shifted": (shifted, "row"),
    "weighted by place": (
        lambda y, t: (torch.arange(len(y)).unsqueeze(1) * (y - t).square()).mean(),
        "it asks which row it is",
    ),
    "half": (lambda y, t: (y - t)[: len(y) // 2].square().mean(), "is no whole number of positions for each row"),
    "product of sums": (
        lambda y, t: (y - t).square().sum() * (y + t).square().sum(),
        "it is no sum over rows, divided by a count",
    ),
    "normalised by targets": (lambda y, t: (((y - t) / t.std(0)) ** 2).mean(), "made of all rows"),
}


def parts_of(
    d: Derivation, names: tuple[str, str], data: tuple[Tensor, Tensor], found: RowSum
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss and the module's gradients, added over the parts."""
    parts = list(zip(data[0].split(PARTS), data[1].split(PARTS)))
    given = [{n: {**d.values, **dict(zip(names, p))}[n].detach() for n in d.program.inputs} for p in parts]
    counts: dict[str, Any] = {}
    if found.counts is not None:
        count = dc.derive(found.counts, wrt=()).compile()
        for g in given:
            own = count(**{n: g[n] for n in found.counts.inputs})[0]
            for n, v in zip(found.counts.outputs, own if isinstance(own, (list, tuple)) else (own,)):
                counts[n] = counts.get(n, 0) + v
    run = dc.derive(found.loss, wrt=tuple(d.values)).compile()
    numbers = {found.rows: torch.tensor(float(sum(PARTS))), **{n: torch.as_tensor(v) for n, v in counts.items()}}
    value, grads = torch.zeros(()), {n: torch.zeros_like(t) for n, t in d.values.items()}
    for k, g in enumerate(given):
        v, more = run(**g, **numbers, **{found.once: torch.tensor(float(k == 0))})
        value, grads = value + v, {n: t + more[n] for n, t in grads.items()}
    return value, grads


@pytest.fixture(autouse=True)
def _double() -> Any:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def held(module: nn.Module, loss: Any, x: Tensor, t: Tensor, target: Tensor | None = None) -> RowSum:
    """The parts add up to the loss and the gradients that autograd has for the whole."""
    d = dc.derive(module, x, loss=loss, target=target)
    names = next(n for n in d.program.inputs if n not in d.values), "target"
    found = row_sum(d.program, names, d.values)
    value, grads = parts_of(d, names, (x, t), found)
    whole = loss(module(x), t)
    expected = torch.autograd.grad(whole, list(module.parameters()))
    torch.testing.assert_close(value, whole.detach(), rtol=1e-13, atol=1e-13)
    for (n, _), e in zip(module.named_parameters(), expected):
        torch.testing.assert_close(grads[n.replace(".", "_") if n[0] not in "0123456789" else "_" + n.replace(".", "_")], e)
    return found


@pytest.mark.parametrize("name", ADDS)
def test_what_adds(name: str) -> None:
    loss, share = ADDS[name]
    torch.manual_seed(0)
    assert held(nn.Linear(3, 2), loss, torch.randn(6, 3), torch.randn(6, 2)).share == share


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.out = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.lstm(x)[0][:, -1])
        return out


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention, self.out = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.attention(x, x, x)[0].mean(1))
        return out


@pytest.mark.parametrize(
    ("module", "x"),
    [
        (Recurrent, (6, 7, 3)),
        (Attending, (6, 7, 4)),
        (lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(36, 2)), (6, 2, 7, 5)),
    ],
    ids=["LSTM", "attention", "conv2d"],
)
def test_layers_whose_rows_stand_elsewhere(module: Callable[[], nn.Module], x: tuple[int, ...]) -> None:
    """In an LSTM they are the second dimension, in attention the inner one of a flattened pair, in pixels the outer."""
    torch.manual_seed(0)
    made = module() if x != (6, 2, 7, 5) else nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(45, 2))
    assert held(made, nn.HuberLoss(), torch.randn(x), torch.randn(6, 2)).share == "rows"


@pytest.mark.parametrize(
    "loss",
    [nn.CrossEntropyLoss(ignore_index=2, label_smoothing=0.1), nn.CrossEntropyLoss(weight=torch.tensor([0.2, 1, 2, 0.5]))],
)
def test_labels(loss: nn.Module) -> None:
    loss.double()
    torch.manual_seed(0)
    t = torch.tensor([0, 1, 2, 3, 1, 2])
    x, module = torch.randn(6, 3), nn.Linear(3, 4)
    d = dc.derive(module, x, loss=loss, target=t)
    found = row_sum(d.program, ("input", "target"), ("weight", "bias"))
    value, grads = parts_of(d, ("input", "target"), (x, t), found)
    whole = loss(module(x), t)
    torch.testing.assert_close(value, whole.detach())
    for n, e in zip(("weight", "bias"), torch.autograd.grad(whole, [module.weight, module.bias])):
        torch.testing.assert_close(grads[n], e)
    assert found.share == "count"


@pytest.mark.parametrize("name", MIXES)
def test_what_mixes_rows_is_refused(name: str) -> None:
    loss, why = MIXES[name]
    d = dc.derive(nn.Linear(3, 2), torch.randn(6, 3), loss=loss)
    with pytest.raises(
        dc.InputError, match=rf"several processes add gradients over rows, and .* does not add: .*{why}.*; train in"
    ):
        row_sum(d.program, ("input", "target"), ("weight", "bias"))


def test_a_batch_norm_is_refused() -> None:
    d = dc.derive(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), torch.randn(6, 3), loss=nn.MSELoss())
    with pytest.raises(dc.InputError, match="batch_norm does not add"):
        row_sum(d.program, ("input", "target"), tuple(d.values))


def test_a_penalty_is_added_once() -> None:
    text = "L := sum(n, i: (w[i]*x[n,i])^2)/N + sum(i: w[i]^2)/2"
    d = dc.derive(text, dims={"w": "in", "x": "N in"}, wrt=["w"])
    found = row_sum(d.program, ["x"], ["w"])
    assert str(found.loss.definition("L").term) == "sum(n, i: w[i]^2*x[n, i]^2)/rows + once*sum(i: w[i]^2)/2"
    assert found.share == "rows"
    summed = dc.derive(text.replace("/N", ""), dims={"w": "in", "x": "N in"}, wrt=["w"])
    assert row_sum(summed.program, ["x"], ["w"]).share is None  # each part's own loss has the penalty


def test_names_that_are_taken() -> None:
    text = "L := sum(n: rows[n]*sin(once*x[n]))/sum(n: count[n])"
    d = dc.derive(text, dims={"rows": "N", "once": "", "x": "N", "count": "N"}, wrt=["once"])
    found = row_sum(d.program, ["rows", "x", "count"], ["once"])
    assert (found.rows, found.once, found.share) == ("rows_2", "once_2", "count_2")
