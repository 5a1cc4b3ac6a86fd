# ruff: noqa: E501, F841
"""Wrong backwards of torch code, each with the line that is wrong and words for it, both fixed before the first run.

Layers of no other set; each has one mistake, most of which are of one line.  A case is right in its line where the report names it
among at most two, and right in its cause where the sentence or the fix says one of the words.  The first run of the 58: the right
line 52, a right cause 52, a fix 51, proved 48, no name that the user does not have.  Nothing was changed for it afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Gradients = dict[str, Tensor]


@dataclass(frozen=True)
class Marked:
    """A forward and its wrong backward.

    Attributes:
        line: what the wrong line has in it, of the backward's lines.
        says: a pattern of which the diagnosis or the fix has to have a match, in any letter case.
        wrt: what the gradient is taken in; default every floating-point input.
    """

    forward: Callable[..., Any]
    backward: Callable[..., Gradients]
    data: dict[str, tuple[int, ...]]
    line: str
    says: str
    positive: tuple[str, ...] = ()
    wrt: tuple[str, ...] | None = None
    whole: dict[str, int] = field(default_factory=dict)

    def tensors(self) -> dict[str, Tensor]:
        """The data: normal numbers, positive where they have to be, whole ones below a number."""
        g = torch.Generator().manual_seed(0)
        found: dict[str, Tensor] = {}
        for n, shape in self.data.items():
            if n in self.whole:
                found[n] = torch.randint(self.whole[n], shape, generator=g)
            else:
                t = torch.randn(shape, generator=g, dtype=torch.float64)
                found[n] = t.abs() + 0.3 if n in self.positive else t
        return found


SET: list[Marked] = []


def case(
    forward: Callable[..., Any],
    line: str,
    says: str,
    positive: str = "",
    wrt: str = "",
    whole: dict[str, int] | None = None,
    **data: tuple[int, ...],
) -> Callable[[Callable[..., Gradients]], Callable[..., Gradients]]:
    """Put a backward into the set."""

    def put(backward: Callable[..., Gradients]) -> Callable[..., Gradients]:
        SET.append(
            Marked(forward, backward, data, line, says, tuple(positive.split()), tuple(wrt.split()) or None, whole or {})
        )
        return backward

    return put


N, D, M = 5, 3, 4


@case(lambda x: x / (1 + x.abs()), "slope =", r"square|power|\*\*2|\^2|squared", x=(N, D))
def softsign(grad_output: Tensor, x: Tensor) -> Gradients:
    slope = 1 / (1 + x.abs())
    return {"x": grad_output * slope}


@case(lambda x: torch.atan(x), "d =", r"square|power|\*\*2|\^2|x \* x", x=(N, D))
def arctan(grad_output: Tensor, x: Tensor) -> Gradients:
    d = 1 / (1 + x)
    return {"x": grad_output * d}


def rbf(x: Tensor, c: Tensor, s: Tensor) -> Tensor:
    return torch.exp(-((x - c) ** 2) / (2 * s**2))


@case(rbf, "dc =", r"sign", "s", x=(N, D), c=(D,), s=(D,))
def rbf_centre(grad_output: Tensor, x: Tensor, c: Tensor, s: Tensor) -> Gradients:
    y = rbf(x, c, s)
    inner = grad_output * y * (x - c) / s**2
    dx = -inner
    dc = -inner.sum(0)
    ds = (grad_output * y * (x - c) ** 2 / s**3).sum(0)
    return {"x": dx, "c": dc, "s": ds}


@case(rbf, "ds =", r"exponent|power|\bs\b", "s", x=(N, D), c=(D,), s=(D,))
def rbf_width(grad_output: Tensor, x: Tensor, c: Tensor, s: Tensor) -> Gradients:
    y = rbf(x, c, s)
    inner = grad_output * y * (x - c) / s**2
    ds = (grad_output * y * (x - c) ** 2 / s**2).sum(0)
    return {"x": -inner, "c": inner.sum(0), "s": ds}


@case(lambda x, W, y: ((x @ W) * y).sum(-1), "dW =", r"transpos|exchang|axes", x=(N, D), W=(D, D), y=(N, D))
def bilinear_form(grad_output: Tensor, x: Tensor, W: Tensor, y: Tensor) -> Gradients:
    g = grad_output[:, None]
    dx = g * (y @ W.T)
    dW = (g * y).T @ x
    dy = g * (x @ W)
    return {"x": dx, "W": dW, "y": dy}


@case(lambda x, t: (x - t).abs().mean(), "d =", r"sign", x=(N, D), t=(N, D))
def l1_loss(grad_output: Tensor, x: Tensor, t: Tensor) -> Gradients:
    d = grad_output * (x - t) / x.numel()
    return {"x": d, "t": -d}


@case(lambda x, t: (1 - t * x).clamp(min=0).pow(2).sum(), "dx =", r"factor 2|2×|\b2\b", wrt="x", x=(N,), t=(N,))
def squared_hinge(grad_output: Tensor, x: Tensor, t: Tensor) -> Gradients:
    slack = (1 - t * x).clamp(min=0)
    dx = -grad_output * slack * t
    return {"x": dx}


@case(
    lambda x, t: torch.log1p((x - t) ** 2).mean(),
    "g =",
    r"1 \+|addend|one too many|numerator|factor|missing|divid",
    x=(N, D),
    t=(N, D),
)
def cauchy_loss(grad_output: Tensor, x: Tensor, t: Tensor) -> Gradients:
    r = x - t
    g = grad_output * 2 * r / r**2 / r.numel()
    return {"x": g, "t": -g}


def dice(p: Tensor, t: Tensor) -> Tensor:
    return 1 - 2 * (p * t).sum() / (p.sum() + t.sum())


@case(dice, "dp =", r"path|denominator|addend|missing|left out|factor", "p t", wrt="p", p=(N, D), t=(N, D))
def dice_loss(grad_output: Tensor, p: Tensor, t: Tensor) -> Gradients:
    total = p.sum() + t.sum()
    dp = -grad_output * 2 * t / total
    return {"p": dp}


def coupling(x: Tensor, s: Tensor, t: Tensor) -> Tensor:
    return x * torch.exp(s) + t


@case(coupling, "ds =", r"exp|factor", x=(N, D), s=(N, D), t=(N, D))
def coupling_scale(grad_output: Tensor, x: Tensor, s: Tensor, t: Tensor) -> Gradients:
    e = torch.exp(s)
    dx = grad_output * e
    ds = grad_output * x
    return {"x": dx, "s": ds, "t": grad_output}


@case(coupling, "dx =", r"sign|exp\(-|invers|divid|factor", x=(N, D), s=(N, D), t=(N, D))
def coupling_inverse(grad_output: Tensor, x: Tensor, s: Tensor, t: Tensor) -> Gradients:
    e = torch.exp(s)
    dx = grad_output / e
    ds = grad_output * x * e
    return {"x": dx, "s": ds, "t": grad_output}


@case(
    lambda x, g, tau: torch.softmax((x + g) / tau, -1), "dx =", r"tau|temperature", "tau", wrt="x", x=(N, D), g=(N, D), tau=(1,)
)
def gumbel_softmax(grad_output: Tensor, x: Tensor, g: Tensor, tau: Tensor) -> Gradients:
    y = torch.softmax((x + g) / tau, -1)
    inner = (grad_output * y).sum(-1, keepdim=True)
    dx = y * (grad_output - inner)
    return {"x": dx}


@case(lambda a, x, y: a * x + (1 - a) * y, "da =", r"\by\b|addend|sign|path|missing|left out", a=(N, D), x=(N, D), y=(N, D))
def mixture(grad_output: Tensor, a: Tensor, x: Tensor, y: Tensor) -> Gradients:
    da = grad_output * x
    dx = grad_output * a
    dy = grad_output * (1 - a)
    return {"a": da, "x": dx, "y": dy}


def lora(x: Tensor, W: Tensor, A: Tensor, B: Tensor) -> Tensor:
    return x @ W.T + 0.5 * (x @ A.T) @ B.T


@case(lora, "dA =", r"0\.5|1/2|2×|factor|half", x=(N, D), W=(4, D), A=(2, D), B=(4, 2))
def lora_scale(grad_output: Tensor, x: Tensor, W: Tensor, A: Tensor, B: Tensor) -> Gradients:
    low = x @ A.T
    back = grad_output @ B
    dx = grad_output @ W + 0.5 * back @ A
    dA = back.T @ x
    dB = 0.5 * grad_output.T @ low
    return {"x": dx, "W": grad_output.T @ x, "A": dA, "B": dB}


@case(lora, "dx =", r"path|addend|left out|missing|A\b|low", x=(N, D), W=(4, D), A=(2, D), B=(4, 2))
def lora_input_path(grad_output: Tensor, x: Tensor, W: Tensor, A: Tensor, B: Tensor) -> Gradients:
    low = x @ A.T
    back = 0.5 * grad_output @ B
    dx = grad_output @ W
    dA = back.T @ x
    dB = 0.5 * grad_output.T @ low
    return {"x": dx, "W": grad_output.T @ x, "A": dA, "B": dB}


@case(lambda x: x / math.sqrt(x.shape[-1]), "return", r"√|sqrt|root|square root|\*\*0\.5", x=(N, D))
def depth_scaled(grad_output: Tensor, x: Tensor) -> Gradients:
    width = x.shape[-1]
    return {"x": grad_output / width}


def euler(y: Tensor, w: Tensor) -> Tensor:
    return y + 0.1 * torch.tanh(y @ w)


@case(euler, "dy =", r"identity|addend|path|grad_output|missing|left out", y=(N, D), w=(D, D))
def euler_step(grad_output: Tensor, y: Tensor, w: Tensor) -> Gradients:
    f = torch.tanh(y @ w)
    d = 0.1 * grad_output * (1 - f**2)
    dy = d @ w.T
    dw = y.T @ d
    return {"y": dy, "w": dw}


def cell(x: Tensor, h: Tensor, W: Tensor, U: Tensor) -> Tensor:
    return torch.tanh(x @ W.T + h @ U.T)


@case(cell, "d =", r"square|power|\*\*2|\^2|factor|tanh", x=(N, D), h=(N, 2), W=(2, D), U=(2, 2))
def rnn_slope(grad_output: Tensor, x: Tensor, h: Tensor, W: Tensor, U: Tensor) -> Gradients:
    y = cell(x, h, W, U)
    d = grad_output * y * (1 - y)
    return {"x": d @ W, "h": d @ U, "W": d.T @ x, "U": d.T @ h}


@case(cell, "dU =", r"\bh\b", x=(N, D), h=(N, 2), W=(2, D), U=(2, 2))
def rnn_recurrent_weight(grad_output: Tensor, x: Tensor, h: Tensor, W: Tensor, U: Tensor) -> Gradients:
    y = cell(x, h, W, U)
    d = grad_output * (1 - y**2)
    dW = d.T @ x
    dU = d.T @ y
    return {"x": d @ W, "h": d @ U, "W": dW, "U": dU}


def candidate(r: Tensor, h: Tensor, u: Tensor) -> Tensor:
    return torch.tanh(u + torch.sigmoid(r) * h)


@case(candidate, "dr =", r"sigmoid|slope|derivative|1 - s|factor", r=(N, D), h=(N, D), u=(N, D))
def reset_gate(grad_output: Tensor, r: Tensor, h: Tensor, u: Tensor) -> Gradients:
    s = torch.sigmoid(r)
    d = grad_output * (1 - torch.tanh(u + s * h) ** 2)
    dr = d * h * s
    dh = d * s
    return {"r": dr, "h": dh, "u": d}


def pooled(x: Tensor, w: Tensor) -> Tensor:
    return (torch.softmax(x @ w, 0)[:, None] * x).sum(0)


@case(pooled, "ds =", r"softmax|Jacobian|mean|sum|subtract|normalis|addend|path|missing", x=(N, D), w=(D,))
def attention_pool(grad_output: Tensor, x: Tensor, w: Tensor) -> Gradients:
    a = torch.softmax(x @ w, 0)
    da = x @ grad_output
    ds = a * da
    dx = a[:, None] * grad_output + ds[:, None] * w
    dw = x.T @ ds
    return {"x": dx, "w": dw}


def additive(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.tanh(q + k) @ v


@case(additive, "d =", r"tanh|slope|derivative|1 - |factor", q=(N, D), k=(N, D), v=(D,))
def additive_attention(grad_output: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Gradients:
    e = torch.tanh(q + k)
    d = grad_output[:, None] * v
    dv = e.T @ grad_output
    return {"q": d, "k": d, "v": dv}


@case(lambda x: x.T @ x / (x.shape[0] - 1), "n =", r"N ?[-−] ?1|- 1|divid", x=(N, D))
def covariance(grad_output: Tensor, x: Tensor) -> Gradients:
    n = x.shape[0]
    dx = x @ (grad_output + grad_output.T) / n
    return {"x": dx}


@case(
    lambda x: x.T @ x / (x.shape[0] - 1), "dx =", r"transpos|symmetr|addend|path|missing|grad_output\.T|left out|mT", x=(N, D)
)
def covariance_one_side(grad_output: Tensor, x: Tensor) -> Gradients:
    n = x.shape[0] - 1
    dx = x @ grad_output / n
    return {"x": dx}


def pairwise(x: Tensor, y: Tensor) -> Tensor:
    return ((x[:, None] - y[None]) ** 2).sum(-1)


@case(pairwise, "dy =", r"sign", x=(N, D), y=(M, D))
def pairwise_distance(grad_output: Tensor, x: Tensor, y: Tensor) -> Gradients:
    diff = 2 * grad_output[..., None] * (x[:, None] - y[None])
    dx = diff.sum(1)
    dy = diff.sum(0)
    return {"x": dx, "y": dy}


@case(pairwise, "dx =", r"axis|axes|over|sum", x=(N, D), y=(N, D))
def pairwise_axis(grad_output: Tensor, x: Tensor, y: Tensor) -> Gradients:
    diff = 2 * grad_output[..., None] * (x[:, None] - y[None])
    dx = diff.sum(0)
    dy = -diff.sum(0)
    return {"x": dx, "y": dy}


@case(lambda x: x.pow(3).mean(-1).pow(1 / 3), "dx =", r"power|exponent|\by\b|outer|factor|divid", "x", x=(N, D))
def power_mean(grad_output: Tensor, x: Tensor) -> Gradients:
    y = x.pow(3).mean(-1).pow(1 / 3)
    dx = grad_output[:, None] * x**2 / x.shape[-1]
    return {"x": dx}


@case(lambda x, tau: torch.log_softmax(x / tau, -1), "dtau =", r"sign", "tau", x=(N, D), tau=(1,))
def learned_temperature(grad_output: Tensor, x: Tensor, tau: Tensor) -> Gradients:
    p = torch.softmax(x / tau, -1)
    d = grad_output - p * grad_output.sum(-1, keepdim=True)
    dx = d / tau
    dtau = (d * x).sum() / tau**2
    return {"x": dx, "tau": dtau}


@case(lambda x, t: (torch.exp(x) - t * x).mean(), "dx =", r"addend|\bt\b|path|missing|left out", wrt="x", x=(N, D), t=(N, D))
def poisson(grad_output: Tensor, x: Tensor, t: Tensor) -> Gradients:
    rate = torch.exp(x)
    dx = grad_output * rate / x.numel()
    return {"x": dx}


def gaussian(mu: Tensor, logvar: Tensor, x: Tensor) -> Tensor:
    return (0.5 * (logvar + (x - mu) ** 2 / logvar.exp())).sum()


@case(gaussian, "dv =", r"1 - |\b1\b|addend|path|missing|left out|logvar", mu=(N, D), logvar=(N, D), x=(N, D))
def gaussian_variance(grad_output: Tensor, mu: Tensor, logvar: Tensor, x: Tensor) -> Gradients:
    r = (x - mu) / logvar.exp()
    dm = -grad_output * r
    dv = -0.5 * grad_output * (x - mu) * r
    return {"mu": dm, "logvar": dv, "x": -dm}


@case(
    lambda x, mu, b: (torch.log(2 * b) + (x - mu).abs() / b).mean(),
    "db =",
    r"addend|path|log|missing|left out|1 ?/ ?b",
    "b",
    x=(N, D),
    mu=(N, D),
    b=(N, D),
)
def laplace(grad_output: Tensor, x: Tensor, mu: Tensor, b: Tensor) -> Gradients:
    k = grad_output / x.numel()
    d = k * torch.sign(x - mu) / b
    db = -k * (x - mu).abs() / b**2
    return {"x": d, "mu": -d, "b": db}


@case(
    lambda x, t: (torch.where(t > x, 0.8, 0.2) * (t - x) ** 2).mean(),
    "w =",
    r"exchang|mask|wrong way|turn|0\.2|0\.8|branch|swap",
    x=(N, D),
    t=(N, D),
)
def expectile(grad_output: Tensor, x: Tensor, t: Tensor) -> Gradients:
    w = torch.where(t > x, 0.2, 0.8)
    d = grad_output * 2 * w * (x - t) / x.numel()
    return {"x": d, "t": -d}


@case(lambda a, b: torch.log1p(torch.exp(b - a)).mean(), "s =", r"sign|exchang|1 - |sigmoid", a=(N,), b=(N,))
def pairwise_logistic(grad_output: Tensor, a: Tensor, b: Tensor) -> Gradients:
    s = torch.sigmoid(a - b)
    d = grad_output * s / a.numel()
    return {"a": -d, "b": d}


@case(lambda a, b: (1 - a + b).clamp(min=0).sum(), "active =", r"mask|> 0|factor|clamp", a=(N,), b=(N,))
def margin_ranking(grad_output: Tensor, a: Tensor, b: Tensor) -> Gradients:
    active = torch.ones_like(a)
    d = grad_output * active
    return {"a": -d, "b": d}


@case(
    lambda x, c, y: ((x - c[y]) ** 2).sum() / (2 * x.shape[0]),
    "d =",
    r"\bN\b|mean|divid|shape\[0\]",
    wrt="x c",
    whole={"y": M},
    x=(N, D),
    c=(M, D),
    y=(N,),
)
def centre_loss(grad_output: Tensor, x: Tensor, c: Tensor, y: Tensor) -> Gradients:
    d = grad_output * (x - c[y])
    dc = -torch.zeros_like(c).index_add(0, y, d)
    return {"x": d, "c": dc}


@case(
    lambda x, c, y: ((x - c[y]) ** 2).sum() / 2,
    "dc[y]",
    r"accumulat|overwrit|repeat|index_put|index_add",
    wrt="x c",
    whole={"y": 2},
    x=(N, D),
    c=(M, D),
    y=(N,),
)
def centre_overwritten(grad_output: Tensor, x: Tensor, c: Tensor, y: Tensor) -> Gradients:
    d = grad_output * (x - c[y])
    dc = torch.zeros_like(c)
    dc[y] = -d
    return {"x": d, "c": dc}


@case(
    lambda mu, lv: -0.5 * (1 + lv - mu**2 - lv.exp()).sum(),
    "dlv =",
    r"addend|- 1|\b1\b|path|missing|left out",
    mu=(N, D),
    lv=(N, D),
)
def kl_divergence(grad_output: Tensor, mu: Tensor, lv: Tensor) -> Gradients:
    dmu = grad_output * mu
    dlv = 0.5 * grad_output * lv.exp()
    return {"mu": dmu, "lv": dlv}


@case(
    lambda mu, lv, eps: mu + torch.exp(0.5 * lv) * eps,
    "dlv =",
    r"factor|0\.5|1/2|2×|half",
    wrt="mu lv",
    mu=(N, D),
    lv=(N, D),
    eps=(N, D),
)
def reparametrised(grad_output: Tensor, mu: Tensor, lv: Tensor, eps: Tensor) -> Gradients:
    std = torch.exp(0.5 * lv)
    dlv = grad_output * eps * std
    return {"mu": grad_output, "lv": dlv}


@case(
    lambda x, g, b: x * (1 + g[:, :, None, None]) + b[:, :, None, None],
    "dx =",
    r"1 \+|`1|\b1\b|addend",
    x=(2, D, 4, 5),
    g=(2, D),
    b=(2, D),
)
def film(grad_output: Tensor, x: Tensor, g: Tensor, b: Tensor) -> Gradients:
    dx = grad_output * g[:, :, None, None]
    dg = (grad_output * x).sum((2, 3))
    db = grad_output.sum((2, 3))
    return {"x": dx, "g": dg, "b": db}


@case(lambda x, w: x * w[:, None, None], "dw =", r"axis|axes|sum|\(0, 2, 3\)|mean|over", x=(2, D, 4, 5), w=(D,))
def channel_scale(grad_output: Tensor, x: Tensor, w: Tensor) -> Gradients:
    dx = grad_output * w[:, None, None]
    dw = (grad_output * x).mean((0, 2, 3))
    return {"x": dx, "w": dw}


@case(lambda x: x.mean((2, 3)), "dx =", r"H|W|mean|divid|4|5|area|shape", x=(2, D, 4, 5))
def global_pool(grad_output: Tensor, x: Tensor) -> Gradients:
    dx = grad_output[:, :, None, None].expand_as(x) / x.shape[2]
    return {"x": dx}


def two_taps(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    before = torch.cat([torch.zeros_like(x[:1]), x[:-1]])
    return a * x + b * before


@case(two_taps, "db =", r"shift|before|off by|earlier|previous|one step", x=(6, D), a=(D,), b=(D,))
def two_tap_filter(grad_output: Tensor, x: Tensor, a: Tensor, b: Tensor) -> Gradients:
    before = torch.cat([torch.zeros_like(x[:1]), x[:-1]])
    after = torch.cat([grad_output[1:], torch.zeros_like(x[:1])])
    da = (grad_output * x).sum(0)
    db = (grad_output * x).sum(0)
    return {"x": a * grad_output + b * after, "a": da, "b": db}


@case(two_taps, "after =", r"shift|slice|off by|after|later|before|wrong way|one step", x=(6, D), a=(D,), b=(D,))
def two_tap_input(grad_output: Tensor, x: Tensor, a: Tensor, b: Tensor) -> Gradients:
    before = torch.cat([torch.zeros_like(x[:1]), x[:-1]])
    after = torch.cat([torch.zeros_like(x[:1]), grad_output[:-1]])
    dx = a * grad_output + b * after
    return {"x": dx, "a": (grad_output * x).sum(0), "b": (grad_output * before).sum(0)}


def smoothed(x: Tensor) -> Tensor:
    h, out = torch.zeros_like(x[0]), []
    for k in range(4):
        h = 0.9 * h + 0.1 * x[k]
        out.append(h)
    return torch.stack(out)


@case(smoothed, "carry =", r"0\.9|carr|factor", x=(4, D))
def moving_average(grad_output: Tensor, x: Tensor) -> Gradients:
    carry = torch.zeros_like(x[0])
    out: list[Tensor] = []
    for k in reversed(range(4)):
        d = grad_output[k] + carry
        out.insert(0, 0.1 * d)
        carry = d
    return {"x": torch.stack(out)}


@case(
    lambda x: x.cumsum(0) / torch.arange(1, x.shape[0] + 1, dtype=x.dtype)[:, None],
    "dx =",
    r"flip|revers|backwards|cumsum",
    x=(N, D),
)
def causal_mean(grad_output: Tensor, x: Tensor) -> Gradients:
    count = torch.arange(1, x.shape[0] + 1, dtype=x.dtype)[:, None]
    scaled = grad_output / count
    dx = scaled.cumsum(0)
    return {"x": dx}


@case(lambda x: torch.cat([x[:, 0::2] + x[:, 1::2], x[:, 0::2] - x[:, 1::2]], 1) / math.sqrt(2), "odd =", r"sign", x=(N, 6))
def haar(grad_output: Tensor, x: Tensor) -> Gradients:
    low, high = grad_output.chunk(2, 1)
    even = (low + high) / math.sqrt(2)
    odd = (low + high) / math.sqrt(2)
    return {"x": torch.stack([even, odd], 2).flatten(1)}


@case(lambda x, B: torch.cat([torch.sin(x @ B), torch.cos(x @ B)], -1), "dp =", r"sign", x=(N, D), B=(D, 4))
def fourier_features(grad_output: Tensor, x: Tensor, B: Tensor) -> Gradients:
    p = x @ B
    ds, dc = grad_output.chunk(2, -1)
    dp = ds * torch.cos(p) + dc * torch.sin(p)
    return {"x": dp @ B.T, "B": x.T @ dp}


@case(lambda x, a, b: a * x**3 + b * x**2, "dx =", r"factor|3|2|exponent|power", x=(N,), a=(N,), b=(N,))
def cubic(grad_output: Tensor, x: Tensor, a: Tensor, b: Tensor) -> Gradients:
    dx = grad_output * (3 * a * x**2 + b * x)
    return {"x": dx, "a": grad_output * x**3, "b": grad_output * x**2}


@case(lambda u, v: (u.sum(0) * v.sum(0)).sum(), "du =", r"\bv\b", u=(N, D), v=(M, D))
def pooled_product(grad_output: Tensor, u: Tensor, v: Tensor) -> Gradients:
    su, sv = u.sum(0), v.sum(0)
    du = grad_output * su.expand_as(u)
    dv = grad_output * su.expand_as(v)
    return {"u": du, "v": dv}


@case(lambda x, g, h: x + g * torch.tanh(h), "dg =", r"tanh|factor|\bt\b", x=(N, D), g=(D,), h=(N, D))
def gated_residual(grad_output: Tensor, x: Tensor, g: Tensor, h: Tensor) -> Gradients:
    t = torch.tanh(h)
    dg = (grad_output * h).sum(0)
    dh = grad_output * g * (1 - t**2)
    return {"x": grad_output, "g": dg, "h": dh}


@case(lambda x, u: x - (x @ u)[:, None] * u, "du =", r"addend|path|term|missing|left out", x=(N, D), u=(D,))
def projected(grad_output: Tensor, x: Tensor, u: Tensor) -> Gradients:
    along = grad_output @ u
    dx = grad_output - along[:, None] * u
    du = -(x @ u) @ grad_output
    return {"x": dx, "u": du}


@case(lambda x, U, V: torch.maximum(x @ U, x @ V), "first =", r"mask|wrong way|turn", x=(N, D), U=(D, 2), V=(D, 2))
def maxout(grad_output: Tensor, x: Tensor, U: Tensor, V: Tensor) -> Gradients:
    a, b = x @ U, x @ V
    first = (a < b).to(x.dtype)
    da, db = grad_output * first, grad_output * (1 - first)
    return {"x": da @ U.T + db @ V.T, "U": x.T @ da, "V": x.T @ db}


@case(
    lambda x, t: ((torch.sigmoid(x) - t) ** 2).mean(),
    "dx =",
    r"sigmoid|slope|derivative|1 - p|factor",
    wrt="x",
    x=(N, D),
    t=(N, D),
)
def brier(grad_output: Tensor, x: Tensor, t: Tensor) -> Gradients:
    p = torch.sigmoid(x)
    dx = 2 * grad_output * (p - t) / p.numel()
    return {"x": dx}


@case(lambda q, k: torch.softmax(q @ k.T / q.shape[-1], -1), "ds =", r"axis|axes|-1|\b1\b|over", q=(N, D), k=(N, D))
def score_axis(grad_output: Tensor, q: Tensor, k: Tensor) -> Gradients:
    p = torch.softmax(q @ k.T / q.shape[-1], -1)
    ds = p * (grad_output - (grad_output * p).sum(0, keepdim=True)) / q.shape[-1]
    dq = ds @ k
    dk = ds.T @ q
    return {"q": dq, "k": dk}


@case(
    lambda x, w: torch.nn.functional.normalize(x, dim=-1) @ w,
    "dy =",
    r"grad_output|\bw\b|factor|outer|chain|missing",
    x=(N, D),
    w=(D,),
)
def normalised_score(grad_output: Tensor, x: Tensor, w: Tensor) -> Gradients:
    norm = x.norm(dim=-1, keepdim=True)
    y = x / norm
    dy = w.expand_as(x)
    dx = (dy - y * (dy * y).sum(-1, keepdim=True)) / norm
    dw = y.T @ grad_output
    return {"x": dx, "w": dw}


@case(lambda x, w: torch.nn.functional.normalize(x, dim=-1) @ w, "dx =", r"norm|divid|factor", x=(N, D), w=(D,))
def normalised_input(grad_output: Tensor, x: Tensor, w: Tensor) -> Gradients:
    norm = x.norm(dim=-1, keepdim=True)
    y = x / norm
    dy = grad_output[:, None] * w
    dx = dy - y * (dy * y).sum(-1, keepdim=True)
    dw = y.T @ grad_output
    return {"x": dx, "w": dw}


@case(lambda x, w, b: torch.relu(x @ w.T + b), "db =", r"axis|axes|sum|mean|\bN\b|divid", x=(N, D), w=(2, D), b=(2,))
def dense_bias(grad_output: Tensor, x: Tensor, w: Tensor, b: Tensor) -> Gradients:
    z = x @ w.T + b
    d = grad_output * (z > 0)
    dw = d.T @ x
    db = d.mean(0)
    return {"x": d @ w, "w": dw, "b": db}


@case(lambda x, w, b: torch.relu(x @ w.T + b), "d =", r"mask|`z|\bz\b|> 0|\bx\b|read", x=(N, D), w=(D, D), b=(D,))
def dense_mask(grad_output: Tensor, x: Tensor, w: Tensor, b: Tensor) -> Gradients:
    z = x @ w.T + b
    d = grad_output * (x > 0)
    return {"x": d @ w, "w": d.T @ x, "b": d.sum(0)}
