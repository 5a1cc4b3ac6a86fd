"""Comparisons in the inputs' own elements: ``[top[n] > 0]`` with ``top`` written out, so that equal ones are one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.brackets import bracket, opposite
from derivcheck.notation.terms.nodes import Bracket, Ref, Term
from derivcheck.notation.terms.substitute import inline, transform
from derivcheck.proof.claims.sides import Sides

LARGEST = 2_000  # parts of what is compared


def compared_in_inputs(sides: Sides) -> Sides:
    """The two sides with what they compare written out, as far as no recurrence or length is in the way."""
    writer = _Writer(sides.definitions)

    def changed(program: Program) -> Program:
        return replace(program, definitions=tuple(replace(d, term=writer.compared(d.term)) for d in program.definitions))

    return replace(sides, forward=changed(sides.forward), adjoint=changed(sides.adjoint), claimed=changed(sides.claimed))


class _Writer:
    def __init__(self, definitions: Mapping[str, Definition]) -> None:
        self.definitions = definitions
        self.truths = {n for n, d in definitions.items() if d.kind == "bool"}
        self.meanings: dict[str, Term | None] = {}
        self.lengths: dict[Term, int] = {}

    def compared(self, term: Term) -> Term:
        """A term with its comparisons of real numbers written out, and the names of comparisons by what they say."""

        def change(t: Term) -> Term:
            """A bracket that reads a truth value, as what that value was defined to say; as it is where that is not known."""
            if not isinstance(t, Bracket) or not isinstance(t.operand, Term):
                return t
            truth = t.operand
            if isinstance(truth, Ref) and truth.name in self.truths and t.relation in ("==", "!="):
                d = self.definitions[truth.name]
                found = self._meaning(d)
                said = None if found is None else inline(truth, {d.name: (d.indices, found)})
                return t if said is None else said if t.relation == "!=" else opposite(said)
            found = self._written(truth)
            return t if found is None else bracket(t.relation, found)

        return transform(term, change)

    def _written(self, t: Term) -> Term | None:
        """A term in the inputs; None where it becomes too long, or is made by a recurrence."""
        known = {}
        for n in t.names & self.definitions.keys():
            d = self.definitions[n]
            if d.kind != "float":
                continue
            found = self._meaning(d)
            if found is None:
                return None
            known[n] = d.indices, found
        t = inline(t, known) if known else t
        return t if self._length(t) <= LARGEST else None

    def _length(self, t: Term) -> int:
        """How long a term is, written out."""
        if t not in self.lengths:
            self.lengths[t] = 1 + sum(map(self._length, t.children))
        return self.lengths[t]

    def _meaning(self, d: Definition) -> Term | None:
        if d.name not in self.meanings:
            self.meanings[d.name] = None if d.recurrent else self._written(self.compared(d.term))
        return self.meanings[d.name]
