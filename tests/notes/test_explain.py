"""One gradient in sentences and as a picture: what is said is so, and nothing lies on anything else."""

from __future__ import annotations

import itertools
import random
import re
from pathlib import Path

import numpy as np
import pytest

import derivcheck as dc
from derivcheck.derivation.sweep import adjoint
from derivcheck.errors import InputError
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import ONE, mul, number
from derivcheck.notation.terms.nodes import Ref, Term
from derivcheck.notation.terms.substitute import summation, transform
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notes.abridged.abridge import step_by_step
from derivcheck.notes.explained.layout import layout
from derivcheck.notes.explained.ways import ways
from derivcheck.notes.explained.words import CHINESE, ENGLISH
from derivcheck.notes.symbols.symbols import symbols
from tests.notes.layers import PAGES, SIZES
from tests.readback.corpus import numbers


def test_a_weight_in_english() -> None:
    e = PAGES["linear and mse"].derived().explain("weight")
    text = str(e)
    assert text.startswith("W[j,k] stands in the line of ŷ[n,j]:\n    ŷ[n,j] = Σ_k W[j,k] · x[n,k] + b[j]")
    assert "W[j,k] reaches L through ŷ[n,j] for every n; so the derivatives along the way" in text
    assert "Here ∂ŷ[n,j]/∂W[j,k] = x[n,k]." in text
    assert text.endswith("2/(N·out) · Σ_n (ŷ[n,j] - y[n,j]) · x[n,k]")
    assert e.paths == (("weight", "y", "loss"),)


def test_a_weight_in_chinese() -> None:
    text = str(PAGES["linear and mse"].derived().explain("weight", lang="zh"))
    assert "W[j,k] 通过所有 n 的 ŷ[n,j] 影响 L，所以先把沿途的导数相乘，再对 n 求和：" in text
    assert not re.search(r"[a-z]{4,}", text.replace("out", "")), "no English word is left"


def test_ways_that_meet_and_ways_that_add_nothing() -> None:
    e = PAGES["layer norm"].derived().explain("x")
    assert "x[n,c] reaches L through xhat[n,c], var[n] and μ[n]; the derivatives along each" in str(e)
    assert "The way through var[n] adds nothing: its share is 0." in str(e)
    assert e.paths == (("x", "xhat", "z_5"), ("x", "var", "xhat", "z_5"), ("x", "mu", "xhat", "z_5"))
    both = str(dc.derive("y[n] := x[n]^2; L := sum(n: y[n]*x[n])", dims={"x": "N"}).explain("x"))
    assert "x[n] reaches L directly, and through y[n];" in both
    scan = str(PAGES["compositing"].derived().explain("a"))
    assert "for every" in scan and "T[k]" in scan


def test_nothing_to_say() -> None:
    d = dc.derive("y[n] := x[n] + 0*w[n]", dims={"x": "N", "w": "N"})
    assert "w[n] does not reach L: its derivative is 0." in str(d.explain("w"))


def test_words_are_the_same_in_both_languages() -> None:
    assert set(ENGLISH) == set(CHINESE)
    for key, text in ENGLISH.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", CHINESE[key])), key


def slopes(name: str, factor: int = 1) -> int:
    """Evaluate each slope that is told: times the gradient behind it, summed over the places, it is the share of that way."""
    forward = PAGES[name].derived().program
    count = 0
    for n in (a.name for a in forward.arguments if a.kind == "float"):
        page = step_by_step(forward, n)
        table = symbols(page.forward, page.adjoint)
        sizes = {s: SIZES[s] for s in {*forward.sizes(), *page.adjoint.sizes()}}
        inputs = numbers(adjoint(page.forward), sizes)
        if page.forward.scalar:
            inputs["grad_output"] = np.array(1.0)
        ups = frozenset(table.upstream_of) if table.scalar else frozenset[str]()

        def value(d: Definition, t: Term, name: str) -> object:
            t = transform(t, lambda r: ONE if isinstance(r, Ref) and r.name in ups else r)  # noqa: B023
            p = page.adjoint  # noqa: B023
            whole = Program(p.arguments, (*p.definitions, Definition(name, d.indices, t)), (name,))
            return evaluate(whole, inputs, sizes)[name]  # noqa: B023

        for d in page.adjoint.definitions:
            if d.name in page.forward.names:
                continue
            for w in ways(d, page, table):
                if w.slope is not None and not w.last:
                    bar = Ref(table.adjoint_of_name(w.through), w.at)
                    meant = summation(w.bound, mul(number(factor), bar, w.slope))
                    np.testing.assert_allclose(value(d, meant, "one_way"), value(d, w.share, "one_share"))
                    count += 1
    return count


