"""The meaning of a Program on numbers: each definition as an array.

This is what a Program *says*, independent of the torch code that is generated from it.  It is generic
over the numbers (:mod:`derivcheck.notation.values.numbers`): float64, exact rationals, SymPy expressions, and
the (value, error) pairs of the rounding bound.

>>> from derivcheck.notation.program.definitions import Definition, Input
>>> from derivcheck.notation.integers.polynomials import Index, size
>>> from derivcheck.notation.terms.build import mul, ref
>>> from derivcheck.notation.terms.substitute import summation
>>> N, n = size("N"), Index("n", size("N"))
>>> dot = Definition("y", (), summation([n], mul(ref("a", n), ref("b", n))))
>>> program = Program((Input("a", (N,)), Input("b", (N,))), (dot,), ("y",))
>>> float(evaluate(program, {"a": [1.0, 2.0], "b": [3.0, 4.0]})["y"])
11.0
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from derivcheck.errors import InputError
from derivcheck.notation.integers.polynomials import Index, as_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.recurrence import loop
from derivcheck.notation.terms.nodes import MATRICES, Add, Bracket, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term
from derivcheck.notation.values.axes import OverIndices
from derivcheck.notation.values.contract import contract
from derivcheck.notation.values.float64 import Numpy
from derivcheck.notation.values.gather import gathered
from derivcheck.notation.values.inner_sums import split
from derivcheck.notation.values.measure import measure
from derivcheck.notation.values.numbers import Bools, Mask, Numbers, Whole
from derivcheck.notation.values.places import Places

LARGE = 1 << 12  # elements that are worth reading one dimension after the other
DENSE = 1 << 22  # a sum of products is distributed over its addends where the whole would have more elements


def evaluate(
    program: Program,
    inputs: Mapping[str, Any],
    sizes: Mapping[str, int] | None = None,
    numbers: Numbers | None = None,
) -> dict[str, Any]:
    """Every definition of ``program`` on numbers.

    Args:
        inputs: an array (or torch tensor, list, number) per input; an upstream gradient without
            dimensions may be left out and is 1.
        sizes: sizes that no input's shape determines.
        numbers: what to compute with; default float64.

    Returns:
        name -> array of shape ``dims``, for the definitions in order; float64 unless ``numbers`` says otherwise.

    Raises:
        InputError: a missing input, or shapes that clash.
        UnsupportedOperation: a scalar function without a value in these numbers.
    """
    machine = Evaluation(program, inputs, sizes, numbers or Numpy())
    with np.errstate(all="ignore"):
        machine.run()
    return {d.name: machine.arrays[d.name] for d in program.definitions}


class Evaluation(Places):
    """One evaluation: the sizes, the arrays found so far, and the terms of the definition at hand."""

    def __init__(self, program: Program, inputs: Mapping[str, Any], sizes: Mapping[str, int] | None, numbers: Numbers) -> None:
        """Take the inputs as these numbers, and the sizes from their shapes."""
        super().__init__(numbers)
        self.program = program
        self.memo: dict[Term, OverIndices] = {}
        self.sound: dict[str, bool] = {}  # whether all numbers of an array are finite, inside one definition
        shapes = {}
        for argument in program.arguments:
            name = argument.name
            if name in inputs:
                self.arrays[name] = numbers.given(inputs[name], name)
            elif argument.role == "upstream" and not argument.dims:
                self.arrays[name] = numbers.number(Fraction(1))
            else:
                raise InputError(f"{name} is missing; the inputs are {', '.join(program.inputs)}")
            shapes[name] = numbers.shape(self.arrays[name])
        self.sizes = measure(program, shapes, sizes)

    # -- definitions ---------------------------------------------------------
    def run(self) -> None:
        for group in self.program.groups:
            if len(group) == 1 and not group[0].recurrent:
                self.arrays[group[0].name] = self.define(group[0])
            else:
                self.repeat(group)

    def define(self, d: Definition) -> Any:
        """The array of a definition, over all its indices that are not fixed."""
        self.memo, self.sound = {}, {}
        found = self.spread(self.value(d.term), tuple(i for i in d.indices if i not in self.fixed))
        if d.kind == "int" and all(self.program.kind(n) == "int" for n in d.term.names):
            found = self.numbers.integers(Whole(self.numbers.whole(found).values))  # integers of integers are exact
        return self.numbers.held(found) if d.stop else found

    def repeat(self, group: Sequence[Definition]) -> None:
        """A recurrence: along one index where the references show one, else until nothing changes."""
        for d in group:
            self.set(d.name, self.numbers.zeros([self.extent(i) for i in d.indices]))
        plan = loop(group)
        if plan is not None and len({self.extent(d.indices[plan.axes[d.name]]) for d in group}) == 1:
            first = group[0].indices[plan.axes[group[0].name]]
            steps = range(self.extent(first))
            for k in reversed(steps) if plan.down else steps:
                for d in plan.order:
                    axis = plan.axes[d.name]
                    self.fixed = {d.indices[axis]: k}
                    found = self.define(d)
                    self.arrays[d.name] = self.numbers.put(self.arrays[d.name], axis, k, found)
                    self.wholes.pop(d.name, None)
            self.fixed = {}
            return
        most = sum(math.prod(self.extent(i) for i in d.indices) for d in group) + 2
        for _ in range(most):
            new = {}
            for d in group:
                new[d.name] = self.define(d)
            settled = all(self.numbers.same(new[d.name], self.arrays[d.name]) for d in group)
            for name, array in new.items():
                self.set(name, array)
            if settled:
                return
        raise InputError(f"{', '.join(d.name for d in group)} refer to each other without an end")

    def set(self, name: str, array: Any) -> None:
        self.arrays[name] = array
        self.wholes.pop(name, None)

    # -- terms -----------------------------------------------------------------------
    def value(self, term: Term) -> OverIndices:
        found = self.memo.get(term)
        if found is None:
            found = self.memo[term] = self._value(term)
        return found

    def _value(self, term: Term) -> OverIndices:
        """The value of a node from those of its children."""
        numbers = self.numbers
        if isinstance(term, Ref):
            return self.read(term)
        if isinstance(term, Number):
            return OverIndices(numbers.number(term.value), ())
        if isinstance(term, Mul):
            return self.product(term.args)
        if isinstance(term, SizeOf):
            place = self.place(term.value)
            shape = tuple(self.extent(i) for i in place.axes)
            full = Whole(np.broadcast_to(np.asarray(place.values), shape), place.open)
            return OverIndices(numbers.integers(full), place.axes)
        if isinstance(term, Bracket):
            mask, axes = self.mask(term)
            return OverIndices(numbers.indicator(mask), axes)
        if isinstance(term, Add):
            return self.addition([self.value(a) for a in term.args])
        if isinstance(term, Pow):
            base = self.value(term.base)
            if isinstance(term.exponent, Number):
                return OverIndices(numbers.power(base.data, term.exponent.value), base.axes)
            return self.binary("power", base, self.value(term.exponent))
        if isinstance(term, Func):
            parts = [self.value(a) for a in term.args]
            axes = self.union(p.axes for p in parts)
            return OverIndices(numbers.func(term.name, [self.align(p, axes) for p in parts]), axes)
        assert isinstance(term, Over)
        return self.matrix(term) if term.kind in MATRICES else self.reduce(term)

    def addition(self, parts: Sequence[OverIndices]) -> OverIndices:
        """``a + b + …``."""
        total = parts[0]
        for p in parts[1:]:
            total = self.binary("add", total, p)
        if len(parts) < 3:
            return total
        return OverIndices(self.numbers.added(total.data, [self.align(p, total.axes) for p in parts]), total.axes)

    def read(self, term: Ref) -> OverIndices:
        """``name[at]``: axes where a position is a plain index, gathered where it is an expression."""
        numbers = self.numbers
        if term.name not in self.arrays:
            raise InputError(f"nothing defines {term.name!r} before it is used")
        array = self.arrays[term.name]
        shape = numbers.shape(array)
        if len(shape) != len(term.at):
            raise InputError(f"{term} has {len(term.at)} positions, but {term.name} has {len(shape)} dimensions")
        plain = None if self.fixed else _plain(term)
        if plain is not None and 0 not in shape and all(self.extent(i) == n for i, n in zip(plain, shape)):
            return OverIndices(array, plain)
        if 0 not in shape and (cut := self.cut(term, shape)) is not None:
            at, axes = cut
            return OverIndices(array if all(p == slice(None) for p in at) else numbers.take(array, at, None), axes)
        axes = self.axes_of(frozenset().union(*(p.indices for p in term.at)))
        lengths = tuple(self.extent(i) for i in axes)
        if 0 in shape:
            return OverIndices(numbers.zeros(lengths), axes)
        holes = isinstance(numbers, Numpy) and numbers.holes
        if math.prod(lengths) > LARGE and not holes and (found := gathered(self, array, term)) is not None:
            return found
        places = [self.place(p, axes) for p in term.at]
        doubts = [p.open for p in places if p.open is not None]
        doubt = np.broadcast_to(np.logical_or.reduce(np.broadcast_arrays(*doubts)), lengths) if doubts else None
        at = tuple(np.broadcast_to(self.within(p, n), lengths) for p, n in zip(places, shape))
        read = numbers.take(array, at, doubt)
        if isinstance(numbers, Numpy) and numbers.holes:
            outside = [np.asarray((p.values < 0) | (p.values >= n)) for p, n in zip(places, shape)]
            if any(o.any() for o in outside):
                there = np.logical_or.reduce(np.broadcast_arrays(*outside))
                read = numbers.emptied(read, np.broadcast_to(there, lengths))
        return OverIndices(read, axes)

    def cut(self, term: Ref, shape: tuple[int, ...]) -> tuple[tuple[Any, ...], tuple[Index, ...]] | None:
        """The positions as numbers and slices where each is a constant or a plain index, met once; else None."""
        at: list[Any] = []
        axes: list[Index] = []
        for p, n in zip(term.at, shape):
            index = p.index
            if not p.names and p.indices <= self.fixed.keys():
                at.append(int(self.within(self.place(p, ()), n)))
            elif index is not None and index not in axes and (extent := self.extent(index)) <= n:
                at.append(slice(None) if extent == n else slice(0, extent))
                axes.append(index)
            else:
                return None
        return tuple(at), tuple(axes)

    def product(self, factors: Sequence[Term]) -> OverIndices:
        """A product, elementwise; brackets select."""
        brackets = [f for f in factors if isinstance(f, Bracket)]
        rest = [self.value(f) for f in factors if not isinstance(f, Bracket)]
        if not rest:
            rest = [OverIndices(self.numbers.number(Fraction(1)), ())]
        total = rest[0]
        for other in rest[1:]:
            total = self.binary("mul", total, other)
        for b in brackets:
            total = self.select(b, total)
        return total

    def select(self, b: Bracket, value: OverIndices) -> OverIndices:
        """The value where a bracket holds, 0 elsewhere."""
        return self.selected(*self.mask(b), value)

    def selected(self, mask: Mask, where: tuple[Index, ...], value: OverIndices) -> OverIndices:
        """The value where a mask over these axes holds."""
        axes = self.union((value.axes, where))
        held = self.laid(mask.holds, where, axes)
        opened = None if mask.open is None else self.laid(mask.open, where, axes)
        return OverIndices(self.numbers.where(Mask(held, opened), self.align(value, axes)), axes)

    def laid(self, m: Bools, where: tuple[Index, ...], axes: tuple[Index, ...]) -> Bools:
        """A mask with its axes in the order of ``axes``, of length 1 where it has none."""
        return m.transpose([where.index(i) for i in axes if i in where]).reshape(
            [self.extent(i) if i in where else 1 for i in axes]
        )

    def reduce(self, term: Over) -> OverIndices:
        """A reduction: the indices that it runs over come last, in their order, and are folded."""
        if term.kind == "sum":
            return self.total(term)
        body = self.value(term.body)
        axes = body.axes + tuple(i for i in term.indices if i not in body.axes)
        data = self.spread(body, axes)
        # row-major over the indices as they are listed
        kept = tuple(i for i in axes if i not in term.indices)
        data = self.align(OverIndices(data, axes), kept + term.indices)
        dims = tuple(range(len(kept), len(kept) + len(term.indices)))
        if term.kind == "prod":
            return OverIndices(self.numbers.prod(data, dims), kept)
        if 0 in (self.extent(i) for i in term.indices):
            raise InputError(f"{term.kind} over {', '.join(map(str, term.indices))} has no elements")
        if term.kind in ("max", "min"):
            return OverIndices(self.numbers.extreme(term.kind, data, dims), kept)
        return OverIndices(self.numbers.integers(self.numbers.place(term.kind, data, dims)), kept)

    def matrix(self, term: Over) -> OverIndices:
        """What is made of a matrix, for each of the other indices; an element of it is read like that of a tensor."""
        rows, columns = term.indices
        if self.extent(rows) != self.extent(columns):
            raise InputError(f"{term.kind} of a matrix of {self.extent(rows)} rows and {self.extent(columns)} columns")
        whole = Over(term.kind, term.indices, term.body, tuple(map(as_poly, term.indices)) if term.at else ())
        found = self.memo.get(whole)
        if found is None:
            body = self.value(term.body)
            lead = tuple(i for i in body.axes if i not in term.indices)
            axes = (*lead, rows, columns)
            found = OverIndices(self.numbers.matrix(term.kind, self.spread(body, axes)), axes if term.at else lead)
            self.memo[whole] = found
        if whole is term:
            return found
        name = f"·{len(self.memo)}"  # of this element alone: what was found is kept
        self.arrays[name] = found.data
        try:
            return self.read(Ref(name, (*map(as_poly, found.axes[:-2]), *term.at)))
        finally:
            del self.arrays[name]

    def total(self, term: Over) -> OverIndices:
        """``Σ``: a product under it is contracted pairwise, brackets select before anything is multiplied."""
        indices, body = term.indices, term.body
        if isinstance(body, Add):
            dense = math.prod(self.extent(i) for i in self.axes_of(body.free | set(indices)))
            if dense > DENSE and any(isinstance(a, Mul) for a in body.args):
                parts = [self.value(Over("sum", indices, a)) for a in body.args]
                for p in parts[1:]:
                    parts[0] = self.binary("add", parts[0], p)
                return parts[0]
        if (two := split(term, self.extent, lambda name: self.numbers.shape(self.arrays[name]))) is not None:
            first = self.value(two.inner)
            name = f"·{len(self.memo)}"  # of this sum alone: what was found is kept
            self.arrays[name] = first.data
            read = Ref(name, tuple(two.places.get(i, as_poly(i)) for i in first.axes))
            try:
                return self.value(Over("sum", two.indices, Mul((*two.others, read))))
            finally:
                del self.arrays[name]
        factors = body.args if isinstance(body, Mul) else (body,)
        return contract(self, self.masked([f for f in factors if not isinstance(f, Bracket)], factors), indices)

    def masked(self, factors: Sequence[Term], all_of: Sequence[Term]) -> list[OverIndices]:
        """The factors with the brackets among all: each on the smallest that has its axes where the others are finite."""
        values = [self.value(f) for f in factors]
        brackets = [(b, *self.mask(b)) for b in all_of if isinstance(b, Bracket)]
        if not brackets:
            return values
        unsafe = [k for k, f in enumerate(factors) if not self.finite(f, values[k])]
        sizes = [math.prod(self.numbers.shape(v.data)) for v in values]
        together: dict[int, list[tuple[Mask, tuple[Index, ...]]]] = {}
        for b, mask, where in brackets:
            holders = [k for k, v in enumerate(values) if set(where) <= set(v.axes)]
            if unsafe:
                for k in unsafe:
                    values[k] = self.selected(mask, where, values[k])
            elif not holders:
                values.append(self.value(b))
                sizes.append(math.prod(self.numbers.shape(values[-1].data)))
            elif mask.open is not None:
                first = min(holders, key=sizes.__getitem__)
                values[first] = self.selected(mask, where, values[first])
            else:
                together.setdefault(min(holders, key=sizes.__getitem__), []).append((mask, where))
        for k, masks in together.items():
            axes = self.union(where for _, where in masks)
            joint = np.logical_and.reduce(np.broadcast_arrays(*(self.laid(m.holds, w, axes) for m, w in masks)))
            values[k] = self.selected(Mask(joint), axes, values[k])
        return values

    def finite(self, factor: Term, value: OverIndices) -> bool:
        """Whether all of a factor's numbers are finite; where a tensor is, what is read of it is."""
        if isinstance(factor, Ref) and not (isinstance(self.numbers, Numpy) and self.numbers.holes):
            known = self.sound.get(factor.name)
            if known is None:
                known = self.sound[factor.name] = self.numbers.finite(self.arrays[factor.name])
            if known:
                return True
        return self.numbers.finite(value.data)


@lru_cache(maxsize=4096)
def _plain(term: Ref) -> tuple[Index, ...] | None:
    """The indices that an element stands at where they are all its positions, each met once."""
    at = [i for p in term.at if (i := p.index) is not None]
    return tuple(at) if len(at) == len(term.at) == len(set(at)) else None
