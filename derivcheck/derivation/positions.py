"""Positions into sums and deltas, in one place.

The reverse sweep gathers, for a reference ``x[p_1, …]``, the cotangent that reaches it.  The adjoint is
``x_bar[a_1, …] = Σ Π [a_l = p_l] · cotangent``, and here each ``[a = p]`` is solved for a bound index where
that can be done (coefficient ±1, or the digits of a mixed radix, which is what a reshape is); what
cannot be solved stays an Iverson bracket.
"""

from __future__ import annotations

from collections.abc import Sequence

from derivcheck.notation.integers.atoms import Floor, exact_quotient
from derivcheck.notation.integers.polynomials import Atom, Index, Poly, PolyLike, as_poly, fresh, i_poly
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import mul
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.substitute import substitute, summation


def solve(targets: Sequence[Index], positions: Sequence[Poly], bound: Sequence[Index], body: Term) -> Term:
    """``Σ_bound Π_l [targets_l = positions_l] · body`` with the deltas solved.

    ``targets`` may reuse an index of ``bound`` only where ``positions`` reads it at that very place.

    >>> from derivcheck.notation.integers.polynomials import size
    >>> from derivcheck.notation.terms.build import ref
    >>> n, o, a = Index("n", size("N")), Index("o", size("out")), Index("a", size("out"))
    >>> print(solve([a], [i_poly(o)], [n, o], ref("y_bar", n, o)))
    sum(n: y_bar[n, a])
    >>> k, j = Index("k", size("K")), Index("j", size("N"))
    >>> print(solve([j], [i_poly(n) + i_poly(k)], [n, k], ref("g", n)))
    sum(k: [j - k >= 0]*g[j - k])
    """
    equations: list[tuple[Index, Poly]] = list(zip(targets, positions))
    left = list(bound)
    guards: list[Term] = []

    # A target that reuses the bound index it stands for: solved by leaving it free.
    for a, p in list(equations):
        if p.index is a and a in left:
            left.remove(a)
            equations.remove((a, p))

    def put_in(moves: dict[Atom, PolyLike]) -> None:
        nonlocal body, equations
        body = substitute(body, moves)
        equations = [(a, p.substitute(moves)) for a, p in equations]
        guards[:] = [substitute(g, moves) for g in guards]
        for i in moves:
            if isinstance(i, Index):
                left.remove(i)

    progress = True
    while progress:
        progress = False
        for step in (_plain, _digits, _flattened, _affine):
            if step is _affine and (parts := _in_digits(equations, [*targets, *bound, *left], left)) is not None:
                moves, f, r = parts
                put_in(moves)
                left.extend((f, r))
                progress = True
                break
            found = step(equations, left)
            if found is not None:
                moves, used, conditions = found
                equations = [e for e in equations if e not in used]
                put_in(moves)
                guards.extend(conditions)
                progress = True
                break
    deltas = [bracket("==", p - i_poly(a)) for a, p in equations]
    return summation(left, mul(*guards, *deltas, body))


Solution = tuple[dict[Atom, PolyLike], list[tuple[Index, Poly]], list[Term]]


def _inside(value: Poly, i: Index) -> list[Term]:
    """The brackets that keep ``value`` within the range of ``i``."""
    return [bracket(">=", value), bracket(">=", i.size - 1 - value)]


def _plain(equations: list[tuple[Index, Poly]], left: list[Index]) -> Solution | None:
    for a, p in equations:
        i = p.index
        if i is not None and i in left:
            return {i: i_poly(a)}, [(a, p)], [bracket(">=", i.size - 1 - i_poly(a))]
    return None


def _affine(equations: list[tuple[Index, Poly]], left: list[Index]) -> Solution | None:
    """``p = ±i + rest``: the bound index is ``±(a − rest)``."""
    for a, p in equations:
        for i in left:
            found = p.linear_in(i)
            if found is None or found[0] not in (1, -1):
                continue
            c, rest = found
            value = c * (i_poly(a) - rest)
            if i.size.indices & value.indices:
                continue
            return {i: value}, [(a, p)], _inside(value, i)
    return None


