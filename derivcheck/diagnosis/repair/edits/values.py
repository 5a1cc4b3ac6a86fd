"""Names, numbers and indices: one in place of another, off by one."""

from __future__ import annotations

import ast
from itertools import combinations, permutations

from derivcheck.diagnosis.repair.change import Edits
from derivcheck.diagnosis.repair.edits.reader import EditReader


def name(r: EditReader, node: ast.Name) -> Edits:
    """Another name of the same scope in its place; an index off by one."""
    up = r.around.get(node)
    if isinstance(up, ast.Call) and up.func is node or isinstance(up, ast.keyword) and not isinstance(up.value, ast.Name):
        return
    if r.module(node):
        return
    for other in r.names(node):
        if other != node.id:
            yield r.put(node, other), f"`{node.id}` is read where `{other}` is meant", 2
    if isinstance(up, ast.Subscript) and up.slice is node or isinstance(up, ast.Tuple):
        for k in (" - 1", " + 1"):
            yield r.put(node, f"{node.id}{k}"), f"the index `{node.id}` is off by one", 2


def listed(r: EditReader, node: ast.List) -> Edits:
    """A factor that one of several parts lacks: ``torch.cat([a, b * c])``."""
    for e in node.elts:
        if isinstance(e, ast.Name):
            for other in r.names(e):
                if other != e.id:
                    yield r.put(e, f"({e.id} * {other})"), f"the factor `{other}` is missing at `{e.id}`", 2.03


