# ruff: noqa: E501
"""Wrong backwards of layers that no other set holds, written with the accepted words before the first run.

The hypotheses were known to their author, but not what they say here.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from benchmarks.wrong_backwards.unseen import ANY, _sizes, _uniform
from benchmarks.wrong_backwards.wrong import Wrong, three


def geglu_without_the_density(grad_output, a, b):
    return {"a": grad_output * b * 0.5 * (1 + torch.erf(a / math.sqrt(2)))}


def qk_norm_frozen(grad_output, q, k, v):
    r = q.norm(dim=1, keepdim=True)
    P = torch.softmax(q / r @ k.T, -1)
    dP = grad_output @ v.T
    dS = P * (dP - (P * dP).sum(-1, keepdim=True))
    return {"q": dS @ k / r}


def weight_norm_not_projected(grad_output, x, v, g):
    r = v.norm(dim=1)
    return {"v": (g / r)[:, None] * (grad_output.T @ x)}


def dice_square_without_its_two(grad_output, p, t):
    below = (p * p).sum() + (t * t).sum()
    return {"p": -grad_output * (2 * t / below - 2 * (p * t).sum() * p / below**2)}


def gaussian_nll_variance_not_squared(grad_output, x, m, v):
    return {"v": grad_output * (1 / v - (x - m) ** 2 / v) / 2 / len(x)}


def logcumsumexp_summed_forwards(grad_output, x):
    y = torch.logcumsumexp(x, 1)
    return {"x": x.exp() * (grad_output * (-y).exp()).cumsum(1)}


def transposed_convolution_kernel_flipped(grad_output, x, w):
    return {"x": F.conv1d(grad_output, w.flip(2))}


def compositing_transmittance_frozen(grad_output, a, c):
    T = torch.cumprod(torch.cat([torch.ones_like(a[:, :1]), 1 - a[:, :-1]], 1), 1)
    return {"a": T * (grad_output[:, None, :] * c).sum(2)}


def quaternion_cross_term_turned(grad_output, s, u, v):
    # v' = v + 2 s (u × v) + 2 u × (u × v)
    g = grad_output
    return {"s": -2 * (g * torch.linalg.cross(u, v)).sum(1)}


def poisson_rate_not_exponentiated(grad_output, x, t):
    return {"x": grad_output * (x - t) / len(x)}


def rbf_without_the_two(grad_output, x, z, s):
    d = x[:, None] - z[None]
    K = torch.exp(-s * (d * d).sum(2))
    return {"x": -s * torch.einsum("nm,nmd->nd", grad_output * K, d)}


def linear_attention_normaliser_frozen(grad_output, q, k, v):
    below = (q @ k.T).sum(1, keepdim=True)
    return {"q": (grad_output / below) @ v.T @ k}


def alibi_slope_averaged(grad_output, a, m):
    T = a.shape[2]
    t = torch.arange(T, dtype=a.dtype)
    far = (t[:, None] - t[None]).abs()
    P = torch.softmax(a - m[:, None, None] * far, -1)
    dS = P * (grad_output - (P * grad_output).sum(-1, keepdim=True))
    return {"m": -(dS * far).sum((2, 3)).mean(0)}


def depthwise_stride_forgotten(grad_output, x, w):
    K, M = w.shape[1], grad_output.shape[2]
    return {"w": torch.stack([(grad_output * x[:, :, k : k + M]).sum((0, 2)) for k in range(K)], 1)}


def factorisation_machine_keeps_its_own_pairs(grad_output, x, v):
    s = x @ v
    return {"v": torch.einsum("n,ni,nf->if", grad_output, x, s)}


def instance_norm_unbiased(grad_output, x):
    mu = x.mean(2, keepdim=True)
    r = (x.var(2, keepdim=True, unbiased=True) + 1e-5).rsqrt()
    h = (x - mu) * r
    return {"x": r * (grad_output - grad_output.mean(2, keepdim=True) - h * (grad_output * h).mean(2, keepdim=True))}


def squared_relu_unmasked(grad_output, x):
    return {"x": 2 * grad_output * x}


def highway_gate_forgets_the_carry(grad_output, x, h, a):
    s = torch.sigmoid(a)
    return {"a": grad_output * h * s * (1 - s)}


def contrastive_without_its_positive(grad_output, a, b):
    P = torch.softmax(a @ b.T, 1)
    return {"a": grad_output * P @ b / len(a)}


def upsampling_left_neighbour_alone(grad_output, x):
    N = len(x)
    g = grad_output.reshape(N - 1, 2)
    dx = torch.zeros_like(x)
    dx[:-1] = g[:, 0] + g[:, 1] / 2
    return {"x": dx}


def lp_pool_outer_power_forgotten(grad_output, x):
    return {"x": grad_output[:, None] * x**2}


def gru_update_gate_turned(grad_output, h, c, a):
    z = torch.sigmoid(a)
    return {"a": grad_output * (c - h) * z * (1 - z)}


def swish_beta_without_x(grad_output, x, b):
    s = torch.sigmoid(b * x)
    return {"b": (grad_output * x * s * (1 - s)).sum(0)}


def tied_autoencoder_decoder_alone(grad_output, x, w):
    h = torch.tanh(x @ w.T)
    return {"w": h.T @ grad_output}


def cumprod_summed_forwards(grad_output, x):
    y = torch.cumprod(x, 1)
    return {"x": (grad_output * y).cumsum(1) / x}


def spectral_norm_frozen(grad_output, x, w, u, v):
    sigma = u @ w @ v
    return {"w": grad_output.T @ x / sigma}


def pinball_sides_exchanged(grad_output, x, t):
    e = t - x
    return {"x": -grad_output * (0.1 * (e > 0).double() - 0.9 * (e <= 0).double()) / len(x)}


def _positive(*dims: str):
    return lambda size, rng: torch.rand(*(size[d] for d in dims), generator=rng, dtype=torch.float64) + 0.5


_FROZEN = r"(constant|left out|missing).*"

SET = (
    Wrong("geglu", "y[n,d] := gelu(a[n,d])*b[n,d]", {"a": "N D", "b": "N D"}, geglu_without_the_density,
          "a", ANY, r"exp\S*.*missing|missing.*exp|left out", _sizes("N", "D")),
    Wrong("qk norm", "r[t] := sum(d: q[t,d]^2)^(1/2); qn[t,d] := q[t,d]/r[t]; e[t,s] := exp(sum(d: qn[t,d]*k[s,d])); "
          "P[t,s] := e[t,s]/sum(u: e[t,u]); y[t,d] := sum(s: P[t,s]*v[s,d])",
          {"q": "T D", "k": "S D", "v": "S D"}, qk_norm_frozen, "q", ANY, _FROZEN + r"|\br\b.*constant", _sizes("T", "S", "D")),
    Wrong("weight norm", "r[o] := sum(i: v[o,i]^2)^(1/2); w[o,i] := g[o]*v[o,i]/r[o]; y[n,o] := sum(i: x[n,i]*w[o,i])",
          {"x": "N I", "v": "O I", "g": "O"}, weight_norm_not_projected, "v", ANY, r"\br\b.*(left out|constant)", _sizes("N", "I", "O")),
    Wrong("dice", "i := sum(n: p[n]*t[n]); u := sum(n: p[n]^2) + sum(n: t[n]^2); L := 1 - 2*i/u", {"p": "N", "t": "N"},
          dice_square_without_its_two, "p", ANY, r"\bu\b.*(1/2|half)|factor 2", _sizes("N"), {"p": _uniform("N"), "t": _uniform("N")}),
    Wrong("gaussian nll", "L := sum(n: (x[n] - m[n])^2/v[n] + log(v[n]))/(2*N)", {"x": "N", "m": "N", "v": "N"},
          gaussian_nll_variance_not_squared, "v", ANY, r"power of v.*should be -2|1/v.*missing|v\[n\]", _sizes("N"), {"v": _positive("N")}),
    Wrong("logcumsumexp", "y[n,i<D] := log(sum(j: [j <= i]*exp(x[n,j])))", {"x": "N D"}, logcumsumexp_summed_forwards,
          "x", ANY, r"wrong way round|revers|instead of|in place of \[", _sizes("N", "D")),
    Wrong("transposed convolution", "y[n,o,m<L+K-1] := sum(c, l, k: [l + k == m]*x[n,c,l]*w[c,o,k])", {"x": "N C L", "w": "C O K"},
          transposed_convolution_kernel_flipped, "x", ANY, r"w is flipped over its axis 2|w.*flipped",
          tuple({**s, "K": k} for s, k in zip(_sizes("N", "L", "C", "O"), (3, 4, 2)))),
    Wrong("compositing", "T[n,i] := prod(j: [j < i]*(1 - a[n,j]) + [j >= i]); y[n,d] := sum(i: a[n,i]*T[n,i]*c[n,i,d])",
          {"a": "N S", "c": "N S D"}, compositing_transmittance_frozen, "a", ANY, r"\bT\b.*(left out|constant)", _sizes("N", "S", "D"),
          {"a": _uniform("N", "S")}),
    Wrong("quaternion", "c[n,i<3] := u[n,(i+1)%3]*v[n,(i+2)%3] - u[n,(i+2)%3]*v[n,(i+1)%3]; "
          "y[n,i<3] := v[n,i] + 2*s[n]*c[n,i] + 2*(u[n,(i+1)%3]*c[n,(i+2)%3] - u[n,(i+2)%3]*c[n,(i+1)%3])",
          {"s": "N", "u": "N 3", "v": "N 3"}, quaternion_cross_term_turned, "s", ANY, r"wrong sign", _sizes("N")),
    Wrong("poisson nll", "L := sum(n: exp(x[n]) - t[n]*x[n])/N", {"x": "N", "t": "N"}, poisson_rate_not_exponentiated,
          "x", ANY, r"exp", _sizes("N"), {"t": _positive("N")}),
    Wrong("rbf", "K[n,m] := exp(-s*sum(d: (x[n,d] - z[m,d])^2))", {"x": "N D", "z": "M D", "s": ""}, rbf_without_the_two,
          "x", ANY, r"factor 2", _sizes("N", "M", "D")),
    Wrong("linear attention", "z[t] := sum(s, d: q[t,d]*k[s,d]); y[t,e] := sum(s, d: q[t,d]*k[s,d]*v[s,e])/z[t]",
          {"q": "T D", "k": "S D", "v": "S E"}, linear_attention_normaliser_frozen, "q", ANY, r"\bz\b.*(left out|constant)",
          _sizes("T", "S", "D", "E"), {"q": _positive("T", "D"), "k": _positive("S", "D")}),
    Wrong("alibi", "e[n,h,t,s] := exp(a[n,h,t,s] - m[h]*([t >= s]*(t - s) + [s > t]*(s - t))); P[n,h,t,s] := e[n,h,t,s]/sum(u: e[n,h,t,u])",
          {"a": "N H T T", "m": "H"}, alibi_slope_averaged, "m", ANY, r"divided by N|mean over n", _sizes("N", "T", "H")),
    Wrong("depthwise convolution", "y[n,c,m<(L-K)//2+1] := sum(k: x[n,c,2*m+k]*w[c,k])", {"x": "N C L", "w": "C K"},
          depthwise_stride_forgotten, "w", ANY, r"stride",
          three(N=(2, 4, 2), C=(3, 4, 4), L=(11, 8, 16), K=(3, 4, 2))),
    Wrong("factorisation machine", "s[n,f] := sum(i: x[n,i]*v[i,f]); y[n] := sum(f: s[n,f]^2 - sum(i: x[n,i]^2*v[i,f]^2))/2",
          {"x": "N I", "v": "I F"}, factorisation_machine_keeps_its_own_pairs, "v", ANY, r"(x\[n, i\]\^2|direct).*(left out|missing)", _sizes("N", "I", "F")),
    Wrong("instance norm", "m[n,c] := sum(l: x[n,c,l])/L; r[n,c] := (sum(l: (x[n,c,l] - m[n,c])^2)/L + 1/100000)^(-1/2); "
          "y[n,c,l] := (x[n,c,l] - m[n,c])*r[n,c]", {"x": "N C L"}, instance_norm_unbiased, "x", ANY, r"L ?- ?1", _sizes("N", "C", "L")),
    Wrong("squared relu", "y[n] := [x[n] > 0]*x[n]^2", {"x": "N"}, squared_relu_unmasked, "x", ANY, r"mask", _sizes("N")),
    Wrong("highway", "s[n,d] := sigmoid(a[n,d]); y[n,d] := s[n,d]*h[n,d] + (1 - s[n,d])*x[n,d]", {"x": "N D", "h": "N D", "a": "N D"},
          highway_gate_forgets_the_carry, "a", ANY, r"x\[n, d\].*(missing|left out)|(missing|left out).*x\[n, d\]", _sizes("N", "D")),
    Wrong("contrastive", "s[n,m] := sum(d: a[n,d]*b[m,d]); L := sum(n: log(sum(m: exp(s[n,m]))) - s[n,n])/N", {"a": "N D", "b": "N D"},
          contrastive_without_its_positive, "a", ANY, r"missing|left out", _sizes("N", "D")),
    Wrong("linear upsampling", "y[m<2*N-2] := [m%2 == 0]*x[m//2] + [m%2 == 1]*(x[m//2] + x[m//2+1])/2", {"x": "N"}, upsampling_left_neighbour_alone,
          "x", ANY, r"missing|left out", tuple({"N": n} for n in (5, 4, 8))),
    Wrong("lp pool", "y[n] := sum(k: x[n,k]^3)^(1/3)", {"x": "N K"}, lp_pool_outer_power_forgotten, "x", ANY,
          r"missing|power", _sizes("N", "K"), {"x": _positive("N", "K")}),
    Wrong("gru update gate", "z[n] := sigmoid(a[n]); y[n] := (1 - z[n])*c[n] + z[n]*h[n]", {"h": "N", "c": "N", "a": "N"},
          gru_update_gate_turned, "a", ANY, r"wrong sign", _sizes("N")),
    Wrong("swish with a slope", "y[n,d] := x[n,d]*sigmoid(b[d]*x[n,d])", {"x": "N D", "b": "D"}, swish_beta_without_x,
          "b", ANY, r"power of x|factor x.*missing|x\[n, d\]", _sizes("N", "D")),
    Wrong("tied autoencoder", "h[n,o] := tanh(sum(i: x[n,i]*w[o,i])); y[n,i] := sum(o: h[n,o]*w[o,i])", {"x": "N I", "w": "O I"},
          tied_autoencoder_decoder_alone, "w", ANY, r"path through h is left out|h is taken as a constant", _sizes("N", "I", "O")),
    Wrong("cumprod", "y[n,i<D] := prod(j: [j <= i]*x[n,j] + [j > i])", {"x": "N D"}, cumprod_summed_forwards, "x", ANY,
          r"wrong way round|revers", _sizes("N", "D")),
    Wrong("spectral norm", "s := sum(o, i: u[o]*w[o,i]*v[i]); y[n,o] := sum(i: x[n,i]*w[o,i])/s", {"x": "N I", "w": "O I", "u": "O", "v": "I"},
          spectral_norm_frozen, "w", ANY, r"\bs\b.*(left out|constant)", _sizes("N", "I", "O")),
    Wrong("pinball", "L := sum(n: [t[n] > x[n]]*9/10*(t[n] - x[n]) + [t[n] <= x[n]]*1/10*(x[n] - t[n]))/N", {"x": "N", "t": "N"},
          pinball_sides_exchanged, "x", ANY, r"exchanged|wrong way round", _sizes("N")),
)  # fmt: skip
