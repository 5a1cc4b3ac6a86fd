"""The situations of the hostile probes: data, upstream gradients and ways of running that a backward has to stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import torch

from derivcheck.checking.arithmetic.cost import cost
from derivcheck.checking.arithmetic.pairs import HALVES
from derivcheck.checking.subject.draw import DataLike, another, fitting, possible
from derivcheck.checking.subject.elsewhere import at_sizes, changeable, coprime_sizes, kept
from derivcheck.checking.subject.kinds import fitted, rigid
from derivcheck.checking.subject.subject import Subject, Tensors, Upstream
from derivcheck.checking.verdict.derived import Derived

TAILS = (17, 19, 23, 11, 13, 9, 7, 5)  # beyond blocks of 4, 8 and 16, with something left over
LENGTHS = (  # for each, the lengths in the order in which they are tried
    ("odd tails", (TAILS, (9, 7, 11, 13, 5, 3, 7, 5))),
    ("sizes 2 and 3", ((2, 3) * 4,)),
    ("sizes 3 and 2", ((3, 2) * 4,)),
)
SIZES = ("coprime sizes", *(name for name, _ in LENGTHS))
WORK = 4e6  # multiplications that one run of the adjoint may cost at other sizes
LONG = (1031, 131, 37)  # more than a block of a kernel, with something left over
LARGE = 1 << 14  # elements beyond which probes run at small sizes, where the forward takes them
WIDE, NARROW = 20.0, 6.0  # powers of two, up and down, of an upstream gradient of all magnitudes; in half precision


@dataclass(frozen=True)
class Probe:
    """One hostile situation.

    Attributes:
        kinks: its data may stand at kinks, where a subgradient is as good as another.
        lenient: only where every right gradient is a number, and then: ``sound``, all that is found counts; ``coarse``, what
            is far off (another type than the caller's, data of another scale), NaN for a number included; ``finite``, NaN and
            infinities alone (numbers that underflow).
        refusable: code that raises here gives no wrong gradient.
        subject: the subject as it is run here, where it is not the caller's.
        before, leaves: see :func:`~derivcheck.checking.backward.found.find`.
        glanced: judged in full only where a glance at the adjoint's value sees a difference.
        numbers: data and upstream gradients with the same numbers, where these differ in their layout alone.
        reaching: made for a side that the data leave out: left without a word where the forward is not what was derived.
    """

    name: str
    tensors: Tensors
    upstream: Upstream
    kinks: bool = False
    lenient: str = ""
    refusable: bool = False
    subject: Subject | None = None
    before: tuple[Tensors, Upstream] | None = None
    leaves: bool = False
    reaching: bool = False
    glanced: bool = False
    numbers: tuple[Tensors, Upstream] | None = None


@dataclass(frozen=True)
class StartingData:
    """The data that probes start from.

    Attributes:
        data, ups: the caller's; where they are large, data of the same kind at small sizes.
        coprime: the small sizes, and less: data at these; None where no size may be changed.
        generator: of all that is drawn: a probe that draws from it in the middle changes the data of those after it.
    """

    data: Tensors
    ups: Upstream
    coprime: dict[str, int] | None
    less: tuple[Tensors, Upstream] | None
    generator: torch.Generator

    @property
    def bases(self) -> tuple[tuple[Tensors, Upstream], ...]:
        """All data to start from, the caller's first."""
        return ((self.data, self.ups), *([self.less] if self.less is not None and self.less[0] is not self.data else []))


def places(s: Subject, upstream: Upstream, right: Derived, seed: int) -> StartingData:
    """The data that the probes of a subject start from."""
    generator = torch.Generator().manual_seed(seed + 17)
    coprime = coprime_sizes(s, right.sizes)
    less = None if coprime is None else at_sizes(s, coprime, upstream, generator)
    total = sum(t.numel() for t in s.tensors.values())
    data, ups = (s.tensors, upstream) if total <= LARGE or less is None else less
    return StartingData(data, ups, coprime, less, generator)


def situations(s: Subject, upstream: Upstream, right: Derived, written: bool, where: StartingData) -> Iterator[Probe]:
    """Every probe that this subject has whatever its conditions.

    Args:
        written: the backward under test is a function of its own, called with the inputs by name.
    """
    data, ups, coprime, less, generator = where.data, where.ups, where.coprime, where.less, where.generator
    if less is not None:
        yield Probe("coprime sizes", *less, refusable=True)
    other = ups if s.native else _random(ups, generator)  # torch's own kernels are asked less
    yield Probe("twice in a row", data, ups, before=({n: _turned(t) for n, t in data.items()}, {n: -g for n, g in ups.items()}))
    if not s.native:
        yield Probe("another upstream", data, other)
    usual = dict(right.sizes) if coprime is None else coprime
    yield from _lengths(s, upstream, right, usual, generator)
    yield from _long(s, upstream, right, usual)
    yield from _layouts(s, data, ups, other, generator)
    yield from _values(s, data, ups, right, generator)
    yield from _magnitudes(s, *(less or (data, ups)), generator)
    yield from _ways(s, data, ups, written)


def _layouts(s: Subject, data: Tensors, ups: Upstream, other: Upstream, generator: torch.Generator) -> Iterator[Probe]:
    """The same numbers with other strides."""
    if any(g.ndim for g in ups.values()):
        yield Probe("non-contiguous upstream", data, {n: _strided(g) for n, g in other.items()}, numbers=(data, other))
        yield Probe("expanded upstream", data, {n: _expanded(g, generator) for n, g in ups.items()}, glanced=True)
    if any(g.ndim > 1 for g in ups.values()) and not s.native:
        yield Probe("transposed upstream", data, {n: _transposed(g) for n, g in other.items()}, numbers=(data, other))
    own = {a.name for a in s.derivation.program.arguments if kept(s, a)}  # these stand in memory as the module made them
    floats = [n for n, t in data.items() if t.is_floating_point() and n not in own]
    apart = {n: _strided(t) if n in floats else t for n, t in data.items()}
    yield Probe("non-contiguous inputs", apart, ups, numbers=(data, ups))
    wide = [n for n in floats if data[n].ndim > 1] if not s.native else []
    if wide:
        all_ = {n: _transposed(t) if n in wide else t for n, t in data.items()}
        yield Probe("transposed inputs", all_, ups, numbers=(data, ups))
    for n in wide[:4] if len(wide) > 1 else ():
        yield Probe(f"{n} transposed", {**data, n: _transposed(data[n])}, ups, numbers=(data, ups))


def _lengths(
    s: Subject, upstream: Upstream, right: Derived, coprime: Mapping[str, int], generator: torch.Generator
) -> Iterator[Probe]:
    """Other sizes."""
    program = s.derivation.program
    free = changeable(s, right.sizes)
    for name, choices in LENGTHS:
        for wanted in (dict(right.sizes) | dict(zip(free, lengths)) for lengths in choices):
            sizes = fitting(program, wanted, free)
            if free and sizes and sizes != right.sizes and cost(s.derivation.adjoint, sizes) <= WORK:
                yield Probe(name, *at_sizes(s, sizes, upstream, generator), refusable=True, glanced=True)
                break
    for n in free[:4]:
        sizes = fitting(program, dict(coprime) | {n: 1}, [m for m in free if m != n])
        if right.sizes[n] != 1 and sizes:
            yield Probe(f"{n} = 1", *at_sizes(s, sizes, upstream, generator), refusable=True, glanced=True)
    if free and not s.native and possible(program, none := dict(coprime) | {free[0]: 0}, least=0):
        yield Probe(f"{free[0]} = 0", *at_sizes(s, none, upstream, generator), lenient="sound", refusable=True)


def _long(s: Subject, upstream: Upstream, right: Derived, coprime: Mapping[str, int]) -> Iterator[Probe]:
    """Each size longer than a block.  torch's own kernels are not asked."""
    free, adjoint = changeable(s, right.sizes), s.derivation.adjoint
    if not free or s.native or any(d.recurrent for d in s.derivation.program.definitions):
        return
    generator = torch.Generator().manual_seed(29)
    longer = [(f"a long {n}", [dict(coprime) | {n: length} for length in LONG]) for n in free[:4]]
    for name, choices in longer:
        for wanted in choices:
            sizes = fitting(s.derivation.program, wanted, free)
            if sizes and sizes != right.sizes and cost(adjoint, sizes) <= WORK / 4:
                glance = name != longer[0][0]
                yield Probe(name, *at_sizes(s, sizes, upstream, generator), refusable=True, glanced=glance)
                break


def _values(s: Subject, data: Tensors, ups: Upstream, right: Derived, generator: torch.Generator) -> Iterator[Probe]:
    """Other values: parameters that are not 1, zeros, ties, repeated indices."""
    program = s.derivation.program
    arguments = {a.name: a for a in program.arguments}
    parameters = {n for n, a in arguments.items() if a.role == "parameter" and n not in s.held}
    # a buffer of equal numbers (running statistics as they start) says nothing of itself; another may have a structure
    told = {n for n, a in arguments.items() if a.role == "buffer" and n in data and _equal_floats(data[n])}
    if told or parameters & set(s.wrt):
        fresh = {
            n: another(program, arguments[n], DataLike(t, s.kinds.get(n, ())), right.sizes, generator)
            if n in told or n in parameters and data is s.tensors
            else t
            for n, t in data.items()
        }
        yield Probe("random parameters", fresh, ups, glanced=True)
    moved = _unbounded(s, data)
    if moved:
        for name, changed in (("zeros", partial(_zeros, generator=generator)), ("ties", tied)):
            made = {n: changed(t) if n in moved else t for n, t in data.items()}
            yield Probe(name, fitted(s.kinds, made), ups, kinks=True, glanced=True)
    whole = [n for n, a in arguments.items() if a.kind == "int" and n in data and data[n].numel() > 1 and n not in s.held]
    if whole:
        yield Probe(
            "repeated indices",
            {n: data[n].flatten()[:1].expand(data[n].shape).clone() if n in whole else t for n, t in data.items()},
            ups,
            glanced=True,
        )


def _magnitudes(s: Subject, data: Tensors, ups: Upstream, generator: torch.Generator) -> Iterator[Probe]:
    """Upstream gradients from 2^−20 to 2^20, with zeros; inputs at which a naive exponential overflows."""
    if s.native:
        return
    for name, sign in (("upstream of all magnitudes", 1), ("zero upstream", 0)):
        if sign or not any(g.ndim for g in ups.values()):
            yield Probe(name, data, {n: _wide(g, generator) * sign for n, g in ups.items()}, glanced=not sign)
    below = {n: -_random({n: g}, generator)[n].abs() - g.abs() for n, g in ups.items()}
    yield Probe("negative upstream", data, below, glanced=True)
    yield Probe("tiny upstream", data, {n: g * _least(g) ** 0.5 for n, g in below.items()}, lenient="sound", glanced=True)
    small = {n: g * (_least(g) / max(float(g.abs().max()), 1.0)) if g.numel() else g for n, g in ups.items()}
    yield Probe("denormal upstream", data, small, lenient="coarse", glanced=True)
    moved = _unbounded(s, data)
    if moved:
        tiny = {n: t * (_least(t) / max(float(t.abs().max()), 1.0)) if n in moved else t for n, t in data.items()}
        yield Probe("denormal inputs", tiny, ups, lenient="finite", glanced=True)
        large = {n: 1000 * t if n in moved else t for n, t in data.items()}  # exp(1000) is beyond float64
        yield Probe("large inputs", large, ups, lenient="coarse", glanced=True)


def _ways(s: Subject, data: Tensors, ups: Upstream, written: bool) -> Iterator[Probe]:
    """Other ways of running it on the same numbers."""
    if written:
        yield Probe("inputs that require a gradient", data, ups, leaves=True, refusable=True)
        dims = {a.name: (a.dims, a.role) for a in s.derivation.program.arguments}
        twins = next(((a, b) for a, b in combinations(s.wrt, 2) if dims.get(a, a) == dims.get(b, b)), None)
        if twins is not None:
            yield Probe("one tensor as two inputs", {**data, twins[1]: data[twins[0]]}, ups, kinks=True)
    single = torch.float32
    own = {n: t for n, t in data.items() if n not in s.held}
    if not s.native and all(t.dtype is torch.float64 for t in own.values() if t.is_floating_point()):
        narrow = {**data, **_in(single, own)}
        yield Probe("in float32", narrow, _in(single, ups), lenient="coarse", refusable=True, glanced=True)
    if s.call is None or written or s.native:
        return
    yield Probe("backward twice through one graph", data, ups, subject=replace(s, retained=True), refusable=True)
    for n in list(ups)[:6] if len(ups) > 1 else ():  # each of these is a run: six bound what many outputs cost
        alone = {m: g if m == n else torch.zeros_like(g) for m, g in ups.items()}
        yield Probe(f"a loss of {n} alone", data, alone, subject=replace(s, unused=frozenset(ups) - {n}))
    if s.met.accumulates:  # whether its parameters get gradients hangs on its inputs' requiring one, as torch says of such
        return
    for n in s.wrt[:6] if len(s.wrt) > 1 else ():
        yield Probe(f"gradient in {n} alone", data, ups, subject=replace(s, wrt=(n,)))
    if len(s.wrt) > 3:
        pair = s.wrt[0], s.wrt[-1]
        yield Probe(f"gradient in {' and '.join(pair)} alone", data, ups, subject=replace(s, wrt=pair))
    for n in s.wrt[:6] if len(s.wrt) > 2 else ():
        yield Probe(f"no gradient in {n}", data, ups, subject=replace(s, wrt=tuple(m for m in s.wrt if m != n)))


def _least(t: torch.Tensor) -> float:
    """A number so small that the type holds it with a few digits less."""
    return float(torch.finfo(t.dtype).smallest_normal) / 16


def _in(dtype: torch.dtype, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {n: t.to(dtype) if t.is_floating_point() else t for n, t in tensors.items()}


def _unbounded(s: Subject, data: Tensors) -> list[str]:
    """Inputs that may be of either sign, as far as their values tell, and that need not be of a kind."""
    free = [n for n in s.wrt if n in data and n not in rigid(s.kinds)]
    return [n for n in free if data[n].numel() > 1 and bool((data[n] <= 0).any())]


def _random(upstream: Upstream, generator: torch.Generator) -> Upstream:
    return {
        n: (1.5 * torch.randn(g.shape, generator=generator, dtype=torch.float64) + 0.25).to(g.device, g.dtype)
        for n, g in upstream.items()
    }


def _equal_floats(t: torch.Tensor) -> bool:
    return t.is_floating_point() and equal_numbers(t)


def equal_numbers(t: torch.Tensor) -> bool:
    """Whether its numbers, at least two, are all the same."""
    return t.numel() > 1 and bool((t == t.flatten()[0]).all())


def _strided(t: torch.Tensor) -> torch.Tensor:
    """The same numbers with other strides in every dimension, from the middle of a memory whose other numbers are NaN."""
    if not t.ndim:
        return t
    shape = (*t.shape[:-2], t.shape[-1], t.shape[-2]) if t.ndim > 1 else tuple(t.shape)
    whole = torch.full((2 * shape[0] + 1, *shape[1:]), torch.nan, dtype=t.dtype, device=t.device)
    view = whole[1::2]
    return (view.transpose(-1, -2) if t.ndim > 1 else view).copy_(t)


def _transposed(t: torch.Tensor) -> torch.Tensor:
    """The same numbers as ``w.t()`` has them: the transpose of what is contiguous."""
    return t.mT.contiguous().mT if t.ndim > 1 else t


def _wide(g: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Numbers of all magnitudes that the type holds well, some of them zero; of one number, a large negative one."""
    powers = NARROW if g.dtype in HALVES else WIDE
    if not g.ndim:
        return torch.full_like(g, -(2.0**powers))
    sizes = 2 ** (powers * (2 * torch.rand(g.shape, generator=generator, dtype=torch.float64) - 1))
    signs = torch.randint(-3, 4, g.shape, generator=generator).sign()
    signs.view(-1)[0] = int(signs.numel() < 2)  # however few they are
    return (sizes * signs).to(g.device, g.dtype)


def _turned(t: torch.Tensor) -> torch.Tensor:
    """The same numbers at other places."""
    return t.flip(tuple(range(t.ndim))) if t.is_floating_point() else t


def _expanded(g: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    number = torch.rand((), generator=generator, dtype=torch.float64) + 0.5
    return number.to(g.device, g.dtype).expand(g.shape)


def _zeros(t: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return t * (torch.rand(t.shape, generator=generator) < 0.6).to(t.device)


def tied(t: torch.Tensor) -> torch.Tensor:
    """Rounded so coarsely that several numbers are equal; what is positive stays so."""
    step = t.abs().max() / 2
    if not bool(step > 0):
        return t
    return ((t / step).ceil() if bool((t > 0).all()) else (t / step).round()) * step
