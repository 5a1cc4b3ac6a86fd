"""``gradgradcheck`` with torch's signature: the gradient's own gradient, against the derived adjoint of the adjoint."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from derivcheck.checking.check import check
from derivcheck.checking.gradcheck import LINES, by_name
from derivcheck.checking.witnesses.fast import agrees, floats
from derivcheck.errors import GradientMismatch, InputError, UnsupportedOperation


def gradgradcheck(
    func: Callable[..., Any],
    inputs: torch.Tensor | Sequence[Any],
    grad_outputs: torch.Tensor | Sequence[torch.Tensor] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
    strict: bool = False,
    dims: Mapping[str, str] | None = None,
    where: str | None = None,
) -> bool:
    """The second derivatives that autograd gives through ``func``, behind the signature of ``torch.autograd.gradgradcheck``.

    The first order is checked too (:func:`~derivcheck.checking.check.check` with ``order=2``).  As there, the bound comes from
    the arithmetic, and ``eps``, ``atol``, ``rtol``, ``nondet_tol`` and ``fast_mode`` are accepted and not used.  Code whose
    gradient cannot be derived twice is compared with differences of its gradient, and a UserWarning says so.

    Args:
        func: a function of tensors, or ``SomeFunction.apply``.
        inputs: its arguments; the floating tensors that require a gradient are differentiated in.
        grad_outputs: the upstream gradient, one for each floating output; default random, and 1 for one number.
        dims, where: as :func:`~derivcheck.checking.check.check` takes them, by the names of func's parameters.
        strict: hold only where nothing is left open (``docs/verdicts.md``).

    Returns:
        True if the gradients and their gradients hold; else False, or GradientMismatch with ``raise_exception``.

    Raises:
        ValueError: no input requires a gradient (as torch's gradgradcheck).
        InputError: forward-mode or batched checks, which this does not do.
        UnsupportedOperation: a function that cannot be derived twice, and of which differences do not settle it, or with
            ``strict``.

    >>> gradgradcheck(torch.sin, torch.ones(3, dtype=torch.float64, requires_grad=True))
    True
    """
    if check_fwd_over_rev or check_batched_grad or not check_rev_over_rev:
        raise InputError("gradgradcheck here checks reverse over reverse; use torch.autograd.gradgradcheck for the other modes")
    f = by_name(func, inputs, "gradgradcheck")
    ups = [grad_outputs] if isinstance(grad_outputs, torch.Tensor) else None if grad_outputs is None else list(grad_outputs)
    flow = None if ups is None else ups[0] if len(ups) == 1 else tuple(ups)
    refused: UnsupportedOperation | None = None
    try:
        how: dict[str, Any] = {"dims": dims, "where": where, "strict": strict, "grad_output": flow}
        report = check(f.forward, f.named, wrt=f.wrt, dtype=f.dtype, device=f.device, order=2, **how)
        if not report.passed:
            if raise_exception:
                raise GradientMismatch(report)
            return False
        left = next((n for n in report.limits if n.startswith("double backward")), "")
    except UnsupportedOperation as e:
        left, refused = str(e), e
    if not left:
        return True
    if strict or not _agrees(func, f.args, f.wanted, ups):
        raise refused or UnsupportedOperation(f"the gradient of {getattr(func, '__name__', 'the function')}", left)
    warnings.warn(f"second derivatives were not derived: {left}; they agree with differences at the data given", stacklevel=2)
    return True


def _agrees(func: Callable[..., Any], args: Sequence[Any], wanted: Sequence[int], ups: Sequence[torch.Tensor] | None) -> bool:
    """Whether autograd's gradient of the gradient is what differences of the gradient say."""
    with torch.no_grad():
        outs = floats(func(*args))
    generator = torch.Generator().manual_seed(1)
    flow = [torch.randn(o.shape, generator=generator, dtype=torch.float64).to(o) for o in outs] if ups is None else list(ups)

    def gradients(*values: Any) -> tuple[torch.Tensor, ...]:
        """The gradient as a function of inputs and upstream gradients."""
        recorded = torch.is_grad_enabled()  # differences are taken of numbers alone
        with torch.enable_grad():
            own = [
                v if k not in wanted or v.requires_grad else v.detach().requires_grad_()
                for k, v in enumerate(values[: len(args)])
            ]
            pairs = [(o, g) for o, g in zip(floats(func(*own)), values[len(args) :]) if o.requires_grad]
            ends, given = [o for o, _ in pairs], [g for _, g in pairs]
            found = torch.autograd.grad(ends, [own[k] for k in wanted], given, create_graph=True, allow_unused=True)
        filled = (torch.zeros_like(own[k]) if g is None else g for k, g in zip(wanted, found))
        return tuple(g if recorded else g.detach() for g in filled)

    return agrees(gradients, [*args, *flow], [*wanted, *range(len(args), len(args) + len(flow))], lines=LINES)
