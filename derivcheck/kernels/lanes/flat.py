"""Memory behind a pointer: a tensor of named dimensions, read and written at positions of mixed radix.

Dimensions of a literal size that are only met at literal positions (``out[3*n + 1]``) are kept apart: a tensor for each.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch

from derivcheck.kernels.lanes.lanes import Axis, Lanes
from derivcheck.kernels.lanes.mixed_radix import digits, inferred
from derivcheck.kernels.lanes.outside import refuse_outside
from derivcheck.kernels.lanes.refused import Refused, UnplacedFault
from derivcheck.kernels.lanes.tensors import arranged, axes_of, depends, last, own_axis, position, spread, summed, taken
from derivcheck.kernels.lanes.wholes import Datum
from derivcheck.notation.integers.polynomials import Index, Poly, Size, as_poly

LITERAL = 64


@dataclass(frozen=True)
class Access:
    """A read, a write, or something added, with the axes that were open."""

    kind: str  # read | write | add | atomic
    key: tuple[int, ...]
    digits: tuple[Poly, ...]
    axes: tuple[Axis, ...]
    line: str
    epoch: int = 0
    first: bool = False
    shared: bool = False


class Written(NamedTuple):
    """What lanes write: a value, under a mask, put or added."""

    value: torch.Tensor
    mask: torch.Tensor | None
    add: bool


@dataclass
class FlatMemory:
    """The memory behind one pointer.

    Attributes:
        name, inner: its name, and the shape of an element: ``(3,)`` of a ``vec3``.
        dims: its dimensions, without ``inner``; None before its first use.
        source: what lies there at the start, in all its dimensions; None: nothing.
        starts: whether that is an output that nobody gave: it is only added to or written.
    """

    name: str
    lanes: Lanes
    inner: tuple[int, ...] = ()
    whole: bool = False
    dims: tuple[Poly, ...] | None = None
    source: torch.Tensor | None = None
    starts: bool = False
    dtype: torch.dtype = torch.float64
    added: bool = False
    log: list[Access] = field(default_factory=list)
    writers: dict[tuple[tuple[int, ...], str], None] = field(default_factory=dict)
    parts: dict[tuple[int, ...], torch.Tensor] = field(default_factory=dict)
    seen: dict[Any, tuple[torch.Tensor, tuple[torch.Tensor, ...]]] = field(default_factory=dict)
    joined: set[int] = field(default_factory=set)

    @property
    def all(self) -> tuple[Poly, ...]:
        """All dimensions, those of an element last."""
        return (*(self.dims or ()), *map(as_poly, self.inner))

    @property
    def literal(self) -> list[int]:
        """The dimensions that are kept apart."""
        return [k for k, d in enumerate(self.all) if _small(d) and k not in self.joined]

    @property
    def free(self) -> list[int]:
        """The other ones."""
        apart = self.literal
        return [k for k in range(len(self.all)) if k not in apart]

    # -- positions --------------------------------------------------------------------------

    def at(self, place: Poly, path: tuple[int, ...], line: str, kind: str) -> tuple[tuple[int, ...], tuple[Poly, ...]]:
        """Where a position lies: the tensor, and the digits in it."""
        lanes = self.lanes
        place = lanes.settled(place)
        self._shape(place)
        assert self.dims is not None
        found = digits(place, self.dims)
        self._launched(found)
        for k, (digit, dim) in enumerate(zip(found, self.dims)):
            if not (lanes.nonnegative(digit) and lanes.nonnegative(dim - 1 - digit)):
                self._bounded(digit, dim)
                lanes.along(place, self.dims)
                if kind == "read" and not self.inner and self._within(place):
                    return self._flattened(place, line)
                refuse_outside(self.name, place, self.dims, k, lanes, kind)
        self._guarded(found, kind)
        whole = (*found, *map(as_poly, path))
        for k in self.literal:
            if whole[k].constant is None:
                self._join(k)
        free = self.free
        key = tuple(int(whole[k].constant or 0) for k in self.literal)
        at = tuple(whole[k] for k in free)
        self.log.append(Access(kind, key, whole, tuple(lanes.axes), line, lanes.epoch, lanes.first > 0))
        return key, at

    def _within(self, place: Poly) -> bool:
        """Whether a position lies inside, in whichever row."""
        total = math.prod(self.dims or (), start=as_poly(1))
        return self.lanes.nonnegative(place) and self.lanes.nonnegative(total - 1 - place)

    def _flattened(self, place: Poly, line: str) -> tuple[tuple[int, ...], tuple[Poly, ...]]:
        """A position that its strides do not cut as the dimensions are."""
        for k in self.literal:
            self._join(k)
        self._guarded((place,), "read")
        self.log.append(Access("read", (), (place,) * len(self.all), tuple(self.lanes.axes), line, self.lanes.epoch))
        return (), (place,)

    def _shape(self, place: Poly) -> None:
        """The dimensions, found from the first position; literal positions alone are counted."""
        hints, known = self.lanes.hints, self.dims
        if known is None:
            raise hints.learn("dims", self.name, tuple(f for d in inferred(place, self.name) for f in hints.cut(d)))
        constant = place.constant
        if self.name in hints.given or constant is None or len(known) != 1 or known[0].constant is None:
            if (
                known
                and len(known) == 1
                and known[0].constant is not None
                and self.name not in hints.given
                and constant is None
            ):
                raise hints.learn("dims", self.name, tuple(f for d in inferred(place, self.name) for f in hints.cut(d)))
            return
        if constant >= known[0].constant:
            raise hints.learn("dims", self.name, (as_poly(constant + 1),))

    def _launched(self, found: tuple[Poly, ...]) -> None:
        """A block for each row: the number of blocks is that of the rows, where nothing else says it."""
        lanes = self.lanes
        for digit, dim in zip(found, self.dims or ()):
            index = digit.index
            axis = own_axis(digit, lanes)
            if index is None or axis is None or axis.thread is None or not axis.thread.startswith("blockIdx"):
                continue
            if axis.thread not in lanes.hints.bounds and dim is not index.size:
                lanes.hints.assumed[f"the grid has {dim} blocks ({axis.thread})"] = None
                raise lanes.hints.learn("bounds", axis.thread, (dim, "launch"))

    def _guarded(self, found: tuple[Poly, ...], kind: str) -> None:
        """Memory is met only where the index of a thread is bounded, if a guard bounds it."""
        lanes = self.lanes
        for a in lanes.axes:
            if a.thread and lanes.hints.bounds.get(a.thread, (0, ""))[1] == "guard" and a.thread not in lanes.active:
                how = f"is {'read' if kind == 'read' else 'written'} where nothing bounds the thread's index"
                if self.name in lanes.hints.given and not lanes.met and any(a.index in d.indices for d in found):
                    raise UnplacedFault(f"{self.name}[…] {how}: threads beyond {lanes.total(a.thread)} go out of bounds")
                raise Refused(f"{self.name}[…]", f"it {how}, and threads beyond {lanes.total(a.thread)} take part")

    def _bounded(self, digit: Poly, dim: Poly) -> None:
        """A whole number from memory that is a position lies below the dimension: that is a condition."""
        atom = digit.atom
        if isinstance(atom, Datum) and atom not in self.lanes.below:
            hints = self.lanes.hints
            if atom.name in hints.below or atom.name.startswith("?"):
                raise Refused(f"{self.name}[…]", "a position that is chosen by data may lie outside")
            raise hints.learn("below", atom.name, dim)

    # -- contents -------------------------------------------------------------------------------

    def part(self, key: tuple[int, ...]) -> torch.Tensor | None:
        """What lies at literal positions; None for nothing yet."""
        if key in self.parts:
            return self.parts[key]
        t = self.source
        if t is None:
            return None
        for k, n in sorted(zip(self.literal, key), reverse=True):
            t = t.select(k, n)
        return t

    def zeros(self) -> torch.Tensor:
        """Zeros over the free dimensions."""
        shape = [self.lanes.size(self.all[k]) for k in self.free]
        return torch.zeros(shape, dtype=self.dtype)

    def tensor(self) -> torch.Tensor:
        """All of it."""
        if not self.parts and self.source is not None:
            return self.source
        literal, free = self.literal, self.free

        def build(k: int, key: tuple[int, ...]) -> torch.Tensor:
            if k == len(literal):
                found = self.part(key)
                return self.zeros() if found is None else found
            parts = [build(k + 1, (*key, j)) for j in range(int(self.all[literal[k]].constant or 0))]
            return torch.stack(parts, sorted([*free, *literal[k:]]).index(literal[k]))

        return build(0, ())

    def _join(self, k: int) -> None:
        """A dimension of a literal size that is met at a position that is not literal."""
        if self.parts or self.source is not None:
            whole = self.tensor()
            self.source, self.parts = whole, {}
        self.joined.add(k)

    def load(self, place: Poly, path: tuple[int, ...], line: str) -> torch.Tensor | None:
        """The elements at a position; None where nothing was written."""
        key, at = self.at(place, path, line, "read")
        found = self.part(key)
        if found is None or self.starts and key not in self.parts:
            return None
        masks = tuple(self.lanes.masks)  # kept with what was read, so that the numbers of these objects stay theirs
        dims = [self.all[k] for k in self.free]
        if len(at) != len(dims):
            found, dims = found.reshape(-1), [math.prod(dims, start=as_poly(1))]
        asked = place, path, len(self.lanes.axes), tuple(map(id, masks))
        if asked not in self.seen:
            self.seen[asked] = taken(found, at, dims, self.lanes), masks
        return self.seen[asked][0]

    def store(
        self, place: Poly, path: tuple[int, ...], value: torch.Tensor, line: str, kind: str, shared: bool = False
    ) -> None:
        """Write at a position, or add; ``shared``: what all lanes of a group add together."""
        if self.lanes.opaque:
            raise Refused(f"{self.name}[…]", "it is written under a condition on what a loop carries")
        key, at = self.at(place, path, line, kind)
        if shared:
            self.log[-1] = replace(self.log[-1], shared=True)
        self.writers[key, line] = None
        self.seen.clear()
        lanes, dims = self.lanes, [self.all[k] for k in self.free]
        value = value if value.dtype == self.dtype else value.to(self.dtype)
        used = list(dict.fromkeys(a for d in at for a in axes_of(d, lanes)))
        missing = [a for a in lanes.axes if a not in used]
        mask = lanes.mask
        add = kind in ("add", "atomic")
        if add:
            if mask is not None:
                value = torch.where(mask, value, torch.zeros((), dtype=value.dtype))
                mask = None
            value = summed(value, missing, lanes)
        else:
            value, mask = self._one_of(value, mask, missing)
        new, old = Written(value, mask, add), self.part(key)
        axes = [own_axis(d, lanes) for d in at]
        plain = [a for a in axes if a is not None]
        literal = [all(isinstance(x, Size) for x in d.atoms()) for d in at]
        if all(b or a is not None and a.index.size is d for a, b, d in zip(axes, literal, dims)) and len(set(plain)) == len(
            plain
        ):
            self.parts[key] = self._placed(old, at, dims, literal, plain, new)
        else:
            self.parts[key] = self._scattered(old, at, dims, used, new)

    def _one_of(
        self, value: torch.Tensor, mask: torch.Tensor | None, missing: list[Axis]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What is written, where several lanes write to one place: the same from all, or one lane alone."""
        lanes = self.lanes
        pinned = [a for a in missing if _pinned(a, lanes)]
        for a in missing if lanes.probing else ():
            masked = mask is not None and depends(mask, a.place)
            if a in pinned or not masked and not depends(value, a.place):
                continue
            if a.thread:
                raise UnplacedFault(f"threads that differ in {a.thread} write different values to one place of {self.name}")
            if masked or not lanes.nonnegative(a.index.size - 1):
                raise Refused(
                    f"{self.name}[…]", "which turn of the loop writes last depends on data or sizes", "Write after the loop."
                )
        if pinned and mask is not None:
            value = summed(torch.where(mask, value, torch.zeros((), dtype=value.dtype)), pinned, lanes)
            mask = summed(mask.to(torch.int64), pinned, lanes) > 0
        rest = [a for a in missing if a not in pinned]
        return last(value, rest, lanes), None if mask is None else last(mask, rest, lanes)

    def _placed(
        self,
        old: torch.Tensor | None,
        at: tuple[Poly, ...],
        dims: list[Poly],
        literal: list[bool],
        plain: list[Axis],
        new: Written,
    ) -> torch.Tensor:
        """Each digit is an axis, or a number."""
        lanes, (value, mask, add) = self.lanes, new
        value = arranged(value, plain, lanes)
        where = None if mask is None else arranged(mask, plain, lanes)
        for k, alone in enumerate(literal):
            if alone:
                value = value.unsqueeze(k)
                where = where.unsqueeze(k) if where is not None else None
        for k, alone in enumerate(literal):
            if alone:
                at_k = torch.arange(lanes.size(dims[k])).reshape(-1, *[1] * (len(dims) - 1 - k)) == lanes.size(at[k])
                where = at_k if where is None else where & at_k
        zero = torch.zeros((), dtype=self.dtype)
        if add:
            value = value if where is None else torch.where(where, value, zero)
            return value if old is None and where is None else (self.zeros() if old is None else old) + value
        if where is None:
            return value
        return torch.where(where, value, zero if old is None else old)

    def _scattered(
        self,
        old: torch.Tensor | None,
        at: tuple[Poly, ...],
        dims: list[Poly],
        used: list[Axis],
        new: Written,
    ) -> torch.Tensor:
        """Positions that are computed: a scatter."""
        lanes, (value, mask, add) = self.lanes, new
        if not add:
            self._apart(at)
        index = [position(d, n, lanes) for d, n in zip(at, dims)]
        value = spread(value, used, lanes)
        index = [spread(i, used, lanes) if k == 0 else i for k, i in enumerate(index)]
        base = self.zeros() if old is None else old
        if add:
            return base.index_put(tuple(index), value, accumulate=True)
        if mask is None:
            return base.index_put(tuple(index), value)
        n = lanes.size(dims[0])
        index[0] = torch.where(mask, index[0], n)
        longer = torch.cat([base, torch.zeros_like(base.narrow(0, 0, 1))], 0)
        return longer.index_put(tuple(index), value).narrow(0, 0, n)

    def _apart(self, at: tuple[Poly, ...]) -> None:
        """Refuse a write where two lanes may meet."""
        seen: set[Index] = set()
        for d in at:
            own = [a for a in d.atoms() if not isinstance(a, Size)]
            if any(isinstance(a, Datum) for a in own):
                raise Refused(
                    f"{self.name}[…]", "it is written at a position that depends on data: lanes may meet", "Use atomicAdd."
                )
            linear = d.linear_in(own[0]) if own else None
            if len(own) == 1 and (linear is None or linear[0] == 0) or len(own) > 1:
                raise Refused(f"{self.name}[…]", "it is not seen that its positions differ from lane to lane")
            seen |= set(own)  # type: ignore[arg-type]


def _pinned(axis: Axis, lanes: Lanes) -> bool:
    """Whether the conditions leave one lane of an axis: ``threadIdx.x == 0``."""
    for f in lanes.facts:
        linear = f.linear_in(axis.index)
        if linear is not None and linear[0] == -1 and axis.index not in linear[1].indices and -f in lanes.facts:
            return True
    return False


def _small(d: Poly) -> bool:
    return d.constant is not None and d.constant <= LITERAL


def keys(flat: FlatMemory) -> Iterator[tuple[int, ...]]:
    """All literal positions."""
    return itertools.product(*(range(int(flat.all[k].constant or 0)) for k in flat.literal))


def full(value: Any, dtype: torch.dtype) -> torch.Tensor:
    """A number as a tensor."""
    return value if isinstance(value, torch.Tensor) else torch.full((), value, dtype=dtype)
