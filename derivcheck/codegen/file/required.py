"""Sizes and types at which the derivation does not hold are refused by the generated code, in a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from derivcheck.codegen.graph.numbers import SUM, Speller
from derivcheck.notation.integers.polynomials import Poly, Size, as_poly
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.requirements import Requirement


def required(forward: Program, filled: Iterable[Poly], numbers: Speller, variables: Mapping[str, str]) -> list[str]:
    """The lines that refuse them.

    Args:
        filled: dimensions of which an extreme is taken: there is none of no elements.
        numbers, variables: how integer expressions and inputs are spelled.
    """
    lines = []
    more = (Requirement(p, ">=", as_poly(1)) for p in filled)
    for r in [*forward.requires, *(r for r in more if not r.implied(forward.requires))]:
        names = [numbers.name(Size(s)) for s in sorted(r.left.sizes() | r.right.sizes())]
        found = ", ".join(f"{n} = {{{n}}}" for n in names)
        lines += [
            f"if not {numbers.poly(r.left, SUM)} {r.relation} {numbers.poly(r.right, SUM)}:",
            f'    raise {numbers.use("ValueError")}(f"this was derived for {r}; found {found}")',
        ]
    first = next((variables[a.name] for a in forward.arguments if a.kind == "float"), None)
    for attribute, value in forward.only if first is not None else ():
        found = f"{first}.{attribute}"
        lines += [
            f'if str({found}) != "{value}":',
            f'    raise {numbers.use("ValueError")}(f"this was derived for {attribute} = {value}; found {{{found}}}")',
        ]
    return lines
