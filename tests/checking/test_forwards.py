"""What can be checked: modules, functions, autograd.Functions, references, several outputs, whole models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import derivcheck as dc
from derivcheck.checking.check import check, check_at
from derivcheck.checking.gradcheck import gradcheck
from derivcheck.errors import GradientMismatch, InputError, UnsupportedOperation


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class Linear(torch.autograd.Function):
    """The docs' own linear."""

    @staticmethod
    def forward(ctx: Any, x: Any, w: Any, b: Any) -> Any:
        ctx.save_for_backward(x, w)
        return x @ w.t() + b

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:  # type: ignore[override]
        x, w = ctx.saved_tensors
        return g @ w, g.t() @ x, g.sum(0)


class Unreduced(Linear):
    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:  # type: ignore[override]
        x, w = ctx.saved_tensors
        return g @ w, g.t() @ x, g


class Doubly(Unreduced):
    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:  # type: ignore[override]
        return *Unreduced.backward(ctx, g)[:2], 2 * g


class Reduced(Unreduced):
    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:  # type: ignore[override]
        return *Unreduced.backward(ctx, g)[:2], g.sum()


class Gated(Linear):
    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:  # type: ignore[override]
        x, w = ctx.saved_tensors
        return g @ w, g.t() @ x if ctx.needs_input_grad[0] else None, g.sum(0)


class Cube(torch.autograd.Function):
    """Right once, silently wrong twice: what it saves was computed, so the second derivative takes it as a constant."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x, 3 * x * x)
        return x * x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:  # type: ignore[override]
        return g * ctx.saved_tensors[1]


class RightCube(Cube):
    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:  # type: ignore[override]
        return g * 3 * ctx.saved_tensors[0] ** 2


class Once(Cube):
    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[misc]
    def backward(ctx: Any, g: Any) -> Any:
        return g * ctx.saved_tensors[1]


DATA = {"x": randn(5, 4), "w": randn(3, 4, seed=1), "b": randn(3, seed=2)}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_right_function(dtype: torch.dtype) -> None:
    report = check(Linear, DATA, dtype=dtype)
    assert report.passed, str(report)
    assert "gradient in w alone" in str(report) and "its double backward holds" in str(report)


def test_what_backward_really_returned() -> None:
    """torch's engine sums the rows of a gradient that is too large without a word: right, and said."""
    report = check(Unreduced, DATA)
    assert report.passed and "the gradient of b has shape (5, 3); torch's engine sums it to (3,)" in report.notes
    assert check(Doubly, DATA)["b"].verdict == "wrong"
    small = check(Reduced, DATA)["b"]
    assert small.verdict == "shape" and small.note == "found shape (), expected (3,)"


def test_every_subset_of_needs_input_grad() -> None:
    row = check(Gated, DATA)["w"]
    assert row.verdict == "missing" and row.where.startswith("gradient in w alone")


def test_double_backward() -> None:
    assert check(RightCube, {"x": randn(4)}).passed
    report = check(Cube, {"x": randn(4)})
    assert report["x"].passed and report["x (double backward)"].verdict == "wrong"
    once = check(Once, {"x": randn(4)})
    assert once.passed and "double backward" not in str(once)


@pytest.mark.parametrize(
    "module, shape",
    [
        (nn.Linear(4, 3), (5, 4)),
        (nn.LayerNorm(6), (3, 6)),
        (nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 2)), (5, 4)),
        (nn.BatchNorm1d(4), (6, 4)),
    ],
    ids=["linear", "norm", "mlp", "batchnorm"],
)
def test_modules(module: nn.Module, shape: tuple[int, ...]) -> None:
    before = {n: t.clone() for n, t in module.state_dict().items()}
    report = check(module, {"input": randn(*shape)})
    assert report.passed, str(report)
    assert len(report) == 1 + len(list(module.parameters()))
    assert all(torch.equal(before[n], t) and t.dtype == before[n].dtype for n, t in module.state_dict().items()), (
        "it works on a copy"
    )
    assert all(p.grad is None for p in module.parameters())


