"""A right backward may round in its own way, on the caller's data and in every probe; a fault hides behind no rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import derivcheck as dc
from derivcheck.checking.check import check_at
from derivcheck.checking.subject.subject import CheckSetting

Tensors = dict[str, torch.Tensor]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


class Elu(torch.autograd.Function):
    """elu whose backward reads the saved output; ``lost`` forgets the 1."""

    lost = 0.0

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        y = torch.where(x > 0, x, torch.expm1(x))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
        (y,) = ctx.saved_tensors
        return g * torch.where(y > 0, torch.ones_like(y), y + 1 - Elu.lost)


def test_a_function_that_reads_its_saved_output(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(3):
        assert dc.check(Elu, {"x": normal(4, 5, seed=seed)}, seed=seed, wrt=["x"])["x"].passed
    monkeypatch.setattr(Elu, "lost", 1e-12)
    assert dc.check(Elu, {"x": normal(4, 5)})["x"].verdict == "wrong"


def test_a_function_inside_other_code() -> None:
    """What torch's engine runs is traced where the backward is no code that one could call."""
    report = dc.check(lambda x: Elu.apply(torch.sin(x)) * 2, {"x": normal(4, 5)})
    assert report.passed, str(report)


RIGHT: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "logsigmoid by 1 - sigmoid": (F.logsigmoid, lambda g, x: g * (1 - torch.sigmoid(x))),
    "softplus from its output": (
        lambda x: torch.log1p(torch.exp(x)),
        lambda g, x: g * (1 - torch.exp(-torch.log1p(torch.exp(x)))),
    ),
    "logsumexp": (
        lambda x: torch.logsumexp(x, -1),
        lambda g, x: g[:, None] * torch.exp(x - torch.logsumexp(x, -1, keepdim=True)),
    ),
    "cumsum by the total": (
        lambda x: x.cumsum(-1),
        lambda g, x: g.sum(-1, keepdim=True) - (g.cumsum(-1) - g),
    ),
}


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("scale", [1, 50])
def test_right_by_another_way(name: str, scale: float) -> None:
    f, backward = RIGHT[name]
    data = {"x": scale * normal(6, 9)}
    report = dc.check(lambda x: f(x), data, lambda grad_output, x: {"x": backward(grad_output, x)}, seed=1)
    assert report["x"].verdict == "passed", str(report)

    def off(grad_output: torch.Tensor, x: torch.Tensor) -> Tensors:
        return {"x": backward(grad_output, x) * (1 + 1e-12)}

    assert dc.check(lambda x: f(x), data, off)["x"].verdict == "wrong"


def test_index_text_reads_the_forward_s_intermediates() -> None:
    d = dc.derive("s[n] := 1/(1 + exp(-x[n])); y[n] := log(s[n])", dims={"x": "N"})
    report = dc.check(d, {"x": normal(40)}, "x_bar[n] := grad_output[n]*(1 - s[n])")
    assert report.passed, str(report)


@pytest.mark.parametrize("lost", [1e9, 1e13])
def test_digits_thrown_away_are_wrong_beyond_a_million_times(lost: float) -> None:
    """Exact arithmetic calls it right; of no use all the same, and a number of millions is no conditioning."""
    report = dc.check(lambda x: x * x, {"x": normal(6)}, lambda grad_output, x: {"x": (2 * grad_output * x + lost) - lost})
    assert report["x"].verdict == "wrong"


def test_exact_arithmetic_at_the_very_numbers_finds_what_rounding_hides() -> None:
    """Below the rounding of its own large numbers, and wrong beyond x = 3 alone."""

    def hidden(grad_output: torch.Tensor, x: torch.Tensor) -> Tensors:
        off = torch.where(x > 3, 1e-13, 0.0)
        return {"x": (2 * grad_output * x * (1 + off) + 1e5 * x) - 1e5 * x}

    data = {"x": torch.tensor([1.0, -2.0, 3.5], dtype=torch.float64)}
    report = dc.check(lambda x: x * x, data, hidden)
    assert report["x"].verdict == "wrong" and "exact arithmetic" in report["x"].note


@pytest.mark.parametrize(
    "slope, verdict",
    [
        (lambda x: torch.sigmoid(x), "passed"),
        (lambda x: 1 - torch.exp(-F.softplus(x)), "passed"),
        (lambda x: torch.where(x > 20, 1.0, torch.sigmoid(x)), "passed"),
        (lambda x: torch.where(x > 15, 1.0, torch.sigmoid(x)), "wrong"),
        (lambda x: torch.sigmoid(x) * (1 + 1e-12), "wrong"),
    ],
)
def test_softplus_that_torch_takes_as_linear_beyond_20(slope: Callable[..., Any], verdict: str) -> None:
    data = {"x": 50 * normal(6, 9)}
    report = dc.check(lambda x: F.softplus(x), data, lambda grad_output, x: {"x": grad_output * slope(x)}, seed=1)
    assert report["x"].verdict == verdict, str(report)


