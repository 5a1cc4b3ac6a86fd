"""What positions look like: known to Python, affine in one index, the digits of a mixed radix, within a dimension."""

from __future__ import annotations

from collections.abc import Sequence

from derivcheck.codegen.graph.nodes import ONE_SIZE
from derivcheck.codegen.lowering.frame import Frame
from derivcheck.notation.integers.atoms import Entry, Floor
from derivcheck.notation.integers.bounds import nonnegative, sloped
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly


def free_indices(low: Frame, p: Poly) -> frozenset[Index]:
    """The indices in it that no loop holds fixed."""
    return p.indices - low.graph.fixed


def known(low: Frame, p: Poly) -> bool:
    """Whether Python knows the position: no index but those of loops, no element of a tensor."""
    return not free_indices(low, p) and not p.names


def affine(low: Frame, p: Poly) -> tuple[Poly, Index, Poly] | None:
    """``(slope, i, rest)`` with ``p = slope·i + rest`` and Python knows slope and rest."""
    free = free_indices(low, p)
    if len(free) != 1:
        return None
    (i,) = free
    found = sloped(p, i)
    if found is None or not found[0].terms or not all(known(low, q) for q in found):
        return None
    return found[0], i, found[1]


def alone(low: Frame, positions: Sequence[Poly], k: int) -> bool:
    """Whether the position shares no index with another."""
    mine = free_indices(low, positions[k])
    return all(mine.isdisjoint(free_indices(low, q)) for j, q in enumerate(positions) if j != k)


def inside(p: Poly, size: Poly) -> bool:
    """Whether the position is surely within a dimension (of a tensor that has elements)."""
    return nonnegative(p) and nonnegative(size - 1 - p)


def repeated(low: Frame, positions: Sequence[Poly], k: int) -> tuple[Index, Poly, int] | None:
    """``(i, start, c)`` with position ``(i + start) // c``: each element c times."""
    atom = positions[k].atom
    if not isinstance(atom, Floor) or atom.denominator.constant is None or not alone(low, positions, k):
        return None
    line = affine(low, atom.numerator)
    return (line[1], line[2], atom.denominator.constant) if line is not None and line[0] is ONE_SIZE else None


def vanishing(low: Frame, name: str, at: tuple[Poly, ...]) -> set[Poly]:
    """Those ``p`` for which the read is 0 where ``p < 0``: the sides on which a window leaves its tensor."""
    if name in low.steps or name not in low.dims or len(at) != len(low.dims[name]):
        return set()
    found = set()
    for k, (p, size) in enumerate(zip(at, low.dims[name])):
        if (known(low, p) or affine(low, p) is not None) and alone(low, at, k) and not inside(p, size):
            found |= {p, size - 1 - p}
        again = repeated(low, at, k)
        if again is not None:
            i, start, times = again
            found |= {i_poly(i) + start, times * size - 1 - i_poly(i) - start}
    return found


def radix(low: Frame, positions: Sequence[Poly], k: int) -> tuple[Poly, list[Index]] | None:
    """``start + i_1·S_2·S_3 + i_2·S_3 + i_3``: the start and the indices, the leading one first."""
    p = positions[k]
    if len(free_indices(low, p)) < 2 or not alone(low, positions, k):
        return None
    weights: dict[Poly, Index] = {}
    start = as_poly(0)
    for m, c in p.terms:
        own = [(a, e) for a, e in m if a.indices - low.graph.fixed]
        part = Poly(((m, c),))
        if not own:
            start = start + part
            continue
        if len(own) != 1 or own[0][1] != 1 or not isinstance(own[0][0], Index):
            return None
        i = own[0][0]
        weight = Poly(((tuple((a, e) for a, e in m if a is not i), c),))
        if weight in weights:
            return None
        weights[weight] = i
    if len(set(weights.values())) != len(weights) or not known(low, start):
        return None
    order: list[Index] = []
    weight = ONE_SIZE
    while weights:
        found = weights.pop(weight, None)
        if found is None:
            return None
        order.insert(0, found)
        weight = weight * found.size
    return start, order


def may_be_empty(size: Poly) -> bool:
    """Whether a dimension of that size may have no elements."""
    return not nonnegative(size - 1, least=0)


def trusted(low: Frame, p: Poly, size: Poly) -> bool:
    """Whether a position is within the size, or raises as torch does: an entry of an index tensor that nothing tests."""
    if inside(p, size):
        return True
    atom = p.atom
    if not isinstance(atom, Entry):
        return False
    if atom.name in low.certain:
        return True
    below = low.below.get(atom.name)
    return nonnegative(size - below, least=0) if below is not None else atom.name not in low.checked
