"""What a TARGET on the command line stands for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from derivcheck.cli.inputs import read_constants, read_dims, read_sizes
from derivcheck.cli.target import load_target
from derivcheck.errors import InputError

FILE = """
from __future__ import annotations
import torch
from dataclasses import dataclass

@dataclass
class Thing:
    n: int = 3

def forward(x, w):
    return x @ w.T

class Layer(torch.nn.Module):
    def __init__(self, n=2):
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(n))
    def forward(self, x):
        return x * self.w
"""


def test_a_module_with_arguments() -> None:
    layer = load_target("torch.nn:Linear(3, 2, bias=False)")
    assert (layer.in_features, layer.out_features, layer.bias) == (3, 2, None)


def test_a_module_class_without_arguments_is_made() -> None:
    assert type(load_target("torch.nn:MSELoss")).__name__ == "MSELoss"


def test_a_function_of_a_package() -> None:
    import torch.nn.functional

    assert load_target("torch.nn.functional:softplus") is torch.nn.functional.softplus


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "layers_of_a_test.py"
    path.write_text(FILE)
    before = list(sys.path)
    assert load_target(f"{path}:forward").__name__ == "forward"
    assert load_target(f"{path}:Layer(5)").w.shape == (5,)
    assert load_target(f"{path}:Layer").w.shape == (2,)
    assert sys.path == before


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Linear", "names nothing; expected package.module:name, path/to/file.py:name, or index text with :="),
        ("torch.nn:", "names nothing"),
        ("torch.nn:Linnear(3, 2)", "torch.nn has no 'Linnear'; did you mean 'Linear'?"),
        ("torch.nn:Linear(3)", "Linear cannot be made with these arguments"),
        ("torch.nn:Linear(3, open)", "expected a name with plain values as its arguments"),
        ("torch.nn:Linear(3, 2)(4)", "expected a name"),
        ("torch.nn.functional:relu(3)", "relu is not a class; leave the arguments out"),
        ("torch.nowhere:f", "module 'torch.nowhere' does not import: ModuleNotFoundError"),
        ("no/such/file.py:f", "there is no file no/such/file.py"),
        ("rm -rf:f", "neither a module's name nor a path that ends in .py"),
        ("torch.nn:a b", "'a b' is not a name"),
    ],
)
def test_bad_targets(text: str, sentence: str) -> None:
    with pytest.raises(InputError) as e:
        load_target(text)
    assert sentence in str(e.value) and "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("def f(:\n", "does not import: SyntaxError"),
        ("import nowhere_at_all\n", "does not import: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("from . import other\n", "attempted relative import with no known parent package; name it package.module:name"),
        ("raise SystemExit('bye')\n", "does not import: SystemExit: bye"),
        ("from torch import ones\ngradient = 1\ndef loss(x): return x\n", "has no 'f'; it has loss"),
    ],
)
def test_bad_files(tmp_path: Path, source: str, sentence: str) -> None:
    path = tmp_path / "bad_file_of_a_test.py"
    path.write_text(source)
    with pytest.raises(InputError) as e:
        load_target(f"{path}:f", "--gradient")
    assert sentence in str(e.value) and "--gradient" in str(e.value)


def test_arguments_are_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    with pytest.raises(InputError):
        load_target(f"torch.nn:Linear(__import__('pathlib').Path({str(mark)!r}).touch(), 2)")
    assert not mark.exists()


def test_small_languages() -> None:
    assert read_dims(" x: N in ;\n W: out in;") == {"x": "N in", "W": "out in"}
    assert read_dims("c:") == {"c": ""}
    assert read_dims("") is None and read_constants([]) is None and read_sizes("") == {}
    assert read_constants(["eps=1e-5", "mode='sum'", "flag=None"]) == {"eps": 1e-5, "mode": "sum", "flag": None}
    assert read_sizes("N=4; in=3") == {"N": 4, "in": 3}


@pytest.mark.parametrize(
    ("read", "text", "sentence"),
    [
        (read_dims, "x N in", "--dims: found 'x N in'; expected 'name: sizes'"),
        (read_constants, ["eps"], "--const: found 'eps'; expected NAME=VALUE"),
        (read_constants, ["eps=open('x')"], "expected NAME=VALUE with a plain value"),
        (read_sizes, "N=x", "--sizes: found 'N=x'; expected NAME=NUMBER"),
    ],
)
def test_bad_small_languages(read, text, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError) as e:
        read(text)
    assert sentence in str(e.value)
