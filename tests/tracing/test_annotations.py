"""Dimensions from jaxtyping's annotations."""

# ruff: noqa: F722 - the texts are dimensions, not types

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
import torch

import derivcheck as dc
from derivcheck.tracing.program.annotations import annotated_dims


class Made(type):
    """What ``Float[Tensor, "a b"]`` of jaxtyping is, as far as it is read."""


def of_jaxtyping() -> types.ModuleType:
    """jaxtyping where it is installed, else a stand-in that carries the same attributes."""
    try:
        import jaxtyping  # the stand-in is for where it is missing
    except ImportError:
        jaxtyping = types.ModuleType("jaxtyping")
        Made.__module__ = "jaxtyping"
        for kind in ("Float", "Int", "Bool"):
            setattr(jaxtyping, kind, _Kind(kind))
    return jaxtyping


class _Kind:
    __module__ = "jaxtyping"

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __getitem__(self, item: tuple[Any, str]) -> Any:
        return Made(f"{self.__name__}[Tensor, {item[1]!r}]", (), {"dim_str": item[1]})


jt = of_jaxtyping()
Float, Int, Bool = jt.Float, jt.Int, jt.Bool


def written(x: Float[torch.Tensor, "batch in_features"], W: jt.Float[torch.Tensor, "out in_features"], eps: float = 2.0) -> Any:
    return torch.tanh(x @ W.T) * eps


def made(dims: str, kind: Any = Float) -> Any:
    def f(x: Any) -> Any:
        return x * x

    f.__annotations__ = {"x": kind[torch.Tensor, dims]}
    return f


def test_annotations_that_are_text_and_that_are_made() -> None:
    assert annotated_dims(written) == {"x": "batch in_features", "W": "out in_features"}
    assert annotated_dims(written, ["x"]) == {"W": "out in_features"}
    assert annotated_dims(made("batch in_features")) == {"x": "batch in_features"}


@pytest.mark.parametrize(
    ("dims", "read"), [("", ""), ("n 3", "n 3"), ("n n-1", "n n-1"), ("c=4 _", "4 x_1"), ("2*n", "2*n"), ("N in", "N in")]
)
def test_words_of_jaxtyping(dims: str, read: str) -> None:
    assert annotated_dims(made(dims)) == {"x": read}


def test_kinds() -> None:
    assert annotated_dims(made("N T", Int)) == {"x": "int: N T"} and annotated_dims(made("N", Bool)) == {"x": "bool: N"}


@pytest.mark.parametrize("dims", ["*batch n", "... n", "#n", "?n", "n {k}", "n min(k,"])
def test_what_leaves_the_dimensions_open_is_asked_for(dims: str) -> None:
    with pytest.raises(dc.InputError, match="x is annotated .*; give dims="):
        dc.derive(made(dims))
    assert dc.derive(made(dims), dims={"x": "N"}).wrt == ("x",)


def test_they_stand_where_nothing_else_does() -> None:
    d = dc.derive(written)
    assert d.gradients["W"].dims == ("out", "in_features")
    assert dc.derive(written, dims={"x": "N D", "W": "M D"}).gradients["x"].dims == ("N", "D")
    assert "batch" not in str(dc.derive(written, x=torch.ones(2, 3), W=torch.ones(4, 3)).program.dims("x"))
    assert dc.prove(written, "W_bar[o,i] := 0").status == "refuted"


class Layer(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3, 2)

    def forward(self, x: Float[torch.Tensor, "batch seq 3"]) -> Any:
        return self.linear(x)


def test_of_a_modules_forward() -> None:
    assert [str(p) for p in dc.derive(Layer()).program.dims("x")][:2] == ["batch", "seq"]


def test_annotations_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def f(x: Float[torch.Tensor, open("no such file")]) -> Any:
        return x

    def g(x: torch.Tensor, y: list[int], z: Unknown[Tensor, "a b"]) -> Any:  # type: ignore[name-defined]  # noqa: F821
        return x

    assert annotated_dims(f) == {} and annotated_dims(g) == {} and annotated_dims(torch.sin) == {}
    monkeypatch.setitem(sys.modules, "jaxtyping", None)  # read without it
    assert annotated_dims(written)["x"] == "batch in_features"
