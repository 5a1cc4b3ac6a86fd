"""Attention, and where it looks."""

import torch

from examples.gallery.layer import Layer, Mistake


def attention(q, k, v):
    scores = q @ k.mT * q.shape[-1] ** -0.5
    return torch.softmax(scores, -1) @ v


def attention_backward(grad_output, q, k, v):
    scale = q.shape[-1] ** -0.5
    p = torch.softmax(q @ k.mT * scale, -1)
    dp = grad_output @ v.mT
    ds = p * (dp - (p * dp).sum(-1, keepdim=True)) * scale
    return {"q": ds @ k, "k": ds.mT @ q, "v": p.mT @ grad_output}


def flash_attention_backward(grad_output, q, k, v):
    scale = q.shape[-1] ** -0.5
    scores = q @ k.mT * scale
    p = torch.exp(scores - torch.logsumexp(scores, -1, keepdim=True))
    output = p @ v
    delta = (grad_output * output).sum(-1, keepdim=True)
    ds = p * (grad_output @ v.mT - delta) * scale
    return {"q": ds @ k, "k": ds.mT @ q, "v": p.mT @ grad_output}


def causal_attention(q, k, v):
    t = q.shape[1]
    scores = q @ k.transpose(1, 2) * q.shape[-1] ** -0.5
    keep = torch.tril(torch.ones(t, t, dtype=torch.bool))
    return torch.softmax(scores.masked_fill(~keep, float("-inf")), -1) @ v


def causal_attention_backward(grad_output, q, k, v):
    t = q.shape[1]
    scale = q.shape[-1] ** -0.5
    future = torch.triu(torch.ones(t, t, dtype=torch.bool), diagonal=1)
    scores = (q @ k.mT * scale).masked_fill(future, float("-inf"))
    p = torch.softmax(scores, dim=-1)
    dp = grad_output @ v.mT
    ds = p * (dp - (p * dp).sum(-1, keepdim=True)) * scale
    return {"q": ds @ k, "k": ds.mT @ q, "v": p.mT @ grad_output}


def grouped_attention(q, k, v):
    repeats = q.shape[0] // k.shape[0]
    keys = k.repeat_interleave(repeats, dim=0)
    values = v.repeat_interleave(repeats, dim=0)
    return torch.softmax(q @ keys.transpose(-1, -2) / q.shape[-1] ** 0.5, dim=-1) @ values


def grouped_attention_backward(grad_output, q, k, v):
    groups, repeats = k.shape[0], q.shape[0] // k.shape[0]
    keys = k.repeat_interleave(repeats, dim=0)
    values = v.repeat_interleave(repeats, dim=0)
    scale = 1 / q.shape[-1] ** 0.5
    p = torch.softmax(q @ keys.mT * scale, dim=-1)
    dp = grad_output @ values.mT
    ds = p * (dp - (dp * p).sum(-1, keepdim=True)) * scale
    dk = (ds.mT @ q).reshape(groups, repeats, *k.shape[1:]).sum(1)
    dv = (p.mT @ grad_output).reshape(groups, repeats, *v.shape[1:]).sum(1)
    return {"q": ds @ keys, "k": dk, "v": dv}


def rotate_halves(x, angle):
    cos, sin = angle.cos(), angle.sin()
    x1, x2 = x.chunk(2, dim=-1)
    return torch.cat([x1 * cos - x2 * sin, x2 * cos + x1 * sin], dim=-1)


def rotate_halves_backward(grad_output, x, angle):
    cos, sin = angle.cos(), angle.sin()
    x1, x2 = x.chunk(2, dim=-1)
    g1, g2 = grad_output.chunk(2, dim=-1)
    dx1 = g1 * cos + g2 * sin
    dx2 = g2 * cos - g1 * sin
    dangle = g2 * (x1 * cos - x2 * sin) - g1 * (x2 * cos + x1 * sin)
    return {"x": torch.cat([dx1, dx2], dim=-1), "angle": dangle}


QKV = {"q": "N T D", "k": "N S D", "v": "N S E"}
SCORES = "ds = p * (dp - (p * dp).sum(-1, keepdim=True)) * scale"

