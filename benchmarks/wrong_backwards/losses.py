"""Losses and the softmax family."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from benchmarks.wrong_backwards.wrong import Wrong, three

NC = three(N=(5, 9, 8), C=(7, 4, 4))
SOFTMAX = "y[n,c] := exp(x[n,c]) / sum(d: exp(x[n,d]))"
LOG_SOFTMAX = "y[n,c] := x[n,c] - log(sum(d: exp(x[n,d])))"
CE = "lse[n] := log(sum(c: exp(x[n,c])))\nL := sum(n: lse[n] - x[n,t[n]])/N"
CE_DIMS = {"x": "N C", "t": "int<C: N>"}


def hot(t, C):
    return F.one_hot(t, C).double()


def softmax_forgets_the_normaliser(grad_output, x):
    return {"x": grad_output * torch.softmax(x, -1)}


def softmax_sums_without_the_upstream(grad_output, x):
    y = torch.softmax(x, -1)
    return {"x": y * (grad_output - y.sum(-1, keepdim=True))}


def softmax_sums_over_the_batch(grad_output, x):
    y = torch.softmax(x, -1)
    return {"x": y * (grad_output - (y * grad_output).sum(0, keepdim=True))}


def softmax_adds_the_normaliser(grad_output, x):
    y = torch.softmax(x, -1)
    return {"x": y * (grad_output + (y * grad_output).sum(-1, keepdim=True))}


def softmax_without_the_outer_factor(grad_output, x):
    y = torch.softmax(x, -1)
    return {"x": grad_output - (y * grad_output).sum(-1, keepdim=True)}


def softmax_with_the_jacobian_of_log_softmax(grad_output, x):
    y = torch.softmax(x, -1)
    return {"x": grad_output - y * grad_output.sum(-1, keepdim=True)}


def log_softmax_reads_its_output_for_softmax(grad_output, x):
    y = torch.log_softmax(x, -1)
    return {"x": grad_output - y * grad_output.sum(-1, keepdim=True)}


def log_softmax_without_the_sum(grad_output, x):
    return {"x": grad_output - torch.softmax(x, -1) * grad_output}


def cross_entropy_without_the_mean(grad_output, x, t):
    return {"x": grad_output * (torch.softmax(x, -1) - hot(t, x.shape[1]))}


def cross_entropy_without_the_target(grad_output, x, t):
    return {"x": grad_output * torch.softmax(x, -1) / x.shape[0]}


def cross_entropy_target_minus_softmax(grad_output, x, t):
    return {"x": grad_output * (hot(t, x.shape[1]) - torch.softmax(x, -1)) / x.shape[0]}


def cross_entropy_divided_by_the_classes(grad_output, x, t):
    return {"x": grad_output * (torch.softmax(x, -1) - hot(t, x.shape[1])) / x.numel()}


def cross_entropy_target_off_by_one(grad_output, x, t):
    return {"x": grad_output * (torch.softmax(x, -1) - hot(t, x.shape[1]).roll(1, -1)) / x.shape[0]}


def weighted_cross_entropy_without_the_weight(grad_output, x, t, a):
    return {"x": grad_output * (torch.softmax(x, -1) - hot(t, x.shape[1]))}


def weighted_cross_entropy_weight_on_one_path_only(grad_output, x, t, a):
    return {"x": grad_output * (torch.softmax(x, -1) - a[t][:, None] * hot(t, x.shape[1]))}


def masked_loss_ignores_the_mask(grad_output, x, t, m):
    return {"x": 2 * grad_output * (x - t)}


def bce_without_the_mean(grad_output, x, t):
    return {"x": grad_output * (torch.sigmoid(x) - t)}


def kl_without_its_plus_one(grad_output, p, q):
    return {"p": grad_output * torch.log(p / q)}


def logsumexp_returns_the_exponentials(grad_output, x):
    return {"x": grad_output[:, None] * torch.exp(x)}


def positive(*names):
    def make(sizes, generator):
        return torch.rand(*(sizes[n] for n in names), generator=generator, dtype=torch.float64) + 0.2

    return make


def mask(sizes, generator):
    m = (torch.rand(sizes["N"], generator=generator) > 0.4).double()
    m[0], m[1] = 1, 0
    return m


BCE = "L := sum(n: softplus(x[n]) - t[n]*x[n])/N"
N = three(N=(5, 9, 8))
SET = (
    Wrong("softmax", SOFTMAX, {"x": "N C"}, softmax_forgets_the_normaliser, "x", ("path",), r"sum.*left out|normalis", NC),
    Wrong("softmax", SOFTMAX, {"x": "N C"}, softmax_sums_without_the_upstream, "x", ("factor", "upstream"), r"grad_output", NC),
    Wrong("softmax", SOFTMAX, {"x": "N C"}, softmax_sums_over_the_batch, "x", ("sum",), r"over n\b", NC),
    Wrong("softmax", SOFTMAX, {"x": "N C"}, softmax_adds_the_normaliser, "x", ("path", "sign"), r"wrong sign", NC),
    Wrong("softmax", SOFTMAX, {"x": "N C"}, softmax_without_the_outer_factor, "x", ("factor",), r"\by\b", NC),
    Wrong("softmax", SOFTMAX, {"x": "N C"}, softmax_with_the_jacobian_of_log_softmax, "x", ("neighbour",), r"log", NC),
    Wrong(
        "log_softmax",
        LOG_SOFTMAX,
        {"x": "N C"},
        log_softmax_reads_its_output_for_softmax,
        "x",
        ("neighbour", "variable"),
        r"exp",
        NC,
    ),
    Wrong("log_softmax", LOG_SOFTMAX, {"x": "N C"}, log_softmax_without_the_sum, "x", ("sum",), r"sum.*missing", NC),
    Wrong("cross_entropy", CE, CE_DIMS, cross_entropy_without_the_mean, "x", ("scale",), r"1/N.*missing", NC),
    Wrong("cross_entropy", CE, CE_DIMS, cross_entropy_without_the_target, "x", ("path",), r"left out", NC),
    Wrong("cross_entropy", CE, CE_DIMS, cross_entropy_target_minus_softmax, "x", ("sign",), r"wrong sign", NC),
    Wrong("cross_entropy", CE, CE_DIMS, cross_entropy_divided_by_the_classes, "x", ("scale",), r"N·C.*over N", NC),
    Wrong("cross_entropy", CE, CE_DIMS, cross_entropy_target_off_by_one, "x", ("position",), r"\bt\b", NC),
    Wrong(
        "cross_entropy",
        "lse[n] := log(sum(c: exp(x[n,c])))\nL := sum(n: a[t[n]]*(lse[n] - x[n,t[n]]))",
        {**CE_DIMS, "a": "C"},
        weighted_cross_entropy_without_the_weight,
        "x",
        ("factor",),
        r"factor a\b",
        NC,
        {"a": positive("C")},
    ),
    Wrong(
        "cross_entropy",
        "lse[n] := log(sum(c: exp(x[n,c])))\nL := sum(n: a[t[n]]*(lse[n] - x[n,t[n]]))",
        {**CE_DIMS, "a": "C"},
        weighted_cross_entropy_weight_on_one_path_only,
        "x",
        ("factor",),
        r"\ba\b.*lse|lse.*\ba\b",
        NC,
        {"a": positive("C")},
    ),
    Wrong(
        "masked_mse",
        "L := sum(n: m[n]*(x[n] - t[n])^2)",
        {"x": "N", "t": "N", "m": "N"},
        masked_loss_ignores_the_mask,
        "x",
        ("factor",),
        r"factor m\b",
        N,
        {"m": mask},
    ),
    Wrong("bce", BCE, {"x": "N", "t": "N"}, bce_without_the_mean, "x", ("scale",), r"1/N.*missing", N, {"t": positive("N")}),
    Wrong(
        "kl",
        "L := sum(n: p[n]*(log(p[n]) - log(q[n])))",
        {"p": "N", "q": "N"},
        kl_without_its_plus_one,
        "p",
        ("addend", "path"),
        r"\b1\b|p\[n\]|log",
        N,
        {"p": positive("N"), "q": positive("N")},
    ),
    Wrong(
        "logsumexp",
        "y[n] := log(sum(c: exp(x[n,c])))",
        {"x": "N C"},
        logsumexp_returns_the_exponentials,
        "x",
        ("factor", "neighbour"),
        r"sum\(|log",
        NC,
    ),
)
