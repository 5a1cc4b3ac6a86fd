"""``cuda``: a function of CUDA source by its name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.kernels.cuda.function import DeviceFunction
from derivcheck.kernels.cuda.syntax import place, read_sources


def cuda(
    source: str | Path,
    name: str,
    *,
    batch: str = "N",
    include: Iterable[str | Path] = (),
    line: int | None = None,
    **fixed: Any,
) -> DeviceFunction:
    """A ``__device__`` function of CUDA source as a function of named tensors, which everything else takes.

    The source is parsed, not compiled: no GPU, no toolkit, no headers.  Needs ``pip install 'derivcheck-torch[cuda]'``.

    Args:
        source: the path of a ``.cu``, ``.cuh`` or ``.c`` file, or CUDA source itself.  What it includes in quotes is read, too,
            where it is found beside the file or in ``include``.
        name: the function's name.
        batch: the dimensions of the threads, which every input has first: ``"N"``, ``"B H"``, or ``""`` for one thread.
        include: further folders for what is included, or files to read.
        line: the line at which the function begins, where several have this name.
        **fixed: values of parameters (``degree=3``, ``triu=False``), ``None`` for a null pointer, and numbers that a template
            leaves open.  Whole numbers that are not given are read as real ones, and are not differentiated in.

    Returns:
        A :class:`~derivcheck.kernels.cuda.function.DeviceFunction`: its ``inputs``, ``outputs``, ``dims``, ``wrt``.  Real
        numbers are meant in a proof; a check computes in the order that is written.

    Raises:
        InputError: a file, or a function of this name, that is not there, two of them, or a syntax error.
        UnsupportedOperation: what is not read, when the function is first used: ``while``, shared memory, calls of what nothing
            defines … with its line.

    >>> import torch, derivcheck as dc
    >>> square = dc.cuda("__device__ float square(float x) { return x * x; }", "square")
    >>> square(x=torch.tensor([1.0, 3.0]))
    tensor([1., 9.])
    >>> print(dc.derive(square).gradients["x"].definition.term)
    2*grad_output[n]*x[n]
    """
    sources = read_sources(source, include)
    if line is None:
        function = sources.function(name)
    else:
        found = [f for f in sources.functions.get(name, []) if f.line == line]
        if not found:
            raise InputError(f"{sources.file} has no function {name!r} at line {line}")
        function = found[0]
    if function.kernel:
        raise UnsupportedOperation(
            f"__global__ {name}",
            "kernels are not read yet",
            place(function.file, function.node),
            "Read the functions that it calls.",
        )
    return DeviceFunction(sources, function, fixed, batch)
