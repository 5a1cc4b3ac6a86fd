"""The blind set: mistakes that people really shipped, written down before any hypothesis was.

Each is taken from a published bug, as its report tells it.  The answers are those of the field.  Nothing
in ``derivcheck/diagnosis`` was tuned to these; their figure is reported apart.
"""

from __future__ import annotations

import torch

from benchmarks.wrong_backwards.wrong import Wrong, three

NC = three(N=(5, 9, 8), C=(7, 4, 4))


# Cross-entropy with a sum reduction, divided by N all the same (aprender#2182).
def cross_entropy_sum_with_the_scale_of_the_mean(grad_output, x, t):
    N, C = x.shape
    hot = torch.nn.functional.one_hot(t, C).to(x.dtype)
    return {"x": grad_output * (torch.softmax(x, -1) - hot) / N}


# Ignored rows keep a gradient (Paddle#28622).
def cross_entropy_ignored_rows_not_zero(grad_output, x, t):
    hot = torch.nn.functional.one_hot(t, x.shape[1]).to(x.dtype)
    return {"x": grad_output * (torch.softmax(x, -1) - hot)}


# Soft targets taken to sum to one (Automodel#2428).
def soft_cross_entropy_that_assumes_targets_sum_to_one(grad_output, x, p):
    return {"x": grad_output * (torch.softmax(x, -1) - p)}


# Softmax as if it were elementwise (libnd4j#440).
def softmax_as_y_times_one_minus_y(grad_output, x):
    y = torch.softmax(x, -1)
    return {"x": grad_output * y * (1 - y)}


# LogSoftmax with the Jacobian of softmax (mlpack#2360).
def log_softmax_with_the_jacobian_of_softmax(grad_output, x):
    y = torch.softmax(x, -1)
    return {"x": y * (grad_output - (y * grad_output).sum(-1, keepdim=True))}


def _normed(x, eps=1e-5):
    mean = x.mean(-1, keepdim=True)
    rstd = (x.var(-1, unbiased=False, keepdim=True) + eps).rsqrt()
    return (x - mean) * rstd, rstd


# LayerNorm: the path through the mean is subtracted twice (tt-metal#53204).
def layer_norm_mean_path_subtracted_twice(grad_output, x, w, b):
    k, rstd = _normed(x)
    h = grad_output * w
    dx = rstd * (h - h.mean(-1, keepdim=True) - k * (h * k).mean(-1, keepdim=True))
    dx = dx - rstd * h.mean(-1, keepdim=True)
    return {"x": dx, "w": (grad_output * k).sum(0), "b": grad_output.sum(0)}


