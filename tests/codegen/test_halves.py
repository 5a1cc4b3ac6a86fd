"""What a Function's forward hands on to its backward."""

from __future__ import annotations

import re

import torch
import torch.nn.functional as F

import derivcheck as dc
from derivcheck.codegen.file.halves import halves


def best(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return F.scaled_dot_product_attention(q, k, v).amax(0)


def test_what_is_held_against_its_own_maximum_is_not_computed_again() -> None:
    """Computed in another way it has other last digits, and nothing would be equal to the maximum any more."""
    d = dc.derive(best, dims={"q": "T D", "k": "S D", "v": "S E"})
    text = halves(d.program, d.adjoint, d.wrt)
    (compared,) = re.findall(r"torch\.where\((\w+) == ", text.gradients)
    assert "P = torch.softmax" in text.gradients, "the probabilities are computed again"
    assert compared in text.saved and f"    {compared} = " not in text.gradients
