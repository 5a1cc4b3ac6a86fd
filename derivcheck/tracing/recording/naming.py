"""The user's own names: which variable a result is assigned to, and what sizes are called.

A result bears the name of the variable that the statement assigns in which it is the last one computed; a function's
last result bears the name that its caller assigns.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterable, Sequence
from functools import lru_cache

from derivcheck.kernels.lines import statements
from derivcheck.tracing.recording.data import Call, CallSite, tensors_in


class _Body(ast.Expr):
    """What a lambda gives, as a statement of its own."""


@lru_cache(maxsize=512)
def _statements(file: str, stamp: float) -> dict[int, list[ast.stmt]]:
    """The statements on each line of a file, those within others last."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError, RecursionError):
        return {}
    lines: dict[int, list[ast.stmt]] = {}
    for node in ast.walk(tree):  # breadth first: an inner statement comes after an outer one
        if isinstance(node, ast.stmt):
            last = node.end_lineno or node.lineno
            if isinstance(
                node, (ast.FunctionDef, ast.ClassDef, ast.If, ast.For, ast.While, ast.With, ast.Try, ast.AsyncFunctionDef)
            ):
                last = node.lineno
            for line in range(node.lineno, last + 1):
                lines.setdefault(line, []).append(node)
        elif isinstance(node, ast.Lambda):  # what it gives is not what the statement around it assigns
            body = ast.copy_location(_Body(node.body), node.body)
            for line in range(body.lineno, (body.end_lineno or body.lineno) + 1):
                lines.setdefault(line, []).append(body)
    return lines


def statement(frame: CallSite) -> ast.stmt | None:
    """The statement that a frame stands in, where its source is at hand."""
    kernel = statements(frame.file, frame.function)
    if kernel is not None:
        return kernel.get(frame.line)
    linecache.checkcache(frame.file)
    cached = linecache.cache.get(frame.file)
    stamp = float(cached[1] or 0) if cached is not None and len(cached) > 1 and isinstance(cached[1], (int, float)) else 0.0
    here = _statements(frame.file, stamp).get(frame.line, [])
    if len(here) > 1 and frame.span is not None:  # two in a line: `a = f(x); b = g(x)`
        here = [node for node in here if _holds(node, frame.span)] or here
    elif frame.span is None:
        here = [node for node in here if not isinstance(node, _Body)]
    return here[-1] if here else None


def _holds(node: ast.stmt, span: tuple[int | None, ...]) -> bool:
    """Whether a statement is where some code stands: ``(line, last line, column, last column)``."""
    first, last, column, end = span
    if first is None or last is None or column is None or end is None or node.end_lineno is None or node.end_col_offset is None:
        return False
    return (node.lineno, node.col_offset) <= (first, column) and (last, end) <= (node.end_lineno, node.end_col_offset)


def _targets(node: ast.stmt | None) -> list[str] | None:
    """The names that a statement assigns to; None where it is no plain assignment."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
        target = node.target
    else:
        return None
    if isinstance(target, ast.Name):
        return [target.id]
    if isinstance(target, (ast.Tuple, ast.List)) and all(isinstance(e, ast.Name) for e in target.elts):
        return [e.id for e in target.elts if isinstance(e, ast.Name)]
    return None


def assigned(frame: CallSite) -> list[str] | None:
    """The variables that the statement at a frame's line assigns."""
    return _targets(statement(frame))


def names(calls: Sequence[Call]) -> list[list[str | None]]:
    """The user's names for the results of each call."""
    found: list[list[str | None]] = []
    for k, call in enumerate(calls):
        numbers = [t.number for t in tensors_in(call.out)]
        hints: list[str | None] = [None] * len(numbers)
        after = calls[k + 1].frames if k + 1 < len(calls) else ()
        for depth, frame in enumerate(call.frames):
            node = statement(frame)
            if len(numbers) == 1 and (one := _one_of_several(node, frame, depth, call.frames, after)) is not None:
                hints = [one]
                break
            if _goes_on(frame, depth, call.frames, after):
                break
            targets = _targets(node)
            if targets is not None:
                if len(targets) == len(numbers):
                    hints = list(targets)
                elif len(targets) == 1 and numbers:
                    hints[0] = targets[0]
                break
            if not isinstance(node, (ast.Return, ast.Expr)):
                break
        hints = [None if h is not None and h.startswith("__") or h == "_" else h for h in hints]
        if found and found[-1] == [None] and _only_looks(calls[k - 1], call):
            found[-1], hints = hints, [None] * len(hints)
        found.append(hints)
    return found


