"""``derivcheck audit``: a script is run as it is, what it runs is checked, and each way to end is a sentence."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from derivcheck.audit import asking
from derivcheck.cli.app import app
from tests.audit.scripts import LAYERS, TRAIN

Audit = Callable[..., Result]


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Audit]:
    """The command in a folder of its own; modules that its scripts import are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    before = set(sys.modules)
    yield lambda *words: CliRunner().invoke(app, ["audit", *words])
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def project(folder: Path, factor: int) -> None:
    (folder / "own_layers.py").write_text(LAYERS.replace("{factor}", str(factor)))
    (folder / "train.py").write_text(TRAIN.replace("{layers}", "own_layers"))


def test_a_wrong_backward_is_named_with_its_line_and_its_fix(tmp_path: Path, audit: Audit) -> None:
    project(tmp_path, 2)
    done = audit("train.py", "--html", "audit.html", "--", "a.pt")
    assert done.exit_code == 1, done.output
    assert "train.py: 2 backward passes, 1 hand-written backward: 1 wrong" in done.stdout
    assert "Cubed   own_layers.py:13   2 calls     wrong" in done.stdout
    assert "line own_layers.py:13: `return 2 * x * x * g`" in done.stdout
    assert "    -        return 2 * x * x * g" in done.stdout and "    +        return (" in done.stdout
    assert "Never reached: " in done.stdout and "Forgotten (own_layers.py:15)" in " ".join(done.stdout.split())
    assert "backward pass 2 of 2: 1 hand-written backward met" in done.stderr and "checking Cubed (1 of 1)" in done.stderr
    html = (tmp_path / "audit.html").read_text()
    assert "1 wrong" in html and '<span class="gone">-        return 2 * x * x * g</span>' in html and "Forgotten" in html


def test_the_run_is_the_one_without_and_what_holds_exits_with_0(tmp_path: Path, audit: Audit) -> None:
    project(tmp_path, 3)
    subprocess.run([sys.executable, "train.py", "plain.pt"], cwd=tmp_path, check=True, timeout=120)
    done = audit("train.py", "--steps", "9", "--json", "--", "audited.pt")
    assert done.exit_code == 0, done.output
    plain, audited = (torch.load(tmp_path / f"{n}.pt") for n in ("plain", "audited"))
    assert len(plain[0]) == len(audited[0]) == 3
    assert all(torch.equal(p, q) for a, b in zip(plain[0], audited[0]) for p, q in zip(a, b))
    assert torch.equal(plain[1], audited[1]) and plain[2:] == audited[2:], "the random states, too"
    told = json.loads(done.stdout)
    assert told["passed"] and told["backwards"][0]["verdict"] == "holds"
    assert told["notes"] == ["train.py ended after 3 of 9 backward passes"]


def test_a_module_is_run_as_python_runs_it(tmp_path: Path, audit: Audit) -> None:
    package = tmp_path / "own_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "train.py").write_text("import sys\nfrom . import told\nprint(__name__, __package__, sys.argv[1:], told.it)\n")
    (package / "told.py").write_text("it = 'told'\n")
    done = audit("-m", "own_package.train", "--", "--lr", "1")
    assert "__main__ own_package ['--lr', '1'] told" in done.stdout
    assert done.exit_code == 2 and "never called backward" in done.stdout


PASS = "import torch\ntorch.ones(2, requires_grad=True).sum().backward()\n"
ENDS = {
    "raises": (PASS + "raise ValueError('too bad\\nand more')", 2, "it.py raised ValueError: too bad at it.py:3, after 1 of"),
    "exits": (PASS + "import sys\nsys.exit(4)", 2, "it.py exited with status 4 at it.py:4, after 1 of 2 backward passes"),
    "exits with words": ("import sys\nsys.exit('no data')", 2, "it.py exited with 'no data' at it.py:2, before the first"),
    "ends early": (PASS, 0, "it.py ended after 1 of 2 backward passes"),
    "leaves early": (PASS + "raise SystemExit", 0, "it.py ended after 1 of 2 backward passes"),
    "no backward": ("import torch", 2, "it.py ended and never called backward in this process: give it arguments with which"),
    "interrupted": (PASS + "raise KeyboardInterrupt", 130, "it.py was interrupted at it.py:3, after 1 of 2 backward passes"),
    "no Python": ("x = = 1", 2, "it.py raised SyntaxError: invalid syntax"),
}


@pytest.mark.parametrize("end", ENDS)
def test_each_bad_end_is_a_sentence(end: str, tmp_path: Path, audit: Audit) -> None:
    script, code, sentence = ENDS[end]
    (tmp_path / "it.py").write_text(script)
    done = audit("it.py")
    assert done.exit_code == code, done.output
    assert sentence in " ".join(done.stdout.split()) and "Traceback" not in done.output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nothing.py"], "there is no script nothing.py; name a Python file, or a module with -m"),
        (["."], ". is a folder; name a script in it, or a package with -m"),
        (["-m", "not_there.train"], "there is no module not_there.train: No module named 'not_there'"),
        (["-m", "not_there"], "there is no module not_there; name one that `python -m not_there` would run"),
        (["-m", "email"], "email is a package without __main__; name a module in it"),
        ([], "name a script to audit, as in derivcheck audit train.py -- --epochs 1, or a module with -m"),
    ],
)
def test_what_is_not_there_is_said_before_anything_runs(words: list[str], sentence: str, audit: Audit) -> None:
    done = audit(*words)
    assert done.exit_code == 2 and f"derivcheck: {sentence}" in done.stderr and not done.stdout


