"""What a traced Program says of itself, beside its conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from derivcheck.notation.integers.polynomials import Poly, Size
from derivcheck.notation.program.program import ASSUMES
from derivcheck.operators.language.build import Builder
from derivcheck.tracing.sizes.assign import Traces
from derivcheck.tracing.sizes.spoken import shown


def notes(traces: Traces, rename: Mapping[Size, Poly], b: Builder, sizes: Sequence[str], said: Sequence[str]) -> list[str]:
    """For which sizes it holds, what the code does that is not in it, what is assumed.

    Args:
        said: of the numbers that the code holds.
    """
    recording = traces.recordings[0]
    out = [f"traced at {len(traces.recordings)} size assignments"]
    soft = traces.subject.soft
    fixed = [f"{shown(n)} = {p.constant}" for n, p in traces.meaning.items() if p.constant is not None and n not in soft]
    if sizes:
        within = " within the conditions" if b.requires else ""
        out.insert(0, f"holds for every {', '.join(map(str, sizes))}{within}")
    if fixed:
        out.append(f"fixed sizes: {', '.join(fixed)}")
    groups: dict[str, list[str]] = {}
    for n, p in traces.meaning.items():
        if p.constant is None and n not in soft:
            groups.setdefault(str(traces.resolve(p).substitute(rename)), []).append(shown(n))
    for title, members in groups.items():
        roots = [shown(str(r)) for r, p in ((a.name, q) for a, q in rename.items()) if str(p) == title]
        out.append(
            f"{' = '.join([*roots, *members])} (the code needs them equal)" if roots else f"{' = '.join(members)} = {title}"
        )
    out += [*traces.notes, *said]
    for which, place in recording.functions.items():
        out.append(
            f"{which if '::' in which else f'autograd.Function {which}'}{f' at {place}' if place else ''}: "
            "derived from its forward, not its backward"
        )
    for n in recording.written:
        if n in {s.name for s in traces.subject.specs if s.role == "buffer"}:
            out.append(f"{n} is updated by the code; the update is not an output here")
        else:
            out.append(f"{n} is changed in place by the code; gradients are with respect to its value before")
    for place in recording.unseen:
        out.append(f"the change in place under no_grad at {place} passes the gradient as if it were not there, as in torch")
    out += [f"{ASSUMES}{a}" for a in [*b.assumptions, *recording.assumptions]]
    return out
