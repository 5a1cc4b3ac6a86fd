"""What the names in LaTeX are known to be, and which indices are bound where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from derivcheck.notation.program.definitions import Input
from derivcheck.notation.text.syntax import Chain, Name, Negative, Num, Piece


@dataclass
class Vocabulary:
    """What is known before a formula is read.

    Attributes:
        ranks: how many dimensions a tensor has.
        integers: tensors whose entries are positions.
        sizes: names of sizes.
        closed: no other tensors are expected.
        first: the number of the first element, 0 or 1; None where nothing says so.
        scalars: functions and constants that are no names of tensors here.
    """

    ranks: dict[str, int] = field(default_factory=dict)
    integers: set[str] = field(default_factory=set)
    sizes: set[str] = field(default_factory=set)
    closed: bool = False
    first: int | None = None

    @classmethod
    def of(cls, tensors: Iterable[Input], closed: bool) -> Vocabulary:
        """What inputs tell."""
        found = cls(closed=closed)
        for a in tensors:
            found.ranks[a.name] = len(a.dims)
            found.sizes |= {s for p in (*a.dims, *([a.below] if a.below else [])) for s in p.sizes()}
            if a.kind == "int":
                found.integers.add(a.name)
        return found

    def named(self, name: str) -> bool:
        """Whether it is a tensor or a size."""
        return name in self.ranks or name in self.sizes


@dataclass(frozen=True)
class BoundLetter:
    """An index: the name that it has in the tree, and what is added to it (which counts from 0) where its number is meant.

    ``counted``: it counts as positions do, from ``first``; else from ``low``.
    """

    key: str
    low: Piece | None = None
    counted: bool = True


def drift(n: Piece, env: dict[str, BoundLetter], integers: set[str]) -> int | None:
    """By how much an integer expression grows if indices count from one more; None where that depends on sizes.

    Args:
        env: indices by their key in the tree.
        integers: tensors whose entries are positions.
    """
    if isinstance(n, Num):
        return 0
    if isinstance(n, Name):
        return int(n.name in env and env[n.name].counted or n.name in integers)
    name = getattr(n, "name", None)
    if isinstance(n, Negative):
        inner = drift(n.operand, env, integers)
        return None if inner is None else -inner
    if isinstance(n, Chain):
        parts = [drift(x, env, integers) for x in n.operands]
        if n.operators[0] in "+-":
            total = 0
            for o, p in zip(("+", *n.operators), parts):
                if p is None:
                    return None
                total += p if o == "+" else -p
            return total
        moving = [p for p in parts if p != 0]
        factors = [x for x, p in zip(n.operands, parts) if p == 0]
        if not moving:
            return 0
        if (
            len(moving) == 1
            and moving[0] is not None
            and set(n.operators) == {"*"}
            and all(isinstance(x, Num) for x in factors)
        ):
            total = moving[0]
            for x in factors:
                assert isinstance(x, Num)
                total *= int(x.value)
            return total
        return None
    return int(name in integers) if name is not None and hasattr(n, "places") else None
