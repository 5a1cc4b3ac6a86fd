"""What generated code costs: operations and bytes as formulas of the sizes, and the least time, beside the time taken."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from derivcheck.codegen.file.counting import costs
from derivcheck.errors import InputError
from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.program.program import Program


@dataclass(frozen=True)
class ProfiledPart:
    """The forward or the gradients.

    Attributes:
        flops, bytes: formulas of the sizes.
        count, moved: their values at the sizes.
    """

    flops: str
    bytes: str
    count: int
    moved: int


@dataclass(frozen=True)
class Profile:
    """What generated code costs at given sizes.

    Attributes:
        sizes: the sizes.
        forward, gradients: each one's operations and bytes, as written out: each intermediate goes to memory and back.
        least: the bytes that no code does without: inputs read and results written, once.
        rate, bandwidth: operations and bytes in a second, in a matrix product and in a sum of two tensors on this machine.
        bound: the least seconds for both, by the roofline: no faster than the arithmetic, nor than the memory.
        measured: the seconds that ``compile()`` takes, the median.
    """

    sizes: Mapping[str, int]
    forward: ProfiledPart
    gradients: ProfiledPart
    least: int
    rate: float
    bandwidth: float
    bound: float
    measured: float

    def __str__(self) -> str:
        """The operations and bytes of each half with their formulas, what bounds them on this machine, and what was
        measured."""
        lines = [f"at {', '.join(f'{k} = {v}' for k, v in self.sizes.items())}:"]
        for name, part in (("forward", self.forward), ("gradients", self.gradients)):
            lines.append(f"  {name}: {part.count:,} operations = {part.flops}")
            lines.append(f"  {' ' * len(name)}  {part.moved:,} bytes = {part.bytes}")
        by = "arithmetic" if (self.forward.count + self.gradients.count) / self.rate > self.least / self.bandwidth else "memory"
        lines.append(f"  inputs and results alone: {self.least:,} bytes")
        lines.append(f"  this machine: {self.rate / 1e9:.1f} billion operations and {self.bandwidth / 1e9:.1f} GB in a second")
        lines.append(f"  at least {self.bound * 1e6:.0f} µs, bound by {by}; measured {self.measured * 1e6:.0f} µs")
        return "\n".join(lines)


def profile(
    program: Program,
    adjoint: Program,
    run: Callable[..., Any],
    values: Mapping[str, Any],
    sizes: Mapping[str, int],
    dtype: torch.dtype = torch.float32,
) -> Profile:
    """Count, and measure on random numbers.

    Raises:
        InputError: a size that is missing, unknown, no positive integer, or not among those that the derivation holds for.
    """
    known = adjoint.sizes()
    for name, value in sizes.items():
        if name not in known:
            raise InputError(f"sizes names {name!r}, which is no size here; those are {', '.join(known) or 'none'}")
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(f"the size {name} is {value!r}; expected a positive integer")
    missing = [s for s in known if s not in sizes]
    if missing:
        raise InputError(f"sizes says nothing of {', '.join(missing)}; give every one of {', '.join(known)}")
    if not program.admits(sizes):
        broken = next(r for r in program.requires if not r.holds(sizes))
        raise InputError(f"this was derived for {broken}; found {', '.join(f'{k} = {v}' for k, v in sizes.items())}")
    width = torch.finfo(dtype).bits // 8
    parts = [
        ProfiledPart(str(c.flops), f"{width}*({c.moved})", _at(c.flops, sizes), width * _at(c.moved, sizes))
        for c in costs(program, adjoint)
    ]
    rate, bandwidth = _peaks(dtype)
    results = [o for o in program.outputs if o not in program.inputs]
    count = sum(p.count for p in parts)
    ends = [*(a.dims for a in adjoint.arguments), *map(adjoint.dims, adjoint.outputs), *map(program.dims, results)]
    least = width * sum(_at(numel(dims), sizes) for dims in ends)
    given = _drawn(adjoint, values, sizes, dtype)
    measured = _seconds(lambda: run(**given))
    bound = max(count / rate, least / bandwidth)
    return Profile(dict(sizes), parts[0], parts[1], least, rate, bandwidth, bound, measured)


def _at(p: Poly, sizes: Mapping[str, int]) -> int:
    return int(p.at(dict(sizes)))


def _drawn(adjoint: Program, values: Mapping[str, Any], sizes: Mapping[str, int], dtype: torch.dtype) -> dict[str, Any]:
    """Random inputs at the sizes; upstream gradients among them."""
    generator = torch.Generator().manual_seed(0)
    found: dict[str, Any] = {}
    for a in adjoint.arguments:
        shape = tuple(int(p.at(dict(sizes))) for p in a.dims)
        held = values.get(a.name)
        if held is not None and tuple(held.shape) == shape:
            found[a.name] = held.detach().to(dtype) if a.kind == "float" else held
        elif a.kind == "float":
            found[a.name] = torch.randn(shape, generator=generator, dtype=dtype)
        elif a.kind == "bool":
            found[a.name] = torch.rand(shape, generator=generator) > 0.5
        else:
            below = int(a.below.at(dict(sizes))) if a.below is not None else min(sizes.values())
            found[a.name] = torch.randint(max(below, 1), shape, generator=generator)
    shown = {s for a in adjoint.arguments for p in a.dims for s in p.sizes()}
    return found | {s: n for s, n in sizes.items() if s not in shown}


def _seconds(f: Callable[[], Any], least: float = 0.2, of: Callable[[list[float]], float] = statistics.median) -> float:
    """The median of calls over a fifth of a second, or what ``of`` says."""
    f()
    times: list[float] = []
    end = time.perf_counter() + least
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return of(times)


@lru_cache(maxsize=8)
def _peaks(dtype: torch.dtype) -> tuple[float, float]:
    """Operations and bytes in a second: a matrix product of 512, a sum of two tensors of 8 million numbers."""
    a = torch.ones(512, 512, dtype=dtype)
    rate = 2 * 512**3 / _seconds(lambda: a @ a, 0.1, min)
    x = torch.ones(1 << 23, dtype=dtype)
    y = torch.ones_like(x)
    return rate, 3 * x.nbytes / _seconds(lambda: torch.add(x, y, out=y), 0.1, min)
