"""Which names have to be written out for two definitions to be equal: found on numbers, before any algebra.

With every name written out the two agree.  A name may stand as it is where they still agree with random numbers in its
place; the latest name is tried first, so that what it would bring in is never looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from derivcheck.notation.program.definitions import Input
from derivcheck.notation.program.program import Program
from derivcheck.proof.numbers.refute import alike
from derivcheck.proof.numbers.samples import Point, values_at


def needed_names(
    program: Program, left: str, right: str, point: Point, order: Callable[[str], tuple[bool, int]]
) -> list[str] | None:
    """The definitions that must be written out for ``left`` and ``right`` to agree; None where numbers do not tell.

    Args:
        program: defines both.
        point: where to look.
        order: which names to try first, as a key; the largest first.
    """
    rng = np.random.default_rng(3)
    current = program.needed([n for n in (left, right) if n not in program.inputs])
    opened: list[str] = []
    start = values_at(current, point)
    if start is None or not alike(start[left], start[right]):
        return None
    while True:
        names = [
            d.name for d in current.definitions if d.name not in (left, right) and d.name not in opened and d.kind == "float"
        ]
        direct = {n for d in current.definitions if d.name in (left, right) or d.name in opened for n in d.term.names}
        names = [n for n in names if n in direct]
        if not names:
            return opened
        name = max(names, key=order)
        d = current.definition(name)
        shape = tuple(p.at(point.sizes) for p in d.dims)
        closed = replace(
            current,
            arguments=(*current.arguments, Input(name, d.dims)),
            definitions=tuple(x for x in current.definitions if x.name != name),
        )
        trial = replace(point, inputs={**point.inputs, name: rng.uniform(0.3, 1.7, shape)})
        values = values_at(closed, trial)
        same = values is not None and alike(values[left], values[right], 1e-8) and bool(np.isfinite(values[left]).all())
        if same or d.recurrent:
            point = trial
            current = closed.needed([n for n in (left, right) if n not in closed.inputs])
        else:
            opened.append(name)
