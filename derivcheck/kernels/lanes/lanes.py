"""The lanes of a kernel: the axes that are open (threads, then loops), and the conditions under which a statement runs.

Each axis has a place, counted from the right: the first one is the last dimension of every tensor.  What was computed before
an axis was opened broadcasts over it.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from derivcheck.kernels.lanes.facts import facts_of, told_by, with_facts
from derivcheck.kernels.lanes.hints import Hints
from derivcheck.kernels.lanes.nonnegative import nonnegative
from derivcheck.kernels.lanes.parts import coefficient, descending, parted, quotient
from derivcheck.kernels.lanes.refused import Refused
from derivcheck.kernels.lanes.thread_groups import BLOCK, WARP, IsFirst
from derivcheck.kernels.lanes.wholes import Datum, Symbolic
from derivcheck.notation.integers.polynomials import Atom, Index, Poly, Size, as_poly

_COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne}


@dataclass(frozen=True)
class Axis:
    """An axis: its index, its place from the right, and whether it is one of threads."""

    index: Index
    place: int
    thread: str | None = None


@dataclass(frozen=True)
class Guard:
    """A comparison that tells how far the index of a thread goes: whether it holds inside."""

    thread: str
    inside: bool


class Lanes:
    """The open axes and the conditions."""

    def __init__(self, hints: Hints, sizes: Mapping[str, Any], probing: bool) -> None:
        """The axes that threads make are there from the start, each with a tensor dimension of its own; loops add theirs."""
        self.hints, self.sizes, self.probing = hints, sizes, probing
        self.axes: list[Axis] = []
        self.facts: list[Poly] = []
        self.masks: list[torch.Tensor] = []
        self.data: dict[Datum, tuple[torch.Tensor, int]] = {}
        self.below: dict[Datum, Poly] = {}
        self.active: set[str] = set()
        self.met: list[Guard] = []
        self.serial = 0
        self.measured: set[str] = set()  # sizes of axes and memory, which are no mere numbers
        self.first = 0  # conditions that the first lane of a group alone fulfils
        self.leader = 0  # conditions that the first lane of each warp fulfils, where a block works together
        self.epoch = 0  # barriers that were passed
        self.opaque = 0  # conditions on what a loop carries, under which nothing is written
        self.threads: dict[str, Poly] = {}
        self.loops: dict[str, Poly] = {}
        for name in hints.threads:
            self._open_thread(name)

    # -- axes ----------------------------------------------------------------------------

    def _open_thread(self, name: str) -> None:
        """The axes of the index of a thread: one, or one for each of its digits."""
        strides = (*self.hints.strides.get(name, ()), as_poly(1))
        bound, _ = self.hints.bounds.get(name, (as_poly(Size(UNBOUNDED.get(name, f"{name} count".replace(" ", "_")))), ""))
        found, above = as_poly(0), None
        for k, stride in enumerate(strides):
            count = bound if above is None else quotient(above, stride)
            assert count is not None
            index = Index(name if len(strides) == 1 else f"{name}/{k}", count)
            self.axes.append(Axis(index, len(self.axes), name))
            found, above = found + as_poly(index) * stride, stride
        self.threads[name] = found

    def open(self, name: str, size: Poly, key: str, thread: str | None = None) -> tuple[Poly, list[Axis]]:
        """The index of a loop, and its axes, the leftmost ones: one, or one for each of its digits."""
        self.serial += 1
        strides = (*self.hints.strides.get(key, ()), as_poly(1))
        found, above, first = as_poly(0), size, len(self.axes)
        for k, stride in enumerate(strides):
            count = quotient(above, stride)
            if count is None:
                raise Refused(f"for over {name}", f"its length {size} is no multiple of {stride}")
            index = Index(name if len(strides) == 1 else f"{name}/{k}", count, self.serial)
            self.axes.append(Axis(index, len(self.axes), thread))
            found, above = found + as_poly(index) * stride, stride
        self.loops[key] = found
        return found, self.axes[first:]

    def close(self, axes: list[Axis], key: str) -> None:
        """Close the leftmost axes."""
        del self.axes[len(self.axes) - len(axes) :], self.loops[key]

    def thread(self, name: str) -> Poly:
        """The index of a thread, a block …, by its name."""
        if name not in self.threads:
            raise self.hints.learn("threads", name, None)
        return self.threads[name]

    def top(self, name: str) -> Index:
        """The leading digit of the index of a thread."""
        return next(a.index for a in self.axes if a.thread == name)

    # -- conditions ------------------------------------------------------------------------

    @contextlib.contextmanager
    def under(self, condition: Any, holds: bool) -> Iterator[None]:
        """Where a condition holds (or does not)."""
        marks = len(self.facts), len(self.masks)
        alone = isinstance(condition, IsFirst)
        opaque = isinstance(condition, Symbolic) and not alone or alone and not holds
        self.opaque += opaque
        leads = alone and holds and condition.group == WARP and BLOCK in self.hints.groups
        self.first += alone and holds and not leads
        self.leader += leads
        if isinstance(condition, torch.Tensor):
            yes, no = facts_of(condition)
            self.facts += yes if holds else no
            self.masks.append(condition if holds else with_facts(~condition, no, yes))
        try:
            yield
        finally:
            self.opaque -= opaque
            self.first -= alone and holds and not leads
            self.leader -= leads
            del self.facts[marks[0] :], self.masks[marks[1] :]

    @property
    def mask(self) -> torch.Tensor | None:
        """All conditions that hold."""
        found = None
        for m in self.masks:
            found = m if found is None else found & m
        return found

    # -- whole numbers -----------------------------------------------------------------------

    def nonnegative(self, p: Poly) -> bool:
        """Whether it is at least 0, under the conditions."""
        return nonnegative(p, self.facts, self.below)

    def divided(self, p: Poly, by: Poly) -> tuple[Poly, Poly]:
        """``(q, r)`` with ``p = q·by + r`` and ``0 <= r < by``, ``p >= 0``: whole numbers are cut off as C cuts them off."""
        by = self.settled(by)
        if not all(isinstance(a, Size) or isinstance(a, Index) and a.name in PARTS for a in p.atoms()):
            p = self.settled(p)
        in_block = _named(p, "threadIdx.x") is not None or Size("blockDim.x") in p.atoms()
        if by.constant == 32 and not self.hints.warps and in_block:
            self.hints.assumed["blockDim.x is a multiple of 32"] = None
            raise self.hints.learn("warps", "warps", None)
        q, r = parted(p, by)
        if self.nonnegative(r) and self.nonnegative(by - 1 - r):
            if self.nonnegative(q):
                return q, r
            raise Refused(f"a division of {p}", "it may be below 0")
        self._split(p, r, by)
        if self._size_by_size(p, by):
            self.hints.assumed[f"{p} is a multiple of {by}"] = None
            raise self.hints.learn("parts", str(p), (by, as_poly(Size(f"{p}_{by}"))))
        raise Refused(f"({p}) / ({by})", "whole numbers are divided, and it is not known where the remainder is 0")

    def _split(self, p: Poly, r: Poly, by: Poly) -> None:
        """The index of a thread or of a loop in digits, where it is divided by a number of lanes."""
        for name, own in (*self.threads.items(), *self.loops.items()):
            if own.index is not None and own.index.size is by:
                continue  # it lies below: what is divided does not
            if not set(own.atoms()) & set(r.atoms()) or not all(isinstance(a, Size) for a in by.atoms()):
                continue
            old = self.hints.strides.get(name, ())
            own_digits = [a for a in sorted(own.atoms(), key=lambda a: -self._place(a)) if isinstance(a, Index)][::-1]
            alone = next((k for k, a in enumerate(own_digits) if coefficient(r, a) is as_poly(1)), None)
            if alone is None:
                continue
            by = by * (*old, as_poly(1))[alone]
            ordered = descending({*old, by})
            if ordered is None or by in old:
                raise Refused(f"({p}) / …", "the divisors of this index are no multiples of each other")
            if name in self.hints.bounds:
                total = self.total(name)
                top = quotient(total, ordered[0])
                if top is None:
                    advice = f"Give {total} as a product of sizes, as in {total}='B*T'."
                    raise Refused(f"({p}) / ({by})", f"the number of threads is {total}, no multiple of {ordered[0]}", advice)
                self.hints.bounds[name] = top, self.hints.bounds[name][1]
            raise self.hints.learn("strides", name, ordered)

    def _place(self, a: Atom) -> int:
        return next((x.place for x in self.axes if x.index is a), -1)

    def along(self, place: Poly, dims: tuple[Poly, ...]) -> None:
        """Cut an index that runs over several dimensions at once, as they are."""
        for name, own in (*self.threads.items(), *self.loops.items()):
            alone = own.index
            if alone is None or name in self.hints.strides or coefficient(place, alone) is None:
                continue
            strides, below, inner = [], as_poly(1), as_poly(1)
            for d in reversed(dims):
                if inner is not coefficient(place, alone):  # the dimensions inside of the index
                    inner = inner * d
                    continue
                below = below * d
                top = quotient(alone.size, below)
                if top is None or top.constant == 1:
                    break
                strides.append(below)
            if strides:
                if name in self.threads:
                    if name not in self.hints.bounds:
                        continue
                    total = quotient(self.hints.bounds[name][0], strides[-1])
                    assert total is not None
                    self.hints.bounds[name] = total, self.hints.bounds[name][1]
                raise self.hints.learn("strides", name, tuple(reversed(strides)))

    def bound(self, name: str, count: Poly) -> None:
        """How many threads take part, told by a loop over them."""
        strides = self.hints.strides.get(name, ())
        top = count if not strides else quotient(count, strides[0])
        if top is None:
            raise Refused("a grid-stride loop", f"it has {count} turns, no multiple of {strides[0]}")
        if name not in self.hints.bounds:
            raise self.hints.learn("bounds", name, (top, "guard"))
        if self.hints.bounds[name] != (top, "guard"):
            raise Refused("a grid-stride loop", f"it has {count} turns, and another bound is {self.total(name)}")

    def total(self, name: str) -> Poly:
        """How many threads there are with this index."""
        strides = (*self.hints.strides.get(name, ()), as_poly(1))
        return self.hints.bounds[name][0] * strides[0]

    def _size_by_size(self, p: Poly, by: Poly) -> bool:
        return all(isinstance(x.atom, Size) and str(x) not in self.hints.parts for x in (p, by))

    def fused(self, p: Poly) -> Poly:
        """``blockIdx.x*blockDim.x + threadIdx.x`` as one index."""
        for of_thread, of_block, count, joined in _JOINED:
            thread, block = _named(p, of_thread), _named(p, of_block)
            if thread is None or block is None:
                continue
            mine, theirs = coefficient(p, thread), coefficient(p, block)
            if mine is None or theirs is None:
                continue
            per = quotient(theirs, mine)
            own = as_poly(Size(count))
            if per is None or not (per is own or not any("." in n for n in per.sizes())):
                continue
            if per is not own:
                self.hints.assumed[f"the blocks have {count} = {per}"] = None
            rest = p - mine * as_poly(thread) - theirs * as_poly(block)
            return self.fused(rest + mine * self.thread(joined))
        return p

    def settled(self, p: Poly) -> Poly:
        """A position in which the index of a thread in its block stands by itself."""
        for a in p.atoms():
            if isinstance(a, Index) and a.name in PARTS and a.serial == 0 and a.size is PARTS[a.name]:
                if a.name in self.hints.groups:
                    raise Refused(a.name, "lanes share the turns of a loop, and the place of a lane is used otherwise")
                p = p.substitute({a: self.thread(a.name)})
        return p

    def tensor(self, p: Poly) -> torch.Tensor:
        """A whole number as a tensor over the lanes."""
        found = self.settled(p).evaluate(self._value)
        return found if isinstance(found, torch.Tensor) else torch.full((), found, dtype=torch.int64)

    def size(self, p: Poly) -> Any:
        """The number that an expression of sizes is, as the length of an axis."""
        self.measured |= p.sizes()
        return p.evaluate(self._value)

    def _value(self, a: Atom) -> Any:
        """A size, an index or an entry of data on numbers; an index is a range along its axis."""
        if isinstance(a, Size):
            if a.name not in self.sizes:
                raise Refused(a.name, "no dimension of an input tells it", f"Say with dims= where {a.name} is.")
            return self.sizes[a.name]
        if isinstance(a, Index):
            axis = next((x for x in self.axes if x.index is a), None)
            if axis is None:
                raise Refused(a.name, "it is used after its loop")
            return torch.arange(self.size(a.size)).reshape(-1, *[1] * axis.place)
        assert isinstance(a, Datum)
        return self.data[a][0]

    def datum(self, name: str, t: torch.Tensor) -> Poly:
        """A whole number that was read, or chosen."""
        self.serial += 1
        found = Datum(name, self.serial)
        self.data[found] = t, len(self.axes)
        if name in self.hints.below:
            self.below[found] = self.hints.below[name]
        return as_poly(found)

    # -- comparisons ----------------------------------------------------------------------------

    @property
    def _wide(self) -> bool:
        """Whether blocks of several warps work together."""
        return BLOCK in self.hints.groups and bool(self.hints.warps)

    def own(self, name: str) -> Poly:
        """``threadIdx.x`` …, in warps and lanes where there are warps."""
        return raw("warpIdx") * 32 + raw("laneIdx") if name == "threadIdx.x" and self.hints.warps else raw(name)

    def count(self, name: str) -> Poly:
        """``blockDim.x`` …, in warps where there are warps."""
        return as_poly(Size("warpDim")) * 32 if name == "blockDim.x" and self.hints.warps else as_poly(Size(name))

    def compared(self, op: str, d: Poly) -> bool | torch.Tensor | IsFirst:
        """``d op 0``."""
        for name in (*self.hints.groups, *((WARP,) if self._wide else ())):
            if op == "==" and any(p is x for p in (d, -d) for x in (raw(name), self.own(name))):
                return IsFirst(name)
        d = self.settled(d)
        yes, no = told_by(op, d)
        if op not in ("==", "!="):
            guard = self._guard(yes[0], no[0])
            if guard is not None:
                self.met.append(guard)
                return guard.inside
        if yes and all(map(self.nonnegative, yes)) or op == "!=" and (self.nonnegative(d - 1) or self.nonnegative(-d - 1)):
            return True
        if no and all(map(self.nonnegative, no)) or op == "==" and (self.nonnegative(d - 1) or self.nonnegative(-d - 1)):
            return False
        up = Poly(t for t in d.terms if t[1] > 0)
        found: torch.Tensor = _COMPARE[op](self.tensor(up), self.tensor(up - d))
        found._facts = yes, no  # type: ignore[attr-defined]
        return found

    def _guard(self, yes: Poly, no: Poly) -> Guard | None:
        """A comparison of the index of a thread that is not bounded yet with what bounds it."""
        for name, own in self.threads.items():
            if name in self.active:
                continue
            top = as_poly(self.top(name))
            for inside, fact in ((True, yes), (False, no)):
                for part in (own, top):
                    bound = fact + 1 + part
                    if not all(isinstance(a, Size) for a in bound.atoms()) or not (bound.atoms() or name.startswith("idx")):
                        continue
                    strides = self.hints.strides.get(name, ())
                    least = bound if part is top or not strides else quotient(bound, strides[0])
                    if least is None:
                        continue
                    if name not in self.hints.bounds:
                        self.hints.assumed[f"the grid has at least {bound} {_said(name)}"] = None
                        raise self.hints.learn("bounds", name, (least, "guard"))
                    if self.hints.bounds[name] == (least, "guard"):
                        return Guard(name, inside)
        return None


PARTS: dict[str, Poly] = {
    **{f"{n}Idx.{d}": as_poly(Size(f"{m}Dim.{d}")) for n, m in (("thread", "block"), ("block", "grid")) for d in "xyz"},
    "warpIdx": as_poly(Size("warpDim")),
    "laneIdx": as_poly(32),
}
_JOINED = (
    *((f"threadIdx.{d}", f"blockIdx.{d}", f"blockDim.{d}", f"idx.{d}") for d in "xyz"),
    ("warpIdx", "blockIdx.x", "warpDim", "warp"),
)


def raw(name: str) -> Poly:
    """``blockIdx.x``, before it is known whether it stands by itself."""
    return as_poly(Index(name, PARTS[name]))


def _named(p: Poly, name: str) -> Index | None:
    return next((a for a in p.atoms() if isinstance(a, Index) and a.name == name and a.size is PARTS[name]), None)


UNBOUNDED = {
    "idx.x": "threads", "idx.y": "threads_y", "idx.z": "threads_z", "blockIdx.x": "blocks", "blockIdx.y": "blocks_y",
    "blockIdx.z": "blocks_z", "warp": "warps",
}  # fmt: skip


def _said(name: str) -> str:
    if name == "warp":
        return "warps, one for each"
    of = "blocks" if name.startswith("block") else "threads"
    return f"{of}, one for each" if name.endswith(".x") else f"{of}, one for each ({name[-1]})"
