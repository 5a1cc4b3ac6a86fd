"""Random Programs: the generated code against the meaning of the Program, and its gradients against autograd."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from derivcheck.codegen.file.bands import banded
from derivcheck.codegen.file.load import load
from derivcheck.codegen.file.source import source
from derivcheck.codegen.file.variants import fused_source, lean_source
from derivcheck.derivation.sweep import adjoint
from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.program.program import Program
from derivcheck.notation.values.evaluator import evaluate
from tests.codegen.random_programs import inputs, program
from tests.codegen.random_recurrences import recurrence, recurrence_inputs

SIZES = st.fixed_dictionaries({"A": st.integers(1, 4), "B": st.integers(1, 4), "C": st.integers(1, 3)})
quick = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def same(found: torch.Tensor, wanted: np.ndarray, what: str) -> None:
    assert tuple(found.shape) == np.shape(wanted), what
    assert found.dtype == torch.float64, what
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-8, atol=1e-8, err_msg=what)


def both_ways(p: Program, x: dict[str, torch.Tensor], sizes: dict[str, int]) -> None:
    """Value and gradients of the generated code against the meaning of both Programs, and against autograd."""
    back = adjoint(p)
    ups = [a for a in back.arguments if a.role == "upstream"]
    generator = torch.Generator().manual_seed(0)
    upstream = [torch.randn([d.at(sizes) for d in a.dims], dtype=torch.float64, generator=generator) for a in ups]
    given_ = {**x, **{a.name: u for a, u in zip(ups, upstream)}}
    text = source(p, back)
    value, grads = load(text)(**given_)
    for bands in (False, True):
        with mock.patch.multiple(banded, NUMBERS=3, COLUMNS=1):
            lean_text = lean_source(p, back, banded=bands)
        lean, lean_grads = load(lean_text)(**{k: v.clone() for k, v in given_.items()})
        for found, wanted in zip((*lean, *lean_grads.values()), (*value, *grads.values()), strict=True):
            same(found, wanted.numpy(), f"written into temporaries\n{p}\n{lean_text}")
    fused_text = fused_source(p, back)
    fused, fused_grads = load(fused_text)(**given_)
    for found, wanted in zip((*fused, *fused_grads.values()), (*value, *grads.values()), strict=True):
        same(found, wanted.numpy(), f"for a compiler\n{p}\n{fused_text}")
    meant = evaluate(back, {k: v.numpy() for k, v in given_.items()}, sizes)
    forward = evaluate(p, {k: v.numpy() for k, v in x.items()}, sizes)
    for o, v in zip(p.outputs, value, strict=True):
        same(v, forward[o], f"{o}\n{p}\n{text}")
    for o, (name, g) in zip(back.outputs, grads.items(), strict=True):
        same(g, meant[o], f"gradient of {name}\n{back}\n{text}")
    leaves = {k: v.clone().requires_grad_() if v.is_floating_point() else v for k, v in x.items()}
    live = [(v, u) for v, u in zip(load(source(p))(**leaves), upstream) if v.requires_grad]
    if live:
        wanted = torch.autograd.grad([v for v, _ in live], [leaves[n] for n in grads], [u for _, u in live], allow_unused=True)
        for (name, g), w in zip(grads.items(), wanted):
            same(g, (torch.zeros_like(g) if w is None else w).numpy(), f"autograd of {name}\n{text}")


@quick
@given(st.integers(0, 1 << 40), SIZES)
def test_forward_is_its_meaning(seed, sizes):
    p = program(seed)
    x = inputs(seed, sizes)
    wanted = evaluate(p, {k: v.numpy() for k, v in x.items()})
    text = source(p)
    for o, found in zip(p.outputs, load(text)(**x), strict=True):
        same(found, wanted[o], f"{o}\n{p}\n{text}")


@quick
@given(st.integers(0, 1 << 40), SIZES)
def test_gradients_are_their_meaning_and_autograds(seed, sizes):
    try:
        both_ways(program(seed), inputs(seed, sizes), sizes)
    except UnsupportedOperation:  # a maximum without its witness has no adjoint
        return


@settings(quick, max_examples=40)
@given(st.integers(0, 1 << 40), st.integers(0, 5), st.integers(1, 3))
def test_recurrences(seed, steps, batch):
    sizes = {"T": steps, "B": batch}
    both_ways(recurrence(seed), recurrence_inputs(seed, sizes), sizes)


@pytest.mark.parametrize("zero", ["A", "B", "C"])
def test_empty_tensors(zero):
    """A size of 0: sums are 0, products 1, and every gradient has its input's shape."""
    ran = 0
    for seed in range(60):
        p = program(seed, depth=2)
        if any(kind in str(p) for kind in ("max(", "min(")):
            continue
        sizes = {"A": 2, "B": 3, "C": 2, zero: 0}
        x = inputs(seed, sizes)
        if zero == "A":
            x["at"] = x["at"].clamp(0, 0)
        used = frozenset().union(*(d.term.names for d in p.definitions))
        reads_nothing = zero == "B" and "ids" in used or zero == "A" and "at" in used
        if reads_nothing:  # an entry of an empty range does not exist
            continue
        wanted = evaluate(p, {k: v.numpy() for k, v in x.items()})
        try:
            outputs = load(source(p))(**x)
        except IndexError as e:  # element 0 of nothing: torch raises, and so does the code
            assert "index 0 is out of bounds" in str(e)
            continue
        for o, found in zip(p.outputs, outputs, strict=True):
            same(found, wanted[o], f"{o} at {sizes}\n{p}")
        ran += 1
    assert ran > 10
