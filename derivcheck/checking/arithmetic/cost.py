"""What it costs to evaluate a Program, roughly, in multiplications."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from derivcheck.notation.integers.polynomials import Index
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Func, Over
from derivcheck.notation.terms.walk import subterms


def cost(program: Program, sizes: Mapping[str, int]) -> float:
    """Roughly how many multiplications one evaluation for one colour costs."""
    return pricing(program.definitions)(sizes)


def pricing(definitions: Iterable[Definition]) -> Callable[[Mapping[str, int]], float]:
    """:func:`cost` at many sizes: the definitions are walked once."""
    parts: list[tuple[tuple[Index, ...], int]] = []
    for d in definitions:
        nodes = list(subterms(d.term))
        # a function costs as much as some 20 products
        parts.append((d.indices, len(nodes) + 20 * sum(isinstance(t, Func) for t in nodes)))
        parts += [(tuple(set(d.indices) | set(t.indices)), 1) for t in nodes if isinstance(t, Over)]
    return lambda sizes: sum((float(times * volume(indices, sizes)) for indices, times in parts), 0.0)


def volume(indices: tuple[Index, ...], sizes: Mapping[str, int]) -> float:
    """How many combinations of indices there are; a range that hangs on another index or a tensor counts as 16."""
    return math.prod(i.size.at(sizes) if not i.size.names and not i.size.indices else 16 for i in indices)
