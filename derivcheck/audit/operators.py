"""Custom operators: those of ``torch.library`` run through a Function that torch makes of the registered backward."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils import _pytree as pytree


@dataclass(frozen=True)
class Registered:
    """A custom operator.

    Attributes:
        op: the overload.
        backward, setup: what ``register_autograd`` was given.
    """

    op: Any
    backward: Any
    setup: Any

    @property
    def name(self) -> str:
        """``mylib::scale``."""
        return str(self.op._schema.name)

    def call(self, args: tuple[Any, ...]) -> tuple[Any, dict[str, Any]]:
        """The operator with its backward as ``check`` takes it, and the named arguments of a call that its Function was given.

        A Function with the user's own backward where its arguments are plain: then a wrong line of it can be named.
        """
        given, metadata = list(args[:-1]), args[-1]
        if hasattr(metadata, "input_spec"):  # lists of tensors, taken apart for autograd
            given = list(pytree.tree_unflatten(given, metadata.input_spec))
            given, metadata = given[:-1], given[-1]
        every = [a for a in self.op._schema.arguments if not a.kwarg_only]
        given += [a.default_value for a in every[len(given) :]]
        named = dict(zip([a.name for a in every], given))
        more = dict(metadata.keyword_only_args)
        if more or any(isinstance(v, (list, tuple)) for v in given):
            return self._function(list(named), more), named
        return self._as_function(list(named)), named

    def _function(self, names: list[str], more: dict[str, Any]) -> Any:
        op = self.op

        def operator(**named: Any) -> Any:
            return op(*(named[n] for n in names), **more)

        return _signed(operator, self.name, names)

    def _as_function(self, names: list[str]) -> Any:
        """What torch makes of it, without what torch adds to the arguments."""
        op, setup = self.op, self.setup

        def forward(*args: Any) -> Any:
            return op(*args)

        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            if setup is not None:
                setup(ctx=ctx, inputs=inputs, output=output)

        parts = {"setup_context": staticmethod(setup_context), "backward": staticmethod(self.backward)}
        parts["forward"] = staticmethod(_signed(forward, self.name, names))
        return type(self.name.rpartition(":")[2], (torch.autograd.Function,), parts)


def _signed(f: Any, name: str, names: list[str]) -> Any:
    """A function that says what its arguments are called."""
    f.__name__ = name
    f.__signature__ = inspect.Signature([inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names])
    return f


def is_operators(cls: Any) -> bool:
    """Whether torch has made this Function for a custom operator that has a backward."""
    return cls.__name__.startswith("GeneratedBackwardFor_") and registered(cls) is not None


def registered(cls: Any) -> Registered | None:
    """The operator behind a Function that torch made for it; None where it has no backward."""
    backward = cls.backward
    held = _held(backward)
    if "orig_backward" in held:
        held = _held(held["orig_backward"])
    info, op = held.get("info"), held.get("op")
    function, setup = getattr(info, "_backward_fn", None), getattr(info, "_setup_context_fn", None)
    return None if function is None or not isinstance(op, torch._ops.OpOverload) else Registered(op, function, setup)


def defined() -> list[tuple[str, Any]]:
    """Every custom operator with a backward: its name, and that backward."""
    from torch._library.custom_ops import OPDEFS  # a private part, met where a custom operator is

    return [(name, d._backward_fn) for name, d in list(OPDEFS.items()) if d._backward_fn is not None]


def _held(f: Any) -> dict[str, Any]:
    """What a function holds, by name."""
    f = getattr(f, "__func__", f)
    cells = zip(f.__code__.co_freevars, f.__closure__ or ())
    return {n: c.cell_contents for n, c in cells}
