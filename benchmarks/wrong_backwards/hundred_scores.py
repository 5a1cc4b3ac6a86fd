"""Wrong backwards of softmax, positions and biases of attention."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from benchmarks.wrong_backwards.mistake import Mistake, layer, randn
from examples.gallery.attention import rotate_halves


def tempered_softmax(x):
    return torch.softmax(x / 0.7, dim=-1)


def tempered_softmax_without_the_temperature(grad_output, x):
    p = torch.softmax(x / 0.7, dim=-1)
    inner = (grad_output * p).sum(-1, keepdim=True)
    dx = p * (grad_output - inner)
    return {"x": dx}


def tempered_softmax_sums_over_the_rows(grad_output, x):
    p = torch.softmax(x / 0.7, dim=-1)
    inner = (grad_output * p).sum(0, keepdim=True)
    dx = p * (grad_output - inner) / 0.7
    return {"x": dx}


def log_probabilities(x):
    return F.log_softmax(x, dim=1)


def log_probabilities_without_the_exponential(grad_output, x):
    logp = F.log_softmax(x, dim=1)
    total = grad_output.sum(dim=1, keepdim=True)
    return {"x": grad_output - logp * total}


def log_probabilities_average_the_upstream(grad_output, x):
    logp = F.log_softmax(x, dim=1)
    total = grad_output.mean(dim=1, keepdim=True)
    return {"x": grad_output - logp.exp() * total}


def rotary_turns_forward_again(grad_output, x, angle):
    cos, sin = angle.cos(), angle.sin()
    x1, x2 = x.chunk(2, dim=-1)
    g1, g2 = grad_output.chunk(2, dim=-1)
    dx1 = g1 * cos - g2 * sin
    dx2 = g2 * cos - g1 * sin
    dangle = g2 * (x1 * cos - x2 * sin) - g1 * (x2 * cos + x1 * sin)
    return {"x": torch.cat([dx1, dx2], dim=-1), "angle": dangle}


def rotary_angle_exchanges_sine_and_cosine(grad_output, x, angle):
    cos, sin = angle.cos(), angle.sin()
    x1, x2 = x.chunk(2, dim=-1)
    g1, g2 = grad_output.chunk(2, dim=-1)
    dx1 = g1 * cos + g2 * sin
    dx2 = g2 * cos - g1 * sin
    dangle = g2 * (x1 * sin - x2 * cos) - g1 * (x2 * cos + x1 * sin)
    return {"x": torch.cat([dx1, dx2], dim=-1), "angle": dangle}


def biased_scores(q, k, slope):
    t = q.shape[1]
    distance = (torch.arange(t)[None, :] - torch.arange(t)[:, None]).abs().to(q.dtype)
    scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[2])
    return torch.softmax(scores - slope[:, None, None] * distance, dim=-1)


def biased_scores_slope_has_the_wrong_sign(grad_output, q, k, slope):
    t = q.shape[1]
    positions = torch.arange(t)
    distance = (positions[None, :] - positions[:, None]).abs().to(q.dtype)
    scale = 1 / math.sqrt(q.shape[2])
    p = torch.softmax(scale * q @ k.transpose(1, 2) - slope[:, None, None] * distance, dim=-1)
    dlogits = p * (grad_output - (grad_output * p).sum(-1, keepdim=True))
    dslope = (dlogits * distance).sum((1, 2))
    dscores = dlogits * scale
    return {"q": dscores @ k, "k": dscores.transpose(1, 2) @ q, "slope": dslope}


def biased_scores_distance_without_the_absolute_value(grad_output, q, k, slope):
    t = q.shape[1]
    positions = torch.arange(t)
    distance = (positions[None, :] - positions[:, None]).to(q.dtype)
    scale = 1 / math.sqrt(q.shape[2])
    p = torch.softmax(scale * q @ k.transpose(1, 2) - slope[:, None, None] * distance, dim=-1)
    dlogits = p * (grad_output - (grad_output * p).sum(-1, keepdim=True))
    dslope = -(dlogits * distance).sum((1, 2))
    dscores = dlogits * scale
    return {"q": dscores @ k, "k": dscores.transpose(1, 2) @ q, "slope": dslope}


def attention_pool(x, query):
    weights = torch.softmax(x @ query, dim=1)
    return (weights[..., None] * x).sum(1)


def attention_pool_treats_the_weights_as_constants(grad_output, x, query):
    a = torch.softmax(x @ query, dim=1)
    da = torch.einsum("nd,ntd->nt", grad_output, x)
    ds = a * (da - (a * da).sum(1, keepdim=True))
    dx = a[..., None] * grad_output[:, None]
    dquery = torch.einsum("nt,ntd->d", ds, x)
    return {"x": dx, "query": dquery}


def attention_pool_query_from_the_weights(grad_output, x, query):
    a = torch.softmax(x @ query, dim=1)
    da = torch.einsum("nd,ntd->nt", grad_output, x)
    ds = a * (da - (a * da).sum(1, keepdim=True))
    dx = a[..., None] * grad_output[:, None] + ds[..., None] * query
    dquery = torch.einsum("nt,ntd->d", da, x)
    return {"x": dx, "query": dquery}


CASES = [
    *layer(
        "softmax with a temperature",
        tempered_softmax,
        lambda N, K: {"x": randn(N, K)},
        {"N": (4, 3), "K": (5, 6)},
        Mistake(
            tempered_softmax_without_the_temperature,
            "dx = p * (grad_output - inner)",
            "dx = p * (grad_output - inner) / 0.7",
            r"0\.7|factor|temperature|1\.42|10/7|7/10",
        ),
        Mistake(
            tempered_softmax_sums_over_the_rows,
            "inner = (grad_output * p).sum(0, keepdim=True)",
            "inner = (grad_output * p).sum(-1, keepdim=True)",
            r"axis|dim|sum|-1",
        ),
    ),
    *layer(
        "log-softmax",
        log_probabilities,
        lambda N, K: {"x": randn(N, K)},
        {"N": (4, 3), "K": (5, 6)},
        Mistake(
            log_probabilities_without_the_exponential,
            'return {"x": grad_output - logp * total}',
            'return {"x": grad_output - logp.exp() * total}',
            r"exp|softmax|log",
        ),
        Mistake(
            log_probabilities_average_the_upstream,
            "total = grad_output.mean(dim=1, keepdim=True)",
            "total = grad_output.sum(dim=1, keepdim=True)",
            r"mean|sum|factor|\bK\b|size",
        ),
    ),
    *layer(
        "rotary positions",
        rotate_halves,
        lambda T, H: {"x": randn(T, 2 * H), "angle": randn(T, H)},
        {"T": (4, 3), "H": (3, 4)},
        Mistake(
            rotary_turns_forward_again, "dx1 = g1 * cos - g2 * sin", "dx1 = g1 * cos + g2 * sin", r"sign|minus|opposite|negat"
        ),
        Mistake(
            rotary_angle_exchanges_sine_and_cosine,
            "dangle = g2 * (x1 * sin - x2 * cos) - g1 * (x2 * cos + x1 * sin)",
            "dangle = g2 * (x1 * cos - x2 * sin) - g1 * (x2 * cos + x1 * sin)",
            r"cos|sin|exchang|swap",
        ),
    ),
    *layer(
        "attention with a distance bias",
        biased_scores,
        lambda H, T, D: {"q": randn(H, T, D), "k": randn(H, T, D), "slope": randn(H)},
        {"H": (2, 3), "T": (4, 3), "D": (3, 4)},
        Mistake(
            biased_scores_slope_has_the_wrong_sign,
            "dslope = (dlogits * distance).sum((1, 2))",
            "dslope = -(dlogits * distance).sum((1, 2))",
            r"sign|minus|negat|-1|opposite",
        ),
        Mistake(
            biased_scores_distance_without_the_absolute_value,
            "distance = (positions[None, :] - positions[:, None]).to(q.dtype)",
            "distance = (positions[None, :] - positions[:, None]).abs().to(q.dtype)",
            r"abs|distance",
        ),
    ),
    *layer(
        "attention pooling",
        attention_pool,
        lambda N, T, D: {"x": randn(N, T, D), "query": randn(D)},
        {"N": (3, 2), "T": (4, 5), "D": (3, 4)},
        Mistake(
            attention_pool_treats_the_weights_as_constants,
            "dx = a[..., None] * grad_output[:, None]",
            "dx = a[..., None] * grad_output[:, None] + ds[..., None] * query",
            r"\bds\b|query|path|term|missing|forgot|weights|softmax",
        ),
        Mistake(
            attention_pool_query_from_the_weights,
            'dquery = torch.einsum("nt,ntd->d", da, x)',
            'dquery = torch.einsum("nt,ntd->d", ds, x)',
            r"\bds\b|\bda\b|softmax|\ba\b",
        ),
    ),
]
