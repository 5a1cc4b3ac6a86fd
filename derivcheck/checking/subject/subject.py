"""What is under test: the forward as a derivation and as code that runs, with its tensors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from derivcheck.checking.arithmetic.pairs import type_name
from derivcheck.checking.subject.domain import UserDomain, domain_of, held_by_numbers, named_dims
from derivcheck.checking.subject.draw import Spread, range_of
from derivcheck.checking.subject.forwards import derived_from, derived_from_module
from derivcheck.checking.subject.function import arguments, function_of, plain
from derivcheck.checking.subject.kinds import Kind, kinds_of
from derivcheck.checking.subject.left_out import undifferentiable
from derivcheck.checking.subject.nested import Nested, by_name
from derivcheck.checking.subject.wide import computing_in, widened
from derivcheck.derived import Derivation
from derivcheck.errors import InputError
from derivcheck.notation.program.program import Program
from derivcheck.notation.values.measure import sizes_of
from derivcheck.tracing.modules import identifier
from derivcheck.tracing.program.copies import module_copy

Tensors = dict[str, torch.Tensor]
Upstream = dict[str, torch.Tensor]  # an upstream gradient per floating-point output


@dataclass
class Met:
    """What was met while the code ran, for the notes of a report; a subject and its variants share it.

    Attributes:
        casts: the types to which the code casts, taken as float64.
        complaints: what inner autograd.Functions returned that does not fit.
        remarks: what the engine made right, a sentence each.
        digits: by how much torch's own kernels are off, of the terms added.
        accumulates: its backward leaves gradients in ``.grad`` itself: ``torch.autograd.grad`` does not see them.
    """

    casts: set[torch.dtype] = field(default_factory=set)
    complaints: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    digits: dict[str, float] = field(default_factory=dict)
    accumulates: bool = False


@dataclass
class Subject:
    """A forward with its tensors.  Its steps make variants of it (``replace``); what its runs meet goes into ``met``.

    Attributes:
        derivation: the forward Program and its gradient.
        call: the user's own code as a function of the named tensors; None where there is a derivation alone.
        tensors: every input of the Program, in the type and on the device of the check.
        wrt: what the gradient is taken in.
        name: what to call it in a report.
        meaning: the call that says what the forward means (``reference``); else ``call``.
    """

    derivation: Derivation
    call: Callable[[Tensors], Any] | None
    tensors: Tensors
    wrt: tuple[str, ...]
    name: str
    meaning: Callable[[Tensors], Any] | None = None
    function: Any = None
    passed: Mapping[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()  # the parameters of an autograd.Function's forward, the inputs of a module's
    native: bool = False  # the backward under test is that of torch's own kernels alone
    allowance: float | None = None  # a relative error that the caller allows beyond rounding
    dirty: bool = False  # the code changes its inputs in place: it is given copies of leaves
    retained: bool = False  # a Function's backward runs twice through one graph, and the second is judged
    unused: frozenset[str] = frozenset()  # upstream gradients of outputs that a loss does not use: autograd gives none
    module: torch.nn.Module | None = None  # the copy of a module, whose parameters fix their sizes
    held: frozenset[str] = frozenset()  # inputs of the Program that the code holds itself: they keep their values
    nested: Nested = field(default_factory=Nested)  # the inputs as the caller has them
    domain: UserDomain = field(default_factory=UserDomain)  # the data that it is made for
    hooked: tuple[str, ...] = ()  # parameters whose hooks the check does not run
    kinds: Mapping[str, tuple[Kind, ...]] = field(default_factory=dict)  # what the data are of, and probes keep
    left_out: tuple[str, ...] = ()  # inputs in which torch cannot differentiate the code
    forward: Any = None  # what the caller gave
    rounding: Any = None  # judges by the arithmetic of the backward under test (conditioned.Rounding)
    met: Met = field(default_factory=Met)
    ranges: dict[str, Spread] = field(default_factory=dict)
    _whole: tuple[Derivation, Program] | None = None

    @property
    def whole(self) -> Program:
        """The adjoint, and what else it takes to the forward's outputs."""
        if self._whole is None or self._whole[0] is not self.derivation:
            forward, adjoint = self.derivation.program, self.derivation.adjoint
            outputs = tuple(o for o in forward.outputs if o not in adjoint.names)
            more = tuple(d for d in forward.needed(outputs).definitions if d.name not in adjoint.names) if outputs else ()
            self._whole = self.derivation, replace(adjoint, definitions=(*adjoint.definitions, *more))
        return self._whole[1]

    def range(self, name: str) -> Spread | None:
        """The range of an input's numbers, for data like them; None where it has none."""
        if name not in self.ranges and self.tensors[name].is_floating_point() and self.tensors[name].numel():
            self.ranges[name] = range_of(self.tensors[name])
        return self.ranges.get(name)


