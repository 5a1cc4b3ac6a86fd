"""LaTeX as input: it means what index text means, and what it could mean in two ways is refused."""

from __future__ import annotations

import random
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import derivcheck as dc
from derivcheck.errors import DerivcheckError, NotationError
from derivcheck.notation.text.parse import parse_program
from derivcheck.notation.values.evaluator import evaluate
from tests.readback import corpus
from tests.readback.page import Page

SIZES = {"N": 4, "in": 3, "out": 2, "C": 3, "K": 4, "D": 2}
MEANT = [
    (r"y_{no} = \sum_i x_{ni} w_{oi}", "y[n,o] := sum(i: x[n,i]*w[o,i])", {"x": "N in", "w": "out in"}),
    (r"$$\hat{y}_{n,o} = \sum_{i=1}^{I} x_{n,i} W_{oi} + b_o$$", "y_hat[n,o] := sum(i: x[n,i]*W[o,i]) + b[o]",
     {"x": "N in", "W": "out in", "b": "out"}),
    (r"\begin{align*} \mu_n &= \frac1C \sum_c x_{nc} \\ v_n &= \frac{1}{C} \sum_c \left(x_{nc} - \mu_n\right)^2 \\"
     r" y_{nc} &= \gamma_c \, \frac{x_{nc} - \mu_n}{\sqrt{v_n + \varepsilon}} + \beta_c, \end{align*}",
     "mu[n] := sum(c: x[n,c])/C; v[n] := sum(c: (x[n,c] - mu[n])^2)/C;"
     "y[n,c] := gamma[c]*(x[n,c] - mu[n])/(v[n] + epsilon)^(1/2) + beta[c]",
     {"x": "N C", "gamma": "C", "beta": "C", "epsilon": ""}),
    (r"p_{nc} = \frac{e^{z_{nc}}}{\sum_k e^{z_{nk}}} \\ L = -\frac{1}{N} \sum_n \log p_{n t_n}",
     "p[n,c] := exp(z[n,c])/sum(k: exp(z[n,k])); L := -sum(n: log(p[n,t[n]]))/N", {"z": "N C", "t": "int<C: N"}),
    (r"T_k = [k = 0] + [k \ge 1] T_{k-1} (1 - a_{k-1}), \quad k = 0, \ldots, K-1",
     "T[k < K] := [k == 0] + [k >= 1]*T[k-1]*(1 - a[k-1])", {"a": "K"}),
    (r"T_k = [k = 1] + [k \ge 2] T_{k-1} (1 - a_{k-1}), \quad k = 1, \dots, K",
     "T[k < K] := [k == 0] + [k >= 1]*T[k-1]*(1 - a[k-1])", {"a": "K"}),
    (r"y_i = \max(0, x_i) + \operatorname{ReLU}(x_i)", "y[i] := 2*[x[i] > 0]*x[i]", {"x": "N"}),
    (r"y_i = \tanh^2(x_i) \cdot \sigma\left(x_i\right) + \ln\!\left(1 + e^{-x_i}\right)",
     "y[i] := tanh(x[i])^2*sigmoid(x[i]) + log(1 + exp(-x[i]))", {"x": "N"}),
    (r"y_i = \begin{cases} x_i & \text{if } x_i > 0 \\ \alpha x_i & \text{otherwise} \end{cases}",
     "y[i] := [x[i] > 0]*x[i] + [x[i] <= 0]*alpha*x[i]", {"x": "N", "alpha": ""}),
    (r"y_{ij} = \delta_{ij} x_i + \mathbf{1}[i \le j] x_j - \mathbb{1}\{x_i > x_j\} x_i^2",
     "y[i,j] := [i == j]*x[i] + [i <= j]*x[j] - [x[i] > x[j]]*x[i]^2", {"x": "N"}),
    (r"y_i = x_i \sum_{j \neq i} x_j + \sum_{k < i} x_k",
     "y[i] := x[i]*sum(j: [i != j]*x[j]) + sum(k: [k < i]*x[k])", {"x": "N"}),
    (r"y = \sum_{i=1}^{N-1} (x_{i+1} - x_i)^2 / 2", "y := sum(i < N-1: (x[i+1] - x[i])^2)/2", {"x": "N"}),
    (r"y = \sum_{i=1}^{N} i x_i + \sum_{i=2}^{N} x_{i}", "y := sum(i: (i + 1)*x[i]) + sum(i < N-1: x[i+1])", {"x": "N"}),
    (r"y = \sum_{i=0}^{N-1} i x_i", "y := sum(i: i*x[i])", {"x": "N"}),
    (r"m_n = \max_k x_{nk} + \prod_c x_{nc}", "m[n] := max(k: x[n,k]) + prod(c: x[n,c])", {"x": "N C"}),
    (r"h^{(n)}_d = W^{(1)}_{dc} x^{(n)}_c", None, {"x": "N C"}),
    (r"y_n = |x_n - \bar{x}| + \sqrt[3]{c_n} + \lfloor N/2 \rfloor",
     "y[n] := ([x[n] > x_bar] - [x[n] < x_bar])*(x[n] - x_bar) + c[n]^(1/3) + N//2", {"x": "N", "x_bar": "", "c": "N"}),
    (r"a_{ij} = \frac{q_{id} k_{jd}}{\sqrt{D}}", None, {"q": "N D", "k": "N D"}),
    (r"y = \det(A)^2", "y := det(i, j: A[i,j])^2", {"A": "N N"}),
    (r"y_k = \det S_k + \operatorname{tr}(S_k)", "y[k] := det(i, j: S[k,i,j]) + sum(i: S[k,i,i])", {"S": "K N N"}),
    (r"y = \log\left|\det A\right| + \ln\det(A A^\top) + \log|\det(A)|",
     "y := 2*logabsdet(i, j: A[i,j]) + logdet(i, j: sum(k: A[i,k]*A[j,k]))", {"A": "N N"}),
    (r"y_{ij} = (A^{-1})_{ij} + \left[A^{-1}\right]_{ij} + A^{-1}_{ij} + 2 A^{-T}_{ij} + A_{ij}^{-1}",
     "y[i,j] := 3*inv(A)[i,j] + 2*inv(A)[j,i] + 1/A[i,j]", {"A": "N N"}),
    (r"y_i = \left((A + \lambda I)^{-1} b\right)_i - (A^{\top} A b)_i",
     "y[i] := sum(j: inv(p, q: A[p,q] + lambda*[p == q])[i,j]*b[j]) - sum(p, q: A[p,i]*A[p,q]*b[q])",
     {"A": "N N", "lambda": "", "b": "N"}),
    (r"y = \operatorname{tr}(A^{-1} B) + \operatorname{tr}\left(\frac{1}{2} A B^\top - B\right)",
     "y := sum(i, j: inv(A)[i,j]*B[j,i]) + sum(i, j: A[i,j]*B[i,j])/2 - sum(i: B[i,i])", {"A": "N N", "B": "N N"}),
    (r"y_{pq} = \operatorname{chol}(A A^\top + I)_{pq}",
     "y[p,q] := cholesky(i, j: sum(k: A[i,k]*A[j,k]) + [i == j])[p,q]", {"A": "N N"}),
    (r"y_k = \lVert m_k - x \rVert^2 + \|x\| + \left\lVert x \right\rVert_1 + \Vert W \Vert_F"
     r" + \frac{1}{\lVert x \rVert_\infty}",
     "y[k] := sum(d: (m[k,d] - x[d])^2) + sum(d: x[d]^2)^(1/2) + sum(d: max(x[d], -x[d])) + sum(k, d: W[k,d]^2)^(1/2)"
     " + 1/max(d: max(x[d], -x[d]))", {"m": "K D", "x": "D", "W": "K D"}),
    (r"y = \sum_{i=1}^{N} i \, A^{-1}_{i1} + (A^{-1})_{12} + \min_i x_i + \max_{i,j} A_{ij} + \Phi^{-1}(p)",
     "y := sum(i: (i + 1)*inv(A)[i,0]) + inv(A)[0,1] + min(i: x[i]) + max(i, j: A[i,j]) + ndtri(p)",
     {"A": "N N", "x": "N", "p": ""}),
    (r"y_n = w_{\mathrm{out}} x_n + W^{(2)} + d_k", "y[n] := w_out*x[n] + W_2 + d_k",
     {"x": "N", "w_out": "", "W_2": "", "d_k": ""}),
]  # fmt: skip


