"""What torch's engine runs: the backwards of autograd.Functions, and what each of them really returns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from derivcheck.checking.subject.subject import Subject, Tensors
from derivcheck.checking.subject.wide import computing_in

Heard = dict[type, tuple[Any, ...]]


def functions(outs: list[torch.Tensor]) -> list[Any]:
    """The nodes of autograd.Functions behind some outputs."""
    found, seen = [], set()
    stack: list[Any] = [o.grad_fn for o in outs]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            found.append(node)
        stack.extend(n for n, _ in node.next_functions)
    return found


@contextmanager
def overheard(s: Subject, outs: list[torch.Tensor]) -> Iterator[Heard]:
    """See what each autograd.Function's backward returns: the engine sums it to size and casts it before any hook runs."""
    classes = {type(node)._forward_cls for node in functions(outs)}
    kept = {c: (name := _written_as(c), c.__dict__.get(name)) for c in classes}
    heard: Heard = {}

    def listening(original: Any, c: type) -> Any:
        """A backward in whose place the original runs, in the types that the engine brings, and what it returned is kept."""

        def backward(ctx: Any, *grads: Any) -> Any:
            """The original, with its gradients kept as they are before the engine sums or casts them."""
            double = any(g is not None and g.dtype is torch.float64 for g in grads)
            with computing_in(torch.float64 if double else torch.float32) as widening:  # the engine runs it outside of any mode
                widening.met = s.met.casts
                found = original(ctx, *grads)
            heard[c] = values = found if isinstance(found, tuple) else (found,)
            if c is not s.function and len(values) == len(ctx.next_functions):  # every input is a tensor
                _complain(s, c.__name__, values, ctx.next_functions)
            return found

        return staticmethod(backward)

    for c, (name, _) in kept.items():
        setattr(c, name, listening(getattr(c, name), c))
    try:
        yield heard
    finally:
        for c, (name, own) in kept.items():
            if own is None:
                delattr(c, name)
            else:
                setattr(c, name, own)


def _written_as(c: Any) -> str:
    return "backward" if c.vjp is torch.autograd.Function.vjp else "vjp"


def _complain(s: Subject, name: str, values: tuple[Any, ...], inputs: Any) -> None:
    for k, (g, (after, slot)) in enumerate(zip(values, inputs)):
        expected = None if not isinstance(g, torch.Tensor) or after is None else tuple(after._input_metadata[slot].shape)
        if expected is not None and summed(s, f"{name}'s gradient of its input {k}", g, expected) is None:
            s.met.complaints[f"{name} input {k}"] = f"found shape {tuple(g.shape)}, expected {expected}"


def summed(s: Subject, what: str, g: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor | None:
    """A gradient in the shape of its input, summed as the engine does where it is larger; None where it fits in no way."""
    if tuple(g.shape) == shape:
        return g
    if len(g.shape) < len(shape) or any(m not in (1, n) for m, n in zip(shape[::-1], tuple(g.shape)[::-1])):
        return None
    s.met.remarks.setdefault(what, f"{what} has shape {tuple(g.shape)}; torch's engine sums it to {shape}")
    return g.sum_to_size(shape)


def returned(s: Subject, heard: Heard, tensors: Tensors) -> dict[str, torch.Tensor | None]:
    """What the backward of the function under test returned, by the names of its inputs; nothing where it was not run.

    Trailing Nones are dropped, as torch drops them; too few, or a gradient of what is no tensor, the engine itself refuses.
    """
    found = {n: g for n, g in zip(s.order, heard.get(s.function, ())) if n in s.tensors and (n in s.wrt or g is not None)}
    fits = {n: summed(s, f"the gradient of {n}", g, tuple(tensors[n].shape)) for n, g in found.items() if _dense(g)}
    return {n: g if fits.get(n) is None else fits[n] for n, g in found.items()}


def _dense(g: Any) -> bool:
    return isinstance(g, torch.Tensor) and g.layout is torch.strided


def misshapen(s: Subject, heard: Heard, tensors: Tensors) -> bool:
    """Whether what it returned fits but for a shape: that is a finding of its own, and better said than the engine does."""
    values = heard.get(s.function, ())
    fits = len(values) >= len(s.order) and all(v is None or isinstance(v, torch.Tensor) for v in values)
    return fits and any(
        g is not None and n in s.wrt and g.shape != tensors[n].shape for n, g in zip(s.order, values) if n in tensors
    )
