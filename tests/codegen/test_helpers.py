"""The functions that a generated file may end with, against their definitions, one element at a time."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch

from derivcheck.codegen.file.helpers import HELPERS

scope: dict[str, Any] = {"torch": torch, "math": math}
for _text in HELPERS.values():
    exec(_text, scope)


@pytest.mark.parametrize("step", [1, 2, 3, -1, -2, -3])
def test_window(step):
    for size, start, length in itertools.product(range(5), range(-7, 8), range(5)):
        x = torch.arange(1.0, size + 1).expand(2, size)
        found = scope["_window"](x, 1, start, length, step)
        places = [start + step * i for i in range(length)]
        wanted = [x[0, p].item() if 0 <= p < size else 0.0 for p in places]
        assert found.shape == (2, length) and found[0].tolist() == wanted, (size, start, length)


@pytest.mark.parametrize("stride, dilation, offset", list(itertools.product([1, 2, 3], [1, 2], [-2, -1, 0, 1, 3])))
def test_convolutions(stride, dilation, offset):
    """Both directions, at output sizes below and above the natural one."""
    generator = torch.Generator().manual_seed(0)
    size, kernel = 7, 3
    w = torch.randn(2, 3, kernel, generator=generator, dtype=torch.float64)
    for count in (1, 2, 4, 6):
        x = torch.randn(2, 3, size, generator=generator, dtype=torch.float64)
        wanted = torch.zeros(2, 2, count, dtype=torch.float64)
        y = torch.randn(2, 2, count, generator=generator, dtype=torch.float64)
        back = torch.zeros(2, 3, size, dtype=torch.float64)
        for i, u in itertools.product(range(count), range(kernel)):
            p = stride * i + dilation * u - offset
            if 0 <= p < size:
                wanted[:, :, i] += x[:, :, p] @ w[:, :, u].T
                back[:, :, p] += y[:, :, i] @ w[:, :, u]
        settings = (stride,), (offset,), (dilation,)
        torch.testing.assert_close(scope["_conv"](x, w, (count,), *settings), wanted)
        torch.testing.assert_close(scope["_conv_transpose"](y, w, (size,), *settings), back)


def test_convolutions_of_nothing():
    x, w = torch.zeros(0, 3, 5), torch.zeros(2, 3, 3)
    assert scope["_conv"](x, w, (3,), (1,), (0,), (1,)).shape == (0, 2, 3)
    assert scope["_conv_transpose"](torch.zeros(0, 2, 3), w, (5,), (1,), (0,), (1,)).shape == (0, 3, 5)


def test_divide_as_tensors_do():
    for a, b in [(1, 0), (-1, 0), (0, 0), (3, 2)]:
        wanted = (torch.tensor(float(a)) / b).item()
        found = scope["_divide"](a, b)
        assert found == wanted or math.isnan(found) and math.isnan(wanted)


def test_reads_and_sums_where_there_is_nothing():
    x = torch.zeros(0, 2)
    assert scope["_pick"](x, 0, torch.tensor([0, 0])).tolist() == [[0, 0], [0, 0]]
    assert scope["_pick"](torch.eye(2), 0, torch.tensor([1, 0]), torch.tensor([1, 1])).tolist() == [1, 0]
    assert scope["_accumulate"](x.clone(), (torch.tensor([0]),), torch.ones(1, 2)).shape == (0, 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(0, 3), (5, 0), (4096, 1), (4095, 2), (64, 64, 3), (4100, 16), (4096, 17), (2, 5)])
@pytest.mark.parametrize("keepdim", [False, True])
def test_row_sums(dtype, shape, keepdim):
    """What is infinite or no number stays so, and in its row."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)
    if x.numel() and shape[-1] > 1:
        x[1, ..., 0], x[0, ..., -1] = math.inf, math.nan
    found, wanted = scope["_row_sums"](x, keepdim=keepdim), x.double().sum(-1, keepdim=keepdim)
    assert found.dtype == dtype and found.shape == wanted.shape
    torch.testing.assert_close(
        found.double(), wanted, rtol=1e-2 if dtype == torch.bfloat16 else 1e-5, atol=1e-5, equal_nan=True
    )
    turned = scope["_row_sums"](x.movedim(0, -1), keepdim=keepdim)
    torch.testing.assert_close(
        turned.double(), x.movedim(0, -1).double().sum(-1, keepdim=keepdim), rtol=1e-2, atol=1e-1, equal_nan=True
    )


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("shape", [(0, 0, 0), (1, 1, 1), (3, 2, 4)])
def test_moved(dim, shape):
    x = torch.randn(shape)
    places = torch.arange(shape[dim]).view([-1 if k == dim else 1 for k in range(3)])
    front = torch.randn([1 if k == dim else n for k, n in enumerate(shape)])
    for first in (1, torch.tensor(2.0), front, front[:1] if dim else front[:, :1]):
        wanted = torch.where(places == 0, first, scope["_window"](x, dim, -1, shape[dim]))
        found = scope["_moved"](first, x, dim)
        assert torch.equal(found, wanted)
        assert found is not x
