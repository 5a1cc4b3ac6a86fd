"""The witness of the reader: the same text, compiled by g++ and called through ctypes.

The types of the parameters are those that the source writes; the reader says only how many numbers lie there.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from derivcheck.kernels.cuda.function import DeviceFunction
from derivcheck.kernels.cuda.interpreter.statements import RESULT
from derivcheck.kernels.cuda.reading import Parameter, Reading
from derivcheck.kernels.cuda.source.syntax import text as written
from derivcheck.kernels.cuda.source.types import BOOL, Array, Pointer, Struct, Type, shape_of

if TYPE_CHECKING:
    from tree_sitter import Node

FOLDER = Path(__file__).parent
GXX = shutil.which("g++")
CLOSE = {"double": 1e-12, "float": 2e-4}
needs_gxx = pytest.mark.skipif(GXX is None, reason="no g++ on this machine: nothing compiles the source")
Results = dict[str, torch.Tensor]


def count(shape: tuple[int, ...]) -> int:
    """How many numbers a shape has."""
    return int(torch.Size(shape).numel())


def parts(name: str, shape: tuple[int, ...]) -> list[str]:
    """How C++ writes the numbers of a value, in order."""
    if not shape:
        return [name]
    return [p for k in range(shape[0]) for p in parts(f"{name}[{k}]", shape[1:])]


def symbol(f: DeviceFunction) -> str:
    """What the function that calls a function is called."""
    return f"call_{re.sub(r'[^A-Za-z0-9]', '_', f.name)}_{f.function.line}"


def _fields(name: str, place: str, kind: Type) -> Iterator[tuple[str, str]]:
    """The parts of a parameter that the reader names, and how C++ writes them."""
    if not isinstance(kind, Struct):
        yield name, place
        return
    for n, t in kind.fields:
        if t != BOOL:
            yield from _fields(f"{name}_{n}", f"{place}.{n}", t)


def _declared(p: Parameter, node: Node, f: DeviceFunction) -> tuple[list[str], str, str]:
    """How a parameter is declared, how it is passed, and where its numbers lie."""
    kind, name = p.type, p.name
    of = re.sub(r"\bconst\b", "", written(node.child_by_field_name("type")))
    declarator = node.child_by_field_name("declarator")
    if isinstance(kind, Array) and "[" in written(declarator):  # float a[2][3], float (&a)[3]
        sizes, inner = [], kind
        while isinstance(inner, Array):
            known = (*f.shapes.inputs.get(name, ()), *f.shapes.outputs.get(name, ()), 1)
            sizes.append(inner.n if inner.n is not None else known[0])
            inner = inner.of  # type: ignore[assignment]
        return [f"{of} {name}{''.join(f'[{n}]' for n in sizes)} = {{}};"], name, name
    pointer = isinstance(kind, Pointer)
    shape = f.shapes.inputs.get(name, f.shapes.outputs.get(name, ()))
    inner_shape = shape_of(kind.to) or () if isinstance(kind, Pointer) else ()
    n = max(count(shape[: len(shape) - len(inner_shape)]), 1) if pointer else 1
    lines = [
        f"alignas({of}) unsigned char {name}_at[sizeof({of}) * {n}] = {{}};",
        f"{of} *{name} = reinterpret_cast<{of} *>({name}_at);",
    ]
    if not pointer:
        return lines, f"*{name}", f"(*{name})"
    one = len(shape) == len(inner_shape)
    return lines, name, f"{name}[0]" if one else name


def _call(f: DeviceFunction) -> str:
    """Numbers in, the function, numbers out."""
    reading = Reading(f.subject, {}, f.shapes)
    machine, template = reading.machine, [n for n, _, _ in f.function.template]
    machine.bind_template(f.function, (), {n: v for n, v in f.fixed.items() if n in template}, reading.scope)
    given = {n: str(f.fixed.get(n, "real")) for n in template}
    lines = [f"{'using' if t else 'constexpr auto'} {n} = {given[n]};" for n, t, _ in f.function.template]
    arguments, places = [], dict[str, str]()
    for p, node in zip(reading.parameters(), f.function.parameters):
        if p.name in f.fixed:
            value = f.fixed[p.name]
            arguments.append("nullptr" if value is None else str(value).lower())
            continue
        declared, passed, at = _declared(p, node, f)
        lines += declared
        arguments.append(passed)
        places.update(_fields(p.name, at, p.type))
    at_in = 0
    for n, shape in f.shapes.inputs.items():
        lines += [f"{part} = in_[{at_in + k}];" for k, part in enumerate(parts(places[n], shape))]
        at_in += count(shape)
    instance = f"<{', '.join(given.values())}>" if template else ""
    called = f"{f.name}{instance}({', '.join(arguments)})"
    returned = [n for n in f.outputs if n not in places]
    if returned:
        called = f"auto {RESULT} = {called}"
        places.update((n, RESULT if n == RESULT else f"{RESULT}.{n}") for n in returned)
    lines.append(f"{called};")
    outs = [part for n, shape in f.shapes.outputs.items() for part in parts(places[n], shape)]
    lines += [f"out_[{k}] = {part};" for k, part in enumerate(outs)]
    return f'extern "C" void {symbol(f)}(const real *in_, real *out_) {{\n  ' + "\n  ".join(lines) + "\n}\n"


def compiled(
    functions: Sequence[DeviceFunction], text: str, folder: Path, real: str = "double", glm: Path | None = None
) -> ctypes.CDLL:
    """The functions of a text, compiled by g++, ``float`` as it is or as ``double``; ``glm``: where the library itself is."""
    spaces = "".join(f"using namespace {n};\n" for n in dict.fromkeys(re.findall(r"^namespace (\w+) \{", text, re.MULTILINE)))
    return built(text, spaces + "".join(map(_call, functions)), folder, real, glm=glm)


def built(text: str, calls: str, folder: Path, real: str, head: str = "", glm: Path | None = None) -> ctypes.CDLL:
    """A text with what calls it, compiled.

    Raises:
        RuntimeError: g++ says why not.
    """
    text = re.sub(r"^\s*#\s*include.*$", "", text, flags=re.MULTILINE)
    if real == "double":
        text = re.sub(r"(?<=[0-9.])f\b", "", text)
    first = f'#include "{FOLDER / "glm.h"}"'
    if glm is not None:
        named = ("glm", "gtc/quaternion", "gtc/type_ptr", "gtx/quaternion", "gtx/matrix_operation")
        first = "#define GLM_ENABLE_EXPERIMENTAL\n" + "".join(f"#include <glm/{n}.hpp>\n" for n in named)
        first += f'#include "{FOLDER / "cuda.h"}"'
        if real == "double":  # its types of doubles
            text, calls = (re.sub(r"\bglm::f?(vec[234]|mat[234](?:x[234])?|quat)\b", r"glm::d\1", t) for t in (text, calls))
    text = text.replace("std::numeric_limits<float>::max()", "real(3.4028234663852886e38)")  # a number, whatever real is
    text, calls = (re.sub(r"\bfloat\b", "real", t) for t in (text, calls))
    path = folder / f"functions_{real}.cpp"
    path.write_text(f"using real = {real};\n{first}\n{head}\n{text}\n{calls}")
    library = path.with_suffix(".so")
    command = [str(GXX), "-std=c++20", "-pthread", "-O1", "-ffp-contract=off", "-fpermissive", "-w", "-shared", "-fPIC"]
    command += [str(path), *(["-I", str(glm)] if glm is not None else []), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"g++ does not take the text: {done.stderr[:2000]}")
    return ctypes.CDLL(str(library))


def called(library: ctypes.CDLL, f: DeviceFunction, inputs: Mapping[str, torch.Tensor], real: str = "double") -> Results:
    """The results of a compiled function by name, one thread after the other."""
    kind = ctypes.c_double if real == "double" else ctypes.c_float
    sizes = [count(s) for s in f.shapes.outputs.values()]
    rows = []
    for n in range(next(iter(inputs.values())).shape[0]):
        flat = torch.cat([inputs[i][n].reshape(-1) for i in f.inputs]).tolist()
        given, out = (kind * len(flat))(*flat), (kind * sum(sizes))()
        getattr(library, symbol(f))(given, out)
        rows.append(list(out))
    found = torch.split(torch.tensor(rows, dtype=torch.float64), sizes, 1)
    return {o: t.reshape(len(rows), *f.shapes.outputs[o]) for o, t in zip(f.outputs, found)}


def drawn(f: DeviceFunction, threads: int = 4, signed: bool = False) -> dict[str, torch.Tensor]:
    """Inputs on which nothing divides by 0; ``signed``: on both sides of it."""
    torch.manual_seed(0)
    found = {}
    for n, shape in f.shapes.inputs.items():
        t = torch.rand(threads, *shape, dtype=torch.float64)
        if n not in f.wrt:
            found[n] = (t * 4).floor() + 1
        else:
            found[n] = t * 4 - 2 if signed else t * 0.8 + 0.1
    return found


def apart(
    f: DeviceFunction, library: ctypes.CDLL, real: str, inputs: Mapping[str, torch.Tensor] | None = None, close: float = 0.0
) -> list[str]:
    """The results in which the reader and the compiler differ."""
    given, near = inputs or drawn(f), close or CLOSE[real]
    if real == "float":
        given = {n: t.float() for n, t in given.items()}
    mine, theirs = f.results(**given), called(library, f, given, real)
    alike = {n: torch.allclose(mine[n].double(), t, near, near, equal_nan=True) for n, t in theirs.items()}
    return [n for n, t in theirs.items() if t.shape != mine[n].shape or not alike[n]]
