"""Autograd's gradient against differences of the function itself, at the data given alone: ``gradcheck(fast_mode=True)``.

Like torch's fast mode one random direction for each input, and one random upstream gradient; the differences are extrapolated
and carry their own error, so that some nine digits are compared and not three.  What agrees passes.  Anything else, a kink,
an error, another type than float64, is no answer: the whole check at these data has to say what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from derivcheck.checking.arithmetic.slopes import is_slope, signed


def agrees(func: Callable[..., Any], args: Sequence[Any], wanted: Sequence[int], seed: int = 0, lines: int = 1) -> bool:
    """Whether the gradient in these arguments is surely what the differences along so many lines say; False: not sure.

    >>> x = torch.tensor([0.3, 2.0], dtype=torch.float64)
    >>> agrees(torch.sin, [x], [0]), agrees(lambda x: x.detach() * x, [x], [0])
    (True, False)
    """
    if any(args[k].dtype is not torch.float64 for k in wanted):
        return False
    generator = torch.Generator().manual_seed(seed)
    try:
        own = [t.detach().clone() if isinstance(t, torch.Tensor) else t for t in args]
        leaves = [t.requires_grad_() if k in wanted else t for k, t in enumerate(own)]
        outs = floats(func(*leaves))
        ends = [o for o in outs if o.requires_grad]
        if not ends or any(o.dtype is not torch.float64 for o in outs):
            return False
        for _ in range(lines):
            flow = [signed(o.shape, generator).to(o.device) for o in outs]
            ups = [g for o, g in zip(outs, flow) if o.requires_grad]
            grads = [_gradients(ends, [leaves[k] for k in wanted], ups) for _ in range(2)]
            for a, b, k in zip(*grads, wanted):
                if not torch.equal(a, b) or a.dtype is not torch.float64 or a.shape != args[k].shape:
                    return False
            if any(not torch.equal(t, a) for t, a in zip(own, args) if isinstance(t, torch.Tensor)):
                return False  # an input was changed
            if not all(_along(func, args, k, g, flow, generator) for k, g in zip(wanted, grads[0])):
                return False
        return True
    except Exception:  # whatever the code raises, the whole check meets it again and says it
        return False


def _along(
    func: Callable[..., Any], args: Sequence[Any], k: int, g: torch.Tensor, flow: list[torch.Tensor], generator: torch.Generator
) -> bool:
    """Whether one input's gradient is the slope along a random direction of that input."""

    def outputs(x: torch.Tensor) -> list[torch.Tensor]:
        with torch.no_grad():
            moved = [t.detach() if isinstance(t, torch.Tensor) else t for t in args]
            moved[k] = x
            return floats(func(*moved))

    return is_slope(outputs, args[k].detach(), g, flow, generator)


def _gradients(ends: list[torch.Tensor], leaves: list[torch.Tensor], ups: list[torch.Tensor]) -> list[torch.Tensor]:
    found = torch.autograd.grad(ends, leaves, [g.clone() for g in ups], retain_graph=True, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for g, t in zip(found, leaves)]


def floats(out: Any) -> list[torch.Tensor]:
    """The floating outputs of one tensor or of a tuple or list of them, as gradcheck takes them."""
    every = out if isinstance(out, (tuple, list)) else [out]
    return [o for o in every if isinstance(o, torch.Tensor) and o.is_floating_point()]
