"""Every row on a sample through ``check``: torch's own operator, its autograd, differences and what is derived agree.

Every row is checked at its sample's data, one in twenty under all probes too.  SymPy has tests of its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

import derivcheck as dc
from derivcheck.checking.check import check_at
from derivcheck.checking.witnesses import exact
from derivcheck.operators.language.row import Like, OperatorRow, Sample, rows
from tests.operators.rows_on_numbers import case, fits, function

SAID = {"infinite", "masked"}  # data that check refuses
TIED = {"aten.mode.default"}  # among values that are as frequent torch takes another than the smallest
HANDS_ON = {"aten.lift.default", "aten.lift_fresh.default"}  # torch calls these itself


def _likes(value: Any) -> list[Like]:
    if isinstance(value, (list, tuple)):
        return [like for v in value for like in _likes(v)]
    return [value] if isinstance(value, Like) else []


def _usual(s: Sample) -> bool:
    """Whether a sample has a floating-point tensor, and none whose data check refuses."""
    likes = _likes([*s.args, *s.kwargs.values()])
    moving = any(like.kind == "float" and like.values != "fixed" for like in likes)
    return moving and not any(like.values in SAID for like in likes)


def _cases() -> list[tuple[str, OperatorRow, Sample]]:
    found: dict[int, tuple[str, OperatorRow, Sample]] = {}
    for name, row in rows().items():
        if name.startswith("aten.") and not row.refused and name not in HANDS_ON and id(row) not in found:
            s = next((s for s in row.samples if fits(name, s) and _usual(s)), None)
            if s is not None:
                found[id(row)] = name, row, s
    return list(found.values())


CASES = _cases()


def asked(name: str, row: OperatorRow, sample: Sample) -> tuple[Callable[..., Any], dict[str, torch.Tensor]] | None:
    """The function of a sample, with the results that the row gives; None where torch has no derivative."""
    f, inputs = function(name, sample)
    results = len(case(row, name, sample).program.outputs)

    def given(**tensors: torch.Tensor) -> Any:
        out = f(**tensors)
        return out[:results] if isinstance(out, (tuple, list)) else out

    outs = given(**inputs)
    floats = [o for o in (outs if isinstance(outs, (tuple, list)) else [outs]) if o.is_floating_point() and o.requires_grad]
    try:
        if floats:
            leaves = [t for t in inputs.values() if t.requires_grad]
            torch.autograd.grad(floats, leaves, [torch.ones_like(o) for o in floats], allow_unused=True)
    except RuntimeError as e:
        if "is not implemented" in str(e):
            return None
        raise
    return given, {n: t.detach().requires_grad_(t.requires_grad) for n, t in inputs.items()}


@pytest.mark.parametrize("k", range(len(CASES)), ids=[name[5:] for name, _, _ in CASES])
def test_check_knows_every_row(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "OPERATIONS", 0)
    with warnings.catch_warnings(action="ignore"):
        found = asked(*CASES[k])
        if found is None:
            return
        name = CASES[k][0]
        whole = k % 20 == 7 and name not in TIED
        report = dc.check(*found) if whole else check_at(*found)
    assert report.passed, str(report)
    assert all(w.agrees is not False for r in report for w in r.witnesses), str(report)


def test_a_wrong_gradient_of_a_row_is_caught() -> None:
    found = asked(*next(c for c in CASES if c[0] == "aten.tanh.default"))
    assert found is not None
    forward, inputs = found

    def backward(grad_output: torch.Tensor, x0: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"x0": grad_output * (1 - torch.tanh(x0) ** 2) * 1.001}

    assert not check_at(forward, inputs, backward).passed
