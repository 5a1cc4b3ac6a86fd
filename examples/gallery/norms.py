"""Norms: what is subtracted and divided by depends on the input, and each has a path of its own back to it."""

import torch
import torch.nn.functional as F

from examples.gallery.layer import Layer, Mistake


def layer_norm(x, w, b):
    return F.layer_norm(x, (x.shape[-1],), w, b, 1e-5)


def layer_norm_backward(grad_output, x, w, b):
    mean = x.mean(-1, keepdim=True)
    rstd = torch.rsqrt((x - mean).square().mean(-1, keepdim=True) + 1e-5)
    xhat = (x - mean) * rstd
    h = grad_output * w
    dx = rstd * (h - h.mean(-1, keepdim=True) - xhat * (h * xhat).mean(-1, keepdim=True))
    return {"x": dx, "w": (grad_output * xhat).sum(0), "b": grad_output.sum(0)}


def rms_norm(x, w):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * w


def rms_norm_backward(grad_output, x, w):
    rrms = torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5)
    xhat = x * rrms
    h = grad_output * w
    dx = rrms * (h - xhat * (h * xhat).mean(-1, keepdim=True))
    return {"x": dx, "w": (grad_output * xhat).sum(0)}


def batch_norm(x, gamma, beta):
    mean = x.mean((0, 2), keepdim=True)
    var = ((x - mean) ** 2).mean((0, 2), keepdim=True)
    return (x - mean) / (var + 1e-3).sqrt() * gamma[:, None] + beta[:, None]


def batch_norm_backward(grad_output, x, gamma, beta):
    n, c, length = x.shape
    count = n * length
    mean = x.mean((0, 2), keepdim=True)
    centred = x - mean
    std = ((centred**2).mean((0, 2), keepdim=True) + 1e-3).sqrt()
    normed = centred / std
    dbeta = grad_output.sum((0, 2))
    dgamma = (grad_output * normed).sum((0, 2))
    inner = count * grad_output - dbeta[:, None] - normed * dgamma[:, None]
    return {"x": gamma[:, None] / (count * std) * inner, "gamma": dgamma, "beta": dbeta}


def group_norm(x, w, groups):
    return F.group_norm(x, groups, eps=1e-5) * w[None, :, None]


def group_norm_backward(grad_output, x, w, groups):
    n, c, length = x.shape
    xg = x.reshape(n, groups, -1)
    mean = xg.mean(-1, keepdim=True)
    rstd = torch.rsqrt(xg.var(-1, keepdim=True, unbiased=False) + 1e-5)
    xhat = (xg - mean) * rstd
    dy = (grad_output * w[None, :, None]).reshape(n, groups, -1)
    along = (dy * xhat).mean(-1, keepdim=True)
    dx = rstd * (dy - dy.mean(-1, keepdim=True) - xhat * along)
    dw = (grad_output * xhat.reshape(n, c, length)).sum((0, 2))
    return {"x": dx.reshape(n, c, length), "w": dw}


def unit_rows(x):
    return x / x.norm(dim=-1, keepdim=True)


def unit_rows_backward(grad_output, x):
    length = x.norm(dim=-1, keepdim=True)
    unit = x / length
    radial = (grad_output * unit).sum(-1, keepdim=True)
    return {"x": (grad_output - radial * unit) / length}


LAYERS = (
    Layer(
        "layer norm",
        "Each row minus its mean, divided by its deviation, times a weight, plus a bias.",
        "Ba, Kiros and Hinton 2016, arXiv 1607.06450; the backward with two means is that of fused kernels (Apex, llm.c).",
        layer_norm,
        layer_norm_backward,
        {"x": "N D", "w": "D", "b": "D"},
        (
            Mistake(
                "the mean held",
                "dx = rstd * (h - h.mean(-1, keepdim=True) - xhat * (h * xhat).mean(-1, keepdim=True))",
                "dx = rstd * (h - xhat * (h * xhat).mean(-1, keepdim=True))",
                "It is RMSNorm's backward: the mean depends on x, too.",
            ),
            Mistake(
                "the weight after the means",
                "h = grad_output * w",
                "h = grad_output",
                "The weight comes last in the forward, so it is first in the backward, before the two means are taken.",
            ),
        ),
    ),
    Layer(
        "rms norm",
        "Each row divided by the root of its mean square, times a weight.",
        "Zhang and Sennrich 2019, arXiv 1910.07467.",
        rms_norm,
        rms_norm_backward,
        {"x": "N D", "w": "D"},
        (
            Mistake(
                "a sum in place of a mean",
                "dx = rrms * (h - xhat * (h * xhat).mean(-1, keepdim=True))",
                "dx = rrms * (h - xhat * (h * xhat).sum(-1, keepdim=True))",
                "In the backward of x/‖x‖ it is a sum; here the mean square divides it by D.",
            ),
            Mistake(
                "the root held constant",
                "dx = rrms * (h - xhat * (h * xhat).mean(-1, keepdim=True))",
                "dx = rrms * h",
                "rrms was saved as a number, and looks like a constant.",
            ),
        ),
    ),
    Layer(
        "batch norm",
        "Each channel minus its mean over batch and positions, divided by its deviation, times gamma, plus beta.",
        "Ioffe and Szegedy 2015, arXiv 1502.03167; the backward in one line is the one of many course notes.",
        batch_norm,
        batch_norm_backward,
        {"x": "N C L", "gamma": "C", "beta": "C"},
        (
            Mistake(
                "the batch counted alone",
                "count = n * length",
                "count = n",
                "The formula is copied from the fully connected case, where there are no positions.",
            ),
            Mistake(
                "the scale of the centred input",
                "dgamma = (grad_output * normed).sum((0, 2))",
                "dgamma = (grad_output * centred).sum((0, 2))",
                "Two tensors of one shape; the one that gamma was multiplied with is meant.",
            ),
        ),
    ),
    Layer(
        "group norm",
        "Channels in groups; each group of each example normalised over its channels and positions.",
        "Wu and He 2018, arXiv 1803.08494.",
        group_norm,
        group_norm_backward,
        {"x": "N 2*K L", "w": "2*K"},
        (
            Mistake(
                "without the weight",
                "dy = (grad_output * w[None, :, None]).reshape(n, groups, -1)",
                "dy = grad_output.reshape(n, groups, -1)",
                "The weight acts by channel and the norm by group: in the grouped shape it does not fit.",
            ),
            Mistake(
                "the projection added",
                "dx = rstd * (dy - dy.mean(-1, keepdim=True) - xhat * along)",
                "dx = rstd * (dy - dy.mean(-1, keepdim=True) + xhat * along)",
                "The sign is lost between two terms that are both subtracted.",
            ),
        ),
        constants={"groups": 2},
    ),
    Layer(
        "unit rows",
        "Each row divided by its length.",
        "`torch.nn.functional.normalize`, with no lower bound of the length.",
        unit_rows,
        unit_rows_backward,
        {"x": "N D"},
        (
            Mistake(
                "projected on the input",
                'return {"x": (grad_output - radial * unit) / length}',
                'return {"x": (grad_output - radial * x) / length}',
                "x was saved, the unit row was not.",
            ),
            Mistake(
                "divided by the square",
                'return {"x": (grad_output - radial * unit) / length}',
                'return {"x": (grad_output - radial * unit) / length**2}',
                "The derivative of 1/l is −1/l²; one of the two l is already in the unit row.",
            ),
        ),
    ),
)
