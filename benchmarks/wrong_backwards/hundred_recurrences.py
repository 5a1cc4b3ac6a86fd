"""Wrong backwards of cumulative sums, recurrences, filters and regularisers."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from benchmarks.wrong_backwards.mistake import Mistake, layer, rand, randn
from examples.gallery.geometry import kalman_update


def composite(sigma, colour):
    alpha = 1 - torch.exp(-sigma)
    optical = torch.cumsum(sigma, dim=1) - sigma
    return (torch.exp(-optical) * alpha * colour).sum(1)


def composite_counts_the_sample_itself_behind(grad_output, sigma, colour):
    passed = torch.exp(-sigma)
    transmittance = torch.exp(sigma - torch.cumsum(sigma, dim=1))
    weight = transmittance * (1 - passed)
    g = grad_output[:, None]
    dcolour = g * weight
    contribution = weight * colour
    behind = contribution.sum(1, keepdim=True) - torch.cumsum(contribution, dim=1) + contribution
    dsigma = g * (transmittance * passed * colour - behind)
    return {"sigma": dsigma, "colour": dcolour}


def composite_transmittance_includes_the_sample(grad_output, sigma, colour):
    passed = torch.exp(-sigma)
    transmittance = torch.exp(-torch.cumsum(sigma, dim=1))
    weight = transmittance * (1 - passed)
    g = grad_output[:, None]
    dcolour = g * weight
    contribution = weight * colour
    behind = contribution.sum(1, keepdim=True) - torch.cumsum(contribution, dim=1)
    dsigma = g * (transmittance * passed * colour - behind)
    return {"sigma": dsigma, "colour": dcolour}


def moving_average(x, decay):
    state = torch.zeros_like(x[:, 0])
    for step in range(4):
        state = decay * state + (1 - decay) * x[:, step]
    return state


def moving_average_decay_reads_the_next_state(grad_output, x, decay):
    states = [torch.zeros_like(x[:, 0])]
    for step in range(4):
        states.append(decay * states[-1] + (1 - decay) * x[:, step])
    carried = grad_output
    ddecay = torch.zeros_like(decay)
    dx = torch.zeros_like(x)
    for step in reversed(range(4)):
        ddecay = ddecay + (carried * (states[step + 1] - x[:, step])).sum(0)
        dx[:, step] = (1 - decay) * carried
        carried = decay * carried
    return {"x": dx, "decay": ddecay}


def moving_average_forgets_the_gain(grad_output, x, decay):
    states = [torch.zeros_like(x[:, 0])]
    for step in range(4):
        states.append(decay * states[-1] + (1 - decay) * x[:, step])
    carried = grad_output
    ddecay = torch.zeros_like(decay)
    dx = torch.zeros_like(x)
    for step in reversed(range(4)):
        ddecay = ddecay + (carried * (states[step] - x[:, step])).sum(0)
        dx[:, step] = carried
        carried = decay * carried
    return {"x": dx, "decay": ddecay}


def decay_scan(a, u):
    logs = torch.cumsum(torch.log(a), dim=0)
    return torch.exp(logs) * torch.cumsum(u * torch.exp(-logs), dim=0)


def decay_scan_sums_forwards(grad_output, a, u):
    logs = torch.cumsum(torch.log(a), dim=0)
    grow, shrink = torch.exp(-logs), torch.exp(logs)
    inner = torch.cumsum(u * grow, dim=0)
    dinner = grad_output * shrink
    dterm = dinner.cumsum(0)
    du = dterm * grow
    dlogs = grad_output * shrink * inner - dterm * u * grow
    da = dlogs.flip(0).cumsum(0).flip(0) / a
    return {"a": da, "u": du}


def decay_scan_forgets_the_logarithm(grad_output, a, u):
    logs = torch.cumsum(torch.log(a), dim=0)
    grow, shrink = torch.exp(-logs), torch.exp(logs)
    inner = torch.cumsum(u * grow, dim=0)
    dinner = grad_output * shrink
    dterm = dinner.flip(0).cumsum(0).flip(0)
    du = dterm * grow
    dlogs = grad_output * shrink * inner - dterm * u * grow
    da = dlogs.flip(0).cumsum(0).flip(0)
    return {"a": da, "u": du}


def kalman_update_gain_with_a_fixed_innovation_variance(grad_output, mean, cov, h, y):
    ph = cov @ h
    s = h @ ph + 0.5
    gain = ph / s
    innovation = y - h @ mean
    dinnovation = grad_output @ gain
    dgain = grad_output * innovation
    ds = -(dgain * gain).sum() / s
    dph = dgain / s
    dmean = grad_output - dinnovation * h
    dcov = torch.outer(dph, h)
    dh = cov.T @ dph + ds * ph - dinnovation * mean
    return {"mean": dmean, "cov": dcov, "h": dh, "y": dinnovation}


def kalman_update_mean_keeps_the_identity_alone(grad_output, mean, cov, h, y):
    ph = cov @ h
    s = h @ ph + 0.5
    gain = ph / s
    innovation = y - h @ mean
    dinnovation = grad_output @ gain
    dgain = grad_output * innovation
    ds = -(dgain * gain).sum() / s
    dph = dgain / s + ds * h
    dmean = grad_output
    dcov = torch.outer(dph, h)
    dh = cov.T @ dph + ds * ph - dinnovation * mean
    return {"mean": dmean, "cov": dcov, "h": dh, "y": dinnovation}


def total_variation(img):
    dh = img[:, 1:] - img[:, :-1]
    dw = img[:, :, 1:] - img[:, :, :-1]
    return (dh**2).sum() + (dw**2).sum()


def total_variation_lower_row_added(grad_output, img):
    down = 2 * grad_output * (img[:, 1:] - img[:, :-1])
    right = 2 * grad_output * (img[:, :, 1:] - img[:, :, :-1])
    grad = torch.zeros_like(img)
    grad[:, 1:] += down
    grad[:, :-1] += down
    grad[:, :, 1:] += right
    grad[:, :, :-1] -= right
    return {"img": grad}


def total_variation_horizontal_half_without_the_two(grad_output, img):
    down = 2 * grad_output * (img[:, 1:] - img[:, :-1])
    right = grad_output * (img[:, :, 1:] - img[:, :, :-1])
    grad = torch.zeros_like(img)
    grad[:, 1:] += down
    grad[:, :-1] -= down
    grad[:, :, 1:] += right
    grad[:, :, :-1] -= right
    return {"img": grad}


def orthogonality(w):
    gram = w.T @ w
    return ((gram - torch.eye(w.shape[1], dtype=w.dtype)) ** 2).sum()


def orthogonality_one_of_the_two_factors(grad_output, w):
    excess = w.T @ w - torch.eye(w.shape[1], dtype=w.dtype)
    dgram = 2 * grad_output * excess
    return {"w": w @ dgram}


def orthogonality_without_the_identity(grad_output, w):
    excess = w.T @ w
    dgram = 2 * grad_output * excess
    return {"w": w @ (dgram + dgram.T)}


def entropy(z):
    p = torch.softmax(z, -1)
    return -(p * p.log()).sum(-1)


def entropy_subtracts_the_entropy(grad_output, z):
    logp = F.log_softmax(z, -1)
    p = logp.exp()
    h = -(p * logp).sum(-1, keepdim=True)
    return {"z": -grad_output[:, None] * p * (logp - h)}


def entropy_mean_of_the_logarithms(grad_output, z):
    logp = F.log_softmax(z, -1)
    p = logp.exp()
    h = -logp.mean(-1, keepdim=True)
    return {"z": -grad_output[:, None] * p * (logp + h)}


CASES = [
    *layer(
        "alpha compositing",
        composite,
        lambda R, S: {"sigma": rand(R, S), "colour": randn(R, S)},
        {"R": (3, 2), "S": (5, 4)},
        Mistake(
            composite_counts_the_sample_itself_behind,
            "behind = contribution.sum(1, keepdim=True) - torch.cumsum(contribution, dim=1) + contribution",
            "behind = contribution.sum(1, keepdim=True) - torch.cumsum(contribution, dim=1)",
            r"contribution|itself|shift|inclusive|exclusive|extra|cumsum",
        ),
        Mistake(
            composite_transmittance_includes_the_sample,
            "transmittance = torch.exp(-torch.cumsum(sigma, dim=1))",
            "transmittance = torch.exp(sigma - torch.cumsum(sigma, dim=1))",
            r"sigma|shift|inclusive|exclusive|cumsum|exp",
        ),
    ),
    *layer(
        "exponential moving average",
        moving_average,
        lambda N, D: {"x": randn(N, 4, D), "decay": rand(D)},
        {"N": (3, 2), "D": (2, 3)},
        Mistake(
            moving_average_decay_reads_the_next_state,
            "ddecay = ddecay + (carried * (states[step + 1] - x[:, step])).sum(0)",
            "ddecay = ddecay + (carried * (states[step] - x[:, step])).sum(0)",
            r"step|state|shift|index|previous|\+ ?1",
        ),
        Mistake(
            moving_average_forgets_the_gain, "dx[:, step] = carried", "dx[:, step] = (1 - decay) * carried", r"decay|factor|1 -"
        ),
    ),
    *layer(
        "selective decay scan",
        decay_scan,
        lambda T, D: {"a": rand(T, D), "u": randn(T, D)},
        {"T": (5, 4), "D": (3, 2)},
        Mistake(
            decay_scan_sums_forwards,
            "dterm = dinner.cumsum(0)",
            "dterm = dinner.flip(0).cumsum(0).flip(0)",
            r"flip|revers|cumsum|direction|order|suffix|backward",
        ),
        Mistake(
            decay_scan_forgets_the_logarithm,
            "da = dlogs.flip(0).cumsum(0).flip(0)",
            "da = dlogs.flip(0).cumsum(0).flip(0) / a",
            r"\ba\b|1/a|log|divi|factor",
        ),
    ),
    *layer(
        "Kalman update",
        kalman_update,
        lambda D: {"mean": randn(D), "cov": randn(D, D), "h": randn(D), "y": randn()},
        {"D": (3, 2)},
        Mistake(
            kalman_update_gain_with_a_fixed_innovation_variance,
            "dph = dgain / s",
            "dph = dgain / s + ds * h",
            r"\bds\b|\bs\b|path|term|missing|forgot|variance|\b0\b",
        ),
        Mistake(
            kalman_update_mean_keeps_the_identity_alone,
            "dmean = grad_output",
            "dmean = grad_output - dinnovation * h",
            r"innovation|path|term|missing|forgot|\bh\b|gain",
        ),
    ),
    *layer(
        "total variation",
        total_variation,
        lambda N, H, W: {"img": randn(N, H, W)},
        {"N": (2, 3), "H": (4, 3), "W": (3, 5)},
        Mistake(total_variation_lower_row_added, "grad[:, :-1] += down", "grad[:, :-1] -= down", r"sign|minus|negat|opposite"),
        Mistake(
            total_variation_horizontal_half_without_the_two,
            "right = grad_output * (img[:, :, 1:] - img[:, :, :-1])",
            "right = 2 * grad_output * (img[:, :, 1:] - img[:, :, :-1])",
            r"\b2\b|factor|two",
        ),
    ),
    *layer(
        "orthogonality penalty",
        orthogonality,
        lambda A, B: {"w": randn(A, B)},
        {"A": (4, 3), "B": (3, 2)},
        Mistake(
            orthogonality_one_of_the_two_factors,
            'return {"w": w @ dgram}',
            'return {"w": w @ (dgram + dgram.T)}',
            r"\b2\b|factor|term|path|missing|forgot|dgram|transpos",
        ),
        Mistake(
            orthogonality_without_the_identity,
            "excess = w.T @ w",
            "excess = w.T @ w - torch.eye(w.shape[1], dtype=w.dtype)",
            r"eye|identity|\b1\b|term|delta|missing",
        ),
    ),
    *layer(
        "entropy of a distribution",
        entropy,
        lambda N, K: {"z": randn(N, K)},
        {"N": (4, 3), "K": (3, 5)},
        Mistake(
            entropy_subtracts_the_entropy,
            'return {"z": -grad_output[:, None] * p * (logp - h)}',
            'return {"z": -grad_output[:, None] * p * (logp + h)}',
            r"sign|minus|negat|opposite",
        ),
        Mistake(
            entropy_mean_of_the_logarithms,
            "h = -logp.mean(-1, keepdim=True)",
            "h = -(p * logp).sum(-1, keepdim=True)",
            r"\bp\b|mean|sum|softmax|weight",
        ),
    ),
]
