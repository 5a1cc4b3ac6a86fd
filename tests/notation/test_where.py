"""Conditions as a user writes them."""

from __future__ import annotations

import pytest

from derivcheck.errors import InputError, NotationError
from derivcheck.notation.integers.polynomials import as_poly, size
from derivcheck.notation.text.where import known_names, of_sizes, parse_where

SIZES = {n: size(n) for n in ("S", "T", "N")} | {"F": as_poly(5)}


@pytest.mark.parametrize(
    "text, expected",
    [
        ("T % 2 == 0", ["T % 2 == 0"]),
        ("T%2==0 ,  S = T", ["T%2 == 0", "S == T"]),
        ("1 < N <= 2*T", ["1 < N", "N <= 2*T"]),
        ("(T + 1)//2 != max(S, N); sigma > 1e-3", ["(T + 1)//2 != max(S, N)", "sigma > 1e-3"]),
        ("det(A) > 0\nnorm(x - mean(x)) < 1", ["det(A) > 0", "norm(x - mean(x)) < 1"]),
    ],
)
def test_what_is_read(text: str, expected: list[str]) -> None:
    assert [str(c) for c in parse_where(text)] == expected


@pytest.mark.parametrize(
    "text, holds, fails",
    [
        ("T % 2 == 0", {"T": 6}, {"T": 5}),
        ("S == T", {"S": 3, "T": 3}, {"S": 3, "T": 4}),
        ("N <= 8192", {"N": 8192}, {"N": 8193}),
        ("T // 2 >= min(S, N)", {"T": 7, "S": 3, "N": 9}, {"T": 5, "S": 3, "N": 9}),
        ("S != F*T", {"S": 4, "T": 1}, {"S": 5, "T": 1}),
    ],
)
def test_relations_between_sizes(text: str, holds: dict[str, int], fails: dict[str, int]) -> None:
    (condition,) = parse_where(text)
    needs = of_sizes(condition, SIZES)
    assert needs is not None and needs.holds(holds) and not needs.holds(fails)


def test_a_condition_on_tensors_is_none_of_sizes() -> None:
    (condition,) = parse_where("sigma*T > 0")
    assert of_sizes(condition, SIZES) is None and condition.names == {"sigma", "T"}
    known_names(condition, SIZES, ["sigma"])
    with pytest.raises(InputError, match=r"where says 'sigma\*T > 0', and there is no 'sigma'; sizes are S, T, N, F, inputs x"):
        known_names(condition, SIZES, ["x"])


@pytest.mark.parametrize(
    "text, message",
    [
        ("T >", "where='T >', column 4: the text ends where an expression was expected; expected conditions parted by commas"),
        ("T", "the text ends where '<' or '=' or a comparison was expected"),
        ("", "expected conditions parted by commas, as in 'T % 2 == 0"),
        ("T == 2 or S == 3", "column 8: found 'or'"),
        ("x[0] > 1", "where='x[0] > 1' has 'x[0]'; expected a condition on whole tensors"),
        ("[x > 0] == 1", "has '[x > 0]'; expected a condition on whole tensors"),
        ("sum(n: x[n]) > 0", "has 'sum(n: x[n])'"),
        ("eval(x) > 0", "where='eval(x) > 0' has the function 'eval'; expected one of det,"),
        ("__import__('os') == 0", 'found "\'"'),
        ("x.numel() > 1", "found '.'"),
        (3, "where is of type int; expected conditions as text"),
    ],
)
def test_anything_else_is_one_sentence(text: str, message: str) -> None:
    with pytest.raises(NotationError) as refused:
        parse_where(text)
    assert message in str(refused.value) and "\n" not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize("text, message", [("T/2 == 2", "expected whole numbers"), ("T % 0 == 0", "division by zero")])
def test_sizes_are_whole_numbers(text: str, message: str) -> None:
    (condition,) = parse_where(text)
    with pytest.raises(NotationError, match=message):
        of_sizes(condition, SIZES)
