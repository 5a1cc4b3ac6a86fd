"""Sums and reads of large tensors take other ways than small ones, to the same numbers."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import derivcheck as dc
from derivcheck.notation.values import evaluator, inner_sums
from derivcheck.notation.values.evaluator import evaluate


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


CASES = {
    "strided": (lambda x, w: F.conv2d(x, w, stride=2, padding=1), (2, 8, 12, 12), (8, 8, 3, 3)),
    "dilated": (lambda x, w: F.conv2d(x, w, dilation=2, padding=2), (2, 4, 12, 12), (8, 4, 3, 3)),
    "groups": (lambda x, w: F.conv2d(x, w, stride=2, groups=2), (2, 8, 13, 13), (8, 4, 3, 3)),
    "transposed": (lambda x, w: F.conv_transpose2d(x, w, stride=2), (2, 8, 9, 9), (8, 8, 3, 3)),
    "one position twice": (lambda x, w: torch.diagonal(x.flip(-1), dim1=-2, dim2=-1)[..., :3] @ w, (4, 30, 30), (3, 400)),
    "two groups": (lambda x, w: (x.flip(0).unfold(1, 3, 2).flip(2) * w).sum(-1), (20, 31, 20), (3,)),
}


@pytest.mark.parametrize("f, x, w", CASES.values(), ids=CASES)
def test_gradients_are_those_of_autograd(f, x, w, monkeypatch):
    x, w = normal(*x).requires_grad_(), normal(*w).requires_grad_()
    d = dc.derive(f, x.detach(), w.detach())
    g = normal(*f(x, w).shape)
    given = {"x": x.detach().numpy(), "w": w.detach().numpy(), d.upstream[0]: g.numpy()}
    wanted = torch.autograd.grad(f(x, w), (x, w), g)
    for least, gain in ((inner_sums.LARGE, inner_sums.GAIN), (0, 0)):
        monkeypatch.setattr(inner_sums, "LARGE", least)
        monkeypatch.setattr(inner_sums, "GAIN", gain)
        monkeypatch.setattr(evaluator, "LARGE", least and evaluator.LARGE)
        found = evaluate(d.adjoint, given)
        for name, want in zip(d.adjoint.outputs, wanted):
            np.testing.assert_allclose(found[name], want.numpy(), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("there", [np.inf, np.nan])
def test_what_a_bracket_leaves_out_stays_out(there):
    """Padding reads beyond the ends: what stands at the ends does not get in."""
    x, w = normal(2, 4, 40, 40), torch.ones(4, 4, 3, 3, dtype=torch.float64)
    d = dc.derive(lambda x, w: F.conv2d(x, w, padding=1), x, w)
    x[0, 0, 0, 0] = there
    found = evaluate(d.program, {"x": x.numpy(), "w": w.numpy()})[d.program.outputs[0]]
    wanted = F.conv2d(x, w, padding=1).numpy()
    assert (np.isfinite(found) == np.isfinite(wanted)).all() and np.isfinite(wanted).mean() > 0.9
