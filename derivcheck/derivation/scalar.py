"""The scalar calculus, by SymPy: the derivative of one node in its children.

Each node of a term is a scalar function of its children.  The children become symbols, SymPy
differentiates, and the result comes back as a term.  No derivative is typed in here: a composite
such as silu is differentiated from its expression, and its derivative is written in functions that
do not overflow (``exp(x)/(1 + exp(x))`` as ``sigmoid(x)``).
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any

import sympy

from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.functions.table import functions
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import add, func, mul, neg, number, power, ref, sub
from derivcheck.notation.terms.nodes import Add, Func, Mul, Number, Pow, Ref, Term, is_negative
from derivcheck.notation.terms.substitute import transform


def derivative(node: Term, child: int) -> Term:
    """``∂ node / ∂ child``, for a product, a power or a scalar function.

    >>> from derivcheck.notation.terms.build import power, ref
    >>> print(derivative(power(ref("x"), 3), 0))
    3*x^2
    >>> print(derivative(Func("sigmoid", (ref("x"),)), 0))
    sigmoid(x)*(1 - sigmoid(x))
    """
    kids = node.children
    if isinstance(node, Pow):
        if child == 0 and isinstance(node.exponent, Number):
            return _fill(_power_derivative(node.exponent.value), kids)
        return _fill(_skeleton_derivative("pow", 2, child), kids)
    if isinstance(node, Mul):
        others = mul(*kids[:child], *kids[child + 1 :])
        return _fill(_skeleton_derivative("mul", 2, 0), (kids[child], others))  # the others as one factor
    if isinstance(node, Func):
        return _fill(_skeleton_derivative(node.name, len(kids), child), kids)
    raise TypeError(f"no scalar derivative of {type(node).__name__}")


@lru_cache(maxsize=256)
def meaning(name: str) -> Term:
    """What a composite function means, as a term over the slots ``000``, ``001``, … of its arguments.

    >>> print(meaning("silu"))
    000*sigmoid(000)
    """
    row = functions()[name]
    if row.means is None:
        raise UnsupportedOperation(name, "it is a primitive: it has no expression in others")
    return _term(row.means(sympy, _F, *_symbols(row.arity)))


def _fill(skeleton: Term, kids: tuple[Term, ...]) -> Term:
    def change(t: Term) -> Term:
        return kids[int(t.name)] if isinstance(t, Ref) and t.name.isdigit() else t

    return transform(skeleton, change)


@lru_cache(maxsize=4096)
def _power_derivative(exponent: Fraction) -> Term:
    x = _symbols(1)[0]
    return _term((x ** sympy.Rational(exponent.numerator, exponent.denominator)).diff(x))


@lru_cache(maxsize=4096)
def _skeleton_derivative(name: str, arity: int, child: int) -> Term:
    """The derivative of a product, a power or a function in one argument, over slots."""
    xs = _symbols(arity)
    if name == "mul":
        return _term(sympy.Mul(*xs).diff(xs[child]))
    if name == "pow":
        return _term(sympy.powsimp((xs[0] ** xs[1]).diff(xs[child])))
    if name not in functions():
        raise UnsupportedOperation(name, "there is no scalar function of that name")
    return _term(expression_derivative(name, arity, child))


@lru_cache(maxsize=4096)
def expression_derivative(name: str, arity: int = 1, child: int = 0) -> Any:
    """SymPy's derivative of a scalar function's expression, in the symbols of its arguments."""
    xs = _symbols(arity)
    row = functions()[name]
    if row.means is None:
        found = getattr(sympy, row.sympy)(*xs).diff(xs[child])
        return found if row.stable is None else row.stable(sympy, _F, found, *xs)
    found = row.means(sympy, _F, *xs).diff(xs[child])
    return _stable(found, xs) if row.stable is None else row.stable(sympy, _F, found, *xs)


@lru_cache(maxsize=64)
def _symbols(count: int) -> tuple[Any, ...]:
    return tuple(sympy.Symbol(f"{i:03d}", real=True) for i in range(count))


class _Rows:
    """The scalar functions as SymPy functions: ``F.sigmoid(x)`` differentiates by its own row."""

    def __getattr__(self, name: str) -> Any:
        if name not in functions():
            raise AttributeError(f"there is no scalar function {name!r}")
        return sympy_function(name)


_F = _Rows()


@lru_cache(maxsize=1024)
def sympy_function(name: str) -> Any:
    """A row as a SymPy function class: SymPy's own for a primitive, an opaque one for a composite."""
    row = functions()[name]
    if row.means is None:
        return getattr(sympy, row.sympy)

    def fdiff(self: Any, argindex: int = 1) -> Any:
        xs = _symbols(len(self.args))
        return expression_derivative(name, len(self.args), argindex - 1).xreplace(dict(zip(xs, self.args)))

    return type(name, (sympy.Function,), {"fdiff": fdiff, "row": name})


