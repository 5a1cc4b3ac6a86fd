"""``dc.audit``: a model and a batch, in a notebook or a test."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy
import pytest
import torch
from torch import nn

import derivcheck as dc
from derivcheck.audit.outcome import Audit, JudgedBackward, JudgedKind, allowing
from derivcheck.audit.suite import together


class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x)
        return g * (s + x * s * (1 - s))


class ForgottenSwish(Swish):
    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x)
        return g * s


@torch.library.custom_op("derivcheck_audit_tests::plus", mutates_args=())
def plus(parts: list[torch.Tensor], factor: float) -> torch.Tensor:
    return factor * (parts[0] + parts[1])


@plus.register_fake
def _(parts: list[torch.Tensor], factor: float) -> torch.Tensor:
    return torch.empty_like(parts[0])


plus.register_autograd(
    lambda ctx, g: ([g * ctx.factor, g], None), setup_context=lambda ctx, inputs, output: setattr(ctx, "factor", inputs[1])
)


class Model(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function, self.first, self.norm, self.drop = function, nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        h: torch.Tensor = self.function(self.drop(self.norm(self.first(x)))) * scale
        return h


BATCH = torch.randn(6, 3), torch.randn(6, 4)


def test_a_right_backward_holds_and_the_model_is_as_it_was() -> None:
    model = Model(Swish.apply)
    model.first.weight.grad = torch.ones(4, 3)
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    found = dc.audit(model, BATCH, nn.functional.mse_loss)
    assert found and found.passed and not found.faulty
    assert [(r.name, r.verdict, r.calls, r.backwards) for r in found] == [("Swish", "holds", 1, 1)]
    assert found["Swish"].kinds[0].inputs == "x 6×4, float32"
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(model.first.weight.grad, torch.ones(4, 3)) and model.norm.weight.grad is None


def test_a_wrong_one_is_told_with_its_line() -> None:
    found = dc.audit(Model(ForgottenSwish.apply), BATCH, nn.functional.mse_loss)
    assert not found and found.faulty
    row = found["ForgottenSwish"]
    assert row.line.startswith(f"test_model.py:{line_of('class ForgottenSwish') + 4}: `s = torch.sigmoid(x)`")
    assert row.place.endswith("tests/audit/test_model.py:" + str(line_of("class ForgottenSwish")))
    assert "1 wrong" in str(found) and "fix: " in str(found)
    assert 'class="bad">wrong' in found._repr_html_()
    assert json.loads(json.dumps(found.to_dict()))["backwards"][0]["kinds"][0]["lines"]


def line_of(words: str) -> int:
    with open(__file__) as f:
        return next(k for k, line in enumerate(f, 1) if line.startswith(words))


def test_an_operator_that_takes_a_list_is_checked() -> None:
    found = dc.audit(Model(lambda h: torch.ops.derivcheck_audit_tests.plus([h, h], 2.0)), BATCH, nn.functional.mse_loss)
    (row,) = found
    assert (row.name, row.sort, row.verdict) == ("derivcheck_audit_tests::plus", "operator", "wrong")
    assert "parts_1: wrong" in str(found) and "parts_0: wrong" not in str(found)


def test_hooks_that_a_model_has_already_are_seen() -> None:
    def halving(module: nn.Module, grad_input: Any, grad_output: Any) -> Any:
        return tuple(g * 0.5 for g in grad_input)

    def scaled(g: torch.Tensor) -> torch.Tensor:
        return 3 * g

    model = Model(torch.sin)
    model.norm.register_full_backward_hook(halving)
    model.first.bias.register_hook(scaled)
    found = dc.audit(model, BATCH, nn.functional.mse_loss)
    assert {(r.name, r.verdict) for r in found} == {("hook halving", "wrong"), ("hook scaled", "wrong")}
    assert "gradients on BatchNorm1d: wrong\n  it changes the gradient: 0.5 times what arrives" in str(found)
    assert list(model.norm._backward_hooks.values()) == [halving], "and stand there as before"
    assert dc.audit(model, BATCH, nn.functional.mse_loss, allow=["hook *"]).passed


@pytest.mark.parametrize(
    ("batch", "loss"),
    [
        (BATCH, nn.functional.mse_loss),
        (BATCH[0], torch.sum),
        ({"x": BATCH[0], "scale": 2.0}, torch.sum),
        (((BATCH[0], 2.0), BATCH[1]), nn.functional.mse_loss),
        (({"x": BATCH[0]}, BATCH[1]), nn.functional.mse_loss),
    ],
)
def test_a_batch_is_what_users_have(batch: Any, loss: Any) -> None:
    assert dc.audit(Model(torch.sin), batch, loss).passes == 1


@pytest.mark.parametrize(
    ("model", "batch", "loss", "sentence"),
    [
        (torch.sin, BATCH, torch.sum, "model is a builtin_function_or_method; expected a torch.nn.Module"),
        (Model(torch.sin), BATCH[0], None, r"the loss is of shape \(6, 4\); expected one number: give loss="),
        (Model(torch.sin), BATCH, lambda out, y: 3.0, "the loss is a float; expected one number"),
        (Model(torch.sin), BATCH[0], lambda out: out.detach().sum(), "no gradient flows through the loss"),
    ],
)
def test_what_is_no_loss_is_refused(model: Any, batch: Any, loss: Any, sentence: str) -> None:
    with pytest.raises(dc.InputError, match=sentence):
        dc.audit(model, batch, loss)


def test_what_cannot_be_derived_is_not_passed() -> None:
    class Outside(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x)
            return torch.from_numpy(numpy.sin(x.detach().numpy()))

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
            return ctx.saved_tensors[0].cos() * g

    found = dc.audit(Model(Outside.apply), BATCH, nn.functional.mse_loss)
    assert found["Outside"].verdict == "not checked" and not found.passed and not found.faulty
    assert "agrees with differences along 4 lines" in str(found)


def row(verdict: str, *inputs: str, name: str = "GELU") -> JudgedBackward:
    return JudgedBackward(name, "Function", "gelu.py:3", 2, 1, tuple(JudgedKind(i, "train.py:7", verdict) for i in inputs))


def test_parts_of_a_test_run_are_joined_and_the_worst_counts() -> None:
    parts = [
        {"passes": 1, "rows": [row("holds", "x 2", "x 3").to_dict()]},
        {"passes": 2, "rows": [row("wrong", "x 3").to_dict(), row("holds", "x 2", name="Swish").to_dict()]},
    ]
    found = together(json.loads(json.dumps(parts)))
    assert (found.passes, len(found.rows), found.faulty) == (3, 2, True)
    assert [(k.inputs, k.verdict) for k in found["GELU"].kinds] == [("x 2", "holds"), ("x 3", "wrong")]
    assert found["GELU"].calls == 4
    assert together(parts, ["GE*"]).passed


def test_the_headline_counts_and_the_worst_comes_first() -> None:
    rows = (row("holds", "x"), row("undecided", "x", name="b"), row("wrong", "x", name="c"), row("not checked", "x", name="d"))
    found = Audit("it", 1, rows)
    assert found.headline == "it: 1 backward pass, 4 hand-written backwards: 1 wrong, 1 not checked, 1 undecided, 1 holds"
    assert [r.name for r in found.ordered] == ["c", "d", "b", "GELU"]
    assert Audit("it", 1, allowing(rows[2:3], ["c"])).passed
    with pytest.raises(KeyError, match="'a' was not met; those are GELU, b, c, d"):
        found["a"]
    page = found.to_html()
    assert page.index(">c</a>") < page.index(">d</a>") < page.index(">GELU</a>")
    assert "No hand-written backward was met" in Audit("it", 1).to_html()


class CrossEntropy(torch.autograd.Function):
    """Right where there is a target for each row; its forward takes fewer, too."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        logp = logits.log_softmax(-1)
        ctx.save_for_backward(logp, target)
        return -logp.gather(1, target[:, None]).mean()

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> Any:
        logp, target = ctx.saved_tensors
        return g * (logp.exp() - nn.functional.one_hot(target, logp.shape[1])) / len(logp), None


