"""Every format of the notes says the same; what is said is read back in ``tests/readback``."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from derivcheck.derivation.sweep import adjoint
from derivcheck.notation.text.latex.tokens import tokens
from derivcheck.notation.text.parse import parse_program
from derivcheck.notes.pages.breaks import broken, width
from derivcheck.notes.pages.document import blocks
from derivcheck.notes.pages.html import to_html
from derivcheck.notes.pages.latex import to_latex
from derivcheck.notes.pages.markdown import to_markdown
from derivcheck.notes.pages.rows import formula_rows, one_line
from derivcheck.notes.pages.style import Style
from derivcheck.notes.writing.ink import Latex
from tests.notes.programs import LONG
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
        assert conditions("".join(said)) == expected  # a bracket may go on in the next row
        count += len(expected)
    assert count > 30


@pytest.mark.parametrize("style", ["index", "matrix"])
@pytest.mark.parametrize("text", LONG)
def test_a_long_line_breaks_within_its_brackets_and_reads_the_same(text: str, style: str) -> None:
    forward = parse_program(text)
    back = adjoint(forward)
    cut = 0
    for block in blocks(Latex, forward, back, Style(style)):
        for f in block.formulas:
            rows = formula_rows(f)
            assert all(width(r) < 95 for r in rows)
            if r"\frac{1}" not in " ".join(rows):  # a long quotient is written so
                drawn, whole = ([t.text for t in tokens(x) if t.text != r"\cdot"] for x in (one_line(f), f.line()))
                assert drawn == whole
            cut += len(rows) > 1
            for r in rows:
                assert r.count(r"\left") == r.count(r"\right"), r
    assert cut


def test_what_a_root_holds_together_is_not_cut_and_a_long_quotient_is_written_beside_one() -> None:
    root = rf"\sqrt{{{' + '.join('abcdefgh' * 9)}}}"
    assert broken(root) == [root]
    assert broken("a b") == ["a b"]
    long = rf"{' '.join('abcdefgh' * 8)} \left(x + y\right) {' '.join('abcdefgh' * 8)}"
    assert [p[:5] for p in broken(long)] == ["a b c", r"\cdot"]
    above = f"{' '.join('abcdefgh' * 5)} + {' '.join('abcdefgh' * 5)}"
    assert " ".join(broken(rf"c \frac{{{above}}}{{2 n}}")) == rf"c \frac{{1}}{{2 n}} \bigl({above}\bigr)"
