"""Every format of the notes says the same; what is said is read back in ``tests/readback``."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from derivcheck.derivation.sweep import adjoint
from derivcheck.notes.pages.document import blocks
from derivcheck.notes.pages.html import to_html
from derivcheck.notes.pages.latex import formula_rows, to_latex
from derivcheck.notes.pages.markdown import to_markdown
from derivcheck.notes.writing.ink import Latex
from tests.readback.brackets import bracketed


def conditions(text: str) -> list[tuple[str, ...]]:
    """The brackets of drawn text: the characters of each side, and the relation."""
    found = []
    for inside in re.findall(r"\[([^\[\]]*[≥≤≠=<>][^\[\]]*)\]", text):
        left, relation, right = re.split("([≥≤≠=<>])", inside, maxsplit=1)
        found.append(("".join(sorted(left)), relation, "".join(sorted(right))))
    return found


def drawn(latex: str) -> str:
    """The characters of LaTeX as they are drawn, as far as brackets go."""
    for old, new in ((r"\le ", "≤"), (r"\ge ", "≥"), (r"\neq", "≠"), (r"\bmod", "mod"), (r"\lfloor", "⌊"), (r"\rfloor", "⌋")):
        latex = latex.replace(old, new)
    return re.sub(r"\\(?!max|min)[a-z]+|[\\{}_^,&\s]", "", latex)


def test_every_format_has_the_same_brackets() -> None:
    count = 0
    for seed in range(12):
        forward = bracketed(seed)
        back = adjoint(forward)
        latex = [" \\\\ ".join(formula_rows(f)) for b in blocks(Latex, forward, back) for f in b.formulas]
        expected = [c for text in latex for c in conditions(drawn(text))]
        assert conditions(drawn(to_latex(forward, back))) == expected
        assert conditions(drawn(to_markdown(forward, back))) == expected
        page = re.findall(r"<math.*?</math>", to_html(forward, back), re.S)
        said = [
            re.sub(r"[\s,]", "", "".join(ElementTree.fromstring(m).itertext())).replace("\N{MINUS SIGN}", "-").replace("′", "'")
            for m in page
        ]
        assert [c for text in said for c in conditions(text)] == expected
        count += len(expected)
    assert count > 30