def _only_looks(before: Call, call: Call) -> bool:
    """Whether a call is the alias with which an index expression like ``x[..., 0::2]`` ends."""
    if call.operator != "aten.alias.default" or list(call.args)[:1] != tensors_in(before.out):
        return False
    return call.frames[:1] == before.frames[:1]


def _one_of_several(
    node: ast.stmt | None, frame: CallSite, depth: int, frames: Sequence[CallSite], after: Sequence[CallSite]
) -> str | None:
    """The name of what a frame computes whole in ``a, b = f(x), f(y)``; None elsewhere."""
    if not isinstance(node, ast.Assign) or not isinstance(node.value, (ast.Tuple, ast.List)):
        return None
    targets = _targets(node)
    if targets is None or len(targets) != len(node.value.elts):
        return None
    other = _same_level(depth, frames, after)
    if other is not None and (other.call, other.instruction) == (frame.call, frame.instruction):
        return None  # one of the operators within
    places = [(e.lineno, e.end_lineno, e.col_offset, e.end_col_offset) for e in node.value.elts]
    return targets[places.index(frame.span)] if frame.span in places else None


def _same_level(depth: int, frames: Sequence[CallSite], after: Sequence[CallSite]) -> CallSite | None:
    """The frame of the next call that stands as deep."""
    below = len(frames) - depth
    return after[len(after) - below] if len(after) >= below else None


def _goes_on(frame: CallSite, depth: int, frames: Sequence[CallSite], after: Sequence[CallSite]) -> bool:
    """Whether the next call is of the same run of the same statement."""
    other = _same_level(depth, frames, after)
    return (
        other is not None
        and other.call == frame.call
        and other.file == frame.file
        and _same_statement(frame, other)
        and other.instruction >= frame.instruction
        and (
            other.instruction > frame.instruction
            or len(after) > len(frames) - depth
            or depth > 0
            or frame is not frames[0]
            or len(after) == len(frames) - depth
        )
    )


def _same_statement(a: CallSite, b: CallSite) -> bool:
    one, two = statement(a), statement(b)
    return one is two if one is not None else a.line == b.line


# What the sizes of an operator's arguments are called in the field: argument position -> names of its axes, from the left
# ("..." stands for any number of leading axes).
_FIELD: dict[str, dict[int, tuple[str, ...]]] = {
    "linear": {1: ("out", "in"), 0: ("N", "T", "in")},
    "embedding": {0: ("V", "E"), 1: ("N", "T")},
    "conv1d": {1: ("C_out", "C", "k"), 0: ("N", "C", "T")},
    "conv2d": {1: ("C_out", "C", "kh", "kw"), 0: ("N", "C", "H", "W")},
    "conv3d": {1: ("C_out", "C", "kd", "kh", "kw"), 0: ("N", "C", "D", "H", "W")},
    "conv_transpose1d": {1: ("C", "C_out", "k"), 0: ("N", "C", "T")},
    "conv_transpose2d": {1: ("C", "C_out", "kh", "kw"), 0: ("N", "C", "H", "W")},
    "batch_norm": {0: ("N", "C", "H", "W"), 1: ("C",)},
    "group_norm": {0: ("N", "C", "H", "W")},
    "scaled_dot_product_attention": {0: ("N", "h", "T", "d"), 1: ("N", "h", "S", "d"), 2: ("N", "h", "S", "e")},
    "cross_entropy_loss": {0: ("N", "C")},
    "addmm": {1: ("N", "in"), 2: ("in", "out")},
}
# letters for sizes of which nothing is known; those that mean something in a network (C, H, T, W) come late
_SPARE = ("N", "M", "K", "P", "Q", "R", "L", "U", "G", "J", "A", "B", "C", "D", "F", "H", "I", "S", "T", "W", "X", "Y", "Z")


def field_names(operator: str, position: int, rank: int) -> tuple[str, ...]:
    """The field's names for the axes of an operator's argument, or ()."""
    parts = operator.split(".")
    wanted = _FIELD.get(parts[1] if len(parts) > 1 else operator, {}).get(position, ())
    if not wanted:
        return ()
    if rank == len(wanted):
        return wanted
    if rank < len(wanted):  # x of linear: the last axes
        return wanted[:1] + wanted[len(wanted) - rank + 1 :] if rank > 1 else wanted[-1:]
    return ()


def spare_names(taken: Iterable[str]) -> Iterable[str]:
    """Names for sizes that nothing else names."""
    used = set(taken)
    yield from (n for n in _SPARE if n not in used)
    k = 1
    while True:
        if f"D{k}" not in used:
            yield f"D{k}"
        k += 1
