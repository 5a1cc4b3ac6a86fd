"""What a forward hands on to its backward: the definitions that the backward reads, or what both compute from these.

Where the backward reads ``y`` only in ``y - target``, which the forward has computed as well, the difference is handed on in
the place of ``y``: no more memory, and an operation less.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from derivcheck.codegen.graph.memory import is_view
from derivcheck.codegen.graph.nodes import FLOAT, NUMBER, SCALAR, Node, within
from derivcheck.notation.integers.polynomials import Poly

Dims = tuple[Poly, ...]


class Handed(NamedTuple):
    """What is handed on.

    Attributes:
        names: definitions.
        known: what these are: the backward has it by its name wherever it stands.
        made: what stands inside of definitions.
    """

    names: frozenset[str]
    known: dict[Node, str]
    made: tuple[Node, ...]


def handed(
    back: Collection[Node], forward: Mapping[str, Node | None], dims: Mapping[str, Dims], given: Collection[str]
) -> Handed:
    """What the backward's nodes need of the forward.

    Args:
        forward: the definitions that may be handed on, by what they are; None for a loop's.
        dims: of these definitions.
        given: those of them that the caller is given, which take no memory of their own.
    """
    meant = {node: name for name, node in forward.items() if node is not None and _is_tensor(node)}
    names = _reads(back, {}) & forward.keys()
    known = {node: name for node, name in meant.items() if name in names}
    names &= _reads(back, known)
    both = within(node for node in forward.values() if node is not None)
    made: dict[Node, str] = {}
    for n in within(back, known):
        if n not in both or n in known or n.kind != FLOAT or is_view(n) or not _is_tensor(n):
            continue
        if all(dims[name] != n.dims for name in names.difference(given)) or n in within(made, ()):
            continue
        instead = names.difference(given, _reads(back, {**known, **made, n: ""}))
        if any(dims[name] == n.dims for name in instead):
            made[n] = ""
            names -= instead
    return Handed(frozenset(names), {n: name for n, name in known.items() if name in names}, tuple(made))


def _reads(roots: Iterable[Node], known: Mapping[Node, str]) -> set[str]:
    """The names that some nodes read, those of what is known among them."""
    return {known[n] if n in known else n.params[0] for n in within(roots, known) if n in known or n.op in ("var", "step")}


def _is_tensor(n: Node) -> bool:
    """Whether it is computed, once, and no number that Python knows."""
    return n.op not in ("var", "step") and n.kind not in (NUMBER, SCALAR) and not n.loops and n.rank > 0
