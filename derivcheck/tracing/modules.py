"""Modules: their parameters as named inputs, their sizes as symbols, their losses.

A parameter is called by its dotted name with ``_`` for ``.``.  The sizes that torch's own modules keep in attributes
(``LayerNorm(5).normalized_shape``) follow the sizes of their parameters in each trace.

>>> import torch
>>> traced = trace_module(torch.nn.Linear(3, 2), loss=LossAfter(torch.nn.MSELoss()))
>>> traced.program.inputs, [str(p) for p in traced.program.dims("weight")]
(('input', 'weight', 'bias', 'target'), ['out', 'in'])
"""

from __future__ import annotations

import inspect
import itertools
import keyword
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from derivcheck.errors import InputError
from derivcheck.notation.integers.polynomials import Poly, Size, as_poly, size
from derivcheck.notation.text.dims import parse_dims, parse_input
from derivcheck.tracing.program.annotations import annotated_dims
from derivcheck.tracing.program.apply_rows import CodeTensors
from derivcheck.tracing.program.copies import module_copy
from derivcheck.tracing.program.inputs import Named, closed_over, copied, fill, input_slots, kind_of, module_names, spec_of
from derivcheck.tracing.program.torch_modules import KnownSizes, example_inputs, known_sizes
from derivcheck.tracing.recording.dispatch import scripted
from derivcheck.tracing.recording.run import Run
from derivcheck.tracing.sizes.assign import Spec, Traceable
from derivcheck.tracing.trace import FOR_EVERY_SIZE, Traced, TraceOptions, program_of

_CLASS_LOSSES = (nn.CrossEntropyLoss, nn.NLLLoss)


@dataclass(frozen=True)
class LossAfter:
    """A loss module or function of (output, target) after the forward; without an example, the target is shaped like the
    output (class indices for a classification loss)."""

    function: Any
    target: Any = None


