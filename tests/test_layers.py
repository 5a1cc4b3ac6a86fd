"""The house: imports run one way, downwards, and siblings do not see each other.

A layer is a room, or several rooms on one line that are blind to each other; a room may import only from rooms on
lines below its own.  Every import counts, also one inside a function or under TYPE_CHECKING.  What is written for
readers of types only (a report in errors.py, a step in the facade) is listed with its reason.
"""

from __future__ import annotations

import ast
import itertools
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "derivcheck"

LAYERS = (  # top first
    ("cli",),
    ("pytest_plugin",),
    ("audit", "training"),
    ("strategies",),
    ("prove",),  # torch code and index text into Programs, then the proof room; a refutation is diagnosed by the check
    ("checking",),
    ("diagnosis",),
    ("held",),  # what code holds itself, in a proof
    ("claimed",),  # a backward that somebody wrote, traced
    ("derive", "derived", "layer"),  # the facade: one room in three files
    ("tracing", "codegen", "notes", "proof"),
    ("kernels",),  # source that runs nowhere else, as torch functions
    ("operators",),
    ("derivation",),
    ("notation",),
    ("files", "display"),  # what is written to disk, what a notebook shows
    ("errors",),
)
ROOMS = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
ONE_ROOM = {frozenset({"derive", "derived"}), frozenset({"derived", "layer"})}
TYPES_ONLY: set[tuple[str, str]] = set()  # imports that only types need, which may run upwards

LIBRARIES = {
    "torch": {
        "cli",
        "audit",
        "training",
        "pytest_plugin",
        "strategies",
        "checking",
        "diagnosis",
        "prove",
        "held",
        "claimed",
        "derive",
        "derived",
        "layer",
        "tracing",
        "kernels",
    },
    "sympy": {"notation", "derivation", "proof", "checking", "derived", "cli"},
    "matplotlib": {"training/plots.py", "checking/report/plot.py", "notes/explained/picture.py"},
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
each_room = pytest.mark.parametrize("room", sorted({room_of(p) for p in FILES}))


def in_room(room: str) -> dict[str, str]:
    """The sources of a room's files, by their place in the package."""
    return {p.relative_to(PACKAGE).as_posix(): p.read_text(encoding="utf-8") for p in FILES if room_of(p) == room}


@each_room
def test_imports_run_downwards(room: str) -> None:
    assert room in ROOMS or room in ("__init__", "__main__"), f"{room} stands in no layer: add it to LAYERS"
    if room in ROOMS:
        assert {place: found for place, source in in_room(room).items() if (found := faults(room, source))} == {}


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


def listed(page: str) -> tuple[frozenset[str], ...]:
    """The rooms as CONTRIBUTING lists them, a line each."""
    _, _, rest = page.partition("top first; `tests/test_layers.py` holds it:")
    lines = itertools.takewhile(lambda line: line.startswith("    "), rest.strip("\n").splitlines())
    return tuple(frozenset(re.split(r", | \| ", line.strip().split("  ")[0])) for line in lines)


def test_the_rooms_are_listed_as_they_stand() -> None:
    page = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert listed(page) == tuple(frozenset(rooms) for rooms in LAYERS)
    assert listed(page.replace("    held ", "    hold ")) != tuple(frozenset(rooms) for rooms in LAYERS)


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
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from derivcheck.checking.report import report",
            "above",
        ),
        ("training", "from derivcheck.nowhere import x", "no layer"),
        ("errors", "from derivcheck.checking.report.report import Report", "above"),
    ],
)
def test_the_test_can_fail(room: str, source: str, word: str) -> None:
    assert len(faults(room, source)) == 1
    assert word in faults(room, source)[0]


def test_downward_imports_pass() -> None:
    assert faults("training", "from derivcheck.checking.check import check\nimport derivcheck.errors\nimport torch") == []


# -- files -------------------------------------------------------------------------
# Circles of files that still stand, to be cut; the files of one circle on a line, without ".py".  Nothing may be added.
STANDING_CIRCLES: tuple[str, ...] = ()


