"""Wrong backwards of norms of rows."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from benchmarks.wrong_backwards.mistake import Mistake, layer, randn
from examples.gallery.norms import unit_rows


def rms_norm(x, w):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * w


def rms_norm_sums_the_projection(grad_output, x, w):
    rstd = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
    x_hat = x * rstd
    grad_hat = grad_output * w
    projection = (grad_hat * x_hat).sum(-1, keepdim=True)
    grad_x = rstd * (grad_hat - x_hat * projection)
    grad_w = (grad_output * x_hat).sum(0)
    return {"x": grad_x, "w": grad_w}


def rms_norm_weight_sees_the_raw_input(grad_output, x, w):
    rstd = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
    x_hat = x * rstd
    grad_hat = grad_output * w
    projection = (grad_hat * x_hat).mean(-1, keepdim=True)
    grad_x = rstd * (grad_hat - x_hat * projection)
    grad_w = (grad_output * x).sum(0)
    return {"x": grad_x, "w": grad_w}


def layer_norm(x, w, b):
    mean = x.mean(-1, keepdim=True)
    var = x.var(-1, keepdim=True, unbiased=False)
    return (x - mean) / torch.sqrt(var + 1e-5) * w + b


def layer_norm_forgets_the_path_through_the_mean(grad_output, x, w, b):
    mu = x.mean(-1, keepdim=True)
    var = x.var(-1, keepdim=True, unbiased=False)
    inv = (var + 1e-5).rsqrt()
    xhat = (x - mu) * inv
    dxhat = grad_output * w
    c2 = (dxhat * xhat).mean(-1, keepdim=True)
    dx = (dxhat - xhat * c2) * inv
    return {"x": dx, "w": (grad_output * xhat).sum(0), "b": grad_output.sum(0)}


def layer_norm_takes_the_unbiased_variance(grad_output, x, w, b):
    mu = x.mean(-1, keepdim=True)
    var = x.var(-1, keepdim=True)
    inv = (var + 1e-5).rsqrt()
    xhat = (x - mu) * inv
    dxhat = grad_output * w
    c1 = dxhat.mean(-1, keepdim=True)
    c2 = (dxhat * xhat).mean(-1, keepdim=True)
    dx = (dxhat - c1 - xhat * c2) * inv
    return {"x": dx, "w": (grad_output * xhat).sum(0), "b": grad_output.sum(0)}


def unit_rows_project_on_the_input(grad_output, x):
    length = x.norm(dim=-1, keepdim=True)
    unit = x / length
    radial = (grad_output * unit).sum(-1, keepdim=True)
    return {"x": (grad_output - radial * x) / length}


def unit_rows_divide_by_the_square(grad_output, x):
    length = x.norm(dim=-1, keepdim=True)
    unit = x / length
    radial = (grad_output * unit).sum(-1, keepdim=True)
    return {"x": (grad_output - radial * unit) / length**2}


def scale_norm(x, g):
    return g * x / torch.sqrt((x * x).sum(-1, keepdim=True) + 1e-4)


def scale_norm_cube_is_a_square(grad_output, x, g):
    sq = (x * x).sum(-1, keepdim=True) + 1e-4
    inv = sq.rsqrt()
    dot = (grad_output * x).sum(-1, keepdim=True)
    dg = (dot * inv).sum()
    dx = g * (grad_output * inv - x * dot * inv**2)
    return {"x": dx, "g": dg}


def scale_norm_leaves_the_scale_out_of_the_second_term(grad_output, x, g):
    sq = (x * x).sum(-1, keepdim=True) + 1e-4
    inv = sq.rsqrt()
    dot = (grad_output * x).sum(-1, keepdim=True)
    dg = (dot * inv).sum()
    dx = g * grad_output * inv - x * dot * inv**3
    return {"x": dx, "g": dg}


def adaptive_norm(x, scale, shift):
    return F.layer_norm(x, (x.shape[-1],), eps=1e-6) * (1 + scale) + shift


def adaptive_norm_forgets_the_one(grad_output, x, scale, shift):
    d = x.shape[-1]
    xc = x - x.mean(-1, keepdim=True)
    rstd = ((xc * xc).sum(-1, keepdim=True) / d + 1e-6) ** -0.5
    xn = xc * rstd
    g = grad_output * scale
    dx = rstd / d * (d * g - g.sum(-1, keepdim=True) - xn * (g * xn).sum(-1, keepdim=True))
    return {"x": dx, "scale": grad_output * xn, "shift": grad_output}


def adaptive_norm_scale_reads_the_modulated_gradient(grad_output, x, scale, shift):
    d = x.shape[-1]
    xc = x - x.mean(-1, keepdim=True)
    rstd = ((xc * xc).sum(-1, keepdim=True) / d + 1e-6) ** -0.5
    xn = xc * rstd
    g = grad_output * (1 + scale)
    dx = rstd / d * (d * g - g.sum(-1, keepdim=True) - xn * (g * xn).sum(-1, keepdim=True))
    return {"x": dx, "scale": g * xn, "shift": grad_output}


CASES = [
    *layer(
        "RMS norm",
        rms_norm,
        lambda N, D: {"x": randn(N, D), "w": randn(D)},
        {"N": (5, 4), "D": (7, 6)},
        Mistake(
            rms_norm_sums_the_projection,
            "projection = (grad_hat * x_hat).sum(-1, keepdim=True)",
            "projection = (grad_hat * x_hat).mean(-1, keepdim=True)",
            r"mean|sum|1/D|/ ?D|size",
        ),
        Mistake(
            rms_norm_weight_sees_the_raw_input,
            "grad_w = (grad_output * x).sum(0)",
            "grad_w = (grad_output * x_hat).sum(0)",
            r"rstd|x_hat|rsqrt|normali[sz]ed|rms|1/D|mean",
        ),
    ),
    *layer(
        "layer norm",
        layer_norm,
        lambda N, D: {"x": randn(N, D), "w": randn(D), "b": randn(D)},
        {"N": (5, 4), "D": (7, 6)},
        Mistake(
            layer_norm_forgets_the_path_through_the_mean,
            "dx = (dxhat - xhat * c2) * inv",
            "dx = (dxhat - dxhat.mean(-1, keepdim=True) - xhat * c2) * inv",
            r"mean|c1|term|missing|forgot|path",
        ),
        Mistake(
            layer_norm_takes_the_unbiased_variance,
            "var = x.var(-1, keepdim=True)",
            "var = x.var(-1, keepdim=True, unbiased=False)",
            r"unbiased|var|D ?- ?1|correction|Bessel",
        ),
    ),
    *layer(
        "row normalisation",
        unit_rows,
        lambda N, D: {"x": randn(N, D)},
        {"N": (5, 4), "D": (3, 6)},
        Mistake(
            unit_rows_project_on_the_input,
            'return {"x": (grad_output - radial * x) / length}',
            'return {"x": (grad_output - radial * unit) / length}',
            r"unit|norm|length|\bx\b",
        ),
        Mistake(
            unit_rows_divide_by_the_square,
            'return {"x": (grad_output - radial * unit) / length**2}',
            'return {"x": (grad_output - radial * unit) / length}',
            r"square|power|exponent|length|norm|factor",
        ),
    ),
    *layer(
        "scale norm",
        scale_norm,
        lambda N, D: {"x": randn(N, D), "g": randn()},
        {"N": (4, 3), "D": (5, 4)},
        Mistake(
            scale_norm_cube_is_a_square,
            "dx = g * (grad_output * inv - x * dot * inv**2)",
            "dx = g * (grad_output * inv - x * dot * inv**3)",
            r"exponent|power|\*\*|inv|rsqrt|square|cube",
        ),
        Mistake(
            scale_norm_leaves_the_scale_out_of_the_second_term,
            "dx = g * grad_output * inv - x * dot * inv**3",
            "dx = g * (grad_output * inv - x * dot * inv**3)",
            r"\bg\b|factor|scale",
        ),
    ),
    *layer(
        "adaptive layer norm",
        adaptive_norm,
        lambda N, D: {"x": randn(N, D), "scale": randn(N, D), "shift": randn(N, D)},
        {"N": (4, 3), "D": (5, 6)},
        Mistake(
            adaptive_norm_forgets_the_one,
            "g = grad_output * scale",
            "g = grad_output * (1 + scale)",
            r"\b1\b|one|scale|missing|term",
        ),
        Mistake(
            adaptive_norm_scale_reads_the_modulated_gradient,
            'return {"x": dx, "scale": g * xn, "shift": grad_output}',
            'return {"x": dx, "scale": grad_output * xn, "shift": grad_output}',
            r"\bg\b|grad_output|scale|factor",
        ),
    ),
]
