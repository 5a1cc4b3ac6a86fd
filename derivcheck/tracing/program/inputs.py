"""The inputs of a traced function: which tensors it takes, what is a constant, which tensors it holds."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from derivcheck.errors import InputError, UnsupportedOperation, perhaps
from derivcheck.notation.integers.polynomials import Poly, size
from derivcheck.notation.program.definitions import Input
from derivcheck.notation.text.dims import parse_input
from derivcheck.tracing.recording.run import Run
from derivcheck.tracing.sizes.assign import Spec, Traceable
from derivcheck.tracing.watching.whose_code import user_file


def function_subject(
    f: Callable[..., Any],
    examples: Mapping[str, Any],
    dims: Mapping[str, str | Input],
    constants: Mapping[str, Any],
    named: Named | None = None,
) -> tuple[Traceable, dict[str, int] | None, dict[str, Any]]:
    """The function as something to trace, the sizes of its example (None with ``dims``), and the constants."""
    parameters, given = _parameters(f), [*dims, *examples, *constants]
    _refuse_unfit(parameters, given)
    order = [n for n in parameters if n in given] + [n for n in given if n not in parameters]
    example: dict[str, int] = {}
    specs: list[Spec] = []
    fixed: dict[str, Any] = {}
    structure: dict[str, Any] = {}
    for n in dict.fromkeys(order):
        if n in dims:
            specs.append(_spec_by_dims(n, dims[n], examples.get(n)))
            structure[n] = _Slot(n)
        elif n in examples:
            structure[n] = input_slots(n, examples[n], specs, example, named)
        else:
            fixed[n] = structure[n] = constants[n]
    if dims and example:
        raise InputError(
            "give every tensor either as an example or by dims: "
            f"{', '.join(s.name for s in specs if s.name not in dims)} came as examples"
        )
    positional = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_ONLY]

    def call(tensors: dict[str, torch.Tensor], run: Run, sizes: Mapping[str, int]) -> Any:
        filled = {n: fill(v, tensors) for n, v in structure.items() if n in parameters or not n.startswith("dropout_mask")}
        return f(*[filled.pop(n) for n in positional if n in filled], **filled)  # a lone generator would be read too late

    def actual() -> Any:
        given = {n: copied(v) for n, v in {**fixed, **examples}.items() if n in parameters or not n.startswith("dropout_mask")}
        with torch.no_grad():
            return f(*[given.pop(n) for n in positional if n in given], **given)

    subject = Traceable(tuple(specs), call, actual=actual if example else None, modules=tuple(module_names(f)))
    return subject, example or None, fixed


def _refuse_unfit(parameters: Mapping[str, inspect.Parameter], given: Sequence[str]) -> None:
    """Refuse names that the function does not have, and parameters without a default that are not given."""
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values()) or not parameters
    for n in given:
        if n not in parameters and not open_ended and not n.startswith("dropout_mask"):
            theirs = f"the function's parameters are {', '.join(parameters)}"
            raise InputError(f"there is no parameter {n!r}; {theirs}{perhaps(n, parameters)}")
    needed = (p for p in parameters.values() if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
    missing = ", ".join(repr(p.name) for p in needed if p.name not in given)
    if missing:
        raise InputError(f"no example, dims or constant for {missing}; give tensors by keyword, or dims={{...}}")


def _spec_by_dims(name: str, dims: str | Input, example: Any) -> Spec:
    """An input of given dimensions, in the type of its example where it has one."""
    read = dims if isinstance(dims, Input) else parse_input(name, dims)
    dtype = {"float": torch.get_default_dtype(), "int": torch.int64, "bool": torch.bool}[read.kind]
    if isinstance(example, torch.Tensor):
        dtype = example.dtype
    return Spec(name, read.dims, dtype, "argument", read.below)


def module_names(*functions: Any) -> list[dict[str, Any]]:
    """The names of the user's modules that functions stand in."""
    found: dict[int, dict[str, Any]] = {}
    for f in functions:
        g = inspect.unwrap(getattr(f, "func", f)) if callable(f) else f
        code, names = getattr(g, "__code__", None), getattr(g, "__globals__", None)
        if code is not None and names is not None and user_file(code.co_filename):
            found[id(names)] = names
    return list(found.values())


def copied(value: Any) -> Any:
    """An argument with copies of its tensors."""
    leaves: dict[str, torch.Tensor] = {}
    found = slots("", value, leaves.__setitem__)
    return fill(found, {n: t.detach().clone() for n, t in leaves.items()})


@dataclass(frozen=True)
class Named:
    """Dimensions of example inputs by the user's names, and what these sizes are there."""

    dims: Mapping[str, tuple[Poly, ...]]
    sizes: Mapping[str, int]

    def of(self, name: str) -> frozenset[str]:
        """The sizes in an input's dimensions."""
        return frozenset(n for p in self.dims[name] for n in p.sizes())

    @property
    def titles(self) -> dict[str, str]:
        """What these sizes are called in the Program: as the user calls them."""
        return {n: n for m in self.dims for n in sorted(self.of(m))}


@dataclass(frozen=True)
class _Slot:
    name: str


@dataclass(frozen=True)
class _Made:
    """A dataclass whose fields hold tensors."""

    like: Any
    fields: dict[str, Any]


def input_slots(name: str, value: Any, specs: list[Spec], example: dict[str, int], named: Named | None = None) -> Any:
    """The structure of an argument with its tensors replaced by their names; a dimension is a size of its own, or as named."""

    def take(n: str, t: torch.Tensor) -> None:
        spec = spec_of(n, t, own := dict[str, int]())
        if named is not None and n in named.dims:
            spec, own = replace(spec, dims=named.dims[n]), {m: v for m, v in named.sizes.items() if m in named.of(n)}
        specs.append(spec)
        example.update(own)

    return slots(name, value, take)


