"""The gate: a gradient that does not hold at the run's own shapes takes no step."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import derivcheck as dc
from derivcheck.errors import UnverifiedGradientError
from derivcheck.training.train import train

_spec = importlib.util.spec_from_file_location(
    "tutorial_gradient", Path(__file__).parents[2] / "examples" / "tutorial_gradient.py"
)
assert _spec is not None and _spec.loader is not None
tutorials = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tutorials)

Gradient = Callable[..., Mapping[str, Any]]


def data(n_in: int, n_out: int, rows: int = 20, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return (
        torch.randn(rows, n_in, generator=g, dtype=torch.float64).to(dtype),
        torch.randn(rows, n_out, generator=g, dtype=torch.float64).to(dtype),
    )


def linear(n_in: int, n_out: int, dtype: torch.dtype = torch.float64) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(n_in, n_out, dtype=dtype)


def refused(gradient: Gradient | str, n_in: int, n_out: int, **options: Any) -> UnverifiedGradientError:
    """The refusal, after a look that the parameters are bitwise what they were."""
    model = linear(n_in, n_out)
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(UnverifiedGradientError) as e:
        train(model, nn.MSELoss(), *data(n_in, n_out), gradient=gradient, device="cpu", **options)
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before))
    assert all(p.grad is None for p in model.parameters())
    assert not e.value.report.passed
    return e.value


def test_the_tutorials_gradient_trains_its_own_case() -> None:
    mine, derived = linear(1, 1), linear(1, 1)
    x, y = data(1, 1)
    history = train(mine, nn.MSELoss(), x, y, gradient=tutorials.tutorial, device="cpu")
    train(derived, nn.MSELoss(), x, y, device="cpu")
    assert torch.allclose(mine.weight, derived.weight, rtol=1e-13) and torch.allclose(mine.bias, derived.bias, rtol=1e-13)
    assert any("weight" in n and "shape () was taken as (1, 1)" in n for n in history.notes), "the reshape is said"
    assert any("bias" in n and "shape () was taken as (1,)" in n for n in history.notes)
    assert history.gradient == "tutorial"


def test_the_tutorials_gradient_is_refused_at_three_inputs_and_two_outputs() -> None:
    """There its product of residuals and inputs does not even broadcast."""
    text = str(refused(tutorials.tutorial, 3, 2))
    assert "weight" in text and "(2, 3)" in text and "no step was taken" in text
    assert "size of tensor a (2) must match the size of tensor b (3)" in text


@pytest.mark.parametrize(("n_in", "n_out"), [(2, 2), (3, 1)])
def test_the_tutorials_gradient_is_refused_with_both_shapes(n_in: int, n_out: int) -> None:
    error = refused(tutorials.tutorial, n_in, n_out)
    assert error.report["weight"].verdict == "shape"
    assert f"weight: shape: found shape (), expected ({n_out}, {n_in})" in str(error)


def test_dividing_by_rows_is_refused_and_named() -> None:
    text = str(refused(tutorials.divides_by_rows, 3, 2))
    assert "weight" in text and "the mean is over N·out" in text


def test_dividing_by_rows_trains_where_there_is_one_output() -> None:
    """The gate looks at the run's own shapes alone."""
    history = train(linear(3, 1), nn.MSELoss(), *data(3, 1), gradient=tutorials.divides_by_rows, device="cpu")
    assert history.epochs == 50 and history.reports[0].passed


def test_a_right_gradient_trains_at_any_shape() -> None:
    history = train(linear(3, 2), nn.MSELoss(), *data(3, 2), gradient=tutorials.right, device="cpu", batch_size=8)
    assert len(history.reports) == 2, "the full batch of 8 and the last one of 4"
    assert all(r.passed for r in history.reports)


def test_the_last_shorter_batch_is_looked_at() -> None:
    def assumes_eight_rows(grad_output, input, weight, bias, target):  # type: ignore[no-untyped-def]
        r = grad_output * 2 * (input @ weight.T + bias - target) / (8 * target.shape[1])
        return {"weight": r.T @ input, "bias": r.sum(0)}

    x, y = data(3, 2, rows=16)
    train(linear(3, 2), nn.MSELoss(), x, y, gradient=assumes_eight_rows, batch_size=8, device="cpu")  # 8 and 8
    assert "(4, 3)" in str(refused(assumes_eight_rows, 3, 2, batch_size=8))  # 8, 8 and 4