def subject(
    forward: Any,
    inputs: Mapping[str, Any],
    reference: Any = None,
    wrt: Iterable[str] | None = None,
    dtype: torch.dtype = torch.float64,
    device: str | torch.device = "cpu",
    dims: Mapping[str, str] | None = None,
    where: str | None = None,
) -> Subject:
    """The subject of a check, from whatever the user has.

    Args:
        dims, where: the user's domain; see :func:`~derivcheck.checking.check.check`.

    Raises:
        InputError: bad data (NaN, infinity, an empty batch, integer or complex parameters), a missing or unknown name, a device
            that is not there.
        UnsupportedOperation: a forward that cannot be derived.
    """
    with computing_in(dtype) as widening:
        s = _subject(forward, inputs, reference, wrt, dtype, device, dims)
    s = s if reference is None else _held(s)
    s = s if dims is None and where is None else _restricted(s, dims, where)
    call, meaning = (None if c is None else widened(c, s.held) for c in (s.call, s.meaning))
    own = {a.name for a in s.derivation.program.arguments if a.role == "parameter"} | s.held  # zeros and ones, as they start
    kinds = {n: kinds for n, t in s.tensors.items() if n not in own and (kinds := kinds_of(t))}
    named = forward.named_parameters() if isinstance(forward, torch.nn.Module) else ()
    hooked = tuple(n for n, p in named if p._backward_hooks)
    s = replace(s, call=call, meaning=meaning, kinds=kinds, hooked=hooked, forward=forward, met=Met(widening.met))
    if wrt is None and s.call is not None and s.function is None and len(s.wrt) > 1:
        left_out = undifferentiable(s.call, s.tensors, s.wrt)
        asked = tuple(n for n in s.wrt if n not in left_out)
        s = replace(_derived_in(s, s.derivation.program, asked), wrt=asked, left_out=left_out) if left_out else s
    return s


def _derived_in(s: Subject, program: Program, wrt: Sequence[str], fixed: Iterable[str] = ()) -> Subject:
    """The same with another Program, or in other inputs."""
    d = s.derivation
    return replace(s, derivation=Derivation(program, wrt, d.values, name=d.name, fixed=(*d.fixed, *fixed)))


def _subject(
    forward: Any,
    inputs: Mapping[str, Any],
    reference: Any,
    wrt: Iterable[str] | None,
    dtype: torch.dtype,
    device: Any,
    dims: Mapping[str, str] | None,
) -> Subject:
    if not isinstance(inputs, Mapping):
        raise InputError(f"inputs is a {type(inputs).__name__}; expected a dict name -> tensor, in forward's order")
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise InputError(f"dtype is {dtype!r}; expected a floating-point type such as torch.float64")
    place = _device(device)
    nested = Nested.of(inputs)
    given = {n: _moved(n, v, dtype, place) for n, v in nested.leaves.items()}
    passed, named = nested.passed, named_dims(dims, given)
    if not given and not isinstance(forward, (Derivation, torch.nn.Module)):
        found = ", ".join(f"{n} is a {type(v).__name__}" for n, v in inputs.items()) or "there is none"
        raise InputError(f"no input is a tensor ({found}); give each tensor by a name of its own")
    wants_grad = {n for n, v in nested.leaves.items() if v.requires_grad}
    examples = {n: v for n, v in by_name(given, given, nested).items() if n not in passed}
    function = function_of(forward)
    order: tuple[str, ...] = ()
    module: torch.nn.Module | None = None
    values: Tensors = {}
    if isinstance(forward, Derivation):
        derivation, call, name = forward, None, forward.name
        values = {n: _moved(n, torch.as_tensor(v), dtype, place) for n, v in forward.values.items() if n not in given}
        wants_grad = wants_grad or set(forward.wrt)
    elif isinstance(forward, torch.nn.Module):
        module = module_copy(forward).to(place)
        _reals(module)
        module = module.to(dtype)
        args = tuple({**examples, **passed}[n] for n in inputs)
        if reference is None:
            derivation = derived_from_module(module, args, named)
        else:
            derivation = derived_from(reference, examples, passed, named)
        order = tuple(inputs)
        call, values, name = _module_call(module, list(inputs), nested), _module_values(module), type(forward).__name__
        parameters = {called(n) for n, p in module.named_parameters() if p.requires_grad}
        floats = {n for n, v in given.items() if v.is_floating_point()}
        wants_grad = (wants_grad or floats) | parameters
    elif function is not None:
        if nested.structure:
            which = next(iter(nested.structure))
            raise InputError(
                f"{which} holds tensors inside, which torch's engine gives {function.__name__} no gradient for; "
                "give each tensor as an argument of its own"
            )
        order, defaults = arguments(function, inputs)
        whole = {**passed, **defaults}
        means, constants = (plain(function, order), whole) if reference is None else (reference, passed)
        derivation = derived_from(means, given, constants, named)
        call, name = _positional(function.apply, order, whole), function.__name__
        passed = whole
    elif callable(forward):
        if not _any_names(forward):
            _known(inputs, _names(forward), getattr(forward, "__name__", "forward"))
        derivation = derived_from(forward if reference is None else reference, examples, passed, named)
        call, name = _keyword(forward, nested), getattr(forward, "__name__", "forward")
    else:
        raise InputError(
            f"forward is a {type(forward).__name__}; expected a Derivation, a module, a torch function or an autograd.Function"
        )
    meaning = None if reference is None else _keyword(reference, nested)
    s = _assemble(derivation, call, values, given, wants_grad, wrt, name, passed)
    return replace(s, meaning=meaning, function=function, order=order, module=module, nested=nested)


