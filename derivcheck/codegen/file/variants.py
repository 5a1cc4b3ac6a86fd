"""The same code as :func:`derivcheck.codegen.file.source.source` gives, written for others than readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from derivcheck.codegen.file.loops import Loop
from derivcheck.codegen.file.source import File, both_texts
from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Over, Term
from derivcheck.notation.terms.walk import factors, subterms

UNROLLED = 64  # steps that a compiler may write out


def lean_source(forward: Program, adjoint: Program | None, wrt: Sequence[str] | None = None, banded: bool = False) -> str:
    """As ``source``, writing into what nobody reads again: for tensors of one type, nothing recorded.  ``banded``: a band of
    rows after the other, for large tensors."""
    file = both_texts(forward, adjoint, "derived", {}, wrt)
    file.lean, file.banded = True, banded
    return file.text()


def fused_source(forward: Program, adjoint: Program, wrt: Sequence[str] | None = None, recorded: bool = False) -> str:
    """As ``source``, for a compiler: a matrix times a vector as a sum, which it joins with the rest; where it may be
    ``recorded``, of operators alone that have gradients."""
    file = File(forward, adjoint, "derived", {}, wrt)
    file.fused, file.recorded = True, recorded
    return file.text()


def pairs_held(forward: Program) -> Poly | None:
    """How many numbers a softmax of products of all pairs has, as attention's; None where there is no such.  In bands these are
    never held as a whole."""
    known = {d.name: d for d in forward.definitions}
    waiting = [d for d in forward.definitions if d.spelling is not None and d.spelling.template.startswith("torch.softmax(")]
    rank = {d.name: len(d.indices) for d in waiting}
    for d in waiting:
        if any(_is_of_pairs(t) for t in subterms(d.term)):
            return numel(i.size for i in d.indices)
        for n in d.term.names:
            if n in known and n not in rank and len(known[n].indices) == rank[d.name]:
                rank[n] = rank[d.name]
                waiting.append(known[n])
    return None


def _is_of_pairs(t: Term) -> bool:
    """Whether it sums a product of which no factor has all the indices."""
    return isinstance(t, Over) and t.kind == "sum" and not any(f.free >= t.body.free for f in factors(t.body))


class PythonLoops(NamedTuple):
    """What the code computes step by step: a compiler unrolls such a loop, for each length anew.

    Attributes:
        heavy: the definitions of loops that are not to be unrolled.
        light: those of loops over one definition, which may be where they are short, with how long each is.
    """

    heavy: tuple[str, ...]
    light: Mapping[str, Poly]


def step_by_step(forward: Program, adjoint: Program) -> PythonLoops:
    """The loops of the code of a Program and its gradient."""
    heavy: list[str] = []
    light: dict[str, Poly] = {}
    for _, item in File(forward, adjoint, "derived", {}, None).lowered():
        if isinstance(item, Loop):
            length = item.index.size
            if length.constant is None and len(item.group) == 1:
                light[item.group[0].name] = length
            elif length.constant is None or length.constant * len(item.group) > UNROLLED:
                heavy += item.names()
    return PythonLoops(tuple(heavy), light)


def functional_source(program: Program) -> str:
    """The torch code of a Program alone, without writing into tensors: it can be differentiated, and mapped over by vmap."""
    file = File(program, None, "derived", {}, None)
    file.functional = True
    return file.text()
