"""The weight's gradient of a convolution, image by image where the images are large: what autograd gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import derivcheck as dc
from derivcheck.codegen.file.helpers import HELPERS

CASES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], tuple[int, ...], tuple[int, ...]]] = {
    "plain": (lambda x, w: F.conv2d(x, w), (8, 3, 15, 17), (2, 3, 3, 2)),
    "padded": (lambda x, w: F.conv2d(x, w, padding=(1, 2)), (9, 3, 12, 13), (4, 3, 3, 5)),
    "strides that leave a rest": (lambda x, w: F.conv2d(x, w, stride=(2, 3), padding=1), (8, 2, 25, 37), (3, 2, 3, 3)),
    "dilated": (lambda x, w: F.conv2d(x, w, dilation=(2, 1), padding=(2, 0)), (8, 2, 14, 16), (3, 2, 3, 3)),
    "transposed": (lambda x, w: F.conv_transpose2d(x, w, stride=2, padding=1), (8, 2, 13, 12), (2, 3, 3, 3)),
}


class Products(TorchDispatchMode):
    """Counts products of matrices that are added up."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, f: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += f is torch.ops.aten.addmm_.default
        return f(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_autograds(name: str) -> None:
    f, image, kernel = CASES[name]
    torch.manual_seed(0)
    x, w = (torch.randn(s, dtype=torch.float64, requires_grad=True) for s in (image, kernel))
    value = f(x, w)
    up = torch.randn_like(value)
    d = dc.derive(f, x=torch.randn(2, *image[1:]), w=torch.randn(kernel))
    with Products() as seen:
        _, grads = d.compile()(x=x.detach(), w=w.detach(), grad_output=up)
    assert seen.count == image[0], "this is to be tried on what is computed image by image"
    for found, want in zip(grads.values(), torch.autograd.grad(value, (x, w), up), strict=True):
        torch.testing.assert_close(found, want)


def test_few_or_small_images_are_one_convolution() -> None:
    """Where products of matrices are slower: no product is made, and the source for people is one convolution in any case."""
    d = dc.derive(lambda x, w: F.conv2d(x, w), x=torch.randn(2, 3, 8, 8), w=torch.randn(2, 3, 3, 3))
    assert "_conv_of_batches" in HELPERS and "_conv_of_batches" not in d.source()
    for image in ((7, 3, 20, 20), (8, 3, 9, 9), (0, 3, 20, 20)):
        x, w = torch.randn(image), torch.randn(2, 3, 3, 3)
        xs, ws = x.clone().requires_grad_(), w.clone().requires_grad_()
        value = F.conv2d(xs, ws)
        with Products() as seen:
            _, grads = d.compile()(x=x, w=w, grad_output=torch.ones_like(value))
        assert seen.count == 0
        torch.testing.assert_close(grads["w"], torch.autograd.grad(value.sum(), ws)[0], rtol=1e-4, atol=1e-3)
