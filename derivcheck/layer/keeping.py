"""The Function for plain autograd: the forward's intermediates are kept for the backward.

Most calls are on plain tensors of one type, outside of any transformation: for these there is a short way, which looks at each
tensor once and hands it on by its place.  All others take the long way: by name, in the types that were chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import torch

from derivcheck.layer.compiled import CompiledHalves, Run, again, fuse, pair
from derivcheck.layer.lean import BANDED, FUSED, LEAN, MANY_PAIRS, PLAIN, fits_as, pairs_in, unrecorded, variant
from derivcheck.layer.signature import Signature, in_own_types, without_autocast


class Route(NamedTuple):
    """The short way for the gradients that are asked for.

    Attributes:
        forward, backward: the generated functions.
        pick: what the backward takes, out of the inputs, what was saved, and the upstream gradients.
        like: the place of an input that tells the type of all.
        needs: which inputs need a gradient.
        way: what :func:`derivcheck.layer.lean.variant` said, or that it is compiled.
    """

    forward: Run
    backward: Run
    pick: Callable[[tuple[Any, ...]], tuple[Any, ...]]
    like: int
    needs: tuple[bool, ...]
    way: str


def keeping(layer: Signature, fused: bool, compiling: Any) -> type[torch.autograd.Function]:
    """The Function.

    Args:
        fused: both halves go through ``torch.compile``, or in bands where these hold no pairs of all.
        compiling: the Function that ``torch.compile`` looks into; it takes a Function's halves, not its ``apply``.
    """
    is_compiling = torch.compiler.is_compiling
    seen_forward, seen_backward = compiling.forward, compiling.backward
    count, floats = len(layer.program.outputs), layer.floats
    single, others = count == 1, [k for k in range(count) if k not in floats]
    chosen = _chooser(layer, fused)
    like = next((k for k, n in enumerate(layer.program.inputs) if layer.program.kind(n) == "float"), 0)
    long_way = _LongWay(layer, fused)
    known: dict[tuple[tuple[bool, ...], str], Route] = {}
    grad_enabled = torch.is_grad_enabled

    def route(needs: tuple[bool, ...], way: str) -> Route:
        layer.counted(len(needs))
        compiled = way is FUSED
        runs = long_way.runs(layer.asked(needs), PLAIN if compiled else way, compiled)
        both = (fuse(runs.forward), fuse(runs.backward)) if compiled else (runs.forward, runs.backward)
        places = [long_way.place(n, runs) for n in runs.takes]
        found = known[needs, way] = Route(*both, _picker(places), like, needs, way)
        return found

    def forward(ctx: Any, *args: Any) -> Any:
        """The values, and what the backward needs of them."""
        if is_compiling():
            return seen_forward(ctx, *args)
        way = chosen(args)
        if way is PLAIN:
            ctx.route = None
            values = long_way.forward(ctx, args)
        else:
            needs = ctx.needs_input_grad
            ctx.route = short = known.get((needs, way)) or route(needs, way)
            values = short.forward(*args)
        ctx.save_for_backward(*args, *values[count:])
        if others:
            ctx.mark_non_differentiable(*(values[k] for k in others))
        return values[0] if single else values[:count]

    def backward(ctx: Any, *ups: Any) -> Any:
        """The gradients of those inputs that need one."""
        if is_compiling():
            return seen_backward(ctx, *ups)
        short = ctx.route
        if short is not None and not grad_enabled():
            saved = ctx.saved_tensors
            way = fits_as(short.way, saved[short.like].dtype, ups)
            if way is short.way:
                return short.backward(*short.pick(saved + ups))
            if way is not PLAIN:
                short = known.get((short.needs, way)) or route(short.needs, way)
                return short.backward(*short.pick(saved + ups))
        return long_way.backward(ctx, ups)

    parts: dict[str, Any] = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type(layer.title, (torch.autograd.Function,), parts)


def _chooser(layer: Signature, fused: bool) -> Callable[[tuple[Any, ...]], str]:
    """Which text runs on these inputs: compiled, but for what goes in bands since one graph would hold all pairs."""
    pairs, straight = pairs_in(layer.program), not layer.constants and len(layer.program.inputs) > 0

    def chosen(args: tuple[Any, ...]) -> str:
        """The way that they go."""
        way = unrecorded(args) if straight else PLAIN
        if pairs is not None and way is LEAN and pairs(args) >= MANY_PAIRS:
            way = BANDED
        if fused and way is not PLAIN and (pairs is None or way is not BANDED):
            way = FUSED
        return way

    return chosen


def _picker(places: Sequence[int]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """The values at these places."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: tuple(values[k] for k in places)


