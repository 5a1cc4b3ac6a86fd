"""A backward in index text on numbers: of an edit, what it reaches is computed, and all else is what it was before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from derivcheck.claimed import Claimed
from derivcheck.diagnosis.repair.bench import Bench
from derivcheck.diagnosis.repair.subject import Backward
from derivcheck.diagnosis.repair.texts.index_text import IndexPiece, gradient_of
from derivcheck.diagnosis.scene import Array
from derivcheck.notation.program.definitions import Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.values.evaluator import evaluate


@dataclass
class TextBackward(Backward):
    """A backward in index text: it is a Program as it stands.

    Attributes:
        code: the piece that it is.
    """

    code: IndexPiece
    _before: dict[int, tuple[Bench, Mapping[str, Array]]] = field(default_factory=dict)

    def gradients(self, bench: Bench) -> dict[str, Array] | None:
        """What the text means on these data, as it now reads."""
        try:
            if id(bench) not in self._before:
                given = {**bench.values, **{n: t.numpy() for n, t in bench.given.items()}}
                self._before[id(bench)] = bench, {**given, **_values(self.code.program, given, bench)}
            _, before = self._before[id(bench)]
            now = self.code.holder.program
            values = {**before, **_values(_moved(now, self.code.program), before, bench)}
        except Exception:  # text that was never meant for these sizes, or that an edit breaks
            return None
        own = {d.name: gradient_of(self.d, d.name) for d in now.definitions if d.name not in self.d.program.names}
        return {g: np.asarray(values[n], dtype=float) for n, g in own.items() if g in bench.right}

    def _traced(self, examples: Mapping[str, torch.Tensor] | None) -> Claimed | None:
        try:
            return self.code.claimed(self.d)
        except Exception:  # text that is no backward
            return None


def _values(program: Program, given: Mapping[str, Array], bench: Bench) -> Mapping[str, Array]:
    if not program.definitions:
        return {}
    return evaluate(program, {a.name: given[a.name] for a in program.arguments}, bench.sizes)


def _moved(now: Program, before: Program) -> Program:
    """What of a Program is another than before, or depends on that; all else is read."""
    same = {d.name: d.term for d in before.definitions}
    moved = {d.name for d in now.definitions if same.get(d.name) is not d.term}
    kept = []
    for group in now.groups:
        if any(d.name in moved or not d.term.names.isdisjoint(moved) for d in group):
            moved |= {d.name for d in group}
            kept += group
    made = {d.name for d in kept}
    used = set().union(*(d.term.names for d in kept), *(p.names for d in kept for p in d.dims)) - made
    others = [*now.arguments, *(Input(d.name, d.dims, d.kind) for d in now.definitions)]
    return replace(now, arguments=tuple(a for a in others if a.name in used), definitions=tuple(kept), outputs=tuple(made))
