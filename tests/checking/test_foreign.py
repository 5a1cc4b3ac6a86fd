"""A forward that is another function than its reference at data that probes make: nothing is judged there, which is said."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import derivcheck as dc


def turned(x: Tensor) -> Tensor:
    a, b = x.chunk(2, -1)
    return torch.cat([-b, a], -1)


def rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    return x * cos + turned(x) * sin


class Rotary(torch.autograd.Function):
    """As kernels do: it reads the first half of the angles alone, and takes the second to be the same."""

    factor = 1.0

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        c, s = (t.chunk(2, -1)[0].repeat(1, 2) for t in (cos, sin))
        ctx.save_for_backward(c, s)
        return rotary(x, c, s)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        c, s = ctx.saved_tensors
        return Rotary.factor * (g * c - turned(g * s)), None, None


def inputs() -> dict[str, Tensor]:
    angles = torch.linspace(0, 2, 12).reshape(3, 4).repeat(1, 2).double()
    return {"x": torch.randn(3, 8, dtype=torch.float64), "cos": angles.cos(), "sin": angles.sin()}


def test_where_the_forward_is_another_function_nothing_is_judged() -> None:
    report = dc.check(Rotary, inputs(), reference=rotary, wrt=["x"])
    assert report.passed, str(report)
    assert any("not what the reference means" in n for n in report.limits)
    assert not dc.check(Rotary, inputs(), reference=rotary, wrt=["x"], strict=True).passed


def test_a_wrong_backward_of_it_is_found_at_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rotary, "factor", 1 + 1e-9)
    assert dc.check(Rotary, inputs(), reference=rotary, wrt=["x"])["x"].verdict == "wrong"
