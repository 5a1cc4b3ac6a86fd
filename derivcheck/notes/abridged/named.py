"""Names as the user's code has them; a value that has none is called as the field calls it, or by a letter that is free."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, count

from derivcheck.derivation.tidy import match
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notes.abridged.written_in import is_softmax

_NUMBER = re.compile(r"_\d+$")
_OF_ROWS = frozenset("zyasmp")  # what rows call a result that they know nothing of
_LETTERS = "uvwrshqacefgpz"


def names(program: Program) -> dict[str, str]:
    """What definitions are called: the user's own names, ``cos`` and not ``cos_1``; the one scalar output is ``L``.

    >>> from dataclasses import replace
    >>> from derivcheck.notation.text.parse import parse_program
    >>> p = parse_program("z_3[n] := x[n]^2; m := sum(n: z_3[n])", {"x": "N"})
    >>> names(replace(p, definitions=tuple(replace(d, variable="") for d in p.definitions)))
    {'m': 'L', 'z_3': 'u'}
    """
    free = _Free(program)
    found: dict[str, str] = {}
    nameless = [d for d in program.definitions if not d.variable and not _is_gradient(d.name, program)]
    for d in program.definitions:
        if d.variable and d.variable != d.name:
            found[d.name] = free.first(d.variable)
    for d in nameless:
        if d.name in program.outputs:
            found[d.name] = free.first(*_output(d, program), d.name)
    for d in nameless:
        if d.name not in found:
            base = _NUMBER.sub("", d.name)
            field = ("P",) if is_softmax(d.term) else () if base in _OF_ROWS else (base,)
            found[d.name] = free.first(*field, *_LETTERS, d.name)
    return {a: b for a, b in found.items() if a != b}


def _is_gradient(name: str, program: Program) -> bool:
    """Whether it is the gradient of something else in the Program, a gradient that is derived again."""
    return _NUMBER.sub("", name).endswith("_bar") and _NUMBER.sub("", name).removesuffix("_bar") in program.names


class _Free:
    """Names that are still free; those of inputs, sizes and the user's own are not."""

    def __init__(self, program: Program) -> None:
        self.taken = {*program.inputs, *program.sizes(), *(d.name for d in program.definitions if d.variable == d.name)}
        self.taken |= {f"{n}_bar" for n in program.inputs}  # the gradients to come

    def first(self, *wishes: str) -> str:
        """The first wish that is free, else the last one with a number; it is taken."""
        for wish in chain(wishes, _numbered(wishes[-1])):
            if wish not in self.taken:
                self.taken.add(wish)
                return wish
        raise AssertionError("numbers end nowhere")


def _numbered(base: str) -> Iterator[str]:
    return (f"{base}_{k}" for k in count(1))


def _output(d: Definition, program: Program) -> Iterator[str]:
    """What an output is called that the code gives back without a name."""
    if program.scalar and d.kind == "float":
        yield from ("loss",) if d.name == "loss" else ("L", "loss")
    elif (base := _NUMBER.sub("", d.name)) not in _OF_ROWS - {"p"}:
        yield base
    yield from ("y", "z", "u", "out", "output")


def without_twins(program: Program) -> Program:
    """The same Program where a value that the code computes twice is one: a second one that has no name goes.

    >>> from dataclasses import replace
    >>> from derivcheck.notation.text.parse import parse_program
    >>> p = parse_program("m[n] := sum(c: x[n,c]); s[k] := sum(d: x[k,d]); y[n] := m[n]*s[n]", {"x": "N C"})
    >>> p = replace(p, definitions=(p.definitions[0], replace(p.definitions[1], variable=""), p.definitions[2]))
    >>> print(without_twins(p).definitions[-1].term)
    m[n]^2
    """
    kept: list[Definition] = []
    same: dict[str, str] = {}
    for d in (_read_anew(d, same) for d in program.definitions):
        twin = next((e for e in kept if _twin(e, d)), None) if not d.variable and d.name not in program.outputs else None
        if twin is None:
            kept.append(d)
        else:
            same[d.name] = twin.name
    return replace(program, definitions=tuple(kept)) if same else program


def _read_anew(d: Definition, same: dict[str, str]) -> Definition:
    return Program((), (d,), ()).rename(same).definitions[0] if not d.term.names.isdisjoint(same) else d


def _twin(e: Definition, d: Definition) -> bool:
    """Whether two definitions are the same function of the same."""
    if e.stop != d.stop or e.kind != d.kind or e.dims != d.dims or e.recurrent or d.recurrent:
        return False
    wanted = dict(zip(e.indices, d.indices))
    return any(
        all(p.index is wanted[i] for i, p in b.items()) and len(b) == len(wanted)
        for b in match(e.term, d.term, {}, frozenset(e.indices))
    )
