"""What is under test: the forward as a derivation and as code that runs, with its tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from derivcheck.checking.arithmetic.pairs import type_name
from derivcheck.checking.subject.domain import UserDomain, domain_of, held_by_numbers
from derivcheck.checking.subject.draw import Spread, range_of
from derivcheck.checking.subject.forms import Form, Given, keyword, read
from derivcheck.checking.subject.forms import Tensors as Tensors
from derivcheck.checking.subject.kinds import Kind, kinds_of
from derivcheck.checking.subject.left_out import undifferentiable
from derivcheck.checking.subject.nested import Nested
from derivcheck.checking.subject.wide import computing_in, widened
from derivcheck.derived import Derivation
from derivcheck.errors import InputError, perhaps
from derivcheck.notation.program.program import Program
from derivcheck.notation.values.measure import sizes_of

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


@dataclass(frozen=True)
class CheckSetting:
    """In which type and where a forward runs, what it is made for, and the seed of what is random, as
    :func:`~derivcheck.checking.check.check` takes them."""

    dtype: torch.dtype = torch.float64
    device: str | torch.device = "cpu"
    dims: Mapping[str, str] | None = None
    where: str | None = None
    seed: int = 0


DOUBLE = CheckSetting()


def subject(
    forward: Any,
    inputs: Mapping[str, Any],
    reference: Any = None,
    wrt: Iterable[str] | None = None,
    setting: CheckSetting = DOUBLE,
) -> Subject:
    """The subject of a check, from whatever the user has.

    Raises:
        InputError: bad data (NaN, infinity, an empty batch, integer or complex parameters), a missing or unknown name, a device
            that is not there.
        UnsupportedOperation: a forward that cannot be derived.
    """
    dims, where = setting.dims, setting.where
    with computing_in(setting.dtype) as widening:
        s = _subject(forward, Given.of(inputs, reference, setting.dtype, setting.device, dims), wrt)
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


def _subject(forward: Any, given: Given, wrt: Iterable[str] | None) -> Subject:
    """The subject as it was given: the forward read, its tensors together, and what the gradient is taken in."""
    form = read(forward, given)
    tensors, held = _tensors(form, given)
    derivation, program = form.derivation, form.derivation.program
    chosen = _chosen(form, tensors, held, wrt)
    for n in program.inputs:
        if n in tensors:
            healthy(n, tensors[n], infinite=n not in chosen)
    if tuple(derivation.wrt) != chosen:
        derivation = Derivation(program, chosen, derivation.values, name=derivation.name, fixed=derivation.fixed)
    kept = {n: tensors[n] for n in tensors if n in program.inputs or form.call is not None}
    return Subject(
        derivation,
        form.call,
        kept,
        chosen,
        form.name,
        None if given.reference is None else keyword(given.reference, given.nested),
        form.function,
        form.passed,
        form.order,
        module=form.module,
        held=frozenset(held & kept.keys()),
        nested=given.nested,
    )


def _tensors(form: Form, given: Given) -> tuple[Tensors, set[str]]:
    """Every input of the Program, those that the code holds itself too, and the names of these."""
    derivation, program = form.derivation, form.derivation.program
    tensors = form.values | given.tensors
    place = next((t.device for t in tensors.values()), torch.device("cpu"))
    own = {a.name for a in program.arguments if a.role == "constant" and a.name not in given.tensors}
    held = {a.name for a in program.arguments if a.name not in tensors} | own
    for a in program.arguments:
        if a.name not in tensors:
            if a.name in derivation.values:
                tensors[a.name] = torch.as_tensor(derivation.values[a.name]).detach().to(place)
            elif a.name in form.passed and isinstance(form.passed[a.name], (int, float)):
                tensors[a.name] = torch.tensor(form.passed[a.name], dtype=torch.float64)
            elif a.role != "upstream" or a.dims:
                raise InputError(f"{a.name} is missing from inputs; the forward's are {', '.join(program.inputs)}")
    unknown = [n for n in tensors if n not in program.inputs]
    if unknown and form.call is None:
        raise InputError(f"{unknown[0]!r} is not an input of the forward; those are {', '.join(program.inputs)}")
    return tensors, held


def _chosen(form: Form, tensors: Tensors, held: set[str], wrt: Iterable[str] | None) -> tuple[str, ...]:
    """What the gradient is taken in: ``wrt``, else the inputs that ask for one, else all in which the forward is derived.

    Raises:
        InputError: there is no floating-point input, or ``wrt`` names what is none, or what the code holds itself.
    """
    program = form.derivation.program
    floats = [a.name for a in program.arguments if a.kind == "float" and a.name in tensors]
    if not floats:
        raise InputError(f"none of {', '.join(program.inputs) or 'the inputs'} is floating-point: no gradient to check")
    if wrt is None:
        own = held if form.call is not None else set()
        chosen = tuple(n for n in floats if n in form.wants_grad)
        return chosen or tuple(n for n in floats if n in form.derivation.wrt and n not in own)
    chosen = tuple(wrt)
    for n in chosen:
        if n in tensors and not tensors[n].is_floating_point():
            raise InputError(f"{n} is {type_name(tensors[n].dtype)}; a gradient is taken in floating-point inputs only")
        if n in held and form.call is not None:
            raise InputError(f"wrt names {n!r}, a tensor that {form.name} holds itself; make it an input of {form.name}")
        if n not in floats:
            those = ", ".join(floats) or "none"
            raise InputError(f"wrt names {n!r}, which is not a floating-point input; those are {those}{perhaps(n, floats)}")
    return chosen


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
        raise InputError(f"{name} is {type_name(t.dtype)}; expected real numbers")
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
