"""What is printed in matrices is evaluated as printed, and must be what the index sums are."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from derivcheck.derivation.sweep import adjoint
from derivcheck.notation.integers.polynomials import Index, as_poly
from derivcheck.notation.program.program import Program
from derivcheck.notation.text.parse import parse_program
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notes.pages.document import blocks
from derivcheck.notes.pages.matrix import Matrices
from derivcheck.notes.pages.style import Style
from derivcheck.notes.symbols.batch import batch_letters
from derivcheck.notes.symbols.symbols import symbols
from derivcheck.notes.writing.ink import Latex
from derivcheck.notes.writing.steps import first_number, gradient_definitions, without_upstream
from tests.notes.programs import ALL

RELATIONS = (
    (r"\ge ", np.greater_equal),
    (r"\le ", np.less_equal),
    (r"\neq", np.not_equal),
    ("=", np.equal),
    (">", np.greater),
    ("<", np.less),
)
SIZES = {"N": 3, "in": 2, "out": 4, "M": 5, "C": 4, "D": 2, "K": 6, "V": 7, "I": 2, "J": 3, "E": 2}


class Ones:
    """The vector of ones, as long as it has to be; ``row`` after a transpose."""

    def __init__(self, row: bool = False) -> None:
        self.row = row


@dataclass(frozen=True)
class Batch:
    """What symbols stand for at each place of the batch; how far its letters run, and where they stand."""

    values: Callable[[dict[str, int]], dict[str, Any]]
    sizes: dict[str, int]
    at: dict[str, int]


class Reader:
    """Evaluates the LaTeX of one matrix formula; columns are (n, 1), rows (1, n)."""

    def __init__(self, latex: str, values: dict[str, np.ndarray] | Batch) -> None:
        self.batch = values if isinstance(values, Batch) else Batch(lambda at: values, {}, {})
        self.stand(self.batch.at)
        self.latex, self.at = latex, 0

    def stand(self, at: dict[str, int]) -> None:
        """Stand at a place of the batch."""
        self.values = self.batch.values(at)
        self.names = sorted(self.values, key=len, reverse=True)

    def skip(self) -> None:
        while self.latex[self.at : self.at + 1] == " " or self.latex.startswith(r"\,", self.at):
            self.at += 2 if self.latex.startswith(r"\,", self.at) else 1

    def peek(self, text: str) -> bool:
        self.skip()
        return self.latex.startswith(text, self.at)

    def take(self, text: str) -> bool:
        if self.peek(text):
            self.at += len(text)
            return True
        return False

    def need(self, text: str) -> None:
        assert self.take(text), f"expected {text} at {self.latex[self.at :]!r}"

    def whole(self) -> Any:
        value = self.sum()
        self.skip()
        assert self.at == len(self.latex), f"left over: {self.latex[self.at :]!r}"
        return value

    def sum(self) -> Any:
        value = -dense(self.hadamard()) if self.take("-") else self.hadamard()
        while True:
            if self.take("+"):
                value = plus(value, self.hadamard())
            elif self.take("-"):
                value = plus(value, -dense(self.hadamard()))
            else:
                return value

    def hadamard(self) -> Any:
        value = self.product()
        while self.take(r"\odot"):
            right = dense(self.product())
            value = dense(value)
            assert value.shape == right.shape, f"{value.shape} beside {right.shape} in {self.latex}"
            value = value * right
        return value

    def batch_sum(self) -> Any:
        """``Σ_b`` of a product that holds for each b."""
        letters = self.latex[self.at : self.latex.index("}", self.at)].split(",")
        self.at += len(",".join(letters)) + 1
        start, total = self.at, 0.0
        for place in itertools.product(*(range(self.batch.sizes[i]) for i in letters)):
            self.at = start
            self.stand({**self.batch.at, **dict(zip(letters, place))})
            total = total + dense(self.product())
        self.stand(self.batch.at)
        return total

    def product(self) -> Any:
        if self.take(r"\sum_{"):
            return self.batch_sum()
        factors = [self.postfix()]
        while True:
            self.skip()
            rest = self.latex[self.at :]
            if not rest or rest[0] in "+-},)" or rest.startswith((r"\odot", r"\right", *(sign for sign, _ in RELATIONS))):
                break
            if self.take(r"\sum_{"):
                return functools.reduce(lambda a, b: a * b, factors) * self.batch_sum()
            factors.append(self.postfix())
        scale = 1.0
        while len(factors) > 1 and not isinstance(factors[0], Ones) and np.ndim(factors[0]) == 0:
            scale *= factors.pop(0)
        value = factors[0]
        for f in factors[1:]:
            value = times(value, f)
        if isinstance(value, Ones) and scale != 1.0:
            value = np.ones((1, 1))  # stretches
        return value if scale == 1.0 else scale * value

    def postfix(self) -> Any:
        value = self.atom()
        while self.take("^"):
            if self.take(r"{\top}"):
                value = Ones(not value.row) if isinstance(value, Ones) else dense(value).T
            elif self.take(r"{\circ "):
                exponent = self.sum()
                self.need("}")
                value = dense(value) ** exponent
            else:
                braces = self.take("{")
                exponent = self.sum() if braces else self.atom()
                if braces:
                    self.need("}")
                value = dense(value)
                assert value.size == 1, "a plain power of a matrix"
                value = value**exponent
        return value

    def atom(self) -> Any:
        self.skip()
        for name in self.names:
            if self.latex.startswith(name, self.at):
                self.at += len(name)
                return self.values[name]
        if self.take(r"\mathbf{1}"):
            return Ones()
        if self.take(r"\left("):
            value = self.sum()
            self.need(r"\right)")
            return value
        if self.take(r"\left["):
            value = dense(self.sum())
            for sign, holds in RELATIONS:
                if self.take(sign):
                    out = holds(value, dense(self.sum())).astype(float)
                    self.need(r"\right]")
                    return out
        if self.take(r"\left\lVert"):
            value = dense(self.sum())
            self.need(r"\right\rVert_F^2")
            return (value**2).sum()
        if self.take(r"\left\langle"):
            left = dense(self.sum())
            self.need(",")
            right = dense(self.sum())
            self.need(r"\right\rangle_F")
            return (left * right).sum()
        if self.take(r"\frac{"):
            above = self.sum()
            self.need("}{")
            below = self.sum()
            self.need("}")
            return above / below
        if self.take(r"\sqrt{"):
            value = self.sum()
            self.need("}")
            return np.sqrt(value)
        for kind, larger in (("max", np.maximum), ("min", np.minimum)):
            if self.take(rf"\{kind}("):
                left = dense(self.sum())
                self.need(",")
                value = larger(left, dense(self.sum()))
                self.need(")")
                return value
        if self.take(r"\left|"):
            value = np.abs(dense(self.sum()))
            self.need(r"\right|")
            return value
        if self.take(r"\operatorname{sign}"):
            return np.sign(dense(self.atom()))
        if self.take(r"\operatorname{diag}"):
            return np.diag(dense(self.atom()).ravel())
        for function in ("tanh", "exp", "log", "sin", "cos"):
            if self.take(rf"\{function}"):
                return getattr(np, function)(dense(self.atom()))
        found = re.compile(r"\d+(\.\d+)?").match(self.latex, self.at)
        assert found, f"cannot read {self.latex[self.at :]!r}"
        self.at = found.end()
        return np.float64(found.group())


def dense(value: Any) -> Any:
    assert not isinstance(value, Ones), "ones of no length"
    return value


def plus(left: Any, right: Any) -> Any:
    left, right = np.asarray(left), np.asarray(right)
    # an outer product with ones is kept short by `times`: only ones may stretch
    ok = all(a == b or 1 in (a, b) for a, b in zip(left.shape, right.shape)) and left.ndim == right.ndim
    assert ok, f"{left.shape} + {right.shape}"
    return left + right


def times(left: Any, right: Any) -> Any:
    """A matrix product; with ones it sums, or repeats (kept as one row or column, which then stretches)."""
    if isinstance(left, Ones) and isinstance(right, Ones):
        return np.ones((1, 1))
    if isinstance(right, Ones):
        return left if right.row else left.sum(1, keepdims=True)
    if isinstance(left, Ones):
        return right.sum(0, keepdims=True) if left.row else right
    assert left.shape[1] == right.shape[0], f"{left.shape} times {right.shape}"
    return left @ right


def check(forward: Program, back: Program) -> list[str]:
    """Evaluate every line that has a matrix form; the names of those."""
    rng = np.random.default_rng(0)
    sizes = {s: SIZES.get(s, 2) for s in (*forward.sizes(), *back.sizes())}
    inputs: dict[str, Any] = {}
    for a in back.arguments:
        shape = tuple(p.at(sizes) for p in a.dims)
        inputs[a.name] = rng.integers(0, a.below.at(sizes), shape) if a.below is not None else rng.normal(size=shape)
    table = symbols(forward, back, "matrix")
    if table.scalar:
        inputs["grad_output"] = np.array(1.0)
    numbers = {**inputs, **evaluate(back, inputs, sizes), **evaluate(forward, {k: inputs[k] for k in forward.inputs}, sizes)}
    m = Matrices(Latex(table, first_number(forward, back)), table, batch_letters(forward))
    values = {m.symbol(n): v[:, None] if np.ndim(v) == 1 else v for n, v in numbers.items()}
    values |= {
        s if len(s) == 1 else rf"\mathrm{{{s}}}": np.float64(v)
        for s, v in sizes.items()
        if (s if len(s) == 1 else rf"\mathrm{{{s}}}") not in values
    }
    lengths = {i.name: i.size.at(sizes) for d in (*forward.definitions, *back.definitions) for i in d.indices}

    def at_batch(at: dict[str, int]) -> dict[str, Any]:
        """What symbols are at one place of the batch."""
        found = dict(values)
        for n, v in numbers.items():
            for count in range(1, np.ndim(v) + 1):
                for letters in itertools.permutations(at, count):
                    lead = [Index(i, as_poly(lengths[i])) for i in letters]
                    if all(lengths[i] == length for i, length in zip(letters, np.shape(v))):
                        part = np.asarray(v)[tuple(at[i] for i in letters)]
                        found[m.symbol(n, lead)] = part[:, None] if part.ndim == 1 else part
        return found

    done = []
    for d in (*forward.definitions, *gradient_definitions(forward, back)):
        f = m.formula(d, [without_upstream(d.term, table)])
        if f is None:
            continue
        lead = [i.name for i in d.indices if i in m.fixed]
        for place in itertools.product(*(range(lengths[i]) for i in lead)):
            expected = np.asarray(numbers[d.name])[place]
            for text in f.rights:
                found = Reader(" ".join(text), Batch(at_batch, lengths, dict(zip(lead, place)))).whole()
                want = expected[:, None] if np.ndim(expected) == 1 else expected
                found = np.asarray(found).reshape(()) if np.ndim(want) == 0 else found
                if f.left.endswith(r"^{\top}"):
                    want = want.T
                np.testing.assert_allclose(
                    np.broadcast_to(found, np.shape(want)), want, rtol=1e-9, atol=1e-12, err_msg=f"{f.left} = {text}"
                )
        done.append(d.name)
    return done


@pytest.mark.parametrize(
    ("name", "least"), [("linear", 7), ("no loss", 4), ("layer norm", 8), ("attention", 7), ("perceptron", 11)]
)
def test_matrices_mean_what_the_sums_mean(name: str, least: int) -> None:
    assert len(check(*ALL[name]())) >= least


@pytest.mark.parametrize(
    "text",
    [
        "y[n] := sum(k: A[n,k]*x[k]) + b[n]",
        "y[k] := sum(n: A[n,k]*x[n])*c",
        "y[n,m] := a[n]*b[m]",
        "y[n,m] := a[n]*A[n,m]*b[m] + A[n,m]^2 - 3",
        "y[n,m] := sum(k: A[n,k]*g[k]*B[k,m])",
        "y[n,m] := sum(k: A[k,n]*B[m,k])",
        "y[n,m] := sum(k: A[n,k]) + B[n,m]",
        "y[m] := sum(n: A[n,m]*B[n,m])",
        "y := sum(n, m: A[n,m]*B[n,m])/N",
        "y := sum(n, m: A[n,m]) - sum(n: a[n]*b[n])",
        "y := sum(n: a[n]^2)^(1/2)",
        "y[n,m] := tanh(A[n,m] + b[m])*B[n,m]*sin(A[n,m])",
        "y[n,m] := [A[n,m] > 0]*A[n,m]*c",
        "y[n,m] := [A[n,m] <= 0]*B[n,m] - [B[n,m] < A[n,m]]*c",
        "y[n,m] := [A[n,m] >= b[m]]*A[n,m] + [a[n] != A[n,m]]",
        "y[n] := [a[n] == 0]*a[n] - [a[n] <= b[n]]*b[n]",
        "y[n] := sum(m: A[n,m]*sum(k: B[m,k]*x[k]))",
        "y[n] := sum(m: A[n,m]*(B[n,m] + b[m])*a[n])",
        "y[n,m] := (A[n,m] + B[n,m])*sum(k: C[n,k]*D[k,m])*E[n,m]",
        "y[n,m] := A[m,n] - 2*B[m,n]",
        "y[n,m] := sum(k: (A[k,n] - B[k,n])*x[k])*a[m]",
    ],
)
def test_small_forms(text: str) -> None:
    # the dimensions of C, D and E clash with no size here: tensors keep their names apart from sizes
    f = parse_program(text.replace("C[", "F[").replace("D[", "G[").replace("E[", "H["))
    done = check(f, adjoint(f))
    assert "y" in done


@pytest.mark.parametrize(
    "text",
    [
        "y[b,n,m] := sum(k: A[b,n,k]*B[b,m,k])",
        "y[b,n,m] := sum(k: A[b,n,k]*W[m,k]) + c[m]",
        "m[b,n] := sum(k: A[b,n,k]); y[b,n,k] := (A[b,n,k] - m[b,n])^2*w[k]",
        "p[b,n,k] := exp(A[b,n,k])/sum(j: exp(A[b,n,j])); y[b,n,i] := sum(k: p[b,n,k]*V[b,k,i])",
        "y := sum(b, n, k: (A[b,n,k] - B[b,n,k])^2)/2",
        "y[n,k] := sum(b: A[b,n,k]*B[b,n,k])",
    ],
)
def test_a_batch_stays_an_index(text: str) -> None:
    forward = parse_program(text)
    done = check(forward, adjoint(forward))
    assert {d.name for d in forward.definitions} <= set(done)
    assert any(n.endswith("_bar") for n in done)


def test_sums_of_products_and_choices() -> None:
    for text in (
        "y[n,m] := sum(k, j: A[n,k]*B[k,j]*F[j,m])",
        "y[n,m] := [A[n,m] > 0]*A[n,m] + ([B[n,m] > 0]*B[n,m] - [B[n,m] < 0]*B[n,m])*3",
        "y[n,m] := [A[n,m] > B[n,m]]*A[n,m] + [A[n,m] <= B[n,m]]*B[n,m] + [A[n,m] <= 2]*A[n,m]",
    ):
        forward = parse_program(text)
        assert "y" in check(forward, adjoint(forward)), text


def test_the_reader_can_fail() -> None:
    a, b = np.ones((2, 3)), np.ones((3, 2))
    assert Reader(r"A B", {"A": a, "B": b}).whole().shape == (2, 2)
    for wrong in ("A A", r"A \odot B", "A + B", "A^2"):
        with pytest.raises(AssertionError):
            Reader(wrong, {"A": a, "B": b}).whole()


def test_a_sum_over_addends_of_products_is_a_sum_of_products() -> None:
    forward = parse_program("y[d,e] := sum(m, n: (G[d,m]*S[n,m] + T[m,n]*H[m,d])*H[n,e])")
    lines = [f for b in blocks(Latex, forward, adjoint(forward), Style("matrix")) for f in b.formulas]
    assert lines[0].line() == r"Y = G S^{\top} H + H^{\top} T H" and not any(f.note for f in lines)
