"""What is shown of a derivation is the derivation: the same numbers, with less on the page."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import derivcheck as dc
from derivcheck.derivation.centred import without_deviations
from derivcheck.derivation.sweep import adjoint
from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import ONE, mul
from derivcheck.notation.terms.nodes import Number, Over, Ref
from derivcheck.notation.terms.substitute import transform
from derivcheck.notation.terms.walk import subterms
from derivcheck.notation.text.parse import parse_program
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notes.abridged import abridge
from derivcheck.notes.abridged.abridge import forget, shown
from derivcheck.notes.abridged.closed import closed_forms
from derivcheck.notes.abridged.collected import collected
from derivcheck.notes.abridged.probabilities import probabilities, summed_to_one
from derivcheck.notes.abridged.shifts import without_shifts
from derivcheck.notes.pages.document import blocks
from derivcheck.notes.pages.style import DETAILS, Style
from derivcheck.notes.writing.ink import Unicode
from tests.codegen import random_programs
from tests.notes.layers import PAGES, SIZES
from tests.readback.corpus import numbers

READ = [
    "linear and mse", "layer norm", "batch norm", "cross entropy", "huber by hand", "causal attention", "lstm cell",
    "rotate half", "weight norm", "infonce", "grpo", "crf", "bce",
]  # fmt: skip


def wrong(forward: Program, sizes: dict[str, int], detail: str = "names", seed: int = 0) -> list[str]:
    """Gradients whose shown formula, or closed form, is another number than the derivation's."""
    back = adjoint(forward)
    page = shown(forward, back, detail)
    inputs = numbers(back, sizes, seed)
    if forward.scalar:
        inputs["grad_output"] = np.array(1.0)
    squeezed = {
        a.name: np.reshape(inputs[a.name], [p.at(sizes) for p in a.dims]) for a in page.adjoint.arguments if a.name in inputs
    }
    meant, seen = evaluate(back, inputs, sizes), evaluate(page.adjoint, squeezed, sizes)
    found = [
        f"{name} is {seen[name]}, meant {meant[name]}"
        for name in back.outputs
        if not np.allclose(np.squeeze(np.asarray(meant[name])), np.squeeze(np.asarray(seen[name])), equal_nan=True)
    ]
    ups = {a.name for a in page.adjoint.arguments if a.name not in page.forward.inputs} if forward.scalar else set()
    for d in page.adjoint.definitions:
        if d.name in page.closed and d.name in page.adjoint.outputs:
            term = transform(page.closed[d.name], lambda t: ONE if isinstance(t, Ref) and t.name in ups else t)
            alone = Program(page.adjoint.arguments, (*page.forward.definitions, replace(d, term=term, paths=())), (d.name,))
            value = evaluate(alone, squeezed, sizes)[d.name]
            if not np.allclose(value, seen[d.name], equal_nan=True):
                found.append(f"{d.name} in closed form is {value}, meant {seen[d.name]}")
    return found


@pytest.mark.parametrize("name", READ)
def test_what_is_shown_is_the_derivation(name: str) -> None:
    forward = PAGES[name].derived().program
    sizes = {s: SIZES[s] for s in {*forward.sizes(), *adjoint(forward).sizes()}}
    assert not wrong(forward, sizes)
    assert not wrong(forward, sizes, "operators")


def test_a_gradient_that_names_the_output_alone_reads_it() -> None:
    forward = parse_program("z[n,o] := sum(i: x[n,i]*w[o,i]); y[n,o] := z[n,o]*[z[n,o] > 0]")
    nameless = replace(forward, definitions=tuple(replace(d, variable="") for d in forward.definitions))
    assert not wrong(nameless, dict.fromkeys(nameless.sizes(), 2))
    assert "[y[n, o] > 0]" in str(shown(nameless, adjoint(nameless)).adjoint)


def test_random_programs_are_shown_as_they_are() -> None:
    count = 0
    for seed in range(12):
        p = random_programs.program(seed, depth=2)
        nameless = Program(p.arguments, tuple(replace(d, variable="", rule="row") for d in p.definitions), p.outputs)
        for q in (p, nameless):
            try:
                found = wrong(q, dict.fromkeys({*q.sizes(), *adjoint(q).sizes()}, 2), seed=seed)
            except UnsupportedOperation:
                continue
            assert not found, f"{seed}: {found}\n{q}"
            count += 1
    assert count > 12


def test_what_changes_the_function_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    p = parse_program("t[n] := max(c: x[n,c]); y[n,c] := exp(x[n,c] - t[n])", {"x": "N C"})
    kept = replace(p, definitions=(replace(p.definitions[0], stop=True, variable=""), p.definitions[1]))
    assert "t" in {d.name for d in shown(kept, adjoint(kept)).forward.definitions}, "it does not cancel"
    softmax = PAGES["softmax"].derived().program
    forget()
    monkeypatch.setattr(abridge, "without_shifts", lambda p: _halved(without_shifts(p)))
    assert wrong(softmax, {"N": 2, "C": 3})
    forget()


