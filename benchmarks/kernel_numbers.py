"""Whether what is read of a tree of CUDA source computes what g++ makes of the same text; :mod:`benchmarks.kernels` asks.

A device function is compiled with the glm of the tree, where it has one, else with that of the tests; a kernel runs thread by
thread.  Each in double and in float, device functions at 32 threads of inputs, half of them on both sides of 0.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from derivcheck.errors import DerivcheckError
from derivcheck.kernels.cuda.function import DeviceFunction
from derivcheck.kernels.cuda.kernel import Kernel
from tests.kernels import kernel_witness, released, witness

SIZES = ((3, 2, 4, 5, 2), (2, 3, 1, 4, 3))
GROUPED = ((37, 2),)


def differences(functions: Sequence[DeviceFunction], tree: Path) -> dict[int, str]:
    """For each function of one file, by its line: ``equals g++``, or what does not, or why there is no answer."""
    if witness.GXX is None:
        return {f.function.line: "no g++ on this machine" for f in functions}
    plain = [f for f in functions if not isinstance(f, Kernel)]
    found = _compared(plain, tree) if plain else {}
    for f in functions:
        if isinstance(f, Kernel):
            found[f.function.line] = _of_kernel(f, tree)
    return found


def _glm(tree: Path) -> Path | None:
    """Where the glm of a tree is."""
    return next((p.parent.parent for p in tree.rglob("glm/glm.hpp")), None)


def _compared(functions: Sequence[DeviceFunction], tree: Path) -> dict[int, str]:
    glm = _glm(tree)
    text = released.STUBS + released.flattened(Path(functions[0].function.file), ())
    wrong: dict[int, dict[str, None]] = {f.function.line: {} for f in functions}
    with tempfile.TemporaryDirectory() as folder:
        for real in witness.CLOSE:
            try:
                library = witness.compiled(functions, text, Path(folder), real, glm)
            except RuntimeError as e:
                return {f.function.line: _short(e) for f in functions}
            for f in functions:
                inputs = {n: torch.cat([t, witness.drawn(f, 16, True)[n]]) for n, t in witness.drawn(f, 16).items()}
                wrong[f.function.line].update({f"{n} ({real})": None for n in witness.apart(f, library, real, inputs)})
    return {line: f"differs from g++ in {', '.join(names)}" if names else "equals g++" for line, names in wrong.items()}


def _of_kernel(f: Kernel, tree: Path) -> str:
    text = released.flattened(Path(f.function.file), (f.name,))
    text = text if f.memory.hints.groups else released.STUBS + text
    wrong: dict[str, None] = {}
    with tempfile.TemporaryDirectory() as folder:
        for real in witness.CLOSE:
            try:
                library = kernel_witness.compiled([f], text, Path(folder), real, _glm(tree))
                for numbers in GROUPED if f.memory.hints.groups else SIZES:
                    sizes = kernel_witness.sized(f, numbers)
                    wrong.update({f"{n} ({real})": None for n in kernel_witness.apart(f, library, sizes, real)})
            except (RuntimeError, DerivcheckError) as e:
                return _short(e)
    return f"differs from g++ in {', '.join(wrong)}" if wrong else "equals g++"


def _short(e: Exception) -> str:
    first = next((line for line in str(e).splitlines() if "error" in line), str(e).splitlines()[0])
    return f"no answer of g++: {first.strip()[-160:]}"
