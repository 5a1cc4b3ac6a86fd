"""A derivation as an autograd.Function: in a network, for double backward, under torch.compile."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import derivcheck as dc


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return torch.softmax(q @ k.mT, -1) @ v


@pytest.fixture(scope="module")
def layer() -> type[torch.autograd.Function]:
    return dc.derive(attention, dims={"q": "N T d", "k": "N S d", "v": "N S e"}).to_function()


def tensors() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, *s, dtype=torch.float64, requires_grad=True) for s in ((5, 3), (4, 3), (4, 7))]


def test_value_and_gradients_are_autograds(layer: type[torch.autograd.Function]) -> None:
    xs = tensors()
    up = torch.randn(2, 5, 7, dtype=torch.float64)
    have = torch.autograd.grad(layer.apply(*xs), xs, up)
    want = torch.autograd.grad(attention(*xs), xs, up)
    for h, w in zip(have, want, strict=True):
        torch.testing.assert_close(h, w, rtol=1e-12, atol=1e-13)


def test_double_backward(layer: type[torch.autograd.Function]) -> None:
    assert torch.autograd.gradgradcheck(layer.apply, tensors())


@pytest.mark.parametrize("needed", [(True, False, False), (False, True, True), (False, False, True)])
def test_only_what_is_asked_for(layer: type[torch.autograd.Function], needed: tuple[bool, ...]) -> None:
    xs = [x.detach().requires_grad_(n) for x, n in zip(tensors(), needed, strict=True)]
    layer.apply(*xs).sum().backward()
    assert [x.grad is not None for x in xs] == list(needed)


def test_a_module_with_its_loss_trains_as_torch_does() -> None:
    torch.manual_seed(1)
    module, loss = nn.Linear(3, 2).double(), nn.MSELoss()
    Layer = dc.derive(module, loss=loss).to_function()
    x, y = torch.randn(5, 3).double(), torch.randn(5, 2).double()
    Layer.apply(x, module.weight, module.bias, y).backward()
    have = [p.grad.clone() for p in module.parameters() if p.grad is not None]
    module.zero_grad()
    loss(module(x), y).backward()
    for h, p in zip(have, module.parameters(), strict=True):
        assert p.grad is not None
        torch.testing.assert_close(h, p.grad, rtol=1e-13, atol=1e-15)


def test_the_number_of_inputs_is_checked(layer: type[torch.autograd.Function]) -> None:
    with pytest.raises(TypeError, match=r"takes 3 inputs \(q, k, v\); found 2"):
        layer.apply(*tensors()[:2])


def test_under_torch_compile(layer: type[torch.autograd.Function]) -> None:
    xs = tensors()

    def step(*args: torch.Tensor) -> torch.Tensor:
        return layer.apply(*args).square().sum()  # type: ignore[no-any-return]

    want = torch.autograd.grad(step(*xs), xs)
    have = torch.autograd.grad(torch.compile(step, backend="aot_eager")(*xs), xs)
    for h, w in zip(have, want, strict=True):
        torch.testing.assert_close(h, w, rtol=1e-12, atol=1e-13)
