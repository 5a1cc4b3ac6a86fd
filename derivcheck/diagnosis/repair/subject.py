"""A wrong backward with the means to look into it: its code, its Program, and small data on which it runs."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from types import CodeType
from typing import Any

import numpy as np
import torch

from derivcheck.claimed import Claimed, claimed
from derivcheck.derived import Derivation
from derivcheck.diagnosis.case import Case, draw
from derivcheck.diagnosis.repair.autograd import of_autograd, other_shapes
from derivcheck.diagnosis.repair.bench import Bench
from derivcheck.diagnosis.scene import Array, full
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.measure import measure
from derivcheck.tracing.program.copies import same_layout

Call = Callable[..., Mapping[str, Any]]
SMALL = (3, 2, 5, 4, 7, 6, 8)
ODD = (2, 5, 3, 4, 7, 6)
EVEN = (4, 2, 6, 8)
ELSEWHERE = 3  # data of other shapes
MOST = 20_000  # elements of a tensor that still counts as small
RELATIVE = 1e-8


def near(a: Array, b: Array, floor: float = 0.0) -> bool:
    """Whether two arrays agree, what is no number included; ``floor`` is the least scale that they are judged by."""
    if a.shape != b.shape:
        return False
    if not a.size:
        return True
    finite = np.isfinite(b)
    if not np.array_equal(finite, np.isfinite(a)):
        return False
    scale = max(float(np.abs(b[finite]).max(initial=0.0)), float(np.abs(a[finite]).max(initial=0.0)), floor)
    return float(np.abs(a[finite] - b[finite]).max(initial=0.0)) <= RELATIVE * scale


def _of_both(t: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A tensor of zeros and ones with both, of other numbers with both signs."""
    t = t.double() if t.is_floating_point() else t
    chosen = torch.randint(2, t.shape, generator=generator)
    if t.dtype is torch.bool or bool(((t == 0) | (t == 1)).all()):
        return chosen.to(t.dtype)
    return t * (2 * chosen - 1) if t.is_floating_point() else t


