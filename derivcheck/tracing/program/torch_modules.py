"""What is known of torch's own modules: the sizes of their parameters, the attributes that repeat them, their inputs.

Sizes are written with names of the module's own (``out``, ``in``); a number is a size that stays.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from derivcheck.errors import InputError

_SizeText = Any  # text, a whole number, or a tuple of them


@dataclass
class KnownSizes:
    """The sizes of a module.

    Attributes:
        sizes: the value of each named size in this module.
        parameters: the dimensions of each parameter and buffer.
        attributes: the attributes that repeat sizes.
        inputs: the last dimensions of forward's arguments where they are known (None: any), for arguments of that rank.
    """

    sizes: dict[str, int]
    parameters: dict[str, tuple[_SizeText, ...]]
    attributes: dict[str, _SizeText] = field(default_factory=dict)
    inputs: dict[str, dict[int, tuple[_SizeText | None, ...]]] = field(default_factory=dict)


# What the leading axes of an input are called, by their number; and the axes of space.
_LEAD: tuple[tuple[_SizeText | None, ...], ...] = ((), ("N",), ("N", "T"), (None, None, None), (None,) * 4)
_AXES = (("T",), ("H", "W"), ("D", "H", "W"))
_SPACE: tuple[tuple[_SizeText | None, ...], ...] = ((), *_AXES)


def known_sizes(m: nn.Module) -> KnownSizes | None:
    """The sizes of one module (not of its children), or None where it is not one of torch's that have any."""
    if not type(m).__module__.startswith("torch.nn."):
        return None
    for kinds, rule in _RULES:
        if isinstance(m, kinds):
            found: KnownSizes | None = rule(m)
            return found
    return None


def _linear(m: Any) -> KnownSizes | None:
    """Sizes of ``nn.Linear``; None for a lazy one, which has none yet."""
    if isinstance(getattr(m, "weight", None), nn.UninitializedParameter):
        return None
    return KnownSizes(
        {"out": m.out_features, "in": m.in_features},
        {"weight": ("out", "in"), "bias": ("out",)},
        {"out_features": "out", "in_features": "in"},
        {"input": {rank: _LEAD[rank - 1] + ("in",) for rank in range(1, 6)}},
    )


def _embedding(m: Any) -> KnownSizes | None:
    return KnownSizes(
        {"V": m.num_embeddings, "E": m.embedding_dim}, {"weight": ("V", "E")}, {"num_embeddings": "V", "embedding_dim": "E"}
    )


def _layer_norm(m: Any) -> KnownSizes | None:
    """Sizes of the dimensions that ``nn.LayerNorm`` and its kin normalise."""
    shape = tuple(m.normalized_shape)
    names = ("C",) if len(shape) == 1 else tuple(f"C{k}" for k in range(len(shape)))
    return KnownSizes(
        dict(zip(names, shape)),
        {"weight": names, "bias": names},
        {"normalized_shape": names},
        {"input": {rank: _LEAD[rank - len(names)] + names for rank in range(len(names), len(names) + 5)}},
    )


