"""A forward and a backward brought together by names, and what is proved and refuted of them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

import derivcheck as dc
from derivcheck.cli.app import app
from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.kernels.cuda.source import syntax
from derivcheck.kernels.pairing import pair

EXAMPLE = Path(__file__).parents[2] / "examples" / "splatting"
FORWARD = """__device__ void f(float x, glm::vec2 w, float& y, float& saved) {
    float e = expf(x);
    saved = e;
    y = e * glm::dot(w, w);
}"""


def backward(gradient: str, x: str, w: str, more: str = "") -> str:
    return f"""__device__ void b(float x, glm::vec2 w, float {gradient}, float saved, float& {x}, glm::vec2& {w}{more}) {{
    {x} += {gradient} * saved * glm::dot(w, w);
    {w} = 2.f * {gradient} * saved * w;
}}"""


@pytest.mark.parametrize(
    "names",
    [
        ("v_y", "v_x", "v_w"),
        ("dL_dy", "dL_dx", "dL_dw"),
        ("dy", "dx", "dw"),
        ("grad_y", "grad_x", "w_grad"),
        ("g", "d_x", "d_w"),
    ],
)
def test_names_bring_the_two_together(names: tuple[str, str, str]) -> None:
    f, b = dc.cuda(FORWARD, "f"), dc.cuda(backward(*names), "b")
    proof = dc.prove(f, b)
    assert proof.status == "proved"
    assert {p.name for p in proof.parts} == {"x", "w"}
    assert f"{names[0]} is the upstream gradient of y" in proof.notes
    assert f"{names[1]} is the gradient of x, from 0" in proof.notes
    assert "saved is the forward's own saved" in proof.notes


def test_what_a_variable_of_the_forward_holds_is_saved() -> None:
    text = backward("v_y", "v_x", "v_w").replace("saved", "e")
    assert dc.prove(dc.cuda(FORWARD, "f"), dc.cuda(text, "b")).status == "proved"


@pytest.mark.parametrize(
    ("right", "wrong", "line"),
    [
        ("2.f * v_y", "v_y", 3),
        ("v_x += v_y", "v_x += -v_y", 2),
        ("saved * glm::dot(w, w)", "saved * w.x * w.x", 2),
        ("* w;", "* saved;", 3),
    ],
)
def test_a_wrong_backward_is_refuted_with_its_line(right: str, wrong: str, line: int) -> None:
    text = backward("v_y", "v_x", "v_w")
    mutant = text.replace(right, wrong)
    assert mutant != text
    if wrong == "* saved;":
        mutant = mutant.replace("saved * saved", "saved * glm::vec2(saved)")
    proof = dc.prove(dc.cuda(FORWARD, "f"), dc.cuda(mutant, "b"))
    assert proof.status == "refuted"
    assert f"is written at <cuda>:{line}" in proof.notes[0]


def test_lines_of_the_forward_are_never_said_to_be_wrong(tmp_path: Path) -> None:
    """The backward computes what the forward saved with the forward's own lines."""
    (tmp_path / "forward.cu").write_text(
        "__device__ float square(float x) { return x * x; }\n"
        "__device__ float f(float x, float y) {\nfloat s = square(x);\nreturn s * y + expf(y);\n}"
    )
    (tmp_path / "backward.cu").write_text(
        "__device__ void of_y(float g, float s, float y, float& dy) {\ndy = 2.f * g * s;\ndy += g * expf(y);\n}\n"
        "__device__ void b(float x, float y, float s, float dout, float& dx, float& dy) {\n"
        "dx = 2.f * x * dout * y;\nof_y(dout, s, y, dy);\n}"
    )
    proof = dc.prove(dc.cuda(tmp_path / "forward.cu", "f"), dc.cuda(tmp_path / "backward.cu", "b"))
    assert proof.status == "refuted"
    assert "y[0] is written at backward.cu:2, backward.cu:3" in str(proof)
    assert "line forward.cu" not in str(proof)
    assert "line backward.cu:2: `dy = 2.f * g * s;`; it should be `dy = g * s;`" in str(proof)