LAYERS = (
    Layer(
        "attention",
        "Values, mixed by a softmax of scaled products of queries and keys.",
        "Vaswani et al. 2017, arXiv 1706.03762.",
        attention,
        attention_backward,
        QKV,
        (
            Mistake(
                "the scale forgotten",
                SCORES,
                "ds = p * (dp - (p * dp).sum(-1, keepdim=True))",
                "The scale stands in the forward's scores, and is needed once more on the way back.",
            ),
            Mistake(
                "the softmax as if elementwise",
                SCORES,
                "ds = p * (1 - p) * dp * scale",
                "The diagonal of the softmax's Jacobian, taken for all of it.",
            ),
        ),
    ),
    Layer(
        "flash attention",
        "Attention again; the backward recomputes the probabilities from the logsumexp, and takes the row sum from the output.",
        "Dao et al. 2022, arXiv 2205.14135: rowsum(dO∘O) is rowsum(P∘dP).",
        attention,
        flash_attention_backward,
        QKV,
        (
            Mistake(
                "a maximum in place of the logsumexp",
                "p = torch.exp(scores - torch.logsumexp(scores, -1, keepdim=True))",
                "p = torch.exp(scores - scores.amax(-1, keepdim=True))",
                "Of the two numbers that the forward kept by row, one was saved.",
            ),
            Mistake(
                "delta not subtracted",
                "ds = p * (grad_output @ v.mT - delta) * scale",
                "ds = p * (grad_output @ v.mT) * scale",
                "Delta comes from a kernel of its own, which was not called.",
            ),
        ),
    ),
    Layer(
        "causal attention",
        "Attention in which nobody looks ahead.",
        "Vaswani et al. 2017, arXiv 1706.03762, section 3.2.3.",
        causal_attention,
        causal_attention_backward,
        {"q": "B T D", "k": "B T D", "v": "B T D"},
        (
            Mistake(
                "the mask forgotten",
                'scores = (q @ k.mT * scale).masked_fill(future, float("-inf"))',
                "scores = q @ k.mT * scale",
                "The probabilities are recomputed, and the mask is not.",
            ),
            Mistake(
                "one step ahead seen",
                "future = torch.triu(torch.ones(t, t, dtype=torch.bool), diagonal=1)",
                "future = torch.triu(torch.ones(t, t, dtype=torch.bool), diagonal=2)",
                "The diagonal is off by one: masks count it from 0 or from 1.",
            ),
        ),
    ),
    Layer(
        "grouped attention",
        "Attention in which several heads of queries share keys and values.",
        "Ainslie et al. 2023, arXiv 2305.13245.",
        grouped_attention,
        grouped_attention_backward,
        {"q": "2*K T D", "k": "K T D", "v": "K T D"},
        (
            Mistake(
                "grouped by the wrong axis",
                "dk = (ds.mT @ q).reshape(groups, repeats, *k.shape[1:]).sum(1)",
                "dk = (ds.mT @ q).reshape(repeats, groups, *k.shape[1:]).sum(0)",
                "This undoes `repeat`, not `repeat_interleave`.",
            ),
            Mistake(
                "the heads averaged",
                "dv = (p.mT @ grad_output).reshape(groups, repeats, *v.shape[1:]).sum(1)",
                "dv = (p.mT @ grad_output).reshape(groups, repeats, *v.shape[1:]).mean(1)",
                "What was copied has to be summed; a mean looks like the natural inverse.",
            ),
        ),
    ),
    Layer(
        "rotary positions",
        "Pairs of features, rotated by an angle that depends on the position.",
        "Su et al. 2021, arXiv 2104.09864, with halves as in GPT-NeoX.",
        rotate_halves,
        rotate_halves_backward,
        {"x": "T 2*H", "angle": "T H"},
        (
            Mistake(
                "turned forward again",
                "dx1 = g1 * cos + g2 * sin",
                "dx1 = g1 * cos - g2 * sin",
                "The backward of a rotation is the rotation by the negative angle.",
            ),
            Mistake(
                "sine and cosine exchanged",
                "dangle = g2 * (x1 * cos - x2 * sin) - g1 * (x2 * cos + x1 * sin)",
                "dangle = g2 * (x1 * sin - x2 * cos) - g1 * (x2 * cos + x1 * sin)",
                "Four products of like letters.",
            ),
        ),
    ),
)
