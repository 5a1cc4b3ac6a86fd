"""What a run can be given, and one sentence for what it cannot."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from derivcheck.errors import InputError


def usable_tensor(name: str, t: Any, floating: bool = True) -> torch.Tensor:
    """A finite floating-point tensor (or also an integer one: class targets) with at least one row.

    Raises:
        InputError: anything else, naming the first place that is not finite.
    """
    if not isinstance(t, torch.Tensor):
        raise InputError(f"{name} is a {type(t).__name__}; expected a torch.Tensor")
    if t.is_complex() or (floating and not t.is_floating_point()):
        raise InputError(f"{name} holds {_kind(t)} values; expected floating-point ones")
    if t.dim() == 0 or t.shape[0] == 0:
        raise InputError(f"{name} of shape {tuple(t.shape)} has no rows; expected at least one")
    bad = torch.isfinite(t).logical_not()
    if bool(bad.any()):
        at = bad.nonzero()[0].tolist()
        raise InputError(
            f"{name}{at} is {t[tuple(at)].item()}; expected finite values ({int(bad.sum())} of {t.numel()} are not)"
        )
    return t


def usable_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that a run trains, by dotted name.

    Raises:
        InputError: there are none, or some that are complex, or not finite, or of several types.
    """
    if not isinstance(module, nn.Module):
        raise InputError(f"module is a {type(module).__name__}; expected a torch.nn.Module")
    found = {n: p for n, p in module.named_parameters() if p.requires_grad}
    if not found:
        raise InputError(f"{type(module).__name__} has no parameter that requires grad; there is nothing to train")
    for name, p in found.items():
        if p.numel():
            usable_tensor(f"parameter {name}", p.detach().reshape(-1))
    kinds = {_kind(p) for p in found.values()}
    if len(kinds) > 1:
        raise InputError(f"the parameters are of several types ({', '.join(sorted(kinds))}); call module.double()")
    return found


def usable_settings(lr: float, epochs: int, batch_size: int | None, rows: int) -> int:
    """The batch size; lr, epochs and batch size in their ranges.

    Raises:
        InputError: one that is not.
    """
    if not (isinstance(lr, (int, float)) and math.isfinite(lr) and lr > 0):
        raise InputError(f"lr is {lr}; expected a positive number")
    if not (isinstance(epochs, int) and epochs >= 1):
        raise InputError(f"epochs is {epochs}; expected a whole number of at least 1")
    if batch_size is None:
        return rows
    if not (isinstance(batch_size, int) and batch_size >= 1):
        raise InputError(f"batch_size is {batch_size}; expected a whole number of at least 1, or None for all rows")
    return min(batch_size, rows)


def usable_recheck(recheck: int | None) -> None:
    """A number of steps, or none.

    Raises:
        InputError: anything else.
    """
    if recheck is not None and not (isinstance(recheck, int) and recheck >= 1):
        raise InputError(f"recheck is {recheck!r}; expected a whole number of steps of at least 1, or None for the end alone")


def fits_together(module: nn.Module, loss: Callable[..., Any], x: torch.Tensor, y: torch.Tensor) -> tuple[int, ...] | None:
    """Run the module and the loss once; the module's state is kept.

    Returns:
        The shape of the module's output, where it is one tensor.

    Raises:
        InputError: shapes or types that clash, a target that would be broadcast, a loss that is not one number.
    """
    if len(x) != len(y):
        raise InputError(f"x has {len(x)} rows and y has {len(y)}; expected one target per row")
    some = next(iter(usable_parameters(module).values()))
    for name, t in (("x", x), ("y", y)):
        if t.is_floating_point() and t.dtype != some.dtype:
            raise InputError(f"{name} holds {_kind(t)} values and the parameters {_kind(some)}; call {name}.to({some.dtype})")
    kept = {n: b.clone() for n, b in module.named_buffers()}
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.filterwarnings("error", message="Using a target size", category=UserWarning)
            try:
                out = module(x)
            except (RuntimeError, ValueError, IndexError, TypeError) as e:
                if not x.is_floating_point():
                    raise InputError(f"x holds {_kind(x)} values; expected floating-point ones for {_short(module)}") from e
                raise InputError(f"x of shape {tuple(x.shape)} does not fit {_short(module)}: {_first_line(e)}") from e
            try:
                value = loss(out, y)
            except (RuntimeError, ValueError, IndexError, TypeError, UserWarning) as e:
                shape = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
                raise InputError(
                    f"y of shape {tuple(y.shape)} does not fit the module's output of shape {shape} under "
                    f"{_short(loss)}: {_first_line(e)}"
                ) from e
    finally:
        with torch.no_grad():
            for n, b in module.named_buffers():
                b.copy_(kept[n])
    if not isinstance(value, torch.Tensor) or value.numel() != 1 or not value.is_floating_point():
        found = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
        raise InputError(f"{_short(loss)} gives {found}; expected one number to minimise (reduction='mean' or 'sum')")
    return tuple(out.shape) if isinstance(out, torch.Tensor) else None


def _kind(t: torch.Tensor) -> str:
    return str(t.dtype).removeprefix("torch.")


def _short(what: Any) -> str:
    text = repr(what) if isinstance(what, nn.Module) else getattr(what, "__name__", type(what).__name__)
    return text if len(text) < 80 and "\n" not in text else type(what).__name__


def _first_line(e: BaseException) -> str:
    return (str(e).splitlines() or [type(e).__name__])[0]
