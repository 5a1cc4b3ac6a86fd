"""What is printed is read back and evaluated: it is the derivation's value, in every style and ink."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from derivcheck.errors import NotationError
from derivcheck.notation.text.parse import parse_program
from derivcheck.notes.pages import breaks
from derivcheck.notes.writing import sides
from derivcheck.notes.writing import writer as writing
from derivcheck.notes.writing.ink import Latex, Unicode
from tests.notes.programs import LONG
from tests.readback import corpus
from tests.readback.brackets import BRACKETED
from tests.readback.corpus import Source, source
from tests.readback.legend import Misprint
from tests.readback.line import Line
from tests.readback.pages import PAGES
from tests.readback.test_mutants import noticed

SOURCES: dict[str, Callable[[], Iterator[Source]]] = {
    "notes": corpus.noted,
    "random": lambda: corpus.random(3),
    "published": lambda: islice(corpus.published(), 0, None, 12),
    "layers": lambda: islice(corpus.layers(), 0, None, 6),
}


def lines(source: Source, page: str, most: int = 12) -> list[Line]:
    """Lines of a page, of those of a long one some."""
    found = PAGES[page](source).lines
    return found if len(found) <= most else random.Random(len(source.name)).sample(found, most)


DETAILS = [p for p in PAGES if p.startswith(("operators", "result"))]
CASES = [(s, p) for s in SOURCES for p in PAGES if s == "notes" or p not in DETAILS or (s, p) == ("layers", "operators, LaTeX")]


@pytest.mark.parametrize(("sources", "page"), CASES)
def test_what_is_printed_reads_back(sources: str, page: str) -> None:
    read = 0
    for s in SOURCES[sources]():
        for line in lines(s, page):
            assert not line.wrong(), s.name
            read += 1
    assert read > 5


MATRICES = {
    "system": ("x[p,c] := sum(k: inv(i, j: A[i,j])[p,k]*b[k,c])", {"A": "N N", "b": "N M"}),
    "batch": (
        "X[n,p,q] := inv(i, j: A[n,i,j])[p,q]; y[n] := det(i, j: A[n,i,j])*logabsdet(i, j: B[i,j])",
        {"A": "M N N", "B": "N N"},
    ),
    "triangle": ("x[p] := sum(k: inv(i, j: [i >= j]*A[i,j])[p,k]*b[k])", {"A": "N N", "b": "N"}),
    "elements": ("x[p] := sum(k: inv(i, j: A[i,j] + [i == j]*b[i])[p,k]*b[k])", {"A": "N N", "b": "N"}),
    "factor": ("L[p,q] := cholesky(i, j: sum(k: A[i,k]*A[j,k]) + [i == j])[p,q]", {"A": "N N"}),
    "one": ("y := det(i, j: A[i,j])*inv(i, j: A[i,j])[0,0]^2", {"A": "1 1"}),
}


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", MATRICES)
def test_what_is_made_of_a_matrix_reads_back(name: str, page: str) -> None:
    text, dims = MATRICES[name]
    shown = PAGES[page](source(name, parse_program(text, dims))).lines
    assert shown and not [line.text for line in shown if line.wrong()]


def test_an_inverse_that_is_turned_or_dropped_is_caught() -> None:
    s = source("system", parse_program(*MATRICES["system"]))
    for page, one, other in (
        ("index, LaTeX", r"\left(A^{-1}\right)_{pk}", r"\left(A^{-1}\right)_{kp}"),
        ("index, LaTeX", r"\left(A^{-1}\right)_{pk}", "A_{pk}"),
        ("index, Unicode", "A⁻¹[p,k]", "A⁻¹[k,p]"),
        ("matrix", r"A^{-\top}", "A^{-1}"),
        ("matrix", r"A^{-1}", "A"),
    ):
        line = next(x for x in PAGES[page](s).lines if one in x.text)
        assert noticed(line, line.text.replace(one, other)), line.text


def says_wrong(s: Source, page: str) -> bool:
    """Whether a page has a line that is not so, or cannot be read."""
    for line in PAGES[page](s).lines:
        try:
            if line.wrong():
                return True
        except (NotationError, Misprint):
            return True
    return False


def test_a_printer_that_errs_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = "[i <= 0];[i <= 2];[3 - j <= i];[j < i];[i >= 1];[t[i] <= j];[c < 1];[x[i] <= s];[i % 2 >= 1]".split(";")
    programs = [source(b, parse_program(f"y[i] := sum(j: {b}*x[j]); z[m] := t[m]*x[m]*s*c", BRACKETED)) for b in shown]
    right = sides.sides
    for wrong in (
        lambda p, r: (right(p, r)[0], r, right(p, r)[2]),  # the relation as it was, whatever side things are on
        lambda p, r: right(p, r)[::-1],  # the sides exchanged
        lambda p, r: (right(p, r)[0], {">=": ">", "<=": "<"}.get(right(p, r)[1], right(p, r)[1]), right(p, r)[2]),
        lambda p, r: (right(p, r)[0] + 1, *right(p, r)[1:]),
    ):
        monkeypatch.setattr(writing, "sides", wrong)
        assert any(says_wrong(s, page) for s in programs for page in PAGES)
    monkeypatch.undo()
    for table in (Unicode.relations, Latex.relations):
        monkeypatch.setitem(table, "<=", table[">="])
        assert any(says_wrong(s, page) for s in programs for page in PAGES)
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("page", "text", "wrong"),
    [
        ("index, LaTeX", "y[j] := x[2*(j//3) + j % 2 + j % 3]", "j \\bmod 2 + "),
        ("index, Unicode", "y[j] := sum(k: z[k])*x[j]/prod(k: x[k])", "Π_k x[k]·"),
        ("matrix", "Y[i,j] := exp2(A[i,j])", "2^{A}"),
        ("matrix", "y[i] := sum(k: exp(x[k]))*x[i]", "\\mathbf{1} \\mathbf{1}"),
    ],
)
def test_what_could_be_read_in_two_ways_is_not_printed(page: str, text: str, wrong: str) -> None:
    dims = {"x": "12" if "//" in text else "N", "z": "N", "A": "N M"}
    program = parse_program(text, {n: d for n, d in dims.items() if f"{n}[" in text.partition(":=")[2]})
    shown = PAGES[page](source("two ways", program)).lines
    assert not any(line.wrong() for line in shown) and not any(wrong in line.text for line in shown)


def test_a_tensor_is_not_called_as_a_sign_is() -> None:
    program = parse_program("sign[n] := x[n]^3; y[n] := sign[n]*([x[n] > 0] - [x[n] < 0])", {"x": "N"})
    for page in ("index, LaTeX", "index, Unicode", "matrix"):
        lines = PAGES[page](source("sign", program)).lines
        assert not any(line.wrong() for line in lines)


@pytest.mark.parametrize("page", ["index, LaTeX", "scalar", "matrix"])
def test_rows_that_break_within_brackets_read_back(page: str) -> None:
    cut = 0
    for text in LONG:
        for line in PAGES[page](source("long", parse_program(text))).lines:
            assert not line.wrong()
            for mark in (r"\bigl(", r"\bigr)", r"\bigl[", r"\bigr]"):
                if mark in line.text:
                    cut += 1
                    assert noticed(line, line.text.replace(mark, "", 1)), line.text
    assert cut > 2


@pytest.mark.parametrize("page", ["index, LaTeX", "scalar", "matrix"])
def test_rows_of_a_narrow_page_read_back(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaks, "MOST", 20.0)
    cut = 0
    for s in corpus.noted():
        for line in lines(s, page):
            assert not line.wrong(), s.name
            cut += line.text.count(r"\cdot") + line.text.count(r"igl(")
    assert cut > 5


def test_a_norm_is_read_and_a_wrong_one_caught() -> None:
    program = parse_program("y[n,d] := x[n,d]/sum(d: x[n,d]^2)^(1/2) + z[n,d]", {"x": "N D", "z": "N D"})
    for page, norm in (("index, LaTeX", r"\lVert x_n"), ("index, Unicode", "‖x[n]")):
        line = PAGES[page](source("norm", program)).lines[0]
        assert norm in line.text and not line.wrong()
        assert line.wrong(line.text.replace(norm, norm.replace("x", "z")))


def test_a_part_that_says_another_range_is_caught() -> None:
    program = parse_program("y[j<2*N] := [j < N]*a[j] + [j >= N]*b[j-N]", {"a": "N", "b": "N"})
    for page, one, other in (
        ("index, LaTeX", r"\ldots, N - 1", r"\ldots, 2\,N - 1"),
        ("index, Unicode", "≤ N - 1", "≤ 2·N - 1"),
    ):
        first, second, *_ = PAGES[page](source("joined", program)).lines
        assert one in first.text and not first.wrong() and not second.wrong()
        assert noticed(first, first.text.replace(one, other)) and noticed(second, second.text.replace("b", "a"))


def test_the_identity_and_diagonals_read_back() -> None:
    text = "y[i,j] := sum(k: W[k,i]*W[k,j]) - [i == j]; z[i,j] := y[i,j] - y[i,i]*[i == j]; u[i,j] := a[i]*[i == j] + z[j,i]"
    program = parse_program(text, {"W": "K N", "a": "N"})
    shown = [line for line in PAGES["matrix"](source("identity", program)).lines if r"\mathbf{I}" in line.text]
    assert len(shown) >= 2 and not any(line.wrong() for line in shown)
    assert all(noticed(line, line.text.replace(r"\mathbf{I}", r"\mathbf{1} \mathbf{1}^{\top}")) for line in shown)
    assert "diag" in " ".join(line.text for line in PAGES["matrix"](source("identity", program)).lines)
