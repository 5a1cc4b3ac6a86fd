"""The sizes of a Program from the shapes of its inputs.

A dimension may be any integer expression (``h*d``, ``2*m``, ``L - k + 1``), so sizes are solved for:
each dimension with one unknown size left gives that size, and every other dimension must then agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from derivcheck.errors import InputError
from derivcheck.notation.integers.polynomials import Atom, Poly, Size, as_poly
from derivcheck.notation.program.program import Program

Shape = Sequence[int]


def measure(program: Program, shapes: Mapping[str, Shape], sizes: Mapping[str, int] | None = None) -> dict[str, int]:
    """The value of every size of ``program`` at these shapes of its inputs.

    Args:
        shapes: a shape per input; an input that is left out tells nothing.
        sizes: sizes that are known already, for those that no shape determines.

    Raises:
        InputError: a wrong number of dimensions, two dimensions that disagree, or a size that nothing determines.

    >>> from derivcheck.notation.program.definitions import Input
    >>> from derivcheck.notation.integers.polynomials import size
    >>> h, d = size("h"), size("d")
    >>> measure(Program((Input("x", (h * d,)), Input("k", (d,))), (), ()), {"x": (6,), "k": (3,)})
    {'d': 3, 'h': 2}
    """
    known = dict(sizes or {})
    source = dict.fromkeys(known, "sizes=")
    open_dims: list[tuple[str, int, Poly, int]] = []
    for argument in program.arguments:
        shape = shapes.get(argument.name)
        if shape is None:
            continue
        if len(shape) != len(argument.dims):
            wanted = ", ".join(map(str, argument.dims))
            raise InputError(
                f"{argument.name} has shape {tuple(shape)}, {_count(len(shape))}; "
                f"expected {_count(len(argument.dims))}, ({wanted})"
            )
        open_dims.extend((argument.name, k, p, int(n)) for k, (p, n) in enumerate(zip(argument.dims, shape)))
    while open_dims:
        left = []
        for name, k, poly, extent in open_dims:
            if isinstance(lone := poly.atom, Size) and known.get(lone.name, extent) == extent:  # most dimensions
                if lone.name not in known:
                    known[lone.name], source[lone.name] = extent, f"dimension {k} of {name}"
                continue
            unknown = sorted(poly.sizes() - known.keys())
            if len(unknown) > 1:
                left.append((name, k, poly, extent))
            elif unknown:
                found = _solve(_settle(poly, known), unknown[0], extent)
                if found is None:
                    raise InputError(
                        f"{name} has size {extent} in dimension {k}, where {poly} was expected: no size {unknown[0]} gives that"
                        + _given(poly, known, source)
                    )
                known[unknown[0]] = found
                source[unknown[0]] = f"dimension {k} of {name}"
            elif not poly.names and (value := poly.at(known)) != extent:
                raise InputError(
                    f"{name} has size {extent} in dimension {k}, expected {poly}"
                    + (f" = {value}" if poly.constant is None else "")
                    + _given(poly, known, source)
                )
        if len(left) == len(open_dims):
            name, k, poly, extent = left[0]
            unknown = sorted(poly.sizes() - known.keys())
            raise InputError(
                f"{name} has size {extent} = {poly} in dimension {k}, "
                f"which does not determine {' and '.join(unknown)}: give one with sizes="
            )
        open_dims = left
    return known


def sizes_of(program: Program, arrays: Mapping[str, Any]) -> dict[str, int]:
    """:func:`measure` of arrays or tensors."""
    return measure(program, {n: a.shape for n, a in arrays.items()})


def _count(n: int) -> str:
    return f"{n} dimension" + ("" if n == 1 else "s")


def _given(poly: Poly, known: Mapping[str, int], source: Mapping[str, str]) -> str:
    facts = [f"{s} = {known[s]} from {source[s]}" for s in sorted(poly.sizes()) if s in known]
    return f" ({', '.join(facts)})" if facts else ""


def _settle(poly: Poly, known: Mapping[str, int]) -> Poly:
    return poly.substitute({Size(n): as_poly(v) for n, v in known.items()})


def _solve(poly: Poly, name: str, extent: int) -> int | None:
    """The size at which the dimension has that extent: by division where it is linear, else the smallest that fits."""
    atom: Atom = Size(name)
    line = poly.linear_in(atom)
    if line is not None and line[0] and line[1].constant is not None:
        quotient, rest = divmod(extent - line[1].constant, line[0])
        return quotient if rest == 0 and quotient >= 0 else None
    for candidate in range(4 * extent + 65):  # floors and powers: the smallest size that fits
        if poly.at({name: candidate}) == extent:
            return candidate
    return None
