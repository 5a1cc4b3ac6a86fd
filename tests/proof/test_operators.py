"""Torch operators with the backward as torch code or as a textbook writes it: proved through the trace, for every size."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import derivcheck as dc

Tensor = torch.Tensor
Case = tuple[Callable[..., Any], Any, dict[str, str]]


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def _attention_backward(grad_output: Tensor, q: Tensor, k: Tensor, v: Tensor) -> dict[str, Tensor]:
    scale, length = 1 / math.sqrt(q.shape[-1]), q.shape[-2]
    mask = torch.ones(length, length, dtype=torch.bool).tril()
    p = torch.softmax((q @ k.mT * scale).masked_fill(~mask, float("-inf")), -1)
    dp = grad_output @ v.mT
    ds = p * (dp - (grad_output * (p @ v)).sum(-1, keepdim=True))
    return {"q": ds @ k * scale, "k": ds.mT @ q * scale, "v": p.mT @ grad_output}


def _batch_norm(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, w, b, training=True, eps=1e-5)


def _batch_norm_backward(grad_output: Tensor, x: Tensor, w: Tensor, b: Tensor) -> dict[str, Tensor]:
    n = x.shape[0]
    centred = x - x.mean(0)
    r = 1 / torch.sqrt((centred**2).mean(0) + 1e-5)
    h = centred * r
    dw, db = (grad_output * h).sum(0), grad_output.sum(0)
    return {"w": dw, "b": db, "x": w * r / n * (n * grad_output - db - h * dw)}


def _group_norm(x: Tensor, w: Tensor) -> Tensor:
    return F.group_norm(x, 2, w)


def _group_norm_backward(grad_output: Tensor, x: Tensor, w: Tensor) -> dict[str, Tensor]:
    n, c, length = x.shape
    rows_ = x.reshape(n, 2, -1)
    centred = rows_ - rows_.mean(-1, keepdim=True)
    r = torch.rsqrt((centred**2).mean(-1, keepdim=True) + 1e-5)
    h, g = centred * r, (grad_output * w[:, None]).reshape(n, 2, -1)
    dx = r * (g - g.mean(-1, keepdim=True) - h * (g * h).mean(-1, keepdim=True))
    return {"x": dx.reshape(n, c, length), "w": (grad_output * h.reshape(n, c, length)).sum((0, 2))}


def _cross_entropy_backward(grad_output: Tensor, x: Tensor, t: Tensor) -> dict[str, Tensor]:
    return {"x": grad_output * (torch.softmax(x, -1) - F.one_hot(t, x.shape[1])) / x.shape[0]}


def _embedding_backward(grad_output: Tensor, ids: Tensor, W: Tensor) -> dict[str, Tensor]:
    return {"W": torch.zeros_like(W).index_add(0, ids.reshape(-1), grad_output.reshape(-1, W.shape[1]))}


def _heads(x: Tensor, W: Tensor) -> Tensor:
    b, t, e = x.shape
    return (x @ W).reshape(b, t, 2, -1).transpose(1, 2)


def _heads_backward(grad_output: Tensor, x: Tensor, W: Tensor) -> dict[str, Tensor]:
    g = grad_output.transpose(1, 2).reshape(x.shape)
    return {"x": g @ W.T, "W": torch.einsum("bti,btj->ij", x, g)}


CASES: dict[str, Case] = {
    "relu": (F.relu, lambda grad_output, input: {"input": grad_output * (input > 0)}, {"input": "N"}),
    "leaky_relu": (
        lambda x: F.leaky_relu(x, 0.1),
        lambda grad_output, x: {"x": torch.where(x > 0, grad_output, 0.1 * grad_output)},
        {"x": "N"},
    ),
    "huber_loss": (
        lambda x, t: F.huber_loss(x, t),
        lambda grad_output, x, t: {"x": grad_output * torch.clamp(x - t, -1, 1) / x.numel()},
        {"x": "N", "t": "N"},
    ),
    "kl_div": (
        lambda x, t: F.kl_div(x, t, reduction="batchmean"),
        lambda grad_output, x, t: {"x": -grad_output * t / x.shape[0]},
        {"x": "N C", "t": "N C"},
    ),
    "logsumexp": (
        lambda x: torch.logsumexp(x, -1),
        lambda grad_output, x: {"x": grad_output[:, None] * torch.softmax(x, -1)},
        {"x": "N C"},
    ),
    "cumsum": (
        lambda x: torch.cumsum(x, -1),
        lambda grad_output, x: {"x": grad_output.flip(-1).cumsum(-1).flip(-1)},
        {"x": "N T"},
    ),
    "avg_pool1d": (
        lambda x: F.avg_pool1d(x, 2),
        lambda grad_output, x: {"x": grad_output.repeat_interleave(2, -1) / 2},
        {"x": "N C 2*L"},
    ),
    "normalise": (
        lambda x: x / x.norm(dim=-1, keepdim=True),
        lambda grad_output, x: {
            "x": (grad_output - x * (grad_output * x).sum(-1, keepdim=True) / (x * x).sum(-1, keepdim=True))
            / x.norm(dim=-1, keepdim=True)
        },
        {"x": "N C"},
    ),
    "cross_entropy": (lambda x, t: F.cross_entropy(x, t), _cross_entropy_backward, {"x": "N C", "t": "int<C: N>"}),
    "embedding": (lambda ids, W: F.embedding(ids, W), _embedding_backward, {"ids": "int<V: B T>", "W": "V D"}),
    "batch_norm": (_batch_norm, _batch_norm_backward, {"x": "N C", "w": "C", "b": "C"}),
    "group_norm": (_group_norm, _group_norm_backward, {"x": "N 2*c L", "w": "2*c"}),
    "split heads": (_heads, _heads_backward, {"x": "B T 2*d", "W": "2*d 2*d"}),
    "causal attention": (_attention, _attention_backward, {"q": "B H T D", "k": "B H T D", "v": "B H T D"}),
}


@pytest.mark.parametrize("name", CASES)
def test_proved(name: str) -> None:
    forward, backward, dims = CASES[name]
    proof = dc.prove(forward, backward, dims=dims, time_limit=20)
    assert proof.status == "proved", str(proof)


def test_a_mask_one_place_off_is_refuted() -> None:
    def wrong(grad_output: Tensor, q: Tensor, k: Tensor, v: Tensor) -> dict[str, Tensor]:
        mask = torch.ones(q.shape[-2], q.shape[-2], dtype=torch.bool).tril(1)
        p = torch.softmax((q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~mask, float("-inf")), -1)
        return {"v": p.mT @ grad_output}

    proof = dc.prove(_attention, wrong, dims=dict.fromkeys("qkv", "B H T D"))
    assert proof.status == "refuted" and proof.counterexample is not None
    assert proof.counterexample.sizes["T"] == 2


def test_integer_definitions_in_positions_are_written_out() -> None:
    """Indexing takes negative places: ``at := X - V*(X//V)``, which is X for targets in range."""

    def backward(grad_output: Tensor, C: Tensor, X: Tensor) -> dict[str, Tensor]:
        return {"C": torch.zeros_like(C).index_add(0, X.view(-1), grad_output.reshape(-1, C.shape[1]))}

    proof = dc.prove(lambda C, X: C[X], backward, dims={"C": "V D", "X": "int<V: N B>"})
    assert proof.status == "proved" and "0 ≤ X < V" in proof.conditions
