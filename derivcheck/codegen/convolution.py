"""Convolutions: sums of products at positions ``s·i + u − p``, through ``torch.conv`` and its transpose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from derivcheck.codegen.graph import Value
from derivcheck.notation.sizes import Index
from derivcheck.notation.terms import Bracket, Term

if TYPE_CHECKING:
    from derivcheck.codegen.lower import Lowering


def convolution(low: Lowering, indices: Sequence[Index], number: Term, brackets: Sequence[Bracket], rest: Sequence[Term]) -> Value | None:
    """The sum as a convolution, where it is one."""
    return None
