"""Notes: valid LaTeX and HTML, the tutorial's formulas, and matrices that mean what the index sums mean."""

from __future__ import annotations

import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from latex2mathml.converter import convert

import derivcheck as dc
from derivcheck.derivation.sweep import adjoint
from derivcheck.errors import InputError
from derivcheck.notation.text.parse import parse_program
from derivcheck.notes.pages.formulas import steps
from derivcheck.notes.pages.html import to_html, to_html_piece
from derivcheck.notes.pages.latex import gradient_latex, to_latex
from derivcheck.notes.pages.markdown import to_markdown
from derivcheck.notes.pages.style import Style
from derivcheck.notes.pages.unicode import derivation_text, formula_lines, shape_text
from derivcheck.notes.writing.steps import Formula
from tests.notes.programs import ALL, linear, pair

STYLES = ("index", "matrix", "scalar")


def well_formed(latex: str) -> None:
    """Braces, ``\\left``/``\\right`` and environments close, and no letter has two superscripts or subscripts."""
    assert latex.count(r"\left") - latex.count(r"\leftarrow") == latex.count(r"\right") - latex.count(r"\rightarrow")
    tokens = re.findall(r"\\[A-Za-z]+|\\.|[{}^_']|[^\s\\{}^_']", latex)
    marks: list[set[str]] = [set()]
    after_mark = False
    for t in tokens:
        if t in ("^", "_", "'"):
            kind = "^" if t == "'" else t
            assert kind not in marks[-1] or (t == "'" and kind in marks[-1] and not after_mark), f"double {t} in {latex}"
            if t != "'":
                marks[-1].add(kind)
                after_mark = True
            continue
        if t == "{":
            marks.append(set())
            if not after_mark:
                marks[-2].clear()
            after_mark = False
        elif t == "}":
            assert len(marks) > 1, f"a brace too many in {latex}"
            marks.pop()
        else:
            if not after_mark:
                marks[-1].clear()
            after_mark = False
    assert len(marks) == 1, f"an open brace in {latex}"
    tree = ElementTree.fromstring(convert(latex))
    said = "".join(tree.itertext())
    assert "\\" not in said, f"a command that is not drawn: {said}"


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("style", STYLES)
def test_every_formula_is_valid(name: str, style: str) -> None:
    forward, back = ALL[name]()
    for lang in ("en", "zh"):
        well_formed(to_latex(forward, back, Style(style, lang=lang)))


@pytest.mark.parametrize("name", ALL)
def test_steps(name: str) -> None:
    forward, back = ALL[name]()
    found = steps(forward, back)
    assert [s.defines for s in found] == [d.name for d in back.definitions if d.name not in forward.names]
    for s in found:
        well_formed(s.latex)
        assert s.text.startswith("∂") and " = " in s.text
        well_formed(gradient_latex(forward, back, s.name))


def test_the_tester_of_latex() -> None:
    for wrong in (r"x^2^3", r"x_{1}_2", r"\frac{a}{b", r"\left(x", r"a}b", r"x^{(n)}_1^2"):
        with pytest.raises((AssertionError, Exception)):
            well_formed(wrong)
    well_formed(r"x^{(n)}_1 + \hat{y}_{n'}^2")


def squeezed(latex: str) -> str:
    return re.sub(r"\s+", " ", latex)


def test_the_tutorial_at_each_of_its_shapes() -> None:
    forward, back = linear()
    expected = {
        (1, 1): [r"\hat{y} &= w x + b"],
        (1, 2): [r"\hat{y}_1 &= w_{11} x + b_1", r"\hat{y}_2 &= w_{21} x + b_2"],
        (2, 1): [r"\hat{y} &= w_1 x_1 + w_2 x_2 + b"],
        (2, 2): [r"\hat{y}_1 &= w_{11} x_1 + w_{12} x_2 + b_1", r"\hat{y}_2 &= w_{21} x_1 + w_{22} x_2 + b_2"],
        (2, 3): [r"\hat{y}_3 &= w_{31} x_1 + w_{32} x_2 + b_3"],
    }
    for (inner, outer), lines in expected.items():
        text = squeezed(to_latex(forward, back, Style("scalar", sizes={"in": inner, "out": outer})))
        for line in lines:
            assert line + r" \\" in text
        assert r"\sum_{n=1}^{N}" in text
        assert text.count(r"}{\partial w") == inner * outer and text.count(r"}{\partial b") == outer
    one = squeezed(to_latex(forward, back, Style("scalar", sizes={"in": 1, "out": 1})))
    residual = r"\left(\hat{y}^{(n)} - y^{(n)}\right)"
    assert rf"\frac{{2}}{{N}} \sum_{{n=1}}^{{N}} {residual} x^{{(n)}}" in one
    assert r"\mathcal{L} &= \frac{1}{N} \sum_{n=1}^{N}" in one


