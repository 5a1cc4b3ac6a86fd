"""On which ways a value reaches the loss: the lines of the forward that read it, and the chains of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import ONE, add, mul
from derivcheck.notation.terms.nodes import Mul, Over, Ref, Term
from derivcheck.notation.terms.substitute import summation
from derivcheck.notation.terms.walk import refs, subterms
from derivcheck.notes.abridged.abridge import Shown
from derivcheck.notes.abridged.tidied import tidied
from derivcheck.notes.symbols.symbols import Symbols
from derivcheck.notes.writing.steps import reached, without_upstream

MOST = 6  # chains that are told apart


@dataclass(frozen=True)
class Way:
    """How one value reaches the loss through one line.

    Attributes:
        through: the name that the line defines; "" where the value is an output itself.
        at: its places that the value changes.
        bound: the indices among them that run over all places.
        share: what comes to the gradient on this way.
        slope: how the line changes with the value, ``∂through/∂value``; None where that is no product of it.
        last: the line is the loss itself.
    """

    through: str
    at: tuple[Poly, ...]
    bound: tuple[Index, ...]
    share: Term
    slope: Term | None
    last: bool


def ways(d: Definition, page: Shown, table: Symbols) -> list[Way]:
    """The ways on which the value whose gradient ``d`` is reaches the loss, one per line that reads it."""
    groups: dict[str, list[Term]] = {}
    for p in d.paths:
        groups.setdefault(p.through, []).append(p.term)
    found = []
    for name, terms in groups.items():
        share = without_upstream(tidied(add(*terms)), table)
        last = table.scalar and name in page.forward.outputs
        if not name or last:
            found.append(Way(name, (), (), share, share if last else None, last))
            continue
        bar = table.adjoint_of_name(name)
        at, bound = reached(d, page.forward.definition(name), terms, bar)
        local = slope(share, bar) if _as_it_stands(share, bar, at, d.indices) else None
        if local is not None and not local.free <= {*d.indices, *(i for p in at for i in p.indices)}:
            local = None  # it is at places that the line's own do not name
        found.append(Way(name, at, tuple(bound), share, local, False))
    return found


def _as_it_stands(share: Term, bar: str, at: tuple[Poly, ...], own: tuple[Index, ...]) -> bool:
    """Whether a share still sums over the places of the line: none is solved for, as ``i`` is in ``g_bar[j - h]·[j >= h]``."""
    for r in (t for t in subterms(share) if isinstance(t, Ref) and t.name == bar):
        for p, i in zip(r.at, at):
            if p.index is None or (i.index in own) != (p.index in own) or i.index in own and p.index is not i.index:
                return False
    return True


def slope(share: Term, bar: str) -> Term | None:
    """What one gradient is multiplied by in a share of another: ``x[n]`` of ``Σ_n y_bar[n]·x[n]``.

    >>> from derivcheck.notation.integers.polynomials import Index, size
    >>> from derivcheck.notation.terms.build import ref
    >>> n = Index("n", size("N"))
    >>> print(slope(Over("sum", (n,), mul(ref("y_bar", n), ref("x", n))), "y_bar"))
    x[n]

    What is summed over beside it stays a sum:

    >>> m = Index("m", size("M"))
    >>> print(slope(Over("sum", (n, m), mul(ref("y_bar", n), ref("x", n, m))), "y_bar"))
    sum(m: x[n, m])
    """
    if sum(isinstance(t, Ref) and t.name == bar for t in subterms(share)) != 1:
        return None
    if isinstance(share, Ref):
        return ONE if share.name == bar else None
    if isinstance(share, Over) and share.kind == "sum":
        inner = slope(share.body, bar)
        if inner is None:
            return None
        at = {i for r in refs(share.body) if r.name == bar for p in r.at for i in p.indices}
        beside = tuple(i for i in share.indices if i not in at and i in inner.free)
        return summation(beside, inner) if beside else inner
    if isinstance(share, Mul):
        factors = [slope(a, bar) if bar in a.names else a for a in share.args]
        return mul(*(a for a in factors if a is not None)) if None not in factors else None
    return None


Steps = Mapping[str, tuple[str, ...]]


def steps_on(back: Program, table: Symbols) -> Steps:
    """For each value with a gradient, the lines through which it reaches the loss; "" where it is an output itself."""
    return {
        table.adjoint_of[d.name]: tuple(dict.fromkeys(p.through for p in d.paths))
        for d in back.definitions
        if d.name in table.adjoint_of
    }


def chains(on: Steps, name: str) -> list[tuple[str, ...]]:
    """The chains of lines on which ``name`` reaches an output, the shortest first; one more than are told apart at most.

    >>> chains({"x": ("y", "L"), "y": ("L",)}, "x")
    [('x', 'L'), ('x', 'y', 'L')]
    """
    found: list[tuple[str, ...]] = []
    queue: list[tuple[str, ...]] = [(name,)]
    while queue and len(found) <= MOST:
        one = queue.pop(0)
        if one[-1] not in on:  # an output: its gradient comes from outside, or is 1
            found.append(one)
            continue
        for u in on[one[-1]]:
            if not u:
                found.append(one)
            elif u not in one:
                queue.append((*one, u))
    return found


def edges_after(on: Steps, name: str) -> frozenset[tuple[str, str]]:
    """All steps on the ways of a value, its own and those after.

    >>> sorted(edges_after({"x": ("y", "L"), "y": ("L",)}, "x"))
    [('x', 'L'), ('x', 'y'), ('y', 'L')]
    """
    found: set[tuple[str, str]] = set()
    queue, seen = [name], {name}
    while queue:
        one = queue.pop()
        for u in on.get(one, ()):
            if u and u != one:
                found.add((one, u))
                if u not in seen:
                    seen.add(u)
                    queue.append(u)
    return frozenset(found)
