"""Attention, and the steps inside it."""

from __future__ import annotations

import torch

from benchmarks.wrong_backwards.wrong import Wrong, three

SIZES = three(T=(5, 4, 8), S=(3, 4, 4), D=(7, 4, 8), V=(2, 4, 4))
TEXT = (
    """S_[t,s] := sum(d: q[t,d] * k[s,d]) * D^(-1/2)
P[t,s] := exp(S_[t,s]) / sum(r: exp(S_[t,r]))
y[t,v] := sum(s: P[t,s] * v[s,v])""".replace("S_", "A")
    .replace("y[t,v]", "y[t,e]")
    .replace("v[s,v]", "v[s,e]")
)
DIMS = {"q": "T D", "k": "S D", "v": "S V"}


def parts(g, q, k, v, scale=True, normaliser=1.0, elementwise=False, twice=False):
    root = q.shape[1] ** -0.5
    p = torch.softmax(q @ k.T * root, -1)
    dp = g @ v.T
    inner = p * dp
    ds = inner - normaliser * p * (inner if elementwise else inner.sum(-1, keepdim=True))
    return p, ds, root


def attention_scale_forgotten(grad_output, q, k, v):
    p, ds, root = parts(grad_output, q, k, v)
    return {"q": ds @ k}


def attention_scale_squared(grad_output, q, k, v):
    p, ds, root = parts(grad_output, q, k, v)
    return {"q": ds @ k * root * root}


def attention_normaliser_forgotten(grad_output, q, k, v):
    p, ds, root = parts(grad_output, q, k, v, normaliser=0)
    return {"q": ds @ k * root}


def attention_softmax_elementwise(grad_output, q, k, v):
    p, ds, root = parts(grad_output, q, k, v, elementwise=True)
    return {"k": ds.T @ q * root}


def attention_value_gradient_without_the_weights(grad_output, q, k, v):
    return {"v": grad_output.sum(0).expand(v.shape)}


def attention_probabilities_not_transposed(grad_output, q, k, v):
    p, ds, root = parts(grad_output, q, k, v)
    return {"v": p @ grad_output}


def attention_dk_read_from_the_scores(grad_output, q, k, v):
    root = q.shape[1] ** -0.5
    a = q @ k.T * root
    p = torch.softmax(a, -1)
    dp = grad_output @ v.T
    ds = a * (dp - (p * dp).sum(-1, keepdim=True))
    return {"k": ds.T @ q * root}


def multi_query_values_of_the_first_head(grad_output, p, v):
    return {"v": torch.einsum("ts,te->se", p[0], grad_output[0])}


def multi_query_values_averaged_over_the_heads(grad_output, p, v):
    return {"v": torch.einsum("hts,hte->se", p, grad_output) / p.shape[0]}


def rope_rotated_the_wrong_way(grad_output, x, c, s):
    a, b = grad_output[:, 0], grad_output[:, 1]
    return {"x": torch.stack([a * c - b * s, a * s + b * c], 1)}


SQUARE = three(T=(5, 4, 8), S=(5, 4, 8), D=(7, 3, 8), V=(2, 4, 4))
MQA = "y[h,t,e] := sum(s: p[h,t,s] * v[s,e])"
MQA_SIZES = three(H=(3, 2, 4), T=(5, 4, 8), S=(2, 4, 4), E=(7, 4, 8))
ROPE = "y[t,j,d] := [j == 0]*(x[t,0,d]*c[t,d] - x[t,1,d]*s[t,d]) + [j == 1]*(x[t,0,d]*s[t,d] + x[t,1,d]*c[t,d])"
SET = (
    Wrong("attention", TEXT, DIMS, attention_scale_forgotten, "q", ("scale",), r"√D", SIZES),
    Wrong("attention", TEXT, DIMS, attention_scale_squared, "q", ("scale",), r"D", SIZES),
    Wrong("attention", TEXT, DIMS, attention_normaliser_forgotten, "q", ("path",), r"\bP\b.*left out", SIZES),
    Wrong("attention", TEXT, DIMS, attention_softmax_elementwise, "k", ("sum",), r"sum.*missing.*elementwise", SIZES),
    Wrong("attention", TEXT, DIMS, attention_value_gradient_without_the_weights, "v", ("factor",), r"factor P\b", SIZES),
    Wrong("attention", TEXT, DIMS, attention_probabilities_not_transposed, "v", ("position",), r"P.*transposed", SQUARE),
    Wrong("attention", TEXT, DIMS, attention_dk_read_from_the_scores, "k", ("variable",), r"A is read where P", SIZES),
    Wrong(
        "attention_mqa",
        MQA,
        {"p": "H T S", "v": "S E"},
        multi_query_values_of_the_first_head,
        "v",
        ("sum",),
        r"sum over h.*first",
        MQA_SIZES,
    ),
    Wrong(
        "attention_mqa",
        MQA,
        {"p": "H T S", "v": "S E"},
        multi_query_values_averaged_over_the_heads,
        "v",
        ("scale", "sum"),
        r"H|over h",
        MQA_SIZES,
    ),
    Wrong(
        "rope",
        ROPE.replace("y[t,j,d]", "y[t,j<2,d]"),
        {"x": "T 2 D", "c": "T D", "s": "T D"},
        rope_rotated_the_wrong_way,
        "x",
        ("path", "sign", "addend"),
        r"sign|-1",
        three(T=(5, 9, 8), D=(3, 4, 4)),
    ),
)
