"""Tensors that no input has touched: their values are known, so that numbers read from them are constants and no data."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._mode_utils import no_dispatch

from derivcheck.tracing.recording.data import Call, Recording, Tensor, tensors_in
from derivcheck.tracing.watching.made_of_sizes import sizes_in
from derivcheck.tracing.watching.real import Real
from derivcheck.tracing.watching.watched import Watched

_MOST = 1 << 20  # elements of a constant that is computed; a number read of a larger one is refused as one of the data


class Constants:
    """The values of tensors of a recording that are made of constants alone; each is computed when it is asked for."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._known: dict[int, torch.Tensor | None] = {}
        self._sizes: dict[int, frozenset[str]] = {}
        self._seen = 0
        self._made: dict[int, tuple[Call, int]] = {}

    def of(self, number: int | None) -> tuple[torch.Tensor, frozenset[str]] | None:
        """The value of a tensor and the sizes that it is made of; None where an input has touched it."""
        if number is None:
            return None
        self._look()
        value = self._value(number)
        return None if value is None else (value, self._sizes.get(number, frozenset()))

    def made_by(self, number: int) -> Call | None:
        """The operator that made a tensor."""
        self._look()
        found = self._made.get(number)
        return None if found is None else found[0]

    def _look(self) -> None:
        for call in self.recording.calls[self._seen :]:
            outs = call.out if isinstance(call.out, list) else [call.out]
            self._made.update({o.number: (call, k) for k, o in enumerate(outs) if isinstance(o, Tensor)})
        self._seen = len(self.recording.calls)

    def _value(self, number: int) -> torch.Tensor | None:
        if number not in self._known:
            self._known[number] = self._computed(number)
        return self._known[number]

    def _computed(self, number: int) -> torch.Tensor | None:
        """The value, by running the operators that made it; None where an input or chance is in it, or it is large."""
        held = self.recording.constants.get(number)
        if held is not None:
            plain = type(held) in (torch.Tensor, torch.nn.Parameter) and not held.requires_grad and held.device.type != "meta"
            return held if plain and held.numel() <= _MOST else None
        if number not in self._made or number in self.recording.inputs.values():
            return None
        call, k = self._made[number]
        if torch.Tag.nondeterministic_seeded in call.func.tags:
            return None
        sizes = frozenset().union(*(sizes_in(g) for g in call.given if isinstance(g, (Watched, Real))))
        try:
            args, kwargs = self._filled(call.args), self._filled(call.kwargs)
        except KeyError:
            return None
        for n in (t.number for t in tensors_in([call.args, call.kwargs])):
            sizes |= self._sizes.get(n, frozenset())
        if sum(v.numel() for v in _leaves([args, kwargs])) > _MOST:
            return None
        with torch.no_grad(), no_dispatch():
            found = call.func(*args, **{n: v for n, v in kwargs.items() if n not in ("device", "pin_memory")})
        found = found[k] if isinstance(found, (list, tuple)) else found
        self._sizes[number] = sizes
        return found if isinstance(found, torch.Tensor) else None

    def _filled(self, value: Any) -> Any:
        """Arguments with values in the place of tensors; KeyError where one has none."""
        if isinstance(value, Tensor):
            found = self._value(value.number)
            if found is None:
                raise KeyError(value.number)
            return found
        if isinstance(value, (list, tuple)):
            return [self._filled(v) for v in value]
        return {k: self._filled(v) for k, v in value.items()} if isinstance(value, dict) else value


def _leaves(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in _leaves(v)] if isinstance(value, (list, tuple)) else []
