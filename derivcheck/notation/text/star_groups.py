"""Star groups in the rows' own text, ``x[*n,i]``: replaced by indices once their ranks are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from derivcheck.errors import NotationError
from derivcheck.notation.text.syntax import Application, At, Chain, Define, Item, Name, Num, Piece, Star, changed


def expand_groups(tree: Any, ranks: Mapping[str, int]) -> Any:
    """Replace each star group ``*n`` by that many indices: ``n`` for one, ``n1, n2, …`` for more, nothing for none.

    ``size(*n)`` becomes the product of their sizes.

    Args:
        tree: what :func:`~derivcheck.notation.text.syntax.read` gave.
        ranks: how many indices each group stands for.

    Raises:
        NotationError: a group without a rank.
    """
    if isinstance(tree, list):
        return [expand_groups(t, ranks) for t in tree]

    def spread(items: tuple[Piece, ...]) -> tuple[Piece, ...]:
        """Items with each star group as its indices."""
        out: list[Piece] = []
        for x in items:
            if isinstance(x, Star):
                if x.name not in ranks:
                    raise NotationError(
                        f"the star group *{x.name} has no rank; groups with a rank are {', '.join(ranks) or 'none'}"
                    )
                rank = ranks[x.name]
                out += [Item(x.span, Name(x.span, x.name if rank == 1 else f"{x.name}{k + 1}")) for k in range(rank)]
            else:
                out.append(expand(x))
        return tuple(out)

    def expand(n: Any) -> Any:
        """A node with the groups in it written out."""
        if isinstance(n, At):
            places = spread(n.places)
            return replace(n, places=places) if places else Name(n.span, n.name)
        if isinstance(n, Define):
            return replace(n, items=spread(n.items), body=expand(n.body))
        if not isinstance(n, Application):
            return changed(n, expand)
        items = spread(n.items)
        if n.name == "size" and any(isinstance(x, Star) for x in n.items):
            sizes = tuple(Application(n.span, "size", (x,)) for x in items)
            if len(sizes) > 1:
                return Chain(n.span, ("*",) * (len(sizes) - 1), sizes)
            return sizes[0] if sizes else Num(n.span, Fraction(1))
        body = None if n.body is None else expand(n.body)
        return body if body is not None and not items else replace(n, items=items, body=body)

    return expand(tree)
