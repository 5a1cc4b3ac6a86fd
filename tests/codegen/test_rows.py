"""Every operator's row on its samples: the generated code gives torch's values and autograd's gradients.

Two samples per row run here (tests/operators holds all of them against the meaning), the first also with
torch's own call for the forward left out, so that what is generated from the terms is tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

from derivcheck.codegen.file.bands import banded
from derivcheck.codegen.file.load import load
from derivcheck.codegen.file.source import source
from derivcheck.codegen.file.variants import fused_source, lean_source
from derivcheck.derivation.sweep import adjoint
from derivcheck.layer.opaque import register
from derivcheck.notation.program.program import Program
from derivcheck.operators.language.row import rows
from tests.operators.rows_on_numbers import Case, case, fits

register()  # the operators that code for a compiler calls
NAMES = [n for n in rows() if n.startswith("aten.")]


def check(found: torch.Tensor, wanted: torch.Tensor, rtol: float, what: str) -> None:
    assert tuple(found.shape) == tuple(wanted.shape), what
    assert found.is_floating_point() == wanted.is_floating_point(), what
    if wanted.numel():
        np.testing.assert_allclose(found.double().numpy(), (wanted.detach() + 0).double().numpy(), rtol, 1e-11, err_msg=what)


def wanted_gradients(c: Case, wrt: list[str], ups: list[torch.Tensor], outs: list[torch.Tensor]) -> list[torch.Tensor] | None:
    live = [(o, u) for o, u in zip(outs, ups, strict=True) if o.requires_grad]
    if not live:
        return [torch.zeros_like(c.inputs[n]) for n in wrt]
    try:
        found = torch.autograd.grad(
            [o for o, _ in live], [c.inputs[n] for n in wrt], [u for _, u in live], allow_unused=True, retain_graph=True
        )
    except RuntimeError as e:
        if "is not implemented" not in str(e):
            raise
        return None
    return [torch.zeros_like(c.inputs[n]) if g is None else g for n, g in zip(wrt, found, strict=True)]


@pytest.fixture(autouse=True)
def _small_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(banded, "NUMBERS", 3)
    monkeypatch.setattr(banded, "COLUMNS", 1)


def held_others(p: Program, back: Program | None, wrt: list[str], given: dict[str, Any], wanted: Any) -> None:
    """The code for a compiler, and that which writes into its temporaries, give the same; what is given stays as it was."""
    others = [lean_source(p, back, wrt), lean_source(p, back, wrt, banded=True)]
    for text in [*others, fused_source(p, back, wrt)] if back is not None else others:
        before = {n: v.clone() for n, v in given.items()}
        for found, want in zip(tree_leaves(load(text)(**given)), tree_leaves(wanted), strict=True):
            torch.testing.assert_close(
                found, want, rtol=1e-9, atol=1e-11, equal_nan=True, msg=lambda m, text=text: f"{m}\n{text}"
            )
        for n, v in before.items():
            assert torch.equal(v.nan_to_num(), given[n].nan_to_num()), f"{n} was written into\n{text}"


def run(c: Case, rtol: float, spelled: bool) -> None:
    plain = tuple(d if spelled else replace(d, spelling=None) for d in c.program.definitions)
    p = replace(c.program, definitions=plain)
    wrt = [n for n, v in c.inputs.items() if v.requires_grad]
    outs = [o for o in c.outputs if o.is_floating_point()]
    back = adjoint(p, wrt) if outs and wrt else None
    text = source(p, back, wrt=wrt)
    generator = torch.Generator().manual_seed(1)
    ups = [torch.randn(o.shape, generator=generator, dtype=o.dtype) for o in outs]
    given: dict[str, Any] = {n: v.detach() for n, v in c.inputs.items()}
    if back is not None:
        given |= {"grad_output" if len(ups) == 1 else f"grad_output_{k}": u for k, u in enumerate(ups)}
    result = load(text)(**given)
    held_others(p, back, wrt, given, result)
    value, grads = result if back is not None else (result, {})
    values = (value,) if len(c.outputs) == 1 and p.structure == "auto" else value
    for v, o in zip(values, c.outputs, strict=True):
        check(v, o, rtol, f"value\n{p}\n{text}")
    wanted = wanted_gradients(c, wrt, ups, outs) if back is not None else None
    for n, w in zip(wrt, wanted or (), strict=False):
        check(grads[n], w, rtol, f"gradient of {n}\n{p}\n{text}")


def cases() -> Iterator[Any]:
    for at in range(0, len(NAMES), 12):
        yield pytest.param(NAMES[at : at + 12], id=f"{NAMES[at][5:]}...")


@pytest.mark.parametrize("names", list(cases()))
def test_rows(names):
    for name in names:
        row = rows()[name]
        samples = [s for s in row.samples if fits(name, s)]
        for k, sample in enumerate([*samples[:1], *samples[1:][-1:]]):
            c = case(row, name, sample)
            run(c, sample.rtol, spelled=True)
            if k == 0 and any(d.spelling is not None for d in c.program.definitions):
                run(c, sample.rtol, spelled=False)
