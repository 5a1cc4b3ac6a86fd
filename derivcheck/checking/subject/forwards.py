"""The forward under test as a derivation: for every size, or where its code chooses by a size, at the sizes given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from derivcheck.derived import Derivation
from derivcheck.errors import DerivcheckError, UnsupportedOperation
from derivcheck.tracing.modules import trace_module
from derivcheck.tracing.program.inputs import Named
from derivcheck.tracing.trace import Traced, TraceOptions, trace

SIZES = ("every", "some", "given")


def derived_from(f: Any, given: Mapping[str, Any], passed: Mapping[str, Any], named: Named | None = None) -> Derivation:
    """The derivation of a function; an autograd.Function in it is derived from its forward, its backward is what is checked."""
    if isinstance(f, Derivation):
        return f

    def traced(sizes: str) -> Traced:
        return trace(f, dict(given), constants=dict(passed), options=TraceOptions("forward", sizes, named))

    try:
        return _derived(traced)
    except (DerivcheckError, RuntimeError) as error:
        error.add_note("Where a forward cannot be traced, say what it means with reference=, a function of the same inputs.")
        raise


def derived_from_module(module: torch.nn.Module, args: tuple[Any, ...], named: Named | None = None) -> Derivation:
    """The derivation of a module at example arguments."""

    def traced(sizes: str) -> Traced:
        return trace_module(module, args, options=TraceOptions("forward", sizes, named))

    return _derived(traced)


def _derived(traced: Callable[[str], Traced]) -> Derivation:
    """Derived for every size; where that is refused, with the sizes fixed by which the code chooses; else with all."""
    refused: UnsupportedOperation | None = None
    for sizes in SIZES:
        try:
            found = traced(sizes)
        except UnsupportedOperation as error:
            refused = error
            if error.anywhere:
                break
            continue
        return Derivation(found.program, found.wrt, found.values, name=found.name, fixed=found.fixed)
    assert refused is not None
    raise refused from None
