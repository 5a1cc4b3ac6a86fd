"""One reading of a function: its parameters bound, its body run, its results taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.kernels.cuda.interpreter.machine import Machine
from derivcheck.kernels.cuda.interpreter.scopes import CScope, declared_name, is_const, is_reference
from derivcheck.kernels.cuda.interpreter.statements import RESULT
from derivcheck.kernels.cuda.source import syntax
from derivcheck.kernels.cuda.source.syntax import Function, Sources, place, text
from derivcheck.kernels.cuda.source.types import BOOL, FLOAT, Array, Pointer, Scalar, Struct, Type, Void, shape_of
from derivcheck.kernels.cuda.values.arithmetic import convert
from derivcheck.kernels.cuda.values.values import (
    FLOATS,
    Aggregate,
    CNumber,
    CRef,
    Load,
    Null,
    Refused,
    Start,
    Unset,
    Value,
    aggregate_of,
    filled,
)

if TYPE_CHECKING:
    from tree_sitter import Node

ROOM = 1024


@dataclass(frozen=True)
class Parameter:
    """A parameter of the source: its name and type, and whether something can be written through it."""

    name: str
    type: Type
    writable: bool
    indexed: bool


@dataclass
class Shapes:
    """What a first reading of the body finds: what is read and written, and how large it is.

    Attributes:
        inputs, outputs: shape by name, without the dimensions of the threads.
        floating: the inputs that are floating-point numbers.
        added: the outputs that start from zero, since something is added to them.
        writers: which lines write to an output: the way to the part that is written, and the line.
    """

    inputs: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    outputs: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    floating: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    writers: dict[str, tuple[tuple[tuple[int, ...], str], ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class FunctionRead:
    """What is read: a function, with the values of parameters that are given, and the names of the threads' dimensions."""

    sources: Sources
    function: Function
    fixed: Mapping[str, Any]
    batch: tuple[str, ...]

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.name


