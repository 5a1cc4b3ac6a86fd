"""Gathers, masks, scans and recurrent cells."""

from __future__ import annotations

import torch

from benchmarks.wrong_backwards.wrong import Wrong, three

EMBED = three(V=(7, 9, 8), D=(3, 4, 4), N=(3, 4, 4), T=(5, 4, 8))


def tokens(sizes, generator):
    ids = torch.randint(sizes["V"], (sizes["N"], sizes["T"]), generator=generator)
    ids[0, 0], ids[1, 1], ids[2, 0], ids[2, 1] = 2, 2, 5, 5
    return ids


def embedding_overwrites(grad_output, E, ids):
    dE = torch.zeros_like(E)
    for n in range(ids.shape[0]):
        for t in range(ids.shape[1]):
            dE[ids[n, t]] = grad_output[n, t]
    return {"E": dE}


def embedding_keeps_the_first(grad_output, E, ids):
    dE, seen = torch.zeros_like(E), set()
    for n in range(ids.shape[0]):
        for t in range(ids.shape[1]):
            if int(ids[n, t]) not in seen:
                dE[ids[n, t]] = grad_output[n, t]
                seen.add(int(ids[n, t]))
    return {"E": dE}


def embedding_divided_by_the_tokens(grad_output, E, ids):
    return {"E": torch.zeros_like(E).index_add(0, ids.flatten(), grad_output.flatten(0, 1)) / ids.numel()}


def embedding_last_word_dropped(grad_output, E, ids):
    dE = torch.zeros_like(E).index_add(0, ids.flatten(), grad_output.flatten(0, 1))
    dE[-1] = 0
    return {"E": dE}


def cumsum_not_reversed(grad_output, x):
    return {"x": grad_output.cumsum(0)}


def cumsum_off_by_one(grad_output, x):
    return {"x": grad_output.flip(0).cumsum(0).flip(0) - grad_output}


def causal_mask_forgotten(grad_output, a, v):
    return {"a": grad_output @ v.T}


def causal_mask_off_by_one(grad_output, a, v):
    return {"a": (grad_output @ v.T).tril(-1)}


def prod_divides(grad_output, x):
    return {"x": grad_output * x.prod() / x}


def with_zero(sizes, generator):
    x = torch.randn(sizes["N"], generator=generator, dtype=torch.float64)
    x[1] = 0
    return x


def lstm_forget_gate_without_the_cell(grad_output, i, f, g, c):
    s = torch.sigmoid(f)
    return {"f": grad_output * s * (1 - s)}


def gru_update_gate_one_path(grad_output, z, h, c):
    s = torch.sigmoid(z)
    return {"z": grad_output * h * s * (1 - s)}


def rnn_cell_previous_state_through_the_wrong_weight(grad_output, x, h, w, u):
    y = torch.tanh(x @ w.T + h @ u.T)
    return {"h": (grad_output * (1 - y**2)) @ w}


LSTM = (
    "I[n] := sigmoid(i[n])\nF[n] := sigmoid(f[n])\nG[n] := tanh(g[n])\ny[n] := F[n]*c[n] + I[n]*G[n]".replace("I[", "ig[")
    .replace("F[", "fg[")
    .replace("G[", "gg[")
)
N = three(N=(5, 9, 8))
SET = (
    Wrong(
        "embedding",
        "y[n,t,d] := E[ids[n,t],d]",
        {"E": "V D", "ids": "int<V: N T>"},
        embedding_overwrites,
        "E",
        ("rows",),
        r"repeated.*last",
        EMBED,
        {"ids": tokens},
    ),
    Wrong(
        "embedding",
        "y[n,t,d] := E[ids[n,t],d]",
        {"E": "V D", "ids": "int<V: N T>"},
        embedding_keeps_the_first,
        "E",
        ("rows",),
        r"repeated.*first",
        EMBED,
        {"ids": tokens},
    ),
    Wrong(
        "embedding",
        "y[n,t,d] := E[ids[n,t],d]",
        {"E": "V D", "ids": "int<V: N T>"},
        embedding_divided_by_the_tokens,
        "E",
        ("scale",),
        r"N·T",
        EMBED,
    ),
    Wrong(
        "embedding",
        "y[n,t,d] := E[ids[n,t],d]",
        {"E": "V D", "ids": "int<V: N T>"},
        embedding_last_word_dropped,
        "E",
        ("rows",),
        r"last.*dropped",
        EMBED,
    ),
    Wrong(
        "cumsum",
        "y[n] := sum(k<N: [k <= n]*x[k])",
        {"x": "N"},
        cumsum_not_reversed,
        "x",
        ("mask", "rows"),
        r"wrong way|mask",
        N,
    ),
    Wrong("cumsum", "y[n] := sum(k<N: [k <= n]*x[k])", {"x": "N"}, cumsum_off_by_one, "x", ("mask", "rows"), r"off by one", N),
    Wrong(
        "causal",
        "y[t,e] := sum(s: [s <= t]*a[t,s]*v[s,e])",
        {"a": "T T", "v": "T D"},
        causal_mask_forgotten,
        "a",
        ("mask",),
        r"mask.*missing",
        three(T=(5, 4, 8), D=(3, 4, 4)),
    ),
    Wrong(
        "causal",
        "y[t,e] := sum(s: [s <= t]*a[t,s]*v[s,e])",
        {"a": "T T", "v": "T D"},
        causal_mask_off_by_one,
        "a",
        ("mask",),
        r"off by one",
        three(T=(5, 4, 8), D=(3, 4, 4)),
    ),
    Wrong("prod", "y := prod(n: x[n])", {"x": "N"}, prod_divides, "x", ("zero",), r"x = 0", N, {"x": with_zero}),
    Wrong(
        "lstm_cell",
        LSTM,
        {"i": "N", "f": "N", "g": "N", "c": "N"},
        lstm_forget_gate_without_the_cell,
        "f",
        ("factor",),
        r"factor c\b",
        N,
    ),
    Wrong(
        "gru_cell",
        "s[n] := sigmoid(z[n])\ny[n] := s[n]*h[n] + (1 - s[n])*c[n]",
        {"z": "N", "h": "N", "c": "N"},
        gru_update_gate_one_path,
        "z",
        ("addend", "path"),
        r"\bc\b",
        N,
    ),
    Wrong(
        "rnn_cell",
        "y[n,o] := tanh(sum(i: x[n,i]*w[o,i]) + sum(j: h[n,j]*u[o,j]))",
        {"x": "N O", "h": "N O", "w": "O O", "u": "O O"},
        rnn_cell_previous_state_through_the_wrong_weight,
        "h",
        ("variable", "other_input"),
        r"w is read where u|gradient of x",
        three(N=(5, 9, 8), O=(3, 4, 4)),
    ),
)
