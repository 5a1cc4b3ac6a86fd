"""What code calls of torch's operators at given tensors, with what torch's autograd calls for it: as code without autograd."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from derivcheck.errors import UnsupportedOperation
from derivcheck.tracing.trace import Traced, TraceOptions, trace

MOST = 200  # operators that are still traced: a loop over a long axis calls thousands


def traced_with_gradients(run: Callable[[dict[str, Any]], Sequence[Any]], tensors: Mapping[str, torch.Tensor]) -> Traced:
    """Trace code that takes gradients inside, which :func:`~derivcheck.tracing.trace.trace` refuses.

    Args:
        run: code of named tensors that returns tensors; it may call ``torch.autograd.grad``.
        tensors: what it runs on.  The trace holds at these very shapes: a number that torch makes of a size (the divisor of
            a mean's gradient) stands in it as a number.

    Raises:
        UnsupportedOperation, InputError, RuntimeError: code that cannot be traced.
    """
    # torch.fx has no other entry that records what the engine dispatches
    from torch.fx.experimental.proxy_tensor import make_fx

    names = tuple(tensors)

    def flat(*args: torch.Tensor) -> tuple[Any, ...]:
        return tuple(run(dict(zip(names, args))))

    graph = make_fx(flat)(*(t.detach().clone() for t in tensors.values()))

    def dispatched(**named: Any) -> Any:
        return graph(*(named[n] for n in names))

    dispatched.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names]
    )
    if len(graph.graph.nodes) > MOST:
        raise UnsupportedOperation("a long graph", f"the code calls {len(graph.graph.nodes)} operators at these sizes")
    return trace(dispatched, dict(tensors), options=TraceOptions("forward", sizes="given"))
