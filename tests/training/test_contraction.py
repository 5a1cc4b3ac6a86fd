"""The derived Hessian, and what it says of a learning rate, against closed forms and against runs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from derivcheck.training.contraction import Contraction, contraction, hessian, largest_eigenvalue
from derivcheck.training.plan import RunOptions, prepare
from derivcheck.training.train import train

ON_CPU = RunOptions(device="cpu")


def plan(n_in: int, n_out: int, rows: int = 12, loss: nn.Module | None = None, seed: int = 0):  # type: ignore[no-untyped-def]
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, n_in, generator=g, dtype=torch.float64)
    y = torch.randn(rows, n_out, generator=g, dtype=torch.float64)
    return prepare(nn.Linear(n_in, n_out, dtype=torch.float64), loss or nn.MSELoss(), x, y, ON_CPU), x, y


@pytest.mark.parametrize(("n_in", "n_out"), [(1, 1), (3, 2), (2, 4)])
def test_the_hessian_of_mse_over_linear(n_in: int, n_out: int) -> None:
    """∂²L/∂θ² = 2/(N·out) · I ⊗ [x 1]ᵀ[x 1], written out by hand."""
    p, x, y = plan(n_in, n_out)
    found = hessian(p.setting.derivation, p.setting.tensors(x, y), ("weight", "bias"))
    one = torch.cat([x, torch.ones(len(x), 1, dtype=torch.float64)], 1)
    gram = 2 / (len(x) * n_out) * one.T @ one
    order = [o * n_in + k for o in range(n_out) for k in range(n_in)], [n_in * n_out + o for o in range(n_out)]
    expected = torch.zeros(len(found), len(found), dtype=torch.float64)
    for o in range(n_out):
        rows = [*order[0][o * n_in : (o + 1) * n_in], order[1][o]]
        expected[torch.tensor(rows)[:, None], torch.tensor(rows)] = gram
    assert torch.allclose(found, expected, rtol=1e-13, atol=1e-14)


def test_the_hessian_of_a_loss_that_is_not_quadratic() -> None:
    """Against autograd's Hessian, for smooth L1 composed with Linear."""
    p, x, y = plan(2, 2, loss=nn.SmoothL1Loss())
    tensors = p.setting.tensors(x, y)
    found = hessian(p.setting.derivation, tensors, ("weight", "bias"))

    def loss(w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return nn.functional.smooth_l1_loss(x @ w.T + b, y)

    blocks = torch.autograd.functional.hessian(loss, (tensors["weight"], tensors["bias"]))
    sizes = (tensors["weight"].numel(), tensors["bias"].numel())
    rows = [torch.cat([blocks[i][j].reshape(sizes[i], sizes[j]) for j in range(2)], 1) for i in range(2)]
    assert torch.allclose(found, torch.cat(rows), rtol=1e-12, atol=1e-13)
    told = contraction(p.setting.derivation, [(1.0, tensors)], ("weight", "bias"), 0.1)
    assert told is not None and not told.quadratic


def test_a_run_contracts_as_said() -> None:
    """The error along each eigenvector shrinks by 1 − lr·λ per epoch, so its norm by no more than the slowest."""
    p, x, y = plan(2, 1)
    model = p.setting.module
    told = p.contraction(0.2)
    assert told is not None and told.quadratic and told.flat == 0
    one = torch.cat([x, torch.ones(len(x), 1, dtype=torch.float64)], 1)
    best = torch.linalg.lstsq(one, y).solution[:, 0]

    def error() -> torch.Tensor:
        return torch.cat([model.weight.detach()[0], model.bias.detach()]) - best

    values, vectors = torch.linalg.eigh(hessian(p.setting.derivation, p.setting.tensors(x, y), ("weight", "bias")))
    before = vectors.T @ error()
    train(model, nn.MSELoss(), x, y, lr=0.2, epochs=7, device="cpu")
    assert torch.allclose(vectors.T @ error(), before * (1 - 0.2 * values) ** 7, rtol=1e-10, atol=1e-13)
    assert error().norm() <= told.left(7) * before.norm() * (1 + 1e-12)


def test_above_the_largest_stable_lr_the_loss_grows_and_below_it_shrinks() -> None:
    for factor, grows in ((0.99, False), (1.01, True)):
        p, x, y = plan(3, 2, seed=1)
        told = p.contraction(0.1)
        assert told is not None
        history = train(p.setting.module, nn.MSELoss(), x, y, lr=factor * told.largest_stable_lr, epochs=400, device="cpu")
        assert (history.final_loss > 10 * history.losses[0]) is grows


def test_power_iteration_finds_the_largest() -> None:
    p, x, y = plan(3, 2, seed=2)
    told = p.contraction(0.1)
    assert told is not None
    found = largest_eigenvalue(p.setting.derivation, p.setting.tensors(x, y), ("weight", "bias"), steps=200)
    assert found == pytest.approx(float(told.eigenvalues[-1]), rel=1e-6)


def test_undetermined_directions_are_counted_and_left_out() -> None:
    x = torch.ones(6, 1, dtype=torch.float64)  # the feature is the bias: one direction of two is flat
    p = prepare(nn.Linear(1, 1, dtype=torch.float64), nn.MSELoss(), x, 3 * x, ON_CPU)
    told = p.contraction(0.1)
    assert told is not None and told.flat == 1
    assert told.slowest == pytest.approx(0.6)  # λ = 4
    assert "leave 1 direction undetermined" in str(told)


def test_the_words() -> None:
    told = Contraction(torch.tensor([0.5, 2.0], dtype=torch.float64), 0.1, 0, True)
    assert (told.slowest, told.largest_stable_lr, told.best_lr) == (0.95, 1.0, 0.8)
    assert told.left(50) == pytest.approx(0.95**50) and told.steps_for(0.01) == 90
    assert "leaves 0.95 of the slowest direction's error" in str(told) and "stable lr is 1 (2/λmax)" in str(told)
    fast = Contraction(told.eigenvalues, 1.5, 0, True)
    assert fast.steps_for(0.01) == math.inf and "grows 2-fold per epoch" in str(fast)
    saddle = Contraction(torch.tensor([-1.0, 2.0], dtype=torch.float64), 0.1, 0, False)
    assert "not convex" in str(saddle)


def test_parts_of_the_data_give_the_hessian_of_all() -> None:
    p, _, _ = plan(3, 2)
    whole, parts = p.contraction(0.1), p.contraction(0.1, together=3)
    assert whole is not None and parts is not None
    assert torch.allclose(whole.eigenvalues, parts.eigenvalues, rtol=1e-12, atol=1e-14)
