"""The commands about one TARGET, and what all commands have in common."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.invoking import DIMS, SQUARE, invoke

LINEAR = ["torch.nn:Linear(3, 2)", "--loss", "torch.nn:MSELoss"]

LAYERS = """
import torch

def forward(x, W, eps):
    return torch.tanh(x @ W.T) * eps

def right(grad_output, x, W, eps):
    g = grad_output * eps * (1 - torch.tanh(x @ W.T) ** 2)
    return {"x": g @ W, "W": g.T @ x}

def wrong(grad_output, x, W, eps):
    g = grad_output * (1 - torch.tanh(x @ W.T) ** 2)
    return {"x": g @ W, "W": g.T @ x}

class Tripled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 3 * x

    @staticmethod
    def backward(ctx, g):
        return 3 * g

class Forgotten(Tripled):
    @staticmethod
    def backward(ctx, g):
        return g

class Inside(torch.nn.Module):
    def forward(self, x):
        return Forgotten.apply(x)

def branching(x):
    return x if x.sum() > 0 else -x

class Scale(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(4))
    def forward(self, x):
        return x * self.w
"""


@pytest.fixture
def layers(tmp_path: Path) -> str:
    path = tmp_path / "layers.py"
    path.write_text(LAYERS)
    return str(path)


@pytest.mark.parametrize("command", ["run", "derive", "code", "check", "prove", "notes"])
def test_help_shows_an_example(command: str) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0 and f"Example: derivcheck {command}" in " ".join(result.output.split())
    assert max(map(len, result.output.splitlines())) <= 80


def test_help_lists_the_commands_and_the_exit_status() -> None:
    result = invoke("--help")
    assert all(c in result.output for c in ("run", "derive", "code", "check", "prove", "notes"))
    assert "0 holds, 1 a gradient is wrong, 2 bad usage or input, 3 undecided" in " ".join(result.output.split())
    assert "y[n] := x[n]^2" in result.output


def test_derive_prints_the_gradients() -> None:
    result = invoke("derive", *LINEAR)
    assert result.exit_code == 0, result.output
    assert "weight" in result.output or "∂" in result.output


def test_code_prints_python() -> None:
    result = invoke("code", *LINEAR)
    assert result.exit_code == 0
    compile(result.output, "gradients.py", "exec")
    assert "import torch" in result.output and "backward(" not in result.output


def test_code_writes_a_file(tmp_path: Path) -> None:
    result = invoke("code", *SQUARE, "--out", tmp_path / "new" / "square.py")
    assert result.exit_code == 0
    assert "import torch" in (tmp_path / "new" / "square.py").read_text()


@pytest.mark.parametrize(("format", "mark"), [("markdown", "$"), ("latex", r"\begin{document}"), ("html", "<math")])
def test_notes(format: str, mark: str, tmp_path: Path) -> None:
    result = invoke("notes", *LINEAR, "--format", format, "--out", tmp_path / "notes")
    assert result.exit_code == 0, result.output
    assert mark in (tmp_path / "notes").read_text(encoding="utf-8")


def test_one_gradient_explained(tmp_path: Path) -> None:
    result = invoke("notes", *LINEAR, "--explain", "weight")
    assert result.exit_code == 0 and "W[j,k] reaches L through ŷ[n,j] for every n" in result.output
    assert "影响 L" in invoke("notes", *LINEAR, "--explain", "weight", "--lang", "zh").output
    result = invoke("notes", *LINEAR, "--explain", "weight", "--out", tmp_path / "w.png")
    assert result.exit_code == 0 and (tmp_path / "w.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "mine.svg").write_text("mine")
    assert invoke("notes", *LINEAR, "--explain", "weight", "--out", tmp_path / "mine.svg").exit_code == 2
    assert (tmp_path / "mine.svg").read_text() == "mine"
    assert "gradients are" in invoke("notes", *LINEAR, "--explain", "q").output


def test_detail_of_notes() -> None:
    each, result = (invoke("notes", *LINEAR, "--detail", d).output for d in ("operators", "result"))
    assert len(result) < len(each)


def test_notes_in_scalars() -> None:
    result = invoke("notes", *LINEAR, "--style", "scalar", "--sizes", "in=2, out=2", "--format", "latex")
    assert result.exit_code == 0 and "w_{11} x_1 + w_{12} x_2 + b_1" in result.output


TEX = {  # what a program called xelatex does, by what it shows
    "writes": "printf '%s' '%PDF-1.5 ... %%EOF' > derivation.pdf",
    "stops": "echo '! LaTeX Error: File `ctex.sty'\"'\"' not found.'; exit 1",
    "says nothing": "exit 3",
}


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the only one in which programs are looked for."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def tex(folder: Path, does: str) -> None:
    (folder / "xelatex").write_text(f"#!/bin/sh\n{TEX[does]}\n")
    (folder / "xelatex").chmod(0o755)


def test_notes_as_a_pdf(programs: Path, tmp_path: Path) -> None:
    tex(programs, "writes")
    out = tmp_path / "notes.pdf"
    for _ in range(2):  # its own file is written again
        result = invoke("notes", *LINEAR, "--format", "pdf", "--out", out)
        assert result.exit_code == 0 and out.read_bytes().startswith(b"%PDF-1.5"), result.output
    out.write_bytes(out.read_bytes() + b"% more\n")
    result = invoke("notes", *LINEAR, "--format", "pdf", "--out", out)
    assert result.exit_code == 2 and "was changed since derivcheck wrote it" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("stops", "xelatex stopped: LaTeX Error: File `ctex.sty' not found; --format latex writes its input"),
        ("says nothing", "xelatex stopped: it said nothing; --format latex writes its input"),
        ("", "none of tectonic, latexmk, xelatex, lualatex, pdflatex is installed; install one, or write --format latex"),
    ],
)
def test_a_pdf_that_cannot_be_made(does: str, says: str, programs: Path, tmp_path: Path) -> None:
    if does:
        tex(programs, does)
    result = invoke("notes", *LINEAR, "--format", "pdf", "--out", tmp_path / "notes.pdf")
    assert result.exit_code == 2 and says in " ".join(result.output.split()), result.output
    assert not (tmp_path / "notes.pdf").exists()


def test_a_pdf_is_not_printed() -> None:
    result = invoke("notes", *LINEAR, "--format", "pdf")
    assert result.exit_code == 2 and "a PDF is written, not printed; name a file with --out" in " ".join(result.output.split())


def test_check_passes_and_fails(layers: str) -> None:
    good = invoke("check", f"{layers}:forward", "--backward", f"{layers}:right", *DIMS)
    assert good.exit_code == 0, good.output
    assert "passed" in good.output
    bad = invoke("check", f"{layers}:forward", "--backward", f"{layers}:wrong", *DIMS)
    assert bad.exit_code == 1 and "wrong" in bad.output and "Traceback" not in bad.output


def test_check_of_index_text() -> None:
    assert invoke("check", *SQUARE, "--backward", "x_bar[n] := 2*x[n]*grad_output[n]").exit_code == 0
    assert invoke("check", *SQUARE, "--backward", "x_bar[n] := x[n]*grad_output[n]").exit_code == 1


def test_check_of_a_module_at_chosen_sizes(layers: str) -> None:
    result = invoke("check", f"{layers}:Scale", "--dims", "x: N C", "--sizes", "N=3", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["passed"] and 3 in found["sizes"].values() and 4 in found["sizes"].values()


@pytest.mark.parametrize(("name", "code"), [("Tripled", 0), ("Forgotten", 1)])
def test_check_of_an_autograd_function(name: str, code: int, layers: str) -> None:
    result = invoke("check", f"{layers}:{name}", "--dims", "x: N C")
    assert result.exit_code == code, result.output


def test_a_size_of_the_module_itself_cannot_be_chosen(layers: str) -> None:
    result = invoke("check", f"{layers}:Scale", "--dims", "x: N C", "--sizes", "C=5")
    assert result.exit_code == 2 and "5" in result.stderr


def files(folder: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in folder.iterdir() if p.is_file()}


@pytest.mark.parametrize("force", [[], ["--force"]])
@pytest.mark.parametrize(
    "command",
    [
        ["code", "LAYERS:Tripled.forward", "--out", "LAYERS"],
        ["notes", "LAYERS:branching", "--dims", "x: N", "--out", "LAYERS"],
        ["notes", "torch.nn:Linear(3, 2)", "--loss", "LAYERS:Scale", "--out", "LAYERS"],
        ["check", "LAYERS:Forgotten", "--dims", "x: N", "--reproducer", "LAYERS"],
        ["check", *SQUARE, "--backward", "LAYERS:right", "--junit", "LAYERS"],
        ["check", *SQUARE, "--reference", "LAYERS:right", "--junit", "FOLDER/new.xml", "--reproducer", "LAYERS"],
    ],
    ids=lambda c: f"{c[0]} {c[-2]}",
)
def test_what_a_command_reads_is_never_written(command: list[str], force: list[str], layers: str, tmp_path: Path) -> None:
    before = files(tmp_path)
    words = [c.replace("LAYERS", layers).replace("FOLDER", str(tmp_path)) for c in command]
    result = invoke(*words, *force)
    assert result.exit_code == 2 and "layers.py is read by this command and is never overwritten" in result.stderr
    assert result.stderr.count("\n") == 1
    assert files(tmp_path) == before


def test_a_module_that_is_read_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name, its file is known once it is loaded; so is what it imports."""
    (tmp_path / "inner_layer.py").write_text("def f(x): return x*x\n")
    (tmp_path / "outer_layer.py").write_text("from inner_layer import f\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    before = files(tmp_path)
    for out in ("outer_layer.py", "inner_layer.py"):
        result = invoke("code", "outer_layer:f", "--dims", "x: N", "--out", out, "--force")
        assert result.exit_code == 2 and f"{out} is " in result.stderr and "never overwritten" in result.stderr
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    "command",
    [
        ["code", *SQUARE, "--out"],
        ["notes", *SQUARE, "--format", "latex", "--out"],
        ["notes", *SQUARE, "--format", "html", "--out"],
        ["check", *SQUARE, "--junit"],
        ["check", *SQUARE, "--backward", "x_bar[n] := x[n]*grad_output[n]", "--reproducer"],
    ],
    ids=lambda c: f"{c[0]} {c[-1]}",
)
def test_own_files_are_rewritten_and_others_are_not(command: list[str], tmp_path: Path) -> None:
    path = tmp_path / "made"
    code = 1 if "--reproducer" in command else 0
    assert invoke(*command, path).exit_code == code
    made = path.read_text()
    assert invoke(*command, path).exit_code == code and path.read_text() == made
    path.write_text(made + "mine\n")
    refused = invoke(*command, path)
    assert refused.exit_code == 2 and path.read_text() == made + "mine\n"
    assert f"{path} is there and was changed since derivcheck wrote it; name another file with {command[-1]}" in refused.stderr
    assert invoke(*command, path, "--force").exit_code == code and path.read_text() == made
    assert list(files(tmp_path)) == ["made"]


