"""Code that autograd and a reader may see differently: each is right as autograd is, or refused by name; never wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import derivcheck as dc
from tests.tracing.meant import normal


def agrees(f: Callable[..., Any], **inputs: torch.Tensor) -> None:
    """The derived value and gradients are autograd's on the code itself."""
    derivation = dc.derive(f, **inputs)
    leaves = {n: t.clone().requires_grad_() if t.is_floating_point() else t for n, t in inputs.items()}
    out = f(**{n: t * 1 if t.is_floating_point() else t for n, t in leaves.items()})
    upstream = normal(*out.shape, seed=5)
    names = [n for n, t in leaves.items() if t.is_floating_point()]
    wanted = torch.autograd.grad(out, [leaves[n] for n in names], upstream, allow_unused=True)
    value, found = derivation.compile()(**inputs, grad_output=upstream)
    torch.testing.assert_close(value, out.detach())
    for n, w in zip(names, wanted):
        torch.testing.assert_close(found[n], torch.zeros_like(inputs[n]) if w is None else w)


def write_row(x: Any) -> Any:
    y = x.sin()
    y[0] = y[1] * 2
    return y * x


def write_through_slice(x: Any) -> Any:
    y = x.sin()
    y[1:].mul_(y[:-1].clone())
    return y


def write_through_flat_view(x: Any) -> Any:
    y = x.sin()
    y.view(-1)[::2] = 0
    return y * x


def write_to_base_seen_by_view(x: Any) -> Any:
    y = x.clone()
    z = y.t()
    y.add_(1)
    return z.exp()


def write_into_fresh(x: Any) -> Any:
    out = torch.zeros(3, 4, dtype=x.dtype)
    out[1:] = x[1:]
    out[0].copy_(x[2])
    return out * x


def write_into_empty(x: Any) -> Any:
    out = torch.empty_like(x)
    out[:] = x.cos()
    return out * x


def augmented(x: Any) -> Any:
    y = x.sin()
    y += y
    y *= x
    return y


def masked(x: Any) -> Any:
    return x.sin().masked_fill_(x > 0, 2.0) * x


def cleared(x: Any) -> Any:
    y = x.sin()
    y.zero_()
    return y + x


def contiguous_copy(x: Any) -> Any:
    y = x.t().contiguous()
    y.mul_(3)
    return y.t() * x


def relu_in_place(x: Any) -> Any:
    return F.relu(x.sin(), inplace=True) * x


def mask_built_without_gradient(x: Any) -> Any:
    with torch.no_grad():
        m = torch.zeros(3, 4, dtype=x.dtype)
        m[0] = 1
        m.mul_(x)
    return m * x


def inference(x: Any) -> Any:
    with torch.inference_mode():
        m = x.exp()
    return x * m.clone()


def restarted(x: Any) -> Any:
    return x.detach().requires_grad_() * x


def hidden_infinity(x: Any) -> Any:
    return torch.where(x > 0, x.log(), torch.zeros_like(x)).sum(0)


def recomputed(x: Any) -> Any:
    from torch.utils.checkpoint import checkpoint

    return checkpoint(lambda a: (a.sin() * a).exp(), x, use_reentrant=False)


def compiled(x: Any) -> Any:
    return torch.compile(lambda a: a.sin() * 2)(x)


def unpacked(x: Any) -> Any:
    a, b, c = x.unbind(0)
    return a * b + c


def closed_over(x: Any) -> Any:
    def inner(a: Any) -> Any:
        return a * x

    return inner(x.sin())


def checked(x: Any) -> Any:
    if (x < -100).any():
        raise ValueError("too small")
    assert (x < 100).all()
    return x.sin()


@pytest.mark.parametrize(
    "f",
    [
        write_row,
        write_through_slice,
        write_through_flat_view,
        write_to_base_seen_by_view,
        write_into_fresh,
        write_into_empty,
        augmented,
        masked,
        cleared,
        contiguous_copy,
        relu_in_place,
        mask_built_without_gradient,
        inference,
        restarted,
        hidden_infinity,
        recomputed,
        compiled,
        unpacked,
        closed_over,
        checked,
    ],
)
def test_right_as_autograd_is(f: Callable[..., Any]) -> None:
    agrees(f, x=normal(3, 4))


def test_a_check_that_only_raises_is_an_assumption() -> None:
    notes = dc.derive(checked, x=normal(3, 4)).program.notes
    assert sum("assumes the check at test_never_wrong.py" in n for n in notes) == 2


def test_a_repeated_index_adds_up() -> None:
    def f(x: Any, ids: Any) -> Any:
        return x[ids] * x[ids].cos()

    agrees(f, x=normal(3, 4), ids=torch.tensor([0, 2, 2, 1, 2]))


