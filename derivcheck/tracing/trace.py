"""From a torch function to a Program that holds for every size.

The function is recorded at several size assignments (``assign.py``), the recordings are unified (``unify.py``), and the
rows of :mod:`derivcheck.operators` say what each operator means.

>>> import torch
>>> def loss(x, W, b, y):
...     residual = torch.nn.functional.linear(x, W, b) - y
...     return (residual * residual).mean()
>>> traced = trace(loss, {}, dims={"x": "N in", "W": "out in", "b": "out", "y": "N out"})
>>> traced.wrt
('x', 'W', 'b', 'y')
"""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch

from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.notation.functions import functions
from derivcheck.notation.program import Input, Program
from derivcheck.notation.sizes import Poly, Size, as_poly, size
from derivcheck.notation.terms import number
from derivcheck.operators.build import Builder
from derivcheck.operators.row import Row, apply, find
from derivcheck.operators.values import Value
from derivcheck.tracing import naming
from derivcheck.tracing.assign import Again, Spec, Subject, Traces
from derivcheck.tracing.dims import read_dims
from derivcheck.tracing.fit import Fit
from derivcheck.tracing.torch_internals import Call, Recording, RecordingFailed, Run, Tensor, decomposition, operator_name
from derivcheck.tracing.unify import Differs, Step, Unfitted, Unified, unify

# Operators that give their argument as it is.
_SAME = {
    "aten.lift_fresh.default",
    "aten.alias.default",
    "aten.clone.default",
    "aten.contiguous.default",
    "aten.lift_fresh_copy.default",
    "aten.lift.default",
    "aten.detach_copy.default",
}
_RESERVED = {"grad_output", "torch", "math", "self"}


@dataclass(frozen=True)
class Traced:
    """What tracing gives.

    Attributes:
        program: the forward, for every size.
        wrt: the names of the floating-point inputs and parameters.
        values: tensors that inputs default to: parameters, buffers, constants that the code holds.
        name: a name for what was traced.
        parameters: names of the inputs that are parameters.
    """

    program: Program
    wrt: tuple[str, ...]
    values: dict[str, torch.Tensor]
    name: str = "derived"


def has_row(func: Any) -> bool:
    """Whether an operator is kept whole: it has a row, or it only hands its argument on."""
    name = operator_name(func)
    return name in _SAME or name == "aten.detach.default" or find(name) is not None


def trace(
    f: Callable[..., Any],
    examples: Mapping[str, Any] | None = None,
    dims: Mapping[str, str] | None = None,
    constants: Mapping[str, Any] | None = None,
    *,
    custom_functions: str = "refuse",
) -> Traced:
    """Trace a torch function of named tensors.

    Args:
        f: the function; its tensors are given by parameter name.
        examples: example tensors by name (shapes and dtypes count, values do not); other values are constants.
        dims: dimensions by name instead: ``{"x": "N in", "ids": "int<V: N T>"}``.
        constants: further constants by name.
        custom_functions: ``refuse`` code that runs an ``autograd.Function`` (its backward need not be its forward's gradient),
            or ``forward`` to derive from its forward, and say so.

    Raises:
        UnsupportedOperation: what cannot be derived, with its place.
        InputError: inputs that do not fit the function or each other.
    """
    subject, example, fixed = _subject(f, examples or {}, dims or {}, constants or {})
    name = getattr(f, "__name__", type(f).__name__)
    closed = _closed_over(f)
    return program_of(
        subject,
        example,
        name=name if name.isidentifier() else "derived",
        closed=closed,
        custom_functions=custom_functions,
        symbolic=dims is not None and not example,
    )


