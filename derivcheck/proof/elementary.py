"""Scalar functions: ``exp`` and ``log`` are carried out, parity fixes signs, others are opaque or written through ``exp``."""

from __future__ import annotations

from fractions import Fraction
from time import perf_counter
from typing import TYPE_CHECKING, Any

from derivcheck.derivation.scalar import meaning
from derivcheck.notation.functions.table import functions
from derivcheck.notation.terms.nodes import Term
from derivcheck.proof import brackets, polynomials, powers
from derivcheck.proof.atoms import BRACKETS, UNIT, Atom, Expression, Monomial, Rational, frozen, whole
from derivcheck.proof.signatures import EVEN, ODD, signed
from derivcheck.proof.space import Unreduced, constant, single

if TYPE_CHECKING:
    from derivcheck.proof.space import Space

# What is always written through others: their definitions are one step from exp and log.
ALWAYS = ("softplus", "logsigmoid", "log1p", "expm1")
# What stays as it is: a definition that terms have no words for.
OPAQUE = ("trunc", "i0", "i1", "i0e", "i1e")


def exp(space: Space, u: Expression) -> Expression:
    """``exp`` of a sum is the product of the ``exp`` of its addends; ``exp(c·log v) = v^c``."""
    masked = {m: c for m, c in u.items() if any(a.kind in BRACKETS for a, _ in m)}
    if masked:
        plain = {m: c for m, c in u.items() if m not in masked}
        return polynomials.times(space, exp(space, plain), _exp_masked(space, masked))
    total: Expression = {UNIT: 1}
    if len(u) > 1:
        space.used("exp(a + b) = exp(a)·exp(b)")
    for m, c in u.items():
        total = polynomials.times(space, total, _exp_of(space, m, c))
    return total


def _exp_masked(space: Space, u: Expression) -> Expression:
    mask = next(a for m in u for a, _ in m if a.kind in BRACKETS)
    on, off = brackets.assuming(u, mask)
    own: Expression = {frozenset(((mask, 1),)): 1}
    space.used("f by cases of a bracket")
    high, low = exp(space, on), exp(space, off)
    total = polynomials.plus(low, polynomials.times(space, own, high))
    polynomials.add_into(total, polynomials.times(space, own, low), -1)
    return total


def _exp_of(space: Space, m: Monomial, c: Rational) -> Expression:
    if any(a is infinity(space) for a, _ in m):
        if len(m) == 1 and c < 0 and next(iter(m))[1] == 1:
            space.used("exp(-inf) = 0")
            return {}
        raise Unreduced("an infinity that does not vanish")
    if len(m) == 1:
        ((a, e),) = m
        if e == 1 and a.kind == "apply" and a.data[0] == "log":
            space.used("exp(c·log u) = u^c")
            return powers.power(space, dict(a.data[1][0]), c)
    return {frozenset(((space.atom("exp", m), c),)): 1}


def infinity(space: Space) -> Atom:
    """``inf``, of which only ``exp(−inf) = 0`` is used: nothing is cancelled against it."""
    return space.atom("apply", "inf", ())


