"""A fingerprint of code and data changes with everything that the code computes by, and with nothing else."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import derivcheck as dc
from derivcheck.pytest_plugin.fingerprint import Fingerprint
from derivcheck.pytest_plugin.parts import Unsure
from derivcheck.pytest_plugin.surroundings import surroundings

HELPERS = """
SCALE = 2.0
TABLE = {"a": [1, 2.0], "b": (None, "text")}
def scale(x):
    return x * SCALE
def other(x):
    return x
class Config:
    def __init__(self, slope):
        self.slope = slope
CONFIG = Config(0.5)
"""
LAYER = """
import dataclasses, enum, functools, math
import torch
import torch.nn.functional as F
import helpers
from helpers import CONFIG, TABLE, scale

def decorated(f):
    @functools.wraps(f)
    def run(*args):
        return f(*args) * 2
    return run

def plain(x):
    return x * 3
def by_name(x):
    return scale(x)
def by_module(x):
    return helpers.scale(x)
def by_constant(x):
    return x * helpers.SCALE
def by_table(x):
    return x * TABLE["a"][1]
def by_object(x):
    return x * CONFIG.slope
def by_import(x):
    from helpers import scale as inner
    return inner(x)
@decorated
def by_decorator(x):
    return x + 1
def closing(k):
    def f(x):
        return x * k
    return f
def with_default(x, k=scale):
    return k(x)
partial = functools.partial(with_default, k=scale)
def nested(x):
    return (lambda y: scale(y))(x)

class Base:
    slope = 2.0
    def forward(self, x):
        return self.inner(x) * self.slope
    def inner(self, x):
        return x
class Derived(Base):
    def __init__(self, k=1.0):
        self.k = k
    def inner(self, x):
        return scale(x) * self.k
class Slotted:
    __slots__ = ("k",)
    def __init__(self, k):
        self.k = k
    def __call__(self, x):
        return x * self.k
class Fn(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return scale(F.silu(x))
    @staticmethod
    def backward(ctx, g):
        return g * helpers.SCALE
class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 2)
    def forward(self, x):
        return Fn.apply(self.linear(x))
class Colour(enum.Enum):
    RED = 1
    BLUE = 2
@dataclasses.dataclass
class Data:
    k: float = 1.0
    def call(self, x):
        return x * self.k
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "helpers.py").write_text(HELPERS)
    (tmp_path / "layer.py").write_text(LAYER)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name in ("layer", "helpers"):
        sys.modules.pop(name, None)


def loaded() -> ModuleType:
    """The project as a new process would load it."""
    for name in ("layer", "helpers"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return importlib.import_module("layer")


def digest(*values: Any, kinds: bool = False) -> str:
    found = Fingerprint()
    for v in values:
        found.add(v, kinds)
    return found.digest()


SUBJECTS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda m: m.plain,
    "by_name": lambda m: m.by_name,
    "by_module": lambda m: m.by_module,
    "by_constant": lambda m: m.by_constant,
    "by_table": lambda m: m.by_table,
    "by_object": lambda m: m.by_object,
    "by_import": lambda m: m.by_import,
    "by_decorator": lambda m: m.by_decorator,
    "closing": lambda m: m.closing(2.0),
    "with_default": lambda m: m.with_default,
    "partial": lambda m: m.partial,
    "nested": lambda m: m.nested,
    "method": lambda m: m.Derived().forward,
    "instance": lambda m: m.Derived(),
    "slotted": lambda m: m.Slotted(2.0),
    "Fn": lambda m: m.Fn,
    "apply": lambda m: m.Fn.apply,
    "Layer": lambda m: m.Layer,
    "no_grad": lambda m: torch.no_grad()(m.by_name),
    "enum": lambda m: m.Colour.RED,
    "data": lambda m: m.Data().call,
}
CHANGES = {  # what is edited, and whose verdict that must forget
    ("helpers.py", "SCALE = 2.0", "SCALE = 2.5"): {
        "by_name", "by_module", "by_constant", "by_import", "with_default", "partial", "nested", "method", "instance", "Fn",
        "apply", "Layer", "no_grad",
    },
    ("helpers.py", "return x * SCALE", "return x + SCALE"): {
        "by_name", "by_module", "by_import", "with_default", "partial", "nested", "method", "instance", "Fn", "apply", "Layer",
        "no_grad",
    },
    ("helpers.py", "def other(x):\n    return x", "def other(x):\n    return -x"): set(),
    ("helpers.py", '"a": [1, 2.0]', '"a": [1, 3.0]'): {"by_table"},
    ("helpers.py", "CONFIG = Config(0.5)", "CONFIG = Config(0.25)"): {"by_object"},
    ("layer.py", "return x * 3", "return x * 4"): {"plain"},
    ("layer.py", "return f(*args) * 2", "return f(*args) * 3"): {"by_decorator"},
    ("layer.py", "return x + 1", "return x + 2"): {"by_decorator"},
    ("layer.py", "(lambda y: scale(y))", "(lambda y: scale(-y))"): {"nested"},
    ("layer.py", "slope = 2.0", "slope = 2.5"): {"method", "instance"},
    ("layer.py", "return self.inner(x) * self.slope", "return self.inner(-x) * self.slope"): {"method", "instance"},
    ("layer.py", "return scale(x) * self.k", "return scale(x) / self.k"): {"method", "instance"},
    ("layer.py", "self, k=1.0", "self, k=1.5"): {"method", "instance"},
    ("layer.py", "return scale(F.silu(x))", "return scale(F.gelu(x))"): {"Fn", "apply", "Layer"},
    ("layer.py", "return g * helpers.SCALE", "return g"): {"Fn", "apply", "Layer"},
    ("layer.py", "Fn.apply(self.linear(x))", "Fn.apply(-self.linear(x))"): {"Layer"},
    ("layer.py", "RED = 1", "RED = 3"): {"enum"},
    ("layer.py", "k: float = 1.0", "k: float = 2.0"): {"data"},
    ("layer.py", "def plain(x):", "# a comment, which moves lines\n\ndef plain(x):"): set(),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: f"{c[1][:24]}")
