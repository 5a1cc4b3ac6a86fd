"""``derive``: from torch code, a module or index text to a derivation."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from derivcheck.derived import Derivation
from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.reads import inside
from derivcheck.notation.text.parse import parse_program


def derive(
    forward: Any,
    *args: Any,
    loss: Any = None,
    target: Any = None,
    dims: Mapping[str, str] | None = None,
    constants: Mapping[str, Any] | None = None,
    wrt: Iterable[str] | None = None,
    **inputs: Any,
) -> Derivation:
    """Derive the gradients of a computation once, for every size.

    Args:
        forward: an ``nn.Module``, a torch function of named tensors, index text or LaTeX, or a Program.
        *args: for a module (or function), its forward's own arguments as examples; only ranks and types count.
        loss: a loss module or function of (output, target), applied to the module's output.
        target: an example of the loss's target, where its rank is not the output's.
        dims: named dimensions per input (``{"x": "N in", "W": "out in"}``), instead of examples; ``"h*d"``, literals,
            and ``"int<V: N T>"`` for integer entries below V.
        constants: values that are not differentiated in, by parameter name.
        wrt: names of the inputs to differentiate in; default every floating-point input and parameter.
        **inputs: example tensors by parameter name; other values are constants.

    Returns:
        A :class:`~derivcheck.derived.Derivation`.

    Raises:
        UnsupportedOperation: an operator that cannot be derived, with its place in the user's code.
        InputError: inputs that do not fit.

    >>> d = derive("y[n,o] := sum(i: x[n,i]*W[o,i]) + b[o]", dims={"x": "N in", "W": "out in", "b": "out"})
    >>> print(d.gradients["W"].definition.term)
    sum(n: grad_output[n, o]*x[n, i])
    """
    if isinstance(forward, Derivation):
        _unused("a derivation", loss=loss, target=target)
        return forward if wrt is None else Derivation(forward.program, wrt, forward.values, name=forward.name)
    kernels = sys.modules.get("derivcheck.kernels.cuda.function")
    if kernels is not None and isinstance(forward, kernels.DeviceFunction):
        given = {n: v for n, v in (constants or {}).items() if n in forward.parameters}
        forward = forward.given(**given) if given else forward
        constants = {n: v for n, v in (constants or {}).items() if n not in given}
        dims = {**forward.dims, **(dims or {})} if not args and not inputs else dims
        wrt = wrt if wrt is not None else forward.wrt
    if isinstance(forward, Program):
        _unused("a Program", loss=loss, target=target)
        return Derivation(forward, wrt)
    if isinstance(forward, str):
        _unused("index text", loss=loss, target=target)
        return Derivation(inside(parse_program(forward, dims)), wrt)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(forward, torch.nn.Module):
        from derivcheck.tracing.modules import LossAfter, trace_module  # tracing loads torch

        after = LossAfter(loss, target) if loss is not None or target is not None else None
        traced = trace_module(forward, args, {**inputs, **(constants or {})}, loss=after, dims=dims)
    elif torch is not None and isinstance(forward, type) and issubclass(forward, torch.autograd.Function):
        own = "its backward is the user's own, and need not be the gradient of its forward"
        advice = "Derive its forward as a function of its own; dc.check compares the two."
        raise UnsupportedOperation(f"autograd.Function {forward.__name__}", own, None, advice)
    elif callable(forward):
        from derivcheck.tracing.trace import trace  # tracing loads torch

        if loss is not None:  # a function may have parameters of these names itself
            inputs["loss"] = loss
        if target is not None:
            inputs["target"] = target
        for n in ("loss", "target"):
            if n in inputs and not _takes(forward, n):
                raise InputError(f"{n}= belongs to a module; a function has its loss in it: leave {n}= out")
        if args:
            inputs = {**_named(forward, args), **inputs}
        traced = trace(forward, inputs, dims=dims, constants=constants)
    else:
        raise InputError(f"derive takes a module, a function, index text or a Program; found {type(forward).__name__}")
    return Derivation(traced.program, traced.wrt if wrt is None else wrt, traced.values, name=traced.name)


def _unused(what: str, **given: Any) -> None:
    """Refuse what would change the meaning and would be ignored."""
    for n, v in given.items():
        if v is not None:
            raise InputError(f"{n}= belongs to a module; found {what}, which has its loss in it already: leave {n}= out")


def _takes(forward: Any, name: str) -> bool:
    try:
        parameters = inspect.signature(forward).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(p.name == name or p.kind is p.VAR_KEYWORD for p in parameters)


def _named(forward: Any, args: tuple[Any, ...]) -> dict[str, Any]:
    names = [
        p.name for p in inspect.signature(forward).parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(args) > len(names):
        raise InputError(f"{len(args)} example inputs for a function of {len(names)} parameters ({', '.join(names)})")
    return dict(zip(names, args))
