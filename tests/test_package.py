"""What is shipped: the wheel and the source distribution, built from a checkout that has been used."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEFT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "derivcheck-out", "*.pyc")
BUILD = "from setuptools import build_meta as b; b.build_wheel('dist'), b.build_sdist('dist'), b.build_editable('editable')"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, as ``make run`` leaves it, with what was built in it."""
    pytest.importorskip("setuptools", minversion="77")
    checkout = tmp_path_factory.mktemp("built") / "checkout"
    shutil.copytree(ROOT, checkout, ignore=LEFT)
    (checkout / "derivcheck-out").mkdir()
    (checkout / "derivcheck-out" / "gradients.py").write_text("")
    for folder in ("dist", "editable"):
        (checkout / folder).mkdir()
    done = subprocess.run([sys.executable, "-c", BUILD], cwd=checkout, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return checkout


def in_wheel(file: Path) -> list[str]:
    with zipfile.ZipFile(file) as wheel:
        return wheel.namelist()


def one(built: Path, pattern: str) -> Path:
    (found,) = built.glob(pattern)
    return found


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    files = (p.relative_to(ROOT) for p in (ROOT / "derivcheck").rglob("*") if p.is_file())
    package = {str(p) for p in files if "__pycache__" not in p.parts}
    names = in_wheel(one(built, "dist/*.whl"))
    assert {n for n in names if ".dist-info/" not in n} == package
    assert {"derivcheck/py.typed", "derivcheck/notation/text/grammar.lark"} <= package


def test_the_source_distribution_has_what_belongs_to_it(built: Path) -> None:
    with tarfile.open(one(built, "dist/*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "Makefile",
        "README.md",
        "constraints.txt",
        "docs/coverage.md",
        "docs/index-text.md",
        "examples/layers.py",
        "benchmarks/README.md",
        "tests/test_package.py",
    } <= names
    assert not any(n.startswith("derivcheck-out") or "__pycache__" in n for n in names)


def test_the_page_of_the_package_has_no_dead_link(built: Path) -> None:
    with zipfile.ZipFile(one(built, "dist/*.whl")) as wheel:
        (name,) = (n for n in wheel.namelist() if n.endswith("METADATA"))
        page = wheel.read(name).decode()
    targets = re.findall(r"\]\(([^)]*)\)", page)
    assert [t for t in targets if not t.startswith("https://")] == []
    assert "`docs/index-text.md`" in page and page.count("# derivcheck") == 1


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md", "docs/index-text.md"])
def test_links_in_the_repository_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", (ROOT / page).read_text(encoding="utf-8"))
    assert [t for t in targets if not ((ROOT / page).parent / t).exists()] == []


def test_an_editable_install_is_a_path_that_type_checkers_follow(built: Path) -> None:
    with zipfile.ZipFile(one(built, "editable/*.whl")) as wheel:
        (name,) = (n for n in wheel.namelist() if n.endswith(".pth"))
        path = Path(wheel.read(name).decode().strip())
    assert path.samefile(built) and (path / "derivcheck" / "py.typed").exists()


def test_the_notebooks_run_the_same_code_in_both_languages() -> None:
    books = [json.loads((ROOT / "examples" / n).read_text(encoding="utf-8")) for n in ("tutorial.ipynb", "教程.ipynb")]
    english, chinese = ([(c["cell_type"], c["cell_type"] == "code" and c["source"]) for c in b["cells"]] for b in books)
    assert english == chinese and len(english) > 20
    for cell in (c for b in books for c in b["cells"] if c["cell_type"] == "code"):
        assert not cell["metadata"], "nothing that changes with the day"
        assert not any(o["output_type"] in ("error",) or o.get("name") == "stderr" for o in cell["outputs"])
