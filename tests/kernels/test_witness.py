"""The reader against g++: every function of the examples, in double and in float."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import derivcheck as dc
from derivcheck.kernels.cuda.function import DeviceFunction
from tests.kernels.witness import CLOSE, apart, compiled, needs_gxx

FOLDER = Path(__file__).parents[2] / "examples" / "splatting"
FILES = ("splatting.cu", "mistakes.cu")


def functions(file: str) -> list[DeviceFunction]:
    """Every function of a file."""
    names = re.findall(r"__device__ [\w:]+ (\w+)\(", (FOLDER / file).read_text())
    return [dc.cuda(FOLDER / file, n, **({"K": 3} if n.startswith("composite") else {})) for n in names]


@needs_gxx
@pytest.mark.parametrize("real", CLOSE)
@pytest.mark.parametrize("file", FILES)
def test_the_reader_computes_what_the_compiler_does(file: str, real: str, tmp_path: Path) -> None:
    found = functions(file)
    assert len(found) >= 3
    library = compiled(found, (FOLDER / file).read_text(), tmp_path, real)
    assert {f.name: apart(f, library, real) for f in found} == {f.name: [] for f in found}


@needs_gxx
def test_the_witness_can_fail(tmp_path: Path) -> None:
    text = "__device__ float f(float x) { return x * x; }"
    f = dc.cuda(text, "f")
    assert apart(f, compiled([f], text.replace("x * x", "x + x"), tmp_path), "double") == ["result"]
