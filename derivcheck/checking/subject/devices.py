"""Which devices hold which types."""

from __future__ import annotations

import torch


def holds_double(device: torch.device | str) -> bool:
    """Whether a device has float64; one that is not there is told of where it is used.

    >>> holds_double("cpu")
    True
    """
    try:
        torch.empty(0, dtype=torch.float64, device=device)
    except TypeError:  # "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64"
        return False
    except (RuntimeError, AssertionError):
        pass
    return True
