"""Terms and Programs as index text: ``y[n,o] := sum(i: x[n,i]*w[o,i]) + b[o]``.

What is printed here is read back by :mod:`derivcheck.notation.parse`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from derivcheck.notation.program import Program
from derivcheck.notation.sizes import Entry, Extreme, Floor, Index, Poly
from derivcheck.notation.terms import (
    Add,
    Bracket,
    Func,
    Mul,
    Number,
    Over,
    Pow,
    Ref,
    SizeOf,
    Term,
    is_negative,
)

_SUM, _PRODUCT, _POWER, _ATOM = range(4)


Dims = Mapping[str, tuple[Poly, ...]]


def term_text(term: Term) -> str:
    """The index text of a term."""
    return _Spelling().text(term, _SUM)


class _Spelling:
    """How terms are spelled; with ``known`` dimensions, bound indices show the sizes that their places do not tell."""

    def __init__(self, known: Dims | None = None, own: Dims | None = None) -> None:
        self.known, self.own = known, own or {}

    def text(self, t: Term, level: int) -> str:
        """The term, in parentheses where it binds less than ``level``."""
        text, own = self._spell(t)
        return f"({text})" if own < level else text

    def _spell(self, t: Term) -> tuple[str, int]:
        if isinstance(t, Number):
            if t.value.denominator != 1:
                return str(t.value), _PRODUCT if t.value > 0 else _SUM
            return str(t.value), _ATOM if t.value >= 0 else _SUM
        if isinstance(t, SizeOf):
            return _size(t.value)
        if isinstance(t, Ref):
            return t.name + _listed(map(str, t.at)), _ATOM
        if isinstance(t, Bracket):
            operand = str(t.operand) if isinstance(t.operand, Poly) else self.text(t.operand, _SUM)
            return f"[{operand} {t.relation} 0]", _ATOM
        if isinstance(t, Add):
            out = ""
            for a in t.args:
                text = self.text(a, _SUM if is_negative(a) else _PRODUCT)
                out += text if not out else (f" - {text[1:]}" if text.startswith("-") else f" + {text}")
            return out, _SUM
        if isinstance(t, Mul):
            return self._product(t)
        if isinstance(t, Pow):
            if t.exponent is Number(-1):
                return f"1/{self.text(t.base, _ATOM)}", _PRODUCT
            return f"{self.text(t.base, _ATOM)}^{self.text(t.exponent, _ATOM)}", _POWER
        if isinstance(t, Func):
            return (f"{t.name}({', '.join(self.text(a, _SUM) for a in t.args)})" if t.args else t.name), _ATOM
        if isinstance(t, Over):
            if self.known is None:
                bound = ", ".join(i.key for i in t.indices)
            else:
                bound = ", ".join(_binder(i, t.body, self.known, self.own) for i in t.indices)
            return f"{t.kind}({bound}: {self.text(t.body, _SUM)})", _ATOM
        raise TypeError(f"not a term: {type(t).__name__}")

    def _product(self, t: Mul) -> tuple[str, int]:
        above: list[str] = []
        below: list[str] = []
        sign = ""
        for a in t.args:
            if isinstance(a, Number):
                if a.value < 0:
                    sign = "-"
                top, bottom = abs(a.value.numerator), a.value.denominator
                if top != 1:
                    above.append(str(top))
                if bottom != 1:
                    below.append(str(bottom))
            elif isinstance(a, Pow) and isinstance(a.exponent, Number) and a.exponent.value < 0:
                inner = Pow(a.base, Number(-a.exponent.value)) if a.exponent.value != -1 else a.base
                below.append(self.text(inner, _POWER))
            else:
                above.append(self.text(a, _POWER))
        text = "*".join(above) or "1"
        if below:
            text += "/" + (below[0] if len(below) == 1 else f"({'*'.join(below)})")
        return sign + text, _SUM if sign else _PRODUCT


def _size(p: Poly) -> tuple[str, int]:
    text = str(p)
    if p.atom is not None:  # a floored quotient stands in brackets already
        return text, _ATOM
    return text, _SUM if len(p.terms) > 1 or text.startswith("-") else _PRODUCT


def program_text(program: Program) -> str:
    """A Program as index text, a definition a line.

    An index whose size its places do not tell is printed with it where it is bound: ``y[h < H, e < d] := x[h*d + e]``.
    """
    lines = []
    known: dict[str, tuple[Poly, ...]] = {}
    for a in program.arguments:
        kind = "" if a.kind == "float" else f" {a.kind}" + ("" if a.below is None else f" < {a.below}")
        lines.append(f"input  {a.name}{_listed(map(str, a.dims))}{kind}")
        known[a.name] = a.dims
    later = {d.name for d in program.definitions}
    for d in program.definitions:
        later.discard(d.name)
        own = {d.name: d.dims, **{x.name: x.dims for x in program.definitions if x.name in later}}
        heads = [_binder(i, d.term, known, own) for i in d.indices]
        mark = f"  ({d.kind})" if d.kind != "float" else "  (no gradient)" if d.stop else ""
        lines.append(f"{d.name}{_listed(heads)} := {_Spelling(known, own).text(d.term, _SUM)}{mark}")
        known[d.name] = d.dims
    lines.append(f"output {', '.join(program.outputs)}")
    return "\n".join(lines)


def _listed(parts: Iterable[str]) -> str:
    inside = ", ".join(parts)
    return f"[{inside}]" if inside else ""


def _binder(i: Index, scope: Term, known: Dims, own: Dims) -> str:
    """An index where it is bound, with its size unless the places where it stands alone tell it."""
    told = False
    for name, at in _places(scope, i):
        for p, length in zip(at, known.get(name, own.get(name, ()))):
            if p.index is i:
                if length is not i.size:
                    return f"{i.key} < {i.size}"
                told = told or name in known
    return i.key if told else f"{i.key} < {i.size}"


def _places(term: Term, i: Index) -> Iterator[tuple[str, tuple[Poly, ...]]]:
    """Every ``name[at]`` in the term that reads the index, also inside positions."""
    walk, seen = [term], {term}
    while walk:
        t = walk.pop(0)
        if i not in t.free or (isinstance(t, Over) and i in t.indices):
            continue
        for kid in t.children:
            if kid not in seen:
                seen.add(kid)
                walk.append(kid)
        if isinstance(t, Ref):
            yield t.name, t.at
            polys: tuple[Poly, ...] = t.at
        elif isinstance(t, SizeOf):
            polys = (t.value,)
        elif isinstance(t, Bracket) and isinstance(t.operand, Poly):
            polys = (t.operand,)
        else:
            continue
        stack = list(polys)
        while stack:
            for a in stack.pop().atoms():
                if isinstance(a, Entry):
                    yield a.name, a.at
                    stack.extend(a.at)
                elif isinstance(a, Floor):
                    stack += [a.numerator, a.denominator]
                elif isinstance(a, Extreme):
                    stack.extend(a.args)
