"""``prove``: what it takes, what it says, and what it refuses."""

import json
from fractions import Fraction
from typing import Any

import pytest
import torch

import derivcheck as dc
from derivcheck.errors import InputError
from derivcheck.notation.integers.polynomials import Index, size
from derivcheck.proof.expressions.atoms import LEVEL, _lettered
from derivcheck.proof.report.counterexample import Counterexample
from derivcheck.proof.report.proof import NotProved
from examples.gallery import LAYERS

NORM = {"x": "N C", "w": "C", "b": "C"}
layer_norm, layer_norm_backward = LAYERS["layer norm"].forward, LAYERS["layer norm"].backward


def test_torch_code_is_proved() -> None:
    proof = dc.prove(layer_norm, layer_norm_backward, dims=NORM)
    assert proof.status == "proved", str(proof)
    assert [p.name for p in proof.parts] == ["x", "w", "b"]
    assert "for the traced Program" in proof.explanation and "N, C ≥ 1" in proof.conditions


def test_torch_code_with_a_mistake_is_refuted() -> None:
    def forgets(grad_output: torch.Tensor, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        found = layer_norm_backward(grad_output, **inputs)
        return {**found, "w": found["w"] / inputs["x"].shape[0]}

    proof = dc.prove(layer_norm, forgets, dims=NORM)
    assert proof.status == "refuted"
    assert (proof["x"].status, proof["w"].status, proof["b"].status) == ("proved", "refuted", "proved")
    example = proof.counterexample
    assert example is not None and example.name == "w" and example.sizes["N"] == 2
    assert str(example) in proof.explanation


def test_example_tensors_will_do() -> None:
    def square(x: torch.Tensor) -> torch.Tensor:
        return (x * x).sum()

    def backward(grad_output: torch.Tensor, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"x": 2 * x * grad_output}

    assert dc.prove(square, backward, x=torch.randn(3, 2)).status == "proved"


def test_forward_names_may_be_taken() -> None:
    def f(x: torch.Tensor) -> torch.Tensor:
        p = torch.softmax(x, -1)
        return p

    def backward(grad_output: torch.Tensor, p: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"x": p * (grad_output - (grad_output * p).sum(-1, keepdim=True))}

    proof = dc.prove(f, backward, dims={"x": "N C"})
    assert proof.status == "proved", str(proof)


def test_a_gradient_of_an_intermediate_may_be_claimed() -> None:
    text = "h[n] := x[n]^2; y[n] := h[n]*x[n]"
    proof = dc.prove(text, "h_bar[n] := grad_output[n]*x[n]; x_bar[n] := 3*x[n]^2*grad_output[n]", dims={"x": "N"})
    assert proof.status == "proved" and proof["h"].status == "proved"


def test_a_module_with_its_loss() -> None:
    def backward(
        grad_output: torch.Tensor, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, target: torch.Tensor
    ) -> Any:
        r = 2 * grad_output * (input @ weight.T + bias - target) / target.numel()
        return {"weight": r.T @ input, "bias": r.sum(0)}

    proof = dc.prove(torch.nn.Linear(3, 2), backward, loss=torch.nn.MSELoss())
    assert proof.status == "proved", str(proof)


def test_a_scalar_whose_upstream_gradient_is_not_read_is_proved_for_one() -> None:
    proof = dc.prove("L := sum(n: x[n]^2)", "x_bar[n] := 2*x[n]", dims={"x": "N"})
    assert proof.status == "proved" and "grad_output = 1" in proof.conditions[0]
    assert dc.prove("L[n] := x[n]^2", "x_bar[n] := 2*x[n]", dims={"x": "N"}).status == "refuted"


def test_a_wrong_shape_is_refuted() -> None:
    def backward(grad_output: torch.Tensor, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"x": (2 * x * grad_output).sum(0)}

    proof = dc.prove("y[n,c] := x[n,c]^2", backward, dims={"x": "N C"})
    assert proof.status == "refuted"
    assert proof["x"].detail == "it has dimensions (C), expected (N, C)"


def test_the_counterexample_is_exact_where_it_can_be() -> None:
    proof = dc.prove("L := sum(n, o: x[n,o]^2)/(N*O)", "x_bar[n,o] := 2*x[n,o]*grad_output/N", dims={"x": "N O"})
    example = proof.counterexample
    assert example is not None and example.exact and example.sizes == {"N": 1, "O": 2}
    assert example.claimed == 2 * example.gradient


def test_a_rounding_error_refutes_nothing() -> None:
    """The gradient of a bias before a batch norm is 0: what float64 gives for it is rounding alone."""
    forward = """h[n] := x[n] + c
m := sum(n: h[n])/N
s := (sum(n: (h[n] - m)^2)/N + 1/100)^(-1/2)
y[n] := (h[n] - m)*s"""
    proof = dc.prove(forward, "c_bar := 0*sum(n: grad_output[n])", dims={"x": "N", "c": ""})
    assert proof.status == "proved", str(proof)
    proof = dc.prove(forward, "c_bar := sum(n: grad_output[n]*s) - s*sum(n: grad_output[n])", dims={"x": "N", "c": ""})
    assert proof.status == "proved", str(proof)


def test_what_numbers_and_algebra_do_not_decide_is_undecided() -> None:
    """lgamma(x + 1) = lgamma(x) + log(x) is no rule of the normal form."""
    proof = dc.prove(
        "y[n] := p[n]*lgamma(x[n]^2 + 2)",
        "p_bar[n] := grad_output[n]*(lgamma(x[n]^2 + 1) + log(x[n]^2 + 1))",
        dims={"p": "N", "x": "N"},
    )
    assert proof.status == "undecided" and proof.counterexample is None
    assert proof["p"].detail and proof.tried
    assert proof.explanation.startswith("undecided: the gradient of p; agrees on numbers at")


def test_the_time_limit_is_kept() -> None:
    text = "y := " + "*".join(f"(x + {k}*z)^9" for k in range(1, 9))
    proof = dc.prove(
        text,
        "z_bar := " + "*".join(f"(z + {k}*x)^9" for k in range(1, 9)) + "*grad_output",
        dims={"x": "", "z": ""},
        time_limit=0.3,
    )
    assert proof.status in ("refuted", "undecided") and proof.seconds < 5


def test_constants_that_stand_for_roots_are_read_as_such() -> None:
    def backward(grad_output: torch.Tensor, x: torch.Tensor) -> dict[str, torch.Tensor]:
        inside = 0.5 * (1 + torch.erf(x * 0.7071067811865476))
        return {"x": grad_output * (inside + x * torch.exp(-x * x / 2) * 0.3989422804014327)}

    proof = dc.prove("y[n] := gelu(x[n])", backward, dims={"x": "N"})
    assert proof.status == "proved", str(proof)
    assert any("is read as" in c for c in proof.conditions)


def test_a_recurrence_is_proved_by_induction() -> None:
    forward = "S[k] := x[k] + [k >= 1]*S[k-1]*d"
    by_scan = "R[k] := grad_output[k] + [k <= K - 2]*d*R[k+1]\nx_bar[k] := R[k]"
    proof = dc.prove(forward, by_scan, dims={"x": "K", "d": ""})
    assert proof.status == "proved", str(proof)
    assert dc.prove(forward, by_scan.replace("d*R", "R"), dims={"x": "K", "d": ""}).status == "refuted"


def test_a_recurrence_without_a_start_is_refused() -> None:
    """R[k] := R[k+1] says nothing of R; any value would satisfy it."""
    claim = "R[k] := R[k+1]\nx_bar[k < K] := c*grad_output[k] + 0*R[k]\nc_bar := sum(k: R[k]*x[k])"
    with pytest.raises(dc.NotationError, match=r"R\[k \+ 1\] reads beyond the end of R"):
        dc.prove("y[k] := x[k]*c", claim, dims={"x": "K", "c": ""})


def test_a_closed_form_of_a_recurrence() -> None:
    proof = dc.prove("S[k] := x[k] + [k >= 1]*S[k-1]", "x_bar[k] := sum(j: [j >= k]*grad_output[j])", dims={"x": "K"})
    assert proof.status == "proved", str(proof)


def test_targets_in_range_are_a_condition() -> None:
    proof = dc.prove("y[n] := x[n,t[n]]", "x_bar[n,c] := [c == t[n]]*grad_output[n]", dims={"x": "N C", "t": "int<C: N>"})
    assert proof.status == "proved" and "0 ≤ t < C" in proof.conditions


def test_conditions_name_what_must_not_vanish() -> None:
    proof = dc.prove("y[n] := log(x[n])/c", "x_bar[n] := grad_output[n]/(c*x[n])", dims={"x": "N", "c": ""})
    assert proof.status == "proved"
    assert {"x[n] > 0", "c ≠ 0"} <= set(proof.conditions)
    soft = dc.prove(
        "y[n] := exp(x[n])/sum(m: exp(x[m]))",
        "x_bar[n] := y[n]*(grad_output[n] - sum(m: y[m]*grad_output[m]))",
        dims={"x": "N"},
    )
    assert soft.conditions == ("N ≥ 1",)


def test_json() -> None:
    proof = dc.prove("y[n] := x[n]^2", "x_bar[n] := x[n]*grad_output[n]", dims={"x": "N"})
    found = json.loads(json.dumps(proof.to_dict()))
    assert found["status"] == "refuted" and found["counterexample"]["sizes"] == {"N": 1}


def test_assert_proved() -> None:
    assert dc.assert_proved("y[n] := x[n]^2", "x_bar[n] := 2*x[n]*grad_output[n]", dims={"x": "N"}).status == "proved"
    with pytest.raises(NotProved, match="refuted: the gradient of x") as found:
        dc.assert_proved("y[n] := x[n]^2", "x_bar[n] := x[n]*grad_output[n]", dims={"x": "N"})
    assert isinstance(found.value, AssertionError) and found.value.proof.status == "refuted"


@pytest.mark.parametrize(
    ("backward", "message"),
    [
        ("z_bar[n] := 2*x[n]", "'z_bar' is not the name of a gradient here; the gradients are those of x"),
        (3, "backward is a int; expected a function of grad_output and the inputs, or index text"),
        (lambda grad_output, x: grad_output, "the backward returns a tensor; expected a dict of gradients by name"),
        (lambda grad_output, x: {}, "the backward returns no gradient; expected a dict of gradients by name"),
        (lambda grad_output, x: 3.0, "the backward returns a float; expected a dict of gradients by name"),
        (lambda grad_output, x: {"x": 3.0}, "a float as the gradient of x; expected a tensor; torch.full_like(x, …)"),
        (lambda grad_output, x: {"x": grad_output, "w": [x]}, "returns a list as the gradient of w; expected a tensor"),
        (lambda grad_output, x: {0: grad_output}, "a gradient under the key 0; expected the name of an input"),
        (lambda grad_output, x, w: {"x": x}, "'w'"),
    ],
)
def test_bad_backwards(backward: Any, message: str) -> None:
    with pytest.raises(InputError) as found:
        dc.prove("y[n] := x[n]^2", backward, dims={"x": "N"})
    assert message in str(found.value)


def test_a_backward_that_reads_what_the_forward_does_not_have() -> None:
    from derivcheck.derivation.sweep import adjoint
    from derivcheck.notation.text.parse import parse_program
    from derivcheck.proof.prove import prove_programs

    f = parse_program("y[n] := x[n]^2", {"x": "N"})
    with pytest.raises(InputError, match="the backward reads 'u', which the forward does not have"):
        prove_programs(f, adjoint(f), parse_program("x_bar[n] := u[n]", {"u": "N"}))
    with pytest.raises(InputError, match=r"the backward reads x with dimensions \(M\); the forward has \(N\)"):
        prove_programs(f, adjoint(f), parse_program("x_bar[n] := x[n]", {"x": "M"}))


def test_a_backward_with_a_branch_on_a_size_is_not_proved_at_all_sizes() -> None:
    def backward(grad_output: Any, x: Any) -> dict[str, Any]:
        return {"x": 2 * grad_output * (1 if x.shape[0] <= 100 else 3)}

    proof = dc.prove(lambda x: 2 * x, backward, dims={"x": "N"})
    assert proof.status == "undecided" and "proved where N <= 100" in proof.explanation


def test_a_branch_that_the_forward_has_too_or_that_every_size_takes_is_no_limit() -> None:
    def forward(x: Any) -> Any:
        return 2 * x if x.shape[0] > 2 else 3 * x

    def backward(grad_output: Any, x: Any) -> dict[str, Any]:
        if x.shape[0] < 1:
            return {"x": 5 * grad_output}
        return {"x": 2 * grad_output if x.shape[0] > 2 else 3 * grad_output}

    assert dc.prove(forward, backward, dims={"x": "N"}).status == "proved"


@pytest.mark.parametrize("factor", ["(1 + 1/10000000000)", "(1 - 1/10^11)"])
def test_an_error_below_float64_is_refuted_exactly(factor: str) -> None:
    for forward, backward in (("y[n] := x[n]^3", "3*x[n]^2"), ("y[n] := sin(x[n])", "cos(x[n])")):
        proof = dc.prove(forward, f"x_bar[n] := {backward}*grad_output[n]*{factor}", dims={"x": "N"})
        assert proof.status == "refuted"


def test_a_constant_written_as_a_float_refutes_nothing() -> None:
    proof = dc.prove("y[n] := x[n]^3", "x_bar[n] := 3*x[n]^2*grad_output[n]*(1 + 1/10^17)", dims={"x": "N"})
    assert proof.status == "undecided"


def test_a_refutation_says_what_is_likely_wrong() -> None:
    proof = dc.prove(
        lambda x, W: x @ W.T,
        lambda grad_output, x, W: {"x": grad_output @ W, "W": grad_output.T @ x / x.shape[0]},
        dims={"x": "N in", "W": "out in"},
    )
    assert proof.status == "refuted"
    assert proof.diagnosis is not None and proof.diagnosis.startswith("W:") and "divided by N" in proof.diagnosis
    assert f"likely: {proof.diagnosis}" in proof.explanation
    assert proof.to_dict()["diagnosis"] == proof.diagnosis


def test_what_is_proved_has_no_diagnosis() -> None:
    assert dc.prove("y[n] := x[n]^2", "x_bar[n] := 2*x[n]*grad_output[n]", dims={"x": "N"}).diagnosis is None


@pytest.mark.parametrize(
    ("forward", "backward", "condition"),
    [
        ("y[n] := z[n]*x[n]*(1/x[n])", "z_bar[n] := grad_output[n]", "x[n] ≠ 0"),
        ("y[n] := z[n] + 0*x[n]", "z_bar[n] := grad_output[n]*x[n]^2/(x[n]*x[n])", "x[n] ≠ 0"),
        ("y[n] := z[n]*(x[n]^(1/2))^2", "z_bar[n] := grad_output[n]*x[n]", "x[n] ≥ 0"),
        ("y[n] := z[n] + x[n]", "z_bar[n] := grad_output[n]*(N - 1)/(N - 1)", "N - 1 ≠ 0"),
    ],
)
def test_what_cancels_as_it_is_read_is_a_condition(forward: str, backward: str, condition: str) -> None:
    proof = dc.prove(forward, backward, dims={"x": "N", "z": "N"})
    assert proof.status == "proved" and condition in proof.conditions


QUOTIENTS = [
    ("c*(1/(x[n] - 1) - 1/(x[n] + 1))", "2*grad_output[n]/(x[n]^2 - 1)", "grad_output[n]/(x[n]^2 - 1)"),
    ("c*(x[n]^2 - z[n]^2)/(x[n] - z[n])", "grad_output[n]*(x[n] + z[n])", "grad_output[n]*(x[n] - z[n])"),
    ("c/(x[n]^2 + 3*x[n] + 2)", "grad_output[n]*(1/(x[n] + 1) - 1/(x[n] + 2))", "grad_output[n]*(1/(x[n] + 1) + 1/(x[n] + 2))"),
    ("c/(x[n]^2 + 2*x[n] + 1)", "grad_output[n]/(x[n] + 1)^2", "grad_output[n]/(x[n] + 1)"),
]


@pytest.mark.parametrize(("forward", "right", "wrong"), QUOTIENTS)
def test_quotients_inside_a_sum_are_brought_over_one_denominator(forward: str, right: str, wrong: str) -> None:
    dims = {n: "N" for n in "xz" if f"{n}[n]" in forward} | {"c": ""}
    proof = dc.prove(f"y[n] := {forward}", f"c_bar := sum(n: {right})", dims=dims)
    assert proof.status == "proved" and proof["c"].detail == "under one sum", str(proof)
    assert any("≠ 0" in c for c in proof.conditions)
    assert dc.prove(f"y[n] := {forward}", f"c_bar := sum(n: {wrong})", dims=dims).status == "refuted"


def test_every_wrong_gradient_has_its_own_line() -> None:
    claim = "x_bar[n] := 2*w[n]*z[n]*grad_output[n]; w_bar[n] := x[n]*grad_output[n]; z_bar[n] := x[n]*w[n]*grad_output[n]"
    proof = dc.prove("y[n] := x[n]*w[n]*z[n]", claim, dims={"x": "N", "w": "N", "z": "N"})
    assert [p.status for p in proof.parts] == ["refuted", "refuted", "proved"]
    for name in ("x", "w"):
        example = proof[name].counterexample
        assert example is not None and example.name == name and example.claimed != example.gradient
        assert sum(str(example) in line for line in proof.explanation.splitlines()) == 1
    assert proof["z"].counterexample is None and proof.counterexample is proof["x"].counterexample
    parts = json.loads(json.dumps(proof.to_dict()))["parts"]
    assert [p.get("counterexample", {}).get("name") for p in parts] == ["x", "w", None]


def test_a_hard_gradient_leaves_time_for_an_easy_one() -> None:
    """The hard one comes first, and would take all the time."""

    def forward(x: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        y = x
        for _ in range(9):
            y = torch.tanh(y * y + x) * torch.sigmoid(y + 1)
        return y * torch.exp(b)

    def backward(grad_output: torch.Tensor, x: torch.Tensor, b: torch.Tensor) -> dict[str, torch.Tensor]:
        y = x
        slope = torch.ones_like(x)
        for _ in range(9):
            t, s = torch.tanh(y * y + x), torch.sigmoid(y + 1)
            slope = (1 - t * t) * (2 * y * slope + 1) * s + t * s * (1 - s) * slope
            y = t * s
        return {"x": grad_output * torch.exp(b) * slope, "b": grad_output * y * torch.exp(b)}

    proof = dc.prove(forward, backward, dims={"x": "N", "b": "N"}, time_limit=1.5)
    assert proof["b"].status == "proved", str(proof)
    assert proof["x"].status in ("proved", "undecided")


def test_what_is_bound_has_a_letter_that_nothing_else_is_called_by() -> None:
    """The gradient's own ``i`` stands beside a sum, and a tensor is called ``k``."""
    j, m = (Index("~", size("J"), LEVEL + place) for place in (0, 2))
    u = Index("i", size("I"))
    text = f"S[t, {u.key}, {j.key}]*k[t, {m.key}]"
    assert _lettered(text, (j, m)) == "j, l: S[t, i, j]*k[t, l]"
    assert _lettered(f"x[{j.key}]*i'[{m.key}]", (j, m)) == "i, k: x[i]*i'[k]"


def test_what_is_left_of_terms_that_cancel_is_zero() -> None:
    def told(gradient: float) -> str:
        return str(Counterexample({}, "w", (0,), 0.5, gradient, {}, exact=False))

    assert told(4.8e-122) == "w[0] is 0, the claim gives 0.5"
    assert told(4.8e-9) == "w[0] is 4.8e-09, the claim gives 0.5"
    assert str(Counterexample({}, "w", (), Fraction(1, 3), Fraction(1, 10**60), {}, exact=True)).startswith(f"w is 1/{10**60}")
