"""Where what is left out of the terms is no number, torch has NaN: that is refused, or its sizes are excluded."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import derivcheck as dc
from tests.tracing.meant import normal

T = torch.Tensor


def nothing_left(x: T) -> T:
    x = x[:, x.shape[0] // 2 : -64].flatten().reshape(-1, 1)
    return (x**2).mean()


NAN = [
    nothing_left,
    lambda x: (x * 0 * float("inf")).sum(),
    lambda x: (x * 0).sum() * torch.tensor(0.0).log(),
    lambda x: (x * 0).sum() * torch.log(x.sum() * 0),
    lambda x: (x * 0).sum() * torch.tensor([1.0, float("inf")], dtype=x.dtype),
    lambda x: (x * 0 / 0).sum(),
    lambda x: x.sum() / 0 * 0,
    lambda x: x.sum() + x[:, : x.shape[1] - x.shape[1]].mean(dim=1).sum() * 0,
    lambda x: x.sum() + (x * 0 - 1).sqrt().sum() * 0,
    lambda x: (x * 0 / torch.arange(x.shape[1])).sum(),
]


@pytest.mark.parametrize("f", NAN)
@pytest.mark.parametrize("given", [{"x": normal(3, 7)}, {"dims": {"x": "N M"}}])
def test_what_is_nan_whatever_the_inputs_are_is_refused(f: Callable[[T], T], given: dict[str, object]) -> None:
    assert f(normal(3, 7)).isnan().any()
    with pytest.raises(dc.UnsupportedOperation, match=r"at test_left_out\.py:\d+ cannot be derived: it is NaN"):
        dc.derive(f, **given)


@pytest.mark.parametrize(
    ("f", "holds", "lacks"),
    [
        (lambda x: (x * 0).sum() / (x.shape[0] - 1), 3, 1),
        (lambda x: x[: x.shape[0] - 1].mean() * 0, 3, 1),
        (lambda x: (0 * x).mean(), 3, 0),
        (lambda x: x.mean() * 0, 3, 0),
        (lambda x: (x * (x.shape[0] % 1)).mean(), 3, 0),
    ],
)
def test_sizes_at_which_it_is_nan_are_excluded(f: Callable[[T], T], holds: int, lacks: int) -> None:
    run = dc.derive(f, dims={"x": "N M"}).compile()
    x = normal(holds, 2).requires_grad_()
    value, grads = run(x=x.detach())
    torch.testing.assert_close((value, grads["x"]), (f(x), *torch.autograd.grad(f(x), x)))
    assert f(normal(lacks, 2)).isnan()
    with pytest.raises(ValueError, match="this was derived for"):
        run(x=normal(lacks, 2))


@pytest.mark.parametrize("f", [lambda x: x.sum() / 0, lambda x: x.sum() / (x.shape[0] - x.shape[0]), lambda x: x[:0].mean()])
def test_what_is_not_left_out_is_as_in_torch(f: Callable[[T], T]) -> None:
    x = normal(3, 7).requires_grad_()
    value, grads = dc.derive(f, x=x.detach()).compile()(x=x.detach())
    torch.testing.assert_close((value, grads["x"]), (f(x), *torch.autograd.grad(f(x), x)), equal_nan=True)


def test_a_root_and_its_quotient_are_left_out_at_no_size() -> None:
    assert dc.derive(lambda x: x / x.shape[0] ** 0.5 + 0 * x, x=normal(3, 7)).conditions == ()


def test_what_is_only_compared_may_be_infinite() -> None:
    mask = torch.tensor([0.0, -torch.inf], dtype=torch.float64)
    run = dc.derive(lambda x: torch.where(mask == -torch.inf, 0.0, x), x=normal(2)).compile()
    x = normal(2)
    assert torch.equal(run(x=x, grad_output=x)[0], torch.where(mask == -torch.inf, 0.0, x))
