"""What neither torch's functions nor its dispatcher pass: TorchScript, and two tensors that exchange what they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from derivcheck.tracing.recording.functional import Functional, Impure

_SCRIPTED: tuple[Any, ...] = (torch._C.ScriptFunction, torch._C.ScriptMethod)


@contextmanager
def unseen_refused(functional: Functional) -> Iterator[None]:
    """TorchScript is not run, since no size would be watched in it and no line seen; tensors are exchanged where writes are
    followed."""
    calls, swap = [kind.__call__ for kind in _SCRIPTED], torch._C._swap_tensor_impl

    def scripted(*_: Any, **__: Any) -> None:
        raise RuntimeError("the TorchScript interpreter is not watched")  # the words of torch's own error

    def swapped(*tensors: Any) -> Any:
        functional.wrote = True
        if functional.pure:
            raise Impure
        return swap(*tensors)

    for kind in _SCRIPTED:
        kind.__call__ = scripted
    torch._C._swap_tensor_impl = swapped  # type: ignore[assignment]
    try:
        yield
    finally:
        for kind, call in zip(_SCRIPTED, calls):
            kind.__call__ = call
        torch._C._swap_tensor_impl = swap