def _picked(own: torch.Tensor, like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A tensor of the same shape, its numbers picked among some."""
    return own.double()[torch.randint(len(own), like.shape, generator=generator)] if len(own) else like


@dataclass
class Backward:
    """The backward under test.

    Attributes:
        d: forward and gradient.
        call: runs it: a tensor per argument of the adjoint, by name.
        code: what the user wrote: the function, or whatever leads to it.
        like: a case of it, whose data others are drawn like.
        kept: code that is not to be changed: the forward's own.
        written: the same as code that traces.
        quick: the same as ``call`` without what makes casts do nothing.
        engine: ``call`` runs it through torch's engine: it is an ``autograd.Function``'s own.
        meaning: the user's own forward on tensors by name, where there is one.
    """

    d: Derivation
    call: Call
    code: Any
    like: Case
    kept: frozenset[CodeType] = frozenset()
    written: Call | None = None
    engine: bool = False
    quick: Call | None = None
    meaning: Callable[[Mapping[str, torch.Tensor]], Any] | None = None
    _slow: bool | None = None
    _benches: dict[str, Bench | None] = field(default_factory=dict)
    others: list[Bench] | None = None  # what an edit is not searched on, once it is known
    blocks: tuple[int, ...] = ()  # lengths of blocks, of a backward in a loop: it has to run at multiples of them, and beside

    # -- data -----------------------------------------------------------------------
    def plans(self) -> Iterator[dict[str, int]]:
        """Small sizes that tell dimensions apart; then those that are equal where the data's are."""
        names = [n for n in self.d.adjoint.sizes() if n in self.like.sizes]
        for values in (SMALL, ODD, EVEN):
            yield from self._admitted([dict(zip(names, values[k:] + values[:k])) for k in range(len(values) - 1)])
        for n in names[: len(names) * (len(names) > 1)]:  # the code may be for this size alone
            rest = [m for m in names if m != n]
            yield from self._admitted([{**dict(zip(rest, SMALL)), n: self.like.sizes[n]}])
        groups = {v: SMALL[k % 7] for k, v in enumerate(dict.fromkeys(self.like.sizes.values()))}
        yield from self._admitted([{n: groups[v] for n, v in self.like.sizes.items()}])
        yield dict(self.like.sizes)

    def _admitted(self, plans: list[dict[str, int]]) -> Iterator[dict[str, int]]:
        names = len(self.like.sizes)
        for plan in plans:
            if len(plan) == names and self.d.program.admits(plan):
                yield plan
                return

    def bench(
        self, sizes: Mapping[str, int], seed: int, change: Callable[[torch.Tensor], torch.Tensor] | None = None
    ) -> Bench | None:
        """Data of these sizes like the user's, or None where there is none, or the backward does not run there."""
        key = f"{dict(sizes)}{seed}{change}"
        if key not in self._benches:
            try:
                self._benches[key] = self._bench(sizes, seed, change)
            except Exception:  # sizes and data that are not the user's
                self._benches[key] = None
        return self._benches[key]

    def _bench(
        self, sizes: Mapping[str, int], seed: int, change: Callable[[torch.Tensor], torch.Tensor] | None
    ) -> Bench | None:
        """The same, drawn: in float64, each tensor changed as is asked for."""
        inputs, upstream = draw(self.like, sizes, seed)
        inputs = {n: t.double() if t.is_floating_point() else t for n, t in inputs.items()}
        if change is not None:
            inputs = {n: change(t) if t.is_floating_point() else t for n, t in inputs.items()}
            upstream = {n: change(t) for n, t in upstream.items()}
        return self.on(inputs, upstream)

    def resampled(self, sizes: Mapping[str, int], seed: int) -> Bench | None:
        """Data of these sizes that have no other numbers than the user's, or None."""
        key = f"resampled{dict(sizes)}{seed}"
        if key not in self._benches:
            generator = torch.Generator().manual_seed(seed)
            try:
                drawn, upstream = draw(self.like, sizes, seed)
                own = {n: self.like.inputs[n].flatten() for n in drawn}
                inputs = {n: _picked(own[n], t, generator) if t.is_floating_point() else t for n, t in drawn.items()}
                self._benches[key] = self.on(inputs, upstream)
            except Exception:  # sizes that are not the user's
                self._benches[key] = None
        return self._benches[key]

    def mixed(self, sizes: Mapping[str, int], seed: int) -> Bench | None:
        """Data in which nothing is of one kind that the user's data need not be: both signs, both labels, not all alike."""
        key = f"mixed{dict(sizes)}{seed}"
        if key not in self._benches:
            try:
                inputs, upstream = draw(self.like, sizes, seed)
                generator = torch.Generator().manual_seed(seed)
                held = {a.name for a in self.d.program.arguments if a.role in ("constant", "buffer") or a.below is not None}
                kept = held | set(self.like.fixed)
                inputs = {n: t if n in kept else _of_both(t, generator) for n, t in inputs.items()}
                self._benches[key] = self.on(inputs, upstream)
            except Exception:  # data that are not the user's
                self._benches[key] = None
        return self._benches[key]

    def on(self, inputs: Mapping[str, torch.Tensor], upstream: Mapping[str, torch.Tensor]) -> Bench | None:
        """These data."""
        given = {**inputs, **upstream}
        if max((t.numel() for t in given.values()), default=0) > MOST:
            return None
        values = evaluate(full(self.d.program, self.d.adjoint), given)
        right = {n: values[o] for n, o in zip(self.d.wrt, self.d.adjoint.outputs)}
        shapes = {a.name: tuple(given[a.name].shape) for a in self.d.adjoint.arguments if a.name in given}
        return Bench(measure(self.d.adjoint, shapes), inputs, upstream, right, values)

    @cached_property
    def benches(self) -> tuple[Bench, ...]:
        """Data on which it runs and is wrong, the first is what is searched on; the others confirm."""
        found: list[Bench] = []
        doubtful: list[Bench] = []
        for k, plan in enumerate(self.plans()):
            b = self.bench(plan, 31 + k)
            if b is None or not _sound(b):
                b = self.resampled(plan, 31 + k)  # numbers that the forward is not for
            if b is None or not _sound(b) or not self.shaped(b):
                continue
            (found if self.meant(b) else doubtful).append(b)
            if len(found) > 1 and any(self.wrong(b) for b in found):  # an early exit may come at larger sizes alone
                break
        if all(dict(b.sizes) == dict(self.like.sizes) for b in found):  # only at the user's sizes are the right ones right
            found += doubtful[: 2 - len(found)]
        wrong = [b for b in found if self.wrong(b)]
        return tuple([*wrong, *(b for b in found if b not in wrong)][:2])

    @property
    def around_blocks(self) -> Iterator[Bench]:
        """Data of sizes that its blocks fill, and of such that they do not."""
        for block in self.blocks:
            for n in list(self.like.sizes)[:3]:
                for count in (2 * block, 3 * block - 1):
                    b = self.bench({**self.benches[0].sizes, n: count}, 61)
                    if b is not None and _sound(b):
                        yield b

    @cached_property
    def elsewhere(self) -> tuple[Bench, ...]:
        """Data of other shapes, where the derivation stays at the example's: autograd of the user's forward says what is right.

        The backward, as it is when this is first asked for, runs there.
        """
        if not self.d.fixed or self.meaning is None:
            return ()
        shapes = other_shapes(self.like.inputs)
        found = (of_autograd(self.meaning, self.like, self.d.wrt, s) for s in shapes)
        return tuple(islice((b for b in found if b is not None and self.shaped(b)), ELSEWHERE))

    def shaped(self, bench: Bench) -> bool:
        """Whether it runs there and returns gradients of the right shapes, as far as it does on the user's own data."""
        found = self.gradients(bench)
        if found is None:
            return False
        like = self.like
        own = {n: like.found.get(n) for n in found}
        fits = {
            n for n, g in own.items() if g is None or fitted(g.numpy(), like.derived[n].numpy()).shape == like.derived[n].shape
        }
        return all(fitted(g, bench.right[n]).shape == bench.right[n].shape for n, g in found.items() if n in fits)

    def meant(self, bench: Bench) -> bool:
        """Whether the gradients that are right on the user's own data are right there, too: sizes that the code is for."""
        like = self.like
        bad = {n for n, g in like.found.items() if g is None or not _close(fitted(g.numpy(), like.derived[n].numpy()), like, n)}
        return not set(self.wrong(bench)) - bad

    # -- running --------------------------------------------------------------------
    def gradients(self, bench: Bench) -> dict[str, Array] | None:
        """What it returns on these data; None where it raises."""
        if self.quick is None or self._slow:
            return self._returned(self.call, bench)
        found = self._returned(self.quick, bench)
        if self._slow is None:  # it must be the same as what is checked
            known = self._returned(self.call, bench)
            self._slow = not _equal(found, known)
            return known
        return found

    def _returned(self, call: Call, bench: Bench) -> dict[str, Array] | None:
        """The gradients of one call in float64, by name; None where the code raises."""
        try:
            with torch.enable_grad() if self.engine else torch.no_grad():
                out = call(**{n: same_layout(t) for n, t in bench.given.items()})
            return {
                n: np.asarray(g.detach().to("cpu", torch.float64).numpy())
                for n, g in out.items()
                if n in bench.right and isinstance(g, torch.Tensor)
            }
        except Exception:  # code that was never meant for these sizes, or that an edit breaks
            return None

    def wrong(self, bench: Bench, found: Mapping[str, Array] | None = None) -> tuple[str, ...]:
        """Which of the gradients that it returns are not right there."""
        found = self.gradients(bench) if found is None else found
        return tuple(n for n, g in (found or {}).items() if not near(fitted(g, bench.right[n]), bench.right[n], bench.floor))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The gradients that are wrong on the first data."""
        return self.wrong(self.benches[0]) if self.benches else ()

    # -- its Program ----------------------------------------------------------------
    @cached_property
    def everywhere(self) -> Claimed | None:
        """The backward as a Program for every size; None where it does not trace so."""
        return self._traced(None)

    @cached_property
    def claimed(self) -> Claimed | None:
        """The same at the sizes of the first data alone, where it always traces sooner; a loop over a size does only so."""
        if not self.benches:
            return self.everywhere
        found = self._traced(self.benches[0].given)
        if found is None and dict(self.benches[0].sizes) != dict(self.like.sizes):  # at small sizes a loop may run never
            own = self.bench(self.like.sizes, 47)
            if own is not None and self.wrong(own) and (found := self._traced(own.given)) is not None:
                self.benches = (own, *self.benches)
        return self.everywhere if found is None else found

    def _traced(self, examples: Mapping[str, torch.Tensor] | None) -> Claimed | None:
        """The backward as a Program, for where its steps stand in the file; None for code that cannot be traced."""
        way = self.written or self.call

        def named(**tensors: Any) -> dict[str, Any]:
            return {n: g for n, g in way(**tensors).items() if isinstance(g, torch.Tensor)}

        named.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(a.name, inspect.Parameter.KEYWORD_ONLY) for a in self.d.adjoint.arguments]
        )
        try:
            functions = "forward" if self.engine else "refuse"
            return claimed(named, self.d, examples=examples, custom_functions=functions)
        except Exception:  # code that is not to be read so
            return None


def _close(found: Array, like: Case, name: str) -> bool:
    """Whether a gradient on the user's own data is right within its tolerance."""
    right, allowed = like.derived[name].numpy(), like.tolerance[name].numpy()
    return found.shape == right.shape and bool((np.abs(found - right) <= allowed).all())


def _equal(a: Mapping[str, Array] | None, b: Mapping[str, Array] | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.keys() == b.keys() and all(np.array_equal(a[n], b[n], equal_nan=True) for n in a)


def fitted(g: Array, right: Array) -> Array:
    """A gradient of one element in the shape that it should have."""
    return g.reshape(right.shape) if g.size == right.size == 1 else g


def _sound(b: Bench) -> bool:
    return all(np.isfinite(g).all() for g in b.right.values()) and math.prod(b.sizes.values()) > 0
