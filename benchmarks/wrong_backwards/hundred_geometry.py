"""Wrong backwards of geometry and physics."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from benchmarks.wrong_backwards.mistake import Mistake, away, layer, rand, randn
from examples.gallery.geometry import distances, rotate


def rotate_cross_product_in_the_wrong_order(grad_output, q, p):
    w, axis = q[0], q[1:].expand_as(p)
    t = 2 * torch.cross(axis, p, dim=-1)
    dw = (grad_output * t).sum()
    dt = w * grad_output + torch.cross(grad_output, axis, dim=-1)
    dp = grad_output + 2 * torch.cross(axis, dt, dim=-1)
    daxis = torch.cross(t, grad_output, dim=-1) + 2 * torch.cross(p, dt, dim=-1)
    return {"q": torch.cat([dw[None], daxis.sum(0)]), "p": dp}


def rotate_axis_misses_the_inner_two(grad_output, q, p):
    w, axis = q[0], q[1:].expand_as(p)
    t = 2 * torch.cross(axis, p, dim=-1)
    dw = (grad_output * t).sum()
    dt = w * grad_output + torch.cross(grad_output, axis, dim=-1)
    dp = grad_output + 2 * torch.cross(dt, axis, dim=-1)
    daxis = torch.cross(t, grad_output, dim=-1) + torch.cross(p, dt, dim=-1)
    return {"q": torch.cat([dw[None], daxis.sum(0)]), "p": dp}


def triangle_area(a, b, c):
    return 0.5 * torch.linalg.cross(b - a, c - a).norm(dim=-1)


def triangle_area_corner_moves_one_edge(grad_output, a, b, c):
    e1, e2 = b - a, c - a
    normal = torch.linalg.cross(e1, e2)
    dnormal = 0.5 * grad_output[:, None] * normal / normal.norm(dim=-1, keepdim=True)
    de1 = torch.linalg.cross(e2, dnormal)
    de2 = torch.linalg.cross(dnormal, e1)
    return {"a": -de1, "b": de1, "c": de2}


def triangle_area_second_edge_turned(grad_output, a, b, c):
    e1, e2 = b - a, c - a
    normal = torch.linalg.cross(e1, e2)
    dnormal = 0.5 * grad_output[:, None] * normal / normal.norm(dim=-1, keepdim=True)
    de1 = torch.linalg.cross(e2, dnormal)
    de2 = torch.linalg.cross(e1, dnormal)
    return {"a": -de1 - de2, "b": de1, "c": de2}


def distances_second_set_with_the_sign_of_the_first(grad_output, a, b):
    diff = a[:, None] - b[None]
    dist = (diff.pow(2).sum(-1) + 1e-8).sqrt()
    pull = (grad_output / dist)[..., None] * diff
    return {"a": pull.sum(1), "b": pull.sum(0)}


def distances_half_of_the_square_root_kept(grad_output, a, b):
    diff = a[:, None] - b[None]
    dist = (diff.pow(2).sum(-1) + 1e-8).sqrt()
    pull = (grad_output / (2 * dist))[..., None] * diff
    return {"a": pull.sum(1), "b": -pull.sum(0)}


def rbf_kernel(x, z, log_length):
    sq = (x**2).sum(1)[:, None] + (z**2).sum(1)[None, :] - 2 * x @ z.T
    return torch.exp(-0.5 * sq * torch.exp(-2 * log_length))


def rbf_kernel_outer_derivative_without_the_kernel(grad_output, x, z, log_length):
    sq = (x**2).sum(1)[:, None] + (z**2).sum(1)[None, :] - 2 * x @ z.T
    inv = torch.exp(-2 * log_length)
    gk = grad_output
    dsq = -0.5 * inv * gk
    dx = 2 * x * dsq.sum(1, keepdim=True) - 2 * dsq @ z
    dz = 2 * z * dsq.sum(0)[:, None] - 2 * dsq.T @ x
    dlog = (gk * sq * inv).sum()
    return {"x": dx, "z": dz, "log_length": dlog}


def rbf_kernel_cross_term_without_the_two(grad_output, x, z, log_length):
    sq = (x**2).sum(1)[:, None] + (z**2).sum(1)[None, :] - 2 * x @ z.T
    inv = torch.exp(-2 * log_length)
    k = torch.exp(-0.5 * sq * inv)
    gk = grad_output * k
    dsq = -0.5 * inv * gk
    dx = 2 * x * dsq.sum(1, keepdim=True) - 2 * dsq @ z
    dz = 2 * z * dsq.sum(0)[:, None] - dsq.T @ x
    dlog = (gk * sq * inv).sum()
    return {"x": dx, "z": dz, "log_length": dlog}


def lennard_jones(r, depth):
    inv6 = (r**2).sum(-1) ** -3
    return (4 * depth * (inv6**2 - inv6)).sum()


def lennard_jones_exponent_not_lowered(grad_output, r, depth):
    r2 = (r * r).sum(-1)
    inv6 = r2**-3
    dinv6 = 4 * depth * (2 * inv6 - 1)
    dr2 = -3 * dinv6 * r2**-3
    dr = 2 * grad_output * dr2[:, None] * r
    return {"r": dr, "depth": grad_output * 4 * (inv6**2 - inv6)}


def lennard_jones_repulsion_without_the_two(grad_output, r, depth):
    r2 = (r * r).sum(-1)
    inv6 = r2**-3
    dinv6 = 4 * depth * (inv6 - 1)
    dr2 = -3 * dinv6 * r2**-4
    dr = 2 * grad_output * dr2[:, None] * r
    return {"r": dr, "depth": grad_output * 4 * (inv6**2 - inv6)}


def chain_energy(x, rest):
    stretch = (x[1:] - x[:-1]).norm(dim=1) - rest
    return 0.5 * (stretch**2).sum()


def chain_energy_exchanges_the_ends(grad_output, x, rest):
    edge = x[1:] - x[:-1]
    length = edge.norm(dim=1)
    tension = grad_output * (length - rest)
    force = (tension / length)[:, None] * edge
    dx = F.pad(force, (0, 0, 0, 1)) - F.pad(force, (0, 0, 1, 0))
    return {"x": dx, "rest": -tension}


def chain_energy_force_from_the_length_alone(grad_output, x, rest):
    edge = x[1:] - x[:-1]
    length = edge.norm(dim=1)
    tension = grad_output * length
    force = (tension / length)[:, None] * edge
    dx = F.pad(force, (0, 0, 1, 0)) - F.pad(force, (0, 0, 0, 1))
    return {"x": dx, "rest": -tension}


CASES = [
    *layer(
        "rotation by a quaternion",
        rotate,
        lambda N: {"q": randn(4), "p": randn(N, 3)},
        {"N": (4, 3)},
        Mistake(
            rotate_cross_product_in_the_wrong_order,
            "dp = grad_output + 2 * torch.cross(axis, dt, dim=-1)",
            "dp = grad_output + 2 * torch.cross(dt, axis, dim=-1)",
            r"sign|order|exchang|swap|negat|minus|cross",
        ),
        Mistake(
            rotate_axis_misses_the_inner_two,
            "daxis = torch.cross(t, grad_output, dim=-1) + torch.cross(p, dt, dim=-1)",
            "daxis = torch.cross(t, grad_output, dim=-1) + 2 * torch.cross(p, dt, dim=-1)",
            r"\b2\b|factor|two",
        ),
    ),
    *layer(
        "triangle area",
        triangle_area,
        lambda N: {"a": randn(N, 3), "b": randn(N, 3), "c": randn(N, 3)},
        {"N": (4, 3)},
        Mistake(
            triangle_area_corner_moves_one_edge,
            'return {"a": -de1, "b": de1, "c": de2}',
            'return {"a": -de1 - de2, "b": de1, "c": de2}',
            r"de2|term|path|missing|forgot|edge",
        ),
        Mistake(
            triangle_area_second_edge_turned,
            "de2 = torch.linalg.cross(e1, dnormal)",
            "de2 = torch.linalg.cross(dnormal, e1)",
            r"sign|order|exchang|swap|negat|minus|cross",
        ),
    ),
    *layer(
        "pairwise distances",
        distances,
        lambda N, M, D: {"a": randn(N, D), "b": randn(M, D)},
        {"N": (4, 3), "M": (3, 5), "D": (3, 2)},
        Mistake(
            distances_second_set_with_the_sign_of_the_first,
            'return {"a": pull.sum(1), "b": pull.sum(0)}',
            'return {"a": pull.sum(1), "b": -pull.sum(0)}',
            r"sign|minus|negat|-1",
        ),
        Mistake(
            distances_half_of_the_square_root_kept,
            "pull = (grad_output / (2 * dist))[..., None] * diff",
            "pull = (grad_output / dist)[..., None] * diff",
            r"\b2\b|factor|two|half",
        ),
    ),
    *layer(
        "squared exponential kernel",
        rbf_kernel,
        lambda N, M, D: {"x": randn(N, D), "z": randn(M, D), "log_length": rand()},
        {"N": (4, 3), "M": (3, 4), "D": (2, 3)},
        Mistake(
            rbf_kernel_outer_derivative_without_the_kernel,
            "gk = grad_output",
            "gk = grad_output * torch.exp(-0.5 * sq * inv)",
            r"\bk\b|exp|kernel|factor",
        ),
        Mistake(
            rbf_kernel_cross_term_without_the_two,
            "dz = 2 * z * dsq.sum(0)[:, None] - dsq.T @ x",
            "dz = 2 * z * dsq.sum(0)[:, None] - 2 * dsq.T @ x",
            r"\b2\b|factor|two",
        ),
    ),
    *layer(
        "Lennard-Jones energy",
        lennard_jones,
        lambda N: {"r": away(N, 3), "depth": rand(N)},
        {"N": (4, 3)},
        Mistake(
            lennard_jones_exponent_not_lowered,
            "dr2 = -3 * dinv6 * r2**-3",
            "dr2 = -3 * dinv6 * r2**-4",
            r"exponent|power|\*\*|-4|-3|r2",
        ),
        Mistake(
            lennard_jones_repulsion_without_the_two,
            "dinv6 = 4 * depth * (inv6 - 1)",
            "dinv6 = 4 * depth * (2 * inv6 - 1)",
            r"\b2\b|factor|two",
        ),
    ),
    *layer(
        "springs of a chain",
        chain_energy,
        lambda N, D: {"x": randn(N, D), "rest": rand(N - 1)},
        {"N": (5, 4), "D": (2, 3)},
        Mistake(
            chain_energy_exchanges_the_ends,
            "dx = F.pad(force, (0, 0, 0, 1)) - F.pad(force, (0, 0, 1, 0))",
            "dx = F.pad(force, (0, 0, 1, 0)) - F.pad(force, (0, 0, 0, 1))",
            r"sign|pad|exchang|swap|negat|minus",
        ),
        Mistake(
            chain_energy_force_from_the_length_alone,
            "tension = grad_output * length",
            "tension = grad_output * (length - rest)",
            r"rest|term|missing|forgot",
        ),
    ),
]
