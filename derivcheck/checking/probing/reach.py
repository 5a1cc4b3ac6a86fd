"""Data for the sides of a condition that the caller's data leave out.

Signs are flipped and equal numbers told apart; rows are set to zero or to each other; a label is set to the one that counts
otherwise; an input is moved to where a comparison turns (a Newton step, exact where the operand is affine).  Which of these are
kept, :mod:`~derivcheck.checking.probing.probes` decides: the forward has to be finite there, and what was derived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

import torch

from derivcheck.checking.arithmetic.live import Live
from derivcheck.checking.probing.conditions import SIGNS, SideCondition, SidesTaken
from derivcheck.checking.probing.situations import Probe, equal_numbers, tied
from derivcheck.checking.subject.draw import DataLike, another, limit
from derivcheck.checking.subject.kinds import fitted, rigid
from derivcheck.checking.subject.subject import Subject, Tensors, Upstream
from derivcheck.errors import DerivcheckError
from derivcheck.notation.integers.atoms import Entry
from derivcheck.notation.terms.nodes import Ref, SizeOf
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.measure import sizes_of

Attempt = Callable[[Probe], bool]
ATTEMPTS = 24  # probes that are made for sides; those that a glance shows to take nothing new do not count
PICKS = 3  # elements of an operand that are tried
STEPS = 4  # Newton's
SOLVED = 8000  # definitions of operands that are evaluated for them
ALONE = 6  # inputs that are flipped one at a time, where all at once leave the domain


class Reach:
    """The search for one subject.

    Args:
        attempt: runs a probe; whether it was held against what is derived there.
    """

    def __init__(self, s: Subject, sides: SidesTaken, seed: int, attempt: Attempt) -> None:
        self.s, self.sides, self.attempt = s, sides, attempt
        self.generator = torch.Generator().manual_seed(seed + 43)
        self.arguments = {a.name: a for a in s.derivation.program.arguments}
        self.left, self.room = ATTEMPTS, SOLVED
        self.dropped: list[str] = []  # sides for which the budget left nothing

    def mixed(self, data: Tensors, ups: Upstream) -> None:
        """Inputs of one sign in both, equal numbers told apart."""
        new = {n: t for n in data if (t := self._mixed(n, data)) is not None}
        if not new or self._try("both signs", {**data, **new}, ups):
            return
        for n, t in list(new.items())[:ALONE] if len(new) > 1 else ():
            self._try(f"{n} of both signs", {**data, n: t}, ups)
        for n in new:
            if data[n].is_floating_point() and equal_numbers(data[n]) and float(data[n].flatten()[0]) > 0:
                self._try(f"{n} of several values", {**data, n: new[n].abs()}, ups)

    def directed(self, data: Tensors, ups: Upstream) -> None:
        """Data for each side that nothing took yet."""
        for c, side in self.sides.open:
            for name, made in self._made(c, side, data):
                if (c, side) not in {*self.sides.open}:
                    break
                if self.sides.news(made).get(c, set()).isdisjoint(self.signs(c, side)):
                    continue
                if self.left <= 0:
                    self.dropped.append(c.said(side))
                    break
                self.left -= 1
                self._try(name, made, ups)
            if self.room <= 0 and (c, side) in {*self.sides.open}:
                self.dropped.append(c.said(side))

    @staticmethod
    def signs(c: SideCondition, side: str) -> set[int]:
        """The signs on a side; of an extreme, all."""
        return {-1, 0, 1, 2} if c.extreme else SIGNS[side]

    def _try(self, name: str, data: Tensors, ups: Upstream) -> bool:
        return self.attempt(Probe(name, fitted(self.s.kinds, data), ups, kinks=True, lenient="sound", reaching=True))

    # -- one sign ----------------------------------------------------------------------------
    def _mixed(self, n: str, data: Tensors) -> torch.Tensor | None:
        """An input of both signs and several values; None where it is that, or is not to be touched."""
        t, a = data[n], self.arguments.get(n)
        if a is None or n in self.s.held or n in rigid(self.s.kinds) or a.role == "constant" or not t.numel():
            return None
        equal = t.numel() > 1 and equal_numbers(t)
        if not t.is_floating_point():
            sizes = sizes_of(self.s.derivation.program, data)
            new = another(self.s.derivation.program, a, DataLike(t), sizes, self.generator) if equal else t
            if equal and torch.equal(new, t) and t.dtype is not torch.bool:  # a number, not a place
                new = t + torch.randint(3, t.shape, generator=self.generator).to(t)
            return new if equal else None
        signs = bool((t < 0).any()) and bool((t > 0).any())
        mask = not equal and t.numel() > 1 and bool(((t == 0) | (t == 1)).all())
        if mask or signs or not equal and n not in self.s.wrt or not bool(torch.isfinite(t).all()):
            return None
        flips = torch.randint(2, t.shape, generator=self.generator, dtype=torch.int64).double() * 2 - 1
        flips.view(-1)[0] = -1.0
        size = t.detach().cpu().double()
        if equal:
            size = (size.abs() + (size == 0)) * (0.5 + 1.5 * torch.rand(t.shape, generator=self.generator, dtype=torch.float64))
        return (size * flips).to(t.device, t.dtype)

    # -- one side ------------------------------------------------------------------------------
    def _made(self, c: SideCondition, side: str, data: Tensors) -> Iterator[tuple[str, Tensors]]:
        """Candidates of data for one side of a condition: ties and zeros first, since they cost nothing, then solved ones."""
        said = f"data for {c.said(side)}"
        if c.label:
            yield from ((said, made) for made in self._labels(c, side, data))
            return
        floats = {n: t for n, t in data.items() if n in self._movable(data) and t.ndim}
        if c.extreme or 0 in SIGNS[side]:
            yield "ties", {**data, **{n: tied(t) for n, t in floats.items()}}
            yield from (("equal rows", made) for made in _equal_rows(data, floats))
        if not c.extreme and 0 in SIGNS[side]:
            yield "rows of zeros", {**data, **{n: _without_row(t) for n, t in floats.items()}}
            for n, t in floats.items():
                yield f"{n} of a row of zeros", {**data, n: _without_row(t)}
                yield f"{n} of zeros", {**data, n: torch.zeros_like(t)}
        if not c.extreme:
            for sign in sorted(SIGNS[side], key=abs, reverse=True):
                yield from ((said, made) for made in self._solved(c, sign, data))

    def _movable(self, data: Tensors) -> list[str]:
        """Floating-point inputs that a probe may change, those first in which the gradient is taken."""
        kept = {*self.s.held, *rigid(self.s.kinds)}
        free = [n for n, a in self.arguments.items() if a.kind == "float" and a.role != "constant" and n not in kept]
        return sorted((n for n in free if n in data and data[n].is_floating_point()), key=lambda n: n not in self.s.wrt)

    def _labels(self, c: SideCondition, side: str, data: Tensors) -> Iterator[Tensors]:
        """A label on that side, in some of its places."""
        t = data.get(c.label)
        if t is None:
            return
        if t.dtype is torch.bool or isinstance(c.operand, Ref):
            values = [0, 1]
        else:
            assert isinstance(c.operand, SizeOf)
            entry = next(a for a in c.operand.value.atoms() if isinstance(a, Entry))
            line = c.operand.value.linear_in(entry)
            rest = 0 if line is None or line[1].constant is None else line[1].constant
            zero = -rest // line[0] if line is not None and line[0] else 0
            below = limit(self.s.derivation.program, self.arguments[c.label], self._sizes(data)) or int(t.max()) + 2
            values = list(dict.fromkeys((zero, *range(min(below, 8)), below - 1, zero + 1, zero - 1)))
        # some labels, the first surely and the last not: both sides of the condition stand in one batch
        some = torch.rand(t.shape, generator=self.generator) < 0.4
        some.view(-1)[0] = True
        if t.numel() > 1:
            some.view(-1)[-1] = False
        for v in values:
            yield {**data, c.label: torch.where(some.to(t.device), torch.full_like(t, v), t)}

    def _sizes(self, data: Tensors) -> dict[str, int]:
        return dict(sizes_of(self.s.derivation.program, data))

    def _solved(self, c: SideCondition, sign: int, data: Tensors) -> Iterator[Tensors]:
        """An input moved to where an element of the operand has the sign."""
        name = next(n for n, other in self.sides.names.items() if other == c)
        program = self.sides.program.needed((name,))

        def operand(given: Tensors) -> torch.Tensor:
            self.room -= len(program.definitions)
            found: torch.Tensor = evaluate(program, given, self._sizes(data), Live())[name]
            return found.reshape(-1)

        movable = [m for m in self._movable(data) if m in self.s.wrt or data[m].ndim]  # a number alone is as one of Python's
        for n in (m for m in movable if m in program.inputs):
            for _ in range(PICKS):
                if self.room <= 0:
                    return
                try:
                    moved = self._moved(n, sign, data, operand)
                except (DerivcheckError, RuntimeError, ValueError, IndexError):
                    return
                if moved is not None:
                    yield {**data, n: moved.to(data[n].device, data[n].dtype)}
                    break

    def _moved(self, n: str, sign: int, data: Tensors, operand: Callable[[Tensors], torch.Tensor]) -> torch.Tensor | None:
        """The input after some steps towards the sign in one element of the operand; None where it does not move that."""
        at, goal = -1, 0.0
        x = data[n].detach().cpu().double()
        for step in range(STEPS + 1):
            leaf = x.clone().requires_grad_()
            u = operand({**data, n: leaf})
            if at < 0:
                at = int(torch.randint(u.numel(), (1,), generator=self.generator))
                goal = sign * (abs(float(u[at].detach())) / 2 + 1e-2)  # well beyond 0, also from 0 itself
            here = float(u[at].detach())
            if step and (here > 0) - (here < 0) == sign:
                return x
            if step == STEPS or not u.requires_grad:
                return None
            (slope,) = torch.autograd.grad(u[at], leaf, allow_unused=True)
            if slope is None or not bool(torch.isfinite(slope).all()) or not bool((slope != 0).any()):
                return None
            x = x + (goal - here) / float((slope * slope).sum()) * slope
        return None


def _without_row(t: torch.Tensor) -> torch.Tensor:
    """The first place along each dimension set to zero."""
    t = t.clone()
    for k in range(t.ndim):
        t.select(k, 0).zero_()
    return t


def _equal_rows(data: Tensors, floats: Tensors) -> Iterator[Tensors]:
    """One row twice: within an input, and in two inputs."""
    for n, t in floats.items():
        if len(t) > 1:
            same = t.clone()
            same[1] = same[0]
            yield {**data, n: same}
    for m, n in combinations(floats, 2):
        if floats[m].shape[-1] == floats[n].shape[-1]:
            same = floats[n].clone()
            same.reshape(-1, same.shape[-1])[0] = floats[m].reshape(-1, same.shape[-1])[0]
            yield {**data, n: same}
