"""Rows over whole tensors at edge data, against torch.

The first sample of each meaning runs in ``make test``; DERIVCHECK_EDGES=all (``make edges``) takes every sample of every
overload, and each tensor alone.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import torch

from tests.operators.edge_fills import Off, filled, off, swept, wholes
from tests.operators.said_of_tensors import FILLED

EVERY = os.environ.get("DERIVCHECK_EDGES") == "all"


def unsaid(found: list[Off]) -> list[Off]:
    """Numbers that are not torch's and that no line of the page says."""
    return [o for o in found if not any(f.covers(o.operator, o.fill, o.what) for f in FILLED)]


def test_every_number_that_is_not_torchs_is_said_and_every_line_is_met():
    found = list(swept(wholes(EVERY), EVERY))
    assert not unsaid(found)
    idle = [f for f in FILLED if EVERY >= f.every and not any(f.covers(o.operator, o.fill, o.what) for o in found)]
    assert not idle


def test_a_leak_is_found():
    """A one-hot matrix times infinity."""
    k, pooling = next((k, w) for k, w in wholes(False) if w.row.name == "adaptive_avg_pool1d")
    weight = torch.zeros(3, 8, dtype=torch.float64)
    weight[0, :3], weight[1, 2:6], weight[2, 5:] = 1 / 3, 1 / 4, 1 / 3

    def leaking(x0: torch.Tensor, grad_output: torch.Tensor) -> Any:
        return x0 @ weight.mT, {"x0": grad_output @ weight}

    wrong = replace(pooling, run=leaking)
    assert not off(k, wrong, "ones", filled(wrong, "ones"), infinite=False)
    assert unsaid(off(k, wrong, "inf", filled(wrong, "inf"), infinite=True))
