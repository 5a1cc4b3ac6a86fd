"""Misses on data that hide the fault: gradients that are right on the data given, and wrong on the other side of something.

    python -m benchmarks.one_sided [--seeds 3]

A mutant's gradient is the right one at data moved into the region that the caller's data are of: a relu without its mask on
images, a threshold that is never crossed, a mask of ones, labels without the ignored one; or it is wrong at some sizes, some
strides, some upstream gradients alone.  Beside each stands the right gradient, which has to pass.  Prints how many mutants
pass (0 is the aim), how many right ones do not (0 is the aim), and their names.
"""

from __future__ import annotations

import argparse
import inspect
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F

from derivcheck.checking.check import check

Tensors = dict[str, torch.Tensor]
Move = Callable[[Tensors], Tensors]
D = torch.float64


def uniform(low: float, high: float, seed: int, *shape: int) -> torch.Tensor:
    """Numbers between two bounds."""
    return low + (high - low) * torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=D)


def gradient(f: Callable[..., Any], data: Tensors, upstream: torch.Tensor, names: tuple[str, ...]) -> Tensors:
    """By autograd, of the code itself."""
    leaves = {n: t.detach().clone().requires_grad_() if n in names else t for n, t in data.items()}
    with torch.enable_grad():
        out = f(**leaves)
    found = torch.autograd.grad(out, [leaves[n] for n in names], upstream.reshape(out.shape), allow_unused=True)
    return {n: torch.zeros_like(data[n]) if g is None else g for n, g in zip(names, found)}


def backward(f: Callable[..., Any], data: Tensors, move: Move | None = None) -> Callable[..., Tensors]:
    """A hand-written gradient: the right one, or that at moved data."""
    names = tuple(n for n, t in data.items() if t.is_floating_point() and n in inspect.signature(f).parameters)

    def run(grad_output: torch.Tensor, **given: torch.Tensor) -> Tensors:
        return gradient(f, given if move is None else {**given, **move(given)}, grad_output, names)

    return _with_names(run, ("grad_output", *data))


def _with_names(f: Callable[..., Any], names: tuple[str, ...]) -> Callable[..., Any]:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    f.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in names])  # type: ignore[attr-defined]
    return f


KINKED: dict[str, Callable[..., Any]] = {
    "relu": lambda x: F.relu(x),
    "relu6": lambda x: F.relu6(x), "elu": lambda x: F.elu(x), "selu": lambda x: F.selu(x),
    "celu": lambda x: F.celu(x, 1.5), "leaky_relu": lambda x: F.leaky_relu(x, 0.1), "hardtanh": lambda x: F.hardtanh(x),
    "hardswish": lambda x: F.hardswish(x), "softshrink": lambda x: F.softshrink(x), "hardshrink": lambda x: F.hardshrink(x),
    "threshold": lambda x: F.threshold(x, 0.3, -2.0), "abs": lambda x: x.abs(), "softplus": lambda x: F.softplus(x),
    "logsigmoid": lambda x: F.logsigmoid(x), "silu": lambda x: F.silu(x), "gelu": lambda x: F.gelu(x),
    "mish": lambda x: F.mish(x),
    "norm 1": lambda x: x.norm(p=1, dim=1), "norm inf": lambda x: x.norm(p=float("inf"), dim=1),
    "relu²": lambda x: F.relu(x) ** 2,
    "largest size": lambda x: x.abs().amax(1), "relu of a sum": lambda x: F.relu(x.sum(1)), "gate": lambda x: x * F.relu(x),
    "l1 loss": lambda x: F.l1_loss(x, torch.zeros_like(x)), "smooth l1": lambda x: F.smooth_l1_loss(x, torch.zeros_like(x)),
    "huber": lambda x: F.huber_loss(x, torch.zeros_like(x)), "clamped root": lambda x: x.clamp(min=1e-3).sqrt(),
    "clamped log": lambda x: x.clamp(min=1e-3).log(), "where": lambda x: torch.where(x < 0.1, x**2, x),
    "pooled sizes": lambda x: F.max_pool1d(x.abs()[None], 2), "tanh of relu": lambda x: torch.tanh(F.relu(x)),
}  # fmt: skip
REGIMES: dict[str, tuple[Callable[..., Any], float, float]] = {  # beyond a threshold that data of this range do not cross
    "hardtanh": (lambda x: F.hardtanh(x), -0.9, 0.9), "relu6": (lambda x: F.relu6(x), 0.5, 5.5),
    "hardswish": (lambda x: F.hardswish(x), -2.5, 2.5), "clamp": (lambda x: x.clamp(-20, 20), -3, 3),
    "where": (lambda x: torch.where(x > 7, x**2, 3 * x), -2, 2), "hinge": (lambda x: F.relu(3 - x), 0, 2),
    "shrink": (lambda x: F.softshrink(x, 2.0), -1.5, 1.5), "relu of x + 10": (lambda x: F.relu(x + 10), -3, 3),
    "exp of a clamp": (lambda x: x.clamp(max=4.0).exp(), -2, 2), "huber": (lambda x: F.huber_loss(x, 0 * x), -0.8, 0.8),
    "two thresholds": (lambda x: torch.where(x.abs() < 8, x, 8 * x.sign()), -3, 3),
    "a step": (lambda x: x * (x > -5), -2, 2), "pseudo-relu": (lambda x: F.threshold(x, -6.0, 1.0), -3, 3),
}  # fmt: skip


