"""A hundred of the cases of ``benchmarks/textbook_forms.py``: each form is right, and a hundred bounds off it is not."""

from __future__ import annotations

import pytest

from benchmarks.textbook_forms import DEVIATIONS, FORMS, TYPES, checked

CASES = [
    *((k, "float64", DEVIATIONS["float64"][k % 5]) for k in range(len(FORMS))),
    *((k, "float32", DEVIATIONS["float32"][(k // 5) % 5]) for k in range(0, len(FORMS), 5)),
    *((k, "bfloat16", DEVIATIONS["bfloat16"][k % 3]) for k in range(2, len(FORMS), 10)),
]


def test_there_are_enough_of_them() -> None:
    assert len(FORMS) >= 60 and len({f.function for f in FORMS}) >= 30 and len(CASES) >= 100


@pytest.mark.parametrize("k, dtype, deviation", CASES, ids=[f"{FORMS[k].name}, {d}, {s:g}" for k, d, s in CASES])
def test_a_textbook_s_form(k: int, dtype: str, deviation: float) -> None:
    form = FORMS[k]
    report = checked(form, TYPES[dtype], deviation, seed=k % 8)
    assert all(r.verdict in ("passed", "right but ill-conditioned") for r in report), str(report)
    seen = max(report[n].sensitivity for n in form.wrt)
    wrong = checked(form, TYPES[dtype], deviation, seed=k % 8, off=100 * seen)
    assert not wrong.passed, f"{100 * seen:.1e} off, and passes"
