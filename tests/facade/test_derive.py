"""What derive takes, and what a derivation is read as: the contract."""

from __future__ import annotations

import pytest
import sympy
import torch
from torch import nn

import derivcheck as dc
from derivcheck.errors import InputError


@pytest.fixture(scope="module")
def linear() -> dc.Derivation:
    torch.manual_seed(0)
    return dc.derive(nn.Linear(3, 2).double(), loss=nn.MSELoss())


def tensors(n: int, i: int, o: int) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(n)
    shapes = {"input": (n, i), "weight": (o, i), "bias": (o,), "target": (n, o)}
    return {k: torch.randn(s, generator=g, dtype=torch.float64) for k, s in shapes.items()}


def test_a_module_with_its_loss_needs_no_example(linear: dc.Derivation) -> None:
    assert linear.program.inputs == ("input", "weight", "bias", "target")
    assert linear.wrt == ("input", "weight", "bias", "target")
    assert linear.adjoint.inputs == (*linear.program.inputs, "grad_output")
    assert linear.adjoint.outputs == ("input_bar", "weight_bar", "bias_bar", "target_bar")
    assert linear.gradients["weight"].dims == ("out", "in")


@pytest.mark.parametrize("shape", [(5, 3, 2), (1, 1, 1), (100, 1, 1), (7, 11, 13), (2, 1, 5)])
def test_one_derivation_serves_every_size(linear: dc.Derivation, shape: tuple[int, int, int]) -> None:
    data = tensors(*shape)
    value, grads = linear.compile()(**data)
    leaves = {k: v.clone().requires_grad_() for k, v in data.items()}
    loss = nn.functional.mse_loss(nn.functional.linear(leaves["input"], leaves["weight"], leaves["bias"]), leaves["target"])
    loss.backward()
    torch.testing.assert_close(value, loss.detach(), rtol=1e-13, atol=1e-15)
    for name, leaf in leaves.items():
        torch.testing.assert_close(grads[name], leaf.grad, rtol=1e-12, atol=1e-14)


def test_values_default_to_the_modules(linear: dc.Derivation) -> None:
    data = tensors(4, 3, 2)
    mine = {**data, "weight": linear.values["weight"], "bias": linear.values["bias"]}
    run = linear.compile()
    assert torch.equal(run(input=data["input"], target=data["target"])[0], run(**mine)[0])


def test_the_upstream_gradient_scales(linear: dc.Derivation) -> None:
    data = tensors(4, 3, 2)
    once = linear.compile()(**data)[1]
    twice = linear.compile()(**data, grad_output=torch.tensor(2.0, dtype=torch.float64))[1]
    for name in linear.wrt:
        torch.testing.assert_close(twice[name], 2 * once[name], rtol=1e-14, atol=0)


def test_a_gradient_in_sympy(linear: dc.Derivation) -> None:
    expr = linear.gradients["bias"].expr
    assert isinstance(expr, sympy.Expr)
    assert not expr.has(sympy.Symbol("grad_output"))
    assert {str(b) for b in expr.atoms(sympy.IndexedBase)} == {"input", "weight", "bias", "target"}


def test_paths_and_latex_of_a_gradient() -> None:
    d = dc.derive(lambda x, w: torch.tanh(x * w) + x, dims={"x": "N", "w": "N"})
    assert len(d.gradients["x"].paths) == 2
    assert r"\frac{\partial" in d.gradients["w"].latex() or r"\bar" in d.gradients["w"].latex()


def test_steps_name_what_they_define_and_the_rule(linear: dc.Derivation) -> None:
    defined = [s.defines for s in linear.steps]
    assert defined.index("y_bar") < defined.index("weight_bar")
    assert all(s.rule and s.latex for s in linear.steps)


