"""dims= and where=: probes stay within what a layer is made for, and the report repeats it in the user's names."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor

import derivcheck as dc
from derivcheck.errors import GradientMismatch, InputError

TRACED = (FakeTensor, FunctionalTensor)  # what a trace runs the code on


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Total(torch.autograd.Function):
    """A sum over the last dimension."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        return x.sum(-1)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        return g[..., None].expand(ctx.shape)


class EvenAlone(Total):
    """Wrong at odd sizes."""

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        return g[..., None].expand(ctx.shape) * (1 + ctx.shape[-1] % 2)


class RaisesAtOdd(Total):
    """Its backward raises at odd sizes, where its forward runs."""

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        return g[..., None].expand(ctx.shape).reshape(-1, ctx.shape[-1] // 2, 2).reshape(ctx.shape)


class RefusesOdd(Total):
    """Its forward refuses odd sizes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        if x.shape[-1] % 2:
            raise ValueError(f"T must be even, got {x.shape[-1]}")
        return Total.forward(ctx, x)


X = randn(3, 4)


@pytest.mark.parametrize("function, verdict", [(EvenAlone, "wrong"), (RaisesAtOdd, "raised")])
def test_a_backward_that_fails_where_its_forward_ran_says_how_to_exclude_these_sizes(function: Any, verdict: str) -> None:
    report = dc.check(function, {"x": X}, dims={"x": "N T"})
    assert report["x"].verdict == verdict and "T=3" in report["x"].where
    advice = 'if it never meets T = 3, leave it out: where="T == 4", "T % 2 == 0" or the like, or dims={"x": "N 4"}'
    assert advice in str(report)
    assert dc.check(function, {"x": X}, dims={"x": "N T"}, where="T % 2 == 0").passed
    assert dc.check(function, {"x": X}, dims={"x": "N 4"}).passed
    assert not dc.check(function, {"x": X}, dims={"x": "N T"}, where="N % 2 == 1").passed


def test_a_forward_that_refuses_sizes_is_a_note() -> None:
    report = dc.check(RefusesOdd, {"x": X}, reference=lambda x: x.sum(-1), dims={"x": "N T"})
    assert report.passed
    (said,) = [n for n in report.limits if n.startswith("refuses")]
    assert "T = " in said and said.endswith(": ValueError: T must be even, got 3"), said
    assert not dc.check(RefusesOdd, {"x": X}, reference=lambda x: x.sum(-1), dims={"x": "N T"}, strict=True).passed
    report = dc.check(RefusesOdd, {"x": X}, reference=lambda x: x.sum(-1), dims={"x": "N T"}, where="T % 2 == 0")
    assert report.passed and not any(n.startswith("refuses") for n in report.limits)


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, -1) @ v


def test_the_report_has_the_users_names() -> None:
    data = {"q": randn(2, 3, 4), "k": randn(2, 5, 4, seed=1), "v": randn(2, 5, 4, seed=2)}
    dims = {"q": "B T d", "k": "B S d", "v": "B S d"}
    report = dc.check(attention, data, dims=dims)
    assert report.passed and dict(report.sizes) == {"B": 2, "T": 3, "d": 4, "S": 5}
    assert "within q[B, T, d], k[B, S, d], v[B, S, d]" in report.notes

    def forgets(grad_output: Tensor, q: Tensor, k: Tensor, v: Tensor) -> dict[str, Tensor]:
        p = torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, -1)
        return {"v": p.mT @ grad_output if k.shape[-2] != q.shape[-2] else p @ grad_output}

    shown = dc.check(attention, data, forgets, wrt=["v"], dims=dims)["v"]
    assert shown.verdict == "wrong" and "S=" in shown.where and "T=" in shown.where and "K=" not in shown.where


def test_sizes_that_are_tied_stay_tied() -> None:
    seen: list[tuple[int, int]] = []

    def square(x: Tensor, y: Tensor) -> Tensor:
        if not isinstance(x, TRACED):
            seen.append((x.shape[0], y.shape[0]))
        return x.sum(0) * y.sum(0)

    data = {"x": randn(4, 3), "y": randn(4, 3, seed=1)}
    assert dc.check(square, data, dims={"x": "T D", "y": "T D"}).passed and all(a == b for a, b in seen) and len(set(seen)) > 3
    seen.clear()
    assert dc.check(square, data, dims={"x": "S D", "y": "T D"}, where="S == T, T % 4 == 0, T <= 16").passed
    assert all(a == b for a, b in seen) and {4, 8} <= {a for a, _ in seen} <= {4, 8, 12, 16}


def one_sided(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
    return {"x": grad_output}


def test_probes_stay_within_conditions_on_the_data() -> None:
    assert dc.check(lambda x: x.abs(), {"x": X.abs()}, one_sided)["x"].verdict == "wrong"
    report = dc.check(lambda x: x.abs(), {"x": X.abs()}, one_sided, where="x > 0")
    assert report.passed and "within x > 0" in report.notes

    def twice(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
        return {"x": 2 * grad_output}

    assert dc.check(lambda x: x.abs(), {"x": X.abs()}, twice, where="x > 0")["x"].verdict == "wrong"


def test_a_determinant_stays_positive() -> None:
    a = randn(3, 3)
    a = a * torch.linalg.det(a).sign()

    def backward(grad_output: Tensor, a: Tensor, factor: float = 1.0) -> dict[str, Tensor]:
        return {"a": factor * grad_output * torch.linalg.inv(a).T}

    options: dict[str, Any] = {"dims": {"a": "n n"}, "where": "det(a) > 0"}
    report = dc.check(lambda a: torch.logdet(a), {"a": a}, backward, **options)
    assert report.passed, str(report)
    wrong = dc.check(lambda a: torch.logdet(a), {"a": a}, lambda **g: backward(**g, factor=1.01), **options)
    assert wrong["a"].verdict == "wrong"


def test_modules_derivations_gradcheck_and_assertions_take_them() -> None:
    report = dc.check(nn.Linear(4, 3), {"input": randn(2, 5, 4)}, dims={"input": "B T D", "weight": "O D"}, where="T >= B")
    assert report.passed and dict(report.sizes) == {"B": 2, "T": 5, "D": 4, "O": 3}
    d = dc.derive(lambda x, y: x * y, x=X, y=X)
    assert dict(dc.check(d, {"x": X, "y": X}, dims={"x": "N T"}, where="T > N").sizes) == {"N": 3, "T": 4}
    leaves = [X.clone().requires_grad_()]
    assert dc.gradcheck(EvenAlone.apply, leaves, dims={"x": "N T"}, where="T % 2 == 0")
    with pytest.raises(GradientMismatch):
        dc.gradcheck(EvenAlone.apply, leaves, dims={"x": "N T"})
    dc.assert_gradients(EvenAlone, {"x": X}, dims={"x": "N T"}, where="T % 2 == 0")
    with pytest.raises(GradientMismatch, match='where="T == 4"'):
        dc.assert_gradients(EvenAlone, {"x": X}, dims={"x": "N T"})


@pytest.mark.parametrize(
    "how, message",
    [
        ({"where": "Q > 3"}, "where says .Q > 3., and there is no .Q.; sizes are N, T, inputs x; dims= gives sizes"),
        ({"where": "T > 100"}, r"the data given are not within dims= and where=: T > 100 does not hold \(N = 3, T = 4\)"),
        ({"where": "x > 0"}, r"the data given are not within dims= and where=: x > 0 does not hold"),
        ({"where": "det(x) > 0"}, r"where says 'det\(x\) > 0', which cannot be evaluated: linalg.det"),
        ({"dims": {"x": "N N"}}, "x has size 4 in dimension 1, expected N = 3"),
        ({"dims": {"x": "N"}}, "x has shape .* expected 1 dimension"),
        ({"dims": {"z": "N"}}, "dims names 'z', which is not an input; those are x"),
        ({"dims": "N T"}, "dims is a str; expected a dict of text by input"),
        ({"dims": {"x": "h*d T"}}, "does not determine"),
    ],
)
def test_what_does_not_fit_is_one_sentence(how: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        dc.check(lambda x: x.sin(), {"x": X}, **{"dims": {"x": "N T"}, **how})
    assert "\n" not in str(refused.value)


def test_modules_one_by_one_take_none() -> None:
    with pytest.raises(InputError, match="check each module by itself to give them"):
        dc.check(nn.Sequential(nn.Linear(4, 3)), {"input": X}, per_module=True, where="N > 1")


def test_a_size_that_a_number_names_is_kept_where_the_code_is_not_read() -> None:
    """A kernel that is told of its channels reads and writes beyond its tensors at another number of them."""
    seen: set[int] = set()

    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, w: Tensor, channels: int) -> Tensor:
            seen.add(x.shape[1] - channels)
            ctx.save_for_backward(x, w)
            return x * w

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Any:
            x, w = ctx.saved_tensors
            return g * w, (g * x).sum(0), None

    inputs = {"x": torch.randn(3, 4), "w": torch.randn(4), "channels": 4}
    report = dc.check(Scaled, inputs, reference=lambda x, w, channels: x * w)
    assert report.passed and seen == {0}
    assert any("fixed at" in n and "as channels" in n for n in report.limits), report.limits
