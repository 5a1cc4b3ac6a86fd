"""``train``: three gradients, two optimizers, batches, bad input, divergence."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn

import derivcheck as dc
from derivcheck.errors import InputError, UnsupportedOperation, UnverifiedGradientError
from derivcheck.training.plan import RunOptions, prepare
from derivcheck.training.train import train

F64 = torch.float64


def data(n_in: int = 3, n_out: int = 2, rows: int = 20, dtype: torch.dtype = F64) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(3)
    return torch.randn(rows, n_in, generator=g, dtype=F64).to(dtype), torch.randn(rows, n_out, generator=g, dtype=F64).to(dtype)


def linear(n_in: int = 3, n_out: int = 2, dtype: torch.dtype = F64, **more: Any) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(n_in, n_out, dtype=dtype, **more)


def by_hand(model: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor, epochs: int) -> list[float]:
    """The tutorial's loop."""
    losses = []
    for _ in range(epochs):
        loss = nn.functional.mse_loss(model(x), y)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


@pytest.mark.parametrize("gradient", ["derived", "autograd"])
@pytest.mark.parametrize(("name", "cls"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam)])
def test_a_run_is_the_loop_that_a_person_writes(gradient: str, name: str, cls: Any) -> None:
    x, y = data()
    mine, theirs = linear(), linear()
    history = train(mine, nn.MSELoss(), x, y, optimizer=name, lr=0.05, epochs=30, gradient=gradient, device="cpu")
    losses = by_hand(theirs, cls(theirs.parameters(), lr=0.05), x, y, 30)
    assert history.losses == pytest.approx(losses, rel=1e-12)
    assert torch.allclose(mine.weight, theirs.weight, rtol=1e-12) and torch.allclose(mine.bias, theirs.bias, rtol=1e-12)
    assert history.final_loss == pytest.approx(nn.functional.mse_loss(theirs(x), y).item(), rel=1e-12)
    assert torch.equal(history.parameters["weight"], mine.weight) and history.epochs == 30
    assert mine.weight.grad is None and history.diverged is None


def test_a_torch_optimizer_class_is_taken() -> None:
    history = train(linear(), nn.MSELoss(), *data(), optimizer=torch.optim.AdamW, lr=0.01, epochs=2, device="cpu")
    assert history.optimizer == "AdamW"


def test_batches_cover_every_row_once_and_repeat_by_seed() -> None:
    x, y = data(rows=11)
    runs = []
    for seed in (5, 5, 6):
        model = linear()
        runs.append(train(model, nn.MSELoss(), x, y, batch_size=4, epochs=3, seed=seed, device="cpu"))
    assert runs[0].losses == runs[1].losses and runs[0].losses != runs[2].losses
    assert [len(r.reports) for r in runs] == [2, 2, 2]
    tiny = train(linear(), nn.MSELoss(), x, y, batch_size=4, epochs=1, lr=1e-30, device="cpu")
    assert tiny.losses[0] == pytest.approx(nn.functional.mse_loss(linear()(x), y).item()), "weighted by rows, each once"


def test_derived_and_autograd_agree_in_batches() -> None:
    x, y = data(rows=11)
    a, b = linear(), linear()
    train(a, nn.MSELoss(), x, y, batch_size=4, epochs=20, device="cpu")
    train(b, nn.MSELoss(), x, y, batch_size=4, epochs=20, gradient="autograd", device="cpu")
    assert torch.allclose(a.weight, b.weight, rtol=1e-12)


def test_float32() -> None:
    x, y = data(dtype=torch.float32)
    model = linear(dtype=torch.float32)
    history = train(model, nn.MSELoss(), x, y, device="cpu")
    assert history.reports[0].dtype == "float32" and model.weight.dtype is torch.float32
    assert history.final_loss < history.losses[0]


def test_a_frozen_parameter_stays() -> None:
    model = linear()
    model.bias.requires_grad_(False)
    before = model.bias.clone()
    history = train(model, nn.MSELoss(), *data(), device="cpu")
    assert torch.equal(model.bias, before) and list(history.parameters) == ["weight"]


def test_no_bias_and_several_layers() -> None:
    x, y = data()
    torch.manual_seed(0)
    deep = nn.Sequential(nn.Linear(3, 4, dtype=F64), nn.Tanh(), nn.Linear(4, 2, bias=False, dtype=F64))
    other = copy.deepcopy(deep)
    history = train(deep, nn.MSELoss(), x, y, epochs=10, device="cpu")
    assert list(history.parameters) == ["_0_weight", "_0_bias", "_2_weight"]
    by_hand(other, torch.optim.SGD(other.parameters(), lr=0.1), x, y, 10)
    assert all(torch.allclose(p, q, rtol=1e-11) for p, q in zip(deep.parameters(), other.parameters()))


