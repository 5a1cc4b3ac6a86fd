"""Hand-written backwards of layers with inverses, determinants and Cholesky factors: proved, or refuted; never the other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import derivcheck as dc
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.text.dims import parse_input
from derivcheck.notation.text.parse import TextScope, parse_term
from tests.proof.equality import surely_equal

Grads = dict[str, Tensor]
inv, solve, det, cholesky = torch.linalg.inv, torch.linalg.solve, torch.linalg.det, torch.linalg.cholesky
triangular = torch.linalg.solve_triangular
INPUTS = {n: parse_input(n, t) for n, t in {"A": "N N", "B": "N N", "X": "N M", "y": "N", "c": ""}.items()}


def lower_half(P: Tensor) -> Tensor:
    return P.tril() - 0.5 * torch.diag(torch.diagonal(P))


# -- the inverse and systems ------------------------------------------------------------
def by_inverse(grad_output: Tensor, A: Tensor) -> Grads:
    X = inv(A)
    return {"A": -X.T @ grad_output @ X.T}


def by_the_turned_inverse(grad_output: Tensor, A: Tensor) -> Grads:
    X = inv(A.T)
    return {"A": -X @ grad_output @ X}


def by_two_systems(grad_output: Tensor, A: Tensor) -> Grads:
    return {"A": -solve(A.T, solve(A, grad_output.T).T)}


def not_turned(grad_output: Tensor, A: Tensor) -> Grads:
    X = inv(A)
    return {"A": -X @ grad_output @ X}


def once_inverse(grad_output: Tensor, A: Tensor) -> Grads:
    return {"A": -inv(A).T @ grad_output}


def system(grad_output: Tensor, A: Tensor, B: Tensor) -> Grads:
    g = solve(A.T, grad_output)
    return {"A": -g @ solve(A, B).T, "B": g}


def system_by_inverse(grad_output: Tensor, A: Tensor, B: Tensor) -> Grads:
    X = inv(A)
    return {"A": -X.T @ grad_output @ B.T @ X.T, "B": X.T @ grad_output}


def system_not_turned(grad_output: Tensor, A: Tensor, B: Tensor) -> Grads:
    g = solve(A, grad_output)
    return {"A": -g @ solve(A, B).T, "B": g}


def system_of_the_right_side(grad_output: Tensor, A: Tensor, B: Tensor) -> Grads:
    g = solve(A.T, grad_output)
    return {"A": -g @ B.T, "B": g}


# -- determinants -----------------------------------------------------------------------
def of_det(grad_output: Tensor, A: Tensor) -> Grads:
    return {"A": grad_output * det(A) * inv(A).T}


def of_det_not_turned(grad_output: Tensor, A: Tensor) -> Grads:
    return {"A": grad_output * det(A) * inv(A)}


def of_logdet(grad_output: Tensor, A: Tensor) -> Grads:
    return {"A": grad_output * inv(A).T}


def of_logdet_not_turned(grad_output: Tensor, A: Tensor) -> Grads:
    return {"A": grad_output * inv(A)}


def of_product(grad_output: Tensor, A: Tensor, B: Tensor) -> Grads:
    return {"A": grad_output * det(A) * det(B) * inv(A).T, "B": grad_output * det(A @ B) * inv(B).T}


def of_product_one_alone(grad_output: Tensor, A: Tensor, B: Tensor) -> Grads:
    return {"A": grad_output * det(A) * inv(A).T, "B": grad_output * det(B) * inv(B).T}


def of_square(grad_output: Tensor, A: Tensor) -> Grads:
    a, b, c, d = A[0, 0], A[0, 1], A[1, 0], A[1, 1]
    return {"A": grad_output * torch.stack([torch.stack([d, -c]), torch.stack([-b, a])])}


# -- Cholesky factors -------------------------------------------------------------------
def murray(grad_output: Tensor, A: Tensor) -> Grads:
    L = cholesky(A)
    Z = inv(L)
    S = Z.T @ lower_half(L.T @ grad_output) @ Z
    return {"A": 0.5 * (S + S.T)}


def whole_diagonal(grad_output: Tensor, A: Tensor) -> Grads:
    L = cholesky(A)
    Z = inv(L)
    S = Z.T @ (L.T @ grad_output).tril() @ Z
    return {"A": 0.5 * (S + S.T)}


def not_symmetrised(grad_output: Tensor, A: Tensor) -> Grads:
    L = cholesky(A)
    Z = inv(L)
    return {"A": Z.T @ lower_half(L.T @ grad_output) @ Z}


def log_of_diagonal(A: Tensor) -> Tensor:
    return 2 * torch.log(torch.diagonal(cholesky(A))).sum()


def inverse_alone(grad_output: Tensor, A: Tensor) -> Grads:
    return {"A": grad_output * inv(A)}


def by_cholesky_inverse(grad_output: Tensor, A: Tensor) -> Grads:
    return {"A": grad_output * torch.cholesky_inverse(cholesky(A))}


def twice(grad_output: Tensor, A: Tensor) -> Grads:
    return {"A": 2 * grad_output * inv(A)}


def distance(S: Tensor, x: Tensor) -> Tensor:
    z: Tensor = triangular(cholesky(S), x, upper=False)
    return 0.5 * (z**2).sum()


def of_distance(grad_output: Tensor, S: Tensor, x: Tensor) -> Grads:
    v = inv(S) @ x
    return {"S": -0.5 * grad_output * v @ v.T, "x": grad_output * v}


def of_distance_with_a_sign(grad_output: Tensor, S: Tensor, x: Tensor) -> Grads:
    v = inv(S) @ x
    return {"S": 0.5 * grad_output * v @ v.T, "x": grad_output * v}


def ridge(X: Tensor, y: Tensor, c: Tensor) -> Tensor:
    w: Tensor = solve(X.T @ X + c * torch.eye(X.shape[1], dtype=X.dtype), X.T @ y)
    return w


def of_ridge(grad_output: Tensor, X: Tensor, y: Tensor, c: Tensor) -> Grads:
    M = X.T @ X + c * torch.eye(X.shape[1], dtype=X.dtype)
    w, v = solve(M, X.T @ y), solve(M, grad_output)
    return {"X": torch.outer(y - X @ w, v) - torch.outer(X @ v, w), "y": X @ v, "c": -(v * w).sum()}


def of_ridge_one_path(grad_output: Tensor, X: Tensor, y: Tensor, c: Tensor) -> Grads:
    M = X.T @ X + c * torch.eye(X.shape[1], dtype=X.dtype)
    w, v = solve(M, X.T @ y), solve(M, grad_output)
    return {"X": torch.outer(y - X @ w, v), "y": X @ v, "c": -(v * w).sum()}


ONE, TWO, SYSTEM = {"A": "n n"}, {"A": "n n", "B": "n n"}, {"A": "n n", "B": "n m"}
CASES: list[Any] = [
    (lambda A: inv(A), ONE, [by_inverse, by_the_turned_inverse, by_two_systems], [not_turned, once_inverse]),
    (
        lambda A, B: solve(A, B),
        SYSTEM,
        [system, system_by_inverse],
        [system_not_turned, system_of_the_right_side],
    ),
    (lambda A, B: inv(A) @ B, SYSTEM, [system, system_by_inverse], [system_not_turned]),
    (lambda A: det(A), ONE, [of_det], [of_det_not_turned]),
    (lambda A: det(A), {"A": "2 2"}, [of_square, of_det], [of_det_not_turned]),
    (lambda A: torch.logdet(A), ONE, [of_logdet], [of_logdet_not_turned]),
    (lambda A: torch.linalg.slogdet(A)[1], ONE, [of_logdet], [of_logdet_not_turned]),
    (lambda A, B: det(A @ B), TWO, [of_product], [of_product_one_alone]),
    (lambda A: cholesky(A), ONE, [murray], [whole_diagonal, not_symmetrised]),
    (log_of_diagonal, ONE, [inverse_alone, by_cholesky_inverse], [twice]),
    (distance, {"S": "d d", "x": "d m"}, [of_distance], [of_distance_with_a_sign]),
    (ridge, {"X": "n d", "y": "n", "c": ""}, [of_ridge], [of_ridge_one_path]),
]
RIGHT = [pytest.param(f, d, b, id=b.__name__) for f, d, right, _ in CASES for b in right]
WRONG = [pytest.param(f, d, b, id=b.__name__) for f, d, _, wrong in CASES for b in wrong]


@pytest.mark.parametrize(("forward", "dims", "backward"), RIGHT)
def test_a_right_backward_is_proved(forward: Any, dims: Any, backward: Any) -> None:
    proof = dc.prove(forward, backward, dims=dims, time_limit=60)
    assert proof.status == "proved", str(proof)


@pytest.mark.parametrize(("forward", "dims", "backward"), WRONG)
def test_a_wrong_backward_is_refuted(forward: Any, dims: Any, backward: Any) -> None:
    proof = dc.prove(forward, backward, dims=dims)
    assert proof.status == "refuted" and proof.counterexample is not None, str(proof)


def test_what_a_factor_takes_for_granted_is_said() -> None:
    proof = dc.prove(log_of_diagonal, inverse_alone, dims=ONE)
    assert "A is symmetric" in proof.conditions


# -- identities -------------------------------------------------------------------------
def term(text: str) -> Term:
    return parse_term(text, TextScope(INPUTS))


EQUAL = [
    ("sum(p, q, k: y[p]*inv(i, j: A[i,j])[p,k]*A[k,q]*y[q])", "sum(p: y[p]^2)"),
    ("sum(p, q, k: y[p]*A[p,k]*inv(i, j: A[i,j])[k,q]*y[q])", "sum(p: y[p]^2)"),
    ("inv(i, j: A[j,i])[0,1]", "inv(i, j: A[i,j])[1,0]"),
    ("inv(i, j: c*A[i,j])[0,1]", "inv(i, j: A[i,j])[0,1]/c"),
    ("inv(i, j: sum(k: A[i,k]*B[k,j]))[0,1]", "sum(k: inv(i, j: B[i,j])[0,k]*inv(i, j: A[i,j])[k,1])"),
    ("det(i, j: sum(k: A[i,k]*B[j,k]))", "det(i, j: B[i,j])*det(i, j: A[i,j])"),
    ("inv(i, j: A[i,j] + A[j,i])[0,1]", "inv(i, j: A[i,j] + A[j,i])[1,0]"),
    (
        "sum(p, q, k: y[p]*inv(i, j: A[i,j] + [i == j]*c)[p,k]*A[k,q]*y[q])",
        "sum(p: y[p]^2) - c*sum(p, q: y[p]*inv(i, j: A[i,j] + [i == j]*c)[p,q]*y[q])",
    ),
    ("sum(k: cholesky(i, j: A[i,j])[0,k]*cholesky(i, j: A[i,j])[1,k])", "(A[0,1] + A[1,0])/2"),
]
DIFFERENT = [
    ("inv(i, j: A[i,j])[0,1]", "inv(i, j: A[i,j])[1,0]"),
    ("inv(i, j: A[i,j])[0,1]", "inv(i, j: B[i,j])[0,1]"),
    ("inv(i, j: A[i,j] + A[j,i])[0,1]", "inv(i, j: A[i,j] - A[j,i])[0,1]"),
    ("sum(p, q, k: y[p]*inv(i, j: A[i,j])[p,k]*A[q,k]*y[q])", "sum(p: y[p]^2)"),
    ("sum(k: inv(i, j: A[i,j])[0,k]*A[k,k])", "[0 == 0]"),
    ("sum(k: inv(i, j: A[i,j])[k,k]*A[k,1])", "1"),
    ("inv(i, j: c*A[i,j])[0,1]", "c*inv(i, j: A[i,j])[0,1]"),
    ("inv(i, j: sum(k: A[i,k]*B[k,j]))[0,1]", "sum(k: inv(i, j: A[i,j])[0,k]*inv(i, j: B[i,j])[k,1])"),
    ("inv(i, j: sum(m: X[i,m]*X[j,m]))[0,1]", "sum(k: inv(i, j: A[i,j])[0,k]*inv(i, j: A[i,j])[1,k])"),
    ("det(i, j: A[i,j] + B[i,j])", "det(i, j: A[i,j]) + det(i, j: B[i,j])"),
    ("det(i, j: c*A[i,j])", "c*det(i, j: A[i,j])"),
    ("cholesky(i, j: A[i,j])[1,0]", "cholesky(i, j: A[i,j])[0,1]"),
    ("sum(k: cholesky(i, j: A[i,j])[k,0]*cholesky(i, j: A[i,j])[k,1])", "(A[0,1] + A[1,0])/2"),
    ("logdet(i, j: A[i,j])", "logdet(i, j: B[i,j])"),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right"), EQUAL)
def test_an_identity_is_known(left: Any, right: Any) -> None:
    assert surely_equal(term(left), term(right), None, 10)


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_what_is_no_identity_is_not_taken_for_one(left: Any, right: Any) -> None:
    assert not surely_equal(term(left), term(right), None, 10)