def _within(low: float, high: float) -> Move:
    return lambda given: {"x": given["x"].clamp(low, high)}


def one_sided(seed: int) -> Iterator[tuple[str, Callable[..., Any], Tensors, Move]]:
    """Kinked functions on positive and on negative data."""
    for name, f in KINKED.items():
        for low, high, shape in ((0.55, 0.95, (4, 5)), (-0.95, -0.55, (4, 5)), (0.55, 0.95, (3, 8))):
            if low < 0 and name.startswith("clamped"):
                continue
            x = {"x": uniform(low, high, seed, *shape)}
            yield f"{name} in [{low}, {high}]", f, x, _within(low - 0.02, high + 0.02)


def regimes(seed: int) -> Iterator[tuple[str, Callable[..., Any], Tensors, Move]]:
    """Thresholds that the data do not cross."""
    for name, (f, low, high) in REGIMES.items():
        x = {"x": uniform(low, high, seed, 4, 5)}
        yield f"{name} in [{low}, {high}]", f, x, _within(low, high)


def labels(seed: int) -> Iterator[tuple[str, Callable[..., Any], Tensors, Move]]:
    """Ignored classes, masks and weights that the data never show."""
    x, t = uniform(-2, 2, seed, 6, 5), torch.randint(5, (6,), generator=torch.Generator().manual_seed(seed))
    for ignored in (-100, -1):
        for reduction in ("mean", "sum", "none"):

            def loss(x: Any, t: Any, ignored: int = ignored, reduction: str = reduction) -> Any:
                return F.cross_entropy(x, t, ignore_index=ignored, reduction=reduction)

            f = _of_two(loss, "x", "t")
            yield f"cross entropy, {ignored}, {reduction}", f, {"x": x, "t": t}, lambda d: {"t": d["t"].clamp(min=0)}
    for name, m in (
        ("ones", torch.ones(6, 5, dtype=D)),
        ("true", torch.ones(6, 5, dtype=torch.bool)),
        ("whole ones", torch.ones(5, dtype=torch.int64)),
        ("one weight", torch.ones(5, dtype=D)),
    ):
        kept, dropped = _of_two(lambda x, m: x * m, "x", "m"), _of_two(lambda x, m: x * (1 - m.double()), "x", "m")
        yield f"a mask of {name}", kept, {"x": x, "m": m}, lambda d: {"m": torch.ones_like(d["m"])}
        yield f"no {name}", dropped, {"x": x, "m": torch.zeros_like(m)}, lambda d: {"m": torch.zeros_like(d["m"])}
    s = {"x": x, "s": torch.tensor(0.5, dtype=D)}
    yield "a positive number", _of_two(lambda x, s: x * s.abs(), "x", "s"), s, lambda d: {"s": d["s"].abs()}
    yield "a temperature", _of_two(lambda x, s: (x / s.abs()).softmax(1), "x", "s"), s, lambda d: {"s": d["s"].abs()}


