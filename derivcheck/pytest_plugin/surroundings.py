"""What a check depends on beside code and data: versions, the machine, the environment, torch's own switches."""

from __future__ import annotations

import hashlib
import inspect
import os
import platform
import re
import sys
from functools import cache
from types import FunctionType
from typing import Any

import torch
from torch.nn.modules import module as modules
from torch.overrides import _get_current_function_mode_stack
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from derivcheck.pytest_plugin.parts import Unsure
from derivcheck.pytest_plugin.whose import hash_of, is_library

_VARIABLES = re.compile(
    r"(TORCH|PYTORCH|CUDA|CUBLAS|CUDNN|NVIDIA|OMP_|GOMP|KMP|MKL|ATEN|TRITON|DNNL|ONEDNN|OPENBLAS|BLIS|DERIVCHECK|LD_|PYTHON)"
)
_SWITCHES = re.compile(r"_get_\w*(allow_|_enabled$|deterministic|benchmark|precision$|preferred|_cpu_capability|reduced)")
_PACKAGES = ("derivcheck", "torch", "numpy", "sympy", "lark")


def surroundings() -> str:
    """All of that in a word.

    Raises:
        Unsure: hooks, modes or operators of the user's own are in force, which no fingerprint follows.
    """
    if _get_current_function_mode_stack() or _get_current_dispatch_mode_stack():  # type: ignore[no-untyped-call]
        raise Unsure("a torch mode that is in force")
    if any(v for n, v in vars(modules).items() if n.startswith("_global_") and isinstance(v, dict)):
        raise Unsure("a hook on all modules")
    if (patched := _patched()) is not None:
        raise Unsure(f"{patched}, which is not torch's own")
    if _own_rows():
        raise Unsure("an operator's row of your own")
    known = [(n, hash_of(n)) for n in _PACKAGES]
    variables = sorted((k, v) for k, v in os.environ.items() if _VARIABLES.match(k) and not k.endswith("_CACHE_DIR"))
    return hashlib.blake2b(repr((known, _machine(), variables, _switches())).encode(), digest_size=20).hexdigest()


def _patched() -> str | None:
    """A function of torch that somebody has replaced."""
    spaces = {s.__name__: vars(s) for s in (torch, torch.nn.functional, torch.linalg, torch.special, torch.fft, torch.autograd)}
    classes = [torch.Tensor, torch.autograd.Function, *(c for c in vars(torch.nn).values() if isinstance(c, type))]
    spaces |= {c.__qualname__: dict(vars(c)) for c in classes if c.__module__.startswith("torch")}
    for name, space in spaces.items():
        for n, v in space.items():
            if isinstance(v, FunctionType) and not is_library(v.__code__.co_filename) and not _made(v):
                return f"{name}.{n}"
    return None


def _made(f: FunctionType) -> bool:
    """Whether a library has made a function of text, as for a dataclass."""
    return f.__code__.co_filename.startswith("<") and str(f.__globals__.get("__name__")).startswith("torch")


def _own_rows() -> bool:
    """Whether an operator's meaning is the user's."""
    rows = getattr(sys.modules.get("derivcheck.operators.language.row"), "_rows", {})
    return any(not is_library(inspect.unwrap(r.means).__code__.co_filename) for r in rows.values())


@cache
def _machine() -> tuple[str, ...]:
    gpus = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    return sys.version, str(sys.flags), platform.platform(), platform.machine(), *gpus


def _switches() -> list[Any]:
    """torch's global switches, as far as they change what is computed."""
    found: list[Any] = [
        torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled(), torch.is_inference_mode_enabled(),
        torch.get_num_threads(), torch.is_anomaly_enabled(), _asked("_get_deterministic_fill_uninitialized_memory"),
    ]  # fmt: skip
    found += [(d, torch.is_autocast_enabled(d), torch.get_autocast_dtype(d)) for d in ("cpu", "cuda")]
    for backend in ("generic", "cuda", "mkldnn"):
        for what in ("all", "matmul", "conv", "rnn"):
            found.append(_asked("_get_fp32_precision_getter", backend, what))
    return [str(f) for f in found] + [(n, _asked(n)) for n in sorted(dir(torch._C)) if _SWITCHES.match(n)]


def _asked(name: str, *how: str) -> str:
    try:
        return str(getattr(torch._C, name)(*how))
    except (AttributeError, TypeError, RuntimeError):
        return ""