# RMSNorm: the weight is applied a second time (Megatron#6859).
def rms_norm_weight_applied_twice(grad_output, x, w):
    D = x.shape[-1]
    r = (x.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt()
    h = grad_output * w * w
    return {"x": r * h - x * r**3 * (h * x).sum(-1, keepdim=True) / D, "w": (grad_output * x * r).sum(0)}


# LayerNorm: gamma is read at the wrong index (DeepSpeed#692).
def layer_norm_gamma_read_at_the_wrong_index(grad_output, x, w, b):
    k, rstd = _normed(x)
    h = grad_output * w.flip(0)
    return {
        "x": rstd * (h - h.mean(-1, keepdim=True) - k * (h * k).mean(-1, keepdim=True)),
        "w": (grad_output * k).sum(0),
        "b": grad_output.sum(0),
    }


# BatchNorm: the formula of training in eval mode (xla#913).
def batch_norm_training_formula_in_eval_mode(grad_output, x, running_mean, running_var, w, b):
    m, v = x.mean(0), x.var(0, unbiased=False)
    r = (v + 1e-5).rsqrt()
    k = (x - m) * r
    h = grad_output * w
    return {"x": r * (h - h.mean(0) - k * (h * k).mean(0))}


# Grouped-query attention: dK is not summed over the query heads that share a key head (levanter#449).
def grouped_query_attention_dk_of_one_query_head_only(grad_output, q, k, v):
    T, K, G, D = q.shape
    s = torch.einsum("tkgd,skd->kgts", q, k) / D**0.5
    p = torch.softmax(s, -1)
    dp = torch.einsum("tkgd,skd->kgts", grad_output, v)
    ds = p * (dp - (p * dp).sum(-1, keepdim=True)) / D**0.5
    dq = torch.einsum("kgts,skd->tkgd", ds, k)
    dk = torch.einsum("kts,tkd->skd", ds[:, G - 1], q[:, :, G - 1])  # the last head overwrites the others
    return {"q": dq, "k": dk, "v": torch.einsum("kgts,tkgd->skd", p, grad_output)}


# The upstream gradient is read as if it were contiguous (flash-attention#355, FlagGems#1084).
def linear_reads_the_upstream_as_contiguous(grad_output, x, w):
    N, out = grad_output.shape
    g = torch.as_strided(grad_output, (N, out), (out, 1))
    return {"x": g @ w, "w": g.T @ x}


# The backward works in the memory of its saved input (apex#1430, Liger#272).
def rms_scale_writes_into_x(grad_output, x, w):
    dw = (grad_output * x).sum(0)
    x.copy_(grad_output * w)
    return {"x": x, "w": dw}


# Gather: repeated indices overwrite (Paddle#17705, pytorch#1528).
def gather_overwrites_on_repeated_indices(grad_output, x, ids):
    dx = torch.zeros_like(x)
    dx[ids] = grad_output
    return {"x": dx}


# Embedding: the padding row is not zero (pytorch#26302).
def embedding_padding_row_not_zero(grad_output, E, ids):
    return {"E": torch.zeros_like(E).index_add(0, ids.flatten(), grad_output.flatten(0, 1))}


# The bias gradient is not reduced (Primus-Turbo#329, nd4j#2424).
def linear_bias_not_reduced(grad_output, x, w, b):
    return {"x": grad_output @ w, "w": grad_output.T @ x, "b": grad_output}


# prod divides by its input (burn#3864, tensorflow#119430).
def prod_divides_by_the_input(grad_output, x):
    y = x.prod(-1, keepdim=True)
    return {"x": grad_output[:, None] * y / x}


def _with_zeros(sizes, generator):
    x = torch.randn(sizes["N"], sizes["C"], generator=generator, dtype=torch.float64)
    x[0, 1] = 0.0
    x[2, 0] = 0.0
    return x


def _repeated(sizes, generator):
    return torch.randint(max(sizes["V"] // 2, 1), (sizes["M"],), generator=generator)


def _tokens(sizes, generator):
    ids = torch.randint(sizes["V"], (sizes["N"], sizes["T"]), generator=generator)
    ids[0, 0], ids[1, 1] = 1, 1
    return ids


def _targets(sizes, generator):
    t = torch.randint(sizes["C"], (sizes["N"],), generator=generator)
    t[1] = t[-1] = 0
    return t


def _positive(*names):
    def make(sizes, generator):
        return torch.rand(*(sizes[n] for n in names), generator=generator, dtype=torch.float64) + 0.2

    return make


LOGITS = "lse[n] := log(sum(c: exp(x[n,c])))\n"
LAYER_NORM = """mean[n] := sum(c: x[n,c]) / C
rstd[n] := (sum(c: (x[n,c] - mean[n])^2) / C + 1/100000)^(-1/2)
y[n,c] := (x[n,c] - mean[n]) * rstd[n] * w[c] + b[c]"""
LN_DIMS = {"x": "N C", "w": "C", "b": "C"}

BLIND = (
    Wrong(
        "cross_entropy",
        LOGITS + "L := sum(n: lse[n] - x[n,t[n]])",
        {"x": "N C", "t": "int<C: N>"},
        cross_entropy_sum_with_the_scale_of_the_mean,
        "x",
        ("scale",),
        r"\bN\b",
        NC,
    ),
    Wrong(
        "cross_entropy",
        LOGITS + "L := sum(n: [t[n] != 0] * (lse[n] - x[n,t[n]]))",
        {"x": "N C", "t": "int<C: N>"},
        cross_entropy_ignored_rows_not_zero,
        "x",
        ("rows",),
        r"\bt\b|target|ignore",
        NC,
        {"t": _targets},
    ),
    Wrong(
        "soft_cross_entropy",
        LOGITS + "L := sum(n: sum(c: p[n,c] * (lse[n] - x[n,c])))",
        {"x": "N C", "p": "N C"},
        soft_cross_entropy_that_assumes_targets_sum_to_one,
        "x",
        ("factor", "sum"),
        r"(sum|Σ).*\bp\b",
        NC,
        {"p": _positive("N", "C")},
    ),
    Wrong(
        "softmax",
        "y[n,c] := exp(x[n,c]) / sum(d: exp(x[n,d]))",
        {"x": "N C"},
        softmax_as_y_times_one_minus_y,
        "x",
        ("jacobian", "path", "sum"),
        r"normalis|(sum|Σ)|path",
        NC,
    ),
    Wrong(
        "log_softmax",
        "y[n,c] := x[n,c] - log(sum(d: exp(x[n,d])))",
        {"x": "N C"},
        log_softmax_with_the_jacobian_of_softmax,
        "x",
        ("jacobian", "neighbour"),
        r"softmax|exp|log",
        NC,
    ),
    Wrong(
        "layer_norm",
        LAYER_NORM,
        LN_DIMS,
        layer_norm_mean_path_subtracted_twice,
        "x",
        ("path",),
        r"mean.*(twice|2)|(twice|2).*mean",
        NC,
    ),
    Wrong(
        "rms_norm",
        "r[n] := (sum(c: x[n,c]^2) / C + 1/1000000)^(-1/2)\ny[n,c] := x[n,c] * r[n] * w[c]",
        {"x": "N C", "w": "C"},
        rms_norm_weight_applied_twice,
        "x",
        ("factor",),
        r"\bw\b",
        NC,
    ),
    Wrong("layer_norm", LAYER_NORM, LN_DIMS, layer_norm_gamma_read_at_the_wrong_index, "x", ("position",), r"\bw\b", NC),
    Wrong(
        "batch_norm_eval",
        "y[n,c] := (x[n,c] - running_mean[c]) * (running_var[c] + 1/100000)^(-1/2) * w[c] + b[c]",
        {"x": "N C", "running_mean": "C", "running_var": "C", "w": "C", "b": "C"},
        batch_norm_training_formula_in_eval_mode,
        "x",
        ("mode",),
        r"eval|batch|running",
        NC,
        {"running_var": _positive("C")},
    ),
    Wrong(
        "attention_gqa",
        """S[h,g,t,s] := sum(d: q[t,h,g,d] * k[s,h,d]) * D^(-1/2)
P[h,g,t,s] := exp(S[h,g,t,s]) / sum(r: exp(S[h,g,t,r]))
y[t,h,g,d] := sum(s: P[h,g,t,s] * v[s,h,d])""",
        {"q": "T H G D", "k": "T H D", "v": "T H D"},
        grouped_query_attention_dk_of_one_query_head_only,
        "k",
        ("sum", "rows"),
        r"\bg\b|\bG\b|group",
        three(T=(5, 4, 4), H=(2, 3, 2), G=(3, 2, 2), D=(7, 4, 8)),
    ),
    Wrong(
        "linear",
        "y[n,o] := sum(i: x[n,i] * w[o,i])",
        {"x": "N I", "w": "O I"},
        linear_reads_the_upstream_as_contiguous,
        "w",
        ("strides", "upstream"),
        r"stride|contiguous",
        three(N=(5, 4, 8), I=(3, 4, 4), O=(2, 4, 8)),
        layout="transposed",
    ),
    Wrong(
        "scale", "y[n,c] := x[n,c] * w[c]", {"x": "N C", "w": "C"}, rms_scale_writes_into_x, "x", ("in_place",), r"\bx\b", NC
    ),
    Wrong(
        "gather",
        "y[m,d] := x[ids[m],d]",
        {"x": "V D", "ids": "int<V: M>"},
        gather_overwrites_on_repeated_indices,
        "x",
        ("rows",),
        r"repeat|scatter",
        three(V=(7, 9, 8), D=(3, 4, 4), M=(11, 9, 8)),
        {"ids": _repeated},
    ),
    Wrong(
        "embedding",
        "y[n,t,d] := [ids[n,t] != 1] * E[ids[n,t],d]",
        {"E": "V D", "ids": "int<V: N T>"},
        embedding_padding_row_not_zero,
        "E",
        ("rows",),
        r"\brow|\bids\b|padding",
        three(V=(7, 9, 8), D=(3, 4, 4), N=(3, 4, 4), T=(5, 4, 8)),
        {"ids": _tokens},
    ),
    Wrong(
        "linear",
        "y[n,o] := sum(i: x[n,i] * w[o,i]) + b[o]",
        {"x": "N I", "w": "O I", "b": "O"},
        linear_bias_not_reduced,
        "b",
        ("sum",),
        r"sum.*\b[nN]\b|Σ_?n",
        three(N=(5, 9, 8), I=(3, 4, 4), O=(2, 4, 8)),
    ),
    Wrong(
        "prod",
        "y[n] := prod(c: x[n,c])",
        {"x": "N C"},
        prod_divides_by_the_input,
        "x",
        ("zero",),
        r"\b0\b|zero",
        NC,
        {"x": _with_zeros},
    ),
)