def test_index_and_matrix_forms_of_the_main_job() -> None:
    forward, back = linear()
    index = squeezed(to_latex(forward, back))
    assert (
        r"\frac{\partial \mathcal{L}}{\partial \hat{y}_{nj}} &= \frac{2}{N\,\mathrm{out}} \left(\hat{y}_{nj} - y_{nj}\right)"
        in index
    )
    assert r"\frac{\partial \mathcal{L}}{\partial W_{jk}} &=" in index
    matrix = squeezed(to_latex(forward, back, Style("matrix")))
    assert r"\hat{Y} &= X W^{\top} + \mathbf{1} b^{\top}" in matrix
    assert r"\frac{2}{N\,\mathrm{out}} \left(\hat{Y} - Y\right)^{\top} X" in matrix
    assert "grad_output" not in index + matrix and r"\text{(" not in matrix


def test_what_has_no_matrix_form_says_so() -> None:
    for name in ("scan", "gather"):
        forward, back = ALL[name]()
        assert r"\text{(in indices)}" in to_latex(forward, back, Style("matrix"))
        assert to_latex(forward, back, Style("matrix"), full=True).count("no matrix form was found") == 1
        assert "没有矩阵形式" in to_latex(forward, back, Style("matrix", lang="zh"), full=True)
    assert "no matrix form" not in to_latex(*linear(), style=Style("matrix"), full=True)


def test_labels_sizes_and_zeros_print_plainly() -> None:
    forward, back = pair("y_2[n,c] := x[n,c]*w[n,c]", {"x": "N C", "w": "N C"})
    assert r"\bar{\mathit{y\_2}}_{nc} w_{nc}" in to_latex(forward, back)
    assert r"\bar{\mathit{y\_2}} \odot W" in to_latex(forward, back, Style("matrix"))
    forward, back = linear()
    assert r"\frac{1}{N} \left(\hat{y}^{(n)}_1" in squeezed(to_latex(forward, back, Style("scalar", sizes={"in": 1, "out": 2})))
    assert "𝟏" in to_html(forward, back, Style("matrix"))


def test_names_print_apart() -> None:
    forward, back = ALL["names"]()
    heads = [s.latex.split(" = ")[0] for s in steps(forward, back)]
    assert len(set(heads)) == len(heads)
    text = to_latex(forward, back)
    assert r"\mathit{rstd\_long}" in text and r"\alpha" in text
    assert "W_{n}" not in text and r"w_n" in text  # weight, of one dimension, beside the tensor W


def test_positions_that_count_from_zero() -> None:
    forward, back = ALL["scan"]()
    text = to_latex(forward, back)
    assert r"\sum_{k=0}^{K - 1}" in text and r"\left[k = 0\right]" in text
    assert "Indices start at 0" in derivation_text(forward, back)
    assert r"\sum_{n=1}^{N}" in to_latex(*linear())


@pytest.mark.parametrize("name", ALL)
def test_the_terminal_holds_eighty_columns(name: str) -> None:
    forward, back = ALL[name]()
    text = derivation_text(forward, back)
    shown = shape_text(forward, back, dict.fromkeys(forward.sizes(), 3))
    for line in (text + "\n" + shown).splitlines():
        assert len(line) <= 80, line
    assert text.count("(") == text.count(")") and text.count("[") == text.count("]")


