"""Normalisations."""

from __future__ import annotations

from benchmarks.wrong_backwards.losses import positive
from benchmarks.wrong_backwards.wrong import Wrong, three

NC = three(N=(5, 9, 8), C=(7, 4, 4))
LN = """mean[n] := sum(c: x[n,c]) / C
rstd[n] := (sum(c: (x[n,c] - mean[n])^2) / C + 1/100000)^(-1/2)
y[n,c] := (x[n,c] - mean[n]) * rstd[n] * w[c] + b[c]"""
LN_DIMS = {"x": "N C", "w": "C", "b": "C"}
RMS = "r[n] := (sum(c: x[n,c]^2) / C + 1/1000000)^(-1/2)\ny[n,c] := x[n,c] * r[n] * w[c]"
BN = LN.replace("mean[n]", "mean[c]").replace("rstd[n]", "rstd[c]").replace("sum(c:", "sum(n:").replace("/ C", "/ N")


def stats(x, dim=-1, unbiased=False, eps=1e-5):
    mean = x.mean(dim, keepdim=True)
    return mean, (x.var(dim, unbiased=unbiased, keepdim=True) + eps).rsqrt()


def norm(grad_output, x, w, dim=-1, a=1.0, c=1.0, h=None, rstd=None, dims=None):
    mean, own = stats(x, dim)
    rstd = own if rstd is None else rstd
    k = (x - mean) * rstd
    h = grad_output * w if h is None else h
    return rstd * (h - a * h.mean(dim, keepdim=True) - c * k * (h * k).mean(dim, keepdim=True))


def frozen_mean(grad_output, x, w, b):
    return {"x": norm(grad_output, x, w, a=0)}


def frozen_variance(grad_output, x, w, b):
    return {"x": norm(grad_output, x, w, c=0)}


def frozen_statistics(grad_output, x, w, b):
    return {"x": norm(grad_output, x, w, a=0, c=0)}


def variance_path_with_the_wrong_sign(grad_output, x, w, b):
    return {"x": norm(grad_output, x, w, c=-1)}


def variance_path_not_averaged(grad_output, x, w, b):
    return {"x": norm(grad_output, x, w, c=x.shape[-1])}


def mean_path_not_averaged(grad_output, x, w, b):
    return {"x": norm(grad_output, x, w, a=x.shape[-1])}


def weight_forgotten_in_dx(grad_output, x, w, b):
    return {"x": norm(grad_output, x, 1.0)}


def weight_forgotten_in_the_reductions(grad_output, x, w, b):
    mean, rstd = stats(x)
    k = (x - mean) * rstd
    g = grad_output
    return {"x": rstd * (g * w - g.mean(-1, keepdim=True) - k * (g * k).mean(-1, keepdim=True))}


def epsilon_forgotten(grad_output, x, w, b):
    return {"x": norm(grad_output, x, w, rstd=stats(x, eps=0.0)[1])}


def unbiased_variance(grad_output, x, w, b):
    mean, rstd = stats(x, unbiased=True)
    k = (x - mean) * rstd
    return {"w": (grad_output * k).sum(0)}


def dw_reads_x_unnormalised(grad_output, x, w, b):
    mean, rstd = stats(x)
    return {"w": (grad_output * x).sum(0)}


def dw_without_the_centring(grad_output, x, w, b):
    mean, rstd = stats(x)
    return {"w": (grad_output * x * rstd).sum(0)}


def dw_without_rstd(grad_output, x, w, b):
    mean, rstd = stats(x)
    return {"w": (grad_output * (x - mean)).sum(0)}


def db_is_dw(grad_output, x, w, b):
    mean, rstd = stats(x)
    return {"b": (grad_output * (x - mean) * rstd).sum(0)}


def weight_shifted(grad_output, x, w, b):
    return {"x": norm(grad_output, x, w.roll(1))}


