"""Fixes of backwards that are no Python: CUDA source, and index text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import derivcheck as dc
from derivcheck.errors import InputError

FORWARD = """__device__ float act(float x, float w) {
    float s = 1.0f / (1.0f + expf(-x));
    return w * x * s;
}
"""
RIGHT = """// the gradient of act
__device__ float slope(float s, float x) {
    return s * (1.0f + x * (1.0f - s));
}

__device__ void act_vjp(float x, float w, float v_result, float& v_x, float& v_w) {
    float s = 1.0f / (1.0f + expf(-x));
    v_x = v_result * w * slope(s, x);
    v_w = v_result * x * s;
}
"""
PRODUCT = """__global__ void f(float* y, const float* A, const float* x, int N) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= N) return;
    float s = 0.f;
    for (int j = 0; j < N; j++) s += A[i * N + j] * x[j];
    y[i] = s;
}
__global__ void b(float* v_x, const float* A, const float* v_y, int N) {
    int j = blockIdx.x * blockDim.x + threadIdx.x;
    if (j >= N) return;
    float s = 0.f;
    for (int i = 0; i < N; i++) s += A[i * N + j] * v_y[i];
    v_x[j] = s;
}
"""


def fixed(folder: Path, wrong: str) -> Any:
    (folder / "f.cu").write_text(FORWARD)
    (folder / "b.cu").write_text(wrong)
    return dc.prove(dc.cuda(folder / "f.cu", "act"), dc.cuda(folder / "b.cu", "act_vjp")).fix


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("(1.0f + x", "(1.0f - x"),  # a sign, in what the backward calls
        ("v_result * x * s", "v_result * w * s"),  # another name
        ("v_result * w * slope", "v_result * slope"),  # a factor left out
        ("v_result * x * s", "2.0f * v_result * x * s"),  # a coefficient
    ],
)
def test_a_backward_of_cuda_source_is_mended(tmp_path: Path, right: str, wrong: str) -> None:
    text = RIGHT.replace(right, wrong)
    fix = fixed(tmp_path, text)
    assert fix is not None and fix.status == "proved"
    (edit,) = fix.edits
    assert edit.file == str(tmp_path / "b.cu") and text.splitlines()[edit.line - 1] == edit.old
    assert edit.old.rstrip().endswith((";", "}")) and f"-{edit.old}\n+{edit.new}\n" in fix.diff()
    assert fix.write() == {tmp_path / "b.cu": tmp_path / "b.cu.orig"}
    assert (tmp_path / "b.cu.orig").read_text() == text
    f, b = (dc.cuda(tmp_path / file, name) for file, name in (("f.cu", "act"), ("b.cu", "act_vjp")))
    assert dc.prove(f, b).status == "proved"


def test_the_backward_that_was_read_stays_as_it_is(tmp_path: Path) -> None:
    f, b = dc.cuda(FORWARD, "act"), dc.cuda(RIGHT.replace("(1.0f + x", "(1.0f - x"), "act_vjp")
    before = b.function, b.sources.functions["slope"][0]
    fix = dc.prove(f, b).fix
    assert fix is not None and (b.function, b.sources.functions["slope"][0]) == before
    assert "+    return s * (1.0f + x * (1.0f - s));" in fix.diff()
    with pytest.raises(InputError, match="the backward is <cuda>, and no file that could be written"):
        fix.write()


def test_a_file_that_changed_is_not_written(tmp_path: Path) -> None:
    fix = fixed(tmp_path, RIGHT.replace("(1.0f + x", "(1.0f - x"))
    (tmp_path / "b.cu").write_text(RIGHT)
    with pytest.raises(InputError, match="has changed since it was read"):
        fix.write()
    assert (tmp_path / "b.cu").read_text() == RIGHT and not (tmp_path / "b.cu.orig").exists()


def test_a_right_backward_of_cuda_source_has_no_fix(tmp_path: Path) -> None:
    assert fixed(tmp_path, RIGHT) is None


def test_a_kernel_is_mended() -> None:
    text = PRODUCT.replace("A[i * N + j] * v_y", "A[j * N + i] * v_y")
    proof = dc.prove(dc.cuda(text, "f"), dc.cuda(text, "b"))
    assert proof.status == "refuted" and proof.fix is not None
    (edit,) = proof.fix.edits
    assert edit.line == 12 and "A[i * N + j] * v_y" in edit.new, edit


SOFTMAX = "p[n,m] := exp(x[n,m])/sum(k: exp(x[n,k]))"
LINEAR = "W_bar[o,i] := sum(n: grad_output[n,o]*x[n,i])\nx_bar[n,i] := sum(o: grad_output[n,o]*W[i,o])"
PLUS = "s[n] := sum(m: p[n,m]*grad_output[n,m])\n\nx_bar[n,m] := p[n,m]*(grad_output[n,m] + s[n])"
TEXTS = [
    ("y[n,o] := sum(i: x[n,i]*W[o,i])", LINEAR, {"x": "N M", "W": "M M"}, 2, "W[o,i]"),
    (SOFTMAX, PLUS, {"x": "N M"}, 3, "- s[n]"),
    ("L := sum(n: (x[n]-t[n])^2)/N", "x_bar[n] := 2*(x[n]-t[n])*grad_output", {"x": "N", "t": "N"}, 1, "/ N"),
    ("y[n] := tanh(x[n])*w[n]", "x_bar[n] := grad_output[n]*(1 - tanh(x[n])^2)", {"x": "N", "w": "N"}, 1, "w[n]"),
]


@pytest.mark.parametrize(("forward", "backward", "dims", "line", "new"), TEXTS)
def test_index_text_is_mended(forward: str, backward: str, dims: dict[str, str], line: int, new: str) -> None:
    proof = dc.prove(forward, backward, dims=dims)
    fix = proof.fix
    assert fix is not None and fix.status == "proved"
    (edit,) = fix.edits
    assert (edit.file, edit.line) == ("index text", line) and new in edit.new and edit.old == backward.splitlines()[line - 1]
    assert f"line index text:{line}: `{edit.old}`; it should be `{edit.new}`" in str(proof)
    mended = backward.replace(edit.old, edit.new)
    assert dc.prove(forward, mended, dims=dims).status == "proved"
    assert dc.prove(forward, mended, dims=dims).fix is None
    assert re.search(r"^\+x_bar", fix.diff(), re.MULTILINE)
    with pytest.raises(InputError, match="the backward is index text, and no file that could be written"):
        fix.write()