def test_no_line_breaks_inside_an_index() -> None:
    left = ("z[a_long_name[k + 1] + another_long_name[k + 2],"
            "a_long_name[k + 1] - another_long_name[k + 2]]")  # fmt: skip
    lines = formula_lines(Formula("y[k]", ((f"{left} · {left} + {left}",),)))
    assert len(lines) == 3 and all(line.count("[") == line.count("]") for line in lines), lines
    assert lines[1].lstrip().startswith("· ") and lines[2].lstrip().startswith("+ ")
    text = "y[k] := sum(j: x[k + 2*j,k - 2*j]*w[k + 3*j,k - 3*j]*v[k + 4*j,k - 4*j])*[k + 2*j0 >= 0]"
    f = parse_program(text.replace("*[k + 2*j0 >= 0]", ""), {"x": "N M", "w": "N M", "v": "N M"})
    for line in derivation_text(f, adjoint(f)).splitlines():
        assert line.count("[") == line.count("]") and len(line) <= 80, line


def test_the_terminal_at_the_tutorials_shape() -> None:
    forward, back = linear()
    text = derivation_text(forward, back)
    assert "∂L/∂W[j,k]" in text and "= 2/(N·out) · Σ_n (ŷ[n,j] - y[n,j]) · x[n,k]" in text
    assert "for every size (N, in, out)" in text
    shown = shape_text(forward, back, {"N": 100, "in": 1, "out": 1})
    assert shown.startswith("At (N, in, out) = (100, 1, 1)")
    assert "∂L/∂W = 0.02 · Σ_n (ŷ[n] - y[n]) · x[n]" in shown
    assert "∂L/∂b = 0.02 · Σ_n (ŷ[n] - y[n])" in shown


