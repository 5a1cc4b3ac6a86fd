"""What of CUDA C++ is read, against g++; and what is refused, with its line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import derivcheck as dc
from derivcheck.errors import InputError, UnsupportedOperation
from tests.kernels.witness import apart, compiled, drawn, needs_gxx

FILE = Path(__file__).parent / "language.cu"
HELPERS = ("operator", "overloaded", "power", "helper", "moved", "swap_parts", "horner")
NAMES = [n for n in re.findall(r"^__device__ [\w:]+ (\w+)\(", FILE.read_text(), re.MULTILINE) if not n.startswith(HELPERS)]


@needs_gxx
@pytest.mark.parametrize("real", ["double", "float"])
def test_the_language_means_what_the_compiler_says(real: str, tmp_path: Path) -> None:
    found = [dc.cuda(FILE, n) for n in NAMES]
    assert len(found) >= 15
    library = compiled(found, FILE.read_text(), tmp_path, real)
    assert {f.name: apart(f, library, real) for f in found} == {f.name: [] for f in found}


@pytest.mark.parametrize("name", ["early_return", "pointers", "matrices", "changed"])
def test_what_is_read_derives(name: str) -> None:
    """The derived gradient is autograd's of the same reading."""
    f = dc.cuda(FILE, name)
    inputs = {n: t.requires_grad_(n in f.wrt) for n, t in drawn(f).items()}
    assert dc.check(f, {n: t.detach() for n, t in inputs.items()}).passed


def body(text: str, head: str = "float f(float x, int n, const float* p)") -> str:
    return f"__device__ {head} {{\n{text}\n}}"


