"""The forward's own backward, as torch's engine runs it.

Some backwards work through ``.backward()`` alone: a reentrant checkpoint and the blocks of reversible nets run autograd inside
their backward, and leave the gradients of their parameters in ``.grad`` themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from derivcheck.checking.backward.engine import functions, misshapen, overheard, returned
from derivcheck.checking.subject.forms import called
from derivcheck.checking.subject.nested import by_name
from derivcheck.checking.subject.outputs import flat
from derivcheck.checking.subject.subject import Subject, Tensors

THROUGH = "its gradients come through .backward() alone: torch.autograd.grad refuses it, or does not see them"
Gradients = dict[str, "torch.Tensor | None"]


def own(s: Subject) -> Callable[[Tensors, Tensors], Gradients]:
    """A run of it, with the gradients by name; of a Function what it really returns: the engine sums that and casts it."""

    def run(tensors: Tensors, upstream: Tensors) -> Gradients:
        """One run of the engine; where ``autograd.grad`` cannot say it all, ``.backward()`` and what it accumulates."""
        assert s.call is not None
        leaves = {n: t.requires_grad_() if n in s.wrt else t for n, t in tensors.items()}
        outs, wanted, ups = _forward(s, s.call, leaves, upstream)
        if not wanted:
            return dict.fromkeys(s.wrt)
        with overheard(s, outs) as heard:
            try:
                for again in (True, False) if s.retained else (False,):
                    grads = torch.autograd.grad(wanted, [leaves[n] for n in s.wrt], ups, allow_unused=True, retain_graph=again)
            except RuntimeError as error:
                if not misshapen(s, heard, tensors):
                    found = _through_backward(s, tensors, upstream, error)
                    s.met.accumulates, s.met.remarks["own"] = True, THROUGH
                    return found
        found = returned(s, heard, tensors) or dict(zip(s.wrt, grads))
        if s.function is None and any(found[n] is None for n in s.wrt) and functions(outs):
            accumulated = _through_backward(s, tensors, upstream, None)
            if any(found[n] is None and accumulated[n] is not None for n in s.wrt):
                s.met.accumulates, s.met.remarks["own"] = True, THROUGH
                return accumulated
        return found

    return run


def _forward(
    s: Subject, call: Callable[[Tensors], Any], leaves: Tensors, upstream: Tensors
) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
    """All outputs, those of them that a loss uses, and the upstream gradients of these."""
    with torch.enable_grad():
        outs = flat(call(dict(leaves) if not s.dirty else {n: t.clone() for n, t in leaves.items()}))
    wanted = [(o, g) for o, (n, g) in zip(outs, upstream.items()) if o.requires_grad and n not in s.unused]
    return outs, [o for o, _ in wanted], [g.to(o.dtype).reshape(o.shape) for o, g in wanted]


def _through_backward(s: Subject, tensors: Tensors, upstream: Tensors, refused: RuntimeError | None) -> Gradients:
    """The gradients that ``.backward()`` accumulates in the leaves.

    Raises:
        RuntimeError: ``refused``, where it does not work either.
    """
    leaves = {n: t.detach().clone().requires_grad_() if n in s.wrt else t for n, t in tensors.items()}
    with _in_place(s, leaves) as call:
        try:
            outs, wanted, ups = _forward(s, call, leaves, upstream)
            with overheard(s, outs):
                for again in (True, False) if s.retained else (False,):
                    for n in s.wrt:
                        leaves[n].grad = None
                    torch.autograd.backward(wanted, ups, retain_graph=again)
        except RuntimeError as error:
            raise refused or error from None
    return {n: leaves[n].grad for n in s.wrt}


@contextmanager
def _in_place(s: Subject, leaves: Tensors) -> Iterator[Callable[[Tensors], Any]]:
    """The call; a module stands in it with these very tensors as its parameters, since its backward may look for them there."""
    module = s.module
    if module is None:
        assert s.call is not None
        yield s.call
        return
    own_names = [(n, t) for n, t in (*module.named_parameters(), *module.named_buffers()) if called(n) not in s.order]
    new = {id(t): leaves[called(n)] for n, t in own_names if called(n) in leaves}
    holders = [held for part in module.modules() for held in (part._parameters, part._buffers)]
    before = [(held, n, t) for held in holders for n, t in held.items() if id(t) in new]

    def call(tensors: Tensors) -> Any:
        given = by_name(s.nested.leaves, tensors, s.nested)
        return module(*(given[n] for n in s.order))

    try:
        for held, n, t in before:
            held[n] = new[id(t)]  # type: ignore[assignment]
        yield call
    finally:
        for held, n, t in before:
            held[n] = t  # type: ignore[assignment]
