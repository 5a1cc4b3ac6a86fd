"""One reading of a kernel: pointers are flat memory, whole numbers are sizes, a thread is an index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.kernels.cuda.interpreter.scopes import declared_name
from derivcheck.kernels.cuda.reading import FunctionRead, Parameter, Reading, Shapes
from derivcheck.kernels.cuda.source.syntax import place
from derivcheck.kernels.cuda.source.types import BOOL, Array, Pointer, Scalar, Type, shape_of
from derivcheck.kernels.cuda.values.values import FLOATS, CNumber, CRef, Refused, Value
from derivcheck.kernels.lanes.apart import refuse_meeting, refuse_shared
from derivcheck.kernels.lanes.flat import FlatMemory
from derivcheck.kernels.lanes.hints import Hints
from derivcheck.kernels.lanes.lanes import Lanes
from derivcheck.kernels.lanes.refused import MemoryFault, UnplacedFault
from derivcheck.kernels.lanes.wholes import whole
from derivcheck.notation.integers.polynomials import Poly, Size, as_poly
from derivcheck.notation.text.dims import parse_dims


class KernelReading(Reading):
    """A reading of the body over all threads."""

    def __init__(
        self, f: FunctionRead, inputs: Mapping[str, Any] | None, shapes: Shapes | None, hints: Hints, sizes: Mapping[str, Any]
    ) -> None:
        """``inputs`` and ``shapes`` are None while shapes are looked for; ``hints`` are what former readings taught."""
        super().__init__(f, inputs, shapes)
        self.rank, self.hints = 0, hints
        self.lanes = Lanes(hints, sizes, self.probing)
        self.machine.lanes = self.machine.memory.lanes = self.lanes
        self.machine.parameters = frozenset(declared_name(p.child_by_field_name("declarator")) for p in f.function.parameters)
        self.flats: dict[str, FlatMemory] = {}
        self.scalars: list[tuple[str, tuple[Poly, ...], str]] = []

    def run(self) -> Value:
        """Read the body; the results lie in memory."""
        value = super().run()
        where = place(self.f.function.file, self.f.function.node)
        try:
            for axis in self.lanes.axes:
                refuse_meeting(self.flats.values(), axis)
            if self.hints.groups:
                refuse_shared(self.flats.values(), self.hints.groups)
        except UnplacedFault as e:
            raise MemoryFault(f"{where}: {e}") from None
        except Refused as e:
            raise UnsupportedOperation(e.construct, e.reason, where, e.instead) from None
        if self.f.function.kernel:
            self._alone()
        return value

    def _alone(self) -> None:
        """What a kernel takes for granted by what it does not ask for."""
        used = {*self.lanes.threads, *self.hints.groups}
        if "warp" in used or self.hints.warps:
            return
        for name, other, size in (("blockIdx.x", "threadIdx.x", "blockDim.x"), ("threadIdx.x", "blockIdx.x", "gridDim.x")):
            if name in used and other not in used:
                self.hints.assumed[f"{size} = 1, since {other} is not asked for"] = None
        if not used:
            self.hints.assumed["it is launched with one thread"] = None

    def inputs(self) -> list[tuple[str, tuple[Poly, ...], str]]:
        """What is read: name, dimensions, and whether it is real, int or bool."""
        found = {n: (s, k) for n, s, k in self.scalars}
        for n, flat in self.flats.items():
            if not flat.starts and flat.log:
                found[n] = flat.all, "bool" if flat.dtype == torch.bool else "int" if flat.whole else "real"
        return [(p.name, *found[p.name]) for p in self.parameters() if p.name in found]

    def result(self, name: str) -> torch.Tensor:
        """A result, in its dimensions."""
        return self.flats[name].tensor()

    # -- parameters ---------------------------------------------------------------------------

    def _bound(self, p: Parameter) -> CRef:
        """The cell of a parameter: flat memory behind a pointer, a whole number of sizes, or values for each launch."""
        memory, kind, fixed = self.machine.memory, p.type, self.f.fixed
        if p.name in fixed and not isinstance(fixed[p.name], str):
            return memory.new(*self._fixed(p, fixed[p.name]))
        if isinstance(kind, (Pointer, Array)):
            return self._flat(p, kind)
        if isinstance(kind, Scalar) and not kind.real and kind != BOOL:
            return memory.new(CNumber(whole(self.hints.product(as_poly(Size(p.name))), self.lanes), kind), kind)
        shape = shape_of(kind)
        if shape is None:
            raise Refused(f"parameter {p.name}", "its type is not read in a kernel", "Pass its fields.")
        self.scalars.append((p.name, tuple(map(as_poly, shape)), "real"))
        return memory.new(self._value(p.name, kind), kind)

    def _flat(self, p: Parameter, kind: Pointer | Array) -> CRef:
        """Memory behind a pointer; an output where it is written and never read before."""
        of = kind.to if isinstance(kind, Pointer) else kind.of
        inner = shape_of(of)
        if inner is None:
            raise Refused(f"parameter {p.name}", "what it points to is no number, vector or matrix")
        scalar = _leaf(of)
        output = p.writable and p.name not in self.hints.before
        dtype = FLOATS[-1] if scalar.real else torch.bool if scalar == BOOL else torch.int64
        dims = self._dims(p.name, len(inner))
        flat = FlatMemory(p.name, self.lanes, inner, not scalar.real, dims, starts=output, dtype=dtype)
        if not output and dims is not None:
            flat.source = self._source(p.name, flat)
        self.flats[p.name] = flat
        memory = self.machine.memory
        return memory.new(CRef(memory.hold(flat), (as_poly(0),), of), Pointer(of))

    def _dims(self, name: str, inner: int) -> tuple[Poly, ...] | None:
        dims = self.hints.dims.get(name)
        if dims is None:
            return None
        if name in self.hints.given:
            dims = dims[: len(dims) - inner]
            dims = tuple(f for d in dims for f in self.hints.factors(d))
        return tuple(map(self.hints.product, dims))

    def _source(self, name: str, flat: FlatMemory) -> torch.Tensor | None:
        """What lies in an input."""
        shape = [self.lanes.size(d) for d in flat.all]
        if self.probing:
            return torch.full(shape, 1 if flat.dtype == torch.bool else 0 if flat.whole else 0.5, dtype=flat.dtype)
        if name not in self.shapes.inputs:
            return None
        t = self._tensor(name)
        return t if len(shape) == t.dim() else t.reshape(shape)


def given_size(function: str, name: str, text: str) -> tuple[Poly, ...]:
    """A size that is given as a product: ``B*T*C``, its factors in order."""
    found: list[Poly] = []
    for part in text.split("*"):
        dims = parse_dims(part)
        if len(dims) != 1:
            raise InputError(f"{name}={text!r} of {function}: expected a product of sizes, as in 'B*T*C'")
        found += dims
    return tuple(found)


def _leaf(kind: Type) -> Scalar:
    while not isinstance(kind, Scalar):
        kind = kind.column if hasattr(kind, "column") else kind.of  # type: ignore[union-attr]
    return kind
