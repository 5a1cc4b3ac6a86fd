"""The forms of a forward: a derivation, a module, an autograd.Function, a function; each is read as a derivation and a call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from derivcheck.checking.arithmetic.pairs import type_name
from derivcheck.checking.subject.domain import named_dims
from derivcheck.checking.subject.forwards import derived_from, derived_from_module
from derivcheck.checking.subject.function import arguments, function_of, plain
from derivcheck.checking.subject.nested import Nested, by_name
from derivcheck.derived import Derivation
from derivcheck.errors import InputError
from derivcheck.tracing.modules import identifier
from derivcheck.tracing.program.copies import module_copy
from derivcheck.tracing.program.inputs import Named

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Given:
    """The inputs that the caller gave, each tensor moved to the type and the device of the check.

    Attributes:
        inputs: as the caller has them; ``nested`` has their tensors apart, ``tensors`` those moved.
        reference: a function that says what the forward means, or None.
        named: the dimensions that the user names.
    """

    inputs: Mapping[str, Any]
    reference: Any
    dtype: torch.dtype
    place: torch.device
    nested: Nested
    tensors: Tensors
    named: Named | None

    @classmethod
    def of(
        cls, inputs: Mapping[str, Any], reference: Any, dtype: torch.dtype, device: Any, dims: Mapping[str, str] | None
    ) -> Given:
        """The inputs read; what is no dict, no floating-point type or no device is refused."""
        if not isinstance(inputs, Mapping):
            raise InputError(f"inputs is a {type(inputs).__name__}; expected a dict name -> tensor, in forward's order")
        if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
            raise InputError(f"dtype is {dtype!r}; expected a floating-point type such as torch.float64")
        place, nested = _device(device), Nested.of(inputs)
        tensors = {n: _moved(n, v, dtype, place) for n, v in nested.leaves.items()}
        return cls(inputs, reference, dtype, place, nested, tensors, named_dims(dims, tensors))

    @property
    def passed(self) -> dict[str, Any]:
        """What holds no tensor."""
        return self.nested.passed

    @property
    def examples(self) -> dict[str, Any]:
        """The inputs that are, or hold, tensors, as the forward takes them."""
        return {n: v for n, v in by_name(self.tensors, self.tensors, self.nested).items() if n not in self.passed}

    @property
    def wants_grad(self) -> set[str]:
        """The inputs that require a gradient."""
        return {n for n, v in self.nested.leaves.items() if v.requires_grad}


@dataclass(frozen=True)
class Form:
    """A forward, read.

    Attributes:
        call: the user's own code as a function of named tensors; None where there is a derivation alone.
        wants_grad: the inputs that ask for a gradient where the caller names none.
        passed: what the code takes that is no tensor.
        values: tensors that the forward brings: a module's state, a derivation's constants.
        order: the parameters of an autograd.Function's forward, the inputs of a module's.
    """

    derivation: Derivation
    call: Callable[[Tensors], Any] | None
    name: str
    wants_grad: set[str]
    passed: Mapping[str, Any]
    values: Tensors = field(default_factory=dict)
    order: tuple[str, ...] = ()
    function: Any = None
    module: torch.nn.Module | None = None


def read(forward: Any, given: Given) -> Form:
    """The forward in whichever form it came.

    Raises:
        InputError: it is of no such form, or its inputs are not those given.
    """
    if not given.tensors and not isinstance(forward, (Derivation, torch.nn.Module)):
        found = ", ".join(f"{n} is a {type(v).__name__}" for n, v in given.inputs.items()) or "there is none"
        raise InputError(f"no input is a tensor ({found}); give each tensor by a name of its own")
    if isinstance(forward, Derivation):
        own = forward.values.items()
        values = {n: _moved(n, torch.as_tensor(v), given.dtype, given.place) for n, v in own if n not in given.tensors}
        return Form(forward, None, forward.name, given.wants_grad or set(forward.wrt), given.passed, values)
    if isinstance(forward, torch.nn.Module):
        return _module(forward, given)
    function = function_of(forward)
    if function is not None:
        return _function(function, given)
    if callable(forward):
        return _callable(forward, given)
    raise InputError(
        f"forward is a {type(forward).__name__}; expected a Derivation, a module, a torch function or an autograd.Function"
    )


def _module(forward: torch.nn.Module, given: Given) -> Form:
    """A copy of a module in the check's type; its parameters are inputs."""
    module = module_copy(forward).to(given.place)
    for n, p in module.named_parameters():
        if not p.is_floating_point():
            raise InputError(f"the parameter {n} is {type_name(p.dtype)}; expected floating-point numbers")
    module = module.to(given.dtype)
    examples, names = given.examples, list(given.inputs)
    if given.reference is None:
        derivation = derived_from_module(module, tuple({**examples, **given.passed}[n] for n in names), given.named)
    else:
        derivation = derived_from(given.reference, examples, given.passed, given.named)
    values = {called(n): t.detach().clone() for n, t in (*module.named_parameters(), *module.named_buffers())}
    parameters = {called(n) for n, p in module.named_parameters() if p.requires_grad}
    floats = {n for n, v in given.tensors.items() if v.is_floating_point()}
    wants_grad = (given.wants_grad or floats) | parameters
    call, name = _module_call(module, names, given.nested), type(forward).__name__
    return Form(derivation, call, name, wants_grad, given.passed, values, tuple(names), module=module)


