"""Rows met through torch's own functions, whose Python and shape checks stand between the user and the operator."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

import derivcheck as dc

IDS = torch.randint(10, (4, 6), generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([7, 7])
T = torch.Tensor


def normal(*shape: int) -> T:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_bags_of_one_size_are_a_plain_sum() -> None:
    d = dc.derive(lambda w, ids: F.embedding_bag(ids, w, mode="mean"), w=normal(10, 3), ids=IDS)
    (mean,) = d.program.definitions
    assert "ids[a, i]" in str(mean.term) and "[i " not in str(mean.term)  # no condition that says which bag i is in


@pytest.mark.parametrize(
    "f, others",
    [
        (lambda x: torch.cov(x), {}),
        (lambda x: torch.corrcoef(x), {}),
        (lambda x, ids: F.embedding_bag(ids, x, padding_idx=-2), {"ids": IDS}),
        (lambda x, ids, at: F.embedding_bag(ids, x, at, mode="max"), {"ids": IDS.flatten(), "at": torch.tensor([0, 9, 9, 20])}),
        (lambda x, times: x.repeat_interleave(times, 0, output_size=12), {"times": torch.tensor([1, 0, 3] + [1] * 6 + [2])}),
    ],
)
def test_gradients_are_autograds(f: Callable[..., T], others: dict[str, T]) -> None:
    x = normal(10, 3).requires_grad_()
    value = f(x, **others)
    up = torch.randn_like(value)
    found, grads = dc.derive(f, x=x.detach(), **others).compile()(x=x.detach(), **others, grad_output=up)
    torch.testing.assert_close((found, grads["x"]), (value, *torch.autograd.grad(value, x, up)))


@pytest.mark.parametrize(
    "f, message",
    [
        (lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.1), r"it is random\. Pass dropout_p=0\.0, or write"),
        (lambda x: F.ctc_loss(x, IDS[:2, :3], LENGTHS, LENGTHS), r"ctc_loss.* sums over alignments .* with torch\.logaddexp"),
        (lambda x: x.as_strided((2, 2), (1, 2)), r"as_strided.* reads the memory behind a tensor.* Use unfold"),
        (lambda x: x.repeat_interleave(LENGTHS, 1), r"repeat_interleave.* depends on the data\. Give output_size\."),
    ],
)
def test_what_is_refused_says_what_to_do(f: Callable[[T], T], message: str) -> None:
    with pytest.raises(dc.UnsupportedOperation, match=message):
        dc.derive(f, x=normal(7, 2, 5))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: torch.where(x != x, 0.0, x),
        lambda x: torch.where(x == -torch.inf, 0.0, x),
        lambda x: torch.where(x <= -torch.inf, 0.0, x),
        lambda x: torch.where(x.isinf(), 0.0, x),
        lambda x: x.nanmean(),
    ],
)
def test_what_is_no_finite_number_is_seen(f: Callable[[T], T]) -> None:
    run = dc.derive(f, x=normal(4)).compile()
    for values in ([1.0, torch.nan, -2.0], [0.0, torch.inf, -torch.inf], [-1.0, -0.0, 0.0]):
        x = torch.tensor(values, dtype=torch.float64)
        value, _ = run(x=x, grad_output=torch.ones_like(f(x)))
        torch.testing.assert_close(value, f(x), equal_nan=True)


def test_nothing_times_a_logarithm_is_nothing() -> None:
    x, y = torch.tensor([0.0, 0.0, 2.0, 1.0]).double(), torch.tensor([0.0, -1.0, 3.0, 0.0]).double()
    run = dc.derive(lambda x, y: torch.xlogy(x, y), x=x, y=y).compile()
    value, grads = run(x=x, y=y, grad_output=torch.ones_like(x))
    a, b = x.requires_grad_(), y.requires_grad_()
    wanted = torch.xlogy(a, b)
    torch.testing.assert_close(value, wanted)
    torch.testing.assert_close(grads["x"], torch.autograd.grad(wanted.sum(), a)[0])


def test_small_integers_are_said_not_to_overflow() -> None:
    d = dc.derive(lambda x, i: x * (i + i), x=normal(3), i=torch.tensor([200, 1, 2], dtype=torch.uint8))
    assert "assumes no uint8 overflows" in str(d)
    assert "overflows" not in str(dc.derive(lambda x, i: x * (i + i), x=normal(3), i=torch.tensor([200, 1, 2])))


def test_values_put_at_indices_are_as_many_as_the_indices() -> None:
    def f(x: T, ids: T, v: T) -> T:
        return x.index_put((ids,), v, accumulate=True)

    assert dc.derive(f, x=normal(5, 3), ids=IDS[0, :4] % 5, v=normal(4, 3)).program.argument("v").dims[0].sizes() == {"K"}
    with pytest.raises(dc.InputError, match="Give dimensions that must be equal the same name"):
        dc.derive(f, dims={"x": "N d", "ids": "int<N: K", "v": "M d"})


@pytest.mark.parametrize(
    "f",
    [
        lambda x: torch.diag(x @ x.T, x.shape[0] // 2),
        lambda x: torch.diagonal(x, x.shape[1] - x.shape[0]),
        lambda x: torch.diag(x[0], x.shape[0]),
        lambda x: torch.diag(x[:, 0], -x.shape[1]),
        lambda x: torch.diag_embed(x, x.shape[1] - 2),
        lambda x: torch.diagonal_scatter(x.new_zeros(x.shape[0], x.shape[0] + x.shape[1]), x[:, 0], x.shape[1] // 2),
    ],
)
def test_a_diagonal_may_start_at_a_size(f: Callable[[T], T]) -> None:
    d = dc.derive(f, x=torch.randn(6, 3, dtype=torch.float64))
    for shape in ((6, 3), (7, 4), (5, 9)):
        x = torch.randn(*shape, dtype=torch.float64, requires_grad=True)
        y = f(x)
        g = torch.randn_like(y)
        value, grads = d.compile()(x=x.detach(), grad_output=g)
        assert torch.allclose(value, y) and torch.allclose(grads["x"], torch.autograd.grad(y, x, g)[0])
