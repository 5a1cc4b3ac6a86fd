"""Which of the texts of the same code runs: one that writes into its temporaries, where nothing is recorded; for large tensors
on a processor, one that computes them a band of rows after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import torch
from torch.autograd import forward_ad

from derivcheck.codegen.file.variants import pairs_held
from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.program.definitions import Input
from derivcheck.notation.program.program import Program

Run = Callable[..., Any]
_TENSOR, _PARAMETER = torch.Tensor, torch.nn.Parameter

_transforms: Callable[[], bool] = torch._C._are_functorch_transforms_active
_of_many: Callable[[torch.Tensor], bool] = torch._C._functorch.is_legacy_batchedtensor  # of is_grads_batched, no transformation
any_autocast: Callable[[], bool] = getattr(torch._C, "_is_any_autocast_enabled", lambda: True)


PLAIN, LEAN, BANDED, FUSED = "plain", "lean", "banded", "fused"
DIFFERENT = 4  # lengths of a loop that are compiled
LARGE = 1 << 18  # numbers in a tensor, from which on tensors of its size leave the cache before they are read again
MANY_PAIRS = 2 * LARGE  # numbers in a softmax of all pairs


def pairs_in(program: Program) -> Callable[[Sequence[Any]], int] | None:
    """How many numbers attention holds for all pairs of places, from the inputs in order; None for other code."""
    pairs = pairs_held(program)
    if pairs is None:
        return None
    wanted, dims = pairs, [a.dims for a in program.arguments]
    names = wanted.sizes()

    def count(given: Sequence[Any]) -> int:
        """The number; 0 where the shapes do not tell it, or do not fit."""
        sizes = {str(p): n for ps, t in zip(dims, given) if isinstance(t, torch.Tensor) for p, n in zip(ps, t.shape)}
        return wanted.at(sizes) if names <= sizes.keys() else 0

    return count


def variant(values: Iterable[Any]) -> str:
    """Which text may run on these: one that writes into tensors only where all are plain ones of one type, of which nothing is
    recorded."""
    if torch.compiler.is_compiling() or _transforms() or forward_ad._current_level >= 0:
        return PLAIN
    if torch.is_grad_enabled():
        values = tuple(values)
        if any(isinstance(t, torch.Tensor) and t.requires_grad for t in values):
            return PLAIN
    return unrecorded(values)


def unrecorded(values: Iterable[Any]) -> str:
    """The same, where nothing is recorded and no transformation is on."""
    dtype, large = None, False
    for t in values:
        kind = type(t)
        if kind is not _TENSOR and kind is not _PARAMETER:
            if isinstance(t, _TENSOR):
                return PLAIN
            continue
        if _of_many(t):
            return PLAIN
        own = t.dtype
        if own is not dtype:
            if not own.is_floating_point:
                continue
            if dtype is not None or any_autocast() and torch.is_autocast_enabled(t.device.type):
                return PLAIN
            dtype = own
        if t.numel() >= LARGE and t.device.type == "cpu":
            large = True
    return PLAIN if dtype is None else BANDED if large else LEAN


def fits_as(way: str, dtype: torch.dtype, ups: tuple[Any, ...]) -> str:
    """Which text may run on what was written for ``way`` and upstream gradients of it, none of which is recorded."""
    if _transforms() or forward_ad._current_level >= 0 or torch.compiler.is_compiling():
        return PLAIN
    for t in ups:
        if type(t) is not _TENSOR and type(t) is not _PARAMETER or _of_many(t):
            return PLAIN
        if t.dtype is not dtype:
            if t.is_floating_point():
                return PLAIN
        elif way is LEAN and t.numel() >= LARGE and t.device.type == "cpu":
            way = BANDED
    return PLAIN if any_autocast() and torch.is_autocast_enabled(ups[0].device.type) else way


def fitting(lean: Run, others: Callable[[str], Run], program: Program) -> Run:
    """The generated function: ``lean`` where that may be, else the variant that ``others`` gives."""
    pairs, inputs = pairs_in(program), program.inputs

    def run(**given: Any) -> Any:
        """Called by name, as each is."""
        way = variant(given.values())
        if pairs is not None and way is LEAN and pairs([given.get(n) for n in inputs]) >= MANY_PAIRS:
            way = BANDED
        return lean(**given) if way is LEAN else others(way)(**given)

    return run


def unless_banded(fused: Run, banded: Callable[[], Run]) -> Run:
    """The compiled function, where the text in bands may not run or is not for tensors of this size."""
    made = cache(banded)

    def run(**given: Any) -> Any:
        """Called by name, as each is."""
        return made()(**given) if variant(given.values()) is BANDED else fused(**given)

    return run


def unless_recorded(fused: Run, other: Callable[[], Run]) -> Run:
    """The compiled function, where nothing is recorded; the other elsewhere."""
    made = cache(other)

    def run(**given: Any) -> Any:
        """Called by name, as each is."""
        return made()(**given) if variant(given.values()) is PLAIN else fused(**given)

    return run


def unless_long(fused: Run, other: Run, arguments: Sequence[Input], lengths: Sequence[Poly], most: int) -> Run:
    """The compiled function for loops of at most so many steps and for a few different lengths, each of which is compiled by
    itself; ``other`` elsewhere."""
    seen: set[tuple[int, ...]] = set()

    def run(**given: Any) -> Any:
        """Called by name, as each is."""
        shapes = [(a.dims, given[a.name].shape) for a in arguments if isinstance(given.get(a.name), torch.Tensor)]
        sizes = {str(p): n for dims, shape in shapes for p, n in zip(dims, shape)}
        found = tuple(p.at(sizes) if p.sizes() <= sizes.keys() else most + 1 for p in lengths)
        if max(found) > most or found not in seen and len(seen) == DIFFERENT:
            return other(**given)
        seen.add(found)
        return fused(**given)

    return run


def is_floating(value: Any) -> bool:
    """Whether it is a tensor of floating-point numbers."""
    return isinstance(value, torch.Tensor) and value.is_floating_point()
