"""What the generated file looks like, and how it behaves: its text, its sizes, its errors, its dtypes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import traceback
from fractions import Fraction

import pytest
import torch

import derivcheck as dc
from derivcheck.codegen.file.load import load
from derivcheck.codegen.file.source import source
from derivcheck.codegen.file.variants import lean_source
from derivcheck.codegen.graph.write import wrapped
from derivcheck.derivation.sweep import adjoint
from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.notation.integers.atoms import entry
from derivcheck.notation.integers.polynomials import Index, as_poly, i_poly, size
from derivcheck.notation.program.definitions import Definition, Input, Spelling
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import ONE, add, div, func, mul, neg, power, ref, size_of, sub
from derivcheck.notation.terms.nodes import Number
from derivcheck.notation.terms.substitute import extremum, summation

N, IN, OUT, T, D = size("N"), size("in"), size("out"), size("T"), size("d")
n, i, o = Index("n", N), Index("i", IN), Index("o", OUT)


def linear_mse() -> Program:
    y = Definition("y", (n, o), add(summation([i], mul(ref("x", n, i), ref("weight", o, i))), ref("bias", o)))
    squares = summation([n, o], power(sub(ref("y", n, o), ref("target", n, o)), 2))
    loss = Definition("loss", (), mul(power(size_of(N), -1), power(size_of(OUT), -1), squares))
    arguments = (Input("x", (N, IN)), Input("weight", (OUT, IN)), Input("bias", (OUT,)), Input("target", (N, OUT)))
    return Program(arguments, (y, loss), ("loss",))


def linear_inputs(*sizes: int, dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
    a, b, c = sizes
    g = torch.Generator().manual_seed(0)
    shapes = {"x": (a, b), "weight": (c, b), "bias": (c,), "target": (a, c)}
    return {k: torch.randn(s, generator=g, dtype=torch.float64).to(dtype) for k, s in shapes.items()}


def attention() -> Program:
    t, s, d, j = Index("t", T), Index("s", T), Index("d", D), Index("j", T)
    products = summation([d], mul(ref("q", t, d), ref("k", s, d)))
    scores = Definition("S", (t, s), mul(power(size_of(D), Number(Fraction(-1, 2))), products))
    top = Definition("top", (t,), extremum("max", [s], ref("S", t, s)), stop=True)
    whole = summation([j], func("exp", sub(ref("S", t, j), ref("top", t))))
    p = Definition("P", (t, s), div(func("exp", sub(ref("S", t, s), ref("top", t))), whole))
    y = Definition("y", (t, d), summation([s], mul(ref("P", t, s), ref("v", s, d))))
    return Program((Input("q", (T, D)), Input("k", (T, D)), Input("v", (T, D))), (scores, top, p, y), ("y",))


def body(text: str) -> list[str]:
    """The lines, without the shapes behind them."""
    return [line.partition("  # (")[0].strip() for line in text.splitlines()]


# -- the text ------------------------------------------------------------------------------
def test_linear_reads_as_a_person_writes_it():
    lines = body(source(linear_mse(), adjoint(linear_mse())))
    for line in (
        "N, in_features = x.shape",
        "y = torch.addmm(bias, x, weight.mT)",
        "y_minus_target = y - target",
        "loss = (y_minus_target**2).mean()",
        "y_bar = 2 / max(N * out_features, 1) * grad_output * y_minus_target",
        "x_bar = y_bar @ weight",
        "weight_bar = y_bar.mT @ x",
        "bias_bar = y_bar.sum(0)",
    ):
        assert line in lines


def test_attention_reads_as_a_person_writes_it():
    lines = body(source(attention(), adjoint(attention())))
    assert "S_bar = P * (P_bar - (P_bar * P).sum(-1, keepdim=True))" in lines
    assert "v_bar = P.mT @ grad_output" in lines
    assert "P = exp / exp.sum(-1, keepdim=True)" in lines


def test_what_two_lines_need_is_computed_once():
    text = source(linear_mse(), adjoint(linear_mse()))
    assert text.count("y - target") == 1


def test_torchs_own_call_is_used_for_the_forward_where_there_is_one():
    p = linear_mse()
    spelled = Spelling("torch.nn.functional.linear({}, {}, {})", ("x", "weight", "bias"))
    y = Definition("y", p.definitions[0].indices, p.definitions[0].term, spelling=spelled)
    text = source(Program(p.arguments, (y, p.definitions[1]), p.outputs))
    assert "y = torch.nn.functional.linear(x, weight, bias)" in text


def test_no_call_of_autograd_and_no_backward_operator():
    for p in (linear_mse(), attention()):
        text = source(p, adjoint(p))
        assert "_backward" not in text and "autograd" not in text and "requires_grad" not in text


def test_lines_are_short_and_the_text_parses():
    for p in (linear_mse(), attention()):
        text = source(p, adjoint(p))
        ast.parse(text)
        assert max(map(len, text.splitlines())) <= 128
        assert not any(line != line.rstrip() for line in text.splitlines())


def test_three_operands_are_never_contracted_at_once():
    a, b, c, d = Index("a", size("A")), Index("b", size("B")), Index("c", size("C")), Index("d", size("E"))
    chain = summation([b, c], mul(ref("x", a, b), ref("y", b, c), ref("z", c, d)))
    p = Program(
        (Input("x", (a.size, b.size)), Input("y", (b.size, c.size)), Input("z", (c.size, d.size))),
        (Definition("w", (a, d), chain),),
        ("w",),
    )
    assert "x @ y" in source(p) and "einsum" not in source(p)


def test_gates_of_a_packed_weight_are_concatenated():
    """The adjoint of slices that fill a tensor is one concatenation, not a sum of padded pieces."""
    h = Index("h", N)
    terms = [ref("w", i_poly(h) + k * N) for k in range(3)]
    y = Definition("y", (h,), add(func("tanh", terms[0]), mul(terms[1], terms[1], terms[2])))
    p = Program((Input("w", (3 * N,)),), (y,), ("y",))
    text = source(p, adjoint(p))
    assert "w_bar = torch.cat((" in text and "_window" not in text
    w = torch.randn(9, dtype=torch.float64)
    a, b, c = w.chunk(3)
    g = torch.ones(3, dtype=torch.float64)
    _, grads = load(text)(w=w, grad_output=g)
    torch.testing.assert_close(grads["w"], torch.cat([1 - torch.tanh(a) ** 2, 2 * b * c, b * b]))


def test_sum_over_later_places_is_a_cumulative_sum():
    j, k = Index("j", N), Index("k", N)
    term = summation([j], mul(bracket(">=", i_poly(j) - i_poly(k)), ref("x", j)))
    text = source(Program((Input("x", (N,)),), (Definition("y", (k,), term),), ("y",)))
    assert "y = x.flip(0).cumsum(0).flip(0)" in text


def test_gather_and_its_scatter():
    v, d = Index("v", size("V")), Index("d", D)
    y = Definition("y", (n, d), ref("E", entry("ids", i_poly(n)), i_poly(d)))
    p = Program((Input("E", (v.size, D)), Input("ids", (N,), "int", v.size)), (y,), ("y",))
    text = source(p, adjoint(p))
    assert "y = E.index_select(0, ids)" in text and ".index_add_(0, ids, grad_output)" in text
    ids = torch.tensor([1, 1, 0])
    _, grads = load(text)(E=torch.zeros(3, 2), ids=ids, grad_output=torch.ones(3, 2))
    assert grads["E"].tolist() == [[1, 1], [2, 2], [0, 0]]


def test_convolution_and_its_gradients_are_convolutions():
    c, u, k, b = Index("c", size("C")), Index("u", size("K")), Index("k", size("L")), Index("b", size("B"))
    place = 2 * i_poly(k) + i_poly(u) - 1
    wide = size("W")
    inside = [bracket(">=", place), bracket(">=", wide - 1 - place)]
    term = summation([c, u], mul(*inside, ref("x", b, c, place), ref("w", o, c, u)))
    long = (wide + 2 - u.size) // 2 + 1
    k_long = Index("k", long)
    from derivcheck.notation.terms.substitute import substitute

    y = Definition("y", (b, o, k_long), substitute(term, {k: i_poly(k_long)}))
    p = Program((Input("x", (b.size, c.size, wide)), Input("w", (OUT, c.size, u.size))), (y,), ("y",))
    text = source(p, adjoint(p))
    assert "y = _conv(x, w," in text and "x_bar = _conv_transpose(grad_output, w," in text and "einsum" not in text
    x, w = torch.randn(2, 3, 8, dtype=torch.float64), torch.randn(4, 3, 3, dtype=torch.float64)
    leaves = x.clone().requires_grad_(), w.clone().requires_grad_()
    wanted = torch.nn.functional.conv1d(*leaves, stride=2, padding=1)
    g = torch.randn_like(wanted)
    value, grads = load(text)(x=x, w=w, grad_output=g)
    torch.testing.assert_close(value, wanted)
    for found, right in zip((grads["x"], grads["w"]), torch.autograd.grad(wanted, leaves, g)):
        torch.testing.assert_close(found, right)


def test_a_mask_selects_so_that_infinities_stay_out():
    j = Index("j", N)
    logs = func("log", ref("x", j))
    plain = Definition("y", (j,), mul(bracket(">=", i_poly(j) - 1), logs))
    summed = Definition("z", (), summation([j], mul(bracket(">=", i_poly(j) - 1), logs, ref("x", j))))
    run = load(source(Program((Input("x", (N,)),), (plain, summed), ("y", "z"))))
    y, z = run(x=torch.tensor([0.0, 1.0, 2.0]))
    assert y[0] == 0 and torch.isfinite(z)


def test_reshapes_are_views():
    h, e, a = Index("h", size("h")), Index("e", size("e")), Index("a", size("h") * size("e"))
    split = Definition("z", (n, h, e), ref("x", i_poly(n), i_poly(h) * e.size + i_poly(e)))
    back = Definition("y", (n, a), ref("z", i_poly(n), i_poly(a) // e.size, i_poly(a) - e.size * (i_poly(a) // e.size)))
    p = Program((Input("x", (N, h.size * e.size)),), (split, back), ("y",))
    lines = body(source(p))
    assert "z = x.unflatten(-1, (h, e))" in lines and "y = z.flatten(1)" in lines
    x = torch.randn(2, 6)
    assert torch.equal(load(source(p))(x=x, h=3, e=2), x)


def test_parts_of_a_packed_dimension_are_stacked():
    h = Index("h", N)
    y = Definition("y", (h,), mul(ref("w", 0, h), ref("w", 1, h)))
    p = Program((Input("w", (as_poly(2), N)),), (y,), ("y",))
    text = source(p, adjoint(p))
    assert "w_bar = grad_output * torch.stack((w[1], w[0]), 0)" in text
    w = torch.randn(2, 3, dtype=torch.float64)
    _, grads = load(text)(w=w, grad_output=torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(grads["w"], w.flip(0))


@pytest.mark.parametrize("groups", [2, 3])
def test_grouped_convolutions_stay_grouped(groups):
    """Channels that are read by their digits (``o // O``) make a grouped convolution in each direction."""
    per, c, u = size("o"), size("c"), size("kw")
    batch, q, k = Index("n", N), Index("q", groups * per), Index("k", c)
    place = Index("p", size("W") + 1 - u)
    shift = Index("u", u)
    read = ref("x", i_poly(batch), (i_poly(q) // per) * c + i_poly(k), i_poly(place) + i_poly(shift))
    y = Definition("y", (batch, q, place), summation([k, shift], mul(read, ref("w", q, k, shift))))
    p = Program((Input("x", (N, groups * c, size("W"))), Input("w", (groups * per, c, u))), (y,), ("y",))
    text = source(p, adjoint(p))
    assert f"groups={groups})" in text and "einsum" not in text and "arange" not in text
    x = torch.randn(2, 2 * groups, 7, dtype=torch.float64, requires_grad=True)
    w = torch.randn(4 * groups, 2, 3, dtype=torch.float64, requires_grad=True)
    wanted = torch.nn.functional.conv1d(x, w, groups=groups)
    g = torch.randn_like(wanted)
    value, grads = load(text)(x=x.detach(), w=w.detach(), grad_output=g)
    torch.testing.assert_close(value, wanted.detach())
    for found, right in zip((grads["x"], grads["w"]), torch.autograd.grad(wanted, (x, w), g)):
        torch.testing.assert_close(found, right)


def test_an_extreme_is_taken_where_its_dimension_stands():
    m, k = Index("m", T), Index("k", D)
    top = Definition("top", (n, k), extremum("max", [m], ref("x", n, m, k)))
    place = Definition("place", (n, k), extremum("argmax", [m], ref("x", n, m, k)), kind="int")
    text = source(Program((Input("x", (N, T, D)),), (top, place), ("top", "place")))
    assert "top = x.amax(1)" in text and "place = x.argmax(1)" in text


# -- sizes ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("sizes", [(5, 3, 2), (1, 1, 1), (4, 1, 3)])
def test_every_size_runs(sizes):
    given = linear_inputs(*sizes)
    leaves = {k: v.clone().requires_grad_() for k, v in given.items()}
    loss = torch.nn.functional.mse_loss(
        torch.nn.functional.linear(leaves["x"], leaves["weight"], leaves["bias"]), leaves["target"]
    )
    loss.backward()
    value, grads = load(source(linear_mse(), adjoint(linear_mse())))(**given)
    torch.testing.assert_close(value, loss.detach())
    for name, leaf in leaves.items():
        torch.testing.assert_close(grads[name], leaf.grad)


def test_an_empty_batch_runs_as_in_torch():
    value, grads = load(source(linear_mse(), adjoint(linear_mse())))(**linear_inputs(0, 3, 2))
    assert torch.isnan(value) and grads["x"].shape == (0, 3)
    assert grads["weight"].tolist() == [[0] * 3] * 2 and grads["bias"].tolist() == [0, 0]


@pytest.mark.parametrize(
    "name, shape, words",
    [
        ("weight", (2, 4), ["weight has shape (2, 4)", "(out_features, in_features)", "in_features = 3"]),
        ("x", (5,), ["x has shape (5,)", "expected 2 dimensions", "(N, in_features)"]),
        ("bias", (3,), ["bias has shape (3,)", "out_features = 2"]),
        ("target", (5, 1), ["target has shape (5, 1)", "out_features = 2"]),
    ],
)
def test_a_size_clash_names_the_input(name, shape, words):
    run = load(source(linear_mse(), adjoint(linear_mse())))
    with pytest.raises(ValueError) as e:
        run(**(linear_inputs(5, 3, 2) | {name: torch.zeros(shape)}))
    for w in words:
        assert w in str(e.value)


def test_an_upstream_gradient_of_another_shape_is_refused():
    run = load(source(linear_mse(), adjoint(linear_mse())))
    with pytest.raises(ValueError, match=r"grad_output has shape \(2,\); expected a number"):
        run(**linear_inputs(5, 3, 2), grad_output=torch.ones(2))


def test_the_upstream_gradient_scales():
    run = load(source(linear_mse(), adjoint(linear_mse())))
    _, one = run(**linear_inputs(5, 3, 2))
    _, three = run(**linear_inputs(5, 3, 2), grad_output=torch.tensor(3.0, dtype=torch.float64))
    torch.testing.assert_close(three["weight"], 3 * one["weight"])


def test_a_size_in_a_product_is_solved_for_or_asked_for():
    h, d = size("h"), size("d")
    a, b = Index("a", h), Index("b", d)
    y = Definition("y", (a, b), ref("x", i_poly(a) * d + i_poly(b)))
    alone = source(Program((Input("x", (h * d,)),), (y,), ("y",)))
    assert "def forward(*, x, d, h):" in alone
    assert load(alone)(x=torch.arange(6.0), h=2, d=3).tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(ValueError, match="x"):
        load(alone)(x=torch.arange(6.0), h=2, d=4)
    z = Definition("z", (a, b), mul(ref("x", i_poly(a) * d + i_poly(b)), ref("w", b)))
    solved = source(Program((Input("x", (h * d,)), Input("w", (d,))), (z,), ("z",)))
    assert "h = x.shape[0] // max(d, 1)" in solved
    assert load(solved)(x=torch.ones(6), w=torch.ones(3)).shape == (2, 3)


# -- names and dtypes ------------------------------------------------------------------------------
def test_names_are_identifiers_and_shadow_nothing_that_is_used():
    k = Index("k", size("class"))
    arguments = (Input("max", (k.size,)), Input("x", (k.size,)))
    y = Definition("sum", (k,), mul(ref("max", k), ref("x", k)))
    z = Definition("torch", (), mul(power(size_of(k.size), -1), func("exp", summation([k], ref("sum", k))), ONE))
    text = source(Program(arguments, (y, z), ("torch",)))
    found = load(text)(max=torch.ones(2), x=torch.ones(2))
    torch.testing.assert_close(found, torch.exp(torch.tensor(2.0)) / 2)


@pytest.mark.parametrize("name", ["torch", "lambda", "a.b"])
def test_an_input_that_cannot_be_a_parameter_is_refused(name):
    p = Program((Input(name, (N,)),), (Definition("y", (n,), ref(name, n)),), ("y",))
    with pytest.raises(InputError, match="rename it"):
        source(p)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_dtype_is_kept(dtype):
    causal = Definition("m", (n,), mul(bracket(">=", i_poly(n) - 1), size_of(i_poly(n)), ref("x", n, 0)))
    p = linear_mse()
    p = Program(p.arguments, (*p.definitions, causal), ("loss", "m"), structure="tuple")
    value, grads = load(source(p, adjoint(p)))(
        **linear_inputs(5, 3, 2, dtype=dtype),
        grad_output_0=torch.ones((), dtype=dtype),
        grad_output_1=torch.ones(5, dtype=dtype),
    )
    assert all(t.dtype == dtype for t in (*value, *grads.values()))


def test_integers_as_numbers_do_not_lose_precision():
    y = Definition("y", (n,), mul(ref("x", n), Number(Fraction(1, 3)), size_of(entry("ids", i_poly(n)))))
    p = Program((Input("x", (N,)), Input("ids", (N,), "int")), (y,), ("y",))
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    found = load(source(p))(x=x, ids=torch.tensor([7, 10**6 + 1]))
    torch.testing.assert_close(found, x * torch.tensor([7.0, 1e6 + 1], dtype=torch.float64) / 3, rtol=1e-15, atol=0)


def test_inputs_are_not_changed():
    given = linear_inputs(5, 3, 2)
    before = {k: v.clone() for k, v in given.items()}
    load(source(linear_mse(), adjoint(linear_mse())))(**given)
    assert all(torch.equal(given[k], before[k]) for k in given)


def test_non_contiguous_inputs():
    p = attention()
    run = load(source(p, adjoint(p)))
    q, k, v, g = (torch.randn(3, 5, dtype=torch.float64) for _ in range(4))
    value, grads = run(q=q, k=k, v=v, grad_output=g)
    other, turned = run(**{name: t.t().contiguous().t() for name, t in {"q": q, "k": k, "v": v, "grad_output": g}.items()})
    torch.testing.assert_close(value, other)
    for name in grads:
        torch.testing.assert_close(grads[name], turned[name])


# -- the file ------------------------------------------------------------------------------------------
def test_the_file_needs_torch_alone(tmp_path):
    (tmp_path / "gradients.py").write_text(source(linear_mse(), adjoint(linear_mse()), name="linear"))
    program = (
        "import sys, torch, gradients\n"
        "x = torch.ones(2, 3)\n"
        "v, g = gradients.forward_and_gradients(x=x, weight=torch.ones(1, 3), bias=torch.ones(1), target=torch.zeros(2, 1))\n"
        "assert g['weight'].tolist() == [[8.0, 8.0, 8.0]], g\n"
        "assert 'derivcheck' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, env={"PATH": ""}, timeout=120)


def test_a_traceback_shows_the_generated_line():
    run = load(source(linear_mse()))
    given = linear_inputs(5, 3, 2)
    try:
        run(**(given | {"weight": given["weight"].to(torch.float32)}))
    except RuntimeError:
        assert "y = torch.addmm(bias, x, weight.mT)" in traceback.format_exc()
    else:
        pytest.fail("mixed dtypes ran")


def test_the_same_text_is_the_same_function():
    text = source(linear_mse())
    assert load(text) is load(text)


def test_the_docstring_says_what_and_which_shapes():
    text = source(linear_mse(), adjoint(linear_mse()), name="linear + mse")
    doc = ast.get_docstring(ast.parse(text))
    assert doc is not None and doc.startswith("linear + mse") and "weight: (out_features, in_features)" in doc
    assert "weight_bar[o, i] = sum(n: x[n, i]*y_bar[n, o])" in doc or "weight_bar[o, i] = sum(n: y_bar[n, o]*x[n, i])" in doc


def test_a_text_in_a_name_cannot_leave_the_docstring():
    text = source(linear_mse(), name='x"""\nimport os\n"""')
    assert not any(isinstance(node, ast.Import) and node.names[0].name == "os" for node in ast.walk(ast.parse(text)))


# -- recurrences ------------------------------------------------------------------------------------------
def test_transmittance_is_a_loop_and_its_gradient_the_reverse_loop():
    k = Index("k", T)
    before = i_poly(k) - 1
    earlier = mul(bracket(">=", before), ref("Tr", before), sub(ONE, ref("a", before)))
    light = Definition("Tr", (k,), add(bracket("==", i_poly(k)), earlier))
    y = Definition("y", (), summation([k], mul(ref("Tr", k), ref("a", k))))
    p = Program((Input("a", (T,)),), (light, y), ("y",))
    text = source(p, adjoint(p))
    lines = body(text)
    assert "for k in range(T):" in lines and "for k in reversed(range(T)):" in lines and "if k == 0:" in lines
    for steps in (0, 1, 2, 6):
        a = torch.rand(steps, dtype=torch.float64).requires_grad_()
        wanted = (torch.cat([torch.ones(1, dtype=torch.float64), torch.cumprod(1 - a, 0)])[:-1] * a).sum()
        value, grads = load(text)(a=a.detach())
        torch.testing.assert_close(value, wanted.detach())
        torch.testing.assert_close(grads["a"], torch.autograd.grad(wanted, a)[0])


def test_a_recurrence_over_all_earlier_steps_is_refused():
    k, j = Index("k", T), Index("j", T)
    all_before = summation([j], mul(bracket(">=", i_poly(k) - i_poly(j) - 1), ref("h", j)))
    p = Program((Input("a", (T,)),), (Definition("h", (k,), add(ref("a", k), all_before)),), ("h",))
    with pytest.raises(UnsupportedOperation, match="h"):
        source(p)


def test_negated_programs_and_constants():
    y = Definition("y", (n,), neg(ref("x", n)))
    c = Definition("c", (n, Index("k", as_poly(2))), Number(Fraction(3, 2)))
    value, other = load(source(Program((Input("x", (N,)),), (y, c), ("y", "c"))))(x=torch.ones(2, dtype=torch.float64))
    assert value.tolist() == [-1, -1] and other.dtype == torch.float64 and other.tolist() == [[1.5, 1.5]] * 2


def test_what_is_made_of_an_upstream_that_was_left_out_is_still_a_number() -> None:
    total = Definition("s", (), summation([n, i], ref("x", n, i)))
    mean = Definition("z", (), mul(power(size_of(N), -1), power(size_of(IN), -1), ref("s")))
    program = Program((Input("x", (N, IN)),), (total, mean), ("z",))
    run = load(source(program, adjoint(program)))
    for dtype in (torch.float64, torch.float32):
        value, grads = run(x=torch.ones(4, 2, dtype=dtype))
        assert value == 1
        assert grads["x"].dtype == dtype
        assert torch.equal(grads["x"], torch.full((4, 2), 1 / 8, dtype=dtype))
        assert torch.equal(run(x=torch.ones(4, 2, dtype=dtype), grad_output=torch.tensor(2.0))[1]["x"], 2 * grads["x"])


def test_what_has_no_name_stands_where_it_is_read():
    """The rotation matrix of a quaternion: literal places are picked, and a line says what a line of the user's says."""

    def rotation(q):
        q = q / q.norm(dim=-1, keepdim=True)
        w, x, y, z = q.unbind(-1)
        rows = [
            *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
            *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
            *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
        ]
        return torch.stack(rows, -1).reshape(-1, 3, 3)

    text = dc.derive(rotation, q=torch.randn(5, 4)).source()
    function = text[text.index("def forward_and_gradients") :].split("\n\n\n")[0]
    assert "arange" not in function and "[..., 8]" in function
    assert len(function.splitlines()) <= 60 and max(map(len, text.splitlines())) <= 128
    q = torch.randn(4, 4, dtype=torch.float64, requires_grad=True)
    value, grads = load(text)(q=q.detach(), grad_output=torch.ones(4, 3, 3, dtype=torch.float64))
    torch.testing.assert_close(value, rotation(q).detach())
    torch.testing.assert_close(grads["q"], torch.autograd.grad(rotation(q).sum(), q)[0])


@pytest.mark.parametrize("width", [3, 9])
def test_a_long_statement_ends_its_lines_in_brackets_behind_commas(width):
    entries = [f"{'abcdefgh'[k % 8] * width}_{k} * (alpha_{k} - beta_{k})" for k in range(14)]
    text = f"y = torch.stack(({', '.join(entries)}), -1)"
    lines = wrapped(text)
    assert len(lines) > 1 and max(map(len, lines)) <= 128 and all(line.endswith(",") for line in lines[:-1])
    assert " ".join(line.strip() for line in lines) == text and all(line.startswith("    ") for line in lines[1:])
    assert wrapped("y = torch.stack((a, b), -1)") == ["y = torch.stack((a, b), -1)"]


def test_made_up_names_are_said_in_words_and_the_users_stay():
    """A product, a gate, a part: no ``z_3``; the result, which the code gives no name, is the value."""

    def f(z, left):
        gate = torch.sigmoid(left)
        return (1 - gate) * torch.tanh(z) + gate * torch.tanh(z)

    text = dc.derive(f, z=torch.randn(3, 4), left=torch.randn(3, 4)).source()
    code = text[text.index("def forward") : text.index("def _shape_error")]
    assert not re.search(r"\b(z_\d+|product|total|column)(_\d+)?\b", code)
    assert all(w in code for w in ("tanh_z = torch.tanh(z)  # (N, M)", "one_minus_gate", "gate_bar", "value = "))
    assert set(re.findall(r"# (\(.*\))", code)) == {"(N, M)"}


def test_what_a_call_of_torchs_may_hand_on_is_not_written_into():
    """A spelling may return what it is given; what it is made of stays until its reader has come."""
    j = Index("j", N)
    k = Index("k", size("K"))
    h = Definition("h", (j, k), mul(Number(2), ref("x", j, k)))
    same = Definition("s", (j, k), ref("h", j, k), spelling=Spelling("{}.contiguous()", ("h",)))
    y = Definition("y", (j, k), mul(Number(3), ref("h", j, k), ref("x", j, k)))
    z = Definition("w", (j, k), add(ref("y", j, k), ref("s", j, k)))
    p = Program((Input("x", (N, k.size)),), (h, same, y, z), ("w",))
    x = torch.randn(3, 4, dtype=torch.float64)
    for text in (source(p), lean_source(p, None)):
        torch.testing.assert_close(load(text)(x=x), 6 * x * x + 2 * x)
