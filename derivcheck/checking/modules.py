"""A whole model: each submodule that has a backward of its own, on the activations that really reach it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from derivcheck.checking.arithmetic.pairs import type_name
from derivcheck.checking.report.report import Report
from derivcheck.checking.report.row import Row
from derivcheck.checking.subject.outputs import flat
from derivcheck.errors import InputError
from derivcheck.tracing.program.copies import module_copy


def check_modules(
    model: torch.nn.Module,
    inputs: Mapping[str, Any],
    check: Callable[..., Report],
    dtype: torch.dtype,
    device: str | torch.device,
    seed: int,
) -> Report:
    """Check every submodule that has an ``autograd.Function`` or a backward hook of its own.

    Args:
        check: :func:`~derivcheck.checking.check.check` as it is asked of each.

    Returns:
        One report, a row per module and gradient (``blocks.1.norm: weight``).

    Raises:
        InputError: not a module, or no submodule has a backward of its own.
    """
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"per_module=True takes a module; found {type(model).__name__}")
    work = module_copy(model).to(device).to(dtype)
    reached: dict[str, tuple[dict[str, Any], Any]] = {}
    hooks = []
    for name, module in work.named_modules():
        hooks.append(module.register_forward_hook(_keep(name, reached), with_kwargs=True))
    args = [
        v.detach().to(device, dtype) if isinstance(v, torch.Tensor) and v.is_floating_point() else v for v in inputs.values()
    ]
    args = [v.requires_grad_() if isinstance(v, torch.Tensor) and v.is_floating_point() else v for v in args]
    with torch.enable_grad():
        work(*args)
    for h in hooks:
        h.remove()
    rows: list[Row] = []
    notes: list[str] = []
    limits: list[str] = []
    taken: dict[str, str] = {}
    chosen = [n for n in reached if _own(n, work.get_submodule(n), reached)]
    if not chosen:
        raise InputError(
            f"no submodule of {type(model).__name__} has a backward of its own (an autograd.Function or a backward hook)"
        )
    for name in chosen:
        values, _ = reached[name]
        given = {n: v.detach() if isinstance(v, torch.Tensor) else v for n, v in values.items()}
        report = check(work.get_submodule(name), given, dtype=dtype, device=device, seed=seed)
        rows += [replace(row, name=f"{name}: {row.name}") if name else row for row in report]
        notes += [f"{name}: {n}" for n in report.notes if not n.startswith("held")]
        limits += [f"{name}: {n}" for n in report.limits]
        taken |= {f"{name}: {side}": by for side, by in report.reached.items()}
    kind = type_name(dtype)
    return Report(type(model).__name__, rows, kind, str(device), seed, {}, notes, limits, taken)


def _keep(name: str, reached: dict[str, tuple[dict[str, Any], Any]]) -> Any:
    def hook(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        if name not in reached:
            names = list(inspect.signature(module.forward).parameters)
            reached[name] = ({**dict(zip(names, args)), **kwargs}, out)

    return hook


def _own(name: str, module: torch.nn.Module, reached: Mapping[str, tuple[dict[str, Any], Any]]) -> bool:
    """Whether the module itself, not a submodule of it, runs an autograd.Function or has a backward hook."""
    if module._backward_hooks or module._backward_pre_hooks:
        return True
    values, out = reached[name]
    stops = {t.grad_fn for t in flat(values) if t.grad_fn is not None}
    for child, (_, inner) in reached.items():
        if child != name and (child.startswith(f"{name}.") if name else child):
            stops |= {t.grad_fn for t in flat(inner) if t.grad_fn is not None}
    starts = [t.grad_fn for t in flat(out) if t.grad_fn is not None and t.grad_fn not in stops]
    return any(isinstance(node, torch.autograd.function.BackwardCFunction) for node in _nodes(starts, stops))


def _nodes(starts: list[Any], stops: set[Any]) -> Iterator[Any]:
    """The nodes of autograd's graph between some starts and stops, each once."""
    seen = set(stops)
    stack = list(starts)
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        stack.extend(n for n, _ in node.next_functions)
