"""Terms in SymPy: ``Indexed`` for elements, ``Sum``, ``Product``, ``KroneckerDelta`` and ``Piecewise``.

Sizes are positive integer symbols, indices nonnegative ones; a tensor ``x`` is ``IndexedBase("x")``, a number
without dimensions ``Symbol("x")``.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import sympy

from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.functions.table import functions
from derivcheck.notation.integers.atoms import Applied, Entry, Extreme, Floor
from derivcheck.notation.integers.polynomials import Atom, Index, Poly, Size
from derivcheck.notation.terms.nodes import Add, Bracket, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term


def to_sympy(term: Term, sizes: Mapping[str, int] | None = None, *, named: bool = False) -> sympy.Expr:
    """A term as a SymPy expression.

    Args:
        term: any term.
        sizes: numbers for symbolic sizes, by name; others stay symbols.
        named: for reading: scalar functions that SymPy lacks stay names, rather than what they mean.

    Returns:
        An unevaluated expression: ``.doit()`` writes sums out where the sizes are numbers.  An extreme over indices is
        an ``Extremum`` that ``.doit()`` turns into ``Max`` or ``Min``.

    >>> from derivcheck.notation.terms.build import ref
    >>> from derivcheck.notation.terms.substitute import summation
    >>> n = Index("n", Poly(((((Size("N"), 1),), 1),)))
    >>> to_sympy(summation([n], ref("x", n)))
    Sum(x[n], (n, 0, N - 1))
    >>> to_sympy(summation([n], ref("x", n)), {"N": 2}).doit()
    x[0] + x[1]
    """
    return _convert(term, tuple(sorted((sizes or {}).items())), named)


@lru_cache(maxsize=2048)
def _convert(term: Term, sizes: tuple[tuple[str, int], ...], named: bool) -> Any:
    return _SympyWriter(dict(sizes), named).term(term)


def size_symbol(name: str) -> Any:
    """The symbol of a size: a positive integer."""
    return sympy.Symbol(name, integer=True, positive=True)


def index_symbol(index: Index) -> Any:
    """The symbol of an index: a nonnegative integer."""
    return sympy.Symbol(index.key, integer=True, nonnegative=True)


class _Expanded:
    """The scalar functions written out: ``F.sigmoid(x)`` is ``1/(1 + exp(-x))``."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args: _function(name, args)


_F = _Expanded()


def _function(name: str, args: tuple[Any, ...]) -> Any:
    row = functions().get(name)
    if row is None:
        raise UnsupportedOperation(name, "there is no scalar function of that name")
    if row.means is not None:
        return row.means(sympy, _F, *args)
    own = getattr(sympy, row.sympy)
    return own(*args) if row.arity else own


@lru_cache(maxsize=1)
def extremum_class() -> Any:
    """``Extremum(kind, body, (i, 0, N - 1), …)``: what SymPy lacks, a maximum over a range."""

    class Extremum(sympy.Expr):  # type: ignore[misc]
        """A maximum, minimum or the place of one over ranges of integers."""

        @property
        def kind(self) -> str:
            return str(self.args[0])

        @property
        def bound_symbols(self) -> list[Any]:
            return [limits[0] for limits in self.args[2:]]

        @property
        def free_symbols(self) -> set[Any]:
            found: set[Any] = self.args[1].free_symbols - set(self.bound_symbols)
            return found.union(*(low.free_symbols | high.free_symbols for _, low, high in self.args[2:]))

        def _eval_subs(self, old: Any, new: Any) -> Any:
            if old in self.bound_symbols:
                return self
            return None

        def doit(self, **hints: Any) -> Any:
            """Write the extreme out over its ranges, where they are numbers; the first place wins among equals."""
            limits = [lim.doit() for lim in self.args[2:]]
            if not all(low.is_Integer and high.is_Integer for _, low, high in limits):
                return self
            ranges = [range(int(low), int(high) + 1) for _, low, high in limits]
            values = [
                self.args[1].xreplace(dict(zip(self.bound_symbols, map(sympy.Integer, at)))).doit()
                for at in itertools.product(*ranges)
            ]
            if self.kind in ("max", "min"):
                return (sympy.Max if self.kind == "max" else sympy.Min)(*values)
            better = sympy.Gt if self.kind == "argmax" else sympy.Lt
            place: Any = sympy.Integer(0)
            best = values[0]
            for k, v in enumerate(values[1:], 1):
                place = sympy.Piecewise((k, better(v, best)), (place, True))
                best = (sympy.Max if self.kind == "argmax" else sympy.Min)(best, v)
            return place

    return Extremum