def test_functions_with_constants_and_several_outputs() -> None:
    def f(x: Any, y: Any, scale: float, flag: bool) -> Any:
        return x * y * scale, (x - y).sum() if flag else y

    report = check(f, {"x": randn(3, 4), "y": randn(3, 4, seed=1), "scale": 2.5, "flag": True})
    assert report.passed, str(report)
    given = check(
        f,
        {"x": randn(3, 4), "y": randn(3, 4, seed=1), "scale": 2.5, "flag": True},
        grad_output=(randn(3, 4), torch.tensor(2.0)),
    )
    assert given.passed
    with pytest.raises(InputError, match="grad_output has 1 tensors; expected 2"):
        check(f, {"x": randn(3, 4), "y": randn(3, 4), "scale": 2.5, "flag": True}, grad_output=randn(3, 4))


def test_only_what_requires_grad_is_checked_where_something_does() -> None:
    report = check(lambda x, y: x * y, {"x": randn(3).requires_grad_(), "y": randn(3)})
    assert [r.name for r in report] == ["x"]


class Kernel(torch.autograd.Function):
    """A forward that cannot be traced (it leaves torch), as a kernel of one's own is."""

    factor = 1.0

    @staticmethod
    def forward(ctx: Any, x: Any, w: Any) -> Any:
        ctx.save_for_backward(x, w)
        return torch.from_numpy(np.tanh(x.detach().numpy()) * w.detach().numpy() * Kernel.factor).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:  # type: ignore[override]
        x, w = ctx.saved_tensors
        t = torch.tanh(x)
        return g * w * (1 - t * t), (g * t).sum(0)


