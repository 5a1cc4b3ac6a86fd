"""Mistakes written down after the hypotheses, of layers and kinds that nobody had in mind when writing those."""

from __future__ import annotations

import torch

from benchmarks.wrong_backwards.losses import hot, positive
from benchmarks.wrong_backwards.wrong import Wrong, three

N1 = three(N=(5, 9, 8))
NC = three(N=(5, 9, 8), C=(7, 4, 4))


def group_norm_counts_the_channels_only(grad_output, x):
    n = x.shape[1] * x.shape[2]
    mean = x.mean((1, 2), keepdim=True)
    rstd = (x.var((1, 2), unbiased=False, keepdim=True) + 1e-5).rsqrt()
    k = (x - mean) * rstd
    total = grad_output.sum((1, 2), keepdim=True) / x.shape[1]
    return {"x": rstd * (grad_output - total - k * (grad_output * k).sum((1, 2), keepdim=True) / n)}


def huber_without_the_clip(grad_output, x, t):
    return {"x": grad_output * (x - t)}


def cosine_forgets_the_other_norm(grad_output, a, b):
    na = a.norm(dim=1, keepdim=True)
    nb = b.norm(dim=1, keepdim=True)
    y = (a * b).sum(1, keepdim=True) / (na * nb)
    return {"a": grad_output[:, None] * (b / na - y * a / na**2)}


def cosine_without_the_projection(grad_output, a, b):
    na, nb = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    return {"a": grad_output[:, None] * b / (na * nb)}


def lstm_output_reads_the_cell(grad_output, o, c):
    return {"c": grad_output * torch.sigmoid(o) * (1 - c**2)}


def strided_conv_reads_as_unstrided(grad_output, x, w):
    dw = torch.zeros_like(w)
    for u in range(w.shape[0]):
        for m in range(grad_output.shape[0]):
            dw[u] += grad_output[m] * x[m + u]
    return {"w": dw}


def smoothing_forgotten_off_the_target(grad_output, x, t):
    return {"x": grad_output * (torch.softmax(x, -1) - 0.9 * hot(t, x.shape[1]))}


def temperature_forgotten(grad_output, x, s):
    y = torch.softmax(x * s, -1)
    return {"x": y * (grad_output - (y * grad_output).sum(-1, keepdim=True))}


def temperature_twice(grad_output, x, s):
    y = torch.softmax(x * s, -1)
    return {"x": s * s * y * (grad_output - (y * grad_output).sum(-1, keepdim=True))}


def prelu_slope_gradient_unmasked(grad_output, x, a):
    return {"a": (grad_output * x).sum()}


def prelu_slope_on_the_wrong_side(grad_output, x, a):
    return {"x": grad_output * torch.where(x > 0, a, 1.0)}


def focal_weight_taken_as_constant(grad_output, x):
    p = torch.sigmoid(x)
    return {"x": grad_output * (1 - p) ** 2 * (p - 1)}


def residual_scale_reads_the_input(grad_output, x, w, a):
    return {"a": (grad_output * x).sum()}


def masked_mean_divides_by_the_length(grad_output, x, m):
    return {"x": grad_output[:, None] * m / x.shape[1]}


def glu_halves_exchanged(grad_output, x):
    C = x.shape[1] // 2
    a, b = x[:, :C], x[:, C:]
    s = torch.sigmoid(b)
    return {"x": torch.cat([grad_output * a * s * (1 - s), grad_output * s], 1)}


def std_without_its_own_denominator(grad_output, x):
    return {"x": grad_output[:, None] * (x - x.mean(1, keepdim=True)) / x.shape[1]}


def std_not_centred(grad_output, x):
    s = x.var(1, unbiased=False).sqrt()
    return {"x": (grad_output / s)[:, None] * x / x.shape[1]}


def elu_exponential_everywhere(grad_output, x):
    return {"x": grad_output * torch.exp(x)}


def embedding_bag_not_averaged(grad_output, E, ids):
    T = ids.shape[1]
    return {"E": torch.zeros_like(E).index_add(0, ids.flatten(), grad_output.repeat_interleave(T, 0))}


def hinge_margin_forgotten(grad_output, x, t):
    return {"x": -grad_output * t * (x * t < 0)}


def matmul_gradient_of_the_left_not_transposed(grad_output, a, b):
    return {"b": a @ grad_output}


def quadratic_form_one_side_only(grad_output, x, m):
    return {"x": grad_output[:, None] * (x @ m.T)}


def weighted_mean_forgets_the_weights_in_the_normaliser(grad_output, x, w):
    return {"w": grad_output * x / w.sum()}


def layer_scale_bias_halved(grad_output, x, g):
    return {"g": 0.5 * (grad_output * x).sum(0)}


