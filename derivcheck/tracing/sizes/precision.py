"""What numbers of few digits do and the derivation, over the reals and the integers, does not: rounding, wrapping around."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from derivcheck.errors import UnsupportedOperation
from derivcheck.tracing.recording.data import Recording
from derivcheck.tracing.sizes.unify import UnifiedCall

_NARROW = (torch.int8, torch.uint8, torch.int16, torch.int32)
_GROWS = {"add", "sub", "rsub", "mul", "neg", "abs", "pow", "square", "sum", "cumsum", "prod", "dot", "mm", "matmul"}


def no_rounding(step: UnifiedCall, recording: Recording, numbers: Sequence[int], kinds: Sequence[str]) -> None:
    """Refuse a cast to fewer digits than the inputs have: over the reals it would be nothing."""
    if "_to_copy" not in step.call.operator or not numbers or kinds[numbers[0]] != "float":
        return
    to = recording.metas[numbers[0]].dtype
    inputs = [recording.metas[k].dtype for k in recording.inputs.values() if kinds[k] == "float"]
    if inputs and torch.finfo(to).eps > min(torch.finfo(d).eps for d in inputs):
        raise UnsupportedOperation(
            step.call.operator,
            f"it rounds to {_name(to)}, fewer digits than the inputs have",
            step.call.place,
            f"Derive with inputs of type {_name(to)}, or without the cast.",
        )


def overflows(step: UnifiedCall, recording: Recording, numbers: Sequence[int]) -> str | None:
    """The assumption that an operation on narrow integers needs: torch wraps them around, generated code counts in 64 bits."""
    narrow = [recording.metas[k].dtype for k in numbers if recording.metas[k].dtype in _NARROW]
    if not narrow or step.call.operator.split(".")[1] not in _GROWS:
        return None
    return f"no {_name(narrow[0])} overflows"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