def name_of(path: Path) -> str:
    """A file as imports name it: ``proof/prover.py`` is ``proof.prover``, and ``proof/__init__.py`` is ``proof``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def graph() -> dict[str, frozenset[str]]:
    """Which files each file imports, from anywhere in it."""
    files = {name_of(p): p for p in FILES}
    found: dict[str, frozenset[str]] = {}
    for name, path in files.items():
        modules = (m.removeprefix("derivcheck.") for _, m, _ in imports(path.read_text(encoding="utf-8")))
        known = (m if m in files else m.rpartition(".")[0] for m in modules)
        found[name] = frozenset(m for m in known if m and m in files) - {name}
    return found


def circles(edges: Mapping[str, Iterable[str]]) -> list[frozenset[str]]:
    """The sets of nodes that reach each other."""
    reach: dict[str, set[str]] = {}
    for node in edges:
        seen, new = set[str](), [node]
        while new:
            more = set(edges.get(new.pop(), ())) - seen
            seen |= more
            new += more
        reach[node] = seen
    round_ = [n for n in edges if n in reach[n]]
    return list({frozenset(m for m in reach[n] if n in reach.get(m, ())) for n in round_})


def among(edges: Mapping[str, Iterable[str]], room: str) -> dict[str, set[str]]:
    """The files and the rooms that stand in a room directly, and which of them import which."""
    start = f"{room}."

    def child(name: str) -> str:
        return name.removeprefix(start).partition(".")[0]

    inside = {n: [m for m in ms if m.startswith(start)] for n, ms in edges.items() if n.startswith(start)}
    found: dict[str, set[str]] = {child(n): set() for n in inside}
    for n, ms in inside.items():
        found[child(n)] |= {child(m) for m in ms} - {child(n)}
    return found


def test_no_circle_of_files() -> None:
    standing = [frozenset(line.split()) for line in STANDING_CIRCLES]
    found = circles(graph())
    assert [sorted(c) for c in found if not any(c <= s for s in standing)] == []
    assert [sorted(s) for s in standing if not any(c <= s for c in found)] == [], "cut: take it off STANDING_CIRCLES"


@pytest.mark.parametrize("room", sorted({n.rpartition(".")[0] for n in map(name_of, FILES) if "." in n}))
def test_rooms_inside_a_room_see_each_other_one_way(room: str) -> None:
    standing = [{n.removeprefix(f"{room}.").partition(".")[0] for n in line.split()} for line in STANDING_CIRCLES]
    assert [sorted(c) for c in circles(among(graph(), room)) if not any(c <= s for s in standing)] == []


def unreasoned(source: str) -> list[int]:
    """The lines of imports inside functions without a comment on the line or the one above."""
    lines = source.splitlines()
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    inner = {n.lineno for f in functions for n in ast.walk(f) if isinstance(n, (ast.Import, ast.ImportFrom))}
    return sorted(n for n in inner if "#" not in lines[n - 1] and not lines[n - 2].lstrip().startswith("#"))


@each_room
def test_an_import_inside_a_function_has_its_reason_beside_it(room: str) -> None:
    found = {place: lines for place, source in in_room(room).items() if (lines := unreasoned(source))}
    assert found == {}, "import at the top, or say in a comment why not"


def test_files_that_are_listed_are_there() -> None:
    there = {name_of(p) for p in FILES}
    assert {n for line in STANDING_CIRCLES for n in line.split()} <= there


def test_the_tests_of_files_can_fail() -> None:
    assert circles({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]}) == [frozenset("abc")]
    assert circles({"a": ["b"], "b": ["c"], "c": []}) == []
    across = {"room.x.a": ["room.y.b"], "room.y.c": ["room.x.d"], "room.y.b": [], "room.x.d": []}
    assert circles(across) == [], "no circle of files"
    assert circles(among(across, "room")) == [frozenset("xy")]
    assert unreasoned("def f():\n    import torch") == [2]
    assert unreasoned("def f():\n    import torch  # slow to load\n    # slow, too\n    import sympy\nimport ast") == []


# -- docstrings --------------------------------------------------------------------
NINE = 9  # lines, the one of ``def`` among them


def undescribed(source: str) -> list[str]:
    """The functions of nine lines or more that do not say in a sentence what they give, or why they are there; methods, too."""
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    long = [f for f in functions if (f.end_lineno or f.lineno) - f.lineno + 1 >= NINE]
    return [f"{f.name}, line {f.lineno}" for f in long if not (ast.get_docstring(f) or "").strip()]


@each_room
def test_a_function_of_nine_lines_has_a_docstring(room: str) -> None:
    mine = [p for p in FILES if room_of(p) == room]
    found = {p.relative_to(PACKAGE).as_posix(): undescribed(p.read_text(encoding="utf-8")) for p in mine}
    assert {p: names for p, names in found.items() if names} == {}


def test_the_test_of_docstrings_can_fail() -> None:
    body = "    x = 1\n" * 7
    eight, nine = f"def f():\n{body}", f"def f():\n{body}    return x\n"
    assert undescribed(eight) == [] and undescribed(nine) == ["f, line 1"]
    assert undescribed(nine.replace("    x = 1", '    """What it gives."""', 1)) == []
    assert undescribed(nine.replace("    x = 1", '    """ """', 1)) == ["f, line 1"], "says nothing"
    inner = "".join(f"    {line}\n" for line in nine.splitlines())
    assert undescribed(f"class A:\n{inner}") == ["f, line 2"]
    assert undescribed(f'def g():\n    """A step."""\n{inner}') == ["f, line 3"]


# -- helpers -----------------------------------------------------------------------
ROOT = PACKAGE.parent


def helpers() -> set[str]:
    """The files of tests/ and benchmarks/ that another of them imports."""
    paths = [p.relative_to(ROOT) for d in ("tests", "benchmarks") for p in (ROOT / d).rglob("*.py")]
    files = {p.with_suffix("").as_posix().replace("/", "."): p.as_posix() for p in paths}
    found: set[str] = set()
    for name, path in files.items():
        for _, module, _ in imports((ROOT / path).read_text(encoding="utf-8")):
            found |= {files[m] for m in (module, module.rpartition(".")[0]) if m in files and m != name}
    return found


def test_mypy_reads_what_tests_and_benchmarks_share() -> None:
    read = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]["files"]
    assert [h for h in sorted(helpers()) if not h.startswith(tuple(read))] == []
    assert [f for f in read if not (ROOT / f).exists()] == []


def class_names(sources: dict[str, str]) -> dict[str, list[str]]:
    """Class names, at the top of a file or inside, that stand in more than one place."""
    found: dict[str, list[str]] = {}
    for path, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(path)
    return {name: places for name, places in found.items() if len(places) > 1}


def test_a_class_name_means_one_thing() -> None:
    assert class_names({str(p): p.read_text(encoding="utf-8") for p in PACKAGE.rglob("*.py")}) == {}
    assert class_names({"a": "class A: ...", "b": "class B:\n class A: ..."}) == {"A": ["a", "b"]}


# -- sizes of functions ------------------------------------------------------------
SIX = 6  # parameters, self and cls left out; more than these travel together and have a name
LONGEST = 55  # lines of a function, its docstring left out
# Signatures that are promised: those of the API, of the command line's options, and of torch itself.  Nothing else.
PROMISED = {
    "checking/check.py": {"check"},
    "checking/gradcheck.py": {"gradcheck"},
    "checking/gradgradcheck.py": {"gradgradcheck"},
    "prove.py": {"prove"},
    "strategies.py": {"inputs"},
    "training/train.py": {"train"},
    "cli/app.py": {"run", "code", "check", "prove", "notes", "audit"},
    "tracing/recording/kernel_shapes.py": {"_recurrent"},  # called with the operator's own arguments
}
# Functions that are longer still, or take more; to be cut.  Nothing may be added.
STANDING = {
    "notation/text/syntax.py": {"_build"},  # a class of short methods inside, since lark is loaded where there is text to read
    "cli/audit.py": {"run_audit"},
}


def is_row(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether it says what an operator means: its parameters are those of torch's schema."""
    return any(isinstance(d, ast.Call) and getattr(d.func, "id", "") == "row" for d in function.decorator_list)


