"""What a notebook shows of a report, a proof and a training run."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
import torch
from torch import nn

import derivcheck as dc
from derivcheck.display import curve


def product(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return torch.sin(x @ w)


def right(grad_output: torch.Tensor, x: torch.Tensor, w: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"w": x.mT @ (grad_output * torch.cos(x @ w))}


def wrong(grad_output: torch.Tensor, x: torch.Tensor, w: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"w": x.mT @ (grad_output * torch.cos(x @ w) * 2)}


class Shown(HTMLParser):
    """The texts of a piece by the class that they stand in, and its tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[tuple[str, str]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append((tag, dict(attrs).get("class") or ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for _, kind in self.open:
            self.texts.setdefault(kind, []).append(data)


DIMS = {"x": "N K", "w": "K M"}
VALUES = {"x": torch.ones(2, 3, dtype=torch.float64) / 3, "w": torch.ones(3, 4, dtype=torch.float64) / 7}


@pytest.mark.parametrize(("backward", "tone", "verdict"), [(right, "good", "passed"), (wrong, "bad", "wrong")])
def test_a_report(backward: object, tone: str, verdict: str) -> None:
    report = dc.check(product, VALUES, backward, wrt=["w"])
    shown = Shown(report._repr_html_())
    first, *rest = str(report).splitlines()
    assert shown.texts[f"verdict {tone}"] == [first] and shown.texts[tone] == [verdict]
    for line in rest[1:]:
        assert line.strip() in " ".join(shown.texts[""]), "nothing that the text says is lost"


@pytest.mark.parametrize(("backward", "tone", "verdict"), [(right, "good", "proved"), (wrong, "bad", "refuted")])
def test_a_proof(backward: object, tone: str, verdict: str) -> None:
    proof = dc.prove(product, backward, dims=DIMS)
    shown = Shown(proof._repr_html_())
    assert proof.status == verdict and shown.texts[f"verdict {tone}"] == [proof.explanation.splitlines()[0]]
    assert all(line.strip() in " ".join(shown.texts[""]) for line in proof.explanation.splitlines()[1:])


def test_a_run() -> None:
    history = dc.train(nn.Linear(2, 1), nn.MSELoss(), torch.ones(4, 2), torch.zeros(4, 1), epochs=3, lr=0.01)
    shown = Shown(history._repr_html_())
    assert repr(history) == f"<run: {str(history).splitlines()[0]}>"
    assert shown.tags.count("svg") == 1 and shown.texts["verdict good"] == [str(history).splitlines()[0]]


def test_what_a_debugger_shows_is_short_and_looks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    report, proof = dc.check(product, VALUES, wrong, wrt=["w"]), dc.prove(product, wrong, dims=DIMS)
    monkeypatch.setattr(type(report["w"]), "diagnosis", property(lambda row: pytest.fail("it is looked for when asked for")))
    assert repr(report) == "<report: product: 1 of 1 gradient does not hold (float64, N=2, M=3, K=4); print it for more>"
    assert repr(proof) == "<proof: refuted: the gradient of w; print it for more>"


def test_a_curve_falls_as_its_values_do() -> None:
    def heights(values: list[float]) -> list[float]:
        points = re.search(r'points="([^"]*)"', curve(values, "loss"))
        assert points
        return [float(p.split(",")[1]) for p in points[1].split()]

    assert heights([4.0, 2.0, 1.0]) == sorted(heights([4.0, 2.0, 1.0])), "down the picture"
    assert len(heights([4.0, float("nan"), 1.0])) == 2 and heights([-1.0, 1.0])[0] > heights([-1.0, 1.0])[1]
    assert curve([float("inf"), 1.0], "loss") == ""


def test_what_a_user_writes_is_escaped_and_the_style_is_scoped() -> None:
    report = dc.check(product, VALUES, right, wrt=["w"])
    report.name = "<b>f"
    html = report._repr_html_()
    assert "<b>" not in html and "&lt;b&gt;f" in html
    rules = html.partition("<style>")[2].partition("</style>")[0].strip().splitlines()
    assert all(r.startswith(".derivcheck-shown") for r in rules)
