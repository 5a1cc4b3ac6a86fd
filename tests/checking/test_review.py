"""What a review sees: GitHub's annotations, and SARIF whose replacements are the fix."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import torch

import derivcheck as dc
from derivcheck.checking.report.report import Report
from derivcheck.checking.report.review import RULES, SCHEMA, ReviewFinding, findings, gathered, github, sarif
from derivcheck.checking.report.row import FAULTS, Row
from derivcheck.files import marked, written_by_us

LAYER = """
import torch

def forward(x, w):
    return torch.tanh(x * w)

def backward(grad_output, x, w):
    g = grad_output * (1 - torch.tanh(x * w))
    return {"x": g * w, "w": (g * x).sum(0)}
"""


def checked(folder: Path, text: str) -> tuple[Report, Path]:
    path = folder / "a layer.py"
    path.write_bytes(text.encode())
    spec = importlib.util.spec_from_file_location("a_layer", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.manual_seed(0)
    return dc.check(module.forward, {"x": torch.randn(4, 3), "w": torch.randn(3)}, module.backward), path


def applied(text: str, replacements: list[Any]) -> str:
    """The text after the replacements, as SARIF means them."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for r in sorted(replacements, key=lambda r: -r["deletedRegion"]["startLine"]):
        d = r["deletedRegion"]
        first, last = (starts[d[f"{end}Line"] - 1] + d[f"{end}Column"] - 1 for end in ("start", "end"))
        text = text[:first] + r.get("insertedContent", {"text": ""})["text"] + text[last:]
    return text


@pytest.mark.parametrize("text", [LAYER, LAYER.replace("\n", "\r\n")], ids=["lf", "crlf"])
def test_the_replacements_are_the_fix(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report, path = checked(tmp_path, text)
    log = json.loads(sarif(findings(report)))
    (run,) = log["runs"]
    first = run["results"][0]
    place = first["locations"][0]["physicalLocation"]
    assert place["region"]["startLine"] == 8 and unquote(place["artifactLocation"]["uri"]) == "a layer.py"
    assert place["artifactLocation"]["uriBaseId"] == "%SRCROOT%" and first["level"] == "error"
    (change,) = first["fixes"][0]["artifactChanges"]
    before = path.read_bytes().decode()
    fix = report["x"].fix
    fix.write()
    assert applied(before, change["replacements"]) == path.read_bytes().decode() != before


def test_lines_that_go_take_their_end_with_them() -> None:
    edit = {"file": "f.py", "line": 2, "old": "b\nc", "new": ""}
    (result,) = json.loads(sarif([ReviewFinding("wrong", True, "t", "m", "f.py", 2, [edit], "w")]))["runs"][0]["results"]
    assert applied("a\nb\nc\nd\n", result["fixes"][0]["artifactChanges"][0]["replacements"]) == "a\nd\n"


def test_the_log_has_what_the_schema_asks_for(tmp_path: Path) -> None:
    every = [ReviewFinding(rule, rule in FAULTS, "t", "m", "f.py" if k else "", k) for k, rule in enumerate(RULES)]
    text = sarif(every)
    log = json.loads(text)
    assert log["$schema"] == SCHEMA and log["version"] == "2.1.0" and set(log) == {"$schema", "version", "runs"}
    driver, results = log["runs"][0]["tool"]["driver"], log["runs"][0]["results"]
    assert [driver["rules"][r["ruleIndex"]]["id"] for r in results] == [r["ruleId"] for r in results]
    assert all(re.fullmatch("[a-z-]+", r["ruleId"]) and r["message"]["text"] for r in results)
    assert [r["level"] for r in results] == ["error" if f.sure else "warning" for f in every]
    assert "locations" not in results[0], "no place is no location"
    assert set(RULES) >= {*FAULTS, "vacuous", "undecided", "not reproduced", "right but ill-conditioned"}
    (tmp_path / "log.sarif").write_text(marked(text, "sarif"))
    assert written_by_us(tmp_path / "log.sarif")
    assert set(json.loads((tmp_path / "log.sarif").read_text())) == {"$schema", "version", "runs", "properties"}
    assert json.loads(sarif([]))["runs"][0]["results"] == []


def test_annotations_are_one_line_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report, _ = checked(tmp_path, LAYER)
    lines = github(findings(report)).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("::error file=a layer.py,line=8,title=forward%3A x%3A wrong::x: wrong in ")
    assert "%0A+     g = " in lines[0] and "proved for every" in lines[0]
    odd = github([ReviewFinding("vacuous", False, "a,b:c", "50%\r\nx")])
    assert odd == "::warning title=a%2Cb%3Ac::50%25%0D%0Ax"


def test_what_passes_is_no_finding_and_a_place_is_given_where_no_line_is_known() -> None:
    report = Report("f", [Row("x"), Row("w", "missing", note="the backward returned no gradient for w")])
    (found,) = findings(report, ("f.py", 3))
    assert (found.rule, found.file, found.line, found.sure) == ("missing", "f.py", 3, True)
    assert list(gathered(json.loads(json.dumps([found.to_dict()])))) == [
        ReviewFinding(found.rule, True, found.title, found.message, "f.py", 3, [], "")
    ]
