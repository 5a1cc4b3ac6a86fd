"""The small languages of the command line: dimensions, constants, sizes; and random tensors for a Program."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from derivcheck.checking.subject.domain import domain_of
from derivcheck.checking.subject.draw import fitting
from derivcheck.cli.asked import Source
from derivcheck.cli.target import is_index_text, load_target
from derivcheck.derive import derive
from derivcheck.derived import Derivation
from derivcheck.errors import InputError, perhaps
from derivcheck.kernels.cuda.function import DeviceFunction
from derivcheck.notation.program.program import Program
from derivcheck.notation.text.dims import parse_input
from derivcheck.tracing.program.annotations import annotated_dims

PRIMES = (5, 3, 2, 7, 11, 13, 17, 19)  # sizes of random data: all differ, none is a multiple of another


def read_dims(text: str) -> dict[str, str] | None:
    """``x: N in; W: out in`` as a dict; None for no text.

    >>> read_dims("x: N in; W: out in")
    {'x': 'N in', 'W': 'out in'}
    """
    found = {}
    for part in filter(None, (p.strip() for p in text.replace("\n", ";").split(";"))):
        name, colon, dims = part.partition(":")
        if not colon or not name.strip().isidentifier():
            raise InputError(f"--dims: found {part!r}; expected 'name: sizes', as in 'x: N in; W: out in'")
        found[name.strip()] = dims.strip()
    return found or None


def read_constants(pairs: Sequence[str]) -> dict[str, Any] | None:
    """``eps=1e-5`` pairs as a dict of Python literals; None for none.

    >>> read_constants(["eps=1e-5", "causal=True"])
    {'eps': 1e-05, 'causal': True}
    """
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        try:
            found[name.strip()] = ast.literal_eval(value.strip())
        except (SyntaxError, ValueError):
            equals = ""
        if not equals or not name.strip().isidentifier():
            raise InputError(f"--const: found {pair!r}; expected NAME=VALUE with a plain value, as in eps=1e-5")
    return found or None


def read_sizes(text: str) -> dict[str, int]:
    """``N=4, in=3`` as a dict.

    >>> read_sizes("N=4, in=3")
    {'N': 4, 'in': 3}
    """
    found = {}
    for part in filter(None, (p.strip() for p in text.replace(";", ",").split(","))):
        name, _, value = part.partition("=")
        if not value.strip().isdecimal() or not name.strip():
            raise InputError(f"--sizes: found {part!r}; expected NAME=NUMBER, as in 'N=4, in=3'")
        found[name.strip()] = int(value)
    return found


def derivation_of(source: Source) -> Derivation:
    """The derivation of a TARGET with its options."""
    target, loss, wrt = source.target, source.loss, source.wrt or None
    named, constants = read_dims(source.dims), read_constants(source.const)
    if is_index_text(target):
        if loss or constants:
            raise InputError("index text takes neither --loss nor --const; write them into the text")
        return derive(target, dims=named, wrt=wrt)
    forward = load_target(target)
    goal = load_target(loss, "--loss") if loss else None
    if isinstance(forward, torch.nn.Module):
        return derive(forward, loss=goal, dims=named, constants=constants, wrt=wrt)
    if goal is not None:
        raise InputError(f"--loss goes with a module; {target!r} is a function, which can call its loss itself")
    known = isinstance(forward, (Derivation, DeviceFunction)) or annotated_dims(forward, constants or ())
    if not named and not known:
        raise InputError(f"{target!r} is a function: name its dimensions with --dims, as in 'x: N in; W: out in'")
    return derive(forward, dims=named, constants=constants, wrt=wrt)


def declared(dims: Mapping[str, str]) -> Program:
    """The inputs of a function as ``--dims`` declares them: a Program that reads them and does nothing."""
    return Program(tuple(parse_input(n, text) for n, text in dims.items()), (), ())


def random_inputs(
    program: Program,
    given: Mapping[str, int],
    seed: int,
    skip: frozenset[str] = frozenset(),
    where: str = "",
    constants: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A float64 (or integer) tensor per input of a Program, at the given sizes and distinct primes for the others.

    Args:
        where: what the sizes and the data are within, as ``check`` takes it; sizes that are not given are moved there.

    Raises:
        InputError: a size that the Program does not have, a dimension that would be empty, or no data within ``where``.
    """
    names = program.sizes()
    for n in given:
        if n not in names:
            raise InputError(f"--sizes: there is no size {n!r}; those are {', '.join(names) or 'none'}{perhaps(n, names)}")
    free = iter(PRIMES + tuple(range(23, 23 + len(names))))
    sizes = {n: given[n] if n in given else next(free) for n in names}
    program, domain = domain_of(program, None, where or None, constants or {})
    sizes = fitting(program, sizes, [n for n in names if n not in given]) or sizes
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Any] = {}
    for a in program.arguments:
        if a.name in skip:
            continue
        shape = [p.at(sizes) for p in a.dims]
        if any(n < 1 for n in shape):
            raise InputError(f"{a.name} would have shape {tuple(shape)} at {sizes}; choose other --sizes")
        if a.kind == "float":
            found[a.name] = torch.randn(shape, generator=generator, dtype=torch.float64)
        elif a.kind == "bool":
            found[a.name] = torch.rand(shape, generator=generator) < 0.5
        else:
            found[a.name] = torch.randint(max(1, a.below.at(sizes) if a.below is not None else 2), shape, generator=generator)
    known = found.keys() | sizes.keys() | (constants or {}).keys()
    for k in range(ATTEMPTS):
        broken = domain.broken(found, sizes) if domain.restricted <= known else None
        if broken is None:
            return found
        for n in broken.names & found.keys():
            if found[n].is_floating_point():
                found[n] = _KINDS[k % len(_KINDS)](torch.randn(found[n].shape, generator=generator, dtype=torch.float64))
    raise InputError(f"--where: no random data was found of which {broken} holds; give the check data of your own from Python")


ATTEMPTS = 32  # each kind of data below five times
_KINDS: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = (  # data to try, of which conditions may hold
    torch.abs, lambda t: -t.abs(), torch.sigmoid, lambda t: t, lambda t: 1 + t.abs(),
    lambda t: t @ t.mT + torch.eye(t.shape[-1], dtype=t.dtype) if t.ndim > 1 and t.shape[-1] == t.shape[-2] else t,
)  # fmt: skip
