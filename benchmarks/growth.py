"""How time and memory of forward and gradients grow with one size, beside autograd of torch's own operators.

    python -m benchmarks.growth [OPERATOR ...] [--figure benchmarks/growth.png]

The size n takes 64, 256, 1024 and 4096; float32, one thread.  Time is this thread's own, the shortest of runs taken in turn,
less what a call takes at n = 4, which no n is to blame for; memory is the peak of all that operators return and that is alive,
counted by a dispatch mode.  The exponent is the slope of a least-squares line through the logarithms.  What grows by more
than 0.1 faster than torch is named in the last line.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor

import derivcheck as dc
from benchmarks.memory import Memory

SIZES = (64, 256, 1024, 4096)
MORE = 0.1
LEAST = 4
EXAMPLE = 80  # another than any size beside it, so that n alone is n
Tensors = dict[str, Tensor]


class Operator(NamedTuple):
    """A function of named tensors, and its tensors at a size."""

    forward: Callable[..., Tensor]
    data: Callable[[int], Tensors]


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def whole(below: int, *shape: int) -> Tensor:
    return torch.randint(below, shape, generator=torch.Generator().manual_seed(below))


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, -1) @ v


def rows_of(n: int) -> Tensors:
    return {"x": normal(n, 1024)}


def long_rows(n: int) -> Tensors:
    return {"x": normal(256, n)}


def affine(*shape: int, width: int) -> Tensors:
    """A tensor with a weight and a bias of this width."""
    return {"x": normal(*shape), "w": normal(width), "b": normal(width)}


def heads(n: int) -> Tensors:
    return {name: normal(1, 1, n, 32) for name in "qkv"}


def written(n: int) -> Tensors:
    return {"x": normal(256, n), "t": whole(n, 256, n), "s": normal(256, n)}


def channels(n: int) -> Tensors:
    return {"x": normal(16, 16, n)}


OPERATORS = {
    "softmax": Operator(lambda x: torch.softmax(x, -1), rows_of),
    "softmax, long rows": Operator(lambda x: torch.softmax(x, -1), long_rows),
    "log_softmax": Operator(lambda x: torch.log_softmax(x, -1), rows_of),
    "logsumexp": Operator(lambda x: torch.logsumexp(x, -1), long_rows),
    "layer_norm": Operator(lambda x, w, b: F.layer_norm(x, w.shape, w, b), lambda n: affine(n, 1024, width=1024)),
    "rms_norm": Operator(lambda x, w: F.rms_norm(x, w.shape, w, 1e-6), lambda n: {"x": normal(n, 1024), "w": normal(1024)}),
    "batch_norm": Operator(
        lambda x, w, b: F.batch_norm(x, None, None, w, b, True), lambda n: affine(n, 256, width=256)
    ),
    "group_norm": Operator(lambda x, w, b: F.group_norm(x, 4, w, b), lambda n: affine(16, 16, n, width=16)),
    "gelu": Operator(lambda x: F.gelu(x), rows_of),
    "silu": Operator(lambda x: F.silu(x), rows_of),
    "cross_entropy": Operator(
        lambda x, t: F.cross_entropy(x, t), lambda n: {"x": normal(n, 1024), "t": whole(1024, n)}
    ),
    "cross_entropy, classes": Operator(
        lambda x, t: F.cross_entropy(x, t), lambda n: {"x": normal(256, n), "t": whole(n, 256)}
    ),
    "linear": Operator(
        lambda x, w, b: F.linear(x, w, b), lambda n: {"x": normal(n, 256), "w": normal(256, 256), "b": normal(256)}
    ),
    "attention": Operator(attention, heads),
    "scaled_dot_product": Operator(lambda q, k, v: F.scaled_dot_product_attention(q, k, v), heads),
    "conv1d": Operator(
        lambda x, w: F.conv1d(x, w, padding=1), lambda n: {"x": normal(16, 16, n), "w": normal(16, 16, 3)}
    ),
    "max_pool1d": Operator(lambda x: F.max_pool1d(x, 2), channels),
    "avg_pool1d": Operator(lambda x: F.avg_pool1d(x, 2), channels),
    "embedding": Operator(lambda t, w: F.embedding(t, w), lambda n: {"t": whole(128, n), "w": normal(128, 512)}),
    "embedding, vocabulary": Operator(
        lambda t, w: F.embedding(t, w), lambda n: {"t": whole(n, 256), "w": normal(n, 512)}
    ),
    "gather": Operator(lambda x, t: x.gather(1, t), lambda n: {"x": normal(256, n), "t": whole(n, 256, n)}),
    "scatter_add": Operator(lambda x, t, s: x.scatter_add(1, t, s), written),
    "index_add": Operator(
        lambda x, t, s: x.index_add(0, t, s), lambda n: {"x": normal(n, 256), "t": whole(n, n), "s": normal(n, 256)}
    ),
    "cumsum": Operator(lambda x: x.cumsum(-1), long_rows),
    "cumprod": Operator(lambda x: (1 + x / 100).cumprod(-1), long_rows),
    "logcumsumexp": Operator(lambda x: x.logcumsumexp(-1), long_rows),
    "cummax": Operator(lambda x: x.cummax(-1).values, long_rows),
    "prod": Operator(lambda x: (1 + x / 100).prod(-1), long_rows),
    "var": Operator(lambda x: x.var(-1), long_rows),
    "norm": Operator(lambda x: torch.linalg.vector_norm(x, dim=-1), long_rows),
    "sort": Operator(lambda x: x.sort(-1).values, long_rows),
    "flip and pad": Operator(lambda x: F.pad(x.flip(-1), (3, 2)), long_rows),
    "unfold": Operator(lambda x: x.unfold(-1, 4, 2).square(), long_rows),
    "cdist": Operator(lambda x, y: torch.cdist(x, y), lambda n: {"x": normal(n, 16), "y": normal(256, 16)}),
    "mse_loss": Operator(lambda x, y: F.mse_loss(x, y), lambda n: {"x": normal(n, 512), "y": normal(n, 512)}),
}  # fmt: skip


class Growth(NamedTuple):
    """Seconds and bytes at each size, the generated code's and torch's."""

    ours: list[tuple[float, float]]
    torchs: list[tuple[float, float]]

    def exponents(self, which: int) -> tuple[float, float]:
        """Ours and torch's, of time (0) or memory (1)."""
        return slope([x[which] for x in self.ours]), slope([x[which] for x in self.torchs])


