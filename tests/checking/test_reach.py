"""Backwards that are right on the side of a condition that the caller's data take, and wrong on the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import derivcheck as dc
from derivcheck.checking.check import check
from derivcheck.checking.probing.conditions import SidesTaken
from derivcheck.checking.subject.subject import subject

Gradients = dict[str, Tensor]


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def between(low: float, high: float, *shape: int) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


IDS = torch.tensor([0, 2, 3, 5])
CLASSES = torch.tensor([0, 3, 1, 2, 4])
ALL = torch.ones(4, 5, dtype=torch.bool)
KINKS: dict[str, tuple[Callable[..., Tensor], Tensor, Callable[[Tensor], Any], Callable[[Tensor], Any]]] = {
    # name -> forward, one-sided data, the slope that is right there alone, the slope that is right everywhere
    "relu": (torch.relu, between(0.1, 1, 4, 5), lambda x: 1, lambda x: x > 0),
    "relu of negative data": (torch.relu, -between(0.1, 1, 4, 5), lambda x: 0, lambda x: x > 0),
    "abs": (torch.abs, between(0.1, 1, 4, 5), lambda x: 1, torch.sign),
    "leaky_relu": (lambda input: F.leaky_relu(input, 0.1), between(0.1, 1, 4, 5), lambda x: 1, lambda x: 0.1 + 0.9 * (x > 0)),
    "elu": (F.elu, between(0.1, 1, 4, 5), lambda x: 1, lambda x: torch.where(x > 0, 1.0, x.exp())),
    "relu6": (F.relu6, drawn(4, 5), lambda x: x > 0, lambda x: (x > 0) & (x < 6)),
    "hardtanh": (F.hardtanh, between(-0.9, 0.9, 4, 5), lambda x: 1, lambda x: x.abs() < 1),
    "hardswish": (F.hardswish, between(-1, 1, 4, 5), lambda x: (2 * x + 3) / 6,
                  lambda x: torch.where(x > 3, 1.0, torch.where(x < -3, 0.0, (2 * x + 3) / 6))),
    "softshrink": (F.softshrink, between(1, 2, 4, 5), lambda x: 1, lambda x: x.abs() > 0.5),
    "hardshrink": (F.hardshrink, between(1, 2, 4, 5), lambda x: 1, lambda x: x.abs() > 0.5),
    "threshold": (lambda input: F.threshold(input, 2.0, 7.0), between(3, 4, 4, 5), lambda x: 1, lambda x: x > 2),
    "clamp": (lambda input: input.clamp(-30, 30), drawn(4, 5), lambda x: 1, lambda x: x.abs() <= 30),
    "softplus": (F.softplus, drawn(4, 5), lambda x: torch.where(x > 15, 0.0, torch.sigmoid(x)), torch.sigmoid),
    "where": (lambda input: torch.where(input > 7, input**2, 3 * input), drawn(4, 5), lambda x: 3,
              lambda x: torch.where(x > 7, 2 * x, 3.0)),
    "a product with its mask": (lambda input: input * (input > -5), drawn(4, 5), lambda x: 1, lambda x: x > -5),
}  # fmt: skip


@pytest.mark.parametrize("name", KINKS)
def test_the_other_side_of_a_kink_is_visited(name: str) -> None:
    forward, x, one_sided, slope = KINKS[name]

    def whole(input: Tensor) -> Tensor:
        return forward(input)

    wrong = check(whole, {"input": x}, lambda grad_output, input: {"input": grad_output * one_sided(input)})
    assert wrong["input"].verdict == "wrong" and wrong["input"].where, str(wrong)
    right = check(whole, {"input": x}, lambda grad_output, input: {"input": grad_output * slope(input)}, strict=True)
    assert right.passed and right.reached and all(right.reached.values()), f"{right}\n{right.reached}"


@pytest.mark.parametrize("seed", range(4))
def test_the_edge_of_a_side_is_not_the_side(seed: int) -> None:
    """Where a sum of positive numbers is 0, either slope of relu is right; below it is not."""
    report = check(
        lambda x: torch.relu(x.sum(1)),
        {"x": between(0.5, 1, 4, 5)},
        lambda grad_output, x: {"x": grad_output[:, None].expand_as(x)},
        seed=seed,
    )
    assert report["x"].verdict == "wrong", str(report)


def cross_entropy(x: Tensor, t: Tensor, kept: Tensor) -> Tensor:
    return (torch.softmax(x, 1) - F.one_hot(t.clamp(min=0), x.shape[1])) * kept[:, None] / kept.sum()


def scattered(g: Tensor, ids: Tensor, w: Tensor) -> Tensor:
    return torch.zeros_like(w).index_add(0, ids, g)


LABELS: dict[str, tuple[Callable[..., Tensor], dict[str, Tensor], Callable[..., Gradients], Callable[..., Gradients]]] = {
    "an ignored class": (
        lambda x, t: F.cross_entropy(x, t),
        {"x": drawn(5, 5), "t": CLASSES},
        lambda grad_output, x, t: {"x": grad_output * cross_entropy(x, t, torch.ones_like(t))},
        lambda grad_output, x, t: {"x": grad_output * cross_entropy(x, t, t != -100)},
    ),
    "an ignored class of another number": (
        lambda x, t: F.nll_loss(x, t, ignore_index=9, reduction="sum"),
        {"x": drawn(5, 5), "t": CLASSES},
        lambda grad_output, x, t: {"x": -grad_output * F.one_hot(t.where(t != 9, 0), x.shape[1])},
        lambda grad_output, x, t: {"x": -grad_output * F.one_hot(t.where(t != 9, 0), x.shape[1]) * (t != 9)[:, None]},
    ),
    "a padding row": (
        lambda w, ids: F.embedding(ids, w, padding_idx=1),
        {"w": drawn(6, 3), "ids": IDS},
        lambda grad_output, w, ids: {"w": scattered(grad_output, ids, w)},
        lambda grad_output, w, ids: {"w": scattered(grad_output * (ids != 1)[:, None], ids, w)},
    ),
    "indices that repeat": (
        lambda w, ids: w[ids],
        {"w": drawn(6, 3), "ids": IDS},
        lambda grad_output, w, ids: {"w": torch.zeros_like(w).index_copy(0, ids, grad_output)},
        lambda grad_output, w, ids: {"w": scattered(grad_output, ids, w)},
    ),
    "a mask that keeps all": (
        lambda x, m: torch.where(m, x, 0.0),
        {"x": drawn(4, 5), "m": ALL},
        lambda grad_output, x, m: {"x": grad_output},
        lambda grad_output, x, m: {"x": grad_output * m},
    ),
    "a mask that drops all": (
        lambda x, m: x.masked_fill(m, 2.0),
        {"x": drawn(4, 5), "m": ALL},
        lambda grad_output, x, m: {"x": 0 * grad_output},
        lambda grad_output, x, m: {"x": grad_output * ~m},
    ),
    "a mask of numbers that keeps all": (
        lambda x, m: x * m,
        {"x": drawn(4, 5).requires_grad_(), "m": ALL.double()},
        lambda grad_output, x, m: {"x": grad_output},
        lambda grad_output, x, m: {"x": grad_output * m},
    ),
    "lengths that are all full": (
        lambda x, n: (x * (torch.arange(x.shape[1]) < n[:, None])).sum(),
        {"x": drawn(4, 5), "n": torch.full((4,), 5)},
        lambda grad_output, x, n: {"x": grad_output.expand_as(x)},
        lambda grad_output, x, n: {"x": grad_output * (torch.arange(x.shape[1]) < n[:, None])},
    ),
    "a weight of ones": (
        lambda x, w: x * w,
        {"x": drawn(4, 5), "w": torch.ones(5, dtype=torch.float64)},
        lambda grad_output, x, w: {"x": grad_output * w * w, "w": (grad_output * x).sum(0)},
        lambda grad_output, x, w: {"x": grad_output * w, "w": (grad_output * x).sum(0)},
    ),
    "a bias of zeros": (
        lambda x, b: torch.tanh(x + b),
        {"x": drawn(4, 5), "b": torch.zeros(5, dtype=torch.float64)},
        lambda grad_output, x, b: {"x": grad_output / x.cosh() ** 2, "b": (grad_output / x.cosh() ** 2).sum(0)},
        lambda grad_output, x, b: {"x": grad_output / (x + b).cosh() ** 2, "b": (grad_output / (x + b).cosh() ** 2).sum(0)},
    ),
    "the sign of one number": (
        lambda x, s: x * s.abs(),
        {"x": drawn(4, 5), "s": torch.tensor(0.5, dtype=torch.float64)},
        lambda grad_output, x, s: {"x": grad_output * s.abs(), "s": (grad_output * x).sum()},
        lambda grad_output, x, s: {"x": grad_output * s.abs(), "s": (grad_output * x).sum() * s.sign()},
    ),
    "a row of zeros": (
        lambda x: x.norm(dim=1),
        {"x": drawn(4, 5)},
        lambda grad_output, x: {"x": grad_output[:, None] * x / x.norm(dim=1, keepdim=True)},
        lambda grad_output, x: {"x": grad_output[:, None] * x / x.norm(dim=1, keepdim=True).clamp(min=1e-300)},
    ),
    "a column of zeros": (
        lambda x: x.norm(dim=0),
        {"x": drawn(4, 5)},
        lambda grad_output, x: {"x": grad_output * x / x.norm(dim=0)},
        lambda grad_output, x: {"x": grad_output * x / x.norm(dim=0).clamp(min=1e-300)},
    ),
    "two equal rows": (
        lambda x, y: (x - y).norm(dim=1),
        {"x": drawn(4, 5), "y": drawn(4, 4)[:, :1] + 3},
        lambda grad_output, x, y: (lambda d: {"x": d, "y": -d.sum(1, keepdim=True)})(
            grad_output[:, None] * (x - y) / (x - y).norm(dim=1, keepdim=True)),
        lambda grad_output, x, y: (lambda d: {"x": d, "y": -d.sum(1, keepdim=True)})(
            grad_output[:, None] * (x - y) / (x - y).norm(dim=1, keepdim=True).clamp(min=1e-300)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LABELS)
def test_a_label_a_mask_a_row_that_the_data_never_have_is_tried(name: str) -> None:
    forward, data, wrong, right = LABELS[name]
    shown = check(forward, data, wrong)
    assert not shown.passed and shown.faulty, str(shown)
    assert next(iter(shown.failures)).where
    held = check(forward, data, right)
    assert held.passed and all(held.reached.values()), f"{held}\n{held.reached}"


def test_probes_stay_where_the_forward_is_finite() -> None:
    data = {"x": between(0.1, 1, 4, 5)}
    report = check(lambda x: x.log() + x.sqrt(), data, lambda grad_output, x: {"x": grad_output * (1 / x + 0.5 / x.sqrt())})
    assert report.passed and "both signs" not in str(report)


def test_what_cannot_be_reached_is_said_and_is_no_pass_in_strict_mode() -> None:
    def f(x: Tensor) -> Tensor:
        return torch.relu(torch.sin(x) + 2)

    def b(grad_output: Tensor, x: Tensor) -> Gradients:
        return {"x": grad_output * torch.cos(x)}

    report = check(f, {"x": drawn(4, 5)}, b)
    (limit,) = report.limits
    assert report.passed and limit.startswith("never reached: sin(x[n, m]) <= -2 (relu at") and limit in str(report)
    assert list(report.reached.values()).count("") == 1 and "the data" in report.reached.values()
    strict = check(f, {"x": drawn(4, 5)}, b, strict=True)
    assert not strict.passed and not strict.faulty and "never reached: sin(x[n, m]) <= -2" in str(strict)
    with pytest.raises(dc.GradientMismatch, match="but not all was reached"):
        dc.assert_gradients(f, {"x": drawn(4, 5)}, b, strict=True)


def test_a_backward_that_refuses_data_made_for_a_side_is_not_wrong_and_that_is_said() -> None:
    def b(grad_output: Tensor, x: Tensor, t: Tensor) -> Gradients:
        return {"x": grad_output * (torch.softmax(x, 1) - F.one_hot(t, x.shape[1])) / len(x)}

    report = check(lambda x, t: F.cross_entropy(x, t), {"x": drawn(5, 5), "t": CLASSES}, b)
    assert report.passed and len(report.limits) == 2, str(report)
    assert report.limits[0].startswith("never reached: t[m] == -100 (cross_entropy_loss at")
    refused = "never reached: data for t[m] == -100, where the backward raises RuntimeError: Class values"
    assert report.limits[1].startswith(refused)


@pytest.mark.parametrize(
    "f, impossible",
    [
        (lambda x: torch.relu(x * x + 1), "<="),
        (lambda x: torch.relu(x).abs(), " < "),
        (lambda x: F.normalize(x, dim=1), "sq[n] < "),
    ],
)
def test_a_side_that_no_number_has_is_not_missed(f: Any, impossible: str) -> None:
    s = subject(f, {"x": between(0.1, 1, 4, 5)})
    sides = SidesTaken(s.derivation.program, s.derivation.adjoint, s.derivation.upstream).reached()
    assert sides and not any(impossible in side for side in sides if "a[" not in side or impossible == " < ")


def test_sizes_indices_and_places_are_no_conditions_on_the_data() -> None:
    forwards: list[tuple[Any, dict[str, Tensor]]] = [
        (lambda x: x.tril() @ x.mT, {"x": drawn(4, 4)}),
        (lambda w, ids: w[ids], {"w": drawn(6, 3), "ids": IDS}),
        (lambda x: F.pad(x, (1, 2)).cumsum(1), {"x": drawn(4, 5)}),
        (lambda x: torch.linalg.inv(x), {"x": drawn(3, 3)}),
    ]
    for f, data in forwards:
        s = subject(f, data)
        assert not SidesTaken(s.derivation.program, s.derivation.adjoint, s.derivation.upstream).reached()


def test_a_number_in_which_no_gradient_is_taken_stays_what_it_is() -> None:
    def power(x: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        return torch.where(alpha == 0, x, x.abs() ** alpha)

    def backward(grad_output: torch.Tensor, x: torch.Tensor, alpha: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"x": grad_output * alpha * x.abs() ** (alpha - 1) * x.sign()}  # of alpha != 0, for which it is made

    x, alpha = torch.randn(4, 3, dtype=torch.float64), torch.tensor(1.5, dtype=torch.float64)
    report = dc.check(power, {"x": x, "alpha": alpha}, backward, wrt=["x"])
    assert report.passed and any("never reached" in n and "alpha" in n for n in report.limits)
    alphas = alpha.expand(4, 1).contiguous()  # data: one of them is moved there
    assert not dc.check(power, {"x": x, "alpha": alphas}, backward, wrt=["x"]).passed