def wrong(change: Callable[[dict[str, Any], dict[str, torch.Tensor]], None]) -> Gradient:
    """The right gradient with one fault."""

    def gradient(grad_output: torch.Tensor, **given: torch.Tensor) -> dict[str, Any]:
        grads = dict(tutorials.right(grad_output, **given))
        change(grads, given)
        return grads

    return gradient


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        (
            "missing",
            lambda g, t: g.pop("bias"),
            "bias: missing: the backward returned no gradient for bias; expected shape (2,)",
        ),
        ("none", lambda g, t: g.update(bias=None), "bias: missing"),
        ("extra", lambda g, t: g.update(height=g["bias"]), "height: extra: the backward returned a gradient for 'height'"),
        ("shape", lambda g, t: g.update(weight=g["weight"].T), "weight: shape: found shape (3, 2), expected (2, 3)"),
        ("type", lambda g, t: g.update(weight=g["weight"].float()), "weight: dtype: found float32, expected float64"),
        ("no tensor", lambda g, t: g.update(bias=[0.0, 0.0]), "bias: dtype: found a list, expected a tensor of shape (2,)"),
        ("changed input", lambda g, t: t["input"].mul_(2), "changed input"),
        ("sign", lambda g, t: g.update(bias=-g["bias"]), "bias: wrong in 2 of 2 elements"),
        ("one element", lambda g, t: g["weight"].view(-1)[4].add_(1e-9), "weight: wrong in 1 of 6 elements"),
        ("not a number", lambda g, t: g["weight"].view(-1)[4].fill_(float("nan")), "weight: wrong in 1 of 6 elements"),
        ("raises", lambda g, t: 1 / 0, "ZeroDivisionError"),
    ],
    ids=lambda v: v if isinstance(v, str) and " " not in v else None,
)
def test_faults_are_findings(name: str, change: Any, sentence: str) -> None:
    error = refused(wrong(change), 3, 2)
    assert sentence in str(error)
    assert error.report.faulty


def test_the_same_wrapper_without_a_fault_trains() -> None:
    """The table of faults above would be empty talk if the wrapper itself were refused."""
    history = train(linear(3, 2), nn.MSELoss(), *data(3, 2), gradient=wrong(lambda g, t: None), device="cpu")
    assert history.epochs == 50


def test_a_module_whose_own_backward_lies_is_refused_by_autograd_too() -> None:
    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, w: torch.Tensor) -> torch.Tensor:
            return w * 1

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
            return 2 * g

    class Lying(nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return nn.functional.linear(input, Doubled.apply(self.weight), self.bias)

    model = Lying(3, 2, dtype=torch.float64)
    before = model.weight.detach().clone()
    with pytest.raises(Exception, match=r"weight|Doubled"):
        train(model, nn.MSELoss(), *data(3, 2), gradient="autograd", device="cpu")
    assert torch.equal(model.weight, before)


class Scaled(nn.Module):
    """A module that holds a tensor which is neither a parameter nor a buffer, and makes another."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.scale = torch.tensor([1.0, 2.0, 3.0])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x * self.scale) * torch.tensor([0.5, 0.25])


def test_what_module_and_loss_hold_themselves_is_no_input_of_a_gradient() -> None:
    weights, (x, y) = torch.tensor([1.0, 2.0]), (torch.randn(6, 3), torch.randn(6, 2))

    def loss(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return ((out - target) ** 2 * weights).mean()

    def mine(grad_output: Any, x: Any, linear_weight: Any, linear_bias: Any, target: Any, factor: float = 1.0) -> Any:
        made = torch.tensor([0.5, 0.25])
        z = x * torch.tensor([1.0, 2.0, 3.0])
        r = factor * grad_output * 2 * ((z @ linear_weight.T + linear_bias) * made - target) * weights * made / target.numel()
        return {"linear_weight": r.T @ z, "linear_bias": r.sum(0)}

    for gradient in ("derived", "autograd", mine):
        assert len(dc.train(Scaled(), loss, x, y, epochs=2, gradient=gradient).losses) >= 2
    with pytest.raises(dc.UnverifiedGradientError):
        dc.train(Scaled(), loss, x, y, epochs=2, gradient=lambda **given: mine(**given, factor=1.01))
