"""Positions out of bounds: a lane and sizes at which one lies outside, or why it is not known."""

from __future__ import annotations

import itertools

from derivcheck.kernels.lanes.lanes import UNBOUNDED, Lanes
from derivcheck.kernels.lanes.refused import Refused, UnplacedFault
from derivcheck.kernels.lanes.wholes import Datum
from derivcheck.notation.integers.polynomials import Atom, Index, Poly, Size, as_poly

_TRIED = 20_000


def refuse_outside(name: str, place: Poly, dims: tuple[Poly, ...], k: int, lanes: Lanes, kind: str) -> None:
    """Raise: the position lies outside of the memory, at sizes that are named; or in another row than its strides say."""
    given = (p for n, d in lanes.hints.dims.items() if n in lanes.hints.given for p in d)
    own = {n for p in given for n in lanes.hints.product(p).sizes()}
    other = sorted({n for a in place.atoms() for n in a.sizes()} - own - set(UNBOUNDED.values()))
    if name in lanes.hints.given and other and kind == "read":
        reason = f"its position is made of {', '.join(other)}, its dimensions are {' '.join(map(str, dims))}"
        raise Refused(f"{name}[{place}]", reason, "Say how they hang together, as in N='B*T' of the forward.")
    total = as_poly(1)
    for d in dims:
        total = total * d
    shown = " ".join(map(str, dims))
    how = "is read" if kind == "read" else "is written"
    if not any(isinstance(a, Datum) for a in place.atoms()) and all(_known(m) for m in lanes.masks):
        found = _example(place, total, lanes)
        if found is not None:
            values, at, count = found
            said = ", ".join(f"{a} = {v}" for a, v in values.items())
            if name not in lanes.hints.given:
                advice = f"If {name} is shaped otherwise, say how with dims=."
                raise Refused(f"{name}[{place}]", f"it lies outside of {shown} at {said}", advice)
            raise UnplacedFault(f"{name}[{at}] {how} out of bounds: it has {count} elements ({shown}), at {said}")
    raise Refused(f"{name}[{place}]", f"it is not seen that this lies within {shown}", f"Say with dims= how {name} is shaped.")


def _known(mask: object) -> bool:
    return getattr(mask, "_facts", None) is not None


def _example(place: Poly, total: Poly, lanes: Lanes) -> tuple[dict[str, int], int, int] | None:
    """Sizes and indices at which the facts hold, and the position lies outside."""
    everything = (place, total, *lanes.facts)
    indices = _closed([a for p in everything for a in p.atoms() if isinstance(a, Index)])
    names = sorted({n for p in everything for n in p.sizes()} | {n for i in indices for n in i.size.sizes()})
    if any(isinstance(a, Datum) for p in lanes.facts for a in p.atoms()):
        return None
    tried = 0
    for numbers in itertools.product((1, 2, 3), repeat=len(names)):
        sizes = dict(zip(names, numbers))
        ranges = [range(i.size.at(sizes)) for i in indices]
        for at in itertools.product(*ranges):
            tried += 1
            if tried > _TRIED:
                return None
            values: dict[Atom, int] = {Size(n): v for n, v in sizes.items()} | dict(zip(indices, at))
            if any(f.evaluate(values.__getitem__) < 0 for f in lanes.facts):
                continue
            position, count = place.evaluate(values.__getitem__), total.evaluate(values.__getitem__)
            if not 0 <= position < count:
                return {a.key: v for a, v in values.items()}, int(position), int(count)
    return None


def _closed(indices: list[Index]) -> list[Index]:
    return list(dict.fromkeys(indices))
