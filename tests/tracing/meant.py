"""Whether a traced Program means what the torch code computes, at sizes that were not traced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from derivcheck.notation.values.evaluator import evaluate
from derivcheck.tracing.trace import Traced


def same(traced: Traced, code: Callable[..., Any], tensors: Mapping[str, torch.Tensor]) -> None:
    """Assert that the Program on these tensors gives what ``code(**tensors)`` gives."""
    wanted = code(**tensors)
    leaves = [t for t in torch.utils._pytree.tree_leaves(wanted) if isinstance(t, torch.Tensor)]
    values = {n: t.detach().numpy() for n, t in {**traced.values, **tensors}.items() if n in traced.program.inputs}
    found = evaluate(traced.program, values)
    assert len(traced.program.outputs) == len(leaves)
    for name, want in zip(traced.program.outputs, leaves):
        np.testing.assert_allclose(
            np.asarray(found[name], dtype=float), want.detach().double().numpy(), rtol=1e-6, atol=1e-9, err_msg=name
        )


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    """Random float64 numbers."""
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + 31 * len(shape) + sum(shape)))
