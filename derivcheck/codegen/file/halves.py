"""A Program and its adjoint as two functions: the forward, which also returns what the backward reads, and the backward.

Both come from one lowering of both, so that what the forward has computed (a softmax, the places of a maximum, the moments of a
norm) is handed on and not computed again.  What is cheap, a difference or a product element by element, is computed again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from derivcheck.codegen.file.handed import handed
from derivcheck.codegen.file.lowered import Items, live, nodes_of, read_by
from derivcheck.codegen.file.shapes import Sizes
from derivcheck.codegen.file.source import File
from derivcheck.codegen.graph.nodes import Node, within
from derivcheck.codegen.rewriting.pinned import pinned
from derivcheck.notation.integers.polynomials import Size
from derivcheck.notation.program.definitions import Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.walk import refs

_HELD_BY_NOBODY = frozenset({"scaled_dot_product_attention"})  # its probabilities, of all pairs of places


class Halves(NamedTuple):
    """The two texts.

    Attributes:
        forward: the text of ``forward(<inputs>) -> (*outputs, *saved)``.
        gradients: the text of ``forward(<takes>)``, which returns an entry for each input: its gradient, or None.
        saved: the names of what the forward returns beside its outputs.
        takes: what the backward takes, in order: of the inputs and of what is saved what it reads, and the upstream gradients.
    """

    forward: str
    gradients: str
    saved: tuple[str, ...]
    takes: tuple[str, ...]


def halves(
    forward: Program, adjoint: Program, wrt: Sequence[str], lean: bool = False, fused: bool = False, banded: bool = False
) -> Halves:
    """The forward and the backward of a Program apart.

    ``lean``: writing into what nobody reads again; ``fused``: for a compiler; ``banded``: lean, for large tensors.
    """
    forward, back_program = pinned(forward, adjoint)
    assert back_program is not None
    adjoint = back_program
    whole = File(forward, adjoint, "", {}, wrt)
    whole.fused, whole.given_away = fused, forward.outputs
    whole.lean = True  # nothing is recorded inside a Function; so all variants save the same
    items = whole.lowered()
    own = {d.name for d in forward.definitions}
    again = _again(forward, items, own)
    back = [(name, item) for name, item in items if name not in own or name in again]
    own -= again
    roots = [node for _, item in back for node in nodes_of(item)]
    given_away: dict[str, Node | None] = {}
    for name, item in items:
        if name in own:
            given_away.update({name: item} if isinstance(item, Node) else dict.fromkeys(item.names()))
    on = handed(roots, given_away, {n: forward.dims(n) for n in given_away}, forward.outputs)
    names = [n for n in given_away if n in on.names]
    calls = [node for node in within(roots, {*on.known, *on.made}) if node.op == "item" and node not in on.known]
    taken = {*forward.inputs, *own, *(d.name for d in adjoint.definitions)}
    places: dict[Node, str] = {}
    for node, word in [*((c, f"result_{c.params[0]}") for c in calls), *((m, "held") for m in on.made)]:
        while word in taken:
            word += "_"
        taken.add(word)
        places[node] = word
    saved = (*names, *places.values())
    kinds = {n: forward.kind(n) for n in names} | {n: node.kind for node, n in places.items()}
    dims = {n: forward.dims(n) for n in names} | {n: node.dims for node, n in places.items()}
    extra = tuple(Input(n, dims[n], kinds[n]) for n in saved)
    mine: Items = live([x for x in items if x[0] in own | again], (*forward.outputs, *names))
    first = _First(replace(forward, outputs=(*forward.outputs, *names), structure="tuple"), None, "", {}, ())
    first.more = tuple(places.values())
    first.lean, first.banded, first.fused = lean, banded, fused
    given = (*adjoint.arguments, *extra)
    definitions = tuple(d for d in adjoint.definitions if d.name not in own)
    second = _Second(replace(adjoint, arguments=given, definitions=definitions, requires=(), only=()), None, "", {}, ())
    second.lean, second.banded, second.fused = lean, banded, fused
    second.gradient_of = dict(zip(wrt, adjoint.outputs))
    second.inputs = forward.inputs
    written = second.written(back, places | {node: second.variables[n] for node, n in on.known.items()})
    return Halves(first.written([*mine, *((n, node) for node, n in places.items())]), written, saved, second.takes)


def alone(forward: Program, lean: bool = False, banded: bool = False) -> str:
    """The text of ``forward(<inputs>) -> (*outputs,)``, for a Function that is asked for no gradient."""
    file = _First(replace(forward, structure="tuple"), None, "", {}, ())
    file.lean, file.banded = lean, banded
    return file.text()


def _again(forward: Program, items: Items, own: set[str]) -> set[str]:
    """The forward's definitions that are computed again in the backward: what torch's own kernels do not hold either.

    What the operator gives is not among them: other code may ask where it is equal to its own maximum, and computed in another
    way it has other last digits.
    """
    given = {r.name for d in forward.definitions if d.rule not in _HELD_BY_NOBODY for r in refs(d.term)}
    inner = {d.name for d in forward.definitions if d.rule in _HELD_BY_NOBODY} - {*forward.outputs, *given}
    found: set[str] = set()
    for name, item in reversed(items):
        if name not in own or name in found:
            found |= {n for node in nodes_of(item) for n in read_by(node)} & inner
    return found


def _shown(arguments: Iterable[Input]) -> set[str]:
    """The sizes that are a dimension of one of the inputs."""
    return {p.atom.name for a in arguments for p in a.dims if isinstance(p.atom, Size)}


class _First(File):
    """The forward, with what is saved behind its outputs."""

    more: tuple[str, ...] = ()
    by_place = True

    def kept(self) -> Iterable[str]:
        return (*super().kept(), *self.more)

    def _return(self) -> list[str]:
        outs = [self.variables[o] for o in (*self.forward.outputs, *self.more)]
        return [f"return ({', '.join(outs)},)"]


class _Second(File):
    """The backward: it takes only the inputs that it reads, and trusts their shapes."""

    by_place = True
    takes: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    gradient_of: Mapping[str, str] = {}
    wanted: frozenset[str] | set[str] = frozenset()

    def _like(self) -> tuple[str, str]:
        """New tensors are like the upstream gradient, which is always there."""
        ups = [a.name for a in self.arguments if a.role == "upstream"]
        return (f"{self.variables[ups[0]]}.dtype", f"{self.variables[ups[0]]}.device") if ups else super()._like()

    def _assemble(self, body: list[str], needs: list[str]) -> str:
        """Around the statements, only the inputs that they read or that their sizes come from."""
        words = set(re.findall(r"\w+", "\n".join(body)))
        self.wanted = {s for s, name in self.sizes.items() if name in words}
        every = list(self.arguments)
        kept = [a for a in every if a.role == "upstream" or self.variables[a.name] in words]
        for a in every:
            if a not in kept and _shown([a]) & (self.wanted - _shown(kept)):
                kept.append(a)
        if not self.wanted <= _shown(kept):
            kept = every  # a size that only an equation between shapes tells
        self.arguments = tuple(a for a in every if a in kept)
        fixed = [a.name for a in self.arguments if a.name not in self.optional]
        self.takes = (*fixed, *self.optional)
        return super()._assemble(body, [])

    def _found(self, arguments: Sequence[Input]) -> Sizes:
        """Only the sizes that the statements use."""
        found = super()._found(arguments)
        return replace(
            found,
            lines=found.leading_to({self.sizes[s] for s in self.wanted}),
            free=[s for s in found.free if s in self.wanted],
        )

    def _guard(self, lines: list[str], checks: list[str], arguments: Sequence[Input], free: Sequence[str]) -> list[str]:
        return lines

    def _defaults(self) -> list[str]:
        return []  # torch gives each upstream gradient, of its output's shape

    def _return(self) -> list[str]:
        """An entry for each input."""
        grads = [self.variables[self.gradient_of[n]] if n in self.gradient_of else "None" for n in self.inputs]
        return [f"return ({', '.join(grads)},)"]
