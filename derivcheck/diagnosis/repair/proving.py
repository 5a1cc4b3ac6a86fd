"""Whether the backward, as its code now runs, is the gradient for every size."""

from __future__ import annotations

from derivcheck.diagnosis.repair.clock import clock
from derivcheck.diagnosis.repair.subject import Backward
from derivcheck.errors import DerivcheckError
from derivcheck.held import with_held
from derivcheck.proof.prove import prove_programs

SECONDS = 1.5
PATIENT = 20.0  # where nobody waits, what is proved does not hang on the machine


def proved(backward: Backward) -> tuple[str, ...] | None:
    """The conditions of a proof, or None where there is none."""
    found = backward.everywhere
    if found is None or backward.d.fixed:  # a proof would speak of these sizes alone
        return None
    seconds = PATIENT if clock.step else SECONDS
    try:
        forward, adjoint, claim, _ = with_held(backward.d, found.program, found.values)
        proof = prove_programs(forward, adjoint, claim, outputs=dict(found.outputs), time_limit=seconds)
    except (DerivcheckError, ArithmeticError, KeyError, ValueError, RecursionError):
        return None
    return tuple(proof.conditions) if proof.status == "proved" else None