class LogSigmoid(torch.autograd.Function):
    """logsigmoid whose backward reads the saved output, and can be differentiated again."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        y = F.logsigmoid(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
        (y,) = ctx.saved_tensors
        return g * (1 - torch.exp(y))


@pytest.mark.parametrize("dtype, scale", [(torch.float64, 50.0), (torch.float32, 50.0), (torch.bfloat16, 5.0)])
def test_a_double_backward_rounds_in_its_own_way_too(dtype: torch.dtype, scale: float) -> None:
    report = dc.check(LogSigmoid, {"x": scale * normal(5, 7, seed=3)}, dtype=dtype)
    assert all(r.verdict in ("passed", "right but ill-conditioned") for r in report), str(report)


def test_all_of_it_saturated_in_float32() -> None:
    """1 - tanh(x/2)^2 is 0 where the sigmoid's slope is 1e-25, in float64 as well."""
    data = {"x": torch.tensor([57.0, -60.0])}
    f, dtype = (lambda x: torch.sigmoid(x)), torch.float32
    by_tanh = lambda grad_output, x: {"x": grad_output * (1 - torch.tanh(x / 2) ** 2) / 4}  # noqa: E731
    report = dc.check(f, data, by_tanh, dtype=dtype)
    assert not report.faulty, str(report)
    wrong = dc.check(f, data, lambda grad_output, x: {"x": grad_output * 1e-3}, dtype=dtype)
    assert wrong["x"].verdict == "wrong"


def test_a_loop_too_long_to_trace_is_judged_by_float64() -> None:
    """Welford's mean over a thousand elements in bfloat16, one by one."""

    def backward(grad_output: torch.Tensor, x: torch.Tensor, factor: float = 1.0) -> Tensors:
        mean = x[:, :1] * 0
        for k in range(x.shape[1]):
            mean = mean + (x[:, k : k + 1] - mean) / (k + 1)
        return {"x": 2 * factor * grad_output[:, None] * (x - mean) / x.shape[1]}

    data = {"x": 1 + normal(3, 300)}
    report = check_at(lambda x: x.var(-1, unbiased=False), data, backward, setting=CheckSetting(torch.bfloat16))
    assert not report.faulty, str(report)
    wrong = check_at(
        lambda x: x.var(-1, unbiased=False),
        data,
        lambda **given: backward(**given, factor=1.5),
        setting=CheckSetting(torch.bfloat16),
    )
    assert wrong["x"].verdict == "wrong"


def _softplus(x: torch.Tensor) -> torch.Tensor:
    return torch.log1p(torch.exp(-x.abs())) + x.clamp(min=0)


def test_a_kink_and_its_own_rounding_in_one_gradient() -> None:
    """At 0 autograd's side of two kinks, elsewhere digits lost in saturation: neither alone explains the difference."""
    data = {"x": (5 * normal(6, 9)).bfloat16()}
    right = dc.check(_softplus, data, lambda grad_output, x: {"x": grad_output * (1 - torch.exp(-_softplus(x)))})
    assert right.passed, str(right)
    wrong = dc.check(_softplus, data, lambda grad_output, x: {"x": grad_output * (1 - torch.exp(-2 * _softplus(x)))})
    assert wrong["x"].verdict == "wrong"


@pytest.mark.parametrize("scale", [50, 200])
def test_a_probe_that_picks_what_saturates(scale: float) -> None:
    """Where every element is 1e-40, those of the data say what a gradient of such numbers is."""
    data = {"x": scale * normal(6, 9, seed=6)}

    def by_tanh(grad_output: torch.Tensor, x: torch.Tensor) -> Tensors:
        y = (1 + torch.tanh(x / 2)) / 2
        return {"x": grad_output * y * (1 - y)}

    report = dc.check(torch.sigmoid, data, by_tanh, seed=6)
    assert report.passed, str(report)
    assert not dc.check(torch.sigmoid, data, lambda grad_output, x: {"x": by_tanh(grad_output, x)["x"] * 1.01}).passed


def test_what_is_a_little_more_than_rounding_is_no_rounding() -> None:
    """Just beyond the bound in bfloat16, and as far off in float64: wrong, and not right but ill-conditioned."""
    data = {"x": normal(8, 16).bfloat16(), "w": normal(5, 16).bfloat16()}

    def right(grad_output: torch.Tensor, x: torch.Tensor, w: torch.Tensor) -> Tensors:
        return {"x": grad_output @ w, "w": grad_output.T @ x}

    row = dc.check(lambda x, w: F.linear(x, w), data, right, dtype=torch.bfloat16)["w"]
    assert row.passed

    def off(grad_output: torch.Tensor, x: torch.Tensor, w: torch.Tensor) -> Tensors:
        found = right(grad_output, x, w)
        return {"x": found["x"], "w": found["w"] * (1 + 3 * row.sensitivity)}

    assert dc.check(lambda x, w: F.linear(x, w), data, off, dtype=torch.bfloat16)["w"].verdict == "wrong"


def test_index_text_is_bounded_by_its_own_rounding() -> None:
    """What is left of a whole less a part has rounded as the whole does: so it is with text as with code."""
    forward, dims = "y[n] := sum(m: [m <= n]*x[m])", {"x": "N"}
    data = {"x": torch.randn(6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))}
    whole_less_part = "x_bar[m < N] := sum(n: grad_output[n]) - sum(n: [n {} m]*grad_output[n])"
    report = dc.check(dc.derive(forward, dims=dims), data, whole_less_part.format("<"))
    assert report.passed, str(report)
    assert not dc.check(dc.derive(forward, dims=dims), data, whole_less_part.format("<=")).passed
    off = whole_less_part.format("<") + "*(1 + 1/10^12)"
    assert not dc.check(dc.derive(forward, dims=dims), data, off).passed
