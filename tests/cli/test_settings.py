"""``[tool.derivcheck]`` of pyproject.toml, completion in shells, and the page that lists every option."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from derivcheck.cli.app import app
from derivcheck.cli.settings import read_settings
from tests.cli.invoking import SQUARE, invoke

COMMANDS = {str(c.name): c.callback for c in app.registered_commands if c.callback is not None}
PAGE = (Path(__file__).parents[2] / "docs" / "command.md").read_text(encoding="utf-8")


def settings(folder: Path, text: str) -> dict[str, dict[str, object]]:
    (folder / "pyproject.toml").write_text(text)
    return read_settings(folder, COMMANDS)


def checked(*words: str) -> dict[str, object]:
    result = invoke("check", *SQUARE, "--json", *words)
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def test_the_file_is_found_above_and_the_command_line_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.derivcheck]\nseed = 7\n[tool.derivcheck.check]\ndtype = 'float32'\n")
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.other]\nseed = 8\n")  # says nothing of derivcheck
    monkeypatch.chdir(inner)
    report = checked()
    assert (report["seed"], report["dtype"]) == (7, "float32")
    assert checked("--seed", "1")["seed"] == 1
    unread = invoke("--no-config", "check", *SQUARE, "--json")
    assert json.loads(unread.stdout)["seed"] == 0


def test_a_flag_can_be_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.derivcheck.check]\nstrict = true\n")
    assert checked()["strict"] is True
    assert checked("--no-strict")["strict"] is False


def test_a_commands_own_table_wins_and_paths_are_the_files(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        "[tool.derivcheck]\nseed = 1\nepochs = 5\n[tool.derivcheck.run]\nseed = 2\nout = 'there'\n"
        "batch_size = 4\ntarget = ['a', 'b']\nlr = 1\n",
    )
    assert found["check"] == {"seed": 1} and found["derive"] == {}
    assert found["run"] == {
        "seed": 2, "epochs": 5, "out": str(tmp_path / "there"), "batch_size": 4, "target": ["a", "b"], "lr": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[tool.derivcheck]\nsede = 1", "has 'sede', which is not an option of any command; did you mean 'seed'?"),
        ("[tool.derivcheck.check]\nepochs = 1", "which is not an option of derivcheck check; --help lists them"),
        ("[tool.derivcheck.chek]\nseed = 1", "has 'chek', which is not an option of any command; did you mean 'check'?"),
        ("[tool.derivcheck]\nforce = true", "has 'force', which is asked for each time, on the command line"),
        ("[tool.derivcheck.check]\nwrite = true", "has 'write', which is asked for each time"),
        ("[tool.derivcheck]\nseed = 'one'", "[tool.derivcheck] seed is 'one'; expected a whole number"),
        ("[tool.derivcheck]\nseed = true", "[tool.derivcheck] seed is True; expected a whole number"),
        ("[tool.derivcheck.run]\nlr = '0.1'", "[tool.derivcheck.run] lr is '0.1'; expected a number"),
        ("[tool.derivcheck.check]\nstrict = 1", "strict is 1; expected true or false"),
        ("[tool.derivcheck.run]\ntarget = [1]", "target is 1; expected a list of texts"),
        ("[tool.derivcheck.run]\nout = 3", "out is 3; expected a path"),
        ("[tool.derivcheck.check]\ndtype = 'flaot32'", "did you mean 'float32'?"),
        ("[tool.derivcheck", "is no TOML"),
        ("[tool]\nderivcheck = 3", "tool.derivcheck is 3; expected a table of options, [tool.derivcheck]"),
    ],
)  # fmt: skip
def test_what_the_file_cannot_say_is_one_sentence(
    text: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(text)
    result = invoke("check", *SQUARE)
    assert result.exit_code == 2 and sentence in result.stderr, result.output
    assert result.stderr.startswith(f"derivcheck: {tmp_path / 'pyproject.toml'}") and result.stderr.count("\n") == 1
    assert invoke("check", "--help").exit_code == 2 or "Usage" in invoke("--help").output


def test_other_files_say_nothing(tmp_path: Path) -> None:
    assert settings(tmp_path, "tool = 3") == {} and settings(tmp_path, "[project]\nname = 'x'") == {}


def options(command: str) -> set[str]:
    found = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    return {o for p in found if p.param_type_name == "option" for o in (*p.opts, *p.secondary_opts)} - {"--help", "-h"}


def undocumented(page: str) -> list[str]:
    """The options that do not stand in their command's section."""
    sections = dict(re.findall(r"^## derivcheck (\w+)\n(.*?)(?=^## |\Z)", page, re.M | re.S))
    return [f"{c} {o}" for c in COMMANDS for o in options(c) if not re.search(rf"`{o}[ `]", sections.get(c, ""))]


def test_every_option_stands_on_the_page() -> None:
    assert undocumented(PAGE) == []
    assert undocumented(PAGE.replace("`--junit FILE.xml`", "")) == ["check --junit"]
    assert len(undocumented(PAGE.replace("## derivcheck prove", "## prove"))) == len(options("prove"))


def asked(shell: str, line: str) -> str:
    """What the command answers where a shell asks what may follow."""
    words = line.split(" ")
    how = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    how |= {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    environment = {**os.environ, **how, "_DERIVCHECK_COMPLETE": f"complete_{shell}"}
    code = "import sys; sys.argv[0] = 'derivcheck'; from derivcheck.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True).stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    result = invoke("completion", shell)
    assert result.exit_code == 0 and f"_DERIVCHECK_COMPLETE=complete_{shell}" in result.output
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=result.output, text=True).returncode == 0
        assert asked(shell, "derivcheck chec").split() == ["check"]
    found = asked(shell, "derivcheck check --d")
    assert all(o in found for o in ("--dims", "--dtype", "--device")) and "--epochs" not in found


def test_a_shell_that_is_not_known() -> None:
    assert invoke("completion", "tcsh").exit_code == 2
