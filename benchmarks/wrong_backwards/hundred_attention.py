"""Wrong backwards of attention: masks, groups of heads, capped scores, linear attention."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from benchmarks.wrong_backwards.mistake import Mistake, layer, randn
from examples.gallery.attention import causal_attention, grouped_attention


def dot_attention(q, k, v):
    scores = q @ k.T / math.sqrt(q.shape[-1])
    return torch.softmax(scores, -1) @ v


def dot_attention_key_without_the_scale(grad_output, q, k, v):
    scale = q.shape[-1] ** -0.5
    probs = torch.softmax(q @ k.T * scale, -1)
    dv = probs.T @ grad_output
    dprobs = grad_output @ v.T
    row = (dprobs * probs).sum(-1, keepdim=True)
    dscores = probs * (dprobs - row)
    dq = scale * dscores @ k
    dk = dscores.T @ q
    return {"q": dq, "k": dk, "v": dv}


def dot_attention_softmax_path_is_left_out(grad_output, q, k, v):
    scale = q.shape[-1] ** -0.5
    probs = torch.softmax(q @ k.T * scale, -1)
    dv = probs.T @ grad_output
    dprobs = grad_output @ v.T
    dscores = probs * dprobs
    dq = scale * dscores @ k
    dk = scale * dscores.T @ q
    return {"q": dq, "k": dk, "v": dv}


def causal_attention_value_gradient_is_not_transposed(grad_output, q, k, v):
    t = q.shape[1]
    scale = q.shape[-1] ** -0.5
    scores = torch.einsum("btd,bsd->bts", q, k) * scale
    future = torch.triu(torch.ones(t, t, dtype=torch.bool), diagonal=1)
    p = torch.softmax(scores.masked_fill(future, float("-inf")), dim=-1)
    dv = torch.einsum("bts,bsd->btd", p, grad_output)
    dp = torch.einsum("btd,bsd->bts", grad_output, v)
    ds = p * (dp - (p * dp).sum(-1, keepdim=True)) * scale
    dq = torch.einsum("bts,bsd->btd", ds, k)
    dk = torch.einsum("bts,btd->bsd", ds, q)
    return {"q": dq, "k": dk, "v": dv}


def causal_attention_forgets_the_mask(grad_output, q, k, v):
    scale = q.shape[-1] ** -0.5
    scores = torch.einsum("btd,bsd->bts", q, k) * scale
    p = torch.softmax(scores, dim=-1)
    dv = torch.einsum("bts,btd->bsd", p, grad_output)
    dp = torch.einsum("btd,bsd->bts", grad_output, v)
    ds = p * (dp - (p * dp).sum(-1, keepdim=True)) * scale
    dq = torch.einsum("bts,bsd->btd", ds, k)
    dk = torch.einsum("bts,btd->bsd", ds, q)
    return {"q": dq, "k": dk, "v": dv}


def grouped_attention_groups_by_the_wrong_axis(grad_output, q, k, v):
    heads, groups = q.shape[0], k.shape[0]
    keys = k.repeat_interleave(heads // groups, dim=0)
    values = v.repeat_interleave(heads // groups, dim=0)
    scale = 1 / q.shape[-1] ** 0.5
    p = torch.softmax(q @ keys.transpose(-1, -2) * scale, dim=-1)
    dvalues = p.transpose(-1, -2) @ grad_output
    dp = grad_output @ values.transpose(-1, -2)
    ds = p * (dp - (dp * p).sum(-1, keepdim=True)) * scale
    dkeys = ds.transpose(-1, -2) @ q
    dk = dkeys.reshape(heads // groups, groups, *k.shape[1:]).sum(0)
    dv = dvalues.reshape(groups, heads // groups, *v.shape[1:]).sum(1)
    return {"q": ds @ keys, "k": dk, "v": dv}


def grouped_attention_averages_the_heads_of_a_group(grad_output, q, k, v):
    heads, groups = q.shape[0], k.shape[0]
    keys = k.repeat_interleave(heads // groups, dim=0)
    values = v.repeat_interleave(heads // groups, dim=0)
    scale = 1 / q.shape[-1] ** 0.5
    p = torch.softmax(q @ keys.transpose(-1, -2) * scale, dim=-1)
    dvalues = p.transpose(-1, -2) @ grad_output
    dp = grad_output @ values.transpose(-1, -2)
    ds = p * (dp - (dp * p).sum(-1, keepdim=True)) * scale
    dkeys = ds.transpose(-1, -2) @ q
    dk = dkeys.reshape(groups, heads // groups, *k.shape[1:]).sum(1)
    dv = dvalues.reshape(groups, heads // groups, *v.shape[1:]).mean(1)
    return {"q": ds @ keys, "k": dk, "v": dv}


def capped_attention(q, k, v):
    return torch.softmax(5.0 * torch.tanh(q @ k.T / 5.0), dim=-1) @ v


def capped_attention_derivative_from_the_capped_score(grad_output, q, k, v):
    t = torch.tanh(q @ k.T / 5.0)
    capped = 5.0 * t
    p = torch.softmax(capped, dim=-1)
    dp = grad_output @ v.T
    dcapped = p * (dp - (p * dp).sum(-1, keepdim=True))
    draw = dcapped * (1 - capped**2)
    return {"q": draw @ k, "k": draw.T @ q, "v": p.T @ grad_output}


def capped_attention_divides_by_the_cap_again(grad_output, q, k, v):
    t = torch.tanh(q @ k.T / 5.0)
    capped = 5.0 * t
    p = torch.softmax(capped, dim=-1)
    dp = grad_output @ v.T
    dcapped = p * (dp - (p * dp).sum(-1, keepdim=True))
    draw = dcapped * (1 - t**2) / 5.0
    return {"q": draw @ k, "k": draw.T @ q, "v": p.T @ grad_output}


def linear_attention(q, k, v):
    phi_q, phi_k = F.elu(q) + 1, F.elu(k) + 1
    return phi_q @ (phi_k.T @ v) / (phi_q @ phi_k.sum(0))[:, None]


def linear_attention_forgets_the_normaliser_of_the_keys(grad_output, q, k, v):
    fq, fk = F.elu(q) + 1, F.elu(k) + 1
    state, total = fk.T @ v, fk.sum(0)
    den = (fq @ total)[:, None]
    out = fq @ state / den
    dnum = grad_output / den
    dden = -(grad_output * out).sum(-1, keepdim=True) / den
    dfq = dnum @ state.T + dden * total
    dstate = fq.T @ dnum
    dfk = v @ dstate.T
    dq = dfq * torch.where(q > 0, torch.ones_like(q), q.exp())
    dk = dfk * torch.where(k > 0, torch.ones_like(k), k.exp())
    return {"q": dq, "k": dk, "v": fk @ dstate}


def linear_attention_slope_of_the_feature_map_left_out(grad_output, q, k, v):
    fq, fk = F.elu(q) + 1, F.elu(k) + 1
    state, total = fk.T @ v, fk.sum(0)
    den = (fq @ total)[:, None]
    out = fq @ state / den
    dnum = grad_output / den
    dden = -(grad_output * out).sum(-1, keepdim=True) / den
    dfq = dnum @ state.T + dden * total
    dstate = fq.T @ dnum
    dfk = v @ dstate.T + (dden * fq).sum(0)
    dq = dfq * (q > 0)
    dk = dfk * torch.where(k > 0, torch.ones_like(k), k.exp())
    return {"q": dq, "k": dk, "v": fk @ dstate}


CASES = [
    *layer(
        "scaled dot-product attention",
        dot_attention,
        lambda T, S, D: {"q": randn(T, D), "k": randn(S, D), "v": randn(S, D)},
        {"T": (3, 4), "S": (5, 4), "D": (4, 5)},
        Mistake(
            dot_attention_key_without_the_scale, "dk = dscores.T @ q", "dk = scale * dscores.T @ q", r"scale|factor|sqrt|\bD\b"
        ),
        Mistake(
            dot_attention_softmax_path_is_left_out,
            "dscores = probs * dprobs",
            "dscores = probs * (dprobs - (dprobs * probs).sum(-1, keepdim=True))",
            r"softmax|row|term|sum|missing|path|forgot|normali",
        ),
    ),
    *layer(
        "causal attention",
        causal_attention,
        lambda B, T, D: {"q": randn(B, T, D), "k": randn(B, T, D), "v": randn(B, T, D)},
        {"B": (2, 3), "T": (4, 3), "D": (3, 4)},
        Mistake(
            causal_attention_value_gradient_is_not_transposed,
            'dv = torch.einsum("bts,bsd->btd", p, grad_output)',
            'dv = torch.einsum("bts,btd->bsd", p, grad_output)',
            r"transpos|index|einsum|exchang|axis|swap",
        ),
        Mistake(
            causal_attention_forgets_the_mask,
            "p = torch.softmax(scores, dim=-1)",
            'p = torch.softmax(scores.masked_fill(torch.ones_like(scores).triu(1) > 0, float("-inf")), dim=-1)',
            r"mask|future|fill",
        ),
    ),
    *layer(
        "grouped-query attention",
        grouped_attention,
        lambda K, R, T, D: {"q": randn(K * R, T, D), "k": randn(K, T, D), "v": randn(K, T, D)},
        {"K": (2, 3), "R": (2, 2), "T": (3, 4), "D": (3, 2)},
        Mistake(
            grouped_attention_groups_by_the_wrong_axis,
            "dk = dkeys.reshape(heads // groups, groups, *k.shape[1:]).sum(0)",
            "dk = dkeys.reshape(groups, heads // groups, *k.shape[1:]).sum(1)",
            r"reshape|group|repeat|interleave|axis|order|sum",
        ),
        Mistake(
            grouped_attention_averages_the_heads_of_a_group,
            "dv = dvalues.reshape(groups, heads // groups, *v.shape[1:]).mean(1)",
            "dv = dvalues.reshape(groups, heads // groups, *v.shape[1:]).sum(1)",
            r"mean|sum|factor|\bR\b|size|count",
        ),
    ),
    *layer(
        "attention with capped scores",
        capped_attention,
        lambda T, S, D: {"q": randn(T, D), "k": randn(S, D), "v": randn(S, D)},
        {"T": (3, 4), "S": (4, 5), "D": (3, 2)},
        Mistake(
            capped_attention_derivative_from_the_capped_score,
            "draw = dcapped * (1 - capped**2)",
            "draw = dcapped * (1 - t**2)",
            r"capped|tanh|\bt\b|5",
        ),
        Mistake(
            capped_attention_divides_by_the_cap_again,
            "draw = dcapped * (1 - t**2) / 5.0",
            "draw = dcapped * (1 - t**2)",
            r"5|factor|cap",
        ),
    ),
    *layer(
        "linear attention",
        linear_attention,
        lambda T, S, D, E: {"q": randn(T, D), "k": randn(S, D), "v": randn(S, E)},
        {"T": (3, 4), "S": (4, 3), "D": (3, 4), "E": (2, 3)},
        Mistake(
            linear_attention_forgets_the_normaliser_of_the_keys,
            "dfk = v @ dstate.T",
            "dfk = v @ dstate.T + (dden * fq).sum(0)",
            r"dden|normali|denominator|path|term|missing|forgot|den",
        ),
        Mistake(
            linear_attention_slope_of_the_feature_map_left_out,
            "dq = dfq * (q > 0)",
            "dq = dfq * torch.where(q > 0, torch.ones_like(q), q.exp())",
            r"exp|elu|negative|where|\bq\b",
        ),
    ),
]
