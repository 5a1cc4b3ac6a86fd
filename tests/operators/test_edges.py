"""Kinks, ties, infinities, NaN and saturation: the sweep that holds docs/conventions.md."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import Any

import mpmath as mp
import pytest
import torch

import derivcheck as dc
from derivcheck.operators.language.row import Like
from tests.operators.conventions import OURS, OWN, PAGE, page
from tests.operators.edge_points import RTOL, Difference, Pointwise, differences, grid, on_ours, pointwise
from tests.operators.kinks import CONDITIONS, KINKS, POINTS, At
from tests.operators.many_digits import TRUTH, slope, true

DTYPES = (torch.float64, torch.float32)


@lru_cache(maxsize=1)
def all_differences() -> list[Difference]:
    """Every point of the grid, both types."""
    return [d for p in pointwise() for dtype in DTYPES for d in differences(p, dtype)]


def unsaid(found: list[Difference]) -> list[Difference]:
    """Differences that no line of the page says."""
    return [d for d in found if not any(a.covers(d.operator, d.point, d.what, d.dtype) for a in (*OWN, *OURS))]


def test_every_difference_from_torch_is_said_and_every_line_is_met():
    found = all_differences()
    assert not unsaid(found)
    idle = [a.operators for a in (*OWN, *OURS) if not any(a.covers(d.operator, d.point, d.what, d.dtype) for d in found)]
    assert not idle


def test_a_difference_that_is_not_said_is_found():
    sine = next(p for p in pointwise() if p.operator == "sin")

    def off(**given: Any) -> Any:
        value, grads = sine.run(**given)
        return value, {k: g * (1 + 1e-6) for k, g in grads.items()}

    wrong = differences(replace(sine, run=off), torch.float64)
    assert wrong and unsaid(wrong) == wrong


# -- many digits ------------------------------------------------------------------------
#: Rounded to the digits of 1, as torch is: ``operator -> where``.
ROUNDED = {
    "tanh": lambda q, what: what != "value" and abs(q[0]) >= 20,
    "sigmoid": lambda q, what: what != "value" and q[0] >= 20,
    "sinc": lambda q, what: q[0] == round(q[0]) and abs(q[0]) >= 1 or abs(q[0]) > 1e20,
    "gelu": lambda q, what: q[0] <= -20,
    "atan2": lambda q, what: q[0] == q[1] == 0,
    "special_i1": lambda q, what: abs(q[0]) >= 1000,
    "special_i0e": lambda q, what: abs(q[0]) >= 1e15,
    "special_i1e": lambda q, what: abs(q[0]) >= 1e15,
    "special_erfcx": lambda q, what: what != "value" and q[0] >= 1e3,
    "binary_cross_entropy_with_logits": lambda q, what: what != "value" and abs(q[0]) <= 1e-8 or not 0 <= q[1] <= 1,
}


def judged() -> list[Pointwise]:
    return [p for p in pointwise() if p.operator in TRUTH and all(isinstance(a, Like) for a in p.sample.args) and not p.options]


def wrong_digits(p: Pointwise) -> list[tuple[Any, ...]]:
    """Points where a value or gradient of ours is not that of many digits."""
    points = [q for q in grid(len(p.names)) if all(math.isfinite(v) and (v or math.copysign(1, v) > 0) for v in q)]
    inputs = [torch.tensor([q[k] for q in points], dtype=torch.float64) for k in range(len(p.names))]
    value, grads = on_ours(p, inputs, inputs[0])
    excused = ROUNDED.get(p.operator, lambda q, what: False)
    bad = []
    for i, q in enumerate(points):
        wanted = [("value", value, true(p.operator, q))]
        wanted += [(str(k), g, slope(p.operator, q, k)) for k, g in enumerate(grads) if g is not None]
        for what, tensor, want in wanted:
            if want is None or excused(q, what) or abs(want) > mp.mpf(10) ** 308:
                continue
            have = tensor[i].item()
            if not abs(have - want) <= RTOL[torch.float64] * abs(want) + mp.mpf(10) ** -307:
                bad.append((p.overload, q, what, have, mp.nstr(want, 8)))
    return bad


def test_values_and_gradients_are_those_of_many_digits():
    assert len(judged()) >= 55
    assert not [b for p in judged() for b in wrong_digits(p)]


def test_a_slope_with_few_digits_is_found():
    one = next(p for p in pointwise() if p.operator == "sinc")

    def cancelling(x0: torch.Tensor, grad_output: torch.Tensor) -> Any:
        u = math.pi * x0
        return torch.sinc(x0), {"x0": grad_output * (torch.cos(u) / x0 - torch.sin(u) / (u * x0))}

    assert any(q == (1e-08,) for _, q, *_ in wrong_digits(replace(one, run=cancelling)))


def test_what_is_called_torchs_own_is_so_by_many_digits():
    """Where the page says that ours is held against many digits, it is so, and torch is not within them."""
    for a in (a for a in OWN if a.true):
        covered = [d for d in all_differences() if a.covers(d.operator, d.point, d.what, d.dtype)]
        for d in covered:
            operator = d.operator
            want = true(operator, d.point) if d.what == "value" else slope(operator, d.point, int(d.what[-1]))
            if want is None:
                continue
            rtol = RTOL[getattr(torch, d.dtype)]
            assert abs(d.ours - want) <= rtol * abs(want), d
            assert not abs(d.torch - want) <= rtol * abs(want) / 10, d


# -- kinks and points -----------------------------------------------------------------------
def gradients(of: At) -> tuple[dict[str, list[float]], dict[str, list[float]], torch.Tensor, torch.Tensor]:
    """Ours, torch's, and the two values."""
    example = {
        k: torch.linspace(0.3, 0.9, len(v) + 3 * (len(of.data) > 1 or len(v) < 3), dtype=torch.float64)
        for k, v in of.data.items()
    }
    data = {k: torch.tensor(v, dtype=torch.float64) for k, v in of.data.items()}
    if "unflatten" in of.call or any(w in of.call for w in ("det", "dist", "multilabel")):
        example = {k: torch.linspace(0.3, 0.9, len(v), dtype=torch.float64) ** 2 for k, v in of.data.items()}
    d = dc.derive(of.f, **example)
    leaves = {k: v.clone().requires_grad_() for k, v in data.items()}
    out = of.f(**leaves)
    want = torch.autograd.grad(out, list(leaves.values()), torch.ones_like(out), allow_unused=True)
    value, grads = d.compile()(**data) if out.ndim == 0 else d.compile()(**data, grad_output=torch.ones_like(out))
    torchs = {k: (torch.zeros_like(data[k]) if g is None else g).tolist() for k, g in zip(data, want, strict=True)}
    return {k: grads[k].tolist() for k in data}, torchs, value, out.detach()