def _assemble(
    derivation: Derivation,
    call: Any,
    values: Tensors,
    given: Tensors,
    wants_grad: set[str],
    wrt: Iterable[str] | None,
    name: str,
    passed: Mapping[str, Any],
) -> Subject:
    program = derivation.program
    tensors = values | given
    place = next((t.device for t in tensors.values()), torch.device("cpu"))
    held = {a.name for a in program.arguments if a.name not in tensors or a.role == "constant" and a.name not in given}
    for a in program.arguments:
        if a.name not in tensors:
            if a.name in derivation.values:
                tensors[a.name] = torch.as_tensor(derivation.values[a.name]).detach().to(place)
            elif a.name in passed and isinstance(passed[a.name], (int, float)):
                tensors[a.name] = torch.tensor(passed[a.name], dtype=torch.float64)
            elif a.role != "upstream" or a.dims:
                raise InputError(f"{a.name} is missing from inputs; the forward's are {', '.join(program.inputs)}")
    unknown = [n for n in tensors if n not in program.inputs]
    if unknown and call is None:
        raise InputError(f"{unknown[0]!r} is not an input of the forward; those are {', '.join(program.inputs)}")
    floats = [a.name for a in program.arguments if a.kind == "float" and a.name in tensors]
    if not floats:
        raise InputError(f"none of {', '.join(program.inputs) or 'the inputs'} is floating-point: no gradient to check")
    if wrt is None:
        own = held if call is not None else set()
        chosen = tuple(n for n in floats if n in wants_grad)
        chosen = chosen or tuple(n for n in floats if n in derivation.wrt and n not in own)
    else:
        chosen = tuple(wrt)
        for n in chosen:
            if n in tensors and not tensors[n].is_floating_point():
                raise InputError(f"{n} is {_type(tensors[n])}; a gradient is taken in floating-point inputs only")
            if n in held and call is not None:
                raise InputError(f"wrt names {n!r}, a tensor that {name} holds itself; make it an input of {name}")
            if n not in floats:
                raise InputError(
                    f"wrt names {n!r}, which is not a floating-point input; those are {', '.join(floats) or 'none'}"
                )
    for n in program.inputs:
        if n in tensors:
            healthy(n, tensors[n], infinite=n not in chosen)
    if tuple(derivation.wrt) != chosen:
        derivation = Derivation(program, chosen, derivation.values, name=derivation.name, fixed=derivation.fixed)
    kept = {n: tensors[n] for n in tensors if n in program.inputs or call is not None}
    return Subject(derivation, call, kept, chosen, name, passed=passed, held=frozenset(held & kept.keys()))


def _held(s: Subject) -> Subject:
    """With the sizes kept that code which is not read may know by a number that it is given."""
    d = s.derivation
    held = held_by_numbers(d.program, sizes_of(d.program, s.tensors), s.passed)
    if not held:
        return s
    return _derived_in(s, replace(d.program, requires=(*d.program.requires, *held.values())), d.wrt, held)


