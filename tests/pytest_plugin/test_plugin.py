"""The plugin as a user's test suite meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import derivcheck as dc

pytest_plugins = "pytester"

LAYER = """
import torch

class Square(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return x * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        return {factor} * x * grad_output
"""


def project(folder: Path, factor: int, test: str) -> Path:
    (folder / "layer.py").write_text(LAYER.replace("{factor}", str(factor)))
    (folder / "test_layer.py").write_text("import pytest, torch\nfrom layer import Square\n" + test)
    return folder


def run(folder: Path, *options: str) -> tuple[int, str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-q",
        "--rootdir",
        str(folder),
        *options,
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def loaded() -> None:
    """All that a check loads stays loaded: a run inside this one takes back what it imports, which torch does not."""
    dc.check(torch.nn.Linear(2, 1), {"input": torch.randn(3, 2)})


@pytest.fixture
def inside(loaded: None, pytester: pytest.Pytester) -> Callable[..., tuple[int, str]]:
    """As :func:`run`, within this process: torch need not be imported again."""

    def inner(folder: Path, *options: str) -> tuple[int, str]:
        result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-q", "--rootdir", folder, *options, folder)
        return int(result.ret), result.stdout.str() + result.stderr.str()

    return inner


ONE = "def test_square(check_gradients):\n    check_gradients(Square, {'x': torch.randn(5)})\n"


def test_a_right_backward_passes(inside: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    code, out = inside(project(tmp_path, 2, ONE))
    assert code == 0, out


def test_a_wrong_backward_fails_with_its_report_instead_of_a_stack(
    inside: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    code, out = inside(project(tmp_path, 3, ONE))
    assert code == 1
    assert "Square" in out and "x: wrong" in out
    assert "Traceback" not in out and "derivcheck/checking" not in out
    assert "test_layer.py:4: check_gradients(Square" in out
    assert len(out[: out.index("short test summary")].splitlines()) < 25


def test_the_marker_runs_every_combination(inside: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    test = (
        "@pytest.mark.gradients(dtypes=['float64', 'float32'], layouts=['contiguous', 'transposed'], shapes=[(5, 3), (1, 7)])\n"
        "def test_square(check_gradients, gradient_variant):\n"
        "    x = gradient_variant.randn()\n"
        "    assert x.dtype == gradient_variant.torch_dtype and x.shape == gradient_variant.shape\n"
        "    assert check_gradients(Square, {'x': x}).dtype == gradient_variant.dtype\n"
    )
    code, out = inside(project(tmp_path, 2, test), "-vv")
    assert code == 0, out
    assert "8 passed" in out
    assert "test_square[float32-5x3-transposed]" in out


def test_a_device_that_is_not_there_is_skipped_with_the_reason(inside: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    test = "@pytest.mark.gradients(devices=['cpu', 'cuda'])\n" + ONE
    code, out = inside(project(tmp_path, 2, test), "-rs")
    assert code == 0
    assert "1 passed, 1 skipped" in out and "no cuda device" in out


def test_a_misspelt_marker_is_refused(inside: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    code, out = inside(project(tmp_path, 2, "@pytest.mark.gradients(dtype=['float32'])\n" + ONE))
    assert code != 0
    assert "dtypes, devices, shapes, layouts" in out and "found dtype" in out


def test_reports_of_a_run_are_collected(tmp_path: Path) -> None:  # with pytest-xdist: release/test_suites.py
    collected(tmp_path)


def collected(tmp_path: Path, *workers: str) -> None:
    """The reports of a run of two tests, in one process or in several."""
    test = (
        "@pytest.mark.parametrize('n', [2, 3])\n"
        "def test_square(check_gradients, n):\n    check_gradients(Square, {'x': torch.randn(n)})\n"
    )
    code, out = run(project(tmp_path, 3, test), "--derivcheck-report", "out/gradients.json", *workers)
    assert code == 1, out
    reports = json.loads((tmp_path / "out" / "gradients.json").read_text())["reports"]
    assert sorted(r["test"] for r in reports) == ["test_layer.py::test_square[2]", "test_layer.py::test_square[3]"]
    assert all(r["gradients"][0]["verdict"] == "wrong" for r in reports)
    html = (tmp_path / "out" / "gradients.html").read_text()
    assert "0 of 2 hold" in html and "test_square[3]" in html
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["gradients.html", "gradients.json"]


def test_the_report_overwrites_nothing_but_an_earlier_report(tmp_path: Path) -> None:
    (tmp_path / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
    words = ("--derivcheck-report", "report.json")
    assert run(tmp_path, *words)[0] == run(tmp_path, *words)[0] == 0
    (tmp_path / "report.html").write_text("mine")
    code, out = run(tmp_path, *words)
    assert code == pytest.ExitCode.USAGE_ERROR and "Traceback" not in out
    assert "report.html is there and was not written by derivcheck; name another file with --derivcheck-report" in out
    assert (tmp_path / "report.html").read_text() == "mine"


def test_the_plugin_costs_nothing_until_used(tmp_path: Path) -> None:
    (tmp_path / "test_nothing.py").write_text(
        "import sys\n"
        "def test_nothing():\n    assert not {'torch', 'sympy', 'matplotlib', 'derivcheck.errors'} & set(sys.modules)\n"
    )
    code, out = run(tmp_path)
    assert code == 0, out


def test_the_plugin_is_an_entry_point() -> None:
    from importlib.metadata import entry_points

    found = [e.value for e in entry_points(group="pytest11") if e.name == "derivcheck"]
    assert found == ["derivcheck.pytest_plugin"]


def test_what_is_refused_is_its_sentence_in_the_failure(inside: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    branch = "def test_it(check_gradients):\n    check_gradients(lambda x: x if x.sum() > 0 else 2*x, {'x': torch.randn(5)})\n"
    nothing = "def test_nan(check_gradients):\n    check_gradients(torch.sin, {'input': torch.full((3,), float('nan'))})\n"
    code, out = inside(project(tmp_path, 2, branch + nothing))
    assert code == 1 and "2 failed" in out
    assert "UnsupportedOperation: aten." in out and "InputError: input is NaN at [0] (3 such of 3)" in out
    assert "test_layer.py:4: check_gradients(" in out
    assert "Traceback" not in out and "derivcheck/tracing" not in out and "def check(" not in out


RUNS = "def test_square():\n    Square.apply(torch.randn(5, requires_grad=True)).sum().backward()\n"


def test_an_audit_checks_what_the_suite_runs(tmp_path: Path) -> None:
    code, out = run(project(tmp_path, 3, RUNS), "--derivcheck-audit")
    assert code == 1 and "1 passed" in out, out
    assert "the test suite: 1 backward pass, 1 hand-written backward: 1 wrong" in out
    assert "line layer.py:16: `return 3 * x * grad_output`" in out


def test_a_log_for_a_review(tmp_path: Path) -> None:
    log = tmp_path / "out.sarif"
    code, out = run(project(tmp_path, 3, ONE), "--derivcheck-sarif", str(log), "-n", "1")
    assert code == 1, out
    (result,) = json.loads(log.read_text())["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "layer.py"
    assert "x * 2 * grad_output" in json.dumps(result["fixes"]), result
    (tmp_path / "mine.sarif").write_text("{}")
    code, out = run(tmp_path, "--derivcheck-sarif", str(tmp_path / "mine.sarif"), "--collect-only")
    assert code == 4 and "was not written by derivcheck" in out