def test_class_targets() -> None:
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(12, 3, generator=g, dtype=F64), torch.randint(2, (12,), generator=g)
    history = train(linear(), nn.CrossEntropyLoss(), x, y, epochs=20, device="cpu")
    assert history.final_loss < history.losses[0]


def test_running_statistics_follow_a_derived_run() -> None:
    x, y = data(n_out=3)
    mine = nn.BatchNorm1d(3, dtype=F64)
    theirs = copy.deepcopy(mine)
    train(mine, nn.MSELoss(), x, y, epochs=5, device="cpu")
    by_hand(theirs, torch.optim.SGD(theirs.parameters(), lr=0.1), x, y, 5)
    assert torch.allclose(mine.running_mean, theirs.running_mean) and torch.allclose(mine.running_var, theirs.running_var)
    assert int(mine.num_batches_tracked) == 5 and torch.allclose(mine.weight, theirs.weight)


def test_the_public_name() -> None:
    assert dc.train is train


# -- divergence ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gradient", ["derived", "autograd"])
def test_divergence_stops_and_keeps_what_was_learned(gradient: str) -> None:
    x, y = data()
    model = linear()
    with pytest.warns(RuntimeWarning, match="the run stopped"):
        history = train(model, nn.MSELoss(), x, y, lr=1e20, epochs=100, gradient=gradient, device="cpu")
    assert history.diverged is not None and "the loss is inf" in history.diverged
    assert "the parameters of the last finite loss are kept" in history.diverged
    assert 0 < history.epochs < 100 and all(map(math.isfinite, history.losses))
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())
    assert nn.functional.mse_loss(model(x), y).item() == pytest.approx(history.losses[-1])
    one = torch.cat([x, torch.ones(len(x), 1, dtype=F64)], 1)
    stable = 2 / float(torch.linalg.eigvalsh(2 / y.numel() * one.T @ one)[-1])
    assert f"largest stable lr of plain gradient descent here is {stable:.3g}" in history.diverged


def test_divergence_at_the_last_step_is_seen() -> None:
    model = linear()
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.warns(RuntimeWarning):
        history = train(model, nn.MSELoss(), *data(), lr=1e200, epochs=1, device="cpu")
    assert history.diverged is not None and history.epochs == 1
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before))


# -- a gradient that changes its mind ------------------------------------------------------------------------------


