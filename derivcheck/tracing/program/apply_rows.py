"""From unified recordings to a Program: each operator's row is applied to symbolic arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import torch

from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Poly, Size, as_poly, size
from derivcheck.notation.program.definitions import Input, Site
from derivcheck.notation.program.domains import dropped_conditions
from derivcheck.notation.program.program import NOT_TWICE, Program
from derivcheck.notation.program.requirements import Requirement
from derivcheck.notation.terms.build import number
from derivcheck.notation.terms.dropped import listening
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.substitute import substitute
from derivcheck.operators.indexing.distinct import surely_distinct
from derivcheck.operators.language.build import Builder, KnownResults
from derivcheck.operators.language.row import OperatorRow, apply, find
from derivcheck.operators.language.values import Value
from derivcheck.tracing.program.left_out import left_out
from derivcheck.tracing.program.notes import notes
from derivcheck.tracing.recording import naming
from derivcheck.tracing.recording.data import Tensor, tensors_in
from derivcheck.tracing.recording.decompositions import SAME
from derivcheck.tracing.sizes.assign import Traces
from derivcheck.tracing.sizes.compared import Conditions, tightest
from derivcheck.tracing.sizes.precision import no_rounding, overflows
from derivcheck.tracing.sizes.unify import Unified, UnifiedCall
from derivcheck.tracing.watching.decimals import rounded
from derivcheck.tracing.watching.rational import exact

# Roles in the order of a Program's arguments; a target, or what was asked for on the way, comes after the parameters (1.5).
_ORDER = {"argument": 0, "parameter": 1, "buffer": 2, "constant": 3}


@dataclass(frozen=True)
class CodeTensors:
    """The tensors of the traced code beside its arguments.

    Attributes:
        values: what inputs default to: parameters and buffers.
        closed: names for tensors that the code holds, by id.
        late: role of each input that the code makes while it runs; filled as it does.
    """

    values: Mapping[str, torch.Tensor] = field(default_factory=dict)
    closed: Mapping[int, str] = field(default_factory=dict)
    late: Mapping[str, str] = field(default_factory=dict)


class Walk:
    """Applies rows to unified steps."""

    def __init__(self, traces: Traces, unified: Unified, tensors: CodeTensors) -> None:
        self.traces, self.unified, self.closed, self.late = traces, unified, tensors.closed, tensors.late
        self.values = dict(tensors.values)
        self.recording = traces.recordings[0]
        self.said: list[str] = []
        self.names = naming.names(self.recording.calls)

    def program(self, titles: Mapping[str, Poly]) -> Program:
        """The Program: inputs, the rows of all steps, outputs, then what all of it needs of the sizes."""
        self.rename = {Size(n): p for n, p in titles.items()}
        self.traced = [{str(titles.get(n, n)): v for n, v in a.items()} for a in self._generic()]
        sizes = [str(p) for p in titles.values()] or self.traces.free()
        inputs = self.recording.inputs
        reserved = {h for hints in self.names for h in hints if h} - set(inputs)
        self.b = Builder(names=inputs, sizes=sizes, reserved=reserved, traced=self.traced)
        self.held: dict[int, Any] = {}
        self.arguments: list[Input] = []
        self.inputs()
        with listening() as heard:
            dropped = self.steps(heard)
            outputs = self.outputs()
        return self.needed(self.whole(outputs, sizes, dropped), dropped)

    def inputs(self) -> None:
        """The inputs of the recording as arguments of the Program."""
        specs = {s.name: s for s in self.traces.subject.specs}
        for n, k in self.recording.inputs.items():
            dims, kind = self.dims(k), self.unified.kinds[k]
            below = specs[n].below if n in specs else None
            below = None if below is None else self.traces.resolve(below).substitute(self.rename)
            role = specs[n].role if n in specs else self.late.get(n, "argument")
            self.arguments.append(Input(n, dims, kind, below, role))
            self.held[k] = Value(n, dims, kind)

    def steps(self, heard: Mapping[Term, Any]) -> tuple[Term, ...]:
        """Apply the rows; what products with 0 left out of the terms (``heard``) and may not be a number is given back."""
        cache: dict[Any, Any] = {}
        dropped: dict[Term, None] = {}
        for step, hints in zip(self.unified.steps, self.names):
            before = len(heard)
            self.step(step, hints, cache)
            if len(heard) > before:
                dropped.update(dict.fromkeys(left_out(list(heard)[before:], self.b, self.values, step.call)))
        return tuple(dropped)

    def whole(self, outputs: list[str], sizes: list[str], dropped: tuple[Term, ...]) -> Program:
        """All that was defined, with what rows and the code's own comparisons ask of the sizes."""
        b, traces = self.b, self.traces
        self.lengths()
        for r in b.requires:
            if traces.example is not None and not r.holds(self.traced[0]):
                raise UnsupportedOperation("the traced code", f"an operator's row needs {r}, which the example does not fulfil")
        definitions = tuple(b.definitions)
        if not all(surely_distinct(put, definitions, outputs) for put in b.scatters):
            b.assume(NOT_TWICE)
        needs, words = self.compared()
        plain = [c for c in b.conditions if c not in {str(r) for r in needs}]  # those of the code's own have their line
        return Program(
            tuple(self.arguments),
            definitions,
            tuple(outputs),
            tuple(dict.fromkeys([*plain, *words])),
            tuple(notes(traces, self.rename, b, sizes, self.said)),
            requires=tuple(dict.fromkeys([*b.requires, *needs])),
            dropped=dropped,
            only=tuple(key for key in self.recording.chosen_by if key[0] in ("dtype", "device")),
        )

    def needed(self, program: Program, dropped: tuple[Term, ...]) -> Program:
        """What the outputs need of it, arguments in the order of ``_ORDER``; a buffer or constant that nothing reads goes."""
        program = program.needed(program.outputs)
        more = dropped_conditions(dropped, program.definitions)
        program = replace(program, conditions=tuple(dict.fromkeys([*program.conditions, *more])))
        used = set(program.outputs).union(
            *(d.term.names for d in program.definitions), *(p.names for d in program.definitions for p in d.dims)
        )
        kept = tuple(a for a in program.arguments if a.role not in ("buffer", "constant") or a.name in used)
        for n in {a.name for a in program.arguments} - {a.name for a in kept}:
            self.values.pop(n, None)
        late = set(self.recording.inputs) - {s.name for s in self.traces.subject.specs} | {"target"}
        return replace(program, arguments=tuple(sorted(kept, key=lambda a: 1.5 if a.name in late else _ORDER.get(a.role, 0))))

    def _generic(self) -> list[dict[str, int]]:
        free = self.traces.free()
        return [{n: a[n] for n in free} for a in self.traces.assignments]

    def dims(self, k: int) -> tuple[Poly, ...]:
        return tuple(p.substitute(self.rename) for p in self.unified.dims[k])

    # -- one operator --
    def step(self, step: UnifiedCall, hints: list[str | None], cache: dict[Any, Any]) -> None:
        """The values that one operator gives; the same operator on the same values is not defined twice."""
        call, b = step.call, self.b
        operator = call.operator
        numbers = [t.number for t in tensors_in(call.out)]
        if operator in SAME and len(numbers) == 1:
            same = self.value(step.args[0])
            if call.stop:
                b.begin(operator, "detach", "z", KnownResults(hints=hints, place=call.place))
                same = b.held(hints[0] or f"{same.name}_detached", same)
            self.held[numbers[0]] = same
            return
        args = [self.value(a) for a in step.args]
        kwargs = {n: self.value(v) for n, v in step.kwargs.items()}
        key = None
        try:
            key = (operator, _key(args), _key(kwargs), call.stop)
            hash(key)
        except TypeError:
            key = None
        if key is not None and not any(hints) and key in cache:
            for k, v in zip(numbers, cache[key]):
                self.held[k] = v
            return
        start = len(b.definitions)
        if operator == "aten.detach.default":
            name = hints[0] or f"{args[0].name}_detached"
            b.begin(operator, "detach", name, KnownResults(hints=hints, place=call.place))
            results: list[Any] = [b.held(name, args[0])]
        else:
            row = find(operator)
            if row is None:
                raise UnsupportedOperation(operator, "it has no row", call.place)
            results = self.applied(row, step, args, kwargs, numbers, hints)
        sites = tuple(Site(f.file, f.line, f.function, f.call, f.span) for f in call.frames)
        b.definitions[start:] = [replace(d, sites=sites) for d in b.definitions[start:]]
        if call.stop:
            for j in range(start, len(b.definitions)):
                if b.definitions[j].kind == "float":
                    b.definitions[j] = replace(b.definitions[j], stop=True)
            made = {d.name for d in b.definitions[start:]}
            results = [self.stopped(v, v.name in made) for v in results]
        for k, v in zip(numbers, results):
            self.held[k] = v
        if key is not None:
            cache[key] = results

    def applied(
        self,
        row: OperatorRow,
        step: UnifiedCall,
        args: list[Any],
        kwargs: dict[str, Any],
        numbers: list[int],
        hints: list[str | None],
    ) -> list[Any]:
        """What the row gives, held against the shapes that torch gave."""
        call, b = step.call, self.b
        known = {a.name for a in call.func._schema.arguments}
        dropped = {"device", "layout", "pin_memory", "memory_format", "generator", "non_blocking"} & known
        kwargs = {n: v for n, v in kwargs.items() if n not in dropped}
        out_dims = [self.dims(k) for k in numbers]
        kinds = [self.unified.kinds[k] for k in numbers]
        if "complex" in kinds:
            raise UnsupportedOperation(call.operator, "its result is complex; derivcheck derives over the reals", call.place)
        no_rounding(step, self.recording, numbers, self.unified.kinds)
        wraps = overflows(step, self.recording, numbers)
        if wraps is not None:
            b.assume(wraps)
        result = apply(row, b, args, kwargs, KnownResults(out_dims, kinds, hints, call.place), call.operator)
        results: list[Any] = list(result) if isinstance(result, (tuple, list)) else [result]
        if len(results) < len(numbers):
            results += [None] * (len(numbers) - len(results))
        for v, dims in zip(results, out_dims):
            if v is not None and tuple(v.dims) != dims:
                raise UnsupportedOperation(
                    call.operator,
                    f"its row gives the dimensions ({', '.join(map(str, v.dims))}) where torch has "
                    f"({', '.join(map(str, dims))})",
                    call.place,
                )
        return results

    def value(self, arg: Any) -> Any:
        """An argument as rows take it: tensors are values, numbers are expressions in the derivation's sizes."""
        if isinstance(arg, Tensor):
            if arg.number not in self.held:
                self.held[arg.number] = self.constant(arg.number)
            found = self.held[arg.number]
            if found is None:
                raise UnsupportedOperation("a result that its row does not give", "it is used", None)
            return found
        if isinstance(arg, list):
            return [self.value(a) for a in arg]
        if isinstance(arg, dict):
            return {n: self.value(v) for n, v in arg.items()}
        if isinstance(arg, Poly):
            p = arg.substitute(self.rename)
            return p if p.constant is None else p.constant
        if isinstance(arg, float):
            self.of_type(arg)
        if isinstance(arg, Fraction):
            self.of_type(float(arg))
            return arg
        if isinstance(arg, (bool, int)) or arg is None:
            return arg
        if isinstance(arg, Term):
            return substitute(arg, self.rename)
        return arg

    def of_type(self, x: float) -> None:
        """Say where a number is a limit of the floating-point type that was traced with."""
        for dtype in {
            self.recording.metas[k].dtype for k in self.recording.inputs.values() if self.unified.kinds[k] == "float"
        }:
            limits = torch.finfo(dtype)
            for name in ("eps", "max", "min", "tiny"):
                if x == getattr(limits, name):
                    self.b.assume(f"the type is {str(dtype).removeprefix('torch.')}: its {name}, {x:.6g}, stands in the code")

    def constant(self, k: int) -> Value:
        """A tensor that the code holds: a number, or an input with a default value."""
        tensor = self.recording.constants.get(k)
        if tensor is None:
            raise UnsupportedOperation("a tensor from nowhere", f"tensor {k} is used before it is made")
        if tensor.is_complex() or tensor.layout is not torch.strided or tensor.is_quantized:
            raise UnsupportedOperation(
                "a constant tensor", f"it is {tensor.dtype}, {tensor.layout}: only dense real tensors can be derived"
            )
        kind = self.unified.kinds[k]
        self.say_rounded(tensor)
        if tensor.dim() == 0 and not tensor.requires_grad and tensor.device.type == "cpu" and _has_data(tensor):
            if kind == "bool":
                return Value("constant", (), "bool", ((), number(int(bool(tensor)))))
            v = tensor.item()
            if kind == "int" or v == v and abs(v) != float("inf"):
                return Value(
                    "constant",
                    (),
                    kind,
                    ((), number(v if kind == "int" else exact(v))),
                )
        if not _has_data(tensor):
            raise UnsupportedOperation("a tensor built in the traced code", "where it comes from is not known")
        name = self.b.unique(self.closed.get(id(tensor), "constant"))
        dims = tuple(as_poly(int(n)) for n in tensor.shape)
        role = "parameter" if isinstance(tensor, torch.nn.Parameter) and tensor.requires_grad else "constant"
        self.arguments.append(Input(name, dims, kind, None, role))
        self.values[name] = tensor.detach()
        return Value(name, dims, kind)

    def say_rounded(self, tensor: torch.Tensor) -> None:
        """A decimal that the code was given in a narrow type is that type's number."""
        decimal = rounded(tensor) if _has_data(tensor) else None
        if decimal is not None:
            exactly = torch.tensor(decimal, dtype=tensor.dtype).item()
            name = self.closed.get(id(tensor), "a constant")
            self.said.append(f"{name} holds {str(tensor.dtype).removeprefix('torch.')}'s {decimal:g}, which is {exactly!r}")

    def stopped(self, v: Any, made: bool) -> Any:
        """A result through which no gradient flows: a view must not melt into its uses, an operand come back be held."""
        if v is None or v.kind != "float":
            return v
        if not made:
            return self.b.held(f"{v.name}_detached", v)
        return v if v.closed is None or not v.closed[1].names else replace(v, closed=None)

    # -- the end --
    def outputs(self) -> list[str]:
        """The names of what is returned; an input, or what is returned twice, is defined again under a name of its own."""
        found: list[str] = []
        tensors = tensors_in(self.recording.output)
        if not tensors:
            raise InputError("the traced function returns no tensor; a derivation needs at least one output")
        for t in tensors:
            v = self.value(t)
            taken = (
                v.name in found
                or v.name in {a.name for a in self.arguments}
                or v.name not in {d.name for d in self.b.definitions}
            )
            if taken:
                self.b.begin("output", "output", "y")
                at = self.b.indices(v.dims)
                v = self.b.define(v.name if v.closed is None else "y", at, v[at], kind=v.kind)
            found.append(v.name)
        return found

    def lengths(self) -> None:
        """No dimension is negative: ``N - 1`` is none where ``N`` is 0, and torch leaves nothing there."""
        for p in dict.fromkeys(p for k in range(len(self.unified.dims)) for p in self.dims(k) if not nonnegative(p, 0)):
            one = len(p.sizes()) == 1 and nonnegative(p, 1)
            needs = Requirement(size(*p.sizes()), ">=", as_poly(1)) if one else Requirement(p, ">=", as_poly(0))
            if not needs.implied(self.b.requires):
                self.b.require(needs.left, ">=", needs.right)
        known = self.traces.expressions
        for name in sorted(known.positive) if known is not None else ():
            least = Requirement(self.traces.resolve(size(name)).substitute(self.rename), ">=", as_poly(1))
            if not least.implied(self.b.requires):
                self.b.require(least.left, ">=", least.right)

    def compared(self) -> tuple[list[Requirement], list[str]]:
        """What the code found when it compared sizes, as relations and in words with the line."""
        known = self.traces.expressions
        assert known is not None
        first = self.recording
        seen = {p: known.resolved(self.traces.resolve(p)) for c in first.log.comparisons for p in (c.left, c.right)}
        found = [
            (Requirement(r.left.substitute(self.rename), r.relation, r.right.substitute(self.rename)), str(place))
            for r, place in Conditions(first, seen).known()
        ]
        kept = tightest(list(dict.fromkeys(found)))
        types = [f"{name} = {value} at {place}" for (name, value), place in first.chosen_by.items()]
        return [r for r, _ in kept], [*(f"{r} at {place}" for r, place in kept), *types]


def _has_data(t: torch.Tensor) -> bool:
    return t.device.type != "meta" and type(t) in (torch.Tensor, torch.nn.Parameter)


def _key(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_key(v) for v in value)
    if isinstance(value, dict):
        return tuple((k, _key(v)) for k, v in value.items())
    return (type(value).__name__, value)
