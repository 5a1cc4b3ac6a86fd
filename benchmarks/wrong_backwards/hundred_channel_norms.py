"""Wrong backwards of norms of channels, groups and weights."""

from __future__ import annotations

import torch

from benchmarks.wrong_backwards.mistake import Mistake, layer, rand, randn
from examples.gallery.linear import weight_normed
from examples.gallery.norms import batch_norm, group_norm


def batch_norm_counts_the_batch_alone(grad_output, x, gamma, beta):
    n, c, length = x.shape
    count = n
    mean = x.mean((0, 2), keepdim=True)
    centred = x - mean
    std = ((centred**2).mean((0, 2), keepdim=True) + 1e-3).sqrt()
    normed = centred / std
    dbeta = grad_output.sum((0, 2))
    dgamma = (grad_output * normed).sum((0, 2))
    inner = count * grad_output - dbeta[:, None] - normed * dgamma[:, None]
    dx = gamma[:, None] / (count * std) * inner
    return {"x": dx, "gamma": dgamma, "beta": dbeta}


def batch_norm_scale_of_the_centred_input(grad_output, x, gamma, beta):
    n, c, length = x.shape
    count = n * length
    mean = x.mean((0, 2), keepdim=True)
    centred = x - mean
    std = ((centred**2).mean((0, 2), keepdim=True) + 1e-3).sqrt()
    normed = centred / std
    dbeta = grad_output.sum((0, 2))
    dgamma = (grad_output * centred).sum((0, 2))
    inner = count * grad_output - dbeta[:, None] - normed * dgamma[:, None]
    dx = gamma[:, None] / (count * std) * inner
    return {"x": dx, "gamma": dgamma, "beta": dbeta}


def group_norm_without_the_weight(grad_output, x, w, groups):
    n, c, length = x.shape
    xg = x.reshape(n, groups, -1)
    mean = xg.mean(-1, keepdim=True)
    rstd = torch.rsqrt(xg.var(-1, keepdim=True, unbiased=False) + 1e-5)
    xhat = (xg - mean) * rstd
    dy = grad_output.reshape(n, groups, -1)
    along = (dy * xhat).mean(-1, keepdim=True)
    dx = rstd * (dy - dy.mean(-1, keepdim=True) - xhat * along)
    dw = (grad_output * xhat.reshape(n, c, length)).sum((0, 2))
    return {"x": dx.reshape(n, c, length), "w": dw}


def group_norm_adds_the_projection(grad_output, x, w, groups):
    n, c, length = x.shape
    xg = x.reshape(n, groups, -1)
    mean = xg.mean(-1, keepdim=True)
    rstd = torch.rsqrt(xg.var(-1, keepdim=True, unbiased=False) + 1e-5)
    xhat = (xg - mean) * rstd
    dy = (grad_output * w[None, :, None]).reshape(n, groups, -1)
    along = (dy * xhat).mean(-1, keepdim=True)
    dx = rstd * (dy - dy.mean(-1, keepdim=True) + xhat * along)
    dw = (grad_output * xhat.reshape(n, c, length)).sum((0, 2))
    return {"x": dx.reshape(n, c, length), "w": dw}


def instance_norm(x, s):
    mean = x.mean((2, 3), keepdim=True)
    var = (x - mean).pow(2).mean((2, 3), keepdim=True)
    return s[:, None, None] * (x - mean) / torch.sqrt(var + 0.01)


def instance_norm_eps_outside_the_root(grad_output, x, s):
    mean = x.mean((2, 3), keepdim=True)
    var = (x - mean).pow(2).mean((2, 3), keepdim=True)
    rstd = 1.0 / (torch.sqrt(var) + 0.01)
    y = (x - mean) * rstd
    ds = (grad_output * y).sum(dim=(0, 2, 3))
    gy = grad_output * s[:, None, None]
    gy = gy - gy.mean((2, 3), keepdim=True)
    dx = rstd * (gy - y * (gy * y).mean((2, 3), keepdim=True))
    return {"x": dx, "s": ds}


