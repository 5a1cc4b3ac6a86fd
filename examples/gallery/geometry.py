"""Rotations, distances, and an estimate that is corrected."""

import torch

from examples.gallery.layer import Layer, Mistake


def rotate(q, p):
    axis, w = q[1:], q[0]
    t = 2 * torch.cross(axis.expand_as(p), p, dim=-1)
    return p + w * t + torch.cross(axis.expand_as(p), t, dim=-1)


def rotate_backward(grad_output, q, p):
    w, axis = q[0], q[1:].expand_as(p)
    t = 2 * torch.cross(axis, p, dim=-1)
    dw = (grad_output * t).sum()
    dt = w * grad_output + torch.cross(grad_output, axis, dim=-1)
    dp = grad_output + 2 * torch.cross(dt, axis, dim=-1)
    daxis = torch.cross(t, grad_output, dim=-1) + 2 * torch.cross(p, dt, dim=-1)
    return {"q": torch.cat([dw[None], daxis.sum(0)]), "p": dp}


def distances(a, b):
    return torch.sqrt(((a[:, None] - b[None]) ** 2).sum(-1) + 1e-8)


def distances_backward(grad_output, a, b):
    diff = a[:, None] - b[None]
    dist = (diff.pow(2).sum(-1) + 1e-8).sqrt()
    pull = (grad_output / dist)[..., None] * diff
    return {"a": pull.sum(1), "b": -pull.sum(0)}


def cosine_similarity(x, z):
    return (x * z).sum(1) / (x.norm(dim=1) * z.norm(dim=1))


def cosine_similarity_backward(grad_output, x, z):
    nx, nz = x.norm(dim=1, keepdim=True), z.norm(dim=1, keepdim=True)
    cos = (x * z).sum(1, keepdim=True) / (nx * nz)
    g = grad_output[:, None]
    dx = g * (z / (nx * nz) - cos * x / nx**2)
    dz = g * (x / (nx * nz) - cos * z / nz**2)
    return {"x": dx, "z": dz}


def kalman_update(mean, cov, h, y):
    s = h @ cov @ h + 0.5
    gain = cov @ h / s
    return mean + gain * (y - h @ mean)


def kalman_update_backward(grad_output, mean, cov, h, y):
    ph = cov @ h
    s = h @ ph + 0.5
    gain = ph / s
    innovation = y - h @ mean
    dinnovation = grad_output @ gain
    dgain = grad_output * innovation
    ds = -(dgain * gain).sum() / s
    dph = dgain / s + ds * h
    dmean = grad_output - dinnovation * h
    dcov = torch.outer(dph, h)
    dh = cov.T @ dph + ds * ph - dinnovation * mean
    return {"mean": dmean, "cov": dcov, "h": dh, "y": dinnovation}


LAYERS = (
    Layer(
        "quaternion rotation",
        "Points, rotated by a quaternion of length one with two cross products.",
        "The identity p + 2w(a×p) + 2a×(a×p) of many geometry libraries.",
        rotate,
        rotate_backward,
        {"q": "4", "p": "N 3"},
        (
            Mistake(
                "a cross product in the wrong order",
                "dp = grad_output + 2 * torch.cross(dt, axis, dim=-1)",
                "dp = grad_output + 2 * torch.cross(axis, dt, dim=-1)",
                "A cross product's backward exchanges the factors, and with them the sign.",
            ),
            Mistake(
                "the inner two forgotten",
                "daxis = torch.cross(t, grad_output, dim=-1) + 2 * torch.cross(p, dt, dim=-1)",
                "daxis = torch.cross(t, grad_output, dim=-1) + torch.cross(p, dt, dim=-1)",
                "The 2 is hidden in t.",
            ),
        ),
    ),
    Layer(
        "pairwise distances",
        "The distance of each point of one set from each of another.",
        "`torch.cdist`, with 10⁻⁸ under the root.",
        distances,
        distances_backward,
        {"a": "N D", "b": "M D"},
        (
            Mistake(
                "the sign of the second set",
                'return {"a": pull.sum(1), "b": -pull.sum(0)}',
                'return {"a": pull.sum(1), "b": pull.sum(0)}',
                "The distance is symmetric, the difference is not.",
            ),
            Mistake(
                "the half of the root kept",
                "pull = (grad_output / dist)[..., None] * diff",
                "pull = (grad_output / (2 * dist))[..., None] * diff",
                "The 2 of the square and the ½ of the root cancel; one of them was dropped alone.",
            ),
        ),
        sizes={"M": 4},
    ),
    Layer(
        "cosine similarity",
        "The cosine of the angle between two rows.",
        "`torch.nn.CosineSimilarity`, with no lower bound of the lengths.",
        cosine_similarity,
        cosine_similarity_backward,
        {"x": "N D", "z": "N D"},
        (
            Mistake(
                "the own length once",
                "dx = g * (z / (nx * nz) - cos * x / nx**2)",
                "dx = g * (z / (nx * nz) - cos * x / nx)",
                "The derivative of the length is x/‖x‖, and the length itself divides it once more.",
            ),
            Mistake(
                "projected on the other one",
                "dz = g * (x / (nx * nz) - cos * z / nz**2)",
                "dz = g * (x / (nx * nz) - cos * x / nx**2)",
                "Copied from the line above, and half renamed.",
            ),
        ),
    ),
    Layer(
        "kalman update",
        "A state's mean, corrected by one measurement.",
        "Kalman 1960, for one measured number with variance 1/2.",
        kalman_update,
        kalman_update_backward,
        {"mean": "D", "cov": "D D", "h": "D", "y": ""},
        (
            Mistake(
                "the innovation's variance held constant",
                "dph = dgain / s + ds * h",
                "dph = dgain / s",
                "The gain's denominator depends on the covariance, too.",
            ),
            Mistake(
                "the mean as if only added",
                "dmean = grad_output - dinnovation * h",
                "dmean = grad_output",
                "The mean is in the innovation, too: its gradient is (I − HᵀKᵀ)ḡ.",
            ),
        ),
    ),
)
