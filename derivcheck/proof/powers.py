"""Powers: positive whole powers of sums are opened, others are kept with their content taken out.

``(a/N + b)^r = N^(−r)·(a + N·b)^r`` for a positive N: what all addends share (a rational number, powers of atoms) leaves the
base, so that equal powers are spelled alike.  A fractional power is kept with a negative exponent: ``√u = u·u^(−1/2)``.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, gcd
from typing import TYPE_CHECKING

from derivcheck.errors import InputError
from derivcheck.notation.integers.polynomials import Index, Size
from derivcheck.proof import brackets, polynomials
from derivcheck.proof.atoms import BRACKETS, UNIT, Atom, Expression, Monomial, Rational, frozen, whole
from derivcheck.proof.signatures import signed
from derivcheck.proof.space import OutOfTime, Unreduced, unlimited

if TYPE_CHECKING:
    from derivcheck.proof.space import Space

LARGEST = 24


def power(space: Space, base: Expression, exponent: Rational) -> Expression:
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
    found = space.powers.get(key)
    if found is None:
        found = space.powers[key] = _power(space, base, exponent)
    return found


def _power(space: Space, base: Expression, r: Rational) -> Expression:
    if len(base) == 1:
        ((m, c),) = base.items()
        return _of_monomial(space, m, c, r)
    if not (whole(r) and r > 0):
        split = brackets.by_cases(space, base, lambda u: power(space, u, r))
        if split is not None:
            return split
    if whole(r) and r > 0:
        if r > LARGEST:
            raise OutOfTime
        total = base
        for _ in range(int(r) - 1):
            total = polynomials.times(space, total, base)
        return total
    content, primitive = extracted(space, base, whole(r))
    ((m, c),) = content.items()
    return polynomials.times(space, _of_monomial(space, m, c, r), _kept(space, primitive, r))


def _kept(space: Space, primitive: Expression, r: Rational) -> Expression:
    """A power of a primitive sum, its exponent below 0."""
    if len(primitive) == 1:
        return power(space, primitive, r)
    if r > 0:
        lifted = ceil(r)
        opened = power(space, primitive, lifted)
        if lifted == r:
            return opened
        space.used("u^(1/2) = u · u^(-1/2)")
        return polynomials.times(space, opened, _kept(space, primitive, r - lifted))
    atom = space.atom("base", frozen(primitive))
    return {frozenset(((atom, r),)): 1}


def _of_monomial(space: Space, m: Monomial, c: Rational, r: Rational) -> Expression:
    if whole(r):
        n = int(r)
        coefficient: Rational = c**n if n > 0 else Fraction(c) ** n
        if isinstance(coefficient, Fraction) and coefficient.denominator == 1:
            coefficient = int(coefficient)
        masks = [(a, e) for a, e in m if a.kind in BRACKETS]
        whole_: Expression = _reexponented(space, [(a, e * n) for a, e in m if a.kind not in BRACKETS])
        if masks:
            whole_ = polynomials.times(space, {frozenset(masks): 1}, whole_)
        return polynomials.scaled(whole_, coefficient)
    if any(a.kind in BRACKETS for a, _ in m):
        # below 0 too: where the bracket is 0 the power is not defined
        masks_ = frozenset((a, e) for a, e in m if a.kind in BRACKETS)
        return polynomials.times(space, {masks_: 1}, _of_monomial(space, m - masks_, c, r))
    r = Fraction(r)
    outside: list[tuple[Atom, Rational]] = []
    signs: list[tuple[Atom, Rational]] = []
    out: Expression = {UNIT: 1}
    for a, e in m:
        if positive(space, a, 1) or not whole(e) or (whole(e * r) and (e * r) % 2 == 0 and e % 2 == 0):
            outside.append((a, e))
        elif e % 2 == 0:  # (u^4)^(1/4) is (u^2)^(1/2), which is not u
            out = polynomials.times(space, out, _of_base(space, {frozenset(((a, 2),)): 1}, r * e / 2))
        else:
            signs.append((a, e))
    if len(signs) == 1 and c > 0:  # u^r of one atom to an odd power: defined for u > 0 alone
        outside.append(signs.pop())
    moved = _reexponented(space, [(a, e * r) for a, e in outside])
    out = polynomials.product(space, [out, root(space, abs(Fraction(c)), r), moved])
    if signs or c < 0:
        out = polynomials.times(space, out, _of_base(space, {frozenset(signs): 1 if c > 0 else -1}, r))
    return out


def _of_base(space: Space, base: Expression, r: Fraction) -> Expression:
    """A power of one term that is kept as a base."""
    if r.denominator == 1:
        return power(space, base, int(r))
    atom = space.atom("base", frozen(base))
    lifted = max(ceil(r), 0)
    kept: Expression = {frozenset(((atom, r - lifted),)): 1}
    return polynomials.times(space, power(space, base, lifted), kept) if lifted else kept


def _reexponented(space: Space, factors: list[tuple[Atom, Rational]]) -> Expression:
    """Powers of atoms, each spelled as it is kept."""
    total: Expression = {UNIT: 1}
    for a, e in factors:
        if isinstance(e, Fraction) and e.denominator == 1:
            e = int(e)
        if a.kind == "base":
            part = _base(space, a, e)
        elif a.kind == "root":
            part = root(space, Fraction(a.data[0]), e)
        else:
            part = {frozenset(((a, e),)): 1}
        total = polynomials.times(space, total, part)
    return total


def _base(space: Space, a: Atom, e: Rational) -> Expression:
    if whole(e):
        return power(space, dict(a.data[0]), int(e))
    if e < 0:
        return {frozenset(((a, e),)): 1}
    lifted = ceil(e)
    opened = power(space, dict(a.data[0]), lifted)
    return polynomials.times(space, opened, {frozenset(((a, e - lifted),)): 1})


def reopened(space: Space, powers: dict[Atom, Rational]) -> Expression:
    """A product in which the exponent of a root or of a base has changed."""
    special = [(a, e) for a, e in powers.items() if a.kind in ("root", "base")]
    rest = {a: e for a, e in powers.items() if a.kind not in ("root", "base")}
    settle: list[tuple[Atom, Rational]] = []
    for a, e in special:
        if isinstance(e, Fraction) and e.denominator == 1:
            e = int(e)
        fine = (e < 0 and not (whole(e) and _loose(space, a))) if a.kind == "base" else 0 < e < 1
        if fine:
            rest[a] = e
        else:
            settle.append((a, e))
    from derivcheck.proof.brackets import settled

    out: Expression = {frozenset(rest.items()): 1}
    if any(a.kind in BRACKETS for a in rest):
        out = settled(space, rest)
    if settle:
        space.used("u · u^(-1) = 1")
        out = polynomials.times(space, out, _reexponented(space, settle))
    return out


def _loose(space: Space, a: Atom) -> bool:
    """Whether a whole power of the base would be spelled otherwise than a fractional one."""
    base = dict(a.data[0])
    if len(base) == 1:
        return True
    content, _ = extracted(space, base, True)
    return content != {UNIT: 1}


def root(space: Space, value: Fraction, r: Rational) -> Expression:
    """``value ** r`` of a positive rational number: whole parts carried out, the rest per prime."""
    r = Fraction(r)
    if value <= 0:
        raise InputError("a fractional power of a number that is not positive")
    coefficient = Fraction(1)
    factors: list[tuple[Atom, Rational]] = []
    for prime, e in _primes(value):
        exponent = e * r
        down = exponent.numerator // exponent.denominator
        coefficient *= Fraction(prime) ** down
        if exponent != down:
            factors.append((space.atom("root", prime), exponent - down))
    c: Rational = int(coefficient) if coefficient.denominator == 1 else coefficient
    return {frozenset(factors): c}


def _primes(value: Fraction) -> list[tuple[int, int]]:
    found: dict[int, int] = {}
    for n, sign in ((value.numerator, 1), (value.denominator, -1)):
        d = 2
        while d * d <= n and d < 10000:
            while n % d == 0:
                found[d] = found.get(d, 0) + sign
                n //= d
            d += 1
        if n > 1:
            found[n] = found.get(n, 0) + sign
    return sorted(found.items())


def extracted(space: Space, base: Expression, integer: bool) -> tuple[Expression, Expression]:
    """``content · primitive``: a number and what all addends share; under a root only what is positive."""
    numerator = denominator = 0
    common: dict[Atom, Rational] | None = None
    atoms = {a for m in base for a, e in m if a.kind not in BRACKETS and (positive(space, a, 1) or integer)}
    for m, c in base.items():
        f = Fraction(c)
        numerator = gcd(numerator, f.numerator)
        denominator = f.denominator if not denominator else denominator * f.denominator // gcd(denominator, f.denominator)
        own = dict(m)
        now = {a: own.get(a, 0) for a in atoms}
        common = now if common is None else {a: min(common[a], now[a]) for a in atoms}
    shared = [(a, -e) for a, e in (common or {}).items() if e]
    scale: Rational = Fraction(denominator, numerator)
    if integer and not signed(space, base.items()):
        scale = -scale
    if scale == 1 and not shared:
        return {UNIT: 1}, base
    number: Expression = {UNIT: _tidy(Fraction(scale))}
    inverse = polynomials.times(space, number, _reexponented(space, shared))
    primitive = polynomials.times(space, inverse, base)
    if integer and len(primitive) > 1 and not signed(space, primitive.items()):
        primitive, scale = polynomials.scaled(primitive, -1), -scale
    content: Expression = {frozenset((a, -e) for a, e in shared): _tidy(1 / Fraction(scale))}
    return content, primitive


def _tidy(value: Fraction) -> Rational:
    return int(value) if value.denominator == 1 else value


def positive(space: Space, a: Atom, e: Rational) -> bool:
    """Whether ``a^e`` is surely at least 0 (where it is defined)."""
    if whole(e) and e % 2 == 0:
        return True
    kind = a.kind
    if kind in ("exp", "root"):
        return True
    if kind in ("element", "base") and space.sign(a) > 0:
        return True
    if kind == "whole":
        return isinstance(a.data[0], Size) or (isinstance(a.data[0], Index) and not unlimited(a.data[0]))
    if kind == "base":
        return not whole(e) or all_positive(space, dict(a.data[0]))
    if kind == "sigma":
        return all(positive(space, b, f) or b.kind in BRACKETS for b, f in a.data[1])
    if kind == "apply":
        return a.data[0] in ("sigmoid", "softplus", "cosh", "pi")
    return not whole(e)


def strictly(a: Atom) -> bool:
    """Whether the atom is surely above 0."""
    if a.kind == "whole":
        return isinstance(a.data[0], Size) and a.data[0].name != "ℤ"
    return a.kind in ("exp", "root") or (a.kind == "apply" and a.data[0] == "pi")


def all_positive(space: Space, base: Expression) -> bool:
    """Whether each addend is surely at least 0."""
    return all(c > 0 and all(positive(space, a, e) for a, e in m) for m, c in base.items())
