"""A subject at other sizes: data of the same kind as its own, and upstream gradients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from derivcheck.checking.subject.draw import DataLike, another, fitting, free_sizes
from derivcheck.checking.subject.subject import Subject, Tensors, Upstream
from derivcheck.notation.program.definitions import Input

# neighbours are coprime, all differ: a wrong dimension shows; small, since probes are many
COPRIME = (5, 3, 7, 2, 11, 4, 13, 9)
ATTEMPTS = 24  # at data that the user's own conditions hold of


def changeable(s: Subject, sizes: Mapping[str, int]) -> list[str]:
    """The sizes that a probe may change."""
    program = s.derivation.program
    own = ("parameter", "buffer") if s.module is not None else ()
    fixed = frozenset(a.name for a in program.arguments if a.name in s.held or a.role in ("constant", *own))
    return [n for n in free_sizes(program, fixed) if n in sizes]


def coprime_sizes(s: Subject, sizes: Mapping[str, int]) -> dict[str, int] | None:
    """Small sizes without a common factor for what may be changed; None where nothing may."""
    free = changeable(s, sizes)
    for shift in range(3):
        wanted = dict(sizes) | {n: COPRIME[(k + shift) % len(COPRIME)] for k, n in enumerate(free)}
        found = fitting(s.derivation.program, wanted, free) if free else None
        if found is not None:
            return found
    return None


def small(
    s: Subject, upstream: Upstream, sizes: Mapping[str, int], generator: torch.Generator
) -> tuple[Tensors, Upstream] | None:
    """Data of the same kind at small sizes."""
    found = coprime_sizes(s, sizes)
    return None if found is None else at_sizes(s, found, upstream, generator)


def at_sizes(s: Subject, sizes: dict[str, int], upstream: Upstream, generator: torch.Generator) -> tuple[Tensors, Upstream]:
    """Data of the same kind as the subject's, and upstream gradients, at other sizes (a module keeps its parameters)."""
    program, adjoint = s.derivation.program, s.derivation.adjoint
    known = {a.name: a for a in program.arguments}
    free = [n for n in s.tensors if n in known and not kept(s, known[n])]

    def draw(names: Iterable[str]) -> Tensors:
        like = {n: DataLike(s.tensors[n], s.kinds.get(n, ()), s.range(n)) for n in names}
        return {n: another(program, known[n], sample, sizes, generator) for n, sample in like.items()}

    tensors = s.tensors | draw(free)
    for k in range(ATTEMPTS):
        broken = s.domain.broken(tensors, sizes)
        if broken is None:
            break
        shrunk = 0.5 ** (k // 4)  # a condition may be one on the whole of it
        new = draw(m for m in free if m in broken.names)
        tensors |= {n: t * shrunk if t.is_floating_point() else t for n, t in new.items()}
    ups = {}
    for n, g in upstream.items():
        shape = tuple(p.at(sizes) for p in adjoint.argument(n).dims)
        ups[n] = torch.randn(shape, generator=generator, dtype=torch.float64).to(g.device, g.dtype)
    return tensors, ups


def kept(s: Subject, a: Input) -> bool:
    return a.name in s.held or s.module is not None and a.role in ("parameter", "buffer")
