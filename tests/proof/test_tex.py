"""Proofs in LaTeX."""

import re

import derivcheck as dc


def test_a_proof_in_latex() -> None:
    proof = dc.prove(
        "p[n,c] := exp(x[n,c])/sum(k: exp(x[n,k]))",
        "g_1[n] := sum(k: grad_output[n,k]*p[n,k])\nx_bar[n,c] := p[n,c]*(grad_output[n,c] - g_1[n])",
        dims={"x": "N C"},
    )
    latex = proof.to_latex()
    assert latex.startswith(r"\paragraph{Proved}")
    assert r"\bar{x}_{n, c} = p_{n, c}" in latex
    assert latex.count("{") == latex.count("}") and latex.count(r"\left") == latex.count(r"\right")
    assert not re.search(r"(?<!\\)_(?![{])", latex)


def test_a_refutation_in_latex() -> None:
    latex = dc.prove("y[n] := x[n]^2", "x_bar[n] := x[n]*grad_output[n]", dims={"x": "N"}).to_latex()
    assert latex.startswith(r"\paragraph{Refuted}") and "the claim gives" in latex
    assert "Rules" not in latex
