"""What makes a search quick changes nothing of what it finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import derivcheck as dc
from derivcheck.checking.backward.claim import closed
from derivcheck.checking.backward.found import parse_backward
from derivcheck.derived import Derivation
from derivcheck.diagnosis.besides import _apart, _effect
from derivcheck.diagnosis.case import Drawn, case
from derivcheck.diagnosis.paths import edges
from derivcheck.diagnosis.repair.texts.index_text import IndexPiece, index_piece
from derivcheck.diagnosis.scene import Scene
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import mul, number

TEXT = "r[n] := y[n] - t[n]; g := grad_output/N\ny_bar[n] := 2*g*(r[n])\nt_bar[n] := -2*g*r[n]"


def piece() -> IndexPiece:
    d = dc.derive("L := sum(n: (y[n] - t[n])^2)/N", dims={"y": "N", "t": "N"})

    class Held:
        derivation: Derivation = d

    def parse(text: str) -> Program:
        return closed(Held, parse_backward(Held, text))  # type: ignore[arg-type]

    return index_piece(TEXT, parse, d)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2*g*(r[n])", "2*g*(y[n])"),  # one definition, which reads an input that it did not read before
        ("2*g*(r[n])", "-(2*g*(r[n]))"),
        ("- t[n]", "+ t[n]"),  # of two on a line the first
        ("grad_output/N", "grad_output"),  # and the second
        ("y[n] - t[n]; g := grad_output/N", "y[n]; g := grad_output"),  # two definitions at once
        ("r[n] := y[n] - t[n]", "r[n] := y[n] - t[n] + sum(m: y[m])"),
        ("t_bar[n] := -2*g*r[n]", "t_bar[n] := -2*g*r[n]\n"),
    ],
)
def test_an_edited_text_is_the_program_that_it_is_when_all_of_it_is_read(old: str, new: str) -> None:
    one = piece()
    text = TEXT.replace(old, new)
    assert text != TEXT
    with one.running(text):
        assert one.holder.text == text
        assert list(map(str, one.holder.program.definitions)) == list(map(str, one.holder.parse(text).definitions))
        assert set(one.holder.program.inputs) >= set(one.holder.parse(text).inputs)
    assert one.holder.text == TEXT and one.holder.program is one.program


@pytest.mark.parametrize("new", ["2*g*(r[n]", "2*g*(r[n + 1])", "2*g*(r)"])
def test_a_text_that_cannot_be_read_is_refused_as_before(new: str) -> None:
    one = piece()
    with pytest.raises(ValueError), one.running(TEXT.replace("2*g*(r[n])", new)):
        pass
    assert one.holder.program is one.program


def test_what_a_path_adds_is_the_same_beside_a_change_that_it_does_not_meet() -> None:
    forward = "a[n] := exp(x[n]); b[n] := sin(x[n]); c[n] := cos(b[n]); L := sum(n: a[n]^2 + b[n]^3*c[n])"
    d = dc.derive(forward, dims={"x": "N"})
    drawn = Drawn({"x": torch.linspace(-1, 1, 4).double()}, {"grad_output": torch.tensor(1.5).double()})
    scene = Scene(case("x", d.program, d.adjoint, drawn, lambda i, u: {"x": i["x"]}))
    found = {True: 0, False: 0}
    for edge in edges(scene):
        alone = _effect(scene, edge, {}, scene.right)
        for other in scene.program.definitions:
            if other.name == edge.definition.name or other.name in d.program.names:
                continue
            terms = {other.name: mul(number(3), other.term)}
            before = scene.changed(terms)
            assert before is not None and alone is not None
            beside = _effect(scene, edge, terms, before)
            same = beside is not None and np.allclose(beside, alone)
            found[_apart(scene, edge, terms)] += 1
            assert same or not _apart(scene, edge, terms)
    assert found[True] and found[False]


FORWARD = "__device__ float f(float x, float w, float b) { return w * x * x + b * x; }\n"
BACKWARD = "__device__ void f_vjp(float x, float w, float b, float v_result, float& v_x) {{\n    v_x = v_result * ({});\n}}\n"


def test_an_edit_may_read_a_parameter_that_nothing_read(tmp_path: Path) -> None:
    (tmp_path / "f.cu").write_text(FORWARD)
    (tmp_path / "b.cu").write_text(BACKWARD.format("2.f * w * x + x"))
    fix = dc.prove(dc.cuda(tmp_path / "f.cu", "f"), dc.cuda(tmp_path / "b.cu", "f_vjp")).fix
    assert fix is not None and "2.f * w * x + b" in fix.edits[0].new


def test_a_line_is_named_where_no_reason_is_known() -> None:
    """A search gives the line, though neither a cause nor an edit is found; the same lines are said once."""
    forward = "h[n] := exp(x[n]); L := sum(n: h[n]*sin(h[n]*y[n]))"
    right = "y_bar[n] := grad_output*exp(2*x[n])*cos(exp(x[n])*y[n])"
    wrong = f"s[n] := grad_output*atan(x[n]*y[n]^3 + 5)\nx_bar[n] := s[n]*exp(x[n])\n{right}"
    proof = dc.prove(forward, wrong, dims={"x": "N", "y": "N"})
    assert proof.status == "refuted" and proof.fix is None
    assert "line index text:" in str(proof)
