"""Powers: positive whole powers of sums are opened, others are kept with their content taken out.

``(a/N + b)^r = N^(−r)·(a + N·b)^r`` for a positive N: what all addends share (a rational number, powers of atoms) leaves the
base, so that equal powers are spelled alike.  A fractional power is kept with a negative exponent: ``√u = u·u^(−1/2)``.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, gcd, lcm

from derivcheck.errors import InputError
from derivcheck.proof.expressions.atoms import UNIT, Base, Expression, Iverson, Monomial, ProofAtom, Rational, Root
from derivcheck.proof.expressions.context import Context, OutOfTime, Unreduced
from derivcheck.proof.expressions.polynomials import common_factors, frozen, of_atom, plain, scaled, whole
from derivcheck.proof.expressions.signatures import signed
from derivcheck.proof.normal_form import signs
from derivcheck.proof.normal_form.cases import by_cases
from derivcheck.proof.normal_form.products import product, times

LARGEST = 24  # exponent of a sum that is opened
LARGEST_PRIME = 10_000  # divisors of a number are looked for below it; what is left counts as a prime


def power(context: Context, base: Expression, exponent: Rational) -> Expression:
    """``base ** exponent`` for a rational exponent."""
    if exponent == 0:
        return {UNIT: 1}
    if exponent == 1:
        return base
    if not base:
        if exponent > 0:
            return {}
        raise Unreduced("a negative power of zero")
    key = (frozen(base), exponent)
    found = context.powers.get(key)
    if found is None:
        found = context.powers[key] = _power(context, base, exponent)
    return found


def _power(context: Context, base: Expression, r: Rational) -> Expression:
    """A power of an expression that is not 0, to an exponent that is neither 0 nor 1."""
    if len(base) == 1:
        ((m, c),) = base.items()
        return _of_monomial(context, m, c, r)
    if whole(r) and r > 0:
        if r > LARGEST:
            raise OutOfTime
        return product(context, [base] * int(r))
    split = by_cases(context, base, lambda u: power(context, u, r))
    if split is not None:
        return split
    content, primitive = extracted(context, base, whole(r))
    ((m, c),) = content.items()
    return times(context, _of_monomial(context, m, c, r), _kept(context, primitive, r))


def _kept(context: Context, primitive: Expression, r: Rational) -> Expression:
    """A power of a primitive sum, its exponent below 0."""
    if len(primitive) == 1:
        return power(context, primitive, r)
    if r > 0:
        lifted = ceil(r)
        opened = power(context, primitive, lifted)
        if lifted == r:
            return opened
        context.used("u^(1/2) = u · u^(-1/2)")
        return times(context, opened, _kept(context, primitive, r - lifted))
    return of_atom(context.atom(Base, frozen(primitive)), r)


def _of_monomial(context: Context, m: Monomial, c: Rational, r: Rational) -> Expression:
    """A power of one term."""
    masks = frozenset((a, e) for a, e in m if isinstance(a, Iverson))
    if masks:  # below 0 too: where the bracket is 0 the power is not defined
        return times(context, {masks: 1}, _of_monomial(context, m - masks, c, r))
    if whole(r):
        n = int(r)
        return scaled(reexponented(context, [(a, e * n) for a, e in m]), plain(c**n if n > 0 else Fraction(c) ** n))
    r = Fraction(r)
    outside: list[tuple[ProofAtom, Rational]] = []
    undecided: list[tuple[ProofAtom, Rational]] = []
    out: Expression = {UNIT: 1}
    for a, e in m:
        if signs.positive(context, a, 1) or not whole(e) or (whole(e * r) and (e * r) % 2 == 0 and e % 2 == 0):
            outside.append((a, e))
        elif e % 2 == 0:  # (u^4)^(1/4) is (u^2)^(1/2), which is not u
            out = times(context, out, _of_base(context, of_atom(a, 2), r * e / 2))
        else:
            undecided.append((a, e))
    if len(undecided) == 1 and c > 0:  # u^r of one atom to an odd power: defined for u > 0 alone
        outside.append(undecided.pop())
    moved = reexponented(context, [(a, e * r) for a, e in outside])
    out = product(context, [out, root(context, abs(Fraction(c)), r), moved])
    if undecided or c < 0:
        out = times(context, out, _of_base(context, {frozenset(undecided): 1 if c > 0 else -1}, r))
    return out


def _of_base(context: Context, base: Expression, r: Fraction) -> Expression:
    """A power of one term that is kept as a base."""
    if r.denominator == 1:
        return power(context, base, int(r))
    lifted = max(ceil(r), 0)
    kept = of_atom(context.atom(Base, frozen(base)), r - lifted)
    return times(context, power(context, base, lifted), kept) if lifted else kept


def reexponented(context: Context, factors: list[tuple[ProofAtom, Rational]]) -> Expression:
    """Powers of atoms, each spelled as it is kept."""
    total: Expression = {UNIT: 1}
    for a, e in factors:
        e = plain(e)
        if isinstance(a, Base):
            part = _of_sum(context, a, e)
        else:
            part = root(context, Fraction(a.prime), e) if isinstance(a, Root) else of_atom(a, e)
        total = times(context, total, part)
    return total


def _of_sum(context: Context, a: Base, e: Rational) -> Expression:
    """A power of a base: opened as far as its exponent is above 0."""
    if whole(e):
        return power(context, dict(a.terms), int(e))
    lifted = ceil(e)
    if lifted <= 0:
        return of_atom(a, e)
    return times(context, power(context, dict(a.terms), lifted), of_atom(a, e - lifted))


def reopened(context: Context, powers: dict[ProofAtom, Rational]) -> Expression:
    """A product in which the exponent of a root or of a base has changed."""
    rest: dict[ProofAtom, Rational] = {}
    changed: list[tuple[ProofAtom, Rational]] = []
    for a, e in powers.items():
        fine = True
        if isinstance(a, Base):
            fine = e < 0 and not (whole(e) and _loose(context, a))
        elif isinstance(a, Root):
            fine = 0 < e < 1
        if fine:
            rest[a] = e
        else:
            changed.append((a, e))
    masked = any(isinstance(a, Iverson) for a in rest)
    out: Expression = {frozenset(rest.items()): 1}
    if masked:
        out = context.rules.settled(context, rest)
    if changed:
        context.used("u · u^(-1) = 1")
        out = times(context, out, reexponented(context, changed))
    return out


def _loose(context: Context, a: Base) -> bool:
    """Whether a whole power of the base would be spelled otherwise than a fractional one."""
    base = dict(a.terms)
    return len(base) == 1 or extracted(context, base, True)[0] != {UNIT: 1}


def root(context: Context, value: Fraction, r: Rational) -> Expression:
    """``value ** r`` of a positive rational number: whole parts carried out, the rest per prime."""
    r = Fraction(r)
    if value <= 0:
        raise InputError("a fractional power of a number that is not positive")
    coefficient = Fraction(1)
    factors: list[tuple[ProofAtom, Rational]] = []
    for prime, e in primes(value):
        exponent = e * r
        down = exponent.numerator // exponent.denominator
        coefficient *= Fraction(prime) ** down
        if exponent != down:
            factors.append((context.atom(Root, prime), exponent - down))
    return {frozenset(factors): plain(coefficient)}


def primes(value: Fraction) -> list[tuple[int, int]]:
    """The prime factors of a positive rational number, with their exponents."""
    found: dict[int, int] = {}
    for n, sign in ((value.numerator, 1), (value.denominator, -1)):
        d = 2
        while d * d <= n and d < LARGEST_PRIME:
            while n % d == 0:
                found[d] = found.get(d, 0) + sign
                n //= d
            d += 1
        if n > 1:
            found[n] = found.get(n, 0) + sign
    return sorted(found.items())


def extracted(context: Context, base: Expression, integer: bool) -> tuple[Expression, Expression]:
    """``content · primitive``: a number and what all addends share; under a root only what is positive.

    Args:
        integer: whether the exponent is an integer, so that a sign may leave the base.
    """
    numbers = [Fraction(c) for c in base.values()]
    scale: Rational = Fraction(lcm(*(f.denominator for f in numbers)), gcd(*(f.numerator for f in numbers)))
    atoms = {a for m in base for a, _ in m if not isinstance(a, Iverson) and (integer or signs.positive(context, a, 1))}
    shared = common_factors(base, atoms)
    if integer and not signed(base.items()):
        scale = -scale
    if scale == 1 and not shared:
        return {UNIT: 1}, base
    inverse = scaled(reexponented(context, [(a, -e) for a, e in shared.items()]), plain(scale))
    primitive = times(context, inverse, base)
    if integer and len(primitive) > 1 and not signed(primitive.items()):
        primitive, scale = scaled(primitive, -1), -scale
    return {frozenset(shared.items()): plain(1 / Fraction(scale))}, primitive
