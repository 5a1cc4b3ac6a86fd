"""All rewriting of definitions before they become operations."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from derivcheck.codegen.rewriting.exchanged import exchanged, is_sum
from derivcheck.codegen.rewriting.known import probabilities, with_exponentials
from derivcheck.codegen.rewriting.sparse import one_hot, opened, picks
from derivcheck.derivation.centred import is_mean, without_deviations
from derivcheck.notation.integers.polynomials import Index
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.build import add
from derivcheck.notation.terms.nodes import Over, Term
from derivcheck.notation.terms.substitute import inline


def rewritten(
    definitions: Sequence[Definition], outputs: Collection[str], given_away: Collection[str] = ()
) -> list[Definition]:
    """The same definitions in forms that generated code computes with fewer and smaller tensors; outputs keep theirs.

    Args:
        given_away: what the caller may have written into when the gradient is computed: nothing new reads it.
    """
    sums: dict[str, Definition] = {}
    means: dict[str, tuple[Definition, Over]] = {}
    logs: list[tuple[Definition, Definition]] = []
    sparse: dict[str, tuple[tuple[Index, ...], Term]] = {}
    out: list[Definition] = []
    for d in definitions:
        term = d.term
        if not d.recurrent:
            term = without_deviations(term, means)
            for log, exponential in logs:
                if log.name != d.name:
                    term = with_exponentials(term, log, exponential)
            term = exchanged(term, sums)
            if not term.names.isdisjoint(sparse):
                term = add(*opened(picks(inline(term, sparse)), d.indices))
        found = d if term is d.term else replace(d, term=term)
        out.append(found)
        if is_sum(found) and found.spelling is None and d.name not in given_away:
            sums[d.name] = found
        if (mean := is_mean(found)) is not None:
            means[d.name] = (found, mean)
        exponential_of = probabilities(found)
        if exponential_of is not None:
            logs.append((found, exponential_of))
        hot = one_hot(found) if d.name not in outputs else None
        if hot is not None:
            sparse[d.name] = d.indices, hot
    return out
