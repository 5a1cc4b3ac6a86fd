"""Wrong backwards of embeddings, graphs, grids and rearrangements."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from benchmarks.wrong_backwards.mistake import Mistake, ints, layer, rand, randn


def scaled_embedding(table, tokens):
    return F.embedding(tokens, table) * math.sqrt(table.shape[1])


def scaled_embedding_without_the_scale(grad_output, table, tokens):
    scaled = grad_output
    dtable = torch.zeros_like(table)
    dtable.index_add_(0, tokens, scaled)
    return {"table": dtable}


def scaled_embedding_overwrites_repeated_tokens(grad_output, table, tokens):
    scaled = grad_output * math.sqrt(table.shape[1])
    dtable = torch.zeros_like(table)
    dtable[tokens] = scaled
    return {"table": dtable}


def mean_neighbours(h, src, dst):
    total = torch.zeros_like(h).index_add(0, dst, h[src])
    degree = torch.zeros(h.shape[0], dtype=h.dtype).index_add(0, dst, torch.ones(len(dst), dtype=h.dtype))
    return total / degree.clamp(min=1)[:, None]


def mean_neighbours_sends_along_the_edges(grad_output, h, src, dst):
    degree = torch.zeros(h.shape[0], dtype=h.dtype)
    degree = degree.index_add(0, dst, torch.ones(len(dst), dtype=h.dtype))
    share = grad_output / degree.clamp(min=1)[:, None]
    return {"h": torch.zeros_like(h).index_add(0, dst, share[src])}


def mean_neighbours_counts_the_sources(grad_output, h, src, dst):
    degree = torch.zeros(h.shape[0], dtype=h.dtype)
    degree = degree.index_add(0, src, torch.ones(len(dst), dtype=h.dtype))
    share = grad_output / degree.clamp(min=1)[:, None]
    return {"h": torch.zeros_like(h).index_add(0, src, share[dst])}


def graph_conv(x, adj, w):
    root = adj.sum(1).rsqrt()
    return (root[:, None] * adj * root[None, :]) @ x @ w


def graph_conv_adjacency_is_not_transposed(grad_output, x, adj, w):
    degree = adj.sum(1)
    root = degree.rsqrt()
    norm_adj = root[:, None] * adj * root[None, :]
    xw = x @ w
    dnorm = grad_output @ xw.T
    dxw = norm_adj @ grad_output
    weighted = dnorm * adj
    droot = (weighted * root[None, :]).sum(1) + (weighted * root[:, None]).sum(0)
    ddegree = -0.5 * droot * degree**-1.5
    dadj = dnorm * root[:, None] * root[None, :] + ddegree[:, None]
    return {"x": dxw @ w.T, "adj": dadj, "w": x.T @ dxw}


def graph_conv_degrees_are_held_constant(grad_output, x, adj, w):
    degree = adj.sum(1)
    root = degree.rsqrt()
    norm_adj = root[:, None] * adj * root[None, :]
    xw = x @ w
    dnorm = grad_output @ xw.T
    dxw = norm_adj.T @ grad_output
    dadj = dnorm * root[:, None] * root[None, :]
    return {"x": dxw @ w.T, "adj": dadj, "w": x.T @ dxw}


def grid_lookup(grid, cell, t):
    return (1 - t)[:, None] * grid[cell] + t[:, None] * grid[cell + 1]


def grid_lookup_second_corner_gets_the_first_weight(grad_output, grid, cell, t):
    dt = (grad_output * (grid[cell + 1] - grid[cell])).sum(-1)
    dgrid = torch.zeros_like(grid)
    dgrid = dgrid.index_add(0, cell, (1 - t)[:, None] * grad_output)
    dgrid = dgrid.index_add(0, cell + 1, (1 - t)[:, None] * grad_output)
    return {"grid": dgrid, "t": dt}


def grid_lookup_both_corners_on_the_left(grad_output, grid, cell, t):
    dt = (grad_output * (grid[cell + 1] - grid[cell])).sum(-1)
    dgrid = torch.zeros_like(grid)
    dgrid = dgrid.index_add(0, cell, (1 - t)[:, None] * grad_output)
    dgrid = dgrid.index_add(0, cell, t[:, None] * grad_output)
    return {"grid": dgrid, "t": dt}


def pair_interactions(x, v):
    return 0.5 * ((x @ v) ** 2 - x**2 @ v**2).sum(1)


def pair_interactions_keeps_the_squares(grad_output, x, v):
    s = x @ v
    g = grad_output[:, None]
    dx = g * (s @ v.T - x * (v**2).sum(1))
    dv = x.T @ (g * s)
    return {"x": dx, "v": dv}


def pair_interactions_factor_without_its_square(grad_output, x, v):
    s = x @ v
    g = grad_output[:, None]
    dx = g * (s @ v.T - x * v.sum(1))
    dv = x.T @ (g * s) - v * (g * x**2).sum(0)[:, None]
    return {"x": dx, "v": dv}


def shuffle_up(x, s):
    return F.pixel_shuffle(x, 2) * s[:, None, None]


def shuffle_up_exchanges_the_offsets(grad_output, x, s):
    n, c4, h, w = x.shape
    up = F.pixel_shuffle(x, 2)
    ds = (grad_output * up).sum((0, 2, 3))
    scaled = (grad_output * s[:, None, None]).reshape(n, c4 // 4, h, 2, w, 2)
    dx = scaled.permute(0, 1, 5, 3, 2, 4).reshape(n, c4, h, w)
    return {"x": dx, "s": ds}


def shuffle_up_scale_from_the_scaled_gradient(grad_output, x, s):
    n, c4, h, w = x.shape
    up = F.pixel_shuffle(x, 2)
    ds = (grad_output * s[:, None, None] * up).sum((0, 2, 3))
    scaled = (grad_output * s[:, None, None]).reshape(n, c4 // 4, h, 2, w, 2)
    dx = scaled.permute(0, 1, 3, 5, 2, 4).reshape(n, c4, h, w)
    return {"x": dx, "s": ds}


CASES = [
    *layer(
        "scaled embedding",
        scaled_embedding,
        lambda V, D, T: {"table": randn(V, D), "tokens": ints(V, T)},
        {"V": (6, 5), "D": (4, 3), "T": (5, 7)},
        Mistake(
            scaled_embedding_without_the_scale,
            "scaled = grad_output",
            "scaled = grad_output * math.sqrt(table.shape[1])",
            r"sqrt|factor|scale|\bD\b",
        ),
        Mistake(
            scaled_embedding_overwrites_repeated_tokens,
            "dtable[tokens] = scaled",
            "dtable.index_add_(0, tokens, scaled)",
            r"index_add|accumulat|repeat|overwrit|duplicat|sum|add",
        ),
    ),
    *layer(
        "graph mean aggregation",
        mean_neighbours,
        lambda V, E, D: {"h": randn(V, D), "src": ints(V, E), "dst": ints(V, E)},
        {"V": (5, 4), "E": (9, 10), "D": (3, 4)},
        Mistake(
            mean_neighbours_sends_along_the_edges,
            'return {"h": torch.zeros_like(h).index_add(0, dst, share[src])}',
            'return {"h": torch.zeros_like(h).index_add(0, src, share[dst])}',
            r"src|dst|exchang|swap|index",
        ),
        Mistake(
            mean_neighbours_counts_the_sources,
            "degree = degree.index_add(0, src, torch.ones(len(dst), dtype=h.dtype))",
            "degree = degree.index_add(0, dst, torch.ones(len(dst), dtype=h.dtype))",
            r"src|dst|degree|index",
        ),
    ),
    *layer(
        "graph convolution with a normalised adjacency",
        graph_conv,
        lambda V, D, OUT: {"x": randn(V, D), "adj": rand(V, V), "w": randn(D, OUT)},
        {"V": (4, 5), "D": (3, 2), "OUT": (2, 3)},
        Mistake(
            graph_conv_adjacency_is_not_transposed,
            "dxw = norm_adj @ grad_output",
            "dxw = norm_adj.T @ grad_output",
            r"transpos|\.T",
        ),
        Mistake(
            graph_conv_degrees_are_held_constant,
            "dadj = dnorm * root[:, None] * root[None, :]",
            "dadj = dnorm * root[:, None] * root - (root**3 / 2 * ((dnorm * adj) @ root + (dnorm * adj).T @ root))[:, None]",
            r"degree|path|term|missing|forgot|constant",
        ),
    ),
    *layer(
        "grid with linear interpolation",
        grid_lookup,
        lambda N, R, D: {"grid": randn(R + 1, D), "cell": ints(R, N), "t": rand(N)},
        {"N": (5, 6), "R": (4, 5), "D": (2, 3)},
        Mistake(
            grid_lookup_second_corner_gets_the_first_weight,
            "dgrid = dgrid.index_add(0, cell + 1, (1 - t)[:, None] * grad_output)",
            "dgrid = dgrid.index_add(0, cell + 1, t[:, None] * grad_output)",
            r"\bt\b|weight|1 - t",
        ),
        Mistake(
            grid_lookup_both_corners_on_the_left,
            "dgrid = dgrid.index_add(0, cell, t[:, None] * grad_output)",
            "dgrid = dgrid.index_add(0, cell + 1, t[:, None] * grad_output)",
            r"cell|shift|index|\+ ?1|off",
        ),
    ),
    *layer(
        "factorisation machine",
        pair_interactions,
        lambda N, D, K: {"x": randn(N, D), "v": randn(D, K)},
        {"N": (4, 3), "D": (4, 5), "K": (2, 3)},
        Mistake(
            pair_interactions_keeps_the_squares,
            "dv = x.T @ (g * s)",
            "dv = x.T @ (g * s) - v * (g * x**2).sum(0)[:, None]",
            r"term|x\*\*2|square|missing|path|forgot",
        ),
        Mistake(
            pair_interactions_factor_without_its_square,
            "dx = g * (s @ v.T - x * v.sum(1))",
            "dx = g * (s @ v.T - x * (v**2).sum(1))",
            r"square|power|\bv\b|exponent|\*\*",
        ),
    ),
    *layer(
        "pixel shuffle",
        shuffle_up,
        lambda N, C, H, W: {"x": randn(N, 4 * C, H, W), "s": randn(C)},
        {"N": (2, 3), "C": (2, 2), "H": (3, 2), "W": (2, 3)},
        Mistake(
            shuffle_up_exchanges_the_offsets,
            "dx = scaled.permute(0, 1, 5, 3, 2, 4).reshape(n, c4, h, w)",
            "dx = scaled.permute(0, 1, 3, 5, 2, 4).reshape(n, c4, h, w)",
            r"permut|transpos|exchang|swap|order|axis|axes",
        ),
        Mistake(
            shuffle_up_scale_from_the_scaled_gradient,
            "ds = (grad_output * s[:, None, None] * up).sum((0, 2, 3))",
            "ds = (grad_output * up).sum((0, 2, 3))",
            r"\bs\b|factor|extra|scale",
        ),
    ),
]
