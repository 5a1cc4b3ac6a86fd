"""Is an accumulated, or a data-parallel, gradient that of the whole batch?  Asked of the training loop as it is written."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from derivcheck.checking.check import check_at
from derivcheck.checking.report.report import Report
from derivcheck.checking.subject.forms import called
from derivcheck.checking.subject.subject import CheckSetting
from derivcheck.derive import derive
from derivcheck.diagnosis.diagnose import Diagnosis
from derivcheck.errors import InputError
from derivcheck.training.ranks import in_ranks
from derivcheck.training.shares import Shares, shares_of

Batch = tuple[torch.Tensor, torch.Tensor]
AccumulationStep = Callable[[nn.Module, Callable[..., Any], Sequence[Batch]], Any]
Gradients = dict[str, torch.Tensor]


def accumulate(module: nn.Module, loss: Callable[..., Any], batches: Sequence[Batch]) -> None:
    """The usual loop: each micro-batch's mean loss divided by their number.  Right where all count alike."""
    for x, y in batches:
        (loss(module(x), y) / len(batches)).backward()


def check_accumulation(
    module: nn.Module,
    loss: Callable[..., Any],
    batches: Sequence[Batch],
    world: int | None = None,
    *,
    step: AccumulationStep | None = None,
    seed: int = 0,
) -> Report:
    """Whether the gradient that a training loop accumulates over micro-batches, or over ranks, is that of the whole batch.

    The gradient of the whole batch is derived and checked as :func:`~derivcheck.checking.check.check` does, in float64 on the
    CPU; the loop runs on copies, and a wrong combination of right gradients is named: a mean of means over unequal batches or
    token counts, a missing or doubled ``1/k``, a sum over ranks, a micro-batch that is left out, clipping before the sum,
    padding that is counted.

    Args:
        module: as it trains; its parameters are not changed.
        loss: of (output, target), one number: a mean or a sum over the batch.
        batches: the micro-batches of one optimizer step, ``(input, target)`` each, which differ in their first dimension alone.
        world: None for one process.  Else so many ranks run the loop in processes of their own under
            ``DistributedDataParallel`` (gloo); micro-batch i goes to rank ``i % world``.
        step: the loop, ``step(module, loss, batches)``: it leaves the gradient in ``.grad``, up to the optimizer's step.
            Default: the usual one, ``(loss(module(x), y) / len(batches)).backward()`` for each.  With ``world`` it is called
            on each rank with the wrapped module, and has to be importable there.
        seed: of everything random.

    Returns:
        A :class:`~derivcheck.checking.report.report.Report` with a row per parameter; the combination is in ``.diagnosis``.

    Raises:
        InputError: no or unlike batches, a module that draws random numbers or normalises by the batch, a rank that raises.
        UnsupportedOperation: a gradient that cannot be derived.

    >>> x, y = torch.randn(10, 3), torch.randn(10, 2)
    >>> equal, uneven = [(x[:5], y[:5]), (x[5:], y[5:])], [(x[:8], y[:8]), (x[8:], y[8:])]
    >>> check_accumulation(nn.Linear(3, 2), nn.MSELoss(), equal).passed
    True
    >>> print(check_accumulation(nn.Linear(3, 2), nn.MSELoss(), uneven)["weight"].diagnosis)
    the mean of means: micro-batches of 8, 2 rows count alike; weight each by what it has of all 10, or add sums and divide once
    """
    parts = _usable(module, batches, world)
    own = copy.deepcopy(module).double().cpu()
    torch.manual_seed(seed)
    found, reductions = _accumulated(own, loss, parts, world, step or accumulate)
    whole = _joined(parts)
    d = derive(own, whole[0], loss=loss, target=whole[1])
    given = {called(n): g for n, g in found[0].items()}
    trained = [called(n) for n, p in own.named_parameters() if p.requires_grad and called(n) in d.wrt]
    data = dict(zip((n for n in d.program.inputs if n not in d.values), whole))
    report = check_at(d, data, lambda grad_output, **tensors: given, wrt=trained, setting=CheckSetting(seed=seed))
    report = replace(
        report, name=f"{report.name}, {len(parts)} micro-batches" + (f" on {world} ranks" if world else ""), reproduce=None
    )
    notes = _reduced(reductions, parts, world)
    if report.passed:
        return replace(report, notes=[*report.notes, *notes])
    sentence = _named(own, loss, parts, whole, found, world)
    why = Diagnosis(sentence, "scale of a batch") if sentence else None
    rows = [replace(r, _diagnose=lambda _: why) if why and not r.passed else r for r in report.rows]
    return replace(report, rows=rows, notes=[*report.notes, *notes])


