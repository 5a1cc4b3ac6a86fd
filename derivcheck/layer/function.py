"""A derivation as a ``torch.autograd.Function``: the derived backward where a network wants a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch.autograd import forward_ad

from derivcheck.codegen.file.load import load
from derivcheck.codegen.file.variants import functional_source
from derivcheck.layer.keeping import keeping, recorded, traced
from derivcheck.layer.signature import Signature, in_own_types
from derivcheck.notation.program.program import Program


def function(
    program: Program,
    wrt: tuple[str, ...],
    upstream: tuple[str, ...],
    constants: frozenset[str],
    title: str,
    fused: bool = False,
) -> type[torch.autograd.Function]:
    """An ``autograd.Function`` whose forward and backward are the generated code.

    Args:
        program, wrt, upstream, constants, title: as in :class:`Signature`.
        fused: both go through ``torch.compile``, with sizes that may change.

    ``apply`` takes the inputs of the Program in order (forward's arguments, then parameters, then the target).  Only the
    gradients that are asked for are computed.  In a plain backward the forward's intermediates are kept; under
    ``create_graph=True`` the backward is computed from the inputs, so that it can be differentiated again; under
    ``torch.func.vmap``, ``grad`` and the like it is, too.  Under autocast all is computed in the inputs' common type.

    >>> import derivcheck as dc
    >>> Square = dc.derive("y[n] := x[n]^2", dims={"x": "N"}).to_function()
    >>> x = torch.tensor([1.0, 3.0], requires_grad=True)
    >>> Square.apply(x).sum().backward()
    >>> x.grad.tolist()
    [2.0, 6.0]
    """
    layer = Signature(program, wrt, upstream, constants, title)
    compiling: Any = traced(layer)
    plain: Any = keeping(layer, fused, compiling)
    transformed: Any = _transformed(layer)
    at_once = super(torch.autograd.Function, plain).apply  # no transformation is on: nothing to unwrap, nothing to bind
    is_compiling, transforms = torch.compiler.is_compiling, torch._C._are_functorch_transforms_active

    def apply(*args: Any) -> Any:
        """By the other form of a Function under the transformations of torch.func; in forward mode by its code itself."""
        if is_compiling():
            return compiling.apply(*args)
        if forward_ad._current_level >= 0:  # a Function has no tangents at two levels; torch carries them through the code
            return _by_itself(layer, args, _carrying(program))
        if transforms():
            return transformed.apply(*args)
        return at_once(*args)

    return type(title, (plain,), {"apply": staticmethod(apply)})


def _by_itself(layer: Signature, args: Sequence[Any], program: Program) -> Any:
    """The values by the forward's code, written so that torch may record it or carry tangents through it."""
    found = load(functional_source(program))(**dict(zip(program.inputs, layer.taken(args, layer.common(args)))))
    return found if isinstance(found, tuple) or len(program.outputs) == 1 else tuple(found)


@lru_cache(maxsize=256)
def _carrying(program: Program) -> Program:
    """The Program without torch's native norms, whose tangents are wrong where they are taken twice (torch 2.13)."""
    return replace(
        program,
        definitions=tuple(
            replace(d, spelling=None) if d.spelling is not None and "native_" in d.spelling.template else d
            for d in program.definitions
        ),
    )


def _transformed(layer: Signature) -> type[torch.autograd.Function]:
    """The same for ``torch.func``: nothing is kept but the inputs, and each part may be transformed again."""
    program, floats, single = layer.program, layer.floats, len(layer.program.outputs) == 1

    def forward(*args: Any) -> Any:
        return _by_itself(layer, args, program)

    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        outputs = (output,) if single else output
        ctx.save_for_backward(*inputs)
        ctx.common = layer.common(inputs)
        ctx.mark_non_differentiable(*(o for k, o in enumerate(outputs) if k not in floats))

    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        args = ctx.saved_tensors
        given = layer.taken(args, ctx.common)
        return in_own_types(args, recorded(layer, layer.asked(ctx.needs_input_grad), given, grad_outputs))

    parts: dict[str, Any] = {f.__name__: staticmethod(f) for f in (forward, setup_context, backward)}
    return type(layer.title, (torch.autograd.Function,), {**parts, "generate_vmap_rule": True})