def _function(function: Any, given: Given) -> Form:
    """An autograd.Function: its forward is traced alone, ``apply`` is what runs."""
    if given.nested.structure:
        which = next(iter(given.nested.structure))
        raise InputError(
            f"{which} holds tensors inside, which torch's engine gives {function.__name__} no gradient for; "
            "give each tensor as an argument of its own"
        )
    order, defaults = arguments(function, given.inputs)
    whole = {**given.passed, **defaults}
    if given.reference is None:
        derivation = derived_from(plain(function, order), given.tensors, whole, given.named)
    else:
        derivation = derived_from(given.reference, given.tensors, given.passed, given.named)
    call = _positional(function.apply, order, whole)
    return Form(derivation, call, function.__name__, given.wants_grad, whole, order=order, function=function)


def _callable(forward: Callable[..., Any], given: Given) -> Form:
    """A function of named tensors."""
    name = getattr(forward, "__name__", "forward")
    names = None if _any_names(forward) else _names(forward)
    for n in given.inputs:
        if names is not None and n not in names:
            raise InputError(f"{n!r} is not an input of {name}; those are {', '.join(names)}")
    means = forward if given.reference is None else given.reference
    derivation = derived_from(means, given.examples, given.passed, given.named)
    return Form(derivation, keyword(forward, given.nested), name, given.wants_grad, given.passed)


def keyword(f: Callable[..., Any], nested: Nested) -> Callable[[Tensors], Any]:
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


def called(dotted: str) -> str:
    """The name of a module's parameter or buffer as an input."""
    return identifier(dotted.replace(".", "_"))


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


def _positional(f: Callable[..., Any], names: Sequence[str], passed: Mapping[str, Any]) -> Callable[[Tensors], Any]:
    def call(tensors: Tensors) -> Any:
        return f(*(passed[n] if n in passed else tensors[n] for n in names if n in passed or n in tensors))

    return call


def _names(f: Any, skip: int = 0) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p.name for p in inspect.signature(f).parameters.values() if p.kind in kinds][skip:]


def _any_names(f: Any) -> bool:
    try:
        return any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return True


def _device(device: str | torch.device) -> torch.device:
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"the device {str(device)!r} is not there: {str(error).splitlines()[0]}") from None
    return place


def _moved(name: str, t: torch.Tensor, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    if t.is_complex():
        raise InputError(f"{name} is {type_name(t.dtype)}; expected real numbers")
    if t.requires_grad and not t.is_floating_point():
        raise InputError(f"{name} is {type_name(t.dtype)} and requires a gradient")
    return t.detach().to(device, dtype) if t.is_floating_point() else t.detach().to(device)
