"""``prove``: is a hand-written backward the gradient, for every size?  The front end that reads torch code and index text."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch

from derivcheck.checking.check import check
from derivcheck.checking.subject.domain import domain_of
from derivcheck.claimed import claimed, known_names, latex_backward
from derivcheck.derive import derive
from derivcheck.derived import Derivation
from derivcheck.errors import DerivcheckError, InputError, NotationError
from derivcheck.held import unrefuted, with_held
from derivcheck.kernels.cuda.function import DeviceFunction
from derivcheck.kernels.pairing import ForwardAndBackward, pair, with_constants
from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.program.definitions import Input
from derivcheck.notation.program.positions import bounded, bounds
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.reads import inside
from derivcheck.notation.text.latex.equations import is_latex
from derivcheck.notation.text.parse import parse_program
from derivcheck.notation.text.where import defined_where
from derivcheck.proof.prove import prove_programs
from derivcheck.proof.report.proof import NotProved, Proof


def prove(
    forward: Any,
    backward: Any,
    *args: Any,
    dims: Mapping[str, str] | None = None,
    constants: Mapping[str, Any] | None = None,
    loss: Any = None,
    target: Any = None,
    wrt: Iterable[str] | None = None,
    where: str | None = None,
    invariant: str | Iterable[str] = (),
    time_limit: float = 5.0,
    grads: Mapping[str, str] | None = None,
    outputs: Iterable[str] | None = None,
    **inputs: Any,
) -> Proof:
    """Whether a hand-written backward is the gradient for every size, and how that is known.

    Args:
        forward: a torch function, module, Derivation, Program or index text, as :func:`derivcheck.derive` takes it.
        backward: torch code, called as ``backward(grad_output=..., **inputs)``, that returns a dict of gradients by name
            (of inputs, or of the forward's named intermediates); it may also take the forward's intermediates by name.
            Or index text that defines ``x_bar[…]``, or a Program.
        args, loss, target, dims, constants, wrt, inputs: as :func:`derivcheck.derive` takes them.
        where: what the forward is made for, in its sizes and the elements of its inputs: ``"T % 2 == 0, sigma > 0"``.  Nothing
            is claimed, or refuted, outside.
        invariant: index text that says what a recurrence always is, as in ``R[t] := sum(s: [s >= t]*x[s])``, over the names
            of the forward, the backward and the adjoint; one or several.  Each is proved by induction before it is used.
        time_limit: seconds after which what is open is undecided; tracing is not counted.
        grads, outputs: of a backward of CUDA source, what its names are the gradient of where they do not tell
            (``{"dL_dmean3D": "mean3D"}``), and the results of the forward that the loss depends on.

    Returns:
        A :class:`~derivcheck.proof.report.proof.Proof` with ``status``, ``explanation``, ``conditions``, ``counterexample``.

    Raises:
        UnsupportedOperation: code that cannot be traced or derived.
        InputError: a backward that names what the forward does not have, or gives no gradient; an invariant of what is no
            recurrence.

    >>> p = prove("y[n] := x[n]^2", "x_bar[n] := 2*x[n]*grad_output[n]", dims={"x": "N"})
    >>> p.status
    'proved'
    >>> print(prove("y[n] := x[n]^2", "x_bar[n] := x[n]*grad_output[n]", dims={"x": "N"}).counterexample.sizes)
    {'N': 1}
    """
    if isinstance(backward, DeviceFunction):
        forward, backward, constants = with_constants(forward, backward, constants)
        found = pair(forward, backward, grads, outputs)
        how: dict[str, Any] = {"where": where, "invariant": invariant, "time_limit": time_limit, "constants": constants or None}
        wrt, dims = found.wrt if wrt is None else tuple(wrt), {**(found.dims or {}), **(dims or {})}
        return _with_lines(prove(found.forward, found.backward, dims=dims, wrt=wrt, **how), found)
    if grads is not None or outputs is not None:
        raise InputError("grads= and outputs= belong to a backward of CUDA source; leave them out")
    d = derive(forward, *args, loss=loss, target=target, dims=dims, constants=constants, wrt=wrt, **inputs)
    fixed = dict(constants or {})
    fixed.update({n: v for n, v in inputs.items() if not hasattr(v, "shape") and n not in fixed})
    if where is not None:
        d = _within(d, where)
    d, below = _bounded(d, {**dict(enumerate(args)), **d.values, **inputs})
    program, claims, held = _claimed(backward, d, fixed)
    program = bounded(program, below)
    offered = parse_invariants([invariant] if isinstance(invariant, str) else list(invariant), d, program)
    forward_, adjoint_, program, others = with_held(d, program, held)
    attempt = functools.partial(prove_programs, forward_, adjoint_, program, invariants=offered, time_limit=time_limit)
    first, *again = _assigned(d, claims)
    proof = attempt(outputs=first)
    if proof.status == "refuted":
        proof = next((p for p in (attempt(outputs=names) for names in again) if p.status != "refuted"), proof)
    if proof.status == "refuted" and others:
        proof = unrefuted(proof, others)
    if proof.status != "refuted":
        return proof
    return replace(proof, diagnose=functools.partial(_checked, d, backward, proof))


def _bounded(d: Derivation, examples: Mapping[Any, Any]) -> tuple[Derivation, dict[str, Poly]]:
    """The derivation for integer tensors that are positions, and below what they stay; an example may say otherwise."""
    from_the_end = {n for n, t in examples.items() if isinstance(t, torch.Tensor) and bool((t < 0).any())}
    numbered = any(isinstance(n, int) and not examples[n].is_floating_point() for n in from_the_end)
    below = {} if numbered else {n: p for n, p in bounds(d.program).items() if n not in from_the_end}
    if not below:
        return d, below
    return Derivation(bounded(d.program, below), d.wrt, d.values, name=d.name, fixed=d.fixed), below


def _with_lines(proof: Proof, found: ForwardAndBackward) -> Proof:
    """The proof of a backward of CUDA source, with how its names were understood and the lines that write what is wrong."""
    wrong = [p.counterexample for p in proof.parts if p.counterexample is not None]
    lines = ((w, found.lines(w.name, w.index)) for w in wrong)
    written = [f"{w.name}{list(w.index)} is written at {line}" for w, line in lines if line is not None]
    return replace(proof, notes=(*written, *found.notes, *proof.notes))


def _within(d: Derivation, where: str) -> Derivation:
    """The derivation, with what the user says that it is for."""
    program, domain = domain_of(d.program, None, where, {})
    dims = {a.name: a.dims for a in program.arguments}
    terms = tuple(defined_where(c, dims, domain.sizes or {}) for c in domain.data)
    said = tuple(c for c in program.conditions if c not in {str(c) for c in domain.data})  # the terms say it
    program = replace(program, conditions=said, dropped=(*program.dropped, *terms))
    return Derivation(program, d.wrt, d.values, name=d.name, fixed=d.fixed)


def _assigned(d: Derivation, outputs: dict[str, str] | None) -> Iterator[dict[str, str] | None]:
    """Which gradient each output claims; of a variable that the code assigns more than once, any value may be meant."""
    choices = [(n, *(m for m in d.assigned_again(n) if m not in (outputs or {}))) for n in outputs or {}]
    for names in itertools.islice(itertools.product(*choices), 8):
        yield dict(zip(names, (outputs or {}).values())) if outputs is not None else None


def _checked(d: Derivation, backward: Any, proof: Proof) -> dict[str, Any]:
    """What the check says of the refuted claims on random numbers, at sizes that tell dimensions apart."""
    if isinstance(backward, Derivation):
        backward = backward.program
    primes = dict(zip(d.program.sizes(), (5, 3, 2, 7, 11, 13, 17, 19)))
    shown = proof.counterexample.sizes if proof.counterexample is not None else {}
    claims = [p.name for p in proof.parts if p.name in d.wrt]
    refuted = [p.name for p in proof.parts if p.name in d.wrt and p.status == "refuted"]
    for sizes in (primes, {**primes, **shown}) if refuted else ():
        try:
            report = check(d, _drawn(d, sizes), backward, wrt=claims)
        except (DerivcheckError, KeyError, RuntimeError, TypeError, ValueError):
            continue
        found = {n: report[n] for n in refuted if report[n].faulty}
        if any(r.likely is not None or r.lines for r in found.values()):
            return found
    return {}


def _drawn(d: Derivation, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Random tensors for the inputs that have no values of their own, the same ones each time."""
    generator = torch.Generator().manual_seed(0)
    found: dict[str, Any] = {}
    for a in d.program.arguments:
        shape = tuple(p.at(sizes) for p in a.dims)
        if a.name in d.values and tuple(d.values[a.name].shape) == shape:
            found[a.name] = d.values[a.name]
        elif a.kind == "int":
            below = a.below.at(sizes) if a.below is not None else 2
            found[a.name] = torch.randint(0, below, shape, generator=generator)
        elif a.kind == "bool":
            found[a.name] = torch.rand(shape, generator=generator) < 0.5
        else:
            found[a.name] = torch.randn(shape, generator=generator, dtype=torch.float64)
    return found


def assert_proved(forward: Any, backward: Any, *args: Any, **kwargs: Any) -> Proof:
    """:func:`prove` with the same arguments, for tests.

    Raises:
        NotProved: an AssertionError with ``.proof``, unless it is proved.

    >>> assert_proved("y[n] := x[n]^2", "x_bar[n] := 2*x[n]*grad_output[n]", dims={"x": "N"}).status
    'proved'
    """
    proof = prove(forward, backward, *args, **kwargs)
    if proof.status != "proved":
        raise NotProved(proof)
    return proof


def _claimed(
    backward: Any, d: Derivation, constants: Mapping[str, Any]
) -> tuple[Program, dict[str, str] | None, Mapping[str, Any]]:
    """The backward as a Program, which of its outputs claims which gradient, and the tensors that its code holds."""
    if isinstance(backward, Program):
        return backward, None, {}
    if isinstance(backward, Derivation):
        return backward.program, None, {n: backward.values[n] for n in backward.held if n in backward.values}
    if isinstance(backward, str):
        return (latex_backward if is_latex(backward) else parse_claim)(backward, d), None, {}
    if callable(backward):
        found = claimed(backward, d, constants)
        return found.program, dict(found.outputs), found.values
    raise InputError(
        f"backward is a {type(backward).__name__}; expected a function of grad_output and the inputs, or index text"
    )


def parse_claim(text: str, d: Derivation) -> Program:
    """Index text of a backward, over the names of the forward and its adjoint, each in its dimensions."""
    defined = set(re.findall(r"^\s*([^\W\d]\w*)[^\n;=]*?:?=", text.replace(";", "\n"), re.MULTILINE))
    known = known_names(d)
    lines = [_input_line(a) for n, a in known.items() if n not in defined]
    found = _only_read(parse_program("\n".join([text, *lines])))
    wanted = {n: known[n].dims for n in found.outputs if n in known}
    if any(found.dims(n) != dims for n, dims in wanted.items()):
        with suppress(NotationError):  # an index whose range nothing tells gets that of the gradient
            found = _only_read(parse_program("\n".join([_with_ranges(text, wanted), *lines])))
    return inside(found)


def parse_invariants(texts: list[str], d: Derivation, claim: Program) -> Program | None:
    """Index text of invariants, over the names of the forward, its adjoint and the claim, each in its dimensions."""
    if not texts:
        return None
    known = {**known_names(d), **{x.name: Input(x.name, x.dims, x.kind) for x in claim.definitions}}
    found: list[Program] = []
    for text in texts:
        name = re.match(r"\s*(\w*)", text)[1]  # type: ignore[index]
        if name not in known:
            raise InputError(f"an invariant of {name!r}, which neither side defines; they define {', '.join(known)}")
        lines = [_input_line(a) for n, a in known.items() if n != name]
        found.append(inside(_only_read(parse_program("\n".join([_with_ranges(text, {name: known[name].dims}), *lines])))))
    definitions = tuple(x for p in found for x in p.definitions)
    arguments = {a.name: a for p in found for a in p.arguments}
    conditions = tuple(dict.fromkeys(c for p in found for c in p.conditions))
    return Program(tuple(arguments.values()), definitions, tuple(x.name for x in definitions), conditions)


def _only_read(program: Program) -> Program:
    """The Program without the inputs that it does not read."""
    read = frozenset().union(*(d.term.names for d in program.definitions))
    return replace(program, arguments=tuple(a for a in program.arguments if a.name in read))


def _with_ranges(text: str, wanted: Mapping[str, tuple[Poly, ...]]) -> str:
    """Index text with the range of each index of a head written out, ``x_bar[n < N]``, as the gradient's dimensions have it."""

    def head(m: re.Match[str]) -> str:
        dims = wanted.get(m[2])
        names = [n.strip() for n in m[3].split(",")]
        if dims is None or len(names) != len(dims) or not all(n.isidentifier() for n in names):
            return m[0]
        return f"{m[1]}{m[2]}[{', '.join(f'{n} < {p}' for n, p in zip(names, dims))}]{m[4]}"

    return re.sub(r"(^|\n|;)(?=\s*\w)\s*(\w+)\s*\[([^\]\n;]*)\](\s*:?=)", head, text)


def _input_line(a: Input) -> str:
    dims = f"[{', '.join(map(str, a.dims))}]" if a.dims else ""
    kind = "" if a.kind == "float" else f" {a.kind}" + (f" < {a.below}" if a.below is not None else "")
    return f"input {a.name}{dims}{kind}"
