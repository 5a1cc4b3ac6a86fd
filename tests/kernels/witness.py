"""The witness of the reader: the same text, compiled by g++ and called through ctypes."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from derivcheck.kernels.cuda.function import DeviceFunction
from derivcheck.kernels.cuda.reading import Reading
from derivcheck.kernels.cuda.statements import RESULT
from derivcheck.kernels.cuda.types import Array, Matrix, Pointer, Scalar, Type, Vector

HEADER = Path(__file__).parent / "glm.h"
GXX = shutil.which("g++")
Results = dict[str, torch.Tensor]


def _name(kind: Type) -> str:
    if isinstance(kind, Scalar):
        return "real" if kind.real else "int"
    if isinstance(kind, Vector):
        return f"glm::Vec<{kind.n}>"
    assert isinstance(kind, Matrix)
    return f"glm::Mat<{kind.columns}, {kind.rows}>"


def _shape(kind: Type) -> tuple[int, ...]:
    return (kind.n,) if isinstance(kind, Vector) else (kind.columns, kind.rows) if isinstance(kind, Matrix) else ()


def _count(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())


def _parts(name: str, shape: tuple[int, ...]) -> list[str]:
    """How C++ writes the numbers of a value, in order."""
    if not shape:
        return [name]
    return [p for k in range(shape[0]) for p in _parts(f"{name}[{k}]", shape[1:])]


def _call(f: DeviceFunction) -> str:
    """``call``: numbers in, the function, numbers out."""
    reading = Reading(f.subject, {}, f.shapes)
    reading.machine.bind_template(f.function, (), {n: v for n, v in f.fixed.items() if n in _template(f)}, reading.scope)
    lines, arguments, ends, at = [], [], {}, 0
    for p in reading.parameters():
        pointer = isinstance(p.type, (Pointer, Array))
        of = p.type.to if isinstance(p.type, Pointer) else p.type.of if isinstance(p.type, Array) else p.type
        if p.name in f.fixed:
            value = f.fixed[p.name]
            arguments.append("nullptr" if value is None else str(value).lower())
            continue
        shape = f.shapes.inputs.get(p.name, f.shapes.outputs.get(p.name, _shape(of)))
        inner = _shape(of)
        count = _count(shape[: len(shape) - len(inner)]) if pointer else 0
        lines.append(f"{_name(of)} {p.name}{f'[{max(count, 1)}]' if pointer else ''} = {{}};")
        parts = _parts(p.name, (max(count, 1), *inner) if pointer else inner)
        if p.name in f.shapes.inputs:
            lines += [f"{part} = in_[{at + k}];" for k, part in enumerate(parts)]
            at += len(parts)
        ends[p.name] = parts
        arguments.append(p.name)
    template = ", ".join(str(f.fixed[n]) if n in f.fixed else "real" for n in _template(f))
    called = f"{f.name}{f'<{template}>' if template else ''}({', '.join(arguments)})"
    if RESULT in f.outputs:
        ends[RESULT] = _parts(RESULT, f.shapes.outputs[RESULT])
        called = f"auto {RESULT} = {called}"
    outs = [p for n in f.outputs for p in ends[n][: _count(f.shapes.outputs[n])]]
    lines += [f"{called};", *(f"out_[{k}] = {p};" for k, p in enumerate(outs))]
    return f'extern "C" void call_{f.name}(const real *in_, real *out_) {{\n  ' + "\n  ".join(lines) + "\n}\n"


def _template(f: DeviceFunction) -> list[str]:
    return [n for n, _, _ in f.function.template]


def compiled(functions: Sequence[DeviceFunction], text: str, folder: Path, real: str = "double") -> ctypes.CDLL:
    """The functions of a text, compiled by g++ with ``float`` as it is, or as ``double``."""
    return built(text, "".join(map(_call, functions)), folder, real)


def built(text: str, calls: str, folder: Path, real: str, head: str = "") -> ctypes.CDLL:
    """A text with what calls it, compiled."""
    text = re.sub(r"^\s*#\s*include.*$", "", text, flags=re.MULTILINE)
    if real == "double":
        text = re.sub(r"(?<=[0-9.])f\b", "", text)
    text = re.sub(r"\bfloat\b", "real", text)
    source = f'using real = {real};\n#include "{HEADER}"\n{head}\n{text}\n{calls}'
    path = folder / f"functions_{real}.cpp"
    path.write_text(source)
    library = path.with_suffix(".so")
    command = [
        str(GXX),
        "-std=c++20",
        "-pthread",
        "-O1",
        "-ffp-contract=off",
        "-fpermissive",
        "-w",
        "-shared",
        "-fPIC",
        str(path),
    ]
    subprocess.run([*command, "-o", str(library)], check=True, capture_output=True, text=True)
    return ctypes.CDLL(str(library))


def called(library: ctypes.CDLL, f: DeviceFunction, inputs: Mapping[str, torch.Tensor], real: str = "double") -> Results:
    """The results of a compiled function by name, one thread after the other."""
    kind = ctypes.c_double if real == "double" else ctypes.c_float
    sizes = [_count(s) for s in f.shapes.outputs.values()]
    rows = []
    for n in range(next(iter(inputs.values())).shape[0]):
        flat = torch.cat([inputs[i][n].reshape(-1) for i in f.inputs]).tolist()
        given, out = (kind * len(flat))(*flat), (kind * sum(sizes))()
        getattr(library, f"call_{f.name}")(given, out)
        rows.append(list(out))
    found = torch.tensor(rows, dtype=torch.float64).split(sizes, 1)
    return {o: t.reshape(len(rows), *f.shapes.outputs[o]) for o, t in zip(f.outputs, found)}