def test_check_writes_junit(layers: str, tmp_path: Path) -> None:
    result = invoke("check", f"{layers}:forward", "--backward", f"{layers}:wrong", *DIMS, "--junit", tmp_path / "r.xml")
    assert result.exit_code == 1
    suite = ElementTree.parse(tmp_path / "r.xml").getroot()
    assert suite.get("failures") == "2" and [c.get("name") for c in suite] == ["x", "W"]
    assert all(c.find("failure") is not None for c in suite)


def test_check_writes_a_reproducer_where_it_fails(layers: str, tmp_path: Path) -> None:
    file = tmp_path / "shows.py"
    assert invoke("check", f"{layers}:forward", "--backward", f"{layers}:right", *DIMS, "--reproducer", file).exit_code == 0
    assert not file.exists(), "there is nothing to reproduce"
    assert invoke("check", f"{layers}:forward", "--backward", f"{layers}:wrong", *DIMS, "--reproducer", file).exit_code == 1
    ran = subprocess.run([sys.executable, str(file)], capture_output=True, text=True)
    assert ran.returncode == 1 and "AssertionError" in ran.stderr and "found" in ran.stdout
    assert "import derivcheck" not in file.read_text()


def test_check_of_a_module_with_a_function_of_its_own(layers: str, tmp_path: Path) -> None:
    file = tmp_path / "shows.py"
    result = invoke("check", f"{layers}:Inside", "--dims", "x: N C", "--reproducer", file)
    assert result.exit_code == 1, result.output
    assert "class Forgotten(Tripled):" in file.read_text() and "class Tripled(" in file.read_text()


