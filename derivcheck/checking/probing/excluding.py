"""How to leave out sizes at which a gradient fails, if the layer never meets them."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from derivcheck.checking.backward.found import Run
from derivcheck.checking.subject.draw import possible
from derivcheck.checking.subject.elsewhere import at_sizes
from derivcheck.checking.subject.subject import Subject, Upstream
from derivcheck.checking.verdict.derived import derived
from derivcheck.checking.verdict.judge import judge
from derivcheck.checking.verdict.likeness import runs
from derivcheck.errors import DerivcheckError
from derivcheck.notation.values.measure import sizes_of


def excluding(s: Subject, run: Run, upstream: Upstream, sizes: Mapping[str, int]) -> str:
    """A sentence that says how dims= or where= leave out the sizes that alone make the gradient fail, if there are such."""
    program = s.derivation.program
    given = sizes_of(program, s.tensors)
    moved = [n for n, v in sizes.items() if given.get(n) != v]
    guilty = [n for n in moved if len(moved) > 1 and _fails(s, run, upstream, {**given, n: sizes[n]})] or moved
    there, here = (s.domain.called({n: at[n] for n in guilty}) for at in (sizes, given))
    met, wanted = ", ".join(f"{n} = {v}" for n, v in there.items()), ", ".join(f"{n} == {v}" for n, v in here.items())
    ways = [f'where="{wanted}"', f'"{next(iter(here))} % 2 == 0" or the like', _numbered(s, given, guilty[0])]
    return f"if it never meets {met}, leave it out: {', '.join(w for w in ways if w)}"


def _numbered(s: Subject, given: Mapping[str, int], name: str) -> str:
    """dims= with the size as a number."""
    for a in s.derivation.program.arguments:
        if a.name in s.tensors and any(str(p) == name for p in a.dims):
            called = (next(iter(s.domain.called({str(p): 0}))).replace(" ", "") for p in a.dims)
            text = " ".join(str(given[name]) if str(p) == name else c for p, c in zip(a.dims, called))
            return f'or dims={{"{a.name}": "{text}"}}'
    return ""


def _fails(s: Subject, run: Run, upstream: Upstream, sizes: dict[str, int]) -> bool:
    """Whether the gradient is wrong at these sizes."""
    if not possible(s.derivation.program, sizes):
        return False
    tensors, ups = at_sizes(s, sizes, upstream, torch.Generator().manual_seed(0))
    try:
        if s.call is not None and not runs(s, tensors):
            return False
        right = derived(s, tensors, ups, next(g.dtype for g in ups.values()))
        return any(r.faulty for r in judge(s, run, tensors, ups, right)[0])
    except (DerivcheckError, RuntimeError, ValueError, IndexError, TypeError):
        return False
