"""The gradient that a textbook gives for an operator is proved to be the derived one; a wrong textbook is not."""

from __future__ import annotations

import inspect

import pytest

import derivcheck as dc
from derivcheck.errors import InputError
from derivcheck.notation.program.program import Program
from derivcheck.operators.language.row import Like, OperatorRow, rows
from tests.operators.rows_on_numbers import case, fits

TEXTBOOKS = {n: r for n, r in rows().items() if r.textbook and n == r.names[0]}


def forwards(name: str, row: OperatorRow) -> list[Program]:
    """The row on its samples with every flag at its default, inputs named as the operator's parameters."""
    found = []
    parameters = list(inspect.signature(row.means).parameters)[1:]
    for s in row.samples:
        if fits(name, s) and not s.kwargs:
            program = case(row, name, s).program
            given = [p for p, a in [*zip(parameters, s.args), *s.kwargs.items()] if isinstance(a, Like)]
            found.append(program.rename(dict(zip(program.inputs, given, strict=True))))
    return found


def statuses(name: str, row: OperatorRow, text: str) -> list[str]:
    """What the textbook is on each sample whose ranks and inputs are the text's."""
    found = []
    for program in forwards(name, row):
        try:
            found.append(dc.prove(program, text).status)
        except InputError:
            continue
    return found


@pytest.mark.parametrize("name", TEXTBOOKS)
def test_a_textbook_gradient_is_proved(name: str) -> None:
    found = statuses(name, TEXTBOOKS[name], TEXTBOOKS[name].textbook)
    assert "proved" in found and "refuted" not in found, found


@pytest.mark.parametrize("name", TEXTBOOKS)
def test_a_textbook_with_its_upstream_gradient_doubled_is_refuted(name: str) -> None:
    text = TEXTBOOKS[name].textbook
    wrong = text.replace("grad_output", "2*grad_output") if "grad_output" in text else text.replace("2*", "3*", 1)
    found = statuses(name, TEXTBOOKS[name], wrong)
    assert "refuted" in found, found  # where an axis has one element, softmax's gradient is 0 either way


def test_there_are_textbooks() -> None:
    assert len(TEXTBOOKS) >= 5
