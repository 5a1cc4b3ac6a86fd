"""Proofs in LaTeX."""

import re

import pytest

import derivcheck as dc
from derivcheck.notation.text.dims import parse_input
from derivcheck.notation.text.parse import TextScope, parse_term
from derivcheck.proof.report.tex import term_latex

SCOPE = TextScope({"x": parse_input("x", "N"), "grad_output": parse_input("grad_output", "")})


def test_a_proof_in_latex() -> None:
    proof = dc.prove(
        "p[n,c] := exp(x[n,c])/sum(k: exp(x[n,k]))",
        "g_1[n] := sum(k: grad_output[n,k]*p[n,k])\nx_bar[n,c] := p[n,c]*(grad_output[n,c] - g_1[n])",
        dims={"x": "N C"},
    )
    latex = proof.to_latex()
    assert latex.startswith(r"\paragraph{Proved}")
    assert r"{\bar{x}}_{n,c} = " in latex and r"\sum_{c_{1}=0}^{C - 1}" in latex and "{g_{1}}_{n}" in latex
    assert latex.count("{") == latex.count("}") and latex.count(r"\left") == latex.count(r"\right")
    assert not re.search(r"(?<!\\)_(?![{])", latex)


def test_a_refutation_in_latex() -> None:
    latex = dc.prove("y[n] := x[n]^2", "x_bar[n] := x[n]*grad_output[n]", dims={"x": "N"}).to_latex()
    assert latex.startswith(r"\paragraph{Refuted}") and "the claim gives" in latex
    assert "Rules" not in latex


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("sum(n: [x[n] > 0]*x[n])", r"\sum_{n=0}^{N - 1} \left[{x}_{n} > 0\right] {x}_{n}"),
        ("sum(n: [x[n] > 0])", r"\sum_{n=0}^{N - 1} \left[{x}_{n} > 0\right]"),
        ("max(n: x[n] + 1)", r"\max_{n} \left({x}_{n} + 1\right)"),
        ("argmin(n: x[n])", r"\arg\min_{n} {x}_{n}"),
        (
            "sigmoid(x[0]) - silu(grad_output)",
            r"\sigma{\left({x}_{0} \right)} - \operatorname{silu}{\left(\mathrm{grad\_output} \right)}",
        ),
        ("1 - x[0]", "1 - {x}_{0}"),
        ("x[1] - x[0]", "{x}_{1} - {x}_{0}"),
        ("tanh(grad_output)/N", r"\frac{\tanh{\left(\mathrm{grad\_output} \right)}}{N}"),
    ],
)
def test_a_term_in_latex(text: str, latex: str) -> None:
    assert term_latex(parse_term(text, SCOPE)) == latex