def test_an_edit_changes_what_it_reaches_and_nothing_else(change: tuple[str, str, str], project: Path) -> None:
    file, old, new = change
    before = {n: digest(of(loaded())) for n, of in SUBJECTS.items()}
    text = (project / file).read_text()
    assert old in text
    (project / file).write_text(text.replace(old, new, 1))
    after = {n: digest(of(loaded())) for n, of in SUBJECTS.items()}
    assert {n for n in SUBJECTS if before[n] != after[n]} == CHANGES[change]


def test_values_that_are_set_while_it_runs_count(project: Path) -> None:
    m = loaded()
    first = digest(m.by_module), digest(m.by_object), digest(m.Derived)
    m.helpers.SCALE, m.CONFIG.slope, m.Base.slope = 7.0, 7.0, 7.0
    assert all(a != b for a, b in zip(first, (digest(m.by_module), digest(m.by_object), digest(m.Derived))))
    before = digest(m.Fn)
    m.F.silu, kept = m.plain, m.F.silu  # a library's function that is the user's now
    try:
        assert digest(m.Fn) != before
    finally:
        m.F.silu = kept
    assert digest(m.Fn) == before


def test_closures_partials_and_instances_count_with_what_they_hold(project: Path) -> None:
    m = loaded()
    assert digest(m.closing(2.0)) == digest(m.closing(2.0)) != digest(m.closing(3.0))
    assert digest(m.Slotted(1.0)) != digest(m.Slotted(2.0)) and digest(m.Derived(1.0).forward) != digest(m.Derived(2.0).forward)
    assert digest(torch.nn.Linear(3, 2)) != digest(torch.nn.Linear(3, 2, bias=False))
    layer = torch.nn.Dropout(0.5)
    assert digest(layer) != digest(layer.eval())


def test_tensors_by_value_and_by_kind() -> None:
    x = torch.arange(6.0).reshape(2, 3)
    assert digest(x) == digest(x.clone()) != digest(x + 1)
    assert digest(x, kinds=True) == digest(x + 1, kinds=True)
    different = [x.double(), x.T.contiguous().T, x[:1], x.clone().requires_grad_(), torch.nn.Parameter(x.clone())]
    assert len({digest(v, kinds=True) for v in [x, *different]}) == 6
    n = torch.arange(3)
    assert digest(n, kinds=True) != digest(n + 1, kinds=True), "integers count by value"
    assert digest([1.0], kinds=True) != digest([2.0], kinds=True), "numbers too"
    a, b = torch.ones(3), torch.ones(3)
    assert digest([a, a]) != digest([a, b]) and digest([a, a[:]]) != digest([a, b]), "shared memory counts"

    def reads(y: torch.Tensor) -> torch.Tensor:
        return y * x

    before = digest(x, reads, kinds=True)
    x += 1
    assert digest(x, reads, kinds=True) != before, "what code holds counts by value, also where it is an input"


def test_derivations_count_by_their_program() -> None:
    d = dc.derive("y[n] := x[n]^2", dims={"x": "N"})
    before = digest(d)
    d.source(), d.gradients["x"]  # what is computed of it is not it
    assert before == digest(d) == digest(dc.derive("y[n] := x[n]^2", dims={"x": "N"}))
    assert len({before, *(digest(dc.derive(f"y[n] := x[n]^{k}", dims={"x": "N"})) for k in (3, 4))}) == 3


