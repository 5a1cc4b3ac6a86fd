"""Data of other shapes, where a derivation stays at the example's: what is right there, autograd of the user's forward says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from derivcheck.diagnosis.case import Case
from derivcheck.diagnosis.repair.bench import Bench

Shapes = Mapping[str, tuple[int, ...]]


def other_shapes(inputs: Mapping[str, torch.Tensor]) -> Iterator[Shapes]:
    """Shapes in which all numbers, or one, are twice or three times as large wherever they stand.

    One more would be another function where the forward cuts a dimension into parts: the last part is smaller, and broadcast.
    """
    numbers = sorted({n for t in inputs.values() for n in t.shape}, reverse=True)
    for times in (2, 3):
        for one in (*((n,) for n in numbers), tuple(numbers)):
            yield {name: tuple(times * n if n in one else n for n in t.shape) for name, t in inputs.items()}


def of_autograd(
    meaning: Callable[[Mapping[str, torch.Tensor]], Any], like: Case, wrt: Collection[str], shapes: Shapes
) -> Bench | None:
    """Data of these shapes, like the user's; None where the forward is not for them."""
    generator = torch.Generator().manual_seed(17)
    inputs = {n: _drawn(t, shapes[n], generator) for n, t in like.inputs.items()}
    leaves = {n: t.clone().requires_grad_() for n, t in inputs.items() if n in wrt}
    try:
        with torch.enable_grad():
            y = meaning({**inputs, **leaves})
            every = [o for o in (y if isinstance(y, (tuple, list)) else (y,)) if isinstance(o, torch.Tensor)]
            outputs = [o for o in every if o.is_floating_point() and o.requires_grad]
            if len(outputs) != len(like.upstream):
                return None
            ups = [torch.randn(o.shape, generator=generator, dtype=o.dtype) for o in outputs]
            grads = torch.autograd.grad(outputs, list(leaves.values()), ups, allow_unused=True)
    except Exception:  # shapes that the user's forward is not for
        return None
    right = {n: np.zeros(t.shape) if g is None else g.double().numpy() for (n, t), g in zip(leaves.items(), grads)}
    if not all(np.isfinite(g).all() for g in right.values()):
        return None
    shown = ", ".join(f"{n} of {'×'.join(map(str, t.shape))}" for n, t in inputs.items() if t.ndim)
    return Bench({}, inputs, dict(zip(like.upstream, ups)), right, {}, shown)


def _drawn(like: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """A tensor of a shape, its numbers of the same kind."""
    if tuple(like.shape) == shape and not like.is_floating_point():
        return like
    flat = like.flatten()
    if not like.is_floating_point() or len(torch.unique(flat)) <= 2:
        return flat[torch.randint(len(flat), shape, generator=generator)].reshape(shape)
    noise = torch.rand(shape, generator=generator, dtype=torch.float64)
    if bool((flat > 0).all()):
        return float(flat.min()) + (float(flat.max()) - float(flat.min())) * noise
    return torch.randn(shape, generator=generator, dtype=torch.float64)
