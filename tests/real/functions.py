"""Layers and formulas as people write them, with named dimensions and the sizes to try them at."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Case:
    """A function, its dimensions, and three size assignments, none of which is traced."""

    f: Callable[..., Any]
    dims: dict[str, str]
    sizes: tuple[dict[str, int], ...]
    positive: tuple[str, ...] = ()
    constants: dict[str, Any] = field(default_factory=dict)


def rms_norm(x: Tensor, w: Tensor) -> Tensor:
    rstd = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
    return x * rstd * w


def swiglu(x: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
    hidden = F.silu(x @ gate.T) * (x @ up.T)
    return hidden @ down.T


def rope(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    rotated = torch.cat((-second, first), dim=-1)
    return x * cos + rotated * sin


def info_nce(a: Tensor, b: Tensor) -> Tensor:
    a = F.normalize(a, dim=-1)
    b = F.normalize(b, dim=-1)
    logits = a @ b.T / 0.07
    return F.cross_entropy(logits, torch.arange(len(a)))


def attention(x: Tensor, wq: Tensor, wk: Tensor, wv: Tensor, wo: Tensor) -> Tensor:
    n, t, c = x.shape
    heads = 2
    q = (x @ wq.T).view(n, t, heads, c // heads).transpose(1, 2)
    k = (x @ wk.T).view(n, t, heads, c // heads).transpose(1, 2)
    v = (x @ wv.T).view(n, t, heads, c // heads).transpose(1, 2)
    scores = q @ k.transpose(-2, -1) / math.sqrt(k.shape[-1])
    mask = torch.ones(t, t, dtype=torch.bool).tril()
    weights = scores.masked_fill(~mask, float("-inf")).softmax(-1)
    y = (weights @ v).transpose(1, 2).reshape(n, t, c)
    return y @ wo.T


def gpt2_block(
    x: Tensor,
    g1: Tensor,
    b1: Tensor,
    w_qkv: Tensor,
    b_qkv: Tensor,
    w_o: Tensor,
    b_o: Tensor,
    g2: Tensor,
    b2: Tensor,
    w_fc: Tensor,
    b_fc: Tensor,
    w_proj: Tensor,
    b_proj: Tensor,
) -> Tensor:
    n, t, c = x.shape
    heads = 2
    h = F.layer_norm(x, (c,), g1, b1)
    q, k, v = (h @ w_qkv.T + b_qkv).split(c, dim=2)  # type: ignore[no-untyped-call]
    q = q.view(n, t, heads, c // heads).transpose(1, 2)
    k = k.view(n, t, heads, c // heads).transpose(1, 2)
    v = v.view(n, t, heads, c // heads).transpose(1, 2)
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    x = x + F.linear(y.transpose(1, 2).reshape(n, t, c), w_o, b_o)
    h = F.layer_norm(x, (c,), g2, b2)
    return x + F.linear(F.gelu(F.linear(h, w_fc, b_fc), approximate="tanh"), w_proj, b_proj)


def resnet_block(x: Tensor, w1: Tensor, g1: Tensor, b1: Tensor, w2: Tensor, g2: Tensor, b2: Tensor) -> Tensor:
    h = F.conv2d(x, w1, padding=1)
    h = F.relu(F.batch_norm(h, None, None, g1, b1, training=True))
    h = F.conv2d(h, w2, padding=1)
    h = F.batch_norm(h, None, None, g2, b2, training=True)
    return F.relu(h + x)


def unet_up(x: Tensor, skip: Tensor, w_up: Tensor, b_up: Tensor, w: Tensor, b: Tensor) -> Tensor:
    up = F.conv_transpose2d(x, w_up, b_up, stride=2)
    h = torch.cat([skip, up], dim=1)
    return F.relu(F.conv2d(h, w, b, padding=1))


def covariance(scale: Tensor, quaternion: Tensor) -> Tensor:
    """Scale and rotation to covariance, as in 3D Gaussian splatting (Kerbl et al. 2023, eq. 6): Σ = R S Sᵀ Rᵀ."""
    q = quaternion / quaternion.norm(dim=-1, keepdim=True)
    r, x, y, z = q.unbind(-1)
    rotation = torch.stack(
        [
            1 - 2 * (y * y + z * z),
            2 * (x * y - r * z),
            2 * (x * z + r * y),
            2 * (x * y + r * z),
            1 - 2 * (x * x + z * z),
            2 * (y * z - r * x),
            2 * (x * z - r * y),
            2 * (y * z + r * x),
            1 - 2 * (x * x + y * y),
        ],
        dim=-1,
    ).view(-1, 3, 3)
    m = rotation * scale.unsqueeze(-2)
    return m @ m.transpose(-2, -1)


def project(mean: Tensor, cov: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
    """Means and covariances to the image plane (Zwicker et al. 2002, EWA splatting, eq. 5): Σ' = J W Σ Wᵀ Jᵀ, x/z clamped."""
    focal, limit = 1.2, 1.3
    t = mean @ view[:3, :3].T + view[:3, 3]
    tz = t[:, 2]
    tx = (t[:, 0] / tz).clamp(-limit, limit) * tz
    ty = (t[:, 1] / tz).clamp(-limit, limit) * tz
    zero = torch.zeros_like(tz)
    jacobian = torch.stack([focal / tz, zero, -focal * tx / tz**2, zero, focal / tz, -focal * ty / tz**2], dim=-1).reshape(
        -1, 2, 3
    )
    m = jacobian @ view[:3, :3]
    return focal * t[:, :2] / tz.unsqueeze(-1), m @ cov @ m.transpose(1, 2)


