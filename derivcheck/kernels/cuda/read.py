"""``cuda``: a function or kernel of CUDA source by its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from derivcheck.errors import InputError
from derivcheck.kernels.cuda.function import DeviceFunction
from derivcheck.kernels.cuda.kernel import Kernel
from derivcheck.kernels.cuda.source.syntax import Function, read_sources, text


def cuda(
    source: str | Path,
    name: str,
    *,
    batch: str | None = None,
    dims: Mapping[str, str] | None = None,
    include: Iterable[str | Path] = (),
    line: int | None = None,
    **fixed: Any,
) -> DeviceFunction:
    """A function or kernel of CUDA source (or of C) as a function of named tensors, which everything else takes.

    The source is parsed, not compiled: no GPU, no toolkit, no headers.  Needs ``pip install 'derivcheck-torch[cuda]'``.

    Args:
        source: the path of a ``.cu``, ``.cuh`` or ``.c`` file, or CUDA source itself.  What it includes in quotes is read, too,
            where it is found beside the file or in ``include``.
        name: the function's name.
        batch: of a ``__device__`` function, the dimensions of the threads, which every input has first: ``"N"`` (the default),
            ``"B H"``, or ``""`` for one thread.
        dims: of a ``__global__`` kernel or a function of loops over sizes, how the memory behind pointers is shaped
            (``{"x": "B T C"}``), where its positions do not tell.
        include: further folders for what is included, or files to read.
        line: the line at which the function begins, where several have this name.
        **fixed: values of parameters (``degree=3``, ``triu=False``), ``None`` for a null pointer, and numbers that a template
            leaves open.  Whole numbers that are not given are sizes in a kernel (a text says that one is a product:
            ``N="B*T"``), and real numbers, not differentiated in, in a ``__device__`` function.

    Returns:
        A :class:`~derivcheck.kernels.cuda.function.DeviceFunction`, or a
        :class:`~derivcheck.kernels.cuda.kernel.Kernel`: its ``inputs``, ``outputs``, ``dims``, ``wrt``.  Real
        numbers are meant in a proof; a check computes in the order that is written.

    Raises:
        InputError: a file, or a function of this name, that is not there, two of them, or a syntax error.
        MemoryFault: a position out of bounds, or threads that meet in memory, when the kernel is first used; with its line.
        UnsupportedOperation: what is not read, when the function is first used: ``while``, shared memory, calls of what nothing
            defines … with its line.

    >>> import torch, derivcheck as dc
    >>> square = dc.cuda("__device__ float square(float x) { return x * x; }", "square")
    >>> square(x=torch.tensor([1.0, 3.0]))
    tensor([1., 9.])
    >>> print(dc.derive(square).gradients["x"].definition.term)
    2*grad_output[n]*x[n]
    >>> kernel = dc.cuda('''__global__ void norms(float* out, const float* x, int N, int C) {
    ...     int n = blockIdx.x * blockDim.x + threadIdx.x;
    ...     if (n >= N) return;
    ...     float s = 0.f;
    ...     for (int c = 0; c < C; c++) s += x[n * C + c] * x[n * C + c];
    ...     out[n] = sqrtf(s);
    ... }''', "norms")
    >>> kernel.dims, kernel.output_dims
    ({'x': 'N C'}, {'out': 'N'})
    """
    sources = read_sources(source, include)
    if line is None:
        function = sources.function(name)
    else:
        found = [f for f in sources.functions.get(name, []) if f.line == line]
        if not found:
            raise InputError(f"{sources.file} has no function {name!r} at line {line}")
        function = found[0]
    if dims is not None or batch is None and _of_memory(function, fixed):
        return Kernel(sources, function, fixed, dims or {})
    return DeviceFunction(sources, function, fixed, "N" if batch is None else batch)


def _of_memory(function: Function, fixed: Mapping[str, Any]) -> bool:
    """Whether it runs over memory: a kernel, or a function of the host with pointers and sizes."""
    if function.kernel:
        return True
    pointers = [p for p in function.parameters if "*" in text(p.child_by_field_name("declarator"))]
    return not function.words & {"__device__", "__host__"} and bool(pointers) and function.owner is None
