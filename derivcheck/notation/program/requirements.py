"""What must hold of the sizes for a Program to mean what it was derived from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from derivcheck.notation.integers.atoms import Applied, Extreme, surely_within
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Poly, as_poly
from derivcheck.notation.integers.relations import FLIPPED, RELATIONS


@dataclass(frozen=True)
class Requirement:
    """``left relation right``: what must hold of the sizes for a Program to mean what it was derived from.

    >>> from derivcheck.notation.integers.polynomials import as_poly, size
    >>> needs = Requirement(size("N"), ">=", as_poly(3))
    >>> str(needs), needs.holds({"N": 2})
    ('N >= 3', False)
    """

    left: Poly
    relation: str
    right: Poly

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """Whether it holds at these sizes."""
        return bool(RELATIONS[self.relation](self.left.at(sizes), self.right.at(sizes)))

    @property
    def always(self) -> bool:
        """Whether it surely holds where every size is at least 1."""
        return self.at_every_size(1)

    def at_every_size(self, least: int) -> bool:
        """Whether it surely holds where every size is at least ``least``."""
        gap = {">": self.left - self.right - 1, ">=": self.left - self.right, "<": self.right - self.left - 1}
        gap |= {"<=": self.right - self.left, "!=": self.left - self.right - 1, "==": as_poly(-1)}
        within = self.relation == ">=" and surely_within(self.right, self.left, least)
        return (
            within
            or self.relation == "<="
            and surely_within(self.left, self.right, least)
            or nonnegative(gap[self.relation], least)
        )

    def implied(self, others: Iterable[Requirement]) -> bool:
        """Whether ``left >= right`` surely holds where one of the others does.

        >>> from derivcheck.notation.integers.polynomials import as_poly, size
        >>> Requirement(size("N"), ">=", as_poly(1)).implied([Requirement(size("N"), ">=", as_poly(2))])
        True
        """
        gap = self.left - self.right
        return self.relation == ">=" and any(r.relation == ">=" and nonnegative(gap - r.left + r.right, 0) for r in others)

    def __str__(self) -> str:
        return f"{self.left} {self.relation} {self.right}"


def simplest(needs: Requirement) -> Requirement:
    """``min(a, b) == a`` as ``a <= b``; a number on the right.

    >>> from derivcheck.notation.integers.polynomials import as_poly, size
    >>> from derivcheck.notation.integers.atoms import extreme
    >>> print(simplest(Requirement(extreme("min", size("N"), 4), "==", as_poly(4))))
    N >= 4
    >>> print(simplest(Requirement(-size("M"), ">", -size("N"))))
    M < N
    """
    for one, other in ((needs.left, needs.right), (needs.right, needs.left)):
        atom = one.atom
        if not isinstance(atom, Extreme) or isinstance(atom, Applied):
            continue
        if needs.relation == "==" and len(atom.args) == 2 and other in atom.args:
            rest = atom.args[1] if atom.args[0] is other else atom.args[0]
            return simplest(Requirement(rest, ">=" if atom.kind == "min" else "<=", other))
    if needs.right.constant == 0 and any(c > 0 for _, c in needs.left.terms):
        taken = Poly((m, -c) for m, c in needs.left.terms if c < 0)
        needs = Requirement(needs.left + taken, needs.relation, taken)
    if all(c < 0 for p in (needs.left, needs.right) for _, c in p.terms):
        needs = Requirement(-needs.left, FLIPPED[needs.relation], -needs.right)
    if needs.left.constant is not None and needs.right.constant is None:
        return Requirement(needs.right, FLIPPED[needs.relation], needs.left)
    return needs
