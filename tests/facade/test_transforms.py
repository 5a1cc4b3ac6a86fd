"""The generated code under torch.func's Jacobians and Hessians, in forward mode, in deterministic mode, and copied."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import forward_ad

import derivcheck as dc

FUNCTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "softmax": lambda x: torch.softmax(x, -1),
    "layer norm": lambda x: F.layer_norm(x, (4,)),
    "a formula that is spelled otherwise": lambda x: torch.log(1 + torch.exp(x)),
    "a maximum": lambda x: F.max_pool1d(x, 2),
    "a running product": lambda x: x.cumprod(-1),
    "a number": lambda x: (torch.tanh(x) ** 2).sum(),
}
TRANSFORMS: dict[str, Callable[..., Any]] = {
    "jacrev": torch.func.jacrev,
    "jacfwd": torch.func.jacfwd,
    "hessian": torch.func.hessian,
    "jacfwd of jacfwd": lambda f: torch.func.jacfwd(torch.func.jacfwd(f)),
}


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)), dtype=torch.float64)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_jacobians_and_hessians(name: str) -> None:
    """Through the Function and through the compiled code, of the value and of the gradients."""
    f, x = FUNCTIONS[name], numbers(3, 4)
    d = dc.derive(f, x=numbers(3, 4))
    layer, run, ones = d.to_function(), d.compile(), torch.ones_like(f(x))
    twice = torch.func.jacrev(torch.func.jacrev(f))(x)  # torch's own layer norm is wrong where tangents are taken twice
    for how, transform in TRANSFORMS.items():
        wanted = twice if how == "jacfwd of jacfwd" else transform(f)(x)
        for found in (transform(lambda a: layer.apply(a))(x), transform(lambda a: run(x=a, grad_output=ones)[0])(x)):
            torch.testing.assert_close(found, wanted, msg=lambda m, how=how: f"{how}: {m}")
    slopes = torch.func.jacfwd(lambda a: run(x=a, grad_output=ones)[1]["x"])(x)
    torch.testing.assert_close(slopes, torch.func.jacfwd(torch.func.grad(lambda a: f(a).sum()))(x))


def test_forward_mode_beside_integers_and_with_several_outputs() -> None:
    def f(x: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        best = x.max(-1)
        return x.gather(1, t), best.values * x.sum(), best.indices

    x, t, v = numbers(3, 4), torch.tensor([[0, 3], [1, 1], [2, 0]]), numbers(3, 4).flip(0)
    layer = dc.derive(f, x=numbers(3, 4), t=t).to_function()
    for g in (f, layer.apply):
        with forward_ad.dual_level():
            outs = g(forward_ad.make_dual(x, v), t)
            tangents = [forward_ad.unpack_dual(o).tangent for o in outs[:2]]
        if g is f:
            wanted = tangents
    for a, b in zip(tangents, wanted):
        torch.testing.assert_close(a, b)


# -- deterministic ------------------------------------------------------------------------
@pytest.fixture
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def whole(below: int, *shape: int) -> torch.Tensor:
    return torch.randint(below, shape, generator=torch.Generator().manual_seed(1))


WRITES: dict[str, tuple[Callable[..., torch.Tensor], dict[str, torch.Tensor]]] = {
    "scatter_add": (lambda x, t, s: x.scatter_add(1, t, s), {"x": numbers(4, 9), "t": whole(9, 4, 7), "s": numbers(4, 7)}),
    "index_add": (lambda x, t, s: x.index_add(0, t, s), {"x": numbers(9, 3), "t": whole(9, 7), "s": numbers(7, 3)}),
    "index_put": (
        lambda x, t, s: x.index_put((t,), s, accumulate=True),
        {"x": numbers(9, 3), "t": whole(9, 7), "s": numbers(7, 3)},
    ),
    "embedding": (lambda t, e: F.embedding(t, e), {"t": whole(5, 40), "e": numbers(5, 3)}),
    "gather": (lambda x, t: x.gather(1, t), {"x": numbers(4, 9), "t": whole(9, 4, 7)}),
    "cross-entropy": (lambda x, t: F.cross_entropy(x, t), {"x": numbers(7, 9), "t": whole(9, 7)}),
    "overlapping windows": (lambda x: F.max_pool2d(x, 3, 1), {"x": numbers(2, 3, 5, 6)}),
    "products": (
        lambda x, t, s: x.scatter_reduce(1, t, s, "prod"),
        {"x": numbers(4, 9), "t": whole(9, 4, 7), "s": numbers(4, 7)},
    ),
    "convolution": (lambda x, w: F.conv2d(x, w), {"x": numbers(2, 3, 5, 5), "w": numbers(4, 3, 3, 3)}),
    "grid": (
        lambda x, g: F.grid_sample(x, g, align_corners=False),
        {"x": numbers(2, 3, 4, 5), "g": numbers(2, 3, 3, 2).tanh()},
    ),
}


@pytest.mark.parametrize("name", WRITES)
def test_deterministic_algorithms(name: str, deterministic: None) -> None:
    """It runs, and twice the same to the last bit, called and through the Function."""
    f, data = WRITES[name]
    d = dc.derive(f, **data)
    run, layer = d.compile(), d.to_function()
    upstream = torch.ones_like(f(**data))
    found = []
    for _ in range(2):
        value, grads = run(**data, **({"grad_output": upstream} if upstream.ndim else {}))
        leaves = [t.clone().requires_grad_(t.is_floating_point()) for t in data.values()]
        y = layer.apply(*leaves)
        slopes = torch.autograd.grad(y, [t for t in leaves if t.requires_grad], upstream)
        found.append([value, *grads.values(), y.detach(), *slopes])
    assert all(torch.equal(a, b) for a, b in zip(*found))


# -- copies ---------------------------------------------------------------------------------
def test_a_copy_of_a_module_with_a_derivation() -> None:
    """The copy's derivation remembers values of its own."""

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(3, 2)
            self.derived = dc.derive(self.inner)
            self.function = self.derived.to_function()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.function.apply(x, self.inner.weight, self.inner.bias)

    module = Layer().double()
    copied = copy.deepcopy(module)
    with torch.no_grad():
        copied.inner.weight.zero_()
    x = numbers(5, 3)
    assert not torch.equal(copied(x), module(x))
    mine, theirs = copied.derived.values["weight"], module.derived.values["weight"]
    assert torch.equal(mine, theirs) and mine is not theirs and mine.data_ptr() != theirs.data_ptr()
    value, _ = copied.derived.compile()(input=x.float(), grad_output=torch.ones(5, 2))
    torch.testing.assert_close(value, module(x).detach().float())
    assert copied.derived.program == module.derived.program
