"""Sums of exponentials over an index: logsumexp and softmax, as torch's own calls, in definitions of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from derivcheck.codegen.careful.sight import Sight, log_of, own_shift
from derivcheck.notation.integers.polynomials import Index, Poly, i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import ZERO, add
from derivcheck.notation.terms.nodes import Over, Ref, Term
from derivcheck.notation.terms.substitute import substitute
from derivcheck.notation.terms.walk import refs
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.values import Value
from derivcheck.operators.pointwise.elementwise import logaddexp
from derivcheck.operators.sums.reductions import logsumexp
from derivcheck.operators.sums.softmaxes import log_softmax, softmax_of


class Sums:
    """Writes definitions beside a Program's own."""

    def __init__(self, program: Program) -> None:
        self.builder = Builder(names=program.names, sizes=program.sizes())
        self.dims = {a.name: a.dims for a in program.arguments} | {d.name: d.dims for d in program.definitions}
        self.known: dict[tuple[Term, tuple[Index, ...]], Value] = {}
        self.place: str | None = None

    def begin(self, place: str | None) -> None:
        """The definition at hand: what is written for it stands at its line."""
        self.place = place

    def taken(self) -> list[Definition]:
        """The definitions that were written since the last call."""
        found = [replace(d, place=self.place) for d in self.builder.definitions]
        self.builder.definitions.clear()
        return found

    def value(self, u: Term, indices: Sequence[Index], hint: str) -> tuple[Value, tuple[Index, ...]]:
        """The term as a tensor over these indices, in the order in which it has them."""
        if isinstance(u, Ref) and u.name in self.dims:
            own = tuple(p.index for p in u.at)
            if None not in own and set(own) == set(indices) and len(own) == len(indices):
                kept = tuple(i for i in own if i is not None)
                if self.dims[u.name] == tuple(i.size for i in kept):
                    return Value(u.name, self.dims[u.name]), kept
        key = u, tuple(indices)
        if key not in self.known:
            self.builder.begin("", hint, hint)
            self.known[key] = self.builder.define(hint, indices, u)
        return self.known[key], tuple(indices)

    def of_two(self, u: Term, v: Term) -> Term:
        """``log(exp(u) + exp(v))``, both over the same indices in the same order."""
        at = tuple(sorted(u.free | v.free, key=str))
        x, y = (self._over(t, at, hint) for t, hint in ((u, "left"), (v, "right")))
        self.builder.begin("", "logaddexp", "logaddexp")
        return logaddexp(self.builder, x, y)[tuple(map(i_poly, at))]

    def _over(self, t: Term, at: Sequence[Index], hint: str) -> Value:
        """The term as a tensor over these indices in this order: its own, or a definition."""
        if isinstance(t, Ref) and _plain(t, at) and self.dims.get(t.name) == tuple(i.size for i in at):
            return self.whole(t)
        self.builder.begin("", hint, hint)
        return self.builder.define(hint, at, t)

    def whole(self, u: Term) -> Value:
        """The tensor that a reference with plain indices reads."""
        assert isinstance(u, Ref)
        return Value(u.name, self.dims[u.name])

    def logsumexp(self, sight: Sight, total: Over) -> Term | None:
        """``log Σ exp(u)``, shifted by the largest u; None where it is another sum, or the user shifts it."""
        one = sight.exponential(total.body)
        if one is None or one[0] <= 0 or one[1] is ZERO or own_shift(one[1], total.indices):
            return None
        u = add(one[1], log_of(one[0]))
        kept = sorted(u.free - set(total.indices), key=str)
        x, own = self.value(u, (*kept, *total.indices), "exponents")
        if any(i not in own for i in total.indices):
            return None
        self.builder.begin("", "logsumexp", "lse")
        found = logsumexp(self.builder, x, [k for k, i in enumerate(own) if i in total.indices])
        return found[tuple(i_poly(i) for i in own if i not in total.indices)]

    def softmax(self, sight: Sight, exponent: Term, total: Over) -> Term | None:
        """``exp(u)/Σ_j exp(u)``, at the element whose exponential it is; None where it is another quotient."""
        return self._along(sight, exponent, total, "softmax", softmax_of)

    def log_softmax(self, sight: Sight, exponent: Term, total: Over) -> Term | None:
        """Its logarithm, ``u − log Σ_j exp(u)``."""
        return self._along(sight, exponent, total, "logp", log_softmax)

    def _along(
        self, sight: Sight, exponent: Term, total: Over, hint: str, call: Callable[[Builder, Value, int], Value]
    ) -> Term | None:
        """What the call gives of the exponents under the sum, at the element that ``exponent`` is."""
        one = sight.exponential(total.body) if len(total.indices) == 1 else None
        if one is None or one[0] != 1 or own_shift(one[1], total.indices) or total.indices[0] not in one[1].free:
            return None
        (j,) = total.indices
        at = self._place(sight, one[1], exponent, j)
        if at is None:
            return None
        kept = sorted(one[1].free - {j}, key=str)
        x, own = self.value(one[1], (*kept, j), "exponents")
        self.builder.begin("", hint, hint)
        found = call(self.builder, x, own.index(j))
        return found[tuple(at if i is j else i_poly(i) for i in own)]

    def _place(self, sight: Sight, u: Term, exponent: Term, j: Index) -> Poly | None:
        """The position that j has in ``exponent``, which is u there: one in the tensor's own dimension, over which j runs."""
        read = [x for t in (exponent, sight.opened(exponent), sight.expanded(exponent)) for x in refs(t)]
        for r in refs(u):
            for k, p in enumerate(r.at):
                if p.index is not j or self.dims.get(r.name, (None,) * len(r.at))[k] is not j.size:
                    continue
                for q in dict.fromkeys(x.at[k] for x in read if x.name == r.name):
                    if sight.same(substitute(u, {j: q}), exponent):
                        return q
        return None


def adopted(d: Definition, term: Term, made: list[Definition]) -> tuple[Definition, list[Definition]]:
    """The definition with its new term; where that is a definition just made, as a whole, it takes its place and call."""
    last = made[-1] if made else None
    if last is not None and isinstance(term, Ref) and term.name == last.name and term.at == tuple(map(i_poly, d.indices)):
        if last.dims == d.dims and not any(last.name in m.term.names for m in made):
            own = substitute(last.term, dict(zip(last.indices, map(i_poly, d.indices))))
            return replace(d, term=own, spelling=last.spelling, rule=last.rule), made[:-1]
    return replace(d, term=term), made


def _plain(u: Term, at: Sequence[Index]) -> bool:
    return isinstance(u, Ref) and u.at == tuple(map(i_poly, at))
