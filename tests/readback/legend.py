"""What the letters of a page stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.text.syntax import Application, At, Item, Name, Num, Piece, Power, Span


class Misprint(AssertionError):
    """Printed text that is not what a reader of the notation can read, or that means something else."""


@dataclass
class Legend:
    """The names on a page.

    Attributes:
        tensors: the look of a tensor -> its name.
        sizes: the look of a size -> its name.
        gradients: a tensor -> the name of the gradient in it.
        loss: the look of what is differentiated.
        dims: dimensions by name, numbers where sizes are given.
        first: the number of the first element.
        sample: the index that is not written where a line is about one sample; "" where every index is.
        integers: tensors of positions.
    """

    tensors: dict[str, str]
    sizes: dict[str, str]
    gradients: dict[str, str]
    loss: str
    dims: dict[str, tuple[Poly, ...]]
    first: int = 1
    sample: str = ""
    integers: set[str] = field(default_factory=set)

    def filled(self, name: str, places: list[Piece], sample: Piece | None, span: Span) -> list[Piece]:
        """Positions with those of dimensions of one element, which are not printed."""
        dims = self.dims[name]
        missing = len(dims) - len(places)
        if missing <= 0:
            return places
        ones = [k for k, p in enumerate(dims) if p.constant == 1]
        found = list(places)
        if missing == len(ones) + 1 and sample is not None:
            found.insert(0, sample)
            missing -= 1
        if missing == len(ones):
            for k in ones:
                found.insert(k, Num(span, Num(span, 0).value))  # type: ignore[arg-type]
        else:  # a dimension of one element in front
            found = [*(Num(span, 0) for _ in range(missing)), *found]  # type: ignore[arg-type]
            if missing > len(ones):
                raise Misprint(f"{name} stands with {len(places)} positions, of {len(dims)} dimensions")
        return found


def norm(name: str, places: Sequence[Piece], rank: int, span: Span) -> Piece:
    """``√(Σ x²)`` over the last dimensions of a tensor, those that have no position."""
    over = [Name((span[0], span[1] + k), f"over_{k}") for k in range(rank - len(places))]
    if not over:
        raise Misprint(f"the norm of {name} is of a number")
    element = At(span, name, tuple(Item(p.span, p) for p in (*places, *over)))
    squares = Application(span, "sum", tuple(Item(i.span, i) for i in over), Power(span, element, Num(span, Fraction(2))))
    return Power(span, squares, Num(span, Fraction(1, 2)))