def trace_module(
    module: nn.Module,
    args: Sequence[Any] = (),
    inputs: Mapping[str, Any] | None = None,
    *,
    loss: LossAfter | None = None,
    dims: Mapping[str, str] | None = None,
    options: TraceOptions = FOR_EVERY_SIZE,
) -> Traced:
    """Trace a module's forward, with a loss after it where one is given.

    Args:
        module: the module, in train or eval mode as it is; its parameters and buffers give the values.
        args: example inputs, forward's own arguments by position.
        inputs: forward's arguments by name; those that are no tensors are constants.
        dims: dimensions by name, for forward's arguments and the target.

    Raises:
        InputError: no example where the module's input ranks are not known, or names that clash.
        UnsupportedOperation: what cannot be derived.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise scripted(None)
    forward = inspect.signature(module.forward).parameters
    given = _named(forward, args, inputs or {})
    preferred: dict[str, str] = {} if options.named is None else dict(options.named.titles)
    if not any(isinstance(t, torch.Tensor) for t in _leaves(given)):
        dims = {**annotated_dims(module.forward, [*given, *(dims or {})]), **(dims or {})}
    if dims:
        given = {**_examples_of(dims, module, forward, given, preferred), **given}
    if not any(isinstance(t, torch.Tensor) for t in _leaves(given)):
        given = {**example_inputs(module, forward, preferred), **given}
    code = _ModuleCode(module, given, options.named, preferred)
    if loss is not None:
        code.add_loss(loss)
    _distinct(code.specs)
    tensors = CodeTensors(code.values(), {**closed_over(code.own.skeleton.forward), **closed_over(code.loss)})
    return program_of(
        code.subject(), code.example, tensors, {**preferred, **code.own.preferred}, type(module).__name__, options
    )


class _ModuleCode:
    """A module, with its loss, as code of named tensors.

    Attributes:
        specs: the inputs, parameters and buffers; ``example`` has the value of each size in their dimensions.
    """

    def __init__(self, module: nn.Module, given: Mapping[str, Any], named: Named | None, preferred: dict[str, str]) -> None:
        """``given`` are the forward's arguments; sizes of a known module are noted in ``preferred``, by their own names."""
        self.module, self.given, self.parameters = module, given, inspect.signature(module.forward).parameters
        self.example: dict[str, int] = {}
        self.specs: list[Spec] = []
        self.structure = {n: input_slots(n, v, self.specs, self.example, named) for n, v in given.items()}
        self.own = _Own(module, self.example, self.specs, "")
        _share(module, self.specs, self.example, preferred)
        self.loss: Any = None
        self.loss_own: _Own | None = None

    def add_loss(self, loss: LossAfter) -> None:
        """Put a loss after the forward."""
        self.loss, target = loss.function, loss.target
        self.loss_own = _Own(self.loss, self.example, self.specs, "loss_") if isinstance(self.loss, nn.Module) else None
        if isinstance(target, torch.Tensor):
            self.specs.append(spec_of("target", target, self.example))
        elif target is not None:
            raise InputError(f"target: expected a tensor, found {type(target).__name__}")

    def values(self) -> dict[str, torch.Tensor]:
        """The parameters and buffers of both."""
        return {**self.own.values, **(self.loss_own.values if self.loss_own else {})}

    def subject(self) -> Traceable:
        """What the recordings run."""
        shown = {n for s in self.specs for p in s.dims for n in p.sizes()}
        losses = self.loss.modules() if isinstance(self.loss, nn.Module) else ()
        forwards = [inspect.getattr_static(type(m), "forward", None) for m in (*self.module.modules(), *losses)]
        names = tuple(module_names(*forwards, self.loss))
        return Traceable(tuple(self.specs), self.call, frozenset(self.example) - shown, self.actual, names)

    def call(self, tensors: dict[str, torch.Tensor], run: Run, sizes: Mapping[str, int]) -> Any:
        """The module's forward and the loss in one recording; a target that was not given is made of the output's shape."""
        args, kwargs = self._arguments({n: fill(v, tensors) for n, v in self.structure.items() if self._takes(n)})
        out = self.own(tensors, sizes, run, args, kwargs)
        if self.loss is None:
            return out
        if "target" in tensors:
            goal = tensors["target"]
        else:
            shape, dtype = _target_shape(self.loss, out)
            goal = run.input("target", shape, dtype)
        return self.loss(out, goal) if self.loss_own is None else self.loss_own(tensors, sizes, run, (out, goal), {})

    def actual(self) -> Any:
        """One run of the forward on the example."""
        args, kwargs = self._arguments({n: copied(v) for n, v in self.given.items() if self._takes(n)})
        with torch.no_grad():
            return module_copy(self.module)(*args, **kwargs)

    def _takes(self, name: str) -> bool:
        return name in self.parameters or not name.startswith("dropout_mask")

    def _arguments(self, filled: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """By position what a ``*args`` takes, the others by name."""
        star = next((p.name for p in self.parameters.values() if p.kind is p.VAR_POSITIONAL), None)
        return tuple(filled.pop(star, ()) if star is not None else ()), filled


def _share(module: nn.Module, specs: list[Spec], example: dict[str, int], preferred: dict[str, str]) -> None:
    """Let the inputs of a known module have its own sizes where the example agrees."""
    known = known_sizes(module)
    if known is None:
        return
    given: dict[str, tuple[Poly, int]] = {n: (size(n), v) for n, v in known.sizes.items()}
    for k, s in enumerate(specs):
        shape = known.inputs.get(s.name, {}).get(len(s.dims)) if s.role == "argument" else None
        if shape is None:
            continue
        dims = list(s.dims)
        for axis, text in enumerate(shape):
            symbol = f"{s.name}.{axis}"
            if text is None or symbol not in example:
                continue
            if isinstance(text, str) and text.isidentifier() and text not in given:
                given[text] = (size(symbol), example[symbol])
                preferred.setdefault(symbol, text)
                continue
            poly = _local(text, {n: p for n, (p, _) in given.items()})
            if poly.at({**example, **known.sizes}) == example[symbol]:
                dims[axis] = poly
                del example[symbol]
        specs[k] = replace(s, dims=tuple(dims))


def _named(forward: Mapping[str, inspect.Parameter], args: Sequence[Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The example inputs by the names of the forward's parameters."""
    positional = [p.name for p in forward.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    star = next((p.name for p in forward.values() if p.kind is p.VAR_POSITIONAL), None)
    if len(args) > len(positional) and star is None:
        raise InputError(f"{len(args)} example inputs for a forward of {len(positional)} parameters ({', '.join(positional)})")
    given: dict[str, Any] = dict(zip(positional, args))
    if star is not None and len(args) > len(positional):
        given[star] = list(args[len(positional) :])
    open_ended = any(p.kind is p.VAR_KEYWORD for p in forward.values())
    for n, v in inputs.items():
        if n not in forward and not open_ended and not n.startswith("dropout_mask"):
            raise InputError(f"there is no parameter {n!r} of the module's forward; those are {', '.join(forward)}")
        given[n] = v
    return given


def _examples_of(
    dims: Mapping[str, str],
    module: nn.Module,
    forward: Mapping[str, inspect.Parameter],
    given: Mapping[str, Any],
    preferred: dict[str, str],
) -> dict[str, torch.Tensor]:
    """Example inputs of the named dimensions, at sizes that the module takes."""
    unknown = [n for n in dims if n not in forward]
    if unknown:
        raise InputError(f"dims names {unknown[0]!r}, which is no parameter of the module's forward ({', '.join(forward)})")
    reads = {n: parse_input(n, text) for n, text in dims.items() if n not in given}
    for n, read in reads.items():
        preferred.update({f"{n}.{axis}": str(p) for axis, p in enumerate(read.dims) if p.atom is not None})
    names = sorted({s for read in reads.values() for p in read.dims for s in p.sizes()})
    lengths = sorted({int(k) for t in module.parameters() for k in t.shape}, reverse=True)[:8]
    free = {n: 5 + 2 * k for k, n in enumerate(names)}  # all differ; then lengths of the parameters, one of which may be meant
    real = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.get_default_dtype())
    dtypes = {"float": real, "int": torch.int64, "bool": torch.bool}
    error: Exception | None = None
    # each choice is a run of the module
    for choice in itertools.islice(itertools.product(*([free[n], *lengths] for n in names)), 400):
        values = dict(zip(names, choice))
        made = {n: torch.zeros([p.at(values) for p in r.dims], dtype=dtypes[r.kind]) for n, r in reads.items()}
        try:
            with torch.no_grad():
                module_copy(module)(**{**given, **made})
        except Exception as e:
            error = e
            continue
        return made
    raise InputError(f"no sizes were found at which {type(module).__name__} takes these dims; give example inputs ({error})")


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [t for v in value.values() for t in _leaves(v)]
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in _leaves(v)]
    return [value]


def _distinct(specs: Sequence[Spec]) -> None:
    """Refuse inputs that share a name, or whose name is no identifier."""
    seen: set[str] = set()
    for s in specs:
        if s.name in seen:
            raise InputError(
                f"two inputs are called {s.name!r}: a parameter ('_' stands for '.') and another input; rename one"
            )
        if not s.name.isidentifier() or keyword.iskeyword(s.name):
            raise InputError(f"input {s.name!r}: expected an identifier")
        seen.add(s.name)


def _target_shape(loss: Any, out: Any) -> tuple[tuple[int, ...], torch.dtype]:
    """Shape and type of the target that a loss wants for an output: class labels, or numbers like the output."""
    if not isinstance(out, torch.Tensor):
        raise InputError(
            f"the loss takes (output, target), but the module returns {type(out).__name__}; wrap it to give one tensor"
        )
    shape = tuple(out.shape)
    if isinstance(loss, _CLASS_LOSSES) or getattr(loss, "__name__", "") in ("cross_entropy", "nll_loss"):
        return (shape[:1] + shape[2:] if len(shape) > 1 else ()), torch.int64
    return shape, out.dtype


def identifier(name: str) -> str:
    """A parameter's name as an identifier: ``0_weight`` of an ``nn.Sequential`` becomes ``_0_weight``."""
    return name if name.isidentifier() and not keyword.iskeyword(name) else f"_{name}"


class _Own:
    """A module's parameters, buffers and size attributes, put in place for each trace and taken out again."""

    def __init__(self, module: nn.Module, example: dict[str, int], specs: list[Spec], prefix: str) -> None:
        """Find what the sizes of the parameters are: those of torch's own modules are known, others are taken from the
        shapes."""
        self.module = module
        self.values: dict[str, torch.Tensor] = {}
        self.names: dict[str, str] = {}
        self.preferred: dict[str, str] = {}
        tensors: list[tuple[str, torch.Tensor, str]] = [(n, p, "parameter") for n, p in module.named_parameters()]
        tensors += [(n, b, "buffer") for n, b in module.named_buffers()]
        self.skeleton = module_copy(module, shared=True)  # attributes are set on it
        sizes: dict[str, tuple[Poly, ...]] = {}
        self.attributes: list[tuple[nn.Module, str, Any]] = []
        originals = dict(module.named_modules())
        for path, child in self.skeleton.named_modules():
            found: KnownSizes | None = known_sizes(originals.get(path, child))
            lead = f"{prefix}{path}." if path else prefix
            if found is not None:
                local = {n: size(f"{lead}{n}") for n in found.sizes}
                for n, v in found.sizes.items():
                    example[f"{lead}{n}"] = v
                    self.preferred[f"{lead}{n}"] = n
                for p, shape in found.parameters.items():
                    sizes[f"{path}.{p}" if path else p] = tuple(_local(d, local) for d in shape)
                for attribute, value in found.attributes.items():
                    self.attributes.append((child, attribute, _local(value, local)))
        for dotted, tensor, role in tensors:
            name = identifier(prefix + dotted.replace(".", "_"))
            self.names[name] = dotted
            self.values[name] = tensor.detach()
            if dotted in sizes and len(sizes[dotted]) == tensor.dim():
                specs.append(Spec(name, sizes[dotted], tensor.dtype, role, kind=kind_of(tensor)))
            else:
                specs.append(spec_of(name, tensor, example, role))
        self._soft_attributes(originals, example, prefix)

    def _soft_attributes(self, originals: Mapping[str, nn.Module], example: dict[str, int], prefix: str) -> None:
        """Whole numbers that a user's own module keeps, and that some dimension shares: they may be sizes."""
        lengths = set(example.values())
        for path, child in self.skeleton.named_modules():
            if type(child).__module__.startswith("torch.nn."):
                continue
            for attribute, value in list(vars(child).items()):
                if type(value) is int and value > 1 and value in lengths and not attribute.startswith("_"):
                    symbol = f"{prefix}{path}.{attribute}.attribute"
                    example[symbol] = value
                    self.attributes.append((child, attribute, size(symbol)))

    def __call__(
        self,
        tensors: Mapping[str, torch.Tensor],
        sizes: Mapping[str, int],
        run: Run,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """One run of the forward with traced parameters; attributes that repeat sizes are numbers that carry those, until it is
        over."""
        before = [(child, attribute, getattr(child, attribute)) for child, attribute, _ in self.attributes]
        state = {dotted: tensors[name] for name, dotted in self.names.items()}
        try:
            for child, attribute, value in self.attributes:
                object.__setattr__(child, attribute, _at(value, sizes, run))
            return torch.func.functional_call(self.skeleton, state, args, kwargs)
        finally:
            for child, attribute, value in before:
                object.__setattr__(child, attribute, value)


def _local(value: Any, names: Mapping[str, Poly]) -> Any:
    """A size expression of a known module with its local names put in: text, a number or a tuple of them."""
    if isinstance(value, str):
        (poly,) = parse_dims(value)
        return poly.substitute({Size(n): p for n, p in names.items()})
    if isinstance(value, (tuple, list)):
        return type(value)(_local(v, names) for v in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return as_poly(value)
    return value


def _at(value: Any, sizes: Mapping[str, int], run: Run) -> Any:
    if isinstance(value, Poly):
        return run.size(value, sizes)
    if isinstance(value, (tuple, list)):
        return type(value)(_at(v, sizes, run) for v in value)
    return value
