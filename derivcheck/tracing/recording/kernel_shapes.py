"""Shapes that torch's kernels refuse and its shape functions let through: without a look here, a trace would hold for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

aten = torch.ops.aten


def refuse_as_the_kernel(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """Raise RuntimeError where the operator's kernel would, on the shapes of its arguments alone."""
    look = _LOOKS.get(func)
    if look is not None:
        look(*args, **kwargs)


def _rows(x: torch.Tensor, dim: int, index: torch.Tensor, source: torch.Tensor, *rest: Any, **options: Any) -> None:
    """A row of the source per index, each of the shape of one of ``x``."""
    if x.dim() and index.dim() == 1:
        expected = list(x.shape)
        expected[dim] = len(index)
        _equal(source.shape, expected, "the source")


def _placed(x: torch.Tensor, indices: Sequence[torch.Tensor | None], values: torch.Tensor, *rest: Any, **options: Any) -> None:
    """Values that broadcast to what the indices select, and masks of the shape that they mask."""
    axis = 0
    for index in indices:
        masks = index is not None and index.dtype in (torch.bool, torch.uint8)
        width = index.dim() if masks and index is not None else 1
        if masks and index is not None:
            _equal(index.shape, x.shape[axis : axis + width], "the mask")
        axis += width
    if not any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in indices):
        places = [None if i is None else i.to("meta") for i in indices]
        selected = aten.index.Tensor(x.new_empty(x.shape, device="meta"), places)
        torch.broadcast_to(values.to("meta"), selected.shape)


def _diagonal(x: torch.Tensor, source: torch.Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> None:
    _equal(source.shape, x.diagonal(offset, dim1, dim2).shape, "the source")


def _recurrent(
    x: torch.Tensor, states: Any, params: Any, biases: bool, layers: int, dropout: float, train: bool, both: bool, first: bool
) -> None:
    """The states and weights of a recurrent network.  Its kernel does not look at all of them."""
    ways, states = 1 + both, list(states) if isinstance(states, (list, tuple)) else [states]
    given, wide = states[0].shape[-1], states[-1].shape[-1]  # of an LSTM with a projection these differ
    for state, width in zip(states, (given, wide)):
        _equal(state.shape, [layers * ways, x.shape[0 if first else 1], width], "the state")
    each = len(params) // max(1, layers * ways)
    gates = params[0].shape[0]
    if gates % wide:
        raise RuntimeError(f"a weight has {gates} rows, expected a multiple of {wide}")
    for k in range(0, len(params), each):
        inner = x.shape[-1] if k < ways * each else given * ways
        wanted = [[gates, inner], [gates, given], *([[gates]] * 2 if biases else []), [given, wide]][:each]
        for weight, shape in zip(params[k : k + each], wanted):
            _equal(weight.shape, shape, "a weight")


def _bilinear(x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
    """Two inputs that differ in their last dimension alone, and the weight between them."""
    _equal(y.shape[:-1], x.shape[:-1], "the second input")
    _equal(weight.shape[1:], [x.shape[-1], y.shape[-1]], "a weight")
    if bias is not None:
        _equal(bias.shape, weight.shape[:1], "the bias")


def _along_time(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, pad: int = 0) -> None:
    """A sequence and the kernel that moves along it."""
    _equal(x.shape[2:], weight.shape[1:2], "the channels")
    _equal(bias.shape, weight.shape[2:], "the bias")
    if x.shape[0] + 2 * pad < weight.shape[0]:
        raise RuntimeError(f"a kernel of {weight.shape[0]} is longer than {x.shape[0]} with padding {pad}")


def results_alone(func: Any, args: Sequence[Any]) -> Any:
    """The results on tensors without data of an operator whose shape function goes round a loop, as often as a size says; None
    for other operators.  Its shapes are to be looked at before (:func:`refuse_as_the_kernel`)."""
    if func is aten.bilinear.default:
        return args[0].new_empty([*args[0].shape[:-1], args[2].shape[0]])
    if func is aten.conv_tbc.default:
        x, weight, pad = args[0], args[1], args[3] if len(args) > 3 else 0
        return x.new_empty([x.shape[0] + 2 * pad - weight.shape[0] + 1, x.shape[1], weight.shape[2]])
    if _LOOKS.get(func) is not _recurrent:
        return None
    x, states = args[0], list(args[1]) if isinstance(args[1], (list, tuple)) else [args[1]]
    output = x.new_empty([*x.shape[:-1], states[0].shape[-1] * (1 + args[7])])
    return output, *(s.new_empty(s.shape) for s in states)


def _equal(found: Sequence[int], expected: Sequence[int], what: str) -> None:
    if list(found) != list(expected):
        raise RuntimeError(f"{what} has shape {list(found)}, expected {list(expected)}")


_LOOKS: dict[Any, Callable[..., None]] = {
    aten.index_add.default: _rows,
    aten.index_copy.default: _rows,
    aten.index_reduce.default: _rows,
    aten.index_put.default: _placed,
    aten._unsafe_index_put.default: _placed,
    aten.diagonal_scatter.default: _diagonal,
    aten.lstm.input: _recurrent,
    aten.gru.input: _recurrent,
    aten.rnn_tanh.input: _recurrent,
    aten.rnn_relu.input: _recurrent,
    aten.bilinear.default: _bilinear,
    aten.conv_tbc.default: _along_time,
}