def constant(r: EditReader, node: ast.Constant) -> Edits:
    """A boolean turned, another axis, or a number near it or a factor away."""
    v = node.value
    up = r.around.get(node)
    if isinstance(v, bool):
        yield r.put(node, str(not v)), f"`{v}` should be `{not v}`", 1.5
        return
    if not isinstance(v, (int, float)):
        return
    if isinstance(up, ast.BinOp) and isinstance(up.op, ast.Pow) and up.right is node:
        return
    if isinstance(up, ast.UnaryOp) and isinstance(r.around.get(up), ast.Call):
        whole: ast.expr = up
        axis = True
    else:
        whole, axis = node, isinstance(up, (ast.Call, ast.keyword, ast.Tuple))
    if isinstance(v, int):
        if axis:
            for k in (0, 1, 2, -1, -2, -3):
                yield r.put(whole, str(k)), f"{_called(r, node)} {r.text(whole)}, and should be {k}", 2
        factor = isinstance(up, ast.BinOp) and isinstance(up.op, (ast.Mult, ast.Div))
        for k in (v + 1, v - 1, 2 * v, -v):
            cost = 1.55 if factor and k == 2 * v else 2
            yield r.put(node, str(k) if k >= 0 else f"({k})"), f"the number {v} should be {k}", cost
        if factor and v % 2 == 0 and v > 2:
            yield r.put(node, str(v // 2)), f"the number {v} should be {v // 2}", 1.55
        for k in (v + 2, v + 3, 4 * v, 3 * v):
            yield r.put(node, str(k)), f"the number {v} should be {k}", 3
    else:
        root, turned = (v**0.5 if v > 0 else v), (1 / v if v else v)
        for x in (2 * v, v / 2, 1 - v, 1 + v, 3 * v, v / 3, 4 * v, v / 4, v * v, root, -v, 1.0, turned):
            yield r.put(node, f"{x!r}" if x >= 0 else f"({x!r})"), f"the number {v} should be {x:.6g}", 2.5


_AXES = set(
    "sum mean prod amax amin max min argmax argmin softmax log_softmax norm vector_norm cumsum cumprod logcumsumexp flip var "
    "std logsumexp transpose permute movedim unsqueeze squeeze flatten index_select index_add index_copy gather scatter "
    "scatter_add cat stack unbind diff sort argsort any all select narrow normalize size".split()
)


def _called(r: EditReader, node: ast.AST, many: bool = False) -> str:
    """What a number in a call is: an axis, or not."""
    up: ast.AST | None = node
    keyword = ""
    while up is not None and not isinstance(up, (ast.Call, ast.stmt)):
        keyword = (up.arg or "") if isinstance(up, ast.keyword) else keyword
        up = r.around.get(up)
    name = getattr(up.func, "attr", getattr(up.func, "id", "")) if isinstance(up, ast.Call) else ""
    if keyword in ("dim", "axis", "dims") or name.rstrip("_") in _AXES and not keyword:
        return "the axes are" if many else "the axis is"
    if not name:
        return "the numbers are" if many else "the number is"
    if keyword:
        return f"`{keyword}` is"
    return f"the numbers in `{name}` are" if many else f"a number in `{name}` is"


def axes(r: EditReader, node: ast.Tuple) -> Edits:
    """Other axes of a reduction or another order of them; a slice in an index where ``None`` or a number is meant."""
    axes = [e.value for e in node.elts if isinstance(e, ast.Constant) and isinstance(e.value, int)]
    if len(axes) == len(node.elts) and axes and isinstance(r.around.get(node), (ast.Call, ast.keyword)):
        options = [c for r in (1, 2, 3) for c in combinations(range(5), r)] + [(-1,), (-2,), (-2, -1)]
        for c in options:
            if c != tuple(axes):
                new = f"({', '.join(map(str, c))}{',' if len(c) == 1 else ''})"
                yield r.put(node, new), f"{_called(r, node, True)} {r.text(node)}, and should be {new}", 2.5
        for p in permutations(axes):
            new = f"({', '.join(map(str, p))})"
            yield r.put(node, new), f"{_called(r, node, True)} {r.text(node)}, and should be {new}", 1.9
    elif isinstance(r.around.get(node), ast.Subscript):
        yield from turned(r, node)
        yield from _places(r, node)
        for k, e in enumerate(node.elts):
            rest = [r.text(x) for j, x in enumerate(node.elts) if j != k]
            if isinstance(e, ast.Slice) and len(node.elts) < 4:
                for other in ("None", ":", "0", "-1"):
                    new = ", ".join([*rest[:k], other, *rest[k:]])
                    yield r.put(node, new), f"the index `{r.text(e)}` should be `{other}`", 2.5


def _places(r: EditReader, node: ast.Tuple) -> Edits:
    """An index that is computed where a variable of it is meant, and the other way round: from the end."""
    for e in node.elts:
        if isinstance(e, ast.BinOp):
            for name in dict.fromkeys(n.id for n in ast.walk(e) if isinstance(n, ast.Name)):
                yield r.put(e, name), f"the index `{r.short(e)}` should be `{name}`", 2
        elif isinstance(e, ast.Name) and (count := _count_of(r, e)) is not None:
            yield r.put(e, f"{count} - 1 - {e.id}"), f"the index `{e.id}` should run backwards", 2


def _count_of(r: EditReader, name: ast.Name) -> str | None:
    """How often the loop over an index runs."""
    around: ast.AST | None = name
    while around is not None:
        around = r.around.get(around)
        loops = [around] if isinstance(around, ast.For) else getattr(around, "generators", [])
        for loop in loops:
            it = loop.iter
            if not (isinstance(it, ast.Call) and isinstance(it.func, ast.Name) and it.func.id == "range" and len(it.args) == 1):
                continue
            if isinstance(loop.target, ast.Name) and loop.target.id == name.id:
                return r.inner(it.args[0])
    return None


def turned(r: EditReader, node: ast.Tuple) -> Edits:
    """The indices of a subscript in every other order; up to three of them, since there are n! orders."""
    texts = [r.text(e) for e in node.elts]
    if len(texts) < 4:
        for p in permutations(texts):
            if list(p) != texts:
                yield (
                    r.put(node, ", ".join(p)),
                    f"the indices `{', '.join(texts)}` are exchanged: another axis is meant",
                    2,
                )


def subscript(r: EditReader, node: ast.Subscript) -> Edits:
    """An index too many, along another axis, or another size of a shape."""
    if not isinstance(node.ctx, ast.Load):
        return
    base, said = r.inner(node.value), r.short(node)
    yield r.put(node, base), f"the index of `{said}` is one too many", 2
    root: ast.expr = node.value
    while isinstance(root, ast.Subscript):
        root = root.value
    if root is not node.value:
        yield r.put(node, r.inner(root)), f"`{said}` goes along the wrong axis: the indices are too many", 2.2
    inside = r.text(node.slice)
    if not isinstance(node.slice, ast.Tuple):
        for new in (":, None", "None", "..., None"):
            if inside != new:
                yield r.put(node.slice, new), f"`{said}` goes along the wrong axis", 3
    if isinstance(node.slice, (ast.Constant, ast.UnaryOp)) and isinstance(node.value, ast.Attribute):
        if node.value.attr == "shape":
            for d in ("0", "1", "-1", "-2", "2"):
                yield r.put(node.slice, d), f"`{said}` is the wrong size", 2
            yield (
                r.put(node, f"{r.text(node.value.value)}.numel()"),
                f"`{said}` is one size where the number of all elements is meant",
                2.5,
            )


def bounds(r: EditReader, node: ast.Slice) -> Edits:
    """The slice with its ends exchanged, left out, or off by one."""
    lower, upper = (r.text(n) if n is not None else "" for n in (node.lower, node.upper))
    if node.step is not None:
        return
    options = {(upper, lower), ("", ""), ("1", ""), ("", "-1"), ("-1", ""), ("", "1")}
    for end, way in ((lower, 0), (upper, 1)):
        if end:
            for k in (f"{end} - 1", f"{end} + 1"):
                options.add((k, upper) if way == 0 else (lower, k))
    if lower.isdigit() and (not upper or upper.startswith("-")) or not lower and upper.startswith("-"):
        start, stop = int(lower or 0), int(upper or 0) if (upper or "0").lstrip("-").isdigit() else None
        for by in (-2, -1, 1, 2):  # as long as it is, elsewhere
            if stop is not None and start + by >= 0 and stop + by <= 0:
                options.add((str(start + by) if start + by else "", str(stop + by) if stop + by else ""))
    for a, b in sorted(options):
        if (a, b) != (lower, upper):
            yield r.put(node, f"{a}:{b}"), f"the slice `{lower}:{upper}` should be `{a}:{b}`", 2
