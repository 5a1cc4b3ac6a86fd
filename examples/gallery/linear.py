"""Linear maps: a layer, its loss, layers on top of each other, and what is added to one."""

import torch
import torch.nn.functional as F

from examples.gallery.layer import Layer, Mistake


def linear(x, w, b):
    return F.linear(x, w, b)


def linear_backward(grad_output, x, w, b):
    return {"x": grad_output @ w, "w": grad_output.T @ x, "b": grad_output.sum(0)}


def mse(x, w, b, y):
    return F.mse_loss(F.linear(x, w, b), y)


def mse_backward(grad_output, x, w, b, y):
    g = grad_output * 2 * (x @ w.T + b - y) / y.numel()
    return {"x": g @ w, "w": g.T @ x, "b": g.sum(0), "y": -g}


def relu_of_linear(x, w):
    return torch.relu(F.linear(x, w))


def relu_of_linear_backward(grad_output, x, w):
    g = grad_output * (x @ w.T > 0)
    return {"x": g @ w, "w": g.T @ x}


def mlp(x, v, w):
    hidden = torch.tanh(x @ v.T)
    return hidden @ w.T


def mlp_backward(grad_output, x, v, w):
    hidden = torch.tanh(x @ v.T)
    dhidden = grad_output @ w
    dscore = dhidden * (1 - hidden**2)
    return {"x": dscore @ v, "v": dscore.T @ x, "w": grad_output.T @ hidden}


def lora(x, w, a, b):
    return x @ w.T + 1.5 * (x @ a.T) @ b.T


def lora_backward(grad_output, x, w, a, b):
    down = x @ a.T
    ddown = 1.5 * grad_output @ b
    dx = grad_output @ w + ddown @ a
    db = 1.5 * grad_output.T @ down
    return {"x": dx, "w": grad_output.T @ x, "a": ddown.T @ x, "b": db}


def weight_normed(x, v, g):
    return x @ (g[:, None] * v / v.norm(dim=1, keepdim=True)).T


def weight_normed_backward(grad_output, x, v, g):
    norm = v.norm(dim=1, keepdim=True)
    direction = v / norm
    dweight = grad_output.T @ x
    dg = (dweight * direction).sum(1)
    dv = g[:, None] / norm * (dweight - dg[:, None] * direction)
    return {"x": grad_output @ (g[:, None] * direction), "v": dv, "g": dg}


def bilinear(x, a, z):
    return torch.einsum("ni,oij,nj->no", x, a, z)


def bilinear_backward(grad_output, x, a, z):
    dx = torch.einsum("no,oij,nj->ni", grad_output, a, z)
    dz = torch.einsum("no,oij,ni->nj", grad_output, a, x)
    da = torch.einsum("no,ni,nj->oij", grad_output, x, z)
    return {"x": dx, "a": da, "z": dz}


def embedding(table, ids):
    return F.embedding(ids, table)


def embedding_backward(grad_output, table, ids):
    return {"table": torch.zeros_like(table).index_add_(0, ids, grad_output)}


RETURNED = 'return {"x": grad_output @ w, "w": grad_output.T @ x, "b": grad_output.sum(0)}'
RESIDUAL = "g = grad_output * 2 * (x @ w.T + b - y) / y.numel()"

