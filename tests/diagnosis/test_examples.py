"""Each family of mistakes comes with a wrong and a right backward: the right one is right, the wrong one is named."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import derivcheck.diagnosis
from derivcheck.diagnosis.diagnose import FAMILIES, diagnose
from derivcheck.diagnosis.guess import Example
from derivcheck.diagnosis.scene import Scene
from tests.diagnosis.examples import example_case

MODULES = [
    importlib.import_module(f"derivcheck.diagnosis.{m.name}") for m in pkgutil.iter_modules(derivcheck.diagnosis.__path__)
]
EXAMPLES = {f"{m.__name__.rsplit('.')[-1]}-{k}": e for m in MODULES for k, e in vars(m).items() if isinstance(e, Example)}


def test_every_family_has_an_example() -> None:
    assert {f.__module__.rsplit(".")[-1] for f in FAMILIES} <= {n.split("-")[0] for n in EXAMPLES}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_right_backward_is_right(name: str) -> None:
    example = EXAMPLES[name]
    case = example_case(example, example.right)
    assert not Scene(case).wrong
    assert diagnose(case) is None


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_wrong_backward_is_named(name: str) -> None:
    example = EXAMPLES[name]
    found = diagnose(example_case(example, example.wrong))
    assert found is not None and example.says in found.sentence, found