def instance_norm_holds_the_variance_constant(grad_output, x, s):
    mean = x.mean((2, 3), keepdim=True)
    var = (x - mean).pow(2).mean((2, 3), keepdim=True)
    rstd = 1.0 / torch.sqrt(var + 0.01)
    y = (x - mean) * rstd
    ds = (grad_output * y).sum(dim=(0, 2, 3))
    gy = grad_output * s[:, None, None]
    gy = gy - gy.mean((2, 3), keepdim=True)
    dx = rstd * gy
    return {"x": dx, "s": ds}


def weight_norm_length_sees_the_raw_direction(grad_output, x, v, g):
    norm = v.norm(dim=1, keepdim=True)
    direction = v / norm
    weight = g[:, None] * direction
    dweight = grad_output.T @ x
    dg = (dweight * v).sum(1)
    dv = g[:, None] / norm * (dweight - dg[:, None] * direction)
    return {"x": grad_output @ weight, "v": dv, "g": dg}


def weight_norm_forgets_the_path_through_the_norm(grad_output, x, v, g):
    norm = v.norm(dim=1, keepdim=True)
    direction = v / norm
    weight = g[:, None] * direction
    dweight = grad_output.T @ x
    dg = (dweight * direction).sum(1)
    dv = g[:, None] / norm * dweight
    return {"x": grad_output @ weight, "v": dv, "g": dg}


CASES = [
    *layer(
        "batch norm",
        batch_norm,
        lambda N, C, L: {"x": randn(N, C, L), "gamma": randn(C), "beta": randn(C)},
        {"N": (4, 5), "C": (3, 2), "L": (5, 4)},
        Mistake(batch_norm_counts_the_batch_alone, "count = n", "count = n * length", r"count|length|\bL\b|\bN\b|number|mean"),
        Mistake(
            batch_norm_scale_of_the_centred_input,
            "dgamma = (grad_output * centred).sum((0, 2))",
            "dgamma = (grad_output * normed).sum((0, 2))",
            r"std|normed|sqrt|centred|var",
        ),
    ),
    *layer(
        "group norm",
        group_norm,
        lambda N, G, K, L: {"x": randn(N, G * K, L), "w": randn(G * K), "groups": G},
        {"N": (3, 2), "G": (2, 3), "K": (3, 2), "L": (4, 3)},
        Mistake(
            group_norm_without_the_weight,
            "dy = grad_output.reshape(n, groups, -1)",
            "dy = (grad_output * w[None, :, None]).reshape(n, groups, -1)",
            r"\bw\b|weight|factor",
        ),
        Mistake(
            group_norm_adds_the_projection,
            "dx = rstd * (dy - dy.mean(-1, keepdim=True) + xhat * along)",
            "dx = rstd * (dy - dy.mean(-1, keepdim=True) - xhat * along)",
            r"sign|minus|negat|along|opposite",
        ),
    ),
    *layer(
        "instance norm",
        instance_norm,
        lambda N, C, H, W: {"x": randn(N, C, H, W), "s": randn(C)},
        {"N": (3, 2), "C": (2, 3), "H": (3, 4), "W": (4, 3)},
        Mistake(
            instance_norm_eps_outside_the_root,
            "rstd = 1.0 / (torch.sqrt(var) + 0.01)",
            "rstd = 1.0 / torch.sqrt(var + 0.01)",
            r"eps|0\.01|sqrt|root",
        ),
        Mistake(
            instance_norm_holds_the_variance_constant,
            "dx = rstd * gy",
            "dx = rstd * (gy - y * (gy * y).mean((2, 3), keepdim=True))",
            r"var|path|constant|detach|missing|forgot|term",
        ),
    ),
    *layer(
        "weight norm",
        weight_normed,
        lambda N, IN, OUT: {"x": randn(N, IN), "v": randn(OUT, IN), "g": rand(OUT)},
        {"N": (5, 4), "IN": (3, 4), "OUT": (4, 3)},
        Mistake(
            weight_norm_length_sees_the_raw_direction,
            "dg = (dweight * v).sum(1)",
            "dg = (dweight * direction).sum(1)",
            r"norm|direction|divi|factor",
        ),
        Mistake(
            weight_norm_forgets_the_path_through_the_norm,
            "dv = g[:, None] / norm * dweight",
            "dv = g[:, None] / norm * (dweight - dg[:, None] * direction)",
            r"norm|path|missing|term|constant|forgot",
        ),
    ),
]