@pytest.mark.parametrize(
    "make",
    [
        lambda f: dc.derive(f, dims={"x": "N in", "W": "out in", "b": "out"}),
        lambda f: dc.derive(f, x=torch.randn(4, 3), W=torch.randn(2, 3), b=torch.randn(2)),
        lambda f: dc.derive(f, torch.randn(4, 3), torch.randn(2, 3), b=torch.randn(2)),
        lambda f: dc.derive("y[n,o] := sum(i: x[n,i]*W[o,i]) + b[o]", dims={"x": "N in", "W": "out in", "b": "out"}),
        lambda f: dc.derive(dc.derive(f, dims={"x": "N in", "W": "out in", "b": "out"}).program),
    ],
    ids=["dims", "examples", "positional examples", "index text", "Program"],
)
def test_a_function_in_every_form(make: object) -> None:
    def f(x: torch.Tensor, W: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return x @ W.T + b

    d = make(f)  # type: ignore[operator]
    assert d.wrt == ("x", "W", "b")
    x, w, b = torch.randn(7, 5).double(), torch.randn(2, 5).double(), torch.randn(2).double()
    up = torch.randn(7, 2).double()
    value, grads = d.compile()(x=x, W=w, b=b, grad_output=up)
    torch.testing.assert_close(value, f(x, w, b))
    torch.testing.assert_close(grads["W"], up.T @ x)
    torch.testing.assert_close(grads["b"], up.sum(0))


def test_second_order_is_the_same_sweep() -> None:
    def f(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x @ w).sum(-1)

    dims = {"x": "N in", "w": "in out"}
    first = dc.derive(f, dims=dims)
    second = dc.derive(first.adjoint)
    assert second.upstream == ("grad_grad_output_0", "grad_grad_output_1")
    assert second.adjoint.outputs == ("x_bar", "w_bar", "grad_output_bar")
    x, w, g = (torch.randn(*s).double().requires_grad_() for s in ((5, 3), (3, 2), (5,)))
    grads = torch.autograd.grad(f(x, w), (x, w), g, create_graph=True)
    ups = tuple(torch.randn_like(t) for t in grads)
    want = torch.autograd.grad(grads, (x, w, g), ups)
    given = {"x": x.detach(), "w": w.detach(), "grad_output": g.detach()}
    value, have = second.compile()(**given, grad_grad_output=ups)
    for v, t in zip(value, grads, strict=True):
        torch.testing.assert_close(v, t.detach(), rtol=1e-11, atol=1e-12)
    for name, t in zip(("x", "w", "grad_output"), want, strict=True):
        torch.testing.assert_close(have[name], t, rtol=1e-11, atol=1e-12)


def test_third_order() -> None:
    d = dc.derive("y[n] := x[n]^4", dims={"x": "N"})
    third = dc.derive(dc.derive(d.adjoint, wrt=["x"]).adjoint, wrt=["x"])
    x = torch.tensor([0.5, -2.0], dtype=torch.float64)
    one = torch.ones(2, dtype=torch.float64)
    names = [n for n in third.program.inputs if n != "x"]
    _, grads = third.compile()(x=x, **dict.fromkeys(names, one), **{third.upstream[0]: one})
    torch.testing.assert_close(grads["x"], 24 * x)


def test_tuple_outputs_take_a_tuple_of_upstream_gradients() -> None:
    d = dc.derive(lambda x: (x.sin(), x.sum()), dims={"x": "N"})
    x = torch.randn(4).double()
    run = d.compile()
    _, grads = run(x=x, grad_output=(torch.ones(4).double(), torch.tensor(3.0).double()))
    torch.testing.assert_close(grads["x"], x.cos() + 3)
    with pytest.raises(dc.InputError, match="grad_output has 1 entries; expected 2"):
        run(x=x, grad_output=(torch.ones(4).double(),))


def test_wrt_that_is_no_input_is_refused(linear: dc.Derivation) -> None:
    with pytest.raises(dc.InputError, match="wrt names 'wieght', which is not a floating-point input"):
        dc.derive(linear.program, wrt=["wieght"])


def test_wrt_may_be_one_name(linear: dc.Derivation) -> None:
    assert dc.derive(linear, wrt="weight").wrt == ("weight",)


def test_what_derive_does_not_take() -> None:
    with pytest.raises(dc.InputError, match="derive takes a module, a function, index text or a Program; found int"):
        dc.derive(3)
    with pytest.raises(dc.InputError, match="3 example inputs for a function of 2 parameters"):
        dc.derive(lambda x, w: x * w, torch.ones(1), torch.ones(1), torch.ones(1))


def test_an_operator_without_a_row_is_named_with_the_users_line() -> None:
    with pytest.raises(dc.UnsupportedOperation) as refused:
        dc.derive(lambda x: torch.linalg.eigvalsh(x), dims={"x": "N N"})
    assert "eig" in refused.value.operator
    assert refused.value.place is not None and refused.value.place.split(":")[0].endswith("test_derive.py")


def test_the_source_needs_torch_alone(linear: dc.Derivation) -> None:
    text = linear.source()
    imported = {line.split()[1] for line in text.splitlines() if line.startswith(("import ", "from "))}
    assert imported <= {"torch", "math"}
    assert "_backward" not in text and "autograd" not in text


def test_notebooks_and_terminals(linear: dc.Derivation) -> None:
    assert linear._repr_latex_().startswith(("$", r"\begin"))
    assert "<math" in linear._repr_html_()
    assert "∂L/∂W[j,k]" in str(linear)
    assert "holds for every" in str(linear)


def test_a_function_may_call_its_parameters_target_and_loss() -> None:
    x, t = torch.randn(4, 3), torch.randn(4, 3)
    d = dc.derive(torch.nn.functional.mse_loss, input=x, target=t)
    _, grads = d.compile()(input=x, target=t)
    torch.testing.assert_close(grads["input"], 2 * (x - t) / 12)
    torch.testing.assert_close(grads["target"], 2 * (t - x) / 12)
    assert dc.derive(lambda loss: loss * 2, loss=x).wrt == ("loss",)


@pytest.mark.parametrize("name", ["loss", "target"])
def test_a_loss_that_would_be_ignored_is_refused(name: str) -> None:
    for forward in (lambda x: x * 2, "y[n] := x[n]^2", dc.derive("y[n] := x[n]^2", dims={"x": "N"})):
        with pytest.raises(InputError, match=f"{name}= belongs to a module"):
            dc.derive(forward, dims={"x": "N"}, **{name: torch.nn.MSELoss()})


def test_a_derivation_derived_again_in_other_inputs() -> None:
    d = dc.derive("y[n] := x[n]*w[n]", dims={"x": "N", "w": "N"})
    assert dc.derive(d) is d and dc.derive(d, wrt=["w"]).wrt == ("w",)


@pytest.mark.parametrize("name", ["fits", "N", "sum", "max", "x_bar", "grad_output", "sizes", "ValueError", "range"])
def test_inputs_may_be_called_like_what_the_generated_code_uses(name: str) -> None:
    text = f"y[n] := sum(i: {name}[n,i]^2)"
    run = dc.derive(text, dims={name: "N in"}).compile()
    upstream = "grad_grad_output" if name == "grad_output" else "grad_output"
    _, grads = run(**{name: torch.ones(2, 3), upstream: torch.tensor([1.0, 2.0])})
    assert grads[name].tolist() == [[2.0] * 3, [4.0] * 3]
    with pytest.raises(ValueError, match="expected 2 dimensions"):
        run(**{name: torch.ones(2), upstream: torch.ones(2)})


def test_a_linspace_of_one_step_is_its_start() -> None:
    run = dc.derive(lambda x: x * torch.linspace(2, 3, x.shape[0]), x=torch.ones(4)).compile()
    for n, expected in ((1, [2.0]), (2, [2.0, 3.0])):
        assert run(x=torch.ones(n), grad_output=torch.ones(n))[1]["x"].tolist() == expected


def test_an_input_called_like_a_helper_is_refused() -> None:
    with pytest.raises(InputError, match="'_shape_error', which cannot be a parameter"):
        dc.derive("y[n] := _shape_error[n]^2", dims={"_shape_error": "N"}).source()


def test_a_gradient_too_deep_for_one_expression_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    d = dc.derive("y[n] := x[n]^2; z[n] := exp(y[n])", dims={"x": "N"})

    def deep(term: object, meanings: object) -> object:
        return deep(term, meanings)

    monkeypatch.setattr("derivcheck.derived.inline", deep)
    says = "the gradient in 'x' has too many definitions inside one another .* read it step by step, in d.steps"
    for what in ("term", "expr"):
        with pytest.raises(InputError, match=says):
            getattr(d.gradients["x"], what)
    assert len(d.steps) == 2