ROWS = """__global__ void scaled(float* out, const float* x, const float* w, int N, int C) {
    int n = blockIdx.x * blockDim.x + threadIdx.x;
    if (n >= N) return;
    for (int c = 0; c < C; c++) out[n * C + c] = x[n * C + c] * w[c];
}
__global__ void scaled_bw(float* dx, float* dw, const float* dout, const float* x, const float* w, int B, int T, int C) {
    int n = blockIdx.x * blockDim.x + threadIdx.x;
    if (n >= B * T) return;
    int b = n / T, t = n % T;
    for (int c = 0; c < C; c++) {
        dx[b * T * C + t * C + c] = dout[b * T * C + t * C + c] * w[c];
        atomicAdd(&dw[c], dout[n * C + c] * x[b * T * C + t * C + c]);
    }
}"""


def test_a_number_of_rows_is_the_product_that_the_backward_has() -> None:
    f, b = dc.cuda(ROWS, "scaled"), dc.cuda(ROWS, "scaled_bw")
    assert f.dims["x"] == "N C"
    proof = dc.prove(f, b)
    assert proof.status == "proved"
    assert "N of scaled is B*T" in proof.notes
    wrong = dc.cuda(ROWS.replace("+ t * C + c] * w[c];", "+ t * C + c] * w[0];", 1), "scaled_bw")
    assert dc.prove(f, wrong).status == "refuted"


def test_rows_that_are_not_said_to_hang_together_are_no_fault() -> None:
    with pytest.raises(UnsupportedOperation, match="Say how they hang together, as in N='B\\*T'"):
        dc.prove(dc.cuda(ROWS, "scaled", dims={"x": "N C"}), dc.cuda(ROWS, "scaled_bw"))


def test_two_texts_keep_their_own_names() -> None:
    """Both are <cuda>, and the same lines hold other variables."""
    one = dc.cuda("__device__ float f(float x) {\nfloat a = x * x;\nreturn a + 1.f;\n}", "f")
    two = dc.cuda("__device__ float g(float x) {\nfloat b = x * x;\nreturn b + one_more(x);\n}\n"
                  "__device__ float one_more(float x) {\nreturn x + 1.f;\n}", "g")  # fmt: skip
    dc.derive(one)
    dc.derive(two)
    assert "a" in dc.derive(one).program.names
    assert "b" in dc.derive(two).program.names


def test_the_check_takes_the_same_two() -> None:
    torch.manual_seed(0)
    inputs = {"x": torch.randn(5), "w": torch.randn(5, 2)}
    f, text = dc.cuda(FORWARD, "f"), backward("v_y", "v_x", "v_w")
    assert dc.check(f, inputs, dc.cuda(text, "b")).passed
    report = dc.check(f, inputs, dc.cuda(text.replace("2.f *", "3.f *"), "b"))
    assert not report["w"].passed
    assert report["x"].passed
    assert "v_w is the gradient of w" in report.notes


@pytest.mark.parametrize(
    ("names", "grads", "words"),
    [
        (("up", "v_x", "v_w"), {}, "b takes 'up', which is no input, result or variable of f"),
        (("v_y", "v_z", "v_w"), {}, "b gives 'v_z', and no input is called 'z'; say whose gradient it is: grads={'v_z': "),
        (("v_y", "v_x", "v_w"), {"v_q": "x"}, "grads: b has no 'v_q'; did you mean"),
        (("v_y", "v_x", "v_w"), {"v_x": "q"}, "grads: 'v_x' cannot be the gradient of 'q'; expected one of x, w"),
        (("v_y", "v_x", "v_w"), {"v_x": "w"}, "b gives the gradient of w twice"),
    ],
)
def test_names_that_tell_nothing_are_asked_for(names: tuple[str, str, str], grads: dict[str, str], words: str) -> None:
    text = FORWARD.replace("float& saved", "float& saved, float& other").replace("saved = e;", "saved = e; other = x;")
    with pytest.raises(InputError, match=re.escape(words)):
        pair(dc.cuda(text, "f"), dc.cuda(backward(*names), "b"), grads)


