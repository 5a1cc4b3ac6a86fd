"""What may be missing around any expression: a sign, a number, a function, a sum, another layout."""

from __future__ import annotations

import ast

from derivcheck.diagnosis.repair.change import Edits
from derivcheck.diagnosis.repair.edits.reader import EditReader


def anything(r: EditReader, node: ast.expr) -> Edits:
    """What may be missing around an expression: a sign, a factor, a power, a sum, an axis, a function."""
    text, said = r.inner(node), r.short(node)
    yield r.put(node, f"(-{text})"), f"`{said}` has the wrong sign", 1.4
    if isinstance(node, ast.Constant):
        return
    yield from _laid(r, node)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield r.put(node, f"(1 - {r.inner(node.operand)})"), f"the 1 is missing before `{said}`", 1.6
    for new, words, cost in (
        (f"(1 - {text})", f"`{said}` stands where `1 - {said}` is meant", 2),
        (f"(1 + {text})", f"`1 +` is missing before `{said}`", 1.64)
        if isinstance(node, (ast.Name, ast.Subscript))
        else (f"({r.text(node)} + 1)", f"`+ 1` is missing after `{said}`", 1.7),
        (f"({text} - 1)", f"`- 1` is missing after `{said}`", 1.7),
        (f"(2 * {text})", f"a factor 2 is missing at `{said}`", 1.6),
        (f"({text} / 2)", f"a factor 2 too many at `{said}`", 1.6),
        (f"({text} / 4)", f"a factor 4 too many at `{said}`", 2.5),
        (f"(4 * {text})", f"a factor 4 is missing at `{said}`", 2.5),
        (f"({text} * 3)", f"a factor 3 is missing at `{said}`", 2.5),
        (f"{text}**2", f"a square is missing at `{said}`", 2),
        (f"{text}**3", f"`{said}` should be to the power 3", 2.5),
        (f"{text}**0.5", f"a root is missing at `{said}`", 2.2),
        (f"(1 / {text})", f"`{said}` should divide", 2.2),
        (f"(1 / {text}**2)", f"`{said}` should divide squared", 3),
        (f"{text}.sum(-1, keepdim=True)", f"the sum over the last axis of `{said}` is missing", 2.2),
        (f"{text}.sum(0, keepdim=True)", f"the sum over the first axis of `{said}` is missing", 2.4),
        (f"{text}.sum(0)", f"the sum over the first axis of `{said}` is missing", 2.4),
        (f"{text}.sum(-1)", f"the sum over the last axis of `{said}` is missing", 2.4),
        (f"{text}.sum(1)", f"the sum over axis 1 of `{said}` is missing", 2.6),
        (f"{text}.sum()", f"the sum of `{said}` is missing", 2.6),
        (f"{text}.mean(-1, keepdim=True)", f"the mean over the last axis of `{said}` is missing", 2.6),
        (f"{text}.mean(0)", f"the mean over the first axis of `{said}` is missing", 2.8),
        (f"{text}.sum((0, 1))", f"a sum over two axes of `{said}` is missing", 3),
        (f"{text}.sum((0, 2))", f"a sum over two axes of `{said}` is missing", 3),
        (f"{text}.sum((0, 2, 3))", f"a sum over three axes of `{said}` is missing", 3),
        (f"{text}.clamp(-1, 1)", f"`{said}` should be clamped to -1 … 1", 2.5),
        (f"{text}.clamp(min=0)", f"`{said}` should be clamped at 0", 2.6),
        (f"{text}.tril()", f"`{said}` should be masked to what is not later", 2.6),
        (f"{text}.triu()", f"`{said}` should be masked to what is not earlier", 2.6),
        (f"{text}.tril(-1)", f"`{said}` should be masked to what is earlier", 2.7),
        (f"{text}.triu(1)", f"`{said}` should be masked to what is later", 2.7),
        (f"{text}.abs()", f"the absolute value of `{said}` is meant", 2.5),
        (f"{text}.sign()", f"the sign of `{said}` is meant", 2.6),
        (f"torch.tanh({text})", f"tanh of `{said}` is meant", 2.8),
        (f"torch.sigmoid({text})", f"the sigmoid of `{said}` is meant", 2.8),
        (f"torch.exp({text})", f"exp of `{said}` is meant", 2.8),
        (f"torch.log({text})", f"the logarithm of `{said}` is meant", 2.8),
    ):
        yield r.put(node, new), words, cost


def _laid(r: EditReader, node: ast.expr) -> Edits:
    """Another layout: transposed, read backwards, along another axis."""
    text, said = r.inner(node), r.short(node)
    for new, words, cost in (
        (f"{text}.{r.transposed[0]}", f"`{said}` has to be transposed", 2),
        (f"{text}.{r.transposed[1]}", f"`{said}` has to be transposed", 2.05),
        (f"{text}.flip(-1)", f"`{said}` is read backwards", 2.5),
        (f"{text}.flip(0)", f"`{said}` is read backwards", 2.5),
        (f"{text}.flip(-2)", f"`{said}` is read backwards over its last axis but one", 2.6),
        (f"{text}.flip(-2, -1)", f"`{said}` is not turned: it has to be flipped over its last two axes", 2.6),
        (f"{text}[..., None]", f"`{said}` goes along the wrong axis", 2.6),
        (f"{text}[:, None]", f"`{said}` goes along the wrong axis", 2.6),
        (f"{text}[None]", f"`{said}` goes along the wrong axis", 2.6),
        (f"{text}.transpose(0, 1)", f"`{said}` has to be transposed", 3),
    ):
        yield r.put(node, new), words, cost
