"""Axes of size one, which nobody writes: ``mu[n, 0]`` with ``keepdim=True`` is ``mu[n]``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from derivcheck.notation.integers.atoms import Entry
from derivcheck.notation.integers.polynomials import Atom, Index, Poly, as_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import func, mul, power, sub
from derivcheck.notation.terms.nodes import MATRICES, Over, Ref, Term
from derivcheck.notation.terms.substitute import substitute, transform, with_polys

Axes = Mapping[str, tuple[int, ...]]


def kept_axes(program: Program) -> dict[str, tuple[int, ...]]:
    """The axes that stay, of each input and definition that has an axis of size one; an output keeps at least one axis.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> kept_axes(parse_program("y[n,c] := x[n,c] - m[n,0]", {"x": "N C", "m": "N 1"}))
    {'m': (0,)}
    """
    found: dict[str, tuple[int, ...]] = {}
    for name, dims in [*((a.name, a.dims) for a in program.arguments), *((d.name, d.dims) for d in program.definitions)]:
        kept = tuple(k for k, p in enumerate(dims) if p.constant != 1)
        if not kept and name in program.outputs:  # a loss has no dimension; what has one is no loss
            kept = tuple(range(len(dims)))[:1]
        if len(kept) < len(dims):
            found[name] = kept
    return found


def without_ones(program: Program) -> Program:
    """The same Program without axes of size one.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> p = parse_program("y[n,c] := x[n,c] - m[n,0]", {"x": "N C", "m": "N 1"})
    >>> print(without_ones(p).definition("y").term)
    x[n, c] - m[n]
    """
    axes = kept_axes(program)
    if not axes:
        return program
    arguments = tuple(
        replace(a, dims=tuple(a.dims[k] for k in axes[a.name])) if a.name in axes else a for a in program.arguments
    )
    return replace(program, arguments=arguments, definitions=tuple(_definition(d, axes) for d in program.definitions))


def _definition(d: Definition, axes: Axes) -> Definition:
    """A definition over the axes that stay."""
    kept = axes.get(d.name, range(len(d.indices)))
    gone = {i: 0 for k, i in enumerate(d.indices) if k not in kept}
    term = substitute(_term(d.term, axes), gone)
    return replace(d, indices=tuple(d.indices[k] for k in kept), term=term, spelling=None)


def _term(term: Term, axes: Axes) -> Term:
    """A term whose tensors have lost those axes."""

    def change(t: Term) -> Term:
        """References without those axes, and nothing over one element."""
        t = with_polys(t, lambda p: _poly(p, axes))
        if isinstance(t, Ref) and t.name in axes:
            return Ref(t.name, tuple(t.at[k] for k in axes[t.name]))
        if isinstance(t, Over) and t.kind in MATRICES and t.indices[0].size.constant == 1:
            return _of_number(t.kind, substitute(t.body, dict.fromkeys(t.indices, 0)))
        if isinstance(t, Over) and not t.kind.startswith("arg") and t.kind not in MATRICES:
            single = [i for i in t.indices if i.size.constant == 1]
            if single:
                rest = tuple(i for i in t.indices if i not in single)
                body = substitute(t.body, dict.fromkeys(single, 0))
                return Over(t.kind, rest, body) if rest else body
        return t

    return transform(term, change)


def _of_number(kind: str, x: Term) -> Term:
    """What is made of a matrix of one element."""
    if kind in ("inv", "cholesky"):
        return power(x, -1 if kind == "inv" else Fraction(1, 2))
    if kind == "logabsdet":
        x = mul(x, sub(bracket(">", x), bracket("<", x)))
    return x if kind == "det" else func("log", x)


def _poly(p: Poly, axes: Axes) -> Poly:
    """An integer expression with the entries of integer tensors that lose an axis."""
    if p.names.isdisjoint(axes):
        return p
    return p.substitute({a: _atom(a, axes) for a in p.atoms() if not a.names.isdisjoint(axes)})


def _atom(a: Atom, axes: Axes) -> Poly:
    """An atom whose parts lose those axes."""
    if isinstance(a, Index):
        return as_poly(a)
    parts = tuple(_poly(q, axes) for q in a.parts)
    if isinstance(a, Entry):
        return as_poly(Entry(a.name, tuple(parts[k] for k in axes.get(a.name, range(len(parts))))))
    return a.rebuilt(parts)