UNSURE = """
import ctypes, os, random, sys, time
import numpy as np
import torch
from os import environ
from torch.utils import cpp_extension
import helpers

def opens(x): return x * float(open("k").read())
def environment(x): return x * float(os.environ["K"])
def environment_by_name(x): return x * float(environ["K"])
def clock(x): return x * time.time()
def chance(x): return x * random.random()
def numpy_chance(x): return x * np.random.rand()
def loads(x): return x * torch.load("k.pt")
def numpy_loads(x): return x * np.load("k.npy")
def custom(x): return torch.ops.mylib.scale(x)
def evaluates(x): return eval("x * 2")
def whole_module(x): return getattr(helpers, "sca" + "le")(x)
def its_globals(x): return globals()["helpers"].scale(x)
def imports(x):
    import helpers as h
    return h.scale(x)
lock = __import__("threading").Lock()
def locked(x):
    with lock:
        return x
generator = torch.Generator()
def generated(x): return x * torch.rand(3, generator=generator)
scripted = torch.jit.script(torch.nn.ReLU())
def called(x): return scripted(x)
class Sub(torch.Tensor): pass
held = torch.ones(2).as_subclass(Sub)
def holds(x): return x * held
hooked = torch.ones(2, requires_grad=True)
hooked.register_hook(lambda g: 2 * g)
def hooks(x): return x * hooked
lib = ctypes.CDLL(None)
def foreign(x): return x * lib.abs(-2)
"""


@pytest.mark.parametrize(
    "name",
    "opens environment environment_by_name clock chance numpy_chance loads numpy_loads custom evaluates whole_module "
    "its_globals imports locked generated called holds hooks foreign".split(),
)
def test_what_cannot_be_followed_is_not_remembered(name: str, project: Path) -> None:
    (project / "layer.py").write_text(UNSURE)
    with pytest.raises(Unsure):
        digest(getattr(loaded(), name))


def test_what_a_module_makes_when_it_is_asked_is_not_remembered(project: Path) -> None:
    (project / "helpers.py").write_text("def __getattr__(name):\n    return lambda x: x * 2\n")
    (project / "layer.py").write_text(
        "import helpers\ndef by_module(x): return helpers.scale(x)\n"
        "def by_import(x):\n    from helpers import scale\n    return scale(x)\n"
    )
    m = loaded()
    for f in (m.by_module, m.by_import):
        with pytest.raises(Unsure, match=r"helpers\.scale, which the module makes when it is asked"):
            digest(f)


REPLACED = [(torch.nn.functional, "linear"), (torch, "einsum"), (torch.nn.Linear, "forward"), (torch.Tensor, "norm")]


@pytest.mark.parametrize(("space", "name"), REPLACED)
def test_a_function_of_torch_that_is_replaced(space: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch itself calls it, no code of the user's names it."""
    surroundings()
    monkeypatch.setattr(space, name, lambda *a: a[0])
    with pytest.raises(Unsure, match=f"{name}, which is not torch's own"):
        surroundings()


def test_a_custom_operator_and_compiled_code_are_not_remembered(tmp_path: Path) -> None:
    @torch.library.custom_op("fingerprinted::twice", mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    with pytest.raises(Unsure, match="custom operator"):
        digest(lambda x: twice(x))
    extension = ModuleType("extension")
    extension.__file__ = str(tmp_path / "extension.so")
    made = type("Compiled", (), {"__module__": "extension", "__call__": lambda self, x: x})
    sys.modules["extension"] = extension
    try:
        with pytest.raises(Unsure, match="extension.Compiled"):
            digest(made())
        with pytest.raises(Unsure, match="compiled"):
            digest(eval("lambda x: extension.f(x)", {"extension": extension}))
    finally:
        del sys.modules["extension"]


def test_the_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [surroundings()]
    torch.set_default_dtype(torch.float64)
    found.append(surroundings())
    torch.set_default_dtype(torch.float32)
    for switch in (torch.use_deterministic_algorithms, lambda on: setattr(torch.backends.cuda.matmul, "allow_tf32", on)):
        switch(True)
        found.append(surroundings())
        switch(False)
    with torch.no_grad():
        found.append(surroundings())
    with torch.autocast("cpu"):
        found.append(surroundings())
    for name, value in (("OMP_NUM_THREADS", "7"), ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")):
        monkeypatch.setenv(name, value)
        found.append(surroundings())
    assert len(set(found)) == len(found)
    again = surroundings()
    monkeypatch.setenv("UNRELATED", "1")
    assert surroundings() == again
    torch.backends.cuda.matmul.fp32_precision = "none"  # as it was before allow_tf32 was set
    assert surroundings() != again
    hook = torch.nn.modules.module.register_module_forward_hook(lambda *_: None)
    with pytest.raises(Unsure, match="a hook on all modules"):
        surroundings()
    hook.remove()
    with torch.device("meta"), pytest.raises(Unsure, match="mode"):
        surroundings()