# -- the subject --------------------------------------------------------------------
def _subject(
    f: Callable[..., Any], examples: Mapping[str, Any], dims: Mapping[str, str], constants: Mapping[str, Any]
) -> tuple[Subject, dict[str, int] | None, dict[str, Any]]:
    try:
        parameters = inspect.signature(f).parameters
    except (TypeError, ValueError):
        parameters = {}  # type: ignore[assignment]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values()) or not parameters
    given = [*dims, *examples, *constants]
    for n in given:
        if n not in parameters and not open_ended:
            raise InputError(f"there is no parameter {n!r}; the function's parameters are {', '.join(parameters)}")
    missing = [
        p.name
        for p in parameters.values()
        if p.default is p.empty
        and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY, p.POSITIONAL_ONLY)
        and p.name not in given
    ]
    if missing:
        raise InputError(
            f"no example, dims or constant for {', '.join(map(repr, missing))}; give tensors by keyword, or dims={{...}}"
        )
    order = [n for n in parameters if n in given] + [n for n in given if n not in parameters]
    example: dict[str, int] = {}
    specs: list[Spec] = []
    fixed: dict[str, Any] = {}
    structure: dict[str, Any] = {}
    for n in dict.fromkeys(order):
        if n in dims:
            read = read_dims(n, dims[n])
            dtype = {"float": torch.get_default_dtype(), "int": torch.int64, "bool": torch.bool}[read.kind]
            value = examples.get(n)
            if isinstance(value, torch.Tensor):
                dtype = value.dtype
            specs.append(Spec(n, read.dims, dtype, "argument", read.below))
            structure[n] = _Slot(n)
        elif n in examples:
            structure[n] = input_slots(n, examples[n], specs, example)
        else:
            fixed[n] = structure[n] = constants[n]
    if dims and example:
        raise InputError(
            "give every tensor either as an example or by dims: "
            f"{', '.join(s.name for s in specs if s.name not in dims)} came as examples"
        )
    positional = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_ONLY]

    def call(tensors: dict[str, torch.Tensor], run: Run, sizes: Mapping[str, int]) -> Any:
        filled = {n: fill(v, tensors) for n, v in structure.items()}
        return f(*(filled.pop(n) for n in positional), **filled)

    return Subject(tuple(specs), call, has_row, decomposition), example or None, fixed


@dataclass(frozen=True)
class _Slot:
    name: str


def input_slots(name: str, value: Any, specs: list[Spec], example: dict[str, int]) -> Any:
    """The structure of an argument with its tensors replaced by their names; each dimension is a size of its own."""
    if isinstance(value, torch.Tensor):
        specs.append(spec_of(name, value, example))
        return _Slot(name)
    if isinstance(value, (list, tuple)) and any(isinstance(v, torch.Tensor) for v in value):
        made = [input_slots(f"{name}_{k}", v, specs, example) for k, v in enumerate(value)]
        return type(value)(made) if type(value) in (list, tuple) else made
    if isinstance(value, dict) and any(isinstance(v, torch.Tensor) for v in value.values()):
        return {k: input_slots(f"{name}_{k}", v, specs, example) for k, v in value.items()}
    return value


def spec_of(name: str, value: torch.Tensor, example: dict[str, int], role: str = "argument") -> Spec:
    """An input like an example tensor, each of its dimensions a size of its own."""
    if value.layout is not torch.strided:
        raise UnsupportedOperation(f"input {name!r}", f"its layout is {value.layout}; only dense tensors can be derived")
    if value.is_complex():
        raise UnsupportedOperation(
            f"input {name!r}",
            f"it is complex ({value.dtype}); derivcheck derives over the reals",
            instead="Pass the real and imaginary parts as two inputs.",
        )
    dims = []
    for axis, length in enumerate(value.shape):
        symbol = f"{name}.{axis}"
        example[symbol] = int(length)
        dims.append(size(symbol))
    return Spec(name, tuple(dims), value.dtype, role)


