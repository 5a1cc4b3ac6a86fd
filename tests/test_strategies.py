"""The public hypothesis strategies give what they say."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from derivcheck import strategies
from derivcheck.errors import InputError

QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(strategies.inputs({"x": "N in", "W": "out in", "flat": "2*N", "ids": "int<V: N 3>"}))
def test_named_dimensions_agree(drawn: dict[str, torch.Tensor]) -> None:
    n, i = drawn["x"].shape
    assert drawn["W"].shape[1] == i
    assert drawn["flat"].shape == (2 * n,)
    assert drawn["ids"].shape == (n, 3) and drawn["ids"].dtype == torch.int64 and (drawn["ids"] >= 0).all()


@QUICK
@given(strategies.layouts(), st.integers(1, 4), st.integers(1, 4), strategies.dtypes())
def test_a_layout_keeps_shape_and_values(layout: str, n: int, m: int, dtype: torch.dtype) -> None:
    x = torch.randn(n, m).to(dtype)
    y = strategies.laid_out(x, layout)
    assert y.shape == x.shape and y.dtype == dtype
    assert torch.equal(y, x[:1].expand(n, m) if layout == "expanded" else x)


@QUICK
@given(st.sampled_from(strategies.DATA), strategies.dtypes())
def test_data_is_finite_in_every_type(data: str, dtype: torch.dtype) -> None:
    drawn: list[torch.Tensor] = []

    @settings(max_examples=2, database=None, deadline=None)
    @given(strategies.values((5, 3), dtype, data))
    def one(x: torch.Tensor) -> None:
        drawn.append(x)

    one()
    assert all(torch.isfinite(x).all() and x.dtype == dtype for x in drawn)


@pytest.mark.parametrize(
    "call", [lambda: strategies.laid_out(torch.ones(2), "sideways"), lambda: strategies.values((2,), data="odd")]
)
def test_an_unknown_name_is_answered_with_the_known_ones(call: object) -> None:
    with pytest.raises(InputError, match="there is no .*; there are"):
        call()  # type: ignore[operator]
