"""A wrong backward of torch code, named by the report of a check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import derivcheck as dc
from examples.gallery import LAYERS


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def cross_entropy(x: Tensor, t: Tensor) -> Tensor:
    return F.cross_entropy(x, t, ignore_index=2)


def ignored_rows_not_zero(grad_output: Tensor, x: Tensor, t: Tensor) -> dict[str, Tensor]:
    return {"x": grad_output * (x.softmax(-1) - F.one_hot(t, x.shape[1])) / (t != 2).sum()}


def max_pool(x: Tensor) -> Tensor:
    return F.max_pool1d(x, 2)


def every_element_of_the_window(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
    return {"x": grad_output.repeat_interleave(2, -1)}


def half_detached(x: Tensor, w: Tensor) -> Tensor:
    h = x * w
    return (h * h.detach()).sum()


def not_detached(grad_output: Tensor, x: Tensor, w: Tensor) -> dict[str, Tensor]:
    return {"x": 2 * grad_output * x * w * w, "w": (2 * grad_output * x * x * w).sum(0)}


def conv(x: Tensor, w: Tensor) -> Tensor:
    return F.conv2d(x, w, padding=1)


def kernel_not_turned(grad_output: Tensor, x: Tensor, w: Tensor) -> dict[str, Tensor]:
    return {"x": F.conv2d(grad_output, w.transpose(0, 1), padding=1)}


def cumprod(x: Tensor) -> Tensor:
    return torch.cumprod(x, 0)


def twice_the_recurrence(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
    return {"x": 2 * (grad_output * cumprod(x)).flip(0).cumsum(0).flip(0) / x}


def of(layer: str, mistake: str) -> tuple[Callable[..., Any], dict[str, Tensor], Callable[..., Any]]:
    """A layer of the gallery, its data, and a mistake in its backward."""
    return LAYERS[layer].forward, LAYERS[layer].tensors(), LAYERS[layer].mistaken(mistake)


CASES: list[tuple[Callable[..., Any], dict[str, Tensor], Callable[..., Any], str, str]] = [
    (*of("mse", "divided by the batch"), "w", "divided by N, but the mean is over N·out"),
    (*of("softmax", "as if elementwise"), "x", "as if elementwise"),
    (cross_entropy, {"x": drawn(5, 7), "t": torch.tensor([1, 2, 6, 0, 2])}, ignored_rows_not_zero, "x",
     "rows with t[n] = 2 must be 0"),
    (*of("layer norm", "the mean held"), "x", "the path through mean is left out"),
    (*of("linear", "its strides are ignored"), "w", "its strides are ignored"),
    (max_pool, {"x": drawn(2, 3, 6)}, every_element_of_the_window, "x", "every element that best chooses from"),
    (half_detached, {"x": drawn(5, 3), "w": drawn(3)}, not_detached, "x", "detached in the forward, but a gradient flows"),
    (conv, {"x": drawn(2, 3, 6, 5), "w": drawn(4, 3, 3, 3)}, kernel_not_turned, "x", "w is flipped over its last two axes"),
    (cumprod, {"x": drawn(5)}, twice_the_recurrence, "x", "2× too large at every size tried"),
]  # fmt: skip


@pytest.mark.parametrize("forward, inputs, backward, name, says", CASES, ids=[c[2].__name__ for c in CASES])
def test_the_report_names_the_mistake(forward: Any, inputs: Any, backward: Any, name: str, says: str) -> None:
    report = dc.check(forward, inputs, backward)
    assert not report.passed and not report[name].passed
    assert says in str(report[name].diagnosis)
