"""Wrong backwards of recurrent cells and activations."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from benchmarks.wrong_backwards.mistake import Mistake, layer, rand, randn
from examples.gallery.cells import gru_cell, lstm_cell


def gru_cell_hidden_candidate_without_the_reset_gate(grad_output, x, h, u):
    xr, xz, xn = x.chunk(3, dim=1)
    hr, hz, hn = (h @ u).chunk(3, dim=1)
    r = torch.sigmoid(xr + hr)
    z = torch.sigmoid(xz + hz)
    n = torch.tanh(xn + r * hn)
    dn = grad_output * (1 - z) * (1 - n**2)
    dz = grad_output * (h - n) * z * (1 - z)
    dr = dn * hn * r * (1 - r)
    dx = torch.cat([dr, dz, dn], dim=1)
    dhidden = torch.cat([dr, dz, dn], dim=1)
    dh = grad_output * z + dhidden @ u.T
    return {"x": dx, "h": dh, "u": h.T @ dhidden}


def gru_cell_forgets_the_carried_state(grad_output, x, h, u):
    xr, xz, xn = x.chunk(3, dim=1)
    hr, hz, hn = (h @ u).chunk(3, dim=1)
    r = torch.sigmoid(xr + hr)
    z = torch.sigmoid(xz + hz)
    n = torch.tanh(xn + r * hn)
    dn = grad_output * (1 - z) * (1 - n**2)
    dz = grad_output * (h - n) * z * (1 - z)
    dr = dn * hn * r * (1 - r)
    dx = torch.cat([dr, dz, dn], dim=1)
    dhidden = torch.cat([dr, dz, dn * r], dim=1)
    dh = dhidden @ u.T
    return {"x": dx, "h": dh, "u": h.T @ dhidden}


def lstm_cell_tanh_derivative_at_the_old_cell(grad_output, gates, c):
    i, f, g, o = gates.chunk(4, dim=1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    new = f * c + i * g
    tc = new.tanh()
    dnew = grad_output * o * (1 - c.tanh() ** 2)
    di = dnew * g * i * (1 - i)
    df = dnew * c * f * (1 - f)
    dg = dnew * i * (1 - g**2)
    do = grad_output * tc * o * (1 - o)
    return {"gates": torch.cat([di, df, dg, do], dim=1), "c": dnew * f}


def lstm_cell_candidate_derivative_is_that_of_a_sigmoid(grad_output, gates, c):
    i, f, g, o = gates.chunk(4, dim=1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    new = f * c + i * g
    tc = new.tanh()
    dnew = grad_output * o * (1 - tc**2)
    di = dnew * g * i * (1 - i)
    df = dnew * c * f * (1 - f)
    dg = dnew * i * g * (1 - g)
    do = grad_output * tc * o * (1 - o)
    return {"gates": torch.cat([di, df, dg, do], dim=1), "c": dnew * f}


def mish(x):
    return x * torch.tanh(F.softplus(x))


def mish_without_the_derivative_of_the_softplus(grad_output, x):
    t = torch.tanh(F.softplus(x))
    sech2 = 1 - t * t
    return {"x": grad_output * (t + x * sech2)}


def mish_square_is_forgotten(grad_output, x):
    t = torch.tanh(F.softplus(x))
    sech2 = 1 - t
    return {"x": grad_output * (t + x * sech2 * torch.sigmoid(x))}


def prelu(x, slope):
    return torch.where(x > 0, x, slope[:, None] * x)


def prelu_slope_sums_the_positive_side(grad_output, x, slope):
    positive = x > 0
    dx = torch.where(positive, grad_output, slope[:, None] * grad_output)
    dslope = torch.where(positive, grad_output * x, torch.zeros_like(x)).sum((0, 2))
    return {"x": dx, "slope": dslope}


def prelu_slope_without_the_input(grad_output, x, slope):
    positive = x > 0
    dx = torch.where(positive, grad_output, slope[:, None] * grad_output)
    dslope = torch.where(positive, torch.zeros_like(x), grad_output).sum((0, 2))
    return {"x": dx, "slope": dslope}


def snake(x, alpha):
    return x + torch.sin(alpha * x) ** 2 / alpha


def snake_without_the_two_of_the_square(grad_output, x, alpha):
    s, c = torch.sin(alpha * x), torch.cos(alpha * x)
    dx = grad_output * (1 + s * c)
    per_element = 2 * s * c * x / alpha - s**2 / alpha**2
    return {"x": dx, "alpha": (grad_output * per_element).sum(0)}


def snake_frequency_divides_once(grad_output, x, alpha):
    s, c = torch.sin(alpha * x), torch.cos(alpha * x)
    dx = grad_output * (1 + 2 * s * c)
    per_element = 2 * s * c * x / alpha - s**2 / alpha
    return {"x": dx, "alpha": (grad_output * per_element).sum(0)}


CASES = [
    *layer(
        "gated recurrent cell",
        gru_cell,
        lambda N, D: {"x": randn(N, 3 * D), "h": randn(N, D), "u": randn(D, 3 * D)},
        {"N": (3, 2), "D": (3, 4)},
        Mistake(
            gru_cell_hidden_candidate_without_the_reset_gate,
            "dhidden = torch.cat([dr, dz, dn], dim=1)",
            "dhidden = torch.cat([dr, dz, dn * r], dim=1)",
            r"\br\b|reset|factor",
        ),
        Mistake(
            gru_cell_forgets_the_carried_state,
            "dh = dhidden @ u.T",
            "dh = grad_output * z + dhidden @ u.T",
            r"\bz\b|term|missing|path|forgot|grad_output",
        ),
    ),
    *layer(
        "long short-term memory cell",
        lstm_cell,
        lambda N, D: {"gates": randn(N, 4 * D), "c": randn(N, D)},
        {"N": (3, 2), "D": (3, 4)},
        Mistake(
            lstm_cell_tanh_derivative_at_the_old_cell,
            "dnew = grad_output * o * (1 - c.tanh() ** 2)",
            "dnew = grad_output * o * (1 - tc**2)",
            r"tc|new|\bc\b|tanh|point",
        ),
        Mistake(
            lstm_cell_candidate_derivative_is_that_of_a_sigmoid,
            "dg = dnew * i * g * (1 - g)",
            "dg = dnew * i * (1 - g**2)",
            r"tanh|sigmoid|g\*\*2|\bg\b",
        ),
    ),
    *layer(
        "mish",
        mish,
        lambda N, D: {"x": randn(N, D)},
        {"N": (4, 3), "D": (5, 4)},
        Mistake(
            mish_without_the_derivative_of_the_softplus,
            'return {"x": grad_output * (t + x * sech2)}',
            'return {"x": grad_output * (t + x * sech2 * torch.sigmoid(x))}',
            r"sigmoid|softplus|factor",
        ),
        Mistake(
            mish_square_is_forgotten, "sech2 = 1 - t", "sech2 = 1 - t * t", r"square|power|t \* t|\bt\b|exponent|tanh|\^2|\*\*"
        ),
    ),
    *layer(
        "parametric ReLU",
        prelu,
        lambda N, C, L: {"x": randn(N, C, L), "slope": rand(C)},
        {"N": (4, 3), "C": (3, 4), "L": (4, 5)},
        Mistake(
            prelu_slope_sums_the_positive_side,
            "dslope = torch.where(positive, grad_output * x, torch.zeros_like(x)).sum((0, 2))",
            "dslope = torch.where(positive, torch.zeros_like(x), grad_output * x).sum((0, 2))",
            r"mask|condition|turned|exchang|swap|positive|where|branch|invert",
        ),
        Mistake(
            prelu_slope_without_the_input,
            "dslope = torch.where(positive, torch.zeros_like(x), grad_output).sum((0, 2))",
            "dslope = torch.where(positive, torch.zeros_like(x), grad_output * x).sum((0, 2))",
            r"\bx\b|factor|input",
        ),
    ),
    *layer(
        "snake activation",
        snake,
        lambda N, C: {"x": randn(N, C), "alpha": rand(C)},
        {"N": (4, 3), "C": (3, 4)},
        Mistake(
            snake_without_the_two_of_the_square,
            "dx = grad_output * (1 + s * c)",
            "dx = grad_output * (1 + 2 * s * c)",
            r"\b2\b|factor|two",
        ),
        Mistake(
            snake_frequency_divides_once,
            "per_element = 2 * s * c * x / alpha - s**2 / alpha",
            "per_element = 2 * s * c * x / alpha - s**2 / alpha**2",
            r"alpha|exponent|power|square",
        ),
    ),
]