class Reading:
    """One reading of the body; without inputs, to find out what it reads and writes."""

    def __init__(
        self, f: FunctionRead, inputs: Mapping[str, Any] | None, shapes: Shapes | None, also: tuple[str, ...] = ()
    ) -> None:
        """``inputs`` and ``shapes`` are None while shapes are looked for; ``also`` names variables that are results, too."""
        self.f, self.given, self.machine = f, inputs, Machine(f.sources)
        self.shapes, self.probing, self.also = shapes or Shapes(), shapes is None, also
        self.rank = 0 if self.probing else len(f.batch)
        self.scope = CScope(f.function, 0)
        self.inner = self.scope
        self.cells: dict[str, CRef] = {}
        self.extent: dict[str, int] = {}
        self.before: dict[str, Value] = {}

    def run(self) -> Value:
        """The value that is returned; the results lie in memory."""
        f, machine = self.f.function, self.machine
        syntax.refuse_errors(f)
        try:
            numbers = {n: v for n, v in self.f.fixed.items() if n in {p[0] for p in f.template}}
            machine.bind_template(f, (), numbers, self.scope)
            for p in self.parameters():
                self.scope.variables[p.name] = self._bound(p)
            self.scope.result = machine.result_type(f, self.scope)
        except Refused as e:
            raise UnsupportedOperation(e.construct, e.reason, place(f.file, f.node), e.instead) from None
        self.before = dict(machine.memory.store)  # type: ignore[arg-type]
        body = f.node.child_by_field_name("body")
        assert body is not None
        self.inner = self.scope.inner()
        exits, goes_on = machine.statements(body.named_children, self.inner)
        return machine.ended(exits, goes_on, body, self.scope)

    def parameters(self) -> list[Parameter]:
        """The parameters, with their types as this function's template is given."""
        found, types, body = [], self.machine.types, self.f.function.node.child_by_field_name("body")
        elements: frozenset[str] | None = None
        for p in self.f.function.parameters:
            declarator, written = p.child_by_field_name("declarator"), p.child_by_field_name("type")
            assert written is not None
            const, name = is_const(p), declared_name(declarator)
            kind = types.declared(types.read(written, self.scope), declarator, self.scope, const)
            writable = not const and (is_reference(declarator) or isinstance(kind, (Pointer, Array)))
            if isinstance(kind, Pointer) and elements is None:
                elements = _indexed(body)
            indexed = isinstance(kind, Array) or isinstance(kind, Pointer) and name in (elements or ())
            found.append(Parameter(name, kind, writable, indexed))
        return found

    def like(self) -> torch.Tensor:
        """A floating-point tensor over the threads."""
        found = None
        for t in (self.given or {}).values():
            if isinstance(t, torch.Tensor) and t.is_floating_point() and t.dim() >= self.rank:
                own = t.dim() - self.rank
                for _ in range(own):
                    t = t.select(-1, 0)
                found = t if found is None else found
        if found is None:
            raise InputError(f"{self.f.name} is called without a tensor over {' '.join(self.f.batch) or 'one thread'}")
        return found

    # -- parameters -----------------------------------------------------------------------

    def _bound(self, p: Parameter) -> CRef:
        """The cell of a parameter: a given value, an input, or a result that starts unwritten."""
        memory, kind = self.machine.memory, p.type
        if p.name in self.f.fixed:
            return memory.new(*self._fixed(p, self.f.fixed[p.name]))
        output = p.writable and not self._is_input(p)
        if isinstance(kind, (Pointer, Array)):
            return self._pointer(p, output)
        value = filled(kind, Start(p.name)) if output else self._value(p.name, kind)
        ref = memory.new(value, kind)
        self.cells[p.name] = ref
        if output:
            memory.outputs[ref.cell] = p.name
        return ref

    def _is_input(self, p: Parameter) -> bool:
        return p.name in self.also if self.probing else p.name in self.shapes.inputs

    def _fixed(self, p: Parameter, value: Any) -> tuple[Value, Type]:
        """A value that was given for a parameter, as C++ has it, with its type."""
        if value is None and isinstance(p.type, Pointer):
            return Null(), p.type
        if isinstance(value, (bool, int, float)) and isinstance(p.type, Scalar):
            return convert(CNumber(value, FLOAT if isinstance(value, float) else p.type), p.type), p.type
        if isinstance(value, (list, tuple)) and isinstance(p.type, (Pointer, Array)):
            of = p.type.to if isinstance(p.type, Pointer) else p.type.of
            assert isinstance(of, Scalar)
            array = Aggregate(Array(of, len(value)), tuple(CNumber(v, of) for v in value))
            cell = self.machine.memory.new(array, array.type)
            return CRef(cell.cell, (0,), of), Pointer(of)
        raise InputError(f"{p.name}={value!r} of {self.f.name}: expected a number, or None for a pointer")

    def _value(self, name: str, kind: Type) -> Value:
        """The value of an input: a number for each element over the threads."""
        if isinstance(kind, Struct):
            parts = ((f"{name}_{n}", t) for n, t in kind.fields)
            return Aggregate(kind, tuple(Load(_not_given(n)) if t == BOOL else self._value(n, t) for n, t in parts))
        shape = shape_of(kind)
        if shape is None:
            raise Refused(f"parameter {name}", "its type is not read")
        if self.probing:
            if kind == BOOL:
                raise Refused(
                    f"{name}, which is true or false", "it is not known which", f"Give it a value, as in {name}=True."
                )
            return aggregate_of(kind, lambda path: self._probe(kind))
        t = self._tensor(name)
        own = t.dim() - len(shape)
        if tuple(t.shape[own:]) != shape or own > self.rank:
            raise InputError(
                f"{name} of {self.f.name} has shape {tuple(t.shape)}; expected {' '.join((*self.f.batch, *map(str, shape)))}"
            )
        return aggregate_of(kind, lambda path: _element(t, path, kind))

    def _tensor(self, name: str) -> torch.Tensor:
        found = (self.given or {})[name]
        return found if isinstance(found, torch.Tensor) else torch.full((), found, dtype=FLOATS[-1])

    def _probe(self, kind: Type) -> CNumber:
        of = _scalar(kind)
        if of == BOOL:
            raise Refused("a parameter that is true or false", "it is not known which", "Give it a value, as in name=True.")
        return CNumber(torch.tensor(0.5, dtype=torch.float64), of)

    def _pointer(self, p: Parameter, output: bool) -> CRef:
        """An array behind a pointer; while shapes are looked for it is long enough, and notes how far it is read."""
        kind, memory = p.type, self.machine.memory
        of = kind.to if isinstance(kind, Pointer) else kind.of  # type: ignore[union-attr]
        if isinstance(of, Pointer):
            raise Refused(f"parameter {p.name}", "a pointer to a pointer is not read")
        known = kind.n if isinstance(kind, Array) else None
        if output:
            items: list[Value] = [filled(of, Start(p.name))] * (known or ROOM)
        elif self.probing:
            items = [aggregate_of(of, lambda path, k=k: Load(lambda: self._seen(p.name, k, of))) for k in range(known or ROOM)]  # type: ignore[misc]
            self.extent.setdefault(p.name, 0)
        elif p.name not in self.shapes.inputs:
            items = [filled(of, Unset())]  # nothing reads it
        else:
            items = self._elements(p, of)
        array = Aggregate(Array(of, len(items)), tuple(items))
        whole = memory.new(array, array.type)
        self.cells[p.name] = whole
        if output:
            memory.outputs[whole.cell] = p.name
        return whole if known else memory.new(CRef(whole.cell, (0,), of), Pointer(of))

    def _seen(self, name: str, k: int, of: Type) -> CNumber:
        self.extent[name] = max(self.extent[name], k + 1)
        return self._probe(of)

    def _elements(self, p: Parameter, of: Type) -> list[Value]:
        """The memory behind a pointer, in the order in which the tensor's elements lie."""
        t, inner = self._tensor(p.name), len(shape_of(of) or ())
        outer = tuple(t.shape[self.rank : t.dim() - inner])

        def load(at: tuple[int, ...]) -> Value:
            return aggregate_of(of, lambda path: Load(lambda: _number(t, (*at, *path), of)))

        return [load(_unravelled(k, outer)) for k in range(math.prod(outer))]

    # -- results --------------------------------------------------------------------------

    def outputs(self, value: Value) -> list[tuple[str, Value, tuple[int, ...]]]:
        """The results by name, with their shapes."""
        found = []
        for n, v in self._returned(value):
            found.append((n, v, self.shapes.outputs[n]))
        for n, ref in self.cells.items():
            for m, v in _fields(n, self.machine.memory.raw(ref)):
                if m in self.shapes.outputs:
                    found.append((m, v, self.shapes.outputs[m]))
        return found

    def locals(self, names: Iterable[str]) -> list[tuple[str, Value, tuple[int, ...]]]:
        """The variables of the body by name."""
        found = []
        for n in names:
            ref = self.inner.variables.get(n)
            if ref is None or ref.cell not in self.machine.memory.store:
                continue
            shape = shape_of(ref.type)
            if shape is not None:
                found.append((n, self.machine.memory.read(ref), shape))
        return found

    def _returned(self, value: Value) -> list[tuple[str, Value]]:
        if isinstance(self.scope.result, Void) or isinstance(value, Unset):
            return []
        if isinstance(value, Aggregate) and isinstance(value.type, Struct):
            return [(n, v) for n, v in _fields("", value)]
        if isinstance(value, (CRef, Null)):
            raise InputError(f"{self.f.name} returns a pointer; expected a number, a vector, a matrix or a struct")
        return [(RESULT, value)]

    def found(self, value: Value) -> Shapes:
        """What the reading found out."""
        shapes, floating = Shapes(), []
        for p in self.parameters():
            if p.name in self.f.fixed or p.writable and p.name not in self.also:
                continue
            for n, kind, shape in self._shaped(p.name, p.type, p.indexed):
                shapes.inputs[n] = shape
                if _scalar(kind).real:
                    floating.append(n)
        for n, v in self._returned(value):
            shapes.outputs[n] = _shape(v)
        for p in self.parameters():
            if p.writable and p.name in self.cells:
                self._written(p, shapes)
        if not shapes.outputs:
            raise InputError(f"{self.f.name} of {self.f.function.file} returns nothing, and writes nothing")
        shapes.floating = tuple(floating)
        shapes.added = tuple(n for n in self.machine.memory.added if n in shapes.outputs)
        shapes.writers = {n: tuple(found) for n, found in self.machine.memory.writers.items()}
        return shapes

    def _shaped(self, name: str, kind: Type, indexed: bool) -> list[tuple[str, Type, tuple[int, ...]]]:
        """The tensors that a parameter stands for, with C++ type and shape: one for each field of a struct."""
        if isinstance(kind, Struct):
            return [x for n, t in kind.fields if t != BOOL for x in self._shaped(f"{name}_{n}", t, True)]
        if isinstance(kind, (Pointer, Array)):
            of = kind.to if isinstance(kind, Pointer) else kind.of
            n = kind.n if isinstance(kind, Array) and kind.n is not None else self.extent.get(name, 0)
            if n == 0:
                return []
            return [(name, of, (n, *(shape_of(of) or ())) if indexed or n > 1 else shape_of(of) or ())]
        return [(name, kind, shape_of(kind) or ())]

    def _written(self, p: Parameter, shapes: Shapes) -> None:
        """Note the shape of what the function wrote through a parameter; what it left as it was is no result."""
        ref = self.cells[p.name]
        now, before = self.machine.memory.raw(ref), self.before[ref.cell]  # type: ignore[index]
        if not isinstance(p.type, (Pointer, Array)):
            for (n, v), (_, old) in zip(_fields(p.name, now), _fields(p.name, before)):
                if v is not old and not _untouched(v, old):
                    shapes.outputs[n] = _shape(v)
            return
        assert isinstance(now, Aggregate) and isinstance(before, Aggregate)
        last = max(
            (k for k, (a, b) in enumerate(zip(now.items, before.items)) if a is not b and not _untouched(a, b)), default=-1
        )
        if last >= 0:
            inner, count = _shape(now.items[last]), last + 1
            if p.name in shapes.inputs:
                shapes.outputs[p.name] = shapes.inputs[p.name]
            else:
                known = p.type.n if isinstance(p.type, Array) and p.type.n is not None else count
                shapes.outputs[p.name] = (known, *inner) if p.indexed or count > 1 else inner