def _group_norm(m: Any) -> KnownSizes | None:
    """Sizes of ``nn.GroupNorm``: the channels are the groups times what is in each."""
    g = m.num_groups
    channels = "C" if g == 1 else f"{g}*c"
    return KnownSizes(
        {"C" if g == 1 else "c": m.num_channels // g},
        {"weight": (channels,), "bias": (channels,)},
        {"num_channels": channels},
        {"input": {rank: ("N", channels) + _SPACE[rank - 2] for rank in range(2, 6)}},
    )


def _batch_norm(m: Any) -> KnownSizes | None:
    """Sizes of the batch and instance norms; None for a lazy one."""
    c = ("C",)
    if isinstance(getattr(m, "weight", None), nn.UninitializedParameter):
        return None
    return KnownSizes(
        {"C": m.num_features},
        {"weight": c, "bias": c, "running_mean": c, "running_var": c},
        # without a momentum torch reads a counter's value, for running statistics that the output does not use
        {"num_features": "C"} if m.momentum is not None else {"num_features": "C", "momentum": 0.1},
        {"input": {rank: ("N", "C") + _SPACE[rank - 2] for rank in range(2, 6)}} if "Batch" in type(m).__name__ else {},
    )


def _conv(m: Any) -> KnownSizes | None:
    """Sizes of the convolutions; the kernel's are fixed where padding is worked out from them."""
    if isinstance(getattr(m, "weight", None), nn.UninitializedParameter):
        return None
    g = m.groups
    names = {1: ("k",), 2: ("kh", "kw"), 3: ("kd", "kh", "kw")}[len(m.kernel_size)]
    fixed = isinstance(m.padding, str) or m.padding_mode != "zeros" or m.transposed
    kernel: tuple[_SizeText, ...] = tuple(m.kernel_size) if fixed else names
    sizes = {} if fixed else dict(zip(names, m.kernel_size))
    if g == 1:
        cin, cout, per = "C", "O", "C"
        sizes |= {"C": m.in_channels, "O": m.out_channels}
    else:
        cin, cout, per = f"{g}*c", f"{g}*o", "c"
        sizes |= {"c": m.in_channels // g, "o": m.out_channels // g}
    lead = (cin, "O" if g == 1 else "o") if m.transposed else (cout, per)
    attributes: dict[str, _SizeText] = {"in_channels": cin, "out_channels": cout}
    if not fixed:
        attributes["kernel_size"] = kernel
    rank = len(kernel) + 2
    space = _SPACE[len(kernel)]
    inputs = {"input": {rank: ("N", cin) + space, rank - 1: (cin,) + space}}
    return KnownSizes(sizes, {"weight": (*lead, *kernel), "bias": (cout,)}, attributes, inputs)


def _attention(m: Any) -> KnownSizes | None:
    """Sizes of ``nn.MultiheadAttention``: the embedding is heads times the dimension of each."""
    h = m.num_heads
    e = f"{h}*d" if h > 1 else "d"
    sizes, kv = {"d": m.head_dim}, {"k": e, "v": e}
    if not m._qkv_same_embed_dim:
        sizes |= {"K": m.kdim, "W": m.vdim}
        kv = {"k": "K", "v": "W"}
    return KnownSizes(
        sizes,
        {
            "in_proj_weight": (f"{3 * h}*d", e),
            "in_proj_bias": (f"{3 * h}*d",),
            "q_proj_weight": (e, e),
            "k_proj_weight": (e, kv["k"]),
            "v_proj_weight": (e, kv["v"]),
            "bias_k": (1, 1, e),
            "bias_v": (1, 1, e),
            "out_proj.weight": (e, e),
            "out_proj.bias": (e,),
        },
        {"embed_dim": e, "head_dim": "d", "kdim": kv["k"], "vdim": kv["v"]},
        {
            name: {3: ("N", length, last) if m.batch_first else (length, "N", last), 2: (length, last)}
            for name, length, last in (("query", "T", e), ("key", "S", kv["k"]), ("value", "S", kv["v"]))
        },
    )


def _recurrent(m: Any) -> KnownSizes | None:
    """Sizes of ``nn.RNN``, ``nn.LSTM`` and ``nn.GRU``, whose weights stack the gates."""
    gates = {"LSTM": 4, "GRU": 3}.get(m.mode, 1)
    h = f"{gates}*H" if gates > 1 else "H"
    out = "P" if getattr(m, "proj_size", 0) else "H"
    two = 2 if m.bidirectional else 1
    sizes = {"in": m.input_size, "H": m.hidden_size}
    if out == "P":
        sizes["P"] = m.proj_size
    parameters: dict[str, tuple[_SizeText, ...]] = {}
    for layer in range(m.num_layers):
        for end in ("", "_reverse"):
            inside = "in" if layer == 0 else (out if two == 1 else f"2*{out}")
            parameters |= {
                f"weight_ih_l{layer}{end}": (h, inside),
                f"weight_hh_l{layer}{end}": (h, out),
                f"bias_ih_l{layer}{end}": (h,),
                f"bias_hh_l{layer}{end}": (h,),
                f"weight_hr_l{layer}{end}": ("P", "H"),
            }
    lead = ("N", "T") if m.batch_first else ("T", "N")
    attributes = {"input_size": "in", "hidden_size": "H"} | ({"proj_size": "P"} if out == "P" else {})
    return KnownSizes(sizes, parameters, attributes, {"input": {3: (*lead, "in"), 2: ("T", "in")}})


def _cell(m: Any) -> KnownSizes | None:
    """Sizes of one cell of a recurrence."""
    gates = {"LSTMCell": 4, "GRUCell": 3}.get(type(m).__name__, 1)
    h = f"{gates}*H" if gates > 1 else "H"
    return KnownSizes(
        {"in": m.input_size, "H": m.hidden_size},
        {"weight_ih": (h, "in"), "weight_hh": (h, "H"), "bias_ih": (h,), "bias_hh": (h,)},
        {"input_size": "in", "hidden_size": "H"},
        {"input": {2: ("N", "in"), 1: ("in",)}, "hx": {2: ("N", "H"), 1: ("H",)}},
    )


def _bilinear(m: Any) -> KnownSizes | None:
    return KnownSizes(
        {"out": m.out_features, "I": m.in1_features, "J": m.in2_features},
        {"weight": ("out", "I", "J"), "bias": ("out",)},
        {"out_features": "out", "in1_features": "I", "in2_features": "J"},
    )


_RULES: list[tuple[Any, Callable[[Any], KnownSizes | None]]] = [
    (nn.Linear, _linear),
    (nn.Embedding, _embedding),
    ((nn.LayerNorm, nn.RMSNorm), _layer_norm),
    (nn.GroupNorm, _group_norm),
    (nn.modules.batchnorm._NormBase, _batch_norm),
    (nn.modules.conv._ConvNd, _conv),
    (nn.MultiheadAttention, _attention),
    (nn.RNNBase, _recurrent),
    (nn.RNNCellBase, _cell),
    (nn.Bilinear, _bilinear),
]


# -- inputs where no example is given ---------------------------------------------------------------
def example_inputs(m: nn.Module, forward: Mapping[str, inspect.Parameter], preferred: dict[str, str]) -> dict[str, Any]:
    """Example inputs of a module whose input ranks are known; sizes that it leaves open are as good as any.

    Raises:
        InputError: they are not known.
    """
    found = _shapes(m)
    if found is None:
        raise InputError(
            f"the input dimensions of {type(m).__name__} are not known; give example inputs (its forward takes "
            f"{', '.join(forward) or 'nothing'}) or dims={{'{next(iter(forward), 'input')}': 'N …'}}"
        )
    out: dict[str, Any] = {}
    for name, (shape, names, dtype) in zip(forward, found):
        out[name] = torch.zeros(shape, dtype=dtype)
        for axis, title in enumerate(names):
            if title:
                preferred[f"{name}.{axis}"] = title
    return out


_Shape = tuple[tuple[int, ...], tuple[str, ...], torch.dtype]


def _shapes(m: nn.Module) -> list[_Shape] | None:
    """Shapes that a module of torch's takes, with names for their sizes; None for one that is not known."""
    # example sizes (6, 5, 7, 9) are small and differ, so that none is taken for another
    real = next((p.dtype for p in m.parameters() if p.is_floating_point()), torch.get_default_dtype())
    if isinstance(m, nn.Sequential):
        for child in m:
            return _shapes(child)
        return None
    if isinstance(m, nn.Linear):
        return [((6, m.in_features), ("N", "in"), real)]
    if isinstance(m, nn.Bilinear):
        return [((6, m.in1_features), ("N", "I"), real), ((6, m.in2_features), ("N", "J"), real)]
    if isinstance(m, nn.Embedding):
        return [((6, 5), ("N", "T"), torch.int64)]
    if isinstance(m, (nn.LayerNorm, nn.RMSNorm)):
        return [((6, *m.normalized_shape), ("N",), real)]
    if isinstance(m, nn.GroupNorm):
        return [((6, m.num_channels, 7), ("N", "", "T"), real)]
    if isinstance(m, nn.modules.batchnorm._NormBase):
        rank = 1 if "1d" in type(m).__name__ else 2 if "2d" in type(m).__name__ else 3
        flat = rank == 1 and "Batch" in type(m).__name__
        space: tuple[tuple[int, ...], tuple[str, ...]] = ((), ()) if flat else ((7, 9, 5)[:rank], _AXES[rank - 1])
        return [((6, m.num_features, *space[0]), ("N", "C", *space[1]), real)]
    if isinstance(m, nn.modules.conv._ConvNd):
        rank = len(m.kernel_size)
        reach = [d * (k - 1) + 1 for d, k in zip(m.dilation, m.kernel_size)]
        # the kernel fits several times, and differently along each axis
        space2 = tuple(r + s * (5 + j) for j, (r, s) in enumerate(zip(reach, m.stride)))
        return [((6, m.in_channels, *space2), ("N", "C", *_AXES[rank - 1]), real)]
    if isinstance(m, nn.RNNBase):
        return [
            (
                (6, 5, m.input_size) if m.batch_first else (5, 6, m.input_size),
                ("N", "T", "in") if m.batch_first else ("T", "N", "in"),
                real,
            )
        ]
    if isinstance(m, nn.RNNCellBase):
        return [((6, m.input_size), ("N", "in"), real)]
    if isinstance(m, nn.MultiheadAttention):
        lead, names = ((6, 5), ("N", "T")) if m.batch_first else ((5, 6), ("T", "N"))
        key = ((6, 7), ("N", "S")) if m.batch_first else ((7, 6), ("S", "N"))
        return [((*lead, m.embed_dim), names, real), ((*key[0], m.kdim), key[1], real), ((*key[0], m.vdim), key[1], real)]
    if isinstance(m, nn.TransformerEncoderLayer):
        return [
            (
                (6, 5, m.linear1.in_features) if m.self_attn.batch_first else (5, 6, m.linear1.in_features),
                ("N", "T") if m.self_attn.batch_first else ("T", "N"),
                real,
            )
        ]
    if type(m).__module__ == "torch.nn.modules.activation" and not list(m.children()):
        return [((6, 5), ("N", "M"), real)]
    return None