def large(source: str) -> set[str]:
    """The functions of more than six parameters, rows of operators left out, or of more lines than a reader holds."""
    found = set()
    for f in ast.walk(ast.parse(source)):
        if isinstance(f, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names = {a.arg for a in (*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs)} - {"self", "cls"}
            said = f.body[0] if ast.get_docstring(f) is not None else None
            lines = (f.end_lineno or 0) - f.lineno + 1 - (0 if said is None else (said.end_lineno or 0) - said.lineno + 1)
            if len(names) > SIX and not is_row(f) or lines > LONGEST:
                found.add(f.name)
    return found


@each_room
def test_functions_are_short_and_take_few_arguments(room: str) -> None:
    here = in_room(room)
    found = {place: names for place, source in here.items() if (names := large(source) - PROMISED.get(place, set()))}
    standing = {place: names for place, names in STANDING.items() if place in here}
    assert found == standing, "gather what travels together, or split; what was cut leaves STANDING"


def test_the_test_of_sizes_can_fail() -> None:
    assert large("def f(a, b, c, d, e, g): ...") == set() and large("def f(a, b, c, d, e, *, g, h): ...") == {"f"}
    assert large("class A:\n def f(self, a, b, c, d, e, g): ...") == set()
    assert large("@row('x')\ndef f(b, c, d, e, g, h, i): ...") == set()
    body = "    x = 1\n"
    assert large(f"def f():\n{body * 54}") == set() and large(f"def f():\n{body * 55}") == {"f"}
    assert large(f'def f():\n    """{"line" * 9}"""\n{body * 54}') == set()