def _halved(p: Program) -> Program:
    return replace(p, definitions=tuple(replace(d, term=mul(Number(Fraction(1, 2)), d.term)) for d in p.definitions))


def lines(name: str, **style: str) -> list[str]:
    d = PAGES[name].derived()
    return [f.line() for b in blocks(Unicode, d.program, d.adjoint, Style(**style)) for f in b.formulas]  # type: ignore[arg-type]


def test_axes_of_size_one_vanish() -> None:
    for name in ("layer norm", "weight norm", "infonce", "rms norm"):
        text = "\n".join(lines(name))
        assert not re.search(r"[\[,]0[\],]", text), text
    assert "var[n] = 1/C · Σ_c (x[n,c] - μ[n])²" in lines("layer norm")
    d = dc.derive("y[n,k] := x[n,k]*c[0]", dims={"x": "N 1", "c": "1"})
    assert "y[n] = x[n] · c" in str(d)


def test_names_are_the_codes_own() -> None:
    text = "\n".join(lines("rotate half"))
    assert "x1[b,t,i]" in text and "x⁽" not in text and "z⁽" not in text
    assert lines("dpo")[0].startswith("L = ") and lines("mlp")[0].startswith("h[")
    assert "z[m,i] = sigmoid(" in "\n".join(lines("gru cell")), "a variable z, and not z_6"
    assert "top" not in "\n".join(lines("attention"))


def test_a_dimension_has_one_letter() -> None:
    for name in ("lstm cell", "rotate half", "infonce", "attention", "mlp"):
        d = PAGES[name].derived()
        page = shown(d.program, d.adjoint)
        by: dict[str, set[object]] = {}
        for one in (*page.forward.definitions, *page.gradients):
            for i in (*one.indices, *(i for t in subterms(one.term) if isinstance(t, Over) for i in t.indices)):
                by.setdefault(i.name, set()).add(i.size)
        assert all(len(sizes) == 1 for sizes in by.values()), by
    d = dc.derive(lambda x: x[:, :1] * x[:, 1:], dims={"x": "N C"})
    assert "∂L/∂x[n,c]" in str(d), "C is counted by c, though C - 1 is counted, too"
    assert lines("lstm cell")[1] == "f[n,j] = Σ_k x[n,k] · W[H + j,k] + Σ_{j′} h[n,j′] · U[H + j,j′] + b[H + j]"


def test_detail() -> None:
    each, names, result = (lines("linear and mse", detail=k) for k in DETAILS)
    assert any("∂ŷ[n,j]/∂W[j,k]" in x for x in each) and not any("∂ŷ[n,j]/∂W[j,k]" in x for x in names)
    assert "∂L/∂W[j,k] = Σ_n ∂L/∂ŷ[n,j] · x[n,k] = 2/(N·out) · Σ_n (ŷ[n,j] - y[n,j]) · x[n,k]" in names
    assert "∂L/∂W[j,k] = 2/(N·out) · Σ_n (ŷ[n,j] - y[n,j]) · x[n,k]" in result
    assert not any(x.startswith("∂L/∂ŷ") for x in result)
    d = PAGES["mlp"].derived()
    assert len(d.to_latex(detail="result")) < len(d.to_latex()) < len(d.to_latex(detail="operators"))
    assert len(d.to_markdown(detail="result")) < len(d.to_html(detail="operators"))
    with pytest.raises(InputError, match="detail is 'all'; expected one of operators, names, result"):
        d.to_latex(detail="all")


def test_what_a_textbook_writes() -> None:
    assert lines("softmax") == [
        "p[n,c] = exp(x[n,c])/(Σ_{c′} exp(x[n,c′]))",
        "∂L/∂x[n,c] = p[n,c] · (p̄[n,c] - Σ_{c′} p̄[n,c′] · p[n,c′])",
    ]
    assert lines("bce")[1] == "∂L/∂z[n] = 1/N · (sigmoid(z[n]) - y[n])"
    assert lines("cross entropy")[-1].startswith("∂L/∂z[n,c] = (exp(z[n,c])/(Σ_{c′} exp(z[n,c′])) - [c = y[n]])")
    assert "L = 1/N · Σ_n (1/2 · r[n]² · [|r[n]| ≤ 1] + (|r[n]| - 1/2) · [|r[n]| > 1])" in lines("huber by hand")
    assert "clipped[g,t] = max(0.8, min(1.2, ratio[g,t]))" in lines("grpo")
    assert "h[n,i] = max(0, Σ_j x[n,j] · W1[i,j] + b1[i])" in lines("mlp")
    assert not any("-∂L" in x and "Σ_c (x" in x for x in lines("layer norm")), "deviations from a mean sum to nothing"


def _standardised(z: Tensor) -> Tensor:
    return (z - z.mean(0)) / z.std(0)


def _weighted(c: Tensor, lam: Tensor) -> Tensor:
    off = (c**2).sum()
    return c.diagonal().sum() + lam * off


