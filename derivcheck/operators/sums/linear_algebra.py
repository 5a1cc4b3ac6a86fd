"""Matrices by elimination: Cholesky, LU, determinants, inverses and linear systems, each a recurrence over the steps.

The rows that elimination takes as pivots are a witness, an integer result through which no gradient flows; what is
left is one recurrence, ``S[k] = S[k-1] - column·row/pivot``, and its gradient falls out of the sweep.
Source: Golub & Van Loan, *Matrix Computations*, 4th ed. 2013, algorithms 3.1.1, 3.2.1, 3.4.1 and 4.2.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import ONE, ZERO, add, div, func, mul, neg, power, sub
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.substitute import extremum, product, summation
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import floats, row, sample
from derivcheck.operators.language.values import Position, Value, broadcast_dims, spread, test
from derivcheck.operators.pointwise.elementwise import HALF, absolute
from derivcheck.operators.shapes.reshapes import digits, flat

Element = Callable[[Position, Position], Term]


def _schur(b: Builder, n: Sequence[Index], length: Poly, element: Element) -> Value:
    """``S[k, i, j]``: what is left of a matrix after k steps of elimination.

    A step whose pivot is 0 has nothing to eliminate (its column is 0 below), so that a singular matrix is no exception.
    """
    k, i, j = b.indices((length, length, length), ("k", "i", "j"))
    q = i_poly(k) - 1

    def term(s: Value) -> Term:
        def before(r: Position, c: Position) -> Term:
            return s[(*n, q, r, c)]

        pivot = before(q, q)
        step = sub(before(i, j), mul(test("!=", pivot, ZERO), div(mul(before(i, q), before(q, j)), pivot)))
        return add(mul(bracket("==", i_poly(k)), element(i, j)), mul(bracket(">=", q), step))

    return b.recur("S", (*n, k, i, j), term)


# -- pivots ---------------------------------------------------------------------------
def _pivots(b: Builder, a: Value, n: Sequence[Index]) -> Value:
    """``rows[k]``: the row that elimination with partial pivoting takes at step k, an integer result."""
    b.assume("no ties between pivots")
    length = a.dims[-1]
    k, i, j = b.indices((length, length, length), ("k", "i", "j"))
    q = i_poly(k) - 1
    left, free, rows = b.unique("left"), b.unique("free"), b.unique("rows")
    dims = tuple(x.size for x in n)
    e = Value(left, (*dims, length, length, length))
    u = Value(free, (*dims, length, length), "int")
    p = Value(rows, (*dims, length), "int")
    taken = p.entry(*n, q)
    first, later = bracket("==", i_poly(k)), bracket(">=", q)
    quotient = div(mul(e[(*n, q, i, q)], e[(*n, q, taken, j)]), e[(*n, q, taken, q)])
    open_ = mul(bracket(">=", u.entry(*n, q, i) - 1), bracket("!=", i_poly(i) - taken), test("!=", e[(*n, q, taken, q)], ZERO))
    b.put(
        left, (*n, k, i, j), add(mul(first, a[(*n, i, j)]), mul(later, sub(e[(*n, q, i, j)], mul(open_, quotient)))), stop=True
    )
    b.put(free, (*n, k, i), add(first, mul(later, u[(*n, q, i)], bracket("!=", i_poly(i) - taken))), kind="int")
    choice = extremum("argmax", [i], mul(bracket(">=", u.entry(*n, k, i) - 1), add(ONE, absolute(e[(*n, k, i, k)]))))
    factors = "torch.linalg.lu_factor_ex({})[:2]"
    spelling = b.spell(f"torch.lu_unpack(*{factors}, unpack_data=False)[0].cumsum(-2).lt(0.5).sum(-2)", a)
    b.put(rows, (*n, k), choice, kind="int", spelling=spelling)
    return p


def _eliminated(b: Builder, a: Value, n: Sequence[Index]) -> tuple[Value, Value]:
    """``(rows, S)``: the pivots and what is left at each step of the matrix with its rows in that order."""
    rows = _pivots(b, a, n)
    return rows, _schur(b, n, a.dims[-1], lambda r, c: a[(*n, rows.entry(*n, r), c)])


def _order_sign(b: Builder, rows: Value, n: Sequence[Index], length: Poly) -> Value:
    """The sign of the permutation: −1 for each pair out of order."""
    i, j = b.indices((length, length), ("i", "j"))
    out = mul(bracket(">=", i_poly(j) - i_poly(i) - 1), bracket(">=", rows.entry(*n, i) - rows.entry(*n, j) - 1))
    return b.define("sign", n, product((i, j), sub(ONE, mul(add(ONE, ONE), out))), stop=True)


# -- determinants -------------------------------------------------------------------------
_SQUARE = [sample(floats(3, 3)), sample(floats(2, 3, 3)), sample(floats(1, 1)), sample(floats(5, 5))]


def _det(b: Builder, a: Value, hint: str = "") -> Value:
    n = b.indices(b.dims(a.dims[:-2]))
    rows, s = _eliminated(b, a, n)
    sign = _order_sign(b, rows, n, a.dims[-1])
    k = b.index(a.dims[-1], "k")
    term = mul(sign[n], product([k], s[(*n, k, k, k)]))
    spelling = b.spell("torch.linalg.det({})", a)
    return b.define(hint, n, term, spelling=spelling) if hint else b.give(n, term, spelling=spelling)


@row(
    "aten.linalg_det.default",
    "aten.det.default",
    gives="det",
    where="no column but the last is a combination of those before it",
    samples=_SQUARE,
)
def det(b: Builder, A: Value) -> Value:
    """det = sign*prod(k: S[k, k, k])"""
    return _det(b, A)


@row("aten.linalg_slogdet.default", "aten.slogdet.default", gives="logdet", where="the matrix is not singular", samples=_SQUARE)
def slogdet(b: Builder, A: Value) -> tuple[Value, Value]:
    """sign and log of |det| = sum(k: log(|S[k, k, k]|))"""
    n = b.indices(b.dims(A.dims[:-2]))
    rows, s = _eliminated(b, A, n)
    order = _order_sign(b, rows, n, A.dims[-1])
    k = b.index(A.dims[-1], "k")
    pivot = s[(*n, k, k, k)]
    sign = product([k], sub(test(">", pivot, ZERO), test("<", pivot, ZERO)))
    first = b.give(n, mul(order[n], sign), stop=True, spelling=b.spell("torch.linalg.slogdet({})[0]", A))
    size = sub(mul(test(">", pivot, ZERO), pivot), mul(test("<", pivot, ZERO), pivot))
    return first, b.give(n, summation([k], func("log", size)), 1, spelling=b.spell("torch.linalg.slogdet({})[1]", A))


@row(
    "aten.logdet.default",
    gives="logdet",
    samples=[sample(floats(3, 3, values="definite")), sample(floats(2, 3, 3, values="definite"))],
)
def logdet(b: Builder, input: Value) -> Value:
    """logdet = log(sign*prod(k: S[k, k, k]))"""
    whole = _det(b, input, "det")
    n = b.indices(b.dims(input.dims[:-2]))
    return b.give(n, func("log", whole[n]))


# -- systems -----------------------------------------------------------------------------------
class Triangle(NamedTuple):
    """A triangular matrix by its elements; ``unit``: its diagonal counts as ones."""

    element: Element
    length: Poly
    lower: bool = False
    unit: bool = False


def _back(b: Builder, n: Sequence[Index], triangle: Triangle, columns: Sequence[Index], y: Element) -> Element:
    """The solution of a triangular system ``U·x = y``, one row after the other from the end (from the start: lower)."""
    u, length, lower, unit = triangle
    k, i = b.indices((length, length), ("k", "i"))
    q = i_poly(k) - 1
    now: Poly = q if lower else length - 1 - q

    def pivot(r: Position) -> Term:
        return ONE if unit else u(r, r)

    def term(z: Value) -> Term:
        ahead = bracket(">=", i_poly(i) - now - 1) if lower else bracket(">=", now - i_poly(i) - 1)
        step = sub(z[(*n, q, i, *columns)], mul(ahead, div(mul(u(i, now), z[(*n, q, now, *columns)]), pivot(now))))
        return add(mul(bracket("==", i_poly(k)), y(i, 0)), mul(bracket(">=", q), step))

    z = b.recur("Z", (*n, k, i, *columns), term)

    def solution(r: Position, _: Position) -> Term:
        at = as_poly(r)
        done = at if lower else length - 1 - at
        return div(z[(*n, done, at, *columns)], pivot(at))

    return solution


def _solution(b: Builder, a: Value, n: Sequence[Index], columns: Sequence[Index], right: Element) -> Element:
    """``x`` with ``A·x = right``: forward by the steps of elimination, then back."""
    rows, s = _eliminated(b, a, n)
    length = a.dims[-1]
    k, i = b.indices((length, length), ("k", "i"))
    q = i_poly(k) - 1

    def term(y: Value) -> Term:
        step = sub(y[(*n, q, i, *columns)], div(mul(s[(*n, q, i, q)], y[(*n, q, q, *columns)]), s[(*n, q, q, q)]))
        return add(mul(bracket("==", i_poly(k)), right(rows.entry(*n, i), 0)), mul(bracket(">=", q), step))

    y = b.recur("Y", (*n, k, i, *columns), term)
    upper = Triangle(lambda r, c: s[(*n, r, r, c)], length)
    return _back(b, n, upper, columns, lambda r, _: y[(*n, r, r, *columns)])


def _inverse(b: Builder, a: Value) -> Value:
    *n, i, j = b.indices(b.dims(a.dims))
    x = _solution(b, a, n, (j,), lambda r, _: bracket("==", as_poly(r) - i_poly(j)))
    return b.give((*n, i, j), x(i, j), spelling=b.spell("torch.linalg.inv({})", a))


@row("aten.linalg_inv.default", "aten.inverse.default", gives="X", where="the matrix is not singular", samples=_SQUARE)
def inverse(b: Builder, A: Value) -> Value:
    """X with A*X = 1"""
    return _inverse(b, A)


@row("aten.linalg_inv_ex.default", gives="X", where="the matrix is not singular", samples=_SQUARE[:2])
def inverse_ex(b: Builder, A: Value, *, check_errors: bool = False) -> tuple[Value, Value]:
    """X with A*X = 1, and 0 for no error"""
    return _inverse(b, A), _no_error(b, A)


@row(
    "aten.linalg_tensorinv.default",
    gives="X",
    where="the matrix is not singular",
    samples=[sample(floats(2, 3, 6), fixed=True), sample(floats(6, 2, 3), ind=1, fixed=True)],
)
def tensorinv(b: Builder, input: Value, ind: int = 2) -> Value:
    """X with A*X = 1, the first dimensions and the last taken together"""
    lead, tail = input.dims[:ind], input.dims[ind:]
    r, c = b.indices((numel(lead), numel(lead)))
    flat_ = b.define("flat", (r, c), input[(*digits(i_poly(r), lead), *digits(i_poly(c), tail))])
    at = b.indices(b.dims((*tail, *lead)))
    j = b.index(numel(lead))
    x = _solution(b, flat_, (), (j,), lambda i, _: bracket("==", as_poly(i) - i_poly(j)))
    i = b.index(numel(lead))
    whole = b.define("X", (i, j), x(i, j), spelling=b.spell("torch.linalg.inv({})", flat_))
    return b.give(at, whole[flat(at[: len(tail)]), flat(at[len(tail) :])])


def _no_error(b: Builder, a: Value) -> Value:
    return b.give(b.indices(b.dims(a.dims[:-2], 1)), ZERO, 1, kind="int")


def _solve(b: Builder, a: Value, right: Value, left: bool) -> Value:
    """``x`` with ``A·x = b`` for a vector or the columns of a matrix."""
    vector = right.rank == 1 or (right.rank == a.rank - 1 and right.dims == a.dims[:-1])
    if not left:
        b.refuse("it solves x*A = b", "Transpose both sides")
    tail = right.dims[-1:] if vector else right.dims[-2:]
    lead = right.dims[: right.rank - len(tail)]
    at = b.indices(b.dims((*broadcast_dims(a.dims[:-2], lead), *tail)))
    n, i, columns = at[: len(at) - len(tail)], at[len(at) - len(tail)], at[len(at) - len(tail) + 1 :]
    if a.dims[:-2] != tuple(x.size for x in n):
        b.refuse("it broadcasts the matrix over a batch", "Expand the matrix first")
    x = _solution(b, a, n, columns, lambda r, _: right[(*spread(lead, n), r, *columns)])
    return b.give(at, x(i, 0), spelling=b.spell("torch.linalg.solve({}, {})", a, right))


_SYSTEMS = [
    sample(floats(3, 3), floats(3)),
    sample(floats(3, 3), floats(3, 5)),
    sample(floats(2, 3, 3), floats(2, 3, 5)),
    sample(floats(2, 3, 3), floats(2, 3)),
]


@row(
    "aten.linalg_solve.default",
    gives="x",
    where="the matrix is not singular",
    samples=[*_SYSTEMS, sample(floats(2, 3, 3), floats(3, 5))],
)
def solve(b: Builder, A: Value, B: Value, *, left: bool = True) -> Value:
    """x with A*x = b"""
    return _solve(b, A, B, left)


@row("aten.linalg_solve_ex.default", gives="x", where="the matrix is not singular", samples=_SYSTEMS[:2])
def solve_ex(b: Builder, A: Value, B: Value, *, left: bool = True, check_errors: bool = False) -> tuple[Value, Value]:
    """x with A*x = b, and 0 for no error"""
    return _solve(b, A, B, left), _no_error(b, A)


@row(
    "aten.linalg_solve_triangular.default",
    gives="x",
    samples=[
        *(
            sample(floats(3, 3, values="definite"), floats(3, 5), upper=u, unitriangular=v)
            for u in (True, False)
            for v in (True, False)
        ),
        sample(floats(2, 3, 3, values="definite"), floats(2, 3, 5), upper=True),
    ],
)
def solve_triangular(
    b: Builder, input: Value, B: Value, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Value:
    """x with A*x = b, one row after the other"""
    if not left:
        b.refuse("it solves x*A = b", "Transpose both sides")
    return _triangular(b, input, B, upper, unitriangular)


def _triangular(b: Builder, a: Value, right: Value, upper: bool, unit: bool, flipped: bool = False) -> Value:
    """``x`` of a triangular system; ``flipped``: of the transposed matrix."""
    batch = broadcast_dims(a.dims[:-2], right.dims[:-2])
    *n, i, c = b.indices(b.dims((*batch, *right.dims[-2:])))

    def element(r: Position, s: Position) -> Term:
        return a[(*spread(a.dims[:-2], n), *((s, r) if flipped else (r, s)))]

    def known(r: Position, _: Position) -> Term:
        return right[(*spread(right.dims[:-2], n), r, c)]

    triangle = Triangle(element, a.dims[-1], not upper, unit)
    return b.give((*n, i, c), _back(b, n, triangle, (c,), known)(i, c))


@row(
    "aten.triangular_solve.default",
    gives="x",
    samples=[
        sample(floats(3, 5), floats(3, 3, values="definite"), u, t, v)
        for u in (True, False)
        for t in (True, False)
        for v in (True, False)
    ],
)
def triangular_solve(
    b: Builder, input: Value, A: Value, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> tuple[Value, Value]:
    """x with A*x = b, one row after the other, and the triangle"""
    x = _triangular(b, A, input, upper != transpose, unitriangular, transpose)
    at = b.indices(b.dims(A.dims, 1))
    return x, b.give(at, A[at], 1)


# -- symmetric ------------------------------------------------------------------------------
def _cholesky(b: Builder, a: Value, upper: bool) -> Value:
    """The triangular root of a symmetric matrix; the gradient is symmetric, as in torch."""
    *n, i, j = b.indices(b.dims(a.dims))
    s = _schur(b, n, a.dims[-1], lambda r, c: mul(HALF, add(a[(*n, r, c)], a[(*n, c, r)])))
    column, line = (i, j) if upper else (j, i)
    pivot = s[(*n, column, column, column)]
    term = mul(bracket(">=", i_poly(line) - i_poly(column)), s[(*n, column, line, column)], power(pivot, neg(HALF)))
    return b.give((*n, i, j), term, spelling=b.spell(f"torch.linalg.cholesky({{}}, upper={upper})", a))


_WHERE = "the matrix is symmetric and positive definite"
_DEFINITE = [sample(floats(*s, values="definite")) for s in ((3, 3), (2, 3, 3), (1, 1))]


@row("aten.cholesky.default", gives="L", where=_WHERE, samples=[*_DEFINITE, sample(floats(3, 3, values="definite"), True)])
def cholesky(b: Builder, input: Value, upper: bool = False) -> Value:
    """L[i, j] = [i >= j]*S[j, i, j]/S[j, j, j]^(1/2)"""
    return _cholesky(b, input, upper)


@row("aten.linalg_cholesky.default", gives="L", where=_WHERE, samples=_DEFINITE)
def linalg_cholesky(b: Builder, input: Value, *, upper: bool = False) -> Value:
    """L[i, j] = [i >= j]*S[j, i, j]/S[j, j, j]^(1/2)"""
    return _cholesky(b, input, upper)


@row("aten.linalg_cholesky_ex.default", gives="L", where=_WHERE, samples=_DEFINITE)
def cholesky_ex(b: Builder, input: Value, *, upper: bool = False, check_errors: bool = False) -> tuple[Value, Value]:
    """L[i, j] = [i >= j]*S[j, i, j]/S[j, j, j]^(1/2), and 0 for no error"""
    return _cholesky(b, input, upper), _no_error(b, input)


def _product_of(b: Builder, factor: Value, upper: bool) -> Value:
    """``A = L·Lᵀ`` (``Uᵀ·U``) of a whole matrix, as torch's gradient takes it: also where the triangle has zeros."""
    *n, i, j, k = b.indices((*factor.dims, factor.dims[-1]))
    left, right = (factor[(*n, k, i)], factor[(*n, k, j)]) if upper else (factor[(*n, i, k)], factor[(*n, j, k)])
    return b.define("A", (*n, i, j), summation([k], mul(left, right)))