def _digits(equations: list[tuple[Index, Poly]], left: list[Index]) -> Solution | None:
    """``p = (i_1·S_2 + i_2)·S_3 + i_3``: the digits of ``a`` in the mixed radix of the sizes."""
    for a, p in equations:
        places: list[tuple[Index, Poly]] = []
        for m, c in p.terms:
            inner = [x for x, e in m if isinstance(x, Index) and e == 1 and x in left]
            if len(inner) != 1 or len({x for x, _ in m if x.indices}) != 1:
                break
            i = inner[0]
            places.append((i, Poly(((tuple((x, e) for x, e in m if x is not i), c),))))
        else:
            if len(places) < 2 or len({i for i, _ in places}) != len(places):
                continue
            order = _radix_order(places)
            if order is None:
                continue
            moves: dict[Atom, PolyLike] = {}
            rest, total = i_poly(a), as_poly(1)
            for place, i in enumerate(reversed(order)):
                last = place == len(order) - 1
                moves[i] = rest if last else rest % i.size
                rest = rest // i.size
                total = total * i.size
            return moves, [(a, p)], [bracket(">=", total - 1 - i_poly(a))]
    return None


def _radix_order(places: list[tuple[Index, Poly]]) -> list[Index] | None:
    """The indices by their weights, the leading one first; None where these are no mixed radix."""
    weights = {w: i for i, w in places}
    order: list[Index] = []
    weight = as_poly(1)
    while len(order) < len(places):
        i = weights.pop(weight, None)
        if i is None:
            return None
        order.append(i)
        weight = weight * i.size
    return list(reversed(order))


def _flattened(equations: list[tuple[Index, Poly]], left: list[Index]) -> Solution | None:
    """``a_1 = f//d``, ``a_2 = f mod d``: the bound index ``f = a_1·d + a_2``, found together."""
    for f in left:
        group = [(a, p) for a, p in equations if f in p.indices]
        if len(group) < 1 or not any(_floors_of(p, f) for _, p in group):
            continue
        value, back = as_poly(0), as_poly(0)
        for a, p in group:
            weight = _weight(p, f)
            if weight is None:
                break
            value = value + weight * i_poly(a)
            back = back + weight * p
        else:
            # `back is f`: the digits determine f (a leading digit alone does not)
            if back is i_poly(f) and all(p.substitute({f: value}) is i_poly(a) for a, p in group):
                return {f: value}, group, _inside(value, f)
    return None


_Parts = tuple[dict[Atom, PolyLike], Index, Index]  # an index by the two that stand for its quotient and its rest


def _divided(equations: list[tuple[Index, Poly]], used: Sequence[Index], left: Sequence[Index]) -> _Parts | None:
    """A bound index that is read as ``i//d`` beside others, by the largest d: ``i = d·f + r``."""
    found: list[tuple[int, Index, Poly]] = []
    for _, p in equations:
        for x in p.atoms() if len(p.terms) > 1 else ():
            i, d = (x.numerator.index, x.denominator.constant or 0) if isinstance(x, Floor) else (None, 0)
            if i is not None and i in left and d > 1 and (length := exact_quotient(i.size, as_poly(d))) is not None:
                found.append((d, i, length))
    if not found:
        return None
    d, i, length = max(found, key=lambda one: one[0])
    f = fresh(Index(i.name, length), used)
    r = fresh(Index(i.name, d), [*used, f])
    return {i: d * i_poly(f) + i_poly(r)}, f, r


def _in_digits(equations: list[tuple[Index, Poly]], used: Sequence[Index], left: Sequence[Index]) -> _Parts | None:
    """The same, where all equations are solved in the end by quotients and rests: nothing is left that would be compared."""
    first = _divided(equations, used, left)
    open_, known, parts = list(left), list(used), first
    while parts is not None and len(known) < len(used) + 16:
        moves, f, r = parts
        open_, known = [i for i in (*open_, f, r) if i not in moves], [*known, f, r]
        equations = [(a, p.substitute(moves)) for a, p in equations]
        while (found := _plain(equations, open_) or _digits(equations, open_) or _flattened(equations, open_)) is not None:
            moves, solved, _ = found
            open_ = [i for i in open_ if i not in moves]
            equations = [(a, p.substitute(moves)) for a, p in equations if (a, p) not in solved]
        if all(p.indices.isdisjoint(open_) for _, p in equations):
            return first
        parts = _divided(equations, known, open_)
    return None


def _floors_of(p: Poly, f: Index) -> bool:
    return any(isinstance(x, Floor) and f in x.indices for x in p.atoms())


def _weight(p: Poly, f: Index) -> Poly | None:
    """The weight of the digit ``p`` of ``f``: the denominator in its term of coefficient 1."""
    for m, c in p.terms:
        if c == 1 and len(m) == 1 and m[0][1] == 1:
            x = m[0][0]
            if x is f:
                return as_poly(1)
            if isinstance(x, Floor) and x.numerator is i_poly(f):
                return x.denominator
    return None
