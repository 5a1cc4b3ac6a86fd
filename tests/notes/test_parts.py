"""What is written part by part: every element stands in one line, and what it says there is its value."""

from __future__ import annotations

from itertools import product

import pytest
import torch

import derivcheck as dc
from derivcheck.notation.integers.polynomials import Index, i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.text.parse import parse_program
from derivcheck.notes.abridged.abridge import shown
from derivcheck.notes.abridged.length import written
from derivcheck.notes.abridged.parts import Portion, parts
from derivcheck.notes.abridged.tidied import tidied
from tests.notes.layers import PAGES, SIZES

ALL = {"x": "N", "a": "N", "b": "N", "c": "M", "A": "2 3", "S": "N N"}


def parsed(text: str) -> Definition:
    """The last definition of a text."""
    return parse_program(text, {n: d for n, d in ALL.items() if f"{n}[" in text}).definitions[-1]


def cut(text: str) -> list[tuple[str, str]]:
    """Where each part of the last definition stands, and what stands there."""
    d = parsed(text)
    return [(",".join(map(str, p.at)), written(p.of(d.term))) for p in parts(d, d.term)]


def test_stacked_interleaved_and_joined() -> None:
    assert cut("y[n,j<2] := [j == 0]*a[n] + [j == 1]*b[n]") == [("n,0", "a[n]"), ("n,1", "b[n]")]
    woven = "y[j<2*N] := [j % 2 == 0]*a[j//2] + [j % 2 == 1]*b[j//2]"
    assert cut(woven) == [("2*j", "a[j]"), ("2*j + 1", "b[j]")]
    assert cut("y[j<2*N] := [j < N]*a[j] + [j >= N]*b[j-N]") == [("j", "a[j]"), ("N + j", "b[j]")]
    spread = "y[j<2*N] := sum(i: [2*i == j]*a[i]) + sum(i: [2*i + 1 == j]*b[i])"
    assert cut(spread) == [("2*j", "a[j]"), ("2*j + 1", "b[j]")]


@pytest.mark.parametrize(
    "text",
    [
        "y[j<2*N] := [j == N]*a[0] + b[0]",  # a condition is left in each part
        "y[j<N] := [j < M]*a[j] + c[0]",  # nothing says which of N and M is larger
        "y[n,j<2] := [j == n]*a[n]",
        "y[i<2*N] := a[i//2]",  # reads the same in all parts
    ],
)
def test_what_has_no_parts_is_written_whole(text: str) -> None:
    assert len(cut(text)) == 1


def places(d: Definition, part: Portion) -> list[tuple[int, ...]]:
    """The elements of a part, at small sizes."""
    own = sorted({i for p in part.at for i in p.indices}, key=lambda i: i.key)
    ranges = [range(i.size.at(SIZES)) for i in own]
    return [tuple(p.substitute(dict(zip(own, at))).at(SIZES) for p in part.at) for at in product(*ranges)]


@pytest.mark.parametrize("name", ["rope", "rotate half", "lstm cell", "quaternion", "projection", "spherical harmonics"])
def test_each_element_stands_in_one_part(name: str) -> None:
    d = PAGES[name].derived()
    page = shown(d.program, d.adjoint)
    several = 0
    for one in (*page.forward.definitions, *page.gradients):
        found = [at for p in page.parts(one) for at in places(one, p)]
        assert len(found) == len(set(found)), one.name
        assert set(found) == set(product(*(range(p.at(SIZES)) for p in one.dims))), one.name
        several += len(page.parts(one)) > 1
    assert several


def test_a_sum_that_conditions_pick_from_is_what_they_pick() -> None:
    def term(text: str) -> str:
        return written(tidied(parsed(text).term))

    assert term("y[i<N] := sum(j<2*N: x[j//2]*[j//2 == i]*[j % 2 == 1])") == "x[i]"
    assert term("y := sum(i<2, j<3: A[i,j]*[3*i + j == 5])") == "A[1,2]"
    assert term("y := sum(j<3: A[0,j]*(2*[j == 0] - [j == 2]))") == "2·A[0,0] - A[0,2]"
    assert term("y := sum(i: x[i]*[i == 2])") == "Σ_i x[i]·[i = 2]", "N may be 2"
    assert term("y[t,s] := exp([t >= s]*S[t,s] - [s >= t + 1]*inf)") == "exp(S[t,s])·[t ≥ s]"
    assert term("y[t,s] := exp([t >= s]*S[t,s] - [s >= t + 2]*inf)").count("∞") == 1


def test_an_index_of_a_part_has_the_letter_of_its_size() -> None:
    d = parse_program("y[n,j<2*H] := [j < H]*a[n,j] + [j >= H]*b[n,j-H]", {"a": "N H", "b": "N H"}).definitions[-1]
    size = d.dims[1] - parse_program("z[i] := a[i]", {"a": "H"}).definitions[0].dims[0]
    first, second = parts(d, d.term, {size: ["i"]})
    i = Index("i", size)
    assert (first.at[1], second.at[1]) == (i_poly(i), size + i_poly(i)) and first.told == second.told == (i,)


def test_a_position_within_a_position_keeps_its_name() -> None:
    d = dc.derive(lambda x, i: torch.take(x, i), dims={"x": "N M", "i": "int<N*M: K"})
    assert "x[⌊at[l]/M⌋,at[l] mod M]" in str(d)
    d = dc.derive(lambda E, ids: E[ids], dims={"E": "V D", "ids": "int<V: N"})
    assert "E[ids[n] mod V," in str(d)