def _usable(module: nn.Module, batches: Sequence[Batch], world: int | None) -> list[Batch]:
    """The micro-batches in float64 on the CPU."""
    parts = [tuple(t.detach().cpu().double() if t.is_floating_point() else t.detach().cpu() for t in b) for b in batches]
    if not parts or any(len(b) != 2 for b in parts):
        raise InputError(f"batches has {len(parts)} micro-batches; expected at least one pair (input, target)")
    for k, (x, y) in enumerate(parts):
        if not len(x):
            raise InputError(f"micro-batch {k + 1} has no rows; leave it out")
        if any(t.shape[1:] != first.shape[1:] or t.dtype != first.dtype for t, first in zip((x, y), parts[0])):
            raise InputError(
                f"micro-batch {k + 1} has shapes {tuple(x.shape)} and {tuple(y.shape)}, the first {tuple(parts[0][0].shape)} "
                f"and {tuple(parts[0][1].shape)}; they may differ in their first dimension alone"
            )
    if world is not None and not 1 <= world <= len(parts):
        raise InputError(f"world is {world}, and there are {len(parts)} micro-batches; expected 1 to {len(parts)} ranks")
    for name, m in module.named_modules():
        if m.training and isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0:
            raise InputError(
                f"{name or 'the module'} ({type(m).__name__}) draws random numbers; set p=0 or call .eval() for this check"
            )
        if isinstance(m, nn.modules.batchnorm._BatchNorm) and (m.training or not m.track_running_stats):
            raise InputError(
                f"{name or 'the module'} ({type(m).__name__}) normalises each micro-batch by its own moments: no weights make "
                "that the whole batch's gradient; call .eval() on it for this check"
            )
    return [(x, y) for x, y in parts]


def _joined(parts: Sequence[Batch]) -> Batch:
    return torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])


def _accumulated(
    own: nn.Module, loss: Callable[..., Any], parts: Sequence[Batch], world: int | None, step: AccumulationStep
) -> tuple[list[Gradients], int]:
    """What the loop leaves in ``.grad``, of each rank, and how often gradients were reduced on the way."""
    if world is None:
        there = copy.deepcopy(own)
        there.zero_grad()
        step(there, loss, [(x.clone(), y.clone()) for x, y in parts])
        return [_left(there)], 0
    ranks = in_ranks(_in_a_rank, world, own, loss, [list(parts[r::world]) for r in range(world)], step)
    return [g for g, _ in ranks], ranks[0][1]


def _left(module: nn.Module) -> Gradients:
    return {n: p.grad.detach().clone() for n, p in module.named_parameters() if p.requires_grad and p.grad is not None}


@dataclass
class Reductions:
    """How many buckets of gradients went over the wire, and how many one backward has."""

    buckets: int = 0
    last: int = 0


def _in_a_rank(
    rank: int, own: nn.Module, loss: Callable[..., Any], shards: Sequence[Sequence[Batch]], step: AccumulationStep
) -> tuple[Gradients, int]:
    """The loop on one rank, under DistributedDataParallel; its gradient, and how often it was reduced."""
    from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook  # in a rank's process alone
    from torch.nn.parallel import DistributedDataParallel  # in a rank's process alone

    own.zero_grad()
    wrapped = DistributedDataParallel(own)
    seen = Reductions()

    def counted(state: Any, bucket: Any) -> Any:
        """torch's own all-reduce of a bucket, counted."""
        seen.buckets, seen.last = seen.buckets + 1, max(seen.last, bucket.index() + 1)
        return allreduce_hook(state, bucket)

    counted.__annotations__.clear()  # torch compares them with classes, and here they are text
    wrapped.register_comm_hook(None, counted)
    step(wrapped, loss, shards[rank])
    return _left(own), seen.buckets // max(seen.last, 1)


def _reduced(reductions: int, parts: Sequence[Batch], world: int | None) -> list[str]:
    """What the number of reductions says: more than one costs time, and no digits."""
    if world is None or reductions < 2:
        return []
    return [f"gradients were reduced {reductions} times for one step; with no_sync() around all but the last backward, once"]


def _named(
    own: nn.Module,
    loss: Callable[..., Any],
    parts: Sequence[Batch],
    whole: Batch,
    found: Sequence[Mapping[str, torch.Tensor]],
    world: int | None,
) -> str:
    """Which wrong combination it is, in one sentence, or ``""``."""
    names = [n for n, p in own.named_parameters() if p.requires_grad]
    if any(set(names) - set(g) for g in found):
        return ""

    def vector(gradients: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return torch.cat([gradients[n].flatten() for n in names])

    def gradient(batch: Batch) -> torch.Tensor:
        there = copy.deepcopy(own)
        there.zero_grad()
        loss(there(batch[0]), batch[1]).backward()
        left = _left(there)
        return vector({n: left.get(n, torch.zeros_like(p)) for n, p in own.named_parameters() if p.requires_grad})

    each = torch.stack([gradient(b) for b in parts])
    rows = tuple(len(x) for x, _ in parts)
    try:
        share, counted = shares_of(gradient(whole), each, [rows, *_targets(loss, parts)])
    except ValueError:
        return ""
    order = tuple(k % (world or 1) for k in range(len(parts)))
    apart = [r for r, g in enumerate(found) if not torch.equal(vector(g), vector(found[0]))]
    said = Shares(each, rows, counted, order, world or 1, share).named(vector(found[0]))
    if apart and not said:
        return f"rank 0 and rank {apart[0]} have different gradients: they were not reduced"
    return said


def _targets(loss: Callable[..., Any], parts: Sequence[Batch]) -> list[tuple[int, ...]]:
    """How many targets count in each micro-batch, where they are labels and some may be ignored."""
    if any(y.is_floating_point() for _, y in parts):
        return [tuple(y.numel() for _, y in parts)]
    ignored = getattr(loss, "ignore_index", -100)
    return [tuple(int((y != ignored).sum()) for _, y in parts)]
