"""Running the backward under test: what it returned, and what it did that it should not."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from derivcheck.checking.arithmetic.live import Live
from derivcheck.checking.backward.engine import functions
from derivcheck.checking.backward.own import own
from derivcheck.checking.subject.outputs import dense, flat
from derivcheck.checking.subject.subject import Subject, Tensors, Upstream
from derivcheck.checking.subject.wide import widened
from derivcheck.errors import InputError
from derivcheck.notation.program.definitions import Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.reads import inside
from derivcheck.notation.text.parse import parse_program
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.tracing.program.copies import same_layout

Run = Callable[[Tensors, Upstream], Mapping[str, "torch.Tensor | None"]]


@dataclass(frozen=True)
class BackwardRun:
    """What one run of the backward under test gave.

    Attributes:
        gradients: name -> what was returned (None: nothing).
        changed: inputs that it writes into, each with what to say of it.
        raised: what it raised, or "".
        complaints: what an autograd.Function within returned that does not fit, each with what to say of it.
    """

    gradients: Mapping[str, torch.Tensor | None]
    changed: Mapping[str, str] = field(default_factory=dict)
    raised: str = ""
    complaints: Mapping[str, str] = field(default_factory=dict)


def runner(s: Subject, backward: Any) -> Run:
    """The backward under test as ``run(tensors, upstream) -> name -> gradient``; an input's gradient bears the input's name."""
    run, d = _runner(s, backward), s.derivation
    inputs = dict(zip(d.adjoint.outputs, d.wrt))

    def named(tensors: Tensors, upstream: Upstream) -> Mapping[str, torch.Tensor | None]:
        out = run(tensors, upstream)
        short = {n: n if n in inputs.values() else inputs.get(d.gradient_named(n) or "", n) for n in out}
        return {n if m != n and m in out else m: out[n] for n, m in short.items()}

    return widened(named, s.held, s.met.casts)


def as_it_is(s: Subject, backward: Any, tensors: Tensors, upstream: Upstream) -> Mapping[str, torch.Tensor | None]:
    """What the backward returns where its casts do cast; nothing where it then cannot run."""
    try:
        copies = [{n: same_layout(t) for n, t in given.items()} for given in (tensors, upstream)]
        return _runner(s, backward)(copies[0], copies[1])
    except Exception:  # it mixes types that only a narrower check would bring together
        return {}


def _runner(s: Subject, backward: Any) -> Run:
    """How this kind of backward runs: none given, index text or a Program, a function."""
    if backward is None:
        return own(s) if s.call is not None else _generated(s)
    if isinstance(backward, (str, Program)):
        return _written(s, backward)
    if not callable(backward):
        raise InputError(
            f"backward is a {type(backward).__name__}; expected a function of grad_output and the inputs, or index text"
        )
    return _callable(s, backward)


def native(s: Subject, backward: Any) -> bool:
    """Whether what is under test is torch's own backward of its own kernels: no autograd.Function and no hook takes part."""
    if backward is not None or s.call is None or s.function is not None:
        return False
    leaves = {n: t.detach().clone().requires_grad_() if n in s.wrt else t for n, t in s.tensors.items()}
    with torch.enable_grad():
        return not functions(flat(s.call({n: t.clone() for n, t in leaves.items()})))


def writes(s: Subject) -> bool:
    """Whether the code changes its inputs in place, for which torch takes no leaves."""
    leaves = {n: same_layout(t).requires_grad_(n in s.wrt) for n, t in s.tensors.items()}
    try:
        with torch.enable_grad():
            if s.call is not None:
                s.call(leaves)
    except RuntimeError as error:
        return "leaf Variable" in str(error)
    except Exception:  # said where it is run in earnest
        return False
    return False


def find(
    s: Subject,
    run: Run,
    tensors: Tensors,
    upstream: Upstream,
    before: tuple[Tensors, Upstream] | None = None,
    leaves: bool = False,
) -> BackwardRun:
    """Run it on copies, and see what it did to them.

    Args:
        before: values that the very same memory holds first, for a run whose gradients count for nothing.
        leaves: the inputs require a gradient and none is recorded, as where autograd calls a backward.
    """
    copies = {id(t): same_layout(t) for t in (*tensors.values(), *upstream.values())}  # one tensor twice stays one tensor
    given = {n: copies[id(t)] for n, t in tensors.items()}
    ups = {n: copies[id(t)] for n, t in upstream.items()}
    if before is not None:
        _run_before(run, given, ups, before)
    if leaves:
        for n in s.wrt:
            if n in given:
                given[n].requires_grad_()
    s.met.complaints.clear()  # of other runs
    versions = {n: t._version for n, t in {**given, **ups}.items()}
    try:
        with torch.set_grad_enabled(not leaves and torch.is_grad_enabled()):
            out = {n: dense(g) for n, g in run(dict(given), dict(ups)).items()}
    except InputError:
        raise
    except Exception as error:  # a backward's faults are findings
        text = str(error).strip().splitlines()
        return BackwardRun({}, raised=f"{type(error).__name__}: {text[0] if text else ''}"[:200])
    changed = {}
    for n, t in [*tensors.items(), *upstream.items()]:
        now = given.get(n, ups.get(n))
        if not _same(now, t):
            changed[n] = f"the backward writes into {n}"
        elif now is not None and now._version != versions[n]:
            changed[n] = f"the backward writes into {n}, and puts back what was there: work on a copy"
    return BackwardRun(out, changed, complaints=dict(s.met.complaints))