@pytest.mark.parametrize(
    ("claim", "code", "word"),
    [("x_bar[n] := 2*x[n]*grad_output[n]", 0, "proved"), ("x_bar[n] := x[n]*grad_output[n]", 1, "refuted")],
)
def test_prove(claim: str, code: int, word: str) -> None:
    result = invoke("prove", SQUARE[0], claim, *SQUARE[1:])
    assert result.exit_code == code and word in result.output
    as_json = invoke("prove", SQUARE[0], claim, *SQUARE[1:], "--json")
    assert as_json.exit_code == code and json.loads(as_json.stdout)["status"] == word


def test_prove_takes_invariants() -> None:
    scan = ("S[k] := x[k] + [k >= 1]*S[k-1]", "x_bar[k] := sum(j: [j >= k]*grad_output[j])", "--dims", "x: K")
    found = invoke("prove", *scan, "--invariant", "S[k] := sum(j: [j <= k]*x[j])", "--invariant", "S[k] := x[0]")
    assert found.exit_code == 0
    assert "the invariant of S holds, by induction" in found.output
    assert "the invariant of S fails at its step" in found.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["derive", "torch.nn:Linnear(3, 2)"], "torch.nn has no 'Linnear'; did you mean 'Linear'?"),
        (["derive", "LAYERS:forward"], "name its dimensions with --dims"),
        (["derive", "LAYERS:forward", "--loss", "torch.nn:MSELoss", "--dims", "x: N"], "--loss goes with a module"),
        (["code", "y[n] := x[n]^^2", "--dims", "x: N"], "^"),
        (["code", "y[n] := x[n]^2", "--dims", "x N"], "--dims: found 'x N'"),
        (["check", *SQUARE, "--sizes", "M=3"], "there is no size 'M'; those are N"),
        (["check", *SQUARE, "--device", "cuda:77"], "device"),
        (["derive", "LAYERS:branching", "--dims", "x: N"], "layers.py:"),
        (["derive", *SQUARE, "--const", "a=1"], "index text takes neither --loss nor --const"),
    ],
    ids=str.split("name dims loss text dims2 sizes device unsupported const"),
)
def test_bad_input_is_told_and_exit_2(arguments: list[str], sentence: str, layers: str) -> None:
    result = invoke(*(a.replace("LAYERS", layers) for a in arguments))
    assert result.exit_code == 2, result.output
    assert sentence in result.stderr and result.stderr.startswith("derivcheck: ")
    assert "Traceback" not in result.output


