"""Layers from papers and textbooks, to read the pages of: torch code as people write it, dimensions by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import derivcheck as dc
from derivcheck.derived import Derivation


@dataclass(frozen=True)
class Page:
    """A forward that is read on a page: torch code, a module or index text.

    Attributes:
        dims: the dimensions of each input.
        loss: what a module's output goes into.
        example: a module's example inputs.
    """

    forward: Any
    dims: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    loss: nn.Module | None = None
    example: tuple[Any, ...] = ()
    wrt: tuple[str, ...] | None = None

    def derived(self) -> Derivation:
        """The derivation that stands on the page."""
        torch.manual_seed(0)
        if isinstance(self.forward, nn.Module):
            return dc.derive(self.forward, *self.example, loss=self.loss)
        if isinstance(self.forward, str):
            return dc.derive(self.forward, dims=dict(self.dims), wrt=self.wrt)
        return dc.derive(self.forward, dims=dict(self.dims), constants=dict(self.constants) or None, wrt=self.wrt)


# -- layers --------------------------------------------------------------------------
def mlp(x: Tensor, W1: Tensor, b1: Tensor, W2: Tensor, b2: Tensor) -> Tensor:
    h = torch.relu(x @ W1.T + b1)
    return h @ W2.T + b2


def layer_norm(x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> Tensor:
    mu = x.mean(-1, keepdim=True)
    var = ((x - mu) ** 2).mean(-1, keepdim=True)
    xhat = (x - mu) / torch.sqrt(var + eps)
    return gamma * xhat + beta


def rms_norm(x: Tensor, w: Tensor, eps: float) -> Tensor:
    rstd = torch.rsqrt((x * x).mean(-1, keepdim=True) + eps)
    return x * rstd * w


def batch_norm(x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> Tensor:
    mu = x.mean(0)
    var = x.var(0, unbiased=False)
    return gamma * (x - mu) / torch.sqrt(var + eps) + beta


def group_norm(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.group_norm(x, 2, w, b)


def softmax(x: Tensor) -> Tensor:
    return torch.softmax(x, -1)


def cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y)


def bce(z: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(z, y)


def huber(x: Tensor, y: Tensor) -> Tensor:
    return F.huber_loss(x, y)


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    S = q @ k.mT / q.shape[-1] ** 0.5
    P = torch.softmax(S, -1)
    return P @ v


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    T = q.shape[-2]
    S = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = torch.ones(T, T, dtype=torch.bool).tril()
    P = torch.softmax(S.masked_fill(~mask, float("-inf")), dim=-1)
    return P @ v


def conv1d(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.conv1d(x, w, b)


def conv2d(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.conv2d(x, w, b, stride=2, padding=1)


def max_pool(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2)


def average_pool(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2)


def lstm_cell(x: Tensor, h: Tensor, c: Tensor, W: Tensor, U: Tensor, b: Tensor) -> Tensor:
    i, f, g, o = (x @ W.T + h @ U.T + b).chunk(4, -1)
    c1 = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c1)


def gru_cell(x: Tensor, h: Tensor, Wr: Tensor, Ur: Tensor, Wz: Tensor, Uz: Tensor, Wn: Tensor, Un: Tensor) -> Tensor:
    r = torch.sigmoid(x @ Wr.T + h @ Ur.T)
    z = torch.sigmoid(x @ Wz.T + h @ Uz.T)
    n = torch.tanh(x @ Wn.T + r * (h @ Un.T))
    return (1 - z) * n + z * h


def rope(x: Tensor) -> Tensor:
    T, d = x.shape[-2:]
    freq = 10000.0 ** (-torch.arange(0, d, 2) / d)
    angle = torch.arange(T)[:, None] * freq
    cos, sin = angle.cos(), angle.sin()
    x1, x2 = x[..., 0::2], x[..., 1::2]
    return torch.stack((x1 * cos - x2 * sin, x1 * sin + x2 * cos), -1).flatten(-2)


def rotate_half(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    x1, x2 = x.chunk(2, -1)
    cos = cos[None, :, :]
    sin = sin[None, :, :]
    return torch.cat((x1 * cos - x2 * sin, x2 * cos + x1 * sin), -1)


def swiglu(x: Tensor, W: Tensor, V: Tensor, W2: Tensor) -> Tensor:
    return (F.silu(x @ W.T) * (x @ V.T)) @ W2.T


def moe_gate(x: Tensor, Wg: Tensor, E: Tensor) -> Tensor:
    p = torch.softmax(x @ Wg.T, -1)
    y = torch.einsum("td,edf->tef", x, E)
    return (p[..., None] * y).sum(1)


def lora(x: Tensor, W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    return x @ W.T + alpha / A.shape[0] * (x @ A.T) @ B.T


def weight_norm(x: Tensor, v: Tensor, g: Tensor) -> Any:
    w = g[:, None] * v / v.norm(dim=1, keepdim=True)
    return x @ w.T


def info_nce(a: Tensor, b: Tensor, tau: float) -> Tensor:
    a = F.normalize(a, dim=-1)
    b = F.normalize(b, dim=-1)
    logits = a @ b.T / tau
    return F.cross_entropy(logits, torch.arange(a.shape[0]))


def dpo(pc: Tensor, pr: Tensor, rc: Tensor, rr: Tensor, beta: float) -> Tensor:
    return -F.logsigmoid(beta * ((pc - rc) - (pr - rr))).mean()


def grpo(logp: Tensor, old: Tensor, ref: Tensor, adv: Tensor, beta: float) -> Tensor:
    ratio = torch.exp(logp - old)
    clipped = ratio.clamp(0.8, 1.2)
    policy = torch.min(ratio * adv[:, None], clipped * adv[:, None])
    kl = torch.exp(ref - logp) - (ref - logp) - 1
    return -(policy - beta * kl).mean()


def focal(z: Tensor, y: Tensor, gamma: float) -> Tensor:
    p = torch.sigmoid(z)
    pt = p * y + (1 - p) * (1 - y)
    return -((1 - pt) ** gamma * torch.log(pt)).mean()


def dice(z: Tensor, y: Tensor) -> Tensor:
    p = torch.sigmoid(z)
    inter = (p * y).sum(1)
    return (1 - (2 * inter + 1) / (p.sum(1) + y.sum(1) + 1)).mean()


def triplet(a: Tensor, p: Tensor, n: Tensor, margin: float) -> Tensor:
    dp = ((a - p) ** 2).sum(-1)
    dn = ((a - n) ** 2).sum(-1)
    return torch.relu(dp - dn + margin).mean()


def arcface(x: Tensor, W: Tensor, y: Tensor, m: float, s: float) -> Tensor:
    cos = F.normalize(x, dim=-1) @ F.normalize(W, dim=-1).T
    theta = torch.acos(cos)
    onehot = F.one_hot(y, W.shape[0])
    logits = s * torch.cos(theta + m * onehot)
    return F.cross_entropy(logits, y)


def kalman(x: Tensor, P: Tensor, z: Tensor, H: Tensor, R: Tensor) -> Any:
    S = H @ P @ H.T + R
    K = P @ H.T @ torch.linalg.inv(S)
    return x + K @ (z - H @ x)


def huber_by_hand(x: Tensor, y: Tensor, delta: float) -> Tensor:
    r = x - y
    return torch.where(r.abs() <= delta, 0.5 * r**2, delta * (r.abs() - 0.5 * delta)).mean()


def gated_delta(S: Tensor, q: Tensor, k: Tensor, v: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    S = alpha * (S - beta * torch.outer(S @ k, k)) + beta * torch.outer(v, k)
    return S @ q


def spherical_harmonics(sh: Tensor, d: Tensor) -> Tensor:
    x, y, z = d[:, 0:1], d[:, 1:2], d[:, 2:3]
    return 0.28209479177387814 * sh[:, 0] - 0.4886025119029199 * (y * sh[:, 1] - z * sh[:, 2] + x * sh[:, 3])


def quaternion(q: Tensor) -> Tensor:
    w, x, y, z = F.normalize(q, dim=-1).unbind(-1)
    return torch.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ], -1,
    )  # fmt: skip


def projection(mean: Tensor, Sigma: Tensor, f: float) -> Tensor:
    x, y, z = mean.unbind(-1)
    zero = torch.zeros_like(z)
    J = torch.stack((f / z, zero, -f * x / z**2, zero, f / z, -f * y / z**2), -1).view(-1, 2, 3)
    return J @ Sigma @ J.mT


def embedding(E: Tensor, ids: Tensor) -> Tensor:
    return E[ids]


def gelu(x: Tensor) -> Tensor:
    return F.gelu(x)


def linear_regression(x: Tensor, W: Tensor, b: Tensor, y: Tensor) -> Tensor:
    return ((x @ W.T + b - y) ** 2).mean()


def kl(p: Tensor, q: Tensor) -> Tensor:
    return F.kl_div(torch.log_softmax(p, -1), torch.log_softmax(q, -1), reduction="batchmean", log_target=True)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return 1 - F.cosine_similarity(a, b, dim=-1).mean()


WKV = (
    "num[t] := [t >= 1]*exp(-w)*num[t-1] + exp(k[t])*v[t]; den[t] := [t >= 1]*exp(-w)*den[t-1] + exp(k[t]);"
    "y[t] := num[t]/den[t]"
)
CRF = "alpha[t,j] := e[t,j] + [t >= 1]*log(sum(i: exp(alpha[t-1,i] + A[i,j]))); Z := log(sum(j: exp(alpha[T-1,j])))"
COMPOSITING = "T[k] := [k == 0] + [k >= 1]*T[k-1]*(1 - a[k-1]); C[c] := sum(k: T[k]*a[k]*col[k,c])"

PAGES: Mapping[str, Page] = {
    "linear and mse": Page(nn.Linear(3, 2), loss=nn.MSELoss()),
    "linear regression": Page(linear_regression, {"x": "N in", "W": "out in", "b": "out", "y": "N out"}),
    "mlp": Page(mlp, {"x": "N in", "W1": "H in", "b1": "H", "W2": "out H", "b2": "out"}),
    "nn.LayerNorm": Page(nn.LayerNorm(5), example=(torch.ones(4, 5),)),
    "layer norm": Page(layer_norm, {"x": "N C", "gamma": "C", "beta": "C"}, {"eps": 1e-5}),
    "rms norm": Page(rms_norm, {"x": "N C", "w": "C"}, {"eps": 1e-5}),
    "batch norm": Page(batch_norm, {"x": "N C", "gamma": "C", "beta": "C"}, {"eps": 1e-5}),
    "group norm": Page(group_norm, {"x": "N 2*C H", "w": "2*C", "b": "2*C"}),
    "softmax": Page(softmax, {"x": "N C"}),
    "cross entropy": Page(cross_entropy, {"z": "N C", "y": "int<C: N"}),
    "bce": Page(bce, {"z": "N", "y": "N"}),
    "huber": Page(huber, {"x": "N", "y": "N"}),
    "huber by hand": Page(huber_by_hand, {"x": "N", "y": "N"}, {"delta": 1.0}),
    "attention": Page(attention, {"q": "B T d", "k": "B M d", "v": "B M e"}),
    "causal attention": Page(causal_attention, {"q": "B T d", "k": "B T d", "v": "B T e"}),
    "conv1d": Page(conv1d, {"x": "N C T", "w": "O C k", "b": "O"}),
    "conv2d": Page(conv2d, {"x": "N C H W", "w": "O C 3 3", "b": "O"}),
    "max pool": Page(max_pool, {"x": "N C 2*H 2*W"}),
    "average pool": Page(average_pool, {"x": "N C 2*H 2*W"}),
    "lstm cell": Page(lstm_cell, {"x": "N in", "h": "N H", "c": "N H", "W": "4*H in", "U": "4*H H", "b": "4*H"}),
    "gru cell": Page(
        gru_cell,
        {"x": "N in", "h": "N H"} | {f"W{g}": "H in" for g in "rzn"} | {f"U{g}": "H H" for g in "rzn"},
    ),
    "rope": Page(rope, {"x": "B T 2*h"}),
    "rotate half": Page(rotate_half, {"x": "B T 2*h", "cos": "T h", "sin": "T h"}),
    "swiglu": Page(swiglu, {"x": "N D", "W": "H D", "V": "H D", "W2": "D H"}),
    "moe gate": Page(moe_gate, {"x": "T D", "Wg": "E D", "E": "E D F"}),
    "lora": Page(lora, {"x": "N in", "W": "out in", "A": "r in", "B": "out r"}, {"alpha": 16.0}),
    "weight norm": Page(weight_norm, {"x": "N in", "v": "out in", "g": "out"}),
    "infonce": Page(info_nce, {"a": "N D", "b": "N D"}, {"tau": 0.1}),
    "dpo": Page(dpo, {"pc": "N", "pr": "N", "rc": "N", "rr": "N"}, {"beta": 0.1}),
    "grpo": Page(grpo, {"logp": "G T", "old": "G T", "ref": "G T", "adv": "G"}, {"beta": 0.04}, wrt=("logp",)),
    "focal": Page(focal, {"z": "N", "y": "N"}, {"gamma": 2.0}, wrt=("z",)),
    "dice": Page(dice, {"z": "N P", "y": "N P"}, wrt=("z",)),
    "triplet": Page(triplet, {"a": "N D", "p": "N D", "n": "N D"}, {"margin": 0.2}),
    "arcface": Page(arcface, {"x": "N D", "W": "C D", "y": "int<C: N"}, {"m": 0.5, "s": 64.0}),
    "kalman": Page(kalman, {"x": "n", "P": "n n", "z": "m", "H": "m n", "R": "m m"}),
    "crf": Page(CRF, {"e": "T K", "A": "K K"}),
    "wkv": Page(WKV, {"w": "", "k": "T", "v": "T"}),
    "gated delta": Page(gated_delta, {"S": "d e", "q": "e", "k": "e", "v": "d", "alpha": "", "beta": ""}),
    "spherical harmonics": Page(spherical_harmonics, {"sh": "N 4 3", "d": "N 3"}),
    "quaternion": Page(quaternion, {"q": "N 4"}),
    "projection": Page(projection, {"mean": "N 3", "Sigma": "N 3 3"}, {"f": 500.0}),
    "compositing": Page(COMPOSITING, {"a": "K", "col": "K 3"}),
    "embedding": Page(embedding, {"E": "V D", "ids": "int<V: N"}),
    "gelu": Page(gelu, {"x": "N"}),
    "kl": Page(kl, {"p": "N C", "q": "N C"}),
    "cosine": Page(cosine, {"a": "N D", "b": "N D"}),
}

# Sizes at which a page is evaluated.
SIZES = {"N": 3, "in": 2, "out": 2, "C": 3, "B": 2, "T": 3, "d": 2, "e": 2, "M": 2, "h": 2, "H": 2, "D": 3, "G": 2, "K": 3}
