"""Cells of recurrent networks: one step."""

import torch

from examples.gallery.layer import Layer, Mistake


def lstm_cell(gates, c):
    i, f, g, o = gates.chunk(4, dim=1)
    new = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(new)


def lstm_cell_backward(grad_output, gates, c):
    i, f, g, o = gates.chunk(4, dim=1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    tc = (f * c + i * g).tanh()
    dnew = grad_output * o * (1 - tc**2)
    di = dnew * g * i * (1 - i)
    df = dnew * c * f * (1 - f)
    dg = dnew * i * (1 - g**2)
    do = grad_output * tc * o * (1 - o)
    return {"gates": torch.cat([di, df, dg, do], dim=1), "c": dnew * f}


def gru_cell(x, h, u):
    xr, xz, xn = x.chunk(3, dim=1)
    hr, hz, hn = (h @ u).chunk(3, dim=1)
    r = torch.sigmoid(xr + hr)
    z = torch.sigmoid(xz + hz)
    n = torch.tanh(xn + r * hn)
    return (1 - z) * n + z * h


def gru_cell_backward(grad_output, x, h, u):
    xr, xz, xn = x.chunk(3, dim=1)
    hr, hz, hn = (h @ u).chunk(3, dim=1)
    r = torch.sigmoid(xr + hr)
    z = torch.sigmoid(xz + hz)
    n = torch.tanh(xn + r * hn)
    dn = grad_output * (1 - z) * (1 - n**2)
    dz = grad_output * (h - n) * z * (1 - z)
    dr = dn * hn * r * (1 - r)
    dhidden = torch.cat([dr, dz, dn * r], dim=1)
    dh = grad_output * z + dhidden @ u.T
    return {"x": torch.cat([dr, dz, dn], dim=1), "h": dh, "u": h.T @ dhidden}


LAYERS = (
    Layer(
        "lstm cell",
        "The output of a long short-term memory, from its four gates and its cell.",
        "Hochreiter and Schmidhuber 1997; Gers et al. 2000; the backward by gates as in Greff et al. 2015, arXiv 1503.04069.",
        lstm_cell,
        lstm_cell_backward,
        {"gates": "N 4*D", "c": "N D"},
        (
            Mistake(
                "tanh of the old cell",
                "dnew = grad_output * o * (1 - tc**2)",
                "dnew = grad_output * o * (1 - c.tanh() ** 2)",
                "Old and new cell have one name in many codes.",
            ),
            Mistake(
                "the candidate as if a gate",
                "dg = dnew * i * (1 - g**2)",
                "dg = dnew * i * g * (1 - g)",
                "Three of the four are sigmoids, one is a tanh.",
            ),
        ),
    ),
    Layer(
        "gru cell",
        "The next state of a gated recurrent unit.",
        "Cho et al. 2014, arXiv 1406.1078, with the reset after the product, as cuDNN and torch have it.",
        gru_cell,
        gru_cell_backward,
        {"x": "N 3*D", "h": "N D", "u": "D 3*D"},
        (
            Mistake(
                "the candidate without the reset gate",
                "dhidden = torch.cat([dr, dz, dn * r], dim=1)",
                "dhidden = torch.cat([dr, dz, dn], dim=1)",
                "Input and hidden half of the gates have the same gradient, but for the candidate's.",
            ),
            Mistake(
                "the carried state forgotten",
                "dh = grad_output * z + dhidden @ u.T",
                "dh = dhidden @ u.T",
                "The state reaches the output past all gates, too: z·h.",
            ),
        ),
    ),
)