def test_a_page_of_somebody_else_is_not_overwritten(tmp_path: Path, audit: Audit) -> None:
    (tmp_path / "it.py").write_text("print('it ran')")
    (tmp_path / "page.html").write_text("mine")
    done = audit("it.py", "--html", "page.html")
    assert done.exit_code == 2 and "was not written by derivcheck" in done.stderr and "it ran" not in done.stdout
    assert audit("it.py", "--html", "it.py", "--force").exit_code == 2, "nor is the script"


CALLS = "import torch\nfrom own_layers import cubed\ncubed(torch.ones(2, requires_grad=True)).sum().backward()\n"


def test_what_was_seen_is_told_where_the_run_is_interrupted(tmp_path: Path, audit: Audit) -> None:
    project(tmp_path, 2)
    (tmp_path / "it.py").write_text(CALLS + "raise KeyboardInterrupt")
    done = audit("it.py")
    assert done.exit_code == 130
    assert "Cubed" in done.stdout and "not checked" in done.stdout and "interrupted" in done.stdout


def test_ctrl_c_in_the_checks_prints_what_is_there(tmp_path: Path, audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path, 3)
    (tmp_path / "it.py").write_text(CALLS + "import own_layers\nown_layers.Forgotten.apply(torch.ones(1, requires_grad=True))")
    real, asked = asking.check, list[Any]()

    def check(forward: Any, *args: Any, **how: Any) -> Any:
        asked.append(forward)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return real(forward, *args, **how)

    monkeypatch.setattr(asking, "check", check)
    done = audit("it.py")
    assert done.exit_code == 130
    assert "1 not checked, 1 holds" in done.stdout and "the checks were interrupted" in done.stdout


def test_what_is_meant_to_be_so_is_allowed(tmp_path: Path, audit: Audit) -> None:
    (tmp_path / "it.py").write_text(
        "import torch\ndef reversing(g):\n    return -g\nx = torch.ones(3, requires_grad=True)\nx.register_hook(reversing)\n"
        "x.sum().backward()\n"
    )
    done = audit("it.py")
    assert done.exit_code == 1 and "hook reversing   it.py:2   1 call      wrong" in done.stdout
    assert "it changes the gradient: -1 times what arrives" in done.stdout
    done = audit("it.py", "--allow", "hook rev*")
    assert done.exit_code == 0 and "wrong, allowed" in done.stdout


def test_on_another_rank_nothing_is_told(tmp_path: Path, audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    project(tmp_path, 2)
    (tmp_path / "it.py").write_text(CALLS)
    done = audit("it.py")
    assert done.exit_code == 0 and not done.output
    (tmp_path / "it.py").write_text(CALLS + "raise ValueError('mine')")
    done = audit("it.py")
    assert done.exit_code == 2 and "rank 1: it.py raised ValueError: mine" in done.stderr
    monkeypatch.setenv("RANK", "0")
    assert "rank 0 of 2: what other ranks alone run was not seen" in audit("it.py").stdout


def test_what_is_compiled_is_said(tmp_path: Path, audit: Audit) -> None:
    (tmp_path / "it.py").write_text(
        "import torch\nf = torch.compile(lambda x: x.sin())\nf(torch.ones(2, requires_grad=True)).sum().backward()\n"
    )
    done = audit("it.py")
    assert "torch.compile at it.py:2: that code ran uncompiled" in " ".join(done.stdout.split())


ROOT = Path(__file__).parents[2]


def test_the_page_of_the_audit_shows_what_the_command_prints(audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "examples" / "audit")
    done = audit("train.py", "--", "--steps", "20")
    before, fix, after = done.stdout.partition("  fix: ")  # which of several right ones is found is a matter of seconds
    printed = [line.rstrip() for line in before.splitlines()]
    page = (ROOT / "docs" / "audit.md").read_text().splitlines()
    start = page.index("    $ derivcheck audit train.py -- --steps 20") + 1
    shown = [line.removeprefix("    ") for line in page[start : start + len(printed)]]
    assert [_figures_apart(line) for line in shown] == [_figures_apart(line) for line in printed]
    assert page[start + len(printed)].startswith("      fix: ") and "(proved for" in " ".join(after.split())
    assert "SwiGLU (fused.py:38)" in " ".join(after.split())
    sys.modules.pop("fused", None)


def _figures_apart(line: str) -> str:
    """Numbers with a point and places of elements differ in their last digits from machine to machine."""
    return re.sub(r"-?\d+\.\d+(e-?\d+)?|\[[\d, ]+\]|in \d+ of", "#", line)
