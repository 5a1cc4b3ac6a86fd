"""What is defined and never reached: Functions and custom operators of the user's own files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from derivcheck.audit.kinds import function_key
from derivcheck.audit.observer import Observer, SeenBackward
from derivcheck.audit.operators import defined, is_operators, registered
from derivcheck.audit.places import code_of, own_file, place_of_class, place_of_code


def unreached(observer: Observer, also: str = "") -> list[str]:
    """Name and place of each that is defined in the user's files and was not met where a gradient is recorded.

    Args:
        also: the folder of an installed package that is audited.
    """
    found = dict.fromkeys(_functions(observer, also))
    met = {registered(s.function).name for s in observer.seen.values() if is_operators(s.function)}  # type: ignore[union-attr]
    for name, backward in defined():
        code = code_of(backward)
        if name not in met and code is not None and own_file(code.co_filename, also):
            found[f"{name} ({place_of_code(code)})"] = None
    return sorted(found)


def _functions(observer: Observer, also: str) -> Iterator[str]:
    """The Functions among them; one whose forward ran in ``no_grad`` alone is among them, which is said."""
    for cls in _below(torch.autograd.Function):
        code = code_of(cls.__dict__.get("forward"))
        if code is None or not own_file(code.co_filename, also):
            continue
        seen: SeenBackward | None = observer.seen.get(function_key(cls))
        if seen is None or not seen.sightings:
            alone = ", called without gradients alone" if seen is not None and seen.idle else ""
            yield f"{cls.__qualname__} ({place_of_class(cls, code)}{alone})"


def _below(cls: Any) -> Iterator[Any]:
    for c in cls.__subclasses__():
        yield c
        yield from _below(c)