def _run_before(run: Run, given: Tensors, ups: Upstream, before: tuple[Tensors, Upstream]) -> None:
    """Run it on other values in the same memory, then put the right ones there."""
    right = {n: t.clone() for n, t in {**given, **ups}.items()}

    def fill(values: Mapping[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for n, t in {**given, **ups}.items():
                if n in values and not any(k == 0 and m > 1 for k, m in zip(t.stride(), t.shape)):
                    t.requires_grad_(False).copy_(values[n])

    fill({**before[0], **before[1]})
    try:
        run(dict(given), dict(ups))
    except Exception:  # values that it was not asked for: no finding
        pass
    fill(right)


def _same(a: torch.Tensor | None, b: torch.Tensor) -> bool:
    return (
        a is not None
        and a.shape == b.shape
        and a.dtype == b.dtype
        and bool(torch.equal(a, b) or torch.equal(a.isnan(), b.isnan()) and torch.equal(a.nan_to_num(), b.nan_to_num()))
    )


def _generated(s: Subject) -> Run:
    """The generated code of a derivation."""
    compiled = s.derivation.compile()

    def run(tensors: Tensors, upstream: Upstream) -> dict[str, torch.Tensor | None]:
        return dict(compiled(**tensors, **upstream)[1])

    return run


def _written(s: Subject, backward: str | Program) -> Run:
    """A backward in index notation; ``<name>_bar`` and ``<name>`` both name a gradient."""
    program = parse_backward(s, backward)
    forward = s.derivation.program
    inner = {a.name for a in program.arguments} & {d.name for d in forward.definitions}

    def run(tensors: Tensors, upstream: Upstream) -> dict[str, torch.Tensor | None]:
        """The gradients by the Program's meaning, in the type of the data."""
        some = next(iter(tensors.values()))
        dtype = next((t.dtype for t in tensors.values() if t.is_floating_point()), torch.float64)
        numbers = Live(dtype, some.device)
        given = {**tensors, **upstream}
        if inner:
            given.update(evaluate(forward.needed(inner), {n: tensors[n] for n in forward.inputs}, None, numbers))
        values = evaluate(program, {a.name: given[a.name] for a in program.arguments}, None, numbers)
        out: dict[str, torch.Tensor | None] = {}
        for name in values:
            bar = s.derivation.gradient_named(name)
            if name in program.outputs or bar is not None and name not in forward.names:
                out[name] = values[name]
        return out

    return run


def parse_backward(s: Subject, text: str | Program) -> Program:
    """Index text of a backward, over the forward's inputs and definitions and its upstream gradients; a Program as it is.

    Raises:
        NotationError: text that cannot be read, or that defines no gradient.
    """
    if isinstance(text, Program):
        return text
    program, adjoint = s.derivation.program, s.derivation.adjoint
    written = set(re.findall(r"[^\W\d]\w*", text))
    known = [*adjoint.arguments, *(Input(d.name, d.dims, d.kind) for d in program.definitions)]
    defined = set(re.findall(r"^\s*([^\W\d]\w*)[^\n;=]*?:?=", text.replace(";", "\n"), re.MULTILINE))
    dims = {a.name: _dims_text(a) for a in known if a.name in written and a.name not in defined}
    return inside(parse_program(text, dims))


def _dims_text(a: Input) -> str:
    sizes = " ".join(str(p).replace(" ", "") for p in a.dims)
    if a.kind == "float":
        return sizes
    return f"{a.kind}<{str(a.below).replace(' ', '')}: {sizes}>" if a.below is not None else f"{a.kind}: {sizes}"


def intermediates(s: Subject, backward: Any) -> set[str]:
    """Which of the forward's intermediates a backward takes by name."""
    try:
        asked = set(inspect.signature(backward).parameters)
    except (TypeError, ValueError):
        return set()
    given = {*s.tensors, *s.passed, *s.nested.structure, "grad_output"}
    return asked & {d.name for d in s.derivation.program.definitions} - given


def _intermediates(program: Program, names: set[str], tensors: Tensors) -> dict[str, torch.Tensor]:
    """What a forward computes on its way, by the names that its code gives it."""
    needed = program.needed(names)
    some = next(t for t in tensors.values() if t.is_floating_point())
    given = {a.name: tensors[a.name] for a in needed.arguments if a.name in tensors}
    values = evaluate(needed, given, None, Live(some.dtype, some.device))
    return {n: values[n].detach() for n in names}


def _callable(s: Subject, backward: Callable[..., Any]) -> Run:
    """A backward as a Python function: it gets those of grad_output, the inputs and intermediates that its signature names."""
    explicit: set[str] = set()
    try:
        parameters = inspect.signature(backward).parameters.values()
        explicit = {p.name for p in parameters}
        accepts = None if any(p.kind is p.VAR_KEYWORD for p in parameters) else explicit
    except (TypeError, ValueError):
        accepts = None

    program = s.derivation.program
    inner = intermediates(s, backward)

    def run(tensors: Tensors, upstream: Upstream) -> dict[str, torch.Tensor | None]:
        """One call by name, with what the signature asks for; the dict that comes back, flattened."""
        ups = tuple(upstream.values())
        named: dict[str, Any] = {"grad_output": ups[0] if len(ups) == 1 else ups}
        named.update(s.passed)
        named.update(tensors)
        named.update(s.nested.filled(tensors))
        if inner:
            named.update(_intermediates(program, inner, tensors))
        if set(upstream) - {"grad_output"} and len(ups) > 1:
            named.update(upstream)
        if accepts is not None:
            named = {n: v for n, v in named.items() if n in accepts}
        else:
            named = {n: v for n, v in named.items() if n not in s.held or n in explicit}
        out = backward(**named)
        if not isinstance(out, Mapping):
            raise InputError(f"backward returned a {type(out).__name__}; expected a dict name -> gradient ({', '.join(s.wrt)})")
        return s.nested.flat(out)

    return run
