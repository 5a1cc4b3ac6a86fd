"""Wrong backwards of gates, gated units and mixtures."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from benchmarks.wrong_backwards.mistake import Mistake, layer, randn
from examples.gallery.activations import mix_experts, swiglu


def swiglu_derivative_of_the_sigmoid_alone(grad_output, x, w_gate, w_up):
    gate, up = x @ w_gate, x @ w_up
    sig = torch.sigmoid(gate)
    dup = grad_output * gate * sig
    dgate = grad_output * up * sig * (1 - sig)
    dx = dgate @ w_gate.T + dup @ w_up.T
    return {"x": dx, "w_gate": x.T @ dgate, "w_up": x.T @ dup}


def swiglu_up_branch_forgets_the_gate_value(grad_output, x, w_gate, w_up):
    gate, up = x @ w_gate, x @ w_up
    sig = torch.sigmoid(gate)
    dup = grad_output * sig
    dgate = grad_output * up * sig * (1 + gate * (1 - sig))
    dx = dgate @ w_gate.T + dup @ w_up.T
    return {"x": dx, "w_gate": x.T @ dgate, "w_up": x.T @ dup}


def geglu(a, b):
    return F.gelu(a, approximate="tanh") * b


def geglu_inner_derivative_without_the_three(grad_output, a, b):
    c = math.sqrt(2 / math.pi)
    u = c * (a + 0.044715 * a**3)
    t = torch.tanh(u)
    du = c * (1 + 0.044715 * a**2)
    gelu = 0.5 * a * (1 + t)
    dgelu = 0.5 * (1 + t) + 0.5 * a * (1 - t * t) * du
    return {"a": grad_output * b * dgelu, "b": grad_output * gelu}


def geglu_second_term_without_the_half(grad_output, a, b):
    c = math.sqrt(2 / math.pi)
    u = c * (a + 0.044715 * a**3)
    t = torch.tanh(u)
    du = c * (1 + 3 * 0.044715 * a**2)
    gelu = 0.5 * a * (1 + t)
    dgelu = 0.5 * (1 + t) + a * (1 - t * t) * du
    return {"a": grad_output * b * dgelu, "b": grad_output * gelu}


def gated_unit(x):
    return F.glu(x, dim=-1)


def gated_unit_exchanges_the_halves(grad_output, x):
    value, gate = x.chunk(2, -1)
    s = torch.sigmoid(gate)
    dvalue = grad_output * s
    dgate = grad_output * value * s * (1 - s)
    return {"x": torch.cat((dgate, dvalue), -1)}


def gated_unit_sigmoid_derivative_of_the_logit(grad_output, x):
    value, gate = x.chunk(2, -1)
    s = torch.sigmoid(gate)
    dvalue = grad_output * s
    dgate = grad_output * value * gate * (1 - gate)
    return {"x": torch.cat((dvalue, dgate), -1)}


def highway(x, h, w, b):
    t = torch.sigmoid(x @ w + b)
    return t * torch.relu(h) + (1 - t) * x


def highway_transform_gate_sees_both_paths_added(grad_output, x, h, w, b):
    t = torch.sigmoid(x @ w + b)
    act = torch.relu(h)
    dh = grad_output * t * (h > 0)
    dt = grad_output * (act + x)
    dz = dt * t * (1 - t)
    dx = grad_output * (1 - t) + dz @ w.T
    return {"x": dx, "h": dh, "w": x.T @ dz, "b": dz.sum(0)}


def highway_matrix_is_not_transposed(grad_output, x, h, w, b):
    t = torch.sigmoid(x @ w + b)
    act = torch.relu(h)
    dh = grad_output * t * (h > 0)
    dt = grad_output * (act - x)
    dz = dt * t * (1 - t)
    dx = grad_output * (1 - t) + dz @ w
    return {"x": dx, "h": dh, "w": x.T @ dz, "b": dz.sum(0)}


def mix_experts_no_baseline(grad_output, logits, experts):
    gate = torch.softmax(logits, dim=-1)
    advantage = experts
    dlogits = gate * (advantage * grad_output[:, None]).sum(-1)
    dexperts = gate[..., None] * grad_output[:, None]
    return {"logits": dlogits, "experts": dexperts}


def mix_experts_plain_average(grad_output, logits, experts):
    gate = torch.softmax(logits, dim=-1)
    mixed = (gate[..., None] * experts).sum(1)
    advantage = experts - mixed[:, None]
    dlogits = gate * (advantage * grad_output[:, None]).sum(-1)
    dexperts = (grad_output / gate.shape[1])[:, None].expand_as(experts)
    return {"logits": dlogits, "experts": dexperts}


CASES = [
    *layer(
        "SwiGLU",
        swiglu,
        lambda N, D, H: {"x": randn(N, D), "w_gate": randn(D, H), "w_up": randn(D, H)},
        {"N": (4, 3), "D": (3, 4), "H": (5, 3)},
        Mistake(
            swiglu_derivative_of_the_sigmoid_alone,
            "dgate = grad_output * up * sig * (1 - sig)",
            "dgate = grad_output * up * sig * (1 + gate * (1 - sig))",
            r"silu|sigmoid|sig|gate|deriv",
        ),
        Mistake(
            swiglu_up_branch_forgets_the_gate_value,
            "dup = grad_output * sig",
            "dup = grad_output * gate * sig",
            r"gate|silu|factor",
        ),
    ),
    *layer(
        "GeGLU",
        geglu,
        lambda N, D: {"a": randn(N, D), "b": randn(N, D)},
        {"N": (4, 3), "D": (5, 4)},
        Mistake(
            geglu_inner_derivative_without_the_three,
            "du = c * (1 + 0.044715 * a**2)",
            "du = c * (1 + 3 * 0.044715 * a**2)",
            r"\b3\b|factor|three",
        ),
        Mistake(
            geglu_second_term_without_the_half,
            "dgelu = 0.5 * (1 + t) + a * (1 - t * t) * du",
            "dgelu = 0.5 * (1 + t) + 0.5 * a * (1 - t * t) * du",
            r"0\.5|half|factor|1/2|\b2\b",
        ),
    ),
    *layer(
        "gated linear unit",
        gated_unit,
        lambda N, D: {"x": randn(N, 2 * D)},
        {"N": (4, 3), "D": (3, 4)},
        Mistake(
            gated_unit_exchanges_the_halves,
            'return {"x": torch.cat((dgate, dvalue), -1)}',
            'return {"x": torch.cat((dvalue, dgate), -1)}',
            r"order|exchang|swap|cat|half|halves|dgate|dvalue",
        ),
        Mistake(
            gated_unit_sigmoid_derivative_of_the_logit,
            "dgate = grad_output * value * gate * (1 - gate)",
            "dgate = grad_output * value * s * (1 - s)",
            r"sigmoid|\bs\b|gate",
        ),
    ),
    *layer(
        "highway layer",
        highway,
        lambda N, D: {"x": randn(N, D), "h": randn(N, D), "w": randn(D, D), "b": randn(D)},
        {"N": (4, 3), "D": (3, 4)},
        Mistake(
            highway_transform_gate_sees_both_paths_added,
            "dt = grad_output * (act + x)",
            "dt = grad_output * (act - x)",
            r"sign|minus|opposite|negat",
        ),
        Mistake(
            highway_matrix_is_not_transposed,
            "dx = grad_output * (1 - t) + dz @ w",
            "dx = grad_output * (1 - t) + dz @ w.T",
            r"transpos|\.T|\bw\b",
        ),
    ),
    *layer(
        "mixture of expert outputs",
        mix_experts,
        lambda N, E, D: {"logits": randn(N, E), "experts": randn(N, E, D)},
        {"N": (4, 3), "E": (3, 4), "D": (2, 3)},
        Mistake(
            mix_experts_no_baseline,
            "advantage = experts",
            "advantage = experts - (gate[..., None] * experts).sum(1, keepdim=True)",
            r"mixed|softmax|term|missing|forgot|normali|mean",
        ),
        Mistake(
            mix_experts_plain_average,
            "dexperts = (grad_output / gate.shape[1])[:, None].expand_as(experts)",
            "dexperts = gate[..., None] * grad_output[:, None]",
            r"gate|softmax|\bE\b|factor",
        ),
    ),
]
