"""Is a hand-written backward the gradient, for every size?  On Programs; ``derivcheck.prove`` reads torch code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from derivcheck.notation.program.domains import partial
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import ONE
from derivcheck.notation.terms.dropped import listening
from derivcheck.notation.terms.nodes import Ref, Term
from derivcheck.notation.terms.substitute import transform
from derivcheck.proof.claims.constants import exact_constants
from derivcheck.proof.claims.integers import integers_of, written_out
from derivcheck.proof.claims.sides import two_sides
from derivcheck.proof.prover import Prover
from derivcheck.proof.report.proof import Proof


def prove_programs(
    forward: Program,
    adjoint: Program,
    claimed: Program,
    *,
    outputs: Mapping[str, str] | None = None,
    invariants: Program | None = None,
    time_limit: float = 5.0,
) -> Proof:
    """Whether the claimed gradients are those of the adjoint, for every size.

    Args:
        forward: the forward.
        adjoint: its gradient, as :func:`derivcheck.derivation.sweep.adjoint` derives it.
        claimed: definitions of gradients, over the names of the forward's inputs and definitions and its upstream
            gradient (1 where the output is a scalar and the claim does not read it).  An output ``x_bar`` or ``x``
            claims the gradient of ``x``; definitions' adjoints may be claimed too.
        outputs: gradient name → the claim's definition of it, where its outputs bear other names.
        invariants: definitions that say in closed form what recurrences of the claim, the forward or the adjoint are; each is
            proved before it is used.
        time_limit: seconds after which what is open is undecided.

    Raises:
        InputError: an output that names nothing that has a gradient, a claim that reads unknown names, or an invariant of
            what is no recurrence.

    >>> from derivcheck.derivation.sweep import adjoint
    >>> from derivcheck.notation.text.parse import parse_program
    >>> f = parse_program("L := sum(n: x[n]^2)", {"x": "N"})
    >>> b = parse_program("x_bar[n] := 2*x[n]*grad_output", {"x": "N", "grad_output": ""})
    >>> prove_programs(f, adjoint(f), b).status
    'proved'
    """
    read: dict[str, None] = {}
    ups = {a.name for a in adjoint.arguments if a.role == "upstream"}
    offered = invariants if invariants is not None else Program((), (), ())
    if forward.scalar and ups.isdisjoint((*claimed.inputs, *offered.inputs)):
        adjoint = _at_one(adjoint, ups)
        read[f"{', '.join(sorted(ups))} = 1, which the claim does not read"] = None
    exact: list[Program] = []
    below = {a.name: a.below for a in forward.arguments if a.below is not None}
    mine = integers_of((*forward.definitions, *adjoint.definitions))
    own = {d.name for d in claimed.definitions}
    theirs = {**{n: v for n, v in mine.items() if n not in own}, **integers_of(claimed.definitions)}
    for p, integers in ((forward, mine), (adjoint, mine), (claimed, theirs), (offered, theirs)):
        with listening() as heard:
            new, said = exact_constants(written_out(p, integers, below))
        more = partial(heard, {d.name: d for d in p.definitions})
        exact.append(replace(new, dropped=tuple(dict.fromkeys((*p.dropped, *more)))))
        read.update(dict.fromkeys(said))
    sides = two_sides(exact[0], exact[1], exact[2], outputs or {o: o for o in claimed.outputs})
    proof = Prover(sides, time_limit).run(exact[3])
    return replace(proof, conditions=(*read, *proof.conditions)) if read else proof


def _at_one(adjoint: Program, ups: set[str]) -> Program:
    """The gradient of a scalar, its upstream gradient being 1."""

    def change(t: Term) -> Term:
        return ONE if isinstance(t, Ref) and t.name in ups else t

    definitions = tuple(replace(d, term=transform(d.term, change)) for d in adjoint.definitions)
    return replace(adjoint, definitions=definitions, arguments=tuple(a for a in adjoint.arguments if a.name not in ups))
