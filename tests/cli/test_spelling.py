"""Messages in the command's own spelling: an option as it is typed, near names, one full stop."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from derivcheck.cli.spelling import sentence, spelled
from tests.cli.invoking import DIMS, SQUARE, invoke

LAYERS = """
import torch

def forward(x, W, eps):
    return torch.tanh(x @ W.T) * eps

def odd(grad_output, x, W, eps):
    g = grad_output * eps * (1 - torch.tanh(x @ W.T) ** 2)
    return {"x": (g @ W) * (2 if len(x) % 2 == 0 else 1), "W": g.T @ x}

def looped(x):
    total = 0
    for k in range(len(x)):
        total = total + x[k] * (k + 1)
    return total

class Open(torch.nn.Module):
    def forward(self, x):
        return x * x
"""
PYTHON = re.compile(r"\b(dims|where|wrt|strict|reference|dtype|seed)=|(?<!-)\bwrt names|\{\.\.\.\}|report\.")


@pytest.fixture
def layers(tmp_path: Path) -> str:
    path = tmp_path / "layers.py"
    path.write_text(LAYERS)
    return str(path)


def said(*words: str) -> tuple[int, str]:
    result = invoke(*words)
    return result.exit_code, " ".join(result.output.split())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["derive", "L:forward", "--dims", "x: N in"],
            "neither --dims nor --const gives 'W', 'eps'; give a tensor with --dims",
        ),
        (["derive", "L:Open"], "are not known; give --dims 'x: N …'."),
        (["derive", "L:forward", *DIMS, "--wrt", "w"], "--wrt names 'w', which is not a floating-point input; those are x, W"),
        (["check", "L:forward", *DIMS, "--wrt", "w"], "those are x, W; did you mean 'W'?"),
        (["prove", *SQUARE[:1], "x_bar[n] := 0", *SQUARE[1:], "--wrt", "y"], "--wrt names 'y'"),
        (["derive", "L:forward", "--dims", "x: N in; W: out in; epz: N"], "there is no parameter 'epz'"),
        (["derive", *SQUARE[:1], "--dims", "z: N"], "--dims names 'z', which the text does not use"),
        (["derive", *SQUARE[:1], "--dims", "x: 2N"], "--dims of 'x': '2N' is no list of sizes"),
        (["check", *SQUARE, "--where", "T >"], "--where 'T >'"),
        (["check", *SQUARE, "--where", "M > 2"], "--dims gives sizes their names"),
        (["check", *SQUARE, "--sizes", "n=3"], "there is no size 'n'; those are N; did you mean 'N'?"),
        (["notes", *SQUARE, "--explain", "X"], "there is no gradient in 'X'; gradients are x; did you mean 'x'?"),
        (["derive", "L:looped", "--dims", "x: N D"], "--dims"),
        (["derive", "L:forwards", *DIMS], "has no 'forwards'; did you mean 'forward'?"),
        (["check", *SQUARE, "--dtyp", "float32"], "--dtype"),
        (["chek", *SQUARE], "check"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_a_message_names_the_options_as_they_are_typed(words: list[str], sentence: str, layers: str) -> None:
    code, text = said(*(w.replace("L:", f"{layers}:") for w in words))
    assert code == 2 and sentence in text, text
    assert not PYTHON.search(text), text
    assert not text.endswith("..") and (text[-1] in ".?" or "─" in text), text


def test_a_report_speaks_of_options(layers: str) -> None:
    code, text = said("check", f"{layers}:forward", "--backward", f"{layers}:odd", *DIMS)
    assert code == 1 and "leave it out: --where" in text and "or --dims 'x: 5 in'" in text, text
    assert "--reproducer FILE.py shows this with torch alone" in text and not PYTHON.search(text), text


def test_what_the_command_does_not_have_stays() -> None:
    assert spelled("give loss=, or dims={...}", ["dims"]) == "give loss=, or --dims"
    assert spelled("x.sum(dim=1) of where=", []) == "x.sum(dim=1) of where="
    assert spelled("pass gradient='own' or batch_size=", ["batch_size"]) == "pass gradient='own' or --batch-size"


@pytest.mark.parametrize(
    ("text", "whole"), [("it is", "it is."), ("it is..", "it is."), ("a\nb", "a\nb"), ("is it?", "is it?")]
)
def test_one_full_stop(text: str, whole: str) -> None:
    assert sentence(text) == whole


def test_verbose_says_where_an_error_was_raised_and_what_stands_behind_a_table(layers: str) -> None:
    assert "Traceback" not in said("derive", "x")[1]
    assert "Traceback" in said("derive", "x", "--verbose")[1]
    _, text = said("check", f"{layers}:forward", *DIMS, "-v")
    assert "data of seed 0: x (5, 3), W (2, 3)" in text and "W: differences agrees" in text and "(all 6 elements)" in text
    assert "data of seed" not in said("check", f"{layers}:forward", *DIMS)[1]
    _, text = said("prove", SQUARE[0], "x_bar[n] := x[n]*grad_output[n]", *SQUARE[1:], "-v")
    assert "numbers were tried at N=" in text


def test_wrt_takes_the_gradient_in_one_input_alone(layers: str) -> None:
    wrong = ["check", f"{layers}:forward", "--backward", f"{layers}:odd", *DIMS, "--wrt"]
    assert said(*wrong, "W")[0] == 0
    assert said(*wrong, "x", "--wrt", "W")[0] == 1
    code = invoke("code", "y[n] := a[n]*b[n]", "--dims", "a: N; b: N", "--wrt", "b").output
    assert '"b"' in code and '"a": ' not in code
    assert said("prove", "y[n] := a[n]*b[n]", "b_bar[n] := a[n]*grad_output[n]", "--dims", "a: N; b: N", "--wrt", "b")[0] == 0


def test_the_table_says_what_would_have_been_seen(layers: str) -> None:
    output = invoke("check", f"{layers}:forward", *DIMS).output
    assert re.search(r"would", output) and re.search(r"^x +\S+e-\d\d +\S+e-\d\d +\de-\d\d ", output, re.M), output
    assert max(map(len, output.splitlines())) <= 80
