"""Terms and Programs as index text: ``y[n,o] := sum(i: x[n,i]*w[o,i]) + b[o]``.

What is printed here is read back by :mod:`derivcheck.notation.parse`.
"""

from __future__ import annotations

from derivcheck.notation.program import Program
from derivcheck.notation.sizes import Poly
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


def term_text(term: Term) -> str:
    """The index text of a term."""
    return _text(term, _SUM)


def _text(t: Term, level: int) -> str:
    text, own = _spell(t)
    return f"({text})" if own < level else text


def _spell(t: Term) -> tuple[str, int]:
    if isinstance(t, Number):
        if t.value.denominator != 1:
            return str(t.value), _PRODUCT if t.value > 0 else _SUM
        return str(t.value), _ATOM if t.value >= 0 else _SUM
    if isinstance(t, SizeOf):
        return _size(t.value)
    if isinstance(t, Ref):
        return (f"{t.name}[{', '.join(map(str, t.at))}]" if t.at else t.name), _ATOM
    if isinstance(t, Bracket):
        operand = str(t.operand) if isinstance(t.operand, Poly) else term_text(t.operand)
        return f"[{operand} {t.relation} 0]", _ATOM
    if isinstance(t, Add):
        out = ""
        for a in t.args:
            text = _text(a, _PRODUCT) if not is_negative(a) else _text(a, _SUM)
            out += text if not out else (f" - {text[1:]}" if text.startswith("-") else f" + {text}")
        return out, _SUM
    if isinstance(t, Mul):
        return _product(t)
    if isinstance(t, Pow):
        if t.exponent is Number(-1):
            return f"1/{_text(t.base, _POWER + 1)}", _PRODUCT
        return f"{_text(t.base, _ATOM)}^{_text(t.exponent, _ATOM)}", _POWER
    if isinstance(t, Func):
        return (f"{t.name}({', '.join(term_text(a) for a in t.args)})" if t.args else t.name), _ATOM
    if isinstance(t, Over):
        bound = ", ".join(i.key for i in t.indices)
        return f"{t.kind}({bound}: {term_text(t.body)})", _ATOM
    raise TypeError(f"not a term: {type(t).__name__}")


def _size(p: Poly) -> tuple[str, int]:
    level = _ATOM if p.atom is not None and "//" not in str(p) else (_SUM if len(p.terms) > 1 or "-" in str(p) else _PRODUCT)
    text = str(p)
    return (f"({text})", _ATOM) if "//" in text else (text, level)


def _product(t: Mul) -> tuple[str, int]:
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
            below.append(_text(inner, _POWER))
        else:
            above.append(_text(a, _POWER))
    text = "*".join(above) or "1"
    if below:
        text += "/" + (below[0] if len(below) == 1 else f"({'*'.join(below)})")
    return sign + text, _SUM if sign else _PRODUCT


def program_text(program: Program) -> str:
    """A Program as index text, a definition a line."""
    lines = [f"input  {a.name}[{', '.join(map(str, a.dims))}]" + (f" {a.kind}" if a.kind != "float" else "") for a in program.arguments]
    for d in program.definitions:
        head = d.name + (f"[{', '.join(i.key for i in d.indices)}]" if d.indices else "")
        lines.append(f"{head} := {term_text(d.term)}" + ("  (no gradient)" if d.stop else ""))
    lines.append(f"output {', '.join(program.outputs)}")
    return "\n".join(lines)
