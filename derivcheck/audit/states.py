"""The states of the random numbers: put back after what is not the user's run."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def kept_states() -> Iterator[None]:
    """The random states of torch on every device in use, of NumPy and of Python are afterwards as they were.

    >>> torch.manual_seed(0) and None
    >>> with kept_states():
    ...     first = torch.rand(())
    >>> bool(first == torch.rand(()))
    True
    """
    numpy = sys.modules.get("numpy")
    own, others, python = torch.get_rng_state(), _on_devices(), random.getstate()
    numbers = None if numpy is None else numpy.random.get_state()
    try:
        yield
    finally:
        torch.set_rng_state(own)
        for module, state in others:
            module.set_rng_state_all(state) if isinstance(state, list) else module.set_rng_state(state)
        random.setstate(python)
        if numpy is not None and numbers is not None:
            numpy.random.set_state(numbers)


def _on_devices() -> list[tuple[Any, Any]]:
    """Of the devices that have run something: asking another would start it."""
    found: list[tuple[Any, Any]] = []
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        found.append((torch.cuda, torch.cuda.get_rng_state_all()))
    if torch.backends.mps.is_available():
        found.append((torch.mps, torch.mps.get_rng_state()))
    return found
