"""``gradcheck``: torch's signature; ``fast_mode`` looks at the data given alone, and passes nothing that differences deny."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import derivcheck as dc
from derivcheck.checking.witnesses.fast import agrees


def tensor(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_()


def with_backward(forward: Callable[..., Tensor], backward: Callable[..., Any]) -> Any:
    """A Function of one tensor with a backward of its own, of grad_output and the tensor."""

    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return forward(x)

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Any:
            return backward(g, *ctx.saved_tensors)

    return Own.apply


def layer_norm(x: Tensor, w: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], w)


RIGHT = {
    "layer": (lambda x, w: F.relu(x @ w).pow(2).mean(), (tensor(4, 5), tensor(5, 3))),
    "norm": (layer_norm, (tensor(3, 7), tensor(7))),
    "tuple": (lambda x: (x.sin(), x.argmax(), x.exp().sum()), (tensor(6),)),
    "unused": (lambda x, y: x * 2, (tensor(3), tensor(3))),
    "integers": (lambda x, i: x[i], (tensor(5), torch.tensor([1, 1, 4]))),
    "scales": (lambda x: (x * 1e6).sin() * 1e-8, (tensor(20),)),
    "underivable": (lambda x: torch.linalg.svdvals(x), (tensor(3, 3),)),
}


@pytest.mark.parametrize("name", RIGHT)
def test_fast_mode_passes_what_is_right(name: str) -> None:
    f, inputs = RIGHT[name]
    assert dc.gradcheck(f, inputs, fast_mode=True)


def first_alone(g: Tensor, x: Tensor) -> Tensor:
    out = g * x.cos()
    out.view(-1)[0] *= 1 + 1e-5
    return out


def writes(g: Tensor, x: Tensor) -> Tensor:
    out = g * x.cos()
    with torch.no_grad():
        x.mul_(1.01)
    return out


calls = [0]


def changes_its_mind(g: Tensor, x: Tensor) -> Tensor:
    calls[0] += 1
    return g * x.cos() * (1 + 1e-3 * calls[0])


WRONG = {
    "a factor": lambda g, x: g * x.cos() * (1 + 1e-7),
    "one element": first_alone,
    "sign": lambda g, x: -g * x.cos(),
    "none": lambda g, x: None,
    "writes into its input": writes,
    "changes its mind": changes_its_mind,
    "no upstream": lambda g, x: x.cos(),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("fast", [True, False])
def test_neither_mode_passes_what_is_wrong(name: str, fast: bool) -> None:
    wrong = with_backward(torch.sin, WRONG[name])
    with pytest.raises(dc.GradientMismatch):
        dc.gradcheck(wrong, (tensor(4, 3),), fast_mode=fast)


def test_a_kink_is_settled_by_the_derived_gradient() -> None:
    at_zero = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    assert not agrees(F.relu, [at_zero], [0])
    assert dc.gradcheck(lambda x: F.relu(x), (at_zero,), fast_mode=True)
    wrong = with_backward(F.relu, lambda g, x: g * (x >= -1).to(x.dtype) * 3)
    assert not dc.gradcheck(wrong, (at_zero,), fast_mode=True, raise_exception=False)


def test_what_cannot_be_derived_is_said_and_compared_with_differences() -> None:
    def f(x: Tensor) -> Tensor:
        return x.exp() if float(x.detach().sum()) > -1e9 else x  # a branch on data

    with pytest.warns(UserWarning, match=r"no gradient was derived.*autograd's agrees with differences"):
        assert dc.gradcheck(f, (tensor(4),))
    wrong = with_backward(f, lambda g, x: g * x.exp() * (1 + 1e-6))
    with pytest.raises(dc.UnsupportedOperation):
        dc.gradcheck(wrong, (tensor(4),))
    with pytest.raises(dc.UnsupportedOperation):
        dc.gradcheck(f, (tensor(4),), strict=True)


def test_no_differences_are_taken_in_a_narrower_type() -> None:
    x = tensor(4).detach().float().requires_grad_()
    assert not agrees(torch.sin, [x], [0])
    assert dc.gradcheck(torch.sin, (x,), fast_mode=True)


def test_many_kinks_nearby_do_not_send_fast_mode_to_the_whole_check() -> None:
    x = torch.linspace(-1, 1, 2001, dtype=torch.float64)[:-1].requires_grad_()  # each step of 1e-3 passes a kink somewhere
    assert agrees(lambda x: F.relu(x + 3e-4), [x], [0])
    assert not agrees(lambda x: F.relu(x.detach() + 3e-4) + 0 * x, [x], [0])


def test_an_assertion_on_data_is_no_operator() -> None:
    def f(x: Tensor) -> Tensor:
        torch._assert_async((x > -9).all(), "x is too low")
        return x.exp()

    assert str(dc.derive(f, x=tensor(4)).program.definitions[0].term) == "exp(x[n])"
    assert dc.gradcheck(f, (tensor(4),))
