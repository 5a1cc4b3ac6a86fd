"""The reader against g++: every function of the examples, in double and in float."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import pytest
import torch

import derivcheck as dc
from derivcheck.kernels.cuda.function import DeviceFunction
from tests.kernels.witness import GXX, called, compiled

FOLDER = Path(__file__).parents[2] / "examples" / "splatting"
FILES = ("splatting.cu", "mistakes.cu")
CLOSE = {"double": 1e-12, "float": 2e-4}
needs_gxx = pytest.mark.skipif(GXX is None, reason="no g++ on this machine: nothing compiles the source")


def functions(file: str) -> list[DeviceFunction]:
    """Every function of a file."""
    names = re.findall(r"__device__ [\w:]+ (\w+)\(", (FOLDER / file).read_text())
    return [dc.cuda(FOLDER / file, n, **({"K": 3} if n.startswith("composite") else {})) for n in names]


def drawn(f: DeviceFunction, threads: int = 4) -> dict[str, torch.Tensor]:
    """Inputs on which nothing divides by 0."""
    torch.manual_seed(0)
    return {n: torch.rand(threads, *s, dtype=torch.float64) * 0.8 + 0.1 for n, s in f.shapes.inputs.items()}


def apart(f: DeviceFunction, library: ctypes.CDLL, real: str) -> list[str]:
    """The results in which the reader and the compiler differ."""
    inputs, close = drawn(f), CLOSE[real]
    mine, theirs = f.results(**inputs), called(library, f, inputs, real)
    return [n for n, t in theirs.items() if t.shape != mine[n].shape or not torch.allclose(mine[n], t, rtol=close, atol=close)]


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