_TRIANGLE = "the factor is triangular"


@row(
    "aten.cholesky_solve.default",
    gives="x",
    where=_TRIANGLE,
    samples=[
        sample(floats(3, 5), floats(3, 3, values="lower")),
        sample(floats(3, 5), floats(3, 3, values="upper"), True),
        sample(floats(2, 3, 5), floats(2, 3, 3, values="lower")),
    ],
)
def cholesky_solve(b: Builder, input: Value, input2: Value, upper: bool = False) -> Value:
    """x with L*L^T*x = b"""
    a = _product_of(b, input2, upper)
    at = b.indices(b.dims((*broadcast_dims(a.dims[:-2], input.dims[:-2]), *input.dims[-2:])))
    *n, i, c = at
    if a.dims[:-2] != tuple(d.size for d in n):
        b.refuse("it broadcasts the factor over a batch", "Expand the factor first")
    x = _solution(b, a, n, (c,), lambda r, _: input[(*spread(input.dims[:-2], n), r, c)])
    return b.give(at, x(i, c), spelling=b.spell(f"torch.cholesky_solve({{}}, {{}}, upper={upper})", input, input2))


@row(
    "aten.cholesky_inverse.default",
    gives="X",
    where=_TRIANGLE,
    samples=[sample(floats(3, 3, values="lower")), sample(floats(3, 3, values="upper"), True)],
)
def cholesky_inverse(b: Builder, input: Value, upper: bool = False) -> Value:
    """X with L*L^T*X = 1"""
    a = _product_of(b, input, upper)
    *n, i, j = b.indices(b.dims(a.dims))
    x = _solution(b, a, n, (j,), lambda r, _: bracket("==", as_poly(r) - i_poly(j)))
    return b.give((*n, i, j), x(i, j), spelling=b.spell(f"torch.cholesky_inverse({{}}, upper={upper})", input))
