"""Hostile probes: the ways in which backwards that pass everywhere else are wrong.

Coprime sizes, equal and long odd ones, one element in each dimension, another scale of the upstream gradient, layouts that are
not contiguous, expanded upstream gradients, zeros, ties and repeated indices, the same call twice, every
subset of ``needs_input_grad``.  Each is a run against the derived gradient at that very data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch

from derivcheck.checking.draw import another, free_sizes, possible
from derivcheck.checking.found import Run, Upstream, find, flat, like
from derivcheck.checking.judge import Derived, Sample, derived, judge
from derivcheck.checking.kinks import between
from derivcheck.checking.report import Row
from derivcheck.checking.subject import Subject, Tensors
from derivcheck.errors import DerivcheckError

TWICE = "twice in a row"
COPRIME = (5, 3, 7, 2, 11, 4, 13, 9)
TAILS = (17, 19, 23, 11, 13, 9, 7, 5)  # beyond blocks of 4, 8 and 16, with something left over
EQUAL = (4,) * 8
SIZES = ("coprime sizes", "equal sizes", "odd tails")
LARGE = 1 << 14  # elements beyond which probes run at small sizes, where the forward takes them


@dataclass
class Probe:
    """One hostile situation."""

    name: str
    tensors: Tensors
    upstream: Upstream
    kinks: bool = False  # data on which a subgradient is as good as another
    wrt: tuple[str, ...] | None = None


def probe(
    s: Subject,
    run: Run,
    rows: list[Row],
    upstream: Upstream,
    right: Derived,
    dtype: torch.dtype,
    seed: int,
    again: Callable[[Subject], Run] | None = None,
) -> list[str]:
    """Run every probe; a row that a probe shows to be wrong takes the place of the one that passed.

    Returns:
        Notes for the report: what was probed.
    """
    done: list[str] = []
    left: list[str] = []
    subgradients = 0
    for p in _probes(s, upstream, right, seed):
        if any(r.faulty and not r.where for r in rows) and p.name != TWICE:
            break  # wrong on the data itself: no probe says more
        t = s if p.wrt is None else replace(s, wrt=p.wrt)
        try:
            if s.call is not None and not runs(s, p.tensors):
                left.append(p.name)
                continue
            expected = derived(t, p.tensors, p.upstream, dtype)
        except (DerivcheckError, RuntimeError, ValueError, IndexError, TypeError):
            left.append(p.name)
            continue
        where = f"{p.name} ({', '.join(f'{n}={v}' for n, v in expected.sizes.items())})" if expected.sizes else p.name
        if p.name == TWICE:
            find(s, run, p.tensors, p.upstream)
        found_rows, found = judge(
            t, run if p.wrt is None or again is None else again(t), p.tensors, p.upstream, expected, where
        )
        if any(r.verdict == "raised" for r in found_rows):
            if p.name in SIZES or p.name.endswith("= 1"):
                left.append(p.name)  # code that refuses a shape gives no wrong gradient there
                continue
        for row in found_rows:
            if row.verdict == "wrong" and p.kinks and row.name in s.wrt:
                g = found.gradients[row.name]
                assert g is not None
                if between(t, row.name, g, p.tensors, p.upstream, expected, dtype):
                    subgradients += row.wrong
                    continue
            if row.faulty:
                _take(rows, row, Sample(p.tensors, p.upstream, expected, found.gradients))
        done.append(p.name)
    notes = []
    if done and not any(r.faulty for r in rows):
        notes.append(f"held under {len(done)} probes: {', '.join(dict.fromkeys(done))}")
    if left:
        notes.append(f"could not be run: {', '.join(dict.fromkeys(left))}")
    if subgradients:
        notes.append(f"{subgradients} elements at a kink take another subgradient than the derived one: accepted")
    return notes


def _take(rows: list[Row], new: Row, sample: Sample) -> None:
    """Put a row that a probe showed to be faulty in the place of the one that passed."""
    new.sample = sample
    for k, old in enumerate(rows):
        if old.name == new.name:
            if not old.faulty:
                new.witnesses = old.witnesses
                rows[k] = new
            return
    rows.append(new)


def runs(s: Subject, tensors: Tensors) -> bool:
    """Whether the user's own forward takes this data and means the same as its Program there."""
    assert s.call is not None
    with torch.no_grad():
        try:
            outs = flat((s.meaning or s.call)({n: like(t) for n, t in tensors.items()}))
        except Exception:  # its own affair: it was asked for another shape
            return False
    from derivcheck.checking.bound import Bound
    from derivcheck.checking.compare import compare
    from derivcheck.notation.meaning import evaluate

    program = s.derivation.program
    dtype = next(t.dtype for t in tensors.values() if t.is_floating_point())
    numbers = Bound(dtype)
    values = evaluate(program, {n: t for n, t in tensors.items() if n in program.inputs}, None, numbers)
    floats = [o for o in program.outputs if program.kind(o) == "float"]
    for name, out in zip(floats, outs):
        pair = values.get(name) or numbers.given(tensors[name], name)
        if tuple(out.shape) != tuple(pair.value.shape):
            return False
        error = torch.zeros_like(pair.value) if pair.error is None else pair.error
        if not compare(out, pair.value, error + 2 * pair.value.abs() * numbers.unit).holds:
            return False
    return True