@pytest.mark.parametrize("latex, text, dims", [m for m in MEANT if m[1]])
def test_latex_means_what_index_text_means(latex: str, text: str, dims: dict[str, str]) -> None:
    read, meant = parse_program(latex.replace("{I}", r"{\mathrm{in}}"), dims), parse_program(text, dims)
    assert [d.dims for d in read.definitions] == [d.dims for d in meant.definitions]
    inputs = {k: np.abs(v) if k in ("c", "epsilon") else v for k, v in corpus.numbers(read, SIZES).items()}
    one, other = (evaluate(p, inputs, SIZES) for p in (read, meant))
    for (name, found), wanted in zip(one.items(), other.values(), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12, err_msg=name)


def test_without_dims_they_follow_from_the_indices() -> None:
    p = parse_program(r"y_{no} = \sum_i x_{ni} w_{oi} + b_o")
    assert str(p).splitlines()[:3] == ["input  x[N, I]", "input  w[O, I]", "input  b[O]"]


REFUSED = [
    (r"y_i = \log x_i y_i", "line 1, column 16: found a factor after '\\\\log x_i', which may or may not belong to the "
     "function; expected parentheses around its argument"),
    (r"y_i = {1/2 x_i}", "line 1, column 12: found a factor after a quotient a/b; expected parentheses"),
    (r"T_k = [k \ge 1] a_{k-1}", "line 1, column 8: found 'k' in a condition, and nothing says whether"),
    (r"y_i = 2 x_{2i}", "line 1, column 12: found '2i' as a position, and nothing says whether indices count from 0 or 1"),
    (r"y = \sum_{i=1}^N x_i + \sum_{k=0}^{N-1} x_k", "found indices that count from 0 beside indices that count from 1"),
    (r"y_i = \sum_j x_i x_k", "line 1, column 20: the index k is bound neither on the left of '=' nor by a sum"),
    (r"Y = X W^\top", "line 1, column 9: found a transpose or a power by elements; expected a formula by elements"),
    (r"y_i = x_i^{(2i)}", "which may be a power or a position"),
    (r"y_{i} = x_i^2^3", "line 1, column 14: found a second exponent"),
    (r"y_i = x_12 \cdot 2", "found '12' without braces, of which TeX takes one digit; expected {12}"),
    (r"y_i = 1e-5 \cdot x_i", r"found '1e-5', expected 1 \cdot 10^{-5}, as LaTeX has it"),
    (r"h_{i+1} = \tanh(h_i)", "on the left of '=', expected plain indices"),
    (r"y_i = \foo{x_i}", r"line 1, column 7: found '\\foo', expected an expression"),
    (r"y_i = \left(x_i", "the text ends where ')' was expected"),
    (r"y_i = x_i = 2 \cdot x_i", r"found a second '=' in one equation; expected '\\' between equations"),
    (r"y_i = \mathbf{x}_i + x_i", r"found 'x_i' beside '\\mathbf{x}_i', and both would be called 'x'"),
    (r"y_i = \begin{matrix} x_i \end{matrix}", "found the environment 'matrix', expected align or cases"),
    (r"y_i = \operatorname{softmax}(x_i)", "'softmax'"),
    (r"y_i = \begin{cases} x_i & x_i > 0 \end{cases}", r"expected a last line '& \text{otherwise}'"),
    (r"y_{ii} = x_i \cdot 2 {}", "the index i stands twice on the left"),
    (r"y = \det x", "line 1, column 10: found 'x', expected a matrix"),
    (r"y = \det x x", "line 1, column 12: found a factor after '\\\\det' of a letter, which may or may not belong to it; "
     "expected parentheses around its matrix"),
    (r"y_i = (x^{-1})_i", "found an exponent; expected a matrix raised to -1, \\top or -\\top"),
    (r"y_i = (2 x)_{ii}", "found 2 positions below a vector, which has one"),
    (r"y_i = (x x)_{i}", "found a vector before another factor; expected a formula by elements"),
    (r"y_i = (x + 1)_{i}", "found a sum of numbers, vectors and matrices; expected addends of one kind"),
    (r"y_i = (i x)_{i}", "found the index i among matrices; expected a formula by elements"),
    (r"y_i = \lVert x_i \rVert", "found the length of a number; expected a vector or a matrix, or | |"),
    (r"y = \lVert x \rVert_3", "the length of a vector with \\lVert x \\rVert, _2, _1 or _\\infty, or a matrix with _F"),
    (r"y = \operatorname{rank}(x)", "'rank'"),
    (r"\alpha", "the text ends where '=' after what is defined was expected"),
]  # fmt: skip


