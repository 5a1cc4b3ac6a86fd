"""``gradcheck`` with torch's signature: a test suite changes one import and gets the sharper check."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from derivcheck.checking.check import check, check_at
from derivcheck.checking.subject.function import argument_names, function_of, named
from derivcheck.checking.subject.subject import CheckSetting
from derivcheck.checking.witnesses.fast import agrees
from derivcheck.errors import GradientMismatch, InputError, UnsupportedOperation

LINES = 4  # random directions of what cannot be derived


def gradcheck(
    func: Callable[..., Any],
    inputs: torch.Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
    strict: bool = False,
    dims: Mapping[str, str] | None = None,
    where: str | None = None,
) -> bool:
    """:func:`~derivcheck.checking.check.check` behind the signature of ``torch.autograd.gradcheck``.

    Steps and tolerances (``eps``, ``atol``, ``rtol``, ``nondet_tol``) are accepted and not used: the bound comes from the
    arithmetic.  Float32, bfloat16 and float16 inputs are checked in their own type.

    With ``fast_mode`` the gradient is looked at where it is given alone: autograd's gradient against differences of ``func``
    along a random direction of each input, to some nine digits (:mod:`~derivcheck.checking.witnesses.fast`), and nothing is
    derived; where that does not settle it, the derived gradient at these data does.  Without it: every probe.  A function that
    cannot be derived is compared with differences along several lines, and a UserWarning says that no more was done.

    Args:
        func: a function of tensors, or ``SomeFunction.apply``.
        inputs: its arguments; gradients are checked in the floating tensors that require them.  As torch's gradcheck, it does
            not ask for the gradient's own gradient.
        dims, where: as :func:`~derivcheck.checking.check.check` takes them, by the names of func's parameters.
        strict: hold only where nothing is left open (``docs/verdicts.md``).

    Returns:
        True if all gradients hold; else False, or GradientMismatch with ``raise_exception``.

    Raises:
        ValueError: no input requires a gradient (as torch's gradcheck).
        InputError: forward-mode or batched checks, which this does not do.
        UnsupportedOperation: a function that cannot be derived, and of which differences do not settle it, or with ``strict``.

    >>> gradcheck(torch.sin, torch.ones(3, dtype=torch.float64, requires_grad=True))
    True
    """
    if check_forward_ad or check_batched_grad or check_batched_forward_grad:
        raise InputError("gradcheck here checks backward mode; use torch.autograd.gradcheck for forward mode and vmap")
    f = by_name(func, inputs, "gradcheck")
    if fast_mode and not strict and agrees(func, f.args, f.wanted):
        return True
    try:
        if fast_mode and not strict:
            setting = CheckSetting(f.dtype, f.device, dims, where)
            report = check_at(f.forward, f.named, wrt=f.wrt, setting=setting)
        else:
            how: dict[str, Any] = {"dims": dims, "where": where, "strict": strict}
            report = check(f.forward, f.named, wrt=f.wrt, dtype=f.dtype, device=f.device, order=1, **how)
    except UnsupportedOperation as refused:
        if strict or fast_mode or not agrees(func, f.args, f.wanted, lines=LINES):
            raise
        said = f"no gradient was derived, and no probe made: {refused}; autograd's agrees with differences at the data given"
        warnings.warn(said, stacklevel=2)
        return True
    if not report.passed:
        if raise_exception:
            raise GradientMismatch(report)
        return False
    return True


@dataclass(frozen=True)
class NamedCall:
    """A function of positions and its arguments, as a check takes them.

    Attributes:
        forward: the function, of names.
        args: the arguments, by position; named: by name.
        wanted: the positions of those that require a gradient; wrt: their names.
        dtype, device: of the first of these.
    """

    forward: Any
    args: list[Any]
    named: dict[str, Any]
    wanted: list[int]
    wrt: list[str]
    dtype: torch.dtype
    device: torch.device


def by_name(func: Callable[..., Any], inputs: torch.Tensor | Sequence[Any], who: str) -> NamedCall:
    """``func`` and its arguments by name.

    Raises:
        ValueError: no input requires a gradient; ``who`` expects one.
    """
    args = [inputs] if isinstance(inputs, torch.Tensor) else list(inputs)
    wanted = [k for k, t in enumerate(args) if isinstance(t, torch.Tensor) and t.requires_grad]
    if not wanted:
        raise ValueError(
            f"{who} expects at least one input tensor to require gradient, but none of them have requires_grad=True."
        )
    forward = function_of(func)
    names = _names(func, len(args)) if forward is None else argument_names(forward, len(args))
    first = args[wanted[0]]
    return NamedCall(
        forward or _by_name(func, names),
        args,
        dict(zip(names, args)),
        wanted,
        [names[k] for k in wanted],
        first.dtype,
        first.device,
    )


def _names(func: Any, count: int) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        return named([p for p in inspect.signature(func).parameters.values() if p.kind in kinds], count)
    except (TypeError, ValueError):
        return named([], count)


def _by_name(func: Callable[..., Any], names: list[str]) -> Callable[..., Any]:
    """A function of positions as one of names, which is what the check calls."""

    def forward(**tensors: Any) -> Any:
        return func(*(tensors[n] for n in names if n in tensors))

    forward.__name__ = getattr(func, "__name__", type(func).__name__)
    forward.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names]
    )
    return forward
