"""Modules: their parameters as named inputs, their sizes as symbols, their losses.

A parameter is called by its dotted name with ``_`` for ``.``.  The sizes that torch's own modules keep in attributes
(``LayerNorm(5).normalized_shape``) follow the sizes of their parameters in each trace.

>>> import torch
>>> traced = trace_module(torch.nn.Linear(3, 2), loss=torch.nn.MSELoss())
>>> traced.program.inputs, [str(p) for p in traced.program.dims("weight")]
(('input', 'weight', 'bias', 'target'), ['out', 'in'])
"""

from __future__ import annotations

import inspect
import itertools
import keyword
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from derivcheck.errors import InputError
from derivcheck.notation.integers.polynomials import Poly, Size, as_poly, size
from derivcheck.notation.text.dims import parse_dims, parse_input
from derivcheck.tracing.program.apply_rows import has_row
from derivcheck.tracing.program.copies import module_copy
from derivcheck.tracing.program.inputs import Named, closed_over, copied, fill, input_slots, kind_of, module_names, spec_of
from derivcheck.tracing.program.torch_modules import KnownSizes, example_inputs, known_sizes
from derivcheck.tracing.recording.decompositions import decomposition
from derivcheck.tracing.recording.dispatch import scripted
from derivcheck.tracing.recording.run import Run
from derivcheck.tracing.sizes.assign import Spec, Traceable
from derivcheck.tracing.trace import Traced, program_of

_CLASS_LOSSES = (nn.CrossEntropyLoss, nn.NLLLoss)


def trace_module(
    module: nn.Module,
    args: Sequence[Any] = (),
    inputs: Mapping[str, Any] | None = None,
    *,
    loss: Any = None,
    target: Any = None,
    dims: Mapping[str, str] | None = None,
    constants: Mapping[str, Any] | None = None,
    custom_functions: str = "refuse",
    sizes: str = "every",
    named: Named | None = None,
) -> Traced:
    """Trace a module's forward, with a loss of (output, target) after it where one is given.

    Args:
        module: the module, in train or eval mode as it is; its parameters and buffers give the values.
        args: example inputs, forward's own arguments by position.
        inputs: forward's arguments by name.
        loss: a loss module or a function of (output, target).
        target: an example target; without one it is shaped like the output (class indices for a classification loss).
        dims: dimensions by name, for forward's arguments and the target.
        constants: arguments of forward that are not tensors.
        sizes, named: see :func:`~derivcheck.tracing.trace.trace`.

    Raises:
        InputError: no example where the module's input ranks are not known, or names that clash.
        UnsupportedOperation: what cannot be derived.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise scripted(None)
    forward = inspect.signature(module.forward).parameters
    given = _named(forward, args, inputs or {}, constants or {})
    example: dict[str, int] = {}
    specs: list[Spec] = []
    preferred: dict[str, str] = {} if named is None else dict(named.titles)
    if dims:
        given = {**_examples_of(dims, module, forward, given, preferred), **given}
    if not any(isinstance(t, torch.Tensor) for t in _leaves(given)):
        given = {**example_inputs(module, forward, preferred), **given}
    structure = {n: input_slots(n, v, specs, example, named) for n, v in given.items()}
    arguments = [s.name for s in specs]
    own = _Own(module, example, specs, "")
    _share(module, specs, example, preferred)
    loss_own = _Own(loss, example, specs, "loss_") if isinstance(loss, nn.Module) else None
    if isinstance(target, torch.Tensor):
        specs.append(spec_of("target", target, example))
        arguments.append("target")
    elif target is not None:
        raise InputError(f"target: expected a tensor, found {type(target).__name__}")
    _distinct(specs)
    late: dict[str, str] = {}
    var_positional = next((p.name for p in forward.values() if p.kind is p.VAR_POSITIONAL), None)

    def call(tensors: dict[str, torch.Tensor], run: Run, sizes: Mapping[str, int]) -> Any:
        """The module's forward and the loss in one recording; a target that was not given is made of the output's shape."""
        filled = {n: fill(v, tensors) for n, v in structure.items() if n in forward or not n.startswith("dropout_mask")}
        more = filled.pop(var_positional, ()) if var_positional is not None else ()
        out = own(tensors, sizes, run, tuple(more), filled)
        if loss is None:
            return out
        if "target" in tensors:
            goal = tensors["target"]
        else:
            shape, dtype = _target_shape(loss, out)
            goal = run.input("target", shape, dtype)
        return loss_own(tensors, sizes, run, (out, goal), {}) if loss_own is not None else loss(out, goal)

    shown = {n for s in specs for p in s.dims for n in p.sizes()}

    def actual() -> Any:
        filled = {n: copied(v) for n, v in given.items() if n in forward or not n.startswith("dropout_mask")}
        more = filled.pop(var_positional, ()) if var_positional is not None else ()
        with torch.no_grad():
            return module_copy(module)(*more, **filled)

    forwards = [
        inspect.getattr_static(type(m), "forward", None)
        for m in (*module.modules(), *(loss.modules() if isinstance(loss, nn.Module) else ()))
    ]
    subject = Traceable(
        tuple(specs),
        call,
        has_row,
        decomposition,
        frozenset(example) - shown,
        actual,
        tuple(module_names(*forwards, loss)),
    )
    values = {**own.values, **(loss_own.values if loss_own else {})}
    preferred = {**preferred, **own.preferred}
    name = type(module).__name__
    closed = {**closed_over(own.skeleton.forward), **closed_over(loss)}
    return program_of(
        subject,
        example,
        name=name,
        closed=closed,
        values=values,
        custom_functions=custom_functions,
        preferred=preferred,
        late=late,
        sizes=sizes,
    )


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


def _named(
    forward: Mapping[str, inspect.Parameter], args: Sequence[Any], inputs: Mapping[str, Any], constants: Mapping[str, Any]
) -> dict[str, Any]:
    """The example inputs by the names of the forward's parameters."""
    positional = [p.name for p in forward.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    star = next((p.name for p in forward.values() if p.kind is p.VAR_POSITIONAL), None)
    if len(args) > len(positional) and star is None:
        raise InputError(f"{len(args)} example inputs for a forward of {len(positional)} parameters ({', '.join(positional)})")
    given: dict[str, Any] = dict(zip(positional, args))
    if star is not None and len(args) > len(positional):
        given[star] = list(args[len(positional) :])
    open_ended = any(p.kind is p.VAR_KEYWORD for p in forward.values())
    for n, v in {**inputs, **constants}.items():
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


Forward = Callable[..., Any]
