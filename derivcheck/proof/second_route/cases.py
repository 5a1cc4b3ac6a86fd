"""Case by case: what two sides are where each comparison in them has been decided.

``min``, ``max``, a clamp or a branch stands in a formula as brackets ``[u > 0]``; several, one inside another or below a line,
multiply.  At a fixed place (the free indices are renamed to ones that stand for it) a comparison in the inputs either holds or
does not: in each of the two cases it is 1 or 0 from the start, and the formula is one without it.  A case in which the
comparisons contradict each other is none.  Where ``u ≤ 0`` and ``−u ≤ 0`` leave ``u = 0``, a kink is left out, and said; where
it is none, u = 0 is solved for an element.

A name is written out at the fixed place alone: what is assumed there says nothing about the same name elsewhere, whose
indices are its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from fractions import Fraction

from derivcheck.notation.integers.polynomials import Index
from derivcheck.proof.claims.forms import Forms
from derivcheck.proof.expressions.atoms import Above, Element, Expression, ProofAtom
from derivcheck.proof.expressions.polynomials import free_in
from derivcheck.proof.normal_form.assumed import Assumed
from derivcheck.proof.normal_form.elements import each_element
from derivcheck.proof.normal_form.products import times
from derivcheck.proof.normal_form.signs import strictly
from derivcheck.proof.normal_form.substitution import comparisons, renamed, replaced, resettled
from derivcheck.proof.normal_form.vanishing import vanishes

MOST = 400  # cases that are looked at, those on the way to others too


Judge = Callable[[Forms, Expression], bool]


def vanishes_case_by_case(forms: Forms, difference: Expression, by_invariant: Judge) -> bool:
    """Whether a difference vanishes in every case of its comparisons, names written out as far as a case needs.

    Args:
        by_invariant: whether an expression vanishes because of what a recurrence in it always is.
    """
    every = _Cases(forms, by_invariant)
    parts = each_element(forms.context, difference)
    if not all(every.vanishes(forms, every.fixed(part), Assumed(), {}) for part in parts):
        return False
    forms.context.used("case by case")
    return True


class _Cases:
    """The cases of one difference.

    Attributes:
        left: how many more may be looked at.
        place: the indices of a fixed place, and which free ones they stand for.
    """

    def __init__(self, forms: Forms, by_invariant: Judge) -> None:
        self.context, self.by_invariant, self.left = forms.context, by_invariant, MOST
        self.place: dict[Index, Index] = {}

    def fixed(self, difference: Expression) -> Expression:
        """The difference at one place, whichever: over indices that stand in no definition."""
        there = {i: self.context.temporary(i.size) for i in free_in(difference)}
        self.place = {j: i for i, j in there.items()}
        self.context.top |= self.place.keys()
        return renamed(self.context, difference, there)

    def vanishes(self, forms: Forms, u: Expression, case: Assumed, equal: Mapping[ProofAtom, Expression]) -> bool:
        """Whether an expression vanishes in one case.

        Args:
            equal: elements of which the case says what they are.
        """
        self.left -= 1
        if self.left < 0:
            return False
        with self.context.assuming(case):
            forms, u = forms.afresh(), resettled(self.context, u)
            while True:
                u = replaced(self.context, u, equal) if equal else u
                compared = self._compared(forms, u)
                name = None if compared is not None else forms.next_name(u)
                if name is None:
                    break
                u = forms.written_out(u, name)
            if vanishes(self.context, u):
                return True
            if compared is not None:
                return all(self._decided(forms, u, compared, case, equal, truth) for truth in (True, False))
            known = forms.recurrences(u) and self.by_invariant(forms, renamed(self.context, u, self.place))
            return bool(known) or case.contradicts(self.context)

    def _decided(
        self,
        forms: Forms,
        u: Expression,
        compared: Expression,
        case: Assumed,
        equal: Mapping[ProofAtom, Expression],
        truth: bool,
    ) -> bool:
        """Whether an expression vanishes where a comparison holds, or where it does not."""
        inner = case.plus(self.context, compared, truth)
        if inner is None:
            return True
        if not inner.zero(compared):
            return self.vanishes(forms, u, inner, equal)
        same = self.context.meets(compared)
        if same is not None:
            self.context.leave_out(compared, same)
            if not same:
                return True
            u = times(self.context, same, u)
        return self.vanishes(forms, u, inner, {**equal, **self._solved(compared, equal)})

    def _compared(self, forms: Forms, u: Expression) -> Expression | None:
        """A comparison in the inputs at the fixed place: the one in most terms."""
        found = Counter(a for m in u for a in {c for b, _ in m if b.compares for c in comparisons(b)})
        open_ = (a for a in found if self._closed(forms, a))
        best = min(open_, key=lambda a: (-found[a], len(a.terms), a.signature), default=None)
        return None if best is None else dict(best.terms)

    def _closed(self, forms: Forms, a: Above) -> bool:
        """Whether a comparison is one at the fixed place, with none inside and no name to be written out."""
        names = (n for n in a.elements if n in forms.sides.definitions and not forms.sides.recurrent(n))
        return a.free <= self.place.keys() and next(names, None) is None and sum(1 for _ in comparisons(a)) == 1

    def _solved(self, zero: Expression, equal: Mapping[ProofAtom, Expression]) -> dict[ProofAtom, Expression]:
        """An expression that is 0, solved for an element; what is known of others with that used."""
        for m, c in zero.items():
            for a, e in m:
                rest = {n: k for n, k in zero.items() if n != m}
                held = (b for n in (*rest, m - {(a, e)}) for f, _ in n for b in f.elements_of(next(iter(a.elements), "")))
                if (
                    not isinstance(a, Element)
                    or e != 1
                    or a in held
                    or not all(f < 0 or strictly(b) for b, f in m if b is not a)
                ):
                    continue
                by: Expression = {frozenset((b, -f) for b, f in m if b is not a): Fraction(-1) / c}
                new: dict[ProofAtom, Expression] = {a: times(self.context, by, rest)}
                return {**{b: replaced(self.context, v, new) for b, v in equal.items()}, **new}
        return {}
