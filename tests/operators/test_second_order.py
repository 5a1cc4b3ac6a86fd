"""The sweep taken twice: gradients of gradients equal torch's double backward, for a fixed third of the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from derivcheck.derivation.sweep import adjoint
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.operators.language.row import rows
from tests.operators.rows_on_numbers import Case, arrays, case, fits, sizes_of


def first_samples() -> list[Any]:
    found = {}
    for name, r in rows().items():
        chosen = next((s for s in r.samples if fits(name, s)), None) if name.startswith("aten.") and not r.refused else None
        if chosen is not None and r.means not in found:
            found[r.means] = pytest.param(r, name, chosen, id=name[5:])
    return list(found.values())[::3]


def torch_twice(
    c: Case, wrt: list[str], vs: list[torch.Tensor], generator: torch.Generator
) -> tuple[Any, list[torch.Tensor]] | None:
    """torch's gradients of ``Σ v·gradient`` in the inputs and the upstream gradients, and these; None where it has none."""
    outs = [o for o in c.outputs if o.is_floating_point()]
    ups = [torch.randn(o.shape, generator=generator, dtype=o.dtype).requires_grad_() for o in outs]
    live = [(o, u) for o, u in zip(outs, ups, strict=True) if o.requires_grad]
    inputs = [c.inputs[k] for k in wrt]
    if not live or not inputs:
        return None
    try:
        grads = torch.autograd.grad([o for o, _ in live], inputs, [u for _, u in live], allow_unused=True, create_graph=True)
        parts = [(g * v).sum() for g, v in zip(grads, vs, strict=True) if g is not None and g.requires_grad]
        return (torch.autograd.grad(sum(parts), [*inputs, *ups], allow_unused=True), ups) if parts else None
    except RuntimeError as e:
        if "is not implemented" in str(e) or "does not require grad" in str(e):
            return None
        raise


@pytest.mark.parametrize("row, name, sample", first_samples())
def test_gradients_of_gradients(row: Any, name: str, sample: Any) -> None:
    c = case(row, name, sample)
    wrt = [k for k, v in c.inputs.items() if v.requires_grad]
    generator = torch.Generator().manual_seed(1)
    vs = [torch.randn(c.inputs[k].shape, generator=generator, dtype=torch.float64) for k in wrt]
    found = torch_twice(c, wrt, vs, generator)
    if found is None:
        return  # torch has no second derivative to hold ours against
    wanted, ups = found
    back = adjoint(c.program, wrt)
    upstream = [a.name for a in back.arguments if a.role == "upstream"]
    twice = adjoint(back, [*wrt, *upstream])
    given = arrays(c) | {k: u.detach().numpy() for k, u in zip(upstream, ups, strict=True)}
    seconds = [a.name for a in twice.arguments if a.name not in given]
    given |= {k: v.numpy() for k, v in zip(seconds, vs, strict=True)}
    derived = evaluate(twice, given, sizes_of(twice))
    for k, bar, w in zip([*wrt, *upstream], twice.outputs, wanted, strict=True):
        expected = np.zeros(derived[bar].shape) if w is None else w.numpy(force=True)
        np.testing.assert_allclose(derived[bar], expected, rtol=max(sample.rtol, 1e-7), atol=1e-9, err_msg=f"{k}\n{back}")
