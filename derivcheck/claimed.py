"""The backward that somebody wrote as torch code, traced: a Program over the names of a forward and its gradient."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from derivcheck.derived import Derivation
from derivcheck.errors import InputError
from derivcheck.notation.program.definitions import Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.reads import inside
from derivcheck.notation.text.parse import parse_program
from derivcheck.tracing.trace import TraceOptions, trace


@dataclass(frozen=True)
class Claimed:
    """A traced backward.

    Attributes:
        program: what it computes.
        outputs: the name under which a gradient is returned -> its definition; a backward may return one twice.
        values: the tensors that its code holds, by name.
    """

    program: Program
    outputs: Mapping[str, str]
    values: Mapping[str, Any] = field(default_factory=dict)


def known_names(d: Derivation) -> dict[str, Input]:
    """What a backward may read: the forward's inputs and definitions, the upstream gradients and the adjoint's definitions."""
    known = {a.name: a for a in d.adjoint.arguments}
    for definition in (*d.program.definitions, *d.adjoint.definitions):
        known.setdefault(definition.name, Input(definition.name, definition.dims, definition.kind))
    return known


def latex_backward(text: str, d: Derivation) -> Program:
    """A backward in LaTeX, over the names of the forward and its gradient: ``\\bar{W}_{oi} = \\sum_n \\bar{y}_{no} x_{ni}``.

    The bar over an output is its upstream gradient.

    Raises:
        NotationError: LaTeX that cannot be read; the message shows the place.
    """
    known = known_names(d)
    given = {a.name for a in d.program.arguments}
    outputs = [o for o in d.program.outputs if d.program.kind(o) == "float"]
    ups = dict(zip((f"{o}_bar" for o in outputs), (a.name for a in d.adjoint.arguments if a.name not in given)))
    barred = {bar: Input(bar, known[up].dims) for bar, up in ups.items() if bar not in known}
    found = parse_program(text, known=[*known.values(), *barred.values()])
    return inside(found.rename({bar: ups[bar] for bar in barred if bar in found.inputs}))


def claimed(
    backward: Callable[..., Any],
    d: Derivation,
    constants: Mapping[str, Any] | None = None,
    *,
    examples: Mapping[str, torch.Tensor] | None = None,
    custom_functions: str = "refuse",
) -> Claimed:
    """Trace a backward for every size, or where there are examples, at their sizes alone.

    ``custom_functions`` is of an ``autograd.Function`` whose forward it runs, as in :func:`~derivcheck.tracing.trace.trace`.

    Raises:
        UnsupportedOperation: code that cannot be traced.
        InputError: what it returns is no dict of gradients.
    """
    known = known_names(d)
    try:
        parameters = inspect.signature(backward).parameters
    except (TypeError, ValueError):
        parameters = {}  # type: ignore[assignment]
    everything = any(p.kind is p.VAR_KEYWORD for p in parameters.values()) or not parameters
    names = [a.name for a in d.adjoint.arguments] if everything else []
    names += [n for n in parameters if n in known and n not in names]
    keys: list[str] = []
    refusals: list[InputError] = []

    @functools.wraps(backward)
    def ordered(*args: Any, **kwargs: Any) -> Any:
        try:
            given = gradients_in(backward(*args, **kwargs))
        except InputError as e:
            refusals.append(e)
            raise
        keys[:] = given
        return tuple(given.values())

    own = {n: v for n, v in (constants or {}).items() if everything or n in parameters}
    try:
        if examples is None:
            dims = {n: known[n] for n in names}
            found = trace(ordered, {}, dims, own, TraceOptions(custom_functions, within=d.program.requires))
        else:
            given = {n: examples[n] for n in names}
            found = trace(ordered, given, constants=own, options=TraceOptions(custom_functions, sizes="given"))
    except InputError:
        if refusals:
            raise refusals[0] from None
        raise
    return Claimed(found.program, dict(zip(keys, found.program.outputs, strict=True)), found.values)


def gradients_in(found: Any) -> dict[str, Any]:
    """What a backward returns, a tensor by name."""
    if not isinstance(found, Mapping):
        kind = "tensor" if isinstance(found, torch.Tensor) else type(found).__name__
        raise InputError(f"the backward returns a {kind}; expected a dict of gradients by name")
    given = {k: v for k, v in found.items() if v is not None}
    if not given:
        raise InputError("the backward returns no gradient; expected a dict of gradients by name")
    for k, v in given.items():
        if not isinstance(k, str):
            raise InputError(f"the backward returns a gradient under the key {k!r}; expected the name of an input")
        if not isinstance(v, torch.Tensor):
            advice = f"; torch.full_like({k}, …) makes one of a number" if isinstance(v, (int, float)) else ""
            raise InputError(f"the backward returns a {type(v).__name__} as the gradient of {k}; expected a tensor{advice}")
    return given
