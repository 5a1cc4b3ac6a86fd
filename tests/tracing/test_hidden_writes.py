"""Writes under ``no_grad``: the value changes, the gradient is that of the value before, in first and second order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import derivcheck as dc
from derivcheck.tracing.recording.hidden_writes import Unread
from tests.tracing.meant import normal


def twice(f: Callable[..., Any], derivation: Any, inputs: dict[str, torch.Tensor]) -> None:
    """Value, gradients and gradients of gradients are torch's."""
    leaves = {n: t.clone().requires_grad_() for n, t in inputs.items()}
    out = f(**leaves)
    up = normal(*out.shape, seed=3)
    wrt = [leaves[n] for n in derivation.wrt]
    wanted = torch.autograd.grad(out, wrt, up, create_graph=True)
    value, found = derivation.compile()(**inputs, grad_output=up)
    torch.testing.assert_close(value, out.detach(), rtol=1e-12, atol=1e-12)
    for n, w in zip(derivation.wrt, wanted, strict=True):
        torch.testing.assert_close(found[n], w.detach(), rtol=1e-10, atol=1e-12)
    ups = [normal(*w.shape, seed=k + 7) for k, w in enumerate(wanted)]
    again = torch.autograd.grad(sum((w * u).sum() for w, u in zip(wanted, ups)), wrt)  # type: ignore[arg-type]
    names = ["grad_grad_output"] if len(ups) == 1 else [f"grad_grad_output_{k}" for k in range(len(ups))]
    _, second = dc.derive(derivation.adjoint).compile()(**inputs, grad_output=up, **dict(zip(names, ups)))
    for n, w in zip(derivation.wrt, again, strict=True):
        torch.testing.assert_close(second[n], w, rtol=1e-9, atol=1e-10)


def variance(*shape: int) -> torch.Tensor:
    """Variances, about half of which are below the 0.3 that they are clamped to."""
    return normal(*shape).square() / 2 + 1e-3


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(("dims", "shape"), [("N M", (4, 3)), ("N 1", (4, 1)), ("N", (4,))])
def test_the_gaussian_likelihood_passes_its_gradient_through_the_clamp(
    reduction: str, dims: str, shape: tuple[int, ...]
) -> None:
    def loss(mean: Any, target: Any, var: Any) -> Any:
        return F.gaussian_nll_loss(mean, target, var, full=reduction != "sum", eps=0.3, reduction=reduction)

    derivation = dc.derive(loss, dims={"mean": "N M", "target": "N M", "var": dims})
    inputs = {"mean": normal(4, 3), "target": normal(4, 3, seed=1), "var": variance(*shape)}
    assert (inputs["var"] < 0.3).any() and (inputs["var"] > 0.3).any()
    twice(loss, derivation, inputs)
    assert any("assumes the check at functional.py" in n for n in derivation.program.notes)  # var has negative entries
    assert any("under no_grad at test_hidden_writes.py" in n for n in derivation.program.notes)


@pytest.mark.parametrize("var", [0.7, 1e-9])
def test_the_gaussian_likelihood_of_one_variance(var: float) -> None:
    def loss(mean: Any, target: Any) -> Any:
        return F.gaussian_nll_loss(mean, target, var)

    twice(loss, dc.derive(loss, dims={"mean": "N M", "target": "N M"}), {"mean": normal(4, 3), "target": normal(4, 3, seed=1)})


def test_the_gaussian_likelihood_as_a_module() -> None:
    module = nn.GaussianNLLLoss(eps=0.3)
    inputs = {"input": normal(4, 3), "target": normal(4, 3, seed=1), "var": variance(4, 3)}
    twice(module, dc.derive(module, *inputs.values()), inputs)


def several(x: Any) -> Any:
    y = x.clone()
    with torch.no_grad():
        y.clamp_(min=0.1)
        y.mul_(x).add_(1)
    return y * y


def replaced(x: Any) -> Any:
    y = x.clone()
    with torch.no_grad():
        y.copy_(x.cos())
    return y * x


def infinite(x: Any) -> Any:
    y = x.clone()
    with torch.no_grad():
        y.masked_fill_(x > 0, float("inf"))
    return torch.sigmoid(y)


@pytest.mark.parametrize("f", [several, replaced, infinite])
def test_a_fresh_clone_may_be_changed(f: Callable[..., Any]) -> None:
    twice(f, dc.derive(f, dims={"x": "N M"}), {"x": normal(4, 3)})


class Positive(nn.Module):
    """A layer whose weight is kept positive by its forward."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(normal(2, 3))

    def forward(self, x: Any) -> Any:
        with torch.no_grad():
            self.weight.clamp_(min=0)
        return torch.tanh(x @ self.weight.T)


def test_a_parameter_may_be_changed_before_it_is_read() -> None:
    module, x, up = Positive(), normal(4, 3), normal(4, 2, seed=1)
    derivation = dc.derive(module, x)
    _, found = derivation.compile()(x=x, weight=module.weight.detach().clone(), grad_output=up)
    module(x).backward(up)
    torch.testing.assert_close(found["weight"], module.weight.grad)


def saved_result(x: Any) -> Any:
    y = x.exp()
    with torch.no_grad():
        y.mul_(2)
    return y * x


def saved_operand(x: Any) -> Any:
    y = x.clone()
    z = y * x
    with torch.no_grad():
        y.mul_(2)
    return y + z


def seen_by_a_view(x: Any) -> Any:
    y = x.clone()
    z = y.t()
    with torch.no_grad():
        y.mul_(2)
    return z.exp()


def through_a_view(x: Any) -> Any:
    y = x.clone()
    with torch.no_grad():
        y[0] = 3
    return y.exp()


def turned(x: Any) -> Any:
    y = x.clone()
    with torch.no_grad():
        y.t_()
    return y * x.t()


def out_argument(x: Any) -> Any:
    y = x.clone()
    with torch.no_grad():
        torch.mul(x, 3, out=y)
    return y * x


@pytest.mark.parametrize("f", [saved_result, saved_operand, seen_by_a_view, through_a_view, turned, out_argument])
def test_what_autograd_may_have_saved_or_a_view_shows_is_refused(f: Callable[..., Any]) -> None:
    with pytest.raises(dc.UnsupportedOperation, match=r"at test_hidden_writes.py:\d+ .*behind autograd.*as a new tensor"):
        dc.derive(f, dims={"x": "N M"})


def test_memory_that_is_free_and_used_again_is_not_taken_for_what_was_in_it() -> None:
    unread = Unread()
    for _ in range(20):
        unread.add(torch.empty(3))
    assert not any(torch.empty(3) in unread for _ in range(20))
