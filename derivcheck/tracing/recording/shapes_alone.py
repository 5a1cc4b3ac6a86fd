"""The results of views and products on tensors without data, by torch's own shape functions, without its bookkeeping around
them: where they are written in C++, that takes a quarter of the time."""

from __future__ import annotations

from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, in_kernel_invocation_manager

_NAMES = """view transpose.int permute t unsqueeze squeeze.dim expand slice.Tensor select.int split.Tensor split_with_sizes
clone _unsafe_view linear matmul mm bmm softmax.int log_softmax.int"""


def _overload(name: str) -> Any:
    packet, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.aten, packet), overload or "default")


_FUNCTIONS = {_overload(n) for n in _NAMES.split()}
_LINEAR = torch.ops.aten.linear.default
_OPTIONS = {"memory_format", "implicit"}
_CPU = torch.device("cpu")


def shaped(mode: FakeTensorMode, func: Any, args: Any, kwargs: Any) -> Any:
    """The result of an operator, or NotImplemented where torch's own way is to be taken."""
    if func not in _FUNCTIONS or not _OPTIONS.issuperset(kwargs) or not _all_fake(args):
        return NotImplemented
    if func is _LINEAR and len(args) > 2 and args[0].dim() == 2:  # torch has addmm in Python
        return NotImplemented
    with torch._C._DisablePythonDispatcher(), in_kernel_invocation_manager(mode):
        out = func(*args, **kwargs)
    if isinstance(out, (list, tuple)):
        return type(out)(FakeTensor(mode, t, _CPU) for t in out)
    return FakeTensor(mode, out, _CPU)


def _all_fake(args: Any) -> bool:
    found = False
    for a in args:
        if isinstance(a, torch.Tensor):
            if type(a) is not FakeTensor or a.fake_device != _CPU:
                return False
            found = True
        elif isinstance(a, (list, tuple)) and any(isinstance(v, torch.Tensor) for v in a):
            return False
    return found
