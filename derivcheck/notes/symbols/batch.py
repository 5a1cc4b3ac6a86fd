"""Dimensions that stay indices beside matrices: the batch."""

from __future__ import annotations

from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.walk import refs


def batch_letters(forward: Program) -> frozenset[str]:
    """The letters of dimensions that stay indices: those ahead of the last two, of tensors that have more.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> sorted(batch_letters(parse_program("y[b,n] := sum(k: A[b,n,k]*x[k])")))
    ['b']
    """
    heads = [d.indices[:-2] for d in forward.definitions]
    read = [[p.index for p in r.at[:-2]] for d in forward.definitions for r in refs(d.term)]
    return frozenset(i.name for one in (*heads, *read) for i in one if i is not None)
