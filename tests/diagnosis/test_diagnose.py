"""What a diagnosis says, when it says nothing, and what it rests on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from benchmarks.wrong_backwards.tuned import TUNED
from benchmarks.wrong_backwards.wrong import Wrong, programs
from derivcheck.diagnosis.case import Case, Drawn, case, draw
from derivcheck.diagnosis.diagnose import diagnose
from derivcheck.diagnosis.scene import Scene
from derivcheck.errors import InputError
from derivcheck.tracing.program.copies import same_layout


def named(title: str) -> Wrong:
    return next(w for w in TUNED if w.backward.__name__ == title)


def made(
    forward: str, dims: dict[str, str], sizes: dict[str, int], backward: Callable[..., Any], name: str = "x", seed: int = 0
) -> Case:
    return replace(
        named("mean_over_the_batch_only"), forward=forward, dims=dims, sizes=(sizes,), backward=backward, name=name, special={}
    ).case(0)


# -- the sentence -----------------------------------------------------------------------
def test_the_sentence_of_the_tutorial() -> None:
    found = diagnose(named("mean_over_the_batch_only").case(0))
    assert found is not None and found.kind == "scale"
    assert str(found).startswith("w: 2× too large at (N,I,O)=(5,3,2), ")
    assert str(found).endswith(": divided by N, but the mean is over N·O")
    assert len(found.confirmed) >= 3 and not found.alternatives


@pytest.mark.parametrize(
    "factor, says",
    [
        (lambda n, o: 1 / n, "divided by N, but it is a sum, not a mean"),
        (lambda n, o: 2.0, "2× too large at every size tried: a factor 2 too many"),
        (lambda n, o: -1.0, "it has the wrong sign"),
        (lambda n, o: n * o, "a factor N·O too many"),
        (lambda n, o: 1.37, "it is 1.37 times the gradient, at every size tried"),
    ],
)
def test_a_factor_is_fitted_over_sizes(factor: Callable[[int, int], float], says: str) -> None:
    def backward(grad_output: torch.Tensor, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"x": factor(*x.shape) * 2 * grad_output * x}

    found = diagnose(made("y[n,o] := x[n,o]^2", {"x": "N O"}, {"N": 6, "O": 2}, backward))
    assert found is not None and says in found.sentence, found


def test_one_shape_alone_gives_both_explanations_and_what_would_tell() -> None:
    c = replace(named("mean_over_the_batch_only"), sizes=({"N": 5, "I": 3, "O": 2},)).case(0, again=False)
    found = diagnose(c)
    assert found is not None
    assert "divided by N, but the mean is over N·O" in found.sentence
    assert "a factor 2 too many" in found.alternatives
    assert found.tell_apart and f"{found.tell_apart} would tell" in str(found)


@pytest.mark.parametrize("wrapped", [True, False])
def test_only_a_shift_that_wraps_is_said_to_wrap(wrapped: bool) -> None:
    def backward(grad_output: torch.Tensor, x: torch.Tensor, w: torch.Tensor) -> dict[str, torch.Tensor]:
        moved = torch.roll(w, -1)
        if not wrapped:
            moved[-1] = 0
        return {"x": grad_output * moved}

    found = diagnose(made("y[n] := x[n]*w[n]", {"x": "N", "w": "N"}, {"N": 7}, backward))
    assert found is not None and "w is shifted by one" in found.sentence, found
    assert ("wrapped" in found.sentence) == wrapped


def test_a_mask_over_what_is_summed_is_missing_under_the_sum() -> None:
    def backward(grad_output: torch.Tensor, h: torch.Tensor, V: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"V": grad_output.T @ h}

    forward, dims = "y[n,o] := sum(k: [h[n,k] > 0]*h[n,k]*V[o,k])", {"h": "N K", "V": "O K"}
    found = diagnose(made(forward, dims, {"N": 7, "K": 5, "O": 3}, backward, "V"))
    assert found is not None and found.sentence == "V: the mask [h[n, k] > 0] is missing under the sum over n"


# -- two mistakes at once -----------------------------------------------------------------
def _two_mistakes(grad_output: torch.Tensor, x: torch.Tensor, w: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"x": 3 * grad_output * torch.cos(x) * torch.relu(x).sign()}


def test_two_mistakes_are_said_where_other_sizes_confirm_both() -> None:
    forward, dims, sizes = "y[n,c] := sin(x[n,c])*w[c]*[x[n,c] > 0]", {"x": "N C", "w": "C"}, {"N": 5, "C": 3}
    found = diagnose(made(forward, dims, sizes, _two_mistakes))
    assert found is not None and "the factor w is missing" in found.sentence
    assert found.sentence.endswith("; and besides, a factor 3 too many"), found
    assert len(found.confirmed) >= 3


def test_two_mistakes_are_not_said_from_one_shape() -> None:
    forward, dims, sizes = "y[n,c] := sin(x[n,c])*w[c]*[x[n,c] > 0]", {"x": "N C", "w": "C"}, {"N": 5, "C": 3}
    assert diagnose(replace(made(forward, dims, sizes, _two_mistakes), backward=None)) is None


def test_what_two_mistakes_do_not_explain_is_not_named() -> None:
    def backward(grad_output: torch.Tensor, x: torch.Tensor, w: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"x": 3 * grad_output * torch.cos(x) * torch.relu(x).sign() + 1e-4 * x**3}

    forward, dims = "y[n,c] := sin(x[n,c])*w[c]*[x[n,c] > 0]", {"x": "N C", "w": "C"}
    assert diagnose(made(forward, dims, {"N": 5, "C": 3}, backward)) is None


def test_paths_of_statistics_say_so() -> None:
    found = diagnose(named("frozen_statistics").case(0))
    assert found is not None and "taken as constants, and depend on x" in found.sentence


# -- saying nothing -----------------------------------------------------------------------
def test_a_right_gradient_has_no_diagnosis() -> None:
    c = made("y[n] := x[n]^2", {"x": "N"}, {"N": 5}, lambda grad_output, x: {"x": 2 * x * grad_output})
    assert diagnose(c) is None


@pytest.mark.parametrize("seed", range(6))
def test_noise_has_no_diagnosis(seed: int) -> None:
    """A backward that returns something unrelated is not given a name, whatever random numbers it hits."""

    def backward(grad_output: torch.Tensor, x: torch.Tensor, w: torch.Tensor) -> dict[str, torch.Tensor]:
        rough = torch.sin(10 * seed + 3 * x * x + torch.arange(x.numel(), dtype=x.dtype).reshape(x.shape)) * grad_output.mean()
        return {"x": rough}

    text = "r[n] := (sum(c: x[n,c]^2)/C + 1/1000)^(-1/2)\ny[n,c] := x[n,c]*r[n]*w[c]"
    c = made(text, {"x": "N C", "w": "C"}, {"N": 5, "C": 3}, backward)
    assert diagnose(c) is None
    assert diagnose(replace(c, backward=None)) is None


def test_a_guess_that_other_sizes_contradict_is_dropped() -> None:
    """At N = 2 a backward that is off by N/2 + 1 looks as if it were off by N; at other sizes it does not."""

    def backward(grad_output: torch.Tensor, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"x": (len(x) / 2 + 1) * 2 * x * grad_output}

    c = made("y[n] := x[n]^2", {"x": "N"}, {"N": 2}, backward)
    alone = diagnose(replace(c, backward=None))
    assert alone is not None and alone.kind == "scale" and alone.alternatives
    assert diagnose(c) is None


def test_a_backward_that_raises_at_other_sizes_is_diagnosed_at_its_own() -> None:
    def backward(grad_output: torch.Tensor, x: torch.Tensor) -> dict[str, torch.Tensor]:
        if x.shape != (5, 3):
            raise RuntimeError("only (5, 3)")
        return {"x": 2 * x * grad_output.flip(1)}

    found = diagnose(made("y[n,c] := x[n,c]^2", {"x": "N C"}, {"N": 5, "C": 3}, backward))
    assert found is not None and "grad_output is flipped over its axis 1" in found.sentence


def test_it_stops_in_time() -> None:
    assert diagnose(named("epsilon_forgotten").case(0), seconds=0) is None


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InputError, match=r"'elsewhere' has no gradient to diagnose; the adjoint gives those of x, w, b, t$"):
        diagnose(replace(named("mean_over_the_batch_only").case(0), name="elsewhere"))


# -- low precision -----------------------------------------------------------------------
def low(run: Callable[..., Any], finer: Callable[..., Any] | None, dtype: torch.dtype, relative: float) -> Case:
    """A case whose backward runs in another dtype."""
    dims = {"x": "N C", "w": "C"}
    text = "r[n] := (sum(c: x[n,c]^2)/C + 1/1000)^(-1/2)\ny[n,c] := x[n,c]*r[n]*w[c]"
    forward, back = programs(text, tuple(dims.items()))
    g = torch.Generator().manual_seed(4)
    inputs = {"x": torch.randn(6, 5, generator=g), "w": torch.randn(5, generator=g)}
    inputs = {k: v.to(dtype).double() for k, v in inputs.items()}
    ups = {"grad_output": torch.randn(6, 5, generator=g).to(dtype).double()}

    def in_dtype(given: Any, upstream: Any) -> Any:
        return run(**{k: v.to(dtype) for k, v in {**given, **upstream}.items()})

    made = case("x", forward, back, Drawn(inputs, ups), in_dtype, relative=relative)
    return replace(made, double=None if finer is None else lambda i, u: finer(**i, **u))


def rms(grad_output: torch.Tensor, x: torch.Tensor, w: torch.Tensor, weight: bool = True) -> dict[str, torch.Tensor]:
    r = (x.pow(2).mean(-1, keepdim=True) + 1e-3).rsqrt()
    h = grad_output * w if weight else grad_output
    return {"x": r * h - x * r**3 * (h * x).mean(-1, keepdim=True)}


@pytest.mark.parametrize("dtype, relative", [(torch.float32, 1e-5), (torch.bfloat16, 0.03)])
@pytest.mark.parametrize("twice", [False, True])
def test_a_mistake_in_low_precision_is_named(dtype: torch.dtype, relative: float, twice: bool) -> None:
    def wrong(grad_output: torch.Tensor, x: torch.Tensor, w: torch.Tensor) -> dict[str, torch.Tensor]:
        return rms(grad_output, x, w, weight=False)

    found = diagnose(low(wrong, wrong if twice else None, dtype, relative))
    assert found is not None and "the factor w is missing" in found.sentence


def test_lost_precision_is_not_taken_for_a_mistake() -> None:
    def rough(grad_output: torch.Tensor, x: torch.Tensor, w: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"x": rms(grad_output.bfloat16(), x.bfloat16(), w.bfloat16())["x"].float()}

    c = low(rough, rms, torch.float32, 1e-6)
    assert Scene(c).wrong
    found = diagnose(c)
    assert found is not None and found.kind == "precision" and "right when it runs in float64" in found.sentence


# -- the case ------------------------------------------------------------------------------
def test_large_gradients_are_looked_for_at_small_sizes() -> None:
    wrong = replace(named("frozen_mean"), sizes=({"N": 300, "C": 200},))
    found = diagnose(wrong.case(0))
    assert found is not None and "the path through mean is left out" in found.sentence
    assert "(N,C)=(300,200)" in found.confirmed and len(found.confirmed) > 2


def test_drawn_values_keep_their_kind() -> None:
    wrong = named("masked_loss_ignores_the_mask")
    c = wrong.case(0)
    inputs, upstream = draw(c, {"N": 12}, 3)
    assert set(inputs["m"].tolist()) == {0.0, 1.0}
    assert inputs["x"].shape == (12,) and upstream["grad_output"].shape == ()
    tokens = named("embedding_overwrites").case(0)
    inputs, _ = draw(tokens, {"V": 3, "D": 2, "N": 4, "T": 5}, 3)
    assert inputs["ids"].shape == (4, 5) and int(inputs["ids"].max()) < 3
    p = named("kl_without_its_plus_one").case(0)
    assert bool((draw(p, {"N": 50}, 1)[0]["p"] > 0).all())


def test_an_ignore_index_is_drawn_again() -> None:
    from dataclasses import replace as other

    c = named("cross_entropy_without_the_mean").case(0)
    t = c.inputs["t"].clone()
    t[1] = t[3] = -100
    inputs, _ = draw(other(c, inputs={**c.inputs, "t": t}), {"N": 400, "C": 5}, 0)
    share = float((inputs["t"] == -100).double().mean())
    assert 0.3 < share < 0.5 and int(inputs["t"].max()) == 4


def test_copies_keep_the_strides() -> None:
    x = torch.arange(6.0).reshape(2, 3)
    for t in (x, x.T, x[:, :1].expand(2, 3), x[:1].expand(4, 3)):
        copy = same_layout(t)
        assert copy.stride() == t.stride() or 0 in t.stride()
        assert torch.equal(copy, t) and copy.data_ptr() != t.data_ptr()


def test_a_gradient_that_cancels_to_rounding_is_not_wrong() -> None:
    """Softmax over one class: derived 1e-17, found 0."""
    c = made(
        "y[n,c] := exp(x[n,c])/sum(d: exp(x[n,d]))",
        {"x": "N C"},
        {"N": 5, "C": 1},
        lambda grad_output, x: {"x": torch.zeros_like(x)},
    )
    assert not Scene(c).wrong


def test_few_numbers_of_low_precision_prove_nothing() -> None:
    """One number known to two digits agrees with some guess or other."""

    def backward(grad_output: torch.Tensor, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"x": 2.02 * 2 * x * grad_output}

    c = made("y[n] := x[n]^2", {"x": "N"}, {"N": 1}, backward)
    coarse = replace(c, backward=None, tolerance={"x": 0.03 * c.derived["x"].abs()})
    assert Scene(coarse).wrong and diagnose(coarse) is None


def test_sizes_that_a_forward_does_not_admit_are_not_tried() -> None:
    from derivcheck.diagnosis.diagnose import _others
    from derivcheck.notation.program.program import Program

    wrong = named("weight_gradient_averaged_over_the_batch").case(0)
    shut = type("Shut", (Program,), {"admits": lambda self, sizes: sizes["N"] == 5})
    forward = wrong.forward
    closed = shut(**{f: getattr(forward, f) for f in forward.__dataclass_fields__})
    assert {s.sizes["N"] for s in _others(Scene(wrong))} > {5}
    assert {s.sizes["N"] for s in _others(Scene(replace(wrong, forward=closed)))} == {5}


def test_a_guess_that_makes_no_sense_ends_nothing() -> None:
    from derivcheck.diagnosis.diagnose import _guesses, _predicted
    from derivcheck.diagnosis.guess import Guess
    from derivcheck.errors import UnsupportedOperation

    def fails(scene: Scene) -> None:
        raise UnsupportedOperation("max")

    def family(scene: Scene, others: list[Scene]) -> Any:
        yield Guess("sum", "one", fails)
        raise ZeroDivisionError

    scene = Scene(named("mean_over_the_batch_only").case(0))
    guesses = list(_guesses(family, scene, []))
    assert len(guesses) == 1 and _predicted(guesses[0], scene) is None


def test_another_shape_elsewhere_is_another_fault() -> None:
    """The pooled gradient is spread by 2, right only for an even length; that is not what is wrong at the even length."""

    def backward(grad_output: torch.Tensor, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"x": grad_output.repeat_interleave(2, -1) if x.shape[0] % 2 == 0 else grad_output}

    text = "y[m<N//2] := (x[2*m] + x[2*m+1])/2"
    found = diagnose(made(text, {"x": "N"}, {"N": 6}, backward))
    assert found is not None and "2× too large" in found.sentence
