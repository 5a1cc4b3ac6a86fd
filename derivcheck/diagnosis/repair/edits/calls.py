"""Calls: another function, a step too many, arguments exchanged, other axes."""

from __future__ import annotations

import ast
import re
from itertools import combinations, permutations

from derivcheck.diagnosis.repair.change import Edits, Place
from derivcheck.diagnosis.repair.edits.reader import EditReader

_FUNCTIONS = {
    "sum": ("mean",),
    "mean": ("sum",),
    "cos": ("sin",),
    "sin": ("cos",),
    "sinh": ("cosh",),
    "cosh": ("sinh",),
    "tanh": ("sigmoid",),
    "sigmoid": ("tanh",),
    "exp": ("log", "expm1"),
    "expm1": ("exp",),
    "log": ("exp", "log1p"),
    "log1p": ("log",),
    "sqrt": ("rsqrt", "square"),
    "rsqrt": ("sqrt",),
    "max": ("min",),
    "min": ("max",),
    "amax": ("amin",),
    "amin": ("amax",),
    "argmax": ("argmin",),
    "argmin": ("argmax",),
    "softmax": ("log_softmax",),
    "log_softmax": ("softmax",),
    "maximum": ("minimum",),
    "minimum": ("maximum",),
    "triu": ("tril",),
    "tril": ("triu",),
    "zeros_like": ("ones_like",),
    "ones_like": ("zeros_like",),
    "reciprocal": ("neg",),
    "index_copy": ("index_add",),
    "index_copy_": ("index_add_",),
    "scatter": ("scatter_add",),
    "scatter_": ("scatter_add_",),
}
_REDUCED = {
    "sum",
    "mean",
    "prod",
    "amax",
    "amin",
    "softmax",
    "log_softmax",
    "norm",
    "cumsum",
    "flip",
    "var",
    "std",
    "logsumexp",
}


