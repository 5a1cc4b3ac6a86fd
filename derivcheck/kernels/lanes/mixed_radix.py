"""A position in flat memory as a number of mixed radix: what its digits are, and which dimensions its strides speak of."""

from __future__ import annotations

from derivcheck.kernels.lanes.parts import coefficient, parted, quotient
from derivcheck.kernels.lanes.refused import Refused
from derivcheck.kernels.lanes.wholes import Datum
from derivcheck.notation.integers.polynomials import Atom, Index, Poly, Size, as_poly


def digits(position: Poly, dims: tuple[Poly, ...]) -> tuple[Poly, ...]:
    """The digits of a position, which has to be checked to lie below the dimensions.

    >>> from derivcheck.notation.integers.polynomials import size
    >>> T, C = size("T"), size("C")
    >>> t, c = as_poly(Index("t", T)), as_poly(Index("c", C))
    >>> digits(t * C + c + 1, (T, C))
    (t, c + 1)
    """
    found, rest = [], position
    for k in range(len(dims)):
        stride = as_poly(1)
        for d in dims[k + 1 :]:
            stride = stride * d
        if k == len(dims) - 1:
            digit, rest = rest, as_poly(0)
        else:
            digit, rest = _leading(rest, stride, dims[k + 1 :])
        found.append(digit)
    return tuple(found)


def _leading(p: Poly, stride: Poly, inner: tuple[Poly, ...]) -> tuple[Poly, Poly]:
    """What of a position is a multiple of a stride; a stride of literal numbers leaves remainders."""
    if stride.constant == 1:
        return p, as_poly(0)
    return parted(p, stride)


def inferred(position: Poly, name: str) -> tuple[Poly, ...]:
    """The dimensions that a position speaks of, outermost first.

    >>> from derivcheck.notation.integers.polynomials import size
    >>> n = as_poly(Index("n", size("N")))
    >>> inferred(3 * n + 1, "x")
    (N, 3)
    """
    strides: dict[Poly, Atom] = {}
    for a in position.atoms():
        if isinstance(a, Size):
            continue
        c = coefficient(position, a)
        if c is None or not all(isinstance(x, Size) for x in c.atoms()):
            raise Refused(f"[{position}]", f"it is not seen how {name} is shaped", f"Say it with dims={{{name!r}: …}}.")
        if c.terms and all(k < 0 for _, k in c.terms):
            c = -c  # it counts down
        if c in strides:
            raise Refused(f"[{position}]", f"it is not seen how {name} is shaped", f"Say it with dims={{{name!r}: …}}.")
        strides[c] = a
    ordered = sorted(strides, key=_weight)
    dims: list[Poly] = []
    below = as_poly(1)
    for k, stride in enumerate(ordered):
        gap = quotient(stride, below)
        if gap is None:
            raise Refused(f"[{position}]", f"it is not seen how {name} is shaped", f"Say it with dims={{{name!r}: …}}.")
        if gap.constant != 1:
            dims = _factors(gap) + dims
        a = strides[stride]
        last = k == len(ordered) - 1
        extent = a.size if isinstance(a, Index) else as_poly(Size(f"{name}_rows"))
        if not last:
            wider = quotient(ordered[k + 1], stride)
            if wider is None:
                raise Refused(f"[{position}]", f"it is not seen how {name} is shaped", f"Say it with dims={{{name!r}: …}}.")
            if isinstance(a, Datum) or quotient(wider, extent) is None:
                extent = wider
        dims = [extent, *dims]
        below = stride * extent
    if not dims:
        constant = position.constant
        if constant is None or constant < 0:
            raise Refused(f"[{position}]", f"it is not seen how {name} is shaped", f"Say it with dims={{{name!r}: …}}.")
        return (as_poly(constant + 1),)
    return tuple(dims)


def _factors(p: Poly) -> list[Poly]:
    """A product as its factors, the number first."""
    if len(p.terms) != 1:
        return [p]
    m, c = p.terms[0]
    found = [as_poly(c)] if c != 1 else []
    return found + [as_poly(a) for a, e in m for _ in range(e)]


def _weight(p: Poly) -> tuple[int, int]:
    if len(p.terms) != 1:
        return (99, 0)
    m, c = p.terms[0]
    return sum(e for _, e in m), abs(c)


__all__ = ["Datum", "digits", "inferred"]
