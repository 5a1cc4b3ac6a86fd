"""Inverses, determinants and Cholesky factors: their adjoints are the textbook's, and those of the numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import derivcheck as dc
from derivcheck.derivation.sweep import adjoint
from derivcheck.derivation.tidy import in_own_names
from derivcheck.errors import InputError, NotationError
from derivcheck.notation.text.parse import parse_program
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.exact import Exact

# A Program in index text, the shapes of its inputs, and the gradients as a person writes them.
TEXTBOOK = [
    ("X[p,q] := inv(i, j: A[i,j])[p,q]", {"A": (3, 3)}, {"A": "-sum(p, q: grad_output[p, q]*X[p, i]*X[j, q])"}),
    ("d := det(i, j: A[i,j])", {"A": (3, 3)}, {"A": "grad_output*d*inv(i_1, j_1: A[i_1, j_1])[j, i]"}),
    ("d := logabsdet(i, j: A[i,j])", {"A": (3, 3)}, {"A": "grad_output*inv(i_1, j_1: A[i_1, j_1])[j, i]"}),
    (
        "x[p,c] := sum(k: inv(i, j: A[i,j])[p,k]*b[k,c])",
        {"A": (3, 3), "b": (3, 2)},
        {
            "A": "-sum(p, c: grad_output[p, c]*inv(i_1, j_1: A[i_1, j_1])[p, i]*x[j, c])",
            "b": "sum(p: grad_output[p, c]*inv(i, j: A[i, j])[p, k])",
        },
    ),
]
OTHERS = [
    ("y[c] := sum(k, p: x[c,p]*inv(i, j: A[i,j])[p,k]*x[c,k]) + logabsdet(i, j: A[i,j])", {"A": (3, 3), "x": (2, 3)}),
    ("X[n,p,q] := inv(i, j: A[n,i,j]*x[i] + [i == j])[p,q]", {"A": (2, 3, 3), "x": (3,)}),
    ("x[s,t] := sum(k: inv(i, j: [j >= i + 1]*A[i,j] + [i == j])[s,k]*b[k,t])", {"A": (3, 3), "b": (3, 2)}),
    ("x[s] := inv(i, j: A[i,j])[s,s]*det(i, j: A[j,i])", {"A": (3, 3)}),
    ("y := sum(k: log(cholesky(i, j: sum(r: A[i,r]*A[j,r]) + [i == j])[k,k])*x[k])", {"A": (3, 2), "x": (3,)}),
    ("L[n,p,q] := cholesky(i, j: sum(r: A[n,i,r]*A[n,j,r]))[p,q]", {"A": (2, 3, 3)}),
]


def numbers(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return {n: rng.normal(size=s) for n, s in shapes.items()}


def differences(program, data, g):
    """The gradients by central differences of what the Program means."""
    (out,) = program.outputs

    def loss(**moved):
        return float((evaluate(program, {**data, **moved})[out] * g).sum())

    found = {}
    for name, value in data.items():
        found[name] = np.zeros_like(value)
        for at in np.ndindex(*value.shape):
            up, down = value.copy(), value.copy()
            up[at] += 1e-6
            down[at] -= 1e-6
            found[name][at] = (loss(**{name: up}) - loss(**{name: down})) / 2e-6
    return found


@pytest.mark.parametrize(("text", "shapes", "gradients"), TEXTBOOK)
def test_the_adjoint_is_the_textbooks(text, shapes, gradients):
    back = adjoint(parse_program(text))
    assert {n: str(back.definition(f"{n}_bar").term) for n in shapes} == gradients


@pytest.mark.parametrize(("text", "shapes"), [*((t, s) for t, s, _ in TEXTBOOK), *OTHERS])
def test_the_adjoint_is_that_of_the_numbers(text, shapes):
    program, data = parse_program(text), numbers(shapes)
    g = np.random.default_rng(1).normal(size=evaluate(program, data)[program.outputs[0]].shape)
    found = evaluate(adjoint(program), {**data, "grad_output": g})
    for name, value in differences(program, data, g).items():
        np.testing.assert_allclose(found[f"{name}_bar"], value, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("text", "shapes"), [*((t, s) for t, s, _ in TEXTBOOK), *OTHERS[:4]])
def test_the_adjoint_has_an_adjoint(text, shapes):
    forward = parse_program(text)
    first = adjoint(forward)
    program, data = first.needed(first.outputs[:1]), numbers(shapes)
    g = np.random.default_rng(1).normal(size=evaluate(forward, data)[forward.outputs[0]].shape)
    data["grad_output"] = g
    h = np.random.default_rng(3).normal(size=evaluate(program, data)[program.outputs[0]].shape)
    found = evaluate(adjoint(program), {**data, "grad_grad_output": h})
    for name, value in differences(program, data, h).items():
        np.testing.assert_allclose(found[f"{name}_bar"], value, rtol=1e-6, atol=1e-6)


def test_a_name_is_not_taken_for_another_element_beside_a_bracket():
    """Of y[i,j] the bracket says which i and j: x[k,j] under the same bracket is none of it."""
    p = parse_program(
        "y[i,j] := [i >= j]*exp(x[i,j])*w[j]; z[i,j] := sum(k: [i >= j]*exp(x[k,j])*w[j])", {"x": "N N", "w": "N"}
    )
    y, z = p.definitions
    assert in_own_names(z.term, y) is z.term
    assert str(in_own_names(y.term, y)) == "y[i, j]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y := inv(i, j: A[i,j])", r"expected a matrix by its rows and columns, as in inv\(i, j: a\[i, j\]\)\[p, q\]"),
        ("y := det(2*A)", r"as in det\(i, j: a\[i, j\]\), or a tensor of two dimensions, det\(a\)"),
        ("y := det(A[n])", "expected a matrix by its rows and columns"),  # nothing tells that A has three dimensions
        ("y := inv(A)", r"or a tensor of two dimensions, inv\(a\)\[p, q\]"),
        ("y[i] := inv(A)[i]", "expected a matrix by its rows and columns"),
        ("y := det(i: x[i])", "expected a matrix by its rows and columns"),
        ("y[i] := sum(k: x[k])[i]", "sum gives a number, which has no positions"),
    ],
)
def test_a_matrix_that_is_written_otherwise_is_refused(text, message):
    with pytest.raises(NotationError, match=message):
        parse_program(text)


@pytest.mark.parametrize(
    ("short", "whole", "dims"),
    [
        ("X[p,q] := inv(A)[q,p]", "X[p,q] := inv(i, j: A[i,j])[q,p]", {"A": "N N"}),
        ("X[n,m] := cholesky(A)[n,m]*det(A)", "X[n,m] := cholesky(i, j: A[i,j])[n,m]*det(i, j: A[i,j])", {"A": "N N"}),
        (
            "d[n] := logabsdet(A[n]) + logdet(A[n])",
            "d[n] := logabsdet(i, j: A[n,i,j]) + logdet(i, j: A[n,i,j])",
            {"A": "M N N"},
        ),
        ("B[n,i,j] := A[n,j,i]; d[n] := det(B[n])", "B[n,i,j] := A[n,j,i]; d[n] := det(i, j: B[n,i,j])", {"A": "M N N"}),
        ("x[p] := sum(k: inv(A)[p,k]*b[k])", "x[p] := sum(k: inv(i, j: A[i,j])[p,k]*b[k])", None),
    ],
)
def test_a_tensor_is_a_matrix_itself(short, whole, dims):
    one, other = parse_program(short, dims), parse_program(whole, dims)
    sizes = {s: k + 2 for k, s in enumerate(one.sizes())}
    data = {a.name: np.random.default_rng(0).random([p.at(sizes) for p in a.dims]) for a in one.arguments}
    data["A"] = data["A"] @ np.swapaxes(data["A"], -1, -2) + 0.5 * np.eye(data["A"].shape[-1])
    assert [a.dims for a in one.arguments] == [a.dims for a in other.arguments]
    for name, value in evaluate(one, data).items():
        np.testing.assert_array_equal(evaluate(other, data)[name], value)
    assert str(parse_program(str(one))) == str(one)


def test_what_is_printed_reads_back():
    p = parse_program("X[n,p,q] := inv(i, j: A[n,i,j])[p,q]; d := sum(n: det(i, j: A[n,i,j] + A[n,j,i])*X[n,0,0])")
    assert str(parse_program(str(p))) == str(p)
    back = adjoint(p)
    data = numbers({"A": (2, 3, 3)}) | {"grad_output": np.array(1.0)}
    again = parse_program(str(back))
    for name, value in evaluate(back, data).items():
        np.testing.assert_array_equal(evaluate(again, data)[name], value)


def test_rational_numbers_are_exact_and_a_singular_matrix_has_no_inverse():
    p = parse_program("X[p,q] := inv(i, j: A[i,j])[p,q]; d := det(i, j: A[i,j])", {"A": "N N"})
    found = evaluate(p, {"A": [[2.0, 1.0], [1.0, 1.0]]}, numbers=Exact())
    assert found["X"].tolist() == [[1, -1], [-1, 2]] and found["d"].item() == 1
    singular = evaluate(p, {"A": [[1.0, 2.0], [2.0, 4.0]]}, numbers=Exact())
    assert singular["X"].tolist() == [[None, None], [None, None]] and singular["d"].item() == 0
    assert np.isnan(evaluate(p, {"A": [[1.0, 2.0], [2.0, 4.0]]})["X"]).all()


def test_a_matrix_that_is_not_square_is_refused():
    with pytest.raises(NotationError, match="runs over"):
        parse_program("d := det(i, j: A[i,j])", {"A": "N M"})
    with pytest.raises(NotationError, match="det of a matrix of N rows and M columns; expected a square one"):
        parse_program("d := det(i < N, j < M: A[i,j])", {"A": "N M"})
    with pytest.raises(InputError):
        evaluate(parse_program("d := det(i, j: A[i,j])", {"A": "N N"}), {"A": np.ones((3, 2))})


@pytest.mark.parametrize(
    ("forward", "dims", "wanted"),
    [
        (lambda A, B: torch.linalg.solve(A, B), {"A": "n n", "B": "n m"}, "torch.linalg.solve(A.mT, grad_output)"),
        (lambda A, B: torch.linalg.solve(A, B, left=False), {"A": "n n", "B": "m n"}, "left=False"),
        (lambda A: torch.linalg.inv(A), {"A": "b n n"}, "-((X.mT @ grad_output) @ X.mT)"),
        (lambda A: torch.logdet(A), {"A": "n n"}, "(grad_output * torch.linalg.inv(A)).mT"),
        (lambda A: torch.linalg.cholesky(A), {"A": "b n n"}, "torch.linalg.solve_triangular(L.mT, P, upper=True)"),
        (
            lambda A, B: torch.linalg.solve_triangular(A, B, upper=True, unitriangular=True),
            {"A": "n n", "B": "n m"},
            "torch.linalg.solve_triangular(A.mT, grad_output, upper=False, unitriangular=True)",
        ),
    ],
)  # fmt: skip
def test_the_code_calls_torch_linalg(forward, dims, wanted):
    source = dc.derive(forward, dims=dims).source()
    assert wanted in source, source


@pytest.mark.parametrize(
    ("forward", "backward", "dims", "condition"),
    [
        ("y := logabsdet(i, j: A[i,j])", "A_bar[p,q] := grad_output*inv(i, j: A[i,j])[q,p]", {"A": "n n"}, "A is not singular"),
        (
            "y := logdet(i, j: A[i,j])",
            "A_bar[p,q] := grad_output*inv(i, j: A[i,j])[q,p]",
            {"A": "n n"},
            "the determinant of A is above 0",
        ),
    ],
)
def test_a_proof_says_what_of_the_matrix_it_takes_for_granted(forward, backward, dims, condition):
    proof = dc.prove(forward, backward, dims=dims)
    assert proof.status == "proved" and condition in proof.conditions, proof.conditions


def test_the_operations_of_a_system_are_counted():
    """Factors of n³·2/3 and two passes over them for each column, forward and back."""
    profile = dc.derive(lambda A, b: torch.linalg.solve(A, b), dims={"A": "n n", "b": "n m"}).profile({"n": 30, "m": 2})
    counted = int(str(profile).split("forward: ")[1].split(" ")[0].replace(",", ""))
    assert counted == 2 * 30**3 // 3 + 2 * 30**2 * 2
