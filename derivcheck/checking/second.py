"""Double backward: where an autograd.Function's backward can be differentiated itself, that gradient is checked too.

A backward that saves what its forward computed, and not what it was given, differentiates that as a
constant: the second derivative is silently wrong.  What is derived here is the adjoint of the adjoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch

from derivcheck.checking.backward.engine import overheard
from derivcheck.checking.backward.found import runner
from derivcheck.checking.report.row import Row
from derivcheck.checking.subject.outputs import flat
from derivcheck.checking.subject.subject import Subject, Tensors, Upstream
from derivcheck.checking.verdict.conditioned import Rounding
from derivcheck.checking.verdict.derived import JudgedRun, derived
from derivcheck.checking.verdict.judge import Circumstances, judge
from derivcheck.checking.verdict.verdict import differentiated, not_offered
from derivcheck.derived import Derivation
from derivcheck.errors import DerivcheckError

MARK = " (double backward)"
NOT_OFFERED = "autograd cannot differentiate this backward again"
Gradients = Callable[[Tensors], tuple[torch.Tensor, ...]]


@dataclass(frozen=True)
class DoubleBackward:
    """What was found of the gradient's own gradient.

    Attributes:
        rows: of what is wrong, named ``x (double backward)``.
        note: one sentence, or ``""`` where nothing offers a double backward.
        open: nothing was found out: the gradient's gradient was not derived.
    """

    rows: tuple[Row, ...] = ()
    note: str = ""
    open: bool = False


def second_order(s: Subject, upstream: Upstream, dtype: torch.dtype, seed: int, asked: bool = False) -> DoubleBackward:
    """The double backward of a Function that offers one; ``asked`` for, that of any code, and it has to be there."""
    call = s.call
    if call is None or (s.function is None and not asked):
        return DoubleBackward()
    gradients = _differentiable(s, call, upstream)
    tensors = {**s.tensors, **upstream}
    generator = torch.Generator().manual_seed(seed + 5)
    if all(not g.ndim for g in upstream.values()):  # 1 would hide a factor
        tensors.update({n: torch.full_like(g, 1.7) for n, g in upstream.items()})
    leaves = {n: t.detach().clone().requires_grad_() if n in s.wrt or n in upstream else t for n, t in tensors.items()}
    if not _offered(gradients, leaves, s.wrt, upstream):
        return DoubleBackward(tuple(not_offered(n, MARK, NOT_OFFERED) for n in s.wrt[:1])) if asked else DoubleBackward()
    try:
        wrt = (*s.wrt, *upstream)
        t = replace(
            s,
            derivation=Derivation(s.derivation.adjoint, wrt),
            call=gradients,
            tensors=tensors,
            wrt=wrt,
            function=None,
            meaning=None,
        )
        t = replace(t, rounding=Rounding(t, None))
        names = t.derivation.upstream
        ups = {
            n: torch.randn(tensors[m].shape, generator=generator, dtype=torch.float64).to(tensors[m].device, dtype)
            for n, m in zip(names, s.wrt)
        }
        right = derived(t, tensors, ups, dtype)
    except DerivcheckError as refused:
        return DoubleBackward(note=f"double backward was not checked: {refused}", open=True)
    rows, gave = judge(t, runner(t, None), tensors, ups, right, Circumstances("double backward"))
    evidence = JudgedRun(tensors, ups, right, gave.gradients, s)
    bad = tuple(differentiated(r, MARK, evidence) for r in rows if r.faulty)
    return DoubleBackward(bad, "" if bad else "its double backward holds")


def _differentiable(
    s: Subject, call: Callable[[Tensors], Any], upstream: Upstream
) -> Callable[[Tensors], tuple[torch.Tensor, ...]]:
    """The backward as a function of inputs and upstream gradients that autograd can differentiate again."""

    def gradients(tensors: Tensors) -> tuple[torch.Tensor, ...]:
        """The gradients in one graph with what they are made of; one that is None is zeros."""
        inputs = {n: t if t.requires_grad else t.detach().requires_grad_() if n in s.wrt else t for n, t in tensors.items()}
        outs = flat(call({n: inputs[n] for n in s.tensors}))
        wanted = [(o, inputs[n]) for o, n in zip(outs, upstream) if o.requires_grad]
        with overheard(s, outs):
            flow = [o for o, _ in wanted], [inputs[n] for n in s.wrt], [g for _, g in wanted]
            grads = torch.autograd.grad(*flow, create_graph=True, allow_unused=True)
        return tuple(torch.zeros_like(inputs[n]) if g is None else g for n, g in zip(s.wrt, grads))

    return gradients


def _offered(gradients: Gradients, leaves: Tensors, wrt: Iterable[str], upstream: Upstream) -> bool:
    """Whether the function means its backward to be differentiated."""
    try:
        found = [g for g in gradients(leaves) if g.requires_grad]
        if not found:
            return False
        total = torch.stack([(g * g).sum() for g in found]).sum()
        torch.autograd.grad(total, [leaves[n] for n in wrt], allow_unused=True, retain_graph=True)
        # a gradient is linear in its upstream: what does not even lead there was not meant to be differentiated
        return any(g is not None for g in torch.autograd.grad(total, [leaves[n] for n in upstream], allow_unused=True))
    except (RuntimeError, NotImplementedError):
        return False
