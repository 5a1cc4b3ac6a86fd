"""The weight's gradient of a convolution, over large images some rows at a time: what autograd gives."""

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
    "many images at a time, and the rest": (lambda x, w: F.conv2d(x, w, padding=1), (35, 4, 12, 13), (32, 4, 3, 3)),
    "an image at a time": (lambda x, w: F.conv2d(x, w), (3, 5, 50, 47), (22, 5, 3, 2)),
    "some rows at a time, and the rest": (lambda x, w: F.conv2d(x, w, padding=(1, 2)), (2, 16, 31, 30), (16, 16, 3, 5)),
    "strides that leave a rest": (lambda x, w: F.conv2d(x, w, stride=(2, 3), padding=1), (25, 8, 29, 42), (24, 8, 3, 3)),
    "dilated": (lambda x, w: F.conv2d(x, w, dilation=(2, 1), padding=(2, 0)), (8, 8, 24, 26), (24, 8, 3, 3)),
    "of rows": (lambda x, w: F.conv1d(x, w, stride=2, padding=3), (7, 8, 999), (32, 8, 5)),
    "of one row, a part at a time": (lambda x, w: F.conv1d(x, w, dilation=2), (1, 16, 4100), (16, 16, 5)),
    "transposed": (lambda x, w: F.conv_transpose2d(x, w, stride=2, padding=1), (16, 24, 13, 14), (24, 12, 3, 3)),
}


class Products(TorchDispatchMode):
    """Counts products of matrices."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, f: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += f.name() in ("aten::mm", "mkldnn::_linear_pointwise")
        return f(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", CASES)
def test_gradients_are_autograds(name: str, dtype: torch.dtype) -> None:
    f, image, kernel = CASES[name]
    torch.manual_seed(0)
    x, w = (torch.randn(s, dtype=torch.float64) for s in (image, kernel))
    xs, ws = (t.clone().requires_grad_() for t in (x, w))
    value = f(xs, ws)
    up = torch.randn_like(value)
    want = torch.autograd.grad(value, (xs, ws), up)
    d = dc.derive(f, x=torch.randn(2, *image[1:]), w=torch.randn(kernel))
    with Products() as seen:
        _, grads = d.compile()(x=x.to(dtype), w=w.to(dtype), grad_output=up.to(dtype))
    assert seen.count > 1, "this is to be tried on what is computed some rows at a time"
    for found, exact in zip(grads.values(), want, strict=True):
        assert found.dtype is dtype
        torch.testing.assert_close(
            found.double(), exact, rtol=1e-5, atol=(1e-5 if dtype is torch.float32 else 1e-12) * float(exact.abs().max())
        )


def test_an_image_that_is_no_block_of_memory() -> None:
    """Channels last, and a slice of a larger image and of a larger upstream gradient."""
    torch.manual_seed(0)
    d = dc.derive(lambda x, w: F.conv2d(x, w, padding=1), x=torch.randn(2, 4, 8, 8), w=torch.randn(3, 4, 3, 3))
    w = torch.randn(32, 4, 3, 3)
    whole, up = torch.randn(16, 6, 24, 26), torch.randn(16, 32, 20, 42)
    for x in (whole[:, 1:5, 2:22, 3:24], torch.randn(16, 4, 20, 21).contiguous(memory_format=torch.channels_last)):
        xs, ws = x.clone().requires_grad_(), w.clone().requires_grad_()
        value = F.conv2d(xs, ws, padding=1)
        with Products() as seen:
            _, grads = d.compile()(x=x, w=w, grad_output=up[..., ::2])
        assert seen.count
        torch.testing.assert_close(grads["w"], torch.autograd.grad(value, ws, up[..., ::2])[0], rtol=1e-4, atol=1e-3)


def test_on_another_processor_it_is_a_product_of_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels of torch's convolutions are asked for where they are known to be there."""
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "DEFAULT")
    monkeypatch.setattr("torch.ops.mkldnn._linear_pointwise", lambda *_: pytest.fail("it was asked for"), raising=False)
    d = dc.derive(lambda x, w: F.conv2d(x, w, padding=1), x=torch.randn(2, 4, 8, 8), w=torch.randn(3, 4, 3, 3))
    x, w = torch.randn(16, 4, 24, 26), torch.randn(32, 4, 3, 3, requires_grad=True)
    value = F.conv2d(x, w, padding=1)
    _, grads = d.compile()(x=x, w=w.detach(), grad_output=torch.ones_like(value))
    torch.testing.assert_close(grads["w"], torch.autograd.grad(value.sum(), w)[0], rtol=1e-4, atol=1e-2)


def test_through_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is called in the one graph of all sizes, and where something is recorded there are operators that have gradients."""
    compiled = torch.compile
    monkeypatch.setattr("torch.compile", lambda run, **how: compiled(run, **{**how, "backend": "aot_eager"}))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    d = dc.derive(lambda x, w: F.conv2d(x, w, padding=1).tanh(), x=torch.randn(2, 4, 8, 8), w=torch.randn(3, 4, 3, 3))
    run, layer = d.compile(fused=True), d.to_function(fused=True)
    for shape, filters in (((17, 4, 20, 19), 32), ((3, 4, 9, 7), 5)):
        x, w = torch.randn(shape, dtype=torch.float64), torch.randn(filters, 4, 3, 3, dtype=torch.float64)
        xs, ws = x.clone().requires_grad_(), w.clone().requires_grad_()
        up = torch.randn(shape[0], filters, *shape[2:], dtype=torch.float64)
        want = torch.autograd.grad(F.conv2d(xs, ws, padding=1).tanh(), (xs, ws), up)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
            _, grads = run(x=x, w=w, grad_output=up)
        assert "derivcheck::conv_of_batches" in {e.key for e in seen.key_averages()}
        through = torch.autograd.grad(layer.apply(xs, ws), (xs, ws), up)
        for found, other, exact in zip(grads.values(), through, want, strict=True):
            torch.testing.assert_close(found, exact)
            torch.testing.assert_close(other, exact)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 3  # that of both at once, forward, backward
    xs = torch.randn(2, 4, 6, 5, dtype=torch.float64, requires_grad=True)
    ws = torch.randn(3, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    value, grads = run(x=xs, w=ws, grad_output=torch.ones(2, 3, 6, 5, dtype=torch.float64))
    twice = torch.autograd.grad(grads["w"].square().sum(), xs)[0]
    want = torch.autograd.grad(F.conv2d(xs, ws, padding=1).tanh().sum(), ws, create_graph=True)
    torch.testing.assert_close(twice, torch.autograd.grad(want[0].square().sum(), xs)[0])


def test_few_or_small_images_are_one_convolution() -> None:
    """Where products of matrices are slower: no product is made, and the source for people is one convolution in any case."""
    d = dc.derive(lambda x, w: F.conv2d(x, w), x=torch.randn(2, 3, 8, 8), w=torch.randn(2, 3, 3, 3))
    assert "_conv_of_batches" in HELPERS and "_conv_of_batches" not in d.source()
    for image in ((7, 3, 20, 20), (80, 3, 9, 9), (0, 3, 20, 20)):
        x, w = torch.randn(image), torch.randn(2, 3, 3, 3)
        xs, ws = x.clone().requires_grad_(), w.clone().requires_grad_()
        value = F.conv2d(xs, ws)
        with Products() as seen:
            _, grads = d.compile()(x=x, w=w, grad_output=torch.ones_like(value))
        assert seen.count == 0
        torch.testing.assert_close(grads["w"], torch.autograd.grad(value.sum(), ws)[0], rtol=1e-4, atol=1e-3)