def test_without_arguments_it_shows_help() -> None:
    assert "Usage" in invoke().output


def test_as_a_module_and_closed_pipes() -> None:
    """``python -m derivcheck``; and a reader that goes away is no error."""
    done = subprocess.run([sys.executable, "-m", "derivcheck", "--version"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.startswith("derivcheck 0.")
    piped = subprocess.run(
        f"{sys.executable} -m derivcheck run --help | head -n 1", shell=True, capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in piped.stderr


def test_where_restricts_a_check_and_a_proof(tmp_path: Path) -> None:
    """The data are made within, and what is wrong elsewhere alone is not asked for."""
    (tmp_path / "ratio.py").write_text(
        "import torch\n\n"
        "def forward(x, sigma):\n    return (x / sigma).sum(-1)\n\n"
        "def backward(grad_output, x, sigma):\n"
        "    g = grad_output[:, None] / sigma\n"
        "    wrong = 1 if x.shape[1] % 2 == 0 else 2\n"
        "    return {'x': g.expand_as(x).clone(), 'sigma': -wrong * (x / sigma * g).sum(0)}\n"
    )
    file = f"{tmp_path}/ratio.py"
    check = ["check", f"{file}:forward", "--backward", f"{file}:backward", "--dims", "x: N T; sigma: T"]
    assert invoke(*check).exit_code == 1
    within = invoke(*check, "--where", "T % 2 == 0, sigma > 0")
    said = " ".join(within.output.split())
    assert within.exit_code == 0 and "within x[N, T], sigma[T]; T % 2 == 0, sigma > 0" in said, said
    proof = ["prove", f"{file}:forward", f"{file}:backward", "--dims", "x: N T; sigma: T"]
    assert invoke(*proof).exit_code != 0
    assert invoke(*proof, "--where", "T % 2 == 0, sigma > 0").exit_code == 0
    for where, said in (("Q > 1", "there is no"), ("T >", "the text ends"), ("sigma > 0, sigma < 0", "no random data")):
        refused = invoke(*check, "--where", where)
        assert refused.exit_code == 2 and said in " ".join(refused.output.split()), refused.output
