"""A sum of a product, as the rules for such sums are asked about it."""

from __future__ import annotations

from dataclasses import dataclass

from derivcheck.notation.integers.polynomials import Index
from derivcheck.notation.terms.nodes import Bracket, Term


@dataclass(frozen=True)
class SummedProduct:
    """``Σ_bound number · Π brackets · Π factors``; bound are the indices that run, those of loops around it left out."""

    bound: tuple[Index, ...]
    number: Term
    brackets: tuple[Bracket, ...]
    factors: tuple[Term, ...]
