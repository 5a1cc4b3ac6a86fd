"""What sizes are called in a Program."""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Mapping, Sequence

from derivcheck.notation.functions.table import functions
from derivcheck.notation.integers.polynomials import Poly, Size, size
from derivcheck.tracing.recording import naming
from derivcheck.tracing.recording.data import Tensor
from derivcheck.tracing.sizes.assign import Traces
from derivcheck.tracing.sizes.unify import Unified

RESERVED = {"grad_output", "torch", "math", "self"}


def titles(
    traces: Traces, unified: Unified, hints: Iterable[Sequence[str | None]], preferred: Mapping[str, str]
) -> dict[str, Poly]:
    """Readable names for the internal ones (``x.0``), the field's own where an operator is known.

    Args:
        hints: the names that the user's variables give to results, which no size may have.
    """
    taken = {s.name for s in traces.subject.specs} | set(traces.recordings[0].inputs) | RESERVED
    taken |= {h for names in hints for h in names if h} | set(functions())
    taken |= {n for n in keyword.kwlist if n not in ("in",)}
    chosen: dict[str, str] = {}
    free = set(traces.free())

    def claim(symbol: str, title: str) -> None:
        if symbol not in chosen and title not in taken:
            chosen[symbol] = title
            taken.add(title)

    for symbol, title in preferred.items():
        atom = traces.resolve(size(symbol)).atom
        if isinstance(atom, Size) and atom.name in free:
            claim(atom.name, title)
    for step in unified.steps:
        for position, arg in enumerate(step.args):
            if not isinstance(arg, Tensor):
                continue
            dims = unified.dims[arg.number]
            for p, title in zip(dims, naming.field_names(step.call.operator, position, len(dims))):
                if isinstance(p.atom, Size):
                    claim(p.atom.name, title)
    spare = iter(naming.spare_names(taken | {"C", "V"}))
    for symbol in traces.free():
        if symbol not in chosen:
            claim(symbol, next(spare))
    for k, symbol in enumerate(traces.free()):
        chosen.setdefault(symbol, f"D_{k}")
    return {symbol: size(title) for symbol, title in chosen.items()}