def _probes(s: Subject, upstream: Upstream, right: Derived, seed: int) -> Iterator[Probe]:
    generator = torch.Generator().manual_seed(seed + 17)
    program = s.derivation.program
    tensors = s.tensors
    free = _free(s, right.sizes)
    coprime = coprime_sizes(s, right.sizes)
    less: tuple[Tensors, Upstream] | None = None
    if coprime is not None:
        less = at_sizes(s, coprime, upstream, generator)
        yield Probe("coprime sizes", *less)
    else:
        coprime = dict(right.sizes)
    total = sum(t.numel() for t in tensors.values())
    data, ups = (tensors, upstream) if total <= LARGE or less is None else less
    yield Probe(TWICE, data, ups)
    yield Probe("another upstream", data, _random(ups, generator))
    for name, lengths in (("equal sizes", EQUAL), ("odd tails", TAILS)):
        sizes = dict(right.sizes) | dict(zip(free, lengths))
        if free and sizes != right.sizes and possible(program, sizes) and _elements(s, sizes) <= 4 * LARGE:
            yield Probe(name, *at_sizes(s, sizes, upstream, generator))
    for n in free[:4]:
        sizes = coprime | {n: 1}
        if right.sizes[n] != 1 and possible(program, sizes):
            yield Probe(f"{n} = 1", *at_sizes(s, sizes, upstream, generator))
    if any(g.ndim for g in ups.values()):
        yield Probe("non-contiguous upstream", data, {n: _strided(g) for n, g in _random(ups, generator).items()})
        yield Probe("expanded upstream", data, {n: _expanded(g, generator) for n, g in ups.items()})
    yield Probe("non-contiguous inputs", {n: _strided(t) if t.is_floating_point() else t for n, t in data.items()}, ups)
    arguments = {a.name: a for a in program.arguments}
    parameters = {n for n, a in arguments.items() if a.role == "parameter"}
    if parameters & set(s.wrt):
        fresh = {
            n: another(program, arguments[n], t, right.sizes, generator) if n in parameters and data is tensors else t
            for n, t in data.items()
        }
        yield Probe("random parameters", fresh, ups)
    moved = [n for n in s.wrt if n in data and data[n].numel() > 1 and bool((data[n] <= 0).any())]
    if moved:
        yield Probe("zeros", {n: _zeros(t, generator) if n in moved else t for n, t in data.items()}, ups, kinks=True)
        yield Probe("ties", {n: _ties(t) if n in moved else t for n, t in data.items()}, ups, kinks=True)
    whole = [n for n, a in arguments.items() if a.kind == "int" and n in data and data[n].numel() > 1]
    if whole:
        yield Probe(
            "repeated indices",
            {n: data[n].flatten()[:1].expand(data[n].shape).clone() if n in whole else t for n, t in data.items()},
            ups,
        )
    if s.function is not None and len(s.wrt) > 1:
        for n in s.wrt[:6]:
            yield Probe(f"gradient in {n} alone", data, ups, wrt=(n,))
        for n in s.wrt[:6] if len(s.wrt) > 2 else ():
            yield Probe(f"no gradient in {n}", data, ups, wrt=tuple(m for m in s.wrt if m != n))


def _elements(s: Subject, sizes: Mapping[str, int]) -> int:
    """How many numbers the forward's definitions hold at these sizes."""
    lengths = ([p.at(sizes) for p in d.dims] for d in s.derivation.program.definitions if not any(p.names for p in d.dims))
    return sum(math.prod(dims) for dims in lengths)


def _free(s: Subject, sizes: Mapping[str, int]) -> list[str]:
    program = s.derivation.program
    own = ("parameter", "buffer") if s.module is not None else ()
    fixed = frozenset(a.name for a in program.arguments if a.role in ("constant", *own))
    return [n for n in free_sizes(program, fixed) if n in sizes]


def coprime_sizes(s: Subject, sizes: Mapping[str, int]) -> dict[str, int] | None:
    """Small sizes without a common factor for what may be changed; None where nothing may."""
    free = _free(s, sizes)
    for shift in range(3):
        found = dict(sizes) | {n: COPRIME[(k + shift) % len(COPRIME)] for k, n in enumerate(free)}
        if free and possible(s.derivation.program, found):
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
    tensors = {
        n: another(program, known[n], t, sizes, generator) if n in known and not _kept(s, known[n].role) else t
        for n, t in s.tensors.items()
    }
    ups = {}
    for n, g in upstream.items():
        shape = tuple(p.at(sizes) for p in adjoint.argument(n).dims)
        ups[n] = torch.randn(shape, generator=generator, dtype=torch.float64).to(g.device, g.dtype)
    return tensors, ups


def _kept(s: Subject, role: str) -> bool:
    return s.module is not None and role in ("parameter", "buffer")


def _random(upstream: Upstream, generator: torch.Generator) -> Upstream:
    return {
        n: (1.5 * torch.randn(g.shape, generator=generator, dtype=torch.float64) + 0.25).to(g.device, g.dtype)
        for n, g in upstream.items()
    }


def _strided(t: torch.Tensor) -> torch.Tensor:
    """The same numbers with other strides."""
    if t.ndim >= 2:
        return t.transpose(-1, -2).contiguous().transpose(-1, -2)
    if t.ndim == 1:
        return torch.stack([t, torch.full_like(t, float("nan")) if t.is_floating_point() else t], -1)[:, 0]
    return t


def _expanded(g: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    number = torch.rand((), generator=generator, dtype=torch.float64) + 0.5
    return number.to(g.device, g.dtype).expand(g.shape)


def _zeros(t: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return t * (torch.rand(t.shape, generator=generator) < 0.6).to(t.device)


def _ties(t: torch.Tensor) -> torch.Tensor:
    """Rounded so coarsely that several numbers are equal."""
    step = t.abs().max() / 2
    return (t / step).round() * step if bool(step > 0) else t
