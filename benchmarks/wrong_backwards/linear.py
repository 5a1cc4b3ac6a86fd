"""Linear maps: linear, linear with a mean squared error, convolution, bilinear, pooling."""

from __future__ import annotations

import torch

from benchmarks.wrong_backwards.wrong import Wrong, three

SIZES = three(N=(5, 9, 8), I=(3, 4, 4), O=(2, 4, 8))
LINEAR, DIMS = "y[n,o] := sum(i: x[n,i] * w[o,i]) + b[o]", {"x": "N I", "w": "O I", "b": "O"}
MSE = "y[n,o] := sum(i: x[n,i] * w[o,i]) + b[o]\nL := sum(n, o: (y[n,o] - t[n,o])^2) / (N*O)"
MSE_DIMS = {**DIMS, "t": "N O"}
SQUARE = three(N=(5, 4, 8), I=(5, 4, 8), O=(5, 4, 8))


def mean_over_the_batch_only(grad_output, x, w, b, t):
    e = grad_output * 2 * (x @ w.T + b - t) / x.shape[0]
    return {"x": e @ w, "w": e.T @ x, "b": e.sum(0)}


def no_mean_at_all(grad_output, x, w, b, t):
    e = grad_output * 2 * (x @ w.T + b - t)
    return {"x": e @ w, "w": e.T @ x, "b": e.sum(0)}


def the_two_of_the_square_forgotten(grad_output, x, w, b, t):
    e = grad_output * (x @ w.T + b - t) / t.numel()
    return {"x": e @ w, "w": e.T @ x, "b": e.sum(0)}


def target_minus_prediction(grad_output, x, w, b, t):
    e = grad_output * 2 * (t - x @ w.T - b) / t.numel()
    return {"x": e @ w, "w": e.T @ x, "b": e.sum(0)}


def mse_ignores_the_upstream(grad_output, x, w, b, t):
    e = 2 * (x @ w.T + b - t) / t.numel()
    return {"x": e @ w, "w": e.T @ x, "b": e.sum(0)}


def bias_left_out_of_the_prediction(grad_output, x, w, b, t):
    e = grad_output * 2 * (x @ w.T - t) / t.numel()
    return {"x": e @ w, "w": e.T @ x, "b": e.sum(0)}


def mean_over_the_outputs_only(grad_output, x, w, b, t):
    e = grad_output * 2 * (x @ w.T + b - t) / t.shape[1]
    return {"x": e @ w, "w": e.T @ x, "b": e.sum(0)}


def target_gets_the_gradient_of_the_prediction(grad_output, x, w, b, t):
    e = grad_output * 2 * (x @ w.T + b - t) / t.numel()
    return {"t": e}


def weight_not_transposed(grad_output, x, w, b):
    return {"x": grad_output @ w.T, "w": grad_output.T @ x, "b": grad_output.sum(0)}


def weight_gradient_transposed(grad_output, x, w, b):
    return {"x": grad_output @ w, "w": x.T @ grad_output, "b": grad_output.sum(0)}


def weight_gradient_averaged_over_the_batch(grad_output, x, w, b):
    return {"x": grad_output @ w, "w": grad_output.T @ x / x.shape[0], "b": grad_output.sum(0)}


def bias_gradient_of_the_first_row(grad_output, x, w, b):
    return {"x": grad_output @ w, "w": grad_output.T @ x, "b": grad_output[0]}


def bias_gradient_averaged(grad_output, x, w, b):
    return {"x": grad_output @ w, "w": grad_output.T @ x, "b": grad_output.mean(0)}


def bias_summed_over_everything(grad_output, x, w, b):
    return {"x": grad_output @ w, "w": grad_output.T @ x, "b": grad_output.sum().expand(b.shape)}


def weight_gradient_never_returned(grad_output, x, w, b):
    return {"x": grad_output @ w, "b": grad_output.sum(0)}


def weight_gradient_drops_the_tail_of_four(grad_output, x, w, b):
    dw = torch.zeros_like(w)
    k = w.shape[1] - w.shape[1] % 4
    dw[:, :k] = grad_output.T @ x[:, :k]
    return {"w": dw}