@pytest.mark.parametrize("latex, message", REFUSED)
def test_what_could_be_read_in_two_ways_is_refused(latex: str, message: str) -> None:
    with pytest.raises(NotationError) as e:
        parse_program(latex, {"x": "N"})
    assert message in str(e.value)
    assert "^" in str(e.value).splitlines()[-1], "a caret shows the place"


def test_latex_is_derived_checked_and_proved() -> None:
    forward = r"y_{no} = \sum_i x_{ni} w_{oi}"
    right = r"\bar{x}_{ni} = \sum_o \bar{y}_{no} w_{oi} \\ \frac{\partial L}{\partial w_{oi}} = \sum_n \bar{y}_{no} x_{ni}"
    wrong = right.replace(r"\sum_n", r"2 \sum_n")
    dims = {"x": "N in", "w": "out in"}
    assert dc.prove(forward, right, dims=dims).status == "proved"
    assert dc.prove(forward, wrong, dims=dims).status == "refuted"
    data = {"x": torch.randn(3, 2, dtype=torch.float64), "w": torch.randn(4, 2, dtype=torch.float64)}
    d = dc.derive(forward, dims=dims)
    assert dc.check(d, data, backward=right).passed
    report = dc.check(d, data, backward=wrong)
    assert report["x"].passed and not report["w"].passed


