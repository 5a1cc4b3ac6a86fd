"""Groups of channels: indices whose digits a sum of products reads, as two indices.

``w[o, c]·x[(o // O)·C + c]`` becomes ``w[O·g + r, c]·x[C·g + c]``, and where brackets keep ``p − C·g`` below C, the
index p is ``C·g + c`` itself: what is left are plain indices, which a grouped convolution takes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from derivcheck.codegen.lowering.frame import Frame
from derivcheck.codegen.lowering.summed import SummedProduct
from derivcheck.notation.integers.atoms import Floor, exact_quotient
from derivcheck.notation.integers.polynomials import Index, Poly, fresh, i_poly
from derivcheck.notation.terms.nodes import Bracket, Ref, Term
from derivcheck.notation.terms.substitute import substitute


@dataclass
class Grouped:
    """A sum of products with its digits as indices; ``merges`` says which output indices they make up."""

    indices: list[Index]
    brackets: list[Term]
    factors: list[Term]
    merges: list[tuple[Index, Index, Index]] = field(default_factory=list)

    def move(self, moves: dict[Index, Poly]) -> None:
        """Substitute in every factor and bracket."""
        self.brackets = [substitute(b, moves) for b in self.brackets]
        self.factors = [substitute(f, moves) for f in self.factors]


def grouped(low: Frame, s: SummedProduct) -> Grouped:
    """The same sum over digits, where indices are read by their digits; else unchanged."""
    out = Grouped(list(s.bound), list(s.brackets), list(s.factors))
    while (found := _digit(low, out)) is not None:
        _split(low, out, *found)
    while (found_group := _bounded(low, out)) is not None:
        p, f, width, guards = found_group
        out.brackets = [b for b in out.brackets if b not in guards]
        if p in out.indices and f not in out.indices:  # p = width·f + r, and f is an output index
            r = _new(low, out, p, width)
            out.move({p: width * i_poly(f) + i_poly(r)})
            out.indices[out.indices.index(p)] = r
        else:
            g, _ = _split(low, out, p, width)
            out.move({f: i_poly(g)})
            out.indices = [i for i in out.indices if i is not f]
    return out


def _new(low: Frame, out: Grouped, like: Index, size: Poly) -> Index:
    """An index of that size beside those that are there, in the place of ``like``."""
    used = {
        *low.place,
        *out.indices,
        *(i for t in (*out.factors, *out.brackets) for i in t.free),
        *(i for m in out.merges for i in m),
    }
    made = fresh(Index(like.name, size), used)
    low.place[made] = low.place.get(like, len(low.place))
    return made


def _digit(low: Frame, out: Grouped) -> tuple[Index, Poly] | None:
    """An index ``a`` and a size ``d`` that divides its size, where ``a // d`` is read."""
    for t in (*out.factors, *out.brackets):
        polys = t.at if isinstance(t, Ref) else (t.operand,) if isinstance(t, Bracket) and isinstance(t.operand, Poly) else ()
        for p in polys:
            for atom in p.atoms():
                if isinstance(atom, Floor):
                    a, d = atom.numerator.index, atom.denominator
                    if (
                        a is not None
                        and a not in low.graph.fixed
                        and not d.indices
                        and not d.names
                        and exact_quotient(a.size, d) is not None
                    ):
                        return a, d
    return None


def _split(low: Frame, out: Grouped, a: Index, d: Poly) -> tuple[Index, Index]:
    """The index as two digits, and where the output has it, a merge to make afterwards."""
    count = exact_quotient(a.size, d)
    assert count is not None
    f, r = _new(low, out, a, count), _new(low, out, a, d)
    if f is r:
        r = fresh(Index(a.name, d, f.serial + 1), [f, *low.place])
        low.place[r] = low.place[f]
    out.move({a: d * i_poly(f) + i_poly(r)})
    if a in out.indices:
        at = out.indices.index(a)
        out.indices[at : at + 1] = [f, r]
    else:
        out.merges.append((a, f, r))
    return f, r


def _bounded(low: Frame, out: Grouped) -> tuple[Index, Index, Poly, tuple[Term, Term]] | None:
    """``(p, f, C, guards)`` where two brackets say ``0 <= p − C·f < C``."""
    table = {
        b.operand: b for b in out.brackets if isinstance(b, Bracket) and b.relation == ">=" and isinstance(b.operand, Poly)
    }
    for q, b in table.items():
        if not isinstance(q, Poly) or len(q.indices - low.graph.fixed) != 2:
            continue
        for p in q.indices - low.graph.fixed:
            line = q.linear_in(p)
            (f,) = (q.indices - low.graph.fixed) - {p}
            if line is None or line[0] != 1 or (p not in out.indices and f not in out.indices):
                continue
            width = (-line[1]).substitute({f: 1})
            if -line[1] is not width * i_poly(f) or width.indices or p.size is not width * f.size:
                continue
            other = table.get(width - 1 - q)
            if other is not None:
                return p, f, width, (b, other)
    return None