class Fickle:
    """The gradient of MSE over a linear layer, and after so many calls another."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def __call__(
        self, grad_output: torch.Tensor, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, target: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        self.left -= 1
        g = grad_output * 2 * (input @ weight.T + bias - target) / target.numel()
        return {"weight": g.T @ input * (1 if self.left >= 0 else 1.01), "bias": g.sum(0)}


def asked_at_the_gate() -> int:
    """How often the gate calls a gradient."""
    counted = Fickle(10**6)
    prepared = prepare(linear(), nn.MSELoss(), *data(), RunOptions(gradient=counted, device="cpu"))
    prepared.verify()
    return 10**6 - counted.left


@pytest.mark.parametrize(
    ("right", "recheck", "held", "found"), [(25, 10, 20, 30), (25, 40, 0, 40), (25, None, 0, 50), (7, 1, 7, 8), (49, 50, 0, 50)]
)
def test_a_gradient_that_changes_its_mind_stops_the_run(right: int, recheck: int | None, held: int, found: int) -> None:
    """It is right in the gate and in so many steps; what was learned until it was last seen to be right is kept."""
    model, expected = linear(), linear()
    with pytest.raises(UnverifiedGradientError) as e:
        fickle = Fickle(asked_at_the_gate() + right)
        train(model, nn.MSELoss(), *data(), gradient=fickle, epochs=50, recheck=recheck, device="cpu")
    last = f"at step {held}" if held else "before the first step"
    assert f"does not hold at step {found}; it held {last}, and the parameters of then are kept" in str(e.value)
    assert e.value.report.faulty and e.value.history.epochs in (found - 1, found)
    steps = max(held - 1, 0)  # a step's gradient is looked at before it is taken
    if steps:
        train(expected, nn.MSELoss(), *data(), epochs=steps, device="cpu")
    assert all(torch.allclose(p, q, rtol=1e-12) and p.grad is None for p, q in zip(model.parameters(), expected.parameters()))
    assert all(torch.equal(e.value.history.parameters[n], p) for n, p in model.named_parameters())


@pytest.mark.parametrize("recheck", [None, 1, 7])
def test_a_gradient_that_stays_right_is_asked_again_and_trains(recheck: int | None) -> None:
    model, expected = linear(), linear()
    steady = Fickle(10**6)
    history = train(model, nn.MSELoss(), *data(), gradient=steady, epochs=20, batch_size=8, recheck=recheck, device="cpu")
    train(expected, nn.MSELoss(), *data(), epochs=20, batch_size=8, device="cpu")
    assert history.diverged is None and torch.allclose(model.weight, expected.weight, rtol=1e-12)


# -- bad input -------------------------------------------------------------------------------------------------------


X, Y = data()


def with_nan() -> torch.Tensor:
    x = X.clone()
    x[4, 1] = float("nan")
    return x


@pytest.mark.parametrize(
    ("x", "y", "options", "sentence"),
    [
        (with_nan(), Y, {}, "x[4, 1] is nan; expected finite values (1 of 60 are not)"),
        (X, Y / 0, {}, "y[0, 0] is"),
        (X[:0], Y[:0], {}, "x of shape (0, 3) has no rows"),
        (X.int(), Y, {}, "x holds int32 values; expected floating-point"),
        (X.to(torch.complex128), Y, {}, "x holds complex128 values; expected floating-point"),
        (X.float(), Y, {}, "x holds float32 values and the parameters float64; call x.to(torch.float64)"),
        (X, Y.float(), {}, "y holds float32 values and the parameters float64"),
        ([1.0], Y, {}, "x is a list; expected a torch.Tensor"),
        (X[:, :2], Y, {}, "x of shape (20, 2) does not fit Linear(in_features=3, out_features=2, bias=True)"),
        (X, Y[:, 0], {}, "y of shape (20,) does not fit the module's output of shape (20, 2) under MSELoss()"),
        (X, Y[:, :1], {}, "y of shape (20, 1) does not fit the module's output of shape (20, 2)"),
        (X, Y[:7], {}, "x has 20 rows and y has 7"),
        (X, Y, {"lr": -1.0}, "lr is -1.0; expected a positive number"),
        (X, Y, {"lr": float("nan")}, "lr is nan"),
        (X, Y, {"epochs": 0}, "epochs is 0; expected a whole number of at least 1"),
        (X, Y, {"batch_size": 0}, "batch_size is 0; expected a whole number"),
        (X, Y, {"recheck": 0}, "recheck is 0; expected a whole number of steps of at least 1, or None"),
        (X, Y, {"optimizer": "sdg"}, "optimizer 'sdg' is not known; choose sgd or adam"),
        (X, Y, {"gradient": "numeric"}, "gradient 'numeric' is not known; choose derived or autograd"),
        (X, Y, {"device": "gpu"}, "device 'gpu' is not known; choose auto, cpu, cuda or mps"),
        (X, Y, {"device": "cuda:99"}, "device 'cuda:99' is not there; this machine has"),
        (X, Y, {"device": "meta"}, "device 'meta' is not supported"),
    ],
    ids=str.split(
        "nan inf empty int complex float32 y32 list in target1d targetout rows lr lrnan epochs batch recheck "
        "optimizer gradient gpu cuda99 meta"
    ),
)
def test_bad_input(x: Any, y: Any, options: dict[str, Any], sentence: str) -> None:
    model = linear()
    before = model.weight.detach().clone()
    with pytest.raises(InputError) as e:
        train(model, nn.MSELoss(), x, y, **{"device": "cpu", **options})
    assert sentence in str(e.value) and "\n" not in str(e.value)
    assert torch.equal(model.weight, before)


@pytest.mark.parametrize(
    ("model", "loss", "sentence"),
    [
        (nn.Flatten(), nn.MSELoss(), "Flatten has no parameter that requires grad"),
        (nn.Linear(3, 2, dtype=torch.complex64), nn.MSELoss(), "parameter weight holds complex64 values"),
        (linear(), nn.MSELoss(reduction="none"), "MSELoss() gives a tensor of shape (20, 2); expected one number to minimise"),
        (nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2, dtype=F64)), nn.MSELoss(), "the parameters are of several types"),
    ],
    ids=["none", "complex", "reduction", "mixed"],
)
def test_bad_modules(model: nn.Module, loss: nn.Module, sentence: str) -> None:
    with pytest.raises(InputError) as e:
        train(model, loss, X, Y, device="cpu")
    assert sentence in str(e.value)


def test_dropout_in_training_mode_is_refused_with_advice() -> None:
    with pytest.raises((InputError, UnsupportedOperation), match="(?i)dropout"):
        train(nn.Sequential(nn.Dropout(0.5), linear()), nn.MSELoss(), X, Y, device="cpu")


def test_what_is_no_module_is_said():
    with pytest.raises(InputError, match="module is a int; expected a torch.nn.Module"):
        train(3, nn.MSELoss(), torch.ones(3, 2), torch.ones(3, 2))