def test_printed_text_is_stable() -> None:
    """What was read and is printed reads as the same."""
    for latex, _, dims in MEANT:
        with suppress(NotationError):
            once = parse_program(latex, dims)
            assert str(parse_program(str(once))) == str(once)


def test_what_derivcheck_prints_is_input() -> None:
    d = dc.derive("y[n,o] := sum(i: x[n,i]*w[o,i]) + b[o]", dims={"x": "N in", "w": "out in", "b": "out"})
    line = next(f for p in Page(corpus.source("linear", d.program), "latex", "index").passages for f in p.formulas)
    again = parse_program(line.line(), {"x": "N in", "w": "out in", "b": "out"})
    assert str(again) == str(d.program)


PIECES = (
    r"\sum_ \frac \left( \right) { } _ ^ ' x_i y_{ij} W^{(1)} \alpha \hat \bar \max \log \exp [ ] | , = & \\ + - / \cdot 2 "
    r"\det A^{-1} \lVert \rVert \operatorname{tr} \| "
    r"\begin{cases} \end{cases} \mathrm{a} \partial \sqrt \lfloor \rfloor \delta_ \mathbf{1} \ldots 10 0 \text{if} ; e^ $ % <"
).split()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14), st.booleans())
def test_garbage_is_refused_in_a_sentence(pieces: list[str], led: bool) -> None:
    with suppress(DerivcheckError):
        parse_program(("y_i = " if led else "") + " ".join(pieces) + " {}", {"x": "N"} if led else None)


def test_long_and_deep_text_is_refused() -> None:
    for text in (
        "y = " + "(" * 5000 + "{x}",
        "y = x_{" * 3000,
        r"y = \hat{" * 2000 + "x",
        r"y = \frac{" * 3000,
        "y = {x}" + " + x" * 2000,
    ):
        with pytest.raises(NotationError):
            parse_program(text)


def test_a_token_less_means_something_else() -> None:
    """Dropped tokens are refused or read as something else, never silently as the same."""
    r = random.Random(0)
    for latex, text, dims in MEANT[:4]:
        if text is None:
            continue
        meant = parse_program(latex.replace("{I}", r"{\mathrm{in}}"), dims)
        for token in ("-", r"\sum", "^2", r"\log", r"\frac", "_{n"):
            if token in latex:
                k = r.choice([k for k in range(len(latex)) if latex.startswith(token, k)])
                with suppress(NotationError):
                    assert parse_program(latex[:k] + latex[k + len(token) :], dims) != meant
