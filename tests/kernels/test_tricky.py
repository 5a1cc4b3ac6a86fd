"""What a reader of C++ stumbles over: read as g++ reads it, or refused with the line and what it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import derivcheck as dc
from derivcheck.errors import DerivcheckError
from tests.kernels.witness import CLOSE, apart, compiled, drawn, needs_gxx

FOLDER = Path(__file__).parent


def sections(file: str) -> dict[str, str]:
    """The texts of a file by their titles."""
    parts = re.split(r"^// === (.*)\n", (FOLDER / file).read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


@needs_gxx
@pytest.mark.parametrize("real", CLOSE)
def test_what_is_tricky_is_read_as_the_compiler_reads_it(real: str, tmp_path: Path) -> None:
    found, text = [], ""
    for name, part in sections("tricky.cu").items():
        own = re.sub(r"\bf\(", f"{name}_f(", part)
        found.append(dc.cuda(own, f"{name}_f"))
        text += f"namespace of_{name} {{\n{own}}}\n"
    assert len(found) >= 90
    library = compiled(found, text, tmp_path, real)
    bad = {f.name: [*apart(f, library, real, drawn(f, 12)), *apart(f, library, real, drawn(f, 12, True))] for f in found}
    assert {n: b for n, b in bad.items() if b} == {}


REFUSED = {
    name: (words, text) for (name, words), text in ((t.split(": ", 1), x) for t, x in sections("tricky_refused.cu").items())
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_open_is_refused_with_its_line(name: str) -> None:
    words, text = REFUSED[name]
    with pytest.raises(DerivcheckError, match=re.escape(words)):
        _ = dc.cuda(text, "f").outputs
