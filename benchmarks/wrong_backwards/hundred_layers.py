"""Wrong backwards of linear layers, convolutions and pooling."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from benchmarks.wrong_backwards.mistake import Mistake, layer, rand, randn
from examples.gallery.convolution import conv1d, pool
from examples.gallery.linear import lora


def lora_input_misses_the_adapter(grad_output, x, w, a, b):
    down = x @ a.T
    ddown = 1.5 * grad_output @ b
    dx = grad_output @ w
    dw = grad_output.T @ x
    db = 1.5 * grad_output.T @ down
    da = ddown.T @ x
    return {"x": dx, "w": dw, "a": da, "b": db}


def lora_up_projection_without_the_scale(grad_output, x, w, a, b):
    down = x @ a.T
    ddown = 1.5 * grad_output @ b
    dx = grad_output @ w + ddown @ a
    dw = grad_output.T @ x
    db = grad_output.T @ down
    da = ddown.T @ x
    return {"x": dx, "w": dw, "a": da, "b": db}


def film(x, gamma, beta):
    return gamma[:, :, None, None] * x + beta[:, :, None, None]


def film_shift_is_averaged(grad_output, x, gamma, beta):
    dx = grad_output * gamma[:, :, None, None]
    dgamma = (grad_output * x).sum((-2, -1))
    dbeta = grad_output.mean((-2, -1))
    return {"x": dx, "gamma": dgamma, "beta": dbeta}


def film_scale_reads_the_output(grad_output, x, gamma, beta):
    dx = grad_output * gamma[:, :, None, None]
    dgamma = (grad_output * (gamma[:, :, None, None] * x + beta[:, :, None, None])).sum((-2, -1))
    dbeta = grad_output.sum((-2, -1))
    return {"x": dx, "gamma": dgamma, "beta": dbeta}


def bilinear(x, y, w):
    return torch.einsum("na,oab,nb->no", x, w, y)


def bilinear_second_input_reads_itself(grad_output, x, y, w):
    dx = torch.einsum("no,oab,nb->na", grad_output, w, y)
    dy = torch.einsum("no,oab,nb->nb", grad_output, w, y)
    dw = torch.einsum("no,na,nb->oab", grad_output, x, y)
    return {"x": dx, "y": dy, "w": dw}


def bilinear_weight_averages_the_batch(grad_output, x, y, w):
    dx = torch.einsum("no,oab,nb->na", grad_output, w, y)
    dy = torch.einsum("no,oab,na->nb", grad_output, w, x)
    dw = torch.einsum("no,na,nb->oab", grad_output, x, y) / x.shape[0]
    return {"x": dx, "y": dy, "w": dw}


def conv1d_cuts_the_wrong_end_of_the_padding(grad_output, x, w, b):
    length, taps = x.shape[2], w.shape[2]
    padded = F.pad(x, (1, 1))
    dpadded = torch.zeros_like(padded)
    dw = torch.zeros_like(w)
    for k in range(taps):
        dpadded[:, :, k : k + length] += torch.einsum("nol,oc->ncl", grad_output, w[:, :, k])
        dw[:, :, k] = torch.einsum("nol,ncl->oc", grad_output, padded[:, :, k : k + length])
    dx = dpadded[:, :, :-2]
    return {"x": dx, "w": dw, "b": grad_output.sum((0, 2))}


def conv1d_input_uses_the_flipped_filter(grad_output, x, w, b):
    length, taps = x.shape[2], w.shape[2]
    padded = F.pad(x, (1, 1))
    dpadded = torch.zeros_like(padded)
    dw = torch.zeros_like(w)
    for k in range(taps):
        dpadded[:, :, k : k + length] += torch.einsum("nol,oc->ncl", grad_output, w[:, :, taps - 1 - k])
        dw[:, :, k] = torch.einsum("nol,ncl->oc", grad_output, padded[:, :, k : k + length])
    dx = dpadded[:, :, 1:-1]
    return {"x": dx, "w": dw, "b": grad_output.sum((0, 2))}


def causal_filter(x, w):
    padded = F.pad(x, (2, 0))
    n = x.shape[-1]
    return sum(padded[..., k : k + n] * w[:, k, None] for k in range(3))


def causal_filter_reads_the_taps_forwards(grad_output, x, w):
    n = x.shape[-1]
    ahead = F.pad(grad_output, (0, 2))
    dx = sum(ahead[..., k : k + n] * w[:, k, None] for k in range(3))
    behind = F.pad(x, (2, 0))
    dw = torch.stack([(grad_output * behind[..., k : k + n]).sum((0, 2)) for k in range(3)], dim=1)
    return {"x": dx, "w": dw}


def causal_filter_pads_the_other_side(grad_output, x, w):
    n = x.shape[-1]
    ahead = F.pad(grad_output, (0, 2))
    dx = sum(ahead[..., 2 - k : 2 - k + n] * w[:, k, None] for k in range(3))
    behind = F.pad(x, (0, 2))
    dw = torch.stack([(grad_output * behind[..., k : k + n]).sum((0, 2)) for k in range(3)], dim=1)
    return {"x": dx, "w": dw}


def pool_shares_between_two(grad_output, x):
    share = grad_output / 2
    wide = share.repeat_interleave(2, dim=-1)
    return {"x": wide.repeat_interleave(2, dim=-2)}


def pool_repeats_the_rows_in_blocks(grad_output, x):
    share = grad_output / 4
    wide = share.repeat_interleave(2, dim=-1)
    return {"x": wide.repeat(1, 1, 2, 1)}


def gem_pool(x):
    return (x**3).mean(-1) ** (1 / 3)


def gem_pool_outer_exponent(grad_output, x):
    pooled = (x**3).mean(-1, keepdim=True)
    outer = pooled ** (1 / 3)
    inner = x**2 / x.shape[-1]
    return {"x": grad_output[..., None] * outer * inner}


def gem_pool_without_the_count(grad_output, x):
    pooled = (x**3).mean(-1, keepdim=True)
    outer = pooled ** (1 / 3 - 1)
    inner = x**2
    return {"x": grad_output[..., None] * outer * inner}


def squeeze_excite(x, w):
    gate = torch.sigmoid(x.mean(-1) @ w)
    return x * gate[..., None]


def squeeze_excite_forgets_the_path_through_the_gate(grad_output, x, w):
    squeezed = x.mean(-1)
    gate = torch.sigmoid(squeezed @ w)
    dgate = (grad_output * x).sum(-1)
    dlogit = dgate * gate * (1 - gate)
    dx = grad_output * gate[..., None]
    return {"x": dx, "w": squeezed.T @ dlogit}


def squeeze_excite_averages_the_gate_gradient(grad_output, x, w):
    squeezed = x.mean(-1)
    gate = torch.sigmoid(squeezed @ w)
    dgate = (grad_output * x).mean(-1)
    dlogit = dgate * gate * (1 - gate)
    dsqueezed = dlogit @ w.T
    dx = grad_output * gate[..., None] + dsqueezed[..., None] / x.shape[-1]
    return {"x": dx, "w": squeezed.T @ dlogit}


CASES = [
    *layer(
        "low-rank adapter",
        lora,
        lambda N, IN, OUT, R: {"x": randn(N, IN), "w": randn(OUT, IN), "a": randn(R, IN), "b": randn(OUT, R)},
        {"N": (4, 3), "IN": (3, 4), "OUT": (5, 3), "R": (2, 2)},
        Mistake(
            lora_input_misses_the_adapter,
            "dx = grad_output @ w",
            "dx = grad_output @ w + ddown @ a",
            r"ddown|\ba\b|\bb\b|path|term|missing|forgot",
        ),
        Mistake(
            lora_up_projection_without_the_scale,
            "db = grad_output.T @ down",
            "db = 1.5 * grad_output.T @ down",
            r"1\.5|factor|scale|3/2",
        ),
    ),
    *layer(
        "feature-wise modulation",
        film,
        lambda N, C, H, W: {"x": randn(N, C, H, W), "gamma": randn(N, C), "beta": randn(N, C)},
        {"N": (3, 2), "C": (3, 4), "H": (4, 3), "W": (3, 2)},
        Mistake(
            film_shift_is_averaged,
            "dbeta = grad_output.mean((-2, -1))",
            "dbeta = grad_output.sum((-2, -1))",
            r"mean|sum|count|\bH\b|\bW\b|factor",
        ),
        Mistake(
            film_scale_reads_the_output,
            "dgamma = (grad_output * (gamma[:, :, None, None] * x + beta[:, :, None, None])).sum((-2, -1))",
            "dgamma = (grad_output * x).sum((-2, -1))",
            r"output|gamma|beta|\bx\b|input",
        ),
    ),
    *layer(
        "bilinear form",
        bilinear,
        lambda N, A, B, OUT: {"x": randn(N, A), "y": randn(N, B), "w": randn(OUT, A, B)},
        {"N": (4, 3), "A": (3, 4), "B": (2, 4), "OUT": (3, 2)},
        Mistake(
            bilinear_second_input_reads_itself,
            'dy = torch.einsum("no,oab,nb->nb", grad_output, w, y)',
            'dy = torch.einsum("no,oab,na->nb", grad_output, w, x)',
            r"\bx\b|\by\b|exchang|swap|wrong",
        ),
        Mistake(
            bilinear_weight_averages_the_batch,
            'dw = torch.einsum("no,na,nb->oab", grad_output, x, y) / x.shape[0]',
            'dw = torch.einsum("no,na,nb->oab", grad_output, x, y)',
            r"mean|sum|factor|count|size|\bN\b|shape",
        ),
    ),
    *layer(
        "convolution of a sequence",
        conv1d,
        lambda N, C, OUT, L, K: {"x": randn(N, C, L), "w": randn(OUT, C, K), "b": randn(OUT)},
        {"N": (2, 3), "C": (2, 3), "OUT": (3, 2), "L": (6, 7), "K": (3, 3)},
        Mistake(
            conv1d_cuts_the_wrong_end_of_the_padding,
            "dx = dpadded[:, :, :-2]",
            "dx = dpadded[:, :, 1:-1]",
            r"shift|offset|pad|slice|index|\b1\b|start",
        ),
        Mistake(
            conv1d_input_uses_the_flipped_filter,
            'dpadded[:, :, k : k + length] += torch.einsum("nol,oc->ncl", grad_output, w[:, :, taps - 1 - k])',
            'dpadded[:, :, k : k + length] += torch.einsum("nol,oc->ncl", grad_output, w[:, :, k])',
            r"flip|revers|index|taps|\bk\b|order",
        ),
    ),
    *layer(
        "causal depthwise convolution",
        causal_filter,
        lambda N, C, L: {"x": randn(N, C, L), "w": randn(C, 3)},
        {"N": (2, 3), "C": (3, 2), "L": (5, 6)},
        Mistake(
            causal_filter_reads_the_taps_forwards,
            "dx = sum(ahead[..., k : k + n] * w[:, k, None] for k in range(3))",
            "dx = sum(ahead[..., 2 - k : 2 - k + n] * w[:, k, None] for k in range(3))",
            r"flip|revers|index|\bk\b|order|shift|tap|offset",
        ),
        Mistake(
            causal_filter_pads_the_other_side,
            "behind = F.pad(x, (0, 2))",
            "behind = F.pad(x, (2, 0))",
            r"pad|shift|side|offset|exchang|swap|\b2\b",
        ),
    ),
    *layer(
        "average pooling",
        pool,
        lambda N, C, H, W: {"x": randn(N, C, H, W)},
        {"N": (2, 3), "C": (2, 3), "H": (4, 6), "W": (6, 4)},
        Mistake(pool_shares_between_two, "share = grad_output / 2", "share = grad_output / 4", r"\b2\b|\b4\b|factor|half|0\.5"),
        Mistake(
            pool_repeats_the_rows_in_blocks,
            'return {"x": wide.repeat(1, 1, 2, 1)}',
            'return {"x": wide.repeat_interleave(2, dim=-2)}',
            r"repeat|interleave|index|order|floor|// ?2",
        ),
    ),
    *layer(
        "generalised mean pooling",
        gem_pool,
        lambda N, C, P: {"x": rand(N, C, P)},
        {"N": (3, 2), "C": (3, 4), "P": (4, 5)},
        Mistake(
            gem_pool_outer_exponent,
            "outer = pooled ** (1 / 3)",
            "outer = pooled ** (1 / 3 - 1)",
            r"exponent|power|\*\*|2/3|1/3|pooled",
        ),
        Mistake(
            gem_pool_without_the_count, "inner = x**2", "inner = x**2 / x.shape[-1]", r"count|\bP\b|mean|size|shape|factor|1/"
        ),
    ),
    *layer(
        "squeeze and excitation",
        squeeze_excite,
        lambda N, C, L: {"x": randn(N, C, L), "w": randn(C, C)},
        {"N": (3, 2), "C": (3, 4), "L": (4, 5)},
        Mistake(
            squeeze_excite_forgets_the_path_through_the_gate,
            "dx = grad_output * gate[..., None]",
            "dx = grad_output * gate[..., None] + (dlogit @ w.T)[..., None] / x.shape[-1]",
            r"dsqueezed|gate|path|term|missing|forgot|mean",
        ),
        Mistake(
            squeeze_excite_averages_the_gate_gradient,
            "dgate = (grad_output * x).mean(-1)",
            "dgate = (grad_output * x).sum(-1)",
            r"mean|sum|factor|\bL\b|count|size",
        ),
    ),
]
