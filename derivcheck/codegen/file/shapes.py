"""Sizes from shapes: ``N, in_features = input.shape`` at the top, and a check that the shapes fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from derivcheck.codegen.graph.numbers import UNARY, Speller
from derivcheck.notation.integers.polynomials import Poly, Size, as_poly
from derivcheck.notation.program.definitions import Input

_WORD = re.compile(r"[^\W\d]\w*")


@dataclass
class Sizes:
    """How the sizes of a Program are found.

    Attributes:
        lines: statements that read them from shapes.
        checks: conditions that the shapes fulfil.
        free: sizes that no shape determines: keyword arguments.
    """

    lines: list[str] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    free: list[str] = field(default_factory=list)

    def leading_to(self, wanted: Collection[str]) -> list[str]:
        """Those lines that these sizes are read by; ``wanted`` are names in the code."""
        kept: list[str] = []
        needed = set(wanted)
        for line in reversed(self.lines):
            left, _, right = line.partition(" = ")
            if needed.intersection(_WORD.findall(left)):
                kept.append(line)
                needed.update(_WORD.findall(right))
        return kept[::-1]


def find_sizes(arguments: Sequence[Input], wanted: Sequence[str], spell: Speller, name: Callable[[str], str]) -> Sizes:
    """The statements that determine every size.

    Args:
        arguments: the inputs whose shapes are known.
        wanted: further sizes that the code uses.
        spell, name: how integer expressions and inputs are spelled.
    """
    found = Sizes()
    known: set[str] = set()
    whole: set[str] = set()
    for a in arguments:
        new: list[str] = []
        pattern = []
        for p in a.dims:
            atom = p.atom
            if isinstance(atom, Size) and atom.name not in known:
                known.add(atom.name)
                new.append(atom.name)
                pattern.append(spell.name(atom))
            else:
                pattern.append("_")
        if new:
            inner = f"({pattern[0]},)" if len(pattern) == 1 else ", ".join(pattern)
            found.lines.append(f"{inner} = {name(a.name)}.shape")
            if len(new) == len(pattern):
                whole.add(a.name)
    every = dict.fromkeys(s for a in arguments for p in a.dims for s in sorted(p.sizes()))
    every.update(dict.fromkeys(wanted))
    open_ = [(a, k, p) for a in arguments for k, p in enumerate(a.dims) if not p.sizes() <= known]
    progress = True
    while progress:
        progress = False
        for a, k, p in open_:
            missing = p.sizes() - known
            solved = _solve(p, next(iter(missing))) if len(missing) == 1 else None
            if solved is None:
                continue
            slope, rest = solved
            (unknown,) = missing
            text = f"{name(a.name)}.shape[{k}]"
            if rest.terms:
                text = f"({text} - {spell.poly(rest, UNARY)})"
            if slope is not as_poly(1):
                one = slope.constant is not None
                by = spell.poly(slope, UNARY) if one else f"{spell.use('max')}({spell.poly(slope)}, 1)"
                text = f"{text} // {by}"
            found.lines.append(f"{spell.name(Size(unknown))} = {text.strip('()') if slope is as_poly(1) else text}")
            known.add(unknown)
            progress = True
    found.free = [s for s in every if s not in known]
    for a in arguments:
        if a.name not in whole:
            inner = ", ".join(spell.poly(p) for p in a.dims)
            found.checks.append(f"{name(a.name)}.shape == ({inner}{',' if len(a.dims) == 1 else ''})")
    return found


def _solve(p: Poly, unknown: str) -> tuple[Poly, Poly] | None:
    """``(slope, rest)`` with ``p = slope·unknown + rest``, both free of it."""
    slope, rest = [], []
    atom = Size(unknown)
    for m, c in p.terms:
        others = tuple((a, e) for a, e in m if a is not atom)
        if any(unknown in a.names or unknown in as_poly(a).sizes() for a, _ in others):
            return None
        if len(others) == len(m):
            rest.append((m, c))
        elif dict(m)[atom] == 1:
            slope.append((others, c))
        else:
            return None
    return (Poly(slope), Poly(rest)) if slope else None
