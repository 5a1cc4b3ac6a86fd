"""Rows take the arguments of torch's schemas, in order and by name, with torch's defaults."""

from __future__ import annotations

import inspect
from fractions import Fraction
from typing import Any

import pytest
import torch

from derivcheck.operators.language.row import rows
from tests.operators.rows_on_numbers import overload

MADE = {"dtype", "layout", "device", "pin_memory", "memory_format", "non_blocking", "generator", "copy"}  # the tracer's matter
NAMES = [n for n, r in rows().items() if n.startswith("aten.") and not r.refused]


def same(ours: Any, torch_s: Any) -> bool:
    if torch_s == "valid":  # a padding by name: none
        torch_s = 0
    if isinstance(ours, int) and isinstance(torch_s, list):  # one number for all dimensions
        return all(v == ours for v in torch_s)
    if isinstance(ours, (int, float, Fraction)) and isinstance(torch_s, (int, float)) and not isinstance(ours, bool):
        return abs(float(ours) - float(torch_s)) <= 1e-15 * abs(float(torch_s))
    return (
        list(ours) == list(torch_s)
        if isinstance(ours, (tuple, list)) and isinstance(torch_s, (tuple, list))
        else ours == torch_s
    )


@pytest.mark.parametrize("part", range(8))
def test_arguments(part: int) -> None:
    wrong = []
    for name in NAMES[part::8]:
        own = list(inspect.signature(rows()[name].means).parameters.values())[1:]
        if any(p.kind is p.VAR_POSITIONAL for p in own):
            continue
        open_ = any(p.kind is p.VAR_KEYWORD for p in own)
        by_name = {p.name: p for p in own}
        schema = overload(name)._schema.arguments
        for k, a in enumerate(schema):
            if a.name in MADE and (open_ or a.name not in by_name):
                continue
            if a.kwarg_only:
                found = by_name.get(a.name)
                if found is None and not open_:
                    wrong.append(f"{name}: keyword {a.name} is not taken")
            else:
                found = own[k] if k < len(own) else None
                if found is None or found.kind is found.KEYWORD_ONLY or found.kind is found.VAR_KEYWORD:
                    wrong.append(f"{name}: argument {k} ({a.name}) is not taken")
                    continue
            if found is not None and a.has_default_value() and found.default is not inspect.Parameter.empty:
                default = a.default_value
                if default is not None and found.default is not None and not same(found.default, default):
                    wrong.append(f"{name}: {a.name} defaults to {found.default}, torch's to {default}")
            if found is not None and a.has_default_value() and found.default is inspect.Parameter.empty:
                wrong.append(f"{name}: {a.name} has no default, torch's is {a.default_value}")
    assert not wrong, "\n".join(wrong)


def test_no_row_is_for_a_backward() -> None:
    assert not [n for n in rows() if "_backward" in n]


def test_every_row_names_an_operator_of_torch() -> None:
    for n in rows():
        if n.startswith("aten."):
            assert isinstance(overload(n), torch._ops.OpOverload), n
