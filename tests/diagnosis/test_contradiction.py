"""A sentence holds for what was found, and no simpler one does: candidates that fit the numbers and mislead."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import derivcheck as dc

Given = dict[str, Tensor]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape) + seed))


def film(x: Tensor, gamma: Tensor) -> Tensor:
    return x * (1 + gamma)[:, None, :]


def without_one(grad_output: Tensor, x: Tensor, gamma: Tensor) -> Given:
    return {"x": grad_output * gamma[:, None, :]}


def smoothed(z: Tensor, t: Tensor) -> Tensor:
    return F.cross_entropy(z, t, label_smoothing=0.1)


def plain_labels(grad_output: Tensor, z: Tensor, t: Tensor) -> Given:
    n, k = z.shape
    return {"z": grad_output * (torch.softmax(z, 1) - F.one_hot(t, k)) / n}


def triplet(a: Tensor, p: Tensor, n: Tensor) -> Tensor:
    return F.relu((a - p).square().sum(-1) - (a - n).square().sum(-1) + 1.0).sum()


def one_of_two_distances(grad_output: Tensor, a: Tensor, p: Tensor, n: Tensor) -> Given:
    on = ((a - p).square().sum(-1) - (a - n).square().sum(-1) + 1.0 > 0).to(a)[:, None] * grad_output
    return {"a": on * 2 * (a - p)}


def mse(x: Tensor, w: Tensor, t: Tensor) -> Tensor:
    return ((x @ w.T - t) ** 2).mean()


def the_other_way(grad_output: Tensor, x: Tensor, w: Tensor, t: Tensor) -> Given:
    d = grad_output * 2 * (t - x @ w.T) / t.numel()
    return {"w": d.T @ x}


def banded(x: Tensor) -> Tensor:
    return torch.triu(x, diagonal=1).sin()


def next_diagonal(grad_output: Tensor, x: Tensor) -> Given:
    return {"x": torch.triu(grad_output * torch.cos(x), diagonal=2)}


def adapted(x: Tensor, A: Tensor, B: Tensor) -> Tensor:
    return (x @ A.T @ B.T) * (8.0 / A.shape[0])


def by_another_size(grad_output: Tensor, x: Tensor, A: Tensor, B: Tensor) -> Given:
    k = 8.0 / B.shape[0]
    return {"A": k * (grad_output @ B).T @ x, "B": k * grad_output.T @ (x @ A.T)}


def penalty(lp: Tensor, ref: Tensor) -> Tensor:
    return (torch.exp(ref - lp) - (ref - lp) - 1).mean()


def of_the_ratio_alone(grad_output: Tensor, lp: Tensor, ref: Tensor) -> Given:
    return {"lp": -grad_output / lp.numel() * torch.exp(ref - lp)}


def silu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def slope_of_the_gate(grad_output: Tensor, x: Tensor) -> Given:
    s = torch.sigmoid(x)
    return {"x": grad_output * s * (1 - s)}


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True)


def along_the_input(grad_output: Tensor, x: Tensor) -> Given:
    length = x.norm(dim=-1, keepdim=True)
    y = x / length
    radial = (grad_output * y).sum(-1, keepdim=True)
    return {"x": (grad_output - radial * x) / length}


def batch_norm(x: Tensor) -> Tensor:
    m = x.mean(0)
    return (x - m) / torch.sqrt(((x - m) ** 2).mean(0) + 1e-5)


def centred_alone(grad_output: Tensor, x: Tensor) -> Given:
    m = x.mean(0)
    r = torch.rsqrt(((x - m) ** 2).mean(0) + 1e-5)
    xh = (x - m) * r
    return {"x": r * (grad_output - grad_output.mean(0) - xh * (grad_output * (x - m)).mean(0))}


def gated(x: Tensor, h: Tensor, z: Tensor) -> Tensor:
    return (1 - z) * x + z * h


def each_others(grad_output: Tensor, x: Tensor, h: Tensor, z: Tensor) -> Given:
    return {"x": grad_output * z, "h": grad_output * (1 - z)}


def pooled(x: Tensor) -> Tensor:
    return x.max(1).values


def shared_out(grad_output: Tensor, x: Tensor) -> Given:
    return {"x": grad_output[:, None] * (x > 0)}


def scaled(x: Tensor) -> Tensor:
    return 1.5 * x.tanh()


def scale_forgotten(grad_output: Tensor, x: Tensor) -> Given:
    return {"x": grad_output * (1 - x.tanh() ** 2)}


PAIRS = {"a": drawn(6, 3), "p": drawn(6, 3, seed=1), "n": drawn(6, 3, seed=2)}
LABELLED = {"z": drawn(5, 4), "t": torch.tensor([0, 2, 1, 3, 3])}
CASES: list[tuple[Callable[..., Tensor], Given, Callable[..., Given], str, str]] = [
    (film, {"x": drawn(4, 5, 3), "gamma": drawn(4, 3)}, without_one, "`1 +` is missing", "(1 + gamma[:, None, :])"),
    (smoothed, LABELLED, plain_labels, "not smoothed", "0.9 * F.one_hot(t, k) + 0.1 / k"),
    (triplet, PAIRS, one_of_two_distances, "the path through `a - n`", "(n - p)"),
    (mse, {"x": drawn(4, 3), "w": drawn(2, 3), "t": drawn(4, 2)}, the_other_way, "wrong sign", "(x @ w.T - t)"),
    (banded, {"x": drawn(5, 6)}, next_diagonal, "off by one", "diagonal=1"),
    (adapted, {"x": drawn(4, 5), "A": drawn(2, 5), "B": drawn(3, 2)}, by_another_size, "divided by P, and should be by K",
     "B.shape[1]"),
    (penalty, {"lp": drawn(4, 5), "ref": drawn(4, 5, seed=1)}, of_the_ratio_alone, "the direct path from `ref - lp`",
     "torch.exp(ref - lp) - 1"),
    (silu, {"x": drawn(4, 5)}, slope_of_the_gate, "`1 +` and the factor `x` are missing", "(1 + x * (1 - s))"),
    (unit, {"x": drawn(4, 5)}, along_the_input, "`x` stands where `y` is meant", "radial * y"),
    (batch_norm, {"x": drawn(5, 3)}, centred_alone, "the factor `r` is missing", "r"),
    (gated, {"x": drawn(4, 3), "h": drawn(4, 3, seed=1), "z": drawn(4, 3, seed=2)}, each_others, "the gradient of h",
     '{"x": grad_output * (1 - z), "h": grad_output * z}'),
    (pooled, {"x": drawn(4, 5)}, shared_out, "the ones at each row's largest", "one_hot(x.argmax(-1), x.shape[-1])"),
    (scaled, {"x": drawn(4, 5)}, scale_forgotten, "1.5× too small at every size tried: the factor 3/2 is missing", "1.5"),
]  # fmt: skip


@pytest.mark.parametrize(("forward", "data", "backward", "says", "new"), CASES, ids=[c[2].__name__ for c in CASES])
def test_the_simplest_of_what_explains_it_is_said(
    forward: Callable[..., Tensor], data: Given, backward: Callable[..., Given], says: str, new: str
) -> None:
    wrong = list(backward(torch.ones_like(forward(**data)), **data))
    row = next(r for r in dc.check(forward, data, backward, wrt=wrong) if not r.passed)
    said = str(row.diagnosis)
    assert says in said, said
    assert "and besides" not in said and "exchanged" not in said and "expm1" not in said and len(said) < 200, said
    assert row.fix is not None and any(new in e.new for e in row.fix.edits), row.fix


def test_two_numbers_that_fit_by_chance_are_no_sentence() -> None:
    """``1 - z`` for ``z`` and a sign besides reproduce it: what is missing is the 1 of ``1 + gamma``."""
    data = {"x": drawn(4, 5, 3), "gamma": drawn(4, 3)}
    row = dc.check(film, data, without_one, wrt=["x"])["x"]
    assert "-1 too many" not in f"{row._diagnose(3.0)}"


def log_softmax(x: Tensor) -> Tensor:
    return torch.log_softmax(x, -1)


def one_minus(grad_output: Tensor, x: Tensor) -> Given:
    p = torch.softmax(x, -1)
    return {"x": grad_output * (1 - p)}


def test_a_fix_that_divides_by_what_may_be_zero_is_none() -> None:
    """``p * grad_output.sum() / grad_output`` would do, but where the upstream gradient is 0."""
    fix = dc.check(log_softmax, {"x": drawn(4, 5)}, one_minus)["x"].fix
    assert fix is not None and not fix.alternatives and "/ grad_output" not in fix.edits[0].new, fix


def test_what_a_function_around_holds_may_be_taken_away() -> None:
    """Without its last use the function has a cell fewer than it was made with; "divided by it" would be no simpler."""
    scale, x = 1.5, torch.randn(3, dtype=torch.float64)

    def written(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
        return {"x": grad_output * torch.cos(x) * scale}

    def inside(x: Tensor) -> Tensor:
        return torch.sin(x)

    for backward in (written, lambda grad_output, x: {"x": grad_output * torch.cos(x) * scale}):
        row = dc.check(inside, {"x": x}, backward)["x"]
        assert "the factor `scale` is one too many" in str(row.diagnosis)
        assert row.fix is not None and row.fix.status == "proved"
        assert all("scale" in e.old and "scale" not in e.new for e in row.fix.edits)
