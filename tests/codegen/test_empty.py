"""Gradients of no elements, or sums of none: what torch gives, where a mean of none would make it NaN."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import derivcheck as dc
from derivcheck.codegen.file.load import load

Shapes = dict[str, tuple[int, ...]]


def batch_norm(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, w, b, training=True)


def written_out(x: Tensor, w: Tensor) -> Tensor:
    """A batch norm of a user's own."""
    centred = x - x.mean(0)
    return w * centred / (centred.square().mean(0) + 1e-3).sqrt()


def group_norm(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.group_norm(x, 2, w, b)


def distances(x: Tensor, y: Tensor) -> Tensor:
    return torch.cdist(x, y)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, mask)


ATTENTION = {"q": (2, 5, 4), "k": (2, 7, 4), "v": (2, 7, 6)}
NORM = {"x": (4, 6, 5), "w": (6,), "b": (6,)}
CASES: dict[str, tuple[Callable[..., Tensor], Shapes, Shapes]] = {
    "batch norm of no rows": (batch_norm, NORM, {"x": (0, 6, 5)}),
    "batch norm of no places": (batch_norm, NORM, {"x": (4, 6, 0)}),
    "written out": (written_out, {"x": (4, 3), "w": (3,)}, {"x": (0, 3)}),
    "group norm of no rows": (group_norm, NORM, {"x": (0, 6, 5)}),
    "layer norm of no rows": (
        lambda x, w, b: F.layer_norm(x, (6,), w, b),
        {"x": (4, 6), "w": (6,), "b": (6,)},
        {"x": (0, 6)},
    ),
    "instance norm of no places": (
        lambda x, w, b: torch.instance_norm(x, w, b, None, None, True, 0.1, 1e-5, False),
        NORM,
        {"x": (4, 6, 0)},
    ),
    "attention over no features": (attention, ATTENTION, {"q": (2, 5, 0), "k": (2, 7, 0)}),
    "attention over no features, masked": (attention, {**ATTENTION, "mask": (5, 7)}, {"q": (2, 5, 0), "k": (2, 7, 0)}),
    "distances from none": (distances, {"x": (4, 3), "y": (5, 3)}, {"x": (0, 3)}),
    "distances to none": (distances, {"x": (4, 3), "y": (5, 3)}, {"y": (0, 3)}),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("way", ["source", "compiled", "layer"])
def test_gradients_are_torchs(name: str, way: str) -> None:
    f, shapes, empty = CASES[name]
    torch.manual_seed(0)
    d = dc.derive(f, **{n: torch.randn(s, dtype=torch.float64) for n, s in shapes.items()})
    xs = {n: torch.randn(s, dtype=torch.float64, requires_grad=True) for n, s in {**shapes, **empty}.items()}
    value = f(**xs)
    up = torch.randn_like(value)
    want = torch.autograd.grad(value, list(xs.values()), up)
    if way == "layer":
        have = torch.autograd.grad(d.to_function().apply(*xs.values()), list(xs.values()), up)
    else:
        run = d.compile() if way == "compiled" else load(d.source())
        have = tuple(run(**{n: t.detach() for n, t in xs.items()}, grad_output=up)[1].values())
    for h, w in zip(have, want, strict=True):
        torch.testing.assert_close(h, w)


def test_the_mean_of_nothing_is_no_number() -> None:
    """What torch's forward says is not mended: the value is NaN."""
    d = dc.derive(lambda x, w: w * x.mean(0) * x.sum(0), x=torch.randn(4, 3), w=torch.randn(3))
    given = {"x": torch.zeros(0, 3), "w": torch.ones(3)}
    value, grads = d.compile()(**given, grad_output=torch.ones(3))
    assert value.isnan().all() and grads["w"].isnan().all()


def test_a_weighted_mean_of_nothing_is_no_number() -> None:
    """A mean that is no ``.mean()``: its weights are fewer than its terms, and it is a product of them with a sum."""
    d = dc.derive(lambda x, t, w: F.binary_cross_entropy(x, t, w), x=torch.rand(4, 3), t=torch.rand(4, 3), w=torch.rand(3))
    value, grads = d.compile()(x=torch.zeros(0, 3), t=torch.zeros(0, 3), w=torch.ones(3))
    assert value.isnan() and grads["x"].shape == (0, 3)


@pytest.mark.parametrize("start", [0, 1, 2])
@pytest.mark.parametrize("step", [2, 3])
def test_a_part_in_steps_may_have_nothing(start: int, step: int) -> None:
    """Its end is not one behind the last, which Python takes for a place before the end."""
    f = lambda x: x[:, start : start + 2 * (x.shape[0] - 1) : step] ** 2  # noqa: E731
    d = dc.derive(f, x=torch.randn(4, 9))
    for rows in (1, 2, 3, 4):
        x = torch.randn(rows, 9, requires_grad=True)
        value = f(x)
        for run in (d.compile(), load(d.source())):
            found, grads = run(x=x.detach(), grad_output=torch.ones_like(value))
            torch.testing.assert_close(found, value.detach())
            torch.testing.assert_close(grads["x"], torch.autograd.grad(value.sum(), x, retain_graph=True)[0])


@pytest.mark.parametrize("start", [0, 1])
def test_every_other_of_nothing(start: int) -> None:
    """The same where the part surely lies inside, and is a slice."""
    d = dc.derive(f"y[n < N] := x[2*n + {start}]^2", dims={"x": "2*N + 3"})
    assert ": 2]" in d.source() and "_window" not in d.source()
    for n in (0, 1, 3):
        x = torch.randn(2 * n + 3, requires_grad=True)
        want = x[start : 2 * n + start : 2] ** 2
        for run in (d.compile(), load(d.source())):
            value, grads = run(x=x.detach(), grad_output=torch.ones(n))
            torch.testing.assert_close(value, want.detach())
            torch.testing.assert_close(grads["x"], torch.autograd.grad(want.sum(), x, retain_graph=True)[0])


def test_a_condition_divides_by_a_size_that_may_be_0() -> None:
    """Whether it holds there cannot be asked."""
    d = dc.derive("y[k] := [k//M >= 1]*x[k]/M + sum(m: w[m])", dims={"x": "K", "w": "M"})
    x, w = torch.randn(6), torch.randn(3)
    for run in (d.compile(), load(d.source())):
        value, grads = run(x=x, w=w, grad_output=torch.ones(6))
        torch.testing.assert_close(value, torch.cat((torch.zeros(3), x[3:] / 3)) + w.sum())
        torch.testing.assert_close(grads["x"], torch.tensor([0.0, 0, 0, 1, 1, 1]) / 3)


def test_it_is_written_only_where_an_output_needs_it() -> None:
    d = dc.derive(lambda x, w, b: F.layer_norm(x, (6,), w, b), x=torch.randn(4, 6), w=torch.randn(6), b=torch.randn(6))
    assert "torch.zeros" not in d.source()