def conv(grad_output, x, w, flip=False, shift=0, keep=None):
    dw = torch.zeros_like(w)
    k = w.shape[2]
    length = grad_output.shape[2]
    for u in range(k):
        dw[:, :, u] = torch.einsum("nol,nil->oi", grad_output, x[:, :, u : u + length])
    dx = torch.zeros_like(x)
    for u in range(k):
        dx[:, :, u : u + length] += torch.einsum("nol,oi->nil", grad_output, w[:, :, k - 1 - u if flip else u])
    return dx, dw


def kernel_flipped_in_the_input_gradient(grad_output, x, w):
    dx, dw = conv(grad_output, x, w, flip=True)
    return {"x": dx, "w": dw}


def kernel_gradient_flipped(grad_output, x, w):
    dx, dw = conv(grad_output, x, w)
    return {"x": dx, "w": dw.flip(2)}


def input_gradient_shifted(grad_output, x, w):
    dx, dw = conv(grad_output, x, w)
    return {"x": dx.roll(1, 2), "w": dw}


def conv_bias_summed_over_the_batch_only(grad_output, x, b):
    return {"b": grad_output.sum(0)[:, 0]}


def conv_bias_not_reduced_over_the_length(grad_output, x, b):
    return {"b": grad_output.sum(0)}


def kernel_gradient_of_the_last_sample(grad_output, x, w):
    dx, dw = conv(grad_output[-1:], x[-1:], w)
    return {"x": dx, "w": dw}


def average_pool_forgets_the_division(grad_output, x):
    return {"x": grad_output.repeat_interleave(2, -1)}


def average_pool_divides_twice(grad_output, x):
    return {"x": grad_output.repeat_interleave(2, -1) / 4}


def bilinear_reads_the_other_input(grad_output, a, b, w):
    return {"a": torch.einsum("no,oij,nj->ni", grad_output, w, b), "b": torch.einsum("no,oij,ni->nj", grad_output, w, b)}


def residual_branch_forgotten(grad_output, x, w):
    h = torch.tanh(x @ w.T)
    return {"x": (grad_output * (1 - h**2)) @ w}


def tanh_of_linear_without_its_derivative(grad_output, x, w):
    return {"w": grad_output.T @ x}


CONV_DIMS = {"x": "N I L", "w": "O I K"}


def _conv(name, backward, kinds, says):
    return Wrong(
        "conv1d",
        "y[n,o,l<L-K+1] := sum(i, u: x[n,i,l+u] * w[o,i,u])",
        CONV_DIMS,
        backward,
        name,
        kinds,
        says,
        three(N=(2, 3, 4), I=(3, 2, 2), O=(5, 4, 4), L=(7, 9, 8), K=(3, 3, 4)),
    )