class Batches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 7)

    def forward(self, *sizes: int) -> torch.Tensor:
        parts = (CrossEntropy.apply(self.linear(torch.randn(n, 3)), torch.randint(0, 7, (n,))) for n in sizes)
        total: torch.Tensor = sum(parts)  # type: ignore[assignment]
        return total


def test_sizes_that_were_equal_in_the_run_are_a_domain_once_they_were_so_twice() -> None:
    found = dc.audit(Batches(), (4,), None)
    assert found["CrossEntropy"].verdict == "undecided"
    assert "it holds where size 0 of logits = size 0 of target, as in this run; where these differ it is wrong" in str(found)
    assert dc.audit(Batches(), (4, 6), None).passed


def test_where_float32_cannot_tell_float64_is_asked() -> None:
    class Difference(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x)
            return ((x + 1e6) - 1e6) ** 2

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
            return 2 * g * ((ctx.saved_tensors[0] + 1e6) - 1e6)

    torch.manual_seed(0)
    batch = torch.randn(6, 3), torch.randn(6, 4)
    found = dc.audit(Model(lambda h: Difference.apply(1e-3 * h)), batch, nn.functional.mse_loss)
    assert found.passed and "float32 cannot tell; float64 can, at the same numbers" in found["Difference"].kinds[0].said
