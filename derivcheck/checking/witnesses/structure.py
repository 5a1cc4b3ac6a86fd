"""What the index structure of a Program says about finite differences: degree, colours, a batched form."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import count as numbers_from
from typing import Any

import numpy as np
import numpy.typing as npt

from derivcheck.checking.arithmetic.cost import volume
from derivcheck.checking.subject.flow import dependents
from derivcheck.notation.integers.polynomials import Index, i_poly
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import mul
from derivcheck.notation.terms.nodes import Add, Bracket, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term
from derivcheck.notation.terms.substitute import transform
from derivcheck.notation.terms.walk import refs, subterms

SMALL = 1 << 12  # elements that an output may always be opened to
Array = npt.NDArray[np.float64]


def _float_names(term: Term) -> set[str]:
    return {r.name for r in refs(term)}


def unreduced(
    program: Program, upstream: Mapping[str, Any], inputs: Iterable[str], sizes: Mapping[str, int]
) -> tuple[Program, dict[str, Array]]:
    """The Program of what these flow through, its outputs without their last sum, and the weight of each output element.

    What does not depend on them becomes an input.
    """
    inputs = tuple(inputs)
    flows = dependents(program, *inputs)
    names = {d.name for d in flows}
    floats = [o for o in program.outputs if program.kind(o) == "float"]
    weights: dict[str, Array] = {}
    last: list[Definition] = []
    spare = (f"output_{k}" for k in numbers_from())
    for o, g in zip(floats, upstream.values()):
        if o not in names and o not in inputs:
            continue
        dims = program.dims(o)
        indices = program.definition(o).indices if o in names else tuple(Index(f"a{k}", p) for k, p in enumerate(dims))
        term: Term = program.definition(o).term if o in names else Ref(o, tuple(i_poly(i) for i in indices))
        label = next(n for n in spare if n not in program.names)
        inner, body = _opened(term, names.union(inputs))
        arrays = [math.prod(p.at(sizes) for p in program.dims(r.name)) for r in refs(body)]
        if volume(indices + inner, sizes) > max(4 * max(arrays, default=0), SMALL):  # a matrix product stays one
            inner, body = (), term
        last.append(Definition(label, indices + inner, body))
        g = np.asarray(g, dtype=np.float64)
        weights[label] = g.reshape(g.shape + (1,) * len(inner))
    needed = {n for d in last for n in d.term.names}
    inside: set[str] = set()
    while more := [d for d in flows if d.name in needed and d.name not in inside]:  # recurrences may need each other
        inside |= {d.name for d in more}
        needed = needed.union(*(d.term.names for d in more))
    kept = [d for d in flows if d.name in inside]
    every = needed.union(inputs) | {n for d in (*kept, *last) for p in d.dims for n in p.names}
    arguments = [a for a in program.arguments if a.name in every]
    arguments += [Input(d.name, d.dims, d.kind) for d in program.definitions if d.name in every and d.name not in inside]
    return Program(tuple(arguments), (*kept, *last), tuple(weights)), weights


def _opened(term: Term, moving: set[str]) -> tuple[tuple[Index, ...], Term]:
    """``c·Σ body`` as the indices of the sum and ``c·body``, where only the sum moves; else no indices and the term."""
    if isinstance(term, Over) and term.kind == "sum":
        return term.indices, term.body
    if isinstance(term, Mul):
        sums = [a for a in term.args if isinstance(a, Over) and a.kind == "sum"]
        rest = [a for a in term.args if a not in sums]
        if len(sums) == 1 and all(a.names.isdisjoint(moving) for a in rest):
            (total,) = sums
            assert isinstance(total, Over)
            if not any(set(total.indices) & a.free for a in rest):
                return total.indices, mul(*rest, total.body)
    return (), term


def frozen(program: Program, *names: str) -> tuple[Program, Program]:
    """The same Program with every ``[a = b]`` of moving numbers as an input, and the Program that gives these inputs.

    Equality of real numbers does not survive any step, however small: an even share among ties is defined at the
    point, and so is its derivative.  Not so where the same definition compares the numbers by ``>`` too: it then says
    itself what it is beside the tie.
    """
    moving = {*names} | {d.name for d in dependents(program, *names)}
    found: dict[Term, Definition] = {}
    ordered: set[Any] = set()

    def change(t: Term) -> Term:
        equal = isinstance(t, Bracket) and t.relation in ("==", "!=") and isinstance(t.operand, Term)
        if not equal or t.names.isdisjoint(moving) or t.operand in ordered:  # type: ignore[attr-defined]
            return t
        if t not in found:
            indices = tuple(sorted(t.free, key=lambda i: i.key))
            found[t] = Definition(f"equal_{len(found)}", indices, t)
        return Ref(found[t].name, tuple(i_poly(i) for i in found[t].indices))

    definitions = []
    for d in program.definitions:
        if d.name in moving:
            ordered = {t.operand for t in subterms(d.term) if isinstance(t, Bracket) and t.relation in (">", ">=")}
            d = replace(d, term=transform(d.term, change))
        definitions.append(d)
    if not found:
        return program, Program((), (), ())
    extra = tuple(Input(d.name, d.dims) for d in found.values())
    needed = {n for d in found.values() for n in d.term.names}
    inputs = [a for a in program.arguments if a.name in needed]
    inputs += [Input(d.name, d.dims, d.kind) for d in program.definitions if d.name in needed]
    return replace(program, arguments=(*program.arguments, *extra), definitions=tuple(definitions)), Program(
        tuple(inputs), tuple(found.values()), tuple(d.name for d in found.values())
    )


def compared(program: Program, name: str) -> bool:
    """Whether the code asks of numbers that move with ``name`` whether they are equal to others: no step keeps that."""
    moving = {name} | {d.name for d in dependents(program, name)}
    return any(
        isinstance(t, Bracket) and t.relation in ("==", "!=") and isinstance(t.operand, Term) and not t.names.isdisjoint(moving)
        for d in program.definitions
        for t in subterms(d.term)
    )


def degree(program: Program, name: str) -> float:
    """The degree of the outputs as polynomials in ``name``; infinite where they are none.

    >>> from derivcheck.notation.integers.polynomials import size
    >>> from derivcheck.notation.terms.build import power, ref
    >>> n = Index("n", size("N"))
    >>> square = Definition("y", (n,), power(ref("x", n), 2))
    >>> degree(Program((Input("x", (size("N"),)),), (square,), ("y",)), "x")
    2
    """
    of: dict[str, float] = {name: 1}
    for d in program.definitions:
        of[d.name] = (
            0
            if d.stop or d.kind != "float"
            else math.inf
            if d.recurrent and not _float_names(d.term).isdisjoint(of)
            else _degree(d.term, of)
        )
    return max((of[o] for o in program.outputs), default=0)


def _degree(t: Term, of: Mapping[str, float]) -> float:
    """The degree of a term as a polynomial in some inputs; infinite where it is none."""
    if isinstance(t, (Number, SizeOf)):
        return 0
    if isinstance(t, Ref):
        return of.get(t.name, 0)
    if isinstance(t, Add):
        return max(_degree(a, of) for a in t.args)
    if isinstance(t, Mul):
        return sum(_degree(a, of) for a in t.args)
    if isinstance(t, Over) and t.kind == "sum":
        return _degree(t.body, of)
    if isinstance(t, Pow) and isinstance(t.exponent, Number):
        inner = _degree(t.base, of)
        whole = t.exponent.value.denominator == 1 and t.exponent.value >= 0
        return inner * int(t.exponent.value) if whole and inner else (math.inf if inner else 0)
    if isinstance(t, Bracket) and not isinstance(t.operand, Term):
        return 0
    if isinstance(t, (Bracket, Func, Over, Pow)):
        return math.inf if any(_degree(k, of) for k in t.children) else 0
    return math.inf


@dataclass
class Colouring:
    """Which elements of an input move together.

    Attributes:
        free: the axes in which they are told apart; a colour is a position in these.
        shape: the lengths of these axes.
        summed: per output, its axes (of the batched array, the colour first) that are added up.
        order: per output, how what is left is transposed to the colour, then the input's parallel axes in order.
        output: elements of all outputs for one colour.
    """

    free: tuple[int, ...]
    rank: int
    shape: tuple[int, ...]
    summed: dict[str, tuple[int, ...]]
    order: dict[str, tuple[int, ...]]
    output: int

    @property
    def count(self) -> int:
        """The number of colours."""
        return math.prod(self.shape)

    def element(self, colour: int) -> tuple[Any, ...]:
        """The elements of a colour: a slice in each parallel axis."""
        at = iter(np.unravel_index(colour, self.shape)) if self.shape else iter(())
        return tuple(int(next(at)) if k in self.free else slice(None) for k in range(self.rank))


def colouring(program: Program, name: str, shape: tuple[int, ...], sizes: Mapping[str, int]) -> Colouring:
    """The colours of ``name`` in a Program that :func:`unreduced` gave."""
    ties: dict[str, list[int | None]] = {name: list(range(len(shape)))}
    moving = {d.name for d in dependents(program, name)}
    for _ in range(len(shape) * (len(moving) + 1) + 1):
        before = {k: list(v) for k, v in ties.items()}
        for d in program.definitions:
            if d.name in moving:
                ties[d.name] = [_tie(d, p, ties) for p in range(len(shape))]
        if before == ties:
            break
    parallel: list[int] = []
    for p in range(len(shape)):
        axes = [ties[o][p] for o in program.outputs]
        used = {(o, ties[o][q]) for o in program.outputs for q in parallel}
        fits = all(a is not None and program.dims(o)[a].at(sizes) == shape[p] for o, a in zip(program.outputs, axes))
        if fits and not any((o, a) in used for o, a in zip(program.outputs, axes)):
            parallel.append(p)
    free = tuple(p for p in range(len(shape)) if p not in parallel)
    summed, order, output = {}, {}, 0
    for o in program.outputs:
        dims = program.dims(o)
        kept = [ties[o][p] for p in parallel]
        summed[o] = tuple(k + 1 for k in range(len(dims)) if k not in kept)
        left = sorted(k for k in kept if k is not None)
        order[o] = (0, *(left.index(k) + 1 for k in kept if k is not None))
        output += math.prod(p.at(sizes) for p in dims)
    return Colouring(free, len(shape), tuple(shape[p] for p in free), summed, order, output)


def _tie(d: Definition, p: int, ties: Mapping[str, list[int | None]]) -> int | None:
    """The axis of ``d`` along which the input's axis ``p`` is carried unchanged by every reference, or None."""
    found: set[int | None] = set()
    for r in refs(d.term):
        if r.name not in ties:
            continue
        axis = ties[r.name][p]
        index = None if axis is None else r.at[axis].index
        found.add(d.indices.index(index) if index is not None and index in d.indices else None)
    return found.pop() if len(found) == 1 else None


def batched(program: Program, names: Collection[str], colour: Index) -> Program:
    """The same Program for many values of these at once: ``colour`` is a new first index of all that depends on them."""
    moving = {*names} | {d.name for d in dependents(program, *names)}

    def change(t: Term) -> Term:
        return Ref(t.name, (i_poly(colour), *t.at)) if isinstance(t, Ref) and t.name in moving else t

    arguments = tuple(replace(a, dims=(colour.size, *a.dims)) if a.name in names else a for a in program.arguments)
    definitions = tuple(
        replace(d, indices=(colour, *d.indices), term=transform(d.term, change), paths=()) if d.name in moving else d
        for d in program.definitions
    )
    return replace(program, arguments=arguments, definitions=definitions)
