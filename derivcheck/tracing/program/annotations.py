"""Named dimensions from jaxtyping's annotations: ``x: Float[Tensor, "batch in_features"]`` says what ``dims`` would say.

jaxtyping is not imported here: an annotation made by it carries its text, and one that is written as text itself
(``from __future__ import annotations``) is read by Python's own parser, never run.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from derivcheck.errors import InputError
from derivcheck.notation.text.dims import parse_dims

_KINDS = (("Bool", "bool"), ("Int", "int"), ("UInt", "int"), ("Float", "float"), ("BFloat", "float"), ("Num", "float"),
          ("Shaped", "float"), ("Inexact", "float"), ("Real", "float"))  # fmt: skip
_FIXED = re.compile(r"\w+=(\d+)$")


def annotated_dims(f: Callable[..., Any], given: Collection[str] = ()) -> dict[str, str]:
    """The dimensions that a function's annotations give its parameters, as ``dims`` has them.

    Args:
        given: parameters that have a tensor, dimensions or a value already; theirs are not read.

    Raises:
        InputError: an annotation that leaves open how many dimensions there are, or what they are.

    >>> def f(x: 'Float[Tensor, "batch in_features"]', eps: float = 1e-5): ...
    >>> annotated_dims(f)  # nothing called Float is known here
    {}
    """
    found = {}
    names = getattr(inspect.unwrap(getattr(f, "__func__", f)), "__globals__", {})
    for p in _parameters(f):
        text = None if p.name in given or p.annotation is p.empty else _text(p.annotation, names)
        if text is not None:
            kind, dims = text
            read = " ".join(_size(p.name, dims, k, word) for k, word in enumerate(dims.split()))
            found[p.name] = read if kind == "float" else f"{kind}: {read}"
    return found


def _parameters(f: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return []


def _text(annotation: Any, names: Mapping[str, Any]) -> tuple[str, str] | None:
    """The kind of a jaxtyping annotation's entries and the text of its dimensions; None for any other annotation."""
    if isinstance(annotation, str):
        return _written(annotation, names)
    if type(annotation).__module__.partition(".")[0] != "jaxtyping":
        return None
    head, dims = str(getattr(annotation, "__name__", "")).partition("[")[0], getattr(annotation, "dim_str", None)
    return (_kind(head), dims) if isinstance(dims, str) else None


def _written(text: str, names: Mapping[str, Any]) -> tuple[str, str] | None:
    """The same of an annotation that is text: ``Float[Tensor, "batch in_features"]``."""
    try:
        node = ast.parse(text, mode="eval").body
    except SyntaxError:
        return None
    if not (isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple) and len(node.slice.elts) == 2):
        return None
    last, head = node.slice.elts[1], node.value
    attribute = head.attr if isinstance(head, ast.Attribute) else None
    module = head.value if isinstance(head, ast.Attribute) else head
    value = names.get(module.id) if isinstance(module, ast.Name) else None
    made: Any = getattr(value, attribute, None) if attribute else value
    if getattr(made, "__module__", "").partition(".")[0] != "jaxtyping" or not isinstance(last, ast.Constant):
        return None
    return (_kind(made.__name__), last.value) if isinstance(last.value, str) else None


def _kind(name: str) -> str:
    return next((kind for start, kind in _KINDS if name.startswith(start)), "float")


def _size(parameter: str, dims: str, axis: int, word: str) -> str:
    """One dimension as ``dims`` writes it: a name, a number, an expression; ``_`` is a size of its own."""
    if word == "_":
        return f"{parameter}_{axis}"
    if fixed := _FIXED.match(word):
        return fixed[1]
    if word == "..." or word[0] in "*#?" or "{" in word:
        raise InputError(f"{parameter} is annotated {dims!r}, where {word!r} leaves its dimensions open; give dims={{...}}")
    try:
        parse_dims(word)
    except InputError:
        raise InputError(f"{parameter} is annotated {dims!r}, where {word!r} is no size; give dims={{...}}") from None
    return word