SET = (
    Wrong("linear_mse", MSE, MSE_DIMS, mean_over_the_batch_only, "w", ("scale",), r"divided by N.*N·O", SIZES),
    Wrong("linear_mse", MSE, MSE_DIMS, no_mean_at_all, "b", ("scale",), r"N·O.*missing", SIZES),
    Wrong("linear_mse", MSE, MSE_DIMS, the_two_of_the_square_forgotten, "w", ("scale",), r"2× too small.*square", SIZES),
    Wrong("linear_mse", MSE, MSE_DIMS, target_minus_prediction, "x", ("sign",), r"wrong sign", SIZES),
    Wrong("linear_mse", MSE, MSE_DIMS, mse_ignores_the_upstream, "w", ("upstream",), r"grad_output.*ignored", SIZES),
    Wrong(
        "linear_mse",
        MSE,
        MSE_DIMS,
        bias_left_out_of_the_prediction,
        "w",
        ("constant", "addend", "variable", "neighbour"),
        r"\bb\b",
        SIZES,
    ),
    Wrong("linear_mse", MSE, MSE_DIMS, mean_over_the_outputs_only, "w", ("scale",), r"divided by O.*N·O", SIZES),
    Wrong(
        "linear_mse",
        MSE,
        MSE_DIMS,
        target_gets_the_gradient_of_the_prediction,
        "t",
        ("sign", "other_input"),
        r"sign|\by\b",
        SIZES,
    ),
    Wrong("linear", LINEAR, DIMS, weight_not_transposed, "x", ("position",), r"\bw\b.*transposed", SQUARE),
    Wrong("linear", LINEAR, DIMS, weight_gradient_transposed, "w", ("position",), r"transposed", SQUARE),
    Wrong(
        "linear",
        LINEAR,
        DIMS,
        weight_gradient_averaged_over_the_batch,
        "w",
        ("scale", "sum"),
        r"divided by N|mean over n",
        SIZES,
    ),
    Wrong("linear", LINEAR, DIMS, bias_gradient_of_the_first_row, "b", ("sum",), r"sum over n.*first", SIZES),
    Wrong("linear", LINEAR, DIMS, bias_gradient_averaged, "b", ("scale", "sum"), r"divided by N|mean over n", SIZES),
    Wrong("linear", LINEAR, DIMS, bias_summed_over_everything, "b", ("sum",), r"summed over (o|all)", SIZES),
    Wrong("linear", LINEAR, DIMS, weight_gradient_never_returned, "w", ("missing",), r"no gradient", SIZES),
    Wrong(
        "linear",
        LINEAR,
        DIMS,
        weight_gradient_drops_the_tail_of_four,
        "w",
        ("rows",),
        r"tail.*4",
        three(N=(5, 9, 8), I=(7, 9, 2), O=(2, 4, 8)),
    ),
    _conv("x", kernel_flipped_in_the_input_gradient, ("position",), r"\bw\b.*flipped"),
    _conv("w", kernel_gradient_flipped, ("position",), r"flipped"),
    _conv("x", input_gradient_shifted, ("position",), r"shifted"),
    _conv("w", kernel_gradient_of_the_last_sample, ("sum",), r"sum over n.*last"),
    Wrong(
        "conv1d",
        "y[n,o,l] := x[n,o,l] + b[o]",
        {"x": "N O L", "b": "O"},
        conv_bias_summed_over_the_batch_only,
        "b",
        ("sum",),
        r"sum over l",
        three(N=(5, 9, 8), O=(3, 4, 4), L=(2, 4, 8)),
    ),
    Wrong(
        "conv1d",
        "y[n,o,l] := x[n,o,l] + b[o]",
        {"x": "N O L", "b": "O"},
        conv_bias_not_reduced_over_the_length,
        "b",
        ("sum",),
        r"sum over l",
        three(N=(5, 9, 8), O=(3, 4, 4), L=(2, 5, 8)),
    ),
    Wrong(
        "avg_pool",
        "y[n,m] := (x[n,2*m] + x[n,2*m+1])/2",
        {"x": "N 2*M"},
        average_pool_forgets_the_division,
        "x",
        ("scale",),
        r"factor 2",
        three(N=(5, 9, 8), M=(3, 4, 4)),
    ),
    Wrong(
        "avg_pool",
        "y[n,m] := (x[n,2*m] + x[n,2*m+1])/2",
        {"x": "N 2*M"},
        average_pool_divides_twice,
        "x",
        ("scale",),
        r"factor 2|2×",
        three(N=(5, 9, 8), M=(3, 4, 4)),
    ),
    Wrong(
        "bilinear",
        "y[n,o] := sum(i, j: a[n,i]*w[o,i,j]*b[n,j])",
        {"a": "N I", "b": "N I", "w": "O I I"},
        bilinear_reads_the_other_input,
        "b",
        ("variable",),
        r"b is read where a",
        SIZES,
    ),
    Wrong(
        "residual",
        "h[n,o] := tanh(sum(i: x[n,i]*w[o,i]))\ny[n,o] := x[n,o] + h[n,o]",
        {"x": "N I", "w": "I I"},
        residual_branch_forgotten,
        "x",
        ("path",),
        r"direct path from x to y.*left out",
        SIZES,
    ),
    Wrong(
        "tanh_linear",
        "z[n,o] := sum(i: x[n,i]*w[o,i])\ny[n,o] := tanh(z[n,o])",
        {"x": "N I", "w": "O I"},
        tanh_of_linear_without_its_derivative,
        "w",
        ("factor", "neighbour", "variable"),
        r"1 - y|tanh",
        SIZES,
    ),
)
