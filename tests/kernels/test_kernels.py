"""Kernels and loops over sizes: against g++, proved, and refused or found faulty where they are not surely understood."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import derivcheck as dc
from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.kernels.cuda.kernel import Kernel
from derivcheck.kernels.lanes.refused import MemoryFault
from tests.kernels.kernel_witness import apart, compiled, drawn, sized
from tests.kernels.witness import needs_gxx

FORMS = Path(__file__).parent / "kernels.cu"
GIVEN: dict[str, dict[str, int]] = {"switched": {"shape": 4}}
SPLATS = Path(__file__).parents[2] / "examples" / "splatting" / "kernels.cu"
LAYERS = Path(__file__).parents[2] / "examples" / "layers" / "layers.c"


def kernels(file: Path) -> list[Kernel]:
    """Every kernel of a file."""
    names = re.findall(r"^(?:__global__ |__attribute__.* )?void (\w+)\(", file.read_text(), re.MULTILINE)
    return [dc.cuda(file, n, **GIVEN.get(n, {})) for n in names]


@needs_gxx
@pytest.mark.parametrize("real", ["double", "float"])
@pytest.mark.parametrize("file", [FORMS, LAYERS, SPLATS], ids=["forms", "layers", "splats"])
def test_the_reader_computes_what_the_compiler_does(file: Path, real: str, tmp_path: Path) -> None:
    found = kernels(file)
    assert len(found) >= 4
    library = compiled(found, file.read_text(), tmp_path, real)
    for numbers in ((3, 2, 4, 5, 2), (2, 3, 1, 4, 3)):
        assert {f.name: apart(f, library, sized(f, numbers), real) for f in found} == {f.name: [] for f in found}


@needs_gxx
def test_the_witness_of_kernels_can_fail(tmp_path: Path) -> None:
    found = [f for f in kernels(FORMS) if f.name in ("guarded", "rows", "scattered")]
    text = FORMS.read_text()
    wrong = text.replace("a * squashed", "squashed").replace("largest * all", "all").replace("+ d], x[n", "], x[n")
    library = compiled(found, wrong, tmp_path)
    assert {f.name: apart(f, library, sized(f, (3, 2, 4, 5, 2))) for f in found} == {
        "guarded": ["out"],
        "rows": ["top"],
        "scattered": ["table"],
    }


@pytest.mark.parametrize("name", ["guarded", "literal"])
def test_what_is_read_derives(name: str) -> None:
    f = dc.cuda(FORMS, name)
    inputs = drawn(f, sized(f, (3, 2, 4)))
    assert dc.check(f, inputs).passed


LAYER = ["embed", "norm", "linear", "gelu", "residual", "attention", "cross_entropy"]


def pair_of(name: str, text: str | None = None) -> tuple[Kernel, Kernel]:
    """A layer and its backward, or another text of it."""
    return dc.cuda(LAYERS, name), dc.cuda(text or LAYERS, f"{name}_backward")


@pytest.mark.parametrize("name", LAYER)
def test_the_layers_are_proved_for_every_size(name: str) -> None:
    proof = dc.prove(*pair_of(name), time_limit=60.0)
    assert proof.status == "proved"
    assert len(proof.parts) == len(set(pair_of(name)[0].wrt))


WRONG: list[tuple[str, str, str]] = [
    ("embed", "dplace[t * C + c] += g[c]", "dplace[t * C + c] = g[c]"),
    ("embed", "row[c] += g[c]", "row[c] -= g[c]"),
    ("norm", "- of_g / C", "- of_g"),
    ("linear", "dweight[o * C + c] += g * x[n * C + c]", "dweight[o * C + c] += g * x[n * C]"),
    ("linear", "g * weight[o * C + c];", "g * weight[c];"),
    ("gelu", "3.0f * 0.044715f", "2.0f * 0.044715f"),
    ("residual", "db[i] += dout[i]", "db[i] += 2.0f * dout[i]"),
    ("attention", "u <= t", "u < t"),
    ("cross_entropy", "v == target[n]", "v == target[0]"),
]


@pytest.mark.parametrize(("name", "right", "wrong"), WRONG, ids=[f"{n}: {w}" for n, _, w in WRONG])
def test_a_wrong_layer_is_caught(name: str, right: str, wrong: str) -> None:
    text = LAYERS.read_text()
    head, tail = text.split(f"void {name}_backward", 1)
    assert right in tail
    try:
        proof = dc.prove(*pair_of(name, f"{head}void {name}_backward{tail.replace(right, wrong, 1)}"), time_limit=60.0)
    except (MemoryFault, UnsupportedOperation):
        return
    assert proof.status == "refuted"


def test_the_kernels_of_the_example_are_proved_and_their_faults_found() -> None:
    forward, faults = dc.cuda(SPLATS, "blend"), SPLATS.with_name("faults.cu")
    assert dc.prove(forward, dc.cuda(SPLATS, "blend_bw"), time_limit=60.0).status == "proved"
    with pytest.raises(MemoryFault, match=re.escape("add to one place without an atomic of d_colour (faults.cu:13)")):
        dc.prove(forward, dc.cuda(faults, "blend_raced"))
    with pytest.raises(MemoryFault, match=re.escape("faults.cu:22: final_T[1] is read out of bounds: it has 1 elements (P)")):
        dc.prove(forward, dc.cuda(faults, "blend_beyond"))


def test_the_line_of_a_wrong_gradient_is_named() -> None:
    text = LAYERS.read_text().replace("db[i] += dout[i]", "db[i] += 2.0f * dout[i]")
    proof = dc.prove(*pair_of("residual", text))
    line = text[: text.index("2.0f * dout[i]")].count("\n") + 1
    assert f"is written at <cuda>:{line}" in str(proof)


def test_what_is_taken_for_granted_is_said() -> None:
    assert dc.cuda(LAYERS, "attention").assumed == ("C is a multiple of NH",)
    text = "__global__ void b(float* dx, const float* dout, float a, const float* x, int N) {" + (
        "int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < N) dx[i] = 2.f * a * x[i] * dout[i]; }"
    )
    forward = "__global__ void f(float* out, const float* x, float a, int N) {" + (
        "int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < N) out[i] = a * x[i] * x[i]; }"
    )
    proof = dc.prove(dc.cuda(forward, "f"), dc.cuda(text, "b"))
    assert proof.status == "proved"
    assert "the grid has at least N threads, one for each" in proof.notes
    assert dc.cuda(FORMS, "guarded").assumed == ("the grid has at least N threads, one for each",)
    block = dc.cuda("__global__ void f(float* out, const float* x) {\n  out[blockIdx.x] = x[blockIdx.x];\n}", "f")
    assert block.assumed == ("blockDim.x = 1, since threadIdx.x is not asked for",)


def test_a_sum_of_exponentials_is_above_zero() -> None:
    """The guard of a division is left out where it cannot happen, and there alone."""
    sure, unsure = (str(dc.derive(dc.cuda(FORMS, n)).program) for n in ("normalised", "unless_zero"))
    assert "== 0]" not in sure
    assert "== 0]" in unsure


def test_dimensions_are_found_or_said() -> None:
    f = dc.cuda(FORMS, "digits")
    assert (f.dims, f.output_dims) == ({"x": "B T C", "w": "C T"}, {"out": "B T C"})
    text = "void f(float* out, const float* x, int N) { for (int i = 0; i < N; i++) out[i] = x[i] * x[i]; }"
    assert dc.cuda(text, "f", dims={"x": "B T"}, N="B*T").output_dims == {"out": "B T"}
    shaped = dc.cuda(text, "f", dims={"x": "B T", "out": "B T"}, N="B*T")
    assert shaped(x=torch.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist() == [[1.0, 4.0], [9.0, 16.0]]
    with pytest.raises(InputError, match="f has no parameter 'y'; it has N, out, x"):
        dc.cuda(text, "f", dims={"y": "N"})
    with pytest.raises(InputError, match="x of f has 2 dimensions; expected N"):
        dc.cuda(text, "f")(x=torch.ones(2, 2))


def kernel(body: str, head: str = "float* out, const float* x, int N") -> str:
    return f"__global__ void f({head}) {{\nint i = blockIdx.x * blockDim.x + threadIdx.x;\n{body}\n}}"


def loop(body: str, before: str = "", after: str = "") -> str:
    return f"void f(float* out, const float* x, int N) {{\n{before}\nfor (int i = 0; i < N; i++) {{\n{body}\n}}\n{after}\n}}"


FAULTS: dict[str, tuple[str, str]] = {
    "one thread too many": (kernel("if (i > N) return;\nout[i] = x[i];"), "<cuda>:4: x[1] is read out of bounds: it has 1"),
    "no guard": (kernel("out[i] = x[i];"), "<cuda>:3: x[1] is read out of bounds: it has 1 elements (N)"),
    "read before the guard": (kernel("float v = x[i];\nif (i < N) out[i] = v;"), "<cuda>:3: x[1] is read out of bounds"),
    "written after the guard": (kernel("if (i < N) {\nout[i] = x[i];\n}\nout[i] = 1.f;"), "<cuda>:6: out[…] is written where"),
    "the neighbour": (kernel("if (i >= N) return;\nout[i] = x[i + 1];"), "<cuda>:4: x[1] is read out of bounds"),
    "the other neighbour": (kernel("if (i >= N) return;\nout[i] = x[i - 1];"), "<cuda>:4: x[-1] is read out of bounds"),
    "a turn too many": (
        "void f(float* out, const float* x, int N) {\nfor (int i = 0; i <= N; i++) out[i] = x[i];\n}",
        "<cuda>:2: x[1] is read out of bounds: it has 1 elements (N), at N = 1, i_1 = 1",
    ),
    "two threads write": (kernel("if (i < N) out[0] = x[i];"), "<cuda>:3: threads that differ in idx.x write different values"),
    "two threads add": (kernel("if (i < N) out[0] += x[i];"), "add to one place without an atomic of out (<cuda>:3)"),
    "read where another one writes": (
        kernel("if (i >= N) return;\nout[i] = x[i];\nif (i > 0) out[i] = out[i - 1];"),
        "a thread reads out where another one, which differs in idx.x, writes (<cuda>:5)",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_faults_of_memory_are_found_with_their_line(case: str) -> None:
    text, words = FAULTS[case]
    with pytest.raises(MemoryFault, match=re.escape(words)):
        _ = dc.cuda(text, "f", dims={"x": "N", "out": "N"}).outputs


REFUSED: dict[str, tuple[str, str]] = {
    "a recurrence": (
        loop("s = s * 0.5f + x[i];\nout[i] = s;", "float s = 1.f;"),
        "'s' at <cuda>:4 cannot be derived: it is carried",
    ),
    "a running sum": (loop("s += x[i];\nout[i] = s;", "float s = 0.f;"), "'s' at <cuda>:5 cannot be derived: it is carried"),
    "a running sum in memory": (loop("if (i > 0) out[i] = out[i - 1] + x[i];"), "a turn may depend on others"),
    "the last turn": (loop("s = x[i];", "float s = 0.f;", "out[0] = s;"), "it holds what the last turn of a loop left there"),
    "one of the turns": (loop("if (x[i] > 0.f) out[0] = x[i];"), "which turn of the loop writes last depends on data"),
    "two places that meet": (loop("out[i] = x[i];\nout[N - 1 - i] = 2.f;"), "a turn may depend on others"),
    "what an atomic returns": (
        loop("float before = atomicAdd(&out[0], x[i]);"),
        "it returns depends on the order of the threads",
    ),
    "break": (loop("if (x[i] > 1.f) break;\nout[i] = x[i];"), "break at <cuda>:3"),
    "return": (loop("if (x[i] > 1.f) return;\nout[i] = x[i];"), "return at <cuda>:3"),
    "a count": (loop("if (x[i] > 0.f) k++;", "int k = 0;", "out[0] = k;"), "a whole number is carried"),
    "a pointer that moves": (loop("out[0] += *x;\nx += 1;"), "a variable of before the loop is changed in it"),
    "an index that is changed": (loop("out[i] = x[i];\ni += 1;"), "its variable is changed in the body"),
    "where the largest is": (
        loop("if (x[i] > m) { m = x[i]; k = x[i] * 2.f; }", "float m = x[0], k = 0.f;", "out[0] = k;"),
        "cannot be derived: it is carried from turn to turn",
    ),
    "another value kept": (loop("if (x[i] > m) m = 2.f * x[i];", "float m = x[0];", "out[0] = m;"), "it is carried"),
    "written under what is carried": (
        loop("if (x[i] > m) { m = x[i]; out[i] = m; }", "float m = x[0];"),
        "under a condition on what a loop",
    ),
    "steps of two": (
        "void f(float* out, const float* x, int N) {\nfor (int i = 0; i < N; i += 2) out[i] = x[i];\n}",
        "its step is not read. Loops go on by 1",
    ),
    "wrap around": (
        kernel("if (i >= N - 2) return;\nout[i] = x[i];", "float* out, const float* x, unsigned N"),
        "it may wrap around",
    ),
    "negative remainder": (loop("out[i] = x[(i - 1) % N];"), "whole numbers are divided"),
    "a barrier that not all reach": (
        kernel("if (i >= N) return;\n__syncthreads();\nout[i] = x[i];"),
        "__syncthreads() at <cuda>:4",
    ),
    "the others do something": (kernel("if (i < N) {\nout[i] = x[i];\n} else {\nout[0] = 1.f;\n}"), "do something else"),
    "a bound in an expression": (kernel("bool on = i < N;\nif (on) out[i] = x[i];"), "it stands in an expression"),
    "a bound that may not hold": (kernel("if (i < N || x[0] > 0.f) out[i] = x[i];"), "not seen which threads it bounds"),
    "memory as of another type": (loop("out[i] = ((const int*)x)[i];"), "the memory is read as of another type"),
    "data says where": (
        "void f(float* out, const float* x, const int* ids, int N) {\nfor (int i = 0; i < N; i++) out[ids[i]] = x[i];\n}",
        "it is written at a position that depends on data",
    ),
    "a remainder of data": (
        "void f(float* out, const float* x, const int* ids, int N) {\nfor (int i = 0; i < N; i++) out[i] = x[ids[i] % N];\n}",
        "whole numbers are divided",
    ),
    "a switch over what is not given": (
        "void f(float* out, int N, int m) {\nfor (int i = 0; i < N; i++) {\nswitch (m) { case 0: out[i] = 1.f; }\n}\n}",
        "switch at <cuda>:3 cannot be derived: what it is taken of is not given",
    ),
    "a bound in a choice": (
        kernel("float v = i < N ? x[i] : 0.f;\nif (i < N) out[i] = v;"),
        "where nothing bounds the thread's",
    ),
    "no shape": (loop("out[i] = x[i * i];"), "it is not seen how x is shaped"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_surely_understood_is_refused(case: str) -> None:
    text, words = REFUSED[case]
    with pytest.raises(UnsupportedOperation, match=re.escape(words)):
        _ = dc.cuda(text, "f").outputs


def test_a_size_is_told_by_a_dimension_that_is_one_less() -> None:
    f = dc.cuda(
        "__global__ void f(float* out, const float* x, int N) {\n"
        "int i = blockIdx.x * blockDim.x + threadIdx.x;\nif (i < N - 1) out[i] = x[i] * N;\n}",
        "f",
    )
    assert f.dims == {"x": "N-1"}
    assert f(x=torch.ones(3, dtype=torch.float64)).tolist() == [4.0, 4.0, 4.0]
