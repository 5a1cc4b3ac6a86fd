"""A reproducer brings along what the code under test uses, and fails by its own assertion with torch alone."""

from __future__ import annotations

import linecache
import re
import runpy
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import derivcheck as dc
from derivcheck.checking.check import check, check_at
from derivcheck.checking.reproducing.carry import Carrier
from derivcheck.errors import InputError
from tests.checking import kinds_of_code as kinds

X = torch.randn(2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
WRITTEN = (
    kinds.by_import, kinds.by_alias, kinds.by_helpers_that_call_each_other, kinds.by_constants, kinds.by_another_files_helper,
    kinds.by_another_file, kinds.by_lambda, kinds.pair[1], kinds.by_closure, kinds.by_closure_over_a_lambda, kinds.by_decorator,
    kinds.by_decorator_without_wraps, kinds.by_dataclass, kinds.Backwards(0.5).backward, kinds.Backwards.plain,
    kinds.Backwards.of_class, kinds.Backwards(2.0), kinds.by_partial, kinds.by_attributes, kinds.by_abstract_class,
    kinds.by_generator, kinds.shapeless, kinds.missing,
    kinds.single, kinds.raising, kinds.writing, kinds.too_many, "x_bar[n,m] := 3*grad_output[n,m]",
    "s[n,m] := sigmoid(x[n,m]); x_bar[n,m] := s[n,m]*grad_output[n,m]",
)  # fmt: skip


@pytest.fixture(autouse=True)
def default_type() -> Iterator[None]:
    """A reproducer sets it, as a file of its own may."""
    before = torch.get_default_dtype()
    yield
    torch.set_default_dtype(before)


def fails(text: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What the file prints before its own assertion fails."""
    assert "import derivcheck" not in text and "from derivcheck" not in text
    path = folder / "shows.py"
    path.write_text(text, encoding="utf-8")
    capsys.readouterr()
    with pytest.raises(AssertionError) as error:
        runpy.run_path(str(path), run_name="__main__")
    assert error.traceback[-1].name == "show", error
    said = capsys.readouterr().out
    assert "found" in said and "expected" in said
    assert len(set(re.findall(r"(?:found|expected) ([^,\n]+)", said))) > 1, f"two that differ: {said}"
    return said


def name_of(backward: Any) -> str:
    return str(getattr(backward, "__qualname__", type(backward).__name__ if not isinstance(backward, str) else "text"))


@pytest.mark.parametrize("backward", WRITTEN, ids=name_of)
def test_a_written_backward(backward: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = check_at(kinds.silu, {"x": X}, backward)
    assert report.faulty
    text = report.reproducer()
    assert ("sys.path" in text) is (backward is kinds.by_generator), "the user's file is imported only where it has to be"
    said = fails(text, tmp_path, capsys)
    row = report.failures[0]
    if row.found is not None and backward is not kinds.by_generator:
        assert f"found {row.found:.17g}, expected {row.expected:.17g}" in said, "as in the check, to the last digit"


@pytest.mark.parametrize(("forward", "inputs"), [
    (kinds.Derived, {"x": X}), (kinds.WrongShape, {"x": X}), (kinds.calls_a_function, {"x": X}),
    (kinds.Scaled(3, 2.0), {"x": X}), (torch.nn.Sequential(kinds.Scaled(3, 1.0), torch.nn.LayerNorm(3)), {"input": X}),
], ids=lambda v: name_of(v) if not isinstance(v, dict) else "")  # fmt: skip
def test_a_forward_with_a_wrong_backward_of_its_own(
    forward: Any, inputs: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = check(forward, inputs)
    assert report.faulty
    fails(report.reproducer(), tmp_path, capsys)


def test_a_double_backward(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = check(kinds.Frozen, {"x": X, "scale": 2.0})
    assert [r.name for r in report.failures] == ["x (double backward)"]
    fails(report.reproducer(), tmp_path, capsys)


def test_a_value_that_is_not_what_the_reference_means(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = check(kinds.Derived, {"x": X}, reference=lambda x: torch.tanh(x))
    assert report.failures[0].name == "value"
    fails(report.reproducer(), tmp_path, capsys)


@pytest.mark.parametrize(
    ("forward", "backward", "names"),
    [(kinds.loss, kinds.of_loss, ("outputs", "gradients", "value", "t")), (kinds.outer, kinds.by_outer, ("x", "by_outer"))],
)
def test_inputs_called_as_what_stands_in_the_file(
    forward: Any, backward: Any, names: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = torch.Generator().manual_seed(1)
    data = {n: torch.randn(2, 3, generator=generator, dtype=torch.float64) for n in names}
    report = check_at(forward, data, backward)
    fails(report.reproducer(), tmp_path, capsys)


def test_casts_are_taken_as_in_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = check_at(kinds.casting, {"x": X}, kinds.by_casting)
    row = report.failures[0]
    assert f"found {row.found:.17g}, expected {row.expected:.17g}" in fails(report.reproducer(), tmp_path, capsys)


def stale(grad_output: torch.Tensor, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Keeps what it computed for a place in memory."""
    kept = MEMORY.setdefault((x.data_ptr(), x.shape), torch.cos(x))
    return {"x": grad_output * kept}


def needs_no_grad(grad_output: torch.Tensor, x: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"x": grad_output * torch.cos(x) * (2 if x.requires_grad else 1)}


def writes_a_view(grad_output: torch.Tensor, x: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"x": grad_output.as_strided(x.shape, (x.shape[-1], 1)) * torch.cos(x)}


MEMORY: dict[tuple[int, torch.Size], torch.Tensor] = {}


@pytest.mark.parametrize(
    ("backward", "probe"),
    [(stale, "twice in a row"), (needs_no_grad, "inputs that require a gradient"), (writes_a_view, "non-contiguous upstream")],
    ids=["memory", "leaves", "strides"],
)
def test_the_situation_that_showed_it(
    backward: Callable[..., Any], probe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    MEMORY.clear()
    report = check(torch.sin, {"input": X}, lambda grad_output, input: {"input": backward(grad_output, input)["x"]})
    assert report.failures[0].where.startswith(probe)
    MEMORY.clear()
    fails(report.reproducer(), tmp_path, capsys)


def test_data_too_large_to_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sizes of a module cannot be made smaller."""
    report = check(kinds.Scaled(40, 2.0), {"x": torch.randn(7, 40, dtype=torch.float64)})
    text = report.reproducer()
    assert "stored(" in text and max(map(len, text.splitlines())) < 500
    fails(text, tmp_path, capsys)


@pytest.mark.parametrize("value", [
    torch.randn(30, 40), torch.randn(30, 40).T, torch.randn(9).bfloat16(), torch.randn(700).half(), torch.rand(5, 200) < 0.5,
    torch.arange(900).reshape(30, 30)[3:, 1::2], torch.ones(1, 1).expand(4, 5), torch.tensor([-torch.inf, torch.nan, -0.0]),
    torch.zeros(0, 3), torch.tensor(2), nn.Parameter(torch.ones(2)), {1: (None, ...), "a": [1e-300, True, b"x"]}, {2, 1},
    slice(1, None), range(3), 1j, Fraction(1, 3), torch.float16, torch.device("cpu"), torch.Size([2, 3]), SimpleNamespace(a=1),
    torch.ops.aten.mul.Tensor, torch.ops.aten.mul, np.float32(0.1), np.arange(3), kinds.SETTINGS, kinds.Mode.SUM,
], ids=lambda v: type(v).__name__)  # fmt: skip
def test_values_read_back_as_themselves(value: Any, tmp_path: Path) -> None:
    carrier = Carrier()
    expression = carrier.expression(value)
    (tmp_path / "value.py").write_text(f"{carrier.text()}\nvalue = {expression}\n")
    found = runpy.run_path(str(tmp_path / "value.py"))["value"]
    if isinstance(value, torch.Tensor):
        assert found.dtype is value.dtype and found.shape == value.shape and type(found) is type(value)
        assert torch.equal(found.nan_to_num(7), value.nan_to_num(7)) and torch.equal(found.signbit(), value.signbit())
        assert found.stride() == value.stride() or value.numel() > 600 or not value.numel()
    elif isinstance(value, np.ndarray):
        assert found.dtype == value.dtype and (found == value).all()
    else:
        assert repr(found) == repr(value) and type(found).__name__ == type(value).__name__


@pytest.mark.parametrize(
    "value",
    [iter([1]), torch.Generator(), open, torch, threading.Lock(), torch.ones(2).to_sparse()],
    ids=lambda v: type(v).__name__,
)
def test_values_that_cannot_be_written_are_told(value: Any) -> None:
    if value is open:  # what Python defines, it defines there as well
        assert Carrier().expression(value) == "open"
        return
    with pytest.raises(InputError, match=r"^no reproducer can be written: .*; define what is checked at the top of a file$"):
        Carrier().expression(value)


def test_code_typed_into_a_notebook() -> None:
    """Its source stands in no file, but Python knows it."""
    code = "def typed(grad_output, x):\n    return {'x': grad_output * factor}\n"
    linecache.cache["<input 1>"] = (len(code), None, code.splitlines(True), "<input 1>")
    names: dict[str, Any] = {"__name__": "__main__", "factor": 2.0}
    exec(compile(code, "<input 1>", "exec"), names)
    text = check_at(kinds.silu, {"x": X}, names["typed"]).reproducer()
    assert "factor = 2.0" in text and "def typed(grad_output, x):" in text


def test_code_without_a_source_is_told() -> None:
    names: dict[str, Any] = {}
    exec("def typed_in(grad_output, x):\n    return {'x': grad_output}", names)
    report = check_at(kinds.silu, {"x": X}, names["typed_in"])
    with pytest.raises(InputError) as error:
        report.reproducer()
    assert str(error.value) == (
        "no reproducer can be written: the source of typed_in was not found, as it stands in no file; "
        "define what is checked at the top of a file"
    )


def test_in_a_new_process_with_torch_alone(tmp_path: Path) -> None:
    """derivcheck and the user's files are out of reach there."""
    texts = [check_at(kinds.silu, {"x": X}, b).reproducer() for b in (kinds.by_dataclass, kinds.by_another_file)]
    code = "import sys, runpy\nsys.modules['derivcheck'] = sys.modules['sympy'] = sys.modules['tests'] = None\n"
    for k, text in enumerate(texts):
        (tmp_path / f"shows_{k}.py").write_text(text)
        code += f"try:\n    runpy.run_path('shows_{k}.py', run_name='__main__')\nexcept AssertionError:\n    print('failed')\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.stdout.count("failed") == 2, done.stderr[-600:]


def test_generated_code_that_is_right_has_none() -> None:
    with pytest.raises(ValueError, match="no failure to reproduce"):
        check_at(dc.derive("y[n] := x[n]^2", dims={"x": "N"}), {"x": X[0]}).reproducer()
