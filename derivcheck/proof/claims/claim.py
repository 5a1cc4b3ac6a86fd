"""What a backward claims: which of its definitions is said to be which gradient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from derivcheck.derivation.meant import gradient_of, meant
from derivcheck.errors import InputError
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.domains import conditions
from derivcheck.notation.program.program import NO_TIES, NOT_TWICE, Program


@dataclass(frozen=True)
class Claim:
    """A gradient that is claimed: its public name, the definition that claims it, the definition that it should be."""

    name: str
    claim: str
    target: str


def claims(
    forward: Program,
    adjoint: Program,
    outputs: Mapping[str, str],
    names: Mapping[str, str],
) -> Iterator[Claim]:
    """The claims of a backward.

    Args:
        outputs: gradient name → the backward's definition of it, named as :mod:`derivcheck.derivation.meant` has it.
        names: what the backward's definitions are called here.

    Raises:
        InputError: a name that is not that of a gradient.
    """
    known = meant(forward, adjoint)
    for gradient, o in outputs.items():
        target = gradient_of(gradient, known, forward.names)
        if target is None:
            has = ", ".join(n for n in known if n in forward.names)
            raise InputError(f"{gradient!r} is not the name of a gradient here; the gradients are those of {has}")
        public = next((n for n, bar in known.items() if bar == target and n in forward.names), gradient)
        yield Claim(public, names.get(o, o), target)


def check_names(claimed: Program, inputs: Mapping[str, Input], known: Mapping[str, Definition]) -> None:
    """What the backward reads is there, in the dimensions that it says.

    Raises:
        InputError: an unknown name, or other dimensions.
    """
    have = {**{n: a.dims for n, a in inputs.items()}, **{n: d.dims for n, d in known.items()}}
    for a in claimed.arguments:
        if a.name not in have:
            raise InputError(f"the backward reads {a.name!r}, which the forward does not have; it has {', '.join(have)}")
        if a.dims != have[a.name]:
            found, wanted = (", ".join(map(str, dims)) for dims in (a.dims, have[a.name]))
            raise InputError(f"the backward reads {a.name} with dimensions ({found}); the forward has ({wanted})")


def assumed(claimed: Program, forward: Program) -> list[str]:
    """What the claim assumes of the data and the forward does not."""
    return [a for a in claimed.assumptions if a not in forward.assumptions]


def limited(claimed: Program, forward: Program, adjoint: Program) -> str:
    """Why a proof that a claim is the gradient is none where the forward is, or "".

    Torch code was traced in one branch alone; what divides by a bracket is not defined where that is 0; a scatter that does
    not accumulate is right where no two ids agree, and ids do agree, but for those that a sort gives.
    """
    ordered = NO_TIES in forward.assumptions and all(a.kind != "int" for a in forward.arguments)
    if NOT_TWICE in assumed(claimed, forward) and not ordered:
        return f"proved where {NOT_TWICE}, which the forward does not assume"
    cut = {c for c in _needs(claimed) if c.startswith("[") and c.endswith("] ≠ 0")}
    cut = cut.difference(_needs(forward), _needs(adjoint)) if cut else cut
    if cut:
        return f"proved where {' and '.join(sorted(cut))} alone: elsewhere it divides by 0"
    given = {(r.relation, r.left - r.right) for r in adjoint.requires}
    own = [r for r in claimed.requires if (r.relation, r.left - r.right) not in given and not r.always]
    if not own:
        return ""
    return f"proved where {' and '.join(map(str, own))}: at other sizes the backward runs other code"


def _needs(program: Program) -> tuple[str, ...]:
    """What must hold for a Program to be defined, in words."""
    return (*program.conditions, *conditions(program.definitions, {}))
