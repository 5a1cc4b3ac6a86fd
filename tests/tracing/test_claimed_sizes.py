"""Sizes that a derivation says it holds for: where torch raises or runs other code, the generated code refuses."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

import derivcheck as dc

T = torch.Tensor


def normal(*shape: int) -> T:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def last_of_three(x: T) -> T:
    first, *rest = x.chunk(3)
    return first.sum() + rest[-1].prod()


def padding_alone(x: T) -> T:
    return F.max_pool1d(x[None], 2, 2, padding=1, dilation=2).sum()


@pytest.mark.parametrize(
    "f, size, lacks, holds",
    [
        (last_of_three, 7, 4, 9),  # four elements are two chunks of two
        (lambda x: x.chunk(2)[1].sum(), 6, 1, 3),
        (lambda x: x.split((x.shape[0] + 1) // 2)[1].prod(), 5, 1, 2),
        (lambda x: (x[2] * x[-1]).sum(), 8, 2, 3),
        (lambda x: x[-3] * x[0], 8, 2, 3),
        (lambda x: x[-3:-1].prod(), 6, 2, 3),
        (lambda x: x.tensor_split([2, 5])[1].prod(), 8, 4, 5),
        (lambda x: x.squeeze(0).sum(), 5, 1, 2),
        (lambda x: x.narrow(0, 1, 3).prod(), 8, 3, 4),
        (lambda x: x.unfold(0, 3, 2).sum(), 7, 2, 3),
        (lambda x: x.topk(3)[0].sum(), 7, 2, 3),
        (lambda x: x.kthvalue(3)[0], 7, 2, 3),
        (lambda x: F.pad(x, (-1, -2)).prod(), 7, 2, 3),
        (lambda x: torch.corrcoef(x), 5, 1, 2),
        (lambda x: F.avg_pool1d(x[None], 2).sum(), 8, 1, 2),
        (lambda x: F.max_pool1d(x[None], 3, 2, 0, 1, True).sum(), 8, 1, 2),
        (padding_alone, 9, 1, 2),
        (lambda x: F.interpolate(x[None, None], size=x.shape[0] // 2).sum(), 8, 1, 2),
        (lambda x: (x if math.gcd(x.shape[0], 7) == 7 else 2 * x).sum(), 14, 2, 7),
        (lambda x: (x if x.shape[0] == (x.shape[0] & 12) else 2 * x).sum(), 12, 5, 4),
    ],
)
def test_sizes_that_run_other_code_are_refused(f: Callable[[T], T], size: int, lacks: int, holds: int) -> None:
    run = dc.derive(f, x=normal(size)).compile()
    with pytest.raises(ValueError, match="this was derived for"):
        run(x=normal(lacks))
    x = normal(holds).requires_grad_()
    value, grads = run(x=x.detach())
    torch.testing.assert_close((value, grads["x"]), (f(x), *torch.autograd.grad(f(x), x)))


def test_what_is_written_has_the_shape_of_its_place() -> None:
    run = dc.derive(lambda x, y: x.slice_scatter(y, 0, 1, 5), x=normal(7, 3), y=normal(4, 3)).compile()
    with pytest.raises(ValueError, match="this was derived for"):
        run(x=normal(7, 3), y=normal(3, 3), grad_output=normal(7, 3))


def test_a_summand_that_is_not_read_fits_all_the_same() -> None:
    run = dc.derive(lambda a, x, y: torch.addmm(a, x, y, beta=0), a=normal(2, 5), x=normal(2, 3), y=normal(3, 5)).compile()
    with pytest.raises(ValueError, match="this was derived for"):
        run(a=normal(3, 5), x=normal(2, 3), y=normal(3, 5), grad_output=normal(2, 5))


def test_an_index_beyond_the_end_is_an_error_as_in_torch() -> None:
    run = dc.derive(lambda x, ids: x[ids], x=normal(5, 3), ids=torch.tensor([0, -5])).compile()
    with pytest.raises(IndexError):
        run(x=normal(5, 3), ids=torch.tensor([0, 5]), grad_output=normal(2, 3))


def test_corners_of_one_pixel_are_that_pixel() -> None:
    def f(x: T) -> T:
        return F.interpolate(x, size=(2, 4, 5), mode="trilinear", align_corners=True)

    x = normal(1, 2, 1, 2, 3).requires_grad_()
    up = torch.ones_like(f(x))
    value, grads = dc.derive(f, x=normal(1, 2, 3, 2, 3)).compile()(x=x.detach(), grad_output=up)
    torch.testing.assert_close((value, grads["x"]), (f(x), *torch.autograd.grad(f(x), x, up)))
