"""torch's own kernels: what they approximate is said with its size, what is beyond that is wrong and said to be torch's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

import derivcheck as dc
from derivcheck.checking.report.report import Report


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def limits(report: Report) -> str:
    assert report.passed, str(report)
    return " ".join(report.limits)


def test_logits_beyond_ten() -> None:
    data = {"input": 10 * normal(16), "target": (normal(16, seed=1) > 0).double()}
    assert "torch's own: the gradient in input is off by" in limits(dc.check(torch.nn.BCEWithLogitsLoss(), data, wrt=["input"]))

    def off(grad_output: torch.Tensor, input: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"input": grad_output * (torch.sigmoid(input) - target) / 16 * (1 + 1e-9)}

    assert dc.check(torch.nn.BCEWithLogitsLoss(), data, off, wrt=["input"])["input"].verdict == "wrong"


def test_a_sixth_of_float32() -> None:
    """torch's hardsigmoid and hardswish multiply by a sixth that is rounded to float32."""
    report = dc.check(lambda x: F.hardsigmoid(x), {"x": normal(5)})
    assert "torch's own: the gradient in x is off by 3e-08 of the terms" in limits(report)
    assert not dc.check(lambda x: F.hardsigmoid(x), {"x": normal(5)}, strict=True).passed
    hand = dc.check(
        lambda x: F.hardsigmoid(x), {"x": normal(5)}, lambda grad_output, x: {"x": grad_output * (x.abs() < 3) * 0.16666667}
    )
    assert hand["x"].verdict == "wrong", "no code of the user's has a millionth"


@pytest.mark.parametrize("f", [lambda x: torch.digamma(x).sum(), lambda x: torch.polygamma(1, x)])
def test_trigamma_has_nine_digits(f: Any) -> None:
    assert "trigamma has nine digits" in limits(dc.check(f, {"x": normal(5).abs() + 0.5}))


def test_below_the_eps_of_cosine_similarity_torch_is_wrong() -> None:
    report = dc.check(lambda x, y: F.cosine_similarity(x, y), {"x": 1e-9 * normal(2, 3), "y": normal(2, 3, seed=1)})
    row = next(r for r in report if not r.passed)
    assert row.verdict == "wrong" and "torch's own kernel" in row.note


def test_one_tie_of_two_inputs() -> None:
    data = {"a": torch.tensor([0.0, 1.0, 2.0]), "b": torch.tensor([2.0, 1.0, 0.0])}
    for f in (torch.maximum, torch.minimum, torch.fmax):
        assert dc.check(lambda a, b, f=f: f(a, b).sum(), data).passed

    def first(grad_output: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> dict[str, torch.Tensor]:
        more = (a > b).double() + 0.75 * (a == b)
        return {"a": grad_output * more, "b": grad_output * (1.5 - more)}

    assert dc.check(lambda a, b: torch.maximum(a, b).sum(), data, first)["b"].verdict == "wrong"


@pytest.mark.parametrize(
    "f",
    [
        lambda x: torch.kthvalue(x, 2, -1)[0],
        lambda x: torch.median(x, -1)[0],
        lambda x: torch.sort(x, -1)[0],
        lambda x: torch.topk(x, 2, -1)[0],
        lambda x: torch.amax(x, -1),
        lambda x: torch.max(x, -1)[0],
    ],
)
def test_torch_chooses_among_ties(f: Any) -> None:
    report = dc.check(f, {"x": torch.tensor([[1.0, 1.0, 2.0, 0.0], [3.0, 4.0, 4.0, 4.0]])})
    assert report.passed, str(report)


def test_class_weights_are_left_out_of_the_default() -> None:
    data = {"x": normal(3, 4), "t": torch.tensor([1, 2, 0]), "w": normal(4).abs()}
    report = dc.check(lambda x, t, w: F.cross_entropy(x, t, w), data)
    assert report.passed and [r.name for r in report] == ["x"]
    assert "torch cannot differentiate in w: no gradient was asked there" in report.notes

    def hand(grad_output: torch.Tensor, x: torch.Tensor, t: torch.Tensor, w: torch.Tensor) -> dict[str, torch.Tensor]:
        share = w[t] / w[t].sum()
        return {"x": grad_output * share[:, None] * (torch.softmax(x, -1) - F.one_hot(t, x.shape[1]))}

    assert dc.check(lambda x, t, w: F.cross_entropy(x, t, w), data, hand).passed