class _LongWay:
    """Any tensors, any types, recorded or not."""

    def __init__(self, layer: Signature, fused: bool) -> None:
        self.layer, self.fused = layer, fused
        self.known: dict[tuple[tuple[str, ...], str, bool], CompiledHalves] = {}  # a Program takes long to hash

    def runs(self, wanted: tuple[str, ...], way: str, fused: bool) -> CompiledHalves:
        """Both halves for the gradients in ``wanted``."""
        found = self.known.get((wanted, way, fused))
        if found is None:
            found = self.known[wanted, way, fused] = pair(self.layer.program, wanted, way, fused)
        return found

    def place(self, name: str, runs: CompiledHalves) -> int:
        """Where it stands among the inputs, what was saved, and the upstream gradients."""
        names = (*self.layer.program.inputs, *runs.saved)
        if name in names:
            return names.index(name)
        return len(names) + self.layer.floats[self.layer.upstream.index(name)]

    def way(self, values: Sequence[Any], fused: bool) -> str:
        """What is written for a compiler may not write into tensors."""
        return PLAIN if fused else variant(values)

    def forward(self, ctx: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The outputs, and what is saved."""
        ctx.common = self.layer.common(args)
        given = self.layer.taken(args, ctx.common)
        ctx.wanted = self.layer.asked(ctx.needs_input_grad)
        runs = self.runs(ctx.wanted, self.way(given, self.fused), self.fused)
        values: tuple[Any, ...] = self._called(runs.forward, given, given, self.fused)
        return values

    def backward(self, ctx: Any, ups: tuple[Any, ...]) -> tuple[Any, ...]:
        """A gradient or None for each input."""
        layer, names = self.layer, self.layer.program.inputs
        fused = self.fused and (ctx.route is None or ctx.route.way is FUSED)
        if ctx.route is not None:
            ctx.common, ctx.wanted = None, layer.asked(ctx.route.needs)
        saved = ctx.saved_tensors
        args = saved[: len(names)]
        given = layer.taken(args, ctx.common)
        if torch.is_grad_enabled():
            return in_own_types(args, recorded(layer, ctx.wanted, given, ups))
        runs = self.runs(ctx.wanted, self.way((*given, *ups), fused), fused)
        every = (*given, *saved[len(names) :], *ups)
        found = self._called(runs.backward, args, [every[self.place(n, runs)] for n in runs.takes], fused)
        return in_own_types(args, found)

    def _called(self, run: Run, args: Sequence[Any], given: Sequence[Any], fused: bool) -> Any:
        """The function's result, without autocast: the types have been chosen."""
        with without_autocast(args):
            return (fuse(run) if fused else run)(*given)


def recorded(layer: Signature, wanted: tuple[str, ...], args: Sequence[Any], ups: Sequence[Any]) -> tuple[Any, ...]:
    """A gradient or None for each input, from the inputs alone, by code that can be differentiated again."""
    names = layer.program.inputs
    if not wanted:
        return (None,) * len(names)
    with without_autocast(args):
        inputs = dict(zip(layer.upstream, (ups[k] for k in layer.floats)))
        found = again(layer.program, wanted)(**dict(zip(names, args)), **inputs)
    grads = dict(zip(wanted, found if isinstance(found, tuple) else (found,)))
    return tuple(grads.get(n) for n in names)


def traced(layer: Signature) -> type[torch.autograd.Function]:
    """The Function that ``torch.compile`` looks into: all gradients, by functions that are made beforehand."""
    floats, names, wrt = layer.floats, layer.program.inputs, layer.wrt
    count = len(layer.program.outputs)
    runs = pair(layer.program, wrt, PLAIN)
    whole_again = again(layer.program, wrt) if wrt else None
    upstream = tuple(zip(layer.upstream, floats))
    others = [k for k in range(count) if k not in floats]

    def forward(ctx: Any, *args: Any) -> Any:
        """The values, and what the backward needs of them."""
        ctx.common = layer.common(args)
        given = layer.taken(args, ctx.common)
        with without_autocast(args):
            values = runs.forward(*given)
        ctx.save_for_backward(*args, *values[count:])
        if others:
            ctx.mark_non_differentiable(*(values[k] for k in others))
        return values[0] if count == 1 else tuple(values[:count])

    def backward(ctx: Any, *ups: Any) -> Any:
        """All gradients."""
        saved = ctx.saved_tensors
        args = saved[: len(names)]
        given = layer.taken(args, ctx.common)
        held = dict(zip(names, given))
        held.update((u, ups[k]) for u, k in upstream)
        with without_autocast(args):
            if torch.is_grad_enabled() and whole_again is not None:
                found = whole_again(**held)
                table = dict(zip(wrt, found if isinstance(found, tuple) else (found,)))
                return in_own_types(args, [table.get(n) for n in names])
            held.update(zip(runs.saved, saved[len(names) :]))
            return in_own_types(args, runs.backward(*[held[n] for n in runs.takes]))

    parts: dict[str, Any] = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type(layer.title, (torch.autograd.Function,), parts)
