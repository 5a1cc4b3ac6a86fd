"""Empty tensors: generated code gives what torch gives there (NaN, zeros, nothing), or says for which sizes it was derived."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import derivcheck as dc
from tests.tracing.meant import normal


def linear_and_mse(x: Any, W: Any, y: Any) -> Any:
    return F.mse_loss(F.linear(x, W), y)


def cross_entropy(x: Any, W: Any, t: Any) -> Any:
    return F.cross_entropy(x @ W.T, t)


def attention(q: Any, k: Any, v: Any) -> Any:
    return F.scaled_dot_product_attention(q, k, v)


IDS = torch.zeros(5, dtype=torch.int64)


@pytest.mark.parametrize(
    ("f", "example", "empty"),
    [
        (linear_and_mse, [normal(5, 3), normal(2, 3), normal(5, 2)], [normal(0, 3), normal(2, 3), normal(0, 2)]),
        (lambda x, s: s * x.sum() / x.numel(), [normal(5, 3), normal(2)], [normal(0, 3), normal(2)]),
        (lambda x: x.mean(0), [normal(5, 3)], [normal(0, 3)]),
        (lambda x: x.var(0, correction=0), [normal(5, 3)], [normal(0, 3)]),
        (lambda x: x.var(0), [normal(5, 3)], [normal(1, 3)]),
        (
            lambda x, w, b: F.layer_norm(x, (3,), w, b),
            [normal(5, 3), normal(3), normal(3)],
            [normal(0, 3), normal(3), normal(3)],
        ),
        (lambda x: F.softmax(x, -1), [normal(5, 3)], [normal(2, 0)]),
        (lambda x: F.log_softmax(x, -1), [normal(5, 3)], [normal(2, 0)]),
        (lambda x: x.logcumsumexp(0), [normal(5, 3)], [normal(0, 3)]),
        (lambda x: x.cummax(1)[0], [normal(5, 3)], [normal(3, 0)]),
        (cross_entropy, [normal(5, 3), normal(4, 3), IDS], [normal(0, 3), normal(4, 3), IDS[:0]]),
        (lambda x, w: F.conv2d(x, w), [normal(5, 3, 6, 6), normal(4, 3, 2, 2)], [normal(0, 3, 6, 6), normal(4, 3, 2, 2)]),
        (lambda i, w: F.embedding(i, w), [IDS, normal(7, 3)], [IDS[:0], normal(7, 3)]),
        (lambda x, y: x @ y, [normal(5, 3), normal(3, 2)], [normal(5, 0), normal(0, 2)]),
        (attention, [normal(2, 5, 4), normal(2, 6, 4), normal(2, 6, 4)], [normal(2, 5, 4), normal(2, 0, 4), normal(2, 0, 4)]),
        (lambda x: x.prod(), [normal(5, 3)], [normal(0, 3)]),
    ],
)
@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
def test_an_empty_tensor_is_as_in_torch(f: Callable[..., Any], example: list[torch.Tensor], empty: list[torch.Tensor]) -> None:
    names = f.__code__.co_varnames[: f.__code__.co_argcount]
    run = dc.derive(f, **dict(zip(names, example))).compile()
    leaves = [t.clone().requires_grad_() if t.is_floating_point() else t for t in empty]
    out = f(*leaves)
    wrt = [n for n, t in zip(names, empty) if t.is_floating_point()]
    wanted = torch.autograd.grad(out, [t for t in leaves if t.requires_grad], torch.ones_like(out))
    value, found = run(**dict(zip(names, empty)), grad_output=torch.ones_like(out))
    torch.testing.assert_close(value, out.detach(), equal_nan=True)
    for n, w in zip(wrt, wanted, strict=True):
        torch.testing.assert_close(found[n], w, equal_nan=True)


@pytest.mark.parametrize(
    ("f", "needs"),
    [
        (lambda x: x.var(), r"M\*N >= 1"),
        (lambda x: x.std(0, correction=2), "N >= 2"),
        (lambda x: x.var(0, correction=1.5), "N >= 2"),
        (lambda x: x.logsumexp(0), "N >= 1"),
    ],
)
def test_what_is_too_small_to_mean_something_is_refused(f: Callable[[Any], Any], needs: str) -> None:
    run = dc.derive(f, dims={"x": "N M"}).compile()
    with pytest.raises(ValueError, match=f"this was derived for {needs}; found"):
        run(x=normal(0, 3), grad_output=torch.ones(3))


@pytest.mark.parametrize(
    ("f", "shape", "needs"),
    [
        (lambda x: (x[1:] ** 2).sum(), (0, 3), "N >= 1"),
        (lambda x: (x[:-1] ** 2).mean(), (0, 3), "N >= 1"),  # of nothing that is NaN, and no quotient by -M
        (lambda x: (x[1:] - x[:-1]).abs().sum(), (0, 3), "N >= 1"),
        (lambda x: (x[-31:-1] ** 3).sum(), (0, 3), "N >= "),
        (lambda x: torch.cat([x[1:], x[:-1]]).cumsum(0).sum(), (0, 3), "N >= 1"),
        (lambda x: x.diff(dim=0).sum(), (0, 3), "N >= 1"),
        (lambda x: x.median(), (0, 3), r"M\*N >= 1"),
        (lambda x: torch.cov(x).sum(), (3, 0), "M >= 1"),
    ],
)
def test_sizes_of_nothing_that_are_no_sizes_of_the_code_are_refused(f: Callable[[Any], Any], shape: Any, needs: str) -> None:
    run = dc.derive(f, dims={"x": "N M"}).compile()
    x = normal(5, 4).requires_grad_()
    value, grads = run(x=x.detach())
    torch.testing.assert_close((value, grads["x"]), (f(x), *torch.autograd.grad(f(x), x)))
    with pytest.raises(ValueError, match=f"this was derived for {needs}"):
        run(x=normal(*shape))


@pytest.mark.parametrize(
    ("f", "condition"),
    [
        (lambda x: x[-1:].sum(), ("N >= 1",)),
        (lambda x: (x[-1:5] ** 2).mean(), ("N >= 1",)),
        (lambda x: torch.cat([x[-1:], x]).sum(), ("N >= 1",)),
        (lambda x: x[::2].sum(), ()),
    ],
)
def test_the_last_element_of_nothing_is_none(f: Callable[..., Any], condition: tuple[str, ...]) -> None:
    d = dc.derive(f, x=normal(4, 5))
    assert d.conditions == condition
    empty = normal(0, 5)
    if condition:
        with pytest.raises(ValueError, match="N >= 1; found N = 0"):
            d.compile()(x=empty)
    else:
        assert torch.equal(d.compile()(x=empty)[0], f(empty))
