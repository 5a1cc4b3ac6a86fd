"""The domain of the forward, which a proof assumes and says: where it takes ``log p[n]``, p is above 0.

So ``log(p/q)`` is ``log p − log q`` there.  What a mask may leave out tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import permutations

from derivcheck.notation.program.domains import runs_over, surely_above_zero
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Ref, Term
from derivcheck.notation.terms.substitute import inline
from derivcheck.proof.expressions.atoms import Base, Element, Expression
from derivcheck.proof.expressions.context import Context
from derivcheck.proof.expressions.polynomials import free_in
from derivcheck.proof.normal_form.normal import of_term
from derivcheck.proof.normal_form.substitution import renamed

INDICES = 3  # of an expression that is looked for
ROUNDS = 12  # definitions that are written out, one inside another


class Domain:
    """What is above 0 wherever a Program is defined: tensors by name, and expressions."""

    def __init__(self, program: Program) -> None:
        self.program = program

    @cached_property
    def _above(self) -> tuple[set[str], dict[Term, None]]:
        """Everything above 0, also what its definitions say of others; most proofs do not ask."""
        program = self.program
        needed = program.needed(program.outputs)
        known = {d.name: (d.indices, d.term) for d in needed.definitions if not d.recurrent}
        dims = {n: program.dims(n) for n in program.names}
        names, terms = set[str](), dict[Term, None]()
        for t in surely_above_zero(program):
            for _ in range(ROUNDS):
                if isinstance(t, Ref) and runs_over(t, dims.get(t.name, ())):
                    names.add(t.name)
                elif not isinstance(t, Ref):
                    terms[t] = None
                inner = inline(t, known)
                if inner is t:
                    break
                t = inner
        return names, terms

    def sign(self, context: Context, a: Element | Base) -> int:
        """1 where the atom, an element or a sum, is surely above 0; −1 where it is surely below; 0 where that is not known."""
        if isinstance(a, Element):
            return int(a.name in self._above[0])
        u = dict(a.terms)
        for v in self._expressions(context, u):
            if v == u:
                return 1
            if v == {m: -c for m, c in u.items()}:
                return -1
        return 0

    def _expressions(self, context: Context, u: Expression) -> Iterator[Expression]:
        """The expressions above 0, over the indices of u."""
        free = sorted(free_in(u), key=lambda i: i.key)
        if len(free) > INDICES:
            return
        for t in self._above[1]:
            own = sorted(t.free, key=lambda i: i.key)
            if len(own) != len(free) or t.names.isdisjoint(n for m in u for b, _ in m for n in b.names):
                continue
            v = of_term(context, t)
            for order in permutations(free) if len(v) == len(u) else ():
                if all(i.size is j.size for i, j in zip(own, order)):
                    yield renamed(context, v, dict(zip(own, order)))
