"""Backwards that are wrong at some sizes, some strides, some upstream gradients alone, as kernels in blocks are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from derivcheck.checking.check import check
from derivcheck.checking.probing.lengths import LENGTHS

Gradients = dict[str, Tensor]
Condition = Callable[[Tensor, Tensor, Tensor], bool]


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


DATA = {"x": drawn(6, 5), "w": drawn(5, 4)}


def product(x: Tensor, w: Tensor) -> Tensor:
    return x @ w


def wrong_when(condition: Condition) -> Callable[..., Gradients]:
    def backward(grad_output: Tensor, x: Tensor, w: Tensor) -> Gradients:
        return {"x": grad_output @ w.mT, "w": x.mT @ grad_output * (1.5 if condition(grad_output, x, w) else 1.0)}

    return backward


def transposed(t: Tensor) -> bool:
    return t.mT.is_contiguous() and not t.is_contiguous()


EVERY = [(k % 3, size) for k, size in enumerate(n for n in LENGTHS if n not in (4, 5, 6))]


@pytest.mark.parametrize("axis, size", EVERY)
def test_each_length_of_each_size_is_tried(axis: int, size: int) -> None:
    report = check(product, DATA, wrong_when(lambda g, x, w: (*x.shape, w.shape[1])[axis] == size))
    assert report["w"].verdict == "wrong" and "=" in report["w"].where, str(report)


@pytest.mark.parametrize("size", [7, 64])
def test_one_length_for_all_sizes_is_tried(size: int) -> None:
    report = check(product, DATA, wrong_when(lambda g, x, w: (*x.shape, w.shape[1]) == (size, size, size)))
    assert report["w"].where.startswith("sizes 2 to 129") and f"N={size}, M={size}" in report["w"].where


@pytest.mark.parametrize("block", [8, 32, 128])
def test_whole_blocks_are_tried(block: int) -> None:
    report = check(product, DATA, wrong_when(lambda g, x, w: len(x) > 0 and len(x) % block == 0))
    assert report["w"].verdict == "wrong" and report["w"].where


@pytest.mark.parametrize(
    "condition, shown",
    [
        (lambda g, x, w: transposed(w), "transposed inputs"),
        (lambda g, x, w: transposed(x) and w.is_contiguous(), "x transposed"),
        (lambda g, x, w: transposed(w) and x.is_contiguous(), "w transposed"),
        (lambda g, x, w: transposed(g), "transposed upstream"),
        (lambda g, x, w: bool((g < 0).all()) and g.numel() > 4, "negative upstream"),
        (lambda g, x, w: g.stride() == (0, 0), "expanded upstream"),
        (lambda g, x, w: 0 < float(g.abs().max()) < 1e-100 if g.numel() else False, "tiny upstream"),
    ],
)
def test_strides_and_signs_are_tried(condition: Condition, shown: str) -> None:
    report = check(product, DATA, wrong_when(condition))
    assert report["w"].verdict == "wrong" and report["w"].where.startswith(shown), str(report)


def test_numbers_that_are_lost_below_the_least_normal_one_are_tried() -> None:
    def by_its_size(grad_output: Tensor, x: Tensor) -> Gradients:
        return {"x": 3 * grad_output / grad_output.square().sum().sqrt() * grad_output.norm()}

    report = check(lambda x: 3 * x, {"x": drawn(4, 5)}, by_its_size)
    assert report["x"].where.startswith("denormal upstream"), str(report)


class Four(torch.autograd.Function):
    """a·b + c·d, whose backward is wrong where only the first and the last are wanted."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
        ctx.save_for_backward(a, b, c, d)
        return a * b + c * d

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        a, b, c, d = ctx.saved_tensors
        found = [g * b, g * a, g * d, g * c]
        if ctx.needs_input_grad == (True, False, False, True):
            found.reverse()
        return tuple(found)


def test_a_pair_of_wanted_gradients_is_tried() -> None:
    report = check(Four, {n: drawn(3, k + 2)[:, :2] for k, n in enumerate("abcd")})
    assert report["a"].where.startswith("gradient in a and d alone"), str(report)


def test_a_glance_that_sees_no_number_is_no_agreement() -> None:
    def one(n: int) -> Tensor:
        return torch.zeros((), dtype=torch.float64) / (n - 9) + 1

    report = check(lambda x: x * x, {"x": drawn(4, 5)}, lambda grad_output, x: {"x": 2 * x * grad_output * one(len(x))})
    assert report["x"].verdict == "wrong" and "N=9" in report["x"].where


def test_what_is_right_at_every_size_passes_and_work_that_is_too_much_is_said() -> None:
    report = check(product, DATA, wrong_when(lambda g, x, w: False))
    assert report.passed and "not tried, for their work: sizes of 128 each, 129 each" in report.notes
    heavy = {"x": drawn(3, 2, 2, 2), "w": drawn(2, 2)}
    heavy_report = check(
        lambda x, w: torch.einsum("nabc,ad->nbcd", x, w),
        heavy,
        lambda grad_output, x, w: {
            "x": torch.einsum("nbcd,ad->nabc", grad_output, w),
            "w": torch.einsum("nabc,nbcd->ad", x, grad_output),
        },
    )
    assert heavy_report.passed and any(n.startswith("not tried, for their work") for n in heavy_report.notes)
