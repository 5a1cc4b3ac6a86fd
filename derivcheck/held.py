"""The tensors that forward and backward hold themselves, in a proof: a name is one tensor, and small ones are their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from derivcheck.derived import Derivation
from derivcheck.errors import InputError
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.tables import tabled
from derivcheck.proof.report.proof import Proof
from derivcheck.tracing.watching.rational import exact

LARGEST = 64  # elements of which each is written down


def with_held(d: Derivation, claimed: Program, held: Mapping[str, Any]) -> tuple[Program, Program, Program, tuple[str, ...]]:
    """Forward, adjoint and claim in which equal names are equal tensors.

    What the forward's code holds is written out as its numbers where it is small; of a larger one only the name stands for
    it, so that a proof holds for any numbers in its place.  A tensor of the backward's that equals one of the forward's is
    that one.

    Args:
        held: the tensors that the backward's code holds, by their names in the claim.

    Returns:
        The three Programs, and the names whose numbers the proof does not know.

    Raises:
        InputError: a large tensor of the backward's that is none of the forward's.
    """
    forward, adjoint = d.program, d.adjoint
    known = {n: torch.as_tensor(v) for n, v in d.values.items() if n in forward.inputs}
    own = {n for n in known if n in d.held or n not in d.wrt and forward.kind(n) != "float"}
    mine = {n: _numbers(t) for n, t in known.items() if n in own and t.numel() <= LARGEST}
    renamed: dict[str, str] = {}
    theirs: dict[str, Any] = {}
    taken = {x.name for x in claimed.definitions}  # a name that the claim gives to something else
    for n in claimed.inputs:
        if n not in held:
            continue
        t = torch.as_tensor(held[n])
        alike = (m for m, v in known.items() if m not in taken and claimed.kind(n) == forward.kind(m) and _equal(t, v))
        same = next(alike, None)
        if same is not None:
            renamed[n] = same
        elif t.numel() <= LARGEST:
            theirs[n] = _numbers(t)
        else:
            raise InputError(
                f"the backward holds {n}, a tensor of shape {tuple(t.shape)} that the forward does not have; "
                "give it to the forward too, or compute it from the inputs"
            )
    aside = {n: f"{n}_of_backward" for n in {*renamed, *theirs} if n != renamed.get(n)}  # two may exchange their names
    claimed = claimed.rename(aside).rename({aside[n]: renamed[n] for n in renamed if n in aside})
    claimed = tabled(claimed, {aside[n]: t for n, t in theirs.items()})
    return tabled(forward, mine), tabled(adjoint, mine), claimed, tuple(n for n in own if n not in mine)


def unrefuted(proof: Proof, names: tuple[str, ...]) -> Proof:
    """A refutation at other numbers than those that the code holds is none."""
    why = f"the example has other numbers in {', '.join(names)} than the code holds"
    shown = [p.status == "refuted" and not p.detail for p in proof.parts]
    parts = tuple(
        replace(p, status="undecided", detail=why, counterexample=None) if s else p for p, s in zip(proof.parts, shown)
    )
    return replace(proof, parts=parts, counterexample=None, tried=())


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    if a.shape != b.shape or a.dtype.is_floating_point != b.dtype.is_floating_point:
        return False
    return torch.equal(a.detach().double().cpu(), b.detach().double().cpu())


def _numbers(t: torch.Tensor) -> Any:
    """The elements as exact numbers."""
    values = t.detach().cpu()
    out = np.empty(tuple(t.shape), dtype=object)
    for at in np.ndindex(*out.shape):
        v = values[at].item()
        out[at] = exact(v) if isinstance(v, float) else int(v)
    return out