class Page(HTMLParser):
    """What a page holds: open tags, addresses, headings."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.names: list[str] = []
        self.count: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href")]
        self.names += [v or "" for k, v in attrs if k == "id"]
        if tag not in ("meta", "mo", "mi"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("meta", "mo", "mi"):
            assert self.open.pop() == tag


@pytest.mark.parametrize("style", STYLES)
def test_html_needs_no_network_and_escapes(style: str) -> None:
    forward, back = linear()
    page = Page()
    text = to_html(forward, back, Style(style, lang="zh"), source="if a < b: print('<script>')")
    page.feed(text)
    assert not page.open and len(set(page.names)) == len(page.names)
    assert {a.removeprefix("#") for a in page.addresses} <= set(page.names), "the contents lead to parts of the page alone"
    assert page.count["math"] >= 7 and page.count["script"] == 1, "the page's own"
    assert "print(&#39;&lt;script&gt;&#39;)" in text
    assert "前向传播" in text and '<html lang="zh">' in text


def test_a_page_offers_its_latex() -> None:
    forward, back = linear()
    text = to_html(forward, back)
    offered = [unescape(t) for t in re.findall(r"<pre hidden[^>]*>(.*?)</pre>", text, re.S)]
    assert len(offered) == 2 and all(f in to_latex(forward, back) for t in offered for f in t.split("\n")[1:-1])
    for latex in offered:
        well_formed(latex)


def test_a_notebook_gets_the_formulas_alone() -> None:
    forward, back = linear()
    text = to_html_piece(forward, back)
    rules = re.findall(r"<style>(.*?)</style>", text, re.S)
    assert len(rules) == 1 and all(r.lstrip().startswith(".derivcheck-notes") for r in rules[0].splitlines())
    page = Page()
    page.feed(text)
    assert not page.open and page.count["math"] >= 7 and not {"html", "body", "script", "pre"} & set(page.count)


def test_markdown_has_the_code_and_balanced_dollars() -> None:
    forward, back = linear()
    text = to_markdown(forward, back, source="import torch")
    assert text.count("$$") % 2 == 0 and text.count("$$") >= 14
    assert "```python\nimport torch\n```" in text
    for formula in re.findall(r"\$\$\n(.*?)\n\$\$", text, re.S):
        well_formed(formula.replace("aligned", "align*"))


def test_what_a_derivation_rests_on_is_printed() -> None:
    from dataclasses import replace

    forward, back = linear()
    forward = replace(forward, conditions=("N >= 2 at user.py:12",), notes=("fitted from 5 traces",))
    for text in (derivation_text(forward, back), to_markdown(forward, back), to_html(forward, back)):
        assert "user.py:12" in text and "fitted from 5 traces" in text


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"style": "prose"}, "style is 'prose'; expected one of index, matrix, scalar"),
        ({"lang": "fr"}, "lang is 'fr'; expected 'en' or 'zh'"),
        ({"style": "scalar", "sizes": {"M": 2}}, "sizes names 'M'; the sizes are N, in, out"),
        ({"style": "scalar", "sizes": {"in": 0}}, "in is 0; expected a whole number"),
        ({"style": "scalar", "sizes": {"in": 2.5}}, "in is 2.5; expected a whole number"),
    ],
)
def test_refusals(given: dict[str, object], says: str) -> None:
    forward, back = linear()
    with pytest.raises(InputError) as caught:
        to_latex(forward, back, Style(**given))  # type: ignore[arg-type]
    assert says in str(caught.value)
    with pytest.raises(InputError, match="no gradient in 'q'"):
        gradient_latex(forward, back, "q")


@pytest.mark.parametrize("style", STYLES)
def test_a_document_compiles(style: str, tmp_path: Path) -> None:
    forward, back = linear()
    text = to_latex(forward, back, Style(style), full=True)
    assert text.startswith(r"\documentclass") and text.rstrip().endswith(r"\end{document}")
    assert text.count(r"\begin{") == text.count(r"\end{") and text.isascii()
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    (tmp_path / "notes.tex").write_text(text, encoding="utf-8")
    subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "notes.tex"], cwd=tmp_path, check=True, capture_output=True
    )


def test_a_gradient_of_a_gradient_has_symbols() -> None:
    from derivcheck.derivation.sweep import adjoint, apart

    _, back = linear()
    wrt = tuple(a.name for a in back.arguments)
    forward = apart(back, wrt)
    text = derivation_text(forward, adjoint(forward, wrt))
    assert "W̄[j,k]" in text and "bar(" not in text
    well_formed(to_latex(forward, adjoint(forward, wrt)))


def test_an_output_given_twice_has_two_upstream_gradients() -> None:
    from derivcheck.derivation.sweep import adjoint

    forward, _ = pair("y[n] := x[n]^2; z[n] := x[n]*3\noutput y, y, z", {"x": "N"})
    back = adjoint(forward)
    assert [a.name for a in back.arguments if a.role == "upstream"] == ["grad_output_0", "grad_output_1", "grad_output_2"]
    line = next(s.text for s in steps(forward, back) if s.name == "x")
    assert "3 · z̄[n]" in line and "(ȳ[n] + ȳ⁽¹⁾[n])" in line


def test_conditions_read_as_a_person_writes_them() -> None:
    forward, back = pair("y[n] := [t[n] != -100]*[c - 1 - n >= 0]*[n >= 2]*x[n]", {"x": "N", "t": "int<V: N", "c": "int<V:"})
    text = derivation_text(forward, back)
    assert "[t[n] ≠ -100]" in text and "[n < c]" in text and "[n ≥ 2]" in text


def test_a_remainder_is_written_as_one() -> None:
    f = parse_program("y[k] := x[ids[k] % N]^2", {"x": "N", "ids": "int<N: K"})
    text, latex = derivation_text(f, adjoint(f)), to_latex(f, adjoint(f))
    assert "x[ids[k] mod N]²" in text and "[ids[k] mod N = n]" in text and "⌊" not in text
    assert r"\mathit{ids}_k \bmod N" in latex and "floor" not in latex
    well_formed(latex)


@pytest.mark.parametrize("style", STYLES)
def test_only_some_gradients_are_shown(style: str) -> None:
    text = "y[n,o] := sum(i: x[n,i]*W[o,i]) + b[o]; L := sum(n,o: (y[n,o] - t[n,o])^2)"
    d = dc.derive(text, dims={"x": "N in", "W": "out in", "b": "out", "t": "N out"})
    shown, whole = d.to_latex(style, only=["W"]), d.to_latex(style)
    heads = [row.partition("&=")[0] for row in shown.splitlines()]
    assert any(r"{\partial W" in h or r"{\partial w" in h for h in heads), heads
    assert not any(r"{\partial b" in h for h in heads) and r"{\partial b" in whole
    assert any(r"{\partial y" in h or r"{\partial Y" in h for h in heads), "the step that leads there"
    for page in (d.to_markdown(style, only="b"), d.to_html(style, only="b")):
        assert len(page) < len(d.to_html(style))
    with pytest.raises(InputError, match="only names 'q'; gradients are x, W, b, t"):
        d.to_latex(style, only=["q"])