def slope(values: list[float]) -> float:
    """The exponent p of the least-squares line log v = log c + p log n."""
    x, y = [math.log(n) for n in SIZES], [math.log(v) for v in values]
    mx, my = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mx) * (b - my) for a, b in zip(x, y)) / sum((a - mx) ** 2 for a in x)


def seconds_of(a: Callable[[], object], b: Callable[[], object], seconds: float) -> tuple[float, float]:
    """The shortest run of each, taken in turn."""
    best = [math.inf, math.inf]
    end, least = time.perf_counter() + seconds, 7
    while time.perf_counter() < end or least > 0:
        least -= 1
        for k, f in enumerate((a, b)):
            start = time.thread_time()
            f()
            best[k] = min(best[k], time.thread_time() - start)
    return best[0], best[1]


def bytes_of(f: Callable[[], object], given: Iterable[Tensor]) -> int:
    """The peak of what operators return, but for what is given: a view of that holds nothing."""
    with Memory(given) as seen:
        f()
    return max(seen.peak, 1)


def growth(one: Operator, seconds: float) -> Growth:
    """Forward and gradients at each size, by the generated code and by autograd."""
    run = dc.derive(one.forward, **one.data(EXAMPLE)).compile()
    ours: list[tuple[float, float]] = []
    torchs: list[tuple[float, float]] = []
    for n in (LEAST, *SIZES):
        data = one.data(n)
        leaves = {k: t.clone().requires_grad_(t.is_floating_point()) for k, t in data.items()}
        upstream = torch.ones_like(one.forward(**data))
        more = {"grad_output": upstream} if upstream.ndim else {}
        wrt = [t for t in leaves.values() if t.requires_grad]

        def generated(data: Tensors = data, more: Tensors = more) -> object:
            return run(**data, **more)

        def autograd(leaves: Tensors = leaves, wrt: list[Tensor] = wrt, upstream: Tensor = upstream) -> object:
            return torch.autograd.grad(one.forward(**leaves), wrt, upstream)

        times = seconds_of(generated, autograd, seconds)
        ours.append((times[0], bytes_of(generated, (*data.values(), upstream))))
        torchs.append((times[1], bytes_of(autograd, (*leaves.values(), upstream))))
    return Growth(less_the_first(ours), less_the_first(torchs))


def less_the_first(measured: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Time and memory at each size, the time less what a call takes at the least; at least a microsecond."""
    start = measured[0][0]
    return [(max(seconds - start, 1e-6), bytes_) for seconds, bytes_ in measured[1:]]


def draw(found: dict[str, Growth], file: Path) -> None:
    """A dot per operator for each of the two: torch's hollow, ours filled, red where it is more than 0.1 to the right."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(found)
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 0.24 * len(names) + 1.4), sharey=True, layout="constrained")
    for which, (panel, title) in enumerate(zip(axes, ("time ~ nᵖ", "peak memory ~ nᵖ"))):
        for at, name in enumerate(names):
            mine, theirs = found[name].exponents(which)
            color = "tab:red" if mine > theirs + MORE else "tab:blue"
            panel.plot([theirs, theirs + MORE], [at, at], color="0.8", linewidth=6, solid_capstyle="butt", zorder=1)
            panel.plot(theirs, at, "o", markerfacecolor="white", markeredgecolor="0.3", zorder=3)
            panel.plot(mine, at, "o", color=color, markersize=4, zorder=4)
        panel.set_xlabel(f"exponent p of {title}, n from {SIZES[0]} to {SIZES[-1]}")
        panel.grid(axis="x", color="0.9")
        panel.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    for color, label in (("tab:blue", "derived"), ("tab:red", "derived, more than 0.1 above")):
        axes[0].plot([], [], "o", color=color, markersize=4, label=label)
    axes[0].plot([], [], "o", markerfacecolor="white", markeredgecolor="0.3", label="autograd of torch's own")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(file, dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("operators", nargs="*", metavar="OPERATOR")
    parser.add_argument("--figure", type=Path, help="where the plot is written")
    parser.add_argument("--seconds", type=float, default=0.15, help="for each operator and size")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = {name: growth(OPERATORS[name], given.seconds) for name in given.operators or OPERATORS}
    table = Table("operator", "time: derived", "autograd", "memory: derived", "autograd")
    faster = []
    for name, one in found.items():
        pairs = [one.exponents(which) for which in (0, 1)]
        table.add_row(name, *(f"{p:.2f}" for pair in pairs for p in pair))
        if any(mine > theirs + MORE for mine, theirs in pairs):
            faster.append(name)
    Console().print(table)
    if given.figure is not None:
        draw(found, given.figure)
    print(f"{len(found)} operators; faster than torch by more than {MORE}: {', '.join(faster) or 'none'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
