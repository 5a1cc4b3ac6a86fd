"""How much stands on the pages of layers from papers, and how long LaTeX takes.

    python -m benchmarks.pages

Characters are those of the formulas that a reader sees in the terminal, without spaces; before: at f43b51b, where each operator
had a line of its own.
"""

from __future__ import annotations

import statistics
import time

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

import derivcheck as dc
from derivcheck.derived import Derivation
from derivcheck.notes.abridged import abridge
from derivcheck.notes.pages.document import blocks
from derivcheck.notes.writing.ink import Unicode
from tests.notes.layers import PAGES

BEFORE = {
    "linear and mse": 409,
    "linear regression": 625,
    "mlp": 767,
    "nn.LayerNorm": 555,
    "layer norm": 1069,
    "rms norm": 680,
    "batch norm": 1071,
    "group norm": 809,
    "softmax": 149,
    "cross entropy": 296,
    "bce": 170,
    "huber": 494,
    "huber by hand": 682,
    "attention": 651,
    "causal attention": 746,
    "conv1d": 262,
    "conv2d": 454,
    "max pool": 250,
    "average pool": 125,
    "lstm cell": 2230,
    "gru cell": 2525,
    "rope": 1631,
    "rotate half": 1840,
    "swiglu": 766,
    "moe gate": 795,
    "lora": 771,
    "weight norm": 611,
    "infonce": 1572,
    "dpo": 650,
    "grpo": 1809,
    "focal": 937,
    "dice": 862,
    "triplet": 927,
    "arcface": 1981,
    "kalman": 3344,
    "crf": 443,
    "wkv": 591,
    "gated delta": 1283,
    "spherical harmonics": 1896,
    "quaternion": 4534,
    "projection": 1615,
    "compositing": 321,
    "embedding": 89,
    "gelu": 103,
    "kl": 747,
    "cosine": 1275,
}


def characters(d: Derivation) -> int:
    """What a reader sees of the formulas."""
    return sum(len(f.line().replace(" ", "")) for b in blocks(Unicode, d.program, d.adjoint) for f in b.formulas)


def invented(d: Derivation) -> list[str]:
    """Names of values on the page that the code does not name: all but a loss, an output and a prediction."""
    page = abridge.shown(d.program, d.adjoint)
    hatted = abridge.prediction(page.forward)
    return [x.name for x in page.forward.definitions if not x.variable and x.name not in (*page.forward.outputs, hatted)]


def latex_ms(d: Derivation, times: int = 15) -> float:
    """The median time of the processor for LaTeX, the page thought of anew each time."""
    found = []
    for _ in range(times):
        abridge.forget()
        start = time.process_time()
        d.to_latex()
        found.append((time.process_time() - start) * 1e3)
    return statistics.median(found)


def main() -> None:
    torch.set_num_threads(1)
    table = Table("page", "characters before", "now", "ratio", "names that the code has not")
    ratios = []
    for name, page in PAGES.items():
        d = page.derived()
        now = characters(d)
        ratios.append(now / BEFORE[name])
        table.add_row(name, str(BEFORE[name]), str(now), f"{ratios[-1]:.2f}", ", ".join(invented(d)))
    console = Console()
    console.print(table)
    console.print(f"median of {len(ratios)} ratios: {statistics.median(ratios):.3f}")
    linear = dc.derive(nn.Linear(3, 2), loss=nn.MSELoss())
    block = dc.derive(nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), torch.randn(2, 3, 8))
    for what, d in (("Linear + MSE", linear), ("TransformerEncoderLayer", block)):
        assert d.adjoint
        console.print(f"LaTeX of {what}: {latex_ms(d):.1f} ms")


if __name__ == "__main__":
    main()
