"""Verdicts that one run of a suite leaves to the next."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import derivcheck as dc
from derivcheck import pytest_plugin
from derivcheck.pytest_plugin.verdicts import Verdicts

pytest_plugins = ["pytester"]

HELPERS = "SCALE = 2.0\ndef scale(x):\n    return x * SCALE\n"
TESTS = """
import pytest, torch
from helpers import scale, SCALE

def f(x):
    return scale(x * x)
def backward(grad_output, x):
    return {"x": FACTOR * SCALE * x * grad_output}
FACTOR = 2

def test_seeded(check_gradients):
    report = check_gradients(f, {"x": torch.arange(1.0, 4.0)}, backward)
    assert report.passed and report["x"].passed and report.sizes == {"N": 3}

@pytest.mark.parametrize("n", [2, 3])
def test_drawn(check_gradients, n):
    check_gradients(f, {"x": torch.randn(n)}, backward)

def test_module(check_gradients):
    check_gradients(torch.nn.Linear(2, 1), {"input": torch.randn(3, 2)})
"""


@pytest.fixture(scope="module")
def loaded() -> None:
    """All that a check loads stays loaded: a run inside this one takes back what it imports, which torch does not."""
    dc.check(torch.nn.Linear(2, 1), {"input": torch.randn(3, 2)})


@pytest.fixture
def suite(loaded: None, pytester: pytest.Pytester) -> Iterator[pytest.Pytester]:
    pytester.makepyfile(helpers=HELPERS, test_layer=TESTS)
    pytester.syspathinsert()
    yield pytester


def run(suite: pytest.Pytester, *options: str, fails: int = 0) -> tuple[int, int]:
    """How many verdicts were remembered, of how many."""
    result = suite.runpytest_inprocess("-q", "-p", "no:randomly", *options)
    assert result.parseoutcomes().get("failed", 0) == fails, result.stdout.str()
    found = re.search(r"derivcheck: (\d+) of (\d+) verdicts were remembered", result.stdout.str())
    return (int(found[1]), int(found[2])) if found else (0, 0)


def edit(suite: pytest.Pytester, file: str, old: str, new: str) -> None:
    path = suite.path / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    for compiled in suite.path.rglob("*.pyc"):
        compiled.unlink()


def test_an_unchanged_suite_is_not_checked_again(suite: pytest.Pytester) -> None:
    assert run(suite) == (0, 4)
    assert run(suite, "--derivcheck-report", "r.json") == (4, 4)
    reports = json.loads((suite.path / "r.json").read_text())["reports"]
    assert all("remembered from an earlier run of the tests" in r["notes"][-1] for r in reports) and len(reports) == 4
    assert run(suite, "--derivcheck-no-cache") == (0, 0)
    assert run(suite, "-p", "no:cacheprovider") == (0, 0)
    assert run(suite, "-k", "seeded") == (1, 1) and run(suite) == (4, 4), "what is not run is not forgotten"
    assert run(suite, "--cache-clear") == (0, 4)


def test_a_changed_helper_or_constant_is_checked_again_and_a_failure_is_never_remembered(suite: pytest.Pytester) -> None:
    assert run(suite) == (0, 4)
    edit(suite, "helpers.py", "return x * SCALE", "return x * SCALE * x.detach()")
    assert run(suite, fails=3)[0] <= 1
    assert run(suite, fails=3) == (1, 4), "a failure is not remembered"
    edit(suite, "helpers.py", "return x * SCALE * x.detach()", "return x * SCALE")
    assert run(suite) == (4, 4), "as it was"
    edit(suite, "test_layer.py", "FACTOR = 2", "FACTOR = 3")
    assert run(suite, fails=3)[0] <= 1


def test_other_data_are_checked_again(suite: pytest.Pytester) -> None:
    assert run(suite) == (0, 4)
    edit(suite, "test_layer.py", "torch.randn(n)}", "-torch.rand(n)}")
    assert run(suite) == (2, 4)
    edit(suite, "test_layer.py", "arange(1.0, 4.0)", "arange(2.0, 5.0)")
    assert run(suite) == (3, 4)
    (suite.path / "conftest.py").write_text("import torch\n")
    assert run(suite) == (0, 4)
    torch.set_default_dtype(torch.float64)
    try:
        assert run(suite) == (0, 4)
    finally:
        torch.set_default_dtype(torch.float32)


def test_what_a_test_draws_again_and_again_is_checked_each_time(suite: pytest.Pytester) -> None:
    """The calls of one test are not one call; what another fixture gives counts."""
    suite.makepyfile(
        test_layer="""
        import pytest, torch
        from helpers import scale
        @pytest.fixture
        def sign():
            return 1.0
        def f(x):
            return scale(x)
        def test_loop(check_gradients, sign):
            for _ in range(3):
                check_gradients(f, {"x": sign * torch.randn(2)})
        """
    )
    assert run(suite) == (0, 3)
    assert run(suite) == (3, 3)
    edit(suite, "test_layer.py", "return 1.0", "return -1.0")
    assert run(suite) == (0, 3)


def test_what_is_not_sure_is_said(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        test_layer="""
        import os, torch
        def f(x):
            return x * float(os.environ.get("FACTOR", "2"))
        def test_environment(check_gradients):
            check_gradients(f, {"x": torch.ones(2)})
        def test_patched(check_gradients, monkeypatch):
            check_gradients(torch.sin, {"input": torch.ones(2)})
        """
    )
    assert run(suite) == (0, 2) and run(suite) == (0, 2)
    shown = suite.runpytest_inprocess("-v").stdout.str()
    assert "2 tests cannot be remembered" in shown
    assert "test_layer.py::test_environment: os" in shown and "test_layer.py::test_patched: it uses monkeypatch" in shown


@pytest.mark.parametrize("text", ["[]", "{", '{"a": 3}', '{"a": {"day": 1}}', '{"a": {"day": 1, "same": "b"}}'])
def test_a_damaged_file_is_as_good_as_none(text: str, suite: pytest.Pytester) -> None:
    file = suite.path / ".pytest_cache" / "v" / "derivcheck" / "verdicts"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert run(suite, "-k", "seeded") == (0, 1) and run(suite, "-k", "seeded") == (1, 1)


def test_workers_hand_on_what_they_found(pytestconfig: pytest.Config) -> None:
    """What a worker sends is plain data, and counts."""
    worker = Verdicts({}, {"a": {"day": 1, "report": {}}}, {"test_x": "os"}, remembered=2, asked=3)
    sent = json.loads(json.dumps(worker.to_dict()))
    ours = Verdicts({"b": {"day": 0}}, asked=1)
    ours.add(sent)
    assert (ours.remembered, ours.asked, list(ours.kept()), ours.unsure) == (2, 4, ["b", "a"], {"test_x": "os"})
    node = types.SimpleNamespace(config=pytestconfig, workeroutput={"derivcheck_verdicts": [sent]})
    heard = pytestconfig.stash[pytest_plugin._HEARD]
    before = list(heard)
    pytest_plugin.pytest_testnodedown(node, None)
    assert heard.pop() == sent and heard == before


def test_hypothesis_draws_its_own_data(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        test_layer="""
        import torch
        from hypothesis import HealthCheck, given, settings, strategies as st
        @settings(max_examples=1, suppress_health_check=list(HealthCheck), deadline=None, database=None)
        @given(n=st.integers(1, 3))
        def test_it(check_gradients, n):
            check_gradients(torch.sin, {"input": torch.ones(n)})
        """
    )
    remembered, asked = run(suite)
    assert (remembered, asked > 0) == (0, True) and run(suite)[0] == 0


def test_verdicts_of_old_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("derivcheck.pytest_plugin.verdicts.KEPT", 2)
    v = Verdicts({"a": {"day": 1}, "b": {"day": 3}}, fresh={"c": {"day": 2}})
    assert list(v.kept()) == ["c", "b"]


def test_the_file_is_where_pytest_keeps_its_own(suite: pytest.Pytester) -> None:
    run(suite, "-k", "seeded")
    assert (Path(suite.path) / ".pytest_cache" / "v" / "derivcheck" / "verdicts").is_file()
