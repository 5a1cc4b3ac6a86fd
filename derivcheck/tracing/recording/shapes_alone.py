"""The results of views, products and elementwise functions on tensors without data, without torch's bookkeeping around them.

Where torch's own shape functions are written in C++, they are called; an elementwise function of contiguous numbers of one type
has their broadcast shape and their type.  That takes a quarter of the time; of ``linear`` and ``layer_norm``, whose shape
functions are written in Python, a tenth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, in_kernel_invocation_manager
from torch.utils._mode_utils import no_dispatch

from derivcheck.tracing.recording.fakes import CPU, fake

_NAMES = """view transpose.int permute t unsqueeze squeeze.dim expand slice.Tensor select.int split.Tensor split_with_sizes
clone _unsafe_view linear matmul mm bmm sum.dim_IntList softmax.int log_softmax.int"""


def _overload(name: str) -> Any:
    packet, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.aten, packet), overload or "default")


_ELEMENTWISE = """exp log log2 log1p expm1 sin cos tan asin acos atan sinh cosh tanh sqrt rsqrt abs neg reciprocal sigmoid relu
square erf sign floor ceil sinc silu add.Tensor sub.Tensor mul.Tensor div.Tensor maximum minimum pow.Tensor_Scalar add.Scalar
sub.Scalar mul.Scalar div.Scalar rsub.Scalar clamp clamp_min clamp_max where.self gt.Scalar ge.Scalar lt.Scalar le.Scalar
eq.Scalar ne.Scalar gt.Tensor ge.Tensor lt.Tensor le.Tensor eq.Tensor ne.Tensor gelu masked_fill.Scalar"""

_FUNCTIONS = {_overload(n) for n in _NAMES.split()}
_POINTWISE = {_overload(n): n.partition(".")[0] in ("gt", "ge", "lt", "le", "eq", "ne") for n in _ELEMENTWISE.split()}
_MASKS = {torch.ops.aten.where.self: 0, torch.ops.aten.masked_fill.Scalar: 1}  # which argument is the mask
_LINEAR, _LAYER_NORM, _GELU = (getattr(torch.ops.aten, n).default for n in ("linear", "layer_norm", "gelu"))
_OPTIONS = {"memory_format", "implicit"}
_REAL = (torch.float64, torch.float32)
Found = tuple[tuple[int, ...], torch.dtype]  # of contiguous numbers


def shaped(mode: FakeTensorMode, func: Any, args: Any, kwargs: Any) -> Any:
    """The result of an operator, or NotImplemented where torch's own way is to be taken."""
    rule = _RULES.get(func)
    found = None if rule is None or kwargs and func is not _GELU else rule(func, args)
    if found is not None:
        with torch._C._DisablePythonDispatcher(), no_dispatch():
            return fake(mode, torch.empty(found[0], dtype=found[1], device="meta"))
    if func not in _FUNCTIONS or not _OPTIONS.issuperset(kwargs) or not _all_fake(args):
        return NotImplemented
    if func is _LINEAR and len(args) > 2 and args[0].dim() == 2:  # torch has addmm in Python
        return NotImplemented
    with torch._C._DisablePythonDispatcher(), in_kernel_invocation_manager(mode):
        out = func(*args, **kwargs)
    if isinstance(out, (list, tuple)):
        return type(out)(fake(mode, t) for t in out)
    return fake(mode, out)


def _elementwise(func: Any, args: Any) -> Found | None:
    """The shape and type of an elementwise function; None where torch has to say which (integers, other layouts, types)."""
    shapes, kinds, mask = [], set(), _MASKS.get(func)
    for k, a in enumerate(args):
        if isinstance(a, torch.Tensor):
            if not _in_order(a):
                return None
            shapes.append(tuple(a.shape))
            if k != mask:
                kinds.add(a.dtype)
            elif a.dtype is not torch.bool:
                return None
        elif a is not None and type(a) not in (int, float):
            return None
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind not in _REAL:
        return None
    widest = max(shapes, key=len)
    if any(s != widest for s in shapes):
        widest = tuple(torch.broadcast_shapes(*shapes))  # type: ignore[no-untyped-call]
    return widest, torch.bool if _POINTWISE[func] else kind


def _linear(func: Any, args: Any) -> Found | None:
    """A row per weight; None for what does not fit, of which torch speaks, and other layouts and types."""
    if not _alike(args):
        return None
    x, weight, *bias = (tuple(a.shape) for a in args if a is not None)
    if not x or len(weight) != 2 or x[-1] != weight[1] or any(b != weight[:1] for b in bias):
        return None
    return (*x[:-1], weight[0]), args[0].dtype


def _layer_norm(func: Any, args: Any) -> Found | None:
    """The input's shape; None for what does not fit, of which torch speaks, and other layouts and types."""
    x, shape, *rest = args
    weights = [w for w in rest[:2] if w is not None]
    if not _alike([x, *weights]) or not shape or any(type(n) is not int for n in shape):
        return None
    over = tuple(shape)
    if tuple(x.shape[-len(over) :]) != over or any(tuple(w.shape) != over for w in weights):
        return None
    return tuple(x.shape), x.dtype


def _matmul(func: Any, args: Any) -> Found | None:
    """A product of as many matrices on either side, in a new tensor; None for others, which torch folds or broadcasts."""
    a, b = args
    if not _all_fake(args) or a.dtype is not b.dtype or a.dtype not in _REAL:
        return None
    left, right = tuple(a.shape), tuple(b.shape)
    if len(left) < 3 or len(left) != len(right) or left[:-2] != right[:-2] or left[-1] != right[-2]:
        return None
    return (*left[:-1], right[-1]), a.dtype


def _softmax(func: Any, args: Any) -> Found | None:
    """The input's shape; None for what does not fit, of which torch speaks, and other layouts and types."""
    x, dim, *kind = args
    fits = _alike([x]) and type(dim) is int and -x.dim() <= dim < x.dim() and all(k is None for k in kind)
    return (tuple(x.shape), x.dtype) if fits else None


def _alike(args: Any) -> bool:
    """Whether they are contiguous real numbers of one type."""
    given = [a for a in args if a is not None]
    return all(isinstance(a, torch.Tensor) and _in_order(a) and a.dtype is args[0].dtype for a in given) and (
        args[0].dtype in _REAL
    )


def _in_order(a: torch.Tensor) -> bool:
    """Whether it is a fake tensor on the CPU, and contiguous."""
    return type(a) is FakeTensor and a.fake_device == CPU and a.is_contiguous()


_RULES: dict[Any, Callable[[Any, Any], Found | None]] = {
    **dict.fromkeys(_POINTWISE, _elementwise),
    _LINEAR: _linear,
    _LAYER_NORM: _layer_norm,
    torch.ops.aten.matmul.default: _matmul,
    torch.ops.aten.softmax.int: _softmax,
    torch.ops.aten.log_softmax.int: _softmax,
}


def _all_fake(args: Any) -> bool:
    """Whether there are tensors, all of them fake, on the CPU and none in a list: the shortcut is for those."""
    found = False
    for a in args:
        if isinstance(a, torch.Tensor):
            if type(a) is not FakeTensor or a.fake_device != CPU:
                return False
            found = True
        elif isinstance(a, (list, tuple)) and any(isinstance(v, torch.Tensor) for v in a):
            return False
    return found
