"""Layers with their backwards as people write them, and mistakes that people make: what tests and benchmarks share.

A layer is torch code of named tensors.  Its dimensions have names, so that it can be derived and proved for every size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from derivcheck.notation.program.definitions import Input
from derivcheck.notation.text.dims import parse_input

Tensors = dict[str, Tensor]
EPS = 1e-5


@dataclass(frozen=True)
class Layer:
    """A forward, its right backward, and wrong ones.

    Attributes:
        dims: the dimensions of each input, ``int<V: N`` for integers below V.
        mistakes: what is wrong -> a backward.
    """

    forward: Callable[..., Tensor]
    backward: Callable[..., Tensors]
    dims: Mapping[str, str]
    mistakes: Mapping[str, Callable[..., Tensors]] = field(default_factory=dict)

    @property
    def wrt(self) -> tuple[str, ...]:
        """The inputs that have a gradient."""
        return tuple(n for n, d in self.dims.items() if not d.startswith("int"))

    def data(self, generator: torch.Generator | None = None, dtype: torch.dtype = torch.float64, **sizes: int) -> Tensors:
        """Normal numbers, and integers, at these sizes."""
        generator = generator or torch.Generator().manual_seed(0)
        at = {"N": 5, "in": 3, "out": 2, "D": 4, "V": 7, "T": 5, **sizes}
        return {n: _drawn(parse_input(n, d), at, generator, dtype) for n, d in self.dims.items()}


def _drawn(a: Input, sizes: Mapping[str, int], generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    shape = [p.at(sizes) for p in a.dims]
    if a.below is not None:
        return torch.randint(a.below.at(sizes), shape, generator=generator)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


# -- linear maps ---------------------------------------------------------------------
def linear(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.linear(x, w, b)


def linear_backward(grad_output: Tensor, x: Tensor, w: Tensor, b: Tensor) -> Tensors:
    return {"x": grad_output @ w, "w": grad_output.T @ x, "b": grad_output.sum(0)}


def strides_ignored(grad_output: Tensor, x: Tensor, w: Tensor, b: Tensor) -> Tensors:
    g = torch.as_strided(grad_output, grad_output.shape, (grad_output.shape[1], 1))
    return {"x": g @ w, "w": g.T @ x, "b": g.sum(0)}


def averaged_over_the_batch(grad_output: Tensor, x: Tensor, w: Tensor, b: Tensor) -> Tensors:
    return {"x": grad_output @ w, "w": grad_output.T @ x / x.shape[0], "b": grad_output.mean(0)}


def mse(x: Tensor, w: Tensor, b: Tensor, y: Tensor) -> Tensor:
    return F.mse_loss(F.linear(x, w, b), y)


def mse_backward(grad_output: Tensor, x: Tensor, w: Tensor, b: Tensor, y: Tensor) -> Tensors:
    g = grad_output * 2 * (x @ w.T + b - y) / y.numel()
    return {"x": g @ w, "w": g.T @ x, "b": g.sum(0), "y": -g}


def divided_by_the_batch(grad_output: Tensor, x: Tensor, w: Tensor, b: Tensor, y: Tensor) -> Tensors:
    g = grad_output * 2 * (x @ w.T + b - y) / x.shape[0]
    return {"x": g @ w, "w": g.T @ x, "b": g.sum(0), "y": -g}


def target_minus_prediction(grad_output: Tensor, x: Tensor, w: Tensor, b: Tensor, y: Tensor) -> Tensors:
    return {n: -g for n, g in mse_backward(grad_output, x, w, b, y).items()}


def relu_of_linear(x: Tensor, w: Tensor) -> Tensor:
    return torch.relu(F.linear(x, w))


def relu_of_linear_backward(grad_output: Tensor, x: Tensor, w: Tensor) -> Tensors:
    g = grad_output * (x @ w.T > 0)
    return {"x": g @ w, "w": g.T @ x}


def mask_forgotten(grad_output: Tensor, x: Tensor, w: Tensor) -> Tensors:
    return {"x": grad_output @ w, "w": grad_output.T @ x}


# -- rows ---------------------------------------------------------------------------
def softmax(x: Tensor) -> Tensor:
    return torch.softmax(x, -1)


def softmax_backward(grad_output: Tensor, x: Tensor) -> Tensors:
    p = torch.softmax(x, -1)
    return {"x": p * (grad_output - (p * grad_output).sum(-1, keepdim=True))}


def elementwise(grad_output: Tensor, x: Tensor) -> Tensors:
    p = torch.softmax(x, -1)
    return {"x": grad_output * p * (1 - p)}


def layer_norm(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.layer_norm(x, (x.shape[-1],), w, b, EPS)


def _normalised(x: Tensor) -> tuple[Tensor, Tensor]:
    mean = x.mean(-1, keepdim=True)
    rstd = torch.rsqrt((x - mean).square().mean(-1, keepdim=True) + EPS)
    return (x - mean) * rstd, rstd


def layer_norm_backward(grad_output: Tensor, x: Tensor, w: Tensor, b: Tensor) -> Tensors:
    (xhat, rstd), h = _normalised(x), grad_output * w
    dx = rstd * (h - h.mean(-1, keepdim=True) - xhat * (h * xhat).mean(-1, keepdim=True))
    return {"x": dx, "w": (grad_output * xhat).sum(0), "b": grad_output.sum(0)}


def mean_held(grad_output: Tensor, x: Tensor, w: Tensor, b: Tensor) -> Tensors:
    (xhat, rstd), h = _normalised(x), grad_output * w
    dx = rstd * (h - xhat * (h * xhat).mean(-1, keepdim=True))
    return {"x": dx, "w": (grad_output * xhat).sum(0), "b": grad_output.sum(0)}


def rms_norm(x: Tensor, w: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS) * w


def rms_norm_backward(grad_output: Tensor, x: Tensor, w: Tensor) -> Tensors:
    rrms = torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS)
    xhat, h = x * rrms, grad_output * w
    return {"x": rrms * (h - xhat * (h * xhat).mean(-1, keepdim=True)), "w": (grad_output * xhat).sum(0)}


def sum_in_place_of_a_mean(grad_output: Tensor, x: Tensor, w: Tensor) -> Tensors:
    rrms = torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS)
    xhat, h = x * rrms, grad_output * w
    return {"x": rrms * (h - xhat * (h * xhat).sum(-1, keepdim=True)), "w": (grad_output * xhat).sum(0)}


def gelu(x: Tensor) -> Tensor:
    return F.gelu(x)


def gelu_backward(grad_output: Tensor, x: Tensor) -> Tensors:
    cdf = (1 + torch.erf(x / 2**0.5)) / 2
    return {"x": grad_output * (cdf + x * torch.exp(-x * x / 2) / (2 * torch.pi) ** 0.5)}


def density_forgotten(grad_output: Tensor, x: Tensor) -> Tensors:
    return {"x": grad_output * (1 + torch.erf(x / 2**0.5)) / 2}


def maximum(x: Tensor) -> Tensor:
    return x.max(1).values


def maximum_backward(grad_output: Tensor, x: Tensor) -> Tensors:
    return {"x": torch.zeros_like(x).scatter(1, x.argmax(1, keepdim=True), grad_output[:, None])}


def shared_out(grad_output: Tensor, x: Tensor) -> Tensors:
    return {"x": grad_output[:, None].expand(x.shape) / x.shape[1]}


# -- attention, embeddings ---------------------------------------------------------------
def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.transpose(-1, -2) * 0.25, -1) @ v


def attention_backward(grad_output: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensors:
    P = torch.softmax(q @ k.mT * 0.25, -1)
    dP = grad_output @ v.mT
    dS = P * (dP - (P * dP).sum(-1, keepdim=True)) * 0.25
    return {"q": dS @ k, "k": dS.mT @ q, "v": P.mT @ grad_output}


def scale_forgotten(grad_output: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensors:
    found = attention_backward(grad_output, q, k, v)
    return {**found, "q": 4 * found["q"], "k": 4 * found["k"]}


def embedding(table: Tensor, ids: Tensor) -> Tensor:
    return F.embedding(ids, table)


def embedding_backward(grad_output: Tensor, table: Tensor, ids: Tensor) -> Tensors:
    return {"table": torch.zeros_like(table).index_add_(0, ids, grad_output)}


def last_one_overwrites(grad_output: Tensor, table: Tensor, ids: Tensor) -> Tensors:
    table = torch.zeros_like(table)
    table[ids] = grad_output
    return {"table": table}


LAYERS: dict[str, Layer] = {
    "linear": Layer(
        linear,
        linear_backward,
        {"x": "N in", "w": "out in", "b": "out"},
        {"its strides are ignored": strides_ignored, "averaged over the batch": averaged_over_the_batch},
    ),
    "mse": Layer(
        mse,
        mse_backward,
        {"x": "N in", "w": "out in", "b": "out", "y": "N out"},
        {"divided by the batch": divided_by_the_batch, "target minus prediction": target_minus_prediction},
    ),
    "relu of linear": Layer(
        relu_of_linear, relu_of_linear_backward, {"x": "N in", "w": "out in"}, {"the mask forgotten": mask_forgotten}
    ),
    "softmax": Layer(softmax, softmax_backward, {"x": "N D"}, {"as if elementwise": elementwise}),
    "layer norm": Layer(layer_norm, layer_norm_backward, {"x": "N D", "w": "D", "b": "D"}, {"the mean held": mean_held}),
    "rms norm": Layer(
        rms_norm, rms_norm_backward, {"x": "N D", "w": "D"}, {"a sum in place of a mean": sum_in_place_of_a_mean}
    ),
    "gelu": Layer(gelu, gelu_backward, {"x": "N D"}, {"the density forgotten": density_forgotten}),
    "maximum": Layer(maximum, maximum_backward, {"x": "N D"}, {"shared out": shared_out}),
    "attention": Layer(
        attention, attention_backward, {"q": "N T D", "k": "N T D", "v": "N T D"}, {"the scale forgotten": scale_forgotten}
    ),
    "embedding": Layer(
        embedding, embedding_backward, {"table": "V D", "ids": "int<V: N"}, {"the last one overwrites": last_one_overwrites}
    ),
}


def mistakes() -> list[tuple[Layer, str, Callable[..., Any]]]:
    """Every wrong backward, with what is wrong."""
    return [(layer, what, wrong) for layer in LAYERS.values() for what, wrong in layer.mistakes.items()]
