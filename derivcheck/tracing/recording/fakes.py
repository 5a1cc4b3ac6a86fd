"""Tensors without data, made as torch makes them, in a quarter of the time: a recording is made of hundreds."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

CPU = torch.device("cpu")
_states: WeakKeyDictionary[FakeTensorMode, dict[str, Any]] = WeakKeyDictionary()


def fake(mode: FakeTensorMode, raw: torch.Tensor) -> FakeTensor:
    """The fake tensor on the CPU of a new meta tensor: what torch's own has, taken over from one that torch has made."""
    state = _states.get(mode)
    if state is None:
        first = FakeTensor(mode, raw, CPU)
        held = dict(vars(first))
        del held["fake_mode"]  # or it would be kept for good
        _states[mode] = held
        return first
    # what FakeTensor.__new__ calls; it sets each attribute by itself, which takes most of its time
    made = torch.Tensor._make_subclass(FakeTensor, raw, False, dispatch_device=True, device_for_backend_keys=CPU)
    if not mode._allow_unsafe_data_ptr_access:
        torch._C._set_throw_on_mutable_data_ptr(made)
    else:
        torch._C._set_warn_deprecated_on_mutable_data_ptr(made)
    vars(made).update(state, fake_mode=mode)
    return made
