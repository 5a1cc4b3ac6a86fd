"""The house: imports run one way, downwards, and siblings do not see each other.

A layer is a room, or several rooms on one line that are blind to each other; a room may import only from rooms on
lines below its own.  Every import counts, also one inside a function or under TYPE_CHECKING.  What is written for
readers of types only (a report in errors.py, a step in the facade) is listed with its reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "derivcheck"

LAYERS = (  # top first
    ("cli",),
    ("training", "pytest_plugin"),
    ("strategies",),
    ("prove",),  # torch code and index text into Programs, then the proof room; a refutation is diagnosed by the check
    ("held",),  # what code holds itself, in a proof
    ("checking",),
    ("diagnosis",),
    ("derive", "derived", "layer"),  # the facade: one room in three files
    ("tracing", "codegen", "notes", "proof"),
    ("operators",),
    ("derivation",),
    ("notation",),
    ("files",),
    ("errors",),
)
ROOMS = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
ONE_ROOM = {frozenset({"derive", "derived"}), frozenset({"derived", "layer"})}
TYPES_ONLY = {("errors", "checking")}  # an exception carries a report; nothing is imported when it runs

LIBRARIES = {
    "torch": {
        "cli",
        "training",
        "pytest_plugin",
        "strategies",
        "checking",
        "diagnosis",
        "prove",
        "held",
        "derive",
        "derived",
        "layer",
        "tracing",
    },
    "sympy": {"notation", "derivation", "proof", "checking", "derived", "cli"},
    "matplotlib": {"training/plots.py", "checking/plot.py"},
}


def room_of(path: Path, package: Path = PACKAGE) -> str:
    """The room that a file stands in: its folder, or its own name."""
    return path.relative_to(package).parts[0].removesuffix(".py")


@cache
def imports(source: str) -> tuple[tuple[int, str, bool], ...]:
    """Each imported module of a source text with its line, and whether types alone need it."""
    return tuple(_imports(source))


def _imports(source: str) -> Iterator[tuple[int, str, bool]]:
    tree = ast.parse(source)
    tests = [(n, n.test) for n in ast.walk(tree) if isinstance(n, ast.If)]
    guards = [n for n, test in tests if isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"]
    typing_only = {id(inner) for guard in guards for inner in ast.walk(guard)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, id(node) in typing_only
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write imports in full, from derivcheck"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}", id(node) in typing_only


def faults(room: str, source: str) -> list[str]:
    """The imports of one file that run upwards or sideways."""
    found = []
    for line, module, typing_only in imports(source):
        parts = module.split(".")
        if parts[0] != "derivcheck" or len(parts) < 2:
            continue
        other = parts[1]
        if other == room or frozenset({room, other}) in ONE_ROOM or (typing_only and (room, other) in TYPES_ONLY):
            continue
        if room == "__init__" or other == "__version__":
            continue
        if other not in ROOMS:
            found.append(f"line {line}: {module} stands in no layer")
        elif ROOMS[other] <= ROOMS[room]:
            where = "beside" if ROOMS[other] == ROOMS[room] else "above"
            found.append(f"line {line}: {room} imports {other}, which stands {where} it")
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_downwards(path: Path) -> None:
    room = room_of(path)
    assert room in ROOMS or room in ("__init__", "__main__"), f"{path.name} stands in no layer: add its room to LAYERS"
    if room in ROOMS:
        assert faults(room, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_is_met_only_in_its_rooms(library: str) -> None:
    strangers = []
    for path in FILES:
        place = path.relative_to(PACKAGE).as_posix()
        if place in LIBRARIES[library] or room_of(path) in LIBRARIES[library]:
            continue
        for line, module, typing_only in imports(path.read_text(encoding="utf-8")):
            if module.split(".")[0] == library and not typing_only:
                strangers.append(f"{place}:{line}")
    assert strangers == []


def test_every_room_is_there() -> None:
    """A misspelt layer would guard nothing."""
    there = {room_of(p) for p in FILES}
    assert {"cli", "training", "checking", "derivation", "notation", "errors"} <= there


@pytest.mark.parametrize(
    ("room", "source", "word"),
    [
        ("notation", "import derivcheck.derivation.sweep", "above"),
        ("codegen", "from derivcheck.tracing.trace import trace", "beside"),
        ("derivation", "def f():\n    from derivcheck.operators import row", "above"),
        (
            "notation",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from derivcheck.checking import report",
            "above",
        ),
        ("training", "from derivcheck.nowhere import x", "no layer"),
        ("errors", "from derivcheck.checking.report import Report", "above"),
    ],
)
def test_the_test_can_fail(room: str, source: str, word: str) -> None:
    assert len(faults(room, source)) == 1
    assert word in faults(room, source)[0]


def test_downward_imports_pass() -> None:
    assert faults("training", "from derivcheck.checking.check import check\nimport derivcheck.errors\nimport torch") == []
