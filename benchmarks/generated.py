"""Forward and gradients by generated code, against autograd of torch's own kernels: time and peak memory.

    python -m benchmarks.generated [ROW ...] [--ways direct,Function,fused,"fused Function"] [--seconds 2] [--pages-kept]

One process, one thread, float32; the two are timed in turn, A B A B …, and the ratio is the median over the pairs.  The peak is
of what is alive beside inputs and upstream gradient, counted by a dispatch mode that sees each tensor that an operator returns;
a kernel's own scratch is not seen, on either side.  Of fused code, whose tensors it does not see, it is what torch's allocator
gave out, on both sides.

With ``--pages-kept`` a tensor of 28 MB is made and freed first: from then on glibc keeps the pages of what is freed below that
size.  Without, it gives those beyond some 2 MB back and asks for them again in each call, on either side.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

import derivcheck as dc
from benchmarks.memory import Memory
from benchmarks.timing import pairs

Tensors = dict[str, Tensor]


class Row(NamedTuple):
    """A case: the function, its data small and large, the figures to reach (direct, through a Function, fused)."""

    f: Callable[..., Tensor]
    small: Callable[[], Tensors]
    large: Callable[[], Tensors]
    goals: tuple[float | None, float | None, float | None]
    native: Callable[..., Tensor] | None = None  # what autograd runs on, where it is another function


def r(*shape: int) -> Tensor:
    return torch.randn(*shape)


def classes(n: int, c: int, ignored: int = 0) -> Tensor:
    t = torch.randint(c, (n,))
    t[:ignored] = -100
    return t


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v


def lstm(x: Tensor, h: Tensor, c: Tensor, w: Tensor, u: Tensor, b: Tensor) -> Tensor:
    states = (h.unsqueeze(0), c.unsqueeze(0))
    return torch.lstm(x, states, (w, u, b, torch.zeros_like(b)), True, 1, 0.0, False, False, False)[0]


def cells(x: Tensor, h: Tensor, c: Tensor, w: Tensor, u: Tensor, b: Tensor) -> Tensor:
    hs = []
    for t in range(x.shape[0]):
        i, f, g, o = (x[t] @ w.T + h @ u.T + b).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        hs.append(h)
    return torch.stack(hs)


def compositing(a: Tensor, c: Tensor) -> Tensor:
    left = torch.cumprod(1 - a, 1)
    w = a * torch.cat((torch.ones_like(a[:, :1]), left[:, :-1]), 1)
    return (w.unsqueeze(-1) * c).sum(1)


def lstm_data(t: int, n: int, i: int, h: int) -> Tensors:
    return {"x": r(t, n, i), "h": r(n, h), "c": r(n, h), "w": r(4 * h, i) / i**0.5, "u": r(4 * h, h) / h**0.5, "b": r(4 * h)}


def _norm(x: Tensor) -> Tensors:
    return {"x": x, "w": r(x.shape[1]), "b": r(x.shape[1])}


def _both(make: Callable[..., Tensors], small: tuple[int, ...], large: tuple[int, ...]) -> dict[str, Callable[[], Tensors]]:
    return {"small": lambda: make(*small), "large": lambda: make(*large)}


def _x(*shape: int) -> Tensors:
    return {"x": r(*shape)}


_wide: dict[str, Any] = _both(_x, (4, 6), (512, 1024))
_pool: dict[str, Any] = _both(_x, (2, 3, 8, 6), (8, 16, 64, 64))
_qkv: dict[str, Any] = _both(lambda *s: {"q": r(*s), "k": r(*s), "v": r(*s)}, (2, 3, 5, 4), (2, 4, 512, 64))
_labels: dict[str, Any] = _both(lambda n, c: {"x": r(n, c), "t": classes(n, c)}, (4, 6), (512, 4096))

ROWS: dict[str, Row] = {
    "layer_norm": Row(
        lambda x, w, b: F.layer_norm(x, x.shape[1:], w, b),
        **_both(lambda *s: _norm(r(*s)), (4, 6), (512, 1024)),
        goals=(2.3, 2.3, 1.1),
    ),
    "rms_norm": Row(
        lambda x, w: F.rms_norm(x, x.shape[1:], w),
        **_both(lambda n, m: {"x": r(n, m), "w": r(m)}, (4, 6), (512, 1024)),
        goals=(2.3, 2.3, 1.1),
    ),
    "gelu": Row(lambda x: F.gelu(x), **_wide, goals=(2.5, 2.7, 1.0)),
    "gelu_tanh": Row(lambda x: F.gelu(x, approximate="tanh"), **_wide, goals=(2.5, 2.7, 1.0)),
    "softmax": Row(lambda x: F.softmax(x, -1), **_wide, goals=(1.2, 1.2, 1.0)),
    "logsumexp": Row(lambda x: torch.logsumexp(x, -1), **_wide, goals=(1.2, 1.2, 1.0)),
    "cross_entropy": Row(lambda x, t: F.cross_entropy(x, t), **_labels, goals=(1.3, 1.3, 1.0)),
    "cross_entropy, ignored": Row(
        lambda x, t: F.cross_entropy(x, t),
        small=_labels["small"],
        large=lambda: {"x": r(512, 4096), "t": classes(512, 4096, 40)},
        goals=(1.3, 1.3, 1.0),
    ),
    "cross_entropy, smoothed": Row(lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1), **_labels, goals=(1.3, 1.3, 1.0)),
    "batch_norm": Row(
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        **_both(lambda *s: _norm(r(*s)), (4, 3, 5, 6), (32, 64, 16, 16)),
        goals=(1.6, 1.8, 1.1),
    ),
    "group_norm": Row(
        lambda x, w, b: F.group_norm(x, 8, w, b),
        **_both(lambda *s: _norm(r(*s)), (4, 32, 5, 6), (16, 32, 16, 16)),
        goals=(1.6, 1.8, 1.1),
    ),
    "max_pool2d": Row(lambda x: F.max_pool2d(x, 2), **_pool, goals=(1.5, 1.5, 1.3)),
    "avg_pool2d": Row(lambda x: F.avg_pool2d(x, 2), **_pool, goals=(1.5, 1.5, 1.3)),
    "conv2d": Row(
        lambda x, w, b: F.conv2d(x, w, b, padding=1),
        small=lambda: {"x": r(2, 3, 6, 5), "w": r(4, 3, 3, 3), "b": r(4)},
        large=lambda: {"x": r(8, 16, 32, 32), "w": r(32, 16, 3, 3), "b": r(32)},
        goals=(1.05, 1.05, 1.0),
    ),
    "linear": Row(
        lambda x, w, b: F.linear(x, w, b),
        **_both(lambda n, i, o: {"x": r(n, i), "w": r(o, i), "b": r(o)}, (4, 3, 2), (512, 1024, 1024)),
        goals=(1.05, 1.05, 1.0),
    ),
    "linear + mse": Row(
        lambda x, w, b, y: F.mse_loss(F.linear(x, w, b), y),
        **_both(lambda n, i, o: {"x": r(n, i), "w": r(o, i), "b": r(o), "y": r(n, o)}, (4, 3, 2), (64, 64, 64)),
        goals=(0.5, 1.0, None),
    ),
    "attention": Row(attention, **_qkv, goals=(0.9, 1.0, 0.9)),
    "sdpa": Row(lambda q, k, v: F.scaled_dot_product_attention(q, k, v), **_qkv, goals=(1.2, 1.2, 1.0)),
    "lstm": Row(lstm, **_both(lstm_data, (7, 3, 64, 64), (32, 16, 64, 64)), goals=(1.0, 1.0, 0.8), native=cells),
    "compositing": Row(
        compositing,
        **_both(lambda n, k: {"a": torch.rand(n, k) * 0.9, "c": r(n, k, 3)}, (4, 5), (1024, 64)),
        goals=(1.0, 1.0, 0.8),
    ),
}


def autograd(f: Callable[..., Tensor], given: Tensors, upstream: Tensor) -> Callable[[], list[Tensor]]:
    """Forward and backward by autograd: the value and the gradients."""
    leaves = {n: t.detach().requires_grad_(t.is_floating_point()) for n, t in given.items()}
    wanted = [t for t in leaves.values() if t.requires_grad]

    def run() -> list[Tensor]:
        value = f(**leaves)
        return [value.detach(), *torch.autograd.grad(value, wanted, upstream)]

    return run


def direct(run: Callable[..., Any], given: Tensors, upstream: Tensor) -> Callable[[], list[Tensor]]:
    """Forward and backward by the generated function."""
    names = [n for n, t in given.items() if t.is_floating_point()]

    def call() -> list[Tensor]:
        value, grads = run(**given, grad_output=upstream)
        return [value, *(grads[n] for n in names)]

    return call


def _largest_error(a: list[Tensor], b: list[Tensor]) -> float:
    return max(float((x - y).abs().max() / y.abs().max().clamp_min(1e-30)) for x, y in zip(a, b, strict=True))


def allocated(f: Callable[[], list[Tensor]]) -> int:
    """The most bytes that torch's allocator gave out at a time while it ran: what compiled code holds is seen, too."""
    f()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        kept = f()
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]  # type: ignore[union-attr]
    now = most = 0
    for e in sorted(events, key=lambda e: e.start_ns()):
        now += e.nbytes()
        most = max(most, now)
    assert kept
    return most


