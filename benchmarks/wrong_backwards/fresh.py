# ruff: noqa: E501
"""Thirty wrong backwards for thirty layers, written by someone who had read neither the hypotheses nor the sets they were tuned on.

The accepted words were fixed before the first run: right 54, none 33, wrong 3 of 90.  The 3, all of relative position bias, said
"prob_bar is read where s_bar is meant", which is the mistake exactly; ``prob_bar`` was accepted after that run, and nothing else
changed.  The sentence alone is judged, whatever kind of diagnosis it is.
Three backwards make two mistakes at once (masked loss, grouped query attention, squeeze and excite): naming either is right.
Alone: ``python -m benchmarks.wrong_backwards.fresh``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from benchmarks.wrong_backwards.unseen import ANY
from benchmarks.wrong_backwards.wrong import Wrong, three

EPS = 1e-5
_LACKS = r"missing|left out|dropped|lack|without|omit|ignor|forgot|absent|not counted|constant|detached|no path|no gradient|skipped|stops"


def _lacks(what: str) -> str:
    """A pattern: the sentence says that ``what`` is not there."""
    return rf"({_LACKS}).*({what})|({what}).*({_LACKS})"


def _given(values: str, *dims: str):
    """Inputs that are not normal: ``positive``, ``chance`` between 0.1 and 0.9, a 0/1 ``mask``, a ``distribution`` over the last axis."""

    def draw(size: Mapping[str, int], rng: torch.Generator) -> Tensor:
        u = torch.rand([size[d] for d in dims], generator=rng, dtype=torch.float64)
        if values == "mask":
            return (u < 0.6).double()
        if values == "distribution":
            return torch.softmax(3 * u, -1)
        return u * 0.8 + 0.1 if values == "chance" else u + 1.5

    return draw


def _softmax_back(prob: Tensor, g: Tensor) -> Tensor:
    return prob * (g - (g * prob).sum(-1, keepdim=True))


def linear(grad_output, x, W, b):  # dx through W's transpose: only a square W lets it pass
    return {"x": grad_output @ W.T, "W": grad_output.T @ x, "b": grad_output.sum(0)}


def mlp_relu(grad_output, x, U, b, V):  # saved h before the ReLU, and dV needs it after
    h = x @ U.T + b
    dh = grad_output @ V * (h > 0)
    return {"x": dh @ U, "U": dh.T @ x, "b": dh.sum(0), "V": grad_output.T @ h}


def mlp_gelu(grad_output, x, W):  # the derivative of quick-GELU, x sigmoid(1.702 x), under an erf GELU
    s = torch.sigmoid(1.702 * x)
    gelu = x * (1 + torch.erf(x / math.sqrt(2))) / 2
    return {"x": grad_output @ W * (s + 1.702 * x * s * (1 - s)), "W": grad_output.T @ gelu}


def bce_with_logits(grad_output, x, t):  # p - t has sigmoid's derivative in it already
    p = torch.sigmoid(x)
    k = grad_output / x.numel()
    return {"x": k * (p - t) * p * (1 - p), "t": -k * x}


def cross_entropy_z_loss(grad_output, x, t):  # the z-loss itself gets no gradient
    onehot = torch.nn.functional.one_hot(t, x.shape[1])
    return {"x": grad_output * (torch.softmax(x, 1) - onehot) / x.shape[0]}


def masked_bce(grad_output, x, t, m):  # two: no mask, and every element counted
    return {"x": grad_output * (torch.sigmoid(x) - t) / x.numel(), "t": -grad_output * m * x / m.sum()}


def vae_kl(grad_output, mu, lv):  # the standard deviation for the variance
    return {"mu": grad_output * mu / mu.shape[0], "lv": grad_output * (torch.exp(lv / 2) - 1) / (2 * mu.shape[0])}


def focal(grad_output, x, t):  # the modulating factor held constant
    p = torch.softmax(x, 1)
    f = (1 - p.gather(1, t[:, None])) ** 2
    return {"x": grad_output * f * (p - torch.nn.functional.one_hot(t, x.shape[1])) / x.shape[0]}


def distillation(grad_output, x, p, tau):  # tau squared, but the logits were divided by tau as well
    s = torch.softmax(x / tau, 1) * p.sum(1, keepdim=True)
    k = grad_output * tau**2 / x.shape[0]
    return {"x": k * (s - p), "p": -k * torch.log_softmax(x / tau, 1)}


def clip_loss(grad_output, s):  # image to text, and never text to image
    N = s.shape[0]
    return {"s": grad_output * (torch.softmax(s, 1) - torch.eye(N, dtype=s.dtype)) / (2 * N)}


def layer_norm(grad_output, x, w, b):  # saved the output in place of the normalised input
    mu = x.mean(1, keepdim=True)
    r = (x.var(1, keepdim=True, unbiased=False) + EPS).rsqrt()
    h = (x - mu) * r
    g = grad_output * w
    dx = r * (g - g.mean(1, keepdim=True) - h * (g * h).mean(1, keepdim=True))
    return {"x": dx, "w": (grad_output * (h * w + b)).sum(0), "b": grad_output.sum(0)}


def rms_norm(grad_output, x, w):  # w in the first term, not in the second
    r = ((x * x).mean(1, keepdim=True) + EPS).rsqrt()
    dx = r * (grad_output * w - x * r**2 * (grad_output * x).mean(1, keepdim=True))
    return {"x": dx, "w": (grad_output * x * r).sum(0)}


def batch_norm_eval(grad_output, x, mu, v, w, b):  # training's backward, with running statistics
    r = (v + EPS).rsqrt()[:, None]
    h = (x - mu[:, None]) * r
    dw, db = (grad_output * h).sum((0, 2)), grad_output.sum((0, 2))
    n = x.shape[0] * x.shape[2]
    dx = w[:, None] * r * (grad_output - db[:, None] / n - h * dw[:, None] / n)
    return {"x": dx, "w": dw, "b": db}


def group_norm(grad_output, x, w):  # each channel's own means, where the group shares them
    mu = x.mean((2, 3), keepdim=True)
    r = (x.var((2, 3), keepdim=True, unbiased=False) + EPS).rsqrt()
    h = (x - mu) * r
    g = grad_output * w[:, :, None]
    dx = r * (g - g.mean(3, keepdim=True) - h * (g * h).mean(3, keepdim=True))
    return {"x": dx, "w": (grad_output * h).sum((0, 3))}


def instance_norm(grad_output, x):  # eps in forward alone
    mu = x.mean(2, keepdim=True)
    r = x.var(2, keepdim=True, unbiased=False).rsqrt()
    h = (x - mu) * r
    return {"x": r * (grad_output - grad_output.mean(2, keepdim=True) - h * (grad_output * h).mean(2, keepdim=True))}


def window_attention(grad_output, q, k, v):  # the window recomputed one position too wide
    T, D = q.shape
    lag = torch.arange(T)[:, None] - torch.arange(T)
    s = q @ k.T / math.sqrt(D)
    wide = torch.softmax(s.masked_fill((lag < 0) | (lag > 2), -math.inf), 1)
    prob = torch.softmax(s.masked_fill((lag < 0) | (lag > 1), -math.inf), 1)
    ds = _softmax_back(prob, grad_output @ v.T) / math.sqrt(D)
    return {"q": ds @ k, "k": ds.T @ q, "v": wide.T @ grad_output}


def relative_bias(grad_output, q, k, v, b, bucket):  # the bias is given the gradient of the probabilities, not of the scores
    dp = grad_output @ v.T
    prob = torch.softmax(q @ k.T + b[bucket], 1)
    ds = _softmax_back(prob, dp)
    db = torch.zeros_like(b).index_add(0, bucket.flatten(), dp.flatten())
    return {"q": ds @ k, "k": ds.T @ q, "v": prob.T @ grad_output, "b": db}


def rotary_halves(grad_output, x, c, s):  # pairs of neighbours, where forward pairs the two halves
    a, b = grad_output[:, ::2], grad_output[:, 1::2]
    return {"x": torch.stack([a * c + b * s, b * c - a * s], 2).flatten(1)}


def swiglu(grad_output, x, W, V):  # the two weights' gradients change places
    u, v = x @ W.T, x @ V.T
    s = torch.sigmoid(u)
    du, dv = grad_output * v * s * (1 + u * (1 - s)), grad_output * u * s
    return {"x": du @ W + dv @ V, "W": dv.T @ x, "V": du.T @ x}


def tied_embedding(grad_output, E, ids):  # the output layer's share alone
    return {"E": grad_output.T @ torch.tanh(E[ids])}


def vector_quantization(grad_output, x, E, ids):  # the commitment term reaches the codebook through its stop-gradient
    d = x - E[ids]
    k = grad_output / x.numel()
    return {"x": k * d / 2, "E": torch.zeros_like(E).index_add(0, ids, -2 * k * d * (1 + 1 / 4))}


def contrastive(grad_output, a, b, t):  # the square's 2 in the similar pairs only
    u = a - b
    d = u.norm(dim=1, keepdim=True)
    s = t[:, None]
    da = grad_output * (2 * s * u - (1 - s) * (4 - d).clamp(min=0) * u / d) / a.shape[0]
    return {"a": da}


def max_pool(grad_output, x):  # the place within the window taken for the place in x
    P = grad_output.shape[1]
    place = x[:, : 2 * P].unflatten(1, (P, 2)).argmax(2)
    return {"x": torch.zeros_like(x).scatter_add(1, place, grad_output)}


def gru_update(grad_output, u, c, h):  # h and the candidate change places in dz
    z, n = torch.sigmoid(u), torch.tanh(c)
    return {"u": grad_output * (n - h) * z * (1 - z), "c": grad_output * (1 - z) * (1 - n * n), "h": grad_output * z}


def lstm_cell(grad_output_0, grad_output_1, f, i, g, o, c):  # the next cell's gradient is left out of dc
    keep, let, new, show = torch.sigmoid(f), torch.sigmoid(i), torch.tanh(g), torch.sigmoid(o)
    h = torch.tanh(keep * c + let * new)
    through = grad_output_0 * show * (1 - h * h)
    dcn = grad_output_1 + through
    return {
        "f": dcn * c * keep * (1 - keep),
        "i": dcn * new * let * (1 - let),
        "g": dcn * let * (1 - new * new),
        "o": grad_output_0 * h * show * (1 - show),
        "c": through * keep,
    }


def linear_recurrence(grad_output, a, x):  # da from the state after the step, not before
    h, T = [x[:, 0]], x.shape[1]
    for t in range(1, T):
        h.append(a[:, t] * h[-1] + x[:, t])
    dh = [grad_output[:, T - 1]]
    for t in reversed(range(T - 1)):
        dh.insert(0, grad_output[:, t] + dh[0] * a[:, t + 1])
    da = torch.stack([d * s for d, s in zip(dh, h, strict=True)], 1)
    da[:, 0] = 0
    return {"a": da, "x": torch.stack(dh, 1)}


def weighted_average(grad_output, x, w):  # the weights' total held constant
    total = w.sum(1, keepdim=True)
    return {"x": grad_output[:, None, :] * (w / total)[:, :, None], "w": torch.einsum("nd,ntd->nt", grad_output, x) / total}


def quaternion_rotate(grad_output, q, p):  # as if q came in normalised
    u = q / q.norm(dim=1, keepdim=True)
    w, v = u[:, :1], u[:, 1:]
    g = grad_output
    # y = p + 2 w (v × p) + 2 v × (v × p)
    vp = torch.cross(v, p, dim=1)
    dw = 2 * (g * vp).sum(1, keepdim=True)
    dv = 2 * w * torch.cross(p, g, dim=1) + 2 * torch.cross(vp, g, dim=1) + 2 * torch.cross(p, torch.cross(g, v, dim=1), dim=1)
    back = g - 2 * w * torch.cross(v, g, dim=1) + 2 * torch.cross(v, torch.cross(v, g, dim=1), dim=1)
    return {"q": torch.cat([dw, dv], 1), "p": back}


def grouped_query(grad_output, q, k, v):  # two: the last query head overwrites the others, and no 1/sqrt(D)
    D = q.shape[3]
    prob = torch.softmax(torch.einsum("hgtd,hud->hgtu", q, k) / math.sqrt(D), 3)
    ds = _softmax_back(prob, torch.einsum("hgtd,hud->hgtu", grad_output, v))
    return {
        "q": torch.einsum("hgtu,hud->hgtd", ds, k) / math.sqrt(D),
        "k": torch.einsum("htu,htd->hud", ds[:, -1], q[:, -1]),
        "v": torch.einsum("hgtu,hgtd->hud", prob, grad_output),
    }


def squeeze_excite(grad_output, x, W):  # two: neither the sigmoid's derivative nor the mean's 1/L on the gate's path
    pooled = x.mean(2)
    gate = torch.sigmoid(pooled @ W.T)
    dgate = (grad_output * x).sum(2)
    return {"x": grad_output * gate[:, :, None] + (dgate @ W)[:, :, None], "W": (dgate * gate * (1 - gate)).T @ pooled}


_ROTATE = (
    "w[n] := q[n,0]/r[n]; a[n] := q[n,1]/r[n]; b[n] := q[n,2]/r[n]; c[n] := q[n,3]/r[n]; "
    "y[n, i < 3] := [i == 0]*((1 - 2*(b[n]^2 + c[n]^2))*p[n,0] + 2*(a[n]*b[n] - w[n]*c[n])*p[n,1] + 2*(a[n]*c[n] + w[n]*b[n])*p[n,2]) "
    "+ [i == 1]*(2*(a[n]*b[n] + w[n]*c[n])*p[n,0] + (1 - 2*(a[n]^2 + c[n]^2))*p[n,1] + 2*(b[n]*c[n] - w[n]*a[n])*p[n,2]) "
    "+ [i == 2]*(2*(a[n]*c[n] - w[n]*b[n])*p[n,0] + 2*(b[n]*c[n] + w[n]*a[n])*p[n,1] + (1 - 2*(a[n]^2 + b[n]^2))*p[n,2])"
)

SET = (
    Wrong(
        "linear", "y[n,o] := sum(i: x[n,i]*W[o,i]) + b[o]", {"x": "N D", "W": "D D", "b": "D"}, linear,
        "x", ANY, r"transpos|\bW\.T\b|Wᵀ|W\^T|(indices|axes) of W|W's (indices|axes)|W\[\w+, ?\w+\].*W\[\w+, ?\w+\]",
        three(N=(5, 4, 8), D=(3, 4, 4)),
    ),
    Wrong(
        "MLP with ReLU", "h[n,k] := sum(i: x[n,i]*U[k,i]) + b[k]; y[n,o] := sum(k: [h[n,k] > 0]*h[n,k]*V[o,k])",
        {"x": "N I", "U": "K I", "b": "K", "V": "O K"}, mlp_relu,
        "V", ANY, r"relu|rectif|activat|\bmask|h\S* ?(>|≥|<=?|≤) ?0|0 ?(<|≤) ?h|clamp|(where|at) .*(negative|positive)",
        three(N=(7, 4, 8), I=(3, 4, 4), K=(5, 4, 16), O=(2, 4, 2)),
    ),
    Wrong(
        "MLP with GELU", "y[n,o] := sum(i: gelu(x[n,i])*W[o,i])", {"x": "N I", "W": "O I"}, mlp_gelu,
        "x", ANY, r"quick|1\.702|sigmoid|σ|(another|other|different|wrong) (variant|gelu)",
        three(N=(5, 4, 8), I=(7, 4, 4), O=(3, 4, 2)),
    ),
    Wrong(
        "BCE with logits", "L := sum(n, d: -t[n,d]*logsigmoid(x[n,d]) - (1 - t[n,d])*logsigmoid(-x[n,d]))/(N*D)",
        {"x": "N D", "t": "N D"}, bce_with_logits,
        "x", ANY,
        r"(extra|twice|too (many|much)|again|second|superfluous|once).*(sigmoid|σ|derivative|slope)"
        r"|(sigmoid|σ|slope|derivative).*(extra|twice|again|second|too many|once|superfluous)"
        r"|(sigmoid|σ)\S* ?[*·×]? ?\(1 ?[-−] ?(sigmoid|σ)|sigmoid\(-?x\S* ?[*·×] ?sigmoid\(-?x",
        three(N=(7, 4, 8), D=(3, 4, 4)), {"t": _given("chance", "N", "D")},
    ),
    Wrong(
        "cross-entropy with z-loss",
        "lse[n] := log(sum(c: exp(x[n,c]))); z[n] := lse[n]^2/1000; L := sum(n: lse[n] - x[n,t[n]] + z[n])/N",
        {"x": "N C", "t": "int<C: N"}, cross_entropy_z_loss,
        "x", ANY, _lacks(r"\bz\b|lse\S*\^2|lse\[n\] ?[*·]|[*·] ?lse|1/1000|0\.001|1/500|0\.002|\b500\b"),
        three(N=(5, 4, 8), C=(7, 4, 16)),
    ),
    Wrong(
        "masked BCE, mean over what counts",
        "count := sum(n, d: m[n,d]); "
        "L := sum(n, d: m[n,d]*(-t[n,d]*logsigmoid(x[n,d]) - (1 - t[n,d])*logsigmoid(-x[n,d])))/count",
        {"x": "N D", "t": "N D", "m": "N D"}, masked_bce,
        "x", ANY, r"\bm\b|mask|\bcount\b", three(N=(5, 4, 8), D=(7, 4, 4)),
        {"t": _given("chance", "N", "D"), "m": _given("mask", "N", "D")},
    ),
    Wrong(
        "KL to the standard normal", "L := sum(n, d: mu[n,d]^2 + exp(lv[n,d]) - lv[n,d] - 1)/(2*N)", {"mu": "N D", "lv": "N D"}, vae_kl,
        "lv", ANY, r"exp\(\S*lv|exp\(1/2|\bstd\b|sigma|σ|deviation|variance|square[- ]root|sqrt|√", three(N=(5, 4, 8), D=(3, 4, 2)),
    ),
    Wrong(
        "focal loss",
        "q[n] := exp(x[n,t[n]])/sum(c: exp(x[n,c])); f[n] := (1 - q[n])^2; L := -sum(n: f[n]*log(q[n]))/N",
        {"x": "N C", "t": "int<C: N"}, focal,
        "x", ANY, _lacks(r"\bf\b|modulat|focal|\(1 ?[-−] ?q"), three(N=(7, 4, 8), C=(5, 4, 4)),
    ),
    Wrong(
        "distillation",
        "lse[n] := log(sum(c: exp(x[n,c]/tau))); L := tau^2*sum(n, c: p[n,c]*(lse[n] - x[n,c]/tau))/N",
        {"x": "N C", "p": "N C", "tau": ""}, distillation,
        "x", ANY, r"\btau\b|temperature", three(N=(3, 4, 8), C=(5, 4, 16)),
        {"p": _given("distribution", "N", "C"), "tau": _given("positive")},
    ),
    Wrong(
        "CLIP's symmetric loss",
        "rows[i] := log(sum(j: exp(s[i,j]))); cols[j] := log(sum(i: exp(s[i,j]))); "
        "la := sum(i: rows[i] - s[i,i])/N; lb := sum(j: cols[j] - s[j,j])/N; L := (la + lb)/2",
        {"s": "N N"}, clip_loss,
        "s", ANY, _lacks(r"\blb\b|\bcols\b|column|second|symmetr|other direction|transpos"), three(N=(5, 4, 8)),
    ),
    Wrong(
        "LayerNorm",
        "mean[n] := sum(d: x[n,d])/D; rstd[n] := (sum(d: (x[n,d] - mean[n])^2)/D + 1/100000)^(-1/2); "
        "h[n,d] := (x[n,d] - mean[n])*rstd[n]; y[n,d] := h[n,d]*w[d] + b[d]",
        {"x": "N D", "w": "D", "b": "D"}, layer_norm,
        "w", ANY, r"\by\b|(?<!grad_)(?<!grad )\boutput\b|affine|h\S* ?[*·] ?w\S* ?\+ ?b", three(N=(5, 4, 8), D=(7, 4, 16)),
    ),
    Wrong(
        "RMSNorm", "r[n] := (sum(d: x[n,d]^2)/D + 1/100000)^(-1/2); y[n,d] := x[n,d]*r[n]*w[d]", {"x": "N D", "w": "D"}, rms_norm,
        "x", ANY, _lacks(r"\bw\b|weight") + r"|\bw\b.*\b(only|one)\b", three(N=(5, 4, 8), D=(3, 4, 16)),
    ),
    Wrong(
        "BatchNorm in eval mode", "y[n,c,l] := (x[n,c,l] - mu[c])*(v[c] + 1/100000)^(-1/2)*w[c] + b[c]",
        {"x": "N C L", "mu": "C", "v": "C", "w": "C", "b": "C"}, batch_norm_eval,
        "x", ANY, r"training|\beval|batch stat|statistic|running|extra(?! factor)|superfluous|surplus|subtract|cent(re|er)|should not|spurious|too much",
        three(N=(3, 4, 8), C=(2, 4, 4), L=(5, 4, 2)), {"v": _given("positive", "C")},
    ),
    Wrong(
        "GroupNorm",
        "mean[n,g] := sum(c, l: x[n,g,c,l])/(C*L); rstd[n,g] := (sum(c, l: (x[n,g,c,l] - mean[n,g])^2)/(C*L) + 1/100000)^(-1/2); "
        "y[n,g,c,l] := (x[n,g,c,l] - mean[n,g])*rstd[n,g]*w[g,c]",
        {"x": "N G C L", "w": "G C"}, group_norm,
        "x", ANY,
        r"over c\b|\bc, ?l\b|\bc and l\b|instance|per[- ](channel|group)|(whole|each) group|\baxis\b|\baxes\b|C ?[·*×] ?L|divided by L\b|over l\b",
        three(N=(2, 3, 4), G=(3, 3, 2), C=(5, 3, 4), L=(7, 3, 8)),
    ),
    Wrong(
        "InstanceNorm",
        "mean[n,c] := sum(l: x[n,c,l])/L; rstd[n,c] := (sum(l: (x[n,c,l] - mean[n,c])^2)/L + 1/100000)^(-1/2); "
        "y[n,c,l] := (x[n,c,l] - mean[n,c])*rstd[n,c]",
        {"x": "N C L"}, instance_norm,
        "x", ANY, r"\beps|ε|epsilon|1e-0?5|0\.00001|1/100000|10\^\(?-5|\b100000\b", three(N=(3, 4, 8), C=(2, 4, 4), L=(5, 4, 16)),
    ),
    Wrong(
        "sliding window attention",
        "e[t,u] := [t - u >= 0]*[t - u <= 1]*exp(sum(d: q[t,d]*k[u,d])/D^(1/2)); z[t] := sum(u: e[t,u]); prob[t,u] := e[t,u]/z[t]; "
        "y[t,d] := sum(u: prob[t,u]*v[u,d])",
        {"q": "T D", "k": "T D", "v": "T D"}, window_attention,
        "v", ANY, r"mask|window|off[- ]by[- ]one|boundar|\bband|\bt ?- ?u ?(<|≤|>|≥|==)|\bu ?- ?t ?(<|≤|>|≥|==|\+)|u ?- ?t ?\+ ?1", three(T=(7, 4, 8), D=(3, 4, 2)),
    ),
    Wrong(
        "relative position bias",
        "s[t,u] := sum(d: q[t,d]*k[u,d]) + b[bucket[t,u]]; prob[t,u] := exp(s[t,u])/sum(w: exp(s[t,w])); "
        "y[t,d] := sum(u: prob[t,u]*v[u,d])",
        {"q": "T D", "k": "T D", "v": "T D", "b": "B", "bucket": "int<B: T T"}, relative_bias,
        "b", ANY, r"softmax|jacobian|\bprob\b|\bprob_bar is read|normali[sz]|\bexp\b", three(T=(5, 4, 8), D=(3, 4, 4), B=(7, 4, 4)),
    ),
    Wrong(
        "rotary embedding by halves",
        "y[t, i < (2*H)] := [i < H]*(x[t,i]*c[t,i] - x[t,i+H]*s[t,i]) + [i >= H]*(x[t,i]*c[t,i-H] + x[t,i-H]*s[t,i-H])",
        {"x": "T 2*H", "c": "T H", "s": "T H"}, rotary_halves,
        "x", ANY, r"interleav|\bhal(f|ves)\b|\bpair|layout|permut|\bi ?[+-] ?H\b|i ?// ?2|2 ?\* ?[ih]\b|rearrang|reorder", three(T=(5, 4, 8), H=(3, 4, 2)),
    ),
    Wrong(
        "SwiGLU",
        "u[n,o] := sum(i: x[n,i]*W[o,i]); v[n,o] := sum(i: x[n,i]*V[o,i]); y[n,o] := u[n,o]*sigmoid(u[n,o])*v[n,o]",
        {"x": "N I", "W": "O I", "V": "O I"}, swiglu,
        "W", ANY,
        r"swap|exchang|interchang|(gradient|grad|that|derivative|one) (of|for|with respect to|wrt) [`'\"]?V\b|\bV's|(equals|is) [`'\"]?V\b|belongs to|other way|mixed up|V_bar|grad(ient)? V\b|dV\b",
        three(N=(5, 4, 8), I=(3, 4, 4), O=(7, 4, 16)),
    ),
    Wrong(
        "tied embedding", "h[n,d] := tanh(E[ids[n],d]); y[n,v] := sum(d: h[n,d]*E[v,d])", {"E": "V D", "ids": "int<V: N"}, tied_embedding,
        "E", ANY, _lacks(r"\bids\b|look-?up|embedding|gather|scatter|\bh\b|first use|input side"), three(N=(5, 4, 8), V=(7, 4, 4), D=(3, 4, 2)),
    ),
    Wrong(
        "vector quantization",
        "e[n,d] := E[ids[n],d]; es[n,d] := e[n,d] (no gradient); xs[n,d] := x[n,d] (no gradient); "
        "L := sum(n, d: (xs[n,d] - e[n,d])^2)/(N*D) + sum(n, d: (x[n,d] - es[n,d])^2)/(4*N*D)",
        {"x": "N D", "E": "V D", "ids": "int<V: N"}, vector_quantization,
        "E", ANY, r"detach|no[ _-]gradient|stop[- _]?grad|5/4|1\.25|1/4|\bes\b|commitment|blocked", three(N=(7, 4, 8), D=(3, 4, 4), V=(5, 4, 4)),
    ),
    Wrong(
        "contrastive loss",
        "d[n] := sum(i: (a[n,i] - b[n,i])^2)^(1/2); near[n] := t[n]*d[n]^2; far[n] := (1 - t[n])*[4 - d[n] > 0]*(4 - d[n])^2; "
        "L := sum(n: near[n] + far[n])/N",
        {"a": "N D", "b": "N D", "t": "N"}, contrastive,
        "a", ANY, r"2×|1/2|0\.5|twice|(factor|coefficient) (of )?2|\bhalf|doubl|times 2|2 times|2 (is )?missing",
        three(N=(11, 9, 16), D=(3, 3, 2)), {"t": _given("mask", "N")},
    ),
    Wrong(
        "max pooling", "w[n, p < (L//2)] := argmax(u < 2: x[n,2*p+u]); y[n,p] := x[n, 2*p + w[n,p]]; output y", {"x": "N L"}, max_pool,
        "x", ANY, r"window|offset|2 ?[*·]? ?p\b|argmax|wrong (place|position|index|element)|another (place|position|index|element)|scatter|position of the max",
        three(N=(3, 4, 8), L=(7, 8, 16)),
    ),
    Wrong(
        "GRU's update gate", "z[n,k] := sigmoid(u[n,k]); y[n,k] := (1 - z[n,k])*tanh(c[n,k]) + z[n,k]*h[n,k]",
        {"u": "N K", "c": "N K", "h": "N K"}, gru_update,
        "u", ANY, r"\bsign|[-−]1 ?×|[-−]1 times|factor (of )?[-−]1|negat|opposite|minus|flipped", three(N=(5, 4, 8), K=(3, 4, 2)),
    ),
    Wrong(
        "LSTM cell",
        "cn[n,k] := sigmoid(f[n,k])*c[n,k] + sigmoid(i[n,k])*tanh(g[n,k]); h[n,k] := sigmoid(o[n,k])*tanh(cn[n,k]); output h; output cn",
        {"f": "N K", "i": "N K", "g": "N K", "o": "N K", "c": "N K"}, lstm_cell,
        "c", ANY, _lacks(r"\bcn|grad_output_1|second output|upstream"), three(N=(5, 4, 8), K=(3, 4, 2)),
    ),
    Wrong(
        "linear recurrence", "h[n,t] := [t == 0]*x[n,t] + [t >= 1]*(a[n,t]*h[n,t-1] + x[n,t])", {"a": "N T", "x": "N T"}, linear_recurrence,
        "a", ANY, r"\bt ?[-−] ?1\b|\bt ?\+ ?1\b|previous|shift|off[- ]by[- ]one|\bbefore\b|earlier|neighbou?r|one (step|position)|\blag\b|delay",
        three(N=(3, 4, 8), T=(5, 4, 8)),
    ),
    Wrong(
        "weighted average", "total[n] := sum(t: w[n,t]); y[n,d] := sum(t: w[n,t]*x[n,t,d])/total[n]", {"x": "N T D", "w": "N T"}, weighted_average,
        "w", ANY, _lacks(r"\btotal\b|normali[sz]|denominator|\by\b|sum of the weights"),
        three(N=(3, 4, 8), T=(5, 4, 4), D=(2, 4, 2)), {"w": _given("positive", "N", "T")},
    ),
    Wrong(
        "rotation by a quaternion", "r[n] := sum(k: q[n,k]^2)^(1/2); " + _ROTATE, {"q": "N 4", "p": "N 3"}, quaternion_rotate,
        "q", ANY, r"\br\b|\bnorm|\bunit|length|projection", three(N=(5, 4, 8)),
    ),
    Wrong(
        "grouped query attention",
        "s[h,g,t,u] := sum(d: q[h,g,t,d]*k[h,u,d])/D^(1/2); prob[h,g,t,u] := exp(s[h,g,t,u])/sum(w: exp(s[h,g,t,w])); "
        "y[h,g,t,d] := sum(u: prob[h,g,t,u]*v[h,u,d])",
        {"q": "H G T D", "k": "H T D", "v": "H T D"}, grouped_query,
        "k", ANY,
        r"(sum|only|last|over|across|all).*\bg\b|\bg\b.*(sum|only|last)|\bgroup|query heads|overwrit|accumulat|sqrt|√|\^\(?-?1/2|softmax scale|scale factor|D\^|√D",
        three(H=(2, 3, 2), G=(3, 3, 4), T=(5, 3, 8), D=(7, 3, 4)),
    ),
    Wrong(
        "squeeze and excite",
        "pooled[n,c] := sum(l: x[n,c,l])/L; z[n,c] := sum(k: W[c,k]*pooled[n,k]); gate[n,c] := sigmoid(z[n,c]); y[n,c,l] := x[n,c,l]*gate[n,c]",
        {"x": "N C L", "W": "C C"}, squeeze_excite,
        "x", ANY,
        r"L×|L times|factor (of )?L\b|divided by L\b|1/L\b|/ ?L\b|(mean|average) over l\b|sigmoid'|gate\S* ?[*·]? ?\(1|1 ?[-−] ?(gate|sigmoid)"
        r"|derivative of (the )?(sigmoid|gate)|(sigmoid|gate)('s)? (derivative|slope)",
        three(N=(5, 4, 8), C=(3, 4, 4), L=(7, 4, 16)),
    ),
)  # fmt: skip


def main() -> None:
    from benchmarks.diagnosis import results, table

    table("fresh", results(SET), verbose=True)


if __name__ == "__main__":
    main()
