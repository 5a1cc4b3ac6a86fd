"""What a condition tells of whole numbers: polynomials that are at least 0 where it holds, and where it does not."""

from __future__ import annotations

from typing import Any

import torch

from derivcheck.notation.integers.polynomials import Poly

Facts = tuple[Poly, ...]


def told_by(op: str, d: Poly) -> tuple[Facts, Facts]:
    """What is at least 0 where ``d op 0`` holds, and where it does not."""
    if op == "<":
        return (-d - 1,), (d,)
    if op == ">=":
        return (d,), (-d - 1,)
    if op == ">":
        return (d - 1,), (-d,)
    if op == "<=":
        return (-d,), (d - 1,)
    return ((d, -d), ()) if op == "==" else ((), (d, -d))


def facts_of(t: Any) -> tuple[Facts, Facts]:
    """What is known where a condition holds, and where it does not."""
    found: tuple[Facts, Facts] = getattr(t, "_facts", ((), ()))
    return found


def with_facts(t: torch.Tensor, yes: Facts, no: Facts) -> torch.Tensor:
    """A condition, with what is known where it holds and where it does not."""
    if yes or no:
        t._facts = yes, no  # type: ignore[attr-defined]
    return t
