"""``import derivcheck`` and ``derivcheck --help`` load none of torch, SymPy and matplotlib."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "sympy", "matplotlib", "numpy")
REPORT = f"import sys; print([m for m in {HEAVY!r} if m in sys.modules])"


def loaded_after(code: str) -> str:
    """The heavy libraries that a fresh Python has loaded after it ran the code."""
    done = subprocess.run([sys.executable, "-c", f"{code}\n{REPORT}"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


HELP = """
from derivcheck.cli import main
sys_argv = {argv!r}
import sys
sys.argv = sys_argv
try:
    main()
except SystemExit as stop:
    assert stop.code in (0, None), stop.code
"""


@pytest.mark.parametrize(
    "code",
    [
        "import derivcheck",
        "import derivcheck; dir(derivcheck)",
        "import derivcheck; derivcheck.UnsupportedOperation, derivcheck.GradientMismatch",
        HELP.format(argv=["derivcheck", "--help"]),
        HELP.format(argv=["derivcheck", "run", "--help"]),
        HELP.format(argv=["derivcheck", "--version"]),
    ],
)
def test_light(code: str) -> None:
    assert loaded_after(code) == "[]"


@pytest.mark.parametrize("library", HEAVY)
def test_the_test_can_fail(library: str) -> None:
    assert library in loaded_after(f"import derivcheck, {library}")


def test_public_names_survive_the_import_of_their_modules() -> None:
    """Importing the module derivcheck.derive does not hide the function of the same name."""
    code = (
        "import derivcheck.derive, derivcheck\nassert callable(derivcheck.derive)\n"
        "from derivcheck.derive import derive\nassert derive is derivcheck.derive"
    )
    loaded_after(code)


def test_every_public_name_resolves() -> None:
    import derivcheck

    for name in derivcheck.__all__:
        assert getattr(derivcheck, name) is not None


def test_an_unknown_name_lists_the_known_ones() -> None:
    import derivcheck

    with pytest.raises(AttributeError, match="derivcheck has no 'gradient'; it has derive"):
        derivcheck.gradient  # noqa: B018