def rms_weight_not_used(grad_output, x, w):
    r = (x.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt()
    return {"x": r * grad_output - x * r**3 * (grad_output * x).mean(-1, keepdim=True)}


def rms_not_averaged(grad_output, x, w):
    r = (x.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt()
    h = grad_output * w
    return {"x": r * h - x * r**3 * (h * x).sum(-1, keepdim=True)}


def rms_square_not_cubed(grad_output, x, w):
    r = (x.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt()
    h = grad_output * w
    return {"x": r * h - x * r**2 * (h * x).mean(-1, keepdim=True)}


def rms_weight_in_dw(grad_output, x, w):
    r = (x.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt()
    return {"w": (grad_output * w * x * r).sum(0)}


def rms_statistic_frozen(grad_output, x, w):
    r = (x.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt()
    return {"x": r * grad_output * w}


def batch_statistics_frozen(grad_output, x, w, b):
    return {"x": norm(grad_output, x, w, 0, a=0, c=0)}


def batch_mean_path_forgotten(grad_output, x, w, b):
    return {"x": norm(grad_output, x, w, 0, a=0)}


def batch_divided_by_n_minus_one(grad_output, x, w, b):
    n = x.shape[0]
    return {"x": norm(grad_output, x, w, 0, c=n / (n - 1))}


def eval_weight_forgotten(grad_output, x, running_mean, running_var, w, b):
    return {"x": grad_output * (running_var + 1e-5).rsqrt()}


def normalise_projects_with_the_wrong_sign(grad_output, x):
    r = x.pow(2).sum(-1, keepdim=True).rsqrt()
    y = x * r
    return {"x": r * (grad_output + y * (y * grad_output).sum(-1, keepdim=True))}


def normalise_forgets_the_projection(grad_output, x):
    return {"x": grad_output * x.pow(2).sum(-1, keepdim=True).rsqrt()}


def _ln(name, backward, kinds, says):
    return Wrong("layer_norm", LN, LN_DIMS, backward, name, kinds, says, NC)


def _rms(name, backward, kinds, says):
    return Wrong("rms_norm", RMS, {"x": "N C", "w": "C"}, backward, name, kinds, says, NC)


def _bn(backward, kinds, says):
    return Wrong("batch_norm", BN, LN_DIMS, backward, "x", kinds, says, NC)


L2 = "r[n] := sum(c: x[n,c]^2)^(-1/2)\ny[n,c] := x[n,c] * r[n]"
SET = (
    _ln("x", frozen_mean, ("path", "detached"), r"mean"),
    _ln("x", frozen_variance, ("path", "detached"), r"rstd"),
    _ln("x", frozen_statistics, ("path", "detached", "mode"), r"mean.*rstd|rstd.*mean"),
    _ln("x", variance_path_with_the_wrong_sign, ("path",), r"rstd.*sign"),
    _ln("x", variance_path_not_averaged, ("path",), r"rstd.*C times"),
    _ln("x", mean_path_not_averaged, ("path",), r"mean.*C times"),
    _ln("x", weight_forgotten_in_dx, ("factor",), r"factor w\b"),
    _ln("x", weight_forgotten_in_the_reductions, ("factor",), r"\bw\b"),
    _ln("x", epsilon_forgotten, ("constant",), r"eps"),
    _ln("w", unbiased_variance, ("constant", "scale"), r"C - 1|N-1|C-1"),
    _ln("w", dw_reads_x_unnormalised, ("factor", "variable", "addend", "path"), r"mean|rstd"),
    _ln("w", dw_without_the_centring, ("addend", "path"), r"mean"),
    _ln("w", dw_without_rstd, ("factor",), r"rstd"),
    _ln("b", db_is_dw, ("other_input",), r"gradient of w"),
    _ln("x", weight_shifted, ("position",), r"\bw\b.*shift"),
    _rms("x", rms_weight_not_used, ("factor",), r"factor w\b"),
    _rms("x", rms_not_averaged, ("path",), r"\br\b.*C times"),
    _rms("x", rms_square_not_cubed, ("factor",), r"\br\b"),
    _rms("w", rms_weight_in_dw, ("factor",), r"factor w\b"),
    _rms("x", rms_statistic_frozen, ("path", "detached"), r"\br\b"),
    _bn(batch_statistics_frozen, ("mode", "path", "detached"), r"mean.*rstd|rstd.*mean|eval"),
    _bn(batch_mean_path_forgotten, ("path", "detached"), r"mean"),
    _bn(batch_divided_by_n_minus_one, ("path", "constant"), r"N ?- ?1"),
    Wrong(
        "batch_norm_eval",
        "y[n,c] := (x[n,c] - running_mean[c]) * (running_var[c] + 1/100000)^(-1/2) * w[c] + b[c]",
        {"x": "N C", "running_mean": "C", "running_var": "C", "w": "C", "b": "C"},
        eval_weight_forgotten,
        "x",
        ("factor",),
        r"\bw\b",
        NC,
        {"running_var": positive("C")},
    ),
    Wrong("normalise", L2, {"x": "N C"}, normalise_projects_with_the_wrong_sign, "x", ("path",), r"\br\b.*sign", NC),
    Wrong("normalise", L2, {"x": "N C"}, normalise_forgets_the_projection, "x", ("path", "detached"), r"\br\b", NC),
)
