"""``check``: is this gradient right?  Witnesses, a bound from the arithmetic, hostile probes, a report."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import torch

from derivcheck.checking.arithmetic.function_errors import DIGITS
from derivcheck.checking.arithmetic.pairs import type_name
from derivcheck.checking.backward.found import Run, as_it_is, native, runner, writes
from derivcheck.checking.modules import check_modules
from derivcheck.checking.probing.probes import Tested, probe
from derivcheck.checking.probing.whole import judge_hidden
from derivcheck.checking.report.report import Note, Report
from derivcheck.checking.report.row import Row
from derivcheck.checking.reproducing.reproduce import reproduction
from derivcheck.checking.second import DoubleBackward, second_order
from derivcheck.checking.subject.devices import holds_double
from derivcheck.checking.subject.outputs import flat
from derivcheck.checking.subject.subject import DOUBLE, CheckSetting, Subject, Tensors, Upstream, healthy, subject
from derivcheck.checking.verdict.case import case_of, where_of
from derivcheck.checking.verdict.conditioned import Rounding
from derivcheck.checking.verdict.decided_steps import STEPS_DECIDED
from derivcheck.checking.verdict.derived import Derived, JudgedRun, derived, products_of
from derivcheck.checking.verdict.judge import judge
from derivcheck.checking.verdict.repairs import repair_of
from derivcheck.checking.verdict.single import hints
from derivcheck.checking.verdict.verdict import narrowed, not_reproduced, noted, witnessed
from derivcheck.checking.witnesses.witness import testify, value_row
from derivcheck.claimed import latex_backward
from derivcheck.errors import GradientMismatch, InputError
from derivcheck.kernels.cuda.function import DeviceFunction
from derivcheck.kernels.pairing import pair
from derivcheck.notation.terms.nodes import Func
from derivcheck.notation.terms.walk import subterms
from derivcheck.notation.text.latex.equations import is_latex
from derivcheck.notation.values.measure import sizes_of


def check(
    forward: Any,
    inputs: Mapping[str, Any],
    backward: Any = None,
    reference: Any = None,
    wrt: Iterable[str] | None = None,
    grad_output: Any = None,
    dtype: torch.dtype = torch.float64,
    device: str | torch.device = "cpu",
    seed: int = 0,
    *,
    tolerance: float | None = None,
    per_module: bool = False,
    dims: Mapping[str, str] | None = None,
    where: str | None = None,
    strict: bool = False,
    order: int | None = None,
    grads: Mapping[str, str] | None = None,
    outputs: Iterable[str] | None = None,
) -> Report:
    """Check a gradient: derived against what the backward under test returns, elementwise, and against other witnesses.

    Args:
        forward: a Derivation, an ``nn.Module`` (its parameters come from a copy), a torch function of named tensors, or a
            ``torch.autograd.Function``.
        inputs: name -> tensor, in forward's order; other values (eps, flags, None) pass through as they are.
        backward: the gradient under test, called as ``backward(grad_output=..., **inputs and parameters)``, returns a dict
            name -> tensor (also of named intermediates); or index text of it; None for the forward's own backward.
        reference: a torch function of the same inputs that says what ``forward`` means, where it cannot be traced.
        wrt: names; default the inputs that require a gradient if any do, else all floating-point ones.
        grad_output: the upstream gradient (a flat tuple for several outputs); default 1 for one number, else random.
        dtype: the floating-point type to check in; floating inputs are converted.  In float64, casts inside the code
            (``x.float()``) do not round and tensors that it makes are float64; in a narrower type it runs as it is.
        device: where to run; where it has no float64 (``mps``), float32 is taken, and the report says so.
        seed: of everything random.
        tolerance: allow this relative error beyond rounding; the report says that it was used.
        per_module: walk a module's submodules and check each that has a backward of its own.
        dims: what dimensions are called, ``{"q": "N h T d", "k": "N h S d"}``: equal names are equal sizes, numbers stay.
        where: what the forward is made for, in these sizes and in the inputs, ``"T % 2 == 0, sigma > 0, det(A) > 0"``.  Probes
            stay within both, and the report repeats them.
        strict: pass only where nothing is left open (``report.limits``).
        grads, outputs: of a backward of CUDA source, as :func:`derivcheck.prove` takes them.
        order: 1: the gradient alone; None: also the gradient's own gradient, where an ``autograd.Function`` offers one; 2: that
            of any forward without a ``backward``, and it has to be there.

    Returns:
        A :class:`~derivcheck.checking.report.report.Report`; ``docs/verdicts.md`` says what each verdict means.

    Raises:
        InputError: data that cannot be checked (NaN, infinity, an empty batch), names and shapes that do not fit, an order
            that is not 1, 2 or None.
        UnsupportedOperation: a forward that cannot be derived.

    >>> x, w = torch.randn(4, 3), torch.randn(2, 3)
    >>> text = "y[n,o] := sum(i: x[n,i]*w[o,i])"
    >>> import derivcheck as dc
    >>> linear = dc.derive(text, dims={"x": "N in", "w": "out in"})
    >>> def mine(grad_output, x, w):
    ...     return {"x": grad_output @ w, "w": grad_output.T @ x}
    >>> check(linear, {"x": x, "w": w}, backward=mine).passed
    True
    """
    if order not in (None, 1, 2):
        raise InputError(f"order is {order!r}; expected 1 (the gradient alone), or 2 or None (its own gradient as well)")
    if per_module:
        if dims is not None or where is not None:
            raise InputError("dims= and where= speak of a forward's own inputs; check each module by itself to give them")
        each = partial(check, tolerance=tolerance, order=order)
        return replace(check_modules(forward, inputs, each, dtype, device, seed), strict=strict)
    brought: tuple[str, ...] = ()
    if isinstance(backward, DeviceFunction):
        found = pair(forward, backward, grads, outputs)
        forward, backward, brought = found.forward, found.backward, found.notes
        wrt = found.wrt if wrt is None else wrt
    elif grads is not None or outputs is not None:
        raise InputError("grads= and outputs= belong to a backward of CUDA source; leave them out")
    if wrt is None and isinstance(forward, DeviceFunction):
        wrt = forward.wrt
    if dtype is torch.float64 and not holds_double(device):
        dtype = torch.float32
        brought = (*brought, f"device {str(device)!r} has no float64: checked in float32")
    s = subject(forward, inputs, reference, wrt, CheckSetting(dtype, device, dims, where))
    report = examine(s, backward, Asked(dtype, seed, grad_output, tolerance, order, hostile=True))
    return replace(report, strict=strict, notes=[*report.notes, *brought])


def check_at(
    forward: Any,
    inputs: Mapping[str, Any],
    backward: Any = None,
    wrt: Iterable[str] | None = None,
    setting: CheckSetting = DOUBLE,
    witnesses: bool = True,
) -> Report:
    """Check at these very tensors alone, as a training run does: no other shapes, upstream gradients or layouts.

    A backward that is right here and wrong elsewhere passes.  ``report.faulty`` is what has to stop a run.
    """
    s = subject(forward, inputs, None, wrt, setting)
    return examine(s, backward, Asked(setting.dtype, setting.seed, witnesses=witnesses))


def assert_gradients(forward: Any, inputs: Mapping[str, Any], backward: Any = None, *args: Any, **kwargs: Any) -> None:
    """:func:`check` with the same arguments, for tests.

    Raises:
        GradientMismatch: an AssertionError with ``.report``, if the check does not pass.

    >>> assert_gradients(torch.sin, {"input": torch.ones(3)}, lambda grad_output, input: {"input": grad_output})
    Traceback (most recent call last):
        ...
    derivcheck.errors.GradientMismatch: ...
    """
    report = check(forward, inputs, backward, *args, **kwargs)
    if not report.passed:
        raise GradientMismatch(report)


@dataclass(frozen=True)
class Asked:
    """What is asked of a check, as :func:`check` takes it.

    Attributes:
        hostile: other data, too: probes, what rounding hides, the double backward.
    """

    dtype: torch.dtype
    seed: int = 0
    grad_output: Any = None
    tolerance: float | None = None
    order: int | None = None
    hostile: bool = False
    witnesses: bool = True


def examine(s: Subject, backward: Any, asked: Asked) -> Report:
    """The check of a subject: each step gives values, which are joined here."""
    dtype, seed = asked.dtype, asked.seed
    if isinstance(backward, str) and is_latex(backward):
        backward = latex_backward(backward, s.derivation)
    s = replace(s, allowance=asked.tolerance, dirty=backward is None and writes(s))
    upstream = upstreams(s, asked.grad_output, dtype, seed)
    s = replace(s, native=native(s, backward))
    s = replace(s, rounding=None if backward is None and s.call is None else Rounding(s, backward))
    run = runner(s, backward)
    right = derived(s, s.tensors, upstream, dtype)
    rows, found = judge(s, run, s.tensors, upstream, right)
    if dtype is torch.float64:
        rows = narrowed(rows, as_it_is(s, backward, s.tensors, upstream), s.tensors)
        sizes = {r.name: float(right.value(r.bar).abs().max()) for r in rows if r.verdict == "wrong" and r.bar}
        said = hints(s, run, rows, upstream, sizes)
        rows = [noted(r, said[r.name]) if r.verdict == "wrong" and r.name in said else r for r in rows]
    notes = [*_about(s, right, asked.hostile)]
    value = value_row(s, right, dtype) if s.call is not None else None
    rows = rows if value is None else [value, *rows]
    if asked.witnesses:
        told = testify(s, upstream, right, seed, tested=backward is None)
        rows = _put(rows, {r.name: witnessed(r, told[r.name]) for r in rows if r.name in told})
    reached: Mapping[str, str] = {}
    if asked.hostile:
        twice = asked.order != 1 and not any(r.faulty for r in rows)
        twice_there = second_order(s, upstream, dtype, seed, asked.order == 2) if twice else DoubleBackward()
        rows = [*rows, *twice_there.rows]
        notes += [Note(twice_there.note, open=twice_there.open and asked.order == 2)] if twice_there.note else []
        with warnings.catch_warnings(action="ignore"):  # of sizes and data that are not the caller's
            if not any(r.faulty for r in rows):  # what is wrong on the data itself no probe says more of
                again = partial(runner, backward=backward)
                probed = probe(s, Tested(run, again, callable(backward)), upstream, right, dtype, seed)
                rows = _put(rows, probed.wrong) + ([not_reproduced(probed.unlike)] if probed.unlike else [])
                notes, reached = [*notes, *probed.notes], probed.reached
            rows = _put(rows, judge_hidden(s, run, rows, upstream, dtype, seed))
    notes += [*_of_torch(s), *(Note(f"{r.name}: {STEPS_DECIDED}", open=True) for r in rows if r.note == STEPS_DECIDED)]
    rows = _explained(s, run, backward, rows, JudgedRun(s.tensors, upstream, right, found.gradients))
    first = next((r for r in rows if r.faulty), None)
    return Report(
        s.name,
        rows,
        type_name(dtype),
        str(next(iter(s.tensors.values())).device),
        seed,
        s.domain.called(right.sizes),
        [n.text for n in notes],
        [n.text for n in notes if n.open],
        dict(reached),
        reproduce=None if first is None else partial(reproduction, s, backward, first, seed),
    )


def _put(rows: Sequence[Row], new: Mapping[str, Row]) -> list[Row]:
    """The rows with others in place of the last of the same name, whose witnesses they keep; what has no place comes last."""
    last = {r.name: k for k, r in enumerate(rows)}
    here = [new[r.name] if r.name in new and last[r.name] == k else r for k, r in enumerate(rows)]
    kept = [n if n.witnesses else replace(n, witnesses=r.witnesses) for n, r in zip(here, rows)]
    return kept + [row for name, row in new.items() if name not in last]


def _about(s: Subject, right: Derived, hostile: bool) -> Iterator[Note]:
    """What the reader should know of the subject and its data."""
    if s.domain.said:
        yield Note(f"within {s.domain.said}")
    if s.met.casts:
        casts = ", ".join(sorted(type_name(d) for d in s.met.casts))
        yield Note(f"the code's casts to {casts} were taken as float64; dtype= checks it as it is")
    if s.hooked:
        yield Note(f"the hooks on {', '.join(s.hooked)} were not run: what they make of a gradient is not checked")
    if s.kinds and hostile:
        said = "; ".join(f"{n} {', '.join(k.name for k in kinds)}" for n, kinds in s.kinds.items())
        yield Note(f"kept in every probe: {said}")
    if s.left_out:
        yield Note(f"torch cannot differentiate in {', '.join(s.left_out)}: no gradient was asked there")
    if s.derivation.fixed:
        yield Note(f"fixed at {'; '.join(s.derivation.fixed)}; other such sizes were not checked", open=True)
    apart = [a.name for a in s.derivation.program.arguments if a.role == "parameter" and a.name in s.held]
    if apart:
        yield Note(f"no gradient was asked in {', '.join(apart)}: {s.name} holds them itself, and they are no inputs")
    conditions = [c for c in s.derivation.conditions if c not in s.domain.conditions]
    if conditions:
        yield Note(f"within the conditions: {'; '.join(conditions)}")
    if s.allowance is not None:
        yield Note(f"tolerance={s.allowance:g} was used, beyond what rounding explains")
    products = products_of(s, s.tensors, right.dtype)
    if products.words:
        yield Note(f"the bound has what matrix products round under {products.words}")
    at_kinks = right.kinks(s.derivation.adjoint.outputs)
    if at_kinks:
        yield Note(f"{at_kinks} elements stand at a kink within rounding; either side counts as right there")


def _of_torch(s: Subject) -> Iterator[Note]:
    """What torch's own kernels and its engine do, as far as it was met."""
    for name, off in s.met.digits.items():
        yield Note(f"torch's own: the gradient in {name} is off by {off:.0e} of the terms that it adds up", open=True)
    if any(isinstance(t, Func) and t.name in DIGITS for d in s.derivation.adjoint.definitions for t in subterms(d.term)):
        yield Note("torch's own: trigamma has nine digits", open=True)
    yield from map(Note, s.met.remarks.values())


