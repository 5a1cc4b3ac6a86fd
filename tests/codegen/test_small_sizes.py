"""Each size of each row's samples at 0 and at 1: the generated code gives torch's values and autograd's gradients, or says
that it was derived for others.

The first sample of each row runs in ``make test``; all of them, through all texts, with DERIVCHECK_EDGES=all (``make edges``).
The differences are a closed list, each with its reason.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

import derivcheck as dc
from derivcheck.codegen.file.load import load
from derivcheck.codegen.file.source import source
from derivcheck.codegen.file.variants import lean_source
from derivcheck.derivation.sweep import adjoint
from derivcheck.operators.language.row import OperatorRow, Sample, rows
from tests.codegen.grown import likes, real
from tests.operators.rows_on_numbers import Case, case, fits, overload

EVERY = os.environ.get("DERIVCHECK_EDGES") == "all"
NAMES = [n for n, row in rows().items() if n.startswith("aten.") and (EVERY or "pointwise" not in row.family)]
Given = dict[str, torch.Tensor]

APART: dict[str, set[str]] = {
    "torch reads memory that is not its own: of no rows it crashes, or where the weights do not fit": {
        "pdist", "_pdist_forward", "lstm", "gru"
    },
    "of no rows torch gives what stood in memory": {
        "multi_margin_loss", "multilabel_margin_loss", "multilabel_margin_loss_forward"
    },
    "after a block of no elements torch's gradient is that of the row above": {"block_diag"},
    "required where it is derived; a row alone does not say so": {"roll", "std", "std_mean", "cov"},
    "of probabilities over no classes torch divides 0 by 0": {"cross_entropy_loss"},
    "of no places torch's gradient of the weight is NaN": {"group_norm"},
    "no key is left in a row, which is said": {"scaled_dot_product_attention"},
    "a width of one pixel, and places beyond it": {"_upsample_bilinear2d_aa"},
}  # fmt: skip
LEFT = set().union(*APART.values())


def texts(c: Case, wrt: list[str]) -> dict[str, Callable[..., Any]]:
    """The texts of a sample, made once."""
    program = replace(c.program, arguments=tuple(replace(a, below=None) for a in c.program.arguments))
    back = adjoint(program, wrt)
    found = {"lean": lean_source(program, back, wrt)}
    if EVERY:
        found |= {"source": source(program, back, wrt=wrt), "banded": lean_source(program, back, wrt, True)}
    return {way: load(text) for way, text in found.items()}


def torchs(
    name: str, sample: Sample, old: int, new: int, count: int
) -> tuple[Given, list[torch.Tensor], list[Any], Given] | None:
    """The inputs at the other size, torch's outputs and gradients, and the upstream gradients; None where torch refuses it."""
    inputs: Given = {}
    generator = torch.Generator().manual_seed(3)
    try:
        args = real(list(sample.args), old, new, generator, inputs)
        kwargs = {k: real(v, old, new, generator, inputs) for k, v in sample.kwargs.items()}
        found = overload(name)(*args, **kwargs)
        outs = list(found)[:count] if isinstance(found, (tuple, list)) else [found]
        ups = [torch.randn(o.shape, generator=generator, dtype=o.dtype) for o in outs if o.is_floating_point()]
        live = [(o, u) for o, u in zip([o for o in outs if o.is_floating_point()], ups) if o.requires_grad]
        wrt = [v for v in inputs.values() if v.requires_grad]
        grads = (
            torch.autograd.grad([o for o, _ in live], wrt, [u for _, u in live], allow_unused=True)
            if live
            else [None] * len(wrt)
        )
    except (RuntimeError, ValueError, IndexError):
        return None
    given = {"grad_output" if len(ups) == 1 else f"grad_output_{k}": u for k, u in enumerate(ups)}
    return inputs, outs, [torch.zeros_like(v) if g is None else g for v, g in zip(wrt, grads)], given


def apart(name: str, row: OperatorRow, sample: Sample) -> Iterator[str]:
    """Each size and text at which the generated code gives other numbers than torch, without a word."""
    c = case(row, name, sample)
    wrt = [n for n, v in c.inputs.items() if v.requires_grad]
    if not wrt or not any(o.is_floating_point() for o in c.outputs):
        return
    made = texts(c, wrt)
    olds = sorted({s for a in likes([*sample.args, *sample.kwargs.values()]) for s in a.shape if s > 1})
    for old, new in ((old, new) for old in olds for new in (0, 1)):
        theirs = torchs(name, sample, old, new, len(c.outputs))
        if theirs is None:
            continue
        inputs, outs, wanted, ups = theirs
        for way, run in made.items():
            try:
                value, grads = run(**{k: v.detach() for k, v in inputs.items()}, **ups)
            except (ValueError, IndexError, ZeroDivisionError):  # it says so
                continue
            values = (value,) if len(c.outputs) == 1 and c.program.structure == "auto" else value
            for what, have, want in [
                *((f"value {k}", v, o) for k, (v, o) in enumerate(zip(values, outs, strict=True))),
                *((f"gradient of {n}", grads[n], w) for n, w in zip(wrt, wanted, strict=True)),
            ]:
                same = have.shape == want.shape and torch.allclose(have.double(), want.double(), 1e-6, 1e-9, equal_nan=True)
                if not same:
                    yield f"{name} {sample.args} {sample.kwargs}, {old} is {new}, {way}: {what} is {have}, not {want}"


@pytest.mark.parametrize("at", range(0, len(NAMES), 12))
def test_rows(at):
    warnings.simplefilter("ignore")
    found = []
    for name in NAMES[at : at + 12]:
        samples = [s for s in rows()[name].samples if fits(name, s) and not s.fixed]
        if name.split(".")[1] not in LEFT:
            found += [x for s in (samples if EVERY else samples[:1]) for x in apart(name, rows()[name], s)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", ["aten.block_diag.default", "aten.roll.default", "aten.cross_entropy_loss.default"])
def test_what_is_left_out_is_still_apart(name):
    """A row that no longer differs leaves the list."""
    assert any(x for s in rows()[name].samples if fits(name, s) for x in apart(name, rows()[name], s))


def test_what_a_row_alone_does_not_say_is_refused():
    """Turned by more places than there are, or a deviation of fewer numbers than are taken off."""
    turned = dc.derive(lambda x: x.roll(2, 0), x=torch.randn(5, 3)).compile()
    spread = dc.derive(lambda x: x.std(-1, correction=2), x=torch.randn(2, 5)).compile()
    with pytest.raises(ValueError, match="this was derived for N >= 2; found N = 1"):
        turned(x=torch.randn(1, 3), grad_output=torch.randn(1, 3))
    with pytest.raises(ValueError, match="this was derived for M >= 2; found M = 1"):
        spread(x=torch.randn(2, 1), grad_output=torch.randn(2))