class _SympyWriter:
    def __init__(self, sizes: Mapping[str, int], named: bool = False) -> None:
        self.sp, self.sizes, self.named = sympy, sizes, named
        self.memo: dict[Any, Any] = {}

    def poly(self, p: Poly) -> Any:
        """An integer expression."""
        sp = self.sp
        return sp.Add(*(sp.Mul(sp.Integer(c), *(self.atom(a) ** e for a, e in m)) for m, c in p.terms))

    def atom(self, a: Atom) -> Any:
        """An atom as a SymPy expression."""
        sp = self.sp
        if isinstance(a, Size):
            return sp.Integer(self.sizes[a.name]) if a.name in self.sizes else size_symbol(a.name)
        if isinstance(a, Index):
            return index_symbol(a)
        if isinstance(a, Entry):
            return self._element(a.name, a.at)
        if isinstance(a, Floor):
            return sp.floor(self.poly(a.numerator) / self.poly(a.denominator))
        assert isinstance(a, Extreme)
        if isinstance(a, Applied):
            return sp.Function(a.kind)(*map(self.poly, a.args))
        return (sp.Max if a.kind == "max" else sp.Min)(*map(self.poly, a.args))

    def _element(self, name: str, at: tuple[Poly, ...]) -> Any:
        if not at:
            return self.sp.Symbol(name)
        return self.sp.IndexedBase(name)[tuple(map(self.poly, at))]

    def term(self, t: Term) -> Any:
        """A term; one that stands twice is written once."""
        found = self.memo.get(t)
        if found is None:
            found = self.memo[t] = self._term(t)
        return found

    def _term(self, t: Term) -> Any:
        """A node as a SymPy expression."""
        sp = self.sp
        if isinstance(t, Number):
            return sp.Rational(t.value.numerator, t.value.denominator)
        if isinstance(t, SizeOf):
            return self.poly(t.value)
        if isinstance(t, Ref):
            return self._element(t.name, t.at)
        if isinstance(t, Bracket):
            return self._bracket(t)
        if isinstance(t, Add):
            return sp.Add(*map(self.term, t.args))
        if isinstance(t, Mul):
            return self._product(t)
        if isinstance(t, Pow):
            return self.term(t.base) ** self.term(t.exponent)
        if isinstance(t, Func):
            args = tuple(map(self.term, t.args))
            return sp.Function(t.name)(*args) if self.named and functions()[t.name].means else _function(t.name, args)
        assert isinstance(t, Over)
        limits = [(index_symbol(i), 0, self.poly(i.size) - 1) for i in t.indices]
        body = self.term(t.body)
        if t.kind in ("sum", "prod"):
            # SymPy's first limits are the innermost; an index may be the bound of a later one here
            return (sp.Sum if t.kind == "sum" else sp.Product)(body, *reversed(limits))
        return extremum_class()(sp.Symbol(t.kind), body, *(sp.Tuple(*lim) for lim in limits))

    def _delta(self, b: Bracket) -> Any:
        """``KroneckerDelta(i, rest)`` of ``[i - rest == 0]``; None where it is no equation of integers."""
        if b.relation not in ("==", "!=") or not isinstance(b.operand, Poly):
            return None
        left, right = self.poly(b.operand), self.sp.Integer(0)
        for a in b.operand.atoms():
            found = b.operand.linear_in(a)
            if found is not None and found[0] in (1, -1):
                left, right = self.atom(a), self.poly(found[1] * -found[0])
                break
        delta = self.sp.KroneckerDelta(left, right)
        return delta if b.relation == "==" else 1 - delta

    def _condition(self, b: Bracket) -> Any:
        sp = self.sp
        operand = self.poly(b.operand) if isinstance(b.operand, Poly) else self.term(b.operand)
        relations = {"==": sp.Eq, "!=": sp.Ne, ">=": sp.Ge, ">": sp.Gt}
        return relations[b.relation](operand, 0)

    def _bracket(self, b: Bracket) -> Any:
        delta = self._delta(b)
        return delta if delta is not None else self.sp.Piecewise((1, self._condition(b)), (0, True))

    def _product(self, t: Mul) -> Any:
        """A product: where a bracket is 0 the rest is not looked at."""
        sp = self.sp
        conditions, factors = [], []
        for a in t.args:
            if isinstance(a, Bracket):
                delta = self._delta(a)
                if delta is None:
                    conditions.append(self._condition(a))
                else:
                    factors.append(delta)
            else:
                factors.append(self.term(a))
        body = sp.Mul(*factors)
        return sp.Piecewise((body, sp.And(*conditions)), (0, True)) if conditions else body
