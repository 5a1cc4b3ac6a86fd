# ruff: noqa: E501
"""Fifteen wrong backwards of common kinds, of layers and losses that no other set has.

The accepted words were fixed before the first run: right 29, none 13, wrong 3 of 45.  The 3 were of the entropy: "it is the
gradient of logp that was returned", which is true; that was accepted afterwards.  One none had a mask of ones: nothing was wrong.
Alone: ``python -m benchmarks.wrong_backwards.common``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.wrong_backwards.fresh import _given, _lacks, _softmax_back
from benchmarks.wrong_backwards.unseen import ANY
from benchmarks.wrong_backwards.wrong import Wrong, three

KEEP = 0.75


def hard_swish(grad_output, x):  # SiLU's derivative
    s = torch.sigmoid(x)
    return {"x": grad_output * s * (1 + x * (1 - s))}


def smooth_l1(grad_output, x, t):  # beta = 2 not divided by within the quadratic part
    r = x - t
    return {"x": grad_output * torch.where(r.abs() < 2, r, r.sign()) / x.numel()}


def charbonnier(grad_output, x, t):  # no root over the denominator
    r = x - t
    return {"x": grad_output * r / (r * r + 0.01)}


def layer_norm_2d(grad_output, x):  # the second mean over the last axis alone
    mu = x.mean((1, 2), keepdim=True)
    r = (x.var((1, 2), keepdim=True, unbiased=False) + 1e-5).rsqrt()
    h = (x - mu) * r
    return {"x": r * (grad_output - grad_output.mean((1, 2), keepdim=True) - h * (grad_output * h).mean(2, keepdim=True))}


def attention_dropout(grad_output, s, v, keep):  # dropout's 1/(1-p) left out on the way back to the scores
    prob = torch.softmax(s, 1)
    return {"s": _softmax_back(prob, grad_output @ v.T * keep), "v": (prob * keep / KEEP).T @ grad_output}


def entropy(grad_output, x):  # as if the probabilities did not share a sum
    logp = torch.log_softmax(x, 1)
    return {"x": -grad_output[:, None] * logp.exp() * (logp + 1)}


def ppo_clip(grad_output, lp, old, adv):  # the gradient flows where the ratio was clipped
    ratio = (lp - old).exp()
    return {"lp": -grad_output * ratio * adv / lp.numel()}


def dilated_conv(grad_output, x, w):  # dw with the taps side by side
    L = grad_output.shape[1]
    dw = torch.stack([(grad_output * x[:, k : k + L]).sum() for k in range(w.shape[0])])
    return {"w": dw}


def overlapping_max_pool(grad_output, x):  # windows share elements, and the last one overwrites
    P = grad_output.shape[1]
    place = x.unfold(1, 3, 1).argmax(2) + torch.arange(P)
    dx = torch.zeros_like(x)
    for p in range(P):
        dx[torch.arange(len(x)), place[:, p]] = grad_output[:, p]
    return {"x": dx}


def interpolation(grad_output, x, i, f):  # the two weights change places
    left = torch.zeros_like(x).index_add(0, i, grad_output * f)
    return {"x": left.index_add(0, i + 1, grad_output * (1 - f))}


def graph_mean(grad_output, x, src, dst, deg):  # divided by the degree of the source, not of the destination
    return {"x": torch.zeros_like(x).index_add(0, src, grad_output[dst] / deg[src][:, None])}


def state_space(grad_output, a, x):  # the decay is exp(a), and da lacks its derivative
    decay, h, T = a.exp(), [x[:, 0]], x.shape[1]
    for t in range(1, T):
        h.append(decay[:, t] * h[-1] + x[:, t])
    dh = [grad_output[:, T - 1]]
    for t in reversed(range(T - 1)):
        dh.insert(0, grad_output[:, t] + dh[0] * decay[:, t + 1])
    da = torch.stack([torch.zeros_like(h[0])] + [dh[t] * h[t - 1] for t in range(1, T)], 1)
    return {"a": da, "x": torch.stack(dh, 1)}


def complex_product(grad_output_0, grad_output_1, a, b, c, d):  # no conjugate
    return {"a": grad_output_0 * c - grad_output_1 * d, "b": grad_output_0 * d + grad_output_1 * c}


def weighted_nll(grad_output, x, t, w):  # the mean over N, where the weights' total is meant
    onehot = torch.nn.functional.one_hot(t, x.shape[1])
    return {"x": grad_output * w[t][:, None] * (torch.softmax(x, 1) - onehot) / len(t)}


def padded_attention(grad_output, s, v, m):  # probabilities recomputed without the padding mask
    prob = torch.softmax(s, 1)
    return {"v": prob.T @ grad_output}


def _log_probabilities(size, rng: torch.Generator) -> Tensor:
    return -2 * torch.rand(size["N"], generator=rng, dtype=torch.float64)


def _some_kept(size, rng: torch.Generator) -> Tensor:
    mask = (torch.rand(size["U"], generator=rng) < 0.6).double()
    mask[0], mask[1] = 1, 0
    return mask


SET = (
    Wrong(
        "hard swish", "y[n] := x[n]*([x[n] + 3 > 0]*[3 - x[n] > 0]*(x[n] + 3)/6 + [x[n] - 3 >= 0])", {"x": "N"}, hard_swish,
        "x", ANY, r"silu|swish|\bsigmoid", three(N=(23, 16, 32)),
        {"x": lambda size, rng: 3 * torch.randn(size["N"], generator=rng, dtype=torch.float64)},
    ),
    Wrong(
        "smooth L1 of beta 2",
        "r[n,d] := x[n,d] - t[n,d]; L := sum(n, d: [4 - r[n,d]^2 > 0]*r[n,d]^2/4 + [r[n,d]^2 - 4 >= 0]*((r[n,d]^2)^(1/2) - 1))/(N*D)",
        {"x": "N D", "t": "N D"}, smooth_l1,
        "x", ANY, r"2×|1/2|0\.5|twice|(factor|coefficient) (of )?2|\bhalf|doubl|2 times|\b2 (is )?missing|beta|power", three(N=(7, 4, 8), D=(5, 4, 4)),
    ),
    Wrong(
        "Charbonnier loss", "L := sum(n, d: ((x[n,d] - t[n,d])^2 + 1/100)^(1/2))", {"x": "N D", "t": "N D"}, charbonnier,
        "x", ANY, r"power|exponent|root|sqrt|√|\^\(?-?1/2|extra factor", three(N=(7, 4, 8), D=(3, 4, 4)),
    ),
    Wrong(
        "layer norm over two axes",
        "mean[n] := sum(c, l: x[n,c,l])/(C*L); rstd[n] := (sum(c, l: (x[n,c,l] - mean[n])^2)/(C*L) + 1/100000)^(-1/2); "
        "y[n,c,l] := (x[n,c,l] - mean[n])*rstd[n]",
        {"x": "N C L"}, layer_norm_2d,
        "x", ANY, r"(sum|mean|runs|averag|reduc).*\b(c|l|axis|axes)\b", three(N=(3, 4, 2), C=(5, 4, 8), L=(7, 4, 4)),
    ),
    Wrong(
        "attention with dropout",
        "z[t] := sum(u: exp(s[t,u])); prob[t,u] := exp(s[t,u])/z[t]; drop[t,u] := prob[t,u]*keep[t,u]*4/3; y[t,d] := sum(u: drop[t,u]*v[u,d])",
        {"s": "T U", "v": "U D", "keep": "T U"}, attention_dropout,
        "s", ANY, r"3/4|0\.75|4/3|1\.33|too small|drop", three(T=(5, 4, 8), U=(7, 4, 4), D=(3, 4, 2)), {"keep": _given("mask", "T", "U")},
    ),
    Wrong(
        "entropy of a softmax",
        "lse[n] := log(sum(c: exp(x[n,c]))); logp[n,c] := x[n,c] - lse[n]; H[n] := -sum(c: exp(logp[n,c])*logp[n,c])",
        {"x": "N C"}, entropy,
        "x", ANY, _lacks(r"\blse\b|normali[sz]|sum over c|softmax|jacobian") + r"|gradient of logp", three(N=(5, 4, 8), C=(7, 4, 16)),
    ),
    Wrong(
        "PPO's clipped objective",
        "r[n] := exp(lp[n] - old[n]); low[n] := [adv[n] > 0]*[6/5 - r[n] > 0]*r[n] + [adv[n] > 0]*[r[n] - 6/5 >= 0]*6/5 "
        "+ [-adv[n] >= 0]*[r[n] - 4/5 > 0]*r[n] + [-adv[n] >= 0]*[4/5 - r[n] >= 0]*4/5; L := -sum(n: low[n]*adv[n])/N",
        {"lp": "N", "old": "N", "adv": "N"}, ppo_clip,
        "lp", ANY, r"mask|clip|must be 0|6/5|4/5|piece", three(N=(31, 16, 32)),
        {"lp": _log_probabilities, "old": _log_probabilities},
    ),
    Wrong(
        "dilated convolution", "y[n, l < L - 2*K + 2] := sum(k < K: x[n, l + 2*k]*w[k])", {"x": "N L", "w": "K"}, dilated_conv,
        "w", ANY, r"stride|dilat|2 ?\*? ?k\b|l ?\+ ?k\b|position|offset", three(N=(5, 4, 2), L=(13, 12, 16), K=(3, 3, 4)),
    ),
    Wrong(
        "overlapping max pooling", "w[n, p < L - 2] := argmax(u < 3: x[n,p+u]); y[n,p] := x[n, p + w[n,p]]; output y", {"x": "N L"},
        overlapping_max_pool,
        "x", ANY, r"overwrit|only the last|scatter|accumulat|sum over|add", three(N=(3, 4, 8), L=(11, 8, 16)),
    ),
    Wrong(
        "linear interpolation", "y[m] := (1 - f[m])*x[i[m]] + f[m]*x[i[m]+1]", {"x": "K+1", "i": "int<K: M>", "f": "M"}, interpolation,
        "x", ANY, r"1 ?- ?f|exchang|swap|wrong way|\bf\b", three(K=(5, 4, 8), M=(13, 12, 16)), {"f": _given("chance", "M")},
    ),
    Wrong(
        "mean over a graph's edges", "y[v,d] := sum(e: [dst[e] == v]*x[src[e],d])/deg[v]",
        {"x": "V D", "src": "int<V: E>", "dst": "int<V: E>", "deg": "V"}, graph_mean,
        "x", ANY, r"deg", three(V=(5, 4, 8), E=(13, 12, 16), D=(3, 4, 2)), {"deg": _given("positive", "V")},
    ),
    Wrong(
        "diagonal state space", "h[n,t] := [t == 0]*x[n,t] + [t >= 1]*(exp(a[n,t])*h[n,t-1] + x[n,t])", {"a": "N T", "x": "N T"}, state_space,
        "a", ANY, _lacks(r"exp|\ba\b|deriv"), three(N=(3, 4, 8), T=(5, 4, 8)),
    ),
    Wrong(
        "complex product", "re[n] := a[n]*c[n] - b[n]*d[n]; im[n] := a[n]*d[n] + b[n]*c[n]; output re; output im",
        {"a": "N", "b": "N", "c": "N", "d": "N"}, complex_product,
        "a", ANY, r"sign|conjug|negat|minus", three(N=(7, 4, 8)),
    ),
    Wrong(
        "weighted negative log likelihood",
        "total := sum(n: w[t[n]]); lse[n] := log(sum(c: exp(x[n,c]))); L := sum(n: w[t[n]]*(lse[n] - x[n,t[n]]))/total",
        {"x": "N C", "t": "int<C: N>", "w": "C"}, weighted_nll,
        "x", ANY, r"divid|total|mean|normali[sz]", three(N=(7, 4, 8), C=(5, 4, 4)), {"w": _given("positive", "C")},
    ),
    Wrong(
        "attention with key padding", "e[t,u] := m[u]*exp(s[t,u]); z[t] := sum(u: e[t,u]); prob[t,u] := e[t,u]/z[t]; y[t,d] := sum(u: prob[t,u]*v[u,d])",
        {"s": "T U", "v": "U D", "m": "U"}, padded_attention,
        "v", ANY, _lacks(r"\bm\b|m\[|mask|padding"), three(T=(5, 4, 8), U=(7, 4, 4), D=(3, 4, 2)), {"m": _some_kept},
    ),
)  # fmt: skip


def main() -> None:
    from benchmarks.diagnosis import results, table

    table("common", results(SET), verbose=True)


if __name__ == "__main__":
    main()
