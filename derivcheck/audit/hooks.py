"""Hooks that change a gradient on its way: what each was given and what it made of it, as it happened in the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from derivcheck.audit.kinds import code_key, kind_of
from derivcheck.audit.places import caller, code_of
from derivcheck.tracing.watching.whose_code import user_file

_MODULES = ("register_full_backward_hook", "register_full_backward_pre_hook", "register_backward_hook")
Gradients = tuple["torch.Tensor | None", ...]


@dataclass
class SeenHook:
    """A hook of the user's.

    Attributes:
        hook: the user's function.
        place: where it was registered.
        on: what it stands on: ``a tensor``, ``Linear``.
        calls: how often it ran.
        kinds: of the gradients that it was given.
        before, after: the first gradients that it changed, and what it made of them.
    """

    hook: Any
    place: str
    on: str
    calls: int = 0
    kinds: set[Any] = field(default_factory=set)
    before: Gradients = ()
    after: Gradients = ()


@dataclass
class Hooks:
    """The hooks that run while they are heard."""

    seen: dict[Any, SeenHook] = field(default_factory=dict)

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Every hook that is registered from here on."""
        module, tensor = torch.nn.Module, torch.Tensor
        kept: list[tuple[Any, str, Any]] = [(module, n, getattr(module, n)) for n in _MODULES]
        kept.append((tensor, "register_hook", tensor.register_hook))
        for owner, name, original in kept:
            setattr(owner, name, self._registering(original))
        try:
            yield
        finally:
            for owner, name, original in kept:
                setattr(owner, name, original)

    def _registering(self, original: Any) -> Any:
        def register(on: Any, hook: Any, *args: Any, **kwargs: Any) -> Any:
            return original(on, self.listening(hook, on), *args, **kwargs)

        return register

    @contextmanager
    def there(self, model: torch.nn.Module) -> Iterator[None]:
        """The hooks that a model and its parameters have already."""
        parts = (h for m in model.modules() for h in (m._backward_hooks, m._backward_pre_hooks) if h)
        own = (p._backward_hooks for p in model.parameters() if p._backward_hooks)
        kept = [(hooks, key, hook) for hooks in (*parts, *own) for key, hook in hooks.items()]
        places = {id(h): m for m in model.modules() for h in (m._backward_hooks, m._backward_pre_hooks)}
        for hooks, key, hook in kept:
            hooks[key] = self.listening(hook, places.get(id(hooks)))
        try:
            yield
        finally:
            for hooks, key, hook in kept:
                hooks[key] = hook

    def listening(self, hook: Callable[..., Any], on: Any) -> Callable[..., Any]:
        """A hook in whose place the user's runs, and what it makes of a gradient is noted."""
        code = code_of(hook)
        if code is None or not user_file(code.co_filename) or hasattr(hook, "_derivcheck_hook"):
            return hook
        what = type(on).__name__ if isinstance(on, torch.nn.Module) else "a tensor"
        seen = self.seen.setdefault((code_key(hook), what), SeenHook(hook, caller(), what))
        at = 1 if isinstance(on, torch.nn.Module) else 0

        def heard(*args: Any) -> Any:
            """The user's hook; a gradient is copied where its kind is new, since it may be written to."""
            grads = args[at] if isinstance(args[at], tuple) else (args[at],)
            seen.calls += 1
            kind = kind_of(grads)
            copies = None if seen.after or kind in seen.kinds else _copies(grads)
            seen.kinds.add(kind)
            out = hook(*args)
            if not seen.after:
                made = grads if out is None else out if isinstance(out, tuple) else (out,)
                before = grads if copies is None else copies
                if len(made) == len(before) and any(_differ(a, b) for a, b in zip(before, made)):
                    seen.before, seen.after = _copies(before), _copies(made)
            return out

        heard._derivcheck_hook = True  # type: ignore[attr-defined]
        return heard


def _copies(grads: Any) -> Gradients:
    return tuple(g.detach().clone() if isinstance(g, torch.Tensor) else None for g in grads)


def _differ(a: Any, b: Any) -> bool:
    if not isinstance(a, torch.Tensor) or not isinstance(b, torch.Tensor):
        return (a is None) != (b is None)
    return a is not b and (a.shape != b.shape or not torch.allclose(a, b.to(a.dtype), rtol=0, atol=0, equal_nan=True))
