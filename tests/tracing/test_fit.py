"""Fits hold in every trace, and what they say is the function that made the numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derivcheck.notation.sizes import Poly
from derivcheck.notation.terms import Term
from derivcheck.tracing.fit import Fit

TRACED = [
    {"N": 6, "h": 3, "d": 4},
    {"N": 9, "h": 5, "d": 7},
    {"N": 14, "h": 8, "d": 11},
    {"N": 21, "h": 10, "d": 13},
    {"N": 26, "h": 17, "d": 20},
    {"N": 31, "h": 18, "d": 24},
]
ELSEWHERE = [{"N": 40, "h": 2, "d": 9}, {"N": 7, "h": 30, "d": 1}, {"N": 101, "h": 13, "d": 64}]


@pytest.mark.parametrize(
    "f",
    [
        lambda N, h, d: 7,
        lambda N, h, d: d,
        lambda N, h, d: 3 * d,
        lambda N, h, d: d - 2,
        lambda N, h, d: 2 * N + 1,
        lambda N, h, d: h * d,
        lambda N, h, d: N * h * d,
        lambda N, h, d: N + d,
        lambda N, h, d: N - h,
        lambda N, h, d: N - 2 * h + 3,
        lambda N, h, d: N * (h - 1) if False else N * h - N,
    ],
)
def test_an_integer_function_of_the_sizes_is_found(f: Callable[..., int]) -> None:
    found = Fit(TRACED).integer([f(**a) for a in TRACED])
    assert found is not None
    assert [found.at(a) for a in ELSEWHERE] == [f(**a) for a in ELSEWHERE]


@given(st.integers(1, 4), st.integers(2, 5), st.integers(-3, 9))
@settings(max_examples=40, deadline=None)
def test_a_floor_is_found_only_where_the_traces_settle_it(c: int, m: int, r: int) -> None:
    sizes = [{"H": v} for v in (7, 8, 9, 10, 11, 12, 13, 14, 15, 30, 47)]
    found = Fit(sizes).integer([(c * a["H"] + r) // m for a in sizes])
    assert found is not None
    for v in range(2, 60):
        assert found.at({"H": v}) == (c * v + r) // m


def test_a_floor_that_the_traces_leave_open_is_not_guessed() -> None:
    sizes = [{"H": 6}, {"H": 8}, {"H": 10}, {"H": 14}, {"H": 20}]
    even_only = Fit(sizes).integer([a["H"] // 4 for a in sizes])
    assert even_only is None or [even_only.at({"H": v}) for v in range(2, 40)] == [v // 4 for v in range(2, 40)]


@pytest.mark.parametrize(
    "f",
    [
        lambda N, h, d: 1 / math.sqrt(d),
        lambda N, h, d: d**-0.5,
        lambda N, h, d: 0.5 / N,
        lambda N, h, d: math.sqrt(N / d),
        lambda N, h, d: 1 / (N - 1),
        lambda N, h, d: math.log(N),
        lambda N, h, d: (N - 1) / 2,
        lambda N, h, d: 1 / (N * d),
        lambda N, h, d: (2 * d) ** -0.5,
    ],
)
def test_a_real_function_of_the_sizes_is_found(f: Callable[..., float]) -> None:
    from derivcheck.notation.float64 import Numpy  # noqa: F401 - the meaning's own numbers
    from derivcheck.notation.program import Definition, Program

    found = Fit(TRACED).real([f(**a) for a in TRACED])
    assert isinstance(found, Term)
    program = Program((), (Definition("z", (), found),), ("z",))
    from derivcheck.notation.meaning import evaluate

    for a in ELSEWHERE:
        if a["N"] > 1:
            assert float(evaluate(program, {}, sizes=a)["z"]) == pytest.approx(f(**a), rel=1e-12)


def test_noise_is_not_fitted() -> None:
    fit = Fit(TRACED)
    assert fit.integer([3, 1, 4, 1, 5, 9]) is None
    assert fit.real([0.3, 0.1, 0.41, 0.15, 0.9, 0.26]) is None


def test_what_is_learnt_is_used_for_what_follows() -> None:
    fit = Fit(TRACED)
    half = fit.integer([a["N"] // 2 for a in TRACED])
    if half is None:
        pytest.skip("these traces leave the floor open")
    both = fit.integer([(a["N"] // 2) * a["d"] for a in TRACED])
    assert isinstance(both, Poly) and both.at({"N": 9, "h": 1, "d": 5}) == 20