def test_reference_says_what_a_kernel_means(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = {"x": randn(5, 3), "w": randn(3)}

    def reference(x: Any, w: Any) -> Any:
        return torch.tanh(x) * w

    with pytest.raises((UnsupportedOperation, InputError)) as refused:
        check(Kernel, tensors)
    assert "say what it means with reference=" in refused.value.__notes__[0]
    report = check(Kernel, tensors, reference=reference)
    assert report.passed, str(report)
    assert report["value"].passed
    wrong = check(Kernel, tensors, reference=lambda x, w: torch.tanh(x) + w)
    assert wrong["value"].verdict == "wrong" and "the forward's value is not what the reference means" in str(wrong)
    monkeypatch.setattr(Kernel, "factor", 1.001)
    assert check(Kernel, tensors, reference=reference)["value"].verdict == "wrong"


def test_nondeterministic_forward_is_refused() -> None:
    calls = []

    def f(x: Any) -> Any:
        calls.append(1)
        return x * (1 + len(calls) % 2)

    with pytest.raises((InputError, UnsupportedOperation)):
        check(f, {"x": randn(3)})


def test_detached_parts_are_frozen() -> None:
    report = check(lambda x: x * (2 * x).detach(), {"x": randn(4)})
    assert report.passed, str(report)


def straight_through(z: torch.Tensor, q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return z + (q - z).detach(), (z - q.detach()) ** 2


def test_a_derivation_of_detached_parts_is_held_against_autograd_of_its_program() -> None:
    tensors = {"z": randn(3), "q": randn(3)}
    report = check(dc.derive(straight_through, **tensors), tensors)
    assert report.passed, str(report)


def routed(x: torch.Tensor, W: torch.Tensor) -> torch.Tensor:
    """A mixture of experts: weights for the two largest scores."""
    logits = x @ W.T
    top, where = torch.topk(logits, 2, dim=-1)
    return torch.zeros_like(logits).scatter(-1, where, top.softmax(-1))


def clipped(s: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    """The clipped surrogate of PPO in its first step: the ratio is 1, both of its sides are equal."""
    ratio = torch.exp(s - s.detach())
    return -torch.min(ratio * a, ratio.clamp(0.8, 1.2) * a).mean()


@pytest.mark.parametrize(
    ("f", "tensors"),
    [(routed, {"x": randn(5, 7), "W": randn(4, 7)}), (clipped, {"s": randn(5, 4), "a": randn(5, 4)})],
    ids=["top-k", "ties by construction"],
)
def test_equal_numbers_are_no_reason_to_see_nothing(f: Any, tensors: dict[str, torch.Tensor]) -> None:
    report = check(f, tensors, wrt=list(tensors)[:1])
    assert report.passed, str(report)
    assert report.rows[0].sensitivity < 1e-10
    upstream = list(tensors)[0]
    wrong = check(
        f,
        tensors,
        lambda grad_output, **t: {
            upstream: 1.001 * torch.autograd.functional.vjp(lambda x: f(**{**t, upstream: x}), t[upstream], grad_output)[1]
        },
        wrt=[upstream],
    )
    assert not wrong.passed


def test_a_gradient_that_agrees_only_because_a_kink_may_fall_either_way_has_not_passed() -> None:
    def cancelled(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return torch.relu(x @ w.T + x @ (-w).T)

    report = check_at(
        cancelled, {"x": randn(4, 3), "w": randn(2, 3)}, lambda grad_output, x, w: {"w": torch.full_like(w, 1e-3)}, wrt=["w"]
    )
    assert report.rows[0].verdict == "vacuous"


class Model(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.first, self.function = nn.Linear(4, 4), function
        self.inner = Inner(function)

    def forward(self, x: Any) -> Any:
        return self.inner(torch.tanh(self.first(x)))


class Inner(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function
        self.w, self.b = nn.Parameter(randn(3, 4)), nn.Parameter(randn(3))

    def forward(self, h: Any) -> Any:
        return self.function.apply(h, self.w, self.b)


def test_a_whole_model_by_its_modules() -> None:
    good = check(Model(Linear), {"x": randn(5, 4)}, per_module=True)
    assert good.passed, str(good)
    assert [r.name for r in good] == ["inner: h", "inner: w", "inner: b"]
    said = check(Model(Unreduced), {"x": randn(5, 4)}, per_module=True)
    assert said.passed and any("its input 2 has shape (5, 3); torch's engine sums it" in n for n in said.notes), said.notes
    bad = check(Model(Doubly), {"x": randn(5, 4)}, per_module=True)
    assert [r.name for r in bad.failures] == ["inner: b"]
    with pytest.raises(InputError, match="no submodule of Linear has a backward of its own"):
        check(nn.Linear(4, 3), {"input": randn(5, 4)}, per_module=True)
    with pytest.raises(InputError, match="per_module=True takes a module; found function"):
        check(lambda x: x, {"x": randn(3)}, per_module=True)


def test_gradcheck_takes_torchs_place() -> None:
    args = tuple(t.double().requires_grad_() for t in DATA.values())
    assert gradcheck(Linear.apply, args)
    assert gradcheck(torch.nn.functional.linear, args, eps=1e-6, atol=1e-4, fast_mode=True)
    assert gradcheck(Unreduced.apply, args)
    with pytest.raises(GradientMismatch, match="b: wrong"):
        gradcheck(Doubly.apply, args)
    assert gradcheck(Doubly.apply, args, raise_exception=False) is False
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradcheck(Linear.apply, tuple(t.detach() for t in args))
    with pytest.raises(InputError, match="use torch.autograd.gradcheck for forward mode"):
        gradcheck(Linear.apply, args, check_forward_ad=True)


def test_derivation_alone_checks_its_generated_code() -> None:
    d = dc.derive(nn.Linear(4, 3), loss=nn.MSELoss())
    report = check(d, {"input": randn(6, 4), "target": randn(6, 3)})
    assert report.passed and {"weight", "bias"} <= {r.name for r in report}, str(report)


def test_integers_made_of_sizes_are_exact() -> None:
    """Labels ``(i + n) % 2n``: a quotient that is whole stands at no step."""

    def contrast(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        z, n = torch.cat([a, b]), a.shape[0]
        scores = (z @ z.T).masked_fill(torch.eye(2 * n, dtype=torch.bool), -9e15)
        return nn.functional.cross_entropy(scores, (torch.arange(2 * n) + n) % (2 * n))

    report = check(contrast, {"a": randn(5, 4), "b": randn(5, 4, seed=1)})
    assert report.passed, str(report)