REFUSED: dict[str, tuple[str, str]] = {
    "while": (body("while (x > 0.f) { x -= 1.f; } return x;"), "while at <cuda>:2"),
    "do": (body("do { x -= 1.f; } while (x > 0.f); return x;"), "do at <cuda>:2"),
    "goto": (body("end: x = 1.f; goto end;"), "<cuda>:2"),
    "switch": (body("switch (n) { case 0: return x; } return 0.f;"), "switch at <cuda>:2"),
    "shared": (body("__shared__ float s[4];\ns[0] = x; return s[0];"), "__shared__ memory at <cuda>:2"),
    "assembly": (body('asm("nop;"); return x;'), "inline assembly at <cuda>:2"),
    "lambda": (body("auto g = [](float y) { return y; };\nreturn g(x);"), "a lambda at <cuda>:2"),
    "macro with parameters": (
        "#define max(a, b) ((a) < (b) ? (a) : (b))\n" + body("return max(x, 0.5f);"),
        "macro max() at <cuda>:3 cannot be derived: macros with parameters are not read",
    ),
    "macro in place of a function": (
        "#define sqrtf other\n" + body("return sqrtf(x);"),
        "macro sqrtf at <cuda>:3 cannot be derived: it stands for a function",
    ),
    "static": (body("static float s = 0.f; s += x; return s;"), "static at <cuda>:2"),
    "fewer bits": (body("unsigned char c = 300; return c * x;"), "type unsigned char at <cuda>:2"),
    "beyond 32 bits": (body("int i = 2147483647; i = i + 1; return i * x;"), "it is beyond 32 bits, at 2147483648"),
    "unknown call": (body("x += 1.f;\nreturn mystery(x);"), "mystery() at <cuda>:3 cannot be derived: nothing defines it"),
    "unknown name": (body("return x + MYSTERY;"), "'MYSTERY' at <cuda>:2 cannot be derived: nothing defines it"),
    "atomic": (body("atomicAdd(&x, 1.f); return x;"), "atomicAdd() at <cuda>:2"),
    "loop over data": (
        body("for (int i = 0; i < x; i++) { x = 0.f; } return x;"),
        "how long it goes on depends on data: i < x",
    ),
    "loop over what is not given": (
        body("float s = 0.f;\nfor (int i = 0; i < n; i++) { s += x; } return s;"),
        "Give whole numbers a value",
    ),
    "endless": (body("for (int i = 0; i < 1; i += 0) { x += 1.f; } return x;"), "more than 4096 turns"),
    "recursion": ("__device__ float f(float x) { return f(x); }", "its calls do not end"),
    "position": (body("return p[n];"), "[n] at <cuda>:2 cannot be derived: the position depends on what is not given"),
    "outside": (
        body("float a[3] = {x, x, x};\nreturn a[3];"),
        "position 3 at <cuda>:3 cannot be derived: it lies outside of the 3",
    ),
    "not written": (body("float y;\nreturn x + y;"), "it is read and was not written before"),
    "written on one way": (
        body("float y;\nif (x > 0.f) y = 1.f;\nreturn x + y;"),
        "it is read and may not have been written before",
    ),
    "remainder of a real one": (body("return x + n % 2;"), "% of whole numbers at <cuda>:2"),
    "division of whole numbers": (body("return x * (n / 2);"), "/ of whole numbers at <cuda>:2"),
    "operator of nothing": (body("float3 a = make_float3(x, x, x);\nreturn (a + a).x;"), "the source defines no such operator"),
    "sizes": (body("glm::vec3 a(x); glm::vec2 b(x);\nreturn glm::dot(a + b, a);"), "their sizes differ"),
    "bool": (body("return b ? x : 0.f;", "float f(float x, bool b)"), "Give it a value, as in b=True"),
    "type": (body("cudaTextureObject_t t;\nreturn x;"), "type cudaTextureObject_t at <cuda>:2"),
    "change under a condition": (body("float y = 1.f;\nreturn x > 0.f ? y++ : y;"), "operator ?: at <cuda>:3"),
    "change behind &&": (body("if (x > 0.f && n++ > 0) x = 1.f;\nreturn x;"), "it changes a variable under a condition"),
    "macro of two values": (
        "#define K 1\n#define K 2\n" + body("return x * K;"),
        "'K' at <cuda>:4 cannot be derived: it is defined twice",
    ),
    "struct of two kinds": (
        "struct P { float x; };\nnamespace b { struct P { float y; }; }\n" + body("P p{x};\nreturn p.x;"),
        "type P at <cuda>:4 cannot be derived: it is defined twice",
    ),
    "quaternions mixed": (body("glm::quat q(x, x, x, x);\nreturn (q + x).x;"), "operator + of a quaternion and a number"),
    "quaternion by a vector": (
        body("glm::quat q(x, x, x, x);\nreturn (glm::vec3(x) * q).x;"),
        "operator * of a vector of 3 and a quaternion at <cuda>:3",
    ),
    "quaternion of a matrix": (body("glm::quat q = glm::quat_cast(glm::mat3(x));\nreturn q.x;"), "quat_cast() at <cuda>:2"),
    "angle and axis": (body("glm::quat q = glm::rotate(glm::mat4(x), x);\nreturn q.x;"), "rotate() at <cuda>:2"),
    "field that is true or false": (
        "struct P { float x; bool on; };\n" + body("return p.on ? p.x : 0.f;", "float f(P p)"),
        "p_on, which is true or false",
    ),
    "variable of the file": (
        "__device__ float g = 1.f;\n" + body("return x * g;"),
        "'g' at <cuda>:3 cannot be derived: nothing defines it",
    ),
    "wrap around": (body("unsigned int u = 0u;\nu -= 1;\nreturn x * u;"), "an unsigned number at <cuda>:3"),
    "reference to another type": (body("int k = 3;\nfloat& r = k;\nreturn x * r;"), "the reference r at <cuda>:3"),
    "null": (body("float* q = nullptr;\nreturn x + *q;"), "it is taken of points to nothing"),
}


def test_a_text_takes_what_files_define(tmp_path: Path) -> None:
    (tmp_path / "half.cuh").write_text("__device__ float half_of(float x) { return 0.5f * x; }")
    f = dc.cuda(body("return x * half_of(x);", "float f(float x)"), "f", include=[tmp_path / "half.cuh"])
    assert f(x=torch.tensor([4.0])).tolist() == [8.0]


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_read_is_refused_with_its_line(case: str) -> None:
    text, words = REFUSED[case]
    with pytest.raises(UnsupportedOperation, match=re.escape(words)):
        _ = dc.cuda(text, "f").outputs


