"""Scalar functions: ``exp`` and ``log`` are carried out, parity fixes signs, others are opaque or written through ``exp``."""

from __future__ import annotations

from fractions import Fraction

from derivcheck.notation.functions.table import functions
from derivcheck.proof.expressions.atoms import (
    UNIT,
    Apply,
    Base,
    Exp,
    Expression,
    Iverson,
    Monomial,
    ProofAtom,
    Rational,
    Root,
)
from derivcheck.proof.expressions.context import Context, Unreduced
from derivcheck.proof.expressions.polynomials import (
    add_into,
    constant,
    frozen,
    minus,
    number,
    of_atom,
    plain,
    plus,
    scaled,
    single,
    whole,
)
from derivcheck.proof.expressions.signatures import signed
from derivcheck.proof.normal_form.cases import by_cases, cases
from derivcheck.proof.normal_form.powers import extracted, power, primes
from derivcheck.proof.normal_form.products import times
from derivcheck.proof.normal_form.signs import positive

# What is always written through others: their definitions are one step from exp and log.
ALWAYS = ("softplus", "logsigmoid", "log1p", "expm1")
# What stays as it is: a definition that terms have no words for.
OPAQUE = ("trunc", "i0", "i1", "i0e", "i1e")


def exp(context: Context, u: Expression) -> Expression:
    """``exp`` of a sum is the product of the ``exp`` of its addends; ``exp(c·log v) = v^c``."""
    masked = {m: c for m, c in u.items() if any(isinstance(a, Iverson) for a, _ in m)}
    if masked:
        plain = {m: c for m, c in u.items() if m not in masked}
        mask = next(a for m in masked for a, _ in m if isinstance(a, Iverson))
        return times(context, exp(context, plain), cases(context, masked, mask, lambda v: exp(context, v)))
    total: Expression = {UNIT: 1}
    if len(u) > 1:
        context.used("exp(a + b) = exp(a)·exp(b)")
    for m, c in u.items():
        total = times(context, total, _exp_of(context, m, c))
    return total


def _exp_of(context: Context, m: Monomial, c: Rational) -> Expression:
    """``exp`` of one term."""
    infinity = context.atom(Apply, "inf", ())  # of which exp(−inf) = 0 alone is used: nothing is cancelled against it
    if any(a is infinity for a, _ in m):
        if m == {(infinity, 1)} and c < 0:
            context.used("exp(-inf) = 0")
            return {}
        raise Unreduced("an infinity that does not vanish")
    if len(m) == 1:
        ((a, e),) = m
        if e == 1 and isinstance(a, Apply) and a.function == "log":
            context.used("exp(c·log u) = u^c")
            return power(context, dict(a.args[0]), c)
    return of_atom(context.atom(Exp, m), c)


def log(context: Context, u: Expression) -> Expression:
    """``log`` with positive factors taken out; ``log(exp(v)) = v``."""
    known = constant(u)
    if known is not None:
        return _log_number(context, Fraction(known)) if known > 0 else _kept_log(context, u)
    split = by_cases(context, u, lambda v: log(context, v))
    if split is not None:
        return split
    one = single(u)
    if one is not None:
        return _log_of(context, *one)
    content, primitive = extracted(context, u, False)
    if content == {UNIT: 1} and len(primitive) > 1:
        return _kept_log(context, u)
    rest = log(context, primitive) if len(primitive) < 2 else _kept_log(context, primitive)
    return plus(log(context, content), rest)


def _kept_log(context: Context, u: Expression) -> Expression:
    return context.one(Apply, "log", (frozen(u),))


def _log_of(context: Context, m: Monomial, c: Rational) -> Expression:
    """``log`` of one term."""
    total: Expression = {}
    rest: list[tuple[ProofAtom, Rational]] = []
    for a, e in m:
        if isinstance(a, Exp):
            context.used("log(exp(u)) = u")
            add_into(total, {a.monomial: e})
        elif isinstance(a, Root):
            add_into(total, _log_number(context, Fraction(a.prime)), e)
        elif isinstance(a, Base) and (not whole(e) or positive(context, a, 1)):
            add_into(total, log(context, dict(a.terms)), e)
        elif isinstance(a, Base) and context.sign(a) < 0:
            add_into(total, log(context, scaled(dict(a.terms), -1)), e)
            c = -c if e % 2 else c
        elif not isinstance(a, Iverson) and positive(context, a, 1):
            add_into(total, _kept_log(context, of_atom(a)), e)
        else:
            rest.append((a, e))
    if len(rest) == 1 and c > 0:
        a, e = rest[0]
        if not (whole(e) and e % 2 == 0) and not isinstance(a, Iverson):  # defined where the atom is above 0 alone
            add_into(total, _kept_log(context, of_atom(a)), e)
            rest = []
    add_into(total, _log_number(context, abs(Fraction(c))))
    if rest or c < 0:
        add_into(total, _kept_log(context, {frozenset(rest): 1 if c > 0 else -1}))
    return total


def _log_number(context: Context, value: Fraction) -> Expression:
    """``log`` of a positive number, prime by prime."""
    total: Expression = {}
    for prime, e in primes(value):
        add_into(total, _kept_log(context, number(prime)), e)
    return total


def apply(context: Context, name: str, args: list[Expression]) -> Expression:
    """A scalar function of expressions."""
    if name == "exp":
        return exp(context, args[0])
    if name == "log":
        return log(context, args[0])
    if len(args) == 1:
        split = by_cases(context, args[0], lambda v: apply(context, name, [v]))
        if split is not None:
            return split
    expand, row = context.mode.expand, functions()[name]
    if row.means is not None and (expand or name in ALWAYS) and name not in OPAQUE:
        context.used(f"{name} by its definition")
        return context.rules.by_definition(context, name, args)
    if expand and name in ("tanh", "sinh", "cosh"):
        context.used(f"{name} through exp")
        return _hyperbolic(context, name, args[0])
    if row.at_zero is not None and not args[0]:
        return number(plain(row.at_zero))
    if row.parity and not signed(args[0].items()):
        return scaled(context.one(Apply, name, (frozen(scaled(args[0], -1)),)), row.parity)
    return context.one(Apply, name, tuple(frozen(a) for a in args))


def _hyperbolic(context: Context, name: str, u: Expression) -> Expression:
    if name == "tanh":  # 1 − 2/(1 + e^(2u))
        square = plus({UNIT: 1}, exp(context, scaled(u, 2)))
        return minus({UNIT: 1}, scaled(power(context, square, -1), 2))
    up, down = exp(context, u), exp(context, scaled(u, -1))
    return scaled(minus(up, down) if name == "sinh" else plus(up, down), Fraction(1, 2))
