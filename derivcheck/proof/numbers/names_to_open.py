"""Which names have to be written out for two definitions to be equal: found on numbers, before any algebra.

With every name written out the two agree.  A name may stand as it is where they still agree with random numbers in its
place; the latest name is tried first, so that what it would bring in is never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from derivcheck.notation.program.definitions import Input
from derivcheck.notation.program.program import Program
from derivcheck.proof.numbers.refute import alike
from derivcheck.proof.numbers.samples import Point, values_at


def needed_names(
    program: Program,
    left: str,
    right: str,
    at: tuple[Point, Mapping[str, Any]],
    order: Callable[[str], tuple[bool, int]],
) -> list[str] | None:
    """The definitions that must be written out for ``left`` and ``right`` to agree; None where numbers do not tell.

    Args:
        program: defines both.
        at: where to look, and all values there.
        order: which names to try first, as a key; the largest first.
    """
    point, values = at
    if not alike(values[left], values[right]):
        return None
    rng = np.random.default_rng(3)
    known = {d.name: d for d in program.definitions}
    inputs = {a.name: a for a in program.arguments}
    place = {n: k for k, n in enumerate(known)}
    written = [n for n in (left, right) if n in known]
    closed: set[str] = set()

    def alike_where_random(names: Sequence[str]) -> dict[str, Any] | None:
        """The values with random ones for some names, if the two still agree."""
        trial = {**values, **{n: rng.uniform(0.3, 1.7, np.shape(values[n])) for n in names}}
        arguments = tuple(Input(n, known[n].dims, known[n].kind) if n in known else inputs[n] for n in here)
        definitions = tuple(known[n] for n in sorted(written, key=place.__getitem__))
        small = replace(program, arguments=arguments, definitions=definitions, outputs=())
        found = values_at(small, replace(point, inputs={n: np.asarray(trial[n]) for n in here}))
        if found is None:
            return None
        a, b = {**trial, **found}[left], {**trial, **found}[right]
        return trial if alike(a, b, 1e-8) and bool(np.isfinite(a).all()) else None

    while True:
        here = {n for w in written for n in known[w].term.names} - set(written)
        names = [n for n in here if n in known and n not in closed and known[n].kind == "float" and not known[n].recurrent]
        names.sort(key=order, reverse=True)
        fine, wrong, best = 0, None, values  # so many of the latest may stand as they are; so many may not
        while wrong is None and fine < len(names) or wrong is not None and wrong - fine > 1:
            count = (1 if not fine else len(names)) if wrong is None else (fine + wrong) // 2
            trial = alike_where_random(names[:count])
            fine, wrong, best = (fine, count, best) if trial is None else (count, wrong, trial)
        if wrong is None:
            return written[len({left, right} & known.keys()) :]
        closed.update(names[:fine])
        values = best
        written.append(names[fine])
