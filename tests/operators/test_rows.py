"""Every row on every sample: what it means is what torch computes, and the derived gradient is autograd's."""

from __future__ import annotations

import numpy as np
import pytest

from derivcheck.errors import UnsupportedOperation
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import apply, rows
from tests.operators.rows_on_numbers import case, fits, gradients, values


def _cases():
    for name, row in rows().items():
        if name.startswith("aten."):
            for k, s in enumerate(row.samples):
                if fits(name, s):
                    yield pytest.param(row, name, s, id=f"{name[5:]}-{k}")


@pytest.mark.parametrize("row, name, sample", list(_cases()))
def test_row(row, name, sample):
    c = case(row, name, sample)
    found = values(c)
    for k, o in zip(c.program.outputs, c.outputs, strict=True):
        np.testing.assert_allclose(found[k], o.detach().numpy(), rtol=sample.rtol / 10, atol=1e-12, err_msg=f"{c.program}")
    for k, derived, autograd in gradients(c):
        np.testing.assert_allclose(derived, autograd, rtol=sample.rtol, atol=1e-11, err_msg=f"gradient of {k}\n{c.program}")


def test_every_overload_has_a_sample():
    without = [
        n for n, r in rows().items() if n.startswith("aten.") and not r.refused and not any(fits(n, s) for s in r.samples)
    ]
    assert not without


@pytest.mark.parametrize("name", [n for n, r in rows().items() if r.refused])
def test_a_refused_operator_says_why_and_what_instead(name):
    with pytest.raises(UnsupportedOperation, match=rows()[name].refused) as refusal:
        apply(rows()[name], Builder(), (), {}, name=name)
    assert refusal.value.operator == name and refusal.value.args[0].endswith(".")
