"""The normal forms of the definitions of both sides, in one mode, with the lemmas and invariants that are known."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from derivcheck.notation.integers.polynomials import Index, PolyLike, i_poly
from derivcheck.notation.program.recurrence import RecurrencePlan, loop
from derivcheck.notation.terms.substitute import rename
from derivcheck.proof.claims.lemmas import Lemma, long_indices
from derivcheck.proof.claims.sides import Sides
from derivcheck.proof.expressions.atoms import Element, Expression
from derivcheck.proof.expressions.context import Context
from derivcheck.proof.expressions.polynomials import elements_in, minus
from derivcheck.proof.normal_form.brackets import least
from derivcheck.proof.normal_form.normal import of_term
from derivcheck.proof.normal_form.products import times
from derivcheck.proof.normal_form.substitution import inlined, moved
from derivcheck.proof.normal_form.vanishing import vanishes


class Forms:
    """The normal forms of one mode.

    Attributes:
        lemmas: the definitions of the claim that were proved equal to one of the derivation; they grow.
        alias: the same of integer definitions, by name.
        invariants: what recurrences always are, as far as it was proved.
        running: of recurrences that were looked at as running sums, the sum, or None.
        proves: whether something was proved with it.
        plain: the forms of the plainest mode.
    """

    def __init__(
        self,
        sides: Sides,
        context: Context,
        lemmas: Mapping[str, Lemma],
        alias: Mapping[str, str],
        plain: Forms | None = None,
    ) -> None:
        """No normal form yet; without ``plain`` these are the plain ones themselves."""
        self.sides, self.context, self.lemmas, self.alias = sides, context, lemmas, alias
        self.plain = plain or self
        self.invariants: dict[str, Expression] = {}
        self.running: dict[str, Expression | None] = {}
        self.proves = False
        self._forms: dict[str, Expression] = {}
        self._grounded: dict[str, bool] = {}

    def afresh(self) -> Forms:
        """The same with nothing made yet, for what holds in one case alone."""
        return Forms(self.sides, self.context, self.lemmas, self.alias, self.plain)

    def form(self, name: str) -> Expression:
        """The normal form of a definition, over its own indices, with lemmas used."""
        found = self._forms.get(name)
        if found is None:
            term = rename(self.sides.definitions[name].term, self.alias)
            found = self._forms[name] = self.known(of_term(self.context, term))
        return found

    def known(self, u: Expression) -> Expression:
        """An expression with what is known used: invariants, and lemmas for definitions of the claim."""
        here = elements_in(u)
        u = self.inlined(u, {n: v for n, v in self.invariants.items() if n in here})
        element = self.context.one
        used = elements_in(u) & self.lemmas.keys()
        return self.inlined(u, {n: element(Element, self.lemmas[n].target.name, self.lemmas[n].at) for n in used})

    def inlined(self, u: Expression, values: Mapping[str, Expression]) -> Expression:
        """An expression with definitions replaced by values over their own indices."""
        meanings = {n: (self.sides.definitions[n].indices, v) for n, v in values.items()}
        return inlined(self.context, u, meanings) if values else u

    def written_out(self, u: Expression, name: str) -> Expression:
        """An expression with one name written out."""
        return self.known(self.inlined(u, {name: self.form(name)}))

    def over(self, name: str, indices: tuple[Index, ...]) -> Expression:
        """A definition or an input, over the given indices."""
        if name not in self.sides.definitions:
            return self.context.element(name, tuple(i_poly(i) for i in indices))
        return self.reindexed(self.form(name), self.sides.definitions[name].indices, indices)

    def reindexed(self, u: Expression, old: tuple[Index, ...], new: tuple[Index, ...]) -> Expression:
        """An expression over other indices; those of size 1 are 0."""
        moves: dict[Index, PolyLike] = {i: 0 for i in (*old, *new) if i.size.constant == 1}
        moves.update({a: i_poly(b) for a, b in zip(long_indices(old), long_indices(new)) if a is not b})
        return moved(self.context, u, moves) if moves else u

    def difference(self, claim: str, target: str) -> Expression:
        """claim − target; against a recurrence, by induction, what the claim makes of its step."""
        indices = self.sides.indices(target)
        left, right = self.over(claim, indices), self.over(target, indices)
        if self.sides.recurrent(target) and not self.sides.recurrent(claim) and self.grounded(target):
            self.context.used("induction")
            right = self.inlined(right, {target: left})
        return self.known(minus(left, right))

    def emptied(self, difference: Expression, names: Collection[str] | None = None) -> tuple[list[str], Expression]:
        """Write out the claim's names and these (None: all) until nothing is left, or nothing can be written out.

        Returns:
            The names that were written out, and what is left.
        """
        opened: list[str] = []
        while not vanishes(self.context, difference):
            name = self.next_name(difference, names)
            if name is None:
                return opened, difference
            opened.append(name)
            difference = self.written_out(difference, name)
        return opened, {}

    def next_name(self, difference: Expression, names: Collection[str] | None = None) -> str | None:
        """The name that is written out next, of the claim's and these (None: all)."""
        sides = self.sides
        plain = (n for n in elements_in(difference) if n in sides.definitions and not sides.recurrent(n))
        open_ = (n for n in plain if names is None or n in names or n not in sides.derived)
        return max(open_, key=sides.order.__getitem__, default=None)

    def left(self, difference: Expression) -> Expression:
        """What is left of a difference with every name written out."""
        return self.emptied(difference)[1]

    # -- recurrences ------------------------------------------------------------------
    def loop(self, name: str) -> RecurrencePlan:
        """How a recurrence that has one solution runs."""
        found = loop([self.sides.definitions[name]])
        assert found is not None
        return found

    def grounded(self, name: str) -> bool:
        """Whether the recurrence has one solution: it steps back by a constant, and never past its first place.

        Each reference to itself has to stand beside brackets that keep it inside; without them it says nothing.
        """
        if name not in self.plain._grounded:
            d = self.sides.definitions[name]
            self.plain._grounded[name] = loop([d]) is not None and self.plain._stays_inside(name, d.indices)
        return self.plain._grounded[name]

    def _stays_inside(self, name: str, indices: tuple[Index, ...]) -> bool:
        """Whether each reference of a recurrence to itself stands beside brackets that keep it inside."""
        for m in self.form(name):
            for a, _ in m:
                if name not in a.elements:
                    continue
                if not isinstance(a, Element):
                    return False
                for p, i in zip(a.at, indices):
                    if any(times(self.context, {m: 1}, least(self.context, end)) != {m: 1} for end in (p, i.size - 1 - p)):
                        return False
        return True

    def recurrences(self, u: Expression) -> list[str]:
        """The recurrences in an expression that have one solution."""
        return [n for n in sorted(elements_in(u)) if self.sides.recurrent(n) and self.grounded(n)]