C0, C1 = 0.28209479177387814, 0.4886025119029199
C2 = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396)
C3 = (
    -0.5900435899266435,
    2.890611442640554,
    -0.4570457994644658,
    0.3731763325901154,
    -0.4570457994644658,
    1.445305721320277,
    -0.5900435899266435,
)


def spherical_harmonics(sh: Tensor, direction: Tensor) -> Tensor:
    """Colour from real spherical harmonics to degree 3; sh is (N, 16, 3), direction (N, 3) of any length."""
    d = direction / direction.norm(dim=1, keepdim=True)
    x, y, z = d[:, 0:1], d[:, 1:2], d[:, 2:3]
    xx, yy, zz, xy, yz, xz = x * x, y * y, z * z, x * y, y * z, x * z
    colour = C0 * sh[:, 0] - C1 * y * sh[:, 1] + C1 * z * sh[:, 2] - C1 * x * sh[:, 3]
    colour = colour + C2[0] * xy * sh[:, 4] + C2[1] * yz * sh[:, 5] + C2[2] * (2 * zz - xx - yy) * sh[:, 6]
    colour = colour + C2[3] * xz * sh[:, 7] + C2[4] * (xx - yy) * sh[:, 8]
    colour = (
        colour + C3[0] * y * (3 * xx - yy) * sh[:, 9] + C3[1] * xy * z * sh[:, 10] + C3[2] * y * (4 * zz - xx - yy) * sh[:, 11]
    )
    colour = colour + C3[3] * z * (2 * zz - 3 * xx - 3 * yy) * sh[:, 12] + C3[4] * x * (4 * zz - xx - yy) * sh[:, 13]
    colour = colour + C3[5] * z * (xx - yy) * sh[:, 14] + C3[6] * x * (xx - 3 * yy) * sh[:, 15]
    return torch.relu(colour + 0.5)


def composite(alpha: Tensor, colour: Tensor) -> Tensor:
    """Alpha compositing in depth order (Kerbl et al. 2023, eq. 3): C = Σ c_i α_i Π_{j<i} (1 − α_j)."""
    through = torch.cumprod(1 - alpha, dim=0)
    transmittance = torch.cat([torch.ones_like(through[:1]), through[:-1]])
    return (transmittance * alpha) @ colour


