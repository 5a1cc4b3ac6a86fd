"""Inverses, linear systems, determinants and Cholesky factors of square matrices of any size.

Each says what it means by an element of the matrix's inverse or factor, or its determinant; a system is the sum of the
inverse and the right side, which generated code solves.
Source: Golub & Van Loan, *Matrix Computations*, 4th ed. 2013, sections 3.1, 3.2 and 4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Index, Poly, i_poly
from derivcheck.notation.program.definitions import Spelling
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import ZERO, add, mul, sub
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.substitute import matrix, summation
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import floats, row, sample
from derivcheck.operators.language.values import Position, Value, broadcast_dims, spread, test
from derivcheck.operators.shapes.reshapes import digits, flat

Element = Callable[[Index, Index], Term]
_REGULAR = "the matrix is not singular"


def _of(b: Builder, kind: str, length: Poly, element: Element, *at: Position) -> Term:
    """What is made of a matrix by its elements."""
    i, j = b.indices((length, length), ("i", "j"))
    return matrix(kind, (i, j), element(i, j), *at)


def _elements(a: Value, n: Sequence[Position], turned: bool = False) -> Element:
    """The elements of the matrices of a tensor, at these positions of its batch; ``turned``: of the transposed ones."""
    return lambda i, j: a[(*n, j, i) if turned else (*n, i, j)]


# -- determinants -------------------------------------------------------------------------
_SQUARE = [sample(floats(3, 3)), sample(floats(2, 3, 3)), sample(floats(1, 1)), sample(floats(5, 5))]


@row("aten.linalg_det.default", "aten.det.default", gives="det", where=_REGULAR, samples=_SQUARE)
def det(b: Builder, A: Value) -> Value:
    """det(i, j: A[*n, i, j])"""
    n = b.indices(b.dims(A.dims[:-2]))
    return b.give(n, _of(b, "det", A.dims[-1], _elements(A, n)))


@row("aten.linalg_slogdet.default", "aten.slogdet.default", gives="logdet", where=_REGULAR, samples=_SQUARE)
def slogdet(b: Builder, A: Value) -> tuple[Value, Value]:
    """sign of det, and log |det(i, j: A[*n, i, j])|"""
    n = b.indices(b.dims(A.dims[:-2]))
    whole = _of(b, "det", A.dims[-1], _elements(A, n))
    sign = sub(test(">", whole, ZERO), test("<", whole, ZERO))
    first = b.give(n, sign, stop=True, spelling=b.spell("torch.linalg.slogdet({})[0]", A))
    return first, b.give(n, _of(b, "logabsdet", A.dims[-1], _elements(A, n)), 1)


@row(
    "aten.logdet.default",
    gives="logdet",
    where="the determinant is positive",
    samples=[sample(floats(3, 3, values="definite")), sample(floats(2, 3, 3, values="definite"))],
)
def logdet(b: Builder, input: Value) -> Value:
    """logdet(i, j: A[*n, i, j])"""
    n = b.indices(b.dims(input.dims[:-2]))
    return b.give(n, _of(b, "logdet", input.dims[-1], _elements(input, n)))


# -- inverses -----------------------------------------------------------------------------
def _inverse(b: Builder, a: Value, spelling: Spelling | None = None) -> Value:
    *n, p, q = b.indices(b.dims(a.dims))
    return b.give((*n, p, q), _of(b, "inv", a.dims[-1], _elements(a, n), p, q), spelling=spelling)


@row("aten.linalg_inv.default", "aten.inverse.default", gives="X", where=_REGULAR, samples=_SQUARE)
def inverse(b: Builder, A: Value) -> Value:
    """X[*n, p, q] = inv(i, j: A[*n, i, j])[p, q]"""
    return _inverse(b, A)


@row("aten.linalg_inv_ex.default", gives="X", where=_REGULAR, samples=_SQUARE[:2])
def inverse_ex(b: Builder, A: Value, *, check_errors: bool = False) -> tuple[Value, Value]:
    """X[*n, p, q] = inv(i, j: A[*n, i, j])[p, q], and 0 for no error"""
    return _inverse(b, A), _no_error(b, A)


@row(
    "aten.linalg_tensorinv.default",
    gives="X",
    where=_REGULAR,
    samples=[sample(floats(2, 3, 6), fixed=True), sample(floats(6, 2, 3), ind=1, fixed=True)],
)
def tensorinv(b: Builder, input: Value, ind: int = 2) -> Value:
    """X with A*X = 1, the first dimensions and the last taken together"""
    lead, tail = input.dims[:ind], input.dims[ind:]
    at = b.indices(b.dims((*tail, *lead)))

    def element(i: Index, j: Index) -> Term:
        return input[(*digits(i_poly(i), lead), *digits(i_poly(j), tail))]

    return b.give(at, _of(b, "inv", numel(lead), element, flat(at[: len(tail)]), flat(at[len(tail) :])))


def _no_error(b: Builder, a: Value) -> Value:
    return b.give(b.indices(b.dims(a.dims[:-2], 1)), ZERO, 1, kind="int")


# -- systems -----------------------------------------------------------------------------------
class _Matrices(NamedTuple):
    """Square matrices of these dimensions, given by their elements at each place of the batch."""

    dims: tuple[Poly, ...]
    at: Callable[[Sequence[Position]], Element]


def _matrices(a: Value) -> _Matrices:
    return _Matrices(a.dims, lambda n: _elements(a, spread(a.dims[:-2], n)))


def _solve(b: Builder, a: Value, right: Value, left: bool) -> Value:
    """``x`` with ``A·x = b`` for a vector or the columns of a matrix; with ``x·A = b`` where not ``left``."""
    vector = right.rank == 1 or (right.rank == a.rank - 1 and right.dims == a.dims[:-1])
    return _solved(b, _matrices(a), right, left, 1 if vector else 2)


def _solved(b: Builder, matrices: _Matrices, right: Value, left: bool, rank: int, spelling: Spelling | None = None) -> Value:
    """The solution for right sides of this rank."""
    dims = matrices.dims
    lead, tail = right.dims[: right.rank - rank], right.dims[right.rank - rank :]
    at = b.indices(b.dims((*broadcast_dims(dims[:-2], lead), *tail)))
    n, own = at[: len(at) - rank], at[len(at) - rank :]
    k = b.index(dims[-1], "k")
    before = spread(lead, n)
    if left:
        inverse = _of(b, "inv", dims[-1], matrices.at(n), own[0], k)
        term = mul(inverse, right[(*before, k, *own[1:])])
    else:
        inverse = _of(b, "inv", dims[-1], matrices.at(n), k, own[-1])
        term = mul(right[(*before, *own[:-1], k)], inverse)
    return b.give(at, summation([k], term), spelling=spelling)


_SYSTEMS = [
    sample(floats(3, 3), floats(3)),
    sample(floats(3, 3), floats(3, 5)),
    sample(floats(2, 3, 3), floats(2, 3, 5)),
    sample(floats(2, 3, 3), floats(2, 3)),
    sample(floats(3, 3), floats(5, 3), left=False),
    sample(floats(2, 3, 3), floats(2, 5, 3), left=False),
]


@row(
    "aten.linalg_solve.default",
    gives="x",
    where=_REGULAR,
    samples=[*_SYSTEMS, sample(floats(2, 3, 3), floats(3, 5)), sample(floats(3, 3), floats(2, 3, 5))],
)
def solve(b: Builder, A: Value, B: Value, *, left: bool = True) -> Value:
    """x[*n, p, c] = sum(k: inv(i, j: A[*n, i, j])[p, k]*b[*n, k, c])"""
    return _solve(b, A, B, left)


@row("aten.linalg_solve_ex.default", gives="x", where=_REGULAR, samples=[_SYSTEMS[0], _SYSTEMS[4]])
def solve_ex(b: Builder, A: Value, B: Value, *, left: bool = True, check_errors: bool = False) -> tuple[Value, Value]:
    """x[*n, p, c] = sum(k: inv(i, j: A[*n, i, j])[p, k]*b[*n, k, c]), and 0 for no error"""
    return _solve(b, A, B, left), _no_error(b, A)


class _Triangle(NamedTuple):
    """How a triangular system reads its matrix.

    Attributes:
        unit: the diagonal counts as ones.
        left: ``A·x = b``, else ``x·A = b``.
        turned: of the transposed matrix; ``upper`` is that of what is solved.
    """

    upper: bool
    unit: bool
    left: bool = True
    turned: bool = False

    def of(self, element: Element) -> Element:
        """The elements of the triangle, 0 elsewhere."""

        def inside(i: Index, j: Index) -> Term:
            below = i_poly(j) - i_poly(i) if self.upper else i_poly(i) - i_poly(j)
            part = mul(bracket(">=", below - 1 if self.unit else below), element(i, j))
            return add(part, bracket("==", i_poly(i) - i_poly(j))) if self.unit else part

        return inside


def _triangular(b: Builder, a: Value, right: Value, triangle: _Triangle) -> Value:
    """``x`` of a triangular system."""

    def element(n: Sequence[Position]) -> Element:
        return triangle.of(_elements(a, spread(a.dims[:-2], n), triangle.turned))

    return _solved(b, _Matrices(a.dims, element), right, triangle.left, 2)


@row(
    "aten.linalg_solve_triangular.default",
    gives="x",
    where=_REGULAR,
    samples=[
        *(
            sample(floats(3, 3, values="definite"), floats(3, 5), upper=u, unitriangular=v)
            for u in (True, False)
            for v in (True, False)
        ),
        sample(floats(2, 3, 3, values="definite"), floats(2, 3, 5), upper=True),
        sample(floats(3, 3, values="definite"), floats(5, 3), upper=True, left=False),
        sample(floats(2, 3, 3, values="definite"), floats(2, 5, 3), upper=False, left=False),
    ],
)
def solve_triangular(
    b: Builder, input: Value, B: Value, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Value:
    """x[*n, p, c] = sum(k: inv(i, j: [j >= i]*A[*n, i, j])[p, k]*b[*n, k, c])"""
    return _triangular(b, input, B, _Triangle(upper, unitriangular, left))


@row(
    "aten.triangular_solve.default",
    gives="x",
    where=_REGULAR,
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
    """x[*n, p, c] = sum(k: inv(i, j: [j >= i]*A[*n, i, j])[p, k]*b[*n, k, c]), and the triangle"""
    x = _triangular(b, A, input, _Triangle(upper != transpose, unitriangular, turned=transpose))
    at = b.indices(b.dims(A.dims, 1))
    return x, b.give(at, A[at], 1)


# -- symmetric ------------------------------------------------------------------------------
def _cholesky(b: Builder, a: Value, upper: bool) -> Value:
    """The triangular root of a symmetric matrix; the gradient is symmetric, as in torch."""
    *n, p, q = b.indices(b.dims(a.dims))
    at = (q, p) if upper else (p, q)
    if not upper:
        return b.give((*n, p, q), _of(b, "cholesky", a.dims[-1], _elements(a, n), *at))
    r, c = b.indices(a.dims[-2:])
    lower = b.define("L", (*n, r, c), _of(b, "cholesky", a.dims[-1], _elements(a, n), r, c))
    return b.give((*n, p, q), lower[(*n, q, p)])


_WHERE = "the matrix is symmetric and positive definite"
_DEFINITE = [sample(floats(*s, values="definite")) for s in ((3, 3), (2, 3, 3), (1, 1))]
_UPPER = sample(floats(3, 3, values="definite"), upper=True)


@row("aten.cholesky.default", gives="L", where=_WHERE, samples=[*_DEFINITE, _UPPER])
def cholesky(b: Builder, input: Value, upper: bool = False) -> Value:
    """L[*n, p, q] = cholesky(i, j: A[*n, i, j])[p, q]"""
    return _cholesky(b, input, upper)


@row("aten.linalg_cholesky.default", gives="L", where=_WHERE, samples=[*_DEFINITE, _UPPER])
def linalg_cholesky(b: Builder, input: Value, *, upper: bool = False) -> Value:
    """L[*n, p, q] = cholesky(i, j: A[*n, i, j])[p, q]"""
    return _cholesky(b, input, upper)


@row("aten.linalg_cholesky_ex.default", gives="L", where=_WHERE, samples=[*_DEFINITE, _UPPER])
def cholesky_ex(b: Builder, input: Value, *, upper: bool = False, check_errors: bool = False) -> tuple[Value, Value]:
    """L[*n, p, q] = cholesky(i, j: A[*n, i, j])[p, q], and 0 for no error"""
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
    spelling = b.spell(f"torch.cholesky_solve({{}}, {{}}, upper={upper})", input, input2)
    return _solved(b, _matrices(_product_of(b, input2, upper)), input, True, 2, spelling)


@row(
    "aten.cholesky_inverse.default",
    gives="X",
    where=_TRIANGLE,
    samples=[sample(floats(3, 3, values="lower")), sample(floats(3, 3, values="upper"), True)],
)
def cholesky_inverse(b: Builder, input: Value, upper: bool = False) -> Value:
    """X with L*L^T*X = 1"""
    return _inverse(b, _product_of(b, input, upper), b.spell(f"torch.cholesky_inverse({{}}, upper={upper})", input))
