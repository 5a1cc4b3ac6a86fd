"""What people really write: derived once with symbolic sizes, right at sizes that were not traced."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

import derivcheck as dc
from derivcheck.notation.text.dims import parse_dims
from tests.real.functions import CASES, Case


def tensors(case: Case, sizes: dict[str, int], seed: int) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    found = {}
    for name, text in case.dims.items():
        shape = tuple(p.at(sizes) for p in parse_dims(text))
        x = torch.rand(shape, generator=g, dtype=torch.float64)
        found[name] = x * 0.8 + 0.1 if name in case.positive else x * 2 - 0.9
    return found


def hold_against_autograd(run: Any, data: dict[str, torch.Tensor], reference: Any) -> None:
    """Value and gradients of the generated code equal torch's own."""
    leaves = {k: v.clone().requires_grad_() for k, v in data.items()}
    out = reference(leaves)
    outs = list(out) if isinstance(out, tuple) else [out]
    torch.manual_seed(3)
    ups = [torch.randn_like(o) for o in outs]
    want = torch.autograd.grad(outs, list(leaves.values()), ups, allow_unused=True)
    value, grads = run(**data, grad_output=ups[0] if len(ups) == 1 else tuple(ups))
    for have, o in zip(value if isinstance(out, tuple) else [value], outs, strict=True):
        torch.testing.assert_close(have, o.detach(), rtol=1e-10, atol=1e-10)
    for (name, x), w in zip(leaves.items(), want, strict=True):
        right = torch.zeros_like(x) if w is None else w
        torch.testing.assert_close(grads[name], right, rtol=1e-8, atol=1e-10, msg=partial("{}: {}".format, name))


@pytest.mark.parametrize("name", CASES)
def test_one_derivation_is_right_at_every_size(name: str) -> None:
    case = CASES[name]
    run = dc.derive(case.f, dims=case.dims, constants=case.constants or None).compile()
    for seed, sizes in enumerate(case.sizes):
        hold_against_autograd(run, tensors(case, sizes, seed), lambda leaves: case.f(**leaves))


MODULES: dict[str, tuple[Callable[[int], nn.Module], Callable[[int], torch.Tensor]]] = {
    "transformer encoder layer": (
        lambda k: nn.TransformerEncoderLayer(4 * k, 2, 3 * k + 1, dropout=0.0, batch_first=True),
        lambda k: torch.randn(k, k + 2, 4 * k, dtype=torch.float64),
    ),
    "lstm": (
        lambda k: nn.LSTM(k + 2, 2 * k + 1, batch_first=True),
        lambda k: torch.randn(k, k + 3, k + 2, dtype=torch.float64),
    ),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_derived_once_is_right_at_other_sizes(name: str) -> None:
    make, data = MODULES[name]
    torch.manual_seed(0)
    run = dc.derive(make(2).double(), data(2)).compile()
    for k in (1, 3, 4):
        torch.manual_seed(k)
        module = make(k).double()
        parameters = {n.replace(".", "_"): n for n, _ in module.named_parameters()}
        values = {n: module.get_parameter(own).detach() for n, own in parameters.items()}
        first = "src" if "transformer" in name else "input"

        def reference(
            leaves: dict[str, torch.Tensor],
            module: nn.Module = module,
            parameters: dict[str, str] = parameters,
            first: str = first,
        ) -> Any:
            given = {own: leaves[n] for n, own in parameters.items()}
            out = torch.func.functional_call(module, given, (leaves[first],))
            return (out[0], *out[1]) if isinstance(out, tuple) else out

        def flat(module_run: Any = run, **given: Any) -> Any:
            value, grads = module_run(**given)
            return ((value[0], *value[1]) if isinstance(value, tuple) and isinstance(value[1], tuple) else value), grads

        hold_against_autograd(flat, {first: data(k), **values}, reference)