LAYERS = (
    Layer(
        "linear",
        "A linear layer, y = xWᵀ + b, of any number of rows, inputs and outputs.",
        "Rumelhart, Hinton and Williams 1986; the matrix form stands in every textbook.",
        linear,
        linear_backward,
        {"x": "N in", "w": "out in", "b": "out"},
        (
            Mistake(
                "its strides are ignored",
                RETURNED,
                "g = torch.as_strided(grad_output, grad_output.shape, (grad_output.shape[1], 1))\n"
                '    return {"x": g @ w, "w": g.T @ x, "b": g.sum(0)}',
                "A kernel walks through memory as if rows lay side by side, which an expanded or transposed gradient does not.",
            ),
            Mistake(
                "averaged over the batch",
                RETURNED,
                'return {"x": grad_output @ w, "w": grad_output.T @ x / x.shape[0], "b": grad_output.mean(0)}',
                "The mean over the batch belongs to the loss, and is already in grad_output.",
            ),
        ),
    ),
    Layer(
        "mse",
        "A linear layer and the mean squared error of its predictions.",
        "The gradient of least squares; `torch.nn.MSELoss` takes the mean over all N·out elements.",
        mse,
        mse_backward,
        {"x": "N in", "w": "out in", "b": "out", "y": "N out"},
        (
            Mistake(
                "divided by the batch",
                RESIDUAL,
                "g = grad_output * 2 * (x @ w.T + b - y) / x.shape[0]",
                "With one output the two are the same, so the code of a first exercise passes until the second output comes.",
            ),
            Mistake(
                "target minus prediction",
                RESIDUAL,
                "g = grad_output * 2 * (y - x @ w.T - b) / y.numel()",
                "The loss is the same in both orders, its gradient is not.",
            ),
        ),
    ),
    Layer(
        "relu of linear",
        "A linear layer under a rectifier.",
        "Nair and Hinton 2010; the gradient at 0 is taken as 0, as torch does.",
        relu_of_linear,
        relu_of_linear_backward,
        {"x": "N in", "w": "out in"},
        (
            Mistake(
                "the mask forgotten",
                "g = grad_output * (x @ w.T > 0)",
                "g = grad_output",
                "The backward of the linear layer below is copied, and the activation had no line of its own in the forward.",
            ),
            Mistake(
                "the mask of the input",
                "g = grad_output * (x @ w.T > 0)",
                "g = grad_output * (grad_output > 0)",
                "This is guided backpropagation, a way to draw pictures, and not the gradient.",
            ),
        ),
    ),
    Layer(
        "mlp",
        "Two linear layers with a tanh between them.",
        "Rumelhart, Hinton and Williams 1986: backpropagation.",
        mlp,
        mlp_backward,
        {"x": "N in", "v": "M in", "w": "out M"},
        (
            Mistake(
                "tanh of the wrong side",
                "dscore = dhidden * (1 - hidden**2)",
                "dscore = dhidden * (1 - hidden)",
                "It is half of the sigmoid's derivative, which is h·(1 − h).",
            ),
            Mistake(
                "the second layer sees the scores",
                '"w": grad_output.T @ hidden}',
                '"w": grad_output.T @ (x @ v.T)}',
                "The value before the activation was saved, and the layer above multiplies the one after it.",
            ),
        ),
    ),
    Layer(
        "lora",
        "A linear layer with a low-rank adapter, y = xWᵀ + s·(xAᵀ)Bᵀ.",
        "Hu et al. 2021, arXiv 2106.09685.",
        lora,
        lora_backward,
        {"x": "N in", "w": "out in", "a": "rank in", "b": "out rank"},
        (
            Mistake(
                "the input misses the adapter",
                "dx = grad_output @ w + ddown @ a",
                "dx = grad_output @ w",
                "The frozen layer's backward was there before the adapter, and nobody went back to it.",
            ),
            Mistake(
                "the scale once",
                "db = 1.5 * grad_output.T @ down",
                "db = grad_output.T @ down",
                "The scale stands once in the forward, and is needed in both factors' gradients.",
            ),
        ),
    ),
    Layer(
        "weight norm",
        "A linear layer whose weight is a length times a direction, W = g·v/‖v‖.",
        "Salimans and Kingma 2016, arXiv 1602.07868, equation 3.",
        weight_normed,
        weight_normed_backward,
        {"x": "N in", "v": "out in", "g": "out"},
        (
            Mistake(
                "the length sees the raw direction",
                "dg = (dweight * direction).sum(1)",
                "dg = (dweight * v).sum(1)",
                "v is at hand, and of the right shape; v/‖v‖ is meant.",
            ),
            Mistake(
                "the norm held constant",
                "dv = g[:, None] / norm * (dweight - dg[:, None] * direction)",
                "dv = g[:, None] / norm * dweight",
                "The norm is taken for a constant: the projection that keeps v's length is lost.",
            ),
        ),
    ),
    Layer(
        "bilinear",
        "A form that is linear in each of two inputs.",
        "`torch.nn.Bilinear`; the neural tensor layer of Socher et al. 2013.",
        bilinear,
        bilinear_backward,
        {"x": "N I", "a": "out I J", "z": "N J"},
        (
            Mistake(
                "averaged over the batch",
                'da = torch.einsum("no,ni,nj->oij", grad_output, x, z)',
                'da = torch.einsum("no,ni,nj->oij", grad_output, x, z) / len(x)',
                "A learning rate that is independent of the batch is wished for, and the mean is taken at the wrong place.",
            ),
            Mistake(
                "the other input in its own place",
                'dz = torch.einsum("no,oij,ni->nj", grad_output, a, x)',
                'dz = 2 * torch.einsum("no,oij,ni->nj", grad_output, a, x)',
                "The factor of a quadratic form xᵀAx is carried over, where both inputs are the same tensor.",
            ),
        ),
    ),
    Layer(
        "embedding",
        "Rows of a table, chosen by integers.",
        "`torch.nn.Embedding`; its backward is a scatter-add.",
        embedding,
        embedding_backward,
        {"table": "V D", "ids": "int<V: N>"},
        (
            Mistake(
                "the last one overwrites",
                'return {"table": torch.zeros_like(table).index_add_(0, ids, grad_output)}',
                'dtable = torch.zeros_like(table)\n    dtable[ids] = grad_output\n    return {"table": dtable}',
                "Advanced indexing writes each row once: of equal ids the last one stays.",
            ),
            Mistake(
                "divided by the batch",
                'return {"table": torch.zeros_like(table).index_add_(0, ids, grad_output)}',
                'return {"table": torch.zeros_like(table).index_add_(0, ids, grad_output / len(ids))}',
                "The mean over the batch is taken a second time.",
            ),
        ),
    ),
)
