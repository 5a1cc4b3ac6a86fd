"""Twenty layers whose generated source is read in review: ``golden/<name>.py`` holds it.

The file needs torch alone: run as a script, it holds each golden file beside it against autograd, whatever the torch.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

GOLDEN = Path(__file__).parent / "golden"


class Layer(NamedTuple):
    """A layer, the named dimensions of its inputs, and sizes to run it at."""

    forward: Callable[..., Tensor]
    dims: dict[str, str]
    sizes: dict[str, int]


def linear_mse(x: Tensor, weight: Tensor, bias: Tensor, target: Tensor) -> Tensor:
    y = F.linear(x, weight, bias)
    return F.mse_loss(y, target)


def mlp(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    h = F.relu(F.linear(x, w1, b1))
    return F.linear(h, w2, b2)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.layer_norm(x, weight.shape, weight, bias, 1e-5)


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    rstd = torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)
    return x * rstd * weight


def batch_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, weight, bias, training=True, eps=1e-5)


def group_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.group_norm(x, 4, weight, bias, 1e-5)


def softmax(x: Tensor) -> Tensor:
    return torch.softmax(x, -1)


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(logits, target, ignore_index=0)


def gelu(x: Tensor) -> Tensor:
    return F.gelu(x)


def sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v)


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.mT / q.shape[-1] ** 0.5
    later = torch.ones(q.shape[-2], q.shape[-2], dtype=torch.bool, device=q.device).triu(1)
    p = torch.softmax(scores.masked_fill(later, float("-inf")), -1)
    return p @ v


def conv2d(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.conv2d(x, weight, bias, padding=1)


def max_pool(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2)


def avg_pool(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2)


def lstm_cell(x: Tensor, h: Tensor, c: Tensor, w_ih: Tensor, w_hh: Tensor, bias: Tensor) -> Tensor:
    gates = F.linear(x, w_ih, bias) + F.linear(h, w_hh)
    i, f, g, o = gates.chunk(4, -1)
    c_next = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c_next)


def gru_cell(x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
    r_x, z_x, n_x = F.linear(x, w_ih, b_ih).chunk(3, -1)
    r_h, z_h, n_h = F.linear(h, w_hh, b_hh).chunk(3, -1)
    reset = torch.sigmoid(r_x + r_h)
    update = torch.sigmoid(z_x + z_h)
    new = torch.tanh(n_x + reset * n_h)
    return (1 - update) * new + update * h


def rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


def swiglu(x: Tensor, w_gate: Tensor, w_up: Tensor, w_down: Tensor) -> Tensor:
    gate = F.linear(x, w_gate)
    up = F.linear(x, w_up)
    return F.linear(F.silu(gate) * up, w_down)


def quaternion(q: Tensor) -> Tensor:
    w, x, y, z = F.normalize(q, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).reshape(-1, 3, 3)


def alpha_compositing(alpha: Tensor, color: Tensor) -> Tensor:
    left = torch.cumprod(1 - alpha, -1)
    transmittance = torch.cat([torch.ones_like(left[:, :1]), left[:, :-1]], -1)
    weight = alpha * transmittance
    return (weight.unsqueeze(-1) * color).sum(1)


LAYERS = {
    "linear_mse": Layer(
        linear_mse, {"x": "N in", "weight": "out in", "bias": "out", "target": "N out"}, {"N": 5, "in": 3, "out": 2}
    ),
    "mlp": Layer(
        mlp, {"x": "N in", "w1": "hidden in", "b1": "hidden", "w2": "out hidden", "b2": "out"},
        {"N": 5, "in": 3, "hidden": 4, "out": 2},
    ),
    "layer_norm": Layer(layer_norm, {"x": "N D", "weight": "D", "bias": "D"}, {"N": 5, "D": 7}),
    "rms_norm": Layer(rms_norm, {"x": "N D", "weight": "D"}, {"N": 5, "D": 7}),
    "batch_norm": Layer(batch_norm, {"x": "N C H W", "weight": "C", "bias": "C"}, {"N": 3, "C": 4, "H": 2, "W": 5}),
    "group_norm": Layer(group_norm, {"x": "N 4*G H W", "weight": "4*G", "bias": "4*G"}, {"N": 3, "G": 2, "H": 2, "W": 5}),
    "softmax": Layer(softmax, {"x": "N K"}, {"N": 5, "K": 7}),
    "cross_entropy": Layer(cross_entropy, {"logits": "N K", "target": "int<K: N"}, {"N": 9, "K": 4}),
    "gelu": Layer(gelu, {"x": "N D"}, {"N": 5, "D": 7}),
    "sdpa": Layer(sdpa, {"q": "B H T d", "k": "B H S d", "v": "B H S e"}, {"B": 2, "H": 3, "T": 4, "S": 5, "d": 6, "e": 7}),
    "causal_attention": Layer(causal_attention, {"q": "B T d", "k": "B T d", "v": "B T d"}, {"B": 2, "T": 5, "d": 3}),
    "conv2d": Layer(
        conv2d, {"x": "N C H W", "weight": "O C 3 3", "bias": "O"}, {"N": 2, "C": 3, "O": 4, "H": 5, "W": 6}
    ),
    "max_pool": Layer(max_pool, {"x": "N C 2*H 2*W"}, {"N": 2, "C": 3, "H": 2, "W": 3}),
    "avg_pool": Layer(avg_pool, {"x": "N C 2*H 2*W"}, {"N": 2, "C": 3, "H": 2, "W": 3}),
    "lstm_cell": Layer(
        lstm_cell,
        {"x": "N in", "h": "N H", "c": "N H", "w_ih": "4*H in", "w_hh": "4*H H", "bias": "4*H"},
        {"N": 5, "in": 3, "H": 4},
    ),
    "gru_cell": Layer(
        gru_cell,
        {"x": "N in", "h": "N H", "w_ih": "3*H in", "w_hh": "3*H H", "b_ih": "3*H", "b_hh": "3*H"},
        {"N": 5, "in": 3, "H": 4},
    ),
    "rope": Layer(rope, {"x": "B T 2*d", "cos": "T d", "sin": "T d"}, {"B": 2, "T": 5, "d": 3}),
    "swiglu": Layer(
        swiglu, {"x": "N D", "w_gate": "F D", "w_up": "F D", "w_down": "D F"}, {"N": 5, "D": 3, "F": 4}
    ),
    "quaternion": Layer(quaternion, {"q": "N 4"}, {"N": 5}),
    "alpha_compositing": Layer(alpha_compositing, {"alpha": "P S", "color": "P S 3"}, {"P": 5, "S": 4}),
}  # fmt: skip


def data(layer: Layer) -> dict[str, Tensor]:
    """Numbers for each input: between 0 and 1 for what is an opacity, integers where the dimensions say so."""
    generator = torch.Generator().manual_seed(0)
    found = {}
    for name, text in layer.dims.items():
        below, _, dims = text.rpartition(":")
        shape = [eval_size(d, layer.sizes) for d in dims.split()]
        if below:
            found[name] = torch.randint(layer.sizes[below.removeprefix("int<")], shape, generator=generator)
        elif name == "alpha":
            found[name] = torch.rand(shape, generator=generator, dtype=torch.float64)
        else:
            found[name] = torch.randn(shape, generator=generator, dtype=torch.float64)
    return found


def eval_size(text: str, sizes: dict[str, int]) -> int:
    """``2*H`` as a number."""
    size = 1
    for part in text.split("*"):
        size *= int(part) if part.isdigit() else sizes[part]
    return size


def disagreement(name: str) -> float:
    """The largest difference between a golden file's value or gradients and autograd's."""
    spec = importlib.util.spec_from_file_location(name, GOLDEN / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    layer = LAYERS[name]
    inputs = data(layer)
    leaves = {n: t.clone().requires_grad_(t.is_floating_point()) for n, t in inputs.items()}
    value = layer.forward(**leaves)
    upstream = torch.linspace(-1, 2, value.numel(), dtype=value.dtype).reshape(value.shape)
    wrt = [n for n, t in leaves.items() if t.requires_grad]
    wanted = torch.autograd.grad(value, [leaves[n] for n in wrt], upstream)
    found, grads = module.forward_and_gradients(**inputs, grad_output=upstream)
    pairs = [(found, value.detach()), *((grads[n], w) for n, w in zip(wrt, wanted))]
    assert all(a.shape == b.shape and a.dtype == b.dtype for a, b in pairs), name
    return max(float((a - b).abs().max()) for a, b in pairs)


if __name__ == "__main__":
    worst = {name: disagreement(name) for name in LAYERS}
    for name, far in worst.items():
        print(f"{name}: {far:.1e}")
    print(f"torch {torch.__version__}: {sum(far < 1e-10 for far in worst.values())} of {len(worst)} agree with autograd")
    raise SystemExit(any(far >= 1e-10 for far in worst.values()))
