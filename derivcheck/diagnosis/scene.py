"""A case on arrays, with what the hypotheses share: its intermediates, and the gradient of a changed Program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from derivcheck.derivation.sweep import adjoint
from derivcheck.diagnosis.case import Case
from derivcheck.errors import DerivcheckError
from derivcheck.notation.integers.polynomials import Index
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import add
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.substitute import inline
from derivcheck.notation.terms.walk import subterms
from derivcheck.notation.values.evaluator import evaluate

Array = npt.NDArray[np.float64]
LONG = 60  # nodes of a term that is still looked at place by place


class Scene:
    """One case on float64 arrays.

    Attributes:
        found: what the backward returned for the input under diagnosis, or None.
        right: its derived gradient.
    """

    def __init__(self, case: Case) -> None:
        self.case, self.name, self.sizes = case, case.name, dict(case.sizes)
        self.right = _array(case.derived[case.name])
        given = case.found.get(case.name)
        self.found: Array | None = None if given is None else _array(given)
        self.relative = case.relative
        self.deep = False  # look at the places of the gradient in one term, and not at those of its steps

    def __str__(self) -> str:
        names = [s for s in self.case.adjoint.sizes() if s in self.sizes]
        if len(names) == 1:
            return f"{names[0]}={self.sizes[names[0]]}"
        return f"({','.join(names)})=({','.join(str(self.sizes[n]) for n in names)})"

    # -- comparing ---------------------------------------------------------------
    @property
    def slack(self) -> float:
        """How many times the tolerance a guess may be off; in low precision the bound of the check leaves room enough."""
        return 20.0 if self.relative < 1e-9 else 3.0

    def near(self, a: Array, b: Array, slack: float | None = None) -> bool:
        """Whether two arrays agree within rounding; infinities and NaNs must stand at the same places."""
        slack = self.slack if slack is None else min(slack, self.slack)
        if a.shape != b.shape:
            return False
        if a.size == 0:
            return True
        finite = np.isfinite(a)
        if not np.array_equal(finite, np.isfinite(b)):
            return False
        if not finite.any():
            return bool(np.array_equal(np.isnan(a), np.isnan(b)))
        scale = max(float(np.abs(a[finite]).max()), float(np.abs(b[finite]).max()))
        off = float(np.abs(a[finite] - b[finite]).max())
        return off <= slack * self.relative * scale or off <= slack * self.relative * self.floor

    @cached_property
    def floor(self) -> float:
        """The size of what cancels in a gradient that is zero but for rounding (softmax over one class); else 0."""
        size = max((float(np.abs(u).max()) for n, u in self.values.items() if n in self.case.upstream and u.size), default=0.0)
        if not self.right.size or float(np.abs(self.right).max()) > (0.01 if self.relative < 1e-9 else 1.0) * size:
            return 0.0
        found = 0.0 if self.right.any() else size  # all that is left of a gradient may be rounding
        for d in backward_definitions(self.program, self.case.forward):
            for p in d.paths if len(d.paths) > 1 else ():
                twice = self.changed({d.name: add(d.term, p.term)})
                if twice is not None and np.isfinite(twice).all():
                    found = max(found, float(np.abs(twice - self.right).max()))
        return found

    @cached_property
    def wrong(self) -> bool:
        """Whether the backward is wrong here at all."""
        return self.found is None or not self.near(self.found, self.right, 1.0)

    @cached_property
    def telling(self) -> bool:
        """Whether it is wrong in numbers: that NaN stands where another guess has NaN too is no evidence."""
        found, right = self.found, self.right
        if not self.wrong or found is None or found.shape != right.shape:
            return self.wrong
        both = np.isfinite(found) & np.isfinite(right)
        return not self.near(np.where(both, found, 0), np.where(both, right, 0), 1.0)

    @property
    def sound(self) -> bool:
        """Whether there is a right gradient here: a deviation over one element has none."""
        return bool(np.isfinite(self.right).all())

    def fits(self, guess: Array | None) -> bool:
        """Whether a guess reproduces what was found, and far better than the right gradient does."""
        if guess is None or self.found is None or not (self.near(self.found, guess) or self._cancelled(guess)):
            return False
        if not self.wrong:
            return True
        if self.found.shape != self.right.shape or not np.isfinite(self.found).all():
            return True
        share = 0.2 if self.relative < 1e-9 else 0.05
        return _norm(self.found - guess) <= share * _norm(self.found - self.right)

    def _cancelled(self, guess: Array) -> bool:
        """Whether found and guess are both nothing but the rounding of what cancels: zero beside the right gradient."""
        found = self.found
        if found is None or found.shape != guess.shape or found.shape != self.right.shape or not found.size:
            return False
        most = self.relative * float(np.abs(self.right).max()) if self.relative < 1e-9 else 0.0
        return bool(np.abs(found).max() <= most and np.abs(guess).max() <= most)

    # -- values ----------------------------------------------------------------------
    @cached_property
    def given(self) -> dict[str, Any]:
        """The inputs and upstream gradients."""
        return {**self.case.inputs, **self.case.upstream}

    @cached_property
    def full(self) -> Program:
        """The whole forward and the whole adjoint: everything that a backward may have read by mistake."""
        return full(self.case.forward, self.case.adjoint)

    @cached_property
    def program(self) -> Program:
        """The part of the adjoint that the input under diagnosis needs."""
        return self.case.adjoint.needed([f"{self.name}_bar"])

    @cached_property
    def inlined(self) -> Term | None:
        """The gradient in one term, its intermediates written out; None where that is long."""
        return _inlined(self.program, self.case.forward, LONG)

    def written_out(self, terms: Mapping[str, Term], most: int) -> Term | None:
        """The gradient in one term of at most so many nodes, where these definitions of the adjoint read otherwise."""
        new = (replace(d, term=terms[d.name]) if d.name in terms else d for d in self.program.definitions)
        return _inlined(replace(self.program, definitions=tuple(new)), self.case.forward, most)

    @cached_property
    def values(self) -> dict[str, Array]:
        """Every input and definition of the adjoint, as arrays."""
        found = evaluate(self.full, self.given, self.sizes)
        return {**{k: _array(v) for k, v in self.given.items()}, **found}

    def changed(self, terms: Mapping[str, Term]) -> Array | None:
        """The gradient when these definitions of the adjoint read otherwise."""
        moved: list[Definition] = []
        names: set[str] = set()
        for d in self.program.definitions:
            if d.name in terms:
                moved.append(replace(d, term=terms[d.name], paths=()))
            elif not d.term.names.isdisjoint(names):
                moved.append(d)
            else:
                continue
            names.add(d.name)
        used = set().union(*(d.term.names for d in moved), *(p.names for d in moved for p in d.dims)) - names
        read = tuple(a for n, a in self.readable.items() if n in used)
        return self.evaluated(Program(read, tuple(moved), self.program.outputs))

    @cached_property
    def readable(self) -> Mapping[str, Input]:
        """Everything known here as inputs of another Program."""
        every = [*self.full.arguments, *(Input(d.name, d.dims, d.kind) for d in self.full.definitions)]
        return {a.name: a for a in every}

    @cached_property
    def after(self) -> Mapping[str, frozenset[str]]:
        """For each definition those that depend on it."""
        every = self.program.definitions
        found = {d.name: frozenset(x.name for x in every if d.name in x.term.names) for d in every}
        while True:  # recurrences may depend on each other
            more = {n: direct.union(*(found[m] for m in direct)) for n, direct in found.items()}
            if more == found:
                return found
            found = more

    def term(self, term: Term, indices: Sequence[Index]) -> Array | None:
        """A term over everything known here, an element for each value of the indices."""
        read = [Input(n, self.full.dims(n), self.full.kind(n)) for n in term.names]
        return self.evaluated(Program(tuple(read), (Definition("_", tuple(indices), term),), ("_",)))

    def rederived(self, forward: Program) -> Array | None:
        """The gradient of another forward at the same values."""
        try:
            return self.evaluated(_adjoint(forward, self.name))
        except DerivcheckError:
            return None

    def evaluated(self, program: Program) -> Array | None:
        """The last output of a Program that may read everything known here."""
        try:
            inputs = {n: self.values[n] for n in program.inputs if n in self.values}
            found: Array = evaluate(program, inputs, self.sizes)[program.outputs[-1]]
        except (DerivcheckError, IndexError, KeyError, ValueError):
            return None
        return found


def _array(value: Any) -> Array:
    if hasattr(value, "detach"):
        value = value.detach().cpu().double().numpy()
    return np.asarray(value, dtype=np.float64)


def _norm(a: Array) -> float:
    return float(np.sqrt(np.sum(a * a)))


@lru_cache(maxsize=512)
def _adjoint(forward: Program, name: str) -> Program:
    return adjoint(forward, [name])


@lru_cache(maxsize=512)
def full(forward: Program, back: Program) -> Program:
    """A forward and its adjoint in one."""
    own = {d.name for d in forward.definitions}
    return replace(back, definitions=forward.definitions + tuple(d for d in back.definitions if d.name not in own))


@lru_cache(maxsize=512)
def _inlined(program: Program, forward: Program, most: int) -> Term | None:
    """The gradient as one term in the forward's own names; None where it would have more than ``most`` nodes or recurs."""
    meanings: dict[str, tuple[tuple[Index, ...], Term]] = {}
    term: Term | None = None
    for d in program.definitions:
        if d.recurrent:
            return None
        if d.name not in forward.names:
            term = inline(d.term, meanings)
            if sum(1 for _ in subterms(term)) > most:
                return None
            meanings[d.name] = (d.indices, term)
    return term


def backward_definitions(program: Program, forward: Program) -> Sequence[Definition]:
    """The definitions of an adjoint that are not the forward's own, nearest to the input first."""
    own = {d.name for d in forward.definitions}
    return [d for d in reversed(program.definitions) if d.name not in own]