def slots(name: str, value: Any, take: Callable[[str, torch.Tensor], None]) -> Any:
    """An argument with its tensors replaced by their names, ``d_a`` for ``d["a"]`` or ``d.a``; each is given to ``take``."""
    if isinstance(value, torch.Tensor):
        take(name, value)
        return _Slot(name)
    if not holds_tensors(value):
        return value
    if isinstance(value, (list, tuple)):
        fields = getattr(value, "_fields", range(len(value)))
        made = [slots(f"{name}_{k}", v, take) for k, v in zip(fields, value)]
        return made if isinstance(value, list) else type(value)(*made) if hasattr(value, "_fields") else tuple(made)
    if isinstance(value, Mapping):
        return {k: slots(f"{name}_{k}", v, take) for k, v in value.items()}
    return _Made(value, {k: slots(f"{name}_{k}", getattr(value, k), take) for k in value.__dataclass_fields__})


def holds_tensors(value: Any) -> bool:
    """Whether a list, tuple, dict or dataclass has a tensor somewhere in it."""
    if isinstance(value, Mapping):
        inside = list(value.values())
    elif isinstance(value, (list, tuple)):
        inside = list(value)
    elif hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        inside = [getattr(value, n) for n in value.__dataclass_fields__]
    else:
        return False
    return any(isinstance(v, torch.Tensor) or holds_tensors(v) for v in inside)


def kind_of(value: torch.Tensor) -> type[torch.Tensor]:
    """The class of a tensor that code may ask for: a parameter's is one of its own."""
    return torch.nn.Parameter if isinstance(value, torch.nn.Parameter) else torch.Tensor


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
    return Spec(name, tuple(dims), value.dtype, role, kind=kind_of(value))


def fill(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """The argument again, with tensors in the places of their names."""
    if isinstance(value, _Slot):
        return tensors[value.name]
    if isinstance(value, _Made):
        new = copy.copy(value.like)
        for n, v in value.fields.items():
            object.__setattr__(new, n, fill(v, tensors))  # a frozen one, too
        return new
    if isinstance(value, (list, tuple)):
        made = [fill(v, tensors) for v in value]
        return made if isinstance(value, list) else type(value)(*made) if hasattr(value, "_fields") else tuple(made)
    if isinstance(value, dict):
        return {k: fill(v, tensors) for k, v in value.items()}
    return value


def closed_over(f: Any) -> dict[int, str]:
    """Names for the tensors that a function holds: closure cells, globals that it mentions, defaults, attributes."""
    held = _HeldTensors()
    held.inside(f, 0)
    return held.names


class _HeldTensors:
    """Names for tensors, by id, as they are met in what code holds."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self._seen: set[int] = set()

    def look(self, name: str, value: Any, depth: int) -> None:
        """Note the tensors in one value, three containers deep."""
        if isinstance(value, torch.Tensor):
            self.names.setdefault(id(value), name)
            return
        if depth > 3 or id(value) in self._seen:
            return
        self._seen.add(id(value))
        if isinstance(value, torch.nn.Module):
            own = [(f"{m}.{n}", t) for m, part in value.named_modules() for n, t in vars(part).items()]
            for n, t in [*value.named_parameters(), *value.named_buffers(), *own]:
                if isinstance(t, torch.Tensor):
                    self.names.setdefault(id(t), f"{name}.{n}".strip(".").replace("..", ".").replace(".", "_"))
        elif isinstance(value, dict):
            for k, v in list(value.items())[:64]:
                if isinstance(k, str):
                    self.look(f"{name}_{k}" if name else k, v, depth + 1)
        elif isinstance(value, (list, tuple)):
            for k, v in enumerate(value[:64]):
                self.look(f"{name}_{k}", v, depth + 1)
        elif inspect.isfunction(value) or inspect.ismethod(value) or isinstance(value, functools.partial):
            self.inside(value, depth + 1)
        elif not isinstance(value, type) and isinstance(getattr(value, "__dict__", None), dict):
            self.look(name, vars(value), depth)

    def inside(self, g: Any, depth: int) -> None:
        """Look at all that a function reaches: what is bound to it, its defaults, its closure, the globals that it names."""
        while isinstance(g, functools.partial):
            for n, value in [*zip(_parameters(g.func), g.args), *g.keywords.items()]:
                self.look(n, value, depth)
            g = g.func
        g = inspect.unwrap(g)
        owner = getattr(g, "__self__", None)
        if owner is not None and not inspect.ismodule(owner):
            self.look("", owner, depth)
        g = getattr(g, "__func__", g)
        if not inspect.isfunction(g) and inspect.ismethod(getattr(g, "__call__", None)):  # noqa: B004
            self.look("", g, depth)
            g = g.__call__.__func__
        for n, p in _parameters(g).items():
            self.look(n, p.default, depth)
        code = getattr(g, "__code__", None)
        if code is None:
            return
        for n, cell in zip(code.co_freevars, g.__closure__ or ()):
            try:
                self.look(n, cell.cell_contents, depth)
            except ValueError:
                continue
        for n in code.co_names:
            if n in g.__globals__ and not inspect.ismodule(g.__globals__[n]):
                self.look(n, g.__globals__[n], depth)


def _parameters(g: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(g).parameters
    except (TypeError, ValueError):
        return {}
