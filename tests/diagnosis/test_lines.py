"""A line that is named is one that can be repaired alone, and the one that the fix changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import derivcheck as dc


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def layer_norm(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.layer_norm(x, (x.shape[-1],), w, b, 1e-5)


def unbiased(grad_output: Tensor, x: Tensor, w: Tensor, b: Tensor) -> dict[str, Tensor]:
    mu = x.mean(-1, keepdim=True)
    var = x.var(-1, keepdim=True)
    inv = (var + 1e-5).rsqrt()
    hat = (x - mu) * inv
    h = grad_output * w
    dx = (h - h.mean(-1, keepdim=True) - hat * (h * hat).mean(-1, keepdim=True)) * inv
    return {"x": dx, "w": (grad_output * hat).sum(0), "b": grad_output.sum(0)}


def batch_norm(x: Tensor, w: Tensor) -> Tensor:
    m = x.mean((0, 2), keepdim=True)
    return (x - m) / (((x - m) ** 2).mean((0, 2), keepdim=True) + 1e-3).sqrt() * w[:, None]


def counts_the_batch(grad_output: Tensor, x: Tensor, w: Tensor) -> dict[str, Tensor]:
    n, c, length = x.shape
    count = n
    d = x - x.mean((0, 2), keepdim=True)
    std = ((d**2).mean((0, 2), keepdim=True) + 1e-3).sqrt()
    dw = (grad_output * d / std).sum((0, 2))
    inner = count * grad_output - grad_output.sum((0, 2))[:, None] - d / std * dw[:, None]
    return {"x": w[:, None] / (count * std) * inner, "w": dw}


def inverse_deviation(x: Tensor) -> Tensor:
    return (x**2).mean(-1).add(0.01).rsqrt()


def eps_outside(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
    r = 1 / (torch.sqrt((x**2).mean(-1)) + 0.01)
    return {"x": -(grad_output * r**3)[:, None] * x / x.shape[1]}


def rbf(x: Tensor, s: Tensor) -> Tensor:
    return torch.exp(-0.5 * (x**2).sum(-1) * s)


def another_name(grad_output: Tensor, x: Tensor, s: Tensor) -> dict[str, Tensor]:
    square = (x**2).sum(-1)
    g = grad_output
    d = -0.5 * g * s
    return {"x": 2 * x * d[:, None], "s": (-0.5 * g * square).sum()}


def huber(x: Tensor) -> Tensor:
    return torch.where(x.abs() < 0.8, 0.5 * x * x, 0.8 * (x.abs() - 0.4)).sum()


def clamped_at_one(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
    slope = torch.clamp(x, -1.0, 1.0)
    return {"x": grad_output * slope}


def smoothed(z: Tensor, t: Tensor) -> Tensor:
    return F.cross_entropy(z, t, label_smoothing=0.1, reduction="sum")


def not_shared(grad_output: Tensor, z: Tensor, t: Tensor) -> dict[str, Tensor]:
    k = z.shape[1]
    p = torch.softmax(z, 1)
    wanted = F.one_hot(t, k).to(p.dtype) * (1 - 0.1) + 0.1
    return {"z": grad_output * (p - wanted)}


def suffix(a: Tensor) -> Tensor:
    return (torch.cumsum(a, 0) ** 2).sum()


def from_the_wrong_end(grad_output: Tensor, a: Tensor) -> dict[str, Tensor]:
    c = 2 * grad_output * torch.cumsum(a, 0)
    return {"a": c.cumsum(0)}


def bilinear(x: Tensor, w: Tensor, y: Tensor) -> Tensor:
    return torch.einsum("na,oab,nb->no", x, w, y)


def reads_itself(grad_output: Tensor, x: Tensor, w: Tensor, y: Tensor) -> dict[str, Tensor]:
    dy = torch.einsum("no,oab,nb->nb", grad_output, w, y)
    return {"y": dy}


NORMED = {"x": drawn(4, 3), "w": drawn(3), "b": drawn(3) + 1}
LABELLED = {"z": drawn(4, 5), "t": torch.tensor([1, 0, 4, 1])}
PAIR = {"x": drawn(4, 3), "w": drawn(2, 3, 5), "y": drawn(4, 5)}
CASES: list[tuple[Callable[..., Any], dict[str, Tensor], Callable[..., Any], str, str]] = [
    (layer_norm, NORMED, unbiased, "var = ", "unbiased=False"),
    (batch_norm, {"x": drawn(4, 3, 5), "w": drawn(3)}, counts_the_batch, "count = ", "n * length"),
    (inverse_deviation, {"x": drawn(4, 3)}, eps_outside, "r = ", "mean(-1) + 0.01)"),
    (rbf, {"x": drawn(4, 3), "s": drawn(1)[0].exp()}, another_name, "g = ", "exp("),
    (huber, {"x": 2 * drawn(9)}, clamped_at_one, "slope = ", "-0.8, 0.8"),
    (smoothed, LABELLED, not_shared, "wanted = ", "0.1 / k"),
    (suffix, {"a": drawn(6)}, from_the_wrong_end, "return", "c.flip(0).cumsum(0).flip(0)"),
    (bilinear, PAIR, reads_itself, "dy = ", '"no,oab,na->nb", grad_output, w, x'),
]


@pytest.mark.parametrize(("forward", "data", "backward", "line", "new"), CASES, ids=[c[2].__name__ for c in CASES])
def test_the_line_is_that_of_the_fix(
    forward: Callable[..., Any], data: dict[str, Tensor], backward: Callable[..., Any], line: str, new: str
) -> None:
    given = backward(torch.ones_like(forward(**data)), **data)
    bad = [r for r in dc.check(forward, data, backward, wrt=list(given)) if not r.passed]
    fix = bad[0].fix
    assert fix is not None, bad[0].lines
    (edit,) = fix.edits
    assert edit.old.strip().startswith(line) and new in edit.new, edit
    for row in bad:
        assert row.lines[0].line == edit.line and row.lines[0].new == edit.new.strip()
        assert "_bar" not in str(row.diagnosis) and "stands where `dx` is meant" not in str(row.diagnosis)


def test_a_line_that_computes_what_the_forward_does_is_not_named() -> None:
    """Nothing that an edit could make right: all lines from the second on could be repaired alone, the first is right."""

    def f(x: Tensor) -> Tensor:
        e = x.exp()
        return torch.sin(e) * torch.log1p(e)

    def b(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
        e = x.exp()
        c = torch.tanh(3.7 * e) * e.sqrt() - 0.31 * torch.atan(e)
        return {"x": grad_output * c * e}

    row = dc.check(f, {"x": drawn(7)}, b)["x"]
    assert [line.code.split(" ")[0] for line in row.lines] == ["c", "return"]


def grouped(q: Tensor, k: Tensor) -> Tensor:
    return q * k.repeat_interleave(q.shape[0] // k.shape[0], dim=0)


def the_other_way(grad_output: Tensor, q: Tensor, k: Tensor) -> dict[str, Tensor]:
    each, groups = q.shape[0] // k.shape[0], k.shape[0]
    return {"q": grad_output * k.repeat_interleave(each, dim=0), "k": (grad_output * q).reshape(each, groups, -1).sum(0)}


def test_what_fits_at_the_examples_sizes_alone_is_no_fix() -> None:
    """With as many heads in a group as groups another axis looks right; autograd of the forward at other sizes tells."""
    row = dc.check(grouped, {"q": drawn(4, 3), "k": drawn(2, 3)}, the_other_way)["k"]
    assert row.fix is not None and "reshape(groups, each, -1).sum(1)" in row.fix.edits[0].new, row.fix
    assert "q of 8×3" in row.fix.known
    assert all("sum(0)" not in e.new for f in row.fix.alternatives for e in f.edits)


def both(x: Tensor, w: Tensor) -> Tensor:
    return torch.sin(x) * w


def two_mistakes(grad_output: Tensor, x: Tensor, w: Tensor) -> dict[str, Tensor]:
    dx = grad_output * w * torch.sin(x)
    dw = (grad_output * torch.cos(x)).sum(0)
    return {"x": dx, "w": dw}


def test_each_gradient_has_its_own_line() -> None:
    report = dc.check(both, {"x": drawn(4, 3), "w": drawn(3)}, two_mistakes)
    assert report["x"].fix is report["w"].fix is not None
    assert [[line.code.split(" ")[0] for line in report[n].lines] for n in "xw"] == [["dx"], ["dw"]]
    text = str(report)
    assert text.count(Path(__file__).name) == 2, text


class CubedTwice(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * x * g


def test_inputs_that_require_a_gradient_hide_no_fix() -> None:
    report = dc.check(CubedTwice, {"x": drawn(6, 4).requires_grad_()}, order=1)
    assert report["x"].fix is not None and report["x"].lines


def with_two_slopes(x: Tensor, w: Tensor) -> Tensor:
    return torch.tanh(x).sum(-1) * torch.atan(w**3 + w).sum(-1)


def _slope(u: Tensor) -> Tensor:
    return 1 - torch.tanh(u) ** 2


def one_slope_for_both(grad_output: Tensor, x: Tensor, w: Tensor) -> dict[str, Tensor]:
    g = grad_output[:, None]
    a = _slope(x)
    c = _slope(w)
    dx = g * a * torch.atan(w**3 + w).sum(-1, keepdim=True)
    return {"x": dx, "w": g * torch.tanh(x).sum(-1, keepdim=True) * c}


def test_a_helper_that_is_wrong_in_one_of_two_calls_names_the_call() -> None:
    row = dc.check(with_two_slopes, {"x": drawn(4, 3), "w": drawn(4, 3)}, one_slope_for_both)["w"]
    first = one_slope_for_both.__code__.co_firstlineno
    helper = next(line for line in row.lines if line.code.startswith("return 1 -"))
    assert helper.called == (f"{Path(__file__).name}:{first + 3}",)
    assert f"called at {Path(__file__).name}:{first + 3}" in str(helper)
