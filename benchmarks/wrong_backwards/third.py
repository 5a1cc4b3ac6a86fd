# ruff: noqa: E501
"""Thirty wrong backwards for thirty layers, one mistake each, written by someone who had read neither the hypotheses nor the sets they were tuned on.

The layers and the mistakes are others than in ``fresh``.  The accepted words were fixed before the first run.  The sentence alone is
judged, whatever kind of diagnosis it is.  A mistake in a value that several gradients share makes all of them wrong: the one named counts.
Alone: ``python -m benchmarks.wrong_backwards.third``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

from benchmarks.wrong_backwards.fresh import _given, _lacks, _softmax_back
from benchmarks.wrong_backwards.unseen import ANY
from benchmarks.wrong_backwards.wrong import Wrong, three

EPS = 1e-5
_SIGN = r"\bsign\b|[-−]1 ?×|[-−]1 times|factor (of )?[-−]1|negat|opposite|minus|flipped"


def _unless(wrong: str, says: str) -> str:
    """A pattern: ``says``, in a sentence that nowhere says ``wrong``."""
    return rf"^(?!(.|\n)*({wrong}))(.|\n)*({says})"


def _wide(*dims: str) -> Callable[[Mapping[str, int], torch.Generator], Tensor]:
    """Inputs that reach into the tails, beyond 3."""
    return lambda size, rng: 3 * torch.randn([size[d] for d in dims], generator=rng, dtype=torch.float64)


def _falling(*dims: str) -> Callable[[Mapping[str, int], torch.Generator], Tensor]:
    """Rates of decay between -1.5 and -0.5."""
    return lambda size, rng: -0.5 - torch.rand([size[d] for d in dims], generator=rng, dtype=torch.float64)


def _normalised(x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """x with mean 0 and variance 1 over the axes, and 1/std."""
    rstd = (x.var(axes, keepdim=True, unbiased=False) + EPS).rsqrt()
    return (x - x.mean(axes, keepdim=True)) * rstd, rstd


def causal_convolution(grad_output, x, w, b):  # dw from an input padded by K, forward padded by K - 1
    K, T = w.shape[1], x.shape[2]
    ahead, behind = pad(grad_output, (0, K - 1)), pad(x, (K, 0))
    dx = sum(ahead[:, :, K - 1 - k : K - 1 - k + T] * w[:, k, None] for k in range(K))
    dw = torch.stack([(grad_output * behind[:, :, k : k + T]).sum((0, 2)) for k in range(K)], 1)
    return {"x": dx, "w": dw, "b": grad_output.sum((0, 2))}


def grouped_convolution(grad_output, x, W):  # the loop over the groups is not there in dW
    K = W.shape[3]
    dW = torch.zeros_like(W)
    for g in range(1):
        dW[g] = torch.einsum("not,nctk->ock", grad_output[:, g], x[:, g].unfold(2, K, 1))
    ahead = pad(grad_output, (K - 1, K - 1)).unfold(3, K, 1)
    return {"x": torch.einsum("ngotk,gock->ngct", ahead, W.flip(3)), "W": dW}


def batch_norm_training(grad_output, x, w, b):  # the batch's variance held constant, its mean not
    h, rstd = _normalised(x, (0, 2))
    g = grad_output * w[:, None]
    return {"x": rstd * (g - g.mean((0, 2), keepdim=True)), "w": (grad_output * h).sum((0, 2)), "b": grad_output.sum((0, 2))}


def gemma_rms_norm(grad_output, x, w):  # Llama's weight w, where Gemma's is 1 + w
    r = ((x * x).mean(1, keepdim=True) + EPS).rsqrt()
    g = grad_output * w
    return {"x": r * g - x * r**3 * (g * x).mean(1, keepdim=True), "w": (grad_output * x * r).sum(0)}


def pixel_norm(grad_output, x):  # the sum over the channels for their mean
    r = ((x * x).mean(1, keepdim=True) + 1e-8).rsqrt()
    return {"x": r * grad_output - x * r**3 * (grad_output * x).sum(1, keepdim=True)}


def adaptive_layer_norm(grad_output, x, scale, shift):  # scale summed over the batch as LayerNorm's weight is, and made to fit
    h, rstd = _normalised(x, (2,))
    g = grad_output * (1 + scale[:, None, :])
    dx = rstd * (g - g.mean(2, keepdim=True) - h * (g * h).mean(2, keepdim=True))
    return {"x": dx, "scale": (grad_output * h).sum((0, 1)).expand_as(scale), "shift": grad_output.sum(1)}


def prelu(grad_output, x, a):  # the slope's gradient from the positive side
    dx = torch.where(x > 0, grad_output, grad_output * a[:, None])
    return {"x": dx, "a": (grad_output * x * (x > 0)).sum((0, 2))}


def attention_dropout(grad_output, q, k, v, m, keep):  # dropout replayed for dv, not for the probabilities
    scale = 1 / math.sqrt(q.shape[1])
    prob = torch.softmax(q @ k.T * scale, 1)
    dp = grad_output @ v.T
    ds = _softmax_back(prob, dp) * scale
    return {"q": ds @ k, "k": ds.T @ q, "v": (prob * m / keep).T @ grad_output}


def softcapped_attention(grad_output, q, k, v, cap):  # tanh' from the capped score, which is cap times the tanh
    scale = 1 / math.sqrt(q.shape[1])
    c = cap * torch.tanh(q @ k.T * scale / cap)
    prob = torch.softmax(c, 1)
    ds = _softmax_back(prob, grad_output @ v.T) * (1 - c**2) * scale
    return {"q": ds @ k, "k": ds.T @ q, "v": prob.T @ grad_output}


def attention_sink(grad_output, q, k, v, sink):  # a sink takes probability away: minus
    scale = 1 / math.sqrt(q.shape[2])
    s = torch.einsum("htd,hud->htu", q, k) * scale
    lse = torch.logaddexp(torch.logsumexp(s, 2), sink[:, None])[:, :, None]
    prob, lost = torch.exp(s - lse), torch.exp(sink[:, None] - lse[:, :, 0])
    dp = torch.einsum("htd,hud->htu", grad_output, v)
    delta = (prob * dp).sum(2, keepdim=True)
    ds = prob * (dp - delta) * scale
    return {
        "q": torch.einsum("htu,hud->htd", ds, k),
        "k": torch.einsum("htu,htd->hud", ds, q),
        "v": torch.einsum("htu,htd->hud", prob, grad_output),
        "sink": (lost * delta[:, :, 0]).sum(1),
    }


def slot_attention(grad_output, x, q, v):  # the slots compete, so softmax runs over k, and here its backward over n
    prob = torch.softmax(x @ q.T, 1)
    dp = v @ grad_output.T
    ds = prob * (dp - (prob * dp).sum(0, keepdim=True))
    return {"x": ds @ q, "q": ds.T @ x, "v": prob @ grad_output}


def linear_attention(grad_output, q, k, v):  # the lower triangle taken after transposing: each u sees its past
    ds = (grad_output @ v.T).tril()
    return {"q": ds @ k, "k": ds.T @ q, "v": (k @ q.T).tril() @ grad_output}


def multi_head_attention(grad_output, q, k, v):  # returned as q, v, k
    scale = 1 / math.sqrt(q.shape[2])
    prob = torch.softmax(torch.einsum("htd,hud->htu", q, k) * scale, 2)
    ds = _softmax_back(prob, torch.einsum("htd,hud->htu", grad_output, v)) * scale
    dk, dv = torch.einsum("htu,htd->hud", ds, q), torch.einsum("htu,htd->hud", prob, grad_output)
    return {"q": torch.einsum("htu,hud->htd", ds, k), "k": dv, "v": dk}


def rotary_pairs(grad_output, x, c, s):  # rotated onwards by the same angle, not back
    a, b = grad_output[:, :, 0], grad_output[:, :, 1]
    return {"x": torch.stack([a * c - b * s, b * c + a * s], 2)}


def token_shift(grad_output, x, mu):  # what the next token took is not given back
    before = pad(x, (0, 0, 1, 0))[:, :-1]
    dx = grad_output * mu
    return {"x": dx, "mu": (grad_output * (x - before)).sum((0, 1))}


def alpha_compositing(grad_output, a, col):  # a sample's own colour, and not what it hides behind it
    T = torch.cumprod(torch.cat([torch.ones_like(a[:, :1]), 1 - a[:, :-1]], 1), 1)
    da = T * torch.einsum("nc,nkc->nk", grad_output, col)
    return {"a": da, "col": (T * a)[:, :, None] * grad_output[:, None, :]}


def selective_scan(grad_output, x, dt, A, B, C):  # the input's step size forgotten in dx
    decay = torch.exp(dt[:, :, None] * A)
    push = dt[:, :, None] * B[:, None, :] * x[:, :, None]
    h = [push[0]]
    for t in range(1, len(x)):
        h.append(decay[t] * h[-1] + push[t])
    dh = [grad_output[-1, :, None] * C[-1]]
    for t in reversed(range(len(x) - 1)):
        dh.insert(0, grad_output[t, :, None] * C[t] + decay[t + 1] * dh[0])
    states, d = torch.stack(h), torch.stack(dh)
    through = d * decay * pad(states, (0, 0, 0, 0, 1, 0))[:-1]
    return {
        "x": torch.einsum("tds,ts->td", d, B),
        "dt": (through * A).sum(2) + torch.einsum("tds,ts->td", d, B) * x,
        "A": torch.einsum("tds,td->ds", through, dt),
        "B": torch.einsum("tds,td->ts", d, dt * x),
        "C": torch.einsum("td,tds->ts", grad_output, states),
    }


def lora(grad_output, x, W, A, B, alpha):  # g is scaled already when dz scales it
    scale = alpha / len(A)
    g = grad_output * scale
    dz = g @ B * scale
    return {"x": grad_output @ W + dz @ A, "W": grad_output.T @ x, "A": dz.T @ x, "B": g.T @ (x @ A.T)}


def siamese(grad_output, x, z, W):  # the second branch overwrites the first one's dW
    u, v = torch.tanh(x @ W.T), torch.tanh(z @ W.T)
    grads = {"W": torch.zeros_like(W)}
    for name, data, side, sign in (("x", x, u, 1), ("z", z, v, -1)):
        d = 2 * sign * grad_output[:, None] * (u - v) * (1 - side**2)
        grads[name] = d @ W
        grads["W"] = d.T @ data
    return grads


def glu(grad_output, x):  # sigmoid' is s (1 - s), and the gate was saved before its sigmoid
    a, b = x[:, 0], x[:, 1]
    return {"x": torch.stack([grad_output * torch.sigmoid(b), grad_output * a * b * (1 - b)], 1)}


def hard_swish(grad_output, x):  # the derivative of the swish that it stands for
    s = torch.sigmoid(x)
    return {"x": grad_output * (s + x * s * (1 - s))}


def gaussian_nll(grad_output, x, mu, v):  # 1/v differentiates to 1/v²
    k = grad_output / (2 * x.numel())
    d = x - mu
    return {"x": 2 * k * d / v, "mu": -2 * k * d / v, "v": k * (1 / v - d**2 / v)}


def reparameterised_sample(grad_output, mu, lv, e):  # log variance taken for log standard deviation
    return {"mu": grad_output, "lv": grad_output * e * torch.exp(lv / 2), "e": grad_output * torch.exp(lv / 2)}


def ppo(grad_output, lp, old, adv):  # the ratio's gradient where the clip had won, too
    r = torch.exp(lp - old)
    return {"lp": -grad_output * adv * r / len(lp)}


def actor_critic(grad_output, lp, v, ret):  # the policy's loss trains the baseline
    k = grad_output / len(v)
    return {"lp": -k * (ret - v), "v": k * (lp + v - ret)}


def log_cosh(grad_output, x, t):  # as if the loss were always the end of the graph
    return {"x": torch.tanh(x - t) / x.numel()}


def charbonnier(grad_output, x, t):  # the absolute value that it smooths
    d = x - t
    return {"x": grad_output * d / (d * d).sqrt() / x.numel()}


def weighted_cross_entropy(grad_output, x, t, w):  # the mean over rows, where it is over their weights
    weight = w[t][:, None]
    return {"x": grad_output * weight * (torch.softmax(x, 1) - one_hot(t, x.shape[1])) / len(t)}


def bilinear(grad_output, a, b, W):  # each W[o] transposed in da: only square ones let it pass
    return {
        "a": torch.einsum("no,oji,nj->ni", grad_output, W, b),
        "b": torch.einsum("no,oij,ni->nj", grad_output, W, a),
        "W": torch.einsum("no,ni,nj->oij", grad_output, a, b),
    }


def nearest_upsample(grad_output, x):  # downsampling for the adjoint of upsampling: the first copy alone
    return {"x": grad_output[:, :, ::2]}


_NORMALISED = (
    "mean[{0}] := sum({1}: x[{2}])/({3}); rstd[{0}] := (sum({1}: (x[{2}] - mean[{0}])^2)/({3}) + 1/100000)^(-1/2); "
    "h[{2}] := (x[{2}] - mean[{0}])*rstd[{0}]; "
)

SET = (
    Wrong(
        "causal depthwise convolution", "y[n,c,t < T] := sum(k: [t + k - K + 1 >= 0]*x[n,c,t+k-K+1]*w[c,k]) + b[c]",
        {"x": "N C T", "w": "C K", "b": "C"}, causal_convolution,
        "w", ANY,
        r"off[- ]by[- ]one|\bshift|\bpad(ded|ding)?\b|\bone (step|position|place|tap|element|too)|previous|\bearlier|\blater?\b|neighbou?r|delay|\blag\b"
        r"|wrong (position|index|place|element)|\bread at\b|x(\[[^\]]*\])? is read where|position.*\b1\b|index.*\b1\b",
        three(N=(3, 4, 8), C=(2, 4, 4), T=(7, 4, 16), K=(3, 4, 4)),
    ),
    Wrong(
        "grouped convolution", "y[n,g,o,t < (L - K + 1)] := sum(c, k: x[n,g,c,t+k]*W[g,o,c,k])",
        {"x": "N G C L", "W": "G O C K"}, grouped_convolution,
        "W", ANY, r"group|\bg ?(==|=|>|≥|>=|!=|≠) ?[01]|\bg\b.*(only|first|zero|\b0\b|rest|other|every|all)|(only|first|zero|\b0\b|rest|other|every|all).*\bg\b",
        three(N=(3, 3, 4), G=(2, 3, 4), C=(5, 3, 2), L=(7, 5, 8), O=(3, 3, 4), K=(3, 3, 2)),
    ),
    Wrong(
        "BatchNorm in training", _NORMALISED.format("c", "n, l", "n,c,l", "N*L") + "y[n,c,l] := h[n,c,l]*w[c] + b[c]",
        {"x": "N C L", "w": "C", "b": "C"}, batch_norm_training,
        "x", ANY, _lacks(r"\brstd|varianc|\bvar\b|\bstd\b|standard deviation|spread|scale statistic|h(\[[^\]]*\])? ?[*·×]|[*·×] ?h\["),
        three(N=(5, 4, 8), C=(2, 4, 4), L=(3, 4, 2)),
    ),
    Wrong(
        "RMSNorm with unit offset", "r[n] := (sum(d: x[n,d]^2)/D + 1/100000)^(-1/2); y[n,d] := x[n,d]*r[n]*(1 + w[d])", {"x": "N D", "w": "D"}, gemma_rms_norm,
        "x", ANY,
        r"\b1 ?\+ ?w\b|\bw(\[\w+\])? ?\+ ?1\b|\(1 ?\+|\+ ?1\)|plus (one|1)\b|\boffset|\bunit\b|\bthe (1|one)\b|(missing|lacks|left out)\W+(the )?(1|one)\b|identity",
        three(N=(5, 4, 8), D=(7, 4, 16)),
    ),
    Wrong(
        "pixel norm", "r[n,p] := (sum(c: x[n,c,p]^2)/C + 1/100000000)^(-1/2); y[n,c,p] := x[n,c,p]*r[n,p]", {"x": "N C P"}, pixel_norm,
        "x", ANY, r"\bC ?×|\bC times|(factor|coefficient|multiplied|scaled|divided|divide|large|times) (of |by )?C\b|1/C\b|/ ?C\b|\bmean\b|average|size of c\b|number of channels",
        three(N=(3, 4, 8), C=(5, 4, 8), P=(7, 4, 2)),
    ),
    Wrong(
        "adaptive LayerNorm", _NORMALISED.format("n,t", "d", "n,t,d", "D") + "y[n,t,d] := h[n,t,d]*(1 + scale[n,d]) + shift[n,d]",
        {"x": "N T D", "scale": "N D", "shift": "N D"}, adaptive_layer_norm,
        "scale", ANY,
        _unless(
            r"sum over n is missing|missing (the |a )?sum over n|not summed over n",
            r"(sum|add|reduc|accumulat|averag|over|across|mixed|shared|same|constant|vary|depend).*\bn\b|\bn\b.*(sum|add|reduc|accumulat|same|constant)"
            r"|\bbatch|too many (axes|sums|dim)|one (axis|sum|dimension) too|extra (sum|reduction|axis)",
        ),
        three(N=(3, 4, 8), T=(5, 4, 4), D=(7, 4, 16)),
    ),
    Wrong(
        "PReLU", "y[n,c,l] := [x[n,c,l] > 0]*x[n,c,l] + [x[n,c,l] <= 0]*a[c]*x[n,c,l]", {"x": "N C L", "a": "C"}, prelu,
        "a", ANY,
        _unless(
            r"not applied|\bmask is missing",
            r"invert|opposite (side|branch|condition|mask|half|case)|complement|(wrong|other) (side|branch|half|part|case)|negated|(>|≥|>=|<|<=|≤|>=) ?0\b|0 ?(>|≥|<|≤)"
            r"|(positive|negative) (part|side|half|region|branch|input|value|x|element|one)|(where|at|for) (x .*)?(positive|negative)|\bbranch|\bcondition",
        ),
        three(N=(3, 4, 8), C=(2, 4, 4), L=(5, 4, 16)),
    ),
    Wrong(
        "attention with dropout",
        "s[t,u] := sum(d: q[t,d]*k[u,d])/D^(1/2); prob[t,u] := exp(s[t,u])/sum(w: exp(s[t,w])); drop[t,u] := prob[t,u]*m[t,u]/keep; "
        "y[t,e] := sum(u: drop[t,u]*v[u,e])",
        {"q": "T D", "k": "U D", "v": "U E", "m": "T U", "keep": ""}, attention_dropout,
        "q", ANY, r"\bm\b|dropout|\bmask|\bdrop_bar\b|\bdrop\b",
        three(T=(5, 4, 8), U=(7, 4, 8), D=(3, 4, 4), E=(2, 4, 4)), {"m": _given("mask", "T", "U"), "keep": _given("chance")},
    ),
    Wrong(
        "attention with a soft cap",
        "s[t,u] := sum(d: q[t,d]*k[u,d])/D^(1/2); c[t,u] := cap*tanh(s[t,u]/cap); prob[t,u] := exp(c[t,u])/sum(w: exp(c[t,w])); "
        "y[t,e] := sum(u: prob[t,u]*v[u,e])",
        {"q": "T D", "k": "U D", "v": "U E", "cap": ""}, softcapped_attention,
        "q", ANY, r"\bcap\b|soft-?cap|tanh|\bc(\[[^\]]*\])? is read|1 ?[-−] ?c\b|\bc(\[[^\]]*\])?(\^2|²|\*\*2)|\boutput (is )?(used|read|taken)",
        three(T=(5, 4, 8), U=(7, 4, 8), D=(3, 4, 4), E=(2, 4, 2)), {"cap": _given("positive")},
    ),
    Wrong(
        "attention with sinks",
        "s[h,t,u] := sum(d: q[h,t,d]*k[h,u,d])/D^(1/2); z[h,t] := exp(sink[h]) + sum(u: exp(s[h,t,u])); prob[h,t,u] := exp(s[h,t,u])/z[h,t]; "
        "y[h,t,d] := sum(u: prob[h,t,u]*v[h,u,d])",
        {"q": "H T D", "k": "H U D", "v": "H U D", "sink": "H"}, attention_sink,
        "sink", ANY, _SIGN, three(H=(2, 4, 4), T=(5, 4, 8), U=(7, 4, 8), D=(3, 4, 2)),
    ),
    Wrong(
        "slot attention",
        "s[n,k] := sum(d: x[n,d]*q[k,d]); prob[n,k] := exp(s[n,k])/sum(j: exp(s[n,j])); y[k,e] := sum(n: prob[n,k]*v[n,e])",
        {"x": "N D", "q": "K D", "v": "N E"}, slot_attention,
        "q", ANY,
        r"\baxis\b|\baxes\b|(over|along|across|runs|sum\() ?n\b.*(\bk\b|\bj\b|instead|\bnot\b|slot|expected|should)|(over|along|across|sum\() ?[kj]\b.*(\bn\b|instead|\bnot\b)"
        r"|wrong (dim|dimension|index)|dim(ension)? ?=? ?[01]\b|over (the )?(slots|inputs|columns|rows)",
        three(N=(7, 4, 8), K=(3, 4, 4), D=(5, 4, 8), E=(2, 4, 4)),
    ),
    Wrong(
        "causal linear attention", "s[t,u] := [u <= t]*sum(d: q[t,d]*k[u,d]); y[t,e] := sum(u: s[t,u]*v[u,e])",
        {"q": "T D", "k": "T D", "v": "T E"}, linear_attention,
        "v", ANY,
        _unless(
            r"mask (is )?(not applied|missing|ignored)",
            r"causal|\bmask|\btril|\btriu|triang|future|\bpast\b|direction|revers|backwards? in time|\b[ut] ?(<=|<|>=|>|≤|≥) ?[ut]\b|\b[ut] ?[-−] ?[ut]\b",
        ),
        three(T=(5, 4, 8), D=(3, 4, 2), E=(2, 4, 4)),
    ),
    Wrong(
        "multi-head attention",
        "s[h,t,u] := sum(d: q[h,t,d]*k[h,u,d])/D^(1/2); prob[h,t,u] := exp(s[h,t,u])/sum(w: exp(s[h,t,w])); "
        "y[h,t,d] := sum(u: prob[h,t,u]*v[h,u,d])",
        {"q": "H T D", "k": "H U D", "v": "H U D"}, multi_head_attention,
        "k", ANY,
        r"swap|exchang|interchang|(gradient|grad|that|derivative|one) (of|for|with respect to|wrt) [`'\"]?v\b|\bv's|(equals|is) [`'\"]?v\b|belongs to|other way|mixed up|\bv_bar|\bgrad(ient)? v\b|\bdv\b"
        r"|order (of|in)",
        three(H=(2, 4, 2), T=(5, 4, 8), U=(7, 4, 8), D=(3, 4, 4)),
    ),
    Wrong(
        "rotary embedding by pairs",
        "y[t,h,j < 2] := [j == 0]*(x[t,h,0]*c[t,h] - x[t,h,1]*s[t,h]) + [j == 1]*(x[t,h,1]*c[t,h] + x[t,h,0]*s[t,h])",
        {"x": "T H 2", "c": "T H", "s": "T H"}, rotary_pairs,
        "x", ANY, _SIGN + r"|inverse|transpos|direction|revers|wrong way|rotat|[-−] ?s\b|swap|exchang",
        three(T=(5, 4, 8), H=(3, 4, 2)),
    ),
    Wrong(
        "token shift", "y[n,t,d] := x[n,t,d]*mu[d] + [t >= 1]*x[n,t-1,d]*(1 - mu[d])", {"x": "N T D", "mu": "D"}, token_shift,
        "x", ANY, _lacks(r"\bt ?[-−+] ?1\b|shift|previous|\bnext\b|earlier|\blater\b|1 ?[-−] ?mu\b|\bmu(\[\w+\])? ?[-−] ?1|second (term|path|use|read)|neighbou?r|(other|one of the) (path|term|use|read)"),
        three(N=(3, 4, 8), T=(5, 4, 16), D=(2, 4, 4)),
    ),
    Wrong(
        "alpha compositing", "T[n,k] := [k == 0] + [k >= 1]*T[n,k-1]*(1 - a[n,k-1]); y[n,c] := sum(k: T[n,k]*a[n,k]*col[n,k,c])",
        {"a": "N K", "col": "N K 3"}, alpha_compositing,
        "a", ANY,
        _unless(
            r"factor (of )?T\b",
            _lacks(r"(?<!')\bT\b|\bT_bar|transmittance|recurren|recursion|\blater\b|behind|occlu|1 ?[-−] ?a\b|\bk ?[-−+] ?1\b"),
        ),
        three(N=(3, 4, 8), K=(5, 4, 8)), {"a": _given("chance", "N", "K")},
    ),
    Wrong(
        "selective scan",
        "h[t,d,s] := [t >= 1]*exp(dt[t,d]*A[d,s])*h[t-1,d,s] + dt[t,d]*B[t,s]*x[t,d]; y[t,d] := sum(s: C[t,s]*h[t,d,s])",
        {"x": "T D", "dt": "T D", "A": "D S", "B": "T S", "C": "T S"}, selective_scan,
        "x", ANY,
        _unless(r"path (through|via|of) dt", _lacks(r"\bdt\b") + r"|1/dt\b|/ ?dt\b|(factor|times|multiplied by|scaled by|divided by) (of )?dt\b|step size|discreti[sz]"),
        three(T=(5, 4, 8), D=(3, 4, 2), S=(2, 4, 4)), {"dt": _given("chance", "T", "D"), "A": _falling("D", "S")},
    ),
    Wrong(
        "LoRA", "z[n,k] := sum(i: x[n,i]*A[k,i]); y[n,o] := sum(i: x[n,i]*W[o,i]) + alpha/R*sum(k: z[n,k]*B[o,k])",
        {"x": "N I", "W": "O I", "A": "R I", "B": "O R", "alpha": ""}, lora,
        "A", ANY, _unless(r"missing|ignored|left out|lacks", r"\balpha\b|/ ?R\b|1/R|\bscal(e|ing)\b.*(twice|again|squared)|twice.*\bscal"),
        three(N=(5, 4, 16), I=(7, 4, 8), O=(2, 4, 8), R=(3, 4, 4)), {"alpha": _given("positive")},
    ),
    Wrong(
        "siamese network",
        "u[n,o] := tanh(sum(i: x[n,i]*W[o,i])); v[n,o] := tanh(sum(i: z[n,i]*W[o,i])); y[n] := sum(o: (u[n,o] - v[n,o])^2)",
        {"x": "N I", "z": "N I", "W": "O I"}, siamese,
        "W", ANY, r"overwrit|accumulat|\+=|only (the )?(last|second|one|path|use|v\b|z\b)|one of (the )?(two|both)|" + _lacks(r"\bx\b|\bu\b|\bu_bar|first|branch|one of"),
        three(N=(5, 4, 8), I=(3, 4, 4), O=(7, 4, 2)),
    ),
    Wrong(
        "GLU", "s[n,d] := sigmoid(x[n,1,d]); y[n,d] := x[n,0,d]*s[n,d]", {"x": "N 2 D"}, glu,
        "x", ANY,
        _unless(
            r"(derivative|slope|path).*(missing|left out)",
            r"sigmoid|σ|pre-?activat|before (the|its) activat|\bactivat|\bs(\[[^\]]*\])? is meant|\bx(\[[^\]]*\])? is read|\bx(\[[^\]]*\])? (in place of|instead of|for) s\b",
        ),
        three(N=(5, 4, 8), D=(3, 4, 4)),
    ),
    Wrong(
        "hard swish", "y[n,d] := [x[n,d] > -3]*[x[n,d] < 3]*x[n,d]*(x[n,d] + 3)/6 + [x[n,d] >= 3]*x[n,d]", {"x": "N D"}, hard_swish,
        "x", ANY, r"(?<!hard )(?<!hard)(?<!hard-)(?<!hard_)swish|silu|(?<!hard )(?<!hard)(?<!hard-)(?<!hard_)sigmoid|σ|(another|other|different|wrong|similar|smooth) (function|variant|activation|derivative)|exp\(-?x",
        three(N=(7, 4, 8), D=(5, 4, 4)), {"x": _wide("N", "D")},
    ),
    Wrong(
        "Gaussian NLL", "L := sum(n, d: log(v[n,d]) + (x[n,d] - mu[n,d])^2/v[n,d])/(2*N*D)", {"x": "N D", "mu": "N D", "v": "N D"}, gaussian_nll,
        "v", ANY,
        r"power|exponent|\bv(\[[^\]]*\])?(\^|²|\*\*|⁻)|\bsquare|1/v\b|/ ?v\b|\bv(\[[^\]]*\])? ?×|(factor|coefficient|times|multiplied|divided|large|scaled) (of |by )?\(?(1/)?v\b|\bv(\[[^\]]*\])? times",
        three(N=(5, 4, 8), D=(3, 4, 2)), {"v": _given("positive", "N", "D")},
    ),
    Wrong(
        "reparameterised sample", "y[n,d] := mu[n,d] + exp(lv[n,d]/2)*e[n,d]", {"mu": "N D", "lv": "N D", "e": "N D"}, reparameterised_sample,
        "lv", ANY, r"1/2\b|0\.5\b|\bhalf\b|halv|(factor|coefficient) (of )?2\b|\b2 ?×|twice|doubl|\b2 times|times 2\b|two times|/ ?2\b",
        three(N=(5, 4, 8), D=(3, 4, 2)),
    ),
    Wrong(
        "PPO's clipped surrogate",
        "r[n] := exp(lp[n] - old[n]); u[n] := r[n]*adv[n]; "
        "c[n] := ([r[n] < 4/5]*4/5 + [r[n] > 6/5]*6/5 + [r[n] >= 4/5]*[r[n] <= 6/5]*r[n])*adv[n]; L := -sum(n: [u[n] <= c[n]]*u[n] + [u[n] > c[n]]*c[n])/N",
        {"lp": "N", "old": "N", "adv": "N"}, ppo,
        "lp", ANY,
        r"\bclip|clamp|\bsaturat|\b[ruc](\[n\])? ?(<=|<|>=|>|≤|≥|-|−)|1\.2\b|0\.8\b|6/5|4/5|outside|\bmin\b|minimum|\bmask|\bcondition|\bbranch",
        three(N=(11, 9, 16)),
    ),
    Wrong(
        "actor-critic loss",
        "base[n] := v[n] (no gradient); L := sum(n: -lp[n]*(ret[n] - base[n]))/N + sum(n: (ret[n] - v[n])^2)/(2*N)",
        {"lp": "N", "v": "N", "ret": "N"}, actor_critic,
        "v", ANY, r"detach|no[ _-]gradient|stop[- _]?grad|\bbase\b|baseline|blocked|\blp\b|policy|\bactor\b", three(N=(7, 9, 8)),
    ),
    Wrong(
        "log-cosh loss", "L := sum(n, d: log(cosh(x[n,d] - t[n,d])))/(N*D)", {"x": "N D", "t": "N D"}, log_cosh,
        "x", ANY,
        _lacks(r"upstream|grad_output|incoming") + r"|(right|correct|holds|true) only (for|at|if|where|when).*(upstream|grad_output|incoming)"
        r"|(not (used|read|multiplied)|does not depend|independent|as if|factor).*(upstream|grad_output|incoming)|(upstream|grad_output|incoming).*(not (used|read|multiplied)|taken (as|for|to be) 1|= ?1)|1/grad_output",
        three(N=(5, 4, 8), D=(3, 4, 2)),
    ),
    Wrong(
        "Charbonnier loss", "L := sum(n, d: ((x[n,d] - t[n,d])^2 + 1/1000000)^(1/2))/(N*D)", {"x": "N D", "t": "N D"}, charbonnier,
        "x", ANY, r"\beps|ε|1e-0?6|1/1000000|10\^\(?-6|\b1000000\b|0\.000001|\bsign\(|\bsgn\(|\bL1\b|absolute value|\babs\b", three(N=(5, 4, 8), D=(3, 4, 2)),
    ),
    Wrong(
        "class-weighted cross-entropy",
        "lse[n] := log(sum(c: exp(x[n,c]))); total := sum(n: w[t[n]]); L := sum(n: w[t[n]]*(lse[n] - x[n,t[n]]))/total",
        {"x": "N C", "t": "int<C: N", "w": "C"}, weighted_cross_entropy,
        "x", ANY, r"\btotal\b|(sum|mean|average) (of|over) (the |its |their )?(class )?weights|divided by N\b|/ ?N\b|1/N\b|number of rows|batch size|sum\(n: ?w\[t\[n\]\]\)|Σ_?n? ?w\[t",
        three(N=(5, 4, 8), C=(7, 4, 16)), {"w": _given("positive", "C")},
    ),
    Wrong(
        "bilinear layer", "y[n,o] := sum(i, j: a[n,i]*W[o,i,j]*b[n,j])", {"a": "N D", "b": "N D", "W": "O D D"}, bilinear,
        "a", ANY, r"\bW\b.*transpos|transpos.*\bW\b|\b[ij] and [ij]\b|\bW\.T\b|\bmT\b|Wᵀ|W\^T|(indices|axes|index) of W|W's (indices|axes)|(swap|exchang|interchang|permut).*\bW\b|\bW\b.*(swap|exchang|interchang|permut)|W\[\w+, ?\w+, ?\w+\].*W\[\w+, ?\w+, ?\w+\]",
        three(N=(5, 4, 8), D=(3, 4, 4), O=(7, 4, 2)),
    ),
    Wrong(
        "nearest upsampling", "y[n,c,t < (2*L)] := x[n,c,t//2]", {"x": "N C L"}, nearest_upsample,
        "x", ANY,
        _unless(
            r"sum over [nc]\b",
            r"(missing|not|lack|left out|without|dropped|skipp|ignor).*(\bsum|\bcop(y|ies)|repeat|accumulat|\badd|\bodd|second|\+ ?1\b|other)|(\bsum|\bcop(y|ies)|repeat|\bodd|second|\+ ?1\b).*(missing|not |left out|lack|dropped|skipp|ignor)"
            r"|only (the )?(first|even|one|every)|every (other|second)|first of|\beven\b|overwrit|accumulat|scatter",
        ),
        three(N=(3, 4, 8), C=(2, 4, 4), L=(5, 4, 8)),
    ),
)  # fmt: skip


def main() -> None:
    from benchmarks.diagnosis import results, table

    table("third", results(SET), verbose=True)


if __name__ == "__main__":
    main()