def call(r: EditReader, node: ast.Call) -> Edits:
    """Another function in its place, a call too many, exchanged arguments, wrong axes, ``range``, ``keepdim`` or ``einsum``."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    method = isinstance(node.func, ast.Attribute) and not r.module(node.func.value)
    said = r.short(node)
    for other in _FUNCTIONS.get(name, ()):
        if isinstance(node.func, ast.Attribute):
            start, end = r.piece.span(node.func)
            yield [((end - len(name), end), other)], _function(r, node, name, other), 2.6 if other == "expm1" else 1.5
    if method and isinstance(node.func, ast.Attribute):
        yield r.put(node, r.inner(node.func.value)), f"`.{name}` in `{said}` is a step too many", 2
    elif len(node.args) == 1 and not node.keywords:
        yield r.put(node, f"({r.text(node.args[0])})"), f"`{name}` in `{said}` is a step too many", 2
    elif node.args and name not in ("where", "einsum", "stack", "cat", "range", "zeros", "ones", "arange"):
        yield r.put(node, f"({r.text(node.args[0])})"), f"`{name}` in `{said}` is a step too many", 3
    plain = [a for a in node.args if not isinstance(a, ast.Starred)]
    for x, y in combinations(plain, 2):
        places = [*r.put(x, r.text(y)), *r.put(y, r.text(x))]
        yield places, f"`{r.short(x)}` and `{r.short(y)}` are exchanged", 2
    if name == "range" and len(node.args) == 1:
        count = r.text(node.args[0])
        for new in (f"{count} - 1", f"{count} + 1", f"1, {count}"):
            yield r.put(node.args[0], new), f"`{said}` should be `range({new})`", 2
    if name == "cumsum" and method and len(node.args) == 1 and isinstance(node.func, ast.Attribute):
        axis = r.text(node.args[0])
        new = f"{r.inner(node.func.value)}.flip({axis}).cumsum({axis}).flip({axis})"
        yield r.put(node, new), f"`{said}` sums from the wrong end", 1.6
    if name in ("var", "std") and not any(k.arg in ("unbiased", "correction") for k in node.keywords):
        end = r.piece.span(node)[1] - 1
        comma = ", " if node.args or node.keywords else ""
        words = f"`{said}` divides by one less than the number of elements, and should by their number"
        yield [((end, end), f"{comma}unbiased=False")], words, 1.5
    yield from _order(r, node)
    yield from _repeated(r, node, name)
    for k in node.keywords:
        if k.arg == "keepdim" and isinstance(k.value, ast.Constant):
            yield r.put(k.value, str(not k.value.value)), f"keepdim is wrong in `{said}`", 2
    if name == "where" and len(node.args) == 3:
        for way in node.args[1:]:
            yield r.put(node, f"({r.text(way)})"), f"the mask of `{said}` is one too many", 2.5
    if name == "einsum" and node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
        yield from einsum(r, node.args[0])
        yield from _first_alone(r, node)
        yield from _operands(r, node)
    if name in ("sum", "mean") and method:
        yield from _groups(r, node)
    if name in _REDUCED and method:
        yield from _over_axes(r, node)


def _repeated(r: EditReader, node: ast.Call, name: str) -> Edits:
    """``u.repeat(1, 2)`` for ``u.repeat_interleave(2, dim=1)``: blocks where each element is meant."""
    counts = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, int)]
    more = [k for k, n in enumerate(counts) if n != 1]
    if name == "repeat" and isinstance(node.func, ast.Attribute) and len(counts) == len(node.args) and len(more) == 1:
        axis = more[0] - len(counts)
        new = f"{r.inner(node.func.value)}.repeat_interleave({counts[more[0]]}, dim={axis})"
        yield r.put(node, new), f"`{r.short(node)}` repeats the whole where each element is to be repeated", 1.8


def _over_axes(r: EditReader, node: ast.Call) -> Edits:
    """A reduction over every axis where one is meant, and the other way."""
    said = r.short(node)
    axes = [a for a in node.args if isinstance(a, (ast.Constant, ast.UnaryOp, ast.Tuple))]
    if not node.args and not any(k.arg in ("dim", "axis") for k in node.keywords):
        end = r.piece.span(node)[1]
        for d in (
            ("0", "-1", "1", "0, keepdim=True", "-1, keepdim=True") if r.piece.text[: end - 1].rstrip().endswith("(") else ()
        ):
            yield [((end - 1, end - 1), d)], f"`{said}` runs over every axis, and should over one", 2
    elif len(axes) == 1:
        new = r.put(axes[0], "None") if node.keywords else _all(r, node)
        yield new, f"`{said}` runs over one axis, and should over all", 2.5


def _order(r: EditReader, node: ast.Call) -> Edits:
    """A step and the addend or factor beside it, exchanged: ``sqrt(v) + eps`` for ``sqrt(v + eps)``, and back."""
    method = isinstance(node.func, ast.Attribute) and not r.module(node.func.value)
    if method and not node.args and not node.keywords:
        inside: ast.expr = node.func.value  # type: ignore[attr-defined]
    elif not method and len(node.args) == 1 and not node.keywords:
        inside = node.args[0]
    else:
        return
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")

    def applied(text: str, loose: bool) -> str:
        head = f"({text})" if method and loose else text
        return f"{head}.{name}()" if method else f"{r.text(node.func)}({head})"

    up = r.around.get(node)
    if isinstance(up, ast.BinOp) and type(up.op) in (ast.Add, ast.Sub, ast.Mult, ast.Div) and up.left is node:
        rest = r.piece.text[r.piece.span(node)[1] : r.piece.span(up.right)[1]]
        new = applied(f"{r.inner(inside)}{rest}", True)
        yield r.put(up, new), f"`{name}` in `{r.short(up)}` is taken before the step that it is meant to follow", 1.8
    if isinstance(inside, ast.BinOp) and type(inside.op) in (ast.Add, ast.Sub, ast.Mult, ast.Div):
        rest = r.piece.text[r.piece.span(inside.left)[1] : r.piece.span(inside)[1]]
        new = f"({applied(r.text(inside.left), not isinstance(inside.left, (ast.Name, ast.Call)))}{rest})"
        yield r.put(node, new), f"`{name}` in `{r.short(node)}` is taken after the step that it is meant to precede", 1.9


def _all(r: EditReader, node: ast.Call) -> list[Place]:
    start = r.piece.span(node.func)[1]
    return [((start, r.piece.span(node)[1]), "()")]


def _function(r: EditReader, node: ast.Call, old: str, new: str) -> str:
    said = r.short(node)
    if (old, new) == ("mean", "sum"):
        return f"`{said}` is a mean where a sum is meant: it is divided by a size too many"
    if (old, new) == ("sum", "mean"):
        return f"`{said}` is a sum where a mean is meant: the mean's divisor is missing"
    known = re.search(rf"\b{new}\b", r.piece.text) is not None
    return f"`{old}` stands where {f'`{new}`' if known else new.strip('_').replace('_', '-')} is meant, in `{said}`"


def einsum(r: EditReader, node: ast.Constant) -> Edits:
    """The equation with the axes of one operand, or of the result, in another order."""
    text, quote = str(node.value), r.text(node)[0]
    if "->" not in text or "." in text or quote not in "'\"":
        return
    left, right = text.replace(" ", "").split("->")
    parts = [*left.split(","), right]
    for k, part in enumerate(parts):
        if 1 < len(part) < 5:
            for p in permutations(part):
                new = [*parts[:k], "".join(p), *parts[k + 1 :]]
                if new != parts:
                    eq = f"{','.join(new[:-1])}->{new[-1]}"
                    yield r.put(node, f"{quote}{eq}{quote}"), f"the axes of `{text}` are exchanged: `{eq}` is meant", 2.5


def attribute(r: EditReader, node: ast.Attribute) -> Edits:
    up = r.around.get(node)
    called = isinstance(up, ast.Call) and up.func is node
    if node.attr in ("T", "mT", "H", "mH"):
        yield r.put(node, r.inner(node.value)), f"`{r.short(node)}` is transposed, and should not be", 1.5
    elif isinstance(node.value, ast.Name) and not called and not r.module(node.value):
        for other in sorted(r.attributes(node.value.id) - {node.attr}):
            yield r.put(node, f"{node.value.id}.{other}"), f"`{r.short(node)}` is read where `{other}` is meant", 2


def _groups(r: EditReader, node: ast.Call) -> Edits:
    """``u.reshape(each, groups, -1).sum(0)`` for ``u.reshape(groups, each, -1).sum(1)``: what lies inside, and what outside."""
    cut = node.func.value  # type: ignore[attr-defined]
    laid = isinstance(cut, ast.Call) and isinstance(cut.func, ast.Attribute) and cut.func.attr in ("reshape", "view")
    if not laid or len(node.args) != 1 or not isinstance(node.args[0], ast.Constant):
        return
    k = node.args[0].value
    plain = [a for a in cut.args if not isinstance(a, ast.Starred)]
    for i, j in combinations(range(len(plain)), 2):
        if k in (i, j):
            x, y, other = plain[i], plain[j], j if k == i else i
            places = [*r.put(x, r.text(y)), *r.put(y, r.text(x)), *r.put(node.args[0], str(other))]
            yield (
                places,
                f"`{r.short(x)}` and `{r.short(y)}` are exchanged in `{r.short(node)}`: the groups are of another axis",
                2.0,
            )


def _operands(r: EditReader, node: ast.Call) -> Edits:
    """Another variable as an operand, under another letter: what the product is taken with."""
    text, quote = str(node.args[0].value), r.text(node.args[0])[0]  # type: ignore[attr-defined]
    if "->" not in text or "." in text:
        return
    parts = text.replace(" ", "").split("->")[0].split(",")
    right = text.replace(" ", "").split("->")[1]
    letters = sorted({c for p in parts for c in p})
    for k, operand in enumerate(node.args[1:]):
        if not isinstance(operand, ast.Name) or k >= len(parts):
            continue
        for other in (n for n in r.names(operand) if n != operand.id):
            for j, old in enumerate(parts[k]):
                for c in (c for c in letters if c not in parts[k]):
                    new = [*parts[:k], parts[k].replace(old, c), *parts[k + 1 :]]
                    eq = f"{quote}{','.join(new)}->{right}{quote}"
                    places = [*r.put(node.args[0], eq), *r.put(operand, other)]
                    yield places, f"`{operand.id}` is read where `{other}` is meant, in `{r.short(node)}`", 2.3 + j / 100


def _first_alone(r: EditReader, node: ast.Call) -> Edits:
    """``einsum("ts,te->se", p[0], g[0])`` for a sum over what ``[0]`` takes the first of."""
    text, quote = str(node.args[0].value), r.text(node.args[0])[0]  # type: ignore[attr-defined]
    fresh = next((c for c in "zyxwv" if c not in text), "")
    left, arrow, right = text.replace(" ", "").partition("->")
    parts = left.split(",")
    places: list[Place] = []
    for k, operand in enumerate(node.args[1:]):
        if isinstance(operand, ast.Subscript) and isinstance(operand.slice, (ast.Constant, ast.UnaryOp)) and k < len(parts):
            parts[k] = fresh + parts[k]
            places += r.put(operand, r.text(operand.value))
    if places and fresh and arrow:
        places += r.put(node.args[0], f"{quote}{','.join(parts)}->{right}{quote}")
        yield places, f"`{r.short(node)}` takes one of many where a sum over all is meant", 2
