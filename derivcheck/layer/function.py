"""A derivation as a ``torch.autograd.Function``: the derived backward where a network wants a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch.autograd import forward_ad
from torch.fx.experimental import _config as config

from derivcheck.codegen.file.halves import halves
from derivcheck.codegen.file.load import load
from derivcheck.codegen.file.source import source
from derivcheck.codegen.file.variants import functional_source, lean_source
from derivcheck.derivation.sweep import adjoint
from derivcheck.layer.lean import BANDED, PLAIN, any_autocast, is_floating, variant
from derivcheck.notation.program.program import Program

Run = Callable[..., Any]


class CompiledHalves(NamedTuple):
    """The forward, which returns ``saved`` beside its outputs, and the backward, which takes ``kept`` and ``read``."""

    forward: Run
    backward: Run
    saved: tuple[str, ...]
    kept: tuple[str, ...]
    read: tuple[str, ...]


@lru_cache(maxsize=256)
def pair(program: Program, wrt: tuple[str, ...], way: str, fused: bool = False) -> CompiledHalves:
    """The two generated functions for the gradients in ``wrt``; without one, the forward alone.

    Args:
        way: as :func:`derivcheck.layer.lean.variant` says.
    """
    if not wrt:
        run = load(source(program) if way == PLAIN else lean_source(program, None, banded=way == BANDED))
        return CompiledHalves(run, run, (), (), ())
    texts = halves(program, adjoint(program, wrt), wrt, way != PLAIN, fused, way == BANDED)
    return CompiledHalves(load(texts.forward), load(texts.gradients), texts.saved, texts.kept, texts.read)


@lru_cache(maxsize=256)
def again(program: Program, wrt: tuple[str, ...]) -> Run:
    """The gradient from the inputs alone, written so that it can be differentiated and mapped over again."""
    return load(functional_source(adjoint(program, wrt)))


class Signature(NamedTuple):
    """What a layer takes and gives.

    Attributes:
        program: the forward.
        wrt: the names of the inputs to differentiate in.
        upstream: the adjoint's names for the upstream gradients, one per floating output.
        constants: the tensors of numbers that the code itself holds; they take the type of the first other input.
        title: the name of the class.
    """

    program: Program
    wrt: tuple[str, ...]
    upstream: tuple[str, ...]
    constants: frozenset[str]
    title: str

    @property
    def floats(self) -> tuple[int, ...]:
        """Which outputs are floating, by their place."""
        return tuple(k for k, o in enumerate(self.program.outputs) if self.program.kind(o) == "float")

    def common(self, args: Sequence[Any]) -> torch.dtype | None:
        """The one type that all is computed in where autocast chooses types; None where it is off."""
        if not any_autocast():
            return None
        floats = [t for n, t in zip(self.program.inputs, args) if n not in self.constants and is_floating(t)]
        if not floats or not _autocast(floats[0]):
            return None
        dtype: torch.dtype = floats[0].dtype
        for t in floats[1:]:
            dtype = torch.promote_types(dtype, t.dtype)
        return dtype

    def taken(self, args: Sequence[Any], common: torch.dtype | None) -> tuple[Any, ...]:
        """The arguments as the generated code takes them: counted, and of the common type if there is one."""
        names = self.program.inputs
        if len(args) != len(names):
            raise TypeError(f"{self.title}.apply takes {len(names)} inputs ({', '.join(names)}); found {len(args)}")
        if common is not None:
            return tuple(t.to(common) if is_floating(t) else t for t in args)
        if self.constants:
            own = next((t.dtype for n, t in zip(names, args) if n not in self.constants and is_floating(t)), None)
            return tuple(t if own is None or n not in self.constants else t.to(own) for n, t in zip(names, args))
        return tuple(args)


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
    plain: Any = _keeping(layer, fused)
    transformed: Any = _transformed(layer)

    def apply(*args: Any) -> Any:
        """By the other form of a Function under the transformations of torch.func; in forward mode by its code itself."""
        if torch.compiler.is_compiling():
            return plain.apply(*args)
        if forward_ad._current_level >= 0:  # a Function has no tangents at two levels; torch carries them through the code
            return _by_itself(layer, args, _carrying(program))
        if torch._C._are_functorch_transforms_active():
            return transformed.apply(*args)
        return plain.apply(*args)

    return type(title, (plain,), {"apply": staticmethod(apply)})


class _LayerRuns:
    """The generated functions of a layer by what is asked for, and how they are called."""

    def __init__(self, layer: Signature, fused: bool) -> None:
        self.layer, self.fused, self.names = layer, fused, layer.program.inputs
        self.compiled = fuse if fused else _as_it_is
        self.known: dict[tuple[tuple[str, ...], str], CompiledHalves] = {}  # a Program takes long to hash
        self.wanted: dict[tuple[bool, ...], tuple[str, ...]] = {}

    def of(self, wanted: tuple[str, ...], way: str) -> CompiledHalves:
        """Both halves for the gradients in ``wanted``."""
        found = self.known.get((wanted, way))
        if found is None:
            found = self.known[wanted, way] = pair(self.layer.program, wanted, way, self.fused)
        return found

    def asked(self, needs: tuple[bool, ...]) -> tuple[str, ...]:
        """The names of the inputs that need a gradient and have one."""
        found = self.wanted.get(needs)
        if found is None:
            wrt = self.layer.wrt
            found = self.wanted[needs] = tuple(n for n, need in zip(self.names, needs) if need and n in wrt)
        return found

    def taken(self, args: tuple[Any, ...], common: torch.dtype | None) -> tuple[Any, ...]:
        """As :meth:`Signature.taken`, at once where there is nothing to do."""
        plain = common is None and not self.layer.constants and len(args) == len(self.names)
        return args if plain else self.layer.taken(args, common)

    def called(self, run: Run, args: Sequence[Any], given: dict[str, Any]) -> Any:
        """The function's result, without autocast: the types have been chosen."""
        if not any_autocast():
            return self.compiled(run)(**given)
        with _plain(args):
            return self.compiled(run)(**given)


