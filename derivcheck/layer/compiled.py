"""The generated functions of a layer, each made when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch.fx.experimental import _config as config

from derivcheck.codegen.file.halves import alone, halves
from derivcheck.codegen.file.load import load
from derivcheck.codegen.file.variants import functional_source
from derivcheck.derivation.sweep import adjoint
from derivcheck.layer.lean import BANDED, PLAIN
from derivcheck.layer.opaque import register
from derivcheck.notation.program.program import Program

Run = Callable[..., Any]


class CompiledHalves(NamedTuple):
    """The two functions of a layer.

    Attributes:
        forward: takes the inputs in order, returns the outputs and, behind them, ``saved``.
        backward: takes ``takes`` in order, returns an entry for each input: its gradient, or None.
        saved, takes: names.
    """

    forward: Run
    backward: Run
    saved: tuple[str, ...]
    takes: tuple[str, ...]


@lru_cache(maxsize=256)
def pair(program: Program, wrt: tuple[str, ...], way: str, fused: bool = False) -> CompiledHalves:
    """The two generated functions for the gradients in ``wrt``; without one, the forward alone.

    Args:
        way: as :func:`derivcheck.layer.lean.variant` says.
    """
    if not wrt:
        nothing = (None,) * len(program.inputs)
        return CompiledHalves(load(alone(program, way != PLAIN, way == BANDED)), lambda: nothing, (), ())
    texts = halves(program, adjoint(program, wrt), wrt, way != PLAIN, fused, way == BANDED)
    return CompiledHalves(load(texts.forward), load(texts.gradients), texts.saved, texts.takes)


@lru_cache(maxsize=256)
def again(program: Program, wrt: tuple[str, ...]) -> Run:
    """The gradient from the inputs alone, written so that it can be differentiated and mapped over again."""
    return load(functional_source(adjoint(program, wrt)))


def _options() -> dict[str, Any] | None:
    """What differs from inductor's own choice: of what is read at strides (windows, every other column) it makes loops over
    single numbers, five times slower where these are compared or functions of them computed.  Steps of a loop, each a product
    and a sum of a column, are better left to it."""
    import torch._inductor  # a second, for those who compile

    wanted = "cpp.enable_tiling_heuristics"
    return {wanted: False} if wanted in torch._inductor.list_options() else None


@lru_cache(maxsize=256)
def fuse(run: Run, backend: Any = "inductor", unrolled: bool = False) -> Run:
    """The generated function through ``torch.compile``: one graph, for sizes that may change.

    ``unrolled``: it has a loop, of which the graph has each step.
    """
    register()
    options = _options() if backend == "inductor" and not unrolled else None
    fused: Run = torch.compile(run, fullgraph=True, dynamic=True, backend=backend, options=options)

    def call(*args: Any, **given: Any) -> Any:
        """Without taking two sizes that are equal now for equal ever after."""
        if torch.compiler.is_compiling():
            return run(*args, **given)
        before = config.use_duck_shape
        config.use_duck_shape = False
        try:
            return fused(*args, **given)
        finally:
            config.use_duck_shape = before

    return call