def log(space: Space, u: Expression) -> Expression:
    """``log`` with positive factors taken out; ``log(exp(v)) = v``."""
    known = constant(u)
    if known is not None:
        return _log_number(space, Fraction(known)) if known > 0 else space.one("apply", "log", (frozen(u),))
    split = brackets.by_cases(space, u, lambda v: log(space, v))
    if split is not None:
        return split
    one = single(u)
    if one is None:
        content, primitive = powers.extracted(space, u, False)
        if content != {UNIT: 1} or len(primitive) == 1:
            kept = log(space, primitive) if len(primitive) < 2 else space.one("apply", "log", (frozen(primitive),))
            return polynomials.plus(log(space, content), kept)
        return space.one("apply", "log", (frozen(u),))
    m, c = one
    total: Expression = {}
    rest: list[tuple[Atom, Rational]] = []
    for a, e in m:
        if a.kind == "exp":
            space.used("log(exp(u)) = u")
            polynomials.add_into(total, {a.data[0]: e})
        elif a.kind == "root":
            polynomials.add_into(total, _log_number(space, Fraction(a.data[0])), e)
        elif a.kind == "base" and (not whole(e) or powers.positive(space, a, 1)):
            polynomials.add_into(total, log(space, dict(a.data[0])), e)
        elif a.kind == "base" and space.sign(a) < 0:
            polynomials.add_into(total, log(space, polynomials.scaled(dict(a.data[0]), -1)), e)
            c = -c if e % 2 else c
        elif a.kind not in BRACKETS and powers.positive(space, a, 1):
            polynomials.add_into(total, space.one("apply", "log", (frozen({frozenset(((a, 1),)): 1}),)), e)
        else:
            rest.append((a, e))
    if len(rest) == 1 and c > 0 and not (whole(rest[0][1]) and rest[0][1] % 2 == 0) and rest[0][0].kind not in BRACKETS:
        a, e = rest[0]
        polynomials.add_into(total, space.one("apply", "log", (frozen({frozenset(((a, 1),)): 1}),)), e)
        rest = []
    if c > 0:
        polynomials.add_into(total, _log_number(space, Fraction(c)))
    if rest or c < 0:
        inner: Expression = {frozenset(rest): 1 if c > 0 else -1}
        if c < 0:
            polynomials.add_into(total, _log_number(space, -Fraction(c)))
        polynomials.add_into(total, space.one("apply", "log", (frozen(inner),)))
    return total


def _log_number(space: Space, value: Fraction) -> Expression:
    total: Expression = {}
    for prime, e in powers._primes(value):
        polynomials.add_into(total, space.one("apply", "log", (frozen({UNIT: prime}),)), e)
    return total


def apply(space: Space, name: str, args: list[Expression]) -> Expression:
    """A scalar function of expressions."""
    if name == "exp":
        return exp(space, args[0])
    if name == "log":
        return log(space, args[0])
    if len(args) == 1:
        split = brackets.by_cases(space, args[0], lambda v: apply(space, name, [v]))
        if split is not None:
            return split
    row = functions().get(name)
    if row is not None and row.means is not None and (space.expand or name in ALWAYS) and name not in OPAQUE:
        from derivcheck.proof.normal import of_term

        space.used(f"{name} by its definition")
        start = perf_counter()
        means = meaning(name)
        if space.deadline is not None:  # loading SymPy is not the proof's time
            space.deadline += perf_counter() - start
        return _filled(space, of_term, means, args)
    if space.expand and name in ("tanh", "sinh", "cosh"):
        space.used(f"{name} through exp")
        return _hyperbolic(space, name, args[0])
    if len(args) == 1 and name in ODD:
        if not args[0]:
            return {}
        if not signed(space, args[0].items()):
            return polynomials.scaled(space.one("apply", name, (frozen(polynomials.scaled(args[0], -1)),)), -1)
    if len(args) == 1 and name in EVEN:
        if not args[0]:
            return {UNIT: 1}
        if not signed(space, args[0].items()):
            args = [polynomials.scaled(args[0], -1)]
    return space.one("apply", name, tuple(frozen(a) for a in args))


def _hyperbolic(space: Space, name: str, u: Expression) -> Expression:
    up, down = exp(space, u), exp(space, polynomials.scaled(u, -1))
    if name == "tanh":  # 1 − 2/(1 + e^(2u))
        square = polynomials.plus({UNIT: 1}, exp(space, polynomials.scaled(u, 2)))
        return polynomials.plus({UNIT: 1}, polynomials.scaled(powers.power(space, square, -1), -2))
    total = polynomials.plus(up, polynomials.scaled(down, -1 if name == "sinh" else 1))
    return polynomials.scaled(total, Fraction(1, 2))


def _filled(space: Space, of_term: Any, term: Term, args: list[Expression]) -> Expression:
    from derivcheck.proof.substitution import inlined

    meanings = {f"{k:03d}": ((), a) for k, a in enumerate(args)}
    return inlined(space, of_term(space, term), meanings)
