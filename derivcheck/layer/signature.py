"""What a layer takes and gives, and the one type that it computes in under autocast."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch

from derivcheck.layer.lean import any_autocast, is_floating
from derivcheck.notation.program.program import Program


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

    def asked(self, needs: Sequence[bool]) -> tuple[str, ...]:
        """The names of the inputs that need a gradient and have one."""
        return tuple(n for n, need in zip(self.program.inputs, needs) if need and n in self.wrt)

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

    def counted(self, number: int) -> None:
        """Raises TypeError where there are not as many arguments as inputs."""
        names = self.program.inputs
        if number != len(names):
            raise TypeError(f"{self.title}.apply takes {len(names)} inputs ({', '.join(names)}); found {number}")

    def taken(self, args: Sequence[Any], common: torch.dtype | None) -> tuple[Any, ...]:
        """The arguments as the generated code takes them: counted, and of the common type if there is one."""
        names = self.program.inputs
        self.counted(len(args))
        if common is not None:
            return tuple(t.to(common) if is_floating(t) else t for t in args)
        if self.constants:
            own = next((t.dtype for n, t in zip(names, args) if n not in self.constants and is_floating(t)), None)
            return tuple(t if own is None or n not in self.constants else t.to(own) for n, t in zip(names, args))
        return tuple(args)


def _autocast(tensor: torch.Tensor) -> bool:
    return torch.is_autocast_enabled(tensor.device.type)


class _Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


_NOTHING = _Nothing()


def without_autocast(args: Sequence[Any]) -> Any:
    """A context without autocast where it is on: the types have been chosen."""
    first = next((t for t in args if is_floating(t)), None) if any_autocast() else None
    if first is not None and _autocast(first):
        return torch.autocast(first.device.type, enabled=False)
    return nullcontext() if torch.compiler.is_compiling() else _NOTHING  # torch.compile knows the one that it sees made


def in_own_types(args: Sequence[Any], grads: Sequence[Any]) -> tuple[Any, ...]:
    """Each gradient, or None, in its input's type."""
    return tuple(g if g is None or g.dtype == t.dtype else g.to(t.dtype) for t, g in zip(args, grads))