def _not_given(name: str) -> Callable[[], Value]:
    def refuse() -> Value:
        raise Refused(f"{name}, which is true or false", "it is not known which")

    return refuse


def _untouched(now: Value, before: Value) -> bool:
    if isinstance(now, Aggregate) and isinstance(before, Aggregate):
        return all(_untouched(a, b) for a, b in zip(now.items, before.items))
    return now is before or isinstance(now, Start)


def _scalar(kind: Type) -> Scalar:
    while not isinstance(kind, Scalar):
        kind = getattr(kind, "of", FLOAT)
    return kind


def _fields(name: str, value: Value) -> list[tuple[str, Value]]:
    if isinstance(value, Aggregate) and isinstance(value.type, Struct):
        parts = zip(value.type.fields, value.items)
        return [x for (n, _), v in parts for x in _fields(f"{name}_{n}" if name else n, v)]
    return [(name, value)]


def _shape(value: Value) -> tuple[int, ...]:
    return (len(value.items), *_shape(value.items[0])) if isinstance(value, Aggregate) else ()


def _indexed(body: Node | None) -> frozenset[str]:
    """What the body takes elements of, ``p[i]`` or ``p + i``, as it is written."""
    found: set[str] = set()
    left = [body] if body is not None else []
    while left:
        node = left.pop()
        if node.type == "subscript_expression":
            found.add(text(node.child_by_field_name("argument")))
        elif node.type == "binary_expression" and "+" in text(node):
            found.add(text(node.child_by_field_name("left")))
        left += node.named_children
    return frozenset(found)


def _unravelled(k: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    at: list[int] = []
    for n in reversed(shape):
        at.insert(0, k % n)
        k //= n
    return tuple(at)


def _element(t: torch.Tensor, at: tuple[int, ...], kind: Type) -> Value:
    return Load(lambda: _number(t, at, kind)) if at else _number(t, at, kind)


def _number(t: torch.Tensor, at: tuple[int, ...], kind: Type) -> CNumber:
    for k in at:  # the own dimensions are the last ones
        t = t.select(t.dim() - len(at), k) if len(at) else t
        at = at[1:]
    return CNumber(t, _scalar(kind))