def dropout_scaled_twice(grad_output, x, m):
    return {"x": grad_output * m * (10 / 9) ** 2}


def gumbel_noise_gets_a_minus(grad_output, x, z):
    y = torch.softmax(x + z, -1)
    return {"z": -y * (grad_output - (y * grad_output).sum(-1, keepdim=True))}


def mask(sizes, generator):
    m = (torch.rand(sizes["N"], sizes["C"], generator=generator) > 0.4).double()
    m[:, 0] = 1
    m[0, 1] = 0
    return m


def spread(sizes, generator):
    return 2 * torch.randn(sizes["N"], generator=generator, dtype=torch.float64)


def signs(sizes, generator):
    return torch.where(torch.rand(sizes["N"], generator=generator) > 0.5, 1.0, -1.0).double()


GN = """mean[n] := sum(c, l: x[n,c,l])/(C*L)
rstd[n] := (sum(c, l: (x[n,c,l] - mean[n])^2)/(C*L) + 1/100000)^(-1/2)
y[n,c,l] := (x[n,c,l] - mean[n])*rstd[n]"""
COS = """na[n] := sum(c: a[n,c]^2)^(1/2)
nb[n] := sum(c: b[n,c]^2)^(1/2)
y[n] := sum(c: a[n,c]*b[n,c])/(na[n]*nb[n])"""
TEMP = "y[n,c] := exp(s*x[n,c])/sum(d: exp(s*x[n,d]))"
PRELU = "y[n] := [x[n] > 0]*x[n] + [x[n] <= 0]*a*x[n]"
STD = "m[n] := sum(c: x[n,c])/C\ns[n] := (sum(c: (x[n,c] - m[n])^2)/C)^(1/2)"
MEAN = "y := sum(n: w[n]*x[n])/sum(n: w[n])"
SET = (
    Wrong(
        "group_norm",
        GN,
        {"x": "N C L"},
        group_norm_counts_the_channels_only,
        "x",
        ("path",),
        r"mean.*L times",
        three(N=(2, 3, 4), C=(3, 4, 2), L=(5, 4, 8)),
    ),
    Wrong(
        "huber",
        "L := sum(n: [x[n] - t[n] < 1]*[t[n] - x[n] < 1]*(x[n] - t[n])^2/2 + [x[n] - t[n] >= 1]*(x[n] - t[n] - 1/2) + "
        "[t[n] - x[n] >= 1]*(t[n] - x[n] - 1/2))",
        {"x": "N", "t": "N"},
        huber_without_the_clip,
        "x",
        ("mask", "variable", "path", "addend"),
        r"\[|mask",
        N1,
        {"x": spread},
    ),
    Wrong("cosine", COS, {"a": "N C", "b": "N C"}, cosine_forgets_the_other_norm, "a", ("factor",), r"\bnb\b", NC),
    Wrong("cosine", COS, {"a": "N C", "b": "N C"}, cosine_without_the_projection, "a", ("path", "detached"), r"\bna\b", NC),
    Wrong(
        "lstm_cell",
        "h[n] := tanh(c[n])\ny[n] := sigmoid(o[n])*h[n]",
        {"o": "N", "c": "N"},
        lstm_output_reads_the_cell,
        "c",
        ("variable",),
        r"c is read where h",
        N1,
    ),
    Wrong(
        "conv_stride",
        "y[m<M] := sum(u: x[2*m+u]*w[u])",
        {"x": "2*M+K", "w": "K"},
        strided_conv_reads_as_unstrided,
        "w",
        ("position", "constant"),
        r"stride|2\*m|m \+ u",
        three(M=(5, 9, 8), K=(3, 4, 2)),
    ),
    Wrong(
        "label_smoothing",
        "lse[n] := log(sum(c: exp(x[n,c])))\nL := sum(n: lse[n] - 9/10*x[n,t[n]] - sum(c: x[n,c])/(10*C))",
        {"x": "N C", "t": "int<C: N>"},
        smoothing_forgotten_off_the_target,
        "x",
        ("path", "addend"),
        r"1/10|/10|left out",
        NC,
    ),
    Wrong("softmax_temperature", TEMP, {"x": "N C", "s": ""}, temperature_forgotten, "x", ("factor",), r"factor s\b|1/s\b", NC),
    Wrong("softmax_temperature", TEMP, {"x": "N C", "s": ""}, temperature_twice, "x", ("factor",), r"factor s\b", NC),
    Wrong("prelu", PRELU, {"x": "N", "a": ""}, prelu_slope_gradient_unmasked, "a", ("mask",), r"mask.*missing", N1),
    Wrong("prelu", PRELU, {"x": "N", "a": ""}, prelu_slope_on_the_wrong_side, "x", ("mask",), r"wrong way", N1),
    Wrong(
        "focal",
        "p[n] := sigmoid(x[n])\nf[n] := (1 - p[n])^2\nL := -sum(n: f[n]*log(p[n]))",
        {"x": "N"},
        focal_weight_taken_as_constant,
        "x",
        ("path", "detached"),
        r"\bf\b",
        N1,
    ),
    Wrong(
        "residual",
        "h[n,o] := tanh(sum(i: x[n,i]*w[o,i]))\ny[n,o] := x[n,o] + a*h[n,o]",
        {"x": "N I", "w": "I I", "a": ""},
        residual_scale_reads_the_input,
        "a",
        ("variable",),
        r"x is read where h",
        three(N=(5, 9, 8), I=(3, 4, 4)),
    ),
    Wrong(
        "masked_mean",
        "y[n] := sum(c: m[n,c]*x[n,c])/sum(c: m[n,c])",
        {"x": "N C", "m": "N C"},
        masked_mean_divides_by_the_length,
        "x",
        ("constant", "factor", "variable"),
        r"\bC\b|sum\(",
        NC,
        {"m": mask},
    ),
    Wrong(
        "glu",
        "y[n,c<C] := x[n,c]*sigmoid(x[n,c+C])",
        {"x": "N 2*C"},
        glu_halves_exchanged,
        "x",
        ("position",),
        r"half|halves|shift|exchang",
        NC,
    ),
    Wrong("std", STD, {"x": "N C"}, std_without_its_own_denominator, "x", ("factor",), r"\bs\b", NC),
    Wrong("std", STD, {"x": "N C"}, std_not_centred, "x", ("addend", "variable", "path"), r"\bm\b", NC),
    Wrong(
        "elu",
        "y[n] := [x[n] > 0]*x[n] + [x[n] <= 0]*(exp(x[n]) - 1)",
        {"x": "N"},
        elu_exponential_everywhere,
        "x",
        ("mask", "neighbour", "path"),
        r"\[x\[n\]|mask|exp",
        N1,
    ),
    Wrong(
        "embedding_bag",
        "y[n,d] := sum(t: E[ids[n,t],d])/T",
        {"E": "V D", "ids": "int<V: N T>"},
        embedding_bag_not_averaged,
        "E",
        ("scale",),
        r"1/T.*missing",
        three(V=(7, 9, 8), D=(3, 4, 4), N=(3, 4, 4), T=(5, 4, 8)),
    ),
    Wrong(
        "hinge",
        "L := sum(n: [1 - x[n]*t[n] > 0]*(1 - x[n]*t[n]))",
        {"x": "N", "t": "N"},
        hinge_margin_forgotten,
        "x",
        ("mask", "constant", "addend"),
        r"\b1\b",
        N1,
        {"t": signs},
    ),
    Wrong(
        "matmul",
        "y[i,j] := sum(k: a[i,k]*b[k,j])",
        {"a": "I I", "b": "I J"},
        matmul_gradient_of_the_left_not_transposed,
        "b",
        ("position",),
        r"\ba\b.*transposed",
        three(I=(5, 4, 8), J=(3, 4, 4)),
    ),
    Wrong(
        "quadratic_form",
        "y[n] := sum(i, j: x[n,i]*m[i,j]*x[n,j])",
        {"x": "N I", "m": "I I"},
        quadratic_form_one_side_only,
        "x",
        ("path", "addend"),
        r"m\[",
        three(N=(5, 9, 8), I=(3, 4, 4)),
    ),
    Wrong(
        "weighted_mean",
        MEAN,
        {"x": "N", "w": "N"},
        weighted_mean_forgets_the_weights_in_the_normaliser,
        "w",
        ("path", "addend"),
        r"sum|left out",
        N1,
        {"w": positive("N")},
    ),
    Wrong(
        "layer_scale",
        "y[n,c] := x[n,c]*g[c]",
        {"x": "N C", "g": "C"},
        layer_scale_bias_halved,
        "g",
        ("scale",),
        r"2× too small",
        NC,
    ),
    Wrong(
        "dropout",
        "y[n,c] := x[n,c]*m[n,c]*10/9",
        {"x": "N C", "m": "N C"},
        dropout_scaled_twice,
        "x",
        ("scale",),
        r"10/9|1\.111",
        NC,
        {"m": mask},
    ),
    Wrong(
        "gumbel",
        "y[n,c] := exp(x[n,c]+z[n,c])/sum(d: exp(x[n,d]+z[n,d]))",
        {"x": "N C", "z": "N C"},
        gumbel_noise_gets_a_minus,
        "z",
        ("sign",),
        r"wrong sign",
        NC,
    ),
)