def fill(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if isinstance(value, _Slot):
        return tensors[value.name]
    if isinstance(value, (list, tuple)):
        made = [fill(v, tensors) for v in value]
        return made if isinstance(value, list) else type(value)(*made) if hasattr(value, "_fields") else tuple(made)
    if isinstance(value, dict):
        return {k: fill(v, tensors) for k, v in value.items()}
    return value


def _closed_over(f: Any) -> dict[int, str]:
    """Names for the tensors that a function holds: closure cells, globals that it mentions, defaults."""
    found: dict[int, str] = {}
    seen: set[int] = set()

    def look(name: str, value: Any, depth: int) -> None:
        if isinstance(value, torch.Tensor):
            found.setdefault(id(value), name)
            return
        if depth > 3 or id(value) in seen:
            return
        seen.add(id(value))
        if isinstance(value, torch.nn.Module):
            for n, t in [*value.named_parameters(), *value.named_buffers()]:
                found.setdefault(id(t), f"{name}_{n}".replace(".", "_"))
        elif isinstance(value, dict):
            for k, v in list(value.items())[:64]:
                if isinstance(k, str):
                    look(f"{name}_{k}" if name else k, v, depth + 1)
        elif isinstance(value, (list, tuple)):
            for k, v in enumerate(value[:64]):
                look(f"{name}_{k}", v, depth + 1)
        elif inspect.isfunction(value) or inspect.ismethod(value):
            inside(value, depth + 1)

    def inside(g: Any, depth: int) -> None:
        g = inspect.unwrap(g)
        owner = getattr(g, "__self__", None)
        if isinstance(owner, torch.nn.Module):
            look("", owner, depth)
        g = getattr(g, "__func__", g)
        code = getattr(g, "__code__", None)
        if code is None:
            return
        for n, cell in zip(code.co_freevars, g.__closure__ or ()):
            try:
                look(n, cell.cell_contents, depth)
            except ValueError:
                continue
        for n in code.co_names:
            if n in g.__globals__ and not inspect.ismodule(g.__globals__[n]):
                look(n, g.__globals__[n], depth)

    inside(f, 0)
    return found


# -- the walk -------------------------------------------------------------------------
def program_of(
    subject: Subject,
    example: dict[str, int] | None,
    *,
    name: str = "derived",
    closed: Mapping[int, str] | None = None,
    values: Mapping[str, torch.Tensor] | None = None,
    custom_functions: str = "refuse",
    symbolic: bool = False,
    preferred: Mapping[str, str] | None = None,
    late: Mapping[str, str] | None = None,
) -> Traced:
    """Trace a subject: record, unify, apply rows.

    Args:
        example: the example's value for each size, or None where the sizes are named by the user.
        closed: names for tensors that the code holds, by id.
        values: what inputs default to.
        symbolic: the sizes' names are the user's own.
        preferred: names for sizes, by the internal name.
        late: role of each input that the code makes while it runs.
    """
    traces, unified = _explored(subject, example)
    recording = traces.recordings[0]
    if recording.functions and custom_functions == "refuse":
        which, place = next(iter(recording.functions.items()))
        raise UnsupportedOperation(
            f"autograd.Function {which}",
            "its backward is the user's own, and need not be the gradient of its forward",
            place,
            "Derive its forward as a function of its own; dc.check compares the two.",
        )
    walk = _Walk(traces, unified, dict(closed or {}), dict(values or {}), dict(late or {}))
    titles = {} if symbolic else walk.titles(preferred or {})
    program = walk.program(titles)
    wrt = tuple(a.name for a in program.arguments if a.kind == "float" and a.role in ("argument", "parameter"))
    return Traced(program, wrt, walk.values, name)


def _explored(subject: Subject, example: dict[str, int] | None) -> tuple[Traces, Unified]:
    traces = Traces(subject, dict(example) if example is not None else None)
    for _ in range(24):
        traces.restart()
        try:
            traces.explore()
            return traces, _unified(traces)
        except Again:
            continue
    raise InputError("the sizes at which the code runs could not be found; give dims={...} or constants")


def _unified(traces: Traces) -> Unified:
    while True:
        free = traces.free()
        fit = Fit([{n: a[n] for n in free} for a in traces.assignments])
        first = traces.recordings[0]
        known = {first.inputs[s.name]: tuple(traces.resolve(p) for p in s.dims) for s in traces.subject.specs}
        try:
            return unify(traces.recordings, fit, known)
        except Unfitted as e:
            if len(traces.recordings) < 24:
                traces.more()
                continue
            if _fix_one(traces, e.call, "a number of it is no function of the sizes that derivcheck knows"):
                raise Again from None
            raise UnsupportedOperation(
                e.call.operator if e.call else "the traced code",
                f"{e.what} is no function of the sizes that derivcheck "
                f"knows (it is {', '.join(map(str, e.values[:5]))}, … at the sizes traced)",
                e.call.place if e.call else None,
            ) from None
        except Differs as e:
            _differs(traces, e)
            raise Again from None


def _differs(traces: Traces, e: Differs) -> None:
    """Other sizes run other code: fix the size where that is the operator's or a broadcast's nature, else refuse."""
    operator, place = (e.call.operator, e.call.place) if e.call is not None else ("the traced code", None)
    culprits = _culprits(traces)
    if traces.example is not None:
        small = [n for n in culprits if traces.base()[n] <= 1]
        chosen = small or (culprits if e.count or e.call is None or not e.call.frames else [])
        if chosen:
            for n in chosen:
                traces.fix(n, f"{_shown(n)} is fixed at {traces.example[n]}: {operator} at other sizes is other code ({e.why})")
            return
    sizes = ", ".join(_shown(n) for n in culprits) or "the sizes"
    raise UnsupportedOperation(
        operator,
        f"which operators run depends on {sizes} ({e.why}): a loop or a branch over a size",
        place,
        "Write it with whole tensors, or give that dimension as a number in dims={...}",
    )


def _culprits(traces: Traces) -> list[str]:
    """The sizes that change which operators run when they alone change."""
    base = traces.base()
    try:
        plain = traces.at(base)
    except (RecordingFailed, UnsupportedOperation):
        return []
    found = []
    for n in traces.free():
        for step in (1, 2, 3):
            try:
                other = traces.at({**base, n: base[n] + step})
            except (RecordingFailed, UnsupportedOperation):
                continue
            if _skeleton(plain) != _skeleton(other):
                found.append(n)
                break
    return found


def _skeleton(r: Recording) -> list[Any]:
    return [(operator_name(c.func), str(_flags(c.args)), str(_flags(c.kwargs)), str(_flags(c.out))) for c in r.calls]


def _flags(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_flags(v) for v in value]
    if isinstance(value, dict):
        return {k: _flags(v) for k, v in value.items()}
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return 0
    return value


def _fix_one(traces: Traces, call: Call | None, why: str) -> bool:
    return False


def _shown(symbol: str) -> str:
    if "." not in symbol:
        return symbol
    name, axis = symbol.split("__")[0].rsplit(".", 1)
    return f"{name}.shape[{axis}]"


class _Walk:
    """Applies rows to unified steps."""

    def __init__(
        self, traces: Traces, unified: Unified, closed: dict[int, str], values: dict[str, torch.Tensor], late: dict[str, str]
    ) -> None:
        self.traces, self.unified, self.closed, self.values, self.late = traces, unified, closed, values, late
        self.recording = traces.recordings[0]
        self.names = naming.names(self.recording.calls)
        self.by_number = {k: n for n, k in self.recording.inputs.items()}

    # -- what sizes are called --
    def titles(self, preferred: Mapping[str, str]) -> dict[str, Poly]:
        """Readable names for the internal ones (``x.0``), the field's own where an operator is known."""
        taken = {s.name for s in self.traces.subject.specs} | set(self.recording.inputs) | _RESERVED
        taken |= {h for hints in self.names for h in hints if h} | set(functions())
        taken |= {n for n in keyword.kwlist if n not in ("in",)}
        chosen: dict[str, str] = {}

        def claim(symbol: str, title: str) -> None:
            if symbol not in chosen and title not in taken:
                chosen[symbol] = title
                taken.add(title)

        for symbol, title in preferred.items():
            atom = self.traces.resolve(size(symbol)).atom
            if isinstance(atom, Size):
                claim(atom.name, title)
        for step in self.unified.steps:
            for position, arg in enumerate(step.args):
                if not isinstance(arg, Tensor):
                    continue
                dims = self.unified.dims[arg.number]
                for p, title in zip(dims, naming.field_names(step.call.operator, position, len(dims))):
                    if isinstance(p.atom, Size):
                        claim(p.atom.name, title)
        spare = iter(naming.spare_names(taken | {"C", "V"}))
        for symbol in self.traces.free():
            if symbol not in chosen:
                claim(symbol, next(spare))
        for k, symbol in enumerate(self.traces.free()):
            chosen.setdefault(symbol, f"D_{k}")
        return {symbol: size(title) for symbol, title in chosen.items()}

    def program(self, titles: Mapping[str, Poly]) -> Program:
        rename = {Size(n): p for n, p in titles.items()}
        self.rename = rename
        traces, recording = self.traces, self.recording
        sizes = [str(p) for p in titles.values()] or traces.free()
        reserved = {h for hints in self.names for h in hints if h}
        self.b = b = Builder(names=recording.inputs, sizes=sizes, reserved=reserved - set(recording.inputs))
        self.held: dict[int, Any] = {}
        specs = {s.name: s for s in traces.subject.specs}
        self.arguments: list[Input] = []
        for n, k in recording.inputs.items():
            dims, kind = self.dims(k), self.unified.kinds[k]
            below = specs[n].below if n in specs else None
            role = specs[n].role if n in specs else self.late.get(n, "argument")
            below = None if below is None else traces.resolve(below).substitute(rename)
            self.arguments.append(Input(n, dims, kind, below, role))
            self.held[k] = Value(n, dims, kind)
        cache: dict[Any, Any] = {}
        for step, hints in zip(self.unified.steps, self.names):
            self.step(step, hints, cache)
        outputs = self.outputs()
        definitions = tuple(b.definitions)
        program = Program(
            tuple(self.arguments), definitions, tuple(outputs), tuple(self.conditions()), tuple(self.notes(sizes))
        )
        program = program.needed(program.outputs)
        used = set(program.outputs).union(
            *(d.term.names for d in program.definitions), *(p.names for d in program.definitions for p in d.dims)
        )
        kept = tuple(a for a in program.arguments if a.role not in ("buffer", "constant") or a.name in used)
        for n in {a.name for a in program.arguments} - {a.name for a in kept}:
            self.values.pop(n, None)
        order = {"argument": 0, "parameter": 1, "buffer": 2, "constant": 3}
        late = set(self.recording.inputs) - {s.name for s in traces.subject.specs}
        kept = tuple(sorted(kept, key=lambda a: 1.5 if a.name == "target" or a.name in late else order.get(a.role, 0)))
        return replace(program, arguments=kept)

    def dims(self, k: int) -> tuple[Poly, ...]:
        return tuple(p.substitute(self.rename) for p in self.unified.dims[k])

    # -- one operator --
    def step(self, step: Step, hints: list[str | None], cache: dict[Any, Any]) -> None:
        call, b = step.call, self.b
        operator = call.operator
        numbers = _numbers(call.out)
        if operator in _SAME and len(numbers) == 1:
            self.held[numbers[0]] = self.value(step.args[0])
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
            b.begin(operator, "detach", hints[0] or f"{args[0].name}_detached", place=call.place)
            results: list[Any] = [b.held(hints[0] or f"{args[0].name}_detached", args[0])]
        else:
            row = find(operator)
            if row is None:
                raise UnsupportedOperation(operator, "it has no row", call.place)
            results = self.applied(row, step, args, kwargs, numbers, hints)
        if call.stop:
            for j in range(start, len(b.definitions)):
                if b.definitions[j].kind == "float":
                    b.definitions[j] = replace(b.definitions[j], stop=True)
        for k, v in zip(numbers, results):
            self.held[k] = v
        if key is not None:
            cache[key] = results

    def applied(
        self, row: Row, step: Step, args: list[Any], kwargs: dict[str, Any], numbers: list[int], hints: list[str | None]
    ) -> list[Any]:
        call, b = step.call, self.b
        known = {a.name for a in call.func._schema.arguments}
        dropped = {"device", "layout", "pin_memory", "memory_format", "generator", "non_blocking"} & known
        kwargs = {n: v for n, v in kwargs.items() if n not in dropped}
        out_dims = [self.dims(k) for k in numbers]
        kinds = [self.unified.kinds[k] for k in numbers]
        if "complex" in kinds:
            raise UnsupportedOperation(call.operator, "its result is complex; derivcheck derives over the reals", call.place)
        result = apply(row, b, args, kwargs, out_dims, kinds, hints=hints, place=call.place, name=call.operator)
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
        if isinstance(arg, (bool, int, Fraction)) or arg is None:
            return arg
        from derivcheck.notation.terms import Term, substitute

        if isinstance(arg, Term):
            return substitute(arg, self.rename)
        return arg

    def constant(self, k: int) -> Value:
        """A tensor that the code holds: a number, or an input with a default value."""
        tensor = self.recording.constants.get(k)
        if tensor is None:
            raise UnsupportedOperation("a tensor from nowhere", f"tensor {k} is used before it is made")
        for r in self.traces.recordings[1:]:
            other = r.constants.get(k)
            if other is None or other is not tensor and (other.shape != tensor.shape or not _equal(other, tensor)):
                raise UnsupportedOperation(
                    "a tensor built in the traced code",
                    "its values depend on the sizes",
                    instead="Build it with torch.arange, torch.ones or another torch function, or pass it as an input.",
                )
        if tensor.is_complex() or tensor.layout is not torch.strided or tensor.is_quantized:
            raise UnsupportedOperation(
                "a constant tensor", f"it is {tensor.dtype}, {tensor.layout}: only dense real tensors can be derived"
            )
        kind = self.unified.kinds[k]
        if tensor.dim() == 0 and not tensor.requires_grad and tensor.device.type == "cpu" and _has_data(tensor):
            if kind == "bool":
                return Value("constant", (), "bool", ((), number(int(bool(tensor)))))
            v = tensor.item()
            if kind == "int" or v == v and abs(v) != float("inf"):
                return Value(
                    "constant",
                    (),
                    kind,
                    ((), number(v if kind == "int" else Fraction(v) if tensor.dtype is not torch.float64 else v)),
                )
        name = self.b.unique(self.closed.get(id(tensor), "constant"))
        dims = tuple(as_poly(int(n)) for n in tensor.shape)
        role = "parameter" if isinstance(tensor, torch.nn.Parameter) and tensor.requires_grad else "constant"
        self.arguments.append(Input(name, dims, kind, None, role))
        self.values[name] = tensor.detach()
        return Value(name, dims, kind)

    # -- the end --
    def outputs(self) -> list[str]:
        found: list[str] = []
        tensors = _leaves(self.recording.output)
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

    def conditions(self) -> list[str]:
        return list(self.b.conditions)

    def notes(self, sizes: Sequence[str]) -> list[str]:
        traces = self.traces
        out = [f"traced at {len(traces.recordings)} size assignments"]
        fixed = [f"{_shown(n)} = {p.constant}" for n, p in traces.meaning.items() if p.constant is not None]
        if sizes:
            out.insert(0, f"holds for every {', '.join(map(str, sizes))}")
        if fixed:
            out.append(f"fixed sizes: {', '.join(fixed)}")
        groups: dict[str, list[str]] = {}
        for n, p in traces.meaning.items():
            if p.constant is None:
                groups.setdefault(str(traces.resolve(p).substitute(self.rename)), []).append(_shown(n))
        for title, members in groups.items():
            roots = [_shown(str(r)) for r, p in ((a.name, q) for a, q in self.rename.items()) if str(p) == title]
            out.append(
                f"{' = '.join([*roots, *members])} (the code needs them equal)" if roots else f"{' = '.join(members)} = {title}"
            )
        out += list(traces.notes)
        for which, place in self.recording.functions.items():
            out.append(
                f"autograd.Function {which}{f' at {place}' if place else ''}: derived from its forward, not its backward"
            )
        for n in self.recording.written:
            if n in {s.name for s in traces.subject.specs if s.role == "buffer"}:
                out.append(f"{n} is updated by the code; the update is not an output here")
            else:
                out.append(f"{n} is changed in place by the code; gradients are with respect to its value before")
        out += [f"assumes {a}" for a in self.b.assumptions]
        return out


def _has_data(t: torch.Tensor) -> bool:
    return t.device.type != "meta" and type(t) in (torch.Tensor, torch.nn.Parameter)


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.dtype == b.dtype and _has_data(a) and _has_data(b) and bool(torch.equal(a, b))


def _numbers(out: Any) -> list[int]:
    if isinstance(out, Tensor):
        return [out.number]
    if isinstance(out, (list, tuple)):
        return [n for o in out for n in _numbers(o)]
    return []


def _leaves(out: Any) -> list[Tensor]:
    if isinstance(out, Tensor):
        return [out]
    if isinstance(out, dict):
        return [t for v in out.values() for t in _leaves(v)]
    if isinstance(out, (list, tuple)):
        return [t for v in out for t in _leaves(v)]
    return []


def _key(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_key(v) for v in value)
    if isinstance(value, dict):
        return tuple((k, _key(v)) for k, v in value.items())
    return (type(value).__name__, value)


__all__ = ["Traced", "has_row", "program_of", "trace"]