def test_what_is_said_is_taken() -> None:
    text = backward("up", "first", "second")
    grads = {"up": "y", "first": "x", "second": "w"}
    assert dc.prove(dc.cuda(FORWARD, "f"), dc.cuda(text, "b"), grads=grads).status == "proved"
    with pytest.raises(InputError, match="outputs: the forward has no result 'z'; it has y, saved"):
        dc.prove(dc.cuda(FORWARD, "f"), dc.cuda(text, "b"), grads=grads, outputs=["z"])
    with pytest.raises(InputError, match="grads= and outputs= belong to a backward of CUDA source"):
        dc.prove("y[n] := x[n]", "x_bar[n] := grad_output[n]", dims={"x": "N"}, grads={})


def test_a_forward_in_torch_takes_a_backward_in_cuda() -> None:
    text = "__device__ void b(float x, float g, float& dx) { dx = 2.f * x * g; }"
    assert dc.prove(lambda x: x * x, dc.cuda(text, "b"), dims={"x": "N"}).status == "proved"
    assert dc.prove(lambda x: x * x * x, dc.cuda(text, "b"), dims={"x": "N"}).status == "refuted"


EXAMPLES: list[tuple[str, dict[str, Any]]] = [
    ("screen", {}),
    ("jacobian", {}),
    ("conic", {}),
    ("alpha", {}),
    ("composite", {"K": 2}),
]


@pytest.mark.parametrize(("name", "fixed"), EXAMPLES, ids=[n for n, _ in EXAMPLES])
def test_the_example_is_proved(name: str, fixed: dict[str, Any]) -> None:
    forward, back = (dc.cuda(EXAMPLE / "splatting.cu", n, **fixed) for n in (name, f"{name}_bw"))
    assert dc.prove(forward, back, time_limit=60.0).status == "proved"


@pytest.mark.parametrize(
    ("name", "mistake", "line"),
    [("conic", "conic_once", 7), ("near_image", "near_image_unclamped", 13)],  # the colour's: release/test_suites.py
)
def test_the_mistakes_of_the_example_are_found_with_their_line(name: str, mistake: str, line: int) -> None:
    proof = dc.prove(dc.cuda(EXAMPLE / "splatting.cu", name), dc.cuda(EXAMPLE / "mistakes.cu", mistake), time_limit=60.0)
    assert proof.status == "refuted"
    assert f"is written at mistakes.cu:{line}" in str(proof)


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "120"})


def test_the_command_line_takes_functions_of_cuda_files(tmp_path: Path) -> None:
    names = ("v_y", "v_x", "v_w")
    (tmp_path / "forward.cu").write_text(FORWARD)
    (tmp_path / "right.cuh").write_text(backward(*names))
    (tmp_path / "wrong.cu").write_text(backward(*names).replace("2.f *", "-2.f *"))
    f, right, wrong = tmp_path / "forward.cu", tmp_path / "right.cuh", tmp_path / "wrong.cu"
    proved, refuted = invoke("prove", f"{f}:f", f"{right}:b"), invoke("prove", f"{f}:f", f"{wrong}:b")
    assert (proved.exit_code, refuted.exit_code) == (0, 1)
    assert "is written at wrong.cu:3" in refuted.output
    assert invoke("check", f"{f}:f", "--backward", f"{right}:b").exit_code == 0
    assert invoke("check", f"{f}:f", "--backward", f"{wrong}:b").exit_code == 1
    assert "e[n]" in invoke("derive", f"{f}:f").output
    for form, words in (("markdown", "## Forward"), ("latex", r"\begin{document}"), ("html", "<math")):
        assert words in invoke("notes", f"{f}:f", "--format", form).output
    for bad, words in (("f.cu:g", "there is no file"), (f"{f}:g", "has no function 'g'"), (f"{f}:f(3)", "by name")):
        result = invoke("derive", bad)
        assert result.exit_code == 2
        assert words in " ".join(result.output.split())


def test_without_tree_sitter_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    syntax._parser.cache_clear()
    monkeypatch.setitem(sys.modules, "tree_sitter_cuda", None)
    with pytest.raises(InputError, match=re.escape("pip install 'derivcheck-torch[cuda]'")):
        dc.cuda(FORWARD, "f")
    syntax._parser.cache_clear()