@pytest.mark.parametrize("name", ["linear and mse", "layer norm", "weight norm"])
def test_slopes_are_slopes(name: str) -> None:
    assert slopes(name) >= 3
    with pytest.raises(AssertionError):
        slopes(name, factor=2)


def test_a_slope_sums_over_what_the_line_sums_over_beside_it() -> None:
    """∂gain[d,m]/∂cov[d,e] of gain = (cov·hᵀ)·s⁻¹ is a sum: its n is no index of the left side."""
    d = dc.derive(
        "k[n,m] := sum(i: sum(j: x[n,j]*h[i,j])*s[i,m]); y := sum(n, m: k[n,m]^2)", dims={"x": "N J", "h": "I J", "s": "I M"}
    )
    text = str(d.explain("x")).replace("\n", " ").replace("\N{NO-BREAK SPACE}", " ")
    assert re.search(r"∂k\[n,m\]/∂x\[n,j\] = Σ_i ", text)


def test_boxes_and_arrows_stand_apart() -> None:
    r = random.Random(0)
    for _ in range(30):
        names = [f"v{k}" for k in range(r.randint(2, 14))]
        pairs = [(a, b) for a, b in itertools.combinations(names, 2) if r.random() < 0.3]
        found = layout(names, pairs)
        assert all(found.column[a] < found.column[b] for a, b in pairs)
        columns: dict[int, list[float]] = {}
        for n in names:
            columns.setdefault(found.column[n], []).append(found.height[n])
        for (a, _), bends in ((e, found.bends[e]) for e in pairs):
            for k, h in enumerate(bends):
                columns.setdefault(found.column[a] + 1 + k, []).append(h)
        for heights in columns.values():
            heights.sort()
            assert all(b - a > 1 - 1e-9 for a, b in zip(heights, heights[1:])), heights


def test_the_picture(tmp_path: Path) -> None:
    d = PAGES["layer norm"].derived()
    e = d.explain("x")
    figure = e.figure()
    arrows = [p for p in figure.axes[0].patches if type(p).__name__ == "FancyArrowPatch"]
    colours = {str(a.get_edgecolor()) for a in arrows}
    assert len(colours) == len(e.paths) + 1, "a colour for each way, and grey"
    legend = [t.get_text() for t in figure.axes[0].texts if "rightarrow" in t.get_text()]
    assert len(legend) == len(e.paths)
    for name, start in (("x.png", b"\x89PNG"), ("x.svg", b"<?xml"), ("x.pdf", b"%PDF")):
        e.save(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    e.save(tmp_path / "x.png")  # ours, and unchanged
    (tmp_path / "mine.png").write_bytes(b"my own")
    with pytest.raises(InputError):
        e.save(tmp_path / "mine.png")
    assert (tmp_path / "mine.png").read_bytes() == b"my own"
    with pytest.raises(InputError, match="png, svg, pdf; 'x.gif' ends in none of them"):
        e.save(tmp_path / "x.gif")
    page = e._repr_html_()
    assert "<svg" in page and "<math" in page and "$" not in re.sub(r"<svg.*</svg>", "", page, flags=re.S)


def test_refusals() -> None:
    d = PAGES["softmax"].derived()
    with pytest.raises(InputError, match="there is no gradient in 'w'; gradients are x"):
        d.explain("w")
    with pytest.raises(InputError, match="lang is 'fr'; expected 'en' or 'zh'"):
        d.explain("x", lang="fr")


@pytest.mark.parametrize(
    ("layer", "name"), [("rotate half", "x"), ("lstm cell", "W"), ("rope", "x"), ("linear and mse", "weight")]
)
def test_a_slope_is_told_where_it_stands_for_all_places(layer: str, name: str) -> None:
    """∂x2[i]/∂x[j] of x2[i] = x[h + i] is [j = h + i], and not the [j ≥ h] that is left in the gradient."""
    text = str(PAGES[layer].derived().explain(name))
    assert "= [j ≥ h]" not in text and "[l ≥ 3·H]" not in text
    if layer == "rope":
        assert "∂x2[b,t,i]/∂x[b,t,j] = [2·i = j - 1]" in text.replace("\n", " ").replace("\N{NO-BREAK SPACE}", " ")


def test_what_is_joined_is_told_part_by_part() -> None:
    text = str(PAGES["rotate half"].derived().explain("x"))
    assert "∂L/∂x[b,t,h + i] = ∂L/∂x2[b,t,i]  (0 ≤ i ≤ h - 1)" in text
