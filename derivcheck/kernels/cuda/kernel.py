"""A kernel, or a function of loops over sizes, as a function of named tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.kernels.cuda.function import DeviceFunction
from derivcheck.kernels.cuda.kernel_reading import KernelReading, given_size
from derivcheck.kernels.cuda.reading import Shapes
from derivcheck.kernels.cuda.source.syntax import Function, Sources, place
from derivcheck.kernels.cuda.values.values import FLOATS, ReadsBefore, Refused
from derivcheck.kernels.lanes.hints import Hints
from derivcheck.kernels.lanes.refused import Again
from derivcheck.notation.integers.polynomials import Poly, Size, as_poly
from derivcheck.notation.text.dims import parse_input

_READINGS = 64


@dataclass
class FirstReading(Shapes):
    """What a first reading of a kernel finds.

    Attributes:
        kinds: of inputs that are no real numbers: ``int`` or ``bool``.
        below: of whole numbers that are positions, what they are below.
        sizes: the sizes that are met.
        numbers: whole numbers that are no size.
        hints: what later readings take over.
    """

    kinds: dict[str, str] = field(default_factory=dict)
    below: dict[str, str] = field(default_factory=dict)
    sizes: tuple[str, ...] = ()
    numbers: frozenset[str] = frozenset()
    hints: Hints = field(default_factory=Hints)


class Kernel(DeviceFunction):
    """A ``__global__`` function, or one of loops over sizes; :func:`derivcheck.cuda` makes it.

    Memory behind a pointer is a tensor whose dimensions its positions tell (``x[b*T*C + t*C + c]``: ``B T C``), or ``dims``;
    whole numbers are sizes.  What is written is a result.

    Attributes:
        declared: the dimensions of pointers that were given.
    """

    def __init__(self, sources: Sources, function: Function, fixed: Mapping[str, Any], dims: Mapping[str, str]) -> None:
        super().__init__(sources, function, fixed, "")
        self.declared = dict(dims)
        unknown = [n for n in dims if n not in self.parameters]
        if unknown:
            raise InputError(f"{self.name} has no parameter {unknown[0]!r}; it has {', '.join(sorted(self.parameters))}")

    def given(self, **fixed: Any) -> Kernel:
        """The same function with more of its parameters given."""
        return Kernel(self.sources, self.function, {**self.fixed, **fixed}, self.declared)

    def shaped(self, dims: Mapping[str, str]) -> Kernel:
        """The same function, the dimensions of pointers given where they are not yet."""
        own = {n: d for n, d in dims.items() if n in self.parameters and n not in self.declared}
        return Kernel(self.sources, self.function, self.fixed, {**own, **self.declared}) if own else self

    @property
    def memory(self) -> FirstReading:
        """What the kernel reads and writes."""
        found = self.shapes
        assert isinstance(found, FirstReading)
        return found

    @property
    def dims(self) -> dict[str, str]:
        """The dimensions of its inputs, as :func:`derivcheck.derive` takes them."""
        return {n: self._dims(n, s) for n, s in self.shapes.inputs.items()}

    @property
    def output_dims(self) -> dict[str, str]:
        """The dimensions of its results."""
        return {n: " ".join(map(_token, s)) for n, s in self.shapes.outputs.items()}

    def _dims(self, name: str, shape: tuple[Any, ...]) -> str:
        text, kind = " ".join(map(_token, shape)), self.memory.kinds.get(name)
        if kind is None:
            return text
        below = self.memory.below.get(name)
        return f"{kind}<{below}: {text}" if below is not None else f"{kind}: {text}"

    @property
    def assumed(self) -> tuple[str, ...]:
        """What is taken for granted."""
        return tuple(self.memory.hints.assumed)

    @property
    def variables(self) -> frozenset[str]:
        """None: a variable has a value in each thread."""
        return frozenset()

    def line(self, output: str, at: tuple[int, ...] = ()) -> str | None:
        """The lines that write to an output."""
        return ", ".join(dict.fromkeys(line for _, line in self.shapes.writers.get(output, ()))) or None

    def saved(self, names: Iterable[str], **inputs: Any) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """The results by name."""
        return self.like(inputs, {}), {}

    def like(self, inputs: Mapping[str, Any], shaped: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The results by name, in the shapes of tensors that are known where no input tells them."""
        for n in self.shapes.inputs:
            if n not in inputs:
                raise InputError(f"{self.name} needs {n!r}")
        for n in inputs:
            if n not in self.shapes.inputs:
                raise InputError(f"{self.name} takes no {n!r}; it takes {', '.join(self.inputs)}")
        memory = self.memory
        run = KernelReading(self.subject, inputs, memory, memory.hints, self._sizes(inputs, shaped))
        FLOATS.append(run.like().dtype)
        try:
            run.run()
            found = {n: run.result(n) for n in self.outputs}
        finally:
            FLOATS.pop()
        return {n: self._unfolded(t, memory.outputs[n], run) for n, t in found.items()}

    def _unfolded(self, t: torch.Tensor, shape: tuple[Any, ...], run: KernelReading) -> torch.Tensor:
        """A result in the dimensions that it is given in, where they are products."""
        sizes = [_expanded(d, self.memory.hints) for d in shape]
        return t if len(sizes) == t.dim() else t.reshape([run.lanes.size(p) for p in sizes])

    def zeros(self, output: str, inputs: Mapping[str, Any], like: torch.Tensor) -> torch.Tensor:
        """A result of zeros."""
        sizes = self._sizes(inputs)
        shape = [_expanded(d, self.memory.hints).evaluate(lambda a: sizes[a.key]) for d in self.memory.outputs[output]]
        return torch.zeros(shape, dtype=like.dtype)

    def _sizes(self, inputs: Mapping[str, Any], shaped: Mapping[str, torch.Tensor] | None = None) -> dict[str, Any]:
        """The sizes that the shapes of inputs tell."""
        memory, sizes, known = self.memory, dict[str, Any](), {**inputs, **(shaped or {})}
        open_: list[tuple[str, Poly, Any]] = []
        for n, shape in (*memory.inputs.items(), *memory.outputs.items()):
            t = known.get(n)
            if n in memory.numbers:
                sizes[n] = t
            if not isinstance(t, torch.Tensor):
                continue
            if t.dim() != len(shape):
                raise InputError(f"{n} of {self.name} has {t.dim()} dimensions; expected {self.dims[n]}")
            for d, count in zip(shape, t.shape):
                p = _expanded(d, memory.hints)
                if isinstance(p.atom, Size):
                    sizes.setdefault(p.atom.name, count)
                else:
                    open_.append((n, p, count))
        for _, p, count in open_:
            unknown = [a for a in p.atoms() if isinstance(a, Size) and a.name not in sizes]
            line = p.linear_in(unknown[0]) if len(unknown) == 1 else None
            if line is not None and line[0] in (1, -1):  # N - 1
                sizes[unknown[0].name] = (count - line[1].at(sizes)) * line[0]
            elif len(unknown) == 1 and len(p.terms) == 1:
                rest = Poly(((tuple(x for x in p.terms[0][0] if x[0] is not unknown[0]), p.terms[0][1]),))
                sizes[unknown[0].name] = count // rest.at(sizes)
        for n in memory.sizes:
            if n not in sizes:
                raise InputError(f"{self.name} needs the size {n}, which no dimension of its inputs tells: name it in dims=")
        return sizes

    def _of_edited(self, shapes: Shapes | None) -> Shapes | None:
        """None: how a kernel's memory is laid out comes from what is read."""
        return None

    def _probed(self) -> FirstReading:
        """Read the kernel without data until its memory's shapes are known; each reading may teach a hint and start anew."""
        hints = Hints()
        for n, v in self.fixed.items():
            if isinstance(v, str):
                hints.parts[n] = given_size(self.name, n, v)
        for n, text in self.declared.items():
            declared = parse_input(n, text)
            hints.dims[n] = declared.dims
            if declared.below is not None:
                hints.below[n] = declared.below
        hints.given = frozenset(self.declared)
        for _ in range(_READINGS):
            sizes = _Sizes()
            run = KernelReading(self.subject, None, None, hints, sizes)
            try:
                run.run()
            except Again:
                continue
            except ReadsBefore as e:
                if e.name in hints.before:
                    raise InputError(f"{self.name} reads {e.name}, and nothing was written there") from None
                hints.before[e.name] = None
                continue
            except Refused as e:
                where = place(self.function.file, self.function.node)
                raise UnsupportedOperation(e.construct, e.reason, where, e.instead) from None
            return self._found(run, hints, tuple(sizes))
        raise UnsupportedOperation(self.name, "it is not seen how its memory is shaped", self.function.file)

    def _found(self, run: KernelReading, hints: Hints, sizes: tuple[str, ...]) -> FirstReading:
        """What the reading found out."""
        found, floating = FirstReading(hints=hints), []
        for n, shape, kind in run.inputs():
            found.inputs[n] = self._shape(n, shape)
            if kind == "real":
                floating.append(n)
            else:
                found.kinds[n] = kind
        for n, flat in run.flats.items():
            if flat.writers:
                found.outputs[n] = self._shape(n, flat.all)
                found.writers[n] = tuple(flat.writers)
        if not found.outputs:
            raise InputError(f"{self.name} of {self.function.file} writes nothing")
        found.floating = tuple(floating)
        found.added = tuple(n for n, flat in run.flats.items() if flat.added)
        found.below = {n: str(b) for n, b in hints.below.items() if n in found.inputs}
        told = {
            n for s in (*found.inputs.values(), *found.outputs.values()) for d in s for n in hints.product(as_poly(d)).sizes()
        }
        plain = [n for n in sizes if n not in told and n not in run.lanes.measured and n in self.parameters]
        found.numbers = frozenset(plain)
        found.inputs.update((n, ()) for n in plain)  # a whole number that is no size: read as a real one
        found.sizes = tuple(n for n in sizes if n not in plain)
        return found

    def _shape(self, name: str, shape: tuple[Poly, ...]) -> tuple[Poly, ...]:
        return parse_input(name, self.declared[name]).dims if name in self.declared else shape


def _expanded(d: Any, hints: Hints) -> Poly:
    return hints.product(as_poly(d))


def _token(d: Any) -> str:
    return str(d).replace(" ", "")


class _Sizes(dict[str, int]):
    """Small sizes for a first reading, each made when it is asked for."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> int:
        self[name] = 2 + len(self) % 2
        return self[name]
