"""A product of sums as one sum: each Σ opened, its indices and factors gathered."""

from __future__ import annotations

from dataclasses import dataclass

from derivcheck.notation.integers.polynomials import Index
from derivcheck.proof.expressions.atoms import Monomial, ProofAtom, Rational, Sigma
from derivcheck.proof.expressions.context import Context
from derivcheck.proof.expressions.polynomials import whole
from derivcheck.proof.normal_form.substitution import opened

TERMS = 2_000  # of a product of sums that is opened
COPIES = 6  # the largest power of a sum that is opened


class TooManyTerms(Exception):
    """The sums opened would have too many terms."""


@dataclass(frozen=True)
class Flat:
    """One term: a number, the bound indices, the factors as they are in the normal form."""

    coefficient: Rational
    bound: tuple[Index, ...]
    factors: tuple[tuple[ProofAtom, Rational], ...]


def flat(context: Context, m: Monomial, c: Rational) -> list[Flat]:
    """A monomial with its sums opened."""
    parts = [Flat(c, (), ())]
    for a, e in m:
        if isinstance(a, Sigma) and whole(e) and 0 < e <= COPIES:
            for _ in range(int(e)):
                new, body = opened(context, a)
                inside = [t for n, k in body.items() for t in flat(context, n, k)]
                parts = [_joined(p, t, tuple(new)) for p in parts for t in inside]
                if len(parts) > TERMS:
                    raise TooManyTerms
        else:
            parts = [Flat(p.coefficient, p.bound, (*p.factors, (a, e))) for p in parts]
    return parts


def _joined(p: Flat, t: Flat, new: tuple[Index, ...]) -> Flat:
    return Flat(p.coefficient * t.coefficient, (*p.bound, *new, *t.bound), (*p.factors, *t.factors))
