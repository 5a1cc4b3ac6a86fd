"""What holds at kinks, ties and at the edges of numbers: the table of ``docs/conventions.md``, which the tests hold.

``python -m tests.operators.conventions`` writes the page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.operators.kinks import CONDITIONS, KINKS, POINTS
from tests.operators.said_of_tensors import FILLED

Point = tuple[float, ...]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "conventions.md"


@dataclass(frozen=True)
class Apart:
    """Points at which ours and torch's are not the same number.

    ``operators`` and ``what`` (``value``, ``gradient``, or one of its tensors, ``gradient 1``) say which numbers, ``at``
    which points, ``dtypes`` where one alone is concerned.  ``true`` says that ours is held against many digits there.
    """

    operators: tuple[str, ...]
    what: str
    where: str
    at: Callable[[Point], bool]
    torch: str
    ours: str
    why: str
    true: bool = False
    dtype: str = ""

    def covers(self, operator: str, point: Point, what: str, dtype: str) -> bool:
        """Whether a difference is among these."""
        return operator in self.operators and what.startswith(self.what) and self.dtype in ("", dtype) and self.at(point)


def _negative_zero(k: int) -> Callable[[Point], bool]:
    return lambda p: p[k] == 0 and math.copysign(1, p[k]) < 0


OWN = (
    Apart(
        ("expm1", "special_expm1"),
        "gradient",
        "x < -15",
        lambda p: p[0] < -15,
        "0",
        "exp(x)",
        "torch adds 1 to expm1(x), in which exp(x) is lost",
        true=True,
    ),
    Apart(
        ("acosh",),
        "gradient",
        "x = 1e30 in float32",
        lambda p: p[0] > 1e20,
        "0",
        "1/x",
        "the square of x overflows in torch",
        dtype="float32",
    ),
    Apart(
        ("sinc", "special_sinc"),
        "gradient",
        "|x| <= 0.001",
        lambda p: abs(p[0]) <= 0.001,
        "0, or few digits",
        "-pi^2*x/3",
        "cos(pi*x) and sin(pi*x)/(pi*x) cancel in torch",
        true=True,
    ),
    Apart(
        ("sinc", "special_sinc"),
        "gradient",
        "|x| = 1e30 in float32",
        lambda p: abs(p[0]) > 1e20,
        "0",
        "cos(pi*x)/x",
        "the square of x overflows in torch",
        dtype="float32",
    ),
    Apart(
        ("special_log_ndtr",),
        "gradient",
        "x < -50 in float32, x = -1e30",
        lambda p: p[0] < -50,
        "few digits, or inf",
        "-x",
        "torch's float32 kernel of erfcx",
        true=True,
    ),
    Apart(
        ("special_ndtr",),
        "value",
        "x <= -5",
        lambda p: p[0] <= -5,
        "0, or few digits",
        "erfc(-x/2^(1/2))/2",
        "1 + erf cancels in torch",
        true=True,
    ),
    Apart(
        ("atan2", "arctan2"),
        "gradient",
        "numbers below 1e-19 or above 1e19 in float32",
        lambda p: max(map(abs, p)) > 1e19 or max(map(abs, p)) < 1e-19,
        "0",
        "y/r/r, -x/r/r with r = hypot(x, y)",
        "the squares of x and y leave the range of numbers in torch",
        dtype="float32",
    ),
    Apart(
        ("hardsigmoid",),
        "gradient",
        "|x| < 3",
        lambda p: abs(p[0]) < 3,
        "0.16666667163",
        "1/6",
        "torch keeps the sixth in float32",
        true=True,
    ),
    Apart(("hardswish",), "value", "x = -inf", lambda p: p[0] == -math.inf, "NaN", "0, the limit", "torch multiplies x by 0"),
    Apart(
        ("soft_margin_loss",), "value", "-t*x > 80", lambda p: -p[0] * p[1] > 80, "inf", "-t*x", "exp(-t*x) overflows in torch"
    ),
    Apart(
        ("binary_cross_entropy",),
        "gradient 0",
        "x = 0, x = 1, or x(1 - x) < 1e-12",
        lambda p: p[0] * (1 - p[0]) < 1e-12,
        "(x - t)/1e-12",
        "the slope of the value, finite or 0 where the logarithm is bounded at -100",
        "torch divides by max(x(1 - x), 1e-12), which is no slope of its value",
    ),
    Apart(
        ("binary_cross_entropy",),
        "gradient 1",
        "x = 0, x = 1, or near",
        lambda p: p[0] * (1 - p[0]) < 1e-12,
        "log of 0, inf",
        "the bounded logarithms' difference",
        "torch differentiates the target by another formula than its value's",
    ),
    Apart(
        ("binary_cross_entropy_with_logits",),
        "gradient 0",
        "x = 100, t = 1",
        lambda p: p[0] >= 20 and p[1] == 1,
        "0",
        "-sigmoid(-x)",
        "sigmoid(x) - 1 cancels in torch",
        true=True,
    ),
    Apart(
        ("binary_cross_entropy_with_logits",),
        "value",
        "x <= -100, 0 <= t <= 1",
        lambda p: p[0] <= -100 and 0 <= p[1] <= 1,
        "0, or NaN at -inf",
        "-t*x + log(1 + exp(x))",
        "(1 - t)*x - logsigmoid(x) cancels in torch",
    ),
)

OURS = (
    Apart(
        ("copysign",),
        "",
        "y = -0",
        _negative_zero(1),
        "the sign of -0",
        "that of 0",
        "a real number 0 has no sign; the sign of a zero is not carried",
    ),
    Apart(
        ("logaddexp2",), "value", "x = y = -1", lambda p: p == (-1.0, -1.0), "-4.8e-17", "0", "rounding: the true value is 0"
    ),
    Apart(
        ("gelu",),
        "gradient",
        "x <= -5",
        lambda p: p[0] <= -5,
        "x*phi(x) to more digits",
        "rounded to 1e-16 (float32: 1e-7)",
        "1 + erf(x/2^(1/2)) cancels, as in torch's own value",
    ),
    Apart(
        ("special_i1e", "special_i0e"),
        "gradient",
        "|x| >= 1000 in float32",
        lambda p: abs(p[0]) >= 1000,
        "-1/(2x)*i1e(x)",
        "the same to 4 digits",
        "i0e and i1e cancel there; torch subtracts in another order",
        dtype="float32",
    ),
    Apart(
        ("binary_cross_entropy_with_logits",),
        "gradient 1",
        "|x| <= 1e-8",
        lambda p: abs(p[0]) <= 1e-8,
        "-x",
        "rounded to 1e-16 (float32: 1e-7)",
        "logsigmoid(x) - logsigmoid(-x), which cancels; the gradient in x is exact",
    ),
    Apart(
        ("binary_cross_entropy_with_logits",),
        "",
        "t < 0 or t > 1",
        lambda p: not 0 <= p[1] <= 1,
        "torch's rounding, or NaN",
        "ours",
        "a target is a probability",
    ),
)


def _words(numbers: list[float]) -> str:
    return ", ".join(f"{v:.6g}" for v in numbers)


def _named(found: dict[str, list[float]]) -> str:
    return _words(found["x"]) if list(found) == ["x"] else "; ".join(f"{k}: {_words(v)}" for k, v in found.items())


def _table(head: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> list[str]:
    rows = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *rows, ""]


def page() -> str:
    """docs/conventions.md."""
    apart = [(", ".join(a.operators) + (f": {a.what}" if a.what else ""), a.where, a.torch, a.ours, a.why) for a in OWN]
    ours = [(", ".join(a.operators) + (f": {a.what}" if a.what else ""), a.where, a.torch, a.ours, a.why) for a in OURS]
    points = [(p.call, _named(p.torch or p.gradients), _named(p.gradients), p.why) for p in POINTS]
    text = [
        "# Conventions",
        "",
        "What generated code gives at kinks and ties, at 0, at infinities and NaN, and where numbers overflow or cancel.",
        "A sweep holds this page: `tests/operators/test_edges.py` runs every row at edge points, in float64 and float32,",
        "against torch and, element by element, against numbers of 120 digits. A difference that no line here says is a",
        "failure, and so is a line that nothing meets. `python -m tests.operators.conventions` writes the page.",
        "",
        "- Values are torch's everywhere, NaN and infinities included, but for the lines below.",
        "- Gradients are the function's where it has one. At a NaN, and where the value is infinite or NaN, it has none, and",
        "  what is given there says nothing.",
        "- A real number 0 has no sign: the sign of a zero is not carried.",
        "- Results beneath the smallest normal number may be 0.",
        "- Antialiased resizing to a width of one pixel: torch 2.13's CPU kernel repeats the first row, ours does not",
        "  ([findings](../findings/antialiased_width_of_one.sh)).",
        "- The gradient of std divides by the root of the variance, torch's by std: where the variance is beyond the type's",
        "  numbers (float32: deviations above 1e19 or below 1e-19), it is 0.",
        "- Of nothing: cross entropy with probabilities of no classes is 0, as its sum is, where torch divides 0 by 0; the",
        "  gradient of group norm's weight over no places is 0, where torch gives NaN.",
        "",
        "## Kinks and ties",
        "",
        "Torch and ours are the same here; the upstream gradient is 1.",
        "",
        *_table(("at", "inputs", "gradients"), [(p.call, _named(p.data), _named(p.gradients)) for p in KINKS]),
        "## torch's own",
        "",
        "Here torch's numbers are not the function's, or have fewer digits. Ours do not follow them.",
        "",
        *_table(("operator", "where", "torch", "ours", "why"), apart),
        *_table(("at", "torch's gradient", "ours", "why"), points),
        "## Ours",
        "",
        "Differences that are rounding, or outside of what the function is for.",
        "",
        *_table(("operator", "where", "torch", "ours", "why"), ours),
        "## Whole tensors",
        "",
        "Rows that are not element by element, at data that is all equal, tied, saturated, tiny, huge, infinite or empty.",
        "",
        *_table(
            ("operators", "data", "what", "why"),
            [(", ".join(f.operators), ", ".join(f.fills) or "ties and others", f.what or "all", f.why) for f in FILLED],
        ),
        "## Left out by a printed condition",
        "",
        "The certificate of `print(d)` says so.",
        "",
        *_table(("call", "the words", "why"), [(c, w or "(none needed)", why) for c, _, _, w, why in CONDITIONS]),
    ]
    return "\n".join(text)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
