"""A derivation as a custom operator: ``torch.ops.ns.name``, with its shapes and its derived backward."""

from __future__ import annotations

import re
from typing import Any

import torch

from derivcheck.codegen.file.load import load
from derivcheck.codegen.file.variants import functional_source
from derivcheck.errors import InputError
from derivcheck.layer.compiled import again
from derivcheck.notation.program.program import Program


def operator(program: Program, wrt: tuple[str, ...], upstream: tuple[str, ...], name: str) -> Any:
    """Register it, and return the operator.

    Args:
        program: the forward.
        wrt: the names of the inputs to differentiate in.
        upstream: the adjoint's names for the upstream gradients, one per floating output.
        name: ``namespace::name``.

    Raises:
        InputError: a name of another form, or one that is taken.

    Source: https://pytorch.org/docs/stable/library.html (``custom_op``, ``register_fake``, ``register_autograd``).
    """
    if not re.fullmatch(r"[A-Za-z_]\w*::[A-Za-z_]\w*", name, re.ASCII):
        raise InputError(f"the operator's name is {name!r}; expected namespace::name, two identifiers")
    space, _, short = name.partition("::")
    if hasattr(getattr(torch.ops, space), short):
        raise InputError(f"there is an operator {name} already; choose another name")
    names = program.inputs
    run = load(functional_source(program))
    single = len(program.outputs) == 1
    floats = [k for k, o in enumerate(program.outputs) if program.kind(o) == "float"]

    def forward(*args: torch.Tensor) -> Any:
        found = run(**dict(zip(names, args)))
        values = found if isinstance(found, tuple) else (found,)
        given = {a.untyped_storage()._cdata for a in args}
        fresh = tuple(v.clone() if v.untyped_storage()._cdata in given else v.contiguous() for v in values)
        return fresh[0] if single else fresh  # an operator's results are its own

    def fake(*args: torch.Tensor) -> Any:
        found = run(**dict(zip(names, args)))
        values = tuple(torch.empty_like(v, memory_format=torch.contiguous_format) for v in (found if not single else (found,)))
        return values[0] if single else values

    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)

    def backward(ctx: Any, *grads: Any) -> Any:
        """The gradients that are asked for, from the saved inputs and one upstream for each floating output; None for the
        others."""
        args = ctx.saved_tensors
        wanted = tuple(n for n, need in zip(names, ctx.needs_input_grad) if need and n in wrt)
        if not wanted:
            return (None,) * len(names)
        ups = dict(zip(upstream, (grads[k] for k in floats)))
        found = again(program, wanted)(**dict(zip(names, args)), **ups)
        table = dict(zip(wanted, found if isinstance(found, tuple) else (found,)))
        return tuple(table.get(n) for n in names)

    takes = ", ".join(f"Tensor {n if n.isidentifier() and n.isascii() else f'x{k}'}" for k, n in enumerate(names))
    schema = f"({takes}) -> {'Tensor' if single else '(' + ', '.join(['Tensor'] * len(program.outputs)) + ')'}"
    made = torch.library.custom_op(name, forward, mutates_args=(), schema=schema)
    made.register_fake(fake)
    made.register_autograd(backward, setup_context=setup_context)
    return made
