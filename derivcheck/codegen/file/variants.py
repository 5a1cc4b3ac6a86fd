"""The same code as :func:`derivcheck.codegen.file.source.source` gives, written for others than readers."""

from __future__ import annotations

from collections.abc import Sequence

from derivcheck.codegen.file.loops import Loop
from derivcheck.codegen.file.source import File
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Over, Term
from derivcheck.notation.terms.walk import factors, subterms


def lean_source(forward: Program, adjoint: Program | None, wrt: Sequence[str] | None = None, banded: bool = False) -> str:
    """As ``source``, writing into what nobody reads again: for tensors of one type, nothing recorded.  ``banded``: a band of
    rows after the other, for large tensors."""
    file = File(forward, adjoint, "derived", {}, wrt)
    file.lean, file.banded = True, banded
    return file.text()


def fused_source(forward: Program, adjoint: Program, wrt: Sequence[str] | None = None) -> str:
    """As ``source``, for a compiler: a matrix times a vector as a sum, which it joins with the rest."""
    file = File(forward, adjoint, "derived", {}, wrt)
    file.vectors = True
    return file.text()


def holds_pairs(forward: Program) -> bool:
    """Whether it has a softmax of products of all pairs, as attention has: in bands these are never held as a whole."""
    known = {d.name: d for d in forward.definitions}
    waiting = [d for d in forward.definitions if d.spelling is not None and d.spelling.template.startswith("torch.softmax(")]
    rank = {d.name: len(d.indices) for d in waiting}
    for d in waiting:
        if any(_is_of_pairs(t) for t in subterms(d.term)):
            return True
        for n in d.term.names:
            if n in known and n not in rank and len(known[n].indices) == rank[d.name]:
                rank[n] = rank[d.name]
                waiting.append(known[n])
    return False


def _is_of_pairs(t: Term) -> bool:
    """Whether it sums a product of which no factor has all the indices."""
    return isinstance(t, Over) and t.kind == "sum" and not any(f.free >= t.body.free for f in factors(t.body))


def step_by_step(forward: Program, adjoint: Program) -> tuple[str, ...]:
    """The definitions that the code computes in Python loops of a length that no number is known of: a compiler would unroll
    them, for each length anew."""
    file = File(forward, adjoint, "derived", {}, None)
    loops = (item for _, item in file.lowered() if isinstance(item, Loop))
    return tuple(n for item in loops if item.index.size.constant is None for n in item.names())


def functional_source(program: Program) -> str:
    """The torch code of a Program alone, without writing into tensors: it can be differentiated, and mapped over by vmap."""
    file = File(program, None, "derived", {}, None)
    file.functional = True
    return file.text()
