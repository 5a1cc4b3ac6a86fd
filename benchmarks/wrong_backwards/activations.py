"""Activations and gated units."""

from __future__ import annotations

import math

import torch

from benchmarks.wrong_backwards.wrong import Wrong, three

N = three(N=(5, 9, 8), C=(3, 4, 4))
X = {"x": "N C"}


def gelu_with_the_tanh_backward(grad_output, x):
    k = math.sqrt(2 / math.pi)
    t = torch.tanh(k * (x + 0.044715 * x**3))
    return {"x": grad_output * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * k * (1 + 3 * 0.044715 * x**2))}


def sigmoid_derivative_of_the_input(grad_output, x):
    return {"x": grad_output * x * (1 - x)}


def tanh_derivative_of_the_input(grad_output, x):
    return {"x": grad_output * (1 - x**2)}


def tanh_squared_with_a_plus(grad_output, x):
    return {"x": grad_output * (1 + torch.tanh(x) ** 2)}


def tanh_without_the_square(grad_output, x):
    return {"x": grad_output * (1 - torch.tanh(x))}


def silu_as_sigmoid(grad_output, x):
    s = torch.sigmoid(x)
    return {"x": grad_output * s * (1 - s)}


def relu_mask_forgotten(grad_output, x):
    return {"x": grad_output}


def relu_mask_of_the_negative_side(grad_output, x):
    return {"x": grad_output * (x <= 0)}


def swiglu_gate_without_the_derivative(grad_output, a, b):
    return {"a": grad_output * b * torch.sigmoid(a)}


def square_without_the_two(grad_output, x):
    return {"x": grad_output * x}


def exp_returns_the_upstream(grad_output, x):
    return {"x": grad_output}


SET = (
    Wrong("gelu", "y[n,c] := gelu(x[n,c])", X, gelu_with_the_tanh_backward, "x", ("neighbour",), r"tanh", N),
    Wrong(
        "sigmoid", "y[n,c] := sigmoid(x[n,c])", X, sigmoid_derivative_of_the_input, "x", ("variable",), r"x is read where y", N
    ),
    Wrong("tanh", "y[n,c] := tanh(x[n,c])", X, tanh_derivative_of_the_input, "x", ("variable",), r"x is read where y", N),
    Wrong("tanh", "y[n,c] := tanh(x[n,c])", X, tanh_squared_with_a_plus, "x", ("addend",), r"sign", N),
    Wrong("tanh", "y[n,c] := tanh(x[n,c])", X, tanh_without_the_square, "x", ("factor",), r"power.*1|square", N),
    Wrong("silu", "y[n,c] := silu(x[n,c])", X, silu_as_sigmoid, "x", ("neighbour",), r"sigmoid", N),
    Wrong(
        "relu",
        "y[n,c] := [x[n,c] > 0]*x[n,c]",
        X,
        relu_mask_forgotten,
        "x",
        ("mask", "other_input"),
        r"mask|local derivative",
        N,
    ),
    Wrong("relu", "y[n,c] := [x[n,c] > 0]*x[n,c]", X, relu_mask_of_the_negative_side, "x", ("mask",), r"wrong way", N),
    Wrong(
        "swiglu",
        "s[n,c] := sigmoid(a[n,c])\ny[n,c] := s[n,c]*b[n,c]",
        {"a": "N C", "b": "N C"},
        swiglu_gate_without_the_derivative,
        "a",
        ("factor", "addend"),
        r"1 - s",
        N,
    ),
    Wrong("square", "y[n,c] := x[n,c]^2", X, square_without_the_two, "x", ("scale",), r"2× too small", N),
    Wrong("exp", "y[n,c] := exp(x[n,c])", X, exp_returns_the_upstream, "x", ("other_input", "factor"), r"derivative|\by\b", N),
)