class Doubling(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.round()

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return 2 * g


def hooked(x: Any) -> Any:
    y = x * 2
    y.register_hook(lambda g: 3 * g)
    return y.sin()


def inner_gradient(x: Any) -> Any:
    y = x.clone().requires_grad_()
    (g,) = torch.autograd.grad((y**3).sum(), y, create_graph=True)
    return g * x


def transformed(x: Any) -> Any:
    return torch.func.vmap(lambda r: r.sin())(x)


def undeclared_view(x: Any) -> Any:
    y = torch.einsum("ij->ji", x.sin())
    y.mul_(2)
    return y


@pytest.mark.parametrize(
    ("f", "what"),
    [
        (lambda x: Doubling.apply(x) * x, "autograd.Function Doubling at test_never_wrong.py:"),
        (hooked, "Tensor.register_hook at test_never_wrong.py:"),
        (inner_gradient, r"torch.autograd.grad at test_never_wrong.py:\d+ .* inside the traced code. dc.derive\(d.adjoint\)"),
        (transformed, "torch.func at test_never_wrong.py:"),
        (undeclared_view, "shares its memory with another in a way that torch does not declare"),
        (lambda x: x * float(x.numpy().sum()), "Tensor.numpy at test_never_wrong.py:.*data-dependent"),
        (lambda x: x * sum(x.flatten().tolist()), "data-dependent"),
        (lambda x: x.half().double(), "rounds to float16"),
    ],
)
def test_refused_by_name(f: Callable[..., Any], what: str) -> None:
    with pytest.raises(dc.UnsupportedOperation, match=what):
        dc.derive(f, x=normal(3, 4))


class Block(nn.Module):
    """A residual block with normalisation, in-place activations and an in-place sum."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Any) -> Any:
        out = self.norm(self.conv(x))
        out += x
        return F.relu(out, inplace=True)


class Tokens(nn.Module):
    """An embedding with positions, a causal mask in a buffer and attention by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 6, padding_idx=0)
        self.position = nn.Parameter(normal(7, 6))
        self.register_buffer("mask", torch.tril(torch.ones(7, 7)).bool())

    def forward(self, ids: Any) -> Any:
        length = ids.shape[1]
        x = self.table(ids) + self.position[:length]
        scores = x @ x.transpose(1, 2) / x.shape[-1] ** 0.5
        scores = scores.masked_fill(~self.mask[:length, :length], float("-inf"))
        return scores.softmax(-1) @ x


@pytest.mark.parametrize(
    ("module", "args"),
    [
        (Block().train(), (normal(2, 4, 6, 6),)),
        (Block().eval(), (normal(2, 4, 6, 5),)),
        (Tokens(), (torch.tensor([[1, 2, 0, 4, 5], [3, 3, 1, 0, 9]]),)),
        (nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), (normal(5, 4),)),
        (nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 2)), (normal(5, 4),)),
    ],
    ids=["block in training", "block in evaluation", "tokens", "weight norm", "sequential"],
)
def test_modules_are_right_as_autograd_is(module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
    module = module.double()
    derivation = dc.derive(module, *args)
    twin = copy.deepcopy(module)
    out = twin(*args)
    upstream = normal(*out.shape, seed=5)
    wanted = torch.autograd.grad(out, list(twin.parameters()), upstream)
    value, found = derivation.compile()(**dict(zip(derivation.program.inputs, args)), grad_output=upstream)
    torch.testing.assert_close(value, out.detach())
    for (n, _), w in zip(twin.named_parameters(), wanted):
        torch.testing.assert_close(found[n.replace(".", "_")], w, rtol=1e-7, atol=1e-9)


def test_height_and_width_stay_apart_in_a_residual_block() -> None:
    program = dc.derive(Block().double(), normal(2, 4, 6, 6)).program
    assert len({str(p) for p in program.dims("x")}) == 4


def test_autocast_is_refused() -> None:
    def f(x: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return x @ x.T

    with pytest.raises(dc.UnsupportedOperation, match=r"torch.autocast at test_never_wrong.py:\d+ .* rounds to fewer digits"):
        dc.derive(f, x=normal(3, 4).float())


def test_a_limit_of_the_type_is_an_assumption() -> None:
    def f(x: Any, m: Any) -> Any:
        return x.masked_fill(m, torch.finfo(x.dtype).min).softmax(-1)

    notes = dc.derive(f, x=normal(3, 4).float(), m=normal(3, 4) > 0).program.notes
    assert any("the type is float32: its min" in n for n in notes)


def surely(x: Any) -> Any:
    if not (x > 0).all():
        raise ValueError("positive numbers only")
    return x.log()


def test_a_check_that_raises_unless_it_holds_is_assumed_to_hold() -> None:
    d = dc.derive(surely, x=torch.rand(4) + 1)
    assert any("assumes the check at test_never_wrong.py" in n for n in d.program.notes)
    dc.assert_gradients(surely, {"x": torch.rand(4) + 1})


def test_probability_distributions_check_their_arguments_and_derive() -> None:
    def score(mu: Any, log_sigma: Any, a: Any) -> Any:
        return torch.distributions.Normal(mu, log_sigma.exp()).log_prob(a).sum(-1)

    dc.assert_gradients(score, {n: torch.randn(3, 2) for n in ("mu", "log_sigma", "a")})
    dc.assert_gradients(lambda x: torch.distributions.Categorical(logits=x).entropy(), {"x": torch.randn(3, 4)})


def svd_or_zeros(x: torch.Tensor) -> torch.Tensor:
    try:
        return torch.linalg.svd(x)[1]
    except RuntimeError:  # "it did not converge"
        return torch.zeros(3, dtype=x.dtype)


def number_or_twice(x: torch.Tensor) -> torch.Tensor:
    try:
        return x * float(x.sum())
    except Exception:
        return x * 2


def square_or_thrice(x: torch.Tensor) -> torch.Tensor:
    try:
        return x.view(7, 7)
    except RuntimeError:
        return x * 3


def refused_otherwise(x: torch.Tensor) -> torch.Tensor:
    try:
        return x * x.sum().item()
    except RuntimeError as error:
        raise ValueError("no number") from error


@pytest.mark.parametrize(
    ("f", "operator"),
    [
        (svd_or_zeros, "aten._linalg_svd"),
        (number_or_twice, "aten._local_scalar_dense"),
        (square_or_thrice, "view"),
        (refused_otherwise, "aten._local_scalar_dense"),
    ],
)
def test_a_refusal_that_the_code_catches_is_one(f: Any, operator: str) -> None:
    """The way that code takes after an error is not the way that it takes where it runs."""
    with pytest.raises(dc.UnsupportedOperation, match=operator):
        dc.derive(f, x=torch.rand(3, 3, dtype=torch.float64))