def test_what_is_given_is_read() -> None:
    """The same constructs with what they lack."""
    loop = dc.cuda(REFUSED["loop over what is not given"][0], "f", n=3)
    assert loop(x=torch.tensor([2.0])).tolist() == [6.0]
    assert dc.cuda(REFUSED["position"][0], "f", n=1)(x=torch.zeros(1), p=torch.tensor([[4.0, 5.0]])).tolist() == [5.0]
    assert dc.cuda(REFUSED["bool"][0], "f", b=True)(x=torch.ones(2)).tolist() == [1.0, 1.0]
    assert dc.cuda(REFUSED["division of whole numbers"][0], "f", n=5)(x=torch.ones(1)).tolist() == [2.0]


@pytest.mark.parametrize(
    ("source", "name", "more", "words"),
    [
        ("nowhere.cu", "f", {}, "there is no file nowhere.cu"),
        (body("return x;"), "g", {}, "has no function 'g'; it has f"),
        (body("return x;", "float project(float x)"), "projekt", {}, "did you mean 'project'?"),
        (body("return x;") + "\n" + body("return x;", "float f(float x)"), "f", {}, "defines 'f' 2 times, at lines 1, 4"),
        (body("return x;"), "f", {"line": 7}, "no function 'f' at line 7"),
        (body("return x;"), "f", {"degree": 3}, "f has no parameter 'degree'; it has n, p, x"),
        (body("return x +* ;"), "f", {}, "is not read as C++"),
        (body("x += 1.f;", "void f(float x)"), "f", {}, "returns nothing, and writes nothing"),
    ],
)
def test_bad_input_is_one_sentence(source: str, name: str, more: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)) as e:
        _ = dc.cuda(source, name, **more).outputs
    assert "\n" not in str(e.value)


def test_tensors_that_do_not_fit_are_named() -> None:
    f = dc.cuda("__device__ float f(glm::vec3 v) { return v.x; }", "f")
    with pytest.raises(InputError, match=re.escape("v of f has shape (5, 2); expected N 3")):
        f(v=torch.ones(5, 2))
    with pytest.raises(InputError, match="f needs 'v'"):
        f()
    with pytest.raises(InputError, match="f takes no 'w'; it takes v"):
        f(v=torch.ones(5, 3), w=1)


def test_a_macro_of_an_included_file_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "macros.h").write_text("#define fmaxf(a, b) ((a) < (b) ? (a) : (b))\n")
    (tmp_path / "f.cu").write_text('#include "macros.h"\n' + body("return fmaxf(x, 0.5f);", "float f(float x)"))
    with pytest.raises(UnsupportedOperation, match="macros with parameters are not read"):
        _ = dc.cuda(tmp_path / "f.cu", "f").outputs


def test_an_include_is_read_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "helpers.cuh").write_text("__device__ float third(float x) { return x / 3.f; }")
    path = tmp_path / "main.cu"
    path.write_text('#include "helpers.cuh"\n__device__ float f(float x) { return third(x); }')
    with pytest.raises(UnsupportedOperation, match=re.escape("third() at main.cu:2")):
        _ = dc.cuda(path, "f").outputs
    assert dc.cuda(path, "f", include=[tmp_path / "more"])(x=torch.tensor([6.0])).tolist() == [2.0]


def test_what_is_only_added_to_starts_from_zero_and_what_is_read_is_an_input() -> None:
    added = dc.cuda("__device__ void f(float x, float& g) { g += x; }", "f")
    assert (added.inputs, added.outputs, added.shapes.added) == (("x",), ("g",), ("g",))
    read = dc.cuda("__device__ void f(float x, float& g) { g += x; g = 2.f * g; }", "f")
    assert (read.inputs, read.outputs) == (("x", "g"), ("g",))


def test_definitions_bear_the_names_of_the_source() -> None:
    d = dc.derive(
        dc.cuda("__device__ float f(float x, float y) {\n  float a = x * y;\n  float b = a + y;\n  return a * b;\n}", "f")
    )
    assert {"a", "b"} <= {x.name for x in d.program.definitions}
