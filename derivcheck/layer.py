"""A derivation as a ``torch.autograd.Function``: the derived backward where a network wants a layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch

from derivcheck.codegen.file.load import load
from derivcheck.codegen.file.source import source
from derivcheck.derivation.sweep import adjoint
from derivcheck.notation.program.definitions import Input
from derivcheck.notation.program.program import Program


def function(
    program: Program, wrt: tuple[str, ...], upstream: tuple[str, ...], constants: frozenset[str], title: str
) -> type[torch.autograd.Function]:
    """An ``autograd.Function`` whose forward and backward are the generated code.

    Args:
        program: the forward.
        wrt: the names of the inputs to differentiate in.
        upstream: the adjoint's names for the upstream gradients, one per floating output.
        constants: the tensors of numbers that the code itself holds; they take the type of the first other input.
        title: the name of the class.

    ``apply`` takes the inputs of the Program in order (forward's arguments, then parameters, then the target).  Only the
    gradients that are asked for are computed.  In a plain backward the forward's intermediates are kept; under
    ``create_graph=True`` the backward is computed from the inputs, so that it can be differentiated again.

    >>> import derivcheck as dc
    >>> Square = dc.derive("y[n] := x[n]^2", dims={"x": "N"}).to_function()
    >>> x = torch.tensor([1.0, 3.0], requires_grad=True)
    >>> Square.apply(x).sum().backward()
    >>> x.grad.tolist()
    [2.0, 6.0]
    """
    names = program.inputs
    floats = [i for i, o in enumerate(program.outputs) if program.kind(o) == "float"]
    single = len(program.outputs) == 1
    held = {k for k, a in enumerate(program.arguments) if a.name in constants}
    own = next((k for k, a in enumerate(program.arguments) if a.kind == "float" and k not in held), None)
    # torch.compile traces these functions: it is given all gradients, made beforehand, and leaves out what is not used
    run_all, kept_all = _forward(program, wrt)
    back_all, back_again = _backward(program, wrt, True)[0], _backward(program, wrt, False)[0]

    def forward(ctx: Any, *args: Any) -> Any:
        """The values, and what the backward needs of them."""
        if len(args) != len(names):
            raise TypeError(f"{title}.apply takes {len(names)} inputs ({', '.join(names)}); found {len(args)}")
        if held and own is not None:
            args = tuple(t.to(args[own].dtype) if k in held else t for k, t in enumerate(args))
        if torch.compiler.is_compiling():
            wanted, run = wrt, run_all
        else:
            wanted = tuple(n for n, need in zip(names, ctx.needs_input_grad) if need and n in wrt)
            run = _forward(program, wanted)[0]
        results = run(**dict(zip(names, args)))
        values = results if isinstance(results, tuple) else (results,)
        outputs, extra = values[: len(program.outputs)], values[len(program.outputs) :]
        ctx.wanted = wanted
        ctx.save_for_backward(*args, *extra)
        for k, value in enumerate(outputs):
            if k not in floats:
                ctx.mark_non_differentiable(value)
        return outputs[0] if single else tuple(outputs)

    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of those inputs that need one."""
        saved = ctx.saved_tensors
        given = dict(zip(names, saved))
        ups = dict(zip(upstream, (grad_outputs[k] for k in floats)))
        again = torch.is_grad_enabled()
        if torch.compiler.is_compiling():
            run, kept = (back_again, ()) if again else (back_all, kept_all)
        else:
            run, kept = _backward(program, ctx.wanted, not again)
        given.update(zip(kept, saved[len(names) :]))
        found = run(**given, **ups)
        grads = dict(zip(ctx.wanted, found if isinstance(found, tuple) else (found,)))
        return tuple(grads.get(n) for n in names)

    return type(title, (torch.autograd.Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward)})


@lru_cache(maxsize=256)
def _kept(program: Program, wrt: tuple[str, ...]) -> tuple[str, ...]:
    """The forward's definitions that the adjoint refers to."""
    own = {d.name for d in program.definitions}
    back = adjoint(program, wrt)
    used = (
        frozenset().union(*(d.term.names for d in back.definitions if d.name not in own)) if back.definitions else frozenset()
    )
    return tuple(d.name for d in program.definitions if d.name in used)


@lru_cache(maxsize=256)
def _forward(program: Program, wrt: tuple[str, ...]) -> tuple[Callable[..., Any], tuple[str, ...]]:
    kept = _kept(program, wrt) if wrt else ()
    return load(source(replace(program, outputs=(*program.outputs, *kept)))), kept


@lru_cache(maxsize=256)
def _backward(program: Program, wrt: tuple[str, ...], from_kept: bool) -> tuple[Callable[..., Any], tuple[str, ...]]:
    """The generated gradient, and the names of the values that it takes from the forward."""
    back = adjoint(program, wrt)
    kept = _kept(program, wrt) if from_kept else ()
    if kept:
        own = {d.name for d in program.definitions}
        extra = tuple(Input(n, program.dims(n), program.kind(n)) for n in kept)
        definitions = tuple(d for d in back.definitions if d.name not in own)
        back = replace(back, arguments=(*back.arguments, *extra), definitions=definitions)
    return load(source(back)), kept