def upstreams(s: Subject, grad_output: Any, dtype: torch.dtype, seed: int) -> Upstream:
    """The upstream gradient per floating output: as given, 1 for one number, else random."""
    names = s.derivation.upstream
    adjoint = s.derivation.adjoint
    some = next(iter(s.tensors.values()))
    given = flat(grad_output) if grad_output is not None else None
    if isinstance(grad_output, (tuple, list)):
        given = [g if isinstance(g, torch.Tensor) else torch.tensor(float(g)) for g in grad_output]
    elif isinstance(grad_output, (int, float)):
        given = [torch.tensor(float(grad_output))]
    if given is not None and len(given) != len(names):
        raise InputError(f"grad_output has {len(given)} tensors; expected {len(names)}, one per floating-point output")
    sizes = sizes_of(s.derivation.program, s.tensors)
    generator = torch.Generator().manual_seed(seed)
    out: Upstream = {}
    for k, name in enumerate(names):
        shape = tuple(p.at(sizes) for p in adjoint.argument(name).dims)
        if given is not None:
            g = given[k].detach().to(some.device, dtype)
            if tuple(g.shape) != shape:
                raise InputError(f"{name} has shape {tuple(g.shape)}; expected {shape}")
            healthy(name, g)
        elif not shape and len(names) == 1:
            g = torch.ones((), dtype=dtype, device=some.device)
        else:
            g = torch.randn(shape, generator=generator, dtype=torch.float64).to(some.device, dtype)
        out[name] = g
    return out


def _explained(s: Subject, run: Run, backward: Any, rows: Iterable[Row], evidence: JudgedRun) -> list[Row]:
    """The faulty rows with the means to a diagnosis, used only when it is asked for; ``evidence`` is of the data itself."""
    repairs: dict[int, Callable[[], Any]] = {}  # one search for all gradients that were found wrong on the same data

    def one(row: Row) -> Row:
        row = row if row.evidence is not None else replace(row, evidence=evidence)
        if row.verdict == "raised" or row.name not in s.wrt:
            return row
        mend = repairs.setdefault(id(row.evidence), cache(partial(repair_of, s, run, backward, row.name, row.evidence)))
        why, where = case_of(s, run, row, row.evidence), where_of(s, run, row, row.evidence)
        return replace(row, _diagnose=why, _where=where, _repair=mend)

    return [one(r) if r.faulty else r for r in rows]


__all__ = ["Tensors", "assert_gradients", "check", "check_at"]