def _keeping(layer: Signature, fused: bool) -> type[torch.autograd.Function]:
    """The Function for plain autograd and ``torch.compile``: the forward's intermediates are kept for the backward."""
    program, wrt, floats = layer.program, layer.wrt, layer.floats
    names, count = program.inputs, len(program.outputs)
    whole = pair(program, wrt, PLAIN)  # torch.compile traces these functions: all gradients, made beforehand
    whole_again = again(program, wrt) if wrt else None
    parts_of = _LayerRuns(layer, fused)
    taken, called = parts_of.taken, parts_of.called

    def forward(ctx: Any, *args: Any) -> Any:
        """The values, and what the backward needs of them."""
        ctx.common = common = layer.common(args)
        given = taken(args, common)
        if torch.compiler.is_compiling():
            wanted, runs = wrt, whole
        else:
            wanted = parts_of.asked(ctx.needs_input_grad)
            runs = parts_of.of(wanted, PLAIN if fused else variant(given))
        results = called(runs.forward, given, dict(zip(names, given)))
        values = results if isinstance(results, tuple) else (results,)
        ctx.wanted = wanted
        ctx.save_for_backward(*args, *values[count:])
        if len(floats) < count:
            ctx.mark_non_differentiable(*(values[k] for k in range(count) if k not in floats))
        return values[0] if count == 1 else tuple(values[:count])

    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of those inputs that need one."""
        saved = ctx.saved_tensors
        args, wanted = saved[: len(names)], ctx.wanted
        compiling = torch.compiler.is_compiling()
        if torch.is_grad_enabled():
            run = whole_again if compiling else again(program, wanted)
            found = _differentiable(layer, run, layer.taken(args, ctx.common), [grad_outputs[k] for k in floats])
        else:
            given = taken(args, ctx.common)
            runs = whole if compiling else parts_of.of(wanted, PLAIN if fused else variant((*given, *grad_outputs)))
            held = dict(zip(names, given))
            held.update(zip(runs.saved, saved[len(names) :]))
            inputs = {n: held[n] for n in (*runs.read, *runs.kept)}
            inputs.update((u, grad_outputs[k]) for u, k in zip(layer.upstream, floats))
            found = called(runs.backward, args, inputs)
        return _by_input(names, args, wanted, found)

    parts: dict[str, Any] = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type(layer.title, (torch.autograd.Function,), parts)


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
    program, wrt, floats = layer.program, layer.wrt, layer.floats
    names, single = program.inputs, len(program.outputs) == 1

    def forward(*args: Any) -> Any:
        return _by_itself(layer, args, program)

    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        outputs = (output,) if single else output
        ctx.save_for_backward(*inputs)
        ctx.common = layer.common(inputs)
        ctx.mark_non_differentiable(*(o for k, o in enumerate(outputs) if k not in floats))

    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        args = ctx.saved_tensors
        wanted = tuple(n for n, need in zip(names, ctx.needs_input_grad) if need and n in wrt)
        if not wanted:
            return (None,) * len(names)
        given = layer.taken(args, ctx.common)
        found = _differentiable(layer, again(program, wanted), given, [grad_outputs[k] for k in floats])
        return _by_input(names, args, wanted, found)

    parts: dict[str, Any] = {f.__name__: staticmethod(f) for f in (forward, setup_context, backward)}
    return type(layer.title, (torch.autograd.Function,), {**parts, "generate_vmap_rule": True})


def _differentiable(layer: Signature, run: Run | None, args: Sequence[Any], ups: Sequence[Any]) -> Any:
    """The gradients from the inputs, recorded."""
    if run is None:
        return ()
    with _plain(args):
        return run(**dict(zip(layer.program.inputs, args)), **dict(zip(layer.upstream, ups)))


def _by_input(names: Sequence[str], args: Sequence[Any], wanted: Sequence[str], found: Any) -> tuple[Any, ...]:
    """A gradient or None for each input, in the input's own type."""
    grads = dict(zip(wanted, found if isinstance(found, tuple) else (found,)))
    out = []
    for name, arg in zip(names, args):
        grad = grads.get(name)
        out.append(grad if grad is None or grad.dtype == arg.dtype else grad.to(arg.dtype))
    return tuple(out)


def _autocast(tensor: torch.Tensor) -> bool:
    return torch.is_autocast_enabled(tensor.device.type)


class _Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


_NOTHING = _Nothing()


def _plain(args: Sequence[Any]) -> Any:
    """Without autocast where it is on: the types have been chosen."""
    first = next((t for t in args if is_floating(t)), None) if any_autocast() else None
    if first is not None and _autocast(first):
        return torch.autocast(first.device.type, enabled=False)
    return _NOTHING


def _as_it_is(run: Run) -> Run:
    return run


@lru_cache(maxsize=256)
def fuse(run: Run, backend: Any = "inductor") -> Run:
    """The generated function through ``torch.compile``: one graph, for sizes that may change."""
    fused: Run = torch.compile(run, fullgraph=True, dynamic=True, backend=backend)

    def call(**given: Any) -> Any:
        """Without taking two sizes that are equal now for equal ever after."""
        if torch.compiler.is_compiling():
            return run(**given)
        before = config.use_duck_shape
        config.use_duck_shape = False
        try:
            return fused(**given)
        finally:
            config.use_duck_shape = before

    return call
