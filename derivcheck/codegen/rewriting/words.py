"""Names that were made up, ``z_3``, by what they hold: ``sigmoid_f``, ``one_minus_alpha``, ``xy``; the result is ``value``."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from derivcheck.codegen.graph.names import RESERVED
from derivcheck.codegen.rewriting.unnamed import is_made_up
from derivcheck.notation.integers.polynomials import Poly, i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import MINUS_ONE, ONE, coefficient
from derivcheck.notation.terms.nodes import Add, Func, Mul, Number, Pow, Ref, Term

LONG = 26  # letters; a longer name says less than a short one
_RULES = {
    "stack": "stacked",
    "cat": "joined",
    "masked_fill": "masked",
    "clamp": "clamped",
    "clamp_min": "clamped",
    "clamp_max": "clamped",
}
_POWERS = {Fraction(2): "{}_squared", Fraction(3): "{}_cubed", Fraction(-1): "inverse_{}", Fraction(1, 2): "root_{}"}


class InWords(NamedTuple):
    """The Programs with the names that were made up said in words; ``made_up`` are these names, as they are now."""

    forward: Program
    adjoint: Program | None
    made_up: frozenset[str]


def in_words(forward: Program, adjoint: Program | None) -> InWords:
    """The Programs in words where there are some; the user's names stay."""
    for a, b, known in _RECENT:
        if a is forward and b is adjoint:
            return known
    names = words(forward, adjoint)
    made_up = frozenset(names.get(d.name, d.name) for d in forward.definitions if is_made_up(d))
    new = InWords(forward, adjoint, made_up)
    if names:
        new = InWords(forward.rename(names), adjoint.rename(names) if adjoint is not None else None, made_up)
    _RECENT.append((forward, adjoint, new))
    return new


_RECENT: deque[tuple[Program, Program | None, InWords]] = deque(maxlen=4)


def words(forward: Program, adjoint: Program | None) -> dict[str, str]:
    """The new names, each once, by the old."""
    taken = {*forward.names, *forward.sizes(), *RESERVED, *(adjoint.names if adjoint is not None else ())}
    found: dict[str, str] = {}
    for d in forward.definitions:
        wish = _word(d, forward, found)
        if wish is not None and wish.isidentifier() and wish.isascii() and wish not in taken:
            taken.add(wish)
            found[d.name] = wish
    return found if adjoint is None else found | _of_adjoints(forward, adjoint, found, taken)


def _word(d: Definition, forward: Program, found: Mapping[str, str]) -> str | None:
    """A better name for a definition; None where it has one of the user's or the operator's."""
    if d.name in forward.outputs:
        counted = not d.variable and bool(d.rule) and re.fullmatch(r"[a-z]+_\d+", d.name) is not None
        return "value" if len(forward.outputs) == 1 and (is_made_up(d) or counted) else None
    return said(d.term, found) or _RULES.get(d.rule) if is_made_up(d) else None


def _of_adjoints(forward: Program, adjoint: Program, found: Mapping[str, str], taken: set[str]) -> dict[str, str]:
    """The names of the adjoints of what was made up: its own word, or which part of another they are."""
    bars = {f"{old}_bar": f"{new}_bar" for old, new in found.items()}
    made_up = {f"{d.name}_bar" for d in forward.definitions if is_made_up(d)}
    out: dict[str, str] = {}
    for d in adjoint.definitions:
        wish = bars.get(d.name)
        if wish is None and d.name in made_up and d.name not in adjoint.outputs and isinstance(d.term, Ref):
            wish = _part(d, {**found, **out}, adjoint.dims(d.term.name))
        if wish is not None and wish.isidentifier() and wish not in taken:
            taken.add(wish)
            out[d.name] = wish
    return out


def _part(d: Definition, names: Mapping[str, str], dims: Sequence[Poly]) -> str | None:
    """A slice of a tensor along one dimension: ``grad_output_from_d``, ``grad_output_to_d``."""
    assert isinstance(d.term, Ref)
    if len(d.term.at) != len(d.indices):
        return None
    cut = [(p - i_poly(i), i) for p, i, size in zip(d.term.at, d.indices, dims) if i.size is not size]
    if len(cut) != 1 or cut[0][0].indices:
        return None
    start, i = cut[0]
    name = names.get(d.term.name, d.term.name)
    return f"{name}_to_{i.size}" if start.constant == 0 else f"{name}_from_{start}"


def said(t: Term, names: Mapping[str, str]) -> str | None:
    """A short term in words; None where it takes too many."""
    text = _said(t, names)
    return text if text is not None and len(text) <= LONG else None


def _said(t: Term, names: Mapping[str, str]) -> str | None:
    """The words for a function, a power, a sum or a product of tensors."""
    if isinstance(t, Func) and len(t.args) == 1:
        (x,) = (_name(a, names) for a in t.args)
        return None if x is None else f"{t.name}_{x}"
    if isinstance(t, Pow) and isinstance(t.exponent, Number):
        x, form = _name(t.base, names), _POWERS.get(t.exponent.value)
        if x is not None and len(x) == 1 and t.exponent.value == 2:
            return x + x
        return None if x is None or form is None else form.format(x)
    if isinstance(t, Add) and len(t.args) == 2:
        return _sum(*t.args, names)
    if isinstance(t, Mul) and len(t.args) == 2:
        return _product(*t.args, names)
    return None


def _sum(left: Term, right: Term, names: Mapping[str, str]) -> str | None:
    """``a + b``, ``a - b``, ``1 - a``, ``a + 1e-5``."""
    sign, rest = coefficient(right)
    first = "one" if left is ONE else _name(left, names)
    if first is not None and isinstance(right, Number):
        return f"{first}_plus_eps" if 0 < right.value < Fraction(1, 1000) else None
    second = _name(rest, names)
    if first is None or second is None or sign not in (1, -1):
        return None
    return f"{first}_{'plus' if sign == 1 else 'minus'}_{second}"


def _product(left: Term, right: Term, names: Mapping[str, str]) -> str | None:
    """``a*b``, ``a/b``, ``-a``."""
    if left is MINUS_ONE:
        x = _name(right, names)
        return None if x is None else f"minus_{x}"
    below = isinstance(right, Pow) and right.exponent is MINUS_ONE
    a, b = _name(left, names), _name(right.base if isinstance(right, Pow) and below else right, names)
    if a is not None and b is not None and len(a) == len(b) == 1 and not below:
        return a + b
    return None if a is None or b is None else f"{a}_{'over' if below else 'times'}_{b}"


def _name(t: Term, names: Mapping[str, str]) -> str | None:
    """The name of a tensor that is read as a whole."""
    return names.get(t.name, t.name) if isinstance(t, Ref) else None
