"""Where a run computes."""

from __future__ import annotations

import torch

from derivcheck.errors import InputError


def choose_device(device: str | torch.device = "auto", dtype: torch.dtype = torch.float32) -> torch.device:
    """The device that a name stands for.

    Args:
        device: ``auto`` (a CUDA GPU, else Apple's where it can hold ``dtype``, else the CPU), ``cpu``, ``cuda``,
            ``cuda:1``, ``mps``, or a ``torch.device``.
        dtype: the type to be held; mps has no float64.

    Raises:
        InputError: an unknown name, a device that is not there, or one that cannot hold the type.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    mps = torch.backends.mps.is_available()
    if device == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if mps and dtype is not torch.float64 else "cpu"
        return torch.device(name)
    try:
        found = torch.device(device)
    except RuntimeError:
        raise InputError(f"device {str(device)!r} is not known; choose auto, cpu, cuda or mps") from None
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(mps)}
    if found.type not in there:
        raise InputError(f"device {str(device)!r} is not supported; choose auto, cpu, cuda or mps")
    if (found.index or 0) >= there[found.type]:
        have = ", ".join(t if n == 1 else f"{t} (0 to {n - 1})" for t, n in there.items() if n)
        raise InputError(f"device {str(device)!r} is not there; this machine has {have}. Use auto to take what there is")
    if found.type == "mps" and dtype is torch.float64:
        raise InputError("device 'mps' has no float64; use float32 or device cpu")
    return found