def _stable(expression: Any, xs: tuple[Any, ...]) -> Any:
    """Write quotients of exponentials in the logistic function, which does not overflow."""

    def overflows(e: Any) -> bool:
        return any(p.exp.is_negative and p.base.has(sympy.exp) for p in e.atoms(sympy.Pow))

    if not overflows(expression):
        return expression
    for x in xs:
        s = sympy.Symbol("s", positive=True)
        found = expression.xreplace({sympy.exp(x): s / (1 - s), sympy.exp(-x): (1 - s) / s})
        if found.has(sympy.exp):
            continue
        found = sympy.factor(sympy.cancel(found))
        if found == 1 - s or found == sympy.factor(1 - s):
            return _F.sigmoid(-x)
        return found.xreplace({s: _F.sigmoid(x)})
    return expression


def _term(expression: Any) -> Term:
    """A SymPy scalar expression over the slots as a term."""
    e = expression
    if e.is_Symbol:
        return ref(e.name)
    if e.is_Rational:
        return number(Fraction(int(e.p), int(e.q)))
    if e is sympy.pi:
        return func("pi")
    if e is sympy.E:
        return func("exp", number(1))
    if e.is_Add:
        return add(*(_term(a) for a in sorted(e.args, key=_order)))
    if e.is_Mul:
        return _signed([_term(a) for a in sorted(e.args, key=_order)])
    if e.is_Pow:
        return power(_term(e.base), _term(e.exp))
    if e.is_Function:
        if isinstance(e, sympy.polygamma):
            order, x = e.args
            return func("digamma", _term(x)) if order == 0 else func("polygamma", _term(order), _term(x))
        if isinstance(e, sympy.sign):
            x = _term(e.args[0])
            return sub(bracket(">", x), bracket("<", x))
        if isinstance(e, sympy.Abs):
            x = _term(e.args[0])
            return mul(x, sub(bracket(">", x), bracket("<", x)))
        if isinstance(e, sympy.besseli):
            return _bessel(int(e.order), _term(e.argument))
        name = getattr(type(e), "row", None) or _primitive(type(e).__name__)
        return func(name, *(_term(a) for a in e.args))
    raise UnsupportedOperation(str(e.func), f"SymPy's derivative {e} has no form as a term")


def _bessel(order: int, x: Term) -> Term:
    """I of whole order in I_0 and I_1, by I_(n+1) = I_(n-1) - 2n/x·I_n (DLMF 10.29.1)."""
    n = abs(order)
    if n < 2:
        return func(f"i{n}", x)
    return add(_bessel(n - 2, x), mul(number(-2 * (n - 1)), power(x, -1), _bessel(n - 1, x)))


def _signed(factors: list[Term]) -> Term:
    """``-s*(s - 1)`` is written ``s*(1 - s)``."""
    if is_negative(factors[0]):
        for k, f in enumerate(factors):
            if isinstance(f, Add) and any(isinstance(a, Number) and a.value < 0 for a in f.args):
                return mul(neg(factors[0]), *factors[1:k], neg(f), *factors[k + 1 :])
    return mul(*factors)


def _order(e: Any) -> tuple[int, Any]:
    return (0 if e.is_Number else 1 if not e.is_Add else 2), sympy.default_sort_key(e)


def _primitive(sympy_name: str) -> str:
    for name, row in functions().items():
        if row.sympy == sympy_name:
            return name
    raise UnsupportedOperation(sympy_name, "SymPy's derivative uses a function that has no row")
