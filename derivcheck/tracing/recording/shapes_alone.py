"""The results of views, products and elementwise functions on tensors without data, without torch's bookkeeping around them.

Where torch's own shape functions are written in C++, they are called; an elementwise function of contiguous numbers of one type
has their broadcast shape and their type.  That takes a quarter of the time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, in_kernel_invocation_manager
from torch.utils._mode_utils import no_dispatch

_NAMES = """view transpose.int permute t unsqueeze squeeze.dim expand slice.Tensor select.int split.Tensor split_with_sizes
clone _unsafe_view linear matmul mm bmm sum.dim_IntList softmax.int log_softmax.int"""


def _overload(name: str) -> Any:
    packet, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.aten, packet), overload or "default")


_ELEMENTWISE = """exp log log2 log1p expm1 sin cos tan asin acos atan sinh cosh tanh sqrt rsqrt abs neg reciprocal sigmoid relu
square erf sign floor ceil sinc silu add.Tensor sub.Tensor mul.Tensor div.Tensor maximum minimum pow.Tensor_Scalar add.Scalar
sub.Scalar mul.Scalar div.Scalar rsub.Scalar clamp clamp_min clamp_max where.self gt.Scalar ge.Scalar lt.Scalar le.Scalar
eq.Scalar ne.Scalar gt.Tensor ge.Tensor lt.Tensor le.Tensor eq.Tensor ne.Tensor"""

_FUNCTIONS = {_overload(n) for n in _NAMES.split()}
_POINTWISE = {_overload(n): n.partition(".")[0] in ("gt", "ge", "lt", "le", "eq", "ne") for n in _ELEMENTWISE.split()}
_WHERE = torch.ops.aten.where.self
_LINEAR = torch.ops.aten.linear.default
_OPTIONS = {"memory_format", "implicit"}
_CPU = torch.device("cpu")


def shaped(mode: FakeTensorMode, func: Any, args: Any, kwargs: Any) -> Any:
    """The result of an operator, or NotImplemented where torch's own way is to be taken."""
    if func in _POINTWISE and not kwargs:
        found = _elementwise(func, args)
        if found is not None:
            with torch._C._DisablePythonDispatcher(), no_dispatch():
                return FakeTensor(mode, torch.empty(found[0], dtype=found[1], device="meta"), _CPU)
    if func not in _FUNCTIONS or not _OPTIONS.issuperset(kwargs) or not _all_fake(args):
        return NotImplemented
    if func is _LINEAR and len(args) > 2 and args[0].dim() == 2:  # torch has addmm in Python
        return NotImplemented
    with torch._C._DisablePythonDispatcher(), in_kernel_invocation_manager(mode):
        out = func(*args, **kwargs)
    if isinstance(out, (list, tuple)):
        return type(out)(FakeTensor(mode, t, _CPU) for t in out)
    return FakeTensor(mode, out, _CPU)


def _elementwise(func: Any, args: Any) -> tuple[tuple[int, ...], torch.dtype] | None:
    """The shape and type of an elementwise function; None where torch has to say which (integers, other layouts, types)."""
    shapes, kinds = [], set()
    for a in args:
        if isinstance(a, torch.Tensor):
            if type(a) is not FakeTensor or a.fake_device != _CPU or not a.is_contiguous():
                return None
            shapes.append(tuple(a.shape))
            if func is not _WHERE or len(shapes) > 1:
                kinds.add(a.dtype)
            elif a.dtype is not torch.bool:
                return None
        elif a is not None and type(a) not in (int, float):
            return None
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind not in (torch.float64, torch.float32):
        return None
    widest = max(shapes, key=len)
    if any(s != widest for s in shapes):
        widest = tuple(torch.broadcast_shapes(*shapes))  # type: ignore[no-untyped-call]
    return widest, torch.bool if _POINTWISE[func] else kind


def _all_fake(args: Any) -> bool:
    """Whether there are tensors, all of them fake, on the CPU and none in a list: the shortcut is for those."""
    found = False
    for a in args:
        if isinstance(a, torch.Tensor):
            if type(a) is not FakeTensor or a.fake_device != _CPU:
                return False
            found = True
        elif isinstance(a, (list, tuple)) and any(isinstance(v, torch.Tensor) for v in a):
            return False
    return found
