"""A bound index that bears the name of a free one is another index."""

from __future__ import annotations

import numpy as np

from derivcheck.derivation.sweep import adjoint
from derivcheck.notation.text.parse import parse_program
from derivcheck.notation.values.evaluator import evaluate


def test_softmax_with_one_letter_for_both_indices() -> None:
    for inner in ("m", "k"):
        text = f"P[n,m] := exp(S[n,m])/sum({inner}: exp(S[n,{inner}])); L := sum(n, m: P[n,m]*w[n,m])"
        f = parse_program(text, {"S": "N M", "w": "N M"})
        rng = np.random.default_rng(0)
        s, w = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
        p = np.exp(s) / np.exp(s).sum(1, keepdims=True)
        found = evaluate(adjoint(f), {"S": s, "w": w, "grad_output": np.array(1.0)})
        np.testing.assert_allclose(found["S_bar"], p * (w - (w * p).sum(1, keepdims=True)), rtol=1e-12)