LEFT_OUT = {
    "a largest entry": (lambda s: s.logsumexp(1).mean(), {"s": "N M"}, "L = 1/N · Σ_n log(Σ_m exp(s[n,m]))"),
    "a sum of deviations": (_standardised, {"z": "N D"}, "∂L/∂u[d] = -Σ_n ȳ[n,d]/"),
    "a sum that stands twice": (
        lambda r, S: (r @ S * r).sum(),
        {"r": "N D", "S": "D D"},
        "∂L/∂r[n,d] = Σ_e (S[d,e] + S[e,d]) · r[n,e]",
    ),
    "a sum of probabilities": (
        lambda s, t: -(F.softmax(t, 1) * F.log_softmax(s, 1)).sum(1).mean(),
        {"s": "N M", "t": "N M"},
        "∂L/∂s[n,m] = 1/N · (exp(s[n,m])/(Σ_{m′} exp(s[n,m′])) - P[n,m])",
    ),
    "a number before all addends": (
        lambda W: ((W.T @ W - torch.eye(W.shape[1], dtype=W.dtype)) ** 2).sum(),
        {"W": "M D"},
        "∂L/∂W[m,d] = 4 · Σ_{d′} (Σ_{m′} W[m′,d] · W[m′,d′] - [d = d′]) · W[m,d′]",
    ),
    "the gradient of a term": (_weighted, {"c": "D D", "lam": ""}, "∂L/∂c[d,e] = [d = e] + 2 · lam · c[d,e]"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_a_person_leaves_out(name: str) -> None:
    function, dims, line = LEFT_OUT[name]
    d = dc.derive(function, dims=dims)
    text = str(d)
    assert line in text.replace("\n" + " " * 13, " ") and "∞" not in text, text
    assert not wrong(d.program, {"N": 3, "M": 4, "D": 5}) and not wrong(d.program, {"N": 2, "M": 1, "D": 1})


def test_a_value_that_is_given_again_is_counted_from_one() -> None:
    text = str(dc.derive(lambda z: F.normalize(z, dim=1).square(), dims={"z": "N D"}))
    assert "z⁽²⁾" not in text, text


def test_what_is_long_with_all_values_written_in_has_no_further_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counted(*given: Any, **options: Any) -> Any:
        asked.append(1)
        return closed_forms(*given, **options)

    monkeypatch.setattr(abridge, "closed_forms", counted)
    counts = []
    for limit in (abridge.LONG, 10):
        forget()
        asked.clear()
        monkeypatch.setattr(abridge, "LONG", limit)
        lines("swiglu")
        counts.append(len(asked))
    forget()
    assert counts == [2, 1]


def test_a_letter_that_is_bound_here_and_free_there_is_two_indices() -> None:
    for text in (
        "y[i] := sum(i: a[i]*r[i]) + sum(k: b[i,k]*r[k])",
        "y[i] := sum(k: b[i,k]*r[k]) + sum(i: a[i]*r[i])",
        "p[i,k] := exp(b[i,k])/sum(k: exp(b[k,k])); y[k] := sum(i: p[i,k])*a[k]",
        "y[i] := sum(k: b[k,i] - sum(i: b[i,i])/N) + sum(i: a[i]*r[i])",
    ):
        program = parse_program(text, {"a": "N", "r": "N", "b": "N N"} if "r[" in text else {"a": "N", "b": "N N"})
        assert not wrong(program, {"N": 3}), text
        given, ones = numbers(program, {"N": 3}, 1), probabilities(program)
        changed = (replace(d, term=collected(summed_to_one(without_deviations(d.term, {}), ones))) for d in program.definitions)
        meant, found = (evaluate(p, given, {"N": 3}) for p in (program, replace(program, definitions=tuple(changed))))
        np.testing.assert_allclose(found["y"], meant["y"], err_msg=text)


def test_decimals_stay_decimals() -> None:
    """0.04 is no 25th; thirds and halves are quotients, and so is what a count of elements divides."""
    d = dc.derive("y[n] := 0.04*x[n]^2 + x[n]/3 - 0.5*x[n]\nL := 0.7*sum(n: y[n])/N + sum(n: y[n])/7", dims={"x": "N"})
    assert "y[n] = 0.04 · x[n]² - 1/6 · x[n]" in str(d) and "0.08 · x[n] - 1/6" in str(d) and "0.7/N" in str(d)
    tex = d.to_latex()
    assert r"0.04 x_n^2 - \frac{1}{6} x_n" in tex and r"\frac{0.7}{N}" in tex and r"\frac{1}{7}" in tex
    fives = dc.derive(lambda x: x.reshape(-1, 5).mean() + 0.3 * x[0], x=torch.randn(10))
    assert "y[n] = 1/625 · x[n]" in str(dc.derive("y[n] := x[n]/625", dims={"x": "N"})), "four places say less than a quotient"
    assert "L = 1/(5·N) · Σ" in str(fives) and "∂L/∂x[i] = 1/(5·N) + 0.3 · [i = 0]" in str(fives)
