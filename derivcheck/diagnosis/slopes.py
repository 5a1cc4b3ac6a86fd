"""The derivative of a scalar function, taken once more: the gradient of a loss of logits has the sigmoid's in it already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from derivcheck.derivation.scalar import derivative
from derivcheck.diagnosis.guess import Example, Guess, edited, place, short
from derivcheck.diagnosis.scene import Scene, backward_definitions
from derivcheck.errors import DerivcheckError
from derivcheck.notation.functions.table import functions
from derivcheck.notation.integers.polynomials import Index, Poly, i_poly
from derivcheck.notation.terms.build import add, mul
from derivcheck.notation.terms.nodes import Func, Number, Term
from derivcheck.notation.terms.substitute import substitute
from derivcheck.notation.terms.walk import subterms

EXAMPLE = Example(
    forward="L := -sum(n, d: t[n,d]*logsigmoid(x[n,d]) + (1 - t[n,d])*logsigmoid(-x[n,d]))",
    dims={"x": "N D", "t": "N D"},
    parameter="x",
    right="x_bar[n,d] := grad_output*(sigmoid(x[n,d]) - t[n,d])",
    wrong="x_bar[n,d] := grad_output*(sigmoid(x[n,d]) - t[n,d])*sigmoid(x[n,d])*(1 - sigmoid(x[n,d]))",
    says="derivative of sigmoid",
)


def slopes(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """Every path of the chain rule times the derivative of every function that stands in the forward or the backward."""
    found = list(_derivatives(scene))
    for d in backward_definitions(scene.program, scene.case.forward):
        for node, slope in found:
            there = _moved(slope, d.indices)
            if there is None:
                continue
            words = f"the derivative of {node} comes in once more{place(scene, d)}: an extra factor {short(there)}"
            yield edited("factor", words, {d.name: mul(d.term, there)})
            for k, path in enumerate(d.paths if len(d.paths) > 1 else ()):
                terms = (mul(p.term, there) if j == k else p.term for j, p in enumerate(d.paths))
                yield edited("factor", f"{words}, in the path through {path.through}", {d.name: add(*terms)})


def _derivatives(scene: Scene) -> Iterator[tuple[Func, Term]]:
    """The functions of one argument, with their derivatives."""
    nodes = dict.fromkeys(
        t for d in scene.full.definitions if d.kind == "float" for t in subterms(d.term) if isinstance(t, Func) and t.free
    )
    for node in nodes:
        if functions()[node.name].arity == 1 and node.name in ("floor", "ceil", "trunc", "round"):
            continue
        try:
            slope = derivative(node, 0)
        except DerivcheckError:
            continue
        if not isinstance(slope, Number):
            yield node, slope


def _moved(term: Term, to: Sequence[Index]) -> Term | None:
    """A term over other indices of the same sizes, in order; None where one has no place."""
    moves: dict[Index, Poly] = {}
    left = [i for i in to if i not in term.free]
    for i in sorted(term.free - set(to), key=lambda i: i.key):
        place = next((j for j in left if j.size is i.size), None)
        if place is None:
            return None
        left.remove(place)
        moves[i] = i_poly(place)
    return substitute(term, moves)
