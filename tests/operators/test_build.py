"""The Builder and the registration of rows: names, indices, broadcasting, what melts, what is refused and in which words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.integers.polynomials import as_poly, i_poly, size
from derivcheck.notation.terms.build import ONE, ZERO, func, mul, neg
from derivcheck.notation.terms.nodes import Bracket, Number
from derivcheck.operators.language import row as rows_file
from derivcheck.operators.language.build import Builder, KnownResults
from derivcheck.operators.language.row import apply, find, row
from derivcheck.operators.language.values import Value, broadcast_dims, where
from derivcheck.operators.language.values import test as holds

N, M, T = size("N"), size("M"), size("T")


def run(name: str, *args: Any, builder: Builder | None = None, **kwargs: Any) -> tuple[Builder, Any]:
    b = builder or Builder(["x", "y"], ["N", "M", "T"])
    hints = kwargs.pop("hints", ())
    found = find(name)
    assert found is not None
    return b, apply(found, b, args, kwargs, KnownResults(hints=hints, place="user.py:3"), name)


def test_a_definition_bears_the_name_of_the_users_variable_and_its_place() -> None:
    b, y = run("aten.tanh.default", Value("x", (N,)), hints=["h"])
    assert y.name == "h" and b.definitions[0].name == "h"
    assert b.definitions[0].rule == "tanh" and b.definitions[0].place == "user.py:3"


def test_names_are_unique_and_never_those_of_functions_sizes_or_keywords() -> None:
    b = Builder(["x"], ["N"])
    found = [b.unique(h) for h in ("x", "x", "exp", "N", "lambda", "torch", "2nd", "a.b")]
    assert found == ["x_1", "x_2", "exp_1", "N_1", "lambda_1", "torch_1", "z_2nd", "a_b"]


@given(
    st.lists(st.sampled_from(["N", "in", "out", "T", "h", "d", "kh", "C"]), min_size=1, max_size=6),
    st.sets(st.sampled_from("nitoekc")),
)
def test_indices_are_distinct_and_clash_with_no_size_and_no_tensor(names: list[str], taken: set[str]) -> None:
    b = Builder(taken, names)
    found = b.indices([size(n) for n in names])
    letters = [i.name for i in found]
    assert len(set(letters)) == len(letters)
    assert not set(letters) & (set(names) | taken)
    assert [i.size for i in found] == [size(n) for n in names]


def test_broadcasting_reads_position_0_of_a_dimension_of_size_1() -> None:
    b, _ = run("aten.add.Tensor", Value("x", (N, as_poly(1))), Value("y", (M,)))
    assert str(b.definitions[0].term) == "x[n, 0] + y[m]"
    assert broadcast_dims((N, as_poly(1)), (as_poly(1), M), (M,)) == (N, M)


def test_what_is_known_without_a_tensor_melts_into_its_use() -> None:
    b = Builder(["x"], ["N"])
    _, k = run("aten.arange.default", N, builder=b)
    assert k.kind == "int" and k.entry(as_poly(3)) is as_poly(3)
    _, mask = run("aten.ge.Tensor", Value("t", (N,), "int"), k, builder=b)
    assert str(mask[as_poly(0)]) == "[t[0] >= 0]"


def test_a_transpose_melts_unless_the_user_names_it() -> None:
    _, y = run("aten.t.default", Value("x", (N, M)))
    assert str(y[as_poly(0), as_poly(1)]) == "x[1, 0]"
    _, named = run("aten.t.default", Value("x", (N, M)), hints=["xT"])
    assert str(named[as_poly(0), as_poly(1)]) == "xT[0, 1]"


def test_a_held_view_is_a_definition_through_which_no_gradient_flows() -> None:
    b, y = run("aten.t.default", Value("x", (N, M)))
    held = b.held("fixed", y)
    assert held.name == "fixed" and b.definitions[-1].stop


def test_an_integer_sum_stays_a_position() -> None:
    _, y = run("aten.add.Tensor", Value("ids", (N,), "int"), 1)
    assert str(y.entry(as_poly(0))) == "ids[0] + 1"


def test_a_choice_selects_where_several_conditions_meet() -> None:
    i = Builder().index(N)
    one, two = Bracket(">=", i_poly(i) - 1), Bracket(">=", M - i_poly(i))
    text = str(where(mul(one, two), ONE, neg(func("inf"))))
    assert "(1 - " not in text and text.count("inf") == 2  # never a difference times an infinity


@pytest.mark.parametrize("value", [0, 1, -1])
def test_conditions_on_numbers_are_decided(value: int) -> None:
    assert holds(">", Number(value), ZERO) is (ONE if value > 0 else ZERO)


def test_the_sizes_of_a_result_are_spelled_as_they_are_known() -> None:
    b = Builder(["x"], ["N", "M"])
    found = find("aten.unfold.default")
    assert found is not None
    y = apply(found, b, [Value("x", (N,)), 0, 3, 2], {}, KnownResults([(M, as_poly(3))]), "aten.unfold.default")
    assert isinstance(y, Value) and y.dims == (M, as_poly(3)) and b.definitions[-1].dims == y.dims


def test_words_of_a_refusal() -> None:
    with pytest.raises(
        UnsupportedOperation, match=r"aten\.dropout\.default at user\.py:3 cannot be derived: it draws a random mask"
    ):
        run("aten.dropout.default", Value("x", (N,)), 0.5, True)


def test_words_for_arguments_that_a_row_does_not_know() -> None:
    with pytest.raises(UnsupportedOperation, match=r"aten\.tanh\.default at user\.py:3 .*does not know these arguments"):
        run("aten.tanh.default", Value("x", (N,)), wrong=1)


def test_a_row_is_registered_once_and_never_for_a_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_file, "_rows", dict(rows_file.rows()))

    def means(b: Builder, x: Value) -> Value:
        """z[*n] = x[*n]"""
        return x

    row("mylib.once.default")(means)
    with pytest.raises(ValueError, match="mylib.once.default' has a row already"):
        row("mylib.once.default")(means)
    with pytest.raises(ValueError, match="expected namespace.operator.overload, for example mylib.relu.default"):
        row("relu")(means)
    with pytest.raises(ValueError, match="a row says what a forward means; a backward is derived"):
        row("mylib.relu_backward.default")(means)


def test_every_row_says_in_words_what_it_means() -> None:
    without = [n for n, r in rows_file.rows().items() if not r.refused and not r.text]
    assert not without


def test_unknown_operators_have_no_row() -> None:
    assert find("aten.no_such_thing.default") is None
    assert find("aten.permute_copy.default") is find("aten.permute.default")
