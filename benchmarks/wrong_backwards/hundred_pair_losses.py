"""Wrong backwards of losses of pairs, triplets and distributions."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from benchmarks.wrong_backwards.mistake import Mistake, ints, layer, randn
from examples.gallery.losses import huber
from examples.gallery.preferences import info_nce, triplet_loss


def triplet_loss_forgets_the_margin(grad_output, anchor, positive, negative):
    ap, an = anchor - positive, anchor - negative
    violated = ((ap**2).sum(1) - (an**2).sum(1)) > 0
    w = 2 * grad_output * violated[:, None] / anchor.shape[0]
    return {"anchor": w * (ap - an), "positive": -w * ap, "negative": w * an}


def triplet_loss_adds_the_two_distances(grad_output, anchor, positive, negative):
    ap, an = anchor - positive, anchor - negative
    violated = ((ap**2).sum(1) - (an**2).sum(1) + 4.0) > 0
    w = 2 * grad_output * violated[:, None] / anchor.shape[0]
    return {"anchor": w * (ap + an), "positive": -w * ap, "negative": w * an}


def contrastive_loss(a, b, same):
    d = torch.sqrt(((a - b) ** 2).sum(-1) + 1e-6)
    apart = torch.clamp(2.0 - d, min=0)
    return (same * d**2 + (1 - same) * apart**2).sum()


def contrastive_loss_labels_turned(grad_output, a, b, same):
    diff = a - b
    d = torch.sqrt((diff * diff).sum(-1) + 1e-6)
    apart = torch.clamp(2.0 - d, min=0)
    dd = 2 * (1 - same) * d - 2 * same * apart
    da = grad_output * (dd / d)[:, None] * diff
    return {"a": da, "b": -da}


def contrastive_loss_direction_is_not_of_unit_length(grad_output, a, b, same):
    diff = a - b
    d = torch.sqrt((diff * diff).sum(-1) + 1e-6)
    apart = torch.clamp(2.0 - d, min=0)
    dd = 2 * same * d - 2 * (1 - same) * apart
    da = grad_output * dd[:, None] * diff
    return {"a": da, "b": -da}


def info_nce_normalises_the_columns(grad_output, u, v):
    n = u.shape[0]
    p = torch.softmax(u @ v.T / 0.5, dim=0)
    dlogits = (p - torch.eye(n, dtype=u.dtype)) / n
    dlogits = grad_output * dlogits / 0.5
    return {"u": dlogits @ v, "v": dlogits.T @ u}


def info_nce_other_side_not_transposed(grad_output, u, v):
    n = u.shape[0]
    p = torch.softmax(u @ v.T / 0.5, dim=1)
    dlogits = (p - torch.eye(n, dtype=u.dtype)) / n
    dlogits = grad_output * dlogits / 0.5
    return {"u": dlogits @ v, "v": dlogits @ u}


def huber_clamps_at_one(grad_output, pred, truth):
    r = pred - truth
    slope = torch.clamp(r, -1.0, 1.0)
    g = grad_output * slope / r.numel()
    return {"pred": g, "truth": -g}


def huber_divides_by_the_batch(grad_output, pred, truth):
    r = pred - truth
    slope = torch.clamp(r, -0.8, 0.8)
    g = grad_output * slope / r.shape[0]
    return {"pred": g, "truth": -g}


def gaussian_nll(y, mean, log_var):
    return (0.5 * (log_var + (y - mean) ** 2 / torch.exp(log_var))).sum()


def gaussian_nll_variance_for_its_logarithm(grad_output, y, mean, log_var):
    inv_var = 1 / log_var
    z = (y - mean) * inv_var
    d_mean = -grad_output * z
    d_log_var = grad_output * 0.5 * (1 - (y - mean) * z)
    return {"y": grad_output * z, "mean": d_mean, "log_var": d_log_var}


def gaussian_nll_log_variance_without_the_one(grad_output, y, mean, log_var):
    inv_var = torch.exp(-log_var)
    z = (y - mean) * inv_var
    d_mean = -grad_output * z
    d_log_var = -grad_output * 0.5 * (y - mean) * z
    return {"y": grad_output * z, "mean": d_mean, "log_var": d_log_var}


def kl_to_normal(mu, logvar):
    return -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(1).mean()


def kl_to_normal_with_an_extra_two(grad_output, mu, logvar):
    scale = grad_output / mu.shape[0]
    grad_mu = scale * 2 * mu
    grad_logvar = scale * 0.5 * (logvar.exp() - 1)
    return {"mu": grad_mu, "logvar": grad_logvar}


def kl_to_normal_variance_has_the_wrong_sign(grad_output, mu, logvar):
    scale = grad_output / mu.shape[0]
    grad_mu = scale * mu
    grad_logvar = scale * 0.5 * (1 - logvar.exp())
    return {"mu": grad_mu, "logvar": grad_logvar}


def ranking_loss(s_pos, s_neg):
    return F.softplus(s_neg - s_pos).mean()


def ranking_loss_probability_of_the_other_order(grad_output, s_pos, s_neg):
    wrong_side = torch.sigmoid(s_pos - s_neg)
    g = grad_output * wrong_side / s_pos.numel()
    return {"s_pos": -g, "s_neg": g}


def ranking_loss_derivative_of_the_sigmoid(grad_output, s_pos, s_neg):
    wrong_side = torch.sigmoid(s_neg - s_pos)
    g = grad_output * wrong_side * (1 - wrong_side) / s_pos.numel()
    return {"s_pos": -g, "s_neg": g}


CASES = [
    *layer(
        "triplet margin loss",
        triplet_loss,
        lambda N, D: {"anchor": randn(N, D), "positive": randn(N, D), "negative": randn(N, D)},
        {"N": (6, 7), "D": (3, 4)},
        Mistake(
            triplet_loss_forgets_the_margin,
            "violated = ((ap**2).sum(1) - (an**2).sum(1)) > 0",
            "violated = ((ap**2).sum(1) - (an**2).sum(1) + 4.0) > 0",
            r"margin|4\.0|\b4\b|mask|condition",
        ),
        Mistake(
            triplet_loss_adds_the_two_distances,
            'return {"anchor": w * (ap + an), "positive": -w * ap, "negative": w * an}',
            'return {"anchor": w * (ap - an), "positive": -w * ap, "negative": w * an}',
            r"sign|minus|negat|opposite",
        ),
    ),
    *layer(
        "contrastive pair loss",
        contrastive_loss,
        lambda N, D: {"a": randn(N, D), "b": randn(N, D), "same": ints(2, N)},
        {"N": (7, 8), "D": (3, 2)},
        Mistake(
            contrastive_loss_labels_turned,
            "dd = 2 * (1 - same) * d - 2 * same * apart",
            "dd = 2 * same * d - 2 * (1 - same) * apart",
            r"same|exchang|swap|label|turned|invert",
        ),
        Mistake(
            contrastive_loss_direction_is_not_of_unit_length,
            "da = grad_output * dd[:, None] * diff",
            "da = grad_output * (dd / d)[:, None] * diff",
            r"\bd\b|norm|length|distance|divi|factor",
        ),
    ),
    *layer(
        "InfoNCE",
        info_nce,
        lambda N, D: {"u": randn(N, D), "v": randn(N, D)},
        {"N": (4, 3), "D": (3, 4)},
        Mistake(
            info_nce_normalises_the_columns,
            "p = torch.softmax(u @ v.T / 0.5, dim=0)",
            "p = torch.softmax(u @ v.T / 0.5, dim=1)",
            r"dim|axis|softmax|column|row",
        ),
        Mistake(
            info_nce_other_side_not_transposed,
            'return {"u": dlogits @ v, "v": dlogits @ u}',
            'return {"u": dlogits @ v, "v": dlogits.T @ u}',
            r"transpos|\.T|exchang|index",
        ),
    ),
    *layer(
        "Huber loss",
        huber,
        lambda N, D: {"pred": randn(N, D), "truth": randn(N, D)},
        {"N": (5, 4), "D": (3, 4)},
        Mistake(
            huber_clamps_at_one,
            "slope = torch.clamp(r, -1.0, 1.0)",
            "slope = torch.clamp(r, -0.8, 0.8)",
            r"0\.8|clamp|bound|limit|1\.0",
        ),
        Mistake(
            huber_divides_by_the_batch,
            "g = grad_output * slope / r.shape[0]",
            "g = grad_output * slope / r.numel()",
            r"numel|count|\bD\b|size|mean|factor|shape",
        ),
    ),
    *layer(
        "Gaussian negative log-likelihood",
        gaussian_nll,
        lambda N, D: {"y": randn(N, D), "mean": randn(N, D), "log_var": randn(N, D)},
        {"N": (5, 4), "D": (3, 4)},
        Mistake(gaussian_nll_variance_for_its_logarithm, "inv_var = 1 / log_var", "inv_var = torch.exp(-log_var)", r"exp|log"),
        Mistake(
            gaussian_nll_log_variance_without_the_one,
            "d_log_var = -grad_output * 0.5 * (y - mean) * z",
            "d_log_var = grad_output * 0.5 * (1 - (y - mean) * z)",
            r"\b1\b|one|term|missing|forgot|0\.5",
        ),
    ),
    *layer(
        "variational divergence",
        kl_to_normal,
        lambda N, D: {"mu": randn(N, D), "logvar": randn(N, D)},
        {"N": (4, 3), "D": (3, 5)},
        Mistake(
            kl_to_normal_with_an_extra_two, "grad_mu = scale * 2 * mu", "grad_mu = scale * mu", r"\b2\b|factor|two|0\.5|half"
        ),
        Mistake(
            kl_to_normal_variance_has_the_wrong_sign,
            "grad_logvar = scale * 0.5 * (1 - logvar.exp())",
            "grad_logvar = scale * 0.5 * (logvar.exp() - 1)",
            r"sign|negat|minus|-1|opposite",
        ),
    ),
    *layer(
        "pairwise ranking loss",
        ranking_loss,
        lambda N: {"s_pos": randn(N), "s_neg": randn(N)},
        {"N": (4, 5)},
        Mistake(
            ranking_loss_probability_of_the_other_order,
            "wrong_side = torch.sigmoid(s_pos - s_neg)",
            "wrong_side = torch.sigmoid(s_neg - s_pos)",
            r"sign|exchang|swap|s_neg|s_pos|order|negat",
        ),
        Mistake(
            ranking_loss_derivative_of_the_sigmoid,
            "g = grad_output * wrong_side * (1 - wrong_side) / s_pos.numel()",
            "g = grad_output * wrong_side / s_pos.numel()",
            r"factor|sigmoid|wrong_side|extra",
        ),
    ),
]
