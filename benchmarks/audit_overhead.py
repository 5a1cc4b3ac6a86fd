"""How much slower a training step is while an audit looks at it, the checks apart: ``python -m benchmarks.audit_overhead``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.timing import pairs
from derivcheck.audit.observer import Observer

STEPS = 5  # at a time


class Norm(torch.autograd.Function):
    """``x`` over its root mean square."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        r = torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, r)
        return x * r * weight

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, weight, r = ctx.saved_tensors
        h = g * weight
        dx = r * (h - x * r.square() * (h * x).mean(-1, keepdim=True))
        return dx, (g * x * r).sum(tuple(range(g.dim() - 1))), None


class Doubled(torch.autograd.Function):
    """As little as a Function can do."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x + x

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g + g


class Block(nn.Module):
    """A block of a transformer with hand-written norms."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.ones(width)), nn.Parameter(torch.ones(width))
        self.mix, self.up, self.down = nn.Linear(width, 3 * width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.mix(Norm.apply(x, self.a, 1e-5)).chunk(3, -1)
        x = x + nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        h: Tensor = x + self.down(nn.functional.gelu(self.up(Norm.apply(x, self.b, 1e-5))))
        return h


def transformer(width: int, length: int) -> Callable[[], None]:
    """Training steps of four blocks."""
    net = nn.Sequential(*(Block(width) for _ in range(4)))
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3)
    x = torch.randn(4, length, width)
    return lambda: _steps(net, optimizer, x)


def many(count: int) -> Callable[[], None]:
    """Steps of nothing but tiny Functions: the worst that there is."""
    net = nn.Linear(8, 8)
    optimizer = torch.optim.SGD(net.parameters(), 1e-6)

    def chain(x: Tensor) -> Tensor:
        h = net(x) * 0.5**count
        for _ in range(count):
            h = Doubled.apply(h)
        return h

    return lambda: _steps(chain, optimizer, torch.ones(2, 8))


def _steps(net: Callable[[Tensor], Tensor], optimizer: torch.optim.Optimizer, x: Tensor) -> None:
    for _ in range(STEPS):
        optimizer.zero_grad()
        net(x).square().mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def main() -> None:
    """Print a line for each kind of step."""
    torch.set_num_threads(1)
    cases = {
        "4 blocks, width 32, 16 tokens": transformer(32, 16),
        "4 blocks, width 128, 64 tokens": transformer(128, 64),
        "100 Functions of 16 numbers": many(100),
    }
    for name, plain in cases.items():
        observer = Observer()

        def audited(run: Callable[[], None] = plain, observer: Observer = observer) -> None:
            with observer:
                run()

        a, b, ratio = pairs(audited, plain)
        print(f"{name}: {b / STEPS:.0f} µs a step, {a / STEPS:.0f} µs under audit, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
