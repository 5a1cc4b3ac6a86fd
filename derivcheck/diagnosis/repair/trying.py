"""Which edits of the user's text make every gradient right: each is run on small data, and what holds there on others."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
import torch

from derivcheck.diagnosis.repair.bench import Bench
from derivcheck.diagnosis.repair.change import Change
from derivcheck.diagnosis.repair.clock import clock
from derivcheck.diagnosis.repair.subject import Backward, fitted, near
from derivcheck.diagnosis.scene import Array

BESIDE = 0.7  # how much dearer than the cheapest another fix may be
ENOUGH = 8
MORE = 3  # how much larger the sizes of further data are


@dataclass
class Found:
    """What a search found.

    Attributes:
        whole: edits that make every gradient right, each with the data that confirm it.
        parts: edits that make some of the wrong ones right, and leave the others as they are.
    """

    whole: list[tuple[Change, tuple[Bench, ...]]] = field(default_factory=list)
    parts: list[tuple[frozenset[str], Change]] = field(default_factory=list)
    tried: int = 0
    ended: bool = True  # all were tried


def tried(backward: Backward, changes: Iterable[Change], end: float) -> Found:
    """Run each edit until the clock says ``end``, or what is dearer than the best."""
    found = Found()
    if not backward.benches:
        return found
    bench = backward.benches[0]
    before = backward.gradients(bench) or {}
    others(backward)
    bad = set(backward.names)
    most = float("inf")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for change in changes:
            if change.cost > most or len(found.whole) >= ENOUGH:
                break
            if clock() > end:
                found.ended = False
                break
            found.tried += 1
            try:
                with change.piece.running(change.text):
                    now = backward.gradients(bench)
                    left = None if now is None else _left(now, before, bench)
                    if left is None or not left < bad:
                        continue
                    if not left:
                        confirmed = confirming(backward, before)
                        if confirmed is not None:
                            found.whole.append((change, confirmed))
                            most = min(most, change.cost + BESIDE)
                    else:
                        found.parts.append((frozenset(bad - left), change))
            except (SyntaxError, ValueError, TypeError, RecursionError):
                continue
    return found


def _left(now: Mapping[str, Array], before: Mapping[str, Array], bench: Bench) -> set[str] | None:
    """Which gradients are wrong with an edit; None where one is no longer returned."""
    if not set(before) <= set(now):
        return None
    return {n for n, g in now.items() if not near(fitted(g, bench.right[n]), bench.right[n], bench.floor)}


def confirming(backward: Backward, before: Mapping[str, Array]) -> tuple[Bench, ...] | None:
    """The other data on which the code as it now runs gives every gradient; None where some data contradict it."""
    held: list[Bench] = [backward.benches[0]]
    for bench in others(backward):
        now = backward.gradients(bench)
        if now is None:
            if bench is own(backward) or bench in backward.elsewhere:
                return None
            continue
        for n, g in now.items():
            right = bench.right[n]
            g = fitted(g, right)
            if near(g, right, bench.floor):
                continue
            if g.shape != right.shape:
                return None
            there = np.isfinite(right)
            if there.all() or not near(np.where(there, g, 0), np.where(there, right, 0), bench.floor):
                return None
        held.append(bench)
    return tuple(held)


def own(backward: Backward) -> Bench | None:
    """The user's own data."""
    key = "own"
    if key not in backward._benches:
        try:
            like = backward.like
            backward._benches[key] = backward.on(
                {n: t.double() if t.is_floating_point() else t for n, t in like.inputs.items()},
                {n: t.double() for n, t in like.upstream.items()},
            )
        except Exception:  # data that cannot be evaluated: they confirm nothing
            backward._benches[key] = None
    return backward._benches[key]


def others(backward: Backward) -> list[Bench]:
    """Data that an edit is not searched on: other sizes, zeros among the numbers, both signs and labels, the user's own.

    They are made before the first edit: the backward, as it is, has to run there.
    """
    if backward.others is None:
        backward.others = _others(backward)
    return backward.others


def _others(backward: Backward) -> list[Bench]:
    """The same, made: of sizes that the code is for, as far as the gradients that are right on the user's data tell."""
    first = backward.benches[0]
    found = [*backward.benches[1:]]
    if (mine := own(backward)) is not None and mine is not first:
        found.append(mine)
    more = {n: MORE * v for n, v in first.sizes.items()}
    for sizes, seed, change in ((first.sizes, 77, _some_zero), (more, 78, _larger), (more, 79, None)):
        b = backward.bench(sizes, seed, change)
        if b is not None and all(np.isfinite(g).all() for g in b.right.values()):
            found.append(b)
    found += backward.around_blocks
    b = backward.mixed(first.sizes, 91)
    if b is not None and all(np.isfinite(g).all() for g in b.right.values()):
        found.append(b)
    mine = own(backward)
    able = [b for b in found if b is mine or backward.shaped(b)]
    if any(backward.meant(b) and dict(b.sizes) != dict(backward.like.sizes) for b in (first, *able)):
        able = [b for b in able if b is mine or backward.meant(b)]
    return able + [b for b in backward.elsewhere if backward.meant(b)]


def _some_zero(t: torch.Tensor) -> torch.Tensor:
    """The numbers with every fourth 0; single numbers and those that are all alike stay."""
    if t.numel() < 4:
        return t
    flat = t.clone().flatten()
    flat[1::4] = 0
    return flat.reshape(t.shape)


def _larger(t: torch.Tensor) -> torch.Tensor:
    """The numbers three times as large, where they are no shares."""
    return t if t.numel() < 2 or bool(((t >= 0) & (t <= 1)).all()) else 3 * t


def together(
    backward: Backward, parts: Sequence[tuple[frozenset[str], Change]]
) -> list[tuple[tuple[Change, ...], tuple[Bench, ...]]]:
    """Edits that each make some gradients right, joined so that all are: at most three."""
    bad = frozenset(backward.names)
    best: dict[frozenset[str], Change] = {}
    for names, change in parts:
        if names not in best or change.cost < best[names].cost:
            best[names] = change
    chosen: list[Change] = []
    left = bad
    for names, change in sorted(best.items(), key=lambda p: (-len(p[0]), p[1].cost)):
        if names <= left and all(_apart(change, c) for c in chosen):
            chosen.append(change)
            left -= names
    if left or not 1 < len(chosen) <= 3:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        confirmed = run_together(backward, chosen)
    return [] if confirmed is None else [(tuple(chosen), confirmed)]


def run_together(backward: Backward, chosen: Sequence[Change]) -> tuple[Bench, ...] | None:
    """The data on which these edits together give every gradient."""
    before = backward.gradients(backward.benches[0]) or {}
    others(backward)
    try:
        with running(chosen):
            now = backward.gradients(backward.benches[0])
            if now is None or _left(now, before, backward.benches[0]):
                return None
            return confirming(backward, before)
    except (SyntaxError, ValueError, TypeError, RecursionError):
        return None


def running(chosen: Sequence[Change]) -> ExitStack:
    """A context in which the user's functions run with these edits."""
    stack = ExitStack()
    by_piece: dict[int, list[Change]] = {}
    for c in chosen:
        by_piece.setdefault(id(c.piece), []).append(c)
    for many in by_piece.values():
        stack.enter_context(many[0].piece.running(many[0].piece.changed([p for c in many for p in c.places])))
    return stack


def _apart(a: Change, b: Change) -> bool:
    """Whether two edits change different parts of the text."""
    if a.piece is not b.piece:
        return True
    return all(s[1] <= t[0] or t[1] <= s[0] for (s, _) in a.places for (t, _) in b.places)
