"""What the code did with the sizes that it read: what its comparisons found are conditions; the other branch was not seen."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.program.requirements import Requirement, simplest
from derivcheck.tracing.recording.data import CallSite, Recording
from derivcheck.tracing.recording.dispatch import Parted
from derivcheck.tracing.recording.naming import statement
from derivcheck.tracing.sizes.messages import says
from derivcheck.tracing.watching.log import CodeLine, Escape, SizeComparison
from derivcheck.tracing.watching.whose_code import READERS, is_user


def branches(recording: Recording) -> Iterator[SizeComparison]:
    """The comparisons by which the code chose what to compute."""
    return (c for c in recording.log.comparisons if _counts(c.place))


def path(recording: Recording) -> list[tuple[Any, ...]]:
    """Which way the code went: how its comparisons came out, how often its loops went round and into how many parts its
    tensors were split.  Recordings of one path are of the same code."""
    return [*map(_turn, branches(recording)), *((c.func, len(c.out)) for c in recording.calls if isinstance(c.out, list))]


def _turn(c: SizeComparison) -> tuple[Any, ...]:
    return c.relation, c.place, c.outcome, str(c.right) if c.loop else ""


def along(first: Recording) -> Callable[[SizeComparison], None]:
    """Ends a recording where it goes another way than the first one.

    Raises:
        Parted: it does, there.
    """
    left = iter([_turn(c) for c in branches(first)])

    def heard(c: SizeComparison) -> None:
        if _counts(c.place) and next(left, None) != _turn(c):
            raise Parted

    return heard


def parted(recording: Recording, first: Recording) -> bool:
    """Whether the beginning of a recording has already gone another way than the first one."""
    counted = [len(list(branches(r))) for r in (recording, first)]
    here, way = path(recording), path(first)
    mine, theirs = (p[:n] for p, n in zip((here, way), counted))
    splits, others = (p[n:] for p, n in zip((here, way), counted))
    return mine != theirs[: len(mine)] or splits != others[: len(splits)]


def escapes(recording: Recording) -> list[Escape]:
    """Numbers made of sizes that the code, or torch's Python on its way, went on with unwatched."""
    found = [e for e in recording.log.escapes if is_user(e.place.file) or e.place.file.startswith(READERS)]
    return [e for e in found if not (e.what in ("str", "format") and says(e.place, e.span))]


class Conditions:
    """What the comparisons of a recording found, as far as what they compared is known.

    Args:
        resolved: an expression of the sizes that were read, as one of the inputs' sizes; None where that is not known.
    """

    def __init__(self, recording: Recording, resolved: Mapping[Poly, Poly | None]) -> None:
        """The comparisons with both sides resolved; one whose sides differ by a number says nothing of the sizes."""
        self.found: dict[tuple[Requirement, CodeLine, bool], None] = {}
        self.unknown: list[SizeComparison] = []
        for c in branches(recording):
            left, right = resolved[c.left], resolved[c.right]
            if left is None or right is None:
                self.unknown.append(c)
            elif (left - right).constant is None:
                self.found[Requirement(left, c.held, right), c.place, c.loop] = None

    def loop(self) -> tuple[Requirement, CodeLine] | None:
        """A loop that goes round as often as a size says: no one derivation is of all of them."""
        return next(((r, p) for r, p, loop in self.found if loop and r.relation == "=="), None)

    def known(self) -> dict[tuple[Requirement, CodeLine], None]:
        """All of them.

        Raises:
            UnsupportedOperation: what was compared is no function of the sizes that is known.
        """
        for c in self.unknown:
            raise UnsupportedOperation(
                "a comparison of sizes",
                "what it compares is no function of the sizes that derivcheck knows",
                str(c.place),
                "Compare the sizes of inputs.",
            )
        return {(simplest(r), p): None for r, p, _ in self.found if not r.at_every_size(0)}


def tightest(found: Sequence[tuple[Requirement, str]]) -> list[tuple[Requirement, str]]:
    """The conditions without those that others imply: of ``N <= 60`` and ``N <= 40`` the second."""
    kept: list[tuple[Requirement, str]] = []
    for k, (r, place) in enumerate(found):
        others = [q for j, (q, _) in enumerate(found) if j != k]
        if not any(_implies(q, r) and not (_implies(r, q) and j >= k) for j, q in enumerate(others)):
            kept.append((r, place))
    return kept


def _implies(one: Requirement, other: Requirement) -> bool:
    """Whether two bounds of one expression are such that the first is at least as tight (False: not known)."""
    mine, yours = _bound(one), _bound(other)
    if mine is None or yours is None or mine[0] is not yours[0] or mine[1] != yours[1]:
        return False
    return mine[2] <= yours[2] if mine[1] == "<=" else mine[2] >= yours[2]


def _bound(r: Requirement) -> tuple[Poly, str, int] | None:
    """``(expression, <= or >=, number)`` of a bound by a number."""
    constant = r.right.constant
    if constant is None or r.relation not in ("<", "<=", ">", ">="):
        return None
    shift = {"<": -1, ">": 1}.get(r.relation, 0)
    return r.left, "<=" if r.relation.startswith("<") else ">=", constant + shift


@lru_cache(maxsize=4096)
def _counts(place: CodeLine) -> bool:
    """Whether a comparison decides what is computed: the user's, or one of torch's that does not only raise."""
    if is_user(place.file):
        return True
    node = statement(CallSite(place.file, place.line, "", 0, 0))
    while isinstance(node, ast.If):
        if not isinstance(node.body[-1], ast.Raise):
            return True
        if len(node.orelse) != 1:
            return bool(node.orelse)
        node = node.orelse[0] if isinstance(node.orelse[0], ast.stmt) else None
    return not isinstance(node, (ast.Assert, ast.Raise))
