"""What is seen while a user's code runs: each hand-written backward, with the first tensors of each kind that reach it.

A call costs a look into a dict; tensors are copied where a kind of call is met for the first time.  Nothing that the code
computes is changed, and no random number is drawn.  Every ``apply`` ends in ``_SingleLevelFunction``, also one that a module
has bound to a name (``gelu = GELU.apply``) before it was looked at; there it is met.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.autograd.function import BackwardCFunction, _SingleLevelFunction
from torch.utils._pytree import tree_map_only

from derivcheck.audit.hooks import Hooks
from derivcheck.audit.kinds import function_key, kinds_of_arguments
from derivcheck.audit.operators import is_operators
from derivcheck.audit.places import caller, in_a_check
from derivcheck.tracing.program.copies import same_layout

KINDS = 8  # of one backward that are kept; what more there are is counted
_OWN = torch._C._FunctionBase.__dict__["apply"]
_MARK = "_derivcheck_sighting"


@dataclass
class Sighting:
    """One kind of call: its arguments as the first such call had them, and the gradient that reached it."""

    args: tuple[Any, ...]
    place: str
    calls: int = 0
    upstream: tuple[torch.Tensor | None, ...] | None = None
    autocast: bool = False
    wrapped: bool = False  # met under vmap alone: its tensors are not those of one call


_UNKNOWN = Sighting((), "")


@dataclass
class SeenBackward:
    """A hand-written backward that was met.

    Attributes:
        function: the ``autograd.Function``.
        kinds: by kind of input.
        calls: of its forward, where a gradient was recorded; ``idle`` is how often none was.
        backwards: how often its backward ran.
        twice: its backward was itself recorded, for a gradient of the gradient.
        more: kinds beyond those kept.
        waiting: kinds that no gradient has reached yet.
    """

    function: Any
    kinds: dict[Any, Sighting | None] = field(default_factory=dict)
    calls: int = 0
    idle: int = 0
    backwards: int = 0
    twice: bool = False
    more: int = 0
    waiting: int = 0

    @property
    def sightings(self) -> list[Sighting]:
        """The kinds of call to check."""
        return [s for s in self.kinds.values() if s is not None]


class PassesOver(BaseException):
    """So many backward passes are over: the user's code is left where it stands."""


