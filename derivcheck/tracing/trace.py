"""From a torch function to a Program that holds for every size.

The function is recorded at several size assignments (``assign.py``), the recordings are unified (``unify.py``), and the
rows of :mod:`derivcheck.operators` say what each operator means.

>>> import torch
>>> def loss(x, W, b, y):
...     residual = torch.nn.functional.linear(x, W, b) - y
...     return (residual * residual).mean()
>>> traced = trace(loss, {}, dims={"x": "N in", "W": "out in", "b": "out", "y": "N out"})
>>> traced.wrt
('x', 'W', 'b', 'y')
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.program.definitions import Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.requirements import Requirement
from derivcheck.tracing.program.annotations import annotated_dims
from derivcheck.tracing.program.apply_rows import CodeTensors, Walk
from derivcheck.tracing.program.inputs import Named, closed_over, function_subject, holds_tensors
from derivcheck.tracing.program.titles import titles
from derivcheck.tracing.sizes.assign import Traceable
from derivcheck.tracing.sizes.confirm import confirmed
from derivcheck.tracing.sizes.explore import explored
from derivcheck.tracing.sizes.gather import Gathering
from derivcheck.tracing.sizes.unify import Unified


@dataclass(frozen=True)
class Traced:
    """What tracing gives.

    Attributes:
        program: the forward, for every size.
        wrt: the names of the floating-point inputs and parameters.
        values: tensors that inputs default to: parameters, buffers, constants that the code holds.
        name: a name for what was traced.
        fixed: the sizes that are numbers in the Program, each with why (``x.shape[0] = 5: a loop over it at user.py:3``).
    """

    program: Program
    wrt: tuple[str, ...]
    values: dict[str, torch.Tensor]
    name: str = "derived"
    fixed: tuple[str, ...] = ()


@dataclass(frozen=True)
class TraceOptions:
    """What a trace may do with the code.

    Attributes:
        custom_functions: ``refuse`` code that runs an ``autograd.Function`` (its backward need not be its forward's gradient),
            or ``forward`` to derive from its forward, and say so.
        sizes: ``every``; ``some``, to fix at the example's what the code branches or loops on, where that is refused otherwise;
            ``given``, to fix all.
        named: what the dimensions of examples are called, and which of them are equal.
        within: what the sizes that ``dims`` names are meant to fulfil.
    """

    custom_functions: str = "refuse"
    sizes: str = "every"
    named: Named | None = None
    within: tuple[Requirement, ...] = ()


FOR_EVERY_SIZE = TraceOptions()


def trace(
    f: Callable[..., Any],
    examples: Mapping[str, Any] | None = None,
    dims: Mapping[str, str | Input] | None = None,
    constants: Mapping[str, Any] | None = None,
    options: TraceOptions = FOR_EVERY_SIZE,
) -> Traced:
    """Trace a torch function of named tensors.

    Args:
        f: the function; its tensors are given by parameter name.
        examples: example tensors by name (shapes and dtypes count, values do not); other values are constants.
        dims: dimensions by name instead: ``{"x": "N in", "ids": "int<V: N T>"}``, or the inputs of another Program.
        constants: further constants by name.

    Raises:
        UnsupportedOperation: what cannot be derived, with its place.
        InputError: inputs that do not fit the function or each other.
    """
    named = options.named
    if not holds_tensors(examples or {}):
        dims = {**annotated_dims(f, [*(examples or {}), *(dims or {}), *(constants or {})]), **(dims or {})} or dims
    subject, example, fixed = function_subject(f, examples or {}, dims or {}, constants or {}, named)
    name = getattr(f, "__name__", type(f).__name__)
    titles: Mapping[str, str] | None = {} if named is None else named.titles
    if dims is not None and not example:
        titles = None
    tensors = CodeTensors(closed=closed_over(f))
    return program_of(subject, example, tensors, titles, name if name.isidentifier() else "derived", options)


def program_of(
    subject: Traceable,
    example: dict[str, int] | None,
    tensors: CodeTensors,
    preferred: Mapping[str, str] | None,
    name: str,
    options: TraceOptions,
) -> Traced:
    """Trace a subject: record, unify, apply rows.

    Args:
        example: the example's value for each size, or None where the sizes are named by the user.
        preferred: names for sizes, by the internal name; None where the sizes have the user's own.
        name: a name for what is traced.
    """
    traces, unified = explored(subject, example, options.sizes, options.within)
    recording = traces.recordings[0]
    if recording.functions and options.custom_functions == "refuse":
        which, place = next(iter(recording.functions.items()))
        raise UnsupportedOperation(
            which if "::" in which else f"autograd.Function {which}",
            "its backward is the user's own, and need not be the gradient of its forward",
            place,
            "Derive its forward as a function of its own; dc.check compares the two.",
        )
    walk = Walk(traces, unified, tensors)
    titled = {} if preferred is None else titles(traces, unified, walk.names, preferred)

    def applied(other: Gathering, recorded: Unified) -> Program:
        return Walk(other, recorded, tensors).program({})

    program = confirmed(traces, unified, titled, walk.program(titled), applied)
    wrt = tuple(a.name for a in program.arguments if a.kind == "float" and a.role in ("argument", "parameter"))
    return Traced(program, wrt, walk.values, name, tuple(dict.fromkeys(traces.fixed.values())))