def _of_two(f: Callable[..., Any], a: str, b: str) -> Callable[..., Any]:
    """The function with parameters of these names."""

    def named(**given: Any) -> Any:
        return f(given[a], given[b])

    return _with_names(named, (a, b))


def product(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """What kernels in blocks compute."""
    return x @ w


def _turned(t: torch.Tensor) -> bool:
    return t.mT.is_contiguous() and not t.is_contiguous()


def _sizes(holds: Callable[[tuple[int, ...]], bool]) -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor], bool]:
    return lambda g, x, w: holds((*x.shape, w.shape[1]))


def conditions() -> Iterator[tuple[str, Callable[[torch.Tensor, torch.Tensor, torch.Tensor], bool]]]:
    """Where the gradient of a product is wrong: sizes, strides, upstream gradients."""
    for axis in range(3):
        for n in (2, 3, 7, 8, 9, 16, 32, 64, 128, 129):
            yield f"size {axis} is {n}", _sizes(lambda sizes, axis=axis, n=n: sizes[axis] == n)  # type: ignore[misc]
        for n in (8, 16, 32, 64, 128):
            there = _sizes(lambda sizes, axis=axis, n=n: sizes[axis] % n == 0 and 0 not in sizes)  # type: ignore[misc]
            yield f"size {axis} is whole blocks of {n}", there
    for n in (2, 3, 7, 8, 9, 16, 32, 64):
        yield f"all sizes are {n}", _sizes(lambda sizes, n=n: sizes == (n, n, n))  # type: ignore[misc]
    yield "w transposed", lambda g, x, w: _turned(w)
    yield "x transposed", lambda g, x, w: _turned(x) and w.is_contiguous()
    yield "upstream transposed", lambda g, x, w: _turned(g)
    yield "upstream expanded", lambda g, x, w: g.stride() == (0, 0) and g.numel() > 1
    yield "upstream strided", lambda g, x, w: not g.is_contiguous() and not _turned(g) and g.stride() != (0, 0)
    yield "upstream negative", lambda g, x, w: bool((g < 0).all()) and g.numel() > 4
    yield "upstream small", lambda g, x, w: 0 < float(g.abs().max()) < 1e-100 if g.numel() else False


def wrong_when(condition: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], bool]) -> Callable[..., Tensors]:
    """The product's gradient, 1.5 times too large in w where the condition holds."""

    def run(grad_output: torch.Tensor, x: torch.Tensor, w: torch.Tensor) -> Tensors:
        return {"x": grad_output @ w.mT, "w": x.mT @ grad_output * (1.5 if condition(grad_output, x, w) else 1.0)}

    return run


def main() -> None:
    """Run every mutant and every right gradient beside it."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--seeds", type=int, default=3)
    seeds = ask.parse_args().seeds
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    start, mutants, missed, right, alarmed = time.process_time(), 0, list[str](), 0, list[str]()

    def ask_both(name: str, f: Callable[..., Any], data: Tensors, wrong: Any, good: Any, seed: int) -> None:
        nonlocal mutants, right
        mutants, right = mutants + 1, right + (good is not None)
        if check(f, data, wrong, seed=seed).passed:
            missed.append(name)
        if good is not None and not check(f, data, good, seed=seed).passed:
            alarmed.append(name)

    for seed in range(seeds):
        for name, f, data, move in (*one_sided(seed), *regimes(seed), *labels(seed)):
            ask_both(f"{name}, seed {seed}", f, data, backward(f, data, move), backward(f, data), seed)
        tensors = {"x": uniform(-1, 1, seed, 6, 5), "w": uniform(-1, 1, seed + 9, 5, 4)}
        for name, condition in conditions():
            ask_both(f"{name}, seed {seed}", product, tensors, wrong_when(condition), None, seed)
        always, never = (wrong_when(lambda g, x, w, holds=holds: holds) for holds in (True, False))  # type: ignore[misc]
        ask_both(f"product, seed {seed}", product, tensors, always, never, seed)
    took = time.process_time() - start
    print(f"{mutants} mutants: {len(missed)} missed {missed}")
    print(f"{right} right gradients beside them: {len(alarmed)} alarms {alarmed} ({took:.0f} s)")


if __name__ == "__main__":
    main()
