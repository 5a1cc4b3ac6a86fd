"""Whose code a file is: the user's, torch's, this library's or Python's."""

from __future__ import annotations

import os
from functools import lru_cache

import torch

TORCH = os.path.dirname(torch.__file__) + os.sep
HERE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + os.sep
READERS = (
    *(TORCH + part for part in ("nn" + os.sep, "functional.py", "_decomp", "_refs", "_prims_common", "distributions")),
    os.path.join(HERE, "kernels", "cuda", "kernel.py"),
)  # torch's own Python that computes with sizes, and the reader of kernels, which does so for the source
_STANDARD = os.path.dirname(os.__file__) + os.sep


def is_user(file: str) -> bool:
    """Whether a file is the user's own: not torch's, not this library's, not Python's."""
    return (
        not file.startswith((TORCH, HERE, _STANDARD, "<frozen"))
        or "site-packages" in file
        and not file.startswith((TORCH, HERE))
    )


user_file = lru_cache(maxsize=4096)(is_user)