@dataclass
class Observer:
    """Sees what runs between ``with observer:`` and its end.

    Args:
        steps: backward passes after which :class:`PassesOver` is raised; 0: never.
        told: called with the number of each backward pass that is over.
    """

    steps: int = 0
    told: Callable[[int], None] | None = None
    passes: int = 0
    seen: dict[Any, SeenBackward] = field(default_factory=dict)
    hooks: Hooks = field(default_factory=Hooks)
    compiled: list[str] = field(default_factory=list)
    _classes: dict[Any, SeenBackward | None] = field(default_factory=dict)
    _depth: int = 0
    _open: ExitStack | None = None

    def __enter__(self) -> Observer:
        self._open = ExitStack()
        for change in (self._applied, self._returned, self._counted, self._uncompiled, self.hooks.heard):
            self._open.enter_context(change())
        return self

    def __exit__(self, *_: object) -> None:
        if self._open is not None:
            self._open.close()
        self._open = None

    def of(self, cls: Any) -> SeenBackward | None:
        """What is known of a class; None of torch's own."""
        real = _meant(cls)
        if real.__module__.partition(".")[0] == "torch" and not is_operators(real):
            found = None
        else:
            found = self.seen.setdefault(function_key(real), SeenBackward(real))
        self._classes[cls] = found
        return found

    # -- what is changed while it looks ---------------------------------------------
    @contextmanager
    def _applied(self) -> Iterator[None]:
        """Every ``apply`` of an ``autograd.Function``."""
        before, classes = _SingleLevelFunction.__dict__.get("apply"), self._classes
        own = (_OWN if before is None else before).__get__

        def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
            """torch's own ``apply``, and a look at what it is given."""
            seen = classes[cls] if cls in classes else self.of(cls)
            sighting = None if seen is None else self._sighting(seen, args)
            out = own(None, cls)(*args, **kwargs)
            if sighting is not None and sighting.upstream is None:
                _mark(out, sighting)
            return out

        _SingleLevelFunction.apply = classmethod(apply)  # type: ignore[attr-defined]
        try:
            yield
        finally:
            if before is None:
                del _SingleLevelFunction.apply  # type: ignore[attr-defined]
            else:
                _SingleLevelFunction.apply = before  # type: ignore[attr-defined]

    @contextmanager
    def _returned(self) -> Iterator[None]:
        """Every backward that torch's engine runs."""
        classes, recorded = self._classes, torch.is_grad_enabled
        names = [n for n in ("apply", "apply_boxed") if n in vars(BackwardCFunction)]
        before = {n: vars(BackwardCFunction)[n] for n in names}

        def looking(original: Any) -> Any:
            """One of torch's entries, with a look at what goes through it."""

            def apply(node: Any, *grads: Any) -> Any:
                """torch's own, and a look at the gradients where they are the first of a kind."""
                seen = classes.get(node._forward_cls)
                if seen is not None:
                    seen.backwards += 1
                    if recorded():
                        seen.twice = True
                    if seen.waiting:
                        _came(seen, node, grads)
                return original(node, *grads)

            return apply

        for n in names:
            setattr(BackwardCFunction, n, looking(before[n]))
        try:
            yield
        finally:
            for n in names:
                setattr(BackwardCFunction, n, before[n])

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Every pass of torch's engine that is not made within another."""
        original = torch.autograd._engine_run_backward  # type: ignore[attr-defined]

        def run(*args: Any, **kwargs: Any) -> Any:
            """One pass, counted when it is over; those that a backward makes itself are part of it."""
            outer = self._depth == 0 and not in_a_check()
            self._depth += 1
            try:
                found = original(*args, **kwargs)
            finally:
                self._depth -= 1
            if outer:
                self._over()
            return found

        torch.autograd._engine_run_backward = run  # type: ignore[attr-defined]
        try:
            yield
        finally:
            torch.autograd._engine_run_backward = original  # type: ignore[attr-defined]

    @contextmanager
    def _uncompiled(self) -> Iterator[None]:
        """Code that ``torch.compile`` takes runs as it is written: in a compiled graph no Function is called."""
        original = torch.compile

        def compile(*args: Any, **kwargs: Any) -> Any:
            if not in_a_check():
                if not self.compiled:
                    torch.compiler.set_stance("force_eager")
                self.compiled += [place] if (place := caller()) not in self.compiled else []
            return original(*args, **kwargs)

        torch.compile = compile
        try:
            yield
        finally:
            torch.compile = original
            if self.compiled:
                torch.compiler.set_stance("default")

    # -- what is noted ----------------------------------------------------------------
    def _sighting(self, seen: SeenBackward, args: tuple[Any, ...]) -> Sighting | None:
        """The kind of a call, kept with its tensors where it is new; None where no gradient is recorded."""
        if not torch.is_grad_enabled():
            seen.idle += 1
            return None
        kind = kinds_of_arguments(args)
        sighting = seen.kinds.get(kind, _UNKNOWN)
        if sighting is _UNKNOWN:
            sighting, again = self._first(seen, args)
            if again:
                return sighting
            seen.kinds[kind] = sighting
        if sighting is None:
            seen.idle += 1
            return None
        seen.calls += 1
        sighting.calls += 1
        return sighting

    def _first(self, seen: SeenBackward, args: tuple[Any, ...]) -> tuple[Sighting | None, bool]:
        """The first call of a kind, and whether it is to be forgotten: a check's own, or one of too many."""
        if in_a_check():
            return None, True
        tensors = [t for a in args for t in _tensors(a)]
        if not any(t.requires_grad for t in tensors):
            return None, False
        if len(seen.sightings) >= KINDS:
            seen.more += 1
            seen.calls += 1
            return None, True
        wrapped = any(torch._C._functorch.is_batchedtensor(t) for t in tensors)
        autocast = any(torch.is_autocast_enabled(t.device.type) for t in tensors)
        seen.waiting += not wrapped
        kept = () if wrapped else tree_map_only(torch.Tensor, _copy, args)
        return Sighting(kept, caller(), autocast=autocast, wrapped=wrapped), False

    def _over(self) -> None:
        """A backward pass is over."""
        self.passes += 1
        if self.told is not None:
            self.told(self.passes)
        if self.steps and self.passes >= self.steps:
            raise PassesOver


def _meant(cls: Any) -> Any:
    """The user's Function behind the one that a functorch transform makes of it."""
    if issubclass(cls, torch.autograd.Function):
        return cls
    code = cls.forward.__code__
    held = dict(zip(code.co_freevars, (c.cell_contents for c in cls.forward.__closure__ or ())))
    return held.get("autograd_function", cls)


def _came(seen: SeenBackward, node: Any, grads: tuple[Any, ...]) -> None:
    """Keep the gradient that is about to reach a backward, the first of its kind."""
    sighting = node.__dict__.pop(_MARK, None)
    if sighting is not None and sighting.upstream is None and not sighting.wrapped:
        given = grads[0] if len(grads) == 1 and isinstance(grads[0], list) else grads
        sighting.upstream = tuple(_copy(g) if isinstance(g, torch.Tensor) else None for g in given)
        seen.waiting -= 1


def _mark(out: Any, sighting: Sighting) -> None:
    """Let the node of this call know its sighting: the gradient that reaches it is kept."""
    for t in out if isinstance(out, tuple) else (out,):
        node = t.grad_fn if isinstance(t, torch.Tensor) else None
        if isinstance(node, BackwardCFunction):
            setattr(node, _MARK, sighting)
            return


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from _tensors(v)


def _copy(t: torch.Tensor) -> torch.Tensor:
    """A tensor apart from the code that runs, as it lies in memory; it asks for a gradient where the original does."""
    asks = t.requires_grad
    while torch._C._functorch.is_functorch_wrapped_tensor(t):
        t = torch._C._functorch.get_unwrapped(t)
    with torch.no_grad(), temporarily_clear_interpreter_stack():  # else what is made under torch.func is wrapped again
        copy = same_layout(t) if t.layout is torch.strided else t.detach().clone()
        return copy.requires_grad_() if asks and copy.is_floating_point() else copy