def _restricted(s: Subject, dims: Mapping[str, str] | None, where: str | None) -> Subject:
    """With the user's domain in the Program and for the probes.

    Raises:
        InputError: it does not fit the inputs, or the data given are not within.
    """
    program, domain = domain_of(s.derivation.program, dims, where, s.passed)
    sizes = sizes_of(program, s.tensors)
    outside = next((str(r) for r in program.requires if not r.holds(sizes)), None) or domain.broken(s.tensors, sizes)
    if outside is not None:
        here = ", ".join(f"{n} = {v}" for n, v in domain.called(sizes).items())
        raise InputError(f"the data given are not within dims= and where=: {outside} does not hold ({here})")
    return replace(_derived_in(s, program, s.derivation.wrt), domain=domain)


def healthy(name: str, t: torch.Tensor, infinite: bool = False) -> None:
    """Refuse data that says nothing: NaN, infinity (but in a mask, ``infinite``), complex numbers, an empty batch."""
    if t.is_complex():
        raise InputError(f"{name} is {_type(t)}; expected real numbers")
    if t.numel() == 0:
        raise InputError(f"{name} is empty (shape {tuple(t.shape)}); expected at least one element in each dimension")
    if t.is_floating_point():
        bad = torch.isnan(t) if infinite else ~torch.isfinite(t)
        if bool(bad.any()):
            at = tuple(int(k) for k in bad.nonzero()[0])
            what = "NaN" if bool(torch.isnan(t[at])) else "infinite"
            mask = "" if what == "NaN" else "; a mask may be infinite where wrt=[...] leaves it out"
            raise InputError(
                f"{name} is {what} at {list(at)} ({int(bad.sum())} such of {t.numel()}); expected finite numbers{mask}"
            )


def _type(t: torch.Tensor) -> str:
    return type_name(t.dtype)


def _device(device: str | torch.device) -> torch.device:
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"the device {str(device)!r} is not there: {str(error).splitlines()[0]}") from None
    return place


def _moved(name: str, t: torch.Tensor, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    if t.is_complex():
        raise InputError(f"{name} is {_type(t)}; expected real numbers")
    if t.requires_grad and not t.is_floating_point():
        raise InputError(f"{name} is {_type(t)} and requires a gradient")
    return t.detach().to(device, dtype) if t.is_floating_point() else t.detach().to(device)


def _reals(module: torch.nn.Module) -> None:
    for n, p in module.named_parameters():
        if not p.is_floating_point():
            raise InputError(f"the parameter {n} is {_type(p)}; expected floating-point numbers")


def called(dotted: str) -> str:
    """The name of a module's parameter or buffer as an input."""
    return identifier(dotted.replace(".", "_"))


def _module_values(module: torch.nn.Module) -> Tensors:
    return {called(n): t.detach().clone() for n, t in (*module.named_parameters(), *module.named_buffers())}


def _module_call(module: torch.nn.Module, names: list[str], nested: Nested) -> Callable[[Tensors], Any]:
    """A module as a function of named tensors: its state is put in for a call, its attributes are not written."""
    dotted = {called(n): n for n, _ in (*module.named_parameters(), *module.named_buffers())}
    parameters = {called(n) for n, _ in module.named_parameters()}

    def held(n: str, t: torch.Tensor) -> torch.Tensor:
        # code may ask for a parameter's class; this view is one, and autograd passes it
        return t.as_subclass(torch.nn.Parameter) if n in parameters else t

    def call(tensors: Tensors) -> Any:
        own = {n: t for n, t in tensors.items() if n in dotted and n not in names}
        state = {dotted[n]: held(n, t if t.requires_grad else t.clone()) for n, t in own.items()}
        given = by_name(nested.leaves, tensors, nested)
        return torch.func.functional_call(module, state, tuple(given[n] for n in names))

    return call


def _names(f: Any, skip: int = 0) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p.name for p in inspect.signature(f).parameters.values() if p.kind in kinds][skip:]


def _any_names(f: Any) -> bool:
    try:
        return any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return True


def _known(inputs: Mapping[str, Any], names: Sequence[str], forward: str) -> None:
    for n in inputs:
        if n not in names:
            raise InputError(f"{n!r} is not an input of {forward}; those are {', '.join(names)}")


def _positional(f: Callable[..., Any], names: Sequence[str], passed: Mapping[str, Any]) -> Callable[[Tensors], Any]:
    def call(tensors: Tensors) -> Any:
        return f(*(passed[n] if n in passed else tensors[n] for n in names if n in passed or n in tensors))

    return call


def _keyword(f: Callable[..., Any], nested: Nested) -> Callable[[Tensors], Any]:
    """A call by name with the caller's own inputs: what else the Program reads the code holds itself."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        parameters = ()  # type: ignore[assignment]
    first = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]

    def call(tensors: Tensors) -> Any:
        named = by_name(nested.leaves, tensors, nested)
        return f(*[named.pop(n) for n in first if n in named], **named)

    return call