def same(a: dict[str, list[float]], b: dict[str, list[float]]) -> bool:
    return all(torch.allclose(torch.tensor(a[k]), torch.tensor(b[k]), rtol=1e-6, atol=1e-12, equal_nan=True) for k in b)


@pytest.mark.parametrize("of", KINKS, ids=lambda of: of.call.replace(" ", ""))
def test_kinks_and_ties(of):
    ours, torchs, value, out = gradients(of)
    assert same(ours, of.gradients) and same(torchs, of.gradients), (ours, torchs)
    assert torch.allclose(value, out, equal_nan=True)


@pytest.mark.parametrize("of", POINTS, ids=lambda of: of.call.replace(" ", ""))
def test_points_where_torch_has_its_own(of):
    ours, torchs, value, out = gradients(of)
    assert same(ours, of.gradients) and same(torchs, of.torch or of.gradients), (ours, torchs)
    assert torch.allclose(value, out, equal_nan=True)


@pytest.mark.parametrize("call, f, length, words", [c[:4] for c in CONDITIONS], ids=[c[0] for c in CONDITIONS])
def test_a_condition_is_printed(call, f, length, words):
    assert words in " ".join(str(dc.derive(f, x=torch.linspace(0.3, 1.1, length, dtype=torch.float64) ** 2)).split())


def test_the_page_is_this_table():
    assert PAGE.read_text(encoding="utf-8") == page(), "write it with python -m tests.operators.conventions"