def measure(name: str, seconds: float, wanted: list[str]) -> list[str]:
    """A line of the table: for each way the time, and the peak of memory, both over autograd's."""
    torch.manual_seed(0)
    row = ROWS[name]
    d = dc.derive(row.f, **row.small())
    given = row.large()
    upstream = torch.randn_like(row.f(**given))
    native = autograd(row.native or row.f, given, upstream)

    def through(layer: Any) -> Callable[[], list[Tensor]]:
        return autograd(lambda **t: layer.apply(*t.values()), given, upstream)

    ways: dict[str, Callable[[], Callable[[], list[Tensor]]]] = {
        "direct": lambda: direct(d.compile(), given, upstream),
        "Function": lambda: through(d.to_function()),
        "fused": lambda: direct(d.compile(fused=True), given, upstream),
        "fused Function": lambda: through(d.to_function(fused=True)),
    }
    should = native()
    times, peaks = [], []
    for way in wanted:
        f = ways[way]()
        error = _largest_error(f(), should)
        assert error < 1e-3, f"{name}, {way}: off by {error:.1e}"
        times.append(f"{pairs(f, native, seconds)[2]:.2f} ({row.goals[min(WAYS.index(way), 2)] or '–'})")
        count = allocated if "fused" in way else lambda g: _peak(g, given, upstream)
        peaks.append(f"{count(f) / count(native):.2f}")
    return [name, *times, *peaks]


WAYS = ["direct", "Function", "fused", "fused Function"]


def _peak(f: Callable[[], list[Tensor]], given: Tensors, upstream: Tensor) -> int:
    with Memory((*given.values(), upstream)) as seen:
        f()
    return seen.peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*")
    parser.add_argument("--ways", default="direct,Function", help=f"of {', '.join(WAYS)}, or all")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--pages-kept", action="store_true", help="what is freed stays in the process")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.pages_kept:
        torch.ones(7 << 20)
    wanted = WAYS if asked.ways == "all" else asked.ways.split(",")
    table = Table("case", *(f"{w} (to reach)" for w in wanted), *(f"peak: {w}" for w in wanted))
    for name in asked.rows or ROWS:
        table.add_row(*measure(name, asked.seconds, wanted))
        if "fused" in asked.ways or asked.ways == "all":
            torch._dynamo.reset()
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
