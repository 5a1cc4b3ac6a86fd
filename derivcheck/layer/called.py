"""A generated function called by the user's names, with the values that inputs default to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from derivcheck.errors import InputError
from derivcheck.layer.lean import is_floating
from derivcheck.notation.program.names import ByName, spelled

Run = Callable[..., tuple[Any, dict[str, Any]]]


def called(run: Run, inputs: Sequence[str], ups: Sequence[str], values: Mapping[str, Any], held: frozenset[str]) -> Run:
    """The function with what is left out put in.

    Args:
        inputs: the names of the forward's inputs.
        ups: the names of the upstream gradients; a flat tuple of all is taken, too.
        values: the tensors that inputs default to.
        held: those of them that take the type of the others.
    """
    numbered = any(n[:1] == "_" and n[1:2].isdigit() for n in inputs)
    if len(ups) < 2 and not values and not numbered:
        return run
    together = ups[0].rpartition("_")[0] if len(ups) > 1 else ""

    def with_values(**given: Any) -> tuple[Any, dict[str, Any]]:
        """The generated function, called with what is left out put in."""
        if together and together in given:  # a flat tuple, with an entry per floating-point output
            entries = given.pop(together)
            if len(entries) != len(ups):
                raise InputError(f"{together} has {len(entries)} entries; expected {len(ups)}, one per floating-point output")
            given.update(zip(ups, entries))
        dtype = next((t.dtype for n, t in given.items() if n not in held and is_floating(t)), None)
        own = {n: t.to(dtype) if n in held and dtype is not None else t for n, t in values.items()}
        if not numbered:
            return run(**{**own, **given})
        value, grads = run(**{**own, **{spelled(n, inputs): t for n, t in given.items()}})
        return value, ByName(grads)

    return with_values