CASES = {
    "rms_norm": Case(
        rms_norm, {"x": "N T C", "w": "C"}, ({"N": 2, "T": 3, "C": 7}, {"N": 1, "T": 5, "C": 4}, {"N": 5, "T": 1, "C": 11})
    ),
    "swiglu": Case(
        swiglu,
        {"x": "N in", "gate": "hidden in", "up": "hidden in", "down": "out hidden"},
        (
            {"N": 3, "in": 5, "hidden": 7, "out": 2},
            {"N": 1, "in": 2, "hidden": 11, "out": 5},
            {"N": 13, "in": 1, "hidden": 3, "out": 4},
        ),
    ),
    "rope": Case(
        rope,
        {"x": "N T 2*m", "cos": "T 2*m", "sin": "T 2*m"},
        ({"N": 2, "T": 3, "m": 5}, {"N": 1, "T": 7, "m": 1}, {"N": 4, "T": 2, "m": 8}),
    ),
    "info_nce": Case(info_nce, {"a": "N d", "b": "N d"}, ({"N": 5, "d": 3}, {"N": 2, "d": 7}, {"N": 11, "d": 13})),
    "attention": Case(
        attention,
        {"x": "N T 2*m", "wq": "2*m 2*m", "wk": "2*m 2*m", "wv": "2*m 2*m", "wo": "2*m 2*m"},
        ({"N": 2, "T": 5, "m": 3}, {"N": 1, "T": 1, "m": 4}, {"N": 3, "T": 4, "m": 1}),
    ),
    "gpt2_block": Case(
        gpt2_block,
        {
            "x": "N T 2*m",
            "g1": "2*m",
            "b1": "2*m",
            "w_qkv": "6*m 2*m",
            "b_qkv": "6*m",
            "w_o": "2*m 2*m",
            "b_o": "2*m",
            "g2": "2*m",
            "b2": "2*m",
            "w_fc": "H 2*m",
            "b_fc": "H",
            "w_proj": "2*m H",
            "b_proj": "2*m",
        },
        ({"N": 2, "T": 5, "m": 3, "H": 7}, {"N": 1, "T": 3, "m": 4, "H": 5}, {"N": 3, "T": 2, "m": 1, "H": 9}),
    ),
    "resnet_block": Case(
        resnet_block,
        {"x": "N C h w", "w1": "C C 3 3", "g1": "C", "b1": "C", "w2": "C C 3 3", "g2": "C", "b2": "C"},
        ({"N": 2, "C": 3, "h": 5, "w": 4}, {"N": 3, "C": 2, "h": 3, "w": 7}, {"N": 1, "C": 5, "h": 4, "w": 4}),
    ),
    "unet_up": Case(
        unet_up,
        {"x": "N C h w", "skip": "N S 2*h 2*w", "w_up": "C U 2 2", "b_up": "U", "w": "out S+U 3 3", "b": "out"},
        (
            {"N": 2, "C": 3, "h": 2, "w": 3, "S": 2, "U": 4, "out": 5},
            {"N": 1, "C": 2, "h": 3, "w": 1, "S": 3, "U": 1, "out": 2},
            {"N": 1, "C": 4, "h": 1, "w": 2, "S": 1, "U": 2, "out": 3},
        ),
    ),
    "covariance": Case(covariance, {"scale": "N 3", "quaternion": "N 4"}, ({"N": 5}, {"N": 1}, {"N": 8})),
    "project": Case(project, {"mean": "N 3", "cov": "N 3 3", "view": "4 4"}, ({"N": 5}, {"N": 1}, {"N": 8})),
    "spherical_harmonics": Case(spherical_harmonics, {"sh": "N 16 3", "direction": "N 3"}, ({"N": 5}, {"N": 1}, {"N": 8})),
    "composite": Case(composite, {"alpha": "K", "colour": "K 3"}, ({"K": 6}, {"K": 1}, {"K": 9}), positive=("alpha",)),
}
